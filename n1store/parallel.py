"""Working ahead on several cores while results are taken in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


class Workers(ThreadPoolExecutor):
    """Threads for codecs, all of which let go of Python's lock while they work.

    Parameters
    ----------
    count : int, optional
        How many; by default one for each core.
    """

    def __init__(self, count: int | None = None):
        self.count = count or available_cores()
        super().__init__(self.count, thread_name_prefix="n1store")

    def __exit__(self, *_: object) -> None:
        # After an error, or Ctrl-C, what has not begun is not wanted any more.
        self.shutdown(cancel_futures=True)

    def in_order(
        self, calls: Iterable[tuple[Item, Callable[[], Any] | None]]
    ) -> Iterator[tuple[Item, Any]]:
        """Give each item with what its call returns (None without one), in order.

        Parameters
        ----------
        calls : iterable of (item, callable or None)
            Taken from lazily: however many there are, few more than there are workers wait
            to be done or for their results to be taken.
        """
        waiting: deque[tuple[Item, Future | None]] = deque()
        for item, call in calls:
            waiting.append((item, self.submit(call) if call else None))
            if len(waiting) > self.count + 2:
                yield _first(waiting)
        while waiting:
            yield _first(waiting)


def _first(waiting: deque[tuple[Item, Future | None]]) -> tuple[Item, Any]:
    item, future = waiting.popleft()
    return item, future.result() if future else None
