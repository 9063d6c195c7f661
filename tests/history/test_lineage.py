"""Where the rows of a table came from."""

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pipeline_runs import Project, Record

from etl.engines.database import DatabaseManager
from etl.history.journal import JOURNAL, read_entries
from etl.sources.csv_format import CsvFormat
from etl.sources.csv_reader import read_csv_blocks
from etl.sources.files import FileTrace
from etl.sources.json_reader import read_json_items
from etl_pipeline import track_data_lineage

pytestmark = pytest.mark.usefixtures("every_engine")

SALE: Record = {
    "transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": "1",
    "unit_price": "10.00", "transaction_date": "2024-01-20",
}  # fmt: skip
FILES = {
    "customers": "customers.csv", "products": "products.json", "sales": "sales_transactions.csv",
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, LOG_LEVEL="CRITICAL")
    project.write([{"customer_id": "C1"}, {"customer_id": "C2"}], [{"product_id": "P1"}], [SALE])
    return project


def lineage(project: Project) -> dict[str, dict[str, Any]]:
    """The lineage of the newest run, by source, as the journal has it."""
    return {each["source"]: each for each in read_entries(project.output / JOURNAL)[-1]["lineage"]}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_file_is_known_by_its_hash_size_and_time(project: Project) -> None:
    for name in FILES.values():
        os.utime(project.input / name, (1_700_000_000, 1_700_000_000))
    project.run()
    for source, name in FILES.items():
        reported, path = lineage(project)[source], project.input / name
        assert reported["sha256"] == sha256(path)
        assert reported["bytes"] == path.stat().st_size
        assert reported["path"] == str(path)
        modified = datetime.fromtimestamp(1_700_000_000, UTC).replace(tzinfo=None)
        assert reported["modified_at"] == modified.isoformat()
    assert lineage(project)["customers"]["rows_inserted"] == 2
    assert lineage(project)["customers"]["target"] == "customer_dim"


def test_it_is_in_the_warehouse_too(project: Project) -> None:
    run_id = project.run("--date", "2024-01-20")["run_id"]
    rows = project.query(
        "SELECT run_id, table_name, source, status, sha256, rows_read, window_start"
        " FROM etl_lineage ORDER BY table_name"
    )
    assert [row[:4] for row in rows] == [
        (run_id, "customer_dim", "customers", "loaded"),
        (run_id, "product_dim", "products", "loaded"),
        (run_id, "sales_fact", "sales", "loaded"),
    ]
    assert rows[0][4] == sha256(project.input / "customers.csv")
    assert rows[2][5:] == (1, datetime(2024, 1, 20))


def test_sales_of_a_database_are_known_by_their_query(project: Project) -> None:
    path = project.folder / "shop.duckdb"
    with duckdb.connect(str(path)) as shop:
        source = project.input / "sales_transactions.csv"
        shop.execute(
            f"CREATE TABLE sales_transactions AS SELECT * REPLACE (CAST(transaction_date AS"
            f" TIMESTAMP) AS transaction_date) FROM read_csv('{source}', all_varchar = true)"
        )
    project.settings["SALES_DB_CONNECTION_STRING"] = f"duckdb:///{path}"
    project.run()
    reported = lineage(project)["sales"]
    assert "FROM sales_transactions" in reported["query"]
    assert reported["path"] == f"duckdb:///{path}"
    assert reported["rows"] == 1
    assert "sha256" not in reported


def test_of_a_file_that_could_not_be_read_no_hash_is_reported(project: Project) -> None:
    (project.input / "products.json").write_text('{"products": [')
    project.run()
    reported = lineage(project)["products"]
    assert reported["status"] == "failed"
    assert "sha256" not in reported
    assert reported["rows"] == 0


def test_mended_records_are_known_by_their_file(project: Project) -> None:
    project.settings["MAX_REJECT_RATE"] = "1"
    project.write([{"first_name": "Nobody"}], [], [])
    project.run()
    (rejected,) = (project.output / "rejected").glob("customers_*.csv")
    corrected = project.folder / "corrected.csv"
    corrected.write_text(rejected.read_text("utf-8-sig").replace(",,Nobody", ",C9,Nobody"))
    project.run("--reprocess-rejected", str(corrected))
    reported = lineage(project)
    assert set(reported) == {"customers"}
    assert reported["customers"]["sha256"] == sha256(corrected)


@pytest.mark.parametrize("block_bytes", [16, 64, 2**20])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_hash_is_of_the_bytes_whatever_the_block_and_the_encoding(
    tmp_path: Path, block_bytes: int, encoding: str
) -> None:
    path, trace = tmp_path / "a.csv", FileTrace()
    path.write_text("a,b\r\n1,é\n2,y", encoding=encoding)
    written = CsvFormat(encoding, block_bytes)
    list(read_csv_blocks(path, ("a", "b"), csv_format=written, trace=trace))
    assert (trace.sha256, trace.bytes) == (sha256(path), path.stat().st_size)


def test_a_file_that_is_not_read_to_its_end_has_no_hash(tmp_path: Path) -> None:
    path, trace = tmp_path / "a.json", FileTrace()
    path.write_text(json.dumps({"products": list(range(500))}))
    items = read_json_items(path, "products", chunk_chars=64, trace=trace)
    next(items)
    items.close()  # type: ignore[attr-defined]  # it is a generator
    assert trace.sha256 is None


def test_members_beside_the_array_are_reported_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in ('{"m": {"d": "x", "e": 1}, "products": []}', '{"products": [], "m": {"d": "x"}}'):
        path.write_text(text)
        members: dict[str, object] = {"m.d": None, "n.d": 7}
        list(read_json_items(path, "products", members=members))
        assert members == {"m.d": "x", "n.d": 7}


# --- by hand ---------------------------------------------------------------------------------


def test_a_load_by_hand_can_be_reported_and_kept(project: Project) -> None:
    path = project.input / "customers.csv"
    with DatabaseManager(project.connection_string) as db:
        reported = track_data_lineage(
            str(path), 200, "customer_dim", db_manager=db, records_rejected=10
        )
    assert (reported["rows"], reported["error_rate"], reported["sha256"]) == (
        200,
        0.05,
        sha256(path),
    )
    rows = project.query("SELECT run_id, source, rows_read, rows_rejected FROM etl_lineage")
    assert rows == [(reported["run_id"], "customers.csv", 200, 10)]


def test_a_file_that_is_not_there_has_no_lineage() -> None:
    with pytest.raises(FileNotFoundError):
        track_data_lineage("nowhere/customers.csv", 1, "customer_dim")
