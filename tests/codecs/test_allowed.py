"""A codec is made because a file names it only if it is known to run nothing that it reads."""

import json
import zipfile
from typing import ClassVar

import h5py
import numcodecs
import numpy as np
import pytest
from numcodecs.abc import Codec

import n1store
from hdf5_checks import Filter, write_hdf5
from installed import ZARR_FORMATS, needs_zarr3
from make_wav import on_grid, write_wav
from n1store.codecs import allowed, hdf5, hdf5_numcodecs
from n1store.codecs.catalogue import CATALOGUE
from n1store.errors import N1StoreError
from processes import time_limit


class Spy(Codec):
    """What a package may register: it tells that it was made, and what it was given to decode."""

    codec_id = "spy"
    seen: ClassVar[list[str]] = []

    def __init__(self, **settings):
        self.seen.append("made")

    def encode(self, values):
        return values

    def decode(self, values, out=None):
        self.seen.append("run")
        return values


@pytest.fixture
def spy():
    numcodecs.register_codec(Spy)
    Spy.seen.clear()
    yield Spy.seen
    numcodecs.registry.codec_registry.pop("spy")


NAMED = {
    "pickle": {"id": "pickle"},
    "of another package": {"id": "spy"},
    "with the name that zarr gives numcodecs": {"id": "numcodecs.pickle"},
    "inside another": {
        "id": "n5_wrapper",
        "dtype": "<i2",
        "chunk_shape": [16],
        "compressor_config": {"id": "pickle"},
    },
    "of objects": {"id": "astype", "encode_dtype": "O", "decode_dtype": "<i2"},
    "with a dictionary of gigabytes": {
        "id": "lzma",
        "format": 3,
        "filters": [{"id": 33, "dict_size": 2**31}],
    },
    "with a million threads": {"id": "wavpack", "level": 2, "num_decoding_threads": 10**6},
    "without a name": {},
    "a number": 3,
    "none": None,
}


@pytest.mark.parametrize("case", NAMED)
def test_what_may_not_be_named(case):
    with pytest.raises(N1StoreError):
        allowed.check(NAMED[case])
    inside = {"codecs": [{"name": "bytes"}, NAMED[case]], "chunk_shape": [1, 1]}
    with pytest.raises(N1StoreError):
        allowed.check({"name": "sharding_indexed", "configuration": inside})


@pytest.mark.parametrize("name", CATALOGUE)
def test_codecs_of_the_catalogue_may_be_named_as_stores_name_them(name):
    try:
        codec = CATALOGUE[name].build()
    except N1StoreError as error:
        pytest.skip(str(error))
    allowed.check(codec.get_config())
    allowed.check(CATALOGUE[name].zarr2_metadata(codec))
    allowed.check(CATALOGUE[name].zarr3_metadata(codec))


def test_users_can_allow_more(spy, monkeypatch):
    monkeypatch.setenv(allowed.VARIABLE, "other, spy")
    allowed.check({"id": "spy"})
    with pytest.raises(N1StoreError, match=allowed.VARIABLE):
        allowed.check({"id": "pickle"})


@pytest.fixture(params=[*ZARR_FORMATS, "sharded", "zip"])
def store(request, tmp_path):
    """Give a store, and a function that puts a codec into what its array says of itself."""
    if request.param == "sharded" and 3 not in ZARR_FORMATS:
        pytest.skip("shards need zarr 3")
    zarr_format = request.param if isinstance(request.param, int) else ZARR_FORMATS[0]
    wav = write_wav(tmp_path / "x.wav", on_grid(400, 2, 1), 20_000)
    path = tmp_path / "x.zarr"
    shards = (
        {"shard_seconds": 0.01 if request.param == "sharded" else 0} if zarr_format == 3 else {}
    )
    n1store.convert(wav, path, codec="zstd", chunk_seconds=0.005, zarr_format=zarr_format, **shards)

    def name_codec(codec):
        metadata = path / "recordings/x" / (".zarray" if zarr_format == 2 else "zarr.json")
        content = json.loads(metadata.read_text())
        if zarr_format == 2:
            content["filters"].append(codec)
        else:
            in_format_3 = {"name": codec["id"], "configuration": codec}
            inner = content["codecs"][0].get("configuration", {}).get("codecs")
            (content["codecs"] if inner is None else inner).append(in_format_3)
        metadata.write_text(json.dumps(content))
        if request.param != "zip":
            return path
        packed = tmp_path / "x.zarr.zip"
        with zipfile.ZipFile(packed, "w") as file:
            for each in sorted(path.rglob("*")):
                if each.is_file():
                    file.write(each, each.relative_to(path))
        return packed

    return name_codec


@pytest.mark.parametrize("codec", ["pickle", "spy"])
def test_no_command_runs_a_codec_that_a_zarr_store_names(store, spy, run, tmp_path, codec):
    path = store({"id": codec})
    for command in (
        ("verify", path),
        ("export", path, tmp_path / "wavs"),
        ("convert", path, tmp_path / "copy.zarr"),
        ("bench", path),
    ):
        first, *_ = run(*command, exit_code=1).stderr.splitlines()
        assert path.name in first
        assert f"codec {codec!r} is not made" in first
    with n1store.open(path) as opened, pytest.raises(N1StoreError, match=codec):
        opened["x"].traces[:10]
    assert spy == []


@needs_zarr3
def test_zarr_reads_what_was_looked_at(tmp_path, spy):
    """Not consolidated metadata, nor those of another format, which may name other codecs."""
    wav = write_wav(tmp_path / "x.wav", on_grid(400, 2, 1), 20_000)
    path = tmp_path / "x.zarr"
    n1store.convert(wav, path, codec="zstd", zarr_format=2)
    consolidated = json.loads((path / ".zmetadata").read_text())
    consolidated["metadata"]["recordings/x/.zarray"]["filters"].append({"id": "spy"})
    (path / ".zmetadata").write_text(json.dumps(consolidated))
    array = json.loads((path / "recordings/x/.zarray").read_text())
    array["fill_value"] = 1  # so that zarr is left to read it
    (path / "recordings/x/.zarray").write_text(json.dumps(array))
    (path / "zarr.json").write_text(
        json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}})
    )
    with n1store.open(path) as store:
        np.testing.assert_array_equal(store["x"].traces[:], on_grid(400, 2, 1))
    assert spy == []


@pytest.mark.parametrize("case", ["pickle", "of another package", "inside another", "of objects"])
def test_hdf5_runs_no_codec_that_a_file_names(case, spy, capsys, tmp_path):
    text = json.dumps(NAMED[case]).encode()
    packed = np.frombuffer(text + bytes(-len(text) % 4), "<u4").tolist()
    values = (len(text), 0, 0, 0, *packed)
    executes = b"cos\nsystem\n(S'touch executed'\ntR."
    for flags in (0, Filter.REVERSE):
        assert Filter("numcodecs")(flags, values, executes) is None
        assert "n1store: HDF5 filter 52797" in capsys.readouterr().err
    with pytest.raises(N1StoreError):
        hdf5_numcodecs.configuration_of(values)
    with pytest.raises(N1StoreError):
        hdf5.Numcodecs(NAMED[case])
    assert spy == []


def test_hdf5_runs_what_the_user_allows(spy, monkeypatch, tmp_path):
    samples = on_grid(400, 2, 1)
    monkeypatch.setenv(allowed.VARIABLE, "spy")
    write_hdf5(tmp_path / "x.h5", samples, (100, 2), compression=hdf5.Numcodecs({"id": "spy"}))
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:], samples)
    assert "run" in spy


@pytest.mark.parametrize(
    "codec",
    [
        {"id": "zlib", "name": "pickle", "configuration": {}},
        {"id": "crc32c", "name": "numcodecs.pickle"},
        {"id": "pickle", "name": "zlib"},
        {"id": 5, "name": "zlib"},
        {
            "name": "sharding_indexed",
            "configuration": {"codecs": [{"id": "zlib", "name": "pickle"}]},
        },
        {
            "id": "bytes",
            "name": "sharding_indexed",
            "configuration": {"index_codecs": [{"name": "pickle"}]},
        },
    ],
)
def test_an_id_hides_no_name(codec):
    """Zarr format 3 goes by the name, numcodecs and format 2 by the id."""
    with pytest.raises(N1StoreError):
        allowed.check(codec)


def shards_within_shards(levels):
    codec = {"name": "bytes"}
    for _ in range(levels):
        codec = {"name": "sharding_indexed", "configuration": {"codecs": [codec]}}
    return codec


def test_shards_within_shards():
    allowed.check(shards_within_shards(2))
    with time_limit(10), pytest.raises(N1StoreError, match="nested too deeply"):
        allowed.check(shards_within_shards(60))
    text = json.dumps(shards_within_shards(60)).encode()
    packed = np.frombuffer(text + bytes(-len(text) % 4), "<u4").tolist()
    with time_limit(10), pytest.raises(N1StoreError, match="nested too deeply"):
        hdf5_numcodecs.configuration_of((len(text), 0, 0, 0, *packed))


def test_codecs_that_are_no_list_are_looked_at_as_well():
    for codecs in ({"id": "pickle"}, {"pickle": 1}, 5):
        with pytest.raises(N1StoreError):
            allowed.check({"name": "sharding_indexed", "configuration": {"codecs": codecs}})
