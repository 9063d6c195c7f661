"""Locks between processes: files that one process at a time can hold, and that end with it."""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from etl.files import file_mode

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


_WAIT_S = 2.0
_POLL_S = 0.02
_HELD = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK}  # how systems say that another has it


@contextmanager
def locked(path: Path, *, wait_s: float = _WAIT_S) -> Iterator[None]:
    """Hold a lock that one process at a time can have; it ends with the process.

    Args:
        path: the lock file; it and its folder are made when missing, and stay. A link is refused.
        wait_s: how long to wait for another holder, in seconds.

    Raises:
        TimeoutError: another process has kept the lock all the time.
        OSError: the file cannot be made, or its place knows no locks.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder, "lock")):
        ...     with locked(Path(folder, "lock"), wait_s=0):
        ...         pass
        Traceback (most recent call last):
        TimeoutError: another process holds ...
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    last = time.monotonic() + wait_s
    while (handle := _taken(path)) is None:
        if time.monotonic() >= last:
            raise TimeoutError(f"another process holds {path}")
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        os.close(handle)


def _taken(path: Path) -> int | None:
    """The file, open and locked; None while another process holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), file_mode())
    try:
        _lock(handle)
        if os.fstat(handle).st_nlink:  # else its last holder has removed it meanwhile
            return handle
    except OSError as error:
        if error.errno not in _HELD:
            os.close(handle)
            raise
    os.close(handle)
    return None
