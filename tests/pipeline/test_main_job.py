"""The main job on the bundled sample, as a newcomer runs it."""

import csv
import gzip
import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pipeline_runs import Project, command, read_csv

from etl.engines.database import DatabaseManager
from etl.schema.star import STAR_TABLES
from etl.schema.tables import ALL_TABLES
from etl.warehouse.staging import Staging

pytestmark = pytest.mark.usefixtures("every_engine")

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, LOG_LEVEL="WARNING")
    shutil.copytree(SAMPLE, project.input, dirs_exist_ok=True)
    return project


# --- counted independently -----------------------------------------------------------------


def customers_in_file() -> int:
    """Records of the customers file, the four that are malformed among them.

    Python's reader swallows the lines behind the quote that is never closed, so the file is
    counted by lines: less the header, the blank line, and the second lines of quoted breaks.
    """
    with (SAMPLE / "customers.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = file.read().split("\r\n")
    # and without the row of nothing but commas
    return sum(1 for line in lines[1:] if line.strip(",") and not is_second_line(line))


def is_second_line(line: str) -> bool:
    return not line.startswith(("C", ",", " C", '"C')) and not line[:1].isspace()


def products_in_file() -> int:
    return len(json.loads((SAMPLE / "products.json").read_text(encoding="utf-8"))["products"])


def completed_sales_in_file() -> int:
    with (SAMPLE / "sales_transactions.csv").open(encoding="utf-8", newline="") as file:
        return sum(record["status"].strip() == "completed" for record in csv.DictReader(file))


def test_every_record_of_the_sample_is_accounted_for(project: Project) -> None:
    project.run()
    counted = {
        "customer_dim": customers_in_file(),
        "product_dim": products_in_file(),
        "sales_fact": completed_sales_in_file(),
    }
    found = project.query(
        "SELECT table_name, rows_read, rows_inserted + rows_updated + rows_unchanged"
        " + rows_rejected + rows_duplicate FROM etl_load ORDER BY table_name"
    )
    assert found == [(table, counted[table], counted[table]) for table in sorted(counted)]


def test_what_is_not_loaded_is_in_the_rejected_files(project: Project) -> None:
    summary = project.run()
    for source in summary["sources"]:
        counts = summary["tables"][source["table"]]
        rejected = read_csv(Path(source["rejected_file"]))
        classes = [record["error_class"] for record in rejected]
        assert classes.count("duplicate") == counts["rows_duplicate"]
        assert len(classes) - classes.count("duplicate") == counts["rows_rejected"]
        assert all(record["reason"] for record in rejected)


def test_flaws_that_cost_no_record_its_place_are_counted(project: Project) -> None:
    notes = {source["source"]: source["notes"] for source in project.run()["sources"]}
    assert notes["customers"]["unreadable_registration_dates"] == 6
    assert notes["products"]["categories_outside_taxonomy"] == 3
    assert notes["sales"] == {}


def test_a_duplicate_stands_in_the_rejected_file_as_the_source_wrote_it(project: Project) -> None:
    project.run()
    (duplicate,) = [r for r in project.rejected("customers") if r["customer_id"] == "C006"]
    with (SAMPLE / "customers.csv").open(encoding="utf-8-sig", newline="") as file:
        first = next(r for r in csv.DictReader(file) if r["customer_id"] == "C006")
    assert {name: duplicate[name] for name in first} == first


def test_a_second_run_changes_nothing(project: Project) -> None:
    project.run()
    before = project.tables()
    for argv in ((), ("--full-refresh",), ("--date", "2024-01-20")):
        summary = project.run(*argv)
        for counts in summary["tables"].values():
            assert counts["rows_inserted"] == counts["rows_updated"] == 0
            assert counts["rows_restated"] == counts["rows_removed"] == 0
    assert project.tables() == before


def test_one_day_loads_the_sales_of_that_day_alone(project: Project) -> None:
    summary = project.run("--date", "2024-01-20")
    days = project.query("SELECT DISTINCT CAST(transaction_date AS DATE) FROM sales_fact")
    assert days == [(date(2024, 1, 20),)]
    assert summary["tables"]["sales_fact"]["rows_inserted"] == 54


def test_days_in_any_order_end_like_one_full_refresh(tmp_path: Path) -> None:
    by_day, at_once = (Project(tmp_path / n, LOG_LEVEL="ERROR") for n in ("days", "once"))
    for project in (by_day, at_once):
        shutil.copytree(SAMPLE, project.input, dirs_exist_ok=True)
        project.settings["MAX_REJECT_RATE"] = "1"
    for first, last in ((20, 31), (1, 4), (11, 19), (5, 10), (3, 25)):
        span = ("--start-date", f"2024-01-{first:02}", "--end-date", f"2024-01-{last:02}")
        by_day.run(*span)
    at_once.run("--full-refresh")
    assert by_day.tables() == at_once.tables()


# --- what else the command does ------------------------------------------------------------


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_dry_run_tells_what_a_run_would_do_and_writes_nothing(project: Project) -> None:
    forecast = project.run("--dry-run")["tables"]
    assert not files_below(project.output)
    done = project.run()["tables"]
    for table in forecast:
        for name in ("rows_read", "rows_inserted", "rows_updated", "rows_unchanged"):
            assert forecast[table][name] == done[table][name]


def test_a_dry_run_on_a_loaded_warehouse_leaves_it_as_it_was(project: Project) -> None:
    project.run()
    before = {path: path.read_bytes() for path in files_below(project.output)}
    forecast = project.run("--dry-run", "--full-refresh")["tables"]
    assert {path: path.read_bytes() for path in files_below(project.output)} == before
    assert forecast["customer_dim"]["rows_unchanged"] == 148


def test_the_summary_is_one_json_object_on_stdout(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(project, monkeypatch, "--json", "--log-level", "info") == 0
    reported = capsys.readouterr()
    summary = json.loads(reported.out)
    assert summary["status"] == "success"
    assert summary["tables"]["sales_fact"]["rows_inserted"] == 327
    assert "customers" in reported.err


def test_the_summary_for_people_fits_a_terminal_of_80_columns(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(project, monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    table = lines[: next(n for n, line in enumerate(lines) if line.startswith(" seconds"))]
    assert any("327" in line for line in table)
    assert max(map(len, lines[: len(table)])) <= 80


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_the_tables_are_exported(project: Project, file_format: str) -> None:
    summary = project.run("--export", file_format)
    exported = [Path(path) for path in summary["exported"]]
    assert [path.name for path in exported] == [f"{t.name}.{file_format}" for t in STAR_TABLES]
    rows = (
        len(read_csv(exported[2])) if file_format == "csv" else pq.read_table(exported[2]).num_rows
    )
    assert rows == 327
    assert not list(exported[0].parent.glob("*.part"))


def test_the_schema_is_printed_as_sql_that_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(project, monkeypatch, "--print-schema") == 0
    script = capsys.readouterr().out
    assert not project.output.exists()
    for _ in range(2):  # what is there already stays as it is
        with DatabaseManager(project.connection_string) as db:
            db.execute(script)
            tables = db.table_names()
    assert {table.name for table in ALL_TABLES} <= tables
    assert project.run()["exit_code"] == 0
    with DatabaseManager(project.connection_string) as db:
        assert db.table_names() == tables


def test_the_history_tells_of_every_run(project: Project) -> None:
    project.run("--date", "2024-01-20")
    project.run("--full-refresh")
    runs = project.query("SELECT run_id, mode, status, error FROM etl_run ORDER BY run_id")
    assert [run[1:] for run in runs] == [
        ("date", "success", None),
        ("full_refresh", "success", None),
    ]
    states = project.query("SELECT DISTINCT status FROM etl_quality ORDER BY status")
    assert states == [("info",), ("passed",)]  # the sample is of 2024


def test_the_watermark_is_moved_by_plain_runs_only(project: Project) -> None:
    project.run("--date", "2024-01-20")
    assert project.query("SELECT * FROM etl_watermark") == []
    project.run()
    (mark,) = project.query("SELECT watermark FROM etl_watermark")
    assert mark == project.query("SELECT max(transaction_date) FROM sales_fact")[0]
    assert project.run()["window"] == "sales from 2024-01-28 on"


def test_a_source_that_failed_is_in_the_history(project: Project) -> None:
    (project.input / "products.json").unlink()
    assert project.run()["exit_code"] == 3
    ((status, error),) = project.query("SELECT status, error FROM etl_run")
    assert status == "attention"
    assert "products.json" in error


def test_the_log_file_knows_the_run_and_the_stage(project: Project) -> None:
    (project.input / "products.json").write_text("{")
    summary = project.run()
    lines = (project.logs / "etl_errors.log").read_text("utf-8").splitlines()
    (record,) = map(json.loads, lines)
    assert record["run_id"] == summary["run_id"]
    assert record["source"] == "products"
    assert "Traceback" in record["exception"]


def test_no_log_line_of_a_run_is_lost_to_its_threads(project: Project) -> None:
    summary = project.run()
    lines = (project.logs / "etl_pipeline.log").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert {record["run_id"] for record in records} == {summary["run_id"]}
    assert any(record["thread"] == "read-sales" for record in records)


def test_each_run_is_archived_when_asked_for(project: Project) -> None:
    project.settings["ARCHIVE_DIR"] = str(project.folder / "archive")
    summary = project.run()
    kept = project.folder / "archive" / summary["run_id"]
    assert gzip.decompress((kept / "customers.csv.gz").read_bytes()) == (
        (SAMPLE / "customers.csv").read_bytes()
    )
    assert sorted(path.name for path in kept.iterdir()) == [
        "customers.csv.gz", "products.json.gz", "sales_transactions.csv.gz", "settings.json",
    ]  # fmt: skip


def test_an_archive_that_cannot_be_written_is_reported_and_the_load_goes_on(
    project: Project,
) -> None:
    blocked = project.folder / "blocked"
    blocked.write_text("a file where the folder should be")
    project.settings["ARCHIVE_DIR"] = str(blocked)
    summary = project.run()
    assert summary["exit_code"] == 3
    assert "archive" in summary["attention"][0]
    assert summary["tables"]["sales_fact"]["rows_inserted"] == 327


def test_duplicates_of_a_file_that_changed_meanwhile_fail_their_source(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project.input / "customers.csv"
    remove = Staging.remove_duplicates

    def swap_and_remove(*args: Any) -> Any:
        lines = path.read_text("utf-8-sig").splitlines(keepends=True)
        path.write_text("".join([lines[0], *reversed(lines[1:])]), encoding="utf-8")
        return remove(*args)

    monkeypatch.setattr(Staging, "remove_duplicates", swap_and_remove)
    summary = project.run()
    assert summary["exit_code"] == 3
    assert "changed between two readings" in summary["sources"][0]["error"]
    assert not [row for row in project.tables()["customer_dim"] if not row["is_inferred"]]
