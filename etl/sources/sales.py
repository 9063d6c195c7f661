"""Where sales come from: an ODBC source, a DuckDB file, or a CSV file under the same query."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from etl.engines.dialect import text_literal
from etl.engines.duckdb import arrow_blocks
from etl.engines.engine import Reader
from etl.engines.odbc_types import in_utc
from etl.engines.registry import engine_of
from etl.errors import ExtractionError
from etl.rejects import MISSING, UNREADABLE, one_block, reject_block
from etl.resilience.circuit_breaker import CircuitBreaker
from etl.resilience.transient import is_transient
from etl.rules import columns as field_rules
from etl.rules import values as value_rules
from etl.rules.blocks import Block
from etl.rules.checks import SERIAL
from etl.rules.dates import looks_like_serial, read_timestamps
from etl.rules.texts import NULL_WORDS, is_null_word
from etl.schema.source_columns import COMPLETED, SALES_COLUMNS
from etl.sources.csv_format import PLAIN, CsvFormat
from etl.sources.csv_reader import read_csv_file
from etl.sources.meter import ROWS, Meter
from etl.sources.partitions import Extent
from etl.sources.pieces import QueryPart
from etl.sources.servers import ServerQuery, open_query
from etl.sources.several import SourceFile, SourceFiles, moved
from etl.sources.watch import Watch
from etl.sources.window import Window

logger = logging.getLogger(__name__)

ReadTexts = Callable[[], Iterator[Block]]
UTC = "UTC"
CSV_SCHEME = "csv:///"
SETTING = "SALES_DB_CONNECTION_STRING"
# What is read of a file besides its columns.
SALES_BESIDES = ("status",)
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

    def begin(self, counted: Sequence[Any] | None) -> None:
        """Begin to measure a reading, of which a query has counted the rows."""
        self.meter.done, self.meter.total = 0, int(counted[0]) if counted else None

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


# The same in SQL; TRIM alone is not in every dialect.
_STATUS = "LOWER(LTRIM(RTRIM(status)))"


def _listed(statuses: Sequence[str]) -> str:
    return ", ".join(text_literal(value_rules.comparable_status(status)) for status in statuses)


def sales_query(extra: Sequence[str] = (), statuses: Sequence[str] = (COMPLETED,)) -> str:
    """Return the query for completed sales. Parameters: first and last instant of the window.

    Args:
        extra: further columns wanted, for sources that have them.
        statuses: those of the sales that count.
    """
    columns = [
        "transaction_id", "customer_id", "product_id", "quantity", "unit_price",
        "discount_amount", "transaction_date", "sales_rep_id", *extra,
    ]  # fmt: skip
    wanted = ",\n    ".join(columns)
    return f"""SELECT
    {wanted}
FROM sales_transactions
WHERE transaction_date BETWEEN ? AND ?
    AND {_STATUS} IN ({_listed(statuses)})
ORDER BY transaction_date;"""  # noqa: S608  # names from this module


def count_query(statuses: Sequence[str] = (COMPLETED,)) -> str:
    """Return the query for how many sales `sales_query` gives."""
    return f"""SELECT COUNT(*)
FROM sales_transactions
WHERE transaction_date BETWEEN ? AND ?
    AND {_STATUS} IN ({_listed(statuses)});"""  # noqa: S608  # likewise


def extent_query(statuses: Sequence[str] = (COMPLETED,)) -> str:
    """Return the query for the first and last date of what `sales_query` gives, and its rows."""
    return count_query(statuses).replace(
        "COUNT(*)", "MIN(transaction_date), MAX(transaction_date), COUNT(*)", 1
    )


def left_out_query(statuses: Sequence[str] = (COMPLETED,)) -> str:
    """Return the query for how many sales of the window have another status, by status."""
    return f"""SELECT status, COUNT(*)
FROM sales_transactions
WHERE transaction_date BETWEEN ? AND ?
    AND (status IS NULL OR {_STATUS} NOT IN ({_listed(statuses)}))
GROUP BY status;"""  # noqa: S608  # likewise


def sales_breaker(failure_threshold: int = 5, recovery_seconds: float = 60.0) -> CircuitBreaker:
    """A breaker for connecting to a sales database; errors that do not pass count as answers.

    A run that begins to read anew after a lost connection connects with retries each time. The
    breaker, which outlives these attempts, ends that.
    """
    return CircuitBreaker(
        failure_threshold, recovery_seconds, name="sales database", counts=is_transient
    )


def read_sales(
    connection_string: str, window: Window, reading: SalesReading = DEFAULT_READING
) -> Iterator[Block]:
    """Streams the completed sales of a window, oldest first; of a file, block by block.

    Args:
        connection_string: an ODBC string; `postgresql://...`; `duckdb:///path`; or `csv:///path`,
            over which the same query runs in the embedded engine. Empty: `reading.records`.
        window: first and last instant, both included.
        reading: block size and the like.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: the source cannot be read; the engine's own error is its cause.
    """
    reading.left_out.clear()
    if reading.records:
        return _read_texts(reading.records, window, reading)
    if connection_string.startswith(CSV_SCHEME):
        path = Path(connection_string.removeprefix(CSV_SCHEME))
        return read_sales_files(SourceFiles.of(path), window, reading)
    engine = engine_of(connection_string, SETTING)
    if engine.reader is None:
        database = engine.file_of(connection_string)
        return _read_sales_duckdb(database, window, reading)
    return _read_sales_server(connection_string, window, reading)


def sales_extent(connection_string: str, window: Window, reading: SalesReading) -> Extent | None:
    """Return what a database server has to divide; None for a file.

    Raises:
        ExtractionError: it cannot be asked.
    """
    is_csv = connection_string.startswith(CSV_SCHEME)
    if is_csv or engine_of(connection_string, SETTING).reader is None:
        return None
    named = (reading.watch or Watch()).dates.zone
    query = sales_of(connection_string, window, reading.statuses, named)
    query = replace(query, sql=extent_query(reading.statuses))
    with closing(open_query(query, reading.breaker or sales_breaker())) as source:
        first, last, rows = source.fetchmany(1)[0]
    zone = ZoneInfo(named)
    return Extent(_wall_clock(first, zone), _wall_clock(last, zone), int(rows))


def read_sales_part(
    connection_string: str, part: QueryPart, reading: SalesReading
) -> Iterator[Block]:
    """Stream the sales of a part of a window, see `read_sales`."""
    for block in read_sales(connection_string, cast(Window, part.window), reading):
        yield moved(block, part.number)


def _numbered(records: pa.RecordBatch, first_row: int) -> pa.RecordBatch:
    rows = pa.array(range(first_row, first_row + records.num_rows), pa.int64())
    columns = [records.column(name) for name in SALES_COLUMNS]
    return pa.RecordBatch.from_arrays([rows, *columns], ["source_row", *SALES_COLUMNS])


def _no_rejects() -> pa.RecordBatch:
    return reject_block(SALES_COLUMNS, [])


def _read_sales_duckdb(path: Path | None, window: Window, reading: SalesReading) -> Iterator[Block]:
    if path and not path.exists():
        raise FileNotFoundError(f"the sales database {path} does not exist")
    row = 1
    try:
        with duckdb.connect(str(path or ":memory:"), read_only=path is not None) as connection:
            params = (window.start, window.end)
            query = sales_query(statuses=reading.statuses)
            counted = connection.execute(count_query(reading.statuses), params).fetchall()
            reading.begin(counted[0])
            for records in arrow_blocks(connection, query, params, chunk_rows=reading.chunk_rows):
                reading.meter.done += records.num_rows
                yield Block(_numbered(records, row), _no_rejects(), records.num_rows)
                row += records.num_rows
            others = connection.execute(left_out_query(reading.statuses), params).fetchall()
            _count_left_out(reading, others)
    except duckdb.Error as error:
        raise _query_failed(error) from error


def _query_failed(error: Exception) -> ExtractionError:
    return ExtractionError(
        f"the sales query failed: {error}",
        next_step="check SALES_DB_CONNECTION_STRING and that the table sales_transactions has "
        "the columns of the query",
    )


def _read_sales_server(
    connection_string: str, window: Window, reading: SalesReading
) -> Iterator[Block]:
    breaker = reading.breaker or sales_breaker()
    named = (reading.watch or Watch()).dates.zone
    query, zone = sales_of(connection_string, window, reading.statuses, named), ZoneInfo(named)
    count = replace(query, sql=count_query(reading.statuses))
    with closing(open_query(count, breaker)) as source:
        reading.begin(next(iter(source.fetchmany(1)), None))
    with closing(open_query(query, breaker)) as source:
        row = 1
        while rows := source.fetchmany(reading.chunk_rows):
            reading.meter.done += len(rows)
            rows = [_in_zone(found, zone) for found in rows]
            kept = [found[:-1] for found in rows if _is_wanted(found, window, reading)]
            columns = [_text_column(column) for column in zip(*kept, strict=True)]
            if columns:
                records = pa.RecordBatch.from_arrays(columns, list(SALES_COLUMNS))
                yield Block(_numbered(records, row), _no_rejects(), len(kept))
            row += len(kept)
    left_out = _left_out_of(connection_string, window, reading.statuses, named)
    with closing(open_query(left_out, breaker)) as source:
        while rows := source.fetchmany(reading.chunk_rows):
            _count_left_out(reading, rows)
    _log_left_out(reading)


def _count_left_out(reading: SalesReading, counted: Iterable[Sequence[Any]]) -> None:
    for status, sales in counted:
        reading.leave_out(status, int(sales))


_DATE = SALES_COLUMNS.index("transaction_date")


def _in_zone(found: Sequence[Any], zone: ZoneInfo) -> Sequence[Any]:
    """The row, with the wall clock of the zone in place of a time with an offset."""
    date = _wall_clock(found[_DATE], zone)
    return found if date is found[_DATE] else (*found[:_DATE], date, *found[_DATE + 1 :])


def _wall_clock(value: Any, zone: ZoneInfo) -> Any:
    if not isinstance(value, datetime) or value.tzinfo is None:
        return value
    return value.astimezone(zone).replace(tzinfo=None)


def _is_wanted(found: Sequence[Any], window: Window, reading: SalesReading) -> bool:
    """What the server's collation and its finer clock let through, and is not meant."""
    status, date = found[-1], found[_DATE]
    if isinstance(date, datetime) and date > window.end:
        return False
    if value_rules.comparable_status(status) in reading.wanted:
        return True
    reading.leave_out(status, 1)
    return False


def _text_column(values: tuple[object, ...]) -> pa.Array:
    return pa.array([value_rules.as_text(value) for value in values], pa.string())


def sales_of(
    connection_string: str, window: Window, statuses: Sequence[str] = (COMPLETED,), zone: str = UTC
) -> ServerQuery:
    """Return the query for the sales of a window on a database server, the status besides.

    Args:
        connection_string: of the server.
        window: first and last instant, both included, on the wall clock of a zone.
        statuses: those of the sales that count.
        zone: its name.
    """
    return ServerQuery(
        connection_string, SETTING, sales_query(("status",), statuses),
        lambda reader: _asked(reader, window.start, _last_tick(reader, window), zone),
    )  # fmt: skip


def _left_out_of(
    connection_string: str, window: Window, statuses: Sequence[str], zone: str
) -> ServerQuery:
    return ServerQuery(
        connection_string, SETTING, left_out_query(statuses),
        lambda reader: _asked(reader, window.start, window.end, zone),
    )  # fmt: skip


def _asked(reader: Reader, start: datetime, end: datetime, zone: str) -> tuple[datetime, datetime]:
    """The ends of a window as the server compares them."""
    if not reader.keeps_offset("sales_transactions", "transaction_date"):
        return start, end
    return in_utc(start, ZoneInfo(zone)), in_utc(end, ZoneInfo(zone))


def _last_tick(reader: Reader, window: Window) -> datetime:
    """The end of the window; where the server's clock is finer than ours, the instant after it.

    SQL Server's DATETIME2(7) goes on for 900 nanoseconds after the last microsecond of a day.
    """
    finer = reader.ticks_finer and window.end < datetime.max
    return window.end + timedelta(microseconds=1) if finer else window.end


class _SalesTexts:
    """Sales as texts: those of the window that count, and how many of it do not."""

    def __init__(self, read: ReadTexts, window: Window, reading: SalesReading) -> None:
        self.read, self.window, self.reading = read, window, reading
        self.watch = reading.watch or Watch()
        self._statuses = pa.array(sorted(reading.wanted), pa.string())

    def blocks(self) -> Iterator[Block]:
        """Their blocks, each oldest first, with timestamps."""
        self.watch.begin()
        for block in self.read():
            yield from self._chosen(block)
        self.watch.end_dates("transaction_date")

    def _chosen(self, block: Block) -> Iterator[Block]:
        status = field_rules.clean_text(block.records.column("status"))
        counts = pc.is_in(pc.utf8_lower(status), value_set=self._statuses)
        dates = self._dates(block.records.column("transaction_date"))
        within = self._in_window(dates)
        self._leave_out(status.filter(pc.and_not(within, counts)))
        undated = _undated(block.records, pc.and_(counts, pc.is_null(dates)))
        records = _dated(block.records, dates, pc.and_(within, counts))
        rejected = one_block([block.rejected, undated])
        return _parts(replace(block, records=records, rejected=rejected), self.reading.chunk_rows)

    def _dates(self, texts: pa.Array) -> pa.Array:
        nulls = is_null_word(texts, self.reading.null_words)
        texts = pc.if_else(nulls, "", texts) if nulls.true_count else texts
        self.watch.see_dates("transaction_date", texts)
        return read_timestamps(texts, self.watch.dates)

    def _in_window(self, dates: pa.Array) -> pa.Array:
        start, end = (pa.scalar(end, dates.type) for end in (self.window.start, self.window.end))
        within = pc.and_(pc.greater_equal(dates, start), pc.less_equal(dates, end))
        return pc.fill_null(within, False)

    def _leave_out(self, statuses: pa.Array) -> None:
        for entry in statuses.value_counts().to_pylist():
            self.reading.leave_out(entry["values"], entry["counts"])


def _dated(records: pa.RecordBatch, dates: pa.Array, chosen: pa.Array) -> pa.RecordBatch:
    """The chosen records without their status, by date and then as they were read."""
    names = [name for name in records.schema.names if name != "status"]
    values = {name: records.column(name) for name in names} | {"transaction_date": dates}
    found = pa.RecordBatch.from_pydict(values).filter(chosen)
    found = found.select(_in_order(names))
    return found.take(pc.sort_indices(found.column("transaction_date")))


def _in_order(names: Sequence[str]) -> list[str]:
    known = ("source_row", *SALES_COLUMNS)
    return [*known, *(name for name in names if name not in known)]


def _parts(block: Block, chunk_rows: int) -> Iterator[Block]:
    """A block in parts of so many records; what was rejected and examined is in the first."""
    rest = block
    for start in range(0, block.records.num_rows, chunk_rows):
        yield replace(rest, records=block.records.slice(start, chunk_rows))
        rest = replace(rest, rejected=_no_rejects(), examined=0)
    if rest.examined:  # nothing of it is wanted
        yield rest


def _undated(records: pa.RecordBatch, undated: pa.Array) -> pa.RecordBatch:
    found = records.filter(undated).select(["source_row", *SALES_COLUMNS])
    serial = looks_like_serial(found.column("transaction_date")).to_pylist()
    rows = zip(found.to_pylist(), serial, strict=True)
    return reject_block(SALES_COLUMNS, [_undated_row(*each) for each in rows])


_NO_DATE = (
    "is no date, so no window holds it; write YYYY-MM-DD or YYYY-MM-DD HH:MM:SS, or fix the order "
    "of day and month with date_order"
)


def _undated_row(row: dict[str, Any], serial: bool) -> dict[str, object]:
    value = row["transaction_date"]
    return row | {
        "record_key": row["transaction_id"].strip(),
        "error_class": UNREADABLE if value.strip() else MISSING,
        "field": "transaction_date",
        "value": value[:200],
        "reason": f"transaction_date {SERIAL if serial else _NO_DATE}",
    }


def read_sales_files(
    files: SourceFiles, window: Window, reading: SalesReading = DEFAULT_READING
) -> Iterator[Block]:
    """Stream the completed sales of CSV files that are read as one source.

    Args:
        files: the files.
        window: first and last instant, both included.
        reading: how they are written, and the like.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: one cannot be read.
    """
    reading.left_out.clear()
    reading = replace(reading, watch=reading.watch or Watch())

    def read_one(file: SourceFile) -> Iterator[Block]:
        return read_csv_file(
            file, SALES_COLUMNS, besides=SALES_BESIDES, csv_format=reading.csv_format,
            watch=reading.watch,
        )  # fmt: skip

    return _read_texts(lambda: files.read(read_one, reading.watch or Watch()), window, reading)


def _read_texts(read: ReadTexts, window: Window, reading: SalesReading) -> Iterator[Block]:
    """Apply the query's conditions to one block after the other: nothing has to wait for all."""
    yield from _SalesTexts(read, window, reading).blocks()
    _log_left_out(reading)


def _log_left_out(reading: SalesReading) -> None:
    if reading.left_out:
        counted = ", ".join(f"{n} {status}" for status, n in reading.left_out.most_common(5))
        wanted = ", ".join(reading.statuses)
        logger.info("sales of another status than %s left out: %s", wanted, counted)
