"""What makes a hypertable of `sales_wide` on PostgreSQL, where TimescaleDB is at hand.

`sales_fact` stays as it is: a correction may move a sale to another day, and a hypertable takes no
update that moves a row to another chunk. Of the mart such rows are deleted and inserted.
"""

from collections.abc import Iterator

from etl.engines.dialect import Dialect, quoted, quoted_table, text_literal
from etl.errors import ConfigurationError

HYPERTABLE = "sales_wide"
_TIME = "transaction_date"
_CHUNK, _COMPRESSED_AFTER, _DROPPED_AFTER = "7 days", "30 days", "3 years"

# Continuous aggregates: bucket, columns besides it, how far back and how often they are refreshed.
# Sales of up to so long ago that are corrected reach them.
AGGREGATES = {
    "hourly_sales_summary": ("1 hour", (), "90 days", "10 minutes"),
    "daily_sales_summary": ("1 day", (), "1 year", "1 hour"),
    "monthly_customer_summary": ("1 month", ("customer_id",), "2 years", "1 day"),
}

_GUARDED = """DO $etl$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb') THEN
        RAISE WARNING 'TimescaleDB is not installed on this server: {table} stays a plain table';
        RETURN;
    END IF;
    CREATE EXTENSION IF NOT EXISTS timescaledb;
    IF NOT EXISTS (SELECT 1 FROM timescaledb_information.hypertables
            WHERE format('%I.%I', hypertable_schema, hypertable_name)::regclass
                = {named}::regclass) THEN
{first}
    END IF;
{then}
END
$etl$;"""


def timescale_script(dialect: Dialect) -> str:
    """Return the script; it does nothing on a server without TimescaleDB, and can be run again.

    Args:
        dialect: of the warehouse, in whose schema the tables lie.

    Raises:
        ConfigurationError: the warehouse is on another engine.
    """
    if dialect.name != "PostgreSQL":
        raise ConfigurationError(
            f"--timescale is for PostgreSQL, and the warehouse is on {dialect.name}",
            next_step="leave it out, or set DB_CONNECTION_STRING=postgresql://...",
        )
    first = (f"        EXECUTE $run${each}$run$;" for each in hypertable(dialect))
    then = (f"    EXECUTE $run${each}$run$;" for each in policies(dialect))
    return _GUARDED.format(
        table=HYPERTABLE, named=text_literal(dialect.quoted_place(HYPERTABLE)),
        first="\n".join(first), then="\n".join(then),
    )  # fmt: skip


def hypertable(dialect: Dialect) -> Iterator[str]:
    """Yield what makes a hypertable of the mart, once; its key must hold the time."""
    table = dialect.quoted_place(HYPERTABLE)
    named, key = text_literal(table), quoted(f"pk_{HYPERTABLE}")
    yield f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {key}"
    yield f'ALTER TABLE {table} ALTER COLUMN "{_TIME}" SET NOT NULL'
    yield f'ALTER TABLE {table} ADD CONSTRAINT {key} PRIMARY KEY ("transaction_id", "{_TIME}")'
    yield (
        f"SELECT create_hypertable({named}, {text_literal(_TIME)}, chunk_time_interval => "
        f"INTERVAL '{_CHUNK}', if_not_exists => TRUE, migrate_data => TRUE)"
    )
    yield (
        f"ALTER TABLE {table} SET (timescaledb.compress, "
        f"timescaledb.compress_segmentby = 'customer_id', "
        f"timescaledb.compress_orderby = '{_TIME} DESC, transaction_id')"
    )


def policies(dialect: Dialect) -> Iterator[str]:
    """Yield what compresses and drops old chunks, and the continuous aggregates."""
    named = text_literal(dialect.quoted_place(HYPERTABLE))
    for policy, after in (("compression", _COMPRESSED_AFTER), ("retention", _DROPPED_AFTER)):
        yield f"SELECT add_{policy}_policy({named}, INTERVAL '{after}', if_not_exists => TRUE)"
    for name in AGGREGATES:
        yield from _aggregate(dialect, name)


def _aggregate(dialect: Dialect, name: str) -> Iterator[str]:
    bucket, _, back, every = AGGREGATES[name]
    view = quoted_table(dialect.placed(name))
    yield (
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {view} WITH (timescaledb.continuous) AS "
        f"{aggregate_query(dialect, name)} WITH NO DATA"
    )
    yield (
        f"SELECT add_continuous_aggregate_policy({text_literal(view)}, start_offset => "
        f"INTERVAL '{back}', end_offset => INTERVAL '{bucket}', schedule_interval => "
        f"INTERVAL '{every}', if_not_exists => TRUE)"
    )


def aggregate_query(dialect: Dialect, name: str) -> str:
    """Return the query of one of `AGGREGATES`."""
    bucket, columns, _, _ = AGGREGATES[name]
    others = "".join(f", {quoted(column)}" for column in columns)
    return (
        f'SELECT time_bucket(INTERVAL \'{bucket}\', "{_TIME}") AS "bucket"{others}, '
        'count(*) AS "sales", sum("quantity") AS "items", sum("total_amount") AS "revenue", '
        'sum("profit_amount") AS "profit" '
        f"FROM {dialect.quoted_place(HYPERTABLE)} GROUP BY 1{others}"
    )
