"""How far a run is: which step each source is at, and how long it still has to be read."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from etl.sources.meter import BYTES, Meter
from etl.words import bytes_words, count_words, counted, seconds_words

READING, DUPLICATES, CHECKING = "reading", "deduplicating", "checking"
MERGING, VALIDATING, BUILDING = "merging", "validating", "building"
WAITING = "waiting"

_BEGUN_S = 1.0  # so long a step lasts before its speed says anything


class Taken(Protocol):
    """A part of a source: how many records it has, and how much was read with it."""

    @property
    def rows(self) -> int:
        """Records read."""

    @property
    def position(self) -> int:
        """How much of the source had been read, in the unit of its meter."""


T = TypeVar("T", bound=Taken)


@dataclass
class Line:
    """One source, or what the run does besides.

    Attributes:
        name: its name.
        step: what is done with it.
        since: when that began, by the clock.
        rows: how many of its rows were taken in.
        done: how much of it was taken in, in the unit of its meter.
        meter: says how much there is; None where nothing is read.
        started: when its first step began; None before that.
        took: how many seconds all its steps took; None until it has ended.
    """

    name: str
    step: str = WAITING
    since: float = 0.0
    rows: int = 0
    done: int = 0
    meter: Meter | None = None
    started: float | None = None
    took: float | None = None

    @property
    def active(self) -> bool:
        """Whether something is done with it now."""
        return self.took is None and self.step != WAITING

    @property
    def share(self) -> float | None:
        """How much of it was read, 0 to 1; None where that is unknown or no longer of interest."""
        total = self.meter.total if self.meter else None
        if self.step != READING or not total:
            return None
        return self.done / total

    def words(self, now: float) -> str:
        """Return how far its step is.

        Args:
            now: the present moment, by the clock.

        Example:
            >>> line = Line("sales", READING, 0.0, 500, 25_000_000, Meter(total=100_000_000))
            >>> line.words(5.0)
            '25% of 100 MB, 5 MB/s, 15 s left'
            >>> Line("sales", MERGING, 0.0, 1500).words(61.0)
            '1,500 rows, 1 min 1 s'
        """
        elapsed = max(now - self.since, 0.0) if self.took is None else self.took
        if self.step != READING or self.meter is None:
            rows = [counted(self.rows, "row")] if self.rows else []
            return ", ".join([*rows, seconds_words(elapsed)])
        return ", ".join(self._reading_words(self.meter, elapsed))

    def _reading_words(self, meter: Meter, elapsed: float) -> Iterator[str]:
        begun = elapsed >= _BEGUN_S
        if self.share is None or meter.total is None:
            yield counted(self.rows, "row")
            if begun:
                yield f"{count_words(round(self.rows / elapsed))} rows/s"
            return
        yield f"{self.share:.0%} of {_amount(meter, meter.total)}"
        if begun and self.done:
            rate = self.done / elapsed
            yield f"{_amount(meter, round(rate))}/s"
            yield f"{seconds_words(round((meter.total - self.done) / rate))} left"


def _amount(meter: Meter, amount: int) -> str:
    return bytes_words(amount) if meter.unit == BYTES else counted(amount, "row")


class Progress:
    """What a run says of itself while it works; whoever shows it looks at `lines`.

    Args:
        clock: seconds, from any beginning.

    Example:
        >>> progress = Progress(clock=lambda: 0.0)
        >>> progress.step("sales", MERGING)
        >>> [(line.name, line.step) for line in progress.lines]
        [('sales', 'merging')]
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lines: dict[str, Line] = {}

    @property
    def lines(self) -> tuple[Line, ...]:
        """The sources in their order, then what the run does besides."""
        return tuple(self._lines.values())

    def expect(self, names: Iterable[str]) -> None:
        """Name the sources that are to come."""
        for name in names:
            self._line(name)

    def step(self, name: str, step: str) -> None:
        """Begin a step of a source."""
        line = self._line(name)
        line.step, line.since = step, self.clock()
        if line.started is None:
            line.started = line.since

    def taken_in(self, name: str, blocks: Iterable[T], measure: Callable[[], Meter]) -> Iterator[T]:
        """Read a source from its beginning, and see how far that is.

        Args:
            name: the source.
            blocks: its blocks.
            measure: returns how much of it there is.
        """
        line = self._line(name)
        line.rows, line.done, line.meter = 0, 0, measure()
        self.step(name, READING)
        for block in blocks:
            yield block
            line.rows, line.meter = line.rows + block.rows, measure()
            line.done = min(block.position, line.meter.total or block.position)

    def end(self, name: str, outcome: str) -> None:
        """Say how a source ended; the time is that of all its steps."""
        line = self._line(name)
        now = self.clock()
        line.step, line.took = outcome, now - (now if line.started is None else line.started)

    def _line(self, name: str) -> Line:
        return self._lines.setdefault(name, Line(name))
