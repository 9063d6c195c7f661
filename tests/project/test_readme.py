"""The documents are what the program does."""

import re
import shlex
from pathlib import Path

import pytest
import render_readme

from etl.pipeline.arguments import build_parser
from etl.settings.example import env_example_text

ROOT = Path(__file__).resolve().parents[2]

README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """Every call of the pipeline in the README and in --help."""
    text = README + build_parser().format_help()
    return sorted(set(re.findall(r"python etl_pipeline\.py(?: [^\n`|]*)?", text)))


def test_the_rendered_parts_are_what_the_program_prints() -> None:
    made = render_readme.without_times(render_readme.rendered(README))
    assert made == render_readme.without_times(README)


@pytest.mark.parametrize("command", commands())
def test_every_command_can_be_pasted(command: str) -> None:
    build_parser().parse_args(shlex.split(command)[2:])


def test_the_test_command_is_the_one_of_continuous_integration() -> None:
    (command,) = re.findall(r"^python3 -m venv .* -m pytest$", README, re.MULTILINE)
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").replace("--quiet", "-q")
    ci = ci.replace(" --disable-pip-version-check", "")
    steps = command.split(" && ")
    assert [line for line in ci.splitlines() if line in steps] == steps


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:[a-z_]+/)*\.?\w+\.(?:py|example|txt))`", README))
    assert named
    assert not {name for name in named if not (ROOT / name).exists()}


def test_every_module_is_in_the_architecture() -> None:
    paths = [*ROOT.glob("*.py"), *(ROOT / "etl").rglob("*.py")]
    modules = {path.relative_to(ROOT).as_posix() for path in paths if path.stem != "__init__"}
    assert {name for name in modules if f"`{name}`" not in README} == set()


def test_the_example_settings_are_those_that_are_declared() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example_text()
