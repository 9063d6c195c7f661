"""From staged to committed: a source in one transaction, or in batches with one each.

The transaction is the unit of retry. It carries the counts of what it did, so that after a lost
answer to a commit the next attempt can see whether it happened.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

import pyarrow as pa

from etl.engines.database import DatabaseManager
from etl.errors import HeldBackError, LoadingError
from etl.history import audit as run_history
from etl.history import inputs, settings_used, watermarks
from etl.history.dead_letters import Letters, Reading
from etl.history.inputs import KnownInput
from etl.history.kept_letters import read_again, settle_letters
from etl.history.read_keys import KEPT_DAYS, forget_read_keys, record_read_keys
from etl.history.runs import Applied, Input, LoadCounts, RunPlan, Staged, utc_now
from etl.resilience.retry import retry_with_backoff
from etl.resilience.transient import error_codes, is_data_error, is_lock_wait
from etl.rules.record_keys import record_keys
from etl.schema.star import SALES_FACT, STAR_TABLES
from etl.schema.table import Table
from etl.schema.work_tables import rejected_key_table
from etl.sources.window import counts_up
from etl.warehouse import apply as warehouse
from etl.warehouse import staging, staging_sql, touched
from etl.warehouse.delta import is_empty, live_params
from etl.warehouse.reconcile import reconcile
from etl.warehouse.row_changes import changes_noted
from etl.warehouse.staging import Batch
from etl.warehouse.touched import Watch

logger = logging.getLogger(__name__)

# Takes a record that the database refuses, and why.
Refuse = Callable[[Table, pa.Table, str], None]


@dataclass(frozen=True)
class Limits:
    """How far a load goes.

    Attributes:
        batch_rows: rows per batch, where the engine merges in batches.
        max_retries: further attempts of a transaction after an error that may pass.
        retry_backoff_factor: how many times longer each wait is than the one before.
        max_reject_rate: largest share of records that may be refused, 0 to 1.
        min_rows_rate: smallest number of records of a snapshot, as a share of the last load.
        max_removed_rate: largest share of a table's rows that a full refresh may remove.
        max_placeholder_rate: largest share of records that may need a placeholder.
        correction_days: for how many days it is remembered which keys were rejected.
        letter_attempts: tries after which a rejected record stays for a person.
        letter_limit: most rejected records of a table that are kept open.
        may_be_empty: columns that may come without any value where the table has some.
    """

    batch_rows: int = 1600
    max_retries: int = 3
    retry_backoff_factor: float = 2.0
    max_reject_rate: float = 1.0
    min_rows_rate: float = 0.0
    max_removed_rate: float = 1.0
    max_placeholder_rate: float = 1.0
    correction_days: int = KEPT_DAYS
    letter_attempts: int = 3
    letter_limit: int = 10_000
    may_be_empty: Sequence[str] = ()


@dataclass(frozen=True)
class Load:
    """What the loads of one run share.

    Attributes:
        refuse: takes the records that the database refuses, before that is committed.
        settings: by table, those that its rows are computed with, as texts.
        tables: those that there are, whose references must hold.
        letters: by table, the rejected records that are to be kept.
    """

    db: DatabaseManager
    plan: RunPlan
    limits: Limits
    refuse: Refuse
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tables: Sequence[Table] = STAR_TABLES
    letters: Mapping[str, Letters] = field(default_factory=dict)

    @cached_property
    def watch(self) -> Watch | None:
        """What the marts of the warehouse read; None where it has none."""
        return touched.watch_of(self.db, self.plan.run_id)

    def staging(self, table: Table) -> staging.Staging:
        """Return a staging area for the records of a table."""
        return staging.Staging(
            self.db, table, run_id=self.plan.run_id, batch_rows=self.limits.batch_rows
        )


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
    return _BatchedLoad(load, staged).run()


def _load_source(load: Load, staged: Staged) -> Applied:
    """Merges a source in one transaction; without the rows that the database refuses."""
    try:
        return _load_whole(load, [staged])
    except LoadingError as error:
        if not is_data_error(error):
            raise
        return _load_whole(load, [_Sifting(load, staged).sift(error)])


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
            _require_staged(load, staged)

    transactions, refresh = _Transactions(load, sources, renew), load.plan.full_refresh
    return transactions.do(lambda: _refresh(load, sources) if refresh else _apply(load, sources))


def _require_staged(load: Load, staged: Staged, refused: int = 0) -> None:
    """Makes sure, on a new connection, that the staged records are still there.

    Args:
        load: the warehouse and the run.
        staged: a source.
        refused: how many of its records have been taken out since; of the last one that may
            not be known.
    """
    batches = staging.batches_of(load.db, staged.rows, load.plan.run_id)
    found = sum(batch.rows for batch in batches)
    wanted = staged.rows_staged
    if not wanted - refused <= found <= wanted:
        raise LoadingError(
            f"{staged.rows} holds {found} records of this run, where {wanted} were staged",
            next_step="another run has staged meanwhile, or somebody has changed the table; run "
            "again",
        )


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
    vanished = Applied()
    for staged in sources:  # before they are removed
        vanished = vanished.plus(_vanished(load, staged, live=None, still_there=0))
    now = utc_now()
    with changes_noted(load.db, sources, now, may_remove=True):
        applied = warehouse.apply_full_refresh(load.db, sources, now, tables=load.tables)
    touched.forget_builds(load.db)
    for staged in sources:
        applied = applied.plus(warehouse.keep_history(load.db, staged, rebuilt=True))
        _record_reading(load, staged)
    return applied.plus(vanished)


def _apply(load: Load, sources: Sequence[Staged]) -> Applied:
    total = Applied()
    for staged in sources:
        live = warehouse.count_live(load.db, staged)
        applied = _apply_noted(load, staged, utc_now())
        total = total.plus(applied).plus(_close(load, staged, live=live, applied=applied))
    return total


def _apply_noted(load: Load, staged: Staged, now: datetime) -> Applied:
    with changes_noted(load.db, [staged], now):
        return warehouse.apply_source(
            load.db, staged, now=now, tables=load.tables, watch=load.watch
        )


def _close(load: Load, staged: Staged, *, live: int, applied: Applied) -> Applied:
    """What is written once a source is merged: keys, watermark, history, and what has vanished."""
    _record_reading(load, staged)
    kept = warehouse.keep_history(load.db, staged, rebuilt=False)
    if staged.table.versions:  # what is gone has ended
        return kept
    found = applied.rows_live.get(staged.table.name, 0)
    return kept.plus(_vanished(load, staged, live=live, still_there=found))


def _vanished(load: Load, staged: Staged, *, live: int | None, still_there: int) -> Applied:
    rows = warehouse.count_vanished(load.db, staged, live=live, still_there=still_there)
    return Applied({staged.table.name: LoadCounts(rows_vanished=rows)})


def _record_reading(load: Load, staged: Staged) -> None:
    record_read_keys(load.db, load.plan, staged, kept_days=load.limits.correction_days)
    settle_letters(load.db, staged, load.letters.get(staged.table.name), _reading(load, staged))
    _remember(load, staged)
    _record_settings(load, staged)
    table = staged.table
    if table.window and load.plan.moves_watermark:
        _move_on(load, staged)
    if staged.folded:
        read_to = watermarks.ReadTo(staged.folded.position, staged.folded.cleared)
        watermarks.move_position(load.db, load.plan, table, read_to)
    _mark_recovered(load, table)


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


def _record_settings(load: Load, staged: Staged) -> None:
    settings = load.settings.get(staged.table.name)
    if settings and staged.rows_read > staged.rows_rejected:
        settings_used.record_settings(load.db, load.plan, staged.table, settings)


def _mark_recovered(load: Load, table: Table) -> None:
    if table.name == SALES_FACT.name and not load.plan.is_partial:
        run_history.mark_recovered(load.db, load.plan.window)


# --- an input that was loaded before -----------------------------------------------------


def _remember(load: Load, staged: Staged) -> None:
    """Notes which input the table now holds, unless loading it again could still change something.

    A full refresh counts what it removes as vanished, which another load would not. A sale that
    lies in the future moves the watermark once its time has come.
    """
    db, table, known = load.db, staged.table, staged.input
    inputs.forget_input(db, table)
    if known is None or load.plan.full_refresh or _has_later(load, staged):
        return
    state = _state_of(load, staged)
    inputs.remember_input(db, table, load.plan.run_id, known=known, state=state)


def _has_later(load: Load, staged: Staged) -> bool:
    if not staged.table.window:
        return False
    query = staging_sql.count_later(staged.table, staged.rows)
    return bool(load.db.value(query, (load.plan.started_at,)))


def _state_of(load: Load, staged: Staged) -> str:
    query = staging_sql.rows_state(load.db.dialect, staged.table)
    rows, checksum = load.db.query(query, live_params(staged))[0]
    return f"{int(rows)}:{int(checksum)}"


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
        return _Transactions(load, [staged]).do(work)
    except _WrittenSinceError:
        return None


def _require_unwritten(load: Load, staged: Staged, known: KnownInput) -> None:
    orphans = staging_sql.count_live_without_parent(load.db.dialect, staged.table)
    same = _state_of(load, staged) == known.state
    if not same or load.db.value(orphans, live_params(staged)):
        raise _WrittenSinceError


def _record_unchanged(load: Load, staged: Staged, known: KnownInput) -> None:
    db, table, run_id = load.db, staged.table, load.plan.run_id
    inputs.copy_read_keys(db, table, earlier=known.run_id, run_id=run_id)
    forget_read_keys(db, table, load.plan, load.limits.correction_days)
    read_again(db, table, earlier=known.run_id, run_id=run_id)
    inputs.remember_input(db, table, run_id, known=known.input, state=known.state)
    _record_settings(load, staged)
    _mark_recovered(load, table)


class _Transactions:
    """One transaction after the other, each done once, whatever the connection does."""

    def __init__(
        self, load: Load, sources: Sequence[Staged], renew: Callable[[], None] = lambda: None
    ) -> None:
        self._load, self._sources, self._renew = load, sources, renew
        self._done = 0
        limits = load.limits
        self._retry = retry_with_backoff(limits.max_retries, limits.retry_backoff_factor)

    def do(self, work: Callable[[], Applied]) -> Applied:
        """Run one piece of work in a transaction, with the counts of what it did.

        When the answer to its commit is lost, the next attempt looks whether it happened.
        """
        finished: list[Applied] = []

        def attempt() -> Applied:
            if self._load.db.revive():
                self._renew()
            if finished and self._committed() > self._done:
                return finished[-1]
            with self._load.db.transaction():
                applied = work().plus(self._marks())
                run_history.record_load(self._load.db, self._load.plan.run_id, applied)
                finished.append(applied)
            return applied

        applied = self._retry(attempt)()
        self._done += 1
        return applied

    def _marks(self) -> Applied:
        return Applied({s.table.name: LoadCounts(batches=1) for s in self._sources})

    def _committed(self) -> int:
        table_name = self._sources[0].table.name
        return run_history.batches_done(self._load.db, self._load.plan.run_id, table_name)


# Of a refused batch of so many rows some are tried one by one, before it is halved to its end.
_MANY_ROWS = 20
_TRIED_ROWS = 5
_NAMED_KEYS = 3


class _TakenBackError(Exception):
    """Ends a transaction that was only for trying."""


class _BatchedLoad:
    """One source, batch by batch; after each the tables are consistent."""

    def __init__(self, load: Load, staged: Staged) -> None:
        self._load, self._staged = load, staged
        self._db, self._run_id = load.db, load.plan.run_id
        self._transactions = _Transactions(load, [staged], self._renew)
        self._applied = Applied()
        self._refused = 0
        self._tried = False
        self._batch_rows = ""

    def run(self) -> Applied:
        """Merge all batches, then close the load."""
        live = warehouse.count_live(self._db, self._staged)
        self._renew()
        for batch in staging.batches_of(self._db, self._staged.rows, self._run_id):
            self._merge(batch)
        self._do(lambda: self._closing(live))
        return self._applied

    def _renew(self) -> None:
        """Makes a new connection ready."""
        self._batch_rows = staging.open_batches(self._db, self._staged.table)
        _require_staged(self._load, self._staged, self._refused)

    def _do(self, work: Callable[[], Applied]) -> None:
        self._applied = self._applied.plus(self._transactions.do(work))

    def _merge(self, batch: Batch) -> None:
        try:
            self._do(lambda: self._apply(batch, utc_now()))
        except LoadingError as error:
            if not is_data_error(error):
                raise
            self._bisect(batch, error)

    def _apply(self, batch: Batch, now: datetime) -> Applied:
        staged = self._staged
        staging.fill_batch(
            self._db, staged.table, rows=staged.rows, run_id=self._run_id,
            into=self._batch_rows, batch=batch,
        )  # fmt: skip
        part = replace(
            staged, rows=self._batch_rows, rows_read=batch.rows,
            rows_rejected=0, rows_duplicate=0, seconds=0.0, is_batch=True,
        )  # fmt: skip
        return _apply_noted(self._load, part, now)

    def _bisect(self, batch: Batch, error: LoadingError) -> None:
        """Merges the halves of a batch that the database refused, down to the guilty rows."""
        if batch.rows >= _MANY_ROWS and not self._tried and self._load.limits.max_reject_rate < 1:
            self._tried = True
            self._require_some_taken(batch)
        halves = staging.halves_of(self._db, self._staged.rows, self._run_id, batch)
        if len(halves) > 1:
            for half in halves:
                self._merge(half)
            return
        self._count_refused(error)
        refused = self._row_of(batch)
        self._load.refuse(self._staged.table, refused, str(error))
        self._take_out(batch, refused)

    def _require_some_taken(self, batch: Batch) -> None:
        """Give up where rows from all parts of a batch are refused alike: it is not their fault."""
        singles = staging.singles_of(
            self._db, self._staged.rows, self._run_id, batch, count=_TRIED_ROWS
        )
        errors = [error for one in singles if (error := self._refusal(one)) is not None]
        if len(errors) < len(singles) or len({error_codes(error) for error in errors}) > 1:
            return
        keys = ", ".join(map(self._key_of, singles[:_NAMED_KEYS]))
        raise HeldBackError(
            f"the database refuses every record of {self._staged.table.name} that was tried, from "
            f"all parts of the source, such as {keys}: {errors[0].what}",
            next_step="correct the constraint, column or trigger that it names, or what the "
            "records have there, and run again",
        ) from errors[0]

    def _refusal(self, one: Batch) -> LoadingError | None:
        """What the database says to a single row, which is taken back."""
        try:
            self._try(one)
        except LoadingError as error:
            if not is_data_error(error):
                raise
            return error
        return None

    def _try(self, one: Batch) -> None:
        with suppress(_TakenBackError), self._db.transaction():
            self._apply(one, utc_now())
            raise _TakenBackError

    def _key_of(self, one: Batch) -> str:
        row = self._row_of(one)
        return " ".join(str(row[name][0]) for name in self._staged.table.key or row.column_names)

    def _row_of(self, one: Batch) -> pa.Table:
        return staging.staged_row(
            self._db, self._staged.table, rows=self._staged.rows, run_id=self._run_id, batch=one
        )

    def _take_out(self, batch: Batch, refused: pa.Table) -> None:
        self._do(lambda: self._remove(batch, refused))

    def _count_refused(self, error: LoadingError) -> None:
        self._refused += 1
        allowed = self._load.limits.max_reject_rate * self._staged.rows_read
        at_fault = self._staged.rows_rejected - self._staged.rows_returned
        if self._refused + at_fault > allowed:
            raise HeldBackError(
                f"the database refuses too many records of {self._staged.table.name}: "
                f"{self._refused} so far, and {self._staged.rows_rejected} were rejected before, "
                f"of {self._staged.rows_read}; the last time it said: {error}",
                next_step="look at the rejected file; correct the records, or the rule that "
                "refuses them, and run again",
            ) from error

    def _remove(self, batch: Batch, refused: pa.Table) -> Applied:
        where = (self._run_id, batch.number, batch.first_row)
        self._db.execute(staging_sql.delete_staged_row(self._staged.rows), where)
        if self._staged.table.key:
            self._keep_key(refused)
        counts = LoadCounts(rows_read=1, rows_rejected=1)
        return Applied({self._staged.table.name: counts})

    def _keep_key(self, refused: pa.Table) -> None:
        table = self._staged.table
        keys = record_keys(table, {name: refused[name].combine_chunks() for name in table.key})
        self._db.append(rejected_key_table(table), pa.record_batch({"record_key": keys}))

    def _closing(self, live: int) -> Applied:
        # what the database refuses stands in no note of the input
        staged = replace(self._staged, input=None) if self._refused else self._staged
        closed = _close(self._load, staged, live=live, applied=self._applied)
        orphans = warehouse.close_batches(self._db, staged.table, self._load.tables)
        counts = LoadCounts(
            rows_read=staged.rows_rejected + staged.rows_duplicate,
            rows_rejected=staged.rows_rejected,
            rows_duplicate=staged.rows_duplicate,
            seconds=staged.seconds,
        )
        return closed.plus(orphans).plus(Applied({staged.table.name: counts}))


class _Sifting(_BatchedLoad):
    """Takes out the rows that the database refuses; all others are applied and taken back."""

    def sift(self, error: LoadingError) -> Staged:
        """Halve the staged rows down to the guilty ones.

        Args:
            error: what the database said to all of them together.

        Returns:
            The source without them; nothing of it is merged yet.
        """
        self._renew()
        for batch in staging.batches_of(self._db, self._staged.rows, self._run_id):
            self._bisect(batch, error)
        rejected = self._staged.rows_rejected + self._refused
        return replace(self._staged, rows_rejected=rejected, input=None)

    def _do(self, work: Callable[[], Applied]) -> None:
        with suppress(_TakenBackError):
            super()._do(work)

    def _apply(self, batch: Batch, now: datetime) -> Applied:
        super()._apply(batch, now)
        raise _TakenBackError

    def _take_out(self, batch: Batch, refused: pa.Table) -> None:
        with self._db.transaction():  # uncounted: that is for the load to come
            self._remove(batch, refused)
