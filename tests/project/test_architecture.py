"""The shape of the house: five modules at the door, rooms behind them, imports downwards only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOOR = {"config", "data_extraction", "data_loading", "data_transformation", "etl_pipeline"}

# A room imports only from rooms in lines above its own; modules directly in `etl` are the ground.
ORDER = (
    {
        "etl.errors",
        "etl.files",
        "etl.words",
        "etl.process",
        "etl.places",
        "etl.version",
    },
    {"etl.schema"},
    {"etl.rejects", "etl.settings"},
    {"config", "etl.resilience"},
    {"etl.engines", "etl.rules"},
    {"etl.sources"},
    {"etl.history"},
    {"etl.warehouse", "etl.reports"},
    {"etl.monitoring"},
    {"etl.alerts"},
    {"etl.quality"},
    {"etl.pipeline"},
    {"data_extraction", "data_transformation", "data_loading"},
    {"etl_pipeline"},
)
RANK_OF = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
FILES = sorted([*ROOT.glob("*.py"), *(ROOT / "etl").rglob("*.py")])


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The room of a module: the first folder below `etl`, or the module itself."""
    return ".".join(module.split(".")[:2]) if module.startswith("etl.") else module


def imported(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in DOOR | {"etl"})


def rooms_imported(path: Path) -> set[str]:
    own = room_of(name_of(path))
    found = {name if name.startswith("etl.") else name.split(".")[0] for name in imported(path)}
    return {room_of(name) for name in found} - {own}


def test_five_modules_stand_at_the_door() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == DOOR


def test_every_room_has_its_place_in_the_order() -> None:
    assert {room_of(name_of(path)) for path in FILES} - {"etl"} == set(RANK_OF)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_to_lower_rooms_only(path: Path) -> None:
    rank = RANK_OF.get(room_of(name_of(path)), 0)
    assert {room for room in rooms_imported(path) if RANK_OF[room] >= rank} == set()


def test_no_room_imports_the_door() -> None:
    """Installed, a foreign `config.py` in the folder of the user must do no harm."""
    behind = [path for path in FILES if path.parent != ROOT]
    assert {
        name_of(p) for p in behind if DOOR & {name.split(".")[0] for name in imported(p)}
    } == set()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_imported_inside_a_function(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    inside = [
        node.lineno
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not inside


def test_no_modules_of_a_room_import_each_other_in_a_circle() -> None:
    names = {name_of(path) for path in FILES}
    arrows = {name_of(path): {m for m in _modules(path) if m in names} for path in FILES}
    assert list(_circles(arrows)) == []


def _modules(path: Path) -> Iterator[str]:
    for name in imported(path):
        yield name
        yield name.rpartition(".")[0]


def _circles(arrows: dict[str, set[str]]) -> Iterator[str]:
    """The modules from which one comes back to themselves."""
    for start, first in arrows.items():
        seen: set[str] = set()
        ahead = set(first)
        while ahead:
            module = ahead.pop()
            seen.add(module)
            ahead |= arrows[module] - seen
        if start in seen:
            yield start
