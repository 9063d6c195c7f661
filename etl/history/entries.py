"""Values of a journal entry: each as it should be, or None. Reading them never raises.

An entry may come from a failed run that knew little, from an older version, or from a file that
somebody has edited.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from etl.words import UNKNOWN

# Beyond these an entry is damaged, or nobody would read on.
_LARGEST_NUMBER = 10**15
_LONGEST_NAME = 300
_LONGEST_MESSAGE = 1200
_MOST_ITEMS = 500


def mapping_of(value: object) -> Mapping[str, Any]:
    """Return a mapping as it is, and an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def items_of(value: object) -> Sequence[object]:
    """Return the first items of a list, and none for anything else."""
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return value[:_MOST_ITEMS] if listed else ()  # type: ignore[index]  # a sequence, as asked


def pairs_of(value: object) -> list[tuple[str, object]]:
    """Return the first names and values of a mapping, and none for anything else."""
    return [(name_of(key), item) for key, item in list(mapping_of(value).items())[:_MOST_ITEMS]]


def name_of(value: object, *, missing: str = UNKNOWN) -> str:
    """Return a short text, or what stands for a missing one.

    Example:
        >>> name_of("sales"), name_of(None), name_of([], missing="")
        ('sales', 'unknown', '')
    """
    return _text(value, _LONGEST_NAME) or missing


def message_of(value: object) -> str:
    """Return a text of some lines; empty when there is none."""
    return _text(value, _LONGEST_MESSAGE)


def number_of(value: object) -> float | None:
    """Return a number that is not negative.

    Example:
        >>> number_of(1.5), number_of(-1), number_of("7"), number_of(True)
        (1.5, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    usable = 0 <= value <= _LARGEST_NUMBER and math.isfinite(value)
    return float(value) if usable else None


def count_of(value: object) -> int | None:
    """Return a whole number that is not negative."""
    number = number_of(value)
    return int(number) if number is not None and number.is_integer() else None


def instant_of(value: object) -> datetime | None:
    """Return a moment in UTC without a zone; text without a zone is UTC already.

    Example:
        >>> instant_of("2024-01-20T02:00:00+01:00"), instant_of("yesterday")
        (datetime.datetime(2024, 1, 20, 1, 0), None)
    """
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
        zoned = instant is not None and instant.tzinfo is not None
        return instant.astimezone(UTC).replace(tzinfo=None) if instant and zoned else instant
    except (ValueError, OverflowError):
        return None


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str):
        number = number_of(value)
        value = "" if number is None else f"{number:g}"
    return value if len(value) <= longest else value[: longest - 1] + "…"


def texts_of(entry: object) -> tuple[str, ...]:
    """Return the messages of a list."""
    return tuple(message_of(text) for text in items_of(entry))


def all_of(read: Any, value: object) -> tuple[Any, ...]:
    """Return what each item of a list is read as.

    Args:
        read: reads one.
        value: the list; anything else has no items.
    """
    return tuple(map(read, items_of(value)))


def counts_in(value: object) -> dict[str, int | None]:
    """Return the counts of a mapping by their names."""
    return {name: count_of(count) for name, count in pairs_of(value)}


def known_counts_in(value: object) -> dict[str, int]:
    """Return the counts of a mapping that are known."""
    return {name: n for name, n in counts_in(value).items() if n is not None}


def row_counts_in(value: object) -> dict[str, int | None]:
    """Return the counts of rows, by the names of `etl_load`."""
    counts = counts_in(value).items()
    return {name: n for name, n in counts if name.startswith("rows_") or name == "batches"}
