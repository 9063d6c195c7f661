"""The commands of the runbook, carried out in a copy of the project, in the order of the page."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import yaml
from pipeline_runs import Project
from pipeline_runs import command as run_command
from project_copy import ROOT, Copy, blocks_of, copy, sections_of

from etl.alerts import texts

__all__ = ["copy"]  # a fixture

SECTIONS = sections_of(ROOT / "docs" / "operations.md")


def commands_of(section: str) -> list[str]:
    return [block for language, block in blocks_of(SECTIONS[section]) if language == "bash"]


def first_cells(section: str, head: str) -> list[str]:
    """The first cell of each row of the table whose head begins so."""
    table = SECTIONS[section].partition(f"| {head} |")[2]
    rows = re.findall(r"^ *\|(?! *-)([^|]+)\|", table.partition("\n\n")[0], re.MULTILINE)
    return [row.strip() for row in rows]


@pytest.fixture
def project(copy: Copy) -> Copy:
    """A copy with settings of prod, which has run once."""
    settings = "DB_CONNECTION_STRING=duckdb:///data/output/prod/warehouse.duckdb\n"
    (copy.folder / ".env.prod").write_text(settings, encoding="utf-8")
    copy.python("etl_pipeline.py", "--env", "prod")
    return copy


def test_what_was_backed_up_is_restored_and_goes_on(project: Copy) -> None:
    backup, restore = commands_of("Backup and restore")
    project.bash(backup)
    warehouse = project.folder / "data" / "output" / "prod" / "warehouse.duckdb"
    before = warehouse.read_bytes()
    warehouse.write_bytes(b"damaged")
    printed = project.bash(restore)
    assert (project.folder / "backup" / "prod" / "warehouse.duckdb").read_bytes() == before
    assert "healthy, exit code 0" in printed and "success" in printed
    journal = (warehouse.parent / "run_journal.jsonl").read_text(encoding="utf-8").splitlines()
    first, second = map(json.loads, journal)
    assert second["tables"]["sales_fact"]["rows_inserted"] == 0
    assert first["run_id"] < second["run_id"]


@pytest.mark.parametrize("section", ["Upgrade", "Rotation of secrets"])
def test_the_commands_are_carried_out(project: Copy, section: str) -> None:
    (commands,) = commands_of(section)
    (project.folder / "backup").mkdir(exist_ok=True)
    assert "exit code 0" in project.bash(commands)
    assert (project.folder / ".env.prod").exists()


# --- a line for each alert, and one for each exit code ------------------------------------------

RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "nightly_etl.rules.yml").read_text())


def headlines() -> set[str]:
    """The words that alerts begin with, as the code has them."""
    code = "".join(path.read_text("utf-8") for path in (ROOT / "etl" / "alerts").glob("*.py"))
    found = {each for line in re.findall(r"headline=(.*)", code) for each in line.split('"')[1::2]}
    return {*found, *texts._HEADLINES.values(), "Warehouse in Use"}


def test_every_alert_has_its_line() -> None:
    cells = first_cells("What to do for an alert", "Alert")
    known = {name.strip() for cell in cells for name in re.split("[,;]", cell)}
    rules = RULES["groups"][0]["rules"]
    assert headlines() | {rule["alert"] for rule in rules} <= known
    anchors = {heading.lower().replace(" ", "-") for heading in SECTIONS}
    assert {rule["annotations"]["runbook"].partition("#")[2] for rule in rules} <= anchors


@pytest.fixture
def night(tmp_path: Path) -> Project:
    """A warehouse that was loaded."""
    made = Project(tmp_path, LOG_LEVEL="CRITICAL")
    shutil.copytree(ROOT / "data" / "input", made.input, dirs_exist_ok=True)
    made.run()
    return made


@contextmanager
def without(*paths: Path) -> Iterator[None]:
    """As if these files had not been delivered."""
    for path in paths:
        path.rename(path.with_suffix(".late"))
    yield
    for path in paths:
        path.with_suffix(".late").rename(path)


@contextmanager
def wrong_settings(project: Project) -> Iterator[None]:
    project.settings["MAX_REJECT_RATE"] = "many"
    yield
    project.settings["MAX_REJECT_RATE"] = "0.1"


@contextmanager
def read_by_another(project: Project) -> Iterator[None]:
    reading = (
        "import duckdb, sys; held = duckdb.connect(sys.argv[1], read_only=True); "
        "print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", reading, str(project.warehouse)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield
        other.communicate()


CAUSES: dict[int, Callable[[Project], AbstractContextManager[None]]] = {
    1: lambda project: without(*project.input.iterdir()),
    2: wrong_settings,
    3: lambda project: without(project.input / "customers.csv"),
    4: read_by_another,
}


def test_each_exit_code_comes_as_the_runbook_says_and_the_next_run_makes_up_for_it(
    night: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = [int(cell) for cell in first_cells("At three in the morning", "Exit code")]
    assert codes == [0, *CAUSES]
    for code, cause in CAUSES.items():
        with cause(night):
            assert run_command(night, monkeypatch) == code
    assert run_command(night, monkeypatch, "--health-check") == 0
    assert run_command(night, monkeypatch) == 0
