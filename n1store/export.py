"""The way back: WAV files from a store, byte for byte."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from n1store import store_kinds
from n1store.display import first_of
from n1store.errors import N1StoreError, NotHereError, counted
from n1store.recording import Recording, Samples
from n1store.sources.originals import OriginalFile
from n1store.stores.grid import Grid
from n1store.system.atomic import replacing
from n1store.system.parallel import Workers

_log = logging.getLogger(__name__)

_BLOCK_BYTES = 4 * 1024 * 1024
_FILES_AT_ONCE = 64  # of a recording that was made of many files, which are all kept open


def export_wavs(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    workers: int | None = None,
    follow_links: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write the WAV files that a store was made from, identical to the last byte.

    Parameters
    ----------
    path : path-like
        The store.
    folder : path-like
        Where to put them, made if need be; files keep the subfolders they came from.
    overwrite : bool
        Whether files that exist may be replaced.
    workers : int, optional
        How many cores decode; by default all.
    follow_links : bool
        As for `n1store.open`.
    progress : callable, optional
        Called with the number of recordings done and to do.

    Returns
    -------
    list of Path
        The files written. A recording that was not made from any, or that n1store does not read, is
        left out, and logged.

    Raises
    ------
    N1StoreError
        If no recording was made from files; if the store is replaced meanwhile; or if a file
        exists, or would not have the SHA-256 of the original. It is then not written; all others
        are.
    """
    folder = Path(folder)
    written: list[Path] = []
    without_files: list[str] = []
    failures: list[N1StoreError] = []
    with (
        store_kinds.open(path, follow_links=follow_links) as store,
        Workers(workers) as decoders,
    ):
        store.require_recordings()
        left_out = list(store.left_out)
        if folder.exists() and not folder.is_dir():
            raise N1StoreError(f"{folder}: is a file, not a folder to put files into")
        folder.mkdir(parents=True, exist_ok=True)
        if progress is not None:
            progress(0, len(store))
        for done, name in enumerate(store):
            try:
                recording, grid = store[name], store.array(name).grid
                sources = OriginalFile.all_of(recording)
                if not sources:
                    without_files.append(name)
                first_channel = 0
                for start in range(0, len(sources), _FILES_AT_ONCE):
                    batch = sources[start : start + _FILES_AT_ONCE]
                    targets = [_target(folder, source) for source in batch]
                    with _exported(
                        recording, grid, first_channel, batch, targets, overwrite, decoders
                    ):
                        store.check_unchanged()
                    first_channel += sum(source.num_channels for source in batch)
                    written += targets
            except NotHereError:
                raise
            except N1StoreError as error:
                store.check_unchanged()  # which would explain it
                failures.append(error)
            except OSError as error:
                if error.errno not in _WRONG_NAME:
                    raise
                failures.append(
                    N1StoreError(f"recording {name}: {error.strerror}: {error.filename}")
                )
            if progress is not None:
                progress(done + 1, len(store))
    if without_files and not written and not failures:
        raise N1StoreError(f"{path}: was not made from WAV files")
    if failures:
        others = (
            f"; {counted(len(failures) - 1, 'more recording')} failed" if len(failures) > 1 else ""
        )
        first = str(failures[0])
        if not first.startswith((str(path), str(folder))):
            first = f"{path}: {first}"
        raise N1StoreError(
            f"{first}{others}; {counted(len(written), 'file')} written",
            option=failures[0].option,
        )
    no_files = [f"recording {name} was not made from WAV files" for name in without_files]
    for line in first_of(no_files):
        _log.warning("%s: %s", path, line)
    for line in first_of([f"left out: {line}" for line in left_out]):
        _log.warning("%s: %s", path, line)
    return written


# What systems say of names that are too long together, or that have a file for a folder.
_WRONG_NAME = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST)


def _target(folder: Path, source: OriginalFile) -> Path:
    """Return where a file goes, never outside `folder` whatever the store says."""
    source.check_name()
    target = folder / source.file
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


@contextmanager
def _exported(
    recording: Recording,
    grid: Grid,
    first_channel: int,
    sources: list[OriginalFile],
    targets: list[Path],
    overwrite: bool,
    workers: Workers,
) -> Iterator[None]:
    """Write files whose samples are adjacent channels of a recording; at its end they appear."""
    with ExitStack() as stack:
        files = []
        for source, target in zip(sources, targets, strict=True):
            temporary = stack.enter_context(replacing(target, overwrite=overwrite))
            files.append(stack.enter_context(temporary.open("wb")))
            files[-1].write(source.header)
        hashes = [hashlib.sha256(source.header) for source in sources]
        last_channel = first_channel + sum(source.num_channels for source in sources)
        for samples in _blocks(recording, grid, slice(first_channel, last_channel), workers):
            channel = 0
            for source, file, file_hash in zip(sources, files, hashes, strict=True):
                part = samples[:, channel : channel + source.num_channels].tobytes()
                channel += source.num_channels
                file.write(part)
                file_hash.update(part)
        for source, file, file_hash in zip(sources, files, hashes, strict=True):
            file.write(source.trailer)
            file_hash.update(source.trailer)
            file.flush()
            if file_hash.hexdigest() != source.sha256:
                raise N1StoreError(
                    f"{source.file}: would not be identical to the original, as the store is "
                    "damaged; n1store verify tells where"
                )
        yield


def _blocks(
    recording: Recording, grid: Grid, channels: slice, workers: Workers
) -> Iterator[Samples]:
    """Decode whole chunks' worth of samples of some channels, on all cores, in order."""
    part = replace(grid, shape=(grid.shape[0], channels.stop - channels.start))
    calls = (
        (start, partial(recording.read, start, stop, channels))
        for start, stop in part.blocks(_BLOCK_BYTES)
    )
    return (block for _, block in workers.in_order(calls))
