"""Connection strings, ODBC's and URLs: read once, shown and handed on without their secrets.

Readers of an ODBC string, `Name=value;Name={value}`, disagree. Of two `Driver=` unixODBC takes the
last, of two `UID=` Microsoft's driver the first, and text after a closing brace makes that driver
silently skip the attribute behind it, `Encrypt` for instance. What `joined` writes is read alike
by all of them.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from etl.errors import ConfigurationError

Pairs = tuple[tuple[str, str], ...]

_KEYWORD = re.compile(r"[A-Za-z][\w .-]*", re.ASCII)
_WHITE = " \t\r\n\f\v"
_VALUE = re.compile(r"\s*", re.ASCII)
_BRACED = re.compile(r"\{((?:[^}]|\}\})*+)\}\s*", re.ASCII)
# pyodbc reports these two in an error that holds the whole string, or ends the string at them
_UNSENDABLE = re.compile("[\x00\ud800-\udfff]")
_FILE_URL = re.compile(r"[a-z][a-z0-9+.-]*:///(?P<path>[^\x00\r\n]+)")
# the login ends at the first @ unless a / comes before it
_URL = re.compile(r"[a-z][a-z0-9+.-]*://(?:(?P<login>[^@/\s]*)@)?(?P<rest>[^\s]*)")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SERVER = r"(?:[\w.-]*|\[[0-9A-Fa-f:.]+\])(?::\d*)?"
_SERVERS = re.compile(rf"{_SERVER}(?:,{_SERVER})*", re.ASCII)
_NEEDS_NO_BRACES = re.compile(r"[\w.,:\\/-]+", re.ASCII)
# characters from which on a secret is no ordinary part of some other word
_ALONE_BELOW = 3
_SHORT_PATH = 8

PASSWORDS = frozenset({"pwd", "password"})
# of a storage account of Azure
_KEYS = frozenset({"accountkey", "sharedaccesssignature"})
# Only these are shown when a string is malformed: any other may be a piece of a password that
# holds a semicolon and lacks its braces.
_KNOWN = PASSWORDS | {
    *("driver", "dsn", "filedsn", "server", "addr", "address", "port", "database", "uid", "app"),
    *("encrypt", "trustservercertificate", "trusted_connection", "servercertificate"),
    *("authentication", "applicationintent", "multisubnetfailover", "wsid", "language", "tenantid"),
}


def braced(value: str) -> str:
    """Return a value as an ODBC connection string takes it, whatever it contains.

    Example:
        >>> braced("p}w;x")
        '{p}}w;x}'
    """
    return "{" + value.replace("}", "}}") + "}"


def parse(connection_string: str) -> Pairs:
    """Read the keywords and values of an ODBC connection string, in its order.

    Keywords are compared without case, and of several alike the first counts. White space
    around a value does not count, except in a password without braces, where it does for
    Microsoft's driver as well.

    Args:
        connection_string: `Name=value` or `Name={value}`, with semicolons between; in braces `}}`
            stands for `}`.

    Raises:
        ConfigurationError: the string is malformed. Its text is not shown, since it may hold a
            password.

    Example:
        >>> parse("Server=sql01,1433;PWD={a;b}};};server=sql02")
        (('Server', 'sql01,1433'), ('PWD', 'a;b};'))
    """
    if unsendable := _UNSENDABLE.search(connection_string):
        raise _malformed(unsendable.start(), (), "a character that no driver takes")
    pairs: dict[str, tuple[str, str]] = {}
    position = 0
    while position < len(connection_string):
        start, (keyword, value), position = position, *_attribute(connection_string, position)
        if keyword is None:
            raise _malformed(start, pairs, "no Name=value")
        if keyword:
            pairs.setdefault(keyword.lower(), (keyword, value))
    return tuple(pairs.values())


def _attribute(text: str, start: int) -> tuple[tuple[str | None, str], int]:
    """Return keyword and value at a place, and where the next ones begin.

    The keyword is empty where nothing stands up to the next semicolon, None where it is malformed.
    Each character is looked at a fixed number of times, however long the text is.
    """
    end = _found(text, ";", start)
    equals = text.find("=", start, end)
    if equals < 0:
        return (None if text[start:end].strip(_WHITE) else "", ""), end + 1
    keyword = text[start:equals].strip(_WHITE)
    if not _KEYWORD.fullmatch(keyword):
        return (None, ""), end + 1
    value = _VALUE.match(text, equals + 1)
    rest = value.end() if value else end
    if not text.startswith("{", rest):
        plain = text[equals + 1 : end]
        return (keyword, plain if keyword.lower() in PASSWORDS else plain.strip()), end + 1
    braces = _BRACED.match(text, rest)
    if braces and text[braces.end() : braces.end() + 1] in ("", ";"):
        return (keyword, braces[1].replace("}}", "}")), braces.end() + 1
    return (None, ""), end + 1


def _found(text: str, mark: str, start: int) -> int:
    place = text.find(mark, start)
    return len(text) if place < 0 else place


def _malformed(position: int, before: Iterable[str], what: str) -> ConfigurationError:
    known = [keyword.upper() for keyword in before if keyword in _KNOWN]
    after = f", after the value of {known[-1]}" if known else ""
    return ConfigurationError(
        f"the ODBC connection string has {what} at character {position + 1}{after}",
        choices="Name=value or Name={value}, with semicolons between; in braces }} stands for }",
        next_step="correct DB_CONNECTION_STRING; a value with ; or { or } in it needs braces",
    )


def joined(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a connection string of keywords and values, with braces where a value needs them.

    Example:
        >>> joined([("Driver", "ODBC Driver 18 for SQL Server"), ("Server", "sql01,1433")])
        'Driver={ODBC Driver 18 for SQL Server};Server=sql01,1433'
    """
    return ";".join(
        f"{keyword}={value if _NEEDS_NO_BRACES.fullmatch(value) else braced(value)}"
        for keyword, value in pairs
    )


def shown(pairs: Iterable[tuple[str, str]]) -> str:
    """Return where keywords and values lead, for messages: never a login.

    Example:
        >>> shown(parse("UID=etl;PWD=x;Server=sql01,1433;Database=dwh"))
        "database 'dwh' on server 'sql01,1433'"
    """
    values = {keyword.lower(): value for keyword, value in pairs}
    server = next((values[key] for key in ("server", "addr", "address") if key in values), "")
    database = values.get("database", "")
    named = f"database {database!r}" if database else "the default database"
    return f"{named} on server {server!r}" if server else named


@dataclass(frozen=True)
class UrlParts:
    """The parts of `scheme://user:password@server/database?parameters`, as they stand there."""

    user: str = field(repr=False)
    password: str = field(repr=False)
    server: str
    database: str
    parameters: str = field(repr=False)


def url_parts(url: str) -> UrlParts | None:
    """Part a connection URL as PostgreSQL's client does.

    Returns:
        None where another reader could part it otherwise: then any part may be a piece of the
        password, and none of them may be shown.

    Example:
        >>> url_parts("postgresql://etl:a#b?c@db1:5432/dwh")
        UrlParts(server='db1:5432', database='dwh')
        >>> url_parts("postgresql://etl:12/ab@db1/dwh") is None
        True
    """
    found = _URL.fullmatch(url)
    if not found or "@" in found["rest"] or _BAD_PERCENT.search(url):
        return None
    user, _, password = (found["login"] or "").partition(":")
    place, _, parameters = found["rest"].partition("?")
    server, _, database = place.partition("/")
    if not _SERVERS.fullmatch(server):
        return None
    return UrlParts(user, password, server, database, parameters)


def place_of(connection_string: str, setting: str) -> str:
    """Return where a connection string leads, for messages; whatever cannot be read is not shown.

    Example:
        >>> place_of("postgresql://etl:12/ab@db1/dwh", "DB_CONNECTION_STRING")
        'the database of DB_CONNECTION_STRING'
    """
    if file_of(connection_string):
        return connection_string
    if "://" in connection_string:
        parts = url_parts(connection_string)
        pairs: Pairs = (("Server", parts.server), ("Database", parts.database)) if parts else ()
    else:
        with suppress(ConfigurationError):  # whoever connects will say what is wrong with it
            return shown(parse(connection_string))
        pairs = ()
    return shown(pairs) if pairs else f"the database of {setting}"


def file_of(connection_string: str) -> str:
    """Return the path of a connection string that names a file; empty for any other.

    Example:
        >>> file_of("duckdb:///data/w.duckdb"), file_of("postgresql://db1/dwh")
        ('data/w.duckdb', '')
    """
    found = _FILE_URL.fullmatch(connection_string)
    return found["path"] if found else ""


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return the text without the secrets; short ones are masked only where they stand alone.

    Example:
        >>> masked("Login failed for user 'sa', password p}w", ["p}w", "sa"])
        "Login failed for user '***', password ***"
    """
    for secret in filter(None, secrets):
        for form in {secret, secret.replace("}", "}}")}:
            word = re.escape(form)
            alone = rf"(?<!\w){word}(?!\w)"
            text = re.sub(alone if len(form) < _ALONE_BELOW else word, "***", text)
    return text


def secrets_in(texts: Iterable[str]) -> list[str]:
    """Return what must not be shown of secret settings: they themselves, and the passwords in them.

    Args:
        texts: connection strings, passwords, addresses that let in whoever knows them.

    Returns:
        The texts to mask, the longest first. The path of a DuckDB file is no secret.

    Example:
        >>> secrets_in(["Server=sql1;PWD=sesame", "duckdb:///a.duckdb"])
        ['Server=sql1;PWD=sesame', 'sesame']
    """
    hidden = [text for text in texts if text and not file_of(text)]
    found = {secret for text in hidden for secret in (text, *_secret_parts(text)) if secret}
    return sorted(found, key=lambda secret: (-len(secret), secret))


def _secret_parts(text: str) -> Iterator[str]:
    with suppress(ConfigurationError):  # it may be no connection string, or a malformed one
        yield from (value for keyword, value in parse(text) if keyword.lower() in PASSWORDS | _KEYS)
    yield from re.findall(r"(?:pwd|password)\s*=\s*\{?([^;}]+)", text, re.IGNORECASE)
    if "://" in text:
        for secret in _secret_url_parts(text):
            yield from (secret, unquote(secret))


def _secret_url_parts(url: str) -> Iterator[str]:
    login, _, rest = url.partition("://")[2].rpartition("@")
    yield login.partition(":")[2]
    for name, value in parse_qsl(url.partition("?")[2]):
        if name.lower().endswith("password"):
            yield value
    scheme, path = url.partition("://")[0], rest.partition("/")[2]
    # of a webhook the path is what lets in; a short one is an ordinary word
    if scheme in ("http", "https") and len(path) > _SHORT_PATH:
        yield path.strip("/")
