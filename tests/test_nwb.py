"""NWB files as whoever gets them uses them: with n1store, with pynwb or h5py alone, damaged."""

import base64
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache

import h5py
import hdf5plugin
import make_nwb
import numpy as np
import pynwb
import pytest
from click.testing import CliRunner
from conftest import REAL_RECORDINGS, read_wav_independently, write_wav
from make_wav import chunk, data, fmt, noise, on_grid, rf64, wav
from nwbinspector import Importance, inspect_nwbfile
from pynwb import H5DataIO
from test_there_and_back import UNUSUAL, assert_identical

import n1store
from n1store import N1StoreError
from n1store.catalogue import CATALOGUE
from n1store.cli import cli
from n1store.codecs.hdf5 import N1
from n1store.pipeline import Pipeline

RATE = 1000
CHUNKS = ["--chunk-seconds", 0.4]
CHUNK_SAMPLES = 400

SAMPLES = {
    "constant": np.full((801, 1), -77, "<i2"),
    "empty": noise(0, 2),
    "extremes": np.resize(np.array([-(2**15), 2**15 - 1], "<i2"), (1000, 2)),
    "mono": on_grid(2013),
    "noise": noise(900, 3),
    "off-grid": on_grid(1000, 2) + np.int16(3),
    "one-sample": noise(1),
    "whole-chunks": on_grid(2 * CHUNK_SAMPLES, 4),
    "wide": on_grid(1234, 70),
}


def pipeline(spec, adc=True):
    """Return a parameter of a pipeline and whether adc goes in front of it."""
    missing = ""
    try:
        Pipeline.parse(spec).hdf5((1, 1))
    except N1StoreError as error:
        missing = str(error)
    marks = pytest.mark.skipif(bool(missing), reason=missing)
    return pytest.param((spec, adc), id=spec if adc else f"{spec} alone", marks=marks)


WIDTHS = np.random.default_rng(0).integers(8, 80, 1024).astype("u1")
WIDTHS_SPEC = f"n1:widths={base64.urlsafe_b64encode(WIDTHS).decode()}"

WITH_FILTER = [name for name, entry in CATALOGUE.items() if entry.hdf5]
EACH_CODEC = tuple(pipeline(name) for name in WITH_FILTER)
PIPELINES = (
    *EACH_CODEC,
    *(pipeline(name, False) for name in WITH_FILTER if not CATALOGUE[name].maps),
    pytest.param(
        (WIDTHS_SPEC, True),
        id="n1:widths",
        marks=pytest.mark.skipif(
            h5py.version.version_tuple < (3, 16), reason="needs h5py 3.16 to be written"
        ),
    ),
    *(
        pipeline(spec)
        for spec in (
            "n1:level=3",
            "adc+n1",
            "n1+zstd",
            "gzip:level=0",
            "bz2+zlib",
            "blosc:cname=lz4,clevel=9,shuffle=shuffle",
            "blosc:cname=lz4hc,clevel=1,shuffle=noshuffle",
            "blosc:cname=zlib",
            "blosc:cname=blosclz,clevel=0",
        )
    ),
)


@pytest.fixture(scope="module")
def wavs(tmp_path_factory):
    """Give a folder of recordings of all kinds."""
    folder = tmp_path_factory.mktemp("wavs")
    for name, samples in SAMPLES.items():
        channels = samples.shape[1]
        (folder / f"{name}.wav").write_bytes(wav(fmt(channels, RATE), data(samples)))
    return folder


@pytest.fixture(scope="module")
def expected(wavs):
    """Give the samples as a file, for processes of their own to compare with."""
    path = wavs.parent / f"{wavs.name}.npz"
    np.savez(path, **SAMPLES)
    return path


@pytest.fixture(scope="module")
def stores(wavs, tmp_path_factory):
    """Give the NWB file of each pipeline, converted once."""
    folder = tmp_path_factory.mktemp("stores")
    made = {}

    def store(spec, adc=True):
        if (spec, adc) not in made:
            made[spec, adc] = folder / f"{len(made)}.nwb"
            n1store.convert(
                wavs, made[spec, adc], codec=spec, adc=adc, chunk_seconds=CHUNKS[1], workers=1
            )
        return made[spec, adc]

    return store


def invoke(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def fails(run, *arguments, words=()):
    """Run a command that fails; return the one line that it says."""
    (line,) = run(*arguments, exit_code=1).stderr.splitlines()
    assert line.startswith("Error: ")
    assert all(str(word) in line for word in words), line
    return line


def run_alone(script, *arguments, **environment):
    """Run a script in a process where nobody has set anything; return what it printed."""
    ours = ("HDF5_PLUGIN", "N1STORE_", "PYTHON")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    result = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(script), *map(str, arguments)],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, (result.returncode, result.stderr[-3000:])
    return result.stdout


READ_ALONE = """
    import json, sys, {imports}, numpy

    def read(path):
        {read}

    assert "n1store" not in sys.modules
    expected = dict(numpy.load(sys.argv[1]))
    results = []
    for path in sys.argv[2:]:
        try:
            found = read(path)
            assert found.keys() == expected.keys(), found.keys()
            for name, samples in expected.items():
                assert found[name].dtype == samples.dtype, name
                assert numpy.array_equal(found[name], samples), name
            results.append("same")
        except Exception as error:
            results.append(repr(error))
    # The filter for any codec of numcodecs has numcodecs find them, some of which are n1store's.
    found = {{name.split(".")[0] for name in sys.modules}}
    assert "n1store" not in found or "numcodecs" in found
    print(json.dumps(results))
"""
READERS = {
    "h5py": READ_ALONE.format(
        imports="h5py",
        read="""
        with h5py.File(path) as file:
            return {name: series["data"][:] for name, series in file["acquisition"].items()}
        """,
    ),
    "pynwb": READ_ALONE.format(
        imports="pynwb",
        read="""
        file = pynwb.read_nwb(path)
        return {name: series.data[:] for name, series in file.acquisition.items()}
        """,
    ),
}


@pytest.fixture(scope="module")
def read_alone(stores, expected):
    """Give what a reader says of the file of each pipeline; one process reads many."""

    @cache
    def read(reader):
        parameters = PIPELINES if reader == "h5py" else EACH_CODEC
        pipelines = [each.values[0] for each in parameters if not each.marks[0].args[0]]
        results = {}
        for foreign in (False, True):
            these = [each for each in pipelines if needs_hdf5plugin(each) == foreign]
            script = READERS[reader]
            if foreign:
                script = script.replace("import json,", "import hdf5plugin, json,")
            found = json.loads(run_alone(script, expected, *(stores(*each) for each in these)))
            results |= zip(these, found, strict=True)
        return results

    return read


def needs_hdf5plugin(pipeline):
    """Tell whether HDF5 or n1store have not all filters of a pipeline."""
    filters = Pipeline.parse(pipeline[0]).hdf5((1, 1))
    return any(255 < number < 32768 for number, _ in filters)


# Every codec, every kind of recording


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_n1store_reads_what_was_written(stores, wavs, pipeline):
    path = stores(*pipeline)
    with n1store.open(path) as store:
        assert list(store) == sorted(SAMPLES)
        for name, samples in SAMPLES.items():
            recording = store[name]
            assert recording.traces.dtype == "<i2"
            np.testing.assert_array_equal(recording.traces[:], samples, err_msg=name)
            np.testing.assert_array_equal(recording.traces[-5:1500:3], samples[-5:1500:3])
            assert (recording.sampling_frequency, recording.duration) == (
                RATE,
                len(samples) / RATE,
            )
            assert recording.channel_ids == tuple(map(str, range(samples.shape[1])))
    result = n1store.verify(path, [wavs])
    assert (result.problems, result.compared) == ([], len(SAMPLES))


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_h5py_reads_it_without_n1store(read_alone, pipeline):
    assert read_alone("h5py")[pipeline] == "same"


@pytest.mark.parametrize("pipeline", EACH_CODEC)
def test_pynwb_reads_it_without_n1store(read_alone, pipeline):
    assert read_alone("pynwb")[pipeline] == "same"


def test_channels_beyond_64_are_in_groups(stores):
    with h5py.File(stores("n1")) as file:
        assert file["acquisition/wide/data"].chunks == (CHUNK_SAMPLES, 35)


@pytest.mark.parametrize(
    "spec",
    [
        # crc32c is not installed with every numcodecs
        *(name for name, entry in CATALOGUE.items() if not entry.hdf5 and name != "crc32c"),
        *("zstd+crc32", "n1+crc32"),
    ],
)
def test_a_codec_without_a_filter(run, wavs, tmp_path, spec):
    missing = next(name for name in Pipeline.parse(spec).names if not CATALOGUE[name].hdf5)
    fails(run, "convert", wavs, tmp_path / "x.nwb", "--codec", spec, words=["HDF5", missing, "n1"])
    assert list(tmp_path.iterdir()) == []


# Layouts and options


def test_layout_channels(run, tmp_path):
    """Give the channels of files of equal length as one series."""
    parts = {name: on_grid(1700, count, count) for name, count in (("a", 1), ("b", 3), ("c", 1))}
    for name, samples in parts.items():
        write_wav(tmp_path / "in" / f"{name}.wav", samples, RATE)
    path = tmp_path / "x.nwb"
    run("convert", tmp_path / "in", path, "--layout", "channels")
    together = np.hstack(list(parts.values()))
    with n1store.open(path) as store:
        assert list(store) == ["traces"]
        np.testing.assert_array_equal(store["traces"].traces[:], together)
        assert store["traces"].channel_ids == ("a", "b-0", "b-1", "b-2", "c")
    file = pynwb.read_nwb(path)
    (series,) = file.acquisition.values()
    np.testing.assert_array_equal(series.data[:], together)
    assert list(series.electrodes["channel_name"]) == ["a", "b-0", "b-1", "b-2", "c"]
    assert series.rate == RATE
    run("verify", path, tmp_path / "in")
    run("export", path, tmp_path / "back")
    assert_identical(tmp_path / "in", tmp_path / "back")


@pytest.mark.parametrize(
    ("destination", "options", "words"),
    [
        ("x.nwb", ["--layout", "spikeinterface"], ["SpikeInterface", "nwb"]),
        ("x.nwb", ["--zarr-format", "2"], ["Zarr format", ".nwb"]),
        ("x.nwb", ["--shard-seconds", "0"], ["shards", ".nwb"]),
        ("x.nwb", ["--chunk-seconds", "0"], ["positive"]),
        ("x.nwb", ["--layout", "channels"], ["has 0 samples", "agree"]),
        ("x.nwb", ["--session-start-time", "noon"], ["--session-start-time", "'noon'"]),
        ("x.nwb", ["--gain-to-uv", "0"], ["gain"]),
        ("x.nwb", ["--gain-to-uv", "nan"], ["gain"]),
        ("x.nwb", ["--offset-to-uv", "1"], ["offset", "gain"]),
        ("x.nwb", ["--identifier", ""], ["identifier"]),
        ("x.nwb", ["--metadata", "missing.yaml"], ["missing.yaml"]),
        *(
            ("x.zarr", [option, value], ["x.zarr", ".nwb"])
            for option, value in (
                ("--session-start-time", "2024-05-17"),
                ("--identifier", "a"),
                ("--session-description", "a"),
                ("--subject-id", "a"),
                ("--subject-species", "Homo sapiens"),
                ("--gain-to-uv", "1"),
            )
        ),
    ],
)
def test_options_that_do_not_fit(run, wavs, tmp_path, destination, options, words):
    fails(run, "convert", wavs, tmp_path / destination, *options, words=words)
    assert list(tmp_path.iterdir()) == []


def test_options_that_are_no_values(run, wavs, tmp_path):
    result = run("convert", wavs, tmp_path / "x.nwb", "--gain-to-uv", "much", exit_code=2)
    assert "'much'" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_chunks_are_of_10_megabytes_unless_told(run_json, tmp_path):
    write_wav(tmp_path / "long.wav", np.zeros((100_000, 64), "<i2"), 30_000)
    write_wav(tmp_path / "short.wav", np.zeros((1000, 3), "<i2"), 30_000)
    path = tmp_path / "x.nwb"
    run_json("convert", tmp_path, path, "--codec", "zstd")
    recordings = run_json("info", path)["recordings"]
    assert recordings["long"]["chunk_shape"] == [78_128, 64]
    assert recordings["short"]["chunk_shape"] == [1000, 3]
    run_json("convert", tmp_path, path, "--codec", "zstd", "--chunk-seconds", 0.5, "--overwrite")
    recordings = run_json("info", path)["recordings"]
    assert recordings["long"]["chunk_shape"] == [15_000, 64]


# Metadata

METADATA = """
NWBFile:
  session_id: 007
  experimenter: ["Doe, Jane"]
  institution: A university
  experiment_description: Recordings at rest.
  keywords: [rest]
  session_description: replaced by the option
Subject:
  strain: A strain
Ecephys:
  Device: {name: implant, manufacturer: A maker}
  ElectrodeGroup: {name: threads, location: motor cortex}
  ElectricalSeries: {filtering: none}
"""
OPTIONS = {
    "session-start-time": "2024-05-17T14:03:00+02:00",
    "identifier": "session-7",
    "session-description": "At rest.",
    "subject-id": "A10",
    "subject-species": "Macaca mulatta",
    "subject-sex": "F",
    "subject-age": "P4Y",
    "subject-description": "A subject.",
    "gain-to-uv": 0.25,
    "offset-to-uv": -2,
}
LAYOUTS = {
    "recordings": {"a": on_grid(900), "b": on_grid(700, 3)},
    "channels": {"a": on_grid(900), "b": on_grid(900, 3)},
}


@pytest.mark.parametrize("metadata", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_file_is_valid(run, tmp_path, layout, metadata):
    for name, samples in LAYOUTS[layout].items():
        write_wav(tmp_path / "in" / f"{name}.wav", samples, 19_531)
    path = tmp_path / "x.nwb"
    options = []
    if metadata:
        (tmp_path / "metadata.yaml").write_text(METADATA)
        options = [word for key, value in OPTIONS.items() for word in (f"--{key}", value)]
        options += ["--metadata", tmp_path / "metadata.yaml"]
    run("convert", tmp_path / "in", path, "--layout", layout, *options)
    assert pynwb.validate(path=str(path)) == []
    remarks = list(inspect_nwbfile(nwbfile_path=str(path)))
    assert not [remark for remark in remarks if remark.importance == Importance.CRITICAL]
    if metadata:
        assert remarks == []
    n1store.verify(path, [tmp_path / "in"])


def test_metadata_arrive_in_the_file(run, tmp_path):
    write_wav(tmp_path / "a.wav", SAMPLES["mono"], RATE)
    (tmp_path / "metadata.yaml").write_text(METADATA)
    path = tmp_path / "x.nwb"
    options = [word for key, value in OPTIONS.items() for word in (f"--{key}", value)]
    metadata = "--metadata", tmp_path / "metadata.yaml"
    run("convert", tmp_path / "a.wav", path, *options, *metadata)
    file = pynwb.read_nwb(path)
    assert file.session_start_time == datetime(2024, 5, 17, 12, 3, tzinfo=UTC)
    assert (file.identifier, file.session_description) == ("session-7", "At rest.")
    assert (file.session_id, file.institution) == ("007", "A university")
    assert list(file.experimenter) == ["Doe, Jane"]
    subject = file.subject
    assert (subject.subject_id, subject.species, subject.sex) == ("A10", "Macaca mulatta", "F")
    assert (subject.age, subject.description, subject.strain) == ("P4Y", "A subject.", "A strain")
    assert file.devices["implant"].model.manufacturer == "A maker"
    assert file.electrode_groups["threads"].location == "motor cortex"
    series = file.acquisition["a"]
    assert series.filtering == "none"
    assert (series.conversion, series.offset) == (0.25e-6, -2e-6)
    volts = (SAMPLES["mono"] * 0.25 - 2) * 1e-6
    np.testing.assert_allclose(series.get_data_in_units(), volts, rtol=1e-9)


def test_what_is_wrong_with_the_metadata_file_is_said(run, wavs, tmp_path):
    path = tmp_path / "metadata.yaml"
    for text, word in (("Subject: {specie: a}", "species"), ("{", "YAML"), ("", "no keys")):
        path.write_text(text)
        arguments = "convert", wavs, tmp_path / "x.nwb", "--metadata", path
        fails(run, *arguments, words=[path, word])
    assert list(tmp_path.iterdir()) == [path]


# There and back, and what is said of it


@pytest.mark.parametrize("pipeline", [pipeline("n1"), pipeline("wavpack"), pipeline("flac")])
def test_unusual_files_come_back_byte_for_byte(run, run_json, tmp_path, pipeline):
    source, path, back = tmp_path / "in", tmp_path / "x.nwb", tmp_path / "back"
    source.mkdir()
    for name, content in UNUSUAL.items():
        (source / f"{name}.wav").write_bytes(content)
    (source / "trailer.wav").write_bytes(
        rf64(noise(200, 2), channels=2, after=chunk(b"LIST", bytes(range(256)) * 5))
    )
    run("convert", source, path, "--codec", pipeline[0])
    result = run_json("verify", path, source)
    assert (result["ok"], result["compared"]) == (True, len(UNUSUAL) + 1)
    files = run_json("export", path, back)["files"]
    assert len(files) == len(UNUSUAL) + 1
    assert_identical(source, back)
    fails(run, "export", path, back, words=["--overwrite"])
    run("export", path, back, "--overwrite")
    assert_identical(source, back)


def test_real_recordings_come_back_byte_for_byte(recordings, run, tmp_path):
    path = tmp_path / "x.nwb"
    run("convert", recordings, path)
    assert "compared" in run("verify", path, recordings).stdout
    run("export", path, tmp_path / "back")
    assert_identical(recordings, tmp_path / "back")
    file = pynwb.read_nwb(path)
    for wav_path in recordings.iterdir():
        samples, rate = read_wav_independently(wav_path)
        series = file.acquisition[wav_path.stem]
        np.testing.assert_array_equal(series.data[:], samples)
        assert series.rate == rate


def test_files_of_one_name_and_unusual_names(tmp_path):
    names = ["x", "a/x", "a/b/x", "a b", "ü?*", "data", "n" * 240, "acquisition", "_x"]
    for number, name in enumerate(names):
        path = tmp_path / "in" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wav(fmt(), data(np.full((20, 1), number))))
    path = tmp_path / "x.nwb"
    n1store.convert(tmp_path / "in", path)
    with n1store.open(path) as store, h5py.File(path) as file:
        assert len(store) == len(names)
        for name, recording in store.items():
            number = int(recording.traces[0, 0])
            assert names[number].endswith(recording.attributes["sources"][0]["file"][:-4])
            place = store.attributes["recordings"][name]
            assert file[f"{place}/data"][0, 0] == number
    assert n1store.verify(path, [tmp_path / "in"]).compared == len(names)
    n1store.export_wavs(path, tmp_path / "back")
    for name in names:
        back = tmp_path / "back" / f"{name}.wav"
        assert back.read_bytes() == (tmp_path / "in" / f"{name}.wav").read_bytes()


def test_info_tells_what_is_in_the_file(stores, run, run_json):
    path = stores("n1")
    info = run_json("info", path, "--chunks")
    assert info["codec"] == "n1"
    assert info["store_bytes"] == path.stat().st_size
    assert info["raw_bytes"] == sum(samples.nbytes for samples in SAMPLES.values())
    with h5py.File(path) as file:
        sizes = {
            name: {
                tuple(np.floor_divide(at, dataset.chunks)): dataset.id.read_direct_chunk(at)[1]
                for at in map(
                    lambda n, dataset=dataset: dataset.id.get_chunk_info(n).chunk_offset,
                    range(dataset.id.get_num_chunks()),
                )
            }
            for name, dataset in ((name, file[f"acquisition/{name}/data"]) for name in SAMPLES)
        }
    listed = {name: {} for name in SAMPLES}
    for each in info["chunks"]:
        listed[each["recording"]][tuple(each["chunk"])] = each["stored_bytes"]
    expected = {name: {at: len(it) for at, it in chunks.items()} for name, chunks in sizes.items()}
    assert listed == expected
    for name, samples in SAMPLES.items():
        assert info["recordings"][name]["shape"] == list(samples.shape)
        assert info["recordings"][name]["sampling_frequency"] == RATE
    text = run("info", path, "--chunks").stdout
    for word in ("codec n1", "ratio", "whole-chunks", "400 x 35", "wide"):
        assert word in text


def test_bench_measures_both_ways_of_reading(stores, run, run_json):
    path = stores("zstd")
    (result,) = run_json("bench", path, "--windows", 3)
    assert result["chunk_ratio"] == run_json("info", path)["chunk_ratio"]
    kinds = [(window["window_s"], window["reader"]) for window in result["random_access"]]
    assert kinds == [(1.0, "n1store"), (1.0, "h5py"), (10.0, "n1store"), (10.0, "h5py")]
    assert [scan["reader"] for scan in result["scan"]] == ["n1store", "h5py"]
    text = run("bench", path, "--windows", 3).stdout
    for word in ("1 s windows", "everything", "xRT", "h5py", "n1store"):
        assert word in text


def test_verify_tells_what_differs_from_the_wavs(stores, wavs, run, run_json, tmp_path):
    path = stores("n1")
    copies = shutil.copytree(wavs, tmp_path / "wavs")
    changed = SAMPLES["wide"].copy()
    changed[CHUNK_SAMPLES + 7, 69] ^= 64
    (copies / "wide.wav").write_bytes(wav(fmt(70, RATE), data(changed)))
    (copies / "mono.wav").unlink()
    write_wav(copies / "other.wav", SAMPLES["mono"], RATE)
    result = json.loads(invoke("verify", path, copies, "--json").stdout)
    assert result["not_compared"] == ["mono.wav"]
    problems = sorted(result["problems"])
    assert "other.wav: is not in the store" in problems[0]
    assert problems[1].startswith("wide: chunk 1,")
    assert f"first at sample {CHUNK_SAMPLES + 7}" in problems[1]
    assert len(problems) == 2
    assert run_json("verify", path, wavs)["not_compared"] == []


# What is in the file


def content_of(path):
    """Return all attributes and datasets of an HDF5 file but those that are new each time."""
    found = {}

    def look(name, item):
        for key, value in item.attrs.items():
            if key != "object_id":
                value = item.file[value].name if isinstance(value, h5py.Reference) else value
                found[name, key] = repr(value)
        if isinstance(item, h5py.Dataset) and name != "file_create_date":
            found[name] = item.shape, item.chunks, item.maxshape, repr(item.dtype)
            if h5py.check_ref_dtype(item.dtype) is None:
                found[name] += (item[()].tolist() if item.shape else item[()],)

    with h5py.File(path) as file:
        look("/", file)
        file.visititems(look)
    return found


def test_same_input_gives_the_same_file(wavs, tmp_path):
    paths = [tmp_path / f"{number}.nwb" for number in range(2)]
    for path, workers in zip(paths, [1, 3], strict=True):
        n1store.convert(wavs, path, chunk_seconds=0.2, workers=workers)
    first, second = map(content_of, paths)
    assert first == second
    assert len(first) > 100
    assert paths[0].stat().st_size == paths[1].stat().st_size


@pytest.mark.parametrize("spec", ["n1", "adc", "zlib", "zstd", "blosc"])
def test_chunks_are_those_of_a_zarr_store(wavs, tmp_path, spec):
    """The checksum behind a chunk may be another; the chunk is not."""
    store, path = tmp_path / "x.zarr", tmp_path / "x.nwb"
    n1store.convert(wavs, store, codec=spec, chunk_seconds=0.4, zarr_format=2)
    n1store.convert(wavs, path, codec=spec, chunk_seconds=0.4)
    checksum = 0 if CATALOGUE[spec].checks else 4
    compared = 0
    with h5py.File(path) as file:
        for name, samples in SAMPLES.items():
            dataset = file[f"acquisition/{name}/data"]
            assert dataset.shape == samples.shape
            for number in range(dataset.id.get_num_chunks()):
                at = dataset.id.get_chunk_info(number).chunk_offset
                mask, payload = dataset.id.read_direct_chunk(at)
                key = ".".join(str(a // b) for a, b in zip(at, dataset.chunks, strict=True))
                stored = (store / "recordings" / name / key).read_bytes()
                assert mask == 0
                assert payload[: len(payload) - checksum] == stored[: len(stored) - checksum]
                compared += 1
    assert compared == sum(-(-len(each) // CHUNK_SAMPLES) for each in SAMPLES.values()) + 4


@pytest.mark.skipif(not REAL_RECORDINGS.exists(), reason="the figures are of the real recordings")
def test_the_file_is_as_small_as_a_zarr_store(tmp_path):
    sizes = [
        n1store.convert(REAL_RECORDINGS, tmp_path / name, chunk_seconds=1.0).sizes
        for name in ("x.zarr", "x.nwb")
    ]
    assert sizes[0].stored_bytes == sizes[1].stored_bytes
    assert sizes[1].store_bytes < 1.03 * sizes[0].store_bytes


# Damage

# Runs all commands on files, in a process of its own, as what is damaged may crash HDF5. The last
# path on standard error is that of the file that did.
TRY_ALL = """
    import json, resource, sys, traceback, warnings
    import numpy
    from click.testing import CliRunner
    import n1store
    from n1store.cli import cli

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    expected = dict(numpy.load(sys.argv[1]))
    results = []
    for path in sys.argv[2:]:
        print(path, file=sys.stderr, flush=True)
        found = {"wrong": [], "unforeseen": []}
        for command, *options in (
            ["info", "--chunks"],
            ["verify"],
            ["export", path + ".wavs"],
            ["bench", "--windows", "2"],
        ):
            result = CliRunner().invoke(cli, [command, path, *options])
            if not isinstance(result.exception, SystemExit | None):
                found["unforeseen"] += traceback.format_exception(result.exception)
            found[command] = result.exit_code, result.stderr.splitlines()
        try:
            with n1store.open(path) as store:
                found["names"] = list(store)
                for name in store:
                    try:
                        samples = store[name].read(0, 10**6)
                    except n1store.N1StoreError as error:
                        found["read"] = str(error)
                    else:
                        if not numpy.array_equal(samples, expected[name.rpartition("/")[2]]):
                            found["wrong"].append(name)
        except n1store.N1StoreError as error:
            found["read"] = str(error)
        results.append(found)
    print(json.dumps(results))
"""
TWO = {"one": on_grid(1000, 2, 1), "two": on_grid(1500, 2, 2)}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Give files of two recordings in chunks of 400 samples by codec, and the samples."""
    folder = tmp_path_factory.mktemp("originals")
    for name, samples in TWO.items():
        write_wav(folder / "wavs" / f"{name}.wav", samples, RATE)
    np.savez(folder / "expected.npz", **TWO)
    made = {}

    def original(spec):
        if spec not in made:
            made[spec] = folder / f"{len(made)}.nwb"
            n1store.convert(folder / "wavs", made[spec], codec=spec, chunk_seconds=0.4, workers=1)
        return made[spec], folder / "expected.npz"

    return original


def try_all(expected, contents, folder):
    """Return what all commands say of files of these contents; see TRY_ALL."""
    paths = [folder / f"{number}.nwb" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    results = json.loads(run_alone(TRY_ALL, expected, *paths))
    for path, result in zip(paths, results, strict=True):
        assert result["unforeseen"] == [], "".join(result["unforeseen"])
        assert result["wrong"] == []
        for command in ("info", "export", "bench"):
            code, lines = result[command]
            assert (code, len(lines)) in ((0, 0), (1, 1)), lines
            assert all(line.startswith("Error: ") for line in lines)
        left = [file.name for file in path.parent.glob(f"{path.name}.wavs/.*")]
        assert left == []
    return results


def flipped(content, position, value):
    changed = bytearray(content)
    changed[position] ^= value
    return bytes(changed)


def chunks_of(path, name):
    """Return the offset and size of each chunk of a recording."""
    with h5py.File(path) as file:
        dataset = file[f"acquisition/{name}/data"]
        infos = map(dataset.id.get_chunk_info, range(dataset.id.get_num_chunks()))
        return [(info.byte_offset, info.size) for info in infos]


@pytest.fixture(scope="module")
def changed_chunks(originals, tmp_path_factory):
    """Give what all commands say of files with a byte changed in a chunk, by codec and chunk."""
    folder = tmp_path_factory.mktemp("changed")
    rng = np.random.default_rng(1)
    keys, contents = [], []
    for parameter in EACH_CODEC:
        if parameter.marks[0].args[0]:
            continue
        spec = parameter.values[0][0]
        path, expected = originals(spec)
        content = path.read_bytes()
        for number, (offset, size) in list(enumerate(chunks_of(path, "two")))[1::2]:
            for position in (offset, offset + int(rng.integers(size)), offset + size - 1):
                keys.append((spec, number, folder / f"{len(keys)}.nwb.wavs"))
                contents.append(flipped(content, position, int(rng.integers(1, 256))))
    return list(zip(keys, try_all(expected, contents, folder), strict=True))


@pytest.mark.parametrize("pipeline", EACH_CODEC)
def test_a_changed_byte_in_a_chunk(changed_chunks, pipeline):
    results = [each for each in changed_chunks if each[0][0] == pipeline[0]]
    assert {key[1] for key, _ in results} == {1, 3}
    for (_, number, exported), result in results:
        code, (line, *more) = result["verify"]
        assert (code, more) == (1, [])
        assert line.startswith(f"two: chunk {number},0: ")
        assert f"chunk {number},0: " in result["read"]
        assert result["info"][0] == 0
        assert "two" in result["export"][1][0]
        assert "two" in result["bench"][1][0]
        assert result["names"] == ["one", "two"]
        assert [file.name for file in exported.iterdir()] == ["one.wav"]


def test_a_chunk_in_the_place_of_another(originals, tmp_path):
    path, _ = originals("n1")
    copy = shutil.copy(path, tmp_path / "x.nwb")
    with h5py.File(copy, "r+") as file:
        dataset = file["acquisition/two/data"]
        _, payload = dataset.id.read_direct_chunk((0, 0))
        dataset.id.write_direct_chunk((400, 0), payload)
    (line,) = n1store.verify(copy).problems
    assert line.startswith("two: chunk 1,0: ")


def test_samples_written_anew_by_others(originals, tmp_path):
    path, _ = originals("n1")
    copy = shutil.copy(path, tmp_path / "x.nwb")
    with h5py.File(copy, "r+") as file:
        file["acquisition/two/data"][407, 1] += 64
    (line,) = n1store.verify(copy).problems
    assert line.startswith("two: chunk 1,0: ")
    with pytest.raises(N1StoreError, match="two"):
        n1store.export_wavs(copy, tmp_path / "out")


@pytest.mark.parametrize("spec", ["n1", "zstd"])
def test_changed_bytes_in_the_metadata(originals, tmp_path, spec):
    path, expected = originals(spec)
    content = path.read_bytes()
    rng = np.random.default_rng(2)
    eligible = np.ones(len(content), bool)
    # Where HDF5 keeps texts it has no checksum, and some damages there it reads without end.
    start = content.find(b"GCOL")
    while start >= 0:
        size = int.from_bytes(content[start + 8 : start + 16], "little")
        eligible[start : start + size] = False
        start = content.find(b"GCOL", start + 4)
    assert 0 < eligible.sum() < len(content)
    for name in TWO:
        for offset, size in chunks_of(path, name):
            eligible[offset : offset + size] = False
    positions = rng.choice(np.flatnonzero(eligible), 40, replace=False)
    changed = [flipped(content, at, int(rng.integers(1, 256))) for at in positions]
    changed += [flipped(content, at, 0xFF) for at in (0, 4, 8, 12, 40)]
    results = try_all(expected, changed, tmp_path)
    found = 0
    for result in results:
        if result["verify"][0] == 0:
            assert "read" not in result
            assert result["names"] == ["one", "two"]
        found += "read" in result
    assert found > 10


def test_a_changed_text(originals, tmp_path):
    """Give what n1store looks for in HDF5's heap of texts another value."""
    path, expected = originals("n1")
    content = path.read_bytes()
    changed = [
        content.replace(old, new)
        for old, new in (
            (b"ElectricalSeries", b"ElectricalSerie\xff"),
            (b"ElectricalSeries", b"SpatialSeries\0\0\0"),
            (b"acquisition", b"acquisitiom"),
        )
    ]
    assert content not in changed
    for result in try_all(expected, changed, tmp_path):
        assert result["verify"][0] == 0 or "read" in result


def test_a_file_that_is_cut_off(originals, tmp_path):
    path, expected = originals("n1")
    content = path.read_bytes()
    lengths = [0, 1, 7, 8, 48, 100, 1000, *range(2000, len(content), 2500), -4096, -100, -2, -1]
    results = try_all(expected, [content[:length] for length in lengths], tmp_path)
    for number, result in enumerate(results):
        for command in ("info", "verify", "export", "bench"):
            code, (line,) = result[command]
            assert code == 1
            assert f"{number}.nwb: is not an HDF5 file, or is cut off" in line
        assert not (tmp_path / f"{number}.nwb.wavs").exists()


def summary_of(file):
    return json.loads(file["scratch/n1store"][:].tobytes())


def replace_summary(path, change):
    """Change what n1store keeps of the recordings."""
    with h5py.File(path, "r+") as file:
        attributes = dict(file["scratch/n1store"].attrs)
        content = change(summary_of(file))
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        del file["scratch/n1store"]
        file["scratch/n1store"] = np.frombuffer(content, "u1")
        file["scratch/n1store"].attrs.update(attributes)


WRONG = [None, 7, -1, 1.5, "x", "", [], {}, [None, None], True, float("nan"), 10**30]
SUMMARY_KEYS = [
    *([key] for key in ("version", "layout", "codec", "recordings")),
    ["recordings", "two"],
    *(
        ["recordings", "two", key]
        for key in ("path", "sampling_frequency", "channel_ids", "chunk_crc32", "samples_sha256")
    ),
    ["recordings", "two", "sources"],
    ["recordings", "two", "sources", 0],
    *(["recordings", "two", "sources", 0, key] for key in ("file", "sha256", "num_channels")),
]


def test_wrong_values_in_what_n1store_keeps(originals, tmp_path):
    path, expected = originals("n1")
    contents, changes = [], []
    rng = np.random.default_rng(3)
    copy = tmp_path / "copy.nwb"

    def set_value(summary):
        *parents, last = keys
        place = summary
        for key in parents:
            place = place[key]
        place[last] = value
        return summary

    for keys in SUMMARY_KEYS:
        for choice in rng.choice(len(WRONG), 3, replace=False):
            value = WRONG[choice]
            shutil.copy(path, copy)
            replace_summary(copy, set_value)
            contents.append(copy.read_bytes())
            changes.append((keys, value))
    for content in (b"", b"{", b"[]", b"null", b"\xff", b"{}", b"[" * 100_000):
        shutil.copy(path, copy)
        replace_summary(copy, lambda _, content=content: content)
        contents.append(copy.read_bytes())
        changes.append((["all"], content[:9]))
    results = try_all(expected, contents, tmp_path)
    for change, result in zip(changes, results, strict=True):
        fine = result["verify"][0] == 0
        # These name a thing, and any text does; and a recording need not come from WAV files.
        named = isinstance(change[-1], str) and change[0][-1] in ("version", "layout", "codec")
        allowed = named or change[0][-1] == "file" or change[1:] == ([],)
        assert not fine or allowed, change


def test_a_series_that_is_missing(originals, tmp_path):
    copy = shutil.copy(originals("n1")[0], tmp_path / "x.nwb")
    with h5py.File(copy, "r+") as file:
        del file["acquisition/two"]
    (line,) = n1store.verify(copy).problems
    assert line.startswith("two: series acquisition/two: ")
    with n1store.open(copy) as store:
        np.testing.assert_array_equal(store["one"].traces[:], TWO["one"])


def test_a_chunk_that_is_missing(originals, tmp_path):
    copy = tmp_path / "x.nwb"
    with h5py.File(originals("n1")[0]) as source, h5py.File(copy, "w") as target:
        for key, value in source.attrs.items():
            target.attrs[key] = value
        for name in source:
            source.copy(name, target)
        dataset = source["acquisition/two/data"]
        place = target["acquisition/two"]
        del place["data"]
        new = h5py.h5d.create(
            place.id,
            b"data",
            dataset.id.get_type(),
            dataset.id.get_space(),
            dataset.id.get_create_plist(),
        )
        _, payload = dataset.id.read_direct_chunk((0, 0))
        new.write_direct_chunk((0, 0), payload)
    lines = n1store.verify(copy).problems
    assert [line.split(": ")[1:] for line in lines] == [
        [f"chunk {number},0", "is missing"] for number in (1, 2, 3)
    ]
    with n1store.open(copy) as store, pytest.raises(N1StoreError, match=r"chunk 1,0: is missing"):
        store["two"].read(0, 1500)


# What is no NWB file, or cannot be had


def not_nwb(path, kind):
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not HDF5" * 1000)
    elif kind == "WAV":
        path.write_bytes(UNUSUAL["plain"])
    elif kind == "HDF5":
        h5py.File(path, "w").create_dataset("x", data=[1])
    elif kind == "folder":
        path.mkdir()


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "WAV", "HDF5", "folder"])
def test_what_is_no_nwb_file(run, tmp_path, kind):
    path = tmp_path / "x.nwb"
    not_nwb(path, kind)
    for command in (["info", path], ["verify", path], ["bench", path], ["export", path, "back"]):
        fails(run, *command, words=[path])
    with pytest.raises(N1StoreError, match="nwb"):
        n1store.open(path)


def test_a_file_without_series(run, tmp_path):
    nwbfile, _ = make_nwb.make_bare(2)
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    with n1store.open(path) as store:
        assert len(store) == 0
    assert "0 recordings" in run("info", path).stdout
    fails(run, "bench", path, words=[path, "no samples"])


def test_a_file_that_another_process_writes(originals, run, tmp_path):
    path = shutil.copy(originals("n1")[0], tmp_path / "x.nwb")
    script = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        for command in (["info"], ["verify"], ["bench"]):
            fails(run, *command, path, words=[path, "another process"])
        process.communicate(b"\n")
    run("verify", path)


def test_a_file_that_another_process_reads(originals, run, tmp_path):
    path = shutil.copy(originals("n1")[0], tmp_path / "x.nwb")
    with h5py.File(path):
        run("verify", path)
        write_wav(tmp_path / "in.wav", SAMPLES["mono"], RATE)
        run("convert", tmp_path / "in.wav", path, "--overwrite")
    run("verify", path, tmp_path / "in.wav")


def test_a_file_that_may_not_be_read(originals, run, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root can read everything")
    path = shutil.copy(originals("n1")[0], tmp_path / "x.nwb")
    path.chmod(0)
    fails(run, "verify", path, words=[path])


def test_a_filter_that_is_not_here(run, tmp_path):
    nwbfile, series = make_nwb.make_bare(2)
    nwbfile.add_acquisition(series("odd", TWO["one"]))
    nwbfile.add_acquisition(series("even", TWO["two"]))
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    with h5py.File(path, "r+") as file:
        attributes = dict(file["acquisition/odd/data"].attrs)
        del file["acquisition/odd/data"]
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((400, 2))
        properties.set_filter(52999, h5py.h5z.FLAG_OPTIONAL, (1,))
        space = h5py.h5s.create_simple((1000, 2))
        group = file["acquisition/odd"].id
        dataset = h5py.h5d.create(group, b"data", h5py.h5t.STD_I16LE, space, properties)
        for start in (0, 400, 800):
            dataset.write_direct_chunk((start, 0), b"coded")
        file["acquisition/odd/data"].attrs.update(attributes)
    run("info", path, "--chunks")
    with n1store.open(path) as store:
        np.testing.assert_array_equal(store["even"].traces[:], TWO["two"])
        with pytest.raises(N1StoreError, match=r"odd.*chunk 0,0: needs HDF5 filter 52999"):
            store["odd"].read(0, 10)
    for command in (["bench"], ["verify"]):
        result = invoke(*command, path)
        assert isinstance(result.exception, SystemExit)
        assert result.exit_code == 1


def test_without_the_plugins(originals, expected):
    """Switched off, HDF5 cannot read what n1store.open still does."""
    script = """
        import sys, h5py, numpy
        try:
            h5py.File(sys.argv[1])["acquisition/two/data"][:]
        except OSError as error:
            assert "filter" in str(error) or "plugin" in str(error), error
        else:
            sys.exit("was read")
        import n1store
        with n1store.open(sys.argv[1]) as store, numpy.load(sys.argv[2]) as expected:
            for name, samples in expected.items():
                assert numpy.array_equal(store[name].traces[:], samples)
        assert n1store.verify(sys.argv[1]).problems == []
    """
    for spec in ("n1", "adc"):
        run_alone(script, *originals(spec), N1STORE_NO_HDF5_PLUGINS="1")


def test_plugins_that_are_not_installed(run, wavs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "n1store.codecs.hdf5", None)
    monkeypatch.delattr("n1store.codecs.hdf5", raising=False)
    fails(run, "convert", wavs, tmp_path / "x.nwb", words=["hdf5"])
    assert list(tmp_path.iterdir()) == []


def test_no_room_on_the_disk(wavs, tmp_path):
    """Wherever in the file it ends: that is one line, and nothing is left."""
    script = """
        import os, resource, sys, n1store
        source, folder = sys.argv[1:]
        path = f"{folder}/x.nwb"
        n1store.convert(source, path)
        size = os.path.getsize(path)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        os.remove(path)
        for missing in (1, 1000, 5000, 20_000, size // 2, size - 5000, size - 10, size):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size - missing, hard))
            try:
                n1store.convert(source, path)
            except n1store.N1StoreError as error:
                assert "File too large" in str(error) and chr(10) not in str(error), error
            else:
                sys.exit(f"{missing} bytes were not missed")
            assert os.listdir(folder) == []
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        n1store.convert(source, path)
        assert os.path.getsize(path) == size
        assert n1store.verify(path, [source]).problems == []
    """
    (tmp_path / "out").mkdir()
    run_alone(script, wavs, tmp_path / "out")


# Forks from a process that has imported all, as a conversion is over before that is done.
STOP_OFTEN = """
    import json, os, shutil, signal, sys, time
    import hdmf.backends.hdf5, pynwb, n1store.bench, n1store.conversion, n1store.stores.nwb
    from n1store.cli import main

    source, old, out = sys.argv[1:]
    path = f"{out}/x.nwb"

    def convert(*arguments):
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            sys.argv = ["n1store", "convert", source, path, *arguments, "--workers", "1", "--json"]
            os.dup2(2, 1)
            main()
        return child

    def wait(child):
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    for trial in range(18):
        number = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[trial % 3]
        overwrite = trial % 2
        if overwrite:
            shutil.copy(old, path)
        child = convert(*["--overwrite"] * overwrite)
        time.sleep(0.02 + 0.03 * trial)
        os.kill(child, number)
        code, names = wait(child), os.listdir(out)
        if "x.nwb" in names:
            os.rename(path, f"{out}/../{trial}.nwb")
        print(json.dumps([number, overwrite, code, names]))
    wait(convert())
    print(json.dumps(os.listdir(out)))
"""


def test_signals_at_any_moment(tmp_path):
    """Also while pynwb writes: the file is not there, or is the old one, or is complete."""
    for name in range(30):
        write_wav(tmp_path / "in" / f"{name}.wav", on_grid(2000, 1, name), RATE)
    n1store.convert(tmp_path / "in" / "0.wav", tmp_path / "old.nwb")
    (tmp_path / "out").mkdir()
    output = run_alone(STOP_OFTEN, tmp_path / "in", tmp_path / "old.nwb", tmp_path / "out")
    *trials, last = map(json.loads, output.splitlines())
    assert {130, -signal.SIGKILL} <= {code for _, _, code, _ in trials}
    for trial, (number, overwrite, code, names) in enumerate(trials):
        if number == signal.SIGKILL:
            assert code in (0, -signal.SIGKILL)
            assert set(names) <= {"x.nwb", ".x.nwb.partial"}
        else:
            # The others are those of a command that has hardly begun, or is over.
            assert code in (0, 130, 1, -signal.SIGINT, -number)
            assert set(names) <= {"x.nwb"}
        if "x.nwb" in names:
            path = tmp_path / f"{trial}.nwb"
            assert n1store.verify(path).problems == []
            recordings = len(n1store.open(path))
            assert recordings == 30 or (overwrite and recordings == 1 and code)
        else:
            assert code
            assert not overwrite
    assert last == ["x.nwb"]


# Files of others


def test_a_file_without_recordings(tmp_path):
    path = tmp_path / "empty.nwb"
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(pynwb.NWBFile("nothing", "empty", datetime.now(UTC)))
    for command in (["verify"], ["export"], ["bench"], ["convert"]):
        target = {"export": [tmp_path / "wavs"], "convert": [tmp_path / "out.zarr"]}
        result = invoke(*command, path, *target.get(command[0], []))
        assert result.exit_code == 1
        assert "Traceback" not in result.output
        assert f"{path}: holds no " in result.output
    assert sorted(tmp_path.iterdir()) == [path]


IN_CHUNKS = {"chunks": (300, 3)}
STORED = {
    "gzip": IN_CHUNKS | {"compression": "gzip"},
    "lzf": IN_CHUNKS | {"compression": "lzf"},
    "shuffled": IN_CHUNKS | {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "bitshuffle": IN_CHUNKS | dict(hdf5plugin.Bitshuffle()),
    "blosc2": IN_CHUNKS | dict(hdf5plugin.Blosc2()),
    "n1": IN_CHUNKS | dict(N1(3)),
    "contiguous": {},
    "big-endian": {"dtype": ">i2"},
    "big-endian chunks": IN_CHUNKS | {"dtype": ">i2", "compression": "gzip"},
    "one channel": {"shape": (1100,), "chunks": (300,), "compression": "gzip"},
    "contiguous channel": {"shape": (1100,)},
    "not yet written": IN_CHUNKS | {"data": None, "dtype": "<i2", "fillvalue": 7},
    "timed": {},
    "lfp": {},
}


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """Give an NWB file with many kinds of series, and the samples of those of int16."""
    nwbfile, series = make_nwb.make_bare(6)
    samples = {name: make_nwb.samples((1100, 4), seed) for seed, name in enumerate(STORED)}
    for name in ("one channel", "contiguous channel"):
        samples[name] = samples[name][:, :1]
    samples["not yet written"][:] = 7
    for name, values in samples.items():
        rows = [5 - row for row in range(values.shape[1])]
        timing = {"timestamps": 5 + np.arange(1100) / 500} if name == "timed" else {}
        made = series(name, values, rows, **timing)
        if name == "lfp":
            module = nwbfile.create_processing_module("ecephys", "Computed.")
            lfp = pynwb.ecephys.LFP()
            module.add(lfp)
            lfp.add_electrical_series(made)
        else:
            nwbfile.add_acquisition(made)
    nwbfile.add_acquisition(series("volts", samples["gzip"].astype("f4")))
    nwbfile.add_acquisition(series("unsigned", samples["gzip"].astype("u2")))
    nwbfile.add_acquisition(series("moment", samples["gzip"][:1], timestamps=[1.5]))
    path = make_nwb.write(tmp_path_factory.mktemp("foreign") / "foreign.nwb", nwbfile)
    with h5py.File(path, "r+") as file:
        for name, options in STORED.items():
            if name != "lfp":
                values = {"data": samples[name], "shape": samples[name].shape}
                store_anew(file[f"acquisition/{name}"], **values | options)
    return path, samples


def store_anew(group, **options):
    """Store a series' samples otherwise."""
    attributes = dict(group["data"].attrs)
    del group["data"]
    group.create_dataset("data", **options).attrs.update(attributes)


def test_files_of_others_are_read(foreign):
    path, samples = foreign
    with n1store.open(path) as store, h5py.File(path) as file:
        assert store.keys() == samples.keys()
        for name, recording in store.items():
            stored = file[f"{store.attributes['recordings'][name]}/data"][:]
            stored = stored.reshape(1100, -1)
            np.testing.assert_array_equal(stored, samples[name], err_msg=name)
            read = recording.traces[:]
            assert read.dtype == "<i2"
            np.testing.assert_array_equal(read, stored, err_msg=name)
            window = recording.traces[250:950:3, [-1, 0]]
            np.testing.assert_array_equal(window, stored[250:950:3, [-1, 0]], err_msg=name)
            np.testing.assert_array_equal(np.asarray(store.library_array(name)[5:9, :]), read[5:9])
            rows = [str(5 - row) for row in range(stored.shape[1])]
            assert recording.channel_ids == tuple(rows)
            rate = 500 if name == "timed" else 1000
            assert recording.sampling_frequency == pytest.approx(rate)
        assert store.attributes["recordings"]["lfp"] == "processing/ecephys/LFP/lfp"
        left_out = {line.partition(": ")[0]: line for line in store.left_out}
    assert left_out.keys() == {f"acquisition/{name}" for name in ("volts", "unsigned", "moment")}
    assert "float32" in left_out["acquisition/volts"]
    assert "uint16" in left_out["acquisition/unsigned"]


def test_what_commands_say_of_files_of_others(foreign, run, run_json, tmp_path):
    path, samples = foreign
    result = run("info", path, "--chunks")
    for name in samples:
        assert name in result.stdout
    for word in ("volts", "float32", "unsigned", "uint16", "moment"):
        assert word in result.stdout + result.stderr
    info = run_json("info", path)
    assert info["recordings"].keys() == samples.keys()
    lines = run("verify", path, exit_code=1).stderr.splitlines()
    assert sorted(line.partition(": ")[0] for line in lines) == sorted(samples)
    assert all("no checksums" in line for line in lines)
    fails(run, "export", path, tmp_path / "out", words=["was not made from WAV files"])


def test_bench_of_files_of_others(foreign, run_json):
    (result,) = run_json("bench", foreign[0], "--windows", 2)
    assert [scan["reader"] for scan in result["scan"]] == ["n1store", "h5py"]


def test_series_of_one_name(tmp_path):
    nwbfile, series = make_nwb.make_bare(4)
    samples = [make_nwb.samples((500, 2), seed) for seed in range(3)]
    nwbfile.add_acquisition(series("raw", samples[0]))
    for number in (1, 2):
        module = nwbfile.create_processing_module(f"step {number}", "Computed.")
        module.add(series("raw", samples[number]))
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    with n1store.open(path) as store:
        places = store.attributes["recordings"]
        assert sorted(places.values()) == [
            "acquisition/raw", "processing/step 1/raw", "processing/step 2/raw"
        ]  # fmt: skip
        for name, place in places.items():
            number = int(place.split("/")[1][-1]) if place.startswith("p") else 0
            np.testing.assert_array_equal(store[name].traces[:], samples[number])


def test_samples_that_are_in_another_file(tmp_path):
    """Such as pynwb links to where a file builds on another."""
    options = {"compression": "gzip", "chunks": (100, 2)}
    first, second = make_nwb.samples((700, 2), 1), make_nwb.samples((700, 2), 2)
    nwbfile, series = make_nwb.make_bare(2)
    nwbfile.add_acquisition(series("raw", H5DataIO(first, **options)))
    make_nwb.write(tmp_path / "raw.nwb", nwbfile)
    with pynwb.NWBHDF5IO(tmp_path / "raw.nwb", "r") as raw:
        nwbfile, series = make_nwb.make_bare(2)
        nwbfile.add_acquisition(series("own", H5DataIO(second, **options)))
        nwbfile.add_acquisition(series("linked", raw.read().acquisition["raw"].data))
        with pynwb.NWBHDF5IO(tmp_path / "x.nwb", "w", manager=raw.manager) as io:
            io.write(nwbfile)
    with n1store.open(tmp_path / "x.nwb") as store:
        np.testing.assert_array_equal(store["linked"].traces[:], first)
        np.testing.assert_array_equal(store["own"].traces[:], second)
    (tmp_path / "raw.nwb").unlink()
    with n1store.open(tmp_path / "x.nwb") as store:
        assert list(store) == ["own"]
        assert "acquisition/linked" in store.left_out[0]


def test_series_that_others_add_to_ours(originals, run_json, tmp_path):
    copy = shutil.copy(originals("n1")[0], tmp_path / "x.nwb")
    added = make_nwb.samples((600, 2))
    with pynwb.NWBHDF5IO(copy, "a") as io:
        file = io.read()
        rows = file.create_electrode_table_region([0, 1], "two")
        file.add_acquisition(
            pynwb.ecephys.ElectricalSeries(name="added", data=added, electrodes=rows, rate=100.0)
        )
        io.write(file)
    with n1store.open(copy) as store:
        assert list(store) == ["one", "two", "added"]
        for name, samples in (TWO | {"added": added}).items():
            np.testing.assert_array_equal(store[name].traces[:], samples)
    result = json.loads(invoke("verify", copy, "--json").stdout)
    assert [problem.partition(": ")[0] for problem in result["problems"]] == ["added"]


def test_text_of_fixed_length(originals, tmp_path):
    """As programs that are not Python may write it."""
    copy = shutil.copy(make_copy_of_others(tmp_path), tmp_path / "x.nwb")
    with h5py.File(copy, "r+") as file:
        attributes = file["acquisition/raw"].attrs
        attributes["neurodata_type"] = np.bytes_("ElectricalSeries")
    with n1store.open(copy) as store:
        assert list(store) == ["raw"]


def make_copy_of_others(folder):
    nwbfile, series = make_nwb.make_bare(2)
    nwbfile.add_acquisition(series("raw", make_nwb.samples((700, 2))))
    return make_nwb.write(folder / "others.nwb", nwbfile)


# Many at once, and much at once


@pytest.mark.parametrize("spec", ["n1", "blosc", "bz2"])
def test_threads_read_windows_from_one_store(stores, spec):
    with n1store.open(stores(spec)) as store:
        traces = {name: recording.traces for name, recording in store.items()}

        def read(seed):
            rng = np.random.default_rng(seed)
            for _ in range(40):
                name = rng.choice([each for each in SAMPLES if SAMPLES[each].size])
                start, stop = sorted(rng.integers(len(SAMPLES[name]) + 1, size=2))
                if not np.array_equal(traces[name][start:stop], SAMPLES[name][start:stop]):
                    return name, start, stop
            return None

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(read, range(16))) == [None] * 16


def test_threads_read_what_only_hdf5_reads(foreign):
    path, samples = foreign
    with n1store.open(path) as store:
        traces = {name: recording.traces for name, recording in store.items()}

        def read(seed):
            start = 60 * seed
            return [
                name
                for name, values in samples.items()
                if not np.array_equal(traces[name][start : start + 500], values[start:][:500])
            ]

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(read, range(16))) == [[]] * 16


def test_forked_processes_read_one_store(stores):
    with n1store.open(stores("n1")) as store:
        traces = store["wide"].traces

        def read(queue):
            right = [
                np.array_equal(traces[start : start + 500], SAMPLES["wide"][start : start + 500])
                for start in range(0, 700, 50)
            ]
            queue.put(all(right))

        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        processes = [context.Process(target=read, args=(queue,)) for _ in range(3)]
        for process in processes:
            process.start()
        try:
            assert [queue.get(timeout=60) for _ in processes] == [True] * 3
        finally:
            for process in processes:
                process.kill()
                process.join()


def test_memory_is_bounded(tmp_path):
    """What converting, verifying and exporting take at most does not grow with the file."""
    script = """
        import resource, sys, n1store
        source, store, back = sys.argv[1:]
        for length in (15, 75):
            name = f"{source}/{length}.wav"
            n1store.convert(name, store, codec="fletcher32", adc=False, overwrite=True, workers=2)
            assert n1store.verify(store, [name], workers=2).problems == []
            n1store.export_wavs(store, back, workers=2)
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    """
    block = noise(8192, 64)
    for length in (15, 75):
        write_wav(tmp_path / f"{length}.wav", np.tile(block, (length, 1)), 20_000)
    few, many = map(int, run_alone(script, tmp_path, tmp_path / "x.nwb", tmp_path / "b").split())
    assert many - few < 30, (few, many)
