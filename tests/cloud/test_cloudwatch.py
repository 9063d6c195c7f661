"""Log lines and figures of runs in CloudWatch, in batches that it takes; never a run that fails."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cloud_servers import Cloud, aws_settings, boto_client, refusing
from pipeline_runs import Project

from etl.cloud.access import CloudAccess
from etl.cloud.cloudwatch_logs import (
    LINE_OVERHEAD,
    LONGEST_LINE,
    MOST_BYTES,
    MOST_LINES,
    CloudWatchHandler,
)
from etl.telemetry import cloudwatch

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"
Batches = list[list[dict[str, Any]]]


def record(text: str, *, name: str = "etl.pipeline", created: float = 1e9) -> logging.LogRecord:
    found = logging.makeLogRecord({"msg": text, "name": name, "levelno": logging.INFO})
    found.created = created
    return found


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Batches:
    """What is sent, without a service."""
    sent: Batches = []
    monkeypatch.setattr(CloudWatchHandler, "_send", lambda _self, lines: sent.append(lines))
    return sent


def handler_of(clock: Callable[[], float] = lambda: 0.0) -> CloudWatchHandler:
    return CloudWatchHandler(CloudAccess(), "group", "stream", clock=clock)


def bytes_of(lines: list[dict[str, Any]]) -> int:
    return sum(len(line["message"].encode()) + LINE_OVERHEAD for line in lines)


def test_every_line_is_sent_once_in_batches_that_the_service_takes(batches: Batches) -> None:
    handler = handler_of()
    sizes = [1, 300_000, 250_000, 90_000, 262_000, 3, 262_118, 262_119, 500_000, 7] * 2
    texts = [f"{number} " + "ü" * (size // 2) for number, size in enumerate(sizes)]
    for text in texts:
        handler.emit(record(text))
    handler.close()
    sent = [line["message"] for lines in batches for line in lines]
    assert [text.split()[0] for text in sent] == [text.split()[0] for text in texts]
    assert all(bytes_of(lines) <= MOST_BYTES for lines in batches)
    assert all(len(text.encode()) + LINE_OVERHEAD <= LONGEST_LINE for text in sent)
    cut = [text for text, whole in zip(sent, texts, strict=True) if text != whole]
    assert cut and all(text.endswith(" ... (cut)") for text in cut)


def test_no_batch_has_more_lines_than_the_service_takes(batches: Batches) -> None:
    handler = handler_of()
    for number in range(MOST_LINES + 5):
        handler.emit(record(str(number)))
    handler.close()
    assert [len(lines) for lines in batches] == [MOST_LINES, 5]


def test_lines_are_sent_after_some_seconds_and_in_the_order_of_time(batches: Batches) -> None:
    moments = iter([0.0, 1.0, 4.9, 5.1, 5.1])
    handler = handler_of(lambda: next(moments))
    for created in (12.0, 11.0, 13.0):
        handler.emit(record("x", created=created))
    assert [[line["timestamp"] for line in lines] for lines in batches] == [[11000, 12000, 13000]]


def test_what_sending_itself_logs_is_not_sent(batches: Batches) -> None:
    handler = handler_of()
    for name in ("botocore.endpoint", "urllib3.connectionpool", "etl.resilience.retry"):
        handler.emit(record("sending", name=name))
    handler.emit(record("", name="etl.pipeline.run"))
    handler.close()
    assert [[line["message"] for line in lines] for lines in batches] == [[" "]]


# --- against the stand-in ----------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, s3: Cloud) -> Project:
    return Project(
        tmp_path, **s3.settings, INPUT_DIR=str(SAMPLE), LOG_LEVEL="CRITICAL",
        CLOUDWATCH_LOG_GROUP="/etl/nightly", CLOUDWATCH_NAMESPACE="NightlyEtl",
    )  # fmt: skip


def test_a_run_has_its_log_and_its_figures_in_cloudwatch(s3: Cloud, project: Project) -> None:
    run = project.run()
    logs = boto_client("logs", s3.settings)
    (stream,) = logs.describe_log_streams(logGroupName="/etl/nightly")["logStreams"]
    found = logs.get_log_events(logGroupName="/etl/nightly", logStreamName=stream["logStreamName"],
                                startFromHead=True)["events"]  # fmt: skip
    lines = [json.loads(event["message"]) for event in found]
    assert stream["logStreamName"].startswith("dev/2")
    assert any(line["message"].endswith("575 records in") or "ended: success" in line["message"]
               for line in lines)  # fmt: skip
    assert {line["run_id"] for line in lines} >= {run["run_id"]}
    assert not any("DEBUG" in line["level"] for line in lines)
    metrics = boto_client("cloudwatch", s3.settings)
    known = metrics.list_metrics(Namespace="NightlyEtl")["Metrics"]
    named = {(m["MetricName"], *sorted(d["Value"] for d in m["Dimensions"])) for m in known}
    assert {("ExitCode", "dev"), ("RowsInserted", "dev", "sales_fact")} <= named
    assert ("QualityScore", "customer_dim", "dev") in named


def test_a_cloudwatch_that_refuses_fails_no_run(
    project: Project, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with refusing(400, "AccessDeniedException", as_json=True) as server:
        project.settings |= aws_settings(f"http://127.0.0.1:{server.server_port}")
        summary = project.run()
    assert summary["exit_code"] == 0
    said = capsys.readouterr().err
    assert said.count("the log is not sent any further: CloudWatch's log group /etl/nightly") == 1
    assert "access denied" in said
    assert "CLOUDWATCH_NAMESPACE: the run is not reported: CloudWatch: it may not be" in caplog.text


def test_more_figures_than_one_call_takes_are_sent_in_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []
    client = SimpleNamespace(put_metric_data=lambda **given: calls.append(len(given["MetricData"])))
    monkeypatch.setattr(cloudwatch, "aws_client", lambda *_: client)
    monkeypatch.setattr(cloudwatch, "figures", _many)
    config = SimpleNamespace(
        telemetry=SimpleNamespace(cloudwatch_namespace="x"), clouds=SimpleNamespace(
            access=CloudAccess()),
    )  # fmt: skip
    run = SimpleNamespace(environment="dev", finished_at=None)
    cloudwatch.ended(SimpleNamespace(config=config, run=run))  # type: ignore[arg-type]
    assert calls == [cloudwatch.MOST_FIGURES, 7]


def _many(_ended: object) -> Iterator[tuple[str, float, str, str]]:
    for number in range(cloudwatch.MOST_FIGURES + 7):
        yield f"m{number}", 1.0, "Count", ""
