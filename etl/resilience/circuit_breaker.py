"""Leaving alone what fails again and again, until it has had time to recover.

Closed, calls pass. After a number of failures in a row the circuit opens, and calls are refused
without being made. After a while it is half open: exactly one trial call passes, and its end
closes the circuit or opens it again.
"""

import functools
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from etl.errors import CircuitOpenError, ConfigurationError

P = ParamSpec("P")
R = TypeVar("R")

CLOSED = "closed"
OPEN = "open"
HALF_OPEN = "half-open"


@dataclass(frozen=True)
class StateChange:
    """A circuit that went from one state to another.

    Attributes:
        circuit: its name.
        before: the state that it left.
        after: the state that it is in.
        error: the failure that opened it, None otherwise.
    """

    circuit: str
    before: str
    after: str
    error: BaseException | None = None


def _every_failure(_error: BaseException) -> bool:
    return True


def _nobody(_change: StateChange) -> None:
    """Whoever wants to hear of changes passes a function."""


class CircuitBreaker:
    """Prevents calls to something that has failed too often in a row; safe to share by threads.

    Its lock is not held during a call. Ctrl-C and `SystemExit` count as nothing. An exception
    that `counts` does not take is an answer: what was called is there, as after a success. A
    retry loop stands outside of the breaker, and never repeats a refusal.

    Args:
        failure_threshold: failures in a row that open the circuit.
        recovery_seconds: how long it stays open before a trial call.
        name: what is called, for messages.
        counts: whether an exception is a failure.
        clock: a reading in seconds that never goes back.
        on_change: told of every change of state, outside the lock; it must not raise.

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
        on_change: Callable[[StateChange], None] = _nobody,
    ) -> None:
        _check_limits(failure_threshold, recovery_seconds)
        self.name = name
        self.failure_threshold = failure_threshold
        self.recovery_seconds = recovery_seconds
        self._counts = counts
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._state = CLOSED
        self._failures = 0
        self._opened_at = 0.0
        self._on_trial = False
        self._last_error = ""
        # Counts the changes of state: a call that ends in another state than it began in is late,
        # and what it tells is no longer asked for.
        self._generation = 0

    def __repr__(self) -> str:
        return f"CircuitBreaker({self.name!r}, {self.state})"

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        with self._lock:
            return HALF_OPEN if self._state == OPEN and self._left_s() <= 0 else self._state

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Makes the call, unless the circuit is open.

        Raises:
            CircuitOpenError: it is open, or somebody else's trial call is under way; nothing was
                called. Says for how many seconds, and what the last failure was.
        """
        generation = self._admit()
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            self._end(generation, error if self._counts(error) else None)
            raise
        except BaseException:
            self._forget(generation)
            raise
        self._end(generation, None)
        return result

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorates a function: each of its calls goes through the breaker."""

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            return self.call(function, *args, **kwargs)

        return guarded

    def _admit(self) -> int:
        with self._lock:
            change = None
            if self._state == OPEN:
                if self._left_s() > 0:
                    raise self._refusal(f"{math.ceil(self._left_s())} s are left until a trial")
                change = self._become(HALF_OPEN)
            if self._state == HALF_OPEN:
                if self._on_trial:
                    raise self._refusal("0 s are left, its one trial call is under way")
                self._on_trial = True
            generation = self._generation
        self._tell(change)
        return generation

    def _end(self, generation: int, error: Exception | None) -> None:
        with self._lock:
            if generation != self._generation:
                return
            change = self._succeed() if error is None else self._fail(error)
        self._tell(change)

    def _forget(self, generation: int) -> None:
        with self._lock:
            if generation == self._generation:
                self._on_trial = False

    def _tell(self, change: StateChange | None) -> None:
        if change is not None:
            self._on_change(change)

    # The methods below are called with the lock held.

    def _left_s(self) -> float:
        return self._opened_at + self.recovery_seconds - self._clock()

    def _succeed(self) -> StateChange | None:
        self._failures = 0
        return self._become(CLOSED) if self._state == HALF_OPEN else None

    def _fail(self, error: Exception) -> StateChange | None:
        self._failures += 1
        self._last_error = f"{error or type(error).__name__}"
        if self._state == CLOSED and self._failures < self.failure_threshold:
            return None
        self._opened_at = self._clock()
        return self._become(OPEN, error)

    def _become(self, state: str, error: Exception | None = None) -> StateChange:
        change = StateChange(self.name, self._state, state, error)
        self._state, self._on_trial = state, False
        self._generation += 1
        return change

    def _refusal(self, left: str) -> CircuitOpenError:
        return CircuitOpenError(
            f"the {self.name} is left alone after {self._failures} failures in a row, {left}; "
            f"the last failure: {self._last_error}"
        )


def _check_limits(failure_threshold: int, recovery_seconds: float) -> None:
    if not isinstance(failure_threshold, int) or failure_threshold < 1:
        raise ConfigurationError(
            f"failure_threshold must be a whole number of 1 or more, not {failure_threshold!r}"
        )
    if not recovery_seconds >= 0:  # refuses NaN too
        raise ConfigurationError(f"recovery_seconds must be 0 or more, not {recovery_seconds!r}")
