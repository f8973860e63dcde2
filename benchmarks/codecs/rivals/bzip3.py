"""bzip3: a chunk is one block of it, without the header of its files.

Its functions that take whole buffers write beyond their own memory in versions before 1.4,
hence those for blocks.
"""

import ctypes
from ctypes.util import find_library
from functools import cache

import numpy as np

from codec import Codec


def _load() -> ctypes.CDLL:
    name = find_library("bzip3")
    if name is None:
        raise ImportError("there is no libbzip3")
    library = ctypes.CDLL(name)
    library.bz3_version.restype = ctypes.c_char_p
    library.bz3_new.argtypes = [ctypes.c_int32]
    library.bz3_new.restype = ctypes.c_void_p
    library.bz3_bound.argtypes = [ctypes.c_size_t]
    library.bz3_bound.restype = ctypes.c_size_t
    library.bz3_encode_block.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32]
    library.bz3_decode_block.argtypes = [ctypes.c_void_p, ctypes.c_void_p] + (
        [ctypes.c_size_t] if _version(library) >= (1, 5) else []
    )
    library.bz3_decode_block.argtypes += [ctypes.c_int32, ctypes.c_int32]
    return library


def _version(library: ctypes.CDLL) -> tuple[int, ...]:
    return tuple(int(part) for part in library.bz3_version().decode().split(".")[:2])


_library = _load()
_TAKES_ROOM = _version(_library) >= (1, 5)

VERSION = f"bzip3 {_library.bz3_version().decode()}"


@cache
def _state(block_bytes: int) -> int:
    state = _library.bz3_new(block_bytes)
    if not state:
        raise MemoryError("bzip3 could not be started")
    return state


def _buffers(num_bytes: int) -> tuple[int, np.ndarray]:
    """Return a state, kept for chunks of about this size, and a buffer to work in."""
    block_bytes = max(65 << 10, 1 << (num_bytes - 1).bit_length())
    return _state(block_bytes), np.empty(_library.bz3_bound(block_bytes), np.uint8)


def _encode(samples: np.ndarray) -> bytes:
    state, buffer = _buffers(samples.nbytes)
    buffer[: samples.nbytes] = samples.reshape(-1).view(np.uint8)
    size = _library.bz3_encode_block(state, buffer.ctypes.data, samples.nbytes)
    if size < 0:
        raise RuntimeError(f"bzip3 cannot encode a chunk: error {size}")
    return buffer[:size].tobytes()


def _decode(payload: bytes, shape: tuple[int, ...]) -> np.ndarray:
    num_bytes = 2 * int(np.prod(shape))
    state, buffer = _buffers(num_bytes)
    buffer[: len(payload)] = np.frombuffer(payload, np.uint8)
    room = [buffer.size] if _TAKES_ROOM else []
    size = _library.bz3_decode_block(state, buffer.ctypes.data, *room, len(payload), num_bytes)
    if size != num_bytes:
        raise RuntimeError(f"bzip3 cannot decode a chunk: {size}")
    return buffer[:size].view("<i2").reshape(shape)


CODECS = [Codec("bzip3", "one block", _encode, _decode, max_channels=1 << 16, slow=True)]
