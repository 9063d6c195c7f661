"""Real faults: full disks, files that change, clocks that go back, signals, two runs at once."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import duckdb
import pytest
from make_sample_data import Sizes
from make_sample_data import write_customers as make_customers
from make_sample_data import write_products as make_products
from make_sample_data import write_sales as make_sales
from pipeline_runs import Project, command, ended, linger, linger_until, start, write_customers

from etl.engines.duckdb import DuckdbSession
from etl.errors import LoadingError

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"
SIZES = Sizes(customers=1600, products=720, sales=4200)
TABLES = ("customer_dim", "product_dim", "sales_fact")
Tables = dict[str, list[dict[str, Any]]]

posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows has no limits or signals of POSIX")


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources of some thousand records."""
    folder = tmp_path_factory.mktemp("sources")
    make_customers(folder / "customers.csv", SIZES, 1)
    make_products(folder / "products.json", SIZES, 1)
    make_sales(folder / "sales_transactions.csv", SIZES, 1)
    return folder


@pytest.fixture(scope="session")
def undisturbed(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """The tables that a run makes of them to which nothing happens."""
    project = Project(
        tmp_path_factory.mktemp("undisturbed"), INPUT_DIR=str(sources), LOG_LEVEL="ERROR"
    )
    assert project.run()["exit_code"] == 0
    return project.tables()


@pytest.fixture
def project(sources: Path, tmp_path: Path) -> Project:
    return Project(tmp_path / "project", INPUT_DIR=str(sources), LOG_LEVEL="WARNING")


def lines_of(reported: str) -> list[str]:
    return [line for line in reported.splitlines() if line.strip()]


def assert_reported_in_clear_lines(reported: str, *, naming: str) -> None:
    """Every line is a message that names the file; there is no traceback among them."""
    lines = [
        line for line in lines_of(reported) if not line.startswith(("the log: ", "then run: "))
    ]
    assert lines
    assert "Traceback" not in reported
    for line in lines:
        assert naming in line


def assert_what_cannot_be_written_is_named(reported: str, folder: Path, reason: str) -> None:
    assert "Traceback" not in reported
    assert any(str(folder) in line and reason in line for line in lines_of(reported)), reported


def assert_sources_are_whole(project: Project, expected: Tables) -> None:
    """Of each source, either everything is loaded or nothing."""
    try:
        found = project.tables()
    except (LoadingError, duckdb.CatalogException):  # there is no warehouse, or no table yet
        return
    for table in TABLES:
        keys = [key_of(table, row) for row in found[table] if not row.get("is_inferred")]
        wanted = [key_of(table, row) for row in expected[table] if not row.get("is_inferred")]
        assert keys in ([], wanted), table


def key_of(table: str, row: dict[str, Any]) -> Any:
    return row[{"sales_fact": "transaction_id"}.get(table, table.replace("_dim", "_id"))]


def assert_next_run_makes_up_for_it(project: Project, expected: Tables) -> None:
    assert project.run()["exit_code"] == 0
    assert project.tables() == expected
    assert not list(project.output.rglob("*.part"))
    assert not list(project.output.rglob("*.tmp"))


# --- full disks ----------------------------------------------------------------------------


@posix_only
@pytest.mark.parametrize("kilobytes", [4, 60, 300])
def test_where_no_file_can_grow_sources_stay_whole_and_the_next_run_makes_up_for_it(
    project: Project, undisturbed: Tables, kilobytes: int
) -> None:
    limit = kilobytes * 1024
    lower = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    result = ended(start(project, "--export", "csv", launcher=lower))
    assert result.returncode in (1, 3)
    assert_what_cannot_be_written_is_named(result.stderr, project.output, "File too large")
    assert_sources_are_whole(project, undisturbed)
    assert_next_run_makes_up_for_it(project, undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[Path, int], None]]:
    """Mounts a disk of some kilobytes; a second call changes its size."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk, and only on Linux")
    mounted: list[Path] = []

    def resize(folder: Path, kilobytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        again = "remount," if folder in mounted else ""
        options = f"{again}size={kilobytes}k"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("mounting is not allowed here")
        mounted.append(folder)

    yield resize
    for folder in set(mounted):
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S607  # the system's own


@pytest.mark.parametrize("kilobytes", [16, 800])
def test_on_a_full_disk_sources_stay_whole_and_the_next_run_makes_up_for_it(
    project: Project,
    undisturbed: Tables,
    small_disk: Callable[[Path, int], None],
    kilobytes: int,
) -> None:
    small_disk(project.output, kilobytes)
    result = ended(start(project, "--export", "csv"))
    assert result.returncode in (1, 3)
    assert_what_cannot_be_written_is_named(result.stderr, project.output, "No space left")
    assert_sources_are_whole(project, undisturbed)
    small_disk(project.output, 64 * 1024)
    assert_next_run_makes_up_for_it(project, undisturbed)


def test_where_the_engine_cannot_spill_the_next_run_makes_up_for_it(
    project: Project, undisturbed: Tables, small_disk: Callable[[Path, int], None]
) -> None:
    small_disk(project.output / "scratch", 4)
    project.settings["DUCKDB_MEMORY_LIMIT"] = "10MB"
    result = ended(start(project))
    assert result.returncode in (1, 3)
    assert_reported_in_clear_lines(result.stderr, naming="failed")
    assert_sources_are_whole(project, undisturbed)
    del project.settings["DUCKDB_MEMORY_LIMIT"]
    assert_next_run_makes_up_for_it(project, undisturbed)


def test_what_the_engine_has_spilled_is_removed_only_after_it_is_closed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = DuckdbSession.close
    folders: list[int] = []

    def watched(session: DuckdbSession) -> None:
        folders.append(len(list((project.output / "scratch").iterdir())))
        close(session)

    monkeypatch.setattr(DuckdbSession, "close", watched)
    assert project.run()["exit_code"] == 0
    assert folders[0]  # of the load; those that look at the history later spill nothing
    assert not list((project.output / "scratch").iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_log_that_cannot_be_written_is_reported_once_and_does_not_stop_the_load(
    project: Project, undisturbed: Tables
) -> None:
    project.logs.mkdir()
    for name in ("etl_pipeline.log", "etl_errors.log"):
        (project.logs / name).symlink_to("/dev/full")
    result = ended(start(project))
    assert result.returncode == 0
    (line,) = lines_of(result.stderr)
    assert "etl_pipeline.log cannot be written: No space left on device. Next:" in line
    assert project.tables() == undisturbed


@pytest.mark.parametrize("size", [0, 4096, 20_000])
def test_a_warehouse_that_was_cut_short_is_never_touched(
    project: Project, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    project.run("--date", "2024-01-20")
    damaged = project.warehouse.read_bytes()[:size]
    project.warehouse.write_bytes(damaged)
    assert command(project, monkeypatch) == 1
    assert project.warehouse.read_bytes() == damaged


# --- folders that cannot be written --------------------------------------------------------


@pytest.mark.parametrize(
    ("blocked", "argv"),
    [("", ()), ("rejected", ()), ("scratch", ()), ("processed", ("--export", "parquet"))],
    ids=["output", "rejected", "scratch", "processed"],
)
def test_a_folder_that_cannot_be_made_is_named_and_the_next_run_makes_up_for_it(
    project: Project,
    undisturbed: Tables,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    blocked: str,
    argv: tuple[str, ...],
) -> None:
    folder = project.output / blocked
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file where the folder belongs")
    # everything is loaded by the time of an export
    assert command(project, monkeypatch, *argv) == (3 if argv else 1)
    assert_reported_in_clear_lines(capsys.readouterr().err, naming=str(folder))
    folder.unlink()
    assert_next_run_makes_up_for_it(project, undisturbed)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(project: Project, undisturbed: Tables) -> None:
    rejected = project.output / "rejected"
    rejected.mkdir(parents=True)
    rejected.chmod(0o500)
    result = ended(start(project))
    rejected.chmod(0o700)
    assert result.returncode == 1
    assert_reported_in_clear_lines(result.stderr, naming=str(rejected))
    assert_next_run_makes_up_for_it(project, undisturbed)


# --- files that change while they are read -------------------------------------------------

CUSTOMERS = 20_000


def version(name: str) -> list[dict[str, str | None]]:
    return [
        {"customer_id": f"C{n}", "first_name": name, "last_name": "X"} for n in range(CUSTOMERS)
    ]


def replace_file(path: Path, new: bytes) -> None:
    beside = path.with_suffix(".new")
    beside.write_bytes(new)
    with suppress(PermissionError):  # Windows replaces no file that somebody has open
        beside.replace(path)


def write_over(path: Path, new: bytes) -> None:
    path.write_bytes(new)


def cut_off(path: Path, new: bytes) -> None:
    os.truncate(path, len(new) // 2)


def records_in(content: bytes) -> int:
    """Of a file that was cut off before the run began; the last line is no record any more."""
    return content.count(b"\n") - 1


@pytest.mark.parametrize("change", [replace_file, write_over, cut_off])
def test_a_file_that_changes_while_it_is_read_is_loaded_in_one_version_or_not_at_all(
    tmp_path: Path, change: Callable[[Path, bytes], None]
) -> None:
    write_customers(tmp_path, version("New"))
    path = tmp_path / "customers.csv"
    new = path.read_bytes()
    reported = []
    for attempt in range(4):
        project = Project(tmp_path / str(attempt), LOG_LEVEL="CRITICAL")
        write_customers(project.input, version("Old"))
        path = project.input / "customers.csv"
        timer = threading.Timer(0.02 + attempt * 0.03, change, (path, new))
        timer.start()
        summary = project.run()
        timer.join()
        names = project.query("SELECT first_name, count(*) FROM customer_dim GROUP BY 1")
        reported.append((summary["exit_code"], names))
        if summary["exit_code"] == 3:
            assert not names
            assert "changed while it was read" in summary["sources"][0]["error"]
        else:
            whole = [[("Old", CUSTOMERS)], [("New", CUSTOMERS)]]
            assert names in [*whole, [("Old", records_in(new[: len(new) // 2]))]]
    assert len(reported) == 4


# --- clocks --------------------------------------------------------------------------------


class Clock(datetime):
    """A clock that stands still where it is set."""

    at = datetime(2024, 2, 1, 12)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Clock":
        return cls.combine(cls.at.date(), cls.at.time(), tz)


def test_a_clock_that_goes_back_neither_mixes_up_the_runs_nor_moves_the_watermark_back(
    project: Project, undisturbed: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.history.runs.datetime", Clock)
    ids, watermarks = [], []
    for at in (datetime(2024, 2, 1), datetime(2024, 1, 10), datetime(1999, 1, 1)):
        monkeypatch.setattr(Clock, "at", at)
        summary = project.run()
        assert summary["exit_code"] == 0
        ids.append(summary["run_id"])
        watermarks += project.query("SELECT watermark FROM etl_watermark")
    assert ids == sorted(set(ids))
    assert watermarks == sorted(watermarks)
    assert project.tables() == undisturbed


# --- other processes -----------------------------------------------------------------------


def test_of_two_runs_at_once_one_loads_and_the_other_says_who_is_in_the_way(
    project: Project, undisturbed: Tables
) -> None:
    codes: set[int] = set()
    for _ in range(5):  # until the two have met
        both = [start(project, "--full-refresh") for _ in range(2)]
        results = {process.pid: ended(process) for process in both}
        codes = {result.returncode for result in results.values()}
        assert 0 in codes
        assert codes <= {0, 4}
        if 4 in codes:
            break
    assert codes == {0, 4}
    (loser,) = [result for result in results.values() if result.returncode == 4]
    assert_reported_in_clear_lines(loser.stderr, naming=str(project.warehouse))
    assert "process" in loser.stderr
    assert project.tables() == undisturbed


_READER = """
import duckdb
import sys
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    print("reading", flush=True)
    sys.stdin.read()
"""


def test_a_reader_in_another_process_is_named_and_once_it_has_left_the_run_loads(
    project: Project,
    undisturbed: Tables,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project.run("--date", "2024-01-20")
    with subprocess.Popen(
        [sys.executable, "-c", _READER, str(project.warehouse)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as reader:  # fmt: skip
        assert reader.stdout
        assert reader.stdout.readline() == "reading\n"
        assert command(project, monkeypatch) == 4
        reader.communicate("")
    (line,) = lines_of(capsys.readouterr().err)
    assert str(reader.pid) in line or os.name == "nt"
    assert_next_run_makes_up_for_it(project, undisturbed)


def rejected_by_run(project: Project) -> dict[str, list[str]]:
    """The rejected files of each run, without its id, in the order of the runs."""
    found: dict[str, list[str]] = {}
    for path in sorted((project.output / "rejected").iterdir()):
        run_id = path.stem.split("_")[1]
        found.setdefault(run_id, []).append(path.read_text("utf-8").replace(run_id, ""))
    return dict(sorted(found.items()))


@posix_only
def test_time_zone_and_locale_change_nothing(project: Project, undisturbed: Tables) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for place in ({"TZ": "Asia/Kolkata"}, {"TZ": "America/New_York", **plain}):
        result = ended(start(project, "--full-refresh", environ=place))
        assert result.returncode == 0
        assert "1,590" in result.stdout  # customers, ten empty rows aside
        assert not result.stderr
        assert project.tables() == undisturbed
    first, second = rejected_by_run(project).values()
    assert first == second
    ((changed,),) = project.query(
        "SELECT sum(rows_inserted + rows_updated + rows_restated + rows_removed) FROM etl_load"
        " WHERE run_id = (SELECT max(run_id) FROM etl_run)"
    )
    assert changed == 0


# --- signals -------------------------------------------------------------------------------

PADDING_ROWS = 150_000  # about a second of work, so that a signal finds the run at it


def pad_customers(project: Project, sources: Path) -> None:
    """Gives the project its own copy of the sources, in which one customer stands very often."""
    shutil.copytree(sources, project.input, dirs_exist_ok=True)
    header, first, *others = (sources / "customers.csv").read_bytes().splitlines(keepends=True)
    padded = [header, *[first] * PADDING_ROWS, first, *others]
    (project.input / "customers.csv").write_bytes(b"".join(padded))
    project.settings["INPUT_DIR"] = str(project.input)


@posix_only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_the_run_with_whole_sources_and_the_next_one_makes_up_for_it(
    project: Project, sources: Path, undisturbed: Tables, number: signal.Signals
) -> None:
    pad_customers(project, sources)
    rejected = project.output / "rejected"
    process = start(project, "--full-refresh")
    linger_until(process, rejected.exists)  # it is staging, so it has begun
    linger(process, 0.02)
    process.send_signal(number)
    result = ended(process)
    assert result.returncode == -number
    (line,) = lines_of(result.stderr)
    assert "interrupted" in line
    assert project.query("SELECT status, finished_at IS NULL FROM etl_run") == [
        ("interrupted", False)
    ]
    assert project.tables() == {table: [] for table in TABLES}
    assert_next_run_makes_up_for_it(project, undisturbed)
