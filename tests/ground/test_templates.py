"""Templates are strict, and compiled once."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from etl.templates import templates


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "greeting.txt").write_text("Hello {{ name }}", encoding="utf-8")
    return tmp_path


def greeting(folder: Path) -> str:
    return templates(folder).get_template("greeting.txt").render(name="Ann")


def compiled(folder: Path) -> list[Path]:
    return list((folder / "__pycache__").glob("*.jinja"))


def test_a_name_that_a_template_lacks_is_an_error(folder: Path) -> None:
    with pytest.raises(UndefinedError, match="'name' is undefined"):
        templates(folder).get_template("greeting.txt").render()


def test_a_template_is_compiled_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    assert greeting(folder) == "Hello Ann"
    (first,) = compiled(folder)
    written = first.stat().st_mtime_ns
    assert greeting(folder) == "Hello Ann"
    assert first.stat().st_mtime_ns == written


def test_a_template_that_was_changed_is_compiled_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    greeting(folder)
    (folder / "greeting.txt").write_text("Good night {{ name }}", encoding="utf-8")
    assert greeting(folder) == "Good night Ann"


def test_what_was_compiled_may_be_damaged_or_not_be_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    greeting(folder)
    compiled(folder)[0].write_bytes(b"\0")
    assert greeting(folder) == "Hello Ann"
    (other := folder / "other").mkdir()
    (other / "greeting.txt").write_text("Hello {{ name }}", encoding="utf-8")
    (other / "__pycache__").write_text("a file where the folder would be")
    assert greeting(other) == "Hello Ann"


def test_without_bytecode_of_python_there_is_none_of_templates(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    assert greeting(folder) == "Hello Ann"
    assert compiled(folder) == []
