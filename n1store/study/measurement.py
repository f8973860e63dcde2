"""What a pipeline makes of chunks: sizes, speed on one core, memory, and random access.

Everything is measured in memory; no disk takes part. Speed is CPU time of one thread on one core.
"""

from __future__ import annotations

import ctypes
import gc
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numcodecs.blosc
import numpy as np

from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError, one_line
from n1store.study.candidates import parse_pipeline
from n1store.study.results import Error, PeakMemory
from n1store.system.parallel import Workers


@dataclass(frozen=True, eq=False)
class Chunk:
    """A piece of a recording, as a store would encode it.

    Attributes
    ----------
    label : str
        What messages call it: the recording, and which samples of it.
    samples : ndarray of int16, shape (num_samples, num_channels)
        C-contiguous.
    seconds : float
        How long the recording took for as much data: of half of the channels, half of the time.
    """

    label: str
    samples: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Sizes:
    """What is known of a pipeline after each chunk has been encoded and decoded once.

    Attributes
    ----------
    payload_bytes : list of int
        Of each chunk.
    largest : tuple of (Chunk, bytes)
        The chunk of the most samples, and its payload.
    encode_seconds, decode_seconds : float
        CPU time for all chunks.
    error : Error, optional
        Of a lossy pipeline.
    """

    payload_bytes: list[int]
    largest: tuple[Chunk, bytes]
    encode_seconds: float
    decode_seconds: float
    error: Error | None


def measure_sizes(pipeline: Pipeline, chunks: Sequence[Chunk], workers: Workers) -> Sizes:
    """Encode and decode all chunks, on all cores, and compare what comes back with them.

    Raises
    ------
    N1StoreError
        If a lossless pipeline gives anything back changed, or a codec fails.
    """
    lossy = bool(pipeline.loss)
    biggest = max(chunks, key=lambda chunk: chunk.samples.size)
    sizes, encode_seconds, decode_seconds = [], 0.0, 0.0
    squares, squared_differences, farthest = 0.0, 0.0, 0
    kept = b""
    calls = ((chunk, partial(_there_and_back, pipeline, chunk, lossy)) for chunk in chunks)
    for chunk, (payload, seconds, errors) in workers.in_order(calls):
        sizes.append(len(payload))
        encode_seconds += seconds[0]
        decode_seconds += seconds[1]
        squares += errors[0]
        squared_differences += errors[1]
        farthest = max(farthest, errors[2])
        if chunk is biggest:
            kept = payload
    error = None
    if lossy:
        num_samples = sum(chunk.samples.size for chunk in chunks)
        ratio = squares / squared_differences if squared_differences else 0.0
        error = Error(
            rmse=math.sqrt(squared_differences / num_samples),
            max=farthest,
            snr_db=10 * math.log10(ratio) if ratio else None,
        )
    return Sizes(sizes, (biggest, kept), encode_seconds, decode_seconds, error)


def _there_and_back(
    pipeline: Pipeline, chunk: Chunk, lossy: bool
) -> tuple[bytes, tuple[float, float], tuple[float, float, int]]:
    samples = chunk.samples
    try:
        started = time.thread_time()
        payload = pipeline.encode(samples)
        encoded = time.thread_time()
        decoded = pipeline.decode(payload, samples.shape)
        ended = time.thread_time()
    except Exception as error:  # libraries raise what they like
        raise N1StoreError(f"{chunk.label}: {one_line(error)}") from error
    seconds = encoded - started, ended - encoded
    if not lossy:
        if decoded.dtype != samples.dtype or not np.array_equal(decoded, samples):
            raise N1StoreError(f"{chunk.label}: comes back changed, and must not")
        return payload, seconds, (0.0, 0.0, 0)
    original = samples.astype(np.float64)
    difference = decoded - original
    errors = (
        float(np.vdot(original, original)),
        float(np.vdot(difference, difference)),
        int(np.abs(difference).max(initial=0)),
    )
    return payload, seconds, errors


def transformed_entropy(pipeline: Pipeline, chunks: Iterable[Chunk]) -> float:
    """Return the order-0 entropy of what the stages from array to array make of all chunks.

    It is what the best code for one value at a time would take, in bits per sample, if it were
    told how often each value occurs in all the chunks.
    """
    transforms = [codec for entry, codec in pipeline.stages if entry.kind == "array-array"]
    counts = np.zeros(1 << 16, np.int64)
    num_samples = 0
    for chunk in chunks:
        values = chunk.samples
        num_samples += values.size
        for codec in transforms:
            values = codec.encode(values)
        flat = np.ascontiguousarray(values).reshape(-1)
        # Values of more than 16 bits are counted in halves, so that one table of counts is enough.
        flat = flat.view(np.uint8 if flat.dtype.itemsize == 1 else np.uint16)
        counts += np.bincount(flat, minlength=counts.size)
    present = counts[counts > 0]
    total = int(present.sum())
    bits = float(present @ np.log2(total / present))
    return bits / max(num_samples, 1)


@contextmanager
def single_threads() -> Iterator[None]:
    """Have libraries that start threads of their own use only one."""
    before = numcodecs.blosc.use_threads
    numcodecs.blosc.use_threads = False
    blosc2 = sys.modules.get("blosc2")
    blosc2_before = blosc2.set_nthreads(1) if blosc2 else None
    try:
        yield
    finally:
        numcodecs.blosc.use_threads = before
        if blosc2 and blosc2_before:
            blosc2.set_nthreads(blosc2_before)


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this thread, and those that it starts, on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


ROUND_SECONDS = 0.1
FEWEST_TIMED = 8  # chunks, as chunks differ


@dataclass(frozen=True)
class Round:
    """What a pipeline did in a round.

    Attributes
    ----------
    encode, decode : float
        MB (10^6 bytes of samples) per CPU second.
    """

    encode: float
    decode: float


def time_round(
    pipeline: Pipeline,
    chunks: Sequence[Chunk],
    encode_seconds: float,
    decode_seconds: float,
    round_seconds: float = ROUND_SECONDS,
) -> Round:
    """Time a pipeline: encode some chunks for about `round_seconds`, and decode them as long.

    Parameters
    ----------
    pipeline : Pipeline
    chunks : sequence of Chunk
        Of which the first ones are taken, as many as there is time to encode, but at least 8. If
        there is time for more than all of them, they are encoded again.
    encode_seconds, decode_seconds : float
        About how long all the chunks take.
    round_seconds : float
    """
    part = round_seconds / max(encode_seconds, 1e-9)
    taken = chunks[: max(FEWEST_TIMED, math.ceil(part * len(chunks)))]
    encode_seconds *= len(taken) / len(chunks)
    decode_seconds *= len(taken) / len(chunks)
    megabytes = sum(chunk.samples.nbytes for chunk in taken) / 1e6

    # Once untimed, so that the caches hold what this pipeline needs and not what another left.
    pipeline.decode(pipeline.encode(taken[0].samples), taken[0].samples.shape)

    passes = _passes(encode_seconds, round_seconds)
    started = time.process_time()
    for _ in range(passes):
        payloads = [pipeline.encode(chunk.samples) for chunk in taken]
    encode = megabytes * passes / (time.process_time() - started)

    passes = _passes(decode_seconds, round_seconds)
    started = time.process_time()
    for _ in range(passes):
        for chunk, payload in zip(taken, payloads, strict=True):
            pipeline.decode(payload, chunk.samples.shape)
    decode = megabytes * passes / (time.process_time() - started)
    return Round(encode, decode)


def _passes(seconds: float, round_seconds: float) -> int:
    return max(1, round(round_seconds / max(seconds, 1e-4)))


def peak_memory(pipeline: Pipeline, chunk: Chunk, payload: bytes, workers: Workers) -> PeakMemory:
    """Return by how many bytes a process grows at most while it encodes, or decodes, a chunk.

    Each is done once in a process of its own, which has encoded and decoded a small chunk before,
    so that libraries are loaded. The payload, or the samples that come back, are counted.

    Raises
    ------
    N1StoreError
        If a process fails, or the system does not tell (clear_refs in /proc of Linux).
    """
    tasks = (("encode", chunk.samples.tobytes()), ("decode", payload))
    encode, decode = (
        workers.submit(_peak_in_new_process, pipeline, task, chunk.samples.shape, data)
        for task, data in tasks
    )
    return PeakMemory(encode.result(), decode.result())


_NEW_PROCESS = "from n1store.study.measurement import print_own_peak; print_own_peak()"


def _peak_in_new_process(pipeline: Pipeline, task: str, shape: tuple[int, ...], data: bytes) -> int:
    command = [sys.executable, "-P", "-c", _NEW_PROCESS, pipeline.spec, task, json.dumps(shape)]
    ended = subprocess.run(command, input=data, capture_output=True, check=False)
    if ended.returncode != 0:
        why = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise N1StoreError(
            f"{task} in a process of its own: {why or f'ended with {ended.returncode}'}"
        )
    return int(ended.stdout)


def print_own_peak() -> None:
    """Do what a process of `peak_memory` is for, and print by how many bytes it grew.

    `sys.argv` has the pipeline, 'encode' or 'decode', and the chunk's shape; standard input has
    the samples or the payload.
    """
    spec, task, shape = sys.argv[1], sys.argv[2], tuple(json.loads(sys.argv[3]))
    data = sys.stdin.buffer.read()
    pipeline = parse_pipeline(spec)
    small = np.zeros((256, shape[1]), "<i2")
    with single_threads(), one_core():
        pipeline.decode(pipeline.encode(small), small.shape)
        samples = np.frombuffer(data, "<i2").reshape(shape) if task == "encode" else None
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
        before = _own_memory("VmRSS")
        if samples is not None:
            pipeline.encode(samples)
        else:
            pipeline.decode(data, shape)
        print(max(0, _own_memory("VmHWM") - before))


def _own_memory(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    assert found, status
    return 1024 * int(found[1])


NUM_WINDOWS = 40


def random_access(
    pipeline: Pipeline,
    excerpts: Sequence[Chunk],
    chunk_seconds: float,
    window_seconds: float,
    num_windows: int = NUM_WINDOWS,
) -> float:
    """Return how fast windows are read at random places, in xRT.

    Parameters
    ----------
    pipeline : Pipeline
    excerpts : sequence of Chunk
        Longer pieces of recordings, which are cut into chunks of `chunk_seconds` and encoded. One
        that is shorter than a chunk is one chunk; one that is shorter than a window is read whole.
    chunk_seconds, window_seconds : float
    num_windows : int

    Returns
    -------
    float
        Seconds of recording per CPU second, the median of all windows.

    Raises
    ------
    N1StoreError
        If a lossless pipeline gives a window back changed.
    """
    stored = []
    for excerpt in excerpts:
        rate = len(excerpt.samples) / excerpt.seconds
        pieces = cut(excerpt.samples, max(1, round(chunk_seconds * rate)))
        stored.append((rate, pieces, [pipeline.encode(piece) for piece in pieces]))
    rng = np.random.default_rng(0)
    speeds = []
    for _ in range(num_windows):
        rate, pieces, payloads = stored[rng.integers(len(stored))]
        num_samples = sum(map(len, pieces))
        length = min(max(1, round(window_seconds * rate)), num_samples)
        start = int(rng.integers(num_samples - length + 1))
        shapes = [piece.shape for piece in pieces]
        started = time.process_time()
        window = read_window(pipeline, payloads, shapes, start, length)
        seconds = time.process_time() - started
        if not pipeline.loss:
            expected = np.concatenate(pieces)[start : start + length]
            if not np.array_equal(window, expected):
                raise N1StoreError("a window of random access is not what was encoded")
        speeds.append(length / rate / seconds)
    return float(np.median(speeds))


def read_window(
    pipeline: Pipeline,
    payloads: Sequence[bytes],
    shapes: Sequence[tuple[int, ...]],
    start: int,
    length: int,
) -> np.ndarray:
    """Return a window of a recording: decode each chunk that has a part of it, and copy that part.

    Parameters
    ----------
    pipeline : Pipeline
    payloads, shapes : sequence
        Of the recording's chunks, of which all but the last are of the same length; a shape is
        (num_samples, num_channels).
    start, length : int
        In samples.

    Returns
    -------
    ndarray of int16, shape (length, num_channels)
    """
    chunk_samples, num_channels = shapes[0]
    window = np.empty((length, num_channels), "<i2")
    for number in range(start // chunk_samples, (start + length - 1) // chunk_samples + 1):
        chunk = pipeline.decode(payloads[number], shapes[number])
        offset = number * chunk_samples - start
        first, last = max(0, offset), min(length, offset + len(chunk))
        window[first:last] = chunk[first - offset : last - offset]
    return window


def cut(samples: np.ndarray, chunk_samples: int) -> list[np.ndarray]:
    """Cut samples into chunks; a remainder shorter than a hundredth of one is left out."""
    pieces = [
        np.ascontiguousarray(samples[start : start + chunk_samples])
        for start in range(0, len(samples), chunk_samples)
    ]
    if len(pieces) > 1 and is_negligible(len(pieces[-1]), chunk_samples):
        pieces.pop()
    return pieces


def is_negligible(num_samples: int, chunk_samples: int) -> bool:
    """Return whether a recording's last chunk is so short that it says nothing of a codec."""
    return 100 * num_samples < chunk_samples


@dataclass(frozen=True)
class Instruments:
    """How `compare` measures; a caller can have it measure less, or by other means.

    Attributes
    ----------
    round_seconds : float
        How long a round encodes, and decodes, with a pipeline.
    num_windows : int
        How many windows are read at random places.
    peak_memory : callable
        As the function `peak_memory`.
    """

    round_seconds: float = ROUND_SECONDS
    num_windows: int = NUM_WINDOWS
    peak_memory: Callable[[Pipeline, Chunk, bytes, Workers], PeakMemory] = peak_memory
