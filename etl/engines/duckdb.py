"""The embedded engine: opening a DuckDB file, and a session on it.

The file's own lock keeps other processes out; the message names the one that holds it.
"""

import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

import duckdb
import pyarrow as pa

from etl.engines.dialect import quoted
from etl.errors import LoadingError, WarehouseInUseError
from etl.schema.tables import Table

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

DUCKDB_SCHEME = "duckdb:///"
IN_MEMORY = ":memory:"
IN_MEMORY_CONNECTION = DUCKDB_SCHEME + IN_MEMORY

# What DuckDB writes when it creates a file: three headers of 4 KiB each.
_HEADER_BYTES = 12_288
_HOLDER = re.compile(r"Conflicting lock is held in (.+?) \(PID (\d+)\)")


class DuckdbSession:
    """A connection to a DuckDB database; see `database.Session`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, read_only: bool = False) -> None:
        self.connection = connection
        self._read_only = read_only

    @classmethod
    def open(
        cls,
        connection_string: str,
        *,
        read_only: bool = False,
        memory_limit: str = "",
        temp_directory: str = "",
    ) -> Self:
        """Opens the file of a connection string, made with its folder when it is missing.

        Raises:
            WarehouseInUseError: another process has it open.
            LoadingError: it cannot be opened or made.
        """
        path = duckdb_path(connection_string)
        settings = {"memory_limit": memory_limit, "temp_directory": temp_directory}
        try:
            if path and not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
            return cls(_open(path, read_only=read_only, **settings), read_only=read_only)
        except (duckdb.Error, OSError) as error:
            raise _connect_error(path, error) from error

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Runs one statement."""
        with _translated_errors():
            self.connection.execute(sql, list(params))

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Runs one query and returns its rows."""
        with _translated_errors():
            return self.connection.execute(sql, list(params)).fetchall()

    def change(self, sql: str, params: Sequence[object] = ()) -> int:
        """Runs one INSERT, UPDATE, DELETE or MERGE and returns how many rows it changed."""
        return int(self.query(sql, params)[0][0])

    def execute_many(self, sql: str, data: Sequence[tuple[Any, ...]]) -> None:
        """Runs one statement once per tuple."""
        with _translated_errors():
            self.connection.executemany(sql, data)

    def blocks(self, sql: str, schema: pa.Schema, *, chunk_rows: int) -> Iterator[pa.RecordBatch]:
        """Runs one query and yields its rows as blocks of that schema."""
        with _translated_errors():
            for block in arrow_blocks(self.connection, sql, chunk_rows=chunk_rows):
                yield block.cast(schema)

    def append(
        self, table: Table, block: pa.RecordBatch, constants: Mapping[str, object] | None = None
    ) -> None:
        """Appends a block to a table; columns are matched by name."""
        for name, value in (constants or {}).items():
            block = block.append_column(name, pa.array([value] * block.num_rows))
        names = ", ".join(quoted(name) for name in block.schema.names)
        # DuckDB finds it by its name. A registered view would be kept, with all its memory, until
        # the end of the transaction.
        appended_block = pa.Table.from_batches([block])  # noqa: F841
        with _translated_errors():
            self.connection.execute(
                f"INSERT INTO {quoted(table.name)} ({names}) SELECT {names} FROM appended_block"  # noqa: S608  # names of our own tables, quoted
            )

    def append_parts(
        self, table: Table, parts: Sequence[tuple[pa.RecordBatch, Mapping[str, object]]]
    ) -> None:
        """Appends several blocks, each with its constants."""
        for block, constants in parts:
            self.append(table, block, constants)

    def begin(self) -> None:
        """Begins a transaction."""
        with _translated_errors():
            self.connection.begin()

    def commit(self) -> None:
        """Commits it."""
        with _translated_errors():
            self.connection.commit()

    def rollback(self) -> None:
        """Takes everything of it back."""
        with suppress(duckdb.Error):  # the engine may have rolled back already
            self.connection.rollback()

    def is_alive(self) -> bool:
        """An embedded engine lives as long as the process."""
        return True

    def facts(self) -> dict[str, str]:
        """What is connected to; whoever else used it would have kept this session out."""
        ((version,),) = self.query("SELECT version();")
        return {"driver": f"duckdb {duckdb.__version__}", "server": f"DuckDB {version}"}

    def close(self) -> None:
        """Closes the file, with everything in it: by itself the engine may leave its log beside."""
        try:
            if not self._read_only:
                self._checkpoint()
        finally:
            self.connection.close()

    def _checkpoint(self) -> None:
        try:
            self.execute("CHECKPOINT;")
        except (duckdb.Error, LoadingError) as error:
            logger.warning(
                "what was committed last stands in the file's .wal, not in the warehouse's own "
                "file: %s. Next: keep both together; the next run puts it right", error,
            )  # fmt: skip


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Makes Ctrl-C what it is again, and says of too little memory what to do.

    When a signal comes while DuckDB works, it takes what the signal's handler raises and raises
    an error of its own, which looks like one of the query.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise LoadingError(
            f"the embedded engine has too little memory: {str(error).splitlines()[0]}",
            next_step="raise DUCKDB_MEMORY_LIMIT, or make room on the disk of OUTPUT_DIR, where "
            "it puts what is larger",
        ) from error
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from error


def arrow_blocks(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    params: Sequence[object] = (),
    *,
    chunk_rows: int,
) -> Iterator[pa.RecordBatch]:
    """Runs a query and yields its rows as Arrow blocks of at most `chunk_rows` rows."""
    reader: pa.RecordBatchReader = connection.sql(sql, params=list(params)).to_arrow_reader(
        chunk_rows
    )
    yield from reader


def duckdb_path(connection_string: str) -> Path | None:
    """The file of a DuckDB connection string; None for a database in memory.

    Example:
        >>> duckdb_path("duckdb:///:memory:") is None
        True
    """
    text = connection_string.removeprefix(DUCKDB_SCHEME)
    return None if text == IN_MEMORY else Path(text)


def open_duckdb(
    path: str, *, read_only: bool = False, memory_limit: str = "", temp_directory: str = ""
) -> duckdb.DuckDBPyConnection:
    """Opens a DuckDB database; what is empty keeps the engine's default.

    Args:
        path: a file, or `:memory:`.
        read_only: open an existing file without changing it.
        memory_limit: such as `512MB`.
        temp_directory: where it spills to.
    """
    wanted = {"memory_limit": memory_limit, "temp_directory": temp_directory}
    config: dict[str, str | bool | int | float | list[str]] = {k: v for k, v in wanted.items() if v}
    return duckdb.connect(path, read_only=read_only, config=config)


def _open(path: Path | None, *, read_only: bool, **settings: str) -> duckdb.DuckDBPyConnection:
    name = str(path or IN_MEMORY)
    try:
        return open_duckdb(name, read_only=read_only, **settings)
    except duckdb.Error as error:
        if path is None or read_only or _HOLDER.search(str(error)):
            raise
        if not _remove_stub(path):
            raise
    return open_duckdb(name, read_only=read_only, **settings)


def _remove_stub(path: Path) -> bool:
    """Removes a file whose creation was cut off, by a kill or a full disk; says whether it did.

    The engine would refuse it for ever, though nothing can be in it yet.

    Raises:
        WarehouseInUseError: another process is just creating it.
    """
    if not path.is_file():
        return False
    with path.open("r+b") as file:
        if not _is_stub(file, path):
            return False
        if sys.platform != "win32":
            _lock_stub(file, path)
            path.unlink()
            return True
    path.unlink()  # Windows removes no file that is open, here or in another process
    return True


def _is_stub(file: IO[bytes], path: Path) -> bool:
    if os.fstat(file.fileno()).st_size >= _HEADER_BYTES:
        return False
    file.seek(0)
    start = file.read(12)
    empty = not start or start[8:] == b"DUCK"  # the engine's mark stands behind a checksum
    return empty and not path.with_name(f"{path.name}.wal").exists()


if sys.platform != "win32":

    def _lock_stub(file: IO[bytes], path: Path) -> None:
        """Takes the lock that the engine itself takes, and looks again under it.

        It lasts until any handle of this process on the file is closed.
        """
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _created_now(path) from error
        same = path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino
        if not (same and _is_stub(file, path)):
            raise _created_now(path)


def _created_now(path: Path) -> WarehouseInUseError:
    return WarehouseInUseError(
        f"the warehouse {path} is being created by another process",
        next_step="wait until that process has ended, and run again",
    )


def _connect_error(path: Path | None, error: Exception) -> Exception:
    holder = _HOLDER.search(str(error))
    if holder:
        program, pid = holder.groups()
        return WarehouseInUseError(
            f"the warehouse {path} is in use by {program}, process {pid}",
            next_step="wait until that process has ended, or end it, and run again",
        )
    reason = str(error).splitlines()[0]
    return LoadingError(
        f"cannot open the warehouse {path}: {reason}",
        next_step="check the path in DB_CONNECTION_STRING or OUTPUT_DIR and who may write there",
    )
