"""A run killed between two batches: what it has committed is whole, and the next run ends it.

Only SQL Server loads a source in several transactions.
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from engines import DUCKDB, using
from model_runs import ENVIRONMENT
from pipeline_runs import COMMAND, Project
from server_projects import assert_balanced

pytestmark = pytest.mark.usefixtures("sql_server")

# The command, ended without any clearing up once a batch of sales was committed.
KILLED = """
import os, sys
from etl.warehouse import batches
merge, sold = batches.BatchedLoad._merge, []
def killed(self, batch):
    merge(self, batch)
    sold.extend([batch] if self._staged.table.name == "sales_fact" else [])
    if len(sold) == 2:
        os._exit(137)
batches.BatchedLoad._merge = killed
from etl_pipeline import main
sys.exit(main())
"""
# Later records first, so that earlier sales of a customer come in a later batch.
SALES = [
    {"transaction_id": f"T{number}", "customer_id": f"X{number % 4}", "product_id": f"Y{number}",
     "quantity": "1", "unit_price": "10", "transaction_date": f"2024-01-{20 - number}"}
    for number in range(8)
]  # fmt: skip


def project_of(folder: Path) -> Project:
    project = Project(folder, BATCH_SIZE="2", **ENVIRONMENT)
    project.write([{"customer_id": "C1"}], [{"product_id": "P1", "cost": "6"}], SALES)
    return project


def kill(project: Project) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=project.folder, check=False, capture_output=True,
        env={**os.environ, **project.settings, "PYTHONPATH": str(COMMAND.parent)},
    )  # fmt: skip
    assert ended.returncode == 137, ended.stderr


def assert_whole(project: Project) -> None:
    """Every sale has its customer and product, and every customer one first sale."""
    tables = project.tables()
    for name, key in (("customer_dim", "customer_id"), ("product_dim", "product_id")):
        named = {sale[key] for sale in tables["sales_fact"]}
        inferred = {row[key] for row in tables[name] if row["is_inferred"]}
        assert inferred <= named <= {row[key] for row in tables[name]}
    firsts: dict[str, str] = {}
    for sale in sorted(tables["sales_fact"], key=lambda row: row["transaction_date"]):
        firsts.setdefault(sale["customer_id"], sale["transaction_id"])
    found = {
        sale["customer_id"]: sale["transaction_id"]
        for sale in tables["sales_fact"] if sale["customer_status"] == "First-time"
    }  # fmt: skip
    assert found == firsts
    assert_balanced(project)


def test_what_was_committed_is_whole_and_the_next_run_loads_the_rest(tmp_path: Path) -> None:
    project = project_of(tmp_path / "killed")
    kill(project)
    assert project.query("SELECT count(*) FROM sales_fact") == [(4,)]
    assert_whole(project)
    project.run()
    assert_whole(project)
    with using(DUCKDB):
        undisturbed = project_of(tmp_path / "undisturbed")
    undisturbed.run()
    assert project.tables() == undisturbed.tables()
    statuses = project.query("SELECT status FROM etl_run ORDER BY run_id")
    assert statuses == [("recovered",), ("success",)]


def test_placeholders_of_a_killed_run_that_nothing_names_any_more_are_gone(tmp_path: Path) -> None:
    """Before the next run each sale was corrected: it names a customer and a product that exist."""
    project = project_of(tmp_path / "killed")
    kill(project)
    kinds = Counter(row["is_inferred"] for row in project.tables()["customer_dim"])
    assert kinds[True] == 4
    project.write(
        [{"customer_id": "C1"}], [{"product_id": "P1", "cost": "6"}],
        [{**sale, "customer_id": "C1", "product_id": "P1"} for sale in SALES],
    )  # fmt: skip
    summary = project.run()
    assert summary["tables"]["customer_dim"]["rows_removed"] == 4
    assert_whole(project)
    tables = project.tables()
    assert [row["customer_id"] for row in tables["customer_dim"]] == ["C1"]
    assert [row["product_id"] for row in tables["product_dim"]] == ["P1"]
    assert {sale["profit_amount"] for sale in tables["sales_fact"]} == {4}
