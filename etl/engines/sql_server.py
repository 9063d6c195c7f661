"""SQL Server: a session with its settings, the application lock and fast inserts; its dialect."""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

import pyarrow as pa

from etl.engines import adoption, odbc
from etl.engines.bulk import BulkCopy
from etl.engines.dialect import CATALOG, Dialect, quoted, quoted_table, text_literal
from etl.engines.engine import Access, Blocker, Engine, Part, Place, table_of
from etl.engines.odbc import OdbcReader, SqlType, odbc_errors
from etl.engines.schemas import NO_SCHEMAS, Schemas
from etl.errors import LoadingError, WarehouseInUseError
from etl.resilience.transient import ErrorCodes, error_codes
from etl.schema.tables import WIDEST_TEXT, Column, Kind, Table
from etl.settings.connection_strings import parse

LOCK_NAME = "etl_pipeline"

# Numbers after which SQL Server or its client may succeed on another attempt. Sources, both on
# learn.microsoft.com: [A] "Troubleshoot connectivity issues and other errors with Azure SQL
# Database and Azure SQL Managed Instance", list of transient fault error codes; [B]
# "SqlConfigurableRetryFactory", the transient errors of Microsoft's own client; [C] "Database
# engine events and errors", whose texts say that it passes: a failover, or memory to wait for.
# Listed there and left out on purpose, because on a server of one's own they mean a setting
# that is wrong, or damage: 0, 20, 207, 926, 4060, 18456, 42108 (4060 is tried again on Azure, see
# `odbc.refusal`). Driver timeouts (-2 in [B]) reach ODBC as the SQLSTATE HYT00.
_TRANSIENT = frozenset(
    {
        64,  # [B] the network name is no longer available
        233,  # [B] no process on the other end of the pipe
        615,  # [A] a stale database id in the login cache
        976,  # [C] a database of an availability group is not accessible at the moment
        983,  # [C] its replica is changing its role
        997,  # [B] overlapped I/O in progress during login
        1204,  # [B] no lock resource at this time
        1205,  # [B] deadlock victim
        3906,  # [C] the database is read-only: the other replica has become the primary one
        4221,  # [A] [B] replica not ready for login
        8645,  # [C] waited too long for memory to run the query
        8651,  # [C] not the least memory that the query needs
        10053,  # [B] connection aborted by this host
        10054,  # [B] connection reset by the server
        10060,  # [B] connection attempt timed out
        10928,  # [B] resource limit of the database reached
        10929,  # [B] server too busy
        40143,  # [B] service error, try again
        40197,  # [A] [B] service down for an upgrade or a failover
        40501,  # [A] [B] service busy
        40540,  # [B] service error, try again
        40613,  # [A] [B] database not available at the moment
        42109,  # [B] SQL pool warming up
        49918,  # [A] [B] not enough resources
        49919,  # [A] [B] too many create or update operations
        49920,  # [A] [B] too many operations
    }
)
# Numbers of the FreeTDS driver itself (its header include/sybdb.h). A server that is killed
# shows there as SQLSTATE 01000 with 20017, so the SQLSTATE alone is not enough.
_TRANSIENT_FREETDS = frozenset(
    {
        20003,  # SYBETIME: timed out
        20004,  # SYBEREAD: read failed
        20006,  # SYBEWRIT: write failed
        20009,  # SYBECONN: unable to connect
        20017,  # SYBESEOF: unexpected end of file from the server
        20047,  # SYBEDDNE: connection is dead
    }
)
# Trying these again only delays the message, and may lock the account.
_PERMANENT = frozenset(
    {
        20,  # the server does not support encryption; comes as 08001
        911,  # there is no such database, and 916: no access to it; come as 08004
        916,
        18456,  # login failed; FreeTDS gives it the SQLSTATE 42000
        -2146893019,  # SEC_E_UNTRUSTED_ROOT, a certificate nobody vouches for (Windows)
        -2146893022,  # SEC_E_WRONG_PRINCIPAL, a certificate for another name (Windows)
    }
)
# OpenSSL's words for the same two; Microsoft's driver gives them 08001 and no number but -1.
_UNTRUSTED_CERTIFICATE = "certificate verify failed"

CODES = ErrorCodes(
    transient_numbers=_TRANSIENT | _TRANSIENT_FREETDS,
    permanent_numbers=_PERMANENT,
    permanent_words=frozenset({_UNTRUSTED_CERTIFICATE}),
    lock_wait_numbers=frozenset({1222}),  # [B] lock request timed out
    # its text, for drivers that lose the number; and a relative's, which gives another number
    lock_wait_words=frozenset(
        {"Lock request time out period exceeded", "canceling statement due to lock timeout"}
    ),
    # What a trigger raises to refuse a row: RAISERROR and THROW number from 50,000 on. The end
    # keeps out relatives of SQL Server that give numbers of their own, in the millions, to others.
    data_numbers=range(50_000, 1_000_000),
)

# CREATE SCHEMA too.
_CREATE_SCHEMA = "IF SCHEMA_ID(N'{schema}') IS NULL\nEXEC(N'CREATE SCHEMA {quoted};');"

_UNLESS_THERE = "IF OBJECT_ID(N'{name}', N'U') IS NULL\nBEGIN\nCREATE TABLE {quoted} {body}\nEND;"

# TRUNCATE is hardly logged and gives all pages back, but needs the right to alter the table.
# Without it: in parts, so that the log can be used again between them, and with a lock on the
# table, which gives the pages of a heap back too.
_CLEAR = """IF HAS_PERMS_BY_NAME(N'{name}', N'OBJECT', N'ALTER') = 1
    TRUNCATE TABLE {quoted};
ELSE
    WHILE EXISTS (SELECT 1 FROM {quoted})
        DELETE TOP (50000) FROM {quoted} WITH (TABLOCK);"""

# With what a staging table now holds; the server does it by itself only when enough has changed.
_STATISTICS = """IF HAS_PERMS_BY_NAME(N'{name}', N'OBJECT', N'ALTER') = 1
    UPDATE STATISTICS {quoted};"""

# CREATE VIEW wants to be alone in its batch.
_CREATE_VIEW = "IF OBJECT_ID(N'{name}', N'V') IS NULL\nEXEC(N'CREATE VIEW {quoted} AS\n{query};');"

# Descriptions where SQL Server's own tools, and those of others, look for them. A view that has one
# has been given those of its columns too.
_COMMENTS = """DECLARE @kind NVARCHAR(10), @name SYSNAME, @part SYSNAME, @note NVARCHAR(1000),
    @schema SYSNAME;
DECLARE notes CURSOR LOCAL STATIC FOR
SELECT n."kind", OBJECT_NAME(OBJECT_ID(n."name")), n."part", n."note",
    OBJECT_SCHEMA_NAME(OBJECT_ID(n."name"))
FROM (VALUES
{rows}
) AS n ("kind", "name", "part", "note")
WHERE OBJECT_ID(n."name") IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM sys.extended_properties AS p
    WHERE p.class = 1 AND p.name = N'MS_Description' AND p.major_id = OBJECT_ID(n."name")
        AND p.minor_id = COALESCE((SELECT c.column_id FROM sys.columns AS c
            WHERE c.object_id = OBJECT_ID(n."name") AND c.name = n."part" AND n."kind" = N'TABLE'),
            0));
OPEN notes;
FETCH NEXT FROM notes INTO @kind, @name, @part, @note, @schema;
WHILE @@FETCH_STATUS = 0
BEGIN
    IF @part IS NULL
        EXEC sp_addextendedproperty N'MS_Description', @note, N'SCHEMA', @schema, @kind, @name;
    ELSE
        EXEC sp_addextendedproperty N'MS_Description', @note, N'SCHEMA', @schema, @kind, @name,
            N'COLUMN', @part;
    FETCH NEXT FROM notes INTO @kind, @name, @part, @note, @schema;
END;
CLOSE notes;
DEALLOCATE notes;"""

# By functions: joined with the views of the catalog it takes half of a run on a relative of the
# server, whose views are views of views.
_COMMENTED = """SELECT OBJECT_NAME(p.major_id), COALESCE(COL_NAME(p.major_id, p.minor_id), N'')
FROM sys.extended_properties AS p
WHERE p.class = 1 AND p.name = N'MS_Description'
    AND OBJECT_SCHEMA_NAME(p.major_id) IN ({seen});"""

# Where an unqualified name is made, and where it is looked for.
_OWN, _SEEN = "SCHEMA_NAME()", "SCHEMA_NAME(), N'dbo'"

# Both are needed: the one in the database, the other in the schema.
_MAY_CREATE = (
    "HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE TABLE') "
    "* HAS_PERMS_BY_NAME({own}, N'SCHEMA', N'ALTER')"
)
# A schema that is missing has to be made first; its maker owns it.
_MAY_CREATE_IN = (
    "HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE TABLE') "
    "* COALESCE(HAS_PERMS_BY_NAME({own}, N'SCHEMA', N'ALTER'), "
    "HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE SCHEMA'))"
)
_TABLE_NAMES = "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA IN ({seen});"


def _catalog(own: str, seen: str) -> str:
    return CATALOG.format(
        also="",
        visible=f"t.TABLE_SCHEMA IN ({seen})",
        first=f"CASE WHEN t.TABLE_SCHEMA = {own} THEN 0 ELSE 1 END",
    )


SQL_SERVER = Dialect(
    name="SQL Server",
    long_text="NVARCHAR(MAX)",
    types={
        Kind.TEXT: "NVARCHAR({width})",
        Kind.INTEGER: "INT",
        Kind.BIGINT: "BIGINT",
        Kind.DECIMAL: "DECIMAL({precision}, {scale})",
        Kind.DOUBLE: "FLOAT(53)",
        Kind.BOOLEAN: "BIT",
        Kind.DATE: "DATE",
        Kind.TIMESTAMP: "DATETIME2(6)",
    },
    exact=" COLLATE Latin1_General_100_BIN2",
    true="1",
    false="0",
    # A collation may take a for A, and all take a trailing space for none, but not before a dot.
    time_text="CONVERT(VARCHAR(26), CAST({time} AS DATETIME2(6)), 121)",
    comparable="({text} + N'.') COLLATE Latin1_General_100_BIN2",
    # Without a subquery, so that it can be part of an aggregate (SQL Server's error 130).
    differs=(
        "({x} <> {y} OR ({a} IS NULL AND {b} IS NOT NULL) OR ({a} IS NOT NULL AND {b} IS NULL))"
    ),
    whole_number="DECIMAL(24, 0)",
    quotient="({x} - {x} % {y}) / {y}",  # so nothing is left behind the point to be rounded
    computed_once="",
    # HOLDLOCK alone deadlocks: two shared range locks, both to become exclusive.
    locked=" WITH (HOLDLOCK, UPDLOCK)",
    seeks="\nOPTION (LOOP JOIN)",
    temporary_name="#{name}",
    create_temporary="CREATE TABLE",
    create_temporary_once=(
        "IF OBJECT_ID(N'tempdb..{name}') IS NULL\nCREATE TABLE {quoted} {body}\n"
        "TRUNCATE TABLE {quoted};"
    ),
    create_temporary_as="SELECT * INTO {name} FROM (\n{query}\n) AS made;",
    create_missing=_UNLESS_THERE,
    create_staging=_UNLESS_THERE,
    create_view=_CREATE_VIEW,
    comments=_COMMENTS,
    commented=_COMMENTED.format(seen=_SEEN),
    create_schema=_CREATE_SCHEMA,
    create_index="CREATE INDEX",
    clear=_CLEAR,
    clear_temporary="TRUNCATE TABLE {quoted};",
    refresh_statistics=_STATISTICS,
    role="IF DATABASE_PRINCIPAL_ID(N'etl_loader') IS NULL\nCREATE ROLE etl_loader;",
    grant="GRANT SELECT, INSERT, UPDATE, DELETE ON {quoted} TO etl_loader;",
    grant_schema="",  # the right to the tables is enough
    has_right="HAS_PERMS_BY_NAME(N'{name}', N'OBJECT', N'{right}')",
    may_create=_MAY_CREATE.format(own=_OWN),
    login="SUSER_SNAME()",
    own_schema=_OWN,
    table_names=_TABLE_NAMES.format(seen=_SEEN),
    catalog=_catalog(_OWN, _SEEN),
    remember_key="",
    remembered_key="",
    kinds={
        "nvarchar": Kind.TEXT,
        "varchar": Kind.TEXT,
        "int": Kind.INTEGER,
        "smallint": Kind.INTEGER,
        "bigint": Kind.BIGINT,
        "float": Kind.DOUBLE,
        "decimal": Kind.DECIMAL,
        "numeric": Kind.DECIMAL,
        "bit": Kind.BOOLEAN,
        "date": Kind.DATE,
        "datetime2": Kind.TIMESTAMP,
    },
    row_state="CAST(SUBSTRING(HASHBYTES('SHA2_256', CONCAT({texts})), 1, 8) AS BIGINT)",
    now="SYSUTCDATETIME()",
    add_column="ALTER TABLE {table} ADD {column};",
    adds_required=True,  # which gives the rows that are there the default
    script_start="SET QUOTED_IDENTIFIER ON;",  # off in sqlcmd and in steps of SQL Server Agent
    has_keys=True,
    batched=True,
    checksummed=True,  # ODBC drivers have been seen to change values silently
    adopts=adoption.SQL_SERVER,
)


def _in_schemas(schemas: Schemas) -> Dialect:
    own = f"N{text_literal(schemas.own)}" if schemas.own else _OWN
    others = [f"N{text_literal(schema)}" for schema in schemas.named if schema != schemas.own]
    seen = ", ".join([own if schemas.own else _SEEN, *others])
    return replace(
        SQL_SERVER, schemas=schemas, own_schema=own,
        may_create=(_MAY_CREATE_IN if schemas.own else _MAY_CREATE).format(own=own),
        table_names=_TABLE_NAMES.format(seen=seen),
        catalog=_catalog(own, seen),
        commented=_COMMENTED.format(seen=seen),
    )  # fmt: skip


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

# The driver gets an array for each column of an insert; this bounds all of them, in bytes.
_ARRAY_BYTES = 16 * 1024 * 1024


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
        flags, same = _flags_of_one_value(block), constants or {}
        names = [name for name in block.schema.names if name not in flags]
        sent = block.select(names)
        columns = [table.column(name) for name in (*names, *same)]
        sql = insert_text(table, columns, flags)
        chunk_rows = max(1, _ARRAY_BYTES // sum(_parameter_bytes(c) for c in columns))
        with self._own_transaction():
            for start in range(0, block.num_rows, chunk_rows):
                part = sent.slice(start, chunk_rows)
                values = [column.to_pylist() for column in part]
                values += [[value] * part.num_rows for value in same.values()]
                self._insert(sql, columns, list(zip(*values, strict=True)))

    def append_parts(self, table: Table, parts: Sequence[Part]) -> None:
        """Append several blocks, all of them or none, half of them over a second connection.

        An insert keeps one core of the server busy, and two connections two of them. Should the
        server take the one commit and not the other, the error passes on, and whoever stages
        begins anew. A temporary table is there for one connection only.
        """
        with self._own_transaction():
            if len(parts) == 1 or table.name.startswith("#"):
                self._append_each(table, parts)
                return
            beside = self._second_session()
            with beside._own_transaction(), ThreadPoolExecutor(1) as thread:
                others = thread.submit(beside._append_each, table, parts[1::2])
                self._append_each(table, parts[::2])
                others.result()

    def _append_each(self, table: Table, parts: Sequence[Part]) -> None:
        for block, constants in parts:
            self.append(table, block, constants)

    def _second_session(self) -> "SqlServerSession":
        if self._beside is None or not self._beside.is_alive():
            self._beside = SqlServerSession.open(self._connection_string, Access(read_only=True))
        return self._beside

    def _insert(self, sql: str, columns: Sequence[Column], rows: list[tuple[Any, ...]]) -> None:
        with _errors():
            cursor = self._connection.cursor()
            cursor.fast_executemany = True
            # Declared, not asked for: of temporary tables the server says nothing, and pyodbc
            # would take VARCHAR(255).
            cursor.setinputsizes([_input_size(column) for column in columns])
            cursor.executemany(sql, rows)

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


def insert_text(table: Table, columns: Sequence[Column], flags: Mapping[str, object]) -> str:
    """Return the INSERT of one row, a parameter per column; flags are written out.

    What differs from run to run is a parameter, so that the server knows the statement again and
    keeps one plan for it.

    Example:
        >>> from etl.schema.tables import CUSTOMER_DIM
        >>> insert_text(CUSTOMER_DIM, CUSTOMER_DIM.columns[:1], {"is_inferred": False})
        'INSERT INTO "customer_dim" ("is_inferred", "customer_id") VALUES (0, ?);'
    """
    names = ", ".join([*map(quoted, flags), *(quoted(c.name) for c in columns)])
    values = ", ".join([*map(_literal, flags.values()), *("?" for _ in columns)])
    return f"INSERT INTO {quoted_table(table.name)} ({names}) VALUES ({values});"  # noqa: S608  # our own names


def _literal(flag: object) -> str:
    return str(int(flag)) if isinstance(flag, int) else "NULL"


def _flags_of_one_value(block: pa.RecordBatch) -> dict[str, object]:
    """Flags that are the same in all rows, which need not be sent with each of them."""
    flags = (name for name in block.schema.names if pa.types.is_boolean(block[name].type))
    found = {name: block[name].unique() for name in flags}
    return {name: values[0].as_py() for name, values in found.items() if len(values) == 1}


def _parameter_bytes(column: Column) -> int:
    # UTF-16 and its end; other types take at most a number of 38 digits as text
    return 2 * column.width + 2 if column.kind is Kind.TEXT else 48


def _input_size(column: Column) -> tuple[int, int, int]:
    """Type, size and scale of a parameter, as `setinputsizes` takes them."""
    sizes = {
        # a size of 0 is that of NVARCHAR(MAX)
        Kind.TEXT: (SqlType.WVARCHAR, 0 if column.width > WIDEST_TEXT else column.width, 0),
        Kind.INTEGER: (SqlType.INTEGER, 10, 0),
        Kind.BIGINT: (SqlType.BIGINT, 19, 0),
        Kind.DOUBLE: (SqlType.DOUBLE, 53, 0),
        Kind.DECIMAL: (SqlType.DECIMAL, column.precision, column.scale),
        Kind.BOOLEAN: (SqlType.BIT, 1, 0),
        Kind.DATE: (SqlType.DATE, 10, 0),
        Kind.TIMESTAMP: (SqlType.TIMESTAMP, 26, 6),
    }
    return sizes[column.kind]


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
    in_schemas=_in_schemas,
    bulk=BulkCopy,
    many_writers=True,
)
