"""Paths of objects in buckets, which stand wherever a path of a source or a result stands.

A `CloudPath` has of `pathlib.Path` what sources and results use. To the type checker it is one, so
that nothing has to be declared twice; to Python it is not, so that whatever would touch the disk
of this machine fails at once.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeGuard

from etl.cloud.access import BY_THEMSELVES, CloudAccess

S3, AZURE = "s3", "abfs"
FORMS = "s3://bucket/folder or abfs://container@account.dfs.core.windows.net/folder"
_CONTAINER = r"[\w.-]+(?:@[\w.-]+)?"
_URI = re.compile(
    rf"(?P<scheme>s3|abfss?)://(?P<container>{_CONTAINER})(?:/(?P<key>[^\x00-\x1f]*))?", re.ASCII
)
_ANY_URI = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")

if TYPE_CHECKING:
    _Base = Path
else:
    _Base = object


@dataclass(frozen=True)
class CloudPath(_Base):
    """An object of a bucket or container, or what stands for a folder there.

    Attributes:
        scheme: `s3` or `abfs`.
        container: the bucket, or `container@account.dfs.core.windows.net`.
        key: name of the object, without a slash at either end; empty for the bucket itself.
        access: how it is reached.

    Example:
        >>> path = cloud_path("s3://shop/in/customers.csv.gz")
        >>> print(path, path.name, path.suffixes, path.parent / "products.json")
        s3://shop/in/customers.csv.gz customers.csv.gz ['.csv', '.gz'] s3://shop/in/products.json
    """

    scheme: str
    container: str
    key: str = ""
    access: CloudAccess = field(default=BY_THEMSELVES, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.container}/{self.key}".rstrip("/")

    def __truediv__(self, name: Any) -> "CloudPath":
        return replace(self, key=f"{self.key}/{name}".strip("/"))

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The last ending of the name."""
        return PurePosixPath(self.name).suffix

    @property
    def suffixes(self) -> list[str]:
        """The endings of the name."""
        return PurePosixPath(self.name).suffixes

    @property
    def parent(self) -> "CloudPath":
        """The folder."""
        return replace(self, key=self.key.rpartition("/")[0])

    def with_name(self, name: str) -> "CloudPath":
        """Return the path of another object in the same folder."""
        return self.parent / name

    def is_relative_to(self, *other: Any) -> bool:
        """Return whether it lies below another path; never below one of this machine."""
        (folder,) = other
        if not isinstance(folder, CloudPath) or folder.bucket != self.bucket:
            return False
        return not folder.key or f"{self.key}/".startswith(f"{folder.key}/")

    def is_fifo(self) -> bool:
        """Return that it is no pipe."""
        return False

    def is_dir(self) -> bool:
        """Return that it is no folder: a bucket has none, only names with slashes in them."""
        return False

    @property
    def bucket(self) -> "CloudPath":
        """The bucket or container itself."""
        return replace(self, key="")


def cloud_path(text: str, access: CloudAccess = BY_THEMSELVES) -> CloudPath | None:
    """Return the path that a text names in a cloud; None for one of this machine.

    Args:
        text: as it is set.
        access: how it is reached.

    Raises:
        ValueError: it begins like an address, but is none of a bucket.

    Example:
        >>> cloud_path("data/input") is None
        True
        >>> cloud_path("gs://shop/in")
        Traceback (most recent call last):
        ValueError: 'gs://shop/in' is no address of a bucket
    """
    found = _URI.fullmatch(text)
    if found is None:
        if _ANY_URI.match(text):
            raise ValueError(f"{text!r} is no address of a bucket")
        return None
    scheme = S3 if found["scheme"] == S3 else AZURE
    if scheme == S3 and "@" in found["container"]:
        raise ValueError("a bucket of S3 has no @ in its name")
    return CloudPath(scheme, found["container"], "/".join(_parts(found["key"] or "")), access)


def _parts(key: str) -> Iterator[str]:
    for part in key.split("/"):
        if part == "..":
            raise ValueError("an address of a bucket has no .. in it")
        if part not in ("", "."):
            yield part


def is_cloud(path: Path) -> TypeGuard[CloudPath]:
    """Return whether a path is one of a cloud."""
    return isinstance(path, CloudPath)


def is_address(text: str) -> bool:
    """Return whether a text is, or was meant to be, an address in a cloud.

    Example:
        >>> is_address("s3://shop/in"), is_address("data/input"), is_address("C:/data")
        (True, False, False)
    """
    return _ANY_URI.match(text) is not None
