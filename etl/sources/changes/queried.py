"""The changes of a table as a database gives them to a query: which way, is a matter of its kind.

The first run reads the table itself, and notes how far its changes went just before; every later
run reads the changes after that. What a change and the table both tell is applied twice, which does
no harm.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from etl.engines.dialect import quoted_table
from etl.errors import ExtractionError
from etl.rules.blocks import Block
from etl.rules.records import BadValueError
from etl.schema.table import Feed
from etl.schema.work_tables import CLEARED, ROW
from etl.sources.changes.change import Change, Naming, change_block
from etl.sources.changes.feed_kinds import FeedKind, FeedTable
from etl.sources.changes.log_records import LogForm
from etl.sources.changes.originals import as_staged
from etl.sources.changes.rows import Database, rows_of
from etl.sources.databases.rows import text_of_value
from etl.sources.watch import Watch
from etl.sources.window import AnyWindow

_FIRST = "0."  # before the positions of all changes


@dataclass(frozen=True)
class QueriedChanges:
    """The changes of a table, or first the table itself; see `declared.Changes`.

    Attributes:
        kind: how the database is asked.
        position: how far they have been loaded; empty: a snapshot of the table comes first.
    """

    database: Database
    table: FeedTable
    kind: FeedKind
    place: str
    zone: str = "UTC"
    position: str = ""
    left_out: Counter[str] = field(default_factory=Counter)
    feed: Feed = Feed.ORDERED
    trace: None = None
    _reached: list[str] = field(default_factory=list)

    def asked(self, _window: AnyWindow) -> str:
        """Return what is read."""
        return f"{self.table.name} from {self.kind.words(self.table)}"

    def after(self, position: str) -> "QueriedChanges":
        """Return the changes after a position; empty: a snapshot of the table comes first."""
        return replace(self, position=position, left_out=Counter(), _reached=[])

    def reached(self) -> str:
        """Return how far the changes have been read."""
        return self._reached[-1] if self._reached else ""

    def loaded(self, position: str) -> None:
        """Do nothing: the database forgets its changes by itself, or somebody deletes them."""

    def look(self) -> None:
        """Check that the changes can be read.

        Raises:
            ETLError: they cannot.
        """
        self._bounds()

    def names(self) -> tuple[str, ...]:
        """Return the columns of the table."""
        sql = f"SELECT * FROM {quoted_table(self.table.name)} WHERE 1 = 0"  # noqa: S608  # a name
        for names, _ in rows_of(self.database, sql):
            return names
        return ()

    def blocks(self, columns: Sequence[str], _window: AnyWindow, _watch: Watch) -> Iterator[Block]:
        """Read what has changed; the first time, what there is."""
        self._reached.clear()
        earliest, newest = self._bounds()
        if not self.position:
            yield from self._snapshot(columns)
        elif earliest and self.position < earliest:
            raise ExtractionError(
                f"{self.kind.words(self.table)} begins at {earliest}, and {self.table.name} has "
                f"been loaded up to {self.position}: changes between are lost",
                next_step="--reset-state this load, so that the next run begins with a snapshot of "
                "the whole table; load more often, or let the changes be kept for longer",
            )
        elif self.position < newest:
            yield from self._changes(columns, newest)
        self._reached.append(max(newest, self.position))

    def originals(self, losers: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Return them as they were staged."""
        return as_staged(losers, columns)

    # --- reading ---

    def _bounds(self) -> tuple[str, str]:
        with closing(rows_of(self.database, self.kind.bounds(self.table))) as found:
            row = next((rows[0] for _, rows in found if rows), ())
        return self.kind.bounds_of(self.table, row)

    def _snapshot(self, columns: Sequence[str]) -> Iterator[Block]:
        naming = Naming(tuple(columns), self.table.rename)
        yield change_block(columns, [Change(0, CLEARED, {}, _FIRST)], examined=0)
        number = 0
        sql = f"SELECT * FROM {quoted_table(self.table.name)}"  # noqa: S608  # a name
        for names, rows in rows_of(self.database, sql):
            wanted = tuple(naming.of(name) or "" for name in names)
            numbered = enumerate((self._texts(wanted, row) for row in rows), number + 1)
            yield change_block(columns, [Change(n, ROW, v, f"{_FIRST}0") for n, v in numbered])
            number += len(rows)

    def _texts(self, names: Sequence[str], row: Sequence[Any]) -> dict[str, str | None]:
        text = partial(text_of_value, zone=ZoneInfo(self.zone))
        return {name: text(value) for name, value in zip(names, row, strict=True)}

    def _changes(self, columns: Sequence[str], newest: str) -> Iterator[Block]:
        naming = Naming(tuple(columns), self.table.rename)
        form = LogForm(self.table.key, naming, self.kind.remedy)
        number = 1
        sql = self.kind.changes(self.table, self.position, newest)
        for names, rows in rows_of(self.database, sql):
            changes: list[Change] = []
            rejected: list[dict[str, object]] = []
            for row in rows:
                texts = self._texts(names, row)
                try:
                    changes += form.changes(self.kind.record(self.table, texts), number)
                except BadValueError as error:
                    rejected.append(error.rejected(number, naming.named(texts), tuple(columns)))
                number += 2
            yield change_block(columns, changes, rejected)
