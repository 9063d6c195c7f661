"""The customers file as a stream of blocks."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from etl.schema.arrow import text_schema
from etl.schema.source_columns import CUSTOMER_COLUMNS
from etl.sources.blocks import Block, csv_block
from etl.sources.csv_reader import read_csv_blocks
from etl.sources.files import FileTrace


def read_customers(
    path: Path, *, encoding: str = "utf-8", trace: FileTrace | None = None
) -> Iterator[Block]:
    """Streams the customers file.

    Args:
        path: the file.
        encoding: of the file.
        trace: is told what was read.

    Raises:
        FileNotFoundError: there is no such file.
        ValidationError: a required column is missing, or the file is empty.
        ExtractionError: it cannot be read, or not as this encoding.
    """
    columns = CUSTOMER_COLUMNS
    for block in read_csv_blocks(path, columns=columns, encoding=encoding, trace=trace):
        yield csv_block(block, CUSTOMER_COLUMNS)


def read_csv_originals(
    path: Path, columns: tuple[str, ...], *, rows: pa.Array, encoding: str
) -> pa.Table:
    """Reads single records of a CSV file again, as they were written.

    Args:
        path: the file.
        columns: the source's columns.
        rows: the source rows that are wanted.
        encoding: of the file.
    """
    only = rows.to_numpy(zero_copy_only=False)
    blocks = read_csv_blocks(path, columns=columns, encoding=encoding, only_rows=only)
    return pa.Table.from_batches([block.records for block in blocks], text_schema(columns))
