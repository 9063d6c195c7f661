"""Loads that should have succeeded by an hour."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_runs import Project, command

from etl.alerts.sla import Deadline, alert_of_missed, deadlines
from etl.errors import ConfigurationError
from etl.history.journal import append_entry

SIX = datetime(2024, 1, 20, 6)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, SLA_TIME="06:00")


def ran(project: Project, finished: datetime, **loads: str) -> None:
    """A run in the journal: by load how it ended."""
    entry = {
        "run_id": finished.strftime("%Y%m%dT%H%M%S.%fZ"),
        "finished_at": finished.isoformat(),
        "sources": [
            {"source": name, "table": name, "status": status.replace("_", " ")}
            for name, status in loads.items()
        ],
    }
    append_entry(project.output / "run_journal.jsonl", entry)


def at(project: Project, now: datetime) -> dict[str, Deadline]:
    return {each.load: each for each in deadlines(project.config(), now)}


def missed(project: Project, now: datetime) -> list[Deadline]:
    return [each for each in at(project, now).values() if not each.met]


def test_a_load_of_last_night_has_met_its_hour(project: Project) -> None:
    ran(project, SIX - timedelta(hours=4), customers="loaded", products="loaded", sales="loaded")
    assert missed(project, SIX + timedelta(minutes=1)) == []


@pytest.mark.parametrize("status", ["held_back", "failed"])
def test_a_load_that_failed_has_not(project: Project, status: str) -> None:
    ran(project, SIX - timedelta(hours=4), customers="loaded", products="loaded", sales=status)
    assert [each.load for each in missed(project, SIX + timedelta(minutes=1))] == ["sales"]


def test_when_nothing_ran_everything_is_missing(project: Project) -> None:
    ran(project, SIX - timedelta(hours=28), customers="loaded", products="loaded", sales="loaded")
    found = missed(project, SIX + timedelta(minutes=1))
    assert [each.load for each in found] == ["customers", "products", "sales"]


def test_before_its_hour_a_load_is_judged_by_the_day_before(project: Project) -> None:
    ran(project, SIX - timedelta(hours=28), customers="loaded", products="loaded", sales="loaded")
    assert missed(project, SIX - timedelta(minutes=1)) == []


def test_a_load_that_came_late_is_not_missing_any_more(project: Project) -> None:
    late = SIX + timedelta(hours=2)
    ran(project, late, customers="loaded", products="loaded", sales="loaded")
    assert missed(project, late + timedelta(minutes=1)) == []


def test_each_load_may_have_an_hour_of_its_own_and_a_zone(tmp_path: Path) -> None:
    project = Project(tmp_path, SOURCE_TIME_ZONE="Europe/Berlin")
    (tmp_path / "pipeline.toml").write_text('[sources.sales]\ndue = "08:30"\n', encoding="utf-8")
    found = at(project, datetime(2024, 7, 1, 12))
    assert found.keys() == {"sales"}
    assert found["sales"].due == datetime(2024, 7, 1, 6, 30)  # summer time


def test_the_hour_is_that_of_the_wall_on_the_day_when_the_clock_changes(tmp_path: Path) -> None:
    project = Project(tmp_path, SOURCE_TIME_ZONE="Europe/Berlin", SLA_TIME="06:00")
    found = at(project, datetime(2024, 3, 31, 12))["sales"]  # summer time begins that night
    assert (found.due, found.since) == (datetime(2024, 3, 31, 4), datetime(2024, 3, 30, 5))


def test_a_load_that_is_switched_off_has_no_hour(project: Project) -> None:
    (project.folder / "pipeline.toml").write_text("[sources.sales]\nenabled = false\n")
    assert at(project, SIX).keys() == {"customers", "products"}


def test_without_an_hour_there_is_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no load has an hour.*SLA_TIME"):
        deadlines(Project(tmp_path).config(), SIX)


@given(st.lists(st.integers(0, 4 * 24 * 60), max_size=5), st.integers(2 * 24 * 60, 4 * 24 * 60))
def test_a_load_is_missing_when_a_day_before_its_last_hour_it_was_not_loaded(
    tmp_path_factory: pytest.TempPathFactory, minutes: list[int], now_minutes: int
) -> None:
    """The model counts minutes."""
    project = Project(tmp_path_factory.mktemp("p"), SLA_TIME="06:00")
    start = datetime(2024, 1, 20)
    for each in sorted(minutes):
        ran(project, start + timedelta(minutes=each), sales="loaded")
    due = max(m for m in range(6 * 60, now_minutes + 1, 24 * 60))
    expected = any(due - 24 * 60 < each for each in minutes)
    found = at(project, start + timedelta(minutes=now_minutes))["sales"]
    assert found.met is expected


# --- alerts --------------------------------------------------------------------------------------


def emails(project: Project) -> int:
    path = project.logs / "alerts" / "email_alerts.log"
    return path.read_text(encoding="utf-8").count("Subject:") if path.exists() else 0


def test_a_missed_hour_is_alerted_once_however_often_it_is_asked(project: Project) -> None:
    config, late = project.config(), SIX + timedelta(minutes=1)
    assert alert_of_missed(config, missed(project, late)) == ("customers", "products", "sales")
    assert alert_of_missed(config, missed(project, late + timedelta(hours=9))) == ()
    assert emails(project) == 3
    assert len(alert_of_missed(config, missed(project, late + timedelta(days=1)))) == 3


def test_the_command_names_what_is_missing_and_ends_with_3(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(project, monkeypatch, "--check-sla", "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert {each["load"]: each["met"] for each in found} == dict.fromkeys(
        ("customers", "products", "sales"), False
    )
    assert emails(project) == 3
    text = (project.logs / "alerts" / "email_alerts.log").read_text(encoding="utf-8")
    assert "CRITICAL: ETL Pipeline Load Missing - Sales by 06:00 UTC" in text


def test_after_a_run_the_command_ends_with_0(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.settings["INPUT_DIR"] = str(Path(__file__).resolve().parents[2] / "data" / "input")
    project.run()
    assert command(project, monkeypatch, "--check-sla") == 0
    assert "sales" in capsys.readouterr().out
    assert emails(project) == 0
