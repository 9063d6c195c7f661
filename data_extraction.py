"""Reading the three sources as streams of blocks.

A block is columns of text plus the row each record stood in. What cannot be taken apart into
fields is rejected record by record; only what makes a whole source unreadable raises. Values
are judged later, by transformation.
"""

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import Any, Dict, List

import pyarrow as pa
import pyarrow.compute as pc

from etl.history.runs import parse_day, whole_days
from etl.rejects import MALFORMED, reject_block
from etl.rules import columns as field_rules
from etl.rules import values as value_rules
from etl.rules.records import BadValueError, storable
from etl.schema.arrow import text_schema
from etl.schema.source_columns import CUSTOMER_COLUMNS, PRODUCT_COLUMNS
from etl.sources.blocks import Block, csv_block
from etl.sources.csv_reader import read_csv_blocks
from etl.sources.files import FileTrace
from etl.sources.json_reader import JsonItem, read_json_items
from etl.sources.sales import CSV_SCHEME, read_sales

logger = logging.getLogger(__name__)

# The object within an item in which a flat product column stands, when it is not the item itself.
_PRODUCT_PATHS = {
    "brand": "specifications", "model": "specifications", "price": "specifications",
    "cost": "specifications", "quantity": "inventory", "warehouse": "inventory",
}  # fmt: skip
_NESTED = ("specifications", "inventory")
_ITSELF = ""

# Where the products file says when it was made.
_EXTRACT_DATE = "metadata.extract_date"

# Products per block: as Python objects an item takes some 3 KB, so a block stays near 30 MB.
_PRODUCT_BLOCK_ROWS = 10_000


# --- customers ---------------------------------------------------------------------------


def read_customers(
    path: Path, *, encoding: str = "utf-8", trace: FileTrace | None = None
) -> Iterator[Block]:
    """Streams the customers file.

    Args:
        path: the file.
        encoding: of the file.
        trace: is told what was read.

    Raises:
        FileNotFoundError: there is no such file.
        ValidationError: a required column is missing, or the file is empty.
        ExtractionError: it cannot be read, or not as this encoding.
    """
    columns = CUSTOMER_COLUMNS
    for block in read_csv_blocks(path, columns=columns, encoding=encoding, trace=trace):
        yield csv_block(block, CUSTOMER_COLUMNS)


def extract_customers_csv(file_path: str) -> List[Dict]:  # type: ignore[type-arg]  # the public signature is fixed
    """Extracts customers from a CSV file.

    The file is read as a stream. Malformed lines and records without a `customer_id` are left
    out and counted in the log; e-mail, phone and date come standardised, an unreadable date as
    None.

    Args:
        file_path: path of the CSV file.

    Returns:
        One dict per customer with the keys of the file; missing values are None.

    Raises:
        FileNotFoundError: the file does not exist.
        ValidationError: required columns are missing.

    Example:
        >>> customers = extract_customers_csv("data/input/customers.csv")
        >>> customers[0]["customer_id"]
        'C001'
    """
    with _logged(f"customers from {file_path}") as tally:
        records: List[Dict[str, Any]] = []
        for block in read_customers(Path(file_path)):
            kept = _standardised(block.records)
            tally.add(kept.num_rows, block.examined - kept.num_rows)
            records += kept.to_pylist()
        return records


def _standardised(block: pa.RecordBatch) -> pa.RecordBatch:
    columns = {name: field_rules.clean_text(block.column(name)) for name in CUSTOMER_COLUMNS}
    columns["email"] = field_rules.clean_email(block.column("email"))
    columns["phone"], _ = field_rules.clean_phone(block.column("phone"), None)
    columns["registration_date"] = field_rules.read_dates(block.column("registration_date")).cast(
        pa.string()
    )
    table = pa.RecordBatch.from_pydict(columns)
    return table.filter(pc.is_valid(table.column("customer_id")))


# --- products ----------------------------------------------------------------------------


def read_products(path: Path, *, trace: FileTrace | None = None) -> Iterator[Block]:
    """Streams the products file; it may be larger than memory.

    Args:
        path: the file.
        trace: is told what was read, and the `extract_date` that the file states.

    Raises:
        FileNotFoundError: there is no such file.
        ValidationError: the JSON has another structure.
        ExtractionError: it is no JSON, or cannot be read.
    """
    members: dict[str, object] = {_EXTRACT_DATE: None}
    items = read_json_items(path, "products", trace=trace, members=members)
    for batch in _in_batches(items):
        yield _product_block(batch)
    if trace is not None:
        trace.extracted_at = _moment(members[_EXTRACT_DATE])


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
    moment: datetime | None = field_rules.read_timestamps(pa.array([stated]))[0].as_py()
    return moment


def _product_block(items: Sequence[JsonItem]) -> Block:
    records: list[dict[str, object]] = []
    rejected: list[dict[str, object]] = []
    for item in items:
        try:
            flat = _product(item.value)
            texts = {name: storable(name, value) for name, value in flat.items()}
            records.append({"source_row": item.position, **texts})
        except BadValueError as error:
            rejected.append(_rejected_item(item, error))
    block = pa.RecordBatch.from_pylist(records, schema=text_schema(PRODUCT_COLUMNS))
    return Block(block, reject_block(PRODUCT_COLUMNS, rejected), len(items))


def _rejected_item(item: JsonItem, error: BadValueError) -> dict[str, object]:
    raw = json.dumps(item.value, default=str, ensure_ascii=False)
    if value_rules.has_lone_surrogate(raw):  # shown as the escape it was
        raw = json.dumps(item.value, default=str)
    row = error.rejected(item.position, _flat(item.value), PRODUCT_COLUMNS)
    return row | {"raw_record": raw}


def _product(item: object) -> dict[str, object]:
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
    """What can be had of the columns, whatever the structure."""
    own = _members(item)
    objects = {_ITSELF: own, **{name: _members(own.get(name)) for name in _NESTED}}
    return {name: objects[_PRODUCT_PATHS.get(name, _ITSELF)].get(name) for name in PRODUCT_COLUMNS}


def _members(found: object) -> Mapping[str, object]:
    return found if isinstance(found, dict) else {}


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def extract_products_json(file_path: str) -> List[Dict]:  # type: ignore[type-arg]  # the public signature is fixed
    """Extracts products from a nested JSON file as flat records.

    Items that are no objects are left out and counted in the log.

    Args:
        file_path: path of the JSON file.

    Returns:
        One dict per product: product_id, name, category, brand, model, price, cost, quantity
        and warehouse; prices as Decimal, what is absent as None.

    Raises:
        FileNotFoundError: the file does not exist.
        ValidationError: the JSON has another structure.
        ExtractionError: the file is no JSON.

    Example:
        >>> products = extract_products_json("data/input/products.json")
        >>> sorted(products[0])[:3]
        ['brand', 'category', 'cost']
    """
    with _logged(f"products from {file_path}") as tally:
        records: List[Dict[str, Any]] = []
        for item in read_json_items(Path(file_path), "products"):
            try:
                records.append(_typed_product(item.value))
                tally.add(1, 0)
            except BadValueError as error:
                logger.warning("product %d left out: %s", item.position, error)
                tally.add(0, 1)
        return records


def _typed_product(item: object) -> dict[str, object]:
    flat = _product(item)
    for name, value in flat.items():
        storable(name, value)  # refuses what is no single value
    for name in ("price", "cost"):
        value = flat[name]
        if isinstance(value, int) and not isinstance(value, bool):
            flat[name] = Decimal(value)
    return flat


# --- sales -------------------------------------------------------------------------------


def extract_sales_database(connection_string: str, start_date: str, end_date: str) -> List[Dict]:  # type: ignore[type-arg]  # the public signature is fixed
    """Extracts the completed sales of some days from a database.

    Args:
        connection_string: an ODBC string, `duckdb:///path`, or `csv:///path` of a sales file.
        start_date: first day, YYYY-MM-DD.
        end_date: last day, YYYY-MM-DD, whole.

    Returns:
        One dict per sale, oldest first, with the columns of the query.

    Raises:
        ConfigurationError: a date is none, or the start is after the end.
        ExtractionError: the query fails.

    Example:
        >>> source = "csv:///data/input/sales_transactions.csv"
        >>> sales = extract_sales_database(source, "2024-01-20", "2024-01-20")
        >>> {sale["transaction_date"].day for sale in sales}
        {20}
    """
    window = whole_days(parse_day(start_date, "start_date"), parse_day(end_date, "end_date"))
    with _logged(f"{window} from the sales source") as tally:
        records: List[Dict[str, Any]] = []
        for block in read_sales(connection_string, window):
            tally.add(block.records.num_rows, block.rejected.num_rows)
            records += block.records.drop_columns(["source_row"]).to_pylist()
        if connection_string.startswith(CSV_SCHEME):  # in order within each block only
            records.sort(key=itemgetter("transaction_date"))
        return records


# --- originals ---------------------------------------------------------------------------


def read_csv_originals(
    path: Path, columns: tuple[str, ...], *, rows: pa.Array, encoding: str
) -> pa.Table:
    """Reads single records of a CSV file again, as they were written.

    Args:
        path: the file.
        columns: the source's columns.
        rows: the source rows that are wanted.
        encoding: of the file.
    """
    only = rows.to_numpy(zero_copy_only=False)
    blocks = read_csv_blocks(path, columns=columns, encoding=encoding, only_rows=only)
    return pa.Table.from_batches([block.records for block in blocks], text_schema(columns))


def read_product_originals(path: Path, rows: pa.Array) -> pa.Table:
    """Reads single products again, as they were written.

    Args:
        path: the file.
        rows: the positions that are wanted.
    """
    wanted = set(rows.to_pylist())
    items = (item for item in read_json_items(path, "products") if item.position in wanted)
    blocks = (_product_block(batch).records for batch in _in_batches(items))
    return pa.Table.from_batches(blocks, text_schema(PRODUCT_COLUMNS))


# --- metrics -----------------------------------------------------------------------------


class _Tally:
    """Records and errors of one extraction."""

    def __init__(self) -> None:
        self.records = self.errors = 0

    def add(self, records: int, errors: int) -> None:
        self.records += records
        self.errors += errors


@contextmanager
def _logged(what: str) -> Iterator[_Tally]:
    started, tally = time.perf_counter(), _Tally()
    yield tally
    seconds = time.perf_counter() - started
    logger.info(
        "extracted %d %s in %.2f s, %d left out", tally.records, what, seconds, tally.errors,
        extra={"records": tally.records, "errors": tally.errors, "seconds": seconds},
    )  # fmt: skip
