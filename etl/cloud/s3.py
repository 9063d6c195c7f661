"""Objects of S3, and of whatever speaks its language, through `pyarrow.fs`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from etl.cloud.access import CloudAccess
from etl.cloud.faults import CloudError, fault, is_explained
from etl.cloud.libraries import AWS, cloud_library
from etl.cloud.paths import CloudPath
from etl.cloud.store import ObjectInfo, nanoseconds

_CODES = (
    re.compile(r"ExceptionName: (\w+)"),
    re.compile(r"AWS Error (\w+)"),
    re.compile(r"HTTP status (\d+)"),
)
_WORDS = re.compile(r"operation: (?:Unable to parse ExceptionName: \w+ Message: )?(.*)", re.DOTALL)
# Answers to a look at an object have no words in them; those to a listing have.
_PROBE = ".nightly-etl-probe"


@cache
def s3_store(access: CloudAccess) -> "S3Store":
    """Return the store that is reached so; one for all of its objects."""
    fs = cloud_library("pyarrow.fs", AWS)
    given = {
        "region": access.aws_region,
        "endpoint_override": access.aws_endpoint_url,
        "access_key": access.aws_access_key_id,
        "secret_key": access.aws_secret_access_key,
        "session_token": access.aws_session_token,
    }
    # who calls the store tries again, with waits of its own and a line in the log
    once = fs.AwsStandardS3RetryStrategy(max_attempts=1)
    files = fs.S3FileSystem(retry_strategy=once, **{k: v for k, v in given.items() if v})
    return S3Store(files)


@dataclass(frozen=True)
class _Open:
    file: Any
    path: CloudPath
    info: ObjectInfo

    def read_at(self, offset: int, size: int) -> bytes:
        try:
            data: bytes = self.file.read_at(size, offset)
        except OSError as error:
            raise _said(self.path, error) from error
        return data


@dataclass(frozen=True)
class S3Store:
    """The objects of S3.

    Attributes:
        files: Arrow's file system.
    """

    files: Any

    def open(self, path: CloudPath) -> _Open | None:
        """Open an object; None where there is none of this name."""
        try:
            file = self.files.open_input_file(_name(path))
        except OSError as error:
            self._explain(path, error)
            return None
        return _Open(file, path, _info(file))

    def list(self, folder: CloudPath) -> Iterator[tuple[CloudPath, ObjectInfo]]:
        """Yield every object below a folder, at any depth."""
        selector = cloud_library("pyarrow.fs", AWS).FileSelector
        try:
            found = self.files.get_file_info(selector(_name(folder), recursive=True))
        except FileNotFoundError:
            return
        except OSError as error:
            raise _said(folder, error) from error
        start = len(folder.container) + 1
        for each in found:
            if each.is_file:
                path = folder.bucket / each.path[start:]
                yield path, ObjectInfo(each.size, each.mtime_ns or 0)

    def upload(self, file: Path, path: CloudPath) -> None:
        """Write a file of this machine as an object, which is there whole or not at all."""
        try:
            with self.files.open_output_stream(_name(path), compression=None) as stream:
                # in one call: an interrupt between two would leave the first half as the object
                stream.write(_mapped(file))
        except OSError as error:
            raise _said(path, error) from error

    def delete(self, path: CloudPath) -> None:
        """Remove an object."""
        try:
            self.files.delete_file(_name(path))
        except OSError as error:
            raise _said(path, error) from error

    def _explain(self, path: CloudPath, error: OSError) -> None:
        """Raise why an object cannot be opened; nothing where it is not there."""
        selector = cloud_library("pyarrow.fs", AWS).FileSelector
        said = _said(path, error)
        if said.passes:
            raise said from error
        try:
            self.files.get_file_info(selector(_name(path.bucket / _PROBE)))
        except FileNotFoundError:  # the bucket may be listed, so it is the object itself
            pass
        except OSError as reason:
            raise _said(path, reason) from reason
        if not isinstance(error, FileNotFoundError):
            raise said from error


def _name(path: CloudPath) -> str:
    return f"{path.container}/{path.key}".rstrip("/")


def _info(file: Any) -> ObjectInfo:
    known = {name: value.decode() for name, value in file.metadata().items()}
    written = datetime.fromisoformat(known.get("Last-Modified") or "1970-01-01T00:00:00Z")
    return ObjectInfo(file.size(), nanoseconds(written), known.get("ETag", ""))


def _mapped(file: Path) -> Any:
    if not file.stat().st_size:  # nothing can be mapped
        return b""
    with pa.memory_map(str(file)) as mapped:
        return mapped.read_buffer()


def _said(path: CloudPath, error: OSError) -> CloudError:
    text = str(error)
    codes = tuple(found[1] for code in _CODES if (found := code.search(text)))
    words = _WORDS.search(text)
    return fault(path, tuple(filter(is_explained, codes)), words[1] if words else text)
