"""The settings: typed, read from the environment and `.env` files, checked before anything starts.

The declaration lies in `etl.settings.config`; this is its public face.

    from config import load_config
    config = load_config("dev")
"""

from etl.settings.config import (
    AlertConfig,
    Config,
    DatabaseConfig,
    FileConfig,
    LoggingConfig,
    ProcessingConfig,
    SettingsError,
    load_config,
)

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
