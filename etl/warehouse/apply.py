"""How staged records get into the star schema, inside one transaction of the caller's.

Applying counts first (one join says what is new, what differs and in which column), then
merges, then mends what depends on more than one record: placeholders, customer status, profit.
What is applied is a whole source or a batch of it; after either, the tables are consistent.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from etl.engines import dialect as sql_dialects
from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.history.runs import Applied, LoadCounts, Staged
from etl.schema.tables import (
    CUSTOMER_DIM,
    PRODUCT_DIM,
    SALES_FACT,
    Table,
)
from etl.warehouse import staging_sql, star_sql

DIMENSIONS = (CUSTOMER_DIM, PRODUCT_DIM)


@dataclass(frozen=True)
class _Measured:
    """What the classifying join says, before anything is written."""

    counts: LoadCounts
    per_column: Mapping[str, int]
    rows_live: int


# --- counting ----------------------------------------------------------------------------


def preview(db: DatabaseManager, staged: Staged) -> LoadCounts:
    """What applying would insert, update and leave; writes nothing."""
    live = count_live(db, staged)
    measured = _measure(db, staged)
    vanished = count_vanished(db, staged, live=live, still_there=measured.rows_live)
    return measured.counts.plus(LoadCounts(rows_vanished=vanished))


def _live_params(staged: Staged) -> tuple[object, ...]:
    return (staged.window.start, staged.window.end) if staged.table is SALES_FACT else (False,)


def count_live(db: DatabaseManager, staged: Staged) -> int:
    """How many rows of its table the source should still have."""
    if staged.partial:
        return 0
    return int(db.value(staging_sql.count_live(staged.table), _live_params(staged)))


def count_vanished(
    db: DatabaseManager, staged: Staged, *, live: int | None, still_there: int
) -> int:
    """How many rows of its table the source no longer has.

    Args:
        db: the warehouse.
        staged: the whole source.
        live: rows that it should still have, counted before anything was applied; None when
            nothing has been applied yet, and the rows themselves can be asked.
        still_there: those of them that were found in it.
    """
    if staged.partial or live == still_there:
        return 0
    query = staging_sql.count_vanished(staged.table, rows=staged.rows, rejected=staged.rejected)
    return int(db.value(query, _live_params(staged)))


def _measure(db: DatabaseManager, staged: Staged) -> _Measured:
    table = staged.table
    row = db.query(star_sql.classify(db.dialect, table, staged.rows), _live_params(staged))[0]
    found, inserted, updated, live, *columns = map(int, row)
    counts = LoadCounts(
        rows_read=staged.rows_read,
        rows_inserted=inserted,
        rows_updated=updated,
        rows_unchanged=found - inserted - updated,
        rows_rejected=staged.rows_rejected,
        rows_duplicate=staged.rows_duplicate,
    )
    names = star_sql.guarded_names(table)
    return _Measured(counts, {n: c for n, c in zip(names, columns, strict=True) if c}, live)


# --- applying ----------------------------------------------------------------------------


def apply_source(
    db: DatabaseManager, staged: Staged, *, now: datetime, full_refresh: bool = False
) -> Applied:
    """Merges one staged source and mends what depends on it; inside the caller's transaction.

    Args:
        db: the warehouse, in a transaction.
        staged: the source.
        now: load time, UTC, written as created_date and updated_date.
        full_refresh: remove sales that were not read.

    Raises:
        LoadingError: the counts do not add up, or a reference is missing; roll back.
    """
    started = time.perf_counter()
    if staged.table is SALES_FACT:
        applied = _apply_sales(db, staged, now=now, full_refresh=full_refresh)
    elif staged.table is PRODUCT_DIM:
        applied = _apply_products(db, staged, now)
    else:
        applied = _merge(db, staged, _measure(db, staged), now=now)
    seconds = staged.seconds + time.perf_counter() - started
    return applied.plus(_one(staged.table, LoadCounts(seconds=seconds)))


def apply_full_refresh(db: DatabaseManager, sources: Sequence[Staged], now: datetime) -> Applied:
    """Applies all staged sources and removes what was not read; in the caller's transaction.

    Facts go first, so that no fact is ever without its dimension rows. A dimension row that was
    not read but is still named by a sale becomes a placeholder again.
    """
    applied = Applied()
    for staged in sources:
        applied = applied.plus(apply_source(db, staged, now=now, full_refresh=True))
    for staged in sources:
        if staged.table in DIMENSIONS:
            applied = applied.plus(_remove_unread_dimension(db, staged, now))
    return applied


def _one(table: Table, counts: LoadCounts) -> Applied:
    return Applied({table.name: counts})


def _merge(db: DatabaseManager, staged: Staged, measured: _Measured, *, now: datetime) -> Applied:
    """Merges what has to be merged, and proves that it wrote what was measured."""
    table, counts = staged.table, measured.counts
    _require_balance(table, counts)
    expected, written = counts.rows_inserted + counts.rows_updated, 0
    if expected:
        written = _write(db, staged, counts, now=now)
    _require(
        written == expected,
        f"the merge wrote {written} rows of {table.name}, where {counts.rows_inserted} new and "
        f"{counts.rows_updated} changed ones were expected",
    )
    changes = {table.name: measured.per_column} if measured.per_column else {}
    return Applied({table.name: counts}, changes, {table.name: measured.rows_live})


def _write(db: DatabaseManager, staged: Staged, counts: LoadCounts, *, now: datetime) -> int:
    """Writes the staged rows, and returns how many rows that changed.

    What is all new need not be joined again where nobody can come between the counting and the
    writing unnoticed: in an embedded engine, and in a transaction that sees one snapshot.
    """
    only_new = not (counts.rows_updated or counts.rows_unchanged or db.dialect.batched)
    if only_new:
        return db.change(star_sql.insert_new(db.dialect, staged.table, staged.rows), (now, now))
    return db.change(star_sql.merge(db.dialect, staged.table, staged.rows), (now, now, now))


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


def _apply_products(db: DatabaseManager, staged: Staged, now: datetime) -> Applied:
    touched = star_sql.create_touched_products(db.dialect, staged.rows)
    _make(db, star_sql.TOUCHED_PRODUCTS, touched)
    applied = _merge(db, staged, _measure(db, staged), now=now)
    return applied.plus(_restate_profit(db, now))


def _apply_sales(
    db: DatabaseManager, staged: Staged, *, now: datetime, full_refresh: bool
) -> Applied:
    dialect, rows = db.dialect, staged.rows
    measured = _measure(db, staged)
    applied = _infer(db, rows, now)
    _make(db, star_sql.TOUCHED_CUSTOMERS, star_sql.create_touched_customers(dialect, rows))
    if full_refresh:
        applied = applied.plus(_remove_unread_sales(db, rows))
    _make(db, star_sql.FIRST_SALES, star_sql.create_first_sales(dialect, rows))
    applied = applied.plus(_merge(db, staged, measured, now=now)).plus(_restate_status(db, now))
    if measured.counts.rows_updated or full_refresh:
        applied = applied.plus(_remove_orphans(db))
    _require_references(db, rows)
    return applied


def _infer(db: DatabaseManager, rows: str, now: datetime) -> Applied:
    added = {
        dimension: db.change(star_sql.insert_inferred(db.dialect, dimension, rows), (now, now))
        for dimension in DIMENSIONS
    }
    return Applied({d.name: LoadCounts(rows_inferred=rows) for d, rows in added.items()})


def _remove_orphans(db: DatabaseManager) -> Applied:
    removed = {d: db.change(star_sql.delete_orphaned_inferred(db.dialect, d)) for d in DIMENSIONS}
    return Applied({d.name: LoadCounts(rows_removed=rows) for d, rows in removed.items()})


def _remove_unread_sales(db: DatabaseManager, rows: str) -> Applied:
    db.execute(star_sql.touch_customers_of_removed(db.dialect, rows))
    removed = db.change(star_sql.delete_unread(SALES_FACT, rows))
    return _one(SALES_FACT, LoadCounts(rows_removed=removed))


def _remove_unread_dimension(db: DatabaseManager, staged: Staged, now: datetime) -> Applied:
    dimension, rows = staged.table, staged.rows
    if dimension is PRODUCT_DIM:
        unread = star_sql.create_unread_products(db.dialect, rows)
        _make(db, star_sql.TOUCHED_PRODUCTS, unread)
    removed = db.change(star_sql.delete_unread(dimension, rows))
    restated = db.change(star_sql.reinfer_unread(db.dialect, dimension, rows), (now,))
    applied = _one(dimension, LoadCounts(rows_removed=removed, rows_restated=restated))
    return applied.plus(_restate_profit(db, now)) if dimension is PRODUCT_DIM else applied


def _restate_profit(db: DatabaseManager, now: datetime) -> Applied:
    _make(db, star_sql.RESTATED, star_sql.create_restated_profit(db.dialect))
    return _write_restated(db, ("profit_amount", "profit_margin"), now)


def _restate_status(db: DatabaseManager, now: datetime) -> Applied:
    _make(db, star_sql.RESTATED, star_sql.create_restated_status(db.dialect))
    return _write_restated(db, ("customer_status",), now)


def _write_restated(db: DatabaseManager, columns: Sequence[str], now: datetime) -> Applied:
    made = db.dialect.temporary_name.format(name=star_sql.RESTATED)
    restated = int(db.value(sql_dialects.count_rows(made)))
    if restated:
        db.execute(star_sql.merge_restated(db.dialect, columns), (now,))
    return _one(SALES_FACT, LoadCounts(rows_restated=restated))


def _require_references(db: DatabaseManager, rows: str) -> None:
    for dimension in DIMENSIONS:
        orphans = int(db.value(star_sql.staged_without_parent(dimension, rows)))
        _require(
            not orphans,
            f"{orphans} staged sales name a {dimension.key[0]} that {dimension.name} lacks",
        )


def _make(db: DatabaseManager, name: str, create: str) -> None:
    db.execute(sql_dialects.drop_temporary(db.dialect, name))
    db.execute(create)
