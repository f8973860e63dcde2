"""The command line: what its commands take, and what they show."""
