"""Alerts: written to LOG_DIR/alerts as they would be sent, or sent by e-mail and to Slack.

No alert fails a run: what goes wrong with one is logged, and the run goes on.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List

from etl.alerts.actions import quality_actions
from etl.alerts.alert import CRITICAL, ERROR, WARNING, Alert, alert_of, error_facts
from etl.alerts.cleaning import cleaned, harmless
from etl.alerts.delivery import Delivery, DeliveryError
from etl.alerts.faults import fault_key
from etl.alerts.folder import EMAIL_LOG, SERVICES_LOG, SLACK_LOG, AlertFiles
from etl.alerts.texts import NOT_DELIVERED, email_entry, service_entry, slack_entry
from etl.alerts.throttling import SENT, AlertThrottler
from etl.history.runs import utc_now
from etl.monitoring.logs import set_critical_handler
from etl.settings.sections.alerts import AlertConfig
from etl.settings.sections.logging import LoggingConfig

logger = logging.getLogger(__name__)

_SEND = "send"
_KEY_CHARACTERS = 60


def simulate_email_alert(error_details: Dict, config: AlertConfig) -> bool:  # type: ignore[type-arg]  # the public signature is fixed
    """Write an e-mail about an error to `email_alerts.log`, or send it with ALERT_MODE=send.

    Args:
        error_details: what is known, such as `severity`, `stage`, `error_type`, `error_message`,
            `records_affected` (a count or text), `processing_time` (seconds), `stack_trace`,
            `last_successful_run`; an exception gives its class, text, trace and next step; other
            keys are shown as figures. Actions are recommended by the error unless
            `recommended_actions` has them.
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
    """Write a message to `slack_notifications.log`, or post it with ALERT_MODE=send.

    Args:
        message: what happened.
        level: `critical`, `error`, `warning`, `info` or `success`; decides channel and mentions.
        config: the settings of alerts.
        details: what else is known, as for `simulate_email_alert`.

    Returns:
        Whether it was written or sent. That it was not is logged, never raised.
    """
    return slack_alert(alert_of({**(details or {}), "message": message, "severity": level}), config)


def email_alert(alert: Alert, config: AlertConfig, delivery: Delivery | None = None) -> bool:
    """Send an alert by e-mail, or write it to the file of simulated ones.

    Args:
        alert: what to report.
        config: the settings of alerts.
        delivery: what the deliveries of a run share.

    Returns:
        Whether it was delivered; in `send` mode without a mail server it is only written.
    """
    send = (delivery or Delivery()).send_email if config.can_email else None
    return _delivered(_Channel("e-mail", EMAIL_LOG, email_entry, send), alert, config)


def slack_alert(alert: Alert, config: AlertConfig, delivery: Delivery | None = None) -> bool:
    """Post an alert to Slack, or write it to the file of simulated messages.

    Args:
        alert: what to report.
        config: the settings of alerts.
        delivery: what the deliveries of a run share.

    Returns:
        Whether it was delivered; in `send` mode without a webhook it is only written.
    """
    send = (delivery or Delivery()).post_to_slack if config.can_slack else None
    return _delivered(_Channel("message to Slack", SLACK_LOG, slack_entry, send), alert, config)


def service_alert(alert: Alert, config: AlertConfig, delivery: Delivery | None = None) -> bool:
    """Send an alert to the services of ALERT_URLS, or write it to the file of simulated ones.

    Args:
        alert: what to report.
        config: the settings of alerts.
        delivery: what the deliveries of a run share.

    Returns:
        Whether it was delivered to all of them.
    """
    send = (delivery or Delivery()).send_to_services
    channel = _Channel("message to ALERT_URLS", SERVICES_LOG, service_entry, send)
    return _delivered(channel, alert, config)


@dataclass(frozen=True)
class _Channel:
    """Where alerts go to; `send` is None when its settings are not complete."""

    name: str
    file: str
    entry: Callable[..., str]
    send: Callable[[Alert, AlertConfig], None] | None


def _delivered(channel: _Channel, alert: Alert, config: AlertConfig) -> bool:
    try:
        alert = cleaned(alert, config.secrets)
        if config.alert_mode == _SEND and channel.send is not None:
            return _sent(channel, channel.send, alert, config)
        text = channel.entry(alert, config, utc_now())
        written = AlertFiles.of(config).append(channel.file, text)
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not fail the run
        reason = harmless(f"{type(error).__name__}: {error}", config.secrets)
        logger.warning("the %s of an alert was not written: %s", channel.name, reason)
        return False
    return written and config.alert_mode != _SEND


def _sent(
    channel: _Channel, send: Callable[[Alert, AlertConfig], None], alert: Alert, config: AlertConfig
) -> bool:
    try:
        send(alert, config)
    except DeliveryError as error:
        reason = harmless(str(error), config.secrets)
        logger.error(  # noqa: TRY400  # the trace of a delivery says nothing more
            "the %s of an alert was not delivered; it is in %s: %s",
            channel.name, config.alerts_dir / channel.file, reason,
        )  # fmt: skip
        text = channel.entry(alert, config, utc_now(), NOT_DELIVERED)
        AlertFiles.of(config).append(channel.file, text)
        return False
    return True


@dataclass(frozen=True)
class Notifier:
    """Sends the alerts of a run, each unless one of its kind was sent lately.

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
        """Return a notifier that remembers in LOG_DIR/alerts, for ALERT_THROTTLE_MINUTES."""
        files = AlertFiles.of(config)
        throttler = AlertThrottler(config.alert_throttle_minutes, files=files)
        return cls(config, throttler, delivery or Delivery())

    def notify(
        self, alert_key: str, *, email: Alert | None = None, slack: Alert | None = None
    ) -> bool:
        """Send an alert unless it is held back; one channel that takes it is enough.

        Args:
            alert_key: what kind of alert it is.
            email: what to report by e-mail.
            slack: what to report in Slack.

        Returns:
            Whether it was sent, or written where alerts are simulated.
        """
        if not self.throttler.should_send_alert(alert_key):
            reason = self.throttler.throttled_reason(alert_key)
            self.throttler.log_alert_throttled(alert_key, reason)
            logger.info("alert %s is held back: %s", alert_key, reason)
            return False
        held_back = self.throttler.held_back(alert_key)
        done = [name for name, send in self._channels(email, slack, held_back) if send()]
        if not done:
            self.throttler.log_alert_failed(alert_key, "not delivered; the log says why")
            return False
        self.throttler.log_alert_sent(alert_key)
        self._log(alert_key, " and ".join(done))
        return True

    def _log(self, alert_key: str, channels: str) -> None:
        if self.config.alert_mode == _SEND:
            logger.info("alert %s sent: %s", alert_key, channels)
        else:
            folder = self.config.alerts_dir
            logger.info(
                "alert %s (%s) written to %s, not sent: ALERT_MODE is %s",
                alert_key, channels, folder, self.config.alert_mode,
            )  # fmt: skip

    def _channels(
        self, email: Alert | None, slack: Alert | None, held_back: int
    ) -> Iterator[tuple[str, Callable[[], bool]]]:
        if email is not None:
            mail = replace(email, held_back=held_back)
            yield "e-mail", lambda: email_alert(mail, self.config, self.delivery)
        if slack is not None:
            post = replace(slack, held_back=held_back)
            yield "Slack", lambda: slack_alert(post, self.config, self.delivery)
        either = email or slack
        if either is not None and either.is_bad and self.config.service_urls:
            service = replace(either, held_back=held_back)
            yield "ALERT_URLS", lambda: service_alert(service, self.config, self.delivery)

    def notify_always(self, alert_key: str, slack: Alert) -> bool:
        """Report something in Slack that is never held back, such as a success."""
        sent = slack_alert(slack, self.config, self.delivery)
        if sent:
            self.throttler.log_alert_decision(alert_key, SENT, "never held back")
            self._log(alert_key, "Slack")
        return sent


# --- log records -------------------------------------------------------------------------


def record_facts(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a log record says for an alert, with the error that it carries."""
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

    @classmethod
    def of(cls, logs: LoggingConfig) -> "CriticalAlertHandler":
        """Return a handler with the settings of alerts, in the folder of these logs."""
        return cls(AlertConfig().beside(logs))

    def emit(self, record: logging.LogRecord) -> None:
        """Send it; nothing is raised."""
        alert = alert_of(record_facts(record) | {"severity": CRITICAL})
        error = record.exc_info[1] if record.exc_info else None
        kind = fault_key(error) if error else "_".join(str(record.msg).split())[:_KEY_CHARACTERS]
        self._notifier.notify(f"critical_{record.name}_{kind}", email=alert)


set_critical_handler(CriticalAlertHandler.of)


# --- quality -----------------------------------------------------------------------------

_STAGE = "Data Quality"


def process_quality_alerts(
    anomalies: List[Dict],  # type: ignore[type-arg]  # the public signature is fixed
    alert_config: AlertConfig,
    *,
    notifier: Notifier | None = None,
    context: Mapping[str, Any] | None = None,
) -> None:
    """Alert about anomalies: a critical one by e-mail and in Slack, others in Slack.

    Of the same type and table one is sent per ALERT_THROTTLE_MINUTES, across runs.

    Args:
        anomalies: dicts with `type`, `table`, `severity` and `message`; other keys are shown as
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
