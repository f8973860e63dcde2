"""Outputs appear whole on every file system, and nothing is removed that n1store did not make."""

import dis
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import n1store
from cases import case
from make_wav import on_grid, write_wav
from n1store.errors import N1StoreError
from n1store.system import atomic
from n1store.system.atomic import end_interrupted, interrupted, replacing

# A libc of a file system that cannot exchange two names; the variable has it end the process when
# what stood at the destination was put aside.
WITHOUT_EXCHANGE = """
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    errno = EINVAL;
    return -1;
}

int rename(const char *old, const char *new) {
    const long result = syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
    if (getenv("STOP_WHEN_ASIDE") && strstr(new, "/old-")) raise(SIGKILL);
    return (int)result;
}
"""
OLD, NEW = on_grid(300, 1, 1), on_grid(500, 2, 2)


@pytest.fixture(scope="module")
def without_exchange(tmp_path_factory):
    """Give a function that runs a command on such a file system."""
    folder = tmp_path_factory.mktemp("preloaded")
    (folder / "rename.c").write_text(WITHOUT_EXCHANGE)
    compiler = os.environ.get("CC", "cc").split()
    library = folder / "rename.so"
    subprocess.run([*compiler, "-shared", "-fPIC", "-o", library, folder / "rename.c"], check=True)

    def run(*arguments, **variables):
        script = "from n1store.cli.commands import main; main()"
        return subprocess.run(
            [sys.executable, "-P", "-c", script, *map(str, arguments)],
            env=os.environ | {"LD_PRELOAD": str(library)} | variables,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture
def out(tmp_path):
    """Give a folder for outputs, beside the recordings to convert."""
    write_wav(tmp_path / "old.wav", OLD, 1000)
    write_wav(tmp_path / "new.wav", NEW, 1000)
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_holds(path, name, samples):
    with n1store.open(path) as store:
        assert list(store) == [name]
        np.testing.assert_array_equal(store[name].traces[:], samples)


@pytest.mark.parametrize(
    ("suffix", "before"),
    [
        *((".zarr", before) for before in ("nothing", "file", "folder")),
        *((".zarr.zip", before) for before in ("file", "folder")),
    ],
)
def test_without_an_exchange_of_names(without_exchange, out, suffix, before):
    path = out / f"x{suffix}"
    if before == "file":
        path.write_bytes(b"old")
    elif before == "folder":
        path.mkdir()
        (path / ".zgroup").write_bytes(b"old")
    done = without_exchange("convert", out.parent / "new.wav", path, "--overwrite")
    assert (done.returncode, done.stderr) == (0, "")
    assert names(out) == [path.name]
    assert_holds(path, "new", NEW)


def test_killed_between_two_renames(without_exchange, out, fails):
    path = out / "x.zarr"
    n1store.convert(out.parent / "old.wav", path)
    arguments = "convert", out.parent / "new.wav", path
    killed = without_exchange(*arguments, "--overwrite", STOP_WHEN_ASIDE="1")
    assert killed.returncode == -signal.SIGKILL
    assert names(out) == [".x.zarr.partial"]

    # The old one is whole, and it is said where.
    line = fails("info", path, words=[path, "no such store", "is whole"])
    old = Path(line.rpartition(": ")[2])
    assert old == interrupted(path)
    assert_holds(old, "old", OLD)

    # The next writer puts it back first, if only to find that it is not to be overwritten.
    assert "exists already" in fails(*arguments)
    assert names(out) == ["x.zarr"]
    assert_holds(path, "old", OLD)
    assert interrupted(path) is None
    done = without_exchange(*arguments, "--overwrite")
    assert (done.returncode, done.stderr) == (0, "")
    assert names(out) == ["x.zarr"]
    assert_holds(path, "new", NEW)


def test_killed_between_two_renames_and_written_again(without_exchange, out):
    path = out / "x.zarr"
    n1store.convert(out.parent / "old.wav", path)
    arguments = "convert", out.parent / "new.wav", path, "--overwrite"
    for _ in range(2):
        killed = without_exchange(*arguments, STOP_WHEN_ASIDE="1")
        assert killed.returncode == -signal.SIGKILL
    assert_holds(interrupted(path), "old", OLD)
    n1store.convert(out.parent / "new.wav", path, overwrite=True)
    assert names(out) == ["x.zarr"]
    assert_holds(path, "new", NEW)


@pytest.mark.parametrize("suffix", [".zarr", ".zarr.zip", ".nwb"])
@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_what_is_in_the_way_stays(out, fails, suffix, what):
    place = out / f".x{suffix}.partial"
    elsewhere = out.parent / "elsewhere"
    if what == "file":
        place.write_bytes(b"precious")
    else:
        (elsewhere if what == "link" else place).mkdir()
        if what == "link":
            place.symlink_to(elsewhere)
        shutil.copy(out.parent / "new.wav", place / "a.wav")
    source = place / "a.wav" if what != "file" else out.parent / "new.wav"
    fails("convert", source, out / f"x{suffix}", words=[place, "was not made by n1store"])
    assert names(out) == [place.name]
    if what == "file":
        assert place.read_bytes() == b"precious"
    else:
        assert (place / "a.wav").read_bytes() == (out.parent / "new.wav").read_bytes()


def test_what_else_is_in_the_place_of_work_stays(out):
    """Only what n1store put there is removed."""
    with replacing(out / "x") as temporary:
        temporary.write_text("new")
        (temporary.parent / "precious").write_text("of somebody else")
    assert (out / "x").read_text() == "new"
    assert (out / ".x.partial/precious").read_text() == "of somebody else"
    with (
        pytest.raises(N1StoreError, match="was not made by n1store"),
        replacing(out / "x", overwrite=True),
    ):
        pass


CALLS = {code for name, code in dis.opmap.items() if name.startswith("CALL")}


class InterruptAt:
    """A trace function that raises KeyboardInterrupt at the n-th moment at which Python can.

    Python looks for signals where a function begins and where a call of one that is not written in
    Python ends; only atomic.py's own are counted.
    """

    def __init__(self, number):
        self.left = number
        self.called = None  # the frame whose call may just have ended
        self.where = None

    def __call__(self, frame, event, _):
        if frame.f_code.co_filename != atomic.__file__:
            self.called = None
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "call" or self.called is frame:
            self.left -= 1
            if self.left == 0:
                self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
                raise KeyboardInterrupt
        is_call = event == "opcode" and frame.f_code.co_code[frame.f_lasti] in CALLS
        self.called = frame if is_call else None
        return self


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("overwrite", [False, True])
def test_interrupt_at_any_moment(tmp_path, overwrite, folder):
    """What was there, or what is new; nothing else, and the next can write."""
    new, old = tmp_path / "x", tmp_path / "old"
    if folder:
        old.mkdir()
    (old / "data" if folder else old).write_text("old")
    for number in range(1, 1000):
        if overwrite:
            (shutil.copytree if folder else shutil.copy)(old, new)
        interrupt = InterruptAt(number)
        try:
            sys.settrace(interrupt)
            with replacing(new, overwrite=overwrite, folder=folder) as temporary:
                (temporary / "data" if folder else temporary).write_text("new")
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        end_interrupted()
        with case(interrupt.where):
            there = (new / "data" if folder else new).read_text() if new.exists() else None
            assert there in ("new", "old" if overwrite else None)
            assert {path.name for path in tmp_path.iterdir()} <= {"old", "x"}
            (shutil.rmtree if folder else Path.unlink)(new) if new.exists() else None
        if interrupt.where is None:
            break
    assert number > 30
    assert there == "new"


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF])
def test_a_file_system_without_locks(tmp_path, monkeypatch, code):
    def flock(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    for folder in (True, False):
        out = tmp_path / "x.zarr"
        with (
            pytest.raises(N1StoreError, match=f"{out}: its file system cannot lock"),
            replacing(out, folder=folder),
        ):
            pass
        assert names(tmp_path) == []
        end_interrupted()
