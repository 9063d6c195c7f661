"""The dbt project of the documents, built by dbt where it is installed, beside the marts."""

import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest
from pipeline_runs import Project

ROOT = Path(__file__).resolve().parents[2]
DBT = os.environ.get("DBT") or shutil.which("dbt") or ""
WHY_NOT = "dbt is not installed: DBT names no program, and there is none on PATH (docs/dbt.md)"


@pytest.mark.skipif(not DBT, reason=WHY_NOT)
def test_its_tests_pass_and_its_revenue_per_day_is_that_of_the_mart(tmp_path: Path) -> None:
    copy, made = tmp_path / "copy.duckdb", tmp_path / "dbt.duckdb"
    project = Project(tmp_path, INPUT_DIR=str(ROOT / "data" / "input"), READ_COPY=str(copy))
    project.run("--marts")
    own = {"READ_COPY": str(copy), "DBT_WAREHOUSE": str(made), "DBT_TARGET_PATH": "target",
           "DBT_LOG_PATH": "logs", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}  # fmt: skip
    shutil.copytree(ROOT / "docs" / "dbt", tmp_path / "dbt")
    done = subprocess.run(
        [DBT, "build"], cwd=tmp_path / "dbt", env={**os.environ, **own}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "ERROR=0" in done.stdout
    columns = "day, orders, items, revenue, profit, new_customers"
    query = f"SELECT {columns} FROM daily_revenue ORDER BY day"
    with duckdb.connect(str(made), read_only=True) as db:
        assert db.execute(query).fetchall() == project.query(query)
        ((segments,),) = db.execute("SELECT sum(revenue) FROM segment_revenue").fetchall()
    assert project.query("SELECT sum(total_amount) FROM sales_fact") == [(segments,)]


def test_the_page_shows_how_it_is_installed_and_run() -> None:
    page = (ROOT / "docs" / "dbt.md").read_text(encoding="utf-8")
    assert "dbt-core<1.12" in page
    for path in (ROOT / "docs" / "dbt").rglob("*.sql"):
        assert f"`{path.stem}`" in page
