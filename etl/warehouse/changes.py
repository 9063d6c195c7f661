"""Changes of a source: folded to the newest of each key, and what they remove.

What is folded is in the staging table, outside a transaction; what is removed goes in the
transaction of the load, together with the position that was reached.
"""

import logging
from collections.abc import Sequence

from etl.engines import ddl
from etl.engines.database import DatabaseManager
from etl.history.runs import Applied, Folded, LoadCounts, Staged
from etl.history.watermarks import read_position
from etl.schema.table import Feed, Table
from etl.schema.versioned import ended_key_table
from etl.schema.work_tables import removed_table
from etl.warehouse import changes_sql, staging_sql
from etl.warehouse.versions import end_versions

logger = logging.getLogger(__name__)


def fold_changes(db: DatabaseManager, table: Table, rows: str, reached: str) -> Folded:
    """Leave the newest change of each key in a staging table, and set the removals aside.

    Args:
        db: the warehouse, outside a transaction.
        table: into which they will be merged.
        rows: the staging table.
        reached: how far the source has been read; empty: to its newest change.
    """
    newest = db.value(changes_sql.newest_position(rows)) or ""
    cleared, overtaken = _start_over(db, rows)
    if table.identity != table.key:  # each change has a time of its own, at which it is kept
        removals = _set_removals_aside(db, table, rows)
        overtaken += _keep_newest(db, table, rows)
    else:
        if table.feed is Feed.ANY_ORDER:
            overtaken += _take_out_late_ones(db, table, rows)
        overtaken += _keep_newest(db, table, rows)
        removals = _set_removals_aside(db, table, rows)
    removed, position = removed_table(table).name, reached or newest
    return Folded(removed, overtaken, removals + bool(cleared), position, cleared)


def _set_removals_aside(db: DatabaseManager, table: Table, rows: str) -> int:
    aside = db.change(changes_sql.set_removals_aside(table, rows))
    db.execute(changes_sql.delete_removals(rows))
    return aside


def _take_out_late_ones(db: DatabaseManager, table: Table, rows: str) -> int:
    """Take out what was made before something that is loaded already; return how many."""
    known = read_position(db, table)
    taken = db.change(changes_sql.delete_before(rows), (known.cleared, known.cleared, -1))
    return taken + db.change(changes_sql.delete_overtaken(table, rows))


def _start_over(db: DatabaseManager, rows: str) -> tuple[str, int]:
    """Take out what was made before the table was emptied, and that change itself.

    Returns:
        The position of that change among the staged ones, and how many others went.
    """
    cleared = db.value(changes_sql.newest_clearing(rows))
    if cleared is None:
        return "", 0
    row = db.value(changes_sql.clearing_row(rows), (cleared,))
    taken = db.change(changes_sql.delete_before(rows), (cleared, cleared, row))
    return str(cleared), taken - 1


def _keep_newest(db: DatabaseManager, table: Table, rows: str) -> int:
    staged, keys = db.query(staging_sql.repeated_keys(table, rows))[0]
    if staged == keys:
        return 0
    db.execute(ddl.drop_temporary(db.dialect, staging_sql.DUPLICATES))
    db.execute(staging_sql.create_duplicates(db.dialect, table, rows))
    return db.change(staging_sql.delete_duplicates(db.dialect, rows))


def remove_rows(db: DatabaseManager, staged: Staged, tables: Sequence[Table]) -> Applied:
    """Remove the rows that staged changes remove, and remember what must be known of keys.

    A row that another table names stays until nothing names it.

    Args:
        db: the warehouse, in the transaction of the load.
        staged: the changes, folded.
        tables: those that there are, whose references must hold.
    """
    table, folded = staged.table, staged.folded or Folded()
    _remember(db, staged, folded)
    removed = db.change(changes_sql.delete_removed(db.dialect, table, tables))
    if table.feed is Feed.ORDERED:
        db.execute(changes_sql.forget_removed(db.dialect, table))
    if kept := int(db.value(changes_sql.count_kept(db.dialect, table))):
        logger.warning(
            "%d rows of %s are gone from the source and named by others: they are removed by the "
            "first load after that ends", kept, table.name,
        )  # fmt: skip
    return Applied({table.name: LoadCounts(rows_removed=removed)})


def end_removed(db: DatabaseManager, staged: Staged) -> Applied:
    """End the versions of the keys that staged changes remove, and remember these changes.

    Args:
        db: the warehouse, in the transaction of the load.
        staged: the changes, folded; their table keeps versions.
    """
    table, folded = staged.table, staged.folded or Folded()
    if table.feed is Feed.ANY_ORDER and table.identity == table.key:
        _remember(db, staged, folded)
    if not (folded.removals and table.replaced):
        return Applied()
    ended = ddl.temporary_table(db.dialect, ended_key_table(table))
    db.execute(ddl.drop_temporary(db.dialect, ended_key_table(table).name))
    db.execute(ddl.create_temporary(db.dialect, ended))
    db.execute(changes_sql.fill_ended(table, folded.removed, ended.name), (staged.seen_at,))
    rows = end_versions(db, table, ended.name, run_id=staged.run_id)
    return Applied({table.name: LoadCounts(rows_removed=rows)})


def _remember(db: DatabaseManager, staged: Staged, folded: Folded) -> None:
    dialect, table = db.dialect, staged.table
    if folded.cleared and not table.versions:
        db.execute(changes_sql.forget_cleared(table), (folded.cleared,))
        cleared = changes_sql.remember_cleared(dialect, table, staged.rows)
        db.execute(cleared, (folded.cleared,))
    for rows, removed in ((staged.rows, False), (folded.removed, True)):
        db.execute(changes_sql.forget_keys(table, rows))
        if removed or table.feed is Feed.ANY_ORDER:
            db.execute(changes_sql.remember_keys(dialect, table, rows, removed=removed))
