"""Whether a run could begin now: every part is looked at, and nothing is changed.

The warehouse is opened for reading only and without its lock; nothing is created in it. A check
that goes wrong is told as a check that failed, so that it hides none of the others.
"""

import os
import shutil
import statistics
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Dict

import sql_dialects
from config import Config, load_config, settings_table
from database import Access, DatabaseManager
from duckdb_engine import DUCKDB_SCHEME, IN_MEMORY_CONNECTION, duckdb_path
from error_trends import NEW, RISING, RUNS, common_errors, with_history
from errors import (
    EXIT_FAILED,
    EXIT_IN_USE,
    EXIT_OK,
    ConfigurationError,
    ETLError,
    ExtractionError,
    WarehouseInUseError,
)
from odbc import OdbcSource
from odbc_connections import with_driver
from odbc_strings import masked, secrets_in
from reachability import Endpoint, endpoint_of, why_unreachable
from run_history import ATTENTION, RUNNING, SUCCESS, errors_since, last_success
from run_journal import JOURNAL, read_entries
from runs import EVERYTHING, Window, utc_now
from sales_source import read_sales
from source_files import file_signature, open_source
from star_schema import ETL_RUN
from warehouse import permanent_tables

PASSED, WARNING, FAILED = "passed", "warning", "failed"
HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"

# A nightly job's day, plus two hours for a night that takes longer than the one before.
_STALE_HOURS = 26
# A batch of a load takes some ten round trips: at 200 ms each, 2 s for what else takes half of one.
_SLOW_MS = 200
_ROUND_TRIPS = 5
# Free space on a disk, in MB: what a run's rejected files, logs and spilled rows may take, and
# what an embedded warehouse needs to be able to commit at all.
_SCARCE_MB, _TOO_SCARCE_MB = 1000, 100
_NO_FAILURE = (SUCCESS, ATTENTION, RUNNING)
_ERROR_DAYS = 90
_PROBE = b"\0" * 4096  # a block, so that a full disk shows
_TABLES_SHOWN = 3
_NO_TIME = Window(EVERYTHING.end, EVERYTHING.start)  # ends before it begins: no sale is in it


@dataclass(frozen=True)
class Check:
    """What one look has found.

    Attributes:
        name: what was looked at.
        status: passed, warning or failed.
        value: what was found, where that is a figure or a word.
        threshold: the figure that it was held against.
        message: the same for people; with the next step when it failed.
    """

    name: str
    status: str
    value: object = None
    threshold: object = None
    message: str = ""


@dataclass(frozen=True)
class _InUse(Check):
    """The warehouse is somebody else's at the moment, so that it could not be looked at."""


def pipeline_health_check(config: Config | None = None) -> Dict[str, Any]:
    """Looks at everything that a run needs, and changes nothing.

    Args:
        config: the settings; those of dev when left out.

    Returns:
        `status` (`healthy`, `degraded` with warnings only, `unhealthy`), `exit_code` (0, 1 when a
        check failed, 2 for settings that cannot be used, 4 while another process has the
        warehouse) and `checks`: a list of `name`, `status` (`passed`, `warning`, `failed`),
        `value`, `threshold`, `message`. No secret is in them.
    """
    try:
        config = config or load_config()
    except ConfigurationError as error:
        return _report([Check("configuration", FAILED, message=str(error))], error.exit_code)
    looks: tuple[tuple[str, Callable[[Config], Iterable[Check]]], ...] = (
        ("configuration", _configuration),
        ("database", _database),
        ("sales source", _sales_source),
        ("files", _files),
        ("folders", _folders),
        ("alerts", _alerts),
    )
    found = [check for name, look in looks for check in _guarded(name, partial(look, config))]
    found += _guarded("journal", partial(_journal, config, {check.name for check in found}))
    secrets = secrets_of(config)
    return _report([_without_secrets(check, secrets) for check in found])


def _report(checks: Sequence[Check], exit_code: int | None = None) -> Dict[str, Any]:
    states = {check.status for check in checks}
    in_use = any(isinstance(check, _InUse) for check in checks)
    code = EXIT_FAILED if FAILED in states else EXIT_IN_USE if in_use else EXIT_OK
    return {
        "status": UNHEALTHY if FAILED in states else DEGRADED if WARNING in states else HEALTHY,
        "exit_code": code if exit_code is None else exit_code,
        "checks": [asdict(check) for check in checks],
    }


def _guarded(name: str, look: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """What a look finds; an error is one more finding, after those before it."""
    try:
        yield from look()
    except WarehouseInUseError as error:
        yield _InUse(name, WARNING, "in use", message=str(error))
    except (ETLError, FileNotFoundError) as error:
        yield _failed(name, str(error))
    except Exception as error:  # noqa: BLE001  # whatever it is, the other checks go on
        yield _failed(name, f"{type(error).__name__}: {error}")


def _failed(name: str, what: str, next_step: str = "", **figures: object) -> Check:
    if not next_step and "Next: " not in what:
        next_step = "mend what this speaks of, and check again"
    step = f". Next: {next_step}." if next_step else ""
    return Check(name, FAILED, message=what.rstrip(". ") + (step or "."), **figures)


# --- configuration -----------------------------------------------------------------------


def _configuration(config: Config) -> Iterator[Check]:
    where = config.database.display_name.replace(f"{config.base_dir.as_posix()}/", "")
    told = f"environment {config.environment}, warehouse: {where}"
    yield Check("configuration", PASSED, config.environment, message=told)


def secrets_of(config: Config) -> list[str]:
    """What must not be shown: secret settings, and the passwords inside them; longest first."""
    values = [
        getattr(getattr(config, setting.section), setting.name.lower())
        for setting in settings_table()
        if setting.secret
    ]
    return secrets_in(value.get_secret_value() for value in values if value)


def _without_secrets(check: Check, secrets: Iterable[str]) -> Check:
    value = masked(check.value, secrets) if isinstance(check.value, str) else check.value
    return replace(check, value=value, message=masked(check.message, secrets))


# --- the database ------------------------------------------------------------------------


def _warehouse_file(config: Config) -> Path | None:
    connection = config.database.connection_string.get_secret_value()
    return duckdb_path(connection) if connection.startswith(DUCKDB_SCHEME) else None


def _database(config: Config) -> Iterator[Check]:
    connection = config.database.connection_string.get_secret_value()
    path = _warehouse_file(config)
    if path is not None and not path.exists():
        told = f"{_shown(path, config)} is not there; made by the first run"
        yield Check("database", WARNING, message=told)
        return
    access = Access(
        read_only=connection != IN_MEMORY_CONNECTION,  # which the engine cannot open so
        memory_limit=config.processing.duckdb_memory_limit,
    )
    with DatabaseManager(connection, access=access) as db:
        looks: tuple[tuple[str, Callable[[], Iterable[Check]]], ...] = (
            ("database", partial(_engine, db)),
            ("latency", partial(_latency, db)),
            ("tables", partial(_tables, db)),
            ("permissions", partial(_permissions, db, path)),
            ("last run", partial(_last_run, db)),
            ("recent errors", partial(_errors, db, config)),
        )
        for name, look in looks:
            yield from _guarded(name, look)


def _engine(db: DatabaseManager) -> Iterator[Check]:
    facts = db.session.facts()
    told = f"{facts['server']}, driver {facts['driver']}"
    yield Check("database", PASSED, facts["server"], message=told)
    user = facts.get("used_by", "")
    message = f"in use by {user}: a run would wait or end" if user else "no other run works in it"
    yield Check("in use", WARNING if user else PASSED, user or None, message=message)


def _latency(db: DatabaseManager) -> Iterator[Check]:
    measured = round(statistics.median(_round_trip_ms(db) for _ in range(_ROUND_TRIPS)), 2)
    status = WARNING if measured > _SLOW_MS else PASSED
    told = f"{measured} ms for a round trip, median of {_ROUND_TRIPS}"
    yield Check("latency", status, measured, _SLOW_MS, told)


def _round_trip_ms(db: DatabaseManager) -> float:
    start = time.perf_counter()
    db.query("SELECT 1;")
    return (time.perf_counter() - start) * 1000


def _tables(db: DatabaseManager) -> Iterator[Check]:
    wanted = [table.name for table in permanent_tables(db.dialect)]
    known = db.table_names()
    missing = [name for name in wanted if name not in known]
    figures = {"value": len(missing), "threshold": 0}
    if not missing:
        yield Check("tables", PASSED, message=f"all {len(wanted)} are there", **figures)
        return
    names = f" ({', '.join(missing)})" if len(missing) < len(wanted) else ""
    told = f"{len(missing)} of {len(wanted)} are missing{names}"
    if _may_create(db):
        message = f"{told}; made by the next run"
        yield Check("tables", WARNING, message=message, **figures)
        return
    yield _failed(
        "tables", f"{told}, or hidden from this login, which may not create tables",
        "have what --print-schema prints run by someone who may, and give the login the role "
        "in it", **figures,
    )  # fmt: skip


def _may_create(db: DatabaseManager) -> bool:
    query = sql_dialects.may_create_query(db.dialect)
    return not query or bool(db.value(query))


def _permissions(db: DatabaseManager, path: Path | None) -> Iterator[Check]:
    if path is not None:
        yield _file_permission(path)
        return
    known = db.table_names()
    tables = [table for table in permanent_tables(db.dialect) if table.name in known]
    query = sql_dialects.rights_query(db.dialect, tables)
    lacking = {name: _lacking(has) for name, *has in db.query(query)} if query else {}
    yield _rights(lacking, may_create=_may_create(db))


def _file_permission(path: Path) -> Check:
    if _may(path, os.W_OK):
        return Check("permissions", PASSED, message=f"{path.name} may be read and written")
    return _failed(
        "permissions", f"{path} may not be written by this user",
        "give the user that runs the pipeline the right to write it",
    )  # fmt: skip


def _lacking(has: Sequence[object]) -> list[str]:
    return [right for right, given in zip(sql_dialects.RIGHTS, has, strict=True) if not given]


def _rights(lacking: Mapping[str, Sequence[str]], *, may_create: bool) -> Check:
    short = {name: rights for name, rights in lacking.items() if rights}
    count = sum(map(len, short.values()))
    figures = {"value": count, "threshold": 0}
    if not short:
        rights = f"{', '.join(sql_dialects.RIGHTS)} on {len(lacking)} tables" if lacking else ""
        create = f"{'' if may_create else 'not '}CREATE TABLE"
        told = ", ".join(filter(None, (rights, create)))
        return Check("permissions", PASSED, message=told, **figures)
    named = [f"{name} ({', '.join(rights)})" for name, rights in short.items()]
    more = f" and {len(named) - _TABLES_SHOWN} more" if len(named) > _TABLES_SHOWN else ""
    return _failed(
        "permissions", f"the login lacks rights on {', '.join(named[:_TABLES_SHOWN])}{more}",
        "have it given the role that --print-schema makes", **figures,
    )  # fmt: skip


_NEWEST_RUN = """SELECT "run_id", "status" FROM "etl_run"
WHERE "run_id" = (SELECT max("run_id") FROM "etl_run");"""


def _last_run(db: DatabaseManager) -> Iterator[Check]:
    newest = db.query(_NEWEST_RUN) if ETL_RUN.name in db.table_names() else []
    if not newest:
        yield Check("last run", WARNING, message="no run yet")
        return
    run_id, status = newest[0]
    yield _newest_run(run_id, status, in_use="used_by" in db.session.facts())
    yield _last_success(last_success(db))


def _newest_run(run_id: str, status: str, *, in_use: bool) -> Check:
    told = f"{run_id}: {status}"
    if status == RUNNING and not in_use:
        told = f"{run_id} ended without a word; a plain run takes its sales up again"
        return Check("last run", WARNING, "killed", message=told)
    if status in (RUNNING, SUCCESS):
        return Check("last run", PASSED, status, message=told)
    told += "; etl_run and the log file say why"
    return Check("last run", WARNING, status, message=told)


def _last_success(finished_at: datetime | None) -> Check:
    if finished_at is None:
        told = "no run has ended with success yet"
        return Check("last success", WARNING, None, _STALE_HOURS, told)
    age = utc_now() - finished_at
    hours = round(age / timedelta(hours=1), 1)
    told, status = f"{_span(age)} ago", PASSED
    if hours > _STALE_HOURS:
        told += f", more than {_STALE_HOURS} hours: look at what starts the runs, and at the log"
        status = WARNING
    return Check("last success", status, hours, _STALE_HOURS, told)


# --- sources -----------------------------------------------------------------------------


def _sales_source(config: Config) -> Iterator[Check]:
    secret = config.database.sales_db_connection_string
    if secret is None:
        return
    connection = secret.get_secret_value()
    if "://" in connection:
        for _ in read_sales(connection, _NO_TIME):
            pass
    else:
        _ask_for_no_sales(connection)
    told = "connects, and the query for sales can be run"
    yield Check("sales source", PASSED, message=told)


def _ask_for_no_sales(connection: str) -> None:
    """Runs the query once: a run tries again when it fails, here it is told how it is now."""
    params = (_NO_TIME.start, _NO_TIME.end)
    with closing(OdbcSource(with_driver(connection))) as source:
        source.query(sql_dialects.sales_query(), params)


def _files(config: Config) -> Iterator[Check]:
    files = config.files
    sources = {"customers file": files.customers_path, "products file": files.products_path}
    if config.database.sales_db_connection_string is None:
        sources["sales file"] = files.sales_path
    for name, path in sources.items():
        yield from _guarded(name, partial(_source_file, name, path))


def _source_file(name: str, path: Path) -> Iterator[Check]:
    if path.is_fifo():  # what is read of it here, the run would miss
        yield Check(name, PASSED, message=f"{path.name} is a pipe, read by the run alone")
        return
    with open_source(path) as file:
        empty = not _first_byte(path, file.read)
    if empty:
        step = "have it written again; it has at least a header"
        yield _failed(name, f"{path} is empty", step, value=0)
        return
    signature = file_signature(path)
    age = _span(timedelta(seconds=time.time() - signature.mtime_ns / 1e9))
    told = f"{path.name}: {_size(signature.size)}, {age} old"
    yield Check(name, PASSED, signature.size, message=told)


def _first_byte(path: Path, read: Callable[[int], bytes]) -> bytes:
    try:
        return read(1)
    except OSError as error:
        what = f"{path} can be opened but not read: {error.strerror}"
        raise ExtractionError(what, next_step="check the disk or the share") from error


# --- folders -----------------------------------------------------------------------------


def _folders(config: Config) -> Iterator[Check]:
    folders = [
        ("output folder", config.files.output_dir, "OUTPUT_DIR"),
        ("log folder", config.logging.log_dir, "LOG_DIR"),
    ]
    if config.files.archive_dir is not None:
        folders.append(("archive folder", config.files.archive_dir, "ARCHIVE_DIR"))
    warehouse = _warehouse_file(config)
    if warehouse is not None and warehouse.parent != config.files.output_dir:
        folders.append(("warehouse folder", warehouse.parent, "DB_CONNECTION_STRING"))
    for name, folder, setting in folders:
        yield from _guarded(name, partial(_folder, name, folder, setting, _shown(folder, config)))


def _folder(name: str, folder: Path, setting: str, shown: str) -> Iterator[Check]:
    # Asked and tried. Asking answers also for a folder that a run is yet to make, where nothing
    # may be left behind; but it knows permissions only. A quota, a full disk, a share that takes
    # orders from elsewhere, and all of Windows are found out by writing.
    there = next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110  # Path.exists raises where a folder may not be entered
    problem = _write_problem(there, write=there == folder)
    if problem:
        what = f"{folder} cannot be {'written' if there == folder else 'made'}: {problem}"
        yield _failed(
            name, what, f"set {setting} to a folder that the user of the pipeline may write to"
        )
        return
    able = "writable" if there == folder else "made by the first run"
    yield space_check(name, f"{shown}: {able}", shutil.disk_usage(there).free)


def _write_problem(folder: Path, *, write: bool) -> str:
    if not folder.is_dir():
        return f"{folder} is no folder"
    if not _may(folder, os.W_OK | os.X_OK):
        return f"this user may not write to {folder}"
    try:
        if write:
            with TemporaryFile(dir=folder, buffering=0) as file:
                file.write(_PROBE)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _may(path: Path, mode: int) -> bool:
    # as whom files are opened, which is not always who started the process
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def space_check(name: str, told: str, free_bytes: int) -> Check:
    """The verdict on a folder that can be written, by the free space on its disk.

    Args:
        name: of the check.
        told: what is known of the folder.
        free_bytes: what this user may still write there.

    Example:
        >>> space_check("log folder", "logs: writable", 99_000_000).status
        'failed'
    """
    free_mb = free_bytes // 1_000_000
    told = f"{told}, {_size(free_bytes)} free"
    if free_mb < _TOO_SCARCE_MB:
        step = f"make room: a run needs {_TOO_SCARCE_MB} MB at least"
        return _failed(name, told, step, value=free_mb, threshold=_TOO_SCARCE_MB)
    status = WARNING if free_mb < _SCARCE_MB else PASSED
    return Check(name, status, free_mb, _SCARCE_MB, told)


# --- alerts ------------------------------------------------------------------------------


def _alerts(config: Config) -> Iterator[Check]:
    """Where alerts are sent to; simulated ones go to the log folder, which is looked at anyway."""
    alerts = config.alerts
    if alerts.alert_mode != "send":
        return
    if alerts.can_email:
        mail_server = Endpoint(alerts.smtp_host or "", alerts.smtp_port)
        yield _reached("mail server", mail_server, "SMTP_HOST and SMTP_PORT")
    if alerts.slack_webhook_url is not None:
        try:
            webhook = endpoint_of(alerts.slack_webhook_url.get_secret_value())
        except ValueError:
            step = "correct SLACK_WEBHOOK_URL"
            yield _failed("webhook", "SLACK_WEBHOOK_URL is no web address", step)
            return
        yield _reached("webhook", webhook, "SLACK_WEBHOOK_URL")


def _reached(name: str, endpoint: Endpoint, settings: str) -> Check:
    if reason := why_unreachable(endpoint):
        return _failed(
            name, f"{endpoint} cannot be reached, so alerts would not arrive: {reason}",
            f"check {settings}, the network, and the firewall between",
        )  # fmt: skip
    return Check(name, PASSED, str(endpoint), message=f"{endpoint} can be reached")


# --- earlier runs ------------------------------------------------------------------------


def _journal(config: Config, known: Container[str]) -> Iterator[Check]:
    """What the journal says of earlier runs, where the warehouse could not be asked."""
    entries = _entries(config)
    if entries and "last success" not in known:
        yield _last_success(_last_success_of(entries))
    if "recent errors" not in known:
        yield from _recent_errors(entries)


def _entries(config: Config) -> list[dict[str, Any]]:
    return read_entries(config.files.output_dir / JOURNAL)


def _errors(db: DatabaseManager, config: Config) -> Iterator[Check]:
    if ETL_RUN.name in db.table_names():
        runs = errors_since(db, utc_now() - timedelta(days=_ERROR_DAYS))
        yield from _recent_errors(with_history(_entries(config), runs))


def _recent_errors(entries: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    last = entries[-RUNS:]
    if not last:
        return
    failed = sum(entry.get("status") not in _NO_FAILURE for entry in last)
    told = f"{failed} of the last {len(last)} runs failed"
    errors = [error for error in common_errors(last) if error.kind == "run"]
    if errors:
        most = errors[0]
        often = f"in {most.runs} of them, {most.trend}" if most.runs > 1 else "once"
        told += f"; most often ({often}): {most.error}"
    worse = any(error.runs > 1 and error.trend in (NEW, RISING) for error in errors)
    status = WARNING if worse else PASSED
    yield Check("recent errors", status, failed, message=told)


def _last_success_of(entries: Sequence[Mapping[str, Any]]) -> datetime | None:
    for entry in reversed(entries):
        if entry.get("status") == SUCCESS:
            with suppress(KeyError, TypeError, ValueError):  # somebody has edited it
                return datetime.fromisoformat(entry["finished_at"]).replace(tzinfo=None)
    return None


# --- in words ----------------------------------------------------------------------------


def _shown(path: Path, config: Config) -> str:
    """A path as it is written in the settings, where it lies in the project."""
    inside = path.is_relative_to(config.base_dir)
    return str(path.relative_to(config.base_dir)) if inside else str(path)


def _size(size: float) -> str:
    """Bytes in the unit that leaves the fewest digits.

    Example:
        >>> _size(999), _size(18_240), _size(123_400_000_000)
        ('999 bytes', '18.2 KB', '123.4 GB')
    """
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if size >= step:
            return f"{size / step:.1f} {unit}"
    return f"{size:.0f} bytes"


def _span(span: timedelta) -> str:
    """A span of time in the unit that fits.

    Example:
        >>> _span(timedelta(hours=30)), _span(timedelta(days=3)), _span(timedelta(seconds=5))
        ('30 hours', '3 days', '0 minutes')
    """
    minutes = max(0, int(span.total_seconds() // 60))  # a clock may have gone back
    units = ((2 * 24 * 60, 24 * 60, "days"), (2 * 60, 60, "hours"))
    for least, unit, name in units:
        if minutes >= least:
            return f"{minutes // unit} {name}"
    return f"{minutes} minutes"
