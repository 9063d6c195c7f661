"""Reading the three sources."""

import json
import sqlite3
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from data_extraction import extract_customers_csv, extract_products_json, extract_sales_database
from etl.engines import odbc
from etl.errors import ConfigurationError, ExtractionError, ValidationError
from etl.schema.source_columns import CUSTOMER_COLUMNS, PRODUCT_COLUMNS, SALES_COLUMNS
from etl.sources.products import read_products
from etl.sources.sales import read_sales
from etl.sources.sales_reading import SalesReading
from etl.sources.window import EVERYTHING, whole_days

# --- customers -----------------------------------------------------------------------------


def customers_file(folder: Path, *lines: str) -> str:
    path = folder / "customers.csv"
    path.write_text("\n".join([",".join(CUSTOMER_COLUMNS), *lines]) + "\n", encoding="utf-8")
    return str(path)


def test_customers_come_standardised_with_the_keys_of_the_file(tmp_path: Path) -> None:
    line = " C1 ,JANE,doe,Jane@B.org,1-555-123-4567,,premium,01/16/2024"
    (customer,) = extract_customers_csv(customers_file(tmp_path, line))
    assert customer == {
        "customer_id": "C1", "first_name": "JANE", "last_name": "doe", "email": "jane@b.org",
        "phone": "(555) 123-4567", "address": None, "segment": "premium",
        "registration_date": "2024-01-16",
    }  # fmt: skip


def test_customers_without_id_and_malformed_lines_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = customers_file(tmp_path, "C1,,,,,,,", ",Ann,,,,,,", "C2,too,few", "C3,,,,,,,soon")
    with caplog.at_level("INFO"):
        found = extract_customers_csv(path)
    assert [customer["customer_id"] for customer in found] == ["C1", "C3"]
    assert found[1]["registration_date"] is None
    assert "extracted 2 customers" in caplog.text
    assert "2 left out" in caplog.text


def test_a_missing_customers_file_is_the_built_in_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        extract_customers_csv(str(tmp_path / "nowhere.csv"))


def test_a_missing_column_is_a_validation_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("customer_id,email\nC1,a@b.org\n")
    with pytest.raises(ValidationError, match="first_name"):
        extract_customers_csv(str(tmp_path / "c.csv"))


# --- products ------------------------------------------------------------------------------


def products_file(folder: Path, *items: Any) -> str:
    path = folder / "products.json"
    path.write_text(json.dumps({"products": items, "metadata": {"version": "1.2"}}))
    return str(path)


def test_nested_products_come_flat_with_exact_prices(tmp_path: Path) -> None:
    item = {"product_id": "P1", "name": "Headphones", "category": "Electronics",
            "specifications": {"brand": "TechCorp", "model": "WH-1000", "price": 199.99},
            "inventory": {"quantity": 150, "warehouse": "WH-001"}}  # fmt: skip
    (product,) = extract_products_json(products_file(tmp_path, item))
    assert product == {
        "product_id": "P1", "name": "Headphones", "category": "Electronics", "brand": "TechCorp",
        "model": "WH-1000", "price": Decimal("199.99"), "cost": None, "quantity": 150,
        "warehouse": "WH-001",
    }  # fmt: skip


def test_a_product_without_the_objects_has_their_columns_in_itself(tmp_path: Path) -> None:
    item = {"product_id": "P1", "name": "Lamp", "price": 5, "inventory": {"quantity": 3}}
    (product,) = extract_products_json(products_file(tmp_path, item))
    assert (product["price"], product["quantity"]) == (Decimal("5.00"), 3)


def test_items_that_are_no_products_are_left_out_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    items = ["P0", {"product_id": "P1", "specifications": []}, {"product_id": {"a": 1}}, {}]
    found = extract_products_json(products_file(tmp_path, *items))
    assert len(found) == 1
    assert "product 1 left out: a product must be an object, not a text" in caplog.text
    assert "specifications must be an object, not a list" in caplog.text
    assert "product_id must be a single value" in caplog.text


def test_half_a_character_rejects_its_product_alone(tmp_path: Path) -> None:
    path = tmp_path / "products.json"
    path.write_text('{"products": [{"product_id": "P1", "name": "\\ud83d"}, {"product_id": "P2"}]}')
    (block,) = read_products(path)
    assert block.records.column("product_id").to_pylist() == ["P2"]
    (rejected,) = block.rejected.to_pylist()
    assert (rejected["source_row"], rejected["error_class"]) == (1, "bad_text")
    assert "\\ud83d" in rejected["raw_record"]


# --- sales ---------------------------------------------------------------------------------

SALES = [
    ("T1", "C1", "P1", 2, "50.25", "0.50", "2024-01-20 00:00:00", "R1", "completed"),
    ("T2", "C1", "P1", 1, "50.25", None, "2024-01-20 23:59:59.999999", None, "completed"),
    ("T3", "C1", "P1", 1, "50.25", None, "2024-01-21 00:00:00", None, "completed"),
    ("T4", "C1", "P1", 1, "50.25", None, "2024-01-20 12:00:00", None, "pending"),
    ("T5", "C1", "P1", 1, "50.25", None, "2024-01-19 23:59:59.999999", None, "completed"),
]


def csv_source(folder: Path) -> str:
    path = folder / "sales.csv"
    lines = [",".join("" if value is None else str(value) for value in sale) for sale in SALES]
    path.write_text("\n".join([",".join((*SALES_COLUMNS, "status")), *reversed(lines)]) + "\n")
    return f"csv:///{path}"


def duckdb_source(folder: Path) -> str:
    path = folder / "sales.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE sales_transactions (transaction_id VARCHAR, customer_id VARCHAR,"
            " product_id VARCHAR, quantity INTEGER, unit_price DECIMAL(10, 2),"
            " discount_amount DECIMAL(10, 2), transaction_date TIMESTAMP,"
            " sales_rep_id VARCHAR, status VARCHAR)"
        )
        connection.executemany(f"INSERT INTO sales_transactions VALUES ({marks()})", SALES)
    return f"duckdb:///{path}"


def sqlite_source(folder: Path) -> str:
    path = folder / "sales.sqlite"
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE sales_transactions (transaction_id VARCHAR(50), customer_id VARCHAR(50),"
        " product_id VARCHAR(50), quantity INTEGER, unit_price VARCHAR(20),"
        " discount_amount VARCHAR(20), transaction_date VARCHAR(30),"
        " sales_rep_id VARCHAR(50), status VARCHAR(20))"
    )
    sales = [(*sale[:6], in_milliseconds(sale[6]), *sale[7:]) for sale in SALES]
    connection.executemany(f"INSERT INTO sales_transactions VALUES ({marks()})", sales)
    connection.commit()
    connection.close()
    return f"DRIVER=SQLite3;Database={path}"


def in_milliseconds(moment: object) -> str:
    """The text that SQLite's driver makes of a timestamp, so that the two compare."""
    text = str(moment)
    return text[:23] if "." in text else f"{text}.000"


def marks() -> str:
    return ", ".join("?" * len(SALES[0]))


def has_sqlite_driver() -> bool:
    return "SQLite3" in odbc.installed_drivers()


SOURCES = [
    pytest.param(csv_source, id="csv"),
    pytest.param(duckdb_source, id="duckdb"),
    pytest.param(
        sqlite_source, id="odbc",
        marks=pytest.mark.skipif(
            not has_sqlite_driver(), reason="no SQLite ODBC driver (Debian: libsqliteodbc)"
        ),
    ),
]  # fmt: skip


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.param(tmp_path))


def test_the_completed_sales_of_whole_days_come_oldest_first(source: str) -> None:
    found = extract_sales_database(source, "2024-01-20", "2024-01-20")
    assert [sale["transaction_id"] for sale in found] == ["T1", "T2"]
    assert tuple(found[0]) == SALES_COLUMNS


def test_any_block_size_gives_the_same_sales(source: str) -> None:
    for chunk_rows in (1, 2, 100):
        blocks = list(read_sales(source, EVERYTHING, SalesReading(chunk_rows)))
        ids = [sale["transaction_id"] for block in blocks for sale in block.records.to_pylist()]
        assert ids == ["T5", "T1", "T2", "T3"]


def test_the_statuses_that_count_are_given_and_others_are_counted(source: str) -> None:
    day = whole_days(datetime(2024, 1, 20), datetime(2024, 1, 20))
    reading = SalesReading(statuses=(" PENDING", "it's"))
    for _ in range(2):  # anew each time
        blocks = list(read_sales(source, day, reading))
        ids = [sale["transaction_id"] for block in blocks for sale in block.records.to_pylist()]
        assert (ids, reading.left_out) == (["T4"], {"completed": 2})


def test_a_database_gives_typed_values(tmp_path: Path) -> None:
    (first, _) = extract_sales_database(duckdb_source(tmp_path), "2024-01-20", "2024-01-20")
    assert first["unit_price"] == Decimal("50.25")
    assert first["transaction_date"] == datetime(2024, 1, 20)


def test_a_sale_of_the_file_with_an_unreadable_date_is_rejected_in_any_window(
    tmp_path: Path,
) -> None:
    source = csv_source(tmp_path)
    path = tmp_path / "sales.csv"
    path.write_text(
        path.read_text() + "T8,C1,P1,1,5,,soon,,completed\nT9,C1,P1,1,5,,soon,,pending\n"
    )
    days = whole_days(datetime(1999, 1, 1), datetime(1999, 1, 1))
    (block,) = read_sales(source, days)
    (rejected,) = block.rejected.to_pylist()
    assert (rejected["record_key"], rejected["source_row"]) == ("T8", 7)
    assert rejected["error_class"] == "unreadable"
    assert block.examined == 7


@pytest.mark.parametrize(
    ("first", "last", "reported"),
    [("2024-02-30", "2024-03-01", "no date"), ("2024-03-02", "2024-03-01", "after the end")],
)
def test_a_span_that_is_none_is_refused(
    tmp_path: Path, first: str, last: str, reported: str
) -> None:
    with pytest.raises(ConfigurationError, match=reported):
        extract_sales_database(csv_source(tmp_path), first, last)


def test_a_hostile_date_is_no_date(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        extract_sales_database(csv_source(tmp_path), "2024-01-01' OR 1=1 --", "2024-01-02")


def test_a_missing_sales_database_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        extract_sales_database(f"duckdb:///{tmp_path}/none", "2024-01-01", "2024-01-02")


def test_a_source_without_the_table_says_what_is_wanted(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "e.duckdb")).close()
    with pytest.raises(ExtractionError, match="sales_transactions"):
        extract_sales_database(f"duckdb:///{tmp_path}/e.duckdb", "2024-01-01", "2024-01-02")


def test_a_connection_string_of_no_known_form_names_the_choices() -> None:
    with pytest.raises(
        ConfigurationError, match=r"(?s)SALES_DB.*duckdb:///path.*postgresql://.*ODBC string"
    ):
        extract_sales_database("somewhere", "2024-01-01", "2024-01-02")


@pytest.mark.parametrize(
    ("connection_string", "reported"),
    [
        ("DRIVER=NoSuchDriver;Server=x", "the ODBC source refused"),
        ("DRIVER=SQLite3;Database=:memory:", "no such table"),
    ],
)
@pytest.mark.skipif(not has_sqlite_driver(), reason="no SQLite ODBC driver (Debian: libsqliteodbc)")
def test_what_an_odbc_source_refuses_is_reported_with_the_next_step(
    connection_string: str, reported: str
) -> None:
    with pytest.raises(ExtractionError, match=reported) as refused:
        extract_sales_database(connection_string, "2024-01-01", "2024-01-02")
    assert "SALES_DB_CONNECTION_STRING" in str(refused.value)
    assert refused.value.__cause__ is not None


# --- DataFrames and encodings ------------------------------------------------------------


def test_customers_come_as_a_dataframe(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text(f"{','.join(CUSTOMER_COLUMNS)}\nC1,Ann,Lee,A@B.org,,,,2024-01-15\n")
    frame: Any = extract_customers_csv(str(path), as_frame=True)
    assert isinstance(frame, pd.DataFrame)
    dicts = extract_customers_csv(str(path))
    assert pa.Table.from_pandas(frame).to_pylist() == dicts
    assert dicts[0]["email"] == "a@b.org"


def test_products_come_as_a_dataframe_also_with_texts_among_numbers(tmp_path: Path) -> None:
    path = tmp_path / "products.json"
    items = [
        {"product_id": "P1", "specifications": {"price": 1.5}, "inventory": {"quantity": 3}},
        {"product_id": "P2", "specifications": {"price": "1.75"}, "inventory": {}},
    ]
    path.write_text(json.dumps({"products": items}))
    frame: Any = extract_products_json(str(path), as_frame=True)
    assert isinstance(frame, pd.DataFrame)
    assert frame["price"].tolist() == ["1.5", "1.75"]
    assert frame["quantity"].tolist() == [3, pd.NA]
    assert list(frame.columns) == list(PRODUCT_COLUMNS)


def test_sales_come_as_a_dataframe_in_order(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    rows = ["T2,C1,P1,1,2.00,,2024-01-20,R1,completed", "T1,C1,P1,1,2.00,,2024-01-19,R1,completed"]
    path.write_text("\n".join([",".join((*SALES_COLUMNS, "status")), *rows]))
    frame: Any = extract_sales_database(f"csv:///{path}", "2024-01-01", "2024-01-31", as_frame=True)
    assert isinstance(frame, pd.DataFrame)
    assert frame["transaction_id"].tolist() == ["T1", "T2"]


def test_an_empty_extraction_is_a_dataframe_with_all_columns(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text(",".join(CUSTOMER_COLUMNS))
    frame: Any = extract_customers_csv(str(path), as_frame=True)
    assert (len(frame), list(frame.columns)) == (0, list(CUSTOMER_COLUMNS))


def test_customers_are_read_in_the_encoding_that_is_given(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text(f"{','.join(CUSTOMER_COLUMNS)}\nC1,Zoë,Lee,,,,,\n", encoding="cp1252")
    assert extract_customers_csv(str(path), encoding="cp1252")[0]["first_name"] == "Zoë"
    with pytest.raises(ExtractionError, match="no utf-8 text") as caught:
        extract_customers_csv(str(path))
    assert caught.value.next_step.startswith("pass encoding= with the encoding of the file")
