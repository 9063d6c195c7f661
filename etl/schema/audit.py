"""The tables in which runs keep what they did: counts, checks, lineage, positions, marts."""

from dataclasses import replace

from etl.schema.columns import (
    KEY_WIDTH,
    RUN_ID,
    TABLE_NAME,
    WIDEST_TEXT,
    count,
    key,
    number,
    text,
    time,
)
from etl.schema.table import Column, Index, Kind, Table

_ANY_WIDTH = 2**30 - 1  # UTF-16 code units of NVARCHAR(MAX)

ETL_RUN = Table(
    "etl_run", "one row per run", ("run_id",),
    columns=(
        RUN_ID,
        text("environment", "dev, test or prod", width=10, required=True),
        text("mode", "see `runs`: incremental, date, backfill, ...", width=20, required=True),
        time("window_start", "first instant of the sales that were asked for", required=True),
        time("window_end", "last instant of the sales that were asked for", required=True),
        text("status", "see `run_history`: running, success, ...", width=20, required=True),
        time("started_at", "UTC", required=True),
        time("finished_at", "UTC; empty while it runs"),
        text("error", "what went wrong", width=4000),
    ),
)  # fmt: skip

ETL_LOAD = Table(
    "etl_load", "one row per run and table: what happened to every record read",
    ("run_id", "table_name"),
    columns=(
        RUN_ID,
        TABLE_NAME,
        count("rows_read", "records read; the seven counts that follow add up to it"),
        count("rows_inserted", "new"),
        count("rows_updated", "at least one value differed"),
        count("rows_unchanged", "no value differed"),
        count("rows_rejected", "in the rejected file, with the reason"),
        count("rows_duplicate", "an accepted record of the same key took precedence"),
        count("rows_superseded", "changes that a later one of the same key has overtaken"),
        count("rows_removals", "changes that say that their row is gone"),
        count("rows_inferred", "placeholder rows added because a sale named them"),
        count("rows_restated", "rows whose status or profit changed because of other records"),
        count("rows_vanished", "rows whose record is no longer in the source"),
        count("rows_removed", "rows deleted"),
        count("batches", "transactions in which the records were merged"),
        Column("seconds", "time of the load", Kind.DECIMAL, precision=12, scale=3, required=True),
    ),
)  # fmt: skip

ETL_COLUMN_CHANGE = Table(
    "etl_column_change", "how many updated rows differed in a column",
    ("run_id", "table_name", "column_name"),
    columns=(
        RUN_ID,
        TABLE_NAME,
        text("column_name", "warehouse column", width=50, required=True, exact=True),
        count("rows_changed", "updated rows in which it differed"),
    ),
)  # fmt: skip

ETL_QUALITY = Table(
    "etl_quality", "one row per run and check, and per score", ("run_id", "name"),
    columns=(
        RUN_ID,
        text("name", "the check, or the score", width=100, required=True, exact=True),
        text("table_name", "warehouse table; of the score of a source, the source", width=50,
              required=True, exact=True),
        text("dimension", "completeness, validity, consistency, ..., or score", width=20,
              required=True),
        text("severity", "critical, error, warning or info", width=10, required=True),
        text("status", "passed, info, warning or failed", width=10, required=True),
        Column("value", "the figure found", Kind.DECIMAL, precision=18, scale=4, required=True),
        Column("threshold", "the largest figure that passes; of a score, 0", Kind.DECIMAL,
               precision=18, scale=4, required=True),
        text("message", "what it means", width=1000, required=True),
        text("examples", "up to ten keys of what is wrong, a JSON array", width=2000),
        time("whole_at", "when it was last checked on the whole table, UTC; since then on what "
              "was written"),
    ),
)  # fmt: skip

ETL_DISTRIBUTION = Table(
    "etl_distribution", "how the values of a column were distributed in the records of a run",
    ("run_id", "table_name", "column_name"),
    columns=(
        RUN_ID,
        TABLE_NAME,
        text("column_name", "warehouse column", width=50, required=True, exact=True),
        text("kind", "of the bins: numbers, values or lengths", width=10, required=True),
        count("rows_seen", "records looked at, a sample of large sources"),
        count("rows_null", "of them without a value"),
        text("bins", "records by value or by bin, as JSON", width=3500, required=True),
    ),
)  # fmt: skip

ETL_LINEAGE = Table(
    "etl_lineage", "one row per run and source: where the rows of a table came from",
    ("run_id", "table_name"),
    columns=(
        RUN_ID,
        TABLE_NAME,
        text("source", "customers, products or sales", width=20, required=True),
        text("status", "loaded, held back or failed", width=10, required=True),
        text("path", "the file, or the database without its secrets", width=1000, required=True),
        text("query", "what the database was asked", width=2000),
        time("window_start", "first instant of the sales that were asked for", required=True),
        time("window_end", "last instant of the sales that were asked for", required=True),
        Column("bytes", "size of the file as it was read", Kind.BIGINT),
        text("sha256", "of the bytes that were read", width=64),
        time("modified_at", "when the file was last written, UTC"),
        time("extracted_at", "when the file says that it was made"),
        count("rows_read", "records read"),
        count("rows_inserted", "new"),
        count("rows_updated", "at least one value differed"),
        count("rows_rejected", "in the rejected file, with the reason"),
        time("recorded_at", "UTC", required=True),
    ),
)  # fmt: skip

ETL_LINEAGE_FILE = Table(
    "etl_lineage_file", "one row per run and file, of sources that are read from several files",
    ("run_id", "table_name", "number"),
    columns=(
        RUN_ID,
        TABLE_NAME,
        Column("number", "from 1, in the order in which they were read", Kind.INTEGER,
               required=True),
        text("path", "the file", width=1000, required=True),
        Column("bytes", "size of the file as it was read", Kind.BIGINT),
        text("sha256", "of the bytes that were read", width=64),
        time("modified_at", "when the file was last written, UTC"),
        time("extracted_at", "when the file says that it was made"),
        count("rows_read", "records read"),
    ),
)  # fmt: skip

ETL_WATERMARK = Table(
    "etl_watermark", "how far incremental runs have read", ("table_name",),
    columns=(
        TABLE_NAME,
        time("watermark", "latest transaction_date read; beside a number, when", required=True),
        RUN_ID,
        Column("largest_number", "largest one read, where records are read by number", Kind.BIGINT),
    ),
)  # fmt: skip

ETL_POSITION = Table(
    "etl_position", "how far the changes of a table have been read", ("table_name",),
    columns=(
        TABLE_NAME,
        text("position", "of the newest change read, as its source counts them", width=400,
              required=True, exact=True),
        text("cleared", "of the newest change that emptied the table", width=200, exact=True),
        RUN_ID,
    ),
)  # fmt: skip

ETL_READ_KEY = Table(
    "etl_read_key", "keys that a run has read and rejected, or read again from a rejected file",
    ("run_id", "table_name", "record_key"),
    columns=(
        RUN_ID,
        TABLE_NAME,
        key("record_key", "key of the record"),
    ),
    indexes=(Index(("table_name", "record_key"), "which runs have read a key"),),
)  # fmt: skip

ETL_DEAD_LETTER = Table(
    "etl_dead_letter", "rejected records that are kept to be tried again (DEAD_LETTERS=table)",
    ("letter_id",),
    columns=(
        text("letter_id", "SHA-256 of the table and of what the record holds", width=64,
              required=True, exact=True),
        TABLE_NAME,
        text("source", "customers, products, sales or a declared load", width=50, required=True),
        text("record_key", "key of the record, where it has one", width=400, exact=True),
        text("error_class", "why it was rejected when it was last tried, in a word", width=20,
              required=True),
        text("field", "column to blame", width=128),
        text("reason", "in words", width=1000),
        text("source_file", "file that it was last read from", width=1000),
        Column("source_row", "row of that file as a spreadsheet shows it", Kind.BIGINT),
        Column("place", "row within all files of its source", Kind.BIGINT, required=True),
        text("record", "what the source wrote, as JSON", width=_ANY_WIDTH, required=True),
        text("date_order", "of day and month in its source, where that was known", width=20),
        time("first_seen", "when it was first rejected, UTC", required=True),
        text("first_run_id", "run that first rejected it", width=30, required=True, exact=True),
        replace(RUN_ID, description="newest run that read it from its source"),
        time("tried_at", "when it was last tried, UTC", required=True),
        text("tried_run_id", "run that last tried it", width=30, required=True, exact=True),
        number("attempts", "how many runs have tried it"),
        text("state", "open, person, resolved or superseded", width=10, required=True),
        time("closed_at", "when it was resolved or superseded, UTC"),
        text("closed_run_id", "run that loaded it, or that read a newer record", width=30,
              exact=True),
    ),
    indexes=(Index(("table_name", "state"), "what is open of a table"),),
)  # fmt: skip

ETL_SETTING = Table(
    "etl_setting", "settings with which rows of a table were computed",
    ("table_name", "setting", "value"),
    columns=(
        TABLE_NAME,
        text("setting", "such as COMMISSION_RATE", width=50, required=True, exact=True),
        text("value", "as text, empty when it was not set", width=100, required=True, exact=True),
        RUN_ID,
    ),
)  # fmt: skip

ETL_INPUT = Table(
    "etl_input", "the file of a table's last load, which need not be loaded again",
    ("table_name",),
    columns=(
        TABLE_NAME,
        replace(RUN_ID, description="newest run that loaded the file or found it unchanged"),
        replace(RUN_ID, name="since_run_id", description="run that loaded it"),
        text("sha256", "of its bytes", width=64, required=True),
        Column("bytes", "its size", Kind.BIGINT, required=True),
        text("settings", "digest of the rules and settings by which it was read", width=64,
              required=True),
        text("state", "of the rows that it left: how many, and a checksum", width=100,
              required=True),
        text("facts", "what a run reports of it besides its counts, as JSON", width=3500,
              required=True),
    ),
)  # fmt: skip

ETL_SNAPSHOT = Table(
    "etl_snapshot", "the moments at which a source was seen whole, of tables that keep versions",
    ("table_name", "seen_at"),
    columns=(
        TABLE_NAME,
        time("seen_at", "of the run, UTC; of a file with a day in its name, that day",
              required=True),
        RUN_ID,
    ),
)  # fmt: skip

ETL_MART = Table(
    "etl_mart", "one row per mart: when it was built, and of what", ("mart",),
    columns=(
        text("mart", "table of the mart", width=50, required=True, exact=True),
        text("run_id", "run that built it; empty: it is to be built anew", width=30,
              required=True, exact=True),
        text("definition", "digest of its file and columns", width=64, required=True),
        text("watched", "columns that it reads, by table, as JSON", width=WIDEST_TEXT,
              required=True),
        Column("rows", "rows that it has", Kind.BIGINT, required=True),
        time("built_at", "UTC", required=True),
    ),
    computed=True,
)  # fmt: skip

ETL_TOUCHED = Table(
    "etl_touched", "what loads have changed since the marts were built", (),
    columns=(
        RUN_ID,
        replace(TABLE_NAME, description="table that was changed"),
        Column("day", "day of a sale, before or after the change", Kind.DATE),
        text("customer_id", "likewise its customer, or the one whose record changed",
              width=KEY_WIDTH, exact=True),
        text("product_id", "likewise its product, or the one whose record changed",
              width=KEY_WIDTH, exact=True),
    ),
    computed=True,
)  # fmt: skip

ETL_ROW_CHANGE = Table(
    "etl_row_change", "who changed what, of tables for which that is noted", (),
    columns=(
        RUN_ID,
        TABLE_NAME,
        time("changed_at", "UTC", required=True),
        text("changed_by", "login at the server, or the user of the process", width=128,
              required=True),
        text("record_key", "key of the row", width=400, required=True, exact=True),
        text("kind", "inserted, updated or removed", width=10, required=True),
        text("column_name", "the column, of an updated row", width=50),
        text("old_value", "as text, cut to 1,500 characters", width=1500),
        text("new_value", "as text, cut to 1,500 characters", width=1500),
    ),
    indexes=(
        Index(("table_name", "record_key"), "what happened to a row"),
        Index(("changed_at",), "what changed in a night"),
    ),
)  # fmt: skip
AUDIT_TABLES = (
    ETL_RUN,
    ETL_LOAD,
    ETL_COLUMN_CHANGE,
    ETL_READ_KEY,
    ETL_DEAD_LETTER,
    ETL_QUALITY,
    ETL_DISTRIBUTION,
    ETL_LINEAGE,
    ETL_LINEAGE_FILE,
    ETL_WATERMARK,
    ETL_POSITION,
    ETL_SETTING,
    ETL_INPUT,
    ETL_SNAPSHOT,
    ETL_ROW_CHANGE,
)
# There where marts are built.
MART_TABLES = (ETL_MART, ETL_TOUCHED)
