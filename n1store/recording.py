"""Recording: what flows through n1store, whether from a WAV file or from a store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from n1store.errors import N1StoreError, one_line

Samples = npt.NDArray[np.int16]
"""Samples in memory, of shape (num_samples, num_channels) where nothing else is said."""


class Traces(Protocol):
    """Samples of shape (num_samples, num_channels) that are read when they are asked for."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of samples of each channel, and number of channels."""

    def __getitem__(self, key: Any, /) -> Samples:
        """Read ``[samples]`` or ``[samples, channels]``, each indexed as in an ndarray."""


@dataclass(frozen=True, eq=False)
class Recording:
    """One recording, whose samples are read only when they are asked for.

    Attributes
    ----------
    name : str
    traces : Traces
        ``traces[a:b, channels]`` reads that window and returns an ndarray of int16.
    sampling_frequency : float
        Hz.
    channel_ids : tuple of str
    attributes : mapping
        What else the store keeps of it: checksums, source files and their headers.
    """

    name: str
    traces: Traces
    sampling_frequency: float
    channel_ids: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def num_samples(self) -> int:
        """Samples of each channel."""
        return self.traces.shape[0]

    @property
    def num_channels(self) -> int:
        """Number of channels."""
        return self.traces.shape[1]

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.num_samples / self.sampling_frequency

    def read(self, start: int, stop: int, channels: slice = slice(None)) -> Samples:
        """Read samples `start` to `stop` of the channels, as ``traces[start:stop, channels]``.

        Raises
        ------
        N1StoreError
            If that fails, whatever the library that reads them calls it.
        """
        try:
            return self.traces[start:stop, channels]
        except Exception as error:
            raise N1StoreError(
                f"recording {self.name} cannot be read from {start} to {stop}: {one_line(error)}"
            ) from error
