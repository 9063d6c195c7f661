"""A section of the settings: how the values of its fields are read, checked and refused.

Each section builds upon some settings of others, such as OUTPUT_DIR; which there are is known once
the folder is imported, which importing any of them does.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic.fields import FieldInfo

from etl.cloud.access import CloudAccess
from etl.cloud.paths import is_address
from etl.errors import ConfigurationError
from etl.places import ENVIRONMENTS, working_folder
from etl.settings.clouds import access_of
from etl.settings.kinds import kind_of
from etl.settings.layers import Given, Layers, Setting, read_layers
from etl.settings.stored_secrets import with_secrets


class SettingsError(ConfigurationError):
    """Settings that cannot be used; `problems` holds a line for each of them."""

    def __init__(self, base_dir: Path, problems: list[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        lines = "".join(f"\n- {problem}" for problem in self.problems)
        super().__init__(
            "The settings cannot be used. Correct them in the environment or in the .env files of "
            f"{base_dir}; .env.example explains each:{lines}"
        )


def setting(default: object, help_text: str) -> Any:
    """Declare a setting.

    Args:
        default: its value where none is given.
        help_text: what it is, for the documentation.
    """
    return Field(default, description=help_text)


class Section(BaseModel):
    """A group of settings, all of whose values come through `Layers`."""

    model_config = ConfigDict(
        frozen=True, allow_inf_nan=False, hide_input_in_errors=True, defer_build=True
    )
    # each declared by one section and built upon by another
    _environment_dir: Path = PrivateAttr()
    _log_dir: Path = PrivateAttr()
    _log_limits: tuple[int, int] = PrivateAttr()
    _secrets: tuple[str, ...] = PrivateAttr()
    _access: CloudAccess = PrivateAttr()

    def __init__(self, *, layers: Layers | None = None, **arguments: object) -> None:
        if unknown := arguments.keys() - type(self).model_fields:
            raise TypeError(f"{type(self).__name__} has no setting {', '.join(sorted(unknown))}")
        layers = layers or fetched(read_layers(declared(), base_dir=working_folder()))
        layers = layers.under(arguments)
        values, wrong = self._read(layers)
        try:
            super().__init__(**values)
        except ValidationError as error:
            wrong |= {str(detail["loc"][0]) for detail in error.errors()}
        # raised outside the handler: pydantic's error holds the values, and would be chained
        if problems := [*layers.problems, *self._problems(layers, wrong)]:
            raise SettingsError(layers.base_dir, problems)
        environment = layers.environment or ENVIRONMENTS[0]
        self._environment_dir = _work_dir(layers) / environment
        self._log_dir = layers.folder("LOG_DIR")
        self._log_limits = layers.number("LOG_MAX_BYTES"), layers.number("LOG_BACKUP_COUNT")
        self._secrets = layers.secrets()
        self._access = access_of(layers)

    @classmethod
    def _read(cls, layers: Layers) -> tuple[dict[str, Any], set[str]]:
        values: dict[str, Any] = {}
        wrong = set()
        for name, info in cls.model_fields.items():
            given = layers.given.get(name.upper())
            value, kind = given.value if given else info.default, kind_of(info)
            if isinstance(value, str | Path):
                text = str(value) if kind.secret else str(value).strip()
                try:
                    value = kind.read(text, layers.base_dir)
                except (ValueError, LookupError):
                    wrong.add(name)
                    continue
            values[name] = value
        return values, wrong

    @classmethod
    def _problems(cls, layers: Layers, wrong: set[str]) -> Iterator[str]:
        for name, info in cls.model_fields.items():
            if name in wrong:
                yield layers.problem(name.upper(), kind_of(info).words)
        for name, wanted in cls._broken_rules(layers.given, layers.environment):
            yield layers.problem(name, wanted)

    @classmethod
    def _broken_rules(cls, given: Mapping[str, Given], env: str) -> Iterator[tuple[str, str]]:
        """Settings that do not go together: the name of one, and what is wanted of it."""
        yield from ()


def fetched(layers: Layers) -> Layers:
    """Return the layers with the secrets that stores hold.

    Raises:
        SettingsError: one of them cannot be had; then nothing else is checked.
    """
    layers, problems = with_secrets(layers)
    if problems:
        raise SettingsError(layers.base_dir, [*layers.problems, *problems])
    return layers


def _work_dir(layers: Layers) -> Path:
    """The folder on this machine for what needs a disk."""
    if "WORK_DIR" in layers.given:
        return layers.folder("WORK_DIR")
    given, default = layers.given.get("OUTPUT_DIR"), layers.settings["OUTPUT_DIR"].default
    in_cloud = given is not None and is_address(str(given.value).strip())
    return layers.base_dir / default if in_cloud else layers.folder("OUTPUT_DIR")


def both_or_none(given: Mapping[str, Given], *names: str) -> Iterator[tuple[str, str]]:
    """Yield those of these settings that are not given, if any of them is, with what is wanted."""
    present = [name for name in names if name in given]
    for name in names:
        if present and name not in present:
            yield name, f"a value, because {present[0]} is set"


_DECLARED: dict[str, Setting] = {}


def declare(sections: Mapping[str, type[Section]]) -> None:
    """Make known which settings there are, in the order in which they are documented."""
    for section, fields in sections.items():
        for name, info in fields.model_fields.items():
            _DECLARED[name.upper()] = _described(name.upper(), info, section)


def declared() -> Mapping[str, Setting]:
    """Return all settings by their names, in the order of their declaration.

    Example:
        >>> [each.name for each in declared().values() if each.section == "logging"]
        ['LOG_DIR', 'LOG_LEVEL', 'LOG_MAX_BYTES', 'LOG_BACKUP_COUNT']
    """
    return _DECLARED


def _described(name: str, info: FieldInfo, section: str) -> Setting:
    kind, default = kind_of(info), as_text(info.default)
    return Setting(name, kind.words, default, info.description or "", kind.secret, section)


def as_text(value: object) -> str:
    """Return the value of a setting as it is written in an .env file.

    Example:
        >>> as_text(True), as_text(("a@x.org", "b@x.org")), as_text(None)
        ('yes', 'a@x.org, b@x.org', '')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value)
    return "" if value is None else str(value)
