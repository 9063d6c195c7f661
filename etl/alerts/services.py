"""Alerts to further services, by Apprise: Teams, PagerDuty, webhooks and a hundred more."""

import logging

from apprise import Apprise, NotifyType

from etl.alerts.alert import CRITICAL, ERROR, WARNING

_TYPES = {
    CRITICAL: NotifyType.FAILURE,
    ERROR: NotifyType.FAILURE,
    WARNING: NotifyType.WARNING,
}

# its lines name addresses, which are the secret
logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)


def post(url: str, *, title: str, body: str, severity: str, timeout_s: float) -> bool:
    """Send a message to one service.

    Args:
        url: of the service, as Apprise writes it.
        title: one line.
        body: plain text.
        severity: of the alert.
        timeout_s: how long to wait for an answer.

    Returns:
        Whether the service took it; false as well for an address that is none.
    """
    service = Apprise.instantiate(url)
    if service is None:
        return False
    service.socket_connect_timeout = service.socket_read_timeout = timeout_s
    services = Apprise(service)
    kind = _TYPES.get(severity, NotifyType.INFO)
    return bool(services.notify(body=body, title=title, notify_type=kind))
