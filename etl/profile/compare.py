"""Two profiles side by side: what has changed between them, column by column."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from etl.profile.figures import MOST_VALUES, ColumnFigures, Profile
from etl.words import percent_words

# From where on a change is worth a look, as a share of the records.
_MOVED, _SHARE_MOVED = 0.1, 0.05


@dataclass(frozen=True)
class Difference:
    """A column in two profiles.

    Attributes:
        was: its figures in the first one; None where that has no such column.
        now: its figures in the second one.
        distance: how far the distributions lie apart, 0 to 1; None where they cannot be compared.
        words: what is worth a look; empty when nothing is.
    """

    name: str
    was: ColumnFigures | None
    now: ColumnFigures | None
    distance: float | None
    words: tuple[str, ...]


def compare(was: Profile, now: Profile) -> tuple[Difference, ...]:
    """Return the columns of two profiles side by side, in the order of the second one.

    Example:
        >>> old = Profile("a.csv", "file", "", 2, (ColumnFigures("id", "text", 2),))
        >>> new = Profile("b.csv", "file", "", 2, (ColumnFigures("id", "integer", 2),))
        >>> compare(old, new)[0].words
        ('text has become integer',)
    """
    names = dict.fromkeys((*(c.name for c in now.columns), *(c.name for c in was.columns)))
    return tuple(_difference(name, was.column(name), now.column(name)) for name in names)


def _difference(name: str, was: ColumnFigures | None, now: ColumnFigures | None) -> Difference:
    if was is None or now is None:
        words = "is new" if was is None else "is gone"
        return Difference(name, was, now, None, (words,))
    distance = distance_of(was, now)
    return Difference(name, was, now, distance, tuple(filter(None, (
        f"{was.kind} has become {now.kind}" if was.kind != now.kind else "",
        _missing(was, now),
        f"{percent_words(distance)} of the records lie elsewhere"
        if distance and distance > _MOVED else "",
    ))))  # fmt: skip


def _missing(was: ColumnFigures, now: ColumnFigures) -> str:
    if abs(now.null_share - was.null_share) <= _SHARE_MOVED:
        return ""
    shares = [percent_words(each.null_share) for each in (was, now)]
    return f"without a value were {shares[0]}, are {shares[1]}"


def distance_of(was: ColumnFigures, now: ColumnFigures) -> float | None:
    """Return how far two distributions lie apart: the largest share that lies elsewhere.

    Of numbers and times the Kolmogorov distance, by their percentiles; of columns with few
    different values the total variation.
    """
    if was.percentiles and now.percentiles:
        return kolmogorov(_ordered(was), _ordered(now))
    if min(was.values, now.values) and max(was.distinct, now.distinct) <= MOST_VALUES:
        return total_variation(dict(was.frequent), dict(now.frequent))
    return None


_TIMES = ("date", "timestamp")


def _ordered(column: ColumnFigures) -> Sequence[float | str]:
    """The percentiles as what they are ordered by; times in ISO form are so as texts."""
    return column.percentiles if column.kind in _TIMES else [float(v) for v in column.percentiles]


def kolmogorov(was: Sequence[float | str], now: Sequence[float | str]) -> float | None:
    """Return the largest difference between two cumulative distributions, 0 to 1.

    Args:
        was: percentiles of the one, in order.
        now: of the other; None comes back where one has numbers and the other times.

    Example:
        >>> kolmogorov([1, 2, 3, 4], [1, 2, 3, 4]), kolmogorov([1, 2, 3, 4], [3, 4, 5, 6])
        (0.0, 0.5)
    """
    if isinstance(was[0], str) is not isinstance(now[0], str):
        return None
    points = sorted({*was, *now})
    return max(
        abs(bisect_right(was, at) / len(was) - bisect_right(now, at) / len(now)) for at in points
    )


def total_variation(was: Mapping[str, int], now: Mapping[str, int]) -> float:
    """Return which share of the records has other values, 0 to 1.

    Args:
        was: records by value; at least one.
        now: likewise.

    Example:
        >>> total_variation({"a": 3, "b": 1}, {"a": 1, "b": 1, "c": 2})
        0.5
    """
    before, after = sum(was.values()), sum(now.values())
    values = {*was, *now}
    return sum(abs(was.get(v, 0) / before - now.get(v, 0) / after) for v in values) / 2
