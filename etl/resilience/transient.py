"""Which errors pass by themselves, and which are the fault of the data: judged by their codes.

No database driver is imported. SQLSTATEs that the standards give to every database are listed
here; an engine adds the codes of its own with `register_codes`, from its own file.
"""

import errno
import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from etl.errors import CircuitOpenError, causes


@dataclass(frozen=True)
class ErrorCodes:
    """The codes by which the errors of a database are judged.

    Attributes:
        transient_numbers: native numbers after which another attempt may succeed.
        permanent_numbers: native numbers after which it would only delay the message.
        transient_states: SQLSTATEs after which another attempt may succeed.
        permanent_words: what a driver says of a connection that will not come about next time
            either, where it gives no code for the reason.
        data_numbers: native numbers with which rows are refused, others may be taken.
        lock_wait_numbers: native numbers of a lock that another session kept for too long, after
            which another attempt may succeed as well.
        lock_wait_states: SQLSTATEs of the same.
        lock_wait_words: what is said of it where no number comes with it.
    """

    transient_numbers: frozenset[int] = frozenset()
    permanent_numbers: frozenset[int] = frozenset()
    transient_states: frozenset[str] = frozenset()
    permanent_words: frozenset[str] = frozenset()
    data_numbers: range = range(0)
    lock_wait_numbers: frozenset[int] = frozenset()
    lock_wait_states: frozenset[str] = frozenset()
    lock_wait_words: frozenset[str] = frozenset()


NO_CODES = ErrorCodes()

# "Appendix A: ODBC Error Codes" (learn.microsoft.com), and the SQL standard.
_STANDARD = ErrorCodes(
    transient_states=frozenset(
        {
            "40001",  # serialization failure, deadlock
            "HYT00",  # ODBC: timeout expired
            "HYT01",  # ODBC: connection timeout expired
        }
    )
)
_registered = [_STANDARD]
_TRANSIENT_STATE_CLASS = "08"  # connection exceptions
_PERMANENT_STATE_CLASS = "28"  # invalid authorization: wrong user or password
_DATA_STATE_CLASSES = ("22", "23")  # data exception, integrity constraint

# Errors of files that stay until somebody does something; others, such as those of a share that
# is away for a moment, are worth another attempt.
_PERMANENT_ERRNO = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOENT", "EACCES", "EPERM", "EEXIST", "ENOTDIR", "EISDIR", "ENOTEMPTY", "EXDEV"),
        *("ENOSPC", "EDQUOT", "EROFS", "EFBIG", "ENAMETOOLONG", "ELOOP", "EINVAL", "EBADF"),
    )
    if hasattr(errno, name)
)
_PERMANENT_OS_ERRORS = (
    FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError,
)  # fmt: skip
# another connection writes: to the database, to the table
_SQLITE_TRANSIENT = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

# pyodbc writes each diagnostic record as `[state] text (number)`, joins them with "; " and puts
# the name of the ODBC function after the first one. A number is taken from that place only:
# the text may quote data, such as the key value (1205).
_RECORD_STATE = re.compile(r"(?:^|; )\[([0-9A-Z]{5})\]")
_RECORD_NUMBER = re.compile(r"\((-?\d{1,10})\)(?= \(SQL\w+\)|; \[[0-9A-Z]{5}\]|\s*$)")
_BARE_STATE = re.compile(r"[0-9A-Z]{5}")


def register_codes(codes: ErrorCodes) -> None:
    """Add the codes of an engine to those by which errors are judged."""
    _registered.append(codes)


def is_transient(error: BaseException) -> bool:
    """Return whether the same call may succeed when it is simply made again.

    The native number of the server decides, then the SQLSTATE (in either of the first two
    arguments of a pyodbc error, or in `sqlstate` of a psycopg error). Of Python's own errors those
    of connections and timeouts are transient, and those of files unless they name something that
    stays, such as a missing file or a full disk. An error without a verdict of its own is judged
    by its `__cause__`: raise `from None` to keep a wrapped transient error from being tried again.

    Args:
        error: anything that was raised.

    Example:
        >>> is_transient(ConnectionResetError("reset by peer")), is_transient(ValueError("no"))
        (True, False)
    """
    if not isinstance(error, Exception):
        return False
    verdicts = (_verdict(each) for each in causes(error))
    return next((verdict for verdict in verdicts if verdict is not None), False)


def is_data_error(error: BaseException) -> bool:
    """Return whether a database refused certain rows, so that others may still be taken.

    Judged like `is_transient`: by the error, else by its cause.

    Example:
        >>> is_data_error(ValueError("no error of a database"))
        False
    """
    found = next((each for each in causes(error) if _is_database_error(each)), None)
    if found is None:
        return False
    diagnosis = _diagnosis(found)
    refused = any(
        number in codes.data_numbers for number in diagnosis.numbers for codes in _registered
    )
    return refused or _any_begins(diagnosis.states, _DATA_STATE_CLASSES)


def is_lock_wait(error: BaseException) -> bool:
    """Return whether a database gave up waiting for a lock that another session keeps.

    Judged like `is_transient`: by the error, else by its cause.

    Example:
        >>> is_lock_wait(ValueError("no error of a database"))
        False
    """
    found = next((each for each in causes(error) if _is_database_error(each)), None)
    return found is not None and _waited_for_lock(_diagnosis(found))


def _waited_for_lock(found: "_Diagnosis") -> bool:
    return any(
        found.numbers & codes.lock_wait_numbers
        or found.states & codes.lock_wait_states
        or any(words in text for words in codes.lock_wait_words for text in found.texts)
        for codes in _registered
    )


def error_codes(error: BaseException) -> frozenset[str]:
    """Return the codes that a database gave for an error, or for its cause; empty without any.

    Example:
        >>> error_codes(ValueError("no error of a database"))
        frozenset()
    """
    found = next((each for each in causes(error) if _is_database_error(each)), None)
    if found is None:
        return frozenset()
    diagnosis = _diagnosis(found)
    return diagnosis.states | {str(number) for number in diagnosis.numbers}


def _verdict(error: BaseException) -> bool | None:
    """Return True or False where the error itself says so, None where its cause may."""
    if isinstance(error, CircuitOpenError):  # repeating the refusal would be of no use
        return False
    if isinstance(error, OSError):
        return _os_verdict(error)
    if isinstance(error, sqlite3.Error):
        return _sqlite_verdict(error)
    return _database_verdict(error) if _is_database_error(error) else None


def _os_verdict(error: OSError) -> bool | None:
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if type(error).__module__ != "builtins":  # a library's own, such as smtplib's, with other codes
        return None
    permanent = isinstance(error, _PERMANENT_OS_ERRORS) or error.errno in _PERMANENT_ERRNO
    return not permanent


def _sqlite_verdict(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # not raised by the library itself
        return isinstance(error, sqlite3.OperationalError) and "is locked" in str(error)
    return code & 0xFF in _SQLITE_TRANSIENT  # an extended code holds the primary one there


def _database_verdict(error: BaseException) -> bool | None:
    found = _diagnosis(error)
    lost = _is_lost_connection(error) or _any_begins(found.states, _TRANSIENT_STATE_CLASS)
    if lost and any(
        w in text for c in _registered for w in c.permanent_words for text in found.texts
    ):
        return False
    if any(found.numbers & codes.permanent_numbers for codes in _registered):
        return False
    if _any_begins(found.states, _PERMANENT_STATE_CLASS):
        return False
    passes = (
        lost
        or _waited_for_lock(found)
        or any(
            found.numbers & codes.transient_numbers or found.states & codes.transient_states
            for codes in _registered
        )
    )
    return True if passes else None


def _any_begins(states: Iterable[str], start: str | tuple[str, ...]) -> bool:
    return any(state.startswith(start) for state in states)


def _is_lost_connection(error: BaseException) -> bool:
    """What PostgreSQL's client itself found wrong has no SQLSTATE: the connection is not there."""
    names = {base.__name__ for base in type(error).__mro__}
    return "OperationalError" in names and getattr(error, "sqlstate", "") is None


def _is_database_error(error: BaseException) -> bool:
    """Every driver after PEP 249 derives its errors from a class called `Error`."""
    return any(base.__name__ == "Error" for base in type(error).__mro__)


@dataclass(frozen=True)
class _Diagnosis:
    """What a driver says of an error, in codes; the texts for where it has none."""

    texts: tuple[str, ...]
    states: frozenset[str]
    numbers: frozenset[int]


def _diagnosis(error: BaseException) -> _Diagnosis:
    texts = tuple(argument for argument in error.args[:2] if isinstance(argument, str))
    states = frozenset(_sqlstates(error, texts))
    # A number counts in an ODBC message only, which always has a SQLSTATE.
    numbers = (int(n) for text in texts if states for n in _RECORD_NUMBER.findall(text))
    return _Diagnosis(texts, states, frozenset(numbers))


def _sqlstates(error: BaseException, texts: tuple[str, ...]) -> Iterator[str]:
    own = getattr(error, "sqlstate", None)
    if isinstance(own, str):
        yield own
    for text in texts:
        yield from [text] if _BARE_STATE.fullmatch(text) else _RECORD_STATE.findall(text)
