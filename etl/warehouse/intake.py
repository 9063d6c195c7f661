"""A source is staged whole before the gate looks at it and it is loaded."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from etl.history.runs import Staged
from etl.history.sketches import Sketching
from etl.rejects import faults_of, reject_block
from etl.rules.blocks import LoadBlock
from etl.rules.cleaning import NOTHING_TO_CLEAN, Cleaning
from etl.rules.columns import as_text_column
from etl.schema.table import Column, Table
from etl.sources.window import EVERYTHING, AnyWindow
from etl.warehouse.cleaning import cleaned
from etl.warehouse.load import Load
from etl.warehouse.staging import Refused, Staging

# Given staged records, finds them as the source wrote them, as rejected records.
Originals = Callable[[pa.Table], pa.RecordBatch]
Repeated = Callable[[pa.Table, str], pa.RecordBatch]
Refusal = Callable[[pa.Table, str | pa.Array, str], pa.RecordBatch]

_KEPT_REASONS = 100  # a database's own messages may differ for every record


class Accepting(Protocol):
    """Takes accepted records."""

    def append(self, accepted: pa.RecordBatch) -> list[Refused]:
        """Append records; return those that the database does not take."""


class Rejects(Protocol):
    """Takes rejected records."""

    def write(self, rejected: pa.RecordBatch) -> None:
        """Add a block of them."""


@dataclass
class Tally:
    """Running totals of one source.

    Of its rejected records `unparsed` could not be split, `returns` are no fault, `rejected` are
    the others; `returned` is the sum of the returns.
    `conflicting` counts the duplicates whose contents differ from the record that took precedence,
    `faults` the rejected records per reason,
    `sketching` how the accepted ones are distributed.
    """

    read: int = 0
    unparsed: int = 0
    rejected: int = 0
    examined: int = 0
    conflicting: int = 0
    returns: int = 0
    returned: Decimal = Decimal(0)
    notes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    sketching: Sketching | None = None

    def add(self, block: LoadBlock) -> None:
        """Count a block."""
        self.notes.update(block.notes)
        self.read += block.rows
        self.unparsed += block.unparsed
        self.rejected += block.rejected.num_rows - block.unparsed - block.returns
        self.returns += block.returns
        self.returned += block.returned
        self.examined += block.examined
        if self.sketching:
            self.sketching.look(block.accepted)

    def include(self, other: "Tally") -> None:
        """Add the totals of the part of the source that comes next; its faults are not counted."""
        self.notes.update(other.notes)
        for name in ("read", "unparsed", "rejected", "examined", "returns", "returned"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if self.sketching and other.sketching:
            self.sketching.include(other.sketching)

    def count_faults(self, rejected: pa.RecordBatch) -> None:
        """Count the reasons of a block of rejected records, of very many the most frequent."""
        self.faults.update(faults_of(rejected))
        if len(self.faults) > 10 * _KEPT_REASONS:
            self.faults = Counter(dict(self.faults.most_common(_KEPT_REASONS)))

    @property
    def all_rejected(self) -> int:
        """Records rejected so far, for whatever reason."""
        return self.unparsed + self.rejected + self.returns

    @property
    def reject_rate(self) -> float:
        """Unreadable ones of those examined, plus refused ones of those read.

        The two parts have different wholes: of a file, every record is examined, and only the
        window's are read; a few broken lines must not weigh more in a small window.
        """
        unparsed = self.unparsed / self.examined if self.examined else 0.0
        return unparsed + (self.rejected / self.read if self.read else 0.0)


@dataclass(frozen=True)
class Intake:
    """What is to be staged of a source.

    Attributes:
        fill: stages the records of the source, gives the rejected ones to `rejects`, and counts
            both.
        rejects: takes the rejected records and the duplicates.
        originals: finds the records of duplicates as the source wrote them.
        refusal: likewise of records that the database refuses, with the reason and the column
            to blame, an empty text for the key.
        window: of the sales asked for.
        partial: whether these are single records, not all that the source has.
        staged: tables whose records are staged and not merged yet, but will be before these.
        reached: says how far a feed of changes has been read, once that was done; empty: to the
            newest change in it.
        cleaning: what is done to the staged whole.
        repeated: finds the records of duplicates that the cleaning has found, with the reason.
        tally: counts them, also when the source fails or is held back on the way.
        on_read: is called when all of them are staged, before they are compared.
        moment: as of when the records hold, where that is another one than that of the run.
    """

    fill: "Fill"
    rejects: Rejects
    originals: Originals
    refusal: Refusal
    window: AnyWindow = EVERYTHING
    partial: bool = False
    staged: Collection[str] = ()
    reached: Callable[[], str] = field(default=str)
    cleaning: Cleaning = NOTHING_TO_CLEAN
    repeated: Repeated = lambda rows, _reason: reject_block((), rows.to_pylist())
    tally: Tally = field(default_factory=Tally)
    on_read: Callable[[], None] = field(default=lambda: None)
    moment: datetime | None = None

    def reject(self, staging: Staging, rejected: pa.RecordBatch) -> None:
        """Keep rejected records, their keys and their reasons."""
        staging.append_rejected_keys(rejected)
        self.rejects.write(rejected)
        self.tally.count_faults(rejected)


# Fills a staging with the records of an intake.
Fill = Callable[[Staging, Intake], None]


def from_blocks(blocks: Iterable[LoadBlock]) -> Fill:
    """Return what stages blocks, one after the other."""

    def fill(staging: Staging, intake: Intake) -> None:
        for block in blocks:
            intake.tally.add(block)
            for rejected in stage_block(staging, block, intake.refusal, intake.tally):
                intake.reject(staging, rejected)

    return fill


def stage_block(
    staging: Accepting, block: LoadBlock, refusal: Refusal, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """Stage a block, and yield what is rejected of it: by the database first, then by the rules.

    Args:
        staging: takes the accepted records.
        block: the block, which was counted.
        refusal: finds the records that the database does not take as the source wrote them.
        tally: counts these.
    """
    for refused in staging.append(block.accepted):
        tally.rejected += refused.rows.num_rows
        yield refusal(pa.Table.from_batches([refused.rows]), refused.reason, "")
    yield block.rejected


def stage_source(load: Load, table: Table, intake: Intake) -> Staged:
    """Stage a whole source and write its rejected records; no table is changed.

    Args:
        load: the warehouse, outside a transaction, and the run.
        table: the table it will be merged into.
        intake: the source.

    Returns:
        The staged source; `intake.tally` has its reject rate.
    """
    started, tally = time.perf_counter(), intake.tally
    staging = load.staging(table)
    staging.begin()
    tally.sketching = None if intake.partial else Sketching(table)
    with staging.filling():
        intake.fill(staging, intake)
    intake.on_read()
    staging.verify()
    folded = staging.fold(intake.reached()) if table.feed else None
    _reject_without_parent(staging, intake)
    duplicates = 0 if folded else _set_duplicates_aside(staging, intake)
    duplicates += _clean(load, staging, intake) if intake.cleaning else 0
    return Staged(
        table,
        staging.rows,
        staging.rejected,
        rows_read=tally.read,
        rows_rejected=tally.all_rejected,
        rows_duplicate=duplicates,
        rows_returned=tally.returns,
        window=intake.window,
        seconds=time.perf_counter() - started,
        partial=intake.partial,
        notes={name: count for name, count in tally.notes.items() if count},
        folded=folded,
        run_id=load.plan.run_id,
        moment=intake.moment,
    )


def _set_duplicates_aside(staging: Staging, intake: Intake) -> int:
    losers = staging.remove_duplicates()
    if losers is None:
        return 0
    intake.rejects.write(intake.originals(losers))
    intake.tally.conflicting = staging.count_conflicting()
    return int(losers.num_rows)


def _clean(load: Load, staging: Staging, intake: Intake) -> int:
    """Clean the staged whole; return how many duplicates were set aside for it."""
    duplicates, notes = 0, intake.tally.notes
    for found in cleaned(load.db, staging.table, staging.rows, intake.cleaning, notes):
        if found.is_duplicate:
            duplicates += found.rows.num_rows
            intake.rejects.write(intake.repeated(found.rows, found.reason))
        else:
            intake.tally.rejected += found.rows.num_rows
            intake.reject(staging, intake.refusal(found.rows, found.reason, found.field))
    return duplicates


def _reject_without_parent(staging: Staging, intake: Intake) -> None:
    """Reject records that name a key which is missing in a table without placeholders.

    In a table that refers to itself, a rejected record may be the one that others name.
    """
    for column, parent in staging.table.references:
        itself = parent.name == staging.table.name
        staged = itself or parent.name in intake.staged
        while not parent.placeholder:
            found = staging.remove_without_parent(column, parent, staged=staged)
            if found.num_rows:
                intake.tally.rejected += found.num_rows
                reasons = _without_parent(column, parent, found)
                intake.reject(staging, intake.refusal(found, reasons, column.name))
            if not (itself and found.num_rows):
                break


def _without_parent(column: Column, parent: Table, found: pa.Table) -> pa.Array:
    keys = pa.concat_arrays(as_text_column(found[column.name]).chunks)
    return pc.binary_join_element_wise(column.name, keys, f"is in no row of {parent.name}", " ")
