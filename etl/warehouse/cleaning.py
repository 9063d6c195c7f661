"""Staged records are cleaned as a whole: repeated ones, outliers, values that are made up.

What is made up is exact and the same on every engine: sums of decimals, places in an order, the
first of the most frequent; sums of floating-point numbers are rounded once, in whatever order they
come.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa

from etl.engines import ddl
from etl.engines.database import DatabaseManager
from etl.engines.dialect import quoted
from etl.rules.cleaning import (
    CLIP,
    FORWARD,
    MAKE_MISSING,
    MEAN,
    MEDIAN,
    MODE,
    REJECT,
    Cleaning,
    Duplicates,
    Imputed,
    Outliers,
)
from etl.rules.declared import MADE_UP
from etl.rules.spreads import PERCENTS, fence, place_of
from etl.schema.arrow import staged_schema
from etl.schema.table import Column, Kind, Table
from etl.warehouse import cleaning_sql

_CHUNK_ROWS = 50_000
_SUM_DIGITS = 38
OUTLIERS = "outliers_"  # how notes begin, before the name of the column


@dataclass(frozen=True)
class Found:
    """Staged rows that are set aside, and why.

    Attributes:
        field: the column to blame; empty for the whole record.
        is_duplicate: whether they repeat others.
    """

    rows: pa.Table
    reason: str
    field: str = ""
    is_duplicate: bool = False


def cleaned(
    db: DatabaseManager, table: Table, rows: str, cleaning: Cleaning, notes: Counter[str]
) -> Iterator[Found]:
    """Clean staged rows; yield what was taken out of them.

    Args:
        db: the warehouse, outside a transaction.
        table: the table they are for.
        rows: where they are staged.
        cleaning: what is done.
        notes: to which is added how many values were touched.
    """
    staged = _Staged(db, table, rows)
    if cleaning.duplicates:
        yield from staged.without_repeated(cleaning.duplicates)
    for outliers in cleaning.outliers:
        yield from staged.without_outliers(outliers, notes)
    for imputed in cleaning.imputed:
        notes[f"{MADE_UP}{imputed.column}"] += staged.impute(imputed)
        yield from staged.without_required(imputed.column)


@dataclass(frozen=True)
class _Staged:
    """Rows of a staging table."""

    db: DatabaseManager
    table: Table
    rows: str

    # --- taking rows out ---

    def without_repeated(self, duplicates: Duplicates) -> Iterator[Found]:
        create = cleaning_sql.create_repeated(self.db.dialect, self.table, self.rows, duplicates)
        named = " and ".join(duplicates.by) or "content"
        reason = f"another record of this {named} took precedence"
        yield from self._taken_out(create, reason, is_duplicate=True)

    def without_required(self, column: str) -> Iterator[Found]:
        """Rows for whose required value none could be made up."""
        if self.table.column(column).required:
            create = cleaning_sql.create_missing(self.db.dialect, self.rows, column)
            yield from self._taken_out(create, f"{column} must not be empty", field=column)

    def _taken_out(
        self, create: str, reason: str, *, field: str = "", is_duplicate: bool = False
    ) -> Iterator[Found]:
        db, schema = self.db, staged_schema(self.table)
        schema = pa.schema([pa.field("source_row", pa.int64()), *schema])
        db.execute(ddl.drop_temporary(db.dialect, cleaning_sql.SET_ASIDE))
        db.execute(create)
        query = cleaning_sql.select_set_aside(db.dialect, self.table)
        found = pa.Table.from_batches(db.blocks(query, schema, _CHUNK_ROWS), schema)
        if found.num_rows:
            db.execute(cleaning_sql.delete_set_aside(db.dialect, self.rows))
            yield Found(found, reason, field, is_duplicate)

    # --- outliers ---

    def without_outliers(self, how: Outliers, notes: Counter[str]) -> Iterator[Found]:
        column = self.table.column(how.column)
        bounds = self._bounds(column, how.method)
        if bounds is None:
            return
        outside = int(self.db.value(cleaning_sql.count_outside(self.rows, how.column, bounds)))
        if not outside:
            return
        if how.action == REJECT:
            create = cleaning_sql.create_outside(self.db.dialect, self.rows, how.column, bounds)
            reason = f"{how.column} is an outlier by {how.method}: it must lie between " + (
                " and ".join(bounds)
            )
            yield from self._taken_out(create, reason, field=how.column)
            return
        if how.action in (CLIP, MAKE_MISSING):
            change = cleaning_sql.clip if how.action == CLIP else cleaning_sql.make_missing
            self.db.execute(change(self.rows, how.column, bounds))
        notes[f"{OUTLIERS}{how.column}"] += outside

    def _bounds(self, column: Column, method: str) -> tuple[str, str] | None:
        """The lowest and the highest number of the column that is no outlier, as SQL."""
        values = self._count(column)
        if not values:
            return None
        name, median = quoted(column.name), place_of(50, values)
        places = {per: place_of(per, values) for per in PERCENTS}
        at = self._at(name, set(places.values()), column)
        found = fence(
            method,
            lambda per: at[places[per]],
            lambda middle: self._at(f"abs({name} - {_literal(middle)})", {median}, column)[median],
        )
        if found is None:
            return None
        return _written(found.low, column, ROUND_CEILING), _written(found.high, column, ROUND_FLOOR)

    def _count(self, column: Column) -> int:
        ((_, values),) = self.db.query(cleaning_sql.count_values(self.rows, column.name))
        return int(values)

    def _at(self, value: str, places: Collection[int], column: Column) -> dict[int, Any]:
        """By place in their order, values as numbers that can be computed with exactly."""
        number = float if column.kind is Kind.DOUBLE else Decimal
        found = self.db.query(cleaning_sql.values_at(self.rows, value, sorted(places)))
        return {int(place): number(value) for place, value in found}

    # --- values that are made up ---

    def impute(self, imputed: Imputed) -> int:
        """Make up missing values, and return how many."""
        column, db = self.table.column(imputed.column), self.db
        rows, before = map(int, db.query(cleaning_sql.count_values(self.rows, column.name))[0])
        if not before or rows == before:
            return 0
        if imputed.strategy == FORWARD:
            db.execute(cleaning_sql.fill_forward(self.rows, column.name))
        else:
            value = _VALUES[imputed.strategy](self, column, before)
            db.execute(cleaning_sql.fill_missing(self.rows, column.name), (value,))
        return self._count(column) - before

    def mean(self, column: Column, values: int) -> Any:
        if column.kind is Kind.DOUBLE:
            schema = pa.schema([pa.field(column.name, pa.float64())])
            query = f"SELECT {quoted(column.name)} FROM {quoted(self.rows)};"  # noqa: S608  # ours
            blocks = self.db.blocks(query, schema, _CHUNK_ROWS)
            present = (block.column(0).drop_null().to_pylist() for block in blocks)
            return math.fsum(value for part in present for value in part) / values
        query = cleaning_sql.sum_of(self.rows, column.name).format(scale=_scale(column))
        return _rounded(Decimal(self.db.value(query)) / values, column)

    def median(self, column: Column, values: int) -> Any:
        places = {(values + 1) // 2, values // 2 + 1}
        middle = self._at(quoted(column.name), places, column).values()
        mean = sum(middle) / len(middle)
        return mean if column.kind is Kind.DOUBLE else _rounded(mean, column)

    def mode(self, column: Column, _values: int) -> Any:
        return self.db.value(cleaning_sql.most_frequent(self.rows, column.name))


_VALUES: dict[str, Callable[[_Staged, Column, int], Any]] = {
    MEAN: _Staged.mean, MEDIAN: _Staged.median, MODE: _Staged.mode,
}  # fmt: skip


def _scale(column: Column) -> int:
    return column.scale if column.kind is Kind.DECIMAL else 0


def _rounded(value: Decimal, column: Column) -> Decimal | int:
    """A number as the column holds it, halves away from zero."""
    rounded = value.quantize(Decimal(1).scaleb(-_scale(column)), ROUND_HALF_UP)
    return rounded if column.kind is Kind.DECIMAL else int(rounded)


def _written(bound: Any, column: Column, rounding: str) -> str:
    if isinstance(bound, float):
        return _literal(bound)
    return _literal(bound.quantize(Decimal(1).scaleb(-_scale(column)), rounding))


def _literal(number: Any) -> str:
    """A number of ours as SQL; a negative one in parentheses, as two signs begin a comment."""
    text = repr(number) if isinstance(number, float) else f"{number:f}"
    return f"({text})" if text.startswith("-") else text


def require_numbers(table: Table, cleaning: Cleaning) -> Iterator[tuple[str, str]]:
    """Yield each column of which numbers are wanted and that holds none, with what wants them."""
    wanted = [(each.column, f"outliers = {each.method!r}") for each in cleaning.outliers]
    wanted += [
        (each.column, f"impute = {each.strategy!r}")
        for each in cleaning.imputed
        if each.strategy in (MEAN, MEDIAN)
    ]
    for name, words in wanted:
        if table.column(name).kind not in _NUMBERS:
            yield name, words


_NUMBERS = (Kind.INTEGER, Kind.BIGINT, Kind.DECIMAL, Kind.DOUBLE)
