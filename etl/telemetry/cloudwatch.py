"""The figures of a run in CloudWatch: few, since each is paid for."""

from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any

from etl.cloud.aws import aws_client, aws_refusals
from etl.cloud.objects import retried
from etl.errors import EXIT_FAILED
from etl.telemetry.events import RunEnded

MOST_FIGURES = 1000  # that one call takes: "CloudWatch quotas" (docs.aws.amazon.com)
_COUNTS = {
    "rows_read": "RowsRead",
    "rows_inserted": "RowsInserted",
    "rows_updated": "RowsUpdated",
    "rows_unchanged": "RowsUnchanged",
    "rows_rejected": "RowsRejected",
    "rows_duplicate": "RowsDuplicate",
}
_SECONDS, _COUNT, _NONE = "Seconds", "Count", "None"

# Name, value, unit, and the table it is of; empty for the whole run.
Figure = tuple[str, float, str, str]


def ended(ended: RunEnded) -> None:
    """Send the figures of a run that has ended to CLOUDWATCH_NAMESPACE.

    Raises:
        CloudError: the service refuses.
    """
    namespace, access = ended.config.telemetry.cloudwatch_namespace, ended.config.clouds.access
    data = [_datum(ended, figure) for figure in figures(ended)]

    def send(part: Sequence[dict[str, Any]]) -> None:
        with aws_refusals("CloudWatch"):
            client.put_metric_data(Namespace=namespace, MetricData=part)

    client = aws_client("cloudwatch", access)
    for start in range(0, len(data), MOST_FIGURES):
        retried(access, send)(data[start : start + MOST_FIGURES])


def figures(ended: RunEnded) -> Iterator[Figure]:
    """Yield the figures of a run.

    Args:
        ended: the run.
    """
    run = ended.run
    yield "RunSeconds", run.seconds or 0.0, _SECONDS, ""
    yield "ExitCode", float(EXIT_FAILED if run.exit_code is None else run.exit_code), _NONE, ""
    yield "FailedChecks", float(sum(c.status == "failed" for c in run.checks)), _COUNT, ""
    yield "Anomalies", float(len(run.anomalies)), _COUNT, ""
    for table in run.tables:
        for name, shown in _COUNTS.items():
            if (count := table.counts.get(name)) is not None:
                yield shown, float(count), _COUNT, table.name
    for name, score in run.scores.items():
        if score is not None:
            yield "QualityScore", float(score), _NONE, name


def _datum(ended: RunEnded, figure: Figure) -> dict[str, Any]:
    name, value, unit, table = figure
    dimensions = {"Environment": ended.run.environment} | ({"Table": table} if table else {})
    finished = ended.run.finished_at
    return {
        "MetricName": name, "Value": value, "Unit": unit,
        "Dimensions": [{"Name": n, "Value": v} for n, v in dimensions.items()],
        **({"Timestamp": finished.replace(tzinfo=UTC)} if finished else {}),
    }  # fmt: skip
