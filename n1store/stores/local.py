"""Stores on this machine's disks, which appear by a rename."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from types import TracebackType

from n1store.errors import N1StoreError
from n1store.session.session import Session
from n1store.stores.base import Destination, StoreWriter
from n1store.system.atomic import Replacement


class LocalDestination(Destination):
    """A folder or a file, written under another name beside its own.

    Attributes
    ----------
    is_folder : bool
    """

    is_folder: bool

    def __init__(self, path: Path, overwrite: bool):
        self.path = path
        self._overwrite = overwrite
        self._replacement: Replacement | None = None

    @abstractmethod
    def _create_at(self, temporary: Path, session: Session | None) -> StoreWriter:
        """Begin to write the store in this empty folder or file."""

    def create(self, session: Session | None) -> StoreWriter:
        self._replacement = Replacement(
            self.path, overwrite=self._overwrite, folder=self.is_folder, any_kind=True
        )
        _check_replaceable(self.path)
        self._replacement.begin()
        return self._create_at(self._replacement.temporary, session)

    def publish(self) -> None:
        assert self._replacement is not None, "nothing was created"
        _check_replaceable(self.path)
        self._replacement.publish()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._replacement is not None:
            self._replacement.__exit__(kind, error, traceback)
            self._replacement = None


# One of them is in the root of each Zarr store, even of one that has lost others.
_OF_STORES = {"zarr.json", ".zgroup", ".zattrs", ".zarray", ".zmetadata"}


def _check_replaceable(path: Path) -> None:
    """Raise N1StoreError if a folder stands there that is no store, nor empty."""
    if path.is_dir() and not path.is_symlink():
        names = {each.name for each in path.iterdir()}
        if names and not names & _OF_STORES:
            raise N1StoreError(
                f"{path}: is a folder with other files in it, {min(names)} for one, and no store "
                "that could be replaced; move it away, or name another"
            )
