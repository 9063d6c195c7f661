"""Versions of rows end as slow models say, whatever the order in which states come.

The models hold every state in dicts and walk through them in the order of time. They know nothing
of SQL. More histories: HISTORIES=100 python -m pytest tests/warehouse/test_versions.py
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from engines import Engine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.engines import ddl
from etl.engines.database import DatabaseManager
from etl.history import audit
from etl.history.runs import (
    FULL_REFRESH,
    INCREMENTAL,
    LoadCounts,
    RunPlan,
    Staged,
    time_of,
    utc_now,
)
from etl.rejects import reject_block
from etl.rules.blocks import LoadBlock
from etl.schema.star import STAR_TABLES
from etl.schema.table import Column, Kind, Table
from etl.schema.versioned import NEVER, ended_key_table, versioned
from etl.schema.versions import Versions
from etl.sources.window import EVERYTHING
from etl.warehouse.apply import preview
from etl.warehouse.intake import Intake, from_blocks, stage_source
from etl.warehouse.load import Limits, Load
from etl.warehouse.loading import load_staged
from etl.warehouse.tables import create_tables
from etl.warehouse.versions import end_versions

pytestmark = pytest.mark.usefixtures("every_engine")

DAY = datetime(2024, 1, 1)
State = tuple[str | None, int | None, str | None]  # city, level, mail
Event = tuple[str, datetime, State]
Version = tuple[str, str | None, int | None, str | None, str | None, datetime, datetime, bool]

RECORD = (
    Column("shop_id", "key", Kind.TEXT, width=9, required=True, exact=True),
    Column("changed_at", "", Kind.TIMESTAMP),
    Column("city", "", Kind.TEXT, width=9),
    Column("level", "", Kind.INTEGER),
    Column("mail", "", Kind.TEXT, width=9),
)
# city opens versions, level is overwritten, of mail the value before is kept
TYPES = {"overwritten": ("level",), "with_previous": ("mail",)}
_numbers = count(1)


def shop(*, says_when: bool, whole: bool, types: Mapping[str, tuple[str, ...]] = TYPES) -> Table:
    columns = RECORD if says_when else tuple(c for c in RECORD if c.name != "changed_at")
    plain = Table(f"shop_{next(_numbers)}", "", ("shop_id",), columns, "shops", replaced=whole)
    return versioned(plain, Versions("changed_at" if says_when else "", **types))


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


@dataclass(frozen=True)
class Loaded:
    """What a load has counted, and when it took place."""

    counts: LoadCounts
    seen_at: datetime
    columns: Mapping[str, int]


@dataclass
class Warehouse:
    """Loads events into one table."""

    db: DatabaseManager
    table: Table

    def __post_init__(self) -> None:
        create_tables(self.db, (*STAR_TABLES, self.table))

    def load(
        self, events: Sequence[Event], day: datetime | None = None, mode: str = INCREMENTAL,
        rejected: Sequence[str] = (),
    ) -> Loaded:  # fmt: skip
        run = self._run(mode)
        audit.begin_run(self.db, run.plan)
        staged = self._stage(run, events, day, rejected)
        foreseen = preview(self.db, staged)
        applied = load_staged(run, [staged])
        audit.require_balance(self.db, run.plan.run_id)
        counts = replace(applied.of(self.table), seconds=0.0, batches=0)
        if mode == INCREMENTAL:
            assert replace(foreseen, seconds=0.0) == counts
        seen_at = day or time_of(run.plan.run_id)
        return Loaded(counts, seen_at, applied.column_changes.get(self.table.name, {}))

    def _run(self, mode: str) -> Load:
        now = utc_now()
        plan = RunPlan(audit.next_run_id(self.db, now), "test", mode, EVERYTHING, now)
        tables = (*STAR_TABLES, self.table)
        return Load(self.db, plan, Limits(batch_rows=2), lambda *_: None, tables=tables)

    def _stage(
        self, run: Load, events: Sequence[Event], day: datetime | None, rejected: Sequence[str]
    ) -> Staged:
        own = [c for c in RECORD if c.name in self.table.names]
        types = {
            Kind.TEXT: pa.string(),
            Kind.INTEGER: pa.int64(),
            Kind.TIMESTAMP: pa.timestamp("us"),
        }
        schema = pa.schema([("source_row", pa.int64()), *((c.name, types[c.kind]) for c in own)])
        rows = [
            {"source_row": n, "shop_id": key, "changed_at": at, "city": s[0], "level": s[1],
             "mail": s[2]}
            for n, (key, at, s) in enumerate(events, 1)
        ]  # fmt: skip
        accepted = pa.RecordBatch.from_pylist(rows, schema)
        refused = [{"source_row": 0, "record_key": key} for key in rejected]
        block = LoadBlock(accepted, reject_block((), refused), {})
        nothing = reject_block((), [])
        return stage_source(run, self.table, Intake(
            from_blocks([block]), Rejects(), lambda _: nothing, lambda *_: nothing, moment=day,
        ))  # fmt: skip

    def remove(self, keys: Sequence[tuple[str, datetime]]) -> int:
        wanted = ended_key_table(self.table)
        temporary = ddl.temporary_table(self.db.dialect, wanted)
        self.db.execute(ddl.drop_temporary(self.db.dialect, wanted.name))
        self.db.execute(ddl.create_temporary(self.db.dialect, temporary))
        rows = [{"shop_id": key, "holds_from": at} for key, at in keys]
        schema = pa.schema([("shop_id", pa.string()), ("holds_from", pa.timestamp("us"))])
        self.db.append(temporary, pa.RecordBatch.from_pylist(rows, schema))
        with self.db.transaction():
            return end_versions(
                self.db, self.table, temporary.name, run_id="20240101T000000.000000Z"
            )

    def versions(self) -> list[Version]:
        rows = self.db.query(
            f"SELECT shop_id, city, level, mail, previous_mail, valid_from, valid_to, is_current "
            f'FROM "{self.table.name}" ORDER BY shop_id, valid_from'
        )
        return [(*row[:7], bool(row[7])) for row in rows]

    def ids(self) -> dict[tuple[str, datetime], int]:
        query = f'SELECT shop_id, valid_from, version_id FROM "{self.table.name}"'
        return {(key, start): number for key, start, number in self.db.query(query)}


@dataclass
class Known:
    """What is known of each key: by moment its state, None while it was gone."""

    states: dict[str, dict[datetime, State | None]] = field(default_factory=dict)

    def put(self, key: str, at: datetime, state: State | None) -> None:
        self.states.setdefault(key, {})[at] = state

    def at(self, key: str, moment: datetime) -> State | None:
        known = self.states.get(key, {})
        before = [at for at in known if at <= moment]
        return known[max(before)] if before else None

    def versions(self) -> list[Version]:
        return [version for key in sorted(self.states) for version in self._of(key)]

    def _of(self, key: str) -> Iterator[Version]:
        known = sorted(self.states[key].items())
        there = [state for _, state in known if state]
        opening = [
            (at, state) for n, (at, state) in enumerate(known)
            if n == 0 or not _same_city(known[n - 1][1], state)
        ]  # fmt: skip
        for n, (at, state) in enumerate(opening):
            end = opening[n + 1][0] if n + 1 < len(opening) else NEVER
            if state:
                level, mail = there[-1][1:]
                before = next((s[2] for s in reversed(there) if s[2] != mail), None)
                yield (key, state[0], level, mail, before, at, end, end == NEVER)


def _same_city(before: State | None, after: State | None) -> bool:
    if before is None or after is None:
        return before is after
    return before[0] == after[0]


# --- what is drawn -----------------------------------------------------------------------

STATES = st.tuples(
    st.sampled_from(["Ulm", "ulm", "Ulm.", None]), st.sampled_from([1, 2, None]),
    st.sampled_from(["a@x", "b@x", None]),
)  # fmt: skip
KEYS = st.sampled_from(["A", "B", "C"])
MOMENTS = st.integers(0, 5).map(lambda days: DAY + timedelta(days))
EVENTS = st.lists(
    st.tuples(KEYS, MOMENTS, STATES), max_size=6, unique_by=lambda event: (event[0], event[1])
)
SNAPSHOTS = st.dictionaries(KEYS, STATES, max_size=3)

drawn = settings(
    max_examples=int(os.environ.get("HISTORIES", "4")), deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip


def of_snapshot(snapshot: Mapping[str, State], at: datetime = DAY) -> list[Event]:
    return [(key, at, state) for key, state in snapshot.items()]


@drawn
@given(
    loads=st.lists(
        st.one_of(EVENTS, st.lists(st.tuples(KEYS, MOMENTS), min_size=1, max_size=2, unique=True)),
        max_size=5,
    )
)
def test_states_that_say_since_when_they_hold_come_in_any_order(
    db: DatabaseManager, loads: Sequence[Any]
) -> None:
    """Also removals, each at a moment of its own, as a change feed has them."""
    warehouse, known = Warehouse(db, shop(says_when=True, whole=False)), Known()
    for load in loads:
        if load and len(load[0]) == 2:
            for key, at in load:
                known.put(key, at, None)
            warehouse.remove(load)
            assert warehouse.remove(load) == 0
        else:
            for key, at, state in load:
                known.put(key, at, state)
            assert warehouse.load(load).counts.rows_read == len(load)
            again = warehouse.load(load).counts
            assert again == LoadCounts(rows_read=len(load), rows_unchanged=len(load))
        assert warehouse.versions() == known.versions()


@drawn
@given(nights=st.lists(SNAPSHOTS, max_size=4))
def test_what_a_snapshot_lacks_has_ended(
    db: DatabaseManager, nights: Sequence[Mapping[str, State]]
) -> None:
    warehouse, known = Warehouse(db, shop(says_when=False, whole=True)), Known()
    for night in nights:
        there = [key for key in known.states if known.at(key, NEVER)]
        loaded = warehouse.load(of_snapshot(night))
        assert loaded.counts.rows_removed == len(set(there) - set(night))
        for key in {*there, *night}:
            if known.at(key, NEVER) != night.get(key):
                known.put(key, loaded.seen_at, night.get(key))
        assert warehouse.versions() == known.versions()
        again = warehouse.load(of_snapshot(night)).counts
        assert again == LoadCounts(rows_read=len(night), rows_unchanged=len(night))
    warehouse.load(of_snapshot(nights[-1] if nights else {}), mode=FULL_REFRESH)
    assert warehouse.versions() == known.versions()


@drawn
@given(nights=st.lists(st.tuples(st.integers(0, 4), SNAPSHOTS), max_size=5))
def test_snapshots_of_days_come_in_any_order(
    db: DatabaseManager, nights: Sequence[tuple[int, Mapping[str, State]]]
) -> None:
    """The model knows each day's snapshot whole, the program only what differs."""
    warehouse, snapshots = Warehouse(db, shop(says_when=False, whole=True)), dict[int, Any]()
    for day, snapshot in nights:
        snapshots[day] = snapshot
        for _ in range(2):
            warehouse.load(of_snapshot(snapshot), day=DAY + timedelta(day))
            assert warehouse.versions() == _of_days(snapshots).versions()


def _of_days(snapshots: Mapping[int, Mapping[str, State]]) -> Known:
    known = Known()
    for day in sorted(snapshots):
        for key in {*known.states, *snapshots[day]}:
            known.put(key, DAY + timedelta(day), snapshots[day].get(key))
    return known


@drawn
@given(nights=st.lists(st.dictionaries(KEYS, st.tuples(MOMENTS, STATES), max_size=3), max_size=5))
def test_a_key_is_gone_and_back_though_its_record_says_an_earlier_moment(
    db: DatabaseManager, nights: Sequence[Mapping[str, tuple[datetime, State]]]
) -> None:
    warehouse, known = Warehouse(db, shop(says_when=True, whole=True)), Known()
    for night in nights:
        events = [(key, at, state) for key, (at, state) in night.items()]
        there = [key for key in known.states if known.at(key, NEVER)]
        loaded = warehouse.load(events)
        for key, at, state in events:
            known.put(key, at, state)
            if known.at(key, loaded.seen_at) is None:
                known.put(key, loaded.seen_at, state)
        for key in set(there) - set(night):
            known.put(key, loaded.seen_at, None)
        assert warehouse.versions() == known.versions()
        again = warehouse.load(events).counts
        assert again == LoadCounts(rows_read=len(events), rows_unchanged=len(events))
