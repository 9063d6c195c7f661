"""The commands of the runbook, carried out in a copy of the project, in the order of the page."""

import json

import pytest
from project_copy import ROOT, Copy, blocks_of, copy, sections_of

__all__ = ["copy"]  # a fixture

SECTIONS = sections_of(ROOT / "docs" / "operations.md")


def commands_of(section: str) -> list[str]:
    return [block for language, block in blocks_of(SECTIONS[section]) if language == "bash"]


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
