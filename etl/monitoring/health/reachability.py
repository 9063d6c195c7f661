"""Whether a server can be reached: a connection is made and closed, and nothing is asked of it."""

import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_TIMEOUT_S = 5.0
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Endpoint:
    """A server, and whether its certificate is looked at too."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def endpoint_of(url: str) -> Endpoint:
    """Where a connection for a web address goes: to its server, or to the proxy before that.

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
    """Tries to connect, and says what hinders it; empty when nothing does.

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
