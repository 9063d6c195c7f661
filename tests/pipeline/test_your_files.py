"""Files as people have them: the example of docs/your-files.md, several files, days in names."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pipeline_runs import Project

from etl.engines.database import DatabaseManager

PAGE = Path(__file__).resolve().parents[2] / "docs" / "your-files.md"
CUSTOMERS = (
    "Kundenliste\n\nKundennummer;Vorname;Nachname;E-Mail;phone;address;Registration Date\n"
    '="007";J\u00f6rg;Gro\u00df;a@b.de;+49 30 901820;Weg 1;03.02.2022\n'
)


def test_the_example_of_the_page_loads_a_file_from_excel(tmp_path: Path) -> None:
    project = Project(tmp_path, PIPELINE_FILE=str(tmp_path / "pipeline.toml"))
    marked = r"<!-- example: pipeline.toml -->\n```toml\n(.*?)```"
    (example,) = re.findall(marked, PAGE.read_text(encoding="utf-8"), re.DOTALL)
    example = example.replace("rename = {", 'rename = { "E-Mail" = "email",')
    (tmp_path / "pipeline.toml").write_text(example, encoding="utf-8")
    (project.input / "kunden_1.csv").write_text(CUSTOMERS, encoding="cp1252")
    summary = project.run()
    customers = next(each for each in summary["sources"] if each["source"] == "customers")
    assert customers["status"] == "loaded", customers
    assert {"cp1252", "semicolons"} < set(customers["found"])
    found = project.query(
        "SELECT customer_id, last_name, phone_valid, source_segment,"
        " CAST(registration_date AS TEXT) FROM customer_dim WHERE is_inferred = FALSE"
    )
    assert found == [("007", "Gro\u00df", True, "Standard", "2022-02-03")]


# --- several files as one source -----------------------------------------------------------

SALES = "transaction_id,customer_id,product_id,quantity,unit_price,discount_amount,"
SALES += "transaction_date,sales_rep_id,status\n"
HEADER = "customer_id,first_name,last_name,email,phone,address,segment,registration_date"


def customers_file(path: Path, *lines: str, header: str = HEADER, age: int = 0) -> None:
    """A file that was written so many seconds before the others."""
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    os.utime(path, (1_700_000_000 - age,) * 2)


def declare(project: Project, text: str) -> None:
    path = project.folder / "pipeline.toml"
    path.write_text(text, encoding="utf-8")
    project.settings["PIPELINE_FILE"] = str(path)


def of_source(summary: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any]
    (found,) = (each for each in summary["sources"] if each["source"] == name)
    return found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    declare(project, '[sources.customers]\npath = "part_*.csv"\nwhich = "all"\n')
    return project


@pytest.mark.usefixtures("every_engine")
def test_all_files_that_match_are_one_source_the_newest_wins(tmp_path: Path) -> None:
    project = Project(tmp_path)
    declare(project, '[sources.customers]\npath = "part_*.csv"\nwhich = "all"\n')
    customers_file(project.input / "part_b.csv", "C1,Old,Lee,,,,,", "C2,Bo,Lee,,,,,", age=60)
    customers_file(project.input / "part_a.csv", "C1,New,Lee,,,,,", ",No,Key,,,,,", "C3,short")
    project.settings["MAX_REJECT_RATE"] = "1"
    summary = project.run()
    assert summary["exit_code"] == 0
    found = project.query("SELECT customer_id, first_name FROM customer_dim ORDER BY 1")
    assert found == [("C1", "New"), ("C2", "Bo")]
    rejected = project.rejected("customers")
    assert [(r["source_file"], r["source_row"], r["error_class"], r["record_key"])
            for r in rejected] == [
        ("part_a.csv", "3", "missing", ""), ("part_a.csv", "4", "malformed", ""),
        ("part_b.csv", "2", "duplicate", "C1"),
    ]  # fmt: skip
    files = project.query("SELECT path, rows_read, sha256 FROM etl_lineage_file ORDER BY number")
    assert [(Path(path).name, rows, len(sha256)) for path, rows, sha256 in files] == [
        ("part_b.csv", 2, 64), ("part_a.csv", 3, 64)
    ]  # fmt: skip
    (whole,) = project.query("SELECT path, rows_read FROM etl_lineage WHERE source = 'customers'")
    assert whole == (str(project.input / "part_*.csv"), 5)
    assert [file["rows"] for file in summary["lineage"][0]["files"]] == [2, 3]


def test_dates_of_one_file_prove_the_order_of_all(project: Project) -> None:
    customers_file(project.input / "part_1.csv", "C1,A,Lee,,,,,03/02/2022", age=60)
    customers_file(project.input / "part_2.csv", "C2,B,Lee,,,,,13/02/2022")
    assert project.run()["exit_code"] == 0
    found = project.query("SELECT CAST(registration_date AS TEXT) FROM customer_dim ORDER BY 1")
    assert found == [("2022-02-03",), ("2022-02-13",)]
    customers_file(project.input / "part_3.csv", "C3,C,Lee,,,,,02/13/2022")
    summary = project.run()
    assert (summary["exit_code"], of_source(summary, "customers")["status"]) == (3, "held back")
    assert "written in two orders" in of_source(summary, "customers")["error"]


def test_what_files_are_like_is_reported_once_or_for_each_where_they_differ(
    project: Project,
) -> None:
    semicolons = HEADER.replace(",", ";")
    customers_file(project.input / "part_1.csv", "C1;A;Lee;;;;;", header=semicolons, age=60)
    customers_file(project.input / "part_2.csv", "C2;B;Lee;;;;;", header=semicolons)
    assert of_source(project.run(), "customers")["found"] == ["semicolons"]
    customers_file(project.input / "part_2.csv", "C2,B,Lee,,,,,")
    assert of_source(project.run(), "customers")["found"] == [
        "part_1.csv: semicolons", "part_2.csv: as expected",
    ]  # fmt: skip


def test_what_is_wrong_with_all_files_is_reported_at_once(project: Project) -> None:
    customers_file(project.input / "part_1.csv", "1,2", header="a,b", age=60)
    customers_file(project.input / "part_2.csv", "C2,B,Lee,,,,,", age=30)
    customers_file(project.input / "part_3.csv", "1,2", header="email,phone")
    summary = project.run()
    error = of_source(summary, "customers")["error"]
    assert summary["exit_code"] == 3
    assert ("part_1.csv" in error, "part_2.csv" in error, "part_3.csv" in error) == (
        True, False, True,
    )  # fmt: skip


def test_encoding_and_decimal_mark_of_one_file_are_reported_together(tmp_path: Path) -> None:
    project = Project(tmp_path)
    text = SALES.replace(",", ";") + "T1;C1;P1;1;5,50;;2024-01-20;M\u00fcller;completed\n"
    (project.input / "sales_transactions.csv").write_text(text, encoding="cp1252")
    error = of_source(project.run(), "sales")["error"]
    assert "set encoding in [sources.sales]" in error
    assert 'set decimal = ","' in error


def test_products_of_several_files_are_one_source(tmp_path: Path) -> None:
    project = Project(tmp_path)
    declare(project, '[sources.products]\npath = "p*.json*"\nwhich = "all"\n')
    (project.input / "products.json").write_text('[{"product_id": "P1", "name": "old"}]')
    os.utime(project.input / "products.json", (1_700_000_000,) * 2)
    lines = '{"product_id": "P1", "name": "new"}\n{"product_id": "P2"}\n{"product_id": ""}\n'
    (project.input / "p2.jsonl").write_text(lines)
    project.settings["MAX_REJECT_RATE"] = "1"
    assert project.run()["exit_code"] == 0
    assert project.query("SELECT product_id, name FROM product_dim ORDER BY 1") == [
        ("P1", "new"), ("P2", None)
    ]  # fmt: skip
    assert [(r["source_file"], r["source_row"]) for r in project.rejected("products")] == [
        ("p2.jsonl", "3"), ("products.json", "1")
    ]  # fmt: skip


# --- days in paths -------------------------------------------------------------------------


def test_a_day_in_a_path_is_the_one_that_is_asked_for(tmp_path: Path) -> None:
    project = Project(tmp_path)
    declare(project, '[sources.sales]\npath = "{date:%Y}/sales_{date}.csv"\n')
    (project.input / "2024").mkdir()
    for day in (19, 20, 21):
        path = project.input / "2024" / f"sales_202401{day}.csv"
        path.write_text(f"{SALES}T{day},C1,P1,1,5,,2024-01-{day} 10:00:00,,completed\n")
    assert project.run("--date", "2024-01-20")["exit_code"] == 0
    assert project.query("SELECT transaction_id FROM sales_fact") == [("T20",)]
    span = project.run("--start-date", "2024-01-18", "--end-date", "2024-01-20")
    assert span["exit_code"] == 0
    assert project.query("SELECT transaction_id FROM sales_fact ORDER BY 1") == [("T19",), ("T20",)]
    missing = project.run("--date", "2024-01-23")
    assert missing["exit_code"] == 3
    assert "sales_20240123.csv" in of_source(missing, "sales")["error"]


def test_of_snapshots_a_span_of_days_reads_the_last(tmp_path: Path) -> None:
    project = Project(tmp_path)
    declare(project, '[sources.customers]\npath = "customers_{date}.csv"\n')
    customers_file(project.input / "customers_20240119.csv", "C1,Old,Lee,,,,,")
    customers_file(project.input / "customers_20240120.csv", "C1,New,Lee,,,,,", age=60)
    project.run("--start-date", "2024-01-18", "--end-date", "2024-01-31")
    assert project.query("SELECT first_name FROM customer_dim") == [("New",)]


# --- columns that no table has ---------------------------------------------------------------

KEEP = '[sources.customers]\nextra = "keep"\nrename = { "Kundenstufe" = "tier" }\n'


@pytest.mark.usefixtures("every_engine")
def test_further_columns_are_kept_and_later_loads_go_on_filling_them(tmp_path: Path) -> None:
    project = Project(tmp_path)
    declare(project, KEEP)
    path, further = project.input / "customers.csv", f"{HEADER},Loyalty Points,Kundenstufe,name"
    customers_file(path, "C1,A,Lee,,,,,,120,gold,x", "C2,B,Lee,,,,,,NULL,,x", header=further)
    summary = project.run()
    assert summary["exit_code"] == 0
    assert "columns kept: Loyalty_Points, tier" in of_source(summary, "customers")["found"]
    kept = 'SELECT customer_id, name, "Loyalty_Points", "tier" FROM customer_dim ORDER BY 1'
    assert project.query(kept) == [("C1", "A Lee", "120", "gold"), ("C2", "B Lee", None, None)]
    customers_file(path, "C1,A,Lee,,,,,,130,gold,x", "C2,B,Lee,,,,,,7,,x", header=further)
    changed = project.query("SELECT column_name, rows_changed FROM etl_column_change")
    assert project.run()["exit_code"] == 0
    changed = project.query("SELECT column_name, rows_changed FROM etl_column_change")
    assert changed == [("Loyalty_Points", 2)]
    customers_file(path, "C1,Ann,Lee,,,,,", "C3,C,Lee,,,,,")
    assert project.run("--accept", "customers")["exit_code"] == 0
    assert project.query(kept) == [
        ("C1", "Ann Lee", "130", "gold"), ("C2", "B Lee", "7", None), ("C3", "C Lee", None, None)
    ]  # fmt: skip


def test_a_kept_column_that_is_there_keeps_its_type(tmp_path: Path) -> None:
    project = Project(tmp_path, MAX_REJECT_RATE="1")
    declare(project, KEEP)
    project.run()
    with DatabaseManager(project.connection_string) as db:
        db.execute("ALTER TABLE customer_dim ADD COLUMN points INTEGER")
    further = f"{HEADER},points"
    lines = ("C1,A,Lee,,,,,,120", "C2,B,Lee,,,,,,many", "C3,C,Lee,,,,,,")
    customers_file(project.input / "customers.csv", *lines, header=further)
    assert project.run()["exit_code"] == 0
    found = project.query("SELECT customer_id, points FROM customer_dim ORDER BY 1")
    assert found == [("C1", 120), ("C3", None)]
    (rejected,) = project.rejected("customers")
    assert (rejected["source_row"], rejected["record_key"], rejected["field"]) == (
        "3", "C2", "points",
    )  # fmt: skip


@pytest.mark.usefixtures("every_engine")
def test_further_columns_of_sales_are_kept(tmp_path: Path) -> None:
    project = Project(tmp_path, MAX_REJECT_RATE="1")
    declare(project, '[sources.sales]\nextra = "keep"\n')
    path = project.input / "sales_transactions.csv"
    path.write_text(
        f"{SALES.strip()},shipping country,note\nT1,C1,P1,1,5,,2024-01-20,,completed,DE,\n"
        "T2,C1,P1,1,5,,2024-01-21,,completed,FR,x\nT2,C1,P1,1,5,,2024-01-22,,completed,IT,y\n"
    )
    preview = project.run("--dry-run")
    assert of_source(preview, "sales")["error"] == ""
    assert project.run()["exit_code"] == 0
    kept = 'SELECT transaction_id, "shipping_country", "note" FROM sales_fact ORDER BY 1'
    assert project.query(kept) == [("T1", "DE", None), ("T2", "IT", "y")]
    assert project.run("--full-refresh")["exit_code"] == 0
    assert project.query(kept) == [("T1", "DE", None), ("T2", "IT", "y")]


def test_that_further_columns_of_a_database_are_not_kept_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = Project(tmp_path, SALES_DB_CONNECTION_STRING=f"duckdb:///{tmp_path / 'sales.duckdb'}")
    names = [*SALES.strip().split(","), "note"]
    columns = ", ".join(f"{n} {'TIMESTAMP' if n.endswith('date') else 'VARCHAR'}" for n in names)
    with duckdb.connect(str(tmp_path / "sales.duckdb")) as source:
        source.execute(f"CREATE TABLE sales_transactions ({columns})")
    declare(project, '[sources.sales]\nextra = "keep"\n')
    assert project.run()["exit_code"] == 0
    assert 'sales is no file: extra = "keep" does nothing for it' in caplog.messages


def test_sales_of_a_database_that_no_window_holds_for_want_of_a_date_are_reported(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path, SALES_DB_CONNECTION_STRING=f"duckdb:///{tmp_path / 'sales.duckdb'}")
    names = SALES.strip().split(",")
    columns = ", ".join(f"{n} {'TIMESTAMP' if n.endswith('date') else 'VARCHAR'}" for n in names)
    dated = {"T1": "'2024-01-20'", "T2": "NULL", "T3": "NULL"}
    with duckdb.connect(str(tmp_path / "sales.duckdb")) as source:
        source.execute(f"CREATE TABLE sales_transactions ({columns})")
        for key, day in dated.items():
            source.execute(
                f"INSERT INTO sales_transactions VALUES ('{key}', 'C1', 'P1', 1, 5, 0, {day}, '', "
                f"'{'completed' if key != 'T3' else 'pending'}')"
            )
    reported = (
        "1 sale without a transaction_date in the database: no run reads them before the source "
        "gives one"
    )
    for arguments in ([], ["--full-refresh"], ["--date", "2024-02-01"]):
        summary = project.run(*arguments)
        assert reported in of_source(summary, "sales")["warnings"], arguments
        assert of_source(summary, "sales")["skipped"] == {}
    assert project.query("SELECT transaction_id FROM sales_fact") == [("T1",)]


def test_further_members_of_products_are_reported_or_kept(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (project.input / "products.json").write_text(
        '[{"product_id": "P1", "tags": ["a"], "specifications": {"price": 2, "colour": "red"}},'
        ' {"product_id": "P2", "weight": 1.50}]'
    )
    found = of_source(project.run(), "products")["found"]
    assert sorted(found[-1].removeprefix("members that are not loaded: ").split(", ")) == [
        "'colour'", "'tags'", "'weight'",
    ]  # fmt: skip
    declare(project, '[sources.products]\nextra = "keep"\n')
    assert project.run()["exit_code"] == 0
    kept = "SELECT product_id, tags, colour, weight FROM product_dim ORDER BY 1"
    assert project.query(kept) == [("P1", '["a"]', "red", None), ("P2", None, None, "1.50")]


@pytest.mark.parametrize("source", ["customers", "products", "sales"])
def test_further_columns_can_be_refused(tmp_path: Path, source: str) -> None:
    project = Project(tmp_path)
    declare(project, f'[sources.{source}]\nextra = "refuse"\n')
    customers_file(project.input / "customers.csv", "C1,A,Lee,,,,,,1", header=f"{HEADER},points")
    (project.input / "products.json").write_text('[{"product_id": "P1", "points": 1}]')
    (project.input / "sales_transactions.csv").write_text(
        f"{SALES.strip()},points\nT1,C1,P1,1,5,,2024-01-20,,completed,1\n"
    )
    summary = project.run()
    assert [each["source"] for each in summary["sources"] if each["error"]] == [source]
    assert "'points'" in of_source(summary, source)["error"]
