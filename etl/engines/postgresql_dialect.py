"""The SQL of PostgreSQL: its types, its catalog, its schemas."""

from dataclasses import replace

from etl.engines import adoption
from etl.engines.dialect import CATALOG, Dialect, quoted, text_literal
from etl.engines.schemas import Schemas
from etl.schema.table import Kind

# Foreign keys first, and the keys that they need last.
_INDEXES = """SELECT "drop", "make", "rank" = 1 FROM (
SELECT CASE c.contype WHEN 'f' THEN 1 ELSE 3 END AS "rank", c.conname AS "name",
    format('ALTER TABLE %s DROP CONSTRAINT %I;', c.conrelid::regclass, c.conname) AS "drop",
    format('ALTER TABLE %s ADD CONSTRAINT %I %s;', c.conrelid::regclass, c.conname,
        pg_get_constraintdef(c.oid)) AS "make"
FROM pg_constraint AS c
WHERE c.conrelid = '{quoted}'::regclass AND c.contype IN ('f', 'p', 'u')
UNION ALL SELECT 2, i.indexrelid::regclass::text,
    format('DROP INDEX %s;', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid) || ';'
FROM pg_index AS i
WHERE i.indrelid = '{quoted}'::regclass
    AND NOT EXISTS (SELECT 1 FROM pg_constraint AS c WHERE c.conindid = i.indexrelid)
) AS found
WHERE (SELECT t.relkind = 'r' AND NOT t.relispartition AND t.relreplident IN ('d', 'n')
        AND pg_has_role(t.relowner, 'USAGE') FROM pg_class AS t WHERE t.oid = '{quoted}'::regclass)
    AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE confrelid = '{quoted}'::regclass)
ORDER BY "rank", "name";"""


POSTGRESQL = Dialect(
    name="PostgreSQL",
    long_text="TEXT",
    types={
        Kind.TEXT: "VARCHAR({width})",
        Kind.INTEGER: "INTEGER",
        Kind.BIGINT: "BIGINT",
        Kind.DECIMAL: "NUMERIC({precision}, {scale})",
        Kind.DOUBLE: "DOUBLE PRECISION",
        Kind.BOOLEAN: "BOOLEAN",
        Kind.DATE: "DATE",
        Kind.TIMESTAMP: "TIMESTAMP",
    },
    exact=' COLLATE "C"',
    true="TRUE",
    false="FALSE",
    time_text="to_char({time}, 'YYYY-MM-DD HH24:MI:SS.US')",
    comparable="{text}",  # collations of databases are deterministic: equal is equal byte by byte
    differs="{x} IS DISTINCT FROM {y}",
    whole_number="NUMERIC(24, 0)",
    quotient="div({x}, {y})",
    computed_once=" OFFSET 0",  # else the planner puts the expressions in wherever they are named
    locked="",  # transactions see one snapshot, and fail as transient where another one wrote
    seeks="",
    temporary_name="etl_{name}",  # it hides a table of that name, which may be somebody's
    create_temporary="CREATE TEMPORARY TABLE",
    create_temporary_once="",
    create_temporary_as="CREATE TEMPORARY TABLE {name} AS\n{query};",
    create_missing="CREATE TABLE IF NOT EXISTS {quoted} {body}",
    # Without a log, which halves the time of staging; a crash of the server empties them.
    create_staging="CREATE UNLOGGED TABLE IF NOT EXISTS {quoted} {body}",
    create_view="CREATE OR REPLACE VIEW {quoted} AS\n{query};",
    comments="",
    commented=(
        "SELECT c.relname, COALESCE(a.attname, '') FROM pg_description AS d "
        "JOIN pg_class AS c ON c.oid = d.objoid LEFT JOIN pg_attribute AS a "
        "ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0\n"
        "WHERE d.classoid = 'pg_class'::regclass AND pg_table_is_visible(c.oid);"
    ),
    # asks first: CREATE SCHEMA IF NOT EXISTS needs the right even where it is there
    create_schema=(
        "DO $$ BEGIN IF to_regnamespace('{quoted}') IS NULL THEN CREATE SCHEMA {quoted}; "
        "END IF; END $$;"
    ),
    create_index="CREATE INDEX IF NOT EXISTS",
    clear="TRUNCATE TABLE {quoted};",  # DELETE would leave the rows for VACUUM to clean up
    clear_temporary="TRUNCATE TABLE {quoted};",
    refresh_statistics="",
    role=("DO $$ BEGIN CREATE ROLE etl_loader; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"),
    grant="GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {quoted} TO etl_loader;",
    grant_schema="GRANT USAGE ON SCHEMA {quoted} TO etl_loader;",
    has_right="has_table_privilege('{quoted}', '{right}')",
    may_create="has_schema_privilege(current_schema(), 'CREATE')",
    login="session_user",
    own_schema="",
    table_names=(
        "SELECT tablename FROM pg_catalog.pg_tables "
        "WHERE schemaname = ANY (current_schemas(false));"
    ),
    catalog=CATALOG.format(
        also="",
        visible="t.TABLE_SCHEMA = ANY (current_schemas(false))",
        first="array_position(current_schemas(false), CAST(t.TABLE_SCHEMA AS NAME))",
    ),
    remember_key="",
    remembered_key="",
    kinds={
        "character varying": Kind.TEXT,
        "text": Kind.TEXT,
        "integer": Kind.INTEGER,
        "smallint": Kind.INTEGER,
        "bigint": Kind.BIGINT,
        "double precision": Kind.DOUBLE,
        "numeric": Kind.DECIMAL,
        "boolean": Kind.BOOLEAN,
        "date": Kind.DATE,
        "timestamp without time zone": Kind.TIMESTAMP,
    },
    # the transaction that has written it; kept when the row is frozen
    row_state="hashint8extended(CAST(CAST(target.xmin AS TEXT) AS BIGINT), 0)",
    now="(now() AT TIME ZONE 'UTC')",
    add_column="ALTER TABLE {table} ADD COLUMN {column};",
    adds_required=False,
    script_start="",
    has_keys=True,
    batched=False,
    indexes=_INDEXES,
    checksummed=False,  # COPY says how many rows it took, and takes no value that it would change
    adopts=adoption.POSTGRESQL,
)


# With a schema: in it, or in the database, to make it.
_MAY_CREATE_IN = """CASE WHEN to_regnamespace('"{schema}"') IS NULL
    THEN has_database_privilege(current_database(), 'CREATE')
    ELSE has_schema_privilege(to_regnamespace('"{schema}"'), 'CREATE') END"""


def in_schemas(schemas: Schemas) -> Dialect:
    """Return the SQL for tables that lie in these schemas."""
    if not schemas.own:
        return replace(POSTGRESQL, schemas=schemas)
    return replace(
        POSTGRESQL, schemas=schemas, own_schema=text_literal(schemas.own),
        may_create=_MAY_CREATE_IN.format(schema=schemas.own),
    )  # fmt: skip


def search_path(schemas: Schemas) -> str:
    """Return the statement by which unqualified names mean the tables of these schemas."""
    named = ", ".join(map(quoted, schemas.named))
    if schemas.own:
        return f"SET search_path TO {named};"
    return (
        f"SELECT set_config('search_path', current_setting('search_path') || ', {named}', false);"
    )
