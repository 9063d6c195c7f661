"""Which loads there are, and which waits for which, as the settings declare it."""

import json
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import replace

from etl.history.journal import read_entries
from etl.history.records import journal_path
from etl.history.summary import RunSummary
from etl.marts.graph import mart_nodes
from etl.reports.load_graph import Node, mermaid, svg, with_last_run
from etl.schema.star import STAR_TABLES
from etl.settings.config import Config
from etl.settings.pipeline_checks import arrows

_RUNS_LOOKED_AT = 50


def loads_of(config: Config) -> tuple[Node, ...]:
    """Return the loads, each with those that it waits for.

    Args:
        config: the settings; a load that is switched off is left out.

    Example:
        >>> from etl.settings.config import load_config
        >>> *_, sales = loads_of(load_config("dev", environ={}))
        >>> sales.name, sales.after, sales.needs
        ('sales', ('customers', 'products'), ())
    """
    found = [*_built_in(config), *_declared(config)]
    there = {node.name for node in found}
    return tuple(
        replace(node, after=_in(there, node.after), needs=_in(there, node.needs)) for node in found
    )


def _in(there: Set[str], names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name in there)


def _built_in(config: Config) -> Iterator[Node]:
    for table in STAR_TABLES:
        if config.pipeline.source(table.source).enabled:
            after = tuple(parent.source for _, parent in table.references)
            yield Node(table.source, table.name, after)  # a placeholder stands for what is missing


def _declared(config: Config) -> Iterator[Node]:
    loads = config.pipeline.loads
    own, star = arrows(loads), {table.name: table.source for table in STAR_TABLES}
    for name, load in loads.items():
        if load.source.enabled:
            built_in = (star[each] for each in load.references.values() if each in star)
            needs = tuple(sorted(own[name]))
            yield Node(name, load.table, tuple(dict.fromkeys([*built_in, *needs])), needs=needs)


def marts_of(config: Config) -> tuple[Node, ...]:
    """Return the marts, each with the loads and marts that fill what it reads."""
    loads = {node.table: node.name for node in loads_of(config)}
    found = mart_nodes(config.base_dir, loads)
    return tuple(Node(m.name, m.name, m.after, needs=m.after, is_mart=True) for m in found)


def graph_text(config: Config, form: str, *, marts: bool = False) -> str:
    """Return the graph of the loads, with how each went in the last run.

    Args:
        config: the settings.
        form: one of `GRAPHS`.
        marts: with the marts that are computed from them.
    """
    entries = read_entries(journal_path(config), most=_RUNS_LOOKED_AT)
    runs = [run for entry in entries if (run := RunSummary.from_dict(entry)).sources]
    declared = (*loads_of(config), *(marts_of(config) if marts else ()))
    nodes = with_last_run(declared, runs[-1] if runs else None)
    return _FORMS[form](nodes)


def _as_json(nodes: Sequence[Node]) -> str:
    loads, marts = ([n.as_dict() for n in nodes if n.is_mart is wanted] for wanted in (False, True))
    return json.dumps({"loads": loads, "marts": marts}, indent=2)


_FORMS = {"mermaid": mermaid, "svg": lambda nodes: str(svg(nodes, alone=True)), "json": _as_json}
