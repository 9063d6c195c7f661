"""Fixtures of all tests, and how hypothesis draws its examples.

The same examples are drawn at every run, so that a failure is never a matter of luck. Whoever asks
for more of them (HISTORIES, HOSTILE, KILLS) or sets SEARCH=1 gets new ones each time; hypothesis
then remembers those that failed in `.hypothesis`, which git ignores.
"""

import os
from collections.abc import Iterator

import pytest
from engines import ENGINES, POSTGRESQL, SERVERS, SQL_SERVER, Engine, drop_databases, using
from hypothesis import settings

# no deadline: how long an example takes is a matter of the machine
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("searching", deadline=None, print_blob=True)
SEARCHING = {"HISTORIES", "HOSTILE", "KILLS", "SEARCH"} & os.environ.keys()
settings.load_profile("searching" if SEARCHING else "repeatable")


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.name, scope="module")
def every_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The test runs once on each engine."""
    with using(request.param) as engine:
        yield engine


@pytest.fixture(params=SERVERS, ids=lambda engine: engine.name, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The test runs once on each server."""
    with using(request.param) as engine:
        yield engine


@pytest.fixture(scope="module")
def sql_server() -> Iterator[Engine]:
    """The test runs on SQL Server."""
    with using(SQL_SERVER) as engine:
        yield engine


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Engine]:
    """The test runs on PostgreSQL."""
    with using(POSTGRESQL) as engine:
        yield engine


def pytest_sessionfinish() -> None:
    """Drop what was made on servers."""
    drop_databases()
