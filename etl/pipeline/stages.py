"""The stages of a run in its log: a line when each starts, and one with its figures at its end.

Extraction, transformation and loading work side by side, so that a stage can start before the one
that feeds it is over.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from etl.history.records import StageTimes
from etl.history.runs import utc_now
from etl.history.summary import RunSummary
from etl.monitoring.logs import log_context
from etl.monitoring.metrics import ETLMetrics
from etl.process import peak_memory_mb
from etl.words import count_words, seconds_words

logger = logging.getLogger(__name__)

EXTRACTION, TRANSFORMATION = "extraction", "transformation"
LOADING, VALIDATION = "loading", "validation"

_STARTS = {
    EXTRACTION: "Starting data extraction phase",
    TRANSFORMATION: "Starting data transformation phase",
    LOADING: "Starting data loading phase",
    VALIDATION: "Running data quality validation",
}


class Stages:
    """Reports the stages of a run; each is started and ended once, however often it is asked.

    Safe to share by threads.

    Args:
        metrics: measures them.
        times: takes when each began and ended.
    """

    def __init__(self, metrics: ETLMetrics, times: StageTimes | None = None) -> None:
        self._metrics = metrics
        self._times = {} if times is None else times
        self._running: list[str] = []
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def start(self, *names: str) -> None:
        """Report that stages start."""
        with self._lock:
            for name in names:
                if name not in self._seen:
                    self._seen.add(name)
                    self._running.append(name)
                    self._times[name] = (now := utc_now(), now)
                    _log(name, _STARTS[name], event="stage_start")

    def end(self, *names: str) -> None:
        """Report that stages are over, with what they did; those that never started are not."""
        stages = self._metrics.generate_summary_report()["stages"]
        with self._lock:
            for name in names:
                if name in self._running:
                    self._running.remove(name)
                    self._times[name] = (self._times[name][0], utc_now())
                    _log_end(name, stages.get(name, {}))


def _log_end(name: str, figures: dict[str, float]) -> None:
    records, errors = int(figures.get("records", 0)), int(figures.get("errors", 0))
    seconds, speed = figures.get("seconds", 0.0), figures.get("records_per_second", 0.0)
    did = [f"{count_words(records)} records"] if records else []  # checks are no records
    did += [f"{count_words(errors)} errors", seconds_words(seconds)]
    did += [f"{speed:,.0f} records/s"] if records else []
    _log(
        name, f"Data {name} phase ended: {', '.join(did)}",
        event="stage_end", status="errors" if errors else "ok", records=records, errors=errors,
        seconds=round(seconds, 3), records_per_second=round(speed, 1),
        memory_mb=round(peak_memory_mb(), 1),
    )  # fmt: skip


def _log(name: str, message: str, **fields: Any) -> None:
    logger.info("%s", message, extra={"stage": name, **fields})


def log_run_end(summary: RunSummary) -> None:
    """Log how a run ended, with its figures as fields of their own."""
    measured = summary.measured
    with log_context(run_id=summary.run_id):
        logger.info(
            "run %s ended: %s, exit code %s, %s records in %s", summary.run_id, summary.status,
            summary.exit_code, count_words(measured.records), seconds_words(summary.seconds),
            extra={
                "event": "run_end", "environment": summary.environment, "status": summary.status,
                "exit_code": summary.exit_code, "records": measured.records,
                "errors": measured.errors, "seconds": summary.seconds,
                "records_per_second": measured.records_per_second,
                "memory_mb": round(peak_memory_mb(), 1), "error": summary.error,
            },
        )  # fmt: skip


@contextmanager
def measured(stages: Stages, metrics: ETLMetrics, name: str) -> Iterator[dict[str, int]]:
    """Measure a stage that is done in one go, and report its start and its end.

    Yields:
        `record_count` and `error_count`, for the block to fill in.
    """
    counted = {"record_count": 0, "error_count": 0}
    with log_context(stage=name):
        stages.start(name)
        metrics.start_stage(name)
        try:
            yield counted
        finally:
            metrics.end_stage(name, **counted)
            stages.end(name)
