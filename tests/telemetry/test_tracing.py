"""A trace of each run, as a collector of OpenTelemetry receives it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pipeline_runs import Project
from receivers import Post, receiver

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"


def spans_of(posts: Sequence[Post]) -> Iterator[Any]:
    for post in posts:
        request = ExportTraceServiceRequest()
        request.ParseFromString(post.body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                yield from scope.spans


def test_the_stages_are_spans_within_the_one_of_the_run(tmp_path: Path) -> None:
    with receiver() as server:
        project = Project(tmp_path, INPUT_DIR=str(SAMPLE), OTEL_EXPORTER_OTLP_ENDPOINT=server.url)
        run = project.run()
    spans = list(spans_of(server.posts))
    (root,) = (span for span in spans if span.name == "run dev")
    stages = {span.name: span for span in spans if span.name != "run dev"}
    assert set(stages) == {"extraction", "transformation", "loading", "validation"}
    for stage in stages.values():
        assert stage.parent_span_id == root.span_id
        assert (
            root.start_time_unix_nano <= stage.start_time_unix_nano
            <= stage.end_time_unix_nano <= root.end_time_unix_nano
        )  # fmt: skip
    facts = {each.key: each.value for each in root.attributes}
    assert facts["etl.run_id"].string_value == run.run_id
    loads = {event.name: {a.key: a.value for a in event.attributes} for event in root.events}
    assert loads["load sales"]["etl.rows_inserted"].int_value == 327


def test_a_collector_that_is_not_there_fails_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.telemetry.tracing._TIMEOUT_S", 0.1)
    project = Project(
        tmp_path, INPUT_DIR=str(SAMPLE), OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1"
    )
    assert project.run().exit_code == 0


@pytest.mark.parametrize("url", ["localhost:4318", "https://user:pw@collector", "ftp://a"])
def test_an_address_must_be_one(tmp_path: Path, url: str) -> None:
    project = Project(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url)
    with pytest.raises(Exception, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        project.config()
