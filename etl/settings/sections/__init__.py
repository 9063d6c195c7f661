"""Every setting of the environment and the .env files, by section, as they are documented."""

from etl.settings.sections.alerts import AlertConfig
from etl.settings.sections.clouds import CloudConfig
from etl.settings.sections.cluster import ClusterConfig
from etl.settings.sections.database import DatabaseConfig
from etl.settings.sections.files import FileConfig
from etl.settings.sections.logging import LoggingConfig
from etl.settings.sections.processing import ProcessingConfig
from etl.settings.sections.section import Section, declare
from etl.settings.sections.shops import ShopConfig
from etl.settings.sections.telemetry import TelemetryConfig

SECTIONS: dict[str, type[Section]] = {
    "database": DatabaseConfig,
    "files": FileConfig,
    "shops": ShopConfig,
    "clouds": CloudConfig,
    "processing": ProcessingConfig,
    "cluster": ClusterConfig,
    "logging": LoggingConfig,
    "alerts": AlertConfig,
    "telemetry": TelemetryConfig,
}
declare(SECTIONS)
