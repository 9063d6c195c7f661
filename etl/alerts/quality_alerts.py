"""Alerts about data that look wrong though they were loaded."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Dict, List

from etl.alerts.actions import quality_actions
from etl.alerts.alert import CRITICAL, ERROR, WARNING, Alert, alert_of
from etl.alerts.notifier import Notifier
from etl.settings.config import AlertConfig

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
