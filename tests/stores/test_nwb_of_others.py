"""NWB files of others are read as they are, whatever made them and however samples are stored."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import h5py
import hdf5plugin
import numpy as np
import pynwb
import pytest
from pynwb import H5DataIO

import make_nwb
import n1store
from make_wav import write_wav
from n1store.codecs.hdf5 import N1

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


# What is read, and what is said


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


def test_what_commands_say_of_files_of_others(foreign, run, run_json, fails, tmp_path):
    path, samples = foreign
    result = run("info", path, "--chunks")
    for name in samples:
        assert name in result.stdout
    for word in ("volts", "float32", "unsigned", "uint16", "moment"):
        assert word in result.stdout + result.stderr
    info = run_json("info", path)
    assert info["recordings"].keys() == samples.keys()
    fails("verify", path, words=[path, "n1store wrote none of its recordings", "no checksums"])
    fails("export", path, tmp_path / "out", words=["was not made from WAV files"])


def test_bench_of_files_of_others(foreign, run_json):
    (result,) = run_json("bench", foreign[0], "--windows", 2)
    assert [scan["reader"] for scan in result["scan"]] == ["n1store", "h5py"]


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


# What they may hold


def test_a_file_without_recordings(run, tmp_path):
    path = tmp_path / "empty.nwb"
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(pynwb.NWBFile("nothing", "empty", datetime.now(UTC)))
    for command in (["verify"], ["export"], ["bench"], ["convert"]):
        target = {"export": [tmp_path / "wavs"], "convert": [tmp_path / "out.zarr"]}
        result = run(*command, path, *target.get(command[0], []), exit_code=1)
        assert f"{path}: holds no " in result.stderr
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_file_without_series(run, fails, tmp_path):
    nwbfile, _ = make_nwb.make_bare(2)
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    with n1store.open(path) as store:
        assert len(store) == 0
    assert "0 recordings" in run("info", path).stdout
    fails("bench", path, words=[path, "no recordings"])


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
        assert list(store) == ["own"]
        assert "acquisition/linked/data: is in another file" in store.left_out[0]
    with n1store.open(tmp_path / "x.nwb", follow_links=True) as store:
        np.testing.assert_array_equal(store["linked"].traces[:], first)
        np.testing.assert_array_equal(store["own"].traces[:], second)
    (tmp_path / "raw.nwb").unlink()
    with n1store.open(tmp_path / "x.nwb", follow_links=True) as store:
        assert list(store) == ["own"]
        assert "acquisition/linked" in store.left_out[0]


def test_series_that_others_add_to_ours(run, tmp_path):
    ours = {"one": make_nwb.samples((1000, 2), 1), "two": make_nwb.samples((1500, 2), 2)}
    for name, samples in ours.items():
        write_wav(tmp_path / "wavs" / f"{name}.wav", samples, 1000)
    path = tmp_path / "x.nwb"
    n1store.convert(tmp_path / "wavs", path)
    added = make_nwb.samples((600, 2))
    with pynwb.NWBHDF5IO(path, "a") as io:
        file = io.read()
        rows = file.create_electrode_table_region([0, 1], "two")
        file.add_acquisition(
            pynwb.ecephys.ElectricalSeries(name="added", data=added, electrodes=rows, rate=100.0)
        )
        io.write(file)
    with n1store.open(path) as store:
        assert list(store) == ["one", "two", "added"]
        for name, samples in (ours | {"added": added}).items():
            np.testing.assert_array_equal(store[name].traces[:], samples)
    result = n1store.verify(path, [tmp_path / "wavs"])
    assert (result.problems, result.recordings, result.compared) == ([], 2, 2)
    assert result.not_verified == ["added"]
    assert run("verify", path).stderr == "not verified: added: n1store did not write it\n"
    exported = run("export", path, tmp_path / "back")
    assert exported.stderr == f"{path}: recording added was not made from WAV files\n"
    for name in ours:
        back = tmp_path / "back" / f"{name}.wav"
        assert back.read_bytes() == (tmp_path / "wavs" / f"{name}.wav").read_bytes()


def in_another_file(folder):
    """Return a file that has its series in another, as pynwb links them, and its samples."""
    nwbfile, series = make_nwb.make_bare(2)
    samples = make_nwb.samples((1000, 2))
    nwbfile.add_acquisition(series("raw", samples))
    other = make_nwb.write(folder / "other.nwb", nwbfile)
    path = folder / "x.nwb"
    with pynwb.NWBHDF5IO(other, "r") as io:
        nwbfile, _ = make_nwb.make_bare(2)
        nwbfile.add_acquisition(io.read().acquisition["raw"])
        with pynwb.NWBHDF5IO(path, "w", manager=io.manager) as writer:
            writer.write(nwbfile)
    return path, samples


@pytest.mark.parametrize("in_chunks", [False, True])
def test_series_in_another_file(run, fails, tmp_path, in_chunks):
    path, samples = in_another_file(tmp_path)
    if in_chunks:  # which are read from the file that they are in
        with h5py.File(tmp_path / "other.nwb", "a") as file:
            attributes = dict(file["acquisition/raw/data"].attrs)
            del file["acquisition/raw/data"]
            data = file.create_dataset(
                "acquisition/raw/data", data=samples, chunks=(300, 1), compression="gzip"
            )
            data.attrs.update(attributes)
    line = "acquisition/raw: is in another file, other.nwb, as links are not followed"
    assert line in run("info", path).stderr
    fails("convert", path, tmp_path / "x.zarr", words=["holds no recordings", line])
    said = run("convert", path, tmp_path / "x.zarr", "--follow-links").stderr
    assert "acquisition/raw is in another file, other.nwb" in said
    assert "raw/electrodes: are of no table of this file" in said
    with n1store.open(tmp_path / "x.zarr") as store:
        np.testing.assert_array_equal(store["raw"].traces[:], samples)


def test_links_that_lead_nowhere_or_elsewhere(run, tmp_path):
    nwbfile, series = make_nwb.make_bare(2)
    nwbfile.add_acquisition(series("raw", make_nwb.samples((1000, 2))))
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    with h5py.File(path, "a") as file:
        file["acquisition/again"] = h5py.SoftLink("/acquisition/raw")
        file["acquisition/gone"] = h5py.SoftLink("/nowhere")
        file["acquisition/far"] = h5py.ExternalLink("missing.nwb", "/acquisition/far")
    for options in ([], ["--follow-links"]):
        info = run("info", path, *options)
        assert "1 recording, " in info.stdout
        assert "not read: acquisition/gone: is a link to /nowhere, where" in info.stderr
        assert "not read: acquisition/far: is " in info.stderr
        assert "again" not in info.stderr
    run("convert", path, tmp_path / "x.zarr", exit_code=3)


SPECIFICATION = {
    "groups": [
        {"neurodata_type_def": "Mine", "neurodata_type_inc": "ElectricalSeries", "doc": "Mine."},
        {
            "neurodata_type_def": "Holder",
            "neurodata_type_inc": "NWBContainer",
            "groups": [{"neurodata_type_def": "Inner", "neurodata_type_inc": "Mine"}],
        },
        {"neurodata_type_def": "A", "neurodata_type_inc": "B"},
        {"neurodata_type_def": "B", "neurodata_type_inc": "A"},
    ]
}


@pytest.mark.parametrize("kind", ["Mine", "Inner", "A", "Unknown", "SpikeEventSeries"])
def test_types_of_extensions(run, tmp_path, kind):
    nwbfile, series = make_nwb.make_bare(2)
    samples = make_nwb.samples((1000, 2))
    nwbfile.add_acquisition(series("raw", samples))
    nwbfile.add_acquisition(series("theirs", samples[:500]))
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    with h5py.File(path, "a") as file:
        file["specifications/theirs/1.0.0/theirs"] = json.dumps(SPECIFICATION)
        file["specifications/theirs/1.0.0/damaged"] = "{"
        file["acquisition/theirs"].attrs.update({"neurodata_type": kind, "theirs": 3})
    info = run("info", path)
    out = tmp_path / "x.zarr"
    if kind in ("Mine", "Inner"):
        assert info.stderr == ""
        said = run("convert", path, out).stderr
        assert f"theirs: is of type ElectricalSeries now, not {kind}" in said
        assert "acquisition/theirs: attribute theirs" in said
        with n1store.open(out) as store:
            np.testing.assert_array_equal(store["theirs"].traces[:], samples[:500])
        return
    why = "of events, and" if kind == "SpikeEventSeries" else "of which the file does not say more"
    assert f"not read: acquisition/theirs: is a {kind}, {why}" in info.stderr
    run("convert", path, out, exit_code=0 if kind == "SpikeEventSeries" else 3)
    with n1store.open(out) as store:
        assert list(store) == ["raw"]


@pytest.mark.parametrize("names", [[7, 3], [7.5, 3.0], ["a", "b"], ["same", "same"]])
def test_names_of_channels(tmp_path, names):
    nwbfile, series = make_nwb.make_bare(2)
    nwbfile.add_electrode_column("channel_name", "Names.", data=names)
    nwbfile.add_acquisition(series("raw", make_nwb.samples((1000, 2)), [1, 0]))
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    expected = ("1", "0") if names[0] == "same" else tuple(map(str, reversed(names)))
    with n1store.open(path) as store:
        assert store["raw"].channel_ids == expected


def test_series_of_which_next_to_nothing_was_written(run, tmp_path):
    """A file of some kB may claim more chunks than anyone could wait for."""
    nwbfile, series = make_nwb.make_bare(4)
    nwbfile.add_acquisition(series("short", make_nwb.samples((1000, 4)), [0, 1, 2, 3]))
    nwbfile.add_acquisition(series("endless", make_nwb.samples((10, 4)), [0, 1, 2, 3]))
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    with h5py.File(path, "a") as file:
        group = file["acquisition/endless"]
        del group["data"]
        data = group.create_dataset("data", (2 * 10**11, 4), "<i2", chunks=(16, 1))
        data.attrs["unit"] = "volts"
        data[0] = 5
    with n1store.open(path) as store:
        assert list(store) == ["short"]
        (line,) = store.left_out
    assert line == "acquisition/endless: nearly all of its samples were never written"
    found = run("convert", path, tmp_path / "x.zarr", exit_code=3)
    assert "endless: nearly all" in found.output


@pytest.mark.parametrize("count", [2**30, 2])
def test_timestamps_that_were_never_written(run, tmp_path, count):
    nwbfile, series = make_nwb.make_bare(1)
    nwbfile.add_acquisition(series("x", make_nwb.samples((1000, 1)), timestamps=[0.0] * 1000))
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    with h5py.File(path, "a") as file:
        del file["acquisition/x/timestamps"]
        file["acquisition/x"].create_dataset("timestamps", (count,), "<f8", chunks=(2,))
    why = "its timestamps were never written" if count > 2 else "its timestamps do not go on"
    assert f"acquisition/x: is not described in full: {why}" in run("info", path).stderr


def test_a_type_that_is_no_text(tmp_path):
    nwbfile, series = make_nwb.make_bare(4)
    nwbfile.add_acquisition(series("short", make_nwb.samples((1000, 4)), [0, 1, 2, 3]))
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    with h5py.File(path, "a") as file:
        file.create_group("acquisition/odd").attrs["neurodata_type"] = [1, 2]
    with n1store.open(path) as store:
        assert list(store) == ["short"]


def test_text_of_fixed_length(tmp_path):
    """As programs that are not Python may write it."""
    nwbfile, series = make_nwb.make_bare(2)
    nwbfile.add_acquisition(series("raw", make_nwb.samples((700, 2))))
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    with h5py.File(path, "r+") as file:
        attributes = file["acquisition/raw"].attrs
        attributes["neurodata_type"] = np.bytes_("ElectricalSeries")
    with n1store.open(path) as store:
        assert list(store) == ["raw"]


def test_a_series_without_electrodes(tmp_path, run):
    nwbfile, series = make_nwb.make_bare(1)
    nwbfile.add_acquisition(series("x", make_nwb.samples((1000, 1))))
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    with h5py.File(path, "a") as file:
        del file["acquisition/x/electrodes"]
    said = run("info", path).stderr
    assert "acquisition/x: is not described in full: there is no electrodes\n" in said


def test_a_conversion_beyond_all_measure_is_told_of_the_source(tmp_path, run):
    nwbfile, series = make_nwb.make_bare(1)
    nwbfile.add_acquisition(series("x", make_nwb.samples((1000, 1)), conversion=1e308))
    path = make_nwb.write(tmp_path / "x.nwb", nwbfile)
    said = run("convert", path, tmp_path / "y.zarr").stderr
    assert f"not kept: {path}: acquisition/x: conversion is no number of volts" in said
    with n1store.open(tmp_path / "y.zarr") as store:
        assert store["x"].gain_to_uV is None
