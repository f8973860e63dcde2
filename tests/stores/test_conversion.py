"""What convert writes is read by zarr alone, whatever the codec, format, layout and shape."""

import hashlib
import json
import shutil

import numpy as np
import pytest

import n1store
from installed import (
    HAS_WAVPACK,
    IS_ZARR_30,
    REAL_RECORDINGS,
    ZARR_FORMATS,
    ZARR_VERSION,
    needs_wavpack,
    needs_zarr3,
)
from make_wav import read_wav_independently, write_wav
from n1store import N1StoreError
from n1store.stores.grid import chunk_shape_for
from processes import read_with_zarr_alone

CODECS = [
    "adc",
    "blosc",
    "blosc:cname=lz4,clevel=9,shuffle=shuffle",
    "bz2",
    "delta+blosc:shuffle=noshuffle",
    "gzip:level=1",
    "lz4",
    "lzma:preset=1",
    "n1",
    "zlib",
    "zstd",
    *(["wavpack:level=1"] if HAS_WAVPACK and not IS_ZARR_30 else []),
]


@pytest.fixture(scope="module")
def recordings(recordings, tmp_path_factory):
    """Give three of the recordings, which are enough for there to be several."""
    folder = tmp_path_factory.mktemp("recordings")
    for path in sorted(recordings.iterdir())[:3]:
        shutil.copy(path, folder)
    return folder


def expected(folder):
    return {path.stem: read_wav_independently(path)[0] for path in folder.rglob("*.wav")}


def assert_same(read, samples):
    assert read.keys() == samples.keys()
    for name, values in samples.items():
        assert read[name].dtype == np.int16
        np.testing.assert_array_equal(read[name], values, err_msg=name)


@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
@pytest.mark.parametrize(
    ("codec", "adc"), [*((codec, True) for codec in CODECS), ("blosc", False), ("delta", False)]
)
def test_every_codec_reads_back_with_zarr_alone(recordings, tmp_path, codec, adc, zarr_format):
    store = tmp_path / "out.zarr"
    n1store.convert(recordings, store, codec=codec, adc=adc, zarr_format=zarr_format)
    assert_same(read_with_zarr_alone(store, tmp_path), expected(recordings))
    assert n1store.verify(store, [recordings]).problems == []


@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
def test_zip_stores_read_back_with_zarr_alone(recordings, tmp_path, zarr_format):
    store = tmp_path / "out.zarr.zip"
    n1store.convert(recordings, store, codec="zstd", zarr_format=zarr_format)
    assert store.is_file()
    assert_same(read_with_zarr_alone(store, tmp_path), expected(recordings))
    assert n1store.verify(store, [recordings]).problems == []


@needs_zarr3
@pytest.mark.parametrize("suffix", [".zarr", ".zarr.zip"])
@pytest.mark.parametrize("shard_seconds", [0, 2, 3.5, 100])
def test_shards_read_back_with_zarr_alone(recordings, tmp_path, shard_seconds, suffix):
    store = tmp_path / f"out{suffix}"
    n1store.convert(recordings, store, codec="blosc", shard_seconds=shard_seconds)
    assert_same(read_with_zarr_alone(store, tmp_path), expected(recordings))
    assert n1store.verify(store, [recordings]).problems == []


@needs_zarr3
def test_chunks_are_sharded_unasked_64_to_a_file(tmp_path):
    samples = np.arange(600 * 16, dtype=np.int16)
    write_wav(tmp_path / "long.wav", samples, 16)
    n1store.convert(tmp_path / "long.wav", tmp_path / "out.zarr", codec="zstd")
    assert len(list((tmp_path / "out.zarr").rglob("c.*"))) == 10
    read = read_with_zarr_alone(tmp_path / "out.zarr", tmp_path)
    np.testing.assert_array_equal(read["long"][:, 0], samples)


@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
@pytest.mark.parametrize(
    "shape", [(0, 1), (1, 1), (7, 3), (8, 2), (20_000, 5), (3000, 100), (500, 1024)]
)
def test_any_shape(tmp_path, shape, zarr_format):
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, shape, dtype=np.int16)
    write_wav(tmp_path / "in" / "x.wav", samples, 1000)
    store = tmp_path / "out.zarr"
    n1store.convert(
        tmp_path / "in", store, codec="blosc", chunk_seconds=0.7, zarr_format=zarr_format
    )
    assert_same(read_with_zarr_alone(store, tmp_path), {"x": samples})
    assert n1store.verify(store, [tmp_path / "in"]).problems == []
    assert n1store.open(store)["x"].traces.shape == shape


@needs_wavpack
@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
def test_wavpack_behind_another_codec(recordings, tmp_path, zarr_format):
    store = tmp_path / "out.zarr"
    n1store.convert(recordings, store, codec="delta+wavpack", zarr_format=zarr_format)
    assert_same(read_with_zarr_alone(store, tmp_path), expected(recordings))


@needs_wavpack
@pytest.mark.parametrize("num_samples", [1, 9, 100, 50_000])
def test_wavpack_takes_what_it_cannot_make_smaller(tmp_path, num_samples):
    noise = np.random.default_rng(0).integers(-(2**15), 2**15, num_samples, dtype=np.int16)
    write_wav(tmp_path / "in" / "noise.wav", noise)
    store = tmp_path / "out.zarr"
    result = n1store.convert(tmp_path / "in", store, codec="wavpack", adc=False)
    assert_same(read_with_zarr_alone(store, tmp_path), {"noise": noise[:, None]})
    assert result.sizes.stored_bytes < 1.06 * noise.nbytes + 300


def test_chunks_are_a_second_long_and_64_channels_wide_in_multiples_of_8_samples(tmp_path):
    write_wav(tmp_path / "a.wav", np.zeros((3000, 100), np.int16), 1001)
    n1store.convert(tmp_path / "a.wav", tmp_path / "out.zarr", codec="zstd")
    assert n1store.open(tmp_path / "out.zarr").array("a").grid.chunk_shape == (1008, 50)
    for channels, together in ((64, 64), (65, 33)):
        assert chunk_shape_for((3000, channels), 1001, 1.0) == (1008, together)


@pytest.mark.parametrize(("rate", "seconds"), [(19_531, 5), (20_000, 3), (1001, 7), (30_000, 0.2)])
def test_whole_chunks_of_seconds_leave_no_short_one(tmp_path, rate, seconds):
    chunk_seconds = 0.1 if seconds < 1 else 1
    write_wav(tmp_path / "a.wav", np.zeros(round(seconds * rate), np.int16), rate)
    store = tmp_path / "out.zarr"
    result = n1store.convert(
        tmp_path / "a.wav", store, codec="zstd", chunk_seconds=chunk_seconds
    ).sizes
    assert len(result.chunks) == round(seconds / chunk_seconds)


@needs_zarr3
@pytest.mark.parametrize(("codec", "checksum_bytes"), [("blosc", 4), ("n1", 0)])
def test_formats_2_and_3_hold_the_same_payloads(recordings, tmp_path, codec, checksum_bytes):
    payloads = []
    for zarr_format, pattern in ((2, "[0-9]*.[0-9]*"), (3, "c.*")):
        store = tmp_path / f"{zarr_format}.zarr"
        shard_seconds = 0 if zarr_format == 3 else None
        n1store.convert(
            recordings, store, codec=codec, zarr_format=zarr_format, shard_seconds=shard_seconds
        )
        files = sorted((store / "recordings").rglob(pattern))
        contents = [path.read_bytes() for path in files]
        # At the end is the checksum, which differs.
        payloads.append([content[: len(content) - checksum_bytes] for content in contents])
    assert payloads[0] == payloads[1] != []


def test_same_input_gives_the_same_store(recordings, tmp_path):
    contents = []
    for attempt, workers in enumerate([1, 3]):
        store = tmp_path / f"{attempt}.zarr.zip"
        n1store.convert(recordings, store, codec="zstd", workers=workers)
        contents.append(store.read_bytes())
    assert contents[0] == contents[1]


def test_layout_channels_stacks_files(tmp_path):
    rng = np.random.default_rng(0)
    parts = [rng.integers(-500, 500, (2500, n), dtype=np.int16) for n in (1, 3, 1)]
    for name, part in zip("abc", parts, strict=True):
        write_wav(tmp_path / "in" / f"{name}.wav", part, 1000)
    store = tmp_path / "out.zarr"
    n1store.convert(tmp_path / "in", store, codec="blosc", layout="channels")
    assert_same(read_with_zarr_alone(store, tmp_path), {"traces": np.hstack(parts)})
    recording = n1store.open(store)["traces"]
    assert recording.channel_ids == ("a", "b-0", "b-1", "b-2", "c")
    assert n1store.verify(store, [tmp_path / "in"]).problems == []
    written = n1store.export_wavs(store, tmp_path / "back")
    assert [path.name for path in written] == ["a.wav", "b.wav", "c.wav"]
    for path in written:
        assert path.read_bytes() == (tmp_path / "in" / path.name).read_bytes()


@pytest.mark.parametrize("difference", ["length", "rate"])
def test_layout_channels_wants_equal_files(tmp_path, run, difference):
    write_wav(tmp_path / "a.wav", np.zeros(100, np.int16), 1000)
    length, rate = (90, 1000) if difference == "length" else (100, 1001)
    write_wav(tmp_path / "b.wav", np.zeros(length, np.int16), rate)
    result = run(
        "convert", tmp_path, tmp_path / "o.zarr", "--codec", "zstd", "--layout", "channels",
        exit_code=1,
    )  # fmt: skip
    assert "b.wav" in result.stderr
    assert not (tmp_path / "o.zarr").exists()


def test_layout_spikeinterface_has_a_segment_for_each_file(recordings, tmp_path):
    store = tmp_path / "out.zarr"
    n1store.convert(recordings, store, codec="blosc", layout="spikeinterface")
    samples = expected(recordings)
    segments = {f"traces_seg{i}": samples[name] for i, name in enumerate(sorted(samples))}
    assert_same(read_with_zarr_alone(store, tmp_path), segments)
    assert sorted(n1store.open(store)) == sorted(samples)
    assert n1store.verify(store, [recordings]).problems == []


def test_files_of_one_name_do_not_collide(tmp_path, recordings):
    for number, folder in enumerate(["a", "b", "a/deep"]):
        write_wav(tmp_path / "in" / folder / "x.wav", np.full(10, number, np.int16))
    write_wav(tmp_path / "in" / "y.wav", np.full(10, 7, np.int16))
    store = tmp_path / "out.zarr"
    n1store.convert(tmp_path / "in", store, codec="zstd")
    values = {name: int(recording.traces[0, 0]) for name, recording in n1store.open(store).items()}
    assert values == {"a_x": 0, "b_x": 1, "a_deep_x": 2, "y": 7}
    assert n1store.verify(store, [tmp_path / "in"]).compared == 4
    n1store.export_wavs(store, tmp_path / "back")
    for path in (tmp_path / "in").rglob("*.wav"):
        back = tmp_path / "back" / path.relative_to(tmp_path / "in")
        assert back.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "stem",
    ["zarr.json", "__x", ".zarray", "a b", "ümläut", "x?*:y", "c", "c.0.0", "0.0", "..", "-"],
)
@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
def test_file_names_that_are_no_names_in_zarr(tmp_path, stem, zarr_format):
    samples = np.arange(50, dtype=np.int16)
    path = write_wav(tmp_path / "in.wav", samples).rename(tmp_path / f"{stem}.wav")
    store = tmp_path / "out.zarr"
    n1store.convert(path, store, codec="zstd", zarr_format=zarr_format)
    (read,) = read_with_zarr_alone(store, tmp_path).values()
    np.testing.assert_array_equal(read[:, 0], samples)
    (back,) = n1store.export_wavs(store, tmp_path / "back")
    assert back.name == path.name


def test_summary_counts_what_is_on_disk(recordings, tmp_path, run_json):
    store = tmp_path / "out.zarr"
    shards = ["--shard-seconds", 0] if ZARR_VERSION >= 3 else []
    summary = run_json("convert", recordings, store, "--codec", "blosc", *shards)
    files = [path for path in store.rglob("*") if path.is_file()]
    chunks = [path for path in files if not path.name.startswith((".z", "zarr.json"))]
    raw = {name: values.nbytes for name, values in expected(recordings).items()}
    assert summary["raw_bytes"] == sum(raw.values())
    assert summary["store_bytes"] == sum(path.stat().st_size for path in files)
    assert summary["chunk_bytes"] == sum(path.stat().st_size for path in chunks)
    assert summary["chunks"] == len(chunks)
    assert summary["chunk_ratio"] == summary["raw_bytes"] / summary["chunk_bytes"]
    assert summary["recordings"] == len(raw)
    listed = run_json("info", store, "--chunks")["chunks"]
    ratios = np.array([chunk["raw_bytes"] / chunk["stored_bytes"] for chunk in listed])
    assert summary["ratio_per_chunk"]["median"] == pytest.approx(np.median(ratios))
    assert summary["ratio_per_chunk"]["min"] == pytest.approx(ratios.min())
    assert summary["worst_chunks"][0]["ratio"] == pytest.approx(ratios.min())
    assert sum(chunk["raw_bytes"] for chunk in listed) == summary["raw_bytes"]


def test_attributes_hold_independent_checksums(recordings, tmp_path):
    store = tmp_path / "out.zarr"
    n1store.convert(recordings, store, codec="zstd")
    for name, recording in n1store.open(store).items():
        content = (recordings / f"{name}.wav").read_bytes()
        samples, rate = read_wav_independently(recordings / f"{name}.wav")
        (source,) = recording.attributes["sources"]
        assert source["sha256"] == hashlib.sha256(content).hexdigest()
        assert "samples_sha256" not in recording.attributes  # that of the file covers them
        assert np.array_equal(recording.traces[:], samples)
        assert recording.sampling_frequency == rate
        assert recording.duration == len(samples) / rate
        assert "header" not in source  # canonical, hence not stored


@needs_wavpack
@pytest.mark.parametrize("level", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(200, 1), (20_000, 1), (250_001, 1), (20_000, 5), (1000, 64)])
def test_wavpack_stream_is_that_of_wavpack_numcodecs(shape, level):
    from wavpack_numcodecs.wavpack import WavPack as Theirs

    from n1store.codecs.library.wavpack import WavPack as Ours

    settings = {"level": level, "num_decoding_threads": 1}
    noise = np.random.default_rng(0).normal(0, 50, shape)
    samples = np.cumsum(noise, axis=0).astype(np.int16) // 8
    stream = Ours(**settings).encode(samples)
    assert stream == Theirs(**settings).encode(samples)
    assert Theirs(**settings).decode(stream) == samples.tobytes()


@pytest.mark.long
@needs_wavpack
@pytest.mark.skipif(not REAL_RECORDINGS.exists(), reason="the figures are of the real recordings")
def test_ratios_on_the_real_recordings(tmp_path):
    with_map = n1store.convert(REAL_RECORDINGS, tmp_path / "a.zarr", codec="wavpack").sizes
    without = n1store.convert(
        REAL_RECORDINGS, tmp_path / "b.zarr", codec="wavpack", adc=False
    ).sizes
    assert with_map.raw_bytes / with_map.stored_bytes > 3.2
    assert without.raw_bytes / without.stored_bytes == pytest.approx(1.48, abs=0.03)


@pytest.mark.parametrize("num_recordings", [1, 3])
def test_progress_ends_at_the_total(recordings, tmp_path, num_recordings):
    calls = []
    sources = sorted(recordings.iterdir())[:num_recordings]
    n1store.convert(
        sources, tmp_path / "out.zarr", codec="zstd", progress=lambda *call: calls.append(call)
    )
    total = sum(expected(recordings)[path.stem].nbytes for path in sources)
    assert calls == sorted(calls)
    assert calls[-1] == (total, total)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"codec": "zstandard"}, "did you mean zstd"),
        ({"codec": "zstd:level=99"}, "1 to 22"),
        ({"codec": "zstd:speed=1"}, "parameters are level"),
        ({"codec": ""}, "no codec"),
        ({"layout": "columns"}, "channels"),
        ({"zarr_format": 4}, "format 4"),
        ({"zarr_format": 2, "shard_seconds": 5}, "format 3"),
        ({"zarr_format": 3, "layout": "spikeinterface"}, "format 2"),
        ({"chunk_seconds": 0}, "positive"),
        ({"chunk_seconds": float("nan")}, "positive"),
        ({"chunk_seconds": float("inf")}, "positive"),
        ({"shard_seconds": -1}, "positive|format 3"),
        ({"workers": 0}, "worker"),
        ({"on_error": "ignore"}, "skip"),
    ],
)
def test_wrong_arguments(recordings, tmp_path, options, problem):
    with pytest.raises(N1StoreError, match=problem):
        n1store.convert(recordings, tmp_path / "out.zarr", **({"codec": "zstd"} | options))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workers", [0, -1])
def test_no_command_works_without_workers(recordings, tmp_path, workers):
    store = tmp_path / "out.zarr"
    n1store.convert(recordings, store, codec="zstd")
    wav = next(recordings.glob("*.wav"))
    for call in (
        lambda: n1store.verify(store, workers=workers),
        lambda: n1store.export_wavs(store, tmp_path / "wavs", workers=workers),
        lambda: n1store.encode_file(wav, tmp_path / "x.n1", workers=workers),
    ):
        with pytest.raises(N1StoreError, match="at least one worker is needed"):
            call()
    assert list(tmp_path.iterdir()) == [store]


@pytest.mark.parametrize("name", ["out", "out.zip", ".zarr", "out.h5", "out.zarr.gz"])
def test_destination_must_be_named_as_a_store(recordings, tmp_path, name):
    with pytest.raises(N1StoreError, match=r"\.zarr"):
        n1store.convert(recordings, tmp_path / name, codec="zstd")
    assert list(tmp_path.iterdir()) == []


def test_store_metadata_are_compact_and_say_how_they_were_made(recordings, tmp_path):
    store = tmp_path / "out.zarr"
    n1store.convert(recordings, store, codec="blosc:clevel=1")
    name = "zarr.json" if ZARR_VERSION >= 3 else ".zattrs"
    content = json.loads((store / name).read_text())
    ours = content["attributes"]["n1store"] if ZARR_VERSION >= 3 else content["n1store"]
    assert ours["codec"].startswith("adc+blosc:clevel=1+crc32")
    assert ours["layout"] == "recordings"
