"""What every kind of store offers to those who read it, and to those who write one."""

from __future__ import annotations

import json
import math
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numcodecs.abc import Codec

from n1store.codecs.pipeline import Pipeline
from n1store.display import MOST_ROWS, Displayed
from n1store.errors import N1StoreError, counted, one_line
from n1store.recording import LazyTraces, Positions, Recording, Samples, Traces
from n1store.session.session import Session
from n1store.stores.grid import Grid
from n1store.stores.traces import ChunkedTraces


class StoredArray(ABC):
    """A recording's array as it is stored, without decoding any chunk.

    Attributes
    ----------
    path : str
        Where it is in the store.
    grid : Grid
    is_chunked : bool
        Whether it lies in the chunks of `grid`; otherwise they are only how it is read.
    attributes : dict
        What is known of the recording; at least ``sampling_frequency`` and ``channel_ids``.
    """

    path: str
    grid: Grid
    is_chunked: bool = True
    attributes: dict[str, Any]

    @property
    @abstractmethod
    def codecs(self) -> list[Codec] | None:
        """The codecs of a chunk, in the order in which they encode; None if they are unknown."""

    @abstractmethod
    def payload(self, index: tuple[int, int]) -> bytes | None:
        """Return a chunk as stored; None if its codecs are others, KeyError if it is missing."""

    @abstractmethod
    def stored_bytes(self) -> Iterator[int]:
        """Yield the size of each chunk as stored, in C order; 0 for one that is missing."""

    def scale_to_uv(self) -> tuple[list[float], list[float]] | None:
        """Return the channels' gains and offsets to microvolts; None if they are unknown."""
        if not self.attributes.keys() >= SCALE:
            return None
        return self.attributes["gain_to_uV"], self.attributes["offset_to_uV"]

    @abstractmethod
    def traces(self) -> ChunkedTraces | None:
        """Return the samples, read on all cores; None where only the library can read them."""


class Store(Displayed, Mapping[str, Recording]):
    """A store as a mapping from names to `Recording`. Use as a context manager.

    Attributes
    ----------
    path : Path
    follow_links : bool
        Whether what links in it lead to is read; see `n1store.open`.
    attributes : dict
        What is kept of the store as a whole: ``codec``, ``recordings``, the paths of arrays by
        name, and in a store that n1store wrote its ``version``, the ``layout`` and the packages
        that ``readers_need``.
    left_out : list of str
        A line for each recording in it that n1store does not read.
    no_recordings : list of str
        A line for each thing in it that looks like a recording, and is none.
    library : str
        What reads such stores without n1store.
    """

    path: Path
    follow_links: bool
    attributes: dict[str, Any]
    left_out: list[str]
    no_recordings: list[str]
    library: str

    @abstractmethod
    def array(self, name: str) -> StoredArray:
        """Return a recording's array; N1StoreError if it is damaged."""

    @abstractmethod
    def session(self) -> tuple[Session | None, list[str]]:
        """Return what NWB says of the recordings, and a line for each part that is left out.

        Raises
        ------
        N1StoreError
            If it is damaged.
        """

    @abstractmethod
    def total_bytes(self) -> int:
        """Return the bytes of all files of the store."""

    @abstractmethod
    def faults(self) -> Iterator[str]:
        """Yield a line for each thing that n1store wrote and that is so no more, but samples."""

    @abstractmethod
    def check_unchanged(self) -> None:
        """Raise N1StoreError if it is not the one any more that was opened, and that shows."""

    @abstractmethod
    def close(self) -> None:
        """Close the store's files."""

    @abstractmethod
    def _open_array(self, path: str) -> Any:
        """Return an array as the library opens it."""

    def require_recordings(self) -> None:
        """Raise N1StoreError if there are none."""
        if not len(self):
            lines = "; ".join(self.left_out + self.no_recordings)
            why = f"; left out: {lines}" if lines else ""
            raise N1StoreError(f"{self.path}: holds no recordings{why}")

    def library_array(self, name: str) -> Any:
        """Return a recording's samples as the library itself opens them."""
        try:
            return self._open_array(self.attributes["recordings"][name])
        except N1StoreError:
            raise
        except Exception as error:  # whatever the library makes of damaged metadata
            raise N1StoreError(
                f"{self.path}: recording {name} cannot be opened: {one_line(error)}"
            ) from error

    def __getitem__(self, name: str) -> Recording:
        array = self.array(name)
        traces: ChunkedTraces | _LibraryTraces | None = array.traces()
        if traces is None:
            traces = _LibraryTraces(f"{self.path}: recording {name}", self.library_array(name))
        traces.origin = _traces_of, (*self._how_to_open(), name)
        gains, offsets = array.scale_to_uv() or (None, None)
        return Recording(
            name=name,
            traces=traces,
            sampling_frequency=array.attributes["sampling_frequency"],
            channel_ids=tuple(array.attributes["channel_ids"]),
            attributes=array.attributes,
            gain_to_uV=None if gains is None else np.array(gains, float),
            offset_to_uV=None if offsets is None else np.array(offsets, float),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.attributes["recordings"])

    def __len__(self) -> int:
        return len(self.attributes["recordings"])

    def _headline(self) -> str:
        return f"{self.path}: {counted(len(self), 'recording')}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = [
            self._row(name) if number < MOST_ROWS else [name] for number, name in enumerate(self)
        ]
        return ["recording", "samples", "channels", "Hz", "seconds"], rows

    def _row(self, name: str) -> list[str]:
        try:
            array = self.array(name)
        except N1StoreError as error:
            return [name, str(error)]
        (length, channels), rate = array.grid.shape, array.attributes["sampling_frequency"]
        return [name, str(length), str(channels), f"{rate:g}", f"{length / rate:.3f}"]

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, self._how_to_open()

    def _how_to_open(self) -> tuple[type[Store], Path, bool]:
        """Return what another process opens it with, whatever folder that works in."""
        return type(self), self.path.absolute(), self.follow_links

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _LibraryTraces(LazyTraces):
    """Samples as the library reads them, whose errors are ours and name the recording."""

    origin: tuple[Callable[..., Traces], tuple[Any, ...]]

    def __init__(self, label: str, array: Any):
        self._label = label
        self._array = array
        self.shape = array.shape
        self.chunks = array.chunks

    def __reduce__(self) -> tuple[Any, ...]:
        return self.origin

    def _read(self, rows: Positions, columns: Positions) -> Samples:
        key = tuple(
            slice(part.start, part.stop) if isinstance(part, range) else part
            for part in (rows, columns)
        )
        try:
            samples: Samples = self._array.oindex[key]
        except Exception as error:  # whatever the library makes of damaged metadata or chunks
            raise N1StoreError(f"{self._label} cannot be read: {one_line(error)}") from error
        return samples


def _opened(kind: Any, path: Path, follow_links: bool) -> Store:
    store: Store = kind(path, follow_links=follow_links)
    return store


@lru_cache(maxsize=16)
def _opened_once(kind: Any, path: Path, follow_links: bool) -> Store:
    """Open a store for traces, of which there may be thousands that come to this process."""
    return _opened(kind, path, follow_links)


def _traces_of(kind: Any, path: Path, follow_links: bool, name: str) -> Traces:
    return _opened_once(kind, path, follow_links)[name].traces


class ArrayWriter(ABC):
    """Writes one array: its chunks, which come encoded and in C order, and then what it is."""

    @abstractmethod
    def write(self, payload: bytes) -> None:
        """Store the next chunk."""

    @abstractmethod
    def finish(self, attributes: dict[str, Any]) -> None:
        """Make the chunks, of which none is missing, an array with these attributes."""

    @abstractmethod
    def discard(self) -> None:
        """Give the array up; nothing of it stays."""


class StoreWriter(AbstractContextManager["StoreWriter", None]):
    """Writes a store's arrays, one after the other, and then what makes them a store.

    Use as a context manager, at whose end all is written to the files.

    Attributes
    ----------
    unknown : list of str
        What such stores say of their recordings, but this one cannot, as nobody has said it; known
        when it is finished.
    """

    unknown: Sequence[str] = ()

    @abstractmethod
    def create_array(self, path: str, grid: Grid, pipeline: Pipeline) -> ArrayWriter:
        """Begin an array; the one before must have been finished or discarded."""

    @abstractmethod
    def finish(self, layout: str, recordings: dict[str, str], pipeline: Pipeline) -> None:
        """Make the arrays, which are of this pipeline, a store.

        Parameters
        ----------
        layout : str
        recordings : dict of str
            The paths of arrays by the names of recordings.
        pipeline : Pipeline
        """


class Destination(AbstractContextManager["Destination", None]):
    """Where a store is to appear, complete or not at all.

    Use as a context manager: at its end, what was not published is removed.

    Attributes
    ----------
    path : Path
    group : str
        Where in the store arrays are.
    checksum : str
        The stage that every pipeline ends with which has no checksum of its own.
    chunk_seconds : float or None
        Length of a chunk where nothing else is said; None for what takes 10 MB.
    shard_seconds : float or None
        How much one file holds; 0 if each chunk has its own, or all are in one; None for 64
        chunks.
    """

    path: Path
    group: str
    checksum: str
    chunk_seconds: float | None
    shard_seconds: float | None

    @abstractmethod
    def prepare(self, pipeline: Pipeline) -> Pipeline:
        """Return the pipeline that gives the bytes to store; N1StoreError if there is none."""

    @abstractmethod
    def create(self, session: Session | None) -> StoreWriter:
        """Begin to write the store, of whose recordings the session says more.

        Raises
        ------
        N1StoreError
            If it exists and is not to be overwritten, cannot be written, or cannot keep what is
            said.
        """

    @abstractmethod
    def publish(self) -> None:
        """Let the store, whose writer has ended, appear at its path."""


MOST_BYTES = 64 << 20
"""Of a file, or a dataset, of anything but samples; the largest stores have a few MB."""


def check_small(place: str, content: bytes) -> bytes:
    """Return what is to be written there; N1StoreError if it would not be read again."""
    if len(content) > MOST_BYTES:
        raise N1StoreError(
            f"{place}: would hold {len(content)} bytes, of which no more than "
            f"{MOST_BYTES >> 20} MiB are read; convert fewer recordings, or into longer chunks"
        )
    return content


def parse_json(content: bytes) -> Any:
    """Return what JSON from a file says; ValueError also for what is nested without end."""
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        if "digits" not in str(error):
            raise
        raise ValueError("one of its numbers has too many digits") from None


def check(grid: Grid, attributes: dict[str, Any]) -> None:
    """Raise ValueError if a grid or attributes were read that n1store does not write."""
    lengths = (*grid.shape, *grid.chunk_shape)
    require(
        len(grid.shape) == len(grid.chunk_shape) == 2
        and all(type(length) is int and length >= 0 for length in lengths)
        and min(*grid.chunk_shape, grid.shape[1]) > 0,
        "shape and chunks are not those of samples and channels",
    )
    rate, channel_ids = attributes["sampling_frequency"], attributes["channel_ids"]
    require(
        isinstance(rate, float | int) and 0 < rate <= sys.float_info.max,
        "sampling_frequency is not a positive number",
    )
    require(
        len(channel_ids) == grid.shape[1] and all(isinstance(name, str) for name in channel_ids),
        "channel_ids does not name the channels",
    )
    crcs = attributes["chunk_crc32"]
    require(
        len(crcs) == 8 * math.prod(grid.counts) and bool(re.fullmatch("[0-9a-f]*", crcs)),
        "chunk_crc32 has not one checksum for each chunk",
    )
    require(isinstance(attributes.get("lossy", ""), str), "lossy does not name a codec")
    for name in SCALE & attributes.keys():
        require(
            is_of_channels(attributes[name], grid.shape[1]),
            f"{name} is not a number of each channel",
        )
    # That of one whole file says all of its samples.
    is_file = isinstance(attributes["sources"], list) and len(attributes["sources"]) == 1
    checksum = attributes.get("samples_sha256", "" if is_file else None)
    require(isinstance(checksum, str), "samples_sha256 is no checksum")


SCALE = {"gain_to_uV", "offset_to_uV"}


def is_of_channels(values: Any, num_channels: int) -> bool:
    """Return whether these are a finite number for each channel."""
    is_list = isinstance(values, list) and len(values) == num_channels
    return is_list and all(
        isinstance(value, float | int) and math.isfinite(value) for value in values
    )


def require(condition: bool, otherwise: str) -> None:
    """Raise ValueError with these words unless the condition holds."""
    if not condition:
        raise ValueError(otherwise)
