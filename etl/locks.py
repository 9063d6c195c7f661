"""Locks between processes: files that one process at a time can hold, and that end with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from etl.files import file_mode

_WAIT_S = 2.0
_POLL_S = 0.02


@contextmanager
def locked(path: Path, *, wait_s: float = _WAIT_S) -> Iterator[None]:
    """Hold a lock that one process at a time can have; it ends with the process.

    Args:
        path: the lock file; it and its folder are made when missing, and stay.
        wait_s: how long to wait for another holder, in seconds.

    Raises:
        TimeoutError: another process has kept the lock all the time.
        OSError: the file cannot be made, or its place knows no locks.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder, "lock")):
        ...     print("alone")
        alone
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path, timeout=wait_s, poll_interval=_POLL_S, mode=file_mode()):
        yield
