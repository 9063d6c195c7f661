"""How earlier runs went: what the warehouse knows of them, or else the journal beside it."""

import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from textwrap import shorten
from typing import Any

from etl.engines.database import DatabaseManager
from etl.history.audit import ATTENTION, RUNNING, SUCCESS, errors_since, last_success
from etl.history.journal import JOURNAL, read_entries
from etl.history.runs import utc_now
from etl.monitoring.health.findings import PASSED, WARNING, Check
from etl.schema.audit import ETL_RUN
from etl.settings.config import Config
from etl.words import age_words

# A nightly job's day, plus two hours for a night that takes longer than the one before.
_STALE_HOURS = 26
_NO_FAILURE = (SUCCESS, ATTENTION, RUNNING)
_ERROR_DAYS = 90

_NEWEST_RUN = """SELECT "run_id", "status" FROM "etl_run"
WHERE "run_id" = (SELECT max("run_id") FROM "etl_run");"""


def last_run_checks(db: DatabaseManager) -> Iterator[Check]:
    """Report how the newest run ended, and when the last one with success did."""
    newest = db.query(_NEWEST_RUN) if ETL_RUN.name in db.table_names() else []
    if not newest:
        yield Check("last run", WARNING, message="no run yet")
        return
    run_id, status = newest[0]
    yield _newest_run(run_id, status, in_use="used_by" in db.session.facts())
    yield _last_success(last_success(db))


def _newest_run(run_id: str, status: str, *, in_use: bool) -> Check:
    message = f"{run_id}: {status}"
    if status == RUNNING and not in_use:
        message = f"{run_id} was killed; a plain run loads its sales again"
        return Check("last run", WARNING, "killed", message=message)
    if status in (RUNNING, SUCCESS):
        return Check("last run", PASSED, status, message=message)
    message += "; the table etl_run and the log file have the reason"
    return Check("last run", WARNING, status, message=message)


def _last_success(finished_at: datetime | None) -> Check:
    if finished_at is None:
        message = "no run has ended with success yet"
        return Check("last success", WARNING, None, _STALE_HOURS, message)
    age = utc_now() - finished_at
    hours = round(age / timedelta(hours=1), 1)
    message, status = f"{age_words(age)} ago", PASSED
    if hours > _STALE_HOURS:
        message += f", more than {_STALE_HOURS} hours: check the scheduler and the log"
        status = WARNING
    return Check("last success", status, hours, _STALE_HOURS, message)


def error_checks(db: DatabaseManager, config: Config) -> Iterator[Check]:
    """Report what went wrong in the latest runs, by the warehouse and the journal together."""
    if ETL_RUN.name in db.table_names():
        runs = errors_since(db, utc_now() - timedelta(days=_ERROR_DAYS))
        yield from _recent_errors(with_history(_entries(config), runs))


def journal_checks(config: Config, known: Container[str]) -> Iterator[Check]:
    """Report what the journal says of earlier runs, where the warehouse could not be asked."""
    entries = _entries(config)
    if entries and "last success" not in known:
        yield _last_success(_last_success_of(entries))
    if "recent errors" not in known:
        yield from _recent_errors(entries)


def _entries(config: Config) -> list[dict[str, Any]]:
    return read_entries(config.files.environment_dir / JOURNAL)


def _recent_errors(entries: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    last = entries[-RUNS:]
    if not last:
        return
    failed = sum(entry.get("status") not in _NO_FAILURE for entry in last)
    message = f"{failed} of the last {len(last)} runs failed"
    errors = [error for error in common_errors(last) if error.kind == "run"]
    if errors:
        most = errors[0]
        often = f"in {most.runs} of them, {most.trend}" if most.runs > 1 else "once"
        message += f"; most often ({often}): {most.error}"
    worse = any(error.runs > 1 and error.trend in (NEW, RISING) for error in errors)
    status = WARNING if worse else PASSED
    yield Check("recent errors", status, failed, message=message)


def _last_success_of(entries: Sequence[Mapping[str, Any]]) -> datetime | None:
    for entry in reversed(entries):
        if entry.get("status") == SUCCESS:
            with suppress(KeyError, TypeError, ValueError):  # somebody has edited it
                return datetime.fromisoformat(entry["finished_at"]).replace(tzinfo=None)
    return None


RISING, FALLING, STEADY, NEW, GONE = "rising", "falling", "steady", "new", "gone"

RUNS = 30
# By how much the newer half must differ from the older one to count as a change.
_CHANGE = 1.5

# What differs between two texts of one error: numbers, and what is quoted or a path.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|(?<!\S)\S*[/\\]\S+|\b[0-9A-Fa-f]{8,}\b|\d[\d.,:]*")
_SHOWN_CHARACTERS = 120


@dataclass(frozen=True)
class ErrorTrend:
    """One kind of error over some runs.

    Attributes:
        kind: `run` for what ended a run or one of its sources, `record` for rejected records.
        error: what it is; for a run's error its first sentence, without what differs each time.
        source: of the records; empty for a run.
        count: how often in all: runs, or records.
        runs: in how many runs.
        recent: how often in the newer half of the runs.
        earlier: how often in the older half.
        trend: rising, falling, steady, new (only in the newer half) or gone (only in the older).
        last_run: the newest run that had it.
    """

    kind: str
    error: str
    source: str
    count: int
    runs: int
    recent: int
    earlier: int
    trend: str
    last_run: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def with_history(
    entries: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The entries of the journal, and runs of the warehouse's history that it lacks, by start.

    Args:
        entries: of the journal.
        runs: `run_id`, `status` and `error` of `etl_run`.

    Example:
        >>> with_history([{"run_id": "b"}], [{"run_id": "a"}, {"run_id": "b"}])
        [{'run_id': 'a'}, {'run_id': 'b'}]
    """
    known = {entry["run_id"] for entry in entries}
    lacking = [run for run in runs if run["run_id"] not in known]
    return sorted([*entries, *lacking], key=lambda entry: str(entry["run_id"]))


_Key = tuple[str, str, str]


def common_errors(entries: Sequence[Mapping[str, Any]], *, runs: int = RUNS) -> list[ErrorTrend]:
    """Return the errors of the last runs, the most common first.

    Args:
        entries: of the journal, oldest first (`run_journal.read_entries`).
        runs: how many of the last ones to look at.

    Returns:
        What ended runs and sources first, then why records were rejected.

    Example:
        >>> entries = [{"run_id": f"r{n}", "error": "no file a.csv"} for n in range(3)]
        >>> (found,) = common_errors([{"run_id": "r", "error": ""}, *entries])
        >>> found.error, found.count, found.recent, found.earlier, found.trend
        ('no file a.csv', 3, 2, 1, 'rising')
    """
    last = entries[-runs:]
    counted = [Counter(dict(_errors(entry))) for entry in last]
    half = len(last) // 2
    keys = {key for counts in counted for key in counts}
    found = [_trend(key, last, counted, half) for key in keys]
    return sorted(found, key=lambda e: (e.kind != "run", -e.count, e.source, e.error))


def _errors(entry: Mapping[str, Any]) -> Iterator[tuple[_Key, int]]:
    for error in _texts(entry):
        yield ("run", _without_details(error), ""), 1
    for reject in entry.get("rejects") or ():
        if isinstance(reject, Mapping):
            words = f"{reject.get('error_class', '')} {reject.get('field', '')}".strip()
            yield ("record", words, str(reject.get("source", ""))), int(reject.get("rows") or 0)


def _texts(entry: Mapping[str, Any]) -> Iterator[str]:
    """What ended the run, or its sources, each with its name."""
    named = [
        f"{source.get('source')}: {source['error']}"
        for source in entry.get("sources") or ()
        if isinstance(source, Mapping) and source.get("error")
    ]
    yield from named or filter(None, str(entry.get("error") or "").split(" | "))


def _without_details(error: str) -> str:
    r"""The first sentence, with everything that differs from time to time left out.

    Example:
        >>> _without_details("sales held back: 31 of 100 rejected. Next: correct the source.")
        'sales held back: … of … rejected'
    """
    first = re.split(r"\. |\n", error, maxsplit=1)[0].rstrip(".")
    return shorten(_QUOTED.sub("…", first), _SHOWN_CHARACTERS, placeholder=" …")


def _trend(
    key: _Key,
    entries: Sequence[Mapping[str, Any]],
    counted: Sequence[Counter[_Key]],
    half: int,
) -> ErrorTrend:
    counts = [each[key] for each in counted]
    # of an odd number of runs the one in the middle is left out, so that the halves compare
    earlier, recent = sum(counts[:half]), sum(counts[len(counts) - half :])
    having = [entry for entry, count in zip(entries, counts, strict=True) if count]
    kind, error, source = key
    return ErrorTrend(
        kind, error, source, sum(counts), len(having), recent, earlier,
        _direction(earlier, recent), str(having[-1].get("run_id", "")),
    )  # fmt: skip


def _direction(earlier: int, recent: int) -> str:
    if earlier == recent:
        return STEADY
    if not earlier or not recent:
        return NEW if recent else GONE
    if recent >= _CHANGE * earlier:
        return RISING
    return FALLING if earlier >= _CHANGE * recent else STEADY
