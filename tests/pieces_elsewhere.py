"""Stands for a cluster: its tasks are done in this process, and all of it is pickled on the way.

Tests say what happens to attempts: which are lost, done twice, or go on after they were given up.
"""

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from etl.cluster.targets import Mark
from etl.pipeline import on_cluster
from etl.pipeline.pieces import pieces_of

PIECE_BYTES = 2_000  # so that the sample has a dozen pieces
Do = Callable[[Any, Any, Mark], Any]


def once(work: Any, item: Any, mark: Mark) -> Any:
    return work(item, mark)


class Elsewhere:
    """Does each piece of work as `attempt` says."""

    name, at_once = "tests", 2

    def __init__(self, attempt: Do = once) -> None:
        self.attempt = attempt
        self.done: list[str] = []
        self._attempts = count()

    def mark(self, number: int, *, is_last: bool = True) -> Mark:
        return Mark(number, next(self._attempts), is_last)

    def run(self, work: Any, items: Sequence[tuple[int, Any]]) -> list[Any]:
        work, found = pickle.loads(pickle.dumps(work)), []  # noqa: S301  # its own
        for number, item in items:
            result = self.attempt(work, item, self.mark(number))
            found.append(pickle.loads(pickle.dumps(result)))  # noqa: S301  # likewise
            self.done.append(str(item))
        return found

    def cancel(self) -> None:
        pass


def instead_of_spark(patch: pytest.MonkeyPatch, elsewhere: Elsewhere) -> Elsewhere:
    """Lets the pipeline take this for Spark."""

    @contextmanager
    def started(_master: str | None, _log_dir: Path) -> Iterator[Elsewhere]:
        yield elsewhere

    patch.setattr(on_cluster, "spark_application", started)
    patch.setattr(on_cluster, "require_spark", lambda: None)
    patch.setattr(on_cluster, "pieces_of", lambda source, _bytes: pieces_of(source, PIECE_BYTES))
    return elsewhere
