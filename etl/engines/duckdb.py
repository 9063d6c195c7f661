"""DuckDB, the embedded engine: opening its file, a session on it, and its dialect.

The file's own lock keeps other processes out; the message names the one that holds it.
"""

import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import duckdb
import pyarrow as pa

from etl.engines.dialect import CATALOG, Dialect, quoted, quoted_table
from etl.engines.engine import (
    Access,
    Blocker,
    Engine,
    Part,
    Place,
    driver_text,
    translated_errors,
)
from etl.errors import LoadingError, WarehouseInUseError
from etl.files import AtomicFile
from etl.schema.table import Kind, Table

logger = logging.getLogger(__name__)

SCHEME = "duckdb:///"
IN_MEMORY = ":memory:"

# What DuckDB writes when it creates a file: three headers of 4 KiB each.
_HEADER_BYTES = 12_288
_COPIED_AT_ONCE = 1024 * 1024  # bytes
_HOLDER = re.compile(r"Conflicting lock is held in (.+?) \(PID (\d+)\)")
# Behind the name of a warehouse and before the number of the process that is creating it. Only a
# complete file gets the warehouse's own name, and only one of this kind is ever deleted.
_CREATING = ".creating-"

DUCKDB = Dialect(
    name="DuckDB",
    long_text="VARCHAR",
    types={
        # DuckDB ignores the width of a VARCHAR: transformation has checked it.
        Kind.TEXT: "VARCHAR",
        Kind.INTEGER: "INTEGER",
        Kind.BIGINT: "BIGINT",
        Kind.DECIMAL: "DECIMAL({precision}, {scale})",
        Kind.DOUBLE: "DOUBLE",
        Kind.BOOLEAN: "BOOLEAN",
        Kind.DATE: "DATE",
        Kind.TIMESTAMP: "TIMESTAMP",
    },
    exact="",
    true="TRUE",
    false="FALSE",
    time_text="strftime({time}, '%Y-%m-%d %H:%M:%S.%f')",
    comparable="{text}",
    differs="{x} IS DISTINCT FROM {y}",
    whole_number="HUGEINT",  # decimals are divided as doubles
    quotient="{x} // {y}",
    computed_once="",
    locked="",
    seeks="",
    temporary_name="{name}",
    create_temporary="CREATE TEMPORARY TABLE",
    create_temporary_once="",
    create_temporary_as="CREATE TEMPORARY TABLE {name} AS\n{query};",
    create_missing="CREATE TABLE IF NOT EXISTS {quoted} {body}",
    create_staging="",
    create_view="CREATE OR REPLACE VIEW {quoted} AS\n{query};",
    comments="",
    commented=(
        "SELECT table_name, '' FROM duckdb_tables() "
        "WHERE database_name = current_database() AND comment IS NOT NULL\n"
        "UNION ALL SELECT view_name, '' FROM duckdb_views() "
        "WHERE database_name = current_database() AND comment IS NOT NULL\n"
        "UNION ALL SELECT table_name, column_name FROM duckdb_columns() "
        "WHERE database_name = current_database() AND comment IS NOT NULL;"
    ),
    create_schema="CREATE SCHEMA IF NOT EXISTS {quoted};",
    create_index="",
    clear="",
    clear_temporary="DELETE FROM {quoted};",
    refresh_statistics="",
    role="",
    grant="",
    grant_schema="",
    login="",
    own_schema="",
    table_names="SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES;",
    catalog=CATALOG.format(
        also=" AND c.TABLE_CATALOG = t.TABLE_CATALOG",
        visible="t.TABLE_CATALOG = current_database()",
        first="CASE WHEN t.TABLE_SCHEMA = current_schema() THEN 0 ELSE 1 END",
    ),
    remember_key="COMMENT ON TABLE {table} IS {key};",
    remembered_key=(
        "SELECT comment FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name = ? AND table_name = ?;"
    ),
    kinds={
        "varchar": Kind.TEXT,
        "integer": Kind.INTEGER,
        "smallint": Kind.INTEGER,
        "bigint": Kind.BIGINT,
        "double": Kind.DOUBLE,
        "decimal": Kind.DECIMAL,
        "boolean": Kind.BOOLEAN,
        "date": Kind.DATE,
        "timestamp": Kind.TIMESTAMP,
    },
    row_state="hash({columns})",
    now="make_timestamp(epoch_us(now()))",  # a conversion between zones would need an extension
    add_column="ALTER TABLE {table} ADD COLUMN {column};",
    adds_required=False,
    script_start="",
    has_right="",
    may_create="",
    # They cost half the speed, bind memory to the index and refuse honest updates. Uniqueness
    # and references are checked before each commit.
    has_keys=False,
    batched=False,
    checksummed=False,
)


class DuckdbSession:
    """A connection to a DuckDB database; see `engine.Session`."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, *, read_only: bool = False,
        path: Path | None = None,
    ) -> None:  # fmt: skip
        self.connection = connection
        self._read_only, self._path = read_only, path
        self._until_closed = ExitStack()

    @classmethod
    def open(cls, connection_string: str, access: Access) -> Self:
        """Open the file of a connection string, made with its folder when it is missing.

        Raises:
            WarehouseInUseError: another process has it open.
            LoadingError: it cannot be opened or made, or is damaged.
        """
        path, read_only = duckdb_path(connection_string), access.read_only
        if path and read_only and access.empty_if_missing and not path.exists():
            path = None
        read_only = read_only and path is not None  # the engine opens nothing in memory so
        try:
            if path and not read_only and not path.exists():
                _create(path)
            connection = open_duckdb(
                str(path or IN_MEMORY), read_only=read_only,
                memory_limit=access.memory_limit, temp_directory=access.temp_directory,
                threads=access.threads,
            )  # fmt: skip
        except (duckdb.Error, OSError) as error:
            raise _connect_error(path, error) from error
        return cls(connection, read_only=read_only, path=path)

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Run one statement."""
        with _engine_errors():
            self.connection.execute(sql, list(params))

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""
        with _engine_errors():
            return self.connection.execute(sql, list(params)).fetchall()

    def arrow(self, sql: str, params: Sequence[object] = ()) -> pa.Table:
        """Run one query and return its rows as a table."""
        with _engine_errors():
            return self.connection.sql(sql, params=list(params)).to_arrow_table()

    def change(self, sql: str, params: Sequence[object] = ()) -> int:
        """Run one INSERT, UPDATE, DELETE or MERGE and return how many rows it changed."""
        return int(self.query(sql, params)[0][0])

    def execute_many(self, sql: str, data: Sequence[tuple[Any, ...]]) -> None:
        """Run one statement once per tuple."""
        with _engine_errors():
            self.connection.executemany(sql, data)

    def blocks(self, sql: str, schema: pa.Schema, *, chunk_rows: int) -> Iterator[pa.RecordBatch]:
        """Run one query and yield its rows as blocks of that schema."""
        with _engine_errors():
            for block in arrow_blocks(self.connection, sql, chunk_rows=chunk_rows):
                yield block.cast(schema)

    def append(
        self, table: Table, block: pa.RecordBatch, constants: Mapping[str, object] | None = None
    ) -> None:
        """Append a block to a table; columns are matched by name."""
        for name, value in (constants or {}).items():
            block = block.append_column(name, pa.array([value] * block.num_rows))
        target = quoted_table(table.name)
        names = ", ".join(quoted(name) for name in block.schema.names)
        # DuckDB finds it by its name. A registered view would be kept, with all its memory, until
        # the end of the transaction.
        appended_block = pa.Table.from_batches([block])  # noqa: F841
        with _engine_errors():
            self.connection.execute(
                f"INSERT INTO {target} ({names}) SELECT {names} FROM appended_block"  # noqa: S608  # names of our own tables, quoted
            )

    def append_parts(self, table: Table, parts: Sequence[Part]) -> None:
        """Append several blocks, each with its constants."""
        for block, constants in parts:
            self.append(table, block, constants)

    def begin(self) -> None:
        """Begin a transaction."""
        with _engine_errors():
            self.connection.begin()

    def commit(self) -> None:
        """Commit it."""
        with _engine_errors():
            self.connection.commit()

    def rollback(self) -> None:
        """Take everything of it back."""
        with suppress(duckdb.Error):  # the engine may have rolled back already
            self.connection.rollback()

    def is_alive(self) -> bool:
        """Return true: an embedded engine lives as long as the process."""
        return True

    def publish(self) -> None:
        """Do nothing: what is committed is seen."""

    def blockers(self) -> list[Blocker]:
        """Return none: nobody else is let in."""
        return []

    def facts(self) -> dict[str, str]:
        """Return what is connected to; whoever else used it would have kept this session out."""
        ((version,),) = self.query("SELECT version();")
        return {"driver": f"duckdb {duckdb.__version__}", "server": f"DuckDB {version}"}

    def close(self) -> None:
        """Close the file, with everything in it: by itself the engine may leave its log beside."""
        try:
            if not self._read_only:
                self._checkpoint()
        finally:
            self.connection.close()
            self._until_closed.close()

    def copy_to(self, path: Path) -> None:
        """Put a copy of the file, as of now, in the place of another, whole or not at all.

        Who has the other one open goes on reading what it was.

        Args:
            path: of the copy; its folder is made when missing.

        Raises:
            LoadingError: it would be the file itself, or somebody has written to the copy.
            OSError: it cannot be written; what was there before is still there.
        """
        file = self._file_to_copy(path)
        self.execute("CHECKPOINT;")
        # Open until the end: on POSIX systems closing a file gives back all locks that the
        # process has on it, the engine's too.
        source = self._until_closed.enter_context(file.open("rb"))
        with AtomicFile(path) as target:
            shutil.copyfileobj(source, target, _COPIED_AT_ONCE)

    def _file_to_copy(self, path: Path) -> Path:
        log = path.with_name(f"{path.name}.wal")
        if self._path is None:
            raise LoadingError("a database in memory has no file that could be copied")
        if path.exists() and path.samefile(self._path):
            raise LoadingError(f"{path} is the warehouse itself", next_step="name another file")
        if log.exists():  # the engine would take it for one of the new copy
            raise LoadingError(
                f"somebody has written to the copy {path}",
                next_step=f"have it opened for reading only, and remove {log}",
            )
        return self._path

    def _checkpoint(self) -> None:
        try:
            self.execute("CHECKPOINT;")
        except (duckdb.Error, LoadingError) as error:
            logger.warning(
                "the last commits are in the .wal file beside the warehouse, not yet in its own "
                "file: %s. Next: keep both files together; the next run merges them", error,
            )  # fmt: skip


@contextmanager
def _engine_errors() -> Iterator[None]:
    """Translate the engine's errors; Ctrl-C and too little memory have sentences of their own.

    When a signal comes while DuckDB works, it takes what the signal's handler raises and raises
    an error of its own, which looks like one of the query.
    """
    try:
        with translated_errors("DuckDB", _ERRORS):
            yield
    except LoadingError as error:
        if isinstance(error.__cause__, duckdb.OutOfMemoryException):
            raise _too_little_memory(error.__cause__) from error.__cause__
        raise
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from error


_ERRORS = (duckdb.Error,)


def _too_little_memory(error: BaseException) -> LoadingError:
    return LoadingError(
        f"the embedded engine has too little memory: {str(error).splitlines()[0]}",
        next_step="raise DUCKDB_MEMORY_LIMIT, or make room on the disk of OUTPUT_DIR, where "
        "it puts what is larger",
        code="out_of_memory",
    )


def arrow_blocks(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    params: Sequence[object] = (),
    *,
    chunk_rows: int,
) -> Iterator[pa.RecordBatch]:
    """Run a query and yield its rows as Arrow blocks of at most `chunk_rows` rows."""
    reader: pa.RecordBatchReader = connection.sql(sql, params=list(params)).to_arrow_reader(
        chunk_rows
    )
    yield from reader


def duckdb_path(connection_string: str) -> Path | None:
    """Return the file of a DuckDB connection string; None for a database in memory.

    Example:
        >>> duckdb_path("duckdb:///:memory:") is None
        True
    """
    text = connection_string.removeprefix(SCHEME)
    return None if text == IN_MEMORY else Path(text)


def open_duckdb(
    path: str,
    *,
    read_only: bool = False,
    memory_limit: str = "",
    temp_directory: str = "",
    threads: int = 0,
) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB database; what is empty keeps the engine's default.

    Args:
        path: a file, or `:memory:`.
        read_only: open an existing file without changing it.
        memory_limit: such as `512MB`.
        temp_directory: where it spills to.
        threads: how many work on a query.
    """
    wanted: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit, "temp_directory": temp_directory, "threads": threads
    }  # fmt: skip
    config = {name: value for name, value in wanted.items() if value}
    return duckdb.connect(path, read_only=read_only, config=config)


def _create(path: Path) -> None:
    """Make an empty database under another name, and give it its own once it is complete.

    A process that is killed meanwhile leaves nothing under the name of the warehouse, which the
    engine would refuse for ever.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    made = path.with_name(f"{path.name}{_CREATING}{os.getpid()}")
    try:
        duckdb.connect(str(made)).close()
        _rename_unless_there(made, path)
    finally:
        made.unlink(missing_ok=True)


def _rename_unless_there(made: Path, path: Path) -> None:
    try:
        os.link(made, path)  # unlike a rename, it replaces nothing
    except FileExistsError:  # another process was faster, with as empty a file
        return
    except OSError:  # this file system has no links
        if not path.exists():
            made.rename(path)


def _remove_leftovers(path: Path) -> None:
    """Remove what processes have left that were killed while they created the file."""
    for left in path.parent.glob(f"{path.name}{_CREATING}*"):
        if not _is_running(left.name.rpartition("-")[2]):
            left.unlink(missing_ok=True)


def _is_running(process: str) -> bool:
    if os.name == "nt" or not process.isdecimal():
        return True  # nobody knows
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return int(process) != os.getpid()


def _connect_error(path: Path | None, error: Exception) -> LoadingError:
    holder = _HOLDER.search(str(error))  # the engine has no other place for it
    if holder:
        program, pid = holder.groups()
        return WarehouseInUseError(
            f"the warehouse {path} is in use by {program}, process {pid}",
            next_step="wait until that process has ended, or end it, and run again",
        )
    usable = path is not None and path.is_file() and os.access(path, os.R_OK)
    if path is not None and usable and isinstance(error, duckdb.Error):
        return _damaged(path, error)
    return LoadingError(
        f"cannot open the warehouse {path}: {driver_text(error)}",
        next_step="check the path in DB_CONNECTION_STRING or OUTPUT_DIR and who may write there",
        code="warehouse_unreachable",
    )


def _damaged(path: Path, error: Exception) -> LoadingError:
    size, log = path.stat().st_size, path.with_name(f"{path.name}.wal")
    short = f"it is cut short, {size} bytes: " if size < _HEADER_BYTES else ""
    beside = f" with the {log.name} that belongs to it" if log.exists() else ""
    return LoadingError(
        f"the warehouse {path} cannot be opened: {short}{driver_text(error)}",
        next_step=f"restore the file from a backup{beside}; or, to begin with an empty warehouse, "
        "move it away and run with --full-refresh. Nothing of it was changed",
        code="warehouse_damaged",
    )


ENGINE = Engine(
    dialect=DUCKDB,
    form="duckdb:///path/to/file.duckdb",
    accepts=lambda text: text.startswith(SCHEME),
    open=DuckdbSession.open,
    place=lambda text: Place(f"duckdb://{text.removeprefix(SCHEME)}", "", "main"),
    file_of=duckdb_path,
    copy=DuckdbSession.copy_to,
)
