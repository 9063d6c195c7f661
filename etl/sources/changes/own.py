"""The changes of a declared load, as its options describe them."""

from collections.abc import Sequence
from pathlib import Path

from etl.settings.config import Config
from etl.settings.connection_strings import place_of
from etl.settings.pipeline_file import LoadOptions
from etl.sources.changes.debezium import EventForm
from etl.sources.changes.declared import Changes, EventRecords
from etl.sources.changes.feed_kinds import FEED_KINDS, FeedTable
from etl.sources.changes.queried import QueriedChanges
from etl.sources.changes.rows import Database
from etl.sources.changes.slot import SlotForm, SlotRecords
from etl.sources.sales_reading import sales_breaker
from etl.sources.several import SourceFiles


def changes_in_files(paths: Sequence[Path], options: LoadOptions, pattern: str) -> EventRecords:
    """Return the events in files.

    Args:
        paths: the files, oldest first.
        options: of the load.
        pattern: how several are called in the settings.
    """
    source = options.source
    form = EventForm(options.key, source.rename, source.encodings, source.table)
    return EventRecords(SourceFiles.of(*paths), form, pattern)


def changes_in_database(
    config: Config, name: str, options: LoadOptions, *, connection: str
) -> Changes:
    """Return the changes that a database gives.

    Args:
        config: the settings.
        name: of the load.
        options: of the load.
        connection: the connection string.
    """
    if options.source.type == "postgresql_slot":
        return _slot(name, options, connection)
    return _queried(config, options, connection)


def _slot(name: str, options: LoadOptions, connection: str) -> SlotRecords:
    source, own_name = options.source, f"etl_{name.lower()}"
    return SlotRecords(SlotForm(
        connection, source.connection, place_of(connection, source.connection), source.table,
        source.slot or own_name, source.publication or own_name, source.plugin,
        source.most_changes, source.warn_mb * 2**20, options.key, source.rename,
    ))  # fmt: skip


def _queried(config: Config, options: LoadOptions, connection: str) -> QueriedChanges:
    source, processing = options.source, config.processing
    breaker = sales_breaker(
        processing.breaker_failure_threshold, processing.breaker_recovery_seconds
    )
    database = Database(connection, source.connection, breaker, processing.chunk_rows)
    table = FeedTable(
        source.table, options.key, source.rename, source.capture, source.change_table,
        database.engine,
    )  # fmt: skip
    zone = source.time_zone or processing.source_time_zone
    kind, place = FEED_KINDS[str(source.type)], place_of(connection, source.connection)
    return QueriedChanges(database, table, kind, place, zone)
