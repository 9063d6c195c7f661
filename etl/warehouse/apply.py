"""How staged records get into their table, inside one transaction of the caller's.

Applying counts first (one join says what is new, what differs and in which column), then merges,
then restates what depends on more than one record. What is applied is a whole source or a batch of
it; after either, the tables are consistent. What is done follows from the table's declaration.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from etl.engines import ddl
from etl.engines import dialect as sql_dialects
from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.history.audit import expected_rows
from etl.history.runs import Applied, LoadCounts, Staged
from etl.schema.star import STAR_TABLES
from etl.schema.table import Table, referrers
from etl.warehouse import delta, restated, staging_sql, star_sql, touched
from etl.warehouse.changes import end_removed, remove_rows
from etl.warehouse.delta import Measured, live_params
from etl.warehouse.filling import filling
from etl.warehouse.restated import Restatement, Temporary
from etl.warehouse.touched import Watch
from etl.warehouse.versions import keep_versions, preview_versions

logger = logging.getLogger(__name__)


# --- counting ----------------------------------------------------------------------------


def preview(db: DatabaseManager, staged: Staged) -> LoadCounts:
    """Return what applying would insert, update and leave; write nothing."""
    if staged.table.versions:
        return preview_versions(db, staged, whole=removes_unread(staged))
    live = count_live(db, staged)
    measured = delta.measure(db, staged)
    vanished = count_vanished(db, staged, live=live, still_there=measured.rows_live)
    return measured.counts.plus(LoadCounts(rows_vanished=vanished))


def count_live(db: DatabaseManager, staged: Staged) -> int:
    """Return how many rows of its table the source should still have."""
    if staged.is_part or not staged.table.key:
        return 0
    return int(db.value(staging_sql.count_live(db.dialect, staged.table), live_params(staged)))


def count_vanished(
    db: DatabaseManager, staged: Staged, *, live: int | None, still_there: int
) -> int:
    """Return how many rows of its table the source no longer has.

    Args:
        db: the warehouse.
        staged: the whole source.
        live: rows that it should still have, counted before anything was applied; None when
            nothing has been applied yet, and the rows themselves can be asked.
        still_there: those of them that were found in it.
    """
    if staged.is_part or not staged.table.key or live == still_there:
        return 0
    query = staging_sql.count_vanished(
        db.dialect, staged.table, rows=staged.rows, rejected=staged.rejected
    )
    return int(db.value(query, live_params(staged)))


# --- applying ----------------------------------------------------------------------------


def apply_source(
    db: DatabaseManager,
    staged: Staged,
    *,
    now: datetime,
    full_refresh: bool = False,
    tables: Sequence[Table] = STAR_TABLES,
    watch: Watch | None = None,
) -> Applied:
    """Merge one staged source and restate what depends on it, in the caller's transaction.

    Args:
        db: the warehouse, in a transaction.
        staged: the source.
        now: load time, UTC, written as created_date and updated_date.
        full_refresh: remove rows that were not read, of a table that no other one names. Of one
            that each load replaces they are always removed, but for those that others name; of
            one without a key, whose source is read by a cursor, all of them.
        tables: those that there are, whose references must hold.
        watch: what marts read, whose changes are noted; None for no marts, and for a full
            refresh, after which all of them are built anew.

    Raises:
        LoadingError: the counts do not add up, or a reference is missing; roll back.
    """
    if staged.table.versions:
        touched.note_table(db, watch, staged.table)
        return _apply_versions(db, staged, now, full_refresh=full_refresh)
    started, table = time.perf_counter(), staged.table
    measured, changed = delta.delta_of(db, staged)
    if measured.counts.rows_inserted + measured.counts.rows_updated:
        touched.note_changes(db, watch, changed)
    applied = _infer(db, staged, now)
    changing = restated.restated_by(table)
    for each in changing:
        _make(db, each.touched, changed.rows)
    if removes_unread(staged) or (full_refresh and _is_refreshed(staged, tables)):
        applied = applied.plus(_noted(db, watch, table, _remove_unread(db, staged, tables)))
    for each in changing:
        for temporary in each.before_merge:
            _make(db, temporary, changed.rows)
    if staged.folded:
        applied = applied.plus(_noted(db, watch, table, remove_rows(db, staged, tables)))
    applied = applied.plus(_merge(db, changed, measured, now=now))
    if changing and not _was_empty(db, table, measured):
        applied = applied.plus(_restate(db, table, now, watch))
    if (measured.counts.rows_updated or full_refresh) and not staged.is_batch:
        applied = applied.plus(_remove_orphans(db, table, tables))
    _require_references(db, staged)
    seconds = staged.seconds + time.perf_counter() - started
    return applied.plus(_one(table, LoadCounts(seconds=seconds)))


def _is_refreshed(staged: Staged, tables: Sequence[Table]) -> bool:
    """Whether a full refresh removes rows of its table here, and not after all others."""
    table = staged.table
    is_whole = (table.key or table.window) and not staged.folded
    return bool(is_whole) and not referrers(table, tables)


def _noted(db: DatabaseManager, watch: Watch | None, table: Table, removed: Applied) -> Applied:
    """What was removed; the marts that read the table learn of it."""
    if removed.of(table).rows_removed:
        touched.note_table(db, watch, table)
    return removed


def close_batches(db: DatabaseManager, table: Table, tables: Sequence[Table]) -> Applied:
    """Remove the placeholders that nothing names any more, once for all batches of a source.

    Always, and not only where a row has changed: an earlier run may have ended between them.
    """
    return _remove_orphans(db, table, tables)


def _apply_versions(
    db: DatabaseManager, staged: Staged, now: datetime, *, full_refresh: bool
) -> Applied:
    started, table = time.perf_counter(), staged.table
    whole = removes_unread(staged) or (full_refresh and not staged.is_part)
    applied = _infer(db, staged, now)
    applied = applied.plus(keep_versions(db, staged, whole=whole, rebuilt=full_refresh))
    if staged.folded:
        applied = applied.plus(end_removed(db, staged))
    _require_balance(table, applied.of(table))
    _require_references(db, staged)
    seconds = staged.seconds + time.perf_counter() - started
    return applied.plus(_one(table, LoadCounts(seconds=seconds)))


def keep_history(db: DatabaseManager, staged: Staged, *, rebuilt: bool) -> Applied:
    """Keep the versions of what a source has, where a table beside its own holds them.

    Args:
        db: the warehouse, in a transaction.
        staged: the whole source.
        rebuilt: compute the versions of all keys anew.
    """
    beside = staged.table.history
    if beside is None:
        return Applied()
    kept = replace(staged, table=beside)
    applied = keep_versions(db, kept, whole=removes_unread(kept), rebuilt=rebuilt)
    counts = replace(applied.of(beside), rows_rejected=0, rows_duplicate=0)
    counts = replace(counts, rows_read=counts.accounted)  # of those that its own table has taken
    logger.info(
        "%s: %d versions opened, %d records with other values without, %d keys ended",
        beside.name, counts.rows_inserted, counts.rows_updated, counts.rows_removed,
    )  # fmt: skip
    return replace(applied, counts={beside.name: counts})


def _was_empty(db: DatabaseManager, table: Table, measured: Measured) -> bool:
    """Whether a table holds nothing but what was just inserted, so that nothing is to restate.

    What depends on its rows depends on none that were there before.
    """
    counts = measured.counts
    if not measured.inserts_alone or counts.rows_unchanged:
        return False
    return int(db.value(sql_dialects.count_rows(table.name))) == counts.rows_inserted


def removes_unread(staged: Staged) -> bool:
    """Return whether the rows that were not read leave the table, whatever kind of run it is."""
    return staged.table.replaced and not staged.is_part


def apply_full_refresh(
    db: DatabaseManager,
    sources: Sequence[Staged],
    now: datetime,
    *,
    tables: Sequence[Table] = STAR_TABLES,
) -> Applied:
    """Apply all staged sources and remove what was not read, in the caller's transaction.

    Rows that name others go first, so that none is ever without those. A row that was not read but
    is still named becomes a placeholder again.
    """
    applied = _count_deleted_by_others(db, sources)
    for staged in sources:
        applied = applied.plus(apply_source(db, staged, now=now, full_refresh=True, tables=tables))
    for staged in sources:
        stays = staged.folded or staged.table.versions
        if staged.table.key and referrers(staged.table, tables) and not stays:
            applied = applied.plus(_remove_or_reinfer(db, staged, now, tables))
    return applied


_STAR_NAMES = frozenset(table.name for table in STAR_TABLES)


def _count_deleted_by_others(db: DatabaseManager, sources: Sequence[Staged]) -> Applied:
    """Count rows as removed that somebody else has deleted, so that the books are right again."""
    applied, expected = Applied(), expected_rows(db)
    for staged in (each for each in sources if each.table.name in _STAR_NAMES):
        rows = int(db.value(sql_dialects.count_rows(staged.table.name)))
        gone = expected.get(staged.table.name, 0) - rows
        if gone > 0:
            applied = applied.plus(_one(staged.table, LoadCounts(rows_removed=gone)))
            logger.warning(
                "%d rows of %s were deleted by somebody else; they are counted as removed by this "
                "full refresh", gone, staged.table.name,
            )  # fmt: skip
    return applied


def _one(table: Table, counts: LoadCounts) -> Applied:
    return Applied({table.name: counts})


def _merge(db: DatabaseManager, staged: Staged, measured: Measured, *, now: datetime) -> Applied:
    """Merges what has to be merged, and proves that it wrote what was counted."""
    table, counts = staged.table, measured.counts
    _require_balance(table, counts)
    expected, written = counts.rows_inserted + counts.rows_updated, 0
    if expected:
        written = _write(db, staged, measured, now=now)
    _require(
        written == expected,
        f"the merge wrote {written} rows of {table.name}, where {counts.rows_inserted} new and "
        f"{counts.rows_updated} changed ones were expected",
    )
    changes = {table.name: measured.per_column} if measured.per_column else {}
    return Applied({table.name: counts}, changes, {table.name: measured.rows_live})


def _write(db: DatabaseManager, staged: Staged, measured: Measured, *, now: datetime) -> int:
    """Writes the staged rows, and returns how many rows that changed.

    What is all new need not be joined again.
    """
    table, dialect = staged.table, db.dialect
    if measured.inserts_alone or not table.key:
        insert = star_sql.insert_new(dialect, table, staged.rows)
        with filling(db, table, measured.counts.rows_inserted):
            return db.change(insert, star_sql.insert_params(table, now))
    part, differing = staged.is_batch, measured.per_column.keys() if measured.is_final else None
    merge = star_sql.merge(dialect, table, staged.rows, part=part, differing=differing)
    return db.change(merge, star_sql.merge_params(table, now))


def _require_balance(table: Table, counts: LoadCounts) -> None:
    _require(
        counts.accounted == counts.rows_read,
        f"{table.name} does not balance: {counts.rows_read} records read, {counts.accounted} "
        f"accounted for ({counts.accounted - counts.rows_read:+d}); "
        "either a key stands twice in the table or records were lost on the way",
    )


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise LoadingError(
            what, next_step="nothing of this source was written; see the log of this run"
        )


def _infer(db: DatabaseManager, staged: Staged, now: datetime) -> Applied:
    """Adds placeholders for the keys that the staged rows name and nobody knows."""
    applied = Applied()
    for column, parent in staged.table.references:
        if parent.placeholder:
            add = star_sql.insert_inferred(db.dialect, column, parent, rows=staged.rows)
            added = db.change(add, star_sql.insert_params(parent, now))
            applied = applied.plus(_one(parent, LoadCounts(rows_inferred=added)))
    return applied


def _remove_orphans(db: DatabaseManager, table: Table, tables: Sequence[Table]) -> Applied:
    """Removes the placeholders of the tables that a table names, when nothing names them now."""
    applied = Applied()
    for _, parent in table.references:
        if parent.placeholder:
            remove = star_sql.delete_orphaned_inferred(db.dialect, parent, tables)
            applied = applied.plus(_one(parent, LoadCounts(rows_removed=db.change(remove))))
    return applied


def _remove_unread(db: DatabaseManager, staged: Staged, tables: Sequence[Table]) -> Applied:
    for each in restated.restated_by(staged.table):
        db.execute(each.touch_removed(db.dialect, staged.rows))
    removed = db.change(star_sql.delete_unread(staged.table, staged.rows, tables))
    return _one(staged.table, LoadCounts(rows_removed=removed))


def _remove_or_reinfer(
    db: DatabaseManager, staged: Staged, now: datetime, tables: Sequence[Table]
) -> Applied:
    table = staged.table
    applied = _remove_unread(db, staged, tables)
    if table.placeholder:
        reinfer = star_sql.reinfer_unread(db.dialect, table, staged.rows, tables)
        changed = db.change(reinfer, star_sql.update_params(table, now))
        applied = applied.plus(_one(table, LoadCounts(rows_restated=changed)))
    return applied.plus(_restate(db, table, now))


def _restate(
    db: DatabaseManager, watched: Table, now: datetime, watch: Watch | None = None
) -> Applied:
    """Restates what a load of a table may have changed."""
    applied = Applied()
    for each in restated.restated_by(watched):
        applied = applied.plus(_write_restated(db, each, now, watch))
    return applied


def _write_restated(
    db: DatabaseManager, restatement: Restatement, now: datetime, watch: Watch | None
) -> Applied:
    right = restatement.right.name
    _make(db, Temporary(right, lambda dialect, _rows: restatement.wrong(dialect)), "")
    made = db.dialect.temporary_name.format(name=right)
    rows = int(db.value(sql_dialects.count_rows(made)))
    if rows:
        table = restatement.table
        merge = restated.merge_restated(db.dialect, restatement)
        db.execute(merge, star_sql.update_params(table, now))
        touched.note_restated(db, watch, restatement)
    return _one(restatement.table, LoadCounts(rows_restated=rows))


def _require_references(db: DatabaseManager, staged: Staged) -> None:
    for column, parent in staged.table.references:
        query = star_sql.staged_without_parent(column, parent, rows=staged.rows)
        orphans = int(db.value(query))
        _require(
            not orphans,
            f"{orphans} staged {staged.table.source} name a {column.name} that {parent.name} lacks",
        )


def _make(db: DatabaseManager, temporary: Temporary, rows: str) -> None:
    if not db.dialect.create_temporary_once:
        db.execute(ddl.drop_temporary(db.dialect, temporary.name))
    db.execute(temporary.create(db.dialect, rows))
