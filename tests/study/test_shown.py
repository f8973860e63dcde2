"""Which results are the best of a comparison, and which of them it says to take."""

from n1store.study.results import PeakMemory, Result, Speed
from n1store.study.shown import advice, best_of_groups, pareto_front


def result(pipeline, ratio, decode, group="predictive", lossless=True):
    speed = Speed(mb_per_s=decode, low=decode, high=decode, xrt=decode)
    return Result(
        pipeline=pipeline,
        codec=pipeline.rpartition("+")[2].partition(":")[0],
        group=group,
        summary="",
        adc=pipeline.startswith("adc+"),
        transforms=[],
        lossless=lossless,
        ratio=ratio,
        bits_per_sample=16 / ratio,
        payload_bytes=1000,
        encode=speed,
        decode=speed,
        peak_memory_bytes=PeakMemory(0, 0),
        entropy_before=1.0,
        entropy_after=1.0,
        chunk_ratios=[ratio],
        random_access=[],
        error=None,
        pareto=False,
        repeats=1,
    )


def test_front_has_only_what_is_a_choice():
    results = [
        result("n1", 3.5, 300),
        result("adc+flac", 3.3, 200),  # larger and slower
        result("adc+lz4", 1.4, 900),
        result("blosc", 1.4, 800),  # as large and slower
        result("rle", 1.0, 2000),  # no smaller than the samples
        result("adc+rle", 1.009, 1900),
        result("packbits10", 0.9, 5000),
        result("wavpack:bps=3", 6.0, 9000, lossless=False),
    ]
    assert [each.pipeline for each in pareto_front(results)] == ["n1", "adc+lz4"]
    assert pareto_front(results[4:]) == []
    assert best_of_groups(results) == results[:1]


def test_advice_follows_from_the_results():
    n1, fast = result("n1", 3.6, 300), result("n1:level=1", 3.5, 600)
    bz2, gzip = result("bz2", 3.0, 20), result("gzip:level=6", 2.2, 200)
    blosc = result("blosc:cname=zstd", 2.1, 700)
    mapped = result("adc+lpc+huffman", 3.7, 100)
    assert advice([gzip, n1, blosc, bz2, fast], noise=0.1) == [
        "Take --codec n1: it is the smallest, ratio 3.60, read at 300 MB/s.",
        "--codec n1:level=1 is read 2 times as fast and is 2.9% larger, ratio 3.50, read at "
        "600 MB/s.",
        "For readers who have zarr and not n1store take --codec blosc:cname=zstd --no-adc, ratio "
        "2.10, read at 700 MB/s.",
    ]
    # What is no faster beyond the noise is not said to be, and slow ones are better than none.
    assert advice([fast, n1, bz2], noise=1.0)[1:] == [
        "For readers who have zarr and not n1store take --codec bz2 --no-adc, ratio 3.00, read at "
        "20 MB/s."
    ]
    assert advice([mapped], 0.1) == [
        "Take --codec lpc+huffman: it is the smallest, ratio 3.70, read at 100 MB/s."
    ]
    assert len(advice([gzip], 0.1)) == 1
    # convert has no option for it; nothing is known of who reads it.
    own = result('adc+{"id": "mine"}', 4.0, 100)
    unknown = result("mine", 4.1, 50)
    assert advice([own], 0.1)[0].startswith('Take adc+{"id": "mine"}: it is')
    assert len(advice([unknown, own], 10)) == 1
    nothing = ["None of these makes the samples smaller without loss."]
    assert advice([result("rle", 1.0, 10), result("x", 9.0, 9, lossless=False)], 0.1) == nothing
    assert advice([], 0.1) == nothing
