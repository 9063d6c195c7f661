"""Files that are there whole or not at all, and who may read what.

Files with records are for their owner alone; the setting FILE_MODE opens them to a group.
"""

import errno
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

PRIVATE = 0o600
PART = ".part"  # ends the name of a file that is being written

# Windows does not open folders, and not every share can write one through.
_FOLDER_CANNOT_SYNC = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP}
_mode = PRIVATE


def file_mode() -> int:
    """Return the mode that new files are given: `PRIVATE` unless `private_files` says otherwise."""
    return _mode


@contextmanager
def private_files(mode: int = PRIVATE) -> Iterator[None]:
    """Give files that are made in here this mode, and folders the matching one.

    The mode becomes the umask of the process, so that it also holds for files that libraries make.

    Args:
        mode: what users may do with a file, such as 0o640; who may read a file may enter a folder.

    Example:
        >>> with private_files(0o640):
        ...     oct(file_mode())
        '0o640'
        >>> oct(file_mode())
        '0o600'
    """
    global _mode  # noqa: PLW0603  # like the umask, it belongs to the process
    former_mode, former_umask = _mode, os.umask(0o777 & ~(mode | (mode & 0o444) >> 2))
    _mode = mode
    try:
        yield
    finally:
        _mode = former_mode
        os.umask(former_umask)


def make_private(path: Path) -> None:
    """Take rights from a file that is there already and opened to more users than `file_mode()`.

    A file of somebody else stays as it is.
    """
    with suppress(OSError):
        mode = path.stat().st_mode & 0o777
        if mode & ~_mode:
            path.chmod(mode & _mode)


def open_private(path: str | Path, mode: str, *, errors: str = "strict") -> TextIOWrapper:
    """Open a text file of UTF-8 that `file_mode()` applies to, also when it was there before.

    Args:
        path: the file.
        mode: as `open` takes it.
        errors: what to do about characters that UTF-8 has not, as `open` takes it.
    """
    make_private(Path(path))
    return cast(
        "TextIOWrapper",
        open(  # the caller closes it; only `open` takes an opener
            path, mode, encoding="utf-8", errors=errors,
            opener=lambda name, flags: os.open(name, flags, _mode),
        ),
    )  # fmt: skip


class Whole(ABC):
    """What is written under another name and put in its place whole, or not at all.

    As a context manager it is committed at the end, or discarded after an error.

    Args:
        handle: the open file under the other name.
        part: that name.

    Attributes:
        file: where to write.
    """

    def __init__(self, handle: int, part: str) -> None:
        self._part = Path(part)
        self.file: BinaryIO = os.fdopen(handle, "wb")

    @abstractmethod
    def commit(self) -> None:
        """Put it in its place."""

    def discard(self) -> None:
        """Remove what was written; do nothing after `commit`."""
        with suppress(OSError):  # a full disk refuses what is still in the buffer once more
            self.file.close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> BinaryIO:
        return self.file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


class AtomicFile(Whole):
    """A file that replaces `path` once it is complete, and never changes it before.

    It is written under a name of its own in the same folder, which is made when missing; a link
    that somebody put there is replaced, not followed.

    Args:
        path: the file to make or to replace.

    Attributes:
        file: where to write.

    Raises:
        OSError: the folder cannot be written; its `filename` is `path`.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with AtomicFile(Path(folder, "a.txt")) as file:
        ...         _ = file.write(b"new")
        ...     Path(folder, "a.txt").read_text()
        'new'
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._named_in_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(PART, f"{path.name}.", path.parent)
        super().__init__(handle, part)
        if _mode != PRIVATE:
            self._part.chmod(_mode)

    def commit(self) -> None:
        """Put the file in its place, safe on the disk.

        Raises:
            OSError: it cannot be written; what was at the path before is still there.
        """
        try:
            with self._named_in_errors():
                with self.file:
                    self.file.flush()
                    os.fsync(self.file.fileno())
                self._part.replace(self._path)
                sync_folder(self._path.parent)
        finally:
            self.discard()

    @contextmanager
    def _named_in_errors(self) -> Iterator[None]:
        """Name the file that was meant in errors of writing."""
        try:
            yield
        except OSError as error:
            error.filename, error.filename2 = str(self._path), None
            raise


def write_atomically(path: Path, content: str | bytes) -> Path:
    """Write a file whole or not at all.

    Args:
        path: the file to make or to replace; its folder is made when missing.
        content: text goes out as UTF-8 with line ends as they are, and half a surrogate pair,
            which UTF-8 cannot hold, as its escape.

    Returns:
        The path.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    with AtomicFile(path) as file:
        file.write(
            content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
        )
    return path


def sync_folder(folder: Path) -> None:
    """Let the names in a folder survive a power failure, where the system can.

    Raises:
        OSError: the disk failed.
    """
    with ExitStack() as stack:
        try:
            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            os.fsync(handle)
        except OSError as error:
            if error.errno not in _FOLDER_CANNOT_SYNC:
                raise
