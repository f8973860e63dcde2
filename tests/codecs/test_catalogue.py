"""The whole catalogue: every codec in Zarr 2, Zarr 3 and HDF5, read without importing n1store."""

import functools
import hashlib
import itertools
import json
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest
import zarr

import make_wav as make
import n1store
from installed import IS_ZARR_30, ZARR_FORMATS
from make_wav import write_wav
from n1store.codecs.catalogue import CATALOGUE
from n1store.codecs.hdf5_filters import h5py_holds
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError
from n1store.reference import write_reference
from n1store.stores.files import create_files
from n1store.stores.grid import Grid
from n1store.stores.nwb.chunks import HDF5Chunks, pipeline_of
from n1store.stores.nwb.writer import SeriesWriter
from n1store.stores.zarr.formats import FORMATS
from n1store.stores.zarr.writer import ZarrWriter

GROUPS = {
    "dictionary": "zstd lz4 lz4hc gzip zlib bz2 lzma lzf brotli bzip3 bitshuffle",
    "predictive": "delta lpc n1",
    "entropy": "huffman arithmetic rans packbits10",
    "run-length": "rle",
    "audio": "wavpack flac alac",
    "blosc": "blosc blosc2",
    "transform": "iwt pcodec",
}
# They end what is stored as Zarr; HDF5 has its own.
NOT_IN_HDF5 = {"crc32", "crc32c"}
# What takes half a second to start, and is tried in test_pipelines.py.
SLOW = {"lzma:preset=9"}


def variants(entry):
    """Return a codec with all combinations of its choices, and each number at its extremes.

    The first of them has the defaults, so that none is tried again where it is spelled out.
    """
    choices = [
        [f"{parameter.name}={choice}" for choice in parameter.choices]
        for parameter in entry.parameters
        if parameter.choices
    ]
    settings = [",".join(those) for those in itertools.product(*choices)]
    for parameter in entry.parameters:
        if not parameter.choices and not parameter.content and parameter.name != entry.loses_with:
            values = {parameter.low, parameter.high} - {parameter.default}
            settings += [f"{parameter.name}={value}" for value in sorted(values)]
    specs = [f"{entry.name}:{each}" if each else entry.name for each in settings]
    return [spec for spec in specs if spec not in SLOW]


VARIANTS = [spec for entry in CATALOGUE.values() for spec in variants(entry)]
TRANSFORMS = [
    name
    for name, entry in CATALOGUE.items()
    if entry.kind == "array-array" and entry.group != "filter"
]
OTHERS = [
    name
    for name, entry in CATALOGUE.items()
    if entry.kind != "array-array" and entry.group != "checksum"
]
# Each codec behind one of the transforms.
CHAINS = [
    f"adc+{transform}+{other}"
    for transform, other in zip(itertools.cycle(TRANSFORMS), OTHERS, strict=False)
]
CHAINS += ["+".join([*TRANSFORMS, "shuffle", "zstd"]), "adc+adc+delta+delta+zstd+zlib"]


def signals(num_samples, num_channels):
    """Return samples that lie one behind the other, each a chunk."""
    shape = num_samples, num_channels
    recording = np.resize(make.neural_recordings(1, 5000)[0], shape)
    grid = make.on_grid(*shape)
    time = np.arange(num_samples)[:, None] + np.arange(num_channels)
    chunks = [
        recording,
        np.where(grid % 64, grid + 1, grid),  # no code of the converter
        np.full(shape, -12345),
        np.where(time % 2, 32767, -32768),
        make.noise(*shape),
        np.arange(num_samples * num_channels).reshape(shape) % 5,
    ]
    return np.concatenate(chunks).astype("<i2")


# By the shape of a chunk. The last array ends within one. With 17 channels, FLAC has more than
# two streams and WavPack half a pair. Other few samples are in test_pipelines.py.
ARRAYS = {
    shape: signals(*shape)[: -(shape[0] // 3) or None] for shape in [(1, 1), (3, 17), (401, 3)]
}
MIN_VALUES = {"wavpack": 16}


def fits(pipeline, shape):
    """Return whether there are enough samples in a chunk for all codecs."""
    return all(np.prod(shape) >= MIN_VALUES.get(name, 0) for name in pipeline.names)


def parse(spec):
    """Return a pipeline, or why there is none here."""
    try:
        return Pipeline.parse(spec)
    except N1StoreError as error:
        missing = [CATALOGUE[stage.partition(":")[0]] for stage in spec.split("+")]
        assert any(entry.install in str(error) for entry in missing), spec
        return str(error)


PIPELINES = {spec: parse(spec) for spec in [*VARIANTS, *CHAINS]}
HERE = {spec: pipeline for spec, pipeline in PIPELINES.items() if not isinstance(pipeline, str)}


def chunks_of(samples, length):
    """Give the chunks of an array, the last one filled up with its last samples."""
    for start in range(0, len(samples), length):
        chunk = samples[start : start + length]
        padding = [(0, length - len(chunk)), (0, 0)]
        yield np.ascontiguousarray(np.pad(chunk, padding, mode="edge"))


@functools.cache
def payloads(spec, shape, in_hdf5):
    pipeline = HERE[spec].for_hdf5() if in_hdf5 else HERE[spec]
    return [pipeline.encode(chunk) for chunk in chunks_of(ARRAYS[shape], shape[0])]


def write(create, spec, in_hdf5=False):
    """Write all arrays that a pipeline takes."""
    other_bytes = in_hdf5 and any(entry.hdf5_home for entry, _ in HERE[spec].stages)
    for number, (shape, samples) in enumerate(ARRAYS.items()):
        if fits(HERE[spec], shape):
            writer = create(number, Grid(samples.shape, shape), HERE[spec])
            for payload in payloads(spec, shape, other_bytes):
                writer.write(payload)
            writer.finish({})


def write_zarr(path, zarr_format):
    with ZarrWriter(create_files(path, folder=False), FORMATS[zarr_format]) as store:
        for index, spec in enumerate(HERE):
            write(lambda n, *array, i=index: store.create_array(f"{i}/{n}", *array), spec)
        store.finish("recordings", {}, HERE[spec])


def has_hdf5(pipeline):
    return not NOT_IN_HDF5 & {*pipeline.names}


def write_hdf5(path):
    def create(number, grid, pipeline):
        series = group.create_group(f"{number}")
        blanks = series.create_group("blanks")
        return SeriesWriter(series, blanks, series.name, grid, pipeline.for_hdf5(), {})

    with h5py.File(path, "w") as file:
        for index, (spec, pipeline) in enumerate(HERE.items()):
            if has_hdf5(pipeline):
                group = file.create_group(f"{index}")
                write(create, spec, in_hdf5=True)


READ_ZARR = """
    import hashlib, json, sys, warnings, zarr
    warnings.simplefilter("ignore")
    assert "n1store" not in sys.modules
    store = zarr.storage.ZipStore(sys.argv[1], mode="r")
    found = {}
    for path in json.load(sys.stdin):
        try:
            samples = zarr.open_array(store=store, path=path, mode="r")[:]
            found[path] = samples.dtype.str, samples.shape, hashlib.sha256(samples).hexdigest()
        except Exception as error:
            found[path] = repr(error)
    print(json.dumps(found))
"""
READ_HDF5 = """
    import h5py, hashlib, hdf5plugin, json, sys
    assert "n1store" not in sys.modules
    found = {}
    with h5py.File(sys.argv[1]) as file:
        for path in json.load(sys.stdin):
            try:
                samples = file[f"{path}/0"][:]
                found[path] = samples.dtype.str, samples.shape, hashlib.sha256(samples).hexdigest()
            except Exception as error:
                found[path] = repr(error)
    print(json.dumps(found))
"""
EXPECTED = {
    f"{index}/{number}": ["<i2", [*samples.shape], hashlib.sha256(samples).hexdigest()]
    for index, pipeline in enumerate(HERE.values())
    for number, (shape, samples) in enumerate(ARRAYS.items())
    if fits(pipeline, shape)
}
KINDS = {
    **{f"zarr{number}": READ_ZARR for number in ZARR_FORMATS},
    "hdf5": READ_HDF5,
}


@pytest.fixture(scope="module")
def hdf5_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("catalogue") / "store.h5"
    write_hdf5(path)
    return path


@pytest.fixture(scope="module", params=KINDS)
def found(request, tmp_path_factory, hdf5_file):
    """Give what another process reads of all arrays in a store of one kind."""
    kind, path = request.param, hdf5_file
    if kind != "hdf5":
        path = tmp_path_factory.mktemp("catalogue") / "store.zip"
        write_zarr(path, int(kind[-1]))
    paths = [
        path
        for path in EXPECTED
        if kind != "hdf5" or has_hdf5([*HERE.values()][int(path.split("/")[0])])
    ]
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KINDS[kind]), path],
        input=json.dumps(paths),
        capture_output=True,
        text=True,
        cwd=path.parent,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    contents = json.loads(result.stdout)
    assert list(contents) == paths
    return kind, contents


@pytest.mark.slow
def test_codecs_are_lossless_for_readers_without_n1store(found):
    kind, contents = found
    for index, (spec, pipeline) in enumerate(HERE.items()):
        if kind == "hdf5" and not has_hdf5(pipeline):
            with pytest.raises(N1StoreError, match="HDF5 has no filter"):
                pipeline.hdf5((100, 1))
            continue
        if kind == "zarr3" and IS_ZARR_30 and "wavpack" in pipeline.names:
            continue  # wavpack-numcodecs wants zarr 3.1
        mine = {path: each for path, each in contents.items() if path.startswith(f"{index}/")}
        assert len(mine) == sum(fits(pipeline, shape) for shape in ARRAYS), spec
        assert mine == {path: EXPECTED[path] for path in mine}, spec


def test_catalogue_is_complete():
    for group, names in GROUPS.items():
        assert {name: CATALOGUE[name].group for name in names.split()} == dict.fromkeys(
            names.split(), group
        )
    assert len(VARIANTS) >= 40
    shuffles = [spec for spec in VARIANTS if spec.startswith("blosc:") and "cname" in spec]
    assert len(shuffles) == 5 * 3
    assert {name for name, entry in CATALOGUE.items() if not entry.hdf5} == NOT_IN_HDF5


@pytest.mark.slow
def test_chunks_are_decoded_past_hdf5(hdf5_file):
    with h5py.File(hdf5_file) as file, hdf5_file.open("rb", buffering=0) as bare:
        for path, (_, _, digest) in EXPECTED.items():
            spec = [*HERE][int(path.split("/")[0])]
            if not has_hdf5(HERE[spec]):
                continue
            dataset = file[f"{path}/0"]
            stored = HERE[spec].for_hdf5().hdf5(dataset.chunks)
            if not all(h5py_holds(len(cd_values)) for _, cd_values in stored):
                continue
            codecs = pipeline_of(dataset)
            assert codecs is not None, spec
            chunks = HDF5Chunks(dataset, codecs, bare)
            parts = [
                chunks.read_chunk(index, np.empty(dataset.chunks, "<i2"))
                for index in chunks.grid.indices()
            ]
            samples = np.concatenate(parts)[: len(dataset)]
            assert hashlib.sha256(samples).hexdigest() == digest, spec


# Through the command line, with what it adds


@pytest.fixture
def wav(tmp_path):
    samples = np.resize(make.neural_recordings(1, 20_000)[0], (9001, 3))
    samples[5000:5100] = make.noise(100, 3)
    return write_wav(tmp_path / "in" / "x.wav", samples), samples


READ_NWB = """
    import h5py, numpy, sys
    assert "n1store" not in sys.modules
    with h5py.File(sys.argv[1]) as file:
        (series,) = file["acquisition"].values()
        numpy.save(sys.argv[2], series["data"][:])
"""
THROUGH_NWB = ["lpc+huffman", "delta:order=2+rans", "iwt:levels=8+arithmetic+fletcher32"]


@pytest.mark.parametrize("codec", THROUGH_NWB)
def test_own_codecs_through_nwb_and_back(codec, wav, tmp_path, run):
    path, samples = wav
    out = tmp_path / "out.nwb"
    run("convert", path.parent, out, "--codec", codec)
    run("verify", out, path.parent)
    script = [sys.executable, "-c", textwrap.dedent(READ_NWB), out, tmp_path / "x.npy"]
    subprocess.run(script, check=True, cwd=tmp_path, timeout=100)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), samples)
    run("export", out, tmp_path / "back")
    assert (tmp_path / "back" / "x.wav").read_bytes() == path.read_bytes()


def test_own_codecs_in_place(wav, tmp_path):
    path, samples = wav
    n1store.convert(path.parent, tmp_path / "out.nwb", codec=THROUGH_NWB[0])
    reference = write_reference(tmp_path / "out.nwb", tmp_path / "refs.json")
    assert not any("data" in line for line in reference.left_out)
    pytest.importorskip("fsspec")
    if 3 in ZARR_FORMATS:
        group = zarr.open_group(f"reference::{tmp_path / 'refs.json'}", mode="r")
        (name,) = group["acquisition"]
        np.testing.assert_array_equal(group[f"acquisition/{name}/data"][:], samples)


# `delta` was once the codec of that name of numcodecs, which takes no notice of channels


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3 specification")
@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
def test_store_with_the_delta_of_numcodecs_stays_readable(wav, zarr_format, tmp_path, run):
    path, samples = wav
    store = tmp_path / "old.zarr"
    n1store.convert(path.parent, store, codec="zstd", adc=False, zarr_format=zarr_format)
    array = store / "recordings" / "x"
    config = {"dtype": "<i2", "astype": "<i2"}
    if zarr_format == 2:
        (store / ".zmetadata").unlink()
        metadata = json.loads((array / ".zarray").read_text())
        metadata["filters"].insert(0, {"id": "delta", **config})
        (array / ".zarray").write_text(json.dumps(metadata))
    else:
        metadata = json.loads((array / "zarr.json").read_text())
        codecs = metadata["codecs"]
        if codecs[0]["name"] == "sharding_indexed":
            codecs = codecs[0]["configuration"]["codecs"]
        codecs.insert(0, {"name": "numcodecs.delta", "configuration": config})
        (array / "zarr.json").write_text(json.dumps(metadata))
    zarr.open_array(str(array), mode="r+")[:] = samples
    root = store / (".zattrs" if zarr_format == 2 else "zarr.json")
    root.write_text(root.read_text().replace('"zstd+crc32', '"delta+zstd+crc32'))

    assert n1store.open(store).attributes["codec"].startswith("delta+zstd")
    np.testing.assert_array_equal(n1store.open(store)["x"].traces[:], samples)
    run("verify", store, path.parent)
    run("export", store, tmp_path / "back")
    assert (tmp_path / "back" / "x.wav").read_bytes() == path.read_bytes()
    # Copied chunks would be of the other delta.
    run("convert", store, tmp_path / "new.zarr", "--codec", "delta+zstd", "--no-adc")
    run("verify", tmp_path / "new.zarr", path.parent)
    np.testing.assert_array_equal(zarr.open(str(tmp_path / "new.zarr"))["recordings/x"][:], samples)
