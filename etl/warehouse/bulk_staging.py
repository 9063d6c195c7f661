"""Staging by bulk copy, which is trusted with nothing.

Each send begins a new batch. What the server then holds of that batch and those behind it is
counted and summed up, and compared with what was sent. On any doubt all of it is deleted, so that
whoever stages can send it again in the ordinary way.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from etl.engines import checksums
from etl.engines.database import DatabaseManager
from etl.engines.dialect import quoted
from etl.engines.engine import Part
from etl.errors import LoadingError
from etl.schema.table import Table

logger = logging.getLogger(__name__)

# Rows that were not proven before, whatever their tags have become. Parameters: run, batch.
_UNPROVEN = '("run_id" IS NULL OR "run_id" <> ? OR "batch" IS NULL OR "batch" >= ?)'


class Copier(Protocol):
    """Copies blocks into a permanent table, over a connection of its own."""

    def copy(self, table: Table, parts: Sequence[Part]) -> None:
        """Copy blocks, each row with the constants of its block."""

    def close(self) -> None:
        """Close the connection."""


def bulk_of(db: DatabaseManager) -> Copier | None:
    """Return what copies in bulk, if that is wanted and possible; a warning says why it is not."""
    if not db.access.bulk or db.engine.bulk is None:
        return None
    try:
        copier: Copier = db.engine.bulk(db.connection_string)
    except LoadingError as error:
        logger.warning("SQL_SERVER_BULK=yes, but rows are sent by pyodbc: %s", error)
        return None
    return copier


class BulkStaging:
    """Fills one staging table in bulk, as long as nothing is in doubt.

    Args:
        db: the warehouse, outside a transaction.
        copier: what copies.
        table: the table into which the records will be merged.
        layout: the staging table.
    """

    def __init__(self, db: DatabaseManager, copier: Copier, table: Table, layout: Table) -> None:
        self._db = db
        self._copier: Copier | None = copier
        self._table = table
        self._layout = layout
        self._placed = replace(layout, name=db.access.schemas.placed(layout.name))

    @property
    def is_trusted(self) -> bool:
        """Whether nothing has been in doubt so far."""
        return self._copier is not None

    def send(
        self, accepted: pa.RecordBatch, parts: Sequence[Part], *, figures: Sequence[int]
    ) -> bool:
        """Send records in batches that are new; return whether the server holds exactly them.

        Where it does not, none of them is left there.

        Args:
            accepted: the records.
            parts: the same, a block per batch with its run and its number.
            figures: their checksum.

        Raises:
            LoadingError: what is in doubt cannot be compared or deleted.
        """
        if self._copier is None:
            return False
        run_id, first = parts[0][1]["run_id"], parts[0][1]["batch"]
        try:
            self._copier.copy(self._placed, parts)
            doubt = self._doubt(accepted, parts, figures)
        except LoadingError as error:
            doubt = str(error)
        if doubt:
            self._db.execute(f"DELETE FROM {quoted(self._layout.name)} WHERE {_UNPROVEN};",  # noqa: S608  # our own names
                             (run_id, first))  # fmt: skip
            logger.warning(
                "bulk copy of %d rows into %s is in doubt (%s); they were deleted, and are sent "
                "again by pyodbc, as all others of this source", accepted.num_rows,
                self._layout.name, doubt,
            )  # fmt: skip
            self.close()
        return not doubt

    def _doubt(self, accepted: pa.RecordBatch, parts: Sequence[Part], sent: Sequence[int]) -> str:
        """What differs between what was sent and what the server holds; empty for nothing."""
        run_id, first = parts[0][1]["run_id"], parts[0][1]["batch"]
        stage, place = self._layout.name, (run_id, first)
        tags = self._db.query(tag_figures(stage), (run_id, *place))[0]
        sent_tags = [
            accepted.num_rows, accepted.num_rows,
            sum(int(str(tagged["batch"])) * block.num_rows for block, tagged in parts),
            pc.sum(accepted.column("source_row")).as_py(),
        ]  # fmt: skip
        if (held := [int(figure or 0) for figure in tags]) != sent_tags:
            return f"rows and tags {held} where {sent_tags} were sent"
        query = checksums.server_checksum(self._db.dialect, self._table, stage, where=_UNPROVEN)
        found = [int(figure or 0) for figure in self._db.query(query, place)[0]]
        return "" if found == [*sent] else f"figures {found} where {sent} were sent"

    def close(self) -> None:
        """Close the connection; nothing more is sent."""
        copier, self._copier = self._copier, None
        if copier is not None:
            copier.close()


def tag_figures(stage: str) -> str:
    """Return the query for the rows that are not proven, and their tags.

    It has one row: how many, how many of them of the run, the sums of batch and source row.
    Parameters: run, run, batch.
    """
    return f"""SELECT count(*), sum(CASE WHEN "run_id" = ? THEN 1 ELSE 0 END),
    sum(CAST("batch" AS DECIMAL(38, 0))), sum(CAST("source_row" AS DECIMAL(38, 0)))
FROM {quoted(stage)} WHERE {_UNPROVEN};"""  # noqa: S608  # our own names
