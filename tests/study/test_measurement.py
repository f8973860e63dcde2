"""What is measured of a pipeline is so: entropy, memory, speed with fewer chunks, random access."""

import time

import numcodecs.blosc
import numpy as np
import pytest

from n1store.codecs.pipeline import Pipeline
from n1store.errors import N1StoreError
from n1store.study.measurement import (
    Chunk,
    cut,
    peak_memory,
    random_access,
    read_window,
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


@pytest.mark.slow
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
    for peak in (memory.encode, memory.decode):
        assert 0.9 * noise.nbytes < peak < 3.5 * noise.nbytes
    # Its encoder has tables of tens of MB, whatever there is to encode.
    assert of_lzma.encode > 10e6 > 2e6 > of_lzma.decode > few.samples.nbytes / 2


def test_window_is_the_part_of_the_recording_that_was_asked_for():
    samples = np.random.default_rng(1).integers(-99, 99, (731, 2)).astype("<i2")
    pieces = cut(samples, 100)
    pipeline = Pipeline.parse("zlib")
    payloads, shapes = [pipeline.encode(each) for each in pieces], [each.shape for each in pieces]
    for start, length in ((0, 1), (0, 100), (99, 2), (100, 100), (250, 400), (730, 1), (0, 731)):
        window = read_window(pipeline, payloads, shapes, start, length)
        assert np.array_equal(window, samples[start : start + length])


def test_random_access_counts_what_was_read():
    class Slow:
        """Takes a hundredth of a second of CPU time to decode a chunk."""

        loss = ""
        decoded = 0

        def encode(self, samples):
            return samples.tobytes()

        def decode(self, payload, shape):
            self.decoded += 1
            until = time.process_time() + 0.01
            while time.process_time() < until:
                pass
            return np.frombuffer(payload, "<i2").reshape(shape)

    ramps = [np.arange(length, dtype="<i2").reshape(-1, 1) for length in (500, 731)]
    # A window of what is shorter than it is all of it: 0.5 s in 5 chunks, or 0.731 s in 8.
    for chunk_seconds, window_seconds, chunks, seconds in (
        (9.0, 9.0, (1, 1), (0.5, 0.731)),
        (0.1, 9.0, (5, 8), (0.5, 0.731)),
        (0.1, 0.1, (1, 2), (0.1, 0.1)),
        (9.0, 0.1, (1, 1), (0.1, 0.1)),
    ):
        codec = Slow()
        speed = random_access(codec, chunks_of(*ramps), chunk_seconds, window_seconds, 5)
        assert 5 * chunks[0] <= codec.decoded <= 5 * chunks[1]
        fastest = max(seconds) / (0.01 * chunks[0])
        slowest = min(seconds) / (0.01 * chunks[1])
        assert 0.5 * slowest < speed <= fastest


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


def test_slow_codecs_are_timed_with_fewer_chunks():
    counted = []

    class Counting:
        def encode(self, samples):
            counted.append("encode")
            return bytes(samples)

        def decode(self, payload, shape):
            counted.append("decode")

    chunks = chunks_of(*[np.zeros((10, 1), "<i2")] * 100)
    for seconds, calls in (
        # Of encoding 100 chunks in 1 s a tenth of a second has 10; these are decoded 5 times in it.
        ((1.0, 0.2), (10, 50)),
        ((1000.0, 1000.0), (8, 8)),
        ((0.05, 0.05), (200, 200)),
    ):
        counted.clear()
        time_round(Counting(), chunks, *seconds, round_seconds=0.1)
        # One more of each is not timed.
        assert (counted.count("encode"), counted.count("decode")) == (calls[0] + 1, calls[1] + 1)


def test_remainder_of_less_than_a_hundredth_of_a_chunk_is_left_out():
    lengths = [[len(each) for each in cut(np.zeros((n, 1)), 200)] for n in (1, 200, 201, 202, 401)]
    assert lengths == [[1], [200], [200], [200, 2], [200, 200]]


def test_threads_of_libraries_come_back():
    before = numcodecs.blosc.use_threads
    with single_threads():
        assert numcodecs.blosc.use_threads is False
    assert numcodecs.blosc.use_threads == before
