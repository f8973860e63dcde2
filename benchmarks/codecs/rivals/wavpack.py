"""WavPack, as n1store has it."""

from importlib.metadata import PackageNotFoundError, version

import numpy as np

from codec import Codec
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError

_MIN_SAMPLES = 16


def _codec(level: int, name: str) -> Codec:
    pipeline = Pipeline.parse(f"wavpack:level={level}")

    def encode(samples: np.ndarray) -> bytes:
        if samples.size < _MIN_SAMPLES:
            # As in a store, the last sample fills up a chunk that is too short.
            samples = np.pad(samples.reshape(-1), (0, _MIN_SAMPLES - samples.size), "edge")
        return pipeline.encode(samples)

    def decode(payload: bytes, shape: tuple[int, ...]) -> np.ndarray:
        return pipeline.decode(payload, (-1,))[: np.prod(shape)].reshape(shape)

    return Codec("WavPack", name, encode, decode, max_channels=4096)


try:
    CODECS = [_codec(2, "default"), _codec(3, "high")]
    VERSION = f"wavpack-numcodecs {version('wavpack-numcodecs')}"
except (N1StoreError, PackageNotFoundError) as error:
    raise ImportError(f"wavpack-numcodecs: {error}") from error
