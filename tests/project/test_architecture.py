"""The shape of the house: five modules at the door, rooms behind them, imports downwards only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from architecture_docs import (
    FILES,
    imported,
    modules_imported,
    name_of,
    room_of,
    rooms_diagram,
    rooms_imported,
)

ROOT = Path(__file__).resolve().parents[2]
THE_DOOR = {"config", "data_extraction", "data_loading", "data_transformation", "etl_pipeline"}

# A room imports only from rooms in lines above its own; modules directly in `etl` are the ground.
ORDER = (
    {"etl.findings"},
    {
        "etl.errors",
        "etl.files",
        "etl.words",
        "etl.process",
        "etl.places",
        "etl.version",
        "etl.traces",
    },
    {"etl.libraries", "etl.locks", "etl.templates"},
    {"etl.schema", "etl.resilience"},
    {"etl.cloud"},
    {"etl.rejects", "etl.settings"},
    {"config"},
    {"etl.engines", "etl.rules"},
    {"etl.sources", "etl.transform"},
    {"etl.api_ingest", "etl.db_ingest", "etl.history"},
    {"etl.warehouse", "etl.reports", "etl.telemetry"},
    {"etl.profile", "etl.cluster"},
    {"etl.data_quality"},
    {"etl.marts"},
    {"etl.monitoring"},
    {"etl.alerts"},
    {"etl.quality"},
    {"etl.pipeline"},
    {"data_extraction", "data_transformation", "data_loading"},
    {"etl_pipeline"},
)
RANK_OF = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}


def test_five_modules_stand_at_the_door() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == THE_DOOR


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
        name_of(p) for p in behind if THE_DOOR & {name.split(".")[0] for name in imported(p)}
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
    arrows = {name_of(path): modules_imported(path) for path in FILES}
    assert list(_circles(arrows)) == []


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


# --- docs/architecture.md --------------------------------------------------------------------

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
WAYS = re.findall(
    r"^## (The way of [^\n]+)\n.*?```mermaid\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL
)


def steps(diagram: str) -> list[tuple[Path, Path]]:
    """The arrows of a diagram: the files at both of their ends."""
    found = re.findall(r"^    (\S+\.py) -->\|[^|]+\| (\S+\.py)$", diagram, re.MULTILINE)
    assert len(found) == len(diagram.strip().splitlines()) - 1, "a line that is no arrow"
    return [(ROOT / start, ROOT / end) for start, end in found]


def test_the_ways_of_a_record_an_alert_and_a_check_are_drawn() -> None:
    assert [title for title, _ in WAYS] == [
        f"The way of {thing}" for thing in ("a record", "an alert", "a check")
    ]


@pytest.mark.parametrize("diagram", [diagram for _, diagram in WAYS], ids=[t for t, _ in WAYS])
def test_each_step_of_a_way_joins_modules_of_which_one_imports_the_other(diagram: str) -> None:
    for start, end in steps(diagram):
        assert start.exists() and end.exists(), (start, end)
        joined = {name_of(end)} & modules_imported(start) | {name_of(start)} & modules_imported(end)
        assert joined, f"{name_of(start)} and {name_of(end)} do not know each other"


def test_every_room_is_explained() -> None:
    drawn = set(re.findall(r"\w+", rooms_diagram().partition("TD")[2]))
    explained = set(re.findall(r"^- \*\*(\w+)\*\*:", PAGE, re.MULTILINE))
    assert explained == drawn - THE_DOOR
