"""Several loads at once: a thread for each, with a connection and transactions of its own.

The warehouse stays taken by the connection of the run. What is reported comes in the order of the
loads, whichever ends first.
"""

import contextvars
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Protocol

from etl.history.outcomes import SourceOutcome
from etl.history.runs import Applied
from etl.pipeline.context import RunContext
from etl.pipeline.fared import failed, report
from etl.pipeline.one_load import Loaded
from etl.pipeline.schedule import Planned, run_in_order, waiting_for
from etl.pipeline.source import Source
from etl.warehouse.claims import claim_of
from etl.warehouse.own_loads import tables_of


class Load(Protocol):
    """How one source is loaded."""

    def skipped(self, source: Source, before: Iterable[SourceOutcome]) -> Loaded | None:
        """Leave it out for how those before it fared; return None when it is to be loaded."""

    def loaded(self, run: RunContext, source: Source) -> Loaded:
        """Load it."""


_LOOK_S = 1.0  # how often those at work are asked again to end


def load_side_by_side(
    run: RunContext, load: Load, workers: int
) -> tuple[Sequence[SourceOutcome], Applied]:
    """Load the sources of a run, several at once.

    Args:
        run: the run; its own connection is used for nothing else meanwhile.
        load: loads one of them, or leaves it out.
        workers: how many may work at a time.

    Returns:
        How each fared, in their order, and the counts of all.

    Raises:
        WarehouseInUseError: it was lost to another run.
    """
    work = _Work(run, load)
    waits, threads = waiting_for(_planned(run)), _Threads(work.do)
    try:
        for name in run_in_order(waits, threads, workers):
            report(work.sources[name], work.done[name][0])
    except KeyboardInterrupt:
        threads.finish(run.db.cancel_beside)
        raise
    finally:
        threads.finish()
        work.add_ledgers()
    return work.results()


def _planned(run: RunContext) -> list[Planned]:
    tables = tuple(tables_of(run.own))
    return [
        Planned(source.name, source.after, claim_of(source.table, tables)) for source in run.sources
    ]


class _Work:
    """The loads of a run, and how those fared that are over."""

    def __init__(self, run: RunContext, load: Load) -> None:
        self.sources = {source.name: source for source in run.sources}
        self.done: dict[str, Loaded] = {}
        self._run, self._load = run, load
        self._apart: dict[str, RunContext] = {}

    def do(self, name: str) -> None:
        """Load one source over a connection of its own, unless it is left out."""
        source = self.sources[name]
        before = [self.done[each][0] for each in self.sources if each in self.done]
        self.done[name] = self._load.skipped(source, before) or self._loaded(source)
        self._run.progress.end(name, self.done[name][0].status)

    def _loaded(self, source: Source) -> Loaded:
        own = self._apart[source.name] = self._run.apart(self._run.db.beside())
        with ExitStack() as stack:
            try:
                own.retried(stack.enter_context)(own.db)
            except Exception as error:  # noqa: BLE001  # the others go on; it is reported
                return failed(source, error, read=0), Applied()
            return self._load.loaded(own, source)

    def add_ledgers(self) -> None:
        """Put what the loads have learnt into the ledger of the run, in their order."""
        for name in self.sources:
            if own := self._apart.get(name):
                self._run.ledger.add(own.ledger)

    def results(self) -> tuple[Sequence[SourceOutcome], Applied]:
        """Return how each fared, and the counts of all, in the order of the loads."""
        outcomes, total = [], Applied()
        for name in self.sources:
            outcome, applied = self.done[name]
            outcomes.append(outcome)
            total = total.plus(applied)
        return outcomes, total


class _Threads:
    """Does each piece of work in a thread of its own.

    Args:
        work: what is to be done, given its name.
    """

    def __init__(self, work: Callable[[str], None]) -> None:
        self._work = work
        self._ended: SimpleQueue[tuple[str, BaseException | None]] = SimpleQueue()
        self._threads: dict[str, threading.Thread] = {}

    def begin(self, name: str) -> None:
        """Begin with one."""
        context = contextvars.copy_context()  # so that log records keep the run id
        thread = threading.Thread(target=context.run, args=(self._do, name), name=f"load-{name}")
        self._threads[name] = thread
        thread.start()

    def _do(self, name: str) -> None:
        error: BaseException | None = None
        try:
            self._work(name)
        except BaseException as caught:  # noqa: BLE001  # handed over to the run
            error = caught
        self._ended.put((name, error))

    def next_end(self) -> str:
        """Wait until one is over."""
        name, error = self._ended.get()
        self._threads.pop(name).join()
        if error is not None:
            raise error
        return name

    def finish(self, ask: Callable[[], None] = lambda: None) -> None:
        """Wait until all are over.

        Args:
            ask: asks them now and then to end.
        """
        for thread in self._threads.values():
            while thread.is_alive():
                ask()
                thread.join(_LOOK_S)
