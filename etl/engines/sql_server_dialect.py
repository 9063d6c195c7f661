"""What is particular to T-SQL."""

from dataclasses import replace

from etl.engines import adoption
from etl.engines.dialect import CATALOG, Dialect, text_literal
from etl.engines.schemas import Schemas
from etl.schema.table import Kind

# CREATE SCHEMA too.
_CREATE_SCHEMA = "IF SCHEMA_ID(N'{schema}') IS NULL\nEXEC(N'CREATE SCHEMA {quoted};');"

_UNLESS_THERE = "IF OBJECT_ID(N'{name}', N'U') IS NULL\nBEGIN\nCREATE TABLE {quoted} {body}\nEND;"

# TRUNCATE is hardly logged and gives all pages back, but needs the right to alter the table.
# Without it: in parts, so that the log can be used again between them, and with a lock on the
# table, which gives the pages of a heap back too.
_CLEAR = """IF HAS_PERMS_BY_NAME(N'{name}', N'OBJECT', N'ALTER') = 1
    TRUNCATE TABLE {quoted};
ELSE
    WHILE EXISTS (SELECT 1 FROM {quoted})
        DELETE TOP (50000) FROM {quoted} WITH (TABLOCK);"""

# With what a staging table now holds; the server does it by itself only when enough has changed.
_STATISTICS = """IF HAS_PERMS_BY_NAME(N'{name}', N'OBJECT', N'ALTER') = 1
    UPDATE STATISTICS {quoted};"""

# CREATE VIEW wants to be alone in its batch.
_CREATE_VIEW = "IF OBJECT_ID(N'{name}', N'V') IS NULL\nEXEC(N'CREATE VIEW {quoted} AS\n{query};');"

# Descriptions where SQL Server's own tools, and those of others, look for them. A view that has one
# has been given those of its columns too.
_COMMENTS = """DECLARE @kind NVARCHAR(10), @name SYSNAME, @part SYSNAME, @note NVARCHAR(1000),
    @schema SYSNAME;
DECLARE notes CURSOR LOCAL STATIC FOR
SELECT n."kind", OBJECT_NAME(OBJECT_ID(n."name")), n."part", n."note",
    OBJECT_SCHEMA_NAME(OBJECT_ID(n."name"))
FROM (VALUES
{rows}
) AS n ("kind", "name", "part", "note")
WHERE OBJECT_ID(n."name") IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM sys.extended_properties AS p
    WHERE p.class = 1 AND p.name = N'MS_Description' AND p.major_id = OBJECT_ID(n."name")
        AND p.minor_id = COALESCE((SELECT c.column_id FROM sys.columns AS c
            WHERE c.object_id = OBJECT_ID(n."name") AND c.name = n."part" AND n."kind" = N'TABLE'),
            0));
OPEN notes;
FETCH NEXT FROM notes INTO @kind, @name, @part, @note, @schema;
WHILE @@FETCH_STATUS = 0
BEGIN
    IF @part IS NULL
        EXEC sp_addextendedproperty N'MS_Description', @note, N'SCHEMA', @schema, @kind, @name;
    ELSE
        EXEC sp_addextendedproperty N'MS_Description', @note, N'SCHEMA', @schema, @kind, @name,
            N'COLUMN', @part;
    FETCH NEXT FROM notes INTO @kind, @name, @part, @note, @schema;
END;
CLOSE notes;
DEALLOCATE notes;"""

# By functions: joined with the views of the catalog it takes half of a run on a relative of the
# server, whose views are views of views.
_COMMENTED = """SELECT OBJECT_NAME(p.major_id), COALESCE(COL_NAME(p.major_id, p.minor_id), N'')
FROM sys.extended_properties AS p
WHERE p.class = 1 AND p.name = N'MS_Description'
    AND OBJECT_SCHEMA_NAME(p.major_id) IN ({seen});"""

# Where an unqualified name is made, and where it is looked for.
_OWN, _SEEN = "SCHEMA_NAME()", "SCHEMA_NAME(), N'dbo'"

# Both are needed: the one in the database, the other in the schema.
_MAY_CREATE = (
    "HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE TABLE') "
    "* HAS_PERMS_BY_NAME({own}, N'SCHEMA', N'ALTER')"
)
# A schema that is missing has to be made first; its maker owns it.
_MAY_CREATE_IN = (
    "HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE TABLE') "
    "* COALESCE(HAS_PERMS_BY_NAME({own}, N'SCHEMA', N'ALTER'), "
    "HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE SCHEMA'))"
)
_TABLE_NAMES = "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA IN ({seen});"


def _catalog(own: str, seen: str) -> str:
    return CATALOG.format(
        also="",
        visible=f"t.TABLE_SCHEMA IN ({seen})",
        first=f"CASE WHEN t.TABLE_SCHEMA = {own} THEN 0 ELSE 1 END",
    )


SQL_SERVER = Dialect(
    name="SQL Server",
    long_text="NVARCHAR(MAX)",
    types={
        Kind.TEXT: "NVARCHAR({width})",
        Kind.INTEGER: "INT",
        Kind.BIGINT: "BIGINT",
        Kind.DECIMAL: "DECIMAL({precision}, {scale})",
        Kind.DOUBLE: "FLOAT(53)",
        Kind.BOOLEAN: "BIT",
        Kind.DATE: "DATE",
        Kind.TIMESTAMP: "DATETIME2(6)",
    },
    exact=" COLLATE Latin1_General_100_BIN2",
    true="1",
    false="0",
    # A collation may take a for A, and all take a trailing space for none, but not before a dot.
    # The decimals by themselves: a relative (Babelfish) cuts zeros at the end off a time's text.
    time_text="LEFT(CONVERT(VARCHAR(26), CAST({time} AS DATETIME2(6)), 121), 19) + '.' + "
    "RIGHT('00000' + CAST(DATEPART(MICROSECOND, CAST({time} AS DATETIME2(6))) AS VARCHAR(6)), 6)",
    comparable="({text} + N'.') COLLATE Latin1_General_100_BIN2",
    # Without a subquery, so that it can be part of an aggregate (SQL Server's error 130).
    differs=(
        "({x} <> {y} OR ({a} IS NULL AND {b} IS NOT NULL) OR ({a} IS NOT NULL AND {b} IS NULL))"
    ),
    whole_number="DECIMAL(24, 0)",
    quotient="({x} - {x} % {y}) / {y}",  # so nothing is left behind the point to be rounded
    computed_once="",
    # HOLDLOCK alone deadlocks: two shared range locks, both to become exclusive.
    locked=" WITH (HOLDLOCK, UPDLOCK)",
    seeks="\nOPTION (LOOP JOIN)",
    temporary_name="#{name}",
    create_temporary="CREATE TABLE",
    create_temporary_once=(
        "IF OBJECT_ID(N'tempdb..{name}') IS NULL\nCREATE TABLE {quoted} {body}\n"
        "TRUNCATE TABLE {quoted};"
    ),
    create_temporary_as="SELECT * INTO {name} FROM (\n{query}\n) AS made;",
    create_missing=_UNLESS_THERE,
    create_staging=_UNLESS_THERE,
    create_view=_CREATE_VIEW,
    comments=_COMMENTS,
    commented=_COMMENTED.format(seen=_SEEN),
    create_schema=_CREATE_SCHEMA,
    create_index="CREATE INDEX",
    clear=_CLEAR,
    clear_temporary="TRUNCATE TABLE {quoted};",
    refresh_statistics=_STATISTICS,
    role="IF DATABASE_PRINCIPAL_ID(N'etl_loader') IS NULL\nCREATE ROLE etl_loader;",
    grant="GRANT SELECT, INSERT, UPDATE, DELETE ON {quoted} TO etl_loader;",
    grant_schema="",  # the right to the tables is enough
    has_right="HAS_PERMS_BY_NAME(N'{name}', N'OBJECT', N'{right}')",
    may_create=_MAY_CREATE.format(own=_OWN),
    login="SUSER_SNAME()",
    own_schema=_OWN,
    table_names=_TABLE_NAMES.format(seen=_SEEN),
    catalog=_catalog(_OWN, _SEEN),
    remember_key="",
    remembered_key="",
    kinds={
        "nvarchar": Kind.TEXT,
        "varchar": Kind.TEXT,
        "int": Kind.INTEGER,
        "smallint": Kind.INTEGER,
        "bigint": Kind.BIGINT,
        "float": Kind.DOUBLE,
        "decimal": Kind.DECIMAL,
        "numeric": Kind.DECIMAL,
        "bit": Kind.BOOLEAN,
        "date": Kind.DATE,
        "datetime2": Kind.TIMESTAMP,
    },
    row_state="CAST(CAST(HASHBYTES('SHA2_256', CONCAT({texts})) AS BINARY(8)) AS BIGINT)",
    now="SYSUTCDATETIME()",
    add_column="ALTER TABLE {table} ADD {column};",
    adds_required=True,  # which gives the rows that are there the default
    script_start="SET QUOTED_IDENTIFIER ON;",  # off in sqlcmd and in steps of SQL Server Agent
    has_keys=True,
    batched=True,
    checksummed=True,  # ODBC drivers have been seen to change values silently
    adopts=adoption.SQL_SERVER,
)


def in_schemas(schemas: Schemas) -> Dialect:
    """Return the dialect for tables that lie in schemas that are named."""
    own = f"N{text_literal(schemas.own)}" if schemas.own else _OWN
    others = [f"N{text_literal(schema)}" for schema in schemas.named if schema != schemas.own]
    seen = ", ".join([own if schemas.own else _SEEN, *others])
    return replace(
        SQL_SERVER, schemas=schemas, own_schema=own,
        may_create=(_MAY_CREATE_IN if schemas.own else _MAY_CREATE).format(own=own),
        table_names=_TABLE_NAMES.format(seen=seen),
        catalog=_catalog(own, seen),
        commented=_COMMENTED.format(seen=seen),
    )  # fmt: skip
