"""How the marts of a run fared."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from etl.history.audit import FAILED, SKIPPED
from etl.history.entries import count_of, mapping_of, message_of, name_of, number_of, texts_of
from etl.words import counted, seconds_words

BUILT, UPDATED, CURRENT = "built", "updated", "unchanged"


@dataclass(frozen=True)
class MartOutcome:
    """How one mart fared.

    Attributes:
        status: `built` whole, `updated` where the run touched it, `unchanged`, `failed`, or
            `skipped` because one that it reads failed, or was not loaded.
        rows: that it has now; None when it is not known.
        message: what went wrong, without secrets.
        after: the loads and marts that fill what it reads.
    """

    name: str
    status: str
    rows: int | None = None
    seconds: float | None = None
    message: str = ""
    after: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a person has to look at it."""
        return self.status in (FAILED, SKIPPED)

    @property
    def named_message(self) -> str:
        """What went wrong, behind the name."""
        return f"mart {self.name} {self.status}: {self.message}"

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "mart": self.name, "status": self.status, "rows": self.rows,
            "seconds": self.seconds, "error": self.message, "after": list(self.after),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, entry: object) -> "MartOutcome":
        """Read it back."""
        known = mapping_of(entry)
        return cls(
            name_of(known.get("mart")), name_of(known.get("status")), count_of(known.get("rows")),
            number_of(known.get("seconds")), message_of(known.get("error")),
            texts_of(known.get("after")),
        )  # fmt: skip


def marts_words(outcomes: Iterable[MartOutcome]) -> str:
    """Return how many marts fared how, in words.

    Example:
        >>> marts_words([MartOutcome("a", BUILT, 2, 0.5), MartOutcome("b", FAILED, None, 0.0)])
        '1 built, 1 failed in 0.50 s, 2 rows'
    """
    marts = tuple(outcomes)
    counts = {status: sum(each.status == status for each in marts)
              for status in (BUILT, UPDATED, CURRENT, FAILED, SKIPPED)}  # fmt: skip
    said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    seconds = seconds_words(sum(each.seconds or 0 for each in marts))
    return f"{said} in {seconds}, {counted(sum(each.rows or 0 for each in marts), 'row')}"


def faults_in_words(outcomes: Iterable[MartOutcome]) -> Iterator[str]:
    """Yield what a person has to look at, those that fared alike in one line.

    Example:
        >>> list(faults_in_words([MartOutcome("a", SKIPPED, message="not loaded: sales"),
        ...                       MartOutcome("b", SKIPPED, message="not loaded: sales")]))
        ['marts a, b skipped: not loaded: sales']
    """
    alike: dict[tuple[str, str], list[MartOutcome]] = {}
    for outcome in outcomes:
        if outcome.failed:
            alike.setdefault((outcome.status, outcome.message), []).append(outcome)
    for (status, message), marts in alike.items():
        names = ", ".join(mart.name for mart in marts)
        yield marts[0].named_message if len(marts) == 1 else f"marts {names} {status}: {message}"
