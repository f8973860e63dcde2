"""Outputs that appear complete or not at all.

An output is written under a temporary name beside its destination, locked while its writer
lives, and takes the destination's name in one step when it is complete. A writer that was
killed leaves an unlocked temporary, which the next one for that destination removes.
"""

import ctypes
import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from n1store.errors import N1StoreError

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def replacing(
    destination: Path, *, overwrite: bool = False, folder: bool = False
) -> Iterator[Path]:
    """Give a temporary path to write to; at the end it becomes `destination`.

    Parameters
    ----------
    destination : Path
        What is to appear. Whatever stands there stays whole until the new one is complete.
    overwrite : bool
        Whether something may stand there.
    folder : bool
        Whether the temporary path is a folder (made here) or a file (empty, made here).

    Raises
    ------
    N1StoreError
        If `destination` exists and may not be replaced, its folder does not exist, or
        another process is writing it.
    """
    if os.path.lexists(destination) and not overwrite:
        raise N1StoreError(f"{destination}: exists already; --overwrite replaces it")
    if not destination.parent.is_dir():
        raise N1StoreError(f"{destination.parent}: no such folder to write to")
    prefix = f".{destination.name}."
    _remove_abandoned(destination, prefix)
    temporary = destination.parent / f"{prefix}{os.getpid()}{_SUFFIX}"
    if folder:
        temporary.mkdir()
    else:
        temporary.touch(exist_ok=False)
    lock = os.open(temporary, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (temporary.exists() and os.path.samestat(os.fstat(lock), temporary.stat())):
            # Another writer took it for abandoned before it was locked.
            raise N1StoreError(f"{destination}: is being written by another process")
        yield temporary
        # A name must not outlive a power cut that its content did not survive.
        _check(_libc.syncfs(lock), destination)
        _publish(temporary, destination, overwrite)
    finally:
        # What is left under the temporary name is unfinished, or is what was replaced.
        _remove(temporary)
        os.close(lock)


_SUFFIX = ".partial"
_AT_FDCWD = -100
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2


def _publish(temporary: Path, destination: Path, overwrite: bool) -> None:
    exists = os.path.lexists(destination)
    if exists and not overwrite:
        raise N1StoreError(f"{destination}: was made by someone else meanwhile")
    flags = _RENAME_EXCHANGE if exists else _RENAME_NOREPLACE
    names = os.fsencode(temporary), os.fsencode(destination)
    if _libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], flags) == 0:
        return
    if ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS):
        _check(-1, destination)
    # A file system without these: a folder cannot take another's place in one step.
    if exists and destination.is_dir():
        aside = temporary.with_suffix(".replaced")
        destination.rename(aside)
        temporary.rename(destination)
        _remove(aside)
    else:
        temporary.replace(destination)


def _remove_abandoned(destination: Path, prefix: str) -> None:
    for entry in sorted(destination.parent.iterdir()):
        if not re.fullmatch(re.escape(prefix) + r"\d+" + re.escape(_SUFFIX), entry.name):
            continue
        with suppress(FileNotFoundError):
            lock = os.open(entry, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(entry)
            except BlockingIOError:
                raise N1StoreError(f"{destination}: is being written by another process") from None
            finally:
                os.close(lock)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _check(result: int, destination: Path) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(destination))
