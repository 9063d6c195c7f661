"""Objects of any cloud: looked at, read, listed and written, again where an error may pass."""

import tempfile
from collections.abc import Callable
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from etl.cloud.access import CloudAccess
from etl.cloud.azure_blobs import azure_store
from etl.cloud.faults import CloudError
from etl.cloud.paths import S3, CloudPath, is_cloud
from etl.cloud.s3 import s3_store
from etl.cloud.store import ObjectInfo, OpenObject, Store
from etl.files import AtomicFile, Whole
from etl.resilience.retry import retry_with_backoff

P = ParamSpec("P")
R = TypeVar("R")

# Of what is read in small pieces, such as a header; larger pieces are asked for as they are.
_BUFFER_BYTES = 2**20


def store_of(path: CloudPath) -> Store:
    """Return the store that holds an object.

    Raises:
        CloudError: its address or its credentials cannot be used.
        ConfigurationError: its library is not installed.
    """
    if path.scheme == S3:
        return s3_store(path.access)
    return azure_store(path.access, path.container.partition("@")[2])


def retried(access: CloudAccess, work: Callable[P, R]) -> Callable[P, R]:
    """Return work that is done again after an error of a service that may pass."""
    return retry_with_backoff(
        access.max_retries, access.backoff_factor,
        exceptions=lambda error: isinstance(error, CloudError) and error.passes,
    )(work)  # fmt: skip


# --- looking -----------------------------------------------------------------------------


def info_of(path: CloudPath) -> ObjectInfo | None:
    """Return what is known of an object; None where there is none.

    Raises:
        CloudError: the service refuses to say.
    """
    opened = retried(path.access, store_of(path).open)(path)
    return opened.info if opened else None


def is_there(path: Path) -> bool:
    """Return whether a file or object is there.

    An object of which that cannot be found out counts as there: whoever opens it says why.

    Example:
        >>> is_there(Path("no_such_folder/customers.csv"))
        False
    """
    if not is_cloud(path):
        return path.exists()
    try:
        return info_of(path) is not None
    except CloudError:
        return True


def listed(folder: CloudPath) -> list[tuple[CloudPath, ObjectInfo]]:
    """Return every object below a folder, at any depth.

    Raises:
        CloudError: the service refuses to say.
    """
    return retried(folder.access, lambda: list(store_of(folder).list(folder)))()


# --- reading -----------------------------------------------------------------------------


class CloudFile(RawIOBase):
    """An object as a file to read; each piece is asked for anew until it has come whole.

    Args:
        path: the object.
        opened: the same, opened.
    """

    def __init__(self, path: CloudPath, opened: OpenObject) -> None:
        self.path, self.info = path, opened.info
        self._offset = 0
        self._read_at = retried(path.access, lambda start, size: _piece(path, opened, start, size))

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can be read from any place."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place, as files do."""
        start = (0, self._offset, self.info.size)[whence]
        self._offset = max(0, start + offset)
        return self._offset

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next, and return how many bytes that was."""
        size = min(len(buffer), self.info.size - self._offset)
        if size <= 0:
            return 0
        buffer[:size] = self._read_at(self._offset, size)
        self._offset += size
        return size


def _piece(path: CloudPath, opened: OpenObject, start: int, size: int) -> bytes:
    data = opened.read_at(start, size)
    if len(data) != size:
        what = f"{path}: {len(data):,} bytes came in place of {size:,}"
        raise CloudError(what, next_step="run again", passes=True)
    return data


def open_object(path: CloudPath) -> tuple[BufferedReader, ObjectInfo]:
    """Open an object for reading bytes, and return what it was then.

    Raises:
        FileNotFoundError: there is none of this name.
        CloudError: the service refuses.
    """
    opened = retried(path.access, store_of(path).open)(path)
    if opened is None:
        raise FileNotFoundError(f"no file {path}. Next: put it there or correct the path.")
    return BufferedReader(CloudFile(path, opened), _BUFFER_BYTES), opened.info


def cloud_info(file: BufferedReader) -> ObjectInfo | None:
    """Return what an open object was when it was opened; None for a file of this machine."""
    raw = getattr(file, "raw", None)
    return raw.info if isinstance(raw, CloudFile) else None


def open_bytes(path: Path) -> BufferedReader:
    """Open a file or an object for reading bytes.

    Raises:
        FileNotFoundError: there is none of this name.
        CloudError: the service refuses.
        OSError: the file cannot be opened.
    """
    return open_object(path)[0] if is_cloud(path) else path.open("rb")


# --- writing -----------------------------------------------------------------------------


class AtomicObject(Whole):
    """An object that is written here first, and is in the cloud whole or not at all.

    Being here first, it can be sent again when the connection is lost.

    Args:
        path: the object to make or to replace.

    Attributes:
        file: where to write.
    """

    def __init__(self, path: CloudPath) -> None:
        self._path = path
        super().__init__(*tempfile.mkstemp(prefix="etl-upload-"))

    def commit(self) -> None:
        """Send it.

        Raises:
            CloudError: the service refuses; what was there before is still there.
        """
        try:
            self.file.close()
            send(self._part, self._path)
        finally:
            self.discard()


def send(file: Path, path: CloudPath) -> None:
    """Write a file of this machine as an object.

    Raises:
        CloudError: the service refuses.
    """
    retried(path.access, store_of(path).upload)(file, path)


def atomic(path: Path) -> AtomicFile | AtomicObject:
    """Return a file or an object to write, which is there whole or not at all.

    Args:
        path: to make or to replace.
    """
    return AtomicObject(path) if is_cloud(path) else AtomicFile(path)


def delete(path: CloudPath) -> None:
    """Remove an object.

    Raises:
        CloudError: the service refuses.
    """
    retried(path.access, store_of(path).delete)(path)
