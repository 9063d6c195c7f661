"""What is written once a source is merged: keys, watermark, history, input, what has vanished."""

from etl.history import audit as run_history
from etl.history import inputs, settings_used, watermarks
from etl.history.dead_letters import Reading
from etl.history.kept_letters import settle_letters
from etl.history.read_keys import record_read_keys
from etl.history.runs import Applied, LoadCounts, Staged, utc_now
from etl.schema.star import SALES_FACT
from etl.schema.table import Table
from etl.sources.window import counts_up
from etl.warehouse import apply as warehouse
from etl.warehouse import staging, staging_sql
from etl.warehouse.delta import live_params
from etl.warehouse.load import Load


def close(load: Load, staged: Staged, *, live: int, applied: Applied) -> Applied:
    """Write what belongs to a source that is merged: keys, watermark, history.

    Args:
        load: the warehouse and the run, in the transaction that ends the load.
        staged: the whole source.
        live: rows that it should still have, as counted before.
        applied: what merging it did.

    Returns:
        What has vanished from it, and the versions that are kept of it.
    """
    record_reading(load, staged)
    kept = warehouse.keep_history(load.db, staged, rebuilt=False)
    if staged.table.versions:  # what is gone has ended
        return kept
    found = applied.rows_live.get(staged.table.name, 0)
    return kept.plus(vanished(load, staged, live=live, still_there=found))


def vanished(load: Load, staged: Staged, *, live: int | None, still_there: int) -> Applied:
    """Count the rows that the source has no longer; as `apply.count_vanished`."""
    rows = warehouse.count_vanished(load.db, staged, live=live, still_there=still_there)
    return Applied({staged.table.name: LoadCounts(rows_vanished=rows)})


def record_reading(load: Load, staged: Staged) -> None:
    """Note which keys were read, to where, from which input and with which settings."""
    record_read_keys(load.db, load.plan, staged, kept_days=load.limits.correction_days)
    settle_letters(load.db, staged, load.letters.get(staged.table.name), _reading(load, staged))
    _remember(load, staged)
    record_settings(load, staged)
    table = staged.table
    if table.window and load.plan.moves_watermark:
        _move_on(load, staged)
    if staged.folded:
        read_to = watermarks.ReadTo(staged.folded.position, staged.folded.cleared)
        watermarks.move_position(load.db, load.plan, table, read_to)
    mark_recovered(load, table)


def _reading(load: Load, staged: Staged) -> Reading:
    return Reading(
        load.plan.run_id, utc_now(), is_partial=staged.partial,
        replaces=load.plan.full_refresh or warehouse.removes_unread(staged),
        attempts=load.limits.letter_attempts, most=load.limits.letter_limit,
    )  # fmt: skip


def _move_on(load: Load, staged: Staged) -> None:
    db, plan, table = load.db, load.plan, staged.table
    if counts_up(table):
        watermarks.move_number(db, plan, table, staging.largest_staged(db, table, staged.rows))
        return
    newest = staging.newest_staged(db, table, staged.rows, now=plan.started_at)
    watermarks.move_watermark(db, plan, table, newest)


def record_settings(load: Load, staged: Staged) -> None:
    """Note the settings with which rows of a table were computed."""
    settings = load.settings.get(staged.table.name)
    if settings and staged.rows_read > staged.rows_rejected:
        settings_used.record_settings(load.db, load.plan, staged.table, settings)


def mark_recovered(load: Load, table: Table) -> None:
    """Note that failed runs over the same window of sales are made good."""
    if table.name == SALES_FACT.name and not load.plan.is_partial:
        run_history.mark_recovered(load.db, load.plan.window)


def _remember(load: Load, staged: Staged) -> None:
    """Notes which input the table now holds, unless loading it again could still change something.

    A full refresh counts what it removes as vanished, which another load would not. A sale that
    lies in the future moves the watermark once its time has come.
    """
    db, table, known = load.db, staged.table, staged.input
    inputs.forget_input(db, table)
    if known is None or load.plan.full_refresh or _has_later(load, staged):
        return
    state = state_of(load, staged)
    inputs.remember_input(db, table, load.plan.run_id, known=known, state=state)


def _has_later(load: Load, staged: Staged) -> bool:
    if not staged.table.window:
        return False
    query = staging_sql.count_later(staged.table, staged.rows)
    return bool(load.db.value(query, (load.plan.started_at,)))


def state_of(load: Load, staged: Staged) -> str:
    """Return how many rows a table has that its source should have, with their checksum."""
    query = staging_sql.rows_state(load.db.dialect, staged.table)
    rows, checksum = load.db.query(query, live_params(staged))[0]
    return f"{int(rows)}:{int(checksum)}"
