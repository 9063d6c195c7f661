"""Sales in a database on a server, whose clock and collation may differ from ours."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from etl.engines.engine import Reader
from etl.engines.odbc_types import in_utc
from etl.engines.registry import engine_of
from etl.rules import values as value_rules
from etl.rules.blocks import Block
from etl.schema.source_columns import COMPLETED, SALES_COLUMNS
from etl.sources.partitions import Extent
from etl.sources.sales_queries import count_query, extent_query, left_out_query, sales_query
from etl.sources.sales_reading import (
    CSV_SCHEME,
    SalesReading,
    count_left_out,
    log_left_out,
    no_rejects,
    numbered,
    sales_breaker,
)
from etl.sources.servers import ServerQuery, open_query
from etl.sources.watch import Watch
from etl.sources.window import Window

UTC = "UTC"
SETTING = "SALES_DB_CONNECTION_STRING"


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


def read_sales_server(
    connection_string: str, window: Window, reading: SalesReading
) -> Iterator[Block]:
    """Stream the sales of a database on a server, see `read_sales`."""
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
                yield Block(numbered(records, row), no_rejects(), len(kept))
            row += len(kept)
    left_out = _left_out_of(connection_string, window, reading.statuses, named)
    with closing(open_query(left_out, breaker)) as source:
        while rows := source.fetchmany(reading.chunk_rows):
            count_left_out(reading, rows)
    log_left_out(reading)


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
