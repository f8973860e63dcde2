"""Where recordings come from: an input for each kind of source, and the register that finds it."""
