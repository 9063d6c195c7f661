"""The examples for Dagster and Prefect, run by them, each in an environment of its own.

DAGSTER_PYTHON and PREFECT_PYTHON name the Python of an environment that has Dagster, or Prefect,
and what `requirements.txt` lists.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAGSTER, PREFECT = (
    Path(os.environ.get(name, "/none")) for name in ("DAGSTER_PYTHON", "PREFECT_PYTHON")
)
FLOW = "from nightly_etl import nightly_etl; import json; print('DONE', json.dumps(nightly_etl()))"


def run(home: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    own = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'deploy' / 'prefect'}", "NIGHTLY_ETL_ENV": "dev",
        "OUTPUT_DIR": home / "output", "LOG_DIR": home / "logs", "HOME": home, "NO_COLOR": "1",
        "PATH": "/usr/bin:/bin", "DO_NOT_TRACK": "1", "PREFECT_HOME": home / "prefect",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DAGSTER_DISABLE_TELEMETRY": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
    }  # fmt: skip
    return subprocess.run(
        command, env={name: str(value) for name, value in own.items()} | more, cwd=home,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def runs_in(home: Path) -> list[dict[str, Any]]:
    journal = home / "output" / "dev" / "run_journal.jsonl"
    return [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]


@pytest.mark.skipif(not DAGSTER.exists(), reason="DAGSTER_PYTHON names no Python with Dagster")
def test_dagster_makes_an_asset_of_each_load_in_order(tmp_path: Path) -> None:
    example = ROOT / "deploy" / "dagster" / "nightly_etl.py"
    dagster = str(DAGSTER.with_name("dagster"))
    done = run(tmp_path, dagster, "asset", "materialize", "--select", "*", "-f", str(example))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    loads = [[source["source"] for source in each["sources"]] for each in runs_in(tmp_path)]
    assert sorted(loads[:2]) == [["customers"], ["products"]] and loads[2] == ["sales"]
    assert {each["exit_code"] for each in runs_in(tmp_path)} == {0}

    broken = run(tmp_path, dagster, "asset", "materialize", "--select", "customers", "-f",
                 str(example), CUSTOMERS_FILE="none.csv")  # fmt: skip
    assert broken.returncode != 0
    assert "none.csv" in broken.stderr + broken.stdout


@pytest.mark.skipif(not PREFECT.exists(), reason="PREFECT_PYTHON names no Python with Prefect")
def test_prefect_runs_the_whole_as_a_flow(tmp_path: Path) -> None:
    done = run(tmp_path, str(PREFECT), "-c", FLOW)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (line,) = [each for each in done.stdout.splitlines() if each.startswith("DONE ")]
    (kept,) = runs_in(tmp_path)
    assert json.loads(line.removeprefix("DONE ")) == {
        "run_id": kept["run_id"], "status": "success", "exit_code": 0
    }  # fmt: skip
