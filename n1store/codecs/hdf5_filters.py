"""The filters of HDF5, one entry for each: its id, and cd_values from a codec's settings and back.

HDF5 names a filter by its id, and keeps with each dataset what was given to it: cd_values,
unsigned integers of 32 bits. The codec of a filter is a numcodecs codec of the same bytes.
What cd_values mean is said by the filters of others, for n1store's own by filters/format/stores.md.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numcodecs import Blosc

from n1store.codecs import hdf5_numcodecs
from n1store.codecs.base import DTYPES
from n1store.codecs.simple_table import SIMPLE_CODECS, SimpleRow
from n1store.codecs.spec import Configuration
from n1store.errors import N1StoreError

CdValues = tuple[int, ...]


class Content(NamedTuple):
    """What the codec of a filter is given of a chunk.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the samples; uint8 where the codec takes any bytes.
    num_channels : int or None
        None if a chunk has one dimension only, or is bytes.
    num_bytes : int
        Of a whole chunk, of samples; for filters that keep it.
    """

    dtype: np.dtype[Any]
    num_channels: int | None
    num_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A filter of HDF5.

    Attributes
    ----------
    filter_id : int
        Those of n1store are from the range for private use, and never reused.
    name : str
        What rows of the catalogue call it.
    brought_by : str
        What it comes with: ``HDF5``, ``h5py``, ``hdf5plugin`` or ``n1store``.
    cd_values : callable
        From a codec's configuration, and what the codec is given, to the filter's cd_values;
        N1StoreError if it takes none of these.
    configuration : callable
        From cd_values as they stand in a file, each an argument, to the configuration of a codec
        that reads and writes the same bytes. Any error says that these cd_values mean nothing.
        What decoding does not need may be missing there, and is any.
    debian_package : str
        What n1store's plugin is built with, if that is not everywhere.
    """

    filter_id: int
    name: str
    brought_by: str
    cd_values: Callable[[Configuration, Content], CdValues]
    configuration: Callable[..., Configuration]
    debian_package: str = ""


def h5py_holds(num_values: int) -> bool:
    """Return whether h5py gives back so many cd_values; before 3.16 it had room for 16 of them."""
    import h5py

    return num_values <= 16 or h5py.version.version_tuple[:2] >= (3, 16)


# What cd_values of filters with settings of their own are; the others are in the table.


def _blosc_values(configuration: Configuration, content: Content) -> CdValues:
    # As the plugin sets them: versions of the filter and of the format, and sizes.
    compressor = _BLOSC_COMPRESSORS.index(configuration["cname"])
    settings = configuration["clevel"], configuration["shuffle"], compressor
    return 2, 2, 2, content.num_bytes, *settings


def _blosc_configuration(
    version: int,
    blosc_version: int,
    type_size: int,
    chunk_bytes: int,
    level: int = 5,
    shuffle: int = 1,
    compressor: int = 0,
    *_: int,
) -> Configuration:
    codec = Blosc(_BLOSC_COMPRESSORS[compressor], level, shuffle)
    codec.encode(bytes(1))  # a compressor that Blosc was built without is an error
    configuration: Configuration = codec.get_config()
    return configuration


_BLOSC_COMPRESSORS = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")


def _blosc2_values(configuration: Configuration, content: Content) -> CdValues:
    # As the plugin sets them. It has no number for bytedelta, a shuffle and what only frames know.
    name = "shuffle" if configuration["filter"] == "bytedelta" else configuration["filter"]
    compressor = _BLOSC2_COMPRESSORS.index(configuration["cname"])
    settings = configuration["clevel"], _BLOSC2_FILTERS.index(name), compressor
    return 1, 0, configuration["typesize"], content.num_bytes, *settings


def _blosc2_configuration(
    version: int,
    blosc2_version: int,
    type_size: int,
    chunk_bytes: int,
    level: int = 5,
    number: int = 1,
    compressor: int = 0,
    *_: int,
) -> Configuration:
    # What others encode with has not always a name here; any frame can be decoded.
    return {
        "id": "n1store.blosc2",
        "cname": dict(enumerate(_BLOSC2_COMPRESSORS)).get(compressor) or "zstd",
        "clevel": level,
        "filter": dict(enumerate(_BLOSC2_FILTERS)).get(number, "none"),
        "typesize": type_size,
    }


_BLOSC2_COMPRESSORS = ("blosclz", "lz4", "lz4hc", "", "zlib", "zstd")
_BLOSC2_FILTERS = ("none", "shuffle", "bitshuffle", "delta")


def _bitshuffle_values(configuration: Configuration, content: Content) -> CdValues:
    # As users give them to the plugin, which puts its version and the size of a sample in front.
    level = (configuration["clevel"],) if configuration["cname"] == "zstd" else ()
    compressor = {"none": 0, "lz4": 2, "zstd": 3}[configuration["cname"]]
    return configuration["nelems"], compressor, *level


def _bitshuffle_configuration(
    version: int,
    minor_version: int,
    type_size: int,
    block: int = 0,
    compressor: int = 0,
    level: int = 3,
    *_: int,
) -> Configuration:
    return {
        "id": "n1store.bitshuffle",
        # Without a compressor that it knows, the filter only shuffles.
        "cname": {2: "lz4", 3: "zstd"}.get(compressor, "none"),
        "clevel": level,
        "typesize": type_size,
        "nelems": block,
    }


def _sample_values(name: str, level: int, content: Content, dtypes: Sequence[str]) -> CdValues:
    """Return the cd_values with which n1store's filters of samples begin."""
    known = list(map(np.dtype, dtypes))
    if content.dtype not in known:
        raise N1StoreError(
            f"{name} takes {', '.join(dtype.name for dtype in known)}, "
            f"little-endian, not {content.dtype}"
        )
    if content.num_channels is not None and not 0 < content.num_channels < 2**31:
        raise N1StoreError(f"a chunk has at least one channel, not {content.num_channels}")
    return level, DTYPES.index(content.dtype), content.num_channels or 0


def _n1_values(configuration: Configuration, content: Content) -> CdValues:
    values = _sample_values("n1", configuration["level"], content, ("<i2", "<u2", "i1", "u1"))
    block_samples = configuration.get("block_samples", 0)
    if "widths" not in configuration:
        return (*values, block_samples) if block_samples else values
    widths = np.frombuffer(base64.b64decode(configuration["widths"]), "u1")
    if widths.max() >> _WIDTH_BITS:
        raise N1StoreError("HDF5 has no room for a table of code widths with any above 127")
    bits = np.unpackbits(widths[:, None], axis=1, bitorder="little")[:, :_WIDTH_BITS]
    values += (block_samples, *np.packbits(bits, bitorder="little").view("<u4").tolist())
    if not h5py_holds(len(values)):
        raise N1StoreError("a table of code widths in an HDF5 file needs h5py 3.16 or later")
    return values


def _n1_configuration(
    level: int, dtype: int, num_channels: int, block_samples: int = 0, *packed: int
) -> Configuration:
    configuration: Configuration = {"id": "n1store.n1", "level": level}
    if block_samples:
        configuration["block_samples"] = block_samples
    if packed:
        bits = np.unpackbits(np.array(packed, "<u4").view("u1"), bitorder="little")
        widths = np.packbits(bits.reshape(-1, _WIDTH_BITS), axis=1, bitorder="little")
        configuration["widths"] = base64.b64encode(widths.tobytes()).decode()
    return configuration


_WIDTH_BITS = 7  # of each code width, as filters/format/stores.md has it


def _wavpack_configuration(level: int, dtype: int, num_channels: int) -> Configuration:
    # One thread a chunk: chunks are what n1store decodes in parallel.
    threads = {"num_encoding_threads": 1, "num_decoding_threads": 1}
    return {"id": "wavpack", "level": level, **threads}


def _flac_configuration(level: int, dtype: int, num_channels: int) -> Configuration:
    return {"id": "n1store.flac", "level": level}


def _numcodecs_values(configuration: Configuration, content: Content) -> CdValues:
    # The size of a chunk is left out: behind another filter it is not known.
    return hdf5_numcodecs.to_cd_values(configuration, content.dtype, content.num_channels, 0)


def _of_simple_codec(row: SimpleRow) -> Filter:
    """Return the entry of a codec of filters/core/generic/simple.h."""
    parameter = row.parameter

    def values(configuration: Configuration, content: Content) -> CdValues:
        if row.kind == "bytes-bytes":
            return ()
        value = configuration[parameter.name] if parameter else 0
        return _sample_values(row.name, value, content, ("<i2", "<u2"))

    def configuration(*cd_values: int) -> Configuration:
        settings = {parameter.name: cd_values[0]} if parameter and cd_values else {}
        return {"id": row.codec_id, **settings}

    return Filter(
        filter_id=row.filter_id,
        name=row.name,
        brought_by="n1store",
        cd_values=values,
        configuration=configuration,
    )


_FILTERS = (
    Filter(
        filter_id=1,
        name="deflate",
        brought_by="HDF5",
        cd_values=lambda configuration, _: (configuration["level"],),
        configuration=lambda level=1, *_: {"id": "zlib", "level": level},
    ),
    Filter(
        filter_id=2,
        name="shuffle",
        brought_by="HDF5",
        cd_values=lambda configuration, _: (configuration["elementsize"],),
        configuration=lambda elementsize, *_: {"id": "shuffle", "elementsize": elementsize},
    ),
    Filter(
        filter_id=3,
        name="fletcher32",
        brought_by="HDF5",
        cd_values=lambda *_: (),
        configuration=lambda *_: {"id": "fletcher32"},
    ),
    Filter(
        filter_id=307,
        name="bz2",
        brought_by="hdf5plugin",
        cd_values=lambda configuration, _: (configuration["level"],),
        configuration=lambda level=9, *_: {"id": "bz2", "level": level},
    ),
    Filter(
        filter_id=32000,
        name="lzf",
        brought_by="h5py",
        # As the filter sets them: its version, that of liblzf, and the size of a chunk.
        cd_values=lambda _, content: (4, 0x0105, content.num_bytes),
        configuration=lambda *_: {"id": "n1store.lzf"},
    ),
    Filter(
        filter_id=32001,
        name="blosc",
        brought_by="hdf5plugin",
        cd_values=_blosc_values,
        configuration=_blosc_configuration,
    ),
    Filter(
        filter_id=32004,
        name="lz4",
        brought_by="hdf5plugin",
        cd_values=lambda *_: (),
        configuration=lambda *_: {"id": "n1store.hdf5_lz4", "acceleration": 1},
    ),
    Filter(
        filter_id=32008,
        name="bitshuffle",
        brought_by="hdf5plugin",
        cd_values=_bitshuffle_values,
        configuration=_bitshuffle_configuration,
    ),
    Filter(
        filter_id=32015,
        name="zstd",
        brought_by="hdf5plugin",
        cd_values=lambda configuration, _: (configuration["level"],),
        configuration=lambda level=3, *_: {"id": "zstd", "level": level},
    ),
    Filter(
        filter_id=32026,
        name="blosc2",
        brought_by="hdf5plugin",
        cd_values=_blosc2_values,
        configuration=_blosc2_configuration,
    ),
    Filter(
        filter_id=52785,
        name="n1",
        brought_by="n1store",
        cd_values=_n1_values,
        configuration=_n1_configuration,
    ),
    Filter(
        filter_id=52786,
        name="adc",
        brought_by="n1store",
        cd_values=lambda *_: (),
        configuration=lambda *_: {"id": "n1store.adc"},
    ),
    Filter(
        filter_id=52787,
        name="wavpack",
        brought_by="n1store",
        cd_values=lambda configuration, content: _sample_values(
            "wavpack", configuration["level"], content, ("<i2", "i1")
        ),
        configuration=_wavpack_configuration,
        debian_package="libwavpack-dev",
    ),
    Filter(
        filter_id=52788,
        name="flac",
        brought_by="n1store",
        cd_values=lambda configuration, content: _sample_values(
            "flac", configuration["level"], content, ("<i2", "<u2", "i1", "u1")
        ),
        configuration=_flac_configuration,
        debian_package="libflac-dev",
    ),
    *map(_of_simple_codec, SIMPLE_CODECS),
    Filter(
        filter_id=52797,
        name="numcodecs",
        brought_by="n1store",
        cd_values=_numcodecs_values,
        configuration=lambda *cd_values: hdf5_numcodecs.configuration_of(cd_values),
    ),
)

FILTERS = {each.name: each for each in _FILTERS}
"""All filters by name."""

FILTERS_BY_ID = {each.filter_id: each for each in _FILTERS}
