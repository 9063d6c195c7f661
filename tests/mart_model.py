"""Each mart computed slowly and plainly from the rows of the star, as a model for the SQL files."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

Row = dict[str, Any]
Star = dict[str, list[Row]]
Rows = list[tuple[Any, ...]]


def rounded(number: Fraction, places: int) -> Decimal:
    """Half away from zero."""
    scaled = number * 10**places
    sign = -1 if scaled < 0 else 1
    return Decimal(sign * int(abs(scaled) + Fraction(1, 2))).scaleb(-places)


def quotient(x: Any, y: Any, places: int) -> Decimal | None:
    return rounded(Fraction(x) / Fraction(y), places) if y else None


def total(values: Iterable[Any]) -> Any:
    """As SQL adds: what is unknown is left out, and of nothing else the sum is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def day_of(sale: Row) -> date:
    day: date = sale["transaction_date"].date()
    return day


def month_of(sale: Row) -> date:
    return day_of(sale).replace(day=1)


def is_order(sale: Row) -> bool:
    return bool(sale["quantity"] > 0)


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def daily_revenue(star: Star) -> Rows:
    return [
        (
            day, sum(map(is_order, sales)), sum(s["quantity"] for s in sales),
            total(s["total_amount"] for s in sales), total(s["profit_amount"] for s in sales),
            sum(s["customer_status"] == "First-time" for s in sales),
        )
        for day, sales in grouped(star["sales_fact"], day_of).items()
    ]  # fmt: skip


def monthly_active_customers(star: Star) -> Rows:
    orders = filter(is_order, star["sales_fact"])
    return [
        (month, len({s["customer_id"] for s in sales}))
        for month, sales in grouped(orders, month_of).items()
    ]


def customer_value(star: Star) -> Rows:
    return list(map(_value, _customers(star).items()))


def _customers(star: Star) -> dict[str, list[Row]]:
    groups = grouped(star["sales_fact"], lambda sale: sale["customer_id"])
    return {who: sales for who, sales in groups.items() if any(map(is_order, sales))}


def _value(customer: tuple[str, list[Row]]) -> tuple[Any, ...]:
    who, sales = customer
    orders = [sale for sale in sales if is_order(sale)]
    first, last = min(map(day_of, orders)), max(map(day_of, orders))
    months = max(Fraction((last - first).days) / Fraction("30.4375"), Fraction(1))
    average = quotient(total(s["total_amount"] for s in sales), len(orders), 2)
    rate = rounded(Fraction(len(orders)) / months, 4)
    assert average is not None
    lifetime = (average * rate * 36).quantize(Decimal("0.01"), ROUND_HALF_UP)
    items = quotient(sum(s["quantity"] for s in sales), len(orders), 2)
    return who, len(orders), average, rate, lifetime, first, last, items


def cohorts(star: Star) -> Rows:
    found: dict[tuple[date, date], list[Row]] = defaultdict(list)
    for sales in _customers(star).values():
        cohort = min(map(month_of, filter(is_order, sales)))
        for sale in sales:
            found[cohort, month_of(sale)].append(sale)
    return [
        (*months, len({s["customer_id"] for s in sales if is_order(s)}),
         total(s["total_amount"] for s in sales))
        for months, sales in found.items()
    ]  # fmt: skip


def product_performance(star: Star) -> Rows:
    sold = grouped(star["sales_fact"], lambda sale: sale["product_id"])
    return [
        _product(product, sold.get(product["product_id"], [])) for product in star["product_dim"]
    ]


def _product(product: Row, sales: list[Row]) -> tuple[Any, ...]:
    orders, days = [sale for sale in sales if is_order(sale)], [day_of(sale) for sale in sales]
    items, revenue = sum(s["quantity"] for s in sales), sum(s["total_amount"] for s in sales)
    profit = total(s["profit_amount"] for s in sales)
    return (
        product["product_id"], product["name"], product["category"], product["brand"],
        len(orders), len({s["customer_id"] for s in orders}), items, Decimal(revenue),
        Decimal(sum(s["discount_amount"] for s in sales)), profit,
        None if profit is None else quotient(profit, revenue, 4), quotient(revenue, items, 2),
        min(days, default=None), max(days, default=None),
    )  # fmt: skip


def sales_wide(star: Star) -> Rows:
    customers = {row["customer_id"]: row for row in star["customer_dim"]}
    products = {row["product_id"]: row for row in star["product_dim"]}
    wide = []
    for sales in grouped(star["sales_fact"], lambda sale: sale["customer_id"]).values():
        ordered = sorted(sales, key=lambda s: (s["transaction_date"], s["transaction_id"]))
        for place, sale in enumerate(ordered):
            customer, product = customers[sale["customer_id"]], products[sale["product_id"]]
            wide.append(_wide(sale, customer, product, before=ordered[:place], all_sales=ordered))
    return wide


def _wide(
    sale: Row, customer: Row, product: Row, *, before: list[Row], all_sales: list[Row]
) -> tuple[Any, ...]:
    day = day_of(sale)

    def since(other: date | None) -> int | None:
        return None if other is None else (day - other).days

    return (
        sale["transaction_id"], sale["transaction_date"], day, month_of(sale),
        sale["customer_id"], customer["name"], customer["segment"], customer["registration_date"],
        since(customer["registration_date"]),
        since(min(map(day_of, filter(is_order, all_sales)), default=None)),
        since(max(map(day_of, filter(is_order, before)), default=None)),
        sum(map(is_order, before)) + is_order(sale), sale["customer_status"],
        sale["product_id"], product["name"], product["category"], product["brand"],
        product["price_category"],
        *(sale[name] for name in (
            "quantity", "unit_price", "discount_amount", "total_amount", "profit_amount",
            "profit_margin", "commission", "value_tier", "sales_rep_id")),
    )  # fmt: skip


MODEL: dict[str, Callable[[Star], Rows]] = {
    each.__name__: each
    for each in (daily_revenue, monthly_active_customers, customer_value, cohorts,
                 product_performance, sales_wide)
}  # fmt: skip
