"""`n1store eval` measures what encode and decode do, and names each file that they fail with."""

import json
import os

import numpy as np
import pytest

import make_wav as make
import n1store
from make_n1 import OVERHEAD
from make_wav import write_wav
from n1store.errors import N1StoreError
from n1store.n1file import evaluation
from n1store.n1file.container import N1Info, decode_wav
from processes import run_alone, time_limit


@pytest.fixture
def pair(tmp_path):
    """Give a folder of two WAV files."""
    for name, seed in (("old", 1), ("new", 2)):
        write_wav(tmp_path / f"{name}.wav", make.on_grid(300, 2, seed))
    return tmp_path


def test_eval_measures_what_encode_writes(run, run_json, recordings, tmp_path):
    content = run_json("eval", recordings)
    sources = sorted(recordings.glob("*.wav"))
    assert [file["file"] for file in content["files"]] == [path.name for path in sources]
    assert content["problems"] == []
    for path, file in zip(sources, content["files"], strict=True):
        info = n1store.encode_file(path, tmp_path / f"{path.name}.n1")
        assert file == {**file, **info.to_dict()}
        assert file["encode_xrt"] == pytest.approx(info.duration / file["encode_ms"] * 1e3)
        assert file["decode_xrt"] == pytest.approx(info.duration / file["decode_ms"] * 1e3)
    totals = content["totals"]
    wav_bytes = sum(path.stat().st_size for path in sources)
    n1_bytes = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert (totals["wav_bytes"], totals["n1_bytes"]) == (wav_bytes, n1_bytes)
    assert totals["ratio"] == wav_bytes / n1_bytes
    samples, payloads = wav_bytes - 44 * len(sources), n1_bytes - OVERHEAD * len(sources)
    assert totals["payload_ratio"] == samples / payloads
    for what in ("encode", "decode"):
        times = [file[f"{what}_ms"] for file in content["files"]]
        assert totals[what]["seconds"] == pytest.approx(sum(times) / 1e3)
        assert totals[what]["xrt"] == pytest.approx(totals["duration_s"] / sum(times) * 1e3)
        latency = [np.mean(times), np.median(times), max(times)]
        assert list(totals[what]["latency_ms"].values()) == pytest.approx(latency)
    text = run("eval", recordings, "--workers", 2).stdout
    assert all(path.name in text for path in sources)
    assert f"ratio {totals['ratio']:.3f}\n" in text
    assert f"ratio {totals['payload_ratio']:.3f} of the 16-bit samples\n" in text


def test_eval_of_levels_and_odd_files(run_json, tmp_path):
    samples = make.on_grid(2000, 3)
    (tmp_path / "empty.wav").write_bytes(make.wav(make.fmt(3), make.data(samples[:0])))
    (tmp_path / "rf64.WAV").write_bytes(make.rf64(samples, channels=3))
    (tmp_path / "trailer.wav").write_bytes(make.wav(make.fmt(3), make.data(samples)) + b"end")
    for level in (1, 2, 3):
        content = run_json("eval", tmp_path, "--level", level)
        assert (content["level"], content["totals"]["files"]) == (level, 3)
        for file in content["files"]:
            info = n1store.encode_file(
                tmp_path / file["file"], tmp_path / "x.n1", level=level, overwrite=True
            )
            assert file == {**file, **info.to_dict()}


def test_eval_of_files_that_memory_does_not_hold(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    in_memory = n1store.evaluate(recordings)
    with pytest.raises(OSError, match="missing"):
        n1store.evaluate(recordings, memory_bytes=1000)
    monkeypatch.undo()
    in_files = n1store.evaluate(recordings, memory_bytes=1000)
    assert [each.info for each in in_files.files] == [each.info for each in in_memory.files]
    assert in_memory.problems == in_files.problems == []


def eval_fails(run, *arguments):
    """Return the lines of an evaluation that must fail, and what it printed as JSON."""
    result = run("eval", *arguments, exit_code=1)
    as_json = run("eval", *arguments, "--json", exit_code=1)
    assert as_json.stderr == result.stderr
    content = json.loads(as_json.stdout)
    assert content["problems"] == result.stderr.splitlines()
    total = content["totals"]["files"] + len(content["problems"])
    assert f"{content['totals']['files']} of {total} files came back identical" in result.stdout
    return content["problems"], content


@pytest.mark.parametrize("damage", ["sample", "header", "shorter", "longer"])
def test_eval_names_a_file_that_differs(run, pair, monkeypatch, damage):
    def decode_wrongly(file, destination, name, **options):
        info = decode_wav(file, destination, name, **options)
        if "new.wav" in name:
            end = destination.tell()
            destination.seek({"sample": end - 1, "header": 20, "longer": end}.get(damage, 0))
            destination.write(b"\x55")
            if damage == "shorter":
                destination.seek(0)
                destination.truncate(end - 1)
                destination.write(b"R")
        return info

    monkeypatch.setattr(evaluation, "decode_wav", decode_wrongly)
    (line,), content = eval_fails(run, pair)
    assert line == f"{pair / 'new.wav'}: is not the same after encoding and decoding"
    assert [file["file"] for file in content["files"]] == ["old.wav"]


def test_eval_goes_on_past_files_that_it_cannot_read(run, pair):
    (pair / "broken.wav").write_bytes((pair / "old.wav").read_bytes()[:-1])
    (pair / "empty.wav").write_bytes(b"")
    (pair / "dangling.wav").symlink_to("nowhere")
    os.mkfifo(pair / "pipe.wav")
    with time_limit(20):
        lines, content = eval_fails(run, pair)
    for line, name in zip(lines, ["broken", "dangling", "empty", "pipe"], strict=True):
        assert line.startswith(f"{pair / name}.wav: ")
    assert [file["file"] for file in content["files"]] == ["new.wav", "old.wav"]
    lines, content = eval_fails(run, pair / "empty.wav")
    assert (len(lines), content["files"]) == (1, [])


def test_eval_of_files_with_odd_names(run, pair):
    """Each keeps to its line, and none tells the terminal what to do."""
    names = ["\x1b[31mred.wav", "two\nlines.wav"]
    for name in names:
        (pair / name).write_bytes((pair / "old.wav").read_bytes())
    (pair / "no\nfile.wav").write_bytes(b"")
    result = run("eval", pair, exit_code=1)
    shown = [line.split()[0] for line in result.stdout.splitlines()[1:5]]
    mark = "\N{REPLACEMENT CHARACTER}"
    assert set(shown) == {"new.wav", "old.wav", f"{mark}[31mred.wav", f"two{mark}lines.wav"}
    assert "\x1b" not in result.stdout
    assert result.stderr == f"{pair}/no file.wav: is empty, not a WAV file\n"
    content = json.loads(run("eval", pair, "--json", exit_code=1).stdout)
    assert {file["file"] for file in content["files"]} == {"new.wav", "old.wav", *names}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_names_that_are_no_text_in_the_encoding_of_the_terminal(pair, encoding):
    script = """
        import json, sys
        from n1store.cli.commands import main

        for arguments in json.loads(sys.argv[1]):
            sys.argv = ["n1store", *arguments]
            try:
                main()
            except SystemExit as ended:
                assert not ended.code, arguments
    """
    for name in (b"\xff.wav", "日本.wav".encode()):
        (pair / os.fsdecode(name)).write_bytes((pair / "old.wav").read_bytes())
    packed = str(pair / os.fsdecode(b"\xff.n1"))
    commands = [["eval", str(pair)], ["encode", str(pair / "old.wav"), packed]]
    printed = run_alone(script, json.dumps(commands), PYTHONIOENCODING=encoding)
    evaluated, encoded = printed.split("4 of 4 files came back identical")
    assert "new.wav" in evaluated
    assert "ratio" in encoded


def test_eval_of_what_is_not_there(run, fails, tmp_path):
    assert str(tmp_path) in fails("eval", tmp_path)
    assert "missing" in fails("eval", tmp_path / "missing")
    run("eval", exit_code=2)
    with pytest.raises(N1StoreError):
        n1store.evaluate([])
    with pytest.raises(N1StoreError):
        n1store.evaluate(tmp_path, workers=0)


def test_ratios_of_an_empty_recording():
    info = N1Info(1000, 1, 0, 44, 14, [])
    assert (info.duration, info.payload_ratio, info.payload_bytes) == (0, 0, 0)
