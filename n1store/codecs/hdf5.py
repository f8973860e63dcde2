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
from numcodecs import get_codec
from numcodecs.abc import Codec

from n1store.codecs import hdf5_numcodecs, n1, simple
from n1store.codecs.library import flac
from n1store.codecs.native import package_folders
from n1store.errors import N1StoreError, one_line


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


class _Filter(h5py.filters.FilterRefBase):
    """A filter that keeps the arguments that it was made from."""

    name: str
    package = ""

    @classmethod
    def require(cls) -> None:
        """Raise N1StoreError if HDF5 does not find its plugin."""
        if not h5py.h5z.filter_avail(cls.filter_id):
            needs = f"apt-get install {cls.package} && " if cls.package else ""
            raise N1StoreError(
                f"HDF5 finds no plugin for {cls.name}; to install it: "
                f"{needs}pip install --force-reinstall n1store"
            )

    def __init__(self, *cd_values: int, **config: Any):
        self.require()
        self.filter_options = cd_values
        self._config = config

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it again."""
        return dict(self._config)

    def __repr__(self) -> str:
        arguments = (f"{name}={value!r}" for name, value in self._config.items())
        return f"{type(self).__name__}({', '.join(arguments)})"


class _ChunkFilter(_Filter):
    """A filter that must know what is in a chunk, with cd_values as filters/FORMAT.md has them."""

    dtypes: tuple[str, ...] = ("<i2", "<u2", "i1", "u1")

    def __init__(self, level: int, num_channels: int | None, dtype: Any, *more: int, **config: Any):
        if level not in self.levels:
            raise N1StoreError(
                f"{self.name} has levels {self.levels[0]} to {self.levels[-1]}, not {level!r}"
            )
        content, described = _described(self.name, num_channels, dtype, self.dtypes)
        super().__init__(
            *(int(level), *content, *more), **(described | {"level": int(level)} | config)
        )


def _described(
    name: str, num_channels: int | None, dtype: Any, dtypes: tuple[str, ...]
) -> tuple[tuple[int, int], dict[str, Any]]:
    """Return the cd_values on what is in a chunk, and the arguments that they were made from."""
    dtype = np.dtype(dtype)
    if dtype not in map(np.dtype, dtypes):
        raise N1StoreError(
            f"{name} takes {', '.join(np.dtype(each).name for each in dtypes)}, "
            f"little-endian, not {dtype}"
        )
    if num_channels is not None and not 0 < num_channels < 2**31:
        raise N1StoreError(f"a chunk has at least one channel, not {num_channels}")
    cd_values = _DTYPES.index(dtype), num_channels or 0
    return cd_values, {"num_channels": num_channels, "dtype": dtype.name}


_DTYPES = [np.dtype(name) for name in ("<i2", "<u2", "i1", "u1")]


class N1(_ChunkFilter):
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

    name = "n1"
    filter_id = 52785
    levels = n1.LEVELS

    def __init__(
        self,
        num_channels: int | None,
        dtype: Any = "int16",
        level: int = 2,
        widths: str | bytes | None = None,
    ):
        codec = n1.N1(level, widths)
        table = n1.widths_from_config(codec.widths)
        packed = () if table is None else _packed(table)
        super().__init__(codec.level, num_channels, dtype, *packed, widths=codec.widths)


_WIDTH_BITS = 7


def _packed(table: bytes) -> tuple[int, ...]:
    if h5py.version.version_tuple[:2] < (3, 16):
        raise N1StoreError("a table of code widths in an HDF5 file needs h5py 3.16 or later")
    widths = np.frombuffer(table, "u1")
    if widths.max() >> _WIDTH_BITS:
        raise N1StoreError("HDF5 has no room for a table of code widths with any above 127")
    bits = np.unpackbits(widths[:, None], axis=1, bitorder="little")[:, :_WIDTH_BITS]
    return tuple(np.packbits(bits, bitorder="little").view("<u4").tolist())


class ADC(_Filter):
    """The permutation `adc` of int16 samples; see `n1store.codecs.adc.ADC`.

    It is of use in front of another filter only, which takes h5py's low-level functions:
    ``properties.set_filter(codec.filter_id, h5py.h5z.FLAG_OPTIONAL, codec.filter_options)`` for
    each codec in order.
    """

    name = "adc"
    filter_id = 52786

    def __init__(self):
        super().__init__()


class WavPack(_ChunkFilter):
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
    package = "libwavpack-dev"
    filter_id = 52787
    levels = range(1, 5)
    dtypes = ("<i2", "i1")

    def __init__(self, num_channels: int | None, dtype: Any = "int16", level: int = 2):
        super().__init__(level, num_channels, dtype)


class Flac(_ChunkFilter):
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
    package = "libflac-dev"
    filter_id = 52788
    levels = flac.LEVELS

    def __init__(self, num_channels: int | None, dtype: Any = "int16", level: int = 5):
        super().__init__(level, num_channels, dtype)


class _Simple(_Filter):
    """A filter whose chunks are those of a codec of `n1store.codecs.simple`."""

    codec: type[simple.Transform | simple.Coder]

    def __init_subclass__(cls):
        if hasattr(cls, "codec"):
            cls.filter_id = cls.codec.filter_id
            cls.name = cls.codec.codec_id.removeprefix("n1store.")


class _Transform(_Simple):
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

    codec: type[simple.Transform]

    def __init__(self, num_channels: int | None, dtype: Any = "int16", **parameter: int):
        config = self.codec(**parameter).get_config()
        del config["id"]
        (value,) = config.values()
        content, described = _described(self.name, num_channels, dtype, ("<i2", "<u2"))
        super().__init__(value, *content, **described, **config)


class Delta(_Transform):
    """Differences; see `n1store.codecs.simple.Delta`."""

    codec = simple.Delta


class LPC(_Transform):
    """See `n1store.codecs.simple.LPC` and `Delta`."""

    codec = simple.LPC


class IWT(_Transform):
    """See `n1store.codecs.simple.IWT` and `Delta`."""

    codec = simple.IWT


class _Coder(_Simple):
    """A filter from bytes to bytes, for chunks of anything; it takes no arguments.

    A chunk that does not become smaller is stored as it is.
    """

    def __init__(self):
        super().__init__()


class RLE(_Coder):
    """See `n1store.codecs.simple.RLE`."""

    codec = simple.RLE


class PackBits10(_Coder):
    """See `n1store.codecs.simple.PackBits10`."""

    codec = simple.PackBits10


class Huffman(_Coder):
    """See `n1store.codecs.simple.Huffman`."""

    codec = simple.Huffman


class Arithmetic(_Coder):
    """See `n1store.codecs.simple.Arithmetic`."""

    codec = simple.Arithmetic


class RANS(_Coder):
    """See `n1store.codecs.simple.RANS`."""

    codec = simple.RANS


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
    filter_id = hdf5_numcodecs.FILTER_ID

    def __init__(
        self,
        codec: Codec | dict[str, Any],
        num_channels: int | None = None,
        dtype: Any = "int16",
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
            *cd_values,
            codec=configuration,
            num_channels=num_channels,
            dtype=dtype.name,
            chunk_bytes=chunk_bytes,
        )
