"""The alerts of a run: by how it ended, and by what its summary says."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from etl.alerts.actions import quality_actions
from etl.alerts.alert import CRITICAL, ERROR, SUCCESS, WARNING, Alert
from etl.alerts.faults import fault_key
from etl.alerts.notifier import CriticalAlertHandler, process_quality_alerts
from etl.alerts.remembered import count_failure, take_failures
from etl.alerts.reporter import Commands, Reporter
from etl.alerts.texts import time_text
from etl.cloud.paths import is_address
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
from etl.history.judged import Check
from etl.history.mart_outcomes import faults_in_words
from etl.history.outcomes import SourceOutcome, TableCounts
from etl.history.runs import utc_now
from etl.history.summary import RunSummary
from etl.monitoring.logs import log_context
from etl.resilience.transient import is_transient
from etl.settings.config import Config
from etl.words import UNKNOWN, count_words, counted

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
    config: Config,
    job: Callable[[logging.Handler], RunSummary],
    *,
    quiet: bool = False,
    arguments: str = "",
) -> RunSummary:
    """Do a run, and alert whom it concerns to how it ended.

    Args:
        config: the settings.
        job: does the run and returns its summary; takes a log handler for CRITICAL records.
        quiet: alerts nobody, as for a dry run.
        arguments: of the command line, besides the environment, with which the same run is done
            again.

    Returns:
        The summary of the run.

    Raises:
        Exception: what the run has raised; nothing because of an alert.
    """
    if quiet:
        return job(logging.NullHandler())
    started, critical = time.monotonic(), _Kept(logging.CRITICAL)
    commands = Commands.of(config, arguments)
    try:
        summary = job(critical)
    except Exception as error:
        known = Alert(seconds=time.monotonic() - started, run_id=_run_id(critical.records))
        _safely(partial(_report_error, config, commands, critical.records, error, known))
        raise
    _safely(partial(_report_summary, config, commands, critical.records, summary))
    return summary


def _safely(report: Callable[[], None]) -> None:
    try:
        report()
    except Exception as error:
        logger.warning("alerts were not sent: %s: %s", type(error).__name__, error)
        logger.debug("alerts were not sent", exc_info=True)


def _run_id(records: Sequence[logging.LogRecord]) -> str:
    return str(next(filter(None, (getattr(record, "run_id", None) for record in records)), ""))


# --- a run that ended with an error ------------------------------------------------------


def _report_error(
    config: Config,
    commands: Commands,
    critical: Sequence[logging.LogRecord],
    error: Exception,
    known: Alert,
) -> None:
    reached = bool(known.run_id) and not is_transient(error)
    with log_context(run_id=known.run_id or None):
        run = Reporter.of(config, commands, known, reached=reached)
        if isinstance(error, WarehouseInUseError):
            _report_in_use(run, error)
            return
        count_failure(run.state, run.config)
        _report_failure(run, error)
        _report_critical(run, [r for r in critical if _error_of(r) is not error])


def _report_in_use(run: Reporter, error: Exception) -> None:
    slack = run.alert(
        severity=WARNING, topic="Warehouse in Use", status="NOT RUN", **run.facts(error)
    )
    run.notifier.notify(run.key("warehouse_in_use"), slack=slack)


def _report_failure(run: Reporter, error: Exception) -> None:
    alert = run.alert(
        severity=CRITICAL,
        topic=f"{run.config.environment} Run",
        stage=_stage(error),
        records_affected="all of this run; what it had not committed was rolled back",
        **run.facts(error),
    )
    key = run.key("run", fault_key(error))
    run.notifier.notify(key, email=alert, slack=replace(alert, severity=ERROR))


def _stage(error: BaseException | None) -> str:
    fitting = (stage for kind, stage in _STAGES if isinstance(error, kind))
    return next(fitting, "Pipeline Run")


def _error_of(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _report_critical(run: Reporter, records: Sequence[logging.LogRecord]) -> None:
    """Report what was logged as critical, and did not end the run."""
    handler = CriticalAlertHandler(run.config.alerts, notifier=run.notifier)
    for record in records:
        handler.handle(record)


# --- a run that ended with a summary -----------------------------------------------------


def _report_summary(
    config: Config, commands: Commands, critical: Sequence[logging.LogRecord], summary: RunSummary
) -> None:
    with log_context(run_id=summary.run_id):
        run = Reporter.of(config, commands, _known(summary), reached=True)
        if summary.status == run_history.SUCCESS:  # it is the last one itself: nothing is asked
            run = replace(run, last_success=partial(time_text, utc_now()))
        _REPORTS[summary.exit_code or EXIT_OK](run, summary)
        _report_critical(run, critical)
        _report_anomalies(run, summary)


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


def _report_anomalies(run: Reporter, summary: RunSummary) -> None:
    context = {
        "run_id": summary.run_id, "environment": run.config.environment,
        "log_file": run.known.log_file, "last_success": run.last_success(),
        "actions": quality_actions(program=run.commands.program),
    }  # fmt: skip
    anomalies = [anomaly.as_dict() for anomaly in summary.anomalies]
    process_quality_alerts(anomalies, run.config.alerts, notifier=run.notifier, context=context)


def _report_all_failed(run: Reporter, summary: RunSummary) -> None:
    count_failure(run.state, run.config)
    errors = [source.error for source in summary.sources if source.error is not None]
    alert = run.alert(
        severity=CRITICAL,
        topic=f"{run.config.environment} Run, All Sources",
        stage=_stage(next(iter(errors), None)),
        records_affected="all records of all sources; nothing was loaded",
        stats=(*run.known.stats, *_rejected_files(summary.sources)),
        **_facts_of_all(run, errors),
        message="\n".join(summary.attention),
    )
    key = run.key("run", "+".join(sorted({fault_key(error) for error in errors})) or "failed")
    run.notifier.notify(key, email=alert, slack=replace(alert, severity=ERROR))


def _facts_of_all(run: Reporter, errors: Sequence[BaseException]) -> dict[str, Any]:
    facts = [run.facts(error) for error in errors]
    return {
        "error_type": "; ".join(dict.fromkeys(fact["error_type"] for fact in facts)),
        "cause": "; ".join(dict.fromkeys(fact["cause"] for fact in facts if fact["cause"])),
        "stack_trace": "\n".join(fact["stack_trace"] for fact in facts),
        "actions": tuple(dict.fromkeys(step for fact in facts for step in fact["actions"])),
    }


def _rejected_files(sources: Iterable[SourceOutcome]) -> Iterator[tuple[str, str]]:
    for source in sources:
        if source.rejected_file:
            file = source.rejected_file
            path = file if is_address(file) else str(Path(file).absolute())
            yield f"Rejected {source.source.capitalize()}", path


def _report_attention(run: Reporter, summary: RunSummary) -> None:
    count_failure(run.state, run.config)
    for source in summary.failed_sources:
        if source.status != run_history.SKIPPED:  # the alert about the cause names what is loaded
            _report_source(run, source, summary)
    reported = {source.named_message for source in summary.failed_sources}
    # likewise
    reported |= {*faults_in_words(m for m in summary.marts if m.status == run_history.SKIPPED)}
    checks = summary.failed_checks
    if checks:
        _report_checks(run, checks)
        reported |= {f"check {check.name}: {check.message}" for check in checks}
    for line in summary.attention:
        if line not in reported:
            _report_line(run, line)


def _report_source(run: Reporter, source: SourceOutcome, summary: RunSummary) -> None:
    name, error = source.source, source.error
    held_back = isinstance(error, HeldBackError)
    facts = run.facts(error) if error else {"message": source.message}
    email = run.alert(
        severity=WARNING if held_back else ERROR,
        headline="Source Held Back" if held_back else "Source Failed",
        topic=f"{name.capitalize()} Processing",
        status=f"{source.status.upper()}, loaded: {_loaded_sources(summary)}",
        stage=_stage(error),
        records_affected=_affected(source),
        stats=(*run.known.stats, *_rejected_files([source])),
        **facts,
    )
    key = run.key(name, fault_key(error) if error else "failed")
    run.notifier.notify(key, email=email, slack=replace(email, severity=WARNING))


def _loaded_sources(summary: RunSummary) -> str:
    return ", ".join(each.source for each in summary.sources if each.loaded) or "none"


def _affected(source: SourceOutcome) -> str:
    counts = source.counts
    known = counts is not None and counts.rows_read
    rejected = f" ({counts.rows_read:,} read, {counts.rows_rejected:,} rejected)" if known else ""  # type: ignore[union-attr]  # it is known
    return f"all {source.source} of this run{rejected}; {source.table} is unchanged"


def _report_checks(run: Reporter, checks: Sequence[Check]) -> None:
    names = [check.name for check in checks]
    alert = run.alert(
        severity=WARNING,
        headline="Quality Check Failed",
        topic=", ".join(names[:3]),
        status="LOADED, a check failed",
        stage="Validation",
        error_type="QualityCheckFailed",
        message="\n".join(f"{check.name}: {check.message}" for check in checks),
        records_affected=", ".join(f"{check.name}: {check.value}" for check in checks),
        actions=quality_actions(program=run.commands.program),
    )
    key = run.key("check", *sorted(names))
    run.notifier.notify(key, email=alert, slack=alert)


def _report_line(run: Reporter, line: str) -> None:
    """Report something else to look at, such as an archive that was not written."""
    subject = line.partition(":")[0]
    alert = run.alert(
        severity=WARNING,
        topic=subject.capitalize(),
        status="LOADED, needs attention",
        stage=subject.capitalize(),
        message=line,
        records_affected="none, the tables are loaded",
    )
    run.notifier.notify(run.key("attention", subject), email=alert, slack=alert)


def _report_success(run: Reporter, summary: RunSummary) -> None:
    failures, since = take_failures(run.state, run.config)
    lines = [_loaded(table) for table in summary.tables if table.source != UNKNOWN]
    if failures:
        runs = counted(failures, "run")
        lines.insert(0, f"Recovered: {runs} since {since} had failed or needed attention.")
    alert = replace(
        run.known,
        severity=SUCCESS,
        topic=f"{run.config.environment} Run {'Recovered' if failures else 'Loaded'}",
        message="\n".join(lines),
    )
    run.notifier.notify_always(run.key("success"), alert)


def _loaded(table: TableCounts) -> str:
    names = ("read", "inserted", "updated", "unchanged", "rejected", "duplicate")
    words = (*names[:-1], "duplicates")
    counts = ", ".join(
        f"{count_words(table.count(f'rows_{name}'))} {word}"
        for name, word in zip(names, words, strict=True)
    )
    return f"{table.source}: {counts}"


_REPORTS: Mapping[int, Callable[[Reporter, RunSummary], None]] = {
    EXIT_OK: _report_success,
    EXIT_ATTENTION: _report_attention,
    EXIT_FAILED: _report_all_failed,
}
