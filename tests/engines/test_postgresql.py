"""What is particular to PostgreSQL: crashes of the server, COPY, its types, what it refuses.

All of it needs a server: one that TEST_POSTGRESQL_CONNECTION_STRING names, or the installed
binaries, from which the tests start one of their own; see also `test_servers.py`.
"""

import os
import re
import shutil
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pytest
from engines import DUCKDB, Postgres, using
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipeline_runs import Project, ended, linger, linger_until, start
from postgres_server import PostgresServer, binaries
from server_projects import Tables, assert_balanced, project_in, staged_rows

from etl.engines import postgresql_client
from etl.engines.database import DatabaseManager
from etl.engines.ddl import create_temporary, temporary_table
from etl.engines.engine import Access
from etl.engines.postgresql_dialect import POSTGRESQL
from etl.engines.postgresql_reader import amount_of
from etl.errors import LoadingError
from etl.monitoring.health.report import pipeline_health_check
from etl.quality.rule_sql import set_rule_count
from etl.quality.rules import set_rules
from etl.resilience.transient import is_transient
from etl.schema.arrow import arrow_schema
from etl.schema.table import Column, Kind, Table
from etl.warehouse.tables import create_tables, schema_script

pytestmark = pytest.mark.usefixtures("postgresql")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "postgresql.md"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return project_in(tmp_path / "project")


@pytest.fixture
def database(postgresql: Postgres) -> str:
    return postgresql.new_database()


@pytest.fixture
def db(database: str) -> Iterator[DatabaseManager]:
    with DatabaseManager(database) as manager:
        yield manager


# --- one run after the other ---------------------------------------------------------------


def test_a_run_can_begin_as_soon_as_the_one_before_has_ended(database: str) -> None:
    temporary = "".join(f"CREATE TEMPORARY TABLE own_{n} (text TEXT);" for n in range(400))
    with DatabaseManager(database) as db:
        db.execute(temporary)  # which the server drops once we have gone
    with DatabaseManager(database) as db:
        assert db.value("SELECT 1") == 1


def test_a_run_and_its_alerts_connect_once_each(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Mock(wraps=postgresql_client.connect)
    monkeypatch.setattr("etl.engines.postgresql.connect", connect)
    assert project.run()["exit_code"] == 0
    assert connect.call_count <= 2


# --- what statements cost ------------------------------------------------------------------


def test_the_margin_of_a_sale_is_computed_once(db: DatabaseManager) -> None:
    create_tables(db)
    (rule,) = [rule for rule in set_rules(POSTGRESQL) if rule.name == "profit"]
    plan = "".join(line for (line,) in db.query(f"EXPLAIN (VERBOSE) {set_rule_count(rule)}"))
    assert plan.count("div(") == 1


# --- a server that crashes -----------------------------------------------------------------


@pytest.fixture(scope="module")
def mortal() -> Iterator[PostgresServer]:
    """A server of its own that keeps what it has committed when it is killed."""
    if not binaries():
        pytest.skip("no PostgreSQL server is installed")
    with PostgresServer(durable=True) as server:
        yield server


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    with using(DUCKDB):
        project = project_in(tmp_path_factory.mktemp("expected"))
        assert project.run()["exit_code"] == 0
        return project.tables()


@pytest.mark.parametrize(("seconds", "retries"), [(0.0, "30"), (0.1, "0"), (0.2, "30")])
def test_a_server_that_is_killed_costs_one_run_at_most(
    mortal: PostgresServer, tmp_path: Path, expected: Tables, seconds: float, retries: str
) -> None:
    schema = f"killed_{retries}_{int(seconds * 100)}"
    mortal.execute(f"CREATE SCHEMA {schema}")
    with using(DUCKDB):
        project = project_in(
            tmp_path, MAX_RETRIES=retries, LOCK_WAIT_SECONDS="30",
            DB_CONNECTION_STRING=f"{mortal.url}?options=-csearch_path%3D{schema}",
        )  # fmt: skip
        project.settings["RETRY_BACKOFF_FACTOR"] = "1.2"
        process = start(project)
        log = project.logs / "etl_pipeline.log"
        linger_until(process, lambda: log.exists() and log.stat().st_size > 0)
        linger(process, seconds)
        mortal.kill()
        mortal.start()
        assert ended(process).returncode in (0, 1, 3)
        assert project.run()["exit_code"] == 0
        assert project.tables() == expected
        assert_balanced(project)
        assert staged_rows(project) == 0
        assert not project.query("SELECT * FROM etl_run WHERE status = 'running'")


# --- another writer ------------------------------------------------------------------------


def test_a_load_that_deadlocks_with_another_writer_is_done_again(
    project: Project, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project.run()
    customers = project.input / "customers.csv"
    text = customers.read_text("utf-8-sig").replace("@example.", "@changed.")
    customers.write_text(text, encoding="utf-8")
    project.settings["DB_CONNECTION_STRING"] += "%20-cdeadlock_timeout%3D50ms"  # it is the victim
    with DatabaseManager(project.connection_string, access=Access(read_only=True)) as other:
        other.execute("SET deadlock_timeout = '60s'")
        holding = threading.Event()
        thread = threading.Thread(target=get_in_the_way, args=(other, holding))
        thread.start()
        assert holding.wait(20)
        assert project.run("--full-refresh")["exit_code"] == 0
        thread.join(60)
    assert "deadlock detected" in caplog.text
    assert project.tables() == tables_of(customers, tmp_path / "embedded")
    assert_balanced(project)


def get_in_the_way(other: DatabaseManager, holding: threading.Event) -> None:
    """Holds one customer until the load waits for it, then wants all of them."""
    with other.transaction():
        other.execute("UPDATE customer_dim SET phone = 'x' WHERE customer_id = 'C077'")
        holding.set()
        while not other.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            time.sleep(0.01)  # until the server has got so far
        other.execute("UPDATE customer_dim SET phone = 'x' WHERE NOT is_inferred")


def tables_of(customers: Path, folder: Path) -> Tables:
    """What the embedded engine makes of the sample with other customers."""
    with using(DUCKDB):
        project = project_in(folder)
        shutil.copy(customers, project.input)
        assert project.run()["exit_code"] == 0
        return project.tables()


# --- values --------------------------------------------------------------------------------

EVERY_KIND = Table(
    "every_kind", "one column of each kind", (),
    columns=(
        Column("a_text", "", Kind.TEXT, width=50),
        Column("an_integer", "", Kind.INTEGER),
        Column("a_bigint", "", Kind.BIGINT),
        Column("a_decimal", "", Kind.DECIMAL, precision=22, scale=2),
        Column("a_small_decimal", "", Kind.DECIMAL, precision=9, scale=4),
        Column("a_flag", "", Kind.BOOLEAN),
        Column("a_day", "", Kind.DATE),
        Column("a_moment", "", Kind.TIMESTAMP),
    ),
)  # fmt: skip
SENDABLE = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
ROWS = st.fixed_dictionaries({
    "a_text": st.none() | st.text(SENDABLE, max_size=25) | st.sampled_from(
        ["", "\\.", "\n\\.\n", "\\N", "NULL", '"', '""', ",", "\r\n", "\r", " ", "\t"]),
    "an_integer": st.none() | st.integers(-(2**31), 2**31 - 1),
    "a_bigint": st.none() | st.integers(-(2**63), 2**63 - 1),
    "a_decimal": st.none() | st.decimals(-(10**20) + 1, 10**20 - 1, places=2),
    "a_small_decimal": st.none() | st.decimals(Decimal(-99999), Decimal(99999), places=4),
    "a_flag": st.none() | st.booleans(),
    "a_day": st.none() | st.dates(),
    "a_moment": st.none() | st.datetimes(),
})  # fmt: skip


@settings(
    max_examples=60, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # one connection for all
)  # fmt: skip
@given(rows=st.lists(ROWS, min_size=1, max_size=5))
def test_what_is_copied_in_comes_out_as_it_was(
    db: DatabaseManager, rows: list[dict[str, Any]]
) -> None:
    table = temporary_table(POSTGRESQL, EVERY_KIND)
    db.execute(f"DROP TABLE IF EXISTS {table.name}")
    db.execute(create_temporary(POSTGRESQL, table))
    schema = arrow_schema(table.columns)
    db.append(table, pa.RecordBatch.from_pylist(rows, schema=schema))
    found = db.query(f"SELECT * FROM {table.name}")
    assert found == [tuple(row[c.name] for c in table.columns) for row in rows]
    (block,) = db.blocks(f"SELECT * FROM {table.name}", schema, 100)
    assert block.to_pylist() == rows


def test_a_question_mark_in_a_text_or_a_name_is_no_parameter(db: DatabaseManager) -> None:
    assert db.query("SELECT 'a?' AS \"b?\", ?::text -- c?\n", ("d?%s",)) == [("a?", "d?%s")]


# --- sales ---------------------------------------------------------------------------------

SHOP = """CREATE TABLE sales_transactions (transaction_id VARCHAR(20), customer_id TEXT,
    product_id CHAR(8), quantity INT, unit_price NUMERIC(12, 2), discount_amount NUMERIC,
    transaction_date TIMESTAMP, sales_rep_id TEXT, status CHAR(12))"""
SOLD = [
    ("T1", "C1", "P1", 2, Decimal("9.99"), None, datetime(2024, 1, 20), "漢字", "completed"),
    ("T2", "C1", "P1", 1, Decimal("9.99"), Decimal("0.990"),
     datetime(2024, 1, 20, 23, 59, 59, 999999), None, "completed"),
    ("T3", "C1", "P1", 1, Decimal("9.99"), None, datetime(2024, 1, 21), None, "completed"),
    ("T4", "C1", "P1", 1, Decimal("9.99"), None, datetime(2024, 1, 20, 8), None, "pending"),
]  # fmt: skip


@pytest.mark.parametrize("chunk_rows", [1, 1000])
def test_sales_are_read_to_the_last_instant_of_a_day(
    project: Project, database: str, chunk_rows: int
) -> None:
    with DatabaseManager(database) as db:
        db.execute(SHOP)
        db.execute_batch(f"INSERT INTO sales_transactions VALUES ({', '.join('?' * 9)})", SOLD)
    project.settings |= {"SALES_DB_CONNECTION_STRING": database, "CHUNK_ROWS": str(chunk_rows)}
    assert project.run("--date", "2024-01-20")["exit_code"] == 0
    query = "SELECT transaction_id, total_amount, sales_rep_id FROM sales_fact ORDER BY 1"
    assert project.query(query) == [
        ("T1", Decimal("19.98"), "漢字"), ("T2", Decimal("9.00"), None)
    ]  # fmt: skip
    project.run()
    assert project.query("SELECT count(*) FROM sales_fact") == [(3,)]


def test_times_with_an_offset_are_read_in_one_zone(project: Project, database: str) -> None:
    late = datetime(2024, 1, 20, 23, 30, tzinfo=timezone(timedelta(hours=-8)))
    with DatabaseManager(database) as db:
        db.execute(SHOP.replace("TIMESTAMP", "TIMESTAMPTZ"))
        sold = [(*row[:6], late, *row[7:]) for row in SOLD]
        db.execute_batch(f"INSERT INTO sales_transactions VALUES ({', '.join('?' * 9)})", sold)
    project.settings["SALES_DB_CONNECTION_STRING"] = database
    assert project.run()["exit_code"] == 0
    found = project.query("SELECT DISTINCT transaction_date FROM sales_fact")
    assert found == [(datetime(2024, 1, 21, 7, 30),)]


def test_amounts_of_type_money_are_read_exactly(project: Project, database: str) -> None:
    with DatabaseManager(database) as db:
        db.execute(re.sub(r"NUMERIC(\(12, 2\))?", "MONEY", SHOP))
        sold = [(*row[:4], Decimal("1299.50"), *row[5:]) for row in SOLD]
        db.execute_batch(f"INSERT INTO sales_transactions VALUES ({', '.join('?' * 9)})", sold)
    project.settings |= {"SALES_DB_CONNECTION_STRING": database, "CHUNK_ROWS": "2"}
    assert project.run()["exit_code"] == 0
    found = project.query("SELECT unit_price, discount_amount FROM sales_fact ORDER BY 1, 2")
    price = Decimal("1299.50")
    assert found == [(price, Decimal(0)), (price, Decimal(0)), (price, Decimal("0.99"))]


@pytest.mark.parametrize(
    ("text", "digits", "amount"),
    [
        ("$92,233,720,368,547,758.07", 2, "92233720368547758.07"),
        ("-1.299,50 \u20ac", 2, "-1299.50"), ("\u00a51,299", 0, "1299"), ("KD 1.299", 3, "1.299"),
        ("($0.05)", 2, "-0.05"), ("\u2212 5 kr", 0, "-5"),
    ],
)  # fmt: skip
def test_an_amount_of_any_locale_is_read(text: str, digits: int, amount: str) -> None:
    assert amount_of(text, digits) == Decimal(amount)


def test_a_sales_database_that_is_not_as_it_should_be_is_reported(
    project: Project, database: str
) -> None:
    project.settings["SALES_DB_CONNECTION_STRING"] = database
    summary = project.run()
    assert summary["exit_code"] == 3
    assert "sales_transactions" in summary["sources"][2]["error"]
    assert "Next: check SALES_DB_CONNECTION_STRING" in summary["sources"][2]["error"]


# --- what it refuses -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message", "passes"),
    [
        (("postgres?", "missing?"), '"missing" does not exist.*correct the database', False),
        (("//etl@", "//stranger@"), 'role "stranger" does not exist.*correct the user', False),
        (("127.0.0.1", "nowhere.invalid"), "percent-encoded", True),
        (("?options", "?sslmode=require&options"), "SSL.*check sslmode", False),
    ],
)  # fmt: skip
def test_each_refusal_says_what_to_do(
    database: str, change: tuple[str, str], message: str, passes: bool
) -> None:
    with pytest.raises(LoadingError, match=message) as caught:
        DatabaseManager(database.replace(*change)).__enter__()
    assert is_transient(caught.value) is passes


def test_a_role_with_too_many_connections_is_waited_for_and_not_corrected(
    database: str, postgresql: Postgres
) -> None:
    name = f"etl_narrow_{os.getpid()}"
    narrow = postgresql.create_login(database, name)
    try:
        with DatabaseManager(database) as db:
            db.execute(f"ALTER ROLE {name} CONNECTION LIMIT 0")
        with pytest.raises(LoadingError, match=r"too many connections.*CONNECTION LIMIT") as caught:
            DatabaseManager(narrow).__enter__()
    finally:
        postgresql.drop_login(database, name)
    assert "correct the user" not in str(caught.value)
    assert is_transient(caught.value)


READ_ONLY = "%20-cdefault_transaction_read_only%3Don"


def test_a_database_that_is_read_only_is_found_by_the_health_check_and_named_by_the_run(
    project: Project,
) -> None:
    project.settings["DB_CONNECTION_STRING"] += READ_ONLY
    health = pipeline_health_check(project.config())
    (check,) = [check for check in health["checks"] if check["name"] == "writable"]
    assert check["status"] == "failed"
    assert "default_transaction_read_only" in check["message"]
    with pytest.raises(LoadingError, match="nothing can be written to this PostgreSQL") as caught:
        project.run()
    assert caught.value.code == "warehouse_read_only"
    assert "primary" in caught.value.next_step


def test_a_database_that_is_read_only_can_be_read(database: str) -> None:
    with DatabaseManager(database + READ_ONLY, access=Access(read_only=True)) as db:
        assert db.frame("SELECT ? AS n", (1,)).to_dict("records") == [{"n": 1}]


def test_an_address_where_nobody_answers_is_left_after_a_while() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"postgresql://etl@127.0.0.1:{port}/x?connect_timeout=2"
        with pytest.raises(LoadingError, match=r"timeout.*firewall") as caught:
            DatabaseManager(url).__enter__()
    assert is_transient(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://etl:p%zzhunter2@h/d",
        "postgresql://etl:x@h/d?hunter2=hunter2",
        "postgresql://etl:1/hunter2@127.0.0.1/d",
        "postgresql://etl:1/hunter2?x@127.0.0.1/d",
        "postgresql://etl:hunter2/x@127.0.0.1/d",
    ],
)
def test_a_connection_string_that_cannot_be_read_is_not_shown(url: str) -> None:
    with pytest.raises(LoadingError, match=r"percent|%40") as caught:
        DatabaseManager(url).__enter__()
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.code == "connection_string"
    assert not is_transient(caught.value)


def test_without_its_driver_it_says_what_to_install(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise ImportError("No module named 'psycopg'")

    monkeypatch.setattr("etl.engines.postgresql_client.client", missing)
    with pytest.raises(LoadingError, match=r"pip install -r requirements-postgresql.txt"):
        project.run()


def test_a_server_without_merge_is_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl.engines.postgresql._OLDEST", 990_000)
    with pytest.raises(LoadingError, match=r"too old.*version 15"):
        DatabaseManager(database).__enter__()


# --- the documents -------------------------------------------------------------------------


def test_the_rights_that_the_page_gives_a_login_are_enough(
    project: Project, postgresql: Postgres
) -> None:
    admin, schema = project.connection_string, project.connection_string.rpartition("%3D")[2]
    login = f"readme_{schema}"
    statements = PAGE.read_text("utf-8").partition("```sql\n")[2].partition("```")[0]
    statements = statements.replace("nightly_etl", login).replace("public", schema)
    with DatabaseManager(admin) as db:
        db.execute(schema_script(admin))
        db.execute(statements)
    place = admin.partition("@")[2]
    project.settings["DB_CONNECTION_STRING"] = f"postgresql://{login}:choose-one@{place}"
    try:
        assert project.run()["exit_code"] == 0
        assert project.run("--full-refresh")["exit_code"] == 0
        assert project.query("SELECT count(*) FROM sales_fact") == [(327,)]
    finally:
        postgresql.drop_login(admin, login)
