"""MySQL and MariaDB: rows as they come over the wire, parted into columns by numpy.

Measured on a million rows of six columns: 1.0 CPU s with values that PyMySQL binds, over TLS 1.1;
mysqlclient, which has to be compiled, takes 1.4, PyMySQL's own rows 17. connectorx takes 0.7, but
binds nothing, holds the whole result when it is read more slowly than sent, and panics when the
server goes away.
"""

import re
import ssl
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote

import pyarrow as pa

from etl.engines.engine import driver_text
from etl.errors import ConfigurationError, ExtractionError
from etl.schema.table import Kind
from etl.settings.connection_strings import url_parts
from etl.sources.databases.asked import Asked
from etl.sources.databases.driver import Driver, Found, Target, library, texts_of
from etl.sources.databases.mysql_rows import decoded, rows_of
from etl.sources.databases.rows import records_of

_SCHEMES = ("mysql://", "mariadb://")
_CONNECT_TIMEOUT_S = 15
# The numbers of types in the protocol.
_KINDS = {
    1: Kind.INTEGER, 2: Kind.INTEGER, 9: Kind.INTEGER, 13: Kind.INTEGER, 3: Kind.INTEGER,
    8: Kind.BIGINT, 0: Kind.DECIMAL, 246: Kind.DECIMAL, 4: Kind.DOUBLE, 5: Kind.DOUBLE,
    10: Kind.DATE, 7: Kind.TIMESTAMP, 12: Kind.TIMESTAMP, 253: Kind.TEXT, 254: Kind.TEXT,
}  # fmt: skip
_BIT, _GEOMETRY, _BINARY_CHARSET, _UNSIGNED, _NEWDECIMAL = 16, 255, 63, 32, 246
_BLOBS = (249, 250, 251, 252, 253, 254)
_UTF8_BYTES = 4
_TINY = 1
# numbers of errors: lost, refused, shutting down, too many connections, lock timeout, deadlock
_PASSING = frozenset({1040, 1053, 1205, 1213, 2002, 2003, 2006, 2013, 2055, 4031})
_TLS_ERROR = 2026
_NEXT_STEPS = {
    1045: "correct user or password ({setting})",
    1049: "correct the database, or have it created ({setting})",
    1044: "have the user granted the database, or correct it ({setting})",
    1142: "have the user granted SELECT on it",
    1146: "correct the table of the source: schema.table where it lies in another database",
    1054: "correct the columns of the source, its cursor or its query",
    2003: "check host and port, and that the server runs ({setting})",
    _TLS_ERROR: "check ssl_ca, ssl_cert and ssl_key ({setting}), and that the server offers TLS",
}
_TLS = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_cert", "ssl_verify_identity", "ssl_disabled")
# A mark for a parameter, unless it is in a text or a name.
_MARK = re.compile(r"""'(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | `[^`]*` | (\?)""", re.VERBOSE)
_FORM = "mysql://user:password@host:3306/database?ssl_ca=/path/ca.pem"


class MysqlConnection:
    """See `driver.Connection`."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._driver = library("pymysql", "mysql")
        with self._errors():
            cursors = library("pymysql.cursors", "mysql")
            self._connection = self._driver.connect(
                **_options(target), cursorclass=cursors.SSCursor, charset="utf8mb4",
                connect_timeout=_CONNECT_TIMEOUT_S, autocommit=True,
            )  # fmt: skip
            self._ask("SET SESSION TRANSACTION READ ONLY").close()
            self._set_zone()

    def _set_zone(self) -> None:
        """Have times that the server keeps in UTC written in the zone of the source."""
        with self._errors():
            try:
                self._ask(f"SET time_zone = '{_offset(self._target.zone)}'").close()
            except self._driver.OperationalError:  # the server has no table of zones
                raise ConfigurationError(
                    f"{self._target.setting}: the server knows no zone {self._target.zone}",
                    next_step="load its zones (mariadb-tzinfo-to-sql, mysql_tzinfo_to_sql), or set "
                    "time_zone of the source to UTC",
                ) from None

    def columns(self, asked: Asked) -> Sequence[Found]:
        """Return the columns, described by the server."""
        with self._errors():
            cursor = self._ask(asked.nothing(quoted), asked)
            found = [_found(field) for field in cursor._result.fields]
            cursor.close()
        return found

    def blocks(self, asked: Asked, columns: Sequence[Found]) -> Iterator[pa.RecordBatch]:
        """Stream the rows, some thousands at a time."""
        listed = ", ".join(map(_expression, columns))
        names = [column.name for column in columns]
        with self._errors():
            cursor = self._ask(asked.selecting(listed, quoted), asked)
            for rows in rows_of(self._connection, cursor, self._target.chunk_rows):
                yield texts_of(names, decoded(rows, names), self._target.setting)

    def _ask(self, sql: str, asked: Asked | None = None) -> Any:
        cursor = self._connection.cursor()
        params = asked.params if asked else ()
        cursor.execute(_with_marks(sql) if params else sql, params or None)
        return cursor

    def values(self, asked: Asked) -> Generator[dict[str, Any], None, None]:
        """Stream records with Python values."""
        with self._errors():
            cursor = self._ask(asked.sql(quoted), asked)
            yield from records_of(cursor, self._target.chunk_rows)

    def close(self) -> None:
        """Close the connection, without reading what is still to come."""
        self._connection._force_close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (self._driver.Error, OSError) as error:
            raise self._refusal(error) from _cause(error)

    def _refusal(self, error: Exception) -> ExtractionError:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        number = _TLS_ERROR if isinstance(error, ssl.SSLError) else number
        step = _NEXT_STEPS.get(number, self._target.next_step).format(setting=self._target.setting)
        return ExtractionError(f"MySQL refused: {driver_text(error)}", next_step=step)


def _cause(error: Exception) -> Exception:
    """The error; one of those that pass as one of Python's, whose verdict is known."""
    if error.args and error.args[0] in _PASSING:
        return ConnectionError(driver_text(error))
    return error


def _options(target: Target) -> dict[str, Any]:
    parts = url_parts(target.connection_string)
    if parts is None or "," in parts.server:
        raise ConfigurationError(
            f"{target.setting} can be parted in more than one way", choices=_FORM,
            next_step=f"correct {target.setting}; in the password %40 stands for @, %2F for /",
        )  # fmt: skip
    host, _, port = parts.server.rpartition(":") if ":" in parts.server else (parts.server, "", "")
    options = dict(parse_qsl(parts.parameters))
    if odd := sorted(options.keys() - {*_TLS, "unix_socket"}):
        raise ConfigurationError(
            f"{target.setting}: unknown {', '.join(odd)}",
            choices=", ".join((*_TLS, "unix_socket")), next_step=f"correct {target.setting}",
        )  # fmt: skip
    return {
        "host": host.strip("[]") or "127.0.0.1", "port": int(port or 3306),
        "user": unquote(parts.user), "password": unquote(parts.password),
        "database": unquote(parts.database) or None, **_tls(options),
    }  # fmt: skip


def _tls(options: dict[str, str]) -> dict[str, Any]:
    """The options of TLS as PyMySQL takes them; with a CA the server must prove who it is."""
    switches = {name: options[name].lower() in ("1", "true", "yes") for name in options
                if name in ("ssl_verify_cert", "ssl_verify_identity", "ssl_disabled")}  # fmt: skip
    if "ssl_ca" in options:
        switches = {"ssl_verify_cert": True, "ssl_verify_identity": True} | switches
    return {**options, **switches}


def _offset(zone: str) -> str:
    return "+00:00" if zone == "UTC" else zone


def quoted(name: str) -> str:
    """Return a name in the quotation marks of MySQL.

    Example:
        >>> quoted("a`b")
        '`a``b`'
    """
    return "`" + name.replace("`", "``") + "`"


def _with_marks(sql: str) -> str:
    """The statement as PyMySQL takes it: `%s` for each parameter, and no other per cent sign."""
    return _MARK.sub(lambda found: "%s" if found[1] else found[0], sql.replace("%", "%%"))


def _found(field: Any) -> Found:
    kind, binary = _KINDS.get(field.type_code), field.charsetnr == _BINARY_CHARSET
    name = field.name
    if field.type_code in _BLOBS and binary:
        return Found(name, "binary")
    if field.type_code == _BIT:
        return Found(name, "bit", Kind.BIGINT)
    if field.type_code == _GEOMETRY:
        return Found(name, "geometry", readable=False)
    if kind is Kind.TEXT:
        return Found(name, "text", kind, width=field.length // _UTF8_BYTES)
    if kind is Kind.DECIMAL:
        digits = field.length - (field.scale > 0) - (not field.flags & _UNSIGNED)
        return Found(name, "decimal", kind, precision=digits, scale=field.scale)
    return Found(name, str(kind.value if kind else "text"), _wide(kind, field))


def _wide(kind: Kind | None, field: Any) -> Kind | None:
    """An unsigned number of 32 bits needs 64, one of 64 bits is left to the values."""
    if not field.flags & _UNSIGNED or kind not in (Kind.INTEGER, Kind.BIGINT):
        return kind
    return Kind.BIGINT if kind is Kind.INTEGER else None


def _expression(column: Found) -> str:
    name = quoted(column.name)
    form = {"binary": "HEX({})", "bit": "({} + 0)"}.get(column.type_name, "{}")
    return f"{form.format(name)} AS {name}"


DRIVER = Driver(
    "MySQL", _FORM, lambda text: text.startswith(_SCHEMES), MysqlConnection, quote=quoted
)
