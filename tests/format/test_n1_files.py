"""`.n1` files give WAV files back to the last byte, or say in one line why they cannot."""

import filecmp
import io
import itertools
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import make_wav as make
import n1store
from cases import case
from make_n1 import HEADER, OVERHEAD, TRAILER, WIDTHS, by_hand, deflate
from make_wav import write_wav
from n1store.codecs.native import n1_encode
from n1store.errors import N1StoreError
from n1store.n1file import container as n1file
from n1store.n1file.container import decode_wav, encode_wav, read_n1_info
from n1store.sources.wav import WavFile, open_wav
from n1store.system.parallel import Workers
from processes import HEED_SIGNALS, time_limit

modest = settings(deadline=None, max_examples=60)

TABLE = bytes(range(16, 48)) * 32


def encoded(wav, **options):
    """Return the .n1 file of a WAV file, both as bytes but for the path given."""
    file = io.BytesIO()
    info = encode_wav(open_wav(wav), file, **options)
    assert info.n1_bytes == len(file.getvalue())
    assert info.wav_bytes == wav.stat().st_size
    return file.getvalue()


def decoded(content, workers=None):
    wav = io.BytesIO()
    info = decode_wav(io.BytesIO(content), wav, "x.n1", workers=workers)
    assert info.n1_bytes == len(content)
    assert info.wav_bytes == len(wav.getvalue())
    return wav.getvalue()


def assert_restored(wav, **options):
    """Encode a WAV file and decode it, on files and in memory; return what was found."""
    content = encoded(wav, **options)
    assert decoded(content) == wav.read_bytes()
    packed, back = wav.with_suffix(".n1"), wav.with_suffix(".back.wav")
    info = n1store.encode_file(wav, packed, **options)
    assert packed.read_bytes() == content
    assert read_n1_info(packed) == info
    assert n1store.decode_file(packed, back) == info
    assert back.read_bytes() == wav.read_bytes()
    return info


def assert_restored_from_file(wav, **options):
    """Encode a WAV file that is large and decode it, once each; return what was found."""
    packed, back = wav.with_suffix(".n1"), wav.with_suffix(".back.wav")
    info = n1store.encode_file(wav, packed, **options)
    assert n1store.decode_file(packed, back) == info
    assert filecmp.cmp(wav, back, shallow=False)
    return info


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


# What filters/format/n1-files.md says


def test_the_format_is_what_is_written_down(new_file):
    samples = make.on_grid(250, 2)
    path = new_file(make.wav(make.fmt(2, 30_000), make.data(samples)))
    payloads = [n1_encode(samples[start : start + 84], level=2) for start in (0, 84, 168)]
    expected = by_hand(*payloads, rate=30_000, channels=2, samples=250)
    assert encoded(path, payload_samples=100) == expected
    assert decoded(expected) == path.read_bytes()


def test_the_format_of_what_is_beside_the_samples(new_file):
    samples = make.on_grid(100)
    extra = make.chunk(b"LIST", b"note" * 9)
    content = make.wav(make.fmt(extra=b"\0\0"), make.data(samples), extra)
    header, trailer = content[:46], content[-len(extra) :]
    payload = n1_encode(samples, widths=TABLE)
    expected = by_hand(
        payload,
        samples=100,
        flags=HEADER | TRAILER | WIDTHS,
        parts=[deflate(each) for each in (header, trailer, TABLE)],
    )
    assert decoded(expected) == content
    path = new_file(content)
    assert encoded(path, widths=TABLE) == expected


def test_other_writers_may_cut_files_as_they_like():
    samples = make.on_grid(1000)
    cuts = [0, 1, 2, 700, 1000]
    payloads = [n1_encode(samples[a:b]) for a, b in itertools.pairwise(cuts)]
    wav = decoded(by_hand(*payloads, samples=1000))
    assert wav == make.wav(make.fmt(), make.data(samples))


# Every WAV file comes back


@pytest.mark.parametrize(
    "build",
    [
        lambda samples: make.wav(make.fmt(samples.shape[1]), make.data(samples)),
        lambda samples: make.wav(make.fmt(samples.shape[1], extra=b"\0\0"), make.data(samples)),
        lambda samples: make.wav(make.extensible_fmt(samples.shape[1]), make.data(samples)),
        lambda samples: make.rf64(samples, channels=samples.shape[1]),
        lambda samples: make.rf64(samples, channels=samples.shape[1], container=b"BW64"),
    ],
    ids=["riff", "fmt of 18 bytes", "extensible", "rf64", "bw64"],
)
def test_formats_channels_and_lengths(new_file, build):
    for channels, num_samples in (*product([1, 2, 64], [0, 1, 2, 1001]), (1024, 1), (1024, 2)):
        with case(channels, num_samples):
            path = new_file(build(make.on_grid(num_samples, channels)))
            info = assert_restored(path)
            assert (info.num_samples, info.num_channels) == (num_samples, channels)


def test_any_rate_that_the_header_can_hold(new_file):
    for rate in [1, 2, 19531, 2**31, 2**32 - 1]:
        with case(rate):
            info = assert_restored(
                new_file(make.wav(make.fmt(2, rate), make.data(make.noise(5, 2))))
            )
            assert info.sampling_frequency == rate


@pytest.mark.parametrize("place", ["before fmt", "before data", "after"])
def test_extra_chunks(new_file, place):
    for length in [0, 1, 10, 11, 70_000]:
        with case(length):
            samples = make.noise(70_000)
            extra = make.chunk(b"bext", bytes(np.arange(length) % 251))
            parts = {
                "before fmt": (extra, make.fmt(), make.data(samples)),
                "before data": (make.fmt(), extra, make.data(samples)),
                "after": (make.fmt(), make.data(samples), extra),
            }
            assert_restored(new_file(make.wav(*parts[place])))


def test_garbage_and_wrong_sizes(new_file):
    for garbage, size in product(
        [b"\0", b"\n", b"abc", b"RIFF", bytes(40), b"\xff" * 99], [None, 0, 136]
    ):
        with case(garbage, size):
            content = make.wav(make.fmt(), make.data(make.noise(50)), size=size)
            assert_restored(new_file(content + garbage))


@pytest.mark.slow
def test_a_header_of_the_largest_size(new_file):
    room = 16 * 1024 * 1024 - 52  # beside RIFF, fmt, the chunk's own name and size, and data
    noise = np.random.default_rng(0).bytes(room)
    for content in (noise, bytes(room)):
        path = new_file(
            make.wav(make.fmt(), make.chunk(b"JUNK", content), make.data(make.noise(10)))
        )
        assert len(open_wav(path).header) == 16 * 1024 * 1024
        assert_restored_from_file(path)


@modest
@given(
    samples=arrays.arrays(
        np.int16,
        st.tuples(st.integers(0, 300), st.integers(1, 5)),
        elements=st.integers(-(2**15), 2**15 - 1),
    ),
    level=st.integers(1, 3),
    trailer=st.binary(max_size=7),  # too short to be taken for a chunk
)
def test_any_samples(new_file, samples, level, trailer):
    path = new_file(make.wav(make.fmt(samples.shape[1]), make.data(samples)) + trailer)
    content = encoded(path, level=level)
    assert decoded(content) == path.read_bytes()


@modest
@given(content=st.binary(max_size=200))
def test_any_file_is_restored_or_refused(new_file, content):
    path = new_file(content)
    try:
        wav = open_wav(path)
    except N1StoreError as error:
        with pytest.raises(N1StoreError, match=r"\.wav: ") as info:
            n1store.encode_file(path, path.with_suffix(".n1"))
        assert str(info.value) == str(error)
    else:
        assert_restored(wav.path)


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("widths", [None, TABLE], ids=["built-in", "custom"])
def test_recordings(recordings, new_path, level, widths):
    for path in sorted(recordings.glob("*.wav"))[:2]:
        copy = Path(shutil.copy(path, new_path(".wav")))
        info = assert_restored(copy, level=level, widths=widths)
        assert len(info.payloads) == 1
        if widths is None:
            assert info.n1_bytes - info.payload_bytes == OVERHEAD
        else:
            assert info.n1_bytes - info.payload_bytes < OVERHEAD + 1024


# Payloads


@pytest.mark.parametrize(
    ("num_samples", "channels", "expected"),
    [
        (2**18, 1, [2**18]),
        (2**18 + 1, 1, [2**17 + 1, 2**17]),
        (2**18, 64, [2**17, 2**17]),
        (2**14 + 2, 1024, [2**13 + 1, 2**13 + 1]),
    ],
)
def test_long_files_have_several_payloads(new_file, num_samples, channels, expected):
    # Each channel is constant within each payload, which takes the least time.
    payload = np.repeat(np.arange(len(expected), dtype="<i2"), expected)
    samples = 1000 * payload[:, None] + np.arange(channels, dtype="<i2")
    path = new_file(make.wav(make.fmt(channels), make.data(samples)))
    info = assert_restored_from_file(path)
    assert [count for count, _ in info.payloads] == expected


@pytest.mark.slow
def test_no_payload_is_larger_than_readers_take(new_file):
    """They take 2 ** 24 values, however many are asked for."""
    counts = [2**22 + 1, 2**22]
    # All but the beginning of each payload is constant, which takes the least time.
    samples = np.repeat(np.array([[1, 2], [3, 4]], "<i2"), counts, axis=0)
    for start in (0, counts[0]):
        samples[start : start + 999] = make.on_grid(999, 2, start)
    path = new_file(make.wav(make.fmt(2), make.data(samples)))
    info = assert_restored_from_file(path, level=1, payload_samples=2**30)
    assert [count for count, _ in info.payloads] == counts


@pytest.mark.parametrize("channels", [1, 3])
def test_any_number_of_payloads_on_any_number_of_cores(new_file, channels):
    for num_samples in [1, 9, 99, 100, 101, 199, 201, 12_345]:
        with case(num_samples):
            path = new_file(
                make.wav(make.fmt(channels), make.data(make.on_grid(num_samples, channels)))
            )
            info = assert_restored(path, payload_samples=100)
            assert len(info.payloads) == -(-num_samples // 100)
            assert sum(count for count, _ in info.payloads) == num_samples
            content = path.with_suffix(".n1").read_bytes()
            for cores in (1, 3):
                options = {"payload_samples": 100, "workers": cores, "overwrite": True}
                n1store.encode_file(path, path.with_suffix(".n1"), **options)
                assert path.with_suffix(".n1").read_bytes() == content
                with Workers(cores) as workers:
                    assert decoded(content, workers) == path.read_bytes()


def test_progress_counts_bytes_of_samples(new_file):
    path = new_file(make.wav(make.fmt(3), make.data(make.on_grid(1000, 3))))
    packed, seen = path.with_suffix(".n1"), []

    def progress(done, total):
        seen.append((done, total))

    n1store.encode_file(path, packed, payload_samples=100, progress=progress)
    assert seen == [(600 * step, 6000) for step in range(11)]
    seen.clear()
    n1store.decode_file(packed, path.with_suffix(".back"), progress=progress)
    assert seen == [(600 * step, 6000) for step in range(11)]


def test_memory_does_not_grow_with_the_file(new_file, tmp_path):
    samples = np.resize(make.on_grid(9_999), (4_000_000, 1))
    path = new_file(make.wav(make.fmt(), make.data(samples)))
    tracemalloc.start()
    try:
        n1store.encode_file(path, tmp_path / "x.n1", payload_samples=10_000, workers=2)
        n1store.decode_file(tmp_path / "x.n1", tmp_path / "x.wav", workers=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "x.wav").read_bytes() == path.read_bytes()
    assert peak < samples.nbytes / 8


# Sources that are refused


REFUSED = {
    "24 bits": make.wav(make.fmt(bits=24), make.data(bytes(99))),
    "8 bits": make.wav(make.fmt(bits=8), make.data(bytes(99))),
    "float": make.wav(make.fmt(tag=3, bits=32), make.data(bytes(400))),
    "extensible float": make.wav(
        make.extensible_fmt(guid=make.FLOAT_GUID, bits=32), make.data(bytes(400))
    ),
    "1025 channels": make.wav(make.fmt(1025), make.data(make.noise(2, 1025))),
    "truncated": make.wav(make.fmt(), make.data(make.noise(99)))[:-1],
    "big-endian": make.wav(make.fmt(), make.data(make.noise(9)), container=b"RIFX"),
    "two data chunks": make.wav(make.fmt(), *[make.data(make.noise(9))] * 2),
    "no data chunk": make.wav(make.fmt()),
    "no fmt chunk": make.wav(make.data(make.noise(9))),
    "unfinished": make.wav(make.fmt(), make.data(make.noise(9999), size=0)),
    "empty": b"",
    "text": b"text",
    "n1": by_hand(n1_encode(make.on_grid(100)), samples=100),
}


@pytest.mark.parametrize("case", REFUSED)
def test_encode_refuses_what_convert_refuses_in_the_same_words(fails, tmp_path, case):
    path = tmp_path / "x.wav"
    path.write_bytes(REFUSED[case])
    line = fails("encode", path, tmp_path / "x.n1")
    assert line.startswith(f"{path}: ")
    assert line == fails("convert", path, tmp_path / "x.zarr", "--codec", "zstd")
    assert names(tmp_path) == ["x.wav"]


def test_sources_that_are_no_files(fails, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    before = names(tmp_path)
    for name in ("pipe", "folder", "missing"):
        for command in ("encode", "decode"):
            with time_limit(5):
                line = fails(command, tmp_path / name, tmp_path / "out")
            assert line.startswith(f"{tmp_path / name}: ")
    assert names(tmp_path) == before


# Destinations


@pytest.fixture
def pair(tmp_path):
    """Give a WAV file and the .n1 file of another."""
    for name, seed in (("old", 1), ("new", 2)):
        write_wav(tmp_path / f"{name}.wav", make.on_grid(300, 2, seed))
    n1store.encode_file(tmp_path / "old.wav", tmp_path / "old.n1")
    n1store.encode_file(tmp_path / "new.wav", tmp_path / "new.n1")
    return tmp_path


def sources_and_destinations(folder):
    return (
        ("encode", folder / "new.wav", folder / "old.n1", (folder / "new.n1").read_bytes()),
        ("decode", folder / "new.n1", folder / "old.wav", (folder / "new.wav").read_bytes()),
    )


def test_what_exists_is_replaced_only_when_asked(run, fails, pair):
    listing = names(pair)
    for command, source, destination, expected in sources_and_destinations(pair):
        before = destination.read_bytes()
        line = fails(command, source, destination)
        assert line == f"{destination}: exists already; --overwrite replaces it"
        assert destination.read_bytes() == before != expected
        run(command, source, destination, "--overwrite")
        assert destination.read_bytes() == expected
    assert names(pair) == listing


def test_a_failure_leaves_what_was_there(fails, pair, monkeypatch):
    def fail(*_):
        raise N1StoreError("fails")

    listing = names(pair)
    with monkeypatch.context() as patch:
        patch.setattr(WavFile, "read", fail)
        patch.setattr(n1file, "n1_decode", fail)
        for command, source, destination, _ in sources_and_destinations(pair):
            before = destination.read_bytes()
            assert fails(command, source, destination, "--overwrite").endswith("fails")
            assert destination.read_bytes() == before
            new = pair / "new"
            fails(command, source, new)
            assert not new.exists()
    assert names(pair) == listing


def test_an_interrupt_leaves_nothing(run, pair, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    listing = names(pair)
    with monkeypatch.context() as patch:
        patch.setattr(WavFile, "read", interrupt)
        patch.setattr(n1file, "n1_decode", interrupt)
        for command, source, _, _ in sources_and_destinations(pair):
            result = run(command, source, pair / "new", exit_code=130)
            assert "interrupted" in result.stderr
    assert names(pair) == listing


def test_only_files_are_replaced(fails, pair):
    (pair / "folder").mkdir()
    (pair / "folder" / "precious").write_bytes(b"precious")
    (pair / "link").symlink_to("folder")
    os.mkfifo(pair / "pipe")
    listing = names(pair)
    for command, source, _, _ in sources_and_destinations(pair):
        for name in ("folder", "link", "pipe"):
            line = fails(command, source, pair / name, "--overwrite")
            assert line.startswith(f"{pair / name}: ")
        line = fails(command, source, pair / "missing" / "x")
        assert str(pair / "missing") in line
    assert names(pair) == listing
    assert names(pair / "folder") == ["precious"]


def test_a_source_is_never_replaced(fails, pair):
    (pair / "link").symlink_to("new.wav")
    (pair / "hard").hardlink_to(pair / "new.wav")
    (pair / "link.n1").symlink_to("new.n1")
    listing = names(pair)
    for command, source, destination in (
        ("encode", "new.wav", "new.wav"),
        ("encode", "link", "new.wav"),
        ("encode", "new.wav", "link"),
        ("encode", "new.wav", "hard"),
        ("decode", "new.n1", "new.n1"),
        ("decode", "link.n1", "new.n1"),
    ):
        before = (pair / source).read_bytes()
        line = fails(command, pair / source, pair / destination, "--overwrite")
        assert "the source itself" in line
        assert (pair / source).read_bytes() == before
    assert names(pair) == listing


def test_a_wrong_level_or_table_writes_nothing(pair):
    listing = names(pair)
    for payload_samples in (0, -1):
        with pytest.raises(N1StoreError, match="1 sample or more"):
            n1store.encode_file(pair / "new.wav", pair / "x.n1", payload_samples=payload_samples)
    for options in ({"level": 0}, {"level": 4}, {"widths": b""}, {"widths": bytes(1023)}):
        with pytest.raises(N1StoreError):
            n1store.encode_file(pair / "new.wav", pair / "x.n1", **options)
        with pytest.raises(N1StoreError):
            n1store.evaluate(pair / "new.wav", **options)
    assert names(pair) == listing


# The command line


def test_encode_decode_and_info(run, run_json, pair):
    wav, packed, back = pair / "new.wav", pair / "x.n1", pair / "x.wav"
    content = run_json("encode", wav, packed, "--level", 3)
    assert content["n1_bytes"] == packed.stat().st_size
    assert content["wav_bytes"] == wav.stat().st_size
    assert content["ratio"] == content["wav_bytes"] / content["n1_bytes"]
    shown = run_json("info", packed)
    assert shown == {**content, "file": str(packed)}
    assert run_json("decode", packed, back) == {**content, "file": str(back)}
    assert back.read_bytes() == wav.read_bytes()
    text = run("decode", packed, back, "--overwrite").stdout
    assert text.startswith(f"{back}: 300 samples, channels: 2, ")
    assert f"ratio {content['ratio']:.3f}\n" in text
    text = run("info", packed, "--chunks").stdout
    assert "300 samples" in text
    assert f"{read_n1_info(packed).payload_bytes}" in text
    (payload,) = run_json("info", packed, "--chunks")["payloads"]
    assert payload == {"num_samples": 300, "bytes": content["payload_bytes"]}


@pytest.fixture(scope="module")
def widths_file(tmp_path_factory, recordings):
    from n1store.implant.training import train_to_file

    path = tmp_path_factory.mktemp("widths") / "widths.json"
    train_to_file(sorted(recordings.glob("*.wav"))[:2], path)
    return path


def test_a_table_of_widths(run, fails, run_json, recordings, widths_file, tmp_path):
    source = min(recordings.glob("*.wav"))
    run("encode", source, tmp_path / "x.n1", "--widths", widths_file)
    assert (
        deflate(bytes(json.loads(widths_file.read_text())["widths"]))
        in (tmp_path / "x.n1").read_bytes()
    )
    run("decode", tmp_path / "x.n1", tmp_path / "x.wav")
    assert (tmp_path / "x.wav").read_bytes() == source.read_bytes()
    (file,) = run_json("eval", source, "--widths", widths_file)["files"]
    assert file["n1_bytes"] == (tmp_path / "x.n1").stat().st_size
    (tmp_path / "wrong.json").write_text("{}")
    for name in ("wrong.json", "missing.json"):
        for arguments in (["encode", source, tmp_path / "y.n1"], ["eval", source]):
            line = fails(*arguments, "--widths", tmp_path / name)
            assert name in line
    assert names(tmp_path) == ["wrong.json", "x.n1", "x.wav"]


def shell(command, folder, **options):
    scripts = str(Path(sys.executable).parent)
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": scripts + os.pathsep + os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **options,
    )


def test_from_a_real_shell(recordings, tmp_path):
    source = min(recordings.glob("*.wav"))
    shutil.copy(source, tmp_path / "in.wav")
    result = shell(
        "n1store encode in.wav out.n1 && n1store decode out.n1 out.wav && cmp in.wav out.wav"
        " && n1store eval .",
        tmp_path,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "2 of 2 files came back identical" in result.stdout
    assert (tmp_path / "out.wav").read_bytes() == source.read_bytes()
    result = shell("n1store decode in.wav new.wav", tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: in.wav: ")
    assert names(tmp_path) == ["in.wav", "out.n1", "out.wav"]


def test_a_file_that_may_not_become_so_large(recordings, tmp_path):
    shutil.copy(min(recordings.glob("*.wav")), tmp_path / "in.wav")
    n1store.encode_file(tmp_path / "in.wav", tmp_path / "in.n1")
    for command in ("encode in.wav out", "decode in.n1 out"):
        # Nor may a file in which what coverage has counted is kept.
        limits = "ulimit -f 20; unset COVERAGE_PROCESS_CONFIG COVERAGE_PROCESS_START"
        result = shell(f"{limits}; exec n1store {command}", tmp_path)
        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 1
        assert result.stderr.startswith("Error: ")
    assert names(tmp_path) == ["in.n1", "in.wav"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing(tmp_path, number):
    wav = make.wav(make.fmt(), make.data(b"", size=2**31))
    with (tmp_path / "in.wav").open("wb") as file:
        file.write(struct.pack("<4sI", b"RIFF", 36 + 2**31) + wav[8:])
        file.truncate(44 + 2**31)
    script = f"{HEED_SIGNALS}\nfrom n1store.cli.commands import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", script, "encode", "in.wav", "out.n1"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / ".out.n1.partial").exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert names(tmp_path) == ["in.wav"]
