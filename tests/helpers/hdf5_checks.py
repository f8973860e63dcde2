"""What tests of HDF5 filters share: files, their chunks, readers without n1store, plain calls."""

import ctypes
import os
import subprocess

import h5py
import numpy as np

from n1store.codecs import hdf5


def change_a_bit(payload):
    middle = len(payload) // 2
    return payload[:middle] + bytes([payload[middle] ^ 1]) + payload[middle + 1 :]


DAMAGES = {
    "bit": change_a_bit,
    "cut": lambda payload: payload[:-1],
    "gone": lambda payload: bytes(len(payload)),
}


def write_hdf5(path, samples, chunks, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=samples, chunks=chunks, **options)


def direct_chunks(path):
    """Return filter masks, and chunks as they are stored, of a dataset."""
    with h5py.File(path, "r") as file:
        dataset = file["x"].id
        offsets = [dataset.get_chunk_info(i).chunk_offset for i in range(dataset.get_num_chunks())]
        return {offset: dataset.read_direct_chunk(offset) for offset in sorted(offsets)}


def num_channels(shape):
    return int(np.prod(shape[1:])) if len(shape) > 1 else None


READ_WITH_H5PY_ALONE = """
    import sys, h5py, numpy
    with h5py.File(sys.argv[1]) as file:
        numpy.save(sys.argv[2], file["x"][:])
    known = "n1store", "n1store.errors", "n1store.version"  # what its codecs need
    beyond = [name for name in sys.modules if name.startswith("n1store")
              and name not in known and not name.startswith("n1store.codecs")]
    assert not beyond, beyond
"""


def run_without_n1store(tmp_path, command, plugins=hdf5.PLUGIN_FOLDER):
    environment = {key: value for key, value in os.environ.items() if "PYTHON" not in key}
    environment["HDF5_PLUGIN_PATH"] = str(plugins)
    environment["N1STORE_NO_HDF5_PLUGINS"] = "1"
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=300)


class PluginInfo(ctypes.Structure):
    """H5Z_class2_t."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("id", ctypes.c_int),
        ("encoder_present", ctypes.c_uint),
        ("decoder_present", ctypes.c_uint),
        ("name", ctypes.c_char_p),
        ("can_apply", ctypes.c_void_p),
        ("set_local", ctypes.c_void_p),
        (
            "filter",
            ctypes.CFUNCTYPE(
                ctypes.c_size_t,
                ctypes.c_uint,
                ctypes.c_size_t,
                ctypes.POINTER(ctypes.c_uint),
                ctypes.c_size_t,
                ctypes.POINTER(ctypes.c_size_t),
                ctypes.POINTER(ctypes.c_void_p),
            ),
        ),
    )


class Filter:
    """The filter called as HDF5 calls it, with a buffer of malloc."""

    REVERSE, OPTIONAL = 0x100, 1

    def __init__(self, name="n1"):
        plugin = ctypes.CDLL(str(hdf5.plugins()[name]))
        plugin.H5PLget_plugin_info.restype = ctypes.POINTER(PluginInfo)
        self.info = plugin.H5PLget_plugin_info().contents
        self._libc = ctypes.CDLL(None)
        self._libc.malloc.restype = ctypes.c_void_p
        self._libc.malloc.argtypes = [ctypes.c_size_t]
        self._libc.free.argtypes = [ctypes.c_void_p]

    def __call__(self, flags, values, content):
        """Return the result, or None where the filter says 0 and has left all as it was."""
        room = len(content) + 100
        size, buffer = ctypes.c_size_t(room), ctypes.c_void_p(self._libc.malloc(room))
        ctypes.memmove(buffer, content, len(content))
        before = buffer.value
        array = (ctypes.c_uint * max(1, len(values)))(*values)
        count = self.info.filter(flags, len(values), array, len(content), size, buffer)
        try:
            if count:
                assert size.value >= count
                return ctypes.string_at(buffer, count)
            assert (buffer.value, size.value) == (before, room)
            assert ctypes.string_at(buffer, len(content)) == content
            return None
        finally:
            self._libc.free(buffer)
