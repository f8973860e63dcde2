"""The journal of a comparison: what has been measured so far, so that a stopped one goes on.

`rows.jsonl` has a first line on what is measured and how, then a line for each row, round and
curve as soon as it is measured. Each line is a JSON object, and its last key is the CRC-32 of the
rest of it.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from n1store.errors import N1StoreError
from n1store.study.results import CSV, FORMAT, JSON
from n1store.system.atomic import naming

_JOURNAL = "rows.jsonl"


class Journal:
    """What has been measured so far, in a file and in memory.

    Attributes
    ----------
    date : str
        The day on which the comparison was begun, as in 2026-11-22.
    rows, rounds, access : dict
        By pipeline what `add` was given: its row (sizes, memory and entropy), the list of its
        rounds of timing, and its curve of random access.
    """

    def __init__(self, file: IO[bytes]):
        self.date = datetime.date.today().isoformat()
        self.rows: dict[str, dict[str, Any]] = {}
        self.rounds: dict[str, list[dict[str, float]]] = {}
        self.access: dict[str, list[dict[str, float]]] = {}
        self._file = file

    def add(self, kind: str, pipeline: str, content: Any) -> None:
        """Write down what has been measured of a pipeline.

        Parameters
        ----------
        kind : {'row', 'round', 'random_access'}
        pipeline : str
        content : object
            Whatever JSON can hold.
        """
        self._write({kind: pipeline, "measured": content})
        self._take(kind, pipeline, content)

    def begin(self, settings: dict[str, Any]) -> None:
        """Write the first line."""
        self._write({"format": FORMAT, "date": self.date, "settings": settings})

    def replay(self, head: dict[str, Any], lines: Iterable[dict[str, Any]]) -> None:
        """Take what an earlier process wrote, the first line and the others."""
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
    """Return a line of the journal without its CRC-32; if it is damaged, raise one of `_DAMAGE`."""
    content: dict[str, Any] = json.loads(line)
    if content.pop("crc32") != _crc32(content):
        raise ValueError("it has been changed")
    return content


_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@contextmanager
def open_journal(folder: Path, settings: dict[str, Any], overwrite: bool) -> Iterator[Journal]:
    """Open the journal of a folder of results, and keep other processes from it.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    settings : dict
        What is measured, and how. Only a journal of the same settings is gone on with.
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
                raise N1StoreError(f"{path}: is damaged", option="--overwrite begins anew")
            others = [name for name in settings if written.get(name) != settings[name]]
            if others:
                raise N1StoreError(
                    f"{folder}: holds results of other {', '.join(others).replace('_', ' ')}; "
                    "name another folder",
                    option="or --overwrite, which begins anew",
                )
        else:
            for name in (JSON, CSV):
                (folder / name).unlink(missing_ok=True)
            journal.begin(settings)
        yield journal
