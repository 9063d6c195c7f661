"""The pipeline, files in and tables out, against the reference model."""

import os
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import model
import pytest
import record_strategies as records
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from model_runs import (
    BALANCE,
    BESIDE,
    ENVIRONMENT,
    SETTINGS,
    assert_same_tables,
    counts_of,
    load_model,
    numbered,
)
from pipeline_runs import ACCEPT_ALL, Project, Record

pytestmark = pytest.mark.usefixtures("every_engine")

runs_of_records = settings(
    max_examples=int(os.environ.get("HISTORIES", "3")),
    deadline=None,
    # a run takes too long to be repeated hundreds of times for the sake of a smaller example
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


@runs_of_records
@given(records.customers(), records.products(), records.sales())
def test_a_first_load_makes_the_tables_of_the_model(
    customers: list[Record], products: list[Record], sales: list[Record]
) -> None:
    with TemporaryDirectory() as folder:
        project = Project(Path(folder), **ENVIRONMENT)
        project.write(customers, products, sales)
        summary = project.run(*ACCEPT_ALL)
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
            summary = project.run(
                "--start-date", "0001-01-01", "--end-date", "9999-12-31", *ACCEPT_ALL
            )
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
            summary = project.run(*argv, *ACCEPT_ALL)
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
        project.run(*ACCEPT_ALL)
        before = project.query("SELECT * FROM sales_fact ORDER BY transaction_id")
        summary = project.run("--full-refresh", *ACCEPT_ALL)
        for counts in counts_of(summary, ("inserted", "updated", "restated", "removed")).values():
            assert not any(counts.values())
        assert project.query("SELECT * FROM sales_fact ORDER BY transaction_id") == before
