"""The client of PostgreSQL: connecting, marks of parameters, errors, cursors on the server."""

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from importlib import import_module
from typing import Any

from etl.cloud.faults import CloudError
from etl.cloud.rds import with_login_token
from etl.engines.engine import driver_text, translated_errors
from etl.errors import ETLError, LoadingError
from etl.resilience.transient import ErrorCodes
from etl.settings.connection_strings import url_parts

SCHEMES = ("postgresql://", "postgres://")  # both are those of its client
_CONNECT_TIMEOUT_S = 15

# "Appendix A. PostgreSQL Error Codes". The client hands on what the server said of a login
# without its SQLSTATE.
CODES = ErrorCodes(
    transient_states=frozenset(
        {
            "40P01",  # deadlock detected
            "53300",  # too many connections
            "57P01",  # shut down by an administrator
            "57P02",  # crash of another session
            "57P03",  # cannot connect now, starting up or shutting down
        }
    ),
    lock_wait_states=frozenset({"55P03"}),  # lock not available
    permanent_words=frozenset(
        {
            "authentication failed",
            "does not exist",
            "no password supplied",
            "no pg_hba.conf entry",
            "permission denied",
            "does not support SSL",
            "certificate",
        }
    ),
)


# A mark for a parameter, unless it is in a text, a name or a comment.
_MARK = re.compile(r"""'[^']*' | "[^"]*" | --[^\n]* | (\?)""", re.VERBOSE)


def numbered_marks(sql: str) -> str:
    """Return the statement with `$1`, `$2` and so on, as PostgreSQL wants them, for each `?`.

    Example:
        >>> numbered_marks("SELECT 'why?' WHERE ? < ?")
        "SELECT 'why?' WHERE $1 < $2"
    """
    numbers = iter(range(1, sql.count("?") + 1))
    return _MARK.sub(lambda found: f"${next(numbers)}" if found[1] else found[0], sql)


def count_marks(sql: str) -> int:
    """Return how many parameters a statement takes.

    Example:
        >>> count_marks("SELECT 'why?' WHERE ? < ?")
        2
    """
    return sum(1 for found in _MARK.finditer(sql) if found[1])


def with_values(sql: str, values: Sequence[str]) -> str:
    """Replace each `?` outside texts and names by a value, for what takes no parameters.

    Args:
        sql: the statement.
        values: literals, written by the program itself.

    Example:
        >>> with_values("SELECT 'why?' WHERE x < ?", ["5"])
        "SELECT 'why?' WHERE x < 5"
    """
    remaining = iter(values)
    return _MARK.sub(lambda found: next(remaining) if found[1] else found[0], sql)


@cache
def client() -> Any:
    """Return the package psycopg; its import takes 0.2 s of CPU, which only its users pay.

    Raises:
        ImportError: it is an optional requirement, or finds no libpq.
    """
    return import_module("psycopg")


def connect(
    url: str, setting: str = "DB_CONNECTION_STRING", *, raised: type[ETLError] = LoadingError
) -> Any:
    """Connect; statements commit by themselves, and take parameters as `$1`.

    Args:
        url: `postgresql://user:password@host:port/database`.
        setting: where it was set, for messages.
        raised: the class of error to raise.

    Raises:
        ETLError: psycopg is missing, or the server cannot be reached, refuses, or is too old.
            Its cause says whether another attempt may succeed.
    """
    try:
        psycopg = client()
    except ImportError as error:
        raise raised(
            f"PostgreSQL needs the package psycopg, which cannot be used: {error}",
            next_step="pip install -r requirements-postgresql.txt",
            code="package_missing",
        ) from error
    try:
        connection = psycopg.connect(
            with_login_token(url), autocommit=True, cursor_factory=psycopg.RawCursor,
            client_encoding="UTF8",
            **_unless_given(url, application_name="etl_pipeline",
                            connect_timeout=_CONNECT_TIMEOUT_S),
        )  # fmt: skip
    except CloudError as error:
        raise raised(f"PostgreSQL: {error.what}", next_step=error.next_step) from error
    except psycopg.ProgrammingError:
        # without the error, whose text may show a piece of the password
        raise _unreadable(
            setting, raised, "is no connection string that its client can read"
        ) from None
    except psycopg.Error as error:
        if url_parts(url) is None:  # likewise
            raise _unreadable(setting, raised, "can be parted in more than one way") from None
        text = driver_text(error)
        step = next((step for words, step in _NEXT_STEPS if words in text), "see the server's log")
        raise raised(
            f"PostgreSQL cannot be reached: {text}", next_step=f"{step} ({setting})"
        ) from error
    connection.server_cursor_factory = psycopg.RawServerCursor
    return connection


def _unreadable(setting: str, raised: type[ETLError], why: str) -> ETLError:
    return raised(
        f"PostgreSQL: {setting} {why}",
        choices="postgresql://user:password@host:port/database, in the password %40 for @, %2F "
        "for / and %25 for a percent sign",
        next_step=f"correct {setting}",
        code="connection_string",
    )


def _unless_given(url: str, **defaults: object) -> dict[str, object]:
    return {name: value for name, value in defaults.items() if f"{name}=" not in url}


# The first that the message contains counts.
_NEXT_STEPS = (
    ("too many clients", "wait, or raise max_connections"),
    ("too many connections for", "wait, or raise its CONNECTION LIMIT (ALTER ROLE, DATABASE)"),
    ("connection slots", "wait, or raise max_connections"),
    ("password authentication failed", "correct user or password"),
    ("no password supplied", "add the password, or a line in ~/.pgpass"),
    ("role ", "correct the user, or have it created"),
    ("database ", "correct the database, or have it created"),
    ("no pg_hba.conf entry", "have pg_hba.conf let this host, user and database in"),
    ("Connection refused", "check host and port, and that the server runs"),
    ("resolve host", "check the host; a password with @ / : or % must be percent-encoded"),
    ("timeout", "check host and port, and the firewall between"),
    ("PAM authentication failed", "check that the login may use IAM, and the role of this run"),
    (
        "certificate verify failed",
        "name the file of the authority that signed the server's certificate in sslrootcert",
    ),
    ("does not match host name", "name the server as its certificate does"),
    ("root certificate file", "name the file of the authority in sslrootcert"),
    ("SSL", "check sslmode and the certificates"),
)


@contextmanager
def server_cursor(connection: Any, name: str, **options: object) -> Iterator[Any]:
    """Yield a cursor whose rows stay on the server; close it, also over a lost connection."""
    cursor = connection.cursor(name, **options)
    try:
        yield cursor
    finally:
        try:
            cursor.close()
        except client().Error:  # the connection is lost, and takes the cursor with it
            connection.close()
            cursor.close()


def errors_as_sentences(
    *, raised: type[ETLError] = LoadingError, next_step: str = ""
) -> AbstractContextManager[None]:
    """Put the errors of the client into sentences; see `translated_errors`."""
    return translated_errors("PostgreSQL", (client().Error,), raised=raised, next_step=next_step)
