"""What is unusual about a run, compared with the runs of its kind before it.

The usual is the median, the spread the median absolute deviation (MAD): neither is moved by a
single odd run, such as the first load. Times 1.4826 a MAD is the standard deviation of figures
that scatter normally. A floor keeps a history without any scatter from crying at every change.
"""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Dict, List, NoReturn

from etl.engines.database import DatabaseManager
from etl.errors import ETLError
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
from etl.schema.star import SALES_FACT, STAR_TABLES

VOLUME, ERROR_RATE, QUALITY, DURATION = "volume", "error_rate", "quality", "duration"

# A week of nightly runs: every weekday has been seen, and a MAD of fewer figures says little.
MIN_RUNS = 7
# How many spreads from the usual is unusual, and from where on a person is woken.
UNUSUAL_SPREADS, CRITICAL_SPREADS = 4.0, 8.0
_TO_SIGMA = 1.4826
# As often as this a figure was as far out before: a pattern, such as weekends.
_SEEN_BEFORE = 2
# The name for what belongs to no single table.
WHOLE_RUN = "all"


@dataclass(frozen=True)
class _Watch:
    """A figure that is watched.

    Attributes:
        floor_share: least spread, as a share of the usual figure.
        floor: least spread, in the figure's own unit.
        up, down: in which directions it can be unusual.
        critical: in which direction it can be critical: 1, -1 or 0 for none.
        form: how the figure is written.
    """

    metric: str
    type: str
    words: str
    floor_share: float
    floor: float
    up: bool
    down: bool
    critical: int
    form: str


_WATCHED = (
    # a tenth of the usual, and two rows, which come and go in a small table
    _Watch("rows_read", VOLUME, "records read", 0.1, 2, True, True, -1, "{:,.0f}"),
    _Watch("rows_inserted", VOLUME, "new rows", 0.1, 2, True, True, -1, "{:,.0f}"),
    _Watch("error_rate", ERROR_RATE, "of the records rejected", 0.1, 0.005, True, False, 1,
           "{:.1%}"),
    _Watch("quality_score", QUALITY, "quality score", 0, 0.5, False, True, -1, "{:.1f}"),
    # five seconds: what a short run takes depends on what else the machine does
    _Watch("seconds", DURATION, "seconds", 0.2, 5, True, False, 0, "{:,.1f}"),
)  # fmt: skip


_METRICS = frozenset(watch.metric for watch in _WATCHED)
_BESIDES = frozenset({"mode", "runs", "started_at"})  # what `baseline` says besides the figures


@dataclass(frozen=True)
class Anomaly:
    """A figure that is far from the usual.

    Attributes:
        type: volume, error_rate, quality or duration.
        table: the table, or `all`.
        severity: warning, or critical.
        metric: what was measured.
        figure: what this run has.
        expected: the usual.
        threshold: the figure at which it becomes unusual.
        runs: how many earlier runs it was compared with; 0 for a given figure.
        message: the same for people.
    """

    type: str
    table: str
    severity: str
    metric: str
    figure: float
    expected: float
    threshold: float
    runs: int
    message: str


def detect_data_anomalies(current_metrics: Dict, historical_baseline: Dict) -> List[Dict]:  # type: ignore[type-arg]  # the public signature is fixed
    """Find what is unusual about a run.

    A figure is unusual when it lies more than four spreads from the median of the earlier ones,
    and fewer than two of them lay as far out; with fewer than seven earlier ones nothing is said.
    A baseline of one number is taken as the usual figure itself.

    Args:
        current_metrics: `tables`, by table name a dict of `rows_read`, `rows_inserted`,
            `error_rate` (0 to 1), `quality_score` (0 to 100), `seconds`, any of them; the table
            `all` stands for the whole run.
        historical_baseline: `tables` in the same form, with the usual figure, or a list of those
            of earlier runs of the same kind, in place of each; see `baseline`.

    Returns:
        A dict per anomaly, the critical ones first: `type` (volume, error_rate, quality,
        duration), `table`, `severity` (critical, warning), `message`, `metric`, `figure`,
        `expected`, `threshold`, `runs`.

    Raises:
        ETLError: there is something in them that is not known.

    Example:
        >>> usual = {"tables": {"sales_fact": {"rows_read": [98, 103, 100, 99, 101, 100, 102]}}}
        >>> (found,) = detect_data_anomalies({"tables": {"sales_fact": {"rows_read": 10}}}, usual)
        >>> found["severity"], found["message"]
        ('critical', 'sales_fact: 10 records read, usually 100 (unusual below 60)')
    """
    current = {
        table: {name: _number(value, name) for name, value in figures.items()}
        for table, figures in _tables_of(current_metrics, "current_metrics").items()
    }
    known = {
        table: {name: _numbers(value, name) for name, value in figures.items()}
        for table, figures in _tables_of(historical_baseline, "historical_baseline").items()
    }
    found = [
        anomaly
        for table, figures in current.items()
        for anomaly in _of_table(table, figures, known.get(table, {}))
    ]
    return [asdict(each) for each in sorted(found, key=lambda a: a.severity)]


def _tables_of(metrics: Mapping[str, Any], name: str) -> Mapping[str, Mapping[str, Any]]:
    """The figures by table; what is not known is refused rather than ignored."""
    tables = metrics.get("tables", {}) if isinstance(metrics, Mapping) else None
    given = set(metrics) - _BESIDES if isinstance(metrics, Mapping) else set()
    if not isinstance(tables, Mapping) or given - {"tables"}:
        _refuse(f"{name} has {_listed(given - {'tables'}) or 'no tables'}", "a dict with `tables`")
    for table, figures in tables.items():
        if not isinstance(figures, Mapping):
            _refuse(f"{name} of {table} is {figures!r}", "a dict of figures")
        if unknown := set(figures) - _METRICS:
            _refuse(f"{name} of {table} has {_listed(unknown)}", ", ".join(sorted(_METRICS)))
    return tables


def _numbers(value: object, name: str) -> list[float] | float:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_number(each, name) for each in value]
    return _number(value, name)


def _number(value: object, name: str) -> float:
    if isinstance(value, int | float | Decimal) and math.isfinite(value):
        return float(value)
    return _refuse(f"{name} is {value!r}", "a number; in a baseline a list of them too")


def _listed(names: Iterable[object]) -> str:
    return ", ".join(sorted(map(repr, names)))


def _refuse(what: str, choices: str) -> NoReturn:
    raise ETLError(
        f"anomalies cannot be looked for: {what}",
        choices=choices,
        next_step="correct the argument of detect_data_anomalies",
    )


def _of_table(
    table: str, figures: Mapping[str, float], known: Mapping[str, list[float] | float]
) -> Iterator[Anomaly]:
    found: set[str] = set()
    for watch in _WATCHED:
        figure, earlier = figures.get(watch.metric), known.get(watch.metric, [])
        few = isinstance(earlier, list) and len(earlier) < MIN_RUNS
        if figure is None or few or watch.type in found:
            continue
        anomaly = _judged(watch, table, figure, earlier)
        if anomaly is not None:
            found.add(watch.type)  # fewer records read are fewer new rows as well
            yield anomaly


def _judged(watch: _Watch, table: str, figure: float, known: list[float] | float) -> Anomaly | None:
    earlier = known if isinstance(known, list) else []
    usual = known if isinstance(known, float) else statistics.median(known)
    spread = _spread(watch, usual, earlier or [usual])
    side = 1 if figure > usual else -1
    distance = side * (figure - usual)
    watched = watch.up if side > 0 else watch.down
    as_far_out = sum(side * (value - figure) >= 0 for value in earlier)
    if not watched or distance <= UNUSUAL_SPREADS * spread or as_far_out >= _SEEN_BEFORE:
        return None
    critical = side == watch.critical and distance > CRITICAL_SPREADS * spread
    limit = usual + side * UNUSUAL_SPREADS * spread
    return Anomaly(
        watch.type, table, "critical" if critical else "warning", watch.metric,
        round(figure, 4), round(usual, 4), round(limit, 4), len(earlier),
        _in_words(watch, table, (figure, usual, limit)),
    )  # fmt: skip


def _spread(watch: _Watch, usual: float, earlier: Sequence[float]) -> float:
    mad = statistics.median(abs(value - usual) for value in earlier)
    return max(_TO_SIGMA * mad, watch.floor_share * abs(usual), watch.floor)


def _in_words(watch: _Watch, table: str, figures: tuple[float, float, float]) -> str:
    figure, usual, limit = (watch.form.format(value) for value in figures)
    beyond = "above" if figures[0] > figures[1] else "below"
    subject = "the whole run" if table == WHOLE_RUN else table
    named = f"{watch.words} {figure}" if watch.type == QUALITY else f"{figure} {watch.words}"
    return f"{subject}: {named}, usually {usual} (unusual {beyond} {limit})"


# --- what is usual -----------------------------------------------------------------------

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
    """Return the figures of the earlier successful runs of the same kind as a run, oldest first.

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
    """Return the figures of a run that is about to end.

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
