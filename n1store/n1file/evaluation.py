"""How small and how fast WAV files become `.n1` files and WAV files again, each one checked."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from n1store.display import Displayed
from n1store.errors import N1StoreError, counted, one_line
from n1store.n1file.container import DEFAULT_LEVEL, N1Info, check_options, decode_wav, encode_wav
from n1store.sources.files import find_files
from n1store.sources.wav import open_wav
from n1store.system.parallel import Workers, available_cores
from n1store.version import __version__

_BLOCK_BYTES = 1 << 20
_WARM_UP_BYTES = 1 << 24


@dataclass(frozen=True)
class FileEvaluation:
    """One WAV file, encoded, decoded, and found identical.

    Attributes
    ----------
    file : str
    info : N1Info
        Its sizes.
    encode_seconds, decode_seconds : float
        Wall time.
    """

    file: str
    info: N1Info
    encode_seconds: float
    decode_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return sizes, ratios and speeds, for JSON."""
        return {
            "file": self.file,
            **self.info.to_dict(),
            "encode_ms": 1e3 * self.encode_seconds,
            "decode_ms": 1e3 * self.decode_seconds,
            "encode_xrt": self.info.duration / self.encode_seconds,
            "decode_xrt": self.info.duration / self.decode_seconds,
        }


@dataclass(frozen=True, repr=False)
class Evaluation(Displayed):
    """What `evaluate` found.

    Attributes
    ----------
    level : int
    files : list of FileEvaluation
        Of the files that came back identical.
    problems : list of str
        A line for each of the others.
    """

    level: int
    files: list[FileEvaluation]
    problems: list[str]

    def _headline(self) -> str:
        files = len(self.files) + len(self.problems)
        return (
            f"at level {self.level}: {len(self.files)} of {counted(files, 'file')} identical, "
            f"ratio {self.totals()['ratio']:.3f}"
        )

    def _table(self) -> tuple[list[str], list[list[str]]]:
        return ["file", "ratio", "encode xRT", "decode xRT"], [
            *([line] for line in self.problems),
            *(
                [each.file, f"{each.info.ratio:.3f}"]
                + [f"{each.to_dict()[key]:.0f}" for key in ("encode_xrt", "decode_xrt")]
                for each in self.files
            ),
        ]

    def totals(self) -> dict[str, Any]:
        """Return sums over all files, the ratios of the sums, and the distribution of times."""
        infos = [each.info for each in self.files]
        wav_bytes, n1_bytes, sample_bytes, payload_bytes = (
            sum(getattr(info, name) for info in infos)
            for name in ("wav_bytes", "n1_bytes", "sample_bytes", "payload_bytes")
        )
        duration = sum(info.duration for info in infos)
        return {
            "files": len(infos),
            "duration_s": duration,
            "wav_bytes": wav_bytes,
            "n1_bytes": n1_bytes,
            "ratio": wav_bytes / n1_bytes if n1_bytes else 0.0,
            "sample_bytes": sample_bytes,
            "payload_bytes": payload_bytes,
            "payload_ratio": sample_bytes / payload_bytes if payload_bytes else 0.0,
            "encode": _speed([each.encode_seconds for each in self.files], duration, sample_bytes),
            "decode": _speed([each.decode_seconds for each in self.files], duration, sample_bytes),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return all of it and what it was measured with, for JSON."""
        return {
            "level": self.level,
            "totals": self.totals(),
            "files": [each.to_dict() for each in self.files],
            "problems": self.problems,
            "measured_with": {
                "n1store": __version__,
                "python": platform.python_version(),
                "machine": platform.machine(),
                "cores": available_cores(),
            },
        }


def evaluate(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    level: int = DEFAULT_LEVEL,
    widths: bytes | None = None,
    workers: int = 1,
    memory_bytes: int = 1 << 26,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Encode WAV files to `.n1` files, decode these, and compare every byte with the original.

    The clock runs from a WAV file that the operating system has in memory to the complete
    `.n1` file, and from that to the complete WAV file, both in memory (up to 64 MiB). It does
    not run for starting the process, disks, or comparing; and a file of up to 16 MB has been
    encoded and decoded before.

    Parameters
    ----------
    sources : path-like or iterable of path-like
        WAV files, and folders to search for them.
    level, widths
        As those of `encode_file`.
    workers : int
        How many files to work on at once, each on one core. With more than 1, times say less.
    memory_bytes : int
        What a `.n1` file and a WAV file may each take in memory; a larger one is written to a
        temporary file.
    progress : callable, optional
        Called with the number of files done and to do.

    Returns
    -------
    Evaluation
        Files that cannot be read, encoded or decoded, or that differ, are among its problems.

    Raises
    ------
    N1StoreError
        If an argument is wrong or there is no WAV file.
    """
    check_options(level, widths)
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    wavs = find_files([Path(source) for source in sources])
    if not wavs:
        raise N1StoreError("no sources are given")
    evaluate_one = partial(
        _evaluate_or_problem, level=level, widths=widths, memory_bytes=memory_bytes
    )
    if progress is not None:
        progress(0, len(wavs))
    _warm_up(evaluate_one, [path for path, _ in wavs])
    files, problems = [], []
    with Workers(workers) as pool:
        calls = ((None, partial(evaluate_one, *wav)) for wav in wavs)
        for done, (_, result) in enumerate(pool.in_order(calls)):
            if isinstance(result, FileEvaluation):
                files.append(result)
            else:
                problems.append(result)
            if progress is not None:
                progress(done + 1, len(wavs))
    return Evaluation(level, files, problems)


def _warm_up(evaluate_one: Callable[[Path, str], FileEvaluation | str], paths: list[Path]) -> None:
    """Evaluate the largest file that is not too large."""
    sizes = {path: path.stat().st_size for path in paths if path.is_file()}
    for path in sorted(sizes, key=lambda path: sizes[path], reverse=True):
        if sizes[path] <= _WARM_UP_BYTES and not isinstance(evaluate_one(path, ""), str):
            return


def _evaluate_or_problem(
    path: Path, label: str, level: int, widths: bytes | None, memory_bytes: int
) -> FileEvaluation | str:
    try:
        return _evaluate(path, label, level, widths, memory_bytes)
    except N1StoreError as error:
        return one_line(error)


def _evaluate(
    path: Path, label: str, level: int, widths: bytes | None, memory_bytes: int
) -> FileEvaluation:
    open_wav(path)  # says what is wrong with it before it is read
    _read_once(path)
    with (
        tempfile.SpooledTemporaryFile(memory_bytes) as encoded,
        tempfile.SpooledTemporaryFile(memory_bytes) as decoded,
    ):
        started = time.perf_counter()
        info = encode_wav(open_wav(path), encoded, level=level, widths=widths)
        encode_seconds = time.perf_counter() - started

        started = time.perf_counter()
        decode_wav(encoded, decoded, f"{path} as a .n1 file")
        decode_seconds = time.perf_counter() - started

        if not _is_same(path, decoded):
            raise N1StoreError(f"{path}: is not the same after encoding and decoding")
    return FileEvaluation(label, info, encode_seconds, decode_seconds)


def _read_once(path: Path) -> None:
    """Have the operating system hold a file in memory, as far as it fits."""
    with path.open("rb") as file:
        while file.read(_BLOCK_BYTES):
            pass


def _is_same(path: Path, decoded: IO[bytes]) -> bool:
    decoded.seek(0)
    with path.open("rb") as original:
        while block := original.read(_BLOCK_BYTES):
            if decoded.read(len(block)) != block:
                return False
    return not decoded.read(1)


def _speed(seconds: list[float], duration: float, sample_bytes: int) -> dict[str, Any]:
    """Return the speed over all files, and the latency of a file in ms."""
    if not seconds:
        return {}
    milliseconds = [1e3 * each for each in seconds]
    return {
        "seconds": sum(seconds),
        "xrt": duration / sum(seconds),
        "mb_per_s": sample_bytes / 1e6 / sum(seconds),
        "latency_ms": {
            "mean": statistics.fmean(milliseconds),
            "median": statistics.median(milliseconds),
            "max": max(milliseconds),
        },
    }
