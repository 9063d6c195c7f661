"""Sales with the versions of their customers and products that were valid then."""

from datetime import datetime
from itertools import product
from pathlib import Path

import pytest
from engines import Engine
from pipeline_runs import Project

PIPELINE = """
[sources.customers]
path = "customers_{date}.csv"
history = true
[sources.products]
history = true
"""
HEADER = "customer_id,first_name,last_name,email,phone,address,segment,registration_date\n"
DAYS = ("2024-01-10", "2024-02-10", "2024-03-10")
SALES = [
    {"transaction_id": f"{customer}{day}", "customer_id": customer, "product_id": "P1",
     "quantity": "1", "unit_price": "5", "transaction_date": day}
    for customer, day in product(
        ("A", "B", "X"),
        ("2024-01-09 23:59:59", "2024-01-10 00:00:00", "2024-02-09 23:59:59", "2024-02-10 00:00:00",
         "2024-03-09 12:00:00", "2024-03-10 00:00:00", "2024-05-01 00:00:00"),
    )
]  # fmt: skip
# By customer, on which day which name was delivered; none: the customer was gone.
STATES = {"A": ("Ann", "Anna", "Annabel"), "B": ("Bob", "", "Bert"), "X": ("", "", "")}


@pytest.fixture
def project(tmp_path: Path, every_engine: Engine) -> Project:
    project = Project(
        tmp_path / "p", LOG_LEVEL="CRITICAL", MAX_REMOVED_RATE="1", MIN_ROWS_RATE="0",
        PIPELINE_FILE=str(tmp_path / "p" / "pipeline.toml"),
    )  # fmt: skip
    (project.folder / "pipeline.toml").write_text(PIPELINE, "utf-8")
    return project


def name_then(customer: str, moment: datetime) -> str | None:
    """The name that was delivered on the last day up to a moment, as slowly as can be."""
    found = ""
    for day, name in zip(DAYS, STATES[customer], strict=True):
        if datetime.fromisoformat(day) <= moment:
            found = name
    return f"{found} Lee" if found else None


def test_each_sale_has_the_version_of_its_day(project: Project) -> None:
    project.write(products=[{"product_id": "P1", "price": "5"}], sales=SALES)
    accept = [word for name in ("customers", "products", "sales") for word in ("--accept", name)]
    for number, day in enumerate(DAYS):
        lines = [f"{c},{names[number]},Lee,,,,,\n" for c, names in STATES.items() if names[number]]
        path = project.input / f"customers_{day.replace('-', '')}.csv"
        path.write_text(HEADER + "".join(lines), "utf-8")
        project.run("--date", day, *accept)
    project.run("--start-date", "2024-01-01", "--end-date", "2024-12-31", "--skip", "customers",
                *accept)  # fmt: skip
    columns = "transaction_id, customer_id, transaction_date, customer_name"
    rows = project.query(f"SELECT {columns} FROM sales_customer_then ORDER BY transaction_id")
    assert rows == [
        (key, customer, moment, name_then(customer, moment)) for key, customer, moment, _ in rows
    ]
    assert len(rows) == len(SALES)
    both = project.query(f"SELECT {columns} FROM sales_then ORDER BY transaction_id")
    assert both == rows
    assert project.query("SELECT count(product_version_id) FROM sales_product_then") == [(0,)]
