"""Logins on RDS by a token of IAM, which is made anew for every connection and holds 15 minutes."""

import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from etl.cloud.access import CloudAccess
from etl.cloud.aws import aws_client, aws_refusals
from etl.cloud.faults import CloudError

_LOGIN, _BY_IAM = "login", "aws-iam"
_MARK = f"{_LOGIN}={_BY_IAM}"
_REGION = re.compile(r"\.(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)\.rds\.amazonaws\.com", re.ASCII)
_PORT = 5432


def with_login_token(url: str) -> str:
    """Return a connection URL with a token as its password, where it asks for one.

    Args:
        url: with `login=aws-iam` among its parameters; any other is given back as it is.

    Raises:
        CloudError: it names no user and server, or no credentials are found.
        ConfigurationError: boto3 is not installed.

    Example:
        >>> with_login_token("postgresql://etl@db1/dwh")
        'postgresql://etl@db1/dwh'
    """
    if _MARK not in url:
        return url
    parts = urlsplit(url)
    if not parts.username or not parts.hostname or parts.password:
        raise CloudError(
            f"{_MARK} wants a URL with a user, a server and no password",
            next_step=f"write postgresql://user@server:5432/database?{_MARK}&sslmode=verify-full",
        )
    user, port = unquote(parts.username), parts.port or _PORT
    token = quote(_token(parts.hostname, port, user), safe="")
    kept = [pair for pair in parse_qsl(parts.query) if pair[0] != _LOGIN]
    server = parts.netloc.rpartition("@")[2]
    place = f"{parts.username}:{token}@{server}"
    return urlunsplit((parts.scheme, place, parts.path, urlencode(kept), ""))


def _token(host: str, port: int, user: str) -> str:
    found = _REGION.search(host)
    client = aws_client("rds", CloudAccess(aws_region=found["region"] if found else ""))
    with aws_refusals(f"the login of {user!r} on {host} by IAM"):
        return str(client.generate_db_auth_token(host, port, user))
