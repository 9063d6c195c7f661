"""The engines on which the behaviour suite runs: the embedded one, and servers.

A server is named by an environment variable that holds its connection string. PostgreSQL needs no
name where it is installed: then the tests start a server of their own. Each project gets a
database of its own, on PostgreSQL a schema; all of them are dropped at the end.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import count

import psycopg
import pytest
from postgres_server import PostgresServer, binaries

import odbc_connections
from odbc_strings import joined, parse

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
class SqlServer(Engine):
    """A server that `variable` names."""

    variable: str

    is_server = True

    @property
    def why_not(self) -> str:
        return "" if self.variable in os.environ else f"{self.variable} is not set"

    def new_database(self) -> str:
        name = _new_name()
        self._execute(f"CREATE DATABASE {name}")
        _undo.append(lambda: self._execute(f"DROP DATABASE {name}"))
        return joined((*self._pairs, ("Database", name)))

    @property
    def _pairs(self) -> tuple[tuple[str, str], ...]:
        pairs = parse(os.environ[self.variable])
        return tuple(pair for pair in pairs if pair[0].lower() != "database")

    @property
    def server(self) -> str:
        """The connection string of the server itself."""
        return joined((*self._pairs, ("Database", "master")))

    def _execute(self, statement: str) -> None:
        connection = odbc_connections.connect(self.server)
        try:
            connection.execute(statement)
        finally:
            connection.close()


@dataclass(frozen=True)
class Postgres(Engine):
    """A server that `variable` names, or one that the tests start."""

    variable: str

    is_server = True

    @property
    def why_not(self) -> str:
        if self.variable in os.environ or binaries():
            return ""
        return f"{self.variable} is not set, and no PostgreSQL server is installed"

    def new_database(self) -> str:
        name = _new_name()
        self._execute(f"CREATE SCHEMA {name}")
        _undo.append(lambda: self._execute(f"DROP SCHEMA {name} CASCADE"))
        mark = "&" if "?" in self.server else "?"
        return f"{self.server}{mark}options=-csearch_path%3D{name}"

    @property
    def server(self) -> str:
        """The connection string of the server itself."""
        return os.environ.get(self.variable) or own_server().url

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(statement.encode())


DUCKDB = Engine("DuckDB")
SQL_SERVER = SqlServer("SQL Server", "TEST_SQLSERVER_CONNECTION_STRING")
POSTGRESQL = Postgres("PostgreSQL", "TEST_POSTGRESQL_CONNECTION_STRING")
ENGINES = (DUCKDB, POSTGRESQL, SQL_SERVER)

_undo: list[Callable[[], None]] = []
_current: list[Engine] = [DUCKDB]


@cache
def own_server() -> PostgresServer:
    """The server that the tests of this process have started."""
    server = PostgresServer()
    _undo.insert(0, server.close)
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


def drop_databases() -> None:
    """Drops the databases that were made, and stops the server that was started."""
    while _undo:
        with suppress(Exception):  # a process that was killed may still be on it
            _undo.pop()()
