"""The changes of a declared load: where they are read, from where on, and what follows the load."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import pyarrow as pa

from etl.rules.blocks import Block
from etl.schema.table import Feed
from etl.sources.changes.debezium import EventForm, names_in_events, read_events
from etl.sources.changes.originals import as_staged
from etl.sources.declared import Records
from etl.sources.files import FileTrace
from etl.sources.several import SourceFiles
from etl.sources.watch import Watch
from etl.sources.window import AnyWindow


class Changes(Records, Protocol):
    """Records that are changes."""

    @property
    def left_out(self) -> Counter[str]:
        """How many records are no change of the table, by what they are."""

    @property
    def feed(self) -> Feed:
        """In which order they come."""

    def after(self, position: str) -> "Changes":
        """Return the changes after a position; empty: all there are."""

    def reached(self) -> str:
        """Return how far they have been read; empty: to the newest of them."""

    def loaded(self, position: str) -> None:
        """Let the source forget what has been loaded up to a position."""


@dataclass(frozen=True)
class EventRecords:
    """Change events in files."""

    files: SourceFiles
    form: EventForm
    pattern: str = ""
    left_out: Counter[str] = field(default_factory=Counter)
    feed: Feed = Feed.ANY_ORDER

    @property
    def place(self) -> str:
        """The path, or the pattern of several."""
        return self.pattern if self.files.names else str(self.files.files[-1].path)

    @property
    def trace(self) -> FileTrace | None:
        """What was read of the file; None where there are several."""
        return self.files.only_trace

    def asked(self, _window: AnyWindow) -> str:
        """Nothing is asked."""
        return ""

    def names(self) -> tuple[str, ...]:
        """Return the names of the columns in the newest file."""
        return names_in_events(self.files.files[-1].path)

    def blocks(self, columns: Sequence[str], _window: AnyWindow, watch: Watch) -> Iterator[Block]:
        """Read the files, all of them: what was loaded before is recognised by its position."""
        self.left_out.clear()
        read = partial(read_events, columns=columns, form=self.form, left_out=self.left_out)
        yield from self.files.read(lambda file: read(file.path, trace=file.trace), watch)

    def originals(self, losers: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Return them as they were staged."""
        return as_staged(losers, columns)

    def after(self, position: str) -> "EventRecords":
        """Return the same: files have no place to go on from."""
        return self

    def reached(self) -> str:
        """Return nothing: they are read to their end."""
        return ""

    def loaded(self, position: str) -> None:
        """Do nothing: files stay."""
