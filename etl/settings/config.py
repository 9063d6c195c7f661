"""The settings of a run: read in layers, checked before anything starts; `sections` declares them.

Defaults hold where no layer gives a value. The .env files lie in the project folder and relative
paths count from there, so that a cron line works from any directory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from etl.errors import ConfigurationError
from etl.places import ENVIRONMENTS, working_folder
from etl.settings.connection_strings import secrets_in
from etl.settings.layers import MASK, Layers, Setting, read_layers
from etl.settings.pipeline_file import BUILT_IN_LOADS, PipelineFile
from etl.settings.pipeline_reading import (
    PipelineFileError,
    settings_named_in,
)
from etl.settings.sections import SECTIONS
from etl.settings.sections.alerts import AlertConfig
from etl.settings.sections.clouds import CloudConfig
from etl.settings.sections.cluster import ClusterConfig
from etl.settings.sections.database import DatabaseConfig
from etl.settings.sections.files import FileConfig, pipeline_file_of
from etl.settings.sections.logging import LoggingConfig
from etl.settings.sections.processing import ProcessingConfig
from etl.settings.sections.section import SettingsError, as_text, declared, fetched
from etl.settings.sections.shops import ShopConfig
from etl.settings.sections.telemetry import TelemetryConfig


@dataclass(frozen=True)
class Config:
    """The settings of one run, all of them checked.

    Attributes:
        named: settings besides the declared ones that `pipeline.toml` names; all are secret.
    """

    environment: str
    base_dir: Path
    database: DatabaseConfig
    files: FileConfig
    shops: ShopConfig
    clouds: CloudConfig
    processing: ProcessingConfig
    cluster: ClusterConfig
    logging: LoggingConfig
    alerts: AlertConfig
    telemetry: TelemetryConfig
    named: Mapping[str, SecretStr] = field(default_factory=dict)

    @property
    def pipeline(self) -> PipelineFile:
        """What `pipeline.toml` declares."""
        return self.files.pipeline

    @property
    def source_files(self) -> dict[str, tuple[Path, ...]]:
        """The files of the built-in sources that are read from files, by source."""
        sources = {name: self.pipeline.source(name) for name in BUILT_IN_LOADS}
        elsewhere = {name for name, source in sources.items()
                     if source.is_rest or source.connection or not source.enabled}  # fmt: skip
        if self.database.sales_db_connection_string is not None:
            elsewhere.add("sales")
        read = (name for name in BUILT_IN_LOADS if name not in elsewhere)
        return {name: self.files.paths_of(name) for name in read}

    def for_days(self, first: date, last: date) -> "Config":
        """Return the same settings for a run of these days, which `{date}` in a path stands for."""
        return replace(self, files=self.files.for_days(first, last))

    def choosing(self, source: str, paths: Sequence[Path]) -> "Config":
        """Return the same settings by which a built-in source has these files, come what may."""
        return replace(self, files=self.files.choosing(source, paths))

    def secret(self, name: str) -> SecretStr | None:
        """Return the value of a secret setting, declared or named in `pipeline.toml`.

        Args:
            name: of the setting.

        Returns:
            None where it is not set, or not secret.
        """
        setting = declared().get(name)
        if setting is None or not setting.secret:
            return self.named.get(name)
        value: SecretStr | None = getattr(getattr(self, setting.section), name.lower())
        return value


def load_config(
    env: str = "dev",
    *,
    base_dir: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Read and check all settings.

    Args:
        env: dev, test or prod; chooses `.env.<env>`.
        base_dir: folder of the .env files, from which relative paths count too; the project folder
            of a checkout, or the current folder of an installed package, when left out.
        environ: used in place of the process environment.

    Raises:
        ConfigurationError: no such environment, or settings that cannot be used, all of them
            listed in its message.

    Example:
        >>> load_config("dev", base_dir=Path("/none"), environ={}).processing.chunk_rows
        50000
    """
    if env not in ENVIRONMENTS:
        raise ConfigurationError(f"no environment {env!r}", choices=", ".join(ENVIRONMENTS))
    read = partial(
        read_layers, environment=env, base_dir=base_dir or working_folder(), environ=environ
    )
    named = _named_in_pipeline(read(declared()))
    layers = fetched(read({**declared(), **named}))
    sections = _sections_of(layers)
    given = {name: layers.given[name].value for name in named if name in layers.given}
    secrets = {name: SecretStr(str(value)) for name, value in given.items()}
    return Config(env, layers.base_dir, named=secrets, **sections)


def _sections_of(layers: Layers) -> dict[str, Any]:
    """All sections; what is wrong with any of them is said at once."""
    sections: dict[str, Any] = {}
    problems: list[str] = []
    for name, section in SECTIONS.items():
        try:
            sections[name] = section(layers=layers)
        except SettingsError as error:
            problems += error.problems
    try:
        if "files" in sections:
            sections["files"].pipeline  # noqa: B018  # a fault in it is one of the settings
    except PipelineFileError as error:
        problems += [f"PIPELINE_FILE: {problem}" for problem in error.problems]
    if problems:
        raise SettingsError(layers.base_dir, problems)
    return sections


def _named_in_pipeline(layers: Layers) -> dict[str, Setting]:
    """The further settings that `pipeline.toml` names, whatever else is wrong with it."""
    path = pipeline_file_of(layers)
    further = settings_named_in(path) - declared().keys() if path else set()
    return {
        name: Setting(name, "text on one line", "", "named in pipeline.toml", True, "")
        for name in sorted(further)
    }


def masked_settings(config: Config) -> dict[str, str]:
    """Each setting as text, for logs and archives; a secret that is set is `***`."""
    values = {}
    for setting in declared().values():
        value = getattr(getattr(config, setting.section), setting.name.lower())
        values[setting.name] = MASK if setting.secret and value else as_text(value)
    return values


def secrets_of(config: Config) -> list[str]:
    """What must not be shown: secret settings, and the passwords inside them; longest first."""
    values = [
        getattr(getattr(config, setting.section), setting.name.lower())
        for setting in declared().values()
        if setting.secret
    ]
    given = (*values, *config.named.values())
    return secrets_in(value.get_secret_value() for value in given if value)
