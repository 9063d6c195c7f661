"""The recipes of CONTRIBUTING.md, carried out on a copy of the project."""

import json

import yaml
from project_copy import ROOT, Copy, copy, sections_of

__all__ = ["copy"]  # a fixture

SECTIONS = sections_of(ROOT / "CONTRIBUTING.md")


def test_the_recipes_are_those_that_were_promised() -> None:
    assert list(SECTIONS) == [
        "Set up", "Run one test", "Add a column", "Add a rule", "Add an engine",
    ]  # fmt: skip


def test_a_column_that_was_added_is_loaded_into_a_warehouse_that_lacks_it(copy: Copy) -> None:
    copy.run()
    copy.follow(SECTIONS["Add a column"])
    customers = copy.folder / "data/input/customers.csv"
    head, *lines = customers.read_text(encoding="utf-8-sig").splitlines()
    levels = [f"{line}, gold " for line in lines]
    customers.write_text("\n".join([f"{head},loyalty_level", *levels]), encoding="utf-8")
    copy.run()
    ((count,),) = copy.query("SELECT count(*) FROM customer_dim WHERE loyalty_level = 'gold'")
    assert count > 100


def test_a_rule_that_was_added_is_checked_and_in_the_documents(copy: Copy) -> None:
    copy.follow(SECTIONS["Add a rule"])
    names = {check["name"] for check in copy.run()["quality"]["checks"]}
    assert "customer_dim.address_short" in names
    code = "from rule_docs import rules_markdown; print(rules_markdown())"
    assert "`customer_dim.address_short`" in copy.python("-c", code, PYTHONPATH="scripts")


def test_an_engine_that_was_added_is_loaded_twice_and_checked(copy: Copy) -> None:
    copy.follow(SECTIONS["Add an engine"])
    connection = {"DB_CONNECTION_STRING": "copy:///warehouse.db"}
    first, again = copy.run(**connection), copy.run(**connection)
    assert first["warehouse"].startswith("copy:///")
    assert first["tables"]["sales_fact"]["rows_inserted"] > 0
    assert again["tables"]["sales_fact"]["rows_inserted"] == 0
    checked = json.loads(copy.python("etl_pipeline.py", "--health-check", "--json", **connection))
    assert checked["status"] == "healthy"


def test_the_hooks_before_a_commit_are_the_checks_of_the_test_command() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (repository,) = config["repos"]
    assert repository["repo"] == "local"
    entries = [hook["entry"].replace(" --fix", "") for hook in repository["hooks"]]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert entries == ["ruff check", "ruff format", "mypy ."]
    assert all(f".venv/bin/{entry}" in readme for entry in entries)
