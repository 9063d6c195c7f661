"""What BI tools read: the calendar, the view over the star, comments on tables and columns."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from engines import Engine
from hypothesis import given
from hypothesis import strategies as st
from pipeline_runs import Project

from data_loading import load_sales
from data_transformation import process_sales_transactions
from etl.engines.database import DatabaseManager
from etl.engines.engine import Access
from etl.errors import LoadingError
from etl.monitoring.health.report import pipeline_health_check
from etl.schema.star import DATE_DIM
from etl.schema.tables import ALL_TABLES
from etl.schema.views import SALES_ENRICHED, VIEWS, notes_of
from etl.warehouse.calendar import calendar_day, calendar_span, days_in, fill_calendar
from etl.warehouse.tables import create_tables, schema_differences, schema_script

NOTES = {(note.name, note.column): note.text for note in notes_of(ALL_TABLES, VIEWS)}


@pytest.fixture
def connection(every_engine: Engine, tmp_path: Path) -> str:
    server = every_engine.is_server
    return every_engine.new_database() if server else f"duckdb:///{tmp_path}/w.duckdb"


@pytest.fixture
def db(connection: str) -> Iterator[DatabaseManager]:
    with DatabaseManager(connection) as manager:
        create_tables(manager)
        yield manager


def sale(number: int, day: str, customer: str = "C1") -> dict[str, str]:
    return {
        "transaction_id": f"T{number}", "customer_id": customer, "product_id": "P1",
        "quantity": "1", "unit_price": "5", "transaction_date": day, "status": "completed",
    }  # fmt: skip


def load(db: DatabaseManager, *sales: dict[str, str]) -> dict[str, Any]:
    accepted = process_sales_transactions(list(sales), [], [])
    counts: dict[str, Any] = load_sales(accepted, db)
    return counts


def days_of(db: DatabaseManager) -> list[date]:
    found = db.query('SELECT "day" FROM "date_dim" ORDER BY "day"')
    return [day.date() if isinstance(day, datetime) else day for (day,) in found]


# --- the calendar ----------------------------------------------------------------------------


def test_the_calendar_has_whole_years_from_the_first_sale_to_the_newest(
    db: DatabaseManager,
) -> None:
    load(db, sale(1, "2023-03-01"), sale(2, "2024-07-01"))
    assert fill_calendar(db) == 365 + 366
    days = days_of(db)
    assert (days[0], days[-1]) == (date(2023, 1, 1), date(2024, 12, 31))
    assert all(after - before == timedelta(days=1) for before, after in pairwise(days))
    assert fill_calendar(db) == 0


def test_the_calendar_follows_the_sales_and_not_their_order(db: DatabaseManager) -> None:
    load(db, sale(1, "2020-03-01"), sale(2, "2024-07-01"))
    fill_calendar(db)
    load(db, sale(1, "2024-03-01"))  # a correction: nothing is left of 2020
    assert fill_calendar(db) == 366
    assert {day.year for day in days_of(db)} == {2024}
    db.execute('DELETE FROM "date_dim" WHERE "month" = 2')
    assert fill_calendar(db) == 366


def test_a_date_that_is_an_error_makes_no_calendar_of_a_thousand_years() -> None:
    span = calendar_span(datetime(1753, 1, 1), datetime(9999, 12, 31, tzinfo=None))
    assert span == (date(1900, 1, 1), date(2100, 12, 31))
    assert days_in(span) == 73_414
    assert days_in(calendar_span(None, None)) == 0


@given(st.dates(date(1900, 1, 1), date(2100, 12, 31)))
def test_a_day_is_what_the_calendar_of_python_says(day: date) -> None:
    row = calendar_day(day)
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert str(row["date_key"]) == f"{moment:%Y%m%d}"
    assert row["year_month"] == f"{moment:%Y-%m}"
    assert (row["week_year"], row["week"]) == (int(f"{moment:%G}"), int(f"{moment:%V}"))
    assert row["day_of_year"] == int(f"{moment:%j}")
    assert row["day_of_week"] == int(f"{moment:%u}")
    assert row["is_weekend"] == (row["day_name"] in ("Saturday", "Sunday"))
    assert row["quarter"] == {1: 1, 4: 2, 7: 3, 10: 4}[(day.month - 1) // 3 * 3 + 1]
    assert row.keys() == set(DATE_DIM.names)


def test_a_run_fills_the_calendar_and_a_dry_run_does_not(
    every_engine: Engine, tmp_path: Path
) -> None:
    project = Project(tmp_path)
    project.write(sales=[sale(1, "2024-02-29")])
    project.run("--dry-run")
    project.run()
    assert project.query("SELECT count(*) FROM date_dim") == [(366,)]


# --- the view --------------------------------------------------------------------------------


def test_the_view_has_every_sale_once_with_its_day_customer_and_product(
    db: DatabaseManager,
) -> None:
    load(db, sale(1, "2024-02-29 23:59:59"), sale(2, "2024-03-01", "C2"))
    fill_calendar(db)
    db.execute('UPDATE "customer_dim" SET "name" = \'Ann\' WHERE "customer_id" = \'C1\'')
    names = '"transaction_id", "customer_name", "month_name", "total_amount"'
    rows = db.query(f'SELECT {names} FROM "sales_enriched" ORDER BY "transaction_id"')
    assert [row[:3] for row in rows] == [("T1", "Ann", "February"), ("T2", None, "March")]
    assert [float(row[3]) for row in rows] == [5.0, 5.0]


def test_the_view_has_sales_without_a_day_in_the_calendar_too(db: DatabaseManager) -> None:
    load(db, sale(1, "2024-02-29"))
    assert db.query('SELECT "transaction_id", "day" FROM "sales_enriched"') == [("T1", None)]


def test_a_view_that_is_missing_is_made_by_the_next_load(db: DatabaseManager) -> None:
    db.execute('DROP VIEW "sales_enriched"')
    assert [view.name for view in schema_differences(db).views] == ["sales_enriched"]
    create_tables(db)
    assert schema_differences(db).views == ()
    assert db.query('SELECT * FROM "sales_enriched"') == []


def test_a_table_of_that_name_is_kept_and_stops_no_load(connection: str) -> None:
    with DatabaseManager(connection) as db:
        db.execute('CREATE TABLE "sales_enriched" ("ours" INTEGER)')
        create_tables(db)
        assert load(db, sale(1, "2024-02-29"))["inserted"] == 1
        assert db.query('SELECT * FROM "sales_enriched"') == []


# --- comments --------------------------------------------------------------------------------


def test_every_table_view_and_column_has_its_comment(db: DatabaseManager) -> None:
    there = {tuple(row) for row in db.query(db.dialect.commented)}
    wanted = NOTES.keys() if not db.dialect.comments else {
        (note.name, note.place) for note in notes_of(ALL_TABLES, VIEWS)
    }  # fmt: skip
    assert there >= wanted
    assert len(NOTES) == sum(1 + len(table.columns) for table in ALL_TABLES) + 1 + len(
        SALES_ENRICHED.columns
    )


def test_a_comment_is_the_one_of_the_data_dictionary(db: DatabaseManager) -> None:
    queries = {
        "DuckDB": "SELECT comment FROM duckdb_columns() WHERE table_name = 'date_dim' "
        "AND column_name = 'day'",
        "PostgreSQL": "SELECT col_description('date_dim'::regclass, 1)",
        "SQL Server": "SELECT CAST(value AS NVARCHAR(400)) FROM sys.extended_properties "
        "WHERE major_id = OBJECT_ID(N'date_dim') AND minor_id = 1",
    }
    text = "key; the date of a sale's transaction_date"
    assert db.query(queries[db.dialect.name]) == [(text,)]
    assert NOTES["date_dim", "day"] == text


def test_comments_of_an_older_warehouse_are_added_and_those_of_others_kept(
    db: DatabaseManager,
) -> None:
    if db.dialect.comments:
        of_table = "N'SCHEMA', N'dbo', N'TABLE', N'sales_fact'"
        for column, sql in (("quantity", "drop"), ("unit_price", "update")):
            text = ", N'ours'" if sql == "update" else ""
            db.execute(
                f"EXEC sp_{sql}extendedproperty N'MS_Description'{text}, {of_table}, "
                f"N'COLUMN', N'{column}'"
            )
    else:
        db.execute('COMMENT ON COLUMN "sales_fact"."quantity" IS NULL')
        db.execute('COMMENT ON COLUMN "sales_fact"."unit_price" IS \'ours\'')
    assert [note.column for note in schema_differences(db).notes] == ["quantity"]
    create_tables(db)
    assert schema_differences(db).notes == ()


def test_the_script_of_the_schema_makes_view_and_comments_and_may_be_run_again(
    connection: str,
) -> None:
    with DatabaseManager(connection) as db:
        for _ in range(2):
            db.execute(schema_script(connection))
        found = schema_differences(db)
    assert (found.tables, found.views, found.notes) == ((), (), ())


def test_a_login_that_may_not_add_them_loads_all_the_same(
    db: DatabaseManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.execute('DROP VIEW "sales_enriched"')
    execute = db.execute

    def refuse(sql: str, params: tuple[object, ...] = ()) -> None:
        if "VIEW" in sql:
            raise LoadingError("permission denied")
        execute(sql, params)

    monkeypatch.setattr(db, "execute", refuse)
    assert load(db, sale(1, "2024-02-29"))["inserted"] == 1


def test_what_is_opened_for_reading_only_gets_neither_view_nor_comments(connection: str) -> None:
    with DatabaseManager(connection) as db:
        create_tables(db)
        db.execute('DROP VIEW "sales_enriched"')
    with DatabaseManager(connection, access=Access(read_only=True)) as db:
        create_tables(db)
        assert [view.name for view in schema_differences(db).views] == ["sales_enriched"]


def test_the_health_check_knows_what_is_missing(every_engine: Engine, tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(sales=[sale(1, "2024-02-29")])
    project.run()
    assert "views" not in {
        check["name"] for check in pipeline_health_check(project.config())["checks"]
    }
    with DatabaseManager(project.connection_string) as db:
        db.execute('DROP VIEW "sales_enriched"')
    found = pipeline_health_check(project.config())
    (check,) = [check for check in found["checks"] if check["name"] == "views"]
    assert check["status"] == "warning"
    assert check["message"].startswith("sales_enriched, 32 comments missing; made by the next run")
