"""n1store's codecs as HDF5 filters, to be given to h5py; importing it makes HDF5 find them.

As in hdf5plugin, an instance of a class is what a dataset is created with:
``file.create_dataset(name, data=traces, chunks=(20_000, 64), compression=N1(64))``. Reading
such a dataset needs the plugin but no class: also programs that know nothing of Python read it,
with the environment variable HDF5_PLUGIN_PATH set to `PLUGIN_FOLDER`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import n1store
from n1store.codecs import n1
from n1store.errors import N1StoreError


def _plugin_folder() -> Path:
    # An editable install keeps the libraries and the sources in two folders of one package.
    for folder in n1store.__path__:
        plugins = Path(folder) / "hdf5"
        if any(plugins.glob("libn1store_h5_*.so")):
            return plugins
    raise ImportError(
        "n1store's HDF5 plugins are not beside the package: "
        "run `make setup` in the checkout, or `pip install` the package"
    )


PLUGIN_FOLDER = _plugin_folder()
"""The folder of the plugins, which hold one filter each."""

h5py.h5pl.prepend(os.fsencode(PLUGIN_FOLDER))


class N1(h5py.filters.FilterRefBase):
    """The `n1` codec; see `n1store.codecs.n1.N1`. Chunks have the same payloads.

    A chunk that does not become smaller is stored as it is, and without `n1`'s checksum.

    Parameters
    ----------
    num_channels : int or None
        Channels of a chunk, that is the product of all lengths of its shape but the first,
        which is time; None if the dataset has one dimension.
    dtype : dtype-like
        Of the dataset: int16, uint16, int8 or uint8, little-endian.
    level : int
        1 is fast, 2 the default, 3 the smallest. Decoding does not depend on it.
    widths : str or bytes, optional
        A table of code widths to use instead of the built-in one, stored with the dataset;
        needs h5py 3.16.

    Raises
    ------
    N1StoreError
        If any of them is not of its kind.
    """

    filter_id = 52785

    def __init__(
        self,
        num_channels: int | None,
        dtype: Any = "int16",
        level: int = 2,
        widths: str | bytes | None = None,
    ):
        dtype = np.dtype(dtype)
        if dtype not in _DTYPES:
            raise N1StoreError(f"n1 takes little-endian integers of 8 or 16 bits, not {dtype}")
        if num_channels is not None and not 0 < num_channels < 2**31:
            raise N1StoreError(f"a chunk has at least one channel, not {num_channels}")
        codec = n1.N1(level, widths)
        # cd_values as filters/FORMAT.md has them.
        table = n1.widths_from_config(codec.widths)
        self.filter_options = (
            *(codec.level, _DTYPES.index(dtype), num_channels or 0),
            *(() if table is None else _packed(table)),
        )
        self._config = {
            "num_channels": num_channels,
            "dtype": dtype.name,
            "level": codec.level,
            "widths": codec.widths,
        }

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it again."""
        return dict(self._config)

    def __repr__(self) -> str:
        arguments = (f"{name}={value!r}" for name, value in self._config.items())
        return f"N1({', '.join(arguments)})"


_DTYPES = [np.dtype(name) for name in ("<i2", "<u2", "i1", "u1")]
_WIDTH_BITS = 7


def _packed(table: bytes) -> tuple[int, ...]:
    if h5py.version.version_tuple[:2] < (3, 16):
        raise N1StoreError("a table of code widths in an HDF5 file needs h5py 3.16 or later")
    widths = np.frombuffer(table, "u1")
    if widths.max() >> _WIDTH_BITS:
        raise N1StoreError("HDF5 has no room for a table of code widths with any above 127")
    bits = np.unpackbits(widths[:, None], axis=1, bitorder="little")[:, :_WIDTH_BITS]
    return tuple(np.packbits(bits, bitorder="little").view("<u4").tolist())
