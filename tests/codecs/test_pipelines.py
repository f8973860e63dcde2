"""Pipelines: what every codec does to a chunk, what users write, and what stores say."""

import base64
import json
import math
import re
import sys

import numcodecs
import numcodecs.checksum32
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numcodecs.compat import ensure_bytes

import make_wav as make
from cases import case
from installed import needs_pcodec, needs_wavpack
from n1store.codecs.catalogue import CATALOGUE
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError

ZARR_3 = int(zarr.__version__.split(".")[0]) >= 3

pytestmark = pytest.mark.filterwarnings(
    "ignore:Numcodecs codecs are not in the Zarr version 3 specification",
    "ignore:.*does not have a Zarr V3 specification",
)


NEEDS = {"wavpack": needs_wavpack, "pcodec": needs_pcodec}


def as_parameters(names):
    return [pytest.param(name, marks=[NEEDS[name]] if name in NEEDS else []) for name in names]


def is_here(spec):
    """Return whether all codecs of a pipeline can be used."""
    return not any(NEEDS[name].args[0] for name in NEEDS if name in re.split("[+:]", spec))


# What stands for the content of a file.
CONTENTS = {("n1", "widths"): base64.urlsafe_b64encode(bytes([30, 2, 60, 1] * 256)).decode()}


def settings_of(entry):
    """Return the codec as it is, and with each parameter at its extremes or at each choice.

    The codec as it is has the defaults, so that none is tried again where it is spelled out.
    """
    specs = [entry.name]
    for parameter in entry.parameters:
        if parameter.name == entry.loses_with:
            continue
        if parameter.content:
            values = [CONTENTS[entry.name, parameter.name]]
        else:
            values = parameter.choices or (parameter.low, parameter.high)
        specs += [
            f"{entry.name}:{parameter.name}={value}"
            for value in values
            if value != parameter.default
        ]
    return specs


FILTERS = [entry.name for entry in CATALOGUE.values() if entry.kind == "array-array"]
ENCODERS = [name for name in CATALOGUE if name not in FILTERS]
SOME_MORE = ["delta+adc", "adc+delta", "delta+delta", "adc+adc"]


def pipelines_with(name):
    """Give the codec of that name with all its settings, and what may stand around it.

    What is part of a longer pipeline, as `adc` in front alone, is not tried once more.
    """
    specs = settings_of(CATALOGUE[name])
    if name in ENCODERS:
        around = ("delta+{}", "adc+delta+{}", "{}+zstd", "adc+{}+crc32", "adc+{}+crc32c")
        specs += [each.format(name) for each in around]
    else:
        specs += [spec for spec in SOME_MORE if spec.startswith(name)]
    if name == "blosc":
        specs.append("blosc:cname=lz4,clevel=9,shuffle=shuffle")
    return list(filter(is_here, specs))


# Settings that are slow to start, and the chunks that do for them.
SLOW = {"lzma:preset=9": ("recording", "one sample of 17 channels")}
# Two full streams of FLAC and one more, and half a pair of WavPack.
MANY_CHANNELS = 17


def hostile_chunks():
    grid = make.on_grid(3000)
    chunks = {
        "recording": make.neural_recordings(1, 3000)[0],
        "clipped recording": np.clip(grid * 50.0, -32768, 32767),
        "no code of the converter": np.where(grid % 64, grid + 1, grid),
    }
    for channels in (1, MANY_CHANNELS):
        shape = 4096 // channels, channels
        time = np.arange(shape[0])[:, None] + np.arange(channels)
        chunks |= {
            f"silence, {channels}": np.zeros(shape),
            f"constant, {channels}": np.full(shape, -12345),
            f"full-scale square, {channels}": np.where(time // 7 % 2, 32767, -32768),
            f"every sample the other extreme, {channels}": np.where(time % 2, 32767, -32768),
            f"ramp, {channels}": (time * 97) % 65536 - 32768,
            f"white noise, {channels}": make.noise(*shape),
            f"on the grid, {channels}": make.on_grid(*shape),
            f"one spike, {channels}": np.where(time == 20, 32767, 0),
        }
    return read_only(chunks)


def few_samples():
    return read_only(
        {
            f"{count} of {channels} channels": make.noise(count, channels, seed=count)
            for channels in (1, 2, MANY_CHANNELS)
            for count in (1, 2, 3, 7, 8, 9, 15, 16, 17)
        }
        | {
            "one sample of silence": np.zeros((1, 1)),
            "one sample": np.array([[-32768]]),
            "two samples": np.array([[32767], [-32768]]),
            f"one sample of {MANY_CHANNELS} channels": make.noise(1, MANY_CHANNELS),
        }
    )


def read_only(chunks):
    for name, chunk in chunks.items():
        chunks[name] = np.ascontiguousarray(chunk, "<i2")
        chunks[name].flags.writeable = False
    return chunks


CHUNKS = hostile_chunks()
FEW_SAMPLES = few_samples()


def decode(pipeline, payload):
    """Undo the stages as any reader does, by nothing but their numcodecs codecs."""
    for config in reversed(pipeline.zarr2()):
        payload = numcodecs.get_codec(dict(config)).decode(payload)
    return np.frombuffer(ensure_bytes(payload), "<i2")


def assert_lossless(pipeline, chunk, name=""):
    payload = pipeline.encode(chunk)
    assert isinstance(payload, bytes)
    np.testing.assert_array_equal(decode(pipeline, payload), chunk.reshape(-1), name)


def given_to(name, pipeline, chunk):
    for entry, codec in pipeline.stages:
        if entry.name == name:
            break
        chunk = codec.encode(chunk)
    return chunk


# What every codec must do


@pytest.mark.parametrize("name", as_parameters(CATALOGUE))
def test_codec_is_lossless_on_hostile_chunks(name):
    for spec in pipelines_with(name):
        pipeline = Pipeline.parse(spec)
        for chunk in SLOW.get(spec, CHUNKS):
            assert_lossless(pipeline, (CHUNKS | FEW_SAMPLES)[chunk], f"{spec}: {chunk}")


@pytest.mark.parametrize("name", as_parameters(CATALOGUE))
def test_codec_is_lossless_on_a_few_samples(name):
    for spec in pipelines_with(name):
        pipeline = Pipeline.parse(spec)
        for each in SLOW.get(spec, FEW_SAMPLES):
            chunk = (CHUNKS | FEW_SAMPLES)[each]
            if "wavpack" in pipeline.names and given_to("wavpack", pipeline, chunk).size < 16:
                with pytest.raises(N1StoreError, match="16 samples"):
                    pipeline.encode(chunk)
            else:
                assert_lossless(pipeline, chunk, f"{spec}: {each}")


# One chunk is drawn for all codecs: drawing it takes longer than most of them.
@settings(deadline=None, max_examples=25, database=None)
@given(
    hnp.arrays(
        "<i2",
        st.tuples(st.integers(16, 60), st.integers(1, 6)),
        elements=st.integers(-32768, 32767) | st.integers(-1, 1),
    )
)
def test_codecs_are_lossless_on_any_chunk(chunk):
    for spec in filter(is_here, CATALOGUE):
        with case(spec):
            assert_lossless(Pipeline.parse(spec), chunk)


@pytest.mark.parametrize("spec", as_parameters(CATALOGUE))
def test_encoding_is_reproducible_and_leaves_the_chunk_alone(spec):
    chunk = make.on_grid(500, 2)
    before = chunk.copy()
    assert Pipeline.parse(spec).encode(chunk) == Pipeline.parse(spec).encode(chunk)
    np.testing.assert_array_equal(chunk, before)


@pytest.mark.parametrize("spec", as_parameters(ENCODERS))
def test_codec_decodes_whatever_holds_the_bytes(spec):
    pipeline = Pipeline.parse(spec)
    chunk = make.on_grid(500, 2)
    payload = pipeline.encode(chunk)
    for held in (bytearray(payload), memoryview(payload), np.frombuffer(payload, "u1")):
        decoded = decode(pipeline, held)
        np.testing.assert_array_equal(decoded, chunk.reshape(-1), f"{type(held)}")


@pytest.mark.parametrize("name", as_parameters(CATALOGUE))
def test_configuration_is_json_and_makes_the_same_codec_again(name):
    for spec in settings_of(CATALOGUE[name]):
        [(_, codec)] = Pipeline.parse(spec).stages
        config = json.loads(json.dumps(codec.get_config()))
        again = numcodecs.get_codec(dict(config))
        assert again.get_config() == codec.get_config(), spec


@pytest.mark.parametrize("name", as_parameters(CATALOGUE))
def test_default_that_is_spelled_out_makes_the_same_codec(name):
    [(_, codec)] = Pipeline.parse(name).stages
    for parameter in CATALOGUE[name].parameters:
        if not parameter.content and parameter.name != CATALOGUE[name].loses_with:
            spec = f"{name}:{parameter.name}={parameter.default}"
            [(_, again)] = Pipeline.parse(spec).stages
            assert again.get_config() == codec.get_config(), spec


@pytest.mark.parametrize("spec", as_parameters(ENCODERS))
def test_adc_and_codec_make_recordings_smaller(spec):
    chunk = make.on_grid(19_531)
    payload = Pipeline.parse(f"adc+{spec}").encode(chunk)
    if CATALOGUE[spec].group == "checksum":
        assert len(payload) == chunk.nbytes + 4
    elif CATALOGUE[spec].group == "filter":
        assert len(payload) == chunk.nbytes
    elif CATALOGUE[spec].group == "run-length":  # there are no runs
        assert len(payload) <= chunk.nbytes + 16
    else:
        assert len(payload) < chunk.nbytes


@pytest.mark.parametrize("checksum", as_parameters(["crc32", "crc32c"]))
def test_checksum_notices_any_changed_bit(checksum):
    pipeline = Pipeline.parse(f"adc+{checksum}")
    payload = pipeline.encode(make.on_grid(20))
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((RuntimeError, ValueError)):
            decode(pipeline, bytes(damaged))


# What users write


def assert_no_pipeline(spec, *words):
    with pytest.raises(N1StoreError) as info:
        Pipeline.parse(spec)
    message = str(info.value)
    assert message
    assert message.splitlines() == [message]
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("zst", ["'zst'", "did you mean", "zstd"]),
        ("wavepack", ["'wavepack'", "did you mean wavpack"]),
        ("adc+bz", ["'bz'", "did you mean", "bz2"]),
        ("ZSTD", ["'ZSTD'"]),
        ("mp3000", ["'mp3000'", "there are adc"]),
        ("no\nsuch", ["no codec"]),
        ("zstd level=3", ["no codec"]),
        ("", ["no codec"]),
        (" ", ["no codec"]),
        (":level=3", ["no codec"]),
        ("+", ["no codec"]),
        ("zstd+", ["no codec"]),
        ("adc+", ["no codec"]),
        ("+zstd", ["no codec"]),
        ("adc++zstd", ["no codec"]),
        ("zstd:levle=3", ["codec zstd", "'levle'", "level"]),
        ("zstd:3", ["codec zstd", "'3'", "level"]),
        ("zstd:=3", ["codec zstd", "level"]),
        ("zstd:acceleration=3", ["codec zstd", "'acceleration'", "level"]),
        ("adc:level=3", ["codec adc", "takes none"]),
        ("blosc:level=3", ["codec blosc", "cname, clevel, shuffle"]),
        ("blosc:clevel=3,le\nvel=1", ["codec blosc"]),
        ("zstd:level=0", ["codec zstd", "1 to 22", "'0'"]),
        ("zstd:level=23", ["codec zstd", "1 to 22", "'23'"]),
        ("zstd:level=-1", ["codec zstd", "1 to 22"]),
        ("zstd:level=99999999999999999999", ["codec zstd", "1 to 22"]),
        ("zstd:level=" + "9" * 5000, ["codec zstd", "1 to 22"]),
        ("n1:level=4", ["codec n1", "1 to 3"]),
        ("n1:widths=", ["codec n1", "widths is a file"]),
        ("n1:widths=no such file", ["no such file: cannot be read"]),
        ("n1+n1", ["n1 cannot follow n1"]),
        ("zstd+n1", ["n1 cannot follow zstd"]),
        ("n1+adc", ["adc cannot follow n1"]),
        ("wavpack:level=5", ["codec wavpack", "1 to 4"]),
        ("lzma:preset=10", ["codec lzma", "0 to 9"]),
        ("zstd:level=high", ["codec zstd", "an integer", "'high'"]),
        ("zstd:level=3.0", ["an integer", "'3.0'"]),
        ("zstd:level=1e1", ["an integer"]),
        ("zstd:level=nan", ["an integer"]),
        ("zstd:level=", ["an integer"]),
        ("zstd:level", ["an integer"]),
        ("zstd:level=1=2", ["an integer"]),
        ("zstd:level=3\n4", ["an integer"]),
        ("blosc:cname=snappy", ["one of", "zstd, lz4", "'snappy'"]),
        ("blosc:shuffle=1", ["one of", "bitshuffle"]),
        ("blosc:cname=", ["one of"]),
        ("zstd+adc", ["adc cannot follow zstd"]),
        ("zstd+delta", ["delta cannot follow zstd"]),
        ("adc+zstd+adc", ["adc cannot follow zstd"]),
        pytest.param("zstd+wavpack", ["wavpack cannot follow zstd"], marks=needs_wavpack),
        pytest.param("wavpack+delta", ["delta cannot follow wavpack"], marks=needs_wavpack),
        pytest.param("wavpack+wavpack", ["wavpack cannot follow wavpack"], marks=needs_wavpack),
        pytest.param("wavpack+zstd+wavpack", ["cannot follow zstd"], marks=needs_wavpack),
    ],
)
def test_wrong_pipeline_is_refused_with_its_reason(spec, words):
    assert_no_pipeline(spec, *words)


@settings(deadline=None, max_examples=200)
@given(
    st.text(max_size=20)
    | st.lists(
        st.sampled_from(["adc", "zstd", "blosc", "level", "=", ":", ",", "+", "1", "\n", " "]),
        max_size=9,
    ).map("".join)
)
def test_any_text_is_a_pipeline_or_refused(spec):
    try:
        pipeline = Pipeline.parse(spec)
    except N1StoreError:
        assert_no_pipeline(spec)
    else:
        assert pipeline.names


def test_stages_and_their_settings():
    pipeline = Pipeline.parse("adc + delta+blosc:cname=lz4,clevel=7 + zstd:level=22")
    assert pipeline.names == ["adc", "delta", "blosc", "zstd"]
    configs = pipeline.zarr2()
    assert [config["id"] for config in configs] == ["n1store.adc", "n1store.delta", "blosc", "zstd"]
    assert (configs[2]["cname"], configs[2]["clevel"]) == ("lz4", 7)
    assert configs[2]["shuffle"] == numcodecs.Blosc.BITSHUFFLE
    assert configs[3]["level"] == 22


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_row_of_the_catalogue(entry):
    assert CATALOGUE[entry.name] is entry
    assert entry.summary
    assert len(entry.summary.splitlines()) == 1
    try:
        pipeline = Pipeline.parse(entry.name)
    except N1StoreError as error:
        assert entry.install in str(error)
    else:
        # Those who read it need n1store if, and only if, a store names a codec of n1store.
        named = {
            str(each.get("id", each.get("name"))) for each in pipeline.zarr2() + pipeline.zarr3()
        }
        needs_n1store = any(each.startswith("n1store.") for each in named)
        assert needs_n1store == ("n1store" in entry.packages), named
    for parameter in entry.parameters:
        if parameter.content:
            content = CONTENTS[entry.name, parameter.name]
            assert parameter.parse(content) == content
            continue
        if parameter.name != entry.loses_with:
            assert parameter.parse(str(parameter.default)) == parameter.default
        if not parameter.choices:
            for outside in (parameter.low - 1, parameter.high + 1):
                with pytest.raises(ValueError, match=parameter.name):
                    parameter.parse(str(outside))


def test_codec_that_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "wavpack_numcodecs", None)
    monkeypatch.setitem(sys.modules, "wavpack_numcodecs.wavpack", None)
    monkeypatch.delitem(sys.modules, "n1store.codecs.library.wavpack", raising=False)
    assert_no_pipeline("adc+wavpack", "codec wavpack is not available", "apt-get install wavpack")


def test_codec_that_numcodecs_was_built_without_says_how_to_install_it(monkeypatch):
    # numcodecs defines this class only where it finds the package that computes it.
    monkeypatch.delattr("numcodecs.checksum32.CRC32C", raising=False)
    assert_no_pipeline("adc+crc32c", "codec crc32c is not available", "pip install")


# What stores say


def assert_zarr_reads(path, metadata_name, metadata, key, pipeline):
    """Zarr reads two chunks, the second of them padded, from files put there by hand."""
    channels = 5
    samples = make.on_grid(150, channels)
    samples[17] = make.noise(1, channels)
    path.mkdir(exist_ok=True)
    (path / metadata_name).write_text(json.dumps(metadata))
    for number in range(2):
        chunk = np.zeros((100, channels), "<i2")
        part = samples[100 * number : 100 * (number + 1)]
        chunk[: len(part)] = part
        (path / key.format(number)).write_bytes(pipeline.encode(chunk))
    array = zarr.open_array(str(path), mode="r")
    assert array.shape == samples.shape
    np.testing.assert_array_equal(array[:], samples, pipeline.spec)
    np.testing.assert_array_equal(array[95:105, 1:3], samples[95:105, 1:3], pipeline.spec)


def stored_pipelines(name):
    """Give the pipelines with a codec that arrays are read with."""
    specs = settings_of(CATALOGUE[name])
    if name in ENCODERS:
        around = ("adc+delta+{}+crc32", "adc+{}+crc32c", "{}+zstd")
        specs += [each.format(name) for each in around]
    elif name == "adc":
        specs.append("adc+delta")
    return list(filter(is_here, specs))


@pytest.mark.skipif(not ZARR_3, reason="zarr 2 does not read format 3")
@pytest.mark.parametrize("name", as_parameters(CATALOGUE))
def test_zarr_reads_format_3(tmp_path, name):
    for number, spec in enumerate(stored_pipelines(name)):
        pipeline = Pipeline.parse(spec)
        metadata = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [150, 5],
            "data_type": "int16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [100, 5]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": 0,
            "codecs": pipeline.zarr3(),
            "attributes": {},
        }
        path = tmp_path / f"{number}"
        assert_zarr_reads(path, "zarr.json", metadata, "c.{}.0", pipeline)


@pytest.mark.parametrize("name", as_parameters(CATALOGUE))
def test_zarr_reads_format_2(tmp_path, name):
    for number, spec in enumerate(stored_pipelines(name)):
        pipeline = Pipeline.parse(spec)
        metadata = {
            "zarr_format": 2,
            "shape": [150, 5],
            "chunks": [100, 5],
            "dtype": "<i2",
            "compressor": None,
            "fill_value": 0,
            "order": "C",
            "filters": pipeline.zarr2(),
            "dimension_separator": ".",
        }
        assert_zarr_reads(tmp_path / f"{number}", ".zarray", metadata, "{}.0", pipeline)


@pytest.mark.skipif(not ZARR_3, reason="zarr 2 does not write format 3")
@pytest.mark.parametrize("name", as_parameters(CATALOGUE))
def test_chunks_that_zarr_writes_in_format_3_are_decoded(tmp_path, name):
    pipeline = Pipeline.parse(name if name in FILTERS else f"adc+{name}")
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [800, 2],
        "data_type": "int16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [800, 2]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": 0,
        "codecs": pipeline.zarr3(),
        "attributes": {},
    }
    (tmp_path / "zarr.json").write_text(json.dumps(metadata))
    samples = make.on_grid(800, 2)
    zarr.open_array(str(tmp_path), mode="r+")[:] = samples
    payload = (tmp_path / "c.0.0").read_bytes()
    np.testing.assert_array_equal(decode(pipeline, payload), samples.reshape(-1))


@pytest.mark.parametrize("name", as_parameters(CATALOGUE))
def test_format_3_has_one_codec_that_makes_bytes(name):
    for spec in pipelines_with(name):
        pipeline = Pipeline.parse(spec)
        codecs = pipeline.zarr3()
        assert json.loads(json.dumps(codecs)) == codecs, spec
        kinds = [entry.kind for entry, _ in pipeline.stages]
        assert len(codecs) == len(kinds) + ("array-bytes" not in kinds), spec
        if "array-bytes" not in kinds:
            to_bytes = {"name": "bytes", "configuration": {"endian": "little"}}
            assert codecs.index(to_bytes) == kinds.count("array-array"), spec


@needs_wavpack
def test_wavpack_streams_of_noise_are_longer_than_the_noise():
    chunk = make.noise(50, 3)
    pipeline = Pipeline.parse("wavpack")
    assert len(pipeline.encode(chunk)) > chunk.nbytes
    assert_lossless(pipeline, chunk)


@needs_wavpack
def test_wavpack_writes_no_stream_that_it_would_not_read(monkeypatch):
    codec = Pipeline.parse("wavpack").stages[0][1]
    chunk = make.noise(500, 2)
    stream = codec.encode(chunk)
    monkeypatch.setattr(type(codec), "max_buffer_size", len(stream))
    assert codec.encode(chunk) == stream
    monkeypatch.setattr(type(codec), "max_buffer_size", len(stream) - 1)
    with pytest.raises(N1StoreError, match=f"not decode a stream of {len(stream)} bytes"):
        codec.encode(chunk)


@needs_wavpack
@pytest.mark.parametrize("num_samples", [19_531, 300_000])
def test_wavpack_chunks_of_many_blocks(num_samples):
    for channels in (1, 2, 3):
        count = math.ceil(num_samples / channels)
        assert_lossless(Pipeline.parse("adc+wavpack:level=1"), make.on_grid(count, channels))
