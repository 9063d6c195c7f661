"""Rows of Python values, of drivers that have nothing better, and what texts they become."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from etl.errors import ExtractionError
from etl.rules.values import as_text


def text_block(names: Sequence[str], columns: Sequence[Sequence[Any]], zone: str) -> pa.RecordBatch:
    r"""Return columns of Python values as a block of texts.

    Args:
        names: of the columns.
        columns: their values.
        zone: to which times with an offset are converted.

    Example:
        >>> text_block(["a"], [[1.5, None, b"\x01", [1, "x"]]], "UTC").to_pydict()
        {'a': ['1.5', None, '01', '[1, "x"]']}
    """
    text = partial(text_of_value, zone=ZoneInfo(zone))
    arrays = [pa.array(map(text, values), pa.string()) for values in columns]
    return pa.RecordBatch.from_arrays(arrays, list(names))


def text_of_value(value: Any, zone: ZoneInfo) -> str | None:
    """Return a value of a database as text; a time with an offset as the wall clock of a zone.

    Example:
        >>> text_of_value(datetime.fromisoformat("2024-01-15T10:30+02:00"), ZoneInfo("UTC"))
        '2024-01-15T08:30:00'
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(zone).replace(tzinfo=None)
    if isinstance(value, dict | list):
        return json.dumps(value, default=str, ensure_ascii=False)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return as_text(value)


def in_utc(moment: datetime, zone: str) -> datetime:
    """Return the wall clock of a zone as a moment in UTC.

    Example:
        >>> in_utc(datetime(2024, 7, 1, 12), "Europe/Berlin").isoformat()
        '2024-07-01T10:00:00+00:00'
    """
    return moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def records_of(cursor: Any, chunk_rows: int) -> Iterator[dict[str, Any]]:
    """Yield the rows that a cursor of a driver has found, by the names of their columns.

    Args:
        cursor: of any driver that keeps to PEP 249, after its query.
        chunk_rows: rows fetched at a time.
    """
    names = [column[0] for column in cursor.description]
    while rows := cursor.fetchmany(chunk_rows):
        yield from (dict(zip(names, row, strict=True)) for row in rows)


Chunk = tuple[tuple[str, ...], Sequence[Sequence[Any]]]


def duckdb_rows(
    path: Path | None, setting: str, sql: str, params: Sequence[object] = (), *, chunk_rows: int
) -> Iterator[Chunk]:
    """Yield the names of the columns of a query and some rows at a time, at least once.

    Args:
        path: of the embedded database; None: one in memory.
        setting: where that was set, for messages.
        sql: the query.
        params: its parameters.
        chunk_rows: rows at a time.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: the query fails.
    """
    if path and not path.exists():
        raise FileNotFoundError(f"the database {path} of {setting} does not exist")
    try:
        with duckdb.connect(str(path or ":memory:"), read_only=path is not None) as connection:
            found = connection.execute(sql, params)
            names = tuple(column[0] for column in found.description or ())
            while True:
                rows = found.fetchmany(chunk_rows)
                yield names, rows
                if not rows:
                    return
    except duckdb.Error as error:
        raise ExtractionError(
            f"{setting}: the query failed: {error}",
            next_step="check it, and the table or query of the source",
        ) from error
