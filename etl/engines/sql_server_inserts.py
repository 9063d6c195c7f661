"""The plain INSERT of many rows: its text, and how its parameters are declared to the driver."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from etl.engines.dialect import quoted, quoted_table
from etl.engines.engine import Part
from etl.engines.odbc import SqlType
from etl.schema.columns import WIDEST_TEXT
from etl.schema.table import Column, Kind, Table

# The driver gets an array for each column of an insert; this bounds all of them, in bytes.
ARRAY_BYTES = 64 * 1024 * 1024


# Rows that go with one INSERT, where there are many: each statement costs the server about as much
# as two rows do, and one of very many parameters takes long to compile.
TOGETHER = 4
_MANY_ROWS = 1000


def insert_text(
    table: Table, columns: Sequence[Column], flags: Mapping[str, object], *, rows: int = 1
) -> str:
    """Return the INSERT of rows, a parameter per column of each; flags are written out.

    What differs from run to run is a parameter, so that the server knows the statement again and
    keeps one plan for it.

    Example:
        >>> from etl.schema.star import CUSTOMER_DIM
        >>> insert_text(CUSTOMER_DIM, CUSTOMER_DIM.columns[:1], {"is_inferred": False})
        'INSERT INTO "customer_dim" ("is_inferred", "customer_id") VALUES (0, ?);'
    """
    names = ", ".join([*map(quoted, flags), *(quoted(c.name) for c in columns)])
    values = ", ".join([*map(_literal, flags.values()), *("?" for _ in columns)])
    listed = ", ".join([f"({values})"] * rows)
    return f"INSERT INTO {quoted_table(table.name)} ({names}) VALUES {listed};"  # noqa: S608  # our own names


def in_statements(
    rows: Sequence[tuple[Any, ...]],
) -> Iterator[tuple[int, Sequence[tuple[Any, ...]]]]:
    """Yield how many rows go with each INSERT, and the parameters of all of those.

    Example:
        >>> [(rows, len(params)) for rows, params in in_statements([(1,)] * 1002)]
        [(4, 250), (1, 2)]
        >>> list(in_statements([(1, 2), (3, 4)]))
        [(1, [(1, 2), (3, 4)])]
    """
    whole = len(rows) // TOGETHER * TOGETHER if len(rows) >= _MANY_ROWS else 0
    if whole:
        starts = range(0, whole, TOGETHER)
        yield TOGETHER, [tuple(chain.from_iterable(rows[n : n + TOGETHER])) for n in starts]
    if rest := rows[whole:]:
        yield 1, rest


def _literal(flag: object) -> str:
    return str(int(flag)) if isinstance(flag, int) else "NULL"


def as_one(parts: Sequence[Part]) -> pa.RecordBatch:
    """Return blocks as one, their constants as columns: each insert costs, however many its rows.

    Example:
        >>> blocks = [pa.record_batch({"row": [n]}) for n in (7, 8)]
        >>> as_one([(block, {"batch": n}) for n, block in enumerate(blocks)]).to_pydict()
        {'row': [7, 8], 'batch': [0, 1]}
    """
    tables = [pa.table(columns_of(part)) for part in parts]
    return pa.concat_tables(tables).combine_chunks().to_batches()[0]


def columns_of(part: Part) -> dict[str, pa.Array]:
    """Return the columns of a block, its constants among them.

    Example:
        >>> columns = columns_of((pa.record_batch({"n": [1, 2]}), {"run": "r"}))
        >>> {name: column.to_pylist() for name, column in columns.items()}
        {'n': [1, 2], 'run': ['r', 'r']}
    """
    block, constants = part
    given = {name: block.column(name) for name in block.schema.names}
    return given | {name: pa.repeat(value, block.num_rows) for name, value in constants.items()}


def flags_of_one_value(block: pa.RecordBatch) -> dict[str, object]:
    """Return the flags that are the same in all rows, which need not be sent with each of them."""
    flags = (name for name in block.schema.names if pa.types.is_boolean(block[name].type))
    found = {name: block[name].unique() for name in flags}
    return {name: values[0].as_py() for name, values in found.items() if len(values) == 1}


def parameter_bytes(column: Column) -> int:
    """Return how many bytes a parameter takes in the array of its column."""
    # UTF-16 and its end; other types take at most a number of 38 digits as text
    return 2 * column.width + 2 if column.kind is Kind.TEXT else 48


def input_size(column: Column) -> tuple[int, int, int]:
    """Return type, size and scale of a parameter, as `setinputsizes` takes them."""
    sizes = {
        # a size of 0 is that of NVARCHAR(MAX)
        Kind.TEXT: (SqlType.WVARCHAR, 0 if column.width > WIDEST_TEXT else column.width, 0),
        Kind.INTEGER: (SqlType.INTEGER, 10, 0),
        Kind.BIGINT: (SqlType.BIGINT, 19, 0),
        Kind.DOUBLE: (SqlType.DOUBLE, 53, 0),
        Kind.DECIMAL: (SqlType.DECIMAL, column.precision, column.scale),
        Kind.BOOLEAN: (SqlType.BIT, 1, 0),
        Kind.DATE: (SqlType.DATE, 10, 0),
        Kind.TIMESTAMP: (SqlType.TIMESTAMP, 26, 6),
    }
    return sizes[column.kind]
