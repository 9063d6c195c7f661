"""The marts of the program against a slow model, on every engine, built whole and in parts."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from engines import Engine
from hypothesis import given, settings
from hypothesis import strategies as st
from mart_model import MODEL, Row, Star

from data_loading import load_customers, load_products, load_sales
from etl.engines.database import DatabaseManager
from etl.engines.dialect import select_all
from etl.engines.registry import ENGINES
from etl.history.audit import next_run_id
from etl.history.mart_outcomes import BUILT, CURRENT, UPDATED, MartOutcome
from etl.history.runs import utc_now
from etl.marts.build import Builder
from etl.marts.plan import MartPlan, plan_marts
from etl.schema.star import SALES_FACT, STAR_TABLES
from etl.schema.table import Table
from etl.warehouse.tables import create_tables

pytestmark = pytest.mark.usefixtures("every_engine")

EXAMPLES = int(os.environ.get("HISTORIES", "4"))


@pytest.fixture(scope="module")
def db(every_engine: Engine) -> Iterator[DatabaseManager]:
    server = every_engine.is_server
    connection = every_engine.new_database() if server else "duckdb:///:memory:"
    with DatabaseManager(connection) as manager:
        create_tables(manager)
        yield manager


@cache
def plan_of(engine: str, base_dir: Path) -> MartPlan:
    dialect = next(each.dialect for each in ENGINES if each.dialect.name == engine)
    return plan_marts(base_dir, dialect, STAR_TABLES)


def build(db: DatabaseManager, base_dir: Path = Path("/none")) -> dict[str, MartOutcome]:
    plan = plan_of(db.dialect.name, base_dir)
    outcomes = Builder(db, plan, next_run_id(db, utc_now()), lambda work: work()).build()
    return {outcome.name: outcome for outcome in outcomes}


def statuses(outcomes: dict[str, MartOutcome]) -> dict[str, str]:
    assert not [outcome for outcome in outcomes.values() if outcome.failed]
    return {name: outcome.status for name, outcome in outcomes.items()}


def empty(db: DatabaseManager) -> None:
    """As it was made: no rows, no marts."""
    gone = [table.name for table in reversed(STAR_TABLES)]
    gone += [name for name in ("etl_touched", "etl_mart") if name in db.table_names()]
    for name in gone:
        db.execute(f'DELETE FROM "{name}"')
    for name in MODEL:
        db.execute(f'DROP TABLE IF EXISTS "{name}"')


def rows_of(db: DatabaseManager, table: Table) -> list[Row]:
    return [
        dict(zip(table.names, map(plain, row), strict=True)) for row in db.query(select_all(table))
    ]


def plain(value: Any) -> Any:
    """Numbers by their value: drivers differ in how many zeros they show."""
    return value.normalize() if isinstance(value, Decimal) else value


def assert_as_the_model(db: DatabaseManager) -> None:
    star: Star = {table.name: rows_of(db, table) for table in STAR_TABLES}
    for name, model in MODEL.items():
        found = [tuple(map(plain, row)) for row in db.query(f'SELECT * FROM "{name}"')]
        wanted = [tuple(map(plain, row)) for row in model(star)]
        assert sorted(found, key=repr) == sorted(wanted, key=repr), name


# --- nights ----------------------------------------------------------------------------------

DAYS = [date(2023, 12, 30) + timedelta(days=n) for n in (0, 1, 2, 31, 32, 33, 62, 95)]
cents = st.integers(1, 99_999).map(lambda n: Decimal(n) / 100)


@st.composite
def sale(draw: st.DrawFn) -> Row:
    quantity = draw(st.sampled_from([1, 1, 2, 3, 7, -1]))
    price = draw(cents)
    amount = quantity * price
    return {
        "transaction_id": f"T{draw(st.integers(1, 25))}",
        "customer_id": f"C{draw(st.integers(1, 6))}",
        "product_id": f"P{draw(st.integers(1, 5))}",
        "quantity": quantity, "unit_price": price, "discount_amount": Decimal(0),
        "total_amount": amount, "commission": round(amount * Decimal("0.03"), 2),
        "value_tier": "Low Value" if quantity > 0 else "Return",
        "transaction_date": datetime.combine(draw(st.sampled_from(DAYS)), datetime.min.time())
        + timedelta(hours=draw(st.sampled_from([0, 9, 23]))),
        "sales_rep_id": draw(st.sampled_from(["R1", None])),
    }  # fmt: skip


customer = st.fixed_dictionaries(
    {
        "customer_id": st.integers(1, 7).map("C{}".format),
        "name": st.sampled_from(["Ann Lee", "Bo", None]),
        "segment": st.sampled_from(["Premium", None]),
        "registration_date": st.sampled_from([date(2023, 1, 1), date(2024, 2, 29), None]),
    }
)
product = st.fixed_dictionaries(
    {
        "product_id": st.integers(1, 6).map("P{}".format),
        "name": st.sampled_from(["Lamp", "Chair"]),
        "category": st.sampled_from(["Home", None]),
        "cost": st.one_of(st.none(), cents),
        "quantity": st.integers(0, 9),  # in stock, which no mart of the program reads
    }
)


@dataclass(frozen=True)
class Night:
    """What is loaded, and whether the marts are built after it."""

    sales: Sequence[Row]
    customers: Sequence[Row]
    products: Sequence[Row]
    marts: bool

    def load(self, db: DatabaseManager) -> None:
        for records, load in (
            (self.customers, load_customers), (self.products, load_products),
            (self.sales, load_sales),
        ):  # fmt: skip
            if records:
                load(list(records), db)


nights = st.lists(
    st.builds(
        Night,
        st.lists(sale(), max_size=6),
        st.lists(customer, max_size=2),
        st.lists(product, max_size=2),
        st.booleans(),
    ),
    min_size=2,
    max_size=5,
)


@settings(max_examples=EXAMPLES)
@given(nights)
def test_after_any_nights_each_mart_is_what_a_plain_model_makes_of_the_tables(
    db: DatabaseManager, drawn: list[Night]
) -> None:
    """Sales come late, move between days and customers, become returns; costs and names change."""
    empty(db)
    for night in drawn:
        night.load(db)
        if night.marts:
            build(db)
    statuses(build(db))
    assert_as_the_model(db)


def night(day: date, numbers: range) -> list[Row]:
    """A sale of its own customer for each number."""
    return [
        {
            "transaction_id": f"T{n}", "customer_id": f"C{n}", "product_id": f"P{n}",
            "quantity": 1, "unit_price": Decimal("9.99"), "discount_amount": Decimal(0),
            "total_amount": Decimal("9.99"), "commission": Decimal("0.30"),
            "value_tier": "Low Value", "sales_rep_id": None,
            "transaction_date": datetime.combine(day, datetime.min.time()),
        }
        for n in numbers
    ]  # fmt: skip


def ten_nights() -> list[Row]:
    """Two sales of each day."""
    days = (date(2024, 1, 1) + timedelta(days=n) for n in range(10))
    return [sale for n, day in enumerate(days) for sale in night(day, range(2 * n, 2 * n + 2))]


IN_PARTS = {"customer_value", "daily_revenue", "product_performance", "sales_wide"}


@pytest.fixture
def loaded(db: DatabaseManager) -> DatabaseManager:
    """Ten days with two sales each, and their marts."""
    empty(db)
    load_sales(ten_nights(), db)
    assert set(statuses(build(db)).values()) == {BUILT}
    return db


def test_only_what_was_touched_is_built_anew(loaded: DatabaseManager) -> None:
    moved = {**night(date(2024, 1, 3), range(4, 5))[0], "customer_id": "C9", "quantity": 2,
             "total_amount": Decimal("19.98")}  # fmt: skip
    load_sales([moved], loaded)
    found = statuses(build(loaded))
    assert {name for name, status in found.items() if status == UPDATED} == IN_PARTS
    assert_as_the_model(loaded)


def test_what_nobody_touched_is_left(loaded: DatabaseManager) -> None:
    load_sales(night(date(2024, 1, 1), range(2)), loaded)
    assert set(statuses(build(loaded)).values()) == {CURRENT}


def test_stock_that_no_mart_reads_touches_none(loaded: DatabaseManager) -> None:
    load_products([{"product_id": f"P{n}", "quantity": 7} for n in range(20)], loaded)
    assert set(statuses(build(loaded)).values()) == {CURRENT}


def test_a_changed_name_of_a_product_touches_the_sales_of_it(loaded: DatabaseManager) -> None:
    load_products([{"product_id": "P3", "name": "Lamp"}], loaded)
    found = statuses(build(loaded))
    assert {found.pop("sales_wide"), found.pop("product_performance")} == {UPDATED}
    assert set(found.values()) == {CURRENT}
    assert_as_the_model(loaded)


def test_a_changed_cost_touches_the_profit_of_days(loaded: DatabaseManager) -> None:
    load_products([{"product_id": "P3", "cost": Decimal("1.25")}], loaded)
    assert statuses(build(loaded))["daily_revenue"] == UPDATED
    assert_as_the_model(loaded)


def test_where_most_is_touched_all_is_built_whole(loaded: DatabaseManager) -> None:
    load_sales([{**each, "sales_rep_id": "R1"} for each in ten_nights()], loaded)
    assert statuses(build(loaded))["sales_wide"] == BUILT
    assert_as_the_model(loaded)


def test_what_is_noted_is_forgotten_once_all_marts_have_seen_it(loaded: DatabaseManager) -> None:
    load_sales(night(date(2024, 1, 20), range(30, 32)), loaded)
    assert loaded.value("SELECT count(*) FROM etl_touched") > 0
    build(loaded)
    assert loaded.value("SELECT count(*) FROM etl_touched") == 0


QUOTIENTS = [
    ("0.01", "2", 2, "0.01"), ("-0.01", "2", 2, "-0.01"), ("1", "3", 4, "0.3333"),
    ("2", "-3", 2, "-0.67"), ("0.05", "-2", 2, "-0.03"), ("5", "0", 2, None), ("0", "7", 2, "0"),
    ("999999999999.99", "1", 2, "999999999999.99"),
]  # fmt: skip


def test_quotients_are_rounded_half_away_from_zero(db: DatabaseManager, tmp_path: Path) -> None:
    empty(db)
    load_sales(night(date(2024, 1, 1), range(1)), db)
    (tmp_path / "marts").mkdir()
    columns = ", ".join(
        f"CAST({x} / {y} AS DECIMAL(20, {places})) AS q{n}"
        for n, (x, y, places, _) in enumerate(QUOTIENTS)
    )
    (tmp_path / "marts" / "shares.sql").write_text(f"SELECT {columns} FROM sales_fact")
    assert statuses(build(db, tmp_path))["shares"] == BUILT
    (found,) = db.query('SELECT * FROM "shares"')
    wanted = [plain(text and Decimal(text)) for *_, text in QUOTIENTS]
    assert list(map(plain, found)) == wanted


def test_amounts_at_the_end_of_their_range_are_added_exactly(db: DatabaseManager) -> None:
    empty(db)
    most = Decimal(10) ** 15 - Decimal("0.01")
    sales = [
        {**each, "customer_id": "C1", "unit_price": Decimal(10) ** 9, "total_amount": most}
        for each in night(date(2024, 1, 1), range(9))
    ]
    load_sales(sales, db)
    statuses(build(db))
    assert_as_the_model(db)
    assert SALES_FACT.column("total_amount").precision == 18
