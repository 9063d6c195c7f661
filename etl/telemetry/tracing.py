"""A trace of each run for OpenTelemetry: the run, and its stages within it."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.util.types import AttributeValue

from etl.errors import EXIT_ATTENTION, EXIT_OK
from etl.history.outcomes import SourceOutcome
from etl.history.summary import RunSummary
from etl.telemetry.events import RunEnded
from etl.version import VERSION

_TRACES = "/v1/traces"
_TIMEOUT_S = 5.0
_SERVICE = "nightly-etl"
_NANOSECONDS = 1_000_000_000


def ended(event: RunEnded) -> None:
    """Send the trace of a run that has ended to OTEL_EXPORTER_OTLP_ENDPOINT."""
    endpoint = (event.config.telemetry.otel_exporter_otlp_endpoint or "").rstrip("/")
    send_trace(event, OTLPSpanExporter(endpoint + _TRACES, timeout=_TIMEOUT_S))


def send_trace(ended: RunEnded, exporter: SpanExporter) -> None:
    """Send the trace of a run.

    Args:
        ended: the run, with the times of its stages.
        exporter: where to; it is shut down afterwards.
    """
    named = os.environ.get("OTEL_SERVICE_NAME") or _SERVICE
    service = Resource.create({"service.name": named, "service.version": VERSION})
    provider = TracerProvider(resource=service, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        _trace(ended, provider.get_tracer(_SERVICE, VERSION))
    finally:
        provider.shutdown()


def _trace(ended: RunEnded, tracer: Tracer) -> None:
    run = ended.run
    root = tracer.start_span(
        f"run {run.environment}", start_time=_time(run.started_at), attributes=dict(_facts(run))
    )
    for source in run.sources:
        root.add_event(f"load {source.source}", dict(_load_facts(run, source)))
    inside = set_span_in_context(root)
    for name, (start, end) in ended.stage_times.items():
        span = tracer.start_span(name, inside, start_time=_time(start))
        span.end(_time(end))
    well = run.exit_code in (EXIT_OK, EXIT_ATTENTION)
    root.set_status(Status(StatusCode.OK) if well else Status(StatusCode.ERROR, run.error))
    root.end(_time(run.finished_at))


def _time(moment: datetime | None) -> int | None:
    """Nanoseconds since 1970, as OpenTelemetry counts."""
    return None if moment is None else int(moment.replace(tzinfo=UTC).timestamp() * _NANOSECONDS)


def _facts(run: RunSummary) -> Iterator[tuple[str, AttributeValue]]:
    yield "etl.run_id", run.run_id
    yield "etl.environment", run.environment
    yield "etl.mode", run.mode
    yield "etl.status", run.status
    if run.exit_code is not None:
        yield "etl.exit_code", run.exit_code
    if run.measured.records is not None:
        yield "etl.records", run.measured.records


def _load_facts(run: RunSummary, source: SourceOutcome) -> Iterator[tuple[str, AttributeValue]]:
    yield "etl.load", source.source
    yield "etl.status", source.status
    counts = run.table(source.table)
    for name, count in (counts.counts if counts else {}).items():
        if count is not None:
            yield f"etl.{name}", count
