"""The statements that clean staged rows as a whole; each is the same on every engine.

`rows` is the name of the table in which the records of a source stand, and nothing else.
"""

from collections.abc import Sequence

from etl.engines.ddl import create_temporary_as
from etl.engines.dialect import Dialect, listed, quoted, temporary
from etl.rules.cleaning import FIRST, Duplicates
from etl.schema.table import Role, Table

SET_ASIDE = "set_aside_row"


def create_repeated(dialect: Dialect, table: Table, rows: str, duplicates: Duplicates) -> str:
    """Return what makes the table of staged rows that repeat another one.

    Args:
        dialect: the engine's.
        table: the table they are for.
        rows: where they are staged.
        duplicates: which of them are the same.
    """
    names = duplicates.by or [column.name for column in table.with_role(Role.SOURCE)]
    columns = ", ".join(map(quoted, names))
    present = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in duplicates.by) or "1 = 1"
    order = "ASC" if duplicates.keep == FIRST else "DESC"
    query = f"""SELECT * FROM (
    SELECT s.*, row_number() OVER (PARTITION BY {columns} ORDER BY "source_row" {order}) AS "rank"
    FROM {quoted(rows)} AS s WHERE {present}
) AS ranked WHERE "rank" > 1"""
    return create_temporary_as(dialect, SET_ASIDE, query)


def create_outside(dialect: Dialect, rows: str, column: str, bounds: tuple[str, str]) -> str:
    """Return what makes the table of staged rows whose number lies outside of bounds."""
    low, high = bounds
    query = f"""SELECT * FROM {quoted(rows)} AS s
WHERE {quoted(column)} < {low} OR {quoted(column)} > {high}"""
    return create_temporary_as(dialect, SET_ASIDE, query)


def create_missing(dialect: Dialect, rows: str, column: str) -> str:
    """Return what makes the table of staged rows without a value in a column."""
    query = f"SELECT * FROM {quoted(rows)} AS s WHERE {quoted(column)} IS NULL"
    return create_temporary_as(dialect, SET_ASIDE, query)


def select_set_aside(dialect: Dialect, table: Table) -> str:
    """Return the query for the rows in it, in the order of the source."""
    columns = listed(table.with_role(Role.SOURCE))
    set_aside = temporary(dialect, SET_ASIDE)
    return f'SELECT "source_row", {columns} FROM {set_aside} ORDER BY "source_row";'


def delete_set_aside(dialect: Dialect, rows: str) -> str:
    """Return what takes them out of the staged rows."""
    set_aside = temporary(dialect, SET_ASIDE)
    return (
        f'DELETE FROM {quoted(rows)} WHERE "source_row" IN (SELECT "source_row" FROM {set_aside});'
    )


# --- figures of a column -------------------------------------------------------------------


def count_values(rows: str, column: str) -> str:
    """Return the query for how many staged rows there are, and how many have a value."""
    return f"SELECT count(*), count({quoted(column)}) FROM {quoted(rows)};"


def sum_of(rows: str, column: str) -> str:
    """Return the query for the exact sum of whole numbers or decimals."""
    return f"SELECT sum(CAST({quoted(column)} AS DECIMAL(38, {{scale}}))) FROM {quoted(rows)};"


def values_at(rows: str, value: str, places: Sequence[int]) -> str:
    """Return the query for the values at some places in their order, from 1.

    Args:
        rows: where they are staged.
        value: a column in quotes, or an expression over one.
        places: without repetition.
    """
    wanted = ", ".join(map(str, places))
    return f"""SELECT "place", "v" FROM (
    SELECT {value} AS "v", row_number() OVER (ORDER BY {value}) AS "place"
    FROM {quoted(rows)} WHERE {value} IS NOT NULL
) AS numbered WHERE "place" IN ({wanted});"""


def most_frequent(rows: str, column: str) -> str:
    """Return the query for the most frequent value; of several the one that comes first."""
    name = quoted(column)
    return f"""SELECT "v" FROM (
    SELECT {name} AS "v",
        row_number() OVER (ORDER BY count(*) DESC, min("source_row")) AS "place"
    FROM {quoted(rows)} WHERE {name} IS NOT NULL GROUP BY {name}
) AS ranked WHERE "place" = 1;"""


# --- changes -------------------------------------------------------------------------------


def fill_missing(rows: str, column: str) -> str:
    """Return what puts a value in place of missing ones. Parameter: the value."""
    name = quoted(column)
    return f"UPDATE {quoted(rows)} SET {name} = ? WHERE {name} IS NULL;"


def fill_forward(rows: str, column: str) -> str:
    """Return what puts the value of the nearest record before in place of missing ones."""
    name, staged = quoted(column), quoted(rows)
    return f"""MERGE INTO {staged} AS s USING (
    SELECT m."source_row", v.{name} AS "v" FROM (
        SELECT "source_row", {name} AS "own",
            max(CASE WHEN {name} IS NOT NULL THEN "source_row" END)
                OVER (ORDER BY "source_row" ROWS UNBOUNDED PRECEDING) AS "from_row"
        FROM {staged}
    ) AS m JOIN {staged} AS v ON v."source_row" = m."from_row" WHERE m."own" IS NULL
) AS f ON s."source_row" = f."source_row"
WHEN MATCHED THEN UPDATE SET {name} = f."v";"""


def make_missing(rows: str, column: str, bounds: tuple[str, str]) -> str:
    """Return what takes away the numbers outside of bounds."""
    name, (low, high) = quoted(column), bounds
    return f"UPDATE {quoted(rows)} SET {name} = NULL WHERE {name} < {low} OR {name} > {high};"


def clip(rows: str, column: str, bounds: tuple[str, str]) -> str:
    """Return what puts the nearer bound in place of numbers outside."""
    name, (low, high) = quoted(column), bounds
    return f"""UPDATE {quoted(rows)}
SET {name} = CASE WHEN {name} < {low} THEN {low} ELSE {high} END
WHERE {name} < {low} OR {name} > {high};"""


def count_outside(rows: str, column: str, bounds: tuple[str, str]) -> str:
    """Return the query for how many numbers lie outside of bounds."""
    name, (low, high) = quoted(column), bounds
    return f"SELECT count(*) FROM {quoted(rows)} WHERE {name} < {low} OR {name} > {high};"
