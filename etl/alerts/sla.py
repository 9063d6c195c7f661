"""Loads that should have succeeded by an hour: which of them have not, and who is alerted, once.

The journal is asked and not the warehouse, so that it is noticed also when no run has begun, or
when none could reach the warehouse. A scheduler of its own asks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from etl.alerts.alert import CRITICAL, Alert
from etl.alerts.folder import AlertState
from etl.alerts.notifier import Notifier
from etl.alerts.remembered import remembered_of
from etl.alerts.texts import time_text
from etl.errors import ConfigurationError
from etl.history.journal import read_entries
from etl.history.records import journal_path
from etl.history.summary import RunSummary
from etl.monitoring.logs import PIPELINE_LOG
from etl.places import command_line
from etl.settings.config import Config
from etl.settings.pipeline_file import BUILT_IN_LOADS, SourceOptions

_FORM = "%H:%M"
_ALERTED = "sla"


@dataclass(frozen=True)
class Deadline:
    """When a load should have succeeded, and whether it has.

    Attributes:
        load: such as sales.
        due: the latest moment by which it should have, UTC.
        since: the one before; a success counts from then on, UTC.
        last_success: when it was last loaded, UTC; None when the journal knows of no such run.
        shown: the hour and its time zone, in words.
    """

    load: str
    due: datetime
    since: datetime
    last_success: datetime | None
    shown: str

    @property
    def met(self) -> bool:
        """Whether the load has succeeded, if only after its hour."""
        return self.last_success is not None and self.last_success > self.since

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        last = self.last_success
        return {
            "load": self.load, "due": self.due.isoformat(), "met": self.met,
            "last_success": last and last.isoformat(),
        }  # fmt: skip


def deadlines(config: Config, now: datetime) -> tuple[Deadline, ...]:
    """Return for every load that has an hour whether it has succeeded.

    Args:
        config: the settings.
        now: the present moment, UTC.

    Raises:
        ConfigurationError: no load has an hour.
    """
    hours = dict(_hours(config))
    if not hours:
        raise ConfigurationError(
            "no load has an hour by which it should have succeeded",
            next_step="set SLA_TIME for all of them, such as SLA_TIME=06:00, or due in "
            "pipeline.toml for one",
        )
    runs = [RunSummary.from_dict(entry) for entry in read_entries(journal_path(config))]
    zone = ZoneInfo(config.processing.source_time_zone)
    return tuple(
        Deadline(load, *_latest(hour, zone, now), _last_success(runs, load), f"{hour} {zone}")
        for load, hour in hours.items()
    )


def _hours(config: Config) -> Iterator[tuple[str, str]]:
    pipeline, usual = config.pipeline, config.alerts.sla_time
    sources: dict[str, SourceOptions] = {n: pipeline.source(n) for n in BUILT_IN_LOADS}
    sources |= {name: load.source for name, load in pipeline.loads.items()}
    for name, source in sources.items():
        if source.enabled and (hour := source.due or usual):
            yield name, hour


def _latest(hour: str, zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
    """The last such hour that is over, and the one of the day before; UTC."""
    at = datetime.strptime(hour, _FORM).time()
    here = now.replace(tzinfo=UTC).astimezone(zone)
    day = here.date() if here.time() >= at else here.date() - timedelta(days=1)
    return _moment(day, at, zone), _moment(day - timedelta(days=1), at, zone)


def _moment(day: Any, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC).replace(tzinfo=None)


def _last_success(runs: Sequence[RunSummary], load: str) -> datetime | None:
    ended = (run.finished_at for run in runs for source in run.sources
             if source.source == load and source.loaded)  # fmt: skip
    return max(filter(None, ended), default=None)


# --- alerts ----------------------------------------------------------------------------------


def alert_of_missed(config: Config, missed: Sequence[Deadline]) -> tuple[str, ...]:
    """Alert about loads that have missed their hour, each once however often it is asked.

    Args:
        config: the settings.
        missed: those that have not succeeded.

    Returns:
        The loads of which somebody was alerted now.
    """
    state, notifier = AlertState(config.alerts.alerts_dir), Notifier.of(config.alerts)
    known = state.change(lambda data: dict(_alerted(data, config)))
    new = [each for each in missed if known.get(each.load) != each.due.isoformat()]
    alerted = [each for each in new if _alert(config, notifier, each)]
    state.change(
        lambda data: _alerted(data, config).update(
            {each.load: each.due.isoformat() for each in alerted}
        )
    )
    return tuple(each.load for each in alerted)


def _alerted(data: dict[str, Any], config: Config) -> dict[str, Any]:
    """By load the hour of which somebody was alerted."""
    return remembered_of(data, config, _ALERTED)


def _alert(config: Config, notifier: Notifier, missed: Deadline) -> bool:
    alert = Alert(
        severity=CRITICAL,
        headline="Load Missing",
        topic=f"{missed.load.capitalize()} by {missed.shown}",
        status="NOT LOADED",
        stage="Schedule",
        error_type="LoadMissing",
        message=f"{missed.load} was due at {time_text(missed.due)} and has not been loaded since "
        f"{time_text(missed.since)}",
        records_affected=f"all {missed.load} since then",
        last_success=time_text(missed.last_success) if missed.last_success else "",
        environment=config.environment,
        log_file=str((config.logging.log_dir / PIPELINE_LOG).absolute()),
        actions=_actions(config),
    )
    key = "_".join((config.environment, "sla", missed.load, f"{missed.due:%Y%m%dT%H%M}"))
    return notifier.notify(key, email=alert, slack=alert)


def _actions(config: Config) -> tuple[str, ...]:
    program = command_line(config.environment)
    return (
        "Look whether the scheduler has started the run",
        f"{program} --health-check",
        f"{program}",
    )


def shown_rows(found: Sequence[Deadline]) -> Iterator[Mapping[str, str]]:
    """Yield what a person sees of each, by column."""
    for each in found:
        last = "" if each.last_success is None else time_text(each.last_success)
        yield {
            "load": each.load, "due": time_text(each.due), "last loaded": last,
            "": "in time" if each.met and not _late(each) else "late" if each.met else "missing",
        }  # fmt: skip


def _late(each: Deadline) -> bool:
    return each.last_success is not None and each.last_success > each.due
