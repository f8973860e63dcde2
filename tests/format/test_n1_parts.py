"""Parts of `n1` payloads: the samples asked for, from the bytes they need and no others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from n1store.codecs import native
from n1store.errors import N1StoreError

PATHS = ["portable", "best"]


def walk(shape, seed=0, amplitude=9):
    steps = np.random.default_rng(seed).normal(0, amplitude, shape)
    return np.clip(np.cumsum(steps, axis=0), -30000, 30000).round()


def on_grid(codes):
    return native.adc_decode(np.clip(codes, -512, 511).astype("<i2"))


def alike(num_samples, num_channels):
    """Return channels of which each is a reference for others."""
    common = walk((num_samples, 1), amplitude=60)
    return (
        common * np.linspace(0.5, 1, num_channels) + walk((num_samples, num_channels), 1, 2) / 9
    ).astype("<i2")


ARRAYS = {
    "one block": on_grid(walk(500)),
    "blocks of one channel": on_grid(walk(1500)),
    "channels": on_grid(walk((700, 5))),
    "groups": on_grid(walk((90, 37))),
    "references": alike(600, 20),
    "uint16": (walk((300, 3)) + 32768).astype("<u2"),
    "int8": (walk((300, 3)) % 100).astype("i1"),
    "uint8": (walk((600, 2)) % 100).astype("u1"),
    "silent end": np.concatenate([on_grid(walk((300, 4))), np.zeros((200, 4), "<i2")]),
    "noise": np.random.default_rng(0).integers(-32768, 32768, (60, 3)).astype("<i2"),
    "no samples": np.zeros((0, 3), "<i2"),
}
BLOCKS = {"blocks of one channel": 400, "references": 250, "uint8": 250}
PAYLOADS = {
    name: native.n1_encode(samples, block_samples=BLOCKS.get(name, 0))
    for name, samples in ARRAYS.items()
}


def part_of(samples, times, channels):
    rows = samples[times.start : times.stop]
    return rows if channels is None else rows[:, channels]


@st.composite
def parts(draw, shape):
    start = draw(st.integers(0, shape[0]))
    times = range(start, draw(st.integers(start, shape[0])))
    if len(shape) == 1 or draw(st.booleans()):
        return times, None
    channels = draw(st.sets(st.integers(0, shape[1] - 1)))
    return times, np.array(sorted(channels), np.uint32)


def needed_bytes(payload, times, channels):
    """Return which bytes of a payload a part needs, as true and false."""
    index_size = native.n1_index_size(payload[:32])
    if index_size == 0:
        return np.ones(len(payload), bool)
    needed = np.zeros(len(payload), bool)
    for begin, end in native.n1_part_ranges(payload[:index_size], times, channels):
        assert not needed[begin:end].any()
        needed[begin:end] = True
    return needed


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ARRAYS)
@given(data=st.data())
def test_a_part_is_what_it_is_of_the_whole(name, path, data):
    samples, payload = ARRAYS[name], PAYLOADS[name]
    times, channels = data.draw(parts(samples.shape))
    needed = needed_bytes(payload, times, channels)
    sparse = np.where(needed, np.frombuffer(payload, "u1"), 0xA5).astype("u1")
    part = native.n1_decode_part(sparse, times, channels, path=path)
    assert part.dtype == samples.dtype
    np.testing.assert_array_equal(part, part_of(samples, times, channels))


@given(
    samples=st.integers(0, 700),
    channels=st.integers(0, 40),
    block_samples=st.integers(0, 800),
    level=st.integers(1, 3),
    data=st.data(),
)
def test_blocks_of_any_length(samples, channels, block_samples, level, data):
    array = on_grid(walk((samples, channels), samples))
    payload = native.n1_encode(array, level, block_samples=block_samples)
    np.testing.assert_array_equal(native.n1_decode(payload), array)
    info = native.n1_payload_info(payload[:32])
    assert info.block_samples <= (block_samples or 2**18)
    if channels:
        times, numbers = data.draw(parts(array.shape))
        part = native.n1_decode_part(payload, times, numbers)
        np.testing.assert_array_equal(part, part_of(array, times, numbers))


def test_single_channels_need_few_bytes():
    samples = on_grid(walk((2000, 64)))
    payload = native.n1_encode(samples)
    needed = needed_bytes(payload, range(0, 2000), np.array([17], np.uint32))
    assert needed.sum() < len(payload) / 64 + native.n1_index_size(payload[:32]) + 100
    shorter = native.n1_encode(samples, block_samples=500)
    needed = needed_bytes(shorter, range(700, 710), None)
    assert needed.sum() < len(shorter) / 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("one block", "channels", "silent end", "noise"),
        pytest.param("references", marks=pytest.mark.long),
    ],
)
def test_every_flipped_bit_of_what_is_needed_is_an_error(name):
    samples, payload = ARRAYS[name], PAYLOADS[name]
    times = range(len(samples) // 2, len(samples) // 2 + 9)
    channels = None if samples.ndim == 1 else np.array([1, samples.shape[1] - 1], np.uint32)
    expected = part_of(samples, times, channels)
    needed = needed_bytes(payload, times, channels)
    damaged = bytearray(payload)
    for bit in range(8 * len(payload)):
        damaged[bit // 8] ^= 1 << bit % 8
        if needed[bit // 8]:
            with pytest.raises(N1StoreError):
                native.n1_decode_part(damaged, times, channels)
        else:
            part = native.n1_decode_part(damaged, times, channels)
            np.testing.assert_array_equal(part, expected)
        damaged[bit // 8] ^= 1 << bit % 8


def test_every_flipped_bit_of_the_index_is_an_error_where_ranges_are_asked_for():
    payload = PAYLOADS["references"]
    index = bytearray(payload[: native.n1_index_size(payload[:32])])
    for bit in range(8 * len(index)):
        index[bit // 8] ^= 1 << bit % 8
        with pytest.raises(N1StoreError):
            native.n1_part_ranges(index, range(3, 9), np.array([4], np.uint32))
        index[bit // 8] ^= 1 << bit % 8


@pytest.mark.parametrize("name", ["channels", "blocks of one channel", "noise"])
def test_a_payload_that_is_cut_off_has_no_parts(name):
    payload = PAYLOADS[name]
    for size in range(len(payload)):
        with pytest.raises(N1StoreError):
            native.n1_decode_part(payload[:size], range(1))


def test_an_index_that_claims_too_much_costs_nothing():
    claims = bytes([0x24]) + bytes(4) + bytes.fromhex("80808008 80808008 01 02")
    with pytest.raises(N1StoreError, match="damaged"):
        native.n1_part_ranges(b"N1" + claims + bytes(99), range(5))
    many = bytes([0x24]) + bytes(4) + bytes.fromhex("01 8080808008 01 02")
    with pytest.raises(N1StoreError, match="damaged"):
        native.n1_part_ranges(b"N1" + many + bytes(99), range(1))


def test_blocks_that_changed_places_are_an_error():
    payload = native.n1_encode(on_grid(walk((400, 2))))
    index_size = native.n1_index_size(payload)
    ranges = native.n1_part_ranges(payload, range(400), np.array([0], np.uint32))
    second = int(ranges[-1, 1])
    swapped = payload[:index_size] + payload[second:] + payload[index_size:second]
    with pytest.raises(N1StoreError, match="damaged"):
        native.n1_decode_part(swapped, range(10))


def test_into_a_part_of_an_array():
    samples = on_grid(walk((700, 6)))
    payload = native.n1_encode(samples, block_samples=100)
    array = np.full((1000, 20), 7, "<i2")
    channels = np.array([0, 1, 4], np.uint32)
    out = array[50:350, 2:5]
    assert native.n1_decode_part(payload, range(150, 450), channels, out=out) is out
    np.testing.assert_array_equal(out, samples[150:450][:, channels])
    array[50:350, 2:5] = 7
    assert (array == 7).all()


@pytest.mark.parametrize(
    ("times", "channels"),
    [
        (range(0, 701), None),
        (range(701, 701), None),
        (range(0, 9), [5]),
        (range(0, 9), [1, 0]),
        (range(0, 9), [1, 1]),
    ],
)
def test_parts_that_there_are_not(times, channels):
    payload = PAYLOADS["channels"]
    channels = None if channels is None else np.array(channels, np.uint32)
    for function in (native.n1_decode_part, native.n1_part_ranges):
        with pytest.raises(N1StoreError, match="out of its range"):
            function(payload, times, channels)


def test_arrays_that_are_not_for_a_part():
    payload = PAYLOADS["channels"]
    read_only = np.zeros((9, 5), "<i2")
    read_only.flags.writeable = False
    for out in (
        np.zeros((9, 4), "<i2"),
        np.zeros((9, 5), "<u2"),
        np.zeros((9, 10), "<i2")[:, ::2],
        read_only,
    ):
        with pytest.raises(N1StoreError):
            native.n1_decode_part(payload, range(9), out=out)
