"""Working ahead on several cores while results are taken in order."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from threading import Lock
from typing import Any, TypeVar

from n1store.errors import N1StoreError

Item = TypeVar("Item")

_MOST = 256


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


class Workers(ThreadPoolExecutor):
    """Threads for codecs, all of which let go of Python's lock while they work.

    Parameters
    ----------
    count : int, optional
        How many; by default one for each core.

    Raises
    ------
    N1StoreError
        If there are none.
    """

    def __init__(self, count: int | None = None):
        if count is not None and count < 1:
            raise N1StoreError("at least one worker is needed")
        # More threads than that only take memory.
        self.count = min(count or available_cores(), _MOST)
        super().__init__(self.count, thread_name_prefix="n1store")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # After an error, or Ctrl-C, what has not begun is not wanted any more. Ctrl-C may have
        # left a lock of the executor locked, on which a worker then waits for ever.
        self.shutdown(wait=kind is not KeyboardInterrupt, cancel_futures=True)

    def in_order(
        self, calls: Iterable[tuple[Item, Callable[[], Any] | None]]
    ) -> Iterator[tuple[Item, Any]]:
        """Give each item with what its call returns (None without one), in order.

        Parameters
        ----------
        calls : iterable of (item, callable or None)
            The workers take from it, one at a time, so that what it reads is with those who work
            on it. However many there are, few more than there are workers are under way, or wait
            for their results to be taken.
        """
        source = iter(calls)
        taking = Lock()
        taken: Queue[Future[tuple[Item, Any] | None]] = Queue()

        def take_and_call() -> None:
            result: Future[tuple[Item, Any] | None] = Future()
            try:
                with taking:
                    taken.put(result)
                    step = next(source, None)
                result.set_result(step and (step[0], step[1]() if step[1] else None))
            except BaseException as error:
                result.set_exception(error)

        try:
            for _ in range(self.count + 2):
                self.submit(take_and_call)
            while (result := taken.get().result()) is not None:
                self.submit(take_and_call)
                yield result
        finally:
            with taking:
                source = iter(())  # nothing else is wanted, if it was not all
