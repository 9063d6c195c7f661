"""Whether a run could begin now: every part is looked at, and nothing is changed.

The warehouse is opened for reading only and without its lock; nothing is created in it. A check
that goes wrong is reported as a check that failed, so that it hides none of the others.
"""

import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Dict
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from etl.errors import EXIT_FAILED, EXIT_IN_USE, EXIT_OK, ConfigurationError
from etl.libraries import library
from etl.monitoring.health.files import (
    file_checks,
    folder_checks,
    interface_checks,
    own_source_checks,
    sales_source_checks,
)
from etl.monitoring.health.findings import FAILED, PASSED, WARNING, Check, InUse, failed, guarded
from etl.monitoring.health.runs import journal_checks
from etl.monitoring.health.warehouse import database_checks
from etl.settings.config import Config, load_config, secrets_of
from etl.settings.connection_strings import masked
from etl.telemetry.emit import emitters_of

_TIMEOUT_S = 5.0
_PORTS = {"https": 443, "http": 80}

HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"


def pipeline_health_check(config: Config | None = None) -> Dict[str, Any]:
    """Check everything that a run needs, and change nothing.

    Args:
        config: the settings; those of dev when left out.

    Returns:
        `status` (`healthy`, `degraded` with warnings only, `unhealthy`), `exit_code` (0, 1 when a
        check failed, 2 for settings that cannot be used, 4 while another process has the
        warehouse) and `checks`: a list of `name`, `status` (`passed`, `warning`, `failed`),
        `value`, `threshold`, `message`. No secret is in them.
    """
    try:
        config = config or load_config()
    except ConfigurationError as error:
        return _report([Check("configuration", FAILED, message=str(error))], error.exit_code)
    looks: tuple[tuple[str, Callable[[Config], Iterable[Check]]], ...] = (
        ("configuration", _configuration),
        ("database", database_checks),
        ("sales source", sales_source_checks),
        ("files", file_checks),
        ("declared loads", own_source_checks),
        ("interfaces", interface_checks),
        ("folders", folder_checks),
        ("alerts", _alerts),
        ("services", _services),
        ("telemetry", _telemetry),
    )
    found = [check for name, look in looks for check in guarded(name, partial(look, config))]
    found += guarded("journal", partial(journal_checks, config, {check.name for check in found}))
    secrets = secrets_of(config)
    return _report([_without_secrets(check, secrets) for check in found])


def _report(checks: Sequence[Check], exit_code: int | None = None) -> Dict[str, Any]:
    states = {check.status for check in checks}
    in_use = any(isinstance(check, InUse) for check in checks)
    code = EXIT_FAILED if FAILED in states else EXIT_IN_USE if in_use else EXIT_OK
    return {
        "status": UNHEALTHY if FAILED in states else DEGRADED if WARNING in states else HEALTHY,
        "exit_code": code if exit_code is None else exit_code,
        "checks": [asdict(check) for check in checks],
    }


# --- configuration -----------------------------------------------------------------------


def _configuration(config: Config) -> Iterator[Check]:
    where = config.database.display_name.replace(f"{config.base_dir.as_posix()}/", "")
    message = f"environment {config.environment}, warehouse: {where}"
    yield Check("configuration", PASSED, config.environment, message=message)


def _telemetry(config: Config) -> Iterator[Check]:
    for emitter in emitters_of(config):
        emitter.loaded()
        yield Check("telemetry", PASSED, emitter.setting, message=f"{emitter.setting} is set")


def _without_secrets(check: Check, secrets: Iterable[str]) -> Check:
    value = masked(check.value, secrets) if isinstance(check.value, str) else check.value
    return replace(check, value=value, message=masked(check.message, secrets))


# --- servers that alerts are sent to: connected to and asked nothing ---


@dataclass(frozen=True)
class Endpoint:
    """A server, and whether its certificate is looked at too."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def endpoint_of(url: str) -> Endpoint:
    """Return where a connection for a web address goes: to its server, or to the proxy before that.

    Raises:
        ValueError: it is no web address.

    Example:
        >>> endpoint_of("https://127.0.0.1/services/T0/B0/x")
        Endpoint(host='127.0.0.1', port=443, tls=True)
    """
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in _PORTS:
        raise ValueError("no web address")
    proxy = getproxies().get(parts.scheme)
    if proxy and not _is_local(parts.hostname) and not proxy_bypass(parts.hostname):
        before = urlsplit(proxy if "//" in proxy else f"//{proxy}")
        return Endpoint(before.hostname or "", before.port or _PORTS["http"])
    tls = parts.scheme == "https"
    return Endpoint(parts.hostname, parts.port or _PORTS[parts.scheme], tls)


def _is_local(host: str) -> bool:
    return host == "localhost" or host.startswith("127.")


def why_unreachable(endpoint: Endpoint, *, timeout_s: float = _TIMEOUT_S) -> str:
    """Try to connect; return what hinders it, empty when nothing does.

    Args:
        endpoint: the server.
        timeout_s: how long to wait for it.
    """
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout_s) as connection:
            if endpoint.tls:
                context = ssl.create_default_context()
                context.wrap_socket(connection, server_hostname=endpoint.host).close()
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except (OSError, UnicodeError) as error:  # a name of more than 63 letters is no host
        return getattr(error, "strerror", None) or str(error)
    return ""


def _alerts(config: Config) -> Iterator[Check]:
    """Where alerts are sent to; simulated ones go to the log folder, which is looked at anyway."""
    alerts = config.alerts
    if alerts.alert_mode != "send":
        return
    if alerts.can_email:
        mail_server = Endpoint(alerts.smtp_host or "", alerts.smtp_port)
        yield _reached("mail server", mail_server, "SMTP_HOST and SMTP_PORT")
    if alerts.slack_webhook_url is not None:
        try:
            webhook = endpoint_of(alerts.slack_webhook_url.get_secret_value())
        except ValueError:
            step = "correct SLACK_WEBHOOK_URL"
            yield failed("webhook", "SLACK_WEBHOOK_URL is not a web address", step)
            return
        yield _reached("webhook", webhook, "SLACK_WEBHOOK_URL")


def _services(config: Config) -> Iterator[Check]:
    """Whether the further services that alerts are sent to are known; none of them is asked."""
    urls = config.alerts.service_urls if config.alerts.alert_mode == "send" else ()
    for place, url in enumerate(urls, 1):
        apprise = library("apprise", needed_by="ALERT_URLS", extra="apprise")
        kind = url.partition(":")[0]
        if apprise.Apprise.instantiate(url) is None:
            what = f"address {place} of ALERT_URLS ({kind}) names no service that is known"
            yield failed("services", what, "write it as the documentation of Apprise does")
        else:
            yield Check("services", PASSED, kind, message=f"address {place} names {kind}")


def _reached(name: str, endpoint: Endpoint, settings: str) -> Check:
    if reason := why_unreachable(endpoint):
        return failed(
            name, f"{endpoint} cannot be reached, so alerts would not arrive: {reason}",
            f"check {settings}, the network, and the firewall between",
        )  # fmt: skip
    return Check(name, PASSED, str(endpoint), message=f"{endpoint} can be reached")
