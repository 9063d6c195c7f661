"""What the sales in the warehouse say: revenue by day, month, category and segment, customers.

A run asks for the figures at its end, when the warehouse is open, and keeps them in a small file
beside the page.
"""

import json
from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from etl.engines.database import DatabaseManager
from etl.engines.dialect import quoted
from etl.files import write_atomically
from etl.history.runs import utc_now
from etl.schema.star import CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT
from etl.schema.table import Table

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
# Each once, then counted: distinct ones are counted by sorting on some servers. A month at a time,
# which is a span of the index: joined with the calendar it was the slowest query of a run on some.
_BUYERS = f"""SELECT COUNT(*) FROM (
SELECT DISTINCT s."customer_id" FROM {_FACT} s WHERE {_SPAN}) b;"""
# So many of the last months are counted one by one, and those before them together: each span only
# when something of it has changed.
_ALONE = 2

# By name, an amount and a number.
Groups = dict[str | None, tuple[Decimal, int]]


def _buyers(db: DatabaseManager, span: Span) -> Groups:
    """By month, how many customers bought something; of a span that begins with a month."""
    start, end = span
    months = [month for month in _months((end - timedelta(days=1)).date()) if month[0] >= start]
    counts = {f"{first:%Y-%m}": int(db.value(_BUYERS, (first, min(after, end))))
              for first, after in months}  # fmt: skip
    return {month: (Decimal(0), count) for month, count in counts.items() if count}


@dataclass(frozen=True)
class _ByGroup:
    """Sales by a column of a table that they name with a key."""

    table: Table
    key: str
    column: str

    def __call__(self, db: DatabaseManager, span: Span) -> Groups:
        shown = f'd."{self.column}"'
        query = f"""SELECT {shown}, {_AMOUNTS} FROM {_FACT} s
LEFT JOIN {quoted(self.table.name)} d ON d."{self.key}" = s."{self.key}" WHERE {_SPAN}
GROUP BY {shown};"""
        return {name: (money, int(count)) for name, money, count in db.query(query, span)}


# What is counted of a span, and the column of another table that it follows.
_PARTS: Mapping[str, tuple[Callable[[DatabaseManager, Span], Groups], tuple[Table, str] | None]] = {
    "customers": (_buyers, None),
    "categories": (_ByGroup(PRODUCT_DIM, "product_id", "category"), (PRODUCT_DIM, "category")),
    "segments": (_ByGroup(CUSTOMER_DIM, "customer_id", "segment"), (CUSTOMER_DIM, "segment")),
}


@dataclass(frozen=True)
class Before:
    """The figures of the last run, where all that was written since is known.

    Attributes:
        figures: as they were kept.
        run_id: of this run.
        since: from this moment on its rows were written, UTC; no others were, and none removed.
    """

    figures: Mapping[str, Any]
    run_id: str
    since: datetime


def business_figures(db: DatabaseManager, before: Before | None = None) -> dict[str, Any]:
    """Ask the warehouse for the figures of the last 13 months up to the newest sale.

    Args:
        db: the open warehouse, its calendar filled.
        before: what need not be counted again.

    Returns:
        What JSON can hold: `until`, `days`, `months`, `categories`, `segments`; amounts are text.
        `spans` is for the next run. Empty when there is no sale.
    """
    newest = db.value(_NEWEST, (utc_now() + timedelta(days=1),))
    if newest is None:
        return {}
    until = newest.date()
    months = list(_months(until))
    end = datetime.combine(until + timedelta(days=1), time())
    spans = _counted(db, _spans(months, end), before)
    found = {name: _total(span[name] for span in spans.values()) for name in _PARTS}
    days = [(_day(day), *rest) for day, *rest in db.query(_BY_DAY, (months[0][0], end))]
    return {
        "until": until.isoformat(),
        "days": [[str(day), str(money), sales] for day, money, sales, _ in sorted(days)[-_DAYS:]],
        "months": _by_month(days, months, found["customers"]),
        "categories": _largest(found["categories"]),
        "segments": _largest(found["segments"]),
        "spans": {
            _text(span): {name: _as_rows(groups) for name, groups in parts.items()}
            for span, parts in spans.items()
        },
    }


def _spans(months: Sequence[Span], end: datetime) -> list[Span]:
    """The months before the last ones together, then these one by one, up to the end."""
    alone = [first for first, _ in months[-_ALONE:]]
    return list(pairwise([months[0][0], *alone, end]))


def _total(parts: Iterable[Groups]) -> Groups:
    total: Groups = {}
    for groups in parts:
        for name, (money, count) in groups.items():
            known, number = total.get(name, (Decimal(0), 0))
            total[name] = known + money, number + count
    return total


def _text(span: Span) -> str:
    return " to ".join(map(str, span))


def _as_rows(groups: Groups) -> list[list[Any]]:
    return [[name, str(money), count] for name, (money, count) in groups.items()]


# --- what was counted before -----------------------------------------------------------------

_LAST_CHECKED = 'SELECT max("run_id") FROM "etl_quality" WHERE "run_id" < ?;'
_TOUCHED = f"""SELECT count(*) FROM {_FACT} s WHERE s."updated_date" >= ? AND {_SPAN};"""
_CHANGED = """SELECT count(*) FROM "etl_column_change"
WHERE "run_id" >= ? AND "table_name" = ? AND "column_name" = ?;"""


def _counted(
    db: DatabaseManager, spans: Iterable[Span], before: Before | None
) -> dict[Span, dict[str, Groups]]:
    """The figures of spans: those of the run before, where they are still right."""
    usable = before if before and _follows(db, before) else None
    return {span: _figures_of(db, span, usable) for span in spans}


def _figures_of(db: DatabaseManager, span: Span, before: Before | None) -> dict[str, Groups]:
    usable = before if before and not db.value(_TOUCHED, (before.since, *span)) else None
    return {
        name: (usable and _known(db, name, usable, span)) or counted(db, span)
        for name, (counted, _) in _PARTS.items()
    }


def _follows(db: DatabaseManager, before: Before) -> bool:
    """Whether the figures are those of the last run, and no sale has moved in time since."""
    if before.figures.get("run_id") != db.value(_LAST_CHECKED, (before.run_id,)):
        return False
    return not _has_changed(db, before, SALES_FACT, "transaction_date")


def _has_changed(db: DatabaseManager, before: Before, table: Table, column: str) -> bool:
    return bool(db.value(_CHANGED, (before.run_id, table.name, column)))


def _known(db: DatabaseManager, name: str, before: Before, span: Span) -> Groups | None:
    follows = _PARTS[name][1]
    if follows and _has_changed(db, before, *follows):
        return None
    try:
        rows = before.figures["spans"][_text(span)][name]
        return {group: (Decimal(money), int(count)) for group, money, count in rows}
    except (KeyError, TypeError, ValueError, ArithmeticError):  # somebody has edited them
        return None


# --- as they are shown -----------------------------------------------------------------------


def _day(value: Any) -> date:
    return value.date() if isinstance(value, datetime) else value


def _months(until: date) -> Iterator[Span]:
    """The first moments of each month and of the next, oldest first."""
    last = until.year * 12 + until.month - 1
    for number in range(last - _MONTHS + 1, last + 1):
        first = date(number // 12, number % 12 + 1, 1)
        after = first + timedelta(days=monthrange(first.year, first.month)[1])
        yield datetime.combine(first, time()), datetime.combine(after, time())


def _by_month(
    days: Sequence[Sequence[Any]],
    months: Sequence[Span],
    customers: Groups,
) -> list[list[Any]]:
    found = []
    for start, end in months:
        month = f"{start:%Y-%m}"
        within = [day for day in days if start.date() <= day[0] < end.date()]
        money, sales, new = (sum(day[place] for day in within) for place in (1, 2, 3))
        _, buyers = customers.get(month, (0, 0))
        returning = max(0, buyers - int(new))
        found.append([month, str(money), sales, int(new), returning])
    first = next((place for place, month in enumerate(found) if month[2]), 0)
    return found[first:]


def _largest(groups: Groups) -> list[list[Any]]:
    rows = [(name, money, count) for name, (money, count) in groups.items()]
    rows.sort(key=lambda row: (-row[1], row[0] or ""))
    shown = [[name or _NO_GROUP, str(money), sales] for name, money, sales in rows[:_MOST_GROUPS]]
    rest = rows[_MOST_GROUPS:]
    if rest:
        money, sales = sum(row[1] for row in rest), sum(row[2] for row in rest)
        shown.append([f"{len(rest)} more", str(money), sales])
    return shown


def kept_business(path: Path) -> dict[str, Any]:
    """Return what the last run has kept; nothing where it cannot be read."""
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def write_business(path: Path, figures: Mapping[str, Any], run_id: str) -> None:
    """Keep the figures for the page.

    Raises:
        OSError: the file cannot be written.
    """
    write_atomically(path, json.dumps({"run_id": run_id, **figures}) + "\n")
