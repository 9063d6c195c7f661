"""The one place where engines differ: a small record per engine, and functions that return SQL.

Nothing here opens a connection. Names are quoted with double quotes on every engine, and the
text is kept to what DuckDB, PostgreSQL and SQL Server share; where they part, a record says how.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from etl.schema.tables import Column, Default, Index, Kind, Table


@dataclass(frozen=True)
class Dialect:
    """What is particular to one engine.

    Attributes:
        name: as it appears in messages.
        types: SQL type per kind of column; `{width}`, `{precision}`, `{scale}` are filled in.
        exact: what a text type needs to be compared and sorted by code point.
        true, false: the truth values.
        comparable: a text `{text}` in a form that compares exactly.
        differs: NULL-safe comparison of `{a}` with `{b}`; `{x}` and `{y}` are their comparable
            forms.
        whole_number: type of whole numbers of at least 24 digits.
        quotient: `{x}` / `{y}` of two of them, without what is left over.
        worked_out: ends a subquery whose columns are to be worked out once, however often the
            query around it names them.
        locked: what the target of a MERGE needs so that no other writer comes between.
        temporary_name: name of a table `{name}` that ends with the connection.
        create_temporary: makes such a table.
        create_temporary_as: makes and fills one from a query.
        create_missing: makes a table that stays, and its indexes, unless it is there; `{body}` is
            what follows its name.
        create_staging: the same of a table in which sources are staged; empty: they are staged in
            temporary ones, which end with the connection.
        create_index: begins the statement that makes an index of a table that stays.
        clear: empties a staging table.
        role: makes the role to which the rights on the tables are granted; empty: none needed.
        grant: what that role needs on a table.
        has_right: whether this login has `{right}` on table `{name}`; empty: there are no rights.
        may_create: whether it may create tables; likewise.
        table_names: query for the tables that an unqualified name can mean.
        catalog: query for the columns of tables and views that an unqualified name can mean, those
            of the schema that it means first: schema, table, kind of table, column, type, width,
            precision, scale, whether it may be empty, default.
        kinds: by the name of a type in that catalog, the kind of column that it can hold.
        now: the present moment in UTC, as a default.
        add_column: adds the column `{column}` to the table `{table}`.
        filled: what makes a new column's default the value of rows that are there.
        script_start: what a script of its statements begins with.
        has_keys: whether primary and foreign keys and indexes are declared.
        batched: whether a source is merged in batches, a transaction each; else in one.
        checksummed: whether what the server holds of staged rows is held against a checksum.
    """

    name: str
    types: Mapping[Kind, str]
    exact: str
    true: str
    false: str
    comparable: str
    differs: str
    whole_number: str
    quotient: str
    worked_out: str
    locked: str
    temporary_name: str
    create_temporary: str
    create_temporary_as: str
    create_missing: str
    create_staging: str
    create_index: str
    clear: str
    role: str
    grant: str
    has_right: str
    may_create: str
    table_names: str
    catalog: str
    kinds: Mapping[str, Kind]
    now: str
    add_column: str
    filled: str
    script_start: str
    has_keys: bool
    batched: bool
    checksummed: bool

    @property
    def stages_permanently(self) -> bool:
        """Whether staging tables outlast a connection, and with it a run."""
        return bool(self.create_staging)


_CATALOG = """SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_TYPE, c.COLUMN_NAME, c.DATA_TYPE,
    c.CHARACTER_MAXIMUM_LENGTH, c.NUMERIC_PRECISION, c.NUMERIC_SCALE, c.IS_NULLABLE,
    c.COLUMN_DEFAULT
FROM INFORMATION_SCHEMA.TABLES AS t
JOIN INFORMATION_SCHEMA.COLUMNS AS c
    ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME{also}
WHERE {visible}
ORDER BY {first}, t.TABLE_NAME, c.ORDINAL_POSITION;"""

DUCKDB = Dialect(
    name="DuckDB",
    types={
        # DuckDB ignores the width of a VARCHAR: transformation has checked it.
        Kind.TEXT: "VARCHAR",
        Kind.INTEGER: "INTEGER",
        Kind.BIGINT: "BIGINT",
        Kind.DECIMAL: "DECIMAL({precision}, {scale})",
        Kind.BOOLEAN: "BOOLEAN",
        Kind.DATE: "DATE",
        Kind.TIMESTAMP: "TIMESTAMP",
    },
    exact="",
    true="TRUE",
    false="FALSE",
    comparable="{text}",
    differs="{x} IS DISTINCT FROM {y}",
    whole_number="HUGEINT",  # decimals are divided as doubles
    quotient="{x} // {y}",
    worked_out="",
    locked="",
    temporary_name="{name}",
    create_temporary="CREATE TEMPORARY TABLE",
    create_temporary_as="CREATE TEMPORARY TABLE {name} AS\n{query};",
    create_missing="CREATE TABLE IF NOT EXISTS {quoted} {body}",
    create_staging="",
    create_index="",
    clear="",
    role="",
    grant="",
    table_names="SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES;",
    catalog=_CATALOG.format(
        also=" AND c.TABLE_CATALOG = t.TABLE_CATALOG",
        visible="t.TABLE_CATALOG = current_database()",
        first="CASE WHEN t.TABLE_SCHEMA = current_schema() THEN 0 ELSE 1 END",
    ),
    kinds={
        "varchar": Kind.TEXT,
        "integer": Kind.INTEGER,
        "bigint": Kind.BIGINT,
        "decimal": Kind.DECIMAL,
        "boolean": Kind.BOOLEAN,
        "date": Kind.DATE,
        "timestamp": Kind.TIMESTAMP,
    },
    now="make_timestamp(epoch_us(now()))",  # a conversion between zones would need an extension
    add_column="ALTER TABLE {table} ADD COLUMN {column};",
    filled="",
    script_start="",
    has_right="",
    may_create="",
    # They cost half the speed, bind memory to the index and refuse honest updates. Uniqueness
    # and references are checked before each commit.
    has_keys=False,
    batched=False,
    checksummed=False,
)

_UNLESS_THERE = "IF OBJECT_ID(N'{name}', N'U') IS NULL\nBEGIN\nCREATE TABLE {quoted} {body}\nEND;"

SQL_SERVER = Dialect(
    name="SQL Server",
    types={
        Kind.TEXT: "NVARCHAR({width})",
        Kind.INTEGER: "INT",
        Kind.BIGINT: "BIGINT",
        Kind.DECIMAL: "DECIMAL({precision}, {scale})",
        Kind.BOOLEAN: "BIT",
        Kind.DATE: "DATE",
        Kind.TIMESTAMP: "DATETIME2(6)",
    },
    exact=" COLLATE Latin1_General_100_BIN2",
    true="1",
    false="0",
    # A collation may take a for A, and all take a trailing space for none, but not before a dot.
    comparable="({text} + N'.') COLLATE Latin1_General_100_BIN2",
    # Without a subquery, so that it can stand in an aggregate (SQL Server's error 130).
    differs=(
        "({x} <> {y} OR ({a} IS NULL AND {b} IS NOT NULL) OR ({a} IS NOT NULL AND {b} IS NULL))"
    ),
    whole_number="DECIMAL(24, 0)",
    quotient="({x} - {x} % {y}) / {y}",  # so nothing is left behind the point to be rounded
    worked_out="",
    # HOLDLOCK alone deadlocks: two shared range locks, both to become exclusive.
    locked=" WITH (HOLDLOCK, UPDLOCK)",
    temporary_name="#{name}",
    create_temporary="CREATE TABLE",
    create_temporary_as="SELECT * INTO {name} FROM (\n{query}\n) AS made;",
    create_missing=_UNLESS_THERE,
    create_staging=_UNLESS_THERE,
    create_index="CREATE INDEX",
    clear="DELETE FROM {quoted};",  # TRUNCATE would need the right to alter the table
    role="IF DATABASE_PRINCIPAL_ID(N'etl_loader') IS NULL\nCREATE ROLE etl_loader;",
    grant="GRANT SELECT, INSERT, UPDATE, DELETE ON {quoted} TO etl_loader;",
    has_right="HAS_PERMS_BY_NAME(N'{name}', N'OBJECT', N'{right}')",
    # both are needed: the one in the database, the other in the schema
    may_create=(
        "HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE TABLE') "
        "* HAS_PERMS_BY_NAME(SCHEMA_NAME(), N'SCHEMA', N'ALTER')"
    ),
    table_names=(
        "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES "
        "WHERE TABLE_SCHEMA IN (SCHEMA_NAME(), N'dbo');"
    ),
    catalog=_CATALOG.format(
        also="",
        visible="t.TABLE_SCHEMA IN (SCHEMA_NAME(), N'dbo')",
        first="CASE WHEN t.TABLE_SCHEMA = SCHEMA_NAME() THEN 0 ELSE 1 END",
    ),
    kinds={
        "nvarchar": Kind.TEXT,
        "int": Kind.INTEGER,
        "bigint": Kind.BIGINT,
        "decimal": Kind.DECIMAL,
        "numeric": Kind.DECIMAL,
        "bit": Kind.BOOLEAN,
        "date": Kind.DATE,
        "datetime2": Kind.TIMESTAMP,
    },
    now="SYSUTCDATETIME()",
    add_column="ALTER TABLE {table} ADD {column};",
    filled=" WITH VALUES",
    script_start="SET QUOTED_IDENTIFIER ON;",  # off in sqlcmd and in steps of SQL Server Agent
    has_keys=True,
    batched=True,
    checksummed=True,  # ODBC drivers have been seen to change values silently
)

POSTGRESQL = Dialect(
    name="PostgreSQL",
    types={
        Kind.TEXT: "VARCHAR({width})",
        Kind.INTEGER: "INTEGER",
        Kind.BIGINT: "BIGINT",
        Kind.DECIMAL: "NUMERIC({precision}, {scale})",
        Kind.BOOLEAN: "BOOLEAN",
        Kind.DATE: "DATE",
        Kind.TIMESTAMP: "TIMESTAMP",
    },
    exact=' COLLATE "C"',
    true="TRUE",
    false="FALSE",
    comparable="{text}",  # collations of databases are deterministic: equal is equal byte by byte
    differs="{x} IS DISTINCT FROM {y}",
    whole_number="NUMERIC(24, 0)",
    quotient="div({x}, {y})",
    worked_out=" OFFSET 0",  # else the planner puts the expressions in wherever they are named
    locked="",  # transactions see one snapshot, and fail as transient where another one wrote
    temporary_name="etl_{name}",  # it hides a table of that name, which may be somebody's
    create_temporary="CREATE TEMPORARY TABLE",
    create_temporary_as="CREATE TEMPORARY TABLE {name} AS\n{query};",
    create_missing="CREATE TABLE IF NOT EXISTS {quoted} {body}",
    # Without a log, which halves the time of staging; a crash of the server empties them.
    create_staging="CREATE UNLOGGED TABLE IF NOT EXISTS {quoted} {body}",
    create_index="CREATE INDEX IF NOT EXISTS",
    clear="TRUNCATE TABLE {quoted};",  # DELETE would leave the rows for VACUUM to clean up
    role=("DO $$ BEGIN CREATE ROLE etl_loader; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"),
    grant="GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {quoted} TO etl_loader;",
    has_right="has_table_privilege('{quoted}', '{right}')",
    may_create="has_schema_privilege(current_schema(), 'CREATE')",
    table_names=(
        "SELECT tablename FROM pg_catalog.pg_tables "
        "WHERE schemaname = ANY (current_schemas(false));"
    ),
    catalog=_CATALOG.format(
        also="",
        visible="t.TABLE_SCHEMA = ANY (current_schemas(false))",
        first="array_position(current_schemas(false), CAST(t.TABLE_SCHEMA AS NAME))",
    ),
    kinds={
        "character varying": Kind.TEXT,
        "text": Kind.TEXT,
        "integer": Kind.INTEGER,
        "bigint": Kind.BIGINT,
        "numeric": Kind.DECIMAL,
        "boolean": Kind.BOOLEAN,
        "date": Kind.DATE,
        "timestamp without time zone": Kind.TIMESTAMP,
    },
    now="(now() AT TIME ZONE 'UTC')",
    add_column="ALTER TABLE {table} ADD COLUMN {column};",
    filled="",
    script_start="",
    has_keys=True,
    batched=False,
    checksummed=False,  # COPY says how many rows it took, and takes no value that it would change
)


# What a load does with the tables.
RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


# --- names and types ---------------------------------------------------------------------


def quoted(name: str) -> str:
    """The name as an identifier.

    Example:
        >>> quoted("customer_dim")
        '"customer_dim"'
    """
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def temporary(dialect: Dialect, name: str) -> str:
    """The name of a temporary table as an identifier.

    Example:
        >>> temporary(SQL_SERVER, "restated")
        '"#restated"'
    """
    return quoted(dialect.temporary_name.format(name=name))


def temporary_table(dialect: Dialect, table: Table) -> Table:
    """The table as a temporary one, under the name that this engine wants."""
    return replace(table, name=dialect.temporary_name.format(name=table.name))


def listed(columns: Iterable[Column], prefix: str = "") -> str:
    """Column names as a list, each behind a prefix such as `source.`."""
    return ", ".join(f"{prefix}{quoted(column.name)}" for column in columns)


def sql_type(dialect: Dialect, column: Column) -> str:
    """The column's type in the engine's words.

    Example:
        >>> from etl.schema.tables import SALES_FACT
        >>> sql_type(SQL_SERVER, SALES_FACT.column("customer_id"))
        'NVARCHAR(50) COLLATE Latin1_General_100_BIN2'
    """
    words = dialect.types[column.kind].format(
        width=column.width, precision=column.precision, scale=column.scale
    )
    return words + dialect.exact if column.exact and column.kind is Kind.TEXT else words


# --- tables ------------------------------------------------------------------------------


def create_table(dialect: Dialect, table: Table) -> str:
    """DDL of a table that stays, with its indexes; created only when it is missing."""
    has_keys = dialect.has_keys and (dialect.batched or not table.is_staging)
    lines = [*_column_lines(dialect, table), *(_key_lines(table) if has_keys else ())]
    indexes = [_create_index(dialect, table, i) for i in table.indexes if dialect.has_keys]
    body = "\n".join(["(\n" + ",\n".join(lines) + "\n);", *indexes])
    create = dialect.create_staging if table.is_staging else dialect.create_missing
    return create.format(name=table.name, quoted=quoted(table.name), body=body)


def _create_index(dialect: Dialect, table: Table, index: Index) -> str:
    name = quoted(f"ix_{table.name}_{index.columns[0]}")
    columns = ", ".join(quoted(column) for column in index.columns)
    create = f"{dialect.create_index} {name} ON {quoted(table.name)} ({columns});"
    return f"-- {index.reason}\n{create}"


def grants(dialect: Dialect, tables: Iterable[Table]) -> str:
    """A role that may do what a load does with the tables, and nothing else."""
    if not dialect.role:
        return ""
    rights = [dialect.grant.format(quoted=quoted(table.name)) for table in tables]
    return "\n".join([dialect.role, *rights])


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
    return dialect.has_right.format(name=table.name, quoted=quoted(table.name), right=right)


def may_create_query(dialect: Dialect) -> str:
    """Whether this login may create tables; empty for an engine without rights.

    Example:
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
    return f"{dialect.create_temporary} {quoted(table.name)} (\n{body}\n);"


def create_temporary_as(dialect: Dialect, name: str, query: str) -> str:
    """Makes a temporary table and fills it from a query without parameters.

    Example:
        >>> print(create_temporary_as(SQL_SERVER, "ones", 'SELECT 1 AS "one"'))
        SELECT * INTO "#ones" FROM (
        SELECT 1 AS "one"
        ) AS made;
    """
    return dialect.create_temporary_as.format(name=temporary(dialect, name), query=query)


def drop_temporary(dialect: Dialect, name: str) -> str:
    """Drops a temporary table if it is there."""
    return f"DROP TABLE IF EXISTS {temporary(dialect, name)};"


def add_column(dialect: Dialect, table: Table, column: Column) -> str:
    """DDL that adds a column to a table that stays: with its default, or empty.

    Example:
        >>> from etl.schema.tables import CUSTOMER_DIM, ETL_LOAD
        >>> add_column(POSTGRESQL, CUSTOMER_DIM, CUSTOMER_DIM.column("phone"))
        'ALTER TABLE "customer_dim" ADD COLUMN "phone" VARCHAR(50) NULL;'
        >>> add_column(SQL_SERVER, ETL_LOAD, ETL_LOAD.column("batches"))
        'ALTER TABLE "etl_load" ADD "batches" INT DEFAULT 0 NULL WITH VALUES;'
    """
    text = _column_line(dialect, replace(column, required=False))
    text += dialect.filled if column.default else ""
    return dialect.add_column.format(table=quoted(table.name), column=text)


def _column_lines(dialect: Dialect, table: Table) -> list[str]:
    return [f"    {_column_line(dialect, column)}" for column in table.columns]


def _column_line(dialect: Dialect, column: Column) -> str:
    values = {Default.FALSE: dialect.false, Default.ZERO: "0", Default.NOW: dialect.now}
    default = f" DEFAULT {values[column.default]}" if column.default else ""
    empty = "NOT NULL" if column.required else "NULL"
    return f"{quoted(column.name)} {sql_type(dialect, column)}{default} {empty}"


def _key_lines(table: Table) -> Iterable[str]:
    if table.key:
        key = ", ".join(quoted(name) for name in table.key)
        yield f"    CONSTRAINT {quoted('pk_' + table.name)} PRIMARY KEY ({key})"
    for column, parent in table.references:
        name = quoted(f"fk_{table.name}_{column.name}")
        yield (
            f"    CONSTRAINT {name} FOREIGN KEY ({quoted(column.name)}) "
            f"REFERENCES {quoted(parent.name)} ({quoted(parent.key[0])})"
        )


# --- comparing ---------------------------------------------------------------------------


def same_key(table: Table, left: str, right: str) -> str:
    """Condition: two aliases hold the same key."""
    return " AND ".join(f"{left}.{quoted(k)} = {right}.{quoted(k)}" for k in table.key)


def key_of(table: Table, alias: str) -> str:
    """The key column behind an alias, of several the first."""
    return f"{alias}.{quoted(table.key[0])}"


def record_key(table: Table, alias: str) -> str:
    r"""The key behind an alias as one text: of several columns, texts or whole numbers, all.

    Example:
        >>> from etl.schema.tables import CUSTOMER_DIM, ETL_LINEAGE
        >>> record_key(CUSTOMER_DIM, "target"), record_key(ETL_LINEAGE, "t")
        ('target."customer_id"', 'CONCAT(t."run_id", \'|\', t."table_name")')
    """
    parts = ", '|', ".join(f"{alias}.{quoted(name)}" for name in table.key)
    return parts if len(table.key) == 1 else f"CONCAT({parts})"


def is_true(dialect: Dialect, expression: str) -> str:
    """Condition: the flag is set.

    Example:
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


def values_differ(dialect: Dialect, a: str, b: str) -> str:
    """Condition: two expressions differ, NULL-safe.

    Example:
        >>> values_differ(DUCKDB, '"known"', '"right"')
        '"known" IS DISTINCT FROM "right"'
    """
    return dialect.differs.format(a=a, b=b, x=a, y=b)


def any_differs(dialect: Dialect, columns: Iterable[Column], left: str, right: str) -> str:
    """Condition: at least one of the columns differs between two aliases."""
    return "(" + " OR ".join(differs(dialect, c, left, right) for c in columns) + ")"


# --- statements of any table ---------------------------------------------------------------


def count_rows(name: str) -> str:
    """How many rows a table has."""
    return f"SELECT count(*) FROM {quoted(name)};"


def clear(dialect: Dialect, name: str) -> str:
    """Empties a staging table of whatever an earlier attempt or a killed run has left.

    Example:
        >>> clear(POSTGRESQL, "stage_sales_fact")
        'TRUNCATE TABLE "stage_sales_fact";'
    """
    return dialect.clear.format(quoted=quoted(name))


def insert_row(table: Table) -> str:
    """INSERT of one whole row, a parameter per column."""
    marks = ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {quoted(table.name)} ({listed(table.columns)}) VALUES ({marks});"


def select_all(table: Table) -> str:
    """Every row, in the order of the key."""
    order = ", ".join(quoted(name) for name in table.key)
    return f"SELECT {listed(table.columns)} FROM {quoted(table.name)} ORDER BY {order};"


def sales_query(extra: Iterable[str] = ()) -> str:
    """The query that takes completed sales of a window. Parameters: first and last instant.

    Args:
        extra: further columns wanted, for sources that have them.
    """
    columns = [
        "transaction_id", "customer_id", "product_id", "quantity", "unit_price",
        "discount_amount", "transaction_date", "sales_rep_id", *extra,
    ]  # fmt: skip
    wanted = ",\n    ".join(columns)
    return f"""SELECT
    {wanted}
FROM sales_transactions
WHERE transaction_date BETWEEN ? AND ?
    AND status = 'completed'
ORDER BY transaction_date;"""
