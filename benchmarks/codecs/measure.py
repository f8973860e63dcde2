"""What is measured, and how.

Rows of one comparison are timed in turn, a part of their chunks at a time, round after round,
so that whatever else the machine does hits them alike. Before that each row's chunks have been
encoded and decoded once, and must have come back bit by bit.
"""

import os
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from codec import Codec
from n1store.codecs.native import adc_encode
from n1store.errors import N1StoreError

CODES, SAMPLES = "codes", "samples"
CHUNK_SAMPLES = 19_536  # 1 s, as stores have it
NUM_PARTS = 8
SELDOM = 3  # what takes long is timed in every third round


@dataclass
class Row:
    """A codec on the chunks of a data set, and what was measured.

    Attributes
    ----------
    data, chunking, input, codec, parameters : str
        What it is. `input` says whether the chunks hold the converter's codes or samples.
    work : list of (Codec, ndarray)
        The chunks, each with the codec that encodes it.
    seldom : bool
        Whether it is timed in fewer rounds.
    payloads : list of bytes
        Of the chunks.
    encode, decode : list of Seconds
        Of each round.
    """

    data: str
    chunking: str
    input: str
    codec: str
    parameters: str
    work: list[tuple[Codec, np.ndarray]]
    seldom: bool = False
    payloads: list[bytes] = field(default_factory=list)
    encode: list["Seconds"] = field(default_factory=list)
    decode: list["Seconds"] = field(default_factory=list)

    @property
    def raw_bytes(self) -> int:
        return sum(chunk.nbytes for _, chunk in self.work)

    @property
    def stored_bytes(self) -> int:
        return sum(len(payload) for payload in self.payloads)


@dataclass(frozen=True)
class Seconds:
    """Time of this process and on the clock."""

    cpu: float = 0
    wall: float = 0

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.cpu + other.cpu, self.wall + other.wall)


def cut(recording: np.ndarray) -> list[np.ndarray]:
    """Cut a channel into chunks as a store has them, the last of which may be shorter."""
    starts = range(0, len(recording), CHUNK_SAMPLES)
    return [recording[start : start + CHUNK_SAMPLES] for start in starts]


def channels(recording: np.ndarray) -> list[np.ndarray]:
    """Take an array of shape (num_samples, num_channels) apart into contiguous channels."""
    return [np.ascontiguousarray(channel) for channel in recording.T]


def rows(data: str, chunking: str, chunks: list[np.ndarray], codecs: Iterable[Codec]) -> list[Row]:
    """Return the rows of codecs on chunks, without those that do not take so many channels.

    Rivals are given the codes, where all samples are of the N1; those that are not slow are
    given the samples too, for reference, in rows that come last.
    """
    codes = _codes(chunks)
    first, last = [], []
    for codec in codecs:
        if chunks[0].ndim == 2 and chunks[0].shape[1] > codec.max_channels:
            continue
        row = (data, chunking, SAMPLES, codec.name, codec.parameters)
        of_samples = Row(*row, [(codec, chunk) for chunk in chunks], codec.slow)
        if codec.maps_itself or codes is None:
            first.append(of_samples)
            continue
        row = (data, chunking, CODES, codec.name, codec.parameters)
        first.append(Row(*row, [(codec, chunk) for chunk in codes], codec.slow))
        if not codec.slow:
            last.append(replace(of_samples, seldom=True))
    return first + last


def _codes(chunks: list[np.ndarray]) -> list[np.ndarray] | None:
    codes = [adc_encode(chunk) for chunk in chunks]
    if all(chunk.size == 0 or -512 <= chunk.min() <= chunk.max() < 512 for chunk in codes):
        return codes
    return None


def measure(comparison: list[Row], repeats: int) -> None:
    """Fill in what the rows of a comparison measure; one core works.

    Raises
    ------
    N1StoreError
        If a chunk does not come back as it was.
    """
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        for row in comparison:
            row.payloads = [codec.encode(chunk) for codec, chunk in row.work]
            _check(row)
        for number in range(repeats):
            _time_round([row for row in comparison if number % SELDOM == 0 or not row.seldom])
    finally:
        os.sched_setaffinity(0, cores)


def _check(row: Row) -> None:
    for number, ((codec, chunk), payload) in enumerate(zip(row.work, row.payloads, strict=True)):
        decoded = codec.decode(payload, chunk.shape)
        if decoded.dtype != chunk.dtype or not np.array_equal(decoded, chunk):
            raise N1StoreError(
                f"{codec.label} is not lossless: chunk {number} of {row.data}, {row.chunking}, "
                "comes back changed"
            )


def _time_round(rows: list[Row]) -> None:
    for row in rows:
        row.encode.append(Seconds())
        row.decode.append(Seconds())
    for part in range(NUM_PARTS):
        for row in rows:
            work, payloads = row.work[part::NUM_PARTS], row.payloads[part::NUM_PARTS]
            started = _now()
            for codec, chunk in work:
                codec.encode(chunk)
            row.encode[-1] += _since(started)
            started = _now()
            for (codec, chunk), payload in zip(work, payloads, strict=True):
                codec.decode(payload, chunk.shape)
            row.decode[-1] += _since(started)


def _now() -> Seconds:
    return Seconds(time.process_time(), time.perf_counter())


def _since(started: Seconds) -> Seconds:
    now = _now()
    return Seconds(now.cpu - started.cpu, now.wall - started.wall)


def speeds(row: Row, seconds: list[Seconds]) -> tuple[float, float, float, float]:
    """Return MB of samples a second: median, lowest and highest by CPU time, median by clock."""
    size = row.raw_bytes / 1e6
    cpu = [size / each.cpu for each in seconds]
    wall = [size / each.wall for each in seconds]
    return statistics.median(cpu), min(cpu), max(cpu), statistics.median(wall)
