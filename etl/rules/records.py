"""Plain records as blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from etl.rejects import BAD_TEXT, MALFORMED, VALUE_CHARACTERS, one_block, reject_block
from etl.rules import columns as field_rules
from etl.rules import values as value_rules
from etl.rules.checks import Checks
from etl.rules.columns import Reading
from etl.schema.tables import Column, Kind, Role, Table


def block_from_records(
    records: Sequence[Mapping[str, Any]], columns: tuple[str, ...]
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """A block of text columns from dicts, as a source would have written them.

    Args:
        records: what they lack counts as missing, what they have besides is left alone.
        columns: the source's columns; the first is the key.

    Returns:
        The block, its `source_row` counting from 1, and the rejected: records in which a column
        holds a dict, a list or half of a character.

    Example:
        >>> block, rejected = block_from_records([{"id": 1}, {"id": []}], ("id", "name"))
        >>> block.to_pylist(), rejected.num_rows
        ([{'source_row': 1, 'id': '1', 'name': None}], 1)
    """
    places: list[int] = []
    rows: list[list[str | None]] = []
    rejected: list[dict[str, object]] = []
    for place, record in enumerate(records, 1):
        try:
            rows.append([storable(name, record.get(name)) for name in columns])
            places.append(place)
        except BadValueError as error:
            rejected.append(error.rejected(place, record, columns))
    texts = zip(*rows, strict=True) if rows else ((),) * len(columns)
    arrays = [pa.array(places, pa.int64()), *(pa.array(text, pa.string()) for text in texts)]
    block = pa.RecordBatch.from_arrays(arrays, ["source_row", *columns])
    return block, reject_block(columns, rejected)


class BadValueError(Exception):
    """A value that cannot stand in a block at all."""

    def __init__(self, error_class: str, field: str, reason: str) -> None:
        super().__init__(reason)
        self.error_class, self.field = error_class, field

    def rejected(
        self, place: int, record: Mapping[str, Any], columns: tuple[str, ...]
    ) -> dict[str, object]:
        """The record as a row of a block of rejected records."""
        texts = {name: _shown(record.get(name)) for name in columns}
        return texts | {
            "source_row": place,
            "record_key": value_rules.trimmed(texts[columns[0]] or ""),
            "error_class": self.error_class,
            "field": self.field,
            "value": (texts.get(self.field) or "")[:VALUE_CHARACTERS],
            "reason": str(self),
        }


def storable(name: str, value: object) -> str | None:
    """A value as text that can stand in a block.

    Raises:
        BadValueError: it is a dict, a list, or holds half of a character.
    """
    if isinstance(value, str) and value.isascii():  # nearly all of them, so it pays to be quick
        return value
    try:
        text = value_rules.as_text(value)
    except TypeError as error:
        raise BadValueError(MALFORMED, name, f"{name} must be a single value") from error
    if text is not None and not text.isascii() and value_rules.has_lone_surrogate(text):
        raise BadValueError(BAD_TEXT, name, f"{name} must not hold half a surrogate pair")
    return text


def _shown(value: object) -> str | None:
    text = str(value) if isinstance(value, dict | list) else value_rules.as_text(value)
    return text and text.encode("utf-8", "backslashreplace").decode()


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
        >>> from etl.schema.tables import CUSTOMER_DIM
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
