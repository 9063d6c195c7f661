"""Connections, transactions and batches, on a real engine."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import duckdb
import pyarrow as pa
import pytest
from pipeline_runs import Project, command

from etl.engines.database import DatabaseManager
from etl.engines.ddl import create_temporary
from etl.engines.duckdb import DuckdbSession
from etl.engines.engine import Access
from etl.engines.registry import database_file, engine_of
from etl.errors import CommitUnknownError, ConfigurationError, LoadingError, WarehouseInUseError
from etl.schema.tables import CUSTOMER_DIM, Column, Kind, Table, rejected_key_table

HOLD = """
import duckdb
import sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def db(tmp_path: Path) -> Iterator[DatabaseManager]:
    with DatabaseManager(f"duckdb:///{tmp_path}/w.duckdb") as manager:
        manager.execute("CREATE TABLE numbers (n INTEGER CHECK (n < 100))")
        yield manager


def numbers(db: DatabaseManager) -> list[int]:
    return [n for (n,) in db.query("SELECT n FROM numbers ORDER BY n")]


def test_a_batch_runs_the_statement_once_per_tuple(db: DatabaseManager) -> None:
    assert db.execute_batch("INSERT INTO numbers VALUES (?)", [(n,) for n in range(7)], 3) == 7
    assert numbers(db) == list(range(7))


def test_an_empty_batch_does_nothing(db: DatabaseManager) -> None:
    assert db.execute_batch("INSERT INTO numbers VALUES (?)", []) == 0


def test_a_batch_that_fails_is_rolled_back_and_the_ones_before_it_stay(db: DatabaseManager) -> None:
    data = [(n,) for n in (1, 2, 3, 100, 5)]
    with pytest.raises(LoadingError, match="DuckDB refused") as caught:
        db.execute_batch("INSERT INTO numbers VALUES (?)", data, batch_size=2)
    assert isinstance(caught.value.__cause__, duckdb.ConstraintException)
    assert numbers(db) == [1, 2]


def test_a_batch_inside_a_transaction_belongs_to_it(db: DatabaseManager) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction():
        db.execute_batch("INSERT INTO numbers VALUES (?)", [(1,), (2,)], batch_size=1)
        raise ZeroDivisionError
    assert numbers(db) == []


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_size_below_one_is_refused(db: DatabaseManager, batch_size: int) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        db.execute_batch("INSERT INTO numbers VALUES (?)", [(1,)], batch_size)


def test_leaving_with_an_exception_rolls_back_and_closes(tmp_path: Path) -> None:
    manager = DatabaseManager(f"duckdb:///{tmp_path}/w.duckdb")
    with pytest.raises(ZeroDivisionError), manager as db, db.transaction():
        db.execute("CREATE TABLE numbers (n INTEGER)")
        raise ZeroDivisionError
    with pytest.raises(LoadingError, match="not connected"):
        manager.query("SELECT 1")
    with manager as db:
        assert db.table_names() == set()


def test_a_commit_that_fails_leaves_nothing_and_the_next_one_can_begin(db: DatabaseManager) -> None:
    db.execute("CREATE TABLE keys (k INTEGER PRIMARY KEY)")
    assert isinstance(db.session, DuckdbSession)
    other = db.session.connection.cursor()
    other.begin()
    other.execute("INSERT INTO keys VALUES (1)")
    with pytest.raises(LoadingError, match="Failed to commit"), db.transaction():
        db.execute("INSERT INTO keys VALUES (1)")
        db.execute("INSERT INTO numbers VALUES (1)")
        other.commit()
    other.close()
    assert numbers(db) == []
    with db.transaction():
        db.execute("INSERT INTO numbers VALUES (2)")
    assert numbers(db) == [2]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), LoadingError("refused")])
def test_whatever_ends_a_commit_rolls_back_and_is_raised_as_it_is(
    db: DatabaseManager, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(DuckdbSession, "commit", Mock(side_effect=error))
    with pytest.raises(type(error)) as raised, db.transaction():
        db.execute("INSERT INTO numbers VALUES (1)")
    assert raised.value is error
    assert numbers(db) == []


def test_a_commit_whose_answer_is_lost_is_not_made_again(
    db: DatabaseManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = LoadingError("lost")
    lost.__cause__ = ConnectionResetError()
    commit = Mock(side_effect=lost)
    monkeypatch.setattr(DuckdbSession, "commit", commit)
    with pytest.raises(CommitUnknownError, match="lost") as raised:
        db.execute_batch("INSERT INTO numbers VALUES (?)", [(1,)])
    assert raised.value.__cause__ is lost
    assert commit.call_count == 1
    assert numbers(db) == []


def test_a_transaction_within_a_transaction_is_refused(db: DatabaseManager) -> None:
    with db.transaction(), pytest.raises(LoadingError, match="open already"), db.transaction():
        pass


def test_values_are_bound_never_pasted(db: DatabaseManager) -> None:
    db.execute("CREATE TABLE texts (t VARCHAR)")
    hostile = "x'); DROP TABLE texts; --"
    db.execute_batch("INSERT INTO texts VALUES (?)", [(hostile,)])
    assert db.query("SELECT t FROM texts") == [(hostile,)]


def test_a_block_is_appended_by_column_name(db: DatabaseManager) -> None:
    pairs = Table("pairs", "", (), (Column("a", "", Kind.INTEGER), Column("b", "", Kind.TEXT)))
    db.execute(create_temporary(db.dialect, pairs))
    db.append(pairs, pa.RecordBatch.from_pydict({"b": ["x"]}), {"a": "1"})
    assert db.query("SELECT a, b FROM pairs") == [(1, "x")]


def test_what_was_appended_takes_no_memory_until_the_transaction_ends(db: DatabaseManager) -> None:
    key = rejected_key_table(CUSTOMER_DIM)
    db.execute(create_temporary(db.dialect, key))
    block_bytes, before = 0, pa.total_allocated_bytes()
    with db.transaction():
        for number in range(10):
            keys = pa.array([f"{number}-{place}" for place in range(10_000)])
            block = pa.RecordBatch.from_arrays([keys], ["record_key"])
            block_bytes = block.nbytes
            db.append(key, block)
        assert pa.total_allocated_bytes() - before < 3 * block_bytes


def test_too_little_memory_is_told_with_the_setting_that_helps(tmp_path: Path) -> None:
    access = Access(memory_limit="10MB", temp_directory=str(tmp_path / "tmp"))
    with DatabaseManager(f"duckdb:///{tmp_path}/w.duckdb", access=access) as db:
        db.execute("SET max_temp_directory_size = '1MB'")
        with pytest.raises(LoadingError, match=r"(?s)too little memory.*Next: raise DUCKDB_MEMORY"):
            db.execute("CREATE TEMP TABLE many AS SELECT random() AS n FROM range(10_000_000)")


def test_a_closed_warehouse_is_one_file_that_can_be_copied(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with DatabaseManager(f"duckdb:///{path}") as db:
        db.execute("CREATE TABLE numbers AS SELECT range AS n FROM range(300_000)")
        db.execute("DELETE FROM numbers WHERE n % 20 = 0")
        for n in range(5):
            db.execute("UPDATE numbers SET n = -n WHERE n % 7 = ?", [n])
    assert [each.name for each in tmp_path.iterdir()] == ["w.duckdb"]


def test_what_cannot_be_written_into_the_file_at_the_end_is_told_and_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connection = f"duckdb:///{tmp_path}/w.duckdb"
    with DatabaseManager(connection) as db:
        db.execute("CREATE TABLE numbers AS SELECT 1 AS n")
        db.execute("BEGIN")  # left open, which keeps the engine from writing into the file
        db.execute("INSERT INTO numbers VALUES (2)")
    assert "keep both files together" in caplog.text
    with DatabaseManager(connection) as db:
        assert db.query("SELECT n FROM numbers") == [(1,)]


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    with DatabaseManager(f"duckdb:///{tmp_path}/deep/er/w.duckdb") as db:
        assert db.value("SELECT 42") == 42


def test_an_engine_that_cannot_be_loaded_is_refused_with_the_choices() -> None:
    with pytest.raises(ConfigurationError, match="duckdb:///"):
        engine_of("mysql://host/warehouse")


def test_a_database_in_memory_has_no_file() -> None:
    assert database_file("duckdb:///:memory:") is None


def end(process: subprocess.Popen[str]) -> None:
    process.communicate("")


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Project, int]]:
    """A project whose warehouse another process has open, and that process's id."""
    project = Project(tmp_path, LOG_LEVEL="ERROR")
    project.warehouse.parent.mkdir(parents=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(project.warehouse)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    yield project, holder.pid
    holder.communicate("")


def test_a_warehouse_in_use_names_the_process(held: tuple[Project, int]) -> None:
    project, pid = held
    manager = DatabaseManager(f"duckdb:///{project.warehouse}")
    with pytest.raises(WarehouseInUseError, match=str(pid)), manager:
        pass


def test_a_warehouse_in_use_is_waited_for_as_long_as_told(
    held: tuple[Project, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    project, pid = held
    waits: list[float] = []
    manager = DatabaseManager(
        f"duckdb:///{project.warehouse}", access=Access(lock_wait_s=2.5), sleep=waits.append
    )
    with pytest.raises(WarehouseInUseError), manager:
        pass
    assert waits == [1.0, 1.0, 0.5]
    (told,) = caplog.messages
    assert told.startswith("waiting up to 2.5 s: ")
    assert str(pid) in told


def test_a_warehouse_that_is_released_meanwhile_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        access = Access(lock_wait_s=60)
        manager = DatabaseManager(f"duckdb:///{path}", access=access, sleep=lambda _: end(holder))
        with manager as db:
            assert db.value("SELECT 42") == 42


def test_a_warehouse_in_use_ends_the_command_with_code_4(
    held: tuple[Project, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, pid = held
    assert command(project, monkeypatch) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert f"process {pid}" in line
