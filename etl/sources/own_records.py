"""The source of a declared load, as its options describe it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from etl.errors import ConfigurationError
from etl.settings.change_options import FROM_FILES
from etl.settings.config import Config
from etl.settings.connection_strings import place_of
from etl.settings.kinds import read_connection
from etl.settings.pipeline_file import LoadOptions, SourceOptions, texts_of
from etl.sources.changes.own import changes_in_database, changes_in_files
from etl.sources.csv_format import CsvFormat
from etl.sources.csv_header import HeaderOptions
from etl.sources.databases.asked import Asked
from etl.sources.databases.driver import Target
from etl.sources.databases.records import DatabaseRecords, database_breaker
from etl.sources.databases.registry import DRIVERS
from etl.sources.declared import CsvRecords, JsonRecords, Records, holds_json
from etl.sources.flat_json import JsonForm
from etl.sources.json_reader import JsonShape
from etl.sources.rest.declared import rest_records
from etl.sources.several import SourceFiles


def own_records(config: Config, name: str, options: LoadOptions) -> Records:
    """Return where the records of a declared load are read.

    Args:
        config: the settings.
        name: of the load.
        options: of the load.

    Raises:
        ConfigurationError: a connection is not set, or is none.
    """
    source = options.source
    if source.is_feed:
        return _changes(config, name, options)
    if source.connection:
        return _database(config, options)
    if source.is_rest:
        records = rest_records(source, config, cursor=options.cursor or "")
        return records.lacking(_lacking(options))
    files = SourceFiles.of(*_paths(config, source))
    pattern = str(config.files.at(source.path))
    if _is_json(files.files[-1].path, source):
        return JsonRecords(files, pattern, _json_form(name, options))
    return CsvRecords(files, pattern, _csv_format(config, name, options))


def _changes(config: Config, name: str, options: LoadOptions) -> Records:
    source = options.source
    if source.type in FROM_FILES:
        pattern = str(config.files.at(source.path))
        return changes_in_files(_paths(config, source), options, pattern)
    connection = connection_of(config, source.connection)
    return changes_in_database(config, name, options, connection=connection)


def _paths(config: Config, source: SourceOptions) -> Sequence[Path]:
    if source.which == "all":
        found = config.files.matching(source.path)
        if found:
            return found
    return (config.files.newest(source.path),)


def _is_json(path: Path, source: SourceOptions) -> bool:
    if source.format:
        return source.format != "csv"
    with suppress(ConfigurationError):  # reading it will say what is wrong
        return holds_json(path)
    return False


def _json_form(name: str, options: LoadOptions) -> JsonForm:
    source = options.source
    columns = frozenset((*options.columns, *source.rename, *options.key))
    id_member = options.key[0] if len(options.key) == 1 else ""
    return JsonForm(
        JsonShape(source.records or name, id_member, columns), source.rename,
        _lacking(options), source.extra == "refuse",
    )  # fmt: skip


def _csv_format(config: Config, name: str, options: LoadOptions) -> CsvFormat:
    source = options.source
    return CsvFormat(
        encoding=source.encoding or config.files.csv_encoding,
        set_encoding=f"set encoding in [loads.{name}.source] to",
        header=HeaderOptions(source.delimiter or "", source.skip_rows, source.rename),
        defaults=_lacking(options),
        refuse_extra=source.extra == "refuse",
    )


def _lacking(options: LoadOptions) -> dict[str, str]:
    """The columns that the source may lack, each with the text that stands in its place."""
    return dict.fromkeys((*options.defaults, *options.source.defaults), "")


def _database(config: Config, options: LoadOptions) -> DatabaseRecords:
    records = database_records(config, options.source, _in_source(options, options.cursor or ""))
    split_by = _in_source(options, options.cursor or _only_key(options))
    return replace(records, defaults=_lacking(options), split_by=split_by)


def database_records(config: Config, source: SourceOptions, cursor: str = "") -> DatabaseRecords:
    """Return where the records of a source are read that is a table, view or query of a database.

    Args:
        config: the settings.
        source: names the connection, and what is read.
        cursor: the column of the database by which records are asked for.

    Raises:
        ConfigurationError: the connection is not set, or is none.
    """
    processing, connection = config.processing, connection_of(config, source.connection)
    zone = source.time_zone or processing.source_time_zone
    return DatabaseRecords(
        Target(connection, source.connection, zone, processing.chunk_rows),
        place_of(connection, source.connection), Asked(source.table, source.query, cursor),
        source.rename, texts_of(source.defaults),
        database_breaker(
            processing.breaker_failure_threshold, processing.breaker_recovery_seconds
        ),
    )  # fmt: skip


def _only_key(options: LoadOptions) -> str:
    return options.key[0] if len(options.key) == 1 else ""


def _in_source(options: LoadOptions, column: str) -> str:
    """The name of a column in the source."""
    names = (name for name, renamed in options.source.rename.items() if renamed == column)
    return next(names, column)


def connection_of(config: Config, name: str) -> str:
    """Return the connection string that a setting holds.

    Raises:
        ConfigurationError: it is not set, or is none.
    """
    given = config.secret(name)
    if given is None:
        raise ConfigurationError(
            f"{name} is not set", next_step=f"set it in the environment, .env.{config.environment} "
            "or .env",
        )  # fmt: skip
    try:
        return read_connection(given.get_secret_value(), config.base_dir)
    except ValueError:
        raise ConfigurationError(
            f"{name} holds no connection string",
            choices=", ".join(driver.form for driver in DRIVERS),
        ) from None
