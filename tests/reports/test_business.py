"""The figures of the sales that a run keeps for the page."""

import json
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from itertools import product as product_of
from pathlib import Path
from typing import Any

import pytest
from pipeline_runs import Project, write_customers, write_products, write_sales

from etl.engines.database import DatabaseManager
from etl.engines.engine import Access
from etl.reports.business import BUSINESS, business_figures
from etl.reports.business_charts import business_of, read_business
from etl.reports.dashboard import dashboard


def customer(key: str, segment: str) -> dict[str, str]:
    return {
        "customer_id": key, "first_name": "Ann", "last_name": "Lee", "email": "a@example.com",
        "phone": "555-606-2670", "address": "Mill Court 43", "segment": segment,
        "registration_date": "2020-07-22",
    }  # fmt: skip


def product(key: str, category: str) -> dict[str, str]:
    return {
        "product_id": key, "name": "Lamp", "category": category, "brand": "B", "model": "M",
        "price": "60.00", "cost": "20.00", "quantity": "12", "warehouse": "W",
    }  # fmt: skip


def sale(number: int, customer_id: str, product_id: str, day: str) -> dict[str, str]:
    return {
        "transaction_id": f"T{number}", "customer_id": customer_id, "product_id": product_id,
        "quantity": str(number), "unit_price": "10.05", "discount_amount": "0.05",
        "transaction_date": day, "sales_rep_id": "R1",
    }  # fmt: skip


SALES = [
    sale(1, "C1", "P1", "2022-11-30"),  # older than 13 months: not shown, but C1 is known
    sale(2, "C1", "P1", "2023-12-31 23:59:59"),
    sale(3, "C2", "P2", "2023-12-31"),
    sale(4, "C1", "P2", "2024-01-01"),
    sale(5, "C2", "P9", "2024-01-20 10:00:00"),
    sale(6, "C3", "P1", "2024-01-20 11:00:00"),
    sale(7, "C3", "P1", "2099-01-01"),  # an error of the source
]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, LOG_LEVEL="CRITICAL")
    write_customers(project.input, [customer("C1", "premium"), customer("C2", "basic")])
    write_products(project.input, [product("P1", "Electronics"), product("P2", "Books")])
    write_sales(project.input, SALES)
    return project


def kept(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.output / BUSINESS).read_text("utf-8"))
    return found


def amount(number: int) -> Decimal:
    return number * Decimal("10.05") - Decimal("0.05")


@pytest.mark.usefixtures("every_engine")
def test_revenue_by_day_month_category_and_segment_are_sums_of_the_sales(project: Project) -> None:
    summary = project.run()
    figures = kept(project)
    assert figures["run_id"] == summary["run_id"]
    assert figures["until"] == "2024-01-20"
    days: dict[str, Decimal] = defaultdict(Decimal)
    for number, each in enumerate(SALES[1:6], start=2):
        days[each["transaction_date"][:10]] += amount(number)
    assert {day: Decimal(money) for day, money, _ in figures["days"]} == days
    assert [(month, Decimal(money), sales) for month, money, sales, _, _ in figures["months"]] == [
        ("2023-12", amount(2) + amount(3), 2), ("2024-01", amount(4) + amount(5) + amount(6), 3),
    ]  # fmt: skip
    categories = {name: Decimal(money) for name, money, _ in figures["categories"]}
    assert categories["Books"] == amount(3) + amount(4)
    assert categories["unknown"] == amount(5)
    assert sum(categories.values()) == sum(days.values())
    assert sum(Decimal(money) for _, money, _ in figures["segments"]) == sum(days.values())


@pytest.mark.usefixtures("every_engine")
def test_a_customer_is_new_in_the_month_of_the_first_sale_and_then_returning(
    project: Project,
) -> None:
    project.run()
    customers = {month: (new, returning) for month, _, _, new, returning in kept(project)["months"]}
    assert customers == {"2023-12": (1, 1), "2024-01": (1, 2)}


EARLIER = [sale(8, "C1", "P1", "2023-03-05"), sale(9, "C2", "P2", "2023-05-06")]
PARTS = {"customers", "categories", "segments"}


def counted_anew(project: Project) -> dict[str, Any]:
    with DatabaseManager(project.connection_string, access=Access(read_only=True)) as db:
        return business_figures(db)


def reused(project: Project) -> set[tuple[int, str]]:
    """Run; return which figures the run has taken over: of which span, marked to be recognised.

    The spans are the months before the last two together, then these.
    """
    path, figures = project.output / BUSINESS, kept(project)
    for parts in figures["spans"].values():
        for rows in parts.values():
            rows.insert(0, ["marked", "0", 0])
    path.write_text(json.dumps(figures))
    project.run("--start-date", "2023-01-01", "--end-date", "2024-01-31")
    figures = kept(project)
    taken = {
        (place, name)
        for place, parts in enumerate(figures["spans"].values())
        for name, rows in parts.items()
        if rows[:1] == [["marked", "0", 0]]
    }
    for name in ("categories", "segments"):
        figures[name] = [row for row in figures[name] if row[0] != "marked"]
    anew = counted_anew(project)
    shown = ("until", "days", "months", "categories", "segments")
    assert {name: figures[name] for name in shown} == {name: anew[name] for name in shown}
    return taken


def figures_of(spans: Iterable[int], without: str = "") -> set[tuple[int, str]]:
    return set(product_of(spans, PARTS - {without}))


def test_months_are_counted_again_only_when_something_of_them_has_changed(
    project: Project,
) -> None:
    sales = SALES + EARLIER
    write_sales(project.input, sales)
    project.run()
    write_sales(project.input, sales := [*sales, sale(10, "C2", "P1", "2024-01-21")])
    assert reused(project) == figures_of([0, 1])
    write_customers(project.input, [customer("C1", "basic"), customer("C2", "basic")])
    assert reused(project) == figures_of([0, 1, 2], without="segments")
    write_products(project.input, [product("P1", "Books"), product("P2", "Books")])
    assert reused(project) == figures_of([0, 1, 2], without="categories")
    write_sales(project.input, sales := [*sales, sale(11, "C2", "P1", "2023-06-07")])
    assert reused(project) == figures_of([1, 2])
    write_sales(project.input, sales := [*sales, sale(12, "C2", "P1", "2023-12-30")])
    assert reused(project) == figures_of([0, 2])
    moved = [sale(8, "C1", "P1", "2024-01-06") if each in EARLIER[:1] else each for each in sales]
    write_sales(project.input, moved)
    assert reused(project) == set()


def test_figures_that_are_not_those_of_the_last_run_are_not_taken_over(project: Project) -> None:
    write_sales(project.input, SALES + EARLIER)
    project.run()
    first = kept(project)
    project.run("--no-skip")
    (project.output / BUSINESS).write_text(json.dumps(first))
    assert reused(project) == set()


@pytest.mark.parametrize("damage", [None, [], {"span": 7}, {"customers": [[1, 2]]}])
def test_figures_that_somebody_has_damaged_are_counted_again(
    project: Project, damage: object
) -> None:
    project.run()
    figures = kept(project)
    (project.output / BUSINESS).write_text(json.dumps({**figures, "spans": damage}))
    project.run("--no-skip")
    assert kept(project) == {**figures, "run_id": kept(project)["run_id"]}


def test_without_a_sale_the_page_has_no_figures_of_sales(project: Project) -> None:
    write_sales(project.input, [])
    project.run()
    page = (project.output / "dashboard.html").read_text("utf-8")
    assert 'id="business"' not in page


def test_the_page_of_a_run_shows_them(project: Project) -> None:
    project.run()
    page = (project.output / "dashboard.html").read_text("utf-8")
    assert 'id="business"' in page
    assert f"{amount(3) + amount(4):,.2f}" in page


def test_a_run_that_cannot_keep_them_is_loaded_all_the_same(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    (project.output / BUSINESS).mkdir(parents=True)
    assert project.run()["status"] == "success"
    assert "the page has no new figures of the sales" in caplog.text


WHOLE = {
    "until": "2024-01-20", "days": [["2024-01-20", "1.00", 1]],
    "months": [["2024-01", "1.00", 1, 1, 0]], "categories": [], "segments": [],
}  # fmt: skip


@pytest.mark.parametrize(
    "damage",
    [
        {"until": "soon"}, {"until": None}, {"days": None}, {"days": [[]]}, {"months": []},
        {"months": [["2024-01", "NaN", 1, 1, 0]]}, {"months": [["2024-01", "1e999", 1, 1, 0]]},
        {"months": [["2024-01", {}, 1, 1, 0]]}, {"categories": 7},
        {"segments": [[1, 2, 3, 4, 5, 6]]},
        {"days": [["someday", "1.00", 1]]}, {"days": [["9999-12-31", "1.00", 1]]},
    ],
)  # fmt: skip
def test_damaged_figures_are_left_out_and_never_raise(damage: dict[str, Any]) -> None:
    business = business_of(WHOLE | damage)
    assert "Nightly ETL" in dashboard([{"run_id": "r1", "status": "success"}], business=business)


@pytest.mark.parametrize("content", ["", "[]", "null", '{"until": "2024-01-20"}', "[" * 100_000])
def test_a_damaged_file_of_figures_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / BUSINESS).write_text(content, encoding="utf-8")
    assert read_business(tmp_path / BUSINESS) is None


def test_whole_figures_are_read_back(tmp_path: Path) -> None:
    (tmp_path / BUSINESS).write_text(json.dumps(WHOLE), encoding="utf-8")
    business = read_business(tmp_path / BUSINESS)
    assert business is not None
    assert business.months[0].revenue == Decimal("1.00")


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_business(tmp_path / BUSINESS) is None
