"""A circuit breaker: what fails again and again is not called until it had time to recover.

Closed, calls pass. After a number of failures in a row the circuit opens, and calls are refused
without being made. After a while it is half open: exactly one trial call passes, and its end
closes the circuit or opens it again.
"""

import functools
import math
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from etl.errors import CircuitOpenError, ConfigurationError

P = ParamSpec("P")
R = TypeVar("R")

CLOSED = "closed"
OPEN = "open"
HALF_OPEN = "half-open"


def _every_failure(_error: BaseException) -> bool:
    return True


class CircuitBreaker:
    """Prevents calls to something that has failed too often in a row; safe to share by threads.

    It guards one call (`call`), every call of a function (as a decorator), or a `with` block.
    Its lock is not held meanwhile. Ctrl-C and `SystemExit` count as nothing. An exception that
    `counts` does not take is an answer: what was called is there, as after a success. A retry
    loop stands outside of the breaker, and never repeats a refusal.

    Args:
        failure_threshold: failures in a row that open the circuit.
        recovery_seconds: how long it stays open before a trial call, in seconds.
        name: what is called, for messages.
        counts: whether an exception is a failure.
        clock: a reading in seconds that never goes back.

    Raises:
        ConfigurationError: a limit cannot be used.

    Example:
        >>> breaker = CircuitBreaker(failure_threshold=1, name="mail server", clock=lambda: 0.0)
        >>> def send() -> None:
        ...     raise ConnectionRefusedError("refused")
        >>> for _ in range(2):
        ...     try:
        ...         breaker.call(send)
        ...     except Exception as error:
        ...         print(type(error).__name__, breaker.state)
        ConnectionRefusedError open
        CircuitOpenError open
    """

    def __init__(
        self,
        failure_threshold: int = 5,
        recovery_seconds: float = 60.0,
        *,
        name: str = "circuit",
        counts: Callable[[BaseException], bool] = _every_failure,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_limits(failure_threshold, recovery_seconds)
        self.name = name
        self.failure_threshold = failure_threshold
        self.recovery_seconds = recovery_seconds
        self._counts = counts
        self._clock = clock
        self._lock = threading.Lock()
        self._state = CLOSED
        self._failures = 0
        self._opened_at = 0.0
        self._on_trial = False
        self._last_error = ""
        # Counts the changes of state: a call that ends in another state than it began in is late,
        # and its outcome counts no more.
        self._generation = 0
        self._blocks = threading.local()  # of `with`: where each of a thread's began

    def __repr__(self) -> str:
        return f"CircuitBreaker({self.name!r}, {self.state})"

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        with self._lock:
            return HALF_OPEN if self._state == OPEN and self._left_s() <= 0 else self._state

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Make a call, unless the circuit is open.

        Raises:
            CircuitOpenError: it is open, or somebody else's trial call is under way; nothing was
                called. Says for how many seconds, and what the last failure was.
        """
        with self:
            return function(*args, **kwargs)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function: each of its calls goes through the breaker."""

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            return self.call(function, *args, **kwargs)

        return guarded

    def __enter__(self) -> Self:
        """Begin a call, which is the body of the `with` block.

        Raises:
            CircuitOpenError: as in `call`.
        """
        generation = self._admit()
        self._blocks.__dict__.setdefault("begun", []).append(generation)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        generation = self._blocks.begun.pop()
        if exc_val is None or isinstance(exc_val, Exception):
            failed = exc_val is not None and self._counts(exc_val)
            self._end(generation, exc_val if failed else None)
        else:
            self._forget(generation)

    def _admit(self) -> int:
        with self._lock:
            if self._state == OPEN:
                if self._left_s() > 0:
                    raise self._refusal(f"{math.ceil(self._left_s())} s are left until a trial")
                self._become(HALF_OPEN)
            if self._state == HALF_OPEN:
                if self._on_trial:
                    raise self._refusal("0 s are left, its one trial call is under way")
                self._on_trial = True
            return self._generation

    def _end(self, generation: int, error: BaseException | None) -> None:
        with self._lock:
            if generation == self._generation:
                self._succeed() if error is None else self._fail(error)

    def _forget(self, generation: int) -> None:
        with self._lock:
            if generation == self._generation:
                self._on_trial = False

    # The methods below are called with the lock held.

    def _left_s(self) -> float:
        return self._opened_at + self.recovery_seconds - self._clock()

    def _succeed(self) -> None:
        self._failures = 0
        if self._state == HALF_OPEN:
            self._become(CLOSED)

    def _fail(self, error: BaseException) -> None:
        self._failures += 1
        self._last_error = f"{error or type(error).__name__}"
        if self._state == HALF_OPEN or self._failures >= self.failure_threshold:
            self._opened_at = self._clock()
            self._become(OPEN)

    def _become(self, state: str) -> None:
        self._state, self._on_trial = state, False
        self._generation += 1

    def _refusal(self, left: str) -> CircuitOpenError:
        return CircuitOpenError(
            f"circuit open: no call to the {self.name} after {self._failures} failures in a row, "
            f"{left}; the last failure: {self._last_error}"
        )


def _check_limits(failure_threshold: int, recovery_seconds: float) -> None:
    if not isinstance(failure_threshold, int) or failure_threshold < 1:
        raise ConfigurationError(
            f"failure_threshold must be a whole number of 1 or more, not {failure_threshold!r}"
        )
    if not recovery_seconds >= 0:  # refuses NaN too
        raise ConfigurationError(f"recovery_seconds must be 0 or more, not {recovery_seconds!r}")
