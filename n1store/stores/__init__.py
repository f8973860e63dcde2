"""Stores: where the chunks of recordings are kept, and how to get at them again."""

import os
from pathlib import Path

from n1store.errors import N1StoreError
from n1store.stores.base import Store


def is_store(path: Path) -> bool:
    """Return whether a path is named as a store is."""
    return path.suffix in (".zarr", ".nwb") or path.name.endswith(".zarr.zip")


def open(path: str | os.PathLike) -> Store:
    """Open a Zarr store that n1store wrote, or any NWB file.

    Parameters
    ----------
    path : path-like
        A ``.zarr`` folder, a ``.zarr.zip`` file or an ``.nwb`` file.

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
    if not path.exists():
        raise N1StoreError(f"{path}: no such store")
    if path.suffix == ".nwb":
        from n1store.stores.nwb.reader import NwbStore

        return NwbStore(path)
    from n1store.stores.zarr.reader import ZarrStore

    return ZarrStore(path)
