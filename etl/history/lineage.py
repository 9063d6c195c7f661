"""Where the rows of a table came from: the file or query of each source, and how it ended."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from etl.engines.database import DatabaseManager
from etl.history import audit_rows
from etl.history.audit import LOADED
from etl.history.dead_letters import Letters
from etl.history.outcomes import Reject
from etl.history.runs import LoadCounts, utc_now
from etl.history.sketches import Sketch
from etl.history.traced import Lineage
from etl.schema.audit import ETL_LINEAGE, ETL_LINEAGE_FILE
from etl.schema.table import Table
from etl.sources.files import FileTrace
from etl.sources.window import EVERYTHING, AnyWindow, Window

logger = logging.getLogger(__name__)


def facts_of(trace: FileTrace | None, window: AnyWindow = EVERYTHING) -> dict[str, Any]:
    """Return what a `Lineage` says of a file as it was read, and of the sales asked for.

    Args:
        trace: of the bytes that were read; None for a database, or a file not read whole.
        window: of the sales that were asked for; of numbers there is no time to note.
    """
    trace = trace or FileTrace()
    window = window if isinstance(window, Window) else EVERYTHING
    times = {
        "window_start": window.start, "window_end": window.end, "modified_at": trace.modified_at,
        "extracted_at": trace.extracted_at, "recorded_at": utc_now(),
    }  # fmt: skip
    return {"size_bytes": trace.bytes, "sha256": trace.sha256 or "", "times": times}


def counts_of(counts: LoadCounts) -> dict[str, int | None]:
    """Return the counts that `etl_lineage` keeps."""
    return {name: n for name, n in asdict(counts).items() if name in ETL_LINEAGE.names}


def _row(lineage: Lineage, run_id: str) -> dict[str, object]:
    return {
        "run_id": run_id, "table_name": lineage.target, "source": lineage.source,
        "status": lineage.status, "path": lineage.path, "query": lineage.query or None,
        "bytes": lineage.size_bytes, "sha256": lineage.sha256 or None,
        **lineage.times, **lineage.counts,
    }  # fmt: skip


def _file_rows(lineage: Lineage, run_id: str) -> Iterator[dict[str, object]]:
    for number, file in enumerate(lineage.files, 1):
        yield {
            "run_id": run_id, "table_name": lineage.target, "number": number, "path": file.path,
            "bytes": file.size_bytes, "sha256": file.sha256 or None, "rows_read": file.rows,
            **file.times,
        }  # fmt: skip


def tell(lineage: Lineage, level: int = logging.INFO) -> None:
    """Write a line into the log: from where, how much, to where."""
    facts = lineage.as_dict()
    logger.log(
        level, "lineage: %s -> %s, %d records, SHA-256 %s", lineage.path, lineage.target,
        facts["rows"], facts.get("sha256", "none"), extra={"lineage": facts},
    )  # fmt: skip


def record_lineage(db: DatabaseManager, run_id: str, lineage: Mapping[str, Lineage]) -> None:
    """Write down where the rows of a run came from, one row per source.

    Args:
        db: the open warehouse.
        run_id: the run.
        lineage: by source.
    """
    for each in lineage.values():
        tell(each, logging.DEBUG)
    if lineage:
        rows = [_row(each, run_id) for each in lineage.values()]
        audit_rows.replace_rows(db, ETL_LINEAGE, rows, by=ETL_LINEAGE.key)
    if files := [row for each in lineage.values() for row in _file_rows(each, run_id)]:
        audit_rows.replace_rows(db, ETL_LINEAGE_FILE, files, by=ETL_LINEAGE_FILE.key)


def extracted_at(db: DatabaseManager, table: Table) -> datetime | None:
    """When the newest source of a table says that it was made; None when it does not."""
    rows = db.query(
        'SELECT "extracted_at" FROM "etl_lineage" WHERE "table_name" = ? AND "run_id" = ('
        'SELECT max("run_id") FROM "etl_lineage" WHERE "table_name" = ? AND "status" = ?);',
        (table.name, table.name, LOADED),
    )
    return rows[0][0] if rows else None


@dataclass
class Ledger:
    """What a run has learnt of its sources besides their rows; filled while it works.

    Attributes:
        lineage: by source, where the rows came from.
        rejects: by source, how many records were rejected per error class and field.
        notices: what a person should know of them, but need not do anything about.
        sketches: by table and column, how the records are distributed.
        letters: by table, the rejected records that are to be kept.
    """

    lineage: dict[str, Lineage] = field(default_factory=dict)
    rejects: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    sketches: dict[str, dict[str, Sketch]] = field(default_factory=dict)
    letters: dict[str, Letters] = field(default_factory=dict)

    def add(self, other: "Ledger") -> None:
        """Take over what another one has learnt of other sources."""
        self.lineage |= other.lineage
        self.rejects |= other.rejects
        self.notices += other.notices
        self.sketches |= other.sketches
        self.letters |= other.letters

    def rejected(self) -> tuple[Reject, ...]:
        """Return the rejected records by source, error class and field, the most frequent first.

        Example:
            >>> ledger = Ledger(rejects={"sales": Counter({("missing", "quantity"): 3})})
            >>> ledger.rejected()
            (Reject(source='sales', error_class='missing', field='quantity', rows=3),)
        """
        counted = [
            Reject(source, error_class, name, rows)
            for source, counts in self.rejects.items()
            for (error_class, name), rows in counts.items()
        ]
        return tuple(sorted(counted, key=lambda each: (-(each.rows or 0), *each.reason)))
