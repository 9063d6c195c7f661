"""What a source of a run is: how its records are read, by which rules, into which table."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from etl.history.dead_letters import Retry
from etl.rules.blocks import Block, LoadBlock
from etl.rules.cleaning import NOTHING_TO_CLEAN, Cleaning
from etl.rules.columns import clean_text
from etl.rules.texts import normalised_keys
from etl.schema.table import Table
from etl.sources.division import Division
from etl.sources.files import FileTrace
from etl.sources.meter import Meter
from etl.sources.several import SourceFiles
from etl.sources.watch import Watch
from etl.sources.window import AnyWindow


@dataclass(frozen=True)
class Feed:
    """How the records of a source are read.

    Attributes:
        read: gives its blocks, anew each time.
        originals: finds staged records as the source wrote them.
        path: the file, or the database without its secrets.
        query: what the database is asked; empty for a file.
        trace: what was read of the file or the interface; None for several files.
        files: its files, with what was read of each.
        left_out: how many of its records are not wanted for their status, by status; known once
            it was read.
        rows: how many rows of a query were read; a file is measured by its trace.
        reached: says how far a feed of changes has been read.
        loaded: lets it forget what has been loaded up to a position.
        division: how it is read in pieces; None: as a whole.
    """

    read: Callable[[], Iterator[Block]]
    originals: Callable[[pa.Table], pa.Table]
    path: str
    query: str = ""
    trace: FileTrace | None = None
    left_out: Counter[str] = field(default_factory=Counter)
    files: SourceFiles | None = None
    rows: Meter = field(default_factory=Meter)
    reached: Callable[[], str] = str
    loaded: Callable[[str], None] = field(default=lambda _position: None)
    division: Division | None = None

    @property
    def traced(self) -> FileTrace | None:
        """What was read of all of it; None for a database."""
        return self.files.trace if self.files else self.trace

    @property
    def file(self) -> Path:
        """The newest of its files, or what `path` names."""
        return self.files.files[-1].path if self.files else Path(self.path)

    @property
    def meter(self) -> Meter:
        """How much of it was read."""
        if self.files:
            return self.files.meter
        return self.rows if self.trace is None else self.trace.meter


def _first_column(block: pa.RecordBatch) -> pa.RecordBatch:
    """The key of a built-in source, which stands behind the number of the row."""
    name = block.schema.names[1]
    keys, _ = normalised_keys(block.column(name))
    return pa.RecordBatch.from_arrays([clean_text(keys)], [name])


@dataclass(frozen=True)
class Source:
    """One source of a run.

    Attributes:
        partial: it is not all that the source has, so that it passes no reject limit, and what
            it lacks has not vanished.
        skipped: how many of its records were left out on purpose, by reason.
        watch: what is noticed of it while it is read.
        written: how its values are written, where that was set.
        limits: its own ones, by the name that `Limits` has for them.
        snapshot: whether each reading gives all that the source has.
        read_keys: gives the keys of records as they were read, in the types of the table.
        rules: by name of a rule that was declared, its expression.
        moment: as of when its records hold, where its file has a day in its name.
        cleaning: what is done to the staged whole.
        made_up: by column, how values that are missing are made up, in words.
        retry: the rejected records that it tries once more; None: they come from the source.
    """

    name: str
    table: Table
    columns: tuple[str, ...]
    window: AnyWindow
    feed: Feed
    transform: Callable[[pa.RecordBatch], LoadBlock]
    partial: bool = False
    skipped: Mapping[str, int] = field(default_factory=dict)
    watch: Watch = field(default_factory=Watch)
    written: tuple[str, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    snapshot: bool = True
    read_keys: Callable[[pa.RecordBatch], pa.RecordBatch] = _first_column
    rules: Mapping[str, str] = field(default_factory=dict)
    moment: datetime | None = None
    cleaning: Cleaning = NOTHING_TO_CLEAN
    made_up: Mapping[str, str] = field(default_factory=dict)
    retry: Retry | None = None

    @property
    def after(self) -> tuple[str, ...]:
        """The sources of the tables that its own refers to: they are loaded before it."""
        parents = [parent.source for _, parent in self.table.references]
        return tuple(dict.fromkeys(filter(None, parents)))

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of them without which it cannot be loaded: nothing can stand for their rows."""
        parents = [p.source for _, p in self.table.references if not p.placeholder]
        return tuple(dict.fromkeys(filter(None, parents)))
