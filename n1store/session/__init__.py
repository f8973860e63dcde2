"""What is said of recordings beside their samples, in the terms of NWB."""
