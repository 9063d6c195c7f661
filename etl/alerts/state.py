"""What alerts remember from run to run: one small JSON file, changed by one process at a time.

Nothing here raises for a file that is damaged or cannot be written: an alert too many is better
than none, and no alert fails a run.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

T = TypeVar("T")

STATE_FILE = "alert_state.json"
LOCK_FILE = "alerts.lock"

_LOCK_WAIT_S = 2.0  # far longer than anybody keeps it
_LOOK_S = 0.02

logger = logging.getLogger(__name__)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps the other processes that write alerts to a folder out; waits for them a little.

    Raises:
        OSError: the folder cannot be written.
        TimeoutError: somebody has kept the lock for too long.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a+b") as file:
        _lock(file)  # ends with the file, also when the process is killed
        yield


def _lock(file: IO[bytes]) -> None:
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            _try_lock(file)
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"another process keeps {file.name} locked") from None
            time.sleep(_LOOK_S)
        else:
            return


if sys.platform == "win32":

    def _try_lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:

    def _try_lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class AlertState:
    """The memory of one folder of alerts; without a folder, of this object alone.

    Args:
        folder: where the state file lies; made when missing.

    Example:
        >>> state = AlertState(None)
        >>> state.change(lambda data: data.setdefault("count", 7))
        7
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._data: dict[str, Any] = {}  # also what is known while the file cannot be written
        self._told = False

    def change(self, change: Callable[[dict[str, Any]], T]) -> T:
        """Reads what is remembered, changes it, and writes it back, all under the lock.

        Args:
            change: takes the data and changes it in place; called exactly once.

        Returns:
            What `change` returned, also when nothing could be written.
        """
        if self._folder is None:
            return change(self._data)
        with self._locked_if_possible(self._folder):
            self._data = self._read(self._folder / STATE_FILE)
            result = change(self._data)
            self._write(self._folder / STATE_FILE)
        return result

    @contextmanager
    def _locked_if_possible(self, folder: Path) -> Iterator[None]:
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(folder))
            except OSError as error:
                self._tell(error)
            yield

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            data = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._tell(error)
            return self._data
        except (ValueError, RecursionError):
            data = None
        if isinstance(data, dict):
            return data
        logger.warning("%s was damaged, and is begun anew", path)
        return {}

    def _write(self, path: Path) -> None:
        beside = path.with_suffix(".tmp")
        try:
            beside.write_text(json.dumps(self._data, indent=1, sort_keys=True), encoding="utf-8")
            beside.replace(path)
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            self._tell(error)

    def _tell(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            logger.warning(
                "what was alerted cannot be remembered, alerts may be repeated: %s", error
            )
