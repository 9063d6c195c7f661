"""No secret and no control character in an alert: masked, or spelt out, before any text is made."""

import re
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from etl.alerts.actions import recommended_actions
from etl.alerts.alert import Alert
from etl.settings.connection_strings import masked

# More than anybody reads, and what a mail server certainly takes.
_TRACE_CHARACTERS, _MESSAGE_CHARACTERS = 20_000, 5000

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
