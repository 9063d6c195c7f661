"""Whether somebody else has written the warehouse since the last run has closed it.

Of an embedded warehouse its file says so: what it is when a run has closed it is noted beside the
results, and compared before the next run writes. Of a server nobody knows, so nothing is noted.
"""

import json
import logging
from dataclasses import astuple
from pathlib import Path

from etl.engines.registry import engine_of
from etl.errors import ExtractionError
from etl.files import write_atomically
from etl.settings.config import Config
from etl.sources.file_signature import file_signature

logger = logging.getLogger(__name__)

LEFT = "warehouse_left.json"


def is_as_left(config: Config) -> bool:
    """Return whether the warehouse is as the last run of this environment has left it.

    Args:
        config: the settings; the warehouse is open, and nothing of it was written yet.
    """
    try:
        known = json.loads(_note(config).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(known) and known == _as_it_is(config)


def note_as_left(config: Config) -> None:
    """Note how the warehouse is after a run that has checked it, and closed it."""
    found = _as_it_is(config)
    try:
        if found:
            write_atomically(_note(config), json.dumps(found) + "\n")
    except OSError as error:  # the next run looks at everything
        logger.warning("%s is not written: %s", _note(config), error.strerror or error)


def _note(config: Config) -> Path:
    return config.files.environment_dir / LEFT


def _as_it_is(config: Config) -> list[object]:
    """The file in figures; empty where there is none, or not everything stands in it."""
    connection = config.database.connection_string.get_secret_value()
    path = engine_of(connection).file_of(connection)
    if path is None or path.with_name(f"{path.name}.wal").exists():
        return []
    try:
        return [str(path.resolve()), *astuple(file_signature(path))]
    except (OSError, ExtractionError):
        return []
