"""Events of OpenLineage: valid by its schema, and true."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pipeline_runs import Project
from receivers import receiver
from referencing import Registry, Resource

from etl.telemetry import openlineage
from etl.telemetry.openlineage import transport_of

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"
SCHEMAS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(__file__).parent / "schemas").glob("*.json")
}
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()
)


def facets_in(value: Any) -> Iterator[dict[str, Any]]:
    """All facets of an event, wherever they are."""
    if isinstance(value, dict):
        if "_schemaURL" in value:
            yield value
        for each in value.values():
            yield from facets_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from facets_in(each)


def assert_valid(event: dict[str, Any]) -> None:
    Draft202012Validator(SCHEMAS["OpenLineage"], registry=REGISTRY).validate(event)
    facets = list(facets_in(event))
    assert facets
    for facet in facets:
        schema = {"$ref": facet["_schemaURL"]}
        Draft202012Validator(schema, registry=REGISTRY).validate(facet)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    events = tmp_path / "events.ndjson"
    return Project(tmp_path / "p", INPUT_DIR=str(SAMPLE), OPENLINEAGE_URL=events.as_uri())


def events_of(project: Project) -> list[dict[str, Any]]:
    path = project.folder.parent / "events.ndjson"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def named(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["job"]["name"], event["eventType"]) for event in events]


def test_the_events_of_a_run_are_valid(project: Project) -> None:
    project.run()
    for event in events_of(project):
        assert_valid(event)


def test_the_run_and_each_load_begin_and_end(project: Project) -> None:
    project.run()
    events = events_of(project)
    assert named(events) == [
        ("dev", "START"),
        *((f"dev.{load}", state) for load in ("customers", "products", "sales", "quality")
          for state in ("START", "COMPLETE")),
        ("dev", "COMPLETE"),
    ]  # fmt: skip
    assert events[0]["run"]["runId"] == events[-1]["run"]["runId"]
    parents = {event["run"]["facets"]["parent"]["run"]["runId"] for event in events
               if "parent" in event["run"]["facets"]}  # fmt: skip
    assert parents == {events[0]["run"]["runId"]}


def test_a_load_names_its_file_and_table_with_counts_columns_and_where_they_come_from(
    project: Project,
) -> None:
    project.run()
    (load,) = (e for e in events_of(project)
               if (e["job"]["name"], e["eventType"]) == ("dev.customers", "COMPLETE"))  # fmt: skip
    (read,), (written,) = load["inputs"], load["outputs"]
    assert (read["namespace"], read["name"]) == ("file", str(SAMPLE / "customers.csv"))
    assert read["inputFacets"]["inputStatistics"]["rowCount"] == 159
    assert written["name"] == "main.customer_dim"
    assert written["namespace"].endswith("warehouse.duckdb")
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 148
    fields = written["facets"]["schema"]["fields"]
    assert [field["name"] for field in fields][:2] == ["customer_id", "name"]
    lineage = written["facets"]["columnLineage"]["fields"]
    assert [f["field"] for f in lineage["name"]["inputFields"]] == ["first_name", "last_name"]


def test_the_checks_of_the_tables_are_assertions(project: Project) -> None:
    run = project.run()
    (quality,) = (e for e in events_of(project)
                  if (e["job"]["name"], e["eventType"]) == ("dev.quality", "COMPLETE"))  # fmt: skip
    found = [table["inputFacets"]["dataQualityAssertions"] for table in quality["inputs"]]
    names = [each["assertion"] for facet in found for each in facet["assertions"]]
    assert names == [check.name for check in run.checks]


def test_a_load_that_fails_says_why(project: Project, tmp_path: Path) -> None:
    project.settings["SALES_FILE"] = str(tmp_path / "not_there.csv")
    project.run()
    events = events_of(project)
    assert ("dev.sales", "FAIL") in named(events)
    (failed,) = (event for event in events if event["eventType"] == "FAIL")
    assert_valid(failed)
    assert "not_there.csv" in failed["run"]["facets"]["errorMessage"]["message"]


# --- sending ------------------------------------------------------------------------------------


def test_events_go_to_a_server_with_the_key(project: Project) -> None:
    with receiver() as server:
        project.settings |= {"OPENLINEAGE_URL": server.url, "OPENLINEAGE_API_KEY": "k3y"}
        project.run()
    assert len(server.posts) == 10
    assert {post.headers["Authorization"] for post in server.posts} == {"Bearer k3y"}


def test_a_server_that_is_not_there_fails_no_run(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.settings["OPENLINEAGE_URL"] = "http://127.0.0.1:1"
    assert project.run().exit_code == 0
    assert "OPENLINEAGE_URL: the run is not reported" in caplog.text


def test_kafka_is_given_broker_and_topic(project: Project) -> None:
    project.settings["OPENLINEAGE_URL"] = "kafka://broker1:9092/lineage"
    assert transport_of(project.config().telemetry) == {
        "type": "kafka",
        "topic": "lineage",
        "flush": False,
        "config": {"bootstrap.servers": "broker1:9092"},
    }


def test_a_broker_that_is_not_there_holds_no_run_up(
    project: Project, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("confluent_kafka", reason="the client of Kafka is not installed")
    monkeypatch.setattr(openlineage, "_TIMEOUT_S", 0.2)
    project.settings["OPENLINEAGE_URL"] = "kafka://127.0.0.1:1/lineage"
    assert project.run().exit_code == 0
    assert "OPENLINEAGE_URL: the run is not reported: not all events were taken" in caplog.text
