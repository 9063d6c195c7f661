"""Runs of the pipeline beside runs of the reference model: one set of settings, one comparison."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

import model
from pipeline_runs import Record

from etl.history.summary import RunSummary

SETTINGS = model.Settings(
    default_area_code="212",
    default_cost_ratio=Decimal("0.6"),
    commission_rate=Decimal("0.035"),
    loads_returns=True,
)
ENVIRONMENT = {
    "DEFAULT_AREA_CODE": "212",
    "DEFAULT_COST_RATIO": "0.6",
    "COMMISSION_RATE": "0.035",
    "RETURNS": "load",
    "MAX_REJECT_RATE": "1",
    "MIN_ROWS_RATE": "0",
    "MAX_REMOVED_RATE": "1",
    "MAX_PLACEHOLDER_RATE": "1",
    "LOG_LEVEL": "CRITICAL",
}
Tables = dict[str, list[dict[str, Any]]]

BALANCE = ("read", "inserted", "updated", "unchanged", "rejected", "duplicate")
BESIDE = ("inferred", "vanished", "removed")


def numbered(given: Sequence[Record], first_row: int) -> list[tuple[int, dict[str, Any]]]:
    return [(row, dict(record)) for row, record in enumerate(given, first_row)]


def load_model(
    warehouse: model.Warehouse,
    customers: Sequence[Record],
    products: Sequence[Record],
    sales: Sequence[Record],
    window: tuple[datetime, datetime] | None = None,
) -> dict[str, dict[str, int]]:
    """One plain run, source by source as the pipeline commits it; the counts added up."""
    steps: list[tuple[Any, Any, Any]] = [
        (numbered(customers, 2), None, None),
        (None, numbered(products, 1), None),
        (None, None, numbered(sales, 2)),
    ]
    total: dict[str, dict[str, int]] = {}
    for step in steps:
        for table, counts in warehouse.run(*step, SETTINGS, window).items():
            known = total.setdefault(table, {})
            for name in (*BALANCE, *BESIDE, "restated"):
                known[name] = known.get(name, 0) + asdict(counts)[name]
    return total


def counts_of(summary: RunSummary, names: Sequence[str]) -> dict[str, dict[str, int]]:
    return {
        table: {name: counts[f"rows_{name}"] for name in names}
        for table, counts in summary["tables"].items()
    }


def assert_same_tables(found: Tables, expected: Tables) -> None:
    """Row by row, so that a failure names the row and the columns."""
    for table, rows in expected.items():
        for row, wanted in zip(found[table], rows, strict=True):
            differing = {n: (row[n], v) for n, v in wanted.items() if row[n] != v}
            assert not differing, f"{table}: {wanted}"
