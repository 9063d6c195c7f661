"""Loading records, validating what was loaded, and keeping what failed.

The pipeline stages and merges blocks of columns; `load_customers`, `load_products` and
`load_sales` take plain records and go the same way.
"""

import csv
import io
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Dict, List

import pyarrow as pa

from etl.engines.database import DatabaseManager
from etl.errors import HeldBackError, LoadingError
from etl.files import write_atomically
from etl.findings import FINDINGS, REJECT_RATE, REMOVED_ROWS
from etl.history import audit as run_history
from etl.history.runs import MANUAL, Applied, LoadCounts, RunPlan, Staged, utc_now
from etl.quality.checks import PASSED, quality_checks
from etl.rejects import (
    BAD_TEXT,
    DUPLICATE,
    MALFORMED,
    MISSING,
    OUT_OF_RANGE,
    REFUSED,
    RULE,
    UNREADABLE,
    guarded_cell,
    reject_block,
)
from etl.resilience.transient import is_transient
from etl.rules.blocks import LoadBlock
from etl.rules.frame_types import columns_of
from etl.rules.record_keys import record_keys
from etl.rules.records import Records, records_of, staged_from_records
from etl.schema.star import CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT, STAR_TABLES
from etl.schema.table import Column, Table
from etl.settings.history_options import HistoryOptions
from etl.settings.sections.processing import ProcessingConfig
from etl.sources.window import EVERYTHING
from etl.warehouse.gate import Examined, pass_gate
from etl.warehouse.intake import Intake, from_blocks, stage_source
from etl.warehouse.load import Limits, Load
from etl.warehouse.loading import load_staged
from etl.warehouse.own_history import find_for_mode, with_versions
from etl.warehouse.own_tables import (
    loaded_part,
    open_tables,
    require_names,
    require_table_name,
)
from etl.warehouse.staging import known_rows
from etl.warehouse.tables import create_tables

__all__ = [
    "DatabaseManager",
    "handle_loading_errors",
    "load_customers",
    "load_frame",
    "load_products",
    "load_sales",
    "validate_loaded_data",
]

logger = logging.getLogger(__name__)

# Rows per MERGE and transaction, where the engine merges in batches.
BATCH_SIZE: int = ProcessingConfig.model_fields["batch_size"].default


# --- plain records -----------------------------------------------------------------------


def load_customers(
    customers: List[Dict],  # type: ignore[type-arg]  # the public signature is fixed
    db_manager: DatabaseManager,
    *,
    batch_size: int = BATCH_SIZE,
) -> Dict:  # type: ignore[type-arg]  # likewise
    """Insert new customers and update those in which something differs.

    A column that a record does not carry is left as it is in the warehouse; one that is there and
    empty (None) empties it. Records of one key build on each other in their order.

    Args:
        customers: a list of dicts, a pandas or polars DataFrame, or an Arrow table, with columns of
            `customer_dim`, as `standardize_customer_data` returns them.
        db_manager: the open warehouse; missing tables are created.
        batch_size: rows per MERGE and transaction on SQL Server; the other engines load all rows
            in one.

    Returns:
        `processed`, `inserted`, `updated`, `unchanged`, `failed`, `duplicates`,
        `changed_columns` (updated rows per column), `errors` (the failed records with their
        reason) and `duration_seconds`.

    Raises:
        LoadingError: a record has a column that the table lacks; nothing is loaded.
        TransformationError: the records are of another kind.

    Example:
        >>> with DatabaseManager("duckdb:///:memory:") as db:
        ...     first = load_customers([{"customer_id": "C1", "name": "Ann"}], db)
        ...     again = load_customers([{"customer_id": "C1", "name": "Anne"}], db)
        >>> first["inserted"], again["updated"], again["changed_columns"]
        (1, 1, {'name': 1})
    """
    return _load_records(CUSTOMER_DIM, customers, db_manager, batch_size)


def load_products(
    products: List[Dict],  # type: ignore[type-arg]  # the public signature is fixed
    db_manager: DatabaseManager,
    *,
    batch_size: int = BATCH_SIZE,
) -> Dict:  # type: ignore[type-arg]  # likewise
    """Insert new products and update those in which something differs.

    Sales whose product has another cost now get their profit restated.

    Args:
        products: records with columns of `product_dim`, as `enrich_product_data` returns them.
        db_manager: as for `load_customers`, and so are the columns that a record does not carry.
        batch_size: as for `load_customers`.

    Returns:
        The same figures as `load_customers`.

    Example:
        >>> with DatabaseManager("duckdb:///:memory:") as db:
        ...     load_products([{"product_id": "P1", "price": 9.5}], db)["inserted"]
        1
    """
    return _load_records(PRODUCT_DIM, products, db_manager, batch_size)


def load_sales(
    sales: List[Dict],  # type: ignore[type-arg]  # the public signature is fixed
    db_manager: DatabaseManager,
    *,
    batch_size: int = BATCH_SIZE,
) -> Dict:  # type: ignore[type-arg]  # likewise
    """Insert new sales and update those in which something differs.

    Customers and products that are not known yet get placeholder rows. Customer status and
    profit are computed in the warehouse, from all its sales; what the records say is not used.

    Args:
        sales: records with columns of `sales_fact`, as `process_sales_transactions` returns them.
        db_manager: as for `load_customers`, and so are the columns that a record does not carry.
        batch_size: as for `load_customers`.

    Returns:
        The same figures as `load_customers`.
    """
    return _load_records(SALES_FACT, sales, db_manager, batch_size)


def load_frame(
    frame: Any,
    table: str,
    db_manager: DatabaseManager,
    *,
    key: Sequence[str] | str | None = None,
    mode: str = "merge",
    **options: Any,
) -> Dict[str, Any]:
    """Load a DataFrame into a table of your own: the upsert that `DataFrame.to_sql` lacks.

    A table that is missing is made from the types of the frame. One that exists gives its columns,
    types and key; columns that the frame lacks are left as they are. `created_date` and
    `updated_date` are written where the table has them and the frame has not. Texts are trimmed,
    and empty ones are missing values, as everywhere in this package.

    Args:
        frame: a pandas or polars DataFrame, an Arrow table, or a list of dicts.
        table: name of the table, with its schema (`dbo.orders`) or without.
        db_manager: the open warehouse.
        key: the columns by which records are merged; the primary key when left out.
        mode: merge (insert new rows, update those in which something differs), append (add every
            record), replace (merge, then remove the rows that are not in the frame), or history
            (keep every version of a row).
        **options: `batch_size`, rows per MERGE and transaction on SQL Server; `chunk_rows`, rows
            that are converted at a time; `max_reject_rate` and `max_removed_rate`, shares of
            records that may be refused and of rows that mode replace may remove, 1 by default. For
            mode history: `valid_from`, the column that says since when a record holds, else it is
            the moment of the load; `types`, by column what a difference does (1 overwrites, 2 opens
            a version, 3 overwrites and keeps the value before); `removed`, "close" if the version
            of a key ends that the frame lacks, "keep" by default. For merge and replace:
            `changes`, whether it is noted in `etl_row_change` who changed what.

    Returns:
        The same figures as `load_customers`, and `removed`.

    Raises:
        LoadingError: the frame has a column that the table lacks, the key is not known, or the
            database refuses; nothing is loaded.
        HeldBackError: a rate exceeds its limit; its `findings` say which. Nothing is loaded.
        TransformationError: this is no frame, or a new column would hold lists.
        ValueError: there is no such mode, or an option is less than 1.
        TypeError: there is no such option.

    Example:
        >>> orders = [{"order_id": 1, "total": 9.5}, {"order_id": 2, "total": 7.0}]
        >>> with DatabaseManager("duckdb:///:memory:") as db:
        ...     first = load_frame(orders, "orders", db, key="order_id")
        ...     again = load_frame([{"order_id": 2, "total": 8.0}], "orders", db)
        >>> first["inserted"], again["updated"], again["changed_columns"]
        (2, 1, {'total': 1})
    """
    wanted = _FrameLoad((key,) if isinstance(key, str) else tuple(key or ()), mode, **options)
    started, records = time.perf_counter(), records_of(frame, "frame")
    loaded = _table_for(records, table, db_manager, wanted)
    figures = _load_parts(loaded, records, db_manager, wanted)
    return {**figures, "duration_seconds": time.perf_counter() - started}


MODES = ("merge", "append", "replace", "history")


@dataclass(frozen=True)
class _FrameLoad:
    """How a frame is loaded."""

    key: tuple[str, ...]
    mode: str
    batch_size: int = BATCH_SIZE
    chunk_rows: int = ProcessingConfig.model_fields["chunk_rows"].default
    max_reject_rate: float = 1.0
    max_removed_rate: float = 1.0
    valid_from: str = ""
    types: Mapping[str, int] = field(default_factory=dict)
    removed: str = "keep"
    changes: bool = False

    @property
    def history(self) -> HistoryOptions:
        """How versions come about."""
        given = {"valid_from": self.valid_from or None, "types": self.types}
        return HistoryOptions.model_validate({**given, "removed": self.removed})

    @property
    def limits(self) -> Limits:
        """How far it goes."""
        return Limits(
            batch_rows=self.batch_size,
            max_reject_rate=self.max_reject_rate,
            max_removed_rate=self.max_removed_rate,
        )

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"no mode {self.mode!r}; there are {', '.join(MODES)}")
        if self.mode != "history" and self.history != HistoryOptions(removed="keep"):
            raise ValueError("valid_from, types and removed belong to mode history")
        if self.changes and self.mode not in ("merge", "replace"):
            raise ValueError("changes belongs to modes merge and replace")
        for name in ("batch_size", "chunk_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("max_reject_rate", "max_removed_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")


def _table_for(records: Records, name: str, db: DatabaseManager, wanted: _FrameLoad) -> Table:
    """The part of a table that a frame is loaded into; the table is made if it is missing."""
    require_table_name(name)
    found = find_for_mode(db, name, wanted.mode)
    table = found or Table(name, "made for a frame", wanted.key, _columns(records, wanted.key))
    table = replace(table, key=wanted.key or table.key)
    _require_known(table, records.names)
    if wanted.mode != "append":
        _require_key(table, records.names)
    if wanted.mode == "history":
        history = wanted.history
        table = with_versions(table, history.versions(), closes=history.closes())
    loaded = loaded_part(table, records.names, wanted.mode)
    loaded = replace(loaded, logged=0 if wanted.changes else None)
    require_names(loaded)
    open_tables(db, [replace(table, key=loaded.key)])
    return loaded


def _columns(records: Records, key: Sequence[str]) -> tuple[Column, ...]:
    if odd := [name for name in records.names if not isinstance(name, str) or not name]:
        raise LoadingError(
            f"columns without a name that is text: {', '.join(map(repr, odd))}",
            next_step="name every column of the frame",
        )
    return columns_of(records.types(), key, declared=records.has_types)


def _require_key(table: Table, names: Sequence[str]) -> None:
    missing = [name for name in table.key if name not in names]
    if table.key and not missing:
        return
    what = f"lacks {', '.join(missing)} of" if missing else "has no key, and neither has"
    raise LoadingError(
        f"the frame {what} the table {table.name}; nothing was loaded",
        choices=", ".join(map(str, names)),
        next_step="say which columns distinguish its rows: key=[...]; or add rows with "
        "mode='append'",
    )


def _load_records(
    table: Table, given: object, db: DatabaseManager, batch_size: int
) -> Dict[str, Any]:
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    started, records = time.perf_counter(), records_of(given, table.source)
    _require_known(table, records.names)
    create_tables(db)
    figures = _load_parts(table, records, db, _FrameLoad((), "merge", batch_size))
    del figures["removed"]  # that is for whole sources
    return {**figures, "duration_seconds": time.perf_counter() - started}


def _load_parts(
    table: Table, records: Records, db: DatabaseManager, wanted: _FrameLoad
) -> Dict[str, Any]:
    failures = _Failures(records)
    tables = STAR_TABLES if table in STAR_TABLES else (*STAR_TABLES, table)
    load = Load(db, _manual_plan(db), wanted.limits, failures.refuse, tables=tables)
    intake = _intake(db, table, records.parts(wanted.chunk_rows), failures)
    applied = _load_manually(load, table, replace(intake, partial=not table.replaced))
    logger.info("%s: %s", table.name, _in_words(applied.of(table)))
    return {
        "processed": len(records),
        **_figures(applied.of(table)),
        "removed": applied.of(table).rows_removed,
        "changed_columns": dict(applied.column_changes.get(table.name, {})),
        "errors": failures.reported,
    }


def _figures(counts: LoadCounts) -> Dict[str, int]:
    return {
        "inserted": counts.rows_inserted,
        "updated": counts.rows_updated,
        "unchanged": counts.rows_unchanged,
        "failed": counts.rows_rejected,
        "duplicates": counts.rows_duplicate,
    }


def _in_words(counts: LoadCounts) -> str:
    return ", ".join(f"{rows} {name}" for name, rows in _figures(counts).items())


def _require_known(table: Table, names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in table.names]
    if not unknown:
        return
    close = {n: get_close_matches(str(n), table.names, n=1) for n in unknown}
    meant = ", ".join(f"{found[0]} instead of {name}" for name, found in close.items() if found)
    raise LoadingError(
        f"{table.name} has no column {', '.join(map(str, unknown))}; nothing was loaded",
        choices=", ".join(table.names),
        next_step=f"did you mean {meant}?" if meant else "leave it out of the records",
    )


class _Failures:
    """The failed records as they were given, with the class and the reason of the failure."""

    def __init__(self, records: Records) -> None:
        self.reported: List[Dict[str, Any]] = []
        self._records = records

    def write(self, rejected: pa.RecordBatch) -> None:
        """Add rejected records; a duplicate has not failed."""
        for row in rejected.to_pylist():
            if row["error_class"] != DUPLICATE:
                reason = ": ".join(part for part in (row["field"], row["reason"]) if part)
                self._add(row["source_row"], row["error_class"], reason)

    def refuse(self, table: Table, refused: pa.Table, reason: str) -> None:
        """Add records that the database refused while it merged them."""
        self.write(_set_aside(table, refused, REFUSED, reason))

    def _add(self, row: int, error_class: str, error: str) -> None:
        failed = self._records.record(row - 1) | {"error_class": error_class, "error": error}
        self.reported.append(failed)


def _set_aside(
    table: Table, staged: pa.Table, error_class: str, reason: str | pa.Array
) -> pa.RecordBatch:
    """Staged records as rejected ones."""
    columns = {name: staged[name].combine_chunks() for name in table.key}
    keys = record_keys(table, columns).to_pylist() if columns else [None] * staged.num_rows
    reasons = [reason] * staged.num_rows if isinstance(reason, str) else reason.to_pylist()
    rows = zip(staged["source_row"].to_pylist(), keys, reasons, strict=True)
    found = [
        {"source_row": row, "record_key": key, "error_class": error_class, "reason": why}
        for row, key, why in rows
    ]
    return reject_block((), found)


def _manual_plan(db: DatabaseManager) -> RunPlan:
    now = utc_now()
    return RunPlan(run_history.next_run_id(db, now), MANUAL, MANUAL, EVERYTHING, now)


# A frame is what its caller says it is, however few rows it has, and whatever it lacks.
_WITHOUT_LIMIT = tuple(
    f"frame.{name}" for name in FINDINGS if name not in (REJECT_RATE, REMOVED_ROWS)
)


def _load_manually(load: Load, table: Table, intake: Intake) -> Applied:
    db, run_id = load.db, load.plan.run_id
    run_history.begin_run(db, load.plan)
    try:
        staged = stage_source(load, table, intake)
        _require_within_limits(load, staged, intake)
        applied = load_staged(load, [staged])
    except BaseException as error:
        failed = run_history.FAILED
        run_history.finish_run(db, run_id, status=failed, finished_at=utc_now(), error=str(error))
        raise
    run_history.finish_run(db, run_id, status=run_history.SUCCESS, finished_at=utc_now())
    return applied


def _require_within_limits(load: Load, staged: Staged, intake: Intake) -> None:
    """Raises HeldBackError for a frame that exceeds the limits that were given for it."""
    limits = load.limits
    if limits.max_reject_rate == limits.max_removed_rate == 1:
        return
    try:
        pass_gate(Examined("frame", load, staged, intake.tally, limits), _WITHOUT_LIMIT)
    except HeldBackError as error:
        step = "correct the frame, or raise the limit that was given"
        raise HeldBackError(error.what, next_step=step, findings=error.findings) from None


def _intake(
    db: DatabaseManager, table: Table, parts: Iterable[Records], failures: _Failures
) -> Intake:
    return Intake(
        from_blocks(_blocks(db, table, parts)),
        failures,
        originals=lambda losers: _set_aside(table, losers, DUPLICATE, ""),
        refusal=lambda refused, reason, _field: _set_aside(table, refused, REFUSED, reason),
        partial=True,
    )


def _blocks(db: DatabaseManager, table: Table, parts: Iterable[Records]) -> Iterator[LoadBlock]:
    known, first_row = partial(known_rows, db, table), 1
    for part in parts:
        accepted, rejected = staged_from_records(table, part, known, first_row=first_row)
        first_row += len(part)
        yield LoadBlock(accepted, rejected, {})


# --- validation --------------------------------------------------------------------------


def validate_loaded_data(db_manager: DatabaseManager) -> Dict:  # type: ignore[type-arg]  # the public signature is fixed
    """Check the loaded tables: counts, keys, required values, references, recomputed values.

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
    create_tables(db_manager)
    found = [c.as_dict() for c in quality_checks(db_manager, utc_now(), demanding=True)]
    checks = [{name: check[name] for name in _REPORTED} for check in found]
    return {"passed": all(c["status"] == PASSED for c in checks), "checks": checks}


_REPORTED = ("name", "status", "value", "threshold", "message")


# --- failed records ------------------------------------------------------------------------

# What a person does about it, by class of error.
_DATA_QUALITY = frozenset({MALFORMED, MISSING, UNREADABLE, OUT_OF_RANGE, BAD_TEXT, RULE})

Retry = Callable[[List[Dict[str, Any]]], Mapping[str, Any]]


def handle_loading_errors(
    failed_records: List[Dict],  # type: ignore[type-arg]  # the public signature is fixed
    error_log_path: str,
    *,
    retry: Retry | None = None,
) -> Dict[str, Any]:
    """Write failed records to a CSV file, classified, and try the recoverable ones again.

    Args:
        failed_records: the records; `error` or `error_message` holds the exception or message,
            `error_class` the class if it is known, as in the `errors` of `load_customers`.
        error_log_path: the CSV file; what is in it stays, and the records are put below.
        retry: loads records again, such as `lambda records: load_customers(records, db)`; it is
            called once with the records whose error is transient.

    Returns:
        `written`, `by_class` (records per class: data_quality, constraint_violation, duplicate,
        transient, other), `retried` and `recovered`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     failed = [{"customer_id": "", "error_class": "missing", "error": "no key"}]
        ...     handle_loading_errors(failed, folder + "/errors.csv")["by_class"]
        {'data_quality': 1}
    """
    classes = [classify_error(record) for record in failed_records]
    _append_errors(Path(error_log_path), failed_records, classes)
    recoverable = [
        _without_error(record)
        for record, name in zip(failed_records, classes, strict=True)
        if name == TRANSIENT
    ]
    retried = len(recoverable) if retry and recoverable else 0
    recovered = retried - int(retry(recoverable)["failed"]) if retry and retried else 0
    logger.warning("%d records failed, written to %s", len(failed_records), error_log_path)
    by_class = {name: classes.count(name) for name in sorted(set(classes))}
    return {
        "written": len(failed_records),
        "by_class": by_class,
        "retried": retried,
        "recovered": recovered,
    }


TRANSIENT, CONSTRAINT, DATA_QUALITY = "transient", "constraint_violation", "data_quality"

# SQLSTATEs, numbers of SQL Server, and the words of the engines, by class; the first that is found
# in a message counts. A state or number stands by itself, not within a longer one.
_SIGNS = {
    TRANSIENT: re.compile(
        r"deadlock|\b(08[0-9a-z]{3}|40001|40p01|55p03|hyt0[01]|1205|1222)\b"
        r"|communication link|connection (reset|refused|lost|closed|was forcibly closed)"
        r"|timed? ?out|database is locked|could not serialize"
    ),
    CONSTRAINT: re.compile(
        r"\b(23[0-9a-z]{3}|2601|2627|547|515)\b|constraint|duplicate key|foreign key|unique index"
    ),
    DATA_QUALITY: re.compile(
        r"\b(22[0-9a-z]{3}|8152|2628|8114|8115|245|241)\b|truncat|too long|conver(t|sion)"
        r"|overflow|out of range|invalid (input|value|date|number)"
    ),
}


def classify_error(record: Mapping[str, Any]) -> str:
    """Return the kind of failure of a record, from its `error_class`, `error` or `error_message`.

    Example:
        >>> classify_error({"error": TimeoutError("no answer")})
        'transient'
        >>> classify_error({"error_message": "[08S01] Communication link failure"})
        'transient'
        >>> classify_error({"error": "String or binary data would be truncated"})
        'data_quality'
    """
    known, error = record.get("error_class"), _error_of(record)
    if known == DUPLICATE:
        return "duplicate"
    if known in _DATA_QUALITY:
        return DATA_QUALITY
    if isinstance(error, BaseException) and is_transient(error):
        return TRANSIENT
    text = str(error).lower()
    return next((name for name, sign in _SIGNS.items() if sign.search(text)), "other")


_ERROR_NAMES = ("error", "error_message", "error_class")


def _error_of(record: Mapping[str, Any]) -> Any:
    return record.get("error") or record.get("error_message") or ""


def _without_error(record: Mapping[str, Any]) -> Dict[str, Any]:
    return {key: value for key, value in record.items() if key not in _ERROR_NAMES}


def _append_errors(path: Path, records: List[Dict[str, Any]], classes: List[str]) -> None:
    """Writes the file anew, with what was in it and the columns that come with the records."""
    rows: List[Dict[str, str]] = []
    if path.exists():
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, restkey="rest"))
    for record, name in zip(records, classes, strict=True):
        error = {"error_type": name, "error_class": record.get("error_class", "")}
        cells = {**error, "error": str(_error_of(record)), **_without_error(record)}
        rows.append({n: guarded_cell(v) if isinstance(v, str) else v for n, v in cells.items()})
    first = ("error_type", "error_class", "error")
    names = dict.fromkeys([*first, *(name for row in rows for name in row)])
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(names), restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode("utf-8-sig"))
