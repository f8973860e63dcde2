"""Stores that are whole, and of which something is needed that is not installed."""

import sys
from importlib.util import find_spec

import h5py
import numpy as np
import pytest

import make_nwb
import n1store
from n1store.codecs.catalogue import codec_of
from n1store.errors import NotHereError
from n1store.implant.synth import synthesize


@pytest.fixture(scope="module")
def wavs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wavs")
    synthesize(folder, num_recordings=3, seconds=2)
    return folder


def without_crc32c(monkeypatch):
    # numcodecs defines this class only where it finds the package that computes it.
    monkeypatch.delattr("numcodecs.checksum32.CRC32C")


def without_bzip3(monkeypatch):
    monkeypatch.setitem(sys.modules, "bz3.backends", None)
    monkeypatch.delitem(sys.modules, "n1store.codecs.library.bzip3", raising=False)


INSTALL = {"crc32c": "pip install google-crc32c crc32c", "bzip3": "pip install bzip3"}
HIDE = {"crc32c": without_crc32c, "bzip3": without_bzip3}


@pytest.mark.parametrize(
    ("package", "name", "options"),
    [
        ("crc32c", "x.zarr", ["--codec", "n1", "--zarr-format", 3]),
        ("crc32c", "x.zarr", ["--codec", "zstd", "--zarr-format", 3]),
        ("bzip3", "x.zarr", ["--codec", "bzip3", "--zarr-format", 3]),
        ("bzip3", "x.zarr.zip", ["--codec", "bzip3", "--zarr-format", 2]),
        ("bzip3", "x.nwb", ["--codec", "bzip3"]),
    ],
)
def test_what_has_to_be_installed_is_said_once(
    run, fails, wavs, tmp_path, monkeypatch, package, name, options
):
    store = tmp_path / name
    run("convert", wavs, store, *options)
    HIDE[package](monkeypatch)
    for command in (
        ("verify", store),
        ("verify", store, wavs),
        ("export", store, tmp_path / "back"),
        ("bench", store, "--windows", 1),
        ("convert", store, tmp_path / "copy.zarr", "--codec", "blosc", "--zarr-format", 2),
    ):
        said = fails(*command, words=[store, INSTALL[package]])
        assert "damaged" not in said
        assert "more recording" not in said
    assert not list((tmp_path / "back").rglob("*.wav"))
    with n1store.open(store) as opened, pytest.raises(NotHereError, match=INSTALL[package]):
        opened["synth-000"]


def test_sizes_are_known_without_the_codec(run, wavs, tmp_path, monkeypatch):
    store = tmp_path / "x.nwb"
    run("convert", wavs, store, "--codec", "bzip3")
    without_bzip3(monkeypatch)
    assert "synth-002" in run("info", store, "--chunks").stdout


def test_sizes_in_shards_are_behind_their_checksum(run, fails, wavs, tmp_path, monkeypatch):
    store = tmp_path / "x.zarr"
    run("convert", wavs, store, "--zarr-format", 3)
    without_crc32c(monkeypatch)
    fails("info", store, words=[store, INSTALL["crc32c"]])


def test_codec_of_a_package_that_is_not_installed():
    if find_spec("zfpy") is not None:
        pytest.skip("zfpy is installed")
    with pytest.raises(NotHereError, match="codec 'zfpy' is not available here; install"):
        codec_of({"id": "zfpy"})


def test_a_filter_that_is_not_here(run, tmp_path):
    nwbfile, series = make_nwb.make_bare(2)
    nwbfile.add_acquisition(series("odd", make_nwb.samples((1000, 2), 1)))
    even = make_nwb.samples((1500, 2), 2)
    nwbfile.add_acquisition(series("even", even))
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
        np.testing.assert_array_equal(store["even"].traces[:], even)
        with pytest.raises(NotHereError, match=r"x\.nwb: .*odd: needs HDF5 filter 52999"):
            store["odd"]
    for command in ("bench", "verify"):
        run(command, path, exit_code=1)
