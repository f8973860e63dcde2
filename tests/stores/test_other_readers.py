"""Zarr stores open in readers that are not zarr, and in what is built on it: values, not text."""

import json

import numpy as np
import pytest
import tensorstore
import xarray

import n1store
from installed import needs_zarr3
from make_wav import on_grid, write_wav
from processes import run_alone

RECORDINGS = {"a": on_grid(3000, 2, 1), "b": on_grid(5000, 2, 2), "c": on_grid(5000, 3, 3)}
RECORDINGS["a"][:100] = 0  # which is not taken for what is missing


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wav")
    for name, samples in RECORDINGS.items():
        write_wav(folder / f"{name}.wav", samples, 20_000)
    return folder


@pytest.mark.parametrize("codec", ["zstd", "blosc", "bz2", "gzip", "zlib"])
def test_tensorstore_reads_format_2_without_checksums(folder, tmp_path, codec):
    out = tmp_path / "out.zarr"
    n1store.convert(folder, out, codec=codec, adc=False, checksum=False, zarr_format=2)
    for name, samples in RECORDINGS.items():
        files = {"driver": "file", "path": str(out / "recordings" / name)}
        array = tensorstore.open({"driver": "zarr", "kvstore": files}).result()
        np.testing.assert_array_equal(array.read().result(), samples)
    assert n1store.verify(out, [folder]).problems == []


@needs_zarr3
@pytest.mark.parametrize("codec", ["zstd", "blosc", "gzip"])
@pytest.mark.parametrize("shard_seconds", [0, None])
def test_tensorstore_reads_format_3(folder, tmp_path, codec, shard_seconds):
    out = tmp_path / "out.zarr"
    options = {"chunk_seconds": 0.05, "shard_seconds": shard_seconds}
    n1store.convert(folder, out, codec=codec, adc=False, zarr_format=3, **options)
    for name, samples in RECORDINGS.items():
        files = {"driver": "file", "path": str(out / "recordings" / name)}
        array = tensorstore.open({"driver": "zarr3", "kvstore": files}).result()
        np.testing.assert_array_equal(array.read().result(), samples)


@pytest.mark.parametrize("codec", ["n1", "delta+zstd", "zstd", "adc"])
def test_the_byte_codec_is_the_compressor(folder, tmp_path, codec):
    for checksum in (True, False):
        out = tmp_path / f"{checksum}.zarr"
        n1store.convert(folder, out, codec=codec, adc=False, zarr_format=2, checksum=checksum)
        metadata = json.loads((out / "recordings/a/.zarray").read_text())
        filters, compressor = metadata["filters"] or [], metadata["compressor"]
        if checksum and codec != "n1":  # which has one of its own
            assert compressor["id"] == "crc32"
        elif codec == "adc":
            assert compressor is None
        else:
            assert compressor["id"].endswith(codec.rpartition("+")[2])
        assert len(filters) + (compressor is not None) == (
            codec.count("+") + 1 + (checksum and codec != "n1")
        )


def test_no_checksum(folder, tmp_path, run):
    out = tmp_path / "out.zarr"
    run("convert", folder, out, "--codec", "zstd", "--no-adc", "--no-checksum")
    with n1store.open(out) as store:
        assert store.attributes["codec"] == "zstd"
        assert [codec.codec_id for codec in store.array("a").codecs] == ["zstd"]


def opened_by_xarray(path, zarr_format):
    """Return a store's arrays as all ways of xarray's open them, the groups' and the tree's."""
    options = {"engine": "zarr", "consolidated": zarr_format == 2}
    tree = xarray.open_datatree(path, **options)
    group = xarray.open_dataset(
        path, group="recordings" if "recordings" in tree else None, **options
    )
    return [group, tree.get("recordings", tree)]


@needs_zarr3  # as xarray does
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_xarray_opens_every_layout(folder, tmp_path, zarr_format):
    out = tmp_path / "out.zarr"
    n1store.convert(folder, out, zarr_format=zarr_format)
    for opened in opened_by_xarray(out, zarr_format):
        for name, samples in RECORDINGS.items():
            assert opened[name].dtype == np.int16
            np.testing.assert_array_equal(opened[name], samples)
        assert opened["a"].dims == ("time_of_a", "channel_of_a")
    out = tmp_path / "channels.zarr"
    sources = [folder / "b.wav", folder / "c.wav"]
    n1store.convert(sources, out, layout="channels", zarr_format=zarr_format)
    for opened in opened_by_xarray(out, zarr_format):
        assert opened["traces"].dims == ("time", "channel")
        np.testing.assert_array_equal(
            opened["traces"], np.hstack([RECORDINGS["b"], RECORDINGS["c"]])
        )


@needs_zarr3
def test_xarray_opens_the_layout_of_spikeinterface(folder, tmp_path):
    out = tmp_path / "out.zarr"
    n1store.convert([folder / "a.wav", folder / "b.wav"], out, layout="spikeinterface")
    for opened in opened_by_xarray(out, 2):
        np.testing.assert_array_equal(opened["traces_seg0"], RECORDINGS["a"])
        np.testing.assert_array_equal(opened["traces_seg1"], RECORDINGS["b"])
        assert opened["traces_seg1"].dims == ("time_of_traces_seg1", "channel")
        assert opened["channel_ids"].values.tolist() == ["0", "1"]


@needs_zarr3
def test_dimensions_are_shared_where_recordings_are_alike(folder, tmp_path):
    write_wav(tmp_path / "in/x.wav", RECORDINGS["b"], 20_000)
    write_wav(tmp_path / "in/y.wav", RECORDINGS["b"] // 2, 20_000)
    n1store.convert(tmp_path / "in", tmp_path / "out.zarr", zarr_format=3)
    for opened in opened_by_xarray(tmp_path / "out.zarr", 3):
        assert opened["x"].dims == opened["y"].dims == ("time", "channel")


@pytest.fixture(scope="module", params=["n1", "blosc", "zstd"])
def nwb_files(request, folder, tmp_path_factory):
    """Give two files of one recording: of unknown gain, and of one."""
    out = tmp_path_factory.mktemp("nwb")
    files = [out / "unknown.nwb", out / "known.nwb"]
    for path, nwb in zip(files, (None, n1store.NwbMetadata(gain_to_uv=0.195)), strict=True):
        n1store.convert(folder / "b.wav", path, codec=request.param, nwb=nwb)
    return files


def test_spikeinterface_reads_nwb(nwb_files):
    """With gains, and in a process that imports nothing else."""
    pytest.importorskip("spikeinterface")
    read = """
        import sys
        import numpy
        from spikeinterface.extractors import read_nwb
        for path, gain in zip(sys.argv[1:3], (1e6, 0.195)):
            recording = read_nwb(path)
            assert numpy.array_equal(recording.get_traces(), numpy.load(sys.argv[3]))
            assert recording.get_channel_gains().tolist() == [gain] * 2
            assert recording.get_channel_offsets().tolist() == [0] * 2
            assert recording.sampling_frequency == 20_000
            scaled = recording.get_traces(return_in_uV=True)
            numpy.testing.assert_allclose(scaled, numpy.load(sys.argv[3]) * gain, rtol=1e-6)
    """
    np.save(nwb_files[0].with_suffix(".npy"), RECORDINGS["b"])
    run_alone(read, *nwb_files, nwb_files[0].with_suffix(".npy"))


def test_pynapple_reads_nwb(nwb_files):
    pytest.importorskip("pynapple")
    read = """
        import sys
        import numpy, pynapple
        for path in sys.argv[1:3]:
            series = pynapple.load_file(path)["b"]
            assert numpy.array_equal(series.values, numpy.load(sys.argv[3]))
            assert series.t[1] == 1 / 20_000
    """
    np.save(nwb_files[0].with_suffix(".npy"), RECORDINGS["b"])
    run_alone(read, *nwb_files, nwb_files[0].with_suffix(".npy"))
