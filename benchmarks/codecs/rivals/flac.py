"""FLAC: libFLAC through ctypes, twice as fast to decode as through soundfile.

The MD5 sum of the samples is left out, as it takes time; each frame has its CRC.
"""

import ctypes
from ctypes.util import find_library
from functools import partial

import numpy as np

from codec import Codec

MAX_CHANNELS = 8

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
_DecoderRead = ctypes.CFUNCTYPE(
    ctypes.c_int, _Pointer, _Pointer, ctypes.POINTER(ctypes.c_size_t), _Pointer
)
# A frame begins with its number of samples.
_DecoderWrite = ctypes.CFUNCTYPE(
    ctypes.c_int, _Pointer, ctypes.POINTER(ctypes.c_uint32), ctypes.POINTER(_Pointer), _Pointer
)
_DecoderError = ctypes.CFUNCTYPE(None, _Pointer, ctypes.c_int, _Pointer)
_CONTINUE, _END_OF_STREAM = 0, 1


def _load() -> ctypes.CDLL:
    name = find_library("FLAC")
    if name is None:
        raise ImportError("there is no libFLAC")
    library = ctypes.CDLL(name)
    for function, arguments in {
        "init_stream": [_Pointer, _EncoderWrite, *4 * [_Pointer]],
        "process_interleaved": [_Pointer, _Pointer, ctypes.c_uint32],
        "finish": [_Pointer],
        "delete": [_Pointer],
    }.items():
        getattr(library, f"FLAC__stream_encoder_{function}").argtypes = arguments
    for function, arguments in {
        "init_stream": [
            *[_Pointer, _DecoderRead, *4 * [_Pointer]],
            *[_DecoderWrite, _Pointer, _DecoderError, _Pointer],
        ],
        "process_until_end_of_stream": [_Pointer],
        "finish": [_Pointer],
        "delete": [_Pointer],
    }.items():
        getattr(library, f"FLAC__stream_decoder_{function}").argtypes = arguments
    library.FLAC__stream_encoder_new.restype = _Pointer
    library.FLAC__stream_decoder_new.restype = _Pointer
    return library


_library = _load()

_version = ctypes.c_char_p.in_dll(_library, "FLAC__VERSION_STRING").value or b""
VERSION = f"FLAC {_version.decode()}"


def _encode(samples: np.ndarray, settings: dict[str, int]) -> bytes:
    num_samples, num_channels = (*samples.shape, 1)[:2]
    blocks: list[bytes] = []

    @_EncoderWrite
    def write(_, data, size, *__):
        blocks.append(ctypes.string_at(data, size))
        return _CONTINUE

    wide = samples.astype(np.int32)
    encoder = _library.FLAC__stream_encoder_new()
    try:
        shape = {"channels": num_channels, "bits_per_sample": 16}
        for name, value in (settings | shape | {"do_md5": 0}).items():
            setter = getattr(_library, f"FLAC__stream_encoder_set_{name}")
            setter(_Pointer(encoder), ctypes.c_uint32(value))
        done = (
            _library.FLAC__stream_encoder_init_stream(encoder, write, *4 * [None]) == 0
            and _library.FLAC__stream_encoder_process_interleaved(
                encoder, wide.ctypes.data, num_samples
            )
            and _library.FLAC__stream_encoder_finish(encoder)
        )
    finally:
        _library.FLAC__stream_encoder_delete(encoder)
    if not done:
        raise RuntimeError(f"FLAC cannot encode a chunk of shape {samples.shape}")
    return b"".join(blocks)


def _decode(payload: bytes, shape: tuple[int, ...]) -> np.ndarray:
    decoded = np.empty((*shape, 1)[:2], np.int16)
    source = np.frombuffer(payload, np.uint8).ctypes.data
    num_read = num_decoded = 0

    @_DecoderRead
    def read(_, buffer, room, __):
        nonlocal num_read
        room[0] = min(room[0], len(payload) - num_read)
        ctypes.memmove(buffer, source + num_read, room[0])
        num_read += room[0]
        return _CONTINUE if room[0] else _END_OF_STREAM

    @_DecoderWrite
    def write(_, frame, channels, __):
        nonlocal num_decoded
        stop = num_decoded + frame[0]
        for channel in range(decoded.shape[1]):
            wide = np.frombuffer(ctypes.string_at(channels[channel], 4 * frame[0]), np.int32)
            decoded[num_decoded:stop, channel] = wide
        num_decoded = stop
        return _CONTINUE

    errors: list[int] = []
    error = _DecoderError(lambda _, code, __: errors.append(code))
    decoder = _library.FLAC__stream_decoder_new()
    try:
        done = (
            _library.FLAC__stream_decoder_init_stream(
                decoder, read, *4 * [None], write, None, error, None
            )
            == 0
            and _library.FLAC__stream_decoder_process_until_end_of_stream(decoder)
            and _library.FLAC__stream_decoder_finish(decoder)
        )
    finally:
        _library.FLAC__stream_decoder_delete(decoder)
    if not done or errors or num_decoded != len(decoded):
        raise RuntimeError("FLAC cannot decode a chunk")
    return decoded.reshape(shape)


def _codec(name: str, **settings: int) -> Codec:
    return Codec("FLAC", name, partial(_encode, settings=settings), _decode, MAX_CHANNELS)


CODECS = [
    _codec("level 5", compression_level=5),
    _codec("level 8", compression_level=8),
    _codec(
        "level 8 -p, blocks of 16,384",
        compression_level=8,
        do_exhaustive_model_search=1,
        streamable_subset=0,
        blocksize=16_384,
    ),
]
