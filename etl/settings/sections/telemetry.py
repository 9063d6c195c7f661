"""The settings of what other systems learn of a run."""

from etl.settings.kinds import (
    Folder,
    LineageAddress,
    Secret,
    Text,
    WebAddress,
)
from etl.settings.sections.section import Section, setting

# laid out by hand, as a table
# fmt: off


class TelemetryConfig(Section):
    """Telemetry: what other systems learn of each run; nothing of it happens unless it is set."""

    metrics_file: Folder | None = setting(
        None, "file into which each run writes its figures for Prometheus, such as "
        "/var/lib/node_exporter/textfile/nightly_etl.prom")
    openlineage_url: LineageAddress | None = setting(
        None, "where events of OpenLineage go: file:///path, https://server or kafka://broker/topic")
    openlineage_api_key: Secret | None = setting(None, "key of the server of OPENLINEAGE_URL")
    openlineage_namespace: Text = setting(
        "nightly-etl", "namespace of the jobs in those events")
    otel_exporter_otlp_endpoint: WebAddress | None = setting(
        None, "collector of OpenTelemetry, over HTTP, to which a trace of each run is sent, such "
        "as http://localhost:4318; other variables of OpenTelemetry hold too")
    cloudwatch_log_group: Text | None = setting(
        None, "log group of CloudWatch to which each run's log goes too, a stream a run")
    cloudwatch_namespace: Text | None = setting(
        None, "namespace of CloudWatch in which the figures of each run are kept")
