"""A copy of the project that recipes, walks and exercises of the documents may change."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[1]


def sections_of(document: Path) -> dict[str, str]:
    """The parts of a document by their headings of the second rank."""
    text = document.read_text(encoding="utf-8")
    return dict(re.findall(r"^## (.+)\n((?s:.*?))(?=^## |\Z)", text, re.MULTILINE))


def blocks_of(text: str) -> Iterator[tuple[str, str]]:
    """The blocks of code in a text, each with its language."""
    yield from re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Copy:
    """A copy of the project."""

    folder: Path

    def follow(self, text: str) -> None:
        """Carry out the changes that a text shows as diffs, and write the files that it shows."""
        changes = [block for language, block in blocks_of(text) if language == "diff"]
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
        return self._done([sys.executable, *argv], environ)

    def bash(self, script: str) -> str:
        """Run a script in the copy, and return what it prints."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return self._done(["bash", "-euc", script], {"PATH": path})

    def _done(self, command: list[str], environ: dict[str, str]) -> str:
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONUTF8": "1", **environ}, encoding="utf-8",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *argv: str, **environ: str) -> dict[str, Any]:
        """Run the pipeline, and return its summary."""
        printed = self.python("etl_pipeline.py", "--json", *argv, **environ)
        summary: dict[str, Any] = json.loads(printed)
        return summary

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the warehouse."""
        with duckdb.connect(self.folder / "data/output/dev/warehouse.duckdb") as db:
            return db.execute(sql).fetchall()


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A copy of the project with its sample, in a folder of its own."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("etl", "scripts", "data/input"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for path in ROOT.glob("*.py"):
        shutil.copy2(path, tmp_path)
    return Copy(tmp_path)
