"""The customers file as a stream of blocks."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from etl.rules.blocks import Block
from etl.schema.arrow import text_schema
from etl.schema.source_columns import CUSTOMER_COLUMNS
from etl.sources.csv_format import PLAIN, CsvFormat
from etl.sources.csv_reader import read_csv_file, read_csv_rows
from etl.sources.files import FileTrace
from etl.sources.several import SourceFile, SourceFiles
from etl.sources.watch import Watch


def read_customers(
    path: Path | SourceFiles,
    *,
    csv_format: CsvFormat = PLAIN,
    trace: FileTrace | None = None,
    watch: Watch | None = None,
) -> Iterator[Block]:
    """Read the customers file as a stream of blocks.

    Args:
        path: the file, or several that are read as one source.
        csv_format: how it is written.
        trace: is filled with what was read of a single file.
        watch: notices what the file is like.

    Raises:
        OrderProvenError: a date proves an order, and others were read before it.
        HeldBackError: dates prove both orders.
        FileNotFoundError: there is no such file.
        ValidationError: a required column is missing, or the file is empty.
        ExtractionError: it cannot be read, or not as this encoding.
    """
    watch = watch or Watch()
    watch.begin()
    files = path if isinstance(path, SourceFiles) else SourceFiles.of(path, trace=trace)

    def read_one(file: SourceFile) -> Iterator[Block]:
        return read_csv_file(file, CUSTOMER_COLUMNS, csv_format=csv_format, watch=watch)

    for block in files.read(read_one, watch):
        watch.see_dates("registration_date", block.records.column("registration_date"))
        yield block
    watch.end_dates("registration_date")


def read_csv_originals(
    file: SourceFile, columns: tuple[str, ...], *, rows: pa.Array, csv_format: CsvFormat = PLAIN
) -> pa.Table:
    """Read single records of a CSV file again, as they were written.

    Args:
        file: the file, with what was remembered of it.
        columns: the source's columns.
        rows: the source rows that are wanted.
        csv_format: how the file is written.
    """
    only = np.sort(rows.to_numpy(zero_copy_only=False))
    blocks = read_csv_rows(file.path, columns, only, csv_format=csv_format, trace=file.trace)
    return pa.Table.from_batches([block.records for block in blocks], text_schema(columns))
