"""What can go wrong, one class per stage, each with its exit code.

A message says what happened and where, which choices there are, and what to do next. A missing
file stays the built-in `FileNotFoundError`, so that callers can catch what they know.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

from etl.findings import Finding

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_ATTENTION = 3
EXIT_IN_USE = 4


class ETLError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        what: what happened, and where (file, row, table, setting).
        choices: what would have been accepted, when that is a short list.
        next_step: the one thing to do now.
        code: a stable word for the kind of fault, such as `driver_missing`, by which alerts of
            different faults are distinguished whatever their texts say.

    Attributes:
        what, choices, next_step, code: as given; empty where there is none.

    Example:
        >>> error = ETLError("no column 'email' in a.csv", next_step="add the column")
        >>> print(error)
        no column 'email' in a.csv. Next: add the column.
        >>> error.next_step
        'add the column'
    """

    exit_code: ClassVar[int] = EXIT_FAILED
    reported = False  # set once it has been logged, so that it is not printed a second time

    def __init__(
        self, what: str, *, choices: str = "", next_step: str = "", code: str = ""
    ) -> None:
        parts = [what, choices and f"Choices: {choices}", next_step and f"Next: {next_step}"]
        sentences = [_sentence(part) for part in parts if part]
        text = " ".join(sentences)
        super().__init__(text if choices or next_step else text.removesuffix("."))
        self.what, self.choices, self.next_step = what, choices, next_step
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process makes the same error of."""
        return _as_it_was, (type(self), self.args, self.__dict__)


def _as_it_was(kind: type[ETLError], texts: tuple[str, ...], known: dict[str, Any]) -> ETLError:
    error = kind.__new__(kind, *texts)
    error.__dict__.update(known)
    return error


def _sentence(part: str) -> str:
    """The part with the mark that ends it; a driver's text may end with one of its own."""
    part = part.rstrip(". ")
    return part if part.endswith(("?", "!", "…")) else f"{part}."


class ConfigurationError(ETLError):
    """A setting or an argument cannot be used; raised before any work is done."""

    exit_code = EXIT_USAGE


class ExtractionError(ETLError):
    """A source cannot be read; the other sources go on."""


class ValidationError(ExtractionError):
    """A source can be read but has another shape than the one that is expected."""


class TransformationError(ETLError):
    """Records cannot be transformed at all; single bad records are rejected instead."""


class LoadingError(ETLError):
    """The warehouse refused something, or the counts of a load do not add up."""


class CommitUnknownError(LoadingError):
    """The connection was lost before the answer to a commit: it may have happened or not."""


class HeldBackError(LoadingError):
    """A source was held back, since something speaks against loading it.

    Args:
        what: what was found.
        next_step: the one thing to do now.
        findings: what the gate has found, where it was the gate.
    """

    def __init__(self, what: str, *, next_step: str = "", findings: Sequence[Finding] = ()) -> None:
        super().__init__(what, next_step=next_step)
        self.findings = tuple(findings)


class CircuitOpenError(ETLError):
    """A call was not made, because the circuit is open: what it calls has failed too often."""


class WarehouseInUseError(LoadingError):
    """Another process works in the warehouse."""

    exit_code = EXIT_IN_USE

    @classmethod
    def by_another_run(cls, holder: str) -> Self:
        """Return what a run says that did not get the lock of a server.

        Args:
            holder: what is known of the run that has it, to be put behind the words.
        """
        return cls(
            f"the warehouse is in use by another run{holder}",
            next_step="wait until it has ended, or set LOCK_WAIT_SECONDS to wait for it",
        )


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, then what caused it, down to the first cause.

    Example:
        >>> try:
        ...     raise LoadingError("not loaded") from OSError("disk full")
        ... except LoadingError as error:
        ...     [type(each).__name__ for each in causes(error)]
        ['LoadingError', 'OSError']
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:  # a chain can be tied into a ring
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__
