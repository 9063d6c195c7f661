"""Records of a table that a user has declared: typed by its columns, checked by its rules.

A block of text becomes a block of the table's types. What cannot be read, does not fit, lacks a
required value or breaks a rule is rejected with its reason, as in the built-in loads. Rules and
defaults are SQL expressions over the typed row; DuckDB evaluates them over the whole block.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import ConfigurationError, TransformationError
from etl.rejects import RULE
from etl.rules import columns as field_rules
from etl.rules.blocks import LoadBlock
from etl.rules.checks import Checks
from etl.rules.columns import Reading
from etl.rules.dates import AS_FOUND, DateReading, read_dates, read_timestamps
from etl.schema.arrow import arrow_type, staged_schema
from etl.schema.tables import Column, Kind, Role, Table

_TRUE = ("true", "t", "yes", "y", "1", "on")
_FALSE = ("false", "f", "no", "n", "0", "off")


@dataclass(frozen=True)
class Condition:
    """A rule of a declared load.

    Attributes:
        check: SQL expression; a record for which it is false breaks the rule, NULL keeps it.
        rejects: whether such a record is rejected, or counted only.
    """

    name: str
    check: str
    rejects: bool = True


@dataclass(frozen=True)
class Declaration:
    """What a declared load does to its records.

    Attributes:
        defaults: by column, the text that stands for a missing value.
        dates: how dates are read.
    """

    table: Table
    conditions: tuple[Condition, ...] = ()
    defaults: Mapping[str, str] | None = None
    dates: DateReading = AS_FOUND

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that come from the source, the key first."""
        own = [column.name for column in self.table.with_role(Role.SOURCE)]
        return (*self.table.key, *(name for name in own if name not in self.table.key))


def require_conditions(declaration: Declaration) -> None:
    """Check that every rule is an expression over the columns of the table.

    Args:
        declaration: of the load.

    Raises:
        ConfigurationError: a rule is no SQL expression, or names what the table does not have.

    Example:
        >>> from etl.schema.tables import PRODUCT_DIM
        >>> require_conditions(Declaration(PRODUCT_DIM, (Condition("cheap", "price < 100"),)))
        >>> require_conditions(Declaration(PRODUCT_DIM, (Condition("cheap", "prize < 100"),)))
        Traceback (most recent call last):
        etl.errors.ConfigurationError: rule 'cheap' of product_dim cannot be used: ...
    """
    empty = staged_schema(declaration.table).empty_table().to_batches() or [
        pa.RecordBatch.from_pylist([], schema=staged_schema(declaration.table))
    ]
    for condition in declaration.conditions:
        try:
            _evaluated((condition,), empty[0])
        except duckdb.Error as error:
            raise ConfigurationError(
                f"rule {condition.name!r} of {declaration.table.name} cannot be used: "
                f"{str(error).splitlines()[0]}",
                choices=f"a SQL expression over {', '.join(declaration.columns)}",
                next_step=f"correct its check: {condition.check}",
            ) from error


def transform_declared(block: pa.RecordBatch, declaration: Declaration) -> LoadBlock:
    """Type and check a block of a declared load.

    Args:
        block: `source_row`, and columns of the declaration as text; a column that is absent is
            missing in every record.
        declaration: of the load.

    Returns:
        Accepted records with the staged columns of the table, and the rejected ones.

    Example:
        >>> key = Column("id", "key", Kind.TEXT, width=10, required=True)
        >>> table = Table("orders", "orders", ("id",), (key, Column("paid", "", Kind.BOOLEAN)))
        >>> block = pa.record_batch({"source_row": [2, 3], "id": ["A", ""], "paid": ["yes", "no"]})
        >>> found = transform_declared(block, Declaration(table))
        >>> found.accepted.column("paid").to_pylist(), found.rejected.column("reason").to_pylist()
        ([True], ['id must not be empty'])
    """
    block = _completed(block, declaration)
    readings = {
        column.name: _READERS[column.kind](block.column(column.name), column, declaration.dates)
        for column in declaration.table.with_role(Role.SOURCE)
    }
    values = {name: reading.values for name, reading in readings.items()}
    checks = Checks(block, declaration.columns)
    required = [c.name for c in declaration.table.with_role(Role.SOURCE) if c.required]
    needed = dict.fromkeys((*declaration.table.key, *required))
    checks.missing({name: readings[name].missing for name in needed})
    checks.bad_text()
    typed = {n: r for n, r in readings.items() if not _is_text(declaration.table.column(n))}
    checks.columns_fit(declaration.table, values, typed)
    notes = _apply_conditions(checks, declaration, values)
    return checks.result(declaration.table, values, notes)


def _completed(block: pa.RecordBatch, declaration: Declaration) -> pa.RecordBatch:
    """The block with every column of the declaration, missing values by their defaults."""
    defaults = declaration.defaults or {}
    arrays = {"source_row": block.column("source_row")}
    for name in declaration.columns:
        has = name in block.schema.names
        column = block.column(name) if has else pa.nulls(block.num_rows, pa.string())
        if name in defaults:
            column = pc.if_else(field_rules.is_missing(column), defaults[name], column)
        arrays[name] = column
    return pa.RecordBatch.from_pydict(arrays)


def _is_text(column: Column) -> bool:
    return column.kind is Kind.TEXT


def _apply_conditions(
    checks: Checks, declaration: Declaration, values: Mapping[str, pa.Array]
) -> dict[str, pa.Array]:
    """Reject what breaks a rule; return the rows that break one that only warns."""
    if not declaration.conditions:
        return {}
    names = staged_schema(declaration.table).names
    typed = pa.RecordBatch.from_arrays([values[name] for name in names], names=names)
    try:
        broken = _evaluated(declaration.conditions, typed)
    except duckdb.Error as error:  # such as a cast that fails for a value
        raise TransformationError(
            f"a rule of {declaration.table.name} failed: {str(error).splitlines()[0]}",
            next_step="write it so that it has a value for every record, such as with TRY_CAST",
        ) from error
    notes = {}
    for condition, rows in zip(declaration.conditions, broken, strict=True):
        if condition.rejects:
            shown = pa.repeat(condition.check, len(rows))
            reason = f"rule {condition.name} is broken: {condition.check}"
            checks.add(rows, RULE, "", reason, computed=shown)
        else:
            notes[f"break_rule_{condition.name}"] = rows
    return notes


def _evaluated(conditions: Sequence[Condition], block: pa.RecordBatch) -> list[pa.Array]:
    """For each condition, the rows that break it, in the order of the block."""
    # a comment at the end of an expression must not swallow what follows it
    listed = ", ".join(f"({c.check}\n) IS FALSE AS c{n}" for n, c in enumerate(conditions))
    numbered = block.append_column("row number", pa.array(range(block.num_rows), pa.int64()))
    with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as engine:
        engine.register("block", pa.Table.from_batches([numbered]))
        found = engine.sql(
            f'SELECT {listed} FROM block ORDER BY "row number"'  # noqa: S608  # the user's own expressions, without access to anything else
        ).to_arrow_table()
    return [column.combine_chunks() for column in found.columns]


# --- reading a column ----------------------------------------------------------------------


def _text(column: pa.Array, _column: Column, _dates: DateReading) -> Reading:
    values = field_rules.clean_text(column)
    none = field_rules.no_rows(len(column))
    return Reading(values, pc.is_null(values), none, none)


def _decimal(column: pa.Array, declared: Column, _dates: DateReading) -> Reading:
    return field_rules.read_decimals(column, declared.precision, declared.scale)


def _integer(column: pa.Array, declared: Column, _dates: DateReading) -> Reading:
    reading = field_rules.read_integers(column)
    return Reading(
        reading.values.cast(arrow_type(declared)), reading.missing, reading.unreadable,
        reading.out_of_range,
    )  # fmt: skip


def _bigint(column: pa.Array, _column: Column, _dates: DateReading) -> Reading:
    return field_rules.read_bigints(column)


def _double(column: pa.Array, _column: Column, _dates: DateReading) -> Reading:
    return field_rules.read_doubles(column)


def _boolean(column: pa.Array, _column: Column, _dates: DateReading) -> Reading:
    text = pc.ascii_lower(field_rules.clean_text(column))
    is_true, is_false = (pc.is_in(text, pa.array(words)) for words in (_TRUE, _FALSE))
    known = pc.or_(is_true, is_false)
    return _read(text, pc.if_else(known, is_true, None))


def _date(column: pa.Array, _column: Column, dates: DateReading) -> Reading:
    return _read(field_rules.clean_text(column), read_dates(column, dates))


def _timestamp(column: pa.Array, _column: Column, dates: DateReading) -> Reading:
    return _read(field_rules.clean_text(column), read_timestamps(column, dates))


def _read(text: pa.Array, values: pa.Array) -> Reading:
    unreadable = pc.and_(pc.is_valid(text), pc.is_null(values))
    return Reading(values, pc.is_null(text), unreadable, field_rules.no_rows(len(text)))


_READERS: Mapping[Kind, Callable[[pa.Array, Column, DateReading], Reading]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.BIGINT: _bigint,
    Kind.DECIMAL: _decimal,
    Kind.DOUBLE: _double,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
    Kind.TIMESTAMP: _timestamp,
}
