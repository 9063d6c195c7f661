"""How many rejected records are kept to be tried again, as plain values."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from etl.history.entries import count_of, instant_of, mapping_of, name_of
from etl.words import age_words


@dataclass(frozen=True)
class LetterCounts:
    """The rejected records that are kept of one source.

    Attributes:
        open: how many are tried again.
        person: how many were tried too often, or cannot be tried without a person.
        oldest: when the oldest of them was first rejected, UTC.
    """

    source: str
    open: int = 0
    person: int = 0
    oldest: datetime | None = None

    def plus(self, other: "LetterCounts") -> "LetterCounts":
        """Both together."""
        known = [each for each in (self.oldest, other.oldest) if each]
        return LetterCounts(
            self.source, self.open + other.open, self.person + other.person,
            min(known, default=None),
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        oldest = self.oldest.replace(tzinfo=UTC).isoformat() if self.oldest else None
        return {
            "source": self.source, "open": self.open, "person": self.person, "oldest": oldest,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, entry: object) -> "LetterCounts":
        """Read it back."""
        known = mapping_of(entry)
        return cls(
            name_of(known.get("source")), count_of(known.get("open")) or 0,
            count_of(known.get("person")) or 0, instant_of(known.get("oldest")),
        )  # fmt: skip

    def words(self, now: datetime) -> str:
        """Return them for people.

        Args:
            now: the present moment, UTC.

        Example:
            >>> since = datetime(2024, 1, 18)
            >>> LetterCounts("sales", open=2, person=1, oldest=since).words(datetime(2024, 1, 20))
            'sales: 2 open and 1 for a person, the oldest 2 days old'
        """
        parts = [f"{n} {word}" for n, word in ((self.open, "open"), (self.person, "for a person"))
                 if n]  # fmt: skip
        age = age_words(now - (self.oldest or now))
        return f"{self.source}: {' and '.join(parts)}, the oldest {age} old"
