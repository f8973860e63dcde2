"""`.n1` files that are damaged, hostile, too new or none are refused, and take little memory."""

import io
import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_n1_files import decoded, encoded, modest, names

import make_wav as make
import n1store
from make_n1 import TRAILER, by_hand, deflate, varint, with_crc
from n1store.codecs.native import n1_encode
from n1store.errors import N1StoreError
from n1store.n1file.container import decode_wav, read_n1_info
from processes import time_limit


@pytest.fixture(scope="module")
def small(new_file):
    """Give the bytes of a .n1 file with all there can be in one, and of its WAV file."""
    content = make.wav(
        make.extensible_fmt(2), make.data(make.on_grid(30, 2)), make.chunk(b"LIST", b"note")
    )
    widths = bytes(31) + bytes([32]) * 993
    packed = encoded(new_file(content), widths=widths, payload_samples=20)
    assert decoded(packed) == content
    return packed, content


def right_or_refused(content):
    """Decode what may be damaged; return the WAV file, or None if it was refused as it should."""
    tracemalloc.start()
    try:
        with time_limit(5):
            return decoded(content)
    except N1StoreError as error:
        assert str(error).startswith("x.n1: ")
        assert len(str(error).splitlines()) == 1
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 100_000_000


def test_a_file_cut_anywhere_is_refused(small, new_file):
    packed, _ = small
    for length in range(len(packed)):
        assert right_or_refused(packed[:length]) is None
        path = new_file(packed[:length], ".n1")
        with pytest.raises(N1StoreError, match=path.name):
            read_n1_info(path)


@pytest.mark.slow
def test_any_flipped_bit_is_found(small, new_file):
    packed, _ = small
    path = new_file(b"", ".n1")
    for position, bit in itertools.product(range(len(packed)), range(8)):
        changed = bytearray(packed)
        changed[position] ^= 1 << bit
        assert right_or_refused(changed) is None, (position, bit)
        path.write_bytes(changed)
        try:
            read_n1_info(path)
        except N1StoreError as error:
            assert str(error).startswith(f"{path}: ")


def test_a_flipped_bit_with_the_right_checksum_never_gives_wrong_samples(small):
    packed, _ = small
    samples = make.on_grid(30, 2).tobytes()
    refused = 0
    for position, bit in itertools.product(range(len(packed) - 4), range(8)):
        changed = bytearray(packed[:-4])
        changed[position] ^= 1 << bit
        wav = right_or_refused(with_crc(bytes(changed)))
        refused += wav is None
        assert wav is None or samples in wav
    assert refused


@modest
@given(data=st.data())
def test_random_damage_is_found(small, data):
    packed, content = small
    start = data.draw(st.integers(0, len(packed)))
    stop = data.draw(st.integers(start, len(packed)))
    changed = packed[:start] + data.draw(st.binary(max_size=40)) + packed[stop:]
    wav = right_or_refused(changed)
    assert (wav == content) if changed == packed else (wav is None)


@modest
@given(content=st.binary(max_size=100))
def test_any_bytes_after_the_magic(content):
    right_or_refused(b"\x89N1\1" + content)
    right_or_refused(with_crc(b"\x89N1\1" + content))


WAV = make.wav(make.fmt(), make.data(make.noise(9)))
PAYLOAD = n1_encode(make.on_grid(100))
OF_TWO_CHANNELS = n1_encode(make.on_grid(50, 2))
GOOD = by_hand(PAYLOAD, samples=100)

# What takes long to make is made when it is wanted.
HOSTILE = {
    "a payload too many": by_hand(PAYLOAD, PAYLOAD, samples=100),
    "a payload too few": by_hand(PAYLOAD, samples=200),
    "a payload longer than the rest": by_hand(PAYLOAD, PAYLOAD, samples=199),
    "a payload of no samples": by_hand(n1_encode(make.on_grid(0)), PAYLOAD, samples=100),
    "a payload of other channels": by_hand(OF_TWO_CHANNELS, samples=50),
    "a payload of one dimension": by_hand(n1_encode(make.on_grid(100)[:, 0]), samples=100),
    "a payload of another dtype": by_hand(n1_encode(np.zeros((100, 1), "u2")), samples=100),
    "a payload of too many samples": lambda: by_hand(
        n1_encode(np.zeros((2**24 + 1, 1), "<i2")), samples=2**24 + 1
    ),
    "a payload that is none": by_hand(b"RIFF" * 9, samples=100),
    "an empty payload": by_hand(b"", samples=100),
    "a payload that is cut off": by_hand(PAYLOAD[:-1], samples=100),
    "more payload than there is": with_crc(GOOD[:12] + varint(2**26) + GOOD[13:]),
    "a payload of 2^62 bytes": with_crc(by_hand(samples=100)[:-4] + varint(2**62)),
    "samples without end": by_hand(PAYLOAD, samples=2**63 - 1),
    "as many as there can be": by_hand(PAYLOAD, samples=2**60),
    "samples of nothing": by_hand(samples=1),
    "a number that does not end": with_crc(b"\x89N1\1\0" + b"\xff" * 30),
    "no channel": by_hand(channels=0),
    "too many channels": by_hand(channels=1025),
    "channels without end": by_hand(channels=2**62, samples=1),
    "a rate of nothing": by_hand(PAYLOAD, samples=100, rate=0),
    "a rate too high": by_hand(PAYLOAD, samples=100, rate=2**32),
    "an unknown flag": by_hand(PAYLOAD, samples=100, flags=8),
    "version 0": by_hand(PAYLOAD, samples=100, version=0),
    "a header one byte too long": lambda: by_hand(flags=1, parts=[deflate(bytes(2**24 + 1))]),
    # More than the limit of memory above.
    "a trailer that inflates to 128 MB": lambda: by_hand(flags=2, parts=[deflate(bytes(2**27))]),
    "a header that is cut off": by_hand(flags=1, parts=[deflate(bytes(99))[:-1]]),
    "a header with more behind it": by_hand(flags=1, parts=[deflate(bytes(99)) + b"x"]),
    "a header that is not deflated": by_hand(flags=1, parts=[b"\xff" * 44]),
    "an empty part": by_hand(flags=2, parts=[b""]),
    "widths that are too short": by_hand(flags=4, parts=[deflate(bytes(1023))]),
    "widths that are too long": by_hand(flags=4, parts=[deflate(bytes(1025))]),
    "bytes after the end": GOOD + b"\0",
    "another file after the end": GOOD + GOOD,
    "a wrong checksum": GOOD[:-1] + bytes([GOOD[-1] ^ 1]),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files(fails, tmp_path, case):
    path, content = tmp_path / "x.n1", HOSTILE[case]
    content = content() if callable(content) else content
    path.write_bytes(content)
    with time_limit(20):
        line = fails("decode", path, tmp_path / "x.wav")
    assert line.startswith(f"{path}: ")
    assert names(tmp_path) == ["x.n1"]
    assert right_or_refused(content) is None


@pytest.mark.parametrize(
    "case", ["a payload too many", "a payload too few", "bytes after the end", "version 0"]
)
def test_info_finds_what_needs_no_decoding(fails, tmp_path, case):
    path = tmp_path / "x.n1"
    path.write_bytes(HOSTILE[case])
    assert fails("info", path).startswith(f"{path}: is damaged: ")


@pytest.mark.parametrize("flags", [0, TRAILER])
def test_a_file_that_is_large_for_real_takes_no_large_memory(tmp_path, flags):
    path = tmp_path / "x.n1"
    front = by_hand(samples=100, flags=flags)[:-4]
    with path.open("wb") as file:
        file.write(front + varint(2**28) + PAYLOAD)
        file.truncate(2**28 + 100)
    tracemalloc.start()
    try:
        with pytest.raises(N1StoreError, match=r"x\.n1: is damaged: "):
            n1store.decode_file(path, tmp_path / "x.wav")
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()
    assert names(tmp_path) == ["x.n1"]


def test_what_the_hostile_files_were_made_from_is_right():
    assert decoded(GOOD) == make.wav(make.fmt(), make.data(make.on_grid(100)))
    assert decoded(by_hand(PAYLOAD, PAYLOAD, samples=200)) is not None
    assert decoded(by_hand(flags=2, parts=[deflate(bytes(2**24))])) is not None
    assert decoded(by_hand(OF_TWO_CHANNELS, samples=50, channels=2)) is not None


@pytest.mark.parametrize("failure", [b"", OSError(5, "Input/output error")])
def test_a_file_that_cannot_be_read_to_its_end(failure):
    class Failing(io.BytesIO):
        def read(self, count=-1):
            if self.tell() < 20:
                return super().read(count)
            if isinstance(failure, OSError):
                raise failure
            return failure

    with pytest.raises(N1StoreError, match=r"^x\.n1: (became shorter|cannot be read)"):
        decode_wav(Failing(GOOD), io.BytesIO(), "x.n1")


def test_payloads_in_another_order_are_found():
    one, two = (n1_encode(make.on_grid(100, seed=seed)) for seed in range(2))
    crc = by_hand(one, two, samples=200)[-4:]
    assert right_or_refused(by_hand(two, one, samples=200)[:-4] + crc) is None


def test_a_file_of_a_newer_version(fails, tmp_path):
    path = tmp_path / "x.n1"
    path.write_bytes(by_hand(b"something new", samples=100, flags=200, version=2))
    for arguments in (("decode", path, tmp_path / "x.wav"), ("info", path)):
        line = fails(*arguments)
        assert line.startswith(f"{path}: is of version 2 ")
        assert "update n1store" in line
    assert names(tmp_path) == ["x.n1"]


def test_a_payload_of_a_newer_version(fails, tmp_path):
    path = tmp_path / "x.n1"
    path.write_bytes(by_hand(b"N1\xff" + PAYLOAD[3:], samples=100))
    line = fails("decode", path, tmp_path / "x.wav")
    assert line.startswith(f"{path}: from sample 0 on: ")
    assert "newer version" in line


@pytest.mark.parametrize(
    "content",
    [b"", b"\x89", b"\x89N", b"\x89N1", b"text\n", b"\0" * 99, b"PK\3\4", PAYLOAD, WAV],
    ids=["empty", "1", "2", "3", "text", "zeros", "zip", "payload", "wav"],
)
def test_other_files_are_not_decoded(fails, tmp_path, content):
    path = tmp_path / "x.n1"
    path.write_bytes(content)
    line = fails("decode", path, tmp_path / "x.wav")
    assert line.startswith(f"{path}: ")
    assert ("is not a .n1 file" in line) == (content != b"\x89N1")
    fails("info", path)
    assert names(tmp_path) == ["x.n1"]
