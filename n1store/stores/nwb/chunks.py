"""Chunks of HDF5 datasets, read and decoded past HDF5.

HDF5 lets one thread at a time through its filters. What is needed to do without it are each
chunk's place in the file and numcodecs codecs that read the same bytes as the filters; then
chunks are decoded on all cores.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, BinaryIO, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt
from numcodecs import Shuffle, Zlib
from numcodecs.abc import Codec
from numcodecs.compat import ensure_ndarray

from n1store.codecs.adc import ADC
from n1store.codecs.base import Array
from n1store.codecs.catalogue import codec_of
from n1store.codecs.hdf5_filters import FILTERS, FILTERS_BY_ID, CdValues, h5py_holds
from n1store.codecs.info import why_no_filter
from n1store.codecs.simple import CODECS, Transform
from n1store.errors import N1StoreError, NotHereError, one_line
from n1store.stores.chunks import Chunk as StoredChunk
from n1store.stores.chunks import N1Chunk, WholeChunk, is_n1
from n1store.stores.files import read_at
from n1store.stores.grid import DTYPE, Grid


class Filter(NamedTuple):
    """A filter of a dataset: its HDF5 id, its name, and the codec of the same bytes, if known.

    If there is none because something is not installed, `lacks` says what, and how to install it.
    """

    filter_id: int
    name: str
    codec: Codec | None
    lacks: str


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
        # Of more, h5py gives anything.
        codec, lacks = _codec(filter_id, cd_values) if h5py_holds(len(cd_values)) else (None, "")
        # HDF5 shuffles as many whole elements as there are, numcodecs nothing else than these.
        if isinstance(codec, Shuffle) and not all(
            isinstance(earlier.codec, ADC | Shuffle | Transform) for earlier in filters
        ):
            codec = None
        filters.append(Filter(filter_id, name.decode(errors="replace"), codec, lacks))
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
    return bool(h5py.h5t.py_create(dtype, logical=True).equal(dataset.id.get_type()))


def is_hardly_written(dataset: h5py.Dataset) -> bool:
    """Tell whether a small file would keep a reader busy for hours with what it does not hold."""
    stored_bytes = int(dataset.id.get_storage_size())
    item_bytes = int(dataset.id.get_type().get_size())
    if dataset.chunks:
        lengths = zip(dataset.shape, dataset.chunks, strict=True)
        stored = int(dataset.id.get_num_chunks())
        missing = math.prod(-(-length // chunk) for length, chunk in lengths) - stored
        if missing > 100 * (1000 + stored):
            return True
        missing_bytes = missing * item_bytes * math.prod(dataset.chunks)
    else:
        missing_bytes = item_bytes * math.prod(dataset.shape) - stored_bytes
    return bool(missing_bytes > (1 << 30) + 100 * stored_bytes)


def chunk_map(dataset: h5py.Dataset, file: BinaryIO) -> dict[tuple[int, ...], Chunk]:
    """Return where the chunks of a dataset are, by their index; missing ones are not there.

    Parameters
    ----------
    dataset : h5py.Dataset
        Chunked, of any number of dimensions, and written completely.
    file : binary file
        The dataset's file, opened with ``open(path, "rb", buffering=0)``.
    """
    stored: list[Any] = []
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


def read_payload(file: BinaryIO, chunk: Chunk, first: int = 0, count: int | None = None) -> bytes:
    """Return the bytes of a chunk as they are in the file, or `count` of them; safe in threads."""
    descriptor = file.fileno()
    count = chunk.size - first if count is None else count
    if chunk.offset + first + count <= os.fstat(descriptor).st_size:
        payload = read_at(descriptor, chunk.offset + first, count)
        if len(payload) == count:
            return payload
    raise N1StoreError("the file ends before the chunk does")


def decode_chunk(
    payload: bytes,
    codecs: Sequence[Codec],
    filter_mask: int,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    out: Array | None = None,
) -> Array:
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
        if out is not None and values is out:
            return out
        content: Array = np.ascontiguousarray(ensure_ndarray(values)).reshape(-1).view("u1")
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

    def open_chunk(self, index: tuple[int, int]) -> StoredChunk:
        """Return a chunk, of the grid's chunk shape, to be decoded; safe in threads."""
        chunk = self.chunks.get(index)
        if (
            chunk is None
            or chunk.filter_mask
            or self._stored_dtype != DTYPE
            or not is_n1(self.codecs)
        ):
            return WholeChunk(self.grid.chunk_shape, partial(self.read_chunk, index))

        payload = nullcontext((chunk.size, partial(read_payload, self._file, chunk)))
        return N1Chunk(self.grid.chunk_shape, self.codecs[0], lambda: payload)

    def read_chunk(self, index: tuple[int, int], out: Array | None = None) -> Array:
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
            If the chunk is damaged, in one line that says why.
        """
        shape = self.grid.chunk_shape
        chunk = self.chunks.get(index)
        if chunk is None:
            return np.full(shape, self._fill_value, self.dtype)
        samples = decode_chunk(
            read_payload(self._file, chunk),
            self.codecs,
            chunk.filter_mask,
            shape,
            self._stored_dtype,
            out if out is not None and out.dtype == self._stored_dtype else None,
        )
        return samples.astype(self.dtype, copy=False)


def _base(dataset: h5py.Dataset, file: BinaryIO, stored: list[Any]) -> int:
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


def _codec(filter_id: int, cd_values: CdValues) -> tuple[Codec | None, str]:
    """Return the codec of a filter, or None and what is to be installed for it, if it is that."""
    if filter_id not in FILTERS_BY_ID:
        return None, ""
    try:
        return codec_of(FILTERS_BY_ID[filter_id].configuration(*cd_values)), ""
    except NotHereError as error:
        return None, str(error)
    except Exception:  # whatever codecs make of settings that they do not have
        return None, ""


def what_hdf5_lacks(dataset: h5py.Dataset) -> str:
    """Return what is to be installed for HDF5 to read a dataset; empty if it has all it needs."""
    for each in filters_of(dataset):
        known = FILTERS_BY_ID.get(each.filter_id)
        if known is not None and (why := why_no_filter(known)):
            return why
        if not h5py.h5z.filter_avail(each.filter_id):
            return f"needs HDF5 filter {each.filter_id} ({each.name}), which is not here"
        if known is FILTERS["numcodecs"] and each.lacks:
            return each.lacks  # it has the codec decode
    return ""
