"""What is measured of a pipeline is so: entropy, memory, speed with fewer chunks, random access."""

import numcodecs.blosc
import numpy as np
import pytest

import n1store.study.measurement
from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError
from n1store.study.measurement import (
    Chunk,
    cut,
    peak_memory,
    random_access,
    single_threads,
    time_round,
    transformed_entropy,
)
from n1store.system.parallel import Workers


def chunks_of(*arrays, rate=1000):
    return [Chunk("here", array, len(array) / rate) for array in arrays]


def test_entropy_of_known_values():
    ramp = np.arange(1 << 10, dtype="<i2").reshape(-1, 1)
    halves = np.repeat(np.array([[-5], [700]], "<i2"), 100, axis=0)
    for array, bits in ((ramp, 10), (halves, 1), (np.full((50, 2), 3, "<i2"), 0)):
        assert transformed_entropy(Pipeline.parse("zlib"), chunks_of(array)) == pytest.approx(bits)
    of_both = transformed_entropy(Pipeline.parse("zlib"), chunks_of(ramp, ramp))
    assert of_both == pytest.approx(10)
    assert transformed_entropy(Pipeline.parse("delta+zlib"), chunks_of(ramp)) < 0.2


def test_memory_is_at_least_the_result_and_no_more_than_a_few():
    noise = np.random.default_rng(0).integers(-(1 << 15), 1 << 15, (1 << 23, 1)).astype("<i2")
    lzma = Pipeline.parse("lzma:preset=9")
    with Workers(2) as workers:
        pipeline = Pipeline.parse("shuffle")
        memory = peak_memory(pipeline, chunks_of(noise)[0], pipeline.encode(noise), workers)
        few = chunks_of(noise[:20_000])[0]
        of_lzma = peak_memory(lzma, few, lzma.encode(few.samples), workers)
        with pytest.raises(N1StoreError, match="decode in a process of its own"):
            peak_memory(Pipeline.parse("zlib"), chunks_of(noise[:9])[0], b"damaged", workers)
    for peak in memory.values():
        assert 0.9 * noise.nbytes < peak < 3.5 * noise.nbytes
    # Its encoder has tables of tens of MB, whatever there is to encode.
    assert of_lzma["encode"] > 10e6 > 2e6 > of_lzma["decode"] > few.samples.nbytes / 2


@pytest.mark.parametrize("window_seconds", [0.001, 0.1, 0.25, 0.5, 9.0])
def test_random_access_reads_what_is_there(window_seconds, monkeypatch):
    rng = np.random.default_rng(1)
    arrays = [rng.integers(-99, 99, (length, 2)).astype("<i2") for length in (500, 731)]
    windows = []
    read = n1store.study.measurement._read
    monkeypatch.setattr(
        n1store.study.measurement,
        "_read",
        lambda *given: windows.append(read(*given)) or windows[-1],
    )
    assert random_access(Pipeline.parse("zlib"), chunks_of(*arrays), 0.1, window_seconds) > 0
    wanted = {min(round(1000 * window_seconds), length) for length in (500, 731)}
    assert {len(window) for window in windows} == wanted


def test_random_access_notices_what_is_wrong():
    class Broken:
        loss = ""

        def encode(self, samples):
            return samples.tobytes()

        def decode(self, payload, shape):
            samples = np.frombuffer(payload, "<i2").reshape(shape).copy()
            samples[-1] ^= 1
            return samples

    ramp = np.arange(1000, dtype="<i2").reshape(-1, 1)
    with pytest.raises(N1StoreError, match="not what was encoded"):
        random_access(Broken(), chunks_of(ramp), 0.5, 0.7)


def test_slow_codecs_are_timed_with_fewer_chunks(monkeypatch):
    monkeypatch.setattr(n1store.study.measurement, "_ROUND_SECONDS", 0.1)
    counted = []

    class Counting:
        def encode(self, samples):
            counted.append("encode")
            return bytes(samples)

        def decode(self, payload, shape):
            counted.append("decode")

    chunks = chunks_of(*[np.zeros((10, 1), "<i2")] * 100)
    # Of encoding 100 chunks in 1 s a tenth of a second has 10; these are decoded 5 times in it.
    time_round(Counting(), chunks, 1.0, 0.2)
    # One more of each is not timed.
    assert (counted.count("encode"), counted.count("decode")) == (11, 51)
    counted.clear()
    time_round(Counting(), chunks, 1000.0, 1000.0)
    assert (counted.count("encode"), counted.count("decode")) == (9, 9)
    counted.clear()
    time_round(Counting(), chunks, 0.05, 0.05)
    assert (counted.count("encode"), counted.count("decode")) == (201, 201)


def test_chunks_have_no_rest_that_tells_nothing():
    lengths = [[len(each) for each in cut(np.zeros((n, 1)), 200)] for n in (1, 200, 201, 202, 401)]
    assert lengths == [[1], [200], [200], [200, 2], [200, 200]]


def test_threads_of_libraries_come_back():
    before = numcodecs.blosc.use_threads
    with single_threads():
        assert numcodecs.blosc.use_threads is False
    assert numcodecs.blosc.use_threads == before
