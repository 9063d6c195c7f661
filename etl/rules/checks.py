"""Judging a block: which records keep the rules, and why the others do not."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from etl.rejects import (
    BAD_TEXT,
    MISSING,
    OUT_OF_RANGE,
    UNREADABLE,
    VALUE_CHARACTERS,
    one_block,
    reject_block,
    reject_schema,
)
from etl.rules import columns as field_rules
from etl.rules.blocks import LoadBlock
from etl.rules.columns import Reading
from etl.rules.dates import looks_like_serial
from etl.rules.texts import has_decimal_comma
from etl.schema.arrow import staged_schema
from etl.schema.table import Column, Kind, Table


@dataclass(frozen=True)
class _Fault:
    rows: pa.Array
    error_class: str
    field: str
    reason: str
    values: pa.Array


class Checks:
    """Collects for each record of a block the first check that it fails.

    Args:
        block: `source_row` and the source's columns, as they came.
        columns: the source's columns; the first is the key.
        keys: the keys as they are compared, where they do not stand so in the block.
    """

    def __init__(
        self, block: pa.RecordBatch, columns: tuple[str, ...], keys: pa.Array | None = None
    ) -> None:
        self._block = block
        self._keys = block.column(columns[0]) if keys is None else keys
        self._columns = columns
        self._faults: list[_Fault] = []
        self.failed = field_rules.no_rows(block.num_rows)

    def add(
        self,
        rows: pa.Array,
        error_class: str,
        field: str,
        reason: str,
        *,
        computed: pa.Array | None = None,
    ) -> None:
        """Rejects rows, unless an earlier check has.

        Args:
            rows: the rows that fail; null counts as passed.
            error_class: see `rejected_records`.
            field: the column to blame.
            reason: what it must be, for the person who mends it.
            computed: the values to show, where the column does not come from the source.
        """
        if not rows.true_count:
            return
        rows = pc.and_not(pc.fill_null(rows, False), self.failed)
        if rows.true_count:
            values = self._block.column(field) if computed is None else computed
            self._faults.append(_Fault(rows, error_class, field, reason, values))
            self.failed = pc.or_(self.failed, rows)

    def missing(self, missing: Mapping[str, pa.Array]) -> None:
        """Rejects where a required field is missing, given the rows per field."""
        for field, rows in missing.items():
            self.add(rows, MISSING, field, f"{field} must not be empty")

    def bad_text(self) -> None:
        """Rejects what no database server stores."""
        for field in self._columns:
            rows = field_rules.has_bad_text(self._block.column(field))
            self.add(rows, BAD_TEXT, field, f"{field} must not hold a NUL character")

    def columns_fit(
        self, table: Table, values: Mapping[str, pa.Array], readings: Mapping[str, Reading]
    ) -> None:
        """Rejects what cannot be read or does not fit, column by column as in the source.

        Args:
            table: declares widths and ranges.
            values: cleaned columns of the table.
            readings: by source column, those that are numbers or dates.
        """
        for field in self._columns:
            if field in readings:
                column, reading = table.column(field), readings[field]
                odd = reading.unreadable.true_count
                if odd and column.kind in (Kind.DATE, Kind.TIMESTAMP):
                    serial = pc.and_(
                        reading.unreadable, looks_like_serial(self._block.column(field))
                    )
                    self.add(serial, UNREADABLE, field, f"{field} {SERIAL}")
                if odd and column.kind is Kind.DECIMAL:
                    comma = pc.and_(
                        reading.unreadable, has_decimal_comma(self._block.column(field))
                    )
                    self.add(comma, UNREADABLE, field, f"{field} {DECIMAL_COMMA}")
                self.add(reading.unreadable, UNREADABLE, field, _wanted(column))
                self.add(reading.out_of_range, OUT_OF_RANGE, field, range_words(column))
            for name in (f"source_{field}", field):
                if name in values and table.column(name).kind is Kind.TEXT:
                    self._width(table.column(name), values[name], field)

    def _width(self, column: Column, values: pa.Array, field: str) -> None:
        rows = field_rules.utf16_too_long(values, column.width)
        reason = f"{field} must have at most {column.width} characters (UTF-16 code units)"
        self.add(rows, OUT_OF_RANGE, field, reason)

    def result(
        self, table: Table, values: Mapping[str, pa.Array], notes: Mapping[str, pa.Array]
    ) -> LoadBlock:
        """Parts the block.

        Args:
            table: whose staged columns are wanted.
            values: these columns.
            notes: by name, the rows of which to count those that are accepted.
        """
        schema = staged_schema(table).append(pa.field("source_row", pa.int64()))
        values = {**values, "source_row": self._block.column("source_row")}
        accepted = pa.RecordBatch.from_arrays([values[n] for n in schema.names], schema=schema)
        if self._faults:
            accepted = accepted.filter(pc.invert(self.failed))
        counts = {n: pc.and_not(rows, self.failed).true_count for n, rows in notes.items()}
        return LoadBlock(accepted, self._rejected(), counts)

    def _rejected(self) -> pa.RecordBatch:
        if not self._faults:
            return reject_block(self._columns, [])
        return one_block([self._rows_of(fault) for fault in self._faults])

    def _rows_of(self, fault: _Fault) -> pa.RecordBatch:
        block = self._block.filter(fault.rows)
        texts = {n: field_rules.as_text_column(block.column(n)) for n in self._columns}
        values = field_rules.as_text_column(fault.values.filter(fault.rows))
        about = {
            "record_key": field_rules.clean_text(self._keys.filter(fault.rows)),
            "value": pc.utf8_slice_codeunits(values, 0, VALUE_CHARACTERS),
            "error_class": pa.repeat(fault.error_class, block.num_rows),
            "field": pa.repeat(fault.field, block.num_rows),
            "reason": pa.repeat(fault.reason, block.num_rows),
            "raw_record": pa.nulls(block.num_rows, pa.string()),
            "source_row": block.column("source_row"),
        }
        schema = reject_schema(self._columns)
        arrays = [about[n] if n in about else texts[n] for n in schema.names]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


DECIMAL_COMMA = 'has a decimal comma: set decimal = "," for this source in pipeline.toml'
SERIAL = "looks like a serial number of Excel; export dates as text"
_WHOLE_BITS = {Kind.INTEGER: 32, Kind.BIGINT: 64}


def _wanted(column: Column) -> str:
    if column.kind in _WHOLE_BITS:
        return f"{column.name} must be a whole number"
    if column.kind is Kind.DECIMAL:
        return (
            f"{column.name} must be a number such as 1234.50, "
            "without currency sign or thousands separator"
        )
    if column.kind is Kind.BOOLEAN:
        return f"{column.name} must be true or false"
    return (
        f"{column.name} must be a date such as 2024-01-31, 01/31/2024, 31.01.2024, 31 Jan 2024 or "
        "Jan 31, 2024, with or without a time such as 14:30:00 or 2:30 PM"
    )


def range_words(column: Column) -> str:
    """What a number must keep to for its column to hold it, as a sentence."""
    if column.kind in _WHOLE_BITS:
        end = 2 ** (_WHOLE_BITS[column.kind] - 1)
        return f"{column.name} must lie between -{end:,} and {end - 1:,}"
    end = 10 ** (column.precision - column.scale)
    return f"{column.name} must lie between -{end:,} and {end:,}, both excluded"
