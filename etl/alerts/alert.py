"""What an alert says, as one value: the facts, what to do, and no secret in them.

Secrets are masked and control characters spelt out before any text is made of it.
"""

import errno
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from etl.errors import ETLError
from etl.places import command
from etl.settings.connection_strings import masked
from etl.traces import trace_of
from etl.words import counted

CRITICAL, ERROR, WARNING, INFO, SUCCESS = "CRITICAL", "ERROR", "WARNING", "INFO", "SUCCESS"

# More than anybody reads, and what a mail server certainly takes.
_TRACE_CHARACTERS, _MESSAGE_CHARACTERS = 20_000, 5000


@dataclass(frozen=True)
class Alert:
    """What an alert says; what is not known is left empty.

    Attributes:
        severity: CRITICAL, ERROR, WARNING, INFO or SUCCESS.
        headline: what happened, in three words; by severity when empty.
        topic: what it happened to.
        status: how that stands.
        stage: of the pipeline.
        error_type: class of the error, and of those that caused it.
        cause: the error that the others came from, with its class.
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
    cause: str = ""
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
_SECOND_UNITS = ("", "s", "sec", "seconds")
_FIELDS = frozenset(field.name for field in fields(Alert))


def alert_of(details: Mapping[str, object]) -> Alert:
    """Return the alert that a dict of details describes.

    Args:
        details: attributes of `Alert`, or other usual names for them such as `error_message`;
            what has none of these names becomes a further figure. An exception gives its class,
            text, trace and next step; a count of `records_affected` its unit.

    Example:
        >>> alert = alert_of({"severity": "critical", "error": ValueError("no"), "rows": 1247})
        >>> alert.severity, alert.error_type, alert.message, alert.stats
        ('CRITICAL', 'ValueError', 'no', (('Rows', '1,247'),))
        >>> alert_of({"records_affected": 1, "processing_time": "145.2"}).records_affected
        '1 record'
    """
    details = _with_error(details)
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


def _with_error(details: Mapping[str, object]) -> Mapping[str, object]:
    """Add what the exception among the details says, where the caller says nothing else."""
    error = next((each for each in details.values() if isinstance(each, BaseException)), None)
    if error is None:
        return details
    others = {name: value for name, value in details.items() if value is not error}
    said = {_ALIASES.get(name, name) for name in others}
    return others | {n: v for n, v in error_facts(error).items() if n not in said}


def _figure(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _records(value: object) -> str:
    text = _figure(value)
    whole = text.replace(",", "").isdecimal()
    return counted(int(text.replace(",", "")), "record") if whole else text


def _severity(value: object) -> str:
    return {"WARN": WARNING, "FATAL": CRITICAL}.get(name := str(value).upper(), name)


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        number, _, unit = value.strip().partition(" ")
        value = number if unit.strip() in _SECOND_UNITS else None
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None


def _lines(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(map(str, value)) if isinstance(value, Iterable) else ()


_READ: dict[str, Callable[[object], Any]] = {
    "severity": _severity,
    "seconds": _seconds,
    "records_affected": _records,
    "actions": _lines,
    "held_back": lambda value: value if isinstance(value, int) else 0,
    "stats": lambda value: value,
}


# --- no secret, no control character -----------------------------------------------------

# Every repetition is bounded, or ends at a character that it cannot hold: no text makes one slow.
_PASSWORD = re.compile(
    r"""\b(pwd|password|passwd|secret|token|api[_-]?key)(\s{0,20}[=:]\s{0,20})
    (?: \{[^}]{0,500}\} | "[^"]{0,500}" | '[^']{0,500}' | [^\s;,'"]+ )""",
    re.IGNORECASE | re.VERBOSE,
)
_LOGIN = re.compile(r"(?<=://)[^\s/]*@")
_HOOK = re.compile(r"(?<=://hooks\.slack\.com/)[^\s\"']+")
_FRAME = re.compile(r"^(?===)", re.MULTILINE)


def harmless(text: str, secrets: Iterable[str]) -> str:
    r"""Return the text without secrets, and with its control characters spelt out.

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
    """Return the alert with all its texts made harmless, and those of one line put on one."""
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
    return recommended_actions(alert.error_type)


# --- errors ------------------------------------------------------------------------------


def error_facts(error: BaseException) -> dict[str, Any]:
    """Return what an error says for an alert: details as `alert_of` takes them.

    Example:
        >>> facts = error_facts(TimeoutError("slow"))
        >>> facts["error_type"], facts["message"]
        ('TimeoutError', 'slow')
    """
    chain = list(causes(error))
    first, message = chain[-1], _message(error) or type(error).__name__
    said = " ".join(str(first).split()) in " ".join(message.split())
    return {
        "error_type": " caused by ".join(map(_class_name, chain)),
        "cause": "" if first is error or said else f"{_class_name(first)}: {first}",
        "message": message,
        "stack_trace": trace_of(error),
        "actions": recommended_actions(error),
    }


def _message(error: BaseException) -> str:
    """What happened; the next step is among the actions."""
    if not isinstance(error, ETLError):
        return str(error)
    return f"{error.what}. Choices: {error.choices}." if error.choices else error.what


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, then what caused it, down to the first cause."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def _class_name(error: BaseException) -> str:
    module = type(error).__module__
    own = module == "builtins" or "." in module
    return type(error).__name__ if own else f"{module}.{type(error).__name__}"


def fault_key(error: BaseException) -> str:
    """Return a key that differs with the cause of an error: by it alerts are held back.

    Example:
        >>> from etl.errors import LoadingError
        >>> fault_key(LoadingError("no driver", code="driver_missing"))
        'LoadingError.driver_missing'
        >>> fault_key(OSError(28, "No space left on device"))
        'OSError.ENOSPC'
    """
    parts = [part for each in causes(error) for part in (type(each).__name__, _code(each)) if part]
    return ".".join(dict.fromkeys(parts))


def _code(error: BaseException) -> str:
    number = error.errno if isinstance(error, OSError) else None
    known = (
        getattr(error, "code", None),
        getattr(error, "sqlstate", None),
        errno.errorcode.get(number) if number else None,
    )
    return next((code for code in known if isinstance(code, str) and code), "")


# --- what to do --------------------------------------------------------------------------

CONNECTION, DRIVER, MISSING_FILE, MALFORMED = "connection", "driver", "missing file", "malformed"
HELD_BACK, IN_USE, DISK, MEMORY = "held back", "in use", "disk", "memory"
CONFIGURATION, QUALITY, REFUSED, UNKNOWN = "configuration", "quality", "refused", "unknown"

# The kind of an error by its code, its errno or a class in its chain of causes. The first line
# that fits counts: what is about the machine stands before what is about the stage.
_KINDS: tuple[tuple[str, frozenset[str]], ...] = (
    (IN_USE, frozenset({"WarehouseInUseError"})),
    (HELD_BACK, frozenset({"HeldBackError"})),
    (DRIVER, frozenset({"driver_missing", "driver_unfit", "odbc_missing", "package_missing"})),
    (DISK, frozenset({"ENOSPC", "EDQUOT", "EFBIG", "EROFS", "DiskFull", "IOException"})),
    (MEMORY, frozenset({"MemoryError", "OutOfMemory", "OutOfMemoryException"})),
    (
        CONNECTION,
        frozenset({
            "CircuitOpenError", "ConnectionError", "ConnectionRefusedError", "TimeoutError",
            "OperationalError", "InterfaceError", "gaierror", "DatabaseConnectionError",
        }),
    ),
    (MISSING_FILE, frozenset({"FileNotFoundError"})),
    (DISK, frozenset({"PermissionError"})),
    (CONFIGURATION, frozenset({"ConfigurationError", "SettingsError"})),
    (QUALITY, frozenset({"QualityCheckFailed"})),
    (MALFORMED, frozenset({
        "ValidationError", "ExtractionError", "JSONDecodeError", "UnicodeError", "ParserError",
    })),
    (REFUSED, frozenset({"LoadingError", "ProgrammingError", "DataError", "IntegrityError"})),
)  # fmt: skip

_AGAIN = "Run the pipeline again; it loads what is missing: {again}"
_ROLLED_BACK = "Run the pipeline again; what was not committed was rolled back: {again}"
_CHECK = "Check what a run needs: {program} --health-check"
_ACTIONS = {
    CONNECTION: (
        "Check that the database server runs and answers: {program} --health-check",
        "Check name, port and firewall between this host and the server",
        "Check that the login is neither locked nor expired",
        _AGAIN,
    ),
    DRIVER: (
        "Install what the error names, for the user and the Python that run the pipeline",
        "Check it: {program} --health-check",
        _AGAIN,
    ),
    MISSING_FILE: (
        "Check the job that delivers the file: did it run, and to the right folder?",
        "Check INPUT_DIR and the name of the file in the settings, and the rights of this user",
        _AGAIN,
    ),
    MALFORMED: (
        "Open the source at the place that the error names, and compare it with the last good one",
        "Have it delivered again by whoever writes it",
        _AGAIN,
    ),
    HELD_BACK: (
        "Open the file of rejected records: it names row, field, value and reason",
        "Find out what changed at the source since the last successful run, and have it corrected",
        _AGAIN,
    ),
    IN_USE: (
        "See which process the message names, and whether it still works",
        "End it, or wait for it; a reader that keeps a DuckDB file open counts too",
        "Set LOCK_WAIT_SECONDS, or start the runs further apart",
        _AGAIN,
    ),
    DISK: (
        "Make room on the disk that the error names, or give this user the right to write there",
        "See how much is free: {program} --health-check",
        _ROLLED_BACK,
    ),
    MEMORY: (
        "See what else takes memory on this host",
        "Lower CHUNK_ROWS and DUCKDB_MEMORY_LIMIT",
        _ROLLED_BACK,
    ),
    CONFIGURATION: (
        "Correct the setting or the argument that the error names; .env.example explains each",
        "Check it: {program} --health-check",
    ),
    QUALITY: (
        "Compare the figure with those of the last runs, in the tables etl_load and etl_quality",
        "Check the source: was it delivered whole, and once?",
        "If the tables are wrong, load them again: {program} --full-refresh",
    ),
    REFUSED: (
        "Read the message of the database: a right, a table, or the values of a record",
        "Check tables and rights: {program} --health-check",
        _ROLLED_BACK,
    ),
    UNKNOWN: (
        "Read the stack trace, and the lines of this run in the log file",
        _CHECK,
        _ROLLED_BACK,
    ),
}


def kind_of_error(error: BaseException | str) -> str:
    """Return the kind of an error, which decides what is to be done about it.

    Args:
        error: the error, or the names of its class and of those that caused it.

    Example:
        >>> kind_of_error(FileNotFoundError("data/input/customers.csv"))
        'missing file'
        >>> kind_of_error("ExtractionError caused by pyodbc.OperationalError")
        'connection'
    """
    if isinstance(error, str):
        names = set(re.findall(r"\w+", error))
    else:
        chain = list(causes(error))
        names = {cls.__name__ for each in chain for cls in type(each).__mro__}
        names |= {_code(each) for each in chain}
    return next((kind for kind, signs in _KINDS if signs & names), UNKNOWN)


def recommended_actions(
    error: BaseException | str, *, program: str = "", again: str = ""
) -> tuple[str, ...]:
    """Return what to do about an error: its own next step first, then what fits its kind.

    Args:
        error: the error, or the names of its class and of those that caused it.
        program: the command of the pipeline, with its environment if there is one.
        again: the command that does the same run again; `program` alone when left out.

    Example:
        >>> from etl.errors import ConfigurationError
        >>> recommended_actions(ConfigurationError("BATCH_SIZE = 'x'", next_step="correct it"))[0]
        'Correct it'
    """
    own = error.next_step if isinstance(error, ETLError) else ""
    steps = [f"{own[0].upper()}{own[1:]}"] if own else []
    return (*steps, *_filled(kind_of_error(error), program, again))


def quality_actions(*, program: str = "") -> tuple[str, ...]:
    """Return what to do about figures that look wrong."""
    return _filled(QUALITY, program)


def _filled(kind: str, program: str, again: str = "") -> tuple[str, ...]:
    program = program or command()
    return tuple(step.format(program=program, again=again or program) for step in _ACTIONS[kind])
