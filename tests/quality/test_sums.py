"""After a load the sums of its source are those of its rows in the table."""

from pathlib import Path
from typing import Any

import pytest
from engines import Engine
from pipeline_runs import Project

from etl.warehouse.reconcile import reconcile

SALES = [
    {"transaction_id": f"T{n}", "customer_id": "C1", "product_id": "P1", "quantity": "2",
     "unit_price": f"{n}.25", "transaction_date": "2024-01-01"}
    for n in range(1, 6)
]  # fmt: skip


def project_of(folder: Path) -> Project:
    project = Project(folder)
    project.write([{"customer_id": "C1"}], [{"product_id": "P1", "price": "2"}], SALES)
    return project


def sums(project: Project) -> dict[str, dict[str, Any]]:
    checks = project.run("--no-skip")["quality"]["checks"]
    return {c["table"]: c for c in checks if c["name"].endswith(".sums")}


def test_the_sums_of_source_and_table_are_compared(tmp_path: Path, every_engine: Engine) -> None:
    project = project_of(tmp_path)
    for _ in range(2):  # the first load, and one that changes nothing
        found = sums(project)
        assert {name: check["status"] for name, check in found.items()} == dict.fromkeys(
            ("customer_dim", "product_dim", "sales_fact"), "passed"
        )


def test_a_table_that_holds_other_numbers_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def after_a_change(db: Any, staged: Any) -> Any:
        db.execute('UPDATE "sales_fact" SET "quantity" = 3 WHERE "transaction_id" = \'T1\'')
        return reconcile(db, staged)

    monkeypatch.setattr("etl.warehouse.transactions.reconcile", after_a_change)
    found = sums(project_of(tmp_path))["sales_fact"]
    assert (found["status"], found["value"]) == ("failed", 1)
    assert found["message"] == (
        "sums of sales_fact differ: quantity 10 in the source, 11 in the table"
    )
