"""Outputs that appear complete or not at all.

An output is written under a temporary name beside its destination, locked while its writer
lives, and takes the destination's name in one step when it is complete. A writer that was
killed leaves an unlocked temporary, which the next one for that destination removes.
"""

import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from n1store.errors import N1StoreError

_libc = ctypes.CDLL(None, use_errno=True)


class Replacement:
    """A temporary path to write to, which takes the place of `destination` when published.

    Use as a context manager: at its end, what was not published is removed. Whatever stands at
    `destination` stays whole until the new one is complete.

    Parameters
    ----------
    destination : Path
        What is to appear.
    overwrite : bool
        Whether something may stand there.
    folder : bool
        Whether the temporary path is a folder (made here) or a file (empty, made here).
    any_kind : bool
        Whether a file may take the place of a folder, with all that is in it, or the other way.

    Attributes
    ----------
    temporary : Path

    Raises
    ------
    N1StoreError
        If `destination` exists and may not be replaced, its folder does not exist, or
        another process is writing it.
    """

    def __init__(
        self,
        destination: Path,
        *,
        overwrite: bool = False,
        folder: bool = False,
        any_kind: bool = False,
    ):
        of_kind = destination.is_dir if folder else destination.is_file
        if destination.exists() and not (any_kind or of_kind()):
            kind = "folder" if folder else "file"
            raise N1StoreError(f"{destination}: is no {kind} that could be replaced; name another")
        if os.path.lexists(destination) and not overwrite:
            raise N1StoreError(f"{destination}: exists already; --overwrite replaces it")
        if not destination.parent.is_dir():
            raise N1StoreError(f"{destination.parent}: no such folder to write to")
        name = destination.name
        if len(os.fsencode(name)) > _LONGEST_NAME:
            name = hashlib.sha256(os.fsencode(name)).hexdigest()
        self.temporary = destination.parent / f".{name}.partial"
        self._destination = destination
        self._overwrite = overwrite
        self._is_folder = folder
        self._is_made = False
        self._lock: int | None = None
        self._leftover: os.stat_result | None = None

    def begin(self) -> None:
        """Make the temporary path; N1StoreError if another process is writing to it.

        Whatever interrupts this, `__exit__` removes what has been made.
        """
        _remove_abandoned(self._destination, self.temporary)
        self._is_made = True
        try:
            self.temporary.mkdir() if self._is_folder else self.temporary.touch(exist_ok=False)
            self._lock = os.open(self.temporary, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(self._lock)
            if not _is(self.temporary, status):
                raise FileNotFoundError
        except (FileExistsError, FileNotFoundError, BlockingIOError):
            # Another writer was first, or took what was made for abandoned.
            self._is_made = False
            raise _busy(self._destination) from None
        self._leftover = status

    def publish(self) -> None:
        """Give what was written the destination's name, in one step."""
        assert self._lock is not None, "nothing was begun"
        # A name must not outlive a power cut that its content did not survive.
        if self._is_folder:
            _check(_libc.syncfs(self._lock), self._destination)
        else:
            os.fsync(self._lock)
        replaced = os.lstat(self._destination) if os.path.lexists(self._destination) else None
        _publish(self.temporary, self._destination, self._overwrite)
        self._leftover = replaced or self._leftover

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            self._clean_up()
        except KeyboardInterrupt:
            self._clean_up()
            raise
        _name(error, self._destination)

    def _clean_up(self) -> None:
        """Remove what is unfinished, or what was replaced; never what another writer began."""
        if self._leftover is not None and _is(self.temporary, self._leftover):
            _remove(self.temporary)
        if self._lock is not None:
            lock, self._lock = self._lock, None
            os.close(lock)
        if self._leftover is None and self._is_made:
            with suppress(N1StoreError):
                _remove_abandoned(self._destination, self.temporary)
        self._is_made = False


@contextmanager
def replacing(
    destination: Path, *, overwrite: bool = False, folder: bool = False
) -> Iterator[Path]:
    """Give the temporary path of a `Replacement`, which is published at the end."""
    with Replacement(destination, overwrite=overwrite, folder=folder) as replacement:
        replacement.begin()
        yield replacement.temporary
        replacement.publish()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error say for what there is no room, where the system does not."""
    try:
        yield
    except OSError as error:
        _name(error, path)
        raise


def _name(error: BaseException | None, path: Path) -> None:
    if isinstance(error, OSError) and error.filename is None and error.errno in _NO_ROOM:
        error.filename = str(path)


def _is(path: Path, status: os.stat_result) -> bool:
    return os.path.lexists(path) and os.path.samestat(os.lstat(path), status)


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LONGEST_NAME = 240  # of a file, in bytes, to which a dot and ".partial" can be added
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


def _remove_abandoned(destination: Path, temporary: Path) -> None:
    with suppress(FileNotFoundError):
        lock = os.open(temporary, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(temporary)
        except BlockingIOError:
            raise _busy(destination) from None
        finally:
            os.close(lock)


def _busy(destination: Path) -> N1StoreError:
    return N1StoreError(f"{destination}: is being written by another process")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _check(result: int, destination: Path) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(destination))
