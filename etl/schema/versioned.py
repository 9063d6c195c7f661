"""The tables that keep versions: what a version has besides, and where all states are noted.

A version follows from the states that were seen. They are kept, since one that arrives late may
come between two others: which versions there are is then computed anew, for its key.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from etl.schema.table import Column, Index, Kind, Role, Table
from etl.schema.versions import Versions

VERSION_ID, VALID_FROM, VALID_TO = "version_id", "valid_from", "valid_to"
IS_CURRENT = "is_current"
HOLDS_FROM, IS_REMOVED = "holds_from", "is_removed"
# Until when a version is valid that nothing has ended.
NEVER = datetime(9999, 12, 31)

# Columns that no record of such a table can have.
TAKEN = (VERSION_ID, VALID_FROM, VALID_TO, IS_CURRENT, HOLDS_FROM, IS_REMOVED)

_ID = Column(VERSION_ID, "key of the version; it stays, and is never given again", Kind.BIGINT,
             required=True, role=Role.VERSION)  # fmt: skip
_SPAN = (
    Column(VALID_FROM, "first instant of the version", Kind.TIMESTAMP, required=True,
           role=Role.VERSION),
    Column(VALID_TO, "first instant after it; 9999-12-31 while nothing has ended it",
           Kind.TIMESTAMP, required=True, role=Role.VERSION),
    Column(IS_CURRENT, "whether nothing has ended it", Kind.BOOLEAN, required=True,
           role=Role.VERSION),
)  # fmt: skip
_BESIDE = "_history"


def previous_name(name: str) -> str:
    """Return the name of the column that holds the value before the latest one.

    Example:
        >>> previous_name("address")
        'previous_address'
    """
    return f"previous_{name}"


def versioned(table: Table, versions: Versions) -> Table:
    """Return a table with one row per version of each of its rows.

    Its key is that of the records; that of its rows is `version_id`.

    Args:
        table: what the records bring, by their key.
        versions: how they come about.

    Example:
        >>> columns = (Column("id", "", Kind.INTEGER), Column("city", "", Kind.TEXT, width=9))
        >>> plain = Table("shop", "", ("id",), columns)
        >>> versioned(plain, Versions(with_previous=("city",))).names
        ('version_id', 'id', 'city', 'previous_city', 'valid_from', 'valid_to', 'is_current')
    """
    own = [
        replace(c, required=True) if c.name in (*table.key, versions.valid_from) else c
        for c in record_columns(table.columns)
    ]
    columns = (_ID, *own, *_previous(own, versions), *_SPAN)
    index = Index((*table.key, VALID_FROM), "the versions of a key")
    return replace(table, columns=columns, versions=versions, indexes=(index,))


def _previous(columns: Iterable[Column], versions: Versions) -> Iterator[Column]:
    for column in columns:
        if column.name in versions.with_previous:
            yield replace(
                column, name=previous_name(column.name), role=Role.VERSION, required=False,
                references=None, description=f"value of {column.name} before its latest one",
            )  # fmt: skip


def record_columns(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Return the columns that records bring, without those that only versions have.

    Example:
        >>> [column.name for column in record_columns([*_SPAN, Column("id", "", Kind.INTEGER)])]
        ['id']
    """
    found = [c for c in columns if c.name not in TAKEN and c.role is not Role.VERSION]
    names = {previous_name(column.name) for column in found}
    return tuple(column for column in found if column.name not in names)


def history_beside(table: Table, versions: Versions) -> Table:
    """Return the table that keeps the versions of the rows of another one.

    Example:
        >>> from etl.schema.star import PRODUCT_DIM
        >>> beside = history_beside(PRODUCT_DIM, Versions())
        >>> beside.name, beside.names[:3]
        ('product_dim_history', ('version_id', 'product_id', 'name'))
    """
    own = [c for c in table.with_role(Role.SOURCE) if c.name != table.placeholder]
    plain = Table(
        f"{table.name}{_BESIDE}", f"one row per version of a row of {table.name}", table.key,
        tuple(own), source=table.source,
    )  # fmt: skip
    return versioned(plain, versions)


def observation_table(table: Table) -> Table:
    """Return the table of all states of the rows of a versioned table that were seen.

    Example:
        >>> from etl.schema.star import PRODUCT_DIM
        >>> observed = observation_table(history_beside(PRODUCT_DIM, Versions()))
        >>> observed.name, observed.key
        ('product_dim_history_observation', ('product_id', 'holds_from'))
    """
    own = [
        replace(c, required=c.name in table.key, exact=c.exact or c.kind is Kind.TEXT,
                collation=c.collation if c.name in table.key else "", references=None,
                default=None)
        for c in table.with_role(Role.SOURCE)
    ]  # fmt: skip
    columns = (
        replace(_ID, description="of the version that begins with it, if one does"),
        *own,
        Column(HOLDS_FROM, "since when it held", Kind.TIMESTAMP, required=True),
        Column(IS_REMOVED, "whether the key was gone", Kind.BOOLEAN, required=True),
        Column("run_id", "run that saw it last", Kind.TEXT, width=30, required=True, exact=True),
    )
    return Table(
        f"{table.name}_observation", f"every state seen of rows of {table.name}",
        (*table.key, HOLDS_FROM), columns,
        indexes=(Index((VERSION_ID,), "which version begins with it"),),
    )  # fmt: skip


def with_observations(tables: Iterable[Table]) -> Iterator[Table]:
    """Yield tables, each with the table of its versions if it lies beside, and their states.

    Example:
        >>> from etl.schema.star import PRODUCT_DIM
        >>> kept = replace(PRODUCT_DIM, history=history_beside(PRODUCT_DIM, Versions()))
        >>> [table.name for table in with_observations([kept])]
        ['product_dim', 'product_dim_history', 'product_dim_history_observation']
    """
    for table in tables:
        yield table
        kept = table.history or table
        if table.history:
            yield table.history
        if kept.versions:
            yield observation_table(kept)


def ended_key_table(table: Table) -> Table:
    """Return a table for keys that are gone, each with since when, to be filled by a source."""
    keys = [replace(table.column(name), references=None, default=None) for name in table.key]
    at = Column(HOLDS_FROM, "since when the key is gone", Kind.TIMESTAMP, required=True)
    return Table(
        f"ended_{table.plain_name}", f"keys removed from {table.name}", (*table.key, HOLDS_FROM),
        (*keys, at),
    )  # fmt: skip
