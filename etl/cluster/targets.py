"""Where the processes of a cluster stage: a server takes their rows itself, a file waits for them.

An embedded engine has one process. What the others have cleaned for it goes into files that it
reads without a detour through Python.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa

from etl.cluster.parts import PartFile
from etl.engines.database import DatabaseManager
from etl.engines.engine import Access
from etl.schema.table import Table
from etl.warehouse.shared_staging import Attempt, StagedShare
from etl.warehouse.staging import Refused, Staging


@dataclass(frozen=True)
class Mark:
    """One attempt at one piece.

    Attributes:
        piece: the number of the piece.
        attempt: a number that no other attempt of the run has.
        is_last: whether no other one follows when this one fails.
    """

    piece: int
    attempt: int
    is_last: bool = True

    def __str__(self) -> str:
        return f"{self.piece:06d}-{self.attempt}"


@dataclass(frozen=True)
class Staged:
    """What one attempt has staged.

    Attributes:
        share: in the staging table of a server.
        file: the name of the file; empty when there is none.
    """

    share: StagedShare
    file: str = ""


class Sink(AbstractContextManager["Sink"], Protocol):
    """Takes the accepted records of one attempt; after an error none of them is left."""

    def append(self, accepted: pa.RecordBatch) -> list[Refused]:
        """Append records; return those that the database does not take."""

    @property
    def staged(self) -> Staged:
        """What was appended, once all of it was."""


class Target(Protocol):
    """Where the records of a source are staged, as all processes need to know it; it pickles."""

    def opened(self, staging: Staging, pieces: Sequence[int]) -> "Target":
        """Return the target with what admits other processes to stage these pieces."""

    def sink(self, mark: Mark) -> Sink:
        """Return what takes the records of an attempt; called where that works."""

    def take(self, staging: Staging, staged: Staged) -> None:
        """Take what the attempt has staged that counts for its piece."""

    def close(self, staging: Staging, staged: Sequence[Staged]) -> None:
        """Let nobody else stage any more, and see that what was taken is there, and nothing else.

        Raises:
            LoadingError: it is not.
        """


# --- files -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Files:
    """Files in a folder that all machines see, for an embedded engine.

    Attributes:
        folder: the folder.
        source: the source.
    """

    folder: Path
    source: str

    def opened(self, staging: Staging, pieces: Sequence[int]) -> "Files":
        """Return itself: an attempt is known by the name of its file."""
        return self

    def sink(self, mark: Mark) -> "FileSink":
        """Return the file of an attempt."""
        return FileSink(self.folder / f"{self.source}-{mark}.accepted.parquet")

    def take(self, staging: Staging, staged: Staged) -> None:
        """Append the file to the staging."""
        if staged.file:
            staging.append_files([self.folder / staged.file])
            (self.folder / staged.file).unlink(missing_ok=True)  # a disk has room for so much

    def close(self, staging: Staging, staged: Sequence[Staged]) -> None:
        """Do nothing: a file that comes late is not read by anybody."""


class FileSink(PartFile):
    """Takes the accepted records of one attempt into a file."""

    rows = 0

    def append(self, accepted: pa.RecordBatch) -> list[Refused]:
        """Append records; a file takes all of them."""
        self.rows += accepted.num_rows
        self.write(accepted)
        return []

    @property
    def staged(self) -> Staged:
        """What was appended."""
        return Staged(StagedShare(0, self.rows), self.name)


# --- servers ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """The staging table of a server, to which each process has a connection of its own.

    Attributes:
        connection_string: with its secrets.
        access: how it is opened: the application lock is that of the run.
        table: into which the source is loaded.
        run_id: the run.
        batch_rows: rows per batch, where the engine merges in batches.
        token: what admits to it.
    """

    connection_string: str
    access: Access
    table: Table
    run_id: str
    batch_rows: int
    token: str = ""

    def opened(self, staging: Staging, pieces: Sequence[int]) -> "Server":
        """Let other processes stage these pieces."""
        return replace(self, token=staging.open_to(pieces))

    def sink(self, mark: Mark) -> "ServerSink":
        """Return the part of an attempt in the staging table."""
        return ServerSink(self, Attempt(self.table, mark.piece, mark.attempt, self.token))

    def take(self, staging: Staging, staged: Staged) -> None:
        """Do nothing: the rows are there."""

    def close(self, staging: Staging, staged: Sequence[Staged]) -> None:
        """Keep what was taken, and nothing else."""
        staging.close_to([each.share for each in staged])


class ServerSink:
    """Takes the accepted records of one attempt into a staging table."""

    def __init__(self, server: Server, attempt: Attempt) -> None:
        self._server, self._attempt = server, attempt
        self._until_closed = ExitStack()

    def __enter__(self) -> Self:
        server = self._server
        manager = DatabaseManager(server.connection_string, access=server.access)
        db = self._until_closed.enter_context(manager)
        self._staging = Staging(
            db, server.table, run_id=server.run_id, batch_rows=server.batch_rows,
            share=self._attempt,
        )  # fmt: skip
        return self

    def append(self, accepted: pa.RecordBatch) -> list[Refused]:
        """Append records; return those that the database does not take."""
        return self._staging.append(accepted)

    @property
    def staged(self) -> Staged:
        """What was appended."""
        return Staged(self._staging.staged)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._until_closed:
            if kind is not None:
                self._staging.discard()


def target_of(
    db: DatabaseManager, table: Table, *, run_id: str, batch_rows: int, folder: Path
) -> Target:
    """Return where a source is staged.

    Args:
        db: the warehouse.
        table: into which the source is loaded.
        run_id: the run.
        batch_rows: rows per batch, where the engine merges in batches.
        folder: that all machines see, for engines that have one process alone.
    """
    if not db.dialect.stages_permanently:
        return Files(folder, table.source)
    # read_only as the second connection of one process has it: nothing is taken of the run's lock
    access = replace(db.access, read_only=True, bulk=False, lock_wait_s=0.0)
    return Server(db.connection_string, access, table, run_id, batch_rows)
