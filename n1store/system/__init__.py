"""What differs between operating systems: atomic outputs, cores, where HDF5 looks for plugins."""
