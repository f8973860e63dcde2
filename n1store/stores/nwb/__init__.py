"""NWB files, which are HDF5."""
