"""A decoder of `n1` payloads, written from filters/format/n1.md, to read beside it.

Plain Python in whole numbers, slow and short, in the order and with the names of the
specification, whose sections stand above the functions, behind a §. Whatever it demands of a
payload is asserted.
"""

# ruff: noqa: N802, N806 (names are the specification's)

import math
import re
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from operator import mul
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
DTYPES = ["<i2", "<u2", "i1", "u1"]
PACKED, INTEGER, WIDTH = range(3)
IDENTITY, ADC, STEP, PALETTE = range(4)


# § Payload, Type, Repeated rows, Number of blocks
def decode(payload, widths=None):
    """Return the samples, the fields before the first block, and those of each block."""
    read = Reader(payload)
    assert payload[:2] == b"N1"
    read.position = 16
    header = SimpleNamespace(dtype=DTYPES[read.bits(2)], dimensions=read.bits(1) + 1)
    header.end_repeats = read.bits(1)
    assert read.bits(4) == 2, "version"
    checksum = read.bits(32)
    num_samples = read.varint()
    num_channels = read.varint() if header.dimensions == 2 else 1
    repeated = read.varint() if header.end_repeats else 0
    assert not header.end_repeats or 0 < repeated < num_samples
    header.num_blocks = read.varint()

    dtype, type = np.dtype(header.dtype), payload[2]
    blocks = []
    shape = (num_samples, num_channels)[: header.dimensions]
    if header.num_blocks == 0:
        assert not header.end_repeats
        assert checksum_of(payload[7:], type) == checksum
        samples = np.frombuffer(payload, dtype, offset=read.position // 8)
        return samples.reshape(shape), header, blocks

    entries = [(len(payload) - read.position // 8, 0, None)]
    if header.num_blocks * num_channels > 1:
        entries = read_index(read, header.num_blocks * num_channels)
        assert checksum_of(payload[7 : read.position // 8], type) == checksum
    assert read.position // 8 + sum(size for size, _, _ in entries) == len(payload)
    channels, blocks, sums = decode_blocks(
        read, entries, num_samples - repeated, num_channels, header.num_blocks, widths or N1_WIDTHS
    )
    if len(entries) == 1:
        assert checksum_of(payload[7:], (sums[0] << 32) + type) == checksum
    middle = 1 << 8 * dtype.itemsize - 1 if dtype.kind == "u" else 0
    rows = [[sample + middle for sample in row] for row in zip(*channels, strict=True)]
    samples = np.array(rows + repeated * rows[-1:]).astype(dtype, casting="unsafe")
    return samples.reshape(shape), header, blocks


# § Index
def read_index(read, count):
    """Return size, reference and checksum of each block."""
    width = read.bits(8)
    assert width in (2, 3, 4)
    entries = []
    for _ in range(count):
        reference = read.bits(4)
        entries.append((read.bits(8 * width - 4), reference, read.bits(24 if width == 2 else 32)))
    return entries


# § Reference, Checksums
def decode_blocks(read, entries, num_samples, num_channels, num_blocks, widths):
    """Return the samples of each channel, all blocks, and the checksums of their samples."""
    length = -(-num_samples // num_blocks)
    assert length <= 1 << 18
    channels = [[] for _ in range(num_channels)]
    blocks, sums = [], []
    for begin in range(0, num_samples, length):
        end = min(begin + length, num_samples)
        for channel in range(num_channels):
            size, distance, checksum = entries[len(blocks)]
            data = read.data[read.position // 8 :][:size]
            block = read_head(read, distance)
            if distance:
                assert channel // 16 == (channel - distance) // 16
                block.other = channels[channel - distance][begin:end]
            samples = decode_block(read, block, end - begin, widths)
            sums.append(checksum_of(np.array(samples, "<i2").tobytes(), 0))
            found = checksum_of(data, sums[-1] << 32)
            assert checksum in (None, found, found % 2**24)
            channels[channel] += samples
            blocks.append(block)
    assert len(blocks) == num_blocks * num_channels, "none is empty"
    return channels, blocks, sums


# --- Bit strings


# § Conventions
class Reader:
    """Takes fields from a payload; `position` counts bits."""

    def __init__(self, data):
        self.data = data
        self.position = 0

    def bits(self, count):
        first, end = self.position // 8, (self.position + count + 7) // 8
        assert end <= len(self.data), "cut off"
        value = int.from_bytes(self.data[first:end], "little") >> self.position % 8
        self.position += count
        return value & (1 << count) - 1

    def signed_bits(self, count):
        value = self.bits(count)
        return value - (value >> count - 1 << count)

    def zeros(self):
        count = 0
        while self.bits(1) == 0:
            count += 1
        return count

    def gamma(self):
        n = self.zeros()
        return (1 << n | self.bits(n)) - 1

    def rice(self, r):
        return self.zeros() << r | self.bits(r)

    def signed_gamma(self):
        return unfold(self.gamma())

    def signed_rice(self, r):
        return unfold(self.rice(r))

    def fill(self):
        """Go on to a whole byte."""
        assert self.bits(-self.position % 8) == 0

    def varint(self):
        value = shift = 0
        more = True
        while more:
            value |= self.bits(7) << shift
            more = self.bits(1)
            shift += 7
        return value


def unfold(v):
    return v >> 1 if v % 2 == 0 else ~(v >> 1)


def signed16(value):
    return (value + 2**15) % 2**16 - 2**15


def signed32(value):
    return (value + 2**31) % 2**32 - 2**31


def limit(value, low, high):
    return low if value < low else high if value > high else value


# --- Block


# § Block, Head, Reference, Map, Step map
def read_head(read, distance):
    block = SimpleNamespace(kind=read.bits(2), map=read.bits(2), num_lanes=1 << read.bits(3))
    assert read.bits(1) == 0
    block.reference = distance
    assert block.kind <= WIDTH
    assert block.num_lanes <= 16
    if distance:
        read_taps(read, block)
    if block.map == STEP:
        block.step = read.bits(16)
        block.offset = read.bits(16)
        assert block.step != 0
    if block.map == PALETTE:
        block.palette = read_palette(read)
    return block


# § Reference
def read_taps(read, block):
    count = read.gamma() + 1
    block.first_lag = read.signed_gamma()
    assert -8 <= block.first_lag < block.first_lag + count <= 8
    block.tap_shift = read.bits(4)
    r = read.bits(3)
    block.taps = [read.signed_rice(r) for _ in range(count)]
    assert sum(map(abs, block.taps)) <= 32767


# § Palette
def read_palette(read):
    count = read.gamma() + 2
    assert count <= 4096
    first = read.signed_bits(16)
    smallest = read.gamma() + 1
    r = read.bits(4)
    return list(accumulate((smallest + read.rice(r) for _ in range(count - 1)), initial=first))


# § Block, Differences
def decode_block(read, block, num_samples, widths):
    assert block.num_lanes <= num_samples
    if block.kind == PACKED:
        codes = decode_packed(read, block, num_samples)
    else:
        read_fields(read, block, num_samples, widths)
        make_echoes(block, num_samples)
        codes = decode_lanes(read, block)
        for _ in range(block.differences):
            codes = [signed16(code) for code in accumulate(codes)]
    if block.reference and block.kind != WIDTH:
        make_echoes(block, num_samples)
        codes = [signed16(code + c) for code, c in zip(codes, block.echoes, strict=True)]
    return [sample_of(block, code) for code in codes]


# § Reference
def make_echoes(block, num_samples):
    block.echoes = [0] * num_samples
    if not block.reference:
        return
    z = block.other
    if block.kind == WIDTH:
        z = [block.positions[x >> 6] for x in z]
    s = block.tap_shift
    for t in range(num_samples):
        lags = range(block.first_lag, block.first_lag + len(block.taps))
        near = [z[limit(t + lag, 0, num_samples - 1)] for lag in lags]
        c = (sum(map(mul, block.taps, near)) + (1 << s >> 1)) >> s
        block.echoes[t] = limit(c, -(2**15), 2**15 - 1)


# § Identity, adc, Step map, Palette
def sample_of(block, code):
    if block.map == ADC:
        return ADC_SAMPLES[code + 2**15]
    if block.map == STEP:
        return signed16(block.offset + block.step * code)
    if block.map == PALETTE:
        index = code + len(block.palette) // 2
        assert 0 <= index < len(block.palette)
        return block.palette[index]
    return code


# § Packed
def decode_packed(read, block, num_samples):
    assert block.num_lanes == 1
    block.width = read.bits(5)
    base = read.bits(16)
    assert block.width <= 16
    read.fill()
    codes = [signed16(base + read.bits(block.width)) for _ in range(num_samples)]
    read.fill()
    return codes


# § Tail and predictor, Escape, Integer fields
def read_fields(read, block, num_samples, widths):
    block.tail = read.bits(8)
    read_angles(read, block)
    block.mean = read.signed_gamma()
    block.classes = [read_class(read, block) for _ in range(read.bits(4) + 1)]
    make_lanes(block, num_samples)
    read_class_numbers(read, block)
    e = read.bits(4)
    assert e <= 11
    block.escape_slots = 1 << e
    block.differences, block.histogram, block.precision, block.escape_bits = 0, None, 12, 16
    if block.kind == INTEGER:
        block.differences = read.bits(2)
        if read.bits(1):
            read_histogram(read, block)
    else:
        read_cells(read, block, widths)
    block.symbol_slots = (1 << block.precision) - block.escape_slots
    read.fill()


# § Tail and predictor, Angles and reflection coefficients
def read_angles(read, block):
    order = read.bits(6)
    assert order <= 32
    block.angles = []
    if order == 0:
        return
    block.unit = (32, 16, 8, 1)[read.bits(2)]
    block.prior = read.bits(1)
    for group in (range(1, 5), range(5, 13), range(13, 33)):
        if group[0] <= order:
            r = read.bits(4)
        for m in group:
            if m <= order:
                prior = (
                    (N1_REFLECTIONS[m - 1] + block.unit // 2) // block.unit if block.prior else 0
                )
                block.angles.append((read.signed_rice(r) + prior) * block.unit)
    assert all(abs(t) <= 1608 for t in block.angles)


# § Classes
def read_class(read, block):
    each = SimpleNamespace(scale=read.bits(8), shape=read.bits(2), hold=read.bits(1), low_bits=0)
    if block.kind == INTEGER:
        each.low_bits = read.bits(5)
        assert each.low_bits <= 16
    return each


# § Lanes
def make_lanes(block, num_samples):
    quotient, remainder = divmod(num_samples - block.tail, block.num_lanes)
    assert quotient > 0
    assert block.tail == 0 or block.num_lanes > 1
    block.lanes = [
        SimpleNamespace(size=quotient + (lane < remainder), low=[], codes=[], u=[])
        for lane in range(block.num_lanes)
    ]
    for lane, end in zip(block.lanes, accumulate(lane.size for lane in block.lanes), strict=True):
        lane.begin = end - lane.size


# § Classes
def read_class_numbers(read, block):
    """Give each lane a list of the classes of its steps."""
    longest = max(block.lanes[0].size, block.lanes[-1].size + block.tail)
    if len(block.classes) == 1:
        for lane in block.lanes:
            lane.classes = block.classes * longest
        return
    block.span = 1 << 5 + read.bits(3)
    for lane in block.lanes:
        number, lane.classes = 0, []
        for _ in range(0, longest, block.span):
            number += read.signed_gamma()
            assert 0 <= number < len(block.classes)
            lane.classes += block.span * [block.classes[number]]


# § Integer fields
def read_histogram(read, block):
    first = read.signed_gamma()
    count = read.gamma() + 1
    assert len(block.classes) == 1
    assert -128 <= first <= first + count - 1 <= 127
    r = read.bits(4)
    block.histogram = {first + i: read.rice(r) for i in range(count)}
    assert sum(block.histogram.values()) == 4096 - block.escape_slots


# § Width fields, Width
def read_cells(read, block, widths):
    assert block.map == ADC
    block.precision = 12 + read.bits(3)
    assert block.precision <= 16
    block.lowest = -512 + 16 * read.bits(6)
    block.highest = -512 + 16 * read.bits(6) + 15
    assert block.lowest <= block.highest
    block.escape_bits = 16 if read.bits(1) else 10
    block.table = read.bits(1)
    if block.table:
        assert read.bits(32) == checksum_of(bytes(widths), 0), "encoded with another table"
    sums = list(accumulate(widths if block.table else N1_WIDTHS, initial=0))
    edges = {k: sums[k + 512] - sums[512] for k in range(-512, 513)}
    assert -32767 <= edges[-512] <= edges[512] <= 32767
    block.positions = {k: (edges[k] + edges[k + 1]) >> 1 for k in range(-512, 512)}
    block.edges = edges | {block.lowest: -32768, block.highest + 1: 32767}
    assert -512 <= block.mean < 512


# --- Lanes


# § Coded samples, Lanes, Tail
def decode_lanes(read, block):
    """Return the codes of a block of the integer or the width kind."""
    read_escapes(read, block)
    in_lanes, in_tail = order_of_decoding(block)
    for lane in in_lanes + in_tail:
        lane.low.append(read.bits(lane.classes[len(lane.low)].low_bits))
    read.fill()
    for lane in block.lanes:
        lane.state = read.bits(32)
        assert lane.state >= 2**16
    make_predictors(block)

    for lane in in_lanes:
        decode_sample(block, lane, lambda: read.bits(16))
    if block.tail:
        numbers = [lane.state - 2**16 for lane in block.lanes]
        assert all(0 <= number < 2**16 for number in numbers)
        last = block.lanes[-1]
        last.state = numbers[0] + 2**16 * numbers[1]
        assert last.state >= 2**16
        words = iter(numbers[2:])
        for lane in in_tail:
            decode_sample(block, lane, lambda: next(words))
        assert last.state == 2**16
        assert not any(words)
    else:
        assert all(lane.state == 2**16 for lane in block.lanes)
    assert not block.escapes_left
    return [code for lane in block.lanes for code in lane.codes]


# § Lanes, Tail
def order_of_decoding(block):
    """Return the lane of each sample, before the tail and in it."""
    steps = range(block.lanes[0].size)
    in_lanes = [lane for i in steps for lane in block.lanes if i < lane.size]
    return in_lanes, block.tail * [block.lanes[-1]]


# § Coded samples
def read_escapes(read, block):
    count = read.varint()
    if block.escape_bits == 16:
        block.escapes = [read.signed_bits(16) for _ in range(count)]
    else:
        block.escapes = [read.bits(10) - 512 for _ in range(count)]
    block.escapes_left = block.escapes[::-1]
    read.fill()


# § Lanes
def decode_sample(block, lane, next_word):
    M = 1 << block.precision
    x = lane.state
    slot = x % M
    if slot >= block.symbol_slots:
        start, freq = block.symbol_slots, block.escape_slots
        code = block.escapes_left.pop()
    else:
        start, freq, code = find_symbol(block, lane, slot)
    assert start <= slot < start + freq
    x = freq * (x >> block.precision) + slot - start
    lane.state = x << 16 | next_word() if x < 2**16 else x
    lane.u.append(u_of(block, lane, code))
    lane.codes.append(code)


# --- Predictor


# § Angles and reflection coefficients
def turn(t):
    """Return sine and cosine of t / 1024 radian, t >= 0, in 30 fractional bits."""
    s, c = 0, 2**30
    for b in range(10, -1, -1):
        if t >> b & 1:
            S, C = (round(2**30 * f(2**b / 1024)) for f in (math.sin, math.cos))
            s, c = (s * C + c * S + 2**29) >> 30, (c * C - s * S + 2**29) >> 30
    return s, c


# § Predictor, Coefficients, Scale of lower orders
def make_predictors(block):
    """Set coefficients and shift of each order 0 .. P, and what each adds to the scale."""
    a = []
    block.predictors = [for_use(a)]
    for t in block.angles:
        sine, _ = turn(abs(t))
        k = sine if t >= 0 else -sine
        a = [x - ((k * y + 2**29) >> 30) for x, y in zip(a, a[::-1], strict=True)] + [(k + 32) >> 6]
        assert all(abs(x) < 128 * 2**24 for x in a)
        block.predictors.append(for_use(a))
    losses = [-16 * log2(turn(abs(t))[1]) for t in block.angles]
    block.extra_scale = [(sum(losses[m:]) + 2**11) >> 12 for m in range(len(losses) + 1)]


# § Coefficients
def for_use(a):
    S = sum(abs(x) for x in a)
    s = max(s for s in range(16) if 32735 * 2 ** (24 - s) >= S)
    A = [(x + 2 ** (23 - s)) >> (24 - s) for x in a]
    return A, s, sum(A)


# § Scale of lower orders
def log2(cosine):
    """Return the logarithm, in 12 fractional bits, of a number in 30 of them."""
    v = cosine << 32 - cosine.bit_length()
    result = cosine.bit_length() - 31
    for _ in range(12):
        v = v * v >> 31
        bit = v >= 2**32
        v >>= bit
        result = 2 * result + bit
    return result


# § Prediction
def predict(block, lane):
    u = lane.u
    Y, low, high = block.mean, -(2**15), 2**15 - 1
    if block.kind == WIDTH:
        Y, low, high = (block.positions[k] for k in (block.mean, block.lowest, block.highest))
    if lane.classes[len(u)].hold:
        mu = u[-1] if u else Y
    else:
        A, s, sum_of_A = block.predictors[min(len(u), len(block.angles))]
        mu = sum(map(mul, A, reversed(u)))
        mu = signed32(mu + Y * (2**s - sum_of_A) + (2 ** (s - 1) if s > 0 else 0)) >> s
    if block.kind == WIDTH:
        mu = signed32(mu + block.echoes[lane.begin + len(u)])
    return limit(mu, low, high)


# --- Distribution


# § Scale of lower orders
def distribution(block, lane):
    """Return the function F."""
    i = len(lane.codes)
    each = lane.classes[i]
    extra = 0 if each.hold else block.extra_scale[min(i, len(block.angles))]
    scale = min(each.scale + extra, 255)
    return distribution_of(scale, each.shape, block.kind, block.symbol_slots)


# § Distribution
# Both remember what they returned: many samples have the same distribution, and ask for the same.
@lru_cache(maxsize=1000)
def distribution_of(scale, shape, kind, symbol_slots):
    o, j = divmod(scale, 16)
    R = round(2 ** (16 - j / 16))
    u = 4 if kind == WIDTH else 0
    shape = N1_SHAPES[shape]

    @lru_cache(maxsize=1000)
    def F(p):
        z = (abs(p) * R) >> (o + u)
        if z >= 65536:
            G = 2**23
        else:
            G = shape[z >> 8] + ((shape[(z >> 8) + 1] - shape[z >> 8]) * (z & 255) >> 8)
        return ((2**23 + (G if p >= 0 else -G)) * symbol_slots) >> 24

    return F


# § Symbols, Integer, Width
def find_symbol(block, lane, slot):
    """Return start, freq and code of the symbol that the slot belongs to."""
    mu = predict(block, lane)
    F = distribution(block, lane)
    if block.kind == WIDTH:

        def below(k):
            return F(limit(block.edges[k] - mu, -(2**15), 2**15 - 1))

        codes = range(block.lowest, block.highest + 1)
        index = bisect_right(codes, slot, key=lambda k: below(k + 1))
        assert index < len(codes)
        k = codes[index]
        start = below(k)
        return start, below(k + 1) - start, k

    i = len(lane.codes)
    if block.histogram:
        ends = list(accumulate(block.histogram.values()))
        index = bisect_right(ends, slot)
        r, freq = list(block.histogram.items())[index]
        start = ends[index] - freq
    else:
        residuals = range(-128, 128) if i >= len(block.angles) else range(-(2**15), 2**15)
        index = bisect_right(residuals, slot, key=lambda r: F(2 * r + 1))
        assert index < len(residuals)
        r = residuals[index]
        start = F(2 * r - 1)
        freq = F(2 * r + 1) - start
    b = lane.classes[i].low_bits
    d = (r << b | lane.low[i]) - (2**b >> 1)
    return start, freq, signed16(mu + d)


# § Width
def u_of(block, lane, code):
    if block.kind == INTEGER:
        return code
    c = block.echoes[lane.begin + len(lane.u)]
    cell = code if -512 <= code < 512 else sample_of(block, code) >> 6
    if block.lowest <= cell <= block.highest:
        return limit(block.positions[cell] - c, -(2**15), 2**15 - 1)
    return lane.u[-1] if lane.u else block.positions[block.mean]


# --- adc


# § adc permutation
def grid(k):
    numerator = (2 * k + 1) * 65535 - 1023
    return numerator // 2046 if numerator >= 0 else -(-numerator // 2046)


# § adc permutation
def adc_samples():
    """Return the samples of codes -32768 .. 32767."""
    on_grid = [grid(k) for k in range(-512, 512)]
    off_grid = sorted(set(range(-(2**15), 2**15)) - set(on_grid))
    return off_grid[: 2**15 - 512] + on_grid + off_grid[2**15 - 512 :]


ADC_SAMPLES = adc_samples()

# --- Tables


# § Tables and test vectors
def numbers_of(name, file):
    text = (ROOT / "filters/core/n1" / file).read_text()
    body = re.search(name + r"(?:\[\d+\])+ = \{(.*?)\};", text, re.DOTALL)[1]
    return [int(number) for number in re.findall(r"\d+", body)]


# § Distribution
MIXTURES = [
    [(0.99, 1), (0.01, 2)],
    [(0.97, 1), (0.03, 3)],
    [(0.85, 1), (0.15, 3)],
    [(0.60, 1), (0.30, 2.5), (0.10, 6)],
]


def shape_of(mixture):
    def half(x):
        """Return Phi(x) - 1/2 of the mixture."""
        return sum(weight * math.erf(x / sigma / math.sqrt(2)) / 2 for weight, sigma in mixture)

    return [round(2**24 * half(i / 32) / (2 * half(8))) for i in range(257)]


N1_WIDTHS = numbers_of("N1_WIDTHS", "widths.h")
N1_REFLECTIONS = numbers_of("N1_REFLECTIONS", "widths.h")
N1_SHAPES = [shape_of(mixture) for mixture in MIXTURES]

# --- The low half of XXH64, as its own specification has it


# § Conventions
def checksum_of(data, seed):
    p1, p2, p3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
    p4, p5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
    mask = 2**64 - 1

    def rotate(x, n):
        x &= mask
        return (x << n | x >> 64 - n) & mask

    def mix(lane, word):
        return rotate(lane + word * p2, 31) * p1 & mask

    whole = len(data) // 32 * 32
    if whole:
        lanes = [seed + p1 + p2, seed + p2, seed, seed - p1]
        for at in range(0, whole, 8):
            word = int.from_bytes(data[at : at + 8], "little")
            lanes[at // 8 % 4] = mix(lanes[at // 8 % 4], word)
        hash = sum(rotate(lane, n) for lane, n in zip(lanes, (1, 7, 12, 18), strict=True))
        for lane in lanes:
            hash = ((hash ^ mix(0, lane)) * p1 + p4) & mask
    else:
        hash = seed + p5
    hash += len(data)
    rest = data[whole:]
    while len(rest) >= 8:
        word = int.from_bytes(rest[:8], "little")
        hash = rotate(hash ^ mix(0, word), 27) * p1 + p4
        rest = rest[8:]
    if len(rest) >= 4:
        hash = rotate(hash ^ int.from_bytes(rest[:4], "little") * p1, 23) * p2 + p3
        rest = rest[4:]
    for byte in rest:
        hash = rotate(hash ^ byte * p5, 11) * p1
    hash &= mask
    hash = (hash ^ hash >> 33) * p2 & mask
    hash = (hash ^ hash >> 29) * p3 & mask
    return (hash ^ hash >> 32) & 2**32 - 1
