"""ODBC connection strings, `Name=value;Name={value}`: read once, shown and handed on safely.

Those who read such a string disagree. Of two `Driver=` unixODBC takes the last, of two `UID=`
Microsoft's driver the first, and text after a closing brace makes that driver silently skip the
attribute behind it, `Encrypt` for instance. What `joined` writes is read alike by all of them.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from etl.errors import ConfigurationError

Pairs = tuple[tuple[str, str], ...]

_ATTRIBUTE = re.compile(
    r"""\s* (?P<keyword> [A-Za-z] [\w\ .-]*? ) \s* =
        (?: \s* \{ (?P<braced> (?: [^}] | \}\} )*+ ) \} \s*
          | (?P<plain> (?! \s* \{ ) [^;]* ) )
        (?: ; | \Z )""",
    re.VERBOSE | re.ASCII,
)
_NOTHING = re.compile(r"\s*(?:;|\Z)")
# pyodbc reports these two in an error that holds the whole string, or ends the string at them
_UNSENDABLE = re.compile("[\x00\ud800-\udfff]")
_NEEDS_NO_BRACES = re.compile(r"[\w.,:\\/-]+", re.ASCII)
# characters from which on a secret is no ordinary part of some other word
_TELLING = 3
_SHORT_PATH = 8

PASSWORDS = frozenset({"pwd", "password"})
# Only these are shown when a string is malformed: any other may be a piece of a password that
# holds a semicolon and lacks its braces.
_KNOWN = PASSWORDS | {
    *("driver", "dsn", "filedsn", "server", "addr", "address", "port", "database", "uid", "app"),
    *("encrypt", "trustservercertificate", "trusted_connection", "servercertificate"),
    *("authentication", "applicationintent", "multisubnetfailover", "wsid", "language"),
}


def braced(value: str) -> str:
    """A value as an ODBC connection string takes it, whatever it contains.

    Example:
        >>> braced("p}w;x")
        '{p}}w;x}'
    """
    return "{" + value.replace("}", "}}") + "}"


def parse(connection_string: str) -> Pairs:
    """The keywords and values of an ODBC connection string, in its order.

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
    pairs: dict[str, tuple[str, str]] = {}
    if unsendable := _UNSENDABLE.search(connection_string):
        raise _malformed(unsendable.start(), (), "a character that no driver takes")
    position = 0
    while position < len(connection_string):
        found = _NOTHING.match(connection_string, position)
        if not found:
            found = _ATTRIBUTE.match(connection_string, position)
            if not found:
                raise _malformed(position, pairs, "no Name=value")
            pairs.setdefault(found["keyword"].lower(), (found["keyword"], _value(found)))
        position = found.end()
    return tuple(pairs.values())


def _value(found: re.Match[str]) -> str:
    if found["braced"] is not None:
        return found["braced"].replace("}}", "}")
    exact = found["keyword"].lower() in PASSWORDS
    return found["plain"] if exact else found["plain"].strip()


def _malformed(position: int, before: Iterable[str], what: str) -> ConfigurationError:
    known = [keyword.upper() for keyword in before if keyword in _KNOWN]
    after = f", after the value of {known[-1]}" if known else ""
    return ConfigurationError(
        f"the ODBC connection string has {what} at character {position + 1}{after}",
        choices="Name=value or Name={value}, with semicolons between; in braces }} stands for }",
        next_step="correct DB_CONNECTION_STRING; a value with ; or { or } in it needs braces",
    )


def joined(pairs: Iterable[tuple[str, str]]) -> str:
    """A connection string of keywords and values, with braces where a value needs them.

    Example:
        >>> joined([("Driver", "ODBC Driver 18 for SQL Server"), ("Server", "sql01,1433")])
        'Driver={ODBC Driver 18 for SQL Server};Server=sql01,1433'
    """
    return ";".join(
        f"{keyword}={value if _NEEDS_NO_BRACES.fullmatch(value) else braced(value)}"
        for keyword, value in pairs
    )


def shown(pairs: Iterable[tuple[str, str]]) -> str:
    """Where a connection string leads, for messages: never a login.

    Example:
        >>> shown(parse("UID=etl;PWD=x;Server=sql01,1433;Database=dwh"))
        "database 'dwh' on server 'sql01,1433'"
    """
    values = {keyword.lower(): value for keyword, value in pairs}
    server = next((values[key] for key in ("server", "addr", "address") if key in values), "")
    database = values.get("database", "")
    named = f"database {database!r}" if database else "the default database"
    return f"{named} on server {server!r}" if server else named


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets; short ones are masked only where they stand alone.

    Example:
        >>> masked("Login failed for user 'sa', password p}w", ["p}w", "sa"])
        "Login failed for user '***', password ***"
    """
    for secret in filter(None, secrets):
        for form in {secret, secret.replace("}", "}}")}:
            word = re.escape(form)
            alone = rf"(?<!\w){word}(?!\w)"
            text = re.sub(alone if len(form) < _TELLING else word, "***", text)
    return text


def secrets_in(texts: Iterable[str]) -> list[str]:
    """What must not be shown of secret settings: they themselves, and the passwords in them.

    Args:
        texts: connection strings, passwords, addresses that let in whoever knows them.

    Returns:
        The texts to mask, the longest first. The path of a DuckDB file is no secret.

    Example:
        >>> secrets_in(["Server=sql1;PWD=sesame", "duckdb:///a.duckdb"])
        ['Server=sql1;PWD=sesame', 'sesame']
    """
    hidden = [text for text in texts if text and not text.startswith("duckdb:///")]
    found = {secret for text in hidden for secret in (text, *_secret_parts(text)) if secret}
    return sorted(found, key=lambda secret: (-len(secret), secret))


def _secret_parts(text: str) -> Iterator[str]:
    with suppress(ConfigurationError):  # it may be no connection string, or a malformed one
        yield from (value for keyword, value in parse(text) if keyword.lower() in PASSWORDS)
    yield from re.findall(r"(?:pwd|password)\s*=\s*\{?([^;}]+)", text, re.IGNORECASE)
    with suppress(ValueError):
        address = urlsplit(text)
        password = address.password or ""
        yield from (password, unquote(password))
        path = address.path.strip("/")
        # of a webhook the path is what lets in; a short one is an ordinary word
        if address.scheme in ("http", "https") and len(path) > _SHORT_PATH:
            yield path
