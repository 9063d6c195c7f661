"""Which tables a warehouse has: loaded ones, derived from them, of the runs, for staging."""

from collections.abc import Iterable, Iterator

from etl.schema.audit import AUDIT_TABLES
from etl.schema.star import DATE_DIM, SALES_FACT, STAR_TABLES
from etl.schema.table import Table
from etl.schema.work_tables import (
    STAGE_OPEN,
    changed_key_table,
    rejected_key_table,
    removed_table,
    staging_table,
)

ALL_TABLES = (*STAR_TABLES, DATE_DIM, *AUDIT_TABLES)


def derived_tables(loaded: Iterable[Table]) -> tuple[Table, ...]:
    """Return the tables that are computed from loaded ones.

    Example:
        >>> [table.name for table in derived_tables(STAR_TABLES)]
        ['date_dim']
        >>> derived_tables(STAR_TABLES[:1])
        ()
    """
    tables = tuple(loaded)
    calendar = (DATE_DIM,) if any(table.name == SALES_FACT.name for table in tables) else ()
    return (*calendar, *(changed_key_table(table) for table in tables if table.feed))


def staging_tables(loaded: Iterable[Table] = STAR_TABLES) -> Iterator[Table]:
    """Yield the permanent tables in which a server stages the records of loaded tables."""
    for table in (each for each in loaded if not each.computed):
        yield staging_table(table, permanent=True)
        yield rejected_key_table(table)
        if table.feed:
            yield removed_table(table)
    yield STAGE_OPEN
