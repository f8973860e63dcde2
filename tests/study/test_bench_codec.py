"""The benchmark of n1 and its rivals runs, measures what it says, and refuses what is lossy."""

import bz2
import csv
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from conftest import ROOT, read_wav_independently
from n1store.codecs.native import adc_encode
from n1store.errors import N1StoreError
from n1store.implant.synth import synthesize

BENCHMARK = ROOT / "benchmarks/codecs"
RESULTS = ROOT / "benchmarks/results/codecs.csv"
BEGIN, END = "<!-- benchmarks/codecs -->\n", "<!-- -->\n"


def bench(*arguments):
    command = [sys.executable, BENCHMARK, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def read_csv(path):
    lines = path.read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("# ")))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "recordings"
    synthesize(folder, num_recordings=5, seconds=1.3)
    return folder


@pytest.fixture(scope="module")
def measured(recordings, tmp_path_factory):
    """Give the results of a run on 4 of 5 recordings and an array that is not of the N1."""
    folder = tmp_path_factory.mktemp("bench")
    array = np.random.default_rng(0).normal(0, 300, (3001, 3)).round().astype(np.int16)
    np.save(folder / "noise.npy", array)
    path = folder / "new" / "codecs.csv"
    result = bench(
        *(recordings, "--arrays", folder, "--files", 4, "--repeats", 2),
        *("--other-half", "--csv", path),
    )
    assert result.returncode == 0, result.stderr
    return path, result.stdout


def test_rows(measured):
    path, output = measured
    rows = read_csv(path)
    chunkings = ["whole files", "1 s", "all channels", "each channel"]
    groups = {name: [row for row in rows if row["chunks"] == name] for name in chunkings}
    assert [row for group in groups.values() for row in group] == rows
    for name, group in groups.items():
        keys = [(row["codec"], row["parameters"], row["input"]) for row in group]
        assert len(set(keys)) == len(keys)
        levels = [("n1", f"level {level}", "samples") for level in (1, 2, 3)]
        assert keys[:3] == levels
        halves = ("n1", "level 2, table from the other half", "samples")
        assert (halves in keys) == (name in ("whole files", "1 s"))
        assert ("bz2", "level 9", "samples") in keys
        assert (("bz2", "level 9", "codes") in keys) == (name in ("whole files", "1 s"))
    # Whatever is not measured is said to be missing.
    for rival in ("pcodec", "FLAC", "WavPack", "bzip3"):
        is_missing = f"{rival.lower()} is not measured" in output
        assert any(row["codec"] == rival for row in rows) != is_missing
    for row in rows:
        assert float(row["ratio"]) == pytest.approx(
            int(row["raw_bytes"]) / int(row["stored_bytes"]), abs=1e-4
        )
        for speed in ("encode_mb_per_s", "decode_mb_per_s"):
            low, median, high = (float(row[speed + end]) for end in ("_min", "", "_max"))
            assert 0 < low <= median <= high


def test_what_is_measured(measured, recordings):
    rows = read_csv(measured[0])
    files = [read_wav_independently(path)[0] for path in sorted(recordings.iterdir())[:4]]
    chunks = {
        "whole files": files,
        "1 s": [file[start:][:19_536] for file in files for start in (0, 19_536)],
    }
    for name, expected in chunks.items():
        for source, mapped in (("codes", adc_encode), ("samples", np.asarray)):
            (row,) = (
                row
                for row in rows
                if (row["codec"], row["chunks"], row["input"]) == ("bz2", name, source)
            )
            sizes = [len(bz2.compress(mapped(chunk).tobytes(), 9)) for chunk in expected]
            assert int(row["stored_bytes"]) == sum(sizes)
            assert int(row["num_chunks"]) == len(expected)
            assert int(row["raw_bytes"]) == sum(chunk.nbytes for chunk in expected)


def test_all_codecs_keep_awkward_chunks(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARK)
    monkeypatch.setattr("numcodecs.blosc.use_threads", None)  # put back what it becomes
    import n1
    import rivals
    from measure import measure, rows, speeds

    codecs, _, _ = rivals.load()
    rng = np.random.default_rng(1)
    noise = rng.integers(-(2**15), 2**15, 70_001).astype(np.int16)
    chunks = [noise, np.full(32_768, -512, np.int16)]
    chunks += [noise[:length].copy() for length in (1, 2, 15, 16, 17, 513, 1029)]
    comparison = rows("awkward", "chunks", chunks, n1.CODECS + codecs)
    comparison += rows("awkward", "stereo", [noise[:70_000].reshape(-1, 2)], n1.CODECS + codecs)
    measure(comparison, repeats=4)
    for row in comparison:
        assert len(row.encode) == len(row.decode) == (2 if row.seldom else 4), row.codec
        assert speeds(row, row.decode)[0] > 0


def test_a_lossy_codec_is_refused(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARK)
    import n1
    from measure import measure, rows

    def decode(payload, shape):
        samples = n1.CODECS[0].decode(payload, shape)
        samples[-1] ^= 1
        return samples

    lossy = replace(n1.CODECS[0], name="lossy", decode=decode)
    comparison = rows("zeros", "chunks", [np.zeros(100, np.int16)], [lossy])
    with pytest.raises(N1StoreError, match="lossy level 1 is not lossless: chunk 0 of zeros"):
        measure(comparison, repeats=1)


def test_table(measured, tmp_path):
    path, _ = measured
    readme = tmp_path / "README.md"
    before, after = "# Words\n\n", "\nmore words\n"
    readme.write_text(f"{before}{BEGIN}old\n{END}{after}")
    for _ in range(2):  # the second time changes nothing
        result = bench("--table", readme, "--csv", path)
        assert result.returncode == 0, result.stderr
        text = readme.read_text()
        assert text.startswith(before + BEGIN)
        assert text.endswith(f"{END}{after}")
        table = text.removeprefix(before + BEGIN).removesuffix(f"{END}{after}")
        lines = re.findall(r"^\| (\S.*?) \| ([\d.]+) \| ([\d.]+) \| (\d+) \| (\d+) \|", table, re.M)
        ratios = [float(line[1]) for line in lines]
        assert ratios == sorted(ratios, reverse=True)
        assert {(name, ratio, encode, decode) for name, ratio, _, encode, decode in lines} == {
            (
                f"{row['codec']} {row['parameters']}",
                f"{float(row['ratio']):.3f}",
                f"{float(row['encode_mb_per_s']):.0f}",
                f"{float(row['decode_mb_per_s']):.0f}",
            )
            for row in read_csv(path)
            if row["chunks"] == "whole files" and (row["input"] == "codes" or row["codec"] == "n1")
        }


def test_the_table_that_is_kept_is_that_of_the_results(tmp_path):
    readme = tmp_path / "README.md"
    kept = (ROOT / "benchmarks/README.md").read_text()
    readme.write_text(kept)
    assert bench("--table", readme, "--csv", RESULTS).returncode == 0
    assert readme.read_text() == kept


def test_bad_input(measured, recordings, tmp_path):
    no_markers = tmp_path / "no.md"
    no_markers.write_text("text\n")
    arrays = tmp_path / "arrays"
    arrays.mkdir()
    (arrays / "a.npy").write_bytes(b"no array")
    empty = tmp_path / "empty"
    empty.mkdir()
    np.save(empty / "b.npy", np.zeros((0, 3), np.int16))
    path = measured[0]
    for arguments, message in [
        (["--table", no_markers, "--csv", path], "no.md: put the lines"),
        (["--table", tmp_path / "none.md", "--csv", path], "none.md: cannot be read"),
        (["--table", no_markers, "--csv", tmp_path / "none.csv"], "none.csv: cannot be read"),
        ([tmp_path, "--files", 1], "holds no .wav file"),
        ([recordings, "--files", 1, "--arrays", arrays], "a.npy: is no array"),
        ([recordings, "--files", 1, "--arrays", empty], "b.npy: must hold samples"),
        ([recordings, "--files", 1, "--other-half"], "at least two recordings"),
    ]:
        result = bench(*arguments)
        assert result.returncode == 1
        assert message in result.stderr
        assert "Traceback" not in result.stderr
    assert no_markers.read_text() == "text\n"
