"""Working ahead on several cores while results are taken in order."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

Item = TypeVar("Item")


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def in_order(
    submitted: Iterable[tuple[Item, Future | None]], ahead: int
) -> Iterator[tuple[Item, Any]]:
    """Give each item with its future's result, in order.

    Parameters
    ----------
    submitted : iterable of (item, Future or None)
        Taken from lazily, so that no more than `ahead` items wait for their results or to
        be taken, however many there are.
    ahead : int
    """
    waiting: deque[tuple[Item, Future | None]] = deque()
    for pair in submitted:
        waiting.append(pair)
        if len(waiting) > ahead:
            yield _first(waiting)
    while waiting:
        yield _first(waiting)


def _first(waiting: deque[tuple[Item, Future | None]]) -> tuple[Item, Any]:
    item, future = waiting.popleft()
    return item, future.result() if future is not None else None
