"""Every codec on the same chunks, side by side: which is small, which fast, and at what cost."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar

import numpy as np

from n1store.codecs.native import package_folders
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError, one_line
from n1store.sources.base import Findings, Input
from n1store.sources.inputs import find_inputs
from n1store.stores.grid import DTYPE, Grid, chunk_shape_for
from n1store.study.candidates import choose_pipelines
from n1store.study.estimate import estimate_seconds
from n1store.study.journal import Journal, open_journal
from n1store.study.measurement import (
    Chunk,
    Instruments,
    is_negligible,
    measure_sizes,
    one_core,
    random_access,
    single_threads,
    time_round,
    transformed_entropy,
)
from n1store.study.results import (
    Access,
    Comparison,
    DataFacts,
    Environment,
    Error,
    Failure,
    PeakMemory,
    Result,
    Speed,
    write_results,
)
from n1store.study.shown import best_of_groups, front_of, pareto_front
from n1store.system.parallel import Workers, available_cores
from n1store.version import __version__

Item = TypeVar("Item")

# ---- What they are compared on --------------------------------------------------------------

ChunkSeconds = float | Literal["whole"] | None
"""Seconds of recording in a chunk; or all of each recording, in all its channels, as one chunk; or
as `convert` would cut it: the chunks of a store as they are, and others of 1 s."""

_MOST_BYTES = 64_000_000
_NUM_EXCERPTS = 4
_EXCERPT_SECONDS = 10.0
_EXCERPT_BYTES = 16_000_000


@dataclass(frozen=True, eq=False)
class Data:
    """What is compared on.

    Attributes
    ----------
    facts : DataFacts
    chunks : list of Chunk
        In the order of the recordings.
    excerpts : list of Chunk
        Longer pieces of a few recordings, for random access.
    digest : str
        SHA-256 of all chunks and excerpts.
    """

    facts: DataFacts
    chunks: list[Chunk]
    excerpts: list[Chunk]
    digest: str


def load_data(
    sources: Sequence[Path], sample: int | None = None, chunk_seconds: ChunkSeconds = None
) -> Data:
    """Read the chunks to compare on.

    Parameters
    ----------
    sources : sequence of Path
        WAV files, folders of them, and stores.
    sample : int, optional
        How many chunks to take, at random, but the same ones each time; by default as many as
        64 MB hold.
    chunk_seconds : float or 'whole', optional
        See `ChunkSeconds`.

    Raises
    ------
    N1StoreError
        If they cannot be read or hold no samples.
    """
    if isinstance(chunk_seconds, float | int) and not 0 < chunk_seconds < float("inf"):
        raise N1StoreError(f"chunks must be longer than 0 s, not {chunk_seconds:g} s")
    if sample is not None and sample < 1:
        raise N1StoreError("at least one chunk is needed")
    with ExitStack() as stack:
        findings = Findings(stack)
        inputs = [
            each
            for each in find_inputs(sources, "stop", findings)
            if each.num_samples and each.num_channels
        ]
        if not inputs:
            names = ", ".join(map(str, sources)) or "no sources are given"
            raise N1StoreError(
                "; ".join([f"{names}: no samples to compare codecs on", *findings.skipped])
            )
        places = list(_places(inputs, chunk_seconds))
        total = sum(map(_place_bytes, places))
        if sample is None:
            sample = max(1, int(len(places) * min(1.0, _MOST_BYTES / total)))
        order = np.random.default_rng(0).permutation(len(places))[:sample]
        chunks = [_read_chunk(*places[number]) for number in sorted(order.tolist())]
        excerpts = [_read_excerpt(each) for each in _spread(inputs, _NUM_EXCERPTS)]
    digest = hashlib.sha256()
    for chunk in (*chunks, *excerpts):
        digest.update(f"{chunk.samples.shape} {chunk.seconds!r} ".encode())
        digest.update(chunk.samples.data)
    facts = _facts(sources, inputs, chunks, places, findings.skipped)
    return Data(facts, chunks, excerpts, digest.hexdigest())


_Place = tuple[Input, slice, slice]
"""Where a chunk is: the recording, and its samples and channels."""


def _places(inputs: list[Input], chunk_seconds: ChunkSeconds) -> Iterator[_Place]:
    for source in inputs:
        grid = _grid(source, chunk_seconds)
        for index in grid.indices():
            samples, channels = grid.region(index)
            length = samples.stop - samples.start
            if not (index[0] and is_negligible(length, grid.chunk_shape[0])):
                yield source, samples, channels


def _grid(source: Input, chunk_seconds: ChunkSeconds) -> Grid:
    shape = source.num_samples, source.num_channels
    if chunk_seconds == "whole":
        return Grid(shape, shape)
    if chunk_seconds is None and source.chunk_shape is not None:
        return Grid(shape, source.chunk_shape)
    return Grid(shape, chunk_shape_for(shape, source.sampling_frequency, chunk_seconds or 1.0))


def _place_bytes(place: _Place) -> int:
    _, samples, channels = place
    num_samples: int = (samples.stop - samples.start) * (channels.stop - channels.start)
    return DTYPE.itemsize * num_samples


def _read_chunk(source: Input, samples: slice, channels: slice) -> Chunk:
    content = source.read(samples.start, samples.stop)[:, channels]
    share = content.shape[1] / source.num_channels
    return Chunk(
        f"{source.label}: samples {samples.start} to {samples.stop}",
        np.ascontiguousarray(content),
        len(content) / source.sampling_frequency * share,
    )


def _read_excerpt(source: Input) -> Chunk:
    length = min(
        round(_EXCERPT_SECONDS * source.sampling_frequency),
        _EXCERPT_BYTES // (DTYPE.itemsize * source.num_channels),
        source.num_samples,
    )
    samples = source.read(0, max(1, length))
    return Chunk(source.label, samples, len(samples) / source.sampling_frequency)


def _spread(items: Sequence[Item], count: int) -> list[Item]:
    """Return so many items, or all, evenly spread."""
    count = min(count, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def _facts(
    sources: Sequence[Path],
    inputs: list[Input],
    chunks: list[Chunk],
    places: list[_Place],
    left_out: list[str],
) -> DataFacts:
    longest = max(chunks, key=lambda chunk: len(chunk.samples))
    num_samples = sum(chunk.samples.size for chunk in chunks)
    return DataFacts(
        sources=[str(source) for source in sources],
        files=len(inputs),
        channels=max(each.num_channels for each in inputs),
        sampling_frequency=max(each.sampling_frequency for each in inputs),
        duration_s=sum(chunk.seconds for chunk in chunks),
        samples=num_samples,
        raw_bytes=DTYPE.itemsize * num_samples,
        chunk_seconds=_rounded(
            max((part.stop - part.start) / each.sampling_frequency for each, part, _ in places)
        ),
        chunk_samples=len(longest.samples),
        chunks=len(chunks),
        chunks_of=len(places),
        entropy=transformed_entropy(Pipeline.parse("zlib"), chunks),  # which transforms nothing
        entropy_adc=transformed_entropy(Pipeline.parse("adc"), chunks),
        lossy=list(dict.fromkeys(each.loss for each in inputs if each.loss)),
        left_out=left_out,
    )


# ---- How it is done -------------------------------------------------------------------------

_MOST_CHUNK_RATIOS = 1000
_ACCESS_CHUNK_SECONDS = (0.1, 0.25, 1.0, 5.0)
_ACCESS_WINDOW_SECONDS = 1.0


def compare(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    destination: str | os.PathLike[str],
    *,
    codecs: str | Iterable[str] = (),
    groups: str | Iterable[str] = (),
    adc: bool | None = None,
    sample: int | None = None,
    chunk_seconds: ChunkSeconds = None,
    repeats: int = 5,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    estimate: Callable[[int, float], None] | None = None,
    instruments: Instruments | None = None,
) -> Comparison:
    """Measure pipelines of codecs on the same chunks, and write the results to a folder.

    Each pipeline encodes and decodes all chunks, on all cores; a lossless one must give them back.
    Then pipelines are timed on one core, in turn, round after round, so that whatever else the
    machine does slows all of them alike; slow ones are timed with fewer chunks.

    Parameters
    ----------
    sources : path-like or iterable of path-like
        WAV files, folders of them, and stores.
    destination : path-like
        The folder. If it holds part of the same comparison, what is missing is measured.
    codecs, groups, adc
        See `choose_pipelines`; by default a dozen pipelines, ``"all"`` are over a hundred.
    sample, chunk_seconds
        See `load_data`.
    repeats : int
        Rounds of timing.
    overwrite : bool
        Whether to begin anew where the folder holds results.
    workers : int, optional
        Cores to use where nothing is timed; by default all.
    progress : callable, optional
        Called with the number of steps done and to do.
    estimate : callable, optional
        Called before anything is measured, with the number of pipelines and about how many seconds
        they take.
    instruments : Instruments, optional
        How it is measured.

    Returns
    -------
    Comparison

    Raises
    ------
    N1StoreError
        If an argument is wrong, a source cannot be read, or the folder holds other results.
    """
    if repeats < 1:
        raise N1StoreError("at least one repeat is needed")
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    instruments = instruments or Instruments()
    pipelines, missing = choose_pipelines(codecs, groups, adc)
    data = load_data([Path(source) for source in sources], sample, chunk_seconds)
    environment = _environment(pipelines)
    settings = {
        "program": _program(),
        "pipelines": [each.spec for each in pipelines],
        "repeats": repeats,
        "chunks": data.facts.chunks,
        "chunk_samples": data.facts.chunk_samples,
        "samples": data.digest,
        "machine_or_libraries": environment,
    }
    folder = Path(destination)
    with open_journal(folder, settings, overwrite) as journal, single_threads():
        if estimate is not None:
            seconds = estimate_seconds(
                pipelines, data.chunks, data.excerpts, journal, instruments, repeats, workers
            )
            estimate(len(pipelines), seconds)
        steps = _Steps(len(pipelines) * (1 + repeats), progress)
        failed = _measure_rows(pipelines, data, journal, instruments, workers, steps)
        _measure_rounds(pipelines, data, journal, instruments, repeats, steps, failed)
        chosen = _chosen_for_access(_results(pipelines, data, journal, failed))
        steps.total += len(chosen)
        for pipeline in pipelines:
            if pipeline.spec in chosen:
                _measure_access(pipeline, data, journal, instruments, failed)
                steps.take()
        comparison = Comparison(
            Environment(**environment, date=journal.date),
            data.facts,
            _results(pipelines, data, journal, failed),
            [Failure(pipeline, why) for pipeline, why in failed.items()],
            missing,
        )
        write_results(folder, comparison)
    return comparison


class _Steps:
    def __init__(self, total: int, progress: Callable[[int, int], None] | None):
        self.done, self.total, self._progress = 0, total, progress
        self.take(0)

    def take(self, count: int = 1) -> None:
        self.done += count
        if self._progress is not None:
            self._progress(self.done, self.total)


def _measure_rows(
    pipelines: list[Pipeline],
    data: Data,
    journal: Journal,
    instruments: Instruments,
    workers: int | None,
    steps: _Steps,
) -> dict[str, str]:
    """Measure sizes, memory and entropy; return the pipelines that fail, and why."""
    failed: dict[str, str] = {}
    entropies: dict[tuple[str, ...], float] = {}
    with Workers(workers) as pool:
        for pipeline in pipelines:
            steps.take()
            if pipeline.spec in journal.rows:
                continue
            try:
                sizes = measure_sizes(pipeline, data.chunks, pool)
                memory = instruments.peak_memory(pipeline, *sizes.largest, pool)
            except N1StoreError as error:
                failed[pipeline.spec] = one_line(error)
                continue
            stages = zip(pipeline.spec.split("+"), pipeline.stages, strict=True)
            front = tuple(text for text, (entry, _) in stages if entry.kind == "array-array")
            if front not in entropies:
                entropies[front] = transformed_entropy(pipeline, data.chunks)
            journal.add(
                "row",
                pipeline.spec,
                {
                    "payload_bytes": sizes.payload_bytes,
                    "encode_seconds": sizes.encode_seconds,
                    "decode_seconds": sizes.decode_seconds,
                    "peak_memory_bytes": asdict(memory),
                    "entropy_after": entropies[front],
                    "error": asdict(sizes.error) if sizes.error else None,
                },
            )
    return failed


def _measure_rounds(
    pipelines: list[Pipeline],
    data: Data,
    journal: Journal,
    instruments: Instruments,
    repeats: int,
    steps: _Steps,
    failed: dict[str, str],
) -> None:
    """Time all pipelines in turn, round after round."""
    order = np.random.default_rng(1).permutation(len(data.chunks))
    chunks = [data.chunks[number] for number in order]
    with one_core():
        for number in range(repeats):
            for pipeline in pipelines:
                steps.take()
                rounds = journal.rounds.get(pipeline.spec, [])
                if pipeline.spec in failed or len(rounds) > number:
                    continue
                row = journal.rows[pipeline.spec]
                try:
                    timed = time_round(
                        pipeline,
                        chunks,
                        row["encode_seconds"],
                        row["decode_seconds"],
                        instruments.round_seconds,
                    )
                except Exception as error:  # libraries raise what they like
                    failed[pipeline.spec] = f"when timed: {one_line(error)}"
                    continue
                journal.add("round", pipeline.spec, asdict(timed))


def _measure_access(
    pipeline: Pipeline,
    data: Data,
    journal: Journal,
    instruments: Instruments,
    failed: dict[str, str],
) -> None:
    """Measure a pipeline's curve of random access: its speed for each length of chunks."""
    if pipeline.spec in journal.access:
        return
    longest = max(chunk.seconds for chunk in data.excerpts)
    lengths = [each for each in _ACCESS_CHUNK_SECONDS if each <= longest] or [longest]
    curve = []
    with one_core():
        for length in lengths:
            try:
                xrt = random_access(
                    pipeline,
                    data.excerpts,
                    length,
                    _ACCESS_WINDOW_SECONDS,
                    instruments.num_windows,
                )
            except Exception as error:  # libraries raise what they like
                failed[pipeline.spec] = f"at random places: {one_line(error)}"
                return
            curve.append({"chunk_seconds": length, "xrt": _rounded(xrt)})
    journal.add("random_access", pipeline.spec, curve)


def _results(
    pipelines: list[Pipeline], data: Data, journal: Journal, failed: dict[str, str]
) -> list[Result]:
    results = [
        _result(pipeline, data, journal) for pipeline in pipelines if pipeline.spec not in failed
    ]
    front = {each.pipeline for each in pareto_front(results)}
    results = [replace(each, pareto=each.pipeline in front) for each in results]
    return sorted(results, key=lambda result: -result.ratio)


def _result(pipeline: Pipeline, data: Data, journal: Journal) -> Result:
    row, rounds = journal.rows[pipeline.spec], journal.rounds[pipeline.spec]
    texts = pipeline.spec.split("+")
    last = pipeline.stages[-1][0]
    payload_bytes = sum(row["payload_bytes"])
    num_samples, raw_bytes = data.facts.samples, data.facts.raw_bytes
    ratios = [
        _rounded(chunk.samples.nbytes / size) if size else 0.0
        for chunk, size in zip(data.chunks, row["payload_bytes"], strict=True)
    ]
    adc = texts[0] == "adc"
    xrt_of_mb = data.facts.duration_s / (raw_bytes / 1e6)

    def speed(direction: str) -> Speed:
        values = [each[direction] for each in rounds]
        median = statistics.median(values)
        return Speed(
            mb_per_s=_rounded(median),
            low=_rounded(min(values)),
            high=_rounded(max(values)),
            xrt=_rounded(median * xrt_of_mb),
        )

    return Result(
        pipeline=pipeline.spec,
        codec=last.name,
        group=last.group,
        summary=last.summary,
        adc=adc,
        transforms=texts[1 if adc else 0 : -1],
        lossless=not pipeline.loss,
        ratio=_rounded(raw_bytes / payload_bytes),
        bits_per_sample=_rounded(8 * payload_bytes / num_samples),
        payload_bytes=payload_bytes,
        encode=speed("encode"),
        decode=speed("decode"),
        peak_memory_bytes=PeakMemory(**row["peak_memory_bytes"]),
        entropy_before=round(data.facts.entropy, 5),
        entropy_after=round(row["entropy_after"], 5),
        chunk_ratios=_spread(ratios, _MOST_CHUNK_RATIOS),
        random_access=[Access(**each) for each in journal.access.get(pipeline.spec, [])],
        error=Error(**row["error"]) if row["error"] else None,
        pareto=False,
        repeats=len(rounds),
    )


def _rounded(value: float) -> float:
    """Return six digits of a number, however small it is."""
    return float(f"{value:.6g}")


def _chosen_for_access(results: list[Result]) -> set[str]:
    """Return the pipelines that random access is measured of: the front, and each group's best."""
    chosen = [*front_of(results), *best_of_groups(results)]
    return {each.pipeline for each in chosen}


# ---- What it is measured with ---------------------------------------------------------------


def _environment(pipelines: list[Pipeline]) -> dict[str, Any]:
    """Return all of an `Environment` but the date."""
    return {
        "n1store": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": _processor(),
        "cores": available_cores(),
        "libraries": _libraries(pipelines),
    }


def _processor() -> str:
    """Return the name of the processor, or its architecture where the system does not know it."""
    cpuinfo = Path("/proc/cpuinfo")
    content = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    name = re.search(r"^model name\s*:\s*(\S.*)$", content, re.MULTILINE)
    return name[1] if name else platform.processor() or platform.machine()


_packages = cache(packages_distributions)


def _program() -> str:
    """Return the SHA-256 of what n1store's codecs, and their measurement, are written in."""
    digest = hashlib.sha256()
    for folder in package_folders():
        measuring = [*folder.glob("codecs/**/*.py"), *folder.glob("study/measurement.py")]
        for file in sorted([*folder.glob("*.so"), *measuring]):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _libraries(pipelines: list[Pipeline]) -> dict[str, str]:
    """Return the versions of the packages that codecs are made of, and of numpy and zarr."""
    modules = {"numpy", "zarr"}
    for codec in {type(codec) for pipeline in pipelines for _, codec in pipeline.stages}:
        # The module of its class, those of the classes it is made from, and what these import.
        homes = {each.__module__ for each in codec.__mro__}
        contents = [each for home in homes for each in vars(sys.modules[home]).values()]
        names = [
            each.__name__ if isinstance(each, ModuleType) else getattr(each, "__module__", None)
            for each in contents
        ]
        modules |= homes | {name for name in names if isinstance(name, str)}
    packages = _packages()
    used = {name for each in modules for name in packages.get(each.partition(".")[0], ())}
    # wavpack-numcodecs compares versions with packaging, which encodes nothing.
    return {name: version(name) for name in sorted(used - {"n1store", "packaging"})}
