"""Blocks of `n1` that are predicted from another channel too."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from n1store.codecs import native

PATHS = ["portable", "best"]
N1, OTHER = "on the N1's grid", "off the grid"


def smooth(count, sigma, seed):
    sums = np.cumsum(np.random.default_rng(seed).normal(0, sigma, count + 8))
    return sums[8:] - sums[:-8]


def echo(values, taps=(0.5, -0.4, 0.3), delay=2):
    """Return what of a channel is in another one."""
    return np.convolve(np.roll(values, delay), taps, "same")


def sampled(values, grid):
    if grid == N1:
        return native.adc_decode(np.clip(np.round(values), -512, 511).astype("<i2"))
    return np.round(values * 20).astype("<i2")


def alike(count, grids, own=2):
    """Return channels that all have an echo of the first one."""
    first = smooth(count, 8, 0)
    channels = [sampled(first, grids[0])]
    for seed, grid in enumerate(grids[1:], 1):
        channels.append(sampled(echo(first) + smooth(count, own, seed), grid))
    return np.stack(channels, axis=1)


def round_trip(samples, level=2, widths=None):
    """Return the payload, which is the same on all paths, as what it is decoded to is."""
    payloads = {native.n1_encode(samples, level, widths, path=path) for path in PATHS}
    assert len(payloads) == 1
    for path in PATHS:
        np.testing.assert_array_equal(native.n1_decode(*payloads, widths, path=path), samples)
    return payloads.pop()


@pytest.mark.parametrize("level", [2, 3])
@pytest.mark.parametrize("count", [600, 3000, 10_000, 10_007])
@pytest.mark.parametrize("grids", [(N1, N1), (OTHER, N1), (N1, OTHER), (OTHER, OTHER)], ids=str)
def test_a_channel_with_an_echo_refers_to_its_source(grids, count, level):
    samples = alike(count, grids)
    payload = round_trip(samples, level)
    source, other = native.n1_blocks(payload)
    assert (source.reference, source.num_taps) == (0, 0)
    assert other.reference == 1 and other.num_taps >= 2
    assert other.kind == ("width" if grids[1] == N1 else "integer")
    alone = native.n1_blocks(native.n1_encode(samples[:, 1:], level))[0]
    assert other.size < 0.95 * alone.size


@pytest.mark.parametrize("grid", [N1, OTHER])
def test_unrelated_channels_have_no_reference(grid):
    samples = np.stack([sampled(smooth(4000, 5, seed), grid) for seed in range(9)], axis=1)
    payload = round_trip(samples)
    blocks = native.n1_blocks(payload)
    assert not any(block.reference for block in blocks)
    for channel, block in enumerate(blocks):
        alone = native.n1_blocks(native.n1_encode(samples[:, channel : channel + 1]))
        assert block.size == alone[0].size


def test_two_blocks_at_once():
    """Blocks are decoded two at a time unless the second one refers to the first."""
    samples = alike(20_000, 7 * [N1])
    samples[:, 5] = sampled(smooth(20_000, 5, 99), N1)
    blocks = native.n1_blocks(round_trip(samples))
    assert [bool(block.reference) for block in blocks] == [False, *4 * [True], False, True]
    assert {block.num_lanes for block in blocks} == {16}
    assert any(block.reference > 1 for block in blocks)


@pytest.mark.parametrize("grid", [N1, OTHER])
def test_references_of_references(grid):
    channels = [smooth(5000, 8, 0)]
    for seed in range(1, 20):
        channels.append(echo(channels[-1], (0.2, 0.8, -0.4), 1) + smooth(5000, 1, seed))
    samples = np.stack([sampled(channel, grid) for channel in channels], axis=1)
    payload = round_trip(samples)
    blocks = native.n1_blocks(payload)
    assert [block.channel for block in blocks if not block.reference] == [0, 16]
    two = np.array([7, 18], np.uint32)
    for path in PATHS:
        part = native.n1_decode_part(payload, range(40, 99), two, path=path)
        np.testing.assert_array_equal(part, samples[40:99, [7, 18]])


def test_the_same_channel_again_takes_next_to_nothing():
    for channel in (
        sampled(smooth(3000, 5, 0), N1),
        np.random.default_rng(0).integers(-32768, 32768, 3000).astype("<i2"),
        (np.random.default_rng(0).integers(0, 9, 3000) ** 3 * 5).astype("<i2"),
    ):
        other = sampled(smooth(3000, 5, 1), N1)
        first, _, again = native.n1_blocks(round_trip(np.stack([channel, other, channel], axis=1)))
        assert (first.reference, again.reference, again.num_taps) == (0, 2, 1)
        assert again.kind == "packed" and again.size < 10


def test_the_lowest_level_has_no_references():
    for grid in (N1, OTHER):
        blocks = native.n1_blocks(round_trip(alike(2000, (grid, grid)), 1))
        assert not any(block.reference for block in blocks)


def test_escapes_that_predict_nothing():
    """Where codes are off the grid or out of range, what stands in for them is less its echo."""
    for place in (0, 1, 700, -1):
        for outlier in (5, 32001, -32001):
            samples = alike(2500, (N1, N1))
            samples[place :: 150 if place != -1 else 1][:20, 1] = outlier
            samples[70::333, 0] = -32768
            round_trip(samples)


@st.composite
def any_channels(draw):
    count = draw(st.integers(1, 3000))
    channels, grids = [], st.sampled_from([N1, OTHER])
    for seed in range(draw(st.integers(2, 6))):
        own = smooth(count, draw(st.sampled_from([0, 0.3, 2, 30, 300])), seed)
        if channels and draw(st.booleans()):
            taps = draw(st.lists(st.floats(-1.5, 1.5), min_size=1, max_size=5))
            source = draw(st.sampled_from(channels))[:, None]
            own = own + echo(source[:, 0], taps, draw(st.integers(-9, 9)))[:count]
        channels.append(np.clip(own, -1600, 1600))
    samples = np.stack([sampled(channel, draw(grids)) for channel in channels], axis=1)
    for _ in range(draw(st.integers(0, 5))):
        row, column = draw(st.integers(0, count - 1)), draw(st.integers(0, len(channels) - 1))
        samples[row : row + draw(st.integers(1, 90)), column] = draw(st.integers(-32768, 32767))
    return samples


@settings(deadline=None, max_examples=100)
@given(any_channels(), st.sampled_from([1, 2, 3]))
def test_any_channels(samples, level):
    round_trip(samples, level)
