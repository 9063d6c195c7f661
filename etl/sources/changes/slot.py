"""The changes of a table from a replication slot of PostgreSQL, read by SQL.

What is read is peeked at: the slot forgets it only when it is loaded. The position is in the
warehouse, in the transaction of the load. A run that was killed between both finds the slot behind,
moves it to where the warehouse is, and goes on from there.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import pyarrow as pa

from etl.engines.dialect import quoted
from etl.engines.engine import translated_errors
from etl.engines.postgresql_client import client, connect, server_cursor
from etl.errors import ExtractionError
from etl.rules.blocks import Block
from etl.rules.records import BadValueError
from etl.schema.table import Feed
from etl.schema.work_tables import CLEARED, ROW
from etl.sources.changes.change import Change, Naming, change_block
from etl.sources.changes.decoded_text import TestDecoding, Wal2Json
from etl.sources.changes.log_records import LogForm, LogRecord
from etl.sources.changes.originals import as_staged
from etl.sources.changes.pgoutput import PgOutput
from etl.sources.changes.slot_checks import (
    PGOUTPUT,
    SlotState,
    SlotTable,
    look_at_slot,
    look_at_table,
    lsn_text,
    position_of_lsn,
    require_old_keys,
    require_published,
)
from etl.sources.watch import Watch
from etl.sources.window import AnyWindow
from etl.words import bytes_words

_FETCHED = 10_000
_BYTEA = 17
# So that values come as they are written everywhere, whatever the server's settings.
_SETTINGS = ("datestyle = ISO", "timezone = UTC", "intervalstyle = iso_8601", "bytea_output = hex")
_PEEK = "SELECT lsn::text, data FROM pg_logical_slot_peek{binary}_changes($1, $2, $3, {options})"
_ADVANCE = "SELECT pg_replication_slot_advance($1, $2)"
_NOW = "SELECT pg_current_wal_flush_lsn()::text"
_FIRST = "0" * 16  # before everything that a log has


@dataclass(frozen=True)
class SlotForm:
    """What is read of which slot.

    Attributes:
        connection_string: of the database.
        setting: where that was set, for messages.
        place: the database without its secrets.
        table: the table, with its schema or without.
        publication: whose changes the slot gives; for pgoutput only.
        most_changes: after which the others are left to the next run.
        warn_bytes: of log kept for the slot, beyond which a run warns.
        key: the columns of the key.
        rename: name in the table = column.
    """

    connection_string: str = field(repr=False)
    setting: str
    place: str
    table: str
    slot: str
    publication: str
    plugin: str = PGOUTPUT
    most_changes: int = 10_000_000
    warn_bytes: int = 2**30
    key: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SlotRecords:
    """The changes of a table, or first the table itself; see `declared.Changes`.

    Attributes:
        position: how far they have been loaded; empty: a snapshot of the table comes first.
    """

    form: SlotForm
    position: str = ""
    left_out: Counter[str] = field(default_factory=Counter)
    feed: Feed = Feed.ORDERED
    trace: None = None
    _reached: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        """The database, without its secrets."""
        return self.form.place

    def asked(self, _window: AnyWindow) -> str:
        """Return what is read."""
        return f"{self.form.table} from replication slot {self.form.slot} ({self.form.plugin})"

    def after(self, position: str) -> "SlotRecords":
        """Return the changes after a position; empty: a snapshot of the table, and all of them."""
        return replace(self, position=position, left_out=Counter(), _reached=[])

    def reached(self) -> str:
        """Return how far the log has been read."""
        return self._reached[-1] if self._reached else ""

    def names(self) -> tuple[str, ...]:
        """Return the columns of the table."""
        with self._connected() as connection:
            return tuple(look_at_table(connection, self.form.table).columns)

    def look(self) -> SlotState:
        """Check that the changes can be read, and return how the slot is."""
        with self._connected() as connection:
            self._table(connection)
            return look_at_slot(connection, self.form.slot, self.form.plugin)

    def blocks(self, columns: Sequence[str], _window: AnyWindow, watch: Watch) -> Iterator[Block]:
        """Read what the table was and what has changed since, and let the slot keep it."""
        self._reached.clear()
        with self._connected() as connection:
            table = self._table(connection)
            state = look_at_slot(connection, self.form.slot, self.form.plugin)
            watch.warnings.update(dict.fromkeys(self.warnings(state)))
            first_row = 1
            if self.position:
                self._go_on(connection, state)
            else:
                first_row += yield from self._snapshot(connection, table, columns)
            yield from self._changes(connection, table, columns, first_row, watch)

    def originals(self, losers: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Return them as they were staged."""
        return as_staged(losers, columns)

    def loaded(self, position: str) -> None:
        """Let the slot forget the log up to a position."""
        with self._connected() as connection:
            state = look_at_slot(connection, self.form.slot, self.form.plugin)
            self._advance(connection, state, position)

    def warnings(self, state: SlotState) -> Iterator[str]:
        """Yield what of a slot a person should look at."""
        if state.is_endangered:
            yield (
                f"the server is about to give up the log kept for replication slot "
                f"{self.form.slot}; load more often, or raise max_slot_wal_keep_size"
            )
        if state.kept_bytes > self.form.warn_bytes:
            yield (
                f"replication slot {self.form.slot} keeps {bytes_words(state.kept_bytes)} of log, "
                f"more than {bytes_words(self.form.warn_bytes)}; load more often, or look for a "
                "transaction that does not end"
            )

    # --- reading ---

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        form = self.form
        connection = connect(form.connection_string, form.setting, raised=ExtractionError)
        step = f"check {form.setting}, that its login has REPLICATION and may read {form.table}"
        try:
            with translated_errors(
                "PostgreSQL", (client().Error,), raised=ExtractionError, next_step=step
            ):
                for setting in _SETTINGS:
                    connection.execute(f"SET {setting}")
                yield connection
        finally:
            connection.close()

    def _table(self, connection: Any) -> SlotTable:
        table = look_at_table(connection, self.form.table)
        naming = Naming(self.form.key, self.form.rename)
        names = {column: name for name in table.columns if (column := naming.of(name))}
        require_old_keys(table, [names.get(column, column) for column in self.form.key])
        if self.form.plugin == PGOUTPUT:
            require_published(connection, table, self.form.publication)
        return table

    def _go_on(self, connection: Any, state: SlotState) -> None:
        if state.confirmed > self.position:
            raise ExtractionError(
                f"replication slot {self.form.slot} was read up to {lsn_text(state.confirmed)} by "
                f"somebody else, and the warehouse has the changes up to {lsn_text(self.position)}",
                next_step="give each reader a slot of its own, and --reset-state this one, so that "
                "the next run begins with a snapshot of the whole table",
            )
        self._advance(connection, state, self.position)

    def _advance(self, connection: Any, state: SlotState, position: str) -> None:
        if state.confirmed < position:
            connection.execute(_ADVANCE, (self.form.slot, lsn_text(position)))

    def _snapshot(
        self, connection: Any, table: SlotTable, columns: Sequence[str]
    ) -> Generator[Block, None, int]:
        """The table as it is, how many rows: what it does not have leaves the warehouse."""
        naming = Naming(tuple(columns), self.form.rename)
        wanted = {name: column for name in table.columns if (column := naming.of(name))}
        texts = ", ".join(_as_text(name, table.columns[name]) for name in wanted)
        yield change_block(columns, [Change(0, CLEARED, {}, f"{_FIRST}.")], examined=0)
        query = f"SELECT {texts} FROM {table.quoted}"  # noqa: S608  # names of the catalog, quoted
        number = 0
        for rows in self._fetched(connection, query, ()):
            values = (dict(zip(wanted.values(), row, strict=True)) for row in rows)
            numbered = enumerate(values, number + 1)
            yield change_block(columns, [Change(n, ROW, v, f"{_FIRST}.0") for n, v in numbered])
            number += len(rows)
        return number

    def _changes(
        self, connection: Any, table: SlotTable, columns: Sequence[str], number: int, watch: Watch
    ) -> Iterator[Block]:
        naming = Naming(tuple(columns), self.form.rename)
        remedy = f"ALTER TABLE {table.quoted} REPLICA IDENTITY FULL lets the log have whole rows"
        form = LogForm(self.form.key, naming, remedy)
        (now,) = connection.execute(_NOW).fetchone()
        query, params = self._peek(now)
        read, last = 0, ""
        reading = self._reading(table)
        for rows in self._fetched(connection, query, params):
            records = chain.from_iterable(reading(data) for _, data in rows)
            block, number = _block(columns, form, records, number)
            yield block
            read, last = read + len(rows), rows[-1][0]
        cut = read >= self.form.most_changes
        if cut:
            watch.warnings[
                f"{read} records of the log were read, and there are more: the next run goes on "
                "(most_changes)"
            ] = None
        reached = position_of_lsn(last if cut else now)
        self._reached.append(max(reached, position_of_lsn(last or "0/0"), self.position))

    def _peek(self, now: str) -> tuple[str, tuple[object, ...]]:
        form = self.form
        binary, options, values = _OPTIONS[form.plugin](form)
        query = _PEEK.format(binary=binary, options=options)
        return query, (form.slot, now, form.most_changes, *values)

    def _reading(self, table: SlotTable) -> Callable[[Any], Iterable[LogRecord]]:
        if self.form.plugin == PGOUTPUT:
            return PgOutput(table.name).records
        if self.form.plugin == "wal2json":
            return Wal2Json(table.name, tuple(table.columns)).records
        return TestDecoding(table.name).records

    def _fetched(
        self, connection: Any, query: str, params: Sequence[object]
    ) -> Iterator[list[Any]]:
        """The rows of a query, some at a time; they stay on the server meanwhile."""
        with connection.transaction(), server_cursor(connection, "changes") as cursor:
            cursor.execute(query, params)
            while rows := cursor.fetchmany(_FETCHED):
                yield rows


def _as_text(name: str, type_id: int) -> str:
    column = quoted(name)
    return f"encode({column}, 'hex')" if type_id == _BYTEA else f"CAST({column} AS text)"


def _block(
    columns: Sequence[str], form: LogForm, records: Iterable[LogRecord], number: int
) -> tuple[Block, int]:
    """Records of the log as a block, and the number for the next one."""
    changes: list[Change] = []
    rejected: list[dict[str, object]] = []
    for record in records:
        try:
            changes += form.changes(record, number)
        except BadValueError as error:
            known = form.naming.named({**record.old, **record.new})
            texts = {n: v for n, v in known.items() if isinstance(v, str)}
            rejected.append(error.rejected(number, texts, tuple(columns)))
        number += 2
    return change_block(columns, changes, rejected), number


_Options = tuple[str, str, tuple[object, ...]]


def _pgoutput(form: SlotForm) -> _Options:
    options = "'proto_version', '1', 'publication_names', $4"
    return "_binary", options, (quoted(form.publication),)


def _test_decoding(_form: SlotForm) -> _Options:
    return "", "'include-xids', '0', 'skip-empty-xacts', '1'", ()


def _wal2json(_form: SlotForm) -> _Options:
    return "", "'format-version', '2', 'include-timestamp', '1'", ()


_OPTIONS: Mapping[str, Callable[[SlotForm], _Options]] = {
    PGOUTPUT: _pgoutput, "test_decoding": _test_decoding, "wal2json": _wal2json,
}  # fmt: skip
