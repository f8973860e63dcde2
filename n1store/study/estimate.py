"""About how long a comparison will take, as far as its pipelines tell with a piece of a chunk."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from n1store.codecs.pipeline import Pipeline
from n1store.study.journal import Journal
from n1store.study.measurement import FEWEST_TIMED, Chunk, Instruments
from n1store.system.parallel import Workers, available_cores

_PIECE_BYTES = 50_000
_MORE_CURVES = 4
"""How many pipelines random access is measured of, beside one in each group; see `compare`."""


def estimate_seconds(
    pipelines: Sequence[Pipeline],
    chunks: Sequence[Chunk],
    excerpts: Sequence[Chunk],
    journal: Journal,
    instruments: Instruments,
    repeats: int,
    workers: int | None,
) -> float:
    """Return about how many seconds a comparison will take, without what is in its journal.

    Each pipeline encodes and decodes a piece of a chunk, and one of them is measured in processes
    of their own. What fails here will do so again, and then says why.

    Parameters
    ----------
    pipelines : sequence of Pipeline
    chunks, excerpts : sequence of Chunk
        What they will be measured on.
    journal : Journal
    instruments : Instruments
    repeats : int
        Rounds of timing.
    workers : int, optional
        Cores to use where nothing is timed; by default all.
    """
    cores = workers or available_cores()
    total_bytes = sum(chunk.samples.nbytes for chunk in chunks)
    timed_bytes = total_bytes * min(1.0, FEWEST_TIMED / len(chunks))
    excerpt_bytes = sum(chunk.samples.nbytes for chunk in excerpts)
    excerpt_seconds = sum(chunk.seconds for chunk in excerpts)
    # Windows of 1 s, each with the chunks around it, once for each length of chunks.
    window_bytes = 4 * instruments.num_windows * 2 * excerpt_bytes / excerpt_seconds
    piece = _piece_of(chunks[0])
    process_seconds: float | None = None
    seconds, curves, groups = 0.0, [], set()
    for pipeline in pipelines:
        try:
            payload, encoding, decoding = _seconds_per_byte(pipeline, piece)
            if pipeline.spec not in journal.rows:
                if process_seconds is None:
                    process_seconds = _process_seconds(pipeline, piece, payload, instruments, cores)
                seconds += total_bytes * (encoding + decoding) / cores + process_seconds
        except Exception:  # libraries raise what they like
            continue
        rounds = repeats - len(journal.rounds.get(pipeline.spec, ()))
        for each in (encoding, decoding):
            seconds += rounds * max(instruments.round_seconds, timed_bytes * each)
        if not journal.access:  # which come last, so that few are left where there are some
            curves.append(4 * excerpt_bytes * encoding + window_bytes * decoding)
            groups.add(pipeline.stages[-1][0].group)
    share = min(1.0, (len(groups) + _MORE_CURVES) / len(curves)) if curves else 0.0
    return seconds + share * sum(curves)


def _piece_of(chunk: Chunk) -> Chunk:
    """Return the beginning of a chunk."""
    length = math.ceil(_PIECE_BYTES / chunk.samples[:1].nbytes)
    samples = chunk.samples[:length]
    return Chunk(chunk.label, samples, chunk.seconds * len(samples) / len(chunk.samples))


def _seconds_per_byte(pipeline: Pipeline, piece: Chunk) -> tuple[bytes, float, float]:
    """Return a piece's payload, and the CPU time to encode and decode a byte of samples."""
    for _ in range(2):  # the first time libraries are loaded
        started = time.thread_time()
        payload = pipeline.encode(piece.samples)
        encoded = time.thread_time()
        pipeline.decode(payload, piece.samples.shape)
        ended = time.thread_time()
    num_bytes = piece.samples.nbytes
    return payload, (encoded - started) / num_bytes, (ended - encoded) / num_bytes


def _process_seconds(
    pipeline: Pipeline, piece: Chunk, payload: bytes, instruments: Instruments, cores: int
) -> float:
    """Return how long it takes to measure memory, most of which is the start of processes."""
    started = time.perf_counter()
    with Workers(cores) as pool:
        instruments.peak_memory(pipeline, piece, payload, pool)
    return time.perf_counter() - started
