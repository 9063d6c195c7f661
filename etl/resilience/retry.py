"""Trying again after a fault that passes: which faults those are, and how long to wait.

Whether an error is transient is decided here and nowhere else, from the shape of the error: no
database driver is imported.
"""

import functools
import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    wait_exponential,
)

from etl.errors import CircuitOpenError, ConfigurationError
from etl.resilience.circuit_breaker import CircuitBreaker

__all__ = [
    "CircuitBreaker",
    "RetryEvent",
    "is_data_error",
    "is_transient",
    "log_retry",
    "retry_with_backoff",
]

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)

# Numbers after which SQL Server or its client may succeed on another attempt. Sources, both on
# learn.microsoft.com: [A] "Troubleshoot connectivity issues and other errors with Azure SQL
# Database and Azure SQL Managed Instance", list of transient fault error codes; [B]
# "SqlConfigurableRetryFactory", the transient errors of Microsoft's own client.
# Listed there and left out on purpose, because on a server of one's own they tell of a setting
# that is wrong or of damage: 0, 20, 207, 926, 4060, 18456, 42108. Driver timeouts (-2 in [B])
# reach ODBC as the SQLSTATE HYT00.
TRANSIENT_SQL_SERVER_NUMBERS = frozenset(
    {
        64,  # [B] the network name is no longer available
        233,  # [B] no process on the other end of the pipe
        615,  # [A] a stale database id in the login cache
        997,  # [B] overlapped I/O in progress during login
        1204,  # [B] no lock resource at this time
        1205,  # [B] deadlock victim
        1222,  # [B] lock request timed out
        4221,  # [A] [B] replica not ready for login
        10053,  # [B] connection aborted by this host
        10054,  # [B] connection reset by the server
        10060,  # [B] connection attempt timed out
        10928,  # [B] resource limit of the database reached
        10929,  # [B] server too busy
        40143,  # [B] service error, try again
        40197,  # [A] [B] service down for an upgrade or a failover
        40501,  # [A] [B] service busy
        40540,  # [B] service error, try again
        40613,  # [A] [B] database not available at the moment
        42109,  # [B] SQL pool warming up
        49918,  # [A] [B] not enough resources
        49919,  # [A] [B] too many create or update operations
        49920,  # [A] [B] too many operations
    }
)
# Numbers of the FreeTDS driver itself (its header include/sybdb.h). A server that is killed
# shows there as SQLSTATE 01000 with 20017, so the SQLSTATE alone would not tell.
TRANSIENT_FREETDS_NUMBERS = frozenset(
    {
        20003,  # SYBETIME: timed out
        20004,  # SYBEREAD: read failed
        20006,  # SYBEWRIT: write failed
        20009,  # SYBECONN: unable to connect
        20017,  # SYBESEOF: unexpected end of file from the server
        20047,  # SYBEDDNE: connection is dead
    }
)
TRANSIENT_NUMBERS = TRANSIENT_SQL_SERVER_NUMBERS | TRANSIENT_FREETDS_NUMBERS

# Trying these again only delays the message, and may lock the account.
PERMANENT_NUMBERS = frozenset(
    {
        20,  # the server does not support encryption; comes as 08001
        911,  # there is no such database, and 916: no access to it; come as 08004
        916,
        18456,  # login failed; FreeTDS gives it the SQLSTATE 42000
        -2146893019,  # SEC_E_UNTRUSTED_ROOT, a certificate nobody vouches for (Windows)
        -2146893022,  # SEC_E_WRONG_PRINCIPAL, a certificate for another name (Windows)
    }
)
# OpenSSL's words for the same two; Microsoft's driver gives them 08001 and no number but -1.
_UNTRUSTED_CERTIFICATE = "certificate verify failed"

# "Appendix A: ODBC Error Codes" (learn.microsoft.com) and "Appendix A. PostgreSQL Error Codes".
TRANSIENT_SQLSTATES = frozenset(
    {
        "40001",  # serialization failure; SQL Server's deadlock
        "40P01",  # PostgreSQL: deadlock detected
        "53300",  # PostgreSQL: too many connections
        "55P03",  # PostgreSQL: lock not available, its counterpart of 1222
        "57P01",  # PostgreSQL: shut down by an administrator
        "57P02",  # PostgreSQL: crash of another session
        "57P03",  # PostgreSQL: cannot connect now, starting up or shutting down
        "HYT00",  # ODBC: timeout expired
        "HYT01",  # ODBC: connection timeout expired
    }
)
TRANSIENT_SQLSTATE_CLASS = "08"  # connection exceptions
PERMANENT_SQLSTATE_CLASS = "28"  # invalid authorization: wrong user or password

# PostgreSQL's client hands on what the server said of a login, without its SQLSTATE.
_PERMANENT_LIBPQ = (
    "authentication failed",
    "does not exist",
    "no password supplied",
    "no pg_hba.conf entry",
    "permission denied",
    "does not support SSL",
    "certificate",
)

# pyodbc writes each diagnostic record as `[state] text (number)`, joins them with "; " and puts
# the name of the ODBC function after the first one. A number is taken from that place only:
# the text may quote data, such as the key value (1205).
_RECORD_STATE = re.compile(r"(?:^|; )\[([0-9A-Z]{5})\]")
_RECORD_NUMBER = re.compile(r"\((-?\d{1,10})\)(?= \(SQL\w+\)|; \[[0-9A-Z]{5}\]|\s*$)")
_BARE_STATE = re.compile(r"[0-9A-Z]{5}")


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed when it is simply made again.

    The native number of the server decides, then the SQLSTATE (in either of the first two
    arguments of a pyodbc error, or in `sqlstate` of a psycopg error). Built-in connection and
    timeout errors are transient. An error without a verdict of its own is judged by its
    `__cause__`: raise `from None` to keep a wrapped transient error from being tried again.

    Args:
        error: anything that was raised.

    Example:
        >>> is_transient(ConnectionResetError("reset by peer")), is_transient(ValueError("no"))
        (True, False)
    """
    if not isinstance(error, Exception):
        return False
    verdicts = (_verdict(each) for each in _with_causes(error))
    return next((verdict for verdict in verdicts if verdict is not None), False)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:  # a chain can be tied into a ring
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


# Classes of SQLSTATE that tell of the data and not of the statement or the server: 22 data
# exception, 23 integrity constraint.
DATA_SQLSTATE_CLASSES = ("22", "23")
# What a trigger raises to refuse a row: RAISERROR and THROW number from 50,000 on. The end keeps
# out relatives of SQL Server that give numbers of their own, in the millions, to other errors.
USER_NUMBERS = range(50_000, 1_000_000)


def is_data_error(error: BaseException) -> bool:
    """Whether a database refused certain rows, so that others may still be taken.

    Judged like `is_transient`: by the error, else by its cause.

    Example:
        >>> is_data_error(ValueError("no error of a database"))
        False
    """
    found = next((each for each in _with_causes(error) if _is_database_error(each)), None)
    if found is None:
        return False
    texts = [argument for argument in found.args[:2] if isinstance(argument, str)]
    states = _sqlstates(found, texts)
    own = any(number in USER_NUMBERS for number in _native_numbers(texts))
    return own or any(state.startswith(DATA_SQLSTATE_CLASSES) for state in states)


def _verdict(error: BaseException) -> bool | None:
    """True or False where the error itself tells, None where its cause may."""
    if isinstance(error, CircuitOpenError):  # repeating the refusal would be of no use
        return False
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if not _is_database_error(error):
        return None
    texts = [argument for argument in error.args[:2] if isinstance(argument, str)]
    if _is_libpq_error(error):
        return not any(word in text for text in texts for word in _PERMANENT_LIBPQ)
    states = _sqlstates(error, texts)
    # A number counts in an ODBC message only, which always has a SQLSTATE.
    numbers = _native_numbers(texts) if states else set()
    if _is_permanent(states, numbers, texts):
        return False
    return True if numbers & TRANSIENT_NUMBERS or _has_transient(states) else None


def _is_libpq_error(error: BaseException) -> bool:
    """What PostgreSQL's client itself found wrong has no SQLSTATE: the connection is not there."""
    names = {base.__name__ for base in type(error).__mro__}
    return "OperationalError" in names and getattr(error, "sqlstate", "") is None


def _is_database_error(error: BaseException) -> bool:
    """Every driver after PEP 249 derives its errors from a class called `Error`."""
    return any(base.__name__ == "Error" for base in type(error).__mro__)


def _sqlstates(error: BaseException, texts: list[str]) -> set[str]:
    own = getattr(error, "sqlstate", None)
    states = {own} if isinstance(own, str) else set()
    for text in texts:
        states.update([text] if _BARE_STATE.fullmatch(text) else _RECORD_STATE.findall(text))
    return states


def _native_numbers(texts: list[str]) -> set[int]:
    return {int(number) for text in texts for number in _RECORD_NUMBER.findall(text)}


def _is_permanent(states: set[str], numbers: set[int], texts: list[str]) -> bool:
    return bool(
        numbers & PERMANENT_NUMBERS
        or any(state.startswith(PERMANENT_SQLSTATE_CLASS) for state in states)
        or any(_UNTRUSTED_CERTIFICATE in text for text in texts)
    )


def _has_transient(states: set[str]) -> bool:
    return any(
        state in TRANSIENT_SQLSTATES or state.startswith(TRANSIENT_SQLSTATE_CLASS)
        for state in states
    )


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


def _full_jitter(ceiling_s: float) -> float:
    """Anything from nothing to the ceiling: callers that failed together come back apart."""
    return _RANDOM.uniform(0.0, ceiling_s)


def retry_with_backoff(  # noqa: PLR0913 - two are specified, the others are limits and seams
    max_retries: int = 3,
    backoff_factor: float = 2.0,
    *,
    retry_on: Callable[[BaseException], bool] = is_transient,
    max_wait_s: float = 30.0,
    max_total_s: float = 300.0,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[float], float] = _full_jitter,
    on_retry: Callable[[RetryEvent], None] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that a call is made again after a transient error.

    Before retry n it waits a random time of up to `backoff_factor ** n` seconds (exponential
    backoff with full jitter). When no attempt is left, the error of the last one is raised as
    it is. Ctrl-C and `SystemExit` end the call at once. The whole call is repeated: put the
    decorator on what can be done twice, such as one transaction. The body of a generator runs
    after the call, so decorate the function that consumes it.

    Args:
        max_retries: attempts after the first one.
        backoff_factor: base of the waits; 0 tries again at once.
        retry_on: whether an error is worth another attempt.
        max_wait_s: longest single wait, in seconds.
        max_total_s: no wait is begun that would end later than this many seconds after the
            first attempt started.
        sleep: waits for a number of seconds.
        jitter: turns the longest wait allowed into the wait, both in seconds.
        on_retry: told of every attempt that will be repeated, in place of `log_retry`.

    Raises:
        ConfigurationError: `max_retries` or `backoff_factor` cannot be used.

    Example:
        >>> answers = iter([TimeoutError("slow"), "loaded"])
        >>> waits = []
        >>> @retry_with_backoff(jitter=lambda ceiling: ceiling, sleep=waits.append)
        ... def load() -> str:
        ...     answer = next(answers)
        ...     if isinstance(answer, Exception):
        ...         raise answer
        ...     return answer
        >>> load(), waits
        ('loaded', [2.0])
    """
    _check_limits(max_retries, backoff_factor)
    ceiling = wait_exponential(multiplier=backoff_factor, exp_base=backoff_factor, max=max_wait_s)
    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, Exception) and retry_on(error)),
        wait=lambda state: jitter(ceiling(state)),
        stop=_stop_after(max_retries, max_total_s),
        sleep=sleep,
        reraise=True,
    )

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        tell = _teller(getattr(function, "__qualname__", repr(function)), on_retry or log_retry)

        @functools.wraps(function)
        def attempts(*args: P.args, **kwargs: P.kwargs) -> R:
            # A copy for each call, since calls may nest. Not tenacity's own `wraps`: it keeps one
            # statistics object a function, which threads would clear under each other.
            call = functools.partial(function, *args, **kwargs)
            return retrying.copy(before_sleep=tell)(call)

        return attempts

    return decorate


def _check_limits(max_retries: int, backoff_factor: float) -> None:
    if not isinstance(max_retries, int) or max_retries < 0:
        raise ConfigurationError(
            f"max_retries must be a whole number of 0 or more, not {max_retries!r}",
            next_step="write @retry_with_backoff() or @retry_with_backoff(max_retries=3)",
        )
    if not backoff_factor >= 0:  # refuses NaN too
        raise ConfigurationError(f"backoff_factor must be 0 or more, not {backoff_factor!r}")


def _stop_after(max_retries: int, max_total_s: float) -> Callable[[RetryCallState], bool]:
    def stop(state: RetryCallState) -> bool:
        # The waits are counted too: a `sleep` passed in need not last as long as it is told.
        elapsed = max(state.seconds_since_start or 0.0, state.idle_for)
        late = elapsed + state.upcoming_sleep > max_total_s
        return late or state.attempt_number > max_retries

    return stop


def _teller(
    operation: str, on_retry: Callable[[RetryEvent], None]
) -> Callable[[RetryCallState], None]:
    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is not None:
            on_retry(RetryEvent(state.attempt_number, state.upcoming_sleep, error, operation))

    return tell
