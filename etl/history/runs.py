"""What a run is asked to do and what it did, as plain values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from etl.errors import ConfigurationError
from etl.schema.tables import Table

INCREMENTAL = "incremental"
ONE_DATE = "date"
BACKFILL = "backfill"
FULL_REFRESH = "full_refresh"
MANUAL = "manual"
REPROCESS = "reprocess"

# The modes that read everything a source has, within the window of sales.
READS_WHOLE_SOURCES = (INCREMENTAL, ONE_DATE, BACKFILL, FULL_REFRESH)


@dataclass(frozen=True)
class Window:
    """First and last instant of the sales that were asked for, both included, as wall clocks."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        if self == EVERYTHING:
            return "all sales"
        if self.end == EVERYTHING.end:
            return f"sales from {self.start:%Y-%m-%d} on"
        if self.start.date() == self.end.date():
            return f"sales of {self.start:%Y-%m-%d}"
        return f"sales of {self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}"


EVERYTHING = Window(
    datetime(1, 1, 1),  # a wall clock has no zone
    datetime(9999, 12, 31, 23, 59, 59, 999999),  # likewise
)


def hull(first: Window, second: Window) -> Window:
    """The smallest window that holds both."""
    return Window(min(first.start, second.start), max(first.end, second.end))


def whole_days(first: date, last: date) -> Window:
    """The window of all sales from the first day to the last, both whole.

    Raises:
        ConfigurationError: the first day is after the last.

    Example:
        >>> print(whole_days(date(2024, 1, 20), date(2024, 1, 20)))
        sales of 2024-01-20
        >>> whole_days(date(2024, 1, 20), date(2024, 1, 20)).end
        datetime.datetime(2024, 1, 20, 23, 59, 59, 999999)
    """
    if first > last:
        raise ConfigurationError(
            f"the start date {first} is after the end date {last}",
            next_step="swap --start-date and --end-date",
        )
    return Window(datetime.combine(first, time.min), datetime.combine(last, time.max))


def parse_day(text: str, option: str = "--date") -> date:
    """Reads a date given by hand.

    Raises:
        ConfigurationError: it is no date.

    Example:
        >>> parse_day("2024-01-20")
        datetime.date(2024, 1, 20)
    """
    try:
        return datetime.strptime(text.strip(), "%Y-%m-%d").date()  # a date has no zone
    except ValueError as error:
        raise ConfigurationError(
            f"{option} {text!r} is no date",
            choices="YYYY-MM-DD, such as 2024-01-20",
            next_step="correct it",
        ) from error


def since_watermark(watermark: datetime | None, lag_days: int) -> Window:
    """The window of a plain run: from the watermark less the lag on, or everything.

    Example:
        >>> print(since_watermark(datetime(2024, 1, 20, 8), 3))
        sales from 2024-01-17 on
    """
    if watermark is None or watermark - EVERYTHING.start < timedelta(days=lag_days):
        return EVERYTHING
    return Window(watermark - timedelta(days=lag_days), EVERYTHING.end)


@dataclass(frozen=True)
class RunPlan:
    """What one run is asked to do."""

    run_id: str
    environment: str
    mode: str
    window: Window
    started_at: datetime

    @property
    def full_refresh(self) -> bool:
        """Whether what was not read leaves the warehouse."""
        return self.mode == FULL_REFRESH

    @property
    def is_partial(self) -> bool:
        """Whether the run reads single records, so that what it misses has not vanished."""
        return self.mode not in READS_WHOLE_SOURCES

    @property
    def moves_watermark(self) -> bool:
        """Whether the run reads up to the newest sale, and so may move the watermark."""
        return self.mode in (INCREMENTAL, FULL_REFRESH)


def utc_now() -> datetime:
    """The present moment in UTC, without a zone, as the audit columns hold it."""
    return datetime.now(UTC).replace(tzinfo=None)


def run_id_after(now: datetime, last: str | None) -> str:
    """A run id that sorts after the last one, even when the clock went back.

    Args:
        now: the present moment, UTC.
        last: the newest run id in the warehouse.

    Example:
        >>> run_id_after(datetime(2024, 1, 20, 14, 30, 45, 7), None)
        '20240120T143045.000007Z'
        >>> run_id_after(datetime(2024, 1, 20), "20240120T143045.000007Z")
        '20240120T143045.000008Z'
    """
    form = "%Y%m%dT%H%M%S.%fZ"
    if last:
        earliest = datetime.strptime(last, form) + timedelta(microseconds=1)  # UTC throughout
        now = max(now, earliest)
    return now.strftime(form)


@dataclass(frozen=True)
class LoadCounts:
    """What happened to the records of one table in one run; the columns of `etl_load`."""

    rows_read: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_rejected: int = 0
    rows_duplicate: int = 0
    rows_inferred: int = 0
    rows_restated: int = 0
    rows_vanished: int = 0
    rows_removed: int = 0
    batches: int = 0
    seconds: float = 0.0

    def plus(self, other: "LoadCounts") -> "LoadCounts":
        """The sum, count by count.

        Example:
            >>> LoadCounts(rows_read=2).plus(LoadCounts(rows_read=3, rows_inferred=1)).rows_read
            5
        """
        mine, theirs = asdict(self), asdict(other)
        return LoadCounts(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def accounted(self) -> int:
        """The records whose fate is known; must equal `rows_read`."""
        return (
            self.rows_inserted
            + self.rows_updated
            + self.rows_unchanged
            + self.rows_rejected
            + self.rows_duplicate
        )


@dataclass(frozen=True)
class Staged:
    """A source, or a batch of it, that stands complete in a table, ready to be applied.

    Attributes:
        rows: name of the table of its records.
        rejected: name of the table of the keys of its rejected records.
        partial: it is not all the source has, so that what is missing has not vanished.
        notes: counts of flaws that did not cost a record its place, such as e-mail addresses
            that are not valid.
    """

    table: Table
    rows: str
    rejected: str
    rows_read: int
    rows_rejected: int
    rows_duplicate: int
    window: Window = EVERYTHING
    seconds: float = 0.0
    partial: bool = False
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Applied:
    """What applying one or more sources did, per table.

    `rows_live` counts the rows that were in the tables before, and still are in the sources.
    """

    counts: Mapping[str, LoadCounts] = field(default_factory=dict)
    column_changes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    rows_live: Mapping[str, int] = field(default_factory=dict)

    def of(self, table: Table) -> LoadCounts:
        """The counts of one table, zeros when nothing touched it."""
        return self.counts.get(table.name, LoadCounts())

    def plus(self, other: "Applied") -> "Applied":
        """Both together."""
        names = sorted({*self.counts, *other.counts})
        none = LoadCounts()
        return Applied(
            {n: self.counts.get(n, none).plus(other.counts.get(n, none)) for n in names},
            {
                name: _sums(self.column_changes.get(name, {}), other.column_changes.get(name, {}))
                for name in {**self.column_changes, **other.column_changes}
            },
            _sums(self.rows_live, other.rows_live),
        )


def _sums(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in {**first, **second}}


def flaws_in_words(notes: Mapping[str, int]) -> str:
    """The counts of `Staged.notes` for people.

    Example:
        >>> flaws_in_words({"invalid_emails": 3, "missing_costs": 1})
        '3 invalid emails, 1 missing costs'
    """
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in notes.items())
