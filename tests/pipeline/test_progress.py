"""How far a run is: what is said of it, when, and where."""

import io
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pipeline_runs import COMMAND, Project
from rich.console import Console

from etl.pipeline.progress import CHECKING, MERGING, READING, Line, Progress
from etl.pipeline.watching import EVERY_S, bars_of, log_now_and_then
from etl.rejects import reject_block
from etl.rules.blocks import LoadBlock
from etl.sources.files import FileTrace, byte_chunks, open_source
from etl.sources.meter import ROWS, Meter
from etl.sources.sales import read_sales
from etl.sources.sales_reading import SalesReading
from etl.sources.several import SourceFiles
from etl.sources.window import EVERYTHING


class Clock:
    """A clock that goes on when it is asked to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress(clock=clock)


def block(rows: int, position: int) -> LoadBlock:
    accepted = pa.record_batch({"source_row": list(range(rows))})
    return replace(LoadBlock(accepted, reject_block((), []), {}), position=position)


def words(progress: Progress, name: str) -> str:
    (line,) = (line for line in progress.lines if line.name == name)
    return f"{line.step}: {line.words(progress.clock())}"


# --- what is said ------------------------------------------------------------------------


def test_a_file_has_its_share_its_rate_and_the_time_that_is_left(
    progress: Progress, clock: Clock
) -> None:
    said = []
    blocks = [block(10, 10_000_000), block(10, 40_000_000), block(5, 50_000_000)]
    for _ in progress.taken_in("sales", blocks, lambda: Meter(total=50_000_000)):
        said.append(words(progress, "sales"))
        clock.now += 2.0
    assert said == [
        "reading: 0% of 50 MB",
        "reading: 20% of 50 MB, 5 MB/s, 8 s left",
        "reading: 80% of 50 MB, 10 MB/s, 1 s left",
    ]
    progress.step("sales", MERGING)
    clock.now += 61.0
    assert words(progress, "sales") == "merging: 25 rows, 1 min 1 s"
    progress.end("sales", "loaded")
    clock.now += 500.0
    assert words(progress, "sales") == "loaded: 25 rows, 1 min 7 s"


def test_a_database_has_rows_against_their_count(progress: Progress, clock: Clock) -> None:
    read = progress.taken_in(
        "sales", [block(500, 500), block(1, 501)], lambda: Meter(ROWS, 0, 2000)
    )
    next(read)
    clock.now += 5.0
    next(read)
    assert words(progress, "sales") == "reading: 25% of 2,000 rows, 100 rows/s, 15 s left"


def test_what_has_no_known_size_has_its_rows(progress: Progress, clock: Clock) -> None:
    read = progress.taken_in("sales", [block(500, 0), block(1, 0)], lambda: Meter(ROWS))
    next(read)
    clock.now += 5.0
    next(read)
    assert words(progress, "sales") == "reading: 500 rows, 100 rows/s"


def test_a_source_that_is_read_anew_begins_at_nothing(progress: Progress, clock: Clock) -> None:
    meter = Meter(total=100)
    list(progress.taken_in("sales", [block(5, 50)], lambda: meter))
    clock.now += 50.0
    read = progress.taken_in("sales", [block(5, 50)], lambda: meter)
    next(read)
    assert words(progress, "sales") == "reading: 0% of 100 B"


def test_an_empty_source_divides_nothing_by_nothing() -> None:
    assert Line("sales", READING, 0.0, meter=Meter(total=0)).words(0.0) == "0 rows"


# --- how much there is -------------------------------------------------------------------


def test_the_meter_of_a_file_says_at_each_piece_how_much_was_read(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_bytes(b"x" * 25)
    trace, seen = FileTrace(), []
    with open_source(path) as file:
        for _ in byte_chunks(file, path, size=10, trace=trace):
            seen.append((trace.meter.done, trace.meter.total))
    assert seen == [(10, 25), (20, 25), (25, 25)]


def test_several_files_are_measured_as_one(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.csv", "b.csv")]
    for path in paths:
        path.write_bytes(b"x" * 25)
    files = SourceFiles.of(*paths)
    assert files.meter == Meter(done=0, total=50)
    with open_source(paths[0]) as file:
        list(byte_chunks(file, paths[0], size=10, trace=files.files[0].trace))
    assert files.meter == Meter(done=25, total=50)
    paths[1].unlink()
    assert files.meter.total is None


def test_the_rows_of_a_database_are_counted_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sales.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE sales_transactions AS SELECT range AS transaction_id, 'C1' AS "
            "customer_id, 'P1' AS product_id, 1 AS quantity, 2 AS unit_price, 0 AS "
            "discount_amount, TIMESTAMP '2024-01-01' AS transaction_date, 'R1' AS sales_rep_id, "
            "CASE range WHEN 0 THEN 'pending' ELSE 'completed' END AS status FROM range(5000)"
        )
    reading = SalesReading(chunk_rows=2048)
    seen = [(reading.meter.done, reading.meter.total)
            for _ in read_sales(f"duckdb:///{path}", EVERYTHING, reading)]  # fmt: skip
    assert seen[-1] == (4999, 4999)
    assert seen[0] == (2048, 4999)


# --- where it is said --------------------------------------------------------------------


def test_elsewhere_a_line_is_logged_every_ten_seconds_of_a_long_step(
    progress: Progress, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    steps: Iterator[tuple[float, str]] = iter([(9.0, CHECKING), (0.0, MERGING), (0.0, MERGING)])
    progress.expect(["customers", "sales"])

    def wait(seconds: float) -> bool:
        assert seconds == EVERY_S
        clock.now += seconds
        passed, step = next(steps, (0.0, ""))
        if step and all(line.step != step for line in progress.lines):
            progress.step("sales", step)
            clock.now += passed
        return not step

    log_now_and_then(progress, wait)
    assert [record.message for record in caplog.records] == ["sales: merging, 10 s"]


@pytest.mark.parametrize("width", [80, 120])
def test_the_bars_fit_their_terminal(progress: Progress, clock: Clock, width: int) -> None:
    progress.expect(["customers", "products", "sales"])
    progress.step("customers", MERGING)
    progress.end("customers", "loaded")
    read = progress.taken_in(
        "sales", [block(1, 311_000_000), block(1, 1)], lambda: Meter(total=10**9)
    )
    next(read)
    clock.now += 100.0
    next(read)
    shown = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    shown.print(bars_of(progress, width))
    assert isinstance(shown.file, io.StringIO)
    lines = shown.file.getvalue().splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["✓", "customers", "loaded"], ["products", "waiting"], ["▸", "sales", "reading"],
    ]  # fmt: skip
    assert lines[2].rstrip().endswith("31% of 1 GB, 3.1 MB/s, 3 min 42 s left")
    assert "━" in lines[2]
    assert max(map(len, lines)) <= width


# --- on a terminal -----------------------------------------------------------------------

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(project: Project, *argv: str, environ: Mapping[str, str]) -> tuple[str, int]:
    """Run the command in a terminal of its own; return all that it wrote there, and its code."""
    ours, theirs = pytest.importorskip("pty").openpty()
    process = subprocess.Popen(
        [sys.executable, str(COMMAND), *argv], stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, **project.settings, "TERM": "xterm-256color", **environ},
    )  # fmt: skip
    os.close(theirs)
    parts = []
    with process:
        while part := _read(ours):
            parts.append(part)
    os.close(ours)
    return b"".join(parts).decode(), process.returncode


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the end, on Linux
        return b""


SALE = {
    "transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": "1",
    "unit_price": "2", "transaction_date": "2024-01-01", "sales_rep_id": "R1",
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write([{"customer_id": "C1"}], [{"product_id": "P1", "name": "Lamp"}], [SALE])
    return project


def test_a_terminal_has_bars_then_the_summary_and_nothing_twice(project: Project) -> None:
    (project.input / "products.json").write_text("{")
    written, code = on_a_terminal(project, environ={"COLUMNS": "80"})
    assert code == 3
    assert "\x1b[" in written
    assert "customers" in written.partition("dev, all sales")[0]  # a bar
    text = _ESCAPES.sub("", written)
    assert " INFO " not in text
    assert text.count("ends too early") == 1
    last = text.rstrip().splitlines()
    assert last[-2] == f"then run: python {COMMAND} --env dev"
    assert re.fullmatch(r"attention: \d+ records in .+ s, .+ records/s, exit code 3", last[-1])


@pytest.mark.parametrize(
    ("argv", "environ"), [((), {"NO_COLOR": "1"}), (("--log-level", "info"), {})]
)
def test_a_terminal_without_colours_and_one_that_wants_the_log(
    project: Project, argv: tuple[str, ...], environ: Mapping[str, str]
) -> None:
    written, code = on_a_terminal(project, *argv, environ={"COLUMNS": "120", **environ})
    assert code == 0
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]m", written)) == (not environ)  # a colour
    assert ("run_end" in written or " INFO " in written) == bool(argv)


def test_elsewhere_nothing_is_drawn(project: Project) -> None:
    done = subprocess.run(
        [sys.executable, str(COMMAND)], env={**os.environ, **project.settings}, text=True,
        capture_output=True, check=True, encoding="utf-8",
    )  # fmt: skip
    assert "\x1b" not in done.stdout + done.stderr
    assert " INFO " in done.stderr
    assert done.stdout.splitlines()[-1].startswith("success: ")
