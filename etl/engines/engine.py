"""What an engine is: how its databases are opened, spoken to and read from.

Each engine is one file of this room, whose `ENGINE` says all of this; `registry.py` lists them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from etl.cloud.access import BY_THEMSELVES, CloudAccess
from etl.engines.dialect import Dialect
from etl.engines.schemas import NO_SCHEMAS, Schemas
from etl.errors import ETLError, LoadingError
from etl.resilience.transient import NO_CODES, ErrorCodes
from etl.schema.table import Table

# A block, and the constants that each of its rows gets.
Part = tuple[pa.RecordBatch, Mapping[str, object]]


class Session(Protocol):
    """One open connection, whatever the engine; parameters are bound, never pasted into SQL.

    The driver's errors are raised as `LoadingError`; their cause says whether they may pass.
    """

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Run one statement."""

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""

    def arrow(self, sql: str, params: Sequence[object] = ()) -> pa.Table:
        """Run one query and return its rows as a table with the names of its columns."""

    def change(self, sql: str, params: Sequence[object] = ()) -> int:
        """Run one INSERT, UPDATE, DELETE or MERGE and return how many rows it changed."""

    def execute_many(self, sql: str, data: Sequence[tuple[Any, ...]]) -> None:
        """Run one statement once per tuple."""

    def blocks(self, sql: str, schema: pa.Schema, *, chunk_rows: int) -> Iterator[pa.RecordBatch]:
        """Run one query and yield its rows as blocks of that schema."""

    def append(
        self, table: Table, block: pa.RecordBatch, constants: Mapping[str, object] | None = None
    ) -> None:
        """Append a block to a table, and the same constants to each of its rows."""

    def append_parts(self, table: Table, parts: Sequence[Part]) -> None:
        """Append several blocks, each with its constants; all of them or none."""

    def begin(self) -> None:
        """Begin a transaction."""

    def commit(self) -> None:
        """Commit it; whoever began it rolls back when that fails.

        Raises:
            LoadingError: it is refused, or the connection went before the answer came.
        """

    def rollback(self) -> None:
        """Take everything of it back; nothing is left to do when it has ended already."""

    def is_alive(self) -> bool:
        """Return whether the connection still answers."""

    def facts(self) -> dict[str, str]:
        """Return `driver` and `server` with their versions.

        Besides `used_by` while another run works in it, and `read_only` with the reason where
        nothing can be written.
        """

    def blockers(self) -> Sequence["Blocker"]:
        """Return the other sessions that hold locks on tables, as far as this login may see them.

        Raises:
            LoadingError: it may not; the next step names the right that it lacks.
        """

    def publish(self) -> None:
        """Let readers see what was committed, where that is not the same.

        Raises:
            WarehouseInUseError: somebody else has published meanwhile.
            LoadingError: it cannot be published now; the next run does it.
        """

    def close(self) -> None:
        """Close the connection, and release the warehouse."""


@dataclass(frozen=True)
class Blocker:
    """A session that holds a lock for which others may wait.

    Attributes:
        session: its number.
        login: who it is.
        host: from where; None where that is not known.
        table: that it has locked.
        statement: the last one that it has sent; None where this login may not see it.
        right: what would show it.
    """

    session: str
    login: str | None
    host: str | None
    table: str
    statement: str | None
    right: str = ""

    def __str__(self) -> str:
        said = f": {_shortened(self.statement)}" if self.statement else ""
        place = f" on {self.host}" if self.host else ""
        return f"session {self.session} of {self.login}{place}, which has locked {self.table}{said}"


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _STATEMENT_SHOWN else line[:_STATEMENT_SHOWN] + "…"


_STATEMENT_SHOWN = 200


class Reader(Protocol):
    """A connection to read from, and what is read: one query, rows at a time."""

    @property
    def ticks_finer(self) -> bool:
        """Whether the server's clock is finer than a microsecond."""

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns of the query."""

    def keeps_offset(self, table: str, column: str) -> bool:
        """Return whether a column keeps offsets, so that it is compared with a time in UTC."""

    def query(self, sql: str, params: Sequence[object]) -> None:
        """Run the query; its rows stay where they are until they are fetched."""

    def fetchmany(self, rows: int) -> list[Any]:
        """Return the next rows, none at the end."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True)
class Access:
    """How a warehouse is opened.

    Attributes:
        read_only: nothing of it is changed, and nobody is kept out.
        empty_if_missing: a file that is missing is read as an empty warehouse, and not made.
        bulk: rows are staged by bulk copy, where the engine has one.
        lock_wait_s: how long to wait while another run works in it, in seconds.
        memory_limit: how much an embedded engine may use before it spills to disk, such as `1GB`.
        temp_directory: where it spills to; empty for beside the file.
        threads: of an embedded engine; 0 for one per processor.
        breaker_failures: failures to connect in a row after which no more attempts are made.
        breaker_recovery_s: for how long, in seconds.
        schemas: in which the tables lie that are named without one.
        update_insert: on SQL Server rows are written by UPDATE and INSERT in place of MERGE.
        cloud: how a cloud is reached, of a lakehouse there.
        beside: another connection of this run has taken the warehouse; this one joins it.
        keep_days: for how many days a lakehouse keeps what its older versions need; 0: for ever.
    """

    read_only: bool = False
    empty_if_missing: bool = False
    bulk: bool = False
    lock_wait_s: float = 0.0
    memory_limit: str = ""
    temp_directory: str = ""
    threads: int = 0
    breaker_failures: int = 5
    breaker_recovery_s: float = 60.0
    schemas: Schemas = NO_SCHEMAS
    update_insert: bool = False
    cloud: CloudAccess = BY_THEMSELVES
    beside: bool = False
    keep_days: int = 30


DEFAULT_ACCESS = Access()


def _no_file(_connection_string: str) -> Path | None:
    return None


class Place(NamedTuple):
    """Where a database is, as other systems name it (openlineage.io/docs/spec/naming).

    Attributes:
        namespace: the server, or the file.
        database: on a server.
        schema: in which its tables usually lie.
    """

    namespace: str
    database: str
    schema: str

    def name_of(self, table: str) -> str:
        """Return the name of a table there.

        Args:
            table: its name, with its schema where that is not the usual one.

        Example:
            >>> Place("postgres://db1:5432", "dwh", "public").name_of("sales_fact")
            'dwh.public.sales_fact'
        """
        named = table if "." in table else f"{self.schema}.{table}"
        return f"{self.database}.{named}" if self.database else named


@dataclass(frozen=True)
class Engine:
    """An engine whose databases can be loaded, or read from.

    Attributes:
        dialect: its SQL, and its name.
        form: a connection string of it, for messages.
        accepts: whether a connection string is one of its own.
        open: connects to a warehouse.
        place: where the database of a connection string is, without secrets.
        reader: connects to a database to read from; None where `file_of` says what to read.
        file_of: the file of an embedded database; None for one in memory, and for a server.
        copy: puts a copy of the open database, as of now, in the place of a file, whole or not at
            all; None for a server.
        codes: the codes by which its errors are judged.
        in_schemas: its SQL for tables in schemas that are named; None: it has no use for them.
        bulk: connects for bulk copies into permanent tables of a warehouse; None where there is no
            such way.
        many_writers: whether several connections can load a warehouse at once.
        cancel: asks the statement to end that another thread runs on a connection; None where
            that cannot be asked, so that its end is waited for.
    """

    dialect: Dialect
    form: str
    accepts: Callable[[str], bool]
    open: Callable[[str, Access], Session]
    place: Callable[[str], Place]
    reader: Callable[[str, str], Reader] | None = None
    file_of: Callable[[str], Path | None] = _no_file
    copy: Callable[[Any, Path], None] | None = None
    codes: ErrorCodes = NO_CODES
    in_schemas: Callable[[Schemas], Dialect] | None = None
    bulk: Callable[[str], Any] | None = None
    many_writers: bool = False
    cancel: Callable[[Any], None] | None = None

    def dialect_in(self, schemas: Schemas) -> Dialect:
        """Return its SQL for a warehouse whose tables lie in these schemas."""
        return self.in_schemas(schemas) if schemas and self.in_schemas else self.dialect


@contextmanager
def translated_errors(
    engine: str,
    errors: tuple[type[Exception], ...],
    *,
    raised: type[ETLError] = LoadingError,
    next_step: str = "",
) -> Iterator[None]:
    """Put a driver's errors into a sentence; the cause still says whether they may pass.

    Args:
        engine: its name.
        errors: the classes of the driver's errors.
        raised: the class of error to raise.
        next_step: what to do about it.
    """
    try:
        yield
    except errors as error:
        raise raised(f"{engine} refused: {driver_text(error)}", next_step=next_step) from error


def driver_text(error: BaseException) -> str:
    r"""Return what a driver says of an error, on one line.

    Example:
        >>> driver_text(ValueError("42000", "no such\n  table"))
        'no such table'
    """
    return " ".join(str(error.args[-1]).split()) if error.args else type(error).__name__


def table_of(names: Sequence[str], rows: Sequence[Sequence[object]]) -> pa.Table:
    """Return rows as an Arrow table; types are those of the values.

    Example:
        >>> table_of(["n", "t"], [(1, "a"), (2, None)]).to_pydict()
        {'n': [1, 2], 't': ['a', None]}
    """
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return pa.Table.from_arrays([pa.array(list(column)) for column in columns], list(names))
