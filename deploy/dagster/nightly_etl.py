"""The loads as assets of Dagster: an asset for each, after those that it refers to.

The package is installed beside Dagster (`pip install .`), so each asset runs in its process.
"""

import os
from typing import Any

from dagster import AssetExecutionContext, Definitions, MaterializeResult, RetryPolicy, asset

from etl.pipeline.graph import loads_of
from etl_pipeline import load_config, run_etl_pipeline

ENVIRONMENT = os.environ.get("NIGHTLY_ETL_ENV", "prod")


def _asset(name: str, after: tuple[str, ...]) -> Any:
    @asset(name=name, deps=list(after), retry_policy=RetryPolicy(max_retries=3, delay=120))
    def load(context: AssetExecutionContext) -> MaterializeResult:
        summary = run_etl_pipeline(env=ENVIRONMENT, only=(name,))
        for line in summary.attention:
            context.log.warning(line)
        (source,) = summary.sources
        if not source.loaded:
            raise RuntimeError(source.message)
        counts = summary.table(source.table)
        return MaterializeResult(metadata={k: n or 0 for k, n in counts.counts.items()})

    return load


defs = Definitions(
    assets=[_asset(load.name, load.after) for load in loads_of(load_config(ENVIRONMENT))]
)
