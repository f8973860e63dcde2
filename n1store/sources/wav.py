"""WAV files in and out, to the byte.

A file is taken apart into header, samples and trailer: the samples are one contiguous run
of little-endian int16 frames, everything before and after them is kept as it is. Putting
the three together again gives the file back, whatever else it holds.

Formats: RIFF/WAVE (IBM and Microsoft 1991), WAVE_FORMAT_EXTENSIBLE (Microsoft 2001), and
RF64 and BW64 for more than 4 GB (EBU Tech 3306, ITU-R BS.2088).
"""

import os
import stat
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from itertools import pairwise
from pathlib import Path

import numpy as np

from n1store.errors import N1StoreError
from n1store.recording import LazyTraces, Positions, Recording, Samples
from n1store.system.atomic import replacing
from n1store.system.unchanged import Version, version_of

MAX_CHANNELS = 1024
SAMPLE_DTYPE = np.dtype("<i2")

# More than this around the samples is no metadata but a sign of a damaged file.
MAX_EXTRA_BYTES = 16 * 1024 * 1024

# More than this after the samples that is no chunk is likely to be samples.
_MAX_UNKNOWN_BYTES = 4096

_PCM, _EXTENSIBLE = 0x0001, 0xFFFE
_SUBFORMAT_OF_TAG = bytes.fromhex("00000000 1000 8000 00aa00389b71")  # after the tag itself
_FORMAT_NAMES = {0x0003: "floating-point", 0x0006: "A-law", 0x0007: "mu-law", 0x0002: "ADPCM"}
_CONTAINERS = (b"RIFF", b"RF64", b"BW64")
_SIZE_IN_DS64 = 0xFFFFFFFF


class WavError(N1StoreError):
    """A file that is not a WAV file that n1store can keep without loss."""

    def __init__(self, path: str | os.PathLike[str], problem: str):
        super().__init__(f"{os.fspath(path)}: {problem}")


@dataclass(frozen=True)
class WavFile:
    """A WAV file, taken apart but for its samples, which `read` fetches.

    Attributes
    ----------
    path : Path
    sampling_frequency : int
        Hz.
    num_channels, num_samples : int
        `num_samples` counts each channel's.
    header, trailer : bytes
        All that precedes and follows the samples.
    version : Version
        Of the file when it was opened.
    """

    path: Path
    sampling_frequency: int
    num_channels: int
    num_samples: int
    header: bytes
    trailer: bytes
    version: Version

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return SAMPLE_DTYPE.itemsize * self.num_channels

    def read(self, start: int, stop: int) -> Samples:
        """Read samples `start` to `stop`, which must be there, of all channels.

        Returns
        -------
        ndarray of int16, shape (stop - start, num_channels)

        Raises
        ------
        WavError
            If the file cannot be read or is not as it was when it was opened.
        """
        block = np.empty((stop - start, self.num_channels), SAMPLE_DTYPE)
        if not block.size:
            return block
        with _open(self.path) as file:
            try:
                file.seek(len(self.header) + start * self.frame_bytes)
                count = file.readinto(block.data)
            except OSError as error:
                raise WavError(self.path, f"cannot be read: {error.strerror}") from error
            if count != block.nbytes:
                raise WavError(self.path, "became shorter while it was read")
            self._check_version(file)
        return block

    def check_unchanged(self) -> None:
        """Raise WavError if the file is not the one any more that was opened."""
        with _open(self.path) as file:
            self._check_version(file)

    def _check_version(self, file: BufferedReader) -> None:
        if version_of(os.fstat(file.fileno())) != self.version:
            raise WavError(self.path, "was changed or replaced while it was read")


class WavTraces(LazyTraces):
    """The samples of a WAV file."""

    def __init__(self, wav: WavFile):
        self._wav = wav
        self.shape = (wav.num_samples, wav.num_channels)

    def _read(self, rows: Positions, columns: Positions) -> Samples:
        picked = slice(columns.start, columns.stop) if isinstance(columns, range) else columns
        if isinstance(rows, range):
            return self._wav.read(rows.start, rows.stop)[:, picked]
        samples = np.empty((len(rows), len(columns)), SAMPLE_DTYPE)
        # Those that are near each other are read at once, and what lies between them.
        borders = [0, *(np.flatnonzero(np.diff(rows) > _NEAR) + 1).tolist(), len(rows)]
        for begin, end in pairwise(borders):
            near = rows[begin:end]
            read = self._wav.read(int(near[0]), int(near[-1]) + 1)
            samples[begin:end] = read[near - near[0]][:, picked]
        return samples


_NEAR = 1024


def read_wav(path: str | os.PathLike[str]) -> Recording:
    """Open a WAV file as a `Recording` that reads its samples when asked.

    Parameters
    ----------
    path : path-like
        A file of 16-bit PCM with 1 to 1,024 channels: RIFF, WAVE_FORMAT_EXTENSIBLE, RF64.

    Raises
    ------
    WavError
        If it is anything else, or is damaged.
    """
    wav = open_wav(path)
    return Recording(
        name=wav.path.stem,
        traces=WavTraces(wav),
        sampling_frequency=float(wav.sampling_frequency),
        channel_ids=default_channel_ids(wav.num_channels),
    )


def default_channel_ids(num_channels: int) -> tuple[str, ...]:
    """Name channels by number, as WAV files give them no names."""
    return tuple(str(channel) for channel in range(num_channels))


def is_wav(path: Path) -> bool:
    """Return whether a file is called .wav, or begins as a WAV file does."""
    if path.is_dir():
        return False
    if path.suffix.lower() == ".wav":
        return True
    if not path.is_file():
        return False
    with _open(path) as file:
        return file.read(4) in (*_CONTAINERS, b"RIFX")


def open_wav(path: str | os.PathLike[str]) -> WavFile:
    """Take a WAV file apart, reading all but its samples.

    Raises
    ------
    WavError
        If it is no 16-bit PCM WAV file of 1 to 1,024 channels, or does not hold all that
        its header says.
    """
    path = Path(path)
    with _open(path) as file:
        try:
            return _parse(path, file, os.fstat(file.fileno()))
        except OSError as error:
            raise WavError(path, f"cannot be read: {error.strerror}") from error


def _open(path: Path) -> BufferedReader:
    try:
        # Before opening: a pipe would be waited for.
        if not stat.S_ISREG(path.stat().st_mode):
            raise WavError(path, "is not a regular file")
        return path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WavError(path, f"cannot be opened: {reason}") from error


def _parse(path: Path, file: BufferedReader, status: os.stat_result) -> WavFile:
    file_size = status.st_size
    container, riff_size, form = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
    if container == b"RIFX":
        raise WavError(path, "is a big-endian WAV file (RIFX); convert it to RIFF first")
    if container not in _CONTAINERS or form != b"WAVE":
        raise WavError(path, "is not a WAV file" if file_size else "is empty, not a WAV file")

    sampling_frequency = num_channels = 0
    size_in_ds64 = _SIZE_IN_DS64
    file_bytes = 8 + riff_size if container == b"RIFF" else 0
    for name, size, start in _chunks(file, 12, file_size):
        if name == b"data":
            if size == _SIZE_IN_DS64:
                size = size_in_ds64
            break
        if start > MAX_EXTRA_BYTES:
            raise WavError(path, "has no samples within its first 16 MiB")
        if start + size > file_size:
            raise WavError(path, f"is cut off inside its {_show(name)} chunk")
        if name == b"ds64":
            riff_size, size_in_ds64 = _parse_ds64(path, file.read(min(size, 28)))
            file_bytes = 8 + riff_size
        elif name == b"fmt ":
            sampling_frequency, num_channels = _parse_fmt(path, file.read(min(size, 40)))
    else:
        raise WavError(path, "holds no data chunk, hence no samples")

    if not num_channels:
        raise WavError(path, "has no fmt chunk before its samples")
    if size == _SIZE_IN_DS64 and size_in_ds64 == _SIZE_IN_DS64:
        raise WavError(path, "does not say how many samples it holds: repair its header first")
    if start + size > file_size:
        raise WavError(
            path,
            f"is truncated: its header counts {size} bytes of samples, "
            f"the file holds {file_size - start}",
        )
    frame_bytes = SAMPLE_DTYPE.itemsize * num_channels
    if size % frame_bytes:
        raise WavError(path, f"is truncated: {size} bytes are no whole number of samples")
    # A byte of grace: some writers count the padding of the last chunk but leave it out.
    if file_bytes > file_size + 1:
        raise WavError(
            path,
            f"its header counts {file_bytes} bytes, the file holds {file_size}: its samples are "
            "all there, but what followed them is not, or the header is wrong; fetch the file "
            "anew or repair its header",
        )
    if start > MAX_EXTRA_BYTES:
        raise WavError(path, f"has {start} bytes before its samples; 16 MiB are kept at most")
    file.seek(0)
    header = file.read(start)
    return WavFile(
        path=path,
        sampling_frequency=sampling_frequency,
        num_channels=num_channels,
        num_samples=size // frame_bytes,
        header=header,
        trailer=_read_trailer(path, file, start + size, size, file_size),
        version=version_of(status),
    )


def _chunks(file: BufferedReader, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Walk over (name, size, start of content), leaving `file` at the content."""
    while position + 8 <= end:
        file.seek(position)
        name, size = struct.unpack("<4sI", file.read(8))
        yield name, size, position + 8
        position += 8 + size
        if size % 2:
            # The standard pads odd chunks; some writers do not.
            file.seek(position)
            if file.read(4) not in (b"data", b"fmt "):
                position += 1


def _parse_ds64(path: Path, content: bytes) -> tuple[int, int]:
    if len(content) < 28:
        raise WavError(path, "has a ds64 chunk that is too short")
    riff_size, data_size, _ = struct.unpack_from("<QQQ", content)
    return riff_size, data_size


def _parse_fmt(path: Path, content: bytes) -> tuple[int, int]:
    if len(content) < 16:
        raise WavError(path, "has a fmt chunk that is too short")
    tag, num_channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", content)
    if tag == _EXTENSIBLE and content[26:40] == _SUBFORMAT_OF_TAG:
        tag = content[24] | content[25] << 8
    if tag != _PCM or bits != 16:
        kind = "PCM" if tag == _PCM else _FORMAT_NAMES.get(tag, f"format {tag:#06x}")
        raise WavError(path, f"holds {bits}-bit {kind} samples; n1store takes 16-bit PCM")
    if not 1 <= num_channels <= MAX_CHANNELS:
        raise WavError(path, f"has {num_channels} channels; n1store takes 1 to {MAX_CHANNELS}")
    if frame_bytes != SAMPLE_DTYPE.itemsize * num_channels:
        raise WavError(path, f"says that {num_channels} channels take {frame_bytes} bytes")
    if not rate:
        raise WavError(path, "has a sampling frequency of 0 Hz")
    return rate, num_channels


def _read_trailer(
    path: Path, file: BufferedReader, start: int, data_size: int, file_size: int
) -> bytes:
    length = file_size - start
    if length > MAX_EXTRA_BYTES:
        raise _unfinished(path, length)
    for name, size, position in _chunks(file, start, file_size):
        if name == b"data":
            raise WavError(path, "holds a second data chunk; split it into two files")
        is_chunk = name.isascii() and name.decode().isprintable() and position + size <= file_size
        if not is_chunk and length > min(data_size, _MAX_UNKNOWN_BYTES):
            raise _unfinished(path, length)
    file.seek(start)
    return file.read(length)


def _unfinished(path: Path, length: int) -> WavError:
    return WavError(
        path,
        f"has {length} bytes after the samples that its header counts: "
        "the header was probably never completed; repair it first",
    )


def _show(name: bytes) -> str:
    return repr(name.decode("latin-1"))


def canonical_header(sampling_frequency: int, num_channels: int, num_samples: int) -> bytes:
    """Return the header that most files have: 44 bytes, or 80 with the RF64 sizes."""
    frame_bytes = SAMPLE_DTYPE.itemsize * num_channels
    data_size = frame_bytes * num_samples
    fmt = struct.pack(
        "<4sIHHIIHH",
        *(b"fmt ", 16, _PCM, num_channels, sampling_frequency),
        *(sampling_frequency * frame_bytes & 0xFFFFFFFF, frame_bytes, 16),
    )
    if 36 + data_size < _SIZE_IN_DS64:
        riff = struct.pack("<4sI4s", b"RIFF", 36 + data_size, b"WAVE")
        return riff + fmt + struct.pack("<4sI", b"data", data_size)
    riff = struct.pack("<4sI4s", b"RF64", _SIZE_IN_DS64, b"WAVE")
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, 72 + data_size, data_size, num_samples, 0)
    return riff + ds64 + fmt + struct.pack("<4sI", b"data", _SIZE_IN_DS64)


def write_wav(
    path: str | os.PathLike[str],
    blocks: Iterable[np.ndarray],
    *,
    sampling_frequency: int,
    num_channels: int,
    num_samples: int,
    overwrite: bool = False,
) -> None:
    """Write a WAV file with the canonical header, block by block.

    Parameters
    ----------
    path : path-like
    blocks : iterable of ndarray of int16, shape (any, num_channels)
        `num_samples` samples of each channel in all.
    sampling_frequency : int
        Hz.
    num_channels, num_samples : int
    overwrite : bool
        Whether to replace a file that exists.
    """
    written = 0
    with replacing(Path(path), overwrite=overwrite) as temporary, temporary.open("wb") as file:
        file.write(canonical_header(sampling_frequency, num_channels, num_samples))
        for block in blocks:
            file.write(np.ascontiguousarray(block, SAMPLE_DTYPE).data)
            written += len(block)
        if written != num_samples:
            raise ValueError(f"{written} samples were given for {num_samples}")
