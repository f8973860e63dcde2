"""`n1store compare`: its results, what fails in it, and that a stopped one goes on."""

import csv
import datetime
import fcntl
import json
import math
import re
import resource
import signal
import subprocess
import sys
import time
import zlib
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from numcodecs.abc import Codec
from numcodecs.compat import ensure_ndarray

from installed import HAS_PCODEC, needs_wavpack
from make_wav import write_wav
from n1store.cli.output import about, print_comparison
from n1store.codecs.catalogue import CATALOGUE
from n1store.codecs.native import adc_encode
from n1store.codecs.pipeline import Pipeline
from n1store.codecs.spec import Entry, Parameter
from n1store.errors import N1StoreError
from n1store.implant.synth import synthesize
from n1store.sources.wav import read_wav
from n1store.study.candidates import pipelines_of
from n1store.study.comparison import compare, load_data
from n1store.study.measurement import Chunk, Instruments, measure_sizes
from n1store.study.results import PeakMemory, load_results
from n1store.system.parallel import Workers

FEW = "zlib,delta+lz4,n1:level=1"
FEW_PIPELINES = ["adc+zlib", "zlib", "adc+delta+lz4", "delta+lz4", "n1:level=1"]
QUICK = Instruments(round_seconds=0.0, num_windows=10, peak_memory=lambda *_: PeakMemory(7, 8))
"""Time nothing for longer than it takes once, and start no processes."""


def quick(sources, folder, codecs="zlib", repeats=1, **options):
    return compare(sources, folder, codecs=codecs, repeats=repeats, instruments=QUICK, **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Give a folder of three short recordings."""
    folder = tmp_path_factory.mktemp("comparison") / "data"
    synthesize(folder, num_recordings=3, seconds=0.5)
    return folder


@pytest.fixture(scope="module")
def few(data, tmp_path_factory):
    """Give a comparison of a few codecs, and the folder of its results."""
    folder = tmp_path_factory.mktemp("few") / "results"
    return quick(data, folder, FEW, repeats=2), folder


@pytest.fixture
def as_codec(monkeypatch):
    """Give a function that puts a codec into the catalogue, made of a class of this file."""

    def as_codec(name, kind="bytes-bytes", group="dictionary", **more):
        entry = Entry(
            name=f"test-{name.lower()}",
            codec_id=f"test-{name.lower()}",
            group=group,
            summary=f"a {name}",
            kind=kind,
            home=f"{__name__}:{name}",
            **more,
        )
        monkeypatch.setitem(CATALOGUE, entry.name, entry)
        return entry.name

    return as_codec


class Broken(Codec):
    """Changes the last byte of what is longer than 300 bytes."""

    codec_id = "test-broken"

    def encode(self, buf):
        return ensure_ndarray(buf).tobytes()

    def decode(self, buf, out=None):
        content = bytearray(buf)
        if len(content) > 300 * 2:
            content[-1] ^= 1
        return bytes(content)


class Refusing(Broken):
    codec_id = "test-refusing"

    def encode(self, buf):
        raise ZeroDivisionError("no\nreason")


class Unsteady(Broken):
    """Is right as often as it is looked at first, and wrong later."""

    codec_id = "test-unsteady"
    left = 0

    def encode(self, buf):
        type(self).left -= 1
        if self.left < 0:
            raise ValueError("not again")
        return super().encode(buf)

    def decode(self, buf, out=None):
        return bytes(buf)


class Coarse(Codec):
    """Drops the lowest bits."""

    codec_id = "test-coarse"

    def __init__(self, bits):
        self.bits = bits

    def encode(self, buf):
        return ensure_ndarray(buf) & np.int16(-1 << self.bits)

    def decode(self, buf, out=None):
        return buf


def lines_of(folder):
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def change_head(folder, change):
    """Change the first line of a journal, and its checksum with it."""
    first, *others = (folder / "rows.jsonl").read_text().splitlines(keepends=True)
    head = json.loads(first)
    del head["crc32"]
    change(head)
    head["crc32"] = f"{zlib.crc32(json.dumps(head).encode()):08x}"
    (folder / "rows.jsonl").write_text("".join([json.dumps(head) + "\n", *others]))


# ---- What is measured


def test_results_are_what_the_codecs_make_of_the_chunks(few, data):
    comparison, _ = few
    libraries = comparison.measured_with.libraries
    assert {"numcodecs", "numpy", "zarr"} <= set(libraries)
    assert libraries["numcodecs"] == version("numcodecs")
    assert comparison.noise >= 0
    assert comparison.failed == comparison.missing == []
    assert {each.pipeline for each in comparison.results} == set(FEW_PIPELINES)

    chunks = [read_wav(path).traces[:] for path in sorted(data.glob("*.wav"))]
    values = np.concatenate(chunks)
    facts = comparison.data
    assert facts.files == facts.chunks == facts.chunks_of == 3
    assert facts.samples == values.size
    assert facts.raw_bytes == values.nbytes
    assert facts.duration_s == pytest.approx(len(values) / 19531)
    assert facts.chunk_samples == max(map(len, chunks))
    assert facts.entropy == pytest.approx(entropy(values))
    assert facts.entropy_adc == pytest.approx(entropy(adc_encode(values)))

    for each in comparison.results:
        pipeline = Pipeline.parse(each.pipeline)
        payload_bytes = [len(pipeline.encode(chunk)) for chunk in chunks]
        assert each.payload_bytes == sum(payload_bytes)
        assert each.ratio == pytest.approx(values.nbytes / sum(payload_bytes), abs=1e-5)
        assert each.bits_per_sample == pytest.approx(16 / each.ratio, rel=1e-4)
        assert each.chunk_ratios == [
            pytest.approx(chunk.nbytes / size, abs=1e-4)
            for chunk, size in zip(chunks, payload_bytes, strict=True)
        ]
        assert each.adc == each.pipeline.startswith("adc+")
        assert each.transforms == (["delta"] if "delta" in each.pipeline else [])
        entry = pipeline.stages[-1][0]
        assert (each.codec, each.group) == (entry.name, entry.group)
        assert each.lossless is True
        assert each.error is None
        assert each.repeats == 2
        for speed in (each.encode, each.decode):
            assert 0 < speed.low <= speed.mb_per_s <= speed.high
            assert speed.xrt == pytest.approx(speed.mb_per_s * 1e6 / 2 / 19531, rel=0.01)
        assert each.peak_memory_bytes == PeakMemory(7, 8)
        codes = [pipeline.stages[0][1].encode(chunk) for chunk in chunks]
        if each.pipeline == "adc+zlib":
            assert each.entropy_after == pytest.approx(entropy(np.concatenate(codes)), abs=1e-4)

    plain, other = (
        next(each for each in comparison.results if each.pipeline == name)
        for name in ("zlib", "adc+delta+lz4")
    )
    assert plain.entropy_after == plain.entropy_before > other.entropy_after
    check_pareto(comparison.results)
    curves = [each.random_access for each in comparison.results if each.pareto]
    assert all(curve and all(each.xrt > 0 for each in curve) for curve in curves)
    assert [each.chunk_seconds for each in curves[0]] == [0.1, 0.25]


def entropy(values):
    _, counts = np.unique(values, return_counts=True)
    return -sum(count / counts.sum() * math.log2(count / counts.sum()) for count in counts)


def check_pareto(results):
    for each in results:
        better = [
            other
            for other in results
            if other.ratio >= each.ratio
            and other.decode.mb_per_s >= each.decode.mb_per_s
            and (other.ratio, other.decode) != (each.ratio, each.decode)
        ]
        assert each.pareto == (not better and each.ratio >= 1.01)


def test_the_command(run, run_json, data, tmp_path):
    blosc = '{"id": "blosc", "cname": "lz4"}'
    arguments = ["compare", data, "-o", tmp_path / "r", "--codecs", "n1", "--codecs", blosc]
    arguments += ["--adc", "--repeats", 1, "--chunk-seconds", "whole"]
    printed = run_json(*arguments)
    assert printed == json.loads((tmp_path / "r/results.json").read_text())
    assert printed["format"] == 1
    assert [each["pipeline"] for each in printed["results"]] == ["n1", f"adc+{blosc}"]
    for each in printed["results"]:
        # Memory is that of processes of their own.
        assert 0 < max(each["peak_memory_bytes"].values()) < 100e6
    assert f"adc+{blosc}" in run(*arguments).stdout


def test_the_time_that_it_will_take_is_said_first(run, data, tmp_path):
    said = []

    def note(*estimate):
        said.append((*estimate, len(lines_of(tmp_path / "r"))))

    quick(data, tmp_path / "r", FEW, estimate=note)
    [(pipelines, seconds, lines)] = said
    assert (pipelines, lines) == (len(FEW_PIPELINES), 1)  # the first says what is measured
    assert seconds > 0
    quick(data, tmp_path / "r", FEW, estimate=note)
    assert said[1][:2] == (len(FEW_PIPELINES), 0)  # all is in the journal
    arguments = ["compare", data, "-o", tmp_path / "s", "--codecs", "n1", "--repeats", 1]
    assert re.fullmatch(r"1 pipeline, about \d+ (s|min)\n", run(*arguments).stderr)
    assert run(*arguments, "--json").stderr == ""


def test_times_are_said_in_round_numbers():
    for seconds, words in (
        *((0, "10 s"), (23, "30 s"), (60, "60 s"), (99, "100 s"), (101, "2 min"), (313, "6 min")),
        *((5900, "99 min"), (7200, "2.0 h")),
    ):
        assert about(seconds) == words


def test_a_long_comparison_is_printed_in_short(few, capsys):
    some = few[0].results
    many = [replace(each, pipeline=f"lz4+{n}", pareto=False) for n in range(8) for each in some]
    print_comparison(replace(few[0], results=[*some, *many]))
    lines = capsys.readouterr().out.splitlines()
    front = [line.split()[1] for line in lines if re.match(r"\*  +\S+ +[\d.]+ ", line)]
    assert front == [each.pipeline for each in some if each.pareto]
    shown = [line for line in lines if re.search(r" [\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$", line)]
    [more] = [line for line in lines if line.startswith("and ")]
    assert len(shown) < 10
    assert more.startswith(f"and {len(some) + len(many) - len(shown)} more; ")
    assert any(line.startswith("Take --codec ") for line in lines)


def test_results_can_be_read_again(few):
    comparison, folder = few
    assert load_results(folder) == load_results(folder / "results.json") == comparison


def test_csv_has_the_numbers_of_the_json(few):
    comparison, folder = few
    with (folder / "results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["pipeline"] for line in lines] == [each.pipeline for each in comparison.results]
    for line, each in zip(lines, comparison.results, strict=True):
        assert float(line["ratio"]) == each.ratio
        assert float(line["decode_mb_per_s"]) == each.decode.mb_per_s
        assert int(line["peak_memory_bytes_encode"]) == each.peak_memory_bytes.encode
        assert line["transforms"] == "+".join(each.transforms)
        assert line["error_rmse"] == ""
        assert (line["recordings"], line["whole_recordings"]) == ("3", "True")
        assert float(line["chunk_seconds"]) == comparison.data.chunk_seconds
        assert line["cpu"] == comparison.measured_with.cpu
        assert line["date"] == comparison.measured_with.date
        assert f"numcodecs {version('numcodecs')}" in line["libraries"].split(", ")


def test_processor_is_named(few):
    comparison, _ = few
    cpuinfo = Path("/proc/cpuinfo").read_text()
    assert comparison.measured_with.cpu
    if "model name" in cpuinfo:
        assert comparison.measured_with.cpu in cpuinfo


def test_table_has_the_smallest_first_and_fits(few, capsys):
    print_comparison(few[0])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("3 of 3 chunks of 3 recordings, 1.5 s")
    rows = [line[1:].split() for line in lines[2 : 2 + len(FEW_PIPELINES)]]
    assert rows[0][0] == "n1:level=1"
    assert lines[2].startswith("*")
    ratios = [float(row[1]) for row in rows]
    assert ratios == sorted(ratios, reverse=True)
    assert all(len(line) <= 80 for line in lines[1 : 2 + len(FEW_PIPELINES)])


def test_recordings_and_a_store_of_them_compare_alike(run, recordings, tmp_path):
    run("convert", recordings, tmp_path / "store.zarr", "--codec", "zstd")
    wav, store = (
        quick(source, tmp_path / f"of-{source.name}", adc=False)
        for source in (recordings, tmp_path / "store.zarr")
    )
    assert wav.results[0].payload_bytes == store.results[0].payload_bytes > 0
    assert wav.data.chunks == store.data.chunks > 7


def test_sample_and_length_of_chunks(data):
    everything = load_data([data], chunk_seconds=0.1)
    assert everything.facts.chunks == everything.facts.chunks_of == len(everything.chunks) >= 15
    assert not everything.facts.whole_recordings
    some = load_data([data], sample=4, chunk_seconds=0.1)
    assert (some.facts.chunks, some.facts.chunks_of) == (4, len(everything.chunks))
    labels = [chunk.label for chunk in everything.chunks]
    positions = [labels.index(chunk.label) for chunk in some.chunks]
    assert positions == sorted(positions)
    again = load_data([data], sample=4, chunk_seconds=0.1)
    assert some.digest == again.digest != everything.digest


def test_channels_share_the_time(tmp_path):
    rng = np.random.default_rng(0)
    write_wav(tmp_path / "wide.wav", rng.integers(-99, 99, (1000, 128)).astype("<i2"), rate=1000)
    loaded = load_data([tmp_path / "wide.wav"])
    assert [chunk.samples.shape for chunk in loaded.chunks] == [(1000, 64), (1000, 64)]
    assert [chunk.seconds for chunk in loaded.chunks] == [0.5, 0.5]
    assert loaded.excerpts[0].samples.shape == (1000, 128)


def test_whole_recordings_as_chunks(run, tmp_path):
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (2500, 1), (5000, 128)]
    for number, shape in enumerate(shapes):
        samples = rng.integers(-99, 99, shape).astype("<i2")
        write_wav(tmp_path / f"data/{number}.wav", samples, rate=1000)
    run("convert", tmp_path / "data", tmp_path / "store.zarr", "--chunk-seconds", 0.5)
    for source in (tmp_path / "data", tmp_path / "store.zarr"):
        loaded = load_data([source], chunk_seconds="whole")
        assert [chunk.samples.shape for chunk in loaded.chunks] == shapes
        assert [chunk.seconds for chunk in loaded.chunks] == [0.001, 2.5, 5.0]
        assert loaded.facts.whole_recordings
        assert loaded.facts.chunk_seconds == 5.0


def test_lossy_pipeline_tells_its_error(as_codec, data, tmp_path, capsys):
    bits = Parameter("bits", None, 1, 9)
    name = as_codec("Coarse", "array-array", "filter", parameters=(bits,), loses_with="bits")
    assert pipelines_of(CATALOGUE[name], True)[-2:] == [f"{name}:bits=1", f"{name}:bits=2"]
    name += ":bits=1"
    steps = np.array([[1], [-3], [4], [0]], "<i2")
    odd, even = (Chunk("here", factor * steps, 1.0) for factor in (1, 2))
    with Workers(1) as workers:
        error = measure_sizes(Pipeline.parse(f"{name}+zlib"), [odd, odd], workers).error
        none = measure_sizes(Pipeline.parse(f"{name}+zlib"), [even], workers).error
    assert error.max == 1
    assert error.rmse == pytest.approx(math.sqrt(1 / 2))
    assert error.snr_db == pytest.approx(10 * math.log10((1 + 9 + 16) / 2))
    assert (none.max, none.rmse, none.snr_db) == (0, 0.0, None)

    comparison = quick(data, tmp_path / "r", f"{name}+zlib,zlib")
    by_name = {each.pipeline: each for each in comparison.results}
    assert list(by_name) == [f"{name}+zlib", "adc+zlib", "zlib"]
    coarse = by_name[f"{name}+zlib"]
    assert (coarse.lossless, coarse.pareto) == (False, False)
    assert coarse.error.max == 1
    assert by_name["adc+zlib"].pareto
    assert load_results(tmp_path / "r") == comparison
    print_comparison(comparison)
    printed = capsys.readouterr().out
    assert f"~  {name}+zlib" in printed
    assert f"  {name}+zlib: RMSE 0." in printed


def test_libraries_are_those_that_codecs_are_made_of(few, data, tmp_path):
    names = ["bzip3", "blosc2"] + ["pcodec"] * HAS_PCODEC
    libraries = quick(data, tmp_path / "r", names, sample=1).measured_with.libraries
    others = few[0].measured_with.libraries
    for name in names:
        assert libraries[name] == version(name)
        assert name not in others


# ---- What fails


def test_codec_that_changes_samples_is_named(as_codec, data, tmp_path):
    broken, refusing = as_codec("Broken"), as_codec("Refusing")
    comparison = quick(
        *(data, tmp_path / "r", f"{broken},zlib,{refusing}"), adc=False, chunk_seconds=0.2
    )
    assert [each.pipeline for each in comparison.results] == ["zlib"]
    assert load_results(tmp_path / "r") == comparison
    changed, refused = comparison.failed
    assert (changed.pipeline, refused.pipeline) == (broken, refusing)
    length = comparison.data.chunk_samples
    assert changed.why.endswith(f"samples 0 to {length}: comes back changed, and must not")
    assert str(data) in changed.why
    assert refused.why.endswith(": no reason")


def test_command_fails_with_a_codec(run, data, tmp_path):
    wrong = '{"id": "zstd", "level": "high"}'
    result = run(
        *("compare", data, "-o", tmp_path / "r", "--no-adc", "--repeats", 1, "--json"),
        *("--codecs", "lz4", "--codecs", wrong),
        exit_code=1,
    )
    content = json.loads(result.stdout)
    assert content == json.loads((tmp_path / "r/results.json").read_text())
    assert [each["pipeline"] for each in content["results"]] == ["lz4"]
    assert [each["pipeline"] for each in content["failed"]] == [wrong]
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"failed: {wrong}: {data}")


def test_comparison_in_which_all_codecs_fail(as_codec, few, data, tmp_path, capsys):
    comparison = quick(data, tmp_path / "none", as_codec("Broken"), adc=False)
    print_comparison(comparison)
    assert capsys.readouterr().out.splitlines()[1:] == ["nothing was measured"]
    (header,) = (tmp_path / "none/results.csv").read_text().splitlines()
    assert header == (few[1] / "results.csv").read_text().splitlines()[0]
    with pytest.raises(N1StoreError, match="holds no results"):
        load_results(tmp_path / "none")


def test_codec_that_fails_later_is_named(as_codec, monkeypatch, data, tmp_path):
    # Alone in its group, it is measured at random places however fast the other is.
    name = as_codec("Unsteady", group="audio")
    for left, when in ((3, "when timed"), (8, "at random places")):
        monkeypatch.setattr(Unsteady, "left", left)
        comparison = quick(data, tmp_path / str(left), f"{name},lz4", adc=False)
        assert [asdict(each) for each in comparison.failed] == [
            {"pipeline": name, "why": f"{when}: not again"}
        ]
        assert [each.pipeline for each in comparison.results] == ["lz4"]
        check_pareto(comparison.results)


@needs_wavpack
def test_codec_that_cannot_do_with_chunks_is_named(tmp_path):
    write_wav(tmp_path / "short.wav", np.arange(9, dtype="<i2"))
    comparison = quick(tmp_path / "short.wav", tmp_path / "r", "wavpack,zlib", adc=True)
    (failure,) = comparison.failed
    assert "short.wav: samples 0 to 9: WavPack takes 16 samples or more" in failure.why


def test_recordings_of_several_rates(tmp_path):
    write_wav(tmp_path / "a.wav", np.arange(1600, dtype="<i2"), 800)
    write_wav(tmp_path / "b.wav", np.arange(9600, dtype="<i2").reshape(-1, 2), 1600)
    facts = load_data([tmp_path]).facts
    assert (facts.sampling_frequency, facts.channels) == (1600, 2)
    assert (facts.chunk_seconds, facts.chunk_samples) == (1.0, 1600)
    assert facts.duration_s == 5.0


def test_a_single_sample_is_enough(tmp_path):
    source = write_wav(tmp_path / "[ 1,  2 ].wav", np.array([5], "<i2"))
    comparison = quick(source, tmp_path / "r", "lzma,n1", repeats=2)
    assert load_results(tmp_path / "r") == comparison
    assert comparison.data.chunk_seconds == pytest.approx(1 / 19531, rel=1e-5)
    assert {each.pipeline for each in comparison.results} == {"adc+lzma", "lzma", "n1"}
    assert "-0.0" not in (tmp_path / "r/results.csv").read_text()
    for each in comparison.results:
        for speed in (each.encode, each.decode):
            assert 0 < speed.low <= speed.mb_per_s <= speed.high
            assert speed.xrt == pytest.approx(speed.mb_per_s * 1e6 / 2 / 19531, rel=1e-4)
    assert comparison.data.sources == [str(source)]


def test_wrong_options(run, data, tmp_path):
    for options, message in (
        (["--codecs", ","], "there is no codec to compare"),
        (["--codecs", "dictionaries"], "no codec is called 'dictionaries'"),
        (["--codecs", "zlib:level=10"], "level is an integer from 0 to 9"),
        (["--codecs", "zlib+delta"], "cannot follow zlib"),
        (["--codecs", '{"id": "nothing"}'], "not the configuration of a codec"),
        (["--chunk-seconds", "0"], "chunks must be longer than 0 s"),
        (["--chunk-seconds", "nan"], "chunks must be longer than 0 s"),
    ):
        result = run("compare", data, "-o", tmp_path / "r", *options, exit_code=1)
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    result = run("compare", data, "-o", tmp_path / "r", "--chunk-seconds", "hole", exit_code=2)
    assert "'hole' is no number of seconds" in result.stderr
    for sample in (0, -1):
        with pytest.raises(N1StoreError, match="at least one chunk"):
            quick(data, tmp_path / "r", sample=sample)
    assert not (tmp_path / "r").exists()


def test_group_of_codecs_that_are_not_installed(monkeypatch, data, tmp_path):
    absent = Entry(
        name="absent",
        codec_id="absent",
        group="nowhere",
        summary="-",
        kind="bytes-bytes",
        home="not_there:X",
        install="pip install x",
    )
    monkeypatch.setitem(CATALOGUE, "absent", absent)
    with pytest.raises(N1StoreError, match=r"no codec to compare; absent: .*pip install x"):
        quick(data, tmp_path / "results", (), groups="nowhere")
    assert not (tmp_path / "results").exists()


def test_nothing_to_compare_on(run, tmp_path):
    (tmp_path / "empty").mkdir()
    write_wav(tmp_path / "silent/none.wav", np.zeros(0, "<i2"))
    for name in ("empty", "silent", "not-there"):
        result = run("compare", tmp_path / name, "-o", tmp_path / "r", exit_code=1)
        assert name in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_folders_that_are_not_of_results_stay_as_they_are(run, data, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "results.json").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("other", "file"):
        for more in ([], ["--overwrite"]):
            arguments = ["compare", data, "-o", tmp_path / name, "--codecs", "zlib", *more]
            assert "is no folder of results" in run(*arguments, exit_code=1).stderr
    assert [path.name for path in other.iterdir()] == ["results.json"]
    assert (other / "results.json").read_text() == (tmp_path / "file").read_text() == "mine"
    arguments = ["compare", data, "-o", tmp_path / "no/where", "--codecs", "zlib"]
    assert "no such folder" in run(*arguments, exit_code=1).stderr


# ---- Stopped and continued


class StopError(Exception):
    pass


def stop_after(steps):
    def progress(done, total):
        if done > steps:
            raise StopError

    return progress


def test_stopped_comparison_goes_on(data, tmp_path):
    # Of 5 pipelines in 2 rounds: among the sizes, in the first round, in the second, after them.
    for steps in (0, 2, 5, 7, 12, 15, 16):
        folder = tmp_path / str(steps)
        with pytest.raises(StopError):
            quick(data, folder, FEW, repeats=2, progress=stop_after(steps))
        assert not (folder / "results.json").exists()
        written = (folder / "rows.jsonl").read_bytes()
        assert lines_of(folder)[0]["format"] == 1

        with (folder / "rows.jsonl").open("ab") as file:
            file.write(b'{"row": "cut o')
        seen = []
        result = quick(
            data, folder, FEW, repeats=2, progress=lambda *step, seen=seen: seen.append(step)
        )
        complete = (folder / "rows.jsonl").read_bytes()
        assert complete.startswith(written)
        assert b"cut o" not in complete
        measured = [next(iter(line.items())) for line in lines_of(folder)[1:]]
        for name in FEW_PIPELINES:
            assert measured.count(("row", name)) == 1
            assert measured.count(("round", name)) == 2
        assert seen[-1][0] == seen[-1][1]
        assert {each.pipeline for each in result.results} == set(FEW_PIPELINES)
        assert all(each.repeats == 2 for each in result.results)

        again = quick(data, folder, FEW, repeats=2)
        assert (folder / "rows.jsonl").read_bytes() == complete
        assert again == result


@pytest.mark.slow
def test_ctrl_c_leaves_what_was_measured(data, tmp_path):
    folder = tmp_path / "r"
    journal = folder / "rows.jsonl"
    command = [str(Path(sys.executable).with_name("n1store")), "compare", str(data)]
    command += ["-o", str(folder), "--codecs", "n1", "--repeats", "100"]
    for options, again in (
        ([], "the same command goes on"),
        (["--overwrite"], "the same command without --overwrite goes on"),
    ):
        process = subprocess.Popen(
            [*command, *options],
            stderr=subprocess.PIPE,
            text=True,
            # What the tests were started from may have it ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started = time.time()
        while process.poll() is None:
            is_new = journal.exists() and journal.stat().st_mtime >= started
            if is_new and b'"round"' in journal.read_bytes():
                process.send_signal(signal.SIGINT)
                break
            time.sleep(0.02)
        message = process.communicate(timeout=60)[1]
        assert message.endswith(f"\nError: interrupted; {again} where it stopped\n")
        assert process.returncode == 130
    kinds = [next(iter(line)) for line in lines_of(folder)]
    assert kinds[:3] == ["format", "row", "round"] and len(kinds) < 102
    written = journal.read_bytes()
    (result,) = quick(data, folder, "n1", repeats=100).results
    assert result.repeats == 100
    assert journal.read_bytes().startswith(written)


def test_results_of_another_comparison_stay(data, tmp_path):
    synthesize(tmp_path / "others", num_recordings=3, seconds=0.5, seed=9)
    folder = tmp_path / "r"
    options = {"sources": data, "folder": folder, "adc": True}
    quick(**options)
    for change, named in (
        ({"codecs": "lz4"}, "pipelines"),
        ({"repeats": 2}, "repeats"),
        ({"sample": 2}, "chunks, samples"),
        ({"chunk_seconds": 0.2}, "chunks, chunk samples, samples"),
        ({"sources": tmp_path / "others"}, "samples"),
    ):
        before = (folder / "results.json").read_bytes()
        with pytest.raises(N1StoreError, match=f"holds results of other {named};"):
            quick(**options | change)
        assert (folder / "results.json").read_bytes() == before
        quick(**options | change, overwrite=True)
        assert (folder / "results.json").read_bytes() != before
        quick(**options, overwrite=True)


def test_results_of_another_program_or_machine_stay(data, tmp_path):
    folder = tmp_path / "r"
    for change, named in (
        ({"program": "another"}, "program"),
        ({"machine_or_libraries": {"cpu": "another"}}, "machine or libraries"),
    ):
        quick(data, folder, overwrite=True)
        change_head(folder, lambda head, change=change: head["settings"].update(change))
        with pytest.raises(N1StoreError, match=f"holds results of other {named};"):
            quick(data, folder)


def test_results_are_of_the_day_on_which_they_were_begun(data, tmp_path):
    folder = tmp_path / "r"
    quick(data, folder)
    change_head(folder, lambda head: head.update(date="2001-02-03"))
    assert quick(data, folder).measured_with.date == "2001-02-03"
    assert load_results(folder).measured_with.date == "2001-02-03"
    first = datetime.date.today()
    begun = quick(data, folder, overwrite=True).measured_with.date
    assert first <= datetime.date.fromisoformat(begun) <= datetime.date.today()


def test_damaged_journal_is_named(data, tmp_path):
    journal = tmp_path / "r/rows.jsonl"
    journal.parent.mkdir()
    for content in (b"no JSON\n", b'{"format": 1}\n', b'{"format": 2}\n', b"[]\n"):
        journal.write_bytes(content)
        with pytest.raises(N1StoreError, match=r"rows.jsonl: is damaged"):
            quick(data, journal.parent)
    quick(data, journal.parent, overwrite=True)


def test_any_damage_to_a_line_of_the_journal_is_found(data, tmp_path):
    journal = tmp_path / "r/rows.jsonl"
    quick(data, journal.parent, adc=True)
    lines = journal.read_bytes().splitlines(keepends=True)
    assert [next(iter(json.loads(line))) for line in lines] == [
        *("format", "row", "round", "random_access")
    ]
    (size, *_) = json.loads(lines[1])["measured"]["payload_bytes"]
    nested = b"[" * 100_000 + b"\n"
    for number, line in enumerate(lines):
        changed = line.replace(str(size).encode(), str(size + 1).encode())
        for other in (b"7\n", b"[1, 2]\n", b"{}\n", nested, line[:-2] + b"\n", changed):
            if other != line:
                journal.write_bytes(b"".join([*lines[:number], other, *lines[number + 1 :]]))
                with pytest.raises(N1StoreError) as error:
                    quick(data, journal.parent, adc=True)
                assert str(error.value) == f"{journal}: is damaged"


def test_a_full_disk_is_named_and_what_was_measured_stays(data, tmp_path):
    journal = tmp_path / "r/rows.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            quick(data, journal.parent, FEW, repeats=20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.value.filename == str(journal)
    lines = journal.read_bytes().splitlines()[:-1]
    quick(data, journal.parent, FEW, repeats=20)
    assert journal.read_bytes().splitlines()[: len(lines)] == lines


def test_one_process_at_a_time(run, data, tmp_path):
    (tmp_path / "r").mkdir()
    with (tmp_path / "r/rows.jsonl").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = run("compare", data, "-o", tmp_path / "r", "--codecs", "zlib", exit_code=1)
    assert "is being written by another process" in result.stderr
