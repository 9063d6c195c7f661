"""The journal: a line for every run, whatever becomes of it."""

import json
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pipeline_runs import Project, Record, ended, start

from etl.errors import ETLError, WarehouseInUseError
from etl.history.journal import JOURNAL, MAX_RUNS, append_entry, read_entries
from etl.history.summary import RunSummary

SALE: Record = {
    "transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": "1",
    "unit_price": "10.00", "transaction_date": "2024-01-20",
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, LOG_LEVEL="CRITICAL")
    project.write(customers=[{"customer_id": "C1"}, {"first_name": "Nobody"}], sales=[SALE])
    project.settings["MAX_REJECT_RATE"] = "0.6"
    return project


def entries(project: Project) -> list[dict[str, object]]:
    return read_entries(project.output / JOURNAL)


# --- the file ------------------------------------------------------------------------------


def test_a_missing_journal_has_no_runs(tmp_path: Path) -> None:
    assert read_entries(tmp_path / JOURNAL) == []


def test_damaged_lines_are_left_out_and_cost_no_other(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    append_entry(path, {"run_id": "r1"})
    with path.open("ab") as file:
        file.write(b'\n[1]\n"r"\n{"run_id": 7}\n\xff\xfe\n{"run_id": "cut o')
    append_entry(path, {"run_id": "r2"})
    assert [entry["run_id"] for entry in read_entries(path)] == ["r1", "r2"]


def test_the_last_thousand_runs_are_kept(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    lines = [json.dumps({"run_id": f"r{n}"}) for n in range(MAX_RUNS + 60)]
    path.write_text("\n".join(lines) + "\n")
    append_entry(path, {"run_id": "last"})
    kept = path.read_text().splitlines()
    assert len(kept) == MAX_RUNS
    assert [entry["run_id"] for entry in read_entries(path)][-2:] == [f"r{MAX_RUNS + 59}", "last"]
    assert {file.suffix for file in tmp_path.iterdir()} == {".jsonl", ".lock"}


def test_two_writers_do_not_mix_their_lines_even_while_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    path.write_text('{"run_id": "old"}\n' * (MAX_RUNS + 45))
    names = [f"{writer}-{number}" for number in range(15) for writer in "ab"]
    with ThreadPoolExecutor(2) as pool:
        written = pool.map(lambda n: append_entry(path, {"run_id": n, "x": "x" * 3000}), names)
        assert all(written)
    kept = [entry["run_id"] for entry in read_entries(path)]
    assert sorted(kept[-30:]) == sorted(names)
    assert len(path.read_bytes().splitlines()) < MAX_RUNS + 45


@pytest.mark.skipif(sys.platform == "win32", reason="no /dev/full there")
def test_a_journal_that_cannot_be_written_is_reported_and_raises_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "blocked").write_text("a file where the folder should be")
    with caplog.at_level(logging.ERROR):
        assert not append_entry(tmp_path / "blocked" / JOURNAL, {"run_id": "r1"})
        assert not append_entry(Path("/dev/full"), {"run_id": "r1"})
    assert "the run is not in the journal" in caplog.text
    assert "No space left" in caplog.text


# --- the runs ------------------------------------------------------------------------------


def test_a_run_is_its_summary_as_it_was_returned(project: Project) -> None:
    summary = project.run()
    (entry,) = entries(project)
    assert entry == json.loads(json.dumps(summary.as_dict()))
    assert RunSummary.from_dict(entry).as_dict() == entry
    assert str(entry["started_at"]).endswith("+00:00")
    assert str(entry["finished_at"]) >= str(entry["started_at"])
    assert entry["error"] == ""
    assert entry["rejects"] == [
        {"source": "customers", "error_class": "missing", "field": "customer_id", "rows": 1}
    ]


def test_rejects_add_up_to_the_rejected_records(project: Project) -> None:
    twice = [SALE, SALE, {**SALE, "transaction_id": "T2", "quantity": "0"}]
    project.write(customers=[{"customer_id": "C1"}, {"first_name": "X"}], sales=twice)
    tables = project.run()["tables"]
    (entry,) = entries(project)
    counted = {
        source: sum(r["rows"] for r in entry["rejects"] if r["source"] == source)  # type: ignore[attr-defined]
        for source in ("customers", "sales")
    }
    assert counted == {"customers": 1, "sales": 1}
    assert tables["sales_fact"]["rows_duplicate"] == 1


def test_a_dry_run_leaves_no_line(project: Project) -> None:
    project.run("--dry-run")
    assert not (project.output / JOURNAL).exists()


def test_a_source_that_failed_or_was_held_back_is_reported(project: Project) -> None:
    (project.input / "products.json").unlink()
    project.settings["MAX_REJECT_RATE"] = "0.1"
    project.run()
    (entry,) = entries(project)
    assert entry["status"] == "attention"
    assert "held back" in str(entry["error"])
    assert "products.json" in str(entry["error"])
    states = {each["source"]: each["status"] for each in entry["lineage"]}  # type: ignore[attr-defined]
    assert states == {"customers": "held back", "products": "failed", "sales": "loaded"}
    assert entry["rejects"]  # why it was held back


def test_a_warehouse_in_use_is_reported(project: Project) -> None:
    project.run()
    holder = start(project, launcher=_holds(project.warehouse))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        with pytest.raises(WarehouseInUseError):
            project.run()
    finally:
        holder.kill()
        ended(holder)
    entry = entries(project)[-1]
    assert (entry["status"], entry["exit_code"]) == ("in_use", 4)


def _holds(path: Path) -> str:
    return (
        f"import duckdb, time; c = duckdb.connect({str(path)!r}); print('held', flush=True); "
        "time.sleep(60)"
    )


def test_a_run_without_its_warehouse_is_in_the_journal_and_later_in_the_history(
    project: Project,
) -> None:
    project.warehouse.parent.mkdir(parents=True)
    project.warehouse.write_text("no warehouse at all" * 1000)
    with pytest.raises(ETLError):
        project.run("--date", "2024-01-20")
    (entry,) = entries(project)
    assert (entry["status"], entry["exit_code"], entry["mode"]) == ("failed", 1, "date")
    assert entry["sources"] == []
    project.warehouse.unlink()
    project.run()
    history = project.query('SELECT run_id, status, error FROM "etl_run" ORDER BY run_id')
    assert [row[0] for row in history] == [entry["run_id"], entries(project)[-1]["run_id"]]
    assert [row[1] for row in history] == ["failed", "success"]
    assert history[0][2] == entry["error"]
    project.run()
    assert len(project.query('SELECT run_id FROM "etl_run"')) == 3  # not written down twice


def test_a_run_into_another_warehouse_is_not_in_the_history_of_this_one(project: Project) -> None:
    elsewhere = project.folder / "elsewhere.duckdb"
    elsewhere.write_text("no warehouse at all" * 1000)
    project.settings["DB_CONNECTION_STRING"] = f"duckdb:///{elsewhere}"
    with pytest.raises(ETLError):
        project.run()
    del project.settings["DB_CONNECTION_STRING"]
    project.run()
    assert len(project.query('SELECT run_id FROM "etl_run"')) == 1


def test_a_run_that_is_interrupted_is_reported(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("etl.pipeline.run.run_loads", interrupt)
    with pytest.raises(KeyboardInterrupt):
        project.run()
    (entry,) = entries(project)
    assert entry["status"] == "interrupted"
    assert entry["in_history"] is True


def test_a_secret_that_a_server_repeats_is_not_in_the_journal(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ETLError("login failed with Zz9-secret")

    secret = "Server=x;Database=y;UID=u;PWD=Zz9-secret"  # noqa: S105  # of nothing
    project.settings["SALES_DB_CONNECTION_STRING"] = secret
    monkeypatch.setattr("etl.pipeline.run.run_loads", fail)
    with pytest.raises(ETLError):
        project.run()
    assert "login failed with ***" in str(entries(project)[0]["error"])
    assert "Zz9" not in (project.output / JOURNAL).read_text()


def test_a_line_that_somebody_edited_stops_no_run(project: Project) -> None:
    project.warehouse.parent.mkdir(parents=True)
    where = project.config().database.display_name
    odd = {"run_id": "r", "in_history": False, "warehouse": where, "started_at": 7}
    append_entry(project.output / JOURNAL, odd)
    assert project.run()["exit_code"] == 0


def test_a_run_whose_journal_cannot_be_written_ends_as_it_would(project: Project) -> None:
    (project.output / JOURNAL).mkdir(parents=True)
    assert project.run()["exit_code"] == 0
    assert os.path.isdir(project.output / JOURNAL)  # noqa: PTH112  # said of the path itself
