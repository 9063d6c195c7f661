"""Records of a table that a user has declared: typed by its columns, checked by its rules.

A block of text becomes a block of the table's types. What cannot be read, does not fit, lacks a
required value or breaks a rule is rejected with its reason, as in the built-in loads. Rules and
defaults are SQL expressions over the typed row; DuckDB evaluates them over the whole block.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import TransformationError
from etl.rejects import RULE
from etl.rules import columns as field_rules
from etl.rules.blocks import LoadBlock
from etl.rules.business import refuse_e_notation
from etl.rules.checks import Checks
from etl.rules.columns import Reading
from etl.rules.dates import AS_FOUND, DateReading, read_dates, read_timestamps
from etl.rules.record_keys import shown_keys
from etl.rules.steps import ColumnSteps, stepped, with_constants
from etl.rules.texts import NULL_WORDS, TextOptions, prepared
from etl.schema.arrow import arrow_type, staged_schema
from etl.schema.table import Column, Kind, Role, Table

MADE_UP = "imputed_"  # how a note of values that were made up begins, before the column
_TRUE = ("true", "t", "yes", "y", "1", "on")
_FALSE = ("false", "f", "no", "n", "0", "off")
_NUMBERS = (Kind.INTEGER, Kind.BIGINT, Kind.DECIMAL, Kind.DOUBLE)


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

    @property
    def broken(self) -> str:
        """The expression for the records that break it."""
        # a comment at the end of an expression must not swallow what follows it
        return f"({self.check}\n) IS FALSE"


@dataclass(frozen=True)
class Declaration:
    """What a declared load does to its records.

    Attributes:
        defaults: by column, the text that stands for a missing value.
        computed: by column, the SQL expression for a value that is still missing.
        dates: how dates are read.
        null_words: texts that stand for a missing value.
        decimal: the decimal mark.
        needed: columns without which a record is rejected, besides those that the table requires.
        steps: by column, what is done to each of its values.
        made_up: columns whose missing values are made up once all records are known.
    """

    table: Table
    conditions: tuple[Condition, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    computed: Mapping[str, str] = field(default_factory=dict)
    dates: DateReading = AS_FOUND
    null_words: tuple[str, ...] = NULL_WORDS
    decimal: str = "."
    needed: tuple[str, ...] = ()
    steps: Mapping[str, ColumnSteps] = field(default_factory=dict)
    made_up: frozenset[str] = frozenset()

    @cached_property
    def texts(self) -> TextOptions:
        """What its columns are to `texts.prepared`."""
        numbers = [c.name for c in self.table.with_role(Role.SOURCE) if c.kind in _NUMBERS]
        return TextOptions(self.null_words, keys=self.key_texts, numbers=numbers,
                           decimal=self.decimal)  # fmt: skip

    @property
    def key_texts(self) -> tuple[str, ...]:
        """The columns of text that hold its own key or that of another table."""
        named = {*self.table.key, *(column.name for column, _ in self.table.references)}
        texts = (c.name for c in self.table.with_role(Role.SOURCE) if c.kind is Kind.TEXT)
        return tuple(name for name in texts if name in named)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that come from the source, the key first."""
        own = [column.name for column in self.table.with_role(Role.SOURCE)]
        return (*self.table.key, *(name for name in own if name not in self.table.key))


def faults_of_expressions(declaration: Declaration) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with rules and defaults that are no expressions over the table.

    Yields:
        `rules` or `defaults`, the name there, and what is wrong.

    Example:
        >>> from etl.schema.star import PRODUCT_DIM
        >>> rules = (Condition("cheap", "price < 100"), Condition("dear", "prize > 100"))
        >>> [name for _, name, _ in faults_of_expressions(Declaration(PRODUCT_DIM, rules))]
        ['dear']
    """
    schema = staged_schema(declaration.table)
    empty = pa.RecordBatch.from_pylist([], schema=schema)
    tried: list[tuple[str, str, str]] = [
        *(("rules", c.name, c.broken) for c in declaration.conditions),
        *(
            ("defaults", name, _cast_to(declaration.table.column(name), expression))
            for name, expression in declaration.computed.items()
        ),
    ]
    for part, name, expression in tried:
        try:
            evaluated([expression], empty)
        except duckdb.Error as error:
            names = ", ".join(declaration.columns)
            said = str(error).splitlines()[0]
            yield part, name, f"is no SQL expression over the columns {names}: {said}"


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
    given = _completed(block, declaration)
    texts = prepared(given, declaration.texts)
    block = _with_defaults(stepped(texts.records, declaration.steps), declaration.defaults)
    block, made = with_constants(block, declaration.steps)
    readings = {
        column.name: _read(block, column, declaration.dates)
        for column in declaration.table.with_role(Role.SOURCE)
    }
    values = {name: reading.values for name, reading in readings.items()}
    _compute(declaration, values)
    table = declaration.table
    keys = shown_keys(table, values, given) if table.key else None
    checks = Checks(given, declaration.columns, keys)
    _check_columns(checks, declaration, readings, values)
    refuse_e_notation(checks, block, declaration.key_texts)
    notes = _apply_conditions(checks, declaration, values)
    notes |= {f"{MADE_UP}{name}": rows for name, rows in made.items()}
    return checks.result(table, values, notes).noting(texts.notes)


def read_keys(block: pa.RecordBatch, declaration: Declaration) -> pa.RecordBatch:
    """Return the keys of a block of text in the types of the table; null where they are none."""
    texts = prepared(_completed(block, declaration), declaration.texts).records
    texts = _with_defaults(stepped(texts, declaration.steps), declaration.defaults)
    texts, _ = with_constants(texts, declaration.steps)
    columns = [declaration.table.column(name) for name in declaration.table.key]
    arrays = [_read(texts, column, declaration.dates).values for column in columns]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def _check_columns(
    checks: Checks,
    declaration: Declaration,
    readings: Mapping[str, Reading],
    values: Mapping[str, pa.Array],
) -> None:
    columns = declaration.table.with_role(Role.SOURCE)
    required = (column.name for column in columns if column.required)
    needed = dict.fromkeys((*declaration.table.key, *required, *declaration.needed))
    needed = {name: None for name in needed if name not in declaration.made_up}
    checks.missing({
        name: pc.and_(readings[name].missing, pc.is_null(values[name])) for name in needed
    })  # fmt: skip
    checks.bad_text()
    typed = {n: r for n, r in readings.items() if not _is_text(declaration.table.column(n))}
    checks.columns_fit(declaration.table, values, typed)


def _completed(block: pa.RecordBatch, declaration: Declaration) -> pa.RecordBatch:
    """The block with every column of the declaration."""
    arrays = {"source_row": block.column("source_row")}
    for name in declaration.columns:
        has = name in block.schema.names
        arrays[name] = block.column(name) if has else pa.nulls(block.num_rows, pa.string())
    return pa.RecordBatch.from_pydict(arrays)


def _with_defaults(block: pa.RecordBatch, defaults: Mapping[str, str]) -> pa.RecordBatch:
    for name, default in defaults.items():
        column = block.column(name)
        place = block.schema.get_field_index(name)
        filled = pc.if_else(field_rules.is_missing(column), default, column)
        block = block.set_column(place, name, filled)
    return block


def _is_text(column: Column) -> bool:
    return column.kind is Kind.TEXT


# --- expressions ---------------------------------------------------------------------------


def _compute(declaration: Declaration, values: dict[str, pa.Array]) -> None:
    """Fill in what is computed from other columns of the record."""
    for name, expression in declaration.computed.items():
        missing = pc.is_null(values[name])
        if missing.true_count:
            cast = _cast_to(declaration.table.column(name), expression)
            (found,) = _evaluate(declaration, [cast], values)
            values[name] = pc.if_else(missing, found.cast(values[name].type), values[name])


def _cast_to(column: Column, expression: str) -> str:
    kind = _SQL_TYPES[column.kind].format(precision=column.precision, scale=column.scale)
    return f"CAST(({expression}\n) AS {kind})"


# As DuckDB, which evaluates expressions, names the types of Arrow.
_SQL_TYPES = {
    Kind.TEXT: "VARCHAR", Kind.INTEGER: "BIGINT", Kind.BIGINT: "BIGINT", Kind.DOUBLE: "DOUBLE",
    Kind.DECIMAL: "DECIMAL({precision}, {scale})", Kind.BOOLEAN: "BOOLEAN", Kind.DATE: "DATE",
    Kind.TIMESTAMP: "TIMESTAMP",
}  # fmt: skip


def _apply_conditions(
    checks: Checks, declaration: Declaration, values: Mapping[str, pa.Array]
) -> dict[str, pa.Array]:
    """Reject what breaks a rule; return the rows that break one that only warns."""
    expressions = [condition.broken for condition in declaration.conditions]
    notes = {}
    for condition, rows in zip(
        declaration.conditions, _evaluate(declaration, expressions, values), strict=True
    ):
        if condition.rejects:
            shown = pa.repeat(condition.check, len(rows))
            reason = f"rule {condition.name} is broken: {condition.check}"
            checks.add(rows, RULE, "", reason, computed=shown)
        else:
            notes[f"break_rule_{condition.name}"] = rows
    return notes


def _evaluate(
    declaration: Declaration, expressions: Sequence[str], values: Mapping[str, pa.Array]
) -> list[pa.Array]:
    if not expressions:
        return []
    names = staged_schema(declaration.table).names
    typed = pa.RecordBatch.from_arrays([values[name] for name in names], names=names)
    try:
        return evaluated(expressions, typed)
    except duckdb.Error as error:  # such as a cast that fails for a value
        raise TransformationError(
            f"a rule or default of {declaration.table.name} failed: {str(error).splitlines()[0]}",
            next_step="write it so that it has a value for every record, such as with TRY_CAST",
        ) from error


def evaluated(expressions: Sequence[str], block: pa.RecordBatch) -> list[pa.Array]:
    """Return SQL expressions over the columns of a block, in its order; nothing else is in reach.

    Raises:
        duckdb.Error: one cannot be evaluated.
    """
    listed = ", ".join(f"{expression} AS c{n}" for n, expression in enumerate(expressions))
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
    return _reading(text, pc.if_else(known, is_true, None))


def _date(column: pa.Array, _column: Column, dates: DateReading) -> Reading:
    return _reading(field_rules.clean_text(column), read_dates(column, dates))


def _timestamp(column: pa.Array, _column: Column, dates: DateReading) -> Reading:
    return _reading(field_rules.clean_text(column), read_timestamps(column, dates))


def _reading(text: pa.Array, values: pa.Array) -> Reading:
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


def _read(block: pa.RecordBatch, column: Column, dates: DateReading) -> Reading:
    return _READERS[column.kind](block.column(column.name), column, dates)
