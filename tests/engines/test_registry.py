"""The engines there are, and that nobody outside their room asks which one it has."""

import ast
from pathlib import Path

import pytest
from pipeline_runs import Project, command

from etl.engines.engine import Engine
from etl.engines.registry import ENGINES, engine_of
from etl.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = [
    path
    for path in [*ROOT.glob("*.py"), *(ROOT / "etl").rglob("*.py")]
    if (ROOT / "etl" / "engines") not in path.parents
]
SCHEMES = ("duckdb:///", "postgresql://", "postgres://")


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.dialect.name)
def test_each_engine_takes_its_own_connection_strings_and_no_other(engine: Engine) -> None:
    form = engine.form.removesuffix(" (an ODBC string)")
    assert [other for other in ENGINES if other.accepts(form)] == [engine]
    assert engine_of(form) is engine


def test_an_engine_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError, match="names no engine") as caught:
        engine_of("mysql://etl:sesame@db1/dwh")
    assert "sesame" not in str(caught.value)
    assert all(engine.form in caught.value.choices for engine in ENGINES)
    assert caught.value.code == "unknown_engine"


def test_a_warehouse_of_no_known_engine_ends_the_command_with_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path, LOG_LEVEL="CRITICAL")
    project.settings["DB_CONNECTION_STRING"] = "mysql://etl:sesame@db1/dwh"
    assert command(project, monkeypatch) == 2
    assert "DB_CONNECTION_STRING names no engine" in capsys.readouterr().err


def _docstrings(tree: ast.AST) -> set[ast.AST]:
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, owners) and node.body]
    return {body[0].value for body in bodies if isinstance(body[0], ast.Expr)}


def test_no_scheme_stands_outside_the_engines_but_where_settings_name_a_default() -> None:
    found = set()
    for path in OUTSIDE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        docstrings = _docstrings(tree)
        kept = [node.value for node in texts if node not in docstrings]
        if any(text in SCHEMES for text in kept if isinstance(text, str)):
            found.add(path.relative_to(ROOT).as_posix())
    assert found == {"etl/settings/sections/database.py"}


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path.stem)
def test_nobody_outside_the_engines_compares_with_one_of_them(path: Path) -> None:
    """The embedded engine may be used for computing in memory, whatever the warehouse is."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    names = {n.id for each in compared for n in ast.walk(each) if isinstance(n, ast.Name)}
    assert not names & {"DUCKDB", "POSTGRESQL", "SQL_SERVER"}
