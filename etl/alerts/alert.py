"""What there is to tell in an alert, as one value, and nothing in it as data have it.

Secrets are masked and control characters spelt out before any text is made of it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from etl.alerts.actions import recommended_actions
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
