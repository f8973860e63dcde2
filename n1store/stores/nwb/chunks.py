"""Chunks of HDF5 datasets, read and decoded past HDF5.

HDF5 lets one thread at a time through its filters. What is needed to do without it are each
chunk's place in the file and numcodecs codecs that read the same bytes as the filters; then
chunks are decoded on all cores.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO, NamedTuple

import h5py
import numpy as np
from numcodecs import BZ2, Blosc, Fletcher32, Shuffle, Zlib, Zstd, get_codec
from numcodecs.abc import Codec
from numcodecs.compat import ensure_ndarray

from n1store.codecs import native
from n1store.codecs.adc import ADC
from n1store.codecs.hdf5_numcodecs import FILTER_ID, configuration_of
from n1store.codecs.library.hdf5_lz4 import HDF5LZ4
from n1store.codecs.n1 import N1
from n1store.codecs.simple import CODECS, Transform
from n1store.errors import N1StoreError, one_line
from n1store.stores.grid import Grid


class Filter(NamedTuple):
    """A filter of a dataset: its HDF5 id, its name, and the codec of the same bytes, if known."""

    filter_id: int
    name: str
    codec: Codec | None


class Chunk(NamedTuple):
    """Where a chunk is: its first byte in the file, its size in bytes, its filter mask.

    Filters whose bits, from the lowest on, are set in the mask were left out for this chunk.
    """

    offset: int
    size: int
    filter_mask: int


def filters_of(dataset: h5py.Dataset) -> list[Filter]:
    """Return a dataset's filters in the order in which they encode a chunk."""
    properties = dataset.id.get_create_plist()
    filters: list[Filter] = []
    for number in range(properties.get_nfilters()):
        filter_id, _, cd_values, name = properties.get_filter(number)
        # h5py before 3.16 has room for 16 values, and gives anything for those beyond.
        known = len(cd_values) <= 16 or h5py.version.version_tuple[:2] >= (3, 16)
        codec = _codec(filter_id, cd_values) if known else None
        # HDF5 shuffles as many whole elements as there are, numcodecs nothing else than these.
        if isinstance(codec, Shuffle) and not all(
            isinstance(earlier.codec, ADC | Shuffle | Transform) for earlier in filters
        ):
            codec = None
        filters.append(Filter(filter_id, name.decode(errors="replace"), codec))
    return filters


def pipeline_of(dataset: h5py.Dataset) -> list[Codec] | None:
    """Return codecs that read and write the same bytes as a dataset's filters.

    Parameters
    ----------
    dataset : h5py.Dataset

    Returns
    -------
    list of numcodecs.abc.Codec, or None
        In the order in which they encode; None if there is none for a filter, or if the
        samples lie in the file otherwise than in an array of the dataset's dtype.
    """
    if not is_plain(dataset):
        return None
    codecs = [each.codec for each in filters_of(dataset)]
    return None if None in codecs else codecs


def is_plain(dataset: h5py.Dataset) -> bool:
    """Return whether elements are numbers that lie in the file as in an array of the dtype."""
    try:
        dtype = dataset.dtype
    except TypeError:  # such as integers of 3 bytes, for which NumPy has no type
        return False
    if dtype.kind not in "biufc" or h5py.check_ref_dtype(dtype):
        return False
    return h5py.h5t.py_create(dtype, logical=True).equal(dataset.id.get_type())


def chunk_map(dataset: h5py.Dataset, file: BinaryIO) -> dict[tuple[int, ...], Chunk]:
    """Return where the chunks of a dataset are, by their index; missing ones are not there.

    Parameters
    ----------
    dataset : h5py.Dataset
        Chunked, of any number of dimensions, and written completely.
    file : binary file
        The dataset's file, opened with ``open(path, "rb", buffering=0)``.
    """
    stored: list = []
    if hasattr(dataset.id, "chunk_iter"):
        dataset.id.chunk_iter(stored.append)
    else:  # HDF5 before 1.12.3
        stored.extend(map(dataset.id.get_chunk_info, range(dataset.id.get_num_chunks())))
    base = _base(dataset, file, stored)
    return {
        tuple(
            start // length for start, length in zip(info.chunk_offset, dataset.chunks, strict=True)
        ): Chunk(base + info.byte_offset, info.size, info.filter_mask)
        for info in stored
    }


def read_payload(file: BinaryIO, chunk: Chunk) -> bytes:
    """Return the bytes of a chunk as they are in the file; safe in threads."""
    descriptor = file.fileno()
    if chunk.offset + chunk.size <= os.fstat(descriptor).st_size:
        payload = os.pread(descriptor, chunk.size, chunk.offset)
        if len(payload) == chunk.size:
            return payload
    raise N1StoreError("the file ends before the chunk does")


def decode_chunk(
    payload: bytes,
    codecs: Sequence[Codec],
    filter_mask: int,
    shape: tuple[int, ...],
    dtype,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return a chunk's values.

    Parameters
    ----------
    payload : bytes
    codecs : sequence of Codec
        Of the dataset, from `pipeline_of`.
    filter_mask : int
        Of the chunk; see `Chunk`.
    shape, dtype
        Of the chunk, as the dataset has them.
    out : ndarray, optional
        Of that shape and dtype and in C order, to decode into and return where the codecs can.

    Raises
    ------
    N1StoreError
        If anything is wrong with the bytes.
    """
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    values: Any = payload
    # The last to decode is the first here; adc, which can only be that, also works in place.
    into_out = 2 if codecs and isinstance(codecs[0], ADC) else 1
    try:
        for number, codec in reversed(list(enumerate(codecs))):
            if filter_mask >> number & 1:
                continue
            if isinstance(codec, Zlib):
                # numcodecs does not know the size; finding it out takes half as long again.
                values = zlib.decompress(values, bufsize=expected)
            elif out is not None and number < into_out and codec.codec_id in _FILL_OUT:
                values = codec.decode(values, out)
            else:
                values = codec.decode(values)
        if values is out and out is not None:
            return out
        content = np.ascontiguousarray(ensure_ndarray(values)).reshape(-1).view("u1")
    except Exception as error:  # whatever the codecs make of damaged bytes
        raise N1StoreError(one_line(error)) from error
    if content.size != expected:
        raise N1StoreError(f"holds {content.size} bytes instead of {expected}")
    return content.view(dtype).reshape(shape)


# These refuse an array to decode into that is not of the size of what they decode.
_FILL_OUT = (
    *("n1store.adc", "n1store.flac", "n1store.n1", "wavpack"),
    *(codec.codec_id for codec in CODECS),
)


class HDF5Chunks:
    """A chunked dataset of shape (num_samples,) or (num_samples, num_channels).

    Everything that HDF5 has to say is asked when this is made; from then on it is not needed,
    and threads do not disturb each other.

    Parameters
    ----------
    dataset : h5py.Dataset
        Written completely.
    codecs : sequence of Codec
        From `pipeline_of`.
    file : binary file
        The dataset's file, opened with ``open(path, "rb", buffering=0)``. It is left open for
        as long as chunks are read.

    Attributes
    ----------
    grid : Grid
        Of two dimensions, also if the dataset has one.
    chunks : dict of tuple of int to Chunk
        By the grid's index; chunks that are missing hold the dataset's fill value.
    codecs : list of Codec
    dtype : numpy.dtype
        Of the samples that are read, in the machine's byte order.

    Raises
    ------
    N1StoreError
        If the dataset has more dimensions.
    """

    def __init__(self, dataset: h5py.Dataset, codecs: Sequence[Codec], file: BinaryIO):
        if dataset.ndim not in (1, 2):
            raise N1StoreError(f"{dataset.name}: has {dataset.ndim} dimensions, not 1 or 2")
        self.grid = Grid((*dataset.shape, 1)[:2], (*dataset.chunks, 1)[:2])
        self.chunks = {(*index, 0)[:2]: chunk for index, chunk in chunk_map(dataset, file).items()}
        self.codecs = list(codecs)
        self.dtype = dataset.dtype.newbyteorder("=")
        self._file = file
        self._stored_dtype = dataset.dtype
        self._fill_value = dataset.fillvalue

    def stored_bytes(self) -> Iterator[int]:
        """Yield the size of each chunk as stored, in C order; 0 for one that is missing."""
        for index in self.grid.indices():
            yield self.chunks[index].size if index in self.chunks else 0

    def payload(self, index: tuple[int, int]) -> bytes:
        """Return a chunk as stored; KeyError if it is missing."""
        return read_payload(self._file, self.chunks[index])

    def read_chunk(self, index: tuple[int, int], out: np.ndarray | None = None) -> np.ndarray:
        """Return the samples of a chunk, in the grid's chunk shape; it may be read-only.

        Parameters
        ----------
        index : tuple of int
        out : ndarray, optional
            Of that shape, of `dtype` and in C order, to decode into and return where the codecs
            can.

        Raises
        ------
        N1StoreError
            If the chunk is damaged, in one line that says which and why.
        """
        shape = self.grid.chunk_shape
        chunk = self.chunks.get(index)
        if chunk is None:
            return np.full(shape, self._fill_value, self.dtype)
        try:
            payload = read_payload(self._file, chunk)
            samples = decode_chunk(
                payload,
                self.codecs,
                chunk.filter_mask,
                shape,
                self._stored_dtype,
                out if out is not None and out.dtype == self._stored_dtype else None,
            )
        except N1StoreError as error:
            raise N1StoreError(f"chunk {index[0]},{index[1]}: {error}") from error
        return samples.astype(self.dtype, copy=False)


def _base(dataset: h5py.Dataset, file: BinaryIO, stored: list) -> int:
    """Return what has to be added to the offsets of chunks to have them from the file's start.

    HDF5 1.14 gives them from the end of the user block, later versions from the file's start.
    """
    user_block = dataset.file.userblock_size
    for info in stored if user_block else ():
        _, payload = dataset.id.read_direct_chunk(info.chunk_offset)
        size, offset = len(payload), info.byte_offset
        places = [
            base
            for base in (0, user_block)
            if os.pread(file.fileno(), size, base + offset) == payload
        ]
        if len(places) == 1:
            return places[0]
    return 0  # either there is no user block, or all chunks read the same from both places


_ANY_LEVEL = 1  # decoding does not depend on it


def _codec(filter_id: int, cd_values: tuple[int, ...]) -> Codec | None:
    """Return the codec of a filter, or None if there is none here for these settings."""
    try:
        return _CODECS[filter_id](*cd_values) if filter_id in _CODECS else None
    except (N1StoreError, ImportError, OSError, TypeError, ValueError, IndexError):
        return None


def _n1(level: int, dtype: int, num_channels: int, *packed: int) -> Codec:
    if not packed:
        return N1(level)
    # 7 bits of each width, as filters/FORMAT.md has them.
    bits = np.unpackbits(np.array(packed, "<u4").view("u1"), bitorder="little")
    widths = np.packbits(bits.reshape(native.NUM_CODES, 7), axis=1, bitorder="little")
    return N1(level, widths.tobytes())


def _wavpack(level: int, dtype: int, num_channels: int) -> Codec:
    from n1store.codecs.library.wavpack import WavPack

    return WavPack(level, num_encoding_threads=1, num_decoding_threads=1)


def _flac(level: int, dtype: int, num_channels: int) -> Codec:
    from n1store.codecs.library.flac import Flac

    return Flac(level)


def _blosc(
    version: int,
    blosc_version: int,
    type_size: int,
    chunk_bytes: int,
    level: int = 5,
    shuffle: int = 1,
    compressor: int = 0,
    *_: int,
) -> Codec:
    names = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")
    codec = Blosc(names[compressor], level, shuffle)
    codec.encode(bytes(1))  # a compressor that Blosc was built without is an error
    return codec


def _simple(codec: type[Codec], *cd_values: int) -> Codec:
    return codec(*cd_values[:1]) if issubclass(codec, Transform) else codec()


def _blosc2(
    version: int,
    blosc2_version: int,
    type_size: int,
    chunk_bytes: int,
    level: int = 5,
    filter_: int = 1,
    compressor: int = 0,
    *_: int,
) -> Codec:
    from n1store.codecs.library.blosc2 import Blosc2

    names = {0: "blosclz", 1: "lz4", 2: "lz4hc", 4: "zlib", 5: "zstd"}
    filters = ("none", "shuffle", "bitshuffle", "delta")
    # What it encodes with, which has no names for all that others do; it decodes any frame.
    name = names.get(compressor, "zstd")
    return Blosc2(name, level, filters[filter_] if filter_ < len(filters) else "none", type_size)


def _bitshuffle(
    version: int,
    minor_version: int,
    type_size: int,
    block: int = 0,
    compressor: int = 0,
    level: int = 3,
    *_: int,
) -> Codec:
    from n1store.codecs.library.bitshuffle import Bitshuffle

    # Without a compressor that it knows, the filter only shuffles.
    name = {2: "lz4", 3: "zstd"}.get(compressor, "none")
    return Bitshuffle(name, level, type_size, block)


def _lzf(*_: int) -> Codec:
    from n1store.codecs.library.lzf import LZF

    return LZF()


def _numcodecs(*cd_values: int) -> Codec:
    return get_codec(configuration_of(cd_values))


# By HDF5 filter id, from cd_values. Decoding needs none of them but n1's widths and the size of
# the elements that are shuffled; the others make codecs that encode as the filters did.
_CODECS: dict[int, Callable[..., Codec]] = {
    1: lambda level=_ANY_LEVEL, *_: Zlib(level),
    2: lambda element_bytes, *_: Shuffle(element_bytes),
    3: lambda *_: Fletcher32(),
    307: lambda level=9, *_: BZ2(level),
    32000: _lzf,
    32001: _blosc,
    32004: lambda *_: HDF5LZ4(),
    32008: _bitshuffle,
    32015: lambda level=3, *_: Zstd(level),
    32026: _blosc2,
    52785: _n1,
    52786: lambda *_: ADC(),
    52787: _wavpack,
    52788: _flac,
    FILTER_ID: _numcodecs,
    **{codec.filter_id: partial(_simple, codec) for codec in CODECS},
}
