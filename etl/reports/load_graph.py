"""The loads of a run as a graph: what each waits for, and how it went; for Mermaid and as SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

from markupsafe import Markup

from etl.history.mart_outcomes import MartOutcome
from etl.history.outcomes import SourceOutcome
from etl.history.summary import RunSummary
from etl.reports.headline import state_of_load
from etl.reports.page import escaped
from etl.words import duration_words

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _EDGE = 200, 46, 48, 18, 1
_CHARACTERS = 24  # that fit into a box
_INDENT = 15


@dataclass(frozen=True)
class Node:
    """One load.

    Attributes:
        name: such as sales.
        table: that it fills.
        after: the loads that it waits for.
        state: good, warn, bad or idle; says the colour.
        words: how it went in the last run; empty when that is not known.
        needs: those of them without which it cannot be loaded.
        is_mart: it is a mart, computed from what loads fill.
    """

    name: str
    table: str
    after: tuple[str, ...] = ()
    state: str = "idle"
    words: str = ""
    needs: tuple[str, ...] = ()
    is_mart: bool = False

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it, for a scheduler."""
        return {
            "name": self.name, "table": self.table, "after": list(self.after),
            "needs": list(self.needs),
        }  # fmt: skip


def nodes_of(run: RunSummary) -> tuple[Node, ...]:
    """Return the loads and marts of a run, those that others wait for first."""
    names = {*(source.source for source in run.sources), *(mart.name for mart in run.marts)}
    found = (*(_load(run, source) for source in run.sources), *map(_mart, run.marts))
    return tuple(replace(node, after=tuple(n for n in node.after if n in names)) for node in found)


def _load(run: RunSummary, source: SourceOutcome) -> Node:
    counts = run.table(source.table)
    words = _words(source.status, counts.seconds if counts else None)
    return Node(source.source, source.table, source.after, state_of_load(source.status), words)


def _mart(mart: MartOutcome) -> Node:
    state, words = state_of_load(mart.status), _words(mart.status, mart.seconds)
    return Node(mart.name, mart.name, mart.after, state, words, is_mart=True)


def _words(status: str, seconds: float | None) -> str:
    return f"{status}, {duration_words(seconds)}" if seconds else status


def mermaid(nodes: Sequence[Node]) -> str:
    """Return the graph as text for Mermaid.

    Example:
        >>> print(mermaid([Node("customers", "customer_dim"),
        ...                Node("sales", "sales_fact", ("customers",), "good", "loaded, 2 s")]))
        flowchart LR
            customers["customers"]
            sales["sales<br/>loaded, 2 s"]:::good
            customers --> sales
            classDef good stroke:#187636,stroke-width:2px
            classDef warn stroke:#8f5600,stroke-width:2px
            classDef bad stroke:#c02430,stroke-width:2px
    """
    lines = ["flowchart LR"]
    for node in nodes:
        label = f"{node.name}<br/>{node.words}" if node.words else node.name
        colour = "" if node.state == "idle" else f":::{node.state}"
        begin, end = ("([", "])") if node.is_mart else ("[", "]")
        lines.append(f'    {node.name}{begin}"{label}"{end}{colour}')
    lines += [f"    {before} --> {node.name}" for before, node in _arrows(nodes)]
    lines += [f"    classDef {state} stroke:{colour},stroke-width:2px"
              for state, colour in _COLOURS.items()]  # fmt: skip
    return "\n".join(lines)


def _arrows(nodes: Sequence[Node]) -> Iterator[tuple[str, Node]]:
    """What waits for what; of a mart without what it waits for by way of another one."""
    above: dict[str, frozenset[str]] = {}
    by_name = {node.name: node for node in nodes}
    for name in TopologicalSorter({n.name: n.after for n in nodes}).static_order():
        after = by_name[name].after
        above[name] = frozenset(after).union(*(above[each] for each in after))
    for node in nodes:
        nearest = frozenset().union(*(above[each] for each in node.after)) if node.is_mart else ()
        yield from ((before, node) for before in node.after if before not in nearest)


_COLOURS = {"good": "#187636", "warn": "#8f5600", "bad": "#c02430"}


# --- SVG -------------------------------------------------------------------------------------

# For a picture by itself; within a page its own style has these classes.
_STYLE = (
    "<style>.node rect{fill:#fff;stroke:#55606c;stroke-width:1.5}"
    ".node.good rect{stroke:#187636}.node.warn rect{stroke:#8f5600}.node.bad rect{stroke:#c02430}"
    ".node text{font:13px system-ui,sans-serif;fill:#1a2129}"
    ".node .soft{fill:#55606c;font-size:12px}"
    ".wire{fill:none;stroke:#55606c;stroke-width:1.5}</style>"
)


_NAMESPACE = ' xmlns="http://www.w3.org/2000/svg"'


def svg(nodes: Sequence[Node], *, alone: bool = False) -> Markup:
    """Return the graph as a picture: what waits for nothing stands on the left.

    Args:
        nodes: the loads.
        alone: it is a file of its own, with its style.
    """
    places = _places(nodes)
    width = max((x for x, _ in places.values()), default=0) + _WIDTH + _EDGE
    height = max((y for _, y in places.values()), default=0) + _HEIGHT + _EDGE
    wires = [_wire(places[before], places[node.name]) for before, node in _arrows(nodes)]
    boxes = [_box(node, *places[node.name]) for node in nodes]
    label = escaped("; ".join(_spoken(node) for node in nodes))
    return Markup(  # noqa: S704  # of figures, and of texts that are escaped
        f'<svg{_NAMESPACE if alone else ""} viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{label}" class="graph">'
        f"{_STYLE if alone else ''}{''.join(wires)}{''.join(boxes)}</svg>"
    )


def _spoken(node: Node) -> str:
    after = f" after {', '.join(node.after)}" if node.after else ""
    return f"{node.name}{after}{': ' if node.words else ''}{node.words}"


def _places(nodes: Sequence[Node]) -> dict[str, tuple[int, int]]:
    """By name the corner of each box: a column for each step, rows in the order of the loads."""
    by_name = {node.name: node for node in nodes}
    order = TopologicalSorter({node.name: node.after for node in nodes}).static_order()
    columns: dict[str, int] = {}
    for name in order:
        columns[name] = max((columns[before] + 1 for before in by_name[name].after), default=0)
    rows: dict[int, int] = {}
    found = {}
    for node in nodes:
        column = columns[node.name]
        row = rows[column] = rows.get(column, -1) + 1
        found[node.name] = (
            _EDGE + column * (_WIDTH + _GAP_X), _EDGE + row * (_HEIGHT + _GAP_Y)
        )  # fmt: skip
    return found


def _wire(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + _WIDTH, start[1] + _HEIGHT // 2, end[0], end[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    return (
        f'<path class="wire" d="M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"/>'
        f'<path class="wire" d="M{x2 - 7} {y2 - 4}L{x2} {y2}L{x2 - 7} {y2 + 4}"/>'
    )


def _box(node: Node, x: int, y: int) -> str:
    lines = [line for line in (node.name, node.words) if line]
    first = y + _HEIGHT // 2 + 5 - 8 * (len(lines) - 1)
    texts = "".join(
        f'<text x="{x + _INDENT}" y="{first + 17 * place}" class="{("name", "soft")[place]}">'
        f"{escaped(_short(line))}</text>"
        for place, line in enumerate(lines)
    )
    return (
        f'<g class="node {node.state}"><rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'rx="{_HEIGHT // 2 if node.is_mart else 8}"/>{texts}</g>'
    )


def _short(text: str) -> str:
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"


def with_last_run(loads: Sequence[Node], run: RunSummary | None) -> tuple[Node, ...]:
    """Return the declared loads with how each went in the last run.

    Args:
        loads: as they are declared.
        run: the last run; None when there was none.
    """
    known = {node.name: node for node in nodes_of(run)} if run else {}
    found = ((load, known.get(load.name, load)) for load in loads)
    return tuple(replace(load, state=last.state, words=last.words) for load, last in found)
