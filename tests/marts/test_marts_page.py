"""The page on marts: its example is built over the sample, and gives what the page shows."""

import re
from pathlib import Path

import pytest
from pipeline_runs import Project
from project_copy import blocks_of

from etl.engines.duckdb import DUCKDB
from etl.marts.plan import plan_marts
from etl.schema.star import STAR_TABLES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "marts.md").read_text(encoding="utf-8")
FILE, QUERY = (block for language, block in blocks_of(PAGE) if language == "sql")
SHOWN = re.compile(r"<!-- example: weekdays -->\n(.*?)<!-- /example -->", re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, INPUT_DIR=str(ROOT / "data" / "input"))
    (tmp_path / "marts").mkdir()
    (tmp_path / "marts" / "weekday_revenue.sql").write_text(FILE)
    return project


def test_the_example_gives_what_the_page_shows(project: Project) -> None:
    summary = project.run("--marts")
    assert not [mart for mart in summary.marts if mart.failed]
    rows = [" | ".join(map(str, row)) for row in project.query(QUERY)]
    table = ["day_name | days | revenue | revenue_per_day", "---|---:|---:|---:", *rows]
    shown = SHOWN.search(PAGE)
    assert shown
    assert shown[1].splitlines() == [f"| {line} |" if "---" not in line else f"|{line}|"
                                     for line in table]  # fmt: skip


def test_the_page_names_every_mart_and_its_columns() -> None:
    listed = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE))
    marts = {mart.name: mart.table for mart in plan_marts(Path("/none"), DUCKDB, STAR_TABLES).marts}
    assert set(listed) == set(marts)
    for name, words in listed.items():
        assert set(re.findall(r"`(\w+)`", words)) <= set(marts[name].names)
