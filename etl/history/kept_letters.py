"""The table of rejected records that are kept: read, written with a load, counted, cleared."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta

from etl.engines.database import DatabaseManager
from etl.engines.dialect import Dialect, listed, quoted, record_key
from etl.history.audit_rows import in_statements, insert_rows
from etl.history.dead_letters import (
    NO_LETTERS,
    PERSON,
    UNSETTLED,
    Accepted,
    Letter,
    Letters,
    Reading,
)
from etl.history.letter_counts import LetterCounts
from etl.history.runs import Staged
from etl.schema.audit import ETL_DEAD_LETTER
from etl.schema.table import Table

_NEWEST = 2**62  # behind every row of a source
_COLUMNS = listed([ETL_DEAD_LETTER.column(each.name) for each in fields(Letter)])


def unsettled_letters(db: DatabaseManager, table_name: str = "") -> list[Letter]:
    """Return the kept records that are open or stay for a person, in the order of their sources.

    Args:
        db: the warehouse.
        table_name: of one table; of all when left out.
    """
    of_table, name = (' AND "table_name" = ?', (table_name,)) if table_name else ("", ())
    rows = db.query(
        f'SELECT {_COLUMNS} FROM "etl_dead_letter" WHERE "state" IN (?, ?){of_table} '  # noqa: S608  # our own names
        'ORDER BY "run_id", "place", "letter_id";',
        (*UNSETTLED, *name),
    )
    return [Letter(*row) for row in rows]


def settle_letters(
    db: DatabaseManager, staged: Staged, letters: Letters | None, reading: Reading
) -> None:
    """Write what a load makes of the rejected records that are kept of its table.

    Args:
        db: the warehouse, in the transaction of the load.
        staged: what it has staged.
        letters: its rejected records; None: they are kept in files alone.
        reading: what else of it decides; the keys that it has taken are found here.
    """
    known = {each.letter_id: each for each in unsettled_letters(db, staged.table.name)}
    taken = letters or NO_LETTERS
    keys = {*taken.keys(), *(each.record_key for each in known.values() if each.record_key)}
    accepted = accepted_keys(db, staged, sorted(keys)) if keys and staged.table.key else {}
    changed = taken.settled(known, replace(reading, accepted=accepted))
    write_letters(db, changed)


def accepted_keys(db: DatabaseManager, staged: Staged, keys: Sequence[str]) -> Accepted:
    """Return which of some keys a load has staged or removed: by key, the row of the newest.

    Args:
        db: the warehouse.
        staged: what the load has staged.
        keys: as texts.
    """
    found: dict[str, int] = {}
    for some in in_statements(keys):
        query = staged_keys_sql(db.dialect, staged.table, staged.rows, len(some))
        found |= {key: int(row) for key, row in db.query(query, some)}
        if removed := staged.folded.removed if staged.folded else "":
            query = removed_keys_sql(db.dialect, staged.table, removed, len(some))
            found |= {key: _NEWEST for (key,) in db.query(query, some)}
    return found


def staged_keys_sql(dialect: Dialect, table: Table, rows: str, count: int) -> str:
    """Return the query for the newest rows of some staged keys. Parameters: so many keys."""
    key, marks = record_key(dialect, table, "s"), ", ".join("?" * count)
    return f"""SELECT k."record_key", max(k."source_row") FROM (
    SELECT {key} AS "record_key", s."source_row" FROM {quoted(rows)} AS s
) AS k WHERE k."record_key" IN ({marks}) GROUP BY k."record_key";"""  # noqa: S608  # our own names


def removed_keys_sql(dialect: Dialect, table: Table, removed: str, count: int) -> str:
    """Return the query for some keys that changes have removed. Parameters: so many keys."""
    key, marks = record_key(dialect, table, "r"), ", ".join("?" * count)
    return f"""SELECT k."record_key" FROM (
    SELECT {key} AS "record_key" FROM {quoted(removed)} AS r
) AS k WHERE k."record_key" IN ({marks});"""  # noqa: S608  # our own names


def write_letters(db: DatabaseManager, letters: Iterable[Letter]) -> None:
    """Write kept records in place of those with their ids, in the caller's transaction."""
    changed = list(letters)
    for some in in_statements(changed):
        marks = ", ".join("?" * len(some))
        db.execute(
            f'DELETE FROM "etl_dead_letter" WHERE "letter_id" IN ({marks});',  # noqa: S608  # marks
            [each.letter_id for each in some],
        )
    if changed:
        insert_rows(db, ETL_DEAD_LETTER, [asdict(each) for each in changed])


def read_again(db: DatabaseManager, table: Table, *, earlier: str, run_id: str) -> None:
    """Note that a run has found a source as an earlier one has read it, and tried nothing."""
    db.execute(
        'UPDATE "etl_dead_letter" SET "run_id" = ? WHERE "table_name" = ? AND "run_id" = ? '
        'AND "state" IN (?, ?);',
        (run_id, table.name, earlier, *UNSETTLED),
    )


def forget_closed(db: DatabaseManager, now: datetime, days: int) -> None:
    """Delete what was resolved or superseded so many days ago.

    Args:
        db: the warehouse.
        now: the present moment, UTC.
        days: for which it is kept.
    """
    since = now - timedelta(days=days)
    db.execute('DELETE FROM "etl_dead_letter" WHERE "closed_at" < ?;', (since,))


def count_letters(db: DatabaseManager) -> tuple[LetterCounts, ...]:
    """Return by source how many records are open, how old, and how many stay for a person."""
    rows = db.query(
        'SELECT "source", "state", count(*), min("first_seen") FROM "etl_dead_letter" '
        'WHERE "state" IN (?, ?) GROUP BY "source", "state" ORDER BY "source", "state";',
        UNSETTLED,
    )
    counts: dict[str, LetterCounts] = {}
    for source, state, rows_of, oldest in rows:
        found = LetterCounts(source, **{state: int(rows_of)}, oldest=oldest)
        counts[source] = counts.get(source, LetterCounts(source)).plus(found)
    return tuple(counts.values())


def now_for_a_person(db: DatabaseManager, run_id: str) -> int:
    """Return how many records a run was the last one to try before they stay for a person."""
    return int(db.value(
        'SELECT count(*) FROM "etl_dead_letter" WHERE "tried_run_id" = ? AND "state" = ?;',
        (run_id, PERSON),
    ))  # fmt: skip
