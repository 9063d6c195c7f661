"""The figures of a run as Prometheus reads them."""

import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pipeline_runs import Project
from prometheus_client.parser import text_string_to_metric_families

from etl.errors import ETLError
from etl.telemetry.prometheus import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "input"

ENVIRONMENT = {("environment", "dev")}
Sample = tuple[str, frozenset[tuple[str, str]]]


def samples(text: str) -> dict[Sample, float]:
    """The values by name and labels, without the environment."""
    every = (s for family in text_string_to_metric_families(text) for s in family.samples)
    return {
        (s.name.removeprefix("nightly_etl_"), frozenset(s.labels.items()) - ENVIRONMENT): s.value
        for s in every
    }


def one(found: dict[Sample, float], name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    metrics = tmp_path / "textfile" / "nightly_etl.prom"
    return Project(tmp_path / "p", INPUT_DIR=str(SAMPLE), METRICS_FILE=str(metrics))


def figures_of(project: Project) -> dict[Sample, float]:
    return samples(Path(project.settings["METRICS_FILE"]).read_text(encoding="utf-8"))


def test_the_figures_are_those_of_the_summary(project: Project) -> None:
    run = project.run()
    found = figures_of(project)
    assert run.started_at is not None and run.finished_at is not None
    assert one(found, "run_exit_code") == run.exit_code == 0
    assert one(found, "run_status", status="success") == 1
    assert one(found, "run_status", status="failed") == 0
    assert one(found, "rows", table="sales_fact", outcome="inserted") == 327
    assert one(found, "rejected_records", load="customers", error_class="malformed") == 4
    assert one(found, "quality_score", table="sales_fact") == run.scores["sales_fact"]
    assert one(found, "load_status", load="sales", status="loaded") == 1
    assert one(found, "checks", status="failed") == 0
    assert one(found, "run_finished_timestamp_seconds") == one(
        found, "last_success_timestamp_seconds"
    )
    assert one(found, "data_age_seconds", check="sales_fact.newest_sale") > 1000 * 86_400


def test_every_metric_has_a_value_after_a_run(project: Project) -> None:
    project.settings["DEAD_LETTERS"] = "table"
    project.run()
    found = figures_of(project)
    assert {name for name, _ in found} == {family.name for family in FAMILIES}
    assert one(found, "dead_letters", load="customers", state="person") == 4


def test_a_run_that_fails_keeps_when_the_last_one_went_well(project: Project) -> None:
    project.run()
    well = figures_of(project)
    project.settings["INPUT_DIR"] = str(project.folder / "nowhere")
    with pytest.raises(ETLError):
        project.run("--reprocess-rejected", str(project.folder / "no_file.csv"))
    found = figures_of(project)
    assert one(found, "run_status", status="failed") == 1
    assert one(found, "run_status", status="success") == 0
    for name in ("last_success_timestamp_seconds", "load_last_success_timestamp_seconds"):
        labels = {"load": "sales"} if name.startswith("load") else {}
        assert one(found, name, **labels) == one(well, name, **labels)


def test_a_load_that_fails_keeps_when_it_was_last_loaded(project: Project, tmp_path: Path) -> None:
    project.run()
    before = figures_of(project)
    project.settings["SALES_FILE"] = str(tmp_path / "not_there.csv")
    project.run()
    found, name = figures_of(project), "load_last_success_timestamp_seconds"
    assert one(found, "load_status", load="sales", status="failed") == 1
    assert one(found, name, load="sales") == one(before, name, load="sales")
    assert one(found, name, load="customers") > one(before, name, load="customers")


def test_the_exporter_may_read_the_file_and_a_dry_run_does_not_write_it(project: Project) -> None:
    path = Path(project.settings["METRICS_FILE"])
    project.run("--dry-run")
    assert not path.exists()
    project.run()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_file_that_cannot_be_written_fails_no_run(
    project: Project, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "textfile").write_text("a file where the folder should be")
    assert project.run().exit_code == 0
    assert "METRICS_FILE: the run is not reported" in caplog.text


def test_without_the_setting_nothing_is_written_or_imported(tmp_path: Path) -> None:
    project = Project(tmp_path, INPUT_DIR=str(SAMPLE))
    done = subprocess.run(
        [
            sys.executable, "-c",
            "import sys, etl_pipeline; etl_pipeline.main(['--dry-run', '--json']); "
            "sys.exit(bool({'prometheus_client', 'openlineage', 'opentelemetry'} & "
            "{n.partition('.')[0] for n in sys.modules}))",
        ],
        env={**project.settings, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]


# --- deploy/prometheus --------------------------------------------------------------------------

DASHBOARD = ROOT / "deploy" / "grafana" / "nightly_etl.json"
RULES = ROOT / "deploy" / "prometheus" / "nightly_etl.rules.yml"


def test_the_alert_rules_name_metrics_that_there_are() -> None:
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    known = {f"nightly_etl_{family.name}" for family in FAMILIES}
    for rule in rules:
        named = set(re.findall(r"nightly_etl_\w+", rule["expr"]))
        assert named and named <= known, rule["alert"]
        assert rule["annotations"]["runbook"].partition("#")[0] == "docs/operations.md"


PROMTOOL = shutil.which("promtool") or ""
SERIES = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
{series}
    alert_rule_test:
{alerts}
"""
FIRE = {  # by alert: the figures for which it fires after half an hour, and for which it does not
    "NightlyEtlFailed": ('run_status{status="killed"}', "1x60", "0x60"),
    "NightlyEtlAttention": ('run_status{status="attention"}', "1x60", "0x60"),
    "NightlyEtlLoadMissing": ('load_last_success_timestamp_seconds{load="a"}', "-95000x60", "0x60"),
    "NightlyEtlChecksFailed": ('checks{status="failed"}', "2x60", "0x60"),
    "NightlyEtlSlow": ("run_duration_seconds", "601x25 9000x60", "601x60"),
}


def fires(tmp_path: Path, which: int) -> subprocess.CompletedProcess[str]:
    """What promtool says: that all alerts fire for figures of that kind, or that none does."""
    series = "".join(f"      - {{series: 'nightly_etl_{each[0]}', values: '{each[which]}'}}\n"
                     for each in FIRE.values())  # fmt: skip
    alerts = "".join(
        f"      - {{eval_time: 30m, alertname: {name}, exp_alerts: []}}\n" for name in FIRE
    )
    path = tmp_path / "rules_test.yml"
    path.write_text(SERIES.format(rules=RULES, series=series, alerts=alerts), encoding="utf-8")
    return subprocess.run(
        [PROMTOOL, "test", "rules", str(path)], capture_output=True, text=True, check=False
    )


def test_the_dashboard_asks_for_metrics_and_labels_that_there_are() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    labels = {f"nightly_etl_{each.name}": {"environment", *each.labels} for each in FAMILIES}
    for panel in dashboard["panels"]:
        (target,) = panel["targets"]
        ((name, selected),) = re.findall(r"(nightly_etl_\w+)\{([^}]*)\}", target["expr"])
        used = re.findall(r"(\w+)=", selected) + re.findall(
            r"\{\{(\w+)\}\}", target["legendFormat"]
        )
        assert set(used) <= labels[name], panel["title"]


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")
def test_prometheus_itself_takes_the_figures_and_the_rules(project: Project) -> None:
    project.run()
    text = Path(project.settings["METRICS_FILE"]).read_bytes()
    for arguments, given in ((["metrics"], text), (["rules", str(RULES)], b"")):
        done = subprocess.run(
            [PROMTOOL, "check", *arguments], input=given, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")
def test_each_alert_rule_fires_for_its_figures_and_for_no_others(tmp_path: Path) -> None:
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    assert {rule["alert"] for rule in rules} == FIRE.keys()
    quiet = fires(tmp_path, 2)
    assert quiet.returncode == 0, quiet.stdout
    loud = fires(tmp_path, 1)
    assert set(re.findall(r"alertname: (\w+)", loud.stdout + loud.stderr)) == FIRE.keys()
