"""LZ4 by its slower encoder, which finds longer matches; any decoder of LZ4 reads it."""

from __future__ import annotations

from typing import Any

import lz4.block
from numcodecs.lz4 import decompress

from n1store.codecs.base import Array
from n1store.codecs.library.base import LibraryCodec
from n1store.codecs.library.hdf5_lz4 import HDF5LZ4

LEVELS = range(3, 13)


class LZ4HC(LibraryCodec):
    """LZ4 in blocks with their size in front, as numcodecs' codec `lz4` reads them.

    Parameters
    ----------
    level : int
        3 is fast, 9 the default, 12 the smallest. Decoding does not depend on it.

    Raises
    ------
    N1StoreError
        If there is no such level.
    """

    codec_id = "n1store.lz4hc"
    levels = LEVELS

    def __init__(self, level: int = 9):
        super().__init__(level)

    def _compress(self, content: memoryview) -> bytes:
        return _compress(content, self.level)

    def _decompress(self, payload: memoryview) -> bytes:
        content: bytes = decompress(payload)
        return content


class HDF5LZ4HC(HDF5LZ4):
    """The same as HDF5's registered filter 32004 frames it.

    Parameters
    ----------
    level : int
        As that of `LZ4HC`.
    """

    codec_id = "n1store.hdf5_lz4hc"

    def __init__(self, level: int = 9):
        self.level = LZ4HC(level).level

    def _compress(self, block: Array) -> bytes:
        return _compress(block, self.level)


def _compress(content: Any, level: int) -> bytes:
    payload: bytes = lz4.block.compress(
        content, mode="high_compression", compression=level, store_size=True, return_bytearray=False
    )
    return payload
