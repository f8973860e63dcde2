"""How fast a store is read, through zarr and past it: windows at random, and everything.

The terms are those of Buccino et al. 2023, "Compression strategies for large-scale
electrophysiology data": a speed in xRT is seconds of recording (all its channels) per second
of waiting, for a window read from the opened store.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from n1store import store_kinds
from n1store.display import Displayed
from n1store.errors import N1StoreError, about
from n1store.recording import Recording, Samples
from n1store.sizes import StoreSizes, measure_sizes
from n1store.sources.originals import SamplesHash
from n1store.stores.grid import Grid
from n1store.system.parallel import Workers, available_cores
from n1store.verification import read_chunks
from n1store.version import __version__

WINDOW_SECONDS = (0.1, 1.0, 10.0)
SPEED_HEADINGS = ("read", "with", "xRT: p5", "median", "p95", "MB/s: median")
_SCAN_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, repr=False)
class Speed(Displayed):
    """Speed of reading windows of one length at random offsets, or of everything once.

    Attributes
    ----------
    reader : {'n1store', 'zarr', 'h5py'}
        What was read with: ``n1store.open``, or the library of such stores alone.
    seconds : float or None
        Length of the windows, at most that of the longest recording; shorter recordings were
        read whole. None: everything.
    xrt, mb_per_s : ndarray of float64, shape (num_windows,)
        Of each window.
    one_channel : bool
        Whether each window was of one channel; else it was of all.
    """

    reader: str
    seconds: float | None
    xrt: np.ndarray
    mb_per_s: np.ndarray
    one_channel: bool = False

    @property
    def what(self) -> str:
        """What was read, in words."""
        if self.seconds is None:
            return "everything"
        return f"{self.seconds:.3g} s {'of 1 channel' if self.one_channel else 'windows'}"

    def _headline(self) -> str:
        return f"of {self.what} with {self.reader}: {np.median(self.xrt):.0f} xRT"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        return list(SPEED_HEADINGS), [self.row]

    @property
    def row(self) -> list[str]:
        """The line of a table that is headed by `SPEED_HEADINGS`."""
        xrt = _percentiles(self.xrt)
        speeds = [f"{xrt[key]:.0f}" for key in ("p5", "median", "p95")]
        return [self.what, self.reader, *speeds, f"{np.median(self.mb_per_s):.1f}"]

    def to_dict(self) -> dict[str, Any]:
        """Return median, 5th and 95th percentile, for JSON."""
        return {
            "reader": self.reader,
            "window_s": self.seconds,
            "channels": "one" if self.one_channel else "all",
            "windows": len(self.xrt),
            "xrt": _percentiles(self.xrt),
            "mb_per_s": _percentiles(self.mb_per_s),
        }


@dataclass(frozen=True, repr=False)
class Benchmark(Displayed):
    """Sizes of a store and the speeds at which it was read.

    Attributes
    ----------
    path : Path
    sizes : StoreSizes
    windows, scans : list of Speed
        Of windows at random, and of reading everything in order.
    """

    path: Path
    sizes: StoreSizes
    windows: list[Speed]
    scans: list[Speed]

    def _headline(self) -> str:
        return f"{self.path}: {self.sizes.headline}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        return list(SPEED_HEADINGS), [speed.row for speed in (*self.windows, *self.scans)]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it and what it was measured with, for JSON."""
        return {
            "store": str(self.path),
            **self.sizes.to_dict(),
            "random_access": [speed.to_dict() for speed in self.windows],
            "scan": [speed.to_dict() for speed in self.scans],
            "measured_with": _environment(),
        }


def benchmark(
    path: str | os.PathLike[str],
    *,
    window_seconds: Iterable[float] = WINDOW_SECONDS,
    num_windows: int = 100,
    seed: int = 0,
    follow_links: bool = False,
) -> Benchmark:
    """Measure how fast a store is read, checking all that is read.

    What was stored without checksums is checked by reading it in both ways.

    Parameters
    ----------
    path : path-like
        The store. It is read once before the clock runs, so that what is measured is
        decoding, not the disk.
    window_seconds : iterable of float
        Lengths of windows, of all channels; those of 1 s, or the longest below it, are read once
        more of one channel each, if there are several. Recordings that are shorter are read whole;
        where all are, that is what the windows are called.
    num_windows : int
        How many windows of each length.
    seed : int
        Of the choice of windows, which is the same for every reader.
    follow_links : bool
        As for `n1store.open`.

    Raises
    ------
    N1StoreError
        If anything that was read is not what was stored.
    """
    if num_windows < 1:
        raise N1StoreError(f"{num_windows} windows tell no speed")
    lengths = list(window_seconds)
    if not all(seconds > 0 for seconds in lengths):
        raise N1StoreError("windows are longer than 0 s")
    with about(path), store_kinds.open(path, follow_links=follow_links) as store:
        store.require_recordings()
        sizes = measure_sizes(store)
        grids = {name: store.array(name).grid for name in store}
        own = [store[name] for name in store]
        readers = {
            "n1store": own,
            store.library: [replace(each, traces=store.library_array(each.name)) for each in own],
        }
        if not sizes.raw_bytes:
            raise N1StoreError(f"{path}: holds no samples to read")
        hashes: dict[str, str] = {}
        scans = [
            _time_scan(reader, recordings, grids, hashes) for reader, recordings in readers.items()
        ]
        longest = max(recording.duration for recording in own)
        lengths = list(dict.fromkeys(min(seconds, longest) for seconds in lengths))
        kinds = [(seconds, False) for seconds in lengths]
        if max(recording.num_channels for recording in own) > 1:
            kinds += [(max([each for each in lengths if each <= 1] or lengths[:1]), True)]
        with Workers() as workers:
            windows = [
                speed
                for kind in kinds
                for speed in _time_windows(readers, grids, workers, *kind, num_windows, seed)
            ]
    return Benchmark(Path(path), sizes, windows, scans)


def _time_scan(
    reader: str, recordings: list[Recording], grids: dict[str, Grid], hashes: dict[str, str]
) -> Speed:
    """Read everything twice, the second time by the clock.

    `hashes` are those of the readers before.
    """
    seconds = 0.0
    for recording in recordings:
        for timed in (False, True):
            samples_hash, stored_hash = hashlib.sha256(), SamplesHash(recording)
            for start, stop in grids[recording.name].blocks(_SCAN_BYTES):
                started = time.perf_counter()
                samples = recording.read(start, stop)
                if timed:
                    seconds += time.perf_counter() - started
                samples = np.ascontiguousarray(samples)
                samples_hash.update(samples.data)
                stored_hash.update(samples)
        expected = hashes.setdefault(recording.name, samples_hash.hexdigest())
        if samples_hash.hexdigest() != expected or not stored_hash.is_expected():
            raise _differs(recording)
    duration = sum(each.duration for each in recordings)
    megabytes = sum(2 * each.num_samples * each.num_channels for each in recordings) / 1e6
    return Speed(reader, None, np.array([duration / seconds]), np.array([megabytes / seconds]))


def _time_windows(
    readers: dict[str, list[Recording]],
    grids: dict[str, Grid],
    workers: Workers,
    seconds: float,
    one_channel: bool,
    num_windows: int,
    seed: int,
) -> list[Speed]:
    """Read windows at random, each with every reader, and compare them with what was stored."""
    rng = np.random.default_rng(seed)
    own = next(iter(readers.values()))
    durations = np.array([recording.duration for recording in own])
    xrt: dict[str, list[float]] = {reader: [] for reader in readers}
    mb_per_s: dict[str, list[float]] = {reader: [] for reader in readers}
    for choice in rng.choice(len(own), num_windows, p=durations / durations.sum()):
        recording = own[choice]
        length = min(round(seconds * recording.sampling_frequency), recording.num_samples)
        start = int(rng.integers(recording.num_samples - length + 1))
        channel = int(rng.integers(recording.num_channels)) if one_channel else None
        channels = slice(None) if channel is None else slice(channel, channel + 1)
        windows = []
        for reader, recordings in readers.items():
            started = time.perf_counter()
            samples = recordings[choice].read(start, start + length, channels)
            elapsed = time.perf_counter() - started
            xrt[reader].append(length / recording.sampling_frequency / elapsed)
            mb_per_s[reader].append(samples.nbytes / 1e6 / elapsed)
            windows.append(samples)
        if "chunk_crc32" in recording.attributes:
            checked = _checked_window(recording, grids[recording.name], workers, start, length)
            windows.append(checked[:, channels])
        if not all(np.array_equal(window, windows[-1]) for window in windows):
            raise _differs(recording)
    return [
        Speed(reader, seconds, np.array(xrt[reader]), np.array(mb_per_s[reader]), one_channel)
        for reader in readers
    ]


def _checked_window(
    recording: Recording, grid: Grid, workers: Workers, start: int, length: int
) -> Samples:
    """Read a window anew, chunk by chunk, each checked against its CRC-32."""
    chunk_samples = grid.chunk_shape[0]
    rows = range(start // chunk_samples, -(-(start + length) // chunk_samples))
    window = np.empty((len(rows) * chunk_samples, grid.shape[1]), "<i2")
    for index, chunk in read_chunks(recording, grid, workers, rows):
        if isinstance(chunk, Exception):
            raise _differs(recording) from chunk
        samples, channels = grid.region(index)
        first = samples.start - rows[0] * chunk_samples
        window[first : first + len(chunk), channels] = chunk
    offset = start - rows[0] * chunk_samples
    return window[offset : offset + length]


def _differs(recording: Recording) -> N1StoreError:
    return N1StoreError(
        f"recording {recording.name} is not read as it was stored; "
        "n1store verify tells where it is damaged"
    )


def _percentiles(values: np.ndarray) -> dict[str, float]:
    p5, median, p95 = np.percentile(values, [5, 50, 95]).tolist()
    return {"p5": p5, "median": median, "p95": p95}


def _environment() -> dict[str, Any]:
    import zarr

    return {
        "n1store": __version__,
        "zarr": zarr.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": available_cores(),
    }
