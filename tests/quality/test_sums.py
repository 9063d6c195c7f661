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

    monkeypatch.setattr("etl.warehouse.loading.reconcile", after_a_change)
    found = sums(project_of(tmp_path))["sales_fact"]
    assert (found["status"], found["value"]) == ("failed", 1)
    assert found["message"] == (
        "sums of sales_fact differ: quantity 10 in the source, 11 in the table"
    )


PIPELINE = """
[loads.parents]
source = { path = "parents.csv" }
table = "parent"
key = ["parent_id"]
columns = { parent_id = "text(9)" }

[loads.lines]
source = { path = "lines.csv" }
table = "line"
key = ["order_id", "place"]
columns = { order_id = "integer", place = "integer", parent_id = "text(9)", pieces = "integer" }
references = { parent_id = "parent" }
"""


def checks_of_lines(folder: Path) -> dict[str, dict[str, Any]]:
    project = Project(folder, LOG_LEVEL="CRITICAL", PIPELINE_FILE=str(folder / "pipeline.toml"))
    (folder / "pipeline.toml").write_text(PIPELINE, "utf-8")
    (project.input / "parents.csv").write_text("parent_id\nA\n", "utf-8")
    lines = "order_id,place,parent_id,pieces\n1,1,A,2\n1,2,,3\n2,1,A,4\n"
    (project.input / "lines.csv").write_text(lines, "utf-8")
    found = project.run("--only", "parents", "--only", "lines")
    assert found["quality"]["scores"]["lines"] == 100
    return {c["name"]: c for c in found["quality"]["checks"] if c["table"] == "line"}


def test_declared_tables_are_checked_by_what_is_declared(
    tmp_path: Path, every_engine: Engine
) -> None:
    found = checks_of_lines(tmp_path)
    names = ("accounted", "sums", "required", "unique", "parent_id")
    assert {name: check["status"] for name, check in found.items()} == {
        f"line.{name}": "passed" for name in names
    }


def test_a_key_that_stands_twice_and_a_row_without_its_parent_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def after_a_change(db: Any, staged: Any) -> Any:
        if staged.table.name == "line":
            db.execute("INSERT INTO line VALUES (1, 2, 'A', 3)")
            db.execute("INSERT INTO line VALUES (3, 1, 'B', 1)")
        return reconcile(db, staged)

    monkeypatch.setattr("etl.warehouse.loading.reconcile", after_a_change)
    found = checks_of_lines(tmp_path)
    broken = {n: (c["value"], c["examples"]) for n, c in found.items() if c["status"] == "failed"}
    assert broken == {
        "line.unique": (1, ["1|2"]), "line.parent_id": (1, ["3"]),
    }  # fmt: skip
