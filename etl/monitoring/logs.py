"""Log lines with their context, and where they go: the console and two rotating files."""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from etl.errors import ConfigurationError
from etl.files import open_private
from etl.settings.sections.logging import LoggingConfig
from etl.traces import trace_of
from etl.words import printable

PIPELINE_LOG = "etl_pipeline.log"
ERROR_LOG = "etl_errors.log"
_PIPELINE_LOGGER = "etl_pipeline"
# Every module logs under its own name: those of the rooms below `etl`, the script as `__main__`.
_OWN_LOGGERS = (
    "etl", _PIPELINE_LOGGER, "__main__",
    "config", "data_extraction", "data_transformation", "data_loading",
)  # fmt: skip

# --- context of a log line ---

_CONTEXT_KEYS = ("run_id", "stage", "source")
_RECORD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default=MappingProxyType({}))


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Put fields on every log record that is written inside the block.

    Blocks nest, the inner one wins. `run_id`, `stage` and `source` are on every record, as null
    where no block sets them. A new thread starts with an empty context: run its work in
    `contextvars.copy_context()` to carry this one over.

    Args:
        **fields: what to put on the records.

    Raises:
        ValueError: a field has the name of something every log record has already.

    Example:
        >>> with log_context(run_id="r1", stage="extract"), log_context(stage="load"):
        ...     logging.getLogger(__name__).debug("loading")
    """
    taken = sorted(_RECORD_ATTRIBUTES & fields.keys())
    if taken:
        raise ValueError(f"log_context cannot set {', '.join(taken)}: log records have their own")
    token = _context.set(MappingProxyType({**_context.get(), **fields}))
    try:
        yield
    finally:
        _context.reset(token)


class _ContextFilter(logging.Filter):
    """Adds the context to a record; what the record has from `extra` is left as it is."""

    def filter(self, record: logging.LogRecord) -> bool:
        for key, value in {**dict.fromkeys(_CONTEXT_KEYS), **_context.get()}.items():
            record.__dict__.setdefault(key, value)
        return True


# --- handlers ---

# How to take back, step by step, what the last setup_logging did.
_undo = ExitStack()


_critical_handler_of: Callable[[LoggingConfig], logging.Handler] | None = None


def set_critical_handler(factory: Callable[[LoggingConfig], logging.Handler]) -> None:
    """Set what makes the handler of CRITICAL records; the room of alerts does when imported."""
    global _critical_handler_of  # noqa: PLW0603  # one for the process, like logging itself
    _critical_handler_of = factory


def setup_logging(
    config: LoggingConfig,
    *,
    critical_handler: logging.Handler | None = None,
    before_summary: bool = False,
    further: Sequence[logging.Handler] = (),
) -> logging.Logger:
    """Send every log line of the pipeline to the console and to two rotating files.

    The console (stderr) shows `config.log_level` and above, without tracebacks. In
    `config.log_dir`, `etl_pipeline.log` takes everything from DEBUG on and `etl_errors.log`
    takes ERROR and CRITICAL, one JSON object a line. The handlers sit on the root logger;
    libraries are heard from INFO on. Calling it again replaces what it set up before.

    Args:
        config: where the files go, what the console shows, when the files rotate (bytes).
        critical_handler: is given CRITICAL records. It stays the caller's: it is detached, never
            closed. Left out, it is the one of `set_critical_handler`, which writes e-mails.
        before_summary: whether a person will be shown the summary: the console then has only
            warnings and errors that it does not repeat.
        further: are given what the log file gets from INFO on, in its form; closed in the end.

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
    stderr = _StderrHandler()
    if before_summary:
        stderr.addFilter(_is_not_in_summary)
    _attach(stderr, level=config.log_level, formatter=_ConsoleFormatter())
    for name, level in ((PIPELINE_LOG, logging.DEBUG), (ERROR_LOG, logging.ERROR)):
        file = _rotating_file(config, name)
        _undo.callback(file.close)
        _attach(file, level=level, formatter=_JsonFormatter())
    for handler in further:
        _undo.callback(handler.close)
        _attach(handler, level=logging.INFO, formatter=_JsonFormatter())
    if critical_handler is None and _critical_handler_of is not None:
        critical_handler = _critical_handler_of(config)
    if critical_handler is not None:
        _attach(critical_handler, level=logging.CRITICAL)
    _set_level(logging.getLogger(), logging.INFO)
    for name in _OWN_LOGGERS:
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
            open_private(log_dir / name, "a").close()
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


# As `extra` of a record that the summary repeats.
IN_SUMMARY = {"in_summary": True}


def _is_not_in_summary(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING and not hasattr(record, "in_summary")


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what is `sys.stderr` at that moment: progress bars and tests replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:  # a Windows service has none
            self.stream = sys.stderr
            super().emit(record)


class _RotatingFile(RotatingFileHandler):
    """A log that goes on in the same file when it cannot be rotated.

    Windows refuses to rename a file that another process has open. A log that cannot be written
    is reported once, in one line: the load is worth more than its log.
    """

    _reported = False

    def _open(self) -> TextIOWrapper:
        return open_private(self.baseFilename, self.mode)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self._report(error)
        else:
            super().handleError(record)

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:
            self._report(error)

    def _report(self, error: OSError) -> None:
        if not self._reported and sys.stderr is not None:
            self._reported = True
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
        for key in vars(record).keys() - _RECORD_ATTRIBUTES - {*_CONTEXT_KEYS, *IN_SUMMARY}:
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
            text = trace_of(record.exc_info[1]).rstrip() if record.exc_info[1] else None
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
