"""ALAC, Apple's lossless audio codec, by libsndfile in the package soundfile."""

from __future__ import annotations

import ctypes
import math
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import soundfile
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy

from n1store.codecs.base import Array, OwnCodec, check_size, samples_of
from n1store.errors import N1StoreError


class Alac(OwnCodec):
    """Lossless ALAC of 16 bits.

    A payload says its shape itself and ends in a checksum of all its bytes, so that none is
    needed behind it. It is specified in filters/format/codecs.md. As libsndfile has at most 8
    channels, and writes beyond its memory with many of them, each channel is a stream of its own.
    """

    codec_id = "n1store.alac"

    def __init__(self) -> None:
        pass

    def encode(self, buf: Any) -> bytes:
        """Return the payload of a chunk.

        Parameters
        ----------
        buf : ndarray of int16, little-endian, or any buffer
            The first axis is time. All others are taken together as channels.

        Raises
        ------
        N1StoreError
            If the chunk is of another dtype, or in Fortran order, or if libsndfile fails.
        """
        chunk = samples_of(buf, "alac", [_DTYPE], "little-endian int16")
        num_samples, num_channels = (*chunk.shape, 1)[:2]
        channels = chunk.reshape(num_samples, num_channels).T if num_samples else ()
        streams = [_encode(np.ascontiguousarray(samples)) for samples in channels]
        head = _HEAD.pack(_MAGIC, _VERSION, chunk.ndim, num_channels, num_samples)
        sizes = np.array([len(stream) for stream in streams], "<u4").tobytes()
        payload = b"".join([head, sizes, *streams])
        return payload + _CRC.pack(zlib.crc32(payload))

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the samples of a payload.

        Parameters
        ----------
        buf : contiguous buffer
        out : buffer, optional
            To copy them into; of as many bytes.

        Returns
        -------
        ndarray of int16
            Of shape (num_samples,) or (num_samples, num_channels); `out` if it is given.

        Raises
        ------
        N1StoreError
            If the payload is damaged or of a newer version, or if `out` is of another size.
        """
        payload = memoryview(ensure_contiguous_ndarray(buf)).cast("B")
        try:
            samples = _decode_payload(payload)
        except (struct.error, ValueError, soundfile.SoundFileError) as error:
            raise N1StoreError("the alac payload is damaged or cut off") from error
        if out is not None:
            check_size(out, self._payload, samples.nbytes)
        return ndarray_copy(samples, out)


_DTYPE = np.dtype("<i2")
_MAGIC = b"AL"
_VERSION = 1
_HEAD = struct.Struct("<2sBBIQ")  # then the sizes of the streams, the streams, and a checksum
_CRC = struct.Struct("<I")
# More than a packet of constant samples can hold.
_MAX_SAMPLES_PER_BYTE = 1 << 12


def _decode_payload(payload: memoryview) -> Array:
    magic, version, ndim, num_channels, num_samples = _HEAD.unpack_from(payload)
    if magic != _MAGIC:
        raise N1StoreError("this is not an alac payload of n1store")
    if version > _VERSION:
        raise N1StoreError("the alac payload is of a newer version than this n1store reads")
    content, crc = payload[: -_CRC.size], payload[-_CRC.size :]
    if zlib.crc32(content) != _CRC.unpack(crc)[0] or ndim not in (1, 2):
        raise ValueError("checksum")
    count = num_channels if num_samples else 0
    sizes = np.frombuffer(content, "<u4", count, _HEAD.size).tolist()
    position = _HEAD.size + 4 * count
    if position + sum(sizes) != len(content):
        raise ValueError("sizes")
    if math.prod((num_samples, num_channels)) > _MAX_SAMPLES_PER_BYTE * len(content):
        raise ValueError("shape")
    samples = np.empty((num_samples, num_channels)[:ndim], _DTYPE)
    channels = samples.reshape(num_samples, num_channels)
    for channel, size in enumerate(sizes):
        channels[:, channel] = _decode(content[position : position + size], num_samples)
        position += size
    return samples


# A stream, of one channel


# Nobody reads it.
_SAMPLING_FREQUENCY = 20_000
# libsndfile picks the names of temporary files without regard to other threads.
_encoding = threading.Lock()


def _encode(samples: Array) -> bytes:
    """Return the samples of a channel as a file of the Core Audio Format."""
    with _file_in_memory() as descriptor:
        with (
            _encoding,
            _silent(),
            soundfile.SoundFile(
                descriptor,
                "w",
                _SAMPLING_FREQUENCY,
                1,
                subtype="ALAC_16",
                format="CAF",
                closefd=False,
            ) as file,
        ):
            file.write(samples)
        stream = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    # Encoded through a file elsewhere on the disk, whose errors libsndfile does not tell.
    try:
        restored = _decode(memoryview(stream), len(samples))
    except (ValueError, soundfile.SoundFileError) as error:
        raise N1StoreError("libsndfile cannot write ALAC; is its temporary folder full?") from error
    if not np.array_equal(restored, samples):
        raise N1StoreError("libsndfile has written ALAC that does not give the samples back")
    return stream


def _decode(stream: memoryview, num_samples: int) -> Array:
    with _file_in_memory() as descriptor:
        written = os.write(descriptor, stream)
        os.lseek(descriptor, 0, os.SEEK_SET)
        if written != len(stream):
            raise MemoryError("there is no memory to decode ALAC with")
        with soundfile.SoundFile(descriptor, closefd=False) as file:
            if (file.subtype, file.channels, file.frames) != ("ALAC_16", 1, num_samples):
                raise ValueError("another stream")
            samples: Array = file.read(dtype="int16")
    if len(samples) != num_samples:
        raise ValueError("ends early")
    return samples


@contextmanager
def _file_in_memory() -> Iterator[int]:
    descriptor = os.memfd_create("n1store")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep libsndfile from telling C's standard output of frames that it encodes otherwise."""
    stdout, null = _c_streams()
    before, stdout.value = stdout.value, null
    try:
        yield
    finally:
        stdout.value = before


@lru_cache
def _c_streams() -> tuple[ctypes.c_void_p, int]:
    """Return C's variable `stdout`, and a stream for what nobody reads."""
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    return ctypes.c_void_p.in_dll(libc, "stdout"), libc.fopen(os.devnull.encode(), b"w")
