"""A DAG for Airflow 3: a task for each load, in the order of their references.

Copy this file into the folder of DAGs. The package lies where `PROJECT` says, in an environment of
its own; Airflow only starts its command. For loads of your own put what

    python etl_pipeline.py --graph json > nightly_etl_graph.json

prints beside this file; without it the DAG has the built-in three. The folder and its Python come
from the variables NIGHTLY_ETL_HOME, NIGHTLY_ETL_PYTHON and NIGHTLY_ETL_ENV of the workers.
"""

import json
import logging
import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

logger = logging.getLogger(__name__)

PROJECT = Path(os.environ.get("NIGHTLY_ETL_HOME", "/opt/etl"))
PYTHON = os.environ.get("NIGHTLY_ETL_PYTHON", str(PROJECT / ".venv/bin/python"))
ENVIRONMENT = os.environ.get("NIGHTLY_ETL_ENV", "prod")
GRAPH = Path(__file__).with_name("nightly_etl_graph.json")

LOADED, WRONG_USAGE, ATTENTION = 0, 2, 3
BUILT_IN: list[dict[str, Any]] = [
    {"name": "customers", "after": [], "needs": []},
    {"name": "products", "after": [], "needs": []},
    {"name": "sales", "after": ["customers", "products"], "needs": []},
]
ALERT = (
    "import sys; from etl_pipeline import load_config, simulate_slack_notification as notify; "
    "notify(sys.argv[2], 'error', load_config(sys.argv[1]).alerts)"
)


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own command
        [PYTHON, *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
    )


def alert(context: Any) -> None:
    """Alert by the channels of the pipeline itself, such as when a task was timed out."""
    instance = context["task_instance"]
    _run("-c", ALERT, ENVIRONMENT, f"Airflow: {instance.dag_id}.{instance.task_id} has failed")


def load(name: str) -> dict[str, Any]:
    """Run one load and return its counts; the exit code decides what Airflow does.

    0 is a success, and so is 3, with a warning: it was loaded, with something to look at, and the
    pipeline has alerted about it. 2 is wrong usage, which another attempt does not cure. 1 and 4
    (another run has the warehouse) are tried again.
    """
    done = _run("etl_pipeline.py", "--env", ENVIRONMENT, "--only", name, "--json")
    logger.info("%s", done.stderr)
    if done.returncode == WRONG_USAGE:
        raise AirflowFailException(f"exit code {done.returncode}: {done.stderr[-2000:]}")
    if done.returncode not in (LOADED, ATTENTION):
        raise AirflowException(f"exit code {done.returncode}: {done.stderr[-2000:]}")
    summary = json.loads(done.stdout)
    for line in summary["attention"]:
        logger.warning("%s", line)
    (source,) = summary["sources"]
    if source["status"] in ("failed", "held back"):  # of one load, this is a failure
        raise AirflowFailException(source["error"])
    return {
        "run_id": summary["run_id"],
        "exit_code": done.returncode,
        **{k: n for k, n in summary["tables"][source["table"]].items() if k.startswith("rows_")},
    }


def _nodes() -> list[dict[str, Any]]:
    return json.loads(GRAPH.read_text(encoding="utf-8"))["loads"] if GRAPH.exists() else BUILT_IN


with DAG(
    "nightly_etl",
    description="Customers, products, sales and declared loads into the warehouse",
    schedule="0 2 * * *",
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=1,  # a run has the warehouse to itself; the others would end with 4
    default_args={
        "retries": 3,
        "retry_delay": timedelta(minutes=2),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
        "execution_timeout": timedelta(hours=2),
        "on_failure_callback": alert,
    },
    tags=["etl"],
) as dag:
    tasks = {}
    for node in _nodes():
        # where a placeholder can stand for what did not come, the load goes on
        rule = "all_success" if node["needs"] else "all_done"
        made = task(load, task_id=node["name"], trigger_rule=rule)
        tasks[node["name"]] = made(node["name"])
        for before in node["after"]:
            tasks[before] >> tasks[node["name"]]
