"""Cleaning that needs the whole source: duplicates, outliers, values that are made up.

It is done over the staged whole, so that it does not matter how the source was cut into blocks.
"""

from dataclasses import dataclass

MEAN, MEDIAN, MODE, FORWARD = "mean", "median", "mode", "forward"
STRATEGIES = (MEAN, MEDIAN, MODE, FORWARD)
# What is done with an outlier.
COUNT, MAKE_MISSING, CLIP, REJECT = "count", "missing", "clip", "reject"
FIRST, LAST = "first", "last"


@dataclass(frozen=True)
class Imputed:
    """A column whose missing values are made up.

    Attributes:
        strategy: mean, median (of an even number of values the mean of both in the middle), mode
            (of several the one that comes first), forward (the value of the record before).
    """

    column: str
    strategy: str


@dataclass(frozen=True)
class Outliers:
    """A column whose outliers are counted, made missing, clipped or rejected."""

    column: str
    method: str
    action: str = COUNT


@dataclass(frozen=True)
class Duplicates:
    """Which records are the same.

    Attributes:
        by: columns; records without a value in one are different. None of them: all columns,
            missing values being equal.
        keep: which of them is loaded, the first or the last.
    """

    by: tuple[str, ...] = ()
    keep: str = LAST


@dataclass(frozen=True)
class Cleaning:
    """What is done to a whole source, in this order."""

    duplicates: Duplicates | None = None
    outliers: tuple[Outliers, ...] = ()
    imputed: tuple[Imputed, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.duplicates or self.outliers or self.imputed)


NOTHING_TO_CLEAN = Cleaning()
