"""The settings of the logs."""

from etl.settings.kinds import (
    Folder,
    Level,
    Positive,
)
from etl.settings.sections.section import Section, setting

# laid out by hand, as a table
# fmt: off


class LoggingConfig(Section):
    """Logging: how much is written, and where."""

    log_dir: Folder = setting("logs", "folder of the log files and of simulated alerts")
    log_level: Level = setting("INFO", "least severe messages shown on the console")
    log_max_bytes: Positive = setting(
        10 * 1024 * 1024, "size at which a log file is rotated; the default is 10 MiB")
    # without at least one backup Python's rotation does nothing, and the file grows for ever
    log_backup_count: Positive = setting(5, "rotated log files that are kept")
