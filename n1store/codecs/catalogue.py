"""The one table of codecs: what each is called, takes, needs, and is in a store.

A codec is a row of `CATALOGUE`; everything else, from the command line to the metadata of a
store, follows from the rows. The bytes of an encoded chunk are those of its numcodecs codec
in every store; the formats only describe them differently.
"""

from __future__ import annotations

import base64
import difflib
from collections.abc import Callable
from typing import Any

from numcodecs import get_codec
from numcodecs.abc import Codec
from numcodecs.errors import UnknownCodecError

from n1store.codecs.simple_table import SIMPLE_CODECS, SimpleRow
from n1store.codecs.spec import Configuration, Entry, Parameter
from n1store.errors import NotHereError

# What numcodecs' classes are given for the parameters, where these are not their arguments.

_BLOSC_SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")


def _blosc_arguments(cname: str, clevel: int, shuffle: str) -> dict[str, Any]:
    return {"cname": cname, "clevel": clevel, "shuffle": _BLOSC_SHUFFLES.index(shuffle)}


def _wavpack_arguments(level: int, bps: float | None) -> dict[str, Any]:
    # One thread a chunk: chunks are what n1store encodes and decodes in parallel.
    threads = {"num_encoding_threads": 1, "num_decoding_threads": 1}
    return {"level": level, "bps": bps, **threads}


def _pcodec_arguments(level: int, delta: str, mode: str) -> dict[str, Any]:
    orders = {"none": 0, **{str(order): order for order in range(1, 8)}}
    settings: dict[str, Any] = {"level": level, "mode_spec": mode}
    if delta in orders:
        # numcodecs' own word for none is not one of pcodec's from version 1 on.
        return settings | {"delta_spec": "try_consecutive", "delta_encoding_order": orders[delta]}
    return settings | {"delta_spec": {"auto": "auto", "lookback": "try_lookback"}[delta]}


def _widths_as_text(path: str) -> str:
    from n1store.codecs.widths import load_widths

    return base64.urlsafe_b64encode(load_widths(path)).decode()


# What Zarr format 3 says of them, where this is not the id and the settings.


def _zarr3_core(*names: str) -> Callable[[Configuration], dict[str, Any]]:
    """Describe a codec of the Zarr format 3 specification, which has these settings."""

    def describe(configuration: Configuration) -> dict[str, Any]:
        return {
            "name": configuration["id"],
            "configuration": {name: configuration[name] for name in names},
        }

    return describe


def _zarr3_bare(configuration: Configuration) -> dict[str, Any]:
    return {"name": configuration["id"]}


def _zarr3_blosc(configuration: Configuration) -> dict[str, Any]:
    return {
        "name": "blosc",
        "configuration": {
            "typesize": 2,
            "cname": configuration["cname"],
            "clevel": configuration["clevel"],
            "shuffle": _BLOSC_SHUFFLES[configuration["shuffle"]],
            "blocksize": configuration["blocksize"],
        },
    }


def _zarr3_wavpack(configuration: Configuration) -> dict[str, Any]:
    # wavpack-numcodecs keeps its settings beside the name, not under "configuration".
    configuration = dict(configuration)
    bits = configuration.pop("bps") or None
    return {"name": configuration.pop("id"), **configuration, "bps": bits}


# The rows.


def _of_simple_codec(row: SimpleRow) -> Entry:
    """Return the row of a codec of filters/core/generic/simple.h."""
    return Entry(
        name=row.name,
        codec_id=row.codec_id,
        group=row.group,
        summary=row.summary,
        kind=row.kind,
        home=f"n1store.codecs.simple:{row.class_name}",
        parameters=(row.parameter,) if row.parameter else (),
        hdf5=row.name,
        packages=("n1store",),
    )


# delta, which is the first of them, is named first among all codecs.
_DELTA, *_OTHER_SIMPLE_CODECS = map(_of_simple_codec, SIMPLE_CODECS)

_ENTRIES = (
    Entry(
        name="adc",
        codec_id="n1store.adc",
        group="filter",
        summary=(
            "the N1's 16-bit samples as the 10-bit codes of its converter; lossless on any input"
        ),
        kind="array-array",
        home="n1store.codecs.adc:ADC",
        zarr3=_zarr3_bare,
        hdf5="adc",
        packages=("n1store",),
        maps=True,
    ),
    Entry(
        name="shuffle",
        codec_id="shuffle",
        group="filter",
        summary="the low bytes of all samples, then the high ones",
        kind="bytes-bytes",
        home="numcodecs:Shuffle",
        arguments=lambda: {"elementsize": 2},
        hdf5="shuffle",
    ),
    _DELTA,
    Entry(
        name="n1",
        codec_id="n1store.n1",
        group="predictive",
        summary=(
            "n1store's own: linear prediction and rANS "
            "that knows how wide the converter's codes are"
        ),
        kind="array-bytes",
        home="n1store.codecs.n1:N1",
        parameters=(
            Parameter("level", 2, 1, 3),
            # Of 1024 bytes, in the base64 whose letters mean nothing else in a pipeline.
            Parameter("widths", None, content=_widths_as_text, pattern="[A-Za-z0-9_-]{1366}=="),
            Parameter("block_samples", 0, 0, 1 << 18),
        ),
        hdf5="n1",
        packages=("n1store",),
        maps=True,
        checks=True,
        in_parts=True,
    ),
    *_OTHER_SIMPLE_CODECS,
    Entry(
        name="wavpack",
        codec_id="wavpack",
        group="audio",
        summary="WavPack: adaptive prediction and its own entropy coder, made for audio",
        kind="array-bytes",
        home="n1store.codecs.library.wavpack:WavPack",
        parameters=(Parameter("level", 2, 1, 4), Parameter("bps", None, 2.25, 16.0)),
        arguments=_wavpack_arguments,
        zarr3=_zarr3_wavpack,
        hdf5="wavpack",
        packages=("wavpack-numcodecs",),
        install="apt-get install wavpack libwavpack-dev && pip install wavpack-numcodecs",
        loses_with="bps",
    ),
    Entry(
        name="flac",
        codec_id="n1store.flac",
        group="audio",
        summary="FLAC: linear prediction and Rice codes, made for audio",
        kind="array-bytes",
        home="n1store.codecs.library.flac:Flac",
        parameters=(Parameter("level", 5, 0, 8),),
        hdf5="flac",
        packages=("n1store", "libFLAC (apt-get install libflac-dev)"),
        install="apt-get install libflac-dev",
    ),
    Entry(
        name="alac",
        codec_id="n1store.alac",
        group="audio",
        summary="ALAC: adaptive linear prediction and Golomb codes, made for audio",
        kind="array-bytes",
        home="n1store.codecs.library.alac:Alac",
        hdf5="numcodecs",
        packages=("n1store", "soundfile"),
        install="pip install soundfile",
        checks=True,
    ),
    Entry(
        name="zstd",
        codec_id="zstd",
        group="dictionary",
        summary="Zstandard: LZ77 with Huffman and FSE coding",
        kind="bytes-bytes",
        home="numcodecs:Zstd",
        parameters=(Parameter("level", 3, 1, 22),),
        arguments=lambda level: {"level": level, "checksum": False},
        zarr3=_zarr3_core("level", "checksum"),
        hdf5="zstd",
    ),
    Entry(
        name="lz4",
        codec_id="lz4",
        group="dictionary",
        summary="LZ4: LZ77 without entropy coding, for speed",
        kind="bytes-bytes",
        home="numcodecs:LZ4",
        parameters=(Parameter("acceleration", 1, 1, 65537),),
        hdf5="lz4",
        hdf5_home="n1store.codecs.library.hdf5_lz4:HDF5LZ4",
    ),
    Entry(
        name="lz4hc",
        codec_id="n1store.lz4hc",
        group="dictionary",
        summary="LZ4 by a slower encoder, which finds longer matches; decoded as LZ4",
        kind="bytes-bytes",
        home="n1store.codecs.library.lz4hc:LZ4HC",
        parameters=(Parameter("level", 9, 3, 12),),
        hdf5="lz4",
        hdf5_home="n1store.codecs.library.lz4hc:HDF5LZ4HC",
        read_with=lambda configuration: {"id": "lz4", "acceleration": 1},
        install="pip install lz4",
    ),
    Entry(
        name="lzf",
        codec_id="n1store.lzf",
        group="dictionary",
        summary="LZF: LZ77 in very few instructions; HDF5 reads it wherever h5py is",
        kind="bytes-bytes",
        home="n1store.codecs.library.lzf:LZF",
        hdf5="lzf",
        packages=("n1store",),
        install="apt-get install liblzf1",
    ),
    Entry(
        name="bitshuffle",
        codec_id="n1store.bitshuffle",
        group="dictionary",
        summary=(
            "bits of like weight brought together, then LZ4, Zstandard or whatever stands behind"
        ),
        kind="bytes-bytes",
        home="n1store.codecs.library.bitshuffle:Bitshuffle",
        parameters=(Parameter("cname", "lz4", choices=("lz4", "zstd", "none")),),
        settings={"clevel": 3, "typesize": 2, "nelems": 0},
        hdf5="bitshuffle",
        packages=("n1store",),
        install="pip install --upgrade hdf5plugin",
    ),
    Entry(
        name="brotli",
        codec_id="n1store.brotli",
        group="dictionary",
        summary="Brotli: LZ77 with Huffman codes chosen by context",
        kind="bytes-bytes",
        home="n1store.codecs.library.brotli:Brotli",
        parameters=(Parameter("level", 9, 0, 11),),
        hdf5="numcodecs",
        packages=("n1store", "brotli"),
        install="pip install brotli",
    ),
    Entry(
        name="bzip3",
        codec_id="n1store.bzip3",
        group="dictionary",
        summary="bzip3: Burrows-Wheeler transform and context mixing",
        kind="bytes-bytes",
        home="n1store.codecs.library.bzip3:Bzip3",
        hdf5="numcodecs",
        packages=("n1store", "bzip3"),
        install="pip install bzip3",
    ),
    Entry(
        name="gzip",
        codec_id="gzip",
        group="dictionary",
        summary="DEFLATE (LZ77 and Huffman) in a gzip file",
        kind="bytes-bytes",
        home="numcodecs:GZip",
        parameters=(Parameter("level", 6, 0, 9),),
        zarr3=_zarr3_core("level"),
        hdf5="deflate",
        hdf5_home="numcodecs:Zlib",
    ),
    Entry(
        name="zlib",
        codec_id="zlib",
        group="dictionary",
        summary="DEFLATE (LZ77 and Huffman) in a zlib stream",
        kind="bytes-bytes",
        home="numcodecs:Zlib",
        parameters=(Parameter("level", 6, 0, 9),),
        hdf5="deflate",
    ),
    Entry(
        name="bz2",
        codec_id="bz2",
        group="dictionary",
        summary="bzip2: Burrows-Wheeler transform and Huffman coding",
        kind="bytes-bytes",
        home="numcodecs:BZ2",
        parameters=(Parameter("level", 9, 1, 9),),
        hdf5="bz2",
    ),
    Entry(
        name="lzma",
        codec_id="lzma",
        group="dictionary",
        summary="LZMA in an xz file: LZ77 with adaptive range coding",
        kind="bytes-bytes",
        home="numcodecs:LZMA",
        parameters=(Parameter("preset", 6, 0, 9),),
        hdf5="numcodecs",
    ),
    Entry(
        name="blosc",
        codec_id="blosc",
        group="blosc",
        summary=(
            "Blosc: bytes or bits of like weight brought together, then a fast dictionary coder"
        ),
        kind="bytes-bytes",
        home="numcodecs:Blosc",
        parameters=(
            Parameter("cname", "zstd", choices=("zstd", "lz4", "lz4hc", "zlib", "blosclz")),
            Parameter("clevel", 5, 0, 9),
            Parameter("shuffle", "bitshuffle", choices=_BLOSC_SHUFFLES),
        ),
        arguments=_blosc_arguments,
        zarr3=_zarr3_blosc,
        hdf5="blosc",
    ),
    Entry(
        name="blosc2",
        codec_id="n1store.blosc2",
        group="blosc",
        summary="Blosc2: as Blosc, with differences of samples or bytes, and each chunk a frame",
        kind="bytes-bytes",
        home="n1store.codecs.library.blosc2:Blosc2",
        parameters=(
            Parameter("cname", "zstd", choices=("zstd", "lz4", "lz4hc", "zlib", "blosclz")),
            Parameter("clevel", 5, 0, 9),
            Parameter(
                "filter",
                "bitshuffle",
                choices=("none", "shuffle", "bitshuffle", "delta", "bytedelta"),
            ),
        ),
        settings={"typesize": 2},
        hdf5="blosc2",
        packages=("n1store",),
        install="pip install blosc2",
    ),
    Entry(
        name="pcodec",
        codec_id="pcodec",
        group="transform",
        summary="pcodec: differences of numbers, sorted into ranges of like probability",
        kind="array-bytes",
        home="n1store.codecs.library.pcodec:PCodec",
        parameters=(
            Parameter("level", 8, 0, 12),
            Parameter("delta", "auto", choices=("auto", "none", *"1234567", "lookback")),
            Parameter("mode", "auto", choices=("auto", "classic")),
        ),
        arguments=_pcodec_arguments,
        hdf5="numcodecs",
        packages=("pcodec",),
        install="pip install pcodec 'numcodecs>=0.16.4'",
    ),
    Entry(
        name="fletcher32",
        codec_id="fletcher32",
        group="checksum",
        summary="4 bytes after the chunk that make nearly any change an error; HDF5's own",
        kind="bytes-bytes",
        home="numcodecs:Fletcher32",
        hdf5="fletcher32",
        checks=True,
    ),
    Entry(
        name="crc32",
        codec_id="crc32",
        group="checksum",
        summary="4 bytes after the chunk that make any changed bit an error",
        kind="bytes-bytes",
        home="numcodecs:CRC32",
        arguments=lambda: {"location": "end"},
        checks=True,
    ),
    Entry(
        name="crc32c",
        codec_id="crc32c",
        group="checksum",
        summary="the same with the polynomial that Zarr format 3 has in its specification",
        kind="bytes-bytes",
        home="numcodecs.checksum32:CRC32C",
        zarr3=_zarr3_bare,
        install="pip install google-crc32c crc32c",
        checks=True,
    ),
)

CATALOGUE = {entry.name: entry for entry in _ENTRIES}


def find(name: str) -> Entry:
    """Return the row of a codec; NotHereError with the nearest names if there is none."""
    if name in CATALOGUE:
        return CATALOGUE[name]
    near = difflib.get_close_matches(name, CATALOGUE, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(CATALOGUE)}"
    raise NotHereError(f"no codec is called {name!r}; {hint}")


def find_id(codec_id: str | None) -> Entry | None:
    """Return the row of the codec that numcodecs knows by an id, or None."""
    return next((entry for entry in CATALOGUE.values() if entry.codec_id == codec_id), None)


def codec_of(configuration: Configuration) -> Codec:
    """Return the numcodecs codec of a configuration, by n1store's class where it has one.

    Raises
    ------
    NotHereError
        If the codec is not installed.
    Exception
        Whatever the class makes of settings that there are none of.
    """
    entry = find_id(configuration["id"])
    if entry:
        return entry.codec(configuration)
    try:
        return get_codec(dict(configuration))
    except UnknownCodecError as error:
        raise NotHereError(
            f"codec {configuration['id']!r} is not available here; install the package it is of"
        ) from error
