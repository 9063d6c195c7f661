"""Being asked to end, by Ctrl-C or SIGTERM, also where an engine swallows the exception.

A signal handler raises in whatever the main thread happens to do. Inside a callback of Arrow or
DuckDB that exception may be printed and forgotten, so it is noted as well, and the work looks at
the note wherever it goes on after an error, and before it commits.
"""

import signal
from types import FrameType

_noted: list[signal.Signals] = []


def listen() -> None:
    """Takes both signals for a request to roll back and end; a second one ends at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note)


def _note(number: int, _frame: FrameType | None) -> None:
    _noted.append(signal.Signals(number))
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


def raise_if_asked() -> None:
    """Raises KeyboardInterrupt when a signal has been noted.

    Example:
        >>> raise_if_asked()
    """
    if _noted:
        raise KeyboardInterrupt


def end_by_signal() -> int:
    """Ends the process by the signal that was noted, so that shells and schedulers see it.

    Returns:
        The exit code for systems on which a signal does not end a process.
    """
    number = _noted[0] if _noted else signal.SIGINT
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    return 128 + number
