"""Writes the loaded tables to files, each whole or not at all.

A text in a CSV file that a spreadsheet would run as a formula (it begins with = + - @ or a control
character) gets an apostrophe in front, and so does one that begins with an apostrophe: whoever
reads such a file takes one away. Parquet files hold every text as it is.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv

from etl.cloud.faults import CloudError
from etl.cloud.objects import atomic
from etl.engines import dialect as sql_dialects
from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.libraries import parquet
from etl.rejects import guarded_cells
from etl.schema.arrow import arrow_schema
from etl.schema.star import STAR_TABLES
from etl.schema.table import Table

# Rows held at a time; wide enough for good Parquet row groups.
_CHUNK_ROWS = 100_000


def export_tables(
    db: DatabaseManager, folder: Path, file_format: str, tables: Sequence[Table] = STAR_TABLES
) -> list[Path]:
    """Write every table, sorted by key.

    Args:
        db: the open warehouse.
        folder: where the files go; made when missing.
        file_format: `csv` (UTF-8, with a header, formulas guarded) or `parquet` (exact).
        tables: those to be written.

    Returns:
        The files.

    Raises:
        LoadingError: a file cannot be written.
    """
    return [_export(db, table, folder / f"{table.name}.{file_format}") for table in tables]


def _export(db: DatabaseManager, table: Table, path: Path) -> Path:
    schema = arrow_schema(table.columns)
    try:
        with atomic(path) as file, _writer(file, schema, path.suffix) as writer:
            for block in db.blocks(sql_dialects.select_all(table), schema, _CHUNK_ROWS):
                safe = _guarded(block) if path.suffix == ".csv" else block
                writer.write_table(pa.Table.from_batches([safe]))
    except (OSError, CloudError) as error:
        raise _cannot_write(path, error) from error
    return path


def _guarded(block: pa.RecordBatch) -> pa.RecordBatch:
    texts = (pa.types.is_string(kind) for kind in block.schema.types)
    columns = [guarded_cells(c) if t else c for c, t in zip(block.columns, texts, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=block.schema)


def _cannot_write(path: Path, error: OSError | CloudError) -> LoadingError:
    if isinstance(error, CloudError):
        what = f"the export {error.what}; the tables themselves are loaded"
        return LoadingError(what, next_step=error.next_step)
    reason = os.strerror(error.errno) if error.errno else str(error)
    return LoadingError(
        f"the export {path} cannot be written: {reason}; the tables themselves are loaded",
        next_step="make room or give the right to write there, then run the export again",
    )


def _writer(file: BinaryIO, schema: pa.Schema, suffix: str) -> Any:
    if suffix == ".csv":
        return pyarrow.csv.CSVWriter(file, schema)
    return parquet().ParquetWriter(file, schema)
