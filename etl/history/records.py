"""What is kept of a run outside the warehouse, and how the warehouse learns of it later."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from etl.engines.database import DatabaseManager
from etl.errors import EXIT_FAILED, ETLError, WarehouseInUseError
from etl.history import audit as run_history
from etl.history.journal import JOURNAL, append_entry, read_entries
from etl.history.lineage import Ledger
from etl.history.runs import RunPlan, run_id_after, utc_now
from etl.settings.config import Config, secrets_of
from etl.settings.connection_strings import masked
from etl.sources.window import Window

# Summaries of runs that nobody checked: nothing was found wrong.
NO_CHECKS: dict[str, Any] = {
    "passed": True, "checks": [], "scores": {}, "dimension_scores": {},
}  # fmt: skip
_FREE_TEXTS = ("error", "attention", "sources")


@dataclass
class RunRecord:
    """A run under way, as the journal will tell of it.

    Attributes:
        config: the settings.
        mode: the kind of run.
        window: the sales that were asked for, as far as that is known without the warehouse.
        started_at: UTC.
        plan: what it is to do, once the warehouse could be asked.
        ledger: what it has learnt of its sources.
        summary: how it ended, unless it failed.
        in_history: the warehouse knows how it ended.
    """

    config: Config
    mode: str
    window: Window
    started_at: datetime = field(default_factory=utc_now)
    plan: RunPlan | None = None
    ledger: Ledger = field(default_factory=Ledger)
    summary: Mapping[str, Any] | None = None
    in_history: bool = False

    def entry(self, error: BaseException | None, finished_at: datetime) -> dict[str, Any]:
        """The line of the journal."""
        window = self.plan.window if self.plan else self.window
        summary = self._failed(error) if self.summary is None else dict(self.summary)
        entry = summary | {
            "started_at": _iso(self.plan.started_at if self.plan else self.started_at),
            "finished_at": _iso(finished_at),
            "window_start": window.start.isoformat(),
            "window_end": window.end.isoformat(),
            "error": error_text(error, summary),
            "rejects": self.ledger.rejected(),
            "lineage": [each.as_dict() for each in self.ledger.lineage.values()],
            "in_history": self.in_history,
        }
        secrets = secrets_of(self.config)
        return entry | {name: _without(entry[name], secrets) for name in _FREE_TEXTS}

    def _failed(self, error: BaseException | None) -> dict[str, Any]:
        run_id = self.plan.run_id if self.plan else run_id_after(self.started_at, None)
        return {
            "run_id": run_id,
            "environment": self.config.environment,
            "mode": self.mode,
            "window": str(self.plan.window if self.plan else self.window),
            "status": status_of(error),
            "exit_code": error.exit_code if isinstance(error, ETLError) else EXIT_FAILED,
            "warehouse": self.config.database.display_name,
            "sources": [], "tables": {}, "column_changes": {}, "quality": NO_CHECKS,
            "anomalies": [], "attention": [], "metrics": {}, "exported": [],
        }  # fmt: skip


def error_text(error: BaseException | None, summary: Mapping[str, Any]) -> str:
    """What went wrong, of the run as a whole or of its sources; empty when nothing did.

    Example:
        >>> error_text(None, {"sources": [{"error": "no file a"}, {"error": ""}]})
        'no file a'
    """
    if error is not None:
        return str(error) or type(error).__name__
    return " | ".join(source["error"] for source in summary["sources"] if source["error"])


def status_of(error: BaseException | None) -> str:
    """How a run that ended with an error is called.

    Example:
        >>> status_of(KeyboardInterrupt())
        'interrupted'
    """
    if isinstance(error, KeyboardInterrupt):
        return run_history.INTERRUPTED
    in_use = isinstance(error, WarehouseInUseError)
    return run_history.IN_USE if in_use else run_history.FAILED


def _iso(moment: datetime) -> str:
    return moment.replace(tzinfo=UTC).isoformat()


def _without(value: Any, secrets: list[str]) -> Any:
    """The value with its texts masked, however deep they lie."""
    if isinstance(value, str):
        return masked(value, secrets)
    if isinstance(value, Mapping):
        return {name: _without(each, secrets) for name, each in value.items()}
    return [_without(each, secrets) for each in value] if isinstance(value, list) else value


def journal_path(config: Config) -> Path:
    """Where the journal of these settings is."""
    return config.files.output_dir / JOURNAL


@contextmanager
def journaled(record: RunRecord) -> Iterator[RunRecord]:
    """Writes a line into the journal at the end of the block, however it ends."""
    try:
        yield record
    except BaseException as error:
        append_entry(journal_path(record.config), record.entry(error, utc_now()))
        raise
    append_entry(journal_path(record.config), record.entry(None, utc_now()))


# --- what the warehouse has missed -------------------------------------------------------


def missed_runs(config: Config) -> list[dict[str, Any]]:
    """Runs into this warehouse of which it did not learn how they ended, as rows of `etl_run`."""
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
    """Writes runs that never reached the warehouse into its history, and returns them."""
    known = run_history.run_ids_since(db, min(row["run_id"] for row in missed)) if missed else set()
    unknown = [row for row in missed if row["run_id"] not in known]
    run_history.record_runs(db, unknown)
    return unknown
