"""What a run tells about itself: log lines with their context, and measured stages."""

import functools
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import MappingProxyType
from typing import Any, Dict, ParamSpec, TextIO, TypeVar

from config import LoggingConfig
from database import DatabaseManager
from errors import ConfigurationError, ETLError
from health_checks import pipeline_health_check as pipeline_health_check  # noqa: PLC0414  # one of this module's public names
from lineage import Lineage, record_lineage, tell
from printable import printable
from process_memory import peak_memory_mb as peak_memory_mb  # noqa: PLC0414  # likewise
from runs import LoadCounts, run_id_after
from source_files import trace_file
from warehouse import create_tables

P = ParamSpec("P")
R = TypeVar("R")

PIPELINE_LOG = "etl_pipeline.log"
ERROR_LOG = "etl_errors.log"
_PIPELINE_LOGGER = "etl_pipeline"

# --- context of a log line ---

_CONTEXT_KEYS = ("run_id", "stage", "source")
_RECORD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default=MappingProxyType({}))


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Put fields on every log record that is written inside the block.

    Blocks nest, the inner one wins. `run_id`, `stage` and `source` are on every record, as null
    where no block sets them. A new thread starts with an empty context: wrap what it runs in
    `carry_log_context`.

    Args:
        **fields: what to put on the records.

    Raises:
        ValueError: a field has the name of something every log record has already.

    Example:
        >>> with log_context(run_id="r1", stage="extract"), log_context(stage="load"):
        ...     dict(current_log_context())
        {'run_id': 'r1', 'stage': 'load'}
    """
    taken = sorted(_RECORD_ATTRIBUTES & fields.keys())
    if taken:
        raise ValueError(f"log_context cannot set {', '.join(taken)}: log records have their own")
    token = _context.set(MappingProxyType({**_context.get(), **fields}))
    try:
        yield
    finally:
        _context.reset(token)


def current_log_context() -> Mapping[str, object]:
    """The fields that the surrounding `log_context` blocks set, read-only.

    Example:
        >>> dict(current_log_context())
        {}
    """
    return _context.get()


def carry_log_context(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that another thread runs it in the context of this line.

    Args:
        function: what the other thread is to run.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> with log_context(source="customers"), ThreadPoolExecutor() as pool:
        ...     dict(pool.submit(carry_log_context(current_log_context)).result())
        {'source': 'customers'}
    """
    context = copy_context()

    @functools.wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        # A copy for each call, because two threads cannot be inside one context.
        return context.copy().run(function, *args, **kwargs)

    return carried


class _ContextFilter(logging.Filter):
    """Adds the context to a record; what the record has from `extra` is left as it is."""

    def filter(self, record: logging.LogRecord) -> bool:
        for key, value in {**dict.fromkeys(_CONTEXT_KEYS), **_context.get()}.items():
            record.__dict__.setdefault(key, value)
        return True


# --- handlers ---

# How to take back, step by step, what the last setup_logging did.
_undo = ExitStack()


def setup_logging(
    config: LoggingConfig, *, critical_handler: logging.Handler | None = None
) -> logging.Logger:
    """Send every log line of the pipeline to the console and to two rotating files.

    The console (stderr) shows `config.log_level` and above, without tracebacks. In
    `config.log_dir`, `etl_pipeline.log` takes everything from DEBUG on and `etl_errors.log`
    takes ERROR and CRITICAL, one JSON object a line. The handlers sit on the root logger;
    libraries are heard from INFO on. Calling it again replaces what it set up before.

    Args:
        config: where the files go, what the console shows, when the files rotate (bytes).
        critical_handler: is given CRITICAL records, such as one that writes an e-mail. It stays
            the caller's: it is detached, never closed.

    Returns:
        The logger of the pipeline.

    Raises:
        ConfigurationError: a log file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     logger = setup_logging(LoggingConfig(log_dir=Path(folder)))
        ...     logger.debug("reading %s", "customers.csv")
        ...     close_logging()
        ...     line = json.loads((Path(folder) / PIPELINE_LOG).read_text("utf-8"))
        >>> line["level"], line["message"]
        ('DEBUG', 'reading customers.csv')
    """
    _check_writable(config.log_dir)
    close_logging()
    _attach(_StderrHandler(), level=config.log_level, formatter=_ConsoleFormatter())
    for name, level in ((PIPELINE_LOG, logging.DEBUG), (ERROR_LOG, logging.ERROR)):
        file = _rotating_file(config, name)
        _undo.callback(file.close)
        _attach(file, level=level, formatter=_JsonFormatter())
    if critical_handler is not None:
        _attach(critical_handler, level=logging.CRITICAL)
    _set_level(logging.getLogger(), logging.INFO)
    for name in _own_logger_names():
        _set_level(logging.getLogger(name), logging.DEBUG)
    return logging.getLogger(_PIPELINE_LOGGER)


def close_logging() -> None:
    """Detach and close what `setup_logging` attached, and put the log levels back.

    Example:
        >>> close_logging()
    """
    _undo.close()


def _check_writable(log_dir: Path) -> None:
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        for name in (PIPELINE_LOG, ERROR_LOG):
            # The handlers open their files late, where a failure could no longer stop the run.
            (log_dir / name).open("a", encoding="utf-8").close()
    except OSError as error:
        raise ConfigurationError(
            f"no log can be written to LOG_DIR {log_dir}: {error}",
            next_step="set LOG_DIR to a folder that this user may write to",
        ) from error


def _rotating_file(config: LoggingConfig, name: str) -> "_RotatingFile":
    return _RotatingFile(
        config.log_dir / name,
        maxBytes=config.log_max_bytes,
        backupCount=config.log_backup_count,
        encoding="utf-8",
        delay=True,  # a file that is not open can be moved, on Windows too
    )


def _attach(
    handler: logging.Handler, *, level: int | str, formatter: logging.Formatter | None = None
) -> None:
    context = _ContextFilter()
    handler.setLevel(level)
    handler.addFilter(context)
    if formatter is not None:
        handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    _undo.callback(handler.removeFilter, context)
    _undo.callback(logging.getLogger().removeHandler, handler)


def _set_level(logger: logging.Logger, level: int) -> None:
    _undo.callback(logger.setLevel, logger.level)
    logger.setLevel(level)


def _own_logger_names() -> list[str]:
    """Each module lies beside this one and logs under its own name, the script as `__main__`."""
    modules = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return ["__main__", _PIPELINE_LOGGER, *modules]


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what is `sys.stderr` at that moment: progress bars and tests replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:  # a Windows service has none
            self.stream = sys.stderr
            super().emit(record)


class _RotatingFile(RotatingFileHandler):
    """A log that goes on in the same file when it cannot be rotated.

    Windows refuses to rename a file that another process has open. A log that cannot be written
    is told once, in one line: the load is worth more than its log.
    """

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self._tell(error)
        else:
            super().handleError(record)

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:
            self._tell(error)

    def _tell(self, error: OSError) -> None:
        if not self._told and sys.stderr is not None:
            self._told = True
            sys.stderr.write(
                f"the log file {self.baseFilename} cannot be written: {error.strerror or error}. "
                "Next: make room there, or set LOG_DIR to another folder.\n"
            )

    def doRollover(self) -> None:  # noqa: N802 - the name is logging's
        try:
            super().doRollover()
        except OSError:
            # Not again in this run: each attempt moves the older files on by one, off the end.
            self.maxBytes = 0


# --- what a line looks like ---


class _ConsoleFormatter(logging.Formatter):
    """`time LEVEL [source stage] message` on one line, without the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        place = " ".join(
            str(value) for key in ("source", "stage") if (value := getattr(record, key, None))
        )
        message = f"[{place}] {record.getMessage()}" if place else record.getMessage()
        time_text = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        return printable(f"{time_text} {record.levelname:<8} {message}")


class _JsonFormatter(logging.Formatter):
    """One JSON object on one line; all but ASCII is escaped, so nothing can end the line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = self._fields(record)
        for key in vars(record).keys() - _RECORD_ATTRIBUTES - set(_CONTEXT_KEYS):
            name = f"{key}_" if key in fields else key  # `extra` may use a name of ours
            fields[name] = getattr(record, key)
        return _one_line_json(fields)

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        return {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="microseconds"
            ),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{key: getattr(record, key, None) for key in _CONTEXT_KEYS},
            "process_id": record.process,
            "thread": record.threadName,
            **self._traceback(record),
        }

    def _traceback(self, record: logging.LogRecord) -> dict[str, object]:
        if record.exc_info:
            # exc_info=True outside an except block gives three times None
            text = self.formatException(record.exc_info) if record.exc_info[0] else None
        else:
            text = record.exc_text  # a record that came through a queue
        return {"exception": text} if text else {}


def _one_line_json(fields: Mapping[str, object]) -> str:
    try:
        return json.dumps(fields, default=str, allow_nan=False)
    except (TypeError, ValueError):
        # NaN, a key that is no text, a value that contains itself: their text serves as well.
        return json.dumps({key: _as_json_value(value) for key, value in fields.items()})


def _as_json_value(value: object) -> object:
    return value if isinstance(value, str | int | None) else str(value)


# --- lineage ---


def track_data_lineage(
    source_file: str,
    records_processed: int,
    target_table: str,
    *,
    db_manager: DatabaseManager | None = None,
    run_id: str = "",
    records_rejected: int = 0,
) -> Dict[str, Any]:
    """Tells from which file the rows of a table came; the pipeline's own runs do so themselves.

    The file is read once more for its SHA-256. It is written into the log, and into `etl_lineage`
    when the warehouse is given.

    Args:
        source_file: the file.
        records_processed: how many of its records were read.
        target_table: the table they went to.
        db_manager: the open warehouse; missing tables are created.
        run_id: the run; a new id when left out.
        records_rejected: how many of the records could not be used.

    Returns:
        `run_id`, `source`, `target`, `path`, `rows`, `rows_rejected`, `error_rate` (0 to 1),
        `bytes`, `sha256`, `modified_at`, `recorded_at` and the like; moments in ISO form.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: it cannot be read, or changed while it was read.

    Example:
        >>> told = track_data_lineage("data/input/customers.csv", 160, "customer_dim")
        >>> told["source"], told["rows"], told["target"], len(told["sha256"])
        ('customers.csv', 160, 'customer_dim', 64)
    """
    path = Path(source_file)
    counts = LoadCounts(rows_read=records_processed, rows_rejected=records_rejected)
    lineage = Lineage(path.name, target_table, str(path), trace=trace_file(path), counts=counts)
    run_id = run_id or run_id_after(lineage.recorded_at, None)
    if db_manager is None:
        tell(lineage)
    else:
        create_tables(db_manager)
        record_lineage(db_manager, run_id, {lineage.source: lineage})
    rate = records_rejected / records_processed if records_processed else 0.0
    return {"run_id": run_id, **lineage.as_dict(), "error_rate": rate}


# --- metrics ---


class ETLMetrics:
    """Measures stages: how long, how many records, how many errors; safe to share by threads.

    A stage can be entered again and again, and by several threads at once. Its times add up, so
    that a stage which ran in parallel can have taken more seconds than the whole run.

    Attributes:
        start_time: reading of the clock when the measuring began, in seconds.
        stage_metrics: for each stage seconds, records, errors, error_rate, records_per_second.
        error_counts: errors of each stage.
        record_counts: records of each stage, those with errors among them.

    Args:
        clock: a reading in seconds; only differences between readings are used.

    Example:
        >>> metrics = ETLMetrics(clock=iter([0.0, 1.0, 3.0, 4.0]).__next__)
        >>> metrics.start_stage("extract")
        >>> metrics.end_stage("extract", record_count=100, error_count=5)
        >>> report = metrics.generate_summary_report()
        >>> report["total_seconds"], report["stages"]["extract"]["records_per_second"]
        (4.0, 50.0)
    """

    def __init__(self, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.start_time = clock()
        self.stage_metrics: Dict[str, Dict[str, float]] = {}
        self.error_counts: Dict[str, int] = {}
        self.record_counts: Dict[str, int] = {}
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[str, list[float]] = {}
        self._totals: tuple[int, int] | None = None

    def start_stage(self, stage_name: str) -> None:
        """Begin to measure a stage.

        Args:
            stage_name: the stage, new or entered before.
        """
        started = self._clock()
        with self._lock:
            self._count(stage_name, seconds=0.0, record_count=0, error_count=0)
            self._running.setdefault(stage_name, []).append(started)

    def end_stage(self, stage_name: str, record_count: int = 0, error_count: int = 0) -> None:
        """Stop measuring a stage and count what it did since it was started.

        Args:
            stage_name: a stage that was started, by this thread or another.
            record_count: records it worked on, those with errors among them.
            error_count: records it could not use.

        Raises:
            ETLError: the stage is not running.
        """
        ended = self._clock()
        with self._lock:
            if not self._running.get(stage_name):
                raise ETLError(
                    f"the stage {stage_name!r} was ended without having been started",
                    choices=", ".join(self._unfinished()) or "none, no stage is running",
                    next_step=f"call start_stage({stage_name!r}) before end_stage",
                )
            # Which of several starts this end belongs to does not matter to the sum.
            seconds = ended - self._running[stage_name].pop()
            self._count(
                stage_name, seconds=seconds, record_count=record_count, error_count=error_count
            )

    def add(self, stage_name: str, *, seconds: float, record_count: int, error_count: int) -> None:
        """Count work that was measured elsewhere.

        Args:
            stage_name: the stage it belongs to.
            seconds: how long it took.
            record_count: records it worked on, those with errors among them.
            error_count: records it could not use.

        Example:
            >>> metrics = ETLMetrics()
            >>> metrics.add("load", seconds=0.5, record_count=10, error_count=0)
            >>> metrics.record_counts
            {'load': 10}
        """
        with self._lock:
            self._count(
                stage_name, seconds=seconds, record_count=record_count, error_count=error_count
            )

    def record_totals(self, *, read: int, rejected: int) -> None:
        """Say how many records of a source the run read and rejected; sources add up.

        The stages cannot tell: the same record passes through several of them.

        Args:
            read: records read from the source.
            rejected: those of them that were rejected.
        """
        with self._lock:
            read_before, rejected_before = self._totals or (0, 0)
            self._totals = (read_before + read, rejected_before + rejected)

    def generate_summary_report(self) -> Dict[str, Any]:
        """Everything measured so far, ready for JSON.

        Until `record_totals` has been called, the total is taken from the stages: the most
        records that one of them saw, and the errors of all.

        Returns:
            `total_seconds`, `total_records`, `total_errors`, `error_rate` (0 to 1),
            `records_per_second`, `stages` (a dict of `seconds`, `records`, `errors`,
            `error_rate`, `records_per_second` for each), `unfinished_stages` (names; their time
            so far is counted), `peak_memory_mb` (MiB).
        """
        now = self._clock()
        with self._lock:
            stages = {name: self._stage(name, now) for name in self.stage_metrics}
            records, errors = self._totals or self._totals_of_stages()
            unfinished = self._unfinished()
        total = _rates(now - self.start_time, records, errors)
        return {
            "total_seconds": total["seconds"],
            "total_records": total["records"],
            "total_errors": total["errors"],
            "error_rate": total["error_rate"],
            "records_per_second": total["records_per_second"],
            "stages": stages,
            "unfinished_stages": unfinished,
            "peak_memory_mb": round(peak_memory_mb(), 1),
        }

    # The methods below are called with the lock held.

    def _count(self, name: str, *, seconds: float, record_count: int, error_count: int) -> None:
        self.record_counts[name] = self.record_counts.get(name, 0) + record_count
        self.error_counts[name] = self.error_counts.get(name, 0) + error_count
        seconds += self.stage_metrics.get(name, {}).get("seconds", 0.0)
        self.stage_metrics[name] = _rates(
            seconds, self.record_counts[name], self.error_counts[name]
        )

    def _stage(self, name: str, now: float) -> Dict[str, float]:
        seconds = self.stage_metrics[name]["seconds"]
        seconds += sum(now - started for started in self._running.get(name, ()))
        return _rates(seconds, self.record_counts[name], self.error_counts[name])

    def _totals_of_stages(self) -> tuple[int, int]:
        return max(self.record_counts.values(), default=0), sum(self.error_counts.values())

    def _unfinished(self) -> list[str]:
        return [name for name, starts in self._running.items() if starts]


def _rates(seconds: float, records: int, errors: int) -> Dict[str, float]:
    """The figures of a stage; the rates stay finite where nothing was read or no time passed."""
    return {
        "seconds": seconds,
        "records": records,
        "errors": errors,
        # An error without a record, a file that cannot be opened, is a rate of 1.
        "error_rate": errors / max(records, errors) if errors else 0.0,
        "records_per_second": records / seconds if seconds > 0 else 0.0,
    }
