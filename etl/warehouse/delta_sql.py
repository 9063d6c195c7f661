"""What staged records change in their table: counted only, or kept as the rows that all else reads.

Where nobody can come between counting and writing, the staged rows are joined with their table
once. Those that are new or differ are the delta: what is merged, what is restated and what the
marts learn of follows from these rows, however many were staged.
"""

from etl.engines.ddl import create_temporary_as
from etl.engines.dialect import (
    Dialect,
    any_differs,
    differs,
    key_of,
    quoted,
    quoted_table,
    same_key,
    temporary,
)
from etl.schema.table import Table
from etl.warehouse.staging_sql import live_rows

DELTA = "delta_row"
_NEW, _LIVE = quoted("is_new"), quoted("is_live")


def classify(dialect: Dialect, table: Table, rows: str) -> str:
    """Return one join that says what the MERGE will do: new rows, changed ones, by column.

    Its result is one row: staged, inserted, updated, staged rows that are live in the target, then
    the number of updated rows per guarded column. Parameters: those of `live_rows`.
    """
    flags = _differing(table)
    changed = f"CASE WHEN {' + '.join(flags) or '0'} > 0 THEN 1 ELSE 0 END"
    return f"""SELECT count(*),
    {_sums(_NEW, changed, _LIVE, *flags)}
FROM (
    SELECT
        {_compared(dialect, table)}
    FROM {_joined(table, rows)}
) AS compared;"""


def create_delta(dialect: Dialect, table: Table, rows: str) -> str:
    """Return what makes the table of staged rows that are new or differ, flagged as in `classify`.

    Parameters: those of `live_rows`.
    """
    other = f" OR {any_differs(dialect, table.guarded, 'target', 'source')}"
    query = f"""SELECT source.*,
        {_compared(dialect, table)}
FROM {_joined(table, rows)}
WHERE {_is_new(table)}{other if table.guarded else ""}"""
    return create_temporary_as(dialect, DELTA, query)


def count_delta(dialect: Dialect, table: Table) -> str:
    """Return the query for the rows of the delta, and what `count_staged` and `classify` count.

    Its result is one row: rows, those that are live by their own values, new rows, rows that are
    live in the target, then as in `classify`. Parameters: those of `live_rows`.
    """
    sums = _sums(_live_itself(table), _NEW, _LIVE, *_differing(table))
    return f"SELECT count(*),\n    {sums}\nFROM {temporary(dialect, DELTA)} AS source;"


def count_staged(table: Table, rows: str) -> str:
    """Return the query for the staged rows, and those of them that are live by their own values.

    A row that equals its row in the target is live there if it is by its own values. Parameters:
    those of `live_rows`.
    """
    return f"SELECT count(*), {_sums(_live_itself(table))} FROM {quoted(rows)} AS source;"


def _live_itself(table: Table) -> str:
    window = f"source.{quoted(table.window)} BETWEEN ? AND ?" if table.window else "1 = 1"
    return f"CASE WHEN {window} THEN 1 ELSE 0 END"


def _joined(table: Table, rows: str) -> str:
    same = same_key(table, "target", "source")
    return f"{quoted(rows)} AS source\n    LEFT JOIN {quoted_table(table.name)} AS target ON {same}"


def _compared(dialect: Dialect, table: Table) -> str:
    """The flags of a staged row beside its row in the target, as columns that are 1 or 0."""
    known = f"{key_of(table, 'target')} IS NOT NULL"
    different = (f"{known} AND {differs(dialect, c, 'target', 'source')}" for c in table.guarded)
    flags = {
        _NEW: _is_new(table),
        _LIVE: f"{known} AND {live_rows(dialect, table)}",
        **dict(zip(_differing(table), different, strict=True)),
    }
    return ",\n        ".join(
        f"CASE WHEN {condition} THEN 1 ELSE 0 END AS {name}" for name, condition in flags.items()
    )


def _is_new(table: Table) -> str:
    return f"{key_of(table, 'target')} IS NULL"


def _differing(table: Table) -> list[str]:
    """The names of the flags of guarded columns, none of which is a column of the records."""
    prefix = "differs"
    while any(name.lower().startswith(prefix) for name in table.names):
        prefix = f"_{prefix}"
    return [quoted(f"{prefix}_{number}") for number, _ in enumerate(table.guarded, start=1)]


def _sums(*numbers: str) -> str:
    return ",\n    ".join(f"coalesce(sum({number}), 0)" for number in numbers)
