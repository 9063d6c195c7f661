"""What a run tells about itself: log lines with their context, and measured stages."""

import io
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stderr
from datetime import UTC, datetime, timedelta
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import pytest

import etl_pipeline
from etl.errors import ConfigurationError, ETLError
from etl.files import private_files
from etl.monitoring.logs import (
    ERROR_LOG,
    IN_SUMMARY,
    PIPELINE_LOG,
    close_logging,
    log_context,
    setup_logging,
)
from etl.monitoring.metrics import ETLMetrics
from etl.resilience.retry import retry_with_backoff
from etl.settings.sections.logging import LoggingConfig

ROOT = Path(__file__).resolve().parents[2]

logger = logging.getLogger("etl.monitoring.test")


@pytest.fixture(autouse=True)
def _logging_closed_after_each_test() -> Iterator[None]:
    yield
    close_logging()


@pytest.fixture
def config(tmp_path: Path) -> LoggingConfig:
    return LoggingConfig(log_dir=tmp_path / "logs")


def lines_of(config: LoggingConfig, name: str = PIPELINE_LOG) -> list[dict[str, Any]]:
    text = (config.log_dir / name).read_text("ascii")
    return [json.loads(line) for line in text.splitlines()]


def fail_with(text: str) -> None:
    try:
        load(text)
    except ETLError:
        logger.exception("load failed")


def load(text: str) -> None:
    raise ETLError(text)


class Collector(logging.Handler):
    """Stands where the simulated e-mail will stand."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.closed = False

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def close(self) -> None:
        self.closed = True
        super().close()


# --- where lines go ---


def test_each_level_goes_to_its_places(
    config: LoggingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logging(config, critical_handler=logging.NullHandler())
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(logger, level)(level)
    shown = [line.split()[-1] for line in capsys.readouterr().err.splitlines()]
    assert shown == ["info", "warning", "error", "critical"]
    assert [line["message"] for line in lines_of(config)] == [
        "debug",
        "info",
        "warning",
        "error",
        "critical",
    ]
    assert [line["message"] for line in lines_of(config, ERROR_LOG)] == ["error", "critical"]


def test_the_console_shows_the_configured_level(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = LoggingConfig(log_dir=tmp_path, log_level="ERROR")
    setup_logging(config)
    logger.warning("slow")
    logger.error("broken")
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == ["broken"]
    assert [line["message"] for line in lines_of(config)] == ["slow", "broken"]


def test_nothing_is_written_to_stdout(
    config: LoggingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logging(config).critical("on stderr only")
    assert capsys.readouterr().out == ""


def test_the_console_is_whatever_stderr_is_when_the_line_is_written(config: LoggingConfig) -> None:
    setup_logging(config)
    progress_bar = io.StringIO()
    with redirect_stderr(progress_bar):
        logger.info("above the bar")
    assert progress_bar.getvalue().endswith("above the bar\n")


def test_a_process_without_a_console_still_writes_its_files(config: LoggingConfig) -> None:
    setup_logging(config)
    with redirect_stderr(None):
        logger.info("as a service")
    assert lines_of(config)[0]["message"] == "as a service"


def test_a_critical_handler_is_given_critical_records_only(config: LoggingConfig) -> None:
    mail = Collector()
    setup_logging(config, critical_handler=mail)
    with log_context(run_id="r1", stage="load"):
        logger.error("one source failed")
        logger.critical("the run failed")
    assert [record.getMessage() for record in mail.records] == ["the run failed"]
    assert vars(mail.records[0])["run_id"] == "r1"


def test_libraries_are_heard_from_info_on(config: LoggingConfig) -> None:
    setup_logging(config)
    library = logging.getLogger("some_library.connection")
    library.debug("bytes on the wire")
    library.info("connected")
    assert [line["message"] for line in lines_of(config)] == ["connected"]


def test_every_room_writes_its_debug_lines(config: LoggingConfig) -> None:
    modules = [*ROOT.glob("*.py"), *(ROOT / "etl").rglob("*.py")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules]
    names += ["__main__"]
    setup_logging(config)
    for name in names:
        logging.getLogger(name).debug("detail")
    assert [line["logger"] for line in lines_of(config)] == names


def test_the_returned_logger_belongs_to_the_pipeline(config: LoggingConfig) -> None:
    setup_logging(config).debug("started")
    assert [line["logger"] for line in lines_of(config)] == ["etl_pipeline"]


# --- setting up again, closing, failing ---


def test_setting_up_twice_writes_each_line_once(
    config: LoggingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    mail = Collector()
    setup_logging(config, critical_handler=mail)
    setup_logging(config, critical_handler=mail)
    logger.critical("once")
    assert len(lines_of(config)) == len(lines_of(config, ERROR_LOG)) == len(mail.records) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_setting_up_again_moves_to_the_new_folder(tmp_path: Path) -> None:
    first, second = (LoggingConfig(log_dir=tmp_path / name) for name in ("first", "second"))
    setup_logging(first)
    logger.info("a")
    setup_logging(second)
    logger.info("b")
    assert [line["message"] for line in lines_of(first)] == ["a"]
    assert [line["message"] for line in lines_of(second)] == ["b"]


def test_closing_leaves_the_logging_as_it_was(
    config: LoggingConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger=logger.name)
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logger.level)
    mail = Collector()
    setup_logging(config, critical_handler=mail)
    logger.error("open the files")
    files = [each for each in root.handlers if isinstance(each, RotatingFileHandler)]
    streams = [file.stream for file in files]
    close_logging()
    assert (list(root.handlers), root.level, logger.level) == before
    assert [stream is not None and stream.closed for stream in streams] == [True, True]
    assert mail.filters == []
    assert not mail.closed


@pytest.mark.parametrize("obstacle", ["", "logs", "logs/etl_errors.log/folder"])
def test_a_folder_that_cannot_be_written_is_named_with_its_setting(
    tmp_path: Path, obstacle: str
) -> None:
    if obstacle.endswith("folder"):
        (tmp_path / obstacle).mkdir(parents=True)  # a folder where a log file should be
        log_dir = tmp_path / "logs"
    else:
        (tmp_path / "logs").write_text("a file where the folder should be")
        log_dir = tmp_path / "logs" / obstacle
    with pytest.raises(ConfigurationError, match=r"LOG_DIR .*logs.* Next: set LOG_DIR") as caught:
        setup_logging(LoggingConfig(log_dir=log_dir))
    assert str(log_dir) in str(caught.value)


def test_a_folder_that_cannot_be_written_leaves_the_present_logging_alone(
    config: LoggingConfig, tmp_path: Path
) -> None:
    setup_logging(config)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError):
        setup_logging(LoggingConfig(log_dir=tmp_path / "file"))
    logger.info("still here")
    assert [line["message"] for line in lines_of(config)] == ["still here"]


# --- rotation ---


def test_a_full_file_is_rotated_and_only_so_many_are_kept(tmp_path: Path) -> None:
    config = LoggingConfig(log_dir=tmp_path, log_max_bytes=2000, log_backup_count=2)
    setup_logging(config)
    for number in range(50):
        logger.info("line %d", number)
    files = sorted(path.name for path in tmp_path.glob(f"{PIPELINE_LOG}*"))
    assert files == [PIPELINE_LOG, f"{PIPELINE_LOG}.1", f"{PIPELINE_LOG}.2"]
    assert all((tmp_path / name).stat().st_size <= 2000 for name in files)
    assert lines_of(config)[-1]["message"] == "line 49"


def held_open_elsewhere(source: str, _target: str) -> None:
    raise PermissionError(f"{source} is being used by another process")


def test_a_file_that_cannot_be_rotated_goes_on_and_the_older_ones_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{PIPELINE_LOG}.1").write_text("older lines")
    config = LoggingConfig(log_dir=tmp_path, log_max_bytes=2000, log_backup_count=3)
    setup_logging(config)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RotatingFileHandler):
            handler.rotator = held_open_elsewhere
    for number in range(50):
        logger.debug("line %d", number)
    assert [line["message"] for line in lines_of(config)] == [f"line {n}" for n in range(50)]
    assert (tmp_path / f"{PIPELINE_LOG}.2").read_text() == "older lines"
    assert capsys.readouterr().err == ""


# --- what a line holds ---


def test_a_line_of_the_file_says_when_where_and_in_which_run(config: LoggingConfig) -> None:
    setup_logging(config)
    with log_context(run_id="20240120T020000", stage="load", source="customers"):
        logger.warning("%d rows rejected", 3, extra={"rows": 3})
    (line,) = lines_of(config)
    written = datetime.fromisoformat(line.pop("timestamp"))
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=1)
    assert line.pop("process_id") > 0
    assert line == {
        "level": "WARNING",
        "logger": "etl.monitoring.test",
        "message": "3 rows rejected",
        "run_id": "20240120T020000",
        "stage": "load",
        "source": "customers",
        "thread": "MainThread",
        "rows": 3,
    }


def test_timestamps_are_utc_to_the_microsecond(config: LoggingConfig) -> None:
    setup_logging(config)
    record = logging.makeLogRecord({"created": 1705716000.0, "levelno": logging.INFO})
    logger.handle(record)
    assert lines_of(config)[0]["timestamp"] == "2024-01-20T02:00:00.000000+00:00"


def test_without_a_context_the_fields_are_null(config: LoggingConfig) -> None:
    setup_logging(config)
    logger.info("early")
    (line,) = lines_of(config)
    assert (line["run_id"], line["stage"], line["source"]) == (None, None, None)


def test_a_traceback_goes_to_the_files_and_not_to_the_console(
    config: LoggingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logging(config)
    fail_with("row 7")
    for name in (PIPELINE_LOG, ERROR_LOG):
        (line,) = lines_of(config, name)
        assert line["exception"].startswith("Traceback")
        assert line["exception"].endswith("ETLError: row 7")
    console = capsys.readouterr().err
    assert console.endswith("ERROR    load failed\n")
    assert len(console.splitlines()) == 1


def test_a_trace_has_its_cause_first_and_no_frames_of_the_attempts(config: LoggingConfig) -> None:
    @retry_with_backoff(1, 0, sleep=lambda _: None)
    def load_sales() -> None:
        raise ETLError("sales cannot be read") from TimeoutError("no answer")

    setup_logging(config)
    try:
        load_sales()
    except ETLError:
        logger.exception("failed")
    text = lines_of(config, ERROR_LOG)[0]["exception"]
    assert text.index("TimeoutError: no answer") < text.index("ETLError: sales cannot be read")
    assert "in load_sales" in text
    assert [name for name in ("tenacity", "etl/resilience") if name in text] == []


def test_what_the_summary_repeats_is_left_out_of_the_console_alone(
    config: LoggingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logging(config, before_summary=True)
    logger.info("started")
    logger.error("customers failed", extra=IN_SUMMARY)
    logger.warning("trying again")
    assert [line.split(maxsplit=3)[3] for line in capsys.readouterr().err.splitlines()] == [
        "trying again"
    ]
    lines = lines_of(config)
    assert [line["message"] for line in lines] == ["started", "customers failed", "trying again"]
    assert "in_summary" not in lines[1]


def test_asking_for_a_traceback_where_there_is_none_writes_none(config: LoggingConfig) -> None:
    setup_logging(config)
    logger.error("no exception here", exc_info=True)
    assert "exception" not in lines_of(config)[0]


def test_the_console_says_which_source_and_stage(
    config: LoggingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logging(config)
    with log_context(source="customers", stage="load"):
        logger.info("done")
    assert capsys.readouterr().err.endswith("INFO     [customers load] done\n")


FORGED = 'Smith\n{"level": "INFO", "message": "forged"}\r\u0085\u2028\x0b\x1b[2J\u202e'


def test_data_in_a_message_cannot_forge_a_line_of_the_file(config: LoggingConfig) -> None:
    setup_logging(config)
    with log_context(source=FORGED):
        logger.error("bad name %s", FORGED, extra={"value": FORGED})
    fail_with(FORGED)
    for name in (PIPELINE_LOG, ERROR_LOG):
        first, second = lines_of(config, name)
        assert first["message"] == f"bad name {FORGED}"
        assert first["source"] == first["value"] == FORGED
        assert second["exception"].endswith(f"ETLError: {FORGED}")


def test_data_in_a_message_cannot_control_the_console(
    config: LoggingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logging(config)
    with log_context(source="a\nb"):
        logger.info(FORGED)
    console = capsys.readouterr().err
    assert console.endswith(
        '[a\\nb] Smith\\n{"level": "INFO", "message": "forged"}'
        "\\r\\x85\\u2028\\x0b\\x1b[2J\\u202e\n"
    )
    assert len(console.splitlines()) == 1


def test_text_in_any_script_is_shown_as_it_is(
    config: LoggingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logging(config)
    logger.info("漢字 Ñandú")
    assert "漢字 Ñandú" in capsys.readouterr().err
    assert lines_of(config)[0]["message"] == "漢字 Ñandú"


def test_half_a_surrogate_pair_is_logged(config: LoggingConfig) -> None:
    setup_logging(config)
    record = logger.makeRecord("x", logging.INFO, __file__, 1, "bad text \ud83d", (), None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RotatingFileHandler):  # pytest's own could not pass it on
            handler.handle(record)
    assert lines_of(config)[0]["message"] == "bad text \ud83d"


def test_whatever_stands_in_an_extra_field_becomes_json(config: LoggingConfig) -> None:
    setup_logging(config)
    ring: list[object] = []
    ring.append(ring)
    logger.info("odd", extra={"files": [Path("a.csv")], "n": 1})
    logger.info("odd", extra={"rate": float("nan"), "n": 1})
    logger.info("odd", extra={"pairs": {(1, 2): 3}, "n": 1})
    logger.info("odd", extra={"ring": ring, "n": 1})
    lines = lines_of(config)
    assert [line["n"] for line in lines] == [1, 1, 1, 1]
    assert lines[0]["files"] == ["a.csv"]
    assert lines[1]["rate"] == "nan"
    assert lines[2]["pairs"] == "{(1, 2): 3}"
    assert lines[3]["ring"] == "[[...]]"


def test_an_extra_field_neither_hides_nor_is_hidden_by_a_field_of_the_line(
    config: LoggingConfig,
) -> None:
    setup_logging(config)
    logger.info("clash", extra={"level": "gold", "timestamp": "never"})
    (line,) = lines_of(config)
    assert (line["level"], line["level_"], line["timestamp_"]) == ("INFO", "gold", "never")


# --- context ---


def test_contexts_nest_and_end(config: LoggingConfig) -> None:
    setup_logging(config)
    with log_context(run_id="r1", stage="extract"):
        with log_context(stage="load", batch=7):
            logger.info("inner")
        logger.info("outer")
    logger.info("after")
    inner, outer, after = lines_of(config)
    assert (inner["run_id"], inner["stage"], inner["batch"]) == ("r1", "load", 7)
    assert (outer["run_id"], outer["stage"]) == ("r1", "extract")
    assert "batch" not in outer
    assert (after["run_id"], after["stage"]) == (None, None)


def test_a_context_ends_when_its_block_fails(config: LoggingConfig) -> None:
    setup_logging(config)
    with pytest.raises(ETLError), log_context(stage="load"):
        raise ETLError("broken")
    logger.info("after")
    assert lines_of(config)[0]["stage"] is None


def test_an_extra_field_wins_over_the_context(config: LoggingConfig) -> None:
    setup_logging(config)
    with log_context(source="customers"):
        logger.info("about another", extra={"source": "products"})
    assert lines_of(config)[0]["source"] == "products"


@pytest.mark.parametrize("field", ["name", "message", "process", "exc_info"])
def test_a_context_field_must_not_be_one_that_records_have(field: str) -> None:
    with pytest.raises(ValueError, match=field), log_context(**{field: "x"}):
        pass


def test_an_email_is_written_for_critical_records_by_default(config: LoggingConfig) -> None:
    etl_pipeline.setup_logging(config)
    logger.error("no e-mail")
    logger.critical("Pipeline failed: %s", "no room")
    email = (config.log_dir / "alerts" / "email_alerts.log").read_text("utf-8")
    assert email.count("Subject: CRITICAL: ETL Pipeline Failed") == 1
    assert "Pipeline failed: no room" in email


@pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX")
def test_logs_are_for_their_owner_alone_or_for_the_group_that_is_set(
    config: LoggingConfig,
) -> None:
    config.log_dir.mkdir()
    (config.log_dir / PIPELINE_LOG).touch(0o644)  # made by an older version
    for mode in (0o600, 0o640):
        with private_files(mode):
            setup_logging(config)
            logger.error("x")
            close_logging()
        modes = {path.name: path.stat().st_mode & 0o777 for path in config.log_dir.iterdir()}
        assert modes == {PIPELINE_LOG: 0o600, ERROR_LOG: 0o600}, mode


# --- metrics ---


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_start_is_a_moment_of_the_clock_on_the_wall() -> None:
    before = time.time()
    assert before <= ETLMetrics().start_time <= time.time()


def test_a_stage_is_measured_from_its_start_to_its_end(clock: Clock) -> None:
    clock.now = 100.0
    metrics = ETLMetrics(clock=clock)
    clock.now = 101.0
    metrics.start_stage("extract")
    clock.now = 105.0
    metrics.end_stage("extract", record_count=200, error_count=10)
    assert metrics.record_counts == {"extract": 200}
    assert metrics.error_counts == {"extract": 10}
    assert metrics.stage_metrics == {
        "extract": {
            "seconds": 4.0,
            "records": 200,
            "errors": 10,
            "error_rate": 0.05,
            "records_per_second": 50.0,
        }
    }


def test_a_stage_that_is_entered_again_adds_up(clock: Clock) -> None:
    metrics = ETLMetrics(clock=clock)
    for seconds in (1.0, 2.0, 3.0):
        metrics.start_stage("load")
        clock.now += seconds
        metrics.end_stage("load", record_count=10, error_count=1)
        clock.now += 100.0
    stage = metrics.generate_summary_report()["stages"]["load"]
    assert (stage["seconds"], stage["records"], stage["errors"]) == (6.0, 30, 3)


def test_overlapping_entries_of_a_stage_add_up(clock: Clock) -> None:
    metrics = ETLMetrics(clock=clock)
    for now, step in [
        (0, metrics.start_stage),
        (1, metrics.start_stage),
        (4, metrics.end_stage),
        (10, metrics.end_stage),
    ]:
        clock.now = now
        step("transform")
    assert metrics.stage_metrics["transform"]["seconds"] == 4 - 1 + 10 - 0


def test_time_measured_elsewhere_is_added(clock: Clock) -> None:
    metrics = ETLMetrics(clock=clock)
    metrics.add("transform", seconds=1.5, record_count=100, error_count=2)
    metrics.add("transform", seconds=0.5, record_count=100, error_count=0)
    stage = metrics.generate_summary_report()["stages"]["transform"]
    assert stage == {
        "seconds": 2.0,
        "records": 200,
        "errors": 2,
        "error_rate": 0.01,
        "records_per_second": 100.0,
    }


def test_ending_a_stage_that_is_not_running_names_it_and_those_that_are(clock: Clock) -> None:
    metrics = ETLMetrics(clock=clock)
    metrics.start_stage("extract")
    with pytest.raises(ETLError, match=r"'load' .* Choices: extract\. Next: call start_stage"):
        metrics.end_stage("load")
    metrics.end_stage("extract")
    with pytest.raises(ETLError, match="'extract' was ended without"):
        metrics.end_stage("extract")
    assert "load" not in metrics.generate_summary_report()["stages"]


def test_the_totals_are_what_the_caller_says(clock: Clock) -> None:
    metrics = ETLMetrics(clock=clock)
    for stage in ("extract", "transform", "load"):
        metrics.add(stage, seconds=1.0, record_count=1000, error_count=5)
    metrics.record_totals(read=800, rejected=20)
    metrics.record_totals(read=200, rejected=30)
    clock.now = 4.0
    report = metrics.generate_summary_report()
    assert {key: report[key] for key in report if key not in ("stages", "peak_memory_mb")} == {
        "total_seconds": 4.0,
        "total_records": 1000,
        "total_errors": 50,
        "error_rate": 0.05,
        "records_per_second": 250.0,
        "unfinished_stages": [],
    }


def test_without_the_callers_totals_they_come_from_the_stages(clock: Clock) -> None:
    metrics = ETLMetrics(clock=clock)
    metrics.add("extract", seconds=1.0, record_count=1000, error_count=5)
    metrics.add("load", seconds=1.0, record_count=995, error_count=3)
    report = metrics.generate_summary_report()
    assert (report["total_records"], report["total_errors"]) == (1000, 8)


def test_a_report_before_anything_happened_divides_by_nothing(clock: Clock) -> None:
    report = ETLMetrics(clock=clock).generate_summary_report()
    assert (report["error_rate"], report["records_per_second"]) == (0.0, 0.0)
    assert report["stages"] == {}


def test_an_error_without_a_record_is_a_rate_of_one(clock: Clock) -> None:
    metrics = ETLMetrics(clock=clock)
    metrics.add("extract", seconds=0.0, record_count=0, error_count=1)
    assert metrics.stage_metrics["extract"]["error_rate"] == 1.0


def test_a_stage_that_failed_half_way_is_reported_as_unfinished(clock: Clock) -> None:
    metrics = ETLMetrics(clock=clock)
    metrics.start_stage("extract")
    clock.now = 2.0
    metrics.end_stage("extract", record_count=10)
    metrics.start_stage("load")
    clock.now = 5.0
    report = metrics.generate_summary_report()
    assert report["unfinished_stages"] == ["load"]
    assert {name: stage["seconds"] for name, stage in report["stages"].items()} == {
        "extract": 2.0,
        "load": 3.0,
    }


def test_the_report_is_json_with_the_stages_in_the_order_they_began(clock: Clock) -> None:
    metrics = ETLMetrics(clock=clock)
    metrics.start_stage("load")
    metrics.start_stage("extract")
    metrics.end_stage("extract")
    metrics.end_stage("load")
    report = metrics.generate_summary_report()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert list(report["stages"]) == ["load", "extract"]


def test_a_report_does_not_change_afterwards(clock: Clock) -> None:
    metrics = ETLMetrics(clock=clock)
    metrics.add("load", seconds=1.0, record_count=1, error_count=0)
    report = metrics.generate_summary_report()
    metrics.add("load", seconds=1.0, record_count=1, error_count=0)
    assert report["stages"]["load"]["records"] == 1


def test_no_count_of_any_thread_is_lost() -> None:
    metrics = ETLMetrics()
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # change threads as often as possible

    def work() -> None:
        for _ in range(300):
            metrics.start_stage("transform")
            metrics.record_totals(read=1, rejected=1)
            metrics.end_stage("transform", record_count=1, error_count=1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(switch)
    report = metrics.generate_summary_report()
    assert (report["total_records"], report["stages"]["transform"]["records"]) == (1200, 1200)
    assert (report["total_errors"], report["unfinished_stages"]) == (1200, [])


def test_peak_memory_is_that_of_this_process_and_keeps_what_was_freed() -> None:
    code = (
        "from etl.process import peak_memory_mb as peak\n"
        "before = peak(); block = b'x' * 80_000_000; del block; print(before, peak())"
    )
    ballast = b"x" * 250_000_000  # of the parent, which must not show in the child
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = map(float, ran.stdout.split())
    assert len(ballast) / 2**20 > after > before + 50
