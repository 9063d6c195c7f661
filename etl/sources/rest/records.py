"""Records of JSON as blocks: one column for each that is wanted, found by its path."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from etl.errors import ValidationError
from etl.rejects import MALFORMED, reject_block
from etl.rules.blocks import Block
from etl.rules.records import BadValueError, storable
from etl.rules.values import has_lone_surrogate
from etl.sources.csv_header import comparable
from etl.sources.rest.paths import is_absent, path_reader
from etl.sources.rest.values import converted

_SHOWN_NAMES = 12


@dataclass(frozen=True)
class RecordForm:
    """How the columns are found in a record.

    Attributes:
        paths: by column, where its value stands; others stand under their own name.
        each: the member whose items become a record each; empty: a record is a record.
        values: by column, what is made of its value.
        defaults: columns that records may lack, with the text that stands for what is missing.
    """

    paths: Mapping[str, str] = field(default_factory=dict)
    each: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)


class Flattener:
    """Makes blocks of pages, and notices when the shape of the records changes between them.

    Args:
        columns: those that are wanted, the key first.
        form: how they are found.
        place: of the interface, for messages.

    Example:
        >>> form = RecordForm({"customer_id": "customer.id"})
        >>> flattener = Flattener(("id", "customer_id"), form, "https://api.example.com/orders")
        >>> flattener.block([{"id": 1, "customer": {"id": "C1"}}], 1).records.to_pylist()
        [{'source_row': 1, 'id': '1', 'customer_id': 'C1'}]
    """

    def __init__(self, columns: Sequence[str], form: RecordForm, place: str) -> None:
        self._columns, self._form, self._place = tuple(columns), form, place
        self._paths: dict[str, str] = {}
        self._always = {name for name in columns if name not in form.defaults}
        self._pages = 0

    def block(self, records: Sequence[Any], first_row: int) -> Block:
        """Return the records of a page as a block.

        Args:
            records: at least one.
            first_row: the row of the first.

        Raises:
            ValidationError: a column is in none of them, though it was in all before.
        """
        objects = [record for record in records if isinstance(record, dict)]
        self._pages += 1
        self._paths = self._paths or self._resolved(objects)
        bad: dict[int, BadValueError] = {}
        for row, record in enumerate(records):
            if not isinstance(record, dict):
                bad[row] = BadValueError(MALFORMED, "", "a record must be an object")
        arrays = [self._column(name, records, bad) for name in self._columns]
        rows = pa.array(range(first_row, first_row + len(records)), pa.int64())
        block = pa.RecordBatch.from_arrays([rows, *arrays], ["source_row", *self._columns])
        if bad:
            block = block.filter(pa.array([row not in bad for row in range(len(records))]))
        rejected = [self._rejected(row + first_row, records[row], bad[row]) for row in sorted(bad)]
        return Block(block, reject_block(self._columns, rejected), len(records))

    def _resolved(self, records: Sequence[Any]) -> dict[str, str]:
        """By column its path: the one that was set, or the member of its name, however written."""
        names = dict.fromkeys(name for record in records for name in flat_names(record))
        members = {comparable(name): name for name in reversed(names)}
        known = {name: members.get(comparable(name), name) for name in self._columns}
        return {**known, **self._form.paths}

    def _column(self, name: str, records: Sequence[Any], bad: dict[int, BadValueError]) -> pa.Array:
        path = self._paths[name]
        read = path_reader(path)
        values = [read(record) for record in records]
        if name in self._always and None in values:
            self._look_for(name, path, records)
        if name in self._form.values:
            values = converted(self._form.values[name], values, records)
        if name in self._form.defaults:
            default = self._form.defaults[name]
            values = [default if value is None else value for value in values]
        return _texts(name, values, bad)

    def _look_for(self, name: str, path: str, records: Sequence[Any]) -> None:
        absent = [is_absent(r, path) for r in records if isinstance(r, dict)]
        if absent and all(absent):
            raise self._gone(name, path, records)
        if any(absent):
            self._always.discard(name)

    def _gone(self, name: str, path: str, records: Sequence[Any]) -> ValidationError:
        first = self._pages == 1
        names = sorted({str(member) for record in records if isinstance(record, dict)
                        for member in record})  # fmt: skip
        shown = ", ".join(names[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")
        where = "no record" if first else f"no record of page {self._pages}"
        before = "" if first else ", and every record before had it: the interface has changed"
        member = path if path == name else f"{path}, which {name} comes from"
        return ValidationError(
            f"{where} of {self._place} has {member}{before}; found {shown}",
            next_step=f"set rename of the source, or defaults for {name} if it may be missing",
        )

    def _rejected(self, row: int, record: Any, error: BadValueError) -> dict[str, object]:
        values = {name: path_reader(self._paths[name])(record) for name in self._columns}
        raw = json.dumps(record, default=str, ensure_ascii=False)
        raw = json.dumps(record, default=str) if has_lone_surrogate(raw) else raw
        return error.rejected(row, values, self._columns) | {"raw_record": raw}


def flat_names(record: Any, prefix: str = "") -> Iterator[str]:
    """Yield the paths of the single values in a record; lists are none.

    Example:
        >>> list(flat_names({"id": 1, "customer": {"id": 2, "tags": []}}))
        ['id', 'customer.id']
    """
    for name, value in record.items() if isinstance(record, dict) else ():
        if isinstance(value, dict):
            yield from flat_names(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            yield f"{prefix}{name}"


def exploded(records: Sequence[Any], each: str) -> list[Any]:
    """Return a record for each item of a member, with the item in its place.

    Example:
        >>> exploded([{"id": 1, "lines": [{"n": 1}, {"n": 2}]}, {"id": 2, "lines": []}], "lines")
        [{'id': 1, 'lines': {'n': 1}}, {'id': 1, 'lines': {'n': 2}}]
    """
    if not each:
        return list(records)
    found: list[Any] = []
    for record in records:
        items = record.get(each) if isinstance(record, dict) else None
        if isinstance(items, list):
            found += [{**record, each: item} for item in items]
        elif items is not None or not isinstance(record, dict):
            found.append([record])  # no object, and rejected for that
    return found


def _texts(name: str, values: Sequence[Any], bad: dict[int, BadValueError]) -> pa.Array:
    try:
        return pa.array(values, pa.string())  # texts and nulls, as nearly all columns are
    except (pa.ArrowException, UnicodeError):
        return pa.array([_text(name, row, value, bad) for row, value in enumerate(values)],
                        pa.string())  # fmt: skip


def _text(name: str, row: int, value: Any, bad: dict[int, BadValueError]) -> str | None:
    try:
        return storable(name, value)
    except BadValueError as error:
        bad.setdefault(row, error)
        return None
