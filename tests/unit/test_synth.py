"""Synthetic recordings are what they are said to be, and compress as real ones do."""

import numpy as np
import pytest
import soundfile
from numcodecs import Blosc, Zstd

from installed import REAL_RECORDINGS, needs_wavpack
from n1store.errors import N1StoreError
from n1store.implant.synth import synthesize, synthesize_blocks

# int16 bytes / compressed bytes of 84 of Neuralink's recordings (98,623 to 99,310 samples each),
# measured by `ratio` below: on the codes, and on the samples as they are.
REAL_RATIOS = {
    "wavpack": (3.228, 1.464),
    "zstd": (2.165, 1.956),
    "blosc": (2.225, 2.161),
    "blosc, bits shuffled": (2.699, 2.052),
}


def wavpack(chunk):
    from wavpack_numcodecs.wavpack import WavPack

    return WavPack(level=1).encode(chunk)


# Encoder, and samples a chunk: one second. Blosc shuffles the bits of chunks only whose length is
# a multiple of 8, so it comes twice.
CODECS = {
    "wavpack": (wavpack, 19531),
    "zstd": (Zstd(level=3).encode, 19531),
    "blosc": (Blosc("zstd", clevel=5, shuffle=Blosc.BITSHUFFLE).encode, 19531),
    "blosc, bits shuffled": (Blosc("zstd", clevel=5, shuffle=Blosc.BITSHUFFLE).encode, 19528),
}


def recording(*args, **kwargs):
    return np.concatenate(list(synthesize_blocks(*args, **kwargs)))


def on_grid(code):
    numerator = (2 * code.astype(np.int64) + 1) * 65535 - 1023
    return np.sign(numerator) * (np.abs(numerator) // 2046)


def ratio(recordings, codec):
    encode, length = CODECS[codec]
    compressed = sum(
        len(encode(np.ascontiguousarray(samples[start : start + length]).reshape(-1, 1)))
        for samples in recordings
        for start in range(0, len(samples), length)
    )
    return sum(samples.nbytes for samples in recordings) / compressed


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return synthesize(tmp_path_factory.mktemp("synthetic"), num_recordings=24)


@pytest.fixture(scope="module")
def real():
    return [soundfile.read(path, dtype="int16")[0] for path in REAL_RECORDINGS.glob("*.wav")]


def test_same_seed_same_recording():
    first = recording(2, num_channels=2, seed=7)
    assert np.array_equal(first, recording(2, num_channels=2, seed=7))
    assert not np.array_equal(first, recording(2, num_channels=2, seed=8))


def test_channel_does_not_depend_on_others():
    assert np.array_equal(recording(2, num_channels=3)[:, :1], recording(2))


def test_channels_differ():
    first, second = recording(1, num_channels=2).T
    assert np.mean(first == second) < 0.1


def test_blocks():
    blocks = list(synthesize_blocks(4.5, num_channels=3, sampling_frequency=20000))
    assert len(blocks) > 2
    assert len({len(block) for block in blocks[:-1]}) == 1
    assert sum(len(block) for block in blocks) == 90000
    for block in blocks:
        assert block.dtype == np.int16
        assert block.shape[1] == 3
        assert block.flags.c_contiguous


@pytest.mark.parametrize("artefacts", [False, True])
def test_every_sample_is_on_the_grid(artefacts):
    samples = recording(5, num_channels=8, artefacts=artefacts)
    code = samples >> 6
    assert not artefacts or (code.min(), code.max()) == (-512, 511)
    assert np.array_equal(on_grid(code), samples)


def test_code_widths_are_those_of_the_implant():
    code = recording(5, num_channels=64) >> 6
    count = np.bincount(code.ravel() + 512, minlength=1024)[512 - 10 : 512 + 25]
    by_code = dict(zip(range(-10, 25), count, strict=True))
    assert by_code[-1] < 0.001 * by_code[0]
    for wide in (-9, -5, 7, 23):
        assert by_code[wide] > 1.3 * by_code[wide + 1]


@pytest.mark.slow
def test_no_discontinuity_between_blocks():
    blocks = list(synthesize_blocks(15, num_channels=64, seed=1))
    step = np.diff(np.concatenate(blocks).astype(float), axis=0)
    step /= step.std(axis=0)
    starts = np.cumsum([len(block) for block in blocks[:-1]])
    assert 0.9 < step[starts - 1].std() < 1.1
    # The first samples of a block are where two pieces fade into one another.
    faded = np.concatenate([step[start : start + 4096] for start in starts])
    assert 0.98 < faded.std() < 1.02


def test_files_hold_the_blocks(tmp_path):
    paths = synthesize(tmp_path / "new", 2, 1.7, num_channels=3, sampling_frequency=30000, seed=5)
    assert [path.name for path in paths] == ["synth-000.wav", "synth-001.wav"]
    for index, path in enumerate(paths):
        samples, rate = soundfile.read(path, dtype="int16")
        assert rate == 30000
        assert samples.shape == (51000, 3)
        assert path.stat().st_size == 44 + samples.nbytes
        assert np.array_equal(samples, recording(1.7, 3, 30000, seed=(5, index)))


def test_files_are_not_overwritten_unasked(tmp_path):
    (tmp_path / "synth-001.wav").write_bytes(b"precious")
    with pytest.raises(N1StoreError, match="exists already"):
        synthesize(tmp_path, 2, 0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["synth-001.wav"]
    synthesize(tmp_path, 2, 0.1, overwrite=True)
    assert (tmp_path / "synth-001.wav").read_bytes()[:4] == b"RIFF"


def test_some_recordings_are_clipped(paths):
    clipped = 0
    for path in paths:
        code = soundfile.read(path, dtype="int16")[0] >> 6
        clipped += np.mean((code == -512) | (code == 511)) > 0.001
    assert clipped == len(paths) // 10


@pytest.mark.parametrize(
    "arguments",
    [
        {"seconds": 0},
        {"seconds": 1e-9},
        {"seconds": -1},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"num_channels": 0},
        {"num_channels": 1025},
        {"sampling_frequency": 0},
        {"sampling_frequency": -19531},
        {"sampling_frequency": 10**9},
    ],
)
def test_invalid_arguments(tmp_path, arguments):
    name = next(iter(arguments))
    with pytest.raises(N1StoreError, match=f"^{name} .*not {arguments[name]}"):
        synthesize_blocks(**({"seconds": 1} | arguments))
    with pytest.raises(N1StoreError, match=f"^{name} .*not {arguments[name]}"):
        synthesize(tmp_path / "none", **arguments)
    assert not (tmp_path / "none").exists()


def test_no_recordings_is_invalid(tmp_path):
    with pytest.raises(N1StoreError, match="num_recordings"):
        synthesize(tmp_path, num_recordings=0)


@pytest.mark.long
@pytest.mark.parametrize(
    "codec",
    [pytest.param(name, marks=needs_wavpack if name == "wavpack" else ()) for name in CODECS],
)
def test_ratios_match_real_recordings(paths, real, codec):
    synthetic = [soundfile.read(path, dtype="int16")[0] for path in paths]
    expected = REAL_RATIOS[codec]
    if real:
        expected = (ratio([samples >> 6 for samples in real], codec), ratio(real, codec))
    assert ratio([samples >> 6 for samples in synthetic], codec) == pytest.approx(expected[0], 0.1)
    assert ratio(synthetic, codec) == pytest.approx(expected[1], 0.1)
