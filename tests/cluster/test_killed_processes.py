"""Executors killed, a machine lost, the program itself killed: the same tables in the end."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from cluster_projects import alone, everything, on_cluster
from engines import DUCKDB, using
from make_sample_data import Sizes, write_customers, write_products, write_sales
from pipeline_runs import COMMAND, Project
from spark_cluster import Cluster, wait_until

pytestmark = pytest.mark.usefixtures("target")

NIGHT = Sizes(4_000, 400, 120_000)  # some ten pieces of sales
MILLION = Sizes(80_000, 8_000, 920_000)


def generated(folder: Path, sizes: Sizes) -> Path:
    folder.mkdir()
    write_customers(folder / "customers.csv", sizes, 1)
    write_products(folder / "products.json", sizes, 1)
    write_sales(folder / "sales_transactions.csv", sizes, 1)
    return folder


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a night."""
    return generated(tmp_path_factory.mktemp("generated") / "night", NIGHT)


def sales_are_staged(project: Project) -> bool:
    """Whether some pieces of the sales are done, and the run is under way."""
    return len(list((project.output / "scratch").glob("etl-*/sales-*.parquet"))) > 1


@contextmanager
def in_the_middle(project: Project, strike: Callable[[], None]) -> Iterator[None]:
    """Strikes once while the sales are read; the test fails if that was too late."""
    struck, ended = threading.Event(), threading.Event()

    def wait() -> None:
        wait_until(lambda: ended.is_set() or sales_are_staged(project), "the first sales")
        if not ended.is_set():
            strike()
            struck.set()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert struck.is_set()


def kill_an_executor(cluster: Cluster) -> None:
    cluster.executors()[0].kill()


def assert_as_alone(project: Project, tmp_path: Path, night: Path) -> None:
    one = alone(tmp_path / "one", night)
    one.run()
    expected, found = everything(one), everything(project)
    differing = [name for name in expected if expected[name] != found[name]]
    assert not differing


def test_an_executor_killed_in_the_middle_changes_nothing(
    spark_cluster: Cluster, tmp_path: Path, night: Path
) -> None:
    many = on_cluster(tmp_path / "many", night)
    with in_the_middle(many, lambda: kill_an_executor(spark_cluster)):
        assert many.run().exit_code == 0
    assert_as_alone(many, tmp_path, night)


def test_a_machine_lost_in_the_middle_changes_nothing(
    spark_cluster: Cluster, tmp_path: Path, night: Path
) -> None:
    many = on_cluster(tmp_path / "many", night)
    try:
        with in_the_middle(many, spark_cluster.lose_worker):
            assert many.run().exit_code == 0
    finally:
        spark_cluster.start_worker()
    assert_as_alone(many, tmp_path, night)


def test_the_run_after_a_killed_one_makes_it_good(
    spark_cluster: Cluster, tmp_path: Path, night: Path
) -> None:
    many = on_cluster(tmp_path / "many", night, SPARK_MASTER=spark_cluster.master)
    spark_cluster.stop_application()
    killed = subprocess.Popen(
        [sys.executable, str(COMMAND)], env=os.environ | many.settings, cwd=many.folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    started = psutil.Process(killed.pid)
    try:
        wait_until(lambda: sales_are_staged(many) or killed.poll() is not None, "the first sales")
        java = started.children(recursive=True)
        killed.send_signal(signal.SIGKILL)
        assert killed.wait(60) == -signal.SIGKILL
        psutil.wait_procs(java, timeout=60)
    finally:
        with suppress(psutil.NoSuchProcess):
            killed.kill()
        spark_cluster.start_application()
    assert many.run().exit_code == 0
    status = "SELECT status FROM etl_run ORDER BY run_id"
    assert [row[0] for row in many.query(status)][-1] == "success"
    assert_tables_as_alone(many, tmp_path, night)


def assert_tables_as_alone(project: Project, tmp_path: Path, night: Path) -> None:
    one = alone(tmp_path / "one", night)
    one.run()
    assert one.tables() == project.tables()


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a million records."""
    return generated(tmp_path_factory.mktemp("generated") / "million", MILLION)


@pytest.fixture(scope="module")
def embedded(million: Path) -> dict[str, Any]:
    """What one machine makes of them, in an embedded file."""
    with using(DUCKDB):
        one = alone(million.parent / "one", million)
        assert one.run().exit_code == 0
        return sums(one)


def test_a_million_records_are_what_one_machine_loads(
    spark_cluster: Cluster, tmp_path: Path, million: Path, embedded: dict[str, Any]
) -> None:
    many = on_cluster(tmp_path / "many", million, SPARK_PIECE_MB="16")
    assert many.run().exit_code == 0
    assert sums(many) == embedded
    again = [each.counts for each in many.run("--no-skip").sources]
    assert [(c.rows_inserted, c.rows_updated) for c in again if c] == [(0, 0)] * 3


def sums(project: Project) -> dict[str, Any]:
    """A few figures of each table that any difference would change."""
    return {
        query: project.query(query)
        for query in (
            "SELECT count(*), count(email), sum(length(name)), sum(length(segment)), "
            "max(customer_id), min(registration_date) FROM customer_dim",
            "SELECT count(*), sum(price), sum(cost), sum(quantity) FROM product_dim",
            "SELECT customer_status, value_tier, count(*), sum(quantity), sum(total_amount), "
            "sum(profit_amount), sum(commission), max(transaction_id), min(transaction_date) "
            "FROM sales_fact GROUP BY customer_status, value_tier ORDER BY 1, 2",
            "SELECT table_name, rows_read, rows_inserted, rows_rejected, rows_duplicate, "
            "rows_inferred FROM etl_load ORDER BY table_name",
        )
    }
