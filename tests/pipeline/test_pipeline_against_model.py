"""The pipeline, files in and tables out, against the reference model."""

import csv
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import model
import pytest
import record_strategies as records
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pipeline_runs import Project, Record

pytestmark = pytest.mark.usefixtures("every_engine")

SETTINGS = model.Settings(
    default_area_code="212", default_cost_ratio=Decimal("0.6"), commission_rate=Decimal("0.035")
)
ENVIRONMENT = {
    "DEFAULT_AREA_CODE": "212",
    "DEFAULT_COST_RATIO": "0.6",
    "COMMISSION_RATE": "0.035",
    "MAX_REJECT_RATE": "1",
    "LOG_LEVEL": "CRITICAL",
}
Tables = dict[str, list[dict[str, Any]]]

BALANCE = ("read", "inserted", "updated", "unchanged", "rejected", "duplicate")
BESIDE = ("inferred", "vanished", "removed")

runs_of_records = settings(
    max_examples=int(os.environ.get("HISTORIES", "3")),
    deadline=None,
    # a run takes too long to be repeated hundreds of times for the sake of a smaller example
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


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


def counts_of(summary: dict[str, Any], names: Sequence[str]) -> dict[str, dict[str, int]]:
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


@runs_of_records
@given(records.customers(), records.products(), records.sales())
def test_a_first_load_makes_the_tables_of_the_model(
    customers: list[Record], products: list[Record], sales: list[Record]
) -> None:
    with TemporaryDirectory() as folder:
        project = Project(Path(folder), **ENVIRONMENT)
        project.write(customers, products, sales)
        summary = project.run()
        expected = model.Warehouse()
        counts = load_model(expected, customers, products, sales)
        assert_same_tables(project.tables(), expected.final_tables())
        assert counts_of(summary, (*BALANCE, *BESIDE, "restated")) == counts
        assert summary["exit_code"] == 0


@runs_of_records
@given(st.data())
def test_a_second_load_of_other_records_makes_the_tables_of_the_model(data: st.DataObject) -> None:
    expected = model.Warehouse()
    with TemporaryDirectory() as folder:
        project = Project(Path(folder), **ENVIRONMENT, WATERMARK_LAG_DAYS="3650")
        for _ in range(2):
            customers, products = data.draw(records.customers()), data.draw(records.products())
            sales = data.draw(records.sales())
            project.write(customers, products, sales)
            summary = project.run("--start-date", "0001-01-01", "--end-date", "9999-12-31")
            counts = load_model(expected, customers, products, sales)
            assert_same_tables(project.tables(), expected.final_tables())
            assert counts_of(summary, (*BALANCE, *BESIDE, "restated")) == counts
        assert summary["exit_code"] == 0


@runs_of_records
@given(st.data())
def test_a_full_refresh_over_other_records_makes_the_tables_of_the_model(
    data: st.DataObject,
) -> None:
    expected = model.Warehouse()
    with TemporaryDirectory() as folder:
        project = Project(Path(folder), **ENVIRONMENT)
        for argv in ((), ("--full-refresh",)):
            customers, products = data.draw(records.customers()), data.draw(records.products())
            sales = data.draw(records.sales())
            project.write(customers, products, sales)
            summary = project.run(*argv)
            counts = {
                table: asdict(found)
                for table, found in expected.run(
                    numbered(customers, 2), numbered(products, 1), numbered(sales, 2),
                    SETTINGS, None, bool(argv),
                ).items()
            }  # fmt: skip
        assert_same_tables(project.tables(), expected.final_tables())
        for table, found in counts_of(summary, (*BALANCE, *BESIDE)).items():
            assert found == {name: counts[table][name] for name in found}
        assert summary["exit_code"] == 0


@runs_of_records
@given(records.customers(), records.products(), records.sales())
def test_a_rerun_changes_nothing(
    customers: list[Record], products: list[Record], sales: list[Record]
) -> None:
    with TemporaryDirectory() as folder:
        project = Project(Path(folder), **ENVIRONMENT)
        project.write(customers, products, sales)
        project.run()
        before = project.query("SELECT * FROM sales_fact ORDER BY transaction_id")
        summary = project.run("--full-refresh")
        for counts in counts_of(summary, ("inserted", "updated", "restated", "removed")).values():
            assert not any(counts.values())
        assert project.query("SELECT * FROM sales_fact ORDER BY transaction_id") == before


def read_sample(path: Path) -> list[tuple[int, dict[str, str | None]]]:
    """The well-formed records of a sample file by Python's own reader, with their rows."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        rows = enumerate(reader, 2)
        return [
            (row, dict(zip(header, fields, strict=True)))
            for row, fields in rows
            if len(fields) == len(header)
        ]
