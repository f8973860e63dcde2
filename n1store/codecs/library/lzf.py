"""LZF as HDF5's filter 32000 stores it, by the liblzf that is part of h5py."""

from __future__ import annotations

import ctypes
import os
from ctypes.util import find_library
from functools import lru_cache
from typing import Any

import numpy as np

from n1store.codecs.base import Array
from n1store.codecs.library.base import LibraryCodec
from n1store.errors import N1StoreError


class LZF(LibraryCodec):
    """LZF; a payload is one stream of liblzf, which knows neither its size nor that of its content.

    A chunk that does not become smaller is stored in longer pieces than it has, so that a payload
    is a stream in any case.

    Raises
    ------
    N1StoreError
        If there is no liblzf.
    """

    codec_id = "n1store.lzf"

    def __init__(self) -> None:
        _library()

    def _compress(self, content: memoryview) -> bytes:
        data = np.frombuffer(content, "u1")
        if not data.size:
            return b""
        # Up to 32 bytes as they are, after one that says how many; liblzf wants a little more.
        room = data.size + data.size // 16 + 64
        if room > _MAX_BYTES:
            raise N1StoreError(f"LZF takes chunks of less than 4 GB, not of {data.size} bytes")
        payload = np.empty(room, "u1")
        size = _library().lzf_compress(
            data.ctypes.data, data.size, payload.ctypes.data, payload.size
        )
        if not size:
            raise N1StoreError(f"LZF cannot encode a chunk of {data.size} bytes")
        return payload[:size].tobytes()

    def _decompress(self, payload: memoryview) -> bytes | Array:
        data = np.frombuffer(payload, "u1")
        most = min(_MAX_RATIO * data.size, _MAX_BYTES)
        room = min(4 * data.size, most)
        while room:
            content = np.empty(room, "u1")
            size = _library().lzf_decompress(data.ctypes.data, data.size, content.ctypes.data, room)
            if size:
                return content[:size]
            if ctypes.get_errno() != _TOO_BIG or room == most:
                raise ValueError("no such stream")
            room = min(4 * room, most)
        return b""


_MAX_BYTES = (1 << 32) - 1  # liblzf counts in unsigned int
_TOO_BIG = 7  # errno E2BIG
_MAX_RATIO = 88  # 3 bytes stand for 264


@lru_cache
def _library() -> ctypes.CDLL:
    import h5py.h5z

    # A system's h5py may use a system's liblzf.
    for name in (h5py.h5z.__file__, find_library("lzf")):
        library = ctypes.CDLL(os.fspath(name), use_errno=True) if name else None
        if library is not None and hasattr(library, "lzf_decompress"):
            for function in ("lzf_compress", "lzf_decompress"):
                bound: Any = getattr(library, function)
                bound.argtypes, bound.restype = 2 * [ctypes.c_void_p, ctypes.c_uint], ctypes.c_uint
            return library
    raise N1StoreError("codec lzf needs liblzf: apt-get install liblzf1")
