"""One transaction after the other, each done once, whatever the connection does.

The transaction is the unit of retry. It carries the counts of what it did, so that after a lost
answer to a commit the next attempt can see whether it happened.
"""

from collections.abc import Callable, Sequence

from etl.history import audit as run_history
from etl.history.runs import Applied, LoadCounts, Staged
from etl.resilience.retry import retry_with_backoff
from etl.warehouse.load import Load


class Transactions:
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
