"""Checks that a store is still what was written to it, and what the WAV files hold."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from n1store import store_kinds
from n1store.display import Displayed
from n1store.errors import N1StoreError, NotHereError, counted, one_line
from n1store.recording import Recording, Samples
from n1store.sources.files import find_files
from n1store.sources.originals import OriginalFile
from n1store.sources.wav import WavError, WavFile, open_wav
from n1store.stores.base import Store, StoredArray
from n1store.stores.grid import DTYPE, Grid
from n1store.system.parallel import Workers

_PIECE_BYTES = 4 * 1024 * 1024  # of a WAV file, to be compared with


@dataclass(repr=False)
class Verification(Displayed):
    """What a verification found.

    Attributes
    ----------
    recordings, samples : int
        How many recordings were read, and how many samples of all their channels.
    compared : int
        How many WAV files were compared with the store.
    problems : list of str
        A line for each; empty if all is well.
    not_compared : list of str
        Files that the store has and the sources given lack.
    not_verified : list of str
        Recordings that others wrote, for which there are no checksums.
    lossy : int
        How many of the recordings were stored by a lossy codec.
    """

    recordings: int = 0
    samples: int = 0
    compared: int = 0
    problems: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)
    not_verified: list[str] = field(default_factory=list)
    lossy: int = 0

    def _headline(self) -> str:
        found = counted(len(self.problems), "problem") if self.problems else "all as stored"
        return f"of {counted(self.recordings, 'recording')}: {found}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        return [], [
            ["samples", str(self.samples)],
            ["compared with their WAV files", str(self.compared)],
            ["not compared", str(len(self.not_compared))],
            ["not verified", str(len(self.not_verified))],
            ["LOSSY, not as recorded", str(self.lossy)],
            *(["problem", line] for line in self.problems),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        return {"ok": not self.problems, **vars(self)}


def verify(
    path: str | os.PathLike[str],
    sources: Iterable[str | os.PathLike[str]] = (),
    *,
    workers: int | None = None,
    follow_links: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check every sample of a store against the checksums in it, and against WAV files.

    Parameters
    ----------
    path : path-like
        The store.
    sources : iterable of path-like
        WAV files and folders to compare with, byte for byte; none by default.
    workers : int, optional
        How many cores decode; by default all.
    follow_links : bool
        As for `n1store.open`.
    progress : callable, optional
        Called with the bytes of samples done and to do.

    Raises
    ------
    N1StoreError
        If there is no store at `path`, if it is replaced meanwhile, if n1store wrote none of its
        recordings, if a source cannot be read, or if what the store needs is not installed. What
        is wrong inside the store is not raised but listed in the result.
    """
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    result = Verification()
    with (
        store_kinds.open(path, follow_links=follow_links) as store,
        Workers(workers) as decoders,
    ):
        faults = list(store.faults())
        if not faults:
            store.require_recordings()
        wavs = _match_wavs(store, [Path(source) for source in sources], result)
        arrays: dict[str, StoredArray] = {}
        for name in store:
            try:
                array = store.array(name)
                if "chunk_crc32" in array.attributes:
                    arrays[name] = array
                else:
                    result.not_verified.append(name)
            except NotHereError:
                raise
            except N1StoreError as error:
                result.problems.append(f"{name}: {str(error).removeprefix(f'{store.path}: ')}")
        if not arrays and not result.problems and not faults:
            raise N1StoreError(
                f"{store.path}: n1store wrote none of its recordings; it has no checksums of them"
            )
        total = sum(2 * array.grid.shape[0] * array.grid.shape[1] for array in arrays.values())
        if progress is not None:
            progress(0, total)
        for name, array in arrays.items():
            try:
                _verify_recording(store[name], array, wavs, decoders, result)
            except NotHereError:
                raise
            except N1StoreError as error:
                result.problems.append(f"{name}: {error}")
            if progress is not None:
                progress(2 * result.samples, total)
        store.check_unchanged()
        result.problems += faults
    return result


def read_chunks(
    recording: Recording, grid: Grid, workers: Workers, rows: range | None = None
) -> Iterator[tuple[tuple[int, int], Samples | Exception]]:
    """Decode a recording's chunks, in C order, and check each against its CRC-32.

    Parameters
    ----------
    recording : Recording
    grid : Grid
    workers : Workers
        To decode with.
    rows : range, optional
        Positions in time of the chunks to read; by default all.

    Yields
    ------
    index : tuple of int
    samples : ndarray of int16 or Exception
        The chunk without padding, or why it cannot be had.
    """
    crcs = recording.attributes["chunk_crc32"]

    def read(region: tuple[slice, slice], crc: str) -> Samples | Exception:
        try:
            samples = np.ascontiguousarray(recording.traces[region])
        except Exception as error:
            return error
        if samples.dtype != DTYPE or zlib.crc32(samples.data) != int(crc, 16):
            return ValueError("its samples are not those that were stored")
        return samples

    def calls() -> Iterator[tuple[tuple[int, int], Callable[[], Samples | Exception]]]:
        for row in rows if rows is not None else range(grid.counts[0]):
            for group in range(grid.counts[1]):
                number = row * grid.counts[1] + group
                crc = crcs[8 * number : 8 * number + 8]
                yield (row, group), partial(read, grid.region((row, group)), crc)

    return workers.in_order(calls())


def _verify_recording(
    recording: Recording,
    array: StoredArray,
    wavs: dict[str, WavFile],
    workers: Workers,
    result: Verification,
) -> None:
    grid = array.grid
    has_sources = recording.attributes.get("sources") != []
    sources = OriginalFile.all_of(recording) if has_sources else []
    for source in sources:
        try:
            source.check_name()
        except N1StoreError as error:
            result.problems.append(f"{recording.name}: {error}")
    expected_hash = recording.attributes.get("samples_sha256")
    samples_hash = hashlib.sha256() if expected_hash else None
    file_hashes = [hashlib.sha256(source.header) for source in sources]
    columns = _columns(sources)
    comparisons = [_Comparison(source, wavs.get(source.file), recording) for source in sources]
    result.problems += [line for comparison in comparisons for line in comparison.begin()]
    damaged_rows = set()
    for index, chunk in read_chunks(recording, grid, workers):
        times, channels = grid.region(index)
        if index[1] == 0:
            samples = _row_of_chunks(times.stop - times.start, grid.shape[1])
        if isinstance(chunk, Exception):
            damaged_rows.add(index[0])
            chunk_name = f"chunk {index[0]},{index[1]}"
            why = one_line(chunk).removeprefix(f"{chunk_name}: ")
            result.problems.append(f"{recording.name}: {chunk_name}: {why}")
        else:
            samples[:, channels] = chunk
        if index[1] + 1 < grid.counts[1]:
            continue
        result.samples += samples.size
        if samples_hash is not None:
            samples_hash.update(samples.data)
        for file_hash, column, comparison in zip(file_hashes, columns, comparisons, strict=True):
            part = np.ascontiguousarray(samples[:, column])
            file_hash.update(part.data)
            if index[0] not in damaged_rows:
                result.problems += comparison.compare(part, times.start, index)
    result.recordings += 1
    result.lossy += "lossy" in recording.attributes
    result.compared += sum(comparison.wav is not None for comparison in comparisons)
    if damaged_rows:
        return
    if samples_hash is not None and samples_hash.hexdigest() != expected_hash:
        result.problems.append(f"{recording.name}: its samples have another SHA-256 than stored")
    for file_hash, source in zip(file_hashes, sources, strict=True):
        file_hash.update(source.trailer)
        if file_hash.hexdigest() != source.sha256:
            result.problems.append(
                f"{recording.name}: {source.file} would not come back byte for byte: "
                "its SHA-256 is another than stored"
            )


def _columns(sources: list[OriginalFile]) -> list[slice]:
    ends = np.cumsum([source.num_channels for source in sources]).tolist()
    return [
        slice(end - source.num_channels, end) for end, source in zip(ends, sources, strict=True)
    ]


class _Comparison:
    """Compares a stored source with the WAV file it came from, if that is at hand."""

    def __init__(self, source: OriginalFile, wav: WavFile | None, recording: Recording):
        self.wav = wav
        self._source = source
        self._recording = recording

    def begin(self) -> Iterator[str]:
        """Compare all but the samples."""
        if self.wav is None:
            return
        stored = (
            self._recording.num_samples,
            self._source.num_channels,
            self._recording.sampling_frequency,
        )
        wav = self.wav.num_samples, self.wav.num_channels, self.wav.sampling_frequency
        if stored != wav:
            yield (
                f"{self._recording.name}: {self.wav.path} has %d samples of %d channels at %d Hz, "
                "the store has %d of %d at %d Hz" % (*wav, *stored)
            )
            self.wav = None
        elif (self.wav.header, self.wav.trailer) != (self._source.header, self._source.trailer):
            yield f"{self._recording.name}: {self.wav.path} has another header than the store"

    def compare(self, samples: Samples, start: int, index: tuple[int, int]) -> Iterator[str]:
        """Compare the samples of a row of chunks."""
        if self.wav is None:
            return
        length = max(1, _PIECE_BYTES // self.wav.frame_bytes)
        for begin in range(0, len(samples), length):
            piece = samples[begin : begin + length]
            differs = self.wav.read(start + begin, start + begin + len(piece)) != piece
            if differs.any():
                first = start + begin + int(differs.any(axis=1).argmax())
                yield (
                    f"{self._recording.name}: chunk {index[0]},{index[1]} differs from "
                    f"{self.wav.path}, first at sample {first}"
                )
                return


def _row_of_chunks(num_samples: int, num_channels: int) -> Samples:
    try:
        return np.zeros((num_samples, num_channels), DTYPE)
    except (MemoryError, ValueError):
        raise N1StoreError(
            f"{num_samples} samples of {num_channels} channels, as a row of its chunks holds, do "
            "not go into the memory of this machine"
        ) from None


def _match_wavs(store: Store, folders: list[Path], result: Verification) -> dict[str, WavFile]:
    """Find the WAV file of each stored source."""
    if not folders:
        return {}
    stored: list[str] = []
    for name in store:
        recording = None
        try:
            recording = store[name]
            stored += [source.file for source in OriginalFile.all_of(recording)]
        except N1StoreError as error:
            if recording is not None and "lossy" in recording.attributes:
                raise N1StoreError(f"{store.path}: {error}; verify it alone") from None
            continue  # reported when the recording is read
    by_name: dict[str, list[str]] = {}
    for file in stored:
        by_name.setdefault(PurePosixPath(file).name, []).append(file)
    matched: dict[str, WavFile] = {}
    for path, _ in find_files(folders):
        original = _stored_as(path, by_name.get(path.name, []))
        if original is None:
            result.problems.append(f"{path}: is not in the store")
        elif original in matched:
            result.problems.append(f"{path}: may be {original} as well as {matched[original].path}")
        else:
            try:
                matched[original] = open_wav(path)
            except WavError as error:
                result.problems.append(str(error))
    result.not_compared += [file for file in stored if file not in matched]
    return matched


def _stored_as(path: Path, candidates: list[str]) -> str | None:
    """Return which of the stored files of its name a WAV file is: the one its path ends in."""
    fitting = [
        file
        for file in candidates
        if path.parts[-len(PurePosixPath(file).parts) :] == PurePosixPath(file).parts
    ]
    if fitting:
        return max(fitting, key=len)
    return candidates[0] if len(candidates) == 1 else None
