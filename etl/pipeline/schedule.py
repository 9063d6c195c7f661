"""When each of several loads may work: after which others, and how many at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Protocol

from etl.warehouse.claims import Claim


@dataclass(frozen=True)
class Planned:
    """A load, as far as the order depends on it.

    Attributes:
        name: its name.
        after: the loads that come before it.
        claim: its tables.
    """

    name: str
    after: Sequence[str]
    claim: Claim


def waiting_for(loads: Sequence[Planned]) -> dict[str, list[str]]:
    """Return by load the earlier ones that must be over when it begins.

    Those are the ones that it refers to, and those that may touch the same tables: these never
    work at once, and always in the same order, so that neither deadlocks nor the clock decide.

    Args:
        loads: in the order in which they would be loaded one by one.
    """
    return {
        load.name: [
            each.name for each in loads[:place]
            if each.name in load.after or each.claim.excludes(load.claim)
        ]
        for place, load in enumerate(loads)
    }  # fmt: skip


def lacking(needs: Iterable[str], loaded: Mapping[str, bool]) -> list[str]:
    """Return what a load needs and was not loaded in this run.

    Args:
        needs: the loads without which it cannot be loaded.
        loaded: by load of this run, whether it was loaded, as far as they are over.

    Example:
        >>> lacking(["regions", "shops"], {"shops": False, "regions": True})
        ['shops']
    """
    return [name for name, there in loaded.items() if not there and name in {*needs}]


class Hands(Protocol):
    """Who does the work."""

    def begin(self, name: str) -> None:
        """Begin with a load."""

    def next_end(self) -> str:
        """Wait until one of those begun is over, and return its name.

        Raises:
            BaseException: what it has raised.
        """


def run_in_order(waits: Mapping[str, Sequence[str]], hands: Hands, most: int) -> Iterator[str]:
    """Have loads done as soon as those are over that they wait for.

    Args:
        waits: by load, in their order, those that it waits for.
        hands: who does them.
        most: how many may work at a time.

    Yields:
        Each load, in their order, once it and all before it are over.

    Raises:
        BaseException: what a load has raised; no other one is begun then.
    """
    turns, sorter = _Turns(waits), TopologicalSorter(waits)
    sorter.prepare()
    ready: list[str] = []
    working = 0
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=turns.place)
        free = most - working
        for name in ready[:free]:
            hands.begin(name)
        working += len(ready[:free])
        ready = ready[free:]
        name = hands.next_end()
        sorter.done(name)
        working -= 1
        yield from turns.end(name)


class _Turns:
    """Puts what ends at any time into its order."""

    def __init__(self, order: Iterable[str]) -> None:
        self._order = list(order)
        self._ended: set[str] = set()
        self._due = 0

    def place(self, name: str) -> int:
        return self._order.index(name)

    def end(self, name: str) -> Iterator[str]:
        self._ended.add(name)
        while self._due < len(self._order) and self._order[self._due] in self._ended:
            self._due += 1
            yield self._order[self._due - 1]
