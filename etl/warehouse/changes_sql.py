"""The statements about staged changes: which of them count, and which rows they remove.

`rows` is the name of the table in which the changes of a source are staged.
"""

from collections.abc import Iterable

from etl.engines.dialect import Dialect, listed, quoted, quoted_table, same_key
from etl.schema.table import Table, referrers
from etl.schema.versioned import HOLDS_FROM
from etl.schema.work_tables import (
    CHANGE_COLUMNS,
    CLEARED,
    REMOVED,
    changed_key_table,
    removed_table,
)
from etl.warehouse.staging_sql import not_staged
from etl.warehouse.star_sql import referenced

_POSITION, _KIND, _ = (quoted(column.name) for column in CHANGE_COLUMNS)
_TIME = CHANGE_COLUMNS[-1].name


def _keys(table: Table, alias: str = "") -> str:
    return ", ".join(f"{alias}{quoted(name)}" for name in table.key)


# --- what counts ---------------------------------------------------------------------------


def newest_clearing(rows: str) -> str:
    """Return the query for the newest change that empties the whole table: its position."""
    return f"SELECT max({_POSITION}) FROM {quoted(rows)} WHERE {_KIND} = '{CLEARED}';"


def clearing_row(rows: str) -> str:
    """Return the query for the last source row of such a change. Parameter: its position."""
    return (
        f'SELECT max("source_row") FROM {quoted(rows)} '
        f"WHERE {_KIND} = '{CLEARED}' AND {_POSITION} = ?;"
    )


def delete_before(rows: str) -> str:
    """Return what takes out the changes up to one. Parameters: position, position, source row."""
    return (
        f"DELETE FROM {quoted(rows)} WHERE {_POSITION} < ? "
        f'OR ({_POSITION} = ? AND "source_row" <= ?);'
    )


def delete_overtaken(table: Table, rows: str) -> str:
    """Return what takes out the changes of keys of which a newer one was loaded before."""
    staged = quoted(rows)
    return f"""DELETE FROM {staged} WHERE EXISTS (
    SELECT 1 FROM {quoted(changed_key_table(table).name)} AS known
    WHERE {same_key(table, "known", staged)} AND known.{_POSITION} > {staged}.{_POSITION}
);"""


def set_removals_aside(table: Table, rows: str) -> str:
    """Return what copies the keys that are to be removed into a table of their own."""
    aside = removed_table(table)
    names = listed(aside.columns)
    return (
        f"INSERT INTO {quoted(aside.name)} ({names}) "
        f"SELECT {names} FROM {quoted(rows)} WHERE {_KIND} = '{REMOVED}';"
    )


def delete_removals(rows: str) -> str:
    """Return what takes the changes out of the staged ones that remove a row."""
    return f"DELETE FROM {quoted(rows)} WHERE {_KIND} = '{REMOVED}';"


def newest_position(rows: str) -> str:
    """Return the query for the position of the newest staged change."""
    return f"SELECT max({_POSITION}) FROM {quoted(rows)};"


# --- what is remembered of keys ------------------------------------------------------------


def forget_keys(table: Table, rows: str) -> str:
    """Return what forgets earlier changes of the keys in a table of staged ones."""
    known = quoted(changed_key_table(table).name)
    same = same_key(table, "staged", known)
    return (
        f"DELETE FROM {known} WHERE EXISTS (SELECT 1 FROM {quoted(rows)} AS staged WHERE {same});"
    )


def remember_keys(dialect: Dialect, table: Table, rows: str, *, removed: bool) -> str:
    """Return what remembers the changes of the keys in a table of staged ones."""
    known = quoted(changed_key_table(table).name)
    flag = dialect.true if removed else dialect.false
    return f"""INSERT INTO {known} ({_keys(table)}, {_POSITION}, "is_removed")
SELECT {_keys(table)}, {_POSITION}, {flag} FROM {quoted(rows)} WHERE {_POSITION} IS NOT NULL;"""


def remember_cleared(dialect: Dialect, table: Table, rows: str) -> str:
    """Return what marks the rows for removal that are not staged. Parameter: position.

    Rows whose key is known to have a newer change than that which emptied the table stay.
    """
    known, target = quoted(changed_key_table(table).name), quoted_table(table.name)
    return f"""INSERT INTO {known} ({_keys(table)}, {_POSITION}, "is_removed")
SELECT {_keys(table, "target.")}, ?, {dialect.true} FROM {target} AS target
WHERE {not_staged(table, rows)} AND NOT EXISTS (
    SELECT 1 FROM {known} AS known WHERE {same_key(table, "known", "target")});"""


def forget_cleared(table: Table) -> str:
    """Return what forgets the keys whose newest change is older. Parameter: position."""
    return f"DELETE FROM {quoted(changed_key_table(table).name)} WHERE {_POSITION} <= ?;"


def delete_removed(dialect: Dialect, table: Table, tables: Iterable[Table]) -> str:
    """Return what removes the rows that changes remove, but for those that others name."""
    target = quoted_table(table.name)
    return f"""DELETE FROM {target}
WHERE {_is_removed(dialect, table, target)}{_unnamed(table, tables)};"""


def count_kept(dialect: Dialect, table: Table) -> str:
    """Return the query for how many rows wait to be removed until nothing names them."""
    target = quoted_table(table.name)
    return f"SELECT count(*) FROM {target} WHERE {_is_removed(dialect, table, target)};"


def forget_removed(dialect: Dialect, table: Table) -> str:
    """Return what forgets the removed keys whose row is gone."""
    known = quoted(changed_key_table(table).name)
    same = same_key(table, "target", known)
    return f"""DELETE FROM {known} WHERE "is_removed" = {dialect.true} AND NOT EXISTS (
    SELECT 1 FROM {quoted_table(table.name)} AS target WHERE {same});"""


def fill_ended(table: Table, removed: str, ended: str) -> str:
    """Return what lists removed keys with the moment of each. Parameter: that of the run.

    Where versions do not begin at the times of changes, removals do not happen at these either.
    """
    has_times = table.versions and table.versions.valid_from
    at = f'coalesce("{_TIME}", ?)' if has_times else "?"
    keys = _keys(table)
    return f"""INSERT INTO {quoted(ended)} ({keys}, "{HOLDS_FROM}")
SELECT DISTINCT {keys}, {at} FROM {quoted(removed)};"""


def _is_removed(dialect: Dialect, table: Table, target: str) -> str:
    known = quoted(changed_key_table(table).name)
    return f"""EXISTS (SELECT 1 FROM {known} AS known
    WHERE {same_key(table, "known", target)} AND known."is_removed" = {dialect.true})"""


def _unnamed(table: Table, tables: Iterable[Table]) -> str:
    return f" AND NOT {referenced(table, tables)}" if referrers(table, tables) else ""
