"""The settings: typed, read from the environment and `.env` files, checked before anything starts.

The declarations lie in `etl.settings.sections`; this is its public face.

    from config import load_config
    config = load_config("dev")
"""

from etl.settings.config import Config, load_config
from etl.settings.sections.alerts import AlertConfig
from etl.settings.sections.database import DatabaseConfig
from etl.settings.sections.files import FileConfig
from etl.settings.sections.logging import LoggingConfig
from etl.settings.sections.processing import ProcessingConfig
from etl.settings.sections.section import SettingsError

__all__ = [
    "AlertConfig",
    "Config",
    "DatabaseConfig",
    "FileConfig",
    "LoggingConfig",
    "ProcessingConfig",
    "SettingsError",
    "load_config",
]
