"""The copy of an embedded warehouse that BI tools read; it never fails a run."""

import logging
import re
from contextlib import suppress
from pathlib import Path

from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.files import PART

logger = logging.getLogger(__name__)


def refresh_read_copy(db: DatabaseManager, path: Path | None) -> None:
    """Bring the copy up to date; what hinders it is logged, since the warehouse has it all.

    Args:
        db: the warehouse, with everything in it.
        path: READ_COPY; None for no copy.
    """
    if path is None:
        return
    try:
        remove_leftovers(path)
        db.copy_to(path)
    except (LoadingError, OSError) as error:
        reason = error if isinstance(error, LoadingError) else error.strerror or error
        logger.warning("READ_COPY: %s was not replaced: %s", path, reason)


def remove_leftovers(path: Path) -> None:
    """Remove the half-written copies of runs that were killed.

    This run has the warehouse to itself, so that no other one writes its copy.
    """
    made = re.compile(rf"{re.escape(path.name)}\.[a-z0-9_]{{8}}{re.escape(PART)}")
    for left in path.parent.glob(f"*{PART}"):
        if made.fullmatch(left.name):
            with suppress(OSError):
                left.unlink()
