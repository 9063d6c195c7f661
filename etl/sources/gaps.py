"""Numbers that are missing in a cursor which counts up, found while its records go by.

What was seen is kept as spans without a gap: memory depends on the gaps, not on the records.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_SHOWN = 5
_Ints = NDArray[np.int64]
# First and last number of each run of numbers without a gap, as pickles.
Spans = tuple[tuple[int, int], ...]


class SeenNumbers:
    """Whole numbers in any order, and the gaps between them.

    Args:
        first: the number from which on they are wanted; None: from the smallest.

    Example:
        >>> seen = SeenNumbers(1)
        >>> for numbers in ([7, 3], [4, 9, 3]):
        ...     seen.see(pa.array(numbers, pa.int64()))
        >>> seen.gaps()
        [(1, 2), (5, 6), (8, 8)]
    """

    def __init__(self, first: int | None = None) -> None:
        self._starts: _Ints = np.array([] if first is None else [first - 1], np.int64)
        self._ends = self._starts.copy()

    def see(self, numbers: pa.Array) -> None:
        """Note the numbers of a block; what is null counts for nothing."""
        block = np.unique(numbers.drop_null().to_numpy(zero_copy_only=False))
        self._add(block, block)

    def _add(self, starts: _Ints, ends: _Ints) -> None:
        starts, ends = np.concatenate([self._starts, starts]), np.concatenate([self._ends, ends])
        if not len(starts):
            return
        order = np.argsort(starts, kind="stable")
        starts, reached = starts[order], np.maximum.accumulate(ends[order])
        begins = np.flatnonzero(np.concatenate([[True], starts[1:] > reached[:-1] + 1]))
        self._starts = starts[begins]
        self._ends = reached[np.append(begins[1:] - 1, len(starts) - 1)]

    def spans(self) -> Spans:
        """Return what was seen, to be seen again by another one.

        Example:
            >>> seen, other = SeenNumbers(), SeenNumbers()
            >>> seen.see(pa.array([3, 1, 2, 7], pa.int64()))
            >>> other.see_spans(seen.spans())
            >>> other.spans()
            ((1, 3), (7, 7))
        """
        return tuple(zip(self._starts.tolist(), self._ends.tolist(), strict=True))

    def see_spans(self, spans: Spans) -> None:
        """Note all numbers that another one has seen."""
        pairs = np.array(spans, np.int64).reshape(-1, 2)
        self._add(pairs[:, 0], pairs[:, 1])

    def gaps(self) -> list[tuple[int, int]]:
        """Return the first and last number of each gap."""
        pairs = zip(self._ends[:-1] + 1, self._starts[1:] - 1, strict=True)
        return [(int(first), int(last)) for first, last in pairs]


def gaps_in_words(column: str, gaps: list[tuple[int, int]]) -> str:
    """Return what a person should know of gaps.

    Example:
        >>> gaps_in_words("order_id", [(1, 2), (8, 8)]).partition(". ")[0]
        'order_id: 3 numbers are missing: 1 to 2, 8'
    """
    total = sum(last - first + 1 for first, last in gaps)
    shown = [f"{a} to {b}" if a < b else str(a) for a, b in gaps[:_SHOWN]]
    more = f" and {len(gaps) - _SHOWN} more gaps" if len(gaps) > _SHOWN else ""
    number = "number is" if total == 1 else "numbers are"
    return (
        f"{column}: {total} {number} missing: {', '.join(shown)}{more}. They may have been "
        "rolled back or deleted; what is only written later is found by lag_ids, or by "
        "--full-refresh (report_gaps = false says nothing of it)"
    )
