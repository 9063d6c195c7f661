"""Messages of PostgreSQL's output plugin `pgoutput`, version 1 of its protocol.

Source: PostgreSQL, "Logical Replication Message Formats".
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from etl.schema.work_tables import CLEARED, REMOVED, ROW
from etl.sources.changes.log_records import LogRecord, Unsent, Value

_EPOCH = datetime(2000, 1, 1)  # UTC, as all times of the load
_BOOLEAN, _BYTEA = 16, 17  # object ids of types
_TRUTH = {"t": "true", "f": "false"}
_UNCHANGED, _TEXT = b"u", b"t"


@dataclass(frozen=True)
class _Relation:
    name: str
    columns: tuple[tuple[str, int], ...]


class _Cursor:
    """Takes the parts of a message one after the other."""

    def __init__(self, message: bytes) -> None:
        self._message, self._at = message, 0

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(f">{form}", self._message, self._at)
        self._at += struct.calcsize(f">{form}")
        return int(value)

    def take(self, size: int) -> bytes:
        self._at += size
        return self._message[self._at - size : self._at]

    def text(self) -> str:
        end = self._message.index(b"\0", self._at)
        return self.take(end - self._at + 1)[:-1].decode()

    def row(self, relation: _Relation) -> dict[str, Value]:
        """The values of a tuple by the names of their columns."""
        names = relation.columns[: self.number("H")]
        return {name: self._value(type_id) for name, type_id in names}

    def _value(self, type_id: int) -> Value:
        mark = self.take(1)
        if mark == _UNCHANGED:
            return Unsent.UNSENT
        if mark != _TEXT:
            return None
        text = self.take(self.number("i")).decode()
        if type_id == _BOOLEAN:
            return _TRUTH[text]
        return text.removeprefix("\\x") if type_id == _BYTEA else text


@dataclass
class PgOutput:
    """Reads messages in their order, and remembers what tables and transaction they are about.

    Attributes:
        table: the one whose records are wanted, as `schema.table`.
    """

    table: str
    _relations: dict[int, _Relation] = field(default_factory=dict)
    _time: datetime | None = None

    def records(self, message: bytes) -> Iterator[LogRecord]:
        """Yield what a message says of the table."""
        cursor = _Cursor(message)
        kind = cursor.take(1)
        if kind == b"B":
            cursor.take(8)
            self._time = _EPOCH + timedelta(microseconds=cursor.number("q"))
        elif kind == b"R":
            self._remember(cursor)
        elif kind == b"T":
            tables, _ = cursor.number("I"), cursor.number("B")
            if any(self._is_wanted(cursor.number("I")) for _ in range(tables)):
                yield LogRecord(CLEARED, {}, {}, self._time)
        elif kind in (b"I", b"U", b"D"):
            yield from self._change(cursor)

    def _remember(self, cursor: _Cursor) -> None:
        number, schema, table = cursor.number("I"), cursor.text(), cursor.text()
        cursor.take(1)
        columns = []
        for _ in range(cursor.number("H")):
            cursor.take(1)
            columns.append((cursor.text(), cursor.number("I")))
            cursor.take(4)
        self._relations[number] = _Relation(f"{schema or 'pg_catalog'}.{table}", tuple(columns))

    def _is_wanted(self, number: int) -> bool:
        return self._relations[number].name == self.table

    def _change(self, cursor: _Cursor) -> Iterator[LogRecord]:
        number = cursor.number("I")
        if not self._is_wanted(number):
            return
        relation, images = self._relations[number], dict[bytes, Mapping[str, Value]]()
        while mark := cursor.take(1):
            images[mark] = cursor.row(relation)
        old, new = images.get(b"O") or images.get(b"K") or {}, images.get(b"N")
        kind = REMOVED if new is None else ROW
        yield LogRecord(kind, new or {}, old, self._time)
