"""`.n1` files: WAV files as `n1` payloads, given back to the last byte.

The bytes are specified in filters/format/n1-files.md. Both directions stream: they hold a few
payloads and their samples in memory, however long the file.
"""

from __future__ import annotations

import math
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from n1store.codecs.native import NUM_CODES, n1_decode, n1_encode, n1_payload_info
from n1store.display import Displayed
from n1store.errors import N1StoreError, counted
from n1store.sources.wav import (
    MAX_CHANNELS,
    MAX_EXTRA_BYTES,
    SAMPLE_DTYPE,
    WavFile,
    canonical_header,
    open_wav,
)
from n1store.system.atomic import replacing
from n1store.system.parallel import Workers

Item = TypeVar("Item")
Progress = Callable[[int, int], None]

LEVELS = range(1, 4)
DEFAULT_LEVEL = 2

_MAGIC = b"\x89N1"
_VERSION = 1
_HEADER, _TRAILER, _WIDTHS = 1, 2, 4

# What a writer puts into one payload, unless it is told: 5 s of one channel are one, 64 channels
# get 7 s at 20 kHz.
_PAYLOAD_SAMPLES = 1 << 18
_PAYLOAD_VALUES = 1 << 23
_LEAST_PAYLOAD_SAMPLES = 1 << 14

# What a reader accepts, so that no file makes it use more memory than this for each core.
_MAX_PAYLOAD_VALUES = 1 << 24
_MAX_PART_BYTES = 1 << 26

_PAYLOAD_HEAD_BYTES = 32  # in which a payload says what it holds


@dataclass(frozen=True, repr=False)
class N1Info(Displayed):
    """What a `.n1` file holds, and how small it is.

    Attributes
    ----------
    sampling_frequency : int
        Hz.
    num_channels, num_samples : int
        `num_samples` counts each channel's.
    wav_bytes, n1_bytes : int
        Size of the WAV file and of the `.n1` file.
    payloads : list of (int, int)
        Samples (of each channel) and bytes of each payload, in the order of time.
    """

    sampling_frequency: int
    num_channels: int
    num_samples: int
    wav_bytes: int
    n1_bytes: int
    payloads: list[tuple[int, int]]

    def _headline(self) -> str:
        return (
            f"of {self.num_samples} samples of {counted(self.num_channels, 'channel')}, "
            f"{self.duration:.3f} s: ratio {self.ratio:.3f}"
        )

    def _table(self) -> tuple[list[str], list[list[str]]]:
        return [], [
            ["sampling frequency", f"{self.sampling_frequency} Hz"],
            ["WAV file", f"{self.wav_bytes / 1e6:.3f} MB"],
            [".n1 file", f"{self.n1_bytes / 1e6:.3f} MB"],
            ["payloads", str(len(self.payloads))],
        ]

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.num_samples / self.sampling_frequency

    @property
    def sample_bytes(self) -> int:
        """Bytes of the samples as int16."""
        return self.num_samples * self.num_channels * SAMPLE_DTYPE.itemsize

    @property
    def payload_bytes(self) -> int:
        """Bytes of all payloads."""
        return sum(size for _, size in self.payloads)

    @property
    def ratio(self) -> float:
        """Bytes of the WAV file over those of the `.n1` file."""
        return self.wav_bytes / self.n1_bytes

    @property
    def payload_ratio(self) -> float:
        """Bytes of the samples as int16 over those of the payloads; 0 without samples."""
        return self.sample_bytes / self.payload_bytes if self.payloads else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return all but the single payloads, for JSON."""
        return {
            "sampling_frequency": self.sampling_frequency,
            "num_channels": self.num_channels,
            "num_samples": self.num_samples,
            "duration_s": self.duration,
            "wav_bytes": self.wav_bytes,
            "n1_bytes": self.n1_bytes,
            "sample_bytes": self.sample_bytes,
            "payload_bytes": self.payload_bytes,
            "num_payloads": len(self.payloads),
            "ratio": self.ratio,
            "payload_ratio": self.payload_ratio,
        }


def encode_file(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    level: int = DEFAULT_LEVEL,
    widths: bytes | None = None,
    payload_samples: int | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> N1Info:
    """Compress a WAV file to a `.n1` file.

    Parameters
    ----------
    source : path-like
        A WAV file of 16-bit PCM with 1 to 1,024 channels.
    destination : path-like
        The `.n1` file, which appears when it is complete.
    level : int
        1 is fast, 2 the default, 3 the smallest.
    widths : bytes, optional
        A table of 1,024 code widths to use instead of the built-in one; the file keeps it.
    payload_samples : int, optional
        The most samples of each channel in a payload, which is encoded and decoded as a whole;
        by default 262,144, or fewer of many channels.
    overwrite : bool
        Whether to replace `destination`.
    workers : int, optional
        How many cores encode; by default all.
    progress : callable, optional
        Called with the bytes of samples done and to do.

    Raises
    ------
    N1StoreError
        If the source cannot be read or kept whole, or the destination cannot be written.
        Then, as after any other exception, `destination` is as it was.
    """
    source, destination = Path(source), Path(destination)
    check_options(level, widths, payload_samples)
    wav = open_wav(source)
    _check_destination(source, destination)
    with (
        replacing(destination, overwrite=overwrite) as temporary,
        temporary.open("wb") as file,
        Workers(workers) as encoders,
    ):
        return encode_wav(
            wav,
            file,
            level=level,
            widths=widths,
            payload_samples=payload_samples,
            workers=encoders,
            progress=progress,
        )


def decode_file(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> N1Info:
    """Restore the WAV file that a `.n1` file was made from.

    Parameters
    ----------
    source : path-like
        The `.n1` file.
    destination : path-like
        The WAV file, which appears when all checksums have been found right.
    overwrite, workers, progress
        As those of `encode_file`.

    Raises
    ------
    N1StoreError
        If the source is no `.n1` file, is damaged or of a newer version, or the destination
        cannot be written. Then, as after any other exception, `destination` is as it was.
    """
    source, destination = Path(source), Path(destination)
    with _open(source) as file:
        _check_destination(source, destination)
        with (
            replacing(destination, overwrite=overwrite) as temporary,
            temporary.open("wb") as wav,
            Workers(workers) as decoders,
        ):
            return decode_wav(file, wav, str(source), workers=decoders, progress=progress)


def read_n1_info(path: str | os.PathLike[str]) -> N1Info:
    """Read what a `.n1` file says of itself, without decoding it or checking its checksums.

    Raises
    ------
    N1StoreError
        If it is no `.n1` file, is cut off, or is otherwise not in order.
    """
    with _open(Path(path)) as file:
        reader = _Reader(file, str(path))
        front = _Front.read(reader)
        payloads = []
        for _, count, size, head in _payloads(reader, front):
            reader.skip(size - len(head))
            payloads.append((count, size))
        reader.skip(4)
        reader.expect_end()
        return front.info(reader.size, payloads)


def is_n1_file(path: Path) -> bool:
    """Tell whether a file begins as a `.n1` file does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def check_options(
    level: int, widths: bytes | None = None, payload_samples: int | None = None
) -> None:
    """Raise N1StoreError if an option of `encode_file` has no value that it can have."""
    if level not in LEVELS:
        raise N1StoreError(f"level is an integer from {LEVELS[0]} to {LEVELS[-1]}, not {level}")
    if widths is not None and len(widths) != NUM_CODES:
        raise N1StoreError(f"a table of code widths has {NUM_CODES} bytes, not {len(widths)}")
    if payload_samples is not None and payload_samples < 1:
        raise N1StoreError(f"a payload has room for 1 sample or more, not {payload_samples}")


def encode_wav(
    wav: WavFile,
    file: IO[bytes],
    *,
    level: int = DEFAULT_LEVEL,
    widths: bytes | None = None,
    payload_samples: int | None = None,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> N1Info:
    """Write an open WAV file as a `.n1` file to `file`; in this thread if without workers."""
    front = _Front(
        wav.sampling_frequency, wav.num_channels, wav.num_samples, wav.header, wav.trailer, widths
    )
    writer = _Writer(file)
    writer.write(front.to_bytes())
    if payload_samples is None:
        payload_samples = _default_payload_samples(wav)
    longest = min(payload_samples, front.max_payload_samples)
    calls = (
        (stop - start, partial(_encode, wav, start, stop, level, widths))
        for start, stop in _stretches(wav.num_samples, longest)
    )
    payloads: list[tuple[int, int]] = []
    done, total = 0, wav.num_samples * wav.frame_bytes
    if progress is not None:
        progress(0, total)
    for count, payload in _in_order(calls, workers):
        writer.write(_varint(len(payload)))
        writer.write(payload)
        payloads.append((count, len(payload)))
        done += count * wav.frame_bytes
        if progress is not None:
            progress(done, total)
    writer.write(writer.crc.to_bytes(4, "little"))
    return front.info(writer.size, payloads)


def decode_wav(
    file: IO[bytes],
    destination: IO[bytes],
    name: str,
    *,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> N1Info:
    """Write the WAV file that is in a seekable `.n1` file, which errors call `name`.

    What was written to `destination` is right only if no exception was raised.
    """
    reader = _Reader(file, name)
    front = _Front.read(reader)
    payloads: list[tuple[int, int]] = []
    done, total = 0, front.num_samples * front.frame_bytes
    if progress is not None:
        progress(0, total)

    def calls() -> Iterator[tuple[int, Callable[[], np.ndarray]]]:
        for first, count, size, head in _payloads(reader, front):
            payload = head + reader.read(size - len(head))
            payloads.append((count, size))
            yield count, partial(_decode, payload, front.widths, f"{name}: from sample {first} on")

    destination.write(front.header)
    for count, samples in _in_order(calls(), workers):
        destination.write(samples.data)
        done += count * front.frame_bytes
        if progress is not None:
            progress(done, total)
    destination.write(front.trailer)
    reader.check_crc()
    reader.expect_end()
    return front.info(reader.size, payloads)


def _in_order(
    calls: Iterable[tuple[Item, Callable[[], Any]]], workers: Workers | None
) -> Iterable[tuple[Item, Any]]:
    if workers is not None:
        return workers.in_order(calls)
    return ((item, call()) for item, call in calls)


def _encode(wav: WavFile, start: int, stop: int, level: int, widths: bytes | None) -> bytes:
    return n1_encode(wav.read(start, stop), level, widths)


def _decode(payload: bytes, widths: bytes | None, name: str) -> np.ndarray:
    with _named(name):
        return n1_decode(payload, widths)


def _default_payload_samples(wav: WavFile) -> int:
    """Return the most samples of each channel that a payload of a WAV file gets."""
    return max(_LEAST_PAYLOAD_SAMPLES, min(_PAYLOAD_SAMPLES, _PAYLOAD_VALUES // wav.num_channels))


def _stretches(num_samples: int, longest: int) -> Iterator[tuple[int, int]]:
    """Cut a file into stretches of time, as few as can be, of equal length but for the last."""
    if not num_samples:
        return
    length = math.ceil(num_samples / math.ceil(num_samples / longest))
    for start in range(0, num_samples, length):
        yield start, min(start + length, num_samples)


def _payloads(reader: _Reader, front: _Front) -> Iterator[tuple[int, int, int, bytes]]:
    """Walk over the payloads, leaving `reader` after the head of each.

    Yields
    ------
    first : int
        Number of its first sample.
    count, size : int
        Its samples of each channel, and its bytes.
    head : bytes
        The first of these bytes.
    """
    first = 0
    while first < front.num_samples:
        size = reader.read_size()
        head = reader.read(min(size, _PAYLOAD_HEAD_BYTES))
        with _named(f"{reader.name}: from sample {first} on"):
            info = n1_payload_info(head)
        count = info.shape[0]
        if (
            info.dtype != SAMPLE_DTYPE
            or info.shape != (count, front.num_channels)
            or not 1 <= count <= min(front.num_samples - first, front.max_payload_samples)
        ):
            raise reader.damaged(f"its payload from sample {first} on is none that fits it")
        yield first, count, size, head
        first += count


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say where the payload is that an error is about."""
    try:
        yield
    except N1StoreError as error:
        raise N1StoreError(f"{name}: {error}") from error


@dataclass(frozen=True)
class _Front:
    """All that precedes the payloads; `widths` is None for the built-in table."""

    sampling_frequency: int
    num_channels: int
    num_samples: int
    header: bytes
    trailer: bytes
    widths: bytes | None

    @property
    def frame_bytes(self) -> int:
        return SAMPLE_DTYPE.itemsize * self.num_channels

    @property
    def max_payload_samples(self) -> int:
        return _MAX_PAYLOAD_VALUES // self.num_channels

    def info(self, n1_bytes: int, payloads: list[tuple[int, int]]) -> N1Info:
        sample_bytes = self.num_samples * self.frame_bytes
        return N1Info(
            self.sampling_frequency,
            self.num_channels,
            self.num_samples,
            len(self.header) + sample_bytes + len(self.trailer),
            n1_bytes,
            payloads,
        )

    def to_bytes(self) -> bytes:
        shape = self.sampling_frequency, self.num_channels, self.num_samples
        parts = {
            _HEADER: None if self.header == canonical_header(*shape) else self.header,
            _TRAILER: self.trailer,
            _WIDTHS: self.widths,
        }
        present = {flag: content for flag, content in parts.items() if content}
        return b"".join(
            [
                _MAGIC,
                bytes([_VERSION, sum(present)]),
                *map(_varint, shape),
                *(_packed(content) for content in present.values()),
            ]
        )

    @classmethod
    def read(cls, reader: _Reader) -> _Front:
        reader.read_magic()
        flags = reader.read(1)[0]
        rate, num_channels, num_samples = (reader.read_varint() for _ in range(3))
        if (
            flags > _HEADER | _TRAILER | _WIDTHS
            or not 1 <= rate < 1 << 32
            or not 1 <= num_channels <= MAX_CHANNELS
            or num_samples * num_channels >= 1 << 61
        ):
            raise reader.damaged("what it says of its recording cannot be")
        if flags & _HEADER:
            header = reader.read_packed(MAX_EXTRA_BYTES)
        else:
            header = canonical_header(rate, num_channels, num_samples)
        trailer = reader.read_packed(MAX_EXTRA_BYTES) if flags & _TRAILER else b""
        widths = reader.read_packed(NUM_CODES) if flags & _WIDTHS else None
        if widths is not None and len(widths) != NUM_CODES:
            raise reader.damaged("its table of code widths is too short")
        return cls(rate, num_channels, num_samples, header, trailer, widths)


def _packed(content: bytes) -> bytes:
    deflated = zlib.compress(content, 9, wbits=-zlib.MAX_WBITS)
    return _varint(len(deflated)) + deflated


def _varint(value: int) -> bytes:
    """LEB128: 7 bits a byte, least significant first."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


class _Writer:
    """Counts what is written and keeps its CRC-32."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.size = 0
        self.crc = 0

    def write(self, content: bytes) -> None:
        self._file.write(content)
        self.size += len(content)
        self.crc = zlib.crc32(content, self.crc)


class _Reader:
    """Reads forwards, never more than is there, and keeps the CRC-32 of what was read."""

    def __init__(self, file: IO[bytes], name: str):
        self._file = file
        self.name = name
        self.size = self._left = file.seek(0, os.SEEK_END)
        self._crc = 0
        file.seek(0)

    def read(self, count: int) -> bytes:
        if count > self._left:
            raise self.damaged("it is cut off")
        try:
            content = self._file.read(count)
        except OSError as error:
            raise N1StoreError(f"{self.name}: cannot be read: {error.strerror}") from error
        if len(content) != count:
            raise N1StoreError(f"{self.name}: became shorter while it was read")
        self._left -= count
        self._crc = zlib.crc32(content, self._crc)
        return content

    def skip(self, count: int) -> None:
        if count > self._left:
            raise self.damaged("it is cut off")
        self._left -= count
        self._file.seek(count, os.SEEK_CUR)

    def read_magic(self) -> None:
        if self._left < len(_MAGIC) or self.read(len(_MAGIC)) != _MAGIC:
            raise N1StoreError(f"{self.name}: is not a .n1 file; n1store encode makes them")
        version = self.read(1)[0]
        if version > _VERSION:
            raise N1StoreError(
                f"{self.name}: is of version {version} of the .n1 format, and this n1store "
                f"reads {_VERSION}; update n1store"
            )
        if version != _VERSION:
            raise self.damaged(f"there is no version {version} of the format")

    def read_varint(self) -> int:
        value = 0
        for shift in range(0, 63, 7):
            byte = self.read(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise self.damaged("it holds a number that does not end")

    def read_size(self) -> int:
        size = self.read_varint()
        if size > _MAX_PART_BYTES:
            raise self.damaged(f"a part of {size} bytes is larger than any can be")
        return size

    def read_packed(self, max_bytes: int) -> bytes:
        """Inflate a part of at most `max_bytes`, and no further."""
        inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        try:
            content = inflater.decompress(self.read(self.read_size()), max_bytes + 1)
        except zlib.error:
            raise self.damaged("what it keeps beside the samples cannot be read") from None
        if not inflater.eof or inflater.unused_data or len(content) > max_bytes:
            raise self.damaged("what it keeps beside the samples is of the wrong length")
        return content

    def check_crc(self) -> None:
        """Read the CRC-32 of all that was read before it."""
        expected = self._crc
        if int.from_bytes(self.read(4), "little") != expected:
            raise self.damaged("its checksum is wrong")

    def expect_end(self) -> None:
        if self._left:
            raise self.damaged(f"{self._left} bytes follow its end")

    def damaged(self, reason: str) -> N1StoreError:
        return N1StoreError(f"{self.name}: is damaged: {reason}")


def _open(path: Path) -> IO[bytes]:
    try:
        # Before opening: a pipe would be waited for.
        if not stat.S_ISREG(path.stat().st_mode):
            raise N1StoreError(f"{path}: is not a regular file")
        return path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise N1StoreError(f"{path}: cannot be opened: {reason}") from error


def _check_destination(source: Path, destination: Path) -> None:
    """Refuse to put a file in the place of its source."""
    if destination.exists() and destination.samefile(source):
        raise N1StoreError(f"{destination}: is the source itself; choose another name")
