"""The engines on which the behaviour suite runs: the embedded one, and servers.

A server is named by an environment variable that holds its connection string. PostgreSQL needs no
name where it is installed: then the tests start a server of their own. Each project gets a
database of its own, on PostgreSQL a schema, which is dropped at the end of the test or module.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import count
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from postgres_server import PostgresServer, binaries

from etl.engines import odbc
from etl.engines.database import DatabaseManager
from etl.engines.engine import Access
from etl.settings.connection_strings import joined, parse

_PASSWORD = "Only-for-tests-1!"  # noqa: S105  # of logins that last as long as a test
_numbers = count(1)


def _new_name() -> str:
    return f"etl_test_{os.getpid()}_{next(_numbers)}"


@dataclass(frozen=True)
class Engine:
    """The embedded engine, which every test can have."""

    name: str

    is_server = False

    @property
    def why_not(self) -> str:
        """Why tests on it are skipped; empty when they are not."""
        return ""

    def new_database(self) -> str:
        """Makes an empty database, and returns its connection string."""
        raise NotImplementedError(f"{self.name} has a file for each project")


@dataclass(frozen=True)
class Lakehouse(Engine):
    """Delta tables in a folder of each project."""


class Server(Engine):
    """What tests need of a server besides."""

    is_server = True

    def database_alone(self) -> str:
        """The same, of a database that nothing else shares."""
        return self.new_database()

    def address(self, connection: str) -> tuple[str, int]:
        """Host and port of a connection string."""
        raise NotImplementedError

    def through(self, connection: str, port: int) -> str:
        """The same connection over a port of this machine, unencrypted so that it can be read."""
        raise NotImplementedError

    def create_login(self, connection: str, name: str) -> str:
        """Makes a login that may use the database and nothing in it; its connection string."""
        raise NotImplementedError

    def drop_login(self, connection: str, name: str) -> None:
        """Drops what `create_login` made."""
        raise NotImplementedError

    def let_load(self, name: str) -> str:
        """The statement that makes a login a member of the role of the loads."""
        raise NotImplementedError


@dataclass(frozen=True)
class SqlServer(Server):
    """A server that `variable` names."""

    variable: str

    @property
    def why_not(self) -> str:
        return "" if self.variable in os.environ else f"{self.variable} is not set"

    def new_database(self) -> str:
        name = _new_name()
        self._execute(f"CREATE DATABASE {name}")
        _drops.append(lambda: self._execute(f"DROP DATABASE {name}"))
        return joined((*self._pairs, ("Database", name)))

    @property
    def _pairs(self) -> tuple[tuple[str, str], ...]:
        pairs = parse(os.environ[self.variable])
        return tuple(pair for pair in pairs if pair[0].lower() != "database")

    @property
    def server(self) -> str:
        """The connection string of the server itself."""
        return joined((*self._pairs, ("Database", "master")))

    def address(self, connection: str) -> tuple[str, int]:
        host, _, port = _value_of(connection, "server").partition(",")
        return host, int(port or 1433)

    def through(self, connection: str, port: int) -> str:
        changed = {"server": f"127.0.0.1,{port}", "encrypt": "no"}
        return _with(connection, **changed)

    def create_login(self, connection: str, name: str) -> str:
        with DatabaseManager(connection) as db:
            db.execute(f"CREATE LOGIN {name} WITH PASSWORD = '{_PASSWORD}'")
            db.execute(f"CREATE USER {name} FOR LOGIN {name}")
        return _with(connection, uid=name, pwd=_PASSWORD)

    def drop_login(self, connection: str, name: str) -> None:
        with DatabaseManager(connection, access=Access(lock_wait_s=30)) as db:
            db.execute(f"DROP USER {name}")
            db.execute(f"DROP LOGIN {name}")

    def let_load(self, name: str) -> str:
        return f"ALTER ROLE etl_loader ADD MEMBER {name}"

    def _execute(self, statement: str) -> None:
        connection = odbc.connect(self.server)
        try:
            connection.execute(statement)
        finally:
            connection.close()


def _value_of(connection: str, wanted: str) -> str:
    return next(value for name, value in parse(connection) if name.lower() == wanted)


def _with(connection: str, **changed: str) -> str:
    kept = [pair for pair in parse(connection) if pair[0].lower() not in changed]
    return joined([*changed.items(), *kept])


@dataclass(frozen=True)
class Postgres(Server):
    """A server that `variable` names, or one that the tests start."""

    variable: str

    @property
    def why_not(self) -> str:
        if self.variable in os.environ or binaries():
            return ""
        return f"{self.variable} is not set, and no PostgreSQL server is installed"

    def new_database(self) -> str:
        name = _new_name()
        self._execute(f"CREATE SCHEMA {name}")
        _drops.append(lambda: self._execute(f"DROP SCHEMA {name} CASCADE"))
        mark = "&" if "?" in self.server else "?"
        return f"{self.server}{mark}options=-csearch_path%3D{name}"

    def database_alone(self) -> str:
        name = _new_name()
        self._execute(f"CREATE DATABASE {name}")
        _drops.append(lambda: self._execute(f"DROP DATABASE {name} (FORCE)"))
        return urlunsplit(urlsplit(self.server)._replace(path=f"/{name}"))

    @property
    def server(self) -> str:
        """The connection string of the server itself."""
        return os.environ.get(self.variable) or own_server().url

    def address(self, connection: str) -> tuple[str, int]:
        found = urlsplit(connection)
        return found.hostname or "", found.port or 5432

    def through(self, connection: str, port: int) -> str:
        found = urlsplit(connection)
        user, _, _ = found.netloc.rpartition("@")
        changed = found._replace(
            netloc=f"{user}@127.0.0.1:{port}", query=f"{found.query}&sslmode=disable"
        )
        return urlunsplit(changed)

    def create_login(self, connection: str, name: str) -> str:
        found = urlsplit(connection)
        _, own, schema = connection.rpartition("%3D")
        self._execute(f"CREATE ROLE {name} LOGIN PASSWORD '{_PASSWORD}'")
        if own:
            self._execute(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
        place = found.netloc.rpartition("@")[2]
        return urlunsplit(found._replace(netloc=f"{name}:{_PASSWORD}@{place}"))

    def drop_login(self, connection: str, name: str) -> None:
        with psycopg.connect(connection, autocommit=True) as owner:
            owner.execute(f"DROP OWNED BY {name}".encode())
        self._execute(f"DROP ROLE {name}")

    def let_load(self, name: str) -> str:
        return f"GRANT etl_loader TO {name}"

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(statement.encode())


DUCKDB = Engine("DuckDB")
SQL_SERVER = SqlServer("SQL Server", "TEST_SQLSERVER_CONNECTION_STRING")
POSTGRESQL = Postgres("PostgreSQL", "TEST_POSTGRESQL_CONNECTION_STRING")
SERVERS = (POSTGRESQL, SQL_SERVER)
ENGINES = (DUCKDB, *SERVERS)
# It merges as DuckDB does, so only those tests run on it that show what publishing could spoil;
# `LAKEHOUSE=all` runs all of them.
LAKEHOUSE = Lakehouse("lakehouse")
_ON_A_LAKEHOUSE = {
    "test_days_in_any_order_end_like_one_full_refresh",
    "test_a_second_run_changes_nothing",
    "test_every_record_of_the_sample_is_accounted_for",
    "test_a_dry_run_tells_what_a_run_would_do_and_writes_nothing",
    "test_the_watermark_is_moved_by_plain_runs_only",
    "test_a_declared_load_keeps_versions_from_its_first_run_to_a_full_refresh",
    "test_after_any_nights_each_mart_is_what_a_plain_model_makes_of_the_tables",
    "test_declared_loads_are_staged_checked_counted_and_rejected",
    "test_a_full_refresh_over_emptied_files_removes_nothing",
    "test_a_plain_run_takes_up_the_days_of_a_killed_one",
}


def engines_of(test: str) -> tuple[Engine, ...]:
    """The engines on which a test of every engine runs."""
    wanted = test in _ON_A_LAKEHOUSE or os.environ.get("LAKEHOUSE") == "all"
    return (*ENGINES, LAKEHOUSE) if wanted else ENGINES


_drops: list[Callable[[], None]] = []
_servers: list[PostgresServer] = []
_current: list[Engine] = [DUCKDB]


@cache
def own_server() -> PostgresServer:
    """The server that the tests of this process have started."""
    server = PostgresServer()
    _servers.append(server)
    return server


def current() -> Engine:
    """The engine of the test that runs."""
    return _current[-1]


@contextmanager
def using(engine: Engine) -> Iterator[Engine]:
    """Makes projects use an engine."""
    if engine.why_not:
        pytest.skip(engine.why_not)
    _current.append(engine)
    try:
        yield engine
    finally:
        _current.pop()


@contextmanager
def dropping_databases() -> Iterator[None]:
    """Drops the databases that are made meanwhile: a catalog of many tables is slow to ask."""
    before = len(_drops)
    try:
        yield
    finally:
        while len(_drops) > before:
            with suppress(Exception):  # a process that was killed may still be on it
                _drops.pop()()


def stop_own_server() -> None:
    """Stops the server that the tests of this process have started."""
    while _servers:
        _servers.pop().close()
