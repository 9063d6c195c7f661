"""An input that its table holds already is counted as read, and not loaded again."""

import time
from collections.abc import Callable
from dataclasses import replace

from etl.history import audit as run_history
from etl.history import inputs
from etl.history.inputs import KnownInput
from etl.history.kept_letters import read_again
from etl.history.read_keys import forget_read_keys
from etl.history.runs import Applied, Input, Staged
from etl.schema.table import Table
from etl.warehouse import staging_sql
from etl.warehouse.closing import mark_recovered, record_settings, state_of
from etl.warehouse.delta import live_params
from etl.warehouse.load import Load
from etl.warehouse.transactions import Transactions


class _WrittenSinceError(Exception):
    """Ends a transaction that has found another table than the load of the input had left."""


def load_unchanged(
    load: Load, table: Table, known: KnownInput, restate: Callable[[], Input | None]
) -> Applied | None:
    """Count an input that its table holds already as read, and load nothing.

    Args:
        load: the warehouse and the run.
        table: the table.
        known: the input, with the newest run that has read it.
        restate: publishes its rejected records once more, and returns the input as it is to be
            noted now; None when that cannot be done.

    Returns:
        The counts, committed; None when somebody else has written the table since, so that the
        input must be loaded.
    """
    started, loaded = (
        time.perf_counter(),
        run_history.load_counts(load.db, known.run_id, table.name),
    )
    counts = inputs.restated_counts(loaded)
    staged = Staged(
        table, "", "", counts.rows_read, counts.rows_rejected, counts.rows_duplicate,
        window=load.plan.window,
    )  # fmt: skip

    def work() -> Applied:
        _require_unwritten(load, staged, known)
        if loaded.batches == 0 or (again := restate()) is None:
            raise _WrittenSinceError
        _record_unchanged(load, staged, replace(known, input=again))
        seconds = time.perf_counter() - started
        return Applied({table.name: replace(counts, seconds=seconds)})

    try:
        return Transactions(load, [staged]).do(work)
    except _WrittenSinceError:
        return None


def _require_unwritten(load: Load, staged: Staged, known: KnownInput) -> None:
    orphans = staging_sql.count_live_without_parent(load.db.dialect, staged.table)
    same = state_of(load, staged) == known.state
    if not same or load.db.value(orphans, live_params(staged)):
        raise _WrittenSinceError


def _record_unchanged(load: Load, staged: Staged, known: KnownInput) -> None:
    db, table, run_id = load.db, staged.table, load.plan.run_id
    inputs.copy_read_keys(db, table, earlier=known.run_id, run_id=run_id)
    forget_read_keys(db, table, load.plan, load.limits.correction_days)
    read_again(db, table, earlier=known.run_id, run_id=run_id)
    inputs.remember_input(db, table, run_id, known=known.input, state=known.state)
    record_settings(load, staged)
    mark_recovered(load, table)
