"""A lakehouse: what is published, by which commits, and that nothing unfinished stays so."""

import errno
import json
import os
import random
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
from cloud_servers import Cloud
from deltalake import DeltaTable
from engines import LAKEHOUSE, using
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from model_runs import ENVIRONMENT
from pipeline_runs import COMMAND, Project
from server_projects import Tables, assert_balanced, project_in

from etl.engines import lake_book, lake_parts
from etl.engines.database import DatabaseManager
from etl.engines.lake_parts import Division
from etl.engines.lake_place import lake_place
from etl.engines.lake_publications import PUBLISHED
from etl.engines.lake_tables import Lake
from etl.errors import ConfigurationError, LoadingError, WarehouseInUseError
from etl.schema.star import STAR_TABLES
from etl_pipeline import pipeline_health_check

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
    ("after", "sales_fact", True),  # its files are written; the dimensions are committed
    ("before", "etl_published", False),
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


def test_what_another_machine_left_half_published_is_put_right(
    project: Project, loaded: Project, tmp_path: Path
) -> None:
    here = project.connection_string
    before = {path.name: path.read_bytes() for path in project.input.iterdir()}
    another_night(project)
    project.settings["DB_CONNECTION_STRING"] = f"{here}?work={tmp_path / 'other'}"
    run_badly(project, (), published_first=2)
    for name, content in before.items():
        (project.input / name).write_bytes(content)
    project.settings["DB_CONNECTION_STRING"] = here
    project.run()
    assert project.tables() == loaded.tables()
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


# --- columns and parts --------------------------------------------------------------------


def test_a_new_column_of_a_declared_table_is_one_of_its_delta_table(project: Project) -> None:
    orders = project.input / "orders.csv"
    pipeline = project.folder / "pipeline.toml"
    pipeline.write_text(
        '[loads.orders]\nsource = { path = "orders.csv" }\ntable = "orders"\nkey = ["id"]\n'
    )
    project.settings["PIPELINE_FILE"] = str(pipeline)
    orders.write_text("id,total\n1,2.50\n2,3.75\n")
    project.run()
    columns = 'columns = { id = "integer", total = "decimal(12,2)", note = "text(20)" }\n'
    pipeline.write_text(pipeline.read_text() + columns)
    orders.write_text("id,total,note\n1,2.50,new\n2,3.75,\n")
    project.run()
    delta = table(project, "orders")
    found = [(row["id"], row["note"]) for row in delta.to_pyarrow_table().to_pylist()]
    assert sorted(found) == [(1, "new"), (2, None)]
    delta.load_as_version(0)
    assert "note" not in delta.to_pyarrow_table().column_names
    lose_the_copy(project)
    before = table(project, "orders").version()
    assert project.run().status == "success"  # its key, which is in no file, is known
    assert table(project, "orders").version() == before


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are divided as if they were large."""
    monkeypatch.setattr(lake_parts, "PART_ROWS", 20)


@pytest.mark.usefixtures("small_parts")
def test_only_parts_that_differ_are_written_again(tmp_path: Path) -> None:
    with lakehouse(tmp_path) as project:
        project.run()
        before = set(table(project, "sales_fact").file_uris())
        sales = project.input / "sales_transactions.csv"
        with sales.open("a", encoding="utf-8") as file:
            file.write("T99999,C073,P005,2,252.99,0.00,2024-01-31 15:04:49,,completed\n")
        project.run()
        after = set(table(project, "sales_fact").file_uris())
        assert len(before) == 31  # days
        assert len(after - before) == len(before - after) == 1
        assert_published(project)
        lose_the_copy(project)
        assert_published(project)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    "condition",
    [
        "transaction_date >= '2024-01-15 12:00:00'",
        "transaction_date < '2024-01-03'",
        "quantity > 2",
        "quantity = 1",
    ],
)
def test_readers_that_skip_files_by_their_bounds_find_all_rows(
    tmp_path_factory: pytest.TempPathFactory, condition: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "skipped"
    with lakehouse(folder) as project:
        if not project.lake.exists():
            project.run()
        ((expected,),) = project.query(f"SELECT count(*) FROM sales_fact WHERE {condition}")
        if "date" in condition:
            column, sign, moment = condition.split(" ", 2)
            condition = f"{column} {sign} arrow_cast({moment}, 'Timestamp(Microsecond, None)')"
        found = pa.table(table(project, "sales_fact").scan(predicate=condition))
        assert (found.num_rows, expected > 0) == (expected, True)


def test_old_files_are_removed_with_the_tenth_version(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_book, "_TIDIED", 2)
    kept: list[int] = []

    def tidy(lake: Lake, name: str) -> int:
        kept.append(lake.keep_days)
        return 0

    monkeypatch.setattr(Lake, "tidy", tidy)
    project.settings["LAKE_KEEP_DAYS"] = "45"
    project.run()
    assert set(kept) == {45}


# --- any nights ---------------------------------------------------------------------------

ACCIDENTS = ("none", "none", "not published", "not published and lost", "lost", "another machine")
night = st.tuples(
    st.integers(0, 99),  # the sources
    st.sampled_from([(), ("--full-refresh",), ("--date", "2024-01-10")]),
    st.sampled_from(ACCIDENTS),
    st.integers(0, 6),  # tables that are published before it fails
)


def write_sources(project: Project, seed: int) -> None:
    drawn = random.Random(seed)  # noqa: S311  # no secret
    customers = [
        {"customer_id": f"C{n}", "first_name": drawn.choice("ab"), "segment": "premium",
         "registration_date": f"202{drawn.randint(0, 3)}-01-01"}
        for n in range(drawn.randint(4, 9))
    ]  # fmt: skip
    products = [
        {"product_id": f"P{n}", "price": "10", "cost": str(drawn.randint(1, 3))} for n in range(4)
    ]
    sales = [
        {"transaction_id": f"T{n}", "customer_id": f"C{drawn.randint(0, 9)}",
         "product_id": f"P{drawn.randint(0, 4)}", "quantity": "1", "unit_price": "10",
         "transaction_date": f"2024-01-{drawn.randint(1, 28):02}"}
        for n in range(drawn.randint(8, 14))
    ]  # fmt: skip
    project.write(customers, products, sales)


def run_badly(project: Project, argv: tuple[str, ...], published_first: int) -> None:
    """The run loads, and fails after it has published some of its tables."""
    whole, left = Lake.publish, iter(range(published_first))

    def failing(*args: Any) -> Any:
        if next(left, None) is None:
            raise LoadingError("unplugged")
        return whole(*args)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Lake, "publish", failing)
        with pytest.raises(LoadingError, match="unplugged"):
            project.run(*argv)


NIGHTS = int(os.environ.get("LAKE_NIGHTS", "0"))


@settings(
    max_examples=max(NIGHTS, 1),
    phases=[Phase.explicit, *([Phase.generate, Phase.shrink] if NIGHTS else [])],
)
@example(
    nights=[
        (1, (), "none", 0),
        (2, (), "not published and lost", 2),
        (3, ("--full-refresh",), "not published", 2),
        (4, (), "another machine", 0),
        (5, ("--date", "2024-01-10"), "lost", 0),
    ]
)
@given(nights=st.lists(night, min_size=3, max_size=4))
@pytest.mark.usefixtures("small_parts")
def test_any_nights_end_like_those_of_a_warehouse_without_a_lake(
    tmp_path_factory: pytest.TempPathFactory, nights: list[tuple[int, tuple[str, ...], str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("nights")
    plain = Project(folder / "plain", **ENVIRONMENT)
    with using(LAKEHOUSE):
        lake = Project(folder / "lake", **ENVIRONMENT)
    here = lake.connection_string
    waiting: list[tuple[int, tuple[str, ...]]] = []  # loaded here, and not published
    for seed, argv, accident, tables in [*nights, (0, (), "none", 0)]:
        if accident == "another machine":
            waiting.clear()
        work = f"?work={folder / 'other'}" if accident == "another machine" else ""
        lake.settings["DB_CONNECTION_STRING"] = here + work
        write_sources(lake, seed)
        waiting.append((seed, argv))
        if accident.startswith("not published"):
            run_badly(lake, argv, tables)
        else:
            lake.run(*argv)
            while waiting:
                write_sources(plain, waiting[0][0])
                plain.run(*waiting.pop(0)[1])
            assert lake.tables() == plain.tables()
            assert_published(lake)
        if accident.endswith("lost"):
            shutil.rmtree(lake.warehouse.parent, ignore_errors=True)
            waiting.clear()


# --- how it is opened ---------------------------------------------------------------------


def test_a_dry_run_into_a_new_lakehouse_makes_nothing(tmp_path: Path) -> None:
    with lakehouse(tmp_path) as project:
        assert project.run("--dry-run").status == "success"
        assert not project.lake.exists()


def test_the_health_of_a_lakehouse_is_checked(loaded: Project) -> None:
    with using(LAKEHOUSE):
        found = pipeline_health_check(loaded.config())
    assert found["status"] != "failed", found


def test_without_the_library_it_says_what_to_install(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(ConfigurationError, match=r"nightly-etl\[lakehouse\]"):
        project.run()


# --- in a bucket --------------------------------------------------------------------------


def test_a_lakehouse_in_a_bucket(s3: Cloud, tmp_path: Path, loaded: Project) -> None:
    s3.new_bucket("lakehouse")
    work = tmp_path / "work"
    project = project_in(
        tmp_path, DB_CONNECTION_STRING=f"delta+s3://lakehouse/shop?work={work}", **s3.settings
    )
    assert project.run().status == "success"
    shutil.rmtree(work)
    with using(LAKEHOUSE):
        assert project.tables() == loaded.tables()
    before = [key for key in s3.keys("lakehouse") if "_fact" in key or "_dim" in key]
    assert project.run("--full-refresh").status == "success"
    assert before == [key for key in s3.keys("lakehouse") if "_fact" in key or "_dim" in key]
    assert not list(tmp_path.rglob("*.parquet"))


def test_of_two_commits_to_a_bucket_one_is_refused(s3: Cloud) -> None:
    s3.new_bucket("lakerace")
    access = s3.path("lakerace").access
    lake = Lake(lake_place("delta+s3://lakerace/shop?work=unused", access))
    rows = pa.table({"n": [1]})
    lake.write_whole("counted", rows, None, "first")
    one, two = lake.table("counted"), lake.table("counted")
    lake.write_whole("counted", pa.table({"n": [2]}), one, "second")
    with pytest.raises(WarehouseInUseError, match="somebody else has committed to counted"):
        lake.write_whole("counted", pa.table({"n": [3]}), two, "third")
    found = lake.table("counted")
    assert found and found.blocks().read_all().to_pydict() == {"n": [2]}
