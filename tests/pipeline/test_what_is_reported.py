"""What a run reports of itself: true counts, its stages, changed settings, a stale watermark."""

import argparse
import json
import os
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pipeline_runs import COMMAND, Project, command, ended, start

from etl.errors import ConfigurationError
from etl.history.journal import JOURNAL, read_entries
from etl.history.summary import RunSummary
from etl_pipeline import run_etl_pipeline

SALE = {
    "transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": "1",
    "unit_price": "10.00", "transaction_date": "2024-01-20",
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, LOG_LEVEL="CRITICAL")
    project.write(customers=[{"customer_id": "C1"}], sales=[SALE])
    return project


def without_most_keys(project: Project) -> None:
    customers = [{"customer_id": f"C{n}" if n < 6 else "", "first_name": "Ann"} for n in range(10)]
    project.write(customers=[*customers, {"customer_id": "C0", "first_name": "Ann"}], sales=[SALE])


# --- a source that is held back ------------------------------------------------------------


def test_a_source_that_is_held_back_has_its_true_counts_and_its_rejected_file(
    project: Project,
) -> None:
    without_most_keys(project)
    summary = project.run()
    (entry,) = read_entries(project.output / JOURNAL)
    for run in (summary, RunSummary.from_dict(entry)):
        counts = run["tables"]["customer_dim"]
        assert (counts["rows_read"], counts["rows_rejected"]) == (11, 4)
        assert (counts["rows_duplicate"], counts["rows_not_loaded"]) == (1, 6)
        assert counts["rows_inferred"] == 1  # the sale names C1
        assert run.sources[0].status == "held back"
        assert len(Path(run.sources[0].rejected_file).read_text().splitlines()) == 6
        assert (run.measured.records, run.measured.errors) == (12, 4)
    assert entry["rejects"][0]["rows"] == 4
    rows = project.query("SELECT rows_read, rows_rejected FROM etl_lineage ORDER BY source")
    assert rows[0] == (11, 4)


def test_the_console_prints_the_rejected_file_of_a_source_that_is_held_back(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_most_keys(project)
    assert command(project, monkeypatch) == 3
    shown = capsys.readouterr().out
    (path,) = (project.output / "rejected").iterdir()
    assert f"rejected records: {path}" in shown
    assert "not loaded" in shown
    assert "held back: customers held back: 4 of 11 records rejected" in shown


# --- when nothing is loaded ----------------------------------------------------------------


def test_when_all_sources_fail_records_are_those_of_sources_and_none_is_a_success(
    project: Project,
) -> None:
    for path in project.input.iterdir():
        path.unlink()
    summary = project.run()
    assert summary["status"] == "failed"
    assert summary["metrics"]["total_records"] == 0
    assert summary["metrics"]["stages"]["extraction"]["errors"] == 3
    assert summary.success_rate == 0
    email = (project.logs / "alerts" / "email_alerts.log").read_text("utf-8")
    assert "Success Rate: 100" not in email
    assert "43" not in str(summary["metrics"]["total_records"])


def test_what_was_read_of_a_source_that_failed_halfway_is_counted(project: Project) -> None:
    (project.input / "products.json").write_text('{"products": [{"product_id": "P1"}, {"produ')
    project.settings["CHUNK_ROWS"] = "1"
    counts = project.run()["tables"]["product_dim"]
    assert counts["rows_read"] == counts["rows_not_loaded"]
    assert counts["rows_rejected"] == counts["rows_inserted"] == 0


# --- the log -------------------------------------------------------------------------------


def records_of(project: Project) -> list[dict[str, Any]]:
    lines = (project.logs / "etl_pipeline.log").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_log_has_the_start_and_the_end_of_each_stage_and_of_the_run(project: Project) -> None:
    summary = project.run()
    records = records_of(project)
    messages = [record["message"] for record in records]
    for phase in ("data extraction", "data transformation", "data loading"):
        assert f"Starting {phase} phase" in messages
    assert "Running data quality validation" in messages
    ends = {r["stage"]: r for r in records if r.get("event") == "stage_end"}
    assert list(ends) == ["extraction", "transformation", "loading", "validation"]
    assert ends["extraction"]["records"] == 2
    assert ends["validation"]["records"] == 0  # checks are no records
    assert "records" not in ends["validation"]["message"]
    for record in ends.values():
        assert {"errors", "seconds", "records_per_second", "memory_mb"} <= record.keys()
        assert record["status"] == "ok"
    (started,) = (r for r in records if r.get("event") == "run_start")
    (end,) = (r for r in records if r.get("event") == "run_end")
    assert started["mode"] == "incremental"
    assert (end["status"], end["exit_code"], end["records"]) == ("success", 0, 2)
    assert end["memory_mb"] > 1
    assert end["run_id"] == summary["run_id"]


def test_every_line_of_a_run_has_its_stage(project: Project) -> None:
    (project.input / "products.json").unlink()
    project.run()
    assert [r["message"] for r in records_of(project) if not r["stage"]] == []


def test_with_few_lines_on_the_console_the_file_still_says_how_a_night_went(
    project: Project,
) -> None:
    assert " INFO " not in ended(start(project, "--log-level", "WARNING")).stderr
    (project.input / "products.json").unlink()
    ended(start(project, "--log-level", "WARNING"))
    project.output.joinpath("warehouse.duckdb").write_text("no warehouse at all" * 1000)
    ended(start(project, "--log-level", "WARNING"))
    ends = [r for r in records_of(project) if r.get("event") == "run_end"]
    assert [(r["status"], r["exit_code"]) for r in ends] == [
        ("success", 0), ("attention", 3), ("failed", 1),
    ]  # fmt: skip
    assert "products.json" in ends[1]["error"]


# --- settings that changed -----------------------------------------------------------------


def test_a_rule_setting_that_differs_from_that_of_earlier_rows_is_reported(
    project: Project,
) -> None:
    assert project.run()["notices"] == []
    project.settings["COMMISSION_RATE"] = "0.05"
    for _ in range(2):
        (notice,) = project.run()["notices"]
        assert "COMMISSION_RATE is 0.05" in notice
        assert "computed with 0.03" in notice
        assert "--full-refresh" in notice
    assert project.query("SELECT commission FROM sales_fact") == [(pytest.approx(0.5),)]
    project.write(customers=[{"customer_id": "C1"}], sales=[SALE, {**SALE, "transaction_id": "T2"}])
    assert project.run("--full-refresh")["notices"] == []
    assert project.run()["notices"] == []


def test_a_setting_of_a_source_that_is_read_whole_holds_for_all_its_rows(project: Project) -> None:
    project.run()
    project.settings["DEFAULT_AREA_CODE"] = "212"
    assert project.run()["notices"] == []


def test_a_changed_setting_is_printed(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.run()
    project.settings["COMMISSION_RATE"] = "0.05"
    assert command(project, monkeypatch) == 0
    assert "note: COMMISSION_RATE is 0.05" in capsys.readouterr().out


# --- a watermark that lies ahead -----------------------------------------------------------


def test_a_run_that_reads_no_sale_although_the_source_has_newer_ones_says_so(
    project: Project,
) -> None:
    project.run()
    move_watermark(project, datetime(2024, 6, 1))
    later = {**SALE, "transaction_id": "T2", "transaction_date": "2024-02-10"}
    project.write(customers=[{"customer_id": "C1"}], sales=[SALE, later])
    summary = project.run()
    assert summary["exit_code"] == 3
    (line,) = summary["attention"]
    assert "none was read, but the source has 1 after the newest one in the warehouse" in line
    assert "--start-date 2024-01-20 --end-date 2024-05-29" in line
    project.run("--start-date", "2024-01-20", "--end-date", "2024-05-29")
    assert project.run()["attention"] == []


def move_watermark(project: Project, moment: datetime) -> None:
    with duckdb.connect(str(project.warehouse)) as db:
        db.execute("UPDATE etl_watermark SET watermark = ?", [moment])


# --- arguments -----------------------------------------------------------------------------


def test_a_parser_of_ones_own_with_the_arguments_of_the_specification_serves(
    project: Project,
) -> None:
    args = argparse.Namespace(env="dev", date="2024-01-20", full_refresh=False)
    summary = run_etl_pipeline(project.config(), args)
    assert summary["window"] == "sales of 2024-01-20"


@pytest.mark.parametrize("day", ["2024-01-20", date(2024, 1, 20)])
def test_single_arguments_serve_notebooks(project: Project, day: object) -> None:
    summary = run_etl_pipeline(project.config(), env="dev", date=day, dry_run=True)
    assert summary["window"] == "sales of 2024-01-20"
    assert not project.output.exists()


def test_an_argument_that_there_is_not_is_named(project: Project) -> None:
    with pytest.raises(TypeError, match=r"no argument dat; there are .*env, date"):
        run_etl_pipeline(project.config(), dat="2024-01-20")


def test_a_choice_that_there_is_not_is_refused_before_the_run(project: Project) -> None:
    with pytest.raises(ConfigurationError, match=r"no --export 'xml'. Choices: csv, parquet"):
        run_etl_pipeline(project.config(), export="xml")
    assert not project.output.exists()


# --- output that nobody reads to its end ---------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
@pytest.mark.parametrize("argv", [["--print-schema"], ["--health-check"], ["--json"], []])
def test_a_reader_who_stops_early_gets_no_trace(project: Project, argv: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as nobody:
        process = subprocess.run(
            [sys.executable, str(COMMAND), *argv], env={**os.environ, **project.settings},
            stdout=nobody, stderr=subprocess.PIPE, check=False, encoding="utf-8",
        )  # fmt: skip
    assert (process.returncode, process.stderr) == (0, "")


# --- the warehouse of version 0.1 ----------------------------------------------------------


def test_a_warehouse_of_version_0_1_is_named_and_not_touched(project: Project) -> None:
    old = project.output.parent / "warehouse.duckdb"
    old.parent.mkdir()
    old.write_bytes(b"of version 0.1")
    summary = project.run()
    (line,) = summary["attention"]
    assert str(old) in line
    assert f"DB_CONNECTION_STRING=duckdb:///{old}" in line
    assert old.read_bytes() == b"of version 0.1"
    assert project.run()["attention"] == []
