"""Customers and products that are in a database, of any kind that can be read."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from order_databases import SHOPS, Shop
from pipeline_runs import Project

from etl.errors import ConfigurationError
from etl.monitoring.health.report import pipeline_health_check
from etl.schema.source_columns import CUSTOMER_COLUMNS, PRODUCT_COLUMNS

PIPELINE = """
[sources.customers]
connection = "SHOP_DB"
table = "customers"
[sources.products]
connection = "SHOP_DB"
query = "SELECT * FROM products"
"""
CUSTOMERS = [
    (f"C{n}", "ann", "lee", "a@b.org", "5551234567", "1 Elm St", "premium", "2024-01-02")
    for n in range(4)
]
PRODUCTS = [("P1", "Lamp", "Home", "Lux", "L1", "19.50", "7.25", "60", "W1")]


def fill(shop: Shop, name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Makes the table anew, with these rows."""
    listed, marks = ", ".join(columns), ", ".join([shop.mark] * len(columns))
    if shop.kind != "mongodb":
        typed = ", ".join(f"{column} VARCHAR(60)" for column in columns)
        shop.run(f"CREATE TABLE {name} ({typed})", ())
    shop.run(f"INSERT INTO {name} ({listed}) VALUES ({marks})", rows)


@pytest.fixture(params=SHOPS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    shop = SHOPS[request.param](tmp_path)
    fill(shop, "customers", CUSTOMER_COLUMNS, CUSTOMERS)
    fill(shop, "products", PRODUCT_COLUMNS, PRODUCTS)
    return shop


def project_of(folder: Path, pipeline: str, connection: str = "") -> Project:
    project = Project(folder / "p", LOG_LEVEL="CRITICAL", SHOP_DB=connection)
    project.settings["PIPELINE_FILE"] = str(project.folder / "pipeline.toml")
    (project.folder / "pipeline.toml").write_text(pipeline, "utf-8")
    return project


def test_they_are_read_whole_from_a_database(shop: Shop, tmp_path: Path) -> None:
    query = "" if shop.kind != "mongodb" else "products"
    pipeline = PIPELINE.replace('query = "SELECT * FROM products"', f'table = "{query}"') if (
        query) else PIPELINE  # fmt: skip
    project = project_of(tmp_path, pipeline, shop.connection)
    summary = project.run("--only", "customers", "--only", "products")
    assert summary["exit_code"] == 0
    assert project.query("SELECT name, segment FROM customer_dim WHERE customer_id = 'C1'") == [
        ("Ann Lee", "Premium Plus")
    ]
    assert [tuple(map(str, row)) for row in project.query("SELECT price, cost FROM product_dim")
            ] == [("19.50", "7.25")]  # fmt: skip
    lineage = {each["source"]: each for each in summary["lineage"]}
    assert "customers" in lineage["customers"]["query"]
    assert project.run("--only", "customers")["tables"]["customer_dim"]["rows_unchanged"] == 4


def test_one_that_has_lost_its_records_is_held_back(tmp_path: Path) -> None:
    shop = SHOPS["sqlite"](tmp_path)
    fill(shop, "customers", CUSTOMER_COLUMNS, CUSTOMERS)
    fill(shop, "products", PRODUCT_COLUMNS, PRODUCTS)
    project = project_of(tmp_path, PIPELINE, shop.connection)
    project.run("--only", "customers")
    checks = {c["name"]: c["status"] for c in pipeline_health_check(project.config())["checks"]}
    assert (checks["customers source"], "customers file" in checks) == ("passed", False)
    shop.run("DELETE FROM customers", ())
    held = project.run("--only", "customers")
    assert (held["sources"][0]["status"], held["exit_code"]) == ("held back", 3)
    assert project.query("SELECT count(*) FROM customer_dim") == [(4,)]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('customers]\nconnection = "A"', "needs table or query, and no other source; found none"),
        ('customers]\nconnection = "A"\ntable = "t"\nquery = "q"', "found table and query"),
        ('products]\nconnection = "A"\ntable = "t"\npath = "p.csv"', "found table and path"),
        ('products]\ntable = "t"', "table: needs connection, the name of a setting"),
        ('customers]\nconnection = "A"\nquery = "a > ?"', "customers are read whole"),
        ('sales]\nconnection = "A"\ntable = "t"', "are read by SALES_DB_CONNECTION_STRING"),
        ('customers]\nconnection = "A_DB"\ntable = "t"', "sources.customers: A_DB is not set"),
    ],
)
def test_what_does_not_go_together_is_said(tmp_path: Path, source: str, words: str) -> None:
    project = project_of(tmp_path, f"[sources.{source}\n")
    with pytest.raises(ConfigurationError, match=words):
        project.run("--only", "customers")
