"""PostgreSQL: connecting, a session with its advisory lock and COPY, reading, and its dialect."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from functools import cache
from importlib import import_module
from typing import Any, Self

import pyarrow as pa
from pyarrow import csv

from etl.cloud.faults import CloudError
from etl.cloud.rds import with_login_token
from etl.engines import adoption
from etl.engines.dialect import CATALOG, Dialect, quoted, quoted_table, text_literal
from etl.engines.engine import (
    Access,
    Blocker,
    Engine,
    Part,
    Place,
    driver_text,
    table_of,
    translated_errors,
)
from etl.engines.schemas import Schemas
from etl.errors import ETLError, ExtractionError, LoadingError, WarehouseInUseError
from etl.resilience.transient import ErrorCodes
from etl.schema.tables import Kind, Table
from etl.settings.connection_strings import url_parts

SCHEMES = ("postgresql://", "postgres://")  # both are those of its client
_CONNECT_TIMEOUT_S = 15
# Whoever blocks us for longer than a minute makes error 55P03, which is tried again.
_SETTINGS = "SET lock_timeout = '60s'; SET client_min_messages = warning;"
# The server notices within this time that a process which waits for it has gone, and takes back
# its lock. Some systems cannot know; then the lock ends with the statement.
_NOTICE_THE_DEAD = "SET client_connection_check_interval = '5s';"

# One lock a schema, since each schema can hold a warehouse of its own. The number is any that
# others are unlikely to use: the letters "etl_".
_CURRENT = "current_schema()"
_LOCK = f"{int.from_bytes(b'etl_')}, hashtext({_CURRENT})"
_TAKE_LOCK = f"SELECT pg_try_advisory_lock({_LOCK});"
_GIVE_BACK_LOCK = "SELECT pg_advisory_unlock_all();"
_LOCK_HOLDERS = f"""SELECT a.pid, a.usename, a.client_addr::text
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND a.pid <> pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint, l.objid::bigint) = ({int.from_bytes(b"etl_")},
        hashtext({_CURRENT})::bigint & 4294967295);"""  # noqa: S608  # a constant
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

# "Appendix A. PostgreSQL Error Codes". The client hands on what the server said of a login
# without its SQLSTATE.
CODES = ErrorCodes(
    transient_states=frozenset(
        {
            "40P01",  # deadlock detected
            "53300",  # too many connections
            "57P01",  # shut down by an administrator
            "57P02",  # crash of another session
            "57P03",  # cannot connect now, starting up or shutting down
        }
    ),
    lock_wait_states=frozenset({"55P03"}),  # lock not available
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
# Foreign keys first, and the keys that they need last.
_INDEXES = """SELECT "drop", "make" FROM (
SELECT CASE c.contype WHEN 'f' THEN 1 ELSE 3 END AS "rank", c.conname AS "name",
    format('ALTER TABLE %s DROP CONSTRAINT %I;', c.conrelid::regclass, c.conname) AS "drop",
    format('ALTER TABLE %s ADD CONSTRAINT %I %s;', c.conrelid::regclass, c.conname,
        pg_get_constraintdef(c.oid)) AS "make"
FROM pg_constraint AS c
WHERE c.conrelid = '{quoted}'::regclass AND c.contype IN ('f', 'p', 'u')
UNION ALL SELECT 2, i.indexrelid::regclass::text,
    format('DROP INDEX %s;', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid) || ';'
FROM pg_index AS i
WHERE i.indrelid = '{quoted}'::regclass
    AND NOT EXISTS (SELECT 1 FROM pg_constraint AS c WHERE c.conindid = i.indexrelid)
) AS found
WHERE (SELECT t.relkind = 'r' AND NOT t.relispartition AND t.relreplident IN ('d', 'n')
        AND pg_has_role(t.relowner, 'USAGE') FROM pg_class AS t WHERE t.oid = '{quoted}'::regclass)
    AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE confrelid = '{quoted}'::regclass)
ORDER BY "rank", "name";"""

POSTGRESQL = Dialect(
    name="PostgreSQL",
    long_text="TEXT",
    types={
        Kind.TEXT: "VARCHAR({width})",
        Kind.INTEGER: "INTEGER",
        Kind.BIGINT: "BIGINT",
        Kind.DECIMAL: "NUMERIC({precision}, {scale})",
        Kind.DOUBLE: "DOUBLE PRECISION",
        Kind.BOOLEAN: "BOOLEAN",
        Kind.DATE: "DATE",
        Kind.TIMESTAMP: "TIMESTAMP",
    },
    exact=' COLLATE "C"',
    true="TRUE",
    false="FALSE",
    time_text="to_char({time}, 'YYYY-MM-DD HH24:MI:SS.US')",
    comparable="{text}",  # collations of databases are deterministic: equal is equal byte by byte
    differs="{x} IS DISTINCT FROM {y}",
    whole_number="NUMERIC(24, 0)",
    quotient="div({x}, {y})",
    computed_once=" OFFSET 0",  # else the planner puts the expressions in wherever they are named
    locked="",  # transactions see one snapshot, and fail as transient where another one wrote
    seeks="",
    temporary_name="etl_{name}",  # it hides a table of that name, which may be somebody's
    create_temporary="CREATE TEMPORARY TABLE",
    create_temporary_once="",
    create_temporary_as="CREATE TEMPORARY TABLE {name} AS\n{query};",
    create_missing="CREATE TABLE IF NOT EXISTS {quoted} {body}",
    # Without a log, which halves the time of staging; a crash of the server empties them.
    create_staging="CREATE UNLOGGED TABLE IF NOT EXISTS {quoted} {body}",
    create_view="CREATE OR REPLACE VIEW {quoted} AS\n{query};",
    comments="",
    commented=(
        "SELECT c.relname, COALESCE(a.attname, '') FROM pg_description AS d "
        "JOIN pg_class AS c ON c.oid = d.objoid LEFT JOIN pg_attribute AS a "
        "ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0\n"
        "WHERE d.classoid = 'pg_class'::regclass AND pg_table_is_visible(c.oid);"
    ),
    # asks first: CREATE SCHEMA IF NOT EXISTS needs the right even where it is there
    create_schema=(
        "DO $$ BEGIN IF to_regnamespace('{quoted}') IS NULL THEN CREATE SCHEMA {quoted}; "
        "END IF; END $$;"
    ),
    create_index="CREATE INDEX IF NOT EXISTS",
    clear="TRUNCATE TABLE {quoted};",  # DELETE would leave the rows for VACUUM to clean up
    clear_temporary="TRUNCATE TABLE {quoted};",
    refresh_statistics="",
    role=("DO $$ BEGIN CREATE ROLE etl_loader; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"),
    grant="GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {quoted} TO etl_loader;",
    grant_schema="GRANT USAGE ON SCHEMA {quoted} TO etl_loader;",
    has_right="has_table_privilege('{quoted}', '{right}')",
    may_create="has_schema_privilege(current_schema(), 'CREATE')",
    login="session_user",
    own_schema="",
    table_names=(
        "SELECT tablename FROM pg_catalog.pg_tables "
        "WHERE schemaname = ANY (current_schemas(false));"
    ),
    catalog=CATALOG.format(
        also="",
        visible="t.TABLE_SCHEMA = ANY (current_schemas(false))",
        first="array_position(current_schemas(false), CAST(t.TABLE_SCHEMA AS NAME))",
    ),
    remember_key="",
    remembered_key="",
    kinds={
        "character varying": Kind.TEXT,
        "text": Kind.TEXT,
        "integer": Kind.INTEGER,
        "smallint": Kind.INTEGER,
        "bigint": Kind.BIGINT,
        "double precision": Kind.DOUBLE,
        "numeric": Kind.DECIMAL,
        "boolean": Kind.BOOLEAN,
        "date": Kind.DATE,
        "timestamp without time zone": Kind.TIMESTAMP,
    },
    # the transaction that has written it; kept when the row is frozen
    row_state="hashint8extended(CAST(CAST(target.xmin AS TEXT) AS BIGINT), 0)",
    now="(now() AT TIME ZONE 'UTC')",
    add_column="ALTER TABLE {table} ADD COLUMN {column};",
    adds_required=False,
    script_start="",
    has_keys=True,
    batched=False,
    indexes=_INDEXES,
    checksummed=False,  # COPY says how many rows it took, and takes no value that it would change
    adopts=adoption.POSTGRESQL,
)

# With a schema: in it, or in the database, to make it.
_MAY_CREATE_IN = """CASE WHEN to_regnamespace('"{schema}"') IS NULL
    THEN has_database_privilege(current_database(), 'CREATE')
    ELSE has_schema_privilege(to_regnamespace('"{schema}"'), 'CREATE') END"""


def _in_schemas(schemas: Schemas) -> Dialect:
    if not schemas.own:
        return replace(POSTGRESQL, schemas=schemas)
    return replace(
        POSTGRESQL, schemas=schemas, own_schema=text_literal(schemas.own),
        may_create=_MAY_CREATE_IN.format(schema=schemas.own),
    )  # fmt: skip


def _search_path(schemas: Schemas) -> str:
    """The statement by which unqualified names mean the tables of these schemas."""
    named = ", ".join(map(quoted, schemas.named))
    if schemas.own:
        return f"SET search_path TO {named};"
    return (
        f"SELECT set_config('search_path', current_setting('search_path') || ', {named}', false);"
    )


_READ_ONLY = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only');"

_OLDEST = 150_000  # 15.0, the first version that knows MERGE

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ;"
# Texts in quotes, so that an empty one differs from NULL, which has none.
_CSV = csv.WriteOptions(include_header=False, quoting_style="all_valid")


# A mark for a parameter, unless it stands in a text, a name or a comment.
_MARK = re.compile(r"""'[^']*' | "[^"]*" | --[^\n]* | (\?)""", re.VERBOSE)


def numbered_marks(sql: str) -> str:
    """Return the statement with `$1`, `$2` and so on, as PostgreSQL wants them, for each `?`.

    Example:
        >>> numbered_marks("SELECT 'why?' WHERE ? < ?")
        "SELECT 'why?' WHERE $1 < $2"
    """
    numbers = iter(range(1, sql.count("?") + 1))
    return _MARK.sub(lambda found: f"${next(numbers)}" if found[1] else found[0], sql)


def with_values(sql: str, values: Sequence[str]) -> str:
    """Replace each `?` outside texts and names by a value, for what takes no parameters.

    Args:
        sql: the statement.
        values: literals, written by the program itself.

    Example:
        >>> with_values("SELECT 'why?' WHERE x < ?", ["5"])
        "SELECT 'why?' WHERE x < 5"
    """
    remaining = iter(values)
    return _MARK.sub(lambda found: next(remaining) if found[1] else found[0], sql)


@cache
def client() -> Any:
    """Return the package psycopg; its import takes 0.2 s of CPU, which only its users pay.

    Raises:
        ImportError: it is an optional requirement, or finds no libpq.
    """
    return import_module("psycopg")


def connect(
    url: str, setting: str = "DB_CONNECTION_STRING", *, raised: type[ETLError] = LoadingError
) -> Any:
    """Connect; statements commit by themselves, and take parameters as `$1`.

    Args:
        url: `postgresql://user:password@host:port/database`.
        setting: where it was set, for messages.
        raised: the class of error to raise.

    Raises:
        ETLError: psycopg is missing, or the server cannot be reached, refuses, or is too old.
            Its cause says whether another attempt may succeed.
    """
    try:
        psycopg = client()
    except ImportError as error:
        raise raised(
            f"PostgreSQL needs the package psycopg, which cannot be used: {error}",
            next_step="pip install -r requirements-postgresql.txt",
            code="package_missing",
        ) from error
    try:
        connection = psycopg.connect(
            with_login_token(url), autocommit=True, cursor_factory=psycopg.RawCursor,
            client_encoding="UTF8",
            **_unless_given(url, application_name="etl_pipeline",
                            connect_timeout=_CONNECT_TIMEOUT_S),
        )  # fmt: skip
    except CloudError as error:
        raise raised(f"PostgreSQL: {error.what}", next_step=error.next_step) from error
    except psycopg.ProgrammingError:
        # without the error, whose text may show a piece of the password
        raise _unreadable(
            setting, raised, "is no connection string that its client can read"
        ) from None
    except psycopg.Error as error:
        if url_parts(url) is None:  # likewise
            raise _unreadable(setting, raised, "can be parted in more than one way") from None
        text = driver_text(error)
        step = next((step for words, step in _NEXT_STEPS if words in text), "see the server's log")
        raise raised(
            f"PostgreSQL cannot be reached: {text}", next_step=f"{step} ({setting})"
        ) from error
    connection.server_cursor_factory = psycopg.RawServerCursor
    return connection


def _unreadable(setting: str, raised: type[ETLError], why: str) -> ETLError:
    return raised(
        f"PostgreSQL: {setting} {why}",
        choices="postgresql://user:password@host:port/database, in the password %40 for @, %2F "
        "for / and %25 for a percent sign",
        next_step=f"correct {setting}",
        code="connection_string",
    )


def _unless_given(url: str, **defaults: object) -> dict[str, object]:
    return {name: value for name, value in defaults.items() if f"{name}=" not in url}


# The first that the message contains counts.
_NEXT_STEPS = (
    ("too many clients", "wait, or raise max_connections"),
    ("too many connections for", "wait, or raise its CONNECTION LIMIT (ALTER ROLE, DATABASE)"),
    ("connection slots", "wait, or raise max_connections"),
    ("password authentication failed", "correct user or password"),
    ("no password supplied", "add the password, or a line in ~/.pgpass"),
    ("role ", "correct the user, or have it created"),
    ("database ", "correct the database, or have it created"),
    ("no pg_hba.conf entry", "have pg_hba.conf let this host, user and database in"),
    ("Connection refused", "check host and port, and that the server runs"),
    ("resolve host", "check the host; a password with @ / : or % must be percent-encoded"),
    ("timeout", "check host and port, and the firewall between"),
    ("PAM authentication failed", "check that the login may use IAM, and the role of this run"),
    (
        "certificate verify failed",
        "name the file of the authority that signed the server's certificate in sslrootcert",
    ),
    ("does not match host name", "name the server as its certificate does"),
    ("root certificate file", "name the file of the authority in sslrootcert"),
    ("SSL", "check sslmode and the certificates"),
)


@contextmanager
def server_cursor(connection: Any, name: str, **options: object) -> Iterator[Any]:
    """Yield a cursor whose rows stay on the server; close it, also over a lost connection."""
    cursor = connection.cursor(name, **options)
    try:
        yield cursor
    finally:
        try:
            cursor.close()
        except client().Error:  # the connection is lost, and takes the cursor with it
            connection.close()
            cursor.close()


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
                session.execute(_search_path(access.schemas))
            with suppress(LoadingError):
                session.execute(_NOTICE_THE_DEAD)
            if not access.read_only:
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
        if not self.query(self._of_schema(_TAKE_LOCK))[0][0]:
            raise WarehouseInUseError.by_another_run(self._holder())

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
        with _errors():
            self._run(sql, params)

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""
        with _errors():
            return list(self._run(sql, params).fetchall())

    def arrow(self, sql: str, params: Sequence[object] = ()) -> pa.Table:
        """Run one query and return its rows as a table."""
        with _errors():
            cursor = self._run(sql, params)
            return table_of([column.name for column in cursor.description], cursor.fetchall())

    def change(self, sql: str, params: Sequence[object] = ()) -> int:
        """Run one INSERT, UPDATE, DELETE or MERGE and return how many rows it changed."""
        with _errors():
            return int(self._run(sql, params).rowcount)

    def execute_many(self, sql: str, data: Sequence[tuple[Any, ...]]) -> None:
        """Run one statement once per tuple."""
        text = numbered_marks(sql)
        marks = sum(1 for found in _MARK.finditer(sql) if found[1])
        if any(len(row) > marks for row in data):  # the server would ignore what is too much
            raise ValueError(f"a row has more values than the {marks} marks of the statement")
        with _errors():
            self._connection.cursor().executemany(text, data)

    def blocks(self, sql: str, schema: pa.Schema, *, chunk_rows: int) -> Iterator[pa.RecordBatch]:
        """Run one query and yield its rows as blocks of that schema."""
        with server_cursor(self._connection, "blocks", withhold=True) as cursor:
            with _errors():
                cursor.execute(sql)
            while rows := self._fetch(cursor, chunk_rows):
                columns = zip(zip(*rows, strict=True), schema, strict=True)
                arrays = [pa.array(values, field.type) for values, field in columns]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    @staticmethod
    def _fetch(cursor: Any, rows: int) -> list[tuple[Any, ...]]:
        with _errors():
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
        with _errors():
            cursor = self._connection.cursor()
            with cursor.copy(f"COPY {target} ({names}) FROM STDIN (FORMAT csv)") as to:
                to.write(text.getvalue())
        if cursor.rowcount != block.num_rows:
            raise LoadingError(
                f"{table.name} took {cursor.rowcount} rows where {block.num_rows} were sent"
            )

    def append_parts(self, table: Table, parts: Sequence[Part]) -> None:
        """Append several blocks, each with its constants; all of them or none."""
        with _errors(), self._connection.transaction():
            for block, constants in parts:
                self.append(table, block, constants)

    def begin(self) -> None:
        """Begin a transaction, which sees the warehouse as it is now, to its end."""
        self.execute(_BEGIN)

    def commit(self) -> None:
        """Commit it."""
        with _errors():
            self._connection.commit()

    def rollback(self) -> None:
        """Take everything of it back; a lost connection has done so by itself."""
        with suppress(LoadingError), _errors():
            self._connection.rollback()

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


_MONEY = 790  # its number in pg_type, the same on every server


def amount_of(text: str, digits: int) -> Decimal:
    """Return the amount of a value of type `money`, which comes as its locale writes it.

    Args:
        text: the value.
        digits: after the point, of which the locale has as many in every amount.

    Example:
        >>> amount_of("-$1,299.00", 2), amount_of("1.299,50 €", 2), amount_of("($5)", 0)
        (Decimal('-1299.00'), Decimal('1299.50'), Decimal('-5'))
    """
    number = Decimal("".join(filter(str.isdecimal, text))).scaleb(-digits)
    return -number if set("-(\u2212") & set(text) else number


class PostgresReader:
    """A connection to read from; see `engine.Reader`.

    Args:
        connection_string: `postgresql://...`.
        setting: where it was set, for messages.

    Raises:
        ExtractionError: the server cannot be reached; the driver's error is the cause.
    """

    ticks_finer = False

    def __init__(self, connection_string: str, setting: str) -> None:
        self._connection = connect(connection_string, setting, raised=ExtractionError)
        self._next_step = f"check {setting}, and that the table has the columns of the query"
        self._cursor: Any = None
        self._money: dict[int, int] = {}  # place of a column, digits after the point
        self._stack = ExitStack()

    def keeps_offset(self, table: str, column: str) -> bool:
        """Return false: a time is compared in the zone of the session, with offset or without."""
        del table, column
        return False

    def query(self, sql: str, params: Sequence[object]) -> None:
        """Run the query; its rows stay on the server until they are fetched."""
        with self._errors():
            self._connection.autocommit = False  # a cursor of the server ends with a transaction
            self._connection.read_only = True
            self._cursor = self._stack.enter_context(server_cursor(self._connection, "sales"))
            self._cursor.execute(numbered_marks(sql), params)
            self._money = self._columns_of_money()

    def _columns_of_money(self) -> dict[int, int]:
        columns = enumerate(self._cursor.description or ())
        places = [place for place, column in columns if column.type_code == _MONEY]
        if not places:
            return {}
        (nothing,) = self._connection.execute("SELECT CAST(0 AS money)::text").fetchone()
        return dict.fromkeys(places, sum(map(str.isdecimal, nothing)) - 1)

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns of the query."""
        return [column[0] for column in self._cursor.description or ()]

    def fetchmany(self, rows: int) -> list[Any]:
        """Return the next rows, none at the end."""
        with self._errors():
            found = list(self._cursor.fetchmany(rows))
        return [self._with_amounts(row) for row in found] if self._money else found

    def _with_amounts(self, row: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(
            amount_of(value, self._money[place])
            if place in self._money and isinstance(value, str) else value
            for place, value in enumerate(row)
        )  # fmt: skip

    def close(self) -> None:
        """Close cursor and connection."""
        self._stack.close()
        self._connection.close()

    def _errors(self) -> AbstractContextManager[None]:
        return _errors(raised=ExtractionError, next_step=self._next_step)


def _errors(
    *, raised: type[ETLError] = LoadingError, next_step: str = ""
) -> AbstractContextManager[None]:
    return translated_errors("PostgreSQL", (client().Error,), raised=raised, next_step=next_step)


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
    in_schemas=_in_schemas,
)
