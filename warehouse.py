"""How a source gets into the star schema: staged whole, then applied in one transaction.

Staging happens outside the transaction, in tables of its own that no reader sees. Applying
counts first (one join says what is new, what differs and in which column), then merges, then
mends what depends on more than one record: placeholders, customer status, profit.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

import sql_dialects
import star_sql
from database import DatabaseManager, dialect_of
from errors import LoadingError
from runs import Applied, LoadCounts, Staged
from star_schema import (
    ALL_TABLES,
    CUSTOMER_DIM,
    PRODUCT_DIM,
    SALES_FACT,
    STAR_TABLES,
    Table,
)

DIMENSIONS = (CUSTOMER_DIM, PRODUCT_DIM)


@dataclass(frozen=True)
class _Measured:
    """What the classifying join says, before anything is written."""

    counts: LoadCounts
    per_column: Mapping[str, int]


def create_tables(db: DatabaseManager) -> None:
    """Creates the tables that are missing; never drops or alters one.

    In a warehouse that is open for reading only they are temporary, so that it can be compared
    with as if it were empty.
    """
    known = db.table_names()
    missing = [table for table in ALL_TABLES if table.name not in known]
    if not missing:
        return
    with db.transaction():
        for table in missing:
            db.execute(sql_dialects.create_table(db.dialect, table, temporary=db.read_only))


def schema_script(connection_string: str) -> str:
    """The DDL of all tables as one script, in the dialect of a connection string."""
    dialect = dialect_of(connection_string)
    return "\n\n".join(sql_dialects.create_table(dialect, table) for table in ALL_TABLES)


# --- staging -----------------------------------------------------------------------------


def begin_staging(db: DatabaseManager, table: Table) -> None:
    """Makes an empty staging table, whatever an earlier attempt has left."""
    db.execute(sql_dialects.drop_temporary(sql_dialects.staging_name(table)))
    db.execute(sql_dialects.create_staging(db.dialect, table))
    db.execute(sql_dialects.drop_temporary(sql_dialects.rejected_name(table)))
    db.execute(sql_dialects.create_rejected_keys(db.dialect, table))


def stage_block(db: DatabaseManager, table: Table, accepted: pa.RecordBatch) -> None:
    """Appends accepted records to the staging table."""
    if accepted.num_rows:
        db.append(sql_dialects.staging_name(table), accepted)


def stage_rejected_keys(db: DatabaseManager, table: Table, rejected: pa.RecordBatch) -> None:
    """Remembers the keys of rejected records: those have not vanished from the source."""
    if rejected.num_rows:
        db.append(sql_dialects.rejected_name(table), rejected.select(["record_key"]))


def remove_duplicates(db: DatabaseManager, table: Table) -> pa.Table | None:
    """Leaves one row per key in the staging table and returns the others, None if there are none.

    Of customers and products the last in the file stays, of sales the greatest by date and the
    remaining columns.
    """
    rows, keys = db.query(sql_dialects.repeated_keys(table))[0]
    if rows == keys:
        return None
    db.execute(sql_dialects.drop_temporary("duplicate_row"))
    db.execute(sql_dialects.create_duplicates(db.dialect, table))
    db.execute(sql_dialects.delete_duplicates(table))
    return db.table(sql_dialects.select_duplicates(table))


def latest_staged_sale(db: DatabaseManager) -> datetime | None:
    """The newest transaction_date among the staged sales."""
    latest: datetime | None = db.value(sql_dialects.latest_staged_sale())
    return latest


def end_staging(db: DatabaseManager, tables: Iterable[Table] = STAR_TABLES) -> None:
    """Drops the staging tables."""
    for table in tables:
        db.execute(sql_dialects.drop_temporary(sql_dialects.staging_name(table)))
        db.execute(sql_dialects.drop_temporary(sql_dialects.rejected_name(table)))


# --- applying ----------------------------------------------------------------------------


def preview(db: DatabaseManager, staged: Staged) -> LoadCounts:
    """What applying would insert, update and leave; writes nothing."""
    return _measure(db, staged).counts


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
            applied = applied.plus(_remove_unread_dimension(db, staged.table, now))
    return applied


def _one(table: Table, counts: LoadCounts) -> Applied:
    return Applied({table.name: counts})


def _live_params(staged: Staged) -> tuple[datetime, ...]:
    return (staged.window.start, staged.window.end) if staged.table is SALES_FACT else ()


def _measure(db: DatabaseManager, staged: Staged) -> _Measured:
    table = staged.table
    row = db.query(sql_dialects.classify(db.dialect, table), _live_params(staged))[0]
    found, inserted, updated, live, *columns = map(int, row)
    counts = LoadCounts(
        rows_read=staged.rows_read,
        rows_inserted=inserted,
        rows_updated=updated,
        rows_unchanged=found - inserted - updated,
        rows_rejected=staged.rows_rejected,
        rows_duplicate=staged.rows_duplicate,
        rows_vanished=_vanished(db, staged, live),
    )
    names = sql_dialects.guarded_names(table)
    return _Measured(counts, {n: c for n, c in zip(names, columns, strict=True) if c})


def _vanished(db: DatabaseManager, staged: Staged, live_and_staged: int) -> int:
    if staged.partial:
        return 0
    params = _live_params(staged)
    live = int(db.value(sql_dialects.count_live(staged.table), params))
    if live == live_and_staged:
        return 0
    rejected = int(db.value(sql_dialects.count_live_rejected(staged.table), params))
    return live - live_and_staged - rejected


def _merge(db: DatabaseManager, staged: Staged, measured: _Measured, *, now: datetime) -> Applied:
    """Merges what has to be merged, and proves that the rows are as measured."""
    table, counts = staged.table, measured.counts
    _require_balance(table, counts)
    before = int(db.value(sql_dialects.count_rows(table.name)))
    if counts.rows_inserted or counts.rows_updated:
        db.execute(star_sql.merge(db.dialect, table), (now, now, now))
    after = int(db.value(sql_dialects.count_rows(table.name)))
    _require(
        after == before + counts.rows_inserted,
        f"{table.name} has {after} rows after the merge, "
        f"where {before} and {counts.rows_inserted} new ones were expected",
    )
    changes = {table.name: measured.per_column} if measured.per_column else {}
    return Applied({table.name: counts}, changes)


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
    _temporary(db, "touched_product", star_sql.create_touched_products(db.dialect))
    applied = _merge(db, staged, _measure(db, staged), now=now)
    return applied.plus(_restate_profit(db, now))


def _apply_sales(
    db: DatabaseManager, staged: Staged, *, now: datetime, full_refresh: bool
) -> Applied:
    measured = _measure(db, staged)
    applied = _infer(db, now)
    _temporary(db, "touched_customer", star_sql.create_touched_customers(db.dialect))
    if full_refresh:
        applied = applied.plus(_remove_unread_sales(db))
    _temporary(db, "first_sale", star_sql.create_first_sales(db.dialect))
    applied = applied.plus(_merge(db, staged, measured, now=now)).plus(_restate_status(db, now))
    if measured.counts.rows_updated or full_refresh:
        applied = applied.plus(_remove_orphans(db))
    _require_references(db)
    return applied


def _infer(db: DatabaseManager, now: datetime) -> Applied:
    added = {d: db.change(star_sql.insert_inferred(d), (now, now)) for d in DIMENSIONS}
    return Applied({d.name: LoadCounts(rows_inferred=rows) for d, rows in added.items()})


def _remove_orphans(db: DatabaseManager) -> Applied:
    removed = {d: db.change(star_sql.delete_orphaned_inferred(d)) for d in DIMENSIONS}
    return Applied({d.name: LoadCounts(rows_removed=rows) for d, rows in removed.items()})


def _remove_unread_sales(db: DatabaseManager) -> Applied:
    db.execute(star_sql.touch_customers_of_removed())
    removed = db.change(star_sql.delete_unread(SALES_FACT))
    return _one(SALES_FACT, LoadCounts(rows_removed=removed))


def _remove_unread_dimension(db: DatabaseManager, dimension: Table, now: datetime) -> Applied:
    if dimension is PRODUCT_DIM:
        _temporary(db, "touched_product", star_sql.create_unread_products(db.dialect))
    removed = db.change(star_sql.delete_unread(dimension))
    restated = db.change(star_sql.reinfer_unread(dimension), (now,))
    applied = _one(dimension, LoadCounts(rows_removed=removed, rows_restated=restated))
    return applied.plus(_restate_profit(db, now)) if dimension is PRODUCT_DIM else applied


def _restate_profit(db: DatabaseManager, now: datetime) -> Applied:
    _temporary(db, "restated", star_sql.create_restated_profit(db.dialect))
    return _write_restated(db, ("profit_amount", "profit_margin"), now)


def _restate_status(db: DatabaseManager, now: datetime) -> Applied:
    _temporary(db, "restated", star_sql.create_restated_status(db.dialect))
    return _write_restated(db, ("customer_status",), now)


def _write_restated(db: DatabaseManager, columns: Sequence[str], now: datetime) -> Applied:
    restated = int(db.value(sql_dialects.count_rows("restated")))
    if restated:
        db.execute(star_sql.merge_restated(columns), (now,))
    return _one(SALES_FACT, LoadCounts(rows_restated=restated))


def _require_references(db: DatabaseManager) -> None:
    for dimension in DIMENSIONS:
        orphans = int(db.value(star_sql.staged_without_parent(dimension)))
        _require(
            not orphans,
            f"{orphans} staged sales name a {dimension.key[0]} that {dimension.name} lacks",
        )


def _temporary(db: DatabaseManager, name: str, create: str) -> None:
    db.execute(sql_dialects.drop_temporary(name))
    db.execute(create)
