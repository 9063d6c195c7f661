"""Changes as SQL Server gives them: what it is asked, and what becomes of its answers.

No server that the tests can run has these features; the answers are made up as Microsoft's
documents describe them.
"""

import os
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from feed_projects import fault, load, loaded, project_of
from pipeline_runs import Project
from sqlglot import ErrorLevel, exp

from etl.sources.changes import queried
from etl.sources.changes.feed_kinds import FEED_KINDS, FeedTable
from etl.sources.changes.rows import Database, Rows

PIPELINE = """
[loads.orders]
source = { type = "TYPE", connection = "ERP", table = "dbo.orders", rename = { Nr = "order_id" } }
table = "shop_order"
key = ["order_id"]
columns = { order_id = "integer", total = "decimal(12,2)", placed_at = "timestamp" }
guards = { max_removed_rate = 1 }
"""
TABLE = FeedTable("dbo.orders", ("order_id",), {"Nr": "order_id"})


class Server:
    """Answers what it is asked, and nothing else."""

    def __init__(self, kind: str) -> None:
        self.kind = FEED_KINDS[kind]
        self.answers: dict[str, Rows] = {}
        self.rows([(1, "1.5", None), (2, "2", None)])

    def bounds(self, *row: Any) -> None:
        self.answers[self.kind.bounds(TABLE)] = (("", ""), [row])

    def rows(self, rows: list[tuple[Any, ...]]) -> None:
        names = ("Nr", "total", "placed_at")
        self.answers['SELECT * FROM "dbo"."orders"'] = (names, rows)
        self.answers['SELECT * FROM "dbo"."orders" WHERE 1 = 0'] = (names, [])

    def changes(self, position: str, newest: str, names: str, *rows: tuple[Any, ...]) -> None:
        sql = self.kind.changes(TABLE, position, newest)
        self.answers[sql] = (tuple(names.split()), list(rows))

    def ask(self, _database: Database, sql: str) -> Generator[Rows, None, None]:
        yield self.answers[sql]


def made(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> tuple[Project, Server]:
    server = Server(kind)
    monkeypatch.setattr(queried, "rows_of", server.ask)
    erp = "Driver=x;Server=erp;UID=etl;PWD=secret"
    return project_of(folder, PIPELINE.replace("TYPE", kind), ERP=erp), server


def test_change_tracking_gives_the_keys_that_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, server = made(tmp_path, monkeypatch, "change_tracking")
    server.bounds(3, 9)
    assert load(project) == {"read": 3, "inserted": 2, "removals": 1}
    server.bounds(9, 12)
    sql = server.kind.changes(TABLE, f"{9:020}", f"{12:020}")
    rows = [
        ("D", 1, None, None, None), ("U", 2, 2, "9", None), ("I", 3, 3, "3", None),
        ("I", 4, None, None, None),  # removed since
    ]  # fmt: skip
    server.answers[sql] = (("SYS_CHANGE_OPERATION", "key Nr", "Nr", "total", "placed_at"), rows)
    assert load(project) == {"read": 4, "inserted": 1, "updated": 1, "removals": 2, "removed": 1}
    assert [(key, str(total)) for key, total, _ in loaded(project)] == [(2, "9.00"), (3, "3.00")]
    assert load(project) == {}  # nothing has changed, nothing more is asked


def test_captured_changes_come_with_the_rows_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, server = made(tmp_path, monkeypatch, "cdc")
    first, second = bytes(9) + b"\x05", bytes(9) + b"\x09"
    server.bounds(first, first)
    load(project)
    server.bounds(first, second)
    names = "__$start_lsn __$seqval __$operation __$update_mask Nr total placed_at"
    lsn = (second, second)
    server.changes(
        first.hex(), second.hex(), names,
        (*lsn, 3, b"\1", 1, "1.5", None), (*lsn, 4, b"\1", 1, "7", None),
        (*lsn, 3, b"\1", 2, "2", None), (*lsn, 4, b"\1", 20, "2", None),
        (*lsn, 2, b"\1", 3, "3", None), (*lsn, 1, b"\1", 3, "3", None),
    )  # fmt: skip
    assert load(project) == {
        "read": 6, "inserted": 1, "updated": 1, "superseded": 2, "removals": 2, "removed": 1
    }  # fmt: skip
    assert [(key, str(total)) for key, total, _ in loaded(project)] == [(1, "7.00"), (20, "2.00")]


@pytest.mark.parametrize(
    ("kind", "first", "later"),
    [
        ("change_tracking", (3, 9), (10, 12)),
        ("cdc", (b"\1" * 10, b"\1" * 10), (b"\2" * 10, b"\3" * 10)),
    ],
)
def test_changes_that_were_forgotten_need_a_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, first: Any, later: Any
) -> None:
    project, server = made(tmp_path, monkeypatch, kind)
    server.bounds(*first)
    load(project)
    server.bounds(*later)
    server.rows([(2, "2", None), (3, "3", None)])
    text = fault(project)
    assert "changes between are lost. Next: --reset-state this load" in text
    assert "secret" not in text
    found = load(project, "--full-refresh")
    assert found == {"read": 3, "inserted": 1, "unchanged": 1, "removals": 1, "removed": 1}


@pytest.mark.parametrize(
    ("kind", "row", "step"),
    [
        ("change_tracking", (None, 5), "ENABLE CHANGE_TRACKING"),
        ("cdc", (bytes(10), bytes(10)), "sys.sp_cdc_enable_table @source_schema = N'dbo'"),
    ],
)
def test_a_table_whose_changes_are_not_noted_is_named_with_what_enables_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, row: Any, step: str
) -> None:
    project, server = made(tmp_path, monkeypatch, kind)
    server.bounds(*row)
    text = fault(project)
    assert "dbo" in text and step in text


FOLDER = Path(__file__).with_name("tsql")
WIDE = FeedTable("sales.order_item", ("order_id", "line"), capture="sales_items")
STATEMENTS = {
    f"{name}_{what}_{table.name.partition('.')[2]}": sql
    for table in (TABLE, WIDE)
    for name, kind in FEED_KINDS.items()
    if name != "change_table"
    for what, sql in (
        ("bounds", kind.bounds(table)),
        ("changes", kind.changes(table, "0" * 19 + "7", "0" * 18 + "12")),
    )
}
# The parser does not know this form of a table.
CHANGES_OF = re.compile(r"CHANGETABLE\(CHANGES (\"\w+\"\.\"\w+\"), \d+\)")


@pytest.mark.parametrize("name", STATEMENTS)
def test_what_sql_server_is_asked_is_what_its_file_says_and_is_t_sql(name: str) -> None:
    """With UPDATE_TSQL=1 in the environment the file is rewritten instead."""
    path, text = FOLDER / f"{name}.sql", STATEMENTS[name] + "\n"
    if os.environ.get("UPDATE_TSQL") == "1":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    assert path.read_text(encoding="utf-8") == text
    trees = sqlglot.parse(CHANGES_OF.sub(r"\1", text), read="tsql", error_level=ErrorLevel.RAISE)
    assert [type(tree) for tree in trees] == [exp.Select]
