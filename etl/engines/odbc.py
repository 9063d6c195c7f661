"""The one door to pyodbc: it needs the system's ODBC manager, which is not everywhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from etl.errors import ExtractionError

__all__ = ["IMPORT_PROBLEM", "OdbcSource", "installed_drivers", "pyodbc"]

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
def _translated_errors() -> Iterator[None]:
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


class OdbcSource:
    """A connection to read from, and what is read: one query, rows at a time.

    Args:
        connection_string: of any ODBC source.

    Raises:
        ExtractionError: there is no ODBC manager on this system, or the server or the driver
            refuses; then the driver's error is the cause.
    """

    def __init__(self, connection_string: str) -> None:
        if pyodbc is None:
            raise ExtractionError(
                f"ODBC cannot be used on this system: {IMPORT_PROBLEM}",
                next_step="install the ODBC manager (Debian, Ubuntu: apt install unixodbc; "
                "macOS: brew install unixodbc)",
                code="odbc_missing",
            )
        with _translated_errors():
            self._connection = pyodbc.connect(connection_string, autocommit=True, readonly=True)
        self._cursor: Any = None

    @property
    def server(self) -> str:
        """What kind of server it is, such as `Microsoft SQL Server`."""
        with _translated_errors():
            return str(self._connection.getinfo(pyodbc.SQL_DBMS_NAME))

    def query(self, sql: str, params: Sequence[object]) -> None:
        """Runs the query."""
        with _translated_errors():
            self._cursor = self._connection.cursor().execute(sql, *params)

    def fetchmany(self, rows: int) -> list[Any]:
        """The next rows, none at the end."""
        with _translated_errors():
            return list(self._cursor.fetchmany(rows))

    def close(self) -> None:
        """Closes cursor and connection."""
        self._connection.close()
