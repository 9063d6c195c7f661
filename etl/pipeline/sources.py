"""The sources of a run, each declared once: where it is read, by which rules, into which table."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from etl.cloud.objects import is_there
from etl.errors import ConfigurationError
from etl.history.dead_letters import Retry
from etl.rules.blocks import Block, LoadBlock
from etl.rules.business import PRODUCT_TEXTS, SALES_TEXTS, Rules
from etl.rules.checks import DECIMAL_COMMA
from etl.rules.cleaning import NOTHING_TO_CLEAN, Cleaning
from etl.rules.columns import clean_text
from etl.rules.customers import transform_customers
from etl.rules.dates import DateReading
from etl.rules.products import transform_products
from etl.rules.sales import transform_sales
from etl.rules.texts import NULL_WORDS, normalised_keys
from etl.rules.values import comparable_status
from etl.schema.audit import ETL_SETTING
from etl.schema.source_columns import (
    COMPLETED,
    CUSTOMER_COLUMNS,
    PRODUCT_COLUMNS,
    SALES_COLUMNS,
    SOURCE_COLUMNS,
)
from etl.schema.star import CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT
from etl.schema.table import Table
from etl.settings.config import Config, masked_settings
from etl.settings.pipeline_file import texts_of
from etl.sources.corrected import CorrectedFile
from etl.sources.csv_cuts import CsvColumns
from etl.sources.csv_format import CsvFormat
from etl.sources.csv_header import HeaderOptions
from etl.sources.csv_reader import extra_names
from etl.sources.customers import read_csv_originals, read_customers
from etl.sources.declared import CsvRecords, JsonRecords, Records, files_of, holds_json
from etl.sources.division import (
    Division,
    FileDivision,
    QueryDivision,
    csv_division,
    division_of,
    uncut,
)
from etl.sources.files import FileTrace
from etl.sources.flat_json import JsonForm
from etl.sources.json_reader import JsonShape
from etl.sources.meter import Meter
from etl.sources.own_records import database_records
from etl.sources.products import (
    PRODUCT_PATHS,
    PRODUCTS,
    cut_products,
    further_members,
    read_product_originals,
    read_products,
)
from etl.sources.rest.declared import rest_records, statuses_of
from etl.sources.rest.feeding import read_interface_sales
from etl.sources.sales import (
    SALES_BESIDES,
    SalesReading,
    read_sales,
    read_sales_files,
    read_sales_part,
    sales_breaker,
    sales_extent,
    sales_query,
)
from etl.sources.several import SourceFile, SourceFiles
from etl.sources.watch import Watch, with_proven_order
from etl.sources.window import EVERYTHING, AnyWindow, Window


@dataclass(frozen=True)
class Feed:
    """How the records of a source are read.

    Attributes:
        read: gives its blocks, anew each time.
        originals: finds staged records as the source wrote them.
        path: the file, or the database without its secrets.
        query: what the database is asked; empty for a file.
        trace: what was read of the file or the interface; None for several files.
        files: its files, with what was read of each.
        left_out: how many of its records are not wanted for their status, by status; known once
            it was read.
        rows: how many rows of a query were read; a file is measured by its trace.
        reached: says how far a feed of changes has been read.
        loaded: lets it forget what has been loaded up to a position.
        division: how it is read in pieces; None: as a whole.
    """

    read: Callable[[], Iterator[Block]]
    originals: Callable[[pa.Table], pa.Table]
    path: str
    query: str = ""
    trace: FileTrace | None = None
    left_out: Counter[str] = field(default_factory=Counter)
    files: SourceFiles | None = None
    rows: Meter = field(default_factory=Meter)
    reached: Callable[[], str] = str
    loaded: Callable[[str], None] = field(default=lambda _position: None)
    division: Division | None = None

    @property
    def traced(self) -> FileTrace | None:
        """What was read of all of it; None for a database."""
        return self.files.trace if self.files else self.trace

    @property
    def file(self) -> Path:
        """The newest of its files, or what `path` names."""
        return self.files.files[-1].path if self.files else Path(self.path)

    @property
    def meter(self) -> Meter:
        """How much of it was read."""
        if self.files:
            return self.files.meter
        return self.rows if self.trace is None else self.trace.meter


def _first_column(block: pa.RecordBatch) -> pa.RecordBatch:
    """The key of a built-in source, which stands behind the number of the row."""
    name = block.schema.names[1]
    keys, _ = normalised_keys(block.column(name))
    return pa.RecordBatch.from_arrays([clean_text(keys)], [name])


@dataclass(frozen=True)
class Source:
    """One source of a run.

    Attributes:
        partial: it is not all that the source has, so that it passes no reject limit, and what
            it lacks has not vanished.
        skipped: how many of its records were left out on purpose, by reason.
        watch: what is noticed of it while it is read.
        written: how its values are written, where that was set.
        limits: its own ones, by the name that `Limits` has for them.
        snapshot: whether each reading gives all that the source has.
        read_keys: gives the keys of records as they were read, in the types of the table.
        rules: by name of a rule that was declared, its expression.
        moment: as of when its records hold, where its file has a day in its name.
        cleaning: what is done to the staged whole.
        made_up: by column, how values that are missing are made up, in words.
        retry: the rejected records that it tries once more; None: they come from the source.
    """

    name: str
    table: Table
    columns: tuple[str, ...]
    window: AnyWindow
    feed: Feed
    transform: Callable[[pa.RecordBatch], LoadBlock]
    partial: bool = False
    skipped: Mapping[str, int] = field(default_factory=dict)
    watch: Watch = field(default_factory=Watch)
    written: tuple[str, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    snapshot: bool = True
    read_keys: Callable[[pa.RecordBatch], pa.RecordBatch] = _first_column
    rules: Mapping[str, str] = field(default_factory=dict)
    moment: datetime | None = None
    cleaning: Cleaning = NOTHING_TO_CLEAN
    made_up: Mapping[str, str] = field(default_factory=dict)
    retry: Retry | None = None

    @property
    def after(self) -> tuple[str, ...]:
        """The sources of the tables that its own refers to: they are loaded before it."""
        parents = [parent.source for _, parent in self.table.references]
        return tuple(dict.fromkeys(filter(None, parents)))

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of them without which it cannot be loaded: nothing can stand for their rows."""
        parents = [p.source for _, p in self.table.references if not p.placeholder]
        return tuple(dict.fromkeys(filter(None, parents)))


def sources_of(config: Config, window: Window) -> tuple[Source, ...]:
    """Return the sources as the settings describe them, in the order in which they load.

    Args:
        config: the settings.
        window: of the sales asked for.
    """
    return tuple(_source(each, config, window) for each in _DECLARED)


def corrected_source(source: Source, corrected: CorrectedFile) -> Source:
    """Return a corrected rejected file of a source as a source."""
    return replace(
        source,
        feed=Feed(
            corrected.blocks, corrected.originals, str(corrected.path), trace=corrected.trace
        ),
        partial=True,
        moment=None,
        cleaning=NOTHING_TO_CLEAN,  # single records say nothing of the whole
        skipped={reason: rows for reason, rows in corrected.skipped.items() if rows},
    )


STATUSES = "statuses of [sources.sales]"
_WIDEST_VALUE = ETL_SETTING.column("value").width


def rule_settings(config: Config) -> dict[str, dict[str, str]]:
    """Return by table the settings that its rows are computed with, as texts; empty: not set."""
    settings = masked_settings(config) | {STATUSES: _statuses_of(config)}
    return {
        each.table.name: {name: settings[name][:_WIDEST_VALUE] for name in each.rule_settings}
        for each in _DECLARED
    }


def _statuses_of(config: Config) -> str:
    """The statuses of the sales that are loaded, as they are compared."""
    statuses = statuses_of(config.files.pipeline.source("sales")) or (COMPLETED,)
    return ", ".join(sorted(map(comparable_status, statuses)))


def read_anew(config: Config, source: Source, window: Window) -> int:
    """Count the records that a source has in another window.

    Args:
        config: the settings.
        source: the source.
        window: of the records asked for.
    """
    (declared,) = (each for each in _DECLARED if each.name == source.name)
    watch = _watch(declared.name, config)
    feed = _feed(declared, config, window, watch)
    return with_proven_order(lambda: sum(int(block.records.num_rows) for block in feed.read()))


# --- each source -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Declared:
    name: str
    table: Table
    columns: tuple[str, ...]
    transform: Callable[[pa.RecordBatch, Rules], LoadBlock]
    feed: Callable[[Config, Window, Watch], Feed]
    rule_settings: tuple[str, ...]


def _source(declared: _Declared, config: Config, window: Window) -> Source:
    watch = _watch(declared.name, config)
    rules = Rules(
        default_area_code=config.processing.default_area_code,
        default_cost_ratio=config.processing.default_cost_ratio,
        commission_rate=config.processing.commission_rate,
        null_words=null_words_of(config, declared.name),
        decimal=config.files.pipeline.source(declared.name).decimal or ".",
        whole_ids=config.files.pipeline.source(declared.name).whole_ids,
        loads_returns=config.processing.returns == "load",
    )
    return Source(
        declared.name, declared.table, declared.columns, window,
        _feed(declared, config, window, watch),
        lambda block: _watched(watch, declared.transform(block, replace(rules, dates=watch.dates))),
        watch=watch, written=("decimal comma",) if rules.decimal == "," else (),
        snapshot=not declared.table.window,
        limits=config.files.pipeline.source(declared.name).guards.model_dump(exclude_none=True),
        moment=config.files.day_of(str(config.files.place_of(declared.name))),
    )  # fmt: skip


def _watched(watch: Watch, block: LoadBlock) -> LoadBlock:
    """The block; that numbers have a decimal comma is said where it rejects them."""
    if block.rejected.num_rows:
        reasons = block.rejected.column("reason")
        if pc.any(pc.match_substring(reasons, DECIMAL_COMMA)).as_py():
            watch.warnings[f"a number {DECIMAL_COMMA}"] = None
    return block


def null_words_of(config: Config, name: str) -> tuple[str, ...]:
    """Return the texts that stand for a missing value in a source."""
    words = config.files.pipeline.source(name).null_words
    return NULL_WORDS if words is None else words


def _watch(name: str, config: Config) -> Watch:
    options = config.files.pipeline.source(name)
    return Watch(
        DateReading(options.date_order, options.time_zone or config.processing.source_time_zone),
        f"date_order in [sources.{name}] of pipeline.toml",
    )


def _feed(declared: _Declared, config: Config, window: Window, watch: Watch) -> Feed:
    options = config.pipeline.source(declared.name)
    if options.connection:
        return _database_feed(declared, config, watch)
    if not options.is_rest:
        return declared.feed(config, window, watch)
    try:
        records = rest_records(options, config, declared.name)
    except ConfigurationError as error:
        raise ConfigurationError(f"sources.{declared.name}: {error}") from error
    feed = _feed_of(records, declared.columns, EVERYTHING, watch)
    feed = replace(feed, query=records.asked(window))
    if not declared.table.window:
        return feed
    reading = replace(
        _sales_reading(config, watch), statuses=statuses_of(options) or (COMPLETED,),
        records=lambda: read_interface_sales(records, declared.columns, window, watch),
    )  # fmt: skip
    return replace(feed, read=lambda: read_sales("", window, reading), left_out=reading.left_out)


def _database_feed(declared: _Declared, config: Config, watch: Watch) -> Feed:
    """A table, view or query of a database that has all records of the source."""
    options = config.pipeline.source(declared.name)
    try:
        records = database_records(config, options)
    except ConfigurationError as error:
        raise ConfigurationError(f"sources.{declared.name}: {error}") from error
    feed = _feed_of(records, declared.columns, EVERYTHING, watch)
    return replace(feed, query=records.asked(EVERYTHING))


def _customers(config: Config, window: Window, watch: Watch) -> Feed:
    if _are_json(config.files.paths_of("customers")):
        records = _json_records(config, "customers", CUSTOMER_COLUMNS)
        return _feed_of(records, CUSTOMER_COLUMNS, window, watch)
    files, written = _files(config, "customers"), csv_format_of(config, "customers")
    read = partial(read_customers, csv_format=written, watch=watch)
    return Feed(
        lambda: read(files), _csv_originals(files, CUSTOMER_COLUMNS, written),
        _place(config, "customers"), trace=files.only_trace, files=files,
        division=csv_division(read, CsvColumns(CUSTOMER_COLUMNS, written)),
    )  # fmt: skip


def _products(config: Config, window: Window, watch: Watch) -> Feed:
    if (other := _other_products(config)) is not None:
        return _feed_of(other, PRODUCT_COLUMNS, window, watch)
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


def _feed_of(records: Records, columns: tuple[str, ...], window: Window, watch: Watch) -> Feed:
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


def _sales(config: Config, window: Window, watch: Watch) -> Feed:
    connection = config.database.sales_db_connection_string
    if connection is None:
        return _sales_file(config, window, watch)
    reading = _sales_reading(config, watch)
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
    files, reading = _files(config, "sales"), _sales_reading(config, watch)
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


def _sales_reading(config: Config, watch: Watch) -> SalesReading:
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


_DECLARED = (
    _Declared(
        "customers", CUSTOMER_DIM, CUSTOMER_COLUMNS, transform_customers, _customers,
        rule_settings=("DEFAULT_AREA_CODE", "SOURCE_TIME_ZONE"),
    ),
    _Declared(
        "products", PRODUCT_DIM, PRODUCT_COLUMNS, transform_products, _products,
        rule_settings=("DEFAULT_COST_RATIO",),
    ),
    _Declared(
        "sales", SALES_FACT, SALES_COLUMNS, transform_sales, _sales,
        rule_settings=("COMMISSION_RATE", "RETURNS", "SOURCE_TIME_ZONE", STATUSES),
    ),
)  # fmt: skip
