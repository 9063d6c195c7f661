"""What is kept of a run outside the warehouse, and how the warehouse learns of it later."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from etl.engines.database import DatabaseManager
from etl.errors import EXIT_FAILED, ETLError, WarehouseInUseError
from etl.history import audit as run_history
from etl.history.journal import JOURNAL, append_entry, read_entries
from etl.history.lineage import Ledger
from etl.history.outcomes import SourceOutcome
from etl.history.runs import REPROCESS, RunPlan, run_id_after, utc_now
from etl.history.summary import RunSummary
from etl.schema.star import STAR_TABLES
from etl.schema.table import Table
from etl.settings.config import Config, secrets_of
from etl.settings.connection_strings import masked
from etl.sources.window import Window

# By stage, its start and its end, UTC.
StageTimes = dict[str, tuple[datetime, datetime]]

# The window of a run that loads rejected records, corrected or by other rules, in words.
REJECTED_AGAIN = "rejected records"


@dataclass
class RunRecord:
    """A run under way, and what is to be kept of it however it ends.

    Attributes:
        config: the settings.
        mode: the kind of run.
        window: the sales that were asked for, as far as that is known without the warehouse.
        started_at: UTC.
        plan: what it is to do, once the warehouse could be asked.
        ledger: what it has learnt of its sources.
        summary: how it ended, unless it failed.
        in_history: the warehouse knows how it ended.
        tables: that there are, once declared ones are known.
        stage_times: when its stages began and ended.
    """

    config: Config
    mode: str
    window: Window
    started_at: datetime = field(default_factory=utc_now)
    plan: RunPlan | None = None
    ledger: Ledger = field(default_factory=Ledger)
    summary: RunSummary | None = None
    in_history: bool = False
    tables: tuple[Table, ...] = STAR_TABLES
    stage_times: StageTimes = field(default_factory=dict)

    def base(self) -> RunSummary:
        """Return what is known of the run whatever becomes of it."""
        window = self.plan.window if self.plan else self.window
        return RunSummary(
            run_id=self.plan.run_id if self.plan else run_id_after(self.started_at, None),
            environment=self.config.environment,
            mode=self.mode,
            window=REJECTED_AGAIN if self.mode == REPROCESS else str(window),
            window_start=window.start,
            window_end=window.end,
            warehouse=self.config.database.display_name,
            started_at=self.plan.started_at if self.plan else self.started_at,
            finished_at=utc_now(),
            rejects=self.ledger.rejected(),
            lineage=tuple(self.ledger.lineage.values()),
            in_history=self.in_history,
        )

    def failed(self, error: BaseException) -> RunSummary:
        """Return the summary of a run that ended with an error."""
        summary = replace(
            self.base(),
            status=status_of(error),
            exit_code=error.exit_code if isinstance(error, ETLError) else EXIT_FAILED,
            error=str(error) or type(error).__name__,
        )
        return without_secrets(summary, self.config)


def error_text(sources: Iterable[SourceOutcome]) -> str:
    """Return what went wrong with sources; empty when nothing did.

    Example:
        >>> error_text([SourceOutcome("sales", "sales_fact", "failed", message="no file a")])
        'no file a'
    """
    return " | ".join(source.message for source in sources if source.message)


def without_secrets(summary: RunSummary, config: Config) -> RunSummary:
    """Return a summary whose free texts are masked."""
    secrets = secrets_of(config)
    return replace(
        summary,
        error=masked(summary.error, secrets),
        attention=tuple(masked(line, secrets) for line in summary.attention),
        notices=tuple(masked(line, secrets) for line in summary.notices),
        marts=tuple(replace(mart, message=masked(mart.message, secrets)) for mart in summary.marts),
        sources=tuple(
            replace(source, message=masked(source.message, secrets)) for source in summary.sources
        ),
    )


def status_of(error: BaseException) -> str:
    """Return how a run that ended with an error is called.

    Example:
        >>> status_of(KeyboardInterrupt())
        'interrupted'
    """
    if isinstance(error, KeyboardInterrupt):
        return run_history.INTERRUPTED
    in_use = isinstance(error, WarehouseInUseError)
    return run_history.IN_USE if in_use else run_history.FAILED


def journal_path(config: Config) -> Path:
    """Return where the journal of these settings is."""
    return config.files.environment_dir / JOURNAL


@contextmanager
def journaled(record: RunRecord) -> Iterator[RunRecord]:
    """Write a line into the journal at the end of the block, however it ends."""
    try:
        yield record
    except BaseException as error:
        append_entry(journal_path(record.config), record.failed(error).as_dict())
        raise
    if record.summary is not None:
        append_entry(journal_path(record.config), record.summary.as_dict())


# --- what the warehouse has missed -------------------------------------------------------


def missed_runs(config: Config) -> list[dict[str, Any]]:
    """Return runs of which this warehouse did not learn how they ended, as rows of `etl_run`."""
    warehouse = config.database.display_name
    return [
        row
        for entry in read_entries(journal_path(config), containing='"in_history": false')
        if entry.get("in_history") is False and entry.get("warehouse") == warehouse
        for row in _row(entry)
    ]


def _row(entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        moments = {
            name: datetime.fromisoformat(entry[name]).replace(tzinfo=None)
            for name in ("window_start", "window_end", "started_at", "finished_at")
        }
        texts = {
            name: str(entry[name]) for name in ("run_id", "environment", "mode", "status", "error")
        }
    except (KeyError, TypeError, ValueError):
        return  # somebody has edited it
    yield texts | moments


def record_missed(db: DatabaseManager, missed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write runs that never reached the warehouse into its history, and return them."""
    known = run_history.run_ids_since(db, min(row["run_id"] for row in missed)) if missed else set()
    unknown = [row for row in missed if row["run_id"] not in known]
    run_history.record_runs(db, unknown)
    return unknown
