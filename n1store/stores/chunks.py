"""A chunk of samples as it is stored, decoded as a whole or in parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from numcodecs.abc import Codec

from n1store.codecs import native
from n1store.codecs.n1 import N1
from n1store.errors import N1StoreError
from n1store.recording import Positions, Samples

Columns = Positions
"""Channels of a chunk, ascending."""


class Chunk(ABC):
    """A chunk of int16, of shape (num_samples, num_channels), for one request for samples of it."""

    @abstractmethod
    def around(self, rows: range) -> range:
        """Return the samples that are decoded anyway where some are wanted."""

    @abstractmethod
    def pieces(self, rows: range, columns: Columns, count: int) -> list[tuple[range, slice]]:
        """Cut what is wanted into pieces that cost no more one by one than together.

        What has to be read for that is read.

        Parameters
        ----------
        rows : range
        columns : range or ndarray
        count : int
            How many would be of use.

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
        Returns the samples, of that shape. Its argument, if not None, is an array of that shape,
        in C order, into which it may decode, and which it then returns.
    """

    def __init__(self, shape: tuple[int, int], decode: Callable[[Samples | None], Samples]):
        self._shape = shape
        self._decode = decode

    def around(self, rows: range) -> range:
        return range(self._shape[0])

    def pieces(self, rows: range, columns: Columns, count: int) -> list[tuple[range, slice]]:
        return [(rows, slice(None))]

    def decode(self, rows: range, columns: Columns, out: Samples) -> None:
        is_whole = out.shape == self._shape and out.flags.c_contiguous
        samples = self._decode(out if is_whole else None)
        if samples is not out:
            picked = slice(columns.start, columns.stop) if isinstance(columns, range) else columns
            out[:] = samples[rows.start : rows.stop, picked]


class N1Chunk(Chunk):
    """A chunk that is an `n1` payload, of which only the blocks are read that are needed.

    Parameters
    ----------
    shape : tuple of int
        That the payload must have.
    codec : N1
    size : int
        Of the payload in bytes.
    read : callable
        Returns bytes of the payload, from a first one on and so many.
    """

    def __init__(
        self, shape: tuple[int, int], codec: N1, size: int, read: Callable[[int, int], bytes]
    ):
        self._shape = shape
        self._codec = codec
        self._size = size
        self._read = read
        self._payload: bytes | npt.NDArray[np.uint8] = b""
        self._beginning = b""
        self._info: native.PayloadInfo | None = None

    def around(self, rows: range) -> range:
        length = self._open().block_samples or self._shape[0]
        stop = min(-(-rows.stop // length) * length, self._shape[0])
        return range(rows.start // length * length, stop)

    def pieces(self, rows: range, columns: Columns, count: int) -> list[tuple[range, slice]]:
        info = self._open()
        self._payload = self._fetch(rows, columns)
        if count < 2 or 2 * len(rows) * len(columns) < _LEAST_PIECE_BYTES:
            return [(rows, slice(None))]
        length = info.block_samples or self._shape[0]
        in_time = _shared_out(range(rows.start // length, -(-rows.stop // length)), count)
        groups = np.unique(np.asarray(columns) // native.GROUP_CHANNELS)
        by_channel = _shared_out(groups, -(-count // len(in_time)))
        pieces = []
        for blocks in in_time:
            start, stop = blocks[0] * length, (blocks[-1] + 1) * length
            part = range(max(rows.start, start), min(rows.stop, stop))
            for some in by_channel:
                borders = np.array([some[0], some[-1] + 1]) * native.GROUP_CHANNELS
                pieces.append((part, slice(*np.searchsorted(columns, borders).tolist())))
        return pieces

    def decode(self, rows: range, columns: Columns, out: Samples) -> None:
        if not len(self._payload):
            self.pieces(rows, columns, 1)
        widths = self._codec.table_of_widths
        into = out if self._open().dtype == out.dtype and out.flags.writeable else None
        into = into[:, 0] if into is not None and len(self._open().shape) == 1 else into
        channels = None if self._is_all(columns) else np.ascontiguousarray(columns, np.uint32)
        native.n1_decode_part(self._payload, rows, channels, widths, out=into)

    def _is_all(self, columns: Columns) -> bool:
        return len(columns) == self._shape[1]

    def _open(self) -> native.PayloadInfo:
        """Read what the payload says of itself, and its index."""
        if self._info is None:
            beginning = self._read(0, min(self._size, _BEGINNING_BYTES))
            info = native.n1_payload_info(beginning)
            if info.shape not in (self._shape, self._shape[:1]) or info.dtype != np.int16:
                raise N1StoreError(
                    f"the payload holds {info.dtype} of shape {info.shape}, "
                    f"the chunk is int16 of shape {self._shape}"
                )
            index_size = native.n1_index_size(beginning)
            if len(beginning) < min(index_size, self._size):
                beginning = self._read(0, index_size)
            self._beginning, self._info = beginning, info
        return self._info

    def _fetch(self, rows: range, columns: Columns) -> bytes | npt.NDArray[np.uint8]:
        """Return the payload, or an array of its size with those of its bytes that are needed."""
        info = self._open()
        is_all = self._is_all(columns) and len(rows) == self._shape[0]
        if is_all or not info.block_samples or self._size <= len(self._beginning):
            return self._whole()
        channels = None if self._is_all(columns) else np.ascontiguousarray(columns, np.uint32)
        ranges = native.n1_part_ranges(self._beginning, rows, channels).tolist()
        joined: list[list[int]] = []
        for begin, end in ranges:
            if joined and begin - joined[-1][1] < _SMALL_GAP_BYTES:
                joined[-1][1] = end
            else:
                joined.append([begin, end])
        if joined[-1][1] > self._size or 2 * sum(end - begin for begin, end in joined) > self._size:
            return self._whole()
        payload = np.empty(self._size, np.uint8)
        for begin, end in joined:
            payload[begin:end] = np.frombuffer(self._read(begin, end - begin), np.uint8)
        return payload

    def _whole(self) -> bytes:
        if len(self._beginning) == self._size:
            return self._beginning
        return self._read(0, self._size)


_BEGINNING_BYTES = 1 << 12
_SMALL_GAP_BYTES = 1 << 12
_LEAST_PIECE_BYTES = 1 << 17  # of samples; handing over less to a thread costs more than it saves


def is_n1(codecs: Sequence[Codec]) -> bool:
    """Return whether chunks of these codecs are `n1` payloads."""
    return len(codecs) == 1 and isinstance(codecs[0], N1)


def _shared_out(items: Positions, count: int) -> list[Positions]:
    """Cut items into `count` parts of about equal length, or as many as there are items."""
    count = min(count, len(items))
    borders = [len(items) * number // count for number in range(count + 1)]
    return [items[begin:end] for begin, end in pairwise(borders)]
