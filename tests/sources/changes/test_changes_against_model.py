"""Whatever happens to a source, and however its changes arrive, the target comes to equal it.

The source is a dict with transactions. The slow model looks, for each key, at all events that have
arrived so far, and knows nothing of SQL. More histories: HISTORIES=200 python -m pytest
tests/sources/changes/test_changes_against_model.py
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from engines import Engine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.history import audit, watermarks
from etl.history.runs import INCREMENTAL, LoadCounts, RunPlan, utc_now
from etl.rules.blocks import LoadBlock
from etl.rules.changes import transform_changes
from etl.rules.declared import Declaration
from etl.schema.star import STAR_TABLES
from etl.schema.table import Column, Feed, Kind, Table
from etl.sources.changes.debezium import EventForm, read_events
from etl.sources.window import EVERYTHING
from etl.warehouse.intake import Intake, from_blocks, stage_source
from etl.warehouse.load import Limits, Load
from etl.warehouse.loading import load_staged
from etl.warehouse.tables import create_tables

HISTORIES = int(os.environ.get("HISTORIES", "10"))
KEYS = st.integers(1, 3)
Row = str | None
Event = dict[str, Any]

COLUMNS = (
    Column("id", "key", Kind.INTEGER, required=True),
    Column("note", "", Kind.TEXT, width=9),
)
_numbers = count(1)


# --- the source --------------------------------------------------------------------------


@dataclass
class Source:
    """A table, and the log of what was committed to it."""

    rows: dict[int, str] = field(default_factory=dict)
    log: list[Event] = field(default_factory=list)

    def commit(self, operations: Sequence[tuple[Any, ...]], *, rolled_back: bool) -> None:
        rows, events = dict(self.rows), list[Event]()
        for operation in operations:
            lsn = len(self.log) + len(events) + 1
            place = {"source": {"connector": "postgresql", "lsn": lsn}}
            events.append(_operate(rows, *operation) | place)
        if not rolled_back:
            self.rows, self.log = rows, self.log + events


def _operate(rows: dict[int, str], kind: str, key: int, other: int, note: str) -> Event:
    """One statement, and its event; what is not there is inserted, whatever was wanted."""
    if kind == "truncate":
        rows.clear()
        return {"op": "t"}
    if key not in rows:
        rows[key] = note
        return {"op": "c", "after": {"id": key, "note": note}}
    before = {"id": key, "note": rows.pop(key)}
    if kind == "delete":
        return {"op": "d", "before": before}
    now = other if kind == "rekey" and other not in rows else key
    rows[now] = note
    return {"op": "u", "before": before, "after": {"id": now, "note": note}}


KINDS = st.sampled_from(["update", "update", "update", "delete", "delete", "rekey", "truncate"])
OPERATIONS = st.lists(st.tuples(KINDS, KEYS, KEYS, st.sampled_from("abc")), min_size=1, max_size=5)
TRANSACTIONS = st.lists(st.tuples(OPERATIONS, st.booleans()), min_size=2, max_size=8)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[Source, list[tuple[list[Event], bool]]]:
    """A history, and its events in files: in any order, some twice, some loads interrupted."""
    source = Source()
    for operations, rolled_back in draw(TRANSACTIONS):
        source.commit(operations, rolled_back=rolled_back)
    again = draw(st.lists(st.sampled_from(source.log), max_size=4)) if source.log else []
    events = draw(st.permutations(source.log + again))
    ends = sorted(draw(st.lists(st.integers(0, len(events)), min_size=1, max_size=3)))
    parts = [events[start:end] for start, end in zip([0, *ends], [*ends, None], strict=True)]
    return source, [(list(part), draw(st.booleans())) for part in parts]


def expected(seen: Sequence[Event]) -> dict[int, Row]:
    """What the events that were seen say of each key: the newest of them counts."""
    said: dict[int, tuple[int, Row]] = {}
    emptied = max((e["source"]["lsn"] for e in seen if e["op"] == "t"), default=0)
    for event in seen:
        at, before, after = event["source"]["lsn"], event.get("before"), event.get("after")
        if before:
            said[before["id"]] = max(said.get(before["id"], (0, None)), (at, None), key=_at)
        if after:
            now = (at, after["note"])
            said[after["id"]] = max(said.get(after["id"], (0, None)), now, key=_at)
    return {key: note for key, (at, note) in said.items() if note is not None and at > emptied}


def _at(said: tuple[int, Row]) -> tuple[int, bool]:
    """Of an update that keeps its key, the row counts and not the removal."""
    return said[0], said[1] is not None


# --- the target --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def db(every_engine: Engine) -> Iterator[DatabaseManager]:
    server = every_engine.is_server
    connection = every_engine.new_database() if server else "duckdb:///:memory:"
    with DatabaseManager(connection) as manager:
        create_tables(manager)
        yield manager


class Rejects:
    """Keeps nothing."""

    def write(self, rejected: pa.RecordBatch) -> None:
        """Takes a block."""
        assert not rejected.num_rows


@dataclass
class Target:
    """A table that is kept equal to a source."""

    db: DatabaseManager
    path: Path

    def __post_init__(self) -> None:
        self.table = Table(
            f"copy_{next(_numbers)}", "", ("id",), COLUMNS, "copies", feed=Feed.ANY_ORDER
        )
        create_tables(self.db, (*STAR_TABLES, self.table))

    def load(self, events: Sequence[Event]) -> LoadCounts:
        self.path.write_text("".join(f"{json.dumps(e)}\n" for e in events), encoding="utf-8")
        run = self._run()
        audit.begin_run(self.db, run.plan)
        intake = Intake(from_blocks(self._blocks()), Rejects(), _no_records, _no_refusals)
        applied = load_staged(run, [stage_source(run, self.table, intake)])
        audit.require_balance(self.db, run.plan.run_id)
        return applied.of(self.table)

    def _run(self) -> Load:
        now = utc_now()
        run_id = audit.next_run_id(self.db, now)
        plan = RunPlan(run_id, "test", INCREMENTAL, EVERYTHING, now)
        tables = (*STAR_TABLES, self.table)
        return Load(self.db, plan, Limits(max_retries=0), _no_refusals, tables=tables)

    def _blocks(self) -> Iterator[LoadBlock]:
        for block in read_events(self.path, ["id", "note"], EventForm(("id",))):
            yield transform_changes(block.records, Declaration(self.table))

    def rows(self) -> dict[int, str]:
        return dict(self.db.query(f'SELECT "id", "note" FROM "{self.table.name}"'))


def _no_records(_losers: pa.Table) -> pa.RecordBatch:
    raise AssertionError("nothing is a duplicate")


def _no_refusals(*_: object) -> Any:
    raise AssertionError("nothing is refused")


def _interrupted(*_: object) -> None:
    raise LoadingError("interrupted")


@settings(max_examples=HISTORIES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=deliveries())
def test_events_in_any_order_twice_and_interrupted_make_the_target_equal_the_source(
    db: DatabaseManager, tmp_path: Path, made: tuple[Source, list[tuple[list[Event], bool]]]
) -> None:
    source, parts = made
    target, seen = Target(db, tmp_path / "events.jsonl"), list[Event]()
    for events, is_interrupted in parts:
        if is_interrupted:
            before = target.rows()
            with pytest.MonkeyPatch.context() as patch, pytest.raises(LoadingError):
                patch.setattr(watermarks, "move_position", _interrupted)
                target.load([*events, {"op": "t", "source": {"lsn": 0}}])
            assert target.rows() == before
        counts = target.load(events)
        seen += events
        assert target.rows() == expected(seen)
        rekeyed = sum(e["op"] == "u" and e["before"]["id"] != e["after"]["id"] for e in events)
        assert counts.rows_read == len(events) + rekeyed
    assert target.rows() == source.rows == expected(source.log)
    again = target.load(source.log)
    assert (again.rows_inserted, again.rows_updated, again.rows_removed) == (0, 0, 0)
    assert target.rows() == source.rows
    assert audit.expected_rows(db)[target.table.name] == len(source.rows)
