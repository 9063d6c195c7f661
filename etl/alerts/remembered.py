"""What is remembered of runs for their alerts: how many did not end well since when."""

from typing import Any

from etl.alerts.folder import AlertState
from etl.alerts.texts import time_text
from etl.history.runs import utc_now
from etl.settings.config import Config


def _runs(data: dict[str, Any], config: Config) -> dict[str, Any]:
    """What is remembered of the runs of an environment."""
    return remembered_of(data, config, "runs")


def remembered_of(data: dict[str, Any], config: Config, kind: str) -> dict[str, Any]:
    """Return what is remembered of a kind in an environment, to be changed in place.

    Args:
        data: all that is remembered.
        config: names the environment.
        kind: such as runs.
    """
    for name in (kind, config.environment):
        if not isinstance(data.get(name), dict):
            data[name] = {}
        data = data[name]
    return data


def count_failure(state: AlertState, config: Config) -> None:
    """Remember that one more run did not end well."""

    def count(data: dict[str, Any]) -> None:
        runs = _runs(data, config)
        runs["failures"] = _whole(runs.get("failures")) + 1
        runs.setdefault("failing_since", time_text(utc_now()))

    state.change(count)


def take_failures(state: AlertState, config: Config) -> tuple[int, str]:
    """Return how many runs since when did not end well; from now on none, as this one did."""

    def take(data: dict[str, Any]) -> tuple[int, str]:
        runs = _runs(data, config)
        failures = _whole(runs.pop("failures", 0))
        since = str(runs.pop("failing_since", ""))
        runs["last_success"] = time_text(utc_now())
        return failures, since

    return state.change(take)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def remembered_success(state: AlertState, config: Config) -> str:
    """Return when a run last ended well; empty when that is not known."""
    return str(state.change(lambda data: _runs(data, config).get("last_success")) or "")
