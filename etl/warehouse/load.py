"""What the loads of one run share: the warehouse, the run, and how far a load goes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

from etl.engines.database import DatabaseManager
from etl.history.dead_letters import Letters
from etl.history.read_keys import KEPT_DAYS
from etl.history.runs import RunPlan
from etl.schema.star import STAR_TABLES
from etl.schema.table import Table
from etl.warehouse import staging, touched
from etl.warehouse.touched import Watch

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
