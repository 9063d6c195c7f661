"""Exported tables: whole, exact in Parquet, harmless in a spreadsheet."""

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq

from data_loading import DatabaseManager, load_customers, load_products
from etl.rejects import unguarded_cell
from etl.warehouse.export import export_tables

HOSTILE = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'quoted", "plain", None]


def test_a_text_that_a_spreadsheet_would_run_is_guarded_in_csv_and_exact_in_parquet(
    tmp_path: Path,
) -> None:
    customers = [{"customer_id": f"C{n}", "address": text} for n, text in enumerate(HOSTILE)]
    with DatabaseManager("duckdb:///:memory:") as db:
        load_customers(customers, db)
        held = [text for (text,) in db.query("SELECT address FROM customer_dim ORDER BY 1, 1")]
        as_csv, *_ = export_tables(db, tmp_path, "csv")
        as_parquet, *_ = export_tables(db, tmp_path, "parquet")
    with as_csv.open(encoding="utf-8", newline="") as file:
        cells = [row["address"] for row in csv.DictReader(file)]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert sorted(unguarded_cell(cell) for cell in cells) == sorted(text or "" for text in held)
    exact = pq.read_table(as_parquet).column("address").to_pylist()
    assert sorted(exact, key=str) == sorted(held, key=str)


def test_numbers_and_dates_are_not_guarded(tmp_path: Path) -> None:
    with DatabaseManager("duckdb:///:memory:") as db:
        load_products([{"product_id": "P1", "price": Decimal("-1.50")}], db)
        load_customers([{"customer_id": "C1", "registration_date": date(2024, 1, 15)}], db)
        customers, products, _ = export_tables(db, tmp_path, "csv")
    with products.open(encoding="utf-8", newline="") as file:
        assert [row["price"] for row in csv.DictReader(file)] == ["-1.50"]
    with customers.open(encoding="utf-8", newline="") as file:
        assert [row["registration_date"] for row in csv.DictReader(file)] == ["2024-01-15"]
