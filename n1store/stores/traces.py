"""Samples read chunk by chunk, on all cores, from whatever kind of store."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from n1store.recording import Samples
from n1store.stores.grid import DTYPE, Grid
from n1store.system.parallel import Workers


class ChunkedTraces:
    """An array of shape (num_samples, num_channels) whose chunks are decoded when needed.

    Parameters
    ----------
    grid : Grid
    read_chunk : callable
        From a chunk's index to its samples, of the grid's chunk shape; called in threads. Its
        second argument, if not None, is an array of that shape which it may decode into and
        return.
    """

    dtype = DTYPE
    ndim = 2

    def __init__(
        self, grid: Grid, read_chunk: Callable[[tuple[int, int], Samples | None], Samples]
    ):
        self._grid = grid
        self._read_chunk = read_chunk
        self.shape = grid.shape
        self.chunks = grid.chunk_shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Samples:
        """Read ``[samples]`` or ``[samples, channels]``, each indexed as in an ndarray.

        Lists and masks select along their own axis, as ``numpy.ix_`` has it.
        """
        samples, *channels = _without_ellipsis(key)
        if len(channels) > 1:
            raise IndexError("traces have two axes, time and channel")
        first, last, in_rows = _extent(samples, self.shape[0])
        left, right, in_columns = _extent(channels[0] if channels else slice(None), self.shape[1])
        return self._read(first, last, left, right)[in_rows][..., in_columns]

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("samples are read into an array of their own, which is a copy")
        return self[:].astype(dtype or self.dtype, copy=False)

    def _read(self, first: int, last: int, left: int, right: int) -> Samples:
        """Read the samples and channels of two ranges."""
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


def _without_ellipsis(key: Any) -> tuple[Any, ...]:
    keys = key if isinstance(key, tuple) else (key,)
    if not any(part is Ellipsis for part in keys):
        return keys or (slice(None),)
    position = next(number for number, part in enumerate(keys) if part is Ellipsis)
    filled = (slice(None),) * (3 - len(keys))
    return keys[:position] + filled + keys[position + 1 :] or (slice(None),)


def _extent(key: Any, length: int) -> tuple[int, int, slice | int | npt.NDArray[np.intp]]:
    """Return the range that `key` touches, and what picks its elements out of that range."""
    if isinstance(key, slice):
        wanted = range(length)[key]
        if not wanted:
            return 0, 0, slice(None)
        first, last = sorted((wanted[0], wanted[-1]))
        start = wanted[0] - first
        stop = wanted[-1] - first + (1 if wanted.step > 0 else -1)
        return first, last + 1, slice(start, stop if stop >= 0 else None, wanted.step)
    if isinstance(key, int | np.integer):
        index = range(length)[int(key)]
        return index, index + 1, 0
    chosen = np.arange(length)[np.asarray(key) if len(key) else np.empty(0, int)]
    if chosen.ndim != 1:
        raise IndexError("an axis is indexed by an integer, a slice, a list or a mask")
    if not chosen.size:
        return 0, 0, chosen
    return int(chosen.min()), int(chosen.max()) + 1, chosen - chosen.min()


@cache
def _workers(process_id: int) -> Workers:
    """Return the threads that decode; a forked process, which inherits none, gets its own."""
    return Workers()
