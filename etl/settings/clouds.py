"""How the clouds are reached, as the settings say: read from the layers, before any section is."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from etl.cloud.access import CloudAccess
from etl.cloud.paths import FORMS, CloudPath, cloud_path
from etl.cloud.secrets import PREFIX
from etl.errors import ConfigurationError
from etl.settings.layers import Layers

# What each setting is to the clouds.
_NAMES = {
    "AWS_REGION": "aws_region",
    "AWS_ENDPOINT_URL": "aws_endpoint_url",
    "AWS_ACCESS_KEY_ID": "aws_access_key_id",
    "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
    "AWS_SESSION_TOKEN": "aws_session_token",
    "AZURE_STORAGE_CONNECTION_STRING": "azure_storage",
}


def access_of(layers: Layers) -> CloudAccess:
    """Return how the clouds are reached."""
    given = {
        attribute: str(layers.given[name].value).strip()
        for name, attribute in _NAMES.items()
        if name in layers.given and not str(layers.given[name].value).startswith(PREFIX)
    }
    return CloudAccess(
        **given, max_retries=layers.number("MAX_RETRIES"), backoff_factor=_factor(layers)
    )


def _factor(layers: Layers) -> float:
    given, default = layers.given.get("RETRY_BACKOFF_FACTOR"), CloudAccess.backoff_factor
    with suppress(ValueError):  # its own section refuses it
        return max(0.0, float(str(given.value))) if given else default
    return default


def reached_by(access: CloudAccess, path: object) -> object:
    """Return a path with how it is reached; anything but one of a cloud as it is."""
    return replace(path, access=access) if isinstance(path, CloudPath) else path


def placed(folder: Path, pattern: str, access: CloudAccess) -> tuple[Path, str]:
    """Return the folder from which a pattern counts, and the pattern.

    Args:
        folder: the one for patterns that name none of a cloud.
        pattern: of a source.
        access: how a cloud is reached.

    Raises:
        ConfigurationError: it is an address of no bucket.

    Example:
        >>> folder, pattern = placed(Path("in"), "s3://shop/in/*.csv", CloudAccess())
        >>> str(folder), pattern
        ('s3://shop', 'in/*.csv')
    """
    try:
        remote = cloud_path(pattern, access)
    except ValueError as error:
        raise ConfigurationError(str(error), choices=FORMS) from None
    return (remote.bucket, remote.key) if remote else (folder, pattern)
