"""Outputs that appear complete or not at all.

An output is written in a hidden folder beside its destination, its workshop, which is locked while
its writer lives, and takes the destination's name in one step when it is complete. A writer that
was killed leaves an unlocked workshop, which the next one for that destination removes. What is in
a workshop was made here: it holds a mark, without which nothing in it is touched.
"""

import atexit
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
        self._destination = destination
        self._overwrite = overwrite
        self._is_folder = folder
        self._check_overwrite()
        if not destination.parent.is_dir():
            raise N1StoreError(f"{destination.parent}: no such folder to write to")
        self._workshop = _Workshop(destination)
        self.temporary = self._workshop.new

    def begin(self) -> None:
        """Make the temporary path; N1StoreError if another process is writing to it.

        Whatever interrupts this, `__exit__` removes what has been made.
        """
        self._workshop.begin()
        self._check_overwrite()  # once more, as an old one may have been put back
        self.temporary.mkdir() if self._is_folder else self.temporary.touch(exist_ok=False)

    def publish(self) -> None:
        """Give what was written the destination's name, in one step."""
        # A name must not outlive a power cut that its content did not survive.
        descriptor = os.open(self.temporary, os.O_RDONLY)
        try:
            if self._is_folder:
                _check(_libc.syncfs(descriptor), self._destination)
            else:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        exists = os.path.lexists(self._destination)
        if exists and not self._overwrite:
            raise N1StoreError(f"{self._destination}: was made by someone else meanwhile")
        _publish(self._workshop, self._destination, exists)

    def _check_overwrite(self) -> None:
        if os.path.lexists(self._destination) and not self._overwrite:
            raise N1StoreError(
                f"{self._destination}: exists already", option="--overwrite replaces it"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            self._workshop.end()
        except KeyboardInterrupt:
            self._workshop.end()
            raise
        _name(error, self._destination)


class _Workshop:
    """The hidden folder in which an output is made.

    Attributes
    ----------
    new : Path
        What is being made.
    old : Path
        What stood at the destination, for the moment between two renames.
    """

    def __init__(self, destination: Path):
        name = destination.name
        if len(os.fsencode(name)) > _LONGEST_NAME:
            name = hashlib.sha256(os.fsencode(name)).hexdigest()
        self._destination = destination
        self._path = destination.parent / f".{name}.partial"
        self._mark = self._path / _MARK
        self.new = self._path / name
        self.old = self._path / f"old-{name}"
        self._lock: int | None = None
        self._is_made = False

    def begin(self) -> None:
        """Make the folder, and clear what a writer that was killed left of its own.

        Raises
        ------
        N1StoreError
            If another process works in it, or something else is in its place.
        """
        self._clear_abandoned()
        self._is_made = True
        _workshops.add(self)
        try:
            self._path.mkdir()
            self._lock = self._locked()
            self._mark.touch()
        except (FileExistsError, FileNotFoundError, BlockingIOError):
            # Another writer was first, or took what was made for abandoned.
            self._is_made = False
            raise self._busy() from None
        except N1StoreError:  # there are no locks
            self._is_made = False
            _workshops.discard(self)
            with suppress(OSError):
                self._path.rmdir()
            raise

    def end(self) -> None:
        """Clear the folder, unless it is another writer's by now."""
        if self._lock is not None:
            if self._is_locked_by(self._lock):
                self._clear()
            lock, self._lock = self._lock, None
            os.close(lock)
        elif self._is_made:  # and interrupted before it was locked
            with suppress(N1StoreError):
                self._clear_abandoned()
        self._is_made = False
        _workshops.discard(self)

    def _clear_abandoned(self) -> None:
        try:
            lock = self._locked()
        except FileNotFoundError:
            return
        except BlockingIOError:
            raise self._busy() from None
        except NotADirectoryError:
            raise self._in_the_way() from None
        try:
            names = os.listdir(self._path)
            if names and _MARK not in names:
                raise self._in_the_way()
            self._clear()
        finally:
            os.close(lock)

    def _clear(self) -> None:
        if os.path.lexists(self.old) and not os.path.lexists(self._destination):
            self.old.rename(self._destination)
        for path in (self.new, self.old, self._mark):  # the mark last, for what clears the rest
            _remove(path)
        with suppress(OSError):
            self._path.rmdir()

    def _locked(self) -> int:
        """Lock the folder, which must be there, and return the lock."""
        lock = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise
            except OSError as error:
                raise N1StoreError(
                    f"{self._destination}: its file system cannot lock what is being written "
                    f"({error.strerror}); write to another one"
                ) from error
            if not self._is_locked_by(lock):
                raise FileNotFoundError(self._path)
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _is_locked_by(self, lock: int) -> bool:
        """Return whether the folder is still the one that was locked."""
        is_there = os.path.lexists(self._path)
        return is_there and os.path.samestat(os.lstat(self._path), os.fstat(lock))

    def _busy(self) -> N1StoreError:
        return N1StoreError(f"{self._destination}: is being written by another process")

    def _in_the_way(self) -> N1StoreError:
        return N1StoreError(
            f"{self._path}: is in the way of what is to be written, and was not made by n1store; "
            "move it away"
        )


_MARK = "n1store-is-writing-here"
_workshops: set[_Workshop] = set()  # in which this process works
os.register_at_fork(after_in_child=_workshops.clear)


@atexit.register
def end_interrupted() -> None:
    """Clear what is left of an output whose writing was interrupted at the worst moment.

    Leaving a `Replacement` does it, unless Ctrl-C comes just as that begins. A process that ends
    without running what is registered for its end calls this first.
    """
    for workshop in list(_workshops):
        workshop.end()


def interrupted(destination: Path) -> Path | None:
    """Return where the old one is, if one was being replaced when its writer was killed.

    Only file systems without a rename that exchanges two names lose the name for that moment. The
    next that is written there first puts it back.
    """
    old = _Workshop(destination).old
    return old if os.path.lexists(old) and not os.path.lexists(destination) else None


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


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LONGEST_NAME = 240  # of a file, in bytes, to which a dot and ".partial" can be added
_AT_FDCWD = -100
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2


def _publish(workshop: _Workshop, destination: Path, exists: bool) -> None:
    flags = _RENAME_EXCHANGE if exists else _RENAME_NOREPLACE
    names = os.fsencode(workshop.new), os.fsencode(destination)
    if _libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], flags) == 0:
        return
    if ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS):
        _check(-1, destination)
    # A file system without these, where a folder cannot take another's place in one step.
    if exists and (destination.is_dir() or workshop.new.is_dir()):
        destination.rename(workshop.old)
    workshop.new.rename(destination)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _check(result: int, destination: Path) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(destination))
