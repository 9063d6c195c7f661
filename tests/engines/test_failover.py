"""A failover in the middle of a load: every connection drops, and for 20 s nobody is let in.

The seconds are those of a clock that the waits between attempts move on; nothing sleeps.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from engines import DUCKDB, Server, using
from server_projects import assert_balanced, project_in
from server_proxy import BEFORE, Plan, Proxy

from etl.pipeline import context
from etl.resilience import retry
from etl.warehouse import transactions

AWAY_S = 20.0
# the last two as docs/sql-server.md has them
SETTINGS = {"BATCH_SIZE": "60", "MAX_RETRIES": "6", "BREAKER_FAILURE_THRESHOLD": "10"}


class Clock:
    """Seconds that were waited; after `AWAY_S` the server is there again."""

    def __init__(self, come_back: Callable[[], None]) -> None:
        self.waited_s, self._come_back = 0.0, come_back

    def sleep(self, seconds: float) -> None:
        before, self.waited_s = self.waited_s, self.waited_s + seconds
        if before < AWAY_S <= self.waited_s:
            self._come_back()


class Longest:
    """Draws the longest of the waits that may be drawn."""

    def uniform(self, _low: float, high: float) -> float:
        return high


def test_a_load_outlasts_a_failover_of_20_seconds(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with using(DUCKDB):
        embedded = project_in(tmp_path / "embedded")
        embedded.run()
    project = project_in(tmp_path / "project", **SETTINGS)
    project.settings["RETRY_BACKOFF_FACTOR"] = "2"
    direct = project.settings["DB_CONNECTION_STRING"]
    plan = Plan(at_commit=6, verdict=BEFORE, for_good=True)
    with Proxy(server.address(direct), plan) as proxy:
        clock = Clock(proxy.allow)
        patient = partial(retry.retry_with_backoff, sleep=clock.sleep)
        monkeypatch.setattr(retry, "_RANDOM", Longest())
        for module in (transactions, context):
            monkeypatch.setattr(module, "retry_with_backoff", patient)
        project.settings["DB_CONNECTION_STRING"] = server.through(direct, proxy.port)
        summary = project.run()
        assert proxy.ended()[0] == "cut"
    assert summary["exit_code"] == 0
    assert AWAY_S <= clock.waited_s < 3 * AWAY_S
    project.settings["DB_CONNECTION_STRING"] = direct
    assert project.tables() == embedded.tables()
    assert_balanced(project)
