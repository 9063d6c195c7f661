"""One run from its plan to its summary: what is done, in which order, and what is kept of it."""

import argparse
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from etl.engines.database import DatabaseManager
from etl.errors import EXIT_ATTENTION, EXIT_FAILED, EXIT_OK, ETLError
from etl.history import audit as run_history
from etl.history.journal import read_entries
from etl.history.lineage import record_lineage
from etl.history.read_keys import read_since
from etl.history.records import (
    RunRecord,
    error_text,
    journal_path,
    journaled,
    missed_runs,
    record_missed,
    status_of,
    without_secrets,
)
from etl.history.runs import INCREMENTAL, REPROCESS, Applied, LoadCounts, RunPlan, utc_now
from etl.history.summary import (
    Anomaly,
    Check,
    Measured,
    RunSummary,
    SourceOutcome,
    TableCounts,
)
from etl.monitoring.logs import log_context
from etl.monitoring.metrics import ETLMetrics
from etl.pipeline import console
from etl.pipeline.arguments import mode_of, window_of
from etl.pipeline.loads import (
    Run,
    Source,
    lineage_of,
    reprocessed_source,
    run_loads,
    sources_of,
)
from etl.pipeline.workspace import (
    PROCESSED,
    QUALITY,
    REJECTED,
    clear_leftovers,
    require_writable,
    scratch_folder,
)
from etl.quality.judge import NOT_JUDGED, Judged, judge
from etl.reports.business import BUSINESS, business_figures, write_business
from etl.reports.dashboard import DASHBOARD, MOST_RUNS, write_dashboard
from etl.reports.quality import write_report
from etl.resilience.retry import retry_with_backoff
from etl.schema.tables import SALES_FACT, STAR_TABLES, Table
from etl.settings.config import Config, masked_settings
from etl.sources.archive import archive_run
from etl.sources.corrected import read_corrected
from etl.sources.sales import sales_query
from etl.sources.window import Window, hull
from etl.warehouse.export import export_tables
from etl.warehouse.staging import known_texts
from etl.warehouse.tables import create_tables

R = TypeVar("R")

logger = logging.getLogger(__name__)

_STATUS = {
    EXIT_OK: run_history.SUCCESS,
    EXIT_ATTENTION: run_history.ATTENTION,
    EXIT_FAILED: run_history.FAILED,
}


@dataclass(frozen=True)
class Job:
    """A run under way."""

    config: Config
    args: argparse.Namespace
    db: DatabaseManager
    plan: RunPlan
    metrics: ETLMetrics
    scratch: Path
    record: RunRecord

    @property
    def output(self) -> Path:
        """Where results go."""
        return self.config.files.environment_dir


def run_job(config: Config, args: argparse.Namespace) -> RunSummary:
    """Opens the warehouse, plans the run, does it, and returns its summary.

    Raises:
        ETLError: the run failed as a whole; it has been logged, and written into the history
            when the warehouse could be opened.
    """
    asked = window_of(args, watermark=None, lag_days=0)
    record = RunRecord(config, mode_of(args), asked)
    if args.dry_run:
        return _run(config, args, record)
    with _failure_logged():
        require_writable(config)
    with _on_the_page(config), journaled(record):
        record.summary = _run(config, args, record)
        return record.summary


@contextmanager
def _on_the_page(config: Config) -> Iterator[None]:
    """Refreshes the page over the runs, however this one ends; that never fails a run."""
    try:
        yield
    finally:
        try:
            entries = read_entries(journal_path(config), most=MOST_RUNS)
            write_dashboard(entries, config.files.environment_dir / DASHBOARD)
        except Exception as error:  # the load is worth more than its page
            logger.error("the page over the runs was not written: %s", error, exc_info=True)


def _run(config: Config, args: argparse.Namespace, record: RunRecord) -> RunSummary:
    metrics = ETLMetrics()
    with ExitStack() as stack:
        with _failure_logged():
            # engines keep files there open to the end, so it is removed after they are closed
            parent = None if args.dry_run else config.files.environment_dir
            scratch = stack.enter_context(scratch_folder(parent))
            db = stack.enter_context(_warehouse(config, args, scratch))
            plan = record.plan = _plan(db, config, args)
        with log_context(run_id=plan.run_id), _failure_logged():
            logger.info("run %s: %s, %s", plan.run_id, plan.mode, plan.window)
            job = Job(config, args, db, plan, metrics, scratch, record)
            return _preview(job) if args.dry_run else _load(job)


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


# --- planning ----------------------------------------------------------------------------


def _warehouse(config: Config, args: argparse.Namespace, scratch: Path) -> DatabaseManager:
    return DatabaseManager.from_config(
        config, read_only=args.dry_run, temp_directory=str(scratch / "warehouse")
    )


def _plan(db: DatabaseManager, config: Config, args: argparse.Namespace) -> RunPlan:
    create_tables(db)
    started_at = utc_now()
    if not args.dry_run:
        _complete_history(db, config, args, started_at)
    run_id = run_history.next_run_id(db, started_at)
    window = _window(db, config, args)
    return RunPlan(run_id, config.environment, mode_of(args), window, started_at)


def _complete_history(
    db: DatabaseManager, config: Config, args: argparse.Namespace, now: datetime
) -> None:
    """Writes down how earlier runs ended that could not do so themselves."""
    missed = missed_runs(config)
    errors = {run["run_id"]: run["error"] for run in missed}
    for killed in run_history.mark_killed(db, now, errors):
        logger.warning(
            "run %s (%s, %s) was killed; what it had not committed was rolled back%s",
            killed.run_id, killed.mode, killed.window, _advice(killed, mode_of(args)),
        )  # fmt: skip
    for run in record_missed(db, missed):
        logger.warning(
            "run %s ended without the warehouse (%s); it is in the history now: %s",
            run["run_id"], run["status"], run["error"],
        )  # fmt: skip


def _advice(run: run_history.PastRun, mode: str) -> str:
    if mode == INCREMENTAL and run.mode in run_history.RELOADED:
        return "; this run takes its sales up again"
    return "" if run.mode in (INCREMENTAL, mode) else "; run it again"


def _window(db: DatabaseManager, config: Config, args: argparse.Namespace) -> Window:
    window = window_of(
        args,
        watermark=run_history.read_watermark(db, SALES_FACT),
        lag_days=config.processing.watermark_lag_days,
    )
    if mode_of(args) == INCREMENTAL:
        for missed in run_history.windows_to_reload(db, SALES_FACT):
            logger.info("taken up again: %s, which an earlier run did not load", missed)
            window = hull(window, missed)
    return window


def _sources(job: Job) -> tuple[Source, ...]:
    if job.plan.mode != REPROCESS:
        reading = str(job.scratch / "sales")
        return sources_of(job.config, job.plan.window, scratch=reading)
    corrected = read_corrected(Path(job.args.reprocess_rejected))
    source = reprocessed_source(job.config, corrected)
    later = read_since(job.db, source.table, corrected.keys())
    for (key, run_id), later_run in later.items():
        logger.info("%s of run %s skipped: run %s has read it since", key, run_id, later_run)
    kept = corrected.without(later)
    if kept.absent:
        keys = [pair[0] for pair in kept.keys()]  # noqa: SIM118  # no dict
        kept = kept.completed(known_texts(job.db, source.table, keys))
    return (reprocessed_source(job.config, kept),)


# --- doing -------------------------------------------------------------------------------


def _preview(job: Job) -> RunSummary:
    outcomes, _ = _run_loads(job, dry_run=True)
    counted = Applied({outcome.table: outcome.counts or LoadCounts() for outcome in outcomes})
    return _summary(job, outcomes, applied=counted)


def _load(job: Job) -> RunSummary:
    run_history.begin_run(job.db, job.plan)
    try:
        clear_leftovers(job.output)
        summary = _load_and_validate(job)
    except BaseException as error:
        _finish_failed(job, error)
        raise
    finish = partial(
        run_history.finish_run, job.db, job.plan.run_id, status=summary.status,
        finished_at=utc_now(), error=summary.error,
    )  # fmt: skip
    _kept(job, finish)
    job.record.in_history = True
    _report_quality(job.output / QUALITY, summary)
    _keep_business(job)
    return replace(summary, in_history=True)


def _keep_business(job: Job) -> None:
    """Keep the figures of the sales for the page; what hinders it is logged."""
    try:
        figures = _kept(job, partial(business_figures, job.db))
        write_business(job.output / BUSINESS, figures, job.plan.run_id)
    except (ETLError, OSError) as error:  # the load itself is done
        logger.error("the page has no new figures of the sales: %s", error, exc_info=True)


_QUALITY_FACTS = ("run_id", "environment", "window", "warehouse")


def _report_quality(folder: Path, summary: RunSummary) -> None:
    """Write the report of a run; what hinders it is logged, since the warehouse has it too."""
    facts = {name: getattr(summary, name) for name in _QUALITY_FACTS}
    facts["finished_at"] = utc_now().isoformat(" ", "seconds") + " UTC"
    try:
        anomalies = [anomaly.as_dict() for anomaly in summary.anomalies]
        write_report(folder, {**facts, **summary.quality()}, anomalies)
    except OSError as error:
        logger.error(
            "the quality report is not written to %s: %s", folder, error.strerror or error,
            exc_info=True,
        )  # fmt: skip  # one line on the console


def _kept(job: Job, work: Callable[[], R]) -> R:
    """Does what can be done twice, again when the connection is lost: all is loaded by then."""
    processing = job.config.processing

    def attempt() -> R:
        job.db.revive()
        return work()

    return retry_with_backoff(processing.max_retries, processing.retry_backoff_factor)(attempt)()


def _finish_failed(job: Job, error: BaseException) -> None:
    try:
        run_history.finish_run(
            job.db, job.plan.run_id, status=status_of(error), finished_at=utc_now(),
            error=str(error),
        )  # fmt: skip
        job.record.in_history = True
    except Exception as failure:  # the first error is the one to be told
        logger.error(
            "the end of run %s is not in the history: %s", job.plan.run_id, failure, exc_info=True
        )


def _load_and_validate(job: Job) -> RunSummary:
    unarchived = _archive(job)
    outcomes, applied = _run_loads(job)
    run_id, lineage = job.plan.run_id, job.record.ledger.lineage
    _kept(job, lambda: record_lineage(job.db, run_id, lineage))
    _kept(job, lambda: run_history.require_balance(job.db, run_id))
    judged = _validate(job, applied)
    exported, unexported = _export(job)
    attention = [*unarchived, *unexported]
    summary = _summary(job, outcomes, applied=applied, judged=judged, attention=attention)
    return replace(summary, exported=tuple(map(str, exported)))


def _archive(job: Job) -> list[str]:
    """Keeps a copy of the sources; returns what went wrong, for a person to look at."""
    folder = job.config.files.archive_dir
    if folder is None or job.plan.mode == REPROCESS:
        return []
    files = job.config.files
    from_database = job.config.database.sales_db_connection_string is not None
    kept = [files.customers_path, files.products_path]
    kept += [] if from_database else [files.sales_path]
    try:
        archive_run(
            folder, job.plan.run_id, files=kept, settings=masked_settings(job.config),
            query=sales_query() if from_database else "", window=str(job.plan.window),
        )  # fmt: skip
    except ETLError as error:  # the sources themselves are whole, so the load goes on
        logger.error(
            "the sources were not archived: %s", error, exc_info=True
        )  # one line on the console
        return [f"archive: {error}"]
    return []


def _run_loads(job: Job, *, dry_run: bool = False) -> tuple[tuple[SourceOutcome, ...], Applied]:
    sources = _sources(job)
    names = tuple(source.name for source in sources)
    with console.progress(names, enabled=not job.args.json) as on_progress:
        run = Run(
            job.db, job.config, job.plan, job.metrics, dry_run=dry_run,
            on_progress=on_progress, rejected_folder=job.output / REJECTED,
            ledger=job.record.ledger,
        )  # fmt: skip
        outcomes, applied = run_loads(run, sources)
    for source, outcome in zip(sources, outcomes, strict=True):
        job.record.ledger.lineage[source.name] = lineage_of(source, outcome)
    return outcomes, applied


def _validate(job: Job, applied: Applied) -> Judged:
    with log_context(stage="validation"):
        job.metrics.start_stage("validation")
        judged = _kept(job, lambda: judge(job.db, job.plan, applied))
        job.metrics.end_stage("validation", len(judged.quality["checks"]), len(judged.failed))
    return judged


def _export(job: Job) -> tuple[list[Path], list[str]]:
    """Writes the tables to files if asked for; returns the files, and what went wrong."""
    if not job.args.export:
        return [], []
    try:
        return export_tables(job.db, job.output / PROCESSED, job.args.export), []
    except ETLError as error:  # the load itself is done
        logger.error("%s", error, exc_info=True)  # the message is the error's own
        return [], [f"export: {error}"]


# --- telling -----------------------------------------------------------------------------


def _summary(
    job: Job,
    outcomes: Sequence[SourceOutcome],
    *,
    applied: Applied,
    judged: Judged = NOT_JUDGED,
    attention: Iterable[str] = (),
) -> RunSummary:
    attention = (*attention, *_attention(outcomes, judged))
    failed = not any(outcome.loaded for outcome in outcomes)
    exit_code = EXIT_FAILED if failed else EXIT_ATTENTION if attention else EXIT_OK
    summary = replace(
        job.record.base(),
        status=_STATUS[exit_code],
        exit_code=exit_code,
        error=error_text(outcomes),
        sources=tuple(outcomes),
        tables=tuple(_counts(table, outcomes, applied) for table in STAR_TABLES),
        column_changes=applied.column_changes,
        checks=tuple(map(Check.of, judged.quality["checks"])),
        scores=judged.quality["scores"],
        dimension_scores=judged.quality["dimension_scores"],
        anomalies=tuple(map(Anomaly.of, judged.anomalies)),
        attention=attention,
        measured=Measured.from_dict(job.metrics.generate_summary_report()),
        page="" if job.args.dry_run else str(job.output / DASHBOARD),
    )
    return without_secrets(summary, job.config)


def _counts(table: Table, outcomes: Sequence[SourceOutcome], applied: Applied) -> TableCounts:
    counts = asdict(applied.of(table))
    source = next((outcome for outcome in outcomes if outcome.table == table.name), None)
    whose = (source.source, source.status) if source else ()
    return TableCounts(table.name, counts, counts.pop("seconds"), *whose)


def _attention(outcomes: Sequence[SourceOutcome], judged: Judged) -> Iterator[str]:
    for outcome in outcomes:
        if outcome.message:
            yield f"{outcome.source}: {outcome.message}"
    for check in judged.failed:
        yield f"check {check['name']}: {check['message']}"
