"""Windows of some channels are read from stores of `n1` at the price of these channels."""

import os

import numpy as np
import pytest

import n1store
from installed import ZARR_FORMATS
from make_wav import write_wav
from n1store.errors import N1StoreError

RATE = 1000
CHANNELS = 40


def samples(num_channels=CHANNELS, num_samples=6500):
    steps = np.random.default_rng(num_channels).normal(0, 3, (num_samples, num_channels))
    return (64 * np.clip(np.cumsum(steps, axis=0), -400, 400).round()).astype("<i2")


SAMPLES = samples()
KINDS = [
    pytest.param((".zarr", {"zarr_format": each}), id=f"format{each}") for each in ZARR_FORMATS
] + [
    pytest.param((".zarr.zip", {}), id="zip"),
    pytest.param((".nwb", {}), id="nwb"),
    pytest.param((".zarr", {"chunk_seconds": 3, "chunk_channels": 24}), id="chunks"),
    pytest.param((".nwb", {"block_seconds": 0.4}), id="blocks"),
]


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    path = tmp_path_factory.mktemp("parts") / "a.wav"
    write_wav(path, SAMPLES, RATE)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_any_window_of_any_channels(wav, tmp_path, kind):
    suffix, options = kind
    path = tmp_path / f"a{suffix}"
    n1store.convert(wav, path, **options)
    assert not n1store.verify(path, [wav]).problems
    rng = np.random.default_rng(0)
    with n1store.open(path) as store:
        traces = store["a"].traces
        for _ in range(60):
            start, stop = np.sort(rng.integers(0, len(SAMPLES), 2)).tolist()
            some = rng.integers(0, CHANNELS, 4)
            channels = [slice(None), 3, slice(5, 30, 7), some, [39, 0]][rng.integers(5)]
            for rows in (slice(start, stop), start, rng.integers(0, len(SAMPLES), 3)):
                expected = SAMPLES[rows][..., channels]
                np.testing.assert_array_equal(traces[rows, channels], expected)


@pytest.fixture
def reads(monkeypatch):
    """Give the list of how many bytes are read of files."""
    counts = []
    pread = os.pread

    def counted(descriptor, length, start):
        content = pread(descriptor, length, start)
        counts.append(len(content))
        return content

    monkeypatch.setattr(os, "pread", counted)
    return counts


def test_one_channel_reads_few_bytes(wav, tmp_path, reads):
    path = tmp_path / "a.zarr"
    n1store.convert(wav, path, shard_seconds=0, chunk_seconds=6.5)
    with n1store.open(path) as store:
        traces = store["a"].traces
        reads.clear()
        np.testing.assert_array_equal(traces[:, 7], SAMPLES[:, 7])
        one = sum(reads)
        reads.clear()
        np.testing.assert_array_equal(traces[:], SAMPLES)
    assert one < sum(reads) / 8


@pytest.mark.parametrize("suffix", [".zarr", ".zarr.zip", ".nwb"])
def test_a_system_may_read_less_than_it_is_asked_for(wav, tmp_path, monkeypatch, suffix):
    n1store.convert(wav, tmp_path / f"a{suffix}")
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda file, *place: pread(file, min(place[0], 999), place[1]))
    with n1store.open(tmp_path / f"a{suffix}") as store:
        np.testing.assert_array_equal(store["a"].traces[:, 7], SAMPLES[:, 7])
        np.testing.assert_array_equal(store["a"].traces[:], SAMPLES)


@pytest.mark.parametrize("channels", [7, slice(None)])
def test_a_file_that_shrinks_while_it_is_read(wav, tmp_path, channels):
    path = tmp_path / "a.zarr"
    n1store.convert(wav, path)
    # A shard has all chunks; where there are none, the last chunk's file.
    files = (each for each in (path / "recordings/a").rglob("*") if each.name.endswith("0"))
    last = max(files, key=lambda each: each.name)
    with n1store.open(path) as store:
        traces = store["a"].traces
        np.testing.assert_array_equal(traces[:RATE, channels], SAMPLES[:RATE, channels])
        os.truncate(last, last.stat().st_size // 2)
        why = r"chunk 6,0: (the file ends before the chunk does|.*cut off)"
        with pytest.raises(N1StoreError, match=why):
            traces[-10:, channels]
        np.testing.assert_array_equal(traces[:RATE, channels], SAMPLES[:RATE, channels])


def test_a_damaged_byte_stops_only_what_depends_on_it(wav, tmp_path):
    path = tmp_path / "a.zarr"
    n1store.convert(wav, path, shard_seconds=0, chunk_seconds=6.5, block_seconds=1)
    (chunk,) = (each for each in (path / "recordings/a").iterdir() if each.name.endswith("0.0"))
    content = bytearray(chunk.read_bytes())
    content[-5] ^= 1  # of the last channel's last block
    chunk.write_bytes(content)
    with n1store.open(path) as store:
        traces = store["a"].traces
        for channels in (slice(None), CHANNELS - 1, [0, CHANNELS - 1]):
            with pytest.raises(N1StoreError, match=r"chunk 0,0: .*damaged"):
                traces[-10:, channels]
        np.testing.assert_array_equal(traces[:, 0], SAMPLES[:, 0])
        np.testing.assert_array_equal(traces[:4000], SAMPLES[:4000])
    assert n1store.verify(path).problems


@pytest.mark.parametrize(("channels", "block_samples"), [(511, None), (512, 250)])
def test_many_channels_have_short_blocks(tmp_path, channels, block_samples):
    wav = write_wav(tmp_path / "many.wav", np.zeros((1000, channels), "<i2"), 1000)
    report = n1store.convert(wav, tmp_path / "a.zarr")
    expected = "n1" if block_samples is None else f"n1:block_samples={block_samples}"
    assert report.sizes.attributes["codec"] == expected


def test_blocks_are_of_the_length_that_is_asked_for(wav, tmp_path):
    plain = n1store.convert(wav, tmp_path / "a.nwb")
    assert plain.sizes.attributes["codec"] == f"n1:block_samples={RATE}"
    short = n1store.convert(wav, tmp_path / "b.nwb", codec="n1:level=3", block_seconds=0.25)
    assert short.sizes.attributes["codec"] == f"n1:level=3,block_samples={RATE // 4}"
    given = n1store.convert(wav, tmp_path / "c.nwb", codec="n1:block_samples=77")
    assert given.sizes.attributes["codec"] == "n1:block_samples=77"
    whole = n1store.convert(wav, tmp_path / "d.zarr")
    assert whole.sizes.attributes["codec"] == "n1"
    with pytest.raises(N1StoreError, match="makes no blocks"):
        n1store.convert(wav, tmp_path / "e.nwb", codec="zstd", adc=False, block_seconds=1)
    for wrong in ({"block_seconds": 0}, {"chunk_channels": 0}):
        with pytest.raises(N1StoreError):
            n1store.convert(wav, tmp_path / "e.nwb", **wrong)


def test_chunks_of_few_channels(wav, tmp_path):
    n1store.convert(wav, tmp_path / "a.zarr", codec="zstd", chunk_channels=8)
    with n1store.open(tmp_path / "a.zarr") as store:
        assert store.array("a").grid.chunk_shape == (RATE, 8)
        np.testing.assert_array_equal(store["a"].traces[:], SAMPLES)
