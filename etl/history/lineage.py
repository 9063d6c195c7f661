"""Where the rows of a table came from: the file or query of each source, and what became of it."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from etl.engines.database import DatabaseManager
from etl.history import audit as run_history
from etl.history.audit import LOADED
from etl.history.runs import LoadCounts, utc_now
from etl.schema.tables import ETL_LINEAGE, Table
from etl.sources.files import FileTrace
from etl.sources.window import EVERYTHING, Window

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lineage:
    """One source of one run.

    Attributes:
        source: customers, products or sales; for a load by hand the file's name.
        target: the table.
        path: the file, or the database without its secrets.
        query: what the database was asked; empty for a file.
        trace: of the bytes that were read; None for a database, or a file that was not read whole.
        status: loaded, held back or failed.
    """

    source: str
    target: str
    path: str
    query: str = ""
    trace: FileTrace | None = None
    status: str = LOADED
    window: Window = EVERYTHING
    counts: LoadCounts = LoadCounts()  # noqa: RUF009  # frozen
    recorded_at: datetime = field(default_factory=utc_now)

    def as_row(self, run_id: str) -> dict[str, object]:
        """As a row of `etl_lineage`."""
        trace = self.trace or FileTrace()
        return {
            "run_id": run_id, "table_name": self.target, "source": self.source,
            "status": self.status, "path": self.path, "query": self.query or None,
            "window_start": self.window.start, "window_end": self.window.end,
            "bytes": trace.bytes, "sha256": trace.sha256,
            "modified_at": trace.modified_at, "extracted_at": trace.extracted_at,
            **{n: v for n, v in asdict(self.counts).items() if n in ETL_LINEAGE.names},
            "recorded_at": self.recorded_at,
        }  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it: moments in ISO form, what is not known left out."""
        row = self.as_row("")
        row = {"source": self.source, "target": self.target, "rows": self.counts.rows_read} | row
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in row.items()
            if value is not None and name not in ("run_id", "table_name")
        }


def tell(lineage: Lineage, level: int = logging.INFO) -> None:
    """Writes a line into the log: from where, how much, to where."""
    facts = lineage.as_dict()
    logger.log(
        level, "lineage: %s -> %s, %d records, SHA-256 %s", lineage.path, lineage.target,
        facts["rows"], facts.get("sha256", "none"), extra={"lineage": facts},
    )  # fmt: skip


def record_lineage(db: DatabaseManager, run_id: str, lineage: Mapping[str, Lineage]) -> None:
    """Writes down where the rows of a run came from, one row per source.

    Args:
        db: the open warehouse.
        run_id: the run.
        lineage: by source.
    """
    for each in lineage.values():
        tell(each, logging.DEBUG)
    if lineage:
        rows = [each.as_row(run_id) for each in lineage.values()]
        run_history.replace_rows(db, ETL_LINEAGE, rows, by=ETL_LINEAGE.key)


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
    """

    lineage: dict[str, Lineage] = field(default_factory=dict)
    rejects: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)

    def rejected(self) -> list[dict[str, Any]]:
        """The rejected records by source, error class and field, the most frequent first.

        Example:
            >>> ledger = Ledger(rejects={"sales": Counter({("missing", "quantity"): 3})})
            >>> ledger.rejected()
            [{'source': 'sales', 'error_class': 'missing', 'field': 'quantity', 'rows': 3}]
        """
        counted = [
            {"source": source, "error_class": error_class, "field": name, "rows": rows}
            for source, counts in self.rejects.items()
            for (error_class, name), rows in counts.items()
        ]
        return sorted(counted, key=lambda each: (-each["rows"], *map(str, each.values())))
