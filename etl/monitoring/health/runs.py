"""How earlier runs went: what the warehouse knows of them, or else the journal beside it."""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from etl.engines.database import DatabaseManager
from etl.history.audit import ATTENTION, RUNNING, SUCCESS, errors_since, last_success
from etl.history.journal import JOURNAL, read_entries
from etl.history.runs import utc_now
from etl.monitoring.health.error_trends import NEW, RISING, RUNS, common_errors, with_history
from etl.monitoring.health.findings import PASSED, WARNING, Check, span_text
from etl.schema.tables import ETL_RUN
from etl.settings.config import Config

# A nightly job's day, plus two hours for a night that takes longer than the one before.
_STALE_HOURS = 26
_NO_FAILURE = (SUCCESS, ATTENTION, RUNNING)
_ERROR_DAYS = 90

_NEWEST_RUN = """SELECT "run_id", "status" FROM "etl_run"
WHERE "run_id" = (SELECT max("run_id") FROM "etl_run");"""


def last_run_checks(db: DatabaseManager) -> Iterator[Check]:
    """How the newest run ended, and when the last one with success did."""
    newest = db.query(_NEWEST_RUN) if ETL_RUN.name in db.table_names() else []
    if not newest:
        yield Check("last run", WARNING, message="no run yet")
        return
    run_id, status = newest[0]
    yield _newest_run(run_id, status, in_use="used_by" in db.session.facts())
    yield _last_success(last_success(db))


def _newest_run(run_id: str, status: str, *, in_use: bool) -> Check:
    told = f"{run_id}: {status}"
    if status == RUNNING and not in_use:
        told = f"{run_id} ended without a word; a plain run takes its sales up again"
        return Check("last run", WARNING, "killed", message=told)
    if status in (RUNNING, SUCCESS):
        return Check("last run", PASSED, status, message=told)
    told += "; etl_run and the log file say why"
    return Check("last run", WARNING, status, message=told)


def _last_success(finished_at: datetime | None) -> Check:
    if finished_at is None:
        told = "no run has ended with success yet"
        return Check("last success", WARNING, None, _STALE_HOURS, told)
    age = utc_now() - finished_at
    hours = round(age / timedelta(hours=1), 1)
    told, status = f"{span_text(age)} ago", PASSED
    if hours > _STALE_HOURS:
        told += f", more than {_STALE_HOURS} hours: look at what starts the runs, and at the log"
        status = WARNING
    return Check("last success", status, hours, _STALE_HOURS, told)


def error_checks(db: DatabaseManager, config: Config) -> Iterator[Check]:
    """What went wrong in the latest runs, as the warehouse and the journal together know it."""
    if ETL_RUN.name in db.table_names():
        runs = errors_since(db, utc_now() - timedelta(days=_ERROR_DAYS))
        yield from _recent_errors(with_history(_entries(config), runs))


def journal_checks(config: Config, known: Container[str]) -> Iterator[Check]:
    """What the journal says of earlier runs, where the warehouse could not be asked."""
    entries = _entries(config)
    if entries and "last success" not in known:
        yield _last_success(_last_success_of(entries))
    if "recent errors" not in known:
        yield from _recent_errors(entries)


def _entries(config: Config) -> list[dict[str, Any]]:
    return read_entries(config.files.output_dir / JOURNAL)


def _recent_errors(entries: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    last = entries[-RUNS:]
    if not last:
        return
    failed = sum(entry.get("status") not in _NO_FAILURE for entry in last)
    told = f"{failed} of the last {len(last)} runs failed"
    errors = [error for error in common_errors(last) if error.kind == "run"]
    if errors:
        most = errors[0]
        often = f"in {most.runs} of them, {most.trend}" if most.runs > 1 else "once"
        told += f"; most often ({often}): {most.error}"
    worse = any(error.runs > 1 and error.trend in (NEW, RISING) for error in errors)
    status = WARNING if worse else PASSED
    yield Check("recent errors", status, failed, message=told)


def _last_success_of(entries: Sequence[Mapping[str, Any]]) -> datetime | None:
    for entry in reversed(entries):
        if entry.get("status") == SUCCESS:
            with suppress(KeyError, TypeError, ValueError):  # somebody has edited it
                return datetime.fromisoformat(entry["finished_at"]).replace(tzinfo=None)
    return None
