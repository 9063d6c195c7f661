"""The marts among the loads: what each reads, and which are asked for."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from etl.marts.files import MartError, mart_paths, read_mart
from etl.marts.queries import Query, parse_mart


@dataclass(frozen=True)
class MartNode:
    """A mart.

    Attributes:
        name: of it and of its table.
        after: the loads and marts that fill what it reads.
    """

    name: str
    after: tuple[str, ...] = ()


def mart_names(base_dir: Path) -> tuple[str, ...]:
    """Return the names of all marts; their files are not read.

    Args:
        base_dir: the folder of `.env`.
    """
    return tuple(path.stem for path in mart_paths(base_dir))


def after_of(query: Query, loads: Mapping[str, str], marts: Collection[str]) -> tuple[str, ...]:
    """Return the loads and marts that fill what a mart reads.

    Args:
        query: of the mart.
        loads: by table, the load that fills it.
        marts: that there are.
    """
    read = [
        *(loads.get(name, "") for name in query.tables),
        *(n for n in query.reads if n in marts),
    ]
    return tuple(dict.fromkeys(filter(None, read)))


def mart_nodes(base_dir: Path, loads: Mapping[str, str]) -> list[MartNode]:
    """Return the marts, those first that others read; one that cannot be parsed reads nothing.

    Args:
        base_dir: the folder of `.env`.
        loads: by table, the load that fills it.
    """
    queries = {query.name: query for query in _queries(base_dir)}
    found = {
        name: MartNode(name, after_of(queries[name], loads, queries) if name in queries else ())
        for name in mart_names(base_dir)
    }
    order = TopologicalSorter({n: found.keys() & {*node.after} for n, node in found.items()})
    try:
        return [found[name] for name in order.static_order()]
    except CycleError:  # the run says so
        return [MartNode(name) for name in found]


def _queries(base_dir: Path) -> Iterator[Query]:
    for path in mart_paths(base_dir):
        try:
            file = read_mart(path)
            if not file.is_empty:
                yield parse_mart(file)
        except MartError:  # likewise
            continue


@dataclass(frozen=True)
class Asked:
    """Which marts a run is to build.

    Attributes:
        all: all that there are, unless some are named.
        only: those of these names, besides loads.
        start: those that read what these loads and marts fill, directly or not, and themselves.
        skip: without these.
    """

    all: bool
    only: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def wanted(self, nodes: Sequence[MartNode]) -> set[str]:
        """Return the names of those to build.

        Args:
            nodes: all marts, those first that others read.

        Example:
            >>> nodes = [MartNode("days", ("sales",)), MartNode("weeks", ("days",))]
            >>> sorted(Asked(all=True, start=("sales",)).wanted(nodes))
            ['days', 'weeks']
            >>> Asked(all=False, only=("days",)).wanted(nodes)
            {'days'}
        """
        names = {node.name for node in nodes}
        named = names & {*self.only, *self.start}
        if self.all and not (named or self.start):
            return names - {*self.skip}
        start = self.start if self.all else names & {*self.start}
        return (named | _those_after(nodes, start)) - {*self.skip}


def _those_after(nodes: Sequence[MartNode], names: Collection[str]) -> set[str]:
    """The marts that read what these loads and marts fill, directly or not."""
    reached, found = {*names}, set[str]()
    for node in nodes:
        if reached & {*node.after}:
            reached.add(node.name)
            found.add(node.name)
    return found
