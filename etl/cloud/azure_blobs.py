"""Objects of Azure's blob storage, through Microsoft's own library.

`pyarrow.fs` reads them too, but ends the whole process where it finds no credentials, and leaves
an empty blob in the place of the former one while it writes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from etl.cloud.access import CloudAccess
from etl.cloud.faults import CloudError, fault
from etl.cloud.libraries import AZURE, cloud_library
from etl.cloud.paths import CloudPath
from etl.cloud.store import ObjectInfo, nanoseconds

_CONNECT_S, _ANSWER_S = 10, 60
# who calls the store tries again, with waits of its own and a line in the log
_ONCE = {"retry_total": 0, "connection_timeout": _CONNECT_S, "read_timeout": _ANSWER_S}
_BLOB_HOST = ".blob."  # the same account under the other of its two names
_LAKE_HOST = ".dfs."


@cache
def azure_store(access: CloudAccess, host: str) -> "AzureStore":
    """Return the store of an account; one for all of its objects.

    Args:
        access: how it is reached.
        host: of the account, such as `account.dfs.core.windows.net`; empty: the one of the
            connection string.

    Raises:
        CloudError: neither is given, or the connection string is none.
    """
    blobs = cloud_library("azure.storage.blob", AZURE)
    if access.azure_storage:
        return AzureStore(_by_connection_string(blobs, access.azure_storage, host))
    if not host:
        raise CloudError(
            "an address abfs://container/... names no storage account",
            next_step="write abfs://container@account.dfs.core.windows.net/..., or set "
            "AZURE_STORAGE_CONNECTION_STRING",
        )
    identity = cloud_library("azure.identity", AZURE).DefaultAzureCredential()
    url = f"https://{host.replace(_LAKE_HOST, _BLOB_HOST)}"
    return AzureStore(blobs.BlobServiceClient(url, credential=identity, **_ONCE))


def _by_connection_string(blobs: Any, text: str, host: str) -> Any:
    try:
        service = blobs.BlobServiceClient.from_connection_string(text, **_ONCE)
    except ValueError as error:
        raise CloudError(
            f"AZURE_STORAGE_CONNECTION_STRING cannot be used: {error}",
            next_step="copy it once more from the account's page 'Access keys'",
        ) from None
    account = host.partition(".")[0]
    if account not in ("", service.account_name):
        raise CloudError(
            f"AZURE_STORAGE_CONNECTION_STRING is of the account {service.account_name!r}, but "
            f"{host} is asked for",
            next_step="use one account for all addresses, or unset it to log in by identity",
        )
    return service


@dataclass(frozen=True)
class _Open:
    blob: Any
    path: CloudPath
    info: ObjectInfo

    def read_at(self, offset: int, size: int) -> bytes:
        same = cloud_library("azure.core", AZURE).MatchConditions.IfNotModified
        with azure_refusals(self.path):
            data: bytes = self.blob.download_blob(
                offset, size, etag=self.info.tag, match_condition=same
            ).readall()
        return data


@dataclass(frozen=True)
class AzureStore:
    """The objects of one storage account.

    Attributes:
        service: the client of Microsoft's library.
    """

    service: Any

    def open(self, path: CloudPath) -> _Open | None:
        """Open an object; None where there is none of this name."""
        blob = self._blob(path)
        with azure_refusals(path):
            try:
                found = blob.get_blob_properties()
            except cloud_library("azure.core.exceptions", AZURE).ResourceNotFoundError as error:
                if _code(error) == "ContainerNotFound":
                    raise
                return None
            return _Open(blob, path, _info(found))

    def list(self, folder: CloudPath) -> Iterator[tuple[CloudPath, ObjectInfo]]:
        """Yield every object below a folder, at any depth."""
        start = f"{folder.key}/" if folder.key else None
        with azure_refusals(folder):
            for each in self._container(folder).list_blobs(name_starts_with=start):
                yield folder.bucket / each.name, _info(each)

    def upload(self, file: Path, path: CloudPath) -> None:
        """Write a file of this machine as an object, which is there whole or not at all."""
        with azure_refusals(path), file.open("rb") as content:
            self._blob(path).upload_blob(content, overwrite=True)

    def delete(self, path: CloudPath) -> None:
        """Remove an object."""
        with azure_refusals(path):
            self._blob(path).delete_blob()

    def _container(self, path: CloudPath) -> Any:
        return self.service.get_container_client(path.container.partition("@")[0])

    def _blob(self, path: CloudPath) -> Any:
        return self._container(path).get_blob_client(path.key)


def _info(properties: Any) -> ObjectInfo:
    return ObjectInfo(
        properties.size, nanoseconds(properties.last_modified), str(properties.etag or "")
    )


@contextmanager
def azure_refusals(place: object) -> Iterator[None]:
    """Put into words what a service of Azure, or its library, refuses.

    Args:
        place: what was asked for.

    Raises:
        CloudError: it was refused.
    """
    errors = cloud_library("azure.core.exceptions", AZURE)
    try:
        yield
    except errors.AzureError as error:
        raise fault(place, _codes(error, errors), str(error)) from error


def _codes(error: Any, errors: Any) -> tuple[str, ...]:
    status = getattr(error, "status_code", None)
    if status is None:
        found = {
            "CredentialUnavailable": errors.ClientAuthenticationError,
            "NetworkConnection": (
                errors.ServiceRequestError, errors.ServiceResponseError,
                errors.IncompleteReadError, errors.HttpResponseError,
            ),
        }  # fmt: skip
        return tuple(code for code, classes in found.items() if isinstance(error, classes))
    return (_code(error), str(status))


def _code(error: Any) -> str:
    code = getattr(error, "error_code", None) or getattr(error.error, "code", None)
    return str(getattr(code, "value", code) or "")
