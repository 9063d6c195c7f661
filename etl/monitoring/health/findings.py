"""The findings of a health check: the record, and how it is reported.

A look that goes wrong is reported as a check that failed, so that it hides none of the others.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from etl.errors import ETLError, WarehouseInUseError

PASSED, WARNING, FAILED = "passed", "warning", "failed"


@dataclass(frozen=True)
class Check:
    """What one look has found.

    Attributes:
        name: what was looked at.
        status: passed, warning or failed.
        value: what was found, where that is a figure or a word.
        threshold: the figure that it was checked against.
        message: the same for people; with the next step when it failed.
    """

    name: str
    status: str
    value: object = None
    threshold: object = None
    message: str = ""


@dataclass(frozen=True)
class InUse(Check):
    """The warehouse is somebody else's at the moment, so that it could not be looked at."""


def guarded(name: str, look: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """Yield what a look finds; an error is one more finding, after those before it."""
    try:
        yield from look()
    except WarehouseInUseError as error:
        yield InUse(name, WARNING, "in use", message=str(error))
    except (ETLError, FileNotFoundError) as error:
        yield failed(name, str(error))
    except Exception as error:  # noqa: BLE001  # whatever it is, the other checks go on
        yield failed(name, f"{type(error).__name__}: {error}")


def failed(name: str, what: str, next_step: str = "", **figures: object) -> Check:
    """Return a check that failed, with what is to be done about it.

    Args:
        name: of the check.
        what: what was found.
        next_step: what to do; something general when neither this nor `what` says it.
        **figures: `value` and `threshold`, where there are any.

    Example:
        >>> failed("customers file", "customers.csv is empty", "have it written again").message
        'customers.csv is empty. Next: have it written again.'
    """
    if not next_step and "Next: " not in what:
        next_step = "correct this, and check again"
    step = f". Next: {next_step}." if next_step else ""
    return Check(name, FAILED, message=what.rstrip(". ") + (step or "."), **figures)
