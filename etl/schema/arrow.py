"""The tables' columns as Arrow types: how a record travels from its source to the warehouse.

Apart from `etl.schema.table`, so that what only names tables and columns need not load Arrow.
"""

from collections.abc import Iterable
from functools import cache

import pyarrow as pa

from etl.schema.table import Column, Kind, Role, Table

_ARROW_TYPES = {
    Kind.TEXT: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.BIGINT: pa.int64(),
    Kind.DOUBLE: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATE: pa.date32(),
    Kind.TIMESTAMP: pa.timestamp("us"),
}


def arrow_type(column: Column) -> pa.DataType:
    """Return the Arrow type in which a column travels.

    Example:
        >>> from etl.schema.star import CUSTOMER_DIM
        >>> arrow_type(CUSTOMER_DIM.column("registration_date"))
        DataType(date32[day])
    """
    if column.kind is Kind.DECIMAL:
        return pa.decimal128(column.precision, column.scale)
    return _ARROW_TYPES[column.kind]


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return columns as an Arrow schema, in their order."""
    return pa.schema([pa.field(column.name, arrow_type(column)) for column in columns])


def text_schema(columns: Iterable[str]) -> pa.Schema:
    """Return the schema of records as their source wrote them: their row, and columns of text."""
    return pa.schema([("source_row", pa.int64()), *((name, pa.string()) for name in columns)])


@cache
def staged_schema(table: Table) -> pa.Schema:
    """Return the columns that a transformed record brings: those of its source."""
    return arrow_schema(table.with_role(Role.SOURCE))
