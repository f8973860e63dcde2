"""Chunks of HDF5 datasets read past HDF5: always what h5py reads, or an error of one line."""

import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from types import SimpleNamespace

import h5py
import hdf5plugin
import numpy as np
import pytest
from numcodecs import LZ4, Zlib, get_codec
from numcodecs.compat import ensure_contiguous_ndarray

import make_wav as make
from cases import case
from installed import needs_h5py_316, needs_wavpack
from n1store.codecs import hdf5
from n1store.codecs.library.hdf5_lz4 import HDF5LZ4
from n1store.codecs.n1 import N1
from n1store.errors import N1StoreError
from n1store.stores.nwb.chunks import (
    HDF5Chunks,
    chunk_map,
    decode_chunk,
    filters_of,
    is_plain,
    pipeline_of,
)
from n1store.stores.traces import ChunkedTraces

TRACES = make.on_grid(1000, 5)
WIDTHS = bytes(np.random.default_rng(0).integers(8, 80, 1024).astype("u1"))


def as_dtype(dtype):
    dtype = np.dtype(dtype)
    if dtype.itemsize == 1:
        return (TRACES >> 8).astype(dtype)
    return TRACES.astype(dtype)


def create(path, data, chunks, filters=(), *, user_block=0, libver="earliest", **options):
    """Write a dataset with filters, each an id or (id, cd_values), in this order."""
    with h5py.File(path, "w", userblock_size=user_block, libver=libver) as file:
        if not filters:
            file.create_dataset("x", data=data, chunks=chunks, **options)
            return path
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk(chunks)
        for each in filters:
            filter_id, values = each if isinstance(each, tuple) else (each, ())
            properties.set_filter(filter_id, h5py.h5z.FLAG_OPTIONAL, values)
        maxshape = options.get("maxshape", data.shape)
        limits = tuple(h5py.h5s.UNLIMITED if each is None else each for each in maxshape)
        space = h5py.h5s.create_simple(data.shape, limits)
        stored_type = h5py.h5t.py_create(data.dtype, logical=True)
        h5py.h5d.create(file.id, b"x", stored_type, space, properties)
        file["x"][...] = data
    return path


@contextmanager
def opened(path):
    with h5py.File(path) as file, open(path, "rb", buffering=0) as content:
        dataset = file["x"]
        codecs = pipeline_of(dataset)
        assert codecs is not None
        yield dataset, HDF5Chunks(dataset, codecs, content)


def check(path, expected):
    """Compare all chunks with what h5py reads and with what was written; return the chunks."""
    with opened(path) as (dataset, chunks):
        np.testing.assert_array_equal(dataset[...], expected)
        traces = ChunkedTraces(chunks.grid, chunks.open_chunk)
        assert chunks.dtype == dataset.dtype.newbyteorder("=")
        assert chunks.dtype.isnative
        for index in chunks.grid.indices():
            chunk = chunks.read_chunk(index)
            assert chunk.shape == chunks.grid.chunk_shape
            assert chunk.dtype == chunks.dtype
            region = chunks.grid.region(index)
            wanted = expected.reshape(chunks.grid.shape)[region]
            held = chunk[: wanted.shape[0], : wanted.shape[1]]
            np.testing.assert_array_equal(held, wanted)
        if chunks.dtype == np.int16:
            np.testing.assert_array_equal(traces[:], expected.reshape(traces.shape))
        sizes = [
            dataset.id.get_chunk_info_by_coord(
                tuple(i * n for i, n in zip(index, dataset.chunks, strict=False))
            ).size
            for index in chunks.grid.indices()
        ]
        assert list(chunks.stored_bytes()) == sizes
        return dict(chunks.chunks)


SHUFFLE = (2, (2,))
N1_5, N1_1 = (52785, (2, 0, 5)), (52785, (2, 0, 0))

PIPELINES = {
    "none": [],
    "deflate": [(1, (4,))],
    "shuffle": [SHUFFLE],
    "fletcher32": [3],
    "shuffle deflate fletcher32": [SHUFFLE, (1, (9,)), 3],
    "n1": [N1_5],
    "n1 fletcher32": [N1_5, 3],
    "adc": [(52786, ())],
    "adc shuffle deflate": [(52786, ()), SHUFFLE, (1, (4,))],
    "bzip2": [(307, (9,))],
    "zstd": [(32015, (3,))],
    "shuffle zstd fletcher32": [SHUFFLE, (32015, (3,)), 3],
    "lz4": [(32004, (0,))],
    "lz4 in blocks": [(32004, (1000,))],
    "shuffle lz4 fletcher32": [SHUFFLE, (32004, (0,)), 3],
    **{
        f"blosc {name}": [(32001, tuple(hdf5plugin.Blosc(name, 5, shuffle).filter_options))]
        for name, shuffle in (
            ("blosclz", 0),
            ("lz4", 1),
            ("lz4hc", 2),
            ("zlib", 1),
            ("zstd", 2),
        )
    },
    **{
        f"bitshuffle {name}": [(32008, tuple(hdf5plugin.Bitshuffle(cname=name).filter_options))]
        for name in ("none", "lz4", "zstd")
    },
    "bitshuffle deflate fletcher32": [(32008, (0, 0)), (1, (4,)), 3],
    "deflate bitshuffle": [(1, (4,)), (32008, (0, 2))],
    "shuffle blosc": [SHUFFLE, (32001, (0, 0, 0, 0, 5, 0, 5))],
}


def needs_adc_plugin(filters):
    adc = any((each[0] if isinstance(each, tuple) else each) == 52786 for each in filters)
    if adc and not h5py.h5z.filter_avail(52786):
        pytest.skip("the HDF5 plugin adc is not built")


@pytest.mark.parametrize("name", PIPELINES)
def test_int16(tmp_path, name):
    for shape in ["1-D", "2-D", "2-D in columns", "one chunk", "long chunk"]:
        with case(shape):
            filters = PIPELINES[name]
            needs_adc_plugin(filters)
            data, chunks = {
                "1-D": (TRACES[:, 0], (300,)),
                "2-D": (TRACES, (300, 5)),
                "2-D in columns": (TRACES, (301, 2)),
                "one chunk": (TRACES, (1000, 5)),
                "long chunk": (TRACES[:37], (300, 8)),
            }[shape]
            if filters and filters[0] == N1_5:
                channels = 0 if data.ndim == 1 else chunks[1]
                filters = [(52785, (2, 0, channels)), *filters[1:]]
            limits = {"maxshape": chunks} if shape == "long chunk" else {}
            places = check(create(tmp_path / "x.h5", data, chunks, filters, **limits), data)
            if name in ("deflate", "n1", "zstd"):
                assert not any(place.filter_mask for place in places.values())


@pytest.mark.parametrize(
    "filters", [[], [SHUFFLE, (1, (4,)), 3], [(32008, (0, 2))], [(32015, (3,))]], ids=str
)
def test_other_dtypes(tmp_path, filters):
    for dtype in (
        ">i2",
        "<u2",
        ">u2",
        "i1",
        "u1",
        "<i4",
        ">i4",
        "<i8",
        "<f4",
        ">f4",
        "<f8",
        "bool",
    ):
        data = as_dtype(dtype)
        fitting = [(2, (data.itemsize,)) if each == SHUFFLE else each for each in filters]
        with case(dtype):
            check(create(tmp_path / "x.h5", data, (130, 3), fitting), data)


def test_n1_of_all_its_dtypes(tmp_path):
    for code in range(4):
        with case(code):
            data = as_dtype(["<i2", "<u2", "i1", "u1"][code])
            check(create(tmp_path / "x.h5", data, (300, 5), [(52785, (1, code, 5))]), data)


def test_n1_in_the_order_of_bytes_that_it_does_not_know(tmp_path):
    data = as_dtype(">i2")
    check(create(tmp_path / "x.h5", data, (300, 5), [N1_5]), data)


@needs_h5py_316
def test_n1_with_widths_of_its_own(tmp_path):
    data = TRACES
    with h5py.File(tmp_path / "x.h5", "w") as file:
        compression = hdf5.N1(5, widths=WIDTHS)
        file.create_dataset("x", data=data, chunks=(300, 5), compression=compression)
    with opened(tmp_path / "x.h5") as (_, chunks):
        assert chunks.codecs == [N1(2, WIDTHS)]
    check(tmp_path / "x.h5", data)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (hdf5plugin.Zstd(5), "zstd"),
        (hdf5plugin.LZ4(), "n1store.hdf5_lz4"),
        (hdf5plugin.LZ4(nbytes=512), "n1store.hdf5_lz4"),
        (hdf5plugin.BZip2(), "bz2"),
        (hdf5plugin.Blosc(), "blosc"),
        ({"compression": "gzip"}, "zlib"),
    ],
)
def test_datasets_as_h5py_makes_them(tmp_path, options, name):
    path = create(tmp_path / "x.h5", TRACES, (300, 5), **dict(options))
    with opened(path) as (_, chunks):
        assert [codec.codec_id for codec in chunks.codecs] == [name]
    check(path, TRACES)


@needs_wavpack
@pytest.mark.parametrize("chunks", [(300, 5), (300, 2)])
def test_wavpack(tmp_path, chunks):
    if not h5py.h5z.filter_avail(52787):
        pytest.skip("the HDF5 plugin wavpack is not built")
    filters = [(52786, ()), (52787, (2, 0, chunks[1]))]
    needs_adc_plugin(filters)
    check(create(tmp_path / "x.h5", TRACES, chunks, filters), TRACES)


def test_flac(tmp_path):
    pytest.importorskip("n1store.codecs.library.flac")
    if not h5py.h5z.filter_avail(52788):
        pytest.skip("the HDF5 plugin flac is not built")
    filters = [(52786, ()), (52788, (5, 0, 5))]
    check(create(tmp_path / "x.h5", TRACES, (300, 5), filters), TRACES)


@pytest.mark.parametrize(
    "options",
    [
        {"scaleoffset": 0},
        dict(hdf5plugin.Zfp(reversible=True)),
        dict(hdf5plugin.FciDecomp()),
    ],
    ids=str,
)
def test_filters_without_a_codec(tmp_path, options):
    path = create(tmp_path / "x.h5", TRACES.astype("<i4"), (300, 5), **options)
    with h5py.File(path) as file:
        assert pipeline_of(file["x"]) is None
        assert [each.codec for each in filters_of(file["x"])] == [None]


def test_settings_that_the_codec_does_not_take(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, filters in {
            "level": [(52785, (9, 0, 5))],
            "widths": [(52785, (2, 0, 5, 1, 2, 3))],
            "snappy": [(32001, (2, 2, 2, 3000, 5, 1, 3))],
            "shuffled bytes": [(1, (4,)), SHUFFLE],
        }.items():
            properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            properties.set_chunk((300, 5))
            for filter_id, values in filters:
                properties.set_filter(filter_id, h5py.h5z.FLAG_OPTIONAL, values)
            space = h5py.h5s.create_simple(TRACES.shape)
            h5py.h5d.create(file.id, name.encode(), h5py.h5t.STD_I16LE, space, properties)
            assert pipeline_of(file[name]) is None, name


def test_what_is_no_array_of_numbers(tmp_path):
    int24 = h5py.h5t.STD_I32LE.copy()
    int24.set_size(3)
    int10 = h5py.h5t.STD_I16LE.copy()
    int10.set_precision(10)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, stored_type in {"int24": int24, "int10": int10}.items():
            h5py.h5d.create(file.id, name.encode(), stored_type, h5py.h5s.create_simple((9,)))
        file["text"] = ["a", "b"]
        file["reference"] = np.array([file["text"].ref], h5py.ref_dtype)
        file["pair"] = np.zeros(3, [("a", "i2"), ("b", "i4")])
        file["bytes"] = np.array([b"abc"])
        assert not any(is_plain(dataset) for dataset in file.values())
        file["numbers"] = [1, 2]
        file["truth"] = [True, False]
        assert is_plain(file["numbers"])
        assert is_plain(file["truth"])


@pytest.mark.parametrize("user_block", [0, 512, 4096])
@pytest.mark.parametrize("filters", [[], [(1, (4,))]], ids=["raw", "deflate"])
def test_user_block(tmp_path, user_block, filters):
    # Whether it counts differs between versions of HDF5. Equal chunks give no hint.
    data = np.concatenate([np.zeros((900, 5), "<i2"), TRACES])
    path = create(tmp_path / "x.h5", data, (300, 5), filters, user_block=user_block)
    check(path, data)


@pytest.mark.parametrize("filters", [[], [(1, (4,))]], ids=["raw", "deflate"])
def test_every_kind_of_chunk_index(tmp_path, filters):
    for chunks, maxshape in product([(300, 2), (1000, 5)], [(1000, 5), (None, 5), (None, None)]):
        with case(chunks, maxshape):
            path = tmp_path / "x.h5"
            check(create(path, TRACES, chunks, filters, libver="latest", maxshape=maxshape), TRACES)


def test_chunks_without_chunk_iter(tmp_path):
    path = create(tmp_path / "x.h5", TRACES, (300, 2), [(1, (4,))])
    with h5py.File(path) as file, open(path, "rb", buffering=0) as content:
        dataset = file["x"]
        low_level = SimpleNamespace(
            get_chunk_info=dataset.id.get_chunk_info, get_num_chunks=dataset.id.get_num_chunks
        )
        older = SimpleNamespace(id=low_level, file=file, chunks=dataset.chunks)
        assert chunk_map(older, content) == chunk_map(dataset, content)
        assert len(chunk_map(dataset, content)) == 12


def test_filters_that_were_left_out_for_a_chunk(tmp_path):
    for mask in [0b001, 0b010, 0b100, 0b011, 0b101, 0b110, 0b111]:
        with case(mask):
            path = create(tmp_path / "x.h5", TRACES, (300, 5), [SHUFFLE, (1, (4,)), 3])
            chunk = TRACES[300:600] + 1
            expected = TRACES.copy()
            expected[300:600] = chunk
            with h5py.File(path, "r+") as file:
                payload = np.ascontiguousarray(chunk)
                for number, codec in enumerate(pipeline_of(file["x"])):
                    if not mask >> number & 1:
                        payload = codec.encode(payload)
                file["x"].id.write_direct_chunk((300, 0), bytes(payload), filter_mask=mask)
            places = check(path, expected)
            assert [place.filter_mask for place in places.values()] == [0, mask, 0, 0]


@pytest.mark.parametrize(
    "names",
    [
        ["n1store.n1"],
        ["n1store.flac"],
        ["n1store.adc", "n1store.flac", "fletcher32"],
        ["n1store.adc", "zlib"],
        ["n1store.adc", "zstd", "fletcher32"],
        ["n1store.adc", "n1store.adc", "n1store.n1"],
        pytest.param(["n1store.adc", "wavpack", "fletcher32"], marks=needs_wavpack),
    ],
    ids="+".join,
)
def test_decoding_into_an_array(names):
    codecs = [_codec_of(name) for name in names]
    for mask in range(1 << len(codecs)):
        payload = TRACES
        for number, codec in enumerate(codecs):
            if not mask >> number & 1:
                payload = codec.encode(payload)
        payload = bytes(ensure_contiguous_ndarray(payload))
        out = np.zeros_like(TRACES)
        result = decode_chunk(payload, codecs, mask, TRACES.shape, "<i2", out)
        np.testing.assert_array_equal(result, TRACES)
        assert (result is out) or mask
        for rows in (999, 1001):
            out = np.zeros((rows, 5), "<i2")
            with pytest.raises(N1StoreError):
                decode_chunk(payload, codecs, mask, out.shape, "<i2", out)


def _codec_of(name):
    if name == "wavpack":
        from n1store.codecs.library.wavpack import WavPack

        return WavPack(2, num_decoding_threads=1)
    return get_codec({"id": name})


def test_filter_that_gave_up(tmp_path):
    noise = np.random.default_rng(0).integers(-(2**15), 2**15, (1000, 5)).astype("<i2")
    places = check(create(tmp_path / "x.h5", noise, (300, 5), [(1, (9,)), N1_5]), noise)
    assert any(place.filter_mask for place in places.values())


@pytest.mark.parametrize("filters", [[], [N1_5]], ids=["raw", "n1"])
def test_chunks_that_were_never_written(tmp_path, filters):
    path = create(tmp_path / "x.h5", np.zeros((0, 5), "<i2"), (300, 5), filters, maxshape=(None, 5))
    check(path, np.zeros((0, 5), "<i2"))
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (1000, 5), ">i2", chunks=(300, 5), fillvalue=-7)
        file["x"][310:320] = 1
    with opened(path) as (dataset, chunks):
        assert list(chunks.chunks) == [(1, 0)]
        np.testing.assert_array_equal(
            ChunkedTraces(chunks.grid, chunks.open_chunk)[:], dataset[...]
        )
        assert (chunks.read_chunk((0, 0)) == -7).all()
        assert list(chunks.stored_bytes()) == [0, 3000, 0, 0]
        with pytest.raises(KeyError):
            chunks.payload((0, 0))


def test_payload_is_that_of_the_codec(tmp_path):
    with opened(create(tmp_path / "x.h5", TRACES, (300, 5), [N1_5])) as (_, chunks):
        assert chunks.payload((1, 0)) == N1().encode(TRACES[300:600])


def test_more_dimensions_are_refused(tmp_path):
    path = create(tmp_path / "x.h5", TRACES.reshape(100, 10, 5), (30, 10, 5))
    with pytest.raises(N1StoreError, match="3 dimensions"), opened(path):
        pass


def test_nothing_of_hdf5_is_needed_once_it_is_open(tmp_path):
    path = create(tmp_path / "x.h5", TRACES, (100, 1), [(1, (4,))])
    with open(path, "rb", buffering=0) as content:
        with h5py.File(path) as file:
            chunks = HDF5Chunks(file["x"], pipeline_of(file["x"]), content)
        indices = 8 * list(chunks.grid.indices())
        gate = threading.Barrier(4)

        def read(index):
            if index == (0, 0):
                gate.wait(10)  # all threads are at work at once
            return chunks.read_chunk(index)

        with ThreadPoolExecutor(4) as threads:
            gates = [threads.submit(read, (0, 0)) for _ in range(4)]
            assert all((each.result() == TRACES[:100, :1]).all() for each in gates)
            for index, chunk in zip(indices, threads.map(chunks.read_chunk, indices), strict=True):
                np.testing.assert_array_equal(chunk, TRACES[chunks.grid.region(index)])
    with pytest.raises(ValueError, match="closed"):
        chunks.read_chunk((0, 0))


CHECKED = {
    name: PIPELINES[name]
    for name in ("n1", "fletcher32", "deflate", "bzip2", "shuffle zstd fletcher32")
} | {"lz4 fletcher32": [(32004, (0,)), 3]}


@pytest.mark.parametrize("name", CHECKED)
def test_damaged_chunks(tmp_path, name):
    path = create(tmp_path / "x.h5", TRACES, (300, 5), CHECKED[name])
    with opened(path) as (_, chunks):
        place = chunks.chunks[1, 0]
    content = bytearray(path.read_bytes())
    for position in np.linspace(2, place.size - 1, 23, dtype=int):
        damaged = content.copy()
        damaged[place.offset + position] ^= 0x10
        path.write_bytes(damaged)
        with opened(path) as (_, chunks):
            with pytest.raises(N1StoreError) as error:
                chunks.read_chunk((1, 0))
            assert len(str(error.value).splitlines()) == 1
            np.testing.assert_array_equal(chunks.read_chunk((0, 0)), TRACES[:300])


def test_file_cut_off_while_it_is_read(tmp_path):
    path = create(tmp_path / "x.h5", TRACES, (300, 5), [(1, (4,))])
    with opened(path) as (_, chunks):
        place = max(chunks.chunks.values())
        index = next(index for index, each in chunks.chunks.items() if each == place)
        content = path.read_bytes()
        with open(path, "r+b") as file:
            file.truncate(place.offset + place.size - 1)
        with pytest.raises(N1StoreError, match="the file ends before"):
            chunks.read_chunk(index)
        path.write_bytes(content)


def test_chunk_of_another_size(tmp_path):
    path = create(tmp_path / "x.h5", TRACES, (300, 5), [(1, (4,))])
    with h5py.File(path, "r+") as file:
        file["x"].id.write_direct_chunk((0, 0), Zlib(1).encode(bytes(2998)))
    with (
        opened(path) as (_, chunks),
        pytest.raises(N1StoreError, match=r"^holds 2998 bytes instead of 3000"),
    ):
        chunks.read_chunk((0, 0))


# The frame of HDF5's filter LZ4


@pytest.mark.parametrize(
    "content",
    [b"", b"a", bytes(100_000), TRACES.tobytes(), np.random.default_rng(0).bytes(5000)],
    ids=["nothing", "a byte", "zeros", "samples", "noise"],
)
def test_lz4_round_trip(content):
    codec = get_codec({"id": "n1store.hdf5_lz4", "acceleration": 1})
    assert codec == HDF5LZ4()
    payload = codec.encode(content)
    assert bytes(codec.decode(payload)) == content
    out = np.empty(len(content), "u1")
    codec.decode(payload, out=out)
    assert out.tobytes() == content


def test_lz4_is_read_by_the_filter(tmp_path):
    path = create(tmp_path / "x.h5", TRACES, (300, 5), **dict(hdf5plugin.LZ4()))
    noise = np.random.default_rng(0).integers(-(2**15), 2**15, (300, 5)).astype("<i2")
    with h5py.File(path, "r+") as file:
        file["x"].id.write_direct_chunk((0, 0), HDF5LZ4().encode(TRACES[300:600]))
        file["x"].id.write_direct_chunk((300, 0), HDF5LZ4().encode(noise))
    check(path, np.concatenate([TRACES[300:600], noise, TRACES[600:]]))


def test_lz4_cut_off_anywhere():
    payload = HDF5LZ4().encode(TRACES)
    for length in [*range(20), *range(20, len(payload), 101), len(payload) - 1]:
        with pytest.raises(N1StoreError):
            HDF5LZ4().decode(payload[:length])


@pytest.mark.parametrize(
    "header",
    [
        struct.pack(">QII", 1 << 60, 1 << 20, 4),
        struct.pack(">QII", 100, 0, 4),
        struct.pack(">QII", 100, 1 << 31, 4),
        struct.pack(">QII", 100, 100, 1 << 31),
        struct.pack(">QII", 99, 100, 20),
    ],
)
def test_lz4_of_impossible_sizes(header):
    with pytest.raises(N1StoreError):
        HDF5LZ4().decode(header + LZ4().encode(bytes(100))[4:])
