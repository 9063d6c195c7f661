"""Loads customers, products and sales into the warehouse: the command, and what it runs.

    python etl_pipeline.py --env dev --date 2024-01-20
    python etl_pipeline.py --env prod --full-refresh

All public names of the package can be imported from here.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from etl.pipeline.arguments import INIT, Arguments, arguments_of_run, check_arguments
from etl.pipeline.command_line import parse_arguments
from etl.places import command_line, is_called_by_name

if __name__ == "__main__" or is_called_by_name():
    parse_arguments(sys.argv[1:])  # --help and wrong usage end here, before Arrow is loaded

from data_extraction import extract_customers_csv, extract_products_json, extract_sales_database
from data_loading import (
    DatabaseManager,
    handle_loading_errors,
    load_customers,
    load_frame,
    load_products,
    load_sales,
    validate_loaded_data,
)
from data_transformation import (
    enrich_product_data,
    process_sales_transactions,
    standardize_customer_data,
)
from etl import process
from etl.alerts.notifier import (
    process_quality_alerts,
    simulate_email_alert,
    simulate_slack_notification,
)
from etl.alerts.throttling import AlertThrottler
from etl.api_ingest import fetch_from_api
from etl.errors import EXIT_FAILED, EXIT_OK, ETLError, ValidationError
from etl.history.summary import RunSummary
from etl.monitoring.health.report import pipeline_health_check
from etl.monitoring.lineage import track_data_lineage
from etl.monitoring.logs import setup_logging
from etl.monitoring.metrics import ETLMetrics
from etl.pipeline import console
from etl.pipeline.printed import print_summary
from etl.pipeline.whole_run import whole_run
from etl.quality.anomalies import detect_data_anomalies
from etl.quality.checks import run_data_quality_checks
from etl.resilience.circuit_breaker import CircuitBreaker
from etl.resilience.retry import retry_with_backoff
from etl.settings.config import Config, load_config
from etl.settings.sections.alerts import AlertConfig
from etl.settings.sections.database import DatabaseConfig
from etl.settings.sections.files import FileConfig
from etl.settings.sections.logging import LoggingConfig
from etl.settings.sections.processing import ProcessingConfig

__all__ = [
    "AlertConfig",
    "AlertThrottler",
    "CircuitBreaker",
    "DatabaseConfig",
    "DatabaseManager",
    "ETLMetrics",
    "FileConfig",
    "LoggingConfig",
    "ProcessingConfig",
    "ValidationError",
    "detect_data_anomalies",
    "enrich_product_data",
    "extract_customers_csv",
    "extract_products_json",
    "extract_sales_database",
    "fetch_from_api",
    "handle_loading_errors",
    "load_config",
    "load_customers",
    "load_frame",
    "load_products",
    "load_sales",
    "main",
    "pipeline_health_check",
    "process_quality_alerts",
    "process_sales_transactions",
    "retry_with_backoff",
    "run_data_quality_checks",
    "run_etl_pipeline",
    "setup_logging",
    "simulate_email_alert",
    "simulate_slack_notification",
    "standardize_customer_data",
    "track_data_lineage",
    "validate_loaded_data",
]


def run_etl_pipeline(
    config: Config | None = None,
    args: Arguments | argparse.Namespace | None = None,
    **options: Any,
) -> RunSummary:
    """Run the pipeline: extraction, transformation, loading, validation; then its alerts.

    Args:
        config: the settings; those of the environment asked for when left out.
        args: the arguments, such as a parser's namespace; what it lacks takes the default of the
            command line.
        **options: single arguments by the names of the command line, such as `env="dev"`,
            `date="2024-01-20"` or `full_refresh=True`.

    Returns:
        The summary: run, window, status, exit code, sources, tables, quality, anomalies,
        metrics; it reads like a dict too.

    Raises:
        ConfigurationError: an argument cannot be carried out.
        WarehouseInUseError: another process works in the warehouse.
        ETLError: the run failed as a whole; a source that fails alone is in the summary.
        TypeError: there is no such option.
    """
    asked = Arguments.of(args, **options)
    check_arguments(asked)
    return whole_run(config or load_config(asked.env), asked)


def main(argv: Sequence[str] | None = None) -> int:
    """The command: parses, runs, prints, and returns the exit code."""
    args = parse_arguments(sys.argv[1:] if argv is None else argv)
    try:
        check_arguments(args)
        if args.command == INIT:
            return _begin(args)
        config = load_config(args.env)
        for option, name in _IN_PLACE_OF_A_RUN.items():
            asked = getattr(args, option)
            if asked is not None and asked is not False:  # a port may be 0
                return int(getattr(import_module(_COMMANDS), name)(config, args))
    except ETLError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return _run_and_print(config, args)


# What is done in place of a run, by option, and where; a run does not import it.
_COMMANDS = "etl.pipeline.commands"
_IN_PLACE_OF_A_RUN = {
    "profile": "profile",
    "print_schema": "print_schema",
    "health_check": "check_health",
    "check_sla": "check_sla",
    "graph": "print_graph",
    "state": "show_state",
    "reset_state": "reset_state",
    "serve": "serve_page",
}


def _begin(args: Arguments) -> int:
    if not import_module(_COMMANDS).begin(args):
        return EXIT_OK
    return _run_and_print(load_config(args.env), Arguments(env=args.env, dry_run=True))


def _run_and_print(config: Config, args: Arguments) -> int:
    again = command_line(config.environment, arguments_of_run(args))
    watched = not (args.json or args.log_level) and console.is_watched()
    try:
        summary = whole_run(config, args, before_summary=watched)
    except ETLError as error:
        if not error.reported:  # the log itself could not be opened
            print(f"error: {error}", file=sys.stderr)
        if error.reported and error.exit_code == EXIT_FAILED:
            console.print_next(config.logging.log_dir, again)
        return error.exit_code
    except Exception:  # noqa: BLE001  # it has been logged, with its trace in the file
        console.print_next(config.logging.log_dir, again)
        return EXIT_FAILED
    with console.output():
        if args.json:
            print(json.dumps(summary.as_dict(), indent=2))
        else:
            print_summary(summary, console.stdout(), again=again, verbose=args.verbose)
    return summary.exit_code or EXIT_OK


def run_command() -> int:
    """`main` as a process: Ctrl-C and SIGTERM roll back, and the process ends by the signal."""
    process.listen()
    process.settle_memory()
    process.keep_pandas_out()
    try:
        return main()
    except KeyboardInterrupt:
        return process.end_by_signal()


if __name__ == "__main__":
    sys.exit(run_command())
