"""The register of sources: what is converted, whatever kind of source it is in.

To read another kind, add a module that makes a `Reader`, and its row here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from n1store.errors import N1StoreError
from n1store.sources import stored, wav_source
from n1store.sources.base import Findings, Input, Reader
from n1store.sources.files import find_files

READERS: tuple[Reader, ...] = (stored.READER, wav_source.READER)
"""In the order in which they are asked whether a source is theirs."""


def find_inputs(paths: Sequence[Path], on_error: str, findings: Findings) -> Iterator[Input]:
    """Open what is to be converted: files first, then stores and other folders that are sources.

    Parameters
    ----------
    paths : sequence of Path
        Sources of any kind, and folders to search for them.
    on_error : {'stop', 'skip'}
        What to do about a file that cannot be read.
    findings : Findings
        Gets a line for each that was left out, and what has to be closed.

    Raises
    ------
    N1StoreError
        If there is no such source, no reader for one, or one cannot be read and is not skipped.
    """
    whole = [path for path in paths if path.exists() and _is_whole(path)]
    suffixes = tuple(suffix for reader in READERS for suffix in reader.suffixes)
    files = find_files([path for path in paths if path not in whole], suffixes)
    for path, file in [*files, *((path, path.name) for path in whole)]:
        reader = _reader_of(path)
        try:
            if reader is None:
                raise N1StoreError(f"{path}: {_why_nobody_reads(path)}")
            yield from reader.open(path, file, findings)
        except N1StoreError as error:
            if on_error == "stop" or (reader is not None and not reader.may_be_skipped):
                raise
            findings.skipped.append(str(error))


def _is_whole(path: Path) -> bool:
    """Return whether a path is itself a source, rather than a folder or file to look for it in."""
    reader = _reader_of(path)
    return reader is not None and (path.is_dir() or not reader.suffixes)


def _reader_of(path: Path) -> Reader | None:
    return next((reader for reader in READERS if reader.is_mine(path)), None)


def _why_nobody_reads(path: Path) -> str:
    if not path.exists():
        return "is a link to something that is not there"
    if not path.is_file():
        return "is not a regular file"
    *others, last = [reader.name for reader in READERS]
    return f"there is no reader for this; n1store converts {', '.join(others)} and {last}"
