"""The public names: where they are, and what they take."""

import inspect
from importlib import import_module
from typing import Any

import pytest

import etl_pipeline

SIGNATURES = {
    "config.load_config": ("env",),
    "data_extraction.extract_customers_csv": ("file_path",),
    "data_extraction.extract_products_json": ("file_path",),
    "data_extraction.extract_sales_database": ("connection_string", "start_date", "end_date"),
    "data_transformation.standardize_customer_data": ("customers",),
    "data_transformation.enrich_product_data": ("products",),
    "data_transformation.process_sales_transactions": ("transactions", "customers", "products"),
    "data_loading.DatabaseManager": ("connection_string",),
    "data_loading.load_customers": ("customers", "db_manager"),
    "data_loading.load_products": ("products", "db_manager"),
    "data_loading.load_sales": ("sales", "db_manager"),
    "data_loading.validate_loaded_data": ("db_manager",),
    "data_loading.handle_loading_errors": ("failed_records", "error_log_path"),
    "etl.quality.checks.run_data_quality_checks": ("db_manager",),
    "etl.quality.anomalies.detect_data_anomalies": ("current_metrics", "historical_baseline"),
    "etl.monitoring.lineage.track_data_lineage": (
        "source_file",
        "records_processed",
        "target_table",
    ),
    "etl.monitoring.logs.setup_logging": ("config",),
    "etl.monitoring.metrics.ETLMetrics": (),
    "etl.monitoring.health.report.pipeline_health_check": ("config",),
    "etl.resilience.retry.retry_with_backoff": ("max_retries", "backoff_factor"),
    "etl.resilience.circuit_breaker.CircuitBreaker": ("failure_threshold", "recovery_seconds"),
    "etl.alerts.notifier.simulate_email_alert": ("error_details", "config"),
    "etl.alerts.notifier.simulate_slack_notification": ("message", "level", "config"),
    "etl.alerts.notifier.AlertThrottler": ("throttle_window_minutes",),
    "etl.alerts.notifier.process_quality_alerts": ("anomalies", "alert_config"),
    "etl_pipeline.run_etl_pipeline": ("config", "args"),
    "config.DatabaseConfig": (),
    "config.FileConfig": (),
    "config.ProcessingConfig": (),
    "config.LoggingConfig": (),
    "config.AlertConfig": (),
    "etl.api_ingest.fetch_from_api": ("api_type", "config"),
    "etl.errors.ValidationError": None,
}
METHODS = {
    "execute_batch": ("self", "query", "data", "batch_size"),
    "__enter__": ("self",),
    "__exit__": ("self", "exc_type", "exc_val", "exc_tb"),
}
METRICS = {
    "start_stage": ("self", "stage_name"),
    "end_stage": ("self", "stage_name", "record_count", "error_count"),
    "generate_summary_report": ("self",),
}
THROTTLER = {
    "should_send_alert": ("self", "alert_key"),
    "log_alert_decision": ("self", "alert_key", "decision", "reason"),
    "log_alert_sent": ("self", "alert_key"),
    "log_alert_throttled": ("self", "alert_key", "reason"),
}


def find(dotted: str) -> Any:
    module, name = dotted.rsplit(".", 1)
    return getattr(import_module(module), name)


def positional(function: Any) -> tuple[str, ...]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind in kinds)


@pytest.mark.parametrize("dotted", SIGNATURES)
def test_a_name_stands_in_its_module_and_in_etl_pipeline(dotted: str) -> None:
    name = dotted.rsplit(".", 1)[1]
    assert find(dotted) is getattr(etl_pipeline, name)
    assert name in etl_pipeline.__all__


@pytest.mark.parametrize(
    "dotted", [name for name, taken in SIGNATURES.items() if taken is not None]
)
def test_a_name_takes_what_is_specified(dotted: str) -> None:
    assert positional(find(dotted)) == SIGNATURES[dotted]


def test_the_methods_take_what_is_specified() -> None:
    for name, taken in METHODS.items():
        assert positional(getattr(etl_pipeline.DatabaseManager, name)) == taken
    for name, taken in METRICS.items():
        assert positional(getattr(etl_pipeline.ETLMetrics, name)) == taken
    for name, taken in THROTTLER.items():
        assert positional(getattr(etl_pipeline.AlertThrottler, name)) == taken


def test_what_is_added_to_a_signature_is_optional() -> None:
    for dotted, taken in SIGNATURES.items():
        if taken is None:
            continue
        for parameter in inspect.signature(find(dotted)).parameters.values():
            specified = parameter.name in taken
            assert specified or parameter.default is not parameter.empty or parameter.kind in (
                parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL,
            )  # fmt: skip
