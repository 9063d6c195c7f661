"""What a run is asked to do and what it did, as plain values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

from etl.schema.table import Table
from etl.sources.window import EVERYTHING, AnyWindow, Window

INCREMENTAL = "incremental"
ONE_DATE = "date"
BACKFILL = "backfill"
FULL_REFRESH = "full_refresh"
MANUAL = "manual"
REPROCESS = "reprocess"

# The modes that read everything a source has, within the window of sales.
READS_WHOLE_SOURCES = (INCREMENTAL, ONE_DATE, BACKFILL, FULL_REFRESH)


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
    """Return the present moment in UTC, without a zone, as the audit columns hold it."""
    return datetime.now(UTC).replace(tzinfo=None)


def run_id_after(now: datetime, last: str | None) -> str:
    """Return a run id that sorts after the last one, even when the clock went back.

    Args:
        now: the present moment, UTC.
        last: the newest run id in the warehouse.

    Example:
        >>> run_id_after(datetime(2024, 1, 20, 14, 30, 45, 7), None)
        '20240120T143045.000007Z'
        >>> run_id_after(datetime(2024, 1, 20), "20240120T143045.000007Z")
        '20240120T143045.000008Z'
    """
    if last:
        now = max(now, time_of(last) + timedelta(microseconds=1))
    return now.strftime(_RUN_ID)


_RUN_ID = "%Y%m%dT%H%M%S.%fZ"


def time_of(run_id: str) -> datetime:
    """Return the moment that a run id names, UTC; it is later than that of the run before.

    Example:
        >>> time_of("20240120T143045.000007Z")
        datetime.datetime(2024, 1, 20, 14, 30, 45, 7)
    """
    return datetime.strptime(run_id, _RUN_ID)  # UTC throughout


@dataclass(frozen=True)
class LoadCounts:
    """What happened to the records of one table in one run; the columns of `etl_load`."""

    rows_read: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_rejected: int = 0
    rows_duplicate: int = 0
    rows_superseded: int = 0
    rows_removals: int = 0
    rows_inferred: int = 0
    rows_restated: int = 0
    rows_vanished: int = 0
    rows_removed: int = 0
    batches: int = 0
    seconds: float = 0.0

    def plus(self, other: "LoadCounts") -> "LoadCounts":
        """Return the sum, count by count.

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
            + self.rows_superseded
            + self.rows_removals
        )


@dataclass(frozen=True)
class Input:
    """A file, how it was read, and what was found in it.

    Attributes:
        sha256: of its bytes.
        size_bytes: how many.
        settings: digest of the rules and settings by which it was read.
        facts: what a run reports of it besides its counts, as JSON.
        since: the run that loaded it; empty for the one that is under way.
    """

    sha256: str
    size_bytes: int
    settings: str
    facts: str
    since: str = ""


@dataclass(frozen=True)
class Staged:
    """A source, or a batch of it, that stands complete in a table, ready to be applied.

    Attributes:
        rows: name of the table of its records.
        rejected: name of the table of the keys of its rejected records.
        rows_returned: how many of the rejected records are returns, outside the reject limit.
        partial: it is not all the source has, so that what is missing has not vanished.
        notes: counts of flaws that did not cost a record its place, such as e-mail addresses
            that are not valid.
        input: the file that it is, if it is to be recognised when it comes again.
        folded: what was found in it where it is a feed of changes.
        run_id: the run that staged it.
        moment: as of when its records hold, where that is another one than that of the run.
        is_batch: it is one of several batches.
    """

    table: Table
    rows: str
    rejected: str
    rows_read: int
    rows_rejected: int
    rows_duplicate: int
    rows_returned: int = 0
    window: AnyWindow = EVERYTHING
    seconds: float = 0.0
    partial: bool = False
    notes: Mapping[str, int] = field(default_factory=dict)
    input: Input | None = None
    folded: "Folded | None" = None
    run_id: str = ""
    moment: datetime | None = None
    is_batch: bool = False

    @property
    def seen_at(self) -> datetime:
        """As of when its records hold, unless they say so themselves."""
        return self.moment or time_of(self.run_id)

    @property
    def is_part(self) -> bool:
        """Whether what is missing in it has not vanished from the source."""
        is_feed = self.folded is not None and not self.folded.cleared
        return self.partial or is_feed

    @property
    def rows_staged(self) -> int:
        """The records that are to be merged."""
        folded = self.folded or Folded()
        aside = self.rows_rejected + self.rows_duplicate + folded.superseded + folded.removals
        return self.rows_read - aside


@dataclass(frozen=True)
class Folded:
    """What is left of the changes of a feed once each key has its newest one.

    Attributes:
        removed: name of the table of the keys that are to be removed.
        superseded: how many changes others have overtaken.
        removals: how many say that a row, or that every row, is gone.
        position: how far the source has been read; empty: nothing was.
        cleared: position of the newest change that emptied the whole table; empty: there is none.
    """

    removed: str = ""
    superseded: int = 0
    removals: int = 0
    position: str = ""
    cleared: str = ""


@dataclass(frozen=True)
class Applied:
    """What applying one or more sources did, per table.

    `rows_live` counts the rows that were in the tables before, and still are in the sources.
    `sums` has by table and column the sum of the source and that of its rows, as texts.
    """

    counts: Mapping[str, LoadCounts] = field(default_factory=dict)
    column_changes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    rows_live: Mapping[str, int] = field(default_factory=dict)
    sums: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)

    def of(self, table: Table) -> LoadCounts:
        """Return the counts of one table, zeros when nothing touched it."""
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
            {**self.sums, **other.sums},
        )


def _sums(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in {**first, **second}}


def flaws_in_words(notes: Mapping[str, int]) -> str:
    """Return the counts of `Staged.notes` for people.

    Example:
        >>> flaws_in_words({"invalid_emails": 3, "missing_costs": 1})
        '3 invalid emails, 1 missing costs'
    """
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in notes.items())
