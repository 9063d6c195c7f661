"""What a load changes: counted before and merged after, beside a table that is a dictionary."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.engines import ddl
from etl.engines.database import DatabaseManager
from etl.engines.dialect import quoted
from etl.history.runs import Staged
from etl.schema.table import Column, Kind, Role, Table
from etl.sources.window import Window
from etl.warehouse.apply import apply_source, preview

THING = Table(
    "thing", "", ("key",),
    (
        Column("key", "", Kind.TEXT, 20, required=True),
        Column("at", "", Kind.TIMESTAMP, required=True),
        Column("differs_1", "", Kind.TEXT, 20),
        Column("number", "", Kind.INTEGER),
        Column("created_date", "", Kind.TIMESTAMP, role=Role.CREATED),
        Column("updated_date", "", Kind.TIMESTAMP, role=Role.UPDATED),
    ),
    window="at",
)  # fmt: skip
DAYS = [datetime(2024, 1, day) for day in range(1, 5)]
WINDOW = Window(DAYS[1], DAYS[2])
BEFORE, NOW = datetime(2024, 2, 1), datetime(2024, 2, 2)

Values = tuple[datetime, str | None, int | None]
values = st.tuples(
    st.sampled_from(DAYS), st.sampled_from([None, "", "a", "A"]), st.sampled_from([None, 0, 1])
)
rows_by_key = st.dictionaries(st.sampled_from("abcdefgh"), values)


@pytest.fixture(scope="module")
def db() -> Iterator[DatabaseManager]:
    """A warehouse with the table, and another one of what is staged."""
    with DatabaseManager("duckdb:///:memory:") as manager:
        manager.execute(ddl.create_table(manager.dialect, THING))
        manager.execute('CREATE TABLE "staged" ("source_row" BIGINT, "key" VARCHAR, "at" TIMESTAMP,'
                        ' "differs_1" VARCHAR, "number" INTEGER)')  # fmt: skip
        manager.execute('CREATE TABLE "rejected" ("record_key" VARCHAR)')
        yield manager


def fill(db: DatabaseManager, known: dict[str, Values], staged: dict[str, Values]) -> Staged:
    for name in ("thing", "staged"):
        db.execute(f"DELETE FROM {quoted(name)}")
    for key, row in known.items():
        db.execute('INSERT INTO "thing" VALUES (?, ?, ?, ?, ?, ?)', (key, *row, BEFORE, BEFORE))
    for number, (key, row) in enumerate(staged.items()):
        db.execute('INSERT INTO "staged" VALUES (?, ?, ?, ?, ?)', (number, key, *row))
    return Staged(THING, "staged", "rejected", len(staged), 0, 0, window=WINDOW)


@settings(deadline=None)
@given(known=rows_by_key, staged=rows_by_key)
def test_any_rows_are_counted_and_merged_as_a_dictionary_is(
    db: DatabaseManager, known: dict[str, Values], staged: dict[str, Values]
) -> None:
    source = fill(db, known, staged)
    new = staged.keys() - known.keys()
    changed = {key for key in staged.keys() & known.keys() if staged[key] != known[key]}
    live = [key for key in staged.keys() & known.keys() if known[key][0] in DAYS[1:3]]
    columns = Counter(
        column.name
        for key in changed
        for column, old, now in zip(THING.guarded, known[key], staged[key], strict=True)
        if old != now
    )

    expected = preview(db, source)
    with db.transaction():
        applied = apply_source(db, source, now=NOW)

    counts = applied.of(THING)
    assert (counts.rows_inserted, counts.rows_updated) == (len(new), len(changed))
    assert counts.rows_unchanged == len(staged) - len(new) - len(changed)
    assert (expected.rows_inserted, expected.rows_updated) == (len(new), len(changed))
    assert applied.column_changes.get("thing", {}) == columns
    assert applied.rows_live["thing"] == len(live)
    stamps = {key: (NOW if key in new else BEFORE, NOW if key in new | changed else BEFORE)
              for key in known | staged}  # fmt: skip
    assert {row[0]: row[1:] for row in db.query('SELECT * FROM "thing"')} == {
        key: (*row, *stamps[key]) for key, row in (known | staged).items()
    }
