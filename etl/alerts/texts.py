"""The texts of an alert, for e-mail and for Slack: what fills the templates beside this file.

They are made of cleaned alerts. For Slack &, < and > are escaped as well, so that no data can
mention anybody.
"""

import os
import socket
from datetime import datetime
from pathlib import Path

from etl.alerts.alert import CRITICAL, ERROR, INFO, SUCCESS, WARNING, Alert
from etl.alerts.cleaning import harmless
from etl.process import peak_memory_mb
from etl.settings.sections.alerts import AlertConfig
from etl.templates import templates
from etl.words import counted, duration_words

BOT_NAME = "ETL Monitor"
SIMULATED, NOT_DELIVERED = "SIMULATION", "NOT DELIVERED"

_RULE = "=" * 20
_UNKNOWN = "unknown"
_SLACK_CHARACTERS = 1500
_SUBJECT_CHARACTERS = 200
_HEADLINES = {CRITICAL: "Failed", ERROR: "Failed", WARNING: "Needs Attention"}
_EMOJI = {
    CRITICAL: ":rotating_light:",
    ERROR: ":warning:",
    WARNING: ":large_orange_diamond:",
    INFO: ":information_source:",
    SUCCESS: ":white_check_mark:",
}
_STATUS = {CRITICAL: "FAILED", ERROR: "FAILED", WARNING: "NEEDS ATTENTION", SUCCESS: "SUCCESS"}


class _Mentions(str):
    """Text of ours in Slack's markup, which is not escaped."""

    __slots__ = ()


def escaped(value: object) -> str:
    """Return a value as Slack shows it, and as nothing else: no link, no mention.

    Example:
        >>> escaped("<!channel> & <@U1>")
        '&lt;!channel&gt; &amp; &lt;@U1&gt;'
    """
    if isinstance(value, _Mentions):
        return value
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_TEMPLATES = Path(__file__).parent / "templates"
# plain text; for Slack everything is escaped by `escaped`
_EMAIL, _SLACK = templates(_TEMPLATES), templates(_TEMPLATES, finalize=escaped)

# --- e-mail ------------------------------------------------------------------------------


def subject_of(alert: Alert) -> str:
    """Return the subject of the e-mail, on one line."""
    topic = f" - {alert.topic}" if alert.topic else ""
    headline = alert.headline or _HEADLINES.get(alert.severity, "Notice")
    return f"{alert.severity}: ETL Pipeline {headline}{topic}"[:_SUBJECT_CHARACTERS]


def email_body(alert: Alert, now: datetime) -> str:
    """Return the e-mail below its subject; a warning is shorter than an error.

    Args:
        alert: what to report, cleaned.
        now: the present moment, UTC.
    """
    brief = alert.severity == WARNING
    seconds = _UNKNOWN if alert.seconds is None else f"{alert.seconds:,.1f} seconds"
    return _EMAIL.get_template("email.txt").render(
        alert=alert, brief=brief, word=WARNING if brief else ERROR, now=time_text(now),
        held_back=_held_back(alert), seconds=seconds, host=harmless(socket.gethostname(), ()),
        process_id=os.getpid(), memory=f"{peak_memory_mb():,.0f} MB",
    ).rstrip("\n")  # fmt: skip


def _held_back(alert: Alert) -> str:
    if not alert.held_back:
        return ""
    were = "was" if alert.held_back == 1 else "were"
    alerts = counted(alert.held_back, "alert")
    return f"{alerts} of this kind {were} held back since the last one that was sent"


def email_entry(alert: Alert, config: AlertConfig, now: datetime, what: str = SIMULATED) -> str:
    """Return the e-mail as it is written to a file.

    Args:
        alert: what to report, cleaned.
        config: sender and receivers.
        now: the present moment, UTC.
        what: why it is in the file.
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


def channel_of(alert: Alert, config: AlertConfig) -> str:
    """Return the channel that a message of this severity names."""
    return config.slack_channel if alert.is_bad else config.slack_info_channel


def slack_text(alert: Alert, config: AlertConfig) -> str:
    """Return the message to Slack, in its markdown.

    Args:
        alert: what to report, cleaned.
        config: who is called.
    """
    kind = "ETL Pipeline Alert" if alert.is_bad else "ETL Pipeline"
    facts = (
        ("Status", alert.status or _STATUS.get(alert.severity, alert.severity)),
        ("Stage", alert.stage),
        ("Duration", "" if alert.seconds is None else duration_words(alert.seconds)),
        ("Records Processed", alert.records_processed),
        ("Environment", alert.environment),
    )
    return _SLACK.get_template("slack.txt").render(
        alert=alert, facts=facts, emoji=_EMOJI.get(alert.severity, ":warning:"),
        title=f"{kind} - {alert.topic}" if alert.topic else kind,
        message=_cut(alert.message or _UNKNOWN), held_back=_held_back(alert),
        mentions=_mentions(alert, config), log_file=alert.log_file or config.alerts_dir.parent,
    ).rstrip("\n")  # fmt: skip


def _cut(text: str) -> str:
    return text if len(text) <= _SLACK_CHARACTERS else f"{text[:_SLACK_CHARACTERS]} …"


def _mentions(alert: Alert, config: AlertConfig) -> str:
    """Who is called: everybody named for an error, the first one for a warning."""
    named = config.slack_mentions.split() if alert.is_bad else []
    return _Mentions(" ".join(named[:1] if alert.severity == WARNING else named))


def slack_entry(alert: Alert, config: AlertConfig, now: datetime, what: str = SIMULATED) -> str:
    """Return the message to Slack as it is written to a file.

    Args:
        alert: what to report, cleaned.
        config: channels, and who is called.
        now: the present moment, UTC.
        what: why it is in the file.
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


# --- further services --------------------------------------------------------------------


def service_body(alert: Alert) -> str:
    """Return the message to a further service, in plain text.

    Args:
        alert: what to report, cleaned.
    """
    facts = (
        ("Status", alert.status or _STATUS.get(alert.severity, alert.severity)),
        ("Stage", alert.stage),
        ("Records", alert.records_affected),
        ("Last success", alert.last_success),
        ("Environment", alert.environment),
        ("Run", alert.run_id),
        ("Log", alert.log_file),
    )
    return _EMAIL.get_template("service.txt").render(
        alert=alert, facts=facts, message=_cut(alert.message or _UNKNOWN),
        held_back=_held_back(alert),
    ).rstrip("\n")  # fmt: skip


def service_entry(alert: Alert, config: AlertConfig, now: datetime, what: str = SIMULATED) -> str:
    """Return the message to further services as it is written to a file.

    Args:
        alert: what to report, cleaned.
        config: the services.
        now: the present moment, UTC.
        what: why it is in the file.
    """
    head = f"{_RULE} NOTIFICATION {what} {_RULE}"
    kinds = ", ".join(url.partition(":")[0] for url in config.service_urls)
    return "\n".join([
        head, f"To: {kinds}", f"Timestamp: {time_text(now)}", f"Title: {subject_of(alert)}", "",
        service_body(alert), "=" * len(head),
    ])  # fmt: skip


def time_text(moment: datetime) -> str:
    """Return a moment in UTC, to the second.

    Example:
        >>> time_text(datetime(2024, 1, 20, 14, 30, 45))
        '2024-01-20 14:30:45 UTC'
    """
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
