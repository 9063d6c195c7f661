"""Opening and decoding a source file: the checks and the messages that every file reader shares."""

import codecs
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from pathlib import Path

from etl.cloud.faults import CloudError
from etl.cloud.objects import cloud_info, info_of, open_object
from etl.cloud.paths import CloudPath, is_cloud
from etl.cloud.store import ObjectInfo
from etl.errors import ExtractionError
from etl.sources.meter import Meter

# The longer marks first: the one of UTF-16 is the beginning of that of UTF-32.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8"),
)
UTF8 = frozenset({"utf-8", "utf-8-sig"})  # as Python calls them
_NARROW = (True, False, True, False)  # which bytes of two ASCII characters in UTF-16 are not 0
_PACKED = (".gz", ".zip", ".zst", ".bz2", ".xz")
_TRACED_BYTES = 2**20
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
    with _refusals(path):
        return _signature(path.stat())


def _signature_in_cloud(path: CloudPath) -> FileSignature:
    with _cloud_refusals():
        info = info_of(path)
    if info is None:
        raise FileNotFoundError(f"no file {path}. Next: put it there or correct the path.")
    return _signature_of(info)


def _signature_of(info: ObjectInfo) -> FileSignature:
    return FileSignature(0, 0, info.size, info.mtime_ns, info.tag)


def _signature(status: os.stat_result) -> FileSignature:
    return FileSignature(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


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
            with _cloud_refusals():
                yield file
        except ExtractionError as fault:
            watched.refuse_change(fault)
            raise
        watched.refuse_change()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BufferedReader, "_Watched | _WatchedInCloud"]]:
    if is_cloud(path):
        with _cloud_refusals():
            found, info = open_object(path)
        with found:
            yield found, _WatchedInCloud(path, info)
        return
    named = file_signature(path)
    with _refusals(path):
        opened = path.open("rb")
    with opened as file:
        yield file, _Watched(path, file, named, os.fstat(file.fileno()))


@dataclass(frozen=True)
class _WatchedInCloud:
    """An open object: it is compared with what now has its name."""

    path: CloudPath
    info: ObjectInfo

    def refuse_change(self, fault: ExtractionError | None = None) -> None:
        before, now = _signature_of(self.info), _signature_now(self.path)
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
        held, held_now = _signature(self.status), _signature(os.fstat(self.file.fileno()))
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


@contextmanager
def _cloud_refusals() -> Iterator[None]:
    """Make what a service refuses a fault of the source; the others go on."""
    try:
        yield
    except CloudError as error:
        raise ExtractionError(error.what, next_step=error.next_step, code=error.code) from error


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
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


def marked_encoding(file: BufferedReader) -> str:
    """Find out the encoding from the start of a file, where that leaves no doubt.

    That is a byte order mark, or two ASCII characters as UTF-16 writes them. Nothing is consumed.

    Args:
        file: a file at its first byte.

    Returns:
        `utf-8`, `utf-16`, `utf-16-le`, `utf-16-be`, `utf-32`, or empty when that is open.
    """
    start = file.peek(4)[:4]
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), "")
    if marked or len(start) < len(_NARROW):
        return marked
    halves: dict[tuple[bool, ...], str] = {_NARROW: "utf-16-le", _NARROW[::-1]: "utf-16-be"}
    return halves.get(tuple(bool(byte) for byte in start), "")


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


def text_chunks(
    chunks: Iterator[tuple[bytes, bool]],
    path: Path,
    *,
    encoding: str,
    next_step: str,
    start: int = 0,
) -> Iterator[tuple[str, bool]]:
    """Decode pieces of a file; a character may be cut by the border between two of them.

    Args:
        chunks: what `byte_chunks` yields.
        path: the file's name, for messages.
        encoding: a text encoding that Python knows.
        next_step: what to do when a byte does not decode.
        start: where the first of them begins in the file, in bytes.

    Yields:
        Each piece as text, and whether it is the last one; any may be empty.

    Raises:
        ExtractionError: a byte does not decode.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    read = start
    for chunk, last in chunks:
        read += len(chunk)
        try:
            text = decoder.decode(chunk, final=last)
        except UnicodeDecodeError as error:
            # The decoder puts kept bytes before the chunk, so count from the end that both share.
            offset = read - len(error.object) + error.start
            found = error.object[error.start]
            raise undecodable(path, encoding, offset, found, next_step=next_step) from error
        except UnicodeError as error:
            raise ExtractionError(f"{path}: {error}", next_step=next_step) from error
        yield text, last


def undecodable(  # the four facts of the message, and what to do
    path: Path, encoding: str, offset: int, found: int, *, next_step: str, where: str = ""
) -> ExtractionError:
    """Describe a byte that is no text in the encoding.

    Args:
        path: the file.
        encoding: the encoding that was tried.
        offset: the byte's place in the file, from 0.
        found: the byte.
        next_step: what to do about it.
        where: the place in the reader's own terms, such as ``row 7``.

    Returns:
        The error to raise.

    Example:
        >>> print(undecodable(Path("a.csv"), "utf-8", 12, 0xE9, next_step="save it as UTF-8"))
        a.csv: byte 0xE9 at offset 12 is no utf-8 text. Next: save it as UTF-8.
    """
    place = f"offset {offset}" + (f" ({where})" if where else "")
    what = f"{path}: byte 0x{found:02X} at {place} is no {encoding} text"
    return ExtractionError(what, next_step=next_step)
