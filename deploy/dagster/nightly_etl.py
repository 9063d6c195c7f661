"""The loads as assets of Dagster: an asset for each, after those that it refers to.

The package is installed beside Dagster (`pip install .`), so each asset runs in its process. A run
has the warehouse to itself: the assets are made one after the other, and wait for a run of others
where LOCK_WAIT_SECONDS is set. Dagster leaves out what comes after an asset that failed, the sales
too, for which placeholders could stand; the next run loads them.
"""

import os
from typing import Any

from dagster import (
    AssetExecutionContext,
    Backoff,
    Definitions,
    Failure,
    MaterializeResult,
    RetryPolicy,
    ScheduleDefinition,
    asset,
    define_asset_job,
    in_process_executor,
)

from etl.errors import EXIT_USAGE, ETLError
from etl.pipeline.graph import loads_of
from etl_pipeline import load_config, run_etl_pipeline

ENVIRONMENT = os.environ.get("NIGHTLY_ETL_ENV", "prod")
RETRIES = RetryPolicy(max_retries=3, delay=120, backoff=Backoff.EXPONENTIAL)


def _asset(name: str, after: tuple[str, ...]) -> Any:
    @asset(name=name, deps=list(after), retry_policy=RETRIES)
    def load(context: AssetExecutionContext) -> MaterializeResult:
        try:
            summary = run_etl_pipeline(env=ENVIRONMENT, only=(name,))
        except ETLError as error:  # another attempt does not cure wrong settings
            again = error.exit_code != EXIT_USAGE
            raise Failure(str(error), allow_retries=again) from error
        for line in summary.attention:
            context.log.warning(line)
        (source,) = summary.sources
        if not source.loaded:
            raise Failure(source.message, allow_retries=False)
        counts = summary.table(source.table)
        return MaterializeResult(metadata={k: n or 0 for k, n in counts.counts.items()})

    return load


nightly = define_asset_job("nightly_etl", executor_def=in_process_executor)
defs = Definitions(
    assets=[_asset(load.name, load.after) for load in loads_of(load_config(ENVIRONMENT))],
    jobs=[nightly],
    schedules=[ScheduleDefinition(job=nightly, cron_schedule="0 2 * * *")],
    executor=in_process_executor,
)
