"""Writes the loaded tables to files, each whole or not at all."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

import sql_dialects
from database import DatabaseManager
from star_schema import STAR_TABLES, Column, Table

FORMATS = ("csv", "parquet")

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
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_export(db, table, folder / f"{table.name}.{file_format}") for table in STAR_TABLES]


def _export(db: DatabaseManager, table: Table, path: Path) -> Path:
    part = path.with_name(path.name + ".part")
    schema = pa.schema([_field(column) for column in table.columns])
    try:
        with _writer(part, schema, path.suffix) as writer:
            for block in db.batches(sql_dialects.select_all(table), _CHUNK_ROWS):
                writer.write_table(pa.Table.from_batches([block]).cast(schema))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _field(column: Column) -> pa.Field:
    return pa.field(column.name, column.arrow_type)


def _writer(
    path: Path, schema: pa.Schema, suffix: str
) -> pyarrow.csv.CSVWriter | pyarrow.parquet.ParquetWriter:
    if suffix == ".csv":
        return pyarrow.csv.CSVWriter(path, schema)
    return pyarrow.parquet.ParquetWriter(path, schema)
