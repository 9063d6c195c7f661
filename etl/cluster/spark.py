"""Apache Spark as what starts processes on other machines: one task for each piece of work.

Tasks return small results; no record passes through Spark. So its RDD interface is enough, which
needs neither pandas nor SQL on any machine.
"""

import logging
import os
import re
import shutil
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from uuid import uuid4

from etl.cluster.targets import Mark
from etl.errors import ConfigurationError, ETLError
from etl.files import open_private
from etl.libraries import library

logger = logging.getLogger(__name__)

T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
R = TypeVar("R")

NEEDED_BY = "--engine spark"
LOG = "spark.log"
_ANSWER_S = 10.0
_ROOT = Path(__file__).parents[2]
# Set unless Spark's own configuration sets them.
_DEFAULTS = {
    "spark.app.name": "nightly-etl",
    "spark.ui.enabled": "false",  # a page that nobody looks at costs memory and opens a port
}


class Work(Protocol[T_contra, R_co]):
    """What is done with an item on another machine; it pickles."""

    def __call__(self, item: T_contra, mark: Mark, /) -> R_co:
        """Do it."""


class ClusterError(ETLError):
    """The cluster has not done its work."""


def require_spark() -> Any:
    """Return pyspark.

    Raises:
        ConfigurationError: it is not installed, or there is no Java.
    """
    with _no_word_of_pandas():
        pyspark = library("pyspark", needed_by=NEEDED_BY, extra="spark")
    java = Path(os.environ["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in os.environ else "java"
    if not ("PYSPARK_GATEWAY_PORT" in os.environ or shutil.which(java)):
        raise ConfigurationError(
            f"{NEEDED_BY} needs Java: there is no program {java}",
            choices="Java 17 or 21",
            next_step="install it, such as Debian's openjdk-17-jre-headless, or set JAVA_HOME to "
            "the folder of one",
            code="driver_missing",
        )
    return pyspark


@contextmanager
def _no_word_of_pandas() -> Iterator[None]:
    """Leave out that Spark warns of pandas 3, of which nothing is used here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


class Spark(Generic[T, R]):
    """A Spark application.

    Args:
        context: its SparkContext.
        log: the file to which Spark itself writes.
    """

    def __init__(self, context: Any, log: Path) -> None:
        self._context, self._log = context, log
        self._tag = f"nightly-etl-{uuid4().hex}"  # the application may have other jobs

    @property
    def at_once(self) -> int:
        """How many tasks it has room for."""
        with self._failures_in_words(()):
            return int(self._context.defaultParallelism)

    @property
    def name(self) -> str:
        """Where it runs, for people."""
        return f"Spark {self._context.version} on {self._context.master}"

    def run(self, work: Work[T, R], items: Sequence[tuple[int, T]]) -> list[R]:
        """Do work on items, one task for each, and return the results in their order.

        Args:
            work: what is done.
            items: each with its number.

        Raises:
            ClusterError: a task has failed as often as Spark tries it, or the cluster is gone.
        """
        with self._failures_in_words(items):
            self._context.addJobTag(self._tag)  # of this thread
            tasks = self._context.parallelize(list(items), len(items))
            results: list[R] = tasks.mapPartitions(partial(_do, work, self._tries)).collect()
            return results

    @contextmanager
    def _failures_in_words(self, items: Sequence[tuple[int, T]]) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  # py4j's own, not imported before it is needed
            raise self._failure(error, items) from None

    @property
    def _tries(self) -> int:
        master = str(self._context.master)
        if master.startswith("local"):  # which does not repeat tasks unless it is asked to
            found = re.search(r"\[[^,\]]+,\s*(\d+)\]", master)
            return int(found.group(1)) if found else 1
        return int(self._context.getConf().get("spark.task.maxFailures", "4"))

    def _failure(self, error: Exception, items: Sequence[tuple[int, T]]) -> ClusterError:
        text = str(error)
        logger.debug("Spark: %s", text)
        task = re.search(r"Task (\d+) in stage", text)
        where = f"{items[int(task.group(1))][1]}: " if task else ""
        return ClusterError(
            f"{where}{_cause(text)}",
            next_step=f"{self._log} has what Spark says of it; an executor that was killed may "
            "need more memory (spark.executor.memoryOverhead) or smaller pieces (SPARK_PIECE_MB)",
        )

    def cancel(self) -> None:
        """Give up what is being done."""
        with suppress(Exception):  # it may be gone already
            self._context.cancelJobsWithTag(self._tag)


_STOPPED = "stopped SparkContext"
_REASON = re.compile(r".*(?:Reason: |most recent failure: |SparkException: )(.*)")


def _cause(text: str) -> str:
    """The one line of what Spark says that a person needs."""
    if _STOPPED in text:
        return "the Spark application has ended: its cluster is gone, or has ended it"
    found = [match.group(1).strip() for match in _REASON.finditer(text)]
    lines = [line for line in found if line] or [text.strip().partition("\n")[0]]
    return f"the Spark job failed: {lines[-1][:300].rstrip('.')}"


def _do(work: Work[T, R], tries: int, items: Iterator[tuple[int, T]]) -> Iterator[R]:
    """What a task does; called on another machine."""
    logging.getLogger("etl").addHandler(logging.NullHandler())
    task = library("pyspark", needed_by=NEEDED_BY, extra="spark").TaskContext.get()
    for number, item in items:
        is_last = task.attemptNumber() + 1 >= tries
        yield work(item, Mark(number, task.taskAttemptId(), is_last))


@contextmanager
def spark_application(master: str | None, log_dir: Path) -> Iterator[Spark[Any, Any]]:
    """Start Spark, or use the application that this process has already.

    Args:
        master: where it runs; None leaves that to Spark's own configuration.
        log_dir: where `spark.log` goes.

    Raises:
        ConfigurationError: pyspark or Java is not installed, or another master is in use.
        ClusterError: Spark does not start.
    """
    pyspark = require_spark()
    log = log_dir / LOG
    active = pyspark.SparkContext._active_spark_context
    if active is not None:
        if master and active.master != master:
            raise ConfigurationError(
                f"this process uses Spark on {active.master} already, so not on {master}",
                next_step="stop that application first",
            )
        yield Spark(active, log)
        return
    _require_master(master or "", log)
    with open_private(log, "a") as file:
        with _no_word_of_pandas():
            context = _started(pyspark, master, log, file)
        try:
            yield Spark(context, log)
        finally:
            _stop(pyspark, context)


def _require_master(master: str, log: Path) -> None:
    """Refuse a standalone master that nobody answers for; Spark would try for minutes."""
    places = [place.rpartition(":") for place in master.removeprefix("spark://").split(",")]
    if not master.startswith("spark://") or any(_answers(host, port) for host, _, port in places):
        return
    raise _not_started(master, "no master answers there", log)


def _answers(host: str, port: str) -> bool:
    with suppress(OSError, ValueError), socket.create_connection((host, int(port)), _ANSWER_S):
        return True
    return False


def _not_started(master: str | None, cause: str, log: Path) -> ClusterError:
    return ClusterError(
        f"Spark does not start on {master or 'the master of its configuration'}: {cause}",
        choices="local[*], spark://host:7077, yarn, k8s://https://host:port",
        next_step=f"check --spark-master and that the master runs; {log} has what Spark says",
        code="spark_not_started",
    )


def _started(pyspark: Any, master: str | None, log: Path, file: Any) -> Any:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    logging.getLogger("py4j").setLevel(logging.WARNING)  # it reports every connection
    try:
        gateways = library("pyspark.java_gateway", needed_by=NEEDED_BY, extra="spark")
        gateway = gateways.launch_gateway(popen_kwargs={"stdout": file, "stderr": file})
        conf = pyspark.SparkConf(_jvm=gateway.jvm)
        for name, value in _DEFAULTS.items():
            conf.setIfMissing(name, value)
        if master:
            conf.setMaster(master)
        conf.set("spark.executorEnv.PYTHONPATH", _python_path(conf))
        with _signals_kept():
            return pyspark.SparkContext(conf=conf, gateway=gateway)
    except Exception as error:  # noqa: BLE001  # likewise
        raise _not_started(master, _cause(str(error)), log) from None


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep what is done about Ctrl-C: Spark would put its own in the place of it."""
    former = signal.getsignal(signal.SIGINT)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, former)


def _python_path(conf: Any) -> str:
    """Where executors find this package, if it lies there on their machine too."""
    given = conf.get("spark.executorEnv.PYTHONPATH", "")
    return os.pathsep.join(filter(None, (given, str(_ROOT))))


def _stop(pyspark: Any, context: Any) -> None:
    """Stop the application and the process of Java that this one has started for it."""
    gateway = context._gateway
    with suppress(Exception):
        context.stop()
    with suppress(Exception):
        gateway.shutdown()
    process = getattr(gateway, "proc", None)
    if process is not None:
        process.stdin.close()
        process.wait()
    pyspark.SparkContext._gateway = pyspark.SparkContext._jvm = None


class OnceStarted(Generic[T]):
    """What is started when it is first asked for, by whichever thread; once."""

    def __init__(self, start: Callable[[], T]) -> None:
        self._start, self._lock = start, threading.Lock()
        self._made: list[T] = []

    def __call__(self) -> T:
        """Return it."""
        with self._lock:
            if not self._made:
                self._made.append(self._start())
            return self._made[0]
