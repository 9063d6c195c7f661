"""The one door to pyodbc: it needs the system's ODBC manager, which is not everywhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from errors import ExtractionError

__all__ = ["IMPORT_PROBLEM", "OdbcCursor", "installed_drivers", "odbc_cursor", "pyodbc"]

try:
    import pyodbc
except ImportError as error:  # the module is there, but the system lacks libodbc
    pyodbc = None
    IMPORT_PROBLEM = str(error)
else:
    IMPORT_PROBLEM = ""
    # ODBC pools connections by itself on Windows only; one run needs one connection.
    pyodbc.pooling = False


def installed_drivers() -> list[str]:
    """The ODBC drivers of this system, none when ODBC cannot be used."""
    return list(pyodbc.drivers()) if pyodbc is not None else []


@contextmanager
def _told_errors() -> Iterator[None]:
    """Puts the driver's errors into a sentence; the cause still says whether they may pass."""
    try:
        yield
    except Exception as error:
        if pyodbc is None or not isinstance(error, pyodbc.Error):
            raise
        raise ExtractionError(
            f"the ODBC source refused: {error.args[-1]}",
            next_step="check SALES_DB_CONNECTION_STRING, the driver, and that the table "
            "sales_transactions has the columns of the query",
        ) from error


def odbc_cursor(connection_string: str, query: str, params: Sequence[object]) -> "OdbcCursor":
    """Connects, runs a query and returns its cursor; closing the cursor closes the connection.

    Raises:
        ExtractionError: there is no ODBC manager on this system, or the server or the driver
            refuses; then the driver's error is the cause.
    """
    if pyodbc is None:
        raise ExtractionError(
            f"ODBC cannot be used on this system: {IMPORT_PROBLEM}",
            next_step="install the ODBC manager (Debian, Ubuntu: apt install unixodbc; "
            "macOS: brew install unixodbc)",
        )
    with _told_errors():
        connection = pyodbc.connect(connection_string, autocommit=True, readonly=True)
        try:
            return OdbcCursor(connection, connection.cursor().execute(query, *params))
        except BaseException:
            connection.close()
            raise


class OdbcCursor:
    """A cursor that owns its connection."""

    def __init__(self, connection: Any, cursor: Any) -> None:
        self._connection, self._cursor = connection, cursor

    def fetchmany(self, rows: int) -> list[Any]:
        """The next rows, none at the end."""
        with _told_errors():
            return list(self._cursor.fetchmany(rows))

    def close(self) -> None:
        """Closes cursor and connection."""
        self._cursor.close()
        self._connection.close()
