"""What is particular to SQL Server: its driver, and sales with its types and its collation.

All of it needs a server, named by TEST_SQLSERVER_CONNECTION_STRING; see also `test_servers.py`.
"""

import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from engines import DUCKDB, SQL_SERVER, Engine, using
from pipeline_runs import Project
from server_projects import project_in

from data_loading import load_customers, load_sales
from data_transformation import process_sales_transactions
from etl.engines import odbc
from etl.engines import sql_server as driver
from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.warehouse import loading
from etl.warehouse.tables import create_tables

pytestmark = pytest.mark.usefixtures("sql_server")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return project_in(tmp_path / "project")


# --- sales from a server -------------------------------------------------------------------

SHOP = """CREATE TABLE sales_transactions (transaction_id VARCHAR(20), customer_id NVARCHAR(20),
    product_id CHAR(8), quantity INT, unit_price DECIMAL(12, 2), discount_amount MONEY,
    transaction_date DATETIME2(7), sales_rep_id NVARCHAR(20), status NVARCHAR(20))"""

SOLD = [
    ("T1", "C1", "P1", 2, Decimal("9.99"), None, datetime(2024, 1, 20), "漢字", "completed"),
    ("T2", "C1", "P1", 1, Decimal("9.99"), Decimal("0.99"),
     datetime(2024, 1, 20, 23, 59, 59, 999999), None, "completed  "),
    ("T3", "C1", "P1", 1, Decimal("9.99"), None, datetime(2024, 1, 21), None, "completed"),
    ("T4", "C1", "P1", 1, Decimal("9.99"), None, datetime(2024, 1, 20, 8), None, "Completed"),
    ("T5", "C1", "P1", 1, Decimal("9.99"), None, datetime(2024, 1, 20, 8), None, "pending"),
    ("T6", "C1", "P1", 1, Decimal("9.99"), None,
     datetime(2024, 1, 19, 23, 59, 59, 999999), None, "completed"),
]  # fmt: skip


@pytest.mark.parametrize("chunk_rows", [1, 4, 1000])
def test_sales_are_read_from_a_server_to_the_last_instant_of_a_day(
    project: Project, sql_server: Engine, chunk_rows: int
) -> None:
    shop = sql_server.new_database()
    with DatabaseManager(shop) as db:
        db.execute(SHOP)
        db.execute_batch(f"INSERT INTO sales_transactions VALUES ({', '.join('?' * 9)})", SOLD)
    project.settings |= {"SALES_DB_CONNECTION_STRING": shop, "CHUNK_ROWS": str(chunk_rows)}
    assert project.run("--date", "2024-01-20")["exit_code"] == 0
    query = "SELECT transaction_id, total_amount, sales_rep_id, transaction_date FROM sales_fact"
    assert sorted(project.query(query)) == [
        ("T1", Decimal("19.98"), "漢字", SOLD[0][6]),
        ("T2", Decimal("9.00"), None, SOLD[1][6]),
        ("T4", Decimal("9.99"), None, SOLD[3][6]),
    ]
    project.run()
    assert project.query("SELECT count(*) FROM sales_fact") == [(5,)]


# --- what a driver or a trigger does unseen --------------------------------------------------


@pytest.mark.parametrize(
    ("sound", "cut", "named"),
    [
        ("DATETIME2(6)", "DATETIME2(0)", "23:59:59.999999"),
        ("DECIMAL(18, 6)", "DECIMAL(18, 2)", ".345678"),
        ("NVARCHAR(20)", "VARCHAR(20)", "漢字"),
    ],
)  # fmt: skip
def test_a_connection_that_changes_values_is_refused(
    sql_server: Engine, monkeypatch: pytest.MonkeyPatch, sound: str, cut: str, named: str
) -> None:
    monkeypatch.setattr(driver, "_PROBE", driver._PROBE.replace(sound, cut))
    with pytest.raises(LoadingError, match=r"changes values on their way: .*" + re.escape(named)):
        DatabaseManager(sql_server.new_database()).__enter__()


def trigger(name: str, body: str) -> str:
    return f"CREATE TRIGGER {name} ON customer_dim AFTER INSERT AS BEGIN {body} END"


def test_a_trigger_that_ends_the_transaction_is_named_and_nothing_is_loaded(
    project: Project,
) -> None:
    with DatabaseManager(project.connection_string) as db:
        load_customers([], db)
        db.execute(trigger("no_more", "ROLLBACK TRANSACTION"))
    summary = project.run()
    assert summary["exit_code"] == 3
    failed, products, _ = summary["sources"]
    assert "a trigger of customer_dim (no_more) has ended the transaction" in failed["error"]
    assert products["status"] == "loaded"
    assert project.query("SELECT count(*) FROM customer_dim WHERE is_inferred = 0") == [(0,)]


def test_a_trigger_that_selects_does_not_supply_the_count(project: Project) -> None:
    with DatabaseManager(project.connection_string) as db:
        load_customers([], db)
        db.execute(trigger("chatty", "SELECT 77 AS n, 78 AS m"))
        found = load_customers([{"customer_id": "C1"}, {"customer_id": "C2"}], db)
    assert (found["inserted"], found["failed"]) == (2, 0)


def test_without_merge_the_same_tables_come_out(tmp_path: Path) -> None:
    """Over a first load, a night with changed records, and a rerun."""
    made = {}
    for engine, upsert in ((DUCKDB, "merge"), (SQL_SERVER, "update-insert")):
        with using(engine):
            project = project_in(tmp_path / engine.name, BATCH_SIZE="60", SQL_SERVER_UPSERT=upsert)
        assert project.run()["exit_code"] == 0
        products = project.input / "products.json"
        products.write_text(re.sub(r'"cost": (\d)', r'"cost": 1\1', products.read_text("utf-8")))
        changed = project.run("--full-refresh")["tables"]
        again = project.run("--full-refresh")["tables"]
        assert changed["product_dim"]["rows_updated"] > 0
        assert changed["sales_fact"]["rows_restated"] > 0
        assert not any(c["rows_inserted"] + c["rows_updated"] for c in again.values())
        made[engine.name] = project.tables()
    assert made["SQL Server"] == made["DuckDB"]


def test_of_many_rows_each_arrives_once_also_those_that_are_left_over(sql_server: Engine) -> None:
    keys = [f"C{n}" for n in range(1002)]  # four with an INSERT, and two besides
    with DatabaseManager(sql_server.new_database()) as db:
        found = load_customers([{"customer_id": key, "name": f"N {key}"} for key in keys], db)
        rows = db.query("SELECT customer_id, name FROM customer_dim")
    assert found["inserted"] == len(keys)
    assert sorted(rows) == sorted((key, f"N {key}") for key in keys)


# --- an empty table --------------------------------------------------------------------------


@pytest.fixture
def filled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few rows that the sample's are filled in at once."""
    monkeypatch.setattr(loading, "_FILLED_AT_ONCE", range(2, 10_000))


@pytest.mark.usefixtures("filled_at_once")
def test_an_empty_table_is_filled_at_once_and_one_with_rows_in_batches(tmp_path: Path) -> None:
    made = {}
    for engine in (DUCKDB, SQL_SERVER):
        with using(engine):
            project = project_in(tmp_path / engine.name, BATCH_SIZE="60")
        first = project.run()["tables"]
        filled = project.tables()
        products = project.input / "products.json"
        products.write_text(re.sub(r'"cost": (\d)', r'"cost": 1\1', products.read_text("utf-8")))
        changed = project.run()["tables"]
        assert changed["product_dim"]["rows_updated"] > 0
        assert changed["sales_fact"]["rows_restated"] > 0
        made[engine.name] = filled, project.tables()
    assert made["SQL Server"] == made["DuckDB"]
    assert {name: counts["batches"] for name, counts in first.items()} == dict.fromkeys(first, 1)
    assert changed["product_dim"]["batches"] == 3  # the last one closes the load


@pytest.mark.usefixtures("filled_at_once")
def test_an_empty_table_that_refuses_a_row_is_filled_in_batches(sql_server: Engine) -> None:
    with DatabaseManager(sql_server.new_database()) as db:
        load_customers([], db)
        db.execute("ALTER TABLE customer_dim ADD CONSTRAINT no_c3 CHECK (customer_id <> 'C3')")
        found = load_customers([{"customer_id": f"C{n}"} for n in range(6)], db, batch_size=2)
        (batches,) = db.query("SELECT batches FROM etl_load WHERE rows_read > 0")[0]
        loaded = db.query("SELECT customer_id FROM customer_dim ORDER BY customer_id")
    assert (found["inserted"], found["failed"]) == (5, 1)
    assert [key for (key,) in loaded] == ["C0", "C1", "C2", "C4", "C5"]
    assert batches > 3


def test_tables_in_another_schema_are_named_and_no_second_set_is_made(sql_server: Engine) -> None:
    with DatabaseManager(sql_server.new_database()) as db:
        db.execute("CREATE SCHEMA elsewhere")
        db.execute("CREATE TABLE elsewhere.etl_run (run_id VARCHAR(30))")
        with pytest.raises(LoadingError, match="in schema dbo, and there are some in elsewhere"):
            load_customers([{"customer_id": "C1"}], db)
        assert "customer_dim" not in db.table_names()
        db.execute("DROP TABLE elsewhere.etl_run")
        create_tables(db)
        db.execute("CREATE TABLE elsewhere.etl_run (run_id VARCHAR(30))")
        assert load_customers([{"customer_id": "C1"}], db)["inserted"] == 1  # it has its own


def test_a_session_has_what_filtered_indexes_and_indexed_views_need(sql_server: Engine) -> None:
    """SQL Server's error 1934, whatever a connection string asks for."""
    wanted = {
        "QUOTED_IDENTIFIER": 1, "ANSI_NULLS": 1, "ANSI_PADDING": 1, "ANSI_WARNINGS": 1,
        "ARITHABORT": 1, "CONCAT_NULL_YIELDS_NULL": 1, "NUMERIC_ROUNDABORT": 0,
    }  # fmt: skip
    asked = ", ".join(f"CAST(SESSIONPROPERTY('{name}') AS INT)" for name in wanted)
    connection = f"{sql_server.new_database()};QuotedId=No;AnsiNPW=No"
    with DatabaseManager(connection) as db:
        assert db.query(f"SELECT {asked}") == [tuple(wanted.values())]


def test_keys_that_differ_in_case_alone_are_apart_in_every_table(sql_server: Engine) -> None:
    """Those of customers, products and sales, in placeholders, references and statuses too."""
    keys = [("T1", "c1", "p1"), ("t1", "C1", "P1"), ("T2", "c1", "P1")]
    sales = [
        {"transaction_id": sale, "customer_id": customer, "product_id": product, "quantity": 1,
         "unit_price": 9, "transaction_date": datetime(2024, 1, 20, number)}
        for number, (sale, customer, product) in enumerate(keys)
    ]  # fmt: skip
    rows = process_sales_transactions(sales, [], [])
    with DatabaseManager(sql_server.new_database()) as db:
        assert load_sales(rows, db)["inserted"] == 3
        assert load_sales(rows, db)["unchanged"] == 3
        query = "SELECT transaction_id, customer_id, product_id, customer_status FROM sales_fact"
        assert sorted(db.query(query)) == [
            ("T1", "c1", "p1", "First-time"), ("T2", "c1", "P1", "Repeat"),
            ("t1", "C1", "P1", "First-time"),
        ]  # fmt: skip
        assert load_customers([{"customer_id": "c1", "name": "Ann"}], db)["updated"] == 1
        names = "SELECT customer_id, name FROM customer_dim"
        assert sorted(db.query(names)) == [("C1", None), ("c1", "Ann")]
        assert db.value("SELECT count(*) FROM product_dim") == 2


def test_the_driver_is_one_of_microsofts(sql_server: Engine) -> None:
    connection = odbc.connect(sql_server.new_database())
    assert "msodbcsql" in odbc.driver_in_use(connection).lower()
    connection.close()
    assert SQL_SERVER.is_server
