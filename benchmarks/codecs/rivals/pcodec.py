"""pcodec, which finds the structure of numbers; conv1(16) is linear prediction of order 16."""

from importlib.metadata import version

import numpy as np
from pcodec import ChunkConfig, DeltaSpec, PagingSpec, standalone

from codec import Codec

VERSION = f"pcodec {version('pcodec')}"


def _codec(level: int, delta: str, spec: DeltaSpec) -> Codec:
    def encode(samples: np.ndarray) -> bytes:
        paging = PagingSpec.exact_page_sizes(_pages(len(samples)))
        config = ChunkConfig(compression_level=level, delta_spec=spec, paging_spec=paging)
        return standalone.simple_compress(samples, config)

    def decode(payload: bytes, _: tuple[int, ...]) -> np.ndarray:
        return standalone.simple_decompress(payload)

    return Codec("pcodec", f"level {level}, {delta}", encode, decode)


def _pages(num_samples: int) -> list[int]:
    """Return pages of 2^18 samples, as is the default, but none of a size that pcodec cannot take.

    In pcodec 1.1, conv1(16) panics on pages of 1 to 15 samples more than a multiple of 512.
    """
    tail = num_samples % 512
    tail = tail + 256 if 0 < tail < 16 and num_samples > 512 else 0
    full, last = divmod(num_samples - tail, 1 << 18)
    return [size for size in [1 << 18] * full + [last, tail] if size]


CODECS = [
    _codec(8, "auto", DeltaSpec.auto()),
    _codec(12, "auto", DeltaSpec.auto()),
    _codec(12, "conv1(16)", DeltaSpec.try_conv1(16)),
]
