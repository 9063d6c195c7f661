"""One run from its plan to its summary: what is done, in which order, and what is kept of it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from etl.engines.database import DatabaseManager
from etl.errors import ETLError
from etl.history import audit
from etl.history.journal import read_entries
from etl.history.lineage import record_lineage
from etl.history.outcomes import SourceOutcome
from etl.history.records import RunRecord, journal_path, journaled, status_of
from etl.history.runs import REPROCESS, Applied, LoadCounts, utc_now
from etl.history.summary import RunSummary
from etl.history.validation import checks_before_loading
from etl.monitoring.logs import IN_SUMMARY, log_context
from etl.monitoring.metrics import ETLMetrics
from etl.pipeline.arguments import Arguments, days_of, mode_of, window_of
from etl.pipeline.context import RunContext, kept
from etl.pipeline.kept_columns import star_tables
from etl.pipeline.left import is_as_left, note_as_left
from etl.pipeline.letter_report import report_letters
from etl.pipeline.loads import run_loads
from etl.pipeline.marts import build_marts
from etl.pipeline.planning import notices_of_settings, plan_run, planned_sources, sales_not_read
from etl.pipeline.profiling import profile_loads
from etl.pipeline.progress import VALIDATING
from etl.pipeline.read_copy import refresh_read_copy
from etl.pipeline.stages import VALIDATION, Stages, log_run_end, measured
from etl.pipeline.summarize import Findings, summarize
from etl.pipeline.watching import shown
from etl.pipeline.where_read import where_read
from etl.pipeline.workspace import (
    PROCESSED,
    QUALITY,
    clear_leftovers,
    older_warehouse,
    require_writable,
    scratch_folder,
)
from etl.quality.judge import Asked, Judged, judge
from etl.quality.own_checks import own_rules, require_own_rules, tables_there
from etl.quality.rule import RowRule
from etl.reports.business import BUSINESS, Before, business_figures, kept_business, write_business
from etl.reports.dashboard import DASHBOARD, MOST_RUNS, write_dashboard
from etl.reports.quality import write_report
from etl.settings.config import Config, masked_settings
from etl.sources.archive import archive_run
from etl.sources.declared import files_of
from etl.sources.sales_queries import sales_query
from etl.telemetry.emit import emit_end, emit_start
from etl.warehouse.calendar import fill_calendar
from etl.warehouse.export import export_tables
from etl.warehouse.own_history import built_in_tables
from etl.warehouse.own_loads import OwnLoad, own_loads, tables_of
from etl.warehouse.versions import faults_of_versions

logger = logging.getLogger(__name__)


def run_job(config: Config, args: Arguments) -> RunSummary:
    """Open the warehouse, plan the run, do it, and return its summary.

    Raises:
        ETLError: the run failed as a whole; it has been logged, and written into the history
            when the warehouse could be opened.
    """
    asked = window_of(args, watermark=None, lag_days=0)
    record = RunRecord(config, mode_of(args), asked)
    with _end_logged(record):
        if args.dry_run:
            return _run(config, args, record)
        with _failure_logged():
            require_writable(config)
        with _on_the_page(config), _reported(record), journaled(record):
            summary = _run(config, args, record)
            note_as_left(config)
            return summary


@contextmanager
def _end_logged(record: RunRecord) -> Iterator[None]:
    """Log how the run ended, however it did."""
    try:
        yield
    except BaseException as error:
        log_run_end(record.failed(error))
        raise
    if record.summary is not None:
        log_run_end(record.summary)


@contextmanager
def _on_the_page(config: Config) -> Iterator[None]:
    """Refresh the page over the runs, however this one ends; that never fails a run."""
    try:
        yield
    finally:
        try:
            entries = read_entries(journal_path(config), most=MOST_RUNS)
            write_dashboard(entries, config.files.environment_dir / DASHBOARD)
        except Exception as error:  # the load is worth more than its page
            logger.error("the page over the runs was not written: %s", error, exc_info=True)


@contextmanager
def _reported(record: RunRecord) -> Iterator[None]:
    """Report to other systems how the run ended, however it did."""
    try:
        yield
    finally:
        emit_end(record)


@contextmanager
def _failure_logged() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        logger.critical("the run was interrupted; what was not committed is rolled back")
        raise
    except BaseException as error:
        logger.critical("the run failed: %s", error or type(error).__name__, exc_info=True)
        if isinstance(error, ETLError):
            error.reported = True
        raise


def _run(config: Config, args: Arguments, record: RunRecord) -> RunSummary:
    metrics = ETLMetrics()
    config = config.for_days(*days) if (days := days_of(args)) else config
    with ExitStack() as stack:
        with _failure_logged():
            # engines keep files there open to the end, so it is removed after they are closed
            parent = None if args.dry_run else config.files.environment_dir
            scratch = stack.enter_context(scratch_folder(parent))
            start = stack.enter_context(where_read(config, args, scratch))
            older = older_warehouse(config)
            db = stack.enter_context(_warehouse(config, args, scratch))
            as_left = is_as_left(config)
            own = own_loads(db, config)
            plan = kept(db, config, lambda: plan_run(db, config, args, own))
            record.plan, record.tables = plan, tuple(tables_of(own))
        with log_context(run_id=plan.run_id), _failure_logged():
            logger.info(
                "run %s: %s, %s", plan.run_id, plan.mode, plan.window,
                extra={"event": "run_start", "environment": plan.environment, "mode": plan.mode},
            )  # fmt: skip
            stages = Stages(metrics, record.stage_times)
            run = RunContext(config, args, db, plan, record, metrics, stages, start, scratch,
                             own, as_left=as_left, rules=_own_rules(db, config, own))  # fmt: skip
            with shown(run.progress, bars=not args.json):
                record.summary = _preview(run) if args.dry_run else _load(run, Findings(older))
            return record.summary


def _own_rules(db: DatabaseManager, config: Config, own: Sequence[OwnLoad]) -> tuple[RowRule, ...]:
    rules = own_rules(config.pipeline, list(tables_of(own)))
    if rules:
        require_own_rules(db, config.pipeline, rules, list(tables_there(db, rules)))
    return rules


def _warehouse(config: Config, args: Arguments, scratch: Path) -> DatabaseManager:
    return DatabaseManager.from_config(
        config, read_only=args.dry_run, temp_directory=str(scratch / "warehouse")
    )


# --- doing -------------------------------------------------------------------------------


def _preview(run: RunContext) -> RunSummary:
    outcomes, _ = _run_loads(run)
    counted = Applied({outcome.table: outcome.counts or LoadCounts() for outcome in outcomes})
    return summarize(run, outcomes, counted, Findings())


def _load(run: RunContext, findings: Findings) -> RunSummary:
    audit.begin_run(run.db, run.plan)
    emit_start(run.config, run.plan)
    try:
        clear_leftovers(run.output, list(tables_of(run.own)))
        summary = _load_and_validate(run, findings)
        run.db.publish()  # so that a run that is done can be seen to be
    except BaseException as error:
        _finish_failed(run, error)
        raise
    finish = partial(
        audit.finish_run, run.db, run.plan.run_id, status=summary.status, finished_at=utc_now(),
        error=summary.error,
    )  # fmt: skip
    run.kept(finish)
    run.record.in_history = True
    _report_quality(run.output / QUALITY, summary)
    _keep_business(run, findings.judged.since)
    refresh_read_copy(run.db, run.config.database.read_copy)
    return replace(summary, in_history=True)


_QUALITY_FACTS = ("run_id", "environment", "window", "warehouse")


def _report_quality(folder: Path, summary: RunSummary) -> None:
    """Write the report of a run; what hinders it is logged, since the warehouse has it too."""
    facts = {name: getattr(summary, name) for name in _QUALITY_FACTS}
    facts["finished_at"] = utc_now().isoformat(" ", "seconds") + " UTC"
    try:
        anomalies = [anomaly.as_dict() for anomaly in summary.anomalies]
        validation = [check.as_dict() for check in checks_before_loading(summary)]
        report = {**facts, **summary.quality(), "validation": validation}
        write_report(folder, report, anomalies)
    except OSError as error:
        logger.error(
            "the quality report is not written to %s: %s", folder, error.strerror or error,
            exc_info=True,
        )  # fmt: skip  # one line on the console


def _keep_business(run: RunContext, since: datetime | None) -> None:
    """Keep the figures of the sales for the page; what hinders it is logged."""
    path, run_id = run.output / BUSINESS, run.plan.run_id
    before = Before(kept_business(path), run_id, since) if since else None
    try:
        figures = run.kept(partial(business_figures, run.db, before))
        write_business(path, figures, run_id)
    except (ETLError, OSError) as error:  # the load itself is done
        logger.error("the page has no new figures of the sales: %s", error, exc_info=True)


def _finish_failed(run: RunContext, error: BaseException) -> None:
    try:
        audit.finish_run(
            run.db, run.plan.run_id, status=status_of(error), finished_at=utc_now(),
            error=str(error),
        )  # fmt: skip
        run.record.in_history = True
    except Exception as failure:  # the first error is the one to be reported
        logger.error(
            "the end of run %s is not in the history: %s", run.plan.run_id, failure, exc_info=True
        )


def _load_and_validate(run: RunContext, findings: Findings) -> RunSummary:
    findings.attention += _archive(run)
    outcomes, applied = _run_loads(run)
    run.kept(partial(fill_calendar, run.db))
    run.kept(partial(record_lineage, run.db, run.plan.run_id, run.ledger.lineage))
    run.kept(partial(audit.require_balance, run.db, run.plan.run_id))
    report_letters(run, findings)
    findings.notices += _found(run, lambda: notices_of_settings(run))
    findings.attention += _found(run, lambda: sales_not_read(run, outcomes))
    findings.attention += _found(run, lambda: _faulty_versions(run))
    findings.judged = _validate(run, applied)
    findings.marts = build_marts(run, outcomes)
    findings.exported += _export(run, findings)
    profile_loads(run, outcomes)
    return summarize(run, outcomes, applied, findings)


def _faulty_versions(run: RunContext) -> Iterator[str]:
    own = (each.whole for each in run.own)
    return faults_of_versions(run.db, (*built_in_tables(run.config), *own))


def _run_loads(run: RunContext) -> tuple[tuple[SourceOutcome, ...], Applied]:
    sources = planned_sources(run)
    run.progress.expect(source.name for source in sources)
    return run_loads(replace(run, sources=sources))


def _found(run: RunContext, look: Callable[[], Iterator[str]]) -> list[str]:
    lines = run.kept(lambda: list(look()))
    for line in lines:
        logger.warning("%s", line, extra=IN_SUMMARY)
    return lines


def _validate(run: RunContext, applied: Applied) -> Judged:
    run.progress.step("tables", VALIDATING)
    is_due = run.args.validate or not run.as_left
    days = 0 if is_due else run.config.processing.full_check_days
    with measured(run.stages, run.metrics, VALIDATION) as counted:
        loaded = {t: s for t, s in run.ledger.sketches.items() if t in applied.counts}
        declared = tuple(own.table for own in run.own if own.table.name in applied.counts)
        asked = Asked(days, run.rules, run.config.pipeline.score_weights, loaded, declared,
                      run.config.processing.max_drift)  # fmt: skip
        judged = run.kept(partial(judge, run.db, run.plan, applied, asked))
        counted["error_count"] = len(judged.failed)
    return judged


def _archive(run: RunContext) -> list[str]:
    """Keep a copy of the sources; return what went wrong, for a person to look at."""
    folder = run.config.files.archive_dir
    if folder is None or run.plan.mode == REPROCESS:
        return []
    from_database = run.config.database.sales_db_connection_string is not None
    paths = [path for paths in run.config.source_files.values() for path in paths]
    paths += _own_files(run)
    try:
        archive_run(
            folder, run.plan.run_id, files=paths, settings=masked_settings(run.config),
            query=sales_query() if from_database else "", window=str(run.plan.window),
        )  # fmt: skip
    except ETLError as error:  # the sources themselves are whole, so the load goes on
        logger.error("the sources were not archived: %s", error, exc_info=True, extra=IN_SUMMARY)
        return [f"archive: {error}"]
    return []


def _own_files(run: RunContext) -> Iterator[Path]:
    """The files of declared loads, and the one that declares them."""
    for files in filter(None, (files_of(each.records) for each in run.own)):
        yield from (file.path for file in files.files)
    if run.config.pipeline.loads or run.config.pipeline.sources:
        yield run.config.pipeline.path


def _export(run: RunContext, findings: Findings) -> list[Path]:
    """Write the tables to files if asked for."""
    if not run.args.export:
        return []
    try:
        own = (each.whole for each in run.own)
        tables = (*star_tables(run.db, run.config), *own, *findings.marts.tables)
        folder = run.config.files.results_dir / PROCESSED
        return export_tables(run.db, folder, run.args.export, tables)
    except ETLError as error:  # the load itself is done
        logger.error("%s", error, exc_info=True, extra=IN_SUMMARY)  # its own message
        findings.attention.append(f"export: {error}")
        return []
