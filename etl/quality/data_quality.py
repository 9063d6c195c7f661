"""How good the loaded data are, and what is unusual about a run."""

from datetime import datetime
from typing import Any, Dict

from etl.alerts.quality_alerts import process_quality_alerts as process_quality_alerts  # noqa: PLC0414  # likewise
from etl.engines.database import DatabaseManager
from etl.history.runs import utc_now
from etl.quality import checks as quality_checks
from etl.quality.anomalies import detect_data_anomalies as detect_data_anomalies  # noqa: PLC0414  # one of this module's public names
from etl.quality.checks import FAILED
from etl.warehouse.tables import create_tables


def run_data_quality_checks(
    db_manager: DatabaseManager, *, now: datetime | None = None
) -> Dict[str, Any]:
    """Holds the loaded tables against the quality rules.

    Completeness, validity, consistency, timeliness, uniqueness, references, and whether the rows
    are those that the loads have counted. A rule of severity `critical` or `error` that is broken
    fails the run; `warning` and `info` are only told.

    Args:
        db_manager: the open warehouse; missing tables are created.
        now: the present moment, UTC; the clock's when left out.

    Returns:
        `passed`; `checks`, a list of `name`, `status` (passed, info, warning, failed), `value`,
        `threshold`, `message`, `table`, `dimension`, `severity`, `examples` (up to ten keys of
        what is wrong), `rows_checked`, `rows_wrong`; `scores`, 0 to 100 by the name of the source
        and of the table; and `dimension_scores` of each table.

    Example:
        >>> with DatabaseManager("duckdb:///:memory:") as db:
        ...     result = run_data_quality_checks(db)
        >>> result["passed"], result["scores"]["sales_fact"]
        (True, 100.0)
    """
    create_tables(db_manager)
    checks = quality_checks.quality_checks(db_manager, now or utc_now())
    dimensions = quality_checks.dimension_scores(checks)
    return {
        "passed": all(check.status != FAILED for check in checks),
        "checks": [check.as_dict() for check in checks],
        "scores": quality_checks.scores(db_manager, dimensions),
        "dimension_scores": dimensions,
    }
