"""Recording: what flows through n1store, whether from a WAV file or from a store."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from n1store.display import Displayed
from n1store.errors import N1StoreError, counted, one_line

Samples = npt.NDArray[np.int16]
"""Samples in memory, of shape (num_samples, num_channels) where nothing else is said."""

Positions = range | npt.NDArray[np.intp]
"""Places on an axis, ascending: all from one to another, or some."""


class Traces(Protocol):
    """Samples of shape (num_samples, num_channels) that are read when they are asked for."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of samples of each channel, and number of channels."""

    def __getitem__(self, key: Any, /) -> Samples:
        """Read ``[samples]`` or ``[samples, channels]``, each indexed as in an ndarray."""


class LazyTraces(ABC):
    """Samples as an array of shape (num_samples, num_channels), of which windows are read.

    Attributes
    ----------
    shape : tuple of int
    """

    dtype = np.dtype("<i2")
    ndim = 2
    shape: tuple[int, int]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of int16, {self.shape[0]} x {self.shape[1]}>"

    @abstractmethod
    def _read(self, rows: Positions, columns: Positions) -> Samples:
        """Read some samples of some channels, which there are, into a new array."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Samples:
        """Read ``[samples]`` or ``[samples, channels]``, each indexed as in an ndarray.

        Lists and masks select along their own axis, as ``numpy.ix_`` has it.
        """
        samples, *channels = _without_ellipsis(key)
        if len(channels) > 1:
            raise IndexError("traces have two axes, time and channel")
        rows, in_rows = _positions(samples, self.shape[0])
        columns, in_columns = _positions(channels[0] if channels else slice(None), self.shape[1])
        return self._read(rows, columns)[in_rows][..., in_columns]

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("samples are read into an array of their own, which is a copy")
        return self[:].astype(dtype or self.dtype, copy=False)


_MOST_CHANNELS = 8


@dataclass(frozen=True, eq=False, repr=False)
class Recording(Displayed):
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
    gain_to_uV, offset_to_uV : ndarray of float64, shape (num_channels,), or None
        A sample times its channel's gain, plus its offset, is in microvolts; None if that is
        unknown.
    """

    name: str
    traces: Traces
    sampling_frequency: float
    channel_ids: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    gain_to_uV: npt.NDArray[np.float64] | None = None  # noqa: N815 - as SpikeInterface calls it
    offset_to_uV: npt.NDArray[np.float64] | None = None  # noqa: N815

    def _headline(self) -> str:
        return (
            f"{self.name}: {self.num_samples} samples of {counted(self.num_channels, 'channel')}, "
            f"{self.duration:.3f} s at {self.sampling_frequency:g} Hz"
        )

    def _table(self) -> tuple[list[str], list[list[str]]]:
        shown = self.channel_ids[:_MOST_CHANNELS]
        more = ["…"] if len(self.channel_ids) > len(shown) else []
        return [], [
            ["shape", f"({self.num_samples}, {self.num_channels})"],
            ["duration", f"{self.duration:.3f} s"],
            ["sampling frequency", f"{self.sampling_frequency:g} Hz"],
            ["channels", ", ".join([*shown, *more])],
            ["gain to µV", self._gain_in_words()],
        ]

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

    def _gain_in_words(self) -> str:
        if self.gain_to_uV is None:
            return "unknown"
        gains = np.unique(self.gain_to_uV)
        return f"{gains[0]:g}" if len(gains) == 1 else f"{gains[0]:g} to {gains[-1]:g}"

    def seconds(self, start: float, stop: float | None = None) -> slice:
        """Return the samples of a window in time, to index `traces` with.

        Parameters
        ----------
        start, stop : float
            In seconds from the first sample; by default up to the last. As with any slice, what is
            behind the last sample is left out.

        Raises
        ------
        ValueError
            If the window begins before the first sample, or ends before it begins.

        Examples
        --------
        >>> recording.traces[recording.seconds(1.5, 2), [0, 3]]  # doctest: +SKIP
        """
        if not 0 <= start < math.inf or not (stop is None or start <= stop):
            raise ValueError(f"there is no window from {start} to {stop} s")
        last = self.duration if stop is None else min(stop, self.duration)
        return slice(*(round(time * self.sampling_frequency) for time in (start, last)))

    def traces_uV(  # noqa: N802 - as gain_to_uV
        self, samples: Any = slice(None), channels: Any = slice(None)
    ) -> npt.NDArray[np.float32]:
        """Read a window in microvolts.

        Parameters
        ----------
        samples, channels : optional
            As `traces` is indexed, such as ``slice(100, 200)`` or what `seconds` gives; by default
            all.

        Returns
        -------
        ndarray of float32
            Of the shape of ``traces[samples, channels]``.

        Raises
        ------
        N1StoreError
            If the gain is unknown.

        Examples
        --------
        >>> recording.traces_uV(recording.seconds(1.5, 2), [0, 3])  # doctest: +SKIP
        """
        if self.gain_to_uV is None or self.offset_to_uV is None:
            raise N1StoreError(
                f"recording {self.name}: its gain is unknown, and with it microvolts; it can be "
                "given where a recording is converted"
            )
        window = self.traces[samples, channels].astype(np.float32)
        window *= self.gain_to_uV[channels].astype(np.float32)
        window += self.offset_to_uV[channels].astype(np.float32)
        return window

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


def _without_ellipsis(key: Any) -> tuple[Any, ...]:
    keys = key if isinstance(key, tuple) else (key,)
    if not any(part is Ellipsis for part in keys):
        return keys or (slice(None),)
    position = next(number for number, part in enumerate(keys) if part is Ellipsis)
    filled = (slice(None),) * (3 - len(keys))
    return keys[:position] + filled + keys[position + 1 :] or (slice(None),)


def _positions(key: Any, length: int) -> tuple[Positions, slice | int | npt.NDArray[np.intp]]:
    """Return the places that `key` touches, and what picks its elements out of these."""
    if isinstance(key, slice):
        wanted = range(length)[key]
        if not wanted:
            return range(0), slice(None)
        ascending = wanted if wanted.step > 0 else wanted[::-1]
        back = slice(None, None, 1 if wanted.step > 0 else -1)
        if ascending.step == 1:
            return ascending, back
        return np.arange(ascending.start, ascending.stop, ascending.step), back
    if np.ndim(key) == 0 and np.asarray(key).dtype.kind in "iu":
        if not -length <= key < length:
            raise IndexError(f"there is no {int(key)} on an axis of length {length}")
        index = int(key) % length
        return range(index, index + 1), 0
    if np.ndim(key) != 1:
        raise IndexError("an axis is indexed by an integer, a slice, a list or a mask")
    chosen = np.arange(length)[np.asarray(key) if len(key) else np.empty(0, int)]
    if not chosen.size:
        return range(0), chosen
    places, elements = np.unique(chosen, return_inverse=True)
    if places[-1] - places[0] + 1 == len(places):
        return range(int(places[0]), int(places[-1]) + 1), elements
    return places, elements
