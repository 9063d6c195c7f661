"""Sources read in pieces elsewhere: every record once, whatever happens to the attempts."""

import errno
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cluster_projects import SAMPLE, alone, on_cluster, rejected
from engines import Engine
from pieces_elsewhere import Elsewhere, instead_of_spark
from pipeline_runs import Project

from etl.cluster import parts
from etl.cluster.targets import Mark
from etl.errors import ConfigurationError
from etl.files import AtomicFile
from etl.history.summary import RunSummary


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    return instead_of_spark(monkeypatch, Elsewhere())


def in_pieces(folder: Path, inputs: Path = SAMPLE) -> Project:
    return on_cluster(folder, inputs)


def counts(project: Project) -> list[tuple[Any, ...]]:
    return project.query(
        "SELECT table_name, rows_read, rows_inserted, rows_updated, rows_unchanged, "
        "rows_rejected, rows_duplicate FROM etl_load ORDER BY run_id, table_name"
    )


def test_the_sample_is_what_one_machine_loads(
    every_engine: Engine, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    one, many = alone(tmp_path / "one", SAMPLE), in_pieces(tmp_path / "many")
    assert many.run().exit_code == one.run().exit_code == 0
    assert len(elsewhere.done) > 12
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

    one, many = alone(tmp_path / "one", SAMPLE), in_pieces(tmp_path / "many")
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

    one, many = alone(tmp_path / "one", SAMPLE), in_pieces(tmp_path / "many")
    one.run()
    elsewhere.attempt = remembered
    many.run()
    late = [work(item, mark) for work, item, mark in given_up]
    assert all("is staged no more" in str(done.fault) for done in late)
    for table in ("stage_customer_dim", "stage_product_dim", "stage_sales_fact"):
        assert many.query(f"SELECT count(*) FROM {table}") == [(0,)]
    assert many.tables() == one.tables()


# --- faults of the source are those that one machine finds --------------------------------------


def customer(number: int, day: str = "2024-01-05") -> dict[str, str]:
    return {
        "customer_id": f"C{number:04d}", "first_name": "Ann", "last_name": "Lee",
        "email": f"ann{number}@example.com", "phone": "2025550100", "address": "1 Old Road",
        "registration_date": day, "customer_segment": "Premium",
    }  # fmt: skip


def both(tmp_path: Path, days: list[str]) -> tuple[RunSummary, RunSummary, Project, Project]:
    """The same customers, loaded by one machine and in pieces."""
    one = Project(tmp_path / "one")
    many = on_cluster(tmp_path / "many", one.input)
    one.write([customer(number, day) for number, day in enumerate(days)])
    found = one.run("--only", "customers"), many.run("--only", "customers")
    return *found, one, many


def messages(summary: RunSummary) -> list[tuple[str, str]]:
    return [(each.status, each.message) for each in summary.sources]


def test_a_date_late_in_the_file_proves_the_order_of_all(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    one, many, alone_, pieces = both(tmp_path, ["03/04/2024"] * 200 + ["25/04/2024"])
    assert one.exit_code == many.exit_code == 0
    assert len(elsewhere.done) > 8  # each piece twice
    assert pieces.tables() == alone_.tables()
    assert [source.found for source in many.sources] == [source.found for source in one.sources]


def test_dates_of_one_piece_speak_against_those_of_another(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    one, many, _, pieces = both(tmp_path, ["25/04/2024"] + ["03/04/2024"] * 200 + ["04/25/2024"])
    assert many.exit_code == one.exit_code == 3
    assert messages(many) == messages(one)
    assert pieces.tables()["customer_dim"] == []


def test_a_byte_that_is_no_text_fails_the_source_as_on_one_machine(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    one = Project(tmp_path / "one")
    many = on_cluster(tmp_path / "many", one.input)
    one.write([customer(number) for number in range(200)])
    with (one.input / "customers.csv").open("ab") as file:
        file.write(b"C9999,Ren\xe9,Lee,r@example.com,2025550100,1 Old Road,2024-01-05,Premium\n")
    summaries = one.run("--only", "customers"), many.run("--only", "customers")
    assert messages(summaries[1]) == messages(summaries[0])
    assert summaries[0].exit_code == summaries[1].exit_code
    assert "0xE9" in messages(summaries[1])[0][1]


def test_too_many_malformed_lines_hold_a_source_back(elsewhere: Elsewhere, tmp_path: Path) -> None:
    one = Project(tmp_path / "one")
    many = on_cluster(tmp_path / "many", one.input)
    one.write([customer(number) for number in range(20)])
    with (one.input / "customers.csv").open("a") as file:
        file.write("broken,line\n" * 2_000)
    summaries = one.run("--only", "customers"), many.run("--only", "customers")
    assert [summary.exit_code for summary in summaries] == [3, 3]
    assert [each.findings[0].name for s in summaries for each in s.sources] == ["reject_rate"] * 2


def test_one_key_in_all_records_leaves_the_last(elsewhere: Elsewhere, tmp_path: Path) -> None:
    one = Project(tmp_path / "one")
    many = on_cluster(tmp_path / "many", one.input)
    one.write([customer(1, f"2024-01-{1 + n % 28:02d}") for n in range(200)])
    asked = ("--only", "customers", "--accept", "customers")
    assert one.run(*asked).exit_code == many.run(*asked).exit_code
    assert many.tables() == one.tables()
    assert rejected(many) == rejected(one)
    assert len(rejected(many)["customers"]) == 199


class FullDisk(AtomicFile):
    """A disk on which nothing has room any more."""

    def commit(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "scratch")


def test_a_full_scratch_disk_fails_the_source_and_the_next_run_makes_it_good(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, many = alone(tmp_path / "one", SAMPLE), on_cluster(tmp_path / "many", SAMPLE)
    one.run()
    with monkeypatch.context() as patch:
        patch.setattr(parts, "AtomicFile", FullDisk)
        summary = many.run()
    assert summary.exit_code == 1
    assert "No space left on device" in messages(summary)[0][1]
    assert many.run().exit_code == 0
    assert many.tables() == one.tables()
    assert not list((many.output / "scratch").glob("etl-*"))


def test_a_fault_that_may_pass_is_raised_as_long_as_the_piece_is_tried_again(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark then tries it again; the last time it is a result, and the run's own retries follow."""
    raised: list[Exception] = []

    def tried_again(work: Any, item: Any, mark: Mark) -> Any:
        if not raised:
            with monkeypatch.context() as patch, pytest.raises(ConnectionResetError) as error:
                patch.setattr(parts, "AtomicFile", Lost)
                work(item, elsewhere.mark(mark.piece, is_last=False))
            raised.append(error.value)
        return work(item, mark)

    one, many = alone(tmp_path / "one", SAMPLE), on_cluster(tmp_path / "many", SAMPLE)
    one.run()
    elsewhere.attempt = tried_again
    assert many.run().exit_code == 0
    assert len(raised) == 1
    assert many.tables() == one.tables()


class Lost(AtomicFile):
    """A share that is away for a moment."""

    def commit(self) -> None:
        raise ConnectionResetError("reset by peer")


# --- how it is asked for -------------------------------------------------------------------------


def test_a_master_without_the_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--engine spark"):
        Project(tmp_path).run("--spark-master", "local[2]")


def test_without_pyspark_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(ConfigurationError, match=r"nightly-etl\[spark\]") as error:
        Project(tmp_path).run("--engine", "spark")
    assert error.value.exit_code == 2


def test_without_java_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", ModuleType("pyspark"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    with pytest.raises(ConfigurationError, match="needs Java: there is no program"):
        Project(tmp_path).run("--engine", "spark")
