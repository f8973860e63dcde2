"""`n1store compare`: its results, what fails in it, and that a stopped one goes on."""

import csv
import datetime
import fcntl
import json
import math
import resource
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import pytest
from numcodecs.abc import Codec
from numcodecs.compat import ensure_ndarray

import n1store.study.comparison
import n1store.study.measurement
import n1store.study.results
from conftest import needs_pcodec, needs_wavpack, write_wav
from n1store.codecs.catalogue import CATALOGUE, Entry, Parameter
from n1store.codecs.native import adc_encode
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError
from n1store.implant.synth import synthesize
from n1store.sources.wav import read_wav
from n1store.study.candidates import pipelines_of
from n1store.study.comparison import compare, load_data
from n1store.study.measurement import Chunk, measure_sizes, time_round
from n1store.study.report.results import load_results
from n1store.system.parallel import Workers

FEW = "zlib,delta+lz4,n1:level=1"
FEW_PIPELINES = ["adc+zlib", "zlib", "adc+delta+lz4", "delta+lz4", "n1:level=1"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Time nothing for longer than it takes once, and start no processes."""
    monkeypatch.setattr(n1store.study.measurement, "_ROUND_SECONDS", 0.0)
    monkeypatch.setattr(n1store.study.measurement, "_NUM_WINDOWS", 10)
    monkeypatch.setattr(
        n1store.study.comparison, "peak_memory", lambda *_: {"encode": 7, "decode": 8}
    )
    monkeypatch.setattr(n1store.study.comparison, "_program", lambda: "this one")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Give a folder of three short recordings."""
    folder = tmp_path_factory.mktemp("comparison") / "data"
    synthesize(folder, num_recordings=3, seconds=0.5)
    return folder


@pytest.fixture
def as_codec(monkeypatch):
    """Put a codec into the catalogue, made of a class of this file."""

    def as_codec(name, kind="bytes-bytes", group="dictionary", **more):
        entry = Entry(
            "test-" + name.lower(), group, f"a {name}", kind, f"{__name__}:{name}", **more
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


# ---- What is measured


def test_results_are_what_the_codecs_make_of_the_chunks(run_json, data, tmp_path):
    results = tmp_path / "results"
    printed = run_json("compare", data, "-o", results, "--codecs", FEW, "--repeats", 2)
    assert printed == json.loads((results / "results.json").read_text())
    assert printed["format"] == 1
    libraries = printed["measured_with"]["libraries"]
    assert {"numcodecs", "numpy", "zarr"} <= set(libraries)
    assert libraries["numcodecs"] == version("numcodecs")
    assert printed["noise"] >= 0
    assert printed["failed"] == printed["missing"] == []
    assert {each["pipeline"] for each in printed["results"]} == set(FEW_PIPELINES)

    chunks = [read_wav(path).traces[:] for path in sorted(data.glob("*.wav"))]
    values = np.concatenate(chunks)
    facts = printed["data"]
    assert facts["files"] == facts["chunks"] == facts["chunks_of"] == 3
    assert facts["samples"] == values.size
    assert facts["raw_bytes"] == values.nbytes
    assert facts["duration_s"] == pytest.approx(len(values) / 19531)
    assert facts["chunk_samples"] == max(map(len, chunks))
    assert facts["entropy"] == pytest.approx(entropy(values))
    assert facts["entropy_adc"] == pytest.approx(entropy(adc_encode(values)))

    for each in printed["results"]:
        pipeline = Pipeline.parse(each["pipeline"])
        payload_bytes = [len(pipeline.encode(chunk)) for chunk in chunks]
        assert each["payload_bytes"] == sum(payload_bytes)
        assert each["ratio"] == pytest.approx(values.nbytes / sum(payload_bytes), abs=1e-5)
        assert each["bits_per_sample"] == pytest.approx(16 / each["ratio"], rel=1e-4)
        assert each["chunk_ratios"] == [
            pytest.approx(chunk.nbytes / size, abs=1e-4)
            for chunk, size in zip(chunks, payload_bytes, strict=True)
        ]
        assert each["adc"] == each["pipeline"].startswith("adc+")
        assert each["transforms"] == (["delta"] if "delta" in each["pipeline"] else [])
        entry = pipeline.stages[-1][0]
        assert (each["codec"], each["group"]) == (entry.name, entry.group)
        assert each["lossless"] is True
        assert each["error"] is None
        assert each["repeats"] == 2
        for speed in (each["encode"], each["decode"]):
            assert 0 < speed["low"] <= speed["mb_per_s"] <= speed["high"]
            assert speed["xrt"] == pytest.approx(speed["mb_per_s"] * 1e6 / 2 / 19531, rel=0.01)
        assert each["peak_memory_bytes"] == {"encode": 7, "decode": 8}
        codes = [pipeline.stages[0][1].encode(chunk) for chunk in chunks]
        if each["pipeline"] == "adc+zlib":
            assert each["entropy_after"] == pytest.approx(entropy(np.concatenate(codes)), abs=1e-4)

    plain, other = (
        next(each for each in printed["results"] if each["pipeline"] == name)
        for name in ("zlib", "adc+delta+lz4")
    )
    assert plain["entropy_after"] == plain["entropy_before"] > other["entropy_after"]
    check_pareto(printed["results"])
    curves = [each["random_access"] for each in printed["results"] if each["pareto"]]
    assert all(curve and all(each["xrt"] > 0 for each in curve) for curve in curves)
    assert [each["chunk_seconds"] for each in curves[0]] == [0.1, 0.25]


def entropy(values):
    _, counts = np.unique(values, return_counts=True)
    return -sum(count / counts.sum() * math.log2(count / counts.sum()) for count in counts)


def check_pareto(results):
    for each in results:
        better = [
            other
            for other in results
            if other["ratio"] >= each["ratio"]
            and other["decode"]["mb_per_s"] >= each["decode"]["mb_per_s"]
            and (other["ratio"], other["decode"]) != (each["ratio"], each["decode"])
        ]
        assert each["pareto"] == (not better)


def test_csv_has_the_numbers_of_the_json(run, data, tmp_path):
    run("compare", data, "-o", tmp_path / "r", "--codecs", FEW, "--repeats", 1)
    results = json.loads((tmp_path / "r/results.json").read_text())["results"]
    with (tmp_path / "r/results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["pipeline"] for line in lines] == [each["pipeline"] for each in results]
    for line, each in zip(lines, results, strict=True):
        assert float(line["ratio"]) == each["ratio"]
        assert float(line["decode_mb_per_s"]) == each["decode"]["mb_per_s"]
        assert int(line["peak_memory_bytes_encode"]) == each["peak_memory_bytes"]["encode"]
        assert line["transforms"] == "+".join(each["transforms"])
        assert line["error_rmse"] == ""


def test_table_has_the_smallest_first_and_fits(run, data, tmp_path):
    lines = run(
        "compare", data, "-o", tmp_path / "r", "--codecs", FEW, "--repeats", 1
    ).stdout.splitlines()
    assert lines[0].startswith("3 of 3 chunks of 3 recordings, 1.5 s")
    rows = [line[1:].split() for line in lines[2 : 2 + len(FEW_PIPELINES)]]
    assert rows[0][0] == "n1:level=1"
    assert lines[2].startswith("*")
    ratios = [float(row[1]) for row in rows]
    assert ratios == sorted(ratios, reverse=True)
    assert all(len(line) <= 80 for line in lines[1 : 2 + len(FEW_PIPELINES)])


def test_recordings_and_a_store_of_them_compare_alike(run, run_json, recordings, tmp_path):
    run("convert", recordings, tmp_path / "store.zarr", "--codec", "zstd")
    results = [
        run_json(
            *("compare", source, "-o", tmp_path / f"of-{source.name}", "--codecs", "zlib"),
            *("--no-adc", "--repeats", 1),
        )
        for source in (recordings, tmp_path / "store.zarr")
    ]
    sizes = [each["results"][0]["payload_bytes"] for each in results]
    assert sizes[0] == sizes[1] > 0
    assert results[0]["data"]["chunks"] == results[1]["data"]["chunks"] > 7


def test_sample_and_length_of_chunks(data, tmp_path):
    whole = load_data([data], chunk_seconds=0.1)
    assert whole.facts["chunks"] == whole.facts["chunks_of"] == len(whole.chunks) >= 15
    some = load_data([data], sample=4, chunk_seconds=0.1)
    assert (some.facts["chunks"], some.facts["chunks_of"]) == (4, len(whole.chunks))
    labels = [chunk.label for chunk in whole.chunks]
    positions = [labels.index(chunk.label) for chunk in some.chunks]
    assert positions == sorted(positions)
    assert some.digest == load_data([data], sample=4, chunk_seconds=0.1).digest != whole.digest


def test_channels_share_the_time(tmp_path):
    rng = np.random.default_rng(0)
    write_wav(tmp_path / "wide.wav", rng.integers(-99, 99, (1000, 128)).astype("<i2"), rate=1000)
    loaded = load_data([tmp_path / "wide.wav"])
    assert [chunk.samples.shape for chunk in loaded.chunks] == [(1000, 64), (1000, 64)]
    assert [chunk.seconds for chunk in loaded.chunks] == [0.5, 0.5]
    assert loaded.excerpts[0].samples.shape == (1000, 128)


def test_lossy_pipeline_tells_its_error(as_codec, data, run, run_json, tmp_path):
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

    arguments = ["compare", data, "-o", tmp_path / "r", "--codecs", f"{name}+zlib,zlib"]
    found = run_json(*arguments, "--repeats", 1)["results"]
    by_name = {each["pipeline"]: each for each in found}
    assert list(by_name) == [f"{name}+zlib", "adc+zlib", "zlib"]
    coarse = by_name[f"{name}+zlib"]
    assert (coarse["lossless"], coarse["pareto"]) == (False, False)
    assert coarse["error"]["max"] == 1
    assert by_name["adc+zlib"]["pareto"]
    printed = run(*arguments, "--repeats", 1).stdout
    assert f"~  {name}+zlib" in printed
    assert f"  {name}+zlib: RMSE 0." in printed


@pytest.mark.parametrize(
    ("codec", "package"),
    [
        ("bzip3", "bzip3"),
        ("blosc2", "blosc2"),
        pytest.param("pcodec", "pcodec", marks=needs_pcodec),
    ],
)
def test_libraries_are_those_that_codecs_are_made_of(codec, package):
    find = n1store.study.comparison._libraries
    assert find([Pipeline.parse(codec)])[package] == version(package)
    assert package not in find([Pipeline.parse("n1")])


# ---- What fails


def test_codec_that_changes_samples_is_named(as_codec, run, data, tmp_path):
    broken, refusing = as_codec("Broken"), as_codec("Refusing")
    arguments = ["compare", data, "-o", tmp_path / "r", "--no-adc", "--repeats", 1]
    arguments += ["--codecs", f"{broken},zlib,{refusing}", "--chunk-seconds", 0.2]
    result = run(*arguments, "--json", exit_code=1)
    content = json.loads(result.stdout)
    assert content == json.loads((tmp_path / "r/results.json").read_text())
    assert [each["pipeline"] for each in content["results"]] == ["zlib"]
    why = {each["pipeline"]: each["why"] for each in content["failed"]}
    assert list(why) == [broken, refusing]
    length = content["data"]["chunk_samples"]
    assert why[broken].endswith(f"samples 0 to {length}: comes back changed, and must not")
    assert str(data) in why[broken]
    assert why[refusing].endswith(": no reason")
    assert [line.split(": ")[:2] for line in result.stderr.splitlines()] == [
        ["failed", broken],
        ["failed", refusing],
    ]


def test_comparison_in_which_all_codecs_fail(as_codec, run, data, tmp_path):
    arguments = ["compare", data, "--no-adc", "--repeats", 1]
    run(*arguments, "-o", tmp_path / "r", "--codecs", "zlib")
    result = run(*arguments, "-o", tmp_path / "none", "--codecs", as_codec("Broken"), exit_code=1)
    assert result.stdout.splitlines()[1:] == [
        "nothing was measured",
        f"{tmp_path / 'none'}: results.json and results.csv",
    ]
    (header,) = (tmp_path / "none/results.csv").read_text().splitlines()
    assert header == (tmp_path / "r/results.csv").read_text().splitlines()[0]


def test_codec_that_fails_later_is_named(as_codec, monkeypatch, run, data, tmp_path):
    # Alone in its group, it is measured at random places however fast the other is.
    name = as_codec("Unsteady", group="audio")
    for left, when in ((3, "when timed"), (8, "at random places")):
        monkeypatch.setattr(Unsteady, "left", left)
        result = run(
            *("compare", data, "-o", tmp_path / str(left), "--no-adc", "--repeats", 1),
            *("--codecs", f"{name},lz4"),
            exit_code=1,
        )
        assert f"failed: {name}: {when}: not again" in result.stderr
        content = json.loads((tmp_path / str(left) / "results.json").read_text())
        assert [each["pipeline"] for each in content["results"]] == ["lz4"]
        check_pareto(content["results"])


@needs_wavpack
def test_codec_that_cannot_do_with_chunks_is_named(run, tmp_path):
    write_wav(tmp_path / "short.wav", np.arange(9, dtype="<i2"))
    result = run(
        *("compare", tmp_path / "short.wav", "-o", tmp_path / "r", "--codecs", "wavpack,zlib"),
        *("--adc", "--repeats", 1),
        exit_code=1,
    )
    assert "short.wav: samples 0 to 9: WavPack takes 16 samples or more" in result.stderr


def test_recordings_of_several_rates(tmp_path):
    write_wav(tmp_path / "a.wav", np.arange(1600, dtype="<i2"), 800)
    write_wav(tmp_path / "b.wav", np.arange(9600, dtype="<i2").reshape(-1, 2), 1600)
    facts = load_data([tmp_path]).facts
    assert (facts["sampling_frequency"], facts["channels"]) == (1600, 2)
    assert (facts["chunk_seconds"], facts["chunk_samples"]) == (1.0, 1600)
    assert facts["duration_s"] == 5.0


@pytest.mark.parametrize("sample", [0, -1])
def test_no_chunks(data, tmp_path, sample):
    with pytest.raises(N1StoreError, match="at least one chunk"):
        compare(data, tmp_path / "r", sample=sample)
    assert not (tmp_path / "r").exists()


def test_a_single_sample_is_enough(run, tmp_path):
    source = write_wav(tmp_path / "[ 1,  2 ].wav", np.array([5], "<i2"))
    run("compare", source, "-o", tmp_path / "r", "--codecs", "lzma,n1", "--repeats", 2)
    document = load_results(tmp_path / "r")
    assert document["data"]["chunk_seconds"] == pytest.approx(1 / 19531, rel=1e-5)
    assert {each["pipeline"] for each in document["results"]} == {"adc+lzma", "lzma", "n1"}
    assert "-0.0" not in (tmp_path / "r/results.csv").read_text()
    for each in document["results"]:
        for speed in (each["encode"], each["decode"]):
            assert 0 < speed["low"] <= speed["mb_per_s"] <= speed["high"]
            assert speed["xrt"] == pytest.approx(speed["mb_per_s"] * 1e6 / 2 / 19531, rel=1e-4)
    assert json.loads((tmp_path / "r/results.json").read_text())["data"]["sources"] == [str(source)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--codecs", ","], "there is no codec to compare"),
        (["--codecs", "dictionaries"], "no codec is called 'dictionaries'"),
        (["--codecs", "zlib:level=10"], "level is an integer from 0 to 9"),
        (["--codecs", "zlib+delta"], "cannot follow zlib"),
        (["--chunk-seconds", "0"], "chunks must be longer than 0 s"),
        (["--chunk-seconds", "nan"], "chunks must be longer than 0 s"),
    ],
)
def test_wrong_options(run, data, tmp_path, options, message):
    result = run("compare", data, "-o", tmp_path / "r", *options, exit_code=1)
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_group_of_codecs_that_are_not_installed(monkeypatch, data, tmp_path):
    absent = Entry("absent", "nowhere", "-", "bytes-bytes", "not_there:X", install="pip install x")
    monkeypatch.setitem(CATALOGUE, "absent", absent)
    with pytest.raises(N1StoreError, match=r"no codec to compare; absent: .*pip install x"):
        compare(data, tmp_path / "results", codecs=["nowhere"])
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


# Of 5 pipelines in 2 rounds: among the sizes, in the first round, in the second, and after them.
@pytest.mark.parametrize("steps", [0, 2, 5, 7, 12, 15, 16])
def test_stopped_comparison_goes_on(data, tmp_path, steps):
    options = {"codecs": [FEW], "repeats": 2}
    folder = tmp_path / "r"
    with pytest.raises(StopError):
        compare(data, folder, progress=stop_after(steps), **options)
    assert not (folder / "results.json").exists()
    written = (folder / "rows.jsonl").read_bytes()
    assert lines_of(folder)[0]["format"] == 1

    with (folder / "rows.jsonl").open("ab") as file:
        file.write(b'{"row": "cut o')
    seen = []
    result = compare(data, folder, progress=lambda *step: seen.append(step), **options)
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

    again = compare(data, folder, **options)
    assert (folder / "rows.jsonl").read_bytes() == complete
    assert again.to_dict() == result.to_dict()


def test_ctrl_c_leaves_what_was_measured(run, data, tmp_path, monkeypatch):
    calls = []

    def interrupt(*given):
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return time_round(*given)

    monkeypatch.setattr(n1store.study.comparison, "time_round", interrupt)
    arguments = ["compare", data, "-o", tmp_path / "r", "--codecs", "zlib,lz4", "--repeats", 1]
    result = run(*arguments, exit_code=130)
    assert "the same command goes on" in result.stderr
    calls.clear()
    result = run(*arguments, "--overwrite", exit_code=130)
    assert "the same command without --overwrite goes on" in result.stderr
    assert [next(iter(line)) for line in lines_of(tmp_path / "r")[1:]] == ["row"] * 4 + [
        "round"
    ] * 2
    run(*arguments)
    assert len(calls) == 5


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--codecs", "lz4"], "pipelines"),
        (["--repeats", 2], "repeats"),
        (["--sample", 2], "chunks, samples"),
        (["--chunk-seconds", 0.2], "chunks, chunk samples, samples"),
    ],
)
def test_results_of_another_comparison_stay(run, data, tmp_path, change, named):
    folder = tmp_path / "r"
    arguments = ["compare", data, "-o", folder, "--codecs", "zlib", "--repeats", 1, "--adc"]
    run(*arguments)
    before = (folder / "results.json").read_bytes()
    result = run(*arguments, *change, exit_code=1)
    assert f"holds results of other {named};" in result.stderr
    assert (folder / "results.json").read_bytes() == before
    run(*arguments, *change, "--overwrite")
    assert (folder / "results.json").read_bytes() != before


def test_results_of_another_program_stay(run, data, tmp_path, monkeypatch):
    arguments = ["compare", data, "-o", tmp_path / "r", "--codecs", "zlib", "--repeats", 1]
    run(*arguments)
    monkeypatch.setattr(n1store.study.comparison, "_program", lambda: "another one")
    assert "holds results of other program;" in run(*arguments, exit_code=1).stderr


def test_results_of_another_machine_stay(run, data, tmp_path, monkeypatch):
    arguments = ["compare", data, "-o", tmp_path / "r", "--codecs", "zlib", "--repeats", 1]
    run(*arguments)
    monkeypatch.setattr(n1store.study.comparison, "available_cores", lambda: 1000)
    message = run(*arguments, exit_code=1).stderr
    assert "holds results of other machine or libraries;" in message


def test_results_are_of_the_day_on_which_they_were_begun(data, tmp_path, monkeypatch):
    days = [datetime.date(2001, 2, 3), datetime.date(2001, 2, 4)]
    for day in days:
        today = SimpleNamespace(date=SimpleNamespace(today=lambda day=day: day))
        monkeypatch.setattr(n1store.study.results, "datetime", today)
        result = compare(data, tmp_path / "r", codecs="zlib", repeats=1)
        assert result.measured_with["date"] == "2001-02-03"
    result = compare(data, tmp_path / "r", codecs="zlib", repeats=1, overwrite=True)
    assert result.measured_with["date"] == "2001-02-04"


def test_results_of_other_data_stay(run, data, tmp_path):
    synthesize(tmp_path / "others", num_recordings=3, seconds=0.5, seed=9)
    arguments = ["-o", tmp_path / "r", "--codecs", "zlib", "--repeats", 1, "--adc"]
    run("compare", data, *arguments)
    result = run("compare", tmp_path / "others", *arguments, exit_code=1)
    assert "holds results of other samples;" in result.stderr


@pytest.mark.parametrize("content", [b"no JSON\n", b'{"format": 1}\n', b'{"format": 2}\n', b"[]\n"])
def test_damaged_journal_is_named(run, data, tmp_path, content):
    (tmp_path / "r").mkdir()
    (tmp_path / "r/rows.jsonl").write_bytes(content)
    arguments = ["compare", data, "-o", tmp_path / "r", "--codecs", "zlib", "--adc"]
    result = run(*arguments, exit_code=1)
    assert "rows.jsonl: is damaged; --overwrite begins anew" in result.stderr
    run(*arguments, "--overwrite", "--repeats", 1)


def test_any_damage_to_a_line_of_the_journal_is_found(run, data, tmp_path):
    arguments = ["compare", data, "-o", tmp_path / "r", "--codecs", "zlib", "--repeats", 1, "--adc"]
    run(*arguments)
    journal = tmp_path / "r/rows.jsonl"
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
                message = run(*arguments, exit_code=1).stderr
                assert message == f"Error: {journal}: is damaged; --overwrite begins anew\n"


def test_a_full_disk_is_named_and_what_was_measured_stays(run, data, tmp_path):
    arguments = ["compare", data, "-o", tmp_path / "r", "--codecs", FEW, "--repeats", 20]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        message = run(*arguments, exit_code=1).stderr
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert message == f"Error: {tmp_path / 'r/rows.jsonl'}: File too large\n"
    lines = (tmp_path / "r/rows.jsonl").read_bytes().splitlines()[:-1]
    run(*arguments)
    assert (tmp_path / "r/rows.jsonl").read_bytes().splitlines()[: len(lines)] == lines


def test_one_process_at_a_time(run, data, tmp_path):
    (tmp_path / "r").mkdir()
    with (tmp_path / "r/rows.jsonl").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = run("compare", data, "-o", tmp_path / "r", "--codecs", "zlib", exit_code=1)
    assert "is being written by another process" in result.stderr
