"""The coders, rle to rans, beside decoders written from filters/format/codecs.md alone."""

import numpy as np
import pytest
from freeze import frozen_payloads
from hypothesis import given, settings
from hypothesis import strategies as st

from make_wav import read_wav_independently
from n1store import N1StoreError
from n1store.codecs import native
from n1store.codecs.simple_table import SIMPLE_CODECS
from reference_coders import (
    RangeCode,
    canonical_codes,
    huffman_words,
    specified,
    strings,
    tables_of,
    varint,
)

CODERS = [row.name for row in SIMPLE_CODECS if row.kind == "bytes-bytes"]
ENTROPY_CODERS = ["huffman", "arithmetic", "rans"]


# --- Data


def encode(name, data):
    return native.simple_codec(name).encode(data).tobytes()


def decode(name, payload):
    return native.simple_codec(name).decode(payload).tobytes()


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


@pytest.mark.slow
@pytest.mark.parametrize("name", CODERS)
def test_payloads_are_as_specified(name):
    for words, numbers in WORDS.items():
        whole = numbers.tobytes()
        for data in (whole, whole[:-1], whole + b"\xff"):
            payload = encode(name, data)
            assert decode(name, payload) == data, words
            assert native.simple_codec(name).decoded_size(payload) == len(data), words
            assert len(payload) <= len(data) + 8, words
        if len(data) < 2 * LONGEST or len(payload) < 2000:
            assert specified(name, payload) == data, words


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
    native.simple_codec(name).decode(memoryview(payload)[1:], out=out[1:])
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
    return native.simple_codec(name).encode(samples, samples.shape[1], parameter).view("<i2")


VIEWS = {
    "raw": lambda samples: samples,
    "adc": native.adc_encode,
    "delta": lambda samples: np.diff(samples, axis=0, prepend=0),
    "lpc": lambda samples: transformed("lpc", samples, 8),
    "iwt": lambda samples: transformed("iwt", samples, 8),
    "adc+delta": lambda samples: np.diff(native.adc_encode(samples), axis=0, prepend=0),
    "adc+lpc": lambda samples: transformed("lpc", native.adc_encode(samples), 8),
    "adc+iwt": lambda samples: transformed("iwt", native.adc_encode(samples), 8),
}
WITHIN = {"huffman": 1.01, "rans": 1.01, "arithmetic": 1.02}
# Of single chunks some have so many different words that a little more goes into naming them.
MORE_IN_CHUNKS = {"delta": 0.005, "lpc": 0.005, "iwt": 0.015}


@pytest.mark.parametrize("name", ENTROPY_CODERS)
def test_recordings_take_little_more_than_their_entropy(name, recordings):
    for view, view_of in VIEWS.items():
        sizes, entropies = [], []
        for samples in chunks_of(recordings, 19_531):
            data = np.ascontiguousarray(view_of(samples)).astype("<i2").tobytes()
            payload = encode(name, data)
            assert decode(name, payload) == data, view
            sizes.append(len(payload))
            entropies.append(entropy(data))
        assert sum(sizes) < WITHIN[name] * sum(entropies), view
        most = WITHIN[name] + MORE_IN_CHUNKS.get(view, 0)
        assert all(s < most * e for s, e in zip(sizes, entropies, strict=True)), view


@pytest.mark.parametrize("name", CODERS)
def test_recordings_as_specified(name, recordings):
    samples = next(chunks_of(recordings, 5_000))
    for view, view_of in VIEWS.items():
        data = np.ascontiguousarray(view_of(samples)).astype("<i2").tobytes()
        assert specified(name, encode(name, data)) == data, view


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
def test_cut_off_or_too_long(name):
    for words in ("three words", "codes", "sixteen bits", "runs"):
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
                size = native.simple_codec(name).decoded_size(damaged)
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

    assert native.simple_codec(name).decoded_size(claiming(10 * most, 10)) == 10 * most
    with pytest.raises(N1StoreError):
        native.simple_codec(name).decoded_size(claiming(10 * most + 2, 10))


# --- Payloads of the first version, which are decoded for ever


@pytest.mark.parametrize("name", CODERS)
def test_frozen_payloads(name):
    frozen = frozen_payloads(name)
    assert frozen, f"to be written: python tests/codecs/freeze.py {name}"
    for data, payload in frozen:
        assert decode(name, payload) == data
        assert specified(name, payload) == data
