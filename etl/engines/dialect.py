"""What is particular to the SQL of an engine, as a record; and functions that return SQL.

The record of each engine stands in its own file. Names are quoted with double quotes on every
engine, and the text is kept to what DuckDB, PostgreSQL and SQL Server share; where they part, a
record says how.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from etl.engines.adoption import MADE_BY_LOADS, Adoption
from etl.engines.schemas import NO_SCHEMAS, Schemas
from etl.schema.columns import WIDEST_TEXT
from etl.schema.table import Column, Kind, Table
from etl.schema.versioned import VALID_FROM


@dataclass(frozen=True)
class Dialect:
    """What is particular to one engine.

    Attributes:
        name: as it appears in messages.
        long_text: type of texts of any length.
        types: SQL type per kind of column; `{width}`, `{precision}`, `{scale}` are filled in.
        exact: what a text type needs to be compared and sorted by code point.
        true, false: the truth values.
        time_text: a time `{time}` as a text with six decimals.
        comparable: a text `{text}` in a form that compares exactly.
        differs: NULL-safe comparison of `{a}` with `{b}`; `{x}` and `{y}` are their comparable
            forms.
        whole_number: type of whole numbers of at least 24 digits.
        quotient: `{x}` / `{y}` of two of them, without what is left over.
        computed_once: ends a subquery whose columns are to be computed once, however often the
            query around it names them.
        locked: what the target of a MERGE needs so that no other writer comes between.
        seeks: ends the MERGE of a batch, so that its keys are looked for one by one: a scan under
            `locked` would lock the whole table; empty: there is no such thing to say.
        temporary_name: name of a table `{name}` that ends with the connection.
        create_temporary: makes such a table.
        create_temporary_once: makes the temporary table `{name}` with `{body}` unless this
            connection has it, and empties it; empty: it is made anew each time.
        create_temporary_as: makes and fills one from a query.
        create_missing: makes a table that stays, and its indexes, unless it is there; `{body}` is
            what follows its name.
        create_staging: the same of a table in which sources are staged; empty: they are staged in
            temporary ones, which end with the connection.
        create_view: makes the view `{name}` from `{query}`, unless it is there.
        comments: keeps notes on tables and columns, where they are missing; `{rows}` are the
            notes. Empty: by COMMENT ON.
        commented: query for the tables, views and columns that carry a note: name, column or
            nothing.
        create_schema: makes the schema `{schema}`, unless it is there.
        create_index: begins the statement that makes an index of a table that stays.
        clear: empties a staging table that stays, `{name}`.
        clear_temporary: empties a temporary table.
        refresh_statistics: lets the planner know what the staging table `{name}` holds, if this
            login may; empty: that is of no use.
        role: makes the role to which the rights on the tables are granted; empty: none needed.
        grant: what that role needs on a table.
        grant_schema: what it needs on a schema that is named, to reach what lies in it.
        has_right: whether this login has `{right}` on table `{name}`; empty: there are no rights.
        may_create: whether it may create tables; likewise.
        login: expression for who is logged in; empty: nobody logs in.
        own_schema: expression for the schema in which an unqualified name is created, where that
            depends on the login.
        table_names: query for the tables that an unqualified name can mean.
        catalog: query for the columns of tables and views that an unqualified name can mean, those
            of the schema that it means first: schema, table, kind of table, whether an unqualified
            name can mean it, column, type, width, precision, scale, whether it may be empty,
            default, collation, decimals of a time; `{named}` adds other schemas.
        remember_key: notes the key `{key}` of the table `{table}` where it is not declared.
        remembered_key: query for that note. Parameters: schema, table.
        kinds: by the name of a type in that catalog, the kind of column that it can hold.
        row_state: figure of each row of `target`, which differs once anybody has written it;
            `{columns}` are those that count, `{texts}` the same as texts.
        now: the present moment in UTC, as a default.
        add_column: adds the column `{column}` to the table `{table}`.
        adds_required: a new column with a default is NOT NULL.
        script_start: what a script of its statements begins with.
        has_keys: whether primary and foreign keys and indexes are declared.
        batched: whether a source is merged in batches, a transaction each; else in one.
        checksummed: whether what the server holds of staged rows is checked against a checksum.
        indexes: query for the indexes and keys of the table `{quoted}` that may be made once it is
            filled: the statements to drop and to make each, and whether they lock another table;
            those first that depend on others; no rows for a table of others, or that others name.
            Empty: it does not pay.
        adopts: what is particular to tables that a load did not make.
        schemas: where tables lie whose names have no schema.
    """

    name: str
    long_text: str
    types: Mapping[Kind, str]
    exact: str
    true: str
    false: str
    time_text: str
    comparable: str
    differs: str
    whole_number: str
    quotient: str
    computed_once: str
    locked: str
    seeks: str
    temporary_name: str
    create_temporary: str
    create_temporary_once: str
    create_temporary_as: str
    create_missing: str
    create_staging: str
    create_view: str
    comments: str
    commented: str
    create_schema: str
    create_index: str
    clear: str
    clear_temporary: str
    refresh_statistics: str
    role: str
    grant: str
    grant_schema: str
    has_right: str
    may_create: str
    login: str
    own_schema: str
    table_names: str
    catalog: str
    remember_key: str
    remembered_key: str
    kinds: Mapping[str, Kind]
    row_state: str
    now: str
    add_column: str
    adds_required: bool
    script_start: str
    has_keys: bool
    batched: bool
    checksummed: bool
    indexes: str = ""
    adopts: Adoption = MADE_BY_LOADS
    schemas: Schemas = NO_SCHEMAS

    @property
    def stages_permanently(self) -> bool:
        """Whether staging tables outlast a connection, and with it a run."""
        return bool(self.create_staging)

    def placed(self, name: str) -> str:
        """Return the name of a table with its schema, if it lies in one that is named."""
        return self.schemas.placed(name)

    def quoted_place(self, name: str) -> str:
        """Return the same as an identifier."""
        return quoted_table(self.placed(name))


# What `Dialect.catalog` begins with; an engine says what is visible, and what comes first.
CATALOG = """SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_TYPE,
    CASE WHEN {visible} THEN 1 ELSE 0 END, c.COLUMN_NAME, c.DATA_TYPE,
    c.CHARACTER_MAXIMUM_LENGTH, c.NUMERIC_PRECISION, c.NUMERIC_SCALE, c.IS_NULLABLE,
    c.COLUMN_DEFAULT, c.COLLATION_NAME, c.DATETIME_PRECISION
FROM INFORMATION_SCHEMA.TABLES AS t
JOIN INFORMATION_SCHEMA.COLUMNS AS c
    ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME{also}
WHERE {visible}{{named}}
ORDER BY {first}, t.TABLE_NAME, c.ORDINAL_POSITION;"""

# The schemas that have a table of a name, and the one in which this login would make it.
SCHEMAS_OF = """SELECT TABLE_SCHEMA, {own} FROM INFORMATION_SCHEMA.TABLES
WHERE TABLE_NAME = ? AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_SCHEMA;"""

# The columns of a primary key, in its order. Parameters: schema, table.
PRIMARY_KEY = """SELECT k.COLUMN_NAME
FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS AS t
JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE AS k
    ON k.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME = t.CONSTRAINT_NAME
    AND k.TABLE_SCHEMA = t.TABLE_SCHEMA AND k.TABLE_NAME = t.TABLE_NAME
WHERE t.CONSTRAINT_TYPE = 'PRIMARY KEY' AND t.TABLE_SCHEMA = ? AND t.TABLE_NAME = ?
ORDER BY k.ORDINAL_POSITION;"""


def catalog_of(dialect: Dialect, schemas: Iterable[str] = ()) -> str:
    """The query for the columns of tables and views, those of further schemas among them."""
    named = ", ".join(text_literal(schema) for schema in schemas)
    return dialect.catalog.format(named=f" OR t.TABLE_SCHEMA IN ({named})" if named else "")


def text_literal(text: str) -> str:
    """Return a text as SQL.

    Example:
        >>> text_literal("a sale's day")
        "'a sale''s day'"
    """
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def remember_key(dialect: Dialect, table: Table) -> str:
    r"""What notes the key of a table for later loads; empty where it is declared.

    Example:
        >>> from etl.engines.duckdb import DUCKDB
        >>> remember_key(DUCKDB, Table("orders", "", ("order_id", "line"), ()))
        'COMMENT ON TABLE "orders" IS \'key: ["order_id", "line"]\';'
    """
    note = text_literal(KEY_NOTE + json.dumps(table.key))
    return dialect.remember_key.format(table=quoted_table(table.name), key=note)


KEY_NOTE = "key: "


# --- names and types ---------------------------------------------------------------------


def quoted(name: str) -> str:
    """Return the name as an identifier.

    Example:
        >>> quoted("customer_dim")
        '"customer_dim"'
    """
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def quoted_table(name: str) -> str:
    """The name of a table as an identifier, behind its schema if it names one.

    Example:
        >>> quoted_table("orders"), quoted_table("dbo.orders")
        ('"orders"', '"dbo"."orders"')
    """
    return ".".join(quoted(part) for part in name.split(".", 1))


def temporary(dialect: Dialect, name: str) -> str:
    """Return the name of a temporary table as an identifier.

    Example:
        >>> from etl.engines.sql_server_dialect import SQL_SERVER
        >>> temporary(SQL_SERVER, "restated")
        '"#restated"'
    """
    return quoted(dialect.temporary_name.format(name=name))


def listed(columns: Iterable[Column], prefix: str = "") -> str:
    """Column names as a list, each behind a prefix such as `source.`."""
    return ", ".join(f"{prefix}{quoted(column.name)}" for column in columns)


def sql_type(dialect: Dialect, column: Column) -> str:
    """Return the column's type in the engine's words.

    Example:
        >>> from etl.engines.sql_server_dialect import SQL_SERVER
        >>> from etl.schema.star import SALES_FACT
        >>> sql_type(SQL_SERVER, SALES_FACT.column("customer_id"))
        'NVARCHAR(50) COLLATE Latin1_General_100_BIN2'
    """
    is_text = column.kind is Kind.TEXT
    is_long = is_text and column.width > WIDEST_TEXT
    words = (dialect.long_text if is_long else dialect.types[column.kind]).format(
        width=column.width, precision=column.precision, scale=column.scale
    )
    if column.collation:
        return f"{words} COLLATE {column.collation}"
    return words + dialect.exact if column.exact and is_text else words


# --- comparing ---------------------------------------------------------------------------


def same_key(table: Table, left: str, right: str) -> str:
    """Condition: two aliases hold the same key."""
    return " AND ".join(f"{left}.{quoted(k)} = {right}.{quoted(k)}" for k in table.key)


def key_of(table: Table, alias: str) -> str:
    """Return the key column behind an alias, of several the first."""
    return f"{alias}.{quoted(table.key[0])}"


def record_key(dialect: Dialect, table: Table, alias: str) -> str:
    r"""Return the key behind an alias as one text, as `record_keys` makes it too.

    Example:
        >>> from etl.engines.duckdb import DUCKDB
        >>> from etl.schema.audit import ETL_LINEAGE
        >>> from etl.schema.star import CUSTOMER_DIM
        >>> record_key(DUCKDB, CUSTOMER_DIM, "target"), record_key(DUCKDB, ETL_LINEAGE, "t")
        ('target."customer_id"', 'CONCAT(t."run_id", \'|\', t."table_name")')
    """
    parts = [_key_text(dialect, table.column(name), alias) for name in table.key]
    if len(parts) > 1:
        listed_parts = ", '|', ".join(parts)
        return f"CONCAT({listed_parts})"
    is_text = table.column(table.key[0]).kind is Kind.TEXT
    return parts[0] if is_text else f"CONCAT({parts[0]}, '')"


def _key_text(dialect: Dialect, column: Column, alias: str) -> str:
    own = f"{alias}.{quoted(column.name)}"
    if column.kind is Kind.TIMESTAMP:
        return dialect.time_text.format(time=own)
    if column.kind is Kind.BOOLEAN:
        return f"CASE WHEN {is_true(dialect, own)} THEN 'true' ELSE 'false' END"
    # compared with a column of another collation, so it has to be said which one counts
    return own + dialect.exact if column.kind is Kind.TEXT and not column.exact else own


def is_true(dialect: Dialect, expression: str) -> str:
    """Condition: the flag is set.

    Example:
        >>> from etl.engines.sql_server_dialect import SQL_SERVER
        >>> is_true(SQL_SERVER, 'target."is_inferred"')
        'target."is_inferred" = 1'
    """
    return f"{expression} = {dialect.true}"


def is_false(dialect: Dialect, expression: str) -> str:
    """Condition: the flag is not set."""
    return f"{expression} = {dialect.false}"


def _comparable(dialect: Dialect, column: Column, alias: str) -> str:
    own = f"{alias}.{quoted(column.name)}"
    if column.kind is not Kind.TEXT or column.exact:
        return own
    return dialect.comparable.format(text=own)


def differs(dialect: Dialect, column: Column, left: str, right: str) -> str:
    """Condition: the column differs between two aliases, NULL-safe and exact."""
    x, y = (_comparable(dialect, column, alias) for alias in (left, right))
    if column.required:
        return f"{x} <> {y}"
    a, b = (f"{alias}.{quoted(column.name)}" for alias in (left, right))
    return dialect.differs.format(a=a, b=b, x=x, y=y)


def column_differs(dialect: Dialect, column: Column, a: str, b: str) -> str:
    """Condition: two expressions of the kind of a column differ, NULL-safe and exact.

    Example:
        >>> from etl.engines.duckdb import DUCKDB
        >>> column_differs(DUCKDB, Column("city", "", Kind.TEXT), 's."city"', 's."before"')
        's."city" IS DISTINCT FROM s."before"'
    """
    x, y = a, b
    if column.kind is Kind.TEXT:
        x, y = (dialect.comparable.format(text=text) for text in (a, b))
    return dialect.differs.format(a=a, b=b, x=x, y=y)


def values_differ(dialect: Dialect, a: str, b: str) -> str:
    """Condition: two expressions differ, NULL-safe.

    Example:
        >>> from etl.engines.duckdb import DUCKDB
        >>> values_differ(DUCKDB, '"known"', '"right"')
        '"known" IS DISTINCT FROM "right"'
    """
    return dialect.differs.format(a=a, b=b, x=a, y=b)


def any_differs(dialect: Dialect, columns: Iterable[Column], left: str, right: str) -> str:
    """Condition: at least one of the columns differs between two aliases."""
    return "(" + " OR ".join(differs(dialect, c, left, right) for c in columns) + ")"


# --- statements of any table ---------------------------------------------------------------


def count_rows(name: str) -> str:
    """Return how many rows a table has."""
    return f"SELECT count(*) FROM {quoted_table(name)};"


def has_rows(name: str, locked: str = "") -> str:
    """Return whether a table has any rows, as 1 or 0.

    Args:
        name: of the table.
        locked: what keeps others from adding one until the transaction ends, `Dialect.locked`.

    Example:
        >>> has_rows("orders")
        'SELECT CASE WHEN EXISTS (SELECT 1 FROM "orders") THEN 1 ELSE 0 END;'
    """
    rows = f"SELECT 1 FROM {quoted_table(name)}{locked}"  # a table of ours
    return f"SELECT CASE WHEN EXISTS ({rows}) THEN 1 ELSE 0 END;"


def clear(dialect: Dialect, name: str) -> str:
    """Empty a staging table of whatever an earlier attempt or a killed run has left.

    Example:
        >>> from etl.engines.postgresql_dialect import POSTGRESQL
        >>> clear(POSTGRESQL, "stage_sales_fact")
        'TRUNCATE TABLE "stage_sales_fact";'
    """
    return dialect.clear.format(name=dialect.placed(name), quoted=dialect.quoted_place(name))


def clear_temporary(dialect: Dialect, name: str) -> str:
    """Empty a temporary table, given by the name that this engine wants.

    Example:
        >>> from etl.engines.duckdb import DUCKDB
        >>> clear_temporary(DUCKDB, "batch_sales_fact")
        'DELETE FROM "batch_sales_fact";'
    """
    return dialect.clear_temporary.format(quoted=quoted(name))


def refresh_statistics(dialect: Dialect, name: str) -> str:
    """Return what refreshes the statistics of a staging table; empty where that is of no use."""
    return dialect.refresh_statistics.format(
        name=dialect.placed(name), quoted=dialect.quoted_place(name)
    )


def insert_row(table: Table) -> str:
    """INSERT of one whole row, a parameter per column."""
    marks = ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {quoted_table(table.name)} ({listed(table.columns)}) VALUES ({marks});"


def insert_rows(table: Table, rows: int) -> str:
    """INSERT of several whole rows, a parameter per column and row.

    Example:
        >>> from dataclasses import replace
        >>> from etl.schema.audit import ETL_SETTING
        >>> insert_rows(replace(ETL_SETTING, columns=ETL_SETTING.columns[:2]), 2)
        'INSERT INTO "etl_setting" ("table_name", "setting") VALUES (?, ?), (?, ?);'
    """
    marks = ", ".join("?" for _ in table.columns)
    values = ", ".join([f"({marks})"] * rows)
    return f"INSERT INTO {quoted_table(table.name)} ({listed(table.columns)}) VALUES {values};"


def select_all(table: Table) -> str:
    """Every row, in the order of the key, where there is one."""
    since = (VALID_FROM,) if table.versions else ()
    order = ", ".join(quoted(name) for name in (*table.key, *since))
    ordered = f" ORDER BY {order}" if order else ""
    return f"SELECT {listed(table.columns)} FROM {quoted_table(table.name)}{ordered};"
