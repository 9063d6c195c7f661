"""Indexes and keys of an empty table are made once it is filled, and are there whatever happens."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from engines import Postgres

from data_loading import load_sales
from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.warehouse import filling
from etl.warehouse.tables import create_tables

SHAPE = """SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = 'sales_fact'::regclass AND contype <> 'n'
UNION ALL SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = 'sales_fact'::regclass ORDER BY 1, 2"""
ROWS = 30


def sales(first: int, count: int = ROWS) -> list[dict[str, Any]]:
    return [
        {
            "transaction_id": f"T{n}", "customer_id": f"C{n % 7}", "product_id": "P1",
            "quantity": 1, "unit_price": Decimal(5), "discount_amount": Decimal(0),
            "total_amount": Decimal(5), "commission": Decimal("0.15"), "value_tier": "Low Value",
            "transaction_date": datetime(2024, 1, 20),
        }
        for n in range(first, first + count)
    ]  # fmt: skip


@pytest.fixture
def connection(postgresql: Postgres) -> str:
    """An empty warehouse, with an index of somebody else's besides."""
    connection = postgresql.new_database()
    with DatabaseManager(connection) as db:
        create_tables(db)
        db.execute("CREATE INDEX by_rep ON sales_fact (sales_rep_id DESC) WHERE quantity > 3")
    return connection


@pytest.fixture
def db(connection: str) -> Iterator[DatabaseManager]:
    with DatabaseManager(connection) as manager:
        yield manager


@pytest.fixture(autouse=True)
def few_rows_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "LEAST_ROWS", ROWS)


def made_after(caplog: pytest.LogCaptureFixture) -> bool:
    found = "made after filling it" in caplog.text
    caplog.clear()
    return found


@pytest.fixture(autouse=True)
def all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def test_all_of_them_are_there_again_and_hold(
    db: DatabaseManager, caplog: pytest.LogCaptureFixture
) -> None:
    before = db.query(SHAPE)
    assert {name for name, _ in before} >= {"by_rep", "pk_sales_fact", "fk_sales_fact_customer_id"}
    assert load_sales(sales(0), db)["inserted"] == ROWS
    assert made_after(caplog)
    assert db.query(SHAPE) == before
    with pytest.raises(LoadingError, match="fk_sales_fact_customer_id"):
        db.execute("UPDATE sales_fact SET customer_id = 'nobody'")


def test_a_table_that_holds_rows_keeps_them(
    db: DatabaseManager, caplog: pytest.LogCaptureFixture
) -> None:
    load_sales(sales(0, 1), db)
    load_sales(sales(1), db)
    assert not made_after(caplog)


def test_few_rows_are_not_worth_it(db: DatabaseManager, caplog: pytest.LogCaptureFixture) -> None:
    load_sales(sales(0, ROWS - 1), db)
    assert not made_after(caplog)


def test_whoever_reads_the_table_is_not_waited_for(
    connection: str, db: DatabaseManager, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(connection) as reader:
        reader.execute("SELECT count(*) FROM sales_fact")
        assert load_sales(sales(0), db)["inserted"] == ROWS
        assert not made_after(caplog)


def test_a_connection_that_ends_in_the_middle_leaves_the_table_as_it_was(
    connection: str, postgresql: Postgres
) -> None:
    """A trigger ends the server's process at the 20th row, with all indexes and keys taken down."""
    with psycopg.connect(connection) as owner:
        before = owner.execute(SHAPE.encode()).fetchall()
        owner.execute("""CREATE FUNCTION die() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT count(*) FROM pg_index WHERE indrelid = 'sales_fact'::regclass) = 0
                AND NEW.transaction_id = 'T20' THEN
            PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$;
            CREATE TRIGGER die BEFORE INSERT ON sales_fact FOR EACH ROW EXECUTE FUNCTION die();""")
    with DatabaseManager(connection, sleep=lambda _: None) as db, pytest.raises(LoadingError):
        load_sales(sales(0), db)
    with psycopg.connect(connection) as owner:
        assert owner.execute(SHAPE.encode()).fetchall() == before
        assert owner.execute("SELECT count(*) FROM sales_fact").fetchall() == [(0,)]
        owner.execute("DROP TRIGGER die ON sales_fact")
    with DatabaseManager(connection) as db:
        assert load_sales(sales(0), db)["inserted"] == ROWS
        assert db.query(SHAPE) == before


def test_a_login_that_does_not_own_the_table_loads_it_all_the_same(
    connection: str, postgresql: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    login = postgresql.create_login(connection, "fills_only")
    with DatabaseManager(connection) as db:
        db.execute("GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA "
                   f"{connection.rpartition('%3D')[2]} TO fills_only")  # fmt: skip
    try:
        with DatabaseManager(login) as db:
            assert load_sales(sales(0), db)["inserted"] == ROWS
        assert not made_after(caplog)
    finally:
        postgresql.drop_login(connection, "fills_only")
