"""Bulk copy into staging tables: what arrives wrong is noticed, deleted and sent again."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from engines import DUCKDB, Engine, using
from server_projects import project_in

from etl.engines import ddl, mssql_driver
from etl.engines.bulk import BulkCopy
from etl.engines.database import DatabaseManager
from etl.engines.dialect import select_all
from etl.engines.engine import Access, Part
from etl.engines.schemas import Schemas
from etl.errors import LoadingError
from etl.schema.arrow import staged_schema
from etl.schema.table import Column, Kind, Table
from etl.schema.work_tables import STAGE_OPEN, rejected_key_table, staging_table
from etl.warehouse import bulk_staging
from etl.warehouse.staging import Staging

THING = Table("thing", "", ("id",), (
    Column("id", "", Kind.TEXT, width=20, required=True, exact=True),
    Column("amount", "", Kind.DECIMAL, precision=18, scale=2),
    Column("n", "", Kind.INTEGER),
    Column("at", "", Kind.TIMESTAMP),
    Column("day", "", Kind.DATE),
    Column("flag", "", Kind.BOOLEAN),
    Column("note", "", Kind.TEXT, width=50),
))  # fmt: skip
LAYOUT = staging_table(THING, permanent=True)
RUN, BATCH_ROWS = "20240101T000000.000000Z", 4


def record(number: int) -> dict[str, Any]:
    return {
        "source_row": number + 2, "id": f"T{number}", "amount": Decimal(number) / 4,
        "n": number % 3 or None, "at": datetime(2024, 1, 1, 1, 2, 3, number),
        "day": date(2024, 1, 1 + number), "flag": bool(number % 2),
        "note": None if number % 4 == 0 else f"漢😀 {number}",
    }  # fmt: skip


RECORDS = [record(number) for number in range(11)]
SCHEMA = pa.schema([pa.field("source_row", pa.int64()), *staged_schema(THING)])
Change = Callable[[dict[str, Any]], dict[str, Any] | None]


class ByInsert:
    """Copies by plain inserts over a connection of its own, after a change to each row."""

    def __init__(self, connection: str, change: Change) -> None:
        self._manager = DatabaseManager(connection, access=Access(read_only=True))
        self._change, self.copied = change, 0

    def copy(self, table: Table, parts: Sequence[Part]) -> None:
        with self._manager as db:
            for block, constants in parts:
                for row in block.to_pylist():
                    changed = self._change({**row, **constants})
                    if changed is not None:
                        names = [column for column in table.columns if column.name in changed]
                        kept = replace(table, columns=tuple(names))
                        marks = ", ".join("?" for _ in names)
                        listed = ", ".join(f'"{c.name}"' for c in names)
                        db.execute(
                            f'INSERT INTO "{kept.name}" ({listed}) VALUES ({marks})',
                            [changed[c.name] for c in names],
                        )
            self.copied += 1

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def database(sql_server: Engine) -> str:
    connection = sql_server.new_database()
    with DatabaseManager(connection) as db:
        for table in (LAYOUT, rejected_key_table(THING), STAGE_OPEN):
            db.execute(ddl.create_table(db.dialect, table))
    return connection


def staged(database: str, copier: Callable[[str], Any], blocks: int = 2) -> list[dict[str, Any]]:
    """Stages the records in blocks, and returns the rows that the server holds."""
    with DatabaseManager(database, access=Access(bulk=True)) as db:
        db.engine = replace(db.engine, bulk=copier)
        staging = Staging(db, THING, run_id=RUN, batch_rows=BATCH_ROWS)
        staging.begin()
        size = -(-len(RECORDS) // blocks)
        for start in range(0, len(RECORDS), size):
            some = pa.RecordBatch.from_pylist(RECORDS[start : start + size], schema=SCHEMA)
            assert staging.append(some) == []
        staging.verify()
        rows = db.query(select_all(LAYOUT))
    return [dict(zip(LAYOUT.names, row, strict=True)) for row in rows]


def plain(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in SCHEMA.names} for row in rows]


def test_what_arrives_right_is_kept(database: str, caplog: pytest.LogCaptureFixture) -> None:
    copier = ByInsert(database, lambda row: row)
    rows = staged(database, lambda _: copier)
    assert plain(rows) == RECORDS
    assert {row["run_id"] for row in rows} == {RUN}
    sizes = [sum(row["batch"] == number for row in rows) for number in range(4)]
    assert sizes == [4, 2, 4, 1]  # each send begins a batch
    assert copier.copied == 2
    assert not caplog.records


CHANGES: dict[str, Change] = {
    "a row is lost": lambda row: None if row["id"] == "T3" else row,
    "another run": lambda row: row | {"run_id": "x"} if row["id"] == "T3" else row,
    "another batch": lambda row: row | {"batch": 77} if row["id"] == "T3" else row,
    "another row": lambda row: row | {"source_row": 99} if row["id"] == "T3" else row,
    "texts changed places": lambda row: row | {"id": row["note"] or "", "note": row["id"]},
    "a letter": lambda row: row | {"note": row["note"] and row["note"].replace("漢", "?")},
    "a cent": lambda row: row | {"amount": row["amount"] + Decimal("0.01")},
    "a factor": lambda row: row | {"amount": row["amount"] * 100},
    "a microsecond": lambda row: row | {"at": row["at"].replace(microsecond=0)},
    "a day": lambda row: row | {"day": date(2024, 2, 1)},
    "a flag": lambda row: row | {"flag": True},
}


@pytest.mark.parametrize("change", list(CHANGES.values()), ids=list(CHANGES))
def test_what_arrives_wrong_is_deleted_and_sent_again(
    database: str, caplog: pytest.LogCaptureFixture, change: Change
) -> None:
    copier = ByInsert(database, change)
    rows = staged(database, lambda _: copier)
    assert plain(rows) == RECORDS
    assert copier.copied == 1  # never again for this source
    (warned,) = caplog.records
    assert "stage_thing is in doubt" in warned.message
    assert "sent again by pyodbc" in warned.message


def test_rows_that_were_proven_stay_when_later_ones_are_in_doubt(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    copier = ByInsert(database, lambda row: row | {"n": 5} if row["id"] == "T9" else row)
    rows = staged(database, lambda _: copier, blocks=3)
    assert plain(rows) == RECORDS
    assert copier.copied == 3
    assert len(caplog.records) == 1


def test_a_copy_that_breaks_off_leaves_nothing_behind(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    def lost(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == "T4":
            raise LoadingError("the connection is lost")
        return row

    assert plain(staged(database, lambda _: ByInsert(database, lost))) == RECORDS
    assert "the connection is lost" in caplog.text


# --- the real one ----------------------------------------------------------------------------


class ByPlace(BulkCopy):
    """Finds columns by their places; a server whose catalog is misread has others there."""

    def mappings(self, rows: pa.Table) -> None:
        del rows


def test_values_in_the_wrong_column_are_noticed_though_nothing_failed(
    sql_server: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """Babelfish shows mssql-python the last column alone, and takes what it sends for that."""
    connection = sql_server.new_database()
    loose = replace(LAYOUT, key=(), columns=tuple(
        replace(column, required=False) for column in LAYOUT.columns
    ))  # fmt: skip
    with DatabaseManager(connection) as db:
        for table in (loose, rejected_key_table(THING), STAGE_OPEN):
            db.execute(ddl.create_table(db.dialect, table))
        babelfish = "babelfish" in str(db.value("SELECT @@VERSION")).lower()
    assert plain(sorted(staged(connection, ByPlace), key=lambda r: r["source_row"])) == RECORDS
    assert ("rows and tags [6, 0, 0, 0] where [6, 6," in caplog.text) == babelfish
    assert "failed" not in caplog.text


def test_bulk_copy_loads_or_is_replaced(database: str, caplog: pytest.LogCaptureFixture) -> None:
    assert plain(staged(database, BulkCopy)) == RECORDS
    for warned in caplog.records:  # on Babelfish no column is found by its name
        assert "bulk copy failed: " in warned.message
        assert "'run_id' not found" in warned.message


def test_a_run_with_bulk_copy_makes_the_same_tables(
    tmp_path: Path, sql_server: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with using(DUCKDB):
        embedded = project_in(tmp_path / "embedded")
        embedded.run()
    with using(sql_server):
        project = project_in(tmp_path / "project", SQL_SERVER_BULK="yes")
    with caplog.at_level(logging.WARNING):
        assert project.run()["exit_code"] == 0
    assert project.tables() == embedded.tables()


# --- without a server --------------------------------------------------------------------------


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """What the package is given, in place of a connection."""
    given: list[tuple[Any, ...]] = []

    class Cursor:
        def bulkcopy_arrow(self, *args: Any, **options: Any) -> None:
            given.append((*args, options))

    class Connection:
        def cursor(self) -> Cursor:
            return Cursor()

    def connect(text: str, **_: Any) -> Connection:
        given.append((text,))
        return Connection()

    monkeypatch.setattr(mssql_driver, "connect", connect)
    yield given


def test_columns_go_by_name_in_their_types_with_a_packet_that_is_large_enough(
    copied: list[tuple[Any, ...]],
) -> None:
    some = pa.RecordBatch.from_pylist(RECORDS[:2], schema=SCHEMA)
    copier = BulkCopy("Driver=x;Server=s;Database=d;PacketSize=4096;PWD={a;b}")
    copier.copy(LAYOUT, [(some, {"run_id": RUN, "batch": 3})])
    (text,), (name, rows, options) = copied
    assert text == "Server=s;Database=d;PWD={a;b};PacketSize=16000"
    assert name == '"stage_thing"'
    assert rows.column_names == list(LAYOUT.names) == options["column_mappings"]
    assert rows.schema.field("amount").type == pa.decimal128(18, 2)
    assert rows.schema.field("n").type == pa.int32()
    assert rows.column("batch").to_pylist() == [3, 3]
    assert options["table_lock"]
    assert options["check_constraints"] and options["fire_triggers"]  # else ALTER is needed


def test_without_the_package_a_warning_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mssql_driver, "is_installed", lambda: False)
    manager = DatabaseManager("Server=s;Database=d", access=Access(bulk=True))
    assert bulk_staging.bulk_of(manager) is None
    assert "pip install mssql-python" in caplog.text
    assert bulk_staging.bulk_of(DatabaseManager("Server=s;Database=d")) is None


def test_a_data_source_is_not_copied_to() -> None:
    with pytest.raises(LoadingError, match="DSN"):
        BulkCopy("DSN=warehouse")


def test_the_staging_table_is_that_of_the_schema_that_is_set(
    copied: list[tuple[Any, ...]],
) -> None:
    access = Access(bulk=True, schemas=Schemas("etl", "work"))
    manager = DatabaseManager("Server=s;Database=d", access=access)
    copier = BulkCopy("Server=s;Database=d")
    some = pa.RecordBatch.from_pylist(RECORDS[:2], schema=SCHEMA)
    sender = bulk_staging.BulkStaging(manager, copier, THING, LAYOUT)
    with pytest.raises(LoadingError, match="not connected"):  # where it would be compared
        sender.send(some, [(some, {"run_id": RUN, "batch": 0})], figures=[])
    assert copied[1][0] == '"work"."stage_thing"'
