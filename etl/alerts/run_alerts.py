"""Which alerts a run gives rise to: by how it ended, and by what it says in its summary."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from etl.alerts.alert import CRITICAL, ERROR, SUCCESS, WARNING, Alert, alert_of
from etl.alerts.delivery import Delivery
from etl.alerts.folder import AlertState
from etl.alerts.notifier import CriticalAlertHandler, Notifier, error_facts, process_quality_alerts
from etl.alerts.texts import time_text
from etl.engines.database import Access, DatabaseManager
from etl.errors import (
    EXIT_ATTENTION,
    EXIT_FAILED,
    EXIT_OK,
    ConfigurationError,
    ExtractionError,
    HeldBackError,
    LoadingError,
    TransformationError,
    WarehouseInUseError,
)
from etl.history import audit as run_history
from etl.history.runs import utc_now
from etl.history.summary import Check, RunSummary, SourceOutcome, TableCounts
from etl.monitoring.logs import PIPELINE_LOG, log_context
from etl.places import working_folder
from etl.resilience.transient import is_transient
from etl.settings.config import Config
from etl.words import UNKNOWN, count_words

logger = logging.getLogger(__name__)

_STAGES: tuple[tuple[type[BaseException], str], ...] = (
    (ExtractionError, "Data Extraction"),
    (FileNotFoundError, "Data Extraction"),
    (TransformationError, "Data Transformation"),
    (LoadingError, "Data Loading"),
    (ConfigurationError, "Configuration"),
)


class _Kept(logging.Handler):
    """Keeps log records: alerts wait until the run has let go of the warehouse."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def with_alerts(
    config: Config, job: Callable[[logging.Handler | None], RunSummary], *, quiet: bool = False
) -> RunSummary:
    """Does a run, and tells whom it concerns how it ended.

    Args:
        config: the settings.
        job: does the run and returns its summary; takes a log handler for CRITICAL records.
        quiet: tells nobody, as for a dry run.

    Returns:
        The summary of the run.

    Raises:
        Exception: what the run has raised; nothing because of an alert.
    """
    if quiet:
        return job(None)
    started, critical = time.monotonic(), _Kept(logging.CRITICAL)
    try:
        summary = job(critical)
    except Exception as error:
        seconds = time.monotonic() - started
        _safely(partial(_tell_error, config, critical.records, error, seconds=seconds))
        raise
    _safely(partial(_tell_summary, config, critical.records, summary))
    return summary


def _safely(tell: Callable[[], None]) -> None:
    try:
        tell()
    except Exception as error:
        logger.warning("alerts were not told: %s: %s", type(error).__name__, error)
        logger.debug("alerts were not told", exc_info=True)


@dataclass(frozen=True)
class _Telling:
    """What the alerts of one run share.

    Attributes:
        known: what is told of the run in each alert.
        last_success: when a run last went well; looked up once.
    """

    config: Config
    notifier: Notifier
    state: AlertState
    known: Alert
    last_success: Callable[[], str]

    @classmethod
    def of(cls, config: Config, known: Alert, *, reached: bool) -> "_Telling":
        """What the alerts of a run share; `reached` when the warehouse can be asked."""
        delivery = Delivery(
            config.processing.breaker_failure_threshold,
            config.processing.breaker_recovery_seconds,
        )
        log_file = _shown(config.logging.log_dir / PIPELINE_LOG)
        known = replace(known, environment=config.environment, log_file=log_file)
        state = AlertState(config.alerts.alerts_dir)
        last_success = cache(partial(_last_success, config, state, reached=reached))
        notifier = Notifier.of(config.alerts, delivery)
        return cls(config, notifier, state, known, last_success)

    def key(self, *parts: str) -> str:
        """An alert key, told apart by environment."""
        return "_".join((self.config.environment, *parts))

    def alert(self, **facts: Any) -> Alert:
        """An alert with what is known of the run and these facts."""
        told = alert_of({name: value for name, value in facts.items() if value is not None})
        own = {name: getattr(told, name) for name in facts}
        return replace(self.known, **own, last_success=self.last_success())


def _shown(path: Path) -> str:
    folder = working_folder()
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def _last_success(config: Config, state: AlertState, *, reached: bool) -> str:
    """When a run last went well: the history knows, and what was remembered of it."""
    with suppress(Exception):
        if reached and (ended := _last_of_history(config)) is not None:
            return time_text(ended)
    return str(state.change(lambda data: _runs(data, config).get("last_success")) or "")


def _last_of_history(config: Config) -> datetime | None:
    connection = config.database.connection_string.get_secret_value()
    with DatabaseManager(connection, access=Access(read_only=True)) as db:
        return run_history.last_success(db)


# --- a run that ended with an error ------------------------------------------------------


def _tell_error(
    config: Config, critical: list[logging.LogRecord], error: Exception, *, seconds: float
) -> None:
    run_ids = (getattr(record, "run_id", None) for record in critical)
    run_id = str(next(filter(None, run_ids), ""))
    known = Alert(run_id=run_id, seconds=seconds)
    reached = bool(run_id) and not is_transient(error)
    with log_context(run_id=run_id or None):
        telling = _Telling.of(config, known, reached=reached)
        if isinstance(error, WarehouseInUseError):
            _tell_in_use(telling, error)
            return
        _count_failure(telling)
        _tell_failure(telling, error)
        _tell_critical(telling, [r for r in critical if _error_of(r) is not error])


def _tell_in_use(telling: _Telling, error: Exception) -> None:
    slack = telling.alert(
        severity=WARNING, topic="Warehouse in Use", status="NOT RUN", **error_facts(error)
    )
    telling.notifier.notify(telling.key("warehouse_in_use"), slack=slack)


def _tell_failure(telling: _Telling, error: Exception) -> None:
    alert = telling.alert(
        severity=CRITICAL,
        topic=f"{telling.config.environment} Run",
        stage=_stage(error),
        records_affected="all of this run; what it had not committed was rolled back",
        **error_facts(error),
    )
    key = telling.key("run", type(error).__name__)
    telling.notifier.notify(key, email=alert, slack=replace(alert, severity=ERROR))


def _stage(error: BaseException | None) -> str:
    fitting = (stage for kind, stage in _STAGES if isinstance(error, kind))
    return next(fitting, "Pipeline Run")


def _error_of(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _tell_critical(telling: _Telling, records: list[logging.LogRecord]) -> None:
    """What was logged as critical, and did not end the run."""
    handler = CriticalAlertHandler(telling.config.alerts, notifier=telling.notifier)
    for record in records:
        handler.handle(record)


# --- a run that ended with a summary -----------------------------------------------------


def _tell_summary(config: Config, critical: list[logging.LogRecord], summary: RunSummary) -> None:
    with log_context(run_id=summary.run_id):
        telling = _Telling.of(config, _known(summary), reached=True)
        _TELL[summary.exit_code or EXIT_OK](telling, summary)
        _tell_critical(telling, critical)
        if summary.anomalies:
            anomalies = [anomaly.as_dict() for anomaly in summary.anomalies]
            run = {"run_id": summary.run_id, "environment": config.environment}
            run["log_file"], run["last_success"] = telling.known.log_file, telling.last_success()
            process_quality_alerts(anomalies, config.alerts, notifier=telling.notifier, context=run)


def _known(summary: RunSummary) -> Alert:
    measured = summary.measured
    stats = (
        ("Success Rate", summary.success_rate, "{:.1%}"),
        ("Error Rate", measured.error_rate, "{:.1%}"),
        ("Processing Speed", measured.records_per_second, "{:,.1f} records/sec"),
    )
    return Alert(
        run_id=summary.run_id,
        seconds=summary.seconds,
        records_processed=f"{summary.records_loaded or 0:,} / {measured.records or 0:,}",
        stats=tuple((name, form.format(n)) for name, n, form in stats if n is not None),
    )


def _tell_all_failed(telling: _Telling, summary: RunSummary) -> None:
    _count_failure(telling)
    errors = [source.error for source in summary.sources]
    facts = _all_facts([error for error in errors if error is not None])
    facts["message"] = "\n".join(summary.attention)
    alert = telling.alert(
        severity=CRITICAL,
        topic=f"{telling.config.environment} Run, All Sources",
        stage=_stage(next(iter(errors), None)),
        records_affected="all records of all sources; nothing was loaded",
        **facts,
    )
    kinds = sorted({type(error).__name__ for error in errors if error is not None})
    key = telling.key("run", "+".join(kinds) or "failed")
    telling.notifier.notify(key, email=alert, slack=replace(alert, severity=ERROR))


def _all_facts(errors: list[BaseException]) -> dict[str, str]:
    facts = [error_facts(error) for error in errors]
    return {
        "error_type": "; ".join(dict.fromkeys(fact["error_type"] for fact in facts)),
        "stack_trace": "\n".join(fact["stack_trace"] for fact in facts),
    }


def _tell_attention(telling: _Telling, summary: RunSummary) -> None:
    _count_failure(telling)
    for source in summary.failed_sources:
        _tell_source(telling, source)
    told = {f"{source.source}: {source.message}" for source in summary.failed_sources}
    checks = summary.failed_checks
    if checks:
        _tell_checks(telling, checks)
        told |= {f"check {check.name}: {check.message}" for check in checks}
    for line in summary.attention:
        if line not in told:
            _tell_line(telling, line)


def _tell_source(telling: _Telling, source: SourceOutcome) -> None:
    name, error = source.source, source.error
    held_back = isinstance(error, HeldBackError)
    facts = error_facts(error) if error else {"message": source.message}
    email = telling.alert(
        severity=WARNING if held_back else ERROR,
        headline="Source Held Back" if held_back else "Source Failed",
        topic=f"{name.capitalize()} Processing",
        status=f"{source.status.upper()}, the other sources went on",
        stage=_stage(error),
        records_affected=f"all {name} of this run; {source.table} is as it was",
        **facts,
    )
    key = telling.key(name, type(error).__name__ if error else "failed")
    telling.notifier.notify(key, email=email, slack=replace(email, severity=WARNING))


def _tell_checks(telling: _Telling, checks: Sequence[Check]) -> None:
    names = [check.name for check in checks]
    alert = telling.alert(
        severity=WARNING,
        headline="Quality Check Failed",
        topic=", ".join(names[:3]),
        status="LOADED, a check failed",
        stage="Validation",
        error_type="QualityCheckFailed",
        message="\n".join(f"{check.name}: {check.message}" for check in checks),
        records_affected=", ".join(f"{check.name}: {check.value}" for check in checks),
    )
    key = telling.key("check", *sorted(names))
    telling.notifier.notify(key, email=alert, slack=alert)


def _tell_line(telling: _Telling, line: str) -> None:
    """Something else to look at, such as an archive that was not written."""
    subject = line.partition(":")[0]
    alert = telling.alert(
        severity=WARNING,
        topic=subject.capitalize(),
        status="LOADED, something to look at",
        stage=subject.capitalize(),
        message=line,
        records_affected="none, the tables are loaded",
    )
    telling.notifier.notify(telling.key("attention", subject), email=alert, slack=alert)


def _tell_success(telling: _Telling, summary: RunSummary) -> None:
    failures, since = _take_failures(telling)
    lines = [_loaded(table) for table in summary.tables if table.source != UNKNOWN]
    if failures:
        runs = "1 run" if failures == 1 else f"{failures:,} runs"
        lines.insert(0, f"Recovered: {runs} since {since} had failed or needed attention.")
    alert = replace(
        telling.known,
        severity=SUCCESS,
        topic=f"{telling.config.environment} Run {'Recovered' if failures else 'Loaded'}",
        message="\n".join(lines),
    )
    telling.notifier.notify_always(telling.key("success"), alert)


def _loaded(table: TableCounts) -> str:
    names = ("read", "inserted", "updated", "unchanged", "rejected", "duplicate")
    told = ", ".join(f"{count_words(table.count(f'rows_{name}'))} {name}" for name in names)
    return f"{table.source}: {told}"


_TELL: Mapping[int, Callable[[_Telling, RunSummary], None]] = {
    EXIT_OK: _tell_success,
    EXIT_ATTENTION: _tell_attention,
    EXIT_FAILED: _tell_all_failed,
}


# --- what is remembered of runs ----------------------------------------------------------


def _runs(data: dict[str, Any], config: Config) -> dict[str, Any]:
    """What is remembered of the runs of an environment."""
    for name in ("runs", config.environment):
        if not isinstance(data.get(name), dict):
            data[name] = {}
        data = data[name]
    return data


def _count_failure(telling: _Telling) -> None:
    def count(data: dict[str, Any]) -> None:
        runs = _runs(data, telling.config)
        runs["failures"] = _whole(runs.get("failures")) + 1
        runs.setdefault("failing_since", time_text(utc_now()))

    telling.state.change(count)


def _take_failures(telling: _Telling) -> tuple[int, str]:
    """How many runs since when did not go well; from now on none, because this one did."""

    def take(data: dict[str, Any]) -> tuple[int, str]:
        runs = _runs(data, telling.config)
        failures = _whole(runs.pop("failures", 0))
        since = str(runs.pop("failing_since", ""))
        runs["last_success"] = time_text(utc_now())
        return failures, since

    return telling.state.change(take)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
