"""Types of SQL Server that pyodbc does not read by itself: read here, or named in an error."""

import re
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

# Microsoft's own types, by ODBC's numbers. A variant shows the type in C of what it holds: of text
# and the like it is read, of whole numbers not.
DATETIMEOFFSET = -155
_NAMES = {
    **dict.fromkeys((-15, -16, -25, -26, -150), "sql_variant"),
    -151: "a type of CLR, such as geography", -152: "xml", -154: "time",
    DATETIMEOFFSET: "datetimeoffset",
}  # fmt: skip
_UNREAD = re.compile(r"ODBC SQL type (-?\d+) is not yet supported\.\s+column-index=(\d+)")

# SQL_SS_TIMESTAMPOFFSET_STRUCT: year to second, nanoseconds, offset in hours and minutes.
_OFFSET_TIME = struct.Struct("<hHHHHHIhh")
_SINGLE = 24  # bits of a REAL; it is no FLOAT


def offset_time(raw: bytes) -> datetime:
    """Return a DATETIMEOFFSET; what is finer than a microsecond is cut off.

    Args:
        raw: as the driver gives it.

    Example:
        >>> raw = bytes.fromhex("e807 0100 1400 0a00 0b00 0c00 a0d05b07 0200 1e00")
        >>> offset_time(raw).isoformat()
        '2024-01-20T10:11:12.123457+02:30'
    """
    year, month, day, hour, minute, second, nanos, hours, minutes = _OFFSET_TIME.unpack(raw)
    zone = timezone(timedelta(hours=hours, minutes=minutes))
    return datetime(year, month, day, hour, minute, second, nanos // 1000, zone)


def unread_column(error: BaseException, names: Sequence[str]) -> str:
    """Return what there is to say of an error about a type that is not read; empty: another error.

    Args:
        error: of pyodbc.
        names: of the columns of the query.

    Example:
        >>> said = "ODBC SQL type -150 is not yet supported.  column-index=1  type=-150"
        >>> unread_column(ValueError(said, "HY106"), ["id", "extra"])
        "column 'extra' is sql_variant, which cannot be read"
    """
    found = _UNREAD.search(" ".join(map(str, error.args)))
    if not found:
        return ""
    kind, place = int(found[1]), int(found[2])
    name = repr(names[place]) if place < len(names) else str(place + 1)
    return f"column {name} is {_NAMES.get(kind, f'of type {kind}')}, which cannot be read"


def single_places(description: Sequence[Any]) -> list[int]:
    """Return the places of REAL columns, whose values have seven digits.

    Args:
        description: of the columns of a query, after PEP 249.
    """
    return [n for n, column in enumerate(description) if column[1] is float
            and column[4] == _SINGLE]  # fmt: skip


def with_shortest(rows: list[Any], places: Sequence[int]) -> list[Any]:
    """Return rows with the REAL values at some places as the shortest numbers.

    Example:
        >>> with_shortest([("a", 0.10000000149011612)], [1])
        [('a', 0.1)]
    """
    if not places:
        return rows
    return [
        tuple(shortest_single(value) if n in places else value for n, value in enumerate(row))
        for row in rows
    ]


def shortest_single(value: float | None) -> float | None:
    """Return a REAL as the shortest number that it stands for.

    Example:
        >>> shortest_single(0.10000000149011612), shortest_single(19.989999771118164)
        (0.1, 19.99)
    """
    if value is None:
        return None
    digits = (6, 7, 8, 9)
    texts = (f"{value:.{count}g}" for count in digits)
    return float(next((text for text in texts if _single(float(text)) == value), str(value)))


def _single(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def in_utc(moment: datetime, zone: Any) -> datetime:
    """Return the wall clock of a zone as that of UTC, ends of all time as they are.

    Example:
        >>> from zoneinfo import ZoneInfo
        >>> in_utc(datetime(2024, 1, 20), ZoneInfo("Europe/Berlin"))
        datetime.datetime(2024, 1, 19, 23, 0)
    """
    try:
        return moment.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return moment
