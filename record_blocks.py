"""Plain records as blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import field_rules
from data_transformation import Checks, block_from_records
from field_rules import Reading
from rejected_records import one_block
from star_schema import Column, Kind, Role, Table


def staged_from_records(
    table: Table, records: Sequence[Mapping[str, Any]]
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Records with a table's columns as a block for staging, and those that do not fit.

    What a record lacks is empty, `is_inferred` false; what it has besides is left alone.

    Args:
        table: the warehouse table.
        records: dicts with its columns.

    Returns:
        The block, `source_row` counting from 1, and the rejected records.

    Example:
        >>> from star_schema import CUSTOMER_DIM
        >>> block, rejected = staged_from_records(CUSTOMER_DIM, [{"customer_id": "C1"}, {}])
        >>> block.num_rows, rejected.column("reason").to_pylist()
        (1, ['customer_id must not be empty'])
    """
    columns = table.with_role(Role.SOURCE)
    names = tuple(column.name for column in columns)
    completed = [{"is_inferred": False, **record} for record in records]
    block, unfit = block_from_records(completed, names)
    readings = {column.name: _read(block.column(column.name), column) for column in columns}
    checks = Checks(block, names)
    checks.missing({c.name: readings[c.name].missing for c in columns if c.required})
    checks.bad_text()
    values = {name: reading.values for name, reading in readings.items()}
    checks.columns_fit(table, values, readings)
    transformed = checks.result(table, values, {})
    return transformed.accepted, one_block([unfit, transformed.rejected])


def _read(values: pa.Array, column: Column) -> Reading:
    if column.kind is Kind.DECIMAL:
        return field_rules.read_decimals(values, column.precision, column.scale)
    if column.kind is Kind.INTEGER:
        return field_rules.read_integers(values)
    readers = {
        Kind.TEXT: field_rules.clean_text,
        Kind.BOOLEAN: _read_flags,
        Kind.DATE: field_rules.read_dates,
        Kind.TIMESTAMP: field_rules.read_timestamps,
    }
    text = field_rules.clean_text(values)
    found = readers[column.kind](values)
    unreadable = pc.and_(pc.is_null(found), pc.is_valid(text))
    return Reading(found, pc.is_null(text), unreadable, field_rules.no_rows(len(values)))


def _read_flags(values: pa.Array) -> pa.Array:
    text = pc.utf8_lower(field_rules.clean_text(values))
    return pc.if_else(pc.is_in(text, pa.array(["true", "false"])), pc.equal(text, "true"), None)
