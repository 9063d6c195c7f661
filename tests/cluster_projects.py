"""Projects that a cluster loads and that one machine loads, and all that they have in common."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline_runs import Project, read_csv
from project_copy import ROOT

SAMPLE = ROOT / "data" / "input"
# What two runs have in common: neither when they were, nor how long they took.
# Of how values are distributed a block gives a sample, and blocks differ; batches do as well.
AUDIT = {
    "etl_load": "table_name, rows_read, rows_inserted, rows_updated, rows_unchanged, "
    "rows_rejected, rows_duplicate, rows_inferred, rows_restated, rows_vanished, rows_removed",
    "etl_quality": "name, table_name, dimension, severity, status, value, threshold, message, "
    "examples",
    "etl_lineage": "table_name, source, status, path, query, window_start, window_end, bytes, "
    "sha256, modified_at, extracted_at, rows_read, rows_inserted, rows_updated, rows_rejected",
    "etl_watermark": "table_name, watermark, largest_number",
    "etl_setting": "table_name, setting, value",
}


def on_cluster(folder: Path, inputs: Path, **settings: str) -> Project:
    """A project whose sources the cluster reads, in pieces of the smallest size."""
    pieces = {"ENGINE": "spark", "SPARK_PIECE_MB": "1"}
    return Project(folder, INPUT_DIR=str(inputs), **pieces | settings)


def alone(folder: Path, inputs: Path) -> Project:
    return Project(folder, INPUT_DIR=str(inputs))


def everything(project: Project) -> dict[str, Any]:
    """All tables, counts and rejected records, in the order of their keys."""
    audit = {
        name: sorted(project.query(f"SELECT {columns} FROM {name}"), key=repr)
        for name, columns in AUDIT.items()
    }
    records = {name: sorted(rows, key=repr) for name, rows in rejected(project).items()}
    return {**project.tables(), **audit, **records}


def rejected(project: Project) -> Mapping[str, list[dict[str, str]]]:
    """The rejected files, row by row in their order, without the run.

    Within a block of 4 MB the unreadable records come first, and where a block begins is another
    matter in pieces; of files of one block the order is the same.
    """
    found = {}
    for path in sorted((project.output / "rejected").glob("*.csv")):
        rows = [{n: v for n, v in row.items() if n != "run_id"} for row in read_csv(path)]
        found[path.name.partition("_")[0]] = rows
    return found
