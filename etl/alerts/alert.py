"""What there is to tell in an alert, as one value, and nothing in it as data have it.

Secrets are masked and control characters spelt out before any text is made of it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from etl.settings.connection_strings import masked

CRITICAL, ERROR, WARNING, INFO, SUCCESS = "CRITICAL", "ERROR", "WARNING", "INFO", "SUCCESS"

# More than anybody reads, and what a mail server certainly takes.
_TRACE_CHARACTERS, _MESSAGE_CHARACTERS = 20_000, 5000


@dataclass(frozen=True)
class Alert:
    """What there is to tell; what is not known is left empty.

    Attributes:
        severity: CRITICAL, ERROR, WARNING, INFO or SUCCESS.
        headline: what happened, in three words; by severity when empty.
        topic: what it happened to.
        status: how that stands.
        stage: of the pipeline.
        error_type: class of the error.
        message: what happened.
        records_affected: how many records of what.
        records_processed: how many of how many.
        seconds: how long the run had taken.
        stack_trace: of the error.
        last_success: when a run last went well.
        actions: what to do; by the error when empty.
        environment: dev, test or prod.
        run_id: of the run.
        log_file: where to read on.
        held_back: how many alerts of this kind were held back since the last one.
        stats: further figures, names and values.
    """

    severity: str = ERROR
    headline: str = ""
    topic: str = ""
    status: str = ""
    stage: str = ""
    error_type: str = ""
    message: str = ""
    records_affected: str = ""
    records_processed: str = ""
    seconds: float | None = None
    stack_trace: str = ""
    last_success: str = ""
    actions: tuple[str, ...] = ()
    environment: str = ""
    run_id: str = ""
    log_file: str = ""
    held_back: int = 0
    stats: tuple[tuple[str, str], ...] = ()

    @property
    def is_bad(self) -> bool:
        """Whether something is wrong."""
        return self.severity not in (INFO, SUCCESS)


# Other names under which callers know the same.
_ALIASES = {
    "level": "severity",
    "subject": "topic",
    "source": "topic",
    "table": "topic",
    "pipeline_stage": "stage",
    "type": "error_type",
    "error": "message",
    "error_message": "message",
    "affected_records": "records_affected",
    "processing_time": "seconds",
    "processing_seconds": "seconds",
    "duration_seconds": "seconds",
    "traceback": "stack_trace",
    "last_successful_run": "last_success",
    "recommended_actions": "actions",
}
_FIELDS = frozenset(field.name for field in fields(Alert))


def alert_of(details: Mapping[str, object]) -> Alert:
    """The alert that a dict of details describes.

    Args:
        details: attributes of `Alert`, or other usual names for them such as `error_message`;
            what has none of these names becomes a further figure.

    Example:
        >>> alert = alert_of({"severity": "critical", "error_message": "refused", "rows": 1247})
        >>> alert.severity, alert.message, alert.stats
        ('CRITICAL', 'refused', (('Rows', '1,247'),))
    """
    known: dict[str, object] = {}
    others: list[tuple[str, str]] = []
    for name, value in details.items():
        field = name if name in _FIELDS else _ALIASES.get(name, "")
        if not field:
            others.append((name.replace("_", " ").capitalize(), _figure(value)))
        elif field not in known or name in _FIELDS:
            known[field] = value
    values: dict[str, Any] = {
        name: _READ.get(name, _figure)(value) for name, value in known.items()
    }
    given = values.pop("stats", ())
    stats = (*(given if isinstance(given, tuple) else ()), *others)
    return Alert(**values, stats=stats)


def _figure(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _severity(value: object) -> str:
    return {"WARN": WARNING, "FATAL": CRITICAL}.get(name := str(value).upper(), name)


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _lines(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(map(str, value)) if isinstance(value, Iterable) else ()


_READ: dict[str, Callable[[object], Any]] = {
    "severity": _severity,
    "seconds": _seconds,
    "actions": _lines,
    "held_back": lambda value: value if isinstance(value, int) else 0,
    "stats": lambda value: value,
}


# --- nothing as it stands ----------------------------------------------------------------

_PASSWORD = re.compile(
    r"""\b(pwd|password|passwd|secret|token|api[_-]?key)(\s*[=:]\s*)
    (?: \{[^}]*\} | "[^"]*" | '[^']*' | [^\s;,'"]+ )""",
    re.IGNORECASE | re.VERBOSE,
)
_LOGIN = re.compile(r"(?<=://)[^/\s@]+:[^/\s@]*@")
_HOOK = re.compile(r"(?<=://hooks\.slack\.com/)[^\s\"']+")
_FRAME = re.compile(r"^(?===)", re.MULTILINE)


def harmless(text: str, secrets: Iterable[str]) -> str:
    r"""The text without secrets, and with its control characters spelt out.

    Args:
        text: from anywhere, such as a driver's message.
        secrets: what must not be shown, the longest first.

    Example:
        >>> harmless("PWD=sesame;\x1b[2J", ["x"])
        'PWD=***;\\x1b[2J'
    """
    text = masked(text, secrets)
    text = _PASSWORD.sub(r"\1\2***", text)
    text = _HOOK.sub("***", _LOGIN.sub("***@", text))
    shown = (c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    return _FRAME.sub(" ", "".join(shown))


def cleaned(alert: Alert, secrets: Iterable[str]) -> Alert:
    """The alert with all its texts made harmless, and those of one line put on one."""
    hidden = tuple(secrets)

    def line(text: str) -> str:
        return harmless(" ".join(text.split()), hidden)

    texts: dict[str, Any] = {
        field.name: line(value)
        for field in fields(alert)
        if isinstance(value := getattr(alert, field.name), str)
    }
    texts["message"] = harmless(alert.message.strip(), hidden)[:_MESSAGE_CHARACTERS]
    texts["stack_trace"] = harmless(alert.stack_trace.strip(), hidden)[-_TRACE_CHARACTERS:]
    return replace(
        alert,
        **texts,
        actions=tuple(map(line, _actions(alert))),
        stats=tuple((line(name), line(value)) for name, value in alert.stats),
    )


def _actions(alert: Alert) -> tuple[str, ...]:
    if alert.actions or not alert.is_bad:
        return alert.actions
    return recommended_actions(alert.error_type, alert.message)


CONNECTION = "connection"
MISSING_FILE = "missing file"
MALFORMED = "malformed source"
HELD_BACK = "held back"
IN_USE = "in use"
DISK = "disk"
CONFIGURATION = "configuration"
QUALITY = "quality"
REFUSED = "refused by the database"
MEMORY = "memory"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class _Sign:
    """How an error of a kind is known: by its class, or by words of its message."""

    kind: str
    classes: str = ""
    words: str = ""

    def fits(self, error_type: str, message: str) -> bool:
        by_class = bool(self.classes) and re.search(self.classes, error_type) is not None
        return by_class or (bool(self.words) and re.search(self.words, message, re.I) is not None)


# The first that fits counts: words that tell of the machine before classes that tell of the stage.
_SIGNS = (
    _Sign(IN_USE, "WarehouseInUse"),
    _Sign(HELD_BACK, "HeldBack"),
    _Sign(DISK, words=r"no space left|disk quota|file too large|read-only file system|disk full"),
    _Sign(MEMORY, "MemoryError|OutOfMemory", r"out of memory"),
    _Sign(
        CONNECTION,
        r"CircuitOpen|Connection|Timeout|OperationalError|InterfaceError|gaierror",
        r"login timeout|cannot be reached|connection (was )?(refused|reset|lost|closed)"
        r"|circuit open|communication link|login failed|\[08\w{3}\]|\[HYT0\d\]|\[28000\]"
        r"|could not connect",
    ),
    _Sign(MISSING_FILE, "FileNotFound", r"does not exist|no file|no such file"),
    _Sign(CONFIGURATION, "ConfigurationError|SettingsError"),
    _Sign(QUALITY, "Quality|Anomal|_anomaly|^(volume|performance|quality)"),
    _Sign(MALFORMED, "ValidationError|ExtractionError|JSON|Unicode|Parser"),
    _Sign(REFUSED, "LoadingError|CommitUnknown|ProgrammingError|DataError|IntegrityError"),
)

_ACTIONS = {
    CONNECTION: (
        "Check that the database server runs and answers: python etl_pipeline.py --health-check",
        "Check name, port and firewall between this host and the server",
        "Check that the login is neither locked nor expired",
        "Run the pipeline again; what was not loaded is taken up",
    ),
    MISSING_FILE: (
        "Look at the job that delivers the file: did it run, and to the right folder?",
        "Check INPUT_DIR and the name of the file in the settings, and the rights of this user",
        "Run the pipeline again once the file is there; it loads what is missing",
    ),
    MALFORMED: (
        "Open the source at the place that the error names, and compare it with the last good one",
        "Have it delivered again by whoever writes it",
        "Run the pipeline again; the other sources need nothing",
    ),
    HELD_BACK: (
        "Open the rejected file in OUTPUT_DIR/rejected: it names row, field, value and reason",
        "Find out what changed at the source since the last successful run, and have it mended",
        "If so many rejected records are right, raise MAX_REJECT_RATE, and run the pipeline again",
    ),
    IN_USE: (
        "See which process the message names, and whether it still works",
        "End it, or wait for it; a reader that keeps a DuckDB file open counts too",
        "Set LOCK_WAIT_SECONDS, or start the runs further apart",
    ),
    DISK: (
        "Make room on the disk that the error names, or give the user the right to write there",
        "See how much is free: python etl_pipeline.py --health-check",
        "Run the pipeline again; what was not committed was rolled back",
    ),
    MEMORY: (
        "See what else takes memory on this host",
        "Lower CHUNK_ROWS and DUCKDB_MEMORY_LIMIT",
        "Run the pipeline again; what was not committed was rolled back",
    ),
    CONFIGURATION: (
        "Correct the setting or the argument that the error names; .env.example explains each",
        "Check it: python etl_pipeline.py --health-check",
    ),
    QUALITY: (
        "Compare the figure with those of the last runs, in the tables etl_load and etl_quality",
        "Look at the source: was it delivered whole, and once?",
        "If the tables are wrong, load them anew: python etl_pipeline.py --full-refresh",
    ),
    REFUSED: (
        "Read the message of the database: a right, a table, or the values of a record",
        "Check tables and rights: python etl_pipeline.py --health-check",
        "Run the pipeline again; what was not committed was rolled back",
    ),
    UNKNOWN: (
        "Read the stack trace, and the lines of this run in the log file",
        "Check what a run needs: python etl_pipeline.py --health-check",
        "Run the pipeline again; what was not committed was rolled back",
    ),
}


def kind_of_error(error_type: str, message: str) -> str:
    """The kind of an error, for what is to be done about it.

    Example:
        >>> kind_of_error("FileNotFoundError", "data/input/customers.csv")
        'missing file'
        >>> kind_of_error("ExtractionError", "[08001] TCP Provider: connection refused")
        'connection'
    """
    fitting = (sign.kind for sign in _SIGNS if sign.fits(error_type, message))
    return next(fitting, UNKNOWN)


def recommended_actions(error_type: str, message: str) -> tuple[str, ...]:
    """What to do about an error: its own next step first, then what fits errors of its kind.

    Args:
        error_type: its class, with those it was caused by.
        message: what it says.

    Example:
        >>> recommended_actions("ConfigurationError", "BATCH_SIZE = 'x'. Next: correct it.")[0]
        'Correct it'
    """
    own = re.findall(r"Next: (.+?)(?:\.(?=\s|$)|$)", message)
    steps = [f"{step[0].upper()}{step[1:]}" for step in own[:1]]
    return (*steps, *_ACTIONS[kind_of_error(error_type, message)])


def quality_actions() -> tuple[str, ...]:
    """What to do about figures that look wrong."""
    return _ACTIONS[QUALITY]
