"""NWB files as whoever gets them uses them: with n1store, with pynwb or h5py alone."""

import base64
import json
import multiprocessing
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product

import h5py
import numpy as np
import pynwb
import pytest
from click.testing import CliRunner
from test_there_and_back import UNUSUAL, assert_identical

import n1store
from cases import case
from installed import REAL_RECORDINGS, needs_h5py_316
from make_wav import chunk, data, fmt, noise, on_grid, read_wav_independently, rf64, wav, write_wav
from n1store import N1StoreError
from n1store.cli.commands import cli
from n1store.codecs.catalogue import CATALOGUE
from n1store.codecs.pipeline import Pipeline
from processes import ForkedCommand, run_alone

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
    """Return a parameter: a pipeline and whether adc goes in front; skipped without its filters."""
    missing = ""
    try:
        Pipeline.parse(spec).hdf5((1, 1))
    except N1StoreError as error:
        missing = str(error)
    marks = pytest.mark.skipif(bool(missing), reason=missing)
    return pytest.param((spec, adc), id=spec if adc else f"{spec} alone", marks=marks)


def installed(parameters):
    """Return the pipelines whose filters are here."""
    return [each.values[0] for each in parameters if not each.marks[0].args[0]]


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
        marks=needs_h5py_316,
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


AT_THE_TOP = {
    "acquisition",
    "analysis",
    "file_create_date",
    "general",
    "identifier",
    "processing",
    "scratch",
    "session_description",
    "session_start_time",
    "stimulus",
    "timestamps_reference_time",
}

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
    """Give what a reader says of the file of each pipeline; one process reads all."""

    @cache
    def read(reader):
        parameters = PIPELINES if reader == "h5py" else EACH_CODEC
        pipelines = installed(parameters)
        found = run_alone(READERS[reader], expected, *(stores(*each) for each in pipelines))
        return dict(zip(pipelines, json.loads(found), strict=True))

    return read


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


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_h5py_reads_it_without_n1store(read_alone, pipeline):
    assert read_alone("h5py")[pipeline] == "same"


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", EACH_CODEC)
def test_pynwb_reads_it_without_n1store(read_alone, pipeline):
    assert read_alone("pynwb")[pipeline] == "same"


def test_without_the_plugins(stores, expected):
    """Switched off, HDF5 cannot read what n1store.open still does."""
    script = """
        import sys, h5py, numpy
        expected = dict(numpy.load(sys.argv[1]))
        paths = sys.argv[2:]
        for path in paths:
            try:
                h5py.File(path)["acquisition/wide/data"][:]
            except OSError as error:
                assert "filter" in str(error) or "plugin" in str(error), (path, error)
            else:
                sys.exit(f"{path} was read")
        import n1store
        for path in paths:
            with n1store.open(path) as store:
                for name, samples in expected.items():
                    assert numpy.array_equal(store[name].traces[:], samples), (path, name)
            assert n1store.verify(path).problems == [], path
    """
    run_alone(script, expected, stores("n1"), stores("adc"), N1STORE_NO_HDF5_PLUGINS="1")


def test_channels_beyond_64_are_in_groups(stores):
    with h5py.File(stores("n1")) as file:
        assert file["acquisition/wide/data"].chunks == (CHUNK_SAMPLES, 35)


@pytest.mark.parametrize(
    "spec",
    [
        *(name for name, entry in CATALOGUE.items() if not entry.hdf5),
        *("zstd+crc32", "n1+crc32"),
    ],
)
def test_a_codec_without_a_filter(fails, wavs, tmp_path, spec):
    missing = next(name for name in Pipeline.parse(spec).names if not CATALOGUE[name].hdf5)
    fails("convert", wavs, tmp_path / "x.nwb", "--codec", spec, words=["HDF5", missing, "n1"])
    assert list(tmp_path.iterdir()) == []


def test_plugins_that_are_not_installed(fails, wavs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "n1store.codecs.hdf5", None)
    monkeypatch.delattr("n1store.codecs.hdf5", raising=False)
    fails("convert", wavs, tmp_path / "x.nwb", words=["hdf5"])
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
            )
        ),
    ],
)
def test_options_that_do_not_fit(fails, wavs, tmp_path, destination, options, words):
    fails("convert", wavs, tmp_path / destination, *options, words=words)
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


# There and back, and what is said of it


@pytest.mark.parametrize("pipeline", [pipeline("n1"), pipeline("wavpack"), pipeline("flac")])
def test_unusual_files_come_back_byte_for_byte(run, run_json, fails, tmp_path, pipeline):
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
    fails("export", path, back, words=["--overwrite"])
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
    for word in ("codec n1", "ratio", "whole-chunks", "400x35", "wide"):
        assert word in text


def test_bench_measures_both_ways_of_reading(stores, run, run_json):
    path = stores("zstd")
    (result,) = run_json("bench", path, "--windows", 3)
    assert result["chunk_ratio"] == run_json("info", path)["chunk_ratio"]
    kinds = [(window["window_s"], window["reader"]) for window in result["random_access"]]
    longest = max(map(len, SAMPLES.values())) / RATE  # which is less than 10 s
    # Those of 1 s once more of one channel.
    assert kinds == list(product([0.1, 1.0, longest, 1.0], ["n1store", "h5py"]))
    channels = [window["channels"] for window in result["random_access"]]
    assert channels == 6 * ["all"] + 2 * ["one"]
    assert [scan["reader"] for scan in result["scan"]] == ["n1store", "h5py"]
    text = run("bench", path, "--windows", 3).stdout
    for word in ("1 s windows", "1 s of 1 channel", "everything", "xRT", "h5py", "n1store"):
        assert word in text


def test_verify_tells_what_differs_from_the_wavs(stores, wavs, run, run_json, tmp_path):
    path = stores("n1")
    copies = shutil.copytree(wavs, tmp_path / "wavs")
    changed = SAMPLES["wide"].copy()
    changed[CHUNK_SAMPLES + 7, 69] ^= 64
    (copies / "wide.wav").write_bytes(wav(fmt(70, RATE), data(changed)))
    (copies / "mono.wav").unlink()
    write_wav(copies / "other.wav", SAMPLES["mono"], RATE)
    result = json.loads(
        CliRunner().invoke(cli, ["verify", str(path), str(copies), "--json"]).stdout
    )
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


@pytest.mark.long
@pytest.mark.skipif(not REAL_RECORDINGS.exists(), reason="the figures are of the real recordings")
@pytest.mark.parametrize("seconds", [1.0, 100.0])
def test_the_file_is_as_small_as_a_zarr_store(tmp_path, seconds):
    sizes = [
        n1store.convert(REAL_RECORDINGS, tmp_path / name, chunk_seconds=seconds).sizes
        for name in ("x.zarr", "x.nwb")
    ]
    assert sizes[0].stored_bytes == sizes[1].stored_bytes
    # What NWB says of each series takes as much as 0.17 s of its samples.
    assert sizes[1].store_bytes < 1.034 * sizes[0].store_bytes


def test_there_are_no_gaps_and_nothing_is_left_behind(wavs, tmp_path):
    """What pynwb wrote elsewhere is there as a copy, and its references lead to other copies."""
    path = tmp_path / "x.nwb"
    n1store.convert(wavs, path)
    headers = {}

    def look(name, item):
        headers[name] = h5py.h5o.get_info(item.id)

    with h5py.File(path) as file:
        assert set(file) == AT_THE_TOP
        file.visititems(look)
        electrodes = file["general/extracellular_ephys/electrodes"]
        group = file["general/extracellular_ephys/electrode_group"]
        assert {file[reference] for reference in electrodes["group"]} == {group}
        for name in SAMPLES:
            assert file[file[f"acquisition/{name}/electrodes"].attrs["table"]] == electrodes
            for part in ("", "/data", "/electrodes", "/starting_time"):
                header = headers[f"acquisition/{name}{part}"].hdr
                assert header.nchunks == 1
                assert header.space.free < 16  # bytes; without copying, 25 to 70


# Stopped while it is written


@pytest.mark.slow
def test_no_room_on_the_disk(tmp_path):
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
                assert str(error) == f"{path}: File too large", error
            else:
                sys.exit(f"{missing} bytes were not missed")
            assert os.listdir(folder) == []
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        n1store.convert(source, path)
        assert os.path.getsize(path) == size
        assert n1store.verify(path, [source]).problems == []
    """
    for name in ("extremes", "mono", "wide"):
        write_wav(tmp_path / "in" / f"{name}.wav", SAMPLES[name], RATE)
    (tmp_path / "out").mkdir()
    run_alone(script, tmp_path / "in", tmp_path / "out")


@pytest.mark.long
def test_signals_at_any_moment(tmp_path):
    """Also while pynwb writes: the file is not there, or is the old one, or is complete."""
    source, old, out = tmp_path / "in", tmp_path / "old.nwb", tmp_path / "out"
    for name in range(10):
        write_wav(source / f"{name}.wav", on_grid(2000, 1, name), RATE)
    n1store.convert(source / "0.wav", old)
    out.mkdir()
    path = out / "x.nwb"
    convert = "convert", source, path, "--workers", 1
    codes, left = set(), set()
    for trial in range(18):
        number = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[trial % 3]
        overwrite = trial % 2
        if overwrite:
            shutil.copy(old, path)
        command = ForkedCommand(*convert, *["--overwrite"] * overwrite)
        time.sleep(0.01 + 0.01 * trial)
        command.send_signal(number)
        command.communicate(timeout=50)
        code, names = command.returncode, {file.name for file in out.iterdir()}
        codes.add(code)
        with case(trial, number, code):
            if number == signal.SIGKILL:
                assert code in (0, -signal.SIGKILL)
                assert names <= {"x.nwb", ".x.nwb.partial"}
            else:
                # The others are those of a command that has hardly begun, or is over. One that has
                # hardly begun leaves what one that was killed left.
                assert code in (0, 130, 1, -signal.SIGINT, -number)
                assert names <= {"x.nwb"} | left
            left = names & {".x.nwb.partial"}
            if "x.nwb" in names:
                assert n1store.verify(path).problems == []
                with n1store.open(path) as store:
                    recordings = len(store)
                assert recordings == 10 or (overwrite and recordings == 1 and code)
                path.unlink()
            else:
                assert code
                assert not overwrite
    assert {130, -signal.SIGKILL} <= codes
    command = ForkedCommand(*convert)
    assert command.communicate() == ("", "")
    assert command.returncode == 0
    assert list(out.iterdir()) == [path]


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


@pytest.mark.long
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


@pytest.mark.long
def test_memory_is_bounded_whatever_the_shape(tmp_path):
    """Rows of chunks of 40 MB and of 160 MB, of one file and of several, of files and of stores."""
    script = """
        import re, sys, n1store
        sources, folder = sys.argv[1], sys.argv[2]
        options = {"codec": "zstd:level=1", "overwrite": True, "workers": 2}
        wide = {"layout": "channels", "chunk_seconds": float(sys.argv[3])}
        for store, target, more in (
            (sources, f"{folder}/a.nwb", wide),
            (f"{folder}/a.nwb", f"{folder}/b.zarr", {"chunk_seconds": 0.7}),
            (f"{folder}/b.zarr", f"{folder}/c.nwb", {"chunk_seconds": wide["chunk_seconds"]}),
        ):
            n1store.convert(store, target, **options, **more)
            # Of this program alone, while ru_maxrss knows also of the process that started it.
            with open("/proc/self/status") as status:
                print(int(re.search("VmHWM:[^0-9]*([0-9]+) kB", status.read())[1]) // 1024)
        for name in ("a.nwb", "b.zarr", "c.nwb"):
            assert n1store.verify(f"{folder}/{name}", [sources]).problems == []
    """
    block = np.tile(noise(2500, 400), (32, 1))
    for number, channels in enumerate((400, 312, 312)):
        write_wav(tmp_path / "in" / f"{number}.wav", block[:, :channels] + number, 20_000)
    (tmp_path / "out").mkdir()
    # It varies by 80 MB from run to run: what threads free at different moments leaves holes in the
    # heap, of which glibc gives nothing back. With a fixed MALLOC_MMAP_THRESHOLD_ it is 228 MB.
    for seconds in (1, 4):
        found = run_alone(script, tmp_path / "in", tmp_path / "out", seconds).split()
        assert max(map(int, found)) < 450, (seconds, found)
