"""What a profile says of a file or table, and of each of its columns; written and read as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from etl.errors import ConfigurationError

FILE, TABLE = "file", "table"
# How many of the most frequent values, and of patterns, are kept.
MOST_VALUES, MOST_PATTERNS = 20, 10
QUANTILES = {"p1": 1, "p5": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95, "p99": 99}

# A value or a pattern, and in how many records it stands.
Count = tuple[str, int]


@dataclass(frozen=True)
class ColumnFigures:
    """What was counted of one column.

    Attributes:
        kind: text, integer, bigint, decimal, double, boolean, date or timestamp.
        rows: records looked at, `nulls` of them without a value.
        distinct: different values, `singles` of them in one record each.
        padded: texts with white space around them.
        lowest, highest: as text; of texts in their own order.
        mean, deviation: of numbers; the deviation is that of a sample.
        percentiles: of numbers and times the 101 values below or at which 0 to 100 per cent of
            the records lie; each is a value that occurs.
        lengths: of texts the shortest, the mean and the longest, in characters.
        frequent: the most frequent values.
        patterns: the most frequent patterns (letters as A and a, digits as 9), of `pattern_count`.
        outliers: by method, how many records lie outside.
        numbers, times: of texts, how many records read as numbers, and as dates.
    """

    name: str
    kind: str
    rows: int
    nulls: int = 0
    distinct: int = 0
    singles: int = 0
    padded: int = 0
    lowest: str | None = None
    highest: str | None = None
    mean: float | None = None
    deviation: float | None = None
    percentiles: tuple[str, ...] = ()
    lengths: tuple[float, ...] = ()
    frequent: tuple[Count, ...] = ()
    patterns: tuple[Count, ...] = ()
    pattern_count: int = 0
    outliers: Mapping[str, int] = field(default_factory=dict)
    numbers: int = 0
    times: int = 0

    @property
    def values(self) -> int:
        """Records that have a value."""
        return self.rows - self.nulls

    @property
    def null_share(self) -> float:
        """The share of the records that have none, 0 to 1."""
        return self.nulls / self.rows if self.rows else 0.0

    def quantile(self, name: str) -> str | None:
        """Return a quantile by its name, such as `median`; None where there is none."""
        return self.percentiles[QUANTILES[name]] if self.percentiles else None

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Self:
        """Read it back."""
        known = {each.name for each in fields(cls)}
        lists = ("percentiles", "lengths")
        counts = ("frequent", "patterns")
        read = {n: v for n, v in entry.items() if n in known}
        read |= {n: tuple(read[n]) for n in lists if n in read}
        read |= {n: tuple((v, c) for v, c in read[n]) for n in counts if n in read}
        return cls(**read)


@dataclass(frozen=True)
class Profile:
    """What was counted of a file or table.

    Attributes:
        kind: file or table.
        made_at: when, UTC, ISO.
        unreadable: lines of a file that cannot be taken apart; they are in no other figure.
        key: the columns that should distinguish its records; none are known.
        key_assumed: whether the key was taken for one by its name.
        key_duplicates: records beyond the first with one key.
        record_duplicates: records beyond the first that are equal in all columns.
    """

    name: str
    kind: str
    made_at: str
    rows: int
    columns: tuple[ColumnFigures, ...]
    unreadable: int = 0
    key: tuple[str, ...] = ()
    key_assumed: bool = False
    key_duplicates: int = 0
    record_duplicates: int = 0

    def column(self, name: str) -> ColumnFigures | None:
        """Return the figures of a column; None where there is no such column."""
        return next((each for each in self.columns if each.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it.

        Example:
            >>> one = Profile("a.csv", FILE, "", 1, (ColumnFigures("id", "text", 1),))
            >>> Profile.from_dict(json.loads(json.dumps(one.as_dict()))) == one
            True
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Self:
        """Read it back."""
        known = {each.name: entry[each.name] for each in fields(cls) if each.name in entry}
        columns = tuple(ColumnFigures.from_dict(each) for each in entry["columns"])
        return cls(**{**known, "columns": columns, "key": tuple(entry.get("key", ()))})


def read_profile(path: Path) -> Profile:
    """Read a profile that was written as JSON.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        return Profile.from_dict(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{path} is no profile", next_step="name one that --profile has written"
        ) from error


def is_profile(path: Path) -> bool:
    """Return whether a file is a profile, by its beginning."""
    if path.suffix != ".json":
        return False
    with path.open("rb") as file:
        start = file.read(400)
    return all(word in start for word in (b'"name"', b'"made_at"', b'"rows"', b'"kind"'))
