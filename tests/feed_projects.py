"""Projects that load one feed of changes, as the page on them declares it."""

import re
from pathlib import Path
from typing import Any

from pipeline_runs import Project

from etl.history.summary import RunSummary

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "change-feeds.md").read_text("utf-8")
COUNTS = ("read", "inserted", "updated", "unchanged", "rejected", "superseded", "removals",
          "removed")  # fmt: skip


def example(name: str) -> str:
    """The block of the page that a comment names."""
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"the page has no {name}"
    return found[1]


def project_of(folder: Path, pipeline: str, **settings: str) -> Project:
    path = folder / "pipeline.toml"
    project = Project(
        folder, PIPELINE_FILE=str(path), LOG_LEVEL="WARNING", MAX_RETRIES="0", **settings
    )
    path.write_text(pipeline, encoding="utf-8")
    return project


def counts(summary: RunSummary, table: str) -> dict[str, int]:
    found = summary["tables"][table]
    return {name: found[f"rows_{name}"] for name in COUNTS if found[f"rows_{name}"]}


def load(project: Project, *argv: str, table: str = "shop_order") -> dict[str, int]:
    return counts(project.run("--only", "orders", *argv), table)


def fault(project: Project) -> str:
    (source,) = project.run("--only", "orders")["sources"]
    assert source["status"] == "failed"
    return str(source["error"])


def loaded(project: Project) -> list[tuple[Any, ...]]:
    return project.query("SELECT order_id, total, placed_at FROM shop_order ORDER BY order_id")
