"""A flow of Prefect: the whole run as one task, which is what the pipeline does best itself."""

import os

from prefect import flow, get_run_logger, task

from etl_pipeline import run_etl_pipeline

ENVIRONMENT = os.environ.get("NIGHTLY_ETL_ENV", "prod")


@task(retries=3, retry_delay_seconds=[120, 600, 1800], timeout_seconds=4 * 3600)
def run(env: str) -> dict[str, object]:
    """Run the pipeline; what a person should look at is a warning, not a failure."""
    summary = run_etl_pipeline(env=env)
    for line in summary.attention:
        get_run_logger().warning(line)
    if summary.exit_code == 1:
        raise RuntimeError(summary.error)
    return {"run_id": summary.run_id, "status": summary.status}


@flow(name="nightly-etl")
def nightly_etl(env: str = ENVIRONMENT) -> dict[str, object]:
    """The night."""
    return run(env)


if __name__ == "__main__":
    nightly_etl.serve(name="nightly-etl", cron="0 2 * * *")
