"""What is usual for a kind of run, from the history in the warehouse."""

import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from etl.engines.database import DatabaseManager
from etl.history.audit import SUCCESS
from etl.history.runs import (
    BACKFILL,
    FULL_REFRESH,
    INCREMENTAL,
    ONE_DATE,
    Applied,
    LoadCounts,
    RunPlan,
)
from etl.quality.anomalies import WHOLE_RUN
from etl.schema.tables import SALES_FACT, STAR_TABLES

# A month of nightly runs, none of them older than a season.
_RUNS, _DAYS = 30, 90

# Runs of these kinds read about as much each time; backfills are as long as they are asked for.
_ALIKE = (INCREMENTAL, ONE_DATE, FULL_REFRESH)
_COMPARED = (*_ALIKE, BACKFILL)

SCORE = "score"  # the dimension under which etl_quality keeps the scores

_RUNS_OF_A_KIND = """SELECT "run_id", "started_at", "finished_at" FROM "etl_run"
WHERE "mode" = ? AND "environment" = ? AND "status" = ? AND "run_id" < ? AND "started_at" >= ?
ORDER BY "run_id";"""
_LOADS = """SELECT "run_id", "table_name", "rows_read", "rows_inserted", "rows_rejected"
FROM "etl_load" WHERE "run_id" >= ? AND "run_id" < ? ORDER BY "run_id";"""
_SCORES = """SELECT "run_id", "table_name", "value" FROM "etl_quality"
WHERE "dimension" = ? AND "run_id" >= ? AND "run_id" < ? ORDER BY "run_id";"""

Metrics = dict[str, dict[str, float]]


def baseline(db: DatabaseManager, plan: RunPlan) -> dict[str, Any]:
    """The figures of the earlier successful runs of the same kind as a run, oldest first.

    Args:
        db: the open warehouse.
        plan: the run.

    Returns:
        `mode`, `runs` (how many), `started_at` of each, and `tables`: by table name a dict of
        lists, as `detect_data_anomalies` takes it.
    """
    since = plan.started_at - timedelta(days=_DAYS)
    kind = (plan.mode, plan.environment, SUCCESS, plan.run_id, since)
    rows = db.query(_RUNS_OF_A_KIND, kind)[-_RUNS:] if plan.mode in _COMPARED else []
    runs = {run_id: _seconds(started, finished) for run_id, started, finished in rows}
    tables: dict[str, dict[str, list[float]]] = {}
    for run_id, metrics in _metrics_of(db, plan, runs).items():
        for table, figures in metrics.items():
            for name, value in figures.items():
                tables.setdefault(table, {}).setdefault(name, []).append(value)
        if plan.mode in _ALIKE:
            tables.setdefault(WHOLE_RUN, {}).setdefault("seconds", []).append(runs[run_id])
    started = [started for _, started, _ in rows]
    return {"mode": plan.mode, "runs": len(runs), "started_at": started, "tables": tables}


def _seconds(started: datetime, finished: datetime) -> float:
    return (finished - started).total_seconds()


def _metrics_of(
    db: DatabaseManager, plan: RunPlan, runs: Mapping[str, float]
) -> dict[str, Metrics]:
    metrics: dict[str, Metrics] = {run_id: {} for run_id in runs}
    if not runs:
        return metrics
    span = (min(runs), plan.run_id)
    for run_id, table, read, inserted, rejected in db.query(_LOADS, span):
        if run_id in metrics:
            counts = LoadCounts(rows_read=read, rows_inserted=inserted, rows_rejected=rejected)
            metrics[run_id][table] = _figures(plan.mode, table, counts)
    for run_id, table, score in db.query(_SCORES, (SCORE, *span)):
        if run_id in metrics:
            metrics[run_id].setdefault(table, {})["quality_score"] = float(score)
    return metrics


def _figures(mode: str, table: str, counts: LoadCounts) -> dict[str, float]:
    figures: dict[str, float] = {}
    if mode in _ALIKE:
        figures["rows_read"] = counts.rows_read
    if mode == INCREMENTAL and table == SALES_FACT.name:
        # what is read holds the days that are read once more, so a poor day hardly shows in it
        figures["rows_inserted"] = counts.rows_inserted
    if counts.rows_read:
        figures["error_rate"] = counts.rows_rejected / counts.rows_read
    return figures


def current_metrics(
    plan: RunPlan, applied: Applied, *, scores: Mapping[str, float], now: datetime
) -> Metrics:
    """The figures of a run that is about to end.

    Args:
        plan: the run.
        applied: what its sources did; a source that was not loaded is not in it.
        scores: by table name.
        now: the present moment, UTC.
    """
    metrics: Metrics = {}
    for table in STAR_TABLES:
        counts = applied.of(table)
        figures = _figures(plan.mode, table.name, counts) if counts.batches else {}
        metrics[table.name] = figures | {"quality_score": scores[table.name]}
    metrics[WHOLE_RUN] = {"seconds": _seconds(plan.started_at, now)}
    return metrics


def without_early_volume(
    metrics: Metrics, started_at: datetime, earlier: Sequence[datetime]
) -> Metrics:
    """The figures without new sales, when the last run was so short ago that few can have come.

    Args:
        metrics: of a run.
        started_at: when it began.
        earlier: when the runs before it began, oldest first.
    """
    moments = [*earlier, started_at]
    *pauses, last = ((b - a).total_seconds() for a, b in pairwise(moments)) if earlier else (0.0,)
    if not pauses or last >= statistics.median(pauses) / 2:
        return metrics
    sales = {n: v for n, v in metrics[SALES_FACT.name].items() if n != "rows_inserted"}
    return {**metrics, SALES_FACT.name: sales}
