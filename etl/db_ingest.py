"""Records of databases as lists of dicts, for scripts and notebooks.

A run reads the same databases as streams of blocks, declared in `pipeline.toml`.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Dict, List
from urllib.parse import quote, urlencode

from etl.errors import ConfigurationError
from etl.settings.connection_strings import joined
from etl.sources.databases.asked import Asked
from etl.sources.databases.driver import Target
from etl.sources.databases.registry import driver_of

_SERVERS = {
    "postgres": "postgresql", "postgresql": "postgresql", "timescaledb": "postgresql",
    "mysql": "mysql", "mariadb": "mysql", "mongodb": "mongodb", "mongo": "mongodb",
}  # fmt: skip
_FILES = {"sqlite": "sqlite", "duckdb": "duckdb"}
_SQL_SERVER = ("sqlserver", "mssql")
DATABASE_TYPES = (*_SERVERS, *_FILES, *_SQL_SERVER)
_KEYS = frozenset((
    "type", "connection_string", "host", "port", "database", "path", "user", "username",
    "password", "options", "cursor", "since", "time_zone", "query", "driver",
))  # fmt: skip
_WHERE = "the configuration of the database"


def ingest_from_database(
    config: Mapping[str, Any], table: str = "", limit: int | None = None
) -> List[Dict[str, Any]]:
    """Read the records of a table, view or collection.

    Args:
        config: `type`: postgres, mysql (mariadb), mongodb, sqlite, duckdb, sqlserver (mssql);
            `host`, `port`, `database`, `user`, `password`, or `connection_string`; `path` for
            files; `options`: of the connection, such as `{"sslmode": "verify-full"}`; `query` in
            place of a table; `cursor` and `since`: only records whose column has that value or a
            later one; `time_zone`: of `since`, UTC.
        table: `table` or `schema.table`.
        limit: of how many records at most.

    Returns:
        The records as the driver of the database gives them.

    Raises:
        ConfigurationError: there is no such type, the configuration lacks something, or the
            package that it needs is not installed.
        ExtractionError: the database cannot be reached, or refuses.

    Example:
        >>> config = {"type": "duckdb", "path": ":memory:", "query": "SELECT 1 AS one"}
        >>> ingest_from_database(config, limit=1000)
        [{'one': 1}]
    """
    return list(iterate_database(config, table, limit))


def iterate_database(
    config: Mapping[str, Any], table: str = "", limit: int | None = None
) -> Iterator[Dict[str, Any]]:
    """Yield the records of a table one by one, without holding all of them.

    Args:
        config: see `ingest_from_database`.
        table: likewise.
        limit: likewise.

    Raises:
        ConfigurationError: see `ingest_from_database`.
        ExtractionError: likewise.
    """
    if odd := sorted(config.keys() - _KEYS):
        raise ConfigurationError(
            f"unknown in {_WHERE}: {', '.join(odd)}", choices=", ".join(sorted(_KEYS))
        )
    if bool(table) == bool(config.get("query")):
        raise ConfigurationError(f"{_WHERE} needs a table or a query, and only one of them")
    target = Target(connection_string_of(config), _WHERE, str(config.get("time_zone", "UTC")))
    driver = driver_of(target.connection_string, target.setting)
    with (
        closing(driver.connect(target)) as connection,
        closing(connection.values(_asked(config, table))) as records,
    ):
        yield from islice(records, limit)


def _asked(config: Mapping[str, Any], table: str) -> Asked:
    since = config.get("since")
    if isinstance(since, datetime) and since.tzinfo:
        since = since.astimezone(UTC).replace(tzinfo=None)
    return Asked(table, str(config.get("query", "")), str(config.get("cursor", "")), since)


def connection_string_of(config: Mapping[str, Any]) -> str:
    """Return the connection string of a configuration; it may hold a password.

    Raises:
        ConfigurationError: there is no such type, or a part is missing.

    Example:
        >>> connection_string_of({"type": "mysql", "host": "db1", "database": "shop",
        ...                       "user": "etl", "password": "p@ss"})
        'mysql://etl:p%40ss@db1/shop'
    """
    kind = str(config.get("type", "")).lower()
    if config.get("connection_string"):
        return str(config["connection_string"])
    if kind not in DATABASE_TYPES:
        raise ConfigurationError(f"no type of database {kind!r}", choices=", ".join(DATABASE_TYPES))
    if kind in _FILES:
        return f"{_FILES[kind]}:///{_part(config, 'path', 'database')}"
    return _odbc(config) if kind in _SQL_SERVER else _url(_SERVERS[kind], config)


def _part(config: Mapping[str, Any], *names: str) -> str:
    found = next((config[name] for name in names if config.get(name)), None)
    if found is None:
        raise ConfigurationError(f"{_WHERE} lacks {names[0]}")
    return str(found)


def _url(scheme: str, config: Mapping[str, Any]) -> str:
    host, port = config.get("host", "localhost"), config.get("port")
    user, password = config.get("user") or config.get("username"), config.get("password")
    login = quote(str(user), "") if user else ""
    login += f":{quote(str(password), '')}" if user and password else ""
    place = f"{login}{'@' if login else ''}{host}{f':{port}' if port else ''}"
    options = urlencode(config.get("options") or {})
    database = quote(_part(config, "database"), "")
    return f"{scheme}://{place}/{database}{'?' if options else ''}{options}"


def _odbc(config: Mapping[str, Any]) -> str:
    host, port = config.get("host", "localhost"), config.get("port")
    pairs = {
        "Driver": config.get("driver"), "Server": f"{host},{port}" if port else host,
        "Database": config.get("database"), "UID": config.get("user") or config.get("username"),
        "PWD": config.get("password"), **(config.get("options") or {}),
    }  # fmt: skip
    return joined((name, str(value)) for name, value in pairs.items() if value is not None)
