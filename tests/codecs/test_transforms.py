"""The transforms delta, lpc and iwt, beside decoders written from their specification alone."""

from itertools import product

import numpy as np
import pytest
from freeze import frozen_payloads
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from make_wav import read_wav_independently
from n1store import N1StoreError
from n1store.codecs import native
from n1store.codecs.simple_table import SIMPLE_CODECS
from reference_transforms import frames_of_eights, lpc_frames, specified

TRANSFORMS = [row.name for row in SIMPLE_CODECS if row.kind == "array-array"]
# The extremes of each parameter, its default, and what lies beside these.
SETTINGS = [
    (name, value)
    for name in TRANSFORMS
    for values in [native.simple_codec(name).parameters]
    for value in values
    if {value - 1, value, value + 1} & {values[0] - 1, values[-1], 8}
]


# --- Signals, of shape (num_samples, num_channels)


def recorded(num_samples, num_channels, seed=0):
    """Return codes that wander about 0 as recordings do."""
    steps = np.random.default_rng(seed).normal(0, 8, (num_samples + 8, num_channels))
    sums = np.cumsum(steps, axis=0)
    return np.round(sums[8:] - sums[:-8])


def on_the_n1_grid(num_samples, num_channels):
    return native.adc_decode(as_int16(recorded(num_samples, num_channels)))


def noise(num_samples, num_channels):
    return np.random.default_rng(1).integers(-32768, 32768, (num_samples, num_channels))


SIGNALS = {
    "recorded": recorded,
    "n1": on_the_n1_grid,
    "shifted": lambda *shape: recorded(*shape) * 16 + 7,
    "noise": noise,
    "silent": lambda *shape: np.zeros(shape),
    "constant": lambda *shape: np.full(shape, -32768),
    "extremes": lambda *shape: np.where(noise(*shape) < 0, -32768, 32767),
    "square": lambda n, c: np.where(np.arange(n * c).reshape(c, n).T // 9 % 2, -32768, 32767),
    "ramp": lambda n, c: np.arange(n * c).reshape(n, c) * 1000,
    "tone": lambda n, c: 32767 * np.sin(np.arange(n * c).reshape(n, c) / 7),
}
SHAPES = [(1, 1), (2, 1), (3, 1), (33, 1), (1300, 1), (5, 2), (600, 2), (40, 3), (300, 4), (20, 67)]


def as_int16(values):
    return np.ascontiguousarray(values.astype(int).astype("u2").view("<i2"))


def encode(name, samples, parameter):
    num_channels = samples.shape[1]
    return native.simple_codec(name).encode(samples, num_channels, parameter).tobytes()


def decode(name, payload):
    return native.simple_codec(name).decode(payload).tobytes()


# --- What is encoded comes back, here and by the specification


@pytest.mark.parametrize(("name", "parameter"), SETTINGS)
def test_payloads_are_as_specified(name, parameter):
    for signal, shape in product(SIGNALS, SHAPES):
        samples = as_int16(SIGNALS[signal](*shape))
        payload = encode(name, samples, parameter)
        added = frames_of_eights(shape[1])
        added += lpc_frames(shape[1], parameter) if name == "lpc" else 0
        assert added * shape[1] % 8 == 0
        assert len(payload) == samples.nbytes + added * 2 * shape[1], (signal, shape)
        assert specified(name, payload).tobytes() == samples.tobytes(), (signal, shape)
        assert decode(name, payload) == samples.tobytes(), (signal, shape)


@pytest.mark.parametrize("row", [row for row in SIMPLE_CODECS if row.name in TRANSFORMS])
def test_parameters(row):
    values = row.parameter.range if row.parameter else range(1)
    assert native.simple_codec(row.name).parameters == values
    for parameter in (values[0] - 1, values[-1] + 1):
        with pytest.raises(N1StoreError):
            encode(row.name, np.zeros((2, 1), "<i2"), parameter % 2**32)


@pytest.mark.parametrize("name", TRANSFORMS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_anything_comes_back(name, data):
    shape = data.draw(st.tuples(st.integers(0, 80), st.integers(1, 5)))
    samples = data.draw(hnp.arrays("<i2", shape))
    parameter = data.draw(st.sampled_from(native.simple_codec(name).parameters))
    payload = encode(name, samples, parameter)
    assert decode(name, payload) == samples.tobytes()
    assert not payload or specified(name, payload).tobytes() == samples.tobytes()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_more_channels_than_16_bits_can_count(name):
    samples = as_int16(noise(2, 65536 + 3))
    most = native.simple_codec(name).parameters[-1]
    payload = encode(name, samples, most)
    assert payload[:6] == bytes([3, 0, 1, 0, most, 0])
    assert decode(name, payload) == samples.tobytes()


@pytest.mark.parametrize(("name", "parameter"), SETTINGS)
def test_recordings(name, parameter, recordings):
    for path in sorted(recordings.glob("*.wav")):
        codes = native.adc_encode(read_wav_independently(path)[0])
        assert decode(name, encode(name, codes, parameter)) == codes.tobytes()


# --- What the transforms are for


def entropy(numbers):
    """Return the bits that a number takes when only its frequency is known."""
    _, counts = np.unique(numbers, return_counts=True)
    return -np.sum(counts / numbers.size * np.log2(counts / numbers.size))


def bits(name, samples, parameter):
    return entropy(np.frombuffer(encode(name, samples, parameter), "<i2"))


def test_recordings_take_fewer_bits(recordings):
    for path in sorted(recordings.glob("*.wav")):
        codes = native.adc_encode(read_wav_independently(path)[0])
        plain, delta = entropy(codes), bits("delta", codes, 1)
        assert delta < plain
        assert bits("iwt", codes, 8) < plain
        assert bits("lpc", codes, 8) < delta


def grain(name, samples):
    return int(np.frombuffer(encode(name, samples, 8), "<u2")[3])


@pytest.mark.parametrize("name", ["lpc", "iwt"])
@pytest.mark.parametrize("num_channels", [1, 5])
def test_grain_is_that_of_the_converter(name, num_channels):
    shape = 3000, num_channels
    samples = recorded(*shape)
    for bits_missing in range(9):
        assert grain(name, as_int16(samples * 2**bits_missing + 3)) == bits_missing
    assert grain(name, on_the_n1_grid(*shape)) == 6
    assert grain(name, on_the_n1_grid(1024 // num_channels, num_channels)) == 0  # too few to tell
    for loudness in (0.1, 0.5, 1):
        assert grain(name, as_int16(samples * loudness)) == 0
    for signal in ("silent", "constant", "noise", "extremes", "square", "tone"):
        assert grain(name, as_int16(SIGNALS[signal](*shape))) == 0


@pytest.mark.parametrize("name", ["lpc", "iwt"])
def test_all_channels_say_what_the_grain_is(name):
    for num_samples, num_channels in product([1025, 2049, 5000, 30000], [2, 4, 6]):
        shape = num_samples, num_channels // 2
        samples = as_int16(np.hstack([recorded(*shape), recorded(*shape, seed=1) * 64]))
        assert grain(name, samples) == grain(name, samples[:, ::-1].copy()) == 6, shape
        samples = as_int16(np.hstack([recorded(num_samples, num_channels), samples]))
        assert grain(name, samples) == grain(name, samples[:, ::-1].copy()), shape


def test_grain_of_more_channels_than_differences():
    samples = as_int16(recorded(3, 3000) * 64)
    assert decode("iwt", encode("iwt", samples, 8)) == samples.tobytes()
    assert grain("iwt", samples) == 6


def test_tones_are_on_no_grain():
    """Their differences are few different numbers, but predictions are better than these."""
    for tone in product([30, 300, 3000], [10, 12, 25, 100], [0, 1.5]):
        amplitude, period, sigma = tone
        noise = np.random.default_rng(0).normal(0, sigma, (20_000, 1))
        time = np.arange(20_000)[:, None]
        samples = as_int16(np.round(amplitude * np.sin(2 * np.pi * time / period) + noise))
        assert grain("lpc", samples) == 0, tone
        assert bits("lpc", samples, 8) < entropy(np.round(noise)) + 1.2, tone


def test_iwt_keeps_to_no_steps_that_hum_hides():
    hum = 900 * np.sin(np.arange(20_000) / 95)[:, None]
    samples = as_int16(on_the_n1_grid(20_000, 1) + hum)
    assert grain("iwt", samples) == 0
    assert bits("iwt", samples, 8) < bits("iwt", on_the_n1_grid(20_000, 1), 8) + 3


@pytest.mark.parametrize("name", ["lpc", "iwt"])
def test_a_part_that_is_on_no_grain_does_not_hide_it(name):
    for num_channels, third in product([1, 3], [0, 1, 2]):
        samples = on_the_n1_grid(9000, num_channels)
        for other in (0, as_int16(recorded(3000, num_channels))):
            samples[3000 * third :][:3000] = other
            assert grain(name, samples) == 6, (num_channels, third)


def test_what_adc_would_map_is_predicted_nearly_as_well(recordings):
    for path in sorted(recordings.glob("*.wav")):
        samples = read_wav_independently(path)[0]
        codes = native.adc_encode(samples)
        for name, most in [("lpc", 1.15), ("iwt", 1.4)]:  # bits: steps are 64 or 65 apart
            numbers = np.frombuffer(encode(name, samples, 8), "<i2")
            assert numbers[3] == 6
            assert entropy(numbers) < bits(name, codes, 8) + most
            assert np.unique(numbers).size < 4 * np.unique(samples).size


@pytest.mark.parametrize("order", [1, 2, 8, 32])
@pytest.mark.parametrize("offset", [0, 12000])
def test_lpc_finds_the_best_coefficients(order, offset):
    samples = as_int16(recorded(3000, 2) + offset + 900 * np.sin(np.arange(3000) / 20)[:, None])
    payload = np.frombuffer(encode("lpc", samples, order), "<i2").reshape(-1, 2)
    for residuals, x in zip(
        payload[4 + lpc_frames(2, order) :].T, samples.T.astype(float), strict=True
    ):
        before = np.stack([x[order - k : -k] for k in range(1, order + 1)], axis=1)
        best = x[order:] - before @ np.linalg.lstsq(before, x[order:], rcond=None)[0]
        energy = np.sum(np.square(residuals[order:].astype(float)))
        assert energy <= 1.01 * np.sum(best**2) + len(best) / 6  # rounding to whole numbers


def test_lpc_of_what_repeats_leaves_nothing():
    for value in (0, 1, -32768, 32767):
        payload = np.frombuffer(encode("lpc", np.full((500, 1), value, "<i2"), 8), "<i2")
        assert not payload[8 + 16 + 8 :].any()


def test_iwt_leaves_no_details_of_straight_lines():
    samples = as_int16(np.arange(65)[:, None] * [1, 8, -100] + [0, 5, -300])
    numbers = np.frombuffer(encode("iwt", samples, 1), "<i2").reshape(-1, 3)[8:]
    assert (numbers[:33] == samples[::2]).all()
    assert not numbers[33:].any()


# --- Payloads that no encoder writes, and payloads that were damaged


@pytest.mark.parametrize("order", [1, 8, 9, 32])
def test_any_coefficients(order):
    rng = np.random.default_rng(order)
    for shift in range(16):
        for limit in (1, 32768):
            frames = noise(8 + lpc_frames(3, order) + 60, 3).astype("i2")
            frames[0] = 3, 0, order
            frames[1, 0] = shift * 7 % 16
            frames[8] = shift, 15 - shift, 0
            frames[9 : 9 + order] = rng.integers(-limit, limit, (order, 3))
            payload = frames.astype("<i2").tobytes()
            assert decode("lpc", payload) == specified("lpc", payload).tobytes()


@pytest.mark.parametrize("levels", [1, 2, 8])
def test_any_grain(levels):
    for grain in range(16):
        for num_samples in (1, 2, 9, 60):
            frames = noise(8 + num_samples, 3).astype("i2")
            frames[:2] = [3, 0, levels], [grain, 0, 0]
            payload = frames.astype("<i2").tobytes()
            assert decode("iwt", payload) == specified("iwt", payload).tobytes()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_all_of_the_header_counts(name):
    values = native.simple_codec(name).parameters
    payload = encode(name, as_int16(noise(9, 5)), values[-1])
    wrong = [(0, 0), (0, 7), (1, 1), (2, values[0] - 1), (2, values[-1] + 1)]
    for place, value in [*wrong, (3, 16)] if name in ("lpc", "iwt") else wrong:
        numbers = np.frombuffer(payload, "<u2").copy()
        numbers[place] = value % 65536
        with pytest.raises(N1StoreError):
            decode(name, numbers.tobytes())
    numbers = np.frombuffer(payload, "<u2").copy()
    numbers[4:6] = 77  # beyond the four
    assert decode(name, numbers.tobytes()) == decode(name, payload)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_cut_off(name):
    samples = as_int16(noise(9, 5))
    payload = encode(name, samples, native.simple_codec(name).parameters[0])
    for length in range(1, len(payload)):
        added = len(payload) - samples.nbytes
        if length % 10 or length < added:
            with pytest.raises(N1StoreError):
                decode(name, payload[:length])
        else:
            assert len(decode(name, payload[:length])) == length - added


def test_shift_out_of_range():
    numbers = np.frombuffer(encode("lpc", as_int16(noise(9, 5)), 1), "<u2").copy()
    numbers[8 * 5 + 4] = 16
    with pytest.raises(N1StoreError, match="lpc"):
        decode("lpc", numbers.tobytes())


# --- Payloads of the first version, which are decoded for ever

FROZEN_SAMPLES = as_int16(
    np.array([[3, -32768], [10, 32767], [14, -1], [15, 0], [13, 9], [8, 700]])
)
FROZEN = {
    (
        "delta",
        1,
    ): "02000000010000000000000000000000030000800700ffff0400008001000100feff0900fbffb302",
    (
        "delta",
        2,
    ): "02000000020000000000000000000000030000800400ff7ffdff0180fdff0180fdff0800fdffaa02",
    ("lpc", 2): "020000000200000000000000000000000e000f00cd6affffe4c7010000000000030000800500fe7f"
    "000001000000ffff00000900ffffbc02",
    ("iwt", 1): "02000000010000000000000000000000040000600f00feef0c00b500020000c00200fcfffbffb302",
    ("iwt", 3): "020000000300000000000000000000000c002d100800b5a00700a4bf020000c00200fcfffbffb302",
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_frozen_payloads(name):
    first = {key[1]: bytes.fromhex(text) for key, text in FROZEN.items() if key[0] == name}
    for parameter, payload in first.items():
        assert decode(name, payload) == FROZEN_SAMPLES.tobytes()
        assert specified(name, payload).tobytes() == FROZEN_SAMPLES.tobytes()
        if name != "lpc":  # whose encoder may find other coefficients
            assert encode(name, FROZEN_SAMPLES, parameter) == payload
    in_files = frozen_payloads(name)
    assert first or in_files, f"to be written: python tests/codecs/freeze.py {name}"
    for data, payload in in_files:
        assert decode(name, payload) == data
        assert specified(name, payload).tobytes() == data


FROZEN_ON_GRAINS = {
    "lpc": (
        "020000000200060000000000000000000e000f00cd6affffe4c7010000000000030000800500fe7f"
        "000001000000ffff00000900ffffbc02",
        "030000800800fe7f0800ffff0800feff080007000700c302",
    ),
    "iwt": (
        "020000000300060000000000000000000c002d100800b5a00700a4bf020000c00200fcfffbffb302",
        "0c002d800e002d801300110015000d00140022000f00d502",
    ),
}


@pytest.mark.parametrize("name", FROZEN_ON_GRAINS)
def test_frozen_payloads_on_a_grain(name):
    payload, samples = map(bytes.fromhex, FROZEN_ON_GRAINS[name])
    assert decode(name, payload) == specified(name, payload).tobytes() == samples
