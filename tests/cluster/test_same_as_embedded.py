"""What a cluster of two workers loads is what one machine loads, in every table and file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from engines import POSTGRESQL, using
from pipeline_runs import Project, read_csv
from project_copy import ROOT
from spark_cluster import Cluster

SAMPLE = ROOT / "data" / "input"
# What two runs have in common: neither when they were, nor how long they took.
# Whether their batches have the same numbers does not matter either.
AUDIT = {
    "etl_load": "table_name, rows_read, rows_inserted, rows_updated, rows_unchanged, "
    "rows_rejected, rows_duplicate, rows_inferred, rows_restated, rows_vanished, rows_removed",
    "etl_quality": "name, table_name, dimension, severity, status, value, threshold, message, "
    "examples",
    "etl_distribution": "table_name, column_name, kind, rows_seen, rows_null, bins",
    "etl_lineage": "table_name, source, status, path, query, window_start, window_end, bytes, "
    "sha256, modified_at, extracted_at, rows_read, rows_inserted, rows_updated, rows_rejected",
    "etl_watermark": "table_name, watermark, largest_number",
    "etl_setting": "table_name, setting, value",
}


def on_cluster(folder: Path, inputs: Path, **settings: str) -> Project:
    """A project whose sources the cluster reads, in pieces of the smallest size."""
    return Project(folder, INPUT_DIR=str(inputs), ENGINE="spark", SPARK_PIECE_MB="1", **settings)


def alone(folder: Path, inputs: Path) -> Project:
    return Project(folder, INPUT_DIR=str(inputs))


def everything(project: Project) -> dict[str, Any]:
    audit = {
        name: sorted(project.query(f"SELECT {columns} FROM {name}"), key=repr)
        for name, columns in AUDIT.items()
    }
    return {**project.tables(), **audit, **rejected(project)}


def rejected(project: Project) -> Mapping[str, list[dict[str, str]]]:
    """The rejected files, row by row in their order, without the run."""
    found = {}
    for path in sorted((project.output / "rejected").glob("*.csv")):
        rows = [{n: v for n, v in row.items() if n != "run_id"} for row in read_csv(path)]
        found[path.name.partition("_")[0]] = rows
    return found


@pytest.fixture(params=["duckdb", "postgresql"])
def target(request: pytest.FixtureRequest) -> Iterator[str]:
    """The engine of the warehouse."""
    if request.param == "duckdb":
        yield "duckdb"
        return
    with using(POSTGRESQL):
        yield "postgresql"


def test_the_sample_is_loaded_as_by_one_machine(
    spark_cluster: Cluster, target: str, tmp_path: Path
) -> None:
    one, many = alone(tmp_path / "one", SAMPLE), on_cluster(tmp_path / "many", SAMPLE)
    assert many.run().exit_code == one.run().exit_code == 0
    assert everything(many) == everything(one)


def test_a_rerun_changes_nothing(spark_cluster: Cluster, target: str, tmp_path: Path) -> None:
    many = on_cluster(tmp_path / "many", SAMPLE)
    many.run()
    tables = many.tables()
    again = many.run("--no-skip")
    counts = [source.counts for source in again.sources]
    assert [(c.rows_inserted, c.rows_updated) for c in counts if c] == [(0, 0)] * 3
    assert many.tables() == tables
