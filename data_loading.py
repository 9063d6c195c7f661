"""Loading: a source is staged whole, held against the gate, and merged in transactions.

The pipeline loads blocks of columns through `stage_source`; `load_customers`, `load_products`
and `load_sales` take plain records and go the same way.
"""

import logging
import time
from typing import Any, Dict, List

import pyarrow as pa

from etl.engines.database import DatabaseManager
from etl.history import audit as run_history
from etl.history.runs import MANUAL, Applied, RunPlan, Staged, utc_now
from etl.quality.checks import PASSED, quality_checks
from etl.rejects import REFUSED
from etl.rules.records import staged_from_records
from etl.schema.tables import CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT, Table
from etl.sources.window import EVERYTHING
from etl.warehouse import apply as warehouse
from etl.warehouse.failed_records import handle_loading_errors
from etl.warehouse.transactions import Limits, Load, load_staged

__all__ = [
    "DatabaseManager",
    "handle_loading_errors",
    "load_customers",
    "load_products",
    "load_sales",
    "validate_loaded_data",
]

logger = logging.getLogger(__name__)


# --- staging a source --------------------------------------------------------------------


# --- plain records -----------------------------------------------------------------------


def load_customers(customers: List[Dict], db_manager: DatabaseManager) -> Dict:  # type: ignore[type-arg]  # the public signature is fixed
    """Inserts new customers and updates those in which something differs.

    Args:
        customers: records with the columns of `customer_dim`, as `standardize_customer_data`
            returns them; of equal keys the last one wins.
        db_manager: the open warehouse; missing tables are created.

    Returns:
        `processed`, `inserted`, `updated`, `unchanged`, `failed`, `duplicates`,
        `changed_columns` (updated rows per column), `errors` (the failed records with their
        reason) and `duration_seconds`.

    Example:
        >>> with DatabaseManager("duckdb:///:memory:") as db:
        ...     first = load_customers([{"customer_id": "C1", "name": "Ann"}], db)
        ...     again = load_customers([{"customer_id": "C1", "name": "Anne"}], db)
        >>> first["inserted"], again["updated"], again["changed_columns"]
        (1, 1, {'name': 1})
    """
    return _load_records(CUSTOMER_DIM, customers, db_manager)


def load_products(products: List[Dict], db_manager: DatabaseManager) -> Dict:  # type: ignore[type-arg]  # the public signature is fixed
    """Inserts new products and updates those in which something differs.

    Sales whose product has another cost now get their profit restated.

    Args:
        products: records with the columns of `product_dim`, as `enrich_product_data` returns
            them.
        db_manager: the open warehouse; missing tables are created.

    Returns:
        The same figures as `load_customers`.

    Example:
        >>> with DatabaseManager("duckdb:///:memory:") as db:
        ...     load_products([{"product_id": "P1", "price": 9.5}], db)["inserted"]
        1
    """
    return _load_records(PRODUCT_DIM, products, db_manager)


def load_sales(sales: List[Dict], db_manager: DatabaseManager) -> Dict:  # type: ignore[type-arg]  # the public signature is fixed
    """Inserts new sales and updates those in which something differs.

    Customers and products that are not known yet get placeholder rows. Customer status and
    profit are worked out in the warehouse, from all its sales; what the records say is not used.

    Args:
        sales: records with the columns of `sales_fact`, as `process_sales_transactions` returns
            them.
        db_manager: the open warehouse; missing tables are created.

    Returns:
        The same figures as `load_customers`.
    """
    return _load_records(SALES_FACT, sales, db_manager)


def _load_records(
    table: Table, records: List[Dict[str, Any]], db: DatabaseManager
) -> Dict[str, Any]:
    started = time.perf_counter()
    warehouse.create_tables(db)
    failures = _Failures(records)
    load = Load(db, _manual_plan(db), Limits(), failures.refuse)
    block, rejected = staged_from_records(table, records)
    failures.add(rejected)
    applied = _load_manually(load, table, (block, rejected), len(records))
    counts = applied.of(table)
    logger.info(
        "%s: %d inserted, %d updated, %d unchanged, %d failed", table.name, counts.rows_inserted,
        counts.rows_updated, counts.rows_unchanged, counts.rows_rejected,
    )  # fmt: skip
    return {
        "processed": len(records),
        "inserted": counts.rows_inserted,
        "updated": counts.rows_updated,
        "unchanged": counts.rows_unchanged,
        "failed": counts.rows_rejected,
        "duplicates": counts.rows_duplicate,
        "changed_columns": dict(applied.column_changes.get(table.name, {})),
        "errors": failures.reported,
        "duration_seconds": time.perf_counter() - started,
    }


class _Failures:
    """The failed records as they were given, with the class and the reason of the failure."""

    def __init__(self, records: List[Dict[str, Any]]) -> None:
        self.reported: List[Dict[str, Any]] = []
        self._records = records

    def add(self, rejected: pa.RecordBatch) -> None:
        """Adds records that were rejected before they reached the database."""
        for row in rejected.to_pylist():
            self._tell(row["source_row"], row["error_class"], f"{row['field']}: {row['reason']}")

    def refuse(self, _table: Table, refused: pa.Table, reason: str) -> None:
        """Adds records that the database refused."""
        for row in refused.column("source_row").to_pylist():
            self._tell(row, REFUSED, reason)

    def _tell(self, row: int, error_class: str, error: str) -> None:
        failed = self._records[row - 1] | {"error_class": error_class, "error": error}
        self.reported.append(failed)


def _manual_plan(db: DatabaseManager) -> RunPlan:
    now = utc_now()
    return RunPlan(run_history.next_run_id(db, now), MANUAL, MANUAL, EVERYTHING, now)


def _load_manually(
    load: Load, table: Table, blocks: tuple[pa.RecordBatch, pa.RecordBatch], rows_read: int
) -> Applied:
    run_history.begin_run(load.db, load.plan)
    try:
        applied = load_staged(load, [_stage_records(load, table, blocks, rows_read)])
    except BaseException as error:
        run_history.finish_run(
            load.db, load.plan.run_id, status=run_history.FAILED, finished_at=utc_now(),
            error=str(error),
        )  # fmt: skip
        raise
    run_history.finish_run(
        load.db, load.plan.run_id, status=run_history.SUCCESS, finished_at=utc_now()
    )
    return applied


def _stage_records(
    load: Load, table: Table, blocks: tuple[pa.RecordBatch, pa.RecordBatch], rows_read: int
) -> Staged:
    accepted, rejected = blocks
    staging = load.staging(table)
    staging.begin()
    refused = staging.append(accepted)
    for each in refused:
        load.refuse(table, pa.Table.from_batches([each.rows]), each.reason)
    staging.append_rejected_keys(rejected)
    staging.verify()
    losers = staging.remove_duplicates()
    return Staged(
        table, staging.rows, staging.rejected, rows_read,
        rows_rejected=rejected.num_rows + sum(each.rows.num_rows for each in refused),
        rows_duplicate=0 if losers is None else int(losers.num_rows),
        partial=True,
    )  # fmt: skip


# --- validation --------------------------------------------------------------------------


def validate_loaded_data(db_manager: DatabaseManager) -> Dict:  # type: ignore[type-arg]  # the public signature is fixed
    """Checks the loaded tables: counts, keys, required values, references, recomputed values.

    These are the quality checks whose failure is an error; `run_data_quality_checks` has all.

    Args:
        db_manager: the open warehouse; missing tables are created.

    Returns:
        `passed`, and `checks`: a list of `name`, `status` (passed or failed), `value` (how many
        rows are wrong), `threshold` (how many may be) and `message`.

    Example:
        >>> with DatabaseManager("duckdb:///:memory:") as db:
        ...     _ = load_customers([{"customer_id": "C1"}], db)
        ...     validate_loaded_data(db)["passed"]
        True
    """
    warehouse.create_tables(db_manager)
    found = [c.as_dict() for c in quality_checks(db_manager, utc_now(), demanding=True)]
    checks = [{name: check[name] for name in _REPORTED} for check in found]
    return {"passed": all(c["status"] == PASSED for c in checks), "checks": checks}


_REPORTED = ("name", "status", "value", "threshold", "message")
