"""What belongs to a run: folders of its environment alone, and rights for its owner alone."""

import os
import stat
import sys
from pathlib import Path

import pytest
from pipeline_runs import Project, ended, start

SALE = {
    "transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": "1",
    "unit_price": "10.00", "transaction_date": "2024-01-20",
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, LOG_LEVEL="ERROR", MAX_REJECT_RATE="0.6")
    project.write(customers=[{"customer_id": "C1"}, {"first_name": "Nobody"}], sales=[SALE])
    return project


def test_two_environments_with_one_output_folder_share_nothing(project: Project) -> None:
    for env in ("dev", "test"):
        assert project.run("--env", env, "--export", "csv")["exit_code"] == 0
    made = {
        env: {str(p.relative_to(project.output.parent / env)) for p in files_of(project, env)}
        for env in ("dev", "test")
    }
    assert {"warehouse.duckdb", "run_journal.jsonl", "dashboard.html"} <= made["dev"] & made["test"]
    assert {path.name for path in project.output.parent.iterdir()} == {"dev", "test"}


def files_of(project: Project, env: str) -> list[Path]:
    return [path for path in (project.output.parent / env).rglob("*") if path.is_file()]


@pytest.mark.skipif(sys.platform == "win32", reason="rights are the system's there")
@pytest.mark.parametrize(("mode", "files", "folders"), [("0600", 0, 0), ("0640", 0o40, 0o50)])
def test_what_a_run_makes_is_for_its_owner_and_those_of_file_mode(
    project: Project, mode: str, files: int, folders: int
) -> None:
    for path in project.input.iterdir():
        path.chmod(0o600)
    project.settings |= {"FILE_MODE": mode, "ARCHIVE_DIR": str(project.folder / "archive")}
    former = os.umask(0o022)
    try:
        assert ended(start(project, "--export", "csv")).returncode == 0
    finally:
        os.umask(former)
    made = [project.output.parent, project.logs, project.folder / "archive"]
    made += [path for folder in made for path in folder.rglob("*")]
    wrong = {
        path: oct(stat.S_IMODE(path.stat().st_mode))
        for path in made
        if path.stat().st_mode & 0o077 != (folders if path.is_dir() else files)
    }
    assert len(made) > 15
    assert not wrong


@pytest.mark.skipif(sys.platform == "win32", reason="rights are the system's there")
def test_the_rights_of_the_process_are_as_before_once_the_run_is_over(project: Project) -> None:
    former = os.umask(0o027)
    try:
        project.run()
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(former)


def test_an_output_folder_that_cannot_be_written_is_one_clear_line(project: Project) -> None:
    project.output.parent.write_text("a file where the folder belongs")
    result = ended(start(project))
    assert result.returncode == 1
    line, log, command = result.stderr.splitlines()
    assert log == f"the log: {project.folder / 'logs' / 'etl_pipeline.log'}"
    assert command.startswith("then run: ")
    assert f"OUTPUT_DIR cannot be used: {project.output} cannot be written" in line
    assert "Next: set OUTPUT_DIR" in line
