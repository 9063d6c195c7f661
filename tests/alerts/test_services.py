"""Alerts to further services, by the addresses of ALERT_URLS."""

import json
from pathlib import Path

import pytest
from pipeline_runs import Project
from receivers import receiver

from etl.alerts.alert import Alert
from etl.alerts.delivery import Delivery
from etl.alerts.notifier import Notifier, service_alert
from etl.errors import ConfigurationError
from etl.monitoring.health.report import pipeline_health_check
from etl.settings.sections.alerts import AlertConfig

# nothing of these tests is a matter of time
PATIENT = Delivery(delivery_s=300, run_s=3000, sleep=lambda _: None)
ALERT = Alert(
    severity="ERROR", topic="Sales", message="no file", status="FAILED", actions=("bring it",)
)


def config_of(folder: Path, urls: str, **settings: str) -> AlertConfig:
    given = {"ALERT_URLS": urls, "ALERT_MODE": "send", **settings}
    return Project(folder, **given).config().alerts


def webhook(url: str) -> str:
    return url.replace("http://", "json://") + "/hook"


def test_an_alert_is_posted_to_each_service(tmp_path: Path) -> None:
    with receiver() as one, receiver() as other:
        config = config_of(tmp_path, f"{webhook(one.url)} {webhook(other.url)}")
        assert service_alert(ALERT, config, PATIENT)
    for server in (one, other):
        (post,) = server.posts
        found = json.loads(post.body)
        assert (found["title"], found["type"]) == ("ERROR: ETL Pipeline Failed - Sales", "failure")
        assert "no file" in found["message"] and "1. bring it" in found["message"]


def test_a_service_that_does_not_take_it_is_named_by_its_place_and_not_by_its_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with receiver() as well, receiver() as ill:
        ill.status = 400
        config = config_of(tmp_path, f"{webhook(well.url)} {webhook(ill.url)}")
        assert not service_alert(ALERT, config, PATIENT)
    assert "address 2 (json)" in caplog.text and "address 1" not in caplog.text
    assert str(ill.server_port) not in caplog.text
    assert len(well.posts) == 1
    kept = (config.alerts_dir / "notifications.log").read_text(encoding="utf-8")
    assert "NOT DELIVERED" in kept and "no file" in kept


def test_simulated_it_is_written_and_nothing_is_sent(tmp_path: Path) -> None:
    with receiver() as server:
        config = config_of(tmp_path, webhook(server.url), ALERT_MODE="simulate")
        assert service_alert(ALERT, config)
    assert server.posts == []
    written = (config.alerts_dir / "notifications.log").read_text(encoding="utf-8")
    assert "NOTIFICATION SIMULATION" in written and "To: json" in written


def test_services_are_sent_what_is_wrong_and_no_success(tmp_path: Path) -> None:
    with receiver() as server:
        notifier = Notifier.of(config_of(tmp_path, webhook(server.url)), PATIENT)
        assert notifier.notify("wrong", slack=ALERT)
        notifier.notify_always("well", Alert(severity="SUCCESS", message="loaded"))
        assert not notifier.notify("wrong", slack=ALERT)  # throttled like all others
    assert len(server.posts) == 1


def test_an_address_is_enough_to_send(tmp_path: Path) -> None:
    config_of(tmp_path, "json://localhost/hook")
    with pytest.raises(ConfigurationError, match=r"ALERT_MODE.*or ALERT_URLS"):
        Project(tmp_path, ALERT_MODE="send").config()


def test_an_address_that_names_no_service_is_found_by_the_health_check(tmp_path: Path) -> None:
    urls = "json://localhost/a nothing://secret"
    config = Project(tmp_path, ALERT_URLS=urls, ALERT_MODE="send").config()
    found = [c for c in pipeline_health_check(config)["checks"] if c["name"] == "services"]
    assert [check["status"] for check in found] == ["passed", "failed"]
    assert "address 2 of ALERT_URLS (nothing)" in found[1]["message"]
    assert "secret" not in found[1]["message"]
