"""The engines on which the behaviour suite runs: the embedded one, and servers that are named.

A server is named by an environment variable that holds its connection string, without a database:
each project gets a new one, and all of them are dropped at the end.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count

import pytest

import odbc_connections
from odbc_strings import joined, parse

_numbers = count(1)


@dataclass(frozen=True)
class Engine:
    """An engine; `variable` names the environment variable of its server, if it is one."""

    name: str
    variable: str = ""

    @property
    def is_server(self) -> bool:
        return bool(self.variable)

    @property
    def why_not(self) -> str:
        """Why tests on it are skipped; empty when they are not."""
        return f"{self.variable} is not set" if self.variable not in {"", *os.environ} else ""

    def new_database(self) -> str:
        """Makes an empty database, and returns its connection string."""
        name = f"etl_test_{os.getpid()}_{next(_numbers)}"
        _on_server(self, f"CREATE DATABASE {name}")
        _made.append((self, name))
        return joined((*self._pairs, ("Database", name)))

    @property
    def _pairs(self) -> tuple[tuple[str, str], ...]:
        pairs = parse(os.environ[self.variable])
        return tuple(pair for pair in pairs if pair[0].lower() != "database")

    @property
    def server(self) -> str:
        """The connection string of the server itself."""
        return joined((*self._pairs, ("Database", "master")))


DUCKDB = Engine("DuckDB")
SQL_SERVER = Engine("SQL Server", "TEST_SQLSERVER_CONNECTION_STRING")
ENGINES = (DUCKDB, SQL_SERVER)

_made: list[tuple[Engine, str]] = []
_current = [DUCKDB]


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
    """Drops the databases that were made."""
    while _made:
        engine, name = _made.pop()
        with suppress(Exception):  # a process that was killed may still be on it
            _on_server(engine, f"DROP DATABASE {name}")


def _on_server(engine: Engine, statement: str) -> None:
    connection = odbc_connections.connect(engine.server)
    try:
        connection.execute(statement)
    finally:
        connection.close()
