"""One date at a time, read the slow and obvious way: what the columns are compared with."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from etl.rules.dates import _FORMS, _MONTH_NAMES, AS_FOUND, DateReading

_COMPILED = tuple(re.compile(form) for form in _FORMS)


def timestamp_of(text: str, reading: DateReading = AS_FOUND) -> datetime | None:
    """Read a date, with or without a time; None when it is none.

    Args:
        text: one value.
        reading: order and zone.

    Example:
        >>> timestamp_of("2024-01-15T10:30:00.5+01:00")
        datetime.datetime(2024, 1, 15, 9, 30, 0, 500000)
        >>> timestamp_of("02/01/2024") == timestamp_of("1.2.2024") == timestamp_of("Feb  1 2024")
        True
        >>> timestamp_of("02/01/2024 7:05 PM", DateReading("day first"))
        datetime.datetime(2024, 1, 2, 19, 5)
        >>> timestamp_of("2024-02-30") is timestamp_of("yesterday") is None
        True
    """
    text = text.strip()
    for form in _COMPILED:
        if match := form.fullmatch(text):
            return _moment_of(match.groupdict(), reading)
    return None


def _moment_of(parts: dict[str, str | None], reading: DateReading) -> datetime | None:
    try:
        month, day = _month_and_day(parts, reading)
        wall = datetime(  # a wall clock; its offset is looked at below
            int(parts["year"] or 0), month, day, _hour_of(parts), int(parts["minute"] or 0),
            int(parts["second"] or 0), int((parts["fraction"] or "")[:6].ljust(6, "0")),
        )  # fmt: skip
        moment = _in_zone(wall, parts["offset"], reading.zone)
    except (ValueError, OverflowError):
        return None
    return wall if reading.on_the_spot else moment


def _month_and_day(parts: dict[str, str | None], reading: DateReading) -> tuple[int, int]:
    if parts.get("mark"):
        first, second = int(parts["first"] or 0), int(parts["second_number"] or 0)
        return (second, first) if reading.day_is_first(str(parts["mark"])) else (first, second)
    day = int(parts["day"] or 0)
    if name := parts.get("name"):
        return _MONTH_NAMES.index(name.lower()) % 12 + 1, day
    return int(parts["month"] or 0), day


def _hour_of(parts: dict[str, str | None]) -> int:
    hour, half = int(parts["hour"] or 0), (parts["half"] or "").lower()
    noon = 12
    if half and not 1 <= hour <= noon:
        raise ValueError
    return hour % noon + noon * (half == "pm") if half else hour


def _in_zone(wall: datetime, offset: str | None, zone: str) -> datetime:
    if not offset:
        return wall
    utc = wall
    if offset not in ("Z", "UTC", "GMT"):
        hours, minutes = int(offset[1:3]), int(offset[3:].removeprefix(":") or 0)
        if hours >= 24 or minutes >= 60:  # hours of a day, minutes of an hour
            raise ValueError
        shift = timedelta(hours=hours, minutes=minutes)
        utc = wall - shift if offset[0] == "+" else wall + shift
    return utc.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
