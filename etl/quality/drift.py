"""Sudden changes of distributions: the records of a run against those of the runs before it.

What is unusual lies farther from the mean of the earlier runs than a limit, farther than so many
records would by chance, and farther than all but one of these runs did.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from etl.engines.database import DatabaseManager
from etl.history import audit_rows
from etl.history.audit import SUCCESS
from etl.history.runs import RunPlan, run_id_after
from etl.history.sketches import VALUES, Sketch, distance, mean_of
from etl.quality.anomalies import MIN_RUNS, Anomaly
from etl.schema.audit import ETL_DISTRIBUTION
from etl.words import percent_words

DISTRIBUTION = "distribution"
# A month of nightly runs, and how long they are kept.
_RUNS, KEPT_DAYS = 30, 90
# As often as this it was as far away before: a pattern, such as weekends.
_SEEN_BEFORE = 2
# So rarely, in one column and run, chance alone brings as much.
_CHANCE = 1e-5
_CRITICAL = 2.0  # times the limit

# By table, by column.
Sketches = Mapping[str, Mapping[str, Sketch]]


@dataclass(frozen=True)
class _Apart:
    """How far a column lies from what is usual, and in which way."""

    share: float
    is_missing: bool


def drifted(now: Sketch, earlier: Sequence[Sketch], limit: float) -> _Apart | None:
    """Return how far a distribution lies from the earlier ones, where that is unusual.

    Args:
        now: of the run.
        earlier: of the runs before it.
        limit: the share of the records that may lie elsewhere.

    Example:
        >>> week = [Sketch(VALUES, 500, 0, {"a": 250 + n, "b": 250 - n}) for n in range(7)]
        >>> drifted(Sketch(VALUES, 500, 0, {"b": 500}), week, 0.25)
        _Apart(share=0.506, is_missing=False)
        >>> drifted(Sketch(VALUES, 500, 0, {"a": 240, "b": 260}), week, 0.25)
    """
    same = [each for each in earlier if each.kind == now.kind and each.bins]
    if len(earlier) < MIN_RUNS:
        return None
    missing = [each.null_share for each in earlier]
    usual = sum(missing) / len(missing)
    by_share = [abs(share - usual) for share in missing]
    if _is_unusual(abs(now.null_share - usual), by_share, max(limit, _by_chance(now.rows, 1))):
        return _Apart(round(now.null_share, 3), is_missing=True)
    if len(same) < MIN_RUNS or not now.bins:
        return None
    mean = mean_of(same)
    found, before = distance(now, mean), [distance(each, mean) for each in same]
    several = len({*now.bins, *mean.bins}) if now.kind == VALUES else 1
    values = now.rows - now.nulls
    if not _is_unusual(found, before, max(limit, _by_chance(values, several))):
        return None
    return _Apart(round(found, 3), is_missing=False)


def _is_unusual(found: float, before: Sequence[float], limit: float) -> bool:
    return found > limit and sum(each >= found for each in before) < _SEEN_BEFORE


def _by_chance(rows: int, several: int) -> float:
    """How far so many records lie from their distribution by chance, hardly ever farther."""
    return math.sqrt((several * math.log(2) + math.log(2 / _CHANCE)) / (2 * rows)) if rows else 1.0


# --- kept and compared -------------------------------------------------------------------------

_EARLIER = """SELECT d."run_id", d."table_name", d."column_name", d."kind", d."rows_seen",
    d."rows_null", d."bins"
FROM "etl_distribution" AS d JOIN "etl_run" AS r ON r."run_id" = d."run_id"
WHERE r."environment" = ? AND r."status" = ? AND d."run_id" < ? AND d."run_id" >= ?
ORDER BY d."run_id";"""
_FORGET = 'DELETE FROM "etl_distribution" WHERE "run_id" < ?;'


def look_for_drift(
    db: DatabaseManager, plan: RunPlan, sketches: Sketches, limit: float
) -> list[dict[str, Any]]:
    """Compare the records of a run with those of earlier ones, and keep how they are distributed.

    Args:
        db: the open warehouse.
        plan: the run.
        sketches: of the tables that it has loaded.
        limit: the share of the records that may lie elsewhere; 0: nothing is looked for.

    Returns:
        A dict per anomaly, as `detect_data_anomalies` returns them.
    """
    if not limit or not sketches:
        return []
    oldest = run_id_after(plan.started_at - timedelta(days=KEPT_DAYS), None)
    earlier = _earlier(db, plan, oldest)
    rows = [_row(plan, table, name, sketch) for table, columns in sketches.items()
            for name, sketch in columns.items()]  # fmt: skip
    if rows:
        audit_rows.replace_rows(db, ETL_DISTRIBUTION, rows, by=["run_id"])
    db.execute(_FORGET, (oldest,))
    found = (
        _anomaly(table, name, (sketch, earlier.get((table, name), [])), limit)
        for table, columns in sketches.items()
        for name, sketch in columns.items()
    )
    return [asdict(each) for each in found if each]


def _earlier(
    db: DatabaseManager, plan: RunPlan, oldest: str
) -> dict[tuple[str, str], list[Sketch]]:
    found: dict[tuple[str, str], list[Sketch]] = {}
    asked = (plan.environment, SUCCESS, plan.run_id, oldest)
    for _, table, column, kind, rows, nulls, bins in db.query(_EARLIER, asked):
        sketch = Sketch.of(kind, int(rows), int(nulls), bins)
        found.setdefault((table, column), []).append(sketch)
    return {place: sketches[-_RUNS:] for place, sketches in found.items()}


def _row(plan: RunPlan, table: str, column: str, sketch: Sketch) -> dict[str, Any]:
    return {
        "run_id": plan.run_id, "table_name": table, "column_name": column, "kind": sketch.kind,
        "rows_seen": sketch.rows, "rows_null": sketch.nulls, "bins": sketch.as_json,
    }  # fmt: skip


def _anomaly(
    table: str, column: str, sketches: tuple[Sketch, Sequence[Sketch]], limit: float
) -> Anomaly | None:
    now, earlier = sketches
    apart = drifted(now, earlier, limit)
    if apart is None:
        return None
    usual = sum(each.null_share for each in earlier) / len(earlier) if apart.is_missing else 0.0
    severity = "critical" if abs(apart.share - usual) > _CRITICAL * limit else "warning"
    return Anomaly(
        DISTRIBUTION, table, severity, column, apart.share, round(usual, 4), limit, len(earlier),
        _in_words(f"{table}.{column}", apart, usual, len(earlier)),
    )  # fmt: skip


def _in_words(place: str, apart: _Apart, usual: float, runs: int) -> str:
    share = percent_words(apart.share)
    if apart.is_missing:
        return f"{place}: {share} of the records have no value, usually {percent_words(usual)}"
    return f"{place}: {share} of the values lie elsewhere than in the {runs} runs before"
