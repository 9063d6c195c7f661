"""The settings by which AWS and Azure are reached."""

from collections.abc import Iterator, Mapping

from etl.cloud.access import CloudAccess
from etl.settings.kinds import (
    Secret,
    Text,
)
from etl.settings.layers import Given
from etl.settings.sections.section import Section, both_or_none, setting

# laid out by hand, as a table
# fmt: off


class CloudConfig(Section):
    """Clouds: how AWS and Azure are reached; without these, as their own libraries find it."""

    aws_region: Text | None = setting(
        None, "region of the buckets and services, such as eu-central-1")
    aws_endpoint_url: Text | None = setting(
        None, "address of another service with AWS's interfaces, such as MinIO")
    aws_access_key_id: Secret | None = setting(
        None, "access key; unset: the profile of this user, or the role of this machine")
    aws_secret_access_key: Secret | None = setting(None, "secret of AWS_ACCESS_KEY_ID")
    aws_session_token: Secret | None = setting(
        None, "token of an AWS_ACCESS_KEY_ID that lasts some hours")
    azure_storage_connection_string: Secret | None = setting(
        None, "connection string of the storage account of abfs:// addresses; unset: the identity "
        "of this machine, or of who is logged in")

    @property
    def access(self) -> CloudAccess:
        """How the clouds are reached."""
        return self._access

    @classmethod
    def _broken_rules(cls, given: Mapping[str, Given], env: str) -> Iterator[tuple[str, str]]:
        yield from both_or_none(given, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
