"""The results of a comparison of codecs, and the files that they are written to and read from.

`results.json` is a `Comparison` as JSON, with `format` (1) and `noise` beside its attributes.
`results.csv` has a line for each result: all of it but lists of numbers, and what it was measured
on and with, so that lines of several comparisons can stand in one file.
"""

from __future__ import annotations

import csv
import json
import re
import statistics
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from n1store.codecs.pipeline import without_tables
from n1store.display import Displayed, printable
from n1store.errors import N1StoreError, counted
from n1store.system.atomic import replacing

FORMAT = 1
RESULT_HEADINGS = ("", "pipeline", "ratio", "enc.", "dec.", "MB")
JSON, CSV = "results.json", "results.csv"


class _Range(NamedTuple):
    """Which numbers a file of results may hold, in words and as the lowest one."""

    words: str
    low: float


# Nothing that is measured is beyond these, and the axes of a plot would overflow.
_SMALLEST, _LARGEST = 1e-9, 1e18

Number = Annotated[float, _Range("a number", -_LARGEST)]
NotNegative = Annotated[float, _Range("a number of 0 or more", 0)]
Positive = Annotated[float, _Range("a positive number", _SMALLEST)]
Count = Annotated[int, _Range("an integer of 0 or more", 0)]
PositiveCount = Annotated[int, _Range("a positive integer", 1)]


@dataclass(frozen=True)
class Environment:
    """What was measured with.

    Attributes
    ----------
    n1store, python : str
        Versions.
    machine, cpu : str
        The architecture, such as x86_64, and the name of the processor.
    cores : int
        How many n1store could use.
    libraries : dict of str to str
        The version of each package that codecs are made of, and of numpy and zarr.
    date : str
        The day on which the comparison was begun.
    """

    n1store: str
    python: str
    machine: str
    cpu: str
    cores: PositiveCount
    libraries: dict[str, str]
    date: str


@dataclass(frozen=True)
class DataFacts:
    """What was measured on.

    Attributes
    ----------
    sources : list of str
        As they were given.
    files, channels : int
        How many recordings, and the channels of the one with the most.
    sampling_frequency : float
        Hz, the highest one.
    duration_s : float
        Seconds of recording in all chunks.
    samples, raw_bytes : int
        In all chunks and channels.
    chunk_seconds, chunk_samples
        Length of the longest chunk.
    chunks, chunks_of : int
        How many were measured, and how many there were to choose from.
    entropy, entropy_adc : float
        Of the samples and of the codes that `adc` makes of them: order 0, in bits per sample.
    lossy : list of str
        Lossy codecs that had changed samples before they came into a store.
    left_out : list of str
        A line on each recording that could not be read.
    """

    sources: list[str]
    files: PositiveCount
    channels: PositiveCount
    sampling_frequency: Positive
    duration_s: Positive
    samples: PositiveCount
    raw_bytes: PositiveCount
    chunk_seconds: Positive
    chunk_samples: PositiveCount
    chunks: PositiveCount
    chunks_of: PositiveCount
    entropy: NotNegative
    entropy_adc: NotNegative
    lossy: list[str]
    left_out: list[str]

    @property
    def whole_recordings(self) -> bool:
        """Whether each recording was one chunk."""
        return self.chunks_of == self.files


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

    mb_per_s: Positive
    low: Positive
    high: Positive
    xrt: Positive


@dataclass(frozen=True)
class PeakMemory:
    """By how many bytes a process grows that encodes, or decodes, the largest chunk."""

    encode: Count
    decode: Count


@dataclass(frozen=True)
class Access:
    """How fast windows of 1 s are read at random places of a recording.

    Attributes
    ----------
    chunk_seconds : float
        The length of the chunks that it is stored in.
    xrt : float
        Seconds of recording per CPU second.
    """

    chunk_seconds: Positive
    xrt: Positive


@dataclass(frozen=True)
class Error:
    """How far decoded samples are from the original ones.

    Attributes
    ----------
    rmse : float
        Root of the mean squared difference, in steps of the samples.
    max : int
        The largest difference, in steps of the samples.
    snr_db : float or None
        10 log10 of the sum of the squared samples over that of the squared differences; None if
        either is 0.
    """

    rmse: NotNegative
    max: Count
    snr_db: Number | None


@dataclass(frozen=True, repr=False)
class Result(Displayed):
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
        Whether all chunks came back bit by bit.
    ratio : float
        Bytes of the samples over `payload_bytes`.
    bits_per_sample : float
    payload_bytes : int
        Of all chunks.
    encode, decode : Speed
    peak_memory_bytes : PeakMemory
    entropy_before, entropy_after : float
        Order 0, in bits per sample: of the samples, and of what the stages from array to array
        (`adc` too) make of them.
    chunk_ratios : list of float
        Of each chunk; of 1000, evenly spread, where there are more.
    random_access : list of Access
        Only for the Pareto front and the smallest of each group.
    error : Error or None
        Of lossy pipelines.
    pareto : bool
        Whether it is lossless, saves a hundredth or more, and no other lossless one is at least as
        small and decoded as fast, and better in one.
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
    ratio: Positive
    bits_per_sample: Positive
    payload_bytes: PositiveCount
    encode: Speed
    decode: Speed
    peak_memory_bytes: PeakMemory
    entropy_before: NotNegative
    entropy_after: NotNegative
    chunk_ratios: list[Positive]
    random_access: list[Access]
    error: Error | None
    pareto: bool
    repeats: PositiveCount

    def _headline(self) -> str:
        return (
            f"{self.pipeline[:80]}: ratio {self.ratio:.3f}, read at {self.decode.mb_per_s:.1f} MB/s"
        )

    def _table(self) -> tuple[list[str], list[list[str]]]:
        return list(RESULT_HEADINGS), [self.row]

    @property
    def row(self) -> list[str]:
        """The line of a table that is headed by `RESULT_HEADINGS`."""
        return [
            "*" if self.pareto else "" if self.lossless else "~",
            without_tables(self.pipeline),
            f"{self.ratio:.3f}",
            *(f"{speed.mb_per_s:.1f}" for speed in (self.encode, self.decode)),
            f"{max(self.peak_memory_bytes.encode, self.peak_memory_bytes.decode) / 1e6:.1f}",
        ]

    def to_line(self) -> dict[str, Any]:
        """Return all but lists of numbers, for CSV."""
        line: dict[str, Any] = {}
        for name, value in asdict(self).items():
            if name in _CSV_PARTS:
                line |= {f"{name}_{part}": (value or {}).get(part) for part in _CSV_PARTS[name]}
            elif name == "transforms":
                line[name] = "+".join(value)
            elif name not in _NOT_IN_CSV:
                line[name] = value
        return line


_CSV_PARTS = {
    name: tuple(each.name for each in fields(kind))
    for name, kind in (
        ("encode", Speed),
        ("decode", Speed),
        ("peak_memory_bytes", PeakMemory),
        ("error", Error),
    )
}
_NOT_IN_CSV = ("chunk_ratios", "random_access")


@dataclass(frozen=True)
class Failure:
    """A pipeline that gave samples back changed, or could not do with them, and why."""

    pipeline: str
    why: str


@dataclass(frozen=True)
class Missing:
    """A codec that could not be loaded, why, and the command that installs it."""

    codec: str
    why: str
    install: str


@dataclass(frozen=True, repr=False)
class Comparison(Displayed):
    """What `compare` found.

    Attributes
    ----------
    measured_with : Environment
    data : DataFacts
    results : list of Result
        The highest ratio first.
    failed : list of Failure
    missing : list of Missing
    """

    measured_with: Environment
    data: DataFacts
    results: list[Result]
    failed: list[Failure]
    missing: list[Missing]

    def _headline(self) -> str:
        best = f", the smallest {self.results[0].pipeline[:80]}" if self.results else ""
        pipelines = counted(len(self.results), "pipeline")
        return f"of {pipelines} on {self.data.raw_bytes / 1e6:.3f} MB{best}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        return list(RESULT_HEADINGS), [each.row for each in self.results]

    @property
    def noise(self) -> float:
        """Median over all speeds of how far the rounds lie apart, relative to their median."""
        speeds = [speed for each in self.results for speed in (each.encode, each.decode)]
        spreads = [(speed.high - speed.low) / speed.mb_per_s for speed in speeds]
        return round(statistics.median(spreads), 4) if spreads else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        content = asdict(self)
        facts = {name: content.pop(name) for name in ("measured_with", "data")}
        return {"format": FORMAT, **facts, "noise": self.noise, **content}

    def to_lines(self) -> list[dict[str, Any]]:
        """Return a line for each result, for CSV."""
        machine, data = self.measured_with, self.data
        setting = {
            "recordings": data.files,
            "duration_s": data.duration_s,
            "chunk_seconds": data.chunk_seconds,
            "whole_recordings": data.whole_recordings,
            "date": machine.date,
            "cpu": machine.cpu,
            "n1store": machine.n1store,
            "python": machine.python,
            "libraries": ", ".join(f"{name} {each}" for name, each in machine.libraries.items()),
        }
        return [each.to_line() | setting for each in self.results]


_CSV_HEADER = [
    column
    for name in (each.name for each in fields(Result))
    if name not in _NOT_IN_CSV
    for column in ([f"{name}_{part}" for part in _CSV_PARTS.get(name, ())] or [name])
] + [
    *("recordings", "duration_s", "chunk_seconds", "whole_recordings"),
    *("date", "cpu", "n1store", "python", "libraries"),
]


def write_results(folder: Path, comparison: Comparison) -> None:
    """Write results.json and results.csv."""
    with replacing(folder / JSON, overwrite=True) as temporary:
        text = json.dumps(comparison.to_dict(), indent=1)
        # Numbers of a list stay on one line; a text has no line breaks.
        text = re.sub(r"\[\n([-+e\d.,\s]+?)\n\s*\]", lambda m: f"[{' '.join(m[1].split())}]", text)
        temporary.write_text(text + "\n", encoding="utf-8")
    with (
        replacing(folder / CSV, overwrite=True) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, _CSV_HEADER, lineterminator="\n")
        writer.writeheader()
        writer.writerows(comparison.to_lines())


# ---- Read again -----------------------------------------------------------------------------


def load_results(path: Path) -> Comparison:
    """Read the results of a comparison.

    Parameters
    ----------
    path : Path
        A results.json, or the folder that one is in.

    Returns
    -------
    Comparison
        All numbers are finite and as their types want them, texts are printable. What the file
        says beside is left out.

    Raises
    ------
    N1StoreError
        If the file is not there, is no complete JSON or not of format 1, or something in it is
        missing or of the wrong type.
    """
    if path.is_dir():
        path = path / JSON
    if not path.is_file():
        raise N1StoreError(f"{path}: no such file; n1store compare writes one")
    try:
        document = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise N1StoreError(f"{path}: not complete JSON, make it again ({error})") from error
    if not isinstance(document, dict) or "format" not in document:
        raise N1StoreError(f"{path}: not results of n1store compare, which say their format")
    if document["format"] != FORMAT:
        found = printable(str(document["format"]))[:40]
        raise N1StoreError(
            f"{path}: of format {found}, and this n1store reads {FORMAT}; make it again with its "
            "n1store compare"
        )
    try:
        comparison: Comparison = _from_json(Comparison, document, "")
    except _WrongError as error:
        raise N1StoreError(f"{path}: {error}; make it again with n1store compare") from error
    if not comparison.results:
        raise N1StoreError(f"{path}: holds no results; compare at least one codec that works")
    return comparison


class _WrongError(Exception):
    """Says which value of a file is not what it has to be."""


def _from_json(kind: Any, value: Any, place: str) -> Any:
    """Return what JSON has of a type: one of the classes above, or of what they are made.

    Parameters
    ----------
    kind : type
    value : object
        As JSON has it.
    place : str
        What messages call the value, such as ``results[3].decode``.
    """
    if is_dataclass(kind):
        _require(isinstance(value, dict), f"{place or 'the whole'} is no object")
        types = get_type_hints(kind, include_extras=True)
        places = {name: f"{place}.{name}" if place else name for name in types}
        for name in types:
            _require(name in value, f"{places[name]} is missing")
        made: Any = kind
        return made(**{name: _from_json(types[name], value[name], places[name]) for name in types})
    arguments = get_args(kind)
    if get_origin(kind) is list:
        _require(isinstance(value, list), f"{place} is no list")
        return [_from_json(arguments[0], each, f"{place}[{i}]") for i, each in enumerate(value)]
    if get_origin(kind) is dict:
        _require(isinstance(value, dict), f"{place} is no object")
        return {
            printable(key): _from_json(arguments[1], each, f"{place}.{printable(key)}"[:80])
            for key, each in value.items()
        }
    if get_origin(kind) is UnionType or type(None) in arguments:
        return None if value is None else _from_json(arguments[0], value, place)
    wrong = f"{place} is {printable(repr(value))[:40]}, not "
    if kind is str:
        _require(isinstance(value, str), wrong + "a text")
        return printable(value)
    if kind is bool:
        _require(isinstance(value, bool), wrong + "true or false")
        return value
    number, (limits,) = kind.__origin__, kind.__metadata__
    right = type(value) is int or (type(value) is float and number is float)
    _require(right and limits.low <= value <= _LARGEST, wrong + limits.words)
    return value


def _require(right: bool, message: str) -> None:
    if not right:
        raise _WrongError(message)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")
