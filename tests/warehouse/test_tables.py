"""Warehouses of an older or altered schema, and statements that name only some of the columns."""

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from engines import Engine
from pipeline_runs import Project

from data_loading import load_customers, validate_loaded_data
from etl.engines.database import DatabaseManager
from etl.engines.engine import Access
from etl.errors import LoadingError
from etl.history.audit import newest_load
from etl.history.settings_used import read_settings
from etl.schema.star import CUSTOMER_DIM, SALES_FACT
from etl.warehouse.state import read_states
from etl.warehouse.tables import create_tables, schema_differences, upgrade_script

pytestmark = pytest.mark.usefixtures("every_engine")

VERSION_0_1_0 = Path(__file__).with_name("version_0_1_0")


@pytest.fixture
def connection(every_engine: Engine, tmp_path: Path) -> str:
    server = every_engine.is_server
    return every_engine.new_database() if server else f"duckdb:///{tmp_path}/w.duckdb"


@pytest.fixture
def db(connection: str) -> Iterator[DatabaseManager]:
    with DatabaseManager(connection) as manager:
        yield manager


def of_version_0_1_0(db: DatabaseManager) -> None:
    """Makes the tables and rows that version 0.1.0 has made and loaded."""
    name = {"DuckDB": "duckdb", "PostgreSQL": "postgresql", "SQL Server": "sql_server"}
    db.execute((VERSION_0_1_0 / f"{name[db.dialect.name]}.sql").read_text("utf-8"))
    rows = (VERSION_0_1_0 / "rows.sql").read_text("utf-8")
    rows = rows.replace("TRUE", db.dialect.true).replace("FALSE", db.dialect.false)
    for statement in rows.splitlines():
        db.execute(statement)


# --- an older version ------------------------------------------------------------------------


def test_a_warehouse_of_version_0_1_0_is_loaded(tmp_path: Path) -> None:
    old, new = Project(tmp_path / "old"), Project(tmp_path / "new")
    for project in (old, new):
        for name in ("customers.csv", "products.json", "sales_transactions.csv"):
            shutil.copy(VERSION_0_1_0 / name, project.input)
    old.warehouse.parent.mkdir(parents=True, exist_ok=True)
    with DatabaseManager(old.connection_string) as db:
        of_version_0_1_0(db)
    summary = old.run()
    counts = [summary["tables"][name] for name in ("customer_dim", "product_dim", "sales_fact")]
    assert [c["rows_inserted"] for c in counts] == [0, 0, 0]
    assert [c["rows_updated"] for c in counts] == [0, 0, 1]
    assert counts[2]["rows_unchanged"] == 13
    # version 0.1.0 dropped the offset of a time, which is now converted
    assert summary["column_changes"] == {"sales_fact": {"transaction_date": 1}}
    at = "SELECT transaction_date FROM sales_fact WHERE transaction_id = 'T00014'"
    assert old.query(at) == [(datetime(2024, 1, 2, 5, 18, 23),)]
    with DatabaseManager(old.connection_string, access=Access(read_only=True)) as db:
        found = schema_differences(db)
        assert (found.tables, found.columns, found.views, found.notes) == ((), (), (), ())
        assert db.value("SELECT count(*) FROM date_dim") > 0
    new.run()
    assert old.tables() == new.tables()
    assert old.run("--full-refresh")["exit_code"] == new.run("--full-refresh")["exit_code"]
    assert old.tables() == new.tables()


# --- missing columns -------------------------------------------------------------------------


def test_columns_that_are_missing_are_added_with_their_default(db: DatabaseManager) -> None:
    load_customers([{"customer_id": "C1", "name": "Ann"}], db)
    db.execute("ALTER TABLE customer_dim DROP COLUMN phone")
    db.execute("ALTER TABLE etl_load DROP COLUMN rows_vanished")
    found = schema_differences(db)
    assert [(t.name, c.name) for t, c in found.columns] == [
        ("customer_dim", "phone"), ("etl_load", "rows_vanished"),
    ]  # fmt: skip
    assert (found.tables, found.problems) == ((), ())
    result = load_customers([{"customer_id": "C1", "name": "Ann", "phone": "1"}], db)
    assert result["changed_columns"] == {"phone": 1}
    assert schema_differences(db).columns == ()
    loaded = newest_load(db, CUSTOMER_DIM)
    assert loaded is not None
    assert loaded.rows_vanished == 0
    assert db.query("SELECT DISTINCT rows_vanished FROM etl_load") == [(0,)]
    assert validate_loaded_data(db)["passed"]


def test_the_script_of_the_schema_ends_with_what_is_missing(connection: str) -> None:
    with DatabaseManager(connection) as db:
        create_tables(db)
        db.execute("ALTER TABLE product_dim DROP COLUMN warehouse")
    script = upgrade_script(connection)
    assert re.fullmatch(r'ALTER TABLE "product_dim" ADD .*"warehouse" .+;', script)
    with DatabaseManager(connection) as db:
        db.execute(script)
        assert schema_differences(db).columns == ()
    assert upgrade_script(connection) == ""


def test_a_warehouse_that_cannot_be_looked_at_is_said_to_be_so_in_a_comment(
    tmp_path: Path,
) -> None:
    (tmp_path / "w.duckdb").write_text("no warehouse at all, but a text of some length")
    script = upgrade_script(f"duckdb:///{tmp_path}/w.duckdb")
    assert script.startswith("-- Columns that an existing warehouse lacks are not shown: ")
    assert "\n" not in script


def test_what_is_opened_for_reading_only_gets_no_columns(connection: str) -> None:
    with DatabaseManager(connection) as db:
        create_tables(db)
        db.execute("ALTER TABLE customer_dim DROP COLUMN phone")
    with (
        DatabaseManager(connection, access=Access(read_only=True)) as db,
        pytest.raises(LoadingError, match=r"lacks columns \(customer_dim.phone\)"),
    ):
        create_tables(db)


# --- what only a person can change -------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("DROP TABLE etl_watermark; CREATE VIEW etl_watermark AS SELECT 1 AS one",
         "etl_watermark is a view where a table is needed"),
        ("ALTER TABLE customer_dim DROP COLUMN phone; ALTER TABLE customer_dim ADD phone INTEGER",
         "customer_dim.phone is int"),
        ("ALTER TABLE product_dim DROP COLUMN price;"
         "ALTER TABLE product_dim ADD price DECIMAL(12, 3)", "product_dim.price is "),
        ("DROP TABLE etl_watermark; CREATE TABLE etl_watermark (table_name VARCHAR(50) NOT NULL,"
         " watermark DATE NOT NULL, run_id VARCHAR(30) NOT NULL)", "etl_watermark.watermark is "),
        ("DROP TABLE etl_setting; CREATE TABLE etl_setting (table_name VARCHAR(50) NOT NULL,"
         " setting VARCHAR(50), value VARCHAR(100), run_id VARCHAR(30), ours INTEGER NOT NULL)",
         "etl_setting.ours must not be empty, and no load knows it"),
    ],
)  # fmt: skip
def test_what_is_in_the_way_is_named_before_anything_is_written(
    db: DatabaseManager, change: str, named: str
) -> None:
    create_tables(db)
    for statement in change.split(";"):
        db.execute(statement)
    problems = schema_differences(db).problems
    assert any(named in problem.lower() for problem in problems), problems
    with pytest.raises(LoadingError, match="ALTER TABLE") as error:
        load_customers([{"customer_id": "C1"}], db)
    assert named in str(error.value).lower()
    assert db.query("SELECT count(*) FROM etl_run") == [(0,)]


def test_a_text_that_is_too_narrow_is_named_and_a_wider_one_is_not(server: Engine) -> None:
    with DatabaseManager(server.new_database()) as db:
        create_tables(db)
        db.execute("ALTER TABLE customer_dim DROP COLUMN phone")
        db.execute("ALTER TABLE customer_dim ADD phone VARCHAR(49)")
        db.execute("ALTER TABLE product_dim DROP COLUMN quantity")
        db.execute("ALTER TABLE product_dim ADD quantity BIGINT")
        problems = schema_differences(db).problems
        assert [p for p in problems if "customer_dim.phone" in p and "(49)" in p]
        assert not [p for p in problems if "quantity" in p]


def test_columns_of_ones_own_are_kept(db: DatabaseManager) -> None:
    load_customers([{"customer_id": "C1", "name": "Ann"}], db)
    db.execute("ALTER TABLE customer_dim ADD ours VARCHAR(10)")
    db.execute("UPDATE customer_dim SET ours = 'kept'")
    load_customers([{"customer_id": "C1", "name": "Anne"}, {"customer_id": "C2"}], db)
    rows = "SELECT name, ours FROM customer_dim ORDER BY customer_id"
    assert db.query(rows) == [("Anne", "kept"), (None, None)]


# --- a statement of one's own ------------------------------------------------------------------

# Part 4.3 of the requirements. T-SQL may leave out INTO, and its moment is GETDATE().
MERGE = """MERGE INTO customer_dim AS target
USING (VALUES (?, ?, ?, ?, ?)) AS source(customer_id, name, email, phone, segment)
ON target.customer_id = source.customer_id
WHEN MATCHED THEN
    UPDATE SET name = source.name, email = source.email, phone = source.phone,
        segment = source.segment, updated_date = {now}
WHEN NOT MATCHED THEN
    INSERT (customer_id, name, email, phone, segment, created_date)
    VALUES (source.customer_id, source.name, source.email, source.phone, source.segment, {now});"""


def test_the_merge_of_the_requirements_runs_by_hand(db: DatabaseManager) -> None:
    create_tables(db)
    merge = MERGE.format(now="GETDATE()" if db.dialect.batched else "CURRENT_TIMESTAMP")
    first = [("C1", "Ann", "a@b.org", "1", "Premium"), ("C2", "Bob", None, None, None)]
    db.execute_batch(merge, first, batch_size=1)
    db.execute_batch(merge, [("C1", "Anne", None, "1", "Premium")])
    rows = "SELECT customer_id, name, email, is_inferred FROM customer_dim ORDER BY 1"
    assert db.query(rows) == [("C1", "Anne", None, False), ("C2", "Bob", None, False)]
    for (moment,) in db.query("SELECT updated_date FROM customer_dim"):
        assert abs(moment - datetime.now(UTC).replace(tzinfo=None)) < timedelta(days=1)
    assert load_customers([{"customer_id": "C2", "name": "Bob"}], db)["unchanged"] == 1


# --- the watermark, and the settings behind the rows ---------------------------------------------


def sale(number: int, day: str) -> dict[str, str]:
    return {"transaction_id": f"T{number}", "customer_id": "C1", "product_id": "P1",
            "quantity": "1", "unit_price": "5", "transaction_date": day}  # fmt: skip


def test_a_sale_in_the_future_does_not_move_the_watermark_past_a_late_feed(tmp_path: Path) -> None:
    project = Project(tmp_path, WATERMARK_LAG_DAYS="1")
    project.write(sales=[sale(1, "2024-01-20"), sale(2, "2099-01-01")])
    project.run()
    assert project.query("SELECT watermark FROM etl_watermark") == [(datetime(2024, 1, 20),)]
    project.write(sales=[sale(1, "2024-01-20"), sale(2, "2099-01-01"), sale(3, "2024-02-01")])
    assert project.run()["tables"][SALES_FACT.name]["rows_inserted"] == 1


def test_a_warehouse_that_knows_no_numbers_is_shown_and_brought_up_to_date(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path)
    project.write(sales=[sale(1, "2024-01-20")])
    project.run()
    config = project.config()
    with DatabaseManager.from_config(config) as db:
        db.execute("ALTER TABLE etl_watermark DROP COLUMN largest_number")
    with DatabaseManager.from_config(config, read_only=True) as db:
        (state,) = read_states(db, config)
    assert state.reached == datetime(2024, 1, 20)
    project.run()
    marks = project.query("SELECT watermark, largest_number FROM etl_watermark")
    assert marks == [(datetime(2024, 1, 20), None)]


def test_nothing_but_sales_in_the_future_leaves_no_watermark(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(sales=[sale(1, "2099-01-01")])
    project.run()
    assert project.query("SELECT * FROM etl_watermark") == []


def settings_of(project: Project) -> dict[str, dict[str, list[str]]]:
    with DatabaseManager(project.connection_string, access=Access(read_only=True)) as db:
        return read_settings(db)


def test_the_settings_that_computed_the_rows_are_known(tmp_path: Path) -> None:
    project = Project(tmp_path, DEFAULT_COST_RATIO="0.5")
    project.write(sales=[sale(1, "2024-01-20")], products=[{"product_id": "P1", "price": "9"}])
    project.run()
    unchanged = {
        "RETURNS": ["reject"], "SOURCE_TIME_ZONE": ["UTC"],
        "statuses of [sources.sales]": ["completed"],
    }  # fmt: skip
    assert settings_of(project) == {
        "product_dim": {"DEFAULT_COST_RATIO": ["0.5"]},
        "sales_fact": {"COMMISSION_RATE": ["0.03"], **unchanged},
    }
    project.settings |= {"COMMISSION_RATE": "0.05", "DEFAULT_COST_RATIO": "0.6"}
    project.run()
    assert settings_of(project) == {
        "product_dim": {"DEFAULT_COST_RATIO": ["0.6"]},  # every product is computed anew
        "sales_fact": {"COMMISSION_RATE": ["0.03", "0.05"], **unchanged},
    }
    project.run("--full-refresh")
    assert settings_of(project)["sales_fact"]["COMMISSION_RATE"] == ["0.05"]
