"""A store's files by key, in a folder or in one zip file."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Literal, Self

from n1store.errors import N1StoreError, one_line
from n1store.stores.base import MOST_BYTES
from n1store.system.unchanged import Version, version_of


class Files(ABC):
    """What a folder and a zip file have in common. Use as a context manager."""

    @abstractmethod
    def create(self, key: str) -> IO[bytes]:
        """Open a new file for writing; one at a time."""

    @abstractmethod
    def read(self, key: str, start: int = 0, length: int = -1) -> bytes:
        """Return `length` bytes, or all, of a file from `start`; KeyError if it is missing."""

    @abstractmethod
    def opened(self, key: str) -> AbstractContextManager[Callable[[int, int], bytes]]:
        """Open a file of which parts are read; KeyError if it is missing.

        Gives what returns its bytes from a first one on, and so many, or as many as there are.
        """

    @abstractmethod
    def size(self, key: str) -> int:
        """Return a file's length in bytes; KeyError if it is missing."""

    def read_small(self, key: str) -> bytes:
        """Return a file that is no chunk; KeyError if it is missing, ValueError if too large."""
        size = self.size(key)
        if size > MOST_BYTES:
            raise ValueError(
                f"{key}: holds {size} bytes; of anything but samples no more than "
                f"{MOST_BYTES >> 20} MiB are read"
            )
        return self.read(key, 0, size)

    @abstractmethod
    def folders(self, prefix: str) -> list[str]:
        """Return the paths of the folders right below `prefix`, in order; links are none."""

    @abstractmethod
    def total_size(self) -> int:
        """Return the bytes of everything, the zip file's own structure included."""

    @abstractmethod
    def version(self, key: str) -> tuple[Version, ...]:
        """Return what another one has that stands in the place of the store, or of this file."""

    @abstractmethod
    def check_below(self, prefix: str) -> None:
        """Raise N1StoreError if `read` would not read one of the files below `prefix`."""

    def write(self, key: str, content: bytes) -> None:
        """Make a file of this content."""
        with self.create(key) as file:
            file.write(content)

    def faults(self) -> Iterator[str]:
        """Yield a line for each file that others cannot read, whatever is in it."""
        yield from ()

    @abstractmethod
    def discard(self, prefix: str) -> None:
        """Drop the files below `prefix`, which nothing refers to, where that is possible."""

    @abstractmethod
    def close(self) -> None:
        """Finish writing, and free what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FolderFiles(Files):
    """Files in a folder.

    Parameters
    ----------
    root : Path
    follow_links : bool
        Whether to read what links in the folder lead to, wherever that is. Only ordinary files
        are opened: others, such as pipes, may never end.
    """

    def __init__(self, root: Path, follow_links: bool = False):
        # Strings, as making Path objects would take a good part of a conversion's time.
        self._root = os.fspath(root)
        self._follow_links = follow_links
        self._folders = {self._root}
        self._followed: set[str] = set()
        self._created: IO[bytes] | None = None

    def create(self, key: str) -> IO[bytes]:
        path = f"{self._root}/{key}"
        folder = path.rpartition("/")[0]
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)
        self._created = open(path, "xb")  # noqa: SIM115
        return self._created

    def read(self, key: str, start: int = 0, length: int = -1) -> bytes:
        with self.opened(key) as read_part:
            return read_part(start, max(self.size(key) - start, 0) if length < 0 else length)

    @contextmanager
    def opened(self, key: str) -> Iterator[Callable[[int, int], bytes]]:
        path = self._file(key)[0]
        # Once looked at, it may have become a link.
        no_link = 0 if self._follow_links else os.O_NOFOLLOW
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | no_link)
        try:
            yield partial(read_at, descriptor)
        finally:
            os.close(descriptor)

    def size(self, key: str) -> int:
        return self._file(key)[1].st_size

    def folders(self, prefix: str) -> list[str]:
        try:
            self._check_folder(f"{self._root}/{prefix}".rstrip("/"))
            with os.scandir(f"{self._root}/{prefix}") as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [f"{prefix}/{name}".lstrip("/") for name in sorted(names)]

    def total_size(self) -> int:
        return _size_below(self._root)

    def version(self, key: str) -> tuple[Version, ...]:
        # Of the folder itself only which one it is: its times change with what is beside the store.
        folder, file = os.stat(self._root), os.stat(f"{self._root}/{key}")
        return (folder.st_dev, folder.st_ino, 0, 0, 0), version_of(file)

    def check_below(self, prefix: str) -> None:
        self._check_folder(f"{self._root}/{prefix}")
        for folder, folders, files in os.walk(f"{self._root}/{prefix}"):
            for name in (*folders, *files):
                self._status(f"{folder}/{name}")

    def discard(self, prefix: str) -> None:
        shutil.rmtree(f"{self._root}/{prefix}", ignore_errors=True)

    def close(self) -> None:
        # A file that is still open was not finished, and is thrown away with its folder.
        if self._created is not None:
            with suppress(OSError):
                self._created.close()

    def _file(self, key: str) -> tuple[str, os.stat_result]:
        """Return the path of a file that may be read, and its status; KeyError if it is missing."""
        path = f"{self._root}/{key}"
        try:
            self._check_folder(path.rpartition("/")[0])
            status = self._status(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise KeyError(str(error)) from None
        except OSError as error:  # such as one that may not be read
            raise N1StoreError(f"{path}: {error.strerror}") from error
        if stat.S_ISDIR(status.st_mode):
            raise KeyError(f"{path} is a folder")
        return path, status

    def _check_folder(self, folder: str) -> None:
        """Raise N1StoreError if the way to a folder leads over a link."""
        if folder not in self._folders:
            names = folder.removeprefix(f"{self._root}/").split("/")
            for count in range(len(names)):
                self._status("/".join([self._root, *names[: count + 1]]))
            self._folders.add(folder)

    def _say_followed(self, path: str) -> None:
        """Log a link, if it is the first in its folder: in some stores all chunks are links."""
        folder = os.path.dirname(path)
        if folder not in self._followed:
            self._followed.add(folder)
            _log.warning("%s: is a link, followed to %s", path, os.path.realpath(path))

    def _status(self, path: str) -> os.stat_result:
        """Return the status of what may be read; N1StoreError if it may not."""
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                if not self._follow_links:
                    raise N1StoreError(f"{path}: is a link, and is not followed")
                status = os.stat(path)
                self._say_followed(path)
        except ValueError:  # such as one that is no text
            raise FileNotFoundError(f"{path!r} is no name of a file") from None
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
                raise FileNotFoundError(str(error)) from None
            raise
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise N1StoreError(f"{path}: is no ordinary file, and is not opened")
        return status


_log = logging.getLogger(__name__)


def read_at(descriptor: int, start: int, length: int) -> bytes:
    """Return bytes of a file from `start`, fewer where it ends; safe in threads."""
    content = b""
    # Systems read no more than 2 GiB at a time.
    while left := length - len(content):
        if not (more := os.pread(descriptor, left, start + len(content))):
            break
        content += more
    return content


def _size_below(folder: str) -> int:
    with os.scandir(folder) as entries:
        return sum(
            _size_below(entry.path)
            if entry.is_dir(follow_symlinks=False)
            else entry.stat(follow_symlinks=False).st_size
            for entry in entries
        )


# What zipfile makes of a damaged file.
_DAMAGE = (
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OverflowError),
    *(struct.error, zlib.error, ValueError),
)


_ZIP_BLOCK_BYTES = 1 << 20
_ZIP_HEADER_BYTES = 30  # of a member, before its name; PKWARE's APPNOTE, 4.3.7


class ZipFiles(Files):
    """Files in a zip file, uncompressed, as Zarr's ZipStore reads it."""

    def __init__(self, path: Path, mode: Literal["r", "w"]):
        self._path = path
        self._created: IO[bytes] | None = None
        try:
            self._zip = zipfile.ZipFile(path, mode, zipfile.ZIP_STORED)
        except _DAMAGE:
            raise N1StoreError(f"{path}: is not a zip file, or an incomplete one") from None
        assert self._zip.fp is not None
        self._descriptor = self._zip.fp.fileno()

    def create(self, key: str) -> IO[bytes]:
        info = zipfile.ZipInfo(key)  # dated 1980, so that equal stores are equal files
        info.external_attr = 0o644 << 16
        self._created = self._zip.open(info, "w", force_zip64=True)
        return self._created

    def read(self, key: str, start: int = 0, length: int = -1) -> bytes:
        # Past zipfile, whose members share a position, also with those of forked processes.
        with self._damage_is_our_error():
            info, file = self._zip.getinfo(key), self._descriptor
            header = os.pread(file, _ZIP_HEADER_BYTES, info.header_offset)
            name_bytes, extra_bytes = struct.unpack_from("<HH", header, 26)
            begin = info.header_offset + _ZIP_HEADER_BYTES + name_bytes + extra_bytes
            if info.file_size > os.fstat(file).st_size:
                raise zipfile.BadZipFile(f"file {key} would be larger than the zip file")
            if length < 0:
                length = info.file_size - start
            content = read_at(file, begin + start, min(length, info.file_size - start))
            whole = start == 0 and len(content) == info.file_size
            if info.compress_type != zipfile.ZIP_STORED or (
                whole and zlib.crc32(content) != info.CRC
            ):
                raise zipfile.BadZipFile(f"file {key} is not as it was written")
            return content

    @contextmanager
    def opened(self, key: str) -> Iterator[Callable[[int, int], bytes]]:
        yield partial(self.read, key)

    def size(self, key: str) -> int:
        return self._zip.getinfo(key).file_size

    def faults(self) -> Iterator[str]:
        # `read` is often of a part, and has no need of all that the directory says.
        for info in self._zip.infolist():
            try:
                with self._zip.open(info) as file:
                    while file.read(_ZIP_BLOCK_BYTES):
                        pass
            except (*_DAMAGE, OSError) as error:
                yield f"{info.filename}: other programs cannot read it: {one_line(error)}"

    def folders(self, prefix: str) -> list[str]:
        start = f"{prefix}/" if prefix else ""
        names = {
            name[len(start) :].partition("/")[0]
            for name in self._zip.namelist()
            if name.startswith(start) and "/" in name[len(start) :]
        }
        return [f"{prefix}/{name}".lstrip("/") for name in sorted(names)]

    def total_size(self) -> int:
        return self._path.stat().st_size

    def version(self, key: str) -> tuple[Version, ...]:
        return (version_of(os.fstat(self._descriptor)),)

    def check_below(self, prefix: str) -> None:
        pass  # nothing in a zip file leads out of it

    def discard(self, prefix: str) -> None:
        pass  # nothing can be taken out of a zip file

    def close(self) -> None:
        self._zip.close()

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self.close()
            return
        # The file is thrown away: failing to complete it, now or when Python cleans up, is
        # no second failure.
        for unfinished in (self._created, self._zip):
            with suppress(OSError, ValueError):
                if unfinished is not None:
                    unfinished.close()

    @contextmanager
    def _damage_is_our_error(self) -> Iterator[None]:
        try:
            yield
        except KeyError:
            raise
        except (*_DAMAGE, OSError) as error:  # also of a place that there is not
            what = "a file is not where its directory says"
            words = one_line(error) if isinstance(error, zipfile.BadZipFile) else what
            raise N1StoreError(f"{self._path}: is damaged: {words}") from error


def open_files(path: Path, *, follow_links: bool = False) -> Files:
    """Open a store's files for reading; `follow_links` is as `FolderFiles` has it."""
    return FolderFiles(path, follow_links) if path.is_dir() else ZipFiles(path, "r")


def create_files(path: Path, *, folder: bool) -> Files:
    """Write a store's files into an empty folder, or over an empty file."""
    return FolderFiles(path) if folder else ZipFiles(path, "w")
