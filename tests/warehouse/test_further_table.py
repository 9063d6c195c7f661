"""A further table is one declaration: key of two columns, references, no window, no stamps."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from engines import Engine

from etl.engines.database import DatabaseManager
from etl.history import audit
from etl.history.runs import FULL_REFRESH, INCREMENTAL, Applied, LoadCounts, RunPlan, utc_now
from etl.rejects import reject_block
from etl.rules.blocks import LoadBlock
from etl.schema.star import CUSTOMER_DIM, STAR_TABLES
from etl.schema.table import Column, Kind, Role, Table
from etl.sources.window import EVERYTHING
from etl.warehouse.intake import Intake, from_blocks, stage_source
from etl.warehouse.load import Limits, Load
from etl.warehouse.loading import load_staged
from etl.warehouse.staging import known_rows
from etl.warehouse.tables import create_tables

ITEM = Table(
    "order_item", "one row per item of an order", ("order_id", "line"), source="items",
    columns=(
        Column("order_id", "key", Kind.TEXT, width=20, required=True, exact=True),
        Column("line", "key", Kind.INTEGER, required=True),
        Column("buyer_id", "who ordered", Kind.TEXT, width=50, exact=True,
               references=CUSTOMER_DIM),
        Column("note", "as given", Kind.TEXT, width=100),
    ),
)  # fmt: skip
TABLES = (*STAR_TABLES, ITEM)

pytestmark = pytest.mark.usefixtures("every_engine")


@pytest.fixture
def db(every_engine: Engine) -> Iterator[DatabaseManager]:
    server = every_engine.is_server
    connection = every_engine.new_database() if server else "duckdb:///:memory:"
    with DatabaseManager(connection) as manager:
        create_tables(manager, TABLES)
        yield manager


class Rejects:
    """Keeps nothing."""

    def write(self, rejected: pa.RecordBatch) -> None:
        """Takes a block."""


Item = tuple[str, int, str | None, str | None]


def load(db: DatabaseManager, items: list[Item], mode: str = INCREMENTAL) -> Applied:
    names = [column.name for column in ITEM.with_role(Role.SOURCE)]
    rows = [dict(zip(names, item, strict=True), source_row=n) for n, item in enumerate(items, 1)]
    types = [pa.string(), pa.int64(), pa.string(), pa.string(), pa.int64()]
    schema = pa.schema(list(zip([*names, "source_row"], types, strict=True)))
    block = LoadBlock(pa.RecordBatch.from_pylist(rows, schema), reject_block((), []), {})
    now = utc_now()
    plan = RunPlan(audit.next_run_id(db, now), "test", mode, EVERYTHING, now)
    run = Load(db, plan, Limits(batch_rows=2), lambda *_: None, tables=TABLES)
    audit.begin_run(db, plan)
    intake = Intake(from_blocks([block]), Rejects(), lambda _: reject_block((), []),
                    lambda *_: reject_block((), []))  # fmt: skip
    staged = stage_source(run, ITEM, intake)
    return load_staged(run, [staged])


def counts(applied: Applied) -> LoadCounts:
    return replace(applied.of(ITEM), seconds=0.0, batches=0)


def items(db: DatabaseManager) -> list[tuple[Any, ...]]:
    return db.query("SELECT order_id, line, buyer_id, note FROM order_item ORDER BY 1, 2")


FIRST: list[Item] = [("O1", 1, "C1", "a"), ("O1", 2, "C1", None), ("O2", 1, None, "b")]


def test_it_is_merged_by_its_whole_key(db: DatabaseManager) -> None:
    assert counts(load(db, FIRST)) == LoadCounts(rows_read=3, rows_inserted=3)
    assert db.query("SELECT customer_id, is_inferred FROM customer_dim") == [("C1", True)]
    again: list[Item] = [*FIRST[:2], ("O2", 1, "C2", "b"), ("O2", 2, None, "first"),
                         ("O2", 2, None, "last")]  # fmt: skip
    assert counts(load(db, again)) == LoadCounts(
        rows_read=5, rows_inserted=1, rows_updated=1, rows_unchanged=2, rows_duplicate=1
    )
    assert items(db) == [
        ("O1", 1, "C1", "a"), ("O1", 2, "C1", None), ("O2", 1, "C2", "b"), ("O2", 2, None, "last"),
    ]  # fmt: skip


def test_what_its_source_no_longer_has_is_counted_and_leaves_with_a_full_refresh(
    db: DatabaseManager,
) -> None:
    load(db, FIRST)
    assert counts(load(db, FIRST[1:])).rows_vanished == 1
    assert counts(load(db, FIRST[2:], FULL_REFRESH)).rows_removed == 2
    assert items(db) == [("O2", 1, None, "b")]
    assert db.query("SELECT customer_id FROM customer_dim") == []  # nobody names C1 any more


def test_its_rows_are_found_by_their_keys(db: DatabaseManager) -> None:
    load(db, FIRST)
    keys = pa.table({"order_id": ["O1", "O2"], "line": [2, 2]})
    found = known_rows(db, ITEM, keys)
    assert list(found) == [("O1", 2)]
    assert found["O1", 2]["buyer_id"] == "C1"
