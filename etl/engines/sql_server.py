"""SQL Server: a session, with its settings, the application lock and fast inserts."""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

import pyarrow as pa

from etl.engines import odbc
from etl.engines.bulk import BulkCopy
from etl.engines.engine import Access, Blocker, Engine, Part, Place, table_of
from etl.engines.odbc import OdbcReader, odbc_errors
from etl.engines.schemas import NO_SCHEMAS, Schemas
from etl.engines.sql_server_codes import CODES
from etl.engines.sql_server_dialect import SQL_SERVER, in_schemas
from etl.engines.sql_server_inserts import (
    ARRAY_BYTES,
    as_one,
    flags_of_one_value,
    in_statements,
    input_size,
    insert_text,
    parameter_bytes,
)
from etl.errors import LoadingError, WarehouseInUseError
from etl.resilience.transient import error_codes
from etl.schema.table import Column, Table
from etl.settings.connection_strings import parse

LOCK_NAME = "etl_pipeline"

# NOCOUNT: counts of rows are no result sets, behind which an error could hide. XACT_ABORT: an
# error takes the whole transaction back. LOCK_TIMEOUT in ms: whoever blocks us for longer than a
# minute gets error 1222, which is tried again. DEADLOCK_PRIORITY: a batch is tried again, and a
# person's query is not. READ COMMITTED: another default would be kept from whoever had the
# connection before. ARITHABORT: as in Management Studio, so that a plan looked at there is the one
# that runs here. With the others it is what writing a table needs that has an indexed view or a
# filtered index (error 1934); most are ODBC's defaults, unless the connection string has them
# otherwise (QuotedId=No, AnsiNPW=No).
_SETTINGS = (
    "SET NOCOUNT ON; SET XACT_ABORT ON; SET LOCK_TIMEOUT 60000; SET DEADLOCK_PRIORITY LOW; "
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET QUOTED_IDENTIFIER ON; "
    "SET ANSI_NULLS ON; SET ANSI_PADDING ON; SET ANSI_WARNINGS ON; SET ARITHABORT ON; "
    "SET CONCAT_NULL_YIELDS_NULL ON; SET NUMERIC_ROUNDABORT OFF;"
)

# Named after the database: SQL Server keeps the locks of databases apart, its relatives may not.
_TAKE_LOCK = f"""DECLARE @result INT, @resource NVARCHAR(255) = N'{LOCK_NAME} ' + DB_NAME();
EXEC @result = sp_getapplock @Resource = @resource, @LockMode = 'Exclusive',
    @LockOwner = 'Session', @LockTimeout = 0;
SELECT @result;"""

# Asks whether it could be taken, and takes nothing.
_LOCK_IS_FREE = f"""DECLARE @resource NVARCHAR(255) = N'{LOCK_NAME} ' + DB_NAME();
SELECT APPLOCK_TEST(N'public', @resource, N'Exclusive', N'Session');"""

# Loads that work side by side share a second lock: where the connection that has the first is
# lost, they keep other runs out until they are done.
_JOIN, _NO_LOADS = (
    text.replace(f"'{LOCK_NAME} '", f"'{LOCK_NAME} loads '").replace("'Exclusive'", mode)
    for text, mode in ((_TAKE_LOCK, "'Shared'"), (_LOCK_IS_FREE, "'Exclusive'"))
)

# Who holds it; needs a permission that a least-privilege login lacks.
_LOCK_HOLDER = f"""SELECT s.session_id, s.host_name, s.login_name
FROM sys.dm_tran_locks AS l JOIN sys.dm_exec_sessions AS s ON s.session_id = l.request_session_id
WHERE l.resource_type = 'APPLICATION' AND l.request_status = 'GRANT'
    AND l.resource_database_id = DB_ID() AND l.resource_description LIKE '%{LOCK_NAME}%';"""  # noqa: S608  # a constant

# Who has locks on tables of the database, and the last statement of each. Whoever blocked us is
# among them, as a lock on a row comes with one on its table.
_BLOCKERS = """SELECT DISTINCT s.session_id, s.login_name, s.host_name,
    OBJECT_NAME(l.resource_associated_entity_id), t.text
FROM sys.dm_tran_locks AS l
JOIN sys.dm_exec_sessions AS s ON s.session_id = l.request_session_id
LEFT JOIN sys.dm_exec_connections AS c ON c.session_id = s.session_id
OUTER APPLY sys.dm_exec_sql_text(c.most_recent_sql_handle) AS t
WHERE l.resource_type = 'OBJECT' AND l.resource_database_id = DB_ID()
    AND l.request_status = 'GRANT' AND l.request_mode <> 'Sch-S' AND s.session_id <> @@SPID;"""
_SEES_BLOCKERS = (
    "VIEW SERVER STATE (from SQL Server 2022 on VIEW SERVER PERFORMANCE STATE, on Azure SQL "
    "Database VIEW DATABASE STATE)"
)

# Permission was denied: in the database, on the server.
_DENIED = frozenset({"262", "297", "300"})

# NOLOCK: for a message, and the run it speaks of may have the row locked.
_RUNNING = 'SELECT max("run_id") FROM "etl_run" WITH (NOLOCK) WHERE "status" = \'running\';'

# 3609 and 3998: a transaction ended in a trigger, or at the end of a batch that left it broken.
_ENDED_IN_TRIGGER = re.compile(r"\((?:3609|3998)\)")
_TRIGGERS = "SELECT name FROM sys.triggers WHERE parent_id = OBJECT_ID(?) AND is_disabled = 0;"
_TRIGGER_STEP = (
    "let the trigger raise an error (THROW) in place of ROLLBACK, or disable it for the load; "
    "nothing of this batch was loaded"
)
# The table that a statement of ours writes.
_WRITTEN = re.compile(
    r"^\s*(?:MERGE INTO|INSERT INTO|UPDATE|DELETE FROM|MERGE|UPDATE target SET (?s:.*?)\nFROM) "
    r'(?P<name>"[^"]+"(?:\."[^"]+")?)'
)

# What must come back as it was sent: a driver that misreads the server's answer about types cuts
# the fraction off a time, the decimals off a number, or letters of a text, and says nothing.
_PROBE = "SELECT CAST(? AS DATETIME2(6)), CAST(? AS DECIMAL(18, 6)), CAST(? AS NVARCHAR(20));"
_PROBED = (
    datetime(2024, 1, 31, 23, 59, 59, 999999), Decimal("123456789012.345678"),
    "\u6f22\u5b57 \u20ac",
)  # fmt: skip

# Statements kept prepared; one load needs about half of them.
_MAX_PREPARED = 32


class SqlServerSession:
    """A connection to SQL Server; see `engine.Session`."""

    def __init__(self, connection_string: str, schemas: Schemas = NO_SCHEMAS) -> None:
        self._schemas = schemas
        self._connection_string = connection_string
        self._connection = odbc.connect(connection_string)
        self._beside: SqlServerSession | None = None
        self._prepared: OrderedDict[str, Any] = OrderedDict()

    @classmethod
    def open(cls, connection_string: str, access: Access) -> Self:
        """Connect, and keep other runs out of the database.

        Args:
            connection_string: an ODBC string.
            access: unless it is for reading only, the application lock is taken, which ends with
                the connection.

        Raises:
            WarehouseInUseError: another run has the lock.
            LoadingError: the server cannot be reached or refuses.
        """
        session = cls(connection_string, access.schemas)
        try:
            session.execute(_SETTINGS)
            session._require_exact()
            if access.beside:
                session._join()
            elif not access.read_only:
                session._take_lock()
        except BaseException:
            session.close()
            raise
        return session

    def _require_exact(self) -> None:
        found = self.query(_PROBE, _PROBED)[0]
        changed = [f"{sent} as {got}" for sent, got in zip(_PROBED, found, strict=True)
                   if sent != got]  # fmt: skip
        if changed:
            raise LoadingError(
                f"the ODBC driver changes values on their way: {'; '.join(changed)}",
                next_step="use another version of Microsoft's driver (DB_DRIVER), or ask the "
                "server's maker; nothing was loaded",
            )

    def _take_lock(self) -> None:
        if self.query(_TAKE_LOCK)[0][0] < 0 or not self.query(_NO_LOADS)[0][0]:
            raise WarehouseInUseError.by_another_run(self._holder())

    def _join(self) -> None:
        if self.query(_JOIN)[0][0] < 0:
            raise WarehouseInUseError.by_another_run(self._holder())

    def _holder(self) -> str:
        holder = ""
        with suppress(LoadingError):  # there may be no table yet
            run_id = self.query(self._schemas.qualified(_RUNNING))[0][0]
            holder += f", {run_id}" if run_id else ""
        with suppress(LoadingError):  # the permission may be missing
            for session_id, host, login in self.query(_LOCK_HOLDER):
                holder += f" (session {session_id} of {login} on {host})"
        return holder

    def _run(self, sql: str, params: Sequence[object]) -> Any:
        # Without parameters the text goes as it is. With them it becomes a procedure, at whose
        # end a temporary table that it made is dropped.
        if not params:
            return self._connection.cursor().execute(sql)
        return self._prepared_cursor(sql).execute(sql, *params)

    def _prepared_cursor(self, sql: str) -> Any:
        """A cursor that has the statement prepared, if it was run before: batches repeat it."""
        cursor = self._prepared.pop(sql, None)
        if cursor is None:
            cursor = self._connection.cursor()
            if len(self._prepared) >= _MAX_PREPARED:
                self._prepared.popitem(last=False)[1].close()
        self._prepared[sql] = cursor
        return cursor

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Run one statement, or several, to their end."""
        with _errors():
            _drain(self._run(sql, params))

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""
        with _errors():
            cursor = self._run(sql, params)
            while cursor.description is None and cursor.nextset():
                pass  # what comes before the first SELECT
            rows = [tuple(row) for row in cursor.fetchall()]
            _drain(cursor)
        return rows

    def arrow(self, sql: str, params: Sequence[object] = ()) -> pa.Table:
        """Run one query and return its rows as a table."""
        with _errors():
            cursor = self._run(sql, params)
            names = [column[0] for column in cursor.description]
            return table_of(names, cursor.fetchall())

    def change(self, sql: str, params: Sequence[object] = ()) -> int:
        """Run one INSERT, UPDATE, DELETE or MERGE and return how many rows it changed.

        Raises:
            LoadingError: the server refuses, or a trigger has ended the transaction; what came
                next would be committed by itself.
        """
        try:
            with _errors():
                counted = f"{sql}\nSELECT @@ROWCOUNT, @@TRANCOUNT;"
                changed, transactions = _last_row(self._run(counted, params))
        except LoadingError as error:
            if _ENDED_IN_TRIGGER.search(str(error)):
                raise LoadingError(f"{error.what}; {self._ended(sql)}") from error.__cause__
            raise
        if not (transactions or self._connection.autocommit):
            raise LoadingError(self._ended(sql), next_step=_TRIGGER_STEP)
        return int(changed)

    def _ended(self, sql: str) -> str:
        """What there is to say of a transaction that a trigger has ended."""
        table = _WRITTEN.search(sql)
        name = table["name"].replace('"', "") if table else ""
        triggers: list[tuple[Any, ...]] = []
        with suppress(LoadingError):  # the login may not be allowed to see them
            triggers = self.query(_TRIGGERS, (name,))
        named = f" ({', '.join(row[0] for row in triggers)})" if triggers else ""
        return f"a trigger of {name or 'the table'}{named} has ended the transaction"

    def execute_many(self, sql: str, data: Sequence[tuple[Any, ...]]) -> None:
        """Run one statement once per tuple."""
        with _errors():
            self._connection.cursor().executemany(sql, list(data))

    def blocks(self, sql: str, schema: pa.Schema, *, chunk_rows: int) -> Iterator[pa.RecordBatch]:
        """Run one query and yield its rows as blocks of that schema."""
        with _errors():
            cursor = self._run(sql, ())
        while True:
            with _errors():
                rows = cursor.fetchmany(chunk_rows)
            if not rows:
                return
            columns = zip(*rows, strict=True)
            arrays = [
                pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def append(
        self, table: Table, block: pa.RecordBatch, constants: Mapping[str, object] | None = None
    ) -> None:
        """Append a block to a table: a plain INSERT, whose parameters go as arrays."""
        flags, same = flags_of_one_value(block), constants or {}
        names = [name for name in block.schema.names if name not in flags]
        sent = block.select(names)
        columns = [table.column(name) for name in (*names, *same)]
        chunk_rows = max(1, ARRAY_BYTES // sum(parameter_bytes(c) for c in columns))
        with self._own_transaction():
            for start in range(0, block.num_rows, chunk_rows):
                part = sent.slice(start, chunk_rows)
                values = [column.to_pylist() for column in part]
                values += [[value] * part.num_rows for value in same.values()]
                for rows, params in in_statements(list(zip(*values, strict=True))):
                    sql = insert_text(table, columns, flags, rows=rows)
                    self._insert(sql, columns * rows, params)

    def append_parts(self, table: Table, parts: Sequence[Part]) -> None:
        """Append several blocks, all of them or none, half of them over a second connection.

        An insert keeps one core of the server busy, and two connections two of them. Should the
        server take the one commit and not the other, the error passes on, and whoever stages
        begins anew. A temporary table is there for one connection only.
        """
        with self._own_transaction():
            if len(parts) == 1 or table.name.startswith("#"):
                self.append(table, as_one(parts))
                return
            half, beside = len(parts) // 2, self._second_session()
            with beside._own_transaction(), ThreadPoolExecutor(1) as thread:
                others = thread.submit(beside.append, table, as_one(parts[half:]))
                self.append(table, as_one(parts[:half]))
                others.result()

    def _second_session(self) -> "SqlServerSession":
        if self._beside is None or not self._beside.is_alive():
            self._beside = SqlServerSession.open(self._connection_string, Access(read_only=True))
        return self._beside

    def _insert(
        self, sql: str, columns: Sequence[Column], params: Sequence[tuple[Any, ...]]
    ) -> None:
        with _errors():
            cursor = self._connection.cursor()
            cursor.fast_executemany = True
            # Declared, not asked for: of temporary tables the server says nothing, and pyodbc
            # would take VARCHAR(255).
            cursor.setinputsizes([input_size(column) for column in columns])
            cursor.executemany(sql, params)

    @contextmanager
    def _own_transaction(self) -> Iterator[None]:
        """Make one transaction of it, unless there is one: else each row would be committed.

        With XACT_ABORT a row that is refused would end the transaction, and the rows behind it
        in the array, which have been sent already, would be committed without one.
        """
        if not self._connection.autocommit:
            yield
            return
        self.execute("SET XACT_ABORT OFF;")
        self.begin()
        try:
            yield
            self.commit()
        except BaseException:
            self.rollback()
            raise
        finally:
            with suppress(LoadingError):  # a connection that is lost will be made anew
                self.execute("SET XACT_ABORT ON;")

    def begin(self) -> None:
        """Begin a transaction."""
        with _errors():
            self._connection.autocommit = False

    def commit(self) -> None:
        """Commit it."""
        with _errors():
            self._connection.commit()
            self._connection.autocommit = True

    def rollback(self) -> None:
        """Take everything of it back; a lost connection, or a trigger, has done so by itself.

        A connection that does not know what is open is closed, which takes it back: whoever goes
        on connects anew.
        """
        try:
            with _errors():
                self._connection.rollback()
                self._connection.autocommit = True  # only now: it commits what is still open
        except LoadingError:
            self.close()

    def is_alive(self) -> bool:
        """Return whether the connection still answers."""
        try:
            return bool(self.query("SELECT 1;")[0][0] == 1)
        except LoadingError:
            return False

    def facts(self) -> dict[str, str]:
        """Return driver and server with their versions, and who has the lock, without waiting."""
        with _errors():
            facts = {
                "driver": odbc.driver_in_use(self._connection),
                "server": odbc.server_version(self._connection),
            }
        if not self.query(_LOCK_IS_FREE)[0][0]:
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
            return [Blocker(str(session), *rest) for session, *rest in self.query(_BLOCKERS)]
        except LoadingError as error:
            denied = bool(_DENIED & error_codes(error))
            raise LoadingError(str(error), next_step=_SEES_BLOCKERS if denied else "") from error

    def close(self) -> None:
        """Close the connection; the lock goes with it."""
        if self._beside is not None:
            self._beside.close()
        with suppress(LoadingError), _errors():
            if not self._connection.autocommit:
                self._connection.rollback()
            self._connection.close()


def _last_row(cursor: Any) -> Any:
    """The row of the last result set; a trigger may select as well, before it."""
    row = None
    while True:
        if cursor.description is not None:
            row = cursor.fetchone()
        if not cursor.nextset():
            return row


def _drain(cursor: Any) -> None:
    """Take the result sets that are left: the error of a later statement comes with them."""
    while cursor.nextset():
        pass


def _errors() -> AbstractContextManager[None]:
    return odbc_errors("SQL Server")


_PORT = "1433"


def _place(connection_string: str) -> Place:
    """Where a database is, as other systems name it."""
    known = {keyword.lower(): value for keyword, value in parse(connection_string)}
    host, _, port = known.get("server", "").removeprefix("tcp:").partition(",")
    server = f"mssql://{host or 'localhost'}:{port or _PORT}"
    return Place(server, known.get("database", ""), "dbo")


ENGINE = Engine(
    dialect=SQL_SERVER,
    form="Server=...;Database=... (an ODBC string)",
    accepts=lambda text: "=" in text and "://" not in text,
    open=SqlServerSession.open,
    place=_place,
    reader=OdbcReader,
    codes=CODES,
    in_schemas=in_schemas,
    bulk=BulkCopy,
    many_writers=True,
)
