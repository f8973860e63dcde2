"""The results of a comparison of codecs: what they are, and the folder that they are in.

`rows.jsonl` is the journal: a first line on what is measured, then a line for each row, round and
curve as soon as it is measured, from which a comparison that was stopped goes on; each ends in the
CRC-32 of the rest of it. At the end come `results.json`, which is `Comparison.to_dict`, and
`results.csv`, the same without lists. Of `results.json`::

    format          1
    measured_with   n1store, python, machine, cpu, cores, libraries: {name: version}, date (when
                    it was begun)
    data            sources: [str], files, channels and sampling_frequency (Hz) of those that have
                    the most, duration_s, samples, raw_bytes, chunk_seconds and chunk_samples of
                    the longest, chunks, chunks_of (how many there are to choose from), entropy
                    and entropy_adc (bits per sample, order 0), lossy: [str] of codecs that had
                    changed samples in stores, left_out: [str] of what could not be read there
    noise           median over all speeds of (high - low) / median
    results         the dicts of `Result`, the highest ratio first
    failed          pipeline, why
    missing         codec, why, install
"""

from __future__ import annotations

import csv
import datetime
import fcntl
import json
import re
import statistics
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any

from n1store.errors import N1StoreError
from n1store.study.measurement import Error
from n1store.system.atomic import naming, replacing

FORMAT = 1


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
            if name in _CSV_PARTS:
                line |= {f"{name}_{part}": (value or {}).get(part) for part in _CSV_PARTS[name]}
            elif name == "transforms":
                line[name] = "+".join(value)
            elif name not in _NOT_IN_CSV:
                line[name] = value
        return line


_CSV_PARTS = {
    "encode": ("mb_per_s", "low", "high", "xrt"),
    "decode": ("mb_per_s", "low", "high", "xrt"),
    "peak_memory_bytes": ("encode", "decode"),
    "error": ("rmse", "max", "snr_db"),
}
_NOT_IN_CSV = ("chunk_ratios", "random_access")
_CSV_HEADER = [
    column
    for name in (each.name for each in fields(Result))
    if name not in _NOT_IN_CSV
    for column in ([f"{name}_{part}" for part in _CSV_PARTS.get(name, ())] or [name])
]


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


_JOURNAL, _JSON, _CSV = "rows.jsonl", "results.json", "results.csv"


class Journal:
    """What has been measured so far, in a file and in memory.

    Attributes
    ----------
    date : str
        When it was begun.
    rows, rounds, access : dict
        By pipeline the row, the list of rounds and the curve, as `add` was given them.
    """

    def __init__(self, file: IO[bytes]):
        self.date = datetime.date.today().isoformat()
        self.rows: dict[str, dict[str, Any]] = {}
        self.rounds: dict[str, list[dict[str, float]]] = {}
        self.access: dict[str, list[dict[str, float]]] = {}
        self._file = file

    def add(self, kind: str, pipeline: str, content: Any) -> None:
        self._write({kind: pipeline, "measured": content})
        self._take(kind, pipeline, content)

    def begin(self, settings: dict[str, Any]) -> None:
        self._write({"format": FORMAT, "date": self.date, "settings": settings})

    def replay(self, head: dict[str, Any], lines: Iterable[dict[str, Any]]) -> None:
        self.date = head["date"]
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
        self._file.write(json.dumps(line | {"crc32": _crc32(line)}).encode() + b"\n")
        self._file.flush()


def _crc32(line: dict[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(line).encode()):08x}"


def _parse(line: bytes) -> dict[str, Any]:
    """Return a line of the journal; if it is damaged, that is any of `_DAMAGE`."""
    content = json.loads(line)
    if content.pop("crc32") != _crc32(content):
        raise ValueError("it has been changed")
    return content


_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@contextmanager
def open_journal(folder: Path, settings: dict[str, Any], overwrite: bool) -> Iterator[Journal]:
    """Open the folder's journal, as far as it is written, and keep others away from it.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    settings : dict
        What is measured, and how. Only a journal of the same is gone on with.
    overwrite : bool
        Whether to begin anew.

    Raises
    ------
    N1StoreError
        If the folder holds anything else or cannot be made, another process has it, or its
        journal is damaged or of other settings.
    """
    path = folder / _JOURNAL
    if not path.exists() and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise N1StoreError(f"{folder}: exists already and is no folder of results; name another")
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise N1StoreError(f"{folder.parent}: no such folder to write to") from None
    with naming(path), path.open("ab+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise N1StoreError(f"{folder}: is being written by another process") from None
        journal = Journal(file)
        file.seek(0)
        content = b"" if overwrite else file.read()
        complete = content[: content.rfind(b"\n") + 1]  # a line cut off was never measured
        file.truncate(len(complete))
        if complete:
            try:
                head, *lines = map(_parse, complete.splitlines())
                written = head["settings"] if head["format"] == FORMAT else None
                journal.replay(head, lines)
            except _DAMAGE:
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


def write_results(folder: Path, comparison: Comparison) -> None:
    """Write results.json and results.csv."""
    with replacing(folder / _JSON, overwrite=True) as temporary:
        text = json.dumps(comparison.to_dict(), indent=1)
        # Numbers of a list stay on one line; a text has no line breaks.
        text = re.sub(r"\[\n([-+e\d.,\s]+?)\n\s*\]", lambda m: f"[{' '.join(m[1].split())}]", text)
        temporary.write_text(text + "\n", encoding="utf-8")
    with (
        replacing(folder / _CSV, overwrite=True) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, _CSV_HEADER, lineterminator="\n")
        writer.writeheader()
        writer.writerows(each.to_line() for each in comparison.results)
