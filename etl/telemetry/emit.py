"""Reports runs to the systems that are set; what hinders that is logged and never fails a run."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from etl.errors import ConfigurationError
from etl.history.journal import read_entries
from etl.history.records import RunRecord, journal_path
from etl.history.runs import RunPlan
from etl.history.summary import RunSummary
from etl.libraries import library
from etl.settings.config import Config
from etl.telemetry.events import RunEnded, RunStarted

logger = logging.getLogger(__name__)

_MOST_RUNS = 200  # that are looked at, for when a load last succeeded


@dataclass(frozen=True)
class Emitter:
    """A system that learns of runs.

    Attributes:
        setting: that switches it on.
        extra: of the package that brings its library.
        module: with a function `started` or `ended`, or both; imported only when it is on.
    """

    setting: str
    extra: str
    module: str

    def is_on(self, config: Config) -> bool:
        """Whether its setting has a value."""
        return getattr(config.telemetry, self.setting.lower()) is not None

    def loaded(self) -> Any:
        """Return its module.

        Raises:
            ConfigurationError: its library is not installed.
        """
        return library(self.module, needed_by=self.setting, extra=self.extra)


EMITTERS = (
    Emitter("METRICS_FILE", "prometheus", "etl.telemetry.prometheus"),
    Emitter("OPENLINEAGE_URL", "openlineage", "etl.telemetry.openlineage"),
    Emitter("CLOUDWATCH_NAMESPACE", "aws", "etl.telemetry.cloudwatch"),
    Emitter("OTEL_EXPORTER_OTLP_ENDPOINT", "opentelemetry", "etl.telemetry.tracing"),
)


def emitters_of(config: Config) -> tuple[Emitter, ...]:
    """Return the emitters that are switched on."""
    return tuple(each for each in EMITTERS if each.is_on(config))


def emit_start(config: Config, plan: RunPlan) -> None:
    """Report that a run begins."""
    _emit(config, "started", lambda: RunStarted(config, plan))


def emit_end(record: RunRecord) -> None:
    """Report how a run has ended, as the journal knows it."""
    _emit(record.config, "ended", lambda: _ended(record))


def _ended(record: RunRecord) -> RunEnded | None:
    runs = [RunSummary.from_dict(entry) for entry in
            read_entries(journal_path(record.config), most=_MOST_RUNS)]  # fmt: skip
    if not runs:
        return None
    return RunEnded(record.config, runs[-1], runs[:-1], record.tables, record.stage_times)


def _emit(config: Config, moment: str, event: Callable[[], RunStarted | RunEnded | None]) -> None:
    happened = cache(event)  # made when the first one needs it, and once for all
    for emitter, report in _reports(config, moment):
        try:
            if happened():
                report(happened())
        except Exception as error:  # the load is worth more than what others learn of it
            logger.warning("%s: the run is not reported: %s", emitter.setting, error, exc_info=True)


def _reports(config: Config, moment: str) -> Iterator[tuple[Emitter, Callable[[Any], None]]]:
    for emitter in emitters_of(config):
        try:
            report = getattr(emitter.loaded(), moment, None)
        except ConfigurationError as error:
            logger.warning("the run is not reported: %s", error)
            continue
        if report:
            yield emitter, report
