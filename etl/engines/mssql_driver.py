"""mssql-python in the place of pyodbc: SQL Server by pip alone, where no ODBC manager is installed.

It loads Microsoft's driver by itself. What the package uses of pyodbc looks the same here, errors
too: a SQLSTATE, and a text with the number of the server. The package is imported by the first
connection.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NoReturn

_DECIMALS = (2, 3)  # SQL_NUMERIC, SQL_DECIMAL
NAME = "mssql-python"  # as a driver is named in a setting

# mssql-python gives an error the words of its SQLSTATE; these are the ones that decide something.
_STATES = (
    "01000", "01002", "08001", "08003", "08004", "08007", "08S01", "22001", "22003", "22007",
    "22008", "22012", "22018", "23000", "28000", "40001", "40003", "42000", "42S02", "42S22",
    "HY000", "HYT00", "HYT01", "IM003",
)  # fmt: skip
# Of an error while connecting it gives no number either: those of the server's own words.
_NUMBERS = (
    ("Cannot open database", 4060),
    ("is not currently available", 40613),
    ("is currently locked out", 18486),
    ("account is disabled", 18470),
    ("password of the account must be changed", 18488),
    ("password of the account has expired", 18487),
    ("untrusted domain", 18452),
    ("Login failed", 18456),
    ("encryption not supported", 20),
)


class Error(Exception):
    """An error of mssql-python, with the arguments that pyodbc's have."""


def is_installed() -> bool:
    """Return whether the package is there, without an import."""
    return find_spec("mssql_python") is not None


@cache
def _library() -> Any:
    library = import_module("mssql_python")
    library.pooling(enabled=False)  # one run needs one connection, and ends it
    return library


@cache
def _state_of_words() -> dict[str, str]:
    errors = import_module("mssql_python.exceptions")
    found = ((state, errors.sqlstate_to_exception(state, "")) for state in _STATES)
    return {error.driver_error: state for state, error in found if error is not None}


def translated(error: Exception, records: Sequence[tuple[str, str]] = ()) -> Error:
    """Return an error as pyodbc would have raised it.

    Args:
        error: what mssql-python raised.
        records: what the driver says of it: `[state] (number)`, and a text.

    Example:
        >>> found = translated(Exception("x"), [("[40001] (1205)", "deadlock")])
        >>> found.args
        ('40001', '[40001] deadlock (1205) (SQLExecDirectW)')
    """
    texts = []
    for place, said in records:
        own_state, _, own_number = place.partition(" ")
        texts.append(f"{own_state} {said} {own_number}")
    if texts:
        return Error(records[0][0][1:6], "; ".join(texts) + " (SQLExecDirectW)")
    words = getattr(error, "driver_error", "")
    state = _state_of_words().get(words, "HY000") if words else "HY000"
    text = getattr(error, "ddbc_error", "") or words or str(error)
    number = next((n for said, n in _NUMBERS if said.lower() in text.lower()), 0)
    return Error(state, f"[{state}] {text} ({number}) (SQLDriverConnect)")


def connect(
    text: str,
    *,
    autocommit: bool = False,
    timeout: int = 0,
    attrs_before: Mapping[int, bytes] | None = None,
) -> "Connection":
    """Connect; see `pyodbc.connect`.

    Args:
        text: an ODBC connection string without a driver.
        autocommit: whether each statement is a transaction of its own.
        timeout: seconds that connecting may take.
        attrs_before: attributes of the connection that are set before.

    Raises:
        Error: there is no connection.
    """
    library = _library()
    try:
        return Connection(library.connect(
            text, autocommit=autocommit, timeout=timeout, attrs_before=dict(attrs_before or {})
        ))  # fmt: skip
    except Exception as error:  # noqa: BLE001  # some come from the library's own C++
        failed = translated(error)
    raise failed  # outside the handler, which would chain what may hold the connection string


class Connection:
    """A connection, with what the package uses of pyodbc's.

    Args:
        connection: of mssql-python.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @property
    def autocommit(self) -> bool:
        """Whether each statement is a transaction of its own."""
        return bool(self._call(lambda: self._connection.autocommit))

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self._call(lambda: self._connection.setautocommit(value))

    def cursor(self) -> "Cursor":
        """Return a new cursor."""
        return Cursor(self._call(self._connection.cursor))

    def execute(self, sql: str, *params: object) -> "Cursor":
        """Run one statement on a new cursor."""
        return self.cursor().execute(sql, *params)

    def getinfo(self, info: int) -> str:
        """Return what the driver or the server says of itself."""
        return str(self._call(lambda: self._connection.getinfo(info)))

    def commit(self) -> None:
        """Commit the transaction."""
        self._call(self._connection.commit)

    def rollback(self) -> None:
        """Take the transaction back."""
        self._call(self._connection.rollback)

    def close(self) -> None:
        """Close it; what is open is taken back."""
        self._call(self._connection.close)

    def _call(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            raise translated(error) from error


def _sent_size(size: tuple[int, int, int]) -> tuple[int, int, int]:
    """The size of a decimal as a text, as which it is sent: with its sign and its point."""
    kind, digits, scale = size
    return (kind, min(38, digits + 2), scale) if kind in _DECIMALS else size


class Cursor:
    """A cursor, with what the package uses of pyodbc's.

    Args:
        cursor: of mssql-python.
    """

    fast_executemany = True  # it knows no other way

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self._records: list[tuple[str, str]] = []
        self._reset = cursor._reset_cursor
        # a failed statement is forgotten before its error is raised, and its numbers with it
        cursor._reset_cursor = self._remember_and_reset

    def _remember_and_reset(self) -> None:
        self._records = self._diagnosed()
        self._reset()

    def _diagnosed(self) -> list[tuple[str, str]]:
        handle = self._cursor.hstmt
        return list(_library().ddbc_bindings.DDBCSQLGetAllDiagRecords(handle)) if handle else []

    def _fail(self, error: Exception) -> NoReturn:
        raise translated(error, self._diagnosed() or self._records) from error

    def execute(self, sql: str, *params: object) -> "Cursor":
        """Run one statement."""
        self._records = []
        try:
            self._cursor.execute(sql, *params)
        except Exception as error:  # noqa: BLE001  # likewise, here and below
            self._fail(error)
        return self

    def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement once per row, with arrays of parameters."""
        try:
            self._cursor.executemany(sql, rows)
        except Exception as error:  # noqa: BLE001
            self._fail(error)

    def bulkcopy_arrow(self, table: str, rows: object, **options: object) -> None:
        """Copy an Arrow table into a permanent one, over one more connection."""
        try:
            self._cursor.bulkcopy_arrow(table, rows, **options)
        except Exception as error:
            raise translated(error) from error

    def setinputsizes(self, sizes: Sequence[tuple[int, int, int]]) -> None:
        """Say what the parameters of `executemany` are."""
        self._cursor.setinputsizes([_sent_size(size) for size in sizes])

    @property
    def description(self) -> Any:
        """The columns of the result, None for a statement without one."""
        return self._cursor.description

    def nextset(self) -> bool:
        """Go on to the next result; false at the end."""
        try:
            return bool(self._cursor.nextset())
        except Exception as error:  # noqa: BLE001
            self._fail(error)

    def fetchone(self) -> Any:
        """Return the next row, None at the end."""
        return self._fetched(self._cursor.fetchone)

    def fetchmany(self, rows: int) -> Any:
        """Return the next rows, none at the end."""
        return self._fetched(lambda: self._cursor.fetchmany(rows))

    def fetchall(self) -> Any:
        """Return the rows that are left."""
        return self._fetched(self._cursor.fetchall)

    def _fetched(self, fetch: Callable[[], Any]) -> Any:
        try:
            return fetch()
        except Exception as error:  # noqa: BLE001
            self._fail(error)

    def close(self) -> None:
        """Close it."""
        self._cursor.close()
