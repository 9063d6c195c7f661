"""Connections, transactions and batches, on a real engine."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import duckdb
import pyarrow as pa
import pytest
from engines import Engine
from pipeline_runs import Project, command

from etl.engines.database import DatabaseManager
from etl.engines.ddl import create_temporary
from etl.engines.duckdb import DuckdbSession
from etl.engines.engine import Access
from etl.engines.registry import database_file
from etl.errors import CommitUnknownError, ConfigurationError, LoadingError, WarehouseInUseError
from etl.schema.star import CUSTOMER_DIM
from etl.schema.table import Column, Kind, Table
from etl.schema.work_tables import rejected_key_table

ROOT = Path(__file__).resolve().parents[2]

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


@pytest.fixture
def any_db(every_engine: Engine, tmp_path: Path) -> Iterator[DatabaseManager]:
    """An open database of each engine in turn."""
    embedded = f"duckdb:///{tmp_path}/any.duckdb"
    place = every_engine.new_database() if every_engine.is_server else embedded
    with DatabaseManager(place) as manager:
        manager.execute("CREATE TABLE numbers (n INTEGER)")
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


def test_too_little_memory_is_reported_with_the_setting_that_helps(tmp_path: Path) -> None:
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


def test_what_cannot_be_written_into_the_file_at_the_end_is_reported_and_fails_nothing(
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


def test_a_warehouse_in_use_is_waited_for_as_long_as_allowed(
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
    (message,) = caplog.messages
    assert message.startswith("waiting up to 2.5 s: ")
    assert str(pid) in message


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


# --- what is configured --------------------------------------------------------------------


def test_the_configured_connection_is_taken_as_it_comes(tmp_path: Path) -> None:
    config = Project(tmp_path).config()
    with DatabaseManager(config.database.connection_string) as db:
        assert db.value("SELECT 42") == 42
    assert "warehouse" not in repr(DatabaseManager(config.database.connection_string))


def test_a_manager_is_made_of_the_configuration_with_its_limits(tmp_path: Path) -> None:
    project = Project(tmp_path, DUCKDB_MEMORY_LIMIT="64MB", LOCK_WAIT_SECONDS="7", WORKERS="3")
    db = DatabaseManager.from_config(project.config(), temp_directory=str(tmp_path / "spill"))
    assert (db.access.memory_limit, db.access.lock_wait_s) == ("64MB", 7.0)
    with db:
        assert db.value("SELECT current_setting('memory_limit')") == "61.0 MiB"
        assert db.value("SELECT current_setting('threads')") == 3


def test_read_only_a_missing_warehouse_is_empty_and_is_not_made(tmp_path: Path) -> None:
    project = Project(tmp_path)
    with DatabaseManager.from_config(project.config(), read_only=True) as db:
        assert db.table_names() == set()
    assert not project.warehouse.exists()


def test_what_is_no_connection_string_is_refused_with_a_sentence() -> None:
    with pytest.raises(ConfigurationError, match=r"not int.*from_config\(config\)"):
        DatabaseManager(42)  # type: ignore[arg-type]  # the mistake under test


# --- DataFrames ----------------------------------------------------------------------------


def test_a_query_comes_back_as_a_data_frame_with_exact_values(db: DatabaseManager) -> None:
    frame = db.frame(
        "SELECT 1.10::DECIMAL(9, 2) AS price, DATE '2024-01-20' AS day, ? AS who", ("é",)
    )
    assert list(frame.columns) == ["price", "day", "who"]
    assert frame.to_dict("records") == [
        {"price": Decimal("1.10"), "day": date(2024, 1, 20), "who": "é"}
    ]
    assert db.frame("SELECT n FROM numbers").empty


def test_pandas_is_imported_by_the_first_frame_only(tmp_path: Path) -> None:
    code = (
        "import sys; from etl_pipeline import DatabaseManager\n"
        "with DatabaseManager('duckdb:///:memory:') as db:\n"
        "    db.query('SELECT 1'); print('pandas' in sys.modules)\n"
        "    db.frame('SELECT 1 AS n'); print('pandas' in sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["False", "True"]


# --- a file that is damaged, or was being made ---------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 4096, 12_287, 12_288, 20_000])
def test_a_file_that_was_cut_short_is_kept_and_named_with_what_to_do(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "w.duckdb"
    with DatabaseManager(f"duckdb:///{path}") as db:
        db.execute("CREATE TABLE numbers AS SELECT range AS n FROM range(100_000)")
    cut = path.read_bytes()[:size]
    path.write_bytes(cut)
    with pytest.raises(LoadingError, match=r"w\.duckdb.*restore the file from a backup") as caught:
        DatabaseManager(f"duckdb:///{path}").__enter__()
    assert caught.value.code == "warehouse_damaged"
    assert path.read_bytes() == cut


def test_a_file_that_a_killed_process_was_making_is_in_nobodys_way(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    killed = tmp_path / f"w.duckdb.creating-{ended.pid}"
    killed.write_bytes(b"\0" * 100)
    alive = tmp_path / f"w.duckdb.creating-{os.getppid()}"
    alive.write_bytes(b"\0" * 100)
    with DatabaseManager(f"duckdb:///{tmp_path}/w.duckdb") as db:
        assert db.value("SELECT 42") == 42
    assert {path.name for path in tmp_path.iterdir()} == {"w.duckdb", alive.name}


def test_of_two_that_make_the_file_at_once_neither_replaces_the_other_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.duckdb"
    link = os.link

    def slow(made: Path, to: Path) -> None:
        duckdb.connect(str(path)).execute("CREATE TABLE faster (n INTEGER)").close()
        link(made, to)

    monkeypatch.setattr(os, "link", slow)
    with DatabaseManager(f"duckdb:///{path}") as db:
        assert db.table_names() == {"faster"}


# --- errors of a batch ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "data"),
    [
        ("INSERT INTO nowhere VALUES (?)", [(1,)]),
        ("INSERT INTO numbers VALUES (?)", [(1, 2)]),
        ("INSERT INTO numbers VALUES (?)", [("no number",)]),
        ("INSERT INTO numbers VALUES (?)", [(10**30,)]),
        ("INSERT INTO numbers VALUES (?)", [(object(),)]),
        ("INSERT INTO numbers VALUES (?)", [1]),
    ],
)
@pytest.mark.parametrize("in_transaction", [False, True])
def test_whatever_a_batch_fails_with_is_a_loading_error(
    any_db: DatabaseManager, query: str, data: list[Any], in_transaction: bool
) -> None:
    around = any_db.transaction() if in_transaction else nullcontext()
    with pytest.raises(LoadingError) as caught, around:
        any_db.execute_batch(query, data)
    assert isinstance(caught.value.__cause__, Exception)
    assert any_db.query("SELECT * FROM numbers") == []
