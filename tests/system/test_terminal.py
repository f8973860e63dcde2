"""What commands show on a terminal: lines that fit it, and how far a long job has come."""

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import threading

import pytest

import n1store
from n1store.cli.layout import fitted, table_lines
from n1store.codecs.catalogue import CATALOGUE
from n1store.implant.training import train


def on_terminal(*arguments, width=80):
    """Run a command on a terminal of this width; return what that was sent."""
    arguments = [sys.executable, "-P", "-m", "n1store", *map(str, arguments)]
    process, terminal = pty.fork()
    if process == 0:
        # The width is set before the command looks at it.
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
        os.execve(sys.executable, arguments, environment | {"TERM": "xterm"})
    watch = threading.Timer(60, os.kill, (process, 9))
    watch.start()
    content = b""
    while part := _read(terminal):
        content += part
    watch.cancel()
    os.close(terminal)
    assert os.waitpid(process, 0)[1] == 0, content
    return content.decode().replace("\r\n", "\n")


def _read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # the end of a terminal
        return b""


@pytest.fixture
def few(recordings, tmp_path):
    """Give a folder of two recordings and a store of them."""
    folder = tmp_path / "data"
    folder.mkdir()
    for path in sorted(recordings.iterdir())[:2]:
        (folder / path.name).write_bytes(path.read_bytes())
    codec = "delta+blosc:cname=zstd,clevel=9,shuffle=bitshuffle"
    n1store.convert(folder, tmp_path / "few.zarr", codec=codec)
    return folder, tmp_path / "few.zarr"


@pytest.mark.slow
def test_listings_fit_a_terminal_and_lose_no_word(few, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments, width in (
        (["codecs"], 80),
        (["codecs"], 120),
        (["info", "few.zarr", "--chunks"], 80),
    ):
        shown, piped = on_terminal(*arguments, width=width), run(*arguments).stdout
        assert max(map(len, shown.splitlines())) <= width
        assert shown.split() == piped.split()
    lines = run("codecs").stdout.splitlines()[1:]
    assert {line.split()[0] for line in lines[: len(CATALOGUE)]} == CATALOGUE.keys()
    shown = on_terminal("bench", "few.zarr", "--windows", "2")
    assert max(map(len, shown.splitlines())) <= 80
    # What is to be copied is in one piece, however long.
    explained = on_terminal("codecs", "blosc", width=60)
    assert "n1store convert data/ out.zarr --codec blosc:cname=zstd,clevel=5,shu" in explained
    assert len([line for line in explained.splitlines() if len(line) > 60]) == 2


@pytest.mark.slow
def test_a_job_says_that_it_looks_for_recordings_and_then_how_far_it_is(few, tmp_path):
    folder, store = few
    for arguments, what in (
        (["convert", folder, tmp_path / "out.zarr"], "converting"),
        (["verify", store, folder], "verifying"),
        (["export", store, tmp_path / "back"], "exporting"),
    ):
        shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", on_terminal(*arguments, width=100))
        before, _, after = shown.partition(f"{what}: looking for recordings")
        assert not before.strip() and "/?" not in shown
        assert re.search(rf"{what} ━+ +([\d.]+)/\1 ", after), shown


def test_jobs_say_first_how_much_there_is_to_do(few, tmp_path):
    folder, store = few
    wav = sorted(folder.iterdir())[0]
    for job, *arguments in (
        (n1store.convert, folder, tmp_path / "out.zarr"),
        (n1store.verify, store, folder),
        (n1store.export_wavs, store, tmp_path / "back"),
        (n1store.encode_file, wav, tmp_path / "x.n1"),
        (n1store.decode_file, tmp_path / "x.n1", tmp_path / "x.wav"),
        (n1store.evaluate, folder),
        (train, folder),
    ):
        calls = []
        job(*arguments, progress=lambda *call, calls=calls: calls.append(call))
        total = calls[-1][1]
        assert calls[0] == (0, total) and calls[-1] == (total, total) and total > 0, job


def test_lines_are_broken_between_words():
    text = "  label             one two three four five"
    assert fitted(text, None) == fitted(text, 43) == [text]
    for width in (40, 42):
        assert fitted(text, width) == ["  label             one two three four", " " * 20 + "five"]
    assert fitted(text, 30) == ["  label             one two", "  three four five"]
    assert fitted("  one two three", 9) == ["  one two", "  three"]
    assert fitted("one two three", 9) == ["one two", "  three"]
    # What is too long for a line is broken only where it can be read nevertheless.
    assert fitted("x: adc+delta+blosc:a=1,b=2 y", 15) == [
        *("x: adc+delta+", "  blosc:a=1,b=2", "  y"),
    ]
    assert fitted("a very_long_name_of_a_file b", 10) == ["a", "  very_long_name_of_a_file", "  b"]
    assert fitted("", 10) == [""]
    for width in range(1, 60):
        lines = fitted(text + " adc+n1:level=1,x=2", width)
        assert "".join(lines).replace(" ", "") == "labelonetwothreefourfiveadc+n1:level=1,x=2"


def test_tables_are_broken_in_their_widest_texts():
    header, rows = ["name", "per chunk: min", "text"], [["a", "1", "some words"], ["bb", "", "x"]]
    whole = [
        "name  per chunk: min  text",
        "a                  1  some words",
        "bb                    x",
    ]
    assert table_lines(header, rows, None) == table_lines(header, rows, 32) == whole
    assert table_lines(header, rows, 27) == [
        "name  per chunk: min  text",
        "a                  1  some",
        "                      words",
        "bb                    x",
    ]
    assert table_lines(header, rows, 19) == [
        "name     per  text",
        "      chunk:",
        "         min",
        "a          1  some",
        "              words",
        "bb            x",
    ]
    assert table_lines(header, [], 80) == ["name  per chunk: min  text"]
