"""Who changed what: a row of `etl_row_change` for each value that a load changes, on request."""

import getpass
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta

from etl.engines import ddl
from etl.engines import dialect as sql_dialects
from etl.engines.database import DatabaseManager
from etl.history.audit import load_counts
from etl.history.runs import Staged
from etl.schema.table import Table
from etl.warehouse import row_changes_sql as sql


@contextmanager
def changes_noted(
    db: DatabaseManager, sources: Sequence[Staged], now: datetime, *, may_remove: bool = False
) -> Iterator[None]:
    """Note what changes inside, in tables for which that is asked; in the caller's transaction.

    What the first load of an empty table inserts is not noted.

    Args:
        db: the warehouse, in a transaction.
        sources: what is merged inside.
        now: the moment of the load, UTC.
        may_remove: rows that were not read may go, besides those of tables that a load replaces.
    """
    with ExitStack() as stack:
        for staged in sources:
            if staged.table.logged is not None:
                stack.enter_context(_noted(db, staged, now, may_remove=may_remove))
        yield


@contextmanager
def _noted(
    db: DatabaseManager, staged: Staged, now: datetime, *, may_remove: bool
) -> Iterator[None]:
    table = staged.table
    is_filled = _is_filled(db, staged)
    removes = may_remove or table.replaced or staged.folded is not None
    before = sql.create_before(db.dialect, table, staged.rows, may_remove=removes)
    db.execute(ddl.drop_temporary(db.dialect, sql.before_name(table)))
    db.execute(before)
    yield
    if is_filled:
        _note(db, table, (staged.run_id, table.name, now, _who(db)), removes=removes)
    if table.logged:
        db.execute(sql.forget_before(), (table.name, now - timedelta(table.logged)))


def _is_filled(db: DatabaseManager, staged: Staged) -> bool:
    """Whether a table has rows which this run has not brought, in a batch before."""
    rows = int(db.value(sql_dialects.count_rows(staged.table.name)))
    own = load_counts(db, staged.run_id, staged.table.name)
    return rows > own.rows_inserted + own.rows_inferred


def _note(db: DatabaseManager, table: Table, facts: tuple[object, ...], *, removes: bool) -> None:
    db.execute(sql.note_inserted(db.dialect, table), facts)
    for number in range(len(table.guarded)):
        db.execute(sql.note_column(db.dialect, table, number), facts)
    if removes:
        db.execute(sql.note_removed(db.dialect, table), facts)


def _who(db: DatabaseManager) -> str:
    """The login at the server; of an embedded engine, the user of this process."""
    if db.dialect.login:
        return str(db.value(f"SELECT {db.dialect.login};"))
    return getpass.getuser()
