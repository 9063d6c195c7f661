"""Runs as a function of AWS Lambda, called as the service does."""

import json
import logging
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from pipeline_runs import Project

from etl.errors import ConfigurationError, ETLError
from etl.pipeline.aws_lambda import DEFAULTS, MARGIN_S, OutOfTimeError, arguments_of, handler
from etl.process import raise_if_asked

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"
S3_EVENT = {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": "in/customers.csv"}}}]}
SCHEDULE = {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}


class Call:
    """What the service says of a call: so many seconds are left."""

    def __init__(self, seconds: float = 900.0) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self._seconds * 1000)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The settings in the environment, as a function has them."""
    found = Project(tmp_path, INPUT_DIR=str(SAMPLE), LOG_LEVEL="CRITICAL")
    found.settings["DB_CONNECTION_STRING"] = f"duckdb:///{tmp_path / 'w.duckdb'}"
    for name, value in found.settings.items():
        monkeypatch.setenv(name, value)
    return found


def test_an_event_is_answered_with_the_summary_of_its_run(project: Project) -> None:
    answer = handler({"env": "dev", "date": "2024-01-20", "only": ["customers", "sales"]}, Call())
    assert answer["exit_code"] == 0
    assert answer["window"].startswith("sales of 2024-01-20")
    assert [each["source"] for each in answer["sources"]] == ["customers", "sales"]
    assert json.loads(json.dumps(answer)) == answer
    assert len(json.dumps(answer)) < 200_000  # of the 6 MB that an answer may have


def test_what_is_asked_for_is_an_argument_of_the_command() -> None:
    assert arguments_of(S3_EVENT) == arguments_of(SCHEDULE) == arguments_of({})
    assert arguments_of({**SCHEDULE, "detail": {"full_refresh": True}}).full_refresh
    with pytest.raises(ConfigurationError, match=r"asks for serve.*Choices: env, date"):
        arguments_of({"serve": 8000})
    with pytest.raises(ConfigurationError):
        arguments_of({"date": "2024-01-20", "full_refresh": True})


def test_a_run_that_fails_is_an_error_of_the_function(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_CONNECTION_STRING", f"duckdb:///{project.folder}")
    with pytest.raises(ETLError, match="Next: "):
        handler({"env": "dev"}, Call())


def test_no_run_begins_without_the_time_to_end_it(project: Project) -> None:
    with pytest.raises(OutOfTimeError, match=r"Next: give the function more time or memory"):
        handler({"env": "dev"}, Call(MARGIN_S))
    assert not project.warehouse.exists()


class _Alarm(logging.Handler):
    """Lets the time be up when a line is logged."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def emit(self, record: logging.LogRecord) -> None:
        if self._text in record.getMessage():
            logging.getLogger("etl").removeHandler(self)
            signal.raise_signal(signal.SIGALRM)


@pytest.fixture
def up_at() -> Callable[[str], None]:
    return lambda text: logging.getLogger("etl").addHandler(_Alarm(text))


@pytest.mark.parametrize("line", ["Starting data loading phase", "customers: 159 read", "sales: 3"])
def test_out_of_time_a_run_is_rolled_back_and_the_next_one_goes_on(
    project: Project, tmp_path: Path, up_at: Callable[[str], None], line: str
) -> None:
    up_at(line)
    with pytest.raises(OutOfTimeError, match="what was not committed is rolled back"):
        handler({"env": "dev"}, Call())
    raise_if_asked()  # the next call of the same process is not stopped by this one
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert handler({"env": "dev"}, Call())["exit_code"] == 0
    undisturbed = Project(tmp_path / "other", INPUT_DIR=str(SAMPLE), LOG_LEVEL="CRITICAL")
    undisturbed.run()
    assert project.tables() == undisturbed.tables()


def test_what_a_function_writes_lies_where_it_may_write() -> None:
    assert all(folder.startswith("/tmp/") for folder in DEFAULTS.values())  # noqa: S108
