"""The copy of an embedded warehouse that BI tools read while runs come and go."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from engines import Engine
from pipeline_runs import Project

from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.monitoring.health.report import pipeline_health_check

# Opens a database for reading only, and answers each line with the number of its sales.
READER = """
import duckdb, sys
with duckdb.connect(sys.argv[1], read_only=True) as db:
    for line in sys.stdin:
        print(db.execute("SELECT count(*) FROM sales_fact").fetchone()[0], flush=True)
"""
# Tries to open a database for writing.
WRITER = "import duckdb, sys; duckdb.connect(sys.argv[1])"


def sales(count: int) -> list[dict[str, str]]:
    return [
        {"transaction_id": f"T{n}", "customer_id": "C1", "product_id": "P1", "quantity": "1",
         "unit_price": "5", "transaction_date": "2024-01-20"}
        for n in range(count)
    ]  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "bi" / "sales.duckdb"


@pytest.fixture
def project(tmp_path: Path, copy: Path) -> Project:
    project = Project(tmp_path, READ_COPY=str(copy))
    project.write(sales=sales(3))
    return project


def count_in(path: Path) -> int:
    with duckdb.connect(path, read_only=True) as db:
        ((found,),) = db.execute("SELECT count(*) FROM sales_enriched").fetchall()
        return int(found)


class Reader:
    """Another process that has a database open."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def count(self) -> int:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        yield Reader(process)
        process.communicate()


def test_each_run_leaves_a_copy_of_the_warehouse_with_the_run_itself(
    project: Project, copy: Path
) -> None:
    first = project.run()
    assert count_in(copy) == 3
    with duckdb.connect(copy, read_only=True) as db:
        runs = db.execute("SELECT run_id, status FROM etl_run").fetchall()
    assert runs == [(first["run_id"], "success")]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_a_reader_stops_no_run_and_sees_one_state_until_it_opens_the_copy_again(
    project: Project, copy: Path
) -> None:
    project.run()
    with reading(copy) as reader:
        assert reader.count() == 3
        project.write(sales=sales(7))
        assert project.run()["exit_code"] == 0
        assert reader.count() == 3
        with reading(copy) as second:
            assert second.count() == 7


def test_the_warehouse_stays_locked_while_it_is_copied_and_after(
    tmp_path: Path, copy: Path
) -> None:
    with DatabaseManager(f"duckdb:///{tmp_path}/w.duckdb") as db:
        db.copy_to(copy)
        tried = subprocess.run(
            [sys.executable, "-c", WRITER, f"{tmp_path}/w.duckdb"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert "Conflicting lock is held" in tried.stderr


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "READ_COPY" in r.getMessage()]


def test_a_full_disk_leaves_the_copy_as_it_was_and_the_run_as_good_as_ever(
    project: Project, copy: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    project.run()
    project.write(sales=sales(7))

    def full(source: object, target: object, length: int = 0) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", full)
    summary = project.run()
    assert (summary["status"], summary["exit_code"]) == ("success", 0)
    assert project.query("SELECT count(*) FROM sales_fact") == [(7,)]
    assert count_in(copy) == 3
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    assert warnings(caplog) == [f"READ_COPY: {copy} was not replaced: No space left on device"]


def test_what_somebody_wrote_to_the_copy_is_not_mixed_into_the_next_one(
    project: Project, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project.run()
    log = copy.with_name(f"{copy.name}.wal")
    log.write_bytes(b"theirs")
    assert project.run()["exit_code"] == 0
    assert log.read_bytes() == b"theirs"
    assert f"remove {log}" in warnings(caplog)[0]


def test_the_warehouse_itself_is_no_place_for_its_copy(tmp_path: Path) -> None:
    with (
        DatabaseManager(f"duckdb:///{tmp_path}/w.duckdb") as db,
        pytest.raises(LoadingError, match="is the warehouse itself"),
    ):
        db.copy_to(tmp_path / "w.duckdb")


def test_half_written_copies_of_killed_runs_are_removed_and_files_of_others_kept(
    project: Project, copy: Path
) -> None:
    copy.parent.mkdir()
    (copy.parent / f"{copy.name}.abcd1234.part").write_bytes(b"half")
    others = copy.parent / "notes.part"
    others.write_bytes(b"theirs")
    project.run()
    assert {path.name for path in copy.parent.iterdir()} == {copy.name, "notes.part"}


def test_a_dry_run_makes_no_copy(project: Project, copy: Path) -> None:
    project.run("--dry-run")
    assert not copy.exists()


def test_what_has_no_file_is_not_copied(copy: Path) -> None:
    with DatabaseManager("duckdb:///:memory:") as db, pytest.raises(LoadingError, match="memory"):
        db.copy_to(copy)


def test_a_server_is_read_itself(
    postgresql: Engine, tmp_path: Path, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = Project(tmp_path, READ_COPY=str(copy))
    assert project.run()["exit_code"] == 0
    assert warnings(caplog) == [
        f"READ_COPY: {copy} was not replaced: PostgreSQL has no file that could be copied"
    ]


def test_the_health_check_looks_at_the_folder_of_the_copy(project: Project) -> None:
    names = {check["name"] for check in pipeline_health_check(project.config())["checks"]}
    assert "copy folder" in names
