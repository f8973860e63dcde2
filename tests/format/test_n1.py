"""The codec `n1` by itself: every sample comes back, whatever it was and whatever was damaged."""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cases import case
from frozen import FROZEN
from installed import ROOT
from make_wav import read_wav_independently
from n1store import N1StoreError
from n1store.codecs import native
from processes import time_limit

DTYPES = ["<i2", "<u2", "i1", "u1"]
LEVELS = [1, 2, 3]
HAS_AVX2 = "avx2" in Path("/proc/cpuinfo").read_text().split()
PATHS = ["portable", "avx2"] if HAS_AVX2 else ["portable"]
TABLE = bytes(16 + k * 13 % 33 for k in range(native.NUM_CODES))

# --- Signals: each takes shape, bits and a generator and returns numbers of so many signed bits,
# or more, which are then clipped.


def noise(shape, bits, rng):
    return rng.integers(-(1 << bits - 1), 1 << bits - 1, shape)


def walk(shape, bits, rng, amplitude=8):
    """Return what wanders about 0 as recordings do: sums of the last eight of white noise."""
    steps = rng.normal(0, amplitude, (shape[0] + 8, *shape[1:]))
    sums = np.cumsum(steps, axis=0)
    return np.round(sums[8:] - sums[:-8]).astype(int)


def on_grid(codes):
    return native.adc_decode(np.clip(codes, -512, 511).astype("<i2")).astype(int)


def per_sample(shape, values):
    """Give all channels the same values."""
    return np.broadcast_to(values.reshape(-1, *[1] * (len(shape) - 1)), shape)


def distinct_values(shape, bits, rng):
    values = np.sort(noise(20, bits, rng))
    return values[np.clip(walk(shape, bits, rng, 2), -10, 9) + 10]


def spikes(shape, bits, rng):
    return np.where(
        rng.random(shape) < 0.01, rng.choice([-1, 1], shape) << bits, walk(shape, bits, rng)
    )


def near_identical_channels(shape, bits, rng):
    common = walk(shape[:1], bits, rng, 1 << bits // 2)
    return per_sample(shape, common) + rng.integers(-1, 2, shape)


def halves(first, second):
    def signal(shape, bits, rng):
        half = shape[0] // 2
        rest = (shape[0] - half, *shape[1:])
        return np.concatenate([first((half, *shape[1:]), bits, rng), second(rest, bits, rng)])

    return signal


def time(shape):
    return per_sample(shape, np.arange(shape[0]))


def silent(shape, bits, rng):
    return np.zeros(shape, int)


SIGNALS = {
    "silent": silent,
    "constant": lambda shape, bits, rng: np.full(shape, -(1 << bits - 2) + 3),
    "N1 grid": lambda shape, bits, rng: on_grid(walk(shape, bits, rng)),
    "N1 grid, loud": lambda shape, bits, rng: on_grid(walk(shape, bits, rng, 60)),
    "N1 grid, clipped": lambda shape, bits, rng: on_grid(walk(shape, bits, rng, 400)),
    "walk": walk,
    "loud walk": lambda shape, bits, rng: walk(shape, bits, rng, 1 << bits - 4),
    "clipped": lambda shape, bits, rng: walk(shape, bits, rng, 1 << bits),
    "spikes": spikes,
    "white noise": noise,
    "ramp": lambda shape, bits, rng: time(shape) % (1 << bits) - (1 << bits - 1),
    "sine": lambda shape, bits, rng: np.round(np.sin(time(shape) / 40) * ((1 << bits - 1) - 1)),
    "square": lambda shape, bits, rng: np.where(time(shape) // 50 % 2, -1 << bits, 1 << bits),
    "alternating extremes": lambda shape, bits, rng: np.where(
        time(shape) % 2, -1 << bits, 1 << bits
    ),
    "random extremes": lambda shape, bits, rng: rng.choice([-1 << bits, 1 << bits], shape),
    "few distinct values": distinct_values,
    "steps with an offset": lambda shape, bits, rng: walk(shape, bits, rng, 2) * 12 + 7,
    "near-identical channels": near_identical_channels,
    "half silent, half noise": halves(silent, noise),
    "half N1 grid, half off it": halves(lambda *a: on_grid(walk(*a)), walk),
}


def make(signal, shape, dtype="<i2", seed=0):
    dtype = np.dtype(dtype)
    bits = 8 * dtype.itemsize
    rng = np.random.default_rng([seed, *map(int, shape)])
    limits = -(1 << bits - 1), (1 << bits - 1) - 1
    values = np.clip(SIGNALS[signal](shape, bits, rng), *limits).astype(int)
    return (values + (1 << bits - 1) * (dtype.kind == "u")).astype(dtype)


# --- There and back


def assert_same(decoded, samples):
    assert decoded.dtype == samples.dtype
    np.testing.assert_array_equal(decoded, samples, strict=True)


def round_trip(samples, level=2, widths=None):
    """Encode and decode on every path; return the payload, which is the same on all."""
    payload, *others = (native.n1_encode(samples, level, widths, path) for path in PATHS)
    assert all(other == payload for other in others)
    assert len(payload) <= samples.nbytes + 16 + samples.nbytes / 1000
    info = native.n1_payload_info(payload)
    assert (info.dtype, info.shape) == (samples.dtype, samples.shape)
    for path in PATHS:
        assert_same(native.n1_decode(payload, widths, path), samples)
    return payload


@pytest.mark.parametrize("signal", SIGNALS)
def test_signals(signal):
    for dtype, shape in product(DTYPES, [(33,), (700,), (5000,), (1000, 3), (90, 18)]):
        samples = make(signal, shape, dtype)
        for level in LEVELS:
            with case(dtype, shape, level):
                round_trip(samples, level)


LENGTHS = [0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 100, 1000, 4096, 19536, 70_000, 300_000]
SHAPES = [
    (length, *channels)
    for length, channels in product(LENGTHS, [(), *((n,) for n in (1, 2, 3, 4, 17))])
    if length * max(channels, default=1) <= 350_000
]
# Each channel has blocks of its own, so that many channels need not be of all lengths.
SHAPES += product([0, 1, 33, 100, 1000], [64])
SHAPES += product([0, 1, 33, 100], [384])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(shape):
    is_small = np.prod(shape) <= 5000 and shape[1:] < (64,)
    for dtype in DTYPES if is_small else ["<i2"]:
        for signal in ("N1 grid", "half silent, half noise"):
            samples = make(signal, shape, dtype)
            for level in LEVELS if is_small else [2]:
                with case(dtype, signal, level):
                    round_trip(samples, level)


@pytest.mark.parametrize("shape", [(0, 0), (5, 0), (0, 384), (1_000_000, 0)], ids=str)
def test_shapes_that_hold_nothing(shape):
    round_trip(np.zeros(shape, "<i2"))


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_recordings(recordings, level):
    all_samples = [read_wav_independently(path)[0] for path in sorted(recordings.glob("*.wav"))]
    assert all_samples
    for samples in all_samples:
        second = samples[:19536]
        for part in (samples, second, samples[19536:39072, 0], samples[-1000:]):
            round_trip(np.ascontiguousarray(part), level)
        round_trip((second >> 6).astype("<i2"), level)
        round_trip((second // 256).astype("i1"), level)
        round_trip(second.astype("<u2"), level)
    round_trip(np.hstack([samples[:19536] for samples in all_samples]), level)


@pytest.mark.parametrize("level", LEVELS)
def test_white_noise_of_any_number_of_bits(level):
    rng = np.random.default_rng(1)
    for bits in range(1, 17):
        values = noise((6000,), bits, rng)
        round_trip(values.astype("<i2"), level)
        round_trip((values + 32768).astype("<u2"), level)
        round_trip((values << 16 - bits).astype("<i2"), level)


@pytest.mark.parametrize("level", LEVELS)
def test_neighbours_of_any_kind(level):
    """Channels are decoded two at a time where both have as many lanes and are of a kind."""
    signals = [*SIGNALS, *6 * ["N1 grid", "N1 grid, loud", "walk"]]
    for seed, length in enumerate([5000, 12_000]):
        order = np.random.default_rng(seed).permutation(signals)
        channels = [make(signal, (length,), seed=n) for n, signal in enumerate(order)]
        samples = np.stack(channels, axis=1)
        samples[::700, ::3] = 12345  # off the grid, where what lies beside it is on it
        payload = round_trip(samples, level)
        for first, path in product(range(0, len(signals), 5), PATHS):
            with case(seed, first, path):
                two = np.array([first, first + 2], np.uint32)
                part = native.n1_decode_part(payload, range(1000, 4000), two, path=path)
                assert_same(part, samples[1000:4000, two])


@pytest.mark.parametrize("level", LEVELS)
def test_any_share_of_outliers(level):
    for share in [0.003, 0.02, 0.06, 0.1, 0.13, 0.16, 0.2, 0.3, 0.45]:
        with case(share):
            for amplitude, length, seed in product([20, 60, 400], [300, 2500], range(6)):
                rng = np.random.default_rng(seed)
                codes = walk((length,), 16, rng, amplitude) * (rng.random(length) < share)
                round_trip(on_grid(codes).astype("<i2"), level)


# Lanes are equal parts of a block, at most 16.
@pytest.mark.parametrize("level", LEVELS)
def test_outliers_where_lanes_begin(level):
    for outlier in [-32768, 32767, 12345]:
        with case(outlier):
            for length, seed in product([512, 1024, 2048, 4064, 8192, 9600], range(3)):
                rng = np.random.default_rng(seed)
                codes = walk((length,), 16, rng)
                codes[length // 3 :] = codes[length // 3 :] // 4 + 60
                samples = on_grid(codes).astype("<i2")
                samples[np.arange(1, 16) * length // 16] = outlier
                round_trip(samples, level)


@pytest.mark.parametrize("level", LEVELS)
def test_one_outlier_in_a_million(level):
    for signal in ("silent", "N1 grid", "few distinct values"):
        samples = make(signal, (1_000_000,))
        for outlier in (-32768, 12345):
            samples[765_432] = outlier
            payload = round_trip(samples, level)
            assert signal != "silent" or len(payload) < 20_000


def test_every_value_of_16_bits():
    values = np.arange(-32768, 32768).astype("<i2")
    for samples in (values, values[::-1].copy(), np.random.default_rng(2).permutation(values)):
        round_trip(samples)
        round_trip(samples.reshape(-1, 64))


# Every offset of an N1 grid's code, so that each cell of the width table is met
def test_every_code_of_the_converter():
    codes = np.repeat(np.arange(-512, 512), 9).astype("<i2")
    for order in (codes, np.random.default_rng(3).permutation(codes)):
        for widths in (None, TABLE):
            round_trip(native.adc_decode(order), widths=widths)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(
            dtype, hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=50)
        )
    ),
    st.sampled_from(LEVELS),
)
def test_any_array(samples, level):
    round_trip(samples, level)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(DTYPES),
    st.sampled_from(LEVELS),
    st.sampled_from([(), (1,), (2,), (5,), (17,)]),
    st.lists(
        st.tuples(st.sampled_from(sorted(SIGNALS)), st.integers(1, 1500), st.integers(0, 99)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([None, TABLE]),
)
def test_any_sequence_of_signals(dtype, level, channels, stretches, widths):
    pieces = [make(signal, (length, *channels), dtype, seed) for signal, length, seed in stretches]
    round_trip(np.concatenate(pieces), level, widths)


ARRAY = make("N1 grid", (100, 7))
LAYOUTS = {
    "Fortran": np.asfortranarray(ARRAY),
    "every third": ARRAY[::3],
    "backwards": ARRAY[::-1],
    "some channels": ARRAY[:, 1:5:2],
    "one channel": ARRAY[:, 3],
    "transposed": ARRAY.T,
    "broadcast": np.broadcast_to(ARRAY[:1], (100, 7)),
    "unaligned": np.frombuffer(b"?" + ARRAY.tobytes(), "<i2", ARRAY.size, 1).reshape(ARRAY.shape),
    "big-endian": ARRAY.astype(">i2"),
    "big-endian, unsigned": ARRAY.astype(">u2"),
    "field of a record": np.zeros(50, [("a", "u1"), ("b", "<i2")])["b"],
    "no samples": ARRAY[:0],
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_any_layout(name):
    samples = LAYOUTS[name].view()
    samples.flags.writeable = False
    plain = np.array(samples, samples.dtype.newbyteorder("<"), order="C")
    assert native.n1_encode(samples) == round_trip(plain)


@pytest.mark.parametrize(
    "convert", [bytes, bytearray, memoryview, lambda b: np.frombuffer(b, "u1")]
)
def test_payload_is_any_buffer(convert):
    payload = convert(native.n1_encode(ARRAY))
    assert native.n1_payload_info(payload).shape == ARRAY.shape
    assert_same(native.n1_decode(payload), ARRAY)


def test_decoding_into_a_given_array():
    payload = native.n1_encode(ARRAY)
    out = np.empty_like(ARRAY)
    assert native.n1_decode(payload, out=out) is out
    assert_same(out, ARRAY)
    wrong = [
        np.empty((100, 6), "<i2"),
        np.empty(700, "<i2"),
        np.empty((100, 7), "<u2"),
        np.empty((100, 7), "<i2", order="F"),
    ]
    for out in wrong:
        with pytest.raises(N1StoreError, match="int16 of shape"):
            native.n1_decode(payload, out=out)


# --- Levels, paths, tables


def test_a_higher_level_is_not_larger(recordings):
    totals = dict.fromkeys(LEVELS, 0)
    for path in sorted(recordings.glob("*.wav")):
        samples, _ = read_wav_independently(path)
        for level in LEVELS:
            totals[level] += len(native.n1_encode(samples, level))
    assert totals[1] >= totals[2] >= totals[3]


@pytest.mark.parametrize("level", [-1, 0, 4, 99])
def test_other_levels_are_refused(level):
    with pytest.raises(N1StoreError, match="out of its range"):
        native.n1_encode(ARRAY, level)


@pytest.mark.parametrize(
    "samples",
    [
        *(np.zeros(5, dtype) for dtype in ("<i4", "<u4", "<i8", "<f2", "<f4", "?", "S2", "<M8[s]")),
        np.zeros((), "<i2"),
        np.zeros((2, 3, 4), "<i2"),
    ],
    ids=lambda samples: f"{samples.dtype} {samples.shape}",
)
def test_other_dtypes_and_dimensions_are_refused(samples):
    with pytest.raises(N1StoreError, match="n1 takes 8 or 16 bit integers"):
        native.n1_encode(samples)


def test_a_path_works_or_says_that_this_machine_cannot():
    payload = native.n1_encode(ARRAY)
    if HAS_AVX2:
        assert_same(native.n1_decode(payload, path="avx2"), ARRAY)
        return
    for call in (
        lambda: native.n1_encode(ARRAY, path="avx2"),
        lambda: native.n1_decode(payload, path="avx2"),
    ):
        with pytest.raises(N1StoreError, match="cannot run"):
            call()


@pytest.mark.parametrize("widths", [b"", TABLE[:-1], TABLE + b"\x20"], ids=len)
def test_a_table_of_another_length_is_refused(widths):
    with pytest.raises(N1StoreError, match="1024 bytes"):
        native.n1_encode(ARRAY, widths=widths)
    with pytest.raises(N1StoreError, match="1024 bytes"):
        native.n1_decode(native.n1_encode(ARRAY), widths=widths)


# Level 1 knows no widths.
@pytest.mark.parametrize("level", [2, 3])
@pytest.mark.parametrize("shape", [(4000,), (1000, 3)], ids=str)
def test_a_table_is_needed_to_decode_what_it_encoded(shape, level):
    samples = make("N1 grid, loud", shape)
    payload = round_trip(samples, level, TABLE)
    for path, wrong in product(PATHS, [None, TABLE[::-1]]):
        with pytest.raises(N1StoreError, match="needs the table of code widths"):
            native.n1_decode(payload, wrong, path)


def test_a_table_changes_nothing_off_the_grid():
    samples = make("walk", (4000,))
    payload = round_trip(samples, widths=TABLE)
    assert payload == native.n1_encode(samples)
    assert_same(native.n1_decode(payload, TABLE[::-1]), samples)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("code", [-32, 0, 15])
def test_a_code_without_width_that_occurs(code, level):
    """Coded ranges are of 16 codes each, which these begin or end."""
    widths = bytearray(1024 * [32])
    widths[512 + code] = 0
    other = code + 4 if code % 16 == 0 else code - 4
    codes = np.where(np.arange(1031) % 9 == 3, other, code)
    round_trip(on_grid(codes).astype("<i2"), level, bytes(widths))


@pytest.mark.parametrize("width", [0, 1, 32, 63, 255])
def test_a_table_of_any_widths_works_or_is_refused(width):
    samples = make("N1 grid", (4000,))
    table = bytes([width]) * native.NUM_CODES
    try:
        native.n1_encode(samples, widths=table)
    except N1StoreError as error:
        assert width != 32
        assert "out of its range" in str(error)
    else:
        round_trip(samples, widths=table)


# --- Damage

SMALL = {
    "silent": (200,),
    "N1 grid": (150,),
    "N1 grid, clipped": (60, 2),
    "walk": (150,),
    "loud walk": (64,),
    "spikes": (150,),
    "few distinct values": (150,),
    "steps with an offset": (150,),
    "near-identical channels": (70, 2),
    "white noise": (60,),
    "half silent, half noise": (100,),
    "half N1 grid, half off it": (150,),
}
small = pytest.mark.parametrize(("signal", "shape"), SMALL.items(), ids=list(SMALL))


def assert_refused_or_unharmed(payload, samples):
    """Decode damaged bytes on every path: an error, the same on all, or the right samples."""
    outcomes = set()
    for path in PATHS:
        try:
            assert_same(native.n1_decode(payload, path=path), samples)
            outcomes.add("")
        except N1StoreError as error:
            outcomes.add(str(error))
    assert len(outcomes) == 1


@small
@pytest.mark.parametrize("level", LEVELS)
def test_every_truncation_is_an_error(signal, shape, level):
    payload = native.n1_encode(make(signal, shape), level)
    with time_limit(60):
        for length, path in product(range(len(payload)), PATHS):
            with pytest.raises(N1StoreError):
                native.n1_decode(payload[:length], path=path)


@small
def test_bytes_after_the_end_are_an_error(signal, shape):
    payload = native.n1_encode(make(signal, shape))
    for extra, path in product([b"\0", b"\xff", bytes(2), bytes(4), payload], PATHS):
        with pytest.raises(N1StoreError, match="damaged"):
            native.n1_decode(payload + extra, path=path)


@small
@pytest.mark.parametrize("level", LEVELS)
def test_flipped_bits_never_give_other_samples(signal, shape, level):
    samples = make(signal, shape)
    payload = np.frombuffer(native.n1_encode(samples, level), "u1")
    bits = np.unpackbits(payload)
    rng = np.random.default_rng(level)
    one_each = [[bit] for bit in [*range(min(320, len(bits))), *rng.integers(0, len(bits), 400)]]
    several = [rng.integers(0, len(bits), rng.integers(2, 9)) for _ in range(200)]
    with time_limit(60):
        for flips in one_each + several:
            damaged = bits.copy()
            damaged[flips] ^= 1
            assert_refused_or_unharmed(np.packbits(damaged).tobytes(), samples)


@small
def test_overwritten_and_exchanged_bytes_never_give_other_samples(signal, shape):
    samples = make(signal, shape)
    payload = native.n1_encode(samples)
    rng = np.random.default_rng(4)
    with time_limit(60):
        for _ in range(300):
            damaged = bytearray(payload)
            start, other = sorted(rng.integers(0, len(payload), 2))
            if rng.random() < 0.5:
                damaged[start:other] = rng.bytes(other - start)
            else:
                damaged[start], damaged[other] = damaged[other], damaged[start]
            assert_refused_or_unharmed(bytes(damaged), samples)


def test_random_bytes_are_errors():
    rng = np.random.default_rng(5)
    header = native.n1_encode(make("N1 grid", (150,)))[:12]
    with time_limit(60):
        for index, path in product(range(3000), PATHS):
            payload = header[: index % 13] + rng.bytes(int(rng.integers(0, 200)))
            with pytest.raises(N1StoreError):
                native.n1_decode(payload, path=path)


def test_what_is_no_payload_is_said_to_be_none():
    for data in (b"RIFF" + bytes(100), bytes(100), b"n1" + bytes(100)):
        for function in (native.n1_decode, native.n1_payload_info):
            with pytest.raises(N1StoreError, match="not an n1 payload"):
                function(data)


def test_a_version_that_was_never_released_has_an_error_of_its_own():
    payload = bytearray(native.n1_encode(ARRAY))
    payload[2] = 1 << 4 | payload[2] & 15
    for function in (native.n1_decode, native.n1_payload_info):
        with pytest.raises(N1StoreError, match="before the first release"):
            function(payload)


@pytest.mark.parametrize("version", [3, 4, 15])
def test_a_newer_version_has_an_error_of_its_own(version):
    payload = bytearray(native.n1_encode(ARRAY))
    payload[2] = version << 4 | payload[2] & 15
    for function in (native.n1_decode, native.n1_payload_info):
        with pytest.raises(N1StoreError, match="newer version; update n1store"):
            function(payload)


# --- Memory

CLAIMS = {
    "2^31 samples in 2^13 blocks": "80 80 80 80 08 80 40 03 00 00",
    "2^31 samples in a block": "80 80 80 80 08 01 00 00 00",
    "2^18 samples": "80 80 10 01 00 00 00",
    "2^62 samples": "80 80 80 80 80 80 80 80 40 01 00 00 00",
    "an endless number": "ff" * 40,
}


def test_a_header_that_claims_too_much_costs_nothing():
    start = native.n1_encode(np.zeros(1, "<i2"))[:7]
    payloads = {claim: start + bytes.fromhex(number) for claim, number in CLAIMS.items()}
    script = f"""
        import resource
        from n1store.codecs import native
        in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + (64 << 20),) * 2)
        for claim, payload in {payloads!r}.items():
            try:
                native.n1_decode(payload)
            except Exception as error:
                print(f"{{claim}}: {{error!r}}")
    """
    lines = run_python(script, timeout=60, cwd=Path(__file__).parent).splitlines()
    damaged = "N1StoreError('the n1 payload is damaged or cut off')"
    assert lines == [f"{claim}: {damaged}" for claim in CLAIMS]


def test_long_silence():
    samples = np.full((1 << 21, 4), -512, "<i2")
    payload = native.n1_encode(samples)
    assert len(payload) < 80
    np.testing.assert_array_equal(native.n1_decode(payload), samples)


@pytest.mark.slow
def test_payloads_do_not_depend_on_what_memory_held(tmp_path):
    cases = product(SIGNALS, [(300,), (90, 2), (20, 17)], DTYPES)
    np.savez(tmp_path / "samples.npz", *(make(*each) for each in cases))
    script = """
        import hashlib, numpy
        from n1store.codecs import native

        digest = hashlib.sha256()
        for samples in numpy.load("samples.npz").values():
            for level in (1, 3):
                digest.update(native.n1_encode(samples, level))
        print(digest.hexdigest())
    """
    digests = {
        run_python(script, cwd=tmp_path, env=os.environ | {"MALLOC_PERTURB_": str(fill)})
        for fill in (0, 85, 255)
    }
    assert len(digests) == 1


@pytest.fixture(scope="module")
def largest_block(tmp_path_factory):
    """Give a folder with the samples of the largest block of as many channels as are a group."""
    folder = tmp_path_factory.mktemp("largest")
    np.save(folder / "samples.npy", make("N1 grid", (1 << 18, 16)))
    return folder


# What filters/core/n1/n1.h promises, for one block of 16 channels, with 4 MB for all else.
@pytest.mark.parametrize("level", LEVELS)
def test_working_memory_keeps_to_its_limits(largest_block, level):
    script = f"""
        import numpy
        from n1store.codecs import native

        def peak():
            fields = dict(line.split(":") for line in open("/proc/self/status"))
            return int(fields["VmHWM"].split()[0]) << 10

        samples = numpy.load("samples.npy")
        out = numpy.zeros_like(samples) + 1
        native.n1_decode(native.n1_encode(samples[:1000], {level}))
        before = peak()
        payload = native.n1_encode(samples, {level})
        encoded = peak()
        native.n1_decode(payload, out=out)
        print(encoded - before - 2 * len(payload), peak() - encoded)
    """
    encoding, decoding = map(int, run_python(script, cwd=largest_block).split())
    assert encoding <= (8 << 20) + 16 * (1 << 22) + (4 << 20)
    assert decoding <= (8 << 20) + (4 << 20)


def run_python(script, **options):
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_read_only_output_is_refused():
    samples = make("white noise", (100,))
    out = np.zeros_like(samples)
    out.flags.writeable = False
    with pytest.raises(N1StoreError, match="read-only"):
        native.n1_decode(native.n1_encode(samples), out=out)
    assert not out.any()


# --- Threads


def test_threads_do_not_disturb_each_other():
    arrays = [make(signal, (3000, channels)) for signal in SIGNALS for channels in (1, 3)]
    payloads = [native.n1_encode(samples, 1 + i % 3) for i, samples in enumerate(arrays)]

    def work(thread):
        for i in np.random.default_rng(thread).permutation(len(arrays)):
            assert native.n1_encode(arrays[i], 1 + i % 3) == payloads[i]
            assert_same(native.n1_decode(payloads[i]), arrays[i])
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


# --- What was released


def test_there_are_frozen_payloads():
    assert list(FROZEN.glob("*/*.n1payload")), (
        f"{FROZEN}: none; write them with tests/helpers/frozen.py"
    )


@pytest.mark.parametrize("path", PATHS)
def test_frozen_payloads_are_decoded_for_ever(path, record_property):
    unchanged = 0
    for folder in sorted(FROZEN.glob("v*")):
        with np.load(folder / "samples.npz") as archive:
            arrays = dict(archive)
        payloads = sorted(folder.glob("*.n1payload"))
        assert len(payloads) > 3 * (len(arrays) - 1)
        for file in payloads:
            name, _, level = file.stem.rpartition("-")
            widths = arrays["widths"].tobytes() if name.endswith("widths") else None
            payload = file.read_bytes()
            assert native.n1_payload_info(payload).version == int(folder.name[1:])
            assert_same(native.n1_decode(payload, widths, path), arrays[name])
            # The encoder may have learned to do better, which is no reason to fail.
            how = {"block_samples": len(arrays[name]) // 3}
            how = how if level == "blocks" else {"level": int(level), "widths": widths}
            unchanged += native.n1_encode(arrays[name], **how) == payload
    record_property("frozen payloads that the encoder still writes", unchanged)


# --- What `make fuzz` begins with and what it has found, without its compiler


FUZZ = ROOT.resolve() / "filters/fuzz"


@pytest.fixture(scope="module")
def sanitized_core(tmp_path_factory):
    """Give a compiler command with the sanitizers on, and what all targets share as objects."""
    folder = tmp_path_factory.mktemp("sanitized")
    # With -O1, compiling takes twice as long as all that is run.
    compiler = [*os.environ.get("CC", "cc").split(), "-std=c11", "-g", "-Og"]
    compiler += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    compiler += ["-DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION"]
    (folder / "main.c").write_text("int main(void) { return 0; }\n")
    try:
        subprocess.run([*compiler, "main.c"], cwd=folder, check=True, capture_output=True)
        subprocess.run([folder / "a.out"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"{compiler[0]} has no address and undefined-behaviour sanitizers here")
    sources = [
        *(ROOT.resolve() / "filters/core").glob("*/*.c"),
        FUZZ / "round_trip.c",
        FUZZ / "replay.c",
    ]
    subprocess.run([*compiler, "-c", *sorted(sources)], cwd=folder, check=True)
    return [*compiler, *sorted(folder.glob("*.o")), "-lm"]


@pytest.mark.long
@pytest.mark.parametrize(
    "target", ["decode", "samples", "signals", "simple_decode", "simple_samples"]
)
def test_kept_fuzz_inputs(sanitized_core, target, tmp_path):
    inputs = sorted((FUZZ / "corpus" / target).iterdir())
    assert inputs
    program = tmp_path / target
    subprocess.run([*sanitized_core, FUZZ / f"{target}.c", "-o", program], check=True)
    done = subprocess.run([program, *inputs], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
