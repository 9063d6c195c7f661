"""What is said of a job that failed: the piece and one line, not what Java prints."""

from pathlib import Path
from typing import Any

import pytest
from pipeline_runs import Project
from spark_cluster import free_port

from etl.cluster import spark
from etl.cluster.spark import ClusterError, Spark
from etl.cluster.targets import Mark
from etl.pipeline import on_cluster

LOST = """An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 0.0 failed 4 \
times, most recent failure: Lost task 1.3 in stage 0.0 (TID 7) (10.0.0.2 executor 3): \
ExecutorLostFailure (executor 3 exited caused by one of the running tasks) Reason: Command exited \
with code 137
Driver stacktrace:
\tat org.apache.spark.scheduler.DAGScheduler.$anonfun$abortStage$2(DAGScheduler.scala:2898)
"""


class FailingContext:
    """Stands for an application whose jobs fail."""

    def __init__(self, text: str, master: str = "spark://host:7077") -> None:
        self.text, self.master = text, master

    def addJobTag(self, _tag: str) -> None:  # noqa: N802  # Spark's name
        pass

    def parallelize(self, *_: Any) -> Any:
        raise RuntimeError(self.text)

    def getConf(self) -> dict[str, str]:  # noqa: N802  # likewise
        return {"spark.task.maxFailures": "6"}


def work(item: str, mark: Mark, /) -> str:
    return item


def failure(text: str) -> ClusterError:
    failing = Spark[str, str](FailingContext(text), Path("logs/spark.log"))
    with pytest.raises(ClusterError) as error:
        failing.run(work, [(0, "piece 1 of sales: a.csv"), (1, "piece 2 of sales: b.csv, bytes 3")])
    return error.value


def test_a_lost_executor_is_named_with_the_piece_and_the_reason() -> None:
    message = str(failure(LOST))
    assert message.startswith(
        "piece 2 of sales: b.csv, bytes 3: the Spark job failed: Command exited with code 137. "
    )
    assert "logs/spark.log" in message
    assert "DAGScheduler" not in message


def test_a_failure_that_names_no_task_is_shown_by_its_first_line() -> None:
    message = str(failure("SparkContext was shut down\n\tat java.lang.Thread"))
    assert message.startswith("the Spark job failed: SparkContext was shut down. ")


def test_an_application_that_has_ended_is_said_to_have() -> None:
    text = "An error occurred while calling o31.defaultParallelism.\n: java.lang.IllegalState"
    message = str(failure(f"{text}Exception: Cannot call methods on a stopped SparkContext.\n"))
    assert message.startswith("the Spark application has ended: its cluster is gone")


def test_a_master_that_nobody_answers_for_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = f"spark://127.0.0.1:{free_port()}"
    for room in (spark, on_cluster):
        monkeypatch.setattr(room, "require_spark", NoApplication)
    project = Project(tmp_path)
    with pytest.raises(ClusterError, match=f"on {master}: no master answers there") as error:
        project.run("--engine", "spark", "--spark-master", master)
    assert error.value.exit_code == 1
    assert "Choices: local[*], spark://host:7077" in str(error.value)


class NoApplication:
    """Stands for pyspark where nothing was started yet."""

    class SparkContext:
        _active_spark_context = None


@pytest.mark.parametrize(
    ("master", "tries"),
    [("local[*]", 1), ("local[2,3]", 3), ("local", 1), ("spark://host:7077", 6)],
)
def test_a_task_is_tried_as_often_as_spark_does(master: str, tries: int) -> None:
    assert Spark[str, str](FailingContext("", master), Path())._tries == tries
