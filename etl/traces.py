"""The trace of an error as a person reads it: the cause first, without what repeats calls."""

import traceback
from pathlib import Path

# Frames of attempts and breakers, which say nothing of the error.
_REPEATING = frozenset({"tenacity", "resilience", "futures", "contextlib.py"})


def trace_of(error: BaseException) -> str:
    r"""Return the trace of an error and of what caused it, the first cause first.

    Example:
        >>> trace_of(ValueError("no"))
        'ValueError: no\n'
    """
    trace = traceback.TracebackException.from_exception(error)
    each: traceback.TracebackException | None = trace
    seen: set[int] = set()
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        kept = [f for f in each.stack if not _REPEATING.intersection(Path(f.filename).parts)]
        each.stack = traceback.StackSummary.from_list(kept)
        each = each.__cause__ or each.__context__
    return "".join(trace.format())
