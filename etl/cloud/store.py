"""What a store of objects can do, whichever cloud it belongs to."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from etl.cloud.paths import CloudPath


@dataclass(frozen=True)
class ObjectInfo:
    """What is known of an object without reading it.

    Attributes:
        size: bytes.
        mtime_ns: when it was last written, nanoseconds since 1970 in UTC.
        tag: another one for other contents; empty where a listing does not say.
    """

    size: int
    mtime_ns: int
    tag: str = ""


class OpenObject(Protocol):
    """An object that is being read."""

    @property
    def info(self) -> ObjectInfo:
        """What it was when it was opened."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Return some of its bytes.

        Raises:
            CloudError: the service refuses, or sends fewer.
        """


class Store(Protocol):
    """A cloud's objects. What it refuses is a `CloudError`; nothing is tried twice here."""

    def open(self, path: CloudPath) -> OpenObject | None:
        """Open an object; None where there is none of this name."""

    def list(self, folder: CloudPath) -> Iterator[tuple[CloudPath, ObjectInfo]]:
        """Yield every object below a folder, at any depth."""

    def upload(self, file: Path, path: CloudPath) -> None:
        """Write a file of this machine as an object, which is there whole or not at all."""

    def delete(self, path: CloudPath) -> None:
        """Remove an object."""


def nanoseconds(moment: datetime) -> int:
    """Return a moment as nanoseconds since 1970.

    Example:
        >>> from datetime import UTC
        >>> nanoseconds(datetime(1970, 1, 2, tzinfo=UTC))
        86400000000000
    """
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000
