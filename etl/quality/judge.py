"""The data of a run, judged: checks, scores, what is unusual; kept and logged."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Dict

from etl.engines.database import DatabaseManager
from etl.history import audit_rows
from etl.history.runs import REPROCESS, Applied, RunPlan, utc_now
from etl.monitoring.logs import IN_SUMMARY
from etl.quality.anomalies import (
    SCORE,
    baseline,
    current_metrics,
    detect_data_anomalies,
    without_early_volume,
)
from etl.quality.checks import FAILED, PASSED, quality_of
from etl.quality.drift import Sketches, look_for_drift
from etl.quality.rule import INFO, WARNING, RowRule
from etl.quality.scope import scope_of
from etl.schema.audit import ETL_QUALITY
from etl.schema.table import Table

logger = logging.getLogger(__name__)

_LEVELS = {FAILED: logging.ERROR, WARNING: logging.WARNING, INFO: logging.INFO}


@dataclass(frozen=True)
class Judged:
    """What the checks have found, and what is unusual.

    Attributes:
        since: from when on rows were looked at, the last run having proven the others; None: all.
    """

    quality: Dict[str, Any]
    anomalies: Sequence[Dict[str, Any]] = ()
    since: datetime | None = None

    @property
    def failed(self) -> list[Mapping[str, Any]]:
        """The checks that ask for a person."""
        return [check for check in self.quality["checks"] if check["status"] == FAILED]


NOT_JUDGED = Judged({"passed": True, "checks": [], "scores": {}, "dimension_scores": {}})


@dataclass(frozen=True)
class Asked:
    """What is asked of the checks.

    Attributes:
        whole_days: how many days a check of the whole tables is good for; 0: check them now.
        own: rules beside the built-in ones.
        weights: by dimension, how much it weighs in the score of a table.
        sketches: how the records of the tables that were loaded are distributed.
        declared: tables of declared loads that were loaded.
        drift: the share of them that may lie elsewhere than usual; 0: nothing is looked for.
    """

    whole_days: int = 0
    own: tuple[RowRule, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    sketches: Sketches = field(default_factory=dict)
    declared: tuple[Table, ...] = ()
    drift: float = 0.0


_BY_DEFAULT = Asked()


def judge(
    db: DatabaseManager, plan: RunPlan, applied: Applied, asked: Asked = _BY_DEFAULT
) -> Judged:
    """Check the tables, keep what was found in `etl_quality`, and log it.

    Args:
        db: the open warehouse.
        plan: the run.
        applied: what its sources did.
        asked: what is asked besides.
    """
    now = utc_now()
    scope = scope_of(db, plan, applied, whole_days=asked.whole_days, now=now)
    scope = replace(scope, declared=asked.declared)
    quality = quality_of(
        db, now, scope=scope, own=asked.own, weights=asked.weights, sums=applied.sums
    )
    anomalies = [
        *_anomalies(db, plan, applied, quality["scores"]),
        *look_for_drift(db, plan, asked.sketches, asked.drift),
    ]
    audit_rows.replace_rows(db, ETL_QUALITY, list(_rows(plan, quality)), by=["run_id"])
    _log(quality["checks"], anomalies)
    return Judged(quality, anomalies, scope.since)


def _anomalies(
    db: DatabaseManager, plan: RunPlan, applied: Applied, scores: Mapping[str, float]
) -> Sequence[Dict[str, Any]]:
    if plan.mode == REPROCESS:  # as many as a person has corrected
        return []
    usual = baseline(db, plan)
    metrics = current_metrics(plan, applied, scores=scores, now=utc_now())
    metrics = without_early_volume(metrics, plan.started_at, usual["started_at"])
    return detect_data_anomalies({"tables": metrics}, usual)


def _rows(plan: RunPlan, quality: Dict[str, Any]) -> Iterator[Dict[str, Any]]:
    for check in quality["checks"]:
        examples = json.dumps(check["examples"]) if check["examples"] else None
        whole_at = datetime.fromisoformat(check["whole_at"]) if check["whole_at"] else None
        table = {"run_id": plan.run_id, "table_name": check["table"], "whole_at": whole_at}
        yield {**check, **table, "examples": examples}
    for name, score in quality["scores"].items():
        yield {
            "run_id": plan.run_id, "name": f"{name}.{SCORE}", "table_name": name,
            "dimension": SCORE, "severity": INFO, "status": PASSED, "value": score,
            "threshold": 0, "message": f"{score} of 100",
        }  # fmt: skip


def _log(checks: Iterable[Mapping[str, Any]], anomalies: Iterable[Mapping[str, Any]]) -> None:
    for check in checks:
        if check["status"] != PASSED:
            level = _LEVELS[check["status"]]
            words = (check["status"], check["name"], check["message"])
            logger.log(level, "check %s: %s: %s", *words, extra=IN_SUMMARY)
    for anomaly in anomalies:
        logger.warning("unusual: %s", anomaly["message"], extra=IN_SUMMARY)
