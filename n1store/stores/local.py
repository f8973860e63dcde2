"""Stores on this machine's disks, which appear by a rename."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from types import TracebackType

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
        self._replacement.begin()
        return self._create_at(self._replacement.temporary, session)

    def publish(self) -> None:
        assert self._replacement is not None, "nothing was created"
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
