"""A decoder of `n1` payloads, written from `adc` and `n1` in filters/FORMAT.md, to read beside it.

Plain Python in whole numbers, slow and short, in the order and with the names of the
specification. Whatever that demands of a payload is asserted.
"""

import math
import re
from bisect import bisect_right
from itertools import accumulate, pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).parent.parent
DTYPES = ["<i2", "<u2", "i1", "u1"]
PACKED, INTEGER, WIDTH = range(3)
IDENTITY, ADC, STEP, PALETTE = range(4)


def decode(payload, widths=None):
    """Return the samples, the fields before the first block, and those of each block."""
    read = Reader(payload)
    assert payload[:2] == b"N1"
    read.position = 16
    header = SimpleNamespace(dtype=DTYPES[read.bits(2)], dimensions=read.bits(1) + 1)
    header.end_repeats = read.bits(1)
    assert read.bits(4) == 1, "version"
    checksum = read.bits(32)
    num_samples = read.varint()
    num_channels = read.varint() if header.dimensions == 2 else 1
    repeated = read.varint() if header.end_repeats else 0
    assert not header.end_repeats or 0 < repeated < num_samples
    header.num_blocks = read.varint()

    dtype = np.dtype(header.dtype)
    blocks = []
    if header.num_blocks == 0:
        assert not header.end_repeats
        samples = np.frombuffer(payload, dtype, offset=read.position // 8)
    else:
        channels, blocks = decode_blocks(
            read, num_samples - repeated, num_channels, header.num_blocks, widths or N1_WIDTHS
        )
        assert read.position == 8 * len(payload), "after the last block the payload ends"
        middle = 1 << 8 * dtype.itemsize - 1 if dtype.kind == "u" else 0
        rows = [[sample + middle for sample in row] for row in zip(*channels, strict=True)]
        samples = np.array(rows + repeated * rows[-1:]).astype(dtype, casting="unsafe")
    shape = (num_samples, num_channels)[: header.dimensions]
    seed = DTYPES.index(header.dtype) + 4 * header.dimensions + 256 * num_channels
    assert xxh32(samples.tobytes(), seed) == checksum
    return samples.reshape(shape), header, blocks


def decode_blocks(read, num_samples, num_channels, num_blocks, widths):
    length = -(-num_samples // num_blocks)
    assert length <= 1 << 18
    channels = [[] for _ in range(num_channels)]
    blocks = []
    for begin in range(0, num_samples, length):
        end = min(begin + length, num_samples)
        for channel in range(num_channels):
            block = read_head(read)
            samples = [signed16(sample) for sample in decode_block(read, block, end - begin, widths)]
            if block.reference:
                assert channel // 16 == (channel - block.distance) // 16
                other = channels[channel - block.distance][begin:end]
                samples = [
                    signed16(sample + ((block.gain * r + 128) >> 8))
                    for sample, r in zip(samples, other, strict=True)
                ]
            channels[channel] += samples
            blocks.append(block)
    assert len(blocks) == num_blocks * num_channels, "none is empty"
    return channels, blocks


# --- Bit strings


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
    return max(low, min(value, high))


# --- Block


def read_head(read):
    block = SimpleNamespace(met=set())
    block.kind = read.bits(2)
    block.map = read.bits(2)
    block.lanes = 1 << read.bits(3)
    block.reference = read.bits(1)
    assert block.kind <= WIDTH
    assert block.lanes <= 16
    if block.reference:
        block.distance = read.gamma() + 1
        block.gain = read.signed_bits(11)
    if block.map == STEP:
        block.step = read.bits(16)
        block.offset = read.bits(16)
        assert block.step != 0
    if block.map == PALETTE:
        block.palette = read_palette(read)
    return block


def read_palette(read):
    count = read.gamma() + 2
    assert count <= 4096
    first = read.signed_bits(16)
    smallest = read.gamma() + 1
    r = read.bits(4)
    return list(accumulate((smallest + read.rice(r) for _ in range(count - 1)), initial=first))


def decode_block(read, block, size, widths):
    """Return samples, or what is left of them by the reference."""
    if block.kind == PACKED:
        assert block.lanes == 1
        codes = decode_packed(read, block, size)
    else:
        assert block.lanes <= size
        read_fields(read, block, size, widths)
        codes = decode_lanes(read, block, size)
        for _ in range(block.differences):
            codes = [signed16(code) for code in accumulate(codes)]
    return [sample_of(block, code) for code in codes]


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


def decode_packed(read, block, size):
    block.width = read.bits(5)
    base = read.bits(16)
    assert block.width <= 16
    read.fill()
    codes = [signed16(base + read.bits(block.width)) for _ in range(size)]
    read.fill()
    return codes


def read_fields(read, block, size, widths):
    block.tail = read.bits(8)
    assert block.tail == 0 or block.lanes > 1
    read_predictor(read, block)
    block.mean = read.signed_gamma()
    block.classes = [SimpleNamespace() for _ in range(read.bits(4) + 1)]
    for each in block.classes:
        each.scale = read.bits(8)
        each.shape = read.bits(2)
        each.hold = read.bits(1)
        each.low_bits = read.bits(5) if block.kind == INTEGER else 0
        assert each.low_bits <= 16
    block.sizes = lane_sizes(block, size)
    read_class_numbers(read, block)
    block.escape = 1 << read.bits(4)
    assert block.escape <= 2**11
    block.differences = read.bits(2) if block.kind == INTEGER else 0
    block.histogram = None
    if block.kind == INTEGER:
        block.precision = 12
        if len(block.classes) == 1 and read.bits(1):
            read_histogram(read, block)
        block.wide_escapes = 1
    else:
        read_cells(read, block, widths)
    read.fill()


def read_predictor(read, block):
    block.order = read.bits(6)
    assert block.order <= 32
    block.angles = []
    if block.order == 0:
        return
    block.fineness = read.bits(2)
    unit = [32, 16, 8, 1][block.fineness]
    block.prior = read.bits(1)
    for first, last in [(1, 4), (5, 12), (13, 32)]:
        if first > block.order:
            break
        r = read.bits(4)
        for m in range(first, min(last, block.order) + 1):
            prior = (N1_REFLECTIONS[m - 1] + unit // 2) // unit if block.prior else 0
            block.angles.append((read.signed_rice(r) + prior) * unit)
    assert all(abs(t) <= 1608 for t in block.angles)


def read_class_numbers(read, block):
    block.span = 0
    block.class_numbers = []
    if len(block.classes) == 1:
        block.class_numbers = [[0] * max(block.sizes)] * block.lanes
        return
    block.span = 1 << 5 + read.bits(3)
    for _ in range(block.lanes):
        number, numbers = 0, []
        for _ in range(0, max(block.sizes), block.span):
            number += read.signed_gamma()
            assert 0 <= number < len(block.classes)
            numbers += block.span * [number]
        block.class_numbers.append(numbers)


def read_histogram(read, block):
    first = read.signed_gamma()
    count = read.gamma() + 1
    assert -128 <= first <= first + count - 1 <= 127
    r = read.bits(4)
    block.histogram = {first + i: read.rice(r) for i in range(count)}
    assert sum(block.histogram.values()) == 4096 - block.escape


def read_cells(read, block, widths):
    assert block.map == ADC
    block.precision = 12 + read.bits(3)
    assert block.precision <= 16
    block.lowest = -512 + 16 * read.bits(6)
    block.highest = -512 + 16 * read.bits(6) + 15
    assert block.lowest < block.highest
    block.wide_escapes = read.bits(1)
    block.table = read.bits(1)
    if block.table:
        assert read.bits(32) == xxh32(bytes(widths), 0), "encoded with another table"
    else:
        widths = N1_WIDTHS
    sums = list(accumulate(widths, initial=0))
    edges = {code: sums[code + 512] - sums[512] for code in range(-512, 513)}
    assert edges[-512] >= -32767
    assert edges[512] <= 32767
    block.positions = {code: (edges[code] + edges[code + 1]) >> 1 for code in range(-512, 512)}
    block.edges = edges | {block.lowest: -32768, block.highest + 1: 32767}


# --- Lanes


def lane_sizes(block, size):
    """Return how many samples each lane has, the tail with the last one."""
    quotient, remainder = divmod(size - block.tail, block.lanes)
    sizes = [quotient + (lane < remainder) for lane in range(block.lanes)]
    sizes[-1] += block.tail
    return sizes


def decode_lanes(read, block, size):
    num_escapes = read.varint()
    bits = 16 if block.wide_escapes else 10
    block.escapes = [read.signed_bits(16) if bits == 16 else read.bits(10) - 512
                     for _ in range(num_escapes)]
    read.fill()

    tail = [(block.lanes - 1, block.sizes[-1] - block.tail + i) for i in range(block.tail)]
    steps = [(lane, i) for i in range(max(block.sizes)) for lane in range(block.lanes)
             if i < block.sizes[lane] and (lane, i) not in tail]
    low = {(lane, i): read.bits(block.classes[block.class_numbers[lane][i]].low_bits)
           for lane, i in steps + tail}
    read.fill()

    states = [read.bits(32) for _ in range(block.lanes)]
    assert all(state >= 2**16 for state in states)
    predictors = predictors_of(block)
    losses = losses_of(block)
    lanes = [[] for _ in range(block.lanes)]
    positions = [[] for _ in range(block.lanes)]
    escapes = iter(block.escapes)

    def decode_sample(lane, i, state, next_word):
        each = block.classes[block.class_numbers[lane][i]]
        mu = predict(block, each, predictors, positions[lane])
        F = distribution(block, each, losses[min(i, block.order)])
        M = 1 << block.precision
        slot = state % M
        if slot >= M - block.escape:
            start, freq = M - block.escape, block.escape
            code = next(escapes)
        else:
            start, freq, code = find_symbol(block, each, F, mu, slot, i, low[lane, i])
        assert start <= slot < start + freq
        state = freq * (state >> block.precision) + slot - start
        if state < 2**16:
            state = state << 16 | next_word()
        lanes[lane].append(code)
        positions[lane].append(position_of(block, code, positions[lane]))
        return state

    for lane, i in steps:
        states[lane] = decode_sample(lane, i, states[lane], lambda: read.bits(16))
    numbers = [state - 2**16 for state in states]
    if block.tail:
        assert all(0 <= number < 2**16 for number in numbers)
        state = numbers[0] + 2**16 * numbers[1]
        words = iter(numbers[2:])
        for lane, i in tail:
            state = decode_sample(lane, i, state, lambda: next(words))
        assert state == 2**16
        assert not any(words)
    else:
        assert not any(numbers)
    assert next(escapes, None) is None
    return [code for codes in lanes for code in codes]


# --- Predictor


def turn(t):
    """Return sine and cosine of t / 1024 radian, t >= 0, in 30 fractional bits."""
    s, c = 0, 2**30
    for b in range(10, -1, -1):
        if t >> b & 1:
            S = round(2**30 * math.sin(2**b / 1024))
            C = round(2**30 * math.cos(2**b / 1024))
            s, c = (s * C + c * S + 2**29) >> 30, (c * C - s * S + 2**29) >> 30
    return s, c


def predictors_of(block):
    """Return for each order 0 .. P coefficients A_1 .. and shift s."""
    a = []
    predictors = [scaled(a)]
    for t in block.angles:
        s, _ = turn(abs(t))
        k = s if t >= 0 else -s
        a = [x - ((k * y + 2**29) >> 30) for x, y in zip(a, a[::-1], strict=True)] + [(k + 32) >> 6]
        assert all(abs(x) < 128 * 2**24 for x in a)
        predictors.append(scaled(a))
    return predictors


def scaled(a):
    S = sum(abs(x) for x in a)
    s = max(s for s in range(16) if S <= 32735 * 2 ** (24 - s))
    return [(x + 2 ** (23 - s)) >> (24 - s) for x in a], s


def losses_of(block):
    """Return for each order m = 0 .. P what is added to the scale."""
    losses = [16 * -log2(turn(abs(t))[1]) for t in block.angles]
    return [(sum(losses[m:]) + 2**11) >> 12 for m in range(block.order + 1)]


def log2(cosine):
    """Return the logarithm of a number of 30 fractional bits, in 12 of them."""
    exponent = cosine.bit_length() - 31
    v = cosine << 32 - cosine.bit_length()
    bits = 0
    for _ in range(12):
        v = v * v >> 31
        bit = v >= 2**32
        v >>= bit
        bits = bits << 1 | bit
    return (exponent << 12) + bits


def predict(block, each, predictors, y):
    Y = block.positions[block.mean] if block.kind == WIDTH else block.mean
    if each.hold:
        return y[-1] if y else Y
    A, s = predictors[min(len(y), block.order)]
    recent = y[: -len(A) - 1 : -1]
    mu = sum(a * p for a, p in zip(A, recent, strict=True)) + Y * (2**s - sum(A))
    mu = signed32(mu + (2 ** (s - 1) if s else 0)) >> s
    if block.kind == WIDTH:
        return limit(mu, block.positions[block.lowest], block.positions[block.highest])
    return limit(mu, -(2**15), 2**15 - 1)


# --- Distribution


def distribution(block, each, loss):
    scale = each.scale if each.hold else min(each.scale + loss, 255)
    o, j = divmod(scale, 16)
    R = round(2 ** (16 - j / 16))
    u = 4 if block.kind == WIDTH else 0
    slots = (1 << block.precision) - block.escape
    shape = N1_SHAPES[each.shape]

    def F(p):
        z = (abs(p) * R) >> (o + u)
        if z >= 65536:
            G = 2**23
        else:
            G = shape[z >> 8] + ((shape[(z >> 8) + 1] - shape[z >> 8]) * (z & 255) >> 8)
        return ((2**23 + (G if p >= 0 else -G)) * slots) >> 24

    return F


def find_symbol(block, each, F, mu, slot, i, low):
    """Return start, freq and code of what lies at the slot."""
    if block.kind == WIDTH:
        F_edge = {}

        def upper(k):
            return F(signed16_limited(block.edges[k + 1] - mu))

        codes = range(block.lowest, block.highest + 1)
        code = codes[bisect_right(codes, slot, key=upper)]
        start = F(signed16_limited(block.edges[code] - mu))
        return start, upper(code) - start, code
    if block.histogram:
        starts = accumulate(block.histogram.values(), initial=0)
        for (r, freq), start in zip(block.histogram.items(), starts, strict=False):
            if slot < start + freq:
                break
    else:
        residuals = range(-128, 128) if i >= block.order else range(-(2**15), 2**15)
        r = residuals[bisect_right(residuals, slot, key=lambda r: F(2 * r + 1))]
        start = F(2 * r - 1)
        freq = F(2 * r + 1) - start
    d = (r << each.low_bits | low) - (1 << each.low_bits >> 1)
    return start, freq, signed16(mu + d)


def signed16_limited(value):
    return limit(value, -(2**15), 2**15 - 1)


def position_of(block, code, before):
    if block.kind == INTEGER:
        return code
    cell = code if -512 <= code < 512 else ADC_SAMPLES[code + 2**15] >> 6
    if block.lowest <= cell <= block.highest:
        return block.positions[cell]
    return before[-1] if before else block.positions[block.mean]


# --- adc


def grid(k):
    numerator = (2 * k + 1) * 65535 - 1023
    return numerator // 2046 if numerator >= 0 else -(-numerator // 2046)


def adc_samples():
    """Return the samples of codes -32768 .. 32767."""
    on_grid = [grid(k) for k in range(-512, 512)]
    off_grid = sorted(set(range(-(2**15), 2**15)) - set(on_grid))
    return off_grid[: 2**15 - 512] + on_grid + off_grid[2**15 - 512 :]


ADC_SAMPLES = adc_samples()

# --- Tables


def numbers_of(name, file):
    text = (ROOT / "filters/core" / file).read_text()
    body = re.search(name + r"(?:\[\d+\])+ = \{(.*?)\};", text, re.DOTALL)[1]
    return [int(number) for number in re.findall(r"\d+", body)]


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


N1_WIDTHS = numbers_of("N1_WIDTHS", "n1_widths.h")
N1_REFLECTIONS = numbers_of("N1_REFLECTIONS", "n1_widths.h")
N1_SHAPES = [shape_of(mixture) for mixture in MIXTURES]

# --- XXH32, as its own specification has it


def xxh32(data, seed):
    P1, P2, P3, P4, P5 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1
    mask = 2**32 - 1

    def rotate(x, n):
        return (x << n | (x & mask) >> 32 - n) & mask

    whole = len(data) // 16 * 16
    if whole:
        lanes = [seed + P1 + P2, seed + P2, seed, seed - P1]
        for at in range(0, whole, 4):
            word = int.from_bytes(data[at : at + 4], "little")
            lane = at // 4 % 4
            lanes[lane] = rotate((lanes[lane] + word * P2) & mask, 13) * P1 & mask
        hash = sum(rotate(lane, n) for lane, n in zip(lanes, (1, 7, 12, 18), strict=True))
    else:
        hash = seed + P5
    hash += len(data)
    rest = data[whole:]
    for at in range(0, len(rest) // 4 * 4, 4):
        hash = rotate((hash + int.from_bytes(rest[at : at + 4], "little") * P3) & mask, 17) * P4
    for byte in rest[len(rest) // 4 * 4 :]:
        hash = rotate((hash + byte * P5) & mask, 11) * P1
    hash &= mask
    hash = (hash ^ hash >> 15) * P2 & mask
    hash = (hash ^ hash >> 13) * P3 & mask
    return hash ^ hash >> 16
