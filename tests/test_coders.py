"""The coders, rle to rans, beside decoders written from filters/FORMAT.md alone."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from conftest import read_wav_independently
from hypothesis import given, settings
from hypothesis import strategies as st

from n1store import N1StoreError, core

CODERS = ["rle", "packbits10", "huffman", "arithmetic", "rans"]
ENTROPY_CODERS = CODERS[2:]


# --- Decoders written from the specification: one word after the other


def specified(name, payload):
    """Return the data of a payload."""
    assert payload[0] >> 4 == 1
    size, at = varint(payload, 1)
    if payload[0] & 15 == 0:
        return payload[at:]
    odd, at = payload[at : at + size % 2], at + size % 2
    words = {
        "rle": undo_rle,
        "packbits10": undo_packbits10,
        "huffman": lambda *rest: undo_blocks([huffman_words, huffman_words, huffman_pairs], *rest),
        "rans": lambda *rest: undo_blocks([rans_words, rans_words], *rest),
        "arithmetic": undo_arithmetic,
    }[name](payload[at:], size // 2)
    return np.array(words, "<u2").tobytes() + odd


def varint(data, at):
    value, shift = 0, 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def words_at(data, at, count):
    return np.frombuffer(data[at : at + 2 * count], "<u2").tolist()


def signed(word):
    return (word + 32768) % 65536 - 32768


def unfolded(number):
    return -(number + 1) // 2 if number % 2 else number // 2


def undo_rle(data, count):
    words, at = [], 0
    while len(words) < count:
        token, at = varint(data, at)
        n = token // 2 + 1
        words += words_at(data, at, 1) * n if token % 2 else words_at(data, at, n)
        at += 2 if token % 2 else 2 * n
    assert (len(words), at) == (count, len(data))
    return words


def undo_packbits10(data, count):
    blocks = -(-count // 1024)
    words, at = [], -(-blocks // 8)
    for b in range(blocks):
        n = min(1024, count - 1024 * b)
        if data[b // 8] >> b % 8 & 1:
            words += words_at(data, at, n)
            at += 2 * n
        else:
            size = -(-10 * n // 8)
            bits = int.from_bytes(data[at : at + size], "little")
            words += [((bits >> 10 * i) + 512) % 1024 - 512 & 0xFFFF for i in range(n)]
            at += size
    assert at == len(data)
    return words


class RangeCode:
    def __init__(self, data):
        self.digits, self.taken = np.frombuffer(data[: len(data) // 2 * 2], "<u2").tolist(), 0
        self.c, self.r = 0, 2**48
        for _ in range(3):
            self.take_digit()
        self.bits = defaultdict(lambda: [2**15, 0])

    def take_digit(self):
        digit = self.digits[self.taken] if self.taken < len(self.digits) else 0
        self.c, self.taken = 2**16 * self.c + digit, self.taken + 1

    def slot(self, n):
        return self.c // (self.r >> n)

    def narrow(self, start, freq, n):
        s = self.r >> n
        self.c, self.r = self.c - s * start, s * freq
        if self.r < 2**32:
            self.take_digit()
            self.r *= 2**16

    def plain(self, n):
        number = self.slot(n)
        self.narrow(number, 1, n)
        return number

    def bit(self, context):
        p, count = self.bits[context]
        bit = int(self.slot(16) < p)
        self.narrow(0 if bit else p, p if bit else 2**16 - p, 16)
        p += (2**16 - p) // (count + 2) if bit else -(p // (count + 2))
        self.bits[context] = [p, min(count + 1, 253)]
        return bit

    def adaptive(self, name, n):
        u = 1
        for _ in range(n):
            u = 2 * u + self.bit((name, u))
        return u - 2**n

    def number(self, name):
        k = 0
        while k < 16 and self.bit((name, "M", k)):
            k += 1
        u = 1
        for _ in range(k):
            u = 2 * u + (self.bit((name, "B", k, u)) if u < 64 else self.plain(1))
        return u - 1

    def size(self):
        return 2 * (self.taken - (2 if self.r >= 2**33 else 1))


def undo_blocks(forms, data, count):
    words, at = undo_block(forms, data, 0, count)
    assert at == len(data)
    return words


def undo_block(forms, data, at, n):
    head, at = varint(data, at)
    if head == 1:
        assert n >= 1024
        first, at = undo_block(forms, data, at, n - n // 2)
        second, at = undo_block(forms, data, at, n // 2)
        return first + second, at
    assert n <= 2**16
    if head == 0:
        return words_at(data, at, n), at + 2 * n

    code = RangeCode(data[at:])
    tables, threshold, form = tables_of(forms, code, head - 1)
    assert max(len(table) for table in tables) <= n
    at += code.size()
    if head - 1 == 1:
        return [tables[0][0][0]] * n, at
    decoded, used = forms[form](tables, threshold, data[at:], n)
    return decoded, at + used


def tables_of(forms, code, num_words):
    """Return the table of each group, of words and their values, the threshold, and the form."""
    sizes, usual, threshold, stepped, mirrored, form = [num_words], 1, 32768, 0, 0, 0
    if num_words > 1:
        usual += code.number("usual")
        stepped, mirrored, form = code.plain(1), code.plain(1), code.plain(2)
        if form == 1:
            threshold = code.plain(16) - 32768
            sizes.append(code.plain(16) + 1)
    tables = []
    for size in sizes:
        rare = 13 if forms[form] is huffman_words and num_words > 1 else 1
        value, values = rare, {}
        for i in range(size):
            if i == 0:
                word = code.plain(16) - 32768
            else:
                e = min(v for v in values if v > word - 64) - (word - 64) if stepped else 0
                if mirrored and word >= 0 and min(values) < -word:
                    e = -max(v for v in values if v < -word) - word
                number = code.number(("distance", e if e < 4 else 4 if e < 63 else 5))
                e = e or usual
                word += number + (number >= e) if number else e
            like, k = None, 0
            if mirrored and word > 0 and -word in values:
                like, k = -word, 2
            elif stepped and word - 64 in values:
                like, k = word - 64, 1
            value = values[like] if k else rare if stepped else value
            value += unfolded(code.number(("change", k)))
            values[word] = value
        tables.append([(word % 65536, value) for word, value in values.items()])
    return tables, threshold, form


def canonical_codes(lengths):
    """Return which symbol has a length and a code, of lengths by symbol."""
    codes, code, before = {}, -1, 0
    for symbol, length in sorted(lengths, key=lambda entry: entry[1]):  # stable
        code = (code + 1) << (length - before)
        before = length
        codes[length, code] = symbol
    assert code == 2**before - 1
    return codes


def strings(data):
    """Return the bits of both, how long the first one says it is, and where the second begins."""
    size = data[0] + 256 * data[1]
    return [Bits(data[2 : 2 + size]), Bits(data[2 + size :])], size


class Bits:
    def __init__(self, data):
        self.data, self.at = data, 0

    def symbol(self, codes):
        length, code = 0, 0
        while (length, code) not in codes:
            code = 2 * code + (self.data[self.at // 8] >> (7 - self.at % 8) & 1)
            length, self.at = length + 1, self.at + 1
        return codes[length, code]

    def size(self):
        return -(-self.at // 8)


def huffman_words(tables, threshold, data, count):
    groups = [canonical_codes(table) for table in tables]
    both, size = strings(data)
    words = []
    for i in range(count):
        before = signed(words[i - 2]) if i > 1 else 0
        words.append(both[i % 2].symbol(groups[before >= threshold]))
    assert both[0].size() == size
    return words, 2 + size + both[1].size()


def lengths_of(weights):
    """Return the lengths that Huffman's tree gives to symbols by their weights."""
    least = 1 + sum(weights) // 2**17
    while True:
        by_weight = sorted(range(len(weights)), key=lambda i: weights[i])  # stable
        leaves, nodes = [(max(weights[i], least), [i]) for i in by_weight], []
        lengths = [0] * len(weights)
        while len(leaves) + len(nodes) > 1:
            pair = []
            for _ in range(2):
                is_leaf = leaves and (not nodes or leaves[0][0] <= nodes[0][0])
                pair.append((leaves if is_leaf else nodes).pop(0))
            for i in pair[0][1] + pair[1][1]:
                lengths[i] += 1
            nodes.append((pair[0][0] + pair[1][0], pair[0][1] + pair[1][1]))
        if max(lengths) <= 16:
            return lengths
        least *= 2


def huffman_pairs(tables, _threshold, data, count):
    squares = [(word, weight**2) for word, weight in tables[0]]
    total = sum(square for _, square in squares)
    by_weight = sorted(squares, key=lambda entry: -entry[1])  # stable
    frequent = by_weight if len(squares) < 34 else by_weight[:32]
    frequent = [entry for entry in squares if entry in frequent]
    rare = [entry for entry in squares if entry not in frequent]
    of_rare = sum(square for _, square in rare)
    assert total <= 2**20
    assert of_rare <= total // 2
    sides = frequent + ([(None, of_rare)] if rare else [])
    pairs = [(a, b) for a, _ in sides for b, _ in sides]
    lengths = lengths_of([x * y for _, x in sides for _, y in sides])
    codes = canonical_codes(list(zip(pairs, lengths, strict=True)))
    if rare:
        lengths = lengths_of([square for _, square in rare])
        rare_codes = canonical_codes(
            [(word, length) for (word, _), length in zip(rare, lengths, strict=True)]
        )
    both, size = strings(data)
    words = []
    while len(words) < count:
        bits = both[len(words) // 2 % 2]
        for word in bits.symbol(codes):
            words.append(bits.symbol(rare_codes) if word is None else word)
    assert both[0].size() == size
    return words[:count], 2 + size + both[1].size()


def rans_words(tables, threshold, data, count):
    n, states, at = data[0], [int.from_bytes(data[i : i + 4], "little") for i in (1, 5)], 9
    groups = []
    for table in tables:
        sums = np.cumsum([0] + [weight**2 for _, weight in table])
        starts = [i + int(s) * (2**n - len(table)) // int(sums[-1]) for i, s in enumerate(sums)]
        owner = np.repeat(np.arange(len(table)), np.diff(starts)).tolist()
        groups.append(([word for word, _ in table], starts, owner))
    words = []
    for t in range(count):
        known, starts, owner = groups[(signed(words[t - 2]) if t > 1 else 0) >= threshold]
        x = states[t % 2]
        slot = x % 2**n
        i = owner[slot]
        x = (starts[i + 1] - starts[i]) * (x >> n) + slot - starts[i]
        if x < 2**16:
            x, at = x << 16 | data[at] | data[at + 1] << 8, at + 2
        states[t % 2] = x
        words.append(known[i])
    assert states == [2**16] * 2
    return words, at


def difference(code):
    parts = []
    for name in ("multiple", "rest"):
        num_bits = code.adaptive(name, 4)
        upper = min(num_bits, 2)
        number = 2**upper + code.adaptive((name, num_bits), upper)
        parts.append((number, num_bits - upper))
    (high, high_bits), (low, low_bits) = parts
    left = code.plain(high_bits + low_bits)
    high = (high << high_bits) + (left >> low_bits)
    low = (low << low_bits) + left % 2**low_bits
    return 64 * unfolded(high - 1) + unfolded(low - 1)


def undo_arithmetic(data, count):
    size, at = varint(data, 0)
    codes = [RangeCode(data[at : at + size // 2]), RangeCode(data[at + size // 2 :])]
    codes[1].bits = codes[0].bits  # the model is shared
    two_groups, size = size % 2, size // 2
    threshold = codes[0].plain(16) - 32768 if two_groups else 32768
    groups = [{} for _ in range(1 + two_groups)]
    recent, recent_escapes, words = 0, 0, []
    while len(words) < count:
        n = 13
        for g, counts in enumerate(groups):
            if sum(counts.values()) > max(6000, 8 * len(counts)):
                groups[g] = {word: c // 2 for word, c in counts.items() if c > 1}
            while 2**n < 4 * len(groups[g]):
                n += 1
        e = 2**n * (recent_escapes + 80) // (recent + 256)
        e = min(max(e, 2 ** (n - 12)), 2 ** (n - 1))
        shares = []
        for counts in groups:
            known, total = list(counts), sum(counts.values())
            q = 2**32 * (2**n - e - len(known)) // total if known else 0
            sums = np.cumsum([0] + [counts[word] for word in known])
            starts = [i + (int(s) * q >> 32) for i, s in enumerate(sums)]
            owner = np.repeat(np.arange(len(known)), np.diff(starts)).tolist()
            shares.append((known, starts, owner))

        begin = len(words)
        even = lambda number: number - number % 2  # noqa: E731
        num_known = lambda: sum(len(counts) for counts in groups)  # noqa: E731
        k = num_known()
        end = begin + even(min(max(begin // 16, 4, k // 3), max(k, 1024)))
        escapes, i = 0, begin
        while i < min(end, count):
            before = escapes
            for j in range(i, min(i + 2, count)):
                code = codes[j % 2]
                g = (signed(words[j - 2]) if j > 1 else 0) >= threshold
                counts, (known, starts, owner) = groups[g], shares[g]
                slot = code.slot(n)
                if slot < starts[-1]:
                    k = owner[slot]
                    code.narrow(starts[k], starts[k + 1] - starts[k], n)
                    word = known[k]
                    counts[word] += 1
                else:
                    code.narrow(starts[-1], 2**n - starts[-1], n)
                    word = ((words[-1] if words else 0) + difference(code)) % 65536
                    if word in counts or len(counts) < 2**14:
                        counts[word] = counts.get(word, 0) + 1
                    escapes += 1
                words.append(word)
            i += 2
            if escapes > before:
                end = min(end, i + even(16 + num_known() // 2))
        recent += 256 * (i - begin) - recent // 4
        recent_escapes += 256 * escapes - recent_escapes // 4
    assert [code.size() for code in codes] == [size, len(data) - at - size]
    return words


# --- Data


def encode(name, data):
    return core.simple_codec(name).encode(data).tobytes()


def decode(name, payload):
    return core.simple_codec(name).decode(payload).tobytes()


def entropy(data):
    """Return the bytes that the words take if only their frequencies in the data are known."""
    _, counts = np.unique(np.frombuffer(data, "<u2"), return_counts=True)
    return np.sum(counts * np.log2(counts.sum() / counts)) / 8


def rounded(values):
    return np.round(values).astype(int).astype("u2").astype("<u2")


def normal(count, sigma, seed=0):
    return np.random.default_rng(seed).normal(0, sigma, count)


def noise(count):
    return np.random.default_rng(1).integers(0, 65536, count)


WORDS = {
    "one word": lambda: np.array([513]),
    "two words": lambda: np.array([1, 1]),
    "three words": lambda: np.array([7, 7, 7]),
    "constant": lambda: np.full(70_001, 54321),
    "two values": lambda: np.where(normal(1500, 1) > 1.5, 65535, 0),
    "codes": lambda: normal(6000, 20),
    "codes beyond ten bits": lambda: np.where(noise(6000) < 20, 600, normal(6000, 20)),
    "many rare values": lambda: normal(5000, 2) ** 7 % 65536,
    "on a grid": lambda: np.trunc((np.round(normal(3000, 9)) + 0.5) * 65535 / 1023 - 0.5),
    "differences": lambda: np.diff(
        np.trunc((np.round(normal(9000, 9)) + 0.5) * 65535 / 1023 - 0.5)
    ),
    "near steps": lambda: 64 * np.round(normal(3000, 9)) + noise(3000) % 3 - 1,
    "wide": lambda: normal(24_000, 900),
    "all there are": lambda: np.concatenate([np.arange(-32768, 32768), np.zeros(9000)]),
    "drifting": lambda: normal(20_000, 3) + np.arange(20_000) // 40,
    "wandering": lambda: np.cumsum(normal(9_000, 3)) % 300 - 100,
    "wandering far": lambda: np.cumsum(normal(20_000, 900)),
    "1,500 values": lambda: noise(20_000) % 1500,
    "twelve bits": lambda: noise(20_000) % 4096,
    "sixteen bits": lambda: noise(300),
    "extremes": lambda: np.repeat([32767, 32768, 0, 65535], 50),
    "runs": lambda: np.repeat(noise(400) % 5, np.arange(400) % 4 + 1),
    "noise, then silence": lambda: np.where(np.arange(140_000) < 66_000, noise(140_000), 3),
    "skewed": lambda: np.repeat(np.arange(17), [1, 1, *2 ** np.arange(1, 16)]) * 3,
}
WORDS = {name: rounded(make()) for name, make in WORDS.items()}
LONGEST = 25_000  # words, of those that the slow decoders are tried on


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("name", CODERS)
def test_payloads_are_as_specified(name, words):
    whole = WORDS[words].tobytes()
    for data in (whole, whole[:-1], whole + b"\xff"):
        payload = encode(name, data)
        assert decode(name, payload) == data
        assert core.simple_codec(name).decoded_size(payload) == len(data)
        assert len(payload) <= len(data) + 8
    if len(data) < 2 * LONGEST or len(payload) < 2000:
        assert specified(name, payload) == data


@pytest.mark.parametrize("name", CODERS)
def test_few_bytes(name):
    assert encode(name, b"") == b"" == decode(name, b"")
    for size in range(1, 40):
        for data in (bytes(size), bytes(range(size)), b"\xff" * size):
            payload = encode(name, data)
            assert decode(name, payload) == specified(name, payload) == data


@pytest.mark.parametrize("name", CODERS)
@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([0, 1, 255, 256, 511, 512, 65024, 65535]), max_size=300).map(
        lambda words: np.array(words, "<u2").tobytes()
    )
)
@settings(max_examples=60, deadline=None)
def test_anything_comes_back(name, data):
    payload = encode(name, data)
    assert decode(name, payload) == data
    assert not payload or specified(name, payload) == data
    assert len(payload) <= len(data) + 8


@pytest.mark.parametrize("name", CODERS)
def test_at_any_address(name):
    data = b"x" + WORDS["codes"].tobytes()
    payload = bytes(1) + encode(name, memoryview(data)[1:])
    out = np.zeros(len(data), "u1")
    core.simple_codec(name).decode(memoryview(payload)[1:], out=out[1:])
    assert out[1:].tobytes() == data[1:]


def test_noise_is_stored():
    data = noise(70_000).astype("<u2").tobytes()
    for name in CODERS:
        payload = encode(name, data)
        assert payload == bytes([1 << 4]) + payload[1:4] + data


# --- What the coders are for


def chunks_of(recordings, num_samples):
    for path in sorted(recordings.glob("*.wav")):
        samples = read_wav_independently(path)[0].astype("<i2")
        for begin in range(0, len(samples) - num_samples + 1, num_samples):
            yield samples[begin : begin + num_samples]


def transformed(name, samples, parameter):
    return core.simple_codec(name).encode(samples, samples.shape[1], parameter).view("<i2")


VIEWS = {
    "raw": lambda samples: samples,
    "adc": core.adc_encode,
    "delta": lambda samples: np.diff(samples, axis=0, prepend=0),
    "lpc": lambda samples: transformed("lpc", samples, 8),
    "iwt": lambda samples: transformed("iwt", samples, 8),
    "adc+delta": lambda samples: np.diff(core.adc_encode(samples), axis=0, prepend=0),
    "adc+lpc": lambda samples: transformed("lpc", core.adc_encode(samples), 8),
    "adc+iwt": lambda samples: transformed("iwt", core.adc_encode(samples), 8),
}
WITHIN = {"huffman": 1.01, "rans": 1.01, "arithmetic": 1.02}
# Of single chunks some have so many different words that a little more goes into naming them.
MORE_IN_CHUNKS = {"delta": 0.005, "lpc": 0.005, "iwt": 0.015}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ENTROPY_CODERS)
def test_recordings_take_little_more_than_their_entropy(name, view, recordings):
    sizes, entropies = [], []
    for samples in chunks_of(recordings, 19_531):
        data = np.ascontiguousarray(VIEWS[view](samples)).astype("<i2").tobytes()
        payload = encode(name, data)
        assert decode(name, payload) == data
        sizes.append(len(payload))
        entropies.append(entropy(data))
    assert sum(sizes) < WITHIN[name] * sum(entropies)
    most = WITHIN[name] + MORE_IN_CHUNKS.get(view, 0)
    assert all(s < most * e for s, e in zip(sizes, entropies, strict=True))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", CODERS)
def test_recordings_as_specified(name, view, recordings):
    samples = next(chunks_of(recordings, 5_000))
    data = np.ascontiguousarray(VIEWS[view](samples)).astype("<i2").tobytes()
    assert specified(name, encode(name, data)) == data


def test_codes_of_ten_bits():
    codes = WORDS["codes"]
    assert len(encode("packbits10", codes)) == 1 + 2 + 1 + 10 * len(codes) // 8
    codes = codes.copy()
    codes[5] = 512  # costs one block of 1,024 its packing
    assert len(encode("packbits10", codes)) == 1 + 2 + 1 + 10 * len(codes) // 8 + 6 * 1024 // 8


def test_constant_words_take_next_to_nothing():
    data = np.full(100_000, -3, "<i2").tobytes()
    assert len(encode("rle", data)) < 100
    for name in ENTROPY_CODERS:
        assert len(encode(name, data)) < 40


def test_what_drifts_is_followed():
    words = rounded(normal(120_000, 3) + np.arange(120_000) // 200)
    data = words.tobytes()
    assert len(encode("arithmetic", data)) < 0.75 * entropy(data)
    # Tables of two blocks alone would be no match.
    of_blocks = sum(entropy(half.tobytes()) for half in np.split(words, 2))
    assert len(encode("arithmetic", data)) < 0.84 * of_blocks
    # The others make many blocks of it.
    assert len(encode("huffman", data)) < 0.45 * entropy(data)
    assert len(encode("rans", data)) < 0.45 * entropy(data)


@pytest.mark.parametrize("name", ["huffman", "rans"])
def test_a_block_ends_where_other_words_begin(name):
    first, second = normal(4000, 5), 300 + normal(4000, 30)
    data = rounded(np.concatenate([first, second])).tobytes()
    parts = [rounded(part).tobytes() for part in (first, second)]
    assert len(encode(name, data)) < sum(len(encode(name, part)) for part in parts)


@pytest.mark.parametrize(
    ("words", "most"),
    [
        pytest.param(noise(50_000) % 10 == 0, 1.4, id="nine of ten are the same"),
        pytest.param(noise(50_000) % 3, 1.02, id="three equally frequent ones"),
        pytest.param(noise(50_000) % 11, 1.005, id="eleven"),
    ],
)
def test_huffman_halves_what_whole_bits_cost(words, most):
    data = rounded(words).tobytes()
    assert len(encode("huffman", data)) < most * entropy(data)


def wandering(count):
    """Return words that are about as far from zero as those before them."""
    steps, level = normal(count, 4), 0
    return rounded([level := 0.98 * level + step for step in steps])


@pytest.mark.parametrize("name", ENTROPY_CODERS)
def test_groups_follow_what_wanders(name):
    data = wandering(20_000).tobytes()
    assert len(encode(name, data)) < 0.95 * entropy(data)
    shuffled = np.random.default_rng(2).permutation(np.frombuffer(data, "<u2")).tobytes()
    assert entropy(data) < len(encode(name, shuffled)) < WITHIN[name] * entropy(data)


# --- Damage


@pytest.mark.parametrize("name", CODERS)
@pytest.mark.parametrize("words", ["three words", "codes", "sixteen bits", "runs"])
def test_cut_off_or_too_long(name, words):
    payload = encode(name, WORDS[words].tobytes()[: 2 * 1001 - 1])
    for length in range(1, len(payload)):
        with pytest.raises(N1StoreError):
            decode(name, payload[:length])
    with pytest.raises(N1StoreError):
        decode(name, payload + b"\0")


@pytest.mark.parametrize("name", CODERS)
def test_changed_bytes_never_crash(name):
    rng = np.random.default_rng(5)
    failures = 0
    for words in ("codes", "runs", "two values", "many rare values"):
        payload = np.frombuffer(encode(name, WORDS[words][:1500]), "u1")
        for _ in range(300):
            damaged = payload.copy()
            damaged[rng.integers(0, len(payload) if rng.random() < 0.5 else 40)] ^= rng.integers(
                1, 256, dtype="u1"
            )
            try:
                size = core.simple_codec(name).decoded_size(damaged)
                assert len(decode(name, damaged)) == size
            except N1StoreError:
                failures += 1
    assert failures > 0


def few_after_low_ones(count):
    """Return words of which a few follow those below zero, and many follow the others."""
    words, rng = [0, 0], np.random.default_rng(3)
    for _ in range(count - 2):
        words.append(rng.integers(-300, 300) if words[-2] >= 0 else rng.choice([-1, 0, 1]))
    return words


@pytest.mark.parametrize(
    ("words", "num_groups"),
    [
        pytest.param(noise(4000) % 1000, 1, id="one group"),
        pytest.param(few_after_low_ones(8000), 2, id="two groups"),
    ],
)
def test_no_table_has_more_words_than_its_block(words, num_groups):
    data = rounded(words).tobytes()
    payload = encode("huffman", data)
    block = payload[varint(payload, 1)[1] :]
    head, at = varint(block, 0)
    code = RangeCode(block[at:])
    tables, threshold, _ = tables_of([huffman_words] * 2, code, head - 1)
    table_size = at + code.size()
    codes = [canonical_codes(table) for table in tables]
    assert len(tables) == num_groups
    assert len(tables[-1]) == max(len(table) for table in tables) > 400

    def of_first(count):
        """Return a payload of the first words that has the same tables."""
        both, _ = strings(block[table_size:])
        for i in range(count):
            both[i % 2].symbol(codes[int((words[i - 2] if i > 1 else 0) >= threshold)])
        first, second = (string.data[: string.size()] for string in both)
        head = bytes([0x11, 2 * count % 128 + 128, 2 * count // 128])
        return head + block[:table_size] + len(first).to_bytes(2, "little") + first + second

    least = len(tables[-1])
    assert decode("huffman", of_first(least)) == data[: 2 * least]
    with pytest.raises(N1StoreError, match="damaged"):
        decode("huffman", of_first(least - 1))


@pytest.mark.parametrize("name", CODERS)
def test_heads_that_are_none(name):
    payload = encode(name, WORDS["codes"])
    for first, message in [(0x01, "damaged"), (0x12, "damaged"), (0x21, "newer"), (0xF1, "newer")]:
        with pytest.raises(N1StoreError, match=message):
            decode(name, bytes([first]) + payload[1:])


@pytest.mark.parametrize(
    ("name", "most"),
    [("packbits10", 2), ("rle", 2**12), ("huffman", 2**15), ("rans", 2**15), ("arithmetic", 2**16)],
)
def test_no_more_is_claimed_than_could_be_there(name, most):
    def claiming(size, body):
        digits = [size >> 7 * i & 127 for i in range(7)]
        return bytes([0x11, *(digit | 128 for digit in digits[:6]), digits[6]]) + bytes(body)

    assert core.simple_codec(name).decoded_size(claiming(10 * most, 10)) == 10 * most
    with pytest.raises(N1StoreError):
        core.simple_codec(name).decoded_size(claiming(10 * most + 2, 10))


# --- Payloads of the first version, which are decoded for ever

FROZEN = Path(__file__).parent / "data/coders-v1.npz"


@pytest.mark.parametrize("name", CODERS)
def test_frozen_payloads(name):
    with np.load(FROZEN) as frozen:
        names = [key for key in frozen.files if key.startswith(f"{name} ")]
        assert names
        for key in names:
            data = frozen[key.removeprefix(f"{name} ")].tobytes()
            assert decode(name, frozen[key].tobytes()) == data
            assert specified(name, frozen[key].tobytes()) == data
