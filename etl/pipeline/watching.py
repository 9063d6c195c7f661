"""Showing how far a run is: as bars on a terminal, as a log line now and then elsewhere."""

import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from etl.history.audit import HELD_BACK, SKIPPED, SOURCE_FAILED
from etl.pipeline.progress import DUPLICATES, WAITING, Line, Progress

logger = logging.getLogger(__name__)

EVERY_S = 10.0  # between two lines about one step

_WIDE, _BAR, _WIDE_BAR = 100, 10, 26
_MARKS = dict.fromkeys((SOURCE_FAILED, HELD_BACK, SKIPPED), ("✗", "red"))
_ENDED, _ACTIVE, _IDLE = ("✓", "green"), ("▸", "cyan"), (" ", "dim")


@contextmanager
def shown(progress: Progress, *, bars: bool) -> Iterator[None]:
    """Show how far a run is until the block ends.

    Args:
        progress: what it says of itself.
        bars: whether a terminal that is there may be drawn on; it is the one of stderr.
    """
    console = Console(stderr=True)
    if bars and console.is_terminal and not console.is_dumb_terminal:
        with Live(
            get_renderable=lambda: bars_of(progress, console.width), console=console,
            transient=True, refresh_per_second=4,
        ):  # fmt: skip
            yield
        return
    with _logged(progress):
        yield


# --- on a terminal -----------------------------------------------------------------------


def bars_of(progress: Progress, width: int) -> RenderableType:
    """Return how far a run is as a table without lines.

    Args:
        progress: what the run says of itself.
        width: of the terminal, in characters.
    """
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, min_width=len(DUPLICATES))
    grid.add_column(width=_WIDE_BAR if width >= _WIDE else _BAR)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    now = progress.clock()
    for line in progress.lines:
        grid.add_row(_name(line), _step(line), _bar(line), _words(line, now))
    return grid


def _look(line: Line) -> tuple[str, str]:
    if line.active:
        return _ACTIVE
    return _IDLE if line.took is None else _MARKS.get(line.step, _ENDED)


def _name(line: Line) -> Text:
    mark, style = _look(line)
    return Text.assemble((f"{mark} ", style), (line.name, "bold" if line.active else ""))


def _step(line: Line) -> Text:
    _, style = _look(line)
    return Text(line.step, style=style)


def _bar(line: Line) -> RenderableType:
    if line.share is None:
        return Text("")
    return ProgressBar(total=1.0, completed=line.share, style="dim", complete_style="cyan")


def _words(line: Line, now: float) -> Text:
    return Text("" if line.step == WAITING else line.words(now))


# --- elsewhere ---------------------------------------------------------------------------


@contextmanager
def _logged(progress: Progress) -> Iterator[None]:
    ended = threading.Event()
    context = contextvars.copy_context()  # so that the lines name the run
    arguments = (log_now_and_then, progress, ended.wait)
    thread = threading.Thread(target=context.run, args=arguments, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def log_now_and_then(progress: Progress, wait: Callable[[float], bool]) -> None:
    """Log how far each step is that has lasted for a while, until the run is over.

    Args:
        progress: what the run says of itself.
        wait: waits for so many seconds, and returns whether the run is over.
    """
    while not wait(EVERY_S):
        now = progress.clock()
        for line in progress.lines:
            if line.active and now - line.since >= EVERY_S:
                logger.info(
                    "%s: %s, %s", line.name, line.step, line.words(now),
                    extra={"source": line.name, "stage": line.step, "event": "progress"},
                )  # fmt: skip
