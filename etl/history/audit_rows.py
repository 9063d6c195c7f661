"""Rows of the audit tables: written whole, replaced, cut to their columns."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

import pyarrow as pa

from etl.engines import dialect as sql_dialects
from etl.engines.database import DatabaseManager
from etl.engines.dialect import quoted
from etl.schema.arrow import arrow_schema
from etl.schema.table import Column, Kind, Table

T = TypeVar("T")


def cut(text: str, units: int) -> str:
    """Return the text cut to so many UTF-16 units, as a server counts them."""
    return text.encode("utf-16-le", "replace")[: 2 * units].decode("utf-16-le", "ignore")


def forget(db: DatabaseManager, table: Table, table_name: str) -> None:
    """Delete what an audit table says of a table."""
    db.execute(f'DELETE FROM "{table.name}" WHERE "table_name" = ?;', (table_name,))  # noqa: S608  # our own table


def replace_row(db: DatabaseManager, table: Table, row: Mapping[str, object]) -> None:
    """Write a row of an audit table in place of the one with its key, in the caller's transaction.

    Args:
        db: the warehouse, in a transaction.
        table: the table.
        row: the row, whole.
    """
    same = " AND ".join(f"{quoted(name)} = ?" for name in table.key)
    place = tuple(row[name] for name in table.key)
    db.execute(f"DELETE FROM {quoted(table.name)} WHERE {same};", place)  # noqa: S608  # our own names
    write_row(db, table, row)


def replace_rows(
    db: DatabaseManager, table: Table, rows: Sequence[Mapping[str, object]], *, by: Sequence[str]
) -> None:
    """Write rows of an audit table in place of those like them, so that it may be done twice.

    Args:
        db: the open warehouse, outside a transaction.
        table: the table.
        rows: its new rows.
        by: the columns in which those are like them that go.
    """
    same = " AND ".join(f"{quoted(name)} = ?" for name in by)
    with db.transaction():
        for place in {tuple(row[name] for name in by) for row in rows}:
            db.execute(f"DELETE FROM {quoted(table.name)} WHERE {same};", place)  # noqa: S608  # our own names
        insert_rows(db, table, rows)


def insert_rows(db: DatabaseManager, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of an audit table; texts are cut to their columns, empty ones are left out."""
    schema = arrow_schema(table.columns)
    fitting = [{c.name: _fitting(c, row.get(c.name)) for c in table.columns} for row in rows]
    db.append(table, pa.RecordBatch.from_pylist(fitting, schema=schema))


def _fitting(column: Column, value: object) -> object:
    if column.kind is Kind.TEXT and value is not None:
        text = cut(str(value), column.width)
        return text if text or column.required else None
    if column.kind is Kind.DECIMAL and value is not None:
        return Decimal(str(value)).quantize(Decimal(1).scaleb(-column.scale))
    return value


def write_rows(db: DatabaseManager, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows, as many with a statement as a server takes parameters."""
    for part in in_statements(rows, marks=len(table.columns)):
        values = [row.get(name) for row in part for name in table.names]
        db.execute(sql_dialects.insert_rows(table, len(part)), values)


_MOST_PARAMETERS = 2000  # SQL Server takes 2,100 with a statement


def in_statements(values: Sequence[T], *, marks: int = 1) -> Iterator[Sequence[T]]:
    """Yield values, as many together as go with one statement.

    Args:
        values: the values.
        marks: how many parameters each of them takes.

    Example:
        >>> [len(some) for some in in_statements(range(1500), marks=2)]
        [1000, 500]
    """
    many = _MOST_PARAMETERS // marks
    return (values[start : start + many] for start in range(0, len(values), many))


def write_row(db: DatabaseManager, table: Table, row: Mapping[str, object]) -> None:
    """Insert a row of an audit table, in the caller's transaction."""
    db.execute(sql_dialects.insert_row(table), [row.get(name) for name in table.names])
