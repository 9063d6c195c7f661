"""Where the rows of a table came from: for loads by hand, as runs record it themselves."""

from pathlib import Path
from typing import Any, Dict

from etl.engines.database import DatabaseManager
from etl.history.lineage import counts_of, facts_of, record_lineage, tell
from etl.history.runs import LoadCounts, run_id_after, utc_now
from etl.history.traced import Lineage
from etl.sources.files import trace_file
from etl.warehouse.tables import create_tables


def track_data_lineage(
    source_file: str,
    records_processed: int,
    target_table: str,
    *,
    db_manager: DatabaseManager | None = None,
    run_id: str = "",
    records_rejected: int = 0,
) -> Dict[str, Any]:
    """Record from which file the rows of a table came; the pipeline's own runs do so themselves.

    The file is read once more for its SHA-256. It is written into the log, and into `etl_lineage`
    when the warehouse is given.

    Args:
        source_file: the file.
        records_processed: how many of its records were read.
        target_table: the table they went to.
        db_manager: the open warehouse; missing tables are created.
        run_id: the run; a new id when left out.
        records_rejected: how many of the records could not be used.

    Returns:
        `run_id`, `source`, `target`, `path`, `rows`, `rows_rejected`, `error_rate` (0 to 1),
        `bytes`, `sha256`, `modified_at`, `recorded_at` and the like; moments in ISO form.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: it cannot be read, or changed while it was read.

    Example:
        >>> found = track_data_lineage("data/input/customers.csv", 160, "customer_dim")
        >>> found["source"], found["rows"], found["target"], len(found["sha256"])
        ('customers.csv', 160, 'customer_dim', 64)
    """
    path = Path(source_file)
    counts = LoadCounts(rows_read=records_processed, rows_rejected=records_rejected)
    facts = facts_of(trace_file(path))
    lineage = Lineage(path.name, target_table, str(path), counts=counts_of(counts), **facts)
    run_id = run_id or run_id_after(utc_now(), None)
    if db_manager is None:
        tell(lineage)
    else:
        create_tables(db_manager)
        record_lineage(db_manager, run_id, {lineage.source: lineage})
    rate = records_rejected / records_processed if records_processed else 0.0
    return {"run_id": run_id, **lineage.as_dict(), "error_rate": rate}
