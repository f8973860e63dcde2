"""General codecs of numcodecs: Blosc, bzip2 and Zstandard."""

from importlib.metadata import version
from typing import Any

import numpy as np
from numcodecs import BZ2, Blosc, Delta, Zstd, blosc
from numcodecs.abc import Codec as NumcodecsCodec

from codec import Codec

VERSION = f"numcodecs {version('numcodecs')}"

# They take bytes, so any number of channels.
MAX_CHANNELS = 1 << 16

blosc.use_threads = False


def _codec(name: str, parameters: str, *stages: NumcodecsCodec, slow: bool = False) -> Codec:
    def encode(samples: np.ndarray) -> bytes:
        encoded: Any = samples
        for stage in stages:
            encoded = stage.encode(encoded)
        return encoded

    def decode(payload: bytes, shape: tuple[int, ...]) -> np.ndarray:
        decoded: Any = payload
        for stage in reversed(stages):
            decoded = stage.decode(decoded)
        return np.frombuffer(decoded, "<i2").reshape(shape)

    return Codec(name, parameters, encode, decode, MAX_CHANNELS, slow)


def _blosc(block_kib: int) -> Blosc:
    # The best sizes of blocks for N1 recordings. Left to itself, Blosc can make one block of a
    # chunk, and it does not shuffle a block whose samples are not a multiple of eight.
    return Blosc("zstd", 5, Blosc.BITSHUFFLE, blocksize=block_kib << 10)


CODECS = [
    _codec("Blosc", "zstd 5, bitshuffle, 64 KiB", _blosc(64)),
    _codec("Blosc", "delta, zstd 5, bitshuffle, 16 KiB", Delta("<i2"), _blosc(16)),
    _codec("bz2", "level 9", BZ2(9)),
    _codec("zstd", "level 3", Zstd(3)),
    _codec("zstd", "level 22", Zstd(22), slow=True),
]
