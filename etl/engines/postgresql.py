"""PostgreSQL: a session, with its advisory lock and COPY, and all that makes it an engine."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Self

import pyarrow as pa
from pyarrow import csv

from etl.engines.dialect import quoted, quoted_table, text_literal
from etl.engines.engine import Access, Blocker, Engine, Part, Place, table_of
from etl.engines.postgresql_client import (
    CODES,
    SCHEMES,
    client,
    connect,
    count_marks,
    errors_as_sentences,
    numbered_marks,
    server_cursor,
)
from etl.engines.postgresql_dialect import POSTGRESQL, in_schemas, search_path
from etl.engines.postgresql_reader import PostgresReader
from etl.errors import LoadingError, WarehouseInUseError
from etl.schema.table import Table
from etl.settings.connection_strings import url_parts

_CANCEL_TIMEOUT_S = 5.0
# Whoever blocks us for longer than a minute makes error 55P03, which is tried again.
_SETTINGS = "SET lock_timeout = '60s'; SET client_min_messages = warning;"
# The server notices within this time that a process which waits for it has gone, and takes back
# its lock. Some systems cannot know; then the lock ends with the statement.
_NOTICE_THE_DEAD = "SET client_connection_check_interval = '5s';"

# One lock a schema, since each schema can hold a warehouse of its own. The numbers are any that
# others are unlikely to use: the letters "etl_". Loads that work side by side share a second one:
# where the connection that has the first is lost, they keep other runs out until they are done.
_CURRENT = "current_schema()"
_OWN, _SHARED = int.from_bytes(b"etl_"), int.from_bytes(b"etl+")
_LOCK, _LOADS = (f"{number}, hashtext({_CURRENT})" for number in (_OWN, _SHARED))
_TAKE_LOCK = f"SELECT pg_try_advisory_lock({_LOCK});"
_NO_LOADS = f"SELECT pg_try_advisory_lock({_LOADS}), pg_advisory_unlock({_LOADS});"
_JOIN = f"SELECT pg_try_advisory_lock_shared({_LOADS});"
_GIVE_BACK_LOCK = "SELECT pg_advisory_unlock_all();"
_LOCK_HOLDERS = f"""SELECT a.pid, a.usename, a.client_addr::text
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND a.pid <> pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid::bigint IN ({_OWN}, {_SHARED})
    AND l.objid::bigint = hashtext({_CURRENT})::bigint & 4294967295;"""  # noqa: S608  # a constant
# Who has locks on tables, and the last statement of each. Whoever blocked us is among them: a lock
# on a row comes with one on its table. (pg_blocking_pids knows it only while somebody waits.)
_BLOCKERS = """SELECT DISTINCT a.pid, a.usename, a.client_addr::text, c.relname, a.query
FROM pg_locks AS l
JOIN pg_stat_activity AS a ON a.pid = l.pid
JOIN pg_class AS c ON c.oid = l.relation AND c.relkind IN ('r', 'p')
WHERE l.granted AND l.locktype = 'relation' AND l.mode <> 'AccessShareLock'
    AND l.pid <> pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace);"""
_HIDDEN = "<insufficient privilege>"
_SEES_BLOCKERS = "the role pg_read_all_stats"
_RUNNING = 'SELECT max("run_id") FROM "etl_run" WHERE "status" = \'running\';'


_READ_ONLY = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only');"

_OLDEST = 150_000  # 15.0, the first version that knows MERGE

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ;"
# Texts in quotes, so that an empty one differs from NULL, which has none.
_CSV = csv.WriteOptions(include_header=False, quoting_style="all_valid")


class PostgresSession:
    """A connection to PostgreSQL; see `engine.Session`."""

    def __init__(self, connection: Any, schema: str = "") -> None:
        self._connection = connection
        self._schema = schema

    @classmethod
    def open(cls, connection_string: str, access: Access) -> Self:
        """Connect, and keep other runs out of the schema.

        Args:
            connection_string: `postgresql://...`.
            access: unless it is for reading only, the application lock is taken, which ends with
                the connection.

        Raises:
            WarehouseInUseError: another run has the lock.
            LoadingError: the server cannot be reached or refuses.
        """
        session = cls(connect(connection_string), access.schemas.own)
        try:
            session._require_merge()
            session.execute(_SETTINGS)
            if access.schemas:
                session.execute(search_path(access.schemas))
            with suppress(LoadingError):
                session.execute(_NOTICE_THE_DEAD)
            if access.beside:
                session._join()
            elif not access.read_only:
                session._require_writable()
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

    def _require_writable(self) -> None:
        if reason := self._read_only():
            raise LoadingError(
                f"nothing can be written to this PostgreSQL: {reason}",
                next_step="connect to the primary server, or have the setting turned off for "
                "this login and database (DB_CONNECTION_STRING)",
                code="warehouse_read_only",
            )

    def _read_only(self) -> str:
        """Return why nothing can be written; empty where it can."""
        ((standby, default),) = self.query(_READ_ONLY)
        if standby:
            return "it is a standby, which only replays another server"
        return "default_transaction_read_only is on" if default == "on" else ""

    def _take_lock(self) -> None:
        if not (self._gets(_TAKE_LOCK) and self._gets(_NO_LOADS)):
            raise WarehouseInUseError.by_another_run(self._holder())

    def _join(self) -> None:
        if not self._gets(_JOIN):
            raise WarehouseInUseError.by_another_run(self._holder())

    def _gets(self, lock: str) -> bool:
        return bool(self.query(self._of_schema(lock))[0][0])

    def _of_schema(self, sql: str) -> str:
        """A statement about the lock of the schema that is set, which may be missing yet."""
        schema = text_literal(self._schema) if self._schema else _CURRENT
        return sql.replace(_CURRENT, schema)

    def _holder(self) -> str:
        holder = ""
        with suppress(LoadingError):  # there may be no table yet
            run_id = self.query(_RUNNING)[0][0]
            holder += f", {run_id}" if run_id else ""
        for pid, user, address in self.query(self._of_schema(_LOCK_HOLDERS)):
            holder += f" (server process {pid} of {user}{' from ' + address if address else ''})"
        return holder

    def _run(self, sql: str, params: Sequence[object]) -> Any:
        if not params:  # then it may be several statements
            return self._connection.execute(sql)
        return self._connection.execute(numbered_marks(sql), params)

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Run one statement, or without parameters several."""
        with errors_as_sentences():
            self._run(sql, params)

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""
        with errors_as_sentences():
            return list(self._run(sql, params).fetchall())

    def arrow(self, sql: str, params: Sequence[object] = ()) -> pa.Table:
        """Run one query and return its rows as a table."""
        with errors_as_sentences():
            cursor = self._run(sql, params)
            return table_of([column.name for column in cursor.description], cursor.fetchall())

    def change(self, sql: str, params: Sequence[object] = ()) -> int:
        """Run one INSERT, UPDATE, DELETE or MERGE and return how many rows it changed."""
        with errors_as_sentences():
            return int(self._run(sql, params).rowcount)

    def execute_many(self, sql: str, data: Sequence[tuple[Any, ...]]) -> None:
        """Run one statement once per tuple."""
        text = numbered_marks(sql)
        marks = count_marks(sql)
        if any(len(row) > marks for row in data):  # the server would ignore what is too much
            raise ValueError(f"a row has more values than the {marks} marks of the statement")
        with errors_as_sentences():
            self._connection.cursor().executemany(text, data)

    def blocks(self, sql: str, schema: pa.Schema, *, chunk_rows: int) -> Iterator[pa.RecordBatch]:
        """Run one query and yield its rows as blocks of that schema."""
        with server_cursor(self._connection, "blocks", withhold=True) as cursor:
            with errors_as_sentences():
                cursor.execute(sql)
            while rows := self._fetch(cursor, chunk_rows):
                columns = zip(zip(*rows, strict=True), schema, strict=True)
                arrays = [pa.array(values, field.type) for values, field in columns]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    @staticmethod
    def _fetch(cursor: Any, rows: int) -> list[tuple[Any, ...]]:
        with errors_as_sentences():
            return list(cursor.fetchmany(rows))

    def append(
        self, table: Table, block: pa.RecordBatch, constants: Mapping[str, object] | None = None
    ) -> None:
        """Append a block to a table by COPY.

        Raises:
            LoadingError: the server refuses it, or has taken another number of rows.
        """
        for name, value in (constants or {}).items():
            block = block.append_column(name, pa.array([value] * block.num_rows))
        text = pa.BufferOutputStream()
        csv.write_csv(block, text, _CSV)
        target, names = quoted_table(table.name), ", ".join(map(quoted, block.schema.names))
        with errors_as_sentences():
            cursor = self._connection.cursor()
            with cursor.copy(f"COPY {target} ({names}) FROM STDIN (FORMAT csv)") as to:
                to.write(text.getvalue())
        if cursor.rowcount != block.num_rows:
            raise LoadingError(
                f"{table.name} took {cursor.rowcount} rows where {block.num_rows} were sent"
            )

    def append_parts(self, table: Table, parts: Sequence[Part]) -> None:
        """Append several blocks, each with its constants; all of them or none."""
        with errors_as_sentences(), self._connection.transaction():
            for block, constants in parts:
                self.append(table, block, constants)

    def begin(self) -> None:
        """Begin a transaction, which sees the warehouse as it is now, to its end."""
        self.execute(_BEGIN)

    def commit(self) -> None:
        """Commit it."""
        with errors_as_sentences():
            self._connection.commit()

    def rollback(self) -> None:
        """Take everything of it back; a lost connection has done so by itself."""
        with suppress(LoadingError), errors_as_sentences():
            self._connection.rollback()

    def cancel(self) -> None:
        """Ask the statement to end that another thread runs; one that is over stays done."""
        with suppress(LoadingError), errors_as_sentences():
            self._connection.cancel_safe(timeout=_CANCEL_TIMEOUT_S)

    def is_alive(self) -> bool:
        """Return whether the connection still answers."""
        try:
            return bool(self.query("SELECT 1;") == [(1,)])
        except LoadingError:
            return False

    def facts(self) -> dict[str, str]:
        """Return driver and server with their versions, and who has the lock, without waiting."""
        ((version,),) = self.query("SHOW server_version;")
        facts = {"driver": f"psycopg {client().__version__}", "server": f"PostgreSQL {version}"}
        if reason := self._read_only():
            facts["read_only"] = reason
        if self.query(self._of_schema(_LOCK_HOLDERS)):
            facts["used_by"] = f"another run{self._holder()}"
        return facts

    def publish(self) -> None:
        """Do nothing: what is committed is seen."""

    def blockers(self) -> list[Blocker]:
        """Return the other sessions that hold locks on tables of the database.

        Raises:
            LoadingError: this login may not see them.
        """
        try:
            found = [Blocker(str(pid), *rest) for pid, *rest in self.query(_BLOCKERS)]
        except LoadingError as error:
            raise LoadingError(str(error), next_step=_SEES_BLOCKERS) from error
        return [replace(b, statement=None, right=_SEES_BLOCKERS) if b.statement == _HIDDEN else b
                  for b in found]  # fmt: skip

    def close(self) -> None:
        """Give the lock back, and close the connection.

        The server's process would keep it a moment longer, while it drops temporary tables; a run
        that begins then would find the warehouse in use.
        """
        idle = client().pq.TransactionStatus.IDLE
        if self._connection.info.transaction_status == idle:
            with suppress(LoadingError):  # it ends with the connection
                self.execute(_GIVE_BACK_LOCK)
        self._connection.close()


_PORT = "5432"


def _place(url: str) -> Place:
    """Where a database is, as other systems name it."""
    parts = url_parts(url)
    host, _, port = (parts.server if parts else "").partition(":")
    server = f"postgres://{host or 'localhost'}:{port or _PORT}"
    return Place(server, parts.database if parts else "", "public")


ENGINE = Engine(
    dialect=POSTGRESQL,
    form="postgresql://user:password@host/database",
    accepts=lambda text: text.startswith(SCHEMES),
    open=PostgresSession.open,
    place=_place,
    reader=PostgresReader,
    codes=CODES,
    in_schemas=in_schemas,
    many_writers=True,
    cancel=PostgresSession.cancel,
)
