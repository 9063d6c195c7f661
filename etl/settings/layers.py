"""What was given for the settings, in layers: the stronger wins, and where it is from is kept.

The process environment wins over `.env.<environment>`, that over `.env`. An empty value counts as
not set. Values are taken literally: expanding `${...}` would silently change passwords.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from pydantic import SecretStr

from etl.settings.connection_strings import secrets_in

MASK = "***"


@dataclass(frozen=True)
class Setting:
    """A setting as the documentation shows it; `type` says in words what it can be."""

    name: str
    type: str
    default: str
    help: str
    secret: bool
    section: str


@dataclass(frozen=True)
class Given:
    """A value as it was given, and where; the value may be a secret and stays out of the repr."""

    value: object = field(repr=False)
    origin: str


@dataclass(frozen=True)
class Layers:
    """What was given for the settings, the strongest layer having won, before any check."""

    environment: str
    base_dir: Path
    settings: Mapping[str, Setting] = field(repr=False)
    given: Mapping[str, Given]
    problems: tuple[str, ...] = ()

    def under(self, arguments: Mapping[str, object]) -> "Layers":
        """Return the same with keyword arguments, named like attributes, as the strongest layer."""
        given = dict(self.given)
        for name, value in arguments.items():
            given[name.upper()] = Given(_plain(value), "argument")
        return replace(self, given={k: v for k, v in given.items() if v.value not in (None, "")})

    def folder(self, name: str) -> Path:
        """Return the folder that the setting `name` stands for."""
        given = self.given.get(name)
        return self.base_dir / str(given.value if given else self.settings[name].default).strip()

    def number(self, name: str) -> int:
        """The whole number that the setting `name` stands for; its own section refuses others."""
        given, default = self.given.get(name), self.settings[name].default
        text = str(given.value if given else default).strip()
        return int(text if text.isdecimal() else default)

    def secrets(self) -> tuple[str, ...]:
        """Return what must not be shown of the values that were given."""
        secret = [name for name, setting in self.settings.items() if setting.secret]
        return tuple(secrets_in(str(self.given[n].value) for n in secret if n in self.given))

    def problem(self, name: str, wanted: str) -> str:
        """One line about a setting: its value, where that is from, and what is wanted.

        Example:
            >>> port = Setting("SMTP_PORT", "a port", "587", "of the mail server", False, "alerts")
            >>> given = {"SMTP_PORT": Given("many", ".env line 3")}
            >>> Layers("dev", Path(), {"SMTP_PORT": port}, given).problem("SMTP_PORT", "a port")
            "SMTP_PORT = 'many' (.env line 3): wanted a port"
        """
        given, setting = self.given.get(name), self.settings[name]
        if given is None:
            return f"{name} = {setting.default!r} (default): wanted {wanted}"
        shown = MASK if setting.secret else repr(given.value)
        return f"{name} = {shown} ({given.origin}): wanted {wanted}"


def read_layers(
    settings: Mapping[str, Setting],
    environment: str = "",
    *,
    base_dir: Path,
    environ: Mapping[str, str] | None = None,
) -> Layers:
    """Read the .env files and the process environment, and change nothing in it.

    Args:
        settings: all that are declared, by their names; others are ignored.
        environment: which `.env.<environment>` to read; empty reads `.env` alone.
        base_dir: folder of the .env files, from which relative paths count too.
        environ: used in place of the process environment.
    """
    base_dir = Path(base_dir).absolute()
    given: dict[str, Given] = {}
    problems: list[str] = []
    for name in [".env", f".env.{environment}"] if environment else [".env"]:
        found, wrong = _read_env_file(base_dir / name, settings)
        given |= found
        problems += wrong
    for name, value in (os.environ if environ is None else environ).items():
        if name in settings and value.strip():
            given[name] = Given(value, "environment")
    return Layers(environment, base_dir, settings, given, tuple(problems))


def _read_env_file(
    path: Path, settings: Mapping[str, Setting]
) -> tuple[dict[str, Given], list[str]]:
    try:
        # a folder called .env is somebody's virtual environment
        text = "" if path.is_dir() else path.read_text("utf-8-sig")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        return {}, [f"{path.name} cannot be read: {reason}"]
    given: dict[str, Given] = {}
    problems: list[str] = []
    for binding in parse_stream(StringIO(text)):
        place = f"{path.name} line {_line(binding)}"
        problems += _line_problems(binding, place, settings)
        if binding.key in settings and (binding.value or "").strip():
            given[binding.key or ""] = Given(binding.value, place)
    return given, problems


def _line(binding: Binding) -> int:
    # the parser counts from the first of any blank lines before the one that matters
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _line_problems(binding: Binding, place: str, settings: Mapping[str, Setting]) -> Iterator[str]:
    key = binding.key or ""
    if binding.error or (key and binding.value is None):
        # the line itself is not shown: it may hold a password
        yield f"{place} cannot be read: wanted NAME=value, with any quotes closed on that line"
    elif key not in settings:
        for near in get_close_matches(key.upper(), settings, n=1, cutoff=0.8):
            yield f"{key} in {place} is no setting; did you mean {near}?"


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
