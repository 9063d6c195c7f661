"""A file that was loaded before is recognised; what a load of it would report is reported."""

from pathlib import Path

import pytest
from model_runs import ENVIRONMENT
from pipeline_runs import Project, read_csv, reported, unchanged

from etl.engines.database import DatabaseManager

pytestmark = pytest.mark.usefixtures("every_engine")

CUSTOMERS = [
    {"customer_id": "C1", "first_name": "ann", "last_name": "lee", "email": "a@example.com"},
    {"customer_id": "C1", "first_name": "anna", "last_name": "lee", "email": "a@example.com"},
    {"customer_id": "", "first_name": "nobody"},
    {"customer_id": "C2", "first_name": "bob", "address": "x" * 501},
    {"customer_id": "C3", "first_name": "cy", "registration_date": "never"},
]
PRODUCTS = [{"product_id": "P1", "name": "desk", "price": "100", "cost": "60"}]
SALE = {
    "transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": "2",
    "unit_price": "100", "transaction_date": "2024-01-05 10:00",
}  # fmt: skip
SALES = [
    SALE, {**SALE, "transaction_id": "T2", "customer_id": "C9"},
    {**SALE, "transaction_id": "T3", "quantity": "0"},
    {**SALE, "transaction_id": "T4", "status": "cancelled"},
    {**SALE, "transaction_id": "T5", "quantity": "-1"},
]  # fmt: skip
DAYS = ("--start-date", "2024-01-01", "--end-date", "2024-01-31")


def project_of(folder: Path, **own: str) -> Project:
    project = Project(folder, **{**ENVIRONMENT, "RETURNS": "reject", **own})
    project.write(CUSTOMERS, PRODUCTS, SALES)
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return project_of(tmp_path)


def test_the_same_files_are_not_loaded_again_and_reported_as_a_load_would(tmp_path: Path) -> None:
    skipping, loading = project_of(tmp_path / "a"), project_of(tmp_path / "b")
    first = skipping.run(*DAYS)
    loading.run(*DAYS)
    again, loaded = skipping.run(*DAYS), loading.run(*DAYS, "--no-skip")
    assert unchanged(again) == dict.fromkeys(("customers", "products", "sales"), first["run_id"])
    assert unchanged(loaded) == {}
    assert reported(again, skipping) == reported(loaded, loading)
    assert again["tables"]["customer_dim"]["rows_rejected"] == 2
    assert len(reported(again, skipping)["rejected"]) == 2
    assert skipping.tables() == loading.tables()
    third = skipping.run(*DAYS)
    assert unchanged(third) == unchanged(again)
    assert reported(third, skipping) == reported(again, skipping)


@pytest.mark.parametrize(
    ("statement", "source"),
    [
        ("UPDATE customer_dim SET address = 'elsewhere' WHERE customer_id = 'C1'", "customers"),
        ("DELETE FROM sales_fact WHERE transaction_id = 'T2'", "sales"),
        ("UPDATE product_dim SET cost = 1 WHERE product_id = 'P1'", "products"),
        ("INSERT INTO customer_dim (customer_id, is_inferred, created_date, updated_date) "
         "SELECT 'C7', is_inferred, created_date, updated_date FROM customer_dim "
         "WHERE customer_id = 'C1'", "customers"),
        ("UPDATE sales_fact SET quantity = 7 WHERE transaction_id = 'T1'", "sales"),
        ("UPDATE sales_fact SET transaction_date = '2023-01-05' WHERE transaction_id = 'T1'",
         "sales"),
        ("UPDATE customer_dim SET is_inferred = (SELECT k.is_inferred FROM customer_dim AS k "
         "WHERE k.customer_id = 'C1') WHERE customer_id = 'C9'", "customers"),
    ],
)  # fmt: skip
def test_a_table_that_somebody_else_has_written_is_loaded_again(
    project: Project, statement: str, source: str
) -> None:
    project.run(*DAYS)
    before = project.tables()
    assert source in unchanged(project.run(*DAYS))
    with DatabaseManager(project.connection_string) as db:
        db.execute(statement)
    assert source not in unchanged(project.run(*DAYS))
    after = project.tables()
    kept = {row["customer_id"]: row for row in after["customer_dim"]}
    assert [kept[row["customer_id"]] for row in before["customer_dim"]
            if row["customer_id"] != "C9"] == [
        row for row in before["customer_dim"] if row["customer_id"] != "C9"]  # fmt: skip
    assert after["sales_fact"] == before["sales_fact"]


def test_a_placeholder_that_somebody_has_removed_comes_back(project: Project) -> None:
    project.run(*DAYS)
    with DatabaseManager(project.connection_string) as db:
        if db.dialect.has_keys:
            pytest.skip("the server keeps what is referenced")
        db.execute("DELETE FROM customer_dim WHERE customer_id = 'C9'")
    assert "sales" not in unchanged(project.run(*DAYS))
    assert "C9" in {row["customer_id"] for row in project.tables()["customer_dim"]}


def test_other_content_settings_windows_and_kinds_of_run_are_loaded(project: Project) -> None:
    project.run(*DAYS)
    project.settings["COMMISSION_RATE"] = "0.05"
    assert unchanged(project.run(*DAYS)) == {}
    assert set(unchanged(project.run("--date", "2024-01-05"))) == {"customers", "products"}
    assert unchanged(project.run("--full-refresh")) == {}
    assert unchanged(project.run(*DAYS)) == {}
    project.write([*CUSTOMERS[:-1], {**CUSTOMERS[-1], "first_name": "cZ"}], PRODUCTS, SALES)
    assert set(unchanged(project.run(*DAYS))) == {"products", "sales"}
    project.write(CUSTOMERS, PRODUCTS, SALES)
    assert set(unchanged(project.run(*DAYS))) == {"products", "sales"}


def test_a_dry_run_looks_at_the_records(project: Project) -> None:
    project.run(*DAYS)
    assert unchanged(project.run(*DAYS, "--dry-run")) == {}


def test_what_was_let_pass_once_is_held_back_the_next_time(tmp_path: Path) -> None:
    project = project_of(tmp_path, MAX_REJECT_RATE="0.1")
    accepted = project.run(*DAYS, "--accept", "customers.reject_rate", "--accept", "sales")
    assert [source["status"] for source in accepted["sources"]] == ["loaded"] * 3
    again = project.run(*DAYS)
    assert [source["status"] for source in again["sources"]] == [
        "held back", "loaded", "held back"
    ]  # fmt: skip
    assert set(unchanged(again)) == {"products"}


def test_without_its_rejected_file_a_source_is_loaded_and_has_one_again(project: Project) -> None:
    first = project.run(*DAYS)
    folder = project.output / "rejected"
    (folder / f"customers_{first['run_id']}.csv").unlink()
    edited = folder / f"sales_{first['run_id']}.csv"
    edited.write_text(edited.read_text("utf-8-sig").replace("T3", "T8"), "utf-8")
    again = project.run(*DAYS)
    assert set(unchanged(again)) == {"products"}
    assert {row["record_key"] for row in read_csv(folder / f"sales_{again['run_id']}.csv")} == {
        "T3", "T5"
    }  # fmt: skip


def test_a_corrected_record_that_was_read_again_since_is_not_loaded(project: Project) -> None:
    first = project.run(*DAYS)
    path = project.output / "rejected" / f"customers_{first['run_id']}.csv"
    corrected = path.read_text("utf-8").replace("x" * 501, "1 Short Road")
    assert "customers" in unchanged(project.run(*DAYS))
    path.write_text(corrected, "utf-8")
    summary = project.run("--reprocess-rejected", str(path))
    assert summary["tables"]["customer_dim"]["rows_inserted"] == 0


def test_after_a_correction_from_the_rejected_file_the_source_is_loaded(project: Project) -> None:
    first = project.run(*DAYS)
    path = project.output / "rejected" / f"customers_{first['run_id']}.csv"
    path.write_text(path.read_text("utf-8").replace("x" * 501, "1 Short Road"), "utf-8")
    assert project.run("--reprocess-rejected", str(path))["exit_code"] == 0
    again = project.run(*DAYS)
    assert set(unchanged(again)) == {"products", "sales"}


def test_a_sale_in_the_future_keeps_its_file_from_being_skipped(project: Project) -> None:
    project.write(CUSTOMERS, PRODUCTS, [SALE, {**SALE, "transaction_date": "2999-01-01"}])
    every_day = ("--start-date", "2024-01-01", "--end-date", "2999-12-31")
    project.run(*every_day)
    assert set(unchanged(project.run(*every_day))) == {"customers", "products"}
