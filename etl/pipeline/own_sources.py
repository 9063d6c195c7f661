"""The declared loads as sources of a run: read, kept to their windows, typed and checked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from etl.pipeline.source import Feed, Source
from etl.rejects import reject_schema
from etl.rules.blocks import Block, LoadBlock
from etl.rules.changes import transform_changes
from etl.rules.columns import read_bigints
from etl.rules.dates import DateReading, read_timestamps
from etl.rules.declared import read_keys, transform_declared
from etl.schema.table import Kind
from etl.settings.config import Config
from etl.sources.csv_header import listed
from etl.sources.declared import Records, files_of
from etl.sources.division import division_of
from etl.sources.gaps import SeenNumbers
from etl.sources.watch import Watch
from etl.sources.window import AnyWindow, Numbers, is_everything
from etl.warehouse.own_cleaning import cleaning_of, made_up
from etl.warehouse.own_loads import OwnLoad

_TIMES = (Kind.DATE, Kind.TIMESTAMP)


def own_sources(
    own: Sequence[OwnLoad], config: Config, windows: Mapping[str, AnyWindow]
) -> tuple[Source, ...]:
    """Return declared loads as sources.

    Args:
        own: the loads.
        config: the settings.
        windows: by load, which of its records are asked for.
    """
    return tuple(_own_source(each, config, windows[each.name]) for each in own)


def _own_source(own: OwnLoad, config: Config, window: AnyWindow) -> Source:
    watch = _watch(own, config)
    declared, decimal = own.declaration, own.declaration.decimal
    typed = transform_changes if own.table.feed else transform_declared

    def transform(block: pa.RecordBatch) -> LoadBlock:
        return typed(block, replace(declared, dates=watch.dates))

    def keys(block: pa.RecordBatch) -> pa.RecordBatch:
        return read_keys(block, replace(declared, dates=watch.dates))

    return Source(
        own.name, own.table, declared.columns, window, _own_feed(own, window, watch), transform,
        watch=watch, written=("decimal comma",) if decimal == "," else (), limits=own.limits,
        snapshot=own.snapshot, read_keys=keys,
        rules={condition.name: condition.check for condition in declared.conditions},
        moment=config.files.day_of(own.options.source.path),
        cleaning=cleaning_of(own.options), made_up=made_up(own.options),
    )  # fmt: skip


def _watch(own: OwnLoad, config: Config) -> Watch:
    source = own.options.source
    zone = source.time_zone or config.processing.source_time_zone
    return Watch(
        DateReading(source.date_order, zone),
        f"date_order in [loads.{own.name}.source] of pipeline.toml",
    )


def _own_feed(own: OwnLoad, window: AnyWindow, watch: Watch) -> Feed:
    columns = own.declaration.columns

    def originals(losers: pa.Table) -> pa.Table:
        return own.records.originals(losers, columns)

    def read(records: Records) -> Iterator[Block]:
        return _blocks(replace(own, records=records), window, watch)

    feed = Feed(
        lambda: read(own.records), originals, own.records.place, own.records.asked(window),
        trace=own.records.trace, files=files_of(own.records),
        division=division_of(own.records, columns, read, window=window),
    )  # fmt: skip
    changes = own.changes
    if changes is None:
        return feed
    return replace(feed, left_out=changes.left_out, reached=changes.reached, loaded=changes.loaded)


def _blocks(own: OwnLoad, window: AnyWindow, watch: Watch) -> Iterator[Block]:
    columns = own.declaration.columns
    dates = [c.name for c in own.table.columns if c.kind in _TIMES and c.name in columns]
    in_window, seen = _window_filter(own, window, watch), _numbers_seen(own, window)
    watch.begin()
    for block in own.records.blocks(columns, window, watch):
        for name in dates:
            watch.see_dates(name, block.records.column(name))
        records = in_window(_timed(block.records, own.options.source.changed_at))
        if seen is not None:
            seen.see(read_bigints(records.column(str(own.options.cursor))).values)
        yield replace(block, records=records, rejected=_shaped(block.rejected, columns))
    if dates:
        watch.end_dates(listed(dates))
    if seen is not None:
        watch.see_numbers(str(own.options.cursor), seen)


def _numbers_seen(own: OwnLoad, window: AnyWindow) -> SeenNumbers | None:
    """What notices gaps in a cursor that counts up; None where none are reported."""
    if not isinstance(window, Numbers) or not own.options.report_gaps:
        return None
    follows = not is_everything(window) and not own.options.lag_ids
    return SeenNumbers(window.start if follows else None)


def _timed(records: pa.RecordBatch, column: str) -> pa.RecordBatch:
    """Changes, with a column of the load that has the time of each."""
    place = records.schema.get_field_index(column) if column else -1
    if place < 0:
        return records
    times = records.column("change_time").cast(pa.string())
    return records.set_column(place, records.schema.field(place), times)


def _window_filter(
    own: OwnLoad, window: AnyWindow, watch: Watch
) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """What keeps the records of a window, and those of no time at all, to be rejected."""
    cursor = own.options.cursor
    if not cursor or is_everything(window):
        return lambda records: records

    def kept(records: pa.RecordBatch) -> pa.RecordBatch:
        values = _cursor_values(records.column(cursor), window, watch)
        start, end = (pa.scalar(each, values.type) for each in (window.start, window.end))
        inside = pc.and_(pc.greater_equal(values, start), pc.less_equal(values, end))
        return records.filter(pc.fill_null(inside, True))

    return kept


def _cursor_values(column: pa.Array, window: AnyWindow, watch: Watch) -> pa.Array:
    if isinstance(window, Numbers):
        return read_bigints(column).values
    return read_timestamps(column, watch.dates)


def _shaped(rejected: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """Lines that cannot be taken apart, with all columns of the load."""
    schema = reject_schema(tuple(columns))
    nulls = pa.nulls(rejected.num_rows, pa.string())
    arrays = [rejected.column(n) if n in rejected.schema.names else nulls for n in schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
