"""Reading what is small: all values of a dataset, if it is not too large for anything but samples.

A file of a few bytes can claim any number of values, which were never written or compress to
nothing.
"""

from __future__ import annotations

import h5py
import numpy as np

from n1store.errors import N1StoreError
from n1store.stores.base import MOST_BYTES

_FEW_BYTES = 1 << 20


def read_values(dataset: h5py.Dataset, errors: str = "strict") -> np.ndarray:
    """Return a dataset's values, texts as str.

    Parameters
    ----------
    dataset : h5py.Dataset
    errors : str
        What to do about a text that is not of UTF-8, as `bytes.decode` has it.

    Raises
    ------
    N1StoreError
        If there are none, more than `MOST_BYTES` of them, or many that were never written.
    """
    if dataset.shape is None:
        raise N1StoreError(f"{dataset.name.strip('/')}: has no values")
    num_bytes = dataset.size * dataset.id.get_type().get_size()
    if num_bytes > MOST_BYTES:
        raise N1StoreError(
            f"{dataset.name.strip('/')}: its values are of {num_bytes} bytes; of anything but "
            f"samples no more than {MOST_BYTES >> 20} MiB are read"
        )
    is_here = not dataset.is_virtual and not dataset.external
    if is_here and num_bytes > _FEW_BYTES and not dataset.id.get_storage_size():
        raise N1StoreError(f"{dataset.name.strip('/')}: its values were never written")
    if h5py.check_string_dtype(dataset.dtype):
        return np.asarray(dataset.asstr("utf-8", errors)[()], object)
    return np.asarray(dataset[()])
