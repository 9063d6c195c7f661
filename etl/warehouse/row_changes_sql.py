"""The statements that note which row changed, in which column, from what to what.

The rows that a load is about to change are set aside before it, and compared with what is there
after it. `rows` is the name of the table that holds the staged records.
"""

from etl.engines.ddl import create_temporary_as
from etl.engines.dialect import (
    Dialect,
    any_differs,
    column_differs,
    is_false,
    is_true,
    key_of,
    quoted,
    quoted_table,
    record_key,
    same_key,
    temporary,
)
from etl.schema.audit import ETL_ROW_CHANGE
from etl.schema.table import Column, Kind, Table
from etl.warehouse.staging_sql import not_staged

INSERTED, UPDATED, REMOVED = "inserted", "updated", "removed"
# A space, so that no column of a table has the name.
_IS_NEW = '"is new"'
_VALUE = ETL_ROW_CHANGE.column("old_value")
_KEY = ETL_ROW_CHANGE.column("record_key")


def before_name(table: Table) -> str:
    """Return the name of the temporary table in which rows of a table are set aside."""
    return f"before_{table.plain_name}"


def _was(number: int) -> str:
    return f'"was {number}"'


def create_before(dialect: Dialect, table: Table, rows: str, *, may_remove: bool) -> str:
    """Return what sets aside the rows that differ from staged ones, and the keys that are new.

    Args:
        dialect: the engine's.
        table: the table.
        rows: the staged records.
        may_remove: rows that are not staged may go, so that they are set aside too.
    """
    keys = ", ".join(f"source.{quoted(name)}" for name in table.key)
    known = "".join(f", target.{quoted(c.name)} AS {_was(n)}" for n, c in enumerate(table.guarded))
    is_new = f"{key_of(table, 'target')} IS NULL"
    differing = f" OR {any_differs(dialect, table.guarded, 'target', 'source')}"
    query = f"""SELECT {keys}, {_flag(dialect, is_new)} AS {_IS_NEW}{known}
FROM {quoted(rows)} AS source
LEFT JOIN {quoted_table(table.name)} AS target ON {same_key(table, "target", "source")}
WHERE {is_new}{differing if table.guarded else ""}"""
    if may_remove:
        own = keys.replace("source.", "target.")
        query += f"""
UNION ALL
SELECT {own}, {_flag(dialect, "1 = 0")} AS {_IS_NEW}{known}
FROM {quoted_table(table.name)} AS target
WHERE {not_staged(table, rows)}"""
    return create_temporary_as(dialect, before_name(table), query)


def _flag(dialect: Dialect, condition: str) -> str:
    truth = f"CASE WHEN {condition} THEN {dialect.true} ELSE {dialect.false} END"
    return f"CAST({truth} AS {dialect.types[Kind.BOOLEAN]})"


def note_inserted(dialect: Dialect, table: Table) -> str:
    """Return what notes the rows that are new. Parameters: those of `note_column`."""
    return _noted(dialect, table, INSERTED, f"WHERE {is_true(dialect, f'b.{_IS_NEW}')}")


def note_removed(dialect: Dialect, table: Table) -> str:
    """Return what notes the rows that are gone. Parameters: those of `note_column`."""
    gone = f"""WHERE {is_false(dialect, f"b.{_IS_NEW}")} AND NOT EXISTS (
    SELECT 1 FROM {quoted_table(table.name)} AS target WHERE {same_key(table, "target", "b")})"""
    return _noted(dialect, table, REMOVED, gone)


def note_column(dialect: Dialect, table: Table, number: int) -> str:
    """Return what notes the rows in which a column differs now.

    Parameters: run, table, moment, who.

    Args:
        dialect: the engine's.
        table: the table.
        number: of the column among those that are guarded.
    """
    column, own = table.guarded[number], f"b.{_was(number)}"
    now = f"target.{quoted(column.name)}"
    joined = f"""JOIN {quoted_table(table.name)} AS target ON {same_key(table, "target", "b")}
WHERE {is_false(dialect, f"b.{_IS_NEW}")} AND {column_differs(dialect, column, own, now)}"""
    values = (f"'{column.name}'", _text(dialect, column, own), _text(dialect, column, now))
    return _noted(dialect, table, UPDATED, joined, values)


def _noted(
    dialect: Dialect, table: Table, kind: str, joined: str,
    values: tuple[str, str, str] = ("NULL", "NULL", "NULL"),
) -> str:  # fmt: skip
    key = f"CAST({record_key(dialect, table, 'b')} AS {dialect.types[Kind.TEXT]})"
    return f"""INSERT INTO "etl_row_change" ("run_id", "table_name", "changed_at", "changed_by",
    "record_key", "kind", "column_name", "old_value", "new_value")
SELECT ?, ?, ?, ?, {key.format(width=_KEY.width)}, '{kind}', {", ".join(values)}
FROM {temporary(dialect, before_name(table))} AS b
{joined};"""


def _text(dialect: Dialect, column: Column, value: str) -> str:
    """A value as a text of the width that the log has for it."""
    if column.kind is Kind.TIMESTAMP:
        shown = dialect.time_text.format(time=value)
    elif column.kind is Kind.BOOLEAN:
        words = f"WHEN {is_true(dialect, value)} THEN 'true' WHEN {is_false(dialect, value)}"
        shown = f"CASE {words} THEN 'false' END"
    else:
        shown = value
    return f"CAST({shown} AS {dialect.types[Kind.TEXT].format(width=_VALUE.width)})"


def forget_before() -> str:
    """Return what removes what is too old. Parameters: table, moment."""
    return 'DELETE FROM "etl_row_change" WHERE "table_name" = ? AND "changed_at" < ?;'
