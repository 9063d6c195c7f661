"""A source in batches, a transaction each; and without the rows that the database refuses."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import pyarrow as pa

from etl.errors import HeldBackError, LoadingError
from etl.history.runs import Applied, LoadCounts, Staged, utc_now
from etl.resilience.transient import error_codes, is_data_error
from etl.rules.record_keys import record_keys
from etl.schema.work_tables import rejected_key_table
from etl.warehouse import apply as warehouse
from etl.warehouse import staging, staging_sql
from etl.warehouse.closing import close
from etl.warehouse.load import Load
from etl.warehouse.row_changes import changes_noted
from etl.warehouse.staging import Batch
from etl.warehouse.transactions import Transactions


def require_staged(load: Load, staged: Staged, refused: int = 0) -> None:
    """Make sure, on a new connection, that the staged records are still there.

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


def apply_noted(load: Load, staged: Staged, now: datetime) -> Applied:
    """Merge a source or a batch of it, and note who changed what where that is kept."""
    with changes_noted(load.db, [staged], now):
        return warehouse.apply_source(
            load.db, staged, now=now, tables=load.tables, watch=load.watch
        )


# Of a refused batch of so many rows some are tried one by one, before it is halved to its end.
_MANY_ROWS = 20
_TRIED_ROWS = 5
_NAMED_KEYS = 3


class _TakenBackError(Exception):
    """Ends a transaction that was only for trying."""


class BatchedLoad:
    """One source, batch by batch; after each the tables are consistent."""

    def __init__(self, load: Load, staged: Staged) -> None:
        self._load, self._staged = load, staged
        self._db, self._run_id = load.db, load.plan.run_id
        self._transactions = Transactions(load, [staged], self._renew)
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
        require_staged(self._load, self._staged, self._refused)

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
        return apply_noted(self._load, part, now)

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
        # what the database refuses is in no note of the input
        staged = replace(self._staged, input=None) if self._refused else self._staged
        closed = close(self._load, staged, live=live, applied=self._applied)
        orphans = warehouse.close_batches(self._db, staged.table, self._load.tables)
        counts = LoadCounts(
            rows_read=staged.rows_rejected + staged.rows_duplicate,
            rows_rejected=staged.rows_rejected,
            rows_duplicate=staged.rows_duplicate,
            seconds=staged.seconds,
        )
        return closed.plus(orphans).plus(Applied({staged.table.name: counts}))


class Sifting(BatchedLoad):
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
