"""Alerts: written to LOG_DIR/alerts as they would be sent, or sent by e-mail and to Slack.

No alert fails a run: what goes wrong with one is logged, and the run goes on.
"""

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List

from etl.alerts.alert import (
    CRITICAL,
    ERROR,
    WARNING,
    Alert,
    alert_of,
    cleaned,
    harmless,
    quality_actions,
)
from etl.alerts.delivery import Delivery, DeliveryError
from etl.alerts.folder import EMAIL_LOG, SLACK_LOG, AlertFiles
from etl.alerts.texts import NOT_DELIVERED, email_entry, slack_entry
from etl.alerts.throttling import SENT, AlertThrottler
from etl.history.runs import utc_now
from etl.settings.config import AlertConfig

__all__ = [
    "AlertThrottler",
    "CriticalAlertHandler",
    "Notifier",
    "email_alert",
    "error_facts",
    "record_facts",
    "simulate_email_alert",
    "simulate_slack_notification",
    "slack_alert",
]

logger = logging.getLogger(__name__)

_SEND = "send"


def simulate_email_alert(error_details: Dict, config: AlertConfig) -> bool:  # type: ignore[type-arg]  # the public signature is fixed
    """Writes an e-mail about an error to `email_alerts.log`, or sends it with ALERT_MODE=send.

    Args:
        error_details: what is known, such as `severity`, `stage`, `error_type`, `error_message`,
            `records_affected`, `processing_time` (seconds), `stack_trace`,
            `last_successful_run`; other keys are told as figures. Actions are recommended by the
            error unless `recommended_actions` has them.
        config: the settings of alerts.

    Returns:
        Whether it was written or sent. That it was not is logged, never raised.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from etl.settings.config import load_config
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     config = load_config("dev", environ={"LOG_DIR": folder}).alerts
        ...     simulate_email_alert({"severity": "critical", "stage": "Data Loading"}, config)
        ...     text = Path(folder, "alerts", "email_alerts.log").read_text("utf-8")
        True
        >>> text.splitlines()[3]
        'Subject: CRITICAL: ETL Pipeline Failed'
    """
    return email_alert(alert_of(error_details), config)


def simulate_slack_notification(
    message: str,
    level: str,
    config: AlertConfig,
    *,
    details: Mapping[str, object] | None = None,
) -> bool:
    """Writes a message to `slack_notifications.log`, or posts it with ALERT_MODE=send.

    Args:
        message: what to tell.
        level: `critical`, `error`, `warning`, `info` or `success`; decides channel and mentions.
        config: the settings of alerts.
        details: what else is known, as for `simulate_email_alert`.

    Returns:
        Whether it was written or sent. That it was not is logged, never raised.
    """
    return slack_alert(alert_of({**(details or {}), "message": message, "severity": level}), config)


def email_alert(alert: Alert, config: AlertConfig, delivery: Delivery | None = None) -> bool:
    """Tells an alert by e-mail, or in the file of simulated ones.

    Args:
        alert: what to tell.
        config: the settings of alerts.
        delivery: what the deliveries of a run share.

    Returns:
        Whether it was delivered; in `send` mode without a mail server it is only written.
    """
    send = (delivery or Delivery()).send_email if config.can_email else None
    return _told(_Way("e-mail", EMAIL_LOG, email_entry, send), alert, config)


def slack_alert(alert: Alert, config: AlertConfig, delivery: Delivery | None = None) -> bool:
    """Tells an alert in Slack, or in the file of simulated messages.

    Args:
        alert: what to tell.
        config: the settings of alerts.
        delivery: what the deliveries of a run share.

    Returns:
        Whether it was delivered; in `send` mode without a webhook it is only written.
    """
    send = (delivery or Delivery()).post_to_slack if config.can_slack else None
    return _told(_Way("message to Slack", SLACK_LOG, slack_entry, send), alert, config)


@dataclass(frozen=True)
class _Way:
    """One of the ways to tell an alert; `send` is None when its settings are not complete."""

    name: str
    file: str
    entry: Callable[..., str]
    send: Callable[[Alert, AlertConfig], None] | None


def _told(way: _Way, alert: Alert, config: AlertConfig) -> bool:
    try:
        alert = cleaned(alert, config.secrets)
        if config.alert_mode == _SEND and way.send is not None:
            return _sent(way, way.send, alert, config)
        text = way.entry(alert, config, utc_now())
        written = AlertFiles.of(config).append(way.file, text)
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not fail the run
        told = harmless(f"{type(error).__name__}: {error}", config.secrets)
        logger.warning("the %s of an alert was not told: %s", way.name, told)
        return False
    return written and config.alert_mode != _SEND


def _sent(
    way: _Way, send: Callable[[Alert, AlertConfig], None], alert: Alert, config: AlertConfig
) -> bool:
    try:
        send(alert, config)
    except DeliveryError as error:
        told = harmless(str(error), config.secrets)
        logger.error(  # noqa: TRY400  # the trace of a delivery says nothing more
            "the %s of an alert was not delivered, it stands in %s: %s", way.name, way.file, told
        )
        text = way.entry(alert, config, utc_now(), NOT_DELIVERED)
        AlertFiles.of(config).append(way.file, text)
        return False
    return True


@dataclass(frozen=True)
class Notifier:
    """Tells the alerts of a run: each in its ways, unless one of its kind was told lately.

    Attributes:
        config: the settings of alerts.
        throttler: decides, and remembers.
        delivery: what the deliveries of a run share.
    """

    config: AlertConfig
    throttler: AlertThrottler
    delivery: Delivery = field(default_factory=Delivery)

    @classmethod
    def of(cls, config: AlertConfig, delivery: Delivery | None = None) -> "Notifier":
        """A notifier that remembers in LOG_DIR/alerts, for ALERT_THROTTLE_MINUTES."""
        files = AlertFiles.of(config)
        throttler = AlertThrottler(config.alert_throttle_minutes, files=files)
        return cls(config, throttler, delivery or Delivery())

    def notify(
        self, alert_key: str, *, email: Alert | None = None, slack: Alert | None = None
    ) -> bool:
        """Tells an alert unless it is held back; delivered one way or the other, it is told.

        Args:
            alert_key: what kind of alert it is.
            email: what to tell by e-mail.
            slack: what to tell in Slack.

        Returns:
            Whether it was told.
        """
        if not self.throttler.should_send_alert(alert_key):
            reason = self.throttler.throttled_reason(alert_key)
            self.throttler.log_alert_throttled(alert_key, reason)
            logger.info("alert %s is held back: %s", alert_key, reason)
            return False
        held_back = self.throttler.held_back(alert_key)
        told = [name for name, way in self._ways(email, slack, held_back) if way()]
        if not told:
            self.throttler.log_alert_failed(alert_key, "not delivered; the log says why")
            return False
        self.throttler.log_alert_sent(alert_key)
        logger.info("alert %s: %s", alert_key, " and ".join(told))
        return True

    def _ways(
        self, email: Alert | None, slack: Alert | None, held_back: int
    ) -> Iterator[tuple[str, Callable[[], bool]]]:
        if email is not None:
            mail = replace(email, held_back=held_back)
            yield "e-mail", lambda: email_alert(mail, self.config, self.delivery)
        if slack is not None:
            post = replace(slack, held_back=held_back)
            yield "Slack", lambda: slack_alert(post, self.config, self.delivery)

    def notify_always(self, alert_key: str, slack: Alert) -> bool:
        """Tells something in Slack that is never held back, such as a success."""
        told = slack_alert(slack, self.config, self.delivery)
        if told:
            self.throttler.log_alert_decision(alert_key, SENT, "never held back")
        return told


# --- errors and log records --------------------------------------------------------------


def error_facts(error: BaseException) -> dict[str, Any]:
    """What an error says for an alert: `error_type`, `message` and `stack_trace`.

    Example:
        >>> error_facts(TimeoutError("slow"))["error_type"]
        'TimeoutError'
    """
    return {
        "error_type": " caused by ".join(_class_names(error)),
        "message": str(error) or type(error).__name__,
        "stack_trace": "".join(traceback.format_exception(error)),
    }


def _class_names(error: BaseException) -> Iterator[str]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        module = type(cause).__module__
        own = module == "builtins" or "." in module
        yield type(cause).__name__ if own else f"{module}.{type(cause).__name__}"
        cause = cause.__cause__


def record_facts(record: logging.LogRecord) -> dict[str, Any]:
    """What a log record says for an alert, with the error that it carries."""
    error = record.exc_info[1] if record.exc_info else None
    known = {
        "severity": record.levelname,
        "stage": getattr(record, "stage", None),
        "topic": getattr(record, "source", None),
        "run_id": getattr(record, "run_id", None),
    }
    facts = {name: value for name, value in known.items() if value}
    return {**facts, **(error_facts(error) if error else {}), "message": record.getMessage()}


class CriticalAlertHandler(logging.Handler):
    """A log handler that sends an e-mail for each CRITICAL record, throttled by its error.

    Args:
        config: the settings of alerts.
        notifier: what the alerts of a run share; one of its own when left out.

    Example:
        >>> handler = CriticalAlertHandler(AlertConfig())
        >>> handler.level == logging.CRITICAL
        True
    """

    def __init__(self, config: AlertConfig, *, notifier: Notifier | None = None) -> None:
        super().__init__(logging.CRITICAL)
        self._notifier = notifier or Notifier.of(config)

    def emit(self, record: logging.LogRecord) -> None:
        """Sends it; nothing is raised."""
        alert = alert_of(record_facts(record) | {"severity": CRITICAL})
        kind = alert.error_type.split(" ")[0] or "message"
        self._notifier.notify(f"critical_{record.name}_{kind}", email=alert)


_STAGE = "Data Quality"


def process_quality_alerts(
    anomalies: List[Dict],  # type: ignore[type-arg]  # the public signature is fixed
    alert_config: AlertConfig,
    *,
    notifier: Notifier | None = None,
    context: Mapping[str, Any] | None = None,
) -> None:
    """Alerts about anomalies: a critical one by e-mail and in Slack, others in Slack.

    Of the same type and table one is told per ALERT_THROTTLE_MINUTES, across runs.

    Args:
        anomalies: dicts with `type`, `table`, `severity` and `message`; other keys are told as
            figures.
        alert_config: the settings of alerts.
        notifier: what the alerts of a run share; one of its own when left out.
        context: what else is known of the run, such as `run_id` and `environment`.

    Example:
        >>> process_quality_alerts([], AlertConfig())
    """
    notifier = notifier or Notifier.of(alert_config)
    for anomaly in anomalies:
        kind, table = anomaly.get("type", "anomaly"), anomaly.get("table", "warehouse")
        alert = _alert({**(context or {}), **anomaly})
        if alert.severity == CRITICAL:
            email, slack = alert, replace(alert, severity=ERROR)
            notifier.notify(f"quality_{kind}_{table}", email=email, slack=slack)
        else:
            warning = replace(alert, severity=WARNING)
            notifier.notify(f"quality_{kind}_{table}", slack=warning)


def _alert(details: Mapping[str, Any]) -> Alert:
    alert = alert_of(details)
    return replace(
        alert,
        headline="Data Quality Anomaly",
        stage=alert.stage or _STAGE,
        status="ANOMALY",
        records_affected=alert.records_affected or f"see {alert.topic or 'the warehouse'}",
        actions=alert.actions or quality_actions(),
    )
