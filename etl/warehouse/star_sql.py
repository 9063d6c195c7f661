"""The statements that bring staged records into a table: the guarded MERGE, placeholders, removal.

All of them follow from the table's declaration. `rows` is the name of the table that holds the
staged records, all of a source or one batch.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from etl.engines.dialect import (
    Dialect,
    any_differs,
    is_false,
    is_true,
    listed,
    quoted,
    quoted_table,
    same_key,
)
from etl.schema.table import Column, Role, Table, referrers
from etl.warehouse.restated import merge_source
from etl.warehouse.staging_sql import not_staged


def _inserted(table: Table) -> tuple[Column, ...]:
    """The columns of a new row, the stamps of the load last."""
    return (*table.with_role(Role.SOURCE, Role.RESTATED), *_stamps(table))


def _stamps(table: Table) -> tuple[Column, ...]:
    return table.with_role(Role.CREATED, Role.UPDATED)


def insert_params(table: Table, now: datetime) -> tuple[datetime, ...]:
    """Return the parameters of what inserts rows: the load time for each stamp."""
    return (now,) * len(_stamps(table))


def update_params(table: Table, now: datetime) -> tuple[datetime, ...]:
    """Return the parameters of what updates rows: the load time, where rows have a stamp for it."""
    return (now,) * len(table.with_role(Role.UPDATED))


def merge_params(table: Table, now: datetime) -> tuple[datetime, ...]:
    """Return the parameters of `merge`: the load time for each stamp, first those of an update."""
    return update_params(table, now) + insert_params(table, now)


def merge(
    dialect: Dialect,
    table: Table,
    rows: str,
    *,
    part: bool = False,
    differing: Collection[str] | None = None,
) -> str:
    """Return the guarded upsert: what is equal is not written. Parameters: `merge_params`.

    Args:
        dialect: the engine's.
        table: the table.
        rows: the staged rows.
        part: they are one batch of the source.
        differing: the guarded columns in which rows differ, where that is known: no other one is
            written. DuckDB rewrites a column of texts whole when it writes one value in forty of
            it (ids of 700,000 sales: 0.45 CPU seconds).
    """
    inserted, values = _inserted(table), _inserted_values(table)
    guarded = [c for c in table.guarded if differing is None or c.name in differing]
    return f"""MERGE INTO {quoted_table(table.name)}{dialect.locked} AS target
USING {merge_source(dialect, table, rows)} AS source
ON {same_key(table, "target", "source")}{_update(dialect, table, guarded)}
WHEN NOT MATCHED THEN
    INSERT ({listed(inserted)})
    VALUES ({values}){dialect.seeks if part else ""};"""


def _update(dialect: Dialect, table: Table, guarded: Sequence[Column]) -> str:
    if not guarded:  # nothing but a key can differ
        return ""
    columns = [
        column
        for column in table.with_role(Role.SOURCE, Role.RESTATED)
        if column.role is Role.RESTATED or column in guarded
    ]
    sets = [f"{quoted(c.name)} = {_updated_value(c)}" for c in columns]
    sets += [f"{quoted(c.name)} = ?" for c in table.with_role(Role.UPDATED)]
    listed_sets = ",\n        ".join(sets)
    return f"""
WHEN MATCHED AND {any_differs(dialect, guarded, "target", "source")} THEN
    UPDATE SET
        {listed_sets}"""


def insert_new(dialect: Dialect, table: Table, rows: str) -> str:
    """Return what `merge` comes to when every key is new. Parameters: `insert_params`."""
    return f"""INSERT INTO {quoted_table(table.name)} ({listed(_inserted(table))})
SELECT {_inserted_values(table)}
FROM {merge_source(dialect, table, rows)} AS source;"""


def _inserted_values(table: Table) -> str:
    brought = listed(table.with_role(Role.SOURCE, Role.RESTATED), "source.")
    return ", ".join([brought, *("?" for _ in _stamps(table))])


def _updated_value(column: Column) -> str:
    """The staged value; where a restated one must not be empty, what is there is kept instead."""
    value = f"source.{quoted(column.name)}"
    kept = column.role is Role.RESTATED and column.required
    return f"coalesce({value}, target.{quoted(column.name)})" if kept else value


# --- placeholders ------------------------------------------------------------------------


def insert_inferred(dialect: Dialect, column: Column, parent: Table, *, rows: str) -> str:
    """Return what adds a placeholder for each key that staged rows name and their parent lacks.

    Args:
        dialect: the engine's.
        column: the column of the staged rows that holds the key.
        parent: the table whose key it is. Parameters: `insert_params` of it.
        rows: the staged rows.
    """
    columns = ", ".join(map(quoted, (*parent.key, parent.placeholder)))
    stamps = "".join(f", {quoted(c.name)}" for c in _stamps(parent))
    own = f"s.{quoted(column.name)}"
    return f"""INSERT INTO {quoted_table(parent.name)}
    ({columns}{stamps})
SELECT DISTINCT {own}, {dialect.true}{", ?" * len(_stamps(parent))}
FROM {quoted(rows)} AS s
WHERE {_without_parent(column, parent)};"""


def _without_parent(column: Column, parent: Table) -> str:
    own = f"s.{quoted(column.name)}"
    same = f"d.{quoted(parent.key[0])} = {own}"
    missing = f"NOT EXISTS (SELECT 1 FROM {quoted_table(parent.name)} AS d WHERE {same})"
    return missing if column.required else f"{own} IS NOT NULL AND {missing}"


def staged_without_parent(column: Column, parent: Table, *, rows: str) -> str:
    """Return the query for how many staged rows name a key that their parent lacks."""
    return f"""SELECT count(*) FROM {quoted(rows)} AS s
WHERE {_without_parent(column, parent)};"""


def select_without_parent(table: Table, condition: str, *, rows: str) -> str:
    """Return the query for staged rows that `without_parent` finds, in the order of the source."""
    columns = listed(table.with_role(Role.SOURCE), "s.")
    return f"""SELECT s."source_row", {columns} FROM {quoted(rows)} AS s
WHERE {condition} ORDER BY s."source_row";"""


def delete_without_parent(condition: str, *, rows: str) -> str:
    """Return what takes the staged rows out that `without_parent` finds."""
    return f"""DELETE FROM {quoted(rows)} WHERE "source_row" IN (
    SELECT s."source_row" FROM {quoted(rows)} AS s WHERE {condition}
);"""


def without_parent(column: Column, parent: Table, *, staged: str = "") -> str:
    """Return the condition on staged rows `s`: their parent lacks the key that they name.

    Args:
        column: of the staged rows, which holds the key.
        parent: the table whose key it is.
        staged: the table of records staged for it, if these count as well.
    """
    condition = _without_parent(column, parent)
    if not staged:
        return condition
    same = f"p.{quoted(parent.key[0])} = s.{quoted(column.name)}"
    return f"{condition} AND NOT EXISTS (SELECT 1 FROM {quoted(staged)} AS p WHERE {same})"


def referenced(table: Table, tables: Iterable[Table]) -> str:
    """Return the condition that another table names the row of a table, which names itself."""
    key = f"{quoted_table(table.name)}.{quoted(table.key[0])}"
    found = [
        f"EXISTS (SELECT 1 FROM {child} AS f WHERE f.{column} = {key})"
        for child, column in (
            (quoted_table(child.name), quoted(column.name))
            for child, column in referrers(table, tables)
        )
    ]
    return found[0] if len(found) == 1 else f"({' OR '.join(found)})"


# Deletes and updates name the table itself where it is referred to: engines disagree on where
# an alias may stand.


def delete_orphaned_inferred(dialect: Dialect, table: Table, tables: Iterable[Table]) -> str:
    """Return what removes placeholders that no row of these tables names any more."""
    target = quoted_table(table.name)
    inferred = is_true(dialect, f"{target}.{quoted(table.placeholder)}")
    return f"""DELETE FROM {target}
WHERE {inferred} AND NOT {referenced(table, tables)};"""


# --- full refresh --------------------------------------------------------------------------


def delete_unread(table: Table, rows: str, tables: Iterable[Table]) -> str:
    """Return what removes rows that were not read, but for those that rows of these tables name.

    Of a table without a key every row goes: nobody knows which of them were read.
    """
    if not table.key:
        return f"DELETE FROM {quoted_table(table.name)};"
    kept = f" AND NOT {referenced(table, tables)}" if referrers(table, tables) else ""
    return f"""DELETE FROM {quoted_table(table.name)}
WHERE {not_staged(table, rows, quoted_table(table.name))}{kept};"""


def reinfer_unread(dialect: Dialect, table: Table, rows: str, tables: Iterable[Table]) -> str:
    """Return what turns unread rows that are named into placeholders. Parameter: load time."""
    attributes = (c for c in table.guarded if c.name != table.placeholder)
    flag, target = quoted(table.placeholder), quoted_table(table.name)
    sets = [f"{quoted(c.name)} = NULL" for c in attributes]
    sets += [f"{flag} = {dialect.true}"]
    sets += [f"{quoted(c.name)} = ?" for c in table.with_role(Role.UPDATED)]
    return f"""UPDATE {target}
SET {", ".join(sets)}
WHERE {is_false(dialect, f"{target}.{flag}")} AND {not_staged(table, rows, target)}
    AND {referenced(table, tables)};"""
