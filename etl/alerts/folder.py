"""The folder of alerts: their files, and what they remember from run to run.

One process at a time writes there. Nothing here raises for a file that is damaged or cannot be
written: an alert too many is better than none, and no alert fails a run.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Self, TypeVar

from etl import locks
from etl.files import open_private, write_atomically
from etl.settings.sections.alerts import AlertConfig

T = TypeVar("T")

STATE_FILE = "alert_state.json"
LOCK_FILE = "alerts.lock"
EMAIL_LOG = "email_alerts.log"
SLACK_LOG = "slack_notifications.log"
SERVICES_LOG = "notifications.log"
DECISIONS_LOG = "throttling_decisions.log"

_LOCK_WAIT_S = 10.0  # far longer than anybody keeps it


logger = logging.getLogger(__name__)


def locked(folder: Path) -> AbstractContextManager[None]:
    """Keep the other processes that write alerts to a folder out; wait for them a little."""
    return locks.locked(folder / LOCK_FILE, wait_s=_LOCK_WAIT_S)


class AlertState:
    """The memory of one folder of alerts; without a folder, of this object alone.

    Args:
        folder: where the state file lies; made when missing.

    Example:
        >>> state = AlertState(None)
        >>> state.change(lambda data: data.setdefault("count", 7))
        7
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._data: dict[str, Any] = {}  # also what is known while the file cannot be written
        self._reported = False

    def change(self, change: Callable[[dict[str, Any]], T]) -> T:
        """Read what is remembered, change it, and write it back, all under the lock.

        Args:
            change: takes the data and changes it in place; called exactly once.

        Returns:
            What `change` returned, also when nothing could be written.
        """
        if self._folder is None:
            return change(self._data)
        with self._locked_if_possible(self._folder):
            self._data = self._read(self._folder / STATE_FILE)
            result = change(self._data)
            self._write(self._folder / STATE_FILE)
        return result

    @contextmanager
    def _locked_if_possible(self, folder: Path) -> Iterator[None]:
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(folder))
            except OSError as error:
                self._report(error)
            yield

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            data = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._report(error)
            return self._data
        except (ValueError, RecursionError):
            data = None
        if isinstance(data, dict):
            return data
        logger.warning("%s was damaged, and is begun anew", path)
        return {}

    def _write(self, path: Path) -> None:
        try:
            write_atomically(path, json.dumps(self._data, indent=1, sort_keys=True))
        except OSError as error:
            self._report(error)

    def _report(self, error: OSError) -> None:
        if not self._reported:
            self._reported = True
            logger.warning(
                "what was alerted cannot be remembered, alerts may be repeated: %s", error
            )


class _Appender(RotatingFileHandler):
    """Opens, appends and closes; raises what goes wrong instead of printing it."""

    def _open(self) -> TextIOWrapper:
        return open_private(self.baseFilename, self.mode, errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        raise  # noqa: PLE0704  # logging calls this where it has caught the error


@dataclass(frozen=True)
class AlertFiles:
    """The folder of alerts.

    Attributes:
        folder: where the files lie; made when missing.
        max_bytes: size at which a file is rotated.
        backup_count: rotated files that are kept.
    """

    folder: Path
    max_bytes: int = 10 * 1024 * 1024
    backup_count: int = 5

    @classmethod
    def of(cls, config: AlertConfig) -> Self:
        """Return the folder that the settings name."""
        return cls(config.alerts_dir, *config.log_limits)

    def append(self, name: str, text: str) -> bool:
        """Append a text and a line end to one of the files.

        Returns:
            Whether it was written. That it was not is logged: no alert fails a run.
        """
        try:
            with locked(self.folder):
                self._append(self.folder / name, text)
        except OSError as error:
            logger.warning("%s cannot be written: %s", self.folder / name, error.strerror or error)
            return False
        return True

    def _append(self, path: Path, text: str) -> None:
        handler = _Appender(
            path, maxBytes=self.max_bytes, backupCount=self.backup_count, delay=True
        )
        size = path.stat().st_size if path.exists() else 0
        try:
            with closing(handler):
                handler.emit(logging.makeLogRecord({"msg": text}))
        except OSError:
            with suppress(OSError):
                if path.stat().st_size > size:  # no half an alert; it may have been rotated
                    os.truncate(path, size)
            raise
