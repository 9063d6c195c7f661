"""Connecting, transactions and batches: the one object through which the package uses an engine.

`DatabaseManager` is used as a context manager: it connects on entry, and on exit rolls back what
an open transaction has left and always closes. Outside `transaction()` each statement commits.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, List, Protocol, Self

import pyarrow as pa

from etl.engines import dialect as sql_dialects
from etl.engines.dialect import DUCKDB, POSTGRESQL, SQL_SERVER, Dialect
from etl.engines.duckdb import DUCKDB_SCHEME, DuckdbSession
from etl.engines.postgres_connections import POSTGRES_SCHEME
from etl.engines.postgresql import PostgresSession
from etl.engines.sql_server import SqlServerSession
from etl.errors import (
    CircuitOpenError,
    CommitUnknownError,
    ConfigurationError,
    LoadingError,
    WarehouseInUseError,
)
from etl.resilience.circuit_breaker import CircuitBreaker
from etl.resilience.retry import retry_with_backoff
from etl.resilience.transient import is_transient
from etl.schema.tables import Table

logger = logging.getLogger(__name__)

_LOOK_S = 1.0  # how often a warehouse in use is tried again
# How long a server may take to notice that a connection is lost, and to let go of its lock.
_GHOST_S = 10.0


def _repeatable(error: BaseException) -> bool:
    """Whether a batch of statements that nobody knows can be done again without doing it twice."""
    return is_transient(error) and not isinstance(error, CommitUnknownError)


class Session(Protocol):
    """One open connection, whatever the engine; parameters are bound, never pasted into SQL."""

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Runs one statement."""

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Runs one query and returns its rows."""

    def change(self, sql: str, params: Sequence[object] = ()) -> int:
        """Runs one INSERT, UPDATE, DELETE or MERGE and returns how many rows it changed."""

    def execute_many(self, sql: str, data: Sequence[tuple[Any, ...]]) -> None:
        """Runs one statement once per tuple."""

    def blocks(self, sql: str, schema: pa.Schema, *, chunk_rows: int) -> Iterator[pa.RecordBatch]:
        """Runs one query and yields its rows as blocks of that schema."""

    def append(
        self, table: Table, block: pa.RecordBatch, constants: Mapping[str, object] | None = None
    ) -> None:
        """Appends a block to a table, and the same constants to each of its rows."""

    def append_parts(
        self, table: Table, parts: Sequence[tuple[pa.RecordBatch, Mapping[str, object]]]
    ) -> None:
        """Appends several blocks, each with its constants; all of them or none."""

    def begin(self) -> None:
        """Begins a transaction."""

    def commit(self) -> None:
        """Commits it; whoever began it rolls back when that fails.

        Raises:
            LoadingError: a server refuses it, or the connection went before the answer came.
        """

    def rollback(self) -> None:
        """Takes everything of it back; nothing is left to do when it has ended already."""

    def is_alive(self) -> bool:
        """Whether the connection still answers."""

    def facts(self) -> dict[str, str]:
        """`driver` and `server` with their versions; `used_by` while another run works in it."""

    def close(self) -> None:
        """Closes the connection, and releases the warehouse."""


@dataclass(frozen=True)
class Access:
    """How a warehouse is opened.

    Attributes:
        read_only: nothing of it is changed, and nobody is kept out.
        lock_wait_s: how long to wait while another run works in it, in seconds.
        memory_limit: how much an embedded engine may use before it spills to disk, such as `1GB`.
        temp_directory: where it spills to; empty for beside the file.
        breaker_failures: failures to connect in a row after which it is left alone.
        breaker_recovery_s: for how long, in seconds.
    """

    read_only: bool = False
    lock_wait_s: float = 0.0
    memory_limit: str = ""
    temp_directory: str = ""
    breaker_failures: int = 5
    breaker_recovery_s: float = 60.0


class DatabaseManager:
    """One connection to the warehouse, with transactions and batches.

    Args:
        connection_string: `duckdb:///path`, `duckdb:///:memory:` for one that is not kept,
            `postgresql://...`, or an ODBC string of a SQL Server.
        access: how it is opened.
        sleep: waits for a number of seconds.

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
        access: Access = Access(),  # frozen
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connection_string = connection_string
        self.access = access
        self.dialect: Dialect = dialect_of(connection_string)
        self._sleep = sleep
        # Outlives the sources of a run, each of which tries again to get back a lost connection.
        self._breaker = CircuitBreaker(
            access.breaker_failures, access.breaker_recovery_s, name="warehouse",
            counts=is_transient,
        )  # fmt: skip
        self._session: Session | None = None
        self._in_transaction = False
        self._stand_ins: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"DatabaseManager({self.dialect.name})"

    def __enter__(self) -> Self:
        self._session = self._connect(self.access.lock_wait_s)
        return self

    def _connect(self, lock_wait_s: float) -> Session:
        waited_s = 0.0
        while True:
            try:
                return self._breaker.call(_open_session, self.connection_string, self.access)
            except WarehouseInUseError as error:
                if waited_s >= lock_wait_s:
                    raise
                if not waited_s:
                    logger.info("waiting up to %g s: %s", lock_wait_s, error)
            except CircuitOpenError as error:
                raise LoadingError(str(error)) from error
            pause_s = min(_LOOK_S, lock_wait_s - waited_s)
            self._sleep(pause_s)
            waited_s += pause_s

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        try:
            if self._in_transaction:
                session.rollback()
        finally:
            self._in_transaction = False
            session.close()

    @property
    def session(self) -> Session:
        """The open connection.

        Raises:
            LoadingError: used outside its `with` block.
        """
        if self._session is None:
            raise LoadingError(
                "the database is not connected",
                next_step="use it inside `with DatabaseManager(...) as db:`",
            )
        return self._session

    def revive(self) -> bool:
        """Connects anew if the connection is gone, takes the warehouse again, and says so.

        Raises:
            WarehouseInUseError: another run has taken it meanwhile.
            LoadingError: the server cannot be reached.
        """
        if self.session.is_alive():
            return False
        with suppress(Exception):  # there is nothing left to close properly
            self.session.close()
        self._in_transaction = False
        self._session = self._connect(max(self.access.lock_wait_s, _GHOST_S))
        return True

    def _text(self, sql: str) -> str:
        for name, stand_in in self._stand_ins.items():
            sql = sql.replace(f'"{name}"', f'"{stand_in}"')
        return sql

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Runs one statement; parameters are bound, never pasted into the text."""
        self.session.execute(self._text(sql), params)

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Runs one query and returns its rows; for results that fit into memory."""
        return self.session.query(self._text(sql), params)

    def change(self, sql: str, params: Sequence[object] = ()) -> int:
        """Runs one INSERT, UPDATE, DELETE or MERGE and returns how many rows it changed."""
        return self.session.change(self._text(sql), params)

    def value(self, sql: str, params: Sequence[object] = ()) -> Any:
        """The first value of the first row."""
        return self.query(sql, params)[0][0]

    def table_names(self) -> set[str]:
        """The tables there are."""
        rows = self.query(self.dialect.table_names)
        return {name for (name,) in rows} | set(self._stand_ins)

    def create_stand_in(self, table: Table) -> None:
        """Makes an empty temporary table that stands in for a missing one, under its name.

        For comparing with a warehouse that must not be changed.
        """
        stand_in = sql_dialects.temporary_table(self.dialect, table)
        self.execute(sql_dialects.create_temporary(self.dialect, stand_in))
        self._stand_ins[table.name] = stand_in.name

    def blocks(self, sql: str, schema: pa.Schema, chunk_rows: int) -> Iterator[pa.RecordBatch]:
        """Runs one query and yields its rows as Arrow blocks of at most `chunk_rows` rows."""
        return self.session.blocks(self._text(sql), schema, chunk_rows=chunk_rows)

    def append(
        self, table: Table, block: pa.RecordBatch, constants: Mapping[str, object] | None = None
    ) -> None:
        """Appends a block of columns to a table; columns are matched by name.

        Args:
            table: the table, for the types and widths that its columns declare.
            block: some or all of its columns.
            constants: values of further columns, the same for every row.
        """
        self.session.append(self._named(table), block, constants)

    def append_parts(
        self, table: Table, parts: Sequence[tuple[pa.RecordBatch, Mapping[str, object]]]
    ) -> None:
        """Appends several blocks, each with its constants; all of them or none."""
        self.session.append_parts(self._named(table), parts)

    def _named(self, table: Table) -> Table:
        return replace(table, name=self._stand_ins.get(table.name, table.name))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits at the end of the block, rolls everything in it back on any exception.

        Raises:
            LoadingError: a transaction is open already, or it cannot be committed.
            CommitUnknownError: the connection went before the answer to the commit came.
        """
        if self._in_transaction:
            raise LoadingError("a transaction is open already", next_step="commit it first")
        self.session.begin()
        self._in_transaction = True
        try:
            yield
            self._commit()
        except BaseException:
            self.session.rollback()
            raise
        finally:
            self._in_transaction = False

    def _commit(self) -> None:
        try:
            self.session.commit()
        except LoadingError as error:
            if is_transient(error):  # a commit whose answer is lost may have happened
                raise CommitUnknownError(str(error)) from error
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
                self.session.execute_many(query, batch)
            else:
                self._execute_one_batch(query, batch)
        return len(data)

    @retry_with_backoff(max_retries=3, backoff_factor=2.0, exceptions=_repeatable)
    def _execute_one_batch(self, query: str, batch: List[tuple[Any, ...]]) -> None:
        self.revive()
        with self.transaction():
            self.session.execute_many(query, batch)


def _open_session(connection_string: str, access: Access) -> Session:
    if connection_string.startswith(DUCKDB_SCHEME):
        return DuckdbSession.open(
            connection_string,
            read_only=access.read_only,
            memory_limit=access.memory_limit,
            temp_directory=access.temp_directory,
        )
    if connection_string.startswith(POSTGRES_SCHEME):
        return PostgresSession.open(connection_string, locked=not access.read_only)
    return SqlServerSession.open(connection_string, locked=not access.read_only)


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
    if connection_string.startswith(POSTGRES_SCHEME):
        return POSTGRESQL
    if "=" in connection_string and "://" not in connection_string:
        return SQL_SERVER
    raise ConfigurationError(
        "this version loads DuckDB, SQL Server and PostgreSQL, and the configured warehouse is "
        "another engine",
        choices="duckdb:///path/to/file.duckdb, Server=...;Database=... (an ODBC string), "
        "postgresql://user:password@host/database",
        next_step="correct DB_CONNECTION_STRING, or set DB_SERVER",
    )
