"""The settings of a run's work: sizes, retries, limits, and the business's own figures."""

from decimal import Decimal

from etl.settings.kinds import (
    AreaCode,
    Count,
    Days,
    DeadLetters,
    Memory,
    Number,
    Positive,
    Rate,
    Ratio,
    Returns,
    Share,
    Switch,
    TimeZone,
)
from etl.settings.sections.section import Section, setting

# laid out by hand, as a table
# fmt: off


class ProcessingConfig(Section):
    """Processing: sizes, retries, and the figures that are the business's to choose."""

    chunk_rows: Positive = setting(
        50_000, "rows held in memory as one block: some MB, whatever the size of the input")
    batch_size: Positive = setting(
        1600, "rows per MERGE and transaction on SQL Server: at up to three locks a row below the "
        "5,000 at which it locks the whole table, and little to repeat after an error")
    duckdb_memory_limit: Memory = setting(
        "384MB", "memory of the embedded engine; beyond it the disk is used, which is slower")
    workers: Count = setting(
        0, "processors that a run uses: threads for the rules of a source and of the embedded "
        "engine; 0: all that there are. The tables are the same with any number")
    load_workers: Positive = setting(
        1, "loads that work at the same time on PostgreSQL and SQL Server, each over a connection "
        "of its own; those that may write the same table never do. DuckDB has one writer: there, "
        "in a dry run and in a full refresh they are loaded one after the other")
    max_retries: Count = setting(
        3, "further attempts after an error that may pass, such as a deadlock")
    retry_backoff_factor: Number = setting(
        2.0, "how many times longer each wait before another attempt is than the one before")
    breaker_failure_threshold: Positive = setting(
        5, "failures to connect in a row, repeated attempts among them, after which the circuit of "
        "a database, the mail server or Slack opens: it is not called for a while")
    breaker_recovery_seconds: Number = setting(
        60, "seconds for which a circuit stays open before one trial call")
    lock_wait_seconds: Number = setting(
        0, "seconds to wait while another run uses the warehouse; 0 ends at once with exit code 4")
    max_reject_rate: Share = setting(
        0.1, "largest share of rejected records with which a source is still loaded; duplicates of "
        "a key whose contents differ count too")
    min_rows_rate: Share = setting(
        0.5, "smallest number of customers or products that is still loaded, as a share of the "
        "last load; 0: any")
    max_removed_rate: Share = setting(
        0.2, "largest share of a table's rows that a full refresh removes; 1: all of them")
    max_drift: Share = setting(
        0.25, "share of the records of a run that may lie elsewhere than in the runs before, in "
        "any column, without an alert; 0: not looked for")
    profile_loads: Switch = setting(
        False, "profile each table after its load, beside what it was before; `profile = true` in "
        "pipeline.toml does so for one source")
    full_check_days: Count = setting(
        7, "days for which a check of the whole tables is good; until then keys, references, "
        "profit and status are checked of what was written since. 0: the whole tables every time")
    correction_days: Days = setting(
        400, "days for which it is remembered which keys were rejected: for so long a rejected "
        "file can be corrected and read again")
    dead_letters: DeadLetters = setting(
        "files", "where rejected records are kept: files alone, or also in the table "
        "etl_dead_letter, from which --reprocess-rejected tries all that are open once more")
    dead_letter_attempts: Positive = setting(
        3, "runs that try a rejected record before it stays for a person")
    dead_letter_limit: Positive = setting(
        10000, "most rejected records of a table that are kept open; further ones are in the "
        "rejected file alone, and are reported")
    dead_letter_days: Days = setting(
        90, "days after which resolved and superseded rejected records are deleted from "
        "etl_dead_letter")
    max_placeholder_rate: Share = setting(
        0.25, "largest share of the sales of a run whose customer or product nothing is known of; "
        "1: all of them. The first load may have any")
    watermark_lag_days: Days = setting(
        3, "days before the latest sale that a run reads once more, for sales that arrive late")
    source_time_zone: TimeZone = setting(
        "UTC", "time zone to which times with an offset are converted, such as Europe/Berlin; "
        "times without one are taken as they are")
    default_area_code: AreaCode | None = setting(
        None, "area code for phone numbers of seven digits; unset marks them as not valid")
    default_cost_ratio: Ratio | None = setting(
        None, "cost as a share of the price where a product has none; unset: profit unknown")
    commission_rate: Rate = setting(
        Decimal("0.03"), "share of a sale's total that the sales representative earns")
    marts: Switch = setting(
        False, "build the marts after each load: tables for reports, computed by the SQL files in "
        "marts/, those of the program and your own")
    returns: Returns = setting(
        "reject", "sales of a negative quantity: load takes them as returns, with negative "
        "amounts; reject sets them aside, outside the reject limit")
