"""Trying again after an error that passes, with growing waits."""

import functools
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential

from etl.errors import ConfigurationError
from etl.resilience.transient import is_transient

P = ParamSpec("P")
R = TypeVar("R")
Judge = Callable[[BaseException], bool]

logger = logging.getLogger(__name__)

_LONGEST_WAIT_S = 30.0


@dataclass(frozen=True)
class RetryEvent:
    """One attempt that failed and will be followed by another.

    Args:
        attempt: number of the attempt that failed, the first is 1.
        wait_s: seconds until the next attempt.
        error: what the attempt raised.
        operation: name of the function that is tried.
    """

    attempt: int
    wait_s: float
    error: BaseException
    operation: str = ""


def log_retry(event: RetryEvent) -> None:
    """Write one WARNING line about an attempt; what `retry_with_backoff` does by default.

    Args:
        event: the attempt that failed.
    """
    logger.warning(
        "%s: attempt %d failed, trying again in %.1f s: %s: %s",
        event.operation,
        event.attempt,
        event.wait_s,
        type(event.error).__name__,
        event.error,
        extra={"attempt": event.attempt, "wait_s": round(event.wait_s, 3)},
    )


# Drawn from the operating system, so that forked workers do not all wait equally long.
_RANDOM = random.SystemRandom()


def retry_with_backoff(
    max_retries: int = 3,
    backoff_factor: float = 2.0,
    *,
    exceptions: type[Exception] | tuple[type[Exception], ...] | Judge = is_transient,
    max_total_s: float = 300.0,
    sleep: Callable[[float], None] = time.sleep,
    on_retry: Callable[[RetryEvent], None] = log_retry,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that a call is made again after an error that may pass.

    Before retry n it waits a random time of up to `backoff_factor ** n` seconds, 30 at most
    (exponential backoff with full jitter: callers that failed together come back apart). An error
    that says in `retry_after_s` how long to wait is waited for exactly so many seconds. When no
    attempt is left, the error of the last one is raised as it is. Ctrl-C and `SystemExit` end the
    call at once. The whole call is repeated: put the decorator on what can be done twice, such as
    one transaction. The body of a generator runs after the call, so decorate the function that
    consumes it.

    Args:
        max_retries: attempts after the first one.
        backoff_factor: base of the waits; 0 tries again at once.
        exceptions: which errors are worth another attempt: a class, several of them, or a
            function that answers for an error.
        max_total_s: no wait is begun that would end later than this many seconds after the
            first attempt started.
        sleep: waits for a number of seconds.
        on_retry: called before each attempt that repeats another.

    Raises:
        ConfigurationError: an argument cannot be used; raised where the function is decorated.

    Example:
        >>> answers = iter([TimeoutError("slow"), "loaded"])
        >>> @retry_with_backoff(exceptions=TimeoutError, sleep=lambda seconds: None)
        ... def load() -> str:
        ...     answer = next(answers)
        ...     if isinstance(answer, Exception):
        ...         raise answer
        ...     return answer
        >>> load()
        'loaded'
    """
    judge = _judge_of(exceptions)
    _check_limits(max_retries, backoff_factor, max_total_s)
    ceiling = wait_exponential(
        multiplier=backoff_factor, exp_base=backoff_factor, max=_LONGEST_WAIT_S
    )
    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, Exception) and judge(error)),
        wait=lambda state: _asked_for(state, otherwise=lambda: _RANDOM.uniform(0, ceiling(state))),
        stop=_stop_after(max_retries, max_total_s),
        sleep=sleep,
        reraise=True,
    )

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if not callable(function):
            raise ConfigurationError(f"only a function can be tried again, not {function!r}")
        before_sleep = _before_sleep(getattr(function, "__qualname__", repr(function)), on_retry)

        @functools.wraps(function)
        def attempts(*args: P.args, **kwargs: P.kwargs) -> R:
            # A copy for each call, since calls may nest. Not tenacity's own `wraps`: it keeps one
            # statistics object a function, which threads would clear under each other.
            call = functools.partial(function, *args, **kwargs)
            return retrying.copy(before_sleep=before_sleep)(call)

        return attempts

    return decorate


def _asked_for(state: RetryCallState, *, otherwise: Callable[[], float]) -> float:
    """The seconds that the error itself asks to wait."""
    error = state.outcome.exception() if state.outcome else None
    asked: float | None = getattr(error, "retry_after_s", None)
    return otherwise() if asked is None else asked


def _judge_of(exceptions: object) -> Judge:
    classes = exceptions if isinstance(exceptions, tuple) else (exceptions,)
    if classes and all(isinstance(c, type) and issubclass(c, Exception) for c in classes):
        return lambda error: isinstance(error, classes)
    if callable(exceptions) and not isinstance(exceptions, type):
        return exceptions
    raise ConfigurationError(
        f"exceptions must be a class of exceptions or a tuple of them, not {exceptions!r}",
        next_step="write exceptions=(ConnectionError, TimeoutError), or leave it out for errors "
        "that may pass by themselves",
    )


def _check_limits(max_retries: object, backoff_factor: object, max_total_s: object) -> None:
    if not isinstance(max_retries, int) or isinstance(max_retries, bool) or max_retries < 0:
        raise ConfigurationError(
            f"max_retries must be a whole number of 0 or more, not {max_retries!r}",
            next_step="write @retry_with_backoff() or @retry_with_backoff(max_retries=3)",
        )
    for name, value in (("backoff_factor", backoff_factor), ("max_total_s", max_total_s)):
        # the comparison refuses NaN too
        if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
            raise ConfigurationError(f"{name} must be a number of 0 or more, not {value!r}")


def _stop_after(max_retries: int, max_total_s: float) -> Callable[[RetryCallState], bool]:
    def stop(state: RetryCallState) -> bool:
        # The waits are counted too: a `sleep` passed in need not last as long as it says.
        elapsed = max(state.seconds_since_start or 0.0, state.idle_for)
        late = elapsed + state.upcoming_sleep > max_total_s
        return late or state.attempt_number > max_retries

    return stop


def _before_sleep(
    operation: str, on_retry: Callable[[RetryEvent], None]
) -> Callable[[RetryCallState], None]:
    def report(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is not None:
            on_retry(RetryEvent(state.attempt_number, state.upcoming_sleep, error, operation))

    return report
