"""Which sales a run reads: a span of wall clocks, both ends included."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from etl.errors import ConfigurationError
from etl.schema.table import Kind, Table


@dataclass(frozen=True)
class Window:
    """First and last instant of the sales that were asked for, both included, as wall clocks."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        if self == EVERYTHING:
            return "all sales"
        if self.end == EVERYTHING.end:
            return f"sales from {self.start:%Y-%m-%d} on"
        if self.start.date() == self.end.date():
            return f"sales of {self.start:%Y-%m-%d}"
        return f"sales of {self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}"


EVERYTHING = Window(
    datetime(1, 1, 1),  # a wall clock has no zone
    datetime(9999, 12, 31, 23, 59, 59, 999999),  # likewise
)


@dataclass(frozen=True)
class Numbers:
    """First and last whole number of the records that were asked for, both included.

    Example:
        >>> print(Numbers(101, EVERY_NUMBER.end))
        records from 101 on
    """

    start: int
    end: int

    def __str__(self) -> str:
        if self == EVERY_NUMBER:
            return "all records"
        return f"records from {self.start} on"


EVERY_NUMBER = Numbers(-(2**63), 2**63 - 1)

# Which records are asked for, by a column of times or of whole numbers.
AnyWindow = Window | Numbers


def counts_up(table: Table) -> bool:
    """Return whether the records of a table are asked for by a column of whole numbers."""
    return bool(table.window) and table.column(table.window).kind in (Kind.INTEGER, Kind.BIGINT)


def everything_of(table: Table) -> AnyWindow:
    """Return the window that holds all records of a table.

    Example:
        >>> from etl.schema.star import SALES_FACT
        >>> everything_of(SALES_FACT) == EVERYTHING
        True
    """
    return EVERY_NUMBER if counts_up(table) else EVERYTHING


def is_everything(window: AnyWindow) -> bool:
    """Return whether a window holds all records."""
    return window in (EVERYTHING, EVERY_NUMBER)


def since_number(reached: int | None, lag: int) -> Numbers:
    """Return the window of a plain run: from the largest number read less the lag on.

    Example:
        >>> print(since_number(None, 10), "|", since_number(1000, 10))
        all records | records from 990 on
    """
    if reached is None:
        return EVERY_NUMBER
    return Numbers(max(EVERY_NUMBER.start, reached - lag), EVERY_NUMBER.end)


def hull(first: Window, second: Window) -> Window:
    """The smallest window that holds both."""
    return Window(min(first.start, second.start), max(first.end, second.end))


def whole_days(first: date, last: date) -> Window:
    """The window of all sales from the first day to the last, both whole.

    Raises:
        ConfigurationError: the first day is after the last.

    Example:
        >>> print(whole_days(date(2024, 1, 20), date(2024, 1, 20)))
        sales of 2024-01-20
        >>> whole_days(date(2024, 1, 20), date(2024, 1, 20)).end
        datetime.datetime(2024, 1, 20, 23, 59, 59, 999999)
    """
    if first > last:
        raise ConfigurationError(
            f"the start date {first} is after the end date {last}",
            next_step="swap --start-date and --end-date",
        )
    return Window(datetime.combine(first, time.min), datetime.combine(last, time.max))


def parse_day(text: str, option: str = "--date") -> date:
    """Reads a date given by hand.

    Raises:
        ConfigurationError: it is no date.

    Example:
        >>> parse_day("2024-01-20")
        datetime.date(2024, 1, 20)
    """
    try:
        return datetime.strptime(text.strip(), "%Y-%m-%d").date()  # a date has no zone
    except ValueError as error:
        raise ConfigurationError(
            f"{option} {text!r} is no date",
            choices="YYYY-MM-DD, such as 2024-01-20",
            next_step="correct it",
        ) from error


def since_watermark(watermark: datetime | None, lag_days: int) -> Window:
    """The window of a plain run: from the watermark less the lag on, or everything.

    Example:
        >>> print(since_watermark(datetime(2024, 1, 20, 8), 3))
        sales from 2024-01-17 on
    """
    if watermark is None or watermark - EVERYTHING.start < timedelta(days=lag_days):
        return EVERYTHING
    return Window(watermark - timedelta(days=lag_days), EVERYTHING.end)
