"""What tests of codecs share: samples of all kinds, and checks that every codec is to pass."""

import sys
import threading
import time

import numpy as np
import pytest
import zarr

import make_wav as make
from installed import ZARR_VERSION


def samples_of(dtype, shape):
    """Return samples of a recording's colour, of any dtype and shape."""
    values = make.on_grid(shape[0], int(np.prod(shape[1:]))).astype(np.int32)
    dtype = np.dtype(dtype)
    if dtype.itemsize == 1:
        values >>= 8
    if dtype.kind == "u":
        values -= np.iinfo(dtype.str.replace("u", "i")).min
    return values.astype(dtype).reshape(shape)


TRACES = samples_of("<i2", (2000, 4))


def read_only(samples):
    samples = samples.copy()
    samples.flags.writeable = False
    return samples


def assert_one_line(error):
    message = str(error.value)
    assert message
    assert message.splitlines() == [message]


def assert_lets_others_run(call):
    count, stop = 0, threading.Event()

    def counter():
        nonlocal count
        while not stop.is_set():
            count += 1
            time.sleep(0)

    # With such an interval, nobody takes the lock from a thread that does not give it up.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    thread = threading.Thread(target=counter)
    thread.start()
    try:
        for _ in range(1000):
            before = count
            call()
            if count > before:
                break
        else:
            pytest.fail("no other thread ever ran meanwhile")
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        thread.join()


def zarr_group(path, zarr_format):
    options = {"zarr_format": zarr_format} if ZARR_VERSION >= 3 else {}
    return zarr.open_group(str(path), mode="w", **options)


def create_format_2(group, name, samples, chunks, codecs, **options):
    """Create an array whose codec is a filter or the compressor, and write samples to it."""
    shape = {"shape": samples.shape, "chunks": chunks, "dtype": samples.dtype}
    if ZARR_VERSION >= 3:
        codecs = {{"compressor": "compressors"}.get(key, key): codecs[key] for key in codecs}
        array = group.create_array(name, **shape, **codecs, **options)
    else:
        array = group.create_dataset(name, **shape, **codecs, **options)
    array[:] = samples
    return array
