"""A file or table in a scratch database of its own, in which DuckDB counts.

What does not fit into its memory goes to the disk of the scratch folder.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from etl.engines.database import DatabaseManager
from etl.engines.dialect import select_all
from etl.engines.duckdb import open_duckdb
from etl.errors import ConfigurationError, ETLError
from etl.libraries import parquet
from etl.rules.columns import clean_text
from etl.rules.found_types import LOOKS_LIKE_KEY
from etl.rules.frame_types import columns_of
from etl.rules.texts import NULL_WORDS, is_null_word
from etl.schema.arrow import arrow_schema
from etl.schema.table import Column, Kind, Table
from etl.sources.any_file import any_file
from etl.sources.csv_look import read_beginning

ROWS = "rows"  # the table of all records
_CHUNK_ROWS = 50_000
_SCRATCH = "profile.duckdb"
_PARQUET = b"PAR1"
# The decimal mark of files whose fields a semicolon parts: the comma is taken by it.
_DECIMAL_OF = {";": ","}


@dataclass(frozen=True)
class StagedColumn:
    """A column of the staged records.

    Attributes:
        name: as the file or table has it.
        place: in the table of the records.
        column: its type.
        as_text: whether it is held as the text of a file, whose type is still to be found.
    """

    name: str
    place: str
    column: Column
    as_text: bool


@dataclass(frozen=True)
class Staged:
    """Staged records.

    Attributes:
        unreadable: lines that cannot be taken apart; they are not staged.
        decimal: the decimal mark of texts that are numbers.
        key: places of the columns of the key.
    """

    columns: tuple[StagedColumn, ...]
    rows: int
    unreadable: int = 0
    decimal: str = "."
    key: tuple[StagedColumn, ...] = ()
    key_assumed: bool = False

    def with_key(self, names: Sequence[str]) -> "Staged":
        """Return them with a key that somebody has named, if anybody has.

        Raises:
            ConfigurationError: there is no such column.
        """
        if not names:
            return self
        by_name = {each.name.lower(): each for each in self.columns}
        if missing := [name for name in names if name.lower() not in by_name]:
            raise ConfigurationError(
                f"no column {missing[0]}", choices=", ".join(c.name for c in self.columns)
            )
        key = tuple(by_name[name.lower()] for name in names)
        return Staged(self.columns, self.rows, self.unreadable, self.decimal, key)


@contextmanager
def scratch_database(folder: Path, memory_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database that is gone at the end.

    Args:
        folder: for its file, and for what does not fit into memory.
        memory_limit: such as 384MB.
    """
    path = folder / _SCRATCH
    database = open_duckdb(str(path), memory_limit=memory_limit, temp_directory=str(folder))
    database.execute("SET preserve_insertion_order = false")
    try:
        yield database
    finally:
        database.close()
        path.unlink(missing_ok=True)


def stage_file(database: duckdb.DuckDBPyConnection, path: Path) -> Staged:
    """Stage a CSV, JSON or Parquet file.

    Raises:
        ConfigurationError: it cannot be read, or holds nothing.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_PARQUET))
        return _stage_parquet(database, path) if start == _PARQUET else _stage_text(database, path)
    except ConfigurationError:
        raise
    except (ETLError, pa.ArrowException) as error:
        raise ConfigurationError(f"{path} cannot be read: {_first_line(error)}") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _stage_text(database: duckdb.DuckDBPyConnection, path: Path) -> Staged:
    require_text(path)
    found = any_file(path)
    if not found.names:
        raise ConfigurationError(f"{path} has no records")
    columns = ", ".join(f"{place} VARCHAR" for place in found.columns)
    database.execute(f"CREATE TABLE {ROWS} ({columns})")
    rows, unreadable = 0, 0
    with _one_transaction(database):
        for block in found.blocks():
            records = block.records.select(found.columns)
            _insert(database, _without_missing(records))
            rows, unreadable = rows + records.num_rows, unreadable + block.rejected.num_rows
    if not rows and not unreadable:
        raise ConfigurationError(f"{path} has a header and no records")
    named = [
        StagedColumn(name, place, Column(place, "", Kind.TEXT), as_text=True)
        for name, place in zip(found.names, found.columns, strict=True)
    ]
    decimal = _DECIMAL_OF.get(found.delimiter, ".")
    return _with_likely_key(named, rows, unreadable, decimal)


def require_text(path: Path) -> None:
    """Refuse a file that is none of text, such as a program or a picture.

    Raises:
        ConfigurationError: it is one.
    """
    beginning, marked = read_beginning(path)
    if not marked and b"\0" in beginning:
        raise ConfigurationError(
            f"{path} is no file of text", choices="CSV, JSON or Parquet, compressed or not"
        )


def _with_likely_key(
    columns: Sequence[StagedColumn], rows: int, unreadable: int = 0, decimal: str = "."
) -> Staged:
    """The first column that is called like one is taken for the key."""
    key = next((c for c in columns if LOOKS_LIKE_KEY.search(c.name.lower())), None)
    return Staged(tuple(columns), rows, unreadable, decimal, (key,) if key else (), bool(key))


def _without_missing(records: pa.RecordBatch) -> pa.RecordBatch:
    """The records as they are, but for the texts that stand for a missing value."""
    return pa.RecordBatch.from_arrays(
        [_without_missing_texts(column) for column in records.columns], names=records.schema.names
    )


def _without_missing_texts(column: pa.Array) -> pa.Array:
    missing = pc.or_(is_null_word(column, NULL_WORDS), pc.is_null(clean_text(column)))
    return pc.if_else(missing, None, column) if missing.true_count else column


@contextmanager
def _one_transaction(database: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """The rows of every small transaction would be written twice; nothing has to be undone."""
    database.begin()
    yield
    database.commit()


def _insert(database: duckdb.DuckDBPyConnection, records: pa.RecordBatch) -> None:
    # DuckDB finds it by its name
    inserted_records = pa.Table.from_batches([records])  # noqa: F841
    database.execute(f"INSERT INTO {ROWS} SELECT * FROM inserted_records")  # ours


# --- what has types ------------------------------------------------------------------------


def _stage_parquet(database: duckdb.DuckDBPyConnection, path: Path) -> Staged:
    # imported here alone, since few runs need it
    with parquet().ParquetFile(path) as file:
        schema = file.schema_arrow
        columns = columns_of(((f.name, pa.nulls(0, f.type)) for f in schema), ())
        staged = _typed_columns(columns)
        rows = _stage_typed(database, staged, file.iter_batches(_CHUNK_ROWS))
    if not rows:
        raise ConfigurationError(f"{path} has columns and no records")
    return _with_likely_key(staged, rows)


def stage_table(
    database: duckdb.DuckDBPyConnection, warehouse: DatabaseManager, table: Table
) -> Staged:
    """Stage a table of the warehouse.

    Raises:
        ConfigurationError: it has no rows.
    """
    staged = _typed_columns(table.columns)
    schema = arrow_schema(table.columns)
    blocks = warehouse.blocks(select_all(table), schema, _CHUNK_ROWS)
    rows = _stage_typed(database, staged, blocks)
    if not rows:
        raise ConfigurationError(f"{table.name} has no rows")
    key = tuple(each for name in table.key for each in staged if each.name == name)
    return Staged(tuple(staged), rows, key=key) if key else _with_likely_key(staged, rows)


def _typed_columns(columns: Sequence[Column]) -> list[StagedColumn]:
    return [
        StagedColumn(column.name, f"c{number}", column, as_text=False)
        for number, column in enumerate(columns)
    ]


def _stage_typed(
    database: duckdb.DuckDBPyConnection,
    columns: Sequence[StagedColumn],
    blocks: Iterable[pa.RecordBatch],
) -> int:
    rows = 0
    with _one_transaction(database):
        for block in blocks:
            records = block.rename_columns([each.place for each in columns])
            if not rows:
                # DuckDB finds it by its name
                no_records = pa.Table.from_batches([records.slice(0, 0)])  # noqa: F841
                database.execute(f"CREATE OR REPLACE TABLE {ROWS} AS SELECT * FROM no_records")
            _insert(database, records)
            rows += records.num_rows
    return rows
