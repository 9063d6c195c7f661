"""The shape of the house: flat modules, imports to lower ranks only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Each module may import only from rows above its own.
RANKS = [
    {
        "errors",
        "in_words",
        "interrupts",
        "page_style",
        "printable",
        "read_ahead",
        "star_schema",
        "sources",
        "setting_kinds",
        "process_memory",
        "alert_state",
        "anomalies",
        "error_trends",
        "quality_report",
        "reachability",
        "run_journal",
    },
    {
        "value_rules",
        "checksums",
        "arrow_types",
        "odbc_strings",
        "postgres_connections",
        "html_page",
        "circuit_breaker",
        "metrics",
        "health_findings",
    },
    {"field_rules", "rejected_records", "charts", "setting_layers"},
    {"config", "resilience", "runs", "sql_dialects", "source_files", "odbc"},
    {
        "record_checks",
        "csv_blocks",
        "json_items",
        "staging_sql",
        "setting_docs",
        "odbc_connections",
        "alert_actions",
        "alert_files",
        "logs",
    },
    {
        "alert_details",
        "alert_throttling",
        "record_blocks",
        "command_line",
        "console",
        "failed_records",
        "star_sql",
        "duckdb_engine",
        "sql_server",
        "postgres_engine",
    },
    {"database", "source_blocks", "business_rules", "alert_texts", "folder_health"},
    {"staging", "exporting", "sales_source", "archive", "alert_delivery", "quality_rules"},
    {"warehouse", "alerting", "source_health"},
    {"run_history", "quality_alerts"},
    {"batch_loading", "run_health", "run_figures", "lineage", "run_baseline"},
    {"quality_checks", "run_records", "run_states", "database_health"},
    {"health_checks", "data_extraction", "data_transformation", "data_loading", "data_quality"},
    {"monitoring", "reprocessing", "run_alerts", "run_quality", "dashboard_history"},
    {"source_loading", "dashboard_run"},
    {"dashboard"},
    {"pipeline_run"},
    {"etl_pipeline"},
]
RANK_OF = {name: rank for rank, names in enumerate(RANKS) for name in names}
MODULES = sorted(path.stem for path in ROOT.glob("*.py"))


def imports_of(module: str) -> set[str]:
    tree = ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found & set(MODULES)


def test_every_module_has_a_rank() -> None:
    assert set(MODULES) <= set(RANK_OF)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_to_lower_ranks_only(module: str) -> None:
    upwards = {name for name in imports_of(module) if RANK_OF[name] >= RANK_OF[module]}
    assert not upwards


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_imported_inside_a_function(module: str) -> None:
    tree = ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    inside = [
        node.lineno
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not inside
