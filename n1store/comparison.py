"""Every codec on the same chunks, side by side: which is small, which fast, and at what cost.

The results are a folder. `rows.jsonl` is the journal: a first line on what is measured, then a
line for each row, round and curve as soon as it is measured, from which a comparison that was
stopped goes on. At the end come `results.json`, which is `Comparison.to_dict`, and `results.csv`,
the same without lists. Of `results.json`::

    format          1
    measured_with   n1store, python, machine, cpu, cores, date, libraries: {name: version}
    data            sources: [str], files, channels, sampling_frequency (Hz), duration_s, samples,
                    raw_bytes, chunk_seconds, chunk_samples, chunks, chunks_of (how many there
                    are to choose from), entropy and entropy_adc (bits per sample, order 0),
                    left_out: [str] of what could not be read in stores
    noise           median over all speeds of (high - low) / median
    results         the dicts of `Result`, the highest ratio first
    failed          pipeline, why
    missing         codec, why, install
"""

from __future__ import annotations

import csv
import datetime
import fcntl
import hashlib
import json
import os
import platform
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import packages_distributions, version
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np

import n1store
from n1store.atomic import replacing
from n1store.catalogue import CATALOGUE, Entry
from n1store.errors import N1StoreError, one_line
from n1store.inputs import Input, find_inputs
from n1store.measurement import (
    Chunk,
    Error,
    is_rest,
    measure_sizes,
    one_core,
    peak_memory,
    random_access,
    single_threads,
    time_round,
    transformed_entropy,
)
from n1store.parallel import Workers, available_cores
from n1store.pipeline import Pipeline
from n1store.plan import plan_arrays
from n1store.stores.grid import DTYPE

FORMAT = 1

# ---- Which pipelines are compared -----------------------------------------------------------

_IN_FRONT_OF = {"dictionary", "entropy", "run-length", "blosc"}
"""Groups whose codecs predict nothing themselves, and are tried with `delta` in front too."""

_BEHIND_FILTERS = ("rans", "arithmetic", "huffman", "zstd")
"""Codecs that a filter is tried with, as it makes nothing smaller alone: with its default
parameters each of them, with others the first."""

_LEVELS = ("level", "clevel", "preset", "order", "levels")
"""Parameters that are tried at their lowest, default and highest value."""

_WITH_LEVELS = {"filter", "predictive", "audio", "numeric", "transform"}
"""Groups, beside the codecs below, of which that is worth the time."""
_CODECS_WITH_LEVELS = {"zstd"}

_MOST_COMBINATIONS = 16
_LARGE_NUMBERS = {str(number) for number in range(3, 100)}
"""Words that stand for numbers, of which there the smallest do."""

_TIMES_THE_LEAST = (1, 1.5, 2)
"""What a lossy codec may take of bits, as multiples of the least."""


def variants(entry: Entry) -> list[str]:
    """Return the stages to compare of a codec, the one of the default parameters first.

    These are all combinations of the words that its parameters take, or where that is too many
    each word beside the defaults of the others; and the lowest and highest level.
    """
    worded = [each for each in entry.parameters if each.choices]
    defaults = {each.name: each.default for each in worded}
    words = [sorted(each.choices, key=each.default.__ne__) for each in worded]
    values: list[dict[str, Any]] = [
        dict(zip(defaults, each, strict=True)) for each in product(*words)
    ]
    if len(values) > _MOST_COMBINATIONS:
        values = [each for each in values if len(each.items() - defaults.items()) <= 1]
        values = [each for each in values if not _LARGE_NUMBERS & set(each.values())]
    for each in entry.parameters:
        if each.name in _LEVELS and isinstance(each.default, int):
            if not worded:
                values = [{each.name: each.default}]
            if entry.group in _WITH_LEVELS or entry.name in _CODECS_WITH_LEVELS:
                values += [{each.name: level} for level in (max(1, each.low), each.high)]
    default, *others = dict.fromkeys(_stage(entry, each) for each in values)
    # What stands in front of many others is called by its name alone.
    return [entry.name if entry.stands_in_front else default, *others]


def lossy_variants(entry: Entry) -> list[str]:
    """Return the stages to compare of a codec that need not give samples back as they were.

    They stand alone, as in front of them nothing may stand.
    """
    stages = []
    for each in entry.parameters:
        if each.name == entry.loses_with:
            values = [factor * each.low for factor in _TIMES_THE_LEAST]
            values = [int(value) for value in values] if each.is_integer else values
            stages += [_stage(entry, {each.name: value}) for value in dict.fromkeys(values)]
    return stages


def _stage(entry: Entry, values: dict[str, Any]) -> str:
    settings = ",".join(f"{name}={value}" for name, value in values.items())
    return f"{entry.name}:{settings}" if settings else entry.name


def pipelines_of(entry: Entry, adc: bool | None) -> list[str]:
    """Return the pipelines to compare of a codec of the catalogue.

    With both, the other parameters than the default ones are tried behind `adc` only.

    Parameters
    ----------
    entry : Entry
    adc : bool, optional
        Whether they have `adc` in front; by default both, where a codec does not map itself.
    """
    default, *others = variants(entry)
    if entry.stands_in_front:
        # Bytes that were moved are nothing to coders of 16-bit numbers.
        numbers = entry.kind == "array-array"
        partners = [
            CATALOGUE[name]
            for name in _BEHIND_FILTERS
            if name in CATALOGUE and (numbers or CATALOGUE[name].group == "dictionary")
        ]
        behind = [variants(partner)[0] for partner in partners]
        defaults = [f"{default}+{stage}" for stage in behind]
        others = [f"{front}+{stage}" for front in others for stage in behind[:1]]
    else:
        defaults = [default]
        if entry.group in _IN_FRONT_OF:
            defaults.append(f"delta+{default}")
    lossy = lossy_variants(entry)
    if entry.maps:
        return defaults + others + lossy
    mapped = [f"adc+{spec}" for spec in (*defaults, *others)]
    if adc is None:
        return mapped + defaults + lossy
    return (mapped if adc else defaults + others) + lossy


def choose_pipelines(
    codecs: Iterable[str] = ("all",), adc: bool | None = None
) -> tuple[list[Pipeline], list[dict[str, str]]]:
    """Return the pipelines to compare, and the codecs among them that are not installed.

    Parameters
    ----------
    codecs : iterable of str
        Each one a list, separated by commas, of pipelines, groups of the catalogue, and ``all``.
        Of a group all its codecs are tried, with several parameters.
    adc : bool, optional
        Whether pipelines get `adc` in front, if they are lossless and do not map samples
        themselves; by default they are compared with and without it.

    Returns
    -------
    list of Pipeline
        Each once.
    list of dict
        With `codec`, `why` and `install`.

    Raises
    ------
    N1StoreError
        If there is nothing of a name, or a codec that is named itself is not installed.
    """
    groups = dict.fromkeys(each.group for each in CATALOGUE.values() if each.group != "checksum")
    found: dict[str, Pipeline] = {}
    missing: dict[str, dict[str, str]] = {}
    for name in (name for each in codecs for name in split_codecs(each)):
        if name != "all" and name not in groups:
            for spec in _with_and_without_adc(name, adc):
                pipeline = Pipeline.parse(spec)
                found.setdefault(pipeline.spec, pipeline)
            continue
        for entry in CATALOGUE.values():
            if entry.group not in groups or name not in ("all", entry.group):
                continue
            if entry.name == "adc":
                continue  # it is in front of others
            try:
                entry.build()
            except N1StoreError as error:
                missing[entry.name] = _missing(entry, error)
                continue
            for spec in pipelines_of(entry, adc):
                try:
                    pipeline = Pipeline.parse(spec)
                except N1StoreError as error:
                    absent = _absent(spec)
                    if absent is None:
                        raise
                    missing[absent.name] = _missing(absent, error)
                    continue
                found.setdefault(pipeline.spec, pipeline)
    if not found:
        raise N1StoreError(
            "there is no codec to compare"
            + "".join(f"; {each['codec']}: {each['why']}" for each in missing.values())
        )
    return list(found.values()), list(missing.values())


def split_codecs(text: str) -> list[str]:
    """Split a list at its commas, but for those between the parameters of a codec."""
    names: list[str] = []
    for part in text.split(","):
        if names and re.match(r"\s*\w+\s*=", part):
            names[-1] += f",{part}"
        elif part.strip():
            names.append(part.strip())
    return names


def _with_and_without_adc(spec: str, adc: bool | None) -> list[str]:
    pipeline = Pipeline.parse(spec)
    if pipeline.loss or any(entry.maps for entry, _ in pipeline.stages):
        return [spec]
    mapped = f"adc+{spec}"
    return [mapped, spec] if adc is None else [mapped if adc else spec]


def _absent(spec: str) -> Entry | None:
    for stage in spec.split("+"):
        entry = CATALOGUE[stage.partition(":")[0]]
        try:
            entry.build()
        except N1StoreError:
            return entry
    return None


def _missing(entry: Entry, error: N1StoreError) -> dict[str, str]:
    return {"codec": entry.name, "why": one_line(error), "install": entry.install}


# ---- What they are compared on --------------------------------------------------------------

_MOST_BYTES = 64_000_000
_NUM_EXCERPTS = 4
_EXCERPT_SECONDS = 10.0
_EXCERPT_BYTES = 16_000_000


@dataclass(frozen=True, eq=False)
class Data:
    """What is compared on.

    Attributes
    ----------
    facts : dict
        `data` of the results.
    chunks : list of Chunk
        In the order of the recordings.
    excerpts : list of Chunk
        Longer pieces of a few recordings, for random access.
    digest : str
        SHA-256 of all of it.
    """

    facts: dict[str, Any]
    chunks: list[Chunk]
    excerpts: list[Chunk]
    digest: str


def load_data(
    sources: Sequence[Path], sample: int | None = None, chunk_seconds: float | None = None
) -> Data:
    """Read the chunks to compare on.

    Parameters
    ----------
    sources : sequence of Path
        WAV files, folders of them, and stores.
    sample : int, optional
        How many chunks to take, at random, but the same ones each time; by default as many as
        64 MB hold.
    chunk_seconds : float, optional
        By default as `convert` has it: those of a store, or 1 s.

    Raises
    ------
    N1StoreError
        If they cannot be read or hold no samples.
    """
    if chunk_seconds is not None and not 0 < chunk_seconds < float("inf"):
        raise N1StoreError(f"chunks must be longer than 0 s, not {chunk_seconds:g} s")
    with ExitStack() as stack:
        skipped: list[str] = []
        inputs = [
            each
            for each in find_inputs(list(sources), "stop", skipped, [], stack)
            if each.num_samples and each.num_channels
        ]
        if not inputs:
            names = ", ".join(map(str, sources)) or "no sources are given"
            raise N1StoreError("; ".join([f"{names}: no samples to compare codecs on", *skipped]))
        places = list(_places(inputs, chunk_seconds))
        total = sum(_place_bytes(place) for place in places)
        if sample is None:
            sample = max(1, int(len(places) * min(1.0, _MOST_BYTES / total)))
        order = np.random.default_rng(0).permutation(len(places))[:sample]
        chunks = [_read_chunk(*places[number]) for number in sorted(order.tolist())]
        excerpts = [_read_excerpt(each) for each in _spread(inputs, _NUM_EXCERPTS)]
        facts = _facts(sources, inputs, chunks, places) | {"left_out": skipped}
    digest = hashlib.sha256()
    for chunk in (*chunks, *excerpts):
        digest.update(f"{chunk.samples.shape} {chunk.seconds!r} ".encode())
        digest.update(chunk.samples.data)
    return Data(facts, chunks, excerpts, digest.hexdigest())


_Place = tuple[Input, slice, slice]


def _places(inputs: list[Input], chunk_seconds: float | None) -> Iterator[_Place]:
    for plan in plan_arrays(inputs, "recordings", "recordings", chunk_seconds, 1.0, 0):
        [source] = plan.inputs
        for index in plan.grid.indices():
            samples, channels = plan.grid.region(index)
            length = samples.stop - samples.start
            if not (index[0] and is_rest(length, plan.grid.chunk_shape[0])):
                yield source, samples, channels


def _place_bytes(place: _Place) -> int:
    _, samples, channels = place
    return DTYPE.itemsize * (samples.stop - samples.start) * (channels.stop - channels.start)


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


def _spread(items: Sequence, count: int) -> list:
    """Return so many items, or all, evenly spread."""
    count = min(count, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def _facts(
    sources: Sequence[Path], inputs: list[Input], chunks: list[Chunk], places: list[_Place]
) -> dict[str, Any]:
    longest = max(chunks, key=lambda chunk: len(chunk.samples))
    num_samples = sum(chunk.samples.size for chunk in chunks)
    rate = inputs[0].sampling_frequency
    return {
        "sources": [str(source) for source in sources],
        "files": len(inputs),
        "channels": max(each.num_channels for each in inputs),
        "sampling_frequency": rate,
        "duration_s": sum(chunk.seconds for chunk in chunks),
        "samples": num_samples,
        "raw_bytes": DTYPE.itemsize * num_samples,
        "chunk_seconds": round(len(longest.samples) / rate, 3),
        "chunk_samples": len(longest.samples),
        "chunks": len(chunks),
        "chunks_of": len(places),
        "entropy": transformed_entropy(Pipeline.parse("zlib"), chunks),
        "entropy_adc": transformed_entropy(Pipeline.parse("adc"), chunks),
    }


# ---- What comes of it -----------------------------------------------------------------------


@dataclass(frozen=True)
class Speed:
    """A speed on one core.

    Attributes
    ----------
    mb_per_s, low, high : float
        Median, lowest and highest of the rounds; 10^6 bytes of samples per CPU second.
    xrt : float
        The median in seconds of recording per CPU second.
    """

    mb_per_s: float
    low: float
    high: float
    xrt: float


@dataclass(frozen=True)
class Result:
    """A pipeline, and all that was measured of it.

    Attributes
    ----------
    pipeline, codec, group, summary : str
        The pipeline, and its last codec, with the catalogue's group and line.
    adc : bool
        Whether `adc` is in front.
    transforms : list of str
        The stages between `adc` and the last one.
    lossless : bool
        Then all chunks came back bit by bit.
    ratio, bits_per_sample : float
    payload_bytes : int
        Of all chunks; 2 bytes a sample over it are the ratio.
    encode, decode : Speed
    peak_memory_bytes : dict of str to int
        `encode` and `decode`: by how much a process grows that does so with the largest chunk.
    entropy_before, entropy_after : float
        Order 0, in bits per sample: of the samples, and of what the stages from array to array
        (`adc` too) make of them.
    chunk_ratios : list of float
        Of each chunk; of 1000 where there are more.
    random_access : list of dict
        `chunk_seconds` and `xrt`: reading 1 s at random places from chunks of this length. Only
        for the Pareto front and the smallest of each group.
    error : Error or None
        Of lossy pipelines.
    pareto : bool
        Whether no lossless one is at least as small and decoded as fast, and better in one.
    repeats : int
        Rounds that were timed.
    """

    pipeline: str
    codec: str
    group: str
    summary: str
    adc: bool
    transforms: list[str]
    lossless: bool
    ratio: float
    bits_per_sample: float
    payload_bytes: int
    encode: Speed
    decode: Speed
    peak_memory_bytes: dict[str, int]
    entropy_before: float
    entropy_after: float
    chunk_ratios: list[float]
    random_access: list[dict[str, float]]
    error: Error | None
    pareto: bool
    repeats: int

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        return asdict(self)

    def to_line(self) -> dict[str, Any]:
        """Return all but lists of numbers, for CSV."""
        line: dict[str, Any] = {}
        for name, value in self.to_dict().items():
            if name in ("encode", "decode", "peak_memory_bytes", "error"):
                keys = _CSV_PARTS[name]
                line |= {f"{name}_{key}": (value or {}).get(key) for key in keys}
            elif name == "transforms":
                line[name] = "+".join(value)
            elif not isinstance(value, list):
                line[name] = value
        return line


_CSV_PARTS = {
    "encode": ("mb_per_s", "low", "high", "xrt"),
    "decode": ("mb_per_s", "low", "high", "xrt"),
    "peak_memory_bytes": ("encode", "decode"),
    "error": ("rmse", "max", "snr_db"),
}


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    measured_with, data : dict
        As the module's description has them.
    results : list of Result
        The highest ratio first.
    failed, missing : list of dict
        Pipelines that gave samples back changed or could not do with them; codecs that are not
        installed.
    """

    measured_with: dict[str, Any]
    data: dict[str, Any]
    results: list[Result]
    failed: list[dict[str, str]]
    missing: list[dict[str, str]]

    @property
    def noise(self) -> float:
        """Median over all speeds of how far the rounds lie apart, relative to their median."""
        speeds = [speed for each in self.results for speed in (each.encode, each.decode)]
        spreads = [(speed.high - speed.low) / speed.mb_per_s for speed in speeds]
        return round(statistics.median(spreads), 4) if spreads else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        return {
            "format": FORMAT,
            "measured_with": self.measured_with,
            "data": self.data,
            "noise": self.noise,
            "results": [each.to_dict() for each in self.results],
            "failed": self.failed,
            "missing": self.missing,
        }


# ---- How it is done -------------------------------------------------------------------------

_MOST_CHUNK_RATIOS = 1000
_ACCESS_CHUNK_SECONDS = (0.1, 0.25, 1.0, 5.0)
_ACCESS_WINDOW_SECONDS = 1.0


def compare(
    sources: str | os.PathLike | Iterable[str | os.PathLike],
    destination: str | os.PathLike,
    *,
    codecs: Iterable[str] = ("all",),
    adc: bool | None = None,
    sample: int | None = None,
    chunk_seconds: float | None = None,
    repeats: int = 5,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Measure pipelines of codecs on the same chunks, and write the results to a folder.

    Each pipeline encodes and decodes all chunks, on all cores, and must give them back. Then, on
    one core, pipelines are timed in turn, round after round, so that whatever else the machine
    does hits them alike; slow ones with fewer chunks.

    Parameters
    ----------
    sources : path-like or iterable of path-like
        WAV files, folders of them, and stores.
    destination : path-like
        The folder. One that holds part of the same comparison is completed.
    codecs, adc
        As those of `choose_pipelines`.
    sample, chunk_seconds
        As those of `load_data`.
    repeats : int
        Rounds.
    overwrite : bool
        Whether to begin anew where the folder holds results.
    workers : int, optional
        Cores to use where nothing is timed; by default all.
    progress : callable, optional
        Called with the number of steps done and to do.

    Raises
    ------
    N1StoreError
        If an argument is wrong, a source cannot be read, or the folder holds other results.
    """
    if repeats < 1:
        raise N1StoreError("at least one repeat is needed")
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    pipelines, missing = choose_pipelines(codecs, adc)
    data = load_data([Path(source) for source in sources], sample, chunk_seconds)
    measured_with = _environment(pipelines)
    settings = {
        "program": _program(),
        "pipelines": [each.spec for each in pipelines],
        "repeats": repeats,
        "chunks": data.facts["chunks"],
        "chunk_samples": data.facts["chunk_samples"],
        "samples": data.digest,
        "measured_with": {key: value for key, value in measured_with.items() if key != "date"},
    }
    folder = Path(destination)
    with _journal(folder, settings, overwrite) as journal, single_threads():
        steps = _Steps(len(pipelines) * (1 + repeats), progress)
        failed = _measure_rows(pipelines, data, journal, workers, steps)
        _measure_rounds(pipelines, data, journal, repeats, steps, failed)
        results = _results(pipelines, data, journal, failed)
        chosen = _chosen_for_access(results)
        steps.total += len(chosen)
        for pipeline in pipelines:
            if pipeline.spec in chosen:
                _measure_access(pipeline, data, journal, failed)
                steps.take()
        results = _results(pipelines, data, journal, failed)
        why = [{"pipeline": spec, "why": reason} for spec, reason in failed.items()]
        comparison = Comparison(measured_with, data.facts, results, why, missing)
        _write(folder, comparison)
    return comparison


class _Steps:
    def __init__(self, total: int, progress: Callable[[int, int], None] | None):
        self.done, self.total, self._progress = 0, total, progress

    def take(self, count: int = 1) -> None:
        self.done += count
        if self._progress is not None:
            self._progress(self.done, self.total)


def _measure_rows(
    pipelines: list[Pipeline],
    data: Data,
    journal: _Journal,
    workers: int | None,
    steps: _Steps,
) -> dict[str, str]:
    """Measure sizes, memory and entropy; return the pipelines that fail, and why."""
    failed = {}
    entropies: dict[tuple[str, ...], float] = {}
    with Workers(workers) as pool:
        for pipeline in pipelines:
            steps.take()
            if pipeline.spec in journal.rows:
                continue
            try:
                sizes = measure_sizes(pipeline, data.chunks, pool)
                memory = peak_memory(pipeline, *sizes.largest, pool)
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
                    "peak_memory_bytes": memory,
                    "entropy_after": entropies[front],
                    "error": asdict(sizes.error) if sizes.error else None,
                },
            )
    return failed


def _measure_rounds(
    pipelines: list[Pipeline],
    data: Data,
    journal: _Journal,
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
                        pipeline, chunks, row["encode_seconds"], row["decode_seconds"]
                    )
                except Exception as error:  # libraries raise what they like
                    failed[pipeline.spec] = f"when timed: {one_line(error)}"
                    continue
                journal.add("round", pipeline.spec, asdict(timed))


def _measure_access(
    pipeline: Pipeline, data: Data, journal: _Journal, failed: dict[str, str]
) -> None:
    if pipeline.spec in journal.access:
        return
    longest = max(chunk.seconds for chunk in data.excerpts)
    lengths = [each for each in _ACCESS_CHUNK_SECONDS if each <= longest] or [longest]
    curve = []
    with one_core():
        for length in lengths:
            try:
                xrt = random_access(pipeline, data.excerpts, length, _ACCESS_WINDOW_SECONDS)
            except Exception as error:  # libraries raise what they like
                failed[pipeline.spec] = f"at random places: {one_line(error)}"
                return
            curve.append({"chunk_seconds": length, "xrt": round(xrt, 1)})
    journal.add("random_access", pipeline.spec, curve)


def _results(
    pipelines: list[Pipeline], data: Data, journal: _Journal, failed: dict[str, str]
) -> list[Result]:
    results = [
        _result(pipeline, data, journal) for pipeline in pipelines if pipeline.spec not in failed
    ]
    front = _pareto_front(results)
    results = [Result(**{**vars(each), "pareto": each.pipeline in front}) for each in results]
    return sorted(results, key=lambda result: -result.ratio)


def _result(pipeline: Pipeline, data: Data, journal: _Journal) -> Result:
    row, rounds = journal.rows[pipeline.spec], journal.rounds[pipeline.spec]
    texts = pipeline.spec.split("+")
    last = pipeline.stages[-1][0]
    payload_bytes = sum(row["payload_bytes"])
    num_samples, raw_bytes = data.facts["samples"], data.facts["raw_bytes"]
    ratios = [
        round(chunk.samples.nbytes / size, 4) if size else 0.0
        for chunk, size in zip(data.chunks, row["payload_bytes"], strict=True)
    ]
    adc = texts[0] == "adc"
    xrt_of_mb = data.facts["duration_s"] / (raw_bytes / 1e6)

    def speed(direction: str) -> Speed:
        values = [each[direction] for each in rounds]
        median = statistics.median(values)
        return Speed(
            mb_per_s=round(median, 2),
            low=round(min(values), 2),
            high=round(max(values), 2),
            xrt=round(median * xrt_of_mb, 1),
        )

    return Result(
        pipeline=pipeline.spec,
        codec=last.name,
        group=last.group,
        summary=last.summary,
        adc=adc,
        transforms=texts[1 if adc else 0 : -1],
        lossless=not pipeline.loss,
        ratio=round(raw_bytes / payload_bytes, 5),
        bits_per_sample=round(8 * payload_bytes / num_samples, 5),
        payload_bytes=payload_bytes,
        encode=speed("encode"),
        decode=speed("decode"),
        peak_memory_bytes=row["peak_memory_bytes"],
        entropy_before=round(data.facts["entropy"], 5),
        entropy_after=round(row["entropy_after"], 5),
        chunk_ratios=_spread(ratios, _MOST_CHUNK_RATIOS),
        random_access=journal.access.get(pipeline.spec, []),
        error=Error(**row["error"]) if row["error"] else None,
        pareto=False,
        repeats=len(rounds),
    )


def _pareto_front(results: Iterable[Result]) -> set[str]:
    front, fastest = set(), 0.0
    lossless = [each for each in results if each.lossless]
    for each in sorted(lossless, key=lambda each: (-each.ratio, -each.decode.mb_per_s)):
        if each.decode.mb_per_s > fastest:
            front.add(each.pipeline)
            fastest = each.decode.mb_per_s
    return front


def _chosen_for_access(results: list[Result]) -> set[str]:
    smallest: dict[str, str] = {}
    for each in results:
        if each.lossless:
            smallest.setdefault(each.group, each.pipeline)
    return {each.pipeline for each in results if each.pareto} | set(smallest.values())


def _environment(pipelines: list[Pipeline]) -> dict[str, Any]:
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "n1store": n1store.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": cpu[1] if cpu else platform.processor(),
        "cores": available_cores(),
        "date": datetime.date.today().isoformat(),
        "libraries": _libraries(pipelines),
    }


_packages = cache(packages_distributions)


def _program() -> str:
    """Return the SHA-256 of n1store's codecs, and of how they are measured."""
    digest = hashlib.sha256()
    for folder in map(Path, n1store.__path__):
        files = [*folder.glob("*.so"), *folder.glob("codecs/*.py"), *folder.glob("*.py")]
        for file in sorted(files):
            if file.parent.name == "codecs" or file.suffix == ".so" or file.name in _MEASURING:
                digest.update(file.read_bytes())
    return digest.hexdigest()


_MEASURING = ("catalogue.py", "measurement.py", "pipeline.py")


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
    return {name: version(name) for name in sorted(used - {"n1store"})}


# ---- The folder -----------------------------------------------------------------------------

_JOURNAL, _JSON, _CSV = "rows.jsonl", "results.json", "results.csv"


class _Journal:
    """What has been measured so far, in a file and in memory, by pipeline."""

    def __init__(self, file: IO[bytes]):
        self.rows: dict[str, dict[str, Any]] = {}
        self.rounds: dict[str, list[dict[str, float]]] = {}
        self.access: dict[str, list[dict[str, float]]] = {}
        self._file = file

    def add(self, kind: str, pipeline: str, content: Any) -> None:
        self._write({kind: pipeline, "measured": content})
        self._take(kind, pipeline, content)

    def begin(self, settings: dict[str, Any]) -> None:
        self._write({"format": FORMAT, "settings": settings})

    def replay(self, lines: Iterable[dict[str, Any]]) -> None:
        for line in lines:
            [(kind, pipeline), (_, content)] = line.items()
            self._take(kind, pipeline, content)

    def _take(self, kind: str, pipeline: str, content: Any) -> None:
        if kind == "row":
            self.rows[pipeline] = content
        elif kind == "round":
            self.rounds.setdefault(pipeline, []).append(content)
        elif kind == "random_access":
            self.access[pipeline] = content
        else:
            raise ValueError(f"a line of kind {kind}")

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()


@contextmanager
def _journal(folder: Path, settings: dict[str, Any], overwrite: bool) -> Iterator[_Journal]:
    """Open the folder's journal, as far as it is written, and keep others away from it."""
    path = folder / _JOURNAL
    if not path.exists() and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise N1StoreError(f"{folder}: exists already and is no folder of results; name another")
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise N1StoreError(f"{folder.parent}: no such folder to write to") from None
    with path.open("ab+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise N1StoreError(f"{folder}: is being written by another process") from None
        journal = _Journal(file)
        file.seek(0)
        content = b"" if overwrite else file.read()
        complete = content[: content.rfind(b"\n") + 1]  # a line cut off was never measured
        file.truncate(len(complete))
        if complete:
            try:
                head, *lines = [json.loads(line) for line in complete.splitlines()]
                written = head["settings"] if head["format"] == FORMAT else None
                journal.replay(lines)
            except (ValueError, KeyError, TypeError):
                written = None
            if written is None:
                raise N1StoreError(f"{path}: is damaged; --overwrite begins anew")
            others = [name for name in settings if written.get(name) != settings[name]]
            if others:
                raise N1StoreError(
                    f"{folder}: holds results of other {', '.join(others).replace('_', ' ')}; "
                    "--overwrite begins anew, or name another folder"
                )
        else:
            for name in (_JSON, _CSV):
                (folder / name).unlink(missing_ok=True)
            journal.begin(settings)
        yield journal


def _write(folder: Path, comparison: Comparison) -> None:
    with replacing(folder / _JSON, overwrite=True) as temporary:
        text = json.dumps(comparison.to_dict(), indent=1)
        # Numbers of a list stay on one line.
        text = re.sub(r"\[\s+([\d.,\s]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
        temporary.write_text(text + "\n", encoding="utf-8")
    with (
        replacing(folder / _CSV, overwrite=True) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        lines = [each.to_line() for each in comparison.results]
        if lines:
            writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
