"""The HDF5 filters but `n1`: they have the chunks of the numcodecs codecs."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
import zlib
from itertools import product

import h5py
import numpy as np
import pytest

import make_wav as make
from codec_checks import TRACES, assert_one_line, samples_of
from hdf5_checks import (
    DAMAGES,
    Filter,
    direct_chunks,
    num_channels,
    run_without_n1store,
    write_hdf5,
)
from installed import HAS_WAVPACK, needs_wavpack
from n1store.codecs import hdf5, simple
from n1store.codecs.adc import ADC
from n1store.codecs.library.flac import Flac
from n1store.errors import N1StoreError

PLUGINS = hdf5.plugins()


def needs(name):
    return pytest.mark.skipif(
        name not in PLUGINS, reason=f"n1store was built without its HDF5 plugin {name}"
    )


ADC_FILTER = pytest.param("adc", marks=needs("adc"))
FLAC = pytest.param("flac", marks=needs("flac"))
WAVPACK = pytest.param("wavpack", marks=[needs("wavpack"), needs_wavpack])
ADC_FLAC = pytest.param("adc+flac", marks=needs("flac"))
ADC_WAVPACK = pytest.param("adc+wavpack", marks=[needs("wavpack"), needs_wavpack])
SIMPLE = {codec.codec_id.removeprefix("n1store."): codec for codec in simple.CODECS}
SIMPLE_FILTERS = {
    each.name: each for each in vars(hdf5).values() if getattr(each, "name", None) in SIMPLE
}
TRANSFORMS = [name for name, codec in SIMPLE.items() if issubclass(codec, simple.Transform)]
CODERS = [name for name in SIMPLE if name not in TRANSFORMS]
CHAINS = [
    *(ADC_FILTER, FLAC, WAVPACK, ADC_FLAC, ADC_WAVPACK, *SIMPLE),
    *(f"adc+{transform}+{coder}" for transform in TRANSFORMS for coder in CODERS),
    pytest.param("+".join([*TRANSFORMS, "flac"]), marks=needs("flac")),
]


def numcodecs_codec(name, level=None):
    """Return the codec whose chunks a filter must have."""
    settings = {} if level is None else {"level": level}
    if name == "wavpack":
        from n1store.codecs.library.wavpack import WavPack

        return WavPack(**{"level": 2, "num_decoding_threads": 1} | settings)
    return {"adc": ADC, "flac": Flac, **SIMPLE}[name](**settings)


def hdf5_codec(name, samples, **settings):
    if name == "adc":
        return hdf5.ADC()
    if name in CODERS:
        return SIMPLE_FILTERS[name]()
    settings = {"num_channels": num_channels(samples.shape), "dtype": samples.dtype} | settings
    return {"wavpack": hdf5.WavPack, "flac": hdf5.Flac, **SIMPLE_FILTERS}[name](**settings)


def encode(chain, samples):
    """Return a chunk and its filter mask, as HDF5 must have them where all filters are optional."""
    mask = 0
    for number, name in enumerate(chain.split("+")):
        encoded = numcodecs_codec(name).encode(samples)
        if memoryview(encoded).nbytes > memoryview(samples).nbytes and name not in TRANSFORMS:
            mask |= 1 << number
        else:
            samples = encoded
    return mask, bytes(samples)


def decode(chain, mask, payload, dtype="<i2"):
    for number, name in reversed(list(enumerate(chain.split("+")))):
        if not mask >> number & 1:
            payload = numcodecs_codec(name).decode(payload)
    return np.frombuffer(payload, dtype)


def create(path, chain, samples, chunks, flags=h5py.h5z.FLAG_OPTIONAL, **options):
    """Create a file with a dataset with all filters of a chain, and write samples to it."""
    with h5py.File(path, "w", **options) as file:
        create_dataset(file, "x", chain, samples, chunks, flags)


def create_dataset(file, name, chain, samples, chunks, flags=h5py.h5z.FLAG_OPTIONAL, maxshape=None):
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(chunks)
    for stage in chain.split("+"):
        codec = hdf5_codec(stage, samples)
        properties.set_filter(codec.filter_id, flags, codec.filter_options)
    space = h5py.h5s.create_simple(samples.shape, maxshape)
    kind = h5py.h5t.py_create(samples.dtype, logical=True)
    dataset = h5py.Dataset(h5py.h5d.create(file.id, name.encode(), kind, space, properties))
    if samples.size:
        dataset[...] = samples


def read(path):
    with h5py.File(path) as file:
        return file["x"][...]


# The same chunks as in Zarr


# With 17 channels, FLAC has more than two streams and WavPack half a pair.
SHAPES = [(2000,), (2000, 1), (2000, 7), (2000, 17), (20_000, 2)]


@pytest.mark.parametrize(
    ("name", "dtype", "level"),
    [
        pytest.param("adc", "<i2", None),
        *(
            pytest.param("flac", dtype, level, marks=needs("flac"))
            for dtype in ("<i2", "<u2", "i1", "u1")
            for level in (0, 5, 8)
        ),
        *(
            pytest.param("wavpack", "<i2", level, marks=[needs("wavpack"), needs_wavpack])
            for level in (1, 2, 3, 4)
        ),
        *(pytest.param(name, dtype, None) for name in SIMPLE for dtype in ("<i2", "<u2")),
    ],
)
def test_chunks_are_those_of_numcodecs(tmp_path, name, dtype, level):
    settings = {} if level is None else {"level": level}
    other = numcodecs_codec(name, level)
    for shape in SHAPES:
        samples = samples_of(dtype, shape)
        chunks = (shape[0] // 3 + 1, *shape[1:])
        codec = hdf5_codec(name, samples, **settings)
        write_hdf5(tmp_path / "a.h5", samples, chunks, compression=codec)
        np.testing.assert_array_equal(read(tmp_path / "a.h5"), samples, f"{shape}")
        stored = direct_chunks(tmp_path / "a.h5")
        assert len(stored) == 3
        with h5py.File(tmp_path / "b.h5", "w") as file:
            dataset = file.create_dataset("x", shape, dtype, chunks=chunks, compression=codec)
            for offset, (mask, payload) in stored.items():
                part = samples[offset[0] : offset[0] + chunks[0]]
                part = np.pad(part, [(0, chunks[0] - len(part)), *[(0, 0)] * (len(shape) - 1)])
                expected = encode(name, part) if level is None else (0, bytes(other.encode(part)))
                assert (mask, payload) == expected, shape
                decoded = decode(name, mask, payload, dtype)
                np.testing.assert_array_equal(decoded.reshape(chunks), part, f"{shape}")
                dataset.id.write_direct_chunk(offset, other.encode(part))
        np.testing.assert_array_equal(read(tmp_path / "b.h5"), samples, f"{shape}")


@needs("wavpack")
@needs_wavpack
@pytest.mark.parametrize("shape", [(5000,), (5000, 5), (260_000, 1), (300, 4096)], ids=str)
def test_stream_is_that_of_wavpack_numcodecs_itself(shape):
    # The last two take long: of several blocks, and of the most channels. How samples are cut
    # knows nothing of levels.
    levels = [1, 2, 3, 4] if shape[0] == 5000 else [2]
    from wavpack_numcodecs.wavpack import WavPack

    call = Filter("wavpack")
    for dtype, level in product(["<i2", "i1"], levels):
        samples = samples_of(dtype, shape)
        values = hdf5.WavPack(num_channels(shape), dtype, level).filter_options
        stream = call(0, values, samples.tobytes())
        assert stream == WavPack(level, num_decoding_threads=1).encode(samples), (dtype, level)
        assert call(Filter.REVERSE, (), stream) == samples.tobytes(), (dtype, level)


@pytest.mark.parametrize("chain", CHAINS)
def test_chain_has_the_chunks_of_the_pipeline(tmp_path, chain):
    (samples,) = make.neural_recordings(1, 30_000)
    create(tmp_path / "x.h5", chain, samples, (10_000, 1))
    np.testing.assert_array_equal(read(tmp_path / "x.h5"), samples)
    for offset, stored in direct_chunks(tmp_path / "x.h5").items():
        chunk = samples[offset[0] :][:10_000]
        assert stored == encode(chain, chunk)
        np.testing.assert_array_equal(decode(chain, *stored), chunk[:, 0])


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_parameter_of_a_transform(name):
    kind, call = SIMPLE[name], Filter(name)
    for value in kind.values():
        settings = {kind.parameter: value} if kind.parameter else {}
        codec = kind(**settings)
        for samples in (TRACES, make.noise(30, 5), make.noise(1, 64), make.noise(77, 1)[:, 0]):
            values = hdf5_codec(name, samples, **settings).filter_options
            numbers = codec.encode(samples)
            assert numbers.shape == codec.encoded_shape(samples.shape)
            assert call(Filter.OPTIONAL, values, samples.tobytes()) == numbers.tobytes()
            assert call(Filter.REVERSE, (), numbers.tobytes()) == samples.tobytes()


@needs("flac")
def test_streams_of_flac_are_read_by_others(tmp_path):
    import soundfile

    samples = samples_of("<i2", (9000, 19))
    values = hdf5.Flac(19).filter_options
    payload = Filter("flac")(0, values, samples.tobytes())
    parts = payload.split(b"fLaC")
    read_back = []
    for part in parts[1:]:
        (tmp_path / "x.flac").write_bytes(b"fLaC" + part)
        read_back.append(soundfile.read(tmp_path / "x.flac", dtype="int16", always_2d=True)[0])
    assert [part.shape for part in read_back] == [(9000, 8), (9000, 8), (9000, 3)]
    np.testing.assert_array_equal(np.concatenate(read_back, axis=1), samples)


# Any samples


def hostile_samples():
    time = np.arange(3000)
    return {
        "recording": make.neural_recordings(1, 3000)[0],
        "one sample": np.array([[-32768]]),
        "one sample, one dimension": np.array([7]),
        "two samples": np.array([[32767], [-32768]]),
        "one sample of 64 channels": make.noise(1, 64),
        "15 samples": make.on_grid(15),
        "15 samples of 2 channels": make.on_grid(15, 2),
        "16 samples": make.on_grid(16),
        "silence": np.zeros((3000, 3)),
        "constant": np.full((3000, 2), -12345),
        "full scale": np.where(time % 2, 32767, -32768)[:, None],
        "ramp": (time * 97 % 65536 - 32768)[:, None],
        "white noise": make.noise(3000, 2),
        "one dimension": make.on_grid(3000)[:, 0],
        "three dimensions": make.on_grid(300, 12).reshape(300, 4, 3),
        "many channels": make.on_grid(40, 1000),
        "more channels than WavPack has": make.on_grid(3, 5000),
        "no samples": np.zeros((0, 3)),
    }


HOSTILE = {name: samples.astype("<i2") for name, samples in hostile_samples().items()}


@pytest.mark.parametrize("chain", CHAINS)
def test_any_samples(tmp_path, chain):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, samples in HOSTILE.items():
            for part, length in (("whole", len(samples)), ("half", len(samples) // 2 + 1)):
                chunks = (max(length, 1), *samples.shape[1:])
                maxshape = (h5py.h5s.UNLIMITED, *samples.shape[1:])
                create_dataset(file, f"{name}, {part}", chain, samples, chunks, maxshape=maxshape)
    with h5py.File(tmp_path / "x.h5") as file:
        assert len(file) == 2 * len(HOSTILE)
        for name, dataset in file.items():
            np.testing.assert_array_equal(dataset[...], HOSTILE[name.rpartition(", ")[0]], name)


@pytest.mark.parametrize("dtype", ["<i2", "<u2", "i1", "u1"])
@needs("flac")
def test_extremes_of_each_dtype_in_flac(tmp_path, dtype):
    info = np.iinfo(dtype)
    samples = np.array([info.min, info.max, 0, 1, info.max // 2] * 40, dtype)
    for shape in ((200,), (100, 2), (20, 10)):
        create(tmp_path / "x.h5", "flac", samples.reshape(shape), shape, h5py.h5z.FLAG_MANDATORY)
        [(mask, payload)] = direct_chunks(tmp_path / "x.h5").values()
        assert (mask, payload) == (0, Flac().encode(samples.reshape(shape)))
        np.testing.assert_array_equal(read(tmp_path / "x.h5"), samples.reshape(shape))


@pytest.mark.parametrize("chain", ["adc+flac", pytest.param("adc+wavpack", marks=needs_wavpack)])
def test_stage_that_would_not_make_a_chunk_smaller_is_left_out(tmp_path, chain):
    if chain.partition("+")[2] not in PLUGINS:
        pytest.skip(f"n1store was built without a plugin of {chain}")
    noise = make.noise(1000, 4)
    create(tmp_path / "x.h5", chain, noise, (1000, 4))
    codes = ADC().encode(noise).tobytes()
    assert direct_chunks(tmp_path / "x.h5") == {(0, 0): (2, codes)}
    np.testing.assert_array_equal(read(tmp_path / "x.h5"), noise)


# Read by others


CHAINS_HERE = [
    chain
    for chain in (getattr(each, "values", (each,))[0] for each in CHAINS)
    if {*chain.split("+")} <= PLUGINS.keys() and (HAS_WAVPACK or "wavpack" not in chain)
]
READ_ALL_WITH_H5PY_ALONE = """
    import sys, h5py, numpy
    for number in range(int(sys.argv[1])):
        with h5py.File(f"{number}.h5") as file:
            try:
                numpy.save(f"{number}.npy", file["x"][:])
            except OSError as error:
                assert "plugin" in str(error), error
    assert not any(name.startswith("n1store") for name in sys.modules)
"""


def test_h5py_alone_reads_with_the_plugin_path(tmp_path):
    for number, chain in enumerate(CHAINS_HERE):
        create(tmp_path / f"{number}.h5", chain, TRACES, (300, 4))
    script = textwrap.dedent(READ_ALL_WITH_H5PY_ALONE)
    command = [sys.executable, "-c", script, f"{len(CHAINS_HERE)}"]
    for plugins in (tmp_path, hdf5.PLUGIN_FOLDER):
        result = run_without_n1store(tmp_path, command, plugins)
        assert result.returncode == 0, result.stderr
        read_ones = {int(path.stem) for path in tmp_path.glob("*.npy")}
        assert read_ones == ({*range(len(CHAINS_HERE))} if plugins != tmp_path else set())
    for number, chain in enumerate(CHAINS_HERE):
        np.testing.assert_array_equal(np.load(tmp_path / f"{number}.npy"), TRACES, chain)


# The oldest file format, which every h5dump knows.
OLD = {"libver": ("earliest", "v108")}


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump is not installed")
@pytest.mark.parametrize("chain", CHAINS)
def test_h5dump_reads(tmp_path, chain):
    create(tmp_path / "x.h5", chain, TRACES, (300, 4), **OLD)
    command = ["h5dump", "-d", "/x", "-b", "LE", "-o", "x.bin", "x.h5"]
    result = run_without_n1store(tmp_path, command)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "x.bin").read_bytes() == TRACES.tobytes()


@pytest.mark.skipif(shutil.which("h5repack") is None, reason="h5repack is not installed")
@pytest.mark.parametrize("name", [ADC_FILTER, FLAC, WAVPACK, *SIMPLE])
def test_h5repack_writes_the_same_chunks(tmp_path, name):
    with h5py.File(tmp_path / "plain.h5", "w", **OLD) as file:
        file.create_dataset("x", data=TRACES, chunks=(500, 4))
    codec = hdf5_codec(name, TRACES)
    values = codec.filter_options
    setting = ",".join(map(str, (codec.filter_id, 1, len(values), *values)))
    command = ["h5repack", "-f", f"x:UD={setting}", "plain.h5", "x.h5"]
    result = run_without_n1store(tmp_path, command)
    assert result.returncode == 0, result.stderr
    for offset, stored in direct_chunks(tmp_path / "x.h5").items():
        assert stored == encode(name, TRACES[offset[0] :][:500])


@pytest.mark.parametrize("name", PLUGINS)
def test_plugin_needs_nothing_of_hdf5(tmp_path, name):
    # A process without HDF5, where each symbol that is missing is an error at once.
    script = f"import ctypes, os; ctypes.CDLL({str(PLUGINS[name])!r}, os.RTLD_NOW)"
    subprocess.run([sys.executable, "-S", "-c", script], cwd=tmp_path, check=True)


# Damage


def small_payload(name):
    samples = make.on_grid(100, 2)
    values = hdf5_codec(name, samples).filter_options
    return samples, Filter(name)(0, values, samples.tobytes())


def decode_with_numcodecs(payload):
    """Return the bytes that numcodecs decodes, or None where it says that there is damage."""
    try:
        return Flac().decode(payload).tobytes()
    except N1StoreError as error:
        assert len(str(error).splitlines()) == 1
        return None


def damaged(payload):
    """Give the payload with each of its bits changed, cut off anywhere, and with more behind."""
    for bit in range(8 * len(payload)):
        changed = bytearray(payload)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)
    yield from (payload[:length] for length in range(len(payload)))
    yield from (payload + more for more in (b"\0", b"\xff", payload[:50], payload))
    yield payload[: len(payload) // 2] + payload[len(payload) // 2 + 1 :]
    yield bytes(len(payload))


@needs("wavpack")
def test_wavpack_notices_all_damage():
    call = Filter("wavpack")
    samples, stream = small_payload("wavpack")
    assert call(Filter.REVERSE, (), stream) == samples.tobytes()
    for changed in damaged(stream):
        assert call(Filter.REVERSE, (), changed) is None


@needs("flac")
def test_flac_never_gives_wrong_samples():
    call = Filter("flac")
    samples, payload = small_payload("flac")
    assert payload == Flac().encode(samples)
    unnoticed = []
    for changed in damaged(payload):
        decoded = call(Filter.REVERSE, (), changed)
        assert decoded in (None, samples.tobytes())
        assert decode_with_numcodecs(changed) == decoded
        if decoded is not None:
            unnoticed += [i for i, byte in enumerate(payload) if changed[i] != byte]
    # What STREAMINFO says of the lengths of blocks and frames, and of the sampling frequency,
    # means nothing for the samples.
    start = payload.index(b"fLaC")
    assert all(8 <= position - start < 26 for position in unnoticed)


@pytest.mark.parametrize("chain", [FLAC, WAVPACK, ADC_FLAC, ADC_WAVPACK])
@pytest.mark.parametrize("damage", DAMAGES)
def test_h5py_says_that_a_chunk_is_damaged(tmp_path, chain, damage):
    create(tmp_path / "x.h5", chain, TRACES, (500, 4))
    _, payload = encode(chain, TRACES[500:1000])
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["x"].id.write_direct_chunk((500, 0), DAMAGES[damage](payload))
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:500], TRACES[:500])
        with pytest.raises(OSError, match="filter"):
            file["x"][:]


def forged_head(dtype_bits, *shape):
    head = b"FL" + bytes([0x10 | dtype_bits])
    for length in shape:
        while length >= 0x80:
            head, length = head + bytes([length & 0x7F | 0x80]), length >> 7
        head += bytes([length])
    return head + zlib.crc32(head).to_bytes(4, "little")


UNTRUE_HEADS = [
    *(forged_head(4, length, 2) for length in (99, 101, 2**20, 2**40, 2**62)),
    *(forged_head(4, 100, channels) for channels in (1, 3, 10, 2**20, 2**62)),
    *(forged_head(4, 2**32, 2**32), forged_head(4, 0, 2), forged_head(4, 100, 0)),
    *(forged_head(bits, 100, 2) for bits in (6, 7, 0x0C, 0x24)),
    *(forged_head(bits, 100) for bits in (0, 8)),
    *(b"FL\x24\x64\x02" + bytes(4), b"FL\x14" + b"\xff" * 30, b"N1\x14", b"FL", b""),
]


@needs("flac")
def test_flac_payload_whose_head_is_not_true():
    _, payload = small_payload("flac")
    true_head = forged_head(4, 100, 2)
    assert payload.startswith(true_head)
    for head in UNTRUE_HEADS:
        assert Filter("flac")(Filter.REVERSE, (), head) is None, head.hex()
        forged = head + payload[len(true_head) :]
        assert Filter("flac")(Filter.REVERSE, (), forged) is None, head.hex()
        with pytest.raises(N1StoreError) as error:
            Flac().decode(forged)
        assert_one_line(error)


def forged_block(block, fields):
    """Return a WavPack block with other 32-bit fields in its header, and the right checksum."""
    block = bytearray(block)
    for position, value in fields.items():
        block[position : position + 4] = (value % 2**32).to_bytes(4, "little")
    checksum = 2**32 - 1
    for word in np.frombuffer(block[:-6], "<u2").tolist():
        checksum = (checksum * 3 + word) % 2**32
    block[-4:] = checksum.to_bytes(4, "little")
    return bytes(block)


TOTAL_SAMPLES, BLOCK_INDEX, BLOCK_SAMPLES, FLAGS, CRC = 12, 16, 20, 24, 28


@needs("wavpack")
def test_wavpack_stream_whose_headers_are_not_true():
    call = Filter("wavpack")
    _, stream = small_payload("wavpack")
    assert forged_block(stream, {}) == stream
    flags = int.from_bytes(stream[FLAGS : FLAGS + 4], "little")
    forgeries = [
        *({TOTAL_SAMPLES: count} for count in (0, 99, 101, 2**31, -1)),
        *({BLOCK_INDEX: index} for index in (1, 2**31, -1)),
        *({BLOCK_SAMPLES: count} for count in (0, 99, 101, 196_608, 2**31, -1)),
        *({BLOCK_SAMPLES: count, TOTAL_SAMPLES: count} for count in (0, 101, 196_607, 2**31, -2)),
        *({FLAGS: flags ^ 1 << bit} for bit in (0, 1, 2, 7, 11, 12, 28, 31)),
        {CRC: 0},
    ]
    for fields in forgeries:
        assert call(Filter.REVERSE, (), forged_block(stream, fields)) is None, fields
    wide = make.on_grid(200, 5)
    stream = call(0, hdf5.WavPack(5).filter_options, wide.tobytes())
    blocks = [b"wvpk" + part for part in stream.split(b"wvpk")[1:]]
    assert len(blocks) == 3
    assert call(Filter.REVERSE, (), b"".join(blocks)) == wide.tobytes()
    for order in ([0], [0, 1], [1, 2], [0, 2], [1, 0, 2], [0, 1, 2, 0, 1, 2], [0, 1, 1, 2], []):
        assert call(Filter.REVERSE, (), b"".join(blocks[i] for i in order)) is None, order


# Settings


# A mandatory filter that fails makes HDF5 itself crash when the file is closed, so that this is
# tried without HDF5.
def wrong_cd_values(name):
    if name in CODERS:
        return [(0,), (1, 0, 4)]
    if name in TRANSFORMS:
        return [
            *((), (1,), (1, 0), (1, 0, 4, 0), (33, 0, 4), (2**32 - 1, 0, 4), (1, 2, 4)),
            *((1, 3, 4), (1, 4, 4), (1, 2**32 - 1, 4), (1, 0, 3), (1, 0, 2**32 - 1)),
        ]
    return [
        *((), (2,), (2, 0), (2, 0, 4, 0), (9, 0, 4), (2**32 - 1, 0, 4), (2, 4, 4), (2, 0, 3)),
        *((2, 0, 2**31), (2, 2**32 - 1, 4)),
        *([(0, 0, 4), (5, 0, 4), (2, 1, 4), (2, 3, 4)] if name == "wavpack" else []),
    ]


@pytest.mark.parametrize("name", [FLAC, pytest.param("wavpack", marks=needs("wavpack")), *SIMPLE])
def test_filter_refuses_wrong_cd_values(name):
    for values in wrong_cd_values(name):
        for flags in (0, Filter.OPTIONAL):
            assert Filter(name)(flags, values, TRACES.tobytes()) is None, values


def test_adc_refuses_half_a_sample():
    for flags in (0, Filter.OPTIONAL, Filter.REVERSE):
        assert Filter("adc")(flags, (), bytes(3)) is None


@pytest.mark.parametrize(
    ("make_filter", "words"),
    [
        (lambda: hdf5.WavPack(4, level=0), "levels 1 to 4"),
        (lambda: hdf5.WavPack(4, level=5), "levels 1 to 4"),
        (lambda: hdf5.WavPack(4, "uint16"), "wavpack takes int16, int8"),
        (lambda: hdf5.WavPack(4, ">i2"), ">i2"),
        (lambda: hdf5.WavPack(0), "at least one channel"),
        (lambda: hdf5.Flac(4, level=9), "levels 0 to 8"),
        (lambda: hdf5.Flac(4, "int32"), "flac takes int16, uint16, int8, uint8"),
        (lambda: hdf5.Flac(-1), "at least one channel"),
        (lambda: hdf5.Delta(4, order=3), "order 1 to 2, not 3"),
        (lambda: hdf5.Delta(4, "int8"), "delta takes int16, uint16"),
        (lambda: hdf5.Delta(0), "at least one channel"),
    ],
)
def test_class_refuses_wrong_settings(make_filter, words):
    with pytest.raises(N1StoreError, match=words) as error:
        make_filter()
    assert_one_line(error)


@pytest.mark.parametrize(
    ("make_filter", "package"),
    [(lambda: hdf5.WavPack(4), "libwavpack-dev"), (lambda: hdf5.Flac(4), "libflac-dev")],
)
def test_class_says_that_its_plugin_was_left_out(monkeypatch, make_filter, package):
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda _: False)
    with pytest.raises(N1StoreError, match=f"apt-get install {package}") as error:
        make_filter()
    assert_one_line(error)


@pytest.mark.parametrize("name", [ADC_FILTER, FLAC, WAVPACK, *SIMPLE])
def test_class_is_made_again_from_its_configuration(name):
    parameter = getattr(SIMPLE.get(name), "parameter", "level")
    settings = {parameter: 2} if parameter else {}
    codec = hdf5_codec(name, TRACES, **settings)
    kind = type(codec)
    config = json.loads(json.dumps(codec.get_config()))
    if name in ("adc", *CODERS):
        assert config == {}
    else:
        assert config == {"num_channels": 4, "dtype": "int16", **settings}
    for again in (kind(**config), eval(repr(codec), {kind.__name__: kind})):
        assert again == codec
        assert dict(again) == dict(codec)


def test_plugins_that_are_here():
    own = {"n1", "adc", "numcodecs", *SIMPLE}
    assert own <= PLUGINS.keys() <= own | {"wavpack", "flac"}
    for path in PLUGINS.values():
        assert path.parent == hdf5.PLUGIN_FOLDER
        assert os.access(path, os.R_OK)
    # With wavpack-numcodecs, which is built with libwavpack, the plugin can be built too.
    if HAS_WAVPACK and os.path.exists("/usr/include/wavpack/wavpack.h"):
        assert "wavpack" in PLUGINS
