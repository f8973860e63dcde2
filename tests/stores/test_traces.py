"""Lazy traces are indexed as ndarrays are, whatever chunks they are cut into."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, get_ident

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from n1store.errors import N1StoreError
from n1store.stores.chunks import WholeChunk
from n1store.stores.grid import Grid
from n1store.stores.traces import ChunkedTraces
from n1store.system.parallel import available_cores

SAMPLES = np.arange(53 * 7, dtype="<i2").reshape(53, 7)


def cut(samples, chunk_shape):
    """Return lazy traces of an array, and the list of chunks that they read."""
    read = []

    def read_chunk(index, out):
        read.append(index)
        rows, columns = (
            slice(position * length, (position + 1) * length)
            for position, length in zip(index, chunk_shape, strict=True)
        )
        part = samples[rows, columns]
        chunk = np.zeros(chunk_shape, samples.dtype)
        chunk[: part.shape[0], : part.shape[1]] = part
        return chunk

    return traces_of(Grid(samples.shape, chunk_shape), read_chunk), read


def traces_of(grid, read_chunk):
    """Return traces whose chunks a function reads, as a whole."""

    def open_chunk(index):
        return WholeChunk(grid.chunk_shape, lambda out: read_chunk(index, out))

    return ChunkedTraces(grid, open_chunk)


def axis(length):
    bound = st.none() | st.integers(-length - 3, length + 3)
    step = st.none() | st.integers(-5, 5).filter(bool)
    index = st.integers(-length, length - 1)
    mask = st.lists(st.booleans(), min_size=length, max_size=length)
    return (
        st.builds(slice, bound, bound, step)
        | index
        | st.lists(index, max_size=5)
        | mask.map(np.array)
        | st.lists(index, min_size=1, max_size=5).map(np.array)
    )


def expected(samples, rows, columns):
    """Index each axis by itself, as ``numpy.ix_`` does for lists."""
    columns = columns if not isinstance(columns, list) else np.array(columns, int)
    rows = rows if not isinstance(rows, list) else np.array(rows, int)
    return samples[rows][..., columns]


@pytest.mark.slow
@settings(deadline=None, max_examples=400, database=None)
@given(rows=axis(53), columns=axis(7), chunk_shape=st.tuples(st.integers(1, 60), st.integers(1, 9)))
def test_indexing_equals_that_of_an_ndarray(rows, columns, chunk_shape):
    traces, _ = cut(SAMPLES, chunk_shape)
    for key, wanted in (
        ((rows, columns), expected(SAMPLES, rows, columns)),
        (rows, expected(SAMPLES, rows, slice(None))),
    ):
        read = traces[key]
        assert np.shape(read) == wanted.shape
        np.testing.assert_array_equal(read, wanted)


def test_ellipsis_and_whole():
    traces, _ = cut(SAMPLES, (8, 2))
    for key in (..., (), (..., 3), (5, ...), (..., slice(2, 4)), (slice(3, 9), ..., 1)):
        np.testing.assert_array_equal(traces[key], SAMPLES[key])
    np.testing.assert_array_equal(np.asarray(traces), SAMPLES)
    assert np.asarray(traces, float).dtype == float
    with pytest.raises(ValueError, match="a copy"):
        traces.__array__(copy=False)
    assert (len(traces), traces.ndim, traces.dtype) == (53, 2, np.int16)


@pytest.mark.parametrize("key", [53, -54, (0, 7), (0, -8), [60], (0, 0, 0), (slice(None), [9])])
def test_beyond_the_ends(key):
    traces, _ = cut(SAMPLES, (8, 2))
    with pytest.raises(IndexError):
        traces[key]


def test_only_the_chunks_touched_are_read():
    traces, read = cut(SAMPLES, (10, 2))
    traces[12:25, 3]
    assert sorted(read) == [(1, 1), (2, 1)]
    read.clear()
    traces[5:5]
    traces[[], 2]
    assert read == []


def test_small_windows_in_a_row_decode_a_chunk_once():
    traces, read = cut(SAMPLES, (25, 7))
    for start in range(20):
        np.testing.assert_array_equal(traces[start : start + 3], SAMPLES[start : start + 3])
    assert read == [(0, 0)]
    traces[3, 2]
    traces[4, 2]
    assert read == [(0, 0), (0, 0)]  # other channels
    np.testing.assert_array_equal(traces[22:28, 2], SAMPLES[22:28, 2])
    assert read[2:] == [(1, 0)]
    traces[:]
    traces[0]
    assert len(read) == 3 + 3 + 1  # of whole chunks nothing is kept


def test_of_many_chunks_as_many_are_kept_as_there_is_room_for():
    read = []

    def read_chunk(index, out):
        read.append(index)
        return np.full((1000, 80), index[1], "<i2")

    traces = traces_of(Grid((1000, 80 * 120), (1000, 80)), read_chunk)  # of 19 MB
    expected = np.repeat(np.arange(120), 80)
    for start in range(3):
        read.clear()
        np.testing.assert_array_equal(traces[start : start + 1], expected[np.newaxis])
        assert len(read) == (120 if start == 0 else 120 - 2**24 // (2 * 1000 * 80))


def test_far_apart_lists_read_what_they_touch():
    traces, read = cut(SAMPLES, (5, 2))
    np.testing.assert_array_equal(
        traces[[50, 1, 50, 2], [0, 6]], SAMPLES[[50, 1, 50, 2]][:, [0, 6]]
    )
    assert sorted(read) == [(0, 0), (0, 3), (10, 0), (10, 3)]
    read.clear()
    np.testing.assert_array_equal(traces[::20], SAMPLES[::20])
    assert sorted({row for row, _ in read}) == [0, 4, 8]


def test_no_samples():
    traces, _ = cut(SAMPLES[:0], (16, 2))
    assert traces[:].shape == (0, 7)
    assert traces[:, 3].shape == (0,)


def test_the_result_is_the_readers_own():
    traces, _ = cut(SAMPLES, (100, 7))
    traces[:10][:] = 0
    np.testing.assert_array_equal(traces[:10], SAMPLES[:10])


def test_whole_chunks_may_be_decoded_to_where_they_are_wanted():
    given = []

    def read_chunk(index, out):
        given.append(out is not None)
        chunk = cut(SAMPLES, (10, 7))[0][10 * index[0] : 10 * index[0] + 10]
        chunk = np.pad(chunk, [(0, 10 - len(chunk)), (0, 0)])
        if out is None:
            return chunk
        assert (out.shape, out.dtype) == ((10, 7), "<i2")
        assert out.flags.c_contiguous
        out[:] = chunk
        return out

    traces = traces_of(Grid((53, 7), (10, 7)), read_chunk)
    np.testing.assert_array_equal(traces[:], SAMPLES)
    assert given == 6 * [True]
    given.clear()
    np.testing.assert_array_equal(traces[5:30, ::-1], SAMPLES[5:30, ::-1])
    assert given == 3 * [True]
    given.clear()
    np.testing.assert_array_equal(traces[:, 1:], SAMPLES[:, 1:])
    assert not any(given)


def test_an_error_in_a_chunk_reaches_the_reader():
    def read_chunk(index, out):
        raise ValueError("no such")

    traces = traces_of(Grid((100, 4), (10, 2)), read_chunk)
    for key in (5, slice(None)):
        with pytest.raises(N1StoreError, match="chunk 0,0: no such"):
            traces[key]


MANY = np.random.default_rng(0).integers(-9, 9, (12_000, 80)).astype("<i2")
"""Samples whose chunks, of 1,000, are worth a thread each."""


def test_an_error_is_that_of_the_first_chunk_and_ends_the_reading():
    read = []

    def read_chunk(index, out):
        read.append(index)
        raise ValueError(f"no {len(read)}")

    with pytest.raises(N1StoreError, match="chunk 0,0: no"):
        traces_of(Grid(MANY.shape, (1000, 80)), read_chunk)[:]
    assert len(read) <= available_cores()


@pytest.mark.skipif(available_cores() < 2, reason="there is one core")
@pytest.mark.parametrize("rows", [slice(None), slice(1500, 2500)])
def test_much_is_decoded_by_several_threads(rows):
    both = Barrier(2, timeout=30)

    def read_chunk(index, out):
        if index[0] in (1, 2):
            both.wait()
        return MANY[1000 * index[0] :][:1000]

    traces = traces_of(Grid(MANY.shape, (1000, 80)), read_chunk)
    np.testing.assert_array_equal(traces[rows], MANY[rows])


def test_little_is_decoded_by_the_thread_that_asks():
    threads = set()

    def read_chunk(index, out):
        threads.add(get_ident())
        return MANY[100 * index[0] :][:100]

    np.testing.assert_array_equal(
        traces_of(Grid(MANY.shape, (100, 80)), read_chunk)[:999], MANY[:999]
    )
    assert threads == {get_ident()}


def test_threads_read_at_once():
    traces, _ = cut(MANY, (1000, 80))
    with ThreadPoolExecutor(8) as threads:
        for read in threads.map(lambda _: traces[:], range(50)):
            np.testing.assert_array_equal(read, MANY)
        starts = [*range(0, len(MANY) - 100, 50)] * 5
        for start, read in zip(
            starts, threads.map(lambda start: traces[start : start + 100], starts), strict=True
        ):
            np.testing.assert_array_equal(read, MANY[start : start + 100])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_can_read():
    traces, _ = cut(MANY, (1000, 80))
    traces[:]  # starts the threads, which the fork does not inherit
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=lambda: queue.put(int(traces[:].sum())))
    process.start()
    try:
        assert queue.get(timeout=30) == MANY.sum()
    finally:
        process.kill()
        process.join()
