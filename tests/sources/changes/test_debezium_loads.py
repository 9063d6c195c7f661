"""Change events in Debezium's shape, loaded by real runs."""

import gzip
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pipeline_runs import Project

from etl.history.summary import RunSummary
from etl.settings.pipeline_reading import PipelineFileError, read_pipeline_file

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


@pytest.mark.usefixtures("every_engine")
def test_late_and_repeated_events_change_nothing_and_a_truncation_ends_all_before(
    project: Project,
) -> None:
    write(project, event("c", 20, after=row(1, 2)), event("d", 30, before=row(2)))
    assert load(project) == {"read": 2, "inserted": 1, "removals": 1}
    late = (event("u", 19, after=row(1, 1)), event("c", 29, after=row(2)))  # of before that
    write(project, *late, event("c", 25, after=row(3)))
    assert load(project) == {"read": 3, "inserted": 1, "superseded": 2}
    assert orders(project) == [(1, 2, None), (3, 1, None)]

    # the table was emptied at 28, what came after that is known already
    write(project, event("c", 40, after=row(4)), event("t", 28), event("c", 27, after=row(5)))
    assert load(project) == {
        "read": 3, "inserted": 1, "superseded": 1, "removals": 1, "removed": 2
    }  # fmt: skip
    assert orders(project) == [(4, 1, None)]
    write(project, event("c", 26, after=row(6)), event("c", 28, after=row(7)))
    assert load(project) == {"read": 2, "inserted": 1, "superseded": 1}
    assert orders(project) == [(4, 1, None), (7, 1, None)]


def test_a_truncation_is_held_back_by_the_limit_of_removed_rows(project: Project) -> None:
    text = PIPELINE.replace(", max_removed_rate = 1", "")
    (project.folder / "pipeline.toml").write_text(text, encoding="utf-8")
    write(project, event("c", 1, after=row(1)))
    load(project)
    write(project, event("t", 2))
    (held,) = project.run("--only", "orders")["sources"]
    assert "the change that empties the table would remove 1 of 1 rows" in held["error"]
    assert orders(project) == [(1, 1, None)]
    preview = project.run("--only", "orders", "--accept", "orders.removed_rows", "--dry-run")
    assert counts(preview) == {"read": 1, "removals": 1}
    accepted = project.run("--only", "orders", "--accept", "orders.removed_rows")
    assert counts(accepted) == {"read": 1, "removals": 1, "removed": 1}


def test_rejected_events_stand_in_the_file_and_a_corrected_one_is_loaded(project: Project) -> None:
    write(
        project, event("c", 1, after=row(1)), "{", event("c", 2, after={"order_id": "x"}),
        event("d", 3, before={"order_id": "y"}), event("c", 4, after=row(2, 1, "n" * 60)),
    )  # fmt: skip
    assert load(project) == {"read": 5, "inserted": 1, "rejected": 4}
    found = {r["source_row"]: r for r in project.rejected("orders")}
    assert [found[n]["field"] for n in "2345"] == ["", "order_id", "order_id", "note"]
    assert found["2"]["raw_record"] == "{"
    (path,) = (project.output / "rejected").glob("orders_*.csv")
    corrected = project.folder / "corrected.csv"
    corrected.write_text(path.read_text("utf-8-sig").replace("n" * 60, "short"), encoding="utf-8")
    again = project.run("--reprocess-rejected", str(corrected))
    assert counts(again)["inserted"] == 1
    assert orders(project) == [(1, 1, None), (2, 1, "short")]


ITEMS = """
[loads.items]
source = { path = "items.jsonl", type = "debezium" }
table = "items"
key = ["item_id"]
columns = { item_id = "integer", order_id = "integer" }
references = { order_id = "orders" }
"""


@pytest.mark.usefixtures("every_engine")
def test_a_row_that_others_name_goes_once_nothing_names_it(project: Project) -> None:
    (project.folder / "pipeline.toml").write_text(PIPELINE + ITEMS, encoding="utf-8")
    item = {"item_id": 7, "order_id": 1}
    write(project, event("c", 1, after=row(1)))
    write(project, event("c", 2, after=item), name="items.jsonl")
    project.run()
    write(project, event("d", 4, before=row(1)))
    write(project, event("d", 3, before=item), name="items.jsonl")
    first = project.run("--full-refresh", "--accept", "customers", "--accept", "products",
                        "--accept", "sales")  # fmt: skip
    assert counts(first, "items") == {"read": 1, "removals": 1, "removed": 1}
    assert counts(first) == {"read": 1, "removals": 1}
    assert load(project) == {"read": 1, "removals": 1, "removed": 1}
    assert orders(project) == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ('type = "debezium"', "type 'debezium' needs path"),
        ('type = "debezium", path = "a", slot = "b"', "slot belongs to type 'postgresql_slot'"),
        ('type = "debezium", path = "a", encodings = { note = "week" }', "'week' is no encoding"),
        ('path = "a", warn_mb = 1', "warn_mb belongs to type 'postgresql_slot'"),
        ('type = "cdc", connection = "A"', "type 'cdc' needs table"),
    ],
)
def test_what_does_not_go_together_is_named(tmp_path: Path, source: str, problem: str) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text(f'[loads.a]\ntable = "t"\nkey = ["k"]\nsource = {{ {source} }}', "utf-8")
    with pytest.raises(PipelineFileError, match=re.escape(problem)):
        read_pipeline_file(path)


HISTORY = """
[loads.orders]
source = { path = "orders*.jsonl*", type = "debezium", changed_at = "changed" }
table = "orders"
mode = "history"
key = ["order_id"]
columns = { order_id = "integer", note = "text(50)", changed = "timestamp" }
guards = { max_removed_rate = 1 }
"""


@pytest.mark.usefixtures("every_engine")
def test_in_mode_history_each_change_is_a_version_and_a_removal_closes_one(
    project: Project,
) -> None:
    (project.folder / "pipeline.toml").write_text(HISTORY, encoding="utf-8")
    write(
        project, event("c", 1000, after=row(1, note="a")), event("u", 3000, after=row(1, note="c")),
        event("c", 1000, after=row(2, note="x")), event("d", 2000, before=row(2)),
    )  # fmt: skip
    assert load(project) == {"read": 4, "inserted": 3, "removals": 1, "removed": 1}
    ends = [(1, "a", 1, 3), (1, "c", 3, None), (2, "x", 1, 2)]
    assert versions(project) == ends
    assert load(project) == {"read": 4, "unchanged": 3, "removals": 1}
    # late, and in the middle
    write(project, event("u", 2000, after=row(1, note="b")), event("d", 4000, before=row(1)))
    assert load(project) == {"read": 2, "inserted": 1, "removals": 1, "removed": 1}
    assert versions(project) == [(1, "a", 1, 2), (1, "b", 2, 3), (1, "c", 3, 4), (2, "x", 1, 2)]


def versions(project: Project) -> list[tuple[Any, ...]]:
    """The versions of the orders, in seconds after the first event."""
    rows = project.query(
        "SELECT order_id, note, valid_from, valid_to FROM orders ORDER BY order_id, valid_from"
    )
    start = datetime(2023, 11, 14, 22, 13, 20)

    def seconds(at: datetime) -> float | None:
        return None if at.year == 9999 else (at - start).total_seconds()

    return [(key, note, seconds(since), seconds(end)) for key, note, since, end in rows]


def test_versions_may_begin_when_a_run_sees_them(project: Project) -> None:
    text = HISTORY.replace(', changed_at = "changed"', "").replace(', changed = "timestamp"', "")
    (project.folder / "pipeline.toml").write_text(text, encoding="utf-8")
    write(project, event("c", 1, after=row(1, note="a")), event("c", 2, after=row(2)))
    assert load(project) == {"read": 2, "inserted": 2}
    write(project, event("u", 4, after=row(1, note="b")), event("d", 3, before=row(2)))
    assert load(project) == {"read": 2, "inserted": 1, "removals": 1, "removed": 1}
    write(project, event("u", 2, after=row(1, note="late")))
    assert load(project) == {"read": 1, "superseded": 1}
    query = "SELECT order_id, note, is_current FROM orders ORDER BY order_id, valid_from"
    found = [(key, note, bool(current)) for key, note, current in project.query(query)]
    assert found == [(1, "a", False), (1, "b", True), (2, None, False)]
