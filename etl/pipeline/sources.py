"""The sources of a run, each declared once: where it is read, by which rules, into which table."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import ConfigurationError
from etl.pipeline.feeds import (
    customers_feed,
    feed_of,
    null_words_of,
    products_feed,
    sales_feed,
    sales_reading_of,
)
from etl.pipeline.source import Feed, Source
from etl.rules.blocks import LoadBlock
from etl.rules.business import Rules
from etl.rules.checks import DECIMAL_COMMA
from etl.rules.cleaning import NOTHING_TO_CLEAN
from etl.rules.customers import transform_customers
from etl.rules.dates import DateReading
from etl.rules.products import transform_products
from etl.rules.sales import transform_sales
from etl.rules.values import comparable_status
from etl.schema.audit import ETL_SETTING
from etl.schema.source_columns import COMPLETED, CUSTOMER_COLUMNS, PRODUCT_COLUMNS, SALES_COLUMNS
from etl.schema.star import CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT
from etl.schema.table import Table
from etl.settings.config import Config, masked_settings
from etl.sources.corrected import CorrectedFile
from etl.sources.own_records import database_records
from etl.sources.rest.declared import rest_records, statuses_of
from etl.sources.rest.feeding import read_interface_sales
from etl.sources.sales import read_sales
from etl.sources.watch import Watch, with_proven_order
from etl.sources.window import EVERYTHING, Window


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
    feed = feed_of(records, declared.columns, EVERYTHING, watch)
    feed = replace(feed, query=records.asked(window))
    if not declared.table.window:
        return feed
    reading = replace(
        sales_reading_of(config, watch), statuses=statuses_of(options) or (COMPLETED,),
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
    feed = feed_of(records, declared.columns, EVERYTHING, watch)
    return replace(feed, query=records.asked(EVERYTHING))


_DECLARED = (
    _Declared(
        "customers", CUSTOMER_DIM, CUSTOMER_COLUMNS, transform_customers, customers_feed,
        rule_settings=("DEFAULT_AREA_CODE", "SOURCE_TIME_ZONE"),
    ),
    _Declared(
        "products", PRODUCT_DIM, PRODUCT_COLUMNS, transform_products, products_feed,
        rule_settings=("DEFAULT_COST_RATIO",),
    ),
    _Declared(
        "sales", SALES_FACT, SALES_COLUMNS, transform_sales, sales_feed,
        rule_settings=("COMMISSION_RATE", "RETURNS", "SOURCE_TIME_ZONE", STATUSES),
    ),
)  # fmt: skip
