"""The calendar: a row per day, in whole years from the first sale to the newest."""

from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from etl.engines.database import DatabaseManager
from etl.engines.dialect import quoted
from etl.schema.arrow import arrow_schema
from etl.schema.star import DATE_DIM, SALES_FACT

# Dates of sales beyond these are errors, and no reason for a calendar of a thousand years.
FIRST_YEAR, LAST_YEAR = 1900, 2100
_SATURDAY = 6
_A_DAY = timedelta(days=1)
# English on every machine, whatever its locale.
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

Span = tuple[date | None, date | None]


def spans() -> str:
    """Query for the first sale and the newest, the first day and the last, and how many days."""
    sales, days = quoted(SALES_FACT.name), quoted(DATE_DIM.name)
    return f"""SELECT (SELECT min("transaction_date") FROM {sales}),
    (SELECT max("transaction_date") FROM {sales}), min("day"), max("day"), count(*)
FROM {days};"""  # noqa: S608  # names of ours


def clear_calendar() -> str:
    """Remove all days."""
    return f"DELETE FROM {quoted(DATE_DIM.name)};"  # noqa: S608  # a name of ours


def fill_calendar(db: DatabaseManager) -> int:
    """Let the calendar reach over all sales, and no further; return how many days were written.

    It depends on the sales alone, not on the order in which they came.

    Args:
        db: the open warehouse.
    """
    first_sale, newest_sale, first, last, count = db.query(spans())[0]
    wanted = calendar_span(first_sale, newest_sale)
    if (wanted, days_in(wanted)) == ((first, last), count):
        return 0
    with db.transaction():
        db.execute(clear_calendar())
        db.append(DATE_DIM, calendar(wanted))
    return days_in(wanted)


def calendar_span(first_sale: datetime | None, newest_sale: datetime | None) -> Span:
    """Return the first day and the last of a calendar over these sales; none without a sale.

    Example:
        >>> calendar_span(datetime(2023, 5, 1), datetime(2024, 1, 20, 9, 30))
        (datetime.date(2023, 1, 1), datetime.date(2024, 12, 31))
    """
    if first_sale is None or newest_sale is None:
        return (None, None)
    first, last = (min(max(s.year, FIRST_YEAR), LAST_YEAR) for s in (first_sale, newest_sale))
    return date(first, 1, 1), date(last, 12, 31)


def days_in(span: Span) -> int:
    """Return how many days a span has.

    Example:
        >>> days_in((date(2024, 1, 1), date(2024, 12, 31)))
        366
    """
    first, last = span
    return (last - first).days + 1 if first and last else 0


def calendar(span: Span) -> pa.RecordBatch:
    """Return the days of a span as rows of `date_dim`."""
    first, count = span[0], days_in(span)
    rows = [calendar_day(first + n * _A_DAY) for n in range(count)] if first else []
    return pa.RecordBatch.from_pylist(rows, arrow_schema(DATE_DIM.columns))


def calendar_day(day: date) -> dict[str, Any]:
    """Return a day as a row of `date_dim`.

    Example:
        >>> found = calendar_day(date(2024, 12, 31))
        >>> found["day_name"], found["week"], found["week_year"], found["is_month_end"]
        ('Tuesday', 1, 2025, True)
    """
    week_year, week, weekday = day.isocalendar()
    return {
        "day": day,
        "date_key": day.year * 10_000 + day.month * 100 + day.day,
        "year": day.year,
        "quarter": (day.month + 2) // 3,
        "month": day.month,
        "month_name": _MONTHS[day.month - 1],
        "year_month": f"{day.year}-{day.month:02}",
        "week": week,
        "week_year": week_year,
        "day_of_month": day.day,
        "day_of_year": day.timetuple().tm_yday,
        "day_of_week": weekday,
        "day_name": _WEEKDAYS[weekday - 1],
        "is_weekend": weekday >= _SATURDAY,
        "is_month_end": (day + _A_DAY).day == 1,
    }
