"""Sources read in pieces elsewhere: every record once, whatever happens to the attempts."""

from pathlib import Path
from typing import Any

import pytest
from engines import Engine
from pieces_elsewhere import Elsewhere, instead_of_spark
from pipeline_runs import Project, read_csv
from project_copy import ROOT

from etl.cluster.targets import Mark

SAMPLE = ROOT / "data" / "input"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    return instead_of_spark(monkeypatch, Elsewhere())


def alone(folder: Path, inputs: Path = SAMPLE) -> Project:
    return Project(folder, INPUT_DIR=str(inputs))


def in_pieces(folder: Path, inputs: Path = SAMPLE) -> Project:
    return Project(folder, INPUT_DIR=str(inputs), ENGINE="spark", SPARK_PIECE_MB="1")


def rejected(project: Project) -> dict[str, list[dict[str, str]]]:
    """The rejected files, row by row in their order, without the run."""
    found = {}
    for path in sorted((project.output / "rejected").glob("*.csv")):
        rows = [{n: v for n, v in row.items() if n != "run_id"} for row in read_csv(path)]
        found[path.name.partition("_")[0]] = rows
    return found


def counts(project: Project) -> list[tuple[Any, ...]]:
    return project.query(
        "SELECT table_name, rows_read, rows_inserted, rows_updated, rows_unchanged, "
        "rows_rejected, rows_duplicate FROM etl_load ORDER BY run_id, table_name"
    )


def test_the_sample_is_what_one_machine_loads(
    every_engine: Engine, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    one, many = alone(tmp_path / "one"), in_pieces(tmp_path / "many")
    assert many.run().exit_code == one.run().exit_code == 0
    assert len(elsewhere.done) == 3
    assert many.tables() == one.tables()
    assert counts(many) == counts(one)
    assert rejected(many) == rejected(one)


def test_each_attempt_that_is_repeated_counts_once(
    every_engine: Engine, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """The first attempt is done and its answer lost, as with an executor that is killed then."""

    def lost_once(work: Any, item: Any, mark: Mark) -> Any:
        work(item, elsewhere.mark(mark.piece, is_last=False))
        return work(item, mark)

    one, many = alone(tmp_path / "one"), in_pieces(tmp_path / "many")
    one.run()
    elsewhere.attempt = lost_once
    many.run()
    assert many.tables() == one.tables()
    assert counts(many) == counts(one)
    assert rejected(many) == rejected(one)


def test_an_attempt_that_was_given_up_can_stage_nothing_after_the_end(
    server: Engine, elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another attempt at a piece goes on while the run merges, and in the middle of the next."""
    given_up: list[tuple[Any, Any, Mark]] = []

    def remembered(work: Any, item: Any, mark: Mark) -> Any:
        given_up.append((work, item, elsewhere.mark(mark.piece)))
        return work(item, mark)

    one, many = alone(tmp_path / "one"), in_pieces(tmp_path / "many")
    one.run()
    elsewhere.attempt = remembered
    many.run()
    late = [work(item, mark) for work, item, mark in given_up]
    assert all("is staged no more" in str(done.fault) for done in late)
    for table in ("stage_customer_dim", "stage_product_dim", "stage_sales_fact"):
        assert many.query(f"SELECT count(*) FROM {table}") == [(0,)]
    assert many.tables() == one.tables()
