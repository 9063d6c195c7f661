"""Changes of PostgreSQL, read from a replication slot and loaded by real runs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import engines
import psycopg
import pytest
from pipeline_runs import Project, command

from etl.history.summary import RunSummary
from etl.monitoring.health.report import pipeline_health_check
from etl.sources.changes.slot import SlotRecords

PLUGINS = ("pgoutput", "test_decoding", "wal2json")
SLOT = f"etl_test_{os.getpid()}"
PIPELINE = """
[loads.orders]
source = { type = "postgresql_slot", connection = "SHOP", table = "shop.orders", SLOT }
table = "orders"
key = ["order_id"]
guards = { max_reject_rate = 0.9, max_removed_rate = 1 }
[loads.orders.columns]
order_id = "integer"
total = "decimal(12, 2)"
placed = "timestamp"
seen = "timestamp"
paid = "boolean"
data = "text(20)"
note = "text(4000)"
"""
COLUMNS = "order_id, total, placed, seen, paid, data, note"
TABLE = """
DROP SCHEMA IF EXISTS shop CASCADE; CREATE SCHEMA shop;
CREATE TABLE shop.orders (order_id int PRIMARY KEY, total numeric(12,2), placed timestamp,
    seen timestamptz, paid boolean, data bytea, note text);
CREATE TABLE shop.other (id int PRIMARY KEY);
"""


class Shop:
    """The database whose changes are read."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg.connect(url, autocommit=True)
        self.run("SET synchronous_commit = on", TABLE)  # the log is read as far as it is on disk

    def run(self, *statements: str) -> None:
        """Each of them in a transaction of its own."""
        for statement in statements:
            self._connection.execute(statement.encode())

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql.encode()).fetchall()

    def make_slot(self, plugin: str = "pgoutput") -> None:
        self.run(f"CREATE PUBLICATION {SLOT} FOR TABLE shop.orders, shop.other")
        self.query(f"SELECT pg_create_logical_replication_slot('{SLOT}', '{plugin}')")

    def drop_slot(self) -> None:
        slots = f"FROM pg_replication_slots WHERE slot_name = '{SLOT}'"
        self.query(f"SELECT pg_drop_replication_slot(slot_name) {slots}")

    def close(self) -> None:
        self.drop_slot()
        self.run(f"DROP PUBLICATION IF EXISTS {SLOT}", "DROP SCHEMA shop CASCADE")
        self._connection.close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    if engines.POSTGRESQL.why_not:
        pytest.skip(engines.POSTGRESQL.why_not)
    url = engines.POSTGRESQL.server
    with psycopg.connect(url) as connection:
        (level,) = connection.execute("SHOW wal_level").fetchone() or ("",)
    if level != "logical":
        pytest.skip("the server's wal_level is not logical")
    shop = Shop(url)
    yield shop
    shop.close()


def project_of(folder: Path, shop: Shop, **options: object) -> Project:
    project = Project(
        folder, PIPELINE_FILE=str(folder / "pipeline.toml"), LOG_LEVEL="WARNING", SHOP=shop.url,
        MAX_RETRIES="0",
    )  # fmt: skip
    given = {"slot": SLOT, "publication": SLOT, **options}
    toml = ", ".join(
        f'{n} = "{v}"' if isinstance(v, str) else f"{n} = {v}" for n, v in given.items()
    )
    text = PIPELINE.replace("SLOT", toml)
    (folder / "pipeline.toml").write_text(text, encoding="utf-8")
    return project


@pytest.fixture
def project(tmp_path: Path, shop: Shop) -> Project:
    return project_of(tmp_path, shop)


_COUNTS = ("read", "inserted", "updated", "unchanged", "rejected", "superseded", "removals",
           "removed")  # fmt: skip


def counts(summary: RunSummary) -> dict[str, int]:
    found = summary["tables"]["orders"]
    return {name: found[f"rows_{name}"] for name in _COUNTS if found[f"rows_{name}"]}


def load(project: Project, *argv: str) -> dict[str, int]:
    return counts(project.run("--only", "orders", *argv))


def same(project: Project, shop: Shop) -> bool:
    query = f"SELECT {COLUMNS} FROM orders ORDER BY order_id"
    source = (
        "SELECT order_id, total, placed, timezone('UTC', seen), paid, encode(data, 'hex'), note"
    )
    return project.query(query) == shop.query(f"{source} FROM shop.orders ORDER BY order_id")


def fault(project: Project) -> str:
    (source,) = project.run("--only", "orders")["sources"]
    assert source["status"] == "failed"
    return str(source["error"])


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_slot_is_a_snapshot_first_and_then_its_changes(
    tmp_path: Path, shop: Shop, plugin: str
) -> None:
    try:
        shop.make_slot(plugin)
    except psycopg.errors.UndefinedFile:
        pytest.skip(f"the server has no {plugin}")
    project = project_of(tmp_path, shop, plugin=plugin)
    shop.run(
        "INSERT INTO shop.orders VALUES (1, 1.50, '2024-01-15 10:30:00.000001',"
        " '2024-01-15 12:30+02', true, '\\x00ff', 'it''s [a]: \"b\" Ö漢')",
        "INSERT INTO shop.orders (order_id, note) "
        "SELECT n, repeat('x', n) FROM generate_series(2, 9) n",
    )
    first = load(project)
    assert first["inserted"] == 9 and first["removals"] == 1  # what the snapshot would remove
    assert same(project, shop)
    assert load(project) == {}

    shop.run(
        "UPDATE shop.orders SET order_id = 20, note = E'two\\nlines', paid = false "
        "WHERE order_id = 1",
        "DELETE FROM shop.orders WHERE order_id IN (2, 3)",
        "BEGIN; DELETE FROM shop.orders; ROLLBACK",
        "BEGIN; INSERT INTO shop.orders VALUES (30); UPDATE shop.orders SET note = 'n' "
        "WHERE order_id = 30; INSERT INTO shop.other VALUES (1); COMMIT",
    )
    assert load(project) == {
        "read": 6, "inserted": 2, "superseded": 1, "removals": 3, "removed": 3
    }  # fmt: skip
    assert same(project, shop)

    shop.run("TRUNCATE shop.orders", "INSERT INTO shop.orders VALUES (2), (40)")
    assert load(project) == {"read": 3, "inserted": 2, "removals": 1, "removed": 8}
    shop.run("INSERT INTO shop.orders VALUES (1)", "DELETE FROM shop.orders WHERE order_id = 40")
    assert load(project) == {"read": 2, "inserted": 1, "removals": 1, "removed": 1}
    assert same(project, shop)
    kept = shop.query(f"SELECT data FROM pg_logical_slot_peek_binary_changes('{SLOT}', NULL, NULL, "
                      f"'proto_version', '1', 'publication_names', '{SLOT}')"
                      ) if plugin == "pgoutput" else []  # fmt: skip
    assert kept == []


_KILLED = """
import os, signal, sys
import etl.history.audit, etl.sources.changes.slot
from etl_pipeline import main

def killed(*_args, **_named):
    os.kill(os.getpid(), signal.SIGKILL)

{place} = killed
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("place", "is_loaded"),
    [
        ("etl.history.watermarks.move_position", False),  # before the commit
        ("etl.sources.changes.slot.SlotRecords.loaded", True),  # before the slot forgets
    ],
)
def test_a_run_that_is_killed_loses_nothing_and_doubles_nothing(
    project: Project, shop: Shop, place: str, is_loaded: bool
) -> None:
    shop.make_slot()
    shop.run("INSERT INTO shop.orders VALUES (1), (2), (3)")
    load(project)
    shop.run("DELETE FROM shop.orders WHERE order_id = 1", "INSERT INTO shop.orders VALUES (4)")
    process = subprocess.run(
        [sys.executable, "-c", _KILLED.format(place=place), "--only", "orders"],
        env={**os.environ, **project.settings}, capture_output=True, check=False,
    )  # fmt: skip
    assert process.returncode == -9, process.stderr
    assert same(project, shop) == is_loaded
    shop.run("INSERT INTO shop.orders VALUES (5)")
    missed = {} if is_loaded else {"removals": 1, "removed": 1}
    rows = 1 if is_loaded else 2
    assert load(project) == {"read": rows + len(missed) // 2, "inserted": rows, **missed}
    assert same(project, shop)


def test_a_dry_run_leaves_the_slot_as_it_is(project: Project, shop: Shop) -> None:
    shop.make_slot()
    load(project)
    shop.run("INSERT INTO shop.orders VALUES (1)")
    preview = {"read": 1, "inserted": 1}
    assert load(project, "--dry-run") == load(project, "--dry-run") == load(project) == preview


def test_of_very_many_changes_a_run_takes_some_and_the_next_the_others(
    tmp_path: Path, shop: Shop
) -> None:
    project = project_of(tmp_path, shop, most_changes=10, warn_mb=1)
    shop.make_slot()
    load(project)
    shop.run(
        *(f"INSERT INTO shop.orders VALUES ({n})" for n in range(9)),
        "INSERT INTO shop.orders (order_id, note) "
        "SELECT n, repeat('x', 500) FROM generate_series(10, 3000) n",
    )
    summary = project.run("--only", "orders")
    assert counts(summary) == {"read": 3, "inserted": 3}
    (source,) = summary["sources"]
    kept, more = source["warnings"]
    assert kept.startswith(f"replication slot {SLOT} keeps ") and "more than 1 MB" in kept
    assert more.startswith("10 records of the log were read, and there are more")
    while load(project):
        pass
    assert same(project, shop)


def test_old_keys_must_be_in_the_log(project: Project, shop: Shop) -> None:
    shop.run("ALTER TABLE shop.orders REPLICA IDENTITY NOTHING")
    shop.make_slot()
    text = fault(project)
    assert "of a removed row of shop.orders the log has nothing, and the load needs" in text
    assert 'ALTER TABLE "shop"."orders" REPLICA IDENTITY FULL' in text
    shop.run("ALTER TABLE shop.orders REPLICA IDENTITY FULL")
    load(project)
    big = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 100) n)"
    shop.run("INSERT INTO shop.orders (order_id, note) VALUES (1, 'short')",
             "ALTER TABLE shop.orders ALTER note SET STORAGE EXTERNAL",
             f"INSERT INTO shop.orders (order_id, note) VALUES (2, {big})",
             "UPDATE shop.orders SET total = 7")  # fmt: skip
    load(project)
    assert same(project, shop)

    shop.run("ALTER TABLE shop.orders REPLICA IDENTITY DEFAULT", "UPDATE shop.orders SET total = 8")
    assert load(project) == {"read": 2, "rejected": 1, "updated": 1}
    (rejected,) = project.rejected("orders")
    assert rejected["record_key"] == "2" and rejected["field"] == "note"
    assert rejected["reason"].startswith("note was not changed and is not in the log; ALTER TABLE")


def test_whatever_is_wrong_with_a_slot_is_named_with_the_next_step(
    project: Project, shop: Shop
) -> None:
    assert f'there is no publication {SLOT}. Next: run CREATE PUBLICATION {SLOT} FOR TABLE "sh' in (
        fault(project)
    )
    shop.run(f"CREATE PUBLICATION {SLOT} FOR TABLE shop.other")
    assert f"publication {SLOT} does not give the changes of shop.orders" in fault(project)
    shop.run(f"DROP PUBLICATION {SLOT}", f"CREATE PUBLICATION {SLOT} FOR TABLE shop.orders")
    assert f"there is no replication slot {SLOT}: it was dropped, or never made" in fault(project)
    shop.query(f"SELECT pg_create_logical_replication_slot('{SLOT}', 'test_decoding')")
    assert f"replication slot {SLOT} belongs to plugin test_decoding" in fault(project)
    shop.drop_slot()
    shop.query(f"SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')")
    load(project)
    shop.run("INSERT INTO shop.orders VALUES (1)")
    get = f"pg_logical_slot_get_binary_changes('{SLOT}', NULL, NULL, 'proto_version', '1', "
    shop.query(f"SELECT * FROM {get}'publication_names', '{SLOT}')")
    text = fault(project)
    assert "by somebody else, and the warehouse has the changes up to" in text
    assert "--reset-state" in text
    assert load(project, "--full-refresh") == {"read": 2, "inserted": 1, "removals": 1}
    assert same(project, shop)


def test_the_health_check_looks_at_the_slot(tmp_path: Path, shop: Shop) -> None:
    project = project_of(tmp_path, shop, warn_mb=1)
    shop.make_slot()
    found = slot_check(project)
    assert found["status"] == "passed" and f"{SLOT} can be read" in found["message"]
    big = "INSERT INTO shop.other SELECT n FROM generate_series(1, 20000) n"
    shop.run(big)
    assert "more than 1 MB; load more often" in slot_check(project)["message"]
    shop.drop_slot()
    assert "there is no replication slot" in slot_check(project)["message"]


def slot_check(project: Project) -> Any:
    checks = pipeline_health_check(project.config())["checks"]
    return next(check for check in checks if check["name"] in ("orders slot", "orders source"))


def test_a_slot_that_the_server_gave_up_needs_a_snapshot(
    project: Project,
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop.make_slot()
    shop.run("INSERT INTO shop.orders VALUES (1)")
    load(project)
    command(project, monkeypatch, "--state", "--json")
    (state,) = (s for s in json.loads(capsys.readouterr().out) if s["source"] == "orders")
    assert state["cursor"] == "postgresql_slot" and len(state["reached"]) == 16
    try:
        shop.run("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "SELECT pg_reload_conf()")
        shop.run("DELETE FROM shop.orders", "INSERT INTO shop.orders VALUES (2)")
        for number in range(4):
            shop.run(f"INSERT INTO shop.other VALUES ({number})", "SELECT pg_switch_wal()")
        shop.run("CHECKPOINT")
    finally:
        shop.run("ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()")
    assert f"replication slot {SLOT} was lost" in fault(project)

    shop.drop_slot()
    shop.query(f"SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')")
    assert "by somebody else" in fault(project)
    assert command(project, monkeypatch, "--reset-state", "orders", "--yes") == 0
    assert load(project) == {"read": 2, "inserted": 1, "removals": 1, "removed": 1}
    assert same(project, shop)


STATEMENTS = (
    "INSERT INTO shop.orders VALUES ({key}, {other}) "
    "ON CONFLICT (order_id) DO UPDATE SET total = {other}",
    "UPDATE shop.orders SET note = 'n{other}' WHERE order_id >= {key}",
    "UPDATE shop.orders SET order_id = {key} + 100 WHERE order_id = {key}",
    "UPDATE shop.orders SET order_id = {key} WHERE order_id = {key} + 100 "
    "AND NOT EXISTS (SELECT 1 FROM shop.orders WHERE order_id = {key})",
    "DELETE FROM shop.orders WHERE order_id IN ({key}, {other} + 100)",
    "INSERT INTO shop.orders VALUES ({key}) ON CONFLICT DO NOTHING",
    "TRUNCATE shop.orders",
)
USUAL = (5, 4, 3, 3, 3, 5, 1)


@pytest.mark.parametrize("seed", range(int(os.environ.get("HISTORIES", "1"))))
def test_whatever_happens_to_the_source_the_target_comes_to_equal_it(
    project: Project, shop: Shop, seed: int
) -> None:
    chance = Random(seed)  # noqa: S311  # not a secret
    shop.make_slot()
    for _ in range(4):
        for _ in range(chance.randint(1, 12)):
            texts = chance.choices(STATEMENTS, USUAL, k=chance.randint(1, 4))
            filled = [t.format(key=chance.randint(1, 6), other=chance.randint(1, 6)) for t in texts]
            shop.run("; ".join(["BEGIN", *filled, chance.choice(["COMMIT", "COMMIT", "ROLLBACK"])]))
        with pytest.MonkeyPatch.context() as patch:
            if chance.random() < 0.5:  # as if killed before the slot has forgotten anything
                patch.setattr(SlotRecords, "loaded", lambda *_: None)
            load(project)
        assert same(project, shop)
