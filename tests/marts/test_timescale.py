"""The script for TimescaleDB, as far as a server without it can show that it is right.

Its tables, keys and queries are made and asked for real; the functions of the extension are
stand-ins that note what they were called with. What only the extension understands (the options
`timescaledb.compress` and `timescaledb.continuous`) is compared with its documentation, as text.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from engines import DUCKDB as EMBEDDED
from engines import POSTGRESQL as SERVER
from engines import using
from pipeline_runs import Project, command

from etl.engines.database import DatabaseManager
from etl.engines.duckdb import DUCKDB
from etl.engines.postgresql_dialect import POSTGRESQL
from etl.errors import EXIT_OK, EXIT_USAGE, ConfigurationError
from etl.marts.timescale import AGGREGATES, aggregate_query, hypertable, policies, timescale_script

STAND_INS = """
CREATE TABLE called (what TEXT, of_table REGCLASS, after INTERVAL);
CREATE FUNCTION create_hypertable(t REGCLASS, c NAME, chunk_time_interval INTERVAL,
    if_not_exists BOOLEAN, migrate_data BOOLEAN) RETURNS VOID LANGUAGE sql
    AS $$ INSERT INTO called VALUES ('hypertable', t, chunk_time_interval) $$;
CREATE FUNCTION add_compression_policy(t REGCLASS, after INTERVAL, if_not_exists BOOLEAN)
    RETURNS VOID LANGUAGE sql AS $$ INSERT INTO called VALUES ('compression', t, after) $$;
CREATE FUNCTION add_retention_policy(t REGCLASS, after INTERVAL, if_not_exists BOOLEAN)
    RETURNS VOID LANGUAGE sql AS $$ INSERT INTO called VALUES ('retention', t, after) $$;
CREATE FUNCTION add_continuous_aggregate_policy(t REGCLASS, start_offset INTERVAL,
    end_offset INTERVAL, schedule_interval INTERVAL, if_not_exists BOOLEAN) RETURNS VOID
    LANGUAGE sql AS $$ INSERT INTO called VALUES ('aggregate', t, schedule_interval) $$;
CREATE FUNCTION time_bucket(width INTERVAL, at TIMESTAMP) RETURNS TIMESTAMP LANGUAGE sql
    AS $$ SELECT CASE WHEN width = INTERVAL '1 month' THEN date_trunc('month', at)
                 ELSE date_bin(width, at, TIMESTAMP '2000-01-03') END $$;
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A warehouse on PostgreSQL with marts, and stand-ins for the extension."""
    with using(SERVER):
        project = Project(tmp_path_factory.mktemp("timescale"), MARTS="yes")
        days = ("2024-01-05 09:00", "2024-01-05 09:30", "2024-02-01 00:00")
        project.write(sales=[
            {"transaction_id": f"T{n}", "customer_id": "C1", "product_id": "P1", "quantity": "2",
             "unit_price": "5", "transaction_date": day}
            for n, day in enumerate(days)
        ])  # fmt: skip
        assert not project.run().attention
        yield project


def test_without_the_extension_the_script_changes_nothing(loaded: Project) -> None:
    keys = (
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = 'sales_wide'::regclass AND contype = 'p'"
    )
    with DatabaseManager(loaded.connection_string) as db:
        if db.query("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'"):
            pytest.skip("this server has TimescaleDB")
        before = db.query(keys)
        db.execute(timescale_script(POSTGRESQL))
        assert db.query(keys) == before == [("PRIMARY KEY (transaction_id)",)]


def test_tables_keys_policies_and_queries_are_right_for_the_mart(loaded: Project) -> None:
    with DatabaseManager(loaded.connection_string) as db:
        db.execute(STAND_INS)
        run = [each for each in (*hypertable(POSTGRESQL), *policies(POSTGRESQL))
               if "timescaledb." not in each]  # fmt: skip
        for name in AGGREGATES:
            db.execute(f"CREATE VIEW {name} AS {aggregate_query(POSTGRESQL, name)}")
        for statement in run:
            db.execute(statement)
        called = db.query("SELECT what, of_table::text, after::text FROM called")
        assert called == [
            ("hypertable", "sales_wide", "7 days"), ("compression", "sales_wide", "30 days"),
            ("retention", "sales_wide", "3 years"),
            ("aggregate", "hourly_sales_summary", "00:10:00"),
            ("aggregate", "daily_sales_summary", "01:00:00"),
            ("aggregate", "monthly_customer_summary", "1 day"),
        ]  # fmt: skip
        hours = db.query('SELECT "sales", "items" FROM hourly_sales_summary ORDER BY "bucket"')
        assert hours == [(2, 4), (1, 2)]
        months = 'SELECT "customer_id", "sales" FROM monthly_customer_summary ORDER BY "bucket"'
        assert db.query(months) == [("C1", 2), ("C1", 1)]
        for name in AGGREGATES:
            db.execute(f"DROP VIEW {name}")


def test_the_mart_is_built_and_updated_with_the_key_of_a_hypertable(loaded: Project) -> None:
    """The time is part of the key; a sale that moves to another day is deleted and inserted."""
    with DatabaseManager(loaded.connection_string) as db:
        for statement in list(hypertable(POSTGRESQL))[:3]:
            db.execute(statement)
    moved = {"transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": "2",
             "unit_price": "5", "transaction_date": "2024-03-01"}  # fmt: skip
    loaded.write(sales=[moved])
    assert not [mart for mart in loaded.run("--accept", "sales").marts if mart.failed]
    day = "SELECT day::text FROM sales_wide WHERE transaction_id = 'T1'"
    assert loaded.query(day) == [("2024-03-01",)]


def test_options_of_the_extension_name_columns_of_the_mart(loaded: Project) -> None:
    (compress,) = [each for each in hypertable(POSTGRESQL) if "timescaledb." in each]
    named = re.findall(r"'([^']*)'", compress)
    assert named == ["customer_id", "transaction_date DESC, transaction_id"]
    columns = {word for text in named for word in re.findall(r"[a-z_]+", text)}
    found = loaded.query(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'sales_wide'"
    )
    assert columns <= {name for (name,) in found}


def test_it_is_printed_behind_the_tables(
    loaded: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(loaded, monkeypatch, "--print-schema", "--timescale") == EXIT_OK
    printed = capsys.readouterr().out
    assert printed.index('"sales_wide"') < printed.index("pg_available_extensions")
    assert command(loaded, monkeypatch, "--timescale") == EXIT_USAGE


def test_other_engines_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="is for PostgreSQL"):
        timescale_script(DUCKDB)
    with using(EMBEDDED):
        project = Project(tmp_path)
    assert command(project, monkeypatch, "--print-schema", "--timescale") == EXIT_USAGE
