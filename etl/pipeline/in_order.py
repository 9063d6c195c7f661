"""Work on items in several threads, with the results in the order of the items."""

import contextvars
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# A source is read by one thread, which keeps no more than these busy (docs/performance.md).
_MOST_THREADS = 4


def threads_of(workers: int) -> int:
    """Return the number of threads for the rules of a source.

    Args:
        workers: as WORKERS has it: processors to use, 0 for all.

    Example:
        >>> threads_of(1), threads_of(64)
        (1, 4)
    """
    return min(workers or os.cpu_count() or 1, _MOST_THREADS)


def in_order(function: Callable[[T], R], items: Iterable[T], *, threads: int) -> Iterator[R]:
    """Apply a function to items in several threads; yield the results in the order of the items.

    Args:
        function: what is applied; what it raises is raised in its place of the order.
        items: as many of them are taken ahead as there are threads; what they raise is raised
            after the results of those before.
        threads: how many; with one, everything happens in the caller's.

    Example:
        >>> list(in_order(str.upper, ["a", "b", "c"], threads=2))
        ['A', 'B', 'C']
    """
    if threads == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads, "rules") as pool:
        yield from _as_they_came(pool, function, items, threads)


def _as_they_came(
    pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], ahead: int
) -> Iterator[R]:
    waiting, errors = deque[Future[R]](), list[BaseException]()
    try:
        for item in _until_error(items, errors):
            # so that log records keep the run id
            waiting.append(pool.submit(contextvars.copy_context().run, function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for each in waiting:
            each.cancel()
    if errors:
        raise errors[0]


def _until_error(items: Iterable[T], errors: list[BaseException]) -> Iterator[T]:
    """The items up to an error, which is kept: what came before it is worked on first."""
    try:
        yield from items
    except Exception as error:  # noqa: BLE001  # raised in its place of the order
        errors.append(error)
