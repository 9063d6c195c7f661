"""Which errors pass by themselves, and how a call is tried again after one."""

import errno
import gzip
import inspect
import logging
import smtplib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import assert_type

import duckdb
import pytest

from etl.engines import database  # noqa: F401  # the engines bring their codes
from etl.engines.odbc import pyodbc
from etl.errors import ConfigurationError, LoadingError
from etl.resilience import retry
from etl.resilience.retry import RetryEvent, retry_with_backoff
from etl.resilience.transient import is_data_error, is_transient

ROOT = Path(__file__).resolve().parents[2]

DRIVER_18 = "[Microsoft][ODBC Driver 18 for SQL Server]"


class Error(Exception):
    """The base class of a PEP 249 driver, with the attribute that psycopg gives it."""

    def __init__(self, text: str, sqlstate: str | None = None) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


class PlainError(Exception):
    """The base class of another PEP 249 driver, where pyodbc finds no ODBC manager."""


PlainError.__name__ = "Error"
# What pyodbc raises, and where there is no pyodbc what looks the same.
OdbcError: type[Exception] = pyodbc.Error if pyodbc else PlainError


def odbc(state: str, text: str, number: int, function: str = "SQLExecDirectW") -> Exception:
    return OdbcError(state, f"[{state}] {text} ({number}) ({function})")


def raised_by(action: Callable[[], object]) -> Exception:
    try:
        action()
    except Exception as error:  # noqa: BLE001 - whatever the driver raises is what is examined
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("state", "text", "number"),
    [
        ("40001", f"{DRIVER_18}[SQL Server]Transaction was deadlocked on lock resources.", 1205),
        ("42000", "[FreeTDS][SQL Server]Transaction was deadlocked on lock resources.", 1205),
        ("42000", f"{DRIVER_18}[SQL Server]Lock request time out period exceeded.", 1222),
        ("42000", f"{DRIVER_18}[SQL Server]Lock request time out period exceeded.", 0),
        ("42000", f"{DRIVER_18}[SQL Server]canceling statement due to lock timeout", 33557097),
        ("42000", f"{DRIVER_18}[SQL Server]Database is not currently available.", 40613),
        ("42000", f"{DRIVER_18}[SQL Server]The database is in an availability group.", 976),
        ("42000", f"{DRIVER_18}[SQL Server]The replica is not in the PRIMARY role.", 983),
        ("42000", f"{DRIVER_18}[SQL Server]Failed to update: the database is read-only.", 3906),
        ("42000", f"{DRIVER_18}[SQL Server]A timeout occurred while waiting for memory.", 8645),
        ("42000", f"{DRIVER_18}[SQL Server]The minimum query memory is not available.", 8651),
        ("08S01", f"{DRIVER_18}TCP Provider: Error code 0x2746", 10054),
        ("01000", "[FreeTDS][SQL Server]Unexpected EOF from the server", 20017),
        ("08S01", "[FreeTDS][SQL Server]Unable to connect: server is unavailable", 20009),
        ("HYT00", f"{DRIVER_18}Login timeout expired", 0),
        ("HYT01", f"{DRIVER_18}Connection timeout expired", 0),
        ("08001", f"{DRIVER_18}TCP Provider: Error code 0x274D", 10061),
    ],
)
def test_a_fault_of_the_moment_on_sql_server_is_transient(
    state: str, text: str, number: int
) -> None:
    assert is_transient(odbc(state, text, number))


@pytest.mark.parametrize(
    ("state", "text", "number"),
    [
        ("28000", f"{DRIVER_18}[SQL Server]Login failed for user 'etl'.", 18456),
        ("42000", "[FreeTDS][SQL Server]Login failed for user 'etl'.", 18456),
        ("08001", "[FreeTDS][SQL Server]Login failed for user 'etl'.", 18456),
        ("42000", f"{DRIVER_18}[SQL Server]Cannot open database 'typo'.", 4060),
        ("42S02", f"{DRIVER_18}[SQL Server]Invalid object name 'custmer_dim'.", 208),
        ("42000", f"{DRIVER_18}[SQL Server]Incorrect syntax near 'MERG'.", 102),
        ("23000", f"{DRIVER_18}[SQL Server]Cannot insert NULL.", 515),
        ("22003", f"{DRIVER_18}Numeric value out of range", 0),
        (
            "08001",
            f"{DRIVER_18}SSL Provider: [error:0A000086:SSL routines::certificate verify failed:"
            "self-signed certificate]",
            -1,
        ),
        (
            "08001",
            f"{DRIVER_18}SSL Provider: The certificate chain was issued by an authority that is "
            "not trusted.",
            -2146893019,
        ),
    ],
)
def test_a_mistake_on_sql_server_is_not_transient(state: str, text: str, number: int) -> None:
    assert not is_transient(odbc(state, text, number))


def test_the_sqlstate_is_found_in_either_of_the_first_two_arguments() -> None:
    assert is_transient(OdbcError("40001", "deadlocked"))
    assert is_transient(OdbcError("The cursor's connection was closed.", "08S01"))
    assert is_transient(OdbcError("[40001] deadlocked"))
    assert not is_transient(OdbcError("an error", "without a state", "40001"))


def test_every_diagnostic_record_of_a_message_is_read() -> None:
    lost = (
        "[01000] [FreeTDS][SQL Server]The server closed the connection (0) (SQLExecDirectW)"
        "; [08S01] [FreeTDS][SQL Server]Write to the server failed (0)"
    )
    assert is_transient(OdbcError("01000", lost))


def test_a_wrong_password_is_final_whatever_else_the_message_reports() -> None:
    locked_out = (
        f"[08001] {DRIVER_18}Client unable to establish connection (10054) (SQLDriverConnect)"
        f"; [28000] {DRIVER_18}[SQL Server]Login failed for user 'etl'. (18456)"
    )
    assert not is_transient(OdbcError("08001", locked_out))
    without_a_number = "[08001] Connection failed (0) (SQLDriverConnect); [28000] Bad password (0)"
    assert not is_transient(OdbcError("08001", without_a_number))


def test_a_number_that_the_message_only_quotes_is_not_the_servers_number() -> None:
    text = f"{DRIVER_18}[SQL Server]Violation of PRIMARY KEY. The duplicate key value is (1205)."
    assert not is_transient(odbc("23000", text, 2627))


def test_a_transient_number_outside_a_database_error_means_nothing() -> None:
    assert not is_transient(ValueError("no such customer (1205)"))
    assert not is_transient(KeyError("40001"))


def test_a_transient_number_in_a_database_error_without_a_sqlstate_means_nothing() -> None:
    assert not is_transient(duckdb.Error("Conversion Error: no number (1205)"))


@pytest.mark.skipif(pyodbc is None, reason="this system has no ODBC manager")
def test_real_driver_errors_that_are_final() -> None:
    missing_driver = raised_by(lambda: pyodbc.connect("DRIVER={no such driver};SERVER=nowhere"))
    no_table = raised_by(lambda: duckdb.sql("SELECT * FROM no_such_table"))
    assert isinstance(missing_driver, pyodbc.Error)
    assert isinstance(no_table, duckdb.Error)
    assert not is_transient(missing_driver)
    assert not is_transient(no_table)


@pytest.mark.parametrize(
    "state", ["40001", "40P01", "08006", "57P01", "57P02", "57P03", "53300", "55P03"]
)
def test_the_sqlstate_attribute_of_a_postgresql_error_decides(state: str) -> None:
    assert is_transient(Error("server says no", sqlstate=state))


@pytest.mark.parametrize("state", ["28P01", "28000", "42601", "23505", "57014", None])
def test_other_postgresql_errors_are_final(state: str | None) -> None:
    assert not is_transient(Error("server says no", sqlstate=state))


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(), BrokenPipeError(), ConnectionResetError(), TimeoutError()]
)
def test_connection_and_timeout_errors_of_python_are_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        OSError("the share is away"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ESTALE, "Stale file handle"),
        BlockingIOError(),
        InterruptedError(),
    ],
)
def test_errors_of_files_and_shares_that_may_pass_are_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("a.csv"),
        PermissionError("a.csv"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system"),
        smtplib.SMTPAuthenticationError(535, b"no"),
        gzip.BadGzipFile("not a gzipped file"),
        ValueError(),
    ],
)
def test_other_errors_of_python_are_final(error: Exception) -> None:
    assert not is_transient(error)


def test_a_locked_sqlite_database_is_transient(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as writer, closing(sqlite3.connect(path, 0.0)) as reader:
        writer.execute("CREATE TABLE t (n INTEGER)")
        writer.execute("BEGIN EXCLUSIVE")
        locked = raised_by(lambda: reader.execute("SELECT * FROM t"))
        writer.rollback()
        no_table = raised_by(lambda: reader.execute("SELECT * FROM missing"))
    assert is_transient(locked)
    assert is_transient(sqlite3.OperationalError("database is locked"))
    assert not is_transient(no_table)


@pytest.mark.parametrize(
    ("state", "number"),
    [
        ("23000", 547),  # a constraint
        ("23000", 2627),  # a key that is there
        ("23000", 515),  # no NULL
        ("22001", 2628),  # too long a text
        ("22003", 8115),  # too large a number
        ("42000", 50000),  # RAISERROR of a trigger
        ("42000", 51234),  # THROW
    ],
)
def test_a_row_that_is_refused_is_an_error_of_the_data(state: str, number: int) -> None:
    error = odbc(state, "refused", number)
    wrapped = LoadingError("refused")
    wrapped.__cause__ = error
    assert is_data_error(error)
    assert is_data_error(wrapped)
    assert not is_transient(wrapped)


@pytest.mark.parametrize(
    "error",
    [
        odbc("42S02", "Invalid object name 'x'.", 208),
        odbc("42000", "The INSERT permission was denied.", 229),
        odbc("42000", "an error that a relative of SQL Server numbers itself", 33557097),
        odbc("40001", "deadlock victim", 1205),
        odbc("08S01", "Communication link failure", 0),
        LoadingError("the counts do not add up"),
        KeyError("50000"),
    ],
)
def test_other_errors_are_not_of_the_data(error: Exception) -> None:
    assert not is_data_error(error)


def test_an_error_of_our_own_is_judged_by_its_cause() -> None:
    def load(cause: BaseException | None) -> None:
        raise LoadingError("customer_dim was not loaded") from cause

    assert is_transient(raised_by(lambda: load(odbc("40001", "deadlocked", 1205))))
    assert not is_transient(raised_by(lambda: load(odbc("23000", "duplicate", 2627))))
    assert not is_transient(raised_by(lambda: load(None)))


def test_the_outermost_error_with_a_verdict_decides() -> None:
    refused = odbc("28000", "Login failed.", 18456)
    refused.__cause__ = ConnectionResetError()
    assert not is_transient(refused)


def test_a_ring_of_causes_ends() -> None:
    first, second = LoadingError("a"), LoadingError("b")
    first.__cause__, second.__cause__ = second, first
    assert not is_transient(first)


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(1)])
def test_a_request_to_stop_is_never_transient(stop: BaseException) -> None:
    stop.__cause__ = ConnectionResetError()
    assert not is_transient(stop)


def test_no_database_driver_is_imported() -> None:
    code = (
        "import sys; import etl.resilience.retry; "
        "print({'pyodbc', 'duckdb', 'psycopg'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "set()"


class Flaky:
    """A function that raises the errors given to it in turn, then returns `done`."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def lost(times: int) -> list[BaseException]:
    return [ConnectionResetError(f"lost {number}") for number in range(1, times + 1)]


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes each wait as long as it can be."""
    monkeypatch.setattr(retry._RANDOM, "uniform", lambda _, ceiling_s: ceiling_s)


def test_a_call_that_succeeds_is_made_once_and_waits_for_nothing() -> None:
    waits: list[float] = []
    flaky = Flaky()
    assert retry_with_backoff(sleep=waits.append)(flaky)() == "done"
    assert (flaky.calls, waits) == (1, [])


def test_transient_errors_are_tried_again_until_the_call_succeeds() -> None:
    waits: list[float] = []
    flaky = Flaky(*lost(3))
    assert retry_with_backoff(sleep=waits.append)(flaky)() == "done"
    assert (flaky.calls, len(waits)) == (4, 3)


def test_after_the_last_attempt_the_original_error_is_raised() -> None:
    errors = lost(4)
    flaky = Flaky(*errors)
    caught = raised_by(retry_with_backoff(max_retries=3, sleep=lambda _: None)(flaky))
    assert caught is errors[3]
    assert caught.__cause__ is None
    assert caught.__context__ is None
    assert flaky.calls == 4


def test_no_retries_means_one_attempt() -> None:
    flaky = Flaky(*lost(1))
    assert isinstance(raised_by(retry_with_backoff(max_retries=0)(flaky)), ConnectionResetError)
    assert flaky.calls == 1


def test_an_error_that_is_not_transient_is_raised_at_once() -> None:
    error = ValueError("bad row")
    flaky = Flaky(error)
    assert raised_by(retry_with_backoff()(flaky)) is error
    assert flaky.calls == 1


def test_the_caller_may_say_which_errors_to_try_again() -> None:
    flaky = Flaky(ValueError("odd"))
    again = retry_with_backoff(
        exceptions=lambda error: isinstance(error, ValueError), sleep=lambda _: None
    )
    assert again(flaky)() == "done"


@pytest.mark.parametrize("exceptions", [ValueError, (KeyError, ValueError), Exception])
def test_classes_of_errors_may_be_named_for_another_attempt(
    exceptions: type[Exception] | tuple[type[Exception], ...],
) -> None:
    again = retry_with_backoff(exceptions=exceptions, sleep=lambda _: None)
    assert again(Flaky(ValueError("odd")))() == "done"
    named = retry_with_backoff(exceptions=KeyError, sleep=lambda _: None)
    flaky = Flaky(ConnectionResetError())
    assert isinstance(raised_by(named(flaky)), ConnectionResetError)
    assert flaky.calls == 1


@pytest.mark.parametrize(
    "exceptions", ["ValueError", ValueError("odd"), (), (ValueError, "x"), KeyboardInterrupt, None]
)
def test_what_is_no_class_of_errors_is_refused_at_decoration(exceptions: object) -> None:
    with pytest.raises(ConfigurationError, match="exceptions"):
        retry_with_backoff(exceptions=exceptions)  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(3)])
def test_a_request_to_stop_passes_even_when_everything_is_to_be_tried_again(
    stop: BaseException,
) -> None:
    flaky = Flaky(stop)
    with pytest.raises(type(stop)):
        retry_with_backoff(exceptions=lambda _: True)(flaky)()
    assert flaky.calls == 1


def test_a_request_to_stop_during_a_wait_ends_the_call() -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    flaky = Flaky(*lost(1))
    with pytest.raises(KeyboardInterrupt):
        retry_with_backoff(sleep=interrupted)(flaky)()
    assert flaky.calls == 1


@pytest.mark.usefixtures("longest")
def test_the_longest_wait_grows_by_the_factor_up_to_the_cap() -> None:
    waits: list[float] = []
    again = retry_with_backoff(5, 3.0, sleep=waits.append)
    again(Flaky(*lost(5)))()
    assert waits == [3.0, 9.0, 27.0, 30.0, 30.0]


def test_a_factor_of_nothing_waits_for_nothing() -> None:
    waits: list[float] = []
    retry_with_backoff(2, 0, sleep=waits.append)(Flaky(*lost(2)))()
    assert waits == [0.0, 0.0]


def test_each_wait_is_drawn_between_nothing_and_its_ceiling() -> None:
    waits: list[float] = []
    for _ in range(50):
        retry_with_backoff(1, 8.0, sleep=waits.append)(Flaky(*lost(1)))()
    assert all(0 <= wait <= 8 for wait in waits)
    assert max(waits) - min(waits) > 2  # fifty draws this close together: odds below 1e-24


def test_no_wait_is_begun_that_would_pass_the_total_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry._RANDOM, "uniform", lambda *_: 5.0)
    waits: list[float] = []
    errors = lost(9)
    again = retry_with_backoff(9, max_total_s=15, sleep=waits.append)
    assert raised_by(again(Flaky(*errors))) is errors[3]
    assert waits == [5.0, 5.0, 5.0]


@pytest.mark.usefixtures("longest")
def test_a_listener_hears_of_each_attempt_that_will_be_repeated() -> None:
    heard: list[RetryEvent] = []
    errors = lost(3)

    def load() -> str:
        raise errors[len(heard)]

    again = retry_with_backoff(2, sleep=lambda _: None, on_retry=heard.append)
    raised_by(again(load))
    name = "test_a_listener_hears_of_each_attempt_that_will_be_repeated.<locals>.load"
    assert heard == [RetryEvent(1, 2.0, errors[0], name), RetryEvent(2, 4.0, errors[1], name)]


@pytest.mark.usefixtures("longest")
def test_without_a_listener_a_warning_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def load_customers(answers: list[BaseException]) -> str:
        if answers:
            raise answers.pop()
        return "done"

    again = retry_with_backoff(sleep=lambda _: None)
    again(load_customers)(lost(1))
    assert [(record.name, record.levelno) for record in caplog.records] == [
        ("etl.resilience.retry", logging.WARNING)
    ]
    assert caplog.messages[0].endswith(
        "load_customers: attempt 1 failed, trying again in 2.0 s: ConnectionResetError: lost 1"
    )


def test_the_decorated_function_keeps_its_name_help_and_signature() -> None:
    @retry_with_backoff(max_retries=3, backoff_factor=2.0)
    def rows_of(table: str, *, limit: int = 10) -> list[str]:
        """Rows of a table."""
        return [table] * limit

    assert_type(rows_of("a", limit=2), list[str])
    assert rows_of("a", limit=2) == ["a", "a"]
    assert rows_of.__name__ == "rows_of"
    assert rows_of.__doc__ == "Rows of a table."
    assert list(inspect.signature(rows_of).parameters) == ["table", "limit"]


def test_any_name_of_an_argument_is_passed_on() -> None:
    @retry_with_backoff()
    def call(*, fn: str, self: str) -> str:
        return fn + self

    assert call(fn="a", self="b") == "ab"


def test_each_call_of_a_decorated_function_has_its_own_attempts() -> None:
    calls: list[str] = []

    @retry_with_backoff(1, sleep=lambda _: None)
    def load(name: str) -> str:
        calls.append(name)
        if name == "outer" and "inner" not in calls:
            load("inner")
        if calls.count(name) == 1:
            raise ConnectionResetError(name)
        return name

    assert (load("outer"), load("other")) == ("outer", "other")
    assert calls == ["outer", "inner", "inner", "outer", "other", "other"]


def test_threads_share_a_decorated_function() -> None:
    together = threading.Barrier(2, timeout=10)
    done: list[str] = []

    def meet(_: float) -> None:
        together.wait()

    @retry_with_backoff(2, sleep=meet)
    def load(name: str, errors: list[BaseException]) -> None:
        together.wait()
        if errors:
            raise errors.pop()
        done.append(name)

    threads = [threading.Thread(target=load, args=(name, lost(2))) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == ["a", "b"]


@pytest.mark.parametrize(
    ("retries", "factor"),
    [(-1, 2.0), (3, -0.5), (3, float("nan")), ("3", 2.0), (2.5, 2.0), (True, 2.0), (3, "2")],
)
def test_limits_that_make_no_sense_are_refused(retries: int, factor: float) -> None:
    with pytest.raises(ConfigurationError):
        retry_with_backoff(retries, factor)


def test_what_is_no_function_cannot_be_decorated() -> None:
    with pytest.raises(ConfigurationError, match="only a function"):
        retry_with_backoff()(5)  # type: ignore[arg-type]  # the mistake under test


def test_forgotten_brackets_are_explained() -> None:
    with pytest.raises(ConfigurationError, match=r"write @retry_with_backoff\(\)"):
        retry_with_backoff(len)  # type: ignore[arg-type]  # the mistake under test
