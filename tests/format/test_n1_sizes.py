"""Payloads of `n1` beside what WavPack, FLAC and pcodec make of the same chunk of 1 s.

The rivals are given the codes of `adc` and the samples themselves, at their smallest settings,
and the smallest result of all counts.
"""

import io
from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest
import soundfile

from cases import case
from installed import HAS_WAVPACK
from make_wav import read_wav_independently
from n1store.codecs import native

needs_pcodec = pytest.mark.skipif(find_spec("pcodec") is None, reason="pcodec is not installed")

NUM_SAMPLES = 19531


def wavpack(values):
    from n1store.codecs.library.wavpack import WavPack

    return len(WavPack(level=4).encode(values.reshape(-1, 1)))


def flac(values):
    file = io.BytesIO()
    soundfile.write(file, values, 19531, format="FLAC", subtype="PCM_16", compression_level=1.0)
    return file.getbuffer().nbytes


def pco(values):
    import pcodec

    config = pcodec.ChunkConfig(compression_level=12)
    return len(pcodec.standalone.simple_compress(values, config))


RIVALS = [flac, pco, *([wavpack] if HAS_WAVPACK else [])]


def on_grid(codes):
    return native.adc_decode(np.clip(codes, -512, 511).astype("<i2"))


def spiky(codes, rng):
    """Add spikes of one to three samples at full scale, one in 500 samples."""
    spikes = rng.random(len(codes)) < 1 / 500
    for _ in range(2):
        spikes[1:] |= spikes[:-1] & (rng.random(len(codes) - 1) < 0.5)
    return on_grid(np.where(spikes, rng.choice([-512, 511], len(codes)), codes))


def mixed(codes, *pieces):
    """Replace the end of a recording, as much as it has itself for each piece."""
    length = len(codes) // (1 + len(pieces))
    parts = [on_grid(codes)[: len(codes) - length * len(pieces)]]
    return np.concatenate([*parts, *(piece[:length].astype("<i2") for piece in pieces)])


# From the codes of a recording of 1 s to a chunk.
SIGNALS = {
    "recording": lambda codes, rng: on_grid(codes),
    "silent": lambda codes, rng: np.zeros_like(codes),
    "constant": lambda codes, rng: np.full_like(codes, 12345),
    "one code": lambda codes, rng: on_grid(np.full_like(codes, 7)),
    "clipped": lambda codes, rng: on_grid(codes.astype(int) * 12),
    "mostly clipped": lambda codes, rng: on_grid(codes.astype(int) * 100),
    "square": lambda codes, rng: on_grid(np.where(np.arange(len(codes)) // 300 % 2, -512, 511)),
    "spiky": spiky,
    "spikes on silence": lambda codes, rng: spiky(np.zeros_like(codes), rng),
    "recording, then silence": lambda codes, rng: mixed(codes, np.zeros_like(codes)),
    "recording, then full scale": lambda codes, rng: mixed(codes, np.full_like(codes, 32767)),
    "recording, silence, louder": lambda codes, rng: mixed(
        codes, np.zeros_like(codes), on_grid(codes.astype(int) * 5)
    ),
    "half off the grid": lambda codes, rng: mixed(codes, codes[::-1] * 3),
    "half noise": lambda codes, rng: mixed(codes, rng.integers(-32768, 32768, len(codes))),
    "off the grid": lambda codes, rng: codes,
    "steps": lambda codes, rng: codes * 12 + 7,
}


@pytest.mark.long
@needs_pcodec
@pytest.mark.parametrize("signal", SIGNALS)
def test_no_rival_is_smaller(recordings, signal):
    paths = sorted(recordings.glob("*.wav"))
    assert paths
    for index, path in enumerate(paths):
        samples, _ = read_wav_independently(path)
        codes = (samples[NUM_SAMPLES : 2 * NUM_SAMPLES, 0] >> 6).astype("<i2")
        chunk = np.ascontiguousarray(SIGNALS[signal](codes, np.random.default_rng(index)))
        sizes = {
            f"{rival.__name__} of {name}": rival(values)
            for rival in RIVALS
            for name, values in {"samples": chunk, "codes": native.adc_encode(chunk)}.items()
        }
        best = min(sizes, key=sizes.__getitem__)
        for level in (2, 3):
            size = len(native.n1_encode(chunk, level))
            with case(path.name, f"level {level}"):
                assert size <= sizes[best], f"{size} bytes; {best}: {sizes[best]}"


@pytest.mark.parametrize("dtype", ["<i2", "<u2", "i1", "u1"])
def test_noise_costs_next_to_nothing(dtype):
    for shape, level in product(
        [(1,), (100,), (19531,), (300_000,), (19531, 4), (30, 384)], [1, 2, 3]
    ):
        with case(shape, level):
            limits = np.iinfo(dtype)
            rng = np.random.default_rng(0)
            samples = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
            assert len(native.n1_encode(samples, level)) <= samples.nbytes * 1.001 + 16


# Noise of fewer bits is no larger than those bits, whatever place they have among the 16.
@pytest.mark.parametrize("level", [1, 2, 3])
def test_noise_of_few_bits_costs_no_more_than_they(level):
    for bits in range(1, 16):
        with case(bits):
            noise = np.random.default_rng(bits).integers(0, 1 << bits, NUM_SAMPLES).astype("<u2")
            for samples in (
                noise,
                noise + np.uint16(4321),
                noise << 16 - bits,
                (noise >> 1).view("<i2"),
            ):
                assert len(native.n1_encode(samples, level)) <= NUM_SAMPLES * bits / 8 * 1.001 + 32


# What changes its nature takes about what its pieces take: blocks are as short as it needs.
@pytest.mark.parametrize("level", [1, 2, 3])
def test_pieces_of_different_kinds_cost_what_they_do_alone(level):
    rng = np.random.default_rng(0)
    length = 5 * 4096
    pieces = [
        np.cumsum(rng.normal(0, 30, length)).astype("<i2"),
        rng.choice(np.array([-9000, 17, 12000], "<i2"), length),
        rng.integers(-100, 100, length).astype("<i2") * 40,
    ]
    alone = sum(len(native.n1_encode(piece, level)) for piece in pieces)
    assert len(native.n1_encode(np.concatenate(pieces), level)) <= alone * 1.03


# Two channels that have noise in common are smaller together, however little their waves are alike:
# where a lane begins, low orders leave much of a wave, which says nothing of the noise.
@pytest.mark.parametrize("num_samples", [2500, 5000, 15_000])
def test_noise_in_common_is_found_under_waves(num_samples):
    rng = np.random.default_rng(5)
    common, time = rng.normal(0, 20, num_samples), np.arange(num_samples)
    samples = np.stack(
        [
            2000 * np.sin(time * frequency) + share * common + rng.normal(0, 6, num_samples)
            for frequency, share in [(0.011, 1), (0.0137, 0.8)]
        ],
        axis=1,
    )
    samples = samples.round().astype("<i2")
    alone = sum(len(native.n1_encode(samples[:, channel].copy(), 2)) for channel in (0, 1))
    assert len(native.n1_encode(samples, 2)) <= alone * 0.95
