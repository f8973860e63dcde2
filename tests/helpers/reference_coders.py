"""Decoders of the coders' payloads, rle to rans, written from filters/format/codecs.md alone.

Plain Python in whole numbers, one word after the other, in the order and with the names of the
specification, whose sections stand above the functions, behind a §. Whatever it demands of a
payload is asserted.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict

import numpy as np


# § Coders
def specified(name, payload):
    """Return the data of a payload."""
    assert payload[0] >> 4 == 1
    size, at = varint(payload, 1)
    if payload[0] & 15 == 0:
        return payload[at:]
    odd, at = payload[at : at + size % 2], at + size % 2
    words = UNDO[name](payload[at:], size // 2)
    return np.array(words, "<u2").tobytes() + odd


# § Conventions
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


# § rle
def undo_rle(data, count):
    words, at = [], 0
    while len(words) < count:
        token, at = varint(data, at)
        n = token // 2 + 1
        words += words_at(data, at, 1) * n if token % 2 else words_at(data, at, n)
        at += 2 if token % 2 else 2 * n
    assert (len(words), at) == (count, len(data))
    return words


# § packbits10
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


# § Range codes, Plain numbers, Adaptive bits, Adaptive strings, Adaptive numbers
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


# § Blocks
def undo_blocks(forms, data, count):
    words, at = undo_block(forms, data, 0, count)
    assert at == len(data)
    return words


# § Blocks
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


# § Tables, Distances, Values, Groups
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
        value, values, known = rare, {}, []  # the words that are known ascend
        for i in range(size):
            if i == 0:
                word = code.plain(16) - 32768
            else:
                e = known[bisect_right(known, word - 64)] - (word - 64) if stepped else 0
                if mirrored and word >= 0 and known[0] < -word:
                    e = -known[bisect_left(known, -word) - 1] - word
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
            known.append(word)
        tables.append([(word % 65536, value) for word, value in values.items()])
    return tables, threshold, form


# § huffman
def canonical_codes(lengths):
    """Return which symbol has a length and a code, of lengths by symbol."""
    codes, code, before = {}, -1, 0
    for symbol, length in sorted(lengths, key=lambda entry: entry[1]):  # stable
        code = (code + 1) << (length - before)
        before = length
        codes[length, code] = symbol
    assert code == 2**before - 1
    return codes


# § Strings of huffman
def strings(data):
    """Return the bits of both, how long the first one says it is, and where the second begins."""
    size = data[0] + 256 * data[1]
    return [Bits(data[2 : 2 + size]), Bits(data[2 + size :])], size


# § Strings of huffman
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


# § Words, Groups
def huffman_words(tables, threshold, data, count):
    groups = [canonical_codes(table) for table in tables]
    both, size = strings(data)
    words = []
    for i in range(count):
        before = signed(words[i - 2]) if i > 1 else 0
        words.append(both[i % 2].symbol(groups[before >= threshold]))
    assert both[0].size() == size
    return words, 2 + size + both[1].size()


# § Lengths of pairs
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


# § Pairs
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


# § rans, Groups
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


# § Differences
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


# § arithmetic, Model of arithmetic, Periods, Groups
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


UNDO = {
    "rle": undo_rle,
    "packbits10": undo_packbits10,
    "huffman": lambda *rest: undo_blocks([huffman_words, huffman_words, huffman_pairs], *rest),
    "rans": lambda *rest: undo_blocks([rans_words, rans_words], *rest),
    "arithmetic": undo_arithmetic,
}
