"""What an alert says, as one value: the facts, and what to do."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from etl.alerts.actions import recommended_actions
from etl.errors import ETLError, causes
from etl.traces import trace_of
from etl.words import counted

CRITICAL, ERROR, WARNING, INFO, SUCCESS = "CRITICAL", "ERROR", "WARNING", "INFO", "SUCCESS"


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


# --- from an error -------------------------------------------------------------------------


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


def _class_name(error: BaseException) -> str:
    module = type(error).__module__
    own = module == "builtins" or "." in module
    return type(error).__name__ if own else f"{module}.{type(error).__name__}"
