"""Rejected records: kept so that a spreadsheet can mend them, and loaded again."""

import csv
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_runs import Project, command, read_csv, write_customers

from etl.errors import ConfigurationError
from etl.rejects import RejectedFile, guarded_cell, reject_block, unguarded_cell
from etl.schema.source_columns import CUSTOMER_COLUMNS
from etl.sources.corrected import read_corrected

pytestmark = pytest.mark.usefixtures("every_engine")

GOOD = {"customer_id": "C1", "first_name": "Ann", "last_name": "Lee", "email": "a@b.org"}
SALE = {"transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": "2",
        "unit_price": "50", "transaction_date": "2024-01-20"}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, LOG_LEVEL="ERROR", MAX_REJECT_RATE="1")


def rejected_file(project: Project, source: str) -> Path:
    """The newest file of a source."""
    return sorted((project.output / "rejected").glob(f"{source}_*.csv"))[-1]


def mend(path: Path, separator: str = ",", **changes: str) -> str:
    """Changes columns of every row, as a person would in a spreadsheet, and saves beside."""
    rows = [row | changes for row in read_csv(path)]
    corrected = path.with_name("corrected.csv")
    with corrected.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    return str(corrected)


def customers(project: Project) -> list[tuple[str, str]]:
    return project.query("SELECT customer_id, name FROM customer_dim ORDER BY customer_id")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_mended_record_is_loaded_and_the_others_stay(project: Project, separator: str) -> None:
    bob = GOOD | {"customer_id": "", "first_name": "Bob"}
    project.write([GOOD, bob])
    project.run()
    corrected = mend(rejected_file(project, "customers"), separator, customer_id="C2")
    summary = project.run("--reprocess-rejected", corrected)
    assert customers(project) == [("C1", "Ann Lee"), ("C2", "Bob Lee")]
    counts = summary["tables"]["customer_dim"]
    assert (counts["rows_read"], counts["rows_inserted"]) == (1, 1)
    assert (counts["rows_vanished"], counts["rows_removed"]) == (0, 0)
    assert summary["exit_code"] == 0


def test_a_record_that_is_still_bad_is_rejected_again(project: Project) -> None:
    project.write(sales=[SALE | {"quantity": "0"}])
    project.run()
    summary = project.run(
        "--reprocess-rejected", mend(rejected_file(project, "sales"), quantity="-1")
    )
    assert summary["tables"]["sales_fact"]["rows_rejected"] == 1
    (again,) = read_csv(rejected_file(project, "sales"))
    assert again["run_id"] == summary["run_id"]
    assert again["quantity"] == guarded_cell("-1")


def test_a_mended_record_may_be_reprocessed_once(project: Project) -> None:
    project.write(sales=[SALE | {"quantity": "0"}])
    project.run()
    corrected = mend(rejected_file(project, "sales"), quantity="3")
    assert (
        project.run("--reprocess-rejected", corrected)["tables"]["sales_fact"]["rows_inserted"] == 1
    )
    again = project.run("--reprocess-rejected", corrected)
    assert again["tables"]["sales_fact"]["rows_read"] == 0
    assert again["sources"][0]["warnings"] == [
        "1 rejected record skipped: a later run has read its key, and that is newer"
    ]


def test_a_mended_record_replaces_the_older_version_in_the_warehouse(project: Project) -> None:
    project.write(sales=[SALE])
    project.run("--date", "2024-01-20")
    project.write(sales=[SALE | {"quantity": "many"}])
    project.run("--date", "2024-01-20")
    project.run("--reprocess-rejected", mend(rejected_file(project, "sales"), quantity="3"))
    assert project.query("SELECT quantity FROM sales_fact") == [(3,)]


@pytest.mark.parametrize("later", ["2", "5", "0"])
def test_what_a_later_run_has_read_is_not_overwritten(project: Project, later: str) -> None:
    """Whether the later run left the row as it was, changed it, or rejected it again."""
    for quantity in ("2", "0", later):
        project.write(sales=[SALE | {"quantity": quantity}])
        project.run("--date", "2024-01-20")
    first = sorted((project.output / "rejected").glob("sales_*.csv"))[0]
    project.run("--reprocess-rejected", mend(first, quantity="9"))
    kept = 2 if later == "0" else int(later)
    assert project.query("SELECT quantity FROM sales_fact") == [(kept,)]


def test_what_a_full_refresh_has_removed_does_not_come_back(project: Project) -> None:
    project.write(sales=[SALE | {"quantity": "0"}, SALE | {"transaction_id": "T2"}])
    project.run()
    first = rejected_file(project, "sales")
    project.write(sales=[SALE | {"transaction_id": "T2"}])
    project.run("--full-refresh")
    project.run("--reprocess-rejected", mend(first, quantity="9"))
    assert project.query("SELECT transaction_id FROM sales_fact") == [("T2",)]


def test_a_later_run_of_other_days_has_not_read_it(project: Project) -> None:
    project.write(sales=[SALE, SALE | {"transaction_id": "T2", "quantity": "0"}])
    project.run("--date", "2024-01-20")
    project.run("--date", "2024-01-21")
    project.run("--reprocess-rejected", mend(rejected_file(project, "sales"), quantity="3"))
    rows = project.query("SELECT transaction_id, quantity FROM sales_fact ORDER BY 1")
    assert rows == [("T1", 2), ("T2", 3)]


def test_a_customer_that_a_later_run_has_read_is_not_overwritten(project: Project) -> None:
    project.write([GOOD | {"first_name": "x" * 101}])
    project.run()
    first = rejected_file(project, "customers")
    project.write([GOOD | {"first_name": "Newer"}])
    project.run()
    project.run("--reprocess-rejected", mend(first, first_name="Older"))
    assert customers(project) == [("C1", "Newer Lee")]


@pytest.mark.parametrize(
    "key", ["C\0", "C" * 51, "\U0001f600" * 26], ids=["NUL", "long", "long in UTF-16"]
)
def test_a_record_whose_key_no_column_holds_is_rejected_as_often_as_it_comes(
    project: Project, key: str
) -> None:
    product = {"product_id": key, "name": "Lamp", "price": "5"}
    project.write(products=[product])
    project.run()
    first = rejected_file(project, "products")
    project.run()
    summary = project.run("--reprocess-rejected", str(first))
    assert summary["tables"]["product_dim"]["rows_rejected"] == 1
    assert rejected_file(project, "products") != first


def test_duplicates_are_skipped_and_counted(project: Project) -> None:
    project.write([GOOD, GOOD | {"first_name": "Last"}])
    project.run()
    summary = project.run("--reprocess-rejected", str(rejected_file(project, "customers")))
    assert summary["sources"][0]["notes"] == {"duplicates skipped": 1}
    assert customers(project) == [("C1", "Last Lee")]


def test_of_mended_records_with_one_key_the_last_wins(project: Project) -> None:
    project.write([GOOD | {"customer_id": "", "first_name": name} for name in ("One", "Two")])
    project.run()
    corrected = mend(rejected_file(project, "customers"), customer_id="C2")
    counts = project.run("--reprocess-rejected", corrected)["tables"]["customer_dim"]
    assert (counts["rows_inserted"], counts["rows_duplicate"]) == (1, 1)
    assert customers(project) == [("C2", "Two Lee")]


def test_a_malformed_line_can_be_mended_by_filling_in_its_columns(project: Project) -> None:
    header = ",".join(CUSTOMER_COLUMNS)
    (project.input / "customers.csv").write_text(f"{header}\nC1,Ann\n")
    project.run()
    path = rejected_file(project, "customers")
    summary = project.run("--reprocess-rejected", mend(path))
    assert summary["tables"]["customer_dim"]["rows_rejected"] == 1
    path = sorted((project.output / "rejected").glob("customers_*.csv"))[0]
    project.run("--reprocess-rejected", mend(path, customer_id="C1", first_name="Ann"))
    assert customers(project) == [("C1", "Ann")]


def test_the_reprocessing_of_sales_restates_and_infers_like_any_load(project: Project) -> None:
    early = SALE | {"transaction_id": "T0", "transaction_date": "2024-01-19", "quantity": "0"}
    project.write(sales=[SALE, early])
    project.run()
    project.run("--reprocess-rejected", mend(rejected_file(project, "sales"), quantity="1"))
    status = project.query("SELECT transaction_id, customer_status FROM sales_fact ORDER BY 1")
    assert status == [("T0", "First-time"), ("T1", "Repeat")]
    assert project.run("--dry-run")["quality"]["passed"]


def test_columns_that_a_corrected_file_lacks_are_left_as_they_are(project: Project) -> None:
    lamp = {"product_id": "P1", "name": "Lamp", "category": "tech", "brand": "B", "price": "9",
            "cost": "4", "quantity": "5"}  # fmt: skip
    project.write(products=[lamp])
    project.run()
    refused = [{"product_id": key, "price": "-7"} for key in ("P1", "P2")]
    project.write(products=refused)
    project.run()
    path = rejected_file(project, "products")
    rows = [f"{row['run_id']},products,rule,{row['product_id']},7" for row in read_csv(path)]
    path.write_text("\n".join(["run_id,source,error_class,product_id,price", *rows]) + "\n")
    summary = project.run("--reprocess-rejected", str(path))
    assert summary["tables"]["product_dim"]["rows_updated"] == 1
    assert project.query(
        "SELECT product_id, name, category, source_category, brand, price, cost, price_category"
        " FROM product_dim ORDER BY product_id"
    ) == [
        ("P1", "Lamp", "Electronics", "tech", "B", Decimal(7), Decimal(4), "Budget"),
        ("P2", None, None, None, None, Decimal(7), None, "Budget"),
    ]


def test_the_watermark_is_not_moved(project: Project) -> None:
    project.write(sales=[SALE | {"quantity": "0", "transaction_date": "2024-02-01"}, SALE])
    project.run()
    before = project.query("SELECT watermark FROM etl_watermark")
    project.run("--reprocess-rejected", mend(rejected_file(project, "sales"), quantity="1"))
    assert project.query("SELECT watermark FROM etl_watermark") == before


# --- the cells ---------------------------------------------------------------------------


@given(st.text())
def test_a_guarded_cell_gives_its_text_back(text: str) -> None:
    assert unguarded_cell(guarded_cell(text)) == text


@given(st.sampled_from("=+-@\t\r\n"), st.text())
def test_no_cell_begins_like_a_formula(start: str, text: str) -> None:
    assert guarded_cell(start + text).startswith("'")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(st.none() | st.builds(str.__add__, st.sampled_from(" a=+-@\t\r\n'"), texts)))
def test_every_cell_of_the_file_is_guarded(values: list[str | None]) -> None:
    rows = [{"source_row": 1, "customer_id": value} for value in values]
    with TemporaryDirectory() as folder:
        rejects = RejectedFile(Path(folder), "RUN", "customers")
        rejects.write(reject_block(("customer_id",), rows))
        path = rejects.publish()
        written = read_csv(path) if path else []
    cells = [row["customer_id"] for row in written]
    assert cells == [guarded_cell(value) for value in values]


def test_a_formula_in_the_data_is_harmless_in_the_file_and_whole_when_reprocessed(
    project: Project,
) -> None:
    formula = '=HYPERLINK("http://x")'
    write_customers(project.input, [GOOD | {"customer_id": "", "address": formula}])
    project.run()
    (row,) = read_csv(rejected_file(project, "customers"))
    assert row["address"] == "'" + formula
    corrected = mend(rejected_file(project, "customers"), customer_id="C7")
    project.run("--reprocess-rejected", corrected)
    assert project.query("SELECT address FROM customer_dim") == [(formula,)]


# --- what cannot be reprocessed ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        (None, "nowhere.csv"),
        ("", "no file of rejected records"),
        ("a,b\n1,2\n", "no file of rejected records"),
        ("run_id,source,error_class\nr,orders,rule\n", "says orders"),
        ("run_id,source,error_class\nr,sales,rule\nr,products,rule\n", "products, sales"),
        ("run_id,source,error_class\nr,sales,rule\n", "lacks the column transaction_id"),
    ],
)
def test_a_file_that_is_none_is_refused(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    reported: str,
) -> None:
    path = project.folder / "nowhere.csv"
    if text is not None:
        path.write_text(text)
    assert command(project, monkeypatch, "--reprocess-rejected", str(path)) == 2
    assert reported in capsys.readouterr().err
    with pytest.raises(ConfigurationError):
        read_corrected(path)


def test_reprocessing_and_a_date_exclude_each_other(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ("--reprocess-rejected", "x.csv", "--date", "2024-01-01")
    assert command(project, monkeypatch, *argv) == 2
