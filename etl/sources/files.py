"""Opening and reading a source file: it stays the same meanwhile, and what was read is known."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path

from etl.cloud.objects import cloud_info, open_object
from etl.cloud.paths import CloudPath, is_cloud
from etl.cloud.store import ObjectInfo
from etl.errors import ExtractionError
from etl.sources.file_signature import (
    FileSignature,
    cloud_refusals,
    file_signature,
    refusals,
    signature_of,
    signature_of_object,
)
from etl.sources.meter import Meter

_TRACED_BYTES = 2**20


@dataclass
class FileTrace:
    """What was read of a file, filled by whoever reads it, once it has been read to its end.

    Attributes:
        bytes: how many.
        sha256: of those bytes.
        modified_at: when the file was last written, UTC.
        extracted_at: when the file says that it was made.
        meter: how much of the file was read so far, filled all the time.
        places: where its records are, if its reader remembers that.
    """

    bytes: int | None = None
    sha256: str | None = None
    modified_at: datetime | None = None
    extracted_at: datetime | None = None
    meter: Meter = field(default_factory=Meter)
    places: object = field(default=None, repr=False, compare=False)

    def see(self, file: BufferedReader) -> None:
        """Take down how much of a file was read."""
        with suppress(OSError):  # a pipe has no place
            self.meter.done, self.meter.total = file.tell(), size_of(file)

    def complete(self, file: BufferedReader, digest: "hashlib._Hash", size: int) -> None:
        """Takes down that a file was read whole.

        Args:
            file: the file, still open.
            digest: SHA-256 of what was read.
            size: how many bytes that was.
        """
        seconds = _written_s(file)
        with suppress(OverflowError, ValueError, OSError):  # a clock that is far off
            self.modified_at = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
        self.bytes, self.sha256 = size, digest.hexdigest()


def size_of(file: BufferedReader) -> int | None:
    """Return how many bytes an open file has; None for a pipe."""
    if (info := cloud_info(file)) is not None:
        return info.size
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _written_s(file: BufferedReader) -> float:
    """When an open file was last written, seconds since 1970."""
    info = cloud_info(file)
    return os.fstat(file.fileno()).st_mtime if info is None else info.mtime_ns / 1e9


@contextmanager
def open_source(path: Path) -> Iterator[BufferedReader]:
    """Open a source file for reading bytes, and make sure that it stays the same meanwhile.

    Whoever writes a file while it is read gives half of the old one and half of the new one. So
    it is compared with itself at the end, and also after an `ExtractionError`, because what was
    found to be wrong may come from the change. After any other exception, such as the one that
    ends an iterator nobody reads on, nothing is compared.

    Args:
        path: the file.

    Yields:
        The open file; it is closed at the end.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: it is a directory, must not or cannot be opened, or has changed while
            it was read: replaced, removed, extended, cut off or written over.

    Example:
        >>> with open_source(Path("no_such_folder/customers.csv")) as file:
        ...     file.read()
        Traceback (most recent call last):
        FileNotFoundError: no file no_such_folder/customers.csv. Next: put it there ...
    """
    with _opened(path) as (file, watched):
        try:
            with cloud_refusals():
                yield file
        except ExtractionError as fault:
            watched.refuse_change(fault)
            raise
        watched.refuse_change()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BufferedReader, "_Watched | _WatchedInCloud"]]:
    if is_cloud(path):
        with cloud_refusals():
            found, info = open_object(path)
        with found:
            yield found, _WatchedInCloud(path, info)
        return
    named = file_signature(path)
    with refusals(path):
        opened = path.open("rb")
    with opened as file:
        yield file, _Watched(path, file, named, os.fstat(file.fileno()))


@dataclass(frozen=True)
class _WatchedInCloud:
    """An open object: it is compared with what now has its name."""

    path: CloudPath
    info: ObjectInfo

    def refuse_change(self, fault: ExtractionError | None = None) -> None:
        before, now = signature_of_object(self.info), _signature_now(self.path)
        if before != now:
            raise _changed(self.path, before, now) from fault


@dataclass(frozen=True)
class _Watched:
    """An open file, what its path was before it was opened, and what the file was after that.

    Path is compared with path and open file with open file, as some systems (Windows, network
    file systems) number the same file differently for the two.
    """

    path: Path
    file: BufferedReader
    named: FileSignature
    status: os.stat_result

    def refuse_change(self, fault: ExtractionError | None = None) -> None:
        if not stat.S_ISREG(self.status.st_mode):  # a pipe is written while it is read
            return
        held, held_now = (
            signature_of(self.status),
            signature_of(os.fstat(self.file.fileno())),
        )
        for before, now in ((held, held_now), (self.named, _signature_now(self.path))):
            if before != now:
                raise _changed(self.path, before, now) from fault


def _signature_now(path: Path) -> FileSignature | None:
    try:
        return file_signature(path)
    except (FileNotFoundError, ExtractionError):
        return None


def _changed(path: Path, before: FileSignature, now: FileSignature | None) -> ExtractionError:
    if now is None:
        found = "it can no longer be found"
    elif (before.device, before.inode) != (now.device, now.inode):
        found = f"now another file is there ({now})"
    elif (before.size, before.mtime_ns) == (now.size, now.mtime_ns):
        found = "now another one of the same size and time is there"
    else:
        found = f"now {now}"
    return ExtractionError(
        f"{path} changed while it was read: it was {before}, {found}",
        next_step="run again once it is written; to be safe, have it written under another name "
        "beside it and renamed when complete",
    )


def content_chunks(
    file: BufferedReader,
    content: BufferedReader,
    path: Path,
    *,
    size: int,
    trace: FileTrace | None = None,
) -> Iterator[tuple[bytes, bool]]:
    """Read what is inside a file piece by piece, see `byte_chunks`.

    Args:
        file: the open file.
        content: what is inside, the file itself when it is not compressed.
        path: its name, for messages.
        size: bytes to read at a time.
        trace: is filled with the size and the SHA-256 of the file as it lies there.
    """
    if content is file:
        yield from byte_chunks(file, path, size=size, trace=trace)
        return
    for chunk, last in byte_chunks(content, path, size=size):
        if trace is not None:
            trace.see(file)
        if last and trace is not None:
            file.seek(0)
            for _ in byte_chunks(file, path, size=_TRACED_BYTES, trace=trace):
                pass
        yield chunk, last


def read_some(file: BufferedReader, path: Path, size: int) -> bytes:
    """Read so many bytes of a file, fewer at its end.

    Raises:
        ExtractionError: the medium fails.
    """
    try:
        return file.read(size)
    except OSError as error:
        what = f"{path} can be opened but not read: {error.strerror}"
        raise ExtractionError(what, next_step="check the disk or the share") from error


def byte_chunks(
    file: BufferedReader, path: Path, *, size: int, trace: FileTrace | None = None
) -> Iterator[tuple[bytes, bool]]:
    """Read a file piece by piece.

    Args:
        file: the open file.
        path: its name, for messages.
        size: bytes to read at a time.
        trace: is filled with the size and the SHA-256 of what was read.

    Yields:
        Each piece, and whether it is the last one; the last one may be empty.

    Raises:
        ExtractionError: the medium fails while it is read.
    """
    last, read, digest = False, 0, hashlib.sha256()
    while not last:
        chunk = read_some(file, path, size)
        last = len(chunk) < size  # a buffered file comes up short only at its end
        if trace is not None:
            trace.see(file)
            digest.update(chunk)  # at once, so that the hash is of the bytes that are used
            read += len(chunk)
            if last:
                trace.complete(file, digest, read)
        yield chunk, last


def trace_file(path: Path) -> FileTrace:
    """Reads a file once and says what is in it, for one that nobody else reads.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: it cannot be read, or changed while it was read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "customers.csv")
        ...     _ = path.write_text("customer_id")
        ...     trace_file(path).bytes
        11
    """
    trace = FileTrace()
    with open_source(path) as file:
        for _ in byte_chunks(file, path, size=_TRACED_BYTES, trace=trace):
            pass
    return trace
