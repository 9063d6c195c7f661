"""Where a lakehouse lies: the folder of its Delta tables, its working copy, and how it is reached.

`delta:///path/to/lake` is a folder of this machine, `delta+s3://bucket/folder` and
`delta+abfss://container@account.dfs.core.windows.net/folder` one in a cloud.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from etl.cloud.access import BY_THEMSELVES, CloudAccess
from etl.cloud.paths import S3, cloud_path, is_cloud
from etl.errors import ConfigurationError
from etl.libraries import library
from etl.settings.connection_strings import parse

FORM = "delta:///path/to/lake, delta+s3://bucket/folder"
_LOCAL, _CLOUD = "delta:///", "delta+"
_WORK_MARK = "?work="
_WORK = "_work"  # engines that list a lake skip names with an underscore
_FILE = "warehouse.duckdb"

# What each setting of S3 is to the library.
_S3_OPTIONS = {
    "aws_region": "AWS_REGION",
    "aws_endpoint_url": "AWS_ENDPOINT_URL",
    "aws_access_key_id": "AWS_ACCESS_KEY_ID",
    "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "aws_session_token": "AWS_SESSION_TOKEN",
}


def is_lake(connection_string: str) -> bool:
    """Return whether a connection string names a lakehouse.

    Example:
        >>> is_lake("delta:///srv/lake"), is_lake("duckdb:///srv/lake.duckdb")
        (True, False)
    """
    return connection_string.startswith((_LOCAL, _CLOUD))


@dataclass(frozen=True)
class LakePlace:
    """Where a lakehouse lies.

    Attributes:
        root: the folder of its tables, of this machine or in a cloud.
        work: the DuckDB file in which runs merge; lost, it is made anew from the tables.
        access: how a cloud is reached.
    """

    root: Path
    work: Path
    access: CloudAccess = field(default=BY_THEMSELVES, repr=False)

    def folder(self, table: str) -> Path:
        """Return the folder of a table.

        Example:
            >>> lake_place("delta:////srv/lake").folder("dbo.orders").as_posix()
            '/srv/lake/dbo.orders'
        """
        return self.root / quote(table, safe="")

    def uri(self, table: str) -> str:
        """Return the same as the library takes it."""
        return str(self.folder(table))

    @cached_property
    def options(self) -> Mapping[str, str]:
        """How the library reaches it."""
        if not is_cloud(self.root):
            return {}
        return _s3_options(self.access) if self.root.scheme == S3 else _azure_options(self.access)


def lake_place(connection_string: str, access: CloudAccess = BY_THEMSELVES) -> LakePlace:
    """Return where the lakehouse of a connection string lies.

    Args:
        connection_string: with `?work=FOLDER` behind it, the working copy lies there; without, in
            `_work` beside the tables, of a lake in a cloud in the user's cache.
        access: how a cloud is reached.

    Raises:
        ConfigurationError: it is an address of no bucket.

    Example:
        >>> lake_place("delta:////srv/lake").work.as_posix()
        '/srv/lake/_work/warehouse.duckdb'
        >>> lake_place("delta+s3://shop/lake?work=/tmp").work.as_posix()
        '/tmp/lake-d00d2606.duckdb'
    """
    text, _, work = connection_string.partition(_WORK_MARK)
    root = _root(text, access)
    if not work and not is_cloud(root):
        return LakePlace(root, root / _WORK / _FILE, access)
    number = hashlib.sha256(str(root).encode()).hexdigest()[:8]
    return LakePlace(
        root, Path(work or _cache()) / f"{root.name or 'lake'}-{number}.duckdb", access
    )


def _root(text: str, access: CloudAccess) -> Path:
    if text.startswith(_LOCAL):
        return Path(text.removeprefix(_LOCAL))
    try:
        root = cloud_path(text.removeprefix(_CLOUD), access)
    except ValueError as error:
        raise ConfigurationError(f"the lakehouse: {error}", choices=FORM) from None
    if root is None:
        raise ConfigurationError("the lakehouse has no address", choices=FORM)
    return root


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nightly-etl"


def _s3_options(access: CloudAccess) -> dict[str, str]:
    given = {name: getattr(access, key) for key, name in _S3_OPTIONS.items()}
    found = {name: value for name, value in given.items() if value}
    if access.aws_endpoint_url.startswith("http://"):
        found["AWS_ALLOW_HTTP"] = "true"
    return found


def _azure_options(access: CloudAccess) -> dict[str, str]:
    given = dict(parse(access.azure_storage)) if access.azure_storage else {}
    names = {"AccountName": "account_name", "AccountKey": "account_key"}
    found = {ours: given[name] for name, ours in names.items() if name in given}
    if given.get("BlobEndpoint", "").startswith("http://"):
        found |= {"endpoint": given["BlobEndpoint"], "allow_http": "true"}
    return found


def delta(name: str = "deltalake") -> Any:
    """Return the library that reads and writes Delta tables, or a module of it.

    Raises:
        ConfigurationError: it is not installed.
    """
    return library(name, needed_by="a lakehouse", extra="lakehouse")
