"""A lakehouse: what is published, by which commits, and that nothing unfinished stays so."""

import json
import shutil
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
from pipeline_runs import Project
from server_projects import Tables, assert_balanced, project_in

from etl.engines.lake_book import PUBLISHED
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
