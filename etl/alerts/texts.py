"""The texts of an alert, for e-mail and for Slack.

They are made of cleaned alerts. For Slack &, < and > are escaped as well, so that no data can
mention anybody.
"""

import os
import socket
from collections.abc import Iterable
from datetime import datetime

from etl.alerts.alert import CRITICAL, ERROR, INFO, SUCCESS, WARNING, Alert, harmless
from etl.process import peak_memory_mb
from etl.settings.config import AlertConfig
from etl.words import duration_words

BOT_NAME = "ETL Monitor"
SIMULATED, NOT_DELIVERED = "SIMULATION", "NOT DELIVERED"

_RULE = "=" * 20
_UNKNOWN = "unknown"
_SLACK_CHARACTERS = 1500

# --- e-mail ------------------------------------------------------------------------------


def subject_of(alert: Alert) -> str:
    """The subject of the e-mail, on one line."""
    topic = f" - {alert.topic}" if alert.topic else ""
    return f"{alert.severity}: ETL Pipeline {alert.headline or _headline(alert)}{topic}"[:200]


def _headline(alert: Alert) -> str:
    return {CRITICAL: "Failed", ERROR: "Failed", WARNING: "Needs Attention"}.get(
        alert.severity, "Notice"
    )


def email_body(alert: Alert, now: datetime) -> str:
    """The e-mail below its subject; a warning is shorter than an error.

    Args:
        alert: what to tell, cleaned.
        now: the present moment, UTC.
    """
    word = WARNING if alert.severity == WARNING else ERROR
    parts = [
        _email_head(alert, now),
        _listed(f"{word} SUMMARY", _summary(alert)),
        f"{word} DETAILS:\n{alert.message or _UNKNOWN}",
        _listed("SYSTEM CONTEXT", _context(alert)),
        _numbered("RECOMMENDED ACTIONS", alert.actions),
    ]
    if alert.severity != WARNING:
        parts.append(f"Stack Trace:\n{alert.stack_trace or '(none)'}")
    return "\n\n".join(part for part in parts if part)


def _email_head(alert: Alert, now: datetime) -> str:
    lines = [f"Timestamp: {time_text(now)}", f"Severity: {alert.severity}"]
    if alert.held_back:
        lines.append(f"Held Back: {_held_back(alert)}")
    return "\n".join(lines)


def _held_back(alert: Alert) -> str:
    many = alert.held_back != 1
    return (
        f"{alert.held_back:,} {'alerts' if many else 'alert'} of this kind "
        f"{'were' if many else 'was'} held back since the last one that was sent"
    )


def _summary(alert: Alert) -> list[tuple[str, str]]:
    seconds = _UNKNOWN if alert.seconds is None else f"{alert.seconds:,.1f} seconds"
    time_name = "Processing Time" if alert.severity == WARNING else "Processing Time Before Failure"
    return [
        ("Pipeline Stage", alert.stage or _UNKNOWN),
        ("Error Type", alert.error_type or _UNKNOWN),
        ("Records Affected", alert.records_affected or _UNKNOWN),
        (time_name, seconds),
        *alert.stats,
    ]


def _context(alert: Alert) -> list[tuple[str, str]]:
    process = [
        ("Process ID", str(os.getpid())),
        ("Memory Usage", f"{peak_memory_mb():,.0f} MB"),
    ]
    return [
        ("Host", harmless(socket.gethostname(), ())),
        *([] if alert.severity == WARNING else process),
        ("Last Successful Run", alert.last_success or "none known"),
        *_where(alert),
    ]


def _where(alert: Alert) -> list[tuple[str, str]]:
    given = (
        ("Environment", alert.environment),
        ("Run", alert.run_id),
        ("Log File", alert.log_file),
    )
    return [(name, value) for name, value in given if value]


def _listed(title: str, values: Iterable[tuple[str, str]]) -> str:
    return "\n".join([f"{title}:", *(f"- {name}: {value}" for name, value in values)])


def _numbered(title: str, steps: tuple[str, ...]) -> str:
    lines = [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    return "\n".join([f"{title}:", *lines]) if lines else ""


def email_entry(alert: Alert, config: AlertConfig, now: datetime, what: str = SIMULATED) -> str:
    """The e-mail as it is written to a file.

    Args:
        alert: what to tell, cleaned.
        config: sender and receivers.
        now: the present moment, UTC.
        what: why it stands there.
    """
    head = f"{_RULE} EMAIL ALERT {what} {_RULE}"
    return "\n".join([
        head,
        f"To: {', '.join(config.alert_email_to) or '(ALERT_EMAIL_TO is not set)'}",
        f"From: {config.alert_email_from or '(ALERT_EMAIL_FROM is not set)'}",
        f"Subject: {subject_of(alert)}",
        email_body(alert, now),
        "=" * len(head),
    ])  # fmt: skip


# --- Slack -------------------------------------------------------------------------------

_EMOJI = {
    CRITICAL: ":rotating_light:",
    ERROR: ":warning:",
    WARNING: ":large_orange_diamond:",
    INFO: ":information_source:",
    SUCCESS: ":white_check_mark:",
}
_STATUS = {CRITICAL: "FAILED", ERROR: "FAILED", WARNING: "NEEDS ATTENTION", SUCCESS: "SUCCESS"}


def escaped(text: str) -> str:
    """The text as Slack shows it, and as nothing else: no link, no mention.

    Example:
        >>> escaped("<!channel> & <@U1>")
        '&lt;!channel&gt; &amp; &lt;@U1&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def channel_of(alert: Alert, config: AlertConfig) -> str:
    """The channel that a message of this severity names."""
    return config.slack_channel if alert.is_bad else config.slack_info_channel


def slack_text(alert: Alert, config: AlertConfig) -> str:
    """The message to Slack, in its markdown.

    Args:
        alert: what to tell, cleaned.
        config: who is called.
    """
    kind = "ETL Pipeline Alert" if alert.is_bad else "ETL Pipeline"
    title = f"{kind} - {alert.topic}" if alert.topic else kind
    parts = [
        f"{_EMOJI.get(alert.severity, ':warning:')} *{escaped(title)}*",
        _slack_facts(alert),
        f"*{'Error Summary' if alert.is_bad else 'Summary'}:*\n"
        + escaped(_cut(alert.message or _UNKNOWN)),
        _bullets("Quick Stats", [f"• {escaped(f'{n}: {v}')}" for n, v in alert.stats]),
        _bullets("Actions Required", [f"- [ ] {escaped(step)}" for step in alert.actions]),
        f"_{_held_back(alert)}_" if alert.held_back else "",
        _mentions(alert, config),
        _view(alert, config),
    ]
    return "\n\n".join(part for part in parts if part)


def _cut(text: str) -> str:
    return text if len(text) <= _SLACK_CHARACTERS else f"{text[:_SLACK_CHARACTERS]} …"


def _slack_facts(alert: Alert) -> str:
    given = (
        ("Status", alert.status or _STATUS.get(alert.severity, alert.severity)),
        ("Stage", alert.stage),
        ("Duration", "" if alert.seconds is None else duration_words(alert.seconds)),
        ("Records Processed", alert.records_processed),
        ("Environment", alert.environment),
    )
    return "\n".join(f"*{name}:* {escaped(value)}" for name, value in given if value)


def _bullets(title: str, lines: list[str]) -> str:
    return "\n".join([f"*{title}:*", *lines]) if lines else ""


def _mentions(alert: Alert, config: AlertConfig) -> str:
    """Who is called: everybody named for an error, the first one for a warning."""
    named = config.slack_mentions.split()
    if alert.severity == WARNING:
        return " ".join(named[:1])
    return " ".join(named) if alert.is_bad else ""


def _view(alert: Alert, config: AlertConfig) -> str:
    log_file = alert.log_file or str(config.alerts_dir.parent)
    run = f" (run {alert.run_id})" if alert.run_id else ""
    return f"View logs: `{escaped(log_file)}`{escaped(run)}"


def slack_entry(alert: Alert, config: AlertConfig, now: datetime, what: str = SIMULATED) -> str:
    """The message to Slack as it is written to a file.

    Args:
        alert: what to tell, cleaned.
        config: channels, and who is called.
        now: the present moment, UTC.
        what: why it stands there.
    """
    head = f"{_RULE} SLACK NOTIFICATION {what} {_RULE}"
    return "\n".join([
        head,
        f"Channel: {channel_of(alert, config)}",
        f"Bot Name: {BOT_NAME}",
        f"Timestamp: {time_text(now)}",
        f"Alert Level: {alert.severity}",
        "",
        slack_text(alert, config),
        "=" * len(head),
    ])  # fmt: skip


# --- times -------------------------------------------------------------------------------


def time_text(moment: datetime) -> str:
    """A moment in UTC, to the second.

    Example:
        >>> time_text(datetime(2024, 1, 20, 14, 30, 45))
        '2024-01-20 14:30:45 UTC'
    """
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
