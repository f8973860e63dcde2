"""n1store's own codecs: a file each for numcodecs; zarr3.py for Zarr format 3, hdf5.py for HDF5."""
