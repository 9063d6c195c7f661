"""The figures of the last run as a text file, which Prometheus' node exporter collects."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from etl.files import write_atomically
from etl.history.audit import HELD_BACK, LOADED, SKIPPED, SOURCE_FAILED, SUCCESS
from etl.history.dead_letters import OPEN, PERSON
from etl.history.summary import STATUSES
from etl.telemetry.events import RunEnded

_PREFIX = "nightly_etl_"
_LOAD_STATUSES = (LOADED, HELD_BACK, SOURCE_FAILED, SKIPPED)
_CHECK_STATUSES = ("passed", "failed", "info")
_AGE = "_age"  # how the names of checks end whose value is an age in days
_MIB = 2**20
_DAY_S = 86_400
# The exporter runs under an account of its own; the file holds figures, no records.
_READABLE = 0o644

Labels = tuple[str, ...]
Values = Iterator[tuple[Labels, float | None]]


class Family(NamedTuple):
    """One metric: its name without the prefix, what it is, its labels, and its values of a run."""

    name: str
    help: str
    labels: Labels
    values: Callable[[RunEnded], Iterable[tuple[Labels, float | None]]]


def _one(value: Callable[[RunEnded], float | None]) -> Callable[[RunEnded], Values]:
    return lambda ended: iter([((), value(ended))])


def _seconds(moment: datetime | None) -> float | None:
    return moment.replace(tzinfo=UTC).timestamp() if moment else None


def _flags(known: Iterable[str], found: str) -> Iterator[tuple[str, float]]:
    """1 for what is the case and 0 for all else, so that no old state stays behind."""
    return ((name, float(name == found)) for name in dict.fromkeys([*known, found]))


def _run_status(ended: RunEnded) -> Values:
    return (((status,), flag) for status, flag in _flags(STATUSES, ended.run.status))


def _last_success(ended: RunEnded) -> float | None:
    runs = reversed([*ended.earlier, ended.run])
    return next((_seconds(run.finished_at) for run in runs if run.status == SUCCESS), None)


def _load_status(ended: RunEnded) -> Values:
    for source in ended.run.sources:
        for status, flag in _flags(_LOAD_STATUSES, source.status):
            yield (source.source, status), flag


def _load_success(ended: RunEnded) -> Values:
    newest: dict[str, float | None] = {}
    for run in [*ended.earlier, ended.run]:
        newest |= {s.source: _seconds(run.finished_at) for s in run.sources if s.loaded}
    return (((source,), moment) for source, moment in newest.items())


def _load_seconds(ended: RunEnded) -> Values:
    return (((table.source,), table.seconds) for table in ended.run.tables)


def _rows(ended: RunEnded) -> Values:
    for table in ended.run.tables:
        for name, count in table.counts.items():
            if name.startswith("rows_"):
                yield (table.name, name.removeprefix("rows_")), count


def _rejected(ended: RunEnded) -> Values:
    counted: dict[Labels, float] = {}
    for reject in ended.run.rejects or ():
        labels = (reject.source, reject.error_class)
        counted[labels] = counted.get(labels, 0) + (reject.rows or 0)
    return iter(counted.items())


def _letters(ended: RunEnded) -> Values:
    for each in ended.run.dead_letters:
        yield (each.source, OPEN), float(each.open)
        yield (each.source, PERSON), float(each.person)


def _letter_ages(ended: RunEnded) -> Values:
    now = ended.run.finished_at
    for each in ended.run.dead_letters:
        if now and each.oldest:
            yield (each.source,), (now - each.oldest).total_seconds()


def _scores(ended: RunEnded) -> Values:
    return (((table,), score) for table, score in ended.run.scores.items())


def _checks(ended: RunEnded) -> Values:
    found = [check.status for check in ended.run.checks]
    known = dict.fromkeys([*_CHECK_STATUSES, *found])
    return (((status,), float(found.count(status))) for status in known)


def _ages(ended: RunEnded) -> Values:
    checks = (check for check in ended.run.checks if check.name.endswith(_AGE))
    return (
        ((check.name.removesuffix(_AGE),), check.value * _DAY_S)
        for check in checks
        if check.value is not None
    )


def _stages(ended: RunEnded) -> Values:
    return (((stage.name,), stage.seconds) for stage in ended.run.stages)


def _anomalies(ended: RunEnded) -> float:
    return float(len(ended.run.anomalies))


def _memory(ended: RunEnded) -> float | None:
    peak = ended.run.peak_memory_mb
    return None if peak is None else peak * _MIB


FAMILIES = (
    Family("run_started_timestamp_seconds", "start of the last run", (),
           _one(lambda ended: _seconds(ended.run.started_at))),
    Family("run_finished_timestamp_seconds", "end of the last run", (),
           _one(lambda ended: _seconds(ended.run.finished_at))),
    Family("run_duration_seconds", "how long the last run took", (),
           _one(lambda ended: ended.run.seconds)),
    Family("run_exit_code", "exit code of the last run", (),
           _one(lambda ended: ended.run.exit_code)),
    Family("run_status", "1 for the status of the last run, 0 for the others", ("status",),
           _run_status),
    Family("run_peak_memory_bytes", "the most memory that the last run had", (), _one(_memory)),
    Family("last_success_timestamp_seconds", "end of the last run that was loaded and clean", (),
           _one(_last_success)),
    Family("load_status", "1 for the status of the load in the last run, 0 for the others",
           ("load", "status"), _load_status),
    Family("load_last_success_timestamp_seconds", "end of the last run that loaded it", ("load",),
           _load_success),
    Family("load_duration_seconds", "how long the load took in the last run", ("load",),
           _load_seconds),
    Family("rows", "records of the last run by what happened to them", ("table", "outcome"),
           _rows),
    Family("rejected_records", "records that the last run rejected", ("load", "error_class"),
           _rejected),
    Family("dead_letters", "rejected records kept in the warehouse: open, or for a person",
           ("load", "state"), _letters),
    Family("dead_letter_age_seconds", "age of the oldest rejected record that is kept", ("load",),
           _letter_ages),
    Family("quality_score", "0 to 100, after the last run", ("table",), _scores),
    Family("checks", "quality checks of the last run by how they ended", ("status",), _checks),
    Family("data_age_seconds", "age of the newest record, or of an export", ("check",),
           _ages),
    Family("anomalies", "what the last run found unlike the runs before", (), _one(_anomalies)),
    Family("stage_duration_seconds", "time in a stage; several work side by side", ("stage",),
           _stages),
)  # fmt: skip


def ended(ended: RunEnded) -> None:
    """Write the figures of a run that has ended to METRICS_FILE, whole or not at all."""
    path = ended.config.telemetry.metrics_file
    if path is not None:
        write_atomically(path, figures(ended))
        path.chmod(_READABLE)


def figures(ended: RunEnded) -> bytes:
    """Return the figures of a run in Prometheus' text format.

    Args:
        ended: the run, and the ones before it.
    """
    registry = CollectorRegistry()
    for family in FAMILIES:
        gauge = Gauge(
            _PREFIX + family.name, family.help, ("environment", *family.labels), registry=registry
        )
        for labels, value in family.values(ended):
            if value is not None:
                gauge.labels(ended.run.environment, *labels).set(value)
    return generate_latest(registry)
