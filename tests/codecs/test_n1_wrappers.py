"""The codec `n1` through numcodecs, Zarr and n1store's own stores; in HDF5: test_n1_hdf5.py."""

import base64
import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import numcodecs
import numpy as np
import pytest
import zarr

import make_wav as make
import n1store
from codec_checks import (
    TRACES,
    assert_lets_others_run,
    assert_one_line,
    create_format_2,
    read_only,
    samples_of,
    zarr_group,
)
from installed import ZARR_FORMATS, needs_big_endian, needs_zarr3
from make_wav import read_wav_independently, write_wav
from n1store.codecs.n1 import N1
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError
from n1store.stores.traces import ChunkedTraces
from processes import read_with_zarr_alone

DTYPES = ["<i2", "<u2", "i1", "u1"]
LEVELS = [1, 2, 3]
SHAPES = [(2000,), (2000, 1), (2000, 7), (1, 64), (1, 1), (300, 4, 3)]
WIDTHS = bytes(np.random.default_rng(0).integers(8, 80, 1024).astype("u1"))
WIDTHS_TEXT = base64.b64encode(WIDTHS).decode()


# numcodecs


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_decoded_chunk_is_the_encoded_one(dtype, level):
    for shape in (*SHAPES, (0,), (0, 3)):
        samples = samples_of(dtype, shape)
        payload = N1(level).encode(samples)
        decoded = N1().decode(payload)
        assert isinstance(payload, bytes)
        assert decoded.dtype == samples.dtype
        assert decoded.shape == (shape if len(shape) < 3 else (shape[0], np.prod(shape[1:])))
        np.testing.assert_array_equal(decoded.reshape(shape), samples, f"{shape}")


def test_no_dimension_is_one_sample():
    np.testing.assert_array_equal(N1().decode(N1().encode(np.int16(-7))), [-7])


@pytest.mark.parametrize("settings", [{}, {"level": 1}, {"level": 3, "widths": WIDTHS_TEXT}])
def test_configuration_makes_the_same_codec_again(settings):
    codec = N1(**settings)
    config = json.loads(json.dumps(codec.get_config()))
    assert config == {"id": "n1store.n1", "level": 2} | settings
    for again in (
        numcodecs.get_codec(dict(config)),
        eval(repr(codec)),
        pickle.loads(pickle.dumps(codec)),
    ):
        assert again == codec
        assert again.encode(TRACES) == codec.encode(TRACES)
        np.testing.assert_array_equal(again.decode(codec.encode(TRACES)), TRACES)


def test_widths_are_bytes_or_base64_of_either_alphabet():
    widths = bytes([63, 20] * 512)
    texts = base64.b64encode(widths).decode(), base64.urlsafe_b64encode(widths).decode()
    assert texts[0] != texts[1]
    for given in (widths, *texts):
        assert N1(widths=given).get_config()["widths"] == texts[0]


@pytest.mark.parametrize(
    "settings",
    [
        *({"level": level} for level in (0, 4, -1, 2.5, "2", None)),
        *(
            {"widths": widths}
            for widths in (b"", bytes(1023), b"\xff" * 1024, "", "AAAA", "A" * 1368)
        ),
        *({"widths": widths} for widths in ("*" * 1368, WIDTHS_TEXT + "=", "ä" * 1366 + "==")),
    ],
)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(N1StoreError) as error:
        N1(**settings)
    assert_one_line(error)


def strided(samples):
    wide = np.zeros((2 * len(samples), samples.shape[1] + 1), samples.dtype)
    wide[::2, 1:] = samples
    return wide[::2, 1:]


@pytest.mark.parametrize("prepare", [strided, read_only, memoryview])
def test_chunk_may_lie_anywhere(prepare):
    chunk = prepare(TRACES)
    assert N1().encode(chunk) == N1().encode(TRACES)
    np.testing.assert_array_equal(chunk, TRACES)


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview])
def test_bare_bytes_are_uint8(convert):
    content = TRACES.tobytes()
    decoded = N1().decode(N1().encode(convert(content)))
    assert decoded.dtype == np.uint8
    assert decoded.tobytes() == content


@pytest.mark.parametrize(
    "chunk",
    [
        *(
            TRACES.astype(dtype)
            for dtype in (">i2", ">u2", "<i4", "<f4", "<f8", bool, object, "S2")
        ),
        TRACES.view([("a", "<i2")]),
        TRACES.view("<M8[us]"),
        np.asfortranarray(TRACES),
        np.asfortranarray(samples_of("<i2", (30, 4, 3))),
    ],
    ids=lambda chunk: f"{chunk.dtype} {'C' if chunk.flags.c_contiguous else 'F'}",
)
def test_chunk_that_n1_does_not_take(chunk):
    with pytest.raises(N1StoreError) as error:
        N1().encode(chunk)
    assert_one_line(error)


@pytest.mark.parametrize(
    "convert", [bytearray, memoryview, lambda payload: np.frombuffer(payload, "u1")]
)
def test_payload_may_be_in_any_buffer(convert):
    np.testing.assert_array_equal(N1().decode(convert(N1().encode(TRACES))), TRACES)


@pytest.mark.parametrize("payload", [b"", b"N", b"N1", b"N1\1", bytes(100), b"N1" + bytes(99)])
def test_no_payload(payload):
    for out in (None, np.zeros_like(TRACES)):
        with pytest.raises(N1StoreError) as error:
            N1().decode(payload, out=out)
        assert_one_line(error)


def test_payload_cut_off_anywhere():
    payload = N1().encode(TRACES)
    for length in [*range(40), *range(40, len(payload), 97), len(payload) - 1]:
        with pytest.raises(N1StoreError):
            N1().decode(payload[:length])


@pytest.mark.parametrize(
    "out",
    [
        np.empty((2000, 4), "<i2"),
        np.empty(8000, "<i2"),
        np.empty((4, 1000, 2), "<i2"),
        np.empty(16_000, "u1"),
        np.empty((500, 4), "<f8"),
        np.empty((2000, 8), "<i2")[:, ::2],
        np.empty((4000, 4), "<i2")[::2],
        np.empty(16_001, "u1")[1:].view("<i2"),
        bytearray(16_000),
        memoryview(bytearray(16_000)),
    ],
    ids=lambda out: f"{np.asarray(out).dtype} {np.asarray(out).shape}",
)
def test_decoding_into_a_buffer(out):
    result = N1().decode(N1().encode(TRACES), out=out)
    for each in (result, out):
        assert np.ascontiguousarray(each).tobytes() == TRACES.tobytes()


def test_decoding_into_a_buffer_in_fortran_order_follows_memory_as_zarr_wants_it():
    out = np.empty((4, 2000), "<i2", order="F")
    N1().decode(N1().encode(TRACES), out=out)
    np.testing.assert_array_equal(out.T, TRACES)


@pytest.mark.parametrize("size", [0, 7999, 8001])
def test_buffer_of_another_size(size):
    with pytest.raises(N1StoreError, match="16000 bytes"):
        N1().decode(N1().encode(TRACES), out=np.empty(size, "<i2"))


@pytest.mark.parametrize("buffer", [read_only(np.zeros_like(TRACES)), bytes(16_000)])
def test_buffer_that_must_not_be_written(buffer):
    with pytest.raises(ValueError, match="read-only"):
        N1().decode(N1().encode(TRACES), out=buffer)
    assert not np.frombuffer(buffer, "u1").any()


def test_threads_do_not_disturb_each_other():
    chunks = [np.roll(TRACES, shift, axis=0) for shift in range(16)]
    payloads = [N1().encode(chunk) for chunk in chunks]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(N1().encode, 4 * chunks)) == 4 * payloads
        for decoded, chunk in zip(threads.map(N1().decode, 4 * payloads), 4 * chunks, strict=True):
            np.testing.assert_array_equal(decoded, chunk)


@pytest.mark.parametrize("work", ["encode", "decode"])
def test_other_threads_run_while_the_codec_works(work):
    chunk = np.tile(TRACES, (100, 1))
    out = np.empty_like(chunk)
    payload = N1().encode(chunk)
    assert_lets_others_run(
        {"encode": lambda: N1().encode(chunk), "decode": lambda: N1().decode(payload, out)}[work]
    )


# Zarr


ROLES = {
    "compressor": {"compressor": N1(), "filters": None},
    "filter": {"compressor": None, "filters": [N1()]},
}


# More than a shard of four chunks of 130 samples.
IN_ZARR = [(700,), (700, 7), (530, 4, 3)]


def check_reads_and_writes(array, samples):
    """Across the borders of chunks of 130 samples."""
    np.testing.assert_array_equal(array[:], samples)
    for start, stop in ((0, 130), (130, 390), (100, 200), (129, 131)):
        np.testing.assert_array_equal(array[start:stop], samples[start:stop])
    array[120:140] = 1
    assert (array[120:140] == 1).all()
    np.testing.assert_array_equal(array[:120], samples[:120])


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_zarr_format_2(tmp_path, dtype, role):
    for shape in IN_ZARR:
        samples = samples_of(dtype, shape)
        group = zarr_group(tmp_path / "x.zarr", 2)
        chunks = (130, *shape[1:])
        create_format_2(group, "x", samples, chunks, ROLES[role])
        key = ".".join("0" for _ in shape)
        assert (tmp_path / "x.zarr/x" / key).read_bytes() == N1().encode(samples[:130]), shape
        array = zarr.open(str(tmp_path / "x.zarr"), mode="r+")["x"]
        check_reads_and_writes(array, samples)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("dtype", "order"), [(">i2", "C"), ("<i2", "F")])
def test_zarr_format_2_does_not_write_what_it_would_read_back_wrongly(tmp_path, dtype, order, role):
    group = zarr_group(tmp_path / "x.zarr", 2)
    with pytest.raises(N1StoreError):
        create_format_2(group, "x", TRACES.astype(dtype), TRACES.shape, ROLES[role], order=order)


def create_format_3(path, samples, chunks, widths=None, **options):
    from n1store.codecs import zarr3

    array = zarr_group(path, 3).create_array(
        "x",
        shape=samples.shape,
        chunks=chunks,
        dtype=samples.dtype,
        serializer=zarr3.N1(level=3, widths=widths),
        compressors=None,
        **options,
    )
    array[:] = samples
    return array


@needs_zarr3
@pytest.mark.parametrize("shards", [None, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_zarr_format_3(tmp_path, dtype, shards):
    for shape in IN_ZARR:
        samples = samples_of(dtype, shape)
        chunks = (130, *shape[1:])
        options = {"shards": (shards * 130, *shape[1:])} if shards else {}
        create_format_3(tmp_path / "x.zarr", samples, chunks, **options)
        array = zarr.open(str(tmp_path / "x.zarr"), mode="r+")["x"]
        check_reads_and_writes(array, samples)


@needs_zarr3
@pytest.mark.parametrize("widths", [None, WIDTHS])
def test_zarr_format_3_has_the_payload_and_the_settings_of_format_2(tmp_path, widths):
    from n1store.codecs import zarr3

    create_format_3(tmp_path / "x.zarr", TRACES, (500, 4), widths)
    codec = N1(3, widths)
    assert zarr3.N1(3, widths) == zarr3.N1(3, codec.widths)
    payload = (tmp_path / "x.zarr/x/c/1/0").read_bytes()
    assert payload == codec.encode(TRACES[500:1000])
    metadata = json.loads((tmp_path / "x.zarr/x/zarr.json").read_text())
    settings = codec.get_config()
    assert metadata["codecs"] == [{"name": settings.pop("id"), "configuration": settings}]
    read = read_with_zarr_alone(tmp_path / "x.zarr", tmp_path)
    np.testing.assert_array_equal(read["x"], TRACES)


@needs_zarr3
def test_zarr_format_3_without_configuration(tmp_path):
    create_format_3(tmp_path / "x.zarr", TRACES, (500, 4))
    path = tmp_path / "x.zarr/x/zarr.json"
    metadata = json.loads(path.read_text())
    metadata["codecs"] = [{"name": "n1store.n1"}]
    path.write_text(json.dumps(metadata))
    np.testing.assert_array_equal(zarr.open(str(tmp_path / "x.zarr"))["x"][:], TRACES)


@needs_zarr3
@needs_big_endian
@pytest.mark.parametrize("order", ["C", "F"])
def test_zarr_format_3_takes_samples_however_they_lie(tmp_path, order):
    create_format_3(
        tmp_path / "x.zarr",
        np.asfortranarray(TRACES.astype(">i2")),
        TRACES.shape,
        config={"order": order},
    )
    assert (tmp_path / "x.zarr/x/c/0/0").read_bytes() == N1(3).encode(TRACES)
    np.testing.assert_array_equal(zarr.open(str(tmp_path / "x.zarr"))["x"][:], TRACES)


@needs_zarr3
def test_zarr_format_3_fills_what_was_not_written(tmp_path):
    array = create_format_3(tmp_path / "x.zarr", np.full_like(TRACES, 5), (500, 4), fill_value=5)
    assert not list((tmp_path / "x.zarr/x").rglob("c/*/*"))
    array[700] = 0
    assert (array[:700] == 5).all()
    assert not array[700].any()


@needs_zarr3
@pytest.mark.parametrize(
    "other",
    [TRACES.view("<u2"), TRACES[:1999], TRACES.reshape(4, 2000), TRACES.reshape(1000, 8)],
    ids=lambda other: f"{other.dtype} {other.shape}",
)
def test_zarr_format_3_refuses_a_payload_of_another_chunk(tmp_path, other):
    create_format_3(tmp_path / "x.zarr", TRACES, TRACES.shape)
    (tmp_path / "x.zarr/x/c/0/0").write_bytes(N1().encode(other))
    with pytest.raises(N1StoreError) as error:
        zarr.open(str(tmp_path / "x.zarr"))["x"][:]
    assert_one_line(error)


@needs_zarr3
def test_zarr_format_3_refuses_samples_that_n1_does_not_take(tmp_path):
    with pytest.raises(N1StoreError, match="float32"):
        create_format_3(tmp_path / "x.zarr", TRACES.astype("<f4"), (500, 4))


@needs_zarr3
def test_zarr_format_3_refuses_wrong_settings(tmp_path):
    create_format_3(tmp_path / "x.zarr", TRACES, (500, 4))
    path = tmp_path / "x.zarr/x/zarr.json"
    path.write_text(path.read_text().replace('"level": 3', '"level": 9'))
    assert '"level": 9' in path.read_text()
    with pytest.raises(N1StoreError, match="levels 1 to 3"):
        zarr.open(str(tmp_path / "x.zarr"))["x"]


# n1store's stores


def payloads_of(store):
    array = store.array("x")
    return {index: array.payload(index) for index in array.grid.indices()}


@pytest.fixture
def wav(tmp_path):
    return write_wav(tmp_path / "in" / "x.wav", make.on_grid(5000, 3), 1000)


@pytest.fixture(scope="module")
def two_recordings(recordings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    for path in sorted(recordings.iterdir())[:2]:
        shutil.copy(path, folder)
    return folder


@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
@pytest.mark.parametrize("suffix", [".zarr", ".zarr.zip"])
@pytest.mark.parametrize("level", LEVELS)
def test_convert(two_recordings, tmp_path, level, suffix, zarr_format):
    store = tmp_path / f"out{suffix}"
    n1store.convert(two_recordings, store, codec=f"n1:level={level}", zarr_format=zarr_format)
    expected = {path.stem: read_wav_independently(path)[0] for path in two_recordings.iterdir()}
    read = read_with_zarr_alone(store, tmp_path)
    assert read.keys() == expected.keys()
    with n1store.open(store) as opened:
        for name, samples in expected.items():
            np.testing.assert_array_equal(read[name], samples)
            assert isinstance(opened[name].traces, ChunkedTraces)  # not left to zarr
            np.testing.assert_array_equal(opened[name].traces[:], samples)
    assert n1store.verify(store, [two_recordings]).problems == []


@pytest.mark.parametrize("adc", [True, False])
@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
def test_chunks_are_payloads_without_map_in_front_or_checksum_behind(
    wav, tmp_path, zarr_format, adc
):
    n1store.convert(wav, tmp_path / "out.zarr", zarr_format=zarr_format, adc=adc)
    samples, _ = read_wav_independently(wav)
    with n1store.open(tmp_path / "out.zarr") as store:
        assert store.attributes["codec"] == "n1"
        for index, payload in payloads_of(store).items():
            assert payload == N1().encode(samples[1000 * index[0] :][:1000])


@pytest.mark.parametrize(
    ("codec", "stored"),
    [
        ("n1:level=3", "n1:level=3"),
        (" n1 : level=1 ", None),
        ("adc+n1", "adc+n1"),
        ("delta+n1", "delta+n1"),
        ("n1+zstd", "n1+zstd+{checksum}"),
        ("zstd+{checksum}", "adc+zstd+{checksum}"),
        ("zstd", "adc+zstd+{checksum}"),
    ],
)
@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
def test_what_convert_adds_to_a_codec(wav, tmp_path, codec, stored, zarr_format):
    checksum = {2: "crc32", 3: "crc32c"}[zarr_format]
    store = tmp_path / "out.zarr"
    codec = codec.format(checksum=checksum)
    if stored is None:
        with pytest.raises(N1StoreError):
            n1store.convert(wav, store, codec=codec, zarr_format=zarr_format)
        return
    n1store.convert(wav, store, codec=codec, zarr_format=zarr_format)
    with n1store.open(store) as opened:
        assert opened.attributes["codec"] == stored.format(checksum=checksum)
        assert isinstance(opened["x"].traces, ChunkedTraces)
    samples, _ = read_wav_independently(wav)
    np.testing.assert_array_equal(read_with_zarr_alone(store, tmp_path)["x"], samples)
    assert n1store.verify(store, [wav]).problems == []


@pytest.fixture
def widths_file(tmp_path):
    path = tmp_path / "secret" / "widths.json"
    path.parent.mkdir()
    content = {"format": "n1store-widths", "version": 1, "widths": list(WIDTHS)}
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
def test_store_has_the_table_of_widths_but_no_word_of_its_file(
    wav, widths_file, tmp_path, run, zarr_format
):
    store = tmp_path / "out.zarr"
    codec = f"n1:level=1,widths={widths_file}"
    result = run("convert", wav, store, "--codec", codec, "--zarr-format", zarr_format)
    assert max(map(len, result.stdout.splitlines())) < 300
    shutil.rmtree(widths_file.parent)
    for path in store.rglob("*"):
        assert not path.is_file() or b"secret" not in path.read_bytes()
    samples, _ = read_wav_independently(wav)
    np.testing.assert_array_equal(read_with_zarr_alone(store, tmp_path)["x"], samples)
    with n1store.open(store) as opened:
        assert isinstance(opened["x"].traces, ChunkedTraces)
        codec = N1(1, WIDTHS)
        for index, payload in payloads_of(opened).items():
            assert payload == codec.encode(samples[1000 * index[0] :][:1000])
        again = opened.attributes["codec"]
    assert n1store.verify(store, [wav]).problems == []
    run("info", store)
    n1store.convert(wav, tmp_path / "again.zarr", codec=again, zarr_format=zarr_format)
    assert n1store.open(tmp_path / "again.zarr").attributes["codec"] == again


@pytest.mark.parametrize("value", ["", "no-such.json", ".", "/dev/null"])
def test_file_of_widths_that_is_none(wav, tmp_path, run, value):
    result = run(
        "convert", wav, tmp_path / "out.zarr", "--codec", f"n1:widths={value}", exit_code=1
    )
    assert len(result.stderr.splitlines()) == 1
    assert value in result.stderr
    assert not (tmp_path / "out.zarr").exists()


def test_store_cannot_make_its_readers_read_a_file(widths_file):
    spec = f"n1:widths={widths_file}"
    assert Pipeline.parse(spec).zarr2()[0]["widths"] == WIDTHS_TEXT
    with pytest.raises(N1StoreError, match="widths is a file"):
        Pipeline.parse(spec, read_files=False)


ZARR = "zarr>=3" if 3 in ZARR_FORMATS else "zarr"


def test_summary_says_what_readers_need(wav, tmp_path, run):
    text = run("convert", wav, tmp_path / "out.zarr").stdout
    assert f"readers need      {ZARR}, n1store\n" in text
    assert "adc " not in text
    text = run("convert", wav, tmp_path / "out.zarr", "--codec", "adc+n1", "--overwrite").stdout
    assert f"readers need      {ZARR}, n1store\n" in text


@pytest.mark.parametrize(
    ("codec", "suffix", "packages"),
    [
        ("delta+lzma", "zarr", f"{ZARR}, n1store"),
        ("delta+lzma", "nwb", "h5py or pynwb, n1store"),
        ("n1+zstd", "nwb", "h5py or pynwb, n1store, hdf5plugin"),
        ("delta+brotli+bzip3", "zarr", f"{ZARR}, n1store, brotli, bzip3"),
        ("delta+brotli+bzip3", "nwb", "h5py or pynwb, n1store, brotli, bzip3"),
    ],
)
def test_summary_names_each_package_once(wav, tmp_path, run, codec, suffix, packages):
    text = run("convert", wav, tmp_path / f"out.{suffix}", "--codec", codec).stdout
    assert f"readers need      {packages}\n" in text


def test_every_changed_bit_of_a_chunk_is_found(tmp_path):
    samples = make.on_grid(40)
    pipeline = Pipeline.parse("n1")
    payload = pipeline.encode(samples)
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((N1StoreError, ValueError)):
            pipeline.decode(bytes(damaged), samples.shape)
