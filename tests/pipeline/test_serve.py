"""The page served on this machine: what it answers, to whom, and that it refreshes."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import pytest
from browser import Browser, chromium
from pipeline_runs import Project
from sample_journal import sample_journal

from etl.errors import EXIT_USAGE
from etl.history.journal import JOURNAL, append_entry
from etl.pipeline.serve import HOST, live, server
from etl.pipeline.workspace import running_since, scratch_folder
from etl.reports.dashboard import DASHBOARD, write_dashboard
from etl_pipeline import main


@contextmanager
def served(folder: Path) -> Iterator[int]:
    with server(folder, 0) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield int(http.server_address[1])
        finally:
            http.shutdown()
            thread.join()


def get(port: int, path: str, **headers: str) -> tuple[int, str]:
    connection = HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_the_page_is_that_of_the_journal(tmp_path: Path) -> None:
    for entry in sample_journal(3):
        append_entry(tmp_path / JOURNAL, entry)
    with served(tmp_path) as port:
        status, page = get(port, "/")
    assert status == 200
    assert "3 runs from 2025-03-01 02:00" in page
    assert '<script src="/live.js" defer></script>' in page


def test_before_the_first_run_it_says_so(tmp_path: Path) -> None:
    with served(tmp_path / "nothing yet") as port:
        assert "No run has been written down yet" in get(port, "/")[1]


@pytest.mark.parametrize(
    "path", ["/business.json", "/../x", "/warehouse.duckdb", "/rejected/", "/?x"]
)
def test_nothing_else_can_be_had(tmp_path: Path, path: str) -> None:
    (tmp_path / "business.json").write_text("{}")
    with served(tmp_path) as port:
        assert get(port, path)[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", ""])
def test_a_page_from_elsewhere_gets_no_answer(tmp_path: Path, host: str) -> None:
    with served(tmp_path) as port:
        assert get(port, "/", Host=host)[0] == 403
        assert get(port, "/", Host="localhost:1")[0] == 200


def test_it_listens_on_this_machine_alone(tmp_path: Path) -> None:
    with server(tmp_path, 0) as http:
        assert http.server_address[0] == "127.0.0.1"


def test_a_run_under_way_is_announced_and_its_end_changes_the_version(tmp_path: Path) -> None:
    before = live(tmp_path, datetime.now())
    assert before["words"] == ""
    with scratch_folder(tmp_path):
        since = running_since(tmp_path)
        assert since is not None
        words = live(tmp_path, since + timedelta(seconds=75))["words"]
        assert words == "A run is under way, for 1 minute 15 seconds now."
    write_dashboard([], tmp_path / DASHBOARD)
    after = live(tmp_path, datetime.now())
    assert after["words"] == ""
    assert after["version"] != before["version"]


def test_a_folder_that_a_killed_run_left_is_no_run(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        name = folder.name
    folder.mkdir()
    (tmp_path / "scratch" / name / ".nightly-etl-scratch").touch()
    assert running_since(tmp_path) is None


def test_what_is_new_is_json(tmp_path: Path) -> None:
    with served(tmp_path) as port:
        assert json.loads(get(port, "/live")[1]) == {"version": "", "words": ""}


def test_a_port_that_is_taken_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    for name, value in project.settings.items():
        monkeypatch.setenv(name, value)
    with server(tmp_path, 0) as http:
        assert main(["--serve", str(http.server_address[1])]) == EXIT_USAGE
    assert "give another port" in capsys.readouterr().err


@pytest.mark.skipif(chromium() is None, reason="needs Chromium: apt-get install chromium")
def test_an_open_page_refreshes_when_a_run_has_ended(tmp_path: Path) -> None:
    first, second = sample_journal(2)
    append_entry(tmp_path / JOURNAL, first)
    write_dashboard([first], tmp_path / DASHBOARD)
    binary = chromium()
    assert binary is not None
    with served(tmp_path) as port, Browser(binary) as browser:
        browser.show(f"http://{HOST}:{port}/")
        with scratch_folder(tmp_path):
            while "A run is under way" not in browser.value("document.body?.textContent ?? ''"):
                pass
        append_entry(tmp_path / JOURNAL, second)
        write_dashboard([first, second], tmp_path / DASHBOARD)
        while "2 runs from" not in browser.value("document.body?.textContent ?? ''"):
            pass
        assert browser.complaints == []
