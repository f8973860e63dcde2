"""What is known of the N1 implant itself: synthetic recordings, and how wide its codes are."""
