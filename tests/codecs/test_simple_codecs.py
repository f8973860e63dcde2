"""The simple codecs as numcodecs codecs, and in Zarr arrays of any shape."""

import json
import pickle
import resource
from itertools import product

import numcodecs
import numpy as np
import pytest
import zarr

import make_wav as make
from installed import ZARR_VERSION, needs_zarr3
from n1store.codecs import simple
from n1store.codecs.catalogue import CATALOGUE
from n1store.errors import N1StoreError

TRANSFORMS = [codec for codec in simple.CODECS if issubclass(codec, simple.Transform)]
CODERS = [codec for codec in simple.CODECS if issubclass(codec, simple.Coder)]
SHAPES = [(1,), (500,), (1, 1), (500, 1), (1, 67), (101, 7), (20, 3, 5), (4, 3, 2, 2)]


def samples_of(shape, dtype="<i2"):
    return make.noise(shape[0], int(np.prod(shape[1:]))).view(dtype).reshape(shape)


def assert_same(decoded, samples):
    assert decoded.dtype == samples.dtype
    np.testing.assert_array_equal(decoded.reshape(samples.shape), samples)


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_transform_keeps_dtype_and_channels(kind):
    for dtype, shape in product(["<i2", "<u2"], SHAPES):
        check_dtype_and_channels(kind(), shape, dtype)


def check_dtype_and_channels(codec, shape, dtype):
    samples = samples_of(shape, dtype)
    numbers = codec.encode(samples)
    assert numbers.dtype == dtype
    assert numbers.shape == codec.encoded_shape(shape)
    assert numbers.shape[1:] == ((np.prod(shape[1:]),) if shape[1:] else ())
    assert_same(codec.decode(numbers), samples)
    for flat in (numbers.tobytes(), bytearray(numbers.tobytes()), numbers.view("u1").reshape(-1)):
        assert_same(codec.decode(flat).view(dtype), samples)
    out = np.zeros(shape, dtype)
    assert codec.decode(numbers, out) is out
    assert_same(out, samples)
    wide = np.zeros((*shape, 2), dtype)[..., 0]
    codec.decode(numbers, wide)
    assert_same(wide, samples)


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_transform_takes_any_strides_and_nothing_at_all(kind):
    samples = make.noise(40, 12)
    for view in (samples[::2], samples[:, ::3], samples[::-1]):
        assert_same(kind().decode(kind().encode(view)), view)
    for shape in [(0,), (0, 3), (5, 0)]:
        nothing = np.zeros(shape, "<i2")
        assert kind().decode(kind().encode(nothing)).size == 0
    assert kind().decode(b"").size == 0


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_transform_refuses_what_it_would_change(kind):
    fortran = np.asfortranarray(np.zeros((5, 3), "<i2"))
    for samples in (*(np.zeros(5, dtype) for dtype in (">i2", "i1", "<i4", "<f4")), fortran, b"1"):
        with pytest.raises(N1StoreError, match="little-endian integers of 16 bits in C order"):
            kind().encode(samples)


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_parameter_is_that_of_the_catalogue(kind):
    parameters = CATALOGUE[kind.codec_id.removeprefix("n1store.")].parameters
    if not parameters:
        assert (kind.parameter, kind.values()) == ("", range(1))
        return
    (parameter,) = parameters
    assert parameter.name == kind.parameter
    assert range(parameter.low, parameter.high + 1) == kind.values()
    assert getattr(kind(), kind.parameter) == parameter.default
    for wrong in (parameter.low - 1, parameter.high + 1, "1", None, 1.5):
        with pytest.raises(N1StoreError, match=f"{kind.parameter} {parameter.low} to"):
            kind(wrong)


@pytest.mark.parametrize("kind", CODERS)
def test_coder_takes_any_bytes(kind):
    for data in (b"", b"a", b"abc", bytes(1001), make.noise(500, 3)):
        codec, content = kind(), bytes(data)
        payload = codec.encode(data)
        assert isinstance(payload, bytes)
        assert bytes(codec.decode(payload)) == content, len(content)
        out = bytearray(len(content))
        if content:
            assert codec.decode(payload, out) is out
            assert out == content, len(content)


@pytest.mark.parametrize("kind", simple.CODECS)
def test_codec_is_made_again(kind):
    codec = kind()
    config = json.loads(json.dumps(codec.get_config()))
    assert config["id"] == kind.codec_id
    for again in (numcodecs.get_codec(config), pickle.loads(pickle.dumps(codec))):
        assert again == codec
        assert type(again) is kind
    assert eval(repr(codec), {kind.__name__: kind}) == codec


@pytest.mark.parametrize("kind", simple.CODECS)
def test_payload_for_an_array_of_another_size(kind):
    payload = kind().encode(make.on_grid(300, 2))
    for size in (0, 599, 601):
        with pytest.raises(N1StoreError, match="holds 1200 bytes"):
            kind().decode(payload, np.zeros(size, "<i2"))


@pytest.mark.parametrize("kind", simple.CODECS)
def test_damaged_payload_takes_no_memory_and_says_one_line(kind):
    payload = bytes(kind().encode(make.on_grid(300, 2)))
    rng = np.random.default_rng(0)
    cases = [payload[:length] for length in (1, 2, 5, 6, 7, 11, len(payload) // 2)]
    cases += [rng.bytes(int(length)) for length in rng.integers(1, 60, 200)]
    # The size in the head of a coder, and the channels in that of a transform.
    cases += [payload[:1] + b"\xff" * count + b"\x7f" + payload[1:] for count in range(12)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for case in cases:
        try:
            kind().decode(case)
        except N1StoreError as error:
            assert len(str(error).splitlines()) == 1
            assert kind.codec_id.removeprefix("n1store.") in str(error)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 200_000  # KiB


# Zarr arrays, made as any user of Zarr makes them


def dtypes_for(kind):
    """Return the dtypes to try a codec with; to a coder all are bytes."""
    return ["<i2", "<u2"] if kind in TRANSFORMS else ["<u2"]


@pytest.mark.parametrize("kind", simple.CODECS)
def test_zarr_2_array(tmp_path, kind):
    options = {"zarr_format": 2} if ZARR_VERSION >= 3 else {}
    for dtype, shape in product(dtypes_for(kind), SHAPES):
        samples = samples_of(shape, dtype)
        chunks = (shape[0] // 2 + 1, *shape[1:])
        array = zarr.open_array(
            str(tmp_path / "x"),
            mode="w",
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            filters=[kind()] if kind in TRANSFORMS else None,
            compressor=kind() if kind in CODERS else numcodecs.Zstd(1),
            **options,
        )
        array[:] = samples
        again = zarr.open_array(str(tmp_path / "x"), mode="r")
        np.testing.assert_array_equal(again[:], samples, f"{dtype}, {shape}")


@needs_zarr3
@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("kind", simple.CODECS)
def test_zarr_3_array(tmp_path, kind, sharded):
    from zarr.codecs import BytesCodec

    from n1store.codecs import zarr3

    codec = getattr(zarr3, kind.__name__)
    settings = {"delta": [2], "lpc": [3], "iwt": [2]}
    filters = [getattr(zarr3, each.__name__)(*settings.get(each().name, ())) for each in TRANSFORMS]
    for dtype, shape in product(dtypes_for(kind), SHAPES):
        samples = samples_of(shape, dtype)
        chunks = (shape[0] // 2 + 1, *shape[1:])
        array = zarr.create_array(
            str(tmp_path / "x"),
            shape=shape,
            chunks=chunks,
            shards=tuple(2 * length for length in chunks) if sharded else None,
            dtype=np.dtype(dtype),
            filters=[codec()] if kind in TRANSFORMS else filters,
            serializer=BytesCodec(),
            compressors=[codec()] if kind in CODERS else None,
            overwrite=True,
        )
        array[:] = samples
        again = zarr.open_array(str(tmp_path / "x"), mode="r")
        third = shape[0] // 3
        np.testing.assert_array_equal(again[:], samples, f"{dtype}, {shape}")
        np.testing.assert_array_equal(again[third:], samples[third:], f"{dtype}, {shape}")


@needs_zarr3
@pytest.mark.parametrize("kind", TRANSFORMS)
def test_zarr_3_array_that_it_cannot_be_in(tmp_path, kind):
    from n1store.codecs import zarr3

    codec = getattr(zarr3, kind.__name__)
    with pytest.raises(N1StoreError, match="16 bits"):
        zarr.create_array(
            str(tmp_path / "x"), shape=(5,), chunks=(5,), dtype="float32", filters=[codec()]
        )[:] = np.ones(5, "f4")
    if kind.parameter:
        with pytest.raises(N1StoreError, match=kind.parameter):
            codec(99)
