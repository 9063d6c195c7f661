"""Reading ahead: a thread reads what comes next while the caller works on what came before."""

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from etl import process

T = TypeVar("T")

# How often a consumer looks whether the run was asked to end, which reaches the main thread alone.
_LOOK_S = 1.0
# How long closing waits for a reader that is inside an engine, in seconds.
_CLOSE_S = 2


class ReadAhead(Generic[T]):
    """Runs an iterator in a thread of its own; what it raises is raised where it is consumed.

    Args:
        make: makes the iterator; called in the thread.
        name: of the thread.
        size: how much room an item takes; one by default.
        room: how much may wait. Reading goes on while less than that does, so the last item may
            be too large for it.

    Example:
        >>> with ReadAhead(lambda: iter([1, 2, 3]), "numbers") as numbers:
        ...     list(numbers)
        [1, 2, 3]
    """

    def __init__(
        self,
        make: Callable[[], Iterator[T]],
        name: str,
        *,
        size: Callable[[T], int] = lambda _: 1,
        room: int = 2,
    ) -> None:
        self._make, self._size, self._room = make, size, room
        self._waiting: deque[T] = deque()
        self._taken = 0  # of the room
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        context = contextvars.copy_context()  # so that log records keep the run id
        self._thread = threading.Thread(target=context.run, args=(self._fill,), name=name)
        self._thread.daemon = True  # a source that hangs must not keep an interrupted run alive
        self._thread.start()

    def __enter__(self) -> "ReadAhead[T]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        while True:
            process.raise_if_asked()
            with self._changed:
                while not self._changed.wait_for(lambda: self._waiting or self._ended, _LOOK_S):
                    process.raise_if_asked()
                if not self._waiting:
                    break
                item = self._waiting.popleft()
                self._taken -= self._size(item)
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stops reading and waits until the source is closed."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(timeout=_CLOSE_S)

    def _fill(self) -> None:
        try:
            for item in self._make():
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001  # handed over to the consumer
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, item: T) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._taken < self._room)
            self._waiting.append(item)
            self._taken += self._size(item)
            self._changed.notify_all()
            return not self._stopped
