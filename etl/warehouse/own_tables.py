"""Tables that users bring: what the catalog says of them, and what a load writes of them."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from etl.engines.database import DatabaseManager
from etl.engines.dialect import KEY_NOTE, PRIMARY_KEY, Dialect, remember_key
from etl.errors import LoadingError
from etl.schema.columns import WIDEST_TEXT
from etl.schema.table import Column, Kind, Role, Table
from etl.schema.work_tables import CHANGE_COLUMNS
from etl.warehouse.adopted import FoundColumn
from etl.warehouse.tables import create_tables, read_catalog

_NAMES_WIDTH = 50  # of tables and columns in the audit tables
# Columns that stand beside those of the records while these are staged and compared.
_TAKEN = ("source_row", "run_id", "batch", "rank", "is_new", "is_live",
          *(column.name for column in CHANGE_COLUMNS), "is_removed")  # fmt: skip
# Columns that a load writes itself, where a table has them and its records do not.
_STAMPS = {"created_date": Role.CREATED, "updated_date": Role.UPDATED}


def find_table(db: DatabaseManager, name: str) -> Table | None:
    """Return a table of the warehouse as its catalog describes it, None if there is none.

    Its key is its primary key, or the one with which a load has created it. Columns of types that
    no load knows, and those that the server fills by itself, are left out.

    Args:
        db: the warehouse.
        name: of the table, with its schema or without.

    Raises:
        LoadingError: it is a view.

    Example:
        >>> with DatabaseManager("duckdb:///:memory:") as db:
        ...     db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, note VARCHAR)")
        ...     found = find_table(db, "orders")
        >>> found.key, found.names
        (('id',), ('id', 'note'))
    """
    catalog = read_catalog(db, [name], with_supplied=True)
    if name not in catalog.columns:
        return None
    if name in catalog.views:
        raise LoadingError(f"{name} is a view", next_step="name the table that it shows")
    found = {n: c for n, c in catalog.columns[name].items() if not c.supplied}
    known = {n: column.kind(db.dialect) for n, column in found.items()}
    columns = [_column(n, found[n], kind, db.dialect) for n, kind in known.items() if kind]
    key = _key(db, catalog.schemas[name], name.rpartition(".")[2])
    table = Table(name, "a table of one's own", key, tuple(columns))
    required = (replace(c, required=c.required or c.name in key) for c in table.columns)
    return replace(table, columns=tuple(required))


def _column(name: str, found: FoundColumn, kind: Kind, dialect: Dialect) -> Column:
    column = Column(name, "", kind, required=found.nullable == "NO")
    if kind is Kind.DECIMAL:
        return replace(column, precision=found.precision or 38, scale=found.scale or 0)
    if kind is not Kind.TEXT:
        return column
    bounded = found.width is not None and 0 < found.width <= WIDEST_TEXT
    width = found.width if bounded and found.width else _ANY_WIDTH
    exact = bool(found.collation) and f"{found.collation}" in dialect.exact
    own = "" if exact or not found.collation else _collation(found.collation, dialect)
    return replace(column, width=width, exact=exact, collation=own)


_ANY_WIDTH = 2**30 - 1  # UTF-16 code units of NVARCHAR(MAX)


def _collation(name: str, dialect: Dialect) -> str:
    return f'"{name}"' if '"' in dialect.exact else name


def _key(db: DatabaseManager, schema: str, name: str) -> tuple[str, ...]:
    declared = tuple(column for (column,) in db.query(PRIMARY_KEY, (schema, name)))
    if declared or not db.dialect.remembered_key:
        return declared
    notes = [note for (note,) in db.query(db.dialect.remembered_key, (schema, name)) if note]
    return tuple(json.loads(notes[0].removeprefix(KEY_NOTE))) if notes and notes[0].startswith(
        KEY_NOTE) else ()  # fmt: skip


def open_tables(db: DatabaseManager, tables: Sequence[Table], loaded: Sequence[Table] = ()) -> None:
    """Make tables that are missing, with what a load of them needs besides.

    Args:
        db: the warehouse.
        tables: all their columns; the names of those that are there must be as the catalog has
            them.
        loaded: further tables that are made if they are missing.

    Raises:
        LoadingError: one cannot be made.
    """
    remembers = tables and db.dialect.remember_key and not db.access.read_only
    known = read_catalog(db, (table.name for table in tables)).columns if remembers else {}
    create_tables(db, (*loaded, *tables))
    for table in tables if remembers else ():
        if table.name not in known and table.key:
            db.execute(remember_key(db.dialect, table))


def require_table_name(name: str) -> None:
    """Check that a name is that of a table, with its schema or without.

    Raises:
        LoadingError: it is not.
    """
    if not re.fullmatch(r"([^\W\d]\w*\.)?[^\W\d]\w*", name):
        raise LoadingError(
            f"{name!r} is no name of a table", choices="table, schema.table: letters, digits and _"
        )


def require_names(table: Table) -> None:
    """Check that the history of the loads can hold the names of a table and its columns.

    Raises:
        LoadingError: one is too long.
    """
    long = [name for name in (table.name, *table.names) if len(name) > _NAMES_WIDTH]
    if long:
        raise LoadingError(
            f"a name has more than {_NAMES_WIDTH} characters: {', '.join(long)}",
            next_step="rename it; the history of the loads holds no longer ones",
        )
    if taken := [name for name in table.names if name.lower() in _TAKEN]:
        raise LoadingError(
            f"no column of {table.name} can be named {', '.join(taken)}, which staging uses itself",
            next_step="rename it in the table and in the records",
        )


def loaded_part(table: Table, names: Sequence[str], mode: str) -> Table:
    """Return what a load writes of a table: the columns of its records, and the stamps.

    Args:
        table: all columns, and the key.
        names: the columns that the records carry.
        mode: merge, append or replace; a table that keeps versions is written whole.

    Example:
        >>> columns = (Column("id", "", Kind.INTEGER), Column("note", "", Kind.TEXT, width=9))
        >>> table = Table("orders", "", ("id",), columns)
        >>> loaded_part(table, ["id"], "merge").names, loaded_part(table, ["id"], "append").key
        (('id',), ())
    """
    if table.versions:
        return table
    columns = [
        replace(column, role=_role(column, names))
        for column in table.columns
        if column.name in names or _is_stamp(column)
    ]
    key = () if mode == "append" else table.key
    return replace(table, key=key, columns=tuple(columns), replaced=mode == "replace")


def _is_stamp(column: Column) -> bool:
    return column.name in _STAMPS and column.kind is Kind.TIMESTAMP


def _role(column: Column, names: Sequence[str]) -> Role:
    if column.name in names or not _is_stamp(column):
        return Role.SOURCE
    return _STAMPS[column.name]
