"""Lines of PostgreSQL's output plugins `test_decoding` and `wal2json`.

Source: PostgreSQL, `contrib/test_decoding/test_decoding.c`; wal2json, "format version 2".
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from etl.schema.work_tables import CLEARED, REMOVED, ROW
from etl.sources.changes.log_records import LogRecord, Unsent, Value

_TABLE = re.compile(r"table (?P<tables>.+?): (?P<what>INSERT|UPDATE|DELETE|TRUNCATE): (?P<rest>.*)",
                    re.DOTALL)  # fmt: skip
_NAME = r'"(?:[^"]|"")+"|[^\s"\[]+'
_COLUMN = re.compile(
    rf"(?P<name>{_NAME})\[(?P<type>(?:[^\[\]]|\[\])*)\]:"
    r"(?P<value>B?'(?:[^']|'')*'|[^\s]+)(?: |$)"
)
_OLD, _NEW = "old-key: ", "new-tuple: "


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


@dataclass
class TestDecoding:
    """Reads lines of `test_decoding`.

    Attributes:
        table: the one whose records are wanted, as `schema.table`.

    Example:
        >>> line = "table public.t: UPDATE: id[integer]:1 note[text]:'it''s' total[numeric]:null"
        >>> next(TestDecoding("public.t").records(line)).new
        {'id': '1', 'note': "it's", 'total': None}
    """

    __test__ = False  # it is no test
    table: str

    def records(self, line: str) -> Iterator[LogRecord]:
        """Yield what a line says of the table."""
        found = _TABLE.fullmatch(line)
        if found is None or self.table not in _tables(found["tables"]):
            return
        what, rest = found["what"], found["rest"]
        if what == "TRUNCATE":
            yield LogRecord(CLEARED, {}, {})
        elif what == "DELETE":
            yield LogRecord(REMOVED, {}, _columns(rest))
        else:
            old, _, new = rest.rpartition(_NEW) if rest.startswith(_OLD) else ("", "", rest)
            yield LogRecord(ROW, _columns(new), _columns(old.removeprefix(_OLD)))


def _tables(text: str) -> list[str]:
    name = f"(?:{_NAME.replace('[^', '[^.,')})"
    pairs = re.findall(rf"({name})\.({name})", text)
    return [f"{_plain(schema)}.{_plain(table)}" for schema, table in pairs]


def _columns(text: str) -> dict[str, Value]:
    found = ((m["name"], m["type"], m["value"]) for m in _COLUMN.finditer(text))
    return {_plain(name): _value(kind, value) for name, kind, value in found}


def _value(kind: str, value: str) -> Value:
    if value == "null":
        return None
    if value == "unchanged-toast-datum":
        return Unsent.UNSENT
    text = value.removeprefix("B")
    text = text[1:-1].replace("''", "'") if text.startswith("'") else value
    return text.removeprefix("\\x") if kind == "bytea" else text


@dataclass
class Wal2Json:
    """Reads lines of `wal2json`, version 2 of its format.

    Attributes:
        table: the one whose records are wanted, as `schema.table`.
        columns: of the table; one that an update does not have was not sent.

    Example:
        >>> line = '''{"action": "D", "schema": "public", "table": "t",
        ...     "identity": [{"name": "id", "type": "integer", "value": 1.50}]}'''
        >>> next(Wal2Json("public.t").records(line)).old
        {'id': '1.50'}
    """

    table: str
    columns: Sequence[str] = ()

    def records(self, line: str) -> Iterator[LogRecord]:
        """Yield what a line says of the table."""
        found = json.loads(line, parse_float=str, parse_int=str)
        if f"{found.get('schema')}.{found.get('table')}" != self.table:
            return
        time, old = _moment(found.get("timestamp")), self._image(found.get("identity"))
        if found["action"] == "T":
            yield LogRecord(CLEARED, {}, {}, time)
        elif found["action"] == "D":
            yield LogRecord(REMOVED, {}, old, time)
        else:
            absent: dict[str, Value] = dict.fromkeys(self.columns, Unsent.UNSENT)
            new = absent | self._image(found.get("columns"))
            yield LogRecord(ROW, new, old, time)

    def _image(self, columns: Sequence[Mapping[str, Any]] | None) -> dict[str, Value]:
        return {each["name"]: _json_text(each["value"]) for each in columns or ()}


def _json_text(value: Any) -> str | None:
    return str(value).lower() if isinstance(value, bool) else value


def _moment(text: str | None) -> datetime | None:
    """A moment as PostgreSQL writes it, such as 2024-01-15 10:30:00.5+00."""
    if not text:
        return None
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
