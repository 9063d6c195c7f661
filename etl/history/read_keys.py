"""Which keys each run has read or rejected, so that a corrected record never undoes a newer one."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import pyarrow as pa

from etl.engines import ddl
from etl.engines.database import DatabaseManager
from etl.engines.dialect import (
    Dialect,
    is_false,
    quoted,
    quoted_table,
    record_key,
)
from etl.history.runs import (
    READS_WHOLE_SOURCES,
    RunPlan,
    Staged,
    run_id_after,
)
from etl.rules.columns import storable_keys
from etl.schema.columns import KEY_WIDTH
from etl.schema.table import Kind, Table
from etl.schema.work_tables import corrected_key_table, key_text_width
from etl.sources.window import counts_up

# For how many days it is known which keys were rejected, unless it is set.
KEPT_DAYS = 400


def read_since_sql(dialect: Dialect, table: Table, *, corrected: str, modes: Iterable[str]) -> str:
    """Return the query for corrected keys that a later run has read. Table name, 3 times.

    A later run has read a key when its history says so by name, when it has read the whole
    source (of sales: the window in which the row lies) and the row is there, or when it was a
    full refresh: that one decides of every record, also of those that it has removed.

    Args:
        dialect: the engine's.
        table: the table of the keys.
        corrected: the table that holds them.
        modes: the modes of runs that read whole sources.
    """
    key, keys = record_key(dialect, table, "target"), quoted(corrected)
    listed_modes = ", ".join(f"'{mode}'" for mode in modes)
    return f"""SELECT m."record_key", m."run_id", max(seen."run_id") FROM {keys} AS m
JOIN (
    SELECT k."record_key", k."run_id" FROM "etl_read_key" AS k WHERE k."table_name" = ?
    UNION
    SELECT {key}, r."run_id" FROM {keys} AS n
    JOIN {quoted_table(table.name)} AS target ON {key} = n."record_key"
    JOIN "etl_load" AS l ON l."table_name" = ? AND l."rows_read" > 0
    JOIN "etl_run" AS r ON r."run_id" = l."run_id" AND r."mode" IN ({listed_modes})
    WHERE {_was_read(dialect, table)}
    UNION
    SELECT n."record_key", r."run_id" FROM {keys} AS n
    JOIN "etl_load" AS l ON l."table_name" = ? AND l."rows_read" > 0
    JOIN "etl_run" AS r ON r."run_id" = l."run_id" AND r."mode" = 'full_refresh'
) AS seen ON seen."record_key" = m."record_key" AND seen."run_id" > m."run_id"
GROUP BY m."record_key", m."run_id";"""


def _was_read(dialect: Dialect, table: Table) -> str:
    """Condition: a run `r` that read the source whole has read the row."""
    if table.window and not counts_up(table):
        return f'target.{quoted(table.window)} BETWEEN r."window_start" AND r."window_end"'
    flag = f"target.{quoted(table.placeholder)}"
    return is_false(dialect, flag) if table.placeholder else "1 = 1"


def record_read_keys(
    db: DatabaseManager, plan: RunPlan, staged: Staged, *, kept_days: int = KEPT_DAYS
) -> None:
    """Record the keys that the run has rejected; when it read single records, all keys.

    Only the newest run of a key counts, so that older ones are forgotten, and all that lie further
    back than keys are remembered.

    Args:
        db: the warehouse, in a transaction.
        plan: the run.
        staged: the source.
        kept_days: for how many days keys are remembered.
    """
    row = (plan.run_id, staged.table.name)
    if not staged.table.key:
        return
    db.execute(record_rejected_keys_sql(db.dialect, staged.table, staged.rejected), row)
    if staged.partial:
        db.execute(record_staged_keys_sql(db.dialect, staged.table, staged.rows), row + row)
    forget_read_keys(db, staged.table, plan, kept_days)


def forget_read_keys(db: DatabaseManager, table: Table, plan: RunPlan, kept_days: int) -> None:
    """Forget which earlier runs have read the keys that this one has read, and what is too old."""
    horizon = oldest_kept(plan.started_at, kept_days)
    db.execute(FORGET_READ_KEYS, (table.name, plan.run_id, horizon, plan.run_id))


def oldest_kept(now: datetime, kept_days: int) -> str:
    """Return the run id from which on the keys of rejected records are known.

    Args:
        now: the present moment, UTC.
        kept_days: for how many days keys are remembered.

    Example:
        >>> oldest_kept(datetime(2024, 1, 20), 19)
        '20240101T000000.000000Z'
    """
    return run_id_after(now - timedelta(days=kept_days), None)


# Parameters: table, run, oldest run that is kept, run.
FORGET_READ_KEYS = """DELETE FROM "etl_read_key"
WHERE "table_name" = ? AND "run_id" < ? AND ("run_id" < ? OR EXISTS (
    SELECT 1 FROM "etl_read_key" AS k WHERE k."run_id" = ?
        AND k."table_name" = "etl_read_key"."table_name"
        AND k."record_key" = "etl_read_key"."record_key"));"""


def read_since(
    db: DatabaseManager, table: Table, keys: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Return which keys a later run has read.

    Args:
        db: the warehouse.
        table: the table of the keys.
        keys: pairs of a key and the run that rejected it.

    Returns:
        For such a pair the newest run that has read the key since.
    """
    wanted = corrected_key_table(table)
    corrected = ddl.temporary_table(db.dialect, wanted)
    db.execute(ddl.drop_temporary(db.dialect, wanted.name))
    db.execute(ddl.create_temporary(db.dialect, corrected))
    rejected = [{"record_key": key, "run_id": run_id} for key, run_id in keys]
    schema = pa.schema([("record_key", pa.string()), ("run_id", pa.string())])
    records = pa.RecordBatch.from_pylist(rejected, schema=schema)
    db.append(corrected, storable_keys(records, key_text_width(table)))
    query = read_since_sql(db.dialect, table, corrected=corrected.name, modes=READS_WHOLE_SOURCES)
    rows = db.query(query, (table.name,) * 3)
    return {(key, run_id): later for key, run_id, later in rows}


def record_rejected_keys_sql(dialect: Dialect, table: Table, rejected: str) -> str:
    """Return what records the rejected keys. Parameters: run id, table name."""
    return f"""INSERT INTO "etl_read_key" ("run_id", "table_name", "record_key")
SELECT DISTINCT ?, ?, "record_key" FROM {quoted(rejected)}{_fitting(dialect, table, "WHERE")};"""


def record_staged_keys_sql(dialect: Dialect, table: Table, rows: str) -> str:
    """Return what records the staged keys, but for those that are there. Run, table name.

    The last two parameters are the first two again.
    """
    key = record_key(dialect, table, "s")
    fitting = _fitting(dialect, table, "AND", key)
    return f"""INSERT INTO "etl_read_key" ("run_id", "table_name", "record_key")
SELECT DISTINCT ?, ?, {key} FROM {quoted(rows)} AS s
WHERE NOT EXISTS (SELECT 1 FROM "etl_read_key" AS k
    WHERE k."run_id" = ? AND k."table_name" = ? AND k."record_key" = {key}){fitting};"""


def _fitting(dialect: Dialect, table: Table, word: str, key: str = '"record_key"') -> str:
    """Condition: the history of the keys can hold a key, where some may be too long for it."""
    if key_text_width(table) <= KEY_WIDTH:
        return ""
    cut = dialect.types[Kind.TEXT].format(width=KEY_WIDTH)
    return f"\n{word} CAST({key} AS {cut}) = {key}"
