"""Records of a JSON file of any shape as flat columns.

The members of nested objects are named with a point between, such as `customer.id`; a list is
kept as its JSON text. Names are compared like those of CSV files.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from etl.errors import ValidationError
from etl.rejects import MALFORMED, reject_block
from etl.rules.blocks import Block
from etl.rules.records import BadValueError, storable
from etl.schema.arrow import text_schema
from etl.sources.csv_header import comparable, listed
from etl.sources.json_reader import JsonItem, JsonShape, read_json_items, read_json_part
from etl.sources.noticed import Members
from etl.sources.several import SourceFile
from etl.sources.watch import Watch

# Records per block: as Python objects they take some kilobytes each.
_BLOCK_ROWS = 10_000


@dataclass(frozen=True)
class JsonForm:
    """How the records of a JSON file are found and named.

    Attributes:
        shape: where they stand in the document.
        rename: name in the file = column.
        defaults: by column that the file may lack, its text.
        refuse_extra: whether members that no column has are an error.
    """

    shape: JsonShape
    rename: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    refuse_extra: bool = False


def read_flat_json(
    file: SourceFile, columns: Sequence[str], form: JsonForm, *, watch: Watch | None = None
) -> Iterator[Block]:
    r"""Read a JSON file, or a part of it, block by block.

    Args:
        file: the file, perhaps compressed.
        columns: those that are wanted.
        form: how the records are found and named.
        watch: notices what the file is like.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: it is no JSON, or cannot be read.
        ValidationError: it has another structure, or members that are refused.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "orders.ndjson")
        ...     _ = path.write_text('{"Order ID": 1, "customer": {"id": "C1"}}\n{"Order ID": 2}')
        ...     form = JsonForm(JsonShape("orders"), {"customer.id": "customer_id"})
        ...     file, columns = SourceFile(path), ["order_id", "customer_id"]
        ...     (block,) = read_flat_json(file, columns, form)
        >>> block.records.to_pydict()
        {'source_row': [1, 2], 'order_id': ['1', '2'], 'customer_id': ['C1', None]}
    """
    watch = watch or Watch()
    flattener = _Flattener(tuple(columns), form)
    for batch in _in_batches(_items(file, form.shape, watch)):
        yield flattener.block(batch)
    flattener.report(file.path, watch)


def _items(file: SourceFile, shape: JsonShape, watch: Watch) -> Iterator[JsonItem]:
    if file.cut is not None:
        return read_json_part(file.path, file.cut, watch)
    return read_json_items(file.path, shape, trace=file.trace, watch=watch)


def read_flat_json_rows(
    path: Path, columns: Sequence[str], form: JsonForm, rows: pa.Array
) -> pa.Table:
    """Read single records again, as they were written; `rows` are their positions."""
    wanted = set(rows.to_pylist())
    items = (i for i in read_json_items(path, form.shape) if i.position in wanted)
    flattener = _Flattener(tuple(columns), form)
    blocks = [flattener.block(batch).records for batch in _in_batches(items)]
    return pa.Table.from_batches(blocks, text_schema(columns))


def names_in_json(path: Path, shape: JsonShape) -> tuple[str, ...]:
    """Return the flat names of all records of a file, in the order in which they come."""
    names: dict[str, None] = {}
    for item in read_json_items(path, shape):
        if isinstance(item.value, dict):
            names |= dict.fromkeys(name for name, _ in _flat(item.value))
    return tuple(names)


def _in_batches(items: Iterable[JsonItem]) -> Iterator[list[JsonItem]]:
    batch: list[JsonItem] = []
    for item in items:
        batch.append(item)
        if len(batch) >= _BLOCK_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _flat(value: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, member in value.items():
        if isinstance(member, dict):
            yield from _flat(member, f"{prefix}{name}.")
        elif isinstance(member, list):
            yield f"{prefix}{name}", json.dumps(member, default=str, ensure_ascii=False)
        else:
            yield f"{prefix}{name}", member


class _Flattener:
    """Makes blocks of items, and remembers which members it has seen."""

    def __init__(self, columns: tuple[str, ...], form: JsonForm) -> None:
        self._columns, self._form = columns, form
        self._defaults = {n: text for n, text in form.defaults.items() if n in columns}
        self._known = {comparable(column): column for column in columns}
        self._known |= {comparable(name): column for name, column in form.rename.items()}
        self._column_of: dict[str, str | None] = {}

    def block(self, items: Sequence[JsonItem]) -> Block:
        records: list[dict[str, object]] = []
        rejected: list[dict[str, object]] = []
        for item in items:
            try:
                texts = {n: storable(n, value) for n, value in self._members(item).items()}
                records.append({"source_row": item.position, **self._defaults, **texts})
            except BadValueError as error:
                rejected.append(self._rejected(item, error))
        block = pa.RecordBatch.from_pylist(records, schema=text_schema(self._columns))
        return Block(block, reject_block(self._columns, rejected), len(items))

    def report(self, path: Path, watch: Watch) -> None:
        """Say which members nobody wants, and which columns no record has."""
        extra = [name for name, column in self._column_of.items() if column is None]
        if extra and self._form.refuse_extra:
            raise ValidationError(
                f"{path} has members that the table lacks: {listed(extra)}",
                next_step='remove them, or set extra = "report" for this source',
            )
        found = {column for column in self._column_of.values() if column} | self._defaults.keys()
        watch.see_members(
            Members(tuple(extra), self._columns, frozenset(found), bool(self._column_of))
        )

    def _members(self, item: JsonItem) -> dict[str, object]:
        if not isinstance(item.value, dict):
            raise BadValueError(MALFORMED, "", "a record must be an object")
        found: dict[str, object] = {}
        for name, value in _flat(item.value):
            if name not in self._column_of:
                self._column_of[name] = self._known.get(comparable(name))
            column = self._column_of[name]
            if column is not None:
                found.setdefault(column, value)
        return found

    def _rejected(self, item: JsonItem, error: BadValueError) -> dict[str, object]:
        members = self._members(item) if isinstance(item.value, dict) else {}
        row = error.rejected(item.position, members, self._columns)
        return row | {"raw_record": json.dumps(item.value, default=str)}
