"""The specification, filters/format/n1.md: payloads mean what a decoder made from it alone finds.

Two kinds of payloads: what the encoder makes of arrays, and what it would hardly ever choose but
the specification allows, of random fields. The features of both are listed, so that none is lost.
"""

import random
from itertools import pairwise

import numpy as np
import pytest

import reference_decoder as reference
from n1store.codecs import native
from n1store.errors import N1StoreError
from reference_decoder import INTEGER, PACKED, WIDTH

OWN_WIDTHS = bytes(16 + k * 13 % 33 for k in range(native.NUM_CODES))
LEVELS = [1, 2, 3]
PATHS = ["portable", "best"]


def smooth(count, sigma, seed=0):
    """Return what wanders about 0 as recordings do: sums of the last eight of white noise."""
    sums = np.cumsum(np.random.default_rng(seed).normal(0, sigma, count + 8))
    return sums[8:] - sums[:-8]


def tone(count, amplitude, period):
    return amplitude * np.cos(2 * np.pi * np.arange(count) / period)


def noise(count, low, high):
    return np.random.default_rng(1).integers(low, high, count)


def recording(count, sigma=3, widths=reference.N1_WIDTHS, seed=0):
    """Return codes as a converter whose codes are so wide gives them; sigma is in codes."""
    edges = np.cumsum([0, *widths])
    found = np.searchsorted(edges - edges[512], 32 * smooth(count, sigma, seed), "right")
    return np.clip(found - 513, -512, 511)


def on_grid(codes):
    return native.adc_decode(codes.astype("<i2"))


def now_and_then(values, others):
    """Replace every 150th value by one of the others in turn."""
    result = values.copy()
    result[70::150] = np.resize(others, result[70::150].shape)
    return result


def arrays():
    """Return arrays of few samples in which everything that an encoder chooses occurs."""
    codes = recording(1200)
    quiet = recording(900, 0.6)
    common = smooth(600, 60)
    silence = np.full(700, 40)
    few_values = np.unique(noise(25, -9000, 9000))
    integers = {
        "nothing": np.zeros(0),
        "constant": np.full(100, 12345),
        "few samples": on_grid(codes[:20]),
        "recording": on_grid(codes),
        "recording of a second": on_grid(recording(8300, 30)),
        "recording of four channels": on_grid(codes.reshape(300, 4)),
        "quiet recording": on_grid(quiet),
        "very quiet recording": on_grid(recording(4000, 0.2)),
        "own widths": on_grid(recording(1200, widths=OWN_WIDTHS)),
        "clipped": on_grid(recording(900, 150)),
        "artefacts": on_grid(now_and_then(codes, [511, -512, 300, -300])),
        "off the grid": now_and_then(on_grid(codes), [5, -300, 32001, -32001]),
        "silence": on_grid(np.concatenate([codes[:500], silence, codes[500:]])),
        "long silence": on_grid(np.concatenate([recording(3000), silence, recording(3000)])),
        "silence, then noise": np.concatenate([0 * silence, noise(700, -32768, 32768)]),
        "two recordings": np.concatenate([on_grid(codes), smooth(500, 300)]),
        "three recordings": np.concatenate(
            [on_grid(recording(4300)), smooth(3000, 2000), noise(1000, -3, 4)]
        ),
        "end": np.concatenate([on_grid(quiet), np.full(100, 77)]),
        "walk": smooth(2100, 30),
        "loud walk": smooth(600, 3000),
        "tone": tone(2100, 9000, 50) + smooth(2100, 3),
        "steps": np.round(smooth(900, 9)) * 48 + 5,
        "palette": few_values[np.clip(smooth(1200, 2).astype(int), -12, 12) + 12],
        "near-identical": np.stack([common, common / 2 + noise(600, -1, 2)], axis=1),
        "identical": np.stack([common, common], axis=1),
        "delayed": np.stack([common, np.roll(common, 3) + noise(600, -1, 2)], axis=1),
        "recording of two channels alike": on_grid(
            np.stack([codes, np.roll(codes, 1) // 2 + recording(1200, 0.4, seed=1)], axis=1)
        ),
        "ramp": np.arange(-32768, 32768, 90),
        "parabola": np.arange(400) ** 2 // 3,
        "square": np.where(np.arange(900) // 40 % 2, -32768, 32767),
        "4 bits": noise(600, -8, 8),
        "4 bits on the grid": on_grid(noise(600, -8, 8)),
        "10 bits on the grid": on_grid(noise(900, -512, 512)),
        "4 bits, steps": noise(600, -8, 8) * 9,
        "16 bits": noise(200, -32768, 32768),
    }
    return {
        **{name: np.clip(values, -32768, 32767).astype("<i2") for name, values in integers.items()},
        "uint16": (smooth(600, 90) + 32768).astype("<u2"),
        "int8": smooth(800, 6).astype("i1"),
        "uint8": (smooth(800, 10) + 128).astype("u1").reshape(400, 2),
    }


# --- Payloads that no encoder writes, of all that the specification allows


class Writer:
    """The opposite of reference.Reader; takes what the reader returns."""

    def __init__(self):
        self.value = self.size = 0

    def bits(self, value, count):
        self.value |= (value & (1 << count) - 1) << self.size
        self.size += count

    def gamma(self, value):
        n = (value + 1).bit_length() - 1
        self.bits(1 << n, n + 1)
        self.bits(value + 1, n)

    def signed_gamma(self, value):
        self.gamma(fold(value))

    def rice(self, value, r):
        self.bits(1 << (value >> r), (value >> r) + 1)
        self.bits(value, r)

    def signed_rice(self, value, r):
        self.rice(fold(value), r)

    def varint(self, value):
        while value >> 7:
            self.bits(value | 128, 8)
            value >>= 7
        self.bits(value, 8)

    def bytes(self):
        return self.value.to_bytes((self.size + 7) // 8, "little")


def fold(value):
    return 2 * value if value >= 0 else ~(2 * value)


def invented_block(rng, num_samples, other, head=None):
    """Return a block of random samples, or raise AssertionError if they do not go.

    It has a reference if the samples of another channel are given, and random fields if none are.
    """
    head = head or invented_fields(rng, num_samples, refers=other is not None)
    read = reference.Reader(head)
    block = reference.read_head(read, int(other is not None))
    block.other = other
    reference.read_fields(read, block, num_samples, OWN_WIDTHS)
    reference.make_echoes(block, num_samples)
    reference.make_predictors(block)
    in_lanes, in_tail = reference.order_of_decoding(block)
    escapes, low_bits, symbols = [], Writer(), []
    for lane in in_lanes + in_tail:
        count = lane.classes[len(lane.low)].low_bits
        lane.low.append(rng.randrange(1 << count))
        low_bits.bits(lane.low[-1], count)
        start, freq, code = invented_symbol(rng, block, lane)
        if start == block.symbol_slots:
            escapes.append(code)
        symbols.append((lane, start, freq))
        lane.u.append(reference.u_of(block, lane, code))
        lane.codes.append(code)

    numbers = [0] * block.num_lanes
    if block.tail:
        state, words = 2**16, []
        for _, start, freq in symbols[: -block.tail - 1 : -1]:
            state = encoded(block, state, start, freq, words)
        numbers = [state % 2**16, state >> 16, *words[::-1]]
        assert len(numbers) <= block.num_lanes
        numbers += [0] * (block.num_lanes - len(numbers))
    words = []
    for lane, number in zip(block.lanes, numbers, strict=True):
        lane.state = 2**16 + number
    for lane, start, freq in symbols[len(in_lanes) - 1 :: -1]:
        lane.state = encoded(block, lane.state, start, freq, words)

    write = Writer()
    write.varint(len(escapes))
    for code in escapes:
        write.bits(code if block.escape_bits == 16 else code + 512, block.escape_bits)
    states = b"".join(lane.state.to_bytes(4, "little") for lane in block.lanes)
    words = b"".join(word.to_bytes(2, "little") for word in words[::-1])
    return head + write.bytes() + low_bits.bytes() + states + words


def invented_symbol(rng, block, lane):
    """Return start, freq and code; of an escape if that is what a random slot belongs to."""
    for _ in range(9):
        slot = rng.randrange(1 << block.precision)
        if slot >= block.symbol_slots:
            break
        try:
            start, freq, code = reference.find_symbol(block, lane, slot)
        except AssertionError:
            continue
        if start <= slot:
            return start, freq, code
    half = 1 << block.escape_bits - 1
    return block.symbol_slots, block.escape_slots, rng.randrange(-half, half)


def encoded(block, x, start, freq, words):
    """Return the state before a symbol; what does not go into it is appended to the words."""
    if x >> 32 - block.precision >= freq:
        words.append(x % 2**16)
        x >>= 16
    return (x // freq << block.precision) + x % freq + start


def invented_fields(rng, num_samples, refers):
    write = Writer()
    kind = rng.choice([INTEGER, WIDTH])
    log2_lanes = rng.randrange(5)
    map = rng.choice([reference.IDENTITY, reference.ADC, reference.STEP])
    write.bits(kind, 2)
    write.bits(reference.ADC if kind == WIDTH else map, 2)
    write.bits(log2_lanes, 3)
    write.bits(0, 1)
    if refers:
        first = rng.randrange(-8, 8)
        count = rng.choice([1, rng.randrange(1, 9 - first)])
        write.gamma(count - 1)
        write.signed_gamma(first)
        write.bits(rng.randrange(16), 4)
        r = rng.randrange(4, 8)
        write.bits(r, 3)
        reach = rng.choice([4, 64, 32767 // count])
        for _ in range(count):
            write.signed_rice(rng.randrange(-reach, reach + 1), r)
    if kind == INTEGER and map == reference.STEP:
        write.bits(rng.randrange(1, 2**16), 16)
        write.bits(rng.randrange(2**16), 16)
    tail = rng.choice([0, rng.randrange(1, 8)]) if log2_lanes else 0
    write.bits(tail, 8)
    order = rng.choice([0, rng.randrange(1, 33)])
    write.bits(order, 6)
    if order:
        fineness = rng.randrange(4)
        write.bits(fineness, 2)
        write.bits(rng.randrange(2), 1)
        limit = 1608 // (32, 16, 8, 1)[fineness]
        for m in range(1, order + 1):
            if m in (1, 5, 13):
                r = rng.randrange(4, 10)
                write.bits(r, 4)
            write.signed_rice(rng.randrange(-limit, limit + 1) // (1 if m < 3 else 4 * m), r)
    reach = 2**15 if kind == INTEGER else 512
    write.signed_gamma(rng.choice([0, rng.randrange(-reach, reach)]))
    histogram = kind == INTEGER and rng.random() < 0.2
    num_classes = 1 if histogram else rng.choice([1, rng.randrange(2, 17)])
    write.bits(num_classes - 1, 4)
    for _ in range(num_classes):
        scale = rng.choice([rng.randrange(256), rng.randrange(40, 140), rng.randrange(236, 256)])
        write.bits(0 if histogram else scale, 8)
        write.bits(0 if histogram else rng.randrange(4), 2)
        write.bits(rng.random() < 0.3, 1)
        if kind == INTEGER:
            write.bits(0 if histogram else rng.choice([0, 16, rng.randrange(17)]), 5)
    if num_classes > 1:
        span = rng.randrange(8)
        write.bits(span, 3)
        size, lanes = num_samples - tail, 1 << log2_lanes
        longest = max(-(-size // lanes), size // lanes + tail)
        for _ in range(lanes):
            before = 0
            for _ in range(-(-longest // (32 << span))):
                number = rng.randrange(num_classes)
                write.signed_gamma(number - before)
                before = number
    e = rng.randrange(12)
    write.bits(e, 4)
    if kind == INTEGER:
        write.bits(rng.randrange(4), 2)
        write.bits(histogram, 1)
    if histogram:
        first = rng.randrange(-128, 128)
        count = rng.randrange(1, 129 - first)
        write.signed_gamma(first)
        write.gamma(count - 1)
        borders = sorted(rng.randrange(4097 - 2**e) for _ in range(count - 1))
        write.bits(6, 4)
        for before, after in pairwise([0, *borders, 4096 - 2**e]):
            write.rice(after - before, 6)
    if kind == WIDTH:
        write.bits(rng.randrange(5), 3)
        lowest, highest = sorted(rng.randrange(64) for _ in range(2))
        write.bits(lowest, 6)
        write.bits(highest, 6)
        write.bits(rng.randrange(2), 1)
        table = rng.randrange(2)
        write.bits(table, 1)
        if table:
            write.bits(reference.checksum_of(OWN_WIDTHS, 0), 32)
    return write.bytes()


def decoded_blocks(blocks, num_samples):
    """Return the channels of blocks that refer to the ones before, and their checksums."""
    entries = [(len(block), min(number, 1), None) for number, block in enumerate(blocks)]
    read = reference.Reader(b"".join(blocks))
    channels, _, sums = reference.decode_blocks(
        read, entries, num_samples, len(blocks), 1, OWN_WIDTHS
    )
    return channels, sums


def invented_payload(rng):
    """Return a payload of int16 of two channels with a block each, and the samples."""
    num_samples = rng.randrange(40, 200)
    while True:
        try:
            blocks = [invented_block(rng, num_samples, None)]
            samples, _ = decoded_blocks(blocks, num_samples)
            blocks.append(invented_block(rng, num_samples, samples[0]))
            break
        except AssertionError:
            continue
    channels, sums = decoded_blocks(blocks, num_samples)
    payload = payload_of(blocks, sums, num_samples, rng.randrange(2, 5))
    return payload, np.array(channels, "<i2").T


def payload_of(blocks, sums, num_samples, width):
    write = Writer()
    write.varint(num_samples)
    write.varint(len(blocks))
    write.varint(1)
    write.bits(width, 8)
    for number, (block, of_samples) in enumerate(zip(blocks, sums, strict=True)):
        write.bits(min(number, 1), 4)
        write.bits(len(block), 8 * width - 4)
        checksum = reference.checksum_of(block, of_samples << 32)
        write.bits(checksum, 24 if width == 2 else 32)
    type = 2 << 4 | 1 << 2
    checksum = reference.checksum_of(write.bytes(), type).to_bytes(4, "little")
    return b"N1" + bytes([type]) + checksum + write.bytes() + b"".join(blocks)


# --- What a payload has


def features(header, blocks):
    yield header.dtype
    yield f"{header.dimensions} dimensions"
    if header.end_repeats:
        yield "end repeats"
    yield f"{min(header.num_blocks, 2)} blocks"
    for block in blocks:
        yield from features_of(block)


def features_of(block):
    kind = ("packed", "integer", "width")[block.kind]
    yield f"{kind}, map {('identity', 'adc', 'step', 'palette')[block.map]}"
    if block.reference:
        yield f"{kind}, reference"
        yield f"{kind}, {'one tap' if len(block.taps) == 1 else 'several taps'}"
        yield f"{kind}, taps {'all' if block.tap_shift == 0 else 'parts'} of whole numbers"
        yield f"{kind}, lags from {min(max(block.first_lag, -1), 1)}"
    if block.kind == PACKED:
        yield f"packed, {'some' if block.width else 'no'} bits"
        return
    yield f"{block.num_lanes} lanes"
    yield f"{kind}, {'a' if block.tail else 'no'} tail"
    yield f"{kind}, precision {block.precision}"
    yield f"{kind}, {'several classes' if len(block.classes) > 1 else 'one class'}"
    if len(block.classes) > 1:
        yield f"span {block.span}"
    for each in block.classes:
        yield f"shape {each.shape}"
        yield f"{kind}, {'holds' if each.hold else 'does not hold'}"
    order = len(block.angles)
    yield f"{sum(order >= first for first in (1, 5, 13))} groups of angles"
    if order:
        yield f"unit {block.unit}"
        yield f"{'a' if block.prior else 'no'} prior"
    yield "escapes of 1 slot" if block.escape_slots == 1 else "escapes of several slots"
    if block.escapes:
        yield f"{kind}, escapes of {block.escape_bits} bits"
    if block.kind == INTEGER:
        yield f"differences {block.differences}"
        yield f"{'a' if block.histogram else 'no'} histogram"
        yield from {f"low bits {min(each.low_bits, 1)}" for each in block.classes}
        if any(each.low_bits == 16 for each in block.classes):
            yield "low bits 16"
    else:
        yield f"table {block.table}"
        for code in block.escapes:
            cell = reference.sample_of(block, code) >> 6
            place = "a coded" if block.lowest <= cell <= block.highest else "another"
            yield f"escape {'on' if cell == code else 'off'} the grid, from {place} cell"


def numbered(text, *numbers):
    return {text.format(number) for number in numbers}


COMMON = {
    *numbered("{} lanes", 1, 2, 4, 8, 16),
    *numbered("{} groups of angles", 0, 1, 2, 3),
    *numbered("shape {}", 0, 1, 2, 3),
    *numbered("{} prior", "a", "no"),
    *numbered("{}, a tail", "integer", "width"),
    *numbered("{}, no tail", "integer", "width"),
    *numbered("{}, one class", "integer", "width"),
    *numbered("{}, several classes", "integer", "width"),
    *numbered("{}, holds", "integer", "width"),
    *numbered("{}, does not hold", "integer", "width"),
    *numbered("integer, map {}", "identity", "adc", "step"),
    "width, map adc",
    *numbered("{}, reference", "integer", "width"),
    *numbered("{}, several taps", "integer", "width"),
    *numbered("low bits {}", 0, 1, 16),
    *numbered("{} histogram", "a", "no"),
    *numbered("table {}", 0, 1),
    *numbered("escapes of {}", "1 slot", "several slots"),
    "integer, escapes of 16 bits",
    *numbered("width, escapes of {} bits", 10, 16),
    *numbered("escape on the grid, from {} cell", "a coded", "another"),
    *numbered("escape off the grid, from {} cell", "a coded", "another"),
}
OF_ENCODER = COMMON | {
    "<i2",
    "<u2",
    "i1",
    "u1",
    *numbered("{} dimensions", 1, 2),
    *numbered("{} blocks", 0, 1, 2),
    "end repeats",
    *numbered("packed, map {}", "identity", "adc", "step", "palette"),
    *numbered("packed, {} bits", "no", "some"),
    "packed, reference",
    "integer, map palette",
    *numbered("differences {}", 0, 1, 2),
    *numbered("width, precision {}", 14, 15),
}
OF_SPECIFICATION = COMMON | {
    *numbered("unit {}", 32, 16, 8, 1),
    *numbered("span {}", 32, 64, 128, 256, 512, 1024, 2048, 4096),
    *numbered("differences {}", 0, 1, 2, 3),
    *numbered("width, precision {}", 12, 13, 14, 15, 16),
    *numbered("{}, one tap", "integer", "width"),
    *numbered("{}, taps all of whole numbers", "integer", "width"),
    *numbered("{}, taps parts of whole numbers", "integer", "width"),
    *numbered("integer, lags from {}", -1, 0, 1),
    *numbered("width, lags from {}", -1, 0, 1),
}


# --- Tests


def test_tables():
    shapes = reference.numbers_of("N1_SHAPES", "shapes.h")
    assert shapes == [entry for shape in reference.N1_SHAPES for entry in shape]


def test_adc():
    codes = np.arange(-(2**15), 2**15).astype("<i2")
    np.testing.assert_array_equal(native.adc_decode(codes), reference.ADC_SAMPLES)


@pytest.mark.slow
def test_what_the_encoder_writes_is_specified():
    seen = set()
    for name, samples in arrays().items():
        widths = OWN_WIDTHS if name == "own widths" else None
        for level in LEVELS:
            payload = native.n1_encode(samples, level, widths)
            decoded, *fields = reference.decode(payload, widths)
            assert (decoded.dtype, decoded.shape) == (samples.dtype, samples.shape)
            np.testing.assert_array_equal(decoded, samples, f"{name}, level {level}")
            seen.update(features(*fields))
    assert not OF_ENCODER - seen


@pytest.mark.slow
def test_what_the_specification_allows_is_decoded():
    seen = set()
    for seed in range(150):
        payload, samples = invented_payload(random.Random(seed))
        decoded, *fields = reference.decode(payload, OWN_WIDTHS)
        np.testing.assert_array_equal(decoded, samples)
        for path in PATHS:
            np.testing.assert_array_equal(
                native.n1_decode(payload, OWN_WIDTHS, path), samples, f"seed {seed}, {path}"
            )
        seen.update(features(*fields))
    assert not OF_SPECIFICATION - seen


FIRST = np.array([0], np.uint32)


def echo_alone(first, taps, shift):
    """Return a packed block that is nothing but the echo of its reference."""
    write = Writer()
    write.bits(PACKED, 8)
    write.gamma(len(taps) - 1)
    write.signed_gamma(first)
    write.bits(shift, 4)
    write.bits(7, 3)
    for tap in taps:
        write.signed_rice(tap, 7)
    write.bits(0, 5 + 16)
    return write.bytes()


def packed(samples):
    write = Writer()
    write.bits(PACKED, 8)
    write.bits(16, 5)
    write.bits(0, 16)
    write.bits(0, -write.size % 8)
    return write.bytes() + samples.astype("<i2").tobytes()


def echo_payload(samples, *block):
    """Return a payload of a channel and an echo of it, and the echo; taps may be any."""
    first, taps, shift = block
    places = np.arange(len(samples))
    sums = sum(
        tap * samples[np.clip(places + lag, 0, len(samples) - 1)].astype(np.int64)
        for lag, tap in enumerate(taps, first)
    )
    echo = np.clip(sums + (1 << shift >> 1) >> shift, -32768, 32767).astype("<i2")
    checksums = [reference.checksum_of(each.astype("<i2").tobytes(), 0) for each in (samples, echo)]
    blocks = [packed(samples), echo_alone(*block)]
    return payload_of(blocks, checksums, len(samples), 3), echo


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("num_samples", [1, 2, 7, 8, 9, 15, 16, 17, 100, 1023, 1024, 1033, 3000])
def test_echoes(num_samples, path):
    samples = np.random.default_rng(num_samples).integers(-32768, 32768, num_samples)
    for block in (
        (0, [1], 0),
        (0, [-1], 0),
        (-8, [5], 3),
        (7, [-77], 9),
        (-8, list(range(-8, 8)), 5),
        (-8, 16 * [2047], 15),
        (-3, [-32767], 15),
        (2, [32767], 0),
        (1, [-16383, 3, 16381], 14),
    ):
        payload, echo = echo_payload(samples, *block)
        decoded = native.n1_decode(payload, path=path)
        np.testing.assert_array_equal(decoded[:, 0], samples)
        np.testing.assert_array_equal(decoded[:, 1], echo, str(block))


@pytest.mark.parametrize(
    "block",
    [
        (-9, [1], 0),
        (8, [1], 0),
        (7, [1, 1], 0),
        (-8, 17 * [1], 0),
        (0, [32768], 15),
        (0, [-16384, 16384], 15),
        (100_000, [1], 0),
        (0, 100_000 * [1], 0),
    ],
    ids=lambda block: f"{block[0]}, {len(block[1])}, {block[1][0]}",
)
def test_taps_that_are_not_allowed(block):
    samples = np.arange(50) % 7
    payload, _ = echo_payload(samples, *block)
    with pytest.raises(N1StoreError, match="damaged"):
        native.n1_decode(payload)
    np.testing.assert_array_equal(native.n1_decode_part(payload, range(50), FIRST)[:, 0], samples)


def wide_width_fields(log2_lanes, taps):
    """Return fields of a block of the width kind, of residuals as wide as fast paths take."""
    write = Writer()
    for value, count in ((WIDTH, 2), (reference.ADC, 2), (log2_lanes, 3), (0, 1)):
        write.bits(value, count)
    write.gamma(len(taps) - 1)
    write.signed_gamma(0)
    write.bits(0, 4)
    write.bits(7, 3)
    for tap in taps:
        write.signed_rice(tap, 7)
    for value, count in ((0, 8), (2, 6), (0, 2), (0, 1), (6, 4)):  # tail, order, fineness, prior
        write.bits(value, count)
    write.signed_rice(48, 6)  # 1.5 radian, so that predictions grow as far as they can
    write.signed_rice(-48, 6)
    write.signed_gamma(0)
    for value, count in ((0, 4), (150, 8), (0, 2), (0, 1), (0, 4)):  # one class, escape
        write.bits(value, count)
    for value, count in ((4, 3), (0, 6), (63, 6), (0, 1), (1, 1)):  # precision, all codes
        write.bits(value, count)
    write.bits(reference.checksum_of(OWN_WIDTHS, 0), 32)
    return write.bytes()


@pytest.mark.parametrize("log2_lanes", [0, 2, 3, 4])
def test_positions_less_echoes_are_limited(log2_lanes):
    rng = random.Random(log2_lanes)
    first = np.array([rng.randrange(-(2**15), 2**15) for _ in range(400)])
    head = wide_width_fields(log2_lanes, [2, -3])
    blocks = [packed(first), invented_block(rng, 400, first.tolist(), head)]
    channels, sums = decoded_blocks(blocks, 400)
    payload = payload_of(blocks, sums, 400, 3)
    for path in PATHS:
        decoded = native.n1_decode(payload, OWN_WIDTHS, path)
        np.testing.assert_array_equal(decoded, np.array(channels).T)
