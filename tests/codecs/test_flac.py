"""The codec `flac` as numcodecs and Zarr have it; in HDF5: test_hdf5_filters.py."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from ctypes.util import find_library

import numcodecs
import numpy as np
import pytest
import zarr

import make_wav as make
from codec_checks import TRACES, assert_one_line, create_format_2, samples_of, zarr_group
from installed import ZARR_VERSION, needs_big_endian, needs_zarr3
from n1store.codecs.library import flac
from n1store.codecs.library.flac import Flac
from n1store.errors import N1StoreError
from processes import read_with_zarr_alone

pytestmark = pytest.mark.skipif(find_library("FLAC") is None, reason="libFLAC is not installed")

DTYPES = ["<i2", "<u2", "i1", "u1"]


SHAPES = [
    *((1,), (2000,), (5000, 1), (300, 2), (300, 8), (300, 9), (3, 300), (300, 4, 3)),
    *((0,), (0, 3), (3, 0), (70_000, 2)),
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_decoded_chunk_is_the_encoded_one(dtype):
    for shape in SHAPES:
        samples = samples_of(dtype, shape) if np.prod(shape) else np.empty(shape, dtype)
        payload = Flac().encode(samples)
        decoded = Flac().decode(payload)
        assert isinstance(payload, bytes)
        assert decoded.dtype == samples.dtype
        assert decoded.shape == (shape if len(shape) < 3 else (shape[0], np.prod(shape[1:])))
        np.testing.assert_array_equal(decoded.reshape(shape), samples, f"{shape}")


def test_most_channels():
    samples = make.noise(2, 65_535)
    np.testing.assert_array_equal(Flac().decode(Flac().encode(samples)), samples)


def test_no_dimension_is_one_sample():
    np.testing.assert_array_equal(Flac().decode(Flac().encode(np.int16(-7))), [-7])


@pytest.mark.parametrize("settings", [{}, {"level": 0}, {"level": 8}])
def test_configuration_makes_the_same_codec_again(settings):
    codec = Flac(**settings)
    config = json.loads(json.dumps(codec.get_config()))
    assert config == {"id": "n1store.flac", "level": 5} | settings
    for again in (
        numcodecs.get_codec(dict(config)),
        eval(repr(codec)),
        pickle.loads(pickle.dumps(codec)),
    ):
        assert again == codec
        assert again.encode(TRACES) == codec.encode(TRACES)


def test_higher_levels_are_smaller():
    chunk = make.on_grid(20_000, 2)
    assert len(Flac(8).encode(chunk)) < len(Flac(0).encode(chunk)) < chunk.nbytes


@pytest.mark.parametrize("level", [-1, 9, 2.5, "2", None])
def test_wrong_level_is_refused(level):
    with pytest.raises(N1StoreError, match="levels 0 to 8") as error:
        Flac(level)
    assert_one_line(error)


def test_without_the_library_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(flac, "find_library", lambda _: None)
    flac.load_library.cache_clear()
    with pytest.raises(N1StoreError, match="apt-get install libflac-dev") as error:
        Flac()
    assert_one_line(error)


@pytest.mark.parametrize(
    "chunk",
    [
        *(TRACES.astype(dtype) for dtype in (">i2", "<i4", "<f4", bool, object, "S2")),
        *(TRACES.view("<M8[us]"), np.asfortranarray(TRACES)),
    ],
    ids=lambda chunk: f"{chunk.dtype} {'C' if chunk.flags.c_contiguous else 'F'}",
)
def test_chunk_that_flac_does_not_take(chunk):
    with pytest.raises(N1StoreError, match="flac takes") as error:
        Flac().encode(chunk)
    assert_one_line(error)


def test_chunk_may_lie_anywhere():
    wide = np.zeros((4000, 5), "<i2")
    wide[::2, 1:] = TRACES
    wide.flags.writeable = False
    for chunk in (wide[::2, 1:], memoryview(TRACES)):
        assert Flac().encode(chunk) == Flac().encode(TRACES)


@pytest.mark.parametrize(
    "out",
    [
        *(np.empty((2000, 4), "<i2"), np.empty(8000, "<i2"), np.empty(16_000, "u1")),
        *(np.empty((500, 4), "<f8"), np.empty((2000, 8), "<i2")[:, ::2], bytearray(16_000)),
    ],
    ids=lambda out: f"{np.asarray(out).dtype} {np.asarray(out).shape}",
)
def test_decoding_into_a_buffer(out):
    result = Flac().decode(Flac().encode(TRACES), out=out)
    for each in (result, out):
        assert np.ascontiguousarray(each).tobytes() == TRACES.tobytes()


@pytest.mark.parametrize("size", [0, 7999, 8001])
def test_buffer_of_another_size(size):
    with pytest.raises(N1StoreError, match="16000 bytes"):
        Flac().decode(Flac().encode(TRACES), out=np.empty(size, "<i2"))


def test_threads_do_not_disturb_each_other():
    chunks = [np.roll(TRACES, shift, axis=0) for shift in range(16)]
    payloads = [Flac().encode(chunk) for chunk in chunks]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(Flac().encode, 4 * chunks)) == 4 * payloads
        decoded = threads.map(Flac().decode, 4 * payloads)
        for result, chunk in zip(decoded, 4 * chunks, strict=True):
            np.testing.assert_array_equal(result, chunk)


def test_lost_frame_is_not_unnoticed(monkeypatch):
    # As when Ctrl-C is pressed inside the callback: libFLAC knows nothing of it.
    def interrupted(*_):
        raise KeyboardInterrupt

    ignored = []
    monkeypatch.setattr("sys.unraisablehook", ignored.append)
    monkeypatch.setattr(flac.ctypes, "string_at", interrupted)
    with pytest.raises(N1StoreError, match="cannot encode") as error:
        Flac().encode(TRACES)
    assert ignored
    assert_one_line(error)


# Zarr


# More than a shard of four chunks of 130 samples.
IN_ZARR = [(700,), (700, 7), (530, 4, 3)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_zarr_format_2(tmp_path, dtype):
    path = tmp_path / "x.zarr"
    for shape in IN_ZARR:
        samples = samples_of(dtype, shape)
        codecs = {"compressor": Flac(8), "filters": None}
        create_format_2(zarr_group(path, 2), "x", samples, (130, *shape[1:]), codecs)
        key = ".".join("0" for _ in shape)
        assert (path / "x" / key).read_bytes() == Flac(8).encode(samples[:130]), shape
        np.testing.assert_array_equal(zarr.open(str(path), mode="r")["x"][:], samples)


@needs_zarr3
@pytest.mark.parametrize("shards", [None, 4])
@pytest.mark.parametrize("dtype", [*DTYPES, pytest.param(">i2", marks=needs_big_endian)])
def test_zarr_format_3(tmp_path, dtype, shards):
    from n1store.codecs import zarr3

    path = tmp_path / "x.zarr"
    for shape in IN_ZARR:
        samples = samples_of(dtype, shape)
        array = zarr_group(path, 3).create_array(
            "x",
            shape=shape,
            chunks=(130, *shape[1:]),
            shards=(shards * 130, *shape[1:]) if shards else None,
            dtype=dtype,
            serializer=zarr3.Flac(level=8),
            compressors=None,
        )
        array[:] = samples
        np.testing.assert_array_equal(zarr.open(str(path), mode="r")["x"][:], samples)
        if shards is None:
            payload = (path / "x/c" / "/".join("0" for _ in shape)).read_bytes()
            little_endian = samples[:130].astype(np.dtype(dtype).newbyteorder("<"))
            assert payload == Flac(8).encode(little_endian), shape
            metadata = json.loads((path / "x/zarr.json").read_text())
            assert metadata["codecs"] == [{"name": "n1store.flac", "configuration": {"level": 8}}]


@pytest.mark.parametrize("zarr_format", [2, 3] if ZARR_VERSION >= 3 else [2])
def test_zarr_alone_reads(tmp_path, zarr_format):
    group = zarr_group(tmp_path / "x.zarr", zarr_format)
    if zarr_format == 2:
        create_format_2(group, "x", TRACES, (500, 4), {"compressor": Flac(), "filters": None})
    else:
        from n1store.codecs import zarr3

        options = {"serializer": zarr3.Flac(), "compressors": None}
        array = group.create_array("x", shape=(2000, 4), chunks=(500, 4), dtype="<i2", **options)
        array[:] = TRACES
    read = read_with_zarr_alone(tmp_path / "x.zarr", tmp_path)
    np.testing.assert_array_equal(read["x"], TRACES)


@needs_zarr3
@pytest.mark.parametrize("other", [TRACES.view("<u2"), TRACES[:1999], TRACES.reshape(4, 2000)])
def test_zarr_format_3_refuses_the_payload_of_another_chunk(tmp_path, other):
    from n1store.codecs import zarr3

    options = {"serializer": zarr3.Flac(), "compressors": None}
    group = zarr_group(tmp_path / "x.zarr", 3)
    array = group.create_array("x", shape=(2000, 4), chunks=(2000, 4), dtype="<i2", **options)
    array[:] = TRACES
    (tmp_path / "x.zarr/x/c/0/0").write_bytes(Flac().encode(other))
    with pytest.raises(N1StoreError, match="payload holds") as error:
        array[:]
    assert_one_line(error)
