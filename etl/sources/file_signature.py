"""What tells a source file from another one, without reading it, and why it cannot be looked at."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from etl.cloud.faults import CloudError
from etl.cloud.objects import info_of
from etl.cloud.paths import CloudPath, is_cloud
from etl.cloud.store import ObjectInfo
from etl.errors import ExtractionError

_PACKED = (".gz", ".zip", ".zst", ".bz2", ".xz")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, repr=False)
class FileSignature:
    """What tells a file from another one, and from what it was before, without reading it.

    Two signatures of one path are equal as long as nobody has replaced or written the file.
    Only a change that keeps the size, within the same tick of the file system's clock (some
    milliseconds) as the one before, stays unseen.

    Args:
        device: number of the file system.
        inode: number of the file on it.
        size: bytes.
        mtime_ns: when it was last written, nanoseconds since 1970 in UTC.
        tag: of an object in a cloud, another one for other contents; it has neither device nor
            inode.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    tag: str = ""

    @property
    def modified(self) -> str:
        """When it was last written, UTC in ISO form, to the microsecond.

        Example:
            >>> FileSignature(1, 2, 3, 1_705_737_600_000_000_000).modified
            '2024-01-20T08:00:00.000000+00:00'
        """
        try:
            moment = _EPOCH + timedelta(microseconds=self.mtime_ns // 1000)
        except OverflowError:  # a clock beyond the year 9999, on a disk or share that is damaged
            return f"{self.mtime_ns} ns after 1970"
        return moment.isoformat(timespec="microseconds")

    def __str__(self) -> str:
        return f"{self.size:,} bytes, written {self.modified}"

    def __repr__(self) -> str:
        return f"FileSignature({self}, inode {self.inode} on device {self.device})"


def file_signature(path: Path) -> FileSignature:
    """Look at a file, to tell later whether it is still the same.

    Args:
        path: the file; a link is followed.

    Returns:
        Its signature at this moment.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: it must not or cannot be looked at.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "customers.csv")
        ...     _ = path.write_text("customer_id")
        ...     before = file_signature(path)
        ...     _ = path.write_text("customer_id,email")
        ...     before == file_signature(path)
        False
    """
    if is_cloud(path):
        return _signature_in_cloud(path)
    with refusals(path):
        return signature_of(path.stat())


def _signature_in_cloud(path: CloudPath) -> FileSignature:
    with cloud_refusals():
        info = info_of(path)
    if info is None:
        raise FileNotFoundError(f"no file {path}. Next: put it there or correct the path.")
    return signature_of_object(info)


def signature_of_object(info: ObjectInfo) -> FileSignature:
    """Return the signature of an object in a cloud."""
    return FileSignature(0, 0, info.size, info.mtime_ns, info.tag)


def signature_of(status: os.stat_result) -> FileSignature:
    """Return the signature of a file that was looked at."""
    return FileSignature(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@contextmanager
def cloud_refusals() -> Iterator[None]:
    """Make what a service refuses a fault of the source; the others go on."""
    try:
        yield
    except CloudError as error:
        raise ExtractionError(error.what, next_step=error.next_step, code=error.code) from error


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Put into words why a file cannot be looked at or opened."""
    try:
        yield
    except FileNotFoundError:
        packed = [name for name in (path.name + end for end in _PACKED)
                  if path.with_name(name).exists()]  # fmt: skip
        step = (
            f"{packed[0]} is there: name that one"
            if packed
            else ("put it there or correct the path")
        )
        raise FileNotFoundError(f"no file {path}. Next: {step}.") from None
    except OSError as error:
        raise _cannot_open(path, error) from error


def _cannot_open(path: Path, error: OSError) -> ExtractionError:
    if os.path.isdir(path):  # noqa: PTH112 Path.is_dir raises where a folder may not be entered
        what, step = f"{path} is a directory, a file is wanted", "name the file inside it"
    elif isinstance(error, PermissionError):
        what = f"{path} may not be read by this user (permission denied)"
        step = "give the user that runs the pipeline the right to read it"
    else:
        what, step = f"{path} cannot be opened: {error.strerror}", "check the path"
    return ExtractionError(what, next_step=step)
