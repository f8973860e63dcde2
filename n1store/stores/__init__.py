"""Stores: where the chunks of recordings are kept, and how to get at them again."""

import os
from pathlib import Path

from n1store.errors import N1StoreError
from n1store.stores.zarr import ZarrStore


def open(path: str | os.PathLike) -> ZarrStore:
    """Open a store that n1store wrote.

    Parameters
    ----------
    path : path-like
        A ``.zarr`` folder or a ``.zarr.zip`` file.

    Returns
    -------
    mapping of str to Recording
        In the order in which they were written. Samples are read when asked for.

    Raises
    ------
    N1StoreError
        If there is no such store, or it is not one of n1store's.

    Examples
    --------
    >>> store = n1store.open("out.zarr")  # doctest: +SKIP
    >>> store["rat-7"].traces[20_000:40_000, [0, 3]]  # doctest: +SKIP
    """
    path = Path(path)
    if not path.exists():
        raise N1StoreError(f"{path}: no such store")
    return ZarrStore(path)
