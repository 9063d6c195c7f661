"""What the next run makes of one that was killed, and balances."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from pipeline_runs import Project

from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.history.audit import require_balance
from etl.pipeline.workspace import MARK, scratch_folder

pytestmark = pytest.mark.usefixtures("every_engine")

SALES = [
    {"transaction_id": f"T{day}", "customer_id": "C1", "product_id": "P1", "quantity": "1",
     "unit_price": "5", "transaction_date": f"2024-01-{day:02}"}
    for day in range(1, 31)
]  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, LOG_LEVEL="ERROR", WATERMARK_LAG_DAYS="1")
    project.write(sales=SALES)
    return project


def leave_running(project: Project, mode: str, first: str, last: str) -> None:
    """A run that was killed before it could write anything but its beginning."""
    with DatabaseManager(project.connection_string) as db:
        db.execute(
            "INSERT INTO etl_run (run_id, environment, mode, window_start, window_end, status,"
            " started_at)"
            " VALUES ('20240101T000000.000000Z', 'dev', ?, ?, ?, 'running', '2024-01-01')",
            (
                mode,
                datetime.fromisoformat(first),
                datetime.fromisoformat(f"{last}T23:59:59.999999"),
            ),
        )


def history(project: Project) -> dict[str, str]:
    return dict(project.query("SELECT run_id, status FROM etl_run"))


def loaded_days(project: Project) -> list[int]:
    moments = project.query("SELECT transaction_date FROM sales_fact ORDER BY 1")
    return [moment.day for (moment,) in moments]


def test_a_plain_run_takes_up_the_days_of_a_killed_one(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.run("--date", "2024-01-28")
    with DatabaseManager(project.connection_string) as db:
        db.execute(
            "INSERT INTO etl_watermark "
            "(table_name, watermark, run_id) VALUES ('sales_fact', '2024-01-28', 'x')"
        )
    leave_running(project, "backfill", "2024-01-20", "2024-01-21")
    summary = project.run()
    assert summary["window"] == "sales from 2024-01-20 on"
    assert loaded_days(project) == list(range(20, 31))
    assert history(project)["20240101T000000.000000Z"] == "recovered"
    assert "20240101T000000.000000Z (backfill, sales of 2024-01-20 to 2024-01-21) was killed" in (
        caplog.text
    )
    assert project.run()["window"] == "sales from 2024-01-29 on"


def test_a_run_of_another_day_names_the_killed_one_and_leaves_it(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.run("--date", "2024-01-01")
    leave_running(project, "date", "2024-01-20", "2024-01-20")
    project.run("--date", "2024-01-02")
    assert loaded_days(project) == [1, 2]
    assert history(project)["20240101T000000.000000Z"] == "killed"
    assert "was killed" in caplog.text


def test_running_the_killed_days_again_makes_them_good(project: Project) -> None:
    project.run("--date", "2024-01-01")
    leave_running(project, "date", "2024-01-20", "2024-01-20")
    project.run("--start-date", "2024-01-19", "--end-date", "2024-01-21")
    assert history(project)["20240101T000000.000000Z"] == "recovered"


def test_a_plain_run_takes_up_the_days_whose_sales_failed(project: Project) -> None:
    project.run()
    sales = project.input / "sales_transactions.csv"
    text = sales.read_text("utf-8")
    sales.unlink()
    assert project.run("--date", "2024-01-10")["exit_code"] == 3
    assert project.run("--start-date", "2024-01-04", "--end-date", "2024-01-05")["exit_code"] == 3
    assert project.run()["exit_code"] == 3  # still not there
    sales.write_text(text, encoding="utf-8")
    assert project.run()["window"] == "sales from 2024-01-04 on"
    assert project.run()["window"] == "sales from 2024-01-29 on"


def test_days_that_failed_and_were_then_loaded_are_not_taken_up(project: Project) -> None:
    project.run()
    sales = project.input / "sales_transactions.csv"
    moved = sales.rename(sales.with_name("late.csv"))
    project.run("--date", "2024-01-10")
    moved.rename(sales)
    project.run("--start-date", "2024-01-09", "--end-date", "2024-01-10")
    assert project.run()["window"] == "sales from 2024-01-29 on"


def test_days_that_the_gate_held_back_wait_for_a_person(project: Project) -> None:
    project.run()
    bad = [{**sale, "quantity": "0"} for sale in SALES if sale["transaction_id"] == "T10"]
    project.write(sales=[*bad, *(sale for sale in SALES if sale["transaction_id"] != "T10")])
    assert project.run("--date", "2024-01-10")["sources"][2]["status"] == "held back"
    assert project.run()["window"] == "sales from 2024-01-29 on"


def test_a_source_that_failed_is_loaded_by_the_next_run(project: Project) -> None:
    project.write(products=[{"product_id": "P1", "price": "5"}], sales=SALES)
    products = project.input / "products.json"
    moved = products.rename(products.with_name("late.json"))
    assert project.run()["exit_code"] == 3
    moved.rename(products)
    assert project.run()["exit_code"] == 0
    assert project.query("SELECT price FROM product_dim") == [(5,)]


def test_what_a_killed_run_has_left_is_cleared(project: Project) -> None:
    project.run()
    left = project.output / "scratch" / "etl-killed"
    parts = [left / MARK, left / "warehouse" / "spill"]
    parts += [project.output / "rejected" / "sales_20240101T000000.000000Z.csv.abcdefgh.part"]
    fill(parts)
    project.run()
    assert not any(part.exists() for part in parts)
    assert not list((project.output / "scratch").iterdir())


def fill(files: Sequence[Path]) -> None:
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left")


def test_what_no_run_made_is_not_touched(project: Project) -> None:
    folder, output = project.output.parent, project.output
    mine = [
        folder / "tmp" / "thesis" / "chapter 1.txt",
        folder / "prod" / "scratch" / "etl-running" / MARK,
        folder / "prod" / "rejected" / "sales_20240101T000000.000000Z.csv.abcdefgh.part",
        output / "scratch" / "mine" / "notes.txt",
        output / "scratch" / "etl-mine" / "notes.txt",
        output / "rejected" / "movie.mkv.part",
    ]
    fill(mine)
    project.run()
    assert all(path.read_text() == "left" for path in mine)


def test_a_run_of_the_same_environment_keeps_its_scratch_space(project: Project) -> None:
    with scratch_folder(project.output) as scratch:
        (scratch / "spill").write_text("of the other run")
        project.run()
        assert (scratch / "spill").exists()
    assert not list((project.output / "scratch").iterdir())


def test_a_run_that_does_not_balance_fails_and_says_by_how_much(project: Project) -> None:
    run_id = project.run()["run_id"]
    with DatabaseManager(project.connection_string) as db:
        require_balance(db, run_id)
        db.execute("UPDATE etl_load SET rows_inserted = rows_inserted - 2 WHERE rows_read > 0")
        with pytest.raises(LoadingError, match=r"of 30 records .* 28 are accounted for \(-2\)"):
            require_balance(db, run_id)
