"""WAV files are taken apart without loss, or refused with what is wrong with them."""

import os
import struct
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

import make_wav as make
from cases import case
from n1store.sources.wav import WavError, canonical_header, open_wav, read_wav
from processes import time_limit

modest = settings(deadline=None, max_examples=60)


def read_samples(path):
    wav = open_wav(path)
    return wav.read(0, wav.num_samples)


def assert_holds(path, samples, *, rate=None):
    """The file is read as these samples, and taken apart without loss."""
    wav = open_wav(path)
    assert (wav.num_samples, wav.num_channels) == samples.shape
    if rate is not None:
        assert wav.sampling_frequency == rate
    block = wav.read(0, wav.num_samples)
    assert block.dtype == np.dtype("<i2")
    np.testing.assert_array_equal(block, samples)
    assert wav.header + block.tobytes() + wav.trailer == path.read_bytes()


def assert_refused(path, *words):
    with pytest.raises(WavError) as info:
        open_wav(path)
    message = str(info.value)
    assert message.startswith(f"{path}: ")
    problem = message.removeprefix(f"{path}: ")
    assert len(problem) > 5
    assert message.splitlines() == [message]
    for word in words:
        assert word in problem
    with pytest.raises(WavError):
        read_wav(path)


# Files that are right


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64"])
def test_files_by_soundfile_are_read_as_soundfile_reads_them(new_path, kind):
    for channels, rate in product([1, 2, 3, 64, 1024], [1, 19531, 192000]):
        with case(channels, rate):
            path = new_path()
            soundfile.write(path, make.noise(37, channels), rate, format=kind, subtype="PCM_16")
            expected, expected_rate = soundfile.read(path, dtype="int16", always_2d=True)
            assert expected.shape == (37, channels)
            assert_holds(path, expected, rate=expected_rate)


@pytest.mark.parametrize(
    "build",
    [
        lambda samples: make.wav(make.fmt(samples.shape[1]), make.data(samples)),
        lambda samples: make.wav(
            make.fmt(samples.shape[1], extra=b"\0\0"),
            make.chunk(b"fact", b"1234"),
            make.data(samples),
        ),
        lambda samples: make.wav(make.extensible_fmt(samples.shape[1]), make.data(samples)),
        lambda samples: make.rf64(samples, channels=samples.shape[1]),
        lambda samples: make.rf64(samples, channels=samples.shape[1], container=b"BW64"),
    ],
    ids=["riff", "fmt of 18 bytes", "extensible", "rf64", "bw64"],
)
def test_formats_channels_and_lengths(new_file, build):
    for channels, num_samples in product([1, 2, 64, 1024], [0, 1, 2, 1000]):
        with case(channels, num_samples):
            samples = make.noise(num_samples, channels)
            path = new_file(build(samples))
            assert_holds(path, samples, rate=19531)
            if path.read_bytes()[:4] != b"BW64":
                expected, _ = soundfile.read(path, dtype="int16", always_2d=True)
                np.testing.assert_array_equal(read_samples(path), expected.reshape(samples.shape))


def test_any_rate_that_the_header_can_hold(new_file):
    for rate in [1, 2, 19531, 2**31, 2**32 - 1]:
        with case(rate):
            samples = make.noise(5, 2)
            path = new_file(make.wav(make.fmt(2, rate), make.data(samples)))
            assert_holds(path, samples, rate=rate)
            recording = read_wav(path)
            assert recording.sampling_frequency == rate
            assert recording.duration == 5 / rate


def test_recording_has_name_and_channel_ids(tmp_path):
    path = tmp_path / "a.b c.wav"
    path.write_bytes(make.wav(make.fmt(3), make.data(make.noise(7, 3))))
    recording = read_wav(str(path))
    assert recording.name == "a.b c"
    assert recording.channel_ids == ("0", "1", "2")
    assert (recording.num_samples, recording.num_channels) == (7, 3)
    assert recording.traces.dtype == np.int16


@pytest.mark.parametrize("place", ["before fmt", "before data", "after"])
def test_extra_chunks_are_kept(new_file, place):
    for name, length in product(
        [b"LIST", b"bext", b"JUNK", b"id3 ", b"\xff\x00\n\r"], [0, 1, 10, 11, 600]
    ):
        with case(name, length):
            samples = make.noise(400, 1)
            extra = make.chunk(name, bytes(range(length % 256)) * (length // max(1, length % 256)))
            parts = {
                "before fmt": (extra, make.fmt(), make.data(samples)),
                "before data": (make.fmt(), extra, make.data(samples)),
                "after": (make.fmt(), make.data(samples), extra),
            }
            path = new_file(make.wav(*parts[place]))
            assert_holds(path, samples)
            wav = open_wav(path)
            assert (extra in wav.trailer) == (place == "after")
            if not name.isascii():
                return  # which soundfile does not read
            expected, _ = soundfile.read(path, dtype="int16", always_2d=True)
            np.testing.assert_array_equal(wav.read(0, 400), expected)


@pytest.mark.parametrize("pad", [b"\0", b"\xff", b""], ids=["zero", "other", "none"])
def test_odd_chunks_with_and_without_pad_byte(new_file, pad):
    samples = make.noise(50)
    odd = make.chunk(b"bext", b"odd", pad=pad)
    for parts in ((odd, make.fmt(), make.data(samples)), (make.fmt(), odd, make.data(samples))):
        assert_holds(new_file(make.wav(*parts)), samples)
    # At the end of the file there is nothing to be misled about.
    assert_holds(new_file(make.wav(make.fmt(), make.data(samples), odd)), samples)


@modest
@given(
    extras=st.lists(
        st.tuples(st.sampled_from([b"LIST", b"JUNK", b"bext"]), st.binary(max_size=9)), max_size=4
    )
)
def test_chunks_without_pad_byte_never_lead_to_wrong_samples(new_file, extras):
    samples = make.noise(5)
    parts = [make.chunk(name, content, pad=b"") for name, content in extras]
    path = new_file(make.wav(make.fmt(), *parts, make.data(samples)))
    try:
        open_wav(path)
    except WavError:
        assert_refused(path)
    else:
        assert_holds(path, samples)


def test_little_garbage_at_the_end_is_kept(new_file):
    for garbage in [b"\0", b"\n", b"abc", b"RIFF", bytes(40), b"\xff" * 99]:
        with case(garbage):
            samples = make.noise(50)
            path = new_file(make.wav(make.fmt(), make.data(samples)) + garbage)
            assert_holds(path, samples)
            assert open_wav(path).trailer == garbage


def test_riff_size_may_be_too_small_because_data_size_counts(new_file):
    samples = make.noise(50)
    for size in (0, 1, 36):
        assert_holds(new_file(make.wav(make.fmt(), make.data(samples), size=size)), samples)


def test_riff_size_beyond_the_file_is_refused(new_file):
    samples = make.noise(50)
    for size in (139, 10_000, 0xFFFFFFFF):
        path = new_file(make.wav(make.fmt(), make.data(samples), size=size))
        assert_refused(path, "its samples are all there", "repair its header")
    chunks = make.ds64(samples.nbytes, riff_size=10_000), make.fmt()
    content = make.wav(*chunks, make.data(samples, size=make.IN_DS64), container=b"RF64")
    assert_refused(new_file(content), "its samples are all there")


def chunk_lists(odd_names):
    names = st.sampled_from([b"LIST", b"bext", b"JUNK", b"id3 ", b"fact", b"cue ", b"iXML"])
    odd_names = odd_names.filter(lambda name: name not in (b"data", b"fmt ", b"ds64"))
    return st.lists(st.tuples(names | odd_names, st.binary(max_size=41)), max_size=4)


any_chunks = chunk_lists(st.binary(min_size=4, max_size=4))
# After the samples, names of control characters may be samples that the header left out.
proper_chunks = chunk_lists(st.from_regex(rb"[ -~]{4}", fullmatch=True))


@modest
@given(
    first=any_chunks,
    second=any_chunks,
    last=proper_chunks,
    kind=st.sampled_from(["riff", "extensible", "rf64", "bw64"]),
    channels=st.integers(1, 5),
    num_samples=st.integers(0, 40),
)
def test_header_samples_and_trailer_make_up_the_file(
    new_file, first, second, last, kind, channels, num_samples
):
    samples = make.noise(num_samples, channels)
    build = make.extensible_fmt if kind == "extensible" else make.fmt
    large = kind in ("rf64", "bw64")
    path = new_file(
        make.wav(
            make.ds64(samples.nbytes) if large else b"",
            *(make.chunk(*extra) for extra in first),
            build(channels),
            *(make.chunk(*extra) for extra in second),
            make.data(samples, size=make.IN_DS64 if large else None),
            *(make.chunk(*extra) for extra in last),
            container=kind.upper().encode() if large else b"RIFF",
        )
    )
    assert_holds(path, samples)


@pytest.mark.parametrize(
    ("container", "frames"),
    [(b"RIFF", 0xFFFFFF00 // 6), (b"RF64", 2**30), (b"BW64", 2**33)],
    ids=["just below 4 GB", "6 GB", "51 GB"],
)
def test_large_files_are_read_at_their_ends(new_path, container, frames):
    size, channels = frames * 6, 3
    large = container != b"RIFF"
    header = make.wav(
        make.ds64(size, num_samples=frames) if large else b"",
        make.fmt(channels),
        make.data(b"", size=make.IN_DS64 if large else size),
        container=container,
    )
    trailer = make.chunk(b"LIST", b"INFO")
    first, last = make.noise(10, channels, seed=1), make.noise(10, channels, seed=2)
    path = new_path()
    try:
        with path.open("wb") as file:
            file.write(header + first.tobytes())
            file.truncate(len(header) + size)
            file.seek(len(header) + size - last.nbytes)
            file.write(last.tobytes() + trailer)
        wav = open_wav(path)
        assert (wav.num_samples, wav.num_channels) == (frames, channels)
        assert (wav.header, wav.trailer) == (header, trailer)
        traces = read_wav(path).traces
        np.testing.assert_array_equal(traces[:10], first)
        np.testing.assert_array_equal(traces[-10:], last)
        np.testing.assert_array_equal(traces[frames - 1, 1:], last[-1, 1:])
        assert not traces[frames // 2 : frames // 2 + 5].any()
        os.truncate(path, len(header) + size - 1)
        assert_refused(path, "truncated")
    finally:
        path.unlink()


# Lazy traces


@pytest.fixture(scope="module")
def traces_and_samples(new_file):
    samples = make.noise(23, 4)
    path = new_file(make.wav(make.fmt(4), make.chunk(b"JUNK", b"odd"), make.data(samples)))
    return read_wav(path).traces, samples


def slices(step):
    bounds = st.none() | st.integers(-30, 30)
    return st.builds(slice, bounds, bounds, step)


row_keys = (
    st.integers(-26, 26)
    | st.integers(-26, 26).map(np.int64)
    | slices(st.none() | st.integers(1, 30) | st.integers(-30, -1))
    | st.just(...)
)
channel_keys = (
    st.integers(-5, 5)
    | slices(st.none() | st.integers(1, 5) | st.integers(-5, -1))
    | st.lists(st.integers(-4, 3), max_size=6)
    | st.lists(st.integers(-4, 3), max_size=6).map(lambda x: np.array(x, np.intp))
    | st.lists(st.booleans(), min_size=4, max_size=4)
    | st.lists(st.booleans(), min_size=4, max_size=4).map(np.array)
)


@settings(modest, max_examples=300)
@given(key=row_keys | st.tuples(row_keys) | st.tuples(row_keys, channel_keys))
@example(key=(3, [0, 2]))
@example(key=(slice(5, 2), [True, False, False, True]))
@example(key=())
def test_indexing_traces_equals_indexing_an_ndarray(traces_and_samples, key):
    traces, samples = traces_and_samples
    try:
        expected = samples[key]
    except IndexError:
        with pytest.raises(IndexError):
            traces[key]
        return
    got = traces[key]
    assert np.shape(got) == np.shape(expected)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


def test_traces_are_like_an_array(traces_and_samples):
    traces, samples = traces_and_samples
    assert (traces.shape, traces.ndim, traces.dtype) == (samples.shape, 2, samples.dtype)
    assert len(traces) == len(samples)
    np.testing.assert_array_equal(np.asarray(traces), samples)
    assert np.asarray(traces, dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="a copy"):
        traces.__array__(copy=False)
    with pytest.raises(ValueError, match="zero"):
        traces[::0]
    np.testing.assert_array_equal(np.mean(traces, axis=0), samples.mean(axis=0))


def test_traces_without_samples(new_file):
    traces = read_wav(new_file(make.wav(make.fmt(3), make.data(b"")))).traces
    assert traces.shape == (0, 3)
    assert traces[:].shape == (0, 3)
    assert traces[5:, 1].shape == (0,)
    with pytest.raises(IndexError):
        traces[0]


def test_blocks_that_are_read_can_be_written_to(traces_and_samples):
    traces, _ = traces_and_samples
    block = traces[3:5]
    block[:] = 0
    assert traces[3:5].any()


def test_file_that_shrinks_or_vanishes_after_opening(new_file):
    path = new_file(make.wav(make.fmt(), make.data(make.noise(100))))
    traces = read_wav(path).traces
    os.truncate(path, 100)
    with pytest.raises(WavError, match="was changed"):
        traces[:10]
    with pytest.raises(WavError, match="shorter"):
        traces[:]
    path.unlink()
    with pytest.raises(WavError, match="cannot be opened"):
        traces[:10]


# Files that are wrong


def _with(*fmt_arguments, samples=None, **fmt_fields):
    samples = make.noise(12) if samples is None else samples
    return make.wav(make.fmt(*fmt_arguments, **fmt_fields), make.data(samples))


def _extensible(guid, bits=16):
    return make.wav(make.extensible_fmt(guid=guid, bits=bits), make.data(make.noise(12)))


_SAMPLES = make.noise(100)
_HALVES = make.data(_SAMPLES[:50]), make.data(_SAMPLES[50:])

BAD_FILES = {
    "empty": (b"", "empty"),
    "text": (b"time,channel\n0.1,3\n" * 9, "not a WAV file"),
    "one byte": (b"R", "not a WAV file"),
    "zeros": (bytes(1000), "not a WAV file"),
    "AIFF": (make.wav(container=b"FORM", form=b"AIFF", size=4), "not a WAV file"),
    "AVI": (make.wav(make.fmt(), make.data(_SAMPLES), form=b"AVI "), "not a WAV file"),
    "RIFX": (make.wav(make.fmt(), make.data(_SAMPLES), container=b"RIFX"), "big-endian"),
    "8 bit": (_with(bits=8), "8-bit"),
    "24 bit": (_with(bits=24), "24-bit"),
    "32 bit": (_with(bits=32), "32-bit"),
    "12 bit in 16": (_with(bits=12, block=2), "12-bit"),
    "float": (_with(tag=3, bits=32), "floating-point"),
    "ADPCM": (_with(tag=2, bits=4, block=256), "ADPCM"),
    "A-law": (_with(tag=6, bits=8), "A-law"),
    "mu-law": (_with(tag=7, bits=8), "mu-law"),
    "MP3": (_with(tag=0x55, bits=0, block=1), "0x0055"),
    "extensible float": (_extensible(make.FLOAT_GUID, 32), "floating-point"),
    "extensible 24 bit": (_extensible(make.PCM_GUID, 24), "24-bit"),
    "extensible of unknown kind": (_extensible(bytes(range(16, 32))), "16-bit"),
    "extensible of a tag that begins like PCM": (
        _extensible(b"\x01\x01" + make.PCM_GUID[2:]), "0x0101",
    ),
    "unknown bytes behind many samples": (
        make.wav(make.fmt(), make.data(make.noise(5000))) + b"\xff" * 4097, "4097 bytes after",
    ),
    "extensible of a kind that begins like PCM": (_extensible(b"\x01\x00" + bytes(14)), "16-bit"),
    "extensible without subformat": (_with(tag=0xFFFE), "0xfffe"),
    "0 channels": (_with(0), "0 channels"),
    "1025 channels": (_with(1025, samples=make.noise(1, 1025)), "1025 channels"),
    "65535 channels": (_with(65535, block=65534), "65535 channels"),
    "rate 0": (_with(1, 0), "0 Hz"),
    "block align 0": (_with(block=0), "0 bytes"),
    "block align of two channels": (_with(block=4), "4 bytes"),
    "no chunks": (make.wav(), "no data chunk"),
    "no data chunk": (make.wav(make.fmt(), make.chunk(b"LIST", b"INFO")), "no data chunk"),
    "no fmt chunk": (make.wav(make.data(_SAMPLES)), "no fmt chunk"),
    "fmt after data": (make.wav(make.data(_SAMPLES), make.fmt()), "no fmt chunk"),
    "short fmt": (make.wav(make.chunk(b"fmt ", bytes(14)), make.data(_SAMPLES)), "fmt"),
    "short ds64": (
        make.wav(
            make.chunk(b"ds64", bytes(16)), make.fmt(), make.data(_SAMPLES, size=make.IN_DS64),
            container=b"RF64",
        ),
        "ds64",
    ),
    "RF64 without ds64": (
        make.wav(make.fmt(), make.data(_SAMPLES, size=make.IN_DS64), container=b"RF64"),
        "how many",
    ),
    "ds64 claims too much": (
        make.wav(
            make.ds64(2**64 - 2), make.fmt(), make.data(_SAMPLES, size=make.IN_DS64),
            container=b"RF64",
        ),
        "truncated",
    ),
    "claims 2 bytes more": (make.wav(make.fmt(), make.data(_SAMPLES, size=202)), "truncated"),
    "claims 4 GB": (make.wav(make.fmt(), make.data(_SAMPLES, size=0xFFFFFFFF)), "how many"),
    "claims 2 GB": (make.wav(make.fmt(), make.data(_SAMPLES, size=0x7FFFFFFE)), "truncated"),
    "half a sample": (make.wav(make.fmt(), make.data(_SAMPLES.tobytes()[:-1])), "whole number"),
    "half a frame": (make.wav(make.fmt(3), make.data(_SAMPLES)), "whole number"),
    "extra chunk claims too much": (
        make.wav(make.fmt(), make.chunk(b"JUNK", b"12", size=9999), make.data(_SAMPLES)), "JUNK",
    ),
    "size 0 before samples": (make.wav(make.fmt(), make.data(_SAMPLES, size=0)), "200 bytes after"),
    "size 0 before silence": (
        make.wav(make.fmt(), make.data(bytes(200), size=0)), "200 bytes after",
    ),
    "stale size": (make.wav(make.fmt(), make.data(_SAMPLES, size=20)), "180 bytes after"),
    "two data chunks": (make.wav(make.fmt(), *_HALVES), "second data chunk"),
    "two data chunks and more": (
        make.wav(make.fmt(), _HALVES[0], make.chunk(b"LIST", b"odd"), _HALVES[1]),
        "second data chunk",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_is_refused_with_its_reason(new_file, name):
    content, word = BAD_FILES[name]
    assert_refused(new_file(content), word)


def test_other_sample_formats_by_soundfile_are_refused(new_path):
    for kind, subtype in product(
        ["WAV", "WAVEX"], ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"]
    ):
        with case(kind, subtype):
            path = new_path()
            soundfile.write(path, np.zeros((50, 2)), 19531, format=kind, subtype=subtype)
            assert_refused(path, "16-bit PCM")


@pytest.mark.parametrize("kind", ["riff", "extensible", "rf64"])
def test_file_cut_off_anywhere(new_file, kind):
    samples = make.noise(13, 2)
    odd, trailer = make.chunk(b"bext", b"odd"), make.chunk(b"LIST", b"INFO and more")
    if kind == "rf64":
        content = make.rf64(samples, channels=2, before=odd, after=trailer)
    else:
        build = make.fmt if kind == "riff" else make.extensible_fmt
        content = make.wav(build(2), odd, make.data(samples), trailer)
    # The RF64 file made here says only how long its samples are; of the others, the last
    # byte is padding, which some writers leave out.
    complete = len(content) - len(trailer) if kind == "rf64" else len(content) - 1
    for length in range(len(content)):
        path = new_file(content[:length])
        if length < complete:
            assert_refused(path)
        else:
            assert_holds(path, samples)


def test_more_metadata_than_is_kept(new_path):
    size = 17 * 1024 * 1024
    for parts in (
        (make.chunk(b"JUNK", bytes(size)), make.data(make.noise(9))),
        (make.data(make.noise(9)), make.chunk(b"JUNK", bytes(size))),
    ):
        path = new_path()
        path.write_bytes(make.wav(make.fmt(), *parts))
        assert_refused(path)
        path.unlink()


def test_folder_is_refused(tmp_path):
    assert_refused(tmp_path, "not a regular file")


def test_device_is_refused():
    with time_limit(10):
        assert_refused(Path("/dev/zero"), "not a regular file")


def test_pipe_is_refused_and_not_waited_for(tmp_path):
    pipe, link = tmp_path / "pipe.wav", tmp_path / "link.wav"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    with time_limit(10):
        assert_refused(pipe, "not a regular file")
        assert_refused(link, "not a regular file")


def test_missing_files_are_refused(tmp_path):
    (tmp_path / "file.wav").write_bytes(b"")
    (tmp_path / "broken.wav").symlink_to(tmp_path / "nowhere.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    for name in ("missing.wav", "no/folder.wav", "file.wav/x.wav", "broken.wav", "loop.wav"):
        assert_refused(tmp_path / name, "cannot be opened")


@pytest.mark.parametrize("name", ["n" * 300 + ".wav", "nul\0byte.wav"], ids=["long", "NUL"])
def test_names_that_no_file_can_have_are_refused(tmp_path, name):
    assert_refused(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission_is_refused(new_file):
    path = new_file(make.wav(make.fmt(), make.data(make.noise(9))))
    path.chmod(0)
    assert_refused(path, "cannot be opened")


_FLIP_SAMPLES = make.noise(30, 2)
_FLIP_TRAILER = make.chunk(b"LIST", b"INFO and more")
_FLIP_FILES = {
    "riff": make.wav(make.fmt(2), make.data(_FLIP_SAMPLES), _FLIP_TRAILER),
    "extra": make.wav(
        make.chunk(b"JUNK", b"odd"), make.fmt(2), make.chunk(b"LIST", b"12"),
        make.data(_FLIP_SAMPLES),
    ),
    "extensible": make.wav(make.extensible_fmt(2), make.data(_FLIP_SAMPLES)),
    "rf64": make.rf64(_FLIP_SAMPLES, channels=2, after=_FLIP_TRAILER),
}  # fmt: skip


@settings(modest, max_examples=400)
@given(
    kind=st.sampled_from(sorted(_FLIP_FILES)),
    flips=st.lists(
        st.tuples(
            st.integers(0, 103),
            st.integers(0, 255) | st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF]),
        ),
        min_size=1,
        max_size=4,
    ),
    cut=st.integers(0, 5) | st.just(0),
)
def test_damaged_headers_are_refused_or_read_consistently(new_file, kind, flips, cut):
    content = bytearray(_FLIP_FILES[kind])
    for position, value in flips:
        content[position] = value
    content = bytes(content[: len(content) - cut])
    path = new_file(content)
    try:
        wav = open_wav(path)
    except WavError:
        assert_refused(path)
        return
    assert 1 <= wav.num_channels <= 1024
    assert 1 <= wav.sampling_frequency < 2**32
    assert wav.header[-8:-4] == b"data"
    size = 2 * wav.num_channels * wav.num_samples
    in_header = struct.unpack("<I", wav.header[-4:])[0]
    assert size == in_header or in_header == make.IN_DS64
    samples = np.frombuffer(content, "<i2", size // 2, len(wav.header))
    assert_holds(path, samples.reshape(-1, wav.num_channels))
    field = wav.header.index(b"fmt ") + 8
    assert struct.pack("<HI", wav.num_channels, wav.sampling_frequency) in wav.header[field:]


# Headers out


def test_canonical_files_are_those_of_soundfile(new_path):
    for rate, channels, num_samples in product(
        [1, 19531, 192000, 2_000_000], [1, 2, 3, 64, 1024], [0, 1, 999]
    ):
        with case(rate, channels, num_samples):
            path = new_path()
            samples = make.noise(num_samples, channels)
            soundfile.write(path, samples, rate, format="WAV", subtype="PCM_16")
            content = path.read_bytes()
            assert canonical_header(rate, channels, num_samples) + samples.tobytes() == content


def test_canonical_header_where_bytes_a_second_exceed_their_field(new_file, new_path):
    path = new_path()
    samples = make.noise(3, 1024)
    soundfile.write(path, samples, 4_000_000, format="WAV", subtype="PCM_16")
    assert canonical_header(4_000_000, 1024, 3) + samples.tobytes() == path.read_bytes()
    highest = canonical_header(2**32 - 1, 1, 3) + samples[:, 0].tobytes()
    assert_holds(new_file(highest), samples[:, :1], rate=2**32 - 1)


@pytest.mark.parametrize("channels", [1, 1024])
def test_canonical_header_of_more_than_4_gb(new_path, channels):
    riff_limit = (2**32 - 1 - 37) // (2 * channels)
    for num_samples in (riff_limit, riff_limit + 1, 2**33 // channels):
        header = canonical_header(19531, channels, num_samples)
        assert header[:4] == (b"RIFF" if num_samples == riff_limit else b"RF64")
        assert len(header) == (44 if num_samples == riff_limit else 80)
        path = new_path()
        path.write_bytes(header)
        try:
            os.truncate(path, len(header) + 2 * channels * num_samples)
            wav = open_wav(path)
            assert (wav.num_samples, wav.num_channels) == (num_samples, channels)
            assert (wav.header, wav.trailer) == (header, b"")
            info = soundfile.info(path)
            assert (info.frames, info.channels, info.samplerate) == (num_samples, channels, 19531)
        finally:
            path.unlink()
