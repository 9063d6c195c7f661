"""Between which values numbers are no outliers, by three methods; over any way to count them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, TypeVar

Number = TypeVar("Number", float, Decimal)

QUANTILE, IQR, MEDIAN_DEVIATION = "quantile", "iqr", "median deviation"
METHODS = (QUANTILE, IQR, MEDIAN_DEVIATION)
PERCENTS = (1, 25, 50, 75, 99)  # at which `fence` asks
# Beyond the first and the 99th percentile by as much as lies between them.
_QUANTILE_REACH = "1"
_IQR_REACH = "1.5"  # Tukey's fences
# Iglewicz and Hoaglin: 0.6745 makes a median deviation a standard deviation of a normal sample.
_MEDIAN_REACH, _NORMAL = "3.5", "0.6745"


@dataclass(frozen=True)
class Fence(Generic[Number]):
    """The values that are no outliers lie from the one to the other, both included."""

    low: Number
    high: Number


def fence(
    method: str, at: Callable[[int], Number], distance: Callable[[Number], Number]
) -> Fence[Number] | None:
    """Return between which values numbers are no outliers.

    Args:
        method: one of `METHODS`.
        at: gives the value at or below which so many per cent of the numbers lie.
        distance: gives the median of the distances from a value.

    Returns:
        None where the numbers have no spread by which others could be judged.

    Example:
        >>> fence(IQR, lambda per: float(per), lambda value: 1.0)
        Fence(low=-50.0, high=150.0)
    """
    median = at(50)
    if method == MEDIAN_DEVIATION:
        low = high = median
        reach = distance(median) * type(median)(_MEDIAN_REACH) / type(median)(_NORMAL)
    else:
        low, high = (at(1), at(99)) if method == QUANTILE else (at(25), at(75))
        reach = (high - low) * type(median)(_QUANTILE_REACH if method == QUANTILE else _IQR_REACH)
    return Fence(low - reach, high + reach) if reach > 0 else None


def place_of(per_cent: int, values: int) -> int:
    """Return at which place of so many values in order, from 1, a percentile stands.

    Example:
        >>> place_of(50, 4), place_of(50, 5), place_of(0, 5), place_of(100, 5)
        (2, 3, 1, 5)
    """
    return max(1, math.ceil(per_cent * values / 100))
