"""Samples read chunk by chunk, on all cores, from whatever kind of store."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from operator import itemgetter
from threading import Lock
from typing import Any

import numpy as np

from n1store.errors import N1StoreError, NotHereError, one_line
from n1store.recording import LazyTraces, Positions, Samples, Traces
from n1store.stores.chunks import LEAST_BYTES, Chunk
from n1store.stores.grid import Grid
from n1store.system.parallel import Workers

_MOST_KEPT_BYTES = 1 << 24


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
    """What was decoded for one window and may serve the next, as far as there is room for it.

    The next window has it to itself: its samples, and for other samples its memory, as fresh memory
    takes the system's time.
    """

    def __init__(self) -> None:
        self.parts: dict[tuple[int, int], _Decoded] = {}
        self._num_bytes = 0
        self._lock = Lock()

    def takes(self, num_bytes: int) -> bool:
        """Return whether there is room for so many bytes, which then is taken."""
        with self._lock:
            if self._num_bytes + num_bytes > _MOST_KEPT_BYTES:
                return False
            self._num_bytes += num_bytes
            return True

    def take(self, index: tuple[int, int], rows: range, columns: Positions) -> _Decoded | None:
        """Give away what there is of a chunk, if it has these samples."""
        decoded = self.parts.get(index)
        return self.parts.pop(index) if decoded and decoded.has(rows, columns) else None

    def array(self, shape: tuple[int, int]) -> Samples:
        """Return an array of any content; call it when all is taken whose samples are wanted."""
        with self._lock:
            for index, decoded in self.parts.items():
                if decoded.samples.shape == shape:
                    return self.parts.pop(index).samples
        return np.empty(shape, LazyTraces.dtype)


class ChunkedTraces(LazyTraces):
    """An array whose chunks are decoded when they are needed, as far as they are.

    Of chunks of which little was wanted, what was decoded is kept until the next window is read, as
    long as that is not too much; all else is decoded to where it is wanted.

    Parameters
    ----------
    grid : Grid
    open_chunk : callable
        From a chunk's index to the chunk, of the grid's chunk shape.

    Attributes
    ----------
    origin : tuple, optional
        A function and its arguments, which give these traces in another process.
    """

    origin: tuple[Callable[..., Traces], tuple[Any, ...]] | None = None

    def __init__(self, grid: Grid, open_chunk: Callable[[tuple[int, int]], Chunk]):
        self._grid = grid
        self._open_chunk = open_chunk
        self._kept: deque[_Kept] = deque(maxlen=1)
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
        try:
            kept = self._kept.pop()
        except IndexError:  # or another thread has it
            kept = _Kept()
        keep = _Kept()
        jobs = [
            _Job(
                *(self._open_chunk, (row, column), some_rows, some_columns),
                *(window[to_rows, to_columns], kept, keep),
            )
            for row, some_rows, to_rows in in_time
            for column, some_columns, to_columns in across
        ]
        workers = _workers(os.getpid())
        num_bytes = sum(job.num_bytes for job in jobs)
        num_threads = max(1, min(workers.count, num_bytes // LEAST_BYTES))
        if num_threads <= len(jobs):
            # Each thread has a chunk of its own to work on.
            _call_all(workers, num_threads, [job.run for job in jobs])
        else:
            count = -(-num_threads // len(jobs))
            _call_all(workers, num_threads, [partial(job.prepare, count) for job in jobs])
            _call_all(workers, num_threads, [step for job in jobs for step in job.steps])
            for job in jobs:
                job.finish()
        self._kept.append(keep)
        return window


class _Job:
    """Reads what is wanted of one chunk, in steps that threads may share.

    Parameters
    ----------
    open_chunk : callable
    index : tuple of int
        Of the chunk.
    rows, columns : range or ndarray
        What is wanted of it.
    out : ndarray
        Where it is to go.
    kept, keep : _Kept
        What is kept of the window before, and what is to be kept of this one.

    Attributes
    ----------
    num_bytes : int
        Of the samples that are decoded at most.
    steps : list of callable
        What decodes them, once they are prepared.
    """

    def __init__(
        self,
        open_chunk: Callable[[tuple[int, int]], Chunk],
        index: tuple[int, int],
        rows: Positions,
        columns: Positions,
        out: Samples,
        kept: _Kept,
        keep: _Kept,
    ):
        self._index, self._rows, self._columns, self._out = index, rows, columns, out
        self._span = range(int(rows[0]), int(rows[-1]) + 1)
        self._kept, self._keep = kept, keep
        self._decoded = kept.take(index, self._span, columns)
        self._chunk: Chunk | None = None
        self.num_bytes = 0
        self.steps: list[Callable[[], None]] = []
        if self._decoded is not None:
            if keep.takes(self._decoded.samples.nbytes):
                keep.parts[index] = self._decoded
            return
        with _errors_name(index):
            self._chunk = open_chunk(index)
        self.num_bytes = self._chunk.num_bytes(columns)

    def run(self) -> None:
        """Do it all."""
        self.prepare(1)
        for step in self.steps:
            step()
        self.finish()

    def prepare(self, count: int) -> None:
        """Read what is stored, and make about `count` steps of decoding it."""
        chunk = self._chunk
        if chunk is None:
            return
        with _errors_name(self._index):
            around = chunk.fetch(self._span, self._columns)
            num_bytes = LazyTraces.dtype.itemsize * len(around) * len(self._columns)
            is_kept = 2 * len(self._span) <= len(around) and self._keep.takes(num_bytes)
            rows, target = around if is_kept else self._span, self._out
            if is_kept or not isinstance(self._rows, range):
                target = self._kept.array((len(rows), len(self._columns)))
                decoded = self._decoded = _Decoded(rows, self._columns, target)
                if is_kept:
                    self._keep.parts[self._index] = decoded
            for part, columns in chunk.pieces(rows, self._columns, count):
                out = target[part.start - rows.start : part.stop - rows.start, columns]
                decode = partial(chunk.decode, part, self._columns[columns], out)
                self.steps.append(partial(self._decode, decode))

    def _decode(self, decode: Callable[[], None]) -> None:
        with _errors_name(self._index):
            decode()

    def finish(self) -> None:
        """Bring what was not decoded to its place, and free what only that needed."""
        if self._decoded is not None:
            rows = self._rows
            first = self._decoded.rows.start
            inside = (
                slice(rows.start - first, rows.stop - first)
                if isinstance(rows, range)
                else rows - first
            )
            self._out[:] = self._decoded.samples[inside]
        self._chunk, self._decoded, self.steps = None, None, []


@contextmanager
def _errors_name(index: tuple[int, int]) -> Iterator[None]:
    """Let errors of reading a chunk name it."""
    try:
        yield
    except NotHereError:
        raise
    except Exception as error:  # whatever codecs make of damaged bytes
        why = "is missing" if isinstance(error, KeyError) else one_line(error)
        raise N1StoreError(f"chunk {index[0]},{index[1]}: {why}") from error


def _call_all(workers: Workers, num_threads: int, calls: list[Callable[[], None]]) -> None:
    """Call all, in so many threads at most; raise the first call's error, after which none begins.

    One thread is the one that asks. Where there are more, it only waits: its memory is that of all
    of Python, and what decoding needs would go back to the system, and come anew, at every call.
    """
    source = enumerate(calls)  # from which each thread takes the next
    errors: list[tuple[int, BaseException]] = []

    def work() -> None:
        for number, call in source:
            try:
                call()
            except BaseException as error:
                errors.append((number, error))
            if errors:
                return

    if min(num_threads, len(calls)) <= 1:
        work()
    else:
        first, *others = (workers.submit(work) for _ in calls[:num_threads])
        try:
            first.result()
            for other in others:
                # One that has not begun, as workers are busy with other windows, is not needed.
                if not other.cancel():
                    other.result()
        except BaseException as error:  # such as Ctrl-C
            errors.append((-1, error))
    if errors:
        raise min(errors, key=itemgetter(0))[1]


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
