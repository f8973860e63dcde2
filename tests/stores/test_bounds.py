"""Small files from strangers cost no more than they hold, and are told in one line."""

import json
import struct
import zipfile

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import n1store
from installed import ZARR_FORMATS, needs_zarr3
from make_wav import on_grid, write_wav
from n1store.cli.commands import cli
from processes import run_alone, time_limit

ELECTRODES = "general/extracellular_ephys/electrodes"
SAMPLES = {name: on_grid(700, 2, seed) for seed, name in enumerate(("one", "two", "three"))}


@pytest.fixture
def wavs(tmp_path):
    for name, samples in SAMPLES.items():
        write_wav(tmp_path / "wavs" / f"{name}.wav", samples, 1000)
    return tmp_path / "wavs"


@pytest.fixture(params=ZARR_FORMATS)
def store(request, wavs, tmp_path):
    n1store.convert(wavs, tmp_path / "x.zarr", chunk_seconds=0.1, zarr_format=request.param)
    return tmp_path / "x.zarr"


@pytest.fixture
def nwb(wavs, tmp_path):
    """Give an NWB file as others write them."""
    n1store.convert(wavs, tmp_path / "x.nwb")
    with h5py.File(tmp_path / "x.nwb", "r+") as file:
        del file["scratch/n1store"]
    return tmp_path / "x.nwb"


def root_of(store):
    return store / ("zarr.json" if (store / "zarr.json").exists() else ".zattrs")


def array_of(store, name="one"):
    array = store / "recordings" / name
    return array / (".zarray" if (array / ".zarray").exists() else "zarr.json")


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_attributes(store, name, change):
    """Change the attributes of an array."""
    array = array_of(store, name)
    if array.name == ".zarray":
        edit(array.with_name(".zattrs"), change)
    else:
        edit(array, lambda content: change(content["attributes"]))


def try_all(run, path, tmp_path):
    """Run each command, none of which takes long; return what they said."""
    with time_limit(30):
        result = CliRunner().invoke(cli, ["info", str(path)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    said = [result.stderr]
    for command in (
        ("verify", path),
        ("export", path, tmp_path / "out"),
        ("bench", path, "--windows", 1),
        ("convert", path, tmp_path / "copy.zarr", "--overwrite"),
    ):
        with time_limit(30):
            result = run(*command, exit_code=1)
        said.append(result.stderr)
    return "\n".join(said)


NESTED = "[" * 200_000 + "]" * 200_000


@pytest.mark.parametrize("place", ["root", "array"])
def test_metadata_nested_without_end(store, run, tmp_path, place):
    path = {"root": root_of, "array": array_of}[place](store)
    path.write_text(NESTED)
    assert "nested too deeply" in try_all(run, store, tmp_path)


def test_a_number_of_too_many_digits(store, run, tmp_path):
    root_of(store).write_text("9" * 5000)
    said = try_all(run, store, tmp_path)
    assert "too many digits" in said and "set_int_max_str_digits" not in said


def test_more_than_any_store_has(store, run, tmp_path):
    """Of no channels, and so of no chunks, there can be any number of samples."""

    def claim(content):
        content["shape"] = [10**18, 0]

    edit(array_of(store), claim)
    edit_attributes(store, "one", lambda content: content.update(channel_ids=[], chunk_crc32=""))
    assert "shape and chunks" in try_all(run, store, tmp_path)


@needs_zarr3
def test_shards_of_chunks_of_nothing(wavs, run, tmp_path):
    path = tmp_path / "x.zarr"
    n1store.convert(wavs, path, chunk_seconds=0.1, zarr_format=3)

    def claim(content):
        content["codecs"][0]["configuration"]["chunk_shape"] = [0, 1]

    edit(array_of(path), claim)
    assert "metadata are missing or damaged" in try_all(run, path, tmp_path)


def test_a_zip_file_with_a_place_that_is_not_there(wavs, run, tmp_path):
    path = tmp_path / "x.zarr.zip"
    n1store.convert(wavs / "one.wav", path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        count = len(file.namelist())
    at = 0
    for _ in range(count):  # where the directory says that each file begins
        at = content.index(b"PK\x01\x02", at)
        content[at + 42 : at + 46] = struct.pack("<I", 2**31)
        at += 4
    path.write_bytes(content)
    for line in filter(None, try_all(run, path, tmp_path).splitlines()):
        assert str(path) in line


# NWB


def claim_dataset(file, path, shape, dtype, **options):
    """Put a dataset of which nothing was ever written in the place of another."""
    attributes = dict(file[path].attrs)
    del file[path]
    file.create_dataset(path, shape, dtype, **options)
    for key, value in attributes.items():
        file[path].attrs[key] = value


@pytest.mark.parametrize(
    ("path", "shape", "dtype", "options"),
    [
        ("data", (2**40, 1), "<i2", {}),
        ("data", (2**40, 1), "<i2", {"chunks": (2**20, 1)}),
        ("data", (2**40, 2), "<i2", {"chunks": (2**26, 2)}),
        ("data", (1, 2**30), "<i2", {"chunks": (1, 2**20)}),
        ("electrodes", (2**30,), "<i4", {}),
        ("/general/extracellular_ephys/electrodes/id", (2**30,), "<i4", {}),
        ("/general/extracellular_ephys/electrodes/id", (2**30,), "<i4", {"chunks": (2**20,)}),
    ],
)
def test_series_that_were_never_written(nwb, run, tmp_path, path, shape, dtype, options):
    with h5py.File(nwb, "r+") as file:
        for name in SAMPLES:
            place = path if path.startswith("/") else f"acquisition/{name}/{path}"
            claim_dataset(file, place, shape, dtype, **options)
    assert "acquisition/one" in try_all(run, nwb, tmp_path)


@pytest.mark.parametrize("chunks", [None, (2**20,)])
def test_timestamps_that_were_never_written(nwb, run, tmp_path, chunks):
    with h5py.File(nwb, "r+") as file:
        for name in SAMPLES:
            series = file[f"acquisition/{name}"]
            del series["starting_time"]
            series.create_dataset("timestamps", (2**40,), "<f8", chunks=chunks)
    assert "timestamps were never written" in try_all(run, nwb, tmp_path)


def test_texts_that_were_never_written(nwb, run, tmp_path):
    with h5py.File(nwb, "r+") as file:
        del file["session_description"]
        file.create_dataset("session_description", (2**30,), "<f8")
    with time_limit(30):
        result = run("convert", nwb, tmp_path / "copy.zarr")
    assert "session_description: its 1073741824 values are too many" in result.stderr


@pytest.mark.parametrize("place", ["root", "array"])
def test_files_that_were_never_written(store, run, tmp_path, place):
    path = {"root": root_of, "array": array_of}[place](store)
    with path.open("r+b") as file:
        file.truncate(2**32)
    said = try_all(run, store, tmp_path)
    assert f"{path.name}: holds {2**32} bytes; of anything but samples no more than 64 MiB" in said


def test_values_of_channels_that_were_never_written(wavs, run, tmp_path):
    path = tmp_path / "x.zarr"
    n1store.convert(wavs, path, layout="spikeinterface")
    with (path / "channel_ids/0").open("r+b") as file:
        file.truncate(2**32)
    assert f"channel_ids/0: holds {2**32} bytes" in run("verify", path, exit_code=1).stderr


def test_a_summary_that_was_never_written(wavs, run, tmp_path):
    path = tmp_path / "x.nwb"
    n1store.convert(wavs, path)
    with h5py.File(path, "r+") as file:
        claim_dataset(file, "scratch/n1store", (2**32,), "u1", chunks=(2**16,))
    said = try_all(run, path, tmp_path)
    assert f"{path}: scratch/n1store: its values are of {2**32} bytes" in said


def test_values_that_were_never_written_cost_nothing(wavs, run, tmp_path):
    """However many datasets of them there are, each of which could be read."""
    n1store.convert(wavs, tmp_path / "x.nwb")
    with h5py.File(tmp_path / "x.nwb", "r+") as file:
        claim_dataset(file, "session_description", (500_000,), "f8")
        claim_dataset(file, f"{ELECTRODES}/location", (6,), "S1000000", chunks=(1,))
    said = run("convert", tmp_path / "x.nwb", tmp_path / "y.zarr").stderr
    for path in ("session_description", f"{ELECTRODES}/location"):
        assert f"{path}: its values were never written" in said


def test_a_chunk_that_was_never_written(store, run, tmp_path):
    zarr_format = 2 if (store / ".zgroup").exists() else 3
    path = tmp_path / "y.zarr"
    shards = {"shard_seconds": 0} if zarr_format == 3 else {}
    n1store.convert(store, path, codec="zstd", zarr_format=zarr_format, **shards)
    chunk = path / "recordings/one" / ("0.0" if zarr_format == 2 else "c.0.0")
    with chunk.open("r+b") as file:
        file.truncate(2**36)
    said = try_all(run, path, tmp_path)
    assert f"chunk 0,0: holds {2**36} bytes, far more than its samples" in said


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("session_description", "session_description: its values are of 2000000000 bytes"),
        (f"{ELECTRODES}/location", f"{ELECTRODES}/location: its values are of 12000000000 bytes"),
        (f"{ELECTRODES}/id", f"{ELECTRODES}/id: the numbers of the electrodes are not there"),
    ],
)
def test_one_text_of_gigabytes_that_was_never_written(wavs, run, tmp_path, path, words):
    n1store.convert(wavs, tmp_path / "x.nwb")
    shape, code = ((2**31,), 1) if path.endswith("id") else ((6,) if "/" in path else (), 0)
    with h5py.File(tmp_path / "x.nwb", "r+") as file:
        claim_dataset(file, path, shape, "S2000000000")
    with time_limit(30):
        said = run("convert", tmp_path / "x.nwb", tmp_path / "y.zarr", exit_code=code)
    assert words in said.stderr


def test_what_would_not_be_read_again_is_not_written(wavs, fails, tmp_path, monkeypatch):
    monkeypatch.setattr("n1store.stores.base.MOST_BYTES", 300)
    for suffix in (".zarr", ".zarr.zip", ".nwb"):
        path = tmp_path / f"x{suffix}"
        fails("convert", wavs, path, "--chunk-seconds", 0.016, words=["convert fewer recordings"])
        assert not path.exists()


def test_any_number_of_workers(wavs, run, tmp_path):
    with time_limit(30):
        run("convert", wavs, tmp_path / "x.zarr", "--workers", 10**12)
        run("verify", tmp_path / "x.zarr", "--workers", 10**12)


# Names


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("\ud800.wav", "no name of a file"),
        (f"{'x' * 300}.wav", "a name of 304 bytes"),
        (f"{'x' * 300}/y.wav", "a name of 300 bytes"),
        ("../y.wav", "outside the folder"),
        ("", "outside the folder"),
        (f"{'d/' * 3000}y.wav", "three: File name too long"),
        ("one.wav/y.wav", "three: "),
    ],
)
def test_a_name_that_no_file_can_have(store, run, tmp_path, name, words):
    """The others are exported."""
    edit_attributes(store, "three", lambda content: content["sources"][0].update(file=name))
    line = run("export", store, tmp_path / "out", exit_code=1).stderr
    assert words in line and "2 files written" in line
    for other in ("one", "two"):
        original = tmp_path / "wavs" / f"{other}.wav"
        assert (tmp_path / "out" / f"{other}.wav").read_bytes() == original.read_bytes()


@pytest.mark.parametrize("path", ["x" * 300, f"{'x/' * 3000}x", "recordings/\ud800", "a\0b"])
def test_a_path_that_no_file_can_have(store, run, tmp_path, path):
    def lengthen(content):
        content.get("attributes", content)["n1store"]["recordings"]["three"] = path

    edit(root_of(store), lengthen)
    lines = run("verify", store, exit_code=1).stderr.splitlines()
    assert any(line.startswith("three: ") for line in lines), lines
    assert "2 files written" in run("export", store, tmp_path / "out", exit_code=1).stderr
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["one.wav", "two.wav"]


def test_a_link_to_itself(store, run):
    array = array_of(store, "three")
    array.unlink()
    array.symlink_to(array.name)
    lines = run("verify", store, "--follow-links", exit_code=1).stderr.splitlines()
    assert any(line.startswith("three: ") for line in lines), lines


def test_names_are_no_commands_to_terminals(run, tmp_path):
    name = "a\x1b]0;owned\x07\x1b[31mb\u202e"
    wav = write_wav(tmp_path / f"{name}.wav", SAMPLES["one"], 1000)
    damaged = tmp_path / f"{name}-damaged.wav"
    damaged.write_bytes(wav.read_bytes()[:-7])
    for suffix in (".zarr", ".nwb"):
        path = tmp_path / f"{name}{suffix}"
        for command, code in (
            (("convert", wav, path), 0),
            (("convert", wav, path), 1),
            (("convert", wav, damaged, path, "--overwrite", "--on-error", "skip"), 3),
            (("info", path, "--chunks"), 0),
            (("verify", path, wav), 0),
            (("verify", path, damaged), 1),
            (("bench", path, "--windows", 1), 0),
            (("export", path, tmp_path / f"{name}{suffix}.out"), 0),
            (("export", path, tmp_path / f"{name}{suffix}.out"), 1),
            (("export", path, tmp_path / f"{name}{suffix}.out", "--overwrite"), 0),
            (("info", tmp_path / f"{name}.none.zarr"), 1),
        ):
            result = run(*command, exit_code=code)
            said = result.stdout + result.stderr
            assert not {"\x1b", "\x07", "\u202e"} & set(said), (command, said)


def test_long_names_are_not_shown_whole(store, run):
    def lengthen(content):
        root = content.get("attributes", content)["n1store"]
        root["readers_need"] = ["zarr" * 30_000]
        for name in list(root["recordings"]):
            root["recordings"][f"{name}{'x' * 100_000}"] = root["recordings"].pop(name)

    edit(root_of(store), lengthen)
    said = run("info", store, "--chunks").stdout
    assert "more characters" in said
    assert len(said) < 50_000
    with n1store.open(store) as opened:
        assert len(opened._repr_html_()) < 10_000
        assert len(repr(next(iter(opened.values())))) < 2000


def test_a_codec_of_stages_without_end(store, run):
    def lengthen(content):
        content.get("attributes", content)["n1store"]["codec"] = "+".join(["delta"] * 200_000)

    edit(root_of(store), lengthen)
    with time_limit(5):
        assert len(run("info", store).stdout) < 5000
        said = run("verify", store, exit_code=1).stderr
    assert "what it says of its codec is damaged: a pipeline has 32 stages at most" in said


# What is true of a file


def test_a_file_that_a_killed_writer_left_open(fails, tmp_path):
    script = """
        import os, sys, h5py
        file = h5py.File(sys.argv[1], "w", libver="latest")
        file.attrs["nwb_version"] = "2.8.0"
        file.swmr_mode = True
        os._exit(0)
    """
    run_alone(script, tmp_path / "x.nwb")
    for command in (
        ("info", tmp_path / "x.nwb"),
        ("reference", tmp_path / "x.nwb", tmp_path / "r"),
    ):
        fails(*command, words=[tmp_path / "x.nwb", "its writer was killed", "h5clear -s"])


@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
def test_zarr_stores_of_others(fails, tmp_path, zarr_format):
    import zarr

    path = tmp_path / "x.zarr"
    options = {} if zarr.__version__.startswith("2") else {"zarr_format": zarr_format}
    zarr.open_group(str(path), mode="w", **options).attrs["by"] = "others"
    fails("info", path, words=[path, "n1store did not write", "zarr reads it"])
    for each in path.iterdir():
        each.unlink()
    fails("info", path, words=[path, "is no Zarr store"])


def test_a_codec_that_is_not_here(store, run, tmp_path):
    """It is the store's, and no mistake of who typed the command."""

    def rename(content):
        content.get("attributes", content)["n1store"]["codec"] = "n2"

    edit(root_of(store), rename)
    said = try_all(run, store, tmp_path)
    assert f"{store}: is of a codec that is not here: no codec is called 'n2'" in said


def test_a_codec_of_wrong_parameters(store, run, tmp_path):
    def change(content):
        content.get("attributes", content)["n1store"]["codec"] = "n1:level=99"

    edit(root_of(store), change)
    said = try_all(run, store, tmp_path)
    assert "what it says of its codec is damaged: codec n1: level is" in said
    assert "not here" not in said


def test_a_chunk_beyond_all_memory(wavs, run, tmp_path):
    path = tmp_path / "x.zarr"
    n1store.convert(wavs / "one.wav", path, **({"shard_seconds": 0} if 3 in ZARR_FORMATS else {}))

    def claim(content):
        content["shape"][0] = 10**18
        if "chunks" in content:
            content["chunks"][0] = 10**18
        else:
            content["chunk_grid"]["configuration"]["chunk_shape"][0] = 10**18

    edit(array_of(path), claim)
    edit_attributes(path, "one", lambda content: content.update(chunk_crc32="0" * 8))
    result = run("verify", path, exit_code=1)
    assert f"one: {10**18} samples of 2 channels" in result.stderr
    assert "--chunk-seconds" not in result.stderr and f"{path}: " in result.stdout


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        ("verify", "; try fewer --workers"),
        ("convert", "; try a shorter --chunk-seconds or fewer --workers"),
        ("info", ""),
    ],
)
def test_what_to_try_in_little_memory(store, fails, tmp_path, monkeypatch, command, advice):
    def no_memory(*_, **__):
        raise MemoryError

    monkeypatch.setattr("n1store.store_kinds.open", no_memory)
    more = [tmp_path / "y.zarr"] if command == "convert" else []
    assert fails(command, store, *more) == f"not enough memory{advice}"


@pytest.mark.parametrize("windows", [{"num_windows": 0}, {"window_seconds": [1, -1]}])
def test_windows_that_tell_nothing(store, windows):
    with pytest.raises(n1store.N1StoreError, match="window"):
        n1store.benchmark(store, **windows)


@pytest.mark.parametrize("key", [True, None, 1.0, np.array(True), [[1]], "a"])
def test_what_is_no_index(store, key):
    with n1store.open(store) as opened, pytest.raises(IndexError, match="an axis is indexed by"):
        opened["one"].traces[key]


def test_an_array_of_no_dimension_is_an_index(store):
    with n1store.open(store) as opened:
        assert (opened["one"].traces[np.array(3)] == SAMPLES["one"][3]).all()


def test_a_channel_that_is_not_there(store):
    with n1store.open(store) as opened, pytest.raises(IndexError, match="there is no 2 on an axis"):
        opened["one"].traces[:, 2]


def test_one_is_not_many(run, wavs, tmp_path):
    path = tmp_path / "x.zarr"
    assert " 1 recording, " in run("convert", wavs / "one.wav", path).stdout
    assert " 1 recording, " in run("verify", path).stdout
    assert ": 1 WAV file, " in run("export", path, tmp_path / "out").stdout


def test_the_library_does_not_speak_of_options(wavs, tmp_path, fails):
    path = tmp_path / "x.zarr"
    n1store.convert(wavs, path)
    with pytest.raises(n1store.N1StoreError, match=r"exists already$"):
        n1store.convert(wavs, path)
    assert fails("convert", wavs, path).endswith("exists already; --overwrite replaces it")


def test_a_recording_shows_what_it_is(store, wavs):
    with n1store.open(store) as opened:
        expected = "<Recording one: 700 samples of 2 channels, 0.700 s at 1000 Hz>"
        assert repr(opened["one"]) == repr(n1store.read_wav(wavs / "one.wav")) == expected


def test_the_help_says_all_of_each_command(run):
    said = run("--help").stdout
    assert "..." not in said.partition("Commands:")[2]


def test_a_result_is_short(wavs, tmp_path):
    assert len(repr(n1store.convert(wavs, tmp_path / "x.zarr", chunk_seconds=0.02))) < 300


def test_many_recordings_are_not_all_listed(run, tmp_path):
    for number in range(30):
        write_wav(tmp_path / "wavs" / f"{number:02}.wav", SAMPLES["one"][:20], 1000)
    path = tmp_path / "x.zarr"
    n1store.convert(tmp_path / "wavs", path)
    lines = run("info", path).stdout.splitlines()
    assert lines[-1] == "and 10 more; --recordings lists all"
    assert lines[-2].split()[0] == "19"
    assert run("info", path, "--recordings").stdout.splitlines()[-1].split()[0] == "29"


def test_many_series_that_are_not_read_are_not_all_listed(nwb, run, run_json, tmp_path):
    with h5py.File(nwb, "r+") as file:
        for number in range(300):
            series = file.create_group(f"acquisition/more-{number:03}")
            series.attrs["neurodata_type"] = "ElectricalSeries"
            series.attrs["namespace"] = "core"
    for command, code in ((("info", nwb), 0), (("convert", nwb, tmp_path / "y.zarr"), 3)):
        lines = run(*command, exit_code=code).stderr.splitlines()
        assert len([line for line in lines if "more-" in line]) <= 40
        assert "and 280 more" in lines
    assert len(run_json("info", nwb)["not_read"]) == 300
