"""The codec `n1` in HDF5: through h5py, h5dump and h5repack, and its filter called as HDF5 does."""

import ctypes
import json
import shutil
import sys
import textwrap
from itertools import product

import h5py
import numpy as np
import pytest
from test_n1_wrappers import DTYPES, LEVELS, WIDTHS, WIDTHS_TEXT

import make_wav as make
from codec_checks import TRACES, assert_one_line, samples_of
from hdf5_checks import (
    READ_WITH_H5PY_ALONE,
    Filter,
    direct_chunks,
    num_channels,
    run_without_n1store,
    write_hdf5,
)
from installed import needs_h5py_316
from n1store.codecs import hdf5, native
from n1store.codecs.n1 import N1
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError


@pytest.mark.parametrize("dtype", DTYPES)
def test_hdf5_has_the_payload_of_numcodecs(tmp_path, dtype):
    for level, shape in product(LEVELS, [(2000,), (2000, 1), (2000, 7), (300, 4, 3)]):
        check_payloads(tmp_path, dtype, level, shape)


def check_payloads(tmp_path, dtype, level, shape):
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
        assert (mask, payload) == (0, N1(level).encode(part)), (level, shape)
        np.testing.assert_array_equal(N1().decode(payload).reshape(chunks), part)


def test_hdf5_makes_blocks_of_the_length_that_it_is_told(tmp_path):
    write_hdf5(tmp_path / "x.h5", TRACES, TRACES.shape, compression=hdf5.N1(4, block_samples=300))
    [(mask, payload)] = direct_chunks(tmp_path / "x.h5").values()
    assert (mask, payload) == (0, N1(block_samples=300).encode(TRACES))
    assert 0 < native.n1_payload_info(payload).block_samples <= 300
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:], TRACES)


@pytest.mark.parametrize("widths", [None, pytest.param(WIDTHS, marks=needs_h5py_316)])
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


@needs_h5py_316
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
        bits = sum(value << 32 * i for i, value in enumerate(values[4:]))
        assert bytes(bits >> 7 * i & 127 for i in range(1024)) == widths
        assert len(values) == 228


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


def test_hdf5_reads_a_long_chunk_of_equal_samples(tmp_path):
    length = 5_242_880
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", (length,), "<i2", chunks=(length,), compression=hdf5.N1(None))
        file["x"][:] = 704
    with h5py.File(tmp_path / "x.h5") as file:
        assert (file["x"][:] == 704).all()


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


@pytest.mark.parametrize("widths", [None, pytest.param(WIDTHS, marks=needs_h5py_316)])
def test_h5py_alone_reads_with_the_plugin_path(tmp_path, widths):
    write_hdf5(tmp_path / "x.h5", TRACES, (500, 4), compression=hdf5.N1(4, widths=widths))
    command = [sys.executable, "-c", textwrap.dedent(READ_WITH_H5PY_ALONE), "x.h5", "x.npy"]
    assert run_without_n1store(tmp_path, command, tmp_path).returncode != 0
    result = run_without_n1store(tmp_path, command)
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), TRACES)


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump is not installed")
@pytest.mark.parametrize("widths", [None, pytest.param(WIDTHS, marks=needs_h5py_316)])
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
        for any_values in (values, (), (9, 9, 9), (*values, 0, *[1] * 224)):
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
def test_filter_refuses_wrong_cd_values():
    for values in (
        *((), (2,), (2, 0), (0, 0, 4), (4, 0, 4), (2**31, 0, 4), (2, 4, 4), (2, 0, 3)),
        *((2, 0, 2**31), (2, 0, 4, 0, 0), (2, 0, 4, 0, *[9] * 223), (2, 0, 4, 0, *[9] * 225)),
        (2, 0, 4, 0, *[2**32 - 1] * 224),
    ):
        for flags in (0, Filter.OPTIONAL):
            assert Filter()(flags, values, TRACES.tobytes()) is None, values[:5]


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
        ({"block_samples": 2**18 + 1}, "up to 262144 samples"),
        ({"block_samples": -1}, "up to 262144 samples"),
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
    "settings",
    [
        {},
        {"num_channels": None, "dtype": "u1"},
        {"block_samples": 5000},
        pytest.param({"level": 3, "widths": WIDTHS_TEXT}, marks=needs_h5py_316),
    ],
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
    payload = native.n1_encode(TRACES, 2)
    assert N1().encode(TRACES) == payload
    assert Pipeline.parse("n1").encode(TRACES) == payload
    mandatory(TRACES, tmp_path / "x.h5", hdf5.N1(4).filter_options)
    assert direct_chunks(tmp_path / "x.h5") == {(0, 0): (0, payload)}
