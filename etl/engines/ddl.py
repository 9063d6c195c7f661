"""The statements that make tables, rights and temporary tables, in an engine's dialect."""

from collections.abc import Iterable
from dataclasses import replace

from etl.engines.dialect import (
    Dialect,
    quoted,
    quoted_table,
    sql_type,
    temporary,
    text_literal,
)
from etl.schema.table import Column, Default, Index, Table
from etl.schema.versioned import VERSION_ID
from etl.schema.views import Note, Shown, View

# What a load does with the tables.
RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


def temporary_table(dialect: Dialect, table: Table) -> Table:
    """Return the table as a temporary one, under the name that this engine wants."""
    return replace(table, name=dialect.temporary_name.format(name=table.plain_name))


def create_table(dialect: Dialect, table: Table) -> str:
    """DDL of a table that stays, with its indexes; created only when it is missing."""
    has_keys = dialect.has_keys and (dialect.batched or not table.is_staging)
    lines = [*_column_lines(dialect, table), *(_key_lines(dialect, table) if has_keys else ())]
    indexes = [_create_index(dialect, table, i) for i in table.indexes if dialect.has_keys]
    body = "\n".join(["(\n" + ",\n".join(lines) + "\n);", *indexes])
    create = dialect.create_staging if table.is_staging else dialect.create_missing
    placed = dialect.placed(table.name)
    return create.format(name=placed, quoted=quoted_table(placed), body=body)


def create_schemas(dialect: Dialect, tables: Iterable[Table]) -> list[str]:
    """Return what makes the schemas in which tables are to lie, unless they are there.

    Example:
        >>> from etl.engines.duckdb import DUCKDB
        >>> create_schemas(DUCKDB, [Table("shop.orders", "", (), ()), Table("orders", "", (), ())])
        ['CREATE SCHEMA IF NOT EXISTS "shop";']
    """
    return [
        dialect.create_schema.format(schema=schema, quoted=quoted(schema))
        for schema in schemas_of(dialect, tables)
    ]


def schemas_of(dialect: Dialect, tables: Iterable[Table]) -> list[str]:
    """Return the schemas that the names of tables carry, each once."""
    places = (dialect.placed(table.name) for table in tables)
    return list(dict.fromkeys(place.partition(".")[0] for place in places if "." in place))


def _create_index(dialect: Dialect, table: Table, index: Index) -> str:
    name = quoted(f"ix_{table.plain_name}_{index.columns[0]}")
    columns = ", ".join(quoted(column) for column in index.columns)
    held = ", ".join(map(quoted, index.included))
    included = f" INCLUDE ({held})" if held else ""
    create = f"{dialect.create_index} {name} ON {dialect.quoted_place(table.name)}"
    return f"-- {index.reason}\n{create} ({columns}){included};"


def create_view(dialect: Dialect, view: View) -> str:
    """DDL of a view."""
    query, name = dialect.schemas.qualified(view_query(view)), dialect.placed(view.name)
    return dialect.create_view.format(name=name, quoted=quoted_table(name), query=query)


def view_query(view: View) -> str:
    """Return the query behind a view, the same on every engine."""
    columns = ",\n".join(f"    {_shown(shown)}" for shown in view.columns)
    return f"SELECT\n{columns}\nFROM {quoted_table(view.tables[0].name)}\n{view.joins}"


def _shown(shown: Shown) -> str:
    column = f"{quoted(shown.table.name)}.{quoted(shown.column.name)}"
    return column if shown.name == shown.column.name else f"{column} AS {quoted(shown.name)}"


def comments(dialect: Dialect, notes: Iterable[Note]) -> str:
    """Return the statements that keep notes on tables, views and their columns.

    Example:
        >>> from etl.engines.duckdb import DUCKDB
        >>> print(comments(DUCKDB, [Note("TABLE", "a", "", "rows"), Note("VIEW", "b", "c", "it")]))
        COMMENT ON TABLE "a" IS 'rows';
        COMMENT ON COLUMN "b"."c" IS 'it';
    """
    if dialect.comments:
        rows = ",\n".join(f"    {_note_row(dialect, note)}" for note in notes)
        return dialect.comments.format(rows=rows) if rows else ""
    return "\n".join(_comment_on(dialect, note) for note in notes)


def _note_row(dialect: Dialect, note: Note) -> str:
    part = f"N{text_literal(note.column)}" if note.column else "NULL"
    return f"(N'{note.kind}', N'{dialect.placed(note.name)}', {part}, N{text_literal(note.text)})"


def _comment_on(dialect: Dialect, note: Note) -> str:
    name, column = dialect.quoted_place(note.name), note.column and f".{quoted(note.column)}"
    kind = "COLUMN" if column else note.kind
    return f"COMMENT ON {kind} {name}{column} IS {text_literal(note.text)};"


def grants(dialect: Dialect, tables: Iterable[Table]) -> str:
    """Return a role that may do what a load does with the tables, and nothing else."""
    if not dialect.role:
        return ""
    granted = tuple(tables)
    schemas = schemas_of(dialect, granted) if dialect.grant_schema else ()
    reached = [dialect.grant_schema.format(quoted=quoted(schema)) for schema in schemas]
    rights = [dialect.grant.format(quoted=dialect.quoted_place(t.name)) for t in granted]
    return "\n".join([dialect.role, *reached, *rights])


def rights_query(dialect: Dialect, tables: Iterable[Table]) -> str:
    """Which of `RIGHTS` this login has: a row per table, its name and a truth value for each.

    Empty where there is nothing to ask: no table, or an engine without rights.
    """
    return "\nUNION ALL ".join(
        f"SELECT '{table.name}', " + ", ".join(_right(dialect, table, right) for right in RIGHTS)
        for table in tables
        if dialect.has_right
    )


def _right(dialect: Dialect, table: Table, right: str) -> str:
    place = dialect.placed(table.name)
    return dialect.has_right.format(name=place, quoted=quoted_table(place), right=right)


def may_create_query(dialect: Dialect) -> str:
    """Return whether this login may create tables; empty for an engine without rights.

    Example:
        >>> from etl.engines.duckdb import DUCKDB
        >>> may_create_query(DUCKDB)
        ''
    """
    return f"SELECT {dialect.may_create};" if dialect.may_create else ""


def create_temporary(dialect: Dialect, table: Table) -> str:
    """DDL of a table that ends with the connection, under the table's own name.

    Its key has no name: constraints of temporary tables share one space on SQL Server.
    """
    lines = _column_lines(dialect, table)
    if dialect.has_keys and table.key:
        lines.append("    PRIMARY KEY (" + ", ".join(map(quoted, table.key)) + ")")
    body = ",\n".join(lines)
    return f"{dialect.create_temporary} {quoted_table(table.name)} (\n{body}\n);"


def create_temporary_as(dialect: Dialect, name: str, query: str) -> str:
    """Make a temporary table and fill it from a query without parameters.

    Example:
        >>> from etl.engines.sql_server_dialect import SQL_SERVER
        >>> print(create_temporary_as(SQL_SERVER, "ones", 'SELECT 1 AS "one"'))
        SELECT * INTO "#ones" FROM (
        SELECT 1 AS "one"
        ) AS made;
    """
    return dialect.create_temporary_as.format(name=temporary(dialect, name), query=query)


def make_temporary(dialect: Dialect, table: Table, query: str) -> str:
    """Make a temporary table anew and fill it from a query without parameters.

    On SQL Server it is made once per connection, in the types of its columns, and emptied from then
    on: a table that is made and dropped in each transaction lets every statement about it be
    compiled anew.
    """
    if not dialect.create_temporary_once:
        return create_temporary_as(dialect, table.name, query)
    made = temporary_table(dialect, table)
    body = create_temporary(dialect, made).partition(f"{quoted(made.name)} ")[2]
    names = ", ".join(quoted(name) for name in table.names)
    once = dialect.create_temporary_once.format(name=made.name, quoted=quoted(made.name), body=body)
    return f"{once}\nINSERT INTO {quoted(made.name)} ({names})\n{query};"


def drop_temporary(dialect: Dialect, name: str) -> str:
    """Drop a temporary table if it is there."""
    return f"DROP TABLE IF EXISTS {temporary(dialect, name)};"


def add_column(dialect: Dialect, table: Table, column: Column) -> str:
    """DDL that adds a column to a table that stays: with its default, or empty.

    Example:
        >>> from etl.engines.postgresql_dialect import POSTGRESQL
        >>> from etl.engines.sql_server_dialect import SQL_SERVER
        >>> from etl.schema.audit import ETL_LOAD
        >>> from etl.schema.star import CUSTOMER_DIM
        >>> add_column(POSTGRESQL, CUSTOMER_DIM, CUSTOMER_DIM.column("phone"))
        'ALTER TABLE "customer_dim" ADD COLUMN "phone" VARCHAR(50) NULL;'
        >>> add_column(SQL_SERVER, ETL_LOAD, ETL_LOAD.column("batches"))
        'ALTER TABLE "etl_load" ADD "batches" INT DEFAULT 0 NOT NULL;'
    """
    required = dialect.adds_required and column.default is not None
    text = _column_line(dialect, replace(column, required=required))
    return dialect.add_column.format(table=dialect.quoted_place(table.name), column=text)


def _column_lines(dialect: Dialect, table: Table) -> list[str]:
    return [f"    {_column_line(dialect, column)}" for column in table.columns]


def _column_line(dialect: Dialect, column: Column) -> str:
    values = {Default.FALSE: dialect.false, Default.ZERO: "0", Default.NOW: dialect.now}
    default = f" DEFAULT {values[column.default]}" if column.default else ""
    empty = "NOT NULL" if column.required else "NULL"
    return f"{quoted(column.name)} {sql_type(dialect, column)}{default} {empty}"


def _key_lines(dialect: Dialect, table: Table) -> Iterable[str]:
    names = (VERSION_ID,) if table.versions else table.key
    if names:
        key = ", ".join(quoted(name) for name in names)
        yield f"    CONSTRAINT {quoted('pk_' + table.plain_name)} PRIMARY KEY ({key})"
    for column, parent in table.references:
        if parent.versions:  # its key is in several rows
            continue
        name = quoted(f"fk_{table.plain_name}_{column.name}")
        yield (
            f"    CONSTRAINT {name} FOREIGN KEY ({quoted(column.name)}) "
            f"REFERENCES {dialect.quoted_place(parent.name)} ({quoted(parent.key[0])})"
        )
