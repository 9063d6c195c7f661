"""Clients of AWS's services, and what these refuse in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from etl.cloud.access import CloudAccess
from etl.cloud.faults import fault
from etl.cloud.libraries import AWS, cloud_library

_CONNECT_S, _ANSWER_S = 5, 20
# What the library itself finds, without having asked the service, as a code.
_FOUND_HERE = {
    "NoCredentialsError": "NoCredentials",
    "PartialCredentialsError": "NoCredentials",
    "ProfileNotFound": "NoCredentials",
    "TokenRetrievalError": "ExpiredToken",
    "NoRegionError": "NoRegion",
    "HTTPClientError": "NetworkConnection",
    "EndpointConnectionError": "NetworkConnection",
    "ConnectionClosedError": "NetworkConnection",
}


def aws_client(service: str, access: CloudAccess, *, answer_s: float = _ANSWER_S) -> Any:
    """Return the client of a service.

    Args:
        service: such as `secretsmanager`.
        access: how it is reached.
        answer_s: longest wait for an answer, in seconds.

    Raises:
        ConfigurationError: boto3 is not installed.
        CloudError: no region is set.
    """
    boto3 = cloud_library("boto3", AWS)
    config = cloud_library("botocore.config", AWS).Config(
        connect_timeout=_CONNECT_S, read_timeout=answer_s,
        retries={"total_max_attempts": 1},  # who calls it tries again, with a line in the log
    )  # fmt: skip
    given = {
        "region_name": access.aws_region,
        "endpoint_url": access.aws_endpoint_url,
        "aws_access_key_id": access.aws_access_key_id,
        "aws_secret_access_key": access.aws_secret_access_key,
        "aws_session_token": access.aws_session_token,
    }
    with aws_refusals(service):
        # a session of its own: the common one keeps the credentials that it has once found
        session = boto3.session.Session()
        return session.client(service, config=config, **{k: v for k, v in given.items() if v})


@contextmanager
def aws_refusals(place: str) -> Iterator[None]:
    """Put into words what a service, or its library, refuses.

    Args:
        place: what was asked for.

    Raises:
        CloudError: it was refused.
    """
    errors = cloud_library("botocore.exceptions", AWS)
    try:
        yield
    except errors.ClientError as error:
        said = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        codes = (str(said.get("Code", "")), str(status))
        raise fault(place, codes, str(said.get("Message") or error)) from error
    except errors.BotoCoreError as error:
        names = (base.__name__ for base in type(error).__mro__)
        known = tuple(_FOUND_HERE[name] for name in names if name in _FOUND_HERE)
        raise fault(place, known, str(error)) from error
