"""What loads into a server have in common: sources, processes, equal work, tables and ratios.

A server's own file says how its databases are made, how a table is read, and which tools take
part. Every measurement has a process and a database of its own; the tools take turns.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from measuring import ROOT, BenchmarkError, at_least_one, exit_code_of
from rich.console import Console
from rich.table import Table as Grid

sys.path.insert(0, str(ROOT))

from etl.engines.dialect import Dialect, quoted
from etl.history.summary import RunSummary
from etl.pipeline.command_line import parse_arguments
from etl.rules.customers import transform_customers
from etl.schema.star import CUSTOMER_DIM
from etl.schema.table import Column, Kind, Role
from etl.settings.config import load_config
from etl.sources.customers import read_customers
from etl_pipeline import run_etl_pipeline

SEED = 20240120
COLUMNS = CUSTOMER_DIM.with_role(Role.SOURCE)
COMPARED = ("customer_id", "name", "email")
FIRST, RERUN = "first load", "unchanged rerun"
_CONNECTION = "BENCHMARK_CONNECTION"


class Timed(NamedTuple):
    """One measurement, in seconds."""

    work: float
    process: float


@dataclass(frozen=True)
class Place:
    """Where a measurement works: the folder of the sources, its own folder, its own database."""

    sources: Path
    own: Path
    connection: str

    def rows(self) -> pa.Table:
        """The transformed customers."""
        with pa.OSFile(str(self.sources / "rows.arrow")) as file:
            return pa.ipc.open_file(file).read_all()


def _nothing(_place: Place) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Tool:
    """One way of loading.

    Attributes:
        name: as the table shows it, and as the child process is called.
        timed: what its seconds cover.
        table: where its rows are, as SQL.
        phases: what is measured, in this order, in one database.
        run: does it once and returns the seconds.
        environment: what its process needs to know besides.
    """

    name: str
    timed: str
    table: str
    phases: tuple[str, ...]
    run: Callable[[Place, str], float]
    environment: Callable[[Place], Mapping[str, str]] = _nothing


@dataclass(frozen=True)
class Ratio:
    """A figure that the speed is judged by: the seconds of a tool over those of another one.

    Attributes:
        reported: what it is.
        over, under: names of tools; of several the fastest counts.
        phase: what is compared.
    """

    reported: str
    over: tuple[str, ...]
    under: tuple[str, ...]
    phase: str = FIRST


@dataclass(frozen=True)
class Comparison:
    """A benchmark of one server.

    Attributes:
        script: the file of the benchmark, which is also what its processes run.
        server: as the help names it.
        example: a line for the help.
        packages: what has to be installed, by the name under which it is imported.
        versions: distributions whose versions are reported.
        tools: what is compared; the first one is what the others are held against.
        ratios: what is reported besides the table.
        note: what else a reader has to know.
        open_server: yields the connection string of the server.
        fresh_database: given that and a name, makes a database and yields its connection string.
        query: given a connection string and a query, returns its rows.
        masked: given a text and a connection string, hides the secrets of the one in the other.
    """

    script: str
    server: str
    example: str
    packages: tuple[str, ...]
    versions: tuple[str, ...]
    tools: tuple[Tool, ...]
    ratios: tuple[Ratio, ...]
    note: str
    open_server: Callable[[], AbstractContextManager[str]]
    fresh_database: Callable[[str, str], AbstractContextManager[str]]
    query: Callable[[str, str], Sequence[Sequence[object]]]
    masked: Callable[[str, str], str]


# ---- this pipeline ----


def run_pipeline(place: Place, phase: str) -> float:
    """One run over all sources; the seconds that it reports of customer_dim."""
    settings = {
        "INPUT_DIR": str(place.sources),
        "OUTPUT_DIR": str(place.own / "output"),
        "LOG_DIR": str(place.own / "logs"),
        "LOG_LEVEL": "ERROR",
        "DB_CONNECTION_STRING": place.connection,
    }
    given = {name: value for name, value in os.environ.items()
             if name in ("BATCH_SIZE", "SQL_SERVER_BULK")}  # fmt: skip
    config = load_config("dev", base_dir=place.own, environ=settings | given)
    summary = run_etl_pipeline(config, parse_arguments(["--json"]))
    _require_loaded(summary, phase)
    return float(summary["tables"]["customer_dim"]["seconds"])


def _require_loaded(summary: RunSummary, phase: str) -> None:
    failures = [source["error"] for source in summary["sources"] if source["error"]]
    counts = summary["tables"]["customer_dim"]
    written = counts["rows_inserted"] + counts["rows_updated"]
    if failures:
        raise BenchmarkError(f"the pipeline failed: {' | '.join(failures)}")
    if phase == RERUN and written:
        raise BenchmarkError(f"the unchanged rerun wrote {written} customers")


def pipeline(timed: str, false: str) -> Tool:
    """This pipeline; placeholders of the one sale are left out of the comparison."""
    own = f'customer_dim WHERE "is_inferred" = {false}'
    return Tool("pipeline", timed, own, (FIRST, RERUN), run_pipeline)


# ---- what other tools share ----


def plain_table(dialect: Dialect) -> str:
    """DDL of `customers`: without a key, as `to_sql` makes one, but typed as customer_dim."""
    lines = ", ".join(
        f"{quoted(c.name)} {_plain_type(dialect, c)}{' NOT NULL' if c.required else ' NULL'}"
        for c in COLUMNS
    )
    return f"CREATE TABLE customers ({lines});"


def _plain_type(dialect: Dialect, column: Column) -> str:
    return dialect.types[column.kind].format(width=column.width)


@dataclass(frozen=True)
class Dlt:
    """How dlt is asked.

    Attributes:
        destination: makes it from a connection string.
        sized: whether texts are given their widths.
        environment: settings on top of those for every server.
        options: further arguments of `pipeline.run`.
    """

    destination: Callable[[str], Any]
    sized: bool
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def run(self, place: Place, _phase: str) -> float:
        """`pipeline.run` of an Arrow table with the upsert strategy: normalize, load and merge."""
        os.environ |= {
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "RUNTIME__LOG_LEVEL": "CRITICAL",
            # Cuts the load into files, which dlt loads side by side.
            "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "25000",
            **self.environment,
        }
        dlt = import_module("dlt")
        pipeline = dlt.pipeline(
            "bench",
            pipelines_dir=str(place.own / "dlt"),
            destination=self.destination(place.connection),
            dataset_name="bench",
        )
        resource = dlt.resource(
            place.rows(),
            name="customer_dim",
            primary_key="customer_id",
            write_disposition={"disposition": "merge", "strategy": "upsert"},
            columns=self._columns(),
        )
        started = time.perf_counter()
        pipeline.run(resource, **self.options)
        return time.perf_counter() - started

    def _columns(self) -> Any:
        texts = [column for column in COLUMNS if column.kind is Kind.TEXT]
        return {c.name: {"precision": c.width} for c in texts if self.sized}


# ---- the rows ----


def make_sources(folder: Path, customers: int) -> pa.Table:
    """The files for the pipeline, and the rows that become of them for the other tools."""
    command = [sys.executable, str(ROOT / "scripts" / "make_sample_data.py"), "--out", str(folder)]
    sizes = ["--customers", str(customers), "--products", "1", "--sales", "1"]
    subprocess.run(  # noqa: S603  # our own command
        [*command, *sizes, "--seed", str(SEED)], check=True, stdout=subprocess.DEVNULL
    )
    rows = transformed(folder / "customers.csv")
    with (
        pa.OSFile(str(folder / "rows.arrow"), "wb") as file,
        pa.ipc.new_file(file, rows.schema) as writer,
    ):
        writer.write_table(rows)
    return rows


def transformed(path: Path) -> pa.Table:
    """The accepted customers of a file; of equal keys the last one."""
    accepted = [transform_customers(block.records).accepted for block in read_customers(path)]
    rows = pa.Table.from_batches(accepted)
    last = rows.group_by("customer_id").aggregate([("source_row", "max")])["source_row_max"]
    kept = rows.filter(pc.is_in(rows["source_row"], value_set=last.combine_chunks()))
    return kept.select([column.name for column in COLUMNS])


def checksum(records: Sequence[Sequence[object]]) -> str:
    """SHA-256 over (customer_id, name, email), in the order of the key by code point."""
    ordered = sorted(map(list, records), key=lambda record: str(record[0]))
    return hashlib.sha256(json.dumps(ordered).encode()).hexdigest()


# ---- measuring ----

Results = dict[str, list[dict[str, Timed]]]


class Measuring:
    """The measurements of one comparison.

    Args:
        comparison: what is compared.
        folder: where the sources are made; each measurement works below it.
        server: connection string of the server.
        customers: records in the file.
    """

    def __init__(
        self, comparison: Comparison, folder: Path, *, server: str, customers: int
    ) -> None:
        self._comparison, self._folder, self._server = comparison, folder, server
        self._expected = make_sources(folder, customers)

    @property
    def rows(self) -> int:
        """How many rows each tool loads."""
        return int(self._expected.num_rows)

    def measure(self, tool: Tool) -> dict[str, Timed]:
        """All phases of one tool in a database of its own.

        Raises:
            BenchmarkError: it failed, or has loaded something else.
        """
        name = f"etl_bench_{os.getpid()}_{time.time_ns() // 1_000_000}"
        own = self._folder / name
        own.mkdir()
        timed: dict[str, Timed] = {}
        with self._comparison.fresh_database(self._server, name) as connection:
            for phase in tool.phases:
                timed[phase] = self._in_process(tool, phase, Place(self._folder, own, connection))
                self._require_equal(tool, connection)
        return timed

    def _in_process(self, tool: Tool, phase: str, place: Place) -> Timed:
        own = {_CONNECTION: place.connection, "PYTHONUTF8": "1", **tool.environment(place)}
        arguments = ["--child", tool.name, phase, str(place.sources), str(place.own)]
        started = time.perf_counter()
        result = subprocess.run(  # noqa: S603
            [sys.executable, self._comparison.script, *arguments],
            env={**os.environ, **own}, capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip
        process = time.perf_counter() - started
        if result.returncode:
            reported = self._comparison.masked(result.stderr[-4000:], place.connection)
            raise BenchmarkError(f"{tool.name}, {phase}, failed:\n{reported}")
        return Timed(float(result.stdout.splitlines()[-1]), process)

    def _require_equal(self, tool: Tool, connection: str) -> None:
        columns = ", ".join(map(quoted, COMPARED))
        found = self._comparison.query(connection, f"SELECT {columns} FROM {tool.table};")  # noqa: S608  # our own names
        wanted = list(zip(*(self._expected[name].to_pylist() for name in COMPARED), strict=True))
        if len(found) != len(wanted) or checksum(found) != checksum(wanted):
            raise BenchmarkError(
                f"{tool.name} wrote {len(found)} rows, {checksum(found)[:12]}, where "
                f"{len(wanted)}, {checksum(wanted)[:12]} were given; nothing can be compared"
            )


def run_child(comparison: Comparison, arguments: Sequence[str]) -> None:
    """One phase of one tool; its seconds are the last line on stdout."""
    name, phase, sources, own = arguments
    (tool,) = [tool for tool in comparison.tools if tool.name == name]
    place = Place(Path(sources), Path(own), os.environ[_CONNECTION])
    sys.stdout.write(f"{tool.run(place, phase)}\n")


# ---- telling ----


def _median(results: Results, tool: str, phase: str, index: int = 0) -> float:
    return statistics.median(timed[phase][index] for timed in results[tool])


def _cells(results: Results, tool: Tool, phase: str) -> tuple[str, str]:
    if phase not in tool.phases:
        return "-", "-"
    work, process = (_median(results, tool.name, phase, index) for index in (0, 1))
    return f"{work:.2f}", f"{process:.2f}"


def table(comparison: Comparison, results: Results, rows: int) -> Grid:
    """The measurements, a tool per line."""
    grid = Grid(title=f"{rows:,} customers, medians in seconds")
    for heading in ("tool", "first load", "process", "rerun", "process", "rows", "ratio"):
        grid.add_column(heading, justify="left" if heading == "tool" else "right", no_wrap=True)
    own = _median(results, comparison.tools[0].name, FIRST)
    for tool in comparison.tools:
        measured = [*_cells(results, tool, FIRST), *_cells(results, tool, RERUN)]
        ratio = _median(results, tool.name, FIRST) / own
        grid.add_row(tool.name, *measured, f"{rows:,}", f"{ratio:.2f}")
    return grid


def ratios(comparison: Comparison, results: Results) -> Iterator[str]:
    """The figures that the speed is judged by."""
    for ratio in comparison.ratios:
        over, under = (
            min(_median(results, name, ratio.phase) for name in names)
            for names in (ratio.over, ratio.under)
        )
        yield f"{ratio.reported}: {over / under:.2f}"


def show(console: Console, comparison: Comparison, results: Results, rows: int) -> None:
    """Prints everything that was found out."""
    console.print(", ".join(f"{name} {version(name)}" for name in comparison.versions))
    console.print(table(comparison, results, rows))
    for tool in comparison.tools:
        console.print(f"{tool.name}: {tool.timed}", highlight=False)
    console.print(comparison.note)
    console.print("Rows and a checksum of (customer_id, name, email) are equal throughout.")
    for line in ratios(comparison, results):
        console.print(line)


# ---- the command ----


def parser(comparison: Comparison) -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(
        description=f"Compares loads of the same customers into {comparison.server}.",
        epilog=f"example:\n  {comparison.example} \\\n"
        f"    python benchmarks/{Path(comparison.script).name} --customers 100000 --rounds 3\n\n"
        "BATCH_SIZE in the environment is passed on to the pipeline.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--customers", type=at_least_one, default=100_000, metavar="N",
                      help="records in the file, dirty ones included (100000)")  # fmt: skip
    made.add_argument("--rounds", type=at_least_one, default=3, metavar="N",
                      help="each tool once a round; medians are shown (3)")  # fmt: skip
    return made


def _require_packages(packages: Sequence[str]) -> None:
    if missing := [name for name in packages if find_spec(name) is None]:
        raise BenchmarkError(
            f"missing: {', '.join(missing)}; pip install -r benchmarks/requirements.txt"
        )


def compare(console: Console, comparison: Comparison, given: argparse.Namespace) -> None:
    """Measures all tools in turns and shows the result."""
    _require_packages(comparison.packages)
    tools = comparison.tools
    results: Results = {tool.name: [] for tool in tools}
    with (
        comparison.open_server() as server,
        TemporaryDirectory(prefix="etl-bench-") as folder,
    ):
        measuring = Measuring(comparison, Path(folder), server=server, customers=given.customers)
        for number in range(1, given.rounds + 1):
            turn = number % len(tools)  # so that none always follows the same one
            for tool in (*tools[turn:], *tools[:turn]):
                timed = measuring.measure(tool)
                results[tool.name].append(timed)
                reported = ", ".join(f"{phase} {t.work:.2f} s" for phase, t in timed.items())
                console.print(f"round {number}, {tool.name}: {reported}", highlight=False)
    show(console, comparison, results, measuring.rows)


def run(comparison: Comparison, argv: Sequence[str] | None = None) -> int:
    """The command of a benchmark; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["--child"]:
        run_child(comparison, arguments[1:])
        return 0
    given = parser(comparison).parse_args(arguments)
    return exit_code_of(lambda: compare(Console(), comparison, given))
