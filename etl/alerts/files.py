"""The files of LOG_DIR/alerts: appended to by one process at a time, rotated like the logs."""

import logging
import os
from contextlib import closing, suppress
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Self

from etl.alerts.state import locked
from etl.settings.config import AlertConfig

EMAIL_LOG = "email_alerts.log"
SLACK_LOG = "slack_notifications.log"
DECISIONS_LOG = "throttling_decisions.log"

logger = logging.getLogger(__name__)


class _Appender(RotatingFileHandler):
    """Opens, appends and closes; says what goes wrong instead of printing it."""

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
        """The folder that the settings name."""
        return cls(config.alerts_dir, *config.log_limits)

    def append(self, name: str, text: str) -> bool:
        """Appends a text and a line end to one of the files.

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
            path, maxBytes=self.max_bytes, backupCount=self.backup_count,
            encoding="utf-8", errors="backslashreplace", delay=True,
        )  # fmt: skip
        size = path.stat().st_size if path.exists() else 0
        try:
            with closing(handler):
                handler.emit(logging.makeLogRecord({"msg": text}))
        except OSError:
            with suppress(OSError):
                if path.stat().st_size > size:  # no half an alert; it may have been rotated
                    os.truncate(path, size)
            raise
