"""The DAG for Airflow: parsed by Airflow and run by it, in an environment of its own.

AIRFLOW_PYTHON names the Python of an environment in which Airflow 3 is installed.
"""

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAG = ROOT / "deploy" / "airflow" / "nightly_etl.py"
AIRFLOW = Path(os.environ.get("AIRFLOW_PYTHON", "/no/airflow"))

pytestmark = pytest.mark.skipif(
    not AIRFLOW.exists(), reason="AIRFLOW_PYTHON names no environment with Airflow"
)

TASKS = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag({folder!r})
assert not bag.import_errors, bag.import_errors
(dag,) = bag.dags.values()
print("FOUND", json.dumps({{
    t.task_id: [sorted(t.upstream_task_ids), t.trigger_rule, t.retries, t.retry_exponential_backoff,
                t.execution_timeout.total_seconds()] for t in dag.tasks}}, default=str))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Airflow's folder, with the DAG in it."""
    dags = tmp_path / "airflow" / "dags"
    dags.mkdir(parents=True)
    (dags / DAG.name).write_bytes(DAG.read_bytes())
    return tmp_path / "airflow"


def environment(home: Path) -> dict[str, str]:
    own = {
        "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": home / "dags", "NO_COLOR": "1",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING", "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "NIGHTLY_ETL_HOME": ROOT, "NIGHTLY_ETL_PYTHON": sys.executable, "NIGHTLY_ETL_ENV": "dev",
        "OUTPUT_DIR": home / "output", "LOG_DIR": home / "logs",
        "PATH": f"{AIRFLOW.parent}:/usr/bin:/bin", "HOME": home,
    }  # fmt: skip
    return {name: str(value) for name, value in own.items()}


def run(home: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment(home) | more, capture_output=True, text=True, check=False
    )


def tasks(home: Path) -> dict[str, list[Any]]:
    done = run(home, str(AIRFLOW), "-c", TASKS.format(folder=str(home / "dags")))
    found = re.search(r"^FOUND (.*)$", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    parsed: dict[str, list[Any]] = json.loads(found[1])
    return parsed


def migrated(home: Path) -> None:
    done = run(home, str(AIRFLOW.with_name("airflow")), "db", "migrate")
    assert done.returncode == 0, done.stderr[-2000:]


def test_each_load_is_a_task_with_retries_and_a_limit_and_sales_do_without_the_others(
    home: Path,
) -> None:
    graph = [
        {"name": "customers", "after": [], "needs": []},
        {"name": "sales", "after": ["customers"], "needs": []},
        {"name": "stores", "after": [], "needs": []},
        {"name": "shifts", "after": ["stores"], "needs": ["stores"]},
    ]
    (home / "dags" / "nightly_etl_graph.json").write_text(json.dumps({"loads": graph}))
    found = tasks(home)
    assert {name: (each[0], each[1]) for name, each in found.items()} == {
        "customers": ([], "all_done"),
        "sales": (["customers"], "all_done"),
        "stores": ([], "all_done"),
        "shifts": (["stores"], "all_success"),
    }
    limits = {(float(each[2]), bool(each[3]), float(each[4])) for each in found.values()}
    assert limits == {(3, True, 7200)}


def test_airflow_runs_the_loads_in_order_and_keeps_their_counts(home: Path) -> None:
    migrated(home)
    done = run(home, str(AIRFLOW.with_name("airflow")), "dags", "test", "nightly_etl", "2024-01-20")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    journal = home / "output" / "dev" / "run_journal.jsonl"
    runs = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    loads = [[source["source"] for source in each["sources"]] for each in runs]
    assert sorted(loads[:2]) == [["customers"], ["products"]] and loads[2] == ["sales"]
    assert [each["exit_code"] for each in runs] == [0, 0, 0]
    (kept,) = sqlite3.connect(home / "airflow.db").execute(
        "SELECT value FROM xcom WHERE task_id = 'sales' AND key = 'return_value'"
    )
    counts = json.loads(kept[0]) if isinstance(kept[0], str) else kept[0]
    counts = json.loads(counts) if isinstance(counts, str) else counts
    assert counts["run_id"] == runs[2]["run_id"] and counts["rows_inserted"] == 327


COMMAND = """import json, sys
if sys.argv[1] == "-c":  # an alert
    open("alerted", "a").write(sys.argv[-1])
    sys.exit(0)
code = int(open("code").read())
status = "loaded" if code == 0 else open("status").read()
print(json.dumps({
    "run_id": "r1", "attention": ["look here"] if code else [],
    "sources": [{"source": "sales", "table": "sales_fact", "status": status, "error": "e"}],
    "tables": {"sales_fact": {"rows_read": 7}}}))
sys.exit(code)
"""
OUTCOMES = """
import pathlib, sys, types
sys.path.insert(0, {folder!r})
import nightly_etl
for code, status in ((0, "loaded"), (3, "loaded"), (3, "failed"), (1, "failed"), (2, ""), (4, "")):
    pathlib.Path("code").write_text(str(code))
    pathlib.Path("status").write_text(status)
    try:
        print("FOUND", code, status, nightly_etl.load("sales")["rows_read"])
    except Exception as error:
        print("FOUND", code, status, type(error).__name__)
nightly_etl.alert({{"task_instance": types.SimpleNamespace(dag_id="d", task_id="t")}})
"""


def test_the_exit_code_decides_what_airflow_does(home: Path, tmp_path: Path) -> None:
    (tmp_path / "etl_pipeline.py").write_text(COMMAND, encoding="utf-8")
    more = {"NIGHTLY_ETL_HOME": str(tmp_path), "NIGHTLY_ETL_PYTHON": str(tmp_path / "python")}
    # the command's own name stands first where Python is called with a file
    (tmp_path / "python").write_text(
        f'#!/bin/sh\ncase "$1" in -c) shift 2; exec {sys.executable} etl_pipeline.py -c "$@";; '
        f'*) exec {sys.executable} "$@";; esac\n'
    )
    (tmp_path / "python").chmod(0o755)
    done = subprocess.run(
        [str(AIRFLOW), "-c", OUTCOMES.format(folder=str(home / "dags"))], cwd=tmp_path,
        env=environment(home) | more, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert re.findall(r"^FOUND (.*)$", done.stdout, re.MULTILINE) == [
        "0 loaded 7", "3 loaded 7", "3 failed AirflowFailException",
        "1 failed AirflowException", "2  AirflowFailException", "4  AirflowException",
    ], done.stdout + done.stderr  # fmt: skip
    assert (tmp_path / "alerted").read_text() == "Airflow: d.t has failed"
