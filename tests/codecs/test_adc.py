import sys
import threading
from fractions import Fraction
from math import trunc

import numcodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import make_wav as make
from n1store.codecs import native
from n1store.codecs.adc import ADC

ALL_VALUES = np.arange(-32768, 32768).astype("<i2")
CODES = np.arange(-512, 512).astype("<i2")
GRID = np.array(
    [trunc((k + Fraction(1, 2)) * Fraction(65535, 1023) - Fraction(1, 2)) for k in range(-512, 512)]
).astype("<i2")


def shaped(shape, dtype="<i2", seed=0):
    values = np.random.default_rng(seed).integers(-32768, 32768, shape)
    return values.astype(dtype)


def test_encoding_is_a_bijection_of_all_values():
    codes = native.adc_encode(ALL_VALUES)
    np.testing.assert_array_equal(np.sort(codes), ALL_VALUES)
    np.testing.assert_array_equal(native.adc_decode(codes), ALL_VALUES)


def test_decoding_is_a_bijection_of_all_values():
    samples = native.adc_decode(ALL_VALUES)
    np.testing.assert_array_equal(np.sort(samples), ALL_VALUES)
    np.testing.assert_array_equal(native.adc_encode(samples), ALL_VALUES)


def test_grid_values_are_those_of_the_published_formula():
    assert len(np.unique(GRID)) == 1024
    assert (GRID[0], GRID[511], GRID[512], GRID[1023]) == (-32767 - 1, -32, 31, 32767)
    np.testing.assert_array_equal(native.adc_encode(GRID), CODES)
    np.testing.assert_array_equal(native.adc_decode(CODES), GRID)


def test_values_off_the_grid_keep_their_order():
    off_grid = np.setdiff1d(ALL_VALUES, GRID)
    remaining = np.setdiff1d(ALL_VALUES, CODES)
    assert len(off_grid) == len(remaining) == 64_512
    np.testing.assert_array_equal(native.adc_encode(off_grid), remaining)
    np.testing.assert_array_equal(native.adc_decode(remaining), off_grid)


def test_recordings_become_ten_bit_codes():
    recordings = make.neural_recordings(84)
    assert recordings
    for samples in recordings:
        codes = native.adc_encode(samples)
        assert -512 <= codes.min() <= codes.max() <= 511
        np.testing.assert_array_equal(codes, samples >> 6)
        np.testing.assert_array_equal(native.adc_decode(codes), samples)


# Every remainder by the width of a vector register, at both ends
def test_any_length():
    table = native.adc_encode(ALL_VALUES)
    for length in (*range(70), 1000, 65_537):
        samples = shaped(length + 1)[1:]
        expected = table[samples.astype(int) + 32768]
        np.testing.assert_array_equal(native.adc_encode(samples), expected, f"{length}")
        np.testing.assert_array_equal(native.adc_decode(expected), samples, f"{length}")


@settings(deadline=None, max_examples=100)
@given(
    hnp.arrays(
        "<i2",
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9),
        elements=st.integers(-32768, 32767) | st.sampled_from(GRID.tolist()),
    )
)
def test_any_array_round_trips(samples):
    before = samples.copy()
    codes = native.adc_encode(samples)
    assert codes.shape == samples.shape
    assert codes.dtype == samples.dtype
    np.testing.assert_array_equal(native.adc_decode(codes), samples)
    np.testing.assert_array_equal(samples, before)


LAYOUTS = {
    "1-D": shaped(1000),
    "2-D": shaped((100, 7)),
    "2-D Fortran": np.asfortranarray(shaped((100, 7))),
    "3-D": shaped((5, 6, 7)),
    "3-D Fortran": np.asfortranarray(shaped((5, 6, 7))),
    "every third": shaped(1000)[::3],
    "backwards": shaped(1000)[::-1],
    "some channels": shaped((100, 7))[:, 1:5:2],
    "some samples": shaped((100, 7))[3:50],
    "axes exchanged": shaped((5, 6, 7)).transpose(1, 2, 0),
    "broadcast": np.broadcast_to(shaped((1, 7)), (100, 7)),
    "one sample": shaped((1, 1)),
    "no samples": shaped((0, 7)),
    "no channels": shaped((100, 0)),
    "no samples, 1-D": shaped(0),
    "scalar": shaped(()),
    "unaligned": np.frombuffer(b"?" + shaped(999).tobytes(), "<i2", 999, 1),
    "field of a record": np.zeros(50, [("a", "u1"), ("b", "<i2")])["b"],
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_any_layout(name):
    samples = LAYOUTS[name].view()
    samples.flags.writeable = False
    table = native.adc_encode(ALL_VALUES)
    codes = native.adc_encode(samples)
    assert codes.shape == samples.shape
    assert codes.flags.writeable
    assert codes.flags.c_contiguous or codes.flags.f_contiguous
    if samples.flags.f_contiguous:
        assert codes.flags.f_contiguous
    assert not np.shares_memory(codes, samples)
    np.testing.assert_array_equal(codes, table[samples.astype(int) + 32768])
    decoded = native.adc_decode(codes)
    assert decoded.shape == samples.shape
    np.testing.assert_array_equal(decoded, samples)


@pytest.mark.parametrize("function", [native.adc_encode, native.adc_decode, ADC().encode])
def test_other_dtypes_are_refused(function):
    for dtype in ("i1", "u1", "<u2", ">i2", "<i4", "<i8", "<f2", "<f4", "<f8", "?"):
        with pytest.raises(TypeError, match="int16"):
            function(np.zeros((5, 2), dtype))


def test_codec_encodes_arrays_and_keeps_their_shape():
    samples = shaped((50, 3))
    codes = ADC().encode(samples)
    assert codes.shape == (50, 3)
    np.testing.assert_array_equal(codes, native.adc_encode(samples))
    np.testing.assert_array_equal(ADC().decode(codes), samples)


@pytest.mark.parametrize(
    "convert",
    [bytes, bytearray, memoryview, lambda data: np.frombuffer(data, "u1")],
    ids=["bytes", "bytearray", "memoryview", "uint8"],
)
def test_codec_decodes_bytes(convert):
    samples = shaped(101)
    decoded = ADC().decode(convert(native.adc_encode(samples).tobytes()))
    assert decoded.dtype == np.dtype("<i2")
    np.testing.assert_array_equal(decoded, samples)


def test_codec_refuses_half_a_sample():
    with pytest.raises(ValueError):
        ADC().decode(b"123")


def test_codec_decodes_nothing():
    assert ADC().decode(b"").shape == (0,)


@pytest.mark.parametrize("shape", [(100,), (50, 2)])
def test_codec_decodes_into_a_given_array(shape):
    samples = shaped(shape)
    codes = ADC().encode(samples)
    for source in (codes, codes.tobytes()):
        out = np.zeros(shape, "<i2")
        assert ADC().decode(source, out=out) is out
        np.testing.assert_array_equal(out, samples)
    out = bytearray(samples.nbytes)
    ADC().decode(codes, out=out)
    assert out == samples.tobytes()


def test_codec_is_known_to_numcodecs():
    codec = numcodecs.get_codec({"id": "n1store.adc"})
    assert isinstance(codec, ADC)
    assert codec == ADC()
    assert codec.get_config() == {"id": "n1store.adc"}
    assert numcodecs.get_codec(codec.get_config()) == codec
    assert repr(codec) == "ADC()"


def test_two_threads_map_at_once():
    samples = np.zeros(8_000_000, "<i2")
    interval = sys.getswitchinterval()
    try:
        # From here on a thread runs until it gives the GIL up of its own accord.
        sys.setswitchinterval(1000)
        for _ in range(50):
            log, barrier = [], threading.Barrier(2)

            def work(log=log, barrier=barrier):
                barrier.wait()
                log.append("in")
                native.adc_encode(samples)
                log.append("out")

            threads = [threading.Thread(target=work) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if log[:2] == ["in", "in"]:
                return
    finally:
        sys.setswitchinterval(interval)
    pytest.fail("no thread ever entered while the other was inside")


def test_threads_do_not_disturb_each_other():
    inputs = [shaped(50_000, seed=seed) for seed in range(4)]
    outputs = [None] * 4

    def work(index):
        codes = inputs[index]
        for _ in range(20):
            codes = native.adc_decode(native.adc_encode(codes))
        outputs[index] = codes

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for given_samples, got in zip(inputs, outputs, strict=True):
        np.testing.assert_array_equal(got, given_samples)
