"""What is noticed of a source while it is read: how it is written, and in which order its dates.

The order of day and month is decided by the whole file, which is seen only at its end. So a source
is read by the default until a date proves an order; where others were read before, it is read
again from its beginning, once. It is staged whole before anything of it can be seen.
"""

from collections import Counter
from collections.abc import Callable
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
    """

    dates: DateReading = AS_FOUND
    setting: str = "date_order of the source"
    facts: dict[str, None] = field(default_factory=dict)
    warnings: dict[str, None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    extra: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._given = self.dates.order is not None
        self._evidence = OrderEvidence()
        self._examples: dict[DateOrder, str] = {}

    def begin(self) -> None:
        """Start again at the beginning of the source; an order that was proven stays."""
        self.facts.clear()
        self.warnings.clear()
        self.counts.clear()
        self.extra.clear()
        self._evidence = OrderEvidence()

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
            if count and order not in self._examples:
                self._examples[order] = date_that_proves(values, order)
        if self._evidence.contradicts:
            raise self._contradiction(column)
        self._settle(column, before)

    def _settle(self, column: str, before: OrderEvidence) -> None:
        order = self._evidence.order
        if order is None or order == self.dates.order:
            return
        self.dates = replace(self.dates, order=order)
        if before.misread_as(order):
            raise OrderProvenError(f"{column} is {order}, as {self._examples[order]!r} proves")

    def _contradiction(self, column: str) -> HeldBackError:
        return HeldBackError(
            f"{column} is written in two orders: {self._examples[DAY_FIRST]!r} can only be "
            f"{DAY_FIRST}, {self._examples[MONTH_FIRST]!r} only {MONTH_FIRST}; nothing of the "
            "source was loaded",
            next_step=f"correct the export, or set {self.setting}, which rejects the others",
        )

    def end_dates(self, column: str) -> None:
        """Say how the dates were read, where that was not beyond doubt."""
        order = self._evidence.order
        if order == DAY_FIRST:
            self.facts[f"{column} {order}, as {self._examples[order]!r} proves "
                       f"({self.setting} fixes it)"] = None  # fmt: skip
        elif order is None and self._evidence.ambiguous:
            self.warnings[
                f"{self._evidence.ambiguous} ambiguous dates in {column} were read month first "
                f"between slashes, day first between dots; {self.setting} fixes the order"
            ] = None


def with_proven_order(read: Callable[[], T]) -> T:
    """Read a source, again when a date proved the order on the way; the watch remembers it."""
    try:
        return read()
    except OrderProvenError:
        return read()
