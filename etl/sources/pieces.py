"""Pieces of a source: each can be read alone and elsewhere, and all of them give what it gives."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from etl.sources.file_signature import FileSignature
from etl.sources.files import FileTrace
from etl.sources.noticed import Noticed
from etl.sources.window import AnyWindow

# Enough that a task is worth its start, and small enough that a lost one costs little.
TARGET_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Cut:
    """A part of a file, from the beginning of one of its rows to that of another.

    Attributes:
        start: its first byte, from 0.
        end: the byte after its last one.
        first_row: of the file, as it stands at `start`.
        rows: how many rows are in it; records are not more.
        signature: of the file when it was cut.
        line: number of the line there, from 1, where records are not counted by lines.
        known: what its reader had learnt of the file up to there; None at the beginning.
        warnings: what only the whole file shows; the first part has them.
    """

    start: int
    end: int
    first_row: int
    rows: int
    signature: FileSignature
    line: int = 1
    known: object = None
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"bytes {self.start:,} to {self.end:,}"


@dataclass(frozen=True)
class FilePart:
    """A file of a source, or a part of it.

    Attributes:
        number: of the file within the source, from 0.
        cut: the part; None: the whole file.
    """

    number: int
    path: Path
    cut: Cut | None = None

    def __str__(self) -> str:
        return f"{self.path}" + (f", {self.cut}" if self.cut else "")


@dataclass(frozen=True)
class QueryPart:
    """Those records of a query that lie in a window within that of the source.

    Attributes:
        number: among the parts, from 0; its records are numbered as those of such a file are.
        counted: how many records all parts had when the query was divided.
        nulls: whether records without a value in the column belong to it.
    """

    window: AnyWindow
    number: int
    counted: int
    nulls: bool = False

    def __str__(self) -> str:
        return str(self.window)


Part = FilePart | QueryPart


@dataclass(frozen=True)
class Piece:
    """A piece of a source.

    Attributes:
        source: its name.
        number: among the pieces of the source, from 0.
        part: what it is of the source; None: all of it.
        here: only the process that has the source can read it.
    """

    source: str
    number: int
    part: Part | None = None
    here: bool = False

    @property
    def rows(self) -> int | None:
        """How many records it has at the most; None where that is unknown."""
        cut = self.part.cut if isinstance(self.part, FilePart) else None
        return cut.rows if cut else None

    @property
    def size(self) -> int | None:
        """Its bytes; None where that is unknown."""
        cut = self.part.cut if isinstance(self.part, FilePart) else None
        return cut.end - cut.start if cut else None

    @property
    def file(self) -> str:
        """Name of its file; empty for what is none."""
        return self.part.path.name if isinstance(self.part, FilePart) else ""

    def __str__(self) -> str:
        return f"piece {self.number + 1} of {self.source}: {self.part or 'all of it'}"


@dataclass(frozen=True)
class PieceOutcome:
    """What the reading of a piece has found besides its records.

    Attributes:
        number: of the piece.
        noticed: what was noticed of it.
        rows: how many of its records were read.
        left_out: how many were not wanted for their status, by status.
        trace: what was read of a whole file.
    """

    number: int
    noticed: Noticed
    rows: int = 0
    left_out: Mapping[str, int] = field(default_factory=Counter)
    trace: FileTrace | None = None


def in_order(
    pieces: Sequence[Piece], outcomes: Sequence[PieceOutcome]
) -> list[tuple[Piece, PieceOutcome]]:
    """Return each piece with its outcome.

    Raises:
        ValueError: a piece has none, or more than one.
    """
    found = {outcome.number: outcome for outcome in outcomes}
    if len(outcomes) != len(pieces) or found.keys() != {piece.number for piece in pieces}:
        raise ValueError(f"{len(outcomes)} outcomes of {len(pieces)} pieces")
    return [(piece, found[piece.number]) for piece in pieces]
