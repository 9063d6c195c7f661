"""How much memory this process takes, as its system tells it."""

import sys
from pathlib import Path

if sys.platform == "win32":
    import psutil  # type: ignore[import-untyped]  # ships no type information
else:
    import resource


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
