"""Where sales come from: an ODBC source, a DuckDB file, or a CSV file under the same query."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import duckdb

from etl.engines.duckdb import arrow_blocks
from etl.engines.registry import engine_of
from etl.errors import ExtractionError
from etl.rules.blocks import Block
from etl.schema.source_columns import SALES_COLUMNS
from etl.sources.csv_reader import read_csv_file
from etl.sources.pieces import QueryPart
from etl.sources.sales_queries import count_query, left_out_query, sales_query
from etl.sources.sales_reading import (
    CSV_SCHEME,
    DEFAULT_READING,
    ReadTexts,
    SalesReading,
    count_left_out,
    log_left_out,
    no_rejects,
    numbered,
)
from etl.sources.sales_server import SETTING, read_sales_server
from etl.sources.sales_texts import SalesTexts
from etl.sources.several import SourceFile, SourceFiles, moved
from etl.sources.watch import Watch
from etl.sources.window import Window

# What is read of a file besides its columns.
SALES_BESIDES = ("status",)


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
    return read_sales_server(connection_string, window, reading)


def read_sales_part(
    connection_string: str, part: QueryPart, reading: SalesReading
) -> Iterator[Block]:
    """Stream the sales of a part of a window, see `read_sales`."""
    for block in read_sales(connection_string, cast(Window, part.window), reading):
        yield moved(block, part.number)


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
                yield Block(numbered(records, row), no_rejects(), records.num_rows)
                row += records.num_rows
            others = connection.execute(left_out_query(reading.statuses), params).fetchall()
            count_left_out(reading, others)
    except duckdb.Error as error:
        raise _query_failed(error) from error


def _query_failed(error: Exception) -> ExtractionError:
    return ExtractionError(
        f"the sales query failed: {error}",
        next_step="check SALES_DB_CONNECTION_STRING and that the table sales_transactions has "
        "the columns of the query",
    )


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
    yield from SalesTexts(read, window, reading).blocks()
    log_left_out(reading)
