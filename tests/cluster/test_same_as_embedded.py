"""What a cluster of two workers loads is what one machine loads, in every table and file."""

from pathlib import Path

import pytest
from cluster_projects import SAMPLE, alone, everything, on_cluster, rejected
from pipeline_runs import Project
from spark_cluster import Cluster

pytestmark = pytest.mark.usefixtures("target")


def test_the_sample_is_loaded_as_by_one_machine(spark_cluster: Cluster, tmp_path: Path) -> None:
    one, many = alone(tmp_path / "one", SAMPLE), on_cluster(tmp_path / "many", SAMPLE)
    assert many.run().exit_code == one.run().exit_code == 0
    assert everything(many) == everything(one)
    assert rejected(many) == rejected(one)
    assert distribution(many) == distribution(one)


def distribution(project: Project) -> object:
    columns = "table_name, column_name, kind, rows_seen, rows_null, bins"
    return project.query(f"SELECT {columns} FROM etl_distribution ORDER BY 1, 2")


def test_a_rerun_changes_nothing(spark_cluster: Cluster, tmp_path: Path) -> None:
    many = on_cluster(tmp_path / "many", SAMPLE)
    many.run()
    tables = many.tables()
    again = many.run("--no-skip")
    counts = [source.counts for source in again.sources]
    assert [(c.rows_inserted, c.rows_updated) for c in counts if c] == [(0, 0)] * 3
    assert many.tables() == tables
