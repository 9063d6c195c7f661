"""The house as documentation: which room imports which, drawn, and what each module holds."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted([*ROOT.glob("*.py"), *(ROOT / "etl").rglob("*.py")])
DOOR = {path.stem for path in ROOT.glob("*.py")}
GROUND = "ground"
# Single modules in `etl` that stand above the ground.
_ROOMS_OF_ONE = {
    "etl.rejects",
    "etl.api_ingest",
    "etl.db_ingest",
    "etl.data_quality",
    "etl.transform",
}


def name_of(path: Path) -> str:
    """Return the dotted name of a module of ours."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """Return the room of a module: the first folder below `etl`, or the module itself."""
    return ".".join(module.split(".")[:2]) if module.startswith("etl.") else module


_MODULES = {name_of(path) for path in FILES}


def imported(path: Path) -> Iterator[str]:
    """Return the names of ours that a file imports, modules and what is taken from them.

    A module that stands there as a text is imported when it is chosen.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and str(node.value).startswith("etl."):
            names = [str(node.value)] if str(node.value) in _MODULES else []
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in DOOR | {"etl"})


def modules_imported(path: Path) -> set[str]:
    """Return the modules of ours that a file imports."""
    names = {part for name in imported(path) for part in (name, name.rpartition(".")[0])}
    return names & _MODULES - {"etl"}


def rooms_imported(path: Path) -> set[str]:
    """Return the rooms, apart from its own, from which a file imports."""
    found = {name if name.startswith("etl.") else name.split(".")[0] for name in imported(path)}
    return {room_of(name) for name in found} - {room_of(name_of(path))}


def _drawn(room: str) -> str:
    """The room as the picture shows it: single modules in `etl` are drawn as one."""
    is_module = (ROOT / room.replace(".", "/")).with_suffix(".py").exists()
    if room.startswith("etl.") and is_module and room not in _ROOMS_OF_ONE:
        return GROUND
    return room.removeprefix("etl.")


def arrows() -> dict[str, set[str]]:
    """From each room that is drawn, the rooms from which it imports."""
    found: dict[str, set[str]] = {}
    for path in FILES:
        if name_of(path) != "etl":
            room = _drawn(room_of(name_of(path)))
            targets = {_drawn(other) for other in rooms_imported(path) if other != "etl"}
            found.setdefault(room, set()).update(targets - {room})
    return found


def reachable(room: str, graph: Mapping[str, set[str]]) -> set[str]:
    """Every room to which arrows lead from this one."""
    seen: set[str] = set()
    ahead = set(graph[room])
    while ahead:
        seen.add(nearest := ahead.pop())
        ahead |= graph[nearest] - seen
    return seen


def rooms_diagram() -> str:
    """Return the rooms as a Mermaid diagram, without the arrows that follow from others."""
    graph = arrows()
    lines = ["```mermaid", "flowchart TD"]
    for room in sorted(graph):
        indirect = set().union(*(reachable(other, graph) for other in graph[room]))
        lines += [f"    {room} --> {other}" for other in sorted(graph[room] - indirect)]
    return "\n".join([*lines, "```"])


def modules_table() -> str:
    """Return a line for each module, with the first line of its docstring."""
    rows = ["| Module | Holds |", "|---|---|"]
    for path in FILES:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if text:
            rows.append(f"| `{path.relative_to(ROOT).as_posix()}` | {text.splitlines()[0]} |")
    return "\n".join(rows)
