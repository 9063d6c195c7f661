"""Whether the folders of a run can be written, and how much room they have."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Protocol

from etl.cloud.objects import info_of
from etl.cloud.paths import CloudPath, is_cloud
from etl.engines.registry import database_file, engine_of
from etl.errors import ExtractionError
from etl.monitoring.health.findings import PASSED, WARNING, Check, failed, guarded
from etl.settings.config import Config
from etl.settings.pipeline_file import LoadOptions, SourceOptions
from etl.sources.changes.queried import QueriedChanges
from etl.sources.changes.slot import SlotRecords
from etl.sources.declared import files_of
from etl.sources.file_signature import file_signature
from etl.sources.files import open_source
from etl.sources.own_records import database_records, own_records
from etl.sources.rest.declared import rest_records
from etl.sources.sales import read_sales
from etl.sources.sales_server import SETTING, sales_of
from etl.sources.servers import run_query
from etl.sources.window import EVERYTHING, Window
from etl.words import age_words, bytes_words, counted

# Free space on a disk, in MB: what a run's rejected files, logs and spilled rows may take, and
# what an embedded warehouse needs to be able to commit at all.
_SCARCE_MB, _TOO_SCARCE_MB = 1000, 100
_PROBE = b"\0" * 4096  # a block, so that a full disk shows


def folder_checks(config: Config) -> Iterator[Check]:
    """Check each folder that a run writes to, the one of an embedded warehouse among them."""
    folders: list[tuple[str, Path, str]] = [
        ("output folder", config.files.environment_dir, "OUTPUT_DIR"),
        ("log folder", config.logging.log_dir, "LOG_DIR"),
    ]
    if config.files.archive_dir is not None:
        folders.append(("archive folder", config.files.archive_dir, "ARCHIVE_DIR"))
    if config.database.read_copy is not None:
        folders.append(("copy folder", config.database.read_copy.parent, "READ_COPY"))
    warehouse = warehouse_file(config)
    if warehouse is not None and warehouse.parent != config.files.environment_dir:
        folders.append(("warehouse folder", warehouse.parent, "DB_CONNECTION_STRING"))
    if is_cloud(config.files.output_dir):
        folders.append(("results folder", config.files.results_dir, "OUTPUT_DIR"))
    for name, folder, setting in folders:
        look = partial(_in_cloud, name, folder) if is_cloud(folder) else (
            partial(_folder, name, folder, setting, shown_path(folder, config)))  # fmt: skip
        yield from guarded(name, look)


def _in_cloud(name: str, folder: CloudPath) -> Iterator[Check]:
    """Look whether a bucket answers; whether it may be written, only writing there would show."""
    info_of(folder / "any")
    yield Check(name, PASSED, message=f"{folder}: answers; that it can be written is not tried")


def _folder(name: str, folder: Path, setting: str, shown: str) -> Iterator[Check]:
    # Asked and tried. Asking answers also for a folder that a run is yet to make, where nothing
    # may be left behind; but it knows permissions only. A quota, a full disk, a share that takes
    # orders from elsewhere, and all of Windows are found out by writing.
    there = next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110  # Path.exists raises where a folder may not be entered
    problem = _write_problem(there, write=there == folder)
    if problem:
        what = f"{folder} cannot be {'written' if there == folder else 'made'}: {problem}"
        yield failed(
            name, what, f"set {setting} to a folder that the user of the pipeline may write to"
        )
        return
    able = "writable" if there == folder else "made by the first run"
    yield space_check(name, f"{shown}: {able}", shutil.disk_usage(there).free)


def _write_problem(folder: Path, *, write: bool) -> str:
    if not folder.is_dir():
        return f"{folder} is not a folder"
    if not may_access(folder, os.W_OK | os.X_OK):
        return f"this user may not write to {folder}"
    try:
        if write:
            with TemporaryFile(dir=folder, buffering=0) as file:
                file.write(_PROBE)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def may_access(path: Path, mode: int) -> bool:
    """Return whether files may be opened so, by the user as whom they are opened.

    Args:
        path: a file or folder.
        mode: as `os.access` takes it, such as `os.W_OK`.
    """
    # which is not always who started the process
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def space_check(name: str, known: str, free_bytes: int) -> Check:
    """Return the verdict on a folder that can be written, by the free space on its disk.

    Args:
        name: of the check.
        known: what is known of the folder.
        free_bytes: what this user may still write there.

    Example:
        >>> space_check("log folder", "logs: writable", 99_000_000).status
        'failed'
    """
    free_mb = free_bytes // 1_000_000
    message = f"{known}, {bytes_words(free_bytes)} free"
    if free_mb < _TOO_SCARCE_MB:
        step = f"make room: a run needs {_TOO_SCARCE_MB} MB at least"
        return failed(name, message, step, value=free_mb, threshold=_TOO_SCARCE_MB)
    status = WARNING if free_mb < _SCARCE_MB else PASSED
    return Check(name, status, free_mb, _SCARCE_MB, message)


def warehouse_file(config: Config) -> Path | None:
    """Return the file of an embedded warehouse; None for a server, and for a database in memory."""
    return database_file(config.database.connection_string.get_secret_value())


def shown_path(path: Path, config: Config) -> str:
    """Return a path as it is written in the settings, where it lies in the project."""
    inside = path.is_relative_to(config.base_dir)
    return str(path.relative_to(config.base_dir)) if inside else str(path)


_NO_TIME = Window(EVERYTHING.end, EVERYTHING.start)  # ends before it begins: no sale is in it


def sales_source_checks(config: Config) -> Iterator[Check]:
    """Connect to the database of sales, if there is one, and ask it for none."""
    secret = config.database.sales_db_connection_string
    if secret is None:
        return
    connection = secret.get_secret_value()
    if engine_of(connection, SETTING).reader is None:
        for _ in read_sales(connection, _NO_TIME):
            pass
    else:  # once: a run tries again when it fails, here it is reported how it is now
        run_query(sales_of(connection, _NO_TIME)).close()
    message = "connects, and the query for sales can be run"
    yield Check("sales source", PASSED, message=message)


def file_checks(config: Config) -> Iterator[Check]:
    """Open each source file, and report its size and age."""
    for source, paths in config.source_files.items():
        for path in paths:
            yield from guarded(f"{source} file", partial(_source_file, f"{source} file", path))


def own_source_checks(config: Config) -> Iterator[Check]:
    """Open each file of a declared load, and ask each database for its columns, once."""
    for name, source in config.pipeline.sources.items():
        if source.connection and source.enabled:
            look = partial(_database_source, name, config, source)
            yield from guarded(f"{name} source", look)
    for name, options in config.pipeline.loads.items():
        if not options.source.is_rest:
            yield from guarded(f"{name} source", partial(_own_source, config, name, options))


def _own_source(config: Config, name: str, options: LoadOptions) -> Iterator[Check]:
    records = own_records(config, name, options)
    files = files_of(records)
    for file in files.files if files else ():
        yield from _source_file(f"{name} file", file.path)
    if files:
        return
    if isinstance(records, SlotRecords):
        yield from _slot(f"{name} slot", records)
        return
    if isinstance(records, QueriedChanges):
        records.look()
    yield _connects(name, records)


class Named(Protocol):
    """Records whose source is asked for the names of its columns."""

    @property
    def place(self) -> str:
        """Where they are, without secrets."""

    def names(self) -> Sequence[str]:
        """The names."""


def _database_source(name: str, config: Config, source: SourceOptions) -> Iterator[Check]:
    yield _connects(name, database_records(config, source))


def _connects(name: str, records: Named) -> Check:
    found = len(records.names())
    message = f"{records.place} connects, and the query has {counted(found, 'column')}"
    return Check(f"{name} source", PASSED, found, message=message)


def _slot(name: str, records: SlotRecords) -> Iterator[Check]:
    """Look at a replication slot, and at how much of the log its server keeps for it."""
    state = records.look()
    found, warnings = state.kept_bytes, list(records.warnings(state))
    message = "; ".join(warnings) or (
        f"{records.form.table} at {records.place}: {records.form.slot} can be read, "
        f"{bytes_words(found)} of log kept for it"
    )
    limit = records.form.warn_bytes
    yield Check(name, WARNING if warnings else PASSED, found, limit, message)


def interface_checks(config: Config) -> Iterator[Check]:
    """Ask each interface over HTTP for its first page, once."""
    declared: dict[str, tuple[SourceOptions, str]] = {
        name: (options, name) for name, options in config.pipeline.sources.items()
    }
    declared |= {name: (load.source, "") for name, load in config.pipeline.loads.items()}
    for name, (options, source) in declared.items():
        if options.is_rest:
            look = partial(_interface, f"{name} interface", config, options, source)
            yield from guarded(f"{name} interface", look)


def _interface(name: str, config: Config, options: SourceOptions, source: str) -> Iterator[Check]:
    records = rest_records(options, config, source)
    found = records.first_page()
    yield Check(name, PASSED, found, message=f"{records.place}: a first page of {found} records")


def _source_file(name: str, path: Path) -> Iterator[Check]:
    if path.is_fifo():  # what is read of it here, the run would miss
        yield Check(name, PASSED, message=f"{path.name} is a pipe, read by the run alone")
        return
    with open_source(path) as file:
        empty = not _first_byte(path, file.read)
    if empty:
        step = "have it written again; it has at least a header"
        yield failed(name, f"{path} is empty", step, value=0)
        return
    signature = file_signature(path)
    age = age_words(timedelta(seconds=time.time() - signature.mtime_ns / 1e9))
    message = f"{path.name}: {bytes_words(signature.size)}, {age} old"
    yield Check(name, PASSED, signature.size, message=message)


def _first_byte(path: Path, read: Callable[[int], bytes]) -> bytes:
    try:
        return read(1)
    except OSError as error:
        what = f"{path} can be opened but not read: {error.strerror}"
        raise ExtractionError(what, next_step="check the disk or the share") from error
