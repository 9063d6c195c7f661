"""Change events in Debezium's shape, loaded by real runs."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from pipeline_runs import Project

from etl.history.summary import RunSummary

PIPELINE = """
[loads.orders]
source = { path = "orders*.jsonl*", which = "all", type = "debezium" }
table = "orders"
key = ["order_id"]
columns = { order_id = "integer", total = "decimal(12,2)", note = "text(50)" }
guards = { max_reject_rate = 0.9, max_removed_rate = 1 }
"""
_COUNTS = ("read", "inserted", "updated", "unchanged", "rejected", "superseded", "removals",
           "removed")  # fmt: skip


def counts(summary: RunSummary, table: str = "orders") -> dict[str, int]:
    found = summary["tables"][table]
    return {name: found[f"rows_{name}"] for name in _COUNTS if found[f"rows_{name}"]}


def row(order_id: int, total: float = 1, note: str | None = None) -> dict[str, Any]:
    return {"order_id": order_id, "total": total, "note": note}


def event(op: str, lsn: int, before: Any = None, after: Any = None) -> dict[str, Any]:
    source = {"connector": "postgresql", "lsn": lsn, "ts_ms": 1_700_000_000_000 + lsn}
    return {"op": op, "before": before, "after": after, "source": source}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, PIPELINE_FILE=str(tmp_path / "pipeline.toml"), LOG_LEVEL="WARNING")
    (tmp_path / "pipeline.toml").write_text(PIPELINE, encoding="utf-8")
    return project


def write(project: Project, *events: Any, name: str = "orders.jsonl") -> None:
    lines = (each if isinstance(each, str) else json.dumps(each) for each in events)
    text = "".join(f"{line}\n" for line in lines).encode()
    packed = gzip.compress(text) if name.endswith(".gz") else text
    (project.input / name).write_bytes(packed)


def orders(project: Project) -> list[tuple[Any, ...]]:
    found = project.query("SELECT order_id, total, note FROM orders ORDER BY order_id")
    return [(key, float(total), note) for key, total, note in found]


def load(project: Project) -> dict[str, int]:
    return counts(project.run("--only", "orders"))


@pytest.mark.usefixtures("every_engine")
def test_changes_are_folded_to_the_newest_of_each_key(project: Project) -> None:
    write(
        project,
        event("r", 1, after=row(1)),
        event("c", 2, after=row(2, 2.5)),
        event("u", 3, before=row(1), after=row(1, 9, "new")),
        event("c", 4, after=row(3)),
        event("d", 5, before={"order_id": 3, "total": None, "note": None}),
        "null",
    )
    assert load(project) == {"read": 5, "inserted": 2, "superseded": 2, "removals": 1}
    assert orders(project) == [(1, 9, "new"), (2, 2.5, None)]
    assert load(project) == {"read": 5, "unchanged": 2, "superseded": 2, "removals": 1}
    write(project, event("d", 6, before=row(2)), name="orders_2.jsonl.gz")
    assert load(project) == {
        "read": 6, "unchanged": 1, "superseded": 3, "removals": 2, "removed": 1
    }  # fmt: skip
    assert orders(project) == [(1, 9, "new")]
