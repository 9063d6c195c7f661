"""What the sales in the warehouse say: revenue by day, month, category and segment, customers.

A run asks for the figures at its end, when the warehouse is open, and keeps them in a small file
beside the page.
"""

import json
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from etl.engines.database import DatabaseManager
from etl.engines.dialect import quoted
from etl.files import write_atomically
from etl.history.runs import utc_now
from etl.schema.tables import CUSTOMER_DIM, DATE_DIM, PRODUCT_DIM, SALES_FACT

BUSINESS = "business.json"

# The first moment of a span, and the first after it.
Span = tuple[datetime, datetime]

_DAYS = 60
_MONTHS = 13
_MOST_GROUPS = 12
_NO_GROUP = "unknown"

_FACT = quoted(SALES_FACT.name)
# Wall clocks run up to 14 hours ahead of UTC; what is dated later is an error of the source.
_NEWEST = f'SELECT max("transaction_date") FROM {_FACT} WHERE "transaction_date" <= ?;'
_SPAN = 's."transaction_date" >= ? AND s."transaction_date" < ?'
_AMOUNTS = 'SUM(s."total_amount"), COUNT(*)'
_BY_DAY = f"""SELECT CAST(s."transaction_date" AS DATE), {_AMOUNTS},
SUM(CASE WHEN s."customer_status" = 'First-time' THEN 1 ELSE 0 END)
FROM {_FACT} s WHERE {_SPAN} GROUP BY CAST(s."transaction_date" AS DATE);"""
# Each once, then counted: distinct ones are counted by sorting on some servers.
_BUYERS = f"""SELECT b."year_month", COUNT(*) FROM (
SELECT DISTINCT d."year_month", s."customer_id"
FROM {_FACT} s JOIN {quoted(DATE_DIM.name)} d ON d."day" = CAST(s."transaction_date" AS DATE)
WHERE {_SPAN}) b GROUP BY b."year_month";"""


def business_figures(db: DatabaseManager) -> dict[str, Any]:
    """Ask the warehouse for the figures of the last 13 months up to the newest sale.

    Args:
        db: the open warehouse, its calendar filled.

    Returns:
        What JSON can hold: `until`, `days`, `months`, `categories`, `segments`; amounts are text.
        Empty when there is no sale.
    """
    newest = db.value(_NEWEST, (utc_now() + timedelta(days=1),))
    if newest is None:
        return {}
    until = newest.date()
    months = list(_months(until))
    span = (months[0][0], datetime.combine(until + timedelta(days=1), time()))
    days = [(_day(day), *rest) for day, *rest in db.query(_BY_DAY, span)]
    return {
        "until": until.isoformat(),
        "days": [[str(day), str(money), sales] for day, money, sales, _ in sorted(days)[-_DAYS:]],
        "months": _by_month(days, months, _customers(db, span)),
        "categories": _by_group(db, PRODUCT_DIM.name, "product_id", "category", span),
        "segments": _by_group(db, CUSTOMER_DIM.name, "customer_id", "segment", span),
    }


def _day(value: Any) -> date:
    return value.date() if isinstance(value, datetime) else value


def _months(until: date) -> Iterator[Span]:
    """The first moments of each month and of the next, oldest first."""
    last = until.year * 12 + until.month - 1
    for number in range(last - _MONTHS + 1, last + 1):
        first = date(number // 12, number % 12 + 1, 1)
        after = first + timedelta(days=monthrange(first.year, first.month)[1])
        yield datetime.combine(first, time()), datetime.combine(after, time())


def _customers(db: DatabaseManager, span: Span) -> dict[str, int]:
    """How many customers bought in each month."""
    return {month: int(buyers) for month, buyers in db.query(_BUYERS, span)}


def _by_month(
    days: Sequence[Sequence[Any]],
    months: Sequence[Span],
    customers: Mapping[str, int],
) -> list[list[Any]]:
    found = []
    for start, end in months:
        month = f"{start:%Y-%m}"
        within = [day for day in days if start.date() <= day[0] < end.date()]
        money, sales, new = (sum(day[place] for day in within) for place in (1, 2, 3))
        returning = max(0, customers.get(month, 0) - int(new))
        found.append([month, str(money), sales, int(new), returning])
    first = next((place for place, month in enumerate(found) if month[2]), 0)
    return found[first:]


def _by_group(
    db: DatabaseManager, table: str, key: str, column: str, span: Span
) -> list[list[Any]]:
    query = f"""SELECT d."{column}", {_AMOUNTS} FROM {_FACT} s
LEFT JOIN {quoted(table)} d ON d."{key}" = s."{key}" WHERE {_SPAN} GROUP BY d."{column}";"""
    rows = sorted(db.query(query, span), key=lambda row: (-row[1], row[0] or ""))
    shown = [[name or _NO_GROUP, str(money), sales] for name, money, sales in rows[:_MOST_GROUPS]]
    rest = rows[_MOST_GROUPS:]
    if rest:
        money, sales = (sum(row[place] for row in rest) for place in (1, 2))
        shown.append([f"{len(rest)} more", str(money), sales])
    return shown


def write_business(path: Path, figures: Mapping[str, Any], run_id: str) -> None:
    """Keep the figures for the page.

    Raises:
        OSError: the file cannot be written.
    """
    write_atomically(path, json.dumps({"run_id": run_id, **figures}) + "\n")
