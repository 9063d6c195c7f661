"""Where a change stands among all changes of its source, as a text that sorts by it."""

import re
from collections.abc import Mapping
from typing import Any

# By connector, the members of an event's source that order it, the first one first.
_ORDERING = {
    "postgresql": ("lsn",),
    "mysql": ("file", "pos", "row"),
    "mariadb": ("file", "pos", "row"),
    "sqlserver": ("commit_lsn", "change_lsn", "event_serial_no"),
    "db2": ("commit_lsn", "change_lsn"),
    "oracle": ("commit_scn", "scn"),
    "mongodb": ("ts_ms", "ord"),
}
_BY_TIME = ("ts_ms",)
_WIDTH = 20  # decimal digits of 64 bits


def position_of(source: Mapping[str, Any]) -> str:
    """Return the position of an event; empty where its source says nothing of it.

    Args:
        source: the member `source` of the event.

    Example:
        >>> position_of({"connector": "postgresql", "lsn": 24023128, "ts_ms": 1})
        '00000000000024023128'
        >>> position_of({"file": "bin.000003", "pos": 154, "row": 0})[:31]
        'bin.00000000000000000003.000000'
    """
    names = _ORDERING.get(str(source.get("connector")), ()) or _known(source)
    if not any(source.get(name) is not None for name in names):
        names = _BY_TIME
    parts = [source.get(name) for name in names]
    if all(part is None for part in parts):
        return ""
    return ".".join("" if part is None else padded(str(part)) for part in parts)


def _known(source: Mapping[str, Any]) -> tuple[str, ...]:
    orders = (names for names in _ORDERING.values() if source.get(names[0]) is not None)
    return next(orders, _BY_TIME)


def padded(text: str) -> str:
    """Return a text whose numbers sort by their size.

    Example:
        >>> padded("bin.7") < padded("bin.10"), padded("0000002A:0000")
        (True, '0000002A:0000')
    """
    if re.fullmatch(r"[0-9A-Fa-f]+(:[0-9A-Fa-f]+)+", text):  # hexadecimal of a fixed width
        return text
    return re.sub(r"\d+$", lambda number: number[0].zfill(_WIDTH), text)
