"""WavPack on all cores: the stream of wavpack-numcodecs, encoded by libwavpack directly.

wavpack-numcodecs keeps Python's lock while it encodes, and gives WavPack no more room than
the chunk itself takes, so that noise and very short chunks fail. Calling the library through
ctypes has neither limit, and writes the same bytes.

It also decodes damaged streams, to other samples. Here they are checked before. Samples pass
through libwavpack's int32 in slices, not in an array as large as two chunks.
"""

import ctypes
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numcodecs.compat import ensure_contiguous_ndarray, ensure_ndarray

# Importing it has loaded the libwavpack that it was built with, which is then the one found.
from wavpack_numcodecs.wavpack import WavPack as _WavPack

from n1store.codecs.base import Array, decode_into
from n1store.errors import N1StoreError


class WavPack(_WavPack):  # type: ignore[misc]  # wavpack-numcodecs has no types
    """The codec ``wavpack`` of wavpack-numcodecs, with another way to do it.

    It is lossless unless `bps` is set, the bits a sample that WavPack's hybrid mode may take.
    """

    def encode(self, buf: Any) -> bytes:
        """Return the stream of `buf`, int16 of shape (num_samples, num_channels).

        Raises
        ------
        N1StoreError
            If there are fewer than 16 samples, WavPack fails, or the stream would be longer than
            `decode` takes.
        """
        samples = self._prepare_data(ensure_ndarray(buf))
        if len(samples) < _MIN_SAMPLES <= samples.size:
            samples = samples.reshape(-1, 1)  # the stream does not keep the shape anyway
        if len(samples) < _MIN_SAMPLES:
            raise N1StoreError(f"WavPack takes {_MIN_SAMPLES} samples or more, not {len(samples)}")
        flags = _FLAGS[self.level]
        if self.bps:
            flags |= _HYBRID if self.dynamic_noise_shaping else _HYBRID | _SHAPE_OVERRIDE
        stream = _encode(samples, flags, self.bps, self.shaping_weight)
        if len(stream) > self.max_buffer_size:
            raise N1StoreError(
                f"WavPack would not decode a stream of {len(stream)} bytes; make chunks shorter"
            )
        return stream

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the samples of a stream, (num_samples, num_channels), or in `out`.

        Raises
        ------
        N1StoreError
            If the stream is damaged, or `out` is of another size.
        """
        stream = ensure_contiguous_ndarray(buf, self.max_buffer_size).view("u1")
        layout = _check(stream)
        if layout is None:
            raise _damaged()
        shape, dtype = layout

        def decode(to: Array | None) -> Array:
            samples = np.empty(shape, dtype) if to is None else to
            _decode(stream, samples)
            return samples

        return decode_into(out, "the WavPack stream", dtype, shape, decode)


_MIN_SAMPLES = 16
_MAX_BLOCK_SAMPLES = 120_000  # as wavpack-numcodecs has it

# CONFIG_PAIR_UNDEF_CHANS with CONFIG_FAST_FLAG, nothing, CONFIG_HIGH_FLAG, and that with
# CONFIG_VERY_HIGH_FLAG, of wavpack.h.
_FLAGS = {level: 0x20000000 | flag for level, flag in {1: 0x200, 2: 0, 3: 0x800, 4: 0x1800}.items()}

# CONFIG_HYBRID_FLAG and CONFIG_SHAPE_OVERRIDE of wavpack.h.
_HYBRID, _SHAPE_OVERRIDE = 0x8, 0x8000


class _Config(ctypes.Structure):
    """WavpackConfig of wavpack.h."""

    _fields_ = (
        ("bitrate", ctypes.c_float),
        ("shaping_weight", ctypes.c_float),
        ("bits_per_sample", ctypes.c_int),
        ("bytes_per_sample", ctypes.c_int),
        ("qmode", ctypes.c_int),
        ("flags", ctypes.c_int),
        ("xmode", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("float_norm_exp", ctypes.c_int),
        ("block_samples", ctypes.c_int32),
        ("worker_threads", ctypes.c_int32),
        ("sample_rate", ctypes.c_int32),
        ("channel_mask", ctypes.c_int32),
        ("md5_checksum", ctypes.c_ubyte * 16),
        ("md5_read", ctypes.c_ubyte),
        ("num_tag_strings", ctypes.c_int),
        ("tag_strings", ctypes.c_void_p),
    )


_BlockOutput = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL("libwavpack.so.1")
    library.WavpackOpenFileOutput.restype = ctypes.c_void_p
    library.WavpackOpenFileOutput.argtypes = [_BlockOutput, ctypes.c_void_p, ctypes.c_void_p]
    library.WavpackSetConfiguration.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32]
    library.WavpackPackInit.argtypes = [ctypes.c_void_p]
    library.WavpackPackSamples.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32]
    library.WavpackFlushSamples.argtypes = [ctypes.c_void_p]
    library.WavpackCloseFile.argtypes = [ctypes.c_void_p]
    library.WavpackVerifySingleBlock.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.WavpackOpenRawDecoder.restype = ctypes.c_void_p
    library.WavpackOpenRawDecoder.argtypes = [
        *(ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int16),
        *(ctypes.c_char_p, ctypes.c_int, ctypes.c_int),
    ]
    library.WavpackUnpackSamples.restype = ctypes.c_uint32
    library.WavpackUnpackSamples.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32]
    library.WavpackGetNumErrors.argtypes = [ctypes.c_void_p]
    return library


_library = _load()


def _encode(samples: Array, flags: int, bps: float, shaping_weight: float) -> bytes:
    """Encode samples, whose values are of 16 bits, of shape (num_samples, num_channels)."""
    num_samples, num_channels = samples.shape
    blocks: list[bytes] = []

    def keep_block(_: Any, data: int, length: int) -> int:
        blocks.append(ctypes.string_at(data, length))
        return 1

    block_samples = num_samples
    while block_samples > _MAX_BLOCK_SAMPLES:
        block_samples = (block_samples + 1) // 2
    config = _Config(
        bitrate=bps,
        shaping_weight=shaping_weight if flags & _SHAPE_OVERRIDE else 0,
        bits_per_sample=16,
        bytes_per_sample=2,
        flags=flags,
        num_channels=num_channels,
        block_samples=block_samples,
        sample_rate=32_000,  # not known here, and not used
    )
    block_output = _BlockOutput(keep_block)
    context = _library.WavpackOpenFileOutput(block_output, None, None)
    if not context:
        raise MemoryError("WavPack could not be started")
    try:
        done = (
            _library.WavpackSetConfiguration(context, ctypes.byref(config), num_samples)
            and _library.WavpackPackInit(context)
            and all(
                _library.WavpackPackSamples(context, wide.ctypes.data, len(wide))
                for wide in map(_as_int32, _slices(samples))
            )
            and _library.WavpackFlushSamples(context)
        )
    finally:
        _library.WavpackCloseFile(context)
    if not done:
        raise N1StoreError(f"WavPack cannot encode a chunk of {num_channels} channels")
    return b"".join(blocks)


# Values of a slice, which stay in the cache.
_SLICE_VALUES = 1 << 14


def _slices(samples: Array) -> Iterator[Array]:
    num_samples, num_channels = samples.shape
    length = max(1, _SLICE_VALUES // num_channels)
    return (samples[start : start + length] for start in range(0, num_samples, length))


def _as_int32(samples: Array) -> Array:
    return samples.astype(np.int32, order="C")


# A block's header: magic, size of the rest, 4 bytes, the samples of the whole stream, the first of
# the block and their number, flags, CRC of the samples.
_HEADER = struct.Struct("<4sI4xIIIII")
_BYTES, _MONO, _FIRST, _LAST, _HAS_CHECKSUM = 0x3, 0x4, 0x800, 0x1000, 0x10000000
_OPEN_NO_CHECKSUM = 0x800


def _check(stream: Array) -> tuple[tuple[int, int], np.dtype[Any]] | None:
    """Return shape and dtype of a stream that is all of its blocks with the right checksums.

    Blocks follow each other in time and have, at each time, those of all channels in order.
    """
    position = index = channels = num_channels = total = first_flags = 0
    while position < stream.size:
        if stream.size - position < _HEADER.size:
            return None
        header = _HEADER.unpack_from(stream.data, position)
        magic, size, num_samples, block_index, block_samples, flags, _ = header
        if magic != b"wvpk" or not _HEADER.size <= size + 8 <= stream.size - position:
            return None
        block = stream.ctypes.data + position
        if not flags & _HAS_CHECKSUM or not _library.WavpackVerifySingleBlock(block, True):
            return None
        total, first_flags = total or num_samples, first_flags or flags
        if (flags ^ first_flags) & _BYTES or flags & _BYTES == 2:
            return None
        if block_index != index or bool(flags & _FIRST) != (channels == 0):
            return None
        channels += 1 if flags & _MONO else 2
        if flags & _LAST:
            if channels != (num_channels or channels):
                return None
            index, num_channels, channels = index + block_samples, channels, 0
        position += size + 8
    if channels != 0 or not index == total > 0:
        return None
    # Of float32 WavPack gives the bits.
    return (total, num_channels), np.dtype(f"<i{1 + (first_flags & _BYTES)}")


_MESSAGE_BYTES = 80


def _decode(stream: Array, samples: Array) -> None:
    """Decode a stream that `_check` found good into an array of the shape and dtype it gave."""
    message = ctypes.create_string_buffer(_MESSAGE_BYTES)
    # libwavpack need not look at the checksums a second time.
    context = _library.WavpackOpenRawDecoder(
        stream.ctypes.data, stream.size, None, 0, 0, message, _OPEN_NO_CHECKSUM, 0
    )
    if not context:
        raise _damaged()
    try:
        for part in _slices(samples):
            wide = np.empty(part.shape, np.int32)
            if _library.WavpackUnpackSamples(context, wide.ctypes.data, len(wide)) != len(wide):
                raise _damaged()
            part[:] = wide
        if _library.WavpackGetNumErrors(context):
            raise _damaged()
    finally:
        _library.WavpackCloseFile(context)


def _damaged() -> N1StoreError:
    return N1StoreError("the WavPack stream is damaged or cut off")
