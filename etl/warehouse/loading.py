"""From staged to committed: a source in one transaction, or in batches with one each."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from etl.errors import LoadingError
from etl.history.runs import Applied, Staged, utc_now
from etl.resilience.transient import is_data_error, is_lock_wait
from etl.warehouse import apply as warehouse
from etl.warehouse import staging, touched
from etl.warehouse.batches import BatchedLoad, Sifting, apply_noted, require_staged
from etl.warehouse.closing import close, record_reading, vanished
from etl.warehouse.delta import is_empty
from etl.warehouse.load import Load
from etl.warehouse.reconcile import reconcile
from etl.warehouse.row_changes import changes_noted
from etl.warehouse.transactions import Transactions

logger = logging.getLogger(__name__)


def load_staged(load: Load, sources: Sequence[Staged]) -> Applied:
    """Merge staged sources, with their counts, and move the watermark.

    A full refresh is one transaction over all sources, on every engine. Otherwise each source
    is one, or several where the engine merges in batches.

    Args:
        load: the warehouse and the run.
        sources: in an order in which references can be loaded.

    Returns:
        The counts per table, which are committed.
    """
    if load.plan.full_refresh:
        applied = _load_whole(load, sources)
    else:
        applied = Applied()
        for staged in sources:
            applied = applied.plus(_loader_of(load, staged)(load, staged))
    applied = applied.plus(_reconciled(load, sources))
    _end_staging(load, sources)
    return applied


def _reconciled(load: Load, sources: Sequence[Staged]) -> Applied:
    """The sums of sources and of their rows; what hinders it fails no load that is committed."""
    sums: dict[str, Mapping[str, tuple[str, str]]] = {}
    try:
        for staged in sources:
            sums |= reconcile(load.db, staged)
    except LoadingError as error:
        logger.warning("the sums of the load are not reconciled: %s", error)
    return Applied(sums=sums)


# So many rows are brought into an empty table at once, by one INSERT: for fewer it makes no
# difference, and of more the transaction would need too much of the log and of the locks.
_FILLED_AT_ONCE = range(10_000, 500_001)


def _loader_of(load: Load, staged: Staged) -> Callable[[Load, Staged], Applied]:
    if not _is_batched(load, staged):
        return _load_source
    fills = staged.rows_staged in _FILLED_AT_ONCE and is_empty(load.db, staged.table)
    return _fill if fills else _load_batches


def _fill(load: Load, staged: Staged) -> Applied:
    """Merges a source into an empty table in one transaction; in batches, if that is refused."""
    try:
        return _load_whole(load, [staged])
    except LoadingError as error:
        if not (is_data_error(error) or is_lock_wait(error)):
            raise
        return _load_batches(load, staged)


def _is_batched(load: Load, staged: Staged) -> bool:
    """Whether a source is merged in batches; rows without a key would be added once more.

    Changes are one transaction with their position, and so are all versions of a key.
    """
    table = staged.table
    whole = warehouse.removes_unread(staged) or not table.key or staged.folded or table.versions
    return load.db.dialect.batched and not whole


def _load_batches(load: Load, staged: Staged) -> Applied:
    return BatchedLoad(load, staged).run()


def _load_source(load: Load, staged: Staged) -> Applied:
    """Merges a source in one transaction; without the rows that the database refuses."""
    try:
        return _load_whole(load, [staged])
    except LoadingError as error:
        if not is_data_error(error):
            raise
        return _load_whole(load, [Sifting(load, staged).sift(error)])


def _end_staging(load: Load, sources: Sequence[Staged]) -> None:
    try:
        for staged in sources:
            removed = staged.folded.removed if staged.folded else ""
            staging.end_staging(load.db, staged.rows, staged.rejected, removed)
    except LoadingError as error:  # everything is committed, so the load is none the worse
        logger.warning("the staging tables are left to the next run to be emptied: %s", error)


def _load_whole(load: Load, sources: Sequence[Staged]) -> Applied:
    def renew() -> None:
        for staged in sources:
            require_staged(load, staged)

    transactions, refresh = Transactions(load, sources, renew), load.plan.full_refresh
    return transactions.do(lambda: _refresh(load, sources) if refresh else _apply(load, sources))


def _with_key(load: Load, staged: Staged) -> Staged:
    """A source as a full refresh joins it: with its key, where it else is merged in batches."""
    if not _is_batched(load, staged):
        return staged
    run_id = load.plan.run_id
    return replace(
        staged, rows=staging.keyed_rows(load.db, staged.table, rows=staged.rows, run_id=run_id)
    )


def _refresh(load: Load, staged_sources: Sequence[Staged]) -> Applied:
    sources = [_with_key(load, staged) for staged in staged_sources]
    gone = Applied()
    for staged in sources:  # before they are removed
        gone = gone.plus(vanished(load, staged, live=None, still_there=0))
    now = utc_now()
    with changes_noted(load.db, sources, now, may_remove=True):
        applied = warehouse.apply_full_refresh(load.db, sources, now, tables=load.tables)
    touched.forget_builds(load.db)
    for staged in sources:
        applied = applied.plus(warehouse.keep_history(load.db, staged, rebuilt=True))
        record_reading(load, staged)
    return applied.plus(gone)


def _apply(load: Load, sources: Sequence[Staged]) -> Applied:
    total = Applied()
    for staged in sources:
        live = warehouse.count_live(load.db, staged)
        applied = apply_noted(load, staged, utc_now())
        total = total.plus(applied).plus(close(load, staged, live=live, applied=applied))
    return total
