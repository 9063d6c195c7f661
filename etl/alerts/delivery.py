"""Alerts sent for real: an e-mail over SMTP, a message to a webhook of Slack.

A delivery takes a few seconds at most, whatever the other side does, and all deliveries of a run
together not much more. What fails again and again is not called for the rest of the run.
"""

import json
import logging
import smtplib
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from functools import partial
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from etl.alerts.alert import CRITICAL, Alert
from etl.alerts.texts import (
    BOT_NAME,
    channel_of,
    email_body,
    service_body,
    slack_text,
    subject_of,
)
from etl.errors import ETLError
from etl.history.runs import utc_now
from etl.libraries import library
from etl.resilience.circuit_breaker import CircuitBreaker
from etl.resilience.retry import retry_with_backoff
from etl.resilience.transient import is_transient
from etl.settings.sections.alerts import AlertConfig

logger = logging.getLogger(__name__)

_DELIVERY_S = 10.0
_RUN_S = 30.0
_RETRIES, _LONGEST_WAIT_S = 1, 2.0
_SMTPS_PORT = 465
_ANSWER_BYTES = 200
_HTTP_OK = range(200, 300)
_HTTP_BUSY = 429
_SERVER_ERRORS = range(500, 600)  # of HTTP
_TRY_LATER = range(400, 500)  # of SMTP


class DeliveryError(ETLError):
    """An alert was not delivered; the message says why."""


class Delivery:
    """Sends alerts, within bounds of time, and remembers within a run what does not work.

    Every failure counts for the breakers, a refused login too: trying it again and again would
    lock the account.

    Args:
        failure_threshold: failures in a row after which the circuit of a channel is open.
        recovery_seconds: for how long.
        delivery_s: the longest that one delivery takes, in seconds, repeated attempts included.
        run_s: the longest that all of them take together.
        sleep: waits for a number of seconds before another attempt.
    """

    def __init__(
        self,
        failure_threshold: int = 5,
        recovery_seconds: float = 60.0,
        *,
        delivery_s: float = _DELIVERY_S,
        run_s: float = _RUN_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._mail = CircuitBreaker(failure_threshold, recovery_seconds, name="mail server")
        self._slack = CircuitBreaker(failure_threshold, recovery_seconds, name="webhook of Slack")
        self._delivery_s = delivery_s
        self._left_s = run_s
        self._retry = retry_with_backoff(
            _RETRIES, _LONGEST_WAIT_S, exceptions=_may_pass, max_total_s=delivery_s, sleep=sleep,
            on_retry=lambda _: None,
        )  # fmt: skip

    def send_email(self, alert: Alert, config: AlertConfig) -> None:
        """Send an alert by e-mail.

        Raises:
            DeliveryError: it was not delivered, or nobody knows.
        """
        message = email_message(alert, config)
        self._deliver(lambda: self._mail.call(_send_email, message, config, self._delivery_s))

    def post_to_slack(self, alert: Alert, config: AlertConfig) -> None:
        """Post an alert to Slack.

        Raises:
            DeliveryError: it was not delivered, or nobody knows.
        """
        payload = slack_payload(alert, config)
        self._deliver(lambda: self._slack.call(_post, payload, config, self._delivery_s))

    def send_to_services(self, alert: Alert, config: AlertConfig) -> None:
        """Send an alert to the services of ALERT_URLS.

        Raises:
            DeliveryError: one of them did not take it; it is named by its place and kind.
        """
        failed = []
        for place, url in enumerate(config.service_urls, 1):
            try:
                self._deliver(partial(_notify, url, alert, self._delivery_s))
            except DeliveryError as error:
                failed.append(f"address {place} ({url.partition(':')[0]}): {error}")
        if failed:
            raise DeliveryError("; ".join(failed))

    def _deliver(self, attempt: Callable[[], None]) -> None:
        limit_s, started = min(self._delivery_s, self._left_s), time.monotonic()
        if limit_s <= 0:
            raise DeliveryError("the time that a run has for its alerts is used up")
        try:
            _within(limit_s, self._retry(attempt))
        except (OSError, smtplib.SMTPException, HTTPException, ETLError, ValueError) as error:
            raise DeliveryError(_in_words(error)) from error
        finally:
            self._left_s -= time.monotonic() - started


def _within(seconds: float, function: Callable[[], None]) -> None:
    """Run a function for so long at most.

    In a thread: neither the resolution of a name nor a server that sends a byte now and then is
    bounded by the timeout of a socket.

    Raises:
        TimeoutError: it had not ended by then; it goes on unseen and ends with the process.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001  # raised below, in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, name="alert-delivery", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    if errors:
        raise errors[0]


def _may_pass(error: BaseException) -> bool:
    """Whether another attempt may deliver what this one did not."""
    if isinstance(error, HTTPError):
        return error.code in _SERVER_ERRORS or error.code == _HTTP_BUSY
    if isinstance(error, URLError):
        return isinstance(error.reason, BaseException) and is_transient(error.reason)
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code in _TRY_LATER
    return isinstance(error, smtplib.SMTPServerDisconnected) or is_transient(error)


def _in_words(error: BaseException) -> str:
    if isinstance(error, HTTPError):
        with error:
            answer = ""
            with suppress(OSError, HTTPException):  # it may be cut off
                answer = error.read(_ANSWER_BYTES).decode("utf-8", "replace").strip()
        return f"Slack answered {error.code} {error.reason}: {answer or 'nothing'}"
    if isinstance(error, smtplib.SMTPResponseException):
        reply = error.smtp_error
        text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)
        return f"the mail server answered {error.smtp_code} {text}"
    return f"{type(error).__name__}: {error}"


# --- e-mail ------------------------------------------------------------------------------


def email_message(alert: Alert, config: AlertConfig) -> EmailMessage:
    """Return the e-mail of an alert.

    Args:
        alert: what to report, cleaned, so that its subject is one line.
        config: sender and receivers.
    """
    sender, now = config.alert_email_from or "", utc_now()
    message = EmailMessage()
    message["Subject"] = subject_of(alert)
    message["From"] = sender
    message["To"] = ", ".join(config.alert_email_to)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2] or None)
    message["Auto-Submitted"] = "auto-generated"  # no answers from people on holiday
    if alert.severity == CRITICAL:
        message["X-Priority"] = "1"
        message["Importance"] = "high"
    message.set_content(email_body(alert, now))
    return message


def _send_email(message: EmailMessage, config: AlertConfig, timeout_s: float) -> None:
    server = _connect(config, timeout_s)
    try:
        if config.smtp_username and config.smtp_password:
            server.login(config.smtp_username, config.smtp_password.get_secret_value())
        refused = server.send_message(message)
    except BaseException:
        server.close()
        raise
    with suppress(OSError, smtplib.SMTPException):  # it has the message
        server.quit()
    if refused:  # the others have it
        logger.warning("the mail server took no alerts for %s", ", ".join(sorted(refused)))


def _connect(config: AlertConfig, timeout_s: float) -> smtplib.SMTP:
    host, port = config.smtp_host or "", config.smtp_port
    if port == _SMTPS_PORT:
        return smtplib.SMTP_SSL(host, port, timeout=timeout_s, context=ssl.create_default_context())
    server = smtplib.SMTP(host, port, timeout=timeout_s)
    try:
        if config.smtp_starttls:
            server.starttls(context=ssl.create_default_context())
    except BaseException:
        server.close()
        raise
    return server


# --- further services --------------------------------------------------------------------


def _notify(url: str, alert: Alert, timeout_s: float) -> None:
    services = library("etl.alerts.services", needed_by="ALERT_URLS", extra="apprise")
    took_it = services.post(
        url, title=subject_of(alert), body=service_body(alert), severity=alert.severity,
        timeout_s=timeout_s,
    )  # fmt: skip
    if not took_it:
        raise DeliveryError("it did not take the message; check the address")


# --- Slack -------------------------------------------------------------------------------


def slack_payload(alert: Alert, config: AlertConfig) -> dict[str, object]:
    """Return what is posted to the webhook.

    Args:
        alert: what to report, cleaned.
        config: channels, and who is called.
    """
    return {
        "channel": channel_of(alert, config),
        "username": BOT_NAME,
        "text": slack_text(alert, config),
        "mrkdwn": True,
        "parse": "none",  # a name in the text mentions nobody
        "link_names": False,
        "unfurl_links": False,
    }


class _NoRedirect(HTTPRedirectHandler):
    """An answer from elsewhere would be taken for one of Slack's."""

    def redirect_request(self, *_args: object) -> None:
        return None


def _post(payload: dict[str, object], config: AlertConfig, timeout_s: float) -> None:
    webhook = config.slack_webhook_url
    request = Request(  # noqa: S310  # the setting takes http and https only
        webhook.get_secret_value() if webhook else "",
        data=json.dumps(payload).encode("ascii"),
        headers={"Content-Type": "application/json; charset=utf-8"},
        method="POST",
    )
    with build_opener(_NoRedirect).open(request, timeout=timeout_s) as answer:
        if answer.status not in _HTTP_OK:
            raise DeliveryError(f"Slack answered {answer.status}")
