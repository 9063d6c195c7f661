"""The folder of an environment: scratch space of its own for each run, and what killed runs left.

A run removes only what a run of its environment made: folders with the mark of a run that is over,
and half-written files under the names that this package gives them.
"""

import logging
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from etl.errors import ETLError
from etl.files import PART
from etl.history.journal import JOURNAL
from etl.locks import locked
from etl.monitoring.logs import IN_SUMMARY
from etl.pipeline.left import LEFT
from etl.reports.business import BUSINESS
from etl.reports.dashboard import DASHBOARD
from etl.schema.star import STAR_TABLES
from etl.schema.table import Table
from etl.settings.config import Config

logger = logging.getLogger(__name__)

REJECTED, PROCESSED, QUALITY = "rejected", "processed", "quality"
PROFILES = "profile"
SCRATCH = "scratch"
WAREHOUSE = "warehouse.duckdb"
# Locked as long as its run is under way.
MARK = ".nightly-etl-scratch"
_PREFIX = "etl-"

# Which files are written where, by the start of their names.
_WRITTEN = {
    "": (DASHBOARD, BUSINESS, JOURNAL, LEFT),
    QUALITY: ("quality_report.",),
}
_HALF_WRITTEN = re.compile(rf"\.[a-z0-9_]{{8}}{re.escape(PART)}$")
# Another run, which cannot have the warehouse, may be writing its page meanwhile.
_ABANDONED_S = 3600


def require_writable(config: Config) -> None:
    """Make the folder of the environment, and see that files can be made in it.

    Raises:
        ETLError: it cannot be written.
    """
    folder = config.files.environment_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ETLError(
            f"OUTPUT_DIR cannot be used: {folder} cannot be written: {error.strerror or error}",
            next_step="set OUTPUT_DIR to a folder that this user may write to, on a disk with room",
            code="output_not_writable",
        ) from error


def older_warehouse(config: Config) -> list[str]:
    """Return what to know of a warehouse of version 0.1, which lay in OUTPUT_DIR itself.

    It is said by the run that would make a new one; that file is never touched.
    """
    old = config.files.environment_dir.parent / WAREHOUSE
    new = config.files.environment_dir / WAREHOUSE
    uses_new = config.database.connection_string.get_secret_value().endswith(new.as_posix())
    if not uses_new or new.exists() or not old.is_file():
        return []
    words = (
        f"warehouse: this run made a new one, {new}; {old}, from version 0.1, is not used. Next: "
        f"to go on with it, put it in the place of the new one, or set "
        f"DB_CONNECTION_STRING=duckdb:///{old.as_posix()}"
    )
    logger.warning("%s", words, extra=IN_SUMMARY)
    return [words]


@contextmanager
def scratch_folder(environment_dir: Path | None) -> Iterator[Path]:
    """Make a folder of this run's own, to which engines spill; it is removed at the end.

    Args:
        environment_dir: where it goes; None for the system's folder of temporary files.

    Example:
        >>> with scratch_folder(None) as folder:
        ...     folder.is_dir()
        True
        >>> folder.exists()
        False
    """
    parent = environment_dir and environment_dir / SCRATCH
    if parent:
        parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(
            prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True
        ) as folder,
        locked(Path(folder, MARK)),
    ):
        yield Path(folder)


def clear_leftovers(environment_dir: Path, loaded: Sequence[Table] = STAR_TABLES) -> None:
    """Remove what killed runs of this environment left.

    Args:
        environment_dir: its folder.
        loaded: the tables that its runs load, each with its source.
    """
    written = {
        **_WRITTEN,
        REJECTED: tuple(f"{table.source}_" for table in loaded),
        PROCESSED: tuple(f"{table.name}." for table in loaded),
    }
    for folder in (environment_dir / SCRATCH).glob(f"{_PREFIX}*"):
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    for name, prefixes in written.items():
        for part in (environment_dir / name).glob(f"*{PART}"):
            ours = part.name.startswith(prefixes) and _HALF_WRITTEN.search(part.name)
            if ours and (name or _is_old(part)):
                part.unlink(missing_ok=True)


def running_since(environment_dir: Path) -> datetime | None:
    """Return when the run began that is under way in an environment, local time; None for none."""
    folders = (environment_dir / SCRATCH).glob(f"{_PREFIX}*")
    begun = [_begun(folder) for folder in folders if _is_held(folder / MARK)]
    return min(filter(None, begun), default=None)


def _begun(folder: Path) -> datetime | None:
    with suppress(OSError):  # it has just ended
        return datetime.fromtimestamp((folder / MARK).stat().st_mtime)  # local time
    return None


def _is_held(mark: Path) -> bool:
    try:
        with mark.open("rb"), locked(mark, wait_s=0):
            return False
    except TimeoutError:
        return True
    except OSError:  # no run's folder, or this disk knows no locks
        return False


def _is_abandoned(folder: Path) -> bool:
    if not (folder / MARK).is_file():
        with suppress(OSError):  # one that is not empty is not ours
            folder.rmdir()
        return False
    try:
        with locked(folder / MARK, wait_s=0):
            return True
    except OSError:  # its run is under way, or this disk knows no locks
        return False


def _is_old(path: Path) -> bool:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > _ABANDONED_S
    return False
