"""Change events in Debezium's shape from files: an event a line, with or without its schema.

An event says what it did (`op`), what the row was (`before`) and is (`after`), and where it stands
(`source`). Source: Debezium, "Change event values" of its connectors.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from etl.rejects import MALFORMED, MISSING
from etl.rules.blocks import Block
from etl.rules.records import BadValueError
from etl.schema.work_tables import CLEARED, REMOVED, ROW
from etl.sources.changes.change import Change, Naming, change_block, time_of
from etl.sources.changes.encodings import (
    Decoder,
    declared_decoder,
    is_unavailable,
    schema_decoder,
    text_of,
)
from etl.sources.changes.lines import MOST_LINE_BYTES, read_lines
from etl.sources.changes.positions import position_of
from etl.sources.files import FileTrace

_BLOCK_LINES = 10_000
_SEEN_LINES = 1_000  # of which the names of the columns are taken
_SHOWN = 1_000  # characters of a rejected line
_KINDS = {"c": ROW, "u": ROW, "r": ROW, "d": REMOVED, "t": CLEARED}
# A second change of the same line stands behind all lines of the file.
_SECOND = 2**31


@dataclass(frozen=True)
class EventForm:
    """How events become changes of a load.

    Attributes:
        key: the columns of the key.
        rename: name in the event = column.
        encodings: by column, how its values are encoded where events carry no schema.
        table: the table whose events are wanted, with its schema or without; empty: all.
    """

    key: tuple[str, ...]
    rename: Mapping[str, str] = field(default_factory=dict)
    encodings: Mapping[str, str] = field(default_factory=dict)
    table: str = ""


class _Event(NamedTuple):
    payload: Mapping[str, Any]
    key: Mapping[str, Any]
    decoders: Mapping[str, Decoder]


def read_events(
    path: Path,
    columns: Sequence[str],
    form: EventForm,
    *,
    trace: FileTrace | None = None,
    left_out: Counter[str] | None = None,
) -> Iterator[Block]:
    r"""Read a file of events block by block.

    Args:
        path: the file, JSON lines, perhaps compressed.
        columns: of the load.
        form: how events become changes of it.
        trace: is filled with what was read.
        left_out: counts the lines that are no change of the table, by what they are.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: it cannot be read, or is damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "events.jsonl")
        ...     _ = path.write_text('{"op": "c", "after": {"id": 7}, "source": {"lsn": 5}}\nnull\n')
        ...     (block,) = read_events(path, ["id"], EventForm(("id",)))
        >>> block.records.select(["id", "change_kind"]).to_pylist()
        [{'id': '7', 'change_kind': 'row'}]
    """
    reader = _Reader(tuple(columns), form, Counter() if left_out is None else left_out)
    lines = read_lines(path, trace)
    while batch := list(islice(lines, _BLOCK_LINES)):
        yield reader.block(batch)


def names_in_events(path: Path) -> tuple[str, ...]:
    """Return the names of the columns in the first events of a file."""
    names: dict[str, None] = {}
    for _, line in islice(read_lines(path), _SEEN_LINES):
        try:
            event = _event_of(line or b"null")
        except BadValueError:
            continue  # it will be rejected
        for part in ("before", "after"):
            names |= dict.fromkeys(_image(event, part) if event else ())
    return tuple(names)


class _Reader:
    """Makes changes of lines, one after the other."""

    def __init__(self, columns: tuple[str, ...], form: EventForm, left_out: Counter[str]) -> None:
        self._columns, self._form, self._left_out = columns, form, left_out
        self._naming = Naming(columns, form.rename)
        self._declared = {n: declared_decoder(text) for n, text in form.encodings.items()}
        self._position = ""

    def block(self, lines: Iterable[tuple[int, bytes | None]]) -> Block:
        changes: list[Change] = []
        rejected: list[dict[str, object]] = []
        for number, line in lines:
            try:
                changes += self._changes(number, line)
            except BadValueError as error:
                rejected.append(self._rejected(number, line, error))
        return change_block(self._columns, changes, rejected)

    def _rejected(self, number: int, line: bytes | None, error: BadValueError) -> dict[str, object]:
        shown = (line or b"").decode("utf-8", "replace")[:_SHOWN]
        row = error.rejected(number, {}, self._columns)
        return row | {"raw_record": shown}

    def _changes(self, number: int, line: bytes | None) -> Iterator[Change]:
        event = _event_of(line) if line is not None else _too_long()
        if event is None or not self._is_wanted(event):
            if line:
                self._left_out["tombstones" if event is None else _other(event)] += 1
            return
        source = event.payload.get("source")
        source = source if isinstance(source, dict) else {}
        kind = _kind_of(event)
        # an event without a position comes after the one before it
        self._position = position_of(source) or self._position
        about = self._position, _moment(source, event.payload)
        if kind == CLEARED:
            yield Change(number, kind, {}, *about)
        elif kind == REMOVED:
            yield Change(number, kind, self._removed_key(event), *about)
        else:
            after = self._texts(event, _required(event, "after"))
            before = self._old_key(event)
            if before and any(before[n] != after.get(n) for n in before):
                yield Change(number + _SECOND, REMOVED, before, *about)
            yield Change(number, kind, after, *about)

    def _is_wanted(self, event: _Event) -> bool:
        if "op" not in event.payload:
            return False
        if event.payload["op"] == "m":  # a message in the log
            return False
        source = event.payload.get("source")
        wanted = self._form.table.lower()
        if not wanted or not isinstance(source, dict):
            return True
        table = str(source.get("table") or source.get("collection") or "").lower()
        schema = str(source.get("schema") or source.get("db") or "").lower()
        return wanted in (table, f"{schema}.{table}")

    def _removed_key(self, event: _Event) -> dict[str, str | None]:
        image = _image(event, "before") or event.key
        key = self._keys_of(event, image)
        if any(key.get(name) is None for name in self._form.key):
            missing = ", ".join(n for n in self._form.key if key.get(n) is None)
            raise BadValueError(
                MISSING, self._form.key[0], f"a removal without {missing} of what was removed"
            )
        return key

    def _old_key(self, event: _Event) -> dict[str, str | None]:
        """The key of the row before an update; empty where it is not known."""
        key = self._keys_of(event, _image(event, "before"))
        return key if all(key.get(name) is not None for name in self._form.key) else {}

    def _keys_of(self, event: _Event, image: Mapping[str, Any]) -> dict[str, str | None]:
        wanted = {n: v for n, v in image.items() if self._naming.of(n) in self._form.key}
        return self._texts(event, wanted)

    def _texts(self, event: _Event, image: Mapping[str, Any]) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for name, value in image.items():
            column = self._naming.of(name)
            if column is None or column in found:
                continue
            sent = self._unsent(event, name, column) if is_unavailable(value) else value
            decoder = self._declared.get(column) or event.decoders.get(name)
            found[column] = text_of(column, sent, decoder)
        return found

    def _unsent(self, event: _Event, name: str, column: str) -> Any:
        """The value of a column that an update has not changed and that its log does not repeat."""
        before = _image(event, "before").get(name)
        if before is None or is_unavailable(before):
            raise BadValueError(
                MISSING, column, f"{column} was not changed and is not in the event; let the "
                "source log whole rows (PostgreSQL: REPLICA IDENTITY FULL)",
            )  # fmt: skip
        return before


def _too_long() -> _Event | None:
    raise BadValueError(MALFORMED, "", f"a line of more than {MOST_LINE_BYTES // 2**20} MB")


def _event_of(line: bytes) -> _Event | None:
    """The event of a line; None of an empty one, and of one that only follows a removal.

    Raises:
        BadValueError: it is none.
    """
    value = _parsed(line) if line else None
    key: Any = {}
    if isinstance(value, dict) and "op" not in value and value.keys() & {"key", "value"}:
        key, value = _nested(value.get("key")), _nested(value.get("value"))  # as consumers print it
    schema: Any = {}
    if isinstance(value, dict) and "payload" in value and "op" not in value:
        schema, value = value.get("schema"), _nested(value["payload"])
    if isinstance(key, dict) and "payload" in key:
        key = _nested(key["payload"])
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BadValueError(MALFORMED, "", "an event must be an object")
    return _Event(value, key if isinstance(key, dict) else {}, _decoders(schema))


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line.decode(), parse_float=Decimal, parse_constant=str)
    except UnicodeDecodeError as error:
        raise BadValueError(MALFORMED, "", f"no UTF-8 text: {error.reason}") from None
    except (ValueError, RecursionError) as error:
        raise BadValueError(MALFORMED, "", f"no JSON: {error}") from None


def _nested(value: Any) -> Any:
    """A value that may be written as a text."""
    is_text = isinstance(value, str) and value[:1] in ("{", "n")
    return _parsed(value.encode()) if is_text else value


def _decoders(schema: Any) -> dict[str, Decoder]:
    if not isinstance(schema, dict):
        return {}
    parts = [part for part in schema.get("fields") or () if isinstance(part, dict)]
    rows = (part for part in parts if part.get("field") in ("before", "after"))
    fields = [each for row in rows for each in row.get("fields") or () if isinstance(each, dict)]
    found = ((str(each.get("field")), schema_decoder(each)) for each in fields)
    return {name: decoder for name, decoder in found if decoder}


def _image(event: _Event, part: str) -> Mapping[str, Any]:
    image = event.payload.get(part)
    return image if isinstance(image, dict) else {}


def _required(event: _Event, part: str) -> Mapping[str, Any]:
    if not _image(event, part):
        raise BadValueError(
            MALFORMED, "", f"an event with op {event.payload['op']!r} without {part}"
        )
    return _image(event, part)


def _other(event: _Event) -> str:
    """What an event is that changes no row of the table."""
    if "op" not in event.payload:
        return "events without op"
    return "messages" if event.payload["op"] == "m" else "other tables"


def _kind_of(event: _Event) -> str:
    op = event.payload["op"]
    if not isinstance(op, str) or op not in _KINDS:
        raise BadValueError(MALFORMED, "", f"op {op!r} is none of {', '.join(_KINDS)}")
    return _KINDS[op]


def _moment(source: Mapping[str, Any], payload: Mapping[str, Any]) -> datetime | None:
    for part in (source, payload):
        for name, micros in (("ts_us", 1), ("ts_ms", 1000)):
            value = part.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                return time_of(value * micros)
    return None
