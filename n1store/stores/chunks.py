"""A chunk of samples as it is stored, decoded as a whole or in parts."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from numcodecs.abc import Codec

from n1store.codecs import native
from n1store.codecs.n1 import N1
from n1store.errors import N1StoreError
from n1store.recording import Positions, Samples
from n1store.stores.grid import DTYPE

Columns = Positions
"""Channels of a chunk, ascending."""


class Chunk(ABC):
    """A chunk of int16, of shape (num_samples, num_channels), for one request for samples of it.

    Nothing is read of it before `fetch` is called.
    """

    @abstractmethod
    def num_bytes(self, columns: Columns) -> int:
        """Return how many bytes of samples are decoded at most where these channels are wanted."""

    @abstractmethod
    def fetch(self, rows: range, columns: Columns) -> range:
        """Read what is stored of samples; return those that are decoded anyway for them."""

    @abstractmethod
    def pieces(self, rows: range, columns: Columns, count: int) -> list[tuple[range, slice]]:
        """Cut what was fetched into pieces that cost no more one by one than together.

        Parameters
        ----------
        rows : range
            Those that were fetched, or that are decoded anyway for them.
        columns : range or ndarray
            Those that were fetched.
        count : int
            How many pieces would be of use.

        Returns
        -------
        list of (range, slice)
            The samples of each, and which of `columns` it has.
        """

    @abstractmethod
    def decode(self, rows: range, columns: Columns, out: Samples) -> None:
        """Decode samples into an array of shape (len(rows), len(columns)); safe in threads."""


class WholeChunk(Chunk):
    """A chunk that is decoded as a whole, whatever is wanted.

    Parameters
    ----------
    shape : tuple of int
    decode : callable
        Reads and returns the samples, of that shape. Its argument, if not None, is an array of
        that shape, in C order, into which it may decode, and which it then returns.
    """

    def __init__(self, shape: tuple[int, int], decode: Callable[[Samples | None], Samples]):
        self._shape = shape
        self._decode = decode

    def num_bytes(self, columns: Columns) -> int:
        return DTYPE.itemsize * math.prod(self._shape)

    def fetch(self, rows: range, columns: Columns) -> range:
        return range(self._shape[0])

    def pieces(self, rows: range, columns: Columns, count: int) -> list[tuple[range, slice]]:
        return [(rows, slice(None))]

    def decode(self, rows: range, columns: Columns, out: Samples) -> None:
        is_whole = out.shape == self._shape and out.flags.c_contiguous
        samples = self._decode(out if is_whole else None)
        if samples is not out:
            picked = slice(columns.start, columns.stop) if isinstance(columns, range) else columns
            out[:] = samples[rows.start : rows.stop, picked]


Read = Callable[[int, int], bytes]
"""Returns bytes, all of them or an error, from a first one on and so many."""


class N1Chunk(Chunk):
    """A chunk that is an `n1` payload, of which only the blocks are read that are needed.

    Parameters
    ----------
    shape : tuple of int
        That the payload must have.
    codec : N1
    open_payload : callable
        Returns a context manager that gives the payload's size in bytes, and what reads it.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        codec: N1,
        open_payload: Callable[[], AbstractContextManager[tuple[int, Read]]],
    ):
        self._shape = shape
        self._codec = codec
        self._open_payload = open_payload
        self._payload: bytes | npt.NDArray[np.uint8] = b""
        self._ndim = 0
        self._block_samples = 0

    def num_bytes(self, columns: Columns) -> int:
        return DTYPE.itemsize * self._shape[0] * len(columns)

    def fetch(self, rows: range, columns: Columns) -> range:
        with self._open_payload() as (size, read):
            beginning = read(0, min(size, _BEGINNING_BYTES))
            info = native.n1_payload_info(beginning)
            if info.shape not in (self._shape, self._shape[:1]) or info.dtype != DTYPE:
                raise N1StoreError(
                    f"the payload holds {info.dtype} of shape {info.shape}, "
                    f"the chunk is int16 of shape {self._shape}"
                )
            self._ndim, self._block_samples = len(info.shape), info.block_samples or self._shape[0]
            is_all = self._channels(columns) is None and len(rows) == self._shape[0]
            if size <= len(beginning):
                self._payload = beginning
            elif is_all or not info.block_samples:
                self._payload = read(0, size)
            else:
                self._payload = self._fetch_blocks(size, read, beginning, rows, columns)
        blocks = self._blocks_of(rows)
        return range(
            blocks.start * self._block_samples,
            min(blocks.stop * self._block_samples, self._shape[0]),
        )

    def _fetch_blocks(
        self, size: int, read: Read, beginning: bytes, rows: range, columns: Columns
    ) -> bytes | npt.NDArray[np.uint8]:
        """Return an array of the payload's size with its bytes that are needed, or the payload."""
        index_size = native.n1_index_size(beginning)
        if len(beginning) < index_size:
            beginning = read(0, min(index_size, size))
        ranges = native.n1_part_ranges(beginning, rows, self._channels(columns)).tolist()
        joined: list[list[int]] = []
        for begin, end in ranges:
            if joined and begin - joined[-1][1] < _SMALL_GAP_BYTES:
                joined[-1][1] = end
            else:
                joined.append([begin, end])
        if joined[-1][1] > size or 2 * sum(end - begin for begin, end in joined) > size:
            return read(0, size)
        payload = np.empty(size, np.uint8)
        for begin, end in joined:
            payload[begin:end] = np.frombuffer(read(begin, end - begin), np.uint8)
        return payload

    def pieces(self, rows: range, columns: Columns, count: int) -> list[tuple[range, slice]]:
        in_blocks = self._blocks_of(rows)
        num_bytes = DTYPE.itemsize * len(in_blocks) * self._block_samples * len(columns)
        if count < 2 or num_bytes < LEAST_BYTES:
            return [(rows, slice(None))]
        in_time = _shared_out(in_blocks, count)
        groups = np.unique(np.asarray(columns) // native.GROUP_CHANNELS)
        by_channel = _shared_out(groups, -(-count // len(in_time)))
        pieces = []
        for blocks in in_time:
            start, stop = blocks[0] * self._block_samples, (blocks[-1] + 1) * self._block_samples
            part = range(max(rows.start, start), min(rows.stop, stop))
            for some in by_channel:
                borders = np.array([some[0], some[-1] + 1]) * native.GROUP_CHANNELS
                pieces.append((part, slice(*np.searchsorted(columns, borders).tolist())))
        return pieces

    def decode(self, rows: range, columns: Columns, out: Samples) -> None:
        native.n1_decode_part(
            self._payload,
            rows,
            self._channels(columns),
            self._codec.table_of_widths,
            out=out if self._ndim == 2 else out[:, 0],
        )

    def _channels(self, columns: Columns) -> npt.NDArray[np.uint32] | None:
        """Return columns as the core takes them: None for all."""
        if len(columns) == self._shape[1]:
            return None
        return np.ascontiguousarray(columns, np.uint32)

    def _blocks_of(self, rows: range) -> range:
        """Return the numbers of the blocks in time that rows are in."""
        return range(rows.start // self._block_samples, -(-rows.stop // self._block_samples))


LEAST_BYTES = 1 << 17
"""Of samples: to hand over less to another thread costs more than it saves."""

_BEGINNING_BYTES = 1 << 12
_SMALL_GAP_BYTES = 1 << 12


def is_n1(codecs: Sequence[Codec]) -> bool:
    """Return whether chunks of these codecs are `n1` payloads."""
    return len(codecs) == 1 and isinstance(codecs[0], N1)


def _shared_out(items: Positions, count: int) -> list[Positions]:
    """Cut items into `count` parts of about equal length, or as many as there are items."""
    count = min(count, len(items))
    borders = [len(items) * number // count for number in range(count + 1)]
    return [items[begin:end] for begin, end in pairwise(borders)]
