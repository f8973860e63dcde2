"""Working ahead on several cores, with results in order."""

import gc
import threading
import time
from functools import partial

import numpy as np
import pytest

from n1store.system.parallel import Workers
from processes import time_limit


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("num_calls", [0, 1, 4, 100])
def test_results_are_in_order_and_all_there(count, num_calls):
    def work(number):
        time.sleep((number * 7 % 5) / 5000)
        return -number

    calls = ((number, partial(work, number) if number % 3 else None) for number in range(num_calls))
    with Workers(count) as workers:
        results = list(workers.in_order(calls))
    assert results == [(number, -number if number % 3 else None) for number in range(num_calls)]


def test_few_more_than_there_are_workers_are_under_way():
    taken = 0

    def calls():
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number, None

    with Workers(3) as workers:
        for done, _ in enumerate(workers.in_order(calls())):
            time.sleep(0.001)
            assert taken <= done + 1 + 3 + 2


def test_what_was_worked_on_is_let_go():
    """Samples need not wait in memory for results to be taken."""
    alive = 0

    class Samples(np.ndarray):
        def __array_finalize__(self, _):
            nonlocal alive
            alive += 1

        def __del__(self):
            nonlocal alive
            alive -= 1

    def calls():
        for number in range(20):
            yield number, partial(len, np.zeros(3).view(Samples))

    with Workers(2) as workers:
        results = workers.in_order(calls())
        next(results)
        deadline = time.monotonic() + 10
        while alive > 1 and time.monotonic() < deadline:  # the generator may hold the last one
            time.sleep(0.01)
            gc.collect()
        assert alive <= 1
        assert [number for number, _ in results] == list(range(1, 20))


@pytest.mark.parametrize("error", [ValueError, StopIteration, KeyboardInterrupt])
def test_what_a_call_raises_comes_in_its_turn(error):
    def fail():
        raise error("on purpose")

    calls = [(number, fail if number == 5 else partial(int, number)) for number in range(20)]
    with Workers(2) as workers:
        results = workers.in_order(calls)
        assert [next(results) for _ in range(5)] == [(number, number) for number in range(5)]
        # A generator must not end as if that had been all.
        with pytest.raises(RuntimeError if error is StopIteration else error):
            next(results)


def test_ctrl_c_waits_for_no_worker():
    """One may be waiting for a lock that Ctrl-C left locked."""
    let_go = threading.Event()
    try:
        with time_limit(30), pytest.raises(KeyboardInterrupt), Workers(1) as workers:
            workers.submit(let_go.wait)
            raise KeyboardInterrupt
    finally:
        let_go.set()


def test_what_the_source_of_calls_raises_comes_behind_the_results_before_it():
    def calls():
        yield 0, partial(time.sleep, 0.01)
        yield 1, None
        raise OSError("cannot be read")

    with Workers(4) as workers:
        results = workers.in_order(calls())
        assert [next(results), next(results)] == [(0, None), (1, None)]
        with pytest.raises(OSError, match="cannot be read"):
            next(results)


def test_nothing_else_is_taken_once_results_are_not_wanted():
    taken = []

    def calls():
        for number in range(1000):
            taken.append(threading.get_ident())
            yield number, None

    with Workers(2) as workers:
        results = workers.in_order(calls())
        next(results)
        results.close()
        count = len(taken)
        assert list(workers.in_order([(1, partial(str, 1))])) == [(1, "1")]
        assert len(taken) == count <= 6
        assert threading.get_ident() not in taken
