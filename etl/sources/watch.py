"""What is noticed of a source while it is read: how it is written, and in which order its dates.

The order of day and month is decided by the whole file, which is seen only at its end. So a source
is read by the default until a date proves an order; where others were read before, it is read
again from its beginning, once. It is staged whole before anything of it can be seen.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pyarrow as pa

from etl.errors import ETLError, HeldBackError
from etl.rules.dates import (
    AS_FOUND,
    DAY_FIRST,
    MONTH_FIRST,
    DateOrder,
    DateReading,
    OrderEvidence,
    date_that_proves,
    order_evidence,
)
from etl.sources.gaps import SeenNumbers, gaps_in_words
from etl.sources.noticed import Members, Noticed, Proof, in_common

T = TypeVar("T")


class OrderProvenError(ETLError):
    """A date proves how dates must be read, and others were passed on before it."""


@dataclass
class Watch:
    """What is noticed of one source, by whoever reads it.

    Attributes:
        dates: how dates are read; the order is filled in when the source proves one.
        setting: where a person fixes the order.
        facts: what was found out about the file, in words; a dict for its order.
        warnings: what a person should look at.
        counts: such as of rows that are no records.
        extra: names of columns that are not wanted.
        partial: a part of the source is read: what only the whole can say is left to `merge`.
    """

    dates: DateReading = AS_FOUND
    setting: str = "date_order of the source"
    facts: dict[str, None] = field(default_factory=dict)
    warnings: dict[str, None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    extra: list[str] = field(default_factory=list)
    partial: bool = False

    def __post_init__(self) -> None:
        self._given = self.dates.order is not None
        self._proofs: dict[DateOrder, Proof] = {}
        self.begin()

    def begin(self) -> None:
        """Start again at the beginning of the source; an order that was proven stays."""
        self.facts.clear()
        self.warnings.clear()
        self.counts.clear()
        self.extra.clear()
        self._evidence = OrderEvidence()
        self._dates = ""
        self._members: Members | None = None
        self._numbers: dict[str, SeenNumbers] = {}

    def see_dates(self, column: str, values: pa.Array) -> None:
        """Look at the dates of the next block, before they are read.

        Args:
            column: its name, for messages.
            values: texts; any other column proves nothing.

        Raises:
            OrderProvenError: they prove an order, and others were passed on before.
            HeldBackError: together with those before they prove both.
        """
        if self._given:
            return
        before, found = self._evidence, order_evidence(values)
        self._evidence = before.plus(found)
        for order, count in ((DAY_FIRST, found.day_first), (MONTH_FIRST, found.month_first)):
            if count and order not in self._proofs:
                self._proofs[order] = Proof(order, date_that_proves(values, order), column)
        self._refuse_contradiction()
        proven = self._evidence.order
        if proven is None or proven == self.dates.order:
            return
        self.dates = replace(self.dates, order=proven)
        if before.misread_as(proven):
            raise self._proven(proven)

    def _proven(self, order: DateOrder) -> OrderProvenError:
        proof = self._proofs[order]
        return OrderProvenError(f"{proof.column} is {order}, as {proof.text!r} proves")

    def _refuse_contradiction(self) -> None:
        if not self._evidence.contradicts:
            return
        column = list(self._proofs.values())[-1].column
        texts = {order: proof.text for order, proof in self._proofs.items()}
        raise HeldBackError(
            f"{column} is written in two orders: {texts[DAY_FIRST]!r} can only be "
            f"{DAY_FIRST}, {texts[MONTH_FIRST]!r} only {MONTH_FIRST}; nothing of the "
            "source was loaded",
            next_step=f"correct the export, or set {self.setting}, which rejects the others",
        )

    def end_dates(self, column: str) -> None:
        """Say how the dates were read, where that was not beyond doubt."""
        self._dates = column
        if self.partial:
            return
        order = self._evidence.order
        if order == DAY_FIRST:
            self.facts[f"{column} {order}, as {self._proofs[order].text!r} proves "
                       f"({self.setting} fixes it)"] = None  # fmt: skip
        elif order is None and self._evidence.ambiguous:
            self.warnings[
                f"{self._evidence.ambiguous} ambiguous dates in {column} were read month first "
                f"between slashes, day first between dots; {self.setting} fixes the order"
            ] = None

    def see_members(self, members: Members) -> None:
        """Say what the members of the records of a file are like."""
        self._members = members
        if not self.partial:
            self.facts.update(dict.fromkeys(members.facts()))
            self.warnings.update(dict.fromkeys(members.warnings()))

    def see_numbers(self, column: str, seen: SeenNumbers) -> None:
        """Say which numbers are missing in a column that counts up."""
        self._numbers[column] = seen
        if not self.partial and (gaps := seen.gaps()):
            self.warnings[gaps_in_words(column, gaps)] = None

    # --- parts of a source ---

    def noticed(self, file: str = "") -> Noticed:
        """Return what was noticed of a part of the source, to be merged where the others are.

        Args:
            file: name of the file that the part belongs to.
        """
        return Noticed(
            file, self.dates.order, self._dates, self._evidence, tuple(self._proofs.values()),
            tuple(self.facts), tuple(self.warnings), Counter(self.counts), tuple(self.extra),
            self._members, {column: seen.spans() for column, seen in self._numbers.items()},
        )  # fmt: skip

    def merge(self, parts: Sequence[Noticed]) -> None:
        """Notice all that was noticed of the parts of the source, as if it had been read whole.

        Args:
            parts: all of them, in their order.

        Raises:
            OrderProvenError: together they prove an order in which some were not read; `dates`
                has it.
            HeldBackError: together they prove both orders.
        """
        self.begin()
        self._merge_dates(parts)
        self._merge_files(parts)
        for part in parts:
            self.counts.update(part.counts)
            self.extra += part.extra
        if dates := next((part.dates for part in parts if part.dates), ""):
            self.end_dates(dates)
        for column in dict.fromkeys(name for part in parts for name in part.numbers):
            seen = SeenNumbers()
            for part in parts:
                seen.see_spans(part.numbers.get(column, ()))
            self.see_numbers(column, seen)

    def _merge_dates(self, parts: Sequence[Noticed]) -> None:
        self._proofs.clear()
        for part in parts:
            self._evidence = self._evidence.plus(part.evidence)
            for proof in part.proofs:
                self._proofs.setdefault(proof.order, proof)
            self._refuse_contradiction()
        order = self._evidence.order
        if order is None:
            return
        self.dates = replace(self.dates, order=order)
        if not all(part.fits(order) for part in parts):
            raise self._proven(order)

    def _merge_files(self, parts: Sequence[Noticed]) -> None:
        found: dict[str, tuple[str, ...]] = {}
        for name in dict.fromkeys(part.file for part in parts):
            of_file = [part for part in parts if part.file == name]
            members = Members()
            for part in of_file:
                members = members.plus(part.members or Members())
                self.warnings.update(dict.fromkeys(part.warnings))
            self.warnings.update(dict.fromkeys(members.warnings()))
            facts = (fact for part in of_file for fact in part.facts)
            found[name] = tuple(dict.fromkeys((*facts, *members.facts())))
        self.facts.update(dict.fromkeys(in_common(found)))


def with_proven_order(read: Callable[[], T]) -> T:
    """Read a source, again when a date proved the order on the way; the watch remembers it."""
    try:
        return read()
    except OrderProvenError:
        return read()
