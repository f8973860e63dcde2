"""The bytes of HDF5's filter LZ4, 32004, as a numcodecs codec."""

import struct
from collections.abc import Iterator
from typing import Any

from numcodecs import lz4
from numcodecs.compat import ensure_bytes, ensure_contiguous_ndarray, ndarray_copy

from n1store.codecs.base import Array, OwnCodec
from n1store.errors import N1StoreError

_HEADER = struct.Struct(">QI")  # bytes of the chunk and of a block, of which the last is shorter
_BLOCK_HEADER = struct.Struct(">I")  # bytes that follow; as many as decoded: these are not encoded
_PREFIX = struct.Struct("<i")  # what numcodecs has in front of a block
_MAX_BLOCK = 1 << 30
_MAX_RATIO = 256  # LZ4 reaches 255


class HDF5LZ4(OwnCodec):
    """LZ4 as HDF5's registered filter 32004 frames it, which is not as numcodecs does.

    Parameters
    ----------
    acceleration : int
        1 makes the smallest chunks, more is faster. Decoding does not depend on it.
    """

    codec_id = "n1store.hdf5_lz4"

    def __init__(self, acceleration: int = 1):
        self.acceleration = acceleration

    def _compress(self, block: Array) -> bytes:
        """Return a block as numcodecs has it, with its size in front."""
        encoded: bytes = lz4.compress(block, self.acceleration)
        return encoded

    def encode(self, buf: Any) -> bytes:
        """Return a chunk, any contiguous buffer, as the filter stores it."""
        content = ensure_contiguous_ndarray(buf).view("u1")
        parts = [_HEADER.pack(content.size, min(content.size, _MAX_BLOCK))]
        for start in range(0, content.size, _MAX_BLOCK):
            block = content[start : start + _MAX_BLOCK]
            encoded = self._compress(block)[_PREFIX.size :]
            if len(encoded) >= block.size:
                encoded = block.tobytes()
            parts += [_BLOCK_HEADER.pack(len(encoded)), encoded]
        return b"".join(parts)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the bytes of a chunk; N1StoreError if they are damaged."""
        payload = ensure_bytes(buf)
        try:
            return ndarray_copy(b"".join(_blocks(payload)), out)
        except (struct.error, RuntimeError) as error:
            raise N1StoreError("the LZ4 chunk is damaged") from error


def _blocks(payload: bytes) -> Iterator[bytes]:
    total, block_size = _HEADER.unpack_from(payload)
    if total > _MAX_RATIO * len(payload) or (total and not 0 < block_size <= _MAX_BLOCK):
        raise struct.error("no such sizes")
    position = _HEADER.size
    for start in range(0, total, block_size or 1):
        size = min(block_size, total - start)
        (encoded_size,) = _BLOCK_HEADER.unpack_from(payload, position)
        position += _BLOCK_HEADER.size
        encoded = payload[position : position + encoded_size]
        position += encoded_size
        if len(encoded) != encoded_size:
            raise struct.error("ends early")
        block = encoded if encoded_size == size else lz4.decompress(_PREFIX.pack(size) + encoded)
        if len(block) != size:
            raise struct.error("a block of another size")
        yield block
