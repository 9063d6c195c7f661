"""Which sales a run reads: a span of wall clocks, both ends included."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from etl.errors import ConfigurationError


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
