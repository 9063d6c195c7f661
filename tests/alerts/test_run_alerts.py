"""What a run tells whom: by how it ended."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from alert_servers import Webhook, serving
from pipeline_runs import Project, command, ended, start

import etl_pipeline
from etl.alerts import reporter
from etl.errors import HeldBackError, LoadingError
from etl.history.judged import Anomaly
from etl.history.outcomes import SourceOutcome
from etl.history.runs import LoadCounts
from etl.history.summary import RunSummary
from etl.pipeline.run import run_job

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, LOG_LEVEL="CRITICAL")
    shutil.copytree(SAMPLE, project.input, dirs_exist_ok=True)
    return project


def alert_log(project: Project, name: str) -> str:
    path = project.logs / "alerts" / name
    return path.read_text("utf-8") if path.exists() else ""


def subjects(project: Project) -> list[str]:
    return re.findall("Subject: (.*)", alert_log(project, "email_alerts.log"))


def levels(project: Project) -> list[tuple[str, str]]:
    """Channel and level of each message to Slack."""
    pattern = r"Channel: (.*)\n(?:.*\n){2}Alert Level: (.*)"
    return re.findall(pattern, alert_log(project, "slack_notifications.log"))


def decisions(project: Project) -> list[str]:
    lines = alert_log(project, "throttling_decisions.log").splitlines()
    return [" ".join(line.split(" | ")[1:3]) for line in lines]


def break_products(project: Project) -> None:
    (project.input / "products.json").write_text('{"products": [{')


def block_warehouse(project: Project) -> None:
    project.warehouse.mkdir(parents=True)


# --- ends of a run -------------------------------------------------------------------------


def test_a_run_that_loads_posts_to_slack_each_time_and_mails_nobody(project: Project) -> None:
    for _ in range(2):
        project.run()
    assert levels(project) == [("#data-runs", "SUCCESS")] * 2
    slack = alert_log(project, "slack_notifications.log")
    assert "*Status:* SUCCESS" in slack
    assert "customers: 159 read, 148 inserted" in slack
    assert "Recovered" not in slack
    assert not subjects(project)


def test_a_source_that_fails_is_mailed_with_its_trace_and_posted_as_a_warning(
    project: Project,
) -> None:
    project.run()
    break_products(project)
    summary = project.run()
    assert summary["exit_code"] == 3
    assert subjects(project) == ["ERROR: ETL Pipeline Source Failed - Products Processing"]
    assert levels(project)[1:] == [("#data-alerts", "WARNING")]
    email = alert_log(project, "email_alerts.log")
    assert "- Pipeline Stage: Data Extraction" in email
    assert "- Error Type: ExtractionError" in email
    assert "- Records Affected: all products of this run" in email
    assert re.search(r"- Last Successful Run: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", email)
    assert f"- Run: {summary['run_id']}" in email
    assert "json_reader.py" in email.partition("Stack Trace:")[2]
    assert "SENT dev_products_ExtractionError" in decisions(project)


def test_each_source_that_fails_is_reported_by_itself(project: Project) -> None:
    break_products(project)
    (project.input / "customers.csv").unlink()
    project.run()
    assert [subject.rpartition(" - ")[2] for subject in subjects(project)] == [
        "Customers Processing", "Products Processing",
    ]  # fmt: skip
    assert "SENT dev_customers_FileNotFoundError" in decisions(project)
    assert "the job that delivers the file" in alert_log(project, "email_alerts.log")


def test_a_source_that_is_held_back_is_a_warning(project: Project) -> None:
    project.settings["MAX_REJECT_RATE"] = "0.06"
    assert project.run("--accept", "customers.conflicting_duplicates")["exit_code"] == 3
    assert subjects(project) == ["WARNING: ETL Pipeline Source Held Back - Products Processing"]
    email = alert_log(project, "email_alerts.log")
    assert "Open the file of rejected records" in email
    assert decisions(project) == ["SENT dev_products_HeldBackError"]


def test_the_email_names_the_file_of_the_rejected_records_and_counts_them(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_back = SourceOutcome(
        "products", "product_dim", "held back", LoadCounts(rows_read=72, rows_rejected=5),
        HeldBackError("5 of 72 rejected"), "5 of 72 rejected", rejected_file="out/products.csv",
    )  # fmt: skip

    def with_held_back(*args: Any) -> RunSummary:
        return replace(run_job(*args), exit_code=3, status="attention", sources=(held_back,))

    monkeypatch.setattr("etl.pipeline.whole_run.run_job", with_held_back)
    project.run()
    email = alert_log(project, "email_alerts.log")
    assert f"- Rejected Products: {Path('out/products.csv').absolute()}\n" in email
    affected = "all products of this run (72 read, 5 rejected); product_dim is unchanged"
    assert f"- Records Affected: {affected}\n" in email


def test_when_all_sources_fail_the_run_has_failed(project: Project) -> None:
    for path in project.input.iterdir():
        path.write_text("")
    assert project.run()["exit_code"] == 1
    assert subjects(project) == ["CRITICAL: ETL Pipeline Failed - dev Run, All Sources"]
    assert "- Success Rate: 0.0%" in alert_log(project, "email_alerts.log")
    assert "100.0%" not in alert_log(project, "email_alerts.log")
    assert levels(project) == [("#data-alerts", "ERROR")]
    assert decisions(project) == ["SENT dev_run_ValidationError"]


def test_a_run_that_cannot_begin_is_critical(project: Project) -> None:
    block_warehouse(project)
    with pytest.raises(LoadingError):
        project.run()
    assert subjects(project) == ["CRITICAL: ETL Pipeline Failed - dev Run"]
    assert levels(project) == [("#data-alerts", "ERROR")]
    assert "<@data-team> <@on-call-engineer>" in alert_log(project, "slack_notifications.log")
    assert "- Last Successful Run: none known" in alert_log(project, "email_alerts.log")


def test_a_failed_quality_check_is_reported_with_its_figure(project: Project) -> None:
    project.run()
    with duckdb.connect(str(project.warehouse)) as db:
        db.execute('UPDATE "sales_fact" SET "total_amount" = 1')
    summary = project.run()
    assert summary["exit_code"] == 3
    (subject,) = subjects(project)
    assert subject.startswith("WARNING: ETL Pipeline Quality Check Failed - ")
    failed = [
        check["name"] for check in summary["quality"]["checks"] if check["status"] == "failed"
    ]
    for name in failed:
        assert name in alert_log(project, "email_alerts.log")
    assert decisions(project)[-1] == f"SENT dev_check_{'_'.join(sorted(failed))}"


def test_an_archive_that_was_not_written_is_reported(project: Project) -> None:
    blocked = project.folder / "blocked"
    blocked.write_text("a file where the folder should be")
    project.settings["ARCHIVE_DIR"] = str(blocked)
    assert project.run()["exit_code"] == 3
    assert subjects(project) == ["WARNING: ETL Pipeline Needs Attention - Archive"]


def test_a_warehouse_in_use_is_a_warning_in_slack_alone(project: Project) -> None:
    project.run()
    holder = duckdb.connect(str(project.warehouse))
    try:
        assert ended(start(project)).returncode == 4
    finally:
        holder.close()
    assert levels(project)[1:] == [("#data-alerts", "WARNING")]
    assert not subjects(project)
    assert decisions(project)[1:] == ["SENT dev_warehouse_in_use"]


def test_anomalies_of_the_summary_are_reported(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    anomaly = Anomaly("volume", "sales_fact", "critical", "few")

    def with_anomaly(*args: Any) -> RunSummary:
        return replace(run_job(*args), anomalies=(anomaly,))

    monkeypatch.setattr("etl.pipeline.whole_run.run_job", with_anomaly)
    summary = project.run()
    assert subjects(project) == ["CRITICAL: ETL Pipeline Data Quality Anomaly - sales_fact"]
    assert levels(project) == [("#data-runs", "SUCCESS"), ("#data-alerts", "ERROR")]
    assert f"- Run: {summary['run_id']}" in alert_log(project, "email_alerts.log")


# --- of whom nothing is reported --------------------------------------------------------------


def test_a_dry_run_alerts_nobody(project: Project) -> None:
    break_products(project)
    project.run("--dry-run")
    block_warehouse(project)
    with pytest.raises(LoadingError):
        project.run("--dry-run")
    assert not (project.logs / "alerts").exists()


@pytest.mark.parametrize("argument", ["--health-check", "--print-schema"])
def test_looking_alerts_nobody(
    project: Project, monkeypatch: pytest.MonkeyPatch, argument: str
) -> None:
    block_warehouse(project)
    command(project, monkeypatch, argument)
    assert not (project.logs / "alerts").exists()


def test_wrong_settings_alert_nobody(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.settings["BATCH_SIZE"] = "many"
    assert command(project, monkeypatch) == 2
    assert not (project.logs / "alerts").exists()


def test_an_interrupted_run_alerts_nobody(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr("etl.pipeline.whole_run.run_job", interrupted)
    with pytest.raises(KeyboardInterrupt):
        project.run()
    assert not (project.logs / "alerts").exists()


# --- again and again -----------------------------------------------------------------------


def test_of_twelve_failing_runs_one_alerts_and_the_next_after_the_window_reports_the_others(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    block_warehouse(project)
    for _ in range(12):
        assert command(project, monkeypatch) == 1
    assert len(subjects(project)) == len(levels(project)) == 1
    assert [decision.split()[0] for decision in decisions(project)] == ["SENT", *["THROTTLED"] * 11]
    later(project, minutes=31)
    assert command(project, monkeypatch) == 1
    assert len(subjects(project)) == 2
    assert "Held Back: 11 alerts of this kind" in alert_log(project, "email_alerts.log")


def later(project: Project, minutes: int) -> None:
    """As if so much time had gone by since the last alert."""
    path = project.logs / "alerts" / "alert_state.json"
    state = json.loads(path.read_text())
    for entry in state["alerts"].values():
        entry["sent_at"] -= minutes * 60
    path.write_text(json.dumps(state))


def test_two_runs_that_fail_at_once_alert_once(project: Project) -> None:
    block_warehouse(project)
    processes = [start(project) for _ in range(2)]
    assert [ended(process).returncode for process in processes] == [1, 1]
    assert len(subjects(project)) == len(levels(project)) == 1


def test_another_error_of_the_same_source_is_reported_at_once(project: Project) -> None:
    break_products(project)
    project.run()
    (project.input / "products.json").unlink()
    project.run()
    assert decisions(project) == [
        "SENT dev_products_ExtractionError", "SENT dev_products_FileNotFoundError",
    ]  # fmt: skip


def test_what_to_type_next_is_in_the_email_whole(project: Project) -> None:
    break_products(project)
    project.run("--date", "2024-01-20")
    email = alert_log(project, "email_alerts.log")
    folder = Path(etl_pipeline.__file__).parent
    again = f"python {folder / 'etl_pipeline.py'} --env dev --date 2024-01-20"
    assert f"Run the pipeline again; it loads what is missing: {again}\n" in email
    assert f"- Log File: {project.logs / 'etl_pipeline.log'}\n" in email


def test_simulated_alerts_are_logged_as_written_and_not_sent(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        break_products(project)
        project.run()
    folder = project.logs / "alerts"
    assert f"(e-mail and Slack) written to {folder}, not sent" in caplog.text


def test_a_success_after_failures_says_that_it_recovered_once(project: Project) -> None:
    whole = (project.input / "products.json").read_bytes()
    break_products(project)
    for _ in range(2):
        project.run()
    (project.input / "products.json").write_bytes(whole)
    project.run()
    project.run()
    recovered = re.findall("Recovered: .*", alert_log(project, "slack_notifications.log"))
    assert len(recovered) == 1
    assert recovered[0].startswith("Recovered: 2 runs since ")
    assert alert_log(project, "slack_notifications.log").count("dev Run Recovered") == 1


def test_the_last_success_is_known_when_the_warehouse_is_not_there(project: Project) -> None:
    project.run()
    project.warehouse.unlink()
    block_warehouse(project)
    with pytest.raises(LoadingError):
        project.run()
    email = alert_log(project, "email_alerts.log")
    assert re.search(r"- Last Successful Run: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", email)


def test_the_last_success_is_known_when_nothing_was_remembered_of_it(project: Project) -> None:
    project.run()
    shutil.rmtree(project.logs)
    break_products(project)
    project.run()
    (finished_at,) = project.query(
        'SELECT "finished_at" FROM "etl_run" WHERE "status" = \'success\''
    )[0]
    email = alert_log(project, "email_alerts.log")
    assert f"- Last Successful Run: {finished_at:%Y-%m-%d %H:%M:%S} UTC" in email


# --- no alert fails a run ------------------------------------------------------------------


def test_a_folder_of_alerts_that_cannot_be_written_fails_no_run(project: Project) -> None:
    project.logs.mkdir()
    (project.logs / "alerts").write_text("a file where the folder should be")
    assert project.run()["exit_code"] == 0
    break_products(project)
    assert project.run()["exit_code"] == 3


def test_a_mistake_in_the_alerts_themselves_fails_no_run(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: Any) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(reporter, "Notifier", broken)
    assert project.run()["exit_code"] == 0
    block_warehouse_after_run(project)
    with pytest.raises(LoadingError):
        project.run()


def block_warehouse_after_run(project: Project) -> None:
    project.warehouse.unlink()
    block_warehouse(project)


def test_no_error_that_ends_a_run_shows_a_secret(project: Project) -> None:
    project.settings["SALES_DB_CONNECTION_STRING"] = (
        "Driver={/no/such/driver.so};Server=s;UID=u;PWD=sesame-42"
    )
    project.run()
    texts = [path.read_text("utf-8") for path in (project.logs / "alerts").iterdir()]
    assert any("Sales Processing" in text for text in texts)
    assert not [text for text in texts if "sesame-42" in text]


def test_alerts_are_sent_after_the_run_has_let_go_of_the_warehouse(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    break_products(project)
    free: list[bool] = []
    with serving(Webhook()) as hook:
        project.settings |= {"ALERT_MODE": "send", "SLACK_WEBHOOK_URL": hook.url}
        hook.posts = Listening(lambda: free.append(_is_free(project)))
        assert project.run()["exit_code"] == 3
        assert len(hook.posts) == 1
    assert free == [True]


class Listening(list[Any]):
    """A list that calls a function before each of its appends."""

    def __init__(self, listen: Callable[[], None]) -> None:
        super().__init__()
        self.listen = listen

    def append(self, item: Any) -> None:
        self.listen()
        super().append(item)


def _is_free(project: Project) -> bool:
    with duckdb.connect(str(project.warehouse)):
        return True
