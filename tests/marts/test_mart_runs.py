"""Marts as a part of runs: asked for or not, failing, exported, copied, printed."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from engines import Engine
from pipeline_runs import Project, command

from etl.engines.database import DatabaseManager
from etl.errors import EXIT_ATTENTION, EXIT_OK
from etl.history.summary import RunSummary
from etl.monitoring.health.report import pipeline_health_check

SALES = [
    {"transaction_id": f"T{n}", "customer_id": f"C{n % 2}", "product_id": "P1", "quantity": "1",
     "unit_price": "5", "transaction_date": f"2024-01-{20 + n}"}
    for n in range(4)
]  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write(sales=SALES)
    return project


def write_mart(project: Project, name: str, sql: str) -> None:
    folder = project.folder / "marts"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.sql").write_text(sql, encoding="utf-8")


def marts(summary: RunSummary) -> dict[str, str]:
    return {each["mart"]: each["status"] for each in summary["marts"]}


def tables(project: Project) -> set[str]:
    with DatabaseManager(project.connection_string) as db:
        return db.table_names()


@pytest.mark.parametrize("setting, argument, built", [
    ("no", (), False), ("no", ("--marts",), True), ("yes", (), True),
    ("yes", ("--no-marts",), False), ("yes", ("--dry-run",), False),
])  # fmt: skip
def test_they_are_built_where_they_are_asked_for(
    tmp_path: Path, setting: str, argument: tuple[str, ...], built: bool
) -> None:
    project = Project(tmp_path, MARTS=setting)
    project.write(sales=SALES)
    summary = project.run(*argument)
    assert bool(summary["marts"]) is built
    assert RunSummary.from_dict(summary.as_dict()).marts == summary.marts
    assert not project.warehouse.exists() or ("daily_revenue" in tables(project)) is built


def test_what_touched_them_is_built_in_the_next_run_that_builds(project: Project) -> None:
    project.run("--marts")
    project.write(sales=[*SALES, {**SALES[0], "transaction_id": "T9", "unit_price": "7"}])
    project.run("--no-marts")
    assert marts(project.run("--marts"))["daily_revenue"] in ("updated", "built")
    query = "SELECT revenue FROM daily_revenue WHERE day = '2024-01-20'"
    assert project.query(query) == [(Decimal("12.00"),)]


def test_sales_that_a_full_refresh_removes_leave_the_marts(project: Project) -> None:
    project.run("--marts")
    project.write(sales=SALES[:2])
    project.run("--full-refresh", "--no-marts", "--accept", "sales", "--accept", "customers")
    assert set(marts(project.run("--marts", "--no-skip")).values()) == {"built"}
    assert project.query("SELECT count(*) FROM daily_revenue") == [(2,)]


def test_one_that_fails_leaves_the_load_and_what_it_had(project: Project) -> None:
    write_mart(project, "shares", "SELECT CAST(customer_id AS INTEGER) AS n FROM sales_fact")
    write_mart(project, "of_shares", "SELECT n FROM shares")
    summary = project.run("--marts")
    assert summary.exit_code == EXIT_ATTENTION
    assert (marts(summary)["shares"], marts(summary)["of_shares"]) == ("failed", "skipped")
    assert [line.partition(":")[0] for line in summary.attention] == [
        "mart shares failed", "mart of_shares skipped",
    ]  # fmt: skip
    assert project.query("SELECT count(*) FROM sales_fact") == [(4,)]
    assert marts(summary)["daily_revenue"] == "built"
    write_mart(project, "shares", "SELECT customer_id AS n FROM sales_fact")
    again = project.run("--marts")
    assert again.exit_code == EXIT_OK
    assert (marts(again)["shares"], marts(again)["daily_revenue"]) == ("built", "unchanged")


def test_a_broken_file_is_named_by_the_run_and_by_the_health_check(project: Project) -> None:
    project.settings["MARTS"] = "yes"
    write_mart(project, "shares", "SELECT n\nFROM sale_fact")
    summary = project.run()
    named = f"{project.folder / 'marts' / 'shares.sql'}, line 2: no table 'sale_fact'"
    assert summary.exit_code == EXIT_ATTENTION
    assert named in summary.attention[0]
    checks = pipeline_health_check(project.config())["checks"]
    (found,) = [check for check in checks if check["name"] == "marts"]
    assert (found["status"], named in found["message"]) == ("failed", True)
    (project.folder / "marts" / "shares.sql").unlink()
    checks = pipeline_health_check(project.config())["checks"]
    assert ("marts", "passed") in {(check["name"], check["status"]) for check in checks}


def test_two_rows_of_one_key_are_refused(project: Project) -> None:
    write_mart(project, "days", "-- key: customer_id\nSELECT customer_id FROM sales_fact")
    (line,) = project.run("--marts").attention
    assert "two rows have the key C" in line


def test_a_changed_file_makes_its_table_anew(project: Project) -> None:
    write_mart(project, "m", "SELECT count(*) AS n FROM sales_fact")
    project.run("--marts")
    write_mart(project, "m", "SELECT 'a' AS t, count(*) AS n FROM sales_fact")
    assert marts(project.run("--marts"))["m"] == "built"
    assert project.query("SELECT * FROM m") == [("a", 4)]


def test_a_table_that_no_mart_has_made_is_not_touched(project: Project) -> None:
    project.run()
    with DatabaseManager(project.connection_string) as db:
        db.execute("CREATE TABLE daily_revenue AS SELECT 7 AS n")
    (line,) = project.run("--marts").attention
    assert "a table with rows daily_revenue already that no mart has made" in line
    assert project.query("SELECT n FROM daily_revenue") == [(7,)]


def test_a_query_of_the_moment_is_built_every_time(project: Project) -> None:
    write_mart(project, "m", "SELECT current_date AS d, count(*) AS n FROM sales_fact")
    write_mart(project, "loads", "SELECT count(*) AS n FROM etl_load")
    project.run("--marts")
    found = marts(project.run("--marts"))
    assert (found["m"], found["loads"], found["cohorts"]) == ("built", "built", "unchanged")


def test_they_are_exported_and_in_the_copy(project: Project, tmp_path: Path) -> None:
    copy = tmp_path / "bi" / "copy.duckdb"
    project.settings["READ_COPY"] = str(copy)
    exported = project.run("--marts", "--export", "csv").exported
    assert {Path(path).stem for path in exported} >= {"sales_fact", "cohorts", "sales_wide"}
    with duckdb.connect(str(copy), read_only=True) as db:
        assert db.execute("SELECT count(*) FROM daily_revenue").fetchall() == [(4,)]


def test_the_summary_and_the_schema_name_them(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(project, monkeypatch, "--marts") == EXIT_OK
    assert "marts: 6 built in" in capsys.readouterr().out
    assert command(project, monkeypatch, "--print-schema", "--marts") == EXIT_OK
    printed = capsys.readouterr().out
    assert 'CREATE TABLE IF NOT EXISTS "daily_revenue"' in printed
    assert 'CREATE TABLE IF NOT EXISTS "etl_touched"' in printed
    command(project, monkeypatch, "--print-schema")
    assert "daily_revenue" not in capsys.readouterr().out


def login_without_ddl(server: Any, connection: str, script: str) -> str:
    """Runs a script as the owner, and returns a login that may only load."""
    with DatabaseManager(connection) as db:
        db.execute(script)
    login = server.create_login(connection, "marts_only")
    with DatabaseManager(connection) as db:
        db.execute(server.let_load("marts_only"))
    return str(login)


def test_a_login_that_may_not_create_tables_builds_what_the_schema_made(
    server: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    project = Project(tmp_path, MARTS="yes")
    project.write(sales=SALES)
    connection = project.settings["DB_CONNECTION_STRING"]
    command(project, monkeypatch, "--print-schema")
    login = login_without_ddl(server, connection, capsys.readouterr().out)
    try:
        project.settings["DB_CONNECTION_STRING"] = login
        assert set(marts(project.run()).values()) == {"built"}
    finally:
        server.drop_login(connection, "marts_only")  # type: ignore[attr-defined]  # a server has it
