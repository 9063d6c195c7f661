"""How staged records become versions of rows, inside one transaction of the caller's.

Every state that was seen is kept, by the moment from which on it held. The versions of a key follow
from them alone: what arrives late or is corrected falls into its place, and what comes again
changes nothing. Nothing that was seen is ever deleted, also not by a full refresh.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from etl.engines import ddl
from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.history.audit_rows import replace_row
from etl.history.runs import Applied, Folded, LoadCounts, Staged
from etl.schema.audit import ETL_SNAPSHOT
from etl.schema.table import Table
from etl.warehouse import versions_sql as sql
from etl.warehouse.versions_sql import Snapshot
from etl.words import counted

logger = logging.getLogger(__name__)

_SHOWN_KEYS = 3


@dataclass(frozen=True)
class _Found:
    """What is going to happen, before anything is written."""

    counts: LoadCounts
    columns: dict[str, int]
    corrected: int


def keep_versions(
    db: DatabaseManager, staged: Staged, *, whole: bool, rebuilt: bool = False
) -> Applied:
    """Keep the states that staged records bring, and the versions that follow.

    Args:
        db: the warehouse, in a transaction.
        staged: the records; their table keeps versions.
        whole: what is not among them is gone.
        rebuilt: compute the versions of all keys anew, not only of those that change.

    Returns:
        The counts: a record that opens a version counts as inserted, one that corrects something
        or has other values of which there are no versions as updated, keys that are gone as
        removed.

    Raises:
        LoadingError: the versions of a key overlap or leave a gap; roll back.
    """
    seen = _snapshot(db, staged, whole=whole)
    found = _prepare(db, staged, seen, rebuilt=rebuilt)
    _write(db, staged.table, staged.run_id, found=found, fresh=seen.fresh, rebuilt=rebuilt)
    if whole:
        _note_snapshot(db, staged)
    _require_sound(db, staged.table, first=seen.first)
    changes = {staged.table.name: found.columns} if found.columns else {}
    return Applied({staged.table.name: found.counts}, changes)


def preview_versions(db: DatabaseManager, staged: Staged, *, whole: bool) -> LoadCounts:
    """Return what `keep_versions` would count; write nothing that stays."""
    return _prepare(db, staged, _snapshot(db, staged, whole=whole)).counts


def end_versions(db: DatabaseManager, table: Table, removed: str, *, run_id: str) -> int:
    """End the versions of keys that were removed, each at the moment of its own.

    The moment may lie in the past: a version that begins later stays. Doing it twice changes
    nothing.

    Args:
        db: the warehouse, in a transaction.
        table: a table that keeps versions.
        removed: name of a table like `etl.schema.versioned.ended_key_table` of it.
        run_id: the run that has learnt of it.

    Returns:
        How many removals were not known.

    Raises:
        LoadingError: the versions of a key overlap or leave a gap; roll back.
    """
    _make(db, sql.CHANGED, sql.create_removed(db.dialect, table, removed))
    _arrange(db, table)
    rows = int(db.value(sql.count_changed(db.dialect)))
    found = _Found(LoadCounts(), {}, corrected=rows)
    _write(db, table, run_id, found=found)
    _require_sound(db, table)
    return rows


def faults_of_versions(db: DatabaseManager, tables: Iterable[Table]) -> Iterator[str]:
    """Yield what is wrong with the versions of tables, all of them, for people.

    Args:
        db: the warehouse.
        tables: those that are loaded; of one without versions, the table of versions beside it.
    """
    for table in (each.history or each for each in tables):
        if table.versions and (faulty := _faulty(db, table)):
            yield (
                f"{table.name}: {faulty}. Next: run --full-refresh, which computes all versions "
                "anew from the states that were seen"
            )


# --- what there is -----------------------------------------------------------------------


def _snapshot(db: DatabaseManager, staged: Staged, *, whole: bool) -> Snapshot:
    versions = staged.table.versions
    says_when = bool(versions and versions.valid_from)
    newest: datetime | None = db.value(sql.newest_state(staged.table))
    return Snapshot(
        staged.rows, staged.rejected, staged.seen_at, whole,
        sparse=not says_when and (whole or staged.moment is None),
        newest=newest is None or newest <= staged.seen_at,
        fresh=newest is None or (newest < staged.seen_at and not says_when), first=newest is None,
    )  # fmt: skip


def _prepare(
    db: DatabaseManager, staged: Staged, seen: Snapshot, *, rebuilt: bool = False
) -> _Found:
    table, dialect = staged.table, db.dialect
    _make(db, sql.CHANGED, sql.create_changed(dialect, table, seen))
    following = _following(db, table, seen)
    if following is not None:
        db.execute(sql.add_states_of_next(dialect, table, seen, following))
    _arrange(db, table, rebuilt=rebuilt)
    rows, changed, opened, gone, corrected = map(
        int, db.query(sql.count_states(dialect, table, seen))[0]
    )
    folded = staged.folded or Folded()
    counts = LoadCounts(
        rows_superseded=folded.superseded, rows_removals=folded.removals,
        rows_read=staged.rows_read, rows_inserted=opened, rows_updated=changed - opened,
        rows_unchanged=rows - changed, rows_rejected=staged.rows_rejected,
        rows_duplicate=staged.rows_duplicate, rows_removed=gone,
    )  # fmt: skip
    columns = {} if seen.first else _changed_columns(db, table)
    return _Found(counts, columns, corrected)


def _following(db: DatabaseManager, table: Table, seen: Snapshot) -> datetime | None:
    if seen.newest or not seen.whole:
        return None
    found: datetime | None = db.value(sql.next_snapshot(), (table.name, seen.seen_at))
    return found


def _arrange(db: DatabaseManager, table: Table, *, rebuilt: bool = False) -> None:
    _make(db, sql.COMPARED, sql.create_compared(db.dialect, table, rebuilt=rebuilt))
    _make(db, sql.TIMELINE, sql.create_timeline(db.dialect, table))


def _changed_columns(db: DatabaseManager, table: Table) -> dict[str, int]:
    columns = sql.guarded_columns(table)
    if not columns:
        return {}
    counts = db.query(sql.count_changed_columns(db.dialect, table))[0]
    return {c.name: int(rows) for c, rows in zip(columns, counts, strict=True) if rows}


def _make(db: DatabaseManager, name: str, statement: str) -> None:
    db.execute(ddl.drop_temporary(db.dialect, name))
    db.execute(statement)


# --- writing -----------------------------------------------------------------------------


def _write(
    db: DatabaseManager, table: Table, run_id: str, *, found: _Found, fresh: bool = False,
    rebuilt: bool = False,
) -> None:  # fmt: skip
    """Writes what differs; where all that was known is earlier, no version ceases to be one."""
    dialect = db.dialect
    is_latest = table.versions is not None and bool(table.versions.latest)
    db.execute(sql.insert_states(dialect, table), (run_id,))
    if found.corrected:
        db.execute(sql.correct_states(dialect, table), (run_id,))
    if rebuilt or not fresh:
        db.execute(sql.delete_versions(dialect, table, rebuilt=rebuilt))
    db.execute(sql.merge_spans(dialect, table))
    if found.corrected or is_latest or rebuilt:
        db.execute(sql.merge_values(dialect, table))
    db.execute(sql.insert_versions(dialect, table))


def _note_snapshot(db: DatabaseManager, staged: Staged) -> None:
    place = {"table_name": staged.table.name, "seen_at": staged.seen_at}
    replace_row(db, ETL_SNAPSHOT, {**place, "run_id": staged.run_id})


def _require_sound(db: DatabaseManager, table: Table, *, first: bool = False) -> None:
    if faulty := _faulty(db, table, touched=not first):
        raise LoadingError(
            f"{table.name}: {faulty}",
            next_step="nothing of this source was written; run --full-refresh, which computes all "
            "versions anew from the states that were seen",
        )


def _faulty(db: DatabaseManager, table: Table, *, touched: bool = False) -> str:
    """What is wrong with the versions of a table; empty when nothing is."""
    query = sql.faulty_versions(db.dialect, table, touched=touched)
    count = int(db.value(sql.count_of(query)))
    if not count:
        return ""
    keys = sorted({str(key) for (key,) in db.query(f"{query};")})
    return (
        f"{counted(count, 'fault')} in its versions, which overlap, leave a gap or do not end as "
        f"they must, such as those of {', '.join(keys[:_SHOWN_KEYS])}"
    )
