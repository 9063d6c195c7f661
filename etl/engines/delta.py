"""A lakehouse: Delta tables that last, and a working copy in DuckDB in which runs merge.

Everything a run does, it does in the working copy, as in any warehouse on DuckDB. What of it has
changed is published as new versions of the Delta tables (`lake_book`), at the end of each run and
whenever the connection is closed.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from etl.engines import duckdb
from etl.engines.dialect import CATALOG, quoted_table
from etl.engines.duckdb import DuckdbSession
from etl.engines.engine import Access, Engine, Place
from etl.engines.lake_book import SCHEMA, LakeBook
from etl.engines.lake_place import FORM, LakePlace, delta, is_lake, lake_place
from etl.engines.lake_tables import Lake
from etl.errors import LoadingError, WarehouseInUseError
from etl.files import write_atomically
from etl.schema.table import Table

logger = logging.getLogger(__name__)

# What the engine says of a file that is not what it has written.
_DAMAGED = re.compile(r"read enough bytes|corrupt|checksum", re.IGNORECASE)


class LakeSession(DuckdbSession):
    """A connection to the working copy, which notes what changes and publishes it."""

    book: LakeBook | None = None
    _is_damaged = False

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Run one statement."""
        with self._judged():
            self._note(sql)
            super().execute(sql, params)

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""
        with self._judged():
            self._note(sql)
            return super().query(sql, params)

    def execute_many(self, sql: str, data: Sequence[tuple[Any, ...]]) -> None:
        """Run one statement once per tuple."""
        self._note(sql)
        super().execute_many(sql, data)

    def append(
        self, table: Table, block: pa.RecordBatch, constants: Mapping[str, object] | None = None
    ) -> None:
        """Append a block to a table; columns are matched by name."""
        self._note(f"INSERT INTO {quoted_table(table.name)}")
        super().append(table, block, constants)

    def rollback(self) -> None:
        """Take everything of the transaction back."""
        super().rollback()
        if self.book:
            self.book.forget()

    def publish(self) -> None:
        """Publish what has changed in the lakehouse."""
        if self.book:
            with self._judged():
                self.book.publish()

    def close(self) -> None:
        """Publish what has changed, and close the working copy."""
        try:
            if not self._is_damaged:
                self.publish()
        finally:
            super().close()
            self._leave()

    def _leave(self) -> None:
        """Notes how large the working copy is, or removes it: it cannot be read."""
        if self._path and self._is_damaged:
            _remove(self._path)
        elif self._path and self.book:
            write_atomically(_size_of(self._path), str(self._path.stat().st_size))

    @contextmanager
    def _judged(self) -> Iterator[None]:
        try:
            yield
        except LoadingError as error:
            self._is_damaged = self._is_damaged or bool(_DAMAGED.search(str(error.__cause__)))
            raise

    def _note(self, sql: str) -> None:
        if self.book:
            self.book.note(sql)


def open_lake(connection_string: str, access: Access) -> DuckdbSession:
    """Open the working copy of a lakehouse, as of the last publication or what comes next.

    Raises:
        WarehouseInUseError: another process has it open.
        LoadingError: it cannot be opened, or the lakehouse cannot be read.
    """
    place = lake_place(connection_string, access.cloud)
    delta()
    return _to_read(place, access) if access.read_only else _to_write(place, access)


def _to_write(place: LakePlace, access: Access) -> LakeSession:
    place.work.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        session = _opened(place, access)
        stack.callback(session.connection.close)
        book = LakeBook(_plain(session), Lake(place, access.keep_days))
        book.settle()
        session.book = book
        stack.pop_all()
        return session


def _opened(place: LakePlace, access: Access) -> LakeSession:
    file = f"{duckdb.SCHEME}{place.work}"
    try:
        session = LakeSession.open(file, access)
        if _is_whole(place.work):
            return session
        session.connection.close()
    except LoadingError as error:
        if error.code != "warehouse_damaged":
            raise
    logger.warning("the working copy %s is damaged; the lakehouse is read anew", place.work)
    _remove(place.work)
    return LakeSession.open(file, access)


def _size_of(work: Path) -> Path:
    return work.with_name(f"{work.name}.size")


def _is_whole(work: Path) -> bool:
    """Whether the file is as large as it was left: the engine notices that late."""
    try:
        return work.stat().st_size >= int(_size_of(work).read_text("utf-8"))
    except FileNotFoundError:
        return True
    except ValueError:
        return False


def _remove(work: Path) -> None:
    for file in (work, work.with_name(f"{work.name}.wal"), _size_of(work)):
        file.unlink(missing_ok=True)


def _to_read(place: LakePlace, access: Access) -> DuckdbSession:
    """Opens the working copy if it is up to date; else what was published is loaded into memory."""
    session = _current(place, access) if place.work.exists() and _is_whole(place.work) else None
    if session is None:
        in_memory = f"{duckdb.SCHEME}{duckdb.IN_MEMORY}"
        session = DuckdbSession.open(in_memory, replace(access, read_only=False))
        LakeBook(session, Lake(place)).settle()
    return session


def _current(place: LakePlace, access: Access) -> DuckdbSession | None:
    try:
        session = DuckdbSession.open(f"{duckdb.SCHEME}{place.work}", access)
    except WarehouseInUseError:
        raise
    except LoadingError:  # damaged; the next run makes it anew
        return None
    if LakeBook(session, Lake(place)).is_current():
        return session
    session.close()
    return None


def _plain(session: LakeSession) -> DuckdbSession:
    """The same connection, for statements that are noted nowhere."""
    return DuckdbSession(session.connection)


def _place_of(connection_string: str) -> Place:
    root = lake_place(connection_string).root
    return Place(f"delta://{root}", "", "main")


_TABLES = "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA <> '{notes}';"

ENGINE = Engine(
    dialect=replace(
        duckdb.DUCKDB,
        name="Delta Lake",
        table_names=_TABLES.format(notes=SCHEMA),
        catalog=CATALOG.format(
            also=" AND c.TABLE_CATALOG = t.TABLE_CATALOG",
            visible=f"t.TABLE_CATALOG = current_database() AND t.TABLE_SCHEMA <> '{SCHEMA}'",
            first="CASE WHEN t.TABLE_SCHEMA = current_schema() THEN 0 ELSE 1 END",
        ),
    ),
    form=FORM,
    accepts=is_lake,
    open=open_lake,
    place=_place_of,
    file_of=lambda text: lake_place(text).work,
    copy=DuckdbSession.copy_to,
)
