"""Extraction of the three sources: as lists of dicts, or as pandas DataFrames.

What cannot be split into fields is left out record by record; only what makes a whole source
unreadable raises. The pipeline itself reads the same sources as streams of blocks.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import Any, Dict, List

import pyarrow as pa
import pyarrow.compute as pc

from etl.rules import columns as field_rules
from etl.rules.dates import DateReading, read_dates
from etl.rules.records import BadValueError, pandas_frame, storable
from etl.rules.values import as_text
from etl.schema.source_columns import CUSTOMER_COLUMNS, PRODUCT_COLUMNS, SALES_COLUMNS
from etl.sources.csv_format import CsvFormat
from etl.sources.customers import read_customers
from etl.sources.products import flat_product, read_product_items
from etl.sources.sales import read_sales
from etl.sources.sales_reading import CSV_SCHEME, SalesReading
from etl.sources.watch import Watch, with_proven_order
from etl.sources.window import parse_day, whole_days

logger = logging.getLogger(__name__)


# --- customers ---------------------------------------------------------------------------


def extract_customers_csv(
    file_path: str, *, encoding: str = "utf-8", as_frame: bool = False
) -> List[Dict]:  # type: ignore[type-arg]  # the public signature is fixed
    """Extract customers from a CSV file.

    The file is read as a stream. Malformed lines and records without a `customer_id` are left
    out and counted in the log; e-mail, phone and date come standardised, an unreadable date as
    None.

    Args:
        file_path: path of the CSV file.
        encoding: of the file, such as cp1252; UTF-8 may start with a byte order mark.
        as_frame: return a pandas DataFrame instead.

    Returns:
        One dict per customer with the keys of the file; missing values are None.

    Raises:
        FileNotFoundError: the file does not exist.
        ValidationError: required columns are missing.
        ExtractionError: it cannot be read, or not in this encoding.

    Example:
        >>> customers = extract_customers_csv("data/input/customers.csv")
        >>> customers[0]["customer_id"]
        'C001'
    """
    written = CsvFormat(encoding, set_encoding="pass encoding= with")
    watch = Watch()

    def read() -> List[Dict[str, Any]]:
        with _logged(f"customers from {file_path}") as tally:
            result = _Result(as_frame)
            for block in read_customers(Path(file_path), csv_format=written, watch=watch):
                kept = _standardised(block.records, watch.dates)
                tally.add(kept.num_rows, block.examined - kept.num_rows)
                result.add(kept)
            return result.records(CUSTOMER_COLUMNS)

    return with_proven_order(read)


def _standardised(block: pa.RecordBatch, dates: DateReading) -> pa.RecordBatch:
    columns = {name: field_rules.clean_text(block.column(name)) for name in CUSTOMER_COLUMNS}
    columns["email"] = field_rules.clean_email(block.column("email"))
    columns["phone"], _ = field_rules.clean_phone(block.column("phone"), None)
    columns["registration_date"] = read_dates(block.column("registration_date"), dates).cast(
        pa.string()
    )
    table = pa.RecordBatch.from_pydict(columns)
    return table.filter(pc.is_valid(table.column("customer_id")))


# --- products ----------------------------------------------------------------------------


def extract_products_json(file_path: str, *, as_frame: bool = False) -> List[Dict]:  # type: ignore[type-arg]  # the public signature is fixed
    """Extract products from a nested JSON file as flat records.

    Items that are no objects are left out and counted in the log.

    Args:
        file_path: path of the JSON file.
        as_frame: return a pandas DataFrame instead.

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
        for item in read_product_items(Path(file_path)):
            try:
                records.append(_typed_product(item.value))
                tally.add(1, 0)
            except BadValueError as error:
                logger.warning("product %d left out: %s", item.position, error)
                tally.add(0, 1)
        return _frame_of(records, PRODUCT_COLUMNS) if as_frame else records


def _typed_product(item: object) -> dict[str, object]:
    flat = flat_product(item)
    for name, value in flat.items():
        storable(name, value)  # refuses what is no single value
    for name in ("price", "cost"):
        value = flat[name]
        if isinstance(value, int) and not isinstance(value, bool):
            flat[name] = Decimal(value)
    return flat


# --- sales -------------------------------------------------------------------------------


def extract_sales_database(
    connection_string: str, start_date: str, end_date: str, *, as_frame: bool = False
) -> List[Dict]:  # type: ignore[type-arg]  # the public signature is fixed
    """Extract the completed sales of some days from a database.

    Args:
        connection_string: an ODBC string, `duckdb:///path`, or `csv:///path` of a sales file.
        start_date: first day, YYYY-MM-DD.
        end_date: last day, YYYY-MM-DD, whole.
        as_frame: return a pandas DataFrame instead.

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
    reading = SalesReading(watch=Watch())
    # a file is in order within each block only
    by = "transaction_date" if connection_string.startswith(CSV_SCHEME) else ""

    def read() -> List[Dict[str, Any]]:
        with _logged(f"{window} from the sales source") as tally:
            result = _Result(as_frame)
            for block in read_sales(connection_string, window, reading):
                tally.add(block.records.num_rows, block.rejected.num_rows)
                result.add(block.records.drop_columns(["source_row"]))
            return result.records(SALES_COLUMNS, by=by)

    return with_proven_order(read)


# --- what is returned --------------------------------------------------------------------


class _Result:
    """The records of an extraction, as a list of dicts or as a DataFrame."""

    def __init__(self, as_frame: bool) -> None:
        self._as_frame = as_frame
        self._dicts: List[Dict[str, Any]] = []
        self._blocks: list[pa.RecordBatch] = []

    def add(self, block: pa.RecordBatch) -> None:
        """Add a block; dicts are made at once, so that the block can be let go."""
        if self._as_frame:
            self._blocks.append(block)
        else:
            self._dicts += block.to_pylist()

    def records(self, columns: tuple[str, ...], *, by: str = "") -> List[Dict[str, Any]]:
        """Return all records, sorted by a column if that is given."""
        if not self._as_frame:
            return sorted(self._dicts, key=itemgetter(by)) if by else self._dicts
        if not self._blocks:
            return _frame_of([], columns)
        table = pa.Table.from_batches(self._blocks)
        frame: List[Dict[str, Any]] = pandas_frame(table.sort_by(by) if by else table)
        return frame


def _frame_of(records: List[Dict[str, Any]], columns: tuple[str, ...]) -> List[Dict[str, Any]]:
    arrays = [_array_of([record[name] for record in records]) for name in columns]
    frame: List[Dict[str, Any]] = pandas_frame(pa.Table.from_arrays(arrays, names=list(columns)))
    return frame


def _array_of(values: List[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except pa.ArrowException:  # texts among numbers, as JSON may have them
        return pa.array([as_text(value) for value in values], pa.string())


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
