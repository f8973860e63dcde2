"""How an array is cut into chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

DTYPE = np.dtype("<i2")


@dataclass(frozen=True)
class Grid:
    """How an array is cut into chunks.

    Attributes
    ----------
    shape : tuple of int
        (num_samples, num_channels) of the array.
    chunk_shape : tuple of int
        The same of a chunk; those at the end are padded to it.
    chunks_per_shard : int
        How many chunks in time, each time with all channels, share a file; 0: each has its own.
    """

    shape: tuple[int, int]
    chunk_shape: tuple[int, int]
    chunks_per_shard: int = 0

    @property
    def counts(self) -> tuple[int, int]:
        """Chunks in time and across channels."""
        samples, channels = (
            -(-length // chunk) for length, chunk in zip(self.shape, self.chunk_shape, strict=True)
        )
        return samples, channels

    def indices(self) -> Iterator[tuple[int, int]]:
        """Walk over the chunks in C order, in which they are written and numbered."""
        samples, channels = self.counts
        return ((sample, channel) for sample in range(samples) for channel in range(channels))

    def region(self, index: tuple[int, int]) -> tuple[slice, slice]:
        """Return the part of the array that a chunk holds."""
        samples, channels = (
            slice(position * chunk, min((position + 1) * chunk, length))
            for position, chunk, length in zip(index, self.chunk_shape, self.shape, strict=True)
        )
        return samples, channels

    def raw_bytes(self, index: tuple[int, int]) -> int:
        """Return how many bytes of samples a chunk holds, without padding."""
        samples, channels = self.region(index)
        count = (samples.stop - samples.start) * (channels.stop - channels.start)
        return DTYPE.itemsize * count
