"""The page on change feeds: its examples run, on the databases it names."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import engines
import psycopg
import pyodbc
import pytest
from feed_projects import example, load, loaded, project_of

Run = Callable[[str], None]
ORDERS = (
    "CREATE TABLE orders (order_id INTEGER PRIMARY KEY, total NUMERIC(12,2), placed_at TIMESTAMP)"
)


def test_events_in_files_as_the_page_shows_them(tmp_path: Path) -> None:
    project = project_of(tmp_path, example("example").replace(".gz", "*"))
    (project.input / "orders-1.jsonl").write_text(example("example-events"), encoding="utf-8")
    found = load(project)
    assert ", ".join(f"{n} {count}" for n, count in found.items()) in example("example-result")
    assert loaded(project) == [(1, Decimal("21.00"), datetime(2024, 1, 15, 10, 30))]


def _sqlite(folder: Path) -> Iterator[tuple[str, Run]]:
    if "SQLite3" not in pyodbc.drivers():
        pytest.skip("no ODBC driver for SQLite")
    path = folder / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        yield f"Driver=SQLite3;Database={path}", lambda sql: _all(connection, sql)


def _all(connection: sqlite3.Connection, sql: str) -> None:
    connection.executescript(sql)


def _duckdb(folder: Path) -> Iterator[tuple[str, Run]]:
    path = folder / "shop.duckdb"

    def run(sql: str) -> None:
        with duckdb.connect(str(path)) as connection:
            connection.execute(sql)
            if "INSERT INTO etl_change" not in sql and "etl_change" in _tables(connection):
                connection.execute(example("change-table-comparing"))

    yield f"duckdb:///{path}", run


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [
        name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    ]


def _postgresql(_folder: Path) -> Iterator[tuple[str, Run]]:
    if engines.POSTGRESQL.why_not:
        pytest.skip(engines.POSTGRESQL.why_not)
    url = engines.POSTGRESQL.new_database()
    with closing(psycopg.connect(url, autocommit=True)) as connection:

        def run(sql: str) -> None:
            connection.execute(sql.encode())

        yield url, run


SHOPS = {"postgresql": _postgresql, "sqlite": _sqlite, "duckdb": _duckdb}


@pytest.mark.parametrize("engine", SHOPS)
def test_a_table_of_changes_as_the_page_shows_it(tmp_path: Path, engine: str) -> None:
    shop = SHOPS[engine](tmp_path)
    url, run = next(shop)
    run(f"{ORDERS}; INSERT INTO orders VALUES (1, 1.5, '2024-01-15 10:30:00'), (2, 2, NULL)")
    run(example(f"change-table-{engine}"))
    project = project_of(tmp_path, example("change-table"), SHOP=url)
    assert load(project) == {"read": 3, "inserted": 2, "removals": 1}
    one = (1, Decimal("1.50"), datetime(2024, 1, 15, 10, 30))
    assert loaded(project) == [one, (2, Decimal("2.00"), None)]
    assert load(project) == {}

    run("UPDATE orders SET total = 3.25 WHERE order_id = 2; INSERT INTO orders VALUES (4, 4, NULL)")
    run("UPDATE orders SET order_id = 5 WHERE order_id = 4; DELETE FROM orders WHERE order_id = 1")
    found = load(project)
    assert found["inserted"] == found["updated"] == found["removed"] == 1
    assert loaded(project) == [(2, Decimal("3.25"), None), (5, Decimal("4.00"), None)]
    assert load(project) == {}
    next(shop, None)


def test_a_change_that_commits_late_is_not_missed(tmp_path: Path) -> None:
    shop = _postgresql(tmp_path)
    url, run = next(shop)
    run(ORDERS)
    run(example("change-table-postgresql"))
    project = project_of(tmp_path, example("change-table"), SHOP=url)
    load(project)
    with psycopg.connect(url) as late:
        late.execute("INSERT INTO orders VALUES (1)")
        run("INSERT INTO orders VALUES (2)")
        assert load(project) == {}  # the first one could still come before it
        late.commit()
    assert load(project) == {"read": 2, "inserted": 2}
    run("TRUNCATE orders")
    assert load(project, "--accept", "orders.removed_rows")["removed"] == 2
    next(shop, None)


def test_unreadable_changes_are_rejected_one_by_one(tmp_path: Path) -> None:
    shop = _duckdb(tmp_path)
    url, run = next(shop)
    run(ORDERS)
    run(example("change-table-duckdb"))
    project = project_of(tmp_path, example("change-table") + LIMIT, SHOP=url)
    load(project)
    run("""INSERT INTO etl_change (table_name, operation, old_row, new_row) VALUES
        ('orders', 'x', NULL, NULL), ('orders', 'c', NULL, '{'), ('orders', 'c', NULL, '[1]'),
        ('orders', 'u', NULL, NULL), ('orders', 'd', '{"total": 1}', NULL),
        ('other', 'x', NULL, NULL), ('orders', 'c', NULL, '{"order_id": 1, "total": 1e0}')""")
    assert load(project) == {"read": 6, "inserted": 1, "rejected": 5}
    reasons = [record["reason"] for record in project.rejected("orders")]
    assert reasons[0] == "operation 'x' is none of c, u, d, t"
    assert reasons[1].startswith("new_row is no JSON: ")
    assert reasons[2] == "new_row must be an object"
    assert reasons[3] == "operation 'u' without new_row"
    assert reasons[4].startswith("a removal without order_id of what was removed; old_row must")


LIMIT = "guards = { max_reject_rate = 1 }\n"
