"""Reading ahead: a thread fills a short queue while the caller works on what came before."""

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

# Blocks that wait between reading and loading; with 16 MB blocks this bounds the memory.
MAX_BLOCKS = 2

# How long closing waits for a reader that is inside an engine, in seconds.
_CLOSE_S = 2

# How often a waiting reader looks whether it is still wanted, in seconds.
_LOOK_S = 0.1


@dataclass(frozen=True)
class _End:
    """The last thing in the queue: the reader is through, or failed."""

    error: BaseException | None = None


class ReadAhead(Generic[T]):
    """Runs an iterator in a thread of its own; what it raises is raised where it is consumed.

    Args:
        make: makes the iterator; called in the thread.
        name: of the thread.
        max_blocks: how many items may wait.

    Example:
        >>> with ReadAhead(lambda: iter([1, 2, 3]), "numbers") as numbers:
        ...     list(numbers)
        [1, 2, 3]
    """

    def __init__(
        self, make: Callable[[], Iterator[T]], name: str, *, max_blocks: int = MAX_BLOCKS
    ) -> None:
        self._make = make
        self._queue: queue.Queue[T | _End] = queue.Queue(max_blocks)
        self._stopped = threading.Event()
        context = contextvars.copy_context()  # so that log records keep the run id
        self._thread = threading.Thread(target=context.run, args=(self._fill,), name=name)
        self._thread.daemon = True  # a source that hangs must not keep an interrupted run alive
        self._thread.start()

    def __enter__(self) -> "ReadAhead[T]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        while not isinstance(item := self._queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def close(self) -> None:
        """Stops reading and waits until the source is closed."""
        self._stopped.set()
        self._thread.join(timeout=_CLOSE_S)

    def _fill(self) -> None:
        try:
            for item in self._make():
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001  # handed over to the consumer
            self._put(_End(error))
        else:
            self._put(_End())

    def _put(self, item: T | _End) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=_LOOK_S)
            except queue.Full:
                continue
            return True
        return False
