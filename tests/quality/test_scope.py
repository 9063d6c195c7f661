"""Checks of what was written since the tables were proven find what checks of everything find."""

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import record_strategies as records
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from model_runs import ENVIRONMENT
from pipeline_runs import ACCEPT_ALL, Project

from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.history.runs import INCREMENTAL, Applied, RunPlan, utc_now
from etl.history.summary import RunSummary
from etl.quality.checks import run_data_quality_checks
from etl.quality.rules import partial_rules
from etl.quality.scope import EVERYTHING, Scope, scope_of
from etl.sources.window import EVERYTHING as SUMMER

pytestmark = pytest.mark.usefixtures("every_engine")

CUSTOMERS = [{"customer_id": "C1", "first_name": "Ann"}, {"customer_id": "C2"}]
PRODUCTS = [{"product_id": "P1", "name": "desk", "price": "100", "cost": "60"}]


def sale(number: int, **own: str) -> dict[str, str]:
    return {
        "transaction_id": f"T{number}", "customer_id": f"C{1 + number % 3}", "product_id": "P1",
        "quantity": "2", "unit_price": "100", "transaction_date": f"2024-01-0{number}", **own,
    }  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, **ENVIRONMENT)
    project.write(CUSTOMERS, PRODUCTS, [sale(1), sale(2), sale(3), sale(4)])
    project.run()
    return project


def whole_at(summary: RunSummary) -> set[str]:
    """When the rules were last checked on the whole table that can be checked in part."""
    partial = {"sales_fact.profit", "sales_fact.unique", "sales_fact.customer_id"}
    return {check["whole_at"] for check in summary["quality"]["checks"] if check["name"] in partial}


def checks_all(project: Project) -> bool:
    """Whether every run checks everything: nobody knows who else has written a server."""
    return project.engine.is_server


def is_whole(summary: RunSummary) -> bool:
    return min(whole_at(summary)) >= str(summary["started_at"]).replace(" ", "T")


def figures(checks: list[dict[str, Any]]) -> list[list[object]]:
    names = ("name", "status", "value", "rows_checked", "rows_wrong", "examples", "message")
    return [
        [check[name] for name in names] for check in checks if not check["name"].endswith("_age")
    ]


def test_later_runs_check_what_was_written_and_say_when_all_was_checked(project: Project) -> None:
    first = project.query("SELECT min(whole_at) FROM etl_quality")
    project.write(CUSTOMERS, PRODUCTS, [sale(4), sale(5)])
    second = project.run()
    assert is_whole(second) == checks_all(project)
    if not checks_all(project):
        assert whole_at(second) == {first[0][0].isoformat()}
    assert is_whole(project.run("--validate"))


@pytest.mark.parametrize("argv", [("--validate",), ("--full-refresh",)])
def test_all_is_checked_when_it_is_asked_for(project: Project, argv: tuple[str, ...]) -> None:
    assert is_whole(project.run(*argv))


def test_all_is_checked_again_after_some_days(project: Project) -> None:
    assert is_whole(project.run()) == checks_all(project)
    days_later = utc_now() + timedelta(days=7, minutes=-1)
    for now, whole in ((days_later, False), (days_later + timedelta(minutes=2), True)):
        with DatabaseManager(project.connection_string) as db:
            plan = RunPlan("9", "dev", INCREMENTAL, SUMMER, days_later)
            scope = scope_of(db, plan, Applied(), whole_days=7, now=now)
        assert (scope is EVERYTHING) == whole
    project.settings["FULL_CHECK_DAYS"] = "0"
    assert is_whole(project.run())


def test_all_is_checked_after_somebody_else_has_written(project: Project) -> None:
    project.run()
    with DatabaseManager(project.connection_string) as db:
        db.execute("UPDATE sales_fact SET profit_amount = 1 WHERE transaction_id = 'T1'")
    for _ in range(3):  # what was found is found until it is put right
        found = project.run()
        assert is_whole(found)
        assert found["exit_code"] == 3


def test_all_is_checked_after_a_run_that_could_not_check(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_more: object) -> None:
        raise LoadingError("no check today")

    project.write(CUSTOMERS, PRODUCTS, [sale(4), sale(5)])
    with monkeypatch.context() as patch, pytest.raises(LoadingError, match="today"):
        patch.setattr("etl.pipeline.run.judge", fail)
        project.run()
    assert is_whole(project.run())


def test_all_is_checked_when_a_sale_has_moved_to_another_customer(project: Project) -> None:
    project.write(CUSTOMERS, PRODUCTS, [sale(4, customer_id="C1")])
    assert is_whole(project.run())


NOW = datetime(2030, 1, 1)
BY_STATEMENT = (
    "UPDATE sales_fact SET profit_amount = 1",
    "UPDATE sales_fact SET total_amount = 1",
    "UPDATE sales_fact SET product_id = 'P99'",
    "UPDATE sales_fact SET customer_status = 'Repeat'",
    "UPDATE sales_fact SET value_tier = 'Low Value'",
    "UPDATE sales_fact SET quantity = 0",
    "UPDATE sales_fact SET transaction_id = 'T2'",
    "UPDATE product_dim SET cost = 3",
)


@pytest.mark.parametrize("statement", BY_STATEMENT)
def test_a_row_that_was_written_since_is_found_as_in_a_check_of_everything(
    project: Project, statement: str
) -> None:
    with DatabaseManager(project.connection_string) as db:
        key = "product_id = 'P1'" if "product_dim" in statement else "transaction_id = 'T1'"
        try:
            db.execute(f"{statement}, updated_date = ? WHERE {key}", (NOW,))
        except LoadingError:
            assert db.dialect.has_keys
            pytest.skip("the server refuses it")
        moments = {rule.full_name: NOW for rule in partial_rules(db.dialect)}
        found = run_data_quality_checks(db, scope=Scope(NOW, moments))
        everything = run_data_quality_checks(db)
    assert figures(found["checks"]) == figures(everything["checks"])
    assert not found["passed"]


@settings(
    max_examples=3, deadline=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(st.data())
def test_after_each_run_the_figures_are_those_of_a_check_of_everything(
    data: st.DataObject,
) -> None:
    with TemporaryDirectory() as folder:
        project = Project(Path(folder), **ENVIRONMENT)
        for _ in range(4):
            project.write(
                data.draw(records.customers()), data.draw(records.products()),
                data.draw(records.sales()),
            )  # fmt: skip
            argv = data.draw(st.sampled_from(((), ("--date", "2024-01-02"))))
            summary = project.run(*argv, *ACCEPT_ALL)
            with DatabaseManager(project.connection_string) as db:
                everything = run_data_quality_checks(db, scope=EVERYTHING)
            assert figures(summary["quality"]["checks"]) == figures(everything["checks"])
            assert summary["quality"]["scores"] == everything["scores"]
