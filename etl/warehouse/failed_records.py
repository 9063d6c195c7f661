"""Records that a load of plain records could not take: written down, classified, tried again."""

import csv
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Dict, List

from etl.rejects import (
    BAD_TEXT,
    DUPLICATE,
    MALFORMED,
    MISSING,
    OUT_OF_RANGE,
    RULE,
    UNREADABLE,
    guarded_cell,
)
from etl.resilience.retry import is_transient

logger = logging.getLogger(__name__)

# What a person does about it, by class of error.
_DATA_QUALITY = frozenset({MALFORMED, MISSING, UNREADABLE, OUT_OF_RANGE, BAD_TEXT, RULE})

Retry = Callable[[List[Dict[str, Any]]], Mapping[str, Any]]


def handle_loading_errors(
    failed_records: List[Dict],  # type: ignore[type-arg]  # the public signature is fixed
    error_log_path: str,
    *,
    retry: Retry | None = None,
) -> Dict[str, Any]:
    """Writes failed records to a CSV file, classified, and tries the recoverable ones again.

    Args:
        failed_records: the records; `error` holds the exception or message, `error_class` the
            class if it is known, as in the `errors` of `load_customers`.
        error_log_path: the CSV file; it is written anew, whole or not at all.
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
    _write_errors(Path(error_log_path), failed_records, classes)
    recoverable = [
        _without_error(record)
        for record, name in zip(failed_records, classes, strict=True)
        if name == "transient"
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


def classify_error(record: Mapping[str, Any]) -> str:
    """The kind of failure of a record, from its `error_class` or its `error`.

    Example:
        >>> classify_error({"error": TimeoutError("no answer")})
        'transient'
    """
    known, error = record.get("error_class"), record.get("error")
    if known == DUPLICATE:
        return "duplicate"
    if known in _DATA_QUALITY:
        return "data_quality"
    if isinstance(error, BaseException) and is_transient(error):
        return "transient"
    text = str(error).lower()
    # SQLSTATE class 23, and the words of SQL Server, PostgreSQL and DuckDB for it
    if any(word in text for word in ("23000", "23505", "23503", "constraint", "duplicate key")):
        return "constraint_violation"
    # SQLSTATE class 22: data exceptions
    if any(word in text for word in ("22001", "22003", "22007", "22018", "conversion", "truncat")):
        return "data_quality"
    return "other"


def _without_error(record: Mapping[str, Any]) -> Dict[str, Any]:
    return {key: value for key, value in record.items() if key not in ("error", "error_class")}


def _write_errors(path: Path, records: List[Dict[str, Any]], classes: List[str]) -> None:
    names = list(dict.fromkeys(name for record in records for name in _without_error(record)))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("error_type", "error_class", "error", *names))
        for record, name in zip(records, classes, strict=True):
            told = (name, record.get("error_class", ""), record.get("error", ""))
            cells = (*told, *(record.get(column) for column in names))
            writer.writerow([guarded_cell(c) if isinstance(c, str) else c for c in cells])
    part.replace(path)
