"""A line for every run in a file beside the warehouse, so that no failed run goes unrecorded.

The warehouse cannot remember the runs that never reached it. The journal can: a line of JSON per
run, appended in one write, so that two runs at once do not mix theirs. A line that a full disk or
a power failure cut off is left out when the journal is read.
"""

import errno
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from etl.files import file_mode, make_private, write_atomically
from etl.locks import locked

logger = logging.getLogger(__name__)

JOURNAL = "run_journal.jsonl"
MAX_RUNS = 1000
# Lines beyond that are cut off only now and then: each cut writes the whole file anew.
_SPARE = 50


def append_entry(path: Path, entry: Mapping[str, Any]) -> bool:
    """Add a run to the journal; what hinders it is logged, and never raised.

    Args:
        path: the journal; made with its folder when missing.
        entry: what JSON can hold.

    Returns:
        Whether it was written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     journal = Path(folder, JOURNAL)
        ...     append_entry(journal, {"run_id": "r1", "status": "success"})
        ...     read_entries(journal)
        True
        [{'run_id': 'r1', 'status': 'success'}]
    """
    try:
        # a run is written as well as it can be, rather than lost for one odd value
        line = json.dumps(entry, default=str).encode("ascii") + b"\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        _append(path, line)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        logger.error("the run is not in the journal %s: %s", path, reason, exc_info=True)
        return False
    return True


def _append(path: Path, line: bytes) -> None:
    with _locked_if_possible(path):
        with _opened(path) as handle:
            size = os.fstat(handle).st_size
            if size and not _ends_line(handle, size):
                line = b"\n" + line  # so that a line that was cut off costs only itself
            if os.write(handle, line) < len(line):
                os.ftruncate(handle, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(handle)
        _keep_the_newest(path)


@contextmanager
def _locked_if_possible(path: Path) -> Iterator[None]:
    """Keep out the other runs that append to the journal or shorten it."""
    with ExitStack() as stack:
        with suppress(OSError):  # some shares know no locks
            stack.enter_context(locked(path.with_name(f"{path.name}.lock")))
        yield


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags, file_mode())
    try:
        make_private(path)  # an older version made it for everybody
        yield handle
    finally:
        os.close(handle)


def _ends_line(handle: int, size: int) -> bool:
    os.lseek(handle, size - 1, os.SEEK_SET)
    return os.read(handle, 1) == b"\n"


def _keep_the_newest(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    if len(lines) <= MAX_RUNS + _SPARE:
        return
    try:
        write_atomically(path, b"".join(lines[-MAX_RUNS:]))
    except OSError as error:  # the run itself is in it
        logger.warning("the journal %s cannot be shortened: %s", path, error.strerror)


def read_entries(path: Path, *, containing: str = "", most: int = MAX_RUNS) -> list[dict[str, Any]]:
    """Return the last runs of a journal, oldest first; damaged lines are left out.

    Args:
        path: the journal; a missing one has no runs.
        containing: only lines with this text in them, which is faster than to look at each.
        most: how many lines are looked at, the last ones.

    Returns:
        For each run the summary that it ended with, and besides `started_at`, `finished_at`
        (UTC, ISO form), `error` (empty for none), `rejects` and `lineage`.
    """
    try:
        lines = path.read_bytes().splitlines()[-most:]
    except FileNotFoundError:
        return []
    except OSError as error:
        logger.warning("the journal %s cannot be read: %s", path, error.strerror)
        return []
    wanted = (line for line in lines if containing.encode() in line)
    return [entry for line in wanted if (entry := _entry(line)) is not None]


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("run_id"), str) else None
