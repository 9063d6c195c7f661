"""What the alerts of one run share: the run, what to type, who is alerted, what is remembered."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from typing import Any

from etl.alerts.actions import recommended_actions
from etl.alerts.alert import Alert, alert_of, error_facts
from etl.alerts.delivery import Delivery
from etl.alerts.folder import AlertState
from etl.alerts.notifier import Notifier
from etl.alerts.remembered import remembered_success
from etl.alerts.texts import time_text
from etl.engines.database import DatabaseManager
from etl.engines.engine import Access
from etl.engines.schemas import Schemas
from etl.history import audit as run_history
from etl.monitoring.logs import PIPELINE_LOG
from etl.places import command_line
from etl.settings.config import Config


@dataclass(frozen=True)
class Commands:
    """What to type: the program with its environment, and the same run once more."""

    program: str
    again: str

    @classmethod
    def of(cls, config: Config, arguments: str) -> "Commands":
        """Return the commands of a run with these arguments besides the environment."""
        environment = config.environment
        return cls(command_line(environment), command_line(environment, arguments))


@dataclass(frozen=True)
class Reporter:
    """What the alerts of one run share.

    Attributes:
        known: what each alert says of the run.
        last_success: when a run last ended well; looked up once.
    """

    config: Config
    commands: Commands
    notifier: Notifier
    state: AlertState
    known: Alert
    last_success: Callable[[], str]

    @classmethod
    def of(cls, config: Config, commands: Commands, known: Alert, *, reached: bool) -> "Reporter":
        """Return what the alerts of a run share; `reached` when the warehouse can be asked."""
        delivery = Delivery(
            config.processing.breaker_failure_threshold,
            config.processing.breaker_recovery_seconds,
        )
        log_file = str((config.logging.log_dir / PIPELINE_LOG).absolute())
        known = replace(known, environment=config.environment, log_file=log_file)
        state = AlertState(config.alerts.alerts_dir)
        last_success = cache(partial(_last_success, config, state, reached=reached))
        notifier = Notifier.of(config.alerts, delivery)
        return cls(config, commands, notifier, state, known, last_success)

    def key(self, *parts: str) -> str:
        """Return an alert key of this environment."""
        return "_".join((self.config.environment, *parts))

    def alert(self, **facts: Any) -> Alert:
        """Return an alert with what is known of the run and these facts."""
        given = alert_of({name: value for name, value in facts.items() if value is not None})
        own = {name: getattr(given, name) for name in facts}
        return replace(self.known, **own, last_success=self.last_success())

    def facts(self, error: BaseException) -> dict[str, Any]:
        """Return what an error says, with the commands of this run in what to do."""
        program, again = self.commands.program, self.commands.again
        actions = recommended_actions(error, program=program, again=again)
        return error_facts(error) | {"actions": actions}


def _last_success(config: Config, state: AlertState, *, reached: bool) -> str:
    """When a run last ended well: the history knows, and what was remembered of it."""
    with suppress(Exception):
        if reached and (ended := _last_of_history(config)) is not None:
            return time_text(ended)
    return remembered_success(state, config)


def _last_of_history(config: Config) -> datetime | None:
    connection = config.database.connection_string.get_secret_value()
    access = Access(read_only=True, schemas=Schemas.of(config))
    with DatabaseManager(connection, access=access) as db:
        return run_history.last_success(db)
