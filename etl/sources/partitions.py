"""Dividing a query by a column that counts up or has times: a window for each part of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise

from etl.sources.pieces import QueryPart
from etl.sources.window import (
    EVERY_NUMBER,
    EVERYTHING,
    AnyWindow,
    Numbers,
    Window,
    is_everything,
)

# What a record is taken for: nobody knows before it is read.
ROW_BYTES = 200
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Extent:
    """What a query has: its first and last value of the column, and how many records."""

    first: object
    last: object
    rows: int

    def parts(self, window: AnyWindow, target_bytes: int) -> Iterator[QueryPart]:
        """Yield the parts of a window, none if it is not divided.

        Records without a value belong to the first part, if the window asks for all.

        Args:
            window: of the records asked for.
            target_bytes: about how many bytes a part has.

        Example:
            >>> [str(part.window) for part in Extent(1, 100, 100).parts(EVERY_NUMBER, 10_000)]
            ['records from -9223372036854775808 on', 'records from 51 on']
        """
        count = -(-self.rows * ROW_BYTES // target_bytes)
        windows = divided(window, self.first, self.last, count)
        for number, each in enumerate(windows if len(windows) > 1 else ()):
            nulls = is_everything(window) and not number
            yield QueryPart(each, number, self.rows, nulls=nulls)


def divided(window: AnyWindow, first: object, last: object, count: int) -> list[AnyWindow]:
    """Divide a window evenly between two values; the outer parts reach to its ends.

    Args:
        window: what is divided.
        first: the smallest value in it.
        last: the largest one; whole numbers or times without a zone, else nothing is divided.
        count: how many parts are wanted.

    Example:
        >>> [str(each) for each in divided(EVERYTHING, date(2024, 1, 1), date(2024, 1, 3), 2)]
        ['sales of 1-01-01 to 2024-01-01', 'sales from 2024-01-02 on']
    """
    if isinstance(first, Decimal) and isinstance(last, Decimal):
        first, last = _whole(first), _whole(last)
    if isinstance(first, int) and isinstance(last, int):
        numbers = window if isinstance(window, Numbers) else EVERY_NUMBER
        begins = {first + (last - first + 1) * part // count for part in range(1, count)}
        starts = sorted(begin for begin in begins if begin > numbers.start)
        edges = [numbers.start, *starts, numbers.end + 1]
        return [Numbers(start, after - 1) for start, after in pairwise(edges)]
    begin, end = _moment(first), _moment(last)
    if begin is None or end is None:
        return [window]
    return list(_times(window if isinstance(window, Window) else EVERYTHING, begin, end, count))


def _times(window: Window, first: datetime, last: datetime, count: int) -> Iterator[Window]:
    step = (last - first + _TICK) / max(count, 1)
    begins = {first + step * part for part in range(1, count)}
    starts = [window.start, *sorted(begin for begin in begins if begin > window.start)]
    ends = [*(start - _TICK for start in starts[1:]), window.end]
    for start, end in zip(starts, ends, strict=True):
        yield Window(start, end)


def _whole(value: Decimal) -> object:
    return int(value) if value == value.to_integral_value() else value


def _moment(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo is None else None
    return datetime.combine(value, time.min) if isinstance(value, date) else None
