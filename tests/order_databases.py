"""The same table of orders in each kind of database that can be read."""

import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from bson import Decimal128
from database_servers import mariadb_server, mongodb_server
from engines import POSTGRESQL, using

from etl.engines.odbc import installed_drivers

# id, note, total, changed
Order = tuple[int, str | None, Decimal | None, datetime]

_TABLE = "CREATE TABLE {name} (id INTEGER, note VARCHAR(40), total DECIMAL(12, 2), changed {time})"
_INSERT = "INSERT INTO {name} VALUES ({mark}, {mark}, {mark}, {mark})"


@dataclass(frozen=True)
class Shop:
    """A database with orders.

    Attributes:
        kind: of the database.
        connection: its connection string.
        port: of the server; 0 for a file.
        run: executes a statement, once per row of parameters.
        through: the connection string by way of another port.
    """

    kind: str
    connection: str
    run: Callable[[str, Sequence[Sequence[Any]]], None]
    port: int = 0
    through: Callable[[int], str] = lambda port: ""
    mark: str = "?"
    time: str = "TIMESTAMP"
    plain: Callable[[Any], Any] = lambda value: value

    def make(self, orders: Sequence[Order] = (), name: str = "orders") -> None:
        """Makes the table, with some orders."""
        if self.kind != "mongodb":
            self.run(_TABLE.format(name=name, time=self.time), ())
        self.add(orders, name)

    def add(self, orders: Sequence[Order], name: str = "orders") -> None:
        """Adds orders."""
        rows = [[self.plain(value) for value in order] for order in orders]
        if rows:
            self.run(_INSERT.format(name=name, mark=self.mark), rows)


def _sqlite(folder: Path) -> Shop:
    path = folder / "shop.db"

    def run(sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executemany(sql, rows or [()])

    def plain(value: Any) -> Any:
        if isinstance(value, Decimal):
            return float(value)
        return value.isoformat(" ") if isinstance(value, datetime) else value

    return Shop("sqlite", f"sqlite:///{path}", run, plain=plain)


def _odbc(folder: Path) -> Shop:
    if "SQLite3" not in installed_drivers():
        pytest.skip("there is no ODBC driver for SQLite (Debian: apt install libsqliteodbc)")
    shop = _sqlite(folder)
    path = shop.connection.removeprefix("sqlite:///")
    return Shop("odbc", f"Driver=SQLite3;Database={path}", shop.run, plain=shop.plain)


def _duckdb(folder: Path) -> Shop:
    path = folder / "shop.duckdb"

    def run(sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with duckdb.connect(str(path)) as connection:
            for row in rows or [()]:
                connection.execute(sql, row)

    return Shop("duckdb", f"duckdb:///{path}", run)


def _postgresql(_folder: Path) -> Shop:
    with using(POSTGRESQL):
        url = POSTGRESQL.new_database()
    port = int(url.rpartition("@")[2].partition("/")[0].rpartition(":")[2])

    def run(sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
            if rows:
                cursor.executemany(sql.encode(), rows)
            else:
                cursor.execute(sql.encode())

    def through(other: int) -> str:
        return url.replace(f":{port}/", f":{other}/")

    return Shop("postgresql", url, run, port, through, mark="%s")


def _mariadb(_folder: Path) -> Shop:
    server = mariadb_server()
    name = server.new_database()

    def run(sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            server.execute_many(sql, rows, name)
        else:
            server.execute(sql, database=name)

    return Shop(
        "mariadb", server.url(name), run, server.port, lambda port: server.url(name, port),
        mark="%s", time="DATETIME(6)",
    )  # fmt: skip


def _mongodb(_folder: Path) -> Shop:
    server = mongodb_server()
    name = server.new_database()

    def run(sql: str, rows: Sequence[Sequence[Any]]) -> None:
        table = sql.split()[2]
        named = re.search(r"\((.*?)\) VALUES", sql)
        columns = named[1].split(", ") if named else ("id", "note", "total", "changed")
        documents = [dict(zip(columns, row, strict=True)) for row in rows]
        server.client[name][table].insert_many(documents)

    def plain(value: Any) -> Any:
        if isinstance(value, Decimal):
            return Decimal128(value)
        return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value

    return Shop(
        "mongodb", server.url(name), run, server.port, lambda port: server.url(name, port),
        plain=plain,
    )  # fmt: skip


SHOPS: dict[str, Callable[[Path], Shop]] = {
    "postgresql": _postgresql, "mariadb": _mariadb, "sqlite": _sqlite, "duckdb": _duckdb,
    "mongodb": _mongodb, "odbc": _odbc,
}  # fmt: skip
SERVERS = ("postgresql", "mariadb", "mongodb")
