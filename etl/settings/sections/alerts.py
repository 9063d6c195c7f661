"""The settings of alerts: whether and how they are sent, and to whom."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from etl.settings.kinds import (
    Address,
    Addresses,
    Count,
    Hour,
    Mode,
    Port,
    Secret,
    Switch,
    Text,
    Webhook,
)
from etl.settings.layers import Given
from etl.settings.sections.logging import LoggingConfig
from etl.settings.sections.section import Section, both_or_none, setting

# laid out by hand, as a table
# fmt: off


class AlertConfig(Section):
    """Alerts: written to files under LOG_DIR, or sent by e-mail and to Slack."""

    alert_mode: Mode = setting(
        "simulate", "simulate writes alerts to LOG_DIR/alerts; send delivers them, and needs "
        "SMTP_HOST, ALERT_EMAIL_FROM and ALERT_EMAIL_TO, SLACK_WEBHOOK_URL or ALERT_URLS, or all "
        "of them")
    smtp_host: Text | None = setting(None, "mail server")
    smtp_port: Port = setting(
        587, "port of the mail server; 587 is the one for submission, 465 is encrypted throughout")
    smtp_username: Text | None = setting(None, "login on the mail server; unset sends without one")
    smtp_password: Secret | None = setting(None, "password of SMTP_USERNAME")
    smtp_starttls: Switch = setting(True, "encrypt the connection to the mail server")
    alert_email_from: Address | None = setting(None, "sender of alerts")
    alert_email_to: Addresses = setting((), "receivers of alerts, commas between")
    slack_webhook_url: Webhook | None = setting(
        None, "incoming webhook of Slack; whoever knows it can post")
    slack_channel: Text = setting(
        "#data-alerts", "channel that warnings and errors name; Slack keeps to the channel that a "
        "webhook was made for")
    slack_info_channel: Text = setting(
        "#data-runs", "channel that messages name which ask for nothing: runs that went well")
    slack_mentions: Text = setting(
        "<@data-team> <@on-call-engineer>", "who is called in errors, the first also in warnings; "
        "Slack itself knows people as <@U024BE7LH> and groups as <!subteam^SAZ94GDB8>")
    alert_throttle_minutes: Count = setting(
        30, "minutes for which an alert of the same kind is not repeated; 0 repeats every one")

    alert_urls: Secret | None = setting(
        None, "further services that are sent alerts, blanks between, as Apprise writes them: "
        "msteams://..., pagerduty://..., or jsons://host/path for a webhook")
    sla_time: Hour | None = setting(
        None, "hour by which every load should have succeeded, such as 06:00, in "
        "SOURCE_TIME_ZONE; --check-sla alerts about those that have not")

    @property
    def alerts_dir(self) -> Path:
        """Folder of simulated alerts and of decisions to throttle."""
        return self._log_dir / "alerts"

    def beside(self, logs: LoggingConfig) -> Self:
        """Return the same settings with the alerts written beside these logs."""
        copy = self.model_copy()
        copy._log_dir = logs.log_dir
        copy._log_limits = logs.log_max_bytes, logs.log_backup_count
        return copy

    @property
    def log_limits(self) -> tuple[int, int]:
        """LOG_MAX_BYTES and LOG_BACKUP_COUNT, which hold for the files of alerts too."""
        return self._log_limits

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be in an alert: every secret setting, the longest first."""
        return self._secrets

    @property
    def service_urls(self) -> tuple[str, ...]:
        """The addresses of ALERT_URLS."""
        return tuple(self.alert_urls.get_secret_value().split()) if self.alert_urls else ()

    @property
    def can_email(self) -> bool:
        """Whether all that an e-mail needs is set."""
        return bool(self.smtp_host and self.alert_email_from and self.alert_email_to)

    @property
    def can_slack(self) -> bool:
        """Whether all that a message to Slack needs is set."""
        return self.slack_webhook_url is not None

    @classmethod
    def _broken_rules(cls, given: Mapping[str, Given], env: str) -> Iterator[tuple[str, str]]:
        yield from both_or_none(given, "SMTP_USERNAME", "SMTP_PASSWORD")
        mode = str(given["ALERT_MODE"].value) if "ALERT_MODE" in given else ""
        missing = {"SMTP_HOST", "ALERT_EMAIL_FROM", "ALERT_EMAIL_TO"} - given.keys()
        others = ("SLACK_WEBHOOK_URL", "ALERT_URLS")
        if mode.strip().lower() == "send" and missing and not given.keys() & {*others}:
            ways = (", ".join(sorted(missing)), *others)
            yield "ALERT_MODE", f"a way to send: {' or '.join(ways)}"
