"""Which objects a pattern matches: `*`, `?` and `[...]` within a name, `**` for any folders."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from etl.cloud.objects import is_there, listed
from etl.cloud.paths import CloudPath

_MARKS = "*?["


def matching(pattern: CloudPath) -> list[CloudPath]:
    """Return the objects that a pattern matches, the oldest first, those of one time by name.

    Args:
        pattern: a path with marks in its key, or without any.

    Raises:
        CloudError: the service refuses to list them.
    """
    if not has_marks(pattern.key):
        return [pattern] if is_there(pattern) else []
    wanted = pattern.key.split("/")
    found = [each for each in listed(_fixed(pattern)) if fits(each[0].key.split("/"), wanted)]
    return [path for path, info in sorted(found, key=lambda each: (each[1].mtime_ns, each[0].name))]


def has_marks(text: str) -> bool:
    """Return whether a text stands for several names.

    Example:
        >>> has_marks("in/sales_*.csv"), has_marks("in/sales.csv")
        (True, False)
    """
    return any(mark in text for mark in _MARKS)


def _fixed(pattern: CloudPath) -> CloudPath:
    """The folder below which all lies that a pattern may match."""
    folder = pattern
    while has_marks(folder.key):
        folder = folder.parent
    return folder


def fits(names: Sequence[str], wanted: Sequence[str]) -> bool:
    """Return whether the parts of a key fit those of a pattern.

    Example:
        >>> fits(["in", "2024", "s_1.csv"], ["in", "**", "s_*.csv"])
        True
        >>> fits(["in", "s_", "1.csv"], ["in", "s_*.csv"])
        False
    """
    if not wanted:
        return not names
    if wanted[0] == "**":
        return any(fits(names[n:], wanted[1:]) for n in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], wanted[0]) and fits(names[1:], wanted[1:])
