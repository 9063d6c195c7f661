"""Fixtures of all tests."""

from collections.abc import Iterator

import pytest
from engines import ENGINES, POSTGRESQL, SERVERS, SQL_SERVER, Engine, drop_databases, using


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
    """What was made on servers goes."""
    drop_databases()
