"""bitshuffle as HDF5's filter 32008 stores it, by the library that is part of hdf5plugin."""

from __future__ import annotations

import ctypes
import os
import struct
from functools import lru_cache
from typing import Any

import hdf5plugin
import numpy as np

from n1store.codecs.base import Array, check_settings
from n1store.codecs.library.base import LibraryCodec
from n1store.errors import N1StoreError

CNAMES = ("lz4", "zstd", "none")
LEVELS = range(23)

_HEADER = struct.Struct(">QI")  # bytes of the content and of a block
_BLOCK_HEADER = struct.Struct(">I")  # bytes that follow
_TOGETHER = 8  # samples whose bits are shuffled at once; fewer at the end stay as they are
_MAX_BLOCK = 1 << 30
_MAX_RATIO = {"lz4": 256, "zstd": 1 << 15}  # of what the compressors can reach


class Bitshuffle(LibraryCodec):
    """Bits of like weight brought together in blocks of samples, each of which is compressed.

    The library's functions are called past HDF5, of which they know nothing. They trust their
    input, so that all sizes in a payload are looked at before.

    Parameters
    ----------
    cname : str
        The compressor: lz4, zstd or none.
    clevel : int
        Of zstd alone; 0 is its default.
    typesize : int
        Bytes of a sample.
    nelems : int
        Samples of a block, a multiple of 8; 0 means as many as 8192 bytes hold.

    Raises
    ------
    N1StoreError
        If any of them is none that there is, or if hdf5plugin has no such library.
    """

    codec_id = "n1store.bitshuffle"

    def __init__(self, cname: str = "lz4", clevel: int = 3, typesize: int = 2, nelems: int = 0):
        settings = {
            "cname": (cname, CNAMES),
            "clevel": (clevel, LEVELS),
            "typesize": (typesize, range(1, 256)),
            "nelems": (nelems, range(0, _MAX_BLOCK // 256, _TOGETHER)),
        }
        check_settings(self.name, settings)
        self.cname = cname
        self.clevel = int(clevel)
        self.typesize = int(typesize)
        self.nelems = int(nelems)
        _library()

    def _compress(self, content: memoryview) -> bytes:
        data = np.frombuffer(content, "u1")
        count, rest = divmod(data.size, self.typesize)
        if rest:
            raise N1StoreError(
                f"bitshuffle takes samples of {self.typesize} bytes, not {data.size} bytes; "
                "put it in front of other codecs"
            )
        library = _library()
        block = self.nelems or library.bshuf_default_block_size(self.typesize)
        if self.cname == "none":
            shuffled = np.empty_like(data)
            _call("bshuf_bitshuffle", data, shuffled, count, self.typesize, block)
            return shuffled.tobytes()
        bound = getattr(library, f"bshuf_compress_{self.cname}_bound")
        payload = np.empty(_HEADER.size + bound(count, self.typesize, block), "u1")
        _HEADER.pack_into(payload.data, 0, data.size, block * self.typesize)
        level = (self.clevel,) if self.cname == "zstd" else ()
        blocks = payload[_HEADER.size :]
        name = f"bshuf_compress_{self.cname}"
        size = _call(name, data, blocks, count, self.typesize, block, *level)
        return payload[: _HEADER.size + size].tobytes()

    def _decompress(self, payload: memoryview) -> Array:
        data = np.frombuffer(payload, "u1")
        if self.cname == "none":
            if data.size % self.typesize:
                raise ValueError("ends within a sample")
            content = np.empty_like(data)
            count = data.size // self.typesize
            _call("bshuf_bitunshuffle", data, content, count, self.typesize, self.nelems)
            return content
        size, block_size = self._sizes(payload)
        content = np.empty(size, "u1")
        blocks = data[_HEADER.size :]
        counts = size // self.typesize, self.typesize, block_size // self.typesize
        if _call(f"bshuf_decompress_{self.cname}", blocks, content, *counts) != blocks.size:
            raise ValueError("a block of another size")
        return content

    def _sizes(self, payload: memoryview) -> tuple[int, int]:
        """Return the bytes of the content and of a block, if the payload can be of these."""
        size, block_size = _HEADER.unpack_from(payload)
        unit = _TOGETHER * self.typesize
        if (
            size > _MAX_RATIO[self.cname] * len(payload)
            or size % self.typesize
            or not 0 < block_size <= _MAX_BLOCK
            or block_size % unit
        ):
            raise ValueError("no such sizes")
        position = _HEADER.size
        in_blocks = size - size % unit
        for _ in range(0, in_blocks, block_size):
            (encoded_size,) = _BLOCK_HEADER.unpack_from(payload, position)
            position += _BLOCK_HEADER.size + encoded_size
            if encoded_size > 2 * _MAX_BLOCK - 1:  # which the library takes as negative
                raise ValueError("no such block")
        if position + size - in_blocks != len(payload):
            raise ValueError("its blocks have another size")
        return size, block_size


def _call(name: str, source: Array, target: Array, *numbers: int) -> int:
    """Return how many bytes a function of the library worked on; it lets other threads run."""
    result: int = getattr(_library(), name)(source.ctypes.data, target.ctypes.data, *numbers)
    if result < 0:
        raise N1StoreError(f"bitshuffle gives up with error {result}")
    return result


@lru_cache
def _library() -> ctypes.CDLL:
    path = os.path.join(hdf5plugin.PLUGIN_PATH, "libh5bshuf.so")
    counts = 3 * [ctypes.c_size_t]  # samples, bytes of a sample, samples of a block
    buffers = 2 * [ctypes.c_void_p]
    try:
        library = ctypes.CDLL(path)
        for name, arguments, result in (
            ("default_block_size", counts[:1], ctypes.c_size_t),
            ("bitshuffle", buffers + counts, ctypes.c_int64),
            ("bitunshuffle", buffers + counts, ctypes.c_int64),
            ("compress_lz4_bound", counts, ctypes.c_size_t),
            ("compress_lz4", buffers + counts, ctypes.c_int64),
            ("decompress_lz4", buffers + counts, ctypes.c_int64),
            ("compress_zstd_bound", counts, ctypes.c_size_t),
            ("compress_zstd", [*buffers, *counts, ctypes.c_int], ctypes.c_int64),
            ("decompress_zstd", buffers + counts, ctypes.c_int64),
        ):
            function: Any = getattr(library, f"bshuf_{name}")
            function.argtypes, function.restype = arguments, result
    except (OSError, AttributeError) as error:
        raise N1StoreError(
            f"codec bitshuffle needs the library of hdf5plugin ({error}): "
            "pip install --upgrade hdf5plugin"
        ) from error
    return library
