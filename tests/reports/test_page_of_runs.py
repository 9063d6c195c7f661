"""Each run refreshes the page over the runs, however it ends, and no run fails because of it."""

import csv
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pipeline_runs import Project, command

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, LOG_LEVEL="CRITICAL")
    shutil.copytree(SAMPLE, project.input, dirs_exist_ok=True)
    return project


class _Text(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words.extend(data.split())


def words_of(project: Project) -> str:
    return " ".join(_Text((project.output / "dashboard.html").read_text("utf-8")).words)


def test_a_run_that_loads_is_on_the_page_and_the_summary_says_where(project: Project) -> None:
    summary = project.run()
    assert summary["page"] == str(project.output / "dashboard.html")
    words = words_of(project)
    assert summary["run_id"] in words
    assert "Loaded, 26 records rejected" in words


def test_a_run_that_fails_before_it_reaches_the_warehouse_is_on_the_page(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run()
    project.settings["DB_CONNECTION_STRING"] = "postgresql://a:hunter2@127.0.0.1:1/dw"
    project.settings["MAX_RETRIES"] = "0"
    assert command(project, monkeypatch) == 1
    words = words_of(project)
    assert "success 1, failed 1" in words
    assert "hunter2" not in words


def test_a_dry_run_makes_no_page(project: Project) -> None:
    assert project.run("--dry-run")["page"] == ""
    assert not (project.output / "dashboard.html").exists()


def test_a_page_that_cannot_be_written_fails_no_run(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    (project.output / "dashboard.html").mkdir(parents=True)
    assert project.run()["exit_code"] == 0
    assert "the page over the runs was not written" in caplog.text


def test_a_source_that_failed_flows_nowhere(project: Project) -> None:
    project.run()
    (project.input / "products.json").write_text('{"products": [', encoding="utf-8")
    project.run()
    page = (project.output / "dashboard.html").read_text("utf-8")
    _, _, products = page.partition("product_dim <span")
    route, _, after = products.partition("</ul>")
    assert "failed" in route
    assert "<path" not in route
    assert "<path" in after


def test_a_source_that_was_held_back_shows_what_was_rejected_and_where(project: Project) -> None:
    lines = (project.input / "customers.csv").read_text("utf-8").splitlines()
    broken = [line.replace(",", ";") for line in lines[1:60]]
    (project.input / "customers.csv").write_text("\n".join([*lines, *broken]), encoding="utf-8")
    summary = project.run()
    (rejected,) = (s["rejected_file"] for s in summary["sources"] if s["source"] == "customers")
    words = words_of(project)
    assert "Loaded, but customers held back" in words
    assert "customers → customer_dim held back" in words
    assert f"All of them are in {rejected}" in words
    counts = summary["tables"]["customer_dim"]
    assert counts["rows_rejected"] > 50
    assert f"{counts['rows_rejected']} rejected" in words


def test_the_samples_are_records_of_the_rejected_files(project: Project) -> None:
    project.run()
    (path,) = (project.output / "rejected").glob("sales_*.csv")
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rejected = [row for row in csv.DictReader(lines) if row["error_class"] != "duplicate"]
    words = words_of(project)
    shown = [row for row in rejected if " ".join(row["reason"].split()) in words]
    kinds = {(row["error_class"], row["field"]) for row in rejected}
    assert len({(row["error_class"], row["field"]) for row in shown}) >= min(5, len(kinds))
