"""Measured stages: how long each took, and how many records and errors it had."""

import threading
import time
from collections.abc import Callable
from typing import Any, Dict

from etl.errors import ETLError
from etl.process import peak_memory_mb


class ETLMetrics:
    """Measures stages: how long, how many records, how many errors; safe to share by threads.

    A stage can be entered again and again, and by several threads at once. Its times add up, so
    that a stage which ran in parallel can have taken more seconds than the whole run.

    Attributes:
        start_time: when the measuring began, in seconds of the Unix clock.
        stage_metrics: for each stage seconds, records, errors, error_rate, records_per_second.
        error_counts: errors of each stage.
        record_counts: records of each stage, those with errors among them.

    Args:
        clock: a reading in seconds; only differences between readings are used.

    Example:
        >>> metrics = ETLMetrics(clock=iter([0.0, 1.0, 3.0, 4.0]).__next__)
        >>> metrics.start_stage("extract")
        >>> metrics.end_stage("extract", record_count=100, error_count=5)
        >>> report = metrics.generate_summary_report()
        >>> report["total_seconds"], report["stages"]["extract"]["records_per_second"]
        (4.0, 50.0)
    """

    def __init__(self, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.start_time = time.time()
        self.stage_metrics: Dict[str, Dict[str, float]] = {}
        self.error_counts: Dict[str, int] = {}
        self.record_counts: Dict[str, int] = {}
        self._clock = clock
        self._started = clock()
        self._lock = threading.Lock()
        self._running: dict[str, list[float]] = {}
        self._totals: tuple[int, int] | None = None

    def start_stage(self, stage_name: str) -> None:
        """Begin to measure a stage.

        Args:
            stage_name: the stage, new or entered before.
        """
        started = self._clock()
        with self._lock:
            self._count(stage_name, seconds=0.0, record_count=0, error_count=0)
            self._running.setdefault(stage_name, []).append(started)

    def end_stage(self, stage_name: str, record_count: int = 0, error_count: int = 0) -> None:
        """Stop measuring a stage and count what it did since it was started.

        Args:
            stage_name: a stage that was started, by this thread or another.
            record_count: records it worked on, those with errors among them.
            error_count: records it could not use.

        Raises:
            ETLError: the stage is not running.
        """
        ended = self._clock()
        with self._lock:
            if not self._running.get(stage_name):
                raise ETLError(
                    f"the stage {stage_name!r} was ended without having been started",
                    choices=", ".join(self._unfinished()) or "none, no stage is running",
                    next_step=f"call start_stage({stage_name!r}) before end_stage",
                )
            # Which of several starts this end belongs to does not matter to the sum.
            seconds = ended - self._running[stage_name].pop()
            self._count(
                stage_name, seconds=seconds, record_count=record_count, error_count=error_count
            )

    def add(self, stage_name: str, *, seconds: float, record_count: int, error_count: int) -> None:
        """Count work that was measured elsewhere.

        Args:
            stage_name: the stage it belongs to.
            seconds: how long it took.
            record_count: records it worked on, those with errors among them.
            error_count: records it could not use.

        Example:
            >>> metrics = ETLMetrics()
            >>> metrics.add("load", seconds=0.5, record_count=10, error_count=0)
            >>> metrics.record_counts
            {'load': 10}
        """
        with self._lock:
            self._count(
                stage_name, seconds=seconds, record_count=record_count, error_count=error_count
            )

    def record_totals(self, *, read: int, rejected: int) -> None:
        """Add how many records of a source the run read and rejected; sources add up.

        The stages do not know: the same record passes through several of them.

        Args:
            read: records read from the source.
            rejected: those of them that were rejected.
        """
        with self._lock:
            read_before, rejected_before = self._totals or (0, 0)
            self._totals = (read_before + read, rejected_before + rejected)

    def generate_summary_report(self) -> Dict[str, Any]:
        """Everything measured so far, ready for JSON.

        Until `record_totals` has been called, the total is taken from the stages: the most
        records that one of them saw, and the errors of all.

        Returns:
            `total_seconds`, `total_records`, `total_errors`, `error_rate` (0 to 1),
            `records_per_second`, `stages` (a dict of `seconds`, `records`, `errors`,
            `error_rate`, `records_per_second` for each), `unfinished_stages` (names; their time
            so far is counted), `peak_memory_mb` (MiB).
        """
        now = self._clock()
        with self._lock:
            stages = {name: self._stage(name, now) for name in self.stage_metrics}
            records, errors = self._totals or self._totals_of_stages()
            unfinished = self._unfinished()
        total = _rates(now - self._started, records, errors)
        return {
            "total_seconds": total["seconds"],
            "total_records": total["records"],
            "total_errors": total["errors"],
            "error_rate": total["error_rate"],
            "records_per_second": total["records_per_second"],
            "stages": stages,
            "unfinished_stages": unfinished,
            "peak_memory_mb": round(peak_memory_mb(), 1),
        }

    # The methods below are called with the lock held.

    def _count(self, name: str, *, seconds: float, record_count: int, error_count: int) -> None:
        self.record_counts[name] = self.record_counts.get(name, 0) + record_count
        self.error_counts[name] = self.error_counts.get(name, 0) + error_count
        seconds += self.stage_metrics.get(name, {}).get("seconds", 0.0)
        self.stage_metrics[name] = _rates(
            seconds, self.record_counts[name], self.error_counts[name]
        )

    def _stage(self, name: str, now: float) -> Dict[str, float]:
        seconds = self.stage_metrics[name]["seconds"]
        seconds += sum(now - started for started in self._running.get(name, ()))
        return _rates(seconds, self.record_counts[name], self.error_counts[name])

    def _totals_of_stages(self) -> tuple[int, int]:
        return max(self.record_counts.values(), default=0), sum(self.error_counts.values())

    def _unfinished(self) -> list[str]:
        return [name for name, starts in self._running.items() if starts]


def _rates(seconds: float, records: int, errors: int) -> Dict[str, float]:
    """The figures of a stage; the rates stay finite where nothing was read or no time passed."""
    return {
        "seconds": seconds,
        "records": records,
        "errors": errors,
        # An error without a record, a file that cannot be opened, is a rate of 1.
        "error_rate": errors / max(records, errors) if errors else 0.0,
        "records_per_second": records / seconds if seconds > 0 else 0.0,
    }
