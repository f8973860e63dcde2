"""The one table of codecs: what each is called, takes, needs, and is in a Zarr store.

A codec is a row of `CATALOGUE`; everything else, from the command line to the metadata of a
store, follows from the rows. The bytes of an encoded chunk are those of its numcodecs codec
in every store; the formats only describe them differently.
"""

from __future__ import annotations

import base64
import difflib
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numcodecs.abc import Codec

from n1store.errors import N1StoreError

Kind = Literal["array-array", "array-bytes", "bytes-bytes"]

Hdf5Filter = tuple[int, tuple[int, ...]]
"""A filter's number and its cd_values."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a codec: a number in a range, one of several words, or a file's content.

    Numbers are integers, unless `low` or `high` is a float.

    The content of a file is given as the file's path, or as text, which is what `content` makes
    of the path and what matches `pattern`: so the string of a pipeline can do without the file.
    """

    name: str
    default: int | str | None
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    content: Callable[[str], str] | None = None
    pattern: str = ""

    @property
    def values(self) -> str:
        """The values that it takes, in words."""
        if self.content is not None:
            return "a file"
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        kind = "an integer" if self.is_integer else "a number"
        return f"{kind} from {self.low} to {self.high}"

    @property
    def is_integer(self) -> bool:
        """Whether it is a number without decimals."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def parse(self, text: str, read_files: bool = True) -> float | str:
        """Return the value that `text` stands for; ValueError says what would be valid."""
        if self.content is not None:
            if re.fullmatch(self.pattern, text):
                return text
            if text and read_files:
                return self.content(text)
        elif self.choices:
            if text in self.choices:
                return text
        elif re.fullmatch(
            "-?[0-9]{1,9}" if self.is_integer else "[0-9]{1,4}([.][0-9]{1,4})?", text
        ):
            value = int(text) if self.is_integer else float(text)
            if self.low <= value <= self.high:
                return value
        raise ValueError(f"{self.name} is {self.values}")


@dataclass(frozen=True)
class Entry:
    """A row of the catalogue.

    Attributes
    ----------
    name : str
        What users call it.
    group, summary : str
        The family it belongs to, and one line on how it works.
    kind : str
        What it turns into what; a pipeline's stages must fit together.
    home : str
        ``module:class`` of its numcodecs codec, imported when it is used.
    parameters : tuple of Parameter
        What users may set.
    arguments : callable
        From the parameters' values to the arguments of the numcodecs codec.
    zarr3 : callable
        From the numcodecs codec's configuration to the metadata of Zarr format 3.
    hdf5 : callable, optional
        From the numcodecs codec's configuration and the shape of a chunk, (num_samples,
        num_channels), to HDF5's filter and its cd_values; None where HDF5 has no such filter.
    hdf5_home : str
        ``module:class`` of the numcodecs codec whose bytes the HDF5 filter reads, and which is
        made from the configuration of the one at `home`; only where these bytes differ.
    packages : tuple of str
        What those who read such chunks must have installed beside zarr.
    install : str
        The command to run where `home` cannot be imported.
    read_with : callable, optional
        From the numcodecs codec's configuration to that of another one, which decodes the same
        bytes and which more readers have; it is what Zarr arrays name.
    maps : bool
        Whether it maps samples to the converter's codes itself, so that `adc` is not needed.
    checks : bool
        Whether it raises an error for any changed bit, so that no checksum is needed.
    loses_with : str
        The parameter, not set by default, with which samples come back changed.
    """

    name: str
    group: str
    summary: str
    kind: Kind
    home: str
    parameters: tuple[Parameter, ...] = ()
    arguments: Callable[..., dict[str, Any]] = dict
    zarr3: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    hdf5: Callable[[dict[str, Any], tuple[int, int]], Hdf5Filter] | None = None
    hdf5_home: str = ""
    read_with: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    packages: tuple[str, ...] = ()
    install: str = "pip install --force-reinstall n1store"
    maps: bool = False
    checks: bool = False
    loses_with: str = ""

    @property
    def stands_in_front(self) -> bool:
        """Whether it makes nothing smaller by itself, but what stands behind it better at that."""
        return self.kind == "array-array" or self.group == "filter"

    def build(self, **values: float | str) -> Codec:
        """Return the numcodecs codec for these values of the parameters."""
        defaults = {parameter.name: parameter.default for parameter in self.parameters}
        return self._class(self.home)(**self.arguments(**(defaults | values)))

    def for_hdf5(self, codec: Codec) -> Codec:
        """Return the codec whose bytes the HDF5 filter reads."""
        if not self.hdf5_home:
            return codec
        configuration = codec.get_config()
        del configuration["id"]
        return self._class(self.hdf5_home).from_config(configuration)

    def hdf5_filter(self, codec: Codec, chunk_shape: tuple[int, int]) -> Hdf5Filter:
        """Return the HDF5 filter of this codec, for chunks of (num_samples, num_channels).

        Raises
        ------
        N1StoreError
            If HDF5 has none.
        """
        if self.hdf5 is None:
            with_filters = ", ".join(entry.name for entry in CATALOGUE.values() if entry.hdf5)
            raise N1StoreError(
                f"HDF5 has no filter for codec {self.name}; it has one for {with_filters}"
            )
        return self.hdf5(codec.get_config(), chunk_shape)

    def _class(self, home: str) -> type[Codec]:
        module, _, name = home.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, OSError) as error:
            raise N1StoreError(
                f"codec {self.name} is not available here ({error}); "
                f"to install it: {self.install}; or choose another, such as blosc"
            ) from error

    def parse_parameters(self, text: str, read_files: bool = True) -> dict[str, float | str]:
        """Return the values in ``name=value,name=value``; N1StoreError for a wrong one."""
        known = {parameter.name: parameter for parameter in self.parameters}
        values: dict[str, float | str] = {}
        for assignment in text.split(",") if text else ():
            name, _, value = (part.strip() for part in assignment.partition("="))
            if name in values:
                raise N1StoreError(f"codec {self.name} is given {name} twice")
            if name not in known:
                valid = f"its parameters are {', '.join(known)}" if known else "it takes none"
                raise N1StoreError(f"codec {self.name} has no parameter {name!r}; {valid}")
            try:
                values[name] = known[name].parse(value, read_files)
            except ValueError as error:
                raise N1StoreError(f"codec {self.name}: {error}, not {value!r}") from None
        return values

    def zarr2_metadata(self, codec: Codec) -> dict[str, Any]:
        """Return what a Zarr format 2 array says of this codec."""
        configuration = dict(codec.get_config())
        return self.read_with(configuration) if self.read_with else configuration

    def zarr3_metadata(self, codec: Codec) -> dict[str, Any]:
        """Return what a Zarr format 3 array says of this codec."""
        configuration = self.zarr2_metadata(codec)
        if self.zarr3 is not None:
            return self.zarr3(configuration)
        return {"name": f"numcodecs.{configuration.pop('id')}", "configuration": configuration}


def _zarr3_core(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Describe a codec of the Zarr format 3 specification, which has these settings."""

    def describe(configuration: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": configuration["id"],
            "configuration": {name: configuration[name] for name in names},
        }

    return describe


def _zarr3_named(configuration: dict[str, Any]) -> dict[str, Any]:
    configuration = dict(configuration)
    return {"name": configuration.pop("id"), "configuration": configuration}


def _zarr3_bare(configuration: dict[str, Any]) -> dict[str, Any]:
    return {"name": configuration["id"]}


def _wavpack_arguments(level: int, bps: float | None) -> dict[str, Any]:
    # One thread a chunk: chunks are what n1store encodes and decodes in parallel.
    threads = {"num_encoding_threads": 1, "num_decoding_threads": 1}
    return {"level": level, "bps": bps, **threads}


def _zarr3_wavpack(configuration: dict[str, Any]) -> dict[str, Any]:
    # wavpack-numcodecs keeps its settings beside the name, not under "configuration".
    configuration = dict(configuration)
    bits = configuration.pop("bps") or None
    return {"name": configuration.pop("id"), **configuration, "bps": bits}


_BLOSC_SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")


def _blosc_arguments(cname: str, clevel: int, shuffle: str) -> dict[str, Any]:
    return {"cname": cname, "clevel": clevel, "shuffle": _BLOSC_SHUFFLES.index(shuffle)}


def _zarr3_blosc(configuration: dict[str, Any]) -> dict[str, Any]:
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


def _hdf5(number: int, *names: str) -> Callable[..., Hdf5Filter]:
    """Describe an HDF5 filter whose cd_values are these settings of the codec."""

    def describe(configuration: dict[str, Any], _: tuple[int, int]) -> Hdf5Filter:
        return number, tuple(configuration[name] for name in names)

    return describe


def _hdf5_own(name: str, of_channels: bool = True) -> Callable[..., Hdf5Filter]:
    """Describe one of n1store's filters, by its class for h5py."""

    def describe(configuration: dict[str, Any], chunk_shape: tuple[int, int]) -> Hdf5Filter:
        try:
            from n1store.codecs import hdf5
        except ImportError as error:
            raise N1StoreError(str(error)) from error
        settings: dict[str, Any] = {
            key: configuration[key] for key in _HDF5_SETTINGS if key in configuration
        }
        if of_channels:
            settings["num_channels"] = chunk_shape[1]
        own = getattr(hdf5, name)(**settings)
        return own.filter_id, own.filter_options

    return describe


# Of n1store's filters; wavpack-numcodecs' codec has others, of which HDF5 needs nothing.
_HDF5_SETTINGS = ("level", "levels", "order", "widths")


def _hdf5_blosc(configuration: dict[str, Any], chunk_shape: tuple[int, int]) -> Hdf5Filter:
    # As its plugin sets them: versions of the filter and of the format, and sizes.
    sizes = (2, 2, 2, 2 * chunk_shape[0] * chunk_shape[1])
    compressor = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd").index(configuration["cname"])
    return 32001, (*sizes, configuration["clevel"], configuration["shuffle"], compressor)


def _hdf5_lzf(configuration: dict[str, Any], chunk_shape: tuple[int, int]) -> Hdf5Filter:
    # As its filter in h5py sets them: its version, that of liblzf, and the size of a chunk.
    return 32000, (4, 0x0105, 2 * chunk_shape[0] * chunk_shape[1])


def _hdf5_bitshuffle(configuration: dict[str, Any], chunk_shape: tuple[int, int]) -> Hdf5Filter:
    # As users give them to its plugin, which puts its version and the size of a sample in front.
    compressor = {"none": 0, "lz4": 2, "zstd": 3}[configuration["cname"]]
    level = (configuration["clevel"],) if configuration["cname"] == "zstd" else ()
    return 32008, (configuration.get("nelems", 0), compressor, *level)


def _hdf5_blosc2(configuration: dict[str, Any], chunk_shape: tuple[int, int]) -> Hdf5Filter:
    # As its plugin sets them. It has no number for bytedelta, of which only frames need to know.
    filters = {"none": 0, "shuffle": 1, "bitshuffle": 2, "delta": 3, "bytedelta": 1}
    compressor = {"blosclz": 0, "lz4": 1, "lz4hc": 2, "zlib": 4, "zstd": 5}[configuration["cname"]]
    sizes = (1, 0, configuration["typesize"], 2 * chunk_shape[0] * chunk_shape[1])
    settings = (configuration["clevel"], filters[configuration["filter"]], compressor)
    return 32026, (*sizes, *settings)


def _hdf5_numcodecs(configuration: dict[str, Any], chunk_shape: tuple[int, int]) -> Hdf5Filter:
    """Describe a codec to the filter that runs any codec from bytes to bytes."""
    return _numcodecs_filter(configuration, None, "u1")


def _hdf5_numcodecs_of_samples(
    configuration: dict[str, Any], chunk_shape: tuple[int, int]
) -> Hdf5Filter:
    """Describe a codec to the filter that runs any codec from samples to bytes."""
    return _numcodecs_filter(configuration, chunk_shape[1], "<i2")


def _numcodecs_filter(
    configuration: dict[str, Any], num_channels: int | None, dtype: str
) -> Hdf5Filter:
    try:
        from n1store.codecs import hdf5, hdf5_numcodecs
    except ImportError as error:
        raise N1StoreError(str(error)) from error
    hdf5.Numcodecs.require()
    cd_values = hdf5_numcodecs.to_cd_values(configuration, np.dtype(dtype), num_channels, 0)
    return hdf5_numcodecs.FILTER_ID, cd_values


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


def _transform(name: str, group: str, summary: str, of: str, parameter: Parameter) -> Entry:
    """Return the row of a transform of filters/core/simple.h, given its class."""
    return Entry(
        name,
        group,
        summary,
        "array-array",
        f"n1store.codecs.simple:{of}",
        (parameter,),
        zarr3=_zarr3_named,
        hdf5=_hdf5_own(of),
        packages=("n1store",),
    )


def _coder(name: str, group: str, summary: str, of: str) -> Entry:
    """Return the row of one of the other codecs of filters/core/simple.h, given its class."""
    return Entry(
        name,
        group,
        summary,
        "bytes-bytes",
        f"n1store.codecs.simple:{of}",
        zarr3=_zarr3_named,
        hdf5=_hdf5_own(of, of_channels=False),
        packages=("n1store",),
    )


_ENTRIES = (
    Entry(
        "adc",
        "filter",
        "the N1's 16-bit samples as the 10-bit codes of its converter; lossless on any input",
        "array-array",
        "n1store.codecs.adc:ADC",
        zarr3=_zarr3_bare,
        hdf5=_hdf5_own("ADC", of_channels=False),
        packages=("n1store",),
        maps=True,
    ),
    Entry(
        "shuffle",
        "filter",
        "the low bytes of all samples, then the high ones",
        "bytes-bytes",
        "numcodecs:Shuffle",
        arguments=lambda: {"elementsize": 2},
        hdf5=_hdf5(2, "elementsize"),
    ),
    _transform(
        "delta",
        "predictive",
        "each sample minus the one before it in its channel; once, or twice in a row",
        "Delta",
        Parameter("order", 1, 1, 2),
    ),
    Entry(
        "n1",
        "predictive",
        "n1store's own: linear prediction and rANS that knows how wide the converter's codes are",
        "array-bytes",
        "n1store.codecs.n1:N1",
        (
            Parameter("level", 2, 1, 3),
            # Of 1024 bytes, in the base64 whose letters mean nothing else in a pipeline.
            Parameter("widths", None, content=_widths_as_text, pattern="[A-Za-z0-9_-]{1366}=="),
        ),
        zarr3=_zarr3_named,
        packages=("n1store",),
        maps=True,
        hdf5=_hdf5_own("N1"),
        checks=True,
    ),
    _transform(
        "lpc",
        "predictive",
        "each sample minus its linear prediction, fitted to the channel, in converter steps",
        "LPC",
        Parameter("order", 8, 1, 32),
    ),
    _transform(
        "iwt",
        "transform",
        "the reversible 5/3 integer wavelet of JPEG 2000, along time, in converter steps",
        "IWT",
        Parameter("levels", 8, 1, 8),
    ),
    _coder(
        "huffman",
        "entropy",
        "canonical Huffman codes of 16-bit numbers or pairs of them, in blocks with tables",
        "Huffman",
    ),
    _coder(
        "arithmetic",
        "entropy",
        "adaptive arithmetic coding, by range coders that learn one or two tables as they go",
        "Arithmetic",
    ),
    _coder(
        "rans",
        "entropy",
        "range asymmetric numeral systems (rANS), in blocks with tables of the numbers' shares",
        "RANS",
    ),
    _coder(
        "packbits10",
        "entropy",
        "numbers from -512 to 511, such as the converter's codes, in 10 bits each",
        "PackBits10",
    ),
    _coder(
        "rle",
        "run-length",
        "runs of the same 16-bit number, each as its length and the number",
        "RLE",
    ),
    Entry(
        "wavpack",
        "audio",
        "WavPack: adaptive prediction and its own entropy coder, made for audio",
        "array-bytes",
        "n1store.codecs.library.wavpack:WavPack",
        (Parameter("level", 2, 1, 4), Parameter("bps", None, 2.25, 16.0)),
        _wavpack_arguments,
        _zarr3_wavpack,
        _hdf5_own("WavPack"),
        packages=("wavpack-numcodecs",),
        loses_with="bps",
        install="apt-get install wavpack libwavpack-dev && pip install wavpack-numcodecs",
    ),
    Entry(
        "flac",
        "audio",
        "FLAC: linear prediction and Rice codes, made for audio",
        "array-bytes",
        "n1store.codecs.library.flac:Flac",
        (Parameter("level", 5, 0, 8),),
        zarr3=_zarr3_named,
        hdf5=_hdf5_own("Flac"),
        packages=("n1store", "libFLAC (apt-get install libflac-dev)"),
        install="apt-get install libflac-dev",
    ),
    Entry(
        "alac",
        "audio",
        "ALAC: adaptive linear prediction and Golomb codes, made for audio",
        "array-bytes",
        "n1store.codecs.library.alac:Alac",
        zarr3=_zarr3_named,
        hdf5=_hdf5_numcodecs_of_samples,
        packages=("n1store", "soundfile"),
        install="pip install soundfile",
        checks=True,
    ),
    Entry(
        "zstd",
        "dictionary",
        "Zstandard: LZ77 with Huffman and FSE coding",
        "bytes-bytes",
        "numcodecs:Zstd",
        (Parameter("level", 3, 1, 22),),
        lambda level: {"level": level, "checksum": False},
        _zarr3_core("level", "checksum"),
        _hdf5(32015, "level"),
    ),
    Entry(
        "lz4",
        "dictionary",
        "LZ4: LZ77 without entropy coding, for speed",
        "bytes-bytes",
        "numcodecs:LZ4",
        (Parameter("acceleration", 1, 1, 65537),),
        hdf5=lambda configuration, chunk_shape: (32004, ()),
        hdf5_home="n1store.codecs.library.hdf5_lz4:HDF5LZ4",
    ),
    Entry(
        "lz4hc",
        "dictionary",
        "LZ4 by a slower encoder, which finds longer matches; decoded as LZ4",
        "bytes-bytes",
        "n1store.codecs.library.lz4hc:LZ4HC",
        (Parameter("level", 9, 3, 12),),
        hdf5=lambda configuration, chunk_shape: (32004, ()),
        hdf5_home="n1store.codecs.library.lz4hc:HDF5LZ4HC",
        read_with=lambda configuration: {"id": "lz4", "acceleration": 1},
        install="pip install lz4",
    ),
    Entry(
        "lzf",
        "dictionary",
        "LZF: LZ77 in very few instructions; HDF5 reads it wherever h5py is",
        "bytes-bytes",
        "n1store.codecs.library.lzf:LZF",
        zarr3=_zarr3_named,
        hdf5=_hdf5_lzf,
        packages=("n1store",),
        install="apt-get install liblzf1",
    ),
    Entry(
        "bitshuffle",
        "dictionary",
        "bits of like weight brought together, then LZ4, Zstandard or whatever stands behind",
        "bytes-bytes",
        "n1store.codecs.library.bitshuffle:Bitshuffle",
        (Parameter("cname", "lz4", choices=("lz4", "zstd", "none")),),
        zarr3=_zarr3_named,
        hdf5=_hdf5_bitshuffle,
        packages=("n1store",),
        install="pip install --upgrade hdf5plugin",
    ),
    Entry(
        "brotli",
        "dictionary",
        "Brotli: LZ77 with Huffman codes chosen by context",
        "bytes-bytes",
        "n1store.codecs.library.brotli:Brotli",
        (Parameter("level", 9, 0, 11),),
        zarr3=_zarr3_named,
        hdf5=_hdf5_numcodecs,
        packages=("n1store", "brotli"),
        install="pip install brotli",
    ),
    Entry(
        "bzip3",
        "dictionary",
        "bzip3: Burrows-Wheeler transform and context mixing",
        "bytes-bytes",
        "n1store.codecs.library.bzip3:Bzip3",
        zarr3=_zarr3_named,
        hdf5=_hdf5_numcodecs,
        packages=("n1store", "bzip3"),
        install="pip install bzip3",
    ),
    Entry(
        "gzip",
        "dictionary",
        "DEFLATE (LZ77 and Huffman) in a gzip file",
        "bytes-bytes",
        "numcodecs:GZip",
        (Parameter("level", 6, 0, 9),),
        zarr3=_zarr3_core("level"),
        hdf5=_hdf5(1, "level"),
        hdf5_home="numcodecs:Zlib",
    ),
    Entry(
        "zlib",
        "dictionary",
        "DEFLATE (LZ77 and Huffman) in a zlib stream",
        "bytes-bytes",
        "numcodecs:Zlib",
        (Parameter("level", 6, 0, 9),),
        hdf5=_hdf5(1, "level"),
    ),
    Entry(
        "bz2",
        "dictionary",
        "bzip2: Burrows-Wheeler transform and Huffman coding",
        "bytes-bytes",
        "numcodecs:BZ2",
        (Parameter("level", 9, 1, 9),),
        hdf5=_hdf5(307, "level"),
    ),
    Entry(
        "lzma",
        "dictionary",
        "LZMA in an xz file: LZ77 with adaptive range coding",
        "bytes-bytes",
        "numcodecs:LZMA",
        (Parameter("preset", 6, 0, 9),),
        hdf5=_hdf5_numcodecs,
    ),
    Entry(
        "blosc",
        "blosc",
        "Blosc: bytes or bits of like weight brought together, then a fast dictionary coder",
        "bytes-bytes",
        "numcodecs:Blosc",
        (
            Parameter("cname", "zstd", choices=("zstd", "lz4", "lz4hc", "zlib", "blosclz")),
            Parameter("clevel", 5, 0, 9),
            Parameter("shuffle", "bitshuffle", choices=_BLOSC_SHUFFLES),
        ),
        _blosc_arguments,
        _zarr3_blosc,
        _hdf5_blosc,
    ),
    Entry(
        "blosc2",
        "blosc",
        "Blosc2: as Blosc, with differences of samples or bytes, and each chunk a frame",
        "bytes-bytes",
        "n1store.codecs.library.blosc2:Blosc2",
        (
            Parameter("cname", "zstd", choices=("zstd", "lz4", "lz4hc", "zlib", "blosclz")),
            Parameter("clevel", 5, 0, 9),
            Parameter(
                "filter",
                "bitshuffle",
                choices=("none", "shuffle", "bitshuffle", "delta", "bytedelta"),
            ),
        ),
        zarr3=_zarr3_named,
        hdf5=_hdf5_blosc2,
        packages=("n1store",),
        install="pip install blosc2",
    ),
    Entry(
        "pcodec",
        "transform",
        "pcodec: differences of numbers, sorted into ranges of like probability",
        "array-bytes",
        "n1store.codecs.library.pcodec:PCodec",
        (
            Parameter("level", 8, 0, 12),
            Parameter("delta", "auto", choices=("auto", "none", *"1234567", "lookback")),
            Parameter("mode", "auto", choices=("auto", "classic")),
        ),
        _pcodec_arguments,
        hdf5=_hdf5_numcodecs_of_samples,
        packages=("pcodec",),
        install="pip install pcodec 'numcodecs>=0.16'",
    ),
    Entry(
        "fletcher32",
        "checksum",
        "4 bytes after the chunk that make nearly any change an error; HDF5's own",
        "bytes-bytes",
        "numcodecs:Fletcher32",
        hdf5=_hdf5(3),
        checks=True,
    ),
    Entry(
        "crc32",
        "checksum",
        "4 bytes after the chunk that make any changed bit an error",
        "bytes-bytes",
        "numcodecs:CRC32",
        arguments=lambda: {"location": "end"},
        checks=True,
    ),
    Entry(
        "crc32c",
        "checksum",
        "the same with the polynomial that Zarr format 3 has in its specification",
        "bytes-bytes",
        "numcodecs.checksum32:CRC32C",
        zarr3=_zarr3_bare,
        install="pip install google-crc32c crc32c",
        checks=True,
    ),
)

CATALOGUE = {entry.name: entry for entry in _ENTRIES}


def find(name: str) -> Entry:
    """Return the row of a codec; N1StoreError with the nearest names if there is none."""
    if name in CATALOGUE:
        return CATALOGUE[name]
    near = difflib.get_close_matches(name, CATALOGUE, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(CATALOGUE)}"
    raise N1StoreError(f"no codec is called {name!r}; {hint}")
