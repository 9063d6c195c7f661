"""Connecting, transactions and batches: the one object through which the package uses an engine.

`DatabaseManager` is used as a context manager: it connects on entry, and on exit rolls back what
an open transaction has left and always closes. Outside `transaction()` each statement commits.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, List, Self

import pyarrow as pa
from pydantic import SecretStr

from etl.engines import ddl
from etl.engines import dialect as sql_dialects
from etl.engines.dialect import Dialect, quoted, quoted_table
from etl.engines.engine import DEFAULT_ACCESS, Access, Part, Session, driver_text
from etl.engines.locks import blocked_by
from etl.engines.registry import engine_of
from etl.engines.schemas import Schemas
from etl.engines.upsert import Bound, as_pair
from etl.errors import (
    CircuitOpenError,
    CommitUnknownError,
    ConfigurationError,
    LoadingError,
    WarehouseInUseError,
)
from etl.resilience.circuit_breaker import CircuitBreaker
from etl.resilience.retry import retry_with_backoff
from etl.resilience.transient import is_lock_wait, is_transient
from etl.schema.table import Table
from etl.settings.config import Config

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped,unused-ignore]

logger = logging.getLogger(__name__)

_LOOK_S = 1.0  # how often a warehouse in use is tried again
# How long a server may take to notice a lost connection, and to release its lock.
_GHOST_S = 10.0


def _plain(connection_string: object) -> str:
    if isinstance(connection_string, SecretStr):
        return connection_string.get_secret_value()
    if isinstance(connection_string, str):
        return connection_string
    raise ConfigurationError(
        f"a connection string is needed, not {type(connection_string).__name__}",
        next_step="use DatabaseManager(config.database.connection_string), or "
        "DatabaseManager.from_config(config)",
    )


def _repeatable(error: BaseException) -> bool:
    """Return whether a batch of unknown statements can be repeated without doing it twice."""
    return is_transient(error) and not isinstance(error, CommitUnknownError)


class DatabaseManager:
    """One connection to the warehouse, with transactions and batches.

    Args:
        connection_string: the one that is configured, as it comes; or `duckdb:///path`,
            `duckdb:///:memory:` for one that is not kept, `postgresql://...`, or an ODBC string
            of a SQL Server.
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
        connection_string: str | SecretStr,
        *,
        access: Access = DEFAULT_ACCESS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connection_string = _plain(connection_string)
        self.access = access
        self.engine = engine_of(self.connection_string)
        self.dialect: Dialect = self.engine.dialect_in(access.schemas)
        self._sleep = sleep
        # Outlives the sources of a run, each of which tries again to get back a lost connection.
        self._breaker = CircuitBreaker(
            access.breaker_failures, access.breaker_recovery_s, name="warehouse",
            counts=is_transient,
        )  # fmt: skip
        self._session: Session | None = None
        self._run: DatabaseManager | None = None  # the connection that has taken the warehouse
        self._others: set[DatabaseManager] = set()  # those beside it
        self._asked = threading.Lock()  # whether it is still there, by those
        self._in_transaction = False
        self._replaced: dict[str, str] = {}
        self._statement = ""  # that failed last

    @classmethod
    def from_config(
        cls, config: Config, *, read_only: bool = False, temp_directory: str = ""
    ) -> Self:
        """Return a manager of the configured warehouse, with the configured limits.

        Args:
            config: the settings.
            read_only: change nothing and keep nobody out; a file that is missing is read as an
                empty warehouse.
            temp_directory: where an embedded engine spills to; empty for beside its file.

        Example:
            >>> from etl.settings.config import load_config
            >>> config = load_config(environ={"DB_CONNECTION_STRING": "duckdb:///:memory:"})
            >>> with DatabaseManager.from_config(config) as db:
            ...     db.value("SELECT 42")
            42
        """
        processing = config.processing
        access = Access(
            read_only=read_only,
            empty_if_missing=read_only,
            bulk=config.database.sql_server_bulk,
            lock_wait_s=processing.lock_wait_seconds,
            memory_limit=processing.duckdb_memory_limit,
            temp_directory=temp_directory,
            threads=processing.workers,
            breaker_failures=processing.breaker_failure_threshold,
            breaker_recovery_s=processing.breaker_recovery_seconds,
            schemas=Schemas.of(config),
            update_insert=config.database.sql_server_upsert == "update-insert",
            cloud=config.clouds.access,
            keep_days=config.database.lake_keep_days,
        )
        return cls(config.database.connection_string, access=access)

    def __repr__(self) -> str:
        return f"DatabaseManager({self.dialect.name})"

    def __enter__(self) -> Self:
        self._session = self._connect(self.access.lock_wait_s)
        return self

    def _connect(self, lock_wait_s: float) -> Session:
        waited_s = 0.0
        while True:
            try:
                return self._opened()
            except WarehouseInUseError as error:
                if waited_s >= lock_wait_s and not self._others:  # those keep others out, and us
                    raise
                if not waited_s:
                    logger.info("waiting up to %g s: %s", lock_wait_s, error)
            except CircuitOpenError as error:
                raise LoadingError(str(error)) from error
            left_s = lock_wait_s - waited_s
            pause_s = min(_LOOK_S, left_s) if left_s > 0 else _LOOK_S
            self._sleep(pause_s)
            waited_s += pause_s

    def _opened(self) -> Session:
        """A connection; one beside the run's own counts if that was there all the while."""
        run = self._run
        if run is None:
            return self._breaker.call(self.engine.open, self.connection_string, self.access)
        with run._asked:
            run.revive()
            session = self._breaker.call(self.engine.open, self.connection_string, self.access)
            if run.session.is_alive():
                run._others.add(self)
                return session
        session.close()  # for a moment the warehouse was nobody's
        return self._opened()

    def _leave(self) -> None:
        if self._run is not None:
            self._run._others.discard(self)

    def beside(self) -> "DatabaseManager":
        """Return a further connection to the warehouse, for a load that works beside others.

        This one has taken the warehouse, and is used for nothing else while there are others.

        Raises:
            LoadingError: the engine has one writer.
        """
        if not self.engine.many_writers:
            raise LoadingError(f"{self.dialect.name} has one writer")
        access = replace(self.access, beside=True)
        other = DatabaseManager(self.connection_string, access=access, sleep=self._sleep)
        other._run, other._breaker = self, self._breaker
        return other

    @property
    def is_beside(self) -> bool:
        """Whether other connections of the same run may load at the same time."""
        return self.access.beside

    def cancel_beside(self) -> None:
        """Ask the statements to end that those beside this one run, where that can be asked."""
        for other in tuple(self._others):
            session = other._session
            if self.engine.cancel is not None and session is not None:
                self.engine.cancel(session)

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
            self._close(session, exc_val)
            self._leave()

    @staticmethod
    def _close(session: Session, error: BaseException | None) -> None:
        try:
            session.close()
        except LoadingError as second:
            if error is None:
                raise
            logger.error("%s", second, exc_info=True)  # the first error is the one to be reported

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
        """Connect anew if the connection is gone, takes the warehouse again, and says so.

        Raises:
            WarehouseInUseError: another run has taken it meanwhile.
            LoadingError: the server cannot be reached.
        """
        if self.session.is_alive():
            return False
        with suppress(Exception):  # there is nothing left to close properly
            self.session.close()
        self._leave()
        self._in_transaction = False
        self._session = self._connect(max(self.access.lock_wait_s, _GHOST_S))
        return True

    def _text(self, sql: str) -> str:
        for name, replacement in self._replaced.items():
            sql = sql.replace(quoted_table(name), quoted(replacement))
        return self.dialect.schemas.qualified(sql)

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Run one statement; parameters are bound, never pasted into the text."""
        for text, values in self._in_place_of(sql, params):
            with self._naming_blockers(text):
                self.session.execute(self._text(text), values)

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one query and return its rows; for results that fit into memory."""
        with self._naming_blockers(sql):
            return self.session.query(self._text(sql), params)

    def frame(self, sql: str, params: Sequence[object] = ()) -> "pd.DataFrame":
        """Run one query and return its rows as a pandas DataFrame.

        Decimals stay exact, dates are dates. pandas is imported by the first call.

        Args:
            sql: the query, with a `?` per parameter.
            params: the parameters, bound and never pasted into the text.

        Example:
            >>> with DatabaseManager("duckdb:///:memory:") as db:
            ...     db.frame("SELECT ? AS n, 'a' AS t", (7,)).to_dict("records")
            [{'n': 7, 't': 'a'}]
        """
        frame: pd.DataFrame = self.session.arrow(self._text(sql), params).to_pandas()
        return frame

    def change(self, sql: str, params: Sequence[object] = ()) -> int:
        """Run one INSERT, UPDATE, DELETE or MERGE and return how many rows it changed."""
        changed = 0
        for text, values in self._in_place_of(sql, params):
            with self._naming_blockers(text):
                changed += self.session.change(self._text(text), values)
        return changed

    def _in_place_of(self, sql: str, params: Sequence[object]) -> Sequence[Bound]:
        """The statement itself, or both of those that stand for a MERGE on SQL Server."""
        if self.access.update_insert and self.dialect.seeks:
            return as_pair(sql, params)
        return [(sql, tuple(params))]

    def value(self, sql: str, params: Sequence[object] = ()) -> Any:
        """Return the first value of the first row."""
        return self.query(sql, params)[0][0]

    def table_names(self) -> set[str]:
        """Return the tables there are."""
        rows = self.query(self.dialect.table_names)
        return {name for (name,) in rows} | set(self._replaced)

    def copy_to(self, path: Path) -> None:
        """Put a copy of an embedded warehouse, as of now, in the place of a file.

        Args:
            path: of the copy; it is replaced whole or not at all.

        Raises:
            LoadingError: the warehouse is on a server, or the file cannot be the copy's.
            OSError: it cannot be written.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as folder:
            ...     with DatabaseManager(f"duckdb:///{folder}/w.duckdb") as db:
            ...         db.execute("CREATE TABLE numbers AS SELECT 7 AS n")
            ...         db.copy_to(Path(folder, "copy.duckdb"))
            ...     with DatabaseManager(f"duckdb:///{folder}/copy.duckdb") as copy:
            ...         copy.value("SELECT n FROM numbers")
            7
        """
        if self.engine.copy is None:
            raise LoadingError(f"{self.dialect.name} has no file that could be copied")
        self.engine.copy(self.session, path)

    def publish(self) -> None:
        """Let readers see what was committed, where that is not the same.

        Raises:
            LoadingError: it cannot be published now; the next run does it.
        """
        self.session.publish()

    def create_empty(self, table: Table) -> None:
        """Make an empty temporary table to use in place of a missing one, under its name.

        For comparing with a warehouse that must not be changed.
        """
        replacement = ddl.temporary_table(self.dialect, table)
        self.execute(ddl.create_temporary(self.dialect, replacement))
        self._replaced[table.name] = replacement.name

    def clear(self, name: str) -> None:
        """Empty a staging table that stays, or the temporary one in its place."""
        if replacement := self._replaced.get(name):
            # ours alone, so rights and the log do not matter; of a temporary table that was
            # truncated Babelfish takes no prepared INSERT any more
            self.execute(f"DELETE FROM {quoted(replacement)};")  # noqa: S608  # our own table
        else:
            self.execute(sql_dialects.clear(self.dialect, name))

    def blocks(self, sql: str, schema: pa.Schema, chunk_rows: int) -> Iterator[pa.RecordBatch]:
        """Run one query and yield its rows as Arrow blocks of at most `chunk_rows` rows."""
        return self.session.blocks(self._text(sql), schema, chunk_rows=chunk_rows)

    def append(
        self, table: Table, block: pa.RecordBatch, constants: Mapping[str, object] | None = None
    ) -> None:
        """Append a block of columns to a table; columns are matched by name.

        Args:
            table: the table, for the types and widths that its columns declare.
            block: some or all of its columns.
            constants: values of further columns, the same for every row.
        """
        with self._naming_blockers(quoted(table.name)):
            self.session.append(self._named(table), block, constants)

    def append_parts(self, table: Table, parts: Sequence[Part]) -> None:
        """Append several blocks, each with its constants; all of them or none."""
        with self._naming_blockers(quoted(table.name)):
            self.session.append_parts(self._named(table), parts)

    def _named(self, table: Table) -> Table:
        name = self._replaced.get(table.name) or self.dialect.placed(table.name)
        return replace(table, name=name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end of the block, rolls everything in it back on any exception.

        Raises:
            LoadingError: a transaction is open already, or it cannot be committed.
            CommitUnknownError: the connection went before the answer to the commit came.
        """
        if self._in_transaction:
            raise LoadingError("a transaction is open already", next_step="commit it first")
        self.session.begin()
        self._in_transaction, self._statement = True, ""
        try:
            yield
            self._commit()
        except BaseException:
            self.session.rollback()
            self._in_transaction = False
            with self._naming_blockers(self._statement):
                raise
        finally:
            self._in_transaction = False

    @contextmanager
    def _naming_blockers(self, sql: str) -> Iterator[None]:
        """Name who keeps the lock that was waited for in vain, once nothing of ours is open."""
        try:
            yield
        except LoadingError as error:
            self._statement = sql
            if self._in_transaction or not is_lock_wait(error):
                raise
            who, step = blocked_by(self.session, sql)
            raise LoadingError(f"{error.what}; {who}", next_step=step) from error.__cause__

    def _commit(self) -> None:
        try:
            self.session.commit()
        except LoadingError as error:
            if is_transient(error):  # a commit whose answer is lost may have happened
                raise CommitUnknownError(str(error)) from error
            raise

    def execute_batch(self, query: str, data: List[tuple[Any, ...]], batch_size: int = 1000) -> int:
        """Run a statement once per tuple, a transaction per batch, retried when transient.

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
            LoadingError: the database refuses; the batches before the one at fault are committed.
                The driver's error is its cause, on every engine.
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

    @retry_with_backoff(max_retries=3, backoff_factor=2.0, exceptions=_repeatable)
    def _execute_one_batch(self, query: str, batch: List[tuple[Any, ...]]) -> None:
        self.revive()
        with self.transaction():
            self._execute_many(query, batch)

    def _execute_many(self, query: str, batch: List[tuple[Any, ...]]) -> None:
        try:
            self.session.execute_many(self._text(query), batch)
        except (TypeError, ValueError, OverflowError) as error:  # a value the driver cannot send
            raise LoadingError(
                f"the statement cannot be run with these values: {driver_text(error)}",
                next_step="give a tuple per row, with a value per ? that a column can hold",
            ) from error
