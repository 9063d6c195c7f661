"""Connecting, transactions and batches: everything that needs an open connection.

`DatabaseManager` is used as a context manager: it connects on entry, and on exit rolls back what
an open transaction has left and always closes. Outside `transaction()` each statement commits.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, List, Self

import duckdb
import pyarrow as pa

from errors import ConfigurationError, LoadingError, WarehouseInUseError
from resilience import retry_with_backoff
from sql_dialects import DUCKDB, Dialect, quoted

if sys.platform != "win32":
    import fcntl

DUCKDB_SCHEME = "duckdb:///"
IN_MEMORY = ":memory:"
IN_MEMORY_CONNECTION = DUCKDB_SCHEME + IN_MEMORY

# What DuckDB writes when it creates a file: three headers of 4 KiB each.
_HEADER_BYTES = 12_288
_HOLDER = re.compile(r"Conflicting lock is held in (.+?) \(PID (\d+)\)")


class DatabaseManager:
    """One connection to the warehouse, with transactions and batches.

    Args:
        connection_string: `duckdb:///path`, or `duckdb:///:memory:` for one that is not kept.
        memory_limit: how much DuckDB may use before it spills to disk, such as `1GB`.
        temp_directory: where it spills to; empty for beside the file.
        read_only: open an existing file without changing it.

    Example:
        >>> with DatabaseManager("duckdb:///:memory:") as db:
        ...     db.execute("CREATE TABLE numbers (n INTEGER)")
        ...     db.execute_batch("INSERT INTO numbers VALUES (?)", [(1,), (2,), (3,)])
        ...     db.query("SELECT sum(n) FROM numbers")
        3
        [(6,)]
    """

    def __init__(
        self,
        connection_string: str,
        *,
        memory_limit: str = "",
        temp_directory: str = "",
        read_only: bool = False,
    ) -> None:
        self.connection_string = connection_string
        self.memory_limit = memory_limit
        self.temp_directory = temp_directory
        self.read_only = read_only
        self.dialect: Dialect = dialect_of(connection_string)
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._in_transaction = False

    def __repr__(self) -> str:
        return f"DatabaseManager({self.dialect.name})"

    def __enter__(self) -> Self:
        self._connection = self._connect()
        return self

    def _connect(self) -> duckdb.DuckDBPyConnection:
        path = duckdb_path(self.connection_string)
        try:
            if path and not self.read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
            return self._open(path)
        except (duckdb.Error, OSError) as error:
            raise _connect_error(path, error) from error

    def _open(self, path: Path | None) -> duckdb.DuckDBPyConnection:
        try:
            return self._open_as_it_is(path)
        except duckdb.Error as error:
            if path is None or self.read_only or _HOLDER.search(str(error)):
                raise
            if not _remove_stub(path):
                raise
        return self._open_as_it_is(path)

    def _open_as_it_is(self, path: Path | None) -> duckdb.DuckDBPyConnection:
        return open_duckdb(
            str(path or IN_MEMORY), read_only=self.read_only,
            memory_limit=self.memory_limit, temp_directory=self.temp_directory,
        )  # fmt: skip

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if self._in_transaction:
                connection.rollback()
        finally:
            self._in_transaction = False
            connection.close()

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The open connection.

        Raises:
            LoadingError: used outside its `with` block.
        """
        if self._connection is None:
            raise LoadingError(
                "the database is not connected",
                next_step="use it inside `with DatabaseManager(...) as db:`",
            )
        return self._connection

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Runs one statement; parameters are bound, never pasted into the text."""
        with _interrupts_raised():
            self.connection.execute(sql, list(params))

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Runs one query and returns its rows; for results that fit into memory."""
        with _interrupts_raised():
            return self.connection.execute(sql, list(params)).fetchall()

    def change(self, sql: str, params: Sequence[object] = ()) -> int:
        """Runs one INSERT, UPDATE or DELETE and returns how many rows it changed."""
        return int(self.value(sql, params))

    def table(self, sql: str, params: Sequence[object] = ()) -> pa.Table:
        """Runs one query and returns its rows as Arrow columns."""
        with _interrupts_raised():
            found: pa.Table = self.connection.sql(sql, params=list(params)).to_arrow_table()
        return found

    def value(self, sql: str, params: Sequence[object] = ()) -> Any:
        """The first value of the first row."""
        return self.query(sql, params)[0][0]

    def table_names(self) -> set[str]:
        """The tables there are."""
        rows = self.query("SELECT table_name FROM information_schema.tables;")
        return {name for (name,) in rows}

    def batches(self, sql: str, chunk_rows: int) -> Iterator[pa.RecordBatch]:
        """Runs one query and yields its rows as Arrow blocks of at most `chunk_rows` rows."""
        with _interrupts_raised():
            yield from arrow_blocks(self.connection, sql, chunk_rows=chunk_rows)

    def append(self, table: str, block: pa.RecordBatch) -> None:
        """Appends a block of columns to a table; columns are matched by name."""
        names = ", ".join(quoted(name) for name in block.schema.names)
        with _interrupts_raised():
            self.connection.register("appended_block", pa.Table.from_batches([block]))
            try:
                self.connection.execute(
                    f"INSERT INTO {quoted(table)} ({names}) SELECT {names} FROM appended_block"  # noqa: S608  # names of our own tables, quoted
                )
            finally:
                self.connection.unregister("appended_block")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits at the end of the block, rolls everything in it back on any exception.

        Raises:
            LoadingError: a transaction is open already.
        """
        if self._in_transaction:
            raise LoadingError("a transaction is open already", next_step="commit it first")
        with _interrupts_raised():
            self.connection.begin()
        self._in_transaction = True
        try:
            yield
        except BaseException:
            self.connection.rollback()
            raise
        else:
            self._commit()
        finally:
            self._in_transaction = False

    def _commit(self) -> None:
        try:
            with _interrupts_raised():
                self.connection.commit()
        except BaseException:
            with suppress(duckdb.Error):  # the engine may have rolled back already
                self.connection.rollback()
            raise

    def execute_batch(self, query: str, data: List[tuple[Any, ...]], batch_size: int = 1000) -> int:
        """Runs a statement once per tuple, a transaction per batch, retried when transient.

        Inside `with db.transaction():` the batches belong to that transaction, and nothing is
        retried, because what went before would be missing.

        Args:
            query: the statement, with a `?` per value.
            data: the parameters, a tuple per row.
            batch_size: rows per transaction.

        Returns:
            How many tuples were executed.

        Raises:
            ValueError: batch_size is less than 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        for start in range(0, len(data), batch_size):
            batch = data[start : start + batch_size]
            if self._in_transaction:
                self._execute_many(query, batch)
            else:
                self._execute_one_batch(query, batch)
        return len(data)

    @retry_with_backoff(max_retries=3, backoff_factor=2.0)
    def _execute_one_batch(self, query: str, batch: List[tuple[Any, ...]]) -> None:
        with self.transaction():
            self._execute_many(query, batch)

    def _execute_many(self, query: str, batch: List[tuple[Any, ...]]) -> None:
        with _interrupts_raised():
            self.connection.executemany(query, batch)


@contextmanager
def _interrupts_raised() -> Iterator[None]:
    """Makes Ctrl-C what it is again.

    When a signal comes while DuckDB works, it takes what the signal's handler raises and raises
    an error of its own, which looks like one of the query.
    """
    try:
        yield
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


def dialect_of(connection_string: str) -> Dialect:
    """The dialect that a connection string asks for.

    Raises:
        ConfigurationError: none of the engines that can be loaded.

    Example:
        >>> dialect_of("duckdb:///data/output/warehouse.duckdb").name
        'DuckDB'
    """
    if connection_string.startswith(DUCKDB_SCHEME):
        return DUCKDB
    raise ConfigurationError(
        "this version loads DuckDB only, and the configured warehouse is another engine",
        choices="duckdb:///path/to/file.duckdb",
        next_step="unset DB_SERVER and set DB_CONNECTION_STRING to a DuckDB file",
    )


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
