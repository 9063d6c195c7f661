"""A lakehouse: what is published, by which commits, and that nothing unfinished stays so."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from engines import LAKEHOUSE, using
from pipeline_runs import COMMAND, Project
from server_projects import Tables, assert_balanced, project_in

from etl.engines.database import DatabaseManager
from etl.engines.lake_book import PUBLISHED
from etl.engines.lake_parts import Division
from etl.errors import LoadingError, WarehouseInUseError
from etl.schema.tables import STAR_TABLES

STAR = [table.name for table in STAR_TABLES]


@contextmanager
def lakehouse(folder: Path, **settings: str) -> Iterator[Project]:
    with using(LAKEHOUSE):
        yield project_in(folder, **settings)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A lakehouse with the sample in it; for reading alone."""
    with lakehouse(tmp_path_factory.mktemp("loaded")) as project:
        project.run()
        return project


@pytest.fixture
def project(loaded: Project, tmp_path: Path) -> Iterator[Project]:
    """The same, for a test to change."""
    with lakehouse(tmp_path) as mine:
        mine.load_like(loaded)
        yield mine


def table(project: Project, name: str) -> DeltaTable:
    return DeltaTable(str(project.lake / name))


def versions(project: Project) -> dict[str, int]:
    return {name: table(project, name).version() for name in STAR}


def published(project: Project) -> list[dict[str, Any]]:
    rows = table(project, PUBLISHED).to_pyarrow_table().to_pylist()
    newest = max(row["publication"] for row in rows)
    return [row for row in rows if row["publication"] == newest]


def lose_the_copy(project: Project) -> None:
    shutil.rmtree(project.warehouse.parent)


def audited(project: Project) -> list[tuple[Any, ...]]:
    return project.query(
        "SELECT run_id, table_name, rows_read, rows_inserted, rows_updated "
        "FROM etl_load ORDER BY ALL"
    )


# --- what is published --------------------------------------------------------------------


def test_a_rerun_makes_no_new_version_of_the_star_tables(project: Project) -> None:
    before = versions(project)
    summary = project.run("--full-refresh")
    assert summary.status == "success"
    assert versions(project) == before == dict.fromkeys(STAR, 0)
    assert [(load[3], load[4]) for load in audited(project)[-3:]] == [(0, 0)] * 3


def test_the_versions_that_belong_together_are_published_last(project: Project) -> None:
    rows = published(project)
    assert {row["table_name"]: row["version"] for row in rows}.items() >= versions(project).items()
    for row in rows:
        delta = DeltaTable(str(project.lake / row["table_name"]), version=row["version"])
        assert delta.to_pyarrow_table().num_rows == row["rows"], row["table_name"]
    ((run_id, status),) = project.query("SELECT run_id, status FROM etl_run")
    assert {row["run_id"] for row in rows} == {run_id}
    assert table(project, "etl_run").to_pyarrow_table()["status"].to_pylist() == [status]


@pytest.mark.parametrize("name", [*STAR, "etl_run", "etl_load"])
def test_any_reader_finds_the_rows_of_the_warehouse(loaded: Project, name: str) -> None:
    with using(LAKEHOUSE):
        expected = sorted(loaded.query(f"SELECT * FROM {name}"), key=repr)
    delta = table(loaded, name)
    assert rows_of(delta.to_pyarrow_table()) == expected
    assert rows_of(polars.read_delta(str(loaded.lake / name)).to_arrow()) == expected
    arrow = delta.to_pyarrow_table()
    assert rows_of(pa.Table.from_pandas(delta.to_pandas(), arrow.schema)) == expected
    with duckdb.connect() as reader:
        reader.execute("SELECT * FROM read_parquet(?)", [delta.file_uris()])
        assert sorted(reader.fetchall(), key=repr) == expected


def rows_of(found: pa.Table) -> list[tuple[Any, ...]]:
    return sorted((tuple(row.values()) for row in found.to_pylist()), key=repr)


def test_types_are_those_of_the_warehouse(loaded: Project) -> None:
    schema = json.loads(table(loaded, "sales_fact").schema().to_json())
    fields = {field["name"]: field["type"] for field in schema["fields"]}
    assert fields["total_amount"].startswith("decimal(")
    assert fields["transaction_date"] == "timestamp_ntz"
    assert fields["quantity"] == "integer"


# --- the working copy ---------------------------------------------------------------------


def same_as_before(project: Project, tables: Tables, loads: list[tuple[Any, ...]]) -> None:
    assert project.tables() == tables
    assert audited(project) == loads
    assert project.run().status == "success"
    assert project.tables() == tables
    assert_balanced(project)


def test_a_lost_working_copy_is_made_anew(project: Project) -> None:
    tables, loads = project.tables(), audited(project)
    lose_the_copy(project)
    same_as_before(project, tables, loads)
    assert versions(project) == dict.fromkeys(STAR, 0)


@pytest.mark.parametrize("share", [0, 0.001, 0.5])
def test_a_working_copy_that_is_cut_short_is_made_anew(project: Project, share: float) -> None:
    tables, loads = project.tables(), audited(project)
    whole = project.warehouse.read_bytes()
    project.warehouse.write_bytes(whole[: int(len(whole) * share)])
    same_as_before(project, tables, loads)


# --- killed, and other writers ------------------------------------------------------------

# Ends the process at a point of the publication, as `kill -9` does: before a table is published,
# with its files written and not committed, before and after it is said what belongs together.
_KILLED = """
import os, signal, sys
from etl.engines import lake_book, lake_parts, lake_tables
import etl_pipeline

point, table = sys.argv[1:3]

def dying(owner, name, when):
    whole = getattr(owner, name)
    def replaced(*args, **kwargs):
        found = None if point == "before" else whole(*args, **kwargs)
        if when(*args):
            os.kill(os.getpid(), signal.SIGKILL)
        return found if point != "before" else whole(*args, **kwargs)
    setattr(owner, name, replaced)

if table == "etl_published":
    dying(lake_tables.Lake, "write_whole", lambda *args: True)
elif point == "before":
    dying(lake_tables.Lake, "publish", lambda lake, division, *rest: division.table == table)
else:
    dying(lake_parts.Division, "write", lambda division, *rest: division.table == table)
etl_pipeline.main([])
"""

# Where it is killed, and whether the working copy is lost besides.
KILLS = [
    ("before", "customer_dim", False),
    ("after", "sales_fact", False),  # its files are written; the dimensions are committed
    ("after", "sales_fact", True),
    ("before", "etl_published", True),
    ("after", "etl_published", False),
]


def another_night(project: Project) -> None:
    """All costs rise, a customer moves, a sale is corrected and given to another customer."""
    products = project.input / "products.json"
    text = products.read_text("utf-8")
    products.write_text(re.sub(r'("cost": \d+)', r"\g<1>1", text), "utf-8")
    customers = project.input / "customers.csv"
    lines = customers.read_text("utf-8").splitlines()
    customers.write_text(
        "\n".join([*lines, lines[1]]).replace("New York", "Boston") + "\n", "utf-8"
    )
    sales = project.input / "sales_transactions.csv"
    header, *rows = sales.read_text("utf-8").splitlines()
    fields = [header.split(","), rows[-1].split(",")]
    newest = dict(zip(*fields, strict=True)) | {"transaction_id": "T99999", "status": "completed"}
    sales.write_text("\n".join([header, *rows, ",".join(newest.values())]) + "\n", "utf-8")


@pytest.fixture(scope="module")
def undisturbed(loaded: Project, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """What another night makes of the sample."""
    with lakehouse(tmp_path_factory.mktemp("undisturbed")) as project:
        project.load_like(loaded)
        another_night(project)
        project.run()
        tables = project.tables()
        assert tables != loaded.tables()
        return tables


def killed(project: Project, *argv: str) -> None:
    command = [sys.executable, "-c", _KILLED, *argv]
    environment = {**os.environ, **project.settings, "PYTHONPATH": str(COMMAND.parent)}
    ended = subprocess.run(  # our own
        command, env=environment, cwd=project.folder, check=False, capture_output=True
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


def assert_published(project: Project) -> None:
    """The newest versions are those that belong together, and have the rows of the warehouse."""
    together = {row["table_name"]: row["version"] for row in published(project)}
    assert {name: table(project, name).version() for name in together} == together
    for name in STAR:
        expected = sorted(project.query(f"SELECT * FROM {name}"), key=repr)
        assert rows_of(table(project, name).to_pyarrow_table()) == expected, name


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
@pytest.mark.parametrize(("point", "at", "lost"), KILLS)
def test_killed_while_it_publishes_the_next_run_makes_it_good(
    project: Project, undisturbed: Tables, point: str, at: str, lost: bool
) -> None:
    another_night(project)
    killed(project, point, at)
    if lost:
        lose_the_copy(project)
    project.run()
    assert project.tables() == undisturbed
    assert_published(project)
    assert_balanced(project)


def test_a_run_that_cannot_publish_fails_and_the_next_one_publishes(
    project: Project, undisturbed: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_night(project)
    with monkeypatch.context() as patched:
        patched.setattr(Division, "write", full_disk)
        with pytest.raises(LoadingError, match="No space left"):
            project.run()
    assert versions(project) == dict.fromkeys(STAR, 0)
    assert project.run().status == "success"
    assert project.tables() == undisturbed
    assert_published(project)
    assert [s for (s,) in project.query("SELECT status FROM etl_run ORDER BY run_id")] == [
        "success", "failed", "success"
    ]  # fmt: skip


def full_disk(*args: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_somebody_else_has_written_is_reported_and_gone_on_from(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    tables = project.tables()
    table(project, "sales_fact").delete("transaction_id = 'T00001'")
    table(project, "product_dim").update(
        updates={"brand": "'theirs'"}, predicate="product_id = 'P001'"
    )
    without = [sale for sale in tables["sales_fact"] if sale["transaction_id"] != "T00001"]
    assert project.tables()["sales_fact"] == without
    project.run("--full-refresh")
    assert "sales_fact of the lakehouse was written by somebody else: version 1" in caplog.text
    assert project.tables() == tables  # both files were read whole again
    assert_published(project)


def test_what_is_only_tidied_up_is_no_change(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    another_night(project)
    project.run()
    removed = table(project, "sales_fact").vacuum(
        retention_hours=0, dry_run=False, enforce_retention_duration=False
    )
    before = table(project, "sales_fact").version()
    assert removed
    project.run()
    assert "somebody else" not in caplog.text
    assert table(project, "sales_fact").version() == before


def test_what_somebody_else_commits_meanwhile_is_not_overwritten(project: Project) -> None:
    another_night(project)
    match = (
        "sales_fact of the lakehouse was written by somebody else: version 1 .*; nothing of it was"
    )
    with (
        pytest.raises(WarehouseInUseError, match=match),
        DatabaseManager(project.connection_string) as db,
    ):
        db.execute("UPDATE sales_fact SET quantity = 7 WHERE transaction_id = 'T00001'")
        table(project, "sales_fact").update(
            updates={"quantity": "8"}, predicate="transaction_id = 'T00001'"
        )
    quantity = "SELECT quantity FROM sales_fact WHERE transaction_id = 'T00001'"
    assert project.query(quantity) == [(8,)]
    project.run("--full-refresh")
    assert project.query(quantity) == [(2,)]  # as its source has it
    assert_published(project)


def test_two_machines_take_turns(project: Project, undisturbed: Tables, tmp_path: Path) -> None:
    here = project.connection_string
    there = f"{here}?work={tmp_path / 'other'}"
    for night, connection in enumerate([there, here, there]):
        if night == 1:
            another_night(project)
        project.settings["DB_CONNECTION_STRING"] = connection
        assert project.run().status == "success"
    for connection in (here, there):
        project.settings["DB_CONNECTION_STRING"] = connection
        assert project.tables() == undisturbed
    assert len(project.query("SELECT * FROM etl_run")) == 4
    assert_published(project)


def test_of_two_at_the_same_time_one_publishes(project: Project, tmp_path: Path) -> None:
    update = "UPDATE sales_fact SET quantity = {} WHERE transaction_id = 'T00001'"
    other = f"{project.connection_string}?work={tmp_path / 'other'}"
    with (
        DatabaseManager(project.connection_string) as one,
        pytest.raises(WarehouseInUseError),
        DatabaseManager(other) as two,
    ):
        one.execute(update.format(7))
        two.execute(update.format(8))
        one.publish()
    found = "SELECT quantity FROM sales_fact WHERE transaction_id = 'T00001'"
    assert project.query(found) == [(7,)]
    with DatabaseManager(other) as two:  # what it could not publish is given up
        assert two.query(found) == [(7,)]
    assert_published(project)
