"""Codecs of other libraries, and the HDF5 filter that runs any codec of numcodecs."""

import ctypes
import importlib
import json
import os
import shutil
import struct
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import h5py
import hdf5plugin
import numcodecs
import numpy as np
import pytest
from numcodecs.compat import ensure_bytes

import make_wav as make
from codec_checks import (
    TRACES,
    assert_lets_others_run,
    assert_one_line,
    read_only,
    samples_of,
)
from hdf5_checks import (
    DAMAGES,
    READ_WITH_H5PY_ALONE,
    Filter,
    direct_chunks,
    run_without_n1store,
    write_hdf5,
)
from make_wav import write_wav
from n1store.codecs import hdf5, hdf5_numcodecs
from n1store.codecs.catalogue import CATALOGUE
from n1store.codecs.library.bitshuffle import CNAMES, Bitshuffle
from n1store.codecs.library.blosc2 import FILTERS, Blosc2
from n1store.codecs.library.lzf import LZF
from n1store.errors import N1StoreError
from n1store.stores.nwb.chunks import pipeline_of

THEIRS = {
    "alac": "soundfile",
    "bitshuffle": "hdf5plugin",
    "brotli": "brotli",
    "bzip3": "bz3",
    "lz4hc": "lz4",
    "pcodec": "n1store.codecs.library.pcodec",
}
BYTES_TO_BYTES = ["lz4hc", "lzf", "bitshuffle", "brotli", "bzip3", "blosc2"]
OWN = [*BYTES_TO_BYTES, "alac"]
# Codecs of numcodecs' own, of n1store and of its catalogue, with what they must be told.
CONFIGURATIONS = {
    "lzma": ({"id": "lzma", "preset": 1}, {}),
    "zstd": ({"id": "zstd", "level": 3}, {}),
    "delta": ({"id": "delta", "dtype": "<i2"}, {}),
    "crc32": ({"id": "crc32"}, {}),
    "brotli": ({"id": "n1store.brotli", "level": 5}, {}),
    "bzip3": ({"id": "n1store.bzip3"}, {}),
    "alac": ({"id": "n1store.alac"}, {"num_channels": 4}),
    "flac": ({"id": "n1store.flac", "level": 5}, {"num_channels": 4}),
    "pcodec": ({"id": "pcodec", "level": 4}, {}),
}


def is_here(module):
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def codec_of(name):
    if name in THEIRS:
        pytest.importorskip(THEIRS[name], exc_type=ImportError)
    return CATALOGUE[name].build()


def filter_of(name, **more):
    """Return the class for h5py of one of `CONFIGURATIONS`."""
    if name in THEIRS:
        pytest.importorskip(THEIRS[name], exc_type=ImportError)
    configuration, settings = CONFIGURATIONS[name]
    return hdf5.Numcodecs(configuration, **settings | more)


# The codecs


@pytest.mark.parametrize("name", OWN)
def test_chunk_may_be_in_any_buffer(name):
    codec = codec_of(name)
    flat = TRACES.reshape(-1).view("u1")
    chunks = [TRACES, read_only(TRACES)]  # alac must know what is in them
    chunks += [] if name == "alac" else [bytes(flat), bytearray(flat), memoryview(flat)]
    for chunk in chunks:
        payload = codec.encode(chunk)
        assert isinstance(payload, bytes)
        for given in (payload, bytearray(payload), np.frombuffer(payload, "u1")):
            decoded = codec.decode(given).reshape(-1).view("u1")
            assert bytes(decoded) == TRACES.tobytes(), (type(chunk), type(given))


@pytest.mark.parametrize("name", OWN)
def test_decoding_into_a_buffer(name):
    codec = codec_of(name)
    payload = codec.encode(TRACES)
    out = np.empty_like(TRACES)
    assert codec.decode(payload, out) is out
    np.testing.assert_array_equal(out, TRACES)
    for size in (0, TRACES.size - 1, TRACES.size + 1):
        with pytest.raises(N1StoreError, match=f"{TRACES.nbytes} bytes") as error:
            codec.decode(payload, np.empty(size, "<i2"))
        assert_one_line(error)


@pytest.mark.parametrize("name", OWN)
def test_no_samples(name):
    if name == "lz4hc":
        pytest.skip("numcodecs' lz4, which reads it, has nothing for no bytes")
    codec = codec_of(name)
    assert codec.decode(codec.encode(TRACES[:0])).nbytes == 0


@pytest.mark.parametrize(
    "name", ["bitshuffle", "brotli", "bzip3", "blosc2", "lzf", "lz4hc", "alac"]
)
def test_damage_is_an_error_of_one_line_or_noticed_by_the_checksum_behind(name):
    codec = codec_of(name)
    chunk = make.on_grid(300, 2)
    payload = codec.encode(chunk)
    wrong = 0
    damaged = [payload[:length] for length in range(0, len(payload), 7)]
    for position in range(0, len(payload), 3):
        damaged.append(payload[:position] + bytes([payload[position] ^ 0x55]) + payload[position:])
        changed = bytearray(payload)
        changed[position] ^= 1 << position % 8
        damaged.append(bytes(changed))
    for each in damaged:
        try:
            decoded = codec.decode(each)
        except N1StoreError as error:
            assert len(str(error).splitlines()) == 1
        else:
            wrong += decoded.tobytes() != chunk.tobytes()
    assert wrong < len(damaged)
    if CATALOGUE[name].checks:
        assert not wrong


@pytest.mark.parametrize("name", OWN)
def test_threads_do_not_disturb_each_other(name):
    codec = codec_of(name)
    chunks = [np.roll(TRACES[:100], shift, axis=0) for shift in range(16)]
    payloads = [codec.encode(chunk) for chunk in chunks]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(codec.encode, 2 * chunks)) == 2 * payloads
        for decoded, chunk in zip(threads.map(codec.decode, payloads), chunks, strict=True):
            assert decoded.tobytes() == chunk.tobytes()


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("work", ["encode", "decode"])
def test_other_threads_run_while_the_codec_works(name, work):
    codec = codec_of(name)
    chunk = np.tile(TRACES, (20, 1))
    payload = codec.encode(chunk)
    call = {"encode": lambda: codec.encode(chunk), "decode": lambda: codec.decode(payload)}[work]
    assert_lets_others_run(call)


@pytest.mark.parametrize(
    ("spec", "settings"),
    [
        ("brotli", {"level": 12}),
        ("brotli", {"level": "9"}),
        ("lz4hc", {"level": 2}),
        ("blosc2", {"cname": "snappy"}),
        ("blosc2", {"clevel": 10}),
        ("blosc2", {"filter": "trunc_prec"}),
        ("blosc2", {"typesize": 0}),
        ("bitshuffle", {"cname": "gzip"}),
        ("bitshuffle", {"clevel": 23}),
        ("bitshuffle", {"typesize": 0}),
        ("bitshuffle", {"nelems": 12}),
    ],
)
def test_wrong_settings_are_refused(spec, settings):
    own = type(codec_of(spec))
    with pytest.raises(N1StoreError) as error:
        own(**settings)
    assert_one_line(error)


def test_lz4hc_is_read_by_any_lz4_and_is_smaller():
    codec = codec_of("lz4hc")
    payload = codec.encode(TRACES)
    assert numcodecs.LZ4().decode(payload) == TRACES.tobytes()
    assert len(payload) < len(numcodecs.LZ4().encode(TRACES))
    in_hdf5 = CATALOGUE["lz4hc"].for_hdf5(codec)
    assert CATALOGUE["lz4hc"].build(level=3).level == 3
    assert in_hdf5.level == codec.level
    assert CATALOGUE["lz4"].for_hdf5(numcodecs.LZ4()).decode(in_hdf5.encode(TRACES)) == (
        TRACES.tobytes()
    )


def test_lzf_has_the_chunks_of_h5py(tmp_path):
    write_hdf5(tmp_path / "x.h5", TRACES, (500, 4), compression="lzf")
    for offset, (mask, payload) in direct_chunks(tmp_path / "x.h5").items():
        assert (mask, payload) == (0, LZF().encode(TRACES[offset[0] :][:500]))
    noise = make.noise(500, 4)
    payload = LZF().encode(noise)
    assert len(payload) > noise.nbytes
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["x"].id.write_direct_chunk((500, 0), payload)
        assert pipeline_of(file["x"]) == [LZF()]
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][500:1000], noise)


def test_lzf_of_zeros_is_decoded_without_knowing_their_number():
    for size in (1, 100, 10_000, 1_000_000):
        payload = LZF().encode(bytes(size))
        assert LZF().decode(payload).tobytes() == bytes(size)


def test_lzf_refuses_more_than_it_can_count():
    # Pages of zeros that nothing looks at take no memory.
    for size in ((1 << 32) - (1 << 24), 1 << 32, (1 << 32) + 1000):
        with pytest.raises(N1StoreError, match=f"less than 4 GB, not of {size} bytes"):
            LZF().encode(np.zeros(size, "u1"))


@pytest.mark.parametrize("cname", ["zstd", "lz4", "blosclz"])
def test_blosc2_frames_are_those_of_the_hdf5_filter(tmp_path, cname):
    for filter_name in FILTERS:
        check_blosc2(tmp_path, cname, filter_name)


def check_blosc2(tmp_path, cname, filter_name):
    codec = Blosc2(cname, 5, filter_name)
    settings = hdf5plugin.Blosc2(cname, 5, max(0, FILTERS.index(filter_name)) % 4)
    write_hdf5(tmp_path / "x.h5", TRACES, (500, 4), compression=settings)
    for _, payload in direct_chunks(tmp_path / "x.h5").values():
        assert codec.decode(payload).nbytes == 4000
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["x"].id.write_direct_chunk((0, 0), codec.encode(TRACES[500:1000]))
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:500], TRACES[500:1000])


def test_blosc2_chunks_of_others_are_cut_into_blocks(tmp_path):
    # So large that the plugin makes several blocks of a chunk.
    wide = make.on_grid(20_000, 64)
    write_hdf5(tmp_path / "x.h5", wide, (20_000, 64), compression=hdf5plugin.Blosc2("lz4", 1, 1))
    [(_, payload)] = direct_chunks(tmp_path / "x.h5").values()
    assert Blosc2().decode(payload).tobytes() == wide.tobytes()


BITSHUFFLES = [
    *({"cname": cname} for cname in CNAMES),
    *({"cname": cname, "nelems": 64} for cname in CNAMES),
    {"cname": "zstd", "clevel": 0},
    {"cname": "zstd", "clevel": 19},
]


def test_bzip3_makes_no_room_for_a_block_that_cannot_be():
    content = bytes(TRACES.data)[:8000]
    payload = codec_of("bzip3").encode(content)
    assert struct.unpack_from("<I", payload, 13) == (len(content),)
    for claimed in ((65 << 10) + 1, 400 << 20):
        damaged = payload[:13] + struct.pack("<I", claimed) + payload[17:]
        with pytest.raises(N1StoreError, match="no such block"):
            codec_of("bzip3").decode(damaged)


@pytest.mark.parametrize("settings", BITSHUFFLES, ids=str)
def test_bitshuffle_has_the_chunks_of_hdf5plugin(tmp_path, settings):
    for count in (1, 7, 8, 9, 127, 4095, 4096, 4097, 4103, 12_345):
        check_bitshuffle(tmp_path, settings, count)


def check_bitshuffle(tmp_path, settings, count):
    codec = Bitshuffle(**settings)
    samples = make.on_grid(count, 1)
    for name, dtype in (("x.h5", "<i2"), ("y.h5", "<i4")):
        write_hdf5(
            tmp_path / name,
            samples.astype(dtype),
            (count, 1),
            compression=hdf5plugin.Bitshuffle(**settings),
        )
    [stored] = direct_chunks(tmp_path / "x.h5").values()
    assert stored == (0, codec.encode(samples))
    assert codec.decode(stored[1]).tobytes() == samples.tobytes()
    with h5py.File(tmp_path / "x.h5") as file:
        assert pipeline_of(file["x"]) == [codec]
    # Samples of other sizes are those of others' files.
    with h5py.File(tmp_path / "y.h5") as file:
        (codec,) = pipeline_of(file["x"])
    [(_, payload)] = direct_chunks(tmp_path / "y.h5").values()
    assert payload == codec.encode(samples.astype("<i4"))
    assert codec.decode(payload).tobytes() == samples.astype("<i4").tobytes()


@pytest.mark.parametrize("cname", CNAMES)
def test_bitshuffle_takes_whole_samples(cname):
    for size in (1, 15, 8193):
        with pytest.raises(N1StoreError, match=f"{size} bytes") as error:
            Bitshuffle(cname).encode(bytes(size))
        assert_one_line(error)
    with pytest.raises(N1StoreError):
        Bitshuffle("none").decode(bytes(17))


@pytest.mark.parametrize("cname", ["lz4", "zstd"])
@pytest.mark.parametrize("count", [5, 4096, 10_003])
def test_bitshuffle_cut_off_or_longer(cname, count):
    codec = Bitshuffle(cname)
    payload = codec.encode(make.on_grid(count, 1))
    for length in [*range(20), *range(20, len(payload), 97), len(payload) - 1]:
        if length < len(payload):
            with pytest.raises(N1StoreError) as error:
                codec.decode(payload[:length])
            assert_one_line(error)
    with pytest.raises(N1StoreError):
        codec.decode(payload + b"x")


# Bytes of the content, of a block, and of the first block as it is encoded.
IMPOSSIBLE_SIZES = [
    (1 << 60, 8192, 100),
    (1 << 63, 8192, 100),
    (161, 8192, 100),
    (160, 0, 100),
    (160, 8, 100),
    (160, 8200, 100),
    (160, 1 << 31, 100),
    (160, (1 << 32) - 16, 100),
    (160, 8192, 0),
    (160, 8192, 99),
    (160, 8192, 101),
    (160, 8192, 1 << 31),
    (160, 8192, (1 << 32) - 4),
    (160, 16, 100),
    (0, 8192, 100),
]


@pytest.mark.parametrize("cname", ["lz4", "zstd"])
def test_bitshuffle_of_impossible_sizes(cname):
    for sizes in IMPOSSIBLE_SIZES:
        content = struct.pack(">QII", *sizes) + bytes(100)
        with pytest.raises(N1StoreError) as error:
            Bitshuffle(cname).decode(content)
        assert_one_line(error)


@pytest.mark.parametrize("cname", ["lz4", "zstd"])
@pytest.mark.parametrize("size", [152, 168])
def test_bitshuffle_block_of_another_size(cname, size):
    block = {"lz4": lambda each: numcodecs.LZ4().encode(each)[4:], "zstd": numcodecs.Zstd().encode}
    for length in (160, size):
        encoded = block[cname](bytes(length))
        payload = struct.pack(">QII", 160, 8192, len(encoded)) + encoded
        if length == 160:
            assert Bitshuffle(cname).decode(payload).tobytes() == bytes(160)
        else:
            with pytest.raises(N1StoreError):
                Bitshuffle(cname).decode(payload)


def test_alac_is_read_by_others(tmp_path):
    import soundfile

    codec = codec_of("alac")
    samples = samples_of("<i2", (9000, 19))
    payload = codec.encode(samples)
    parts = payload.split(b"caff")[1:]
    assert len(parts) == 19
    for part, channel in zip(parts, samples.T, strict=True):
        (tmp_path / "x.caf").write_bytes(b"caff" + part)
        read_back, _ = soundfile.read(tmp_path / "x.caf", dtype="int16")
        np.testing.assert_array_equal(read_back, channel)


@pytest.mark.parametrize(
    "chunk",
    [*(TRACES.astype(dtype) for dtype in (">i2", "<u2", "i1", "<i4", "<f4")), TRACES.T],
    ids=lambda chunk: f"{chunk.dtype} {chunk.shape}",
)
def test_alac_refuses_what_it_would_change(chunk):
    with pytest.raises(N1StoreError, match="little-endian int16") as error:
        codec_of("alac").encode(chunk)
    assert_one_line(error)


def test_alac_says_nothing_on_standard_output(tmp_path):
    pytest.importorskip("soundfile")
    # A frame of few samples that libsndfile encodes twice.
    script = """
        import numpy
        from n1store.codecs.library.alac import Alac
        for count in (15, 16, 17, 20):
            for seed in range(20):
                noise = numpy.random.default_rng(seed).integers(-1000, 1000, (count, 2))
                Alac().encode(noise.cumsum(axis=0).astype("<i2"))
    """
    result = run_python(tmp_path, script)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def run_python(tmp_path, script, *arguments):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        cwd=tmp_path,
        capture_output=True,
        timeout=100,
    )


@pytest.mark.parametrize(("name", "module"), THEIRS.items())
def test_library_that_is_missing(run, run_json, monkeypatch, name, module):
    filter_id = run_json("codecs", name)["hdf5"]["filter_id"]
    for loaded in list(sys.modules):
        if loaded.partition(".")[0] == module or loaded in (
            f"n1store.codecs.library.{name}",
            f"numcodecs.{name}",
        ):
            monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    content = run_json("codecs", name)
    assert not content["installed"]
    install = CATALOGUE[name].install
    assert install.startswith("pip install ")
    assert install in content["why_missing"]
    assert content["hdf5"]["filter_id"] == filter_id
    error = run("convert", "x.wav", "x.zarr", "--codec", name, exit_code=1).stderr
    assert install in error


# Any codec of numcodecs in HDF5


def create(path, name, samples=TRACES, chunks=(500, 4), **more):
    write_hdf5(path, samples, chunks, compression=filter_of(name, **more))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_chunks_are_those_of_numcodecs(tmp_path, name):
    create(tmp_path / "x.h5", name)
    codec = numcodecs.get_codec(dict(CONFIGURATIONS[name][0]))
    for offset, stored in direct_chunks(tmp_path / "x.h5").items():
        assert stored == (0, ensure_bytes(codec.encode(TRACES[offset[0] :][:500])))
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:], TRACES)
        assert [each.codec_id for each in pipeline_of(file["x"])] == [codec.codec_id]


@pytest.mark.parametrize("of_n1store", [False, True])
def test_a_fresh_process_reads_and_writes(tmp_path, of_n1store):
    names = [
        name
        for name, (configuration, _) in CONFIGURATIONS.items()
        if configuration["id"].startswith("n1store.") == of_n1store
        and (name not in THEIRS or is_here(THEIRS[name]))
    ]
    for name in names:
        create(tmp_path / f"{name}.h5", name)
    script = """
        import sys, h5py, numpy
        for name in sys.argv[1:]:
            with h5py.File(f"{name}.h5", "r+") as file:
                numpy.save(f"{name}.npy", file["x"][:])
                file["x"][600:700] = 7
            with h5py.File(f"{name}.h5") as file:
                assert (file["x"][600:700] == 7).all(), name
        known = "n1store", "n1store.errors", "n1store.version"  # what its codecs need
        beyond = [name for name in sys.modules if name.startswith("n1store")
                  and name not in known and not name.startswith("n1store.codecs")]
        assert not beyond, beyond
    """
    result = run_without_n1store(tmp_path, [sys.executable, "-c", textwrap.dedent(script), *names])
    assert (result.returncode, result.stderr) == (0, b"")
    for name in names:
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), TRACES, name)


@pytest.mark.parametrize("dtype", hdf5_numcodecs.DTYPES, ids=str)
def test_codec_is_given_the_dtype_and_shape(tmp_path, dtype):
    samples = np.arange(120).astype(dtype).reshape(40, 3)
    own = hdf5.Numcodecs({"id": "shuffle", "elementsize": dtype.itemsize}, 3, dtype)
    write_hdf5(tmp_path / "x.h5", samples, (10, 3), compression=own)
    shuffled = numcodecs.Shuffle(dtype.itemsize).encode(samples[:10])
    assert direct_chunks(tmp_path / "x.h5")[0, 0] == (0, ensure_bytes(shuffled))
    # A codec that adds what it was told.
    own = hdf5.Numcodecs({"id": "delta", "dtype": dtype.str}, None, dtype)
    write_hdf5(tmp_path / "y.h5", samples, (10, 3), compression=own)
    with h5py.File(tmp_path / "y.h5") as file:
        np.testing.assert_array_equal(file["x"][:], samples)


def test_codecs_in_a_row(tmp_path):
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((500, 4))
    for name in ("delta", "lzma", "crc32"):
        settings = hdf5.Numcodecs(CONFIGURATIONS[name][0], None, "<i2" if name == "delta" else "u1")
        properties.set_filter(settings.filter_id, h5py.h5z.FLAG_MANDATORY, settings.filter_options)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        space = h5py.h5s.create_simple(TRACES.shape)
        h5py.h5d.create(file.id, b"x", h5py.h5t.STD_I16LE, space, properties)
        file["x"][:] = TRACES
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:], TRACES)
        assert [each.codec_id for each in pipeline_of(file["x"])] == ["delta", "lzma", "crc32"]


def test_class_says_how_to_make_it_again():
    own = hdf5.Numcodecs(numcodecs.LZMA(preset=3), 4, "uint16", 4000)
    again = eval(repr(own), {"Numcodecs": hdf5.Numcodecs})
    assert again.filter_options == own.filter_options
    assert (
        hdf5_numcodecs.configuration_of(own.filter_options) == numcodecs.LZMA(preset=3).get_config()
    )


def test_numbers_of_numpy_are_numbers_of_json():
    own = hdf5.Numcodecs(numcodecs.LZMA(preset=np.int64(3)))
    assert own.filter_options == hdf5.Numcodecs(numcodecs.LZMA(preset=3)).filter_options


@pytest.mark.parametrize(
    "arguments",
    [
        ({"id": "no such codec"},),
        ({"level": 3},),
        ({"id": 3},),
        ({"id": "zstd", "levle": 3},),
        ({"id": "zstd"}, 0),
        ({"id": "zstd"}, 2**31),
        ({"id": "zstd"}, 4, ">i2"),
        ({"id": "zstd"}, 4, "S2"),
        ({"id": "zstd"}, 4, "<i2", -1),
        ({"id": "zstd", "x": "y" * 1000},),
        ({"id": "zstd", "level": b"3"},),
        ({"id": "pickle"},),
    ],
    ids=str,
)
def test_class_refuses(arguments):
    with pytest.raises(N1StoreError) as error:
        hdf5.Numcodecs(*arguments)
    assert_one_line(error)


def cd_values(configuration, *more):
    text = configuration if isinstance(configuration, bytes) else json.dumps(configuration).encode()
    packed = np.frombuffer(text + bytes(-len(text) % 4), "<u4").tolist()
    return (len(text), 3, 0, *(more or (0,)), *packed)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((), ""),
        ((2, 3, 0, 0), ""),
        ((2**32 - 1, 3, 0, 0, 1), ""),
        (cd_values(b""), "Expecting value"),
        (cd_values(b"{"), "Expecting"),
        (cd_values(b"[]"), ""),
        (cd_values(b"3"), ""),
        (cd_values(b"\xff\xfe"), ""),
        (cd_values({"id": "zstd", "level": "x"}), ""),
        (cd_values({"id": "no such"}), "no such"),
        (cd_values({"id": "pickle"}), "not made because a file names it"),
        (cd_values({"id": "crc32"}, 5), "instead of 5"),
    ],
)
def test_settings_that_mean_nothing(values, words, capsys):
    payload = numcodecs.CRC32().encode(bytes(8)).tobytes()
    assert Filter("numcodecs")(Filter.REVERSE, values, payload) is None
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= 1
    assert words in "".join(lines)
    for line in lines:
        assert line.startswith("n1store: HDF5 filter 52797: ")
        assert line.isprintable()


# brotli has no checksum, nor have others that are left out here.
@pytest.mark.parametrize("name", ["lzma", "bzip3", "alac", "crc32"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_h5py_says_that_a_chunk_is_damaged(tmp_path, name, damage, capsys):
    create(tmp_path / "x.h5", name)
    payload = direct_chunks(tmp_path / "x.h5")[500, 0][1]
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["x"].id.write_direct_chunk((500, 0), DAMAGES[damage](payload))
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:500], TRACES[:500])
        with pytest.raises(OSError, match="filter"):
            file["x"][:]
    (line,) = capsys.readouterr().err.splitlines()
    assert CONFIGURATIONS[name][0]["id"] in line


@pytest.mark.parametrize("num_bytes", [0, 2, 3998, 4002, 8000])
def test_chunk_of_another_size_is_an_error(tmp_path, num_bytes):
    create(tmp_path / "x.h5", "zstd", chunk_bytes=4000)
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["x"].id.write_direct_chunk((500, 0), numcodecs.Zstd(3).encode(bytes(num_bytes)))
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:500], TRACES[:500])
        with pytest.raises(OSError, match="filter"):
            file["x"][500:1000]


def test_threads_read_at_once(tmp_path):
    names = ["lzma", "zstd", "brotli"]
    for name in names:
        create(tmp_path / f"{name}.h5", name)

    def read(number):
        with h5py.File(tmp_path / f"{names[number % 3]}.h5") as file:
            start = number * 37 % 1500
            return (file["x"][start : start + 500] == TRACES[start : start + 500]).all()

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(200)))


def test_thread_of_others_gets_pythons_lock():
    values = cd_values({"id": "zstd", "level": 3})
    payload = numcodecs.Zstd(3).encode(TRACES)
    call = Filter("numcodecs")  # ctypes gives up the lock for the call
    with ThreadPoolExecutor(4) as threads:
        results = threads.map(lambda _: call(Filter.REVERSE, values, payload), range(100))
        assert set(results) == {TRACES.tobytes()}


def test_nothing_is_leaked():
    values = cd_values({"id": "zstd", "level": 3})
    call, payload = Filter("numcodecs"), numcodecs.Zstd(3).encode(bytes(100_000))
    for content in (payload, b"damaged"):
        for flags in (0, Filter.REVERSE):
            call(flags, values, content)  # imports, and keeps the codec
            before = sys.getallocatedblocks()
            for _ in range(300):
                call(flags, values, content)
            assert sys.getallocatedblocks() - before < 200


def test_error_that_is_on_its_way_is_kept(tmp_path):
    with pytest.raises(ZeroDivisionError), h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset(
            "x", (2000, 4), "<i2", chunks=(500, 4), compression=filter_of("lzma")
        )
        data[:] = TRACES  # is encoded when the file is closed
        1 / 0  # noqa: B018
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:], TRACES)


def test_interrupt_gets_through(tmp_path):
    create(tmp_path / "x.h5", "zstd")
    script = """
        import faulthandler, signal, time, h5py, numcodecs

        signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background
        faulthandler.dump_traceback_later(60, exit=True)  # to see who has swallowed it

        class Zstd(numcodecs.Zstd):
            def decode(self, buf, out=None):
                signal.raise_signal(signal.SIGINT)
                time.sleep(100)

        numcodecs.register_codec(Zstd)
        try:
            try:
                with h5py.File("x.h5") as file:
                    file["x"][:]
            except OSError:
                time.sleep(100)
        except KeyboardInterrupt:
            print("interrupted")
    """
    result = run_python(tmp_path, script)
    assert result.stdout == b"interrupted\n", result.stderr


def test_file_that_is_open_when_python_ends(tmp_path):
    script = """
        import h5py, numpy, sys
        from n1store.codecs.hdf5 import Numcodecs
        codec = Numcodecs({"id": "lzma", "preset": 1})
        file = h5py.File("x.h5", "w")
        data = file.create_dataset("x", (2000, 4), "<i2", chunks=(500, 4), compression=codec)
        data[:] = numpy.load("x.npy")
        sys.modules["kept"] = file, data
    """
    np.save(tmp_path / "x.npy", TRACES)
    result = run_python(tmp_path, script)
    assert result.returncode == 0, result.stderr
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:], TRACES)


def test_codec_that_fails_leaves_the_chunk_as_it_is(tmp_path, capsys):
    # As h5py has it, filters are optional. TRACES are no codes of 10 bits.
    own = hdf5.Numcodecs({"id": "n1store.alac"}, 4, "uint16")
    write_hdf5(tmp_path / "x.h5", TRACES.astype("<u2"), (500, 4), compression=own)
    assert "little-endian int16" in capsys.readouterr().err
    assert {mask for mask, _ in direct_chunks(tmp_path / "x.h5").values()} == {1}
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:], TRACES.astype("<u2"))


NEEDS_PYTHON = "works only in a process that runs Python"


@pytest.mark.parametrize("program", ["h5dump", "h5repack"])
def test_programs_without_python_fail_with_the_reason(tmp_path, program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    with h5py.File(tmp_path / "x.h5", "w", libver=("earliest", "v108")) as file:
        file.create_dataset("x", data=TRACES, chunks=(500, 4), compression=filter_of("lzma"))
    command = {
        "h5dump": ["h5dump", "-d", "/x", "x.h5"],
        "h5repack": ["h5repack", "-f", "NONE", "x.h5", "y.h5"],
    }[program]
    result = run_without_n1store(tmp_path, command)
    assert result.returncode > 0  # not by a signal
    assert NEEDS_PYTHON in result.stderr.decode()
    # What is said of a dataset needs no filter.
    result = run_without_n1store(tmp_path, ["h5dump", "-p", "-H", "x.h5"])
    assert result.returncode == 0
    assert b"52797" in result.stdout


def test_plugin_links_nothing_of_python():
    plugin = ctypes.CDLL(str(hdf5.plugins()["numcodecs"]), os.RTLD_NOW)
    assert plugin.H5PLget_plugin_type() == 0
    needed = subprocess.run(
        ["ldd", str(hdf5.plugins()["numcodecs"])], capture_output=True, text=True, check=True
    )
    assert "libpython" not in needed.stdout


@pytest.mark.slow
def test_nwb_is_read_by_a_process_that_knows_nothing_of_n1store(tmp_path, run):
    alone = [
        name
        for name in ("brotli", "bzip3", "lzma", "pcodec", "alac", "lzf")
        if name not in THEIRS or is_here(THEIRS[name])
    ]
    with_hdf5plugin = ["blosc2", "bitshuffle"]
    here = [*alone, *with_hdf5plugin]
    samples = make.on_grid(20_000, 3)
    write_wav(tmp_path / "x.wav", samples)
    for name in here:
        run("convert", tmp_path / "x.wav", tmp_path / f"{name}.nwb", "--codec", name)
    script = """
        import sys, numpy, pynwb
        for name in sys.argv[1:]:
            if name == "hdf5plugin":
                import hdf5plugin
                continue
            with pynwb.NWBHDF5IO(f"{name}.nwb", "r") as io:
                numpy.save(f"{name}.npy", io.read().acquisition["x"].data[:])
            assert ("hdf5plugin" in sys.modules) == (name in ("blosc2", "bitshuffle")), name
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    command += [*alone, "hdf5plugin", *with_hdf5plugin]
    result = run_without_n1store(tmp_path, command)
    assert result.returncode == 0, result.stderr
    for name in here:
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), samples, name)
        run("verify", tmp_path / f"{name}.nwb", tmp_path / "x.wav")


def test_h5py_without_the_plugin_says_so(tmp_path):
    create(tmp_path / "x.h5", "zstd")
    command = [sys.executable, "-c", textwrap.dedent(READ_WITH_H5PY_ALONE), "x.h5", "x.npy"]
    # With the plugin, a fresh process reads it, as is tested above.
    result = run_without_n1store(tmp_path, command, tmp_path)
    assert result.returncode == 1
    assert b"plugin" in result.stderr, result.stderr
