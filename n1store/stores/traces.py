"""Samples read chunk by chunk, on all cores, from whatever kind of store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from n1store.errors import N1StoreError, NotHereError, one_line
from n1store.recording import LazyTraces, Positions, Samples, Traces
from n1store.stores.chunks import Chunk
from n1store.stores.grid import Grid
from n1store.system.parallel import Workers

_MOST_KEPT_BYTES = 1 << 24


@dataclass(frozen=True)
class _Wanted:
    """What is wanted of a chunk: rows and columns of it, and where in the window they go."""

    index: tuple[int, int]
    rows: Positions
    columns: Positions
    window: Samples


@dataclass(frozen=True)
class _Decoded:
    """Samples of a chunk that are kept as the next window may be of them, too."""

    rows: range
    columns: Positions
    samples: Samples

    def has(self, rows: range, columns: Positions) -> bool:
        return (
            self.rows.start <= rows.start
            and rows.stop <= self.rows.stop
            and np.array_equal(self.columns, columns)
        )


class _Kept:
    """What was decoded for one window and may serve the next, if that is not too much."""

    def __init__(self) -> None:
        self.parts: dict[tuple[int, int], _Decoded] = {}
        self._num_bytes = 0

    def add(self, index: tuple[int, int], decoded: _Decoded) -> None:
        self._num_bytes += decoded.samples.nbytes
        if self._num_bytes <= _MOST_KEPT_BYTES:
            self.parts[index] = decoded
        else:
            self.parts = {}


class ChunkedTraces(LazyTraces):
    """An array whose chunks are decoded when they are needed, as far as they are.

    Of a chunk of which little was wanted, what was decoded is kept until the next window is read.

    Parameters
    ----------
    grid : Grid
    open_chunk : callable
        From a chunk's index to the chunk, of the grid's chunk shape; called in threads.

    Attributes
    ----------
    origin : tuple, optional
        A function and its arguments, which give these traces in another process.
    """

    origin: tuple[Callable[..., Traces], tuple[Any, ...]] | None = None

    def __init__(self, grid: Grid, open_chunk: Callable[[tuple[int, int]], Chunk]):
        self._grid = grid
        self._open_chunk = open_chunk
        self._kept = _Kept()
        self.shape = grid.shape
        self.chunks = grid.chunk_shape

    def __reduce__(self) -> tuple[Any, ...]:
        if self.origin is None:
            raise TypeError("these traces are of no store that another process could open")
        return self.origin

    def _read(self, rows: Positions, columns: Positions) -> Samples:
        window = np.empty((len(rows), len(columns)), self.dtype)
        if not window.size:
            return window
        in_time = list(_by_chunk(rows, self.chunks[0]))
        across = list(_by_chunk(columns, self.chunks[1]))
        wanted = [
            _Wanted((row, column), some_rows, some_columns, window[to_rows, to_columns])
            for row, some_rows, to_rows in in_time
            for column, some_columns, to_columns in across
        ]
        keep = _Kept()
        workers = _workers(os.getpid())
        if len(wanted) >= workers.count:
            # As many threads as there are cores have a chunk each to work on.
            _all_of(workers, [_Job(self, each, 1, keep).run for each in wanted])
        else:
            jobs = [_Job(self, each, -(-workers.count // len(wanted)), keep) for each in wanted]
            _all_of(workers, [job.prepare for job in jobs])
            _all_of(workers, [step for job in jobs for step in job.steps])
            for job in jobs:
                job.finish()
        self._kept = keep
        return window


class _Job:
    """Reads what is wanted of one chunk, in steps that threads may share.

    Parameters
    ----------
    traces : ChunkedTraces
    wanted : _Wanted
    count : int
        How many steps would be of use.
    keep : _Kept
        To which is added what may be wanted again.
    """

    def __init__(
        self,
        traces: ChunkedTraces,
        wanted: _Wanted,
        count: int,
        keep: _Kept,
    ):
        self._traces = traces
        self._wanted = wanted
        self._count = count
        self._keep = keep
        self._decoded: _Decoded | None = None
        self.steps: list[Callable[[], None]] = []

    def run(self) -> None:
        self.prepare()
        for step in self.steps:
            step()
        self.finish()

    def prepare(self) -> None:
        """Read what is stored, and say in which steps it can be decoded."""
        _named(self._wanted.index, self._prepare)

    def _prepare(self) -> None:
        wanted = self._wanted
        span = range(int(wanted.rows[0]), int(wanted.rows[-1]) + 1)
        kept = self._traces._kept.parts.get(wanted.index)
        if kept is not None and kept.has(span, wanted.columns):
            self._decoded = kept
            self._keep.add(wanted.index, kept)
            return
        chunk = self._traces._open_chunk(wanted.index)
        around = chunk.around(span)
        rows, target = span, wanted.window
        is_little = 2 * len(span) <= len(around)
        if is_little or not isinstance(wanted.rows, range):
            rows = around if is_little else span
            target = np.empty((len(rows), len(wanted.columns)), LazyTraces.dtype)
            self._decoded = _Decoded(rows, wanted.columns, target)
            if is_little:
                self._keep.add(wanted.index, self._decoded)
        for part, columns in chunk.pieces(rows, wanted.columns, self._count):
            out = target[part.start - rows.start : part.stop - rows.start, columns]
            decode = partial(chunk.decode, part, wanted.columns[columns], out)
            self.steps.append(partial(_named, wanted.index, decode))

    def finish(self) -> None:
        """Bring what was not decoded to its place."""
        if self._decoded is not None:
            rows = self._wanted.rows
            first = self._decoded.rows.start
            inside = (
                slice(rows.start - first, rows.stop - first)
                if isinstance(rows, range)
                else rows - first
            )
            self._wanted.window[:] = self._decoded.samples[inside]
        self._decoded, self.steps = None, []  # the job may stay until all are done


def _named(index: tuple[int, int], call: Callable[[], None]) -> None:
    """Call what reads a chunk, and let errors name it."""
    try:
        call()
    except NotHereError:
        raise
    except Exception as error:  # whatever codecs make of damaged bytes
        why = "is missing" if isinstance(error, KeyError) else one_line(error)
        raise N1StoreError(f"chunk {index[0]},{index[1]}: {why}") from error


def _all_of(workers: Workers, calls: list[Callable[[], None]]) -> None:
    """Call all, on several cores if there are several."""
    if len(calls) == 1:
        calls[0]()
        return
    for _ in workers.map(lambda call: call(), calls):
        pass  # raises what a thread raised


def _by_chunk(positions: Positions, length: int) -> Iterator[tuple[int, Positions, slice]]:
    """Cut ascending positions where chunks end.

    Yields
    ------
    number : int
        Of a chunk.
    positions : range or ndarray
        Those in it, from its beginning on.
    where : slice
        Which of all these are.
    """
    begin = 0
    while begin < len(positions):
        number = int(positions[begin]) // length
        behind = (number + 1) * length
        if isinstance(positions, range):
            end = min(len(positions), behind - positions.start)
            part = positions[begin:end]
            local: Positions = range(part.start - number * length, part.stop - number * length)
        else:
            end = int(np.searchsorted(positions, behind))
            local = positions[begin:end] - number * length
        yield number, local, slice(begin, end)
        begin = end


@cache
def _workers(process_id: int) -> Workers:
    """Return the threads that decode; a forked process, which inherits none, gets its own."""
    return Workers()
