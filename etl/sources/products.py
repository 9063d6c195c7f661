"""The products file as a stream of blocks: nested items become flat columns."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import pyarrow as pa

from etl.errors import ValidationError
from etl.rejects import MALFORMED, reject_block
from etl.rules import values as value_rules
from etl.rules.blocks import Block
from etl.rules.dates import read_timestamps
from etl.rules.records import BadValueError, storable
from etl.schema.arrow import text_schema
from etl.schema.source_columns import PRODUCT_COLUMNS
from etl.sources.csv_header import listed
from etl.sources.files import FileTrace
from etl.sources.json_cuts import cut_json_lines
from etl.sources.json_reader import JsonItem, JsonShape, read_json_items, read_json_part
from etl.sources.noticed import Members
from etl.sources.pieces import Cut
from etl.sources.several import SourceFile, SourceFiles
from etl.sources.watch import Watch

PRODUCTS = "products"

# The object within an item in which a flat product column stands, when it is not the item itself.
PRODUCT_PATHS = {
    "brand": "specifications", "model": "specifications", "price": "specifications",
    "cost": "specifications", "quantity": "inventory", "warehouse": "inventory",
}  # fmt: skip
_NESTED = ("specifications", "inventory")
_KNOWN = {*PRODUCT_COLUMNS, *_NESTED}
Extra = Literal["report", "keep", "refuse"]
_ITSELF = ""

# Where the products file says when it was made.
_EXTRACT_DATE = "metadata.extract_date"

# Products per block: as Python objects an item takes some 3 KB, so a block stays near 30 MB.
_PRODUCT_BLOCK_ROWS = 10_000


def _shape(records: str) -> JsonShape:
    return JsonShape(records, "product_id", frozenset((*PRODUCT_COLUMNS, *_NESTED)))


def read_products(
    path: Path | SourceFiles,
    *,
    records: str = PRODUCTS,
    extra: Extra = "report",
    trace: FileTrace | None = None,
    watch: Watch | None = None,
) -> Iterator[Block]:
    """Stream the products file; it may be larger than memory.

    Args:
        path: the file, or several that are read as one source.
        records: member that holds the products.
        extra: what happens to members that no column has: they are reported, kept as text, or an
            error.
        trace: is filled with what was read of a single file, and the `extract_date` that it states.
        watch: notices what the file is like.

    Raises:
        FileNotFoundError: there is no such file.
        ValidationError: the JSON has another structure.
        ExtractionError: it is no JSON, or cannot be read.
    """
    watch = watch or Watch()
    watch.begin()
    files = path if isinstance(path, SourceFiles) else SourceFiles.of(path, trace=trace)

    def read_one(file: SourceFile) -> Iterator[Block]:
        members: dict[str, object] = {_EXTRACT_DATE: None}
        kept = further_members(file.path, records) if extra == "keep" else ()
        found = dict[str, None]()
        items = _items(file, records, members, watch)
        for batch in _in_batches(items):
            found.update(dict.fromkeys(n for item in batch for n in _further(item.value)))
            yield _product_block(batch, kept)
        _report(file.path, [name for name in found if name not in kept], extra, watch)
        file.trace.extracted_at = _moment(members[_EXTRACT_DATE])

    yield from files.read(read_one, watch)


def _items(
    file: SourceFile, records: str, members: dict[str, object], watch: Watch
) -> Iterator[JsonItem]:
    if file.cut is not None:
        return read_json_part(file.path, file.cut, watch)
    return read_json_items(
        file.path, _shape(records), trace=file.trace, members=members, watch=watch
    )


def cut_products(file: SourceFile, target_bytes: int, records: str = PRODUCTS) -> Sequence[Cut]:
    """Cut a file of products that holds JSON Lines, see `cut_json_lines`.

    Args:
        file: the file; its trace is filled.
        target_bytes: about how many bytes a part has.
        records: member that holds the products.
    """
    members: dict[str, object] = {_EXTRACT_DATE: None}
    cuts = cut_json_lines(file, target_bytes, _shape(records), members)
    file.trace.extracted_at = _moment(members[_EXTRACT_DATE])
    return cuts


def _report(path: Path, names: Sequence[str], extra: Extra, watch: Watch) -> None:
    """Say which members no column has, or refuse them."""
    if names and extra == "refuse":
        what = f"{path}: products have members that no column has: {listed(names)}"
        step = 'remove them, or set extra = "report" for this source'
        raise ValidationError(what, next_step=step)
    watch.see_members(Members(tuple(names)))


def further_members(path: Path, records: str = PRODUCTS) -> tuple[str, ...]:
    """Return the names of members that no column has; the whole file is read for it."""
    items = read_product_items(path, records)
    return tuple(dict.fromkeys(name for item in items for name in _further(item.value)))


def _further(item: object) -> Iterator[str]:
    for part in _parts(item):
        yield from (name for name in part if name not in _KNOWN)


def _parts(item: object) -> Iterator[Mapping[str, object]]:
    own = _members(item)
    yield own
    yield from (_members(own.get(name)) for name in _NESTED)


def _in_batches(items: Iterable[JsonItem]) -> Iterator[list[JsonItem]]:
    batch: list[JsonItem] = []
    for item in items:
        batch.append(item)
        if len(batch) >= _PRODUCT_BLOCK_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _moment(stated: object) -> datetime | None:
    """A date or time as the pipeline reads them, None for anything else."""
    if not isinstance(stated, str) or value_rules.has_lone_surrogate(stated):
        return None
    moment: datetime | None = read_timestamps(pa.array([stated]))[0].as_py()
    return moment


def _product_block(items: Sequence[JsonItem], kept: Sequence[str] = ()) -> Block:
    records: list[dict[str, object]] = []
    rejected: list[dict[str, object]] = []
    for item in items:
        try:
            flat = flat_product(item.value)
            texts = {name: storable(name, value) for name, value in flat.items()}
            texts |= {name: _further_text(name, item.value) for name in kept}
            records.append({"source_row": item.position, **texts})
        except BadValueError as error:
            rejected.append(_rejected_item(item, error))
    block = pa.RecordBatch.from_pylist(records, schema=text_schema((*PRODUCT_COLUMNS, *kept)))
    return Block(block, reject_block(PRODUCT_COLUMNS, rejected), len(items))


def _further_text(name: str, item: object) -> str | None:
    """The value of a member as text, an object or a list as JSON."""
    value = next((part[name] for part in _parts(item) if name in part), None)
    if isinstance(value, dict | list):
        value = json.dumps(value, default=str, ensure_ascii=False)
    return storable(name, value)


def _rejected_item(item: JsonItem, error: BadValueError) -> dict[str, object]:
    raw = json.dumps(item.value, default=str, ensure_ascii=False)
    if value_rules.has_lone_surrogate(raw):  # shown as the escape it was
        raw = json.dumps(item.value, default=str)
    row = error.rejected(item.position, _flat(item.value), PRODUCT_COLUMNS)
    return row | {"raw_record": raw}


def flat_product(item: object) -> dict[str, object]:
    """The nested item as flat columns.

    Raises:
        BadValueError: it has another structure.
    """
    if not isinstance(item, dict):
        raise BadValueError(MALFORMED, "", f"a product must be an object, not {_kind(item)}")
    for name in _NESTED:
        if not isinstance(item.get(name), dict | None):
            reason = f"{name} must be an object, not {_kind(item[name])}"
            raise BadValueError(MALFORMED, "", reason)
    return _flat(item)


def _flat(item: object) -> dict[str, object]:
    """What can be had of the columns, whatever the structure.

    Where an item lacks one of the objects, its columns may stand in the item itself.
    """
    own = _members(item)
    objects = {_ITSELF: own, **{name: _members(own.get(name)) or own for name in _NESTED}}
    return {name: objects[PRODUCT_PATHS.get(name, _ITSELF)].get(name) for name in PRODUCT_COLUMNS}


def _members(found: object) -> Mapping[str, object]:
    return found if isinstance(found, dict) else {}


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def read_product_items(path: Path, records: str = PRODUCTS) -> Iterator[JsonItem]:
    """Read the products of a file as they are written."""
    return read_json_items(path, _shape(records))


def read_product_originals(path: Path, rows: pa.Array, records: str = PRODUCTS) -> pa.Table:
    """Read single products again, as they were written.

    Args:
        path: the file.
        rows: the positions that are wanted.
        records: member that holds the products.
    """
    wanted = set(rows.to_pylist())
    items = (item for item in read_product_items(path, records) if item.position in wanted)
    blocks = (_product_block(batch).records for batch in _in_batches(items))
    return pa.Table.from_batches(blocks, text_schema(PRODUCT_COLUMNS))
