"""Which files a path of the settings stands for: patterns, and days in their names."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from etl.cloud.faults import CloudError
from etl.cloud.matching import has_marks, matching
from etl.cloud.paths import CloudPath, is_cloud

_DATE = re.compile(r"\{date(?::(?P<form>[^{}]+))?\}")
_USUAL_FORM = "%Y%m%d"


def filled(pattern: str, day: date) -> str:
    """Return a pattern with a day in place of each `{date}`.

    Args:
        pattern: `{date}` stands for YYYYMMDD, `{date:%Y-%m-%d}` for the form it names.
        day: the day.

    Example:
        >>> filled("{date:%Y}/sales_{date}.csv", date(2024, 1, 20))
        '2024/sales_20240120.csv'
    """
    return _DATE.sub(lambda found: day.strftime(found["form"] or _USUAL_FORM), pattern)


def is_dated(pattern: str) -> bool:
    """Return whether the day of the run is part of a pattern.

    Example:
        >>> is_dated("customers_{date}.csv"), is_dated("customers_*.csv")
        (True, False)
    """
    return _DATE.search(pattern) is not None


def days_between(first: date, last: date) -> Iterator[date]:
    """Yield the days from the first to the last, both included."""
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def matches(folder: Path, pattern: str, days: tuple[date, date]) -> list[Path]:
    """Return the files that a pattern matches: those of earlier days first, then older ones.

    Args:
        folder: from which the pattern counts.
        pattern: a name, with `*`, `?` or `[...]` for several, and `{date}` for each of the days.
        days: the first and the last.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("sales_20240121.csv", "sales_20240120.csv"):
        ...         _ = Path(folder, name).write_text("")
        ...     days = date(2024, 1, 20), date(2024, 1, 31)
        ...     [path.name for path in matches(Path(folder), "sales_{date}.csv", days)]
        ['sales_20240120.csv', 'sales_20240121.csv']
    """
    patterns: tuple[str, ...] = (pattern,)
    if is_dated(pattern):
        patterns = tuple(filled(pattern, day) for day in days_between(*days))
    elif is_cloud(folder) and not has_marks(pattern):
        return [folder / pattern]  # whoever opens it asks whether it is there
    found = (path for each in patterns for path in _matches(folder, each))
    return list(dict.fromkeys(found))


def _matches(folder: Path, pattern: str) -> list[Path]:
    path = folder / pattern
    if is_cloud(path):
        return _in_cloud(path)
    if path.exists() or not has_marks(pattern):
        return [path] if path.exists() else []
    root = Path(path.anchor) if Path(pattern).is_absolute() else folder
    found = (each for each in root.glob(str(path.relative_to(root))) if each.is_file())
    return sorted(found, key=lambda each: (each.stat().st_mtime_ns, each.name))


def _in_cloud(path: CloudPath) -> list[Path]:
    try:
        return [*matching(path)]
    except CloudError:  # opening it says what is wrong
        return [path]
