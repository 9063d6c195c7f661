"""ODBC: the one door to pyodbc, which driver is taken, and each refusal in a sentence.

pyodbc needs the system's driver manager, which is not everywhere; mssql-python, which connects to
SQL Server alone, needs none and takes its place there. How strongly a connection is encrypted, and
whom it trusts, is never changed here.
"""

import platform
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import IntEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from etl.engines import entra, mssql_driver, odbc_types
from etl.engines.engine import translated_errors
from etl.errors import ETLError, ExtractionError, LoadingError
from etl.settings.connection_strings import PASSWORDS, Pairs, joined, masked, parse, shown

__all__ = ["IMPORT_PROBLEM", "installed_drivers", "pyodbc"]

try:
    import pyodbc
except ImportError as error:  # the module is there, but the system lacks libodbc
    pyodbc = None
    IMPORT_PROBLEM = str(error)
else:
    IMPORT_PROBLEM = ""
    # ODBC pools connections by itself on Windows only; one run needs one connection.
    pyodbc.pooling = False

# The errors of whatever connects.
ERRORS: tuple[type[Exception], ...] = (
    (mssql_driver.Error,) if pyodbc is None else (pyodbc.Error, mssql_driver.Error)
)


class SqlType(IntEnum):
    """Types of parameters, by ODBC's numbers."""

    WVARCHAR = -9
    BIT = -7
    BIGINT = -5
    DECIMAL = 3
    INTEGER = 4
    DOUBLE = 8
    DATE = 91
    TIMESTAMP = 93


_TYPE_OF = """SELECT DATA_TYPE FROM INFORMATION_SCHEMA.COLUMNS
WHERE TABLE_NAME = ? AND COLUMN_NAME = ?;"""
# What a connection says of itself, by ODBC's numbers.
_DRIVER_NAME, _DRIVER_VER, _DBMS_NAME, _DBMS_VER = 6, 7, 17, 18

CHOICES = (
    "pip install mssql-python (Linux, macOS); or Microsoft's ODBC Driver 18, from Microsoft's "
    "package repository (Debian, Ubuntu: apt install msodbcsql18; RHEL: dnf install msodbcsql18; "
    "macOS: brew install msodbcsql18; Windows: its installer msodbcsql.msi), see "
    "learn.microsoft.com/sql/connect/odbc"
)
_MICROSOFT = re.compile(r"ODBC Driver (\d+) for SQL Server")
_LIBRARY = re.compile(r"[/\\]|\.(so|dylib|dll)\b", re.IGNORECASE)


def installed_drivers() -> list[str]:
    """Return the ODBC drivers of this system, none when ODBC cannot be used."""
    return list(pyodbc.drivers()) if pyodbc is not None else []


def odbc_errors(
    name: str, *, raised: type[ETLError] = LoadingError, next_step: str = ""
) -> AbstractContextManager[None]:
    """Put the driver's errors into a sentence; the cause still says whether they may pass.

    Args:
        name: what refuses, for the message.
        raised: the class of error to raise.
        next_step: what to do about it.
    """
    return translated_errors(name, ERRORS, raised=raised, next_step=next_step)


def _require_odbc(raised: type[ETLError]) -> None:
    if pyodbc is None:
        raise raised(
            f"ODBC cannot be used on this system: {IMPORT_PROBLEM}",
            next_step="install the ODBC manager (Debian, Ubuntu: apt install unixodbc; "
            "RHEL: dnf install unixODBC; macOS: brew install unixodbc), or for SQL Server "
            "mssql-python, which needs none (pip install mssql-python)",
            code="odbc_missing",
        )


class OdbcReader:
    """A connection to read from, over any ODBC driver; see `engine.Reader`.

    Args:
        connection_string: of any ODBC source; without a driver one for SQL Server is chosen.
        setting: where it was set, for messages.

    Raises:
        ExtractionError: there is no ODBC manager on this system, or the server or the driver
            refuses; then the driver's error is the cause.
    """

    def __init__(self, connection_string: str, setting: str) -> None:
        self._next_step = (
            f"check {setting}, the driver, and that the table has the columns of the query"
        )
        with self._errors():
            self._connection = open_source(connection_string)
            self._server = str(self._connection.getinfo(_DBMS_NAME))
        self._cursor: Any = None

    @property
    def ticks_finer(self) -> bool:
        """Whether it is SQL Server, whose DATETIME2(7) knows a tenth of a microsecond."""
        return "SQL Server" in self._server

    def keeps_offset(self, table: str, column: str) -> bool:
        """Return whether a column of SQL Server is a time with an offset, which is compared in UTC.

        Args:
            table: its name.
            column: its name.
        """
        if not self.ticks_finer:
            return False
        with self._errors():
            found = self._connection.cursor().execute(_TYPE_OF, table, column).fetchall()
        return any(kind == "datetimeoffset" for (kind,) in found)

    def query(self, sql: str, params: Sequence[object]) -> None:
        """Run the query."""
        with self._errors():
            self._cursor = self._connection.cursor().execute(sql, *params)

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns of the query."""
        return [column[0] for column in self._cursor.description or ()]

    def fetchmany(self, rows: int) -> list[Any]:
        """Return the next rows, none at the end.

        Raises:
            ExtractionError: the source refuses, or has a type that is not read.
        """
        with self._errors():
            return fetched(self._cursor, rows)

    def close(self) -> None:
        """Close cursor and connection."""
        self._connection.close()

    def _errors(self) -> AbstractContextManager[None]:
        return odbc_errors("the ODBC source", raised=ExtractionError, next_step=self._next_step)


def fetched(cursor: Any, rows: int) -> list[Any]:
    """Return the next rows of a source, none at the end.

    Args:
        cursor: of a connection from `open_source`.
        rows: how many at most.

    Raises:
        ExtractionError: a column has a type that is not read.
        Exception: the source refuses, as the driver puts it.
    """
    described = cursor.description or ()
    try:
        found = list(cursor.fetchmany(rows))
    except ERRORS as error:
        if what := odbc_types.unread_column(error, [column[0] for column in described]):
            raise ExtractionError(
                what,
                next_step="let a view convert it, such as CAST(... AS NVARCHAR(100)), and read "
                "that",
            ) from error
        raise
    return odbc_types.with_shortest(found, odbc_types.single_places(described))


def open_source(connection_string: str) -> Any:
    """Connect to any ODBC source for reading; without a driver one for SQL Server is chosen.

    Raises:
        ExtractionError: there is no ODBC manager on this system, and no other way.
        Exception: the server or the driver refuses, as the driver puts it.
    """
    pairs = parse(connection_string)
    options = _before(pairs)
    if by_mssql_python(pairs):
        kept = entra.without_login(pairs) if options else pairs
        return mssql_driver.connect(joined(_without_driver(kept)), autocommit=True, **options)
    _require_odbc(ExtractionError)
    text = with_driver(joined(entra.without_login(pairs)) if options else connection_string)
    connection = pyodbc.connect(text, autocommit=True, readonly=True, **options)
    connection.add_output_converter(odbc_types.DATETIMEOFFSET, odbc_types.offset_time)
    return connection


def by_mssql_python(pairs: Pairs) -> bool:
    """Return whether mssql-python connects: it is named as the driver, or pyodbc cannot be used.

    Args:
        pairs: keywords and values of a connection string.
    """
    through = [value for keyword, value in pairs if keyword.lower() in ("driver", "dsn", "filedsn")]
    if through:
        return through[0].lower() == mssql_driver.NAME
    return pyodbc is None and mssql_driver.is_installed()


def _without_driver(pairs: Pairs) -> Pairs:
    return tuple(pair for pair in pairs if pair[0].lower() != "driver")


def choose_driver(
    named: str, installed: Sequence[str], *, from_pip: Callable[[], Path | None] | None = None
) -> str:
    """Return what `Driver=` takes: the driver named, Microsoft's newest, or the one from pip.

    Args:
        named: name or path of a driver, empty for none.
        installed: names of the installed drivers.
        from_pip: finds the library that `pip install mssql-python` brings.

    Raises:
        LoadingError: there is no such driver, or none at all, or it is not fit for loading.

    Example:
        >>> choose_driver("", ["ODBC Driver 17 for SQL Server", "SQL Server"])
        'ODBC Driver 17 for SQL Server'
    """
    if named:
        return _named_driver(named, installed)
    matches = map(_MICROSOFT.fullmatch, installed)
    if numbered := [(int(found[1]), found[0]) for found in matches if found]:
        return max(numbered)[1]
    if library := (from_pip or pip_driver)():
        return str(library)
    raise LoadingError(
        f"there is no ODBC driver for SQL Server; installed: {', '.join(installed) or 'none'}",
        choices=CHOICES,
        next_step="install one of them, or name another one in DB_DRIVER",
        code="driver_missing",
    )


def _named_driver(named: str, installed: Sequence[str]) -> str:
    refuse_unfit(named)
    if _LIBRARY.search(named) and (Path(named).exists() or not Path(named).is_absolute()):
        return named
    if alike := [name for name in installed if name.lower() == named.lower()]:
        return alike[0]
    raise LoadingError(
        f"the ODBC driver {named!r} is not there; installed: {', '.join(installed) or 'none'}",
        choices=f"an installed one; {CHOICES}",
        next_step="correct DB_DRIVER (Driver in DB_CONNECTION_STRING), or leave it out to take "
        "the newest of Microsoft's",
        code="driver_missing",
    )


def refuse_unfit(driver: str) -> None:
    """Refuse drivers that connect to SQL Server but are not fit for loading.

    Args:
        driver: name, path, or what a connected driver calls itself.

    Raises:
        LoadingError: it is FreeTDS, or the driver called "SQL Server" that Windows brings.
    """
    if re.search(r"^(free)?tds|tdsodbc", driver, re.IGNORECASE):
        why = "is FreeTDS, whose fast_executemany crashes the process"
    elif re.search(r"^sql server$|sqlsrv32", driver, re.IGNORECASE):
        why = "is the old one that comes with Windows and does not know DATETIME2"
    else:
        return
    raise LoadingError(
        f"the ODBC driver {driver!r} {why}",
        choices=CHOICES,
        next_step="install one of them, and name it in DB_DRIVER (Driver in "
        "DB_CONNECTION_STRING) or leave that out",
        code="driver_unfit",
    )


def pip_driver() -> Path | None:
    """Return the library that `pip install mssql-python` brings, found without an import."""
    for package in ("mssql_python_odbc", "mssql_python"):  # earlier releases had it in the second
        spec = find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            if library := library_in(Path(folder) / "libs"):
                return library
    return None


def library_in(
    libs: Path, *, system: str = "", machine: str = "", etc: Path = Path("/etc")
) -> Path | None:
    """Return the driver library for this system among those that Microsoft's package brings.

    Args:
        libs: folder `libs` of the package.
        system: as `platform.system()` names it.
        machine: as `platform.machine()` names it.
        etc: where Linux distributions leave their marks.
    """
    arm = (machine or platform.machine()).lower() in ("arm64", "aarch64")
    cpu = "arm64" if arm else "x86_64"
    match system or platform.system():
        case "Windows":
            patterns = [f"windows/{'arm64' if arm else 'x64'}/msodbcsql*.dll"]
        case "Darwin":
            patterns = [f"macos/{cpu}/lib/libmsodbcsql*.dylib"]
        case _:
            patterns = [f"linux/{name}/{cpu}/lib/libmsodbcsql*.so*" for name in _folders(etc)]
    return next((path for pattern in patterns for path in sorted(libs.glob(pattern))), None)


def _folders(etc: Path) -> list[str]:
    """The folder that mssql-python itself takes, then those that may do: SUSE on ARM has none.

    Alpine is last: its library needs another C library than those of all the others.
    """
    marks = {"alpine-release": "alpine", "redhat-release": "rhel", "centos-release": "rhel"}
    marks |= {"SuSE-release": "suse", "SUSE-brand": "suse"}
    own = (folder for mark, folder in marks.items() if (etc / mark).exists())
    return [next(own, "debian_ubuntu"), "debian_ubuntu", "rhel", "suse", "alpine"]


@dataclass(frozen=True)
class Target:
    """What to connect to, and with what; `where` is for messages and holds no login."""

    text: str = field(repr=False)
    where: str
    passwords: tuple[str, ...] = field(repr=False)
    user: str = field(repr=False)
    connect: Callable[..., Any] = field(repr=False)


def target_of(pairs: Pairs, installed: Sequence[str]) -> Target:
    """Return what to connect to, with its driver chosen, unless a data source (DSN) brings one.

    Args:
        pairs: keywords and values of a connection string.
        installed: names of the installed drivers.

    Raises:
        LoadingError: there is no fit driver.
    """
    values = {keyword.lower(): value for keyword, value in pairs}
    passwords = tuple(values[key] for key in PASSWORDS & values.keys())
    user, by_token = values.get("uid", ""), bool(entra.kind_of(pairs))
    if by_mssql_python(pairs):
        text = joined(_without_driver(entra.without_login(pairs) if by_token else pairs))
        where = f"{shown(pairs)} through {mssql_driver.NAME}"
        return Target(text, where, passwords, user, mssql_driver.connect)
    _require_odbc(LoadingError)
    source = next((key for key in values if key in ("driver", "dsn", "filedsn")), "driver")
    through = f"the data source {values.get(source)!r}"
    if source == "driver":
        through = choose_driver(values.get("driver", ""), installed)
        others = (pair for pair in pairs if pair[0].lower() != "driver")
        pairs = (("Driver", through), *others)
    where = f"{shown(pairs)} through {through}"
    text = joined(entra.without_login(pairs) if by_token else pairs)
    return Target(text, where, passwords, user, _by_pyodbc)


def _by_pyodbc(text: str, **options: Any) -> Any:
    return pyodbc.connect(text, **options)


def with_driver(connection_string: str) -> str:
    """Return the connection string of a source: as it is, if it says through what to connect.

    Without a driver or data source it is one of SQL Server's, and gets a driver for that.

    Example:
        >>> with_driver("DSN=sales;UID=etl")
        'DSN=sales;UID=etl'
    """
    pairs = parse(connection_string)
    if any(keyword.lower() in ("driver", "dsn", "filedsn") for keyword, _ in pairs):
        return connection_string
    return target_of(pairs, installed_drivers()).text


# ---- how drivers refuse, what that means, what to do; laid out by hand, as a table ----
# The first that matches counts: numbers and words before SQLSTATEs, since a wrong database also
# reports a failed login, and nearly everything reports 08001. Not all words: Windows translates.
# fmt: off

_REFUSALS: tuple[tuple[str, str, str], ...] = (
    (r"\[IM00[2-5]\]|can't open lib",
        "the library of the driver cannot be opened, or something that it needs is missing",
        "check DB_DRIVER (Driver or DSN in DB_CONNECTION_STRING) and what the library needs "
        f"(Linux: ldd, macOS: otool -L), or take another driver: {CHOICES}"),
    # OpenSSL's words; SEC_E_UNTRUSTED_ROOT, SEC_E_WRONG_PRINCIPAL, SEC_E_CERT_EXPIRED of Windows
    (r"certificate verify failed|\(-2146893(019|022|016)\)",
        "nobody whom this system trusts vouches for the certificate of the server",
        "install the certificate of the authority that signed it on this system, and name the "
        "server in DB_SERVER as its certificate does; only on a network you trust, set "
        "DB_TRUST_SERVER_CERTIFICATE=yes instead (DB_ENCRYPT=strict takes no notice of it)"),
    # 20 is the client's number for a server that does not encrypt
    (r"encryption not supported|SSL Provider|SSL routines|\(20\)",
        "the server does not encrypt the connection in the way that is asked for",
        "have encryption turned on at the server (TLS 1.2 or newer; DB_ENCRYPT=strict needs SQL "
        "Server 2022); DB_ENCRYPT=no lets others read along, only for a network you trust"),
    # cannot open, does not exist, no user in it
    (r"\((4060|911|916)\)",
        "there is no such database, or the login may not use it",
        "check DB_DATABASE (Database in DB_CONNECTION_STRING), that the database is online, and "
        "that the login has a user in it"),
    # has expired, must be changed
    (r"\((18487|18488)\)",
        "the password of the login has expired or must be changed",
        "change it on the server (ALTER LOGIN), then DB_PASSWORD (PWD in DB_CONNECTION_STRING)"),
    # locked out, disabled
    (r"\((18486|18470)\)",
        "the login is locked or disabled",
        "have it unlocked or enabled on the server (ALTER LOGIN); check DB_PASSWORD (PWD in "
        "DB_CONNECTION_STRING), since a wrong one locks it again"),
    # from an untrusted domain
    (r"SSPI|Kerberos|\(18452\)",
        "the account that runs the job has no ticket that the server accepts",
        "set DB_USERNAME and DB_PASSWORD (UID and PWD in DB_CONNECTION_STRING), or give the "
        "account a ticket (Linux, macOS: kinit)"),
    (r"\[28000\]|\(18456\)",
        "the login failed",
        "check DB_USERNAME and DB_PASSWORD (UID and PWD in DB_CONNECTION_STRING; without them the "
        "account that runs the job logs in); the error log of the server has the reason"),
    (r"protocol error in TDS|handshakes before login",
        "what answers there does not speak as SQL Server does, or is too busy to",
        "check host and port in DB_SERVER (Server in DB_CONNECTION_STRING), and the server's load"),
    (r"invalid value specified|keyword supplied",
        "the driver does not take the settings: {said}",
        "correct DB_SERVER, DB_ENCRYPT and the others, or DB_CONNECTION_STRING"),
    (r"\[(08001|08S01|HYT0\d)\]",
        "the server cannot be found, refuses connections, or did not answer within {seconds} s",
        "check DB_SERVER (Server in DB_CONNECTION_STRING: host, host,port or host\\instance), that "
        "the server runs and listens on TCP, and that no firewall is between"),
    ("", "{said}", "check the setting that this speaks of (DB_SERVER and the others, or "
        "DB_CONNECTION_STRING), or ask the server's administrator"),
)
# fmt: on


def refusal(error: Exception, target: Target, *, login_timeout_s: int) -> LoadingError:
    """Return the error to raise for an error of the driver, which is its cause.

    Args:
        error: what the driver raised.
        target: what was to be connected to.
        login_timeout_s: seconds that connecting could take.
    """
    text = " ".join(map(str, error.args))
    _, what, next_step = next(row for row in _REFUSALS if re.search(row[0], text, re.IGNORECASE))
    said = masked(text, (*target.passwords, target.user))
    reason = what.format(said=said, seconds=login_timeout_s)
    refused = LoadingError(f"cannot connect to {target.where}: {reason}", next_step=next_step)
    # should the driver quote a password, the cause is an error of the same kind that does not
    rest = [masked(str(argument), target.passwords) for argument in error.args[1:]]
    same = rest == [*error.args[1:]]
    cause = error if same else type(error)(*error.args[:1], *rest)
    refused.__cause__ = _passing(cause) if _MOVING.search(f"{target.where} {text}") else cause
    return refused


# On Azure SQL Database a database cannot be opened for moments while it moves to another server
# ("Troubleshoot connectivity issues and other errors with Azure SQL Database ...", list of
# transient fault error codes); anywhere else its name is wrong.
_MOVING = re.compile(
    r"\.database\.(?:windows\.net|usgovcloudapi|chinacloudapi).*\(4060\)", re.DOTALL
)


def _passing(cause: Exception) -> Exception:
    passing = ConnectionError("the database is not available at the moment")
    passing.__cause__ = cause
    return passing


def connect(connection_string: str, *, login_timeout_s: int = 15) -> Any:
    """Connect to SQL Server; each statement is a transaction of its own by default.

    Args:
        connection_string: ODBC keywords and values; without a driver one is chosen. The driver
            `mssql-python` stands for that package, which needs no ODBC manager.
        login_timeout_s: seconds that connecting may take. Microsoft's driver uses up all of them
            when the server refuses connections.

    Returns:
        A connection of pyodbc, or one of mssql-python that looks the same.

    Raises:
        ConfigurationError: the string is malformed.
        LoadingError: there is no driver manager, no fit driver, or no connection; then the
            driver's error is the cause, and `is_transient` says whether it may pass.
    """
    pairs = parse(connection_string)
    target = target_of(pairs, installed_drivers())
    options = _before(pairs)
    try:
        return _fit(
            target.connect(target.text, autocommit=True, timeout=login_timeout_s, **options)
        )
    except ERRORS as error:
        refused = refusal(error, target, login_timeout_s=login_timeout_s)
    raise refused  # outside the handler, which would chain the driver's error as it came


def _before(pairs: Pairs) -> dict[str, Any]:
    """What is set before connecting: a token, where there is one."""
    attributes = entra.attributes(pairs)
    return {"attrs_before": dict(attributes)} if attributes else {}


def _fit(connection: Any) -> Any:
    """Only now is it known which driver is behind a data source, or behind another name."""
    try:
        refuse_unfit(connection.getinfo(_DRIVER_NAME))
    except BaseException:
        connection.close()
        raise
    return connection


def driver_in_use(connection: Any) -> str:
    """Return library and version of the driver, such as `libmsodbcsql-18.6.so.2.1 18.06.0002`."""
    named = " ".join(connection.getinfo(info) for info in (_DRIVER_NAME, _DRIVER_VER))
    by_pip = isinstance(connection, mssql_driver.Connection)
    return f"{named} ({mssql_driver.NAME})" if by_pip else named


def server_version(connection: Any) -> str:
    """Return product and version of the server, such as `Microsoft SQL Server 16.00.1000`."""
    return " ".join(connection.getinfo(info) for info in (_DBMS_NAME, _DBMS_VER))
