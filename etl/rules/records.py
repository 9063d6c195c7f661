"""Records of any kind as blocks: lists of dicts, DataFrames of pandas or polars, Arrow tables."""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import TransformationError
from etl.rejects import BAD_TEXT, MALFORMED, VALUE_CHARACTERS, one_block, reject_block
from etl.rules import columns as field_rules
from etl.rules import values as value_rules
from etl.rules.absent import Key, Known, Row, fill_absent
from etl.rules.checks import Checks
from etl.rules.columns import Reading
from etl.rules.dates import read_dates, read_timestamps
from etl.schema.table import Column, Kind, Role, Table

_KINDS = "a list of dicts, a pandas or polars DataFrame, an Arrow table"
_ROW = "source_row"
_LOOKED_UP = 5_000  # rows of a frame that are made records of together

# An Arrow array, or a list of the values where Arrow has no one type for them.
_Values: TypeAlias = Any


# --- the kinds ---------------------------------------------------------------------------


@dataclass(frozen=True)
class DictRecords:
    """Records given as a list of dicts.

    Attributes:
        rows: the dicts.
        originals: by column, the key that holds the source's own value in a record that has been
            transformed before.
    """

    has_types = False

    rows: Sequence[Mapping[str, Any]]
    originals: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        """All keys, in the order in which they first occur."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row))

    def column(self, name: str) -> _Values:
        """Return the values of a column, None where a record lacks it."""
        own = self.originals.get(name, name)
        return [row[own] if own in row else row.get(name) for row in self.rows]

    def types(self) -> Iterator[tuple[str, _Values]]:
        """Yield each key with its values: as an array where Arrow has one type for them."""
        for name in self.names:
            values = self.column(name)
            try:
                yield name, pa.array(values)
            except (pa.ArrowException, UnicodeError):
                yield name, values

    def present(self, name: str) -> pa.Array:
        """Return which records carry a column, with or without a value."""
        return pa.array([name in row for row in self.rows], pa.bool_())

    def record(self, row: int) -> dict[str, Any]:
        """Return one record as it was given; rows count from 0."""
        return dict(self.rows[row])

    def parts(self, rows: int) -> Iterator["DictRecords"]:
        """Yield the records whole: those of one key build on each other."""
        yield self

    def like(self, result: pa.RecordBatch | pa.Table, money: Sequence[str] = ()) -> Any:
        """Return a result as a list of dicts.

        Args:
            result: rows (a block or a table) with the `source_row` of their record, which is
                left out.
            money: columns in which a float makes floats of the record's Decimals.
        """
        return [_row_like(row, self.rows[row.pop(_ROW) - 1], money) for row in result.to_pylist()]


def _row_like(
    row: dict[str, Any], record: Mapping[str, Any], money: Sequence[str]
) -> dict[str, Any]:
    if not any(isinstance(record.get(name), float) for name in money):
        return row
    return {n: float(value) if isinstance(value, Decimal) else value for n, value in row.items()}


class FrameRecords:
    """Records given as a DataFrame or an Arrow table; NaN and NaT are missing values.

    Args:
        frame: the frame, wrapped by narwhals.
        originals: as in `DictRecords`.
    """

    def __init__(self, frame: Any, originals: Mapping[str, str] | None = None) -> None:
        self._frame, self._originals = frame, originals or {}
        self._columns: dict[str, _Values] = {}
        self._looked_up: tuple[int, FrameRecords] = (-1, self)

    def __len__(self) -> int:
        return len(self._frame)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns, in the order of the frame."""
        return tuple(self._frame.columns)

    def column(self, name: str) -> _Values:
        """Return the values of a column; nulls where the frame lacks it."""
        own = self._originals.get(name, name)
        return self._column(own if own in self.names else name)

    def _column(self, name: str) -> _Values:
        if name not in self._columns:
            known = name in self.names
            self._columns[name] = _values_of(self._frame[name]) if known else self._nulls
        return self._columns[name]

    @cached_property
    def _nulls(self) -> pa.Array:
        return pa.nulls(len(self), pa.string())

    def present(self, name: str) -> pa.Array:
        """Return which records carry a column: all or none."""
        return pa.repeat(pa.scalar(name in self.names), len(self))

    def record(self, row: int) -> dict[str, Any]:
        """Return one record as a dict; rows count from 0."""
        if len(self) > _LOOKED_UP:
            return self._part(row // _LOOKED_UP).record(row % _LOOKED_UP)
        return {name: _plain(self._column(name)[row]) for name in self.names}

    def _part(self, number: int) -> "FrameRecords":
        """A part of the frame in which single records are looked up; the last one is kept."""
        if self._looked_up[0] != number:
            start = number * _LOOKED_UP
            part = FrameRecords(self._frame[start : start + _LOOKED_UP], self._originals)
            self._looked_up = (number, part)
        return self._looked_up[1]

    def parts(self, rows: int) -> Iterator["FrameRecords"]:
        """Yield the frame in parts of so many rows, which share its memory."""
        for start in range(0, len(self), rows):
            yield FrameRecords(self._frame[start : start + rows], self._originals)

    @property
    def has_types(self) -> bool:
        """Whether decimals come with a precision: in pandas they are objects."""
        return not self._frame.implementation.is_pandas()

    def types(self) -> Iterator[tuple[str, _Values]]:
        """Yield each column with its values, which are not kept."""
        for name in self.names:
            yield name, _values_of(self._frame[name])

    def like(self, result: pa.RecordBatch | pa.Table, money: Sequence[str] = ()) -> Any:
        """Return a result in the kind of frame that was given.

        Args:
            result: rows (a block or a table) with a `source_row`, which is left out.
            money: columns in which floats make floats of all Decimals.
        """
        table = pa.table(result).drop_columns([_ROW])
        if any(_is_float(self._column(name)) for name in money):
            table = table.cast(pa.schema([_as_float(column) for column in table.schema]))
        backend = self._frame.implementation
        if backend.is_pandas():
            return pandas_frame(table)
        return importlib.import_module("narwhals").from_arrow(table, backend=backend).to_native()


Records = DictRecords | FrameRecords


def records_of(
    given: object, name: str = "records", originals: Mapping[str, str] | None = None
) -> Records:
    """Take records in whatever kind they come.

    Args:
        given: a list of dicts, a pandas or polars DataFrame, or an Arrow table.
        name: what to call them in errors.
        originals: by column, the one that holds the source's own value in records that have been
            transformed before.

    Raises:
        TransformationError: they are of another kind.

    Example:
        >>> records = records_of(pa.table({"id": [1, 2]}))
        >>> len(records), records.names, records.record(1)
        (2, ('id',), {'id': 2})
    """
    if isinstance(given, DictRecords | FrameRecords):
        return given
    if isinstance(given, list):
        return DictRecords(_only_dicts(given, name), originals or {})
    # At import time narwhals would cost every run 0.15 CPU seconds, and no run uses it.
    narwhals = importlib.import_module("narwhals")
    try:
        return FrameRecords(narwhals.from_native(given, eager_only=True), originals)
    except (TypeError, ValueError) as error:
        what = f"{name} is a {type(given).__name__}"
        detail = "" if isinstance(error, TypeError) else f": {error}"
        raise TransformationError(what + detail, choices=_KINDS) from error


def _only_dicts(given: list[Any], name: str) -> list[Any]:
    for place, record in enumerate(given):
        if not isinstance(record, dict):
            raise TransformationError(
                f"{name}[{place}] is a {type(record).__name__}", choices="a list of dicts"
            )
    return given


def pandas_frame(table: pa.Table) -> Any:
    """Return an Arrow table as a pandas DataFrame whose types do not depend on missing values.

    Whole numbers and flags become pandas' nullable types, Decimals stay Decimals.
    """
    return table.to_pandas(types_mapper=_nullable_type)


def _nullable_type(kind: pa.DataType) -> Any:
    pandas = sys.modules["pandas"]  # Arrow has imported it
    nullable = {pa.int64(): pandas.Int64Dtype(), pa.bool_(): pandas.BooleanDtype()}
    return nullable.get(kind)


def _values_of(series: Any) -> _Values:
    """A column of a frame in a type that the rules know, or as plain values."""
    try:
        array = series.to_arrow()
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        if pa.types.is_floating(array.type):
            return pc.if_else(pc.is_nan(array), None, array)
        return array if _is_known(array.type) else array.cast(pa.string())
    except (pa.ArrowException, UnicodeError):  # values of several kinds, nested or no text
        nulls = series.is_null().to_list()
        return [None if null else v for v, null in zip(series.to_list(), nulls, strict=True)]


def _is_known(kind: pa.DataType) -> bool:
    """Whether `field_rules` reads a column of this type as it is."""
    checks = ("boolean", "integer", "decimal", "temporal", "string")
    return any(getattr(pa.types, f"is_{check}")(kind) for check in checks)


def _is_float(values: _Values) -> bool:
    if isinstance(values, pa.Array):
        return bool(pa.types.is_floating(values.type))
    return any(isinstance(value, float) for value in values)


def _as_float(column: pa.Field) -> pa.Field:
    return column.with_type(pa.float64()) if pa.types.is_decimal(column.type) else column


def _plain(value: object) -> object:
    return value.as_py() if isinstance(value, pa.Scalar) else value


# --- blocks ------------------------------------------------------------------------------


def block_from_records(
    given: object, columns: tuple[str, ...], *, first_row: int = 1
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Build a block from records.

    Args:
        given: records of any kind, see `records_of`; what they lack counts as missing, what they
            have besides is ignored.
        columns: the source's columns; the first is the key.
        first_row: the `source_row` of the first record.

    Returns:
        The block, its `source_row` counting on: text, or the types of the frame. And the
        rejected: records in which a column holds a dict, a list or half of a character.

    Example:
        >>> block, rejected = block_from_records([{"id": 1}, {"id": []}], ("id", "name"))
        >>> block.to_pylist(), rejected.num_rows
        ([{'source_row': 1, 'id': '1', 'name': None}], 1)
    """
    records = records_of(given)
    bad: dict[int, BadValueError] = {}
    arrays = [_block_column(name, records.column(name), bad) for name in columns]
    rows = pa.array(range(first_row, first_row + len(records)), pa.int64())
    block = pa.RecordBatch.from_arrays([rows, *arrays], [_ROW, *columns])
    if bad:
        kept = [row not in bad for row in range(len(records))]
        block = block.filter(pa.array(kept, pa.bool_()))
    rejected = [bad[n].rejected(n + first_row, records.record(n), columns) for n in sorted(bad)]
    return block, reject_block(columns, rejected)


def _block_column(name: str, values: _Values, bad: dict[int, "BadValueError"]) -> pa.Array:
    """A column for a block; remembers for each row its first value that cannot stand in one."""
    if isinstance(values, pa.Array):
        return values
    texts: list[str | None] = []
    for row, value in enumerate(values):
        try:
            texts.append(storable(name, value))
        except BadValueError as error:
            bad.setdefault(row, error)
            texts.append(None)
    return pa.array(texts, pa.string())


class BadValueError(Exception):
    """A value cannot stand in a block at all."""

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


def _nothing_known(_keys: pa.Table) -> dict[Key, Row]:
    return {}


def staged_from_records(
    table: Table, given: object, known: Known = _nothing_known, *, first_row: int = 1
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Build a block for staging from records with a table's columns.

    A column that a record does not carry keeps what the warehouse holds, and is empty for a new
    key. The flag of placeholders becomes false. What a record has besides is ignored.

    Args:
        table: the warehouse table.
        given: records of any kind, see `records_of`.
        known: looks up rows of the warehouse by their keys.
        first_row: the `source_row` of the first record.

    Returns:
        The block, `source_row` counting on, and the rejected records.

    Example:
        >>> from etl.schema.star import CUSTOMER_DIM
        >>> block, rejected = staged_from_records(CUSTOMER_DIM, [{"customer_id": "C1"}, {}])
        >>> block.num_rows, rejected.column("reason").to_pylist()
        (1, ['customer_id must not be empty'])
    """
    columns = table.with_role(Role.SOURCE)
    names = tuple(column.name for column in columns)
    records = records_of(given)
    block, unfit = block_from_records(records, names, first_row=first_row)
    if table.placeholder:
        block = _filled(block, table.placeholder, "false")
    present = {
        name: records.present(name).take(pc.subtract(block.column(_ROW), first_row))
        for name in names
        if name not in (*table.key, table.placeholder)
    }
    readings = {column.name: _read(block.column(column.name), column) for column in columns}
    checks = Checks(block, names)
    missing = {c.name: readings[c.name].missing for c in columns if c.required}
    checks.missing({n: pc.and_(rows, present.get(n, True)) for n, rows in missing.items()})
    checks.bad_text()
    values = {name: reading.values for name, reading in readings.items()}
    checks.columns_fit(table, values, readings)
    if table.key:
        values = fill_absent(table, values, present, failed=checks.failed, known=known)
    checks.missing({name: pc.is_null(values[name]) for name in missing})
    transformed = checks.result(table, values, {})
    return transformed.accepted, one_block([unfit, transformed.rejected])


def _filled(block: pa.RecordBatch, name: str, text: str) -> pa.RecordBatch:
    """The block, with a text where a column has no value."""
    values = pc.fill_null(field_rules.as_text_column(block.column(name)), text)
    return block.set_column(block.schema.get_field_index(name), name, values)


def _read(values: pa.Array, column: Column) -> Reading:
    if column.kind is Kind.DECIMAL:
        return field_rules.read_decimals(values, column.precision, column.scale)
    if column.kind in _NUMBERS:
        return _NUMBERS[column.kind](values)
    found = _READERS[column.kind](values)
    if column.kind is Kind.TEXT:
        missing = pc.is_null(found)
    elif pa.types.is_string(values.type):
        missing = field_rules.is_missing(values)
    else:
        missing = pc.is_null(values)
    unreadable = pc.and_not(pc.is_null(found), missing)
    return Reading(found, missing, unreadable, field_rules.no_rows(len(values)))


def _read_flags(values: pa.Array) -> pa.Array:
    if pa.types.is_boolean(values.type):
        return values
    text = pc.utf8_lower(field_rules.clean_text(values))
    return pc.if_else(pc.is_in(text, pa.array(["true", "false"])), pc.equal(text, "true"), None)


_NUMBERS = {
    Kind.INTEGER: field_rules.read_integers,
    Kind.BIGINT: field_rules.read_bigints,
    Kind.DOUBLE: field_rules.read_doubles,
}
_READERS = {
    Kind.TEXT: field_rules.clean_text,
    Kind.BOOLEAN: _read_flags,
    Kind.DATE: read_dates,
    Kind.TIMESTAMP: read_timestamps,
}
