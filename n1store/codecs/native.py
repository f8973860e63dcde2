"""Binding of the compiled core, filters/core/, through ctypes, which releases the GIL."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import count, takewhile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from n1store.codecs.base import DTYPES, Array
from n1store.errors import N1StoreError

_INT16 = DTYPES[0]

PathName = Literal["best", "portable", "avx2"]

NUM_CODES = 1024
"""Codes of the N1's converter, and entries of a table of code widths."""

GROUP_CHANNELS = 16
"""Channels that `n1` works on together, and among which a block may be a difference to another."""


def package_folders() -> list[Path]:
    """Return the package's folders; an editable install has its libraries in one of its own."""
    package = find_spec("n1store")
    return [Path(folder) for folder in (package and package.submodule_search_locations) or ()]


def _load() -> ctypes.CDLL:
    for folder in package_folders():
        library = folder / "libn1store.so"
        if library.exists():
            return ctypes.CDLL(str(library))
    raise ImportError(
        "n1store's compiled core, libn1store.so, is not beside the package: "
        "run `make setup` in the checkout, or `pip install` the package"
    )


class _Info(ctypes.Structure):
    """n1_info of filters/core/n1/n1.h."""

    _fields_ = (
        ("version", ctypes.c_uint32),
        ("dtype", ctypes.c_uint32),
        ("ndim", ctypes.c_uint32),
        ("block_samples", ctypes.c_uint32),
        ("num_samples", ctypes.c_uint64),
        ("num_channels", ctypes.c_uint64),
    )


class _Part(ctypes.Structure):
    """n1_part of filters/core/n1/n1.h."""

    _fields_ = (
        ("first_sample", ctypes.c_uint64),
        ("num_samples", ctypes.c_uint64),
        ("channels", ctypes.c_void_p),
        ("num_channels", ctypes.c_uint64),
        ("row_bytes", ctypes.c_uint64),
    )


class _BlockInfo(ctypes.Structure):
    """n1_block_info of filters/core/n1/n1.h."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("first_sample", "channel", "offset")),
        *(
            (name, ctypes.c_uint32)
            for name in (
                *("num_samples", "size", "reference", "is_read", "parameter_bytes"),
                *("kind", "map", "order", "num_lanes", "num_classes", "num_taps"),
            )
        ),
    )


class _SimpleCodec(ctypes.Structure):
    """The beginning of simple_codec of filters/core/generic/simple.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("least", ctypes.c_uint32),
        ("most", ctypes.c_uint32),
        ("is_transform", ctypes.c_int),
    )


class _SimpleSettings(ctypes.Structure):
    """simple_settings of filters/core/generic/simple.h."""

    _fields_ = (("num_channels", ctypes.c_uint32), ("parameter", ctypes.c_uint32))


_library = _load()
for _name in ("n1_adc_encode", "n1_adc_decode"):
    _function = getattr(_library, _name)
    _function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    _function.restype = None
_data, _size = ctypes.c_void_p, ctypes.c_size_t
_info, _part_of, _widths = ctypes.POINTER(_Info), ctypes.POINTER(_Part), ctypes.c_char_p
_int, _int64 = ctypes.c_int, ctypes.c_int64
_returned: Any
for _name, _returned, _arguments in (
    ("n1_strerror", ctypes.c_char_p, [_int]),
    ("n1_encode_bound", _size, [_info]),
    ("n1_encode", _int64, [_data, _info, _int, _widths, _int, _data, _size]),
    ("n1_payload_info", _int, [_data, _size, _info]),
    ("n1_decode", _int64, [_data, _size, _widths, _int, _data, _size]),
    ("n1_decode_part", _int, [_data, _size, _widths, _int, _part_of, _data, _size]),
    ("n1_index_size", _int64, [_data, _size]),
    ("n1_part_ranges", _int64, [_data, _size, _part_of, _data, _size]),
    ("n1_num_blocks", _int64, [_data, _size]),
    ("n1_inspect", _int, [_data, _size, ctypes.POINTER(_BlockInfo), _size]),
):
    _function = getattr(_library, _name)
    _function.argtypes = _arguments
    _function.restype = _returned
_library.simple_codec_named.argtypes = [ctypes.c_char_p]
_library.simple_codec_named.restype = ctypes.POINTER(_SimpleCodec)
_library.simple_codec_numbered.argtypes = [ctypes.c_size_t]
_library.simple_codec_numbered.restype = ctypes.POINTER(_SimpleCodec)
_simple_codec = ctypes.POINTER(_SimpleCodec)
for _name, _arguments in {
    "simple_bound": [_simple_codec, _size, _SimpleSettings],
    "simple_encode": [_simple_codec, _data, _size, _SimpleSettings, _data, _size],
    "simple_decoded_size": [_simple_codec, _data, _size],
    "simple_decode": [_simple_codec, _data, _size, _data, _size],
}.items():
    _function = getattr(_library, _name)
    _function.argtypes = _arguments
    _function.restype = ctypes.c_int64

_PATHS = {"best": 0, "portable": 1, "avx2": 2}


@dataclass(frozen=True)
class PayloadInfo:
    """What an `n1` payload says of itself.

    Attributes
    ----------
    version : int
        Of the format.
    dtype : dtype
    shape : tuple of int
    block_samples : int
        How many samples of a channel each of its blocks has, but the last; 0 if it is one block, or
        none, and is read as a whole.
    """

    version: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    block_samples: int


@dataclass(frozen=True)
class BlockInfo:
    """What a block of an `n1` payload is; see n1_block_info in filters/core/n1/n1.h.

    Attributes
    ----------
    first_sample, num_samples, channel : int
        Where its samples are.
    offset, size, parameter_bytes : int
        Where its bytes are in the payload, how many, and how many of them before its samples.
    reference : int
        How many channels before its own the one is from which it is predicted too; 0 for none.
    kind, map : str
    order, num_lanes, num_classes : int
        0 where nothing is predicted.
    num_taps : int
        Of the filter that predicts from the reference; 0 without one.
    is_read : bool
        Whether its parameters are what an encoder writes; else they are not known.
    """

    first_sample: int
    num_samples: int
    channel: int
    offset: int
    size: int
    parameter_bytes: int
    reference: int
    kind: str
    map: str
    order: int
    num_lanes: int
    num_classes: int
    num_taps: int
    is_read: bool


def n1_blocks(payload: Any) -> list[BlockInfo]:
    """Return what the blocks of a payload are; N1StoreError if header or index are damaged."""
    source, size = _source(payload)
    count = _library.n1_num_blocks(source, size)
    _check(count)
    if _library.n1_index_size(source, size) > size:
        raise N1StoreError(_message(_CORRUPT))
    found = (_BlockInfo * count)()
    _check(_library.n1_inspect(source, size, found, count))
    blocks = []
    for info in found:
        fields = {field[0]: getattr(info, field[0]) for field in _BlockInfo._fields_}
        is_read = bool(fields.pop("is_read"))
        fields["kind"] = _KINDS[info.kind] if is_read else ""
        fields["map"] = _MAPS[info.map] if is_read else ""
        blocks.append(BlockInfo(**fields, is_read=is_read))
    return blocks


_KINDS = ("packed", "integer", "width")
_MAPS = ("identity", "adc", "step", "palette")


def n1_encode(
    samples: Array,
    level: int = 2,
    widths: bytes | None = None,
    path: PathName = "best",
    *,
    block_samples: int = 0,
) -> bytes:
    """Encode samples with the `n1` codec (see filters/core/n1/n1.h).

    Parameters
    ----------
    samples : ndarray of int16, uint16, int8 or uint8
        Of shape (num_samples,) or (num_samples, num_channels), with any strides.
    level : int
        1 is fast, 2 the default, 3 the smallest.
    widths : bytes, optional
        A table of `NUM_CODES` code widths to use instead of the built-in one.
    path : str
        How the work is done, without effect on the result; for tests.
    block_samples : int
        The most samples of a channel in a block, which is decoded as a whole; 0 for as many as
        suit.

    Returns
    -------
    bytes
        The payload.

    Raises
    ------
    N1StoreError
        If the dtype, the shape, the level or the table is none that the codec takes.
    """
    if samples.dtype.newbyteorder("<") not in DTYPES or samples.ndim not in (1, 2):
        raise N1StoreError(
            "n1 takes 8 or 16 bit integers of shape (num_samples,) or (num_samples, "
            f"num_channels), not {samples.dtype} of shape {samples.shape}"
        )
    samples = np.ascontiguousarray(samples, dtype=samples.dtype.newbyteorder("<"))
    num_samples, num_channels = (*samples.shape, 1)[:2]
    dtype = DTYPES.index(samples.dtype)
    info = _Info(0, dtype, samples.ndim, block_samples, num_samples, num_channels)
    payload = np.empty(_library.n1_encode_bound(info), np.uint8)
    size = _library.n1_encode(
        samples.ctypes.data,
        info,
        level,
        _checked_widths(widths),
        _PATHS[path],
        payload.ctypes.data,
        payload.size,
    )
    _check(size)
    return payload[:size].tobytes()


def n1_payload_info(payload: Any) -> PayloadInfo:
    """Return what a payload, any contiguous buffer, says of itself; N1StoreError if it is none."""
    info, shape = _read_info(*_source(payload))
    return PayloadInfo(info.version, DTYPES[info.dtype], shape, info.block_samples)


def _source(payload: Any) -> tuple[bytes | int, int]:
    """Return what ctypes takes for the address of a contiguous buffer, and its size."""
    if isinstance(payload, bytes):
        return payload, len(payload)
    data = np.frombuffer(payload, np.uint8)
    return data.ctypes.data, data.size


def _read_info(source: bytes | int, size: int) -> tuple[_Info, tuple[int, ...]]:
    info = _Info()
    _check(_library.n1_payload_info(source, size, info))
    return info, (info.num_samples, info.num_channels)[: info.ndim]


def n1_decode(
    payload: Any,
    widths: bytes | None = None,
    path: PathName = "best",
    out: Array | None = None,
) -> Array:
    """Decode an `n1` payload.

    Parameters
    ----------
    payload : contiguous buffer
        What `n1_encode` returned.
    widths : bytes, optional
        The table of code widths that it was encoded with, if it was not the built-in one.
    path : str
        How the work is done, without effect on the result; for tests.
    out : ndarray, optional
        C-contiguous array of the samples' dtype and shape to decode into.

    Returns
    -------
    ndarray
        The samples, in their dtype and shape; `out` if it is given.

    Raises
    ------
    N1StoreError
        If the payload is damaged, of a newer version, or needs another table of widths.
    """
    source, size = _source(payload)
    info, shape = _read_info(source, size)
    dtype = DTYPES[info.dtype]
    if out is None:
        # A damaged header can claim far more than its payload could hold.
        is_whole = _library.n1_index_size(source, size) <= size
        if not is_whole or math.prod(shape) > _MAX_SAMPLES_PER_BYTE * size:
            raise N1StoreError(_message(_CORRUPT))
        try:
            out = np.empty(shape, dtype)
        except MemoryError:
            raise N1StoreError(_message(_MEMORY)) from None
    elif (out.dtype, out.shape) != (dtype, shape) or not out.flags.c_contiguous:
        raise N1StoreError(f"the payload holds {dtype} of shape {shape}")
    elif not out.flags.writeable:
        raise N1StoreError("the array to decode into is read-only")
    decoded = _library.n1_decode(
        source,
        size,
        _checked_widths(widths),
        _PATHS[path],
        out.ctypes.data,
        out.nbytes,
    )
    _check(decoded)
    return out


def n1_decode_part(
    payload: Any,
    times: range,
    channels: npt.NDArray[np.uint32] | None = None,
    widths: bytes | None = None,
    path: PathName = "best",
    out: Array | None = None,
) -> Array:
    """Decode some samples of some channels of an `n1` payload.

    Parameters
    ----------
    payload : contiguous buffer
        What `n1_encode` returned; or of its size, with the bytes that `n1_part_ranges` names, and
        any others elsewhere.
    times : range
        The samples, with step 1.
    channels : ndarray of uint32, contiguous
        Numbers of channels, ascending; by default all.
    widths, path
        As for `n1_decode`.
    out : ndarray, optional
        Array of the samples' dtype and the part's shape to decode into, whose channels are next to
        each other in memory; rows need not be.

    Returns
    -------
    ndarray
        Of shape (len(times),) or (len(times), number of channels); `out` if it is given.

    Raises
    ------
    N1StoreError
        If the payload has no such part, or a byte that the part depends on is damaged.
    """
    source, size = _source(payload)
    info, shape = _read_info(source, size)
    dtype = DTYPES[info.dtype]
    shape = (len(times), info.num_channels if channels is None else len(channels))[: info.ndim]
    if out is None:
        try:
            out = np.empty(shape, dtype)
        except MemoryError:
            raise N1StoreError(_message(_MEMORY)) from None
    elif (out.dtype, out.shape) != (dtype, shape) or (
        out.ndim == 2 and out.shape[1] > 1 and out.strides[1] != out.itemsize
    ):
        raise N1StoreError(f"the part of the payload is {dtype} of shape {shape}")
    elif not out.flags.writeable:
        raise N1StoreError("the array to decode into is read-only")
    row_bytes = out.strides[0] if len(times) > 1 else out.nbytes
    room = row_bytes * max(0, len(times) - 1) + out.nbytes // max(1, len(times))
    part = _part(info, times, channels, row_bytes)
    _check(
        _library.n1_decode_part(
            source, size, _checked_widths(widths), _PATHS[path], part, out.ctypes.data, room
        )
    )
    return out


def n1_index_size(beginning: Any) -> int:
    """Return how many of a payload's bytes, of which 32 are given, say where its blocks are.

    0 if it is to be read as a whole.
    """
    size: int = _library.n1_index_size(*_source(beginning))
    _check(size)
    return size


def n1_part_ranges(
    beginning: Any, times: range, channels: npt.NDArray[np.uint32] | None = None
) -> npt.NDArray[np.uint64]:
    """Return which bytes of a payload a part is decoded from.

    Parameters
    ----------
    beginning : contiguous buffer
        The payload's first bytes, at least `n1_index_size` of them, which is not 0.
    times, channels
        As for `n1_decode_part`.

    Returns
    -------
    ndarray of uint64, shape (number of ranges, 2)
        Where each begins and ends, ascending; the first has the index.

    Raises
    ------
    N1StoreError
        If the payload has no such part, or its index is damaged.
    """
    source, size = _source(beginning)
    info, _ = _read_info(source, size)
    if _library.n1_index_size(source, size) > size:
        raise N1StoreError(_message(_CORRUPT))
    part = _part(info, times, channels, 0)
    blocks = len(range(0, info.num_samples, info.block_samples)) if info.block_samples else 1
    ranges = np.empty((blocks * info.num_channels + 1, 2), np.uint64)
    count = _library.n1_part_ranges(source, size, part, ranges.ctypes.data, len(ranges))
    _check(count)
    return ranges[:count]


def _part(
    info: _Info, times: range, channels: npt.NDArray[np.uint32] | None, row_bytes: int
) -> _Part:
    if channels is None:
        return _Part(times.start, len(times), None, info.num_channels, row_bytes)
    return _Part(times.start, len(times), channels.ctypes.data, len(channels), row_bytes)


_MEMORY, _FORMAT, _VERSION, _CORRUPT = -2, -4, -5, -6
# 2^30 equal samples take 22 bytes, and four times as many a byte more.
_MAX_SAMPLES_PER_BYTE = 1 << 27


def _check(result: int) -> None:
    if result < 0:
        raise N1StoreError(_message(result))


def _message(error: int) -> str:
    message: bytes = _library.n1_strerror(error)
    return message.decode()


def _checked_widths(widths: bytes | None) -> bytes | None:
    if widths is not None and len(widths) != NUM_CODES:
        raise N1StoreError(f"a table of code widths has {NUM_CODES} bytes, not {len(widths)}")
    return widths


def adc_encode(samples: Array) -> Array:
    """Replace samples by the codes of the implant's converter (see filters/core/common/adc.h).

    Parameters
    ----------
    samples : ndarray of int16, any shape and strides
        Any values; those on the N1 grid become -512..511.

    Returns
    -------
    ndarray of int16
        A new array of the same shape; contiguous, in Fortran order if `samples` is.
    """
    return _map(_library.n1_adc_encode, samples)


def adc_decode(codes: Array, out: Array | None = None) -> Array:
    """Inverse of `adc_encode`, with the same shapes and dtypes.

    With `out`, a writeable C-contiguous array of int16 and of the shape of `codes`, which may be
    `codes` itself, the samples are put there.
    """
    return _map(_library.n1_adc_decode, codes, out)


def _map(function: Any, values: Array, result: Array | None = None) -> Array:
    if values.dtype != _INT16:
        raise TypeError(f"adc takes little-endian int16 samples, not {values.dtype}")
    if not (values.flags.aligned and (values.flags.c_contiguous or values.flags.f_contiguous)):
        values = np.require(values, requirements=["C", "A"])
    if result is None:
        result = np.empty_like(values, order="A")
    function(values.ctypes.data, result.ctypes.data, values.size)
    return result


class SimpleCodec:
    """A codec of filters/core/generic/simple.h; to be had from `simple_codec`.

    Attributes
    ----------
    name : str
    parameters : range
        Values that its parameter may have; 0 alone if it has none.
    """

    def __init__(self, name: str):
        self._codec = _library.simple_codec_named(name.encode())
        if not self._codec:
            raise N1StoreError(f"n1store's compiled core has no codec {name}: install it again")
        self.name = name
        self.parameters = range(self._codec.contents.least, self._codec.contents.most + 1)

    def bound(self, size: int, num_channels: int = 1, parameter: int = 0) -> int:
        """Return what `encode` makes of `size` bytes at most, and a transform always."""
        return self._checked(
            _library.simple_bound(self._codec, size, _SimpleSettings(num_channels, parameter))
        )

    def encode(self, data: Any, num_channels: int = 1, parameter: int = 0) -> Array:
        """Encode data.

        Parameters
        ----------
        data : contiguous buffer
            For a transform, numbers of 16 bits, little-endian, in frames of `num_channels`.
        num_channels, parameter : int
            The other codecs do without.

        Returns
        -------
        ndarray of uint8, one-dimensional
            The payload.

        Raises
        ------
        N1StoreError
            If `parameter` or the size of the data is not one that the codec takes.
        """
        source, size = _source(data)
        settings = _SimpleSettings(num_channels, parameter)
        payload = np.empty(self.bound(size, num_channels, parameter), np.uint8)
        encoded = _library.simple_encode(
            self._codec, source, size, settings, payload.ctypes.data, payload.size
        )
        return payload[: self._checked(encoded)]

    def decoded_size(self, payload: Any) -> int:
        """Return how many bytes a payload, any contiguous buffer, says that it holds."""
        return self._checked(_library.simple_decoded_size(self._codec, *_source(payload)))

    def decode(self, payload: Any, out: Array | None = None) -> Array:
        """Decode a payload.

        Parameters
        ----------
        payload : contiguous buffer
            What `encode` returned.
        out : ndarray of uint8, optional
            One-dimensional, contiguous and writeable, with room for all bytes.

        Returns
        -------
        ndarray of uint8, one-dimensional
            The data; `out` if it is given.

        Raises
        ------
        N1StoreError
            If the payload is damaged or of another codec, or `out` is too small.
        """
        source, size = _source(payload)
        if out is None:
            try:
                out = np.empty(self.decoded_size(payload), np.uint8)
            except MemoryError:
                raise self._error(_MEMORY) from None
        decoded = _library.simple_decode(self._codec, source, size, out.ctypes.data, out.size)
        self._checked(decoded)
        return out

    def _checked(self, result: int) -> int:
        if result < 0:
            raise self._error(result)
        return result

    def _error(self, error: int) -> N1StoreError:
        if error in (_FORMAT, _CORRUPT):
            return N1StoreError(f"the {self.name} payload is damaged, or is none")
        if error == _VERSION:
            return N1StoreError(f"the {self.name} payload is of a newer version; update n1store")
        return N1StoreError(f"{self.name}: {_message(error)}")


@lru_cache
def simple_codec(name: str) -> SimpleCodec:
    """Return the codec of filters/core/generic/simple.h that has this name."""
    return SimpleCodec(name)


def simple_codec_names() -> list[str]:
    """Return the names of the codecs of filters/core/generic/simple.h, by their numbers."""
    numbered = map(_library.simple_codec_numbered, count())
    return [codec.contents.name.decode() for codec in takewhile(bool, numbered)]
