"""Tables that somebody else has made: what an engine says of them, and how a column is altered.

What a load makes of the answers is in `etl/warehouse/adopted.py`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Adoption:
    """What is particular to the tables of an engine that a load did not make.

    Attributes:
        supplied: query for the columns that the server fills by itself: schema, table, column, and
            what they are, as a word.
        code_pages: query for the columns of the table `{table}` that hold texts of one code page:
            name, number of the code page, bytes. Empty: every text column holds every letter.
        dependents: query for what must be dropped before a column is altered: table, column, name.
        features: query for what is particular to tables: schema, table, feature, name.
        unique_keys: query for the unique indexes over all rows: schema, table, index, column.
        alter: gives the column `{column}` of `{table}` the type `{type}`, and `{empty}`.
        code_page_types: types that hold texts of one code page.
        exact_collations: the collations of key columns that can be joined with staged keys, None
            for that of the database; empty: any.
    """

    supplied: str = ""
    code_pages: str = ""
    dependents: str = ""
    features: str = ""
    unique_keys: str = ""
    alter: str = "ALTER TABLE {table} ALTER COLUMN {column} TYPE {type};"
    code_page_types: frozenset[str] = frozenset()
    exact_collations: frozenset[str | None] = frozenset()


MADE_BY_LOADS = Adoption()

_SQL_SERVER_SUPPLIED = """SELECT SCHEMA_NAME(t.schema_id), t.name, c.name,
    CASE WHEN c.is_identity = 1 THEN 'an identity' WHEN c.is_computed = 1 THEN 'computed'
        WHEN c.generated_always_type > 0 THEN 'a period of system time' ELSE 'a row version' END
FROM sys.tables AS t JOIN sys.columns AS c ON c.object_id = t.object_id
WHERE c.is_identity = 1 OR c.is_computed = 1 OR c.generated_always_type > 0
    OR TYPE_NAME(c.user_type_id) = 'timestamp';"""

_SQL_SERVER_CODE_PAGES = """SELECT c.name,
    CAST(COLLATIONPROPERTY(c.collation_name, 'CodePage') AS INT), c.max_length
FROM sys.columns AS c
WHERE c.object_id = OBJECT_ID(N'{table}') AND TYPE_NAME(c.user_type_id) = 'varchar';"""

_SQL_SERVER_DEPENDENTS = """SELECT t.name, c.name, i.name
FROM sys.tables AS t JOIN sys.columns AS c ON c.object_id = t.object_id
JOIN sys.index_columns AS x ON x.object_id = c.object_id AND x.column_id = c.column_id
JOIN sys.indexes AS i ON i.object_id = x.object_id AND i.index_id = x.index_id
UNION SELECT t.name, c.name, d.name
FROM sys.tables AS t JOIN sys.columns AS c ON c.object_id = t.object_id
JOIN sys.default_constraints AS d
    ON d.parent_object_id = c.object_id AND d.parent_column_id = c.column_id
UNION SELECT t.name, c.name, f.name
FROM sys.tables AS t JOIN sys.columns AS c ON c.object_id = t.object_id
JOIN sys.foreign_key_columns AS k
    ON (k.parent_object_id = c.object_id AND k.parent_column_id = c.column_id)
    OR (k.referenced_object_id = c.object_id AND k.referenced_column_id = c.column_id)
JOIN sys.foreign_keys AS f ON f.object_id = k.constraint_object_id;"""

_SQL_SERVER_FEATURES = """SELECT SCHEMA_NAME(t.schema_id), t.name, 'temporal', t.name
FROM sys.tables AS t WHERE t.temporal_type = 2
UNION ALL SELECT SCHEMA_NAME(t.schema_id), t.name, 'memory-optimized', t.name
FROM sys.tables AS t WHERE t.is_memory_optimized = 1
UNION ALL SELECT SCHEMA_NAME(t.schema_id), t.name, 'columnstore', i.name
FROM sys.tables AS t JOIN sys.indexes AS i ON i.object_id = t.object_id WHERE i.type IN (5, 6)
UNION ALL SELECT SCHEMA_NAME(t.schema_id), t.name, 'partitioned', s.name
FROM sys.tables AS t JOIN sys.indexes AS i ON i.object_id = t.object_id AND i.index_id IN (0, 1)
JOIN sys.partition_schemes AS s ON s.data_space_id = i.data_space_id
UNION ALL SELECT SCHEMA_NAME(t.schema_id), t.name, 'filtered unique index', i.name
FROM sys.tables AS t JOIN sys.indexes AS i ON i.object_id = t.object_id
WHERE i.is_unique = 1 AND i.has_filter = 1
UNION ALL SELECT SCHEMA_NAME(t.schema_id), t.name, 'INSTEAD OF trigger', g.name
FROM sys.tables AS t JOIN sys.triggers AS g ON g.parent_id = t.object_id
WHERE g.is_instead_of_trigger = 1 AND g.is_disabled = 0
UNION ALL SELECT DISTINCT SCHEMA_NAME(t.schema_id), t.name, 'indexed view', v.name
FROM sys.views AS v JOIN sys.indexes AS i ON i.object_id = v.object_id AND i.index_id = 1
JOIN sys.sql_expression_dependencies AS d ON d.referencing_id = v.object_id
JOIN sys.tables AS t ON t.object_id = d.referenced_id
UNION ALL SELECT SCHEMA_NAME(t.schema_id), t.name, 'cascading foreign key', f.name
FROM sys.tables AS t JOIN sys.foreign_keys AS f ON f.referenced_object_id = t.object_id
WHERE f.delete_referential_action <> 0;"""

_SQL_SERVER_UNIQUE = """SELECT SCHEMA_NAME(t.schema_id), t.name, i.name, c.name
FROM sys.tables AS t JOIN sys.indexes AS i ON i.object_id = t.object_id
JOIN sys.index_columns AS x ON x.object_id = i.object_id AND x.index_id = i.index_id
JOIN sys.columns AS c ON c.object_id = x.object_id AND c.column_id = x.column_id
WHERE i.is_unique = 1 AND i.has_filter = 0 AND x.is_included_column = 0;"""

SQL_SERVER = Adoption(
    supplied=_SQL_SERVER_SUPPLIED,
    code_pages=_SQL_SERVER_CODE_PAGES,
    dependents=_SQL_SERVER_DEPENDENTS,
    features=_SQL_SERVER_FEATURES,
    unique_keys=_SQL_SERVER_UNIQUE,
    alter="ALTER TABLE {table} ALTER COLUMN {column} {type} {empty};",
    code_page_types=frozenset({"varchar"}),
    # two collations in one comparison are an error (468); the second is Babelfish's name for it
    exact_collations=frozenset({"Latin1_General_100_BIN2", "bbf_unicode_bin2"}),
)

_POSTGRESQL_SUPPLIED = """SELECT table_schema, table_name, column_name,
    CASE WHEN is_identity = 'YES' THEN 'an identity' ELSE 'computed' END
FROM information_schema.columns
WHERE table_schema = ANY (current_schemas(false))
    AND (is_generated = 'ALWAYS' OR is_identity = 'YES');"""

# An index or a key is altered along with its column, a view is not.
_POSTGRESQL_DEPENDENTS = """SELECT table_name, column_name, view_name
FROM information_schema.view_column_usage
WHERE table_schema = ANY (current_schemas(false));"""

_POSTGRESQL_FEATURES = """SELECT CAST(CAST(relnamespace AS REGNAMESPACE) AS TEXT), relname,
    CASE relkind WHEN 'p' THEN 'partitioned' ELSE 'foreign' END, relname
FROM pg_class
WHERE relkind IN ('p', 'f') AND relnamespace = ANY (CAST(current_schemas(false) AS REGNAMESPACE[]))
UNION ALL SELECT schemaname, tablename, 'rule', rulename
FROM pg_rules WHERE schemaname = ANY (current_schemas(false));"""

_POSTGRESQL_UNIQUE = """SELECT CAST(CAST(t.relnamespace AS REGNAMESPACE) AS TEXT), t.relname,
    i.relname, a.attname
FROM pg_index AS x JOIN pg_class AS t ON t.oid = x.indrelid
JOIN pg_class AS i ON i.oid = x.indexrelid
JOIN pg_attribute AS a ON a.attrelid = i.oid
WHERE x.indisunique AND x.indpred IS NULL
    AND t.relnamespace = ANY (CAST(current_schemas(false) AS REGNAMESPACE[]));"""

POSTGRESQL = Adoption(
    supplied=_POSTGRESQL_SUPPLIED,
    dependents=_POSTGRESQL_DEPENDENTS,
    features=_POSTGRESQL_FEATURES,
    unique_keys=_POSTGRESQL_UNIQUE,
    # two others in one comparison are an error (42P22)
    exact_collations=frozenset({None, "C", "default"}),
)
