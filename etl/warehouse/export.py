"""Writes the loaded tables to files, each whole or not at all."""

import os
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from etl.engines import dialect as sql_dialects
from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.files import AtomicFile
from etl.schema.arrow import arrow_schema
from etl.schema.tables import STAR_TABLES, Table

# Rows held at a time; wide enough for good Parquet row groups.
_CHUNK_ROWS = 100_000


def export_tables(db: DatabaseManager, folder: Path, file_format: str) -> list[Path]:
    """Writes every table of the star schema, sorted by key.

    Args:
        db: the open warehouse.
        folder: where the files go; made when missing.
        file_format: `csv` (UTF-8, with a header) or `parquet`.

    Returns:
        The files.

    Raises:
        LoadingError: a file cannot be written.
    """
    return [_export(db, table, folder / f"{table.name}.{file_format}") for table in STAR_TABLES]


def _export(db: DatabaseManager, table: Table, path: Path) -> Path:
    schema = arrow_schema(table.columns)
    try:
        with AtomicFile(path) as file, _writer(file, schema, path.suffix) as writer:
            for block in db.blocks(sql_dialects.select_all(table), schema, _CHUNK_ROWS):
                writer.write_table(pa.Table.from_batches([block]))
    except OSError as error:
        raise _cannot_write(path, error) from error
    return path


def _cannot_write(path: Path, error: OSError) -> LoadingError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return LoadingError(
        f"the export {path} cannot be written: {reason}; the tables themselves are loaded",
        next_step="make room or give the right to write there, then run the export again",
    )


def _writer(
    file: BinaryIO, schema: pa.Schema, suffix: str
) -> pyarrow.csv.CSVWriter | pyarrow.parquet.ParquetWriter:
    if suffix == ".csv":
        return pyarrow.csv.CSVWriter(file, schema)
    return pyarrow.parquet.ParquetWriter(file, schema)
