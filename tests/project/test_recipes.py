"""The recipes of CONTRIBUTING.md, carried out on a copy of the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n((?s:.*?))(?=^## |\Z)", TEXT, re.MULTILINE))


@dataclass(frozen=True)
class Copy:
    """A copy of the project that recipes may change."""

    folder: Path

    def follow(self, recipe: str) -> None:
        """Carry out the changes of a recipe."""
        changes = re.findall(r"^```diff\n(.*?)^```", SECTIONS[recipe], re.MULTILINE | re.DOTALL)
        assert changes
        for change in changes:
            head, *lines = change.splitlines()
            self._change(self.folder / head.removeprefix("--- "), lines)

    def _change(self, path: Path, lines: list[str]) -> None:
        before = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
        after = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-"))
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        assert text.count(before) == 1 or not before, f"{path}: the place is not found once"
        path.write_text(text.replace(before, after) if before else after, encoding="utf-8")

    def python(self, *argv: str, **environ: str) -> str:
        """Run Python in the copy, and return what it prints."""
        done = subprocess.run(
            [sys.executable, *argv], cwd=self.folder, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONUTF8": "1", **environ}, encoding="utf-8",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, **environ: str) -> dict[str, Any]:
        """Run the pipeline, and return its summary."""
        printed = self.python("etl_pipeline.py", "--json", **environ)
        summary: dict[str, Any] = json.loads(printed)
        return summary

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the warehouse."""
        with duckdb.connect(self.folder / "data/output/dev/warehouse.duckdb") as db:
            return db.execute(sql).fetchall()


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("etl", "scripts", "data/input"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for path in ROOT.glob("*.py"):
        shutil.copy2(path, tmp_path)
    return Copy(tmp_path)


def test_the_recipes_are_those_that_were_promised() -> None:
    assert list(SECTIONS) == [
        "Set up", "Run one test", "Add a column", "Add a rule", "Add an engine",
    ]  # fmt: skip


def test_a_column_that_was_added_is_loaded_into_a_warehouse_that_lacks_it(copy: Copy) -> None:
    copy.run()
    copy.follow("Add a column")
    customers = copy.folder / "data/input/customers.csv"
    head, *lines = customers.read_text(encoding="utf-8-sig").splitlines()
    levels = [f"{line}, gold " for line in lines]
    customers.write_text("\n".join([f"{head},loyalty_level", *levels]), encoding="utf-8")
    copy.run()
    ((count,),) = copy.query("SELECT count(*) FROM customer_dim WHERE loyalty_level = 'gold'")
    assert count > 100


def test_a_rule_that_was_added_is_checked_and_in_the_documents(copy: Copy) -> None:
    copy.follow("Add a rule")
    names = {check["name"] for check in copy.run()["quality"]["checks"]}
    assert "customer_dim.address_short" in names
    code = "from rule_docs import rules_markdown; print(rules_markdown())"
    assert "`customer_dim.address_short`" in copy.python("-c", code, PYTHONPATH="scripts")


def test_an_engine_that_was_added_is_loaded_twice_and_checked(copy: Copy) -> None:
    copy.follow("Add an engine")
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
