"""n1store's own codecs: for numcodecs one file each, and zarr3.py for Zarr format 3."""
