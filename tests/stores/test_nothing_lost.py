"""Whatever stops a conversion, sources and older results stay, and nothing half-done does."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import n1store
from installed import ZARR_FORMATS, needs_zarr3
from make_wav import read_wav_independently, write_wav
from n1store.errors import N1StoreError
from n1store.sources.wav import WavError, WavFile
from n1store.system.atomic import replacing
from processes import HEED_SIGNALS, ForkedCommand

SCRIPT = f"{HEED_SIGNALS}\nfrom n1store.cli.commands import main; main()"
COMMAND = [sys.executable, "-P", "-c", SCRIPT]
SUFFIXES = [".zarr", ".zarr.zip", ".nwb"]
SLOW = ["--codec", "bz2", "--chunk-seconds", "0.2", "--workers", "1"]
FAST = ["--codec", "zstd", "--chunk-seconds", "0.05", "--workers", "1"]

both_kinds = pytest.mark.parametrize("suffix", SUFFIXES)


def noise(num_samples, num_channels, seed=0):
    codes = np.random.default_rng(seed).integers(-512, 512, (num_samples, num_channels))
    return (64 * codes).astype("<i2")


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """Give a file that takes SLOW many seconds to convert, which no test waits for."""
    return write_wav(tmp_path_factory.mktemp("big") / "big.wav", noise(700_000, 16))


@pytest.fixture(scope="module")
def unchanged(big):
    """Give the snapshot of that file, which is to stay as it is."""
    return snapshot(big)


@pytest.fixture
def small(tmp_path):
    return write_wav(tmp_path / "sources" / "small.wav", noise(3000, 2))


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def snapshot(path):
    """Return all that is at a path: a hash of the content of each file, links, times."""
    paths = sorted(path.rglob("*")) if path.is_dir() and not path.is_symlink() else []
    return {str(entry): describe(entry) for entry in [path, *paths]}


def describe(path):
    if path.is_symlink():
        return os.readlink(path)
    status = path.stat()
    content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    return content, status.st_mtime_ns, status.st_ino


def start_anew(*arguments):
    """Start a command in a process that has imported nothing."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process):
    """Wait for a process; return its exit code and lines on standard error."""
    try:
        _, errors = process.communicate(timeout=120)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, errors.splitlines()


def convert(*arguments, **options):
    return end(ForkedCommand("convert", *arguments, **options))


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (result := condition()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return result


def wait_for_partial(process, folder):
    def begun():
        # What is in it is made when it is locked.
        return process.poll() is not None or any(folder.glob(".*.partial/*"))

    assert wait_for(begun), "wrote nothing"
    assert process.poll() is None, process.communicate()


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def members(session):
    """Return the processes of a session that are alive."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                alive.append(int(stat.parent.name))
    return alive


def assert_one_line(lines, *words):
    assert len(lines) == 1, "\n".join(lines)
    assert lines[0].startswith("Error: ")
    for word in words:
        assert word in lines[0]


def assert_interrupted(code, lines):
    assert_one_line(lines, "interrupted")
    assert code == 130


# Stopped from outside


@both_kinds
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(("delay", "overwrite"), [(0, False), (0.1, True), (0.3, False)])
def test_a_signal_leaves_what_was_there(big, unchanged, out, suffix, number, delay, overwrite):
    destination = out / f"x{suffix}"
    if overwrite:
        small = write_wav(out.parent / "old.wav", noise(100, 1))
        n1store.convert(small, destination, codec="zstd")
    before = snapshot(destination) if overwrite else None
    # The first chunks of an NWB file are encoded while pynwb is imported, which takes a while.
    start = start_anew if suffix == ".nwb" and delay == 0 else ForkedCommand
    process = start("convert", big, destination, *SLOW, *["--overwrite"] * overwrite)
    wait_for_partial(process, out)
    time.sleep(delay)
    process.send_signal(number)
    code, lines = end(process)
    assert snapshot(big) == unchanged
    assert os.path.lexists(destination) == overwrite, (code, lines)
    if overwrite:
        assert snapshot(destination) == before
    if number != signal.SIGKILL:
        assert_interrupted(code, lines)
        assert names(out) == [destination.name] * overwrite
    else:
        assert code == -signal.SIGKILL
        assert any(name.endswith(".partial") for name in names(out))
        small = write_wav(out.parent / "next.wav", noise(100, 1))
        assert convert(small, destination, *FAST, *["--overwrite"] * overwrite) == (0, [])
        assert names(out) == [destination.name]
        assert n1store.verify(destination, [small]).problems == []


@both_kinds
def test_a_second_interrupt_leaves_nothing_either(big, out, suffix):
    process = ForkedCommand("convert", big, out / f"x{suffix}", *SLOW)
    wait_for_partial(process, out)
    time.sleep(0.2)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    code, lines = end(process)
    assert names(out) == []
    assert code in (130, -signal.SIGINT)  # the latter when there was nothing left to do
    assert_one_line(lines, "interrupted")


def test_an_interrupt_while_an_object_is_removed_is_not_lost():
    """Python passes on no exception of what it calls then."""
    script = f"""{HEED_SIGNALS}
import sys, time, weakref
from n1store.cli.commands import cli, main

class Removed: ...

@cli.command()
def wait():
    removed = Removed()
    reference = weakref.ref(removed, lambda _: signal.raise_signal(signal.SIGINT))
    del removed
    time.sleep(50)

sys.argv = ["n1store", "wait"]
main()
"""
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=120)
    assert_interrupted(done.returncode, done.stderr.splitlines())


@pytest.mark.slow
def test_an_interrupted_export_leaves_no_unfinished_file(out):
    store = out / "x.zarr"
    big = write_wav(out.parent / "big.wav", noise(400_000, 16))
    n1store.convert(big, store, codec="bz2", chunk_seconds=0.2)
    folder = out / "wavs"
    folder.mkdir()
    for number in (signal.SIGINT, signal.SIGTERM):
        process = ForkedCommand("export", store, folder, "--workers", 1)
        wait_for_partial(process, folder)
        process.send_signal(number)
        assert_interrupted(*end(process))
        assert names(folder) == []
    process = ForkedCommand("export", store, folder, "--workers", 1)
    wait_for_partial(process, folder)
    process.kill()
    end(process)
    assert end(ForkedCommand("export", store, folder)) == (0, [])
    assert names(folder) == ["big.wav"]
    assert (folder / "big.wav").read_bytes() == big.read_bytes()


@pytest.mark.parametrize(
    ("number", "whole_group", "delay"),
    [
        (signal.SIGINT, True, 0.2),
        (signal.SIGTERM, True, 0.3),
        (signal.SIGKILL, False, 0.3),
    ],
)
def test_no_process_outlives_the_conversion(big, out, number, whole_group, delay):
    process = ForkedCommand("convert", big, out / "x.zarr", *SLOW)
    try:
        wait_for_partial(process, out)
        time.sleep(delay)
        assert process.poll() is None, "was over too soon to test anything"
        (os.killpg if whole_group else os.kill)(process.pid, number)
        assert wait_for(lambda: process.poll() is not None), "does not end"
        assert wait_for(lambda: not members(process.pid)), "leaves processes behind"
        code, lines = end(process)
    finally:
        for member in members(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
    assert not (out / "x.zarr").exists()
    if number != signal.SIGKILL:
        assert_interrupted(code, lines)
        assert names(out) == []


# Failing writes


@contextlib.contextmanager
def full_disk(folder, size):
    """Mount a disk of few bytes at a folder, where one may; else limit the size of files."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "n1store-test", folder]
    mounted = (
        os.geteuid() == 0
        and shutil.which("mount")
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )

    try:
        yield {} if mounted else {"file_size": size // 4}
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)


@both_kinds
@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("limited", ["disk", "file"])
def test_a_full_disk(big, out, suffix, shards, limited):
    if shards and (3 not in ZARR_FORMATS or suffix == ".nwb"):
        pytest.skip("shards need zarr 3")
    # Without shards, only the zip file is large enough for a limit on a file's size.
    seconds = 1.0 if limited == "file" else 0.05
    options = ["--codec", "zstd", "--chunk-seconds", seconds, "--workers", "1"]
    options += ["--shard-seconds", 3 * seconds] if shards else []
    disk = full_disk(out, 4_000_000) if limited == "disk" else contextlib.nullcontext({})
    with disk as process_options:
        if limited == "file":
            process_options = {"file_size": 300_000}
        code, lines = convert(big, out / f"x{suffix}", *options, **process_options)
        assert_one_line(lines, "space" if limited == "disk" and not process_options else "")
        assert code == 1
        assert names(out) == []


@both_kinds
def test_a_full_disk_keeps_the_old_store(big, out, suffix, small):
    destination = out / f"x{suffix}"
    with full_disk(out, 4_000_000) as process_options:
        n1store.convert(small, destination, codec="zstd")
        before = snapshot(destination)
        code, lines = convert(big, destination, *FAST, "--overwrite", **process_options)
        assert_one_line(lines)
        assert code == 1
        assert snapshot(destination) == before
        assert names(out) == [destination.name]


def test_a_full_disk_while_exporting(big, out):
    n1store.convert(big, out / "x.zarr", codec="zstd")
    with full_disk(out / "wavs", 4_000_000) as process_options:
        code, lines = end(ForkedCommand("export", out / "x.zarr", out / "wavs", **process_options))
        assert_one_line(lines)
        assert code == 1
        assert names(out / "wavs") == []


def test_a_full_disk_is_named_by_what_was_to_be_written(small, out):
    with full_disk(out, 4096) as process_options:
        code, lines = end(ForkedCommand("encode", small, out / "x.n1", **process_options))
        assert_one_line(lines, str(out / "x.n1"))
        assert code == 1
        assert names(out) == []


# Destinations


def make_folder(path):
    path.mkdir()
    (path / "precious").write_bytes(b"precious")


def make_link(path):
    target = path.with_name("target")
    make_folder(target)
    path.symlink_to(target)


def make_store(path):
    make_folder(path)
    (path / ".zgroup").write_text('{"zarr_format": 2}')


KINDS = {
    "folder": make_store,
    "empty folder": lambda path: path.mkdir(),
    "file": lambda path: path.write_bytes(b"precious"),
    "link": make_link,
    "dangling link": lambda path: path.symlink_to("nowhere"),
}


@both_kinds
@pytest.mark.parametrize("kind", KINDS)
def test_what_exists_is_replaced_only_when_asked_and_only_by_a_whole_store(
    run, small, out, suffix, kind, monkeypatch
):
    destination = out / f"x{suffix}"
    KINDS[kind](destination)
    before, listing = snapshot(out), names(out)
    message = run("convert", small, destination, "--codec", "zstd", exit_code=1).stderr
    assert_one_line(message.splitlines(), str(destination), "--overwrite")
    assert snapshot(out) == before

    def fail(*_):
        raise WavError(small, "fails")

    with monkeypatch.context() as patch:
        patch.setattr(WavFile, "read", fail)
        run("convert", small, destination, "--codec", "zstd", "--overwrite", exit_code=1)
    after = snapshot(out)
    del before[str(out)], after[str(out)]  # whose time of change may differ
    assert after == before

    run("convert", small, destination, "--codec", "zstd", "--overwrite")
    assert names(out) == listing
    assert not destination.is_symlink()
    assert n1store.verify(destination, [small]).problems == []
    if kind == "link":
        assert names(out / "target") == ["precious"]


@both_kinds
def test_a_folder_that_is_no_store_is_not_replaced(run, small, out, suffix):
    make_folder(out / f"x{suffix}")
    before = snapshot(out / f"x{suffix}")
    message = run("convert", small, out / f"x{suffix}", "--overwrite", exit_code=1).stderr
    assert_one_line(message.splitlines(), f"{out}/x{suffix}: is a folder", "precious", "no store")
    assert snapshot(out / f"x{suffix}") == before
    assert names(out) == [f"x{suffix}"]


def test_no_file_takes_the_place_of_a_folder_that_is_no_store(run, small, out):
    n1store.convert(small, out / "x.nwb", codec="zlib")
    run("encode", small, out / "x.n1")
    for arguments in (
        ("reference", out / "x.nwb", out / "precious.json"),
        ("train", small, "-o", out / "precious.json"),
        ("encode", small, out / "precious.n1"),
        ("decode", out / "x.n1", out / "precious.wav"),
        ("export", out / "x.nwb", out / "wavs"),
    ):
        folder = out / "wavs/small.wav" if arguments[0] == "export" else arguments[-1]
        folder.parent.mkdir(exist_ok=True)
        make_folder(folder)
        before = snapshot(folder)
        message = run(*arguments, "--overwrite", exit_code=1).stderr
        assert_one_line(message.splitlines(), f"{folder}: is no file that could be replaced")
        assert snapshot(folder) == before
        shutil.rmtree(folder)


def test_what_appears_meanwhile_is_not_replaced(out):
    with pytest.raises(N1StoreError, match="meanwhile"), replacing(out / "x") as temporary:
        temporary.write_text("new")
        (out / "x").write_text("someone else's")
    assert (out / "x").read_text() == "someone else's"
    assert names(out) == ["x"]


@both_kinds
def test_a_parent_that_is_missing_or_no_folder(run, small, out, suffix):
    (out / "file").write_bytes(b"")
    for parent in (out / "missing", out / "file"):
        message = run("convert", small, parent / f"x{suffix}", "--codec", "zstd", exit_code=1)
        assert_one_line(message.stderr.splitlines(), str(parent))
    assert names(out) == ["file"]


@both_kinds
def test_a_parent_that_is_read_only(small, out, suffix):
    command = ["mount", "-t", "tmpfs", "-o", "ro", "n1store-test", out]
    if os.geteuid() != 0:
        out.chmod(0o555)
    elif subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("root can write everywhere, and may not mount")
    try:
        code, lines = convert(small, out / f"x{suffix}", *FAST)
        assert_one_line(lines, str(out))
        assert code == 1
        assert names(out) == []
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", out], check=True)


@both_kinds
def test_sources_are_never_replaced(run, small, tmp_path, suffix):
    inside = tmp_path / f"x{suffix}"
    inside.mkdir()
    shutil.copy2(small, inside / "inside.wav")
    itself = shutil.copy2(small, tmp_path / f"itself{suffix}")
    link = tmp_path / "link"
    link.symlink_to(inside)
    before = snapshot(tmp_path)
    for source, destination in (
        (inside, inside),
        (inside / "inside.wav", inside),
        (link / "inside.wav", inside),
        (itself, itself),
    ):
        arguments = "convert", source, destination, "--codec", "zstd", "--overwrite"
        assert_one_line(run(*arguments, exit_code=1).stderr.splitlines(), str(destination))
        assert snapshot(tmp_path) == before


@both_kinds
def test_a_linked_source_inside_the_destination_is_not_removed(run, small, tmp_path, suffix):
    destination = tmp_path / f"x{suffix}"
    destination.mkdir()
    (destination / "link.wav").symlink_to(small)
    before = snapshot(tmp_path)
    run("convert", destination, destination, "--codec", "zstd", "--overwrite", exit_code=1)
    assert snapshot(tmp_path) == before


@both_kinds
def test_a_destination_among_the_sources(run, small, suffix):
    before = snapshot(small)
    destination = small.parent / f"x{suffix}"
    run("convert", small.parent, destination, "--codec", "zstd")
    run("convert", small.parent, destination, "--codec", "zstd", "--overwrite")
    with n1store.open(destination) as store:
        assert list(store) == ["small"]
    assert names(small.parent) == ["small.wav", destination.name]
    assert snapshot(small) == before


@pytest.mark.slow
@both_kinds
def test_a_second_writer_is_refused(big, small, out, suffix):
    destination = out / f"x{suffix}"
    for _ in range(5):  # on a busy machine, it may be over before it is stopped
        first = ForkedCommand("convert", big, destination, *FAST, "--overwrite")
        wait_for_partial(first, out)
        first.send_signal(signal.SIGSTOP)
        if any(out.glob(".*.partial/*")):
            break
        first.send_signal(signal.SIGCONT)
        end(first)
    code, lines = convert(small, destination, *FAST, "--overwrite")
    first.send_signal(signal.SIGCONT)
    assert_one_line(lines, str(destination), "another process")
    assert code == 1
    assert end(first) == (0, [])
    assert names(out) == [destination.name]
    assert n1store.verify(destination, [big]).problems == []


@pytest.mark.slow
@both_kinds
def test_one_of_two_that_start_together_wins(small, out, suffix):
    destination = out / f"x{suffix}"
    ends = [end(p) for p in [ForkedCommand("convert", small, destination, *FAST) for _ in range(4)]]
    assert sorted(code for code, _ in ends) == [0, 1, 1, 1]
    for code, lines in ends:
        if code:
            assert_one_line(lines, str(destination))
    assert names(out) == [destination.name]
    assert n1store.verify(destination, [small]).problems == []


def test_a_writer_of_another_name_is_no_second_writer(small, out):
    with replacing(out / "x.zarr.zip"):
        n1store.convert(small, out / "x.zarr", codec="zstd")
    assert names(out) == ["x.zarr", "x.zarr.zip"]


@both_kinds
def test_nothing_is_removed_that_no_writer_left(small, out, suffix):
    kept = [f".x{suffix}.notes.partial", f".x{suffix}.1.old.partial", f".y{suffix}.1.partial"]
    for name in kept:
        (out / name).write_bytes(b"precious")
    (out / f".x{suffix}.partial").mkdir()
    n1store.convert(small, out / f"x{suffix}", codec="zstd")
    assert names(out) == sorted([*kept, f"x{suffix}"])


# Failing sources


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Give a folder of three files whose second becomes shorter at its second block."""
    folder = tmp_path_factory.mktemp("three")
    for name in "abc":
        write_wav(folder / f"{name}.wav", noise(1_200_000, 2, seed=ord(name)))
    return folder


@pytest.fixture
def shrinking(monkeypatch):
    read = WavFile.read

    def shrink(self, start, stop):
        if self.path.stem == "b" and start > 0:
            raise WavError(self.path, "became shorter while it was read")
        return read(self, start, stop)

    monkeypatch.setattr(WavFile, "read", shrink)


SHARDS = [pytest.param([], id="chunks")]
SHARDS += [pytest.param(["--shard-seconds", 6], id="shards", marks=needs_zarr3)]


@both_kinds
@pytest.mark.parametrize("options", SHARDS)
@pytest.mark.usefixtures("shrinking")
def test_a_source_that_becomes_shorter(run, three, out, suffix, options):
    if options and suffix == ".nwb":
        pytest.skip("an NWB file has no shards")
    destination = out / f"x{suffix}"
    options = "--codec", "zstd", "--chunk-seconds", 1, "--workers", 2, *options
    arguments = "convert", three, destination, *options
    message = run(*arguments, exit_code=1).stderr
    assert_one_line(message.splitlines(), "b.wav", "shorter")
    assert names(out) == []
    message = run(*arguments, "--on-error", "skip", exit_code=3).stderr
    assert message.count("\n") == 1
    assert "b.wav" in message
    assert names(out) == [destination.name]
    with n1store.open(destination) as store:
        assert list(store) == ["a", "c"]
        for name in store:
            expected, _ = read_wav_independently(three / f"{name}.wav")
            np.testing.assert_array_equal(store[name].traces[:], expected)
    assert n1store.verify(destination, [three / "a.wav", three / "c.wav"]).problems == []
    run("info", destination)
    files = json.loads(run("export", destination, out / "wavs", "--json").stdout)["files"]
    assert [Path(file).read_bytes() for file in files] == [
        (three / f"{name}.wav").read_bytes() for name in "ac"
    ]


@both_kinds
@pytest.mark.usefixtures("shrinking")
def test_a_source_that_becomes_shorter_among_channels(run, three, out, suffix):
    options = "--codec", "zstd", "--chunk-seconds", 1, "--layout", "channels", "--on-error", "skip"
    message = run("convert", three, out / f"x{suffix}", *options, exit_code=1).stderr
    assert_one_line(message.splitlines(), "b.wav")
    assert names(out) == []


@both_kinds
@pytest.mark.usefixtures("shrinking")
def test_no_source_that_can_be_read(run, three, out, suffix):
    options = "--codec", "zstd", "--chunk-seconds", 1
    arguments = "convert", three / "b.wav", out / f"x{suffix}", *options
    message = run(*arguments, "--on-error", "skip", exit_code=1).stderr
    assert_one_line(message.splitlines(), "b.wav")
    assert names(out) == []


@both_kinds
def test_a_file_that_really_becomes_shorter(big, out, suffix):
    copy = shutil.copy(big, out.parent / "copy.wav")
    process = ForkedCommand("convert", copy, out / f"x{suffix}", *SLOW)
    wait_for_partial(process, out)
    os.truncate(copy, 1_000_000)
    code, lines = end(process)
    assert_one_line(lines, "copy.wav")
    assert "shorter" in lines[0] or "was changed" in lines[0]
    assert code == 1
    assert names(out) == []


def replaced(path):
    copy = shutil.copy2(path, path.with_suffix(".new"))
    os.replace(copy, path)


def appended(path):
    with path.open("ab") as file:
        file.write(b"more")


def overwritten(path):
    with path.open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(bytes(50))


def touched(path):
    os.utime(path)


def overwritten_in_secret(path):
    """With the time of before, which programs that copy files set."""
    status = os.stat(path)
    overwritten(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def many_blocks(tmp_path):
    return write_wav(tmp_path / "many.wav", noise(600_000, 8))


@pytest.mark.parametrize("layout", ["recordings", "channels"])
@pytest.mark.parametrize(
    "change", [replaced, appended, overwritten, overwritten_in_secret, touched]
)
def test_a_wav_file_that_changes_while_it_is_read(many_blocks, out, change, layout):
    """What is written would be of no file that ever was."""
    options = {"codec": "lz4", "layout": layout, "progress": lambda *_: change(many_blocks)}
    with pytest.raises(N1StoreError, match=f"{many_blocks}: was changed or replaced"):
        n1store.convert(many_blocks, out / "x.zarr", **options)
    assert names(out) == []


@pytest.mark.parametrize("change", [replaced, appended, touched])
def test_an_nwb_file_that_changes_while_it_is_read(out, change):
    path = out.parent / "x.nwb"
    wav = write_wav(out.parent / "x.wav", noise(600_000, 8))
    n1store.convert(wav, path, codec="lz4", chunk_seconds=1)
    with pytest.raises(N1StoreError, match=f"{path}: was changed or replaced"):
        n1store.convert(path, out / "x.zarr", progress=lambda *_: change(path))
    assert names(out) == []


@both_kinds
@pytest.mark.parametrize("read", ["verify", "export_wavs", "convert"])
def test_a_store_that_is_replaced_while_it_is_read(out, suffix, read):
    """Parts of one and of the other make none."""
    stores = []
    for seed in (1, 2):
        wavs = out.parent / f"wavs-{seed}"
        for name in "ab":
            write_wav(wavs / f"{name}.wav", noise(1000, 2, seed))
        stores.append(out.parent / f"{seed}{suffix}")
        n1store.convert(wavs, stores[-1], codec="zstd")
    replaced = []

    def replace(*_):
        if not replaced:
            stores[0].rename(out.parent / "old")
            replaced.append(stores[1].rename(stores[0]))

    more = {"verify": [], "export_wavs": [out / "wavs"], "convert": [out / "y.zarr"]}[read]
    with pytest.raises(N1StoreError, match=f"^{stores[0]}: was changed or replaced while"):
        getattr(n1store, read)(stores[0], *more, progress=replace)
    assert not list(out.rglob("*.wav")) and not (out / "y.zarr").exists()


# Export


def edit_sources(store, edit):
    """Change what a store says of its source files."""
    for path in [*store.rglob("zarr.json"), *store.rglob(".zattrs"), *store.rglob(".zmetadata")]:
        content = json.loads(path.read_text())
        nodes = content.get("metadata", {}) if path.name == ".zmetadata" else {"": content}
        for node in nodes.values():
            for source in node.get("attributes", node).get("sources", []):
                edit(source)
        path.write_text(json.dumps(content))


def test_existing_wavs_are_kept(run, small, out):
    n1store.convert(small, out / "x.zarr", codec="zstd")
    target = out / "wavs" / "small.wav"
    target.parent.mkdir()
    target.write_bytes(b"precious")
    message = run("export", out / "x.zarr", target.parent, exit_code=1).stderr
    assert_one_line(message.splitlines(), str(target), "--overwrite")
    assert target.read_bytes() == b"precious"
    run("export", out / "x.zarr", target.parent, "--overwrite")
    assert target.read_bytes() == small.read_bytes()
    assert names(target.parent) == ["small.wav"]


@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
def test_a_failed_export_keeps_what_was_there(run, small, out, zarr_format):
    n1store.convert(small, out / "x.zarr", codec="zstd", zarr_format=zarr_format)
    edit_sources(out / "x.zarr", lambda source: source.update(sha256="0" * 64))
    target = out / "wavs" / "small.wav"
    message = run("export", out / "x.zarr", target.parent, exit_code=1).stderr
    assert_one_line(message.splitlines(), "small.wav")
    assert names(target.parent) == []
    target.write_bytes(b"precious")
    run("export", out / "x.zarr", target.parent, "--overwrite", exit_code=1)
    assert target.read_bytes() == b"precious"
    assert names(target.parent) == ["small.wav"]


@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
@pytest.mark.parametrize(
    "name",
    ["../../evil.wav", "a/../../evil.wav", "{out}/evil.wav", "..", ".", "", "a\0.wav", 7, None],
)
def test_a_hostile_name_is_refused(run, small, out, zarr_format, name):
    n1store.convert(small, out / "x.zarr", codec="zstd", zarr_format=zarr_format)
    if isinstance(name, str):
        name = name.replace("{out}", str(out))
    edit_sources(out / "x.zarr", lambda source: source.update(file=name))
    message = run("export", out / "x.zarr", out / "in" / "wavs", exit_code=1).stderr
    assert_one_line(message.splitlines())
    assert not list(out.parent.rglob("*evil*"))
    assert names(out / "in" / "wavs") == []


def test_names_that_begin_alike_are_exported_together(run, tmp_path):
    files = [
        write_wav(tmp_path / "in" / f"{name}.wav", noise(100, 1, seed))
        for seed, name in enumerate(["a.wav.1", "a"])
    ]
    n1store.convert(files, tmp_path / "x.zarr", codec="zstd", layout="channels")
    run("export", tmp_path / "x.zarr", tmp_path / "out")
    for file in files:
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("folder", [False, True])
def test_an_interrupt_while_an_output_is_begun_leaves_nothing(tmp_path, monkeypatch, folder):
    lock = fcntl.flock
    for before in (True, False):

        def interrupt(*arguments, before=before):
            monkeypatch.setattr(fcntl, "flock", lock)
            if not before:
                lock(*arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(fcntl, "flock", interrupt)
        with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "x", folder=folder):
            pytest.fail("it goes on")
        assert not list(tmp_path.iterdir())
