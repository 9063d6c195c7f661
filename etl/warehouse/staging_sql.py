"""The statements about staged rows: duplicates, batches, checksums, what the source still has.

`rows` is the name of the table in which staged records stand: the staging table of a source, or
one batch of it.
"""

from collections.abc import Sequence

from etl.engines.checksums import NUMBER_WIDTH, long_start
from etl.engines.ddl import create_temporary_as
from etl.engines.dialect import (
    Dialect,
    any_differs,
    is_false,
    is_true,
    listed,
    quoted,
    quoted_table,
    record_key,
    same_key,
    temporary,
)
from etl.schema.table import Column, Kind, Role, Table
from etl.schema.versioned import IS_CURRENT
from etl.schema.work_tables import CHANGE_POSITION

DUPLICATES = "duplicate_row"


# --- duplicates --------------------------------------------------------------------------


def repeated_keys(table: Table, rows: str) -> str:
    """Return the query for the number of staged rows, and of different keys among them.

    Not by count(DISTINCT): DuckDB runs out of 384 MB with it at 23 million keys.
    """
    keys = f"SELECT DISTINCT {_identity(table)} FROM {quoted(rows)}"
    return f"SELECT (SELECT count(*) FROM {quoted(rows)}), (SELECT count(*) FROM ({keys}) AS keys);"


def _identity(table: Table, alias: str = "") -> str:
    return ", ".join(f"{alias}{quoted(name)}" for name in table.identity)


def _same_identity(table: Table, left: str, right: str) -> str:
    return " AND ".join(f"{left}.{quoted(n)} = {right}.{quoted(n)}" for n in table.identity)


def _rank(table: Table) -> str:
    terms = [f"{quoted(CHANGE_POSITION)} DESC"] if table.feed else []
    for name in table.rank:
        if not table.column(name).required:  # engines disagree on where NULL sorts
            terms.append(f"CASE WHEN {quoted(name)} IS NULL THEN 0 ELSE 1 END DESC")
        terms.append(f"{quoted(name)} DESC")
    return ", ".join([*terms, '"source_row" DESC'])


def create_duplicates(dialect: Dialect, table: Table, rows: str) -> str:
    """Return what makes the table of staged rows that an equal key outranks."""
    key, stage, order = _identity(table), quoted(rows), _rank(table)
    # only what is outranked is read whole: the others are sorted by their keys and places alone
    query = f"""SELECT * FROM {stage} WHERE "source_row" IN (SELECT "source_row" FROM (
    SELECT s."source_row",
        row_number() OVER (PARTITION BY {_identity(table, "s.")} ORDER BY {order}) AS "rank"
    FROM {stage} AS s
    JOIN (SELECT {key} FROM {stage} GROUP BY {key} HAVING count(*) > 1) AS repeated
        ON {_same_identity(table, "repeated", "s")}
) AS ranked WHERE "rank" > 1)"""
    return create_temporary_as(dialect, DUPLICATES, query)


def select_duplicates(dialect: Dialect, table: Table) -> str:
    """Return the query for the outranked rows, in the order of the source."""
    columns = listed(table.with_role(Role.SOURCE))
    return (
        f'SELECT "source_row", {columns} FROM {temporary(dialect, DUPLICATES)} '
        'ORDER BY "source_row";'
    )


def delete_duplicates(dialect: Dialect, rows: str) -> str:
    """Return what takes the outranked rows out of the staging table."""
    return (
        f"DELETE FROM {quoted(rows)} "
        f'WHERE "source_row" IN (SELECT "source_row" FROM {temporary(dialect, DUPLICATES)});'
    )


def count_conflicting(dialect: Dialect, table: Table, rows: str) -> str:
    """Return the query for how many outranked rows differ from the one of their key that stays."""
    differing = any_differs(dialect, table.guarded, "d", "s") if table.guarded else "1 = 0"
    return f"""SELECT count(*) FROM {temporary(dialect, DUPLICATES)} AS d
JOIN {quoted(rows)} AS s ON {_same_identity(table, "d", "s")}
WHERE {differing};"""


def append_files(rows: str, names: Sequence[str]) -> str:
    """Return what appends Parquet files to a staging table. Parameter: their paths.

    Args:
        rows: the staging table.
        names: columns that the files have.
    """
    columns = ", ".join(map(quoted, names))
    return f"INSERT INTO {quoted(rows)} ({columns}) SELECT {columns} FROM read_parquet(?);"


def select_rows_of_keys(dialect: Dialect, table: Table, keys: str) -> str:
    """Return the query for rows of a table whose keys are in another one."""
    columns = listed(table.with_role(Role.SOURCE), "target.")
    current = f" WHERE {is_current(dialect)}" if table.versions else ""
    return (
        f"SELECT {columns} FROM {quoted_table(table.name)} AS target "
        f"JOIN {quoted(keys)} AS wanted ON {same_key(table, 'wanted', 'target')}{current};"
    )


# --- batches -----------------------------------------------------------------------------


def select_batches(stage: str) -> str:
    """Return the query for each batch: number, first and last row, rows. Parameter: run."""
    return (
        'SELECT "batch", min("source_row"), max("source_row"), count(*) '
        f'FROM {quoted(stage)} WHERE "run_id" = ? GROUP BY "batch" ORDER BY "batch";'
    )


def select_batch_rows(stage: str) -> str:
    """Return the query for a batch's rows. Parameters: run, batch, first and last row."""
    return (
        f'SELECT "source_row" FROM {quoted(stage)} WHERE "run_id" = ? AND "batch" = ? '
        'AND "source_row" BETWEEN ? AND ? ORDER BY "source_row";'
    )


def select_staged_row(table: Table, stage: str) -> str:
    """Return the query for one staged record. Parameters: run, batch, source row."""
    return (
        f'SELECT "source_row", {listed(table.with_role(Role.SOURCE))} FROM {quoted(stage)} '
        'WHERE "run_id" = ? AND "batch" = ? AND "source_row" = ?;'
    )


def delete_staged_row(stage: str) -> str:
    """Return what takes one record out of the staging table. Parameters: run, batch, source row."""
    return f'DELETE FROM {quoted(stage)} WHERE "run_id" = ? AND "batch" = ? AND "source_row" = ?;'


def fill_batch(table: Table, *, stage: str, batch: str) -> str:
    """Return what copies a batch into its own table. Parameters: run, batch, first and last row.

    Args:
        table: the table into which it will be merged.
        stage: the staging table.
        batch: the table of its own.
    """
    columns = listed(table.with_role(Role.SOURCE))
    return f"""INSERT INTO {quoted(batch)} ("source_row", {columns})
SELECT "source_row", {columns} FROM {quoted(stage)}
WHERE "run_id" = ? AND "batch" = ? AND "source_row" BETWEEN ? AND ?;"""


def fill_whole(table: Table, *, stage: str, keyed: str) -> str:
    """Return what copies all staged rows into a table that has their key. Parameter: run.

    Args:
        table: the table into which they will be merged.
        stage: the staging table.
        keyed: the other one.
    """
    columns = listed(table.with_role(Role.SOURCE))
    return f"""INSERT INTO {quoted(keyed)} ("source_row", {columns})
SELECT "source_row", {columns} FROM {quoted(stage)} WHERE "run_id" = ?;"""


# --- what the source still has -------------------------------------------------------------


def live_rows(dialect: Dialect, table: Table) -> str:
    """Return the condition on `target`: rows whose record the source should still have.

    Its parameters are the first and last instant of the window, where the table has one.
    """
    conditions = [
        f"target.{quoted(table.window)} BETWEEN ? AND ?" if table.window else "",
        is_false(dialect, f"target.{quoted(table.placeholder)}") if table.placeholder else "",
        is_current(dialect) if table.versions else "",
    ]
    return " AND ".join(filter(None, conditions)) or "1 = 1"


def is_current(dialect: Dialect) -> str:
    """Return the condition on `target`: it is the version of its key that holds now."""
    return is_true(dialect, f"target.{quoted(IS_CURRENT)}")


def count_live(dialect: Dialect, table: Table) -> str:
    """Return the query for how many rows the source should still have, as `live_rows`."""
    condition = live_rows(dialect, table)
    return f"SELECT count(*) FROM {quoted_table(table.name)} AS target WHERE {condition};"


def count_vanished(dialect: Dialect, table: Table, *, rows: str, rejected: str) -> str:
    """Return the query for how many live rows were not read at all, as `live_rows`."""
    return f"""SELECT count(*) FROM {quoted_table(table.name)} AS target
WHERE {live_rows(dialect, table)}
    AND {record_key(dialect, table, "target")} NOT IN (SELECT "record_key" FROM {quoted(rejected)})
    AND {not_staged(table, rows)};"""


def not_staged(table: Table, rows: str, target: str = "target") -> str:
    """Return the condition on a row, named by alias or table: no staged record has its key."""
    key = same_key(table, "staged", target)
    return f"NOT EXISTS (SELECT 1 FROM {quoted(rows)} AS staged WHERE {key})"


def rows_state(dialect: Dialect, table: Table) -> str:
    """Return the query for how many rows the source should still have, and a checksum over them.

    Parameters: those of `live_rows`.
    """
    columns = table.with_role(Role.SOURCE)
    values = ", N'|', ".join(_text_or_mark(dialect, column) for column in columns)
    texts = ", ".join([*long_start(columns), values])
    figure = dialect.row_state.format(columns=listed(columns), texts=texts)
    return f"""SELECT count(*), coalesce(sum(CAST({figure} AS DECIMAL(38, 0))), 0)
FROM {quoted_table(table.name)} AS target WHERE {live_rows(dialect, table)};"""


def _text_or_mark(dialect: Dialect, column: Column) -> str:
    own = f"target.{quoted(column.name)}"
    shown = {
        Kind.TEXT: f"{own}{dialect.exact}",  # texts of two collations cannot be put together
        Kind.DOUBLE: f"CONVERT(NVARCHAR({NUMBER_WIDTH}), {own}, 3)",  # with all digits
    }.get(column.kind, f"CAST({own} AS NVARCHAR({NUMBER_WIDTH}))")
    # NCHAR(0), which stands in no row: so that an empty text is not the same as none
    return f"coalesce({shown}, NCHAR(0))"


def count_live_without_parent(dialect: Dialect, table: Table) -> str:
    """Return the query for how many live rows name a key that its table lacks, as `live_rows`."""
    missing = [
        f"NOT EXISTS (SELECT 1 FROM {quoted_table(parent.name)} AS d "
        f"WHERE d.{quoted(parent.key[0])} = target.{quoted(column.name)})"
        for column, parent in table.references
    ]
    return f"""SELECT count(*) FROM {quoted_table(table.name)} AS target
WHERE {live_rows(dialect, table)} AND ({" OR ".join(missing) or "1 = 0"});"""


def count_later(table: Table, rows: str) -> str:
    """Return the query for how many staged records are later than a moment. Parameter: it."""
    return f"SELECT count(*) FROM {quoted(rows)} WHERE {quoted(table.window)} > ?;"


def newest_staged(table: Table, rows: str) -> str:
    """Return the query for the newest staged record up to now. Parameter: the present moment."""
    newest = quoted(table.window)
    return f"SELECT max({newest}) FROM {quoted(rows)} WHERE {newest} <= ?;"


def largest_staged(table: Table, rows: str) -> str:
    """Return the query for the largest number by which staged records are asked for."""
    return f"SELECT max({quoted(table.window)}) FROM {quoted(rows)};"
