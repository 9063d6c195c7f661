"""Fixtures of all tests, and how hypothesis draws its examples.

The same examples are drawn at every run, so that a failure is never a matter of luck. Whoever asks
for more of them (HISTORIES, HOSTILE, KILLS) or sets SEARCH=1 gets new ones each time; hypothesis
then remembers those that failed in `.hypothesis`, which git ignores.
"""

import hashlib
import os
from collections.abc import Iterator

import pytest
from certificates import Certificates, make_certificates
from cloud_servers import Cloud, azurite_server, moto_server
from database_servers import stop_database_servers
from engines import (
    LAKEHOUSE,
    POSTGRESQL,
    SERVERS,
    SQL_SERVER,
    Engine,
    dropping_databases,
    engines_of,
    stop_own_server,
    using,
)
from hypothesis import settings
from spark_cluster import Cluster, running_cluster

# no deadline: how long an example takes is a matter of the machine
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("searching", deadline=None, print_blob=True)
SEARCHING = {"HISTORIES", "HOSTILE", "KILLS", "SEARCH"} & os.environ.keys()
settings.load_profile("searching" if SEARCHING else "repeatable")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for every engine on those that the test is for."""
    if "every_engine" in metafunc.fixturenames:
        found = engines_of(metafunc.function.__name__)
        ids = [engine.name for engine in found]
        metafunc.parametrize("every_engine", found, ids=ids, indirect=True, scope="module")


@pytest.fixture(autouse=True)
def databases_of_the_test() -> Iterator[None]:
    """What a test makes on a server ends with it."""
    with dropping_databases():
        yield


@pytest.fixture(scope="module", autouse=True)
def databases_of_the_module() -> Iterator[None]:
    """What a module makes on a server, for several tests, ends with it."""
    with dropping_databases():
        yield


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="session")
def s3() -> Iterator[Cloud]:
    """A stand-in of AWS; each process of the tests starts one at most."""
    with moto_server() as cloud:
        yield cloud


@pytest.fixture(scope="session")
def azure() -> Iterator[Cloud]:
    """A stand-in of Azure's storage; each process of the tests starts one at most."""
    with azurite_server() as cloud:
        yield cloud


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates for servers on loopback."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def spark_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Spark cluster of two workers on loopback, with the application of this process."""
    with running_cluster(tmp_path_factory.mktemp("spark")) as cluster:
        yield cluster


@pytest.fixture(params=[LAKEHOUSE, POSTGRESQL], ids=["lakehouse", "postgresql"])
def target(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The engine of the warehouse that a cluster loads; one in files, and a server."""
    with using(request.param) as engine:
        yield engine


@pytest.fixture(params=["s3", "azure"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """The test runs once on each cloud."""
    found: Cloud = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def bucket(cloud: Cloud, request: pytest.FixtureRequest) -> str:
    """The name of a new bucket of the cloud."""
    digest = hashlib.sha256(request.node.nodeid.encode()).hexdigest()
    name = f"b{digest[:20]}"
    cloud.new_bucket(name)
    return name


def pytest_sessionfinish() -> None:
    """Stop the servers that were started."""
    stop_own_server()
    stop_database_servers()
