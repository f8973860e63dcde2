"""Samples read chunk by chunk, on all cores, from whatever kind of store."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from n1store.recording import LazyTraces, Samples, Traces
from n1store.stores.grid import Grid
from n1store.system.parallel import Workers


class ChunkedTraces(LazyTraces):
    """An array whose chunks are decoded when they are needed.

    Parameters
    ----------
    grid : Grid
    read_chunk : callable
        From a chunk's index to its samples, of the grid's chunk shape; called in threads. Its
        second argument, if not None, is an array of that shape which it may decode into and
        return.

    Attributes
    ----------
    origin : tuple, optional
        A function and its arguments, which give these traces in another process.
    """

    origin: tuple[Callable[..., Traces], tuple[Any, ...]] | None = None

    def __init__(
        self, grid: Grid, read_chunk: Callable[[tuple[int, int], Samples | None], Samples]
    ):
        self._grid = grid
        self._read_chunk = read_chunk
        self.shape = grid.shape
        self.chunks = grid.chunk_shape

    def __reduce__(self) -> tuple[Any, ...]:
        if self.origin is None:
            raise TypeError("these traces are of no store that another process could open")
        return self.origin

    def _read(self, first: int, last: int, left: int, right: int) -> Samples:
        window = np.empty((last - first, right - left), self.dtype)
        rows, columns = self._grid.chunk_shape

        def fill(index: tuple[int, int]) -> None:
            row, column = index[0] * rows, index[1] * columns
            top, bottom = max(first, row), min(last, row + rows)
            start, stop = max(left, column), min(right, column + columns)
            part = window[top - first : bottom - first, start - left : stop - left]
            is_whole_chunk = part.shape == (rows, columns) and part.flags.c_contiguous
            chunk = self._read_chunk(index, part if is_whole_chunk else None)
            if chunk is not part:
                part[:] = chunk[top - row : bottom - row, start - column : stop - column]

        indices = [
            (row, column)
            for row in range(first // rows, -(-last // rows))
            for column in range(left // columns, -(-right // columns))
            if window.size
        ]
        if len(indices) > 1:
            for _ in _workers(os.getpid()).map(fill, indices):
                pass  # raises what a thread raised
        else:
            for index in indices:
                fill(index)
        return window


@cache
def _workers(process_id: int) -> Workers:
    """Return the threads that decode; a forked process, which inherits none, gets its own."""
    return Workers()
