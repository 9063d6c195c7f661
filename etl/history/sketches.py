"""How the values of a column are distributed, in a few hundred bytes that can be compared.

Numbers are counted in bins that grow with them, an eighth of a doubling wide; texts of few
different values by value, others by their length. Of a large block a sample is looked at, at the
same places each time.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.schema.table import Column, Kind, Role, Table

NUMBERS, VALUES, LENGTHS = "numbers", "values", "lengths"
_MOST_VALUES = 40
_MOST_COUNTED = 1000  # different texts after which only their lengths are counted
_SAMPLED = 2000  # rows of a block
_PER_DOUBLING, _ZERO = 8, 1024
_WIDEST_KEY = 30
MOST_CHARACTERS = 3500  # of the bins as JSON, what every engine holds

Bins = Mapping[str, int]


@dataclass(frozen=True)
class Sketch:
    """How the values of a column are distributed.

    Attributes:
        kind: numbers, values or lengths; the bins of numbers and lengths have an order.
        rows: how many records were looked at.
        nulls: how many of them have no value.
        bins: records by value, or by the number of a bin.
    """

    kind: str
    rows: int
    nulls: int
    bins: Bins

    @property
    def as_json(self) -> str:
        """The bins as text; so many that they are too long for a column are none."""
        text = json.dumps(self.bins, ensure_ascii=False, separators=(",", ":"))
        return text if len(text) <= MOST_CHARACTERS else "{}"

    @classmethod
    def of(cls, kind: str, rows: int, nulls: int, bins: str) -> Self:
        """Read one back."""
        return cls(kind, rows, nulls, json.loads(bins))

    @property
    def null_share(self) -> float:
        """The share of the records without a value."""
        return self.nulls / self.rows if self.rows else 0.0


def mean_of(sketches: Sequence[Sketch]) -> Sketch:
    """Return the mean of distributions of one kind, each of the same weight, as parts of 10,000."""
    bins: Counter[str] = Counter()
    for each in sketches:
        values = sum(each.bins.values())
        for name, rows in each.bins.items():
            bins[name] += rows * 1_000_000 // (values * len(sketches))
    rows = sum(each.rows for each in sketches)
    share = sum(each.null_share for each in sketches) / len(sketches)
    return Sketch(sketches[0].kind, rows, round(share * rows), bins)


def distance(one: Sketch, other: Sketch) -> float:
    """Return which share of the values lies elsewhere, at the most: 0 to 1.

    Of numbers and lengths the Kolmogorov distance, of values the total variation.

    Example:
        >>> a = Sketch(VALUES, 4, 0, {"x": 2, "y": 2})
        >>> distance(a, a), distance(a, Sketch(VALUES, 1, 0, {"x": 1}))
        (0.0, 0.5)
    """
    before, after = sum(one.bins.values()), sum(other.bins.values())
    if one.kind != other.kind or not before or not after:
        return 0.0
    names = {*one.bins, *other.bins}
    ordered = names if one.kind == VALUES else sorted(names, key=int)
    apart = [one.bins.get(n, 0) / before - other.bins.get(n, 0) / after for n in ordered]
    if one.kind == VALUES:
        return float(sum(map(abs, apart)) / 2)
    return float(np.abs(np.cumsum(apart)).max())


# --- counting --------------------------------------------------------------------------------


@dataclass
class _Counting:
    is_text: bool
    rows: int = 0
    nulls: int = 0
    bins: Counter[int] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)

    def look(self, column: pa.Array) -> None:
        self.rows += len(column)
        self.nulls += column.null_count
        known = pc.drop_null(column)
        if self.is_text:
            self.bins.update(pc.utf8_length(known).to_pylist())
            if len(self.values) <= _MOST_COUNTED:
                counted = pc.value_counts(known)
                pairs = zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True)
                self.values.update({value[:_WIDEST_KEY]: rows for value, rows in pairs})
            return
        self.bins.update(_bins(known.cast(pa.float64()).to_numpy(zero_copy_only=False)))

    def include(self, other: "_Counting") -> None:
        self.rows += other.rows
        self.nulls += other.nulls
        self.bins.update(other.bins)
        if len(self.values) <= _MOST_COUNTED:
            self.values.update(other.values)

    @property
    def sketch(self) -> Sketch:
        if self.is_text and len(self.values) <= _MOST_VALUES:
            return Sketch(VALUES, self.rows, self.nulls, dict(self.values))
        kind = LENGTHS if self.is_text else NUMBERS
        bins = {str(number): rows for number, rows in sorted(self.bins.items())}
        return Sketch(kind, self.rows, self.nulls, bins)


def _bins(numbers: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[int]:
    """The bin of each number, in their order; 0 is that of zero."""
    sizes = np.abs(numbers)
    with np.errstate(divide="ignore"):
        doublings = np.floor(np.log2(sizes) * _PER_DOUBLING)
    places = np.where(sizes > 0, np.clip(doublings + _ZERO, 1, None), 0)
    found: list[int] = (np.sign(numbers) * places).astype(int).tolist()
    return found


class Sketching:
    """Counts how the columns of a table's records are distributed, block by block.

    Keys, references and times differ from run to run and are left out.

    Example:
        >>> table = Table("t", "", ("id",), (Column("id", "", Kind.TEXT, width=9),
        ...                                  Column("city", "", Kind.TEXT, width=9)))
        >>> counted = Sketching(table)
        >>> counted.look(pa.record_batch({"id": ["1", "2"], "city": ["Rome", None]}))
        >>> counted.sketches
        {'city': Sketch(kind='values', rows=2, nulls=1, bins={'Rome': 1})}
    """

    def __init__(self, table: Table) -> None:
        self._columns = {
            column.name: _Counting(column.kind in (Kind.TEXT, Kind.BOOLEAN))
            for column in _watched(table)
        }

    def look(self, block: pa.RecordBatch) -> None:
        """Look at the next records."""
        step = -(-block.num_rows // _SAMPLED)
        if step > 1:
            block = block.take(pa.array(range(0, block.num_rows, step), pa.int64()))
        for name, counting in self._columns.items():
            column = block.column(name)
            counting.look(column.cast(pa.string()) if counting.is_text else column)

    def include(self, other: "Sketching") -> None:
        """Add what was counted of the records that come next."""
        for name, counting in self._columns.items():
            counting.include(other._columns[name])

    @property
    def sketches(self) -> dict[str, Sketch]:
        """What was counted, by column; columns that no record was seen of are left out."""
        found = {name: each.sketch for name, each in self._columns.items()}
        return {name: sketch for name, sketch in found.items() if sketch.rows}


_TIMES = (Kind.DATE, Kind.TIMESTAMP)


def _watched(table: Table) -> Iterable[Column]:
    named = {*table.key, *(column.name for column, _ in table.references), table.placeholder}
    return (
        column for column in table.with_role(Role.SOURCE)
        if column.name not in named and column.kind not in _TIMES
    )  # fmt: skip
