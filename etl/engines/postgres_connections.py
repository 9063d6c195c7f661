"""The one door to psycopg: connecting to PostgreSQL, each refusal in a sentence, and reading."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from etl.errors import ETLError, ExtractionError, LoadingError

psycopg: Any
try:
    import psycopg
except ImportError as error:  # it is an optional requirement, or finds no libpq
    psycopg = None
    IMPORT_PROBLEM = str(error)
else:
    IMPORT_PROBLEM = ""

POSTGRES_SCHEME = "postgresql://"
_CONNECT_TIMEOUT_S = 15
# A mark for a parameter, unless it stands in a text, a name or a comment.
_MARK = re.compile(r"""'[^']*' | "[^"]*" | --[^\n]* | (\?)""", re.VERBOSE)


def numbered_marks(sql: str) -> str:
    """The statement with `$1`, `$2` and so on, as PostgreSQL wants them, for each `?`.

    Example:
        >>> numbered_marks("SELECT 'why?' WHERE ? < ?")
        "SELECT 'why?' WHERE $1 < $2"
    """
    numbers = iter(range(1, sql.count("?") + 1))
    return _MARK.sub(lambda found: f"${next(numbers)}" if found[1] else found[0], sql)


def connect(
    url: str, setting: str = "DB_CONNECTION_STRING", *, told: type[ETLError] = LoadingError
) -> Any:
    """Connects; statements commit by themselves, and take parameters as `$1`.

    Args:
        url: `postgresql://user:password@host:port/database`.
        setting: where it was set, for messages.
        told: the class of error to raise.

    Raises:
        ETLError: psycopg is missing, or the server cannot be reached, refuses, or is too old.
            Its cause says whether another attempt may succeed.
    """
    if psycopg is None:
        raise told(
            f"PostgreSQL needs the package psycopg, which cannot be used: {IMPORT_PROBLEM}",
            next_step="pip install -r requirements-postgresql.txt",
            code="package_missing",
        )
    try:
        connection = psycopg.connect(
            url, autocommit=True, cursor_factory=psycopg.RawCursor, client_encoding="UTF8",
            **_unless_given(url, application_name="etl_pipeline",
                            connect_timeout=_CONNECT_TIMEOUT_S),
        )  # fmt: skip
    except psycopg.ProgrammingError as error:
        raise told(  # without its text, which may show a piece of the password
            f"{setting} is no connection string that PostgreSQL's client can read",
            choices="postgresql://user:password@host:port/database, with %40 for @ and the like",
            next_step=f"correct {setting}",
        ) from error
    except psycopg.Error as error:
        text = " ".join(str(error).split())
        step = next((step for words, step in _NEXT_STEPS if words in text), "see the server's log")
        raise told(
            f"PostgreSQL cannot be reached: {text}", next_step=f"{step} ({setting})"
        ) from error
    connection.server_cursor_factory = psycopg.RawServerCursor
    return connection


def _unless_given(url: str, **defaults: object) -> dict[str, object]:
    return {name: value for name, value in defaults.items() if f"{name}=" not in url}


_NEXT_STEPS = (
    ("password authentication failed", "correct user or password"),
    ("no password supplied", "add the password, or a line in ~/.pgpass"),
    ("role ", "correct the user, or have it created"),
    ("database ", "correct the database, or have it created"),
    ("no pg_hba.conf entry", "have pg_hba.conf let this host, user and database in"),
    ("Connection refused", "check host and port, and that the server runs"),
    ("resolve host", "check the host; a password with @ / : or % must be percent-encoded"),
    ("timeout", "check host and port, and the firewall between"),
    ("SSL", "check sslmode and the certificates"),
    ("too many clients", "wait, or raise max_connections"),
)


@contextmanager
def translated_errors(told: type[ETLError] = LoadingError, next_step: str = "") -> Iterator[None]:
    """Puts the driver's errors into a sentence; the cause still says whether they may pass.

    Args:
        told: the class of error to raise.
        next_step: what to do about it.
    """
    try:
        yield
    except Exception as error:
        if psycopg is None or not isinstance(error, psycopg.Error):
            raise
        text = " ".join(str(error).split())
        raise told(f"PostgreSQL refused: {text}", next_step=next_step) from error


@contextmanager
def server_cursor(connection: Any, name: str, **options: object) -> Iterator[Any]:
    """A cursor whose rows stay on the server; closed at the end, also over a lost connection."""
    cursor = connection.cursor(name, **options)
    try:
        yield cursor
    finally:
        try:
            cursor.close()
        except psycopg.Error:  # the connection is lost, and takes the cursor with it
            connection.close()
            cursor.close()


class PostgresSource:
    """A connection to read from, and what is read: one query, rows at a time.

    Args:
        connection_string: `postgresql://...`.

    Raises:
        ExtractionError: the server cannot be reached; the driver's error is the cause.
    """

    server = "PostgreSQL"

    def __init__(self, connection_string: str) -> None:
        self._connection = connect(
            connection_string, "SALES_DB_CONNECTION_STRING", told=ExtractionError
        )
        self._cursor: Any = None
        self._stack = ExitStack()

    def query(self, sql: str, params: Sequence[object]) -> None:
        """Runs the query; its rows stay on the server until they are fetched."""
        with self._translated_errors():
            self._connection.autocommit = False  # a cursor of the server ends with a transaction
            self._connection.read_only = True
            self._cursor = self._stack.enter_context(server_cursor(self._connection, "sales"))
            self._cursor.execute(numbered_marks(sql), params)

    def fetchmany(self, rows: int) -> list[Any]:
        """The next rows, none at the end."""
        with self._translated_errors():
            return list(self._cursor.fetchmany(rows))

    def close(self) -> None:
        """Closes cursor and connection."""
        self._stack.close()
        self._connection.close()

    @staticmethod
    def _translated_errors() -> Any:
        return translated_errors(
            ExtractionError,
            "check SALES_DB_CONNECTION_STRING, and that the table sales_transactions has the "
            "columns of the query",
        )
