"""The part of the page that shows what was sold: figures of `etl.reports.business` as charts."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from markupsafe import Markup

from etl.reports.charts import Axis, Column, axis_for, columns, share_bar
from etl.reports.page import shortened
from etl.reports.trends import Chart
from etl.words import count_words

_MOST_DAYS = 60
_MOST_ITEMS = 100
_SHORT_NAME = 40
_FEWEST_COLUMNS = 2
_HEIGHT = 110
_LARGEST = 10**15
_KILO = 1000.0
_UNITS = ("", " k", " M", " bn")


@dataclass(frozen=True)
class Amount:
    """What was sold in a day, a month or a group.

    Attributes:
        new: customers who bought for the first time; returning: all others.
    """

    name: str
    revenue: Decimal
    sales: int
    new: int = 0
    returning: int = 0


@dataclass(frozen=True)
class Business:
    """The figures of the sales, as the page shows them."""

    until: date
    days: tuple[Amount, ...]
    months: tuple[Amount, ...]
    categories: tuple[Amount, ...]
    segments: tuple[Amount, ...]
    run_id: str = ""


def read_business(path: Path) -> Business | None:
    """Read the figures back; None when there are none, or when the file is damaged."""
    try:
        return business_of(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return None


def business_of(known: Any) -> Business | None:
    """Take the figures out of what JSON has of them; None when they are not whole.

    Example:
        >>> business_of({"until": "2024-01-20"}) is None
        True
    """
    parts = ("days", "months", "categories", "segments")
    try:
        amounts = {name: tuple(map(_amount, known[name][:_MOST_ITEMS])) for name in parts}
        until, run_id = date.fromisoformat(known["until"]), str(known.get("run_id", ""))
        for day in amounts["days"]:
            date.fromisoformat(day.name)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError):
        return None
    business = Business(until, run_id=run_id, **amounts)
    return business if amounts["months"] else None


def _amount(row: Sequence[Any]) -> Amount:
    name, revenue, *counts = row
    amount = Decimal(revenue)
    if not amount.is_finite() or abs(amount) > _LARGEST:
        raise ValueError("no amount of money")
    return Amount(shortened(str(name), _SHORT_NAME), amount, *map(int, counts))


@dataclass(frozen=True)
class Share:
    """A group with its part of the whole."""

    amount: Amount
    share: float
    bar: Markup


def shares(amounts: Sequence[Amount]) -> list[Share]:
    """Return groups with their part of all revenue, as bars beside their figures."""
    whole = float(sum(each.revenue for each in amounts)) or 1.0
    parts = [(each, max(0.0, float(each.revenue) / whole)) for each in amounts]
    return [Share(each, part, share_bar([("f-plain", min(part, 1.0))])) for each, part in parts]


def business_charts(business: Business) -> list[Chart]:
    """Return revenue by day and by month, and the customers of each month, as columns."""
    charts = [
        _revenue("Revenue by day", _every_day(business)),
        _revenue("Revenue by month", business.months),
        _by_customers(business.months),
    ]
    return [chart for chart in charts if chart is not None]


def _every_day(business: Business) -> list[Amount]:
    """The days up to the newest sale, those without a sale too."""
    known = {each.name: each for each in business.days}
    first = min(known, default=business.until.isoformat())
    count = min((business.until - date.fromisoformat(first)).days + 1, _MOST_DAYS)
    days = [business.until - timedelta(days=back) for back in reversed(range(count))]
    return [known.get(str(day), Amount(str(day), Decimal(0), 0)) for day in days]


def _revenue(title: str, amounts: Sequence[Amount]) -> Chart | None:
    if len(amounts) < _FEWEST_COLUMNS:
        return None
    bars = [
        Column(
            each.name, (max(0.0, float(each.revenue)),),
            f"{each.name}: {money_words(each.revenue)}, {count_words(each.sales)} sales",
        )
        for each in amounts
    ]  # fmt: skip
    best = max(amounts, key=lambda each: each.revenue)
    words = f"best {best.name}: {money_words(best.revenue)}"
    axis = _axis(bars, f"{title} from {amounts[0].name} to {amounts[-1].name}, {words}")
    return Chart(title, words, columns(bars, axis, colours=["f-plain"]))


def _by_customers(months: Sequence[Amount]) -> Chart | None:
    if len(months) < _FEWEST_COLUMNS:
        return None
    bars = [
        Column(
            each.name, (each.returning, each.new),
            f"{each.name}: {count_words(each.new)} new, {count_words(each.returning)} returning",
        )
        for each in months
    ]  # fmt: skip
    last = months[-1]
    words = f"{last.name}: {count_words(last.new)} new, {count_words(last.returning)} returning"
    axis = _axis(bars, f"New and returning customers by month, {words}")
    picture = columns(bars, axis, colours=["f-unchanged", "f-inserted"])
    keys = (("f-inserted", "new"), ("f-unchanged", "returning"))
    return Chart("New and returning customers", words, picture, keys)


def _axis(bars: Iterable[Column], summary: str) -> Axis:
    heights = [sum(bar.parts) for bar in bars]
    return axis_for(heights, short_words, summary=summary, height=_HEIGHT)


def money_words(amount: Decimal) -> str:
    """Return an amount to the cent.

    Example:
        >>> money_words(Decimal("1234567.5"))
        '1,234,567.50'
    """
    return f"{amount:,.2f}"


def short_words(value: float) -> str:
    """Return a large amount for an axis.

    Example:
        >>> [short_words(value) for value in (0, 950, 1500, 2_000_000)]
        ['0', '950', '1.5 k', '2 M']
    """
    unit = 0
    while value >= _KILO and unit < len(_UNITS) - 1:
        value, unit = value / _KILO, unit + 1
    return f"{value:.3g}{_UNITS[unit]}"
