"""The kinds of stores there are: by its name, what reads a store and what writes it.

A kind is a row of `KINDS`. What a row names is imported when it is used.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from n1store.errors import N1StoreError
from n1store.regular import check_regular
from n1store.stores.base import Destination, Store
from n1store.system.atomic import interrupted

if TYPE_CHECKING:
    from n1store.session.metadata import NwbMetadata


def _open_zarr(path: Path, follow_links: bool) -> Store:
    from n1store.stores.zarr.reader import ZarrStore

    return ZarrStore(path, follow_links=follow_links)


def _zarr_destination(path: Path, **options: Any) -> Destination:
    from n1store.stores.zarr.writer import ZarrDestination

    return ZarrDestination(path, **options)


def _open_nwb(path: Path, follow_links: bool) -> Store:
    from n1store.stores.nwb.reader import NwbStore

    return NwbStore(path, follow_links=follow_links)


def _nwb_destination(path: Path, **options: Any) -> Destination:
    from n1store.stores.nwb.writer import NwbDestination

    return NwbDestination(path, **options)


@dataclass(frozen=True)
class StoreKind:
    """A kind of stores.

    Attributes
    ----------
    suffix : str
        What the names of such stores end in.
    scheme : str
        What their addresses begin with; ``file`` for paths on this machine.
    open : callable
        Opens the one at a path for reading; with `follow_links` as `open` has it.
    destination : callable
        Returns what writes one to a path, with the options of `destination_for`.
    """

    suffix: str
    scheme: str
    open: Callable[[Path, bool], Store]
    destination: Callable[..., Destination]


KINDS = (
    StoreKind(".zarr", "file", _open_zarr, _zarr_destination),
    StoreKind(".zarr.zip", "file", _open_zarr, _zarr_destination),
    StoreKind(".nwb", "file", _open_nwb, _nwb_destination),
)


def is_store(path: Path) -> bool:
    """Return whether a path is named as a store is."""
    return _kind_of(path) is not None


def open(path: str | os.PathLike[str], *, follow_links: bool = False) -> Store:
    """Open a Zarr store that n1store wrote, or any NWB file.

    Parameters
    ----------
    path : path-like
        A ``.zarr`` folder, a ``.zarr.zip`` file or an ``.nwb`` file.
    follow_links : bool
        Whether to read what links in it lead to, also those of HDF5: that may be any file of
        this machine. What is followed is logged as a warning.

    Returns
    -------
    mapping of str to Recording
        In the order in which they were written. Samples are read when asked for.

    Raises
    ------
    N1StoreError
        If there is no such store, or it is not one of n1store's, and no NWB file either.

    Examples
    --------
    >>> store = n1store.open("out.zarr")  # doctest: +SKIP
    >>> store["rat-7"].traces[20_000:40_000, [0, 3]]  # doctest: +SKIP
    """
    path = Path(path)
    kind = _kind_of(path)
    if path.exists() and not path.is_dir():
        try:
            check_regular(path)
        except OSError as error:
            raise N1StoreError(f"{path}: {error.strerror}") from error
    if kind is None and path.is_file() and not zipfile.is_zipfile(path):
        raise N1StoreError(
            f"{path}: is no store, which are called {_suffixes()}; n1store convert makes one of "
            "recordings"
        )
    if (kind is None or kind.scheme == "file") and not path.exists():
        old = interrupted(path)
        there = f"; it was being replaced when that was stopped, and is whole: {old}"
        raise N1StoreError(f"{path}: no such store{there if old else ''}")
    return kind.open(path, follow_links) if kind else _open_zarr(path, follow_links)


def destination_for(
    path: Path,
    *,
    layout: str,
    zarr_format: int | None,
    shard_seconds: float | None,
    nwb: NwbMetadata | None,
    overwrite: bool,
) -> Destination:
    """Return what writes a store to a path; nothing is written yet.

    Parameters
    ----------
    path : Path
    layout, zarr_format, shard_seconds, nwb, overwrite
        As `n1store.convert` takes them.

    Raises
    ------
    N1StoreError
        If there is no such kind of stores, or it does not know an option that is given.
    """
    kind = _kind_of(path)
    if kind is None:
        raise N1StoreError(f"{path}: the store's name must end in {_suffixes()}")
    return kind.destination(
        path,
        layout=layout,
        zarr_format=zarr_format,
        shard_seconds=shard_seconds,
        nwb=nwb,
        overwrite=overwrite,
    )


def _suffixes() -> str:
    *others, last = [each.suffix for each in KINDS]
    return f"{', '.join(others)} or {last}"


def _kind_of(path: Path) -> StoreKind | None:
    address = re.match(r"([a-z][a-z0-9+.-]+):/", str(path))
    scheme = address[1] if address else "file"
    kinds = (
        kind
        for kind in KINDS
        if kind.scheme == scheme and path.name.endswith(kind.suffix) and path.name != kind.suffix
    )
    return next(kinds, None)
