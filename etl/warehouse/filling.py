"""Filling an empty table: its indexes and keys are made once it is full, where that pays.

On PostgreSQL each row that is inserted is entered into every index, and looked up in every table
that it names; to do either for all rows at once costs a fraction. It happens in the transaction of
the load, so that an error, or a kill, leaves the table as it was.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.schema.table import Table
from etl.warehouse.delta import is_empty

logger = logging.getLogger(__name__)

# Below so many rows it makes no difference: a few statements more, a few milliseconds less.
LEAST_ROWS = 10_000

_SAVEPOINT = "etl_filling"


@contextmanager
def filling(db: DatabaseManager, table: Table, rows: int) -> Iterator[None]:
    """Do the block while an empty table has neither indexes nor keys, if that pays.

    It is left as it is where rows are few, the table holds some, another one names it, somebody
    reads it now, or this login does not own it. Where other loads work at the same time, its
    references stay: to drop one, or to make it, locks the other table too.

    Args:
        db: the warehouse, in a transaction.
        table: into which the block inserts.
        rows: how many it will insert.
    """
    made = _take_down(db, table) if rows >= LEAST_ROWS else ()
    yield
    for statement in made:
        db.execute(statement)
    if made:
        logger.info("%s: %d indexes and keys made after filling it", table.name, len(made))


def _take_down(db: DatabaseManager, table: Table) -> Sequence[str]:
    """Drop indexes and keys; return what makes them again."""
    place = db.dialect.quoted_place(table.name)
    query = db.dialect.indexes.format(quoted=place)
    rows = db.query(query) if query and is_empty(db, table) else []
    found = [(drop, make) for drop, make, locks_another in rows
             if not (locks_another and db.is_beside)]  # fmt: skip
    if not found or not _locked(db, place):
        return ()
    for drop, _ in found:
        db.execute(drop)
    return [create for _, create in reversed(found)]


def _locked(db: DatabaseManager, place: str) -> bool:
    """Take the table for this transaction alone, unless somebody has it: no load waits for that."""
    db.execute(f"SAVEPOINT {_SAVEPOINT};")
    try:
        db.execute(f"LOCK TABLE {place} IN ACCESS EXCLUSIVE MODE NOWAIT;")
    except LoadingError:
        db.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT};")
        return False
    return True
