"""Logins by Microsoft Entra ID: a token is fetched, and given to the driver in place of a password.

A connection string asks for it by one of our own values of `Authentication`. Those of Microsoft's
(`ActiveDirectory...`) are the driver's, and go to it as they are.
"""

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

from etl.errors import ConfigurationError, LoadingError
from etl.settings.connection_strings import Pairs

PASSWORD, SERVICE, MANAGED, DEFAULT = (
    "entra-password", "entra-service-principal", "entra-managed-identity", "entra-default",
)  # fmt: skip
KINDS = (PASSWORD, SERVICE, MANAGED, DEFAULT)

# SQL_COPT_SS_ACCESS_TOKEN of msodbcsql.h: the attribute that is set before connecting.
ACCESS_TOKEN = 1256
# The address for which a token is good, by the end of the server's name: clouds of countries.
_SCOPES = {
    "usgovcloudapi.net": "https://database.usgovcloudapi.net/.default",
    "chinacloudapi.cn": "https://database.chinacloudapi.cn/.default",
}
_SCOPE = "https://database.windows.net/.default"
# Public client of Azure's own tools, with which a person's password is exchanged for a token.
_TOOLS_CLIENT = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
# With a token the driver takes none of these.
_NOT_BESIDE = ("authentication", "uid", "pwd", "password", "tenantid", "trusted_connection")

# Makes a credential of a kind, tenant, user and secret.
Credentials = Callable[[str, str, str, str], Any]


def kind_of(pairs: Pairs) -> str:
    """Return by which of `KINDS` a connection string logs in; empty for another way."""
    named = _values(pairs).get("authentication", "").lower()
    return named if named in KINDS else ""


def _values(pairs: Pairs) -> dict[str, str]:
    return {keyword.lower(): value for keyword, value in pairs}


def without_login(pairs: Pairs) -> Pairs:
    """Return a connection string without what the driver must not see beside a token."""
    return tuple(pair for pair in pairs if pair[0].lower() not in _NOT_BESIDE)


def scope_of(server: str) -> str:
    """Return for what a token is asked.

    Example:
        >>> scope_of("tcp:sql1.database.chinacloudapi.cn,1433")
        'https://database.chinacloudapi.cn/.default'
    """
    host = server.partition(",")[0].lower()
    return next((scope for end, scope in _SCOPES.items() if host.endswith(end)), _SCOPE)


def token_bytes(token: str) -> bytes:
    r"""Return a token as the driver takes it: its length in bytes, then UTF-16.

    Example:
        >>> token_bytes("ey")
        b'\x04\x00\x00\x00e\x00y\x00'
    """
    text = token.encode("utf-16-le")
    return struct.pack("<I", len(text)) + text


@lru_cache(maxsize=8)
def credential(kind: str, tenant: str, user: str, secret: str) -> Any:
    """Return a credential of azure-identity, which keeps its token until that has run out.

    Args:
        kind: one of `KINDS`.
        tenant: id of the directory.
        user: a person's name, the id of an application, or that of a managed identity that
            somebody has made; empty for the machine's own.
        secret: password of the person or secret of the application.

    Raises:
        LoadingError: azure-identity is not installed.
    """
    library = _library()
    if kind == SERVICE:
        return library.ClientSecretCredential(tenant, user, secret)
    if kind == PASSWORD:
        return library.UsernamePasswordCredential(_TOOLS_CLIENT, user, secret, tenant_id=tenant)
    if kind == MANAGED:
        return library.ManagedIdentityCredential(**({"client_id": user} if user else {}))
    return library.DefaultAzureCredential()


def _library() -> Any:
    try:
        return import_module("azure.identity")
    except ImportError as error:
        raise LoadingError(
            f"logins by Entra ID need azure-identity: {error}",
            next_step="pip install -r requirements-entra.txt",
            code="entra_missing",
        ) from None


def attributes(pairs: Pairs, credentials: Credentials = credential) -> Mapping[int, bytes]:
    """Return what is set before connecting: a token, where the connection string asks for one.

    Args:
        pairs: keywords and values of a connection string.
        credentials: makes a credential.

    Raises:
        ConfigurationError: something is missing for this kind of login.
        LoadingError: Entra ID gives no token.
    """
    kind, values = kind_of(pairs), _values(pairs)
    if not kind:
        return {}
    given = (values.get("tenantid", ""), values.get("uid", ""),
             values.get("pwd", "") or values.get("password", ""))  # fmt: skip
    if kind in (PASSWORD, SERVICE) and not all(given):
        raise ConfigurationError(
            f"a login by {kind} needs a tenant, a user and a secret",
            next_step="set DB_TENANT_ID, DB_USERNAME and DB_PASSWORD (TenantId, UID and PWD in a "
            "connection string)",
        )
    return {ACCESS_TOKEN: token_bytes(_token(kind, given, values, credentials))}


def _token(
    kind: str, given: tuple[str, str, str], values: Mapping[str, str], credentials: Credentials
) -> str:
    scope, owner = scope_of(values.get("server", "")), credentials(kind, *given)
    try:
        return str(owner.get_token(scope).token)
    except Exception as error:  # noqa: BLE001  # of several libraries
        said = f"{type(error).__name__}: {error}".replace(given[2] or "\0", "***")
    raise LoadingError(  # outside the handler, which would chain what may hold the secret
        f"Entra ID gives no token for {kind}: {said}",
        next_step="check DB_TENANT_ID, DB_USERNAME and DB_PASSWORD, that this machine may reach "
        "login.microsoftonline.com (a managed identity: 169.254.169.254), and that the identity "
        "exists; 'entra-password' does not work where a second factor is asked for",
        code="entra_refused",
    )
