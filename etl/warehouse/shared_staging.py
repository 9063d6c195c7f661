"""Staging by several processes at once: each attempt apart from the others, and none too late.

A piece of a source may be tried again while an earlier attempt at it still works, such as on a
machine that was given up for lost. Every attempt has batch numbers of its own, and whoever has the
source keeps the rows of one attempt at each piece. That no other one can add rows afterwards is
the matter of `stage_open`: each transaction of an attempt changes the row of its piece, and fails
once that is gone; to remove it waits for those that are about to commit.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from etl.engines.database import DatabaseManager
from etl.engines.dialect import quoted
from etl.engines.engine import Part
from etl.errors import LoadingError
from etl.schema.table import Table
from etl.schema.work_tables import STAGE_OPEN

# Batch numbers of one attempt; so many attempts fit into the numbers that the column has.
_BATCHES = 2**15
_MOST_ATTEMPTS = 2**16 - 1


class Share(Protocol):
    """The part that a process has in a staging."""

    @property
    def first_batch(self) -> int:
        """The number of its first batch."""

    def number(self, batch: int) -> int:
        """Return the number under which one of its batches is staged."""

    def append(self, db: DatabaseManager, layout: Table, parts: Sequence[Part]) -> None:
        """Append rows."""


class Whole:
    """The part of a process that stages alone: all of it."""

    first_batch = 0

    def number(self, batch: int) -> int:
        """Return the number as it is."""
        return batch

    def append(self, db: DatabaseManager, layout: Table, parts: Sequence[Part]) -> None:
        """Append rows."""
        db.append_parts(layout, parts)


WHOLE = Whole()


@dataclass(frozen=True)
class Attempt:
    """The part of one attempt at one piece.

    Attributes:
        table: into which the source is loaded.
        piece: the number of the piece.
        attempt: a number that no other attempt of the reading has.
        token: what `open_to` has returned.
    """

    table: Table
    piece: int
    attempt: int
    token: str

    @property
    def first_batch(self) -> int:
        """The number of its first batch."""
        return self.attempt * _BATCHES

    def number(self, batch: int) -> int:
        """Return the number under which one of its batches is staged.

        Raises:
            LoadingError: there are none left.
        """
        if batch >= _BATCHES or self.attempt > _MOST_ATTEMPTS:
            raise LoadingError(
                f"the batches of piece {self.piece} have run out of numbers: batch {batch} of "
                f"attempt {self.attempt}",
                next_step="change SPARK_PIECE_MB, larger for fewer pieces, or raise BATCH_SIZE",
            )
        return self.first_batch + batch

    def append(self, db: DatabaseManager, layout: Table, parts: Sequence[Part]) -> None:
        """Append rows, unless nobody else may stage any more.

        Raises:
            LoadingError: that is so.
        """
        with db.transaction():
            for block, constants in parts:  # a second connection would not be in the transaction
                db.append(layout, block, constants)
            place = (self.table.name, self.piece, self.token)
            if db.change(_STILL_OPEN, place) != 1:
                raise LoadingError(f"piece {self.piece} of {self.table.name} is staged no more")


@dataclass(frozen=True)
class StagedShare:
    """What a process has staged.

    Attributes:
        first_batch: the number of its first batch.
        rows: how many.
        figures: their checksum, where the engine has one.
    """

    first_batch: int
    rows: int
    figures: tuple[int, ...] = ()


_OPEN = quoted(STAGE_OPEN.name)
_STILL_OPEN = (
    f'UPDATE {_OPEN} SET "token" = "token" '  # noqa: S608  # our own table
    'WHERE "table_name" = ? AND "piece" = ? AND "token" = ?;'
)


def open_to(db: DatabaseManager, table: Table, pieces: Iterable[int]) -> str:
    """Let other processes stage pieces of a source.

    Args:
        db: the warehouse, outside a transaction.
        table: into which the source is loaded.
        pieces: their numbers.

    Returns:
        What admits them.
    """
    token = uuid4().hex
    insert = f'INSERT INTO {_OPEN} ("table_name", "piece", "token") VALUES (?, ?, ?);'  # noqa: S608  # likewise
    db.execute_batch(insert, [(table.name, piece, token) for piece in pieces])
    return token


def shut(db: DatabaseManager, table: Table) -> None:
    """Let no other process stage any more, once those that are about to commit have done so."""
    db.execute(f'DELETE FROM {_OPEN} WHERE "table_name" = ?;', (table.name,))  # noqa: S608  # likewise


def remove_share(db: DatabaseManager, rows: str, first_batch: int) -> None:
    """Remove what one attempt has staged.

    Args:
        db: the warehouse, outside a transaction.
        rows: the staging table.
        first_batch: of the attempt.
    """
    remove = f'DELETE FROM {quoted(rows)} WHERE "batch" BETWEEN ? AND ?;'  # noqa: S608  # likewise
    db.execute(remove, (first_batch, first_batch + _BATCHES - 1))


def keep_shares(db: DatabaseManager, rows: str, shares: Sequence[StagedShare]) -> None:
    """Remove the rows of all attempts but these.

    Args:
        db: the warehouse, outside a transaction; nobody else stages any more.
        rows: the staging table.
        shares: of one attempt at each piece.

    Raises:
        LoadingError: the table does not hold as many rows of one of them as were staged.
    """
    wanted = {share.first_batch: share.rows for share in shares if share.rows}
    found: Counter[int] = Counter()
    for batch, count in db.query(f'SELECT "batch", count(*) FROM {quoted(rows)} GROUP BY "batch";'):  # noqa: S608  # likewise
        found[batch // _BATCHES * _BATCHES] += count
    for first_batch in found.keys() - wanted.keys():
        remove_share(db, rows, first_batch)
    odd = {batch: count for batch, count in wanted.items() if found[batch] != count}
    if odd:
        batch, count = next(iter(odd.items()))
        raise LoadingError(
            f"{rows} holds {found[batch]} rows of an attempt that has staged {count}",
            next_step="nothing of this source was loaded; check that nobody else writes into the "
            "staging tables",
        )
