"""How sales are read, and how those of another status are counted."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from etl.rejects import reject_block
from etl.resilience.circuit_breaker import CircuitBreaker
from etl.resilience.transient import is_transient
from etl.rules import values as value_rules
from etl.rules.blocks import Block
from etl.rules.texts import NULL_WORDS
from etl.schema.source_columns import COMPLETED, SALES_COLUMNS
from etl.sources.csv_format import PLAIN, CsvFormat
from etl.sources.meter import ROWS, Meter
from etl.sources.watch import Watch
from etl.words import counted

CSV_SCHEME = "csv:///"  # before the path of a file
logger = logging.getLogger(__name__)

ReadTexts = Callable[[], Iterator[Block]]
_SHOWN_CHARACTERS = 40  # of a status that is none
_MOST_STATUSES = 20  # that are counted by name; more of them are no statuses
_MOST_STATUSES_OF_A_PART = 10_000  # which of them have a name is seen when all parts are there


@dataclass(frozen=True)
class SalesReading:
    """How sales are read.

    Attributes:
        chunk_rows: rows fetched at a time.
        csv_format: how the CSV file is written.
        null_words: texts that stand for a missing date.
        watch: notices what the source is like; None for one per reading.
        breaker: leaves the database alone when it cannot be reached; None for one per reading.
        statuses: those of the sales that count, whatever their case and the blanks around them.
        records: gives the blocks of a source that is no file and no database: its records as text,
            with their status.
        left_out: takes how many sales of the window have another status, by status; it is emptied
            when a reading begins.
        meter: how many rows of a database were read, of how many.
    """

    chunk_rows: int = 50_000
    csv_format: CsvFormat = PLAIN
    breaker: CircuitBreaker | None = None
    null_words: tuple[str, ...] = NULL_WORDS
    watch: Watch | None = None
    statuses: tuple[str, ...] = (COMPLETED,)
    records: ReadTexts | None = None
    left_out: Counter[str] = field(default_factory=Counter)
    meter: Meter = field(default_factory=lambda: Meter(ROWS))

    @property
    def wanted(self) -> frozenset[str]:
        """The statuses as they are compared."""
        return frozenset(map(value_rules.comparable_status, self.statuses))

    def begin(self, found: Sequence[Any] | None) -> None:
        """Begin to measure a reading, of which a query has counted the rows."""
        self.meter.done, self.meter.total = 0, int(found[0]) if found else None

    def leave_out(self, status: object, sales: int) -> None:
        """Count sales of another status."""
        shown = str(status or "").strip()[:_SHOWN_CHARACTERS] or "(none)"
        partial = self.watch is not None and self.watch.partial
        most = _MOST_STATUSES_OF_A_PART if partial else _MOST_STATUSES
        count_by_name(self.left_out, shown, sales, most)


def count_by_name(
    left_out: Counter[str], status: str, sales: int, most: int = _MOST_STATUSES
) -> None:
    """Count sales of a status, or of others where so many have a name already.

    Example:
        >>> left_out = Counter({"open": 1})
        >>> count_by_name(left_out, "lost", 2, most=1)
        >>> dict(left_out)
        {'open': 1, '(others)': 2}
    """
    named = status in left_out or len(left_out) < most
    left_out[status if named else "(others)"] += sales


DEFAULT_READING = SalesReading()


def sales_breaker(failure_threshold: int = 5, recovery_seconds: float = 60.0) -> CircuitBreaker:
    """A breaker for connecting to a sales database; errors that do not pass count as answers.

    A run that begins to read anew after a lost connection connects with retries each time. The
    breaker, which outlives these attempts, ends that.
    """
    return CircuitBreaker(
        failure_threshold, recovery_seconds, name="sales database", counts=is_transient
    )


def numbered(records: pa.RecordBatch, first_row: int) -> pa.RecordBatch:
    """Return records of a query with the numbers of their rows."""
    rows = pa.array(range(first_row, first_row + records.num_rows), pa.int64())
    columns = [records.column(name) for name in SALES_COLUMNS]
    return pa.RecordBatch.from_arrays([rows, *columns], ["source_row", *SALES_COLUMNS])


def no_rejects() -> pa.RecordBatch:
    """Return a block without a rejected record."""
    return reject_block(SALES_COLUMNS, [])


def count_left_out(reading: SalesReading, found: Iterable[Sequence[Any]]) -> None:
    """Count what `left_out_query` found; sales without a date are for a person to look at."""
    for status, sales, undated in found:
        if not undated:
            reading.leave_out(status, int(sales))
        elif sales and reading.watch:
            what = f"{counted(int(sales), 'sale')} without a transaction_date in the database"
            reading.watch.warnings[f"{what}: no run reads them before the source gives one"] = None


def log_left_out(reading: SalesReading) -> None:
    """Log how many sales a reading has left out for their status."""
    if reading.left_out:
        by_status = ", ".join(f"{n} {status}" for status, n in reading.left_out.most_common(5))
        wanted = ", ".join(reading.statuses)
        logger.info("sales of another status than %s left out: %s", wanted, by_status)
