"""Loads customers, products and sales into the warehouse: the command, and what it runs.

    python etl_pipeline.py --env dev --date 2024-01-20
    python etl_pipeline.py --env prod --full-refresh

All public names of the package can be imported from here.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any, Dict

import console
import run_history
import warehouse
from command_line import check_window, mode_of, parse_arguments, window_of
from config import (
    AlertConfig,
    Config,
    DatabaseConfig,
    FileConfig,
    LoggingConfig,
    ProcessingConfig,
    load_config,
)
from data_extraction import extract_customers_csv, extract_products_json, extract_sales_database
from data_loading import (
    DatabaseManager,
    handle_loading_errors,
    load_customers,
    load_products,
    load_sales,
    validate_loaded_data,
)
from data_transformation import (
    enrich_product_data,
    process_sales_transactions,
    standardize_customer_data,
)
from database import duckdb_path
from errors import EXIT_ATTENTION, EXIT_FAILED, EXIT_OK, ETLError, ValidationError
from exporting import export_tables
from monitoring import ETLMetrics, close_logging, log_context, setup_logging
from resilience import retry_with_backoff
from runs import Applied, RunPlan, utc_now
from source_loading import FAILED, HELD_BACK, Outcome, Run, run_loads
from star_schema import STAR_TABLES

__all__ = [
    "AlertConfig",
    "DatabaseConfig",
    "DatabaseManager",
    "ETLMetrics",
    "FileConfig",
    "LoggingConfig",
    "ProcessingConfig",
    "ValidationError",
    "enrich_product_data",
    "extract_customers_csv",
    "extract_products_json",
    "extract_sales_database",
    "handle_loading_errors",
    "load_config",
    "load_customers",
    "load_products",
    "load_sales",
    "main",
    "process_sales_transactions",
    "retry_with_backoff",
    "run_etl_pipeline",
    "setup_logging",
    "standardize_customer_data",
    "validate_loaded_data",
]

logger = logging.getLogger(__name__)

SOURCES = ("customers", "products", "sales")


def run_etl_pipeline(
    config: Config | None = None, args: argparse.Namespace | None = None
) -> Dict[str, Any]:
    """Runs the pipeline: extraction, transformation, loading, validation.

    Args:
        config: the settings; those of `args.env` when left out.
        args: the arguments as `parse_arguments` gives them; a plain run in dev when left out.

    Returns:
        The summary: run, window, status, exit code, sources, tables, quality, metrics.

    Raises:
        ConfigurationError: an argument cannot be carried out.
        WarehouseInUseError: another process works in the warehouse.
        ETLError: the run failed as a whole; a source that fails alone is told in the summary.
    """
    args = args or parse_arguments([])
    config = config or load_config(args.env)
    check_window(args)
    setup_logging(_logging_config(config, args))
    try:
        return _run(config, args)
    finally:
        close_logging()


def _logging_config(config: Config, args: argparse.Namespace) -> LoggingConfig:
    if not args.log_level:
        return config.logging
    return config.logging.model_copy(update={"log_level": args.log_level})


def _run(config: Config, args: argparse.Namespace) -> Dict[str, Any]:
    metrics = ETLMetrics()
    with ExitStack() as stack:
        with _failure_logged():
            db = stack.enter_context(_open_warehouse(config, dry_run=args.dry_run))
            plan = _plan(db, config, args)
        with log_context(run_id=plan.run_id), _failure_logged():
            logger.info("run %s: %s, %s", plan.run_id, plan.mode, plan.window)
            if args.dry_run:
                return _preview(db, config, args, plan=plan, metrics=metrics)
            return _load(db, config, args, plan=plan, metrics=metrics)


@contextmanager
def _failure_logged() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        logger.critical("the run failed: %s", error or type(error).__name__, exc_info=True)
        raise


def _open_warehouse(config: Config, *, dry_run: bool) -> DatabaseManager:
    connection = config.database.connection_string.get_secret_value()
    limit = config.processing.duckdb_memory_limit or ""
    if not dry_run:
        return DatabaseManager(connection, memory_limit=limit)
    path = duckdb_path(connection)
    if path is not None and not path.exists():  # a missing warehouse counts as empty
        return DatabaseManager("duckdb:///:memory:", memory_limit=limit)
    return DatabaseManager(connection, memory_limit=limit, read_only=True)


def _plan(db: DatabaseManager, config: Config, args: argparse.Namespace) -> RunPlan:
    warehouse.create_tables(db)
    started_at = utc_now()
    window = window_of(
        args,
        watermark=run_history.read_watermark(db),
        lag_days=config.processing.watermark_lag_days,
    )
    run_id = run_history.next_run_id(db, started_at)
    return RunPlan(run_id, config.environment, mode_of(args), window, started_at)


def _preview(
    db: DatabaseManager,
    config: Config,
    args: argparse.Namespace,
    *,
    plan: RunPlan,
    metrics: ETLMetrics,
) -> Dict[str, Any]:
    with console.progress(SOURCES, enabled=not args.json) as on_progress:
        run = Run(db, config, plan, metrics, dry_run=True, on_progress=on_progress)
        outcomes, _ = run_loads(run)
    counted = Applied({outcome.table: outcome.counts for outcome in outcomes})
    return _summary(config, plan, metrics, outcomes=outcomes, applied=counted)


def _load(
    db: DatabaseManager,
    config: Config,
    args: argparse.Namespace,
    *,
    plan: RunPlan,
    metrics: ETLMetrics,
) -> Dict[str, Any]:
    run_history.begin_run(db, plan)
    try:
        summary = _load_and_validate(db, config, args, plan=plan, metrics=metrics)
    except BaseException as error:
        run_history.finish_run(
            db, plan.run_id, status=run_history.FAILED, finished_at=utc_now(), error=str(error)
        )
        raise
    errors = " | ".join(source["error"] for source in summary["sources"] if source["error"])
    run_history.finish_run(
        db, plan.run_id, status=summary["status"], finished_at=utc_now(), error=errors
    )
    return summary


def _load_and_validate(
    db: DatabaseManager,
    config: Config,
    args: argparse.Namespace,
    *,
    plan: RunPlan,
    metrics: ETLMetrics,
) -> Dict[str, Any]:
    output = config.files.output_dir
    with console.progress(SOURCES, enabled=not args.json) as on_progress:
        run = Run(db, config, plan, metrics, on_progress=on_progress,
                  rejected_folder=output / "rejected")  # fmt: skip
        outcomes, applied = run_loads(run)
    quality = _validate(db, plan, metrics)
    exported = export_tables(db, output / "processed", args.export) if args.export else []
    summary = _summary(config, plan, metrics, outcomes=outcomes, applied=applied, quality=quality)
    return summary | {"exported": [str(path) for path in exported]}


def _validate(db: DatabaseManager, plan: RunPlan, metrics: ETLMetrics) -> Dict[str, Any]:
    with log_context(stage="validation"):
        metrics.start_stage("validation")
        quality = validate_loaded_data(db)
        run_history.record_quality(db, plan.run_id, quality["checks"])
        failed = [check for check in quality["checks"] if check["status"] != "passed"]
        metrics.end_stage("validation", len(quality["checks"]), len(failed))
        for check in failed:
            logger.error("check %s failed: %s", check["name"], check["message"])
    return quality


_NO_CHECKS: Dict[str, Any] = {"passed": True, "checks": []}


def _summary(
    config: Config,
    plan: RunPlan,
    metrics: ETLMetrics,
    *,
    outcomes: Sequence[Outcome],
    applied: Applied,
    quality: Dict[str, Any] = _NO_CHECKS,
) -> Dict[str, Any]:
    exit_code = _exit_code(outcomes, quality)
    return {
        "run_id": plan.run_id,
        "environment": plan.environment,
        "mode": plan.mode,
        "window": str(plan.window),
        "status": _STATUS[exit_code],
        "exit_code": exit_code,
        "warehouse": config.database.display_name,
        "sources": [_outcome(outcome) for outcome in outcomes],
        "tables": {table.name: asdict(applied.of(table)) for table in STAR_TABLES},
        "column_changes": {name: dict(c) for name, c in applied.column_changes.items()},
        "quality": quality,
        "metrics": metrics.generate_summary_report(),
        "exported": [],
    }


_STATUS = {
    EXIT_OK: run_history.SUCCESS,
    EXIT_ATTENTION: run_history.ATTENTION,
    EXIT_FAILED: run_history.FAILED,
}


def _outcome(outcome: Outcome) -> Dict[str, Any]:
    return {name: value for name, value in asdict(outcome).items() if name != "counts"}


def _exit_code(outcomes: Sequence[Outcome], quality: Dict[str, Any]) -> int:
    failed = [outcome for outcome in outcomes if outcome.status in (FAILED, HELD_BACK)]
    if len(failed) == len(outcomes):
        return EXIT_FAILED
    return EXIT_ATTENTION if failed or not quality["passed"] else EXIT_OK


def main(argv: Sequence[str] | None = None) -> int:
    """The command: parses, runs, prints, and returns the exit code."""
    args = parse_arguments(sys.argv[1:] if argv is None else argv)
    try:
        check_window(args)
        config = load_config(args.env)
        if args.print_schema:
            return _print_schema(config)
    except ETLError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return _run_and_print(config, args)


def _print_schema(config: Config) -> int:
    print(warehouse.schema_script(config.database.connection_string.get_secret_value()))
    return EXIT_OK


def _run_and_print(config: Config, args: argparse.Namespace) -> int:
    try:
        summary = run_etl_pipeline(config, args)
    except ETLError as error:  # it has been logged, and so printed
        return error.exit_code
    except Exception:  # noqa: BLE001  # likewise, with its trace in the log file
        return EXIT_FAILED
    if args.json:
        print(json.dumps(summary, indent=2))
    else:
        console.print_summary(summary)
    return int(summary["exit_code"])


if __name__ == "__main__":
    sys.exit(main())
