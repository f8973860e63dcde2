"""Finding the objects of an HDF5 file that are in this file, and in no other that it names.

HDF5 reads what external links, external storage and virtual datasets name, wherever that is on
the machine: a file from a stranger could so have any other file copied. Here they are found out
before anything is read.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypeAlias

import h5py

from n1store.errors import N1StoreError, one_line

_log = logging.getLogger(__name__)

Item: TypeAlias = "h5py.Group | h5py.Dataset"

_MOST_LINKS = 16  # one behind the other, as HDF5 has it


class Objects:
    """Finds objects by their paths.

    Parameters
    ----------
    follow_links : bool
        Whether to find also what is in other files. Each of them is logged once.
    """

    def __init__(self, follow_links: bool = False):
        self._follow_links = follow_links
        self._followed: set[str] = set()

    def find(self, group: h5py.Group, path: str) -> Item | None:
        """Return the object at a path below a group, or None.

        Raises
        ------
        N1StoreError
            If it, or what it holds, is in another file.
        """
        item = self._resolve(group, path, _MOST_LINKS)
        if isinstance(item, h5py.Dataset):
            for file in _other_files(item):
                self._outside(group, path, file)
            for names in _sources(item):
                self._check_sources(group, path, item, *names)
        return item

    def require(self, group: h5py.Group, path: str) -> Item:
        """Return the object at a path; KeyError if there is none, else as `find`."""
        item = self.find(group, path)
        if item is None:
            raise KeyError(f"there is no {path}")
        return item

    def visit(self, file: h5py.File, look: Callable[[str, Item], None]) -> None:
        """Call `look` with the path of each object of a file, and the object, once.

        Objects of other files are among them if links are followed.
        """
        file.visititems(look)
        for path in _links(file) if self._follow_links else ():
            item = self.find(file, path)
            if item is not None and item.file != file:
                look(path, item)
                if isinstance(item, h5py.Group):
                    item.visititems(lambda name, other, path=path: look(f"{path}/{name}", other))

    def unreachable(self, file: h5py.File, folder: str) -> Iterator[str]:
        """Yield a line for each link in a group that leads nowhere, or is not followed."""
        for path, target in _links(file).items():
            if path.startswith(f"{folder}/"):
                try:
                    if self.find(file, path) is None:
                        yield f"{path}: is a link to {target}, where there is nothing"
                except N1StoreError as error:
                    yield str(error)

    def _resolve(
        self, group: h5py.Group, path: str, links: int
    ) -> h5py.Group | h5py.Dataset | None:
        item = group.file if path.startswith("/") else group
        for name in filter(None, path.split("/")):
            link = item.get(name, getlink=True) if isinstance(item, h5py.Group) else None
            if isinstance(link, h5py.HardLink):
                item = item[name]
            elif isinstance(link, h5py.SoftLink) and links:
                item = self._resolve(item, link.path, links - 1)
            elif isinstance(link, h5py.ExternalLink):
                self._outside(group, path, link.filename)
                item = item.get(name)
            else:
                return None
        return item

    def _check_sources(
        self, group: h5py.Group, path: str, virtual: h5py.Dataset, file: str, dataset: str
    ) -> None:
        """Raise N1StoreError if what a virtual dataset is made of is not values of a file.

        Names may be patterns of several, numbered from 0 on, up to the first that is not there.
        """
        is_pattern = "%b" in file + dataset
        for number in itertools.count() if is_pattern else (0,):
            with ExitStack() as files:
                names = _numbered(file, number), _numbered(dataset, number)
                sources = list(self._find_sources(virtual, *names, files))
                if not sources and file == "." and not is_pattern:  # HDF5 would make numbers up
                    raise N1StoreError(
                        f"{_place(group, path)}: is made of a dataset that is not there"
                    )
                for source in sources:
                    self._check_values(group, path, source)
            if not sources:
                break

    def _find_sources(
        self, virtual: h5py.Dataset, file: str, dataset: str, files: ExitStack
    ) -> Iterator[Item]:
        """Yield what a virtual dataset may mean by the names of a file and of a dataset in it."""
        if file == ".":
            found = {self._resolve(virtual.file, dataset, _MOST_LINKS)}
        else:
            # Which of these it is depends on the settings of HDF5, too.
            name = os.path.basename(file)
            beside = os.path.dirname(virtual.file.filename)
            places = {os.path.join(beside, file), file, os.path.join(beside, name)}
            found = {
                files.enter_context(h5py.File(place, "r")).get(dataset)
                for place in places
                if os.path.isfile(place) and h5py.is_hdf5(place)
            }
        yield from found - {None}

    def _check_values(self, group: h5py.Group, path: str, source: Item) -> None:
        if isinstance(source, h5py.Dataset):
            # In a circle of them HDF5 would turn for ever.
            if source.is_virtual:
                raise N1StoreError(f"{_place(group, path)} is a virtual dataset of virtual ones")
            for file in _other_files(source):
                self._outside(group, path, file)

    def _outside(self, group: h5py.Group, path: str, file: str) -> None:
        place = _place(group, path)
        if not self._follow_links:
            raise N1StoreError(f"{place}: is in another file, {file}, as links are not followed")
        if file not in self._followed:
            self._followed.add(file)
            _log.warning("%s: %s is in another file, %s", group.file.filename, place, file)


def why_not_opened(error: OSError) -> str:
    """Return why HDF5 did not open a file, and what to do about it."""
    if "h5clear" in str(error):
        return (
            "was being written when its writer was killed, which left it marked as open; "
            "`h5clear -s` takes the mark away, and `n1store verify` tells whether all is there"
        )
    return f"is not an HDF5 file, or is cut off: {one_line(error)}"


def _links(file: h5py.File) -> dict[str, str]:
    """Return the paths of the links in a file that are no objects, and to where they lead."""
    links: dict[str, str] = {}

    def collect(path: str, link: Any) -> None:
        if not isinstance(link, h5py.HardLink):
            links[path] = link.path

    file.visititems_links(collect)
    return links


def _place(group: h5py.Group, path: str) -> str:
    return (path if path.startswith("/") else f"{group.name}/{path}").strip("/")


def _other_files(dataset: h5py.Dataset) -> set[str]:
    """Return the names of the other files that hold a dataset's values."""
    if not dataset.is_virtual:
        return {name for name, _, _ in dataset.external or ()}
    sources = dataset.virtual_sources()
    # Names may be patterns, of which HDF5 alone knows what they stand for.
    patterns = {source.dset_name for source in sources if "%" in source.dset_name}
    return {source.file_name for source in sources} - {"."} | patterns


def _sources(dataset: h5py.Dataset) -> set[tuple[str, str]]:
    """Return the files, "." for its own, and paths of what a virtual dataset is made of."""
    sources = dataset.virtual_sources() if dataset.is_virtual else ()
    return {(source.file_name, source.dset_name) for source in sources}


def _numbered(pattern: str, number: int) -> str:
    """Return the name that HDF5 makes of a pattern for a number."""
    return re.sub("%(.)", lambda found: str(number) if found[1] == "b" else found[1], pattern)
