"""Events of OpenLineage: that a run and each of its loads began, and how they ended.

By the project's official client, to a file, over HTTP or to Kafka. Ids follow from the run's, so
that an event which is sent twice is the same event.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from openlineage.client import OpenLineageClient, set_producer
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    data_quality_assertions_dataset,
    error_message_run,
    input_statistics_input_dataset,
    job_type_job,
    nominal_time_run,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
)

from etl.errors import EXIT_ATTENTION, EXIT_OK, ETLError
from etl.history.outcomes import SourceOutcome
from etl.history.summary import RunSummary
from etl.history.traced import Lineage
from etl.schema.derived import inputs_of
from etl.schema.table import Table
from etl.settings.config import Config
from etl.settings.sections.telemetry import TelemetryConfig
from etl.telemetry.datasets import Dataset, file_dataset, table_dataset
from etl.telemetry.events import RunEnded, RunStarted
from etl.version import VERSION

PRODUCER = f"urn:nightly-etl:{VERSION}"
QUALITY = "quality"
set_producer(PRODUCER)  # of the facets
_TIMEOUT_S = 5.0
_ATTEMPTS = 2
_SECONDS_BETWEEN = 0.3


def started(event: RunStarted) -> None:
    """Send the event that a run begins."""
    plan = event.plan
    job = _job(event.config, plan.environment)
    _send(event.config, [_event(RunState.START, plan.started_at, _run(plan.run_id), job)])


def ended(event: RunEnded) -> None:
    """Send the events of the loads of a run, and that it has ended."""
    _send(event.config, list(events_of(event)))


def events_of(ended: RunEnded) -> Iterator[RunEvent]:
    """Return the events of a run that has ended: of each load two, and one of its own."""
    run, config = ended.run, ended.config
    for source in run.sources:
        yield from _load_events(ended, source)
    if run.checks:
        yield from _quality_events(ended)
    facets: dict[str, Any] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(VERSION, "nightly-etl"),
        **_error(run.error),
    }
    if run.window_start and run.window_end:
        facets["nominalTime"] = nominal_time_run.NominalTimeRunFacet(
            _moment(run.window_start), _moment(run.window_end)
        )
    state = RunState.COMPLETE if run.exit_code in (EXIT_OK, EXIT_ATTENTION) else RunState.FAIL
    job = _job(config, run.environment)
    yield _event(state, run.finished_at, _run(run.run_id, facets=facets), job)


def _quality_events(ended: RunEnded) -> Iterator[RunEvent]:
    """What was checked is the input of a job of its own, as the schema of assertions has it."""
    run, config = ended.run, ended.config
    job = _job(config, run.environment, QUALITY)
    known = _run(run.run_id, QUALITY, facets=_parent(config, run))
    tables = dict.fromkeys(check.name.partition(".")[0] for check in run.checks)
    yield _event(RunState.START, run.started_at, known, job)
    yield _event(
        RunState.FAIL if run.failed_checks else RunState.COMPLETE, run.finished_at, known, job,
        inputs=[
            InputDataset(
                *_table(config, table),
                inputFacets={"dataQualityAssertions": _assertions(run, table)},
            )
            for table in tables
        ],
    )  # fmt: skip


def _parent(config: Config, run: RunSummary) -> dict[str, Any]:
    return {
        "parent": parent_run.ParentRunFacet(
            parent_run.Run(_uuid(run.run_id)),
            parent_run.Job(_namespace(config), _job_name(run.environment)),
        )
    }


def _load_events(ended: RunEnded, source: SourceOutcome) -> Iterator[RunEvent]:
    run, config = ended.run, ended.config
    facets = _parent(config, run) | _error(source.message)
    job, known = _job(config, run.environment, source.source), _run(run.run_id, source.source)
    yield _event(RunState.START, run.started_at, known, job)
    lineage = next((each for each in run.lineage if each.source == source.source), None)
    origins = _origins(config, source, lineage)
    yield _event(
        RunState.COMPLETE if source.loaded else RunState.FAIL, run.finished_at,
        _run(run.run_id, source.source, facets=facets), job,
        inputs=[_input(each, lineage) for each in origins],
        outputs=[_output(ended, source, origins)],
    )  # fmt: skip


# --- names -----------------------------------------------------------------------------------


def _namespace(config: Config) -> str:
    return config.telemetry.openlineage_namespace


def _job_name(environment: str, load: str = "") -> str:
    return f"{environment}.{load}" if load else environment


def _job(config: Config, environment: str, load: str = "") -> Job:
    facet = job_type_job.JobTypeJobFacet("BATCH", "nightly-etl", "LOAD" if load else "PIPELINE")
    return Job(_namespace(config), _job_name(environment, load), facets={"jobType": facet})


def _uuid(run_id: str, load: str = "") -> str:
    return str(uuid5(NAMESPACE_URL, f"nightly-etl:{run_id}:{load}"))


def _run(run_id: str, load: str = "", facets: Mapping[str, Any] | None = None) -> Run:
    return Run(_uuid(run_id, load), facets=dict(facets or {}))


def _moment(moment: datetime | None) -> str:
    return (moment or datetime.now(UTC)).replace(tzinfo=UTC).isoformat()


def _event(
    state: RunState, moment: datetime | None, run: Run, job: Job, **data_sets: Any
) -> RunEvent:
    return RunEvent(
        eventType=state, eventTime=_moment(moment), run=run, job=job, producer=PRODUCER,
        **data_sets,
    )  # fmt: skip


def _error(message: str) -> dict[str, Any]:
    if not message:
        return {}
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(message, "python")}


def _table(config: Config, table: str) -> Dataset:
    database = config.database
    connection = database.connection_string.get_secret_value()
    return table_dataset(connection, table, schema=database.db_schema or "")


# --- data sets -------------------------------------------------------------------------------


def _origins(config: Config, source: SourceOutcome, lineage: Lineage | None) -> tuple[Dataset, ...]:
    """The files or the database that a load has read."""
    if lineage is None or not lineage.path:
        return ()
    if lineage.files:
        return tuple(file_dataset(file.path) for file in lineage.files)
    if not lineage.query:
        return (file_dataset(lineage.path),)
    connection = config.database.sales_db_connection_string
    if connection is None or source.source != "sales":
        return (Dataset(lineage.path, lineage.query),)
    return (table_dataset(connection.get_secret_value(), "sales_transactions"),)


def _input(origin: Dataset, lineage: Lineage | None) -> InputDataset:
    statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
        rowCount=lineage.rows if lineage else None, size=lineage.size_bytes if lineage else None
    )
    return InputDataset(*origin, inputFacets={"inputStatistics": statistics})


def _output(ended: RunEnded, source: SourceOutcome, origins: tuple[Dataset, ...]) -> OutputDataset:
    table = ended.table(source.table)
    facets: dict[str, Any] = {}
    if table is not None:
        facets = {"schema": _schema(table), "columnLineage": _column_lineage(table, origins)}
    return OutputDataset(
        *_table(ended.config, source.table), facets=facets,
        outputFacets={"outputStatistics": _written(ended.run, source.table)},
    )  # fmt: skip


def _written(
    run: RunSummary, table: str
) -> output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet:
    counts = run.table(table)
    written = [counts.count(f"rows_{name}") or 0 for name in ("inserted", "updated")] if (
        counts) else [0]  # fmt: skip
    return output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=sum(written)
    )


def _schema(table: Table) -> schema_dataset.SchemaDatasetFacet:
    return schema_dataset.SchemaDatasetFacet([
        schema_dataset.SchemaDatasetFacetFields(
            column.name, column.kind.value, column.description, place
        )
        for place, column in enumerate(table.columns, 1)
    ])  # fmt: skip


def _column_lineage(
    table: Table, origins: tuple[Dataset, ...]
) -> column_lineage_dataset.ColumnLineageDatasetFacet:
    field = column_lineage_dataset.InputField
    return column_lineage_dataset.ColumnLineageDatasetFacet({
        name: column_lineage_dataset.Fields([
            field(*origin, column) for origin in origins for column in inputs
        ])
        for name, inputs in inputs_of(table).items()
    })  # fmt: skip


def _assertions(
    run: RunSummary, table: str
) -> data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet:
    return data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet([
        data_quality_assertions_dataset.Assertion(
            check.name, not check.failed, severity=check.details.get("severity"),
            description=check.message,
            expected=_text(check.threshold), actual=_text(check.value),
        )
        for check in run.checks
        if check.name.partition(".")[0] == table
    ])  # fmt: skip


def _text(figure: float | None) -> str | None:
    return None if figure is None else f"{figure:g}"


# --- sending ---------------------------------------------------------------------------------


def _send(config: Config, events: list[RunEvent]) -> None:
    client = OpenLineageClient(config={"transport": transport_of(config.telemetry)})
    try:
        for event in events:
            client.emit(event)
    except BaseException:
        client.close(timeout=_TIMEOUT_S)
        raise
    if not client.close(timeout=_TIMEOUT_S):
        raise ETLError(f"not all events were taken within {_TIMEOUT_S:g} s")


def transport_of(settings: TelemetryConfig) -> dict[str, Any]:
    """Return what the client needs to know of OPENLINEAGE_URL.

    Args:
        settings: with an address that begins with file, http, https or kafka.
    """
    parts = urlsplit(settings.openlineage_url or "")
    return _TRANSPORTS[parts.scheme](settings)


def _to_file(settings: TelemetryConfig) -> dict[str, Any]:
    path = urlsplit(settings.openlineage_url or "").path
    return {"type": "file", "log_file_path": path, "append": True}


def _over_http(settings: TelemetryConfig) -> dict[str, Any]:
    key = settings.openlineage_api_key
    auth = {"auth": {"type": "api_key", "apiKey": key.get_secret_value()}} if key else {}
    retry = {"total": _ATTEMPTS, "backoff_factor": _SECONDS_BETWEEN,
             "status_forcelist": [500, 502, 503, 504], "allowed_methods": ["POST"]}  # fmt: skip
    return {"type": "http", "url": settings.openlineage_url, "timeout": _TIMEOUT_S,
            "retry": retry, **auth}  # fmt: skip


def _to_kafka(settings: TelemetryConfig) -> dict[str, Any]:
    parts = urlsplit(settings.openlineage_url or "")
    # sent together at the end: to flush each event waits for minutes where no broker is there
    return {"type": "kafka", "topic": parts.path.strip("/"), "flush": False,
            "config": {"bootstrap.servers": parts.netloc}}  # fmt: skip


_TRANSPORTS: dict[str, Callable[[TelemetryConfig], dict[str, Any]]] = {
    "file": _to_file,
    "http": _over_http,
    "https": _over_http,
    "kafka": _to_kafka,
}
