"""A flow of Prefect: the whole run as one task, which is what the pipeline does best itself.

The package is installed beside Prefect (`pip install .`).
"""

import os
from typing import Any

from prefect import flow, get_run_logger, task

from etl.errors import EXIT_USAGE, ETLError
from etl_pipeline import run_etl_pipeline

ENVIRONMENT = os.environ.get("NIGHTLY_ETL_ENV", "prod")


def may_pass(_task: Any, _run: Any, state: Any) -> bool:
    """Whether another attempt is of use: not where the settings are wrong."""
    try:
        state.result()
    except ETLError as error:
        return error.exit_code != EXIT_USAGE
    except Exception:  # noqa: BLE001  # such as its time limit
        return True
    return False


@task(
    retries=3,
    retry_delay_seconds=[120, 600, 1800],
    retry_condition_fn=may_pass,
    timeout_seconds=4 * 3600,
)
def run(env: str) -> dict[str, object]:
    """Run the pipeline; what a person should look at is a warning, not a failure."""
    summary = run_etl_pipeline(env=env)
    for line in summary.attention:
        get_run_logger().warning(line)
    return {"run_id": summary.run_id, "status": summary.status, "exit_code": summary.exit_code}


@flow(name="nightly-etl")
def nightly_etl(env: str = ENVIRONMENT) -> dict[str, object]:
    """The night."""
    return run(env)


if __name__ == "__main__":
    nightly_etl.serve(name="nightly-etl", cron="0 2 * * *")
