"""FLAC as a numcodecs codec: libFLAC through ctypes, for any number of channels."""

from __future__ import annotations

import ctypes
import hashlib
import math
import zlib
from collections.abc import Iterator
from ctypes.util import find_library
from functools import lru_cache
from typing import Any

import numpy as np
from numcodecs.compat import ensure_contiguous_ndarray

from n1store.codecs.base import DTYPES, Array, OwnCodec, decode_into, level_of, samples_of
from n1store.errors import N1StoreError, NotHereError

LEVELS = range(9)


class Flac(OwnCodec):
    """Lossless FLAC of 8 or 16 bits.

    A payload says its dtype and shape itself, and ends in error if a bit of its samples has
    changed, so that no checksum is needed behind it. It is specified in filters/format/codecs.md.

    Parameters
    ----------
    level : int
        0 is fast, 5 the default, 8 the smallest. Decoding does not depend on it.

    Raises
    ------
    N1StoreError
        If there is no such level, or no libFLAC.
    """

    codec_id = "n1store.flac"

    def __init__(self, level: int = 5):
        self.level = level_of("flac", level, LEVELS)
        load_library()

    def encode(self, buf: Any) -> bytes:
        """Return the payload of a chunk.

        Parameters
        ----------
        buf : ndarray of int16, uint16, int8 or uint8, little-endian, or any buffer
            The first axis is time. All others are taken together as channels.

        Raises
        ------
        N1StoreError
            If the chunk is of another dtype, big-endian, or in Fortran order.
        """
        chunk = samples_of(buf, "flac", DTYPES, "little-endian integers of 8 or 16 bits")
        samples = chunk[:, None] if chunk.ndim == 1 else chunk
        signed = samples.view(f"<i{chunk.dtype.itemsize}")
        if chunk.dtype.kind == "u":
            signed = signed ^ _bias(chunk.dtype)
        streams = [
            _encode(np.ascontiguousarray(signed[:, first : first + _MAX_CHANNELS]), self.level)
            for first in range(0, signed.shape[1] if len(signed) else 0, _MAX_CHANNELS)
        ]
        parts = [_head(chunk.dtype, chunk.shape)]
        for stream in streams:
            parts += [_varint(len(stream)), stream]
        return b"".join(parts)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the samples of a payload.

        Parameters
        ----------
        buf : contiguous buffer
        out : buffer, optional
            To decode into; of as many bytes as the samples, whatever its dtype and shape.

        Returns
        -------
        ndarray
            `out` if it is given; else of the payload's dtype, and its shape, which is
            (num_samples,) or (num_samples, num_channels).

        Raises
        ------
        N1StoreError
            If the payload is damaged or of a newer version, or if `out` is of another size.
        """
        payload = memoryview(ensure_contiguous_ndarray(buf)).cast("B")
        dtype, shape, position = _read_head(payload)
        # A damaged payload can claim far more than it could hold.
        if math.prod(shape) > len(payload) * _MAX_SAMPLES_PER_BYTE:
            raise _damaged()

        def decode(to: Array | None) -> Array:
            samples = np.empty(shape, dtype) if to is None else to
            _decode_streams(payload[position:], samples)
            return samples

        return decode_into(out, self._payload, dtype, shape, decode)


# The payload


_VERSION = 1
_MAX_CHANNELS = 8
# More than a frame of constant samples can hold.
_MAX_SAMPLES_PER_BYTE = 1 << 15


def _decode_streams(streams: memoryview, samples: Array) -> None:
    """Decode the streams of a payload into samples; N1StoreError if they are damaged."""
    num_samples, num_channels = (*samples.shape, 1)[:2]
    signed = samples.view(f"<i{samples.itemsize}").reshape(num_samples, num_channels)
    position = 0
    for first in range(0, num_channels if num_samples else 0, _MAX_CHANNELS):
        size, position = _read_varint(streams, position)
        stream = streams[position : position + size]
        position += size
        if len(stream) < size:
            raise _damaged()
        _decode(stream, signed[:, first : first + _MAX_CHANNELS])
    if position != len(streams):
        raise _damaged()
    if samples.dtype.kind == "u":
        signed ^= _bias(samples.dtype)


def _bias(dtype: np.dtype[Any]) -> Any:
    """Return what FLAC's signed samples of a dtype differ in from its own bits."""
    signed = np.dtype(f"i{dtype.itemsize}").type
    return signed(np.iinfo(signed).min if dtype.kind == "u" else 0)


def _head(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    kind = DTYPES.index(dtype) | (len(shape) == 2) << 2 | _VERSION << 4
    head = b"FL" + bytes([kind]) + b"".join(map(_varint, shape))
    return head + zlib.crc32(head).to_bytes(4, "little")


def _read_head(payload: memoryview) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Return dtype, shape, and the position behind the head."""
    if len(payload) < 3 or bytes(payload[:2]) != b"FL":
        raise N1StoreError("this is not a flac payload of n1store")
    kind, position = payload[2], 3
    if kind >> 4 > _VERSION:
        raise N1StoreError("the flac payload is of a newer version than this n1store reads")
    shape: tuple[int, ...] = ()
    for _ in range(2 if kind & 4 else 1):
        length, position = _read_varint(payload, position)
        shape += (length,)
    crc = int.from_bytes(payload[position : position + 4], "little")
    if kind >> 3 != _VERSION << 1 or crc != zlib.crc32(payload[:position]):
        raise _damaged()
    return DTYPES[kind & 3], shape, position + 4


def _varint(value: int) -> bytes:
    groups = []
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def _read_varint(payload: memoryview, position: int) -> tuple[int, int]:
    """Return the number and the position behind it."""
    value = 0
    for index, byte in enumerate(payload[position : position + 9]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, position + index + 1
    raise _damaged()


def _damaged() -> N1StoreError:
    return N1StoreError("the flac payload is damaged or cut off")


# A stream, of up to 8 channels


# A stream begins with "fLaC" and the metadata block STREAMINFO, here the only one.
_STREAM_START = b"fLaC\x80\0\0\x22"
_FRAME_SIZES = slice(12, 18)
_NUM_SAMPLES = slice(21, 26)
_MD5 = slice(26, 42)
_STREAMINFO_END = 42
# Samples that pass through libFLAC's int32 at a time.
_SLICE = 1 << 16

_Pointer = ctypes.c_void_p
_EncoderWrite = ctypes.CFUNCTYPE(
    ctypes.c_int,
    _Pointer,
    _Pointer,
    ctypes.c_size_t,
    ctypes.c_uint32,
    ctypes.c_uint32,
    _Pointer,
)
# A frame begins with: number of samples, sampling frequency, channels, their assignment, bits.
_DecoderWrite = ctypes.CFUNCTYPE(
    ctypes.c_int, _Pointer, ctypes.POINTER(ctypes.c_uint32), ctypes.POINTER(_Pointer), _Pointer
)
_DecoderError = ctypes.CFUNCTYPE(None, _Pointer, ctypes.c_int, _Pointer)
_CONTINUE, _ABORT = 0, 1

_libc = ctypes.CDLL(None)
_libc.fmemopen.restype = _Pointer
_libc.fmemopen.argtypes = [_Pointer, ctypes.c_size_t, ctypes.c_char_p]


@lru_cache
def load_library() -> ctypes.CDLL:
    """Return libFLAC with the types of its functions; NotHereError if there is none."""
    name = find_library("FLAC")
    if name is None:
        raise NotHereError("codec flac needs libFLAC: apt-get install libflac-dev")
    library = ctypes.CDLL(name)
    for function, result, arguments in (
        ("encoder_new", _Pointer, []),
        ("encoder_set_channels", ctypes.c_int, [_Pointer, ctypes.c_uint32]),
        ("encoder_set_bits_per_sample", ctypes.c_int, [_Pointer, ctypes.c_uint32]),
        ("encoder_set_compression_level", ctypes.c_int, [_Pointer, ctypes.c_uint32]),
        ("encoder_set_do_md5", ctypes.c_int, [_Pointer, ctypes.c_int]),
        ("encoder_init_stream", ctypes.c_int, [_Pointer, _EncoderWrite, *4 * [_Pointer]]),
        ("encoder_process_interleaved", ctypes.c_int, [_Pointer, _Pointer, ctypes.c_uint32]),
        ("encoder_finish", ctypes.c_int, [_Pointer]),
        ("encoder_delete", None, [_Pointer]),
        ("decoder_new", _Pointer, []),
        ("decoder_set_md5_checking", ctypes.c_int, [_Pointer, ctypes.c_int]),
        (
            "decoder_init_FILE",
            ctypes.c_int,
            [*2 * [_Pointer], _DecoderWrite, _Pointer, _DecoderError, _Pointer],
        ),
        ("decoder_process_until_end_of_stream", ctypes.c_int, [_Pointer]),
        ("decoder_finish", ctypes.c_int, [_Pointer]),
        ("decoder_delete", None, [_Pointer]),
    ):
        bound: Any = getattr(library, f"FLAC__stream_{function}")
        bound.restype, bound.argtypes = result, arguments
    return library


def _encode(samples: Array, level: int) -> bytes:
    """Return the stream of signed samples, (num_samples, num_channels), in C order."""
    num_samples, num_channels = samples.shape
    start: list[bytes] = []
    frames: list[bytes] = []
    num_encoded = 0

    # libFLAC writes "fLaC" and blocks of metadata, which hold no samples, then frames.
    def write(_: Any, data: int, size: int, samples_in_frame: int, *__: Any) -> int:
        nonlocal num_encoded
        (frames if samples_in_frame else start).append(ctypes.string_at(data, size))
        num_encoded += samples_in_frame
        return _CONTINUE

    callback = _EncoderWrite(write)
    library = load_library()
    encoder = library.FLAC__stream_encoder_new()
    try:
        done = (
            library.FLAC__stream_encoder_set_channels(encoder, num_channels)
            and library.FLAC__stream_encoder_set_bits_per_sample(encoder, 8 * samples.itemsize)
            and library.FLAC__stream_encoder_set_compression_level(encoder, level)
            and library.FLAC__stream_encoder_set_do_md5(encoder, False)
            and library.FLAC__stream_encoder_init_stream(encoder, callback, *4 * [None]) == 0
            and all(
                library.FLAC__stream_encoder_process_interleaved(encoder, wide.ctypes.data, count)
                for wide, count in _slices(samples)
            )
            and library.FLAC__stream_encoder_finish(encoder)
        )
    finally:
        library.FLAC__stream_encoder_delete(encoder)
    # An exception in the callback, such as from Ctrl-C, does not get through libFLAC.
    if not done or num_encoded != num_samples:
        raise N1StoreError(f"FLAC cannot encode a chunk of {num_samples} samples")
    # Only now is known what libFLAC would go back for to write into STREAMINFO.
    info = bytearray(b"".join(start)[:_STREAMINFO_END])
    info[: len(_STREAM_START)] = _STREAM_START
    sizes = [len(frame) for frame in frames]
    info[_FRAME_SIZES] = min(sizes).to_bytes(3, "big") + max(sizes).to_bytes(3, "big")
    info[_NUM_SAMPLES] = (info[_NUM_SAMPLES.start] << 32 | num_samples).to_bytes(5, "big")
    info[_MD5] = hashlib.md5(samples.data, usedforsecurity=False).digest()
    return b"".join([info, *frames])


def _slices(samples: Array) -> Iterator[tuple[Array, int]]:
    step = max(1, _SLICE // samples.shape[1])
    for start in range(0, len(samples), step):
        wide = samples[start : start + step].astype(np.int32)
        yield wide, len(wide)


def _decode(stream: memoryview, samples: Array) -> None:
    """Decode a stream into `samples`, (num_samples, num_channels); N1StoreError if damaged."""
    # libFLAC would search for a beginning, and does not check an MD5 sum of zeros.
    if bytes(stream[: len(_STREAM_START)]) != _STREAM_START or not any(stream[_MD5]):
        raise _damaged()
    num_decoded = 0
    is_damaged = False

    def write(_: Any, frame: Any, channels: Any, __: Any) -> int:
        nonlocal num_decoded
        count, _, num_channels, _, bits = frame[:5]
        stop = num_decoded + count
        if (num_channels, bits) != (samples.shape[1], 8 * samples.itemsize) or stop > len(samples):
            return _ABORT
        for channel in range(num_channels):
            wide = (ctypes.c_int32 * count).from_address(channels[channel])
            samples[num_decoded:stop, channel] = np.frombuffer(wide, np.int32)
        num_decoded = stop
        return _CONTINUE

    def error(*_: Any) -> None:
        nonlocal is_damaged
        is_damaged = True

    # A file in memory, which the decoder closes: a callback to read would take Python's lock for
    # every few thousand bytes.
    file = _libc.fmemopen(np.frombuffer(stream, np.uint8).ctypes.data, len(stream), b"rb")
    if not file:
        raise MemoryError("there is no memory to decode FLAC with")
    callbacks = _DecoderWrite(write), None, _DecoderError(error)
    library = load_library()
    decoder = library.FLAC__stream_decoder_new()
    try:
        library.FLAC__stream_decoder_set_md5_checking(decoder, True)
        done = (
            library.FLAC__stream_decoder_init_FILE(decoder, file, *callbacks, None) == 0
            and library.FLAC__stream_decoder_process_until_end_of_stream(decoder)
            and library.FLAC__stream_decoder_finish(decoder)  # says whether the MD5 sum is right
        )
    finally:
        library.FLAC__stream_decoder_delete(decoder)
    if not done or is_damaged or num_decoded != len(samples):
        raise _damaged()
