"""How an array is cut into chunks."""

from __future__ import annotations

import math
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

    def blocks(self, num_bytes: int) -> Iterator[tuple[int, int]]:
        """Cut the array, in time, into blocks of whole chunks.

        Parameters
        ----------
        num_bytes : int
            What a block of all channels has at most, if a chunk in time is not longer.

        Yields
        ------
        start, stop : int
            The samples of a block; those behind the array's end are left out.
        """
        chunk_samples, frame_bytes = self.chunk_shape[0], DTYPE.itemsize * self.shape[1]
        length = chunk_samples * max(1, num_bytes // (chunk_samples * max(frame_bytes, 1)))
        for start in range(0, self.shape[0], length):
            yield start, min(start + length, self.shape[0])

    def raw_bytes(self, index: tuple[int, int]) -> int:
        """Return how many bytes of samples a chunk holds, without padding."""
        samples, channels = self.region(index)
        count: int = (samples.stop - samples.start) * (channels.stop - channels.start)
        return DTYPE.itemsize * count


_MAX_CHUNK_CHANNELS = 64
_CHUNK_BYTES = 10e6
_CHUNKS_PER_SHARD = 64  # in time; a file for each chunk costs more than encoding it


def chunk_shape_for(
    shape: tuple[int, int],
    sampling_frequency: float,
    seconds: float | None,
    channels: int | None = None,
) -> tuple[int, int]:
    """Return the shape of chunks to cut an array into.

    Parameters
    ----------
    shape : tuple of int
        (num_samples, num_channels) of the array.
    sampling_frequency : float
        Hz.
    seconds : float or None
        Length of a chunk; None for what takes 10 MB.
    channels : int, optional
        The most channels of a chunk.
    """
    num_samples, num_channels = shape
    groups = -(-num_channels // (channels or _MAX_CHUNK_CHANNELS))
    chunk_channels = -(-num_channels // groups)
    wanted = _CHUNK_BYTES / (DTYPE.itemsize * chunk_channels)
    if seconds is not None:
        wanted = seconds * sampling_frequency
    # Blosc shuffles bits in groups of eight samples, and else silently leaves them as they are;
    # WavPack takes no fewer than 16.
    # Rounded up, so that whole seconds of a recording leave no chunk of a few samples.
    chunk_samples = 8 * max(2, math.ceil(min(wanted / 8, -(-num_samples // 8)) - 1e-6))
    return chunk_samples, chunk_channels


def chunks_per_shard_for(
    shape: tuple[int, int],
    chunk_shape: tuple[int, int],
    sampling_frequency: float,
    seconds: float | None,
) -> int:
    """Return how many chunks in time share a file of `seconds`, or of 64 chunks if that is None.

    It is 0, each chunk having a file of its own, if `seconds` is 0 or there is but one chunk.
    """
    chunks_in_time, groups = Grid(shape, chunk_shape).counts
    if seconds == 0 or chunks_in_time * groups <= 1:
        return 0
    per_shard = _CHUNKS_PER_SHARD
    if seconds is not None:
        per_shard = round(min(seconds * sampling_frequency / chunk_shape[0], chunks_in_time))
    return max(1, min(per_shard, chunks_in_time))
