"""The codec `n1` through numcodecs, Zarr, n1store's own stores and HDF5: one payload for all."""

import base64
import ctypes
import json
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import h5py
import make_wav as make
import numcodecs
import numpy as np
import pytest
import zarr
from conftest import (
    ZARR_FORMATS,
    ZARR_VERSION,
    needs_zarr3,
    read_wav_independently,
    read_with_zarr_alone,
    write_wav,
)

import n1store
from n1store import core
from n1store.codecs import hdf5
from n1store.codecs.n1 import N1
from n1store.errors import N1StoreError
from n1store.pipeline import Pipeline
from n1store.stores.traces import ChunkedTraces

DTYPES = ["<i2", "<u2", "i1", "u1"]
LEVELS = [1, 2, 3]
SHAPES = [(2000,), (2000, 1), (2000, 7), (1, 64), (1, 1), (300, 4, 3)]
WIDTHS = bytes(np.random.default_rng(0).integers(8, 80, 1024).astype("u1"))
WIDTHS_TEXT = base64.b64encode(WIDTHS).decode()


def samples_of(dtype, shape):
    """Return samples of a recording's colour, of any dtype and shape."""
    values = make.on_grid(shape[0], int(np.prod(shape[1:]))).astype(np.int32)
    dtype = np.dtype(dtype)
    if dtype.itemsize == 1:
        values >>= 8
    if dtype.kind == "u":
        values -= np.iinfo(dtype.str.replace("u", "i")).min
    return values.astype(dtype).reshape(shape)


TRACES = samples_of("<i2", (2000, 4))


def assert_one_line(error):
    message = str(error.value)
    assert message
    assert message.splitlines() == [message]


# numcodecs


@pytest.mark.parametrize("shape", [*SHAPES, (0,), (0, 3)], ids=str)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_decoded_chunk_is_the_encoded_one(dtype, level, shape):
    samples = samples_of(dtype, shape)
    payload = N1(level).encode(samples)
    decoded = N1().decode(payload)
    assert isinstance(payload, bytes)
    assert decoded.dtype == samples.dtype
    assert decoded.shape == (shape if len(shape) < 3 else (shape[0], np.prod(shape[1:])))
    np.testing.assert_array_equal(decoded.reshape(shape), samples)


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


def read_only(samples):
    samples = samples.copy()
    samples.flags.writeable = False
    return samples


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


def assert_lets_others_run(call):
    count, stop = 0, threading.Event()

    def counter():
        nonlocal count
        while not stop.is_set():
            count += 1
            time.sleep(0)

    # With such an interval, nobody takes the lock from a thread that does not give it up.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    thread = threading.Thread(target=counter)
    thread.start()
    try:
        for _ in range(1000):
            before = count
            call()
            if count > before:
                break
        else:
            pytest.fail("no other thread ever ran meanwhile")
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        thread.join()


# Zarr


def zarr_group(path, zarr_format):
    options = {"zarr_format": zarr_format} if ZARR_VERSION >= 3 else {}
    return zarr.open_group(str(path), mode="w", **options)


def create_format_2(group, name, samples, chunks, codecs, **options):
    """Create an array whose codec is a filter or the compressor, and write samples to it."""
    shape = {"shape": samples.shape, "chunks": chunks, "dtype": samples.dtype}
    if ZARR_VERSION >= 3:
        codecs = {{"compressor": "compressors"}.get(key, key): codecs[key] for key in codecs}
        array = group.create_array(name, **shape, **codecs, **options)
    else:
        array = group.create_dataset(name, **shape, **codecs, **options)
    array[:] = samples
    return array


ROLES = {
    "compressor": {"compressor": N1(), "filters": None},
    "filter": {"compressor": None, "filters": [N1()]},
}


def check_reads_and_writes(array, samples):
    """Across the borders of chunks of 130 samples."""
    np.testing.assert_array_equal(array[:], samples)
    for start, stop in ((0, 130), (130, 390), (100, 200), (129, 131)):
        np.testing.assert_array_equal(array[start:stop], samples[start:stop])
    array[120:140] = 1
    assert (array[120:140] == 1).all()
    np.testing.assert_array_equal(array[:120], samples[:120])


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("shape", [(2000,), (2000, 7), (300, 4, 3)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_zarr_format_2(tmp_path, dtype, shape, role):
    samples = samples_of(dtype, shape)
    group = zarr_group(tmp_path / "x.zarr", 2)
    chunks = (130, *shape[1:])
    create_format_2(group, "x", samples, chunks, ROLES[role])
    key = ".".join("0" for _ in shape)
    assert (tmp_path / "x.zarr/x" / key).read_bytes() == N1().encode(samples[:130])
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
@pytest.mark.parametrize("shape", [(2000,), (2000, 7), (300, 4, 3)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_zarr_format_3(tmp_path, dtype, shape, shards):
    samples = samples_of(dtype, shape)
    chunks = (130, *shape[1:])
    options = {"shards": (shards * 130, *shape[1:])} if shards else {}
    create_format_3(tmp_path / "x.zarr", samples, chunks, **options)
    array = zarr.open(str(tmp_path / "x.zarr"), mode="r+")["x"]
    check_reads_and_writes(array, samples)


@needs_zarr3
@pytest.mark.parametrize("widths", [None, WIDTHS])
def test_zarr_format_3_has_the_payload_and_the_settings_of_format_2(tmp_path, widths):
    create_format_3(tmp_path / "x.zarr", TRACES, (500, 4), widths)
    codec = N1(3, widths)
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


@pytest.mark.parametrize("zarr_format", ZARR_FORMATS)
@pytest.mark.parametrize("suffix", [".zarr", ".zarr.zip"])
@pytest.mark.parametrize("level", LEVELS)
def test_convert(recordings, tmp_path, level, suffix, zarr_format):
    store = tmp_path / f"out{suffix}"
    n1store.convert(recordings, store, codec=f"n1:level={level}", zarr_format=zarr_format)
    expected = {path.stem: read_wav_independently(path)[0] for path in recordings.iterdir()}
    read = read_with_zarr_alone(store, tmp_path)
    assert read.keys() == expected.keys()
    with n1store.open(store) as opened:
        for name, samples in expected.items():
            np.testing.assert_array_equal(read[name], samples)
            assert isinstance(opened[name].traces, ChunkedTraces)  # not left to zarr
            np.testing.assert_array_equal(opened[name].traces[:], samples)
    assert n1store.verify(store, [recordings]).problems == []


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


def test_summary_says_what_readers_need(wav, tmp_path, run):
    text = run("convert", wav, tmp_path / "out.zarr").stdout
    assert "readers need      zarr, n1store\n" in text
    assert "adc " not in text
    text = run("convert", wav, tmp_path / "out.zarr", "--codec", "adc+n1", "--overwrite").stdout
    assert "readers need      zarr, n1store\n" in text


def test_every_changed_bit_of_a_chunk_is_found(tmp_path):
    samples = make.on_grid(40)
    pipeline = Pipeline.parse("n1")
    payload = pipeline.encode(samples)
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((N1StoreError, ValueError)):
            pipeline.decode(bytes(damaged), samples.shape)


# HDF5


def write_hdf5(path, samples, chunks, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=samples, chunks=chunks, **options)


def direct_chunks(path):
    """Return filter masks, and chunks as they are stored, of a dataset."""
    with h5py.File(path, "r") as file:
        dataset = file["x"].id
        offsets = [dataset.get_chunk_info(i).chunk_offset for i in range(dataset.get_num_chunks())]
        return {offset: dataset.read_direct_chunk(offset) for offset in sorted(offsets)}


def num_channels(shape):
    return int(np.prod(shape[1:])) if len(shape) > 1 else None


@pytest.mark.parametrize("shape", [(2000,), (2000, 1), (2000, 7), (300, 4, 3)], ids=str)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_hdf5_has_the_payload_of_numcodecs(tmp_path, dtype, level, shape):
    samples = samples_of(dtype, shape)
    chunks = (shape[0] // 3 + 1, *shape[1:])
    codec = hdf5.N1(num_channels(shape), dtype, level)
    write_hdf5(tmp_path / "a.h5", samples, chunks, compression=codec)
    write_hdf5(tmp_path / "b.h5", samples, chunks, **codec)
    for path in (tmp_path / "a.h5", tmp_path / "b.h5"):
        with h5py.File(path) as file:
            np.testing.assert_array_equal(file["x"][:], samples)
            np.testing.assert_array_equal(file["x"][70:130], samples[70:130])
    stored = direct_chunks(tmp_path / "a.h5")
    assert stored == direct_chunks(tmp_path / "b.h5")
    assert len(stored) == 3
    for offset, (mask, payload) in stored.items():
        part = samples[offset[0] : offset[0] + chunks[0]]
        part = np.pad(part, [(0, chunks[0] - len(part)), *[(0, 0)] * (len(shape) - 1)])
        assert (mask, payload) == (0, N1(level).encode(part))
        np.testing.assert_array_equal(N1().decode(payload).reshape(chunks), part)


@pytest.mark.parametrize("widths", [None, WIDTHS])
def test_hdf5_reads_payloads_that_were_written_past_it(tmp_path, widths):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset(
            "x", TRACES.shape, "<i2", chunks=(500, 4), compression=hdf5.N1(4, widths=widths)
        )
        for start in range(0, 2000, 500):
            payload = N1(3, widths).encode(TRACES[start : start + 500])
            dataset.id.write_direct_chunk((start, 0), payload)
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:], TRACES)


def test_hdf5_keeps_a_table_of_widths_with_the_dataset(tmp_path):
    extremes = bytes([0, 127, 1, 111] * 256)
    for widths in (WIDTHS, extremes):
        codec = hdf5.N1(4, level=1, widths=widths)
        write_hdf5(tmp_path / "x.h5", TRACES, (500, 4), compression=codec)
        for offset, stored in direct_chunks(tmp_path / "x.h5").items():
            assert stored == (0, N1(1, widths).encode(TRACES[offset[0] :][:500]))
        with h5py.File(tmp_path / "x.h5") as file:
            np.testing.assert_array_equal(file["x"][:], TRACES)
            [(name, values)] = file["x"]._filters.items()
        assert name == "52785"
        bits = sum(value << 32 * i for i, value in enumerate(values[3:]))
        assert bytes(bits >> 7 * i & 127 for i in range(1024)) == widths
        assert len(values) == 227


def test_hdf5_stores_what_does_not_become_smaller_as_it_is(tmp_path):
    noise = make.noise(1000, 4)
    write_hdf5(tmp_path / "x.h5", noise, (1000, 4), compression=hdf5.N1(4))
    assert direct_chunks(tmp_path / "x.h5") == {(0, 0): (1, noise.tobytes())}
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:], noise)


def mandatory(samples, path, options):
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(samples.shape)
    properties.set_filter(hdf5.N1.filter_id, h5py.h5z.FLAG_MANDATORY, options)
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple(samples.shape)
        kind = h5py.h5t.py_create(samples.dtype, logical=True)
        h5py.Dataset(h5py.h5d.create(file.id, b"x", kind, space, properties))[...] = samples


def test_hdf5_stores_a_longer_payload_where_it_must(tmp_path):
    noise = make.noise(1000, 4)
    mandatory(noise, tmp_path / "x.h5", hdf5.N1(4).filter_options)
    assert direct_chunks(tmp_path / "x.h5") == {(0, 0): (0, N1().encode(noise))}
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:], noise)


def damage_first(payload):
    return bytes([payload[0] ^ 1]) + payload[1:]


def damage_last(payload):
    return payload[:-1] + bytes([payload[-1] ^ 1])


def cut(payload):
    return payload[: len(payload) // 2]


def claim_more(payload):
    # 2^31 samples; the varint is of 5 bytes.
    return payload[:3] + b"\0" + payload[4:8] + b"\x80\x80\x80\x80\x08" + payload[8:]


@pytest.mark.parametrize("damage", [damage_first, damage_last, cut, claim_more, lambda _: b"N1\1"])
def test_hdf5_notices_damage(tmp_path, damage):
    write_hdf5(tmp_path / "x.h5", TRACES, TRACES.shape, compression=hdf5.N1(4))
    payload = damage(N1().encode(TRACES))
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["x"].id.write_direct_chunk((0, 0), payload)
    with h5py.File(tmp_path / "x.h5") as file, pytest.raises(OSError, match="filter"):
        file["x"][:]


def test_hdf5_cannot_read_payloads_whose_table_of_widths_is_missing(tmp_path):
    write_hdf5(tmp_path / "x.h5", TRACES, TRACES.shape, compression=hdf5.N1(4))
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["x"].id.write_direct_chunk((0, 0), N1(widths=WIDTHS).encode(TRACES))
    with h5py.File(tmp_path / "x.h5") as file, pytest.raises(OSError, match="filter"):
        file["x"][:]


def test_hdf5_datasets_grow_and_are_written_in_parts(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset(
            "x", (0, 4), "<i2", maxshape=(None, 4), chunks=(128, 4), compression=hdf5.N1(4)
        )
        for start in range(0, len(TRACES), 300):
            dataset.resize(min(start + 300, len(TRACES)), axis=0)
            dataset[start:] = TRACES[start : start + 300]
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:], TRACES)


READ_WITH_H5PY_ALONE = """
    import sys, h5py, numpy
    with h5py.File(sys.argv[1]) as file:
        numpy.save(sys.argv[2], file["x"][:])
    assert not any(name.startswith("n1store") for name in sys.modules)
"""


def run_without_n1store(tmp_path, command, plugins=hdf5.PLUGIN_FOLDER):
    environment = {key: value for key, value in os.environ.items() if "PYTHON" not in key}
    environment["HDF5_PLUGIN_PATH"] = str(plugins)
    environment["N1STORE_NO_HDF5_PLUGINS"] = "1"
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=300)


@pytest.mark.parametrize("widths", [None, WIDTHS])
def test_h5py_alone_reads_with_the_plugin_path(tmp_path, widths):
    write_hdf5(tmp_path / "x.h5", TRACES, (500, 4), compression=hdf5.N1(4, widths=widths))
    command = [sys.executable, "-c", textwrap.dedent(READ_WITH_H5PY_ALONE), "x.h5", "x.npy"]
    assert run_without_n1store(tmp_path, command, tmp_path).returncode != 0
    result = run_without_n1store(tmp_path, command)
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), TRACES)


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump is not installed")
@pytest.mark.parametrize("widths", [None, WIDTHS])
def test_h5dump_reads_with_the_plugin_path(tmp_path, widths):
    # The oldest file format, which every h5dump knows.
    with h5py.File(tmp_path / "x.h5", "w", libver=("earliest", "v108")) as file:
        codec = hdf5.N1(4, widths=widths)
        file.create_dataset("x", data=TRACES, chunks=(500, 4), compression=codec)
    command = ["h5dump", "-d", "/x", "-b", "LE", "-o", "x.bin", "x.h5"]
    result = run_without_n1store(tmp_path, command)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "x.bin").read_bytes() == TRACES.tobytes()


@pytest.mark.skipif(shutil.which("h5repack") is None, reason="h5repack is not installed")
def test_h5repack_writes_the_same_payloads(tmp_path):
    with h5py.File(tmp_path / "plain.h5", "w", libver=("earliest", "v108")) as file:
        file.create_dataset("x", data=TRACES, chunks=(500, 4))
    values = hdf5.N1(4, level=3).filter_options
    setting = f"x:UD=52785,1,{len(values)},{','.join(map(str, values))}"
    result = run_without_n1store(tmp_path, ["h5repack", "-f", setting, "plain.h5", "x.h5"])
    assert result.returncode == 0, result.stderr
    for offset, stored in direct_chunks(tmp_path / "x.h5").items():
        assert stored == (0, N1(3).encode(TRACES[offset[0] :][:500]))


def test_plugin_shows_nothing_but_itself():
    plugin = ctypes.CDLL(str(hdf5.plugins()["n1"]))
    assert plugin.H5PLget_plugin_type() == 0
    for name in ("n1_encode", "n1_decode", "n1_payload_info", "n1_adc_encode"):
        assert not hasattr(plugin, name)


class PluginInfo(ctypes.Structure):
    """H5Z_class2_t."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("id", ctypes.c_int),
        ("encoder_present", ctypes.c_uint),
        ("decoder_present", ctypes.c_uint),
        ("name", ctypes.c_char_p),
        ("can_apply", ctypes.c_void_p),
        ("set_local", ctypes.c_void_p),
        (
            "filter",
            ctypes.CFUNCTYPE(
                ctypes.c_size_t,
                ctypes.c_uint,
                ctypes.c_size_t,
                ctypes.POINTER(ctypes.c_uint),
                ctypes.c_size_t,
                ctypes.POINTER(ctypes.c_size_t),
                ctypes.POINTER(ctypes.c_void_p),
            ),
        ),
    )


class Filter:
    """The filter called as HDF5 calls it, with a buffer of malloc."""

    REVERSE, OPTIONAL = 0x100, 1

    def __init__(self, name="n1"):
        plugin = ctypes.CDLL(str(hdf5.plugins()[name]))
        plugin.H5PLget_plugin_info.restype = ctypes.POINTER(PluginInfo)
        self.info = plugin.H5PLget_plugin_info().contents
        self._libc = ctypes.CDLL(None)
        self._libc.malloc.restype = ctypes.c_void_p
        self._libc.malloc.argtypes = [ctypes.c_size_t]
        self._libc.free.argtypes = [ctypes.c_void_p]

    def __call__(self, flags, values, content):
        """Return the result, or None where the filter says 0 and has left all as it was."""
        room = len(content) + 100
        size, buffer = ctypes.c_size_t(room), ctypes.c_void_p(self._libc.malloc(room))
        ctypes.memmove(buffer, content, len(content))
        before = buffer.value
        array = (ctypes.c_uint * max(1, len(values)))(*values)
        count = self.info.filter(flags, len(values), array, len(content), size, buffer)
        try:
            if count:
                assert size.value >= count
                return ctypes.string_at(buffer, count)
            assert (buffer.value, size.value) == (before, room)
            assert ctypes.string_at(buffer, len(content)) == content
            return None
        finally:
            self._libc.free(buffer)


def test_filter_keeps_its_contract_with_hdf5():
    call = Filter()
    assert (call.info.version, call.info.id) == (1, hdf5.N1.filter_id)
    assert (call.info.encoder_present, call.info.decoder_present) == (1, 1)
    assert call.info.can_apply is call.info.set_local is None
    assert b"n1" in call.info.name
    values = hdf5.N1(4).filter_options
    payload = N1().encode(TRACES)
    for optional in (0, Filter.OPTIONAL):
        assert call(optional, values, TRACES.tobytes()) == payload
        for any_values in (values, (), (9, 9, 9), values + (1,) * 224):
            assert call(Filter.REVERSE | optional, any_values, payload) == TRACES.tobytes()
        assert call(Filter.REVERSE | optional, values, payload[:-1]) is None
        assert call(Filter.REVERSE | optional, values, N1().encode(TRACES[:0])) is None
        assert call(optional, values, TRACES.tobytes()[:-1]) is None
        assert call(optional, (9, 0, 4), TRACES.tobytes()) is None
    noise = make.noise(100, 4)
    assert call(0, values, noise.tobytes()) == N1().encode(noise)
    assert call(Filter.OPTIONAL, values, noise.tobytes()) is None


# A mandatory filter that fails makes HDF5 itself crash when the file is closed, so that this is
# tried without HDF5.
@pytest.mark.parametrize("flags", [0, Filter.OPTIONAL])
@pytest.mark.parametrize(
    "values",
    [
        *((), (2,), (2, 0), (0, 0, 4), (4, 0, 4), (2**31, 0, 4), (2, 4, 4), (2, 0, 3)),
        *((2, 0, 2**31), (2, 0, 4, 0), (2, 0, 4, *[9] * 223), (2, 0, 4, *[9] * 225)),
        (2, 0, 4, *[2**32 - 1] * 224),
    ],
    ids=lambda values: f"{values[:4]} {len(values)}",
)
def test_filter_refuses_wrong_cd_values(values, flags):
    assert Filter()(flags, values, TRACES.tobytes()) is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dtype": ">i2"}, ">i2"),
        ({"dtype": "float32"}, "float32"),
        ({"dtype": "int32"}, "int32"),
        ({"num_channels": 0}, "channel"),
        ({"num_channels": -1}, "channel"),
        ({"num_channels": 2**31}, "channel"),
        ({"level": 4}, "levels 1 to 3"),
        ({"widths": b"short"}, "1024 bytes"),
        ({"widths": bytes([127] * 1024)}, "far above"),
        ({"widths": bytes([1, 128] * 512)}, "far above"),
        ({"widths": bytes([128] + [1] * 1023)}, "127"),
    ],
)
def test_hdf5_class_refuses_wrong_settings(settings, words):
    with pytest.raises(N1StoreError, match=words) as error:
        hdf5.N1(**({"num_channels": 4} | settings))
    assert_one_line(error)


def test_hdf5_class_refuses_a_table_of_widths_where_h5py_would_fail_on_it(monkeypatch):
    monkeypatch.setattr(h5py.version, "version_tuple", (3, 15, 1, None, None, None))
    with pytest.raises(N1StoreError, match=r"h5py 3\.16"):
        hdf5.N1(4, widths=WIDTHS)
    assert hdf5.N1(4).filter_options == (2, 0, 4)


@pytest.mark.parametrize(
    "settings", [{}, {"num_channels": None, "dtype": "u1"}, {"level": 3, "widths": WIDTHS_TEXT}]
)
def test_hdf5_class_is_made_again_from_its_configuration(settings):
    settings = {"num_channels": 64} | settings
    codec = hdf5.N1(**settings)
    config = json.loads(json.dumps(codec.get_config()))
    for again in (hdf5.N1(**config), eval(repr(codec), {"N1": hdf5.N1})):
        assert again == codec
        assert hash(again) == hash(codec)
        assert dict(again) == dict(codec)
    assert (
        {key: config[key] for key in settings}
        == settings | {"dtype": np.dtype(settings.get("dtype", "int16")).name}
        if "dtype" in settings
        else settings.items() <= config.items()
    )


def test_core_and_wrappers_have_one_payload(tmp_path):
    payload = core.n1_encode(TRACES, 2)
    assert N1().encode(TRACES) == payload
    assert Pipeline.parse("n1").encode(TRACES) == payload
    mandatory(TRACES, tmp_path / "x.h5", hdf5.N1(4).filter_options)
    assert direct_chunks(tmp_path / "x.h5") == {(0, 0): (0, payload)}
