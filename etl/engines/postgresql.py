"""A session on PostgreSQL: its settings, the advisory lock, and COPY for whatever is appended."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

import pyarrow as pa
from pyarrow import csv

from etl.engines import postgres_connections
from etl.engines.dialect import quoted
from etl.engines.postgres_connections import numbered_marks, server_cursor, translated_errors
from etl.errors import LoadingError, WarehouseInUseError
from etl.resilience.transient import ErrorCodes, register_codes
from etl.schema.tables import Table

# Whoever blocks us for longer than a minute makes error 55P03, which is tried again.
_SETTINGS = "SET lock_timeout = '60s'; SET client_min_messages = warning;"
# The server notices within this time that a process which waits for it has gone, and takes back
# its lock. Some systems cannot tell; then the lock ends with the statement.
_NOTICE_THE_DEAD = "SET client_connection_check_interval = '5s';"

# One lock a schema, since each schema can hold a warehouse of its own. The number is any that
# others are unlikely to use: the letters "etl_".
_LOCK = f"{int.from_bytes(b'etl_')}, hashtext(current_schema())"
_TAKE_LOCK = f"SELECT pg_try_advisory_lock({_LOCK});"
_GIVE_BACK_LOCK = "SELECT pg_advisory_unlock_all();"
_LOCK_HOLDERS = f"""SELECT a.pid, a.usename, a.client_addr::text
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND a.pid <> pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint, l.objid::bigint) = ({int.from_bytes(b"etl_")},
        hashtext(current_schema())::bigint & 4294967295);"""  # noqa: S608  # a constant
_RUNNING = 'SELECT max("run_id") FROM "etl_run" WHERE "status" = \'running\';'

# "Appendix A. PostgreSQL Error Codes". The client hands on what the server said of a login
# without its SQLSTATE.
CODES = ErrorCodes(
    transient_states=frozenset(
        {
            "40P01",  # deadlock detected
            "53300",  # too many connections
            "55P03",  # lock not available
            "57P01",  # shut down by an administrator
            "57P02",  # crash of another session
            "57P03",  # cannot connect now, starting up or shutting down
        }
    ),
    permanent_words=frozenset(
        {
            "authentication failed",
            "does not exist",
            "no password supplied",
            "no pg_hba.conf entry",
            "permission denied",
            "does not support SSL",
            "certificate",
        }
    ),
)
register_codes(CODES)

_OLDEST = 150_000  # 15.0, the first version that knows MERGE

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ;"
# Texts in quotes, so that an empty one is told from NULL, which has none.
_CSV = csv.WriteOptions(include_header=False, quoting_style="all_valid")


class PostgresSession:
    """A connection to PostgreSQL; see `database.Session`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    def open(cls, connection_string: str, *, locked: bool) -> Self:
        """Connects, and keeps other runs out of the schema.

        Args:
            connection_string: `postgresql://...`.
            locked: whether to take the application lock, which ends with the connection.

        Raises:
            WarehouseInUseError: another run has the lock.
            LoadingError: the server cannot be reached or refuses.
        """
        session = cls(postgres_connections.connect(connection_string))
        try:
            session._require_merge()
            session.execute(_SETTINGS)
            with suppress(LoadingError):
                session.execute(_NOTICE_THE_DEAD)
            if locked:
                session._take_lock()
        except BaseException:
            session.close()
            raise
        return session

    def _require_merge(self) -> None:
        version = self._connection.info.server_version
        if version < _OLDEST:
            raise LoadingError(
                f"PostgreSQL {version // 10_000} is too old: it does not know MERGE",
                next_step="use version 15 or a later one",
            )

    def _take_lock(self) -> None:
        if not self.query(_TAKE_LOCK)[0][0]:
            raise WarehouseInUseError.by_another_run(self._holder())

    def _holder(self) -> str:
        told = ""
        with suppress(LoadingError):  # there may be no table yet
            run_id = self.query(_RUNNING)[0][0]
            told += f", {run_id}" if run_id else ""
        for pid, user, address in self.query(_LOCK_HOLDERS):
            told += f" (server process {pid} of {user}{' from ' + address if address else ''})"
        return told

    def _run(self, sql: str, params: Sequence[object]) -> Any:
        if not params:  # then it may be several statements
            return self._connection.execute(sql)
        return self._connection.execute(numbered_marks(sql), params)

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Runs one statement, or without parameters several."""
        with translated_errors():
            self._run(sql, params)

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Runs one query and returns its rows."""
        with translated_errors():
            return list(self._run(sql, params).fetchall())

    def change(self, sql: str, params: Sequence[object] = ()) -> int:
        """Runs one INSERT, UPDATE, DELETE or MERGE and returns how many rows it changed."""
        with translated_errors():
            return int(self._run(sql, params).rowcount)

    def execute_many(self, sql: str, data: Sequence[tuple[Any, ...]]) -> None:
        """Runs one statement once per tuple."""
        with translated_errors():
            self._connection.cursor().executemany(numbered_marks(sql), data)

    def blocks(self, sql: str, schema: pa.Schema, *, chunk_rows: int) -> Iterator[pa.RecordBatch]:
        """Runs one query and yields its rows as blocks of that schema."""
        with server_cursor(self._connection, "blocks", withhold=True) as cursor:
            with translated_errors():
                cursor.execute(sql)
            while rows := self._fetch(cursor, chunk_rows):
                columns = zip(zip(*rows, strict=True), schema, strict=True)
                arrays = [pa.array(values, field.type) for values, field in columns]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    @staticmethod
    def _fetch(cursor: Any, rows: int) -> list[tuple[Any, ...]]:
        with translated_errors():
            return list(cursor.fetchmany(rows))

    def append(
        self, table: Table, block: pa.RecordBatch, constants: Mapping[str, object] | None = None
    ) -> None:
        """Appends a block to a table by COPY.

        Raises:
            LoadingError: the server refuses it, or has taken another number of rows.
        """
        for name, value in (constants or {}).items():
            block = block.append_column(name, pa.array([value] * block.num_rows))
        text = pa.BufferOutputStream()
        csv.write_csv(block, text, _CSV)
        names = ", ".join(map(quoted, block.schema.names))
        with translated_errors():
            cursor = self._connection.cursor()
            with cursor.copy(f"COPY {quoted(table.name)} ({names}) FROM STDIN (FORMAT csv)") as to:
                to.write(text.getvalue())
        if cursor.rowcount != block.num_rows:
            raise LoadingError(
                f"{table.name} took {cursor.rowcount} rows where {block.num_rows} were sent"
            )

    def append_parts(
        self, table: Table, parts: Sequence[tuple[pa.RecordBatch, Mapping[str, object]]]
    ) -> None:
        """Appends several blocks, each with its constants; all of them or none."""
        with translated_errors(), self._connection.transaction():
            for block, constants in parts:
                self.append(table, block, constants)

    def begin(self) -> None:
        """Begins a transaction, which sees the warehouse as it is now, to its end."""
        self.execute(_BEGIN)

    def commit(self) -> None:
        """Commits it."""
        with translated_errors():
            self._connection.commit()

    def rollback(self) -> None:
        """Takes everything of it back; a lost connection has done so by itself."""
        with suppress(LoadingError), translated_errors():
            self._connection.rollback()

    def is_alive(self) -> bool:
        """Whether the connection still answers."""
        try:
            return bool(self.query("SELECT 1;") == [(1,)])
        except LoadingError:
            return False

    def facts(self) -> dict[str, str]:
        """Driver and server with their versions, and who has the lock; nothing waits for it."""
        ((version,),) = self.query("SHOW server_version;")
        psycopg = postgres_connections.psycopg
        facts = {"driver": f"psycopg {psycopg.__version__}", "server": f"PostgreSQL {version}"}
        if self.query(_LOCK_HOLDERS):
            facts["used_by"] = f"another run{self._holder()}"
        return facts

    def close(self) -> None:
        """Gives the lock back, and closes the connection.

        The server's process would keep it a moment longer, while it drops temporary tables; a run
        that begins then would find the warehouse in use.
        """
        idle = postgres_connections.psycopg.pq.TransactionStatus.IDLE
        if self._connection.info.transaction_status == idle:
            with suppress(LoadingError):  # it ends with the connection
                self.execute(_GIVE_BACK_LOCK)
        self._connection.close()
