"""The codecs, and what they are in stores.

catalogue.py is the table of all of them, whose rows spec.py explains; pipeline.py puts them one
behind the other, and info.py tells users of them. n1store's own are in n1.py, adc.py and simple.py
for numcodecs, in zarr3.py for Zarr format 3 and in hdf5.py for h5py; native.py binds their C code.
hdf5_filters.py has the filters of HDF5. In library/ are codecs whose work a library does.
"""
