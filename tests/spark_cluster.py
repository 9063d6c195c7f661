"""A Spark cluster on loopback: a master, two workers, and the application of the tests.

They are processes of their own, as on two machines; the tests kill some of them.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from etl.cluster.spark import Spark, spark_application

_EXECUTOR = "CoarseGrainedExecutorBackend"
_WAIT_S = 600.0
_LOOK_S = 0.1
_DEFAULTS = """\
spark.driver.bindAddress 127.0.0.1
spark.driver.host 127.0.0.1
spark.executor.memory 512m
spark.ui.enabled false
"""


@cache
def why_not() -> str:
    """Why tests on Spark are skipped; empty when they are not."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return "one cluster for all: python -m pytest -n0 tests/cluster"
    if find_spec("pyspark") is None:
        return "pyspark is not installed"
    return "" if shutil.which("java") else "there is no Java"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def wait_until(holds: Any, what: str) -> None:
    """Looks again and again until something holds; fails after ten minutes."""
    until = time.monotonic() + _WAIT_S
    while not holds():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(_LOOK_S)


class Cluster:
    """The processes of a cluster, and the application that this process has on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "cluster.log"
        self.port = free_port()
        self.master = f"spark://127.0.0.1:{self.port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._application: ExitStack | None = None
        self._environment = {
            "SPARK_CONF_DIR": str(folder / "conf"),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(folder / "local"),
            "SPARK_DAEMON_MEMORY": "256m",
            "PYSPARK_PYTHON": sys.executable,
        }
        (folder / "conf").mkdir()
        (folder / "conf" / "spark-defaults.conf").write_text(_DEFAULTS, encoding="utf-8")
        os.environ.update(self._environment)
        self.daemon = self._start(
            "master.Master", "--host", "127.0.0.1", "--port", str(self.port), "--webui-port", "0"
        )
        wait_until(lambda: self._says("I have been elected leader", 1), "the master")

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        spark_class = Path(str(find_spec("pyspark").origin)).parent / "bin" / "spark-class"  # type: ignore[union-attr]  # it is there
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [str(spark_class), f"org.apache.spark.deploy.{name}", *arguments],
                stdout=log, stderr=log,
            )  # fmt: skip

    def _says(self, words: str, times: int) -> bool:
        return self.log.read_text(encoding="utf-8").count(words) >= times

    def start_worker(self) -> None:
        known = self.log.read_text(encoding="utf-8").count("Registering worker")
        self.workers.append(self._start(
            "worker.Worker", "--host", "127.0.0.1", "--cores", "1", "--memory", "700m",
            "--webui-port", "0", "--work-dir", str(self.folder / "work"), self.master,
        ))  # fmt: skip
        wait_until(lambda: self._says("Registering worker", known + 1), "a worker")

    def start_application(self) -> Spark[Any, Any]:
        """The application of this process, which the pipeline then uses."""
        self.stop_application()
        self._application = ExitStack()
        return self._application.enter_context(spark_application(self.master, self.folder))

    def stop_application(self) -> None:
        """Gives the cores of the cluster to another process."""
        if self._application is not None:
            self._application.close()
            self._application = None

    def executors(self) -> list[psutil.Process]:
        """The processes that do tasks."""
        found = []
        for worker in self.workers:
            with suppress(psutil.NoSuchProcess):
                found += [
                    child for child in psutil.Process(worker.pid).children(recursive=True)
                    if any(_EXECUTOR in word for word in _words(child))
                ]  # fmt: skip
        return found

    def lose_worker(self) -> None:
        """Kills a worker and all that it has started, as if its machine were gone."""
        worker = self.workers.pop()
        _kill(psutil.Process(worker.pid))
        worker.wait()

    def stop(self) -> None:
        self.stop_application()
        for process in [*self.workers, self.daemon]:
            process.send_signal(signal.SIGTERM)
        for process in [*self.workers, self.daemon]:
            process.wait(60)
        for name in self._environment:
            os.environ.pop(name, None)


def _words(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return list(process.cmdline())
    return []


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        for each in [*process.children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                each.kill()


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster of two workers; none of its processes is left."""
    if why_not():
        pytest.skip(why_not())
    cluster = Cluster(folder)
    try:
        cluster.start_worker()
        cluster.start_worker()
        cluster.start_application()
        yield cluster
    finally:
        started = [p for d in (cluster.daemon, *cluster.workers) for p in _tree(d.pid)]
        cluster.stop()
        _, left = psutil.wait_procs(started, timeout=_WAIT_S)
        assert not left


def _tree(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []
