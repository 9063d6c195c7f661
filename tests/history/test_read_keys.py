"""Which keys runs have rejected: remembered once each, and for as long as it is set."""

from pathlib import Path

import pytest
from engines import Engine
from pipeline_runs import Project, read_csv

from etl.errors import ConfigurationError

SOLD = {"product_id": "P1", "quantity": "1", "unit_price": "5", "transaction_date": "2024-01-20"}
GOOD = [{"transaction_id": f"T{n}", "customer_id": "C1", **SOLD} for n in range(20)]
BAD = [{"transaction_id": name, "customer_id": "", **SOLD} for name in ("B1", "B2")]
_KEYS = 'SELECT "record_key", "run_id" FROM "etl_read_key" ORDER BY "record_key"'


@pytest.fixture
def project(tmp_path: Path, every_engine: Engine) -> Project:
    return Project(tmp_path / "project", LOG_LEVEL="CRITICAL", MAX_REJECT_RATE="1")


def sell(project: Project, *sales: dict[str, str]) -> str:
    """Runs with the customers and products that the sales name; returns the run."""
    project.write([{"customer_id": "C1"}], [{"product_id": "P1", "price": "5"}], sales)
    return str(project.run("--accept", "sales")["run_id"])


def test_the_keys_of_a_nightly_file_do_not_pile_up(project: Project) -> None:
    first = sell(project, *GOOD, *BAD)
    second = sell(project, *GOOD[:9], BAD[0])
    assert project.query(_KEYS) == [("B1", second), ("B2", first)]
    third = project.run()["run_id"]  # the file is known already
    assert project.query(_KEYS) == [("B1", third), ("B2", first)]


def test_a_key_is_forgotten_in_time_and_its_rejected_file_is_refused(project: Project) -> None:
    first = sell(project, *GOOD, *BAD)
    path = project.output / "rejected" / f"sales_{first}.csv"
    assert len(read_csv(path)) == len(BAD)
    path.write_text(path.read_text("utf-8-sig").replace(first, "2020" + first[4:]), "utf-8")
    with pytest.raises(ConfigurationError, match=r"remembered for 400 days.*leave those rows out"):
        project.run("--reprocess-rejected", str(path))
    project.settings["CORRECTION_DAYS"] = "0"
    second = sell(project, *GOOD, BAD[0])
    assert project.query(_KEYS) == [("B1", second)]
