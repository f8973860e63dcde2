"""WAV files made and read independently of the package: byte by byte, right or wrong as asked."""

import struct
from pathlib import Path

import numpy as np
import soundfile

N1_DATA = Path(__file__).resolve().parents[2] / "../shared/n1-data"

PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")
FLOAT_GUID = bytes.fromhex("0300000000001000800000aa00389b71")
IN_DS64 = 0xFFFFFFFF


def chunk(name, content=b"", *, size=None, pad=b"\0"):
    """Return a chunk; `pad` follows content of odd length, and `size` may be a lie."""
    size = len(content) if size is None else size
    return struct.pack("<4sI", name, size) + content + (pad if len(content) % 2 else b"")


def fmt(channels=1, rate=19531, *, tag=1, bits=16, block=None, byte_rate=None, extra=b""):
    """Return a fmt chunk of 16 bytes and `extra`."""
    block = channels * bits // 8 if block is None else block
    byte_rate = rate * block & 0xFFFFFFFF if byte_rate is None else byte_rate
    fields = struct.pack("<HHIIHH", tag, channels, rate, byte_rate, block, bits)
    return chunk(b"fmt ", fields + extra)


def extensible_fmt(channels=1, rate=19531, *, guid=PCM_GUID, bits=16, **fields):
    """Return a fmt chunk of 40 bytes, WAVE_FORMAT_EXTENSIBLE."""
    extra = struct.pack("<HHI16s", 22, bits, 0, guid)
    return fmt(channels, rate, tag=0xFFFE, bits=bits, extra=extra, **fields)


def ds64(data_size, *, riff_size=0, num_samples=0):
    """Return the chunk that holds the sizes of an RF64 or BW64 file."""
    return chunk(b"ds64", struct.pack("<QQQI", riff_size, data_size, num_samples, 0))


def data(samples, *, size=None):
    """Return a data chunk with the samples, an array or bytes."""
    content = samples if isinstance(samples, bytes) else samples.astype("<i2").tobytes()
    return chunk(b"data", content, size=size)


def wav(*chunks, container=b"RIFF", form=b"WAVE", size=None):
    """Return a file of these chunks."""
    body = form + b"".join(chunks)
    if size is None:
        size = len(body) if container == b"RIFF" else IN_DS64
    return struct.pack("<4sI", container, size) + body


def rf64(samples, *, channels=1, rate=19531, container=b"RF64", before=b"", after=b""):
    """Return a file whose sizes are in a ds64 chunk."""
    start = ds64(samples.nbytes, num_samples=len(samples)) + fmt(channels, rate)
    content = data(samples, size=IN_DS64)
    return wav(start, before, content, after, container=container)


def noise(num_samples, channels=1, seed=0):
    """Return int16 samples of all values, shape (num_samples, channels)."""
    values = np.random.default_rng(seed).integers(-32768, 32768, (num_samples, channels))
    return values.astype("<i2")


def on_grid(num_samples, channels=1, seed=0):
    """Return noise of an electrode's colour with the values of a 10-bit converter."""
    random = np.random.default_rng(seed)
    slow = np.cumsum(random.normal(0, 3, (num_samples, channels)), axis=0)
    drift = np.linspace(0, 1, max(num_samples, 1))[:num_samples, None] * slow[-1:]
    codes = np.clip(np.rint(slow - drift + random.normal(0, 8, slow.shape)), -512, 511)
    return np.trunc((codes + 0.5) * (65535 / 1023) - 0.5).astype("<i2")


def neural_recordings(count, num_samples=None):
    """Return up to `count` real recordings, cut to `num_samples`; made-up ones without any."""
    paths = sorted(N1_DATA.glob("*.wav"))[:count]
    if not paths:
        return [on_grid(num_samples or 98_567, seed=seed) for seed in range(count)]
    stop = -1 if num_samples is None else num_samples
    return [soundfile.read(path, stop, dtype="int16", always_2d=True)[0] for path in paths]


def write_wav(path, samples, rate=19531, **options):
    """Write samples with soundfile; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16", **options)
    return path


def read_wav_independently(path):
    """Return samples, one column for each channel, and sampling rate, as soundfile reads them."""
    return soundfile.read(path, dtype="int16", always_2d=True)
