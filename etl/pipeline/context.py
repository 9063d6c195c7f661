"""A run under way: what its parts share."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from etl.engines.database import DatabaseManager
from etl.history.lineage import Ledger
from etl.history.records import RunRecord
from etl.history.runs import RunPlan
from etl.monitoring.metrics import ETLMetrics
from etl.pipeline.arguments import Arguments
from etl.pipeline.progress import Progress
from etl.pipeline.source import Source
from etl.pipeline.stages import Stages
from etl.pipeline.workspace import REJECTED
from etl.quality.rule import RowRule
from etl.resilience.retry import retry_with_backoff
from etl.settings.config import Config
from etl.warehouse.intake import Fill
from etl.warehouse.load import Limits
from etl.warehouse.own_loads import OwnLoad

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Reading:
    """A source that is being read.

    Attributes:
        fill: stages its records.
        close: stops reading it; may be called again.
    """

    fill: Fill
    close: Callable[[], None]


class Starting(Protocol):
    """What begins to read and transform a source."""

    def __call__(self, run: "RunContext", source: Source) -> Reading:
        """Begin."""


@dataclass(frozen=True)
class RunContext:
    """A run under way.

    Attributes:
        record: what is kept of it however it ends.
        own: the loads that the user has declared.
        rules: checks of its tables that the user has declared.
        as_left: nobody has written the warehouse since the last run has checked it.
        start: begins to read a source, here or elsewhere.
        scratch: folder of its own for what engines spill.
        progress: what the run says of itself while it works.
    """

    config: Config
    args: Arguments
    db: DatabaseManager
    plan: RunPlan
    record: RunRecord
    metrics: ETLMetrics
    stages: Stages
    start: Starting
    scratch: Path
    own: tuple[OwnLoad, ...] = ()
    as_left: bool = False
    rules: tuple[RowRule, ...] = ()
    sources: tuple[Source, ...] = ()
    progress: Progress = field(default_factory=Progress)

    @property
    def ledger(self) -> Ledger:
        """What it has learnt of its sources."""
        return self.record.ledger

    @property
    def output(self) -> Path:
        """Where the results go that lie on this machine in any case."""
        return self.config.files.environment_dir

    @property
    def rejected_folder(self) -> Path | None:
        """Where rejected records go; None for a dry run, which writes nothing."""
        return None if self.args.dry_run else self.config.files.results_dir / REJECTED

    @property
    def limits(self) -> Limits:
        """How far a load goes."""
        processing = self.config.processing
        return Limits(
            batch_rows=processing.batch_size,
            max_retries=processing.max_retries,
            retry_backoff_factor=processing.retry_backoff_factor,
            max_reject_rate=processing.max_reject_rate,
            min_rows_rate=processing.min_rows_rate,
            max_removed_rate=processing.max_removed_rate,
            max_placeholder_rate=processing.max_placeholder_rate,
            correction_days=processing.correction_days,
            letter_attempts=processing.dead_letter_attempts,
            letter_limit=processing.dead_letter_limit,
        )

    def apart(self, db: DatabaseManager) -> "RunContext":
        """Return the same for one load that works beside others, over a connection of its own.

        What it learns of its source is to be added to the ledger of the run.
        """
        return replace(self, db=db, record=replace(self.record, ledger=Ledger()))

    def limits_of(self, source: Source) -> Limits:
        """How far the load of a source goes: it may have limits of its own."""
        return replace(self.limits, **source.limits)

    def retried(self, work: Callable[P, R]) -> Callable[P, R]:
        """Return work that is repeated after an error that may pass."""
        return _retried(self.config, work)

    def kept(self, work: Callable[[], R]) -> R:
        """Do what can be done twice, again when the connection is lost."""
        return kept(self.db, self.config, work)


def kept(db: DatabaseManager, config: Config, work: Callable[[], R]) -> R:
    """Do what can be done twice, again when the connection is lost.

    Args:
        db: the warehouse; it is connected anew before each attempt if need be.
        config: says how often, and how long after each other.
        work: what is to be done.
    """

    def attempt() -> R:
        db.revive()
        return work()

    return _retried(config, attempt)()


def _retried(config: Config, work: Callable[P, R]) -> Callable[P, R]:
    processing = config.processing
    return retry_with_backoff(processing.max_retries, processing.retry_backoff_factor)(work)
