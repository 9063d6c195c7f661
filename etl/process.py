"""This process: being asked to end, and how much memory it takes.

A signal handler raises in whatever the main thread happens to do. Inside a callback of Arrow or
DuckDB that exception may be printed and forgotten, so the signal is noted as well, and the work
looks at the note wherever it goes on after an error, and before it commits.
"""

import gc
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import FrameType

import pyarrow as pa

if sys.platform == "win32":
    import psutil  # type: ignore[import-untyped]  # ships no type information
else:
    import resource

_noted: list[signal.Signals] = []


def listen() -> None:
    """Treat SIGINT and SIGTERM as a request to roll back and end; a second one ends at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note)


def _note(number: int, _frame: FrameType | None) -> None:
    _noted.append(signal.Signals(number))
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


@contextmanager
def ending_after(seconds: float) -> Iterator[None]:
    """Ask the work inside to roll back and end after some seconds, by a KeyboardInterrupt.

    In the main thread alone, and not on Windows, where there is no such signal.

    Args:
        seconds: more than 0.
    """
    former = signal.signal(signal.SIGALRM, _note_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
        _noted.clear()  # a function goes on with its next call


def _note_alarm(number: int, _frame: FrameType | None) -> None:
    _noted.append(signal.Signals(number))
    raise KeyboardInterrupt


def raise_if_asked() -> None:
    """Raise KeyboardInterrupt when a signal has been noted.

    Example:
        >>> raise_if_asked()
    """
    if _noted:
        raise KeyboardInterrupt


def end_by_signal() -> int:
    """End the process by the signal that was noted, so that shells and schedulers see it.

    Returns:
        The exit code for systems on which a signal does not end a process.
    """
    number = _noted[0] if _noted else signal.SIGINT
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    return 128 + number


def keep_pandas_out() -> None:
    """Keep Arrow from importing pandas, which costs a run 0.7 seconds of CPU and is not used.

    Arrow imports it, where it is installed, at its first conversion of a Python value, and asks
    only once: in this process it then takes pandas for missing. So this is only for a process of
    our own, not for one that calls the pipeline as a library.
    """
    sys.meta_path.insert(0, _WithoutPandas())
    try:
        pa.scalar("")
    finally:
        del sys.meta_path[0]


class _WithoutPandas(MetaPathFinder):
    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ImportError(fullname)


def settle_memory() -> None:
    """Set how this process takes and gives back memory, for a load of many records.

    Only for a process of our own, not one that calls the pipeline as a library.

    The system's allocator gives blocks back that Arrow's own keeps: 130 MB less at the peak of a
    load of nine million sales, at the same speed. Records are many objects, none of which forms a
    cycle; to look for cycles as often as Python does by itself (700, 10, 10) cost four percent of
    a load, and found nothing.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    gc.set_threshold(20_000, 20, 20)


def peak_memory_mb() -> float:
    """Return the most memory this process has had resident so far, in MiB.

    Example:
        >>> peak_memory_mb() > 1
        True
    """
    return _peak_bytes() / 2**20


if sys.platform == "win32":

    def _peak_bytes() -> int:
        return int(psutil.Process().memory_info().peak_wset)

else:

    def _peak_bytes() -> int:
        # Not ru_maxrss where it can be helped: Linux hands it down from the process that started
        # this one, so that a small job under a large scheduler would report the scheduler's peak.
        try:
            status = Path("/proc/self/status").read_text("ascii", errors="replace")
        except OSError:
            status = ""
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024  # bytes there, KiB elsewhere
