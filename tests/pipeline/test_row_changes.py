"""Who changed what, of tables that ask for it: from a declaration to the rows of the log."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pipeline_runs import Project

from etl.engines.database import DatabaseManager
from etl.history.runs import utc_now

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"

PIPELINE = """
[sources.customers]
changes = true

[loads.shop]
source.path = "shops.csv"
table = "shop"
key = ["shop_id", "line"]
mode = "replace"
columns.shop_id = "text(9)"
columns.line = "integer"
columns.city = "text(20)"
columns.total = "decimal(9, 2)"
columns.opened_at = "timestamp"
columns.is_open = "boolean"
changes = { days = 30 }
"""
HEADER = "shop_id,line,city,total,opened_at,is_open"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "pipeline.toml").write_text(PIPELINE, encoding="utf-8")
    settings = {"PIPELINE_FILE": str(tmp_path / "pipeline.toml"), "MAX_REMOVED_RATE": "1"}
    project = Project(tmp_path, LOG_LEVEL="WARNING", BATCH_SIZE="50", **settings)
    shutil.copytree(SAMPLE, project.input, dirs_exist_ok=True)
    return project


def write(project: Project, *records: str) -> None:
    (project.input / "shops.csv").write_text("\n".join((HEADER, *records)) + "\n", encoding="utf-8")


def changes(project: Project, table: str = "shop") -> list[tuple[Any, ...]]:
    return project.query(
        "SELECT record_key, kind, column_name, old_value, new_value FROM etl_row_change "
        f"WHERE table_name = '{table}' ORDER BY 1, 2, 3"
    )


@pytest.mark.usefixtures("every_engine")
def test_each_changed_value_is_noted_with_what_it_was(project: Project) -> None:
    write(project, "A,1,Ulm,1.50,2024-01-01 10:00,true", "A,2,Ulm,2,,", "B,1,Bonn,3,,")
    project.run()
    assert changes(project) == []  # that all of it is new is no change of anything
    write(project, "A,1,ulm,1.5,2024-01-02 10:00,false", "A,2,,2,,", "C,1,Rom,4,,")
    run_id = project.run()["run_id"]
    assert changes(project) == [
        ("A|1", "updated", "city", "Ulm", "ulm"),
        ("A|1", "updated", "is_open", "true", "false"),
        ("A|1", "updated", "opened_at", "2024-01-01 10:00:00.000000", "2024-01-02 10:00:00.000000"),
        ("A|2", "updated", "city", "Ulm", None),
        ("B|1", "removed", None, None, None),
        ("C|1", "inserted", None, None, None),
    ]
    facts = project.query("SELECT DISTINCT run_id, changed_by FROM etl_row_change")
    assert [run for run, _ in facts] == [run_id]
    assert facts[0][1]
    project.run()
    assert len(changes(project)) == 6

    long_ago = utc_now() - timedelta(31)
    with DatabaseManager(project.connection_string) as db:
        db.execute("UPDATE etl_row_change SET changed_at = ? WHERE record_key = 'B|1'", (long_ago,))
    project.run()
    assert len(changes(project)) == 5  # kept for 30 days


@pytest.mark.usefixtures("every_engine")
def test_changed_and_removed_customers_are_noted(project: Project) -> None:
    write(project)
    project.run()
    path = project.input / "customers.csv"
    text = path.read_bytes().replace(b"PREMIUM", b"Standard", 1)
    first, _, rest = text.partition(b"\n")
    key = rest.split(b",", 1)[0].decode()
    path.write_bytes(first + b"\n" + rest)
    project.run()
    noted = changes(project, "customer_dim")
    assert [row[:2] for row in noted] == [(key, "updated")] * len(noted)
    assert (key, "updated", "source_segment", "PREMIUM", "Standard") in noted
    path.write_bytes(first + b"\n" + b"\n".join(rest.splitlines()[-40:]) + b"\n")
    project.run("--full-refresh", "--accept", "customers")
    gone = [row for row in changes(project, "customer_dim") if row[1] == "removed"]
    assert len(gone) == project.query(
        "SELECT sum(rows_removed) FROM etl_load WHERE table_name = 'customer_dim'"
    )[0][0]  # fmt: skip
