"""bzip3, by the package bzip3."""

from __future__ import annotations

import struct
from typing import Any

from bz3.backends import BZ3Compressor, BZ3Decompressor, bound

from n1store.codecs.library.base import LibraryCodec

_MAGIC = b"BZ3v1"
_HEAD = struct.Struct("<5sI")  # and the size of blocks, but for the last one
_BLOCK = struct.Struct("<II")  # bytes that follow, and bytes that they hold
_MIN_BLOCK = 65 << 10
_MAX_BLOCK = 511 << 20


class Bzip3(LibraryCodec):
    """bzip3; a payload is a file of it, of one block.

    A chunk of more than 511 MiB has several blocks.
    """

    codec_id = "n1store.bzip3"

    def __init__(self) -> None:
        pass

    def _compress(self, content: memoryview) -> bytes:
        block_size = min(max(len(content), _MIN_BLOCK), _MAX_BLOCK)
        compressor: Any = BZ3Compressor(block_size)  # takes more than its types say
        payload: bytes = compressor.compress(content) + compressor.flush()
        return payload

    def _decompress(self, payload: memoryview) -> bytes:
        # The package trusts the sizes that it finds.
        magic, most = _HEAD.unpack_from(payload)
        if magic != _MAGIC:
            raise ValueError("no such file")
        block_size, position = _MIN_BLOCK, _HEAD.size
        while position < len(payload):
            size, content_size = _BLOCK.unpack_from(payload, position)
            position += _BLOCK.size + size
            if content_size > min(most, _MAX_BLOCK) or size > bound(content_size):
                raise ValueError("no such block")
            block_size = max(block_size, content_size)
        if position != len(payload):
            raise ValueError("a block of another size")
        decompressor = BZ3Decompressor()
        blocks = memoryview(payload)[_HEAD.size :]
        content: bytes = decompressor.decompress(_HEAD.pack(_MAGIC, block_size) + bytes(blocks))
        return content
