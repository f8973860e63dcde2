"""From WAV to store and back through the command line, unusual files included."""

import filecmp
import multiprocessing
import os
from itertools import product

import numpy as np
import pytest

import n1store
from installed import ROOT, ZARR_FORMATS, needs_wavpack, needs_zarr3
from make_wav import (
    chunk,
    data,
    extensible_fmt,
    fmt,
    noise,
    read_wav_independently,
    rf64,
    wav,
    write_wav,
)
from n1store.bench import benchmark
from n1store.errors import N1StoreError
from n1store.recording import Recording

CODECS = ["n1", pytest.param("wavpack", marks=needs_wavpack)]

UNUSUAL = {
    "plain": wav(fmt(), data(noise(300))),
    "no-samples": wav(fmt(), data(noise(0))),
    "one-sample": wav(fmt(), data(noise(1))),
    "stereo": wav(fmt(2, 48_000), data(noise(300, 2))),
    "extensible": wav(extensible_fmt(3), data(noise(100, 3))),
    "rf64": rf64(noise(200, 2), channels=2, after=chunk(b"bext", b"late")),
    "bw64": rf64(noise(200), container=b"BW64", before=chunk(b"JUNK", b"odd")),
    "chunks": wav(
        chunk(b"bext", b"x" * 603),
        fmt(),
        chunk(b"LIST", b"INFOabc"),
        data(noise(500)),
        chunk(b"id3 ", b"tag"),
    ),
    "odd-without-pad": wav(chunk(b"LIST", b"abc", pad=b""), fmt(), data(noise(50))),
    "no-pad-at-end": wav(fmt(), data(noise(50)), chunk(b"LIST", b"abc", pad=b"")),
    "wrong-riff-size": wav(fmt(), data(noise(50)), size=7),
    "garbage-behind": wav(fmt(), data(noise(50))) + b"garbage",
    "zeros-behind": wav(fmt(), data(noise(50))) + bytes(64),
    "long-fmt": wav(fmt(extra=b"\0\0"), data(noise(50))),
    "wrong-byte-rate": wav(fmt(byte_rate=1), data(noise(50))),
}


@pytest.fixture
def unusual(tmp_path):
    folder = tmp_path / "unusual"
    folder.mkdir()
    for name, content in UNUSUAL.items():
        (folder / f"{name}.wav").write_bytes(content)
    return folder


def assert_identical(folder, other):
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    assert filecmp.cmpfiles(folder, other, names, shallow=False) == (names, [], [])


@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
@pytest.mark.parametrize("suffix", [".zarr", ".zarr.zip"])
@pytest.mark.parametrize("codec", CODECS)
def test_unusual_files_come_back_byte_for_byte(unusual, tmp_path, run, codec, zarr_format, suffix):
    store, back = tmp_path / f"out{suffix}", tmp_path / "back"
    run("convert", unusual, store, "--codec", codec, "--zarr-format", zarr_format)
    assert "compared" in run("verify", store, unusual).stdout
    run("export", store, back)
    assert_identical(unusual, back)


@pytest.mark.parametrize("codec", CODECS)
def test_real_recordings_come_back_byte_for_byte(recordings, tmp_path, run, codec):
    store, back = tmp_path / "out.zarr", tmp_path / "back"
    run("convert", recordings, store, "--codec", codec)
    run("verify", store, recordings)
    run("export", store, back)
    assert_identical(recordings, back)


@pytest.mark.parametrize("layout", ["channels", "spikeinterface"])
def test_other_layouts_come_back_byte_for_byte(tmp_path, run, layout):
    source, store, back = tmp_path / "in", tmp_path / "out.zarr", tmp_path / "back"
    for number in range(130):  # more files than are exported at once
        write_wav(source / f"{number:03}.wav", noise(1000, 1, seed=number), 200)
    run("convert", source, store, "--codec", "blosc", "--layout", layout)
    run("verify", store, source)
    run("export", store, back)
    assert_identical(source, back)


def test_export_keeps_what_is_there_unless_told(recordings, tmp_path, run):
    store, back = tmp_path / "out.zarr", tmp_path / "back"
    run("convert", recordings, store, "--codec", "zstd")
    back.mkdir()
    name = min(path.name for path in recordings.iterdir())
    (back / name).write_bytes(b"precious")
    assert "--overwrite" in run("export", store, back, exit_code=1).stderr
    assert (back / name).read_bytes() == b"precious"
    run("export", store, back, "--overwrite")
    assert_identical(recordings, back)


def test_skipped_files_are_listed_and_the_rest_is_converted(recordings, tmp_path, run, run_json):
    store = tmp_path / "out.zarr"
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "text.wav").write_text("not a WAV file")
    (bad / "float.wav").write_bytes(wav(fmt(tag=3, bits=32), data(noise(10))))
    (bad / "cut.wav").write_bytes(wav(fmt(), data(noise(500)))[:-10])
    arguments = ["convert", recordings, bad, store, "--codec", "zstd"]
    result = run(*arguments, exit_code=1)
    assert len(result.stderr.splitlines()) == 1
    assert "cut.wav" in result.stderr
    assert not store.exists()
    result = run(*arguments, "--on-error", "skip", exit_code=3)
    assert [name in result.stderr for name in ("cut", "float", "text")] == [True] * 3
    assert sorted(n1store.open(store)) == sorted(path.stem for path in recordings.iterdir())
    summary = run_json(*arguments, "--on-error", "skip", "--overwrite", exit_code=3)
    assert len(summary["skipped"]) == 3


def test_what_nobody_reads_is_one_line_and_may_be_skipped(recordings, tmp_path, run):
    (tmp_path / "notes.txt").write_text("no recording")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    store = tmp_path / "out.zarr"
    words = {"notes.txt": "no reader", "pipe": "not a regular file", "link": "is not there"}
    for name, why in words.items():
        assert why in run("convert", tmp_path / name, store, exit_code=1).stderr
        assert not store.exists()
    sources = [*(tmp_path / name for name in words), recordings]
    result = run("convert", *sources, store, "--on-error", "skip", exit_code=3)
    assert len(result.stderr.splitlines()) == len(words)
    assert len(n1store.open(store)) == len(list(recordings.iterdir()))


def test_nothing_readable_is_an_error(tmp_path, run):
    (tmp_path / "text.wav").write_text("not a WAV file")
    store = tmp_path / "out.zarr"
    for on_error in ("stop", "skip"):
        result = run("convert", tmp_path, store, "--on-error", on_error, exit_code=1)
        assert "text.wav" in result.stderr
    assert not store.exists()


def test_verify_compares_with_a_part_of_the_sources(recordings, tmp_path, run_json):
    store = tmp_path / "out.zarr"
    run_json("convert", recordings, store, "--codec", "zstd")
    first, *others = sorted(recordings.iterdir())
    result = run_json("verify", store, first)
    assert (result["ok"], result["compared"]) == (True, 1)
    assert result["not_compared"] == [path.name for path in others]


@needs_zarr3
def test_sharded_channels_come_back(tmp_path, run):
    source, store, back = tmp_path / "in", tmp_path / "out.zarr", tmp_path / "back"
    write_wav(source / "wide.wav", noise(5000, 200), 500)
    run("convert", source, store, "--codec", "zstd", "--shard-seconds", 3)
    run("verify", store, source)
    run("export", store, back)
    assert_identical(source, back)


def test_open_reads_windows_lazily(recordings, tmp_path):
    store = tmp_path / "out.zarr"
    n1store.convert(recordings, store, codec="blosc")
    with n1store.open(store) as opened:
        assert list(opened) == sorted(path.stem for path in recordings.iterdir())
        for name, recording in opened.items():
            samples, rate = read_wav_independently(recordings / f"{name}.wav")
            assert (recording.num_samples, recording.num_channels) == samples.shape
            assert recording.sampling_frequency == rate
            assert recording.channel_ids == ("0",)
            window = recording.traces[19_000:40_000, [0]]
            assert isinstance(window, np.ndarray)
            np.testing.assert_array_equal(window, samples[19_000:40_000])
            np.testing.assert_array_equal(recording.traces[-100:, 0], samples[-100:, 0])
        with pytest.raises(KeyError):
            opened["no such recording"]


def test_bench_and_info_agree_on_sizes(recordings, tmp_path, run, run_json):
    stores = [tmp_path / "a.zarr", tmp_path / "b.zarr.zip"]
    for store, codec in zip(stores, ["zstd", "blosc"], strict=True):
        run("convert", recordings, store, "--codec", codec)
    results = run_json("bench", *stores, "--windows", 5)
    for store, result in zip(stores, results, strict=True):
        sizes = run_json("info", store)
        assert result["chunk_ratio"] == sizes["chunk_ratio"]
        assert result["ratio_per_chunk"] == sizes["ratio_per_chunk"]
        kinds = [(window["window_s"], window["reader"]) for window in result["random_access"]]
        # No recording is as long as 10 s.
        longest = max(recording["duration"] for recording in sizes["recordings"].values())
        assert kinds == list(product([0.1, 1.0, pytest.approx(longest)], ["n1store", "zarr"]))
        for speeds in (window["xrt"] for window in result["random_access"]):
            assert 0 < speeds["p5"] <= speeds["median"] <= speeds["p95"]
        assert [scan["reader"] for scan in result["scan"]] == ["n1store", "zarr"]
    text = run("bench", *stores, "--windows", 5).stdout
    for word in ("1 s windows", f"{longest:.3g} s windows", "everything", "xRT", "ratio", "median"):
        assert word in text


def test_bench_compares_what_it_reads(tmp_path, monkeypatch):
    """A window that is read otherwise than its chunks say is no speed, but an error."""
    write_wav(tmp_path / "a.wav", noise(5000, 2), 1000)
    n1store.convert(tmp_path / "a.wav", tmp_path / "a.zarr", codec="zstd", chunk_seconds=1)
    read = Recording.read

    def read_wrongly(self, start, stop, *more):
        samples = read(self, start, stop, *more)
        is_chunk = start % 1000 == 0
        return samples if is_chunk else samples ^ 1

    monkeypatch.setattr(Recording, "read", read_wrongly)
    with pytest.raises(N1StoreError, match="is not read as it was stored"):
        benchmark(tmp_path / "a.zarr", num_windows=5)


def test_synth_makes_files_that_convert(tmp_path, run):
    run("synth", tmp_path / "in", "--recordings", 2, "--seconds", 0.5, "--channels", 3)
    assert "exists already" in run("synth", tmp_path / "in", exit_code=1).stderr
    run("convert", tmp_path / "in", tmp_path / "out.zarr", "--codec", "blosc")
    run("verify", tmp_path / "out.zarr", tmp_path / "in")


def test_launcher_is_the_command(recordings, tmp_path):
    import subprocess
    import sys

    for name, command in (
        ("a", [sys.executable, str(ROOT / "cli.py")]),
        ("b", [sys.executable, "-c", "from n1store.cli.commands import main; main()"]),
    ):
        arguments = ["convert", str(recordings), f"{name}.zarr.zip", "--codec", "zstd"]
        subprocess.run([*command, *arguments], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "a.zarr.zip").read_bytes() == (tmp_path / "b.zarr.zip").read_bytes()


def test_forked_processes_read_a_zip_store(recordings, tmp_path):
    store = tmp_path / "out.zarr.zip"
    n1store.convert(recordings, store, codec="zstd")
    with n1store.open(store) as opened:
        name = next(iter(opened))
        samples, _ = read_wav_independently(recordings / f"{name}.wav")
        traces = opened[name].traces

        def read_many(queue):
            wrong = sum(
                not np.array_equal(traces[start : start + 500], samples[start : start + 500])
                for start in range(0, 20_000, 100)
            )
            queue.put(wrong)

        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        processes = [context.Process(target=read_many, args=(queue,)) for _ in range(4)]
        for process in processes:
            process.start()
        try:
            assert [queue.get(timeout=60) for _ in processes] == [0] * 4
        finally:
            for process in processes:
                process.kill()
                process.join()


def test_names_as_long_as_may_be(tmp_path, run):
    source = tmp_path / "in"
    source.mkdir()
    (source / ("n" * 251 + ".wav")).write_bytes(UNUSUAL["plain"])
    run("convert", source, tmp_path / "out.zarr", "--codec", "zstd")
    run("export", tmp_path / "out.zarr", tmp_path / "back")
    assert_identical(source, tmp_path / "back")


def test_verify_finds_files_by_where_they_are(tmp_path, run_json):
    for folder in "ab":
        write_wav(tmp_path / folder / "x.wav", noise(100, seed=ord(folder)))
    a, b, both, one = (tmp_path / name for name in ("a", "b", "both.zarr", "one.zarr"))
    run_json("convert", a, b, both, "--codec", "zstd")
    for sources in ([a], [b / "x.wav"], [a, b], [tmp_path / "b"]):
        result = run_json("verify", both, *sources)
        assert (result["ok"], result["compared"]) == (True, len(sources))
    run_json("convert", a, one, "--codec", "zstd")
    assert run_json("verify", one, a)["ok"]
    for sources in (b, [a, b], [b, a]):
        assert n1store.verify(one, sources).problems


def test_recordings_have_the_names_of_their_files(tmp_path):
    names = ["rat (1)", "50%", "a+b", "a,b", "हिन्दी"]
    for name in names:
        write_wav(tmp_path / "in" / f"{name}.wav", noise(100))
    n1store.convert(tmp_path / "in", tmp_path / "out.zarr", codec="zstd")
    assert sorted(n1store.open(tmp_path / "out.zarr")) == sorted(names)


def test_a_damaged_recording_does_not_keep_the_others_back(tmp_path, run):
    for name in "abc":
        write_wav(tmp_path / "in" / f"{name}.wav", noise(5000, seed=ord(name)))
    store, back = tmp_path / "out.zarr", tmp_path / "back"
    run("convert", tmp_path / "in", store, "--codec", "zstd")
    (chunk,) = (path for path in (store / "recordings/b").iterdir() if path.name[0] in "c0")
    content = bytearray(chunk.read_bytes())
    content[100] ^= 1
    chunk.write_bytes(content)
    result = run("export", store, back, exit_code=1)
    assert len(result.stderr.splitlines()) == 1
    assert "recording b" in result.stderr
    assert sorted(path.name for path in back.iterdir()) == ["a.wav", "c.wav"]
