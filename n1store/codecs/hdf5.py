"""n1store's codecs as HDF5 filters, to be given to h5py; importing it makes HDF5 find them.

As in hdf5plugin, an instance of a class is what a dataset is created with:
``file.create_dataset(name, data=traces, chunks=(20_000, 64), compression=N1(64))``. Reading
such a dataset needs the plugin but no class: also programs that know nothing of Python read it,
with the environment variable HDF5_PLUGIN_PATH set to `PLUGIN_FOLDER`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import h5py
import numpy as np
import numpy.typing as npt
from numcodecs import get_codec
from numcodecs.abc import Codec

from n1store.codecs import hdf5_numcodecs, n1
from n1store.codecs.base import level_of
from n1store.codecs.catalogue import CATALOGUE
from n1store.codecs.hdf5_filters import FILTERS, CdValues, Content, Filter
from n1store.codecs.native import package_folders
from n1store.codecs.simple_table import SIMPLE_CODECS, SimpleRow
from n1store.codecs.spec import Configuration
from n1store.errors import N1StoreError, NotHereError, one_line

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Tell type checkers that there are classes which are not written out here."""


def _plugin_folder() -> Path:
    for folder in package_folders():
        plugins = folder / "hdf5"
        if any(plugins.glob(_LIBRARY.format("*"))):
            return plugins
    raise ImportError(
        "n1store's HDF5 plugins are not beside the package: "
        "run `make setup` in the checkout, or `pip install` the package"
    )


_LIBRARY = "libn1store_h5_{}.so"

PLUGIN_FOLDER = _plugin_folder()
"""The folder of the plugins, which hold one filter each."""

h5py.h5pl.prepend(os.fsencode(PLUGIN_FOLDER))


def plugins() -> dict[str, Path]:
    """Return the libraries of the plugins that are here, by codec.

    Those of wavpack and flac are left out where n1store was built without libwavpack or libFLAC.
    """
    prefix, suffix = _LIBRARY.split("{}")
    paths = sorted(PLUGIN_FOLDER.glob(_LIBRARY.format("*")))
    return {path.name.removeprefix(prefix).removesuffix(suffix): path for path in paths}


def require(hdf5_filter: Filter) -> None:
    """Raise NotHereError if HDF5 does not find the plugin of one of n1store's filters."""
    if not h5py.h5z.filter_avail(hdf5_filter.filter_id):
        package = hdf5_filter.debian_package
        raise NotHereError(
            f"HDF5 finds no plugin for {hdf5_filter.name}; to install it: "
            f"{f'apt-get install {package} && ' if package else ''}"
            "pip install --force-reinstall n1store"
        )


class _Filter(h5py.filters.FilterRefBase):  # type: ignore[misc]  # h5py has no types
    """A filter that keeps the arguments that it was made from.

    Attributes
    ----------
    name : str
        The filter, as hdf5_filters.py has it.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if hasattr(cls, "name"):
            cls.filter_id = FILTERS[cls.name].filter_id

    def __init__(self, cd_values: CdValues = (), **config: Any):
        require(FILTERS[self.name])
        self.filter_options = cd_values
        self._config = config

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it again."""
        return dict(self._config)

    def __repr__(self) -> str:
        arguments = (f"{name}={value!r}" for name, value in self._config.items())
        return f"{type(self).__name__}({', '.join(arguments)})"


class _SampleFilter(_Filter):
    """A filter that must know what is in a chunk, and has some of a codec's settings."""

    def __init__(
        self,
        configuration: Configuration,
        num_channels: int | None,
        dtype: npt.DTypeLike,
        **settings: Any,
    ):
        dtype = np.dtype(dtype)
        cd_values = FILTERS[self.name].cd_values(configuration, Content(dtype, num_channels))
        super().__init__(cd_values, num_channels=num_channels, dtype=dtype.name, **settings)


class _LevelFilter(_SampleFilter):
    """A filter with a level, whose values are those of the catalogue."""

    def __init__(self, num_channels: int | None, dtype: npt.DTypeLike, level: int):
        (levels,) = (x.range for x in CATALOGUE[self.name].parameters if x.name == "level")
        level = level_of(self.name, level, levels)
        super().__init__({"level": level}, num_channels, dtype, level=level)


class N1(_SampleFilter):
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
    block_samples : int
        The most samples of a channel in a block, the least that can be decoded; 0 for as many as
        suit.

    Raises
    ------
    N1StoreError
        If any of them is not of its kind.
    """

    name = "n1"

    def __init__(
        self,
        num_channels: int | None,
        dtype: npt.DTypeLike = "int16",
        level: int = 2,
        widths: str | bytes | None = None,
        block_samples: int = 0,
    ):
        codec = n1.N1(level, widths, block_samples)
        settings = {
            "level": codec.level,
            "widths": codec.widths,
            "block_samples": codec.block_samples,
        }
        super().__init__(codec.get_config(), num_channels, dtype, **settings)


class ADC(_Filter):
    """The permutation `adc` of int16 samples; see `n1store.codecs.adc.ADC`.

    It is of use in front of another filter only, which takes h5py's low-level functions:
    ``properties.set_filter(codec.filter_id, h5py.h5z.FLAG_OPTIONAL, codec.filter_options)`` for
    each codec in order.
    """

    name = "adc"

    def __init__(self) -> None:
        super().__init__()


class WavPack(_LevelFilter):
    """WavPack; chunks have the streams of the numcodecs codec `wavpack`.

    A chunk that does not become smaller, or is of fewer than 16 values, is stored as it is.

    Parameters
    ----------
    num_channels : int or None
        Channels of a chunk, that is the second length of its shape; None if the dataset has
        not two dimensions.
    dtype : dtype-like
        Of the dataset: int16, little-endian, or int8.
    level : int
        1 is fast, 2 the default, 4 the smallest.

    Raises
    ------
    N1StoreError
        If any of them is not of its kind, or n1store was built without libwavpack.
    """

    name = "wavpack"

    def __init__(self, num_channels: int | None, dtype: npt.DTypeLike = "int16", level: int = 2):
        super().__init__(num_channels, dtype, level)


class Flac(_LevelFilter):
    """FLAC; chunks have the payloads of `n1store.codecs.library.flac.Flac`.

    A chunk that does not become smaller is stored as it is, and without FLAC's checksums.

    Parameters
    ----------
    num_channels : int or None
        Channels of a chunk, that is the product of all lengths of its shape but the first,
        which is time; None if the dataset has one dimension.
    dtype : dtype-like
        Of the dataset: int16, uint16, int8 or uint8, little-endian.
    level : int
        0 is fast, 5 the default, 8 the smallest. Decoding does not depend on it.

    Raises
    ------
    N1StoreError
        If any of them is not of its kind, or n1store was built without libFLAC.
    """

    name = "flac"

    def __init__(self, num_channels: int | None, dtype: npt.DTypeLike = "int16", level: int = 5):
        super().__init__(num_channels, dtype, level)


class _Transform(_SampleFilter):
    """A transform of samples, of use in front of another filter only; see `ADC`.

    Parameters
    ----------
    num_channels : int or None
        Channels of a chunk, that is the product of all lengths of its shape but the first,
        which is time; None if the dataset has one dimension.
    dtype : dtype-like
        Of the dataset: int16 or uint16, little-endian.
    **parameter : int
        The parameter of the numcodecs codec.

    Raises
    ------
    N1StoreError
        If any of them is not of its kind.
    """

    def __init__(self, num_channels: int | None, dtype: npt.DTypeLike = "int16", **parameter: int):
        configuration = CATALOGUE[self.name].codec(parameter).get_config()
        settings = {name: value for name, value in configuration.items() if name != "id"}
        super().__init__(configuration, num_channels, dtype, **settings)


class _Coder(_Filter):
    """A filter from bytes to bytes, for chunks of anything; it takes no arguments.

    A chunk that does not become smaller is stored as it is.
    """

    def __init__(self) -> None:
        super().__init__()


class Numcodecs(_Filter):
    """Any codec of numcodecs, of its own or found by its entry points.

    Chunks have the bytes that the codec makes of them, also where they do not become smaller.
    They are read in processes that run Python, with numcodecs and what the codec needs, such as
    those of h5py and pynwb; h5dump and h5repack cannot read them.

    Parameters
    ----------
    codec : numcodecs.abc.Codec or dict
        The codec, or its configuration, such as ``{"id": "lzma", "preset": 6}``.
    num_channels : int, optional
        For codecs that must know the shape of what they encode: the channels of a chunk, that is
        the product of all lengths of its shape but the first. Without, they are given flat arrays.
    dtype : dtype-like
        Of what the codec is given: little-endian integers or floats.
    chunk_bytes : int
        Bytes of a chunk, if they are known: then a chunk that decodes to others is an error.

    Raises
    ------
    N1StoreError
        If any of them is not of its kind, or if there is no such codec here, or it is one for
        objects.
    """

    name = "numcodecs"

    def __init__(
        self,
        codec: Codec | dict[str, Any],
        num_channels: int | None = None,
        dtype: npt.DTypeLike = "int16",
        chunk_bytes: int = 0,
    ):
        configuration = codec.get_config() if isinstance(codec, Codec) else dict(codec)
        dtype = np.dtype(dtype)
        if dtype not in hdf5_numcodecs.DTYPES:
            known = ", ".join(each.name for each in hdf5_numcodecs.DTYPES)
            raise N1StoreError(f"numcodecs in HDF5 takes {known}, little-endian, not {dtype}")
        if num_channels is not None and not 0 < num_channels < 2**31:
            raise N1StoreError(f"a chunk has at least one channel, not {num_channels}")
        if not 0 <= chunk_bytes < 2**32:
            raise N1StoreError(f"a chunk has less than 4 GiB, not {chunk_bytes} bytes")
        cd_values = hdf5_numcodecs.to_cd_values(configuration, dtype, num_channels, chunk_bytes)
        try:
            get_codec(dict(configuration))
        except Exception as error:  # whatever a codec makes of its settings
            raise N1StoreError(f"codec {configuration['id']}: {one_line(error)}") from error
        super().__init__(
            cd_values,
            codec=configuration,
            num_channels=num_channels,
            dtype=dtype.name,
            chunk_bytes=chunk_bytes,
        )


def _class_of(row: SimpleRow) -> type[_Filter]:
    """Return the class of a simple codec; its chunks are those of the codec for numcodecs."""
    base = _Transform if row.kind == "array-array" else _Coder
    namespace = {
        "__doc__": f"{row.docstring.splitlines()[0]}\n\n"
        f"See `n1store.codecs.simple.{row.class_name}`"
        + (" for its settings, and `ADC` for how to use it." if row.kind == "array-array" else "."),
        "__module__": __name__,
        "name": row.name,
    }
    return type(row.class_name, (base,), namespace)


globals().update({row.class_name: _class_of(row) for row in SIMPLE_CODECS})
