"""Which files users mean by the files and folders that they name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from n1store.errors import N1StoreError
from n1store.system.atomic import interrupted


def find_files(
    sources: Sequence[Path], suffixes: tuple[str, ...] = (".wav",)
) -> list[tuple[Path, str]]:
    """List the files that `sources`, files and folders, stand for.

    Folders are searched through, for files with one of the suffixes in either case; hidden ones
    are left out. A file that is reached twice is listed once.

    Returns
    -------
    list of (Path, str)
        Each file and a relative path, with forward slashes, that tells it from the others:
        the path below the folder given, with as many parents in front as that takes.

    Raises
    ------
    N1StoreError
        If a source does not exist or a folder holds no such file.
    """
    found: dict[Path, Path] = {}
    depths: dict[Path, int] = {}
    for source in sources:
        if source.is_dir():
            files = sorted(_visible_files(source, suffixes))
            if not files:
                raise N1StoreError(f"{source}: holds no {' or '.join(suffixes)} file")
        elif source.exists() or source.is_symlink():
            files = [source]
        else:
            old = interrupted(source)
            there = f"; it was being replaced when that was stopped, and is whole: {old}"
            raise N1StoreError(f"{source}: no such file or folder{there if old else ''}")
        for file in files:
            # Not abspath, which takes ".." after a link for the link's own folder.
            absolute = Path(os.path.realpath(file.parent), file.name)
            if found.setdefault(Path(os.path.realpath(file)), absolute) is absolute:
                depths[absolute] = len(file.relative_to(source).parts) or 1
    while True:
        labels = {path: "/".join(path.parts[1:][-depth:]) for path, depth in depths.items()}
        counts = Counter(labels.values())
        clashing = [path for path, label in labels.items() if counts[label] > 1]
        if not clashing:
            return list(labels.items())
        for path in clashing:
            depths[path] += 1


def _visible_files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise N1StoreError(f"{error.filename}: cannot be searched: {error.strerror}")

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(suffixes) and not name.startswith("."):
                yield Path(parent, name)
