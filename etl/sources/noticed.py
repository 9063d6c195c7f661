"""What was noticed of a part of a source, so that the parts together say what the whole does."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from etl.rules.dates import DateOrder, OrderEvidence
from etl.sources.csv_header import listed
from etl.sources.gaps import Spans


@dataclass(frozen=True)
class Proof:
    """A date that can be read in one order only, and the column in which it stands."""

    order: DateOrder
    text: str
    column: str


@dataclass(frozen=True)
class Members:
    """Which members the JSON records of a file have.

    Attributes:
        extra: names that no column has, in the order in which they come.
        wanted: the columns.
        found: those of them that some record has.
        any_seen: whether there was a record at all.
    """

    extra: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    found: frozenset[str] = frozenset()
    any_seen: bool = False

    def plus(self, later: "Members") -> "Members":
        """Return those of both, which belong to one file."""
        return Members(
            tuple(dict.fromkeys((*self.extra, *later.extra))), self.wanted or later.wanted,
            self.found | later.found, self.any_seen or later.any_seen,
        )  # fmt: skip

    def facts(self) -> Iterator[str]:
        """Say what is not loaded.

        Example:
            >>> list(Members(("colour",)).facts())
            ["members that are not loaded: 'colour'"]
        """
        if self.extra:
            yield f"members that are not loaded: {listed(self.extra)}"

    def warnings(self) -> Iterator[str]:
        """Say which columns no record has."""
        lacking = [column for column in self.wanted if column not in self.found]
        if lacking and self.any_seen:
            yield f"no record has {listed(lacking)}; rename names it in the file"


@dataclass(frozen=True)
class Noticed:
    """What a watch has noticed of a part of a source; it pickles.

    Attributes:
        file: name of the file; empty for what is none.
        order: in which its dates were read; None: as by default.
        dates: the columns of dates, in words; empty: none were looked at.
        evidence: what its dates prove.
        proofs: the first date that proves each order, as they come.
        members: of JSON records.
        numbers: by column that counts up, the numbers that were seen.
    """

    file: str = ""
    order: DateOrder | None = None
    dates: str = ""
    evidence: OrderEvidence = field(default_factory=OrderEvidence)
    proofs: tuple[Proof, ...] = ()
    facts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    counts: Counter[str] = field(default_factory=Counter)
    extra: tuple[str, ...] = ()
    members: Members | None = None
    numbers: Mapping[str, Spans] = field(default_factory=dict)

    def fits(self, order: DateOrder | None) -> bool:
        """Return whether its dates were read as this order reads them.

        Example:
            >>> from etl.rules.dates import DAY_FIRST
            >>> Noticed(evidence=OrderEvidence(ambiguous=1)).fits(DAY_FIRST)
            False
        """
        if order is None or self.order == order:
            return True
        return self.order is None and not self.evidence.misread_as(order)


def in_common(found: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield what all files are like, or what each is like where they differ.

    Example:
        >>> list(in_common({"a.csv": ("tabs",), "b.csv": ()}))
        ['a.csv: tabs', 'b.csv: as expected']
    """
    if len(set(found.values())) <= 1:
        yield from next(iter(found.values()), ())
        return
    for name, facts in found.items():
        yield f"{name}: {', '.join(facts) or 'as expected'}"
