"""How the built-in sources are read: from which files or databases, written how."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import pyarrow as pa

from etl.cloud.objects import is_there
from etl.errors import ConfigurationError
from etl.pipeline.source import Feed
from etl.rules.blocks import Block
from etl.rules.business import PRODUCT_TEXTS, SALES_TEXTS
from etl.rules.texts import NULL_WORDS
from etl.schema.source_columns import (
    COMPLETED,
    CUSTOMER_COLUMNS,
    PRODUCT_COLUMNS,
    SALES_COLUMNS,
    SOURCE_COLUMNS,
)
from etl.settings.config import Config
from etl.settings.pipeline_file import texts_of
from etl.sources.csv_cuts import CsvColumns
from etl.sources.csv_format import CsvFormat
from etl.sources.csv_header import HeaderOptions
from etl.sources.csv_reader import extra_names
from etl.sources.customers import read_csv_originals, read_customers
from etl.sources.declared import CsvRecords, JsonRecords, Records, files_of, holds_json
from etl.sources.division import FileDivision, QueryDivision, csv_division, division_of, uncut
from etl.sources.flat_json import JsonForm
from etl.sources.json_reader import JsonShape
from etl.sources.products import (
    PRODUCT_PATHS,
    PRODUCTS,
    cut_products,
    further_members,
    read_product_originals,
    read_products,
)
from etl.sources.sales import SALES_BESIDES, read_sales, read_sales_files, read_sales_part
from etl.sources.sales_queries import sales_query
from etl.sources.sales_reading import SalesReading, sales_breaker
from etl.sources.sales_server import sales_extent
from etl.sources.several import SourceFile, SourceFiles
from etl.sources.watch import Watch
from etl.sources.window import Window


def null_words_of(config: Config, name: str) -> tuple[str, ...]:
    """Return the texts that stand for a missing value in a source."""
    words = config.files.pipeline.source(name).null_words
    return NULL_WORDS if words is None else words


def customers_feed(config: Config, window: Window, watch: Watch) -> Feed:
    """Return how customers are read: CSV, or JSON where a file holds that."""
    if _are_json(config.files.paths_of("customers")):
        records = _json_records(config, "customers", CUSTOMER_COLUMNS)
        return feed_of(records, CUSTOMER_COLUMNS, window, watch)
    files, written = _files(config, "customers"), csv_format_of(config, "customers")
    read = partial(read_customers, csv_format=written, watch=watch)
    return Feed(
        lambda: read(files), _csv_originals(files, CUSTOMER_COLUMNS, written),
        _place(config, "customers"), trace=files.only_trace, files=files,
        division=csv_division(read, CsvColumns(CUSTOMER_COLUMNS, written)),
    )  # fmt: skip


def products_feed(config: Config, window: Window, watch: Watch) -> Feed:
    """Return how products are read: nested JSON, or whatever else a file holds."""
    if (other := _other_products(config)) is not None:
        return feed_of(other, PRODUCT_COLUMNS, window, watch)
    files, options = _files(config, "products"), config.files.pipeline.source("products")
    records = options.records or PRODUCTS
    read = partial(read_products, records=records, extra=options.extra, watch=watch)
    cut = partial(cut_products, records=records)  # which members are kept only the whole shows
    return Feed(
        lambda: read(files),
        lambda losers: files.originals(
            _rows_of(losers), lambda file, rows: read_product_originals(file.path, rows, records)
        ),
        _place(config, "products"), trace=files.only_trace, files=files,
        division=FileDivision(read, uncut if options.extra == "keep" else cut),
    )  # fmt: skip


def _files(config: Config, source: str) -> SourceFiles:
    return SourceFiles.of(*config.files.paths_of(source))


def _place(config: Config, source: str) -> str:
    """The file, or what stands for several of them in the settings."""
    paths = config.files.paths_of(source)
    return str(paths[0] if len(paths) == 1 else config.files.place_of(source))


def _rows_of(losers: pa.Table) -> pa.Array:
    return losers["source_row"].combine_chunks()


def _csv_originals(
    files: SourceFiles, columns: tuple[str, ...], written: CsvFormat
) -> Callable[[pa.Table], pa.Table]:
    def of_a_file(file: SourceFile, rows: pa.Array) -> pa.Table:
        return read_csv_originals(file, columns, rows=rows, csv_format=written)

    return lambda losers: files.originals(_rows_of(losers), of_a_file)


def _are_json(paths: Sequence[Path]) -> bool:
    with suppress(ConfigurationError):  # whoever reads them says what is wrong
        return holds_json(paths[-1])
    return False


# Whatever is in a file of such a name, JSON was meant.
_JSON_NAMES = frozenset({".json", ".jsonl", ".ndjson"})


def _other_products(config: Config) -> Records | None:
    """Files of products that are no JSON, or whose members have names of their own."""
    options, paths = config.pipeline.source("products"), config.files.paths_of("products")
    if not is_there(paths[-1]):
        return None
    if not (_are_json(paths) or _JSON_NAMES.intersection(paths[-1].suffixes)):
        place, written = _place(config, "products"), csv_format_of(config, "products")
        return CsvRecords(_files(config, "products"), place, written)
    renamed = options.rename or options.defaults
    return _json_records(config, "products", PRODUCT_COLUMNS) if renamed else None


def _json_records(config: Config, name: str, columns: tuple[str, ...]) -> JsonRecords:
    """Files whose members have other names than the ones that a built-in source has."""
    options = config.pipeline.source(name)
    nested = {f"{outer}.{column}": column for column, outer in PRODUCT_PATHS.items()}
    defaults = texts_of(options.defaults)
    return JsonRecords(
        _files(config, name),
        _place(config, name),
        JsonForm(
            JsonShape(options.records or name, columns[0], frozenset((*columns, *options.rename))),
            {**nested, **options.rename}, defaults, options.extra == "refuse",
        ),
    )  # fmt: skip


def feed_of(records: Records, columns: tuple[str, ...], window: Window, watch: Watch) -> Feed:
    """Return how the records of a built-in source are read that come as declared ones do."""

    def blocks(records: Records) -> Iterator[Block]:
        dates = [name for name in _DATES if name in columns]
        watch.begin()
        for block in records.blocks(columns, window, watch):
            for name in dates:
                watch.see_dates(name, block.records.column(name))
            yield block
        for name in dates:
            watch.end_dates(name)

    return Feed(
        lambda: blocks(records), lambda losers: records.originals(losers, columns), records.place,
        trace=records.trace, files=files_of(records),
        division=division_of(records, columns, blocks, window=window),
    )  # fmt: skip


_DATES = ("registration_date",)


def sales_feed(config: Config, window: Window, watch: Watch) -> Feed:
    """Return how sales are read: from a database, or from CSV files."""
    connection = config.database.sales_db_connection_string
    if connection is None:
        return _sales_file(config, window, watch)
    reading = sales_reading_of(config, watch)
    return Feed(
        lambda: read_sales(connection.get_secret_value(), window, reading),
        # a query cannot be asked again for the same rows
        lambda losers: losers.select(["source_row", *SALES_COLUMNS]),
        config.database.sales_display_name, sales_query(statuses=reading.statuses),
        left_out=reading.left_out, rows=reading.meter,
        division=QueryDivision(
            window, lambda: sales_extent(connection.get_secret_value(), window, reading),
            lambda part: read_sales_part(connection.get_secret_value(), part, reading),
        ),
    )  # fmt: skip


def _sales_file(config: Config, window: Window, watch: Watch) -> Feed:
    files, reading = _files(config, "sales"), sales_reading_of(config, watch)
    read = partial(read_sales_files, window=window, reading=reading)
    return Feed(
        lambda: read(files), _csv_originals(files, SALES_COLUMNS, reading.csv_format),
        _place(config, "sales"), trace=files.only_trace, left_out=reading.left_out, files=files,
        division=csv_division(read, CsvColumns(SALES_COLUMNS, reading.csv_format, SALES_BESIDES)),
    )  # fmt: skip


_NUMBERS = {"products": PRODUCT_TEXTS.numbers, "sales": SALES_TEXTS.numbers}


def csv_format_of(config: Config, name: str) -> CsvFormat:
    """Return how the CSV files of a built-in source are written."""
    options = config.files.pipeline.source(name)
    return CsvFormat(
        encoding=options.encoding or config.files.csv_encoding,
        set_encoding=f"set encoding in [sources.{name}] of pipeline.toml, or CSV_ENCODING, to",
        header=HeaderOptions(options.delimiter or "", options.skip_rows, options.rename),
        defaults=texts_of(options.defaults),
        numbers=tuple(_NUMBERS.get(name, ())) if options.decimal is None else (),
        refuse_extra=options.extra == "refuse",
        keep_extra=options.extra == "keep",
    )


def further_names(config: Config, name: str) -> list[str]:
    """Return the names that the files of a built-in source have and its table does not.

    Raises:
        ETLError: a file cannot be read.
        FileNotFoundError: there is none.
    """
    paths = config.source_files.get(name, ())
    if name == "products" and paths and _other_products(config) is None:
        records = config.files.pipeline.source(name).records or PRODUCTS
        return [found for path in paths for found in further_members(path, records)]
    written, columns = csv_format_of(config, name), SOURCE_COLUMNS[name]
    return [found for path in paths for found in extra_names(path, columns, written)]


def sales_reading_of(config: Config, watch: Watch) -> SalesReading:
    """Return how sales are read, as the settings say."""
    processing = config.processing
    return SalesReading(
        chunk_rows=processing.chunk_rows,
        csv_format=csv_format_of(config, "sales"),
        null_words=null_words_of(config, "sales"),
        watch=watch,
        statuses=config.files.pipeline.source("sales").statuses or (COMPLETED,),
        breaker=sales_breaker(
            processing.breaker_failure_threshold, processing.breaker_recovery_seconds
        ),
    )
