"""The one place where engines differ: a small record per engine, and functions that return SQL.

Nothing here opens a connection. Names are quoted with double quotes on every engine, and the
text is kept to what DuckDB, PostgreSQL and SQL Server share; where they part, a record says how.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from star_schema import (
    KEY_WIDTH,
    SALES_FACT,
    SALES_RANK,
    Column,
    Kind,
    Role,
    Table,
)


@dataclass(frozen=True)
class Dialect:
    """What is particular to one engine.

    Attributes:
        name: as it appears in messages.
        types: SQL type per kind of column; `{width}`, `{precision}`, `{scale}` are filled in.
        create_temporary: opening words of a temporary table made from a query.
        differs: NULL-safe, exact comparison of `{a}` with `{b}`.
        ratio: `{n}` / `{d}` of two DECIMAL(_, 2), rounded half away from zero to 4 places.
    """

    name: str
    types: Mapping[Kind, str]
    create_temporary: str
    differs: str
    ratio: str


DUCKDB = Dialect(
    name="DuckDB",
    types={
        # DuckDB ignores the width of a VARCHAR: transformation has checked it.
        Kind.TEXT: "VARCHAR",
        Kind.INTEGER: "INTEGER",
        Kind.DECIMAL: "DECIMAL({precision}, {scale})",
        Kind.BOOLEAN: "BOOLEAN",
        Kind.DATE: "DATE",
        Kind.TIMESTAMP: "TIMESTAMP",
    },
    create_temporary="CREATE TEMPORARY TABLE",
    differs="{a} IS DISTINCT FROM {b}",
    # DuckDB divides decimals as doubles, so the division is done on whole numbers:
    # round(n / d, 4) = sign(n) * floor((2 * 10000 * |n| + d) / (2 * d)) / 10000
    ratio=(
        "CAST(sign({n}) AS DECIMAL(1, 0)) * CAST("
        "(20000 * CAST(abs({n}) * 100 AS HUGEINT) + CAST({d} * 100 AS HUGEINT))"
        " // (2 * CAST({d} * 100 AS HUGEINT)) AS DECIMAL(28, 0)) * 0.0001"
    ),
)


def quoted(name: str) -> str:
    """The name as an identifier.

    Example:
        >>> quoted("customer_dim")
        '"customer_dim"'
    """
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def staging_name(table: Table) -> str:
    """Name of the staging table of a warehouse table.

    Example:
        >>> staging_name(SALES_FACT)
        'stage_sales_fact'
    """
    return f"stage_{table.name}"


def rejected_name(table: Table) -> str:
    """Name of the table that holds the keys of a source's rejected records."""
    return f"rejected_{table.name}"


def listed(columns: Iterable[Column], prefix: str = "") -> str:
    """Column names as a list, each behind a prefix such as `source.`."""
    return ", ".join(f"{prefix}{quoted(column.name)}" for column in columns)


def sql_type(dialect: Dialect, column: Column) -> str:
    """The column's type in the engine's words.

    Example:
        >>> sql_type(DUCKDB, SALES_FACT.column("total_amount"))
        'DECIMAL(18, 2)'
    """
    return dialect.types[column.kind].format(
        width=column.width, precision=column.precision, scale=column.scale
    )


def create_table(dialect: Dialect, table: Table, *, temporary: bool = False) -> str:
    """DDL of a warehouse or audit table, created only when it is missing.

    DuckDB gets no primary and no foreign keys: they cost half the speed, bind memory to the
    index and refuse honest updates. Uniqueness and references are checked before each commit.
    """
    lines = [
        f"    {quoted(c.name)} {sql_type(dialect, c)}{' NOT NULL' if c.required else ''}"
        for c in table.columns
    ]
    create = dialect.create_temporary if temporary else "CREATE TABLE IF NOT EXISTS"
    return f"{create} {quoted(table.name)} (\n" + ",\n".join(lines) + "\n);"


def create_staging(dialect: Dialect, table: Table) -> str:
    """DDL of the staging table: what the source brings, and the row it stood in."""
    columns = table.with_role(Role.SOURCE)
    lines = ['    "source_row" BIGINT NOT NULL']
    lines += [f"    {quoted(c.name)} {sql_type(dialect, c)}" for c in columns]
    name = quoted(staging_name(table))
    return f"{dialect.create_temporary} {name} (\n" + ",\n".join(lines) + "\n);"


def drop_temporary(name: str) -> str:
    """Drops a temporary table if it is there."""
    return f"DROP TABLE IF EXISTS {quoted(name)};"


def same_key(table: Table, left: str, right: str) -> str:
    """Condition: two aliases hold the same key."""
    return " AND ".join(f"{left}.{quoted(k)} = {right}.{quoted(k)}" for k in table.key)


def key_of(table: Table, alias: str) -> str:
    """The key column behind an alias."""
    return f"{alias}.{quoted(table.key[0])}"


def guarded(table: Table) -> tuple[Column, ...]:
    """The columns of the change guard: what the source brings, without the key."""
    return tuple(c for c in table.with_role(Role.SOURCE) if c.name not in table.key)


def differs(dialect: Dialect, column: Column, left: str, right: str) -> str:
    """Condition: the column differs between two aliases, NULL-safe and exact."""
    name = quoted(column.name)
    return dialect.differs.format(a=f"{left}.{name}", b=f"{right}.{name}")


def any_differs(dialect: Dialect, columns: Iterable[Column], left: str, right: str) -> str:
    """Condition: at least one of the columns differs between two aliases."""
    return "(" + " OR ".join(differs(dialect, c, left, right) for c in columns) + ")"


def repeated_keys(table: Table) -> str:
    """How many staged rows there are, and how many different keys among them."""
    return (
        f"SELECT count(*), count(DISTINCT {quoted(table.key[0])}) "
        f"FROM {quoted(staging_name(table))};"
    )


def _rank(table: Table) -> str:
    if table is not SALES_FACT:
        return '"source_row" DESC'
    terms = []
    for name in SALES_RANK:
        if not table.column(name).required:  # engines disagree on where NULL sorts
            terms.append(f"CASE WHEN {quoted(name)} IS NULL THEN 0 ELSE 1 END DESC")
        terms.append(f"{quoted(name)} DESC")
    return ", ".join([*terms, '"source_row" DESC'])


def create_duplicates(dialect: Dialect, table: Table) -> str:
    """Temporary table `duplicate_row`: the staged rows that an equal key outranks."""
    key, stage = quoted(table.key[0]), quoted(staging_name(table))
    return f"""{dialect.create_temporary} "duplicate_row" AS
SELECT * FROM (
    SELECT s.*, row_number() OVER (PARTITION BY s.{key} ORDER BY {_rank(table)}) AS "rank"
    FROM {stage} AS s
    WHERE s.{key} IN (SELECT {key} FROM {stage} GROUP BY {key} HAVING count(*) > 1)
) AS ranked WHERE "rank" > 1;"""


def select_duplicates(table: Table) -> str:
    """The rows of `duplicate_row`, in the order of the source."""
    columns = listed(table.with_role(Role.SOURCE))
    return f'SELECT "source_row", {columns} FROM "duplicate_row" ORDER BY "source_row";'


def delete_duplicates(table: Table) -> str:
    """Takes the rows of `duplicate_row` out of the staging table."""
    return (
        f"DELETE FROM {quoted(staging_name(table))} "
        'WHERE "source_row" IN (SELECT "source_row" FROM "duplicate_row");'
    )


def live_rows(table: Table) -> str:
    """Condition on `target`: rows whose record the source should still have.

    Takes two parameters, the window, for the fact table, none for a dimension.
    """
    if table is SALES_FACT:
        return 'target."transaction_date" BETWEEN ? AND ?'
    return 'NOT target."is_inferred"'


def classify(dialect: Dialect, table: Table) -> str:
    """One join that says what the MERGE will do: what is new, what differs, and in which column.

    Returns one row: staged, inserted, updated, staged rows that are live in the target, then the
    number of updated rows per guarded column. Parameters: those of `live_rows`.
    """
    known = f"{key_of(table, 'target')} IS NOT NULL"
    changed = any_differs(dialect, guarded(table), "target", "source")
    sums = [
        f"{key_of(table, 'target')} IS NULL",
        f"{known} AND {changed}",
        f"{known} AND {live_rows(table)}",
        *(f"{known} AND {differs(dialect, c, 'target', 'source')}" for c in guarded(table)),
    ]
    counted = ",\n    ".join(f"coalesce(sum(CASE WHEN {s} THEN 1 ELSE 0 END), 0)" for s in sums)
    return f"""SELECT count(*),
    {counted}
FROM {quoted(staging_name(table))} AS source
LEFT JOIN {quoted(table.name)} AS target ON {same_key(table, "target", "source")};"""


def guarded_names(table: Table) -> tuple[str, ...]:
    """The columns whose difference makes a row an update, in the order of `classify`."""
    return tuple(column.name for column in guarded(table))


def count_live(table: Table) -> str:
    """How many rows of the target the source should still have; parameters of `live_rows`."""
    return f"SELECT count(*) FROM {quoted(table.name)} AS target WHERE {live_rows(table)};"


def count_live_rejected(table: Table) -> str:
    """Live rows whose record was read but rejected; parameters of `live_rows`."""
    rejected = quoted(rejected_name(table))
    return f"""SELECT count(*) FROM {quoted(table.name)} AS target
WHERE {live_rows(table)}
    AND {key_of(table, "target")} IN (SELECT "record_key" FROM {rejected})
    AND {not_staged(table)};"""


def create_rejected_keys(dialect: Dialect, table: Table) -> str:
    """Temporary table of the keys of the records that were read and rejected."""
    name = quoted(rejected_name(table))
    return f'{dialect.create_temporary} {name} ("record_key" VARCHAR);'


def record_rejected_keys(table: Table) -> str:
    """Writes the rejected keys into the history. Parameters: run id, table name.

    A key that is wider than its column can never be in the warehouse, and is left out.
    """
    return f"""INSERT INTO "etl_read_key" ("run_id", "table_name", "record_key")
SELECT DISTINCT ?, ?, "record_key" FROM {quoted(rejected_name(table))}
WHERE length("record_key") <= {KEY_WIDTH};"""


def record_staged_keys(table: Table) -> str:
    """Writes the staged keys into the history. Parameters: run id, table name."""
    return f"""INSERT INTO "etl_read_key" ("run_id", "table_name", "record_key")
SELECT DISTINCT ?, ?, {quoted(table.key[0])} FROM {quoted(staging_name(table))};"""


def create_mended_keys(dialect: Dialect) -> str:
    """Temporary table of the keys to be read again, and of the runs that rejected them."""
    return f'{dialect.create_temporary} "mended_key" ("record_key" VARCHAR, "run_id" VARCHAR);'


def read_since(table: Table, modes: Iterable[str]) -> str:
    """Of the mended keys, those that a later run has read, and which run. Table name, 3 times.

    A later run has read a key when its history says so by name, when it has read the whole
    source (of sales: the window in which the row lies) and the row is there, or when it was a
    full refresh: that one decides of every record, also of those that it has removed.

    Args:
        table: the table of the keys.
        modes: the modes of runs that read whole sources.
    """
    key = key_of(table, "target")
    listed_modes = ", ".join(f"'{mode}'" for mode in modes)
    row = (
        'target."transaction_date" BETWEEN r."window_start" AND r."window_end"'
        if table is SALES_FACT
        else 'NOT target."is_inferred"'
    )
    return f"""SELECT m."record_key", m."run_id", max(seen."run_id") FROM "mended_key" AS m
JOIN (
    SELECT k."record_key", k."run_id" FROM "etl_read_key" AS k WHERE k."table_name" = ?
    UNION
    SELECT {key}, r."run_id" FROM "mended_key" AS n
    JOIN {quoted(table.name)} AS target ON {key} = n."record_key"
    JOIN "etl_load" AS l ON l."table_name" = ? AND l."rows_read" > 0
    JOIN "etl_run" AS r ON r."run_id" = l."run_id" AND r."mode" IN ({listed_modes})
    WHERE {row}
    UNION
    SELECT n."record_key", r."run_id" FROM "mended_key" AS n
    JOIN "etl_load" AS l ON l."table_name" = ? AND l."rows_read" > 0
    JOIN "etl_run" AS r ON r."run_id" = l."run_id" AND r."mode" = 'full_refresh'
) AS seen ON seen."record_key" = m."record_key" AND seen."run_id" > m."run_id"
GROUP BY m."record_key", m."run_id";"""


def not_staged(table: Table) -> str:
    """Condition on `target`: the row has no staged record of its key."""
    return (
        f"NOT EXISTS (SELECT 1 FROM {quoted(staging_name(table))} AS staged "
        f"WHERE {same_key(table, 'staged', 'target')})"
    )


def latest_staged_sale() -> str:
    """The newest staged sale."""
    return f'SELECT max("transaction_date") FROM {quoted(staging_name(SALES_FACT))};'


def count_rows(name: str) -> str:
    """How many rows a table has."""
    return f"SELECT count(*) FROM {quoted(name)};"


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
