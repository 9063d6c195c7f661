"""Customers into SQL Server: this pipeline, `DataFrame.to_sql` and dlt, the same rows, in turns.

    pip install -r benchmarks/requirements.txt
    export TEST_SQLSERVER_CONNECTION_STRING='Server=sql01,1433;UID=etl;PWD=...;Encrypt=yes'
    python benchmarks/sql_server_load.py --customers 100000 --rounds 3

Every measurement has a process and a database of its own, which the login must be allowed to
create. After each, the number of rows and a checksum are compared, so that only equal work is.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.compute as pc
from measuring import ROOT, BenchmarkError, at_least_one
from rich.console import Console
from rich.table import Table as Grid

sys.path.insert(0, str(ROOT))

import odbc_connections
import sql_dialects
from business_rules import transform_customers
from command_line import parse_arguments
from config import load_config
from data_extraction import read_customers
from etl_pipeline import run_etl_pipeline
from odbc import installed_drivers
from odbc_strings import joined, masked, parse
from star_schema import CUSTOMER_DIM, Column, Kind, Role

VARIABLE = "TEST_SQLSERVER_CONNECTION_STRING"
SEED = 20240120
_DROP_ATTEMPTS = 20
_PACKAGES = ("pandas", "sqlalchemy", "dlt")

# The only names by which dlt takes a driver; it refuses the path of a library.
_DLT_DRIVERS = ("ODBC Driver 18 for SQL Server", "ODBC Driver 17 for SQL Server")

_COLUMNS = CUSTOMER_DIM.with_role(Role.SOURCE)
_FIRST, _RERUN = "first load", "unchanged rerun"


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


@dataclass(frozen=True)
class Tool:
    """One way of loading.

    Attributes:
        name: as the table shows it, and as the child process is told.
        timed: what its seconds cover.
        table: where its rows are, as SQL.
        phases: what is measured, in this order, in one database.
        run: does it once and returns the seconds.
    """

    name: str
    timed: str
    table: str
    phases: tuple[str, ...]
    run: Callable[[Place, str], float]


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
    given = {name: value for name, value in os.environ.items() if name == "BATCH_SIZE"}
    config = load_config("dev", base_dir=place.own, environ=settings | given)
    summary = run_etl_pipeline(config, parse_arguments(["--json"]))
    _require_loaded(summary, phase)
    return float(summary["tables"]["customer_dim"]["seconds"])


def _require_loaded(summary: dict[str, Any], phase: str) -> None:
    failures = [source["error"] for source in summary["sources"] if source["error"]]
    counts = summary["tables"]["customer_dim"]
    written = counts["rows_inserted"] + counts["rows_updated"]
    if failures:
        raise BenchmarkError(f"the pipeline failed: {' | '.join(failures)}")
    if phase == _RERUN and written:
        raise BenchmarkError(f"the unchanged rerun wrote {written} customers")


# ---- DataFrame.to_sql ----


def to_sql_with(chunk_rows: int | None) -> Callable[[Place, str], float]:
    """`DataFrame.to_sql` with `fast_executemany`, in chunks of so many rows; None: its default."""

    def run(place: Place, _phase: str) -> float:
        sqlalchemy = import_module("sqlalchemy")
        frame = _rows(place).to_pandas(date_as_object=True)
        types = {column.name: _sqlalchemy_type(sqlalchemy, column) for column in _COLUMNS}
        engine = sqlalchemy.create_engine(
            f"mssql+pyodbc:///?odbc_connect={quote_plus(place.connection)}", fast_executemany=True
        )
        _create_plain_table(place)
        with engine.connect():  # what SQLAlchemy asks of a server once
            pass
        started = time.perf_counter()
        frame.to_sql(
            "customers", engine, if_exists="append", index=False, dtype=types, chunksize=chunk_rows
        )
        return time.perf_counter() - started

    return run


def _sqlalchemy_type(sqlalchemy: Any, column: Column) -> Any:
    if column.kind is Kind.TEXT:
        return sqlalchemy.types.NVARCHAR(column.width)
    return {Kind.BOOLEAN: sqlalchemy.types.Boolean, Kind.DATE: sqlalchemy.types.Date}[column.kind]()


def _create_plain_table(place: Place) -> None:
    """Without a key, as `to_sql` makes one, but with the sizes of customer_dim."""
    types = sql_dialects.SQL_SERVER.types
    lines = ", ".join(
        f'"{c.name}" {types[c.kind].format(width=c.width)}{" NOT NULL" if c.required else " NULL"}'
        for c in _COLUMNS
    )
    with closing(odbc_connections.connect(place.connection)) as connection:
        connection.execute(f"CREATE TABLE customers ({lines});")


# ---- dlt ----


def run_dlt(place: Place, _phase: str) -> float:
    """`pipeline.run` of an Arrow table with the upsert strategy: normalize, load and merge."""
    dlt = import_module("dlt")
    os.environ |= {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "CRITICAL",
        # Cuts the load into files, which dlt loads side by side.
        "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "25000",
    }
    _know_missing_tables()
    rows = _rows(place)
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(place.own / "dlt"),
        destination=dlt.destinations.mssql(credentials=_dlt_credentials(place.connection)),
        dataset_name="bench",
    )
    resource = dlt.resource(
        rows,
        name="customer_dim",
        primary_key="customer_id",
        write_disposition={"disposition": "merge", "strategy": "upsert"},
        # Else texts are NVARCHAR(max), which is slower.
        columns={c.name: {"precision": c.width} for c in _COLUMNS if c.kind is Kind.TEXT},
    )
    started = time.perf_counter()
    pipeline.run(resource)
    return time.perf_counter() - started


def _know_missing_tables() -> None:
    """Lets dlt see that a table is missing where a server says so in PostgreSQL's words.

    It looks for SQL Server's SQLSTATE, and otherwise takes it for an error and ends.
    """
    client = import_module("dlt.destinations.impl.mssql.sql_client").PyOdbcMsSqlClient
    missing = import_module("dlt.destinations.exceptions").DatabaseUndefinedRelation
    own = client._make_database_exception

    def made(error: Exception) -> Exception:
        text = str(error)
        if 'relation "' in text and '" does not exist' in text:
            return missing(error)  # type: ignore[no-any-return]  # a module imported by name
        return own(error)  # type: ignore[no-any-return]

    client._make_database_exception = staticmethod(made)


def _values(connection: str) -> dict[str, str]:
    return {keyword.lower(): value for keyword, value in parse(connection)}


def _dlt_credentials(connection: str) -> dict[str, Any]:
    given = _values(connection)
    host, _, port = given["server"].removeprefix("tcp:").partition(",")
    named = given.get("driver", "")
    return {
        "host": host,
        "port": int(port or 1433),
        "database": given["database"],
        "username": given["uid"],
        "password": given["pwd"],
        "driver": named if named in _DLT_DRIVERS else _DLT_DRIVERS[0],
        "query": {
            keyword: value
            for keyword, value in given.items()
            if keyword not in ("server", "database", "uid", "pwd", "driver")
        },
    }


def dlt_environment(folder: Path, connection: str) -> dict[str, str]:
    """Gives a driver that is known by its path a name that dlt takes, for one process."""
    driver = _values(connection)["driver"]
    if driver in _DLT_DRIVERS:
        return {}
    (folder / "odbcinst.ini").write_text(f"[{_DLT_DRIVERS[0]}]\nDriver={driver}\n", "utf-8")
    return {"ODBCSYSINI": str(folder)}


TOOLS = (
    Tool(
        "pipeline", "seconds of customer_dim as the run reports them: read ahead, stage, check, "
        "gate, merge in batches, count",
        'customer_dim WHERE "is_inferred" = 0', (_FIRST, _RERUN), run_pipeline,
    ),
    Tool(
        "to_sql, default", "DataFrame.to_sql alone, inserts only, into an empty table without key",
        "customers", (_FIRST,), to_sql_with(None),
    ),
    Tool(
        "to_sql, 10,000", "the same with chunksize=10000",
        "customers", (_FIRST,), to_sql_with(10_000),
    ),
    Tool(
        "dlt", "pipeline.run alone, upsert of an Arrow table",
        "bench.customer_dim", (_FIRST, _RERUN), run_dlt,
    ),
)  # fmt: skip


# ---- the rows ----


def _rows(place: Place) -> pa.Table:
    with pa.OSFile(str(place.sources / "rows.arrow")) as file:
        return pa.ipc.open_file(file).read_all()


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
    return kept.select([column.name for column in _COLUMNS])


def checksum(records: Sequence[Sequence[object]]) -> str:
    """SHA-256 over (customer_id, name, email), in the order of the key by code point."""
    ordered = sorted(map(list, records), key=lambda record: str(record[0]))
    return hashlib.sha256(json.dumps(ordered).encode()).hexdigest()


def require_equal(tool: Tool, connection: str, expected: pa.Table) -> None:
    """Compares what a tool has written with what it was given.

    Raises:
        BenchmarkError: it is something else.
    """
    names = ["customer_id", "name", "email"]
    with closing(odbc_connections.connect(connection)) as opened:
        query = f'SELECT "{names[0]}", "{names[1]}", "{names[2]}" FROM {tool.table};'  # noqa: S608  # our own names
        found = opened.execute(query).fetchall()
    wanted = list(zip(*(expected[name].to_pylist() for name in names), strict=True))
    if len(found) != len(wanted) or checksum(found) != checksum(wanted):
        raise BenchmarkError(
            f"{tool.name} wrote {len(found)} rows, {checksum(found)[:12]}, where {len(wanted)}, "
            f"{checksum(wanted)[:12]} were given; nothing can be compared"
        )


# ---- databases and processes ----


@contextmanager
def fresh_database(server: str, name: str) -> Iterator[str]:
    """A new database, dropped at the end; yields the connection string that names it."""
    target = odbc_connections.target_of(parse(server), installed_drivers())
    pairs = [pair for pair in parse(target.text) if pair[0].lower() != "database"]
    with closing(odbc_connections.connect(joined([*pairs, ("Database", "master")]))) as connection:
        connection.execute(f'CREATE DATABASE "{name}";')
        try:
            yield joined([*pairs, ("Database", name)])
        finally:
            _drop(connection, name)


def _drop(connection: Any, name: str) -> None:
    """Drops a database; a connection that was closed may hold it a moment longer."""
    for _ in range(_DROP_ATTEMPTS - 1):
        with suppress(Exception):  # the last attempt tells
            connection.execute(f'DROP DATABASE "{name}";')
            return
        time.sleep(0.5)
    connection.execute(f'DROP DATABASE "{name}";')


def measure(tool: Tool, folder: Path, server: str, expected: pa.Table) -> dict[str, Timed]:
    """All phases of one tool in a database of its own."""
    name = f"etl_bench_{os.getpid()}_{time.time_ns() // 1_000_000}"
    own = folder / name
    own.mkdir()
    timed: dict[str, Timed] = {}
    with fresh_database(server, name) as connection:
        for phase in tool.phases:
            timed[phase] = _in_process(tool, phase, Place(folder, own, connection))
            require_equal(tool, connection, expected)
    return timed


def _in_process(tool: Tool, phase: str, place: Place) -> Timed:
    own = {"BENCHMARK_CONNECTION": place.connection, "PYTHONUTF8": "1"}
    extra = dlt_environment(place.own, place.connection) if tool.name == "dlt" else {}
    arguments = ["--child", tool.name, phase, str(place.sources), str(place.own)]
    started = time.perf_counter()
    result = subprocess.run(  # noqa: S603
        [sys.executable, str(Path(__file__).resolve()), *arguments],
        env={**os.environ, **own, **extra}, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    process = time.perf_counter() - started
    if result.returncode:
        secrets = odbc_connections.target_of(parse(place.connection), installed_drivers()).passwords
        told = masked(result.stderr[-4000:], secrets)
        raise BenchmarkError(f"{tool.name}, {phase}, failed:\n{told}")
    return Timed(float(result.stdout.splitlines()[-1]), process)


def run_child(arguments: Sequence[str]) -> None:
    """One phase of one tool; its seconds are the last line on stdout."""
    name, phase, sources, own = arguments
    (tool,) = [tool for tool in TOOLS if tool.name == name]
    place = Place(Path(sources), Path(own), os.environ["BENCHMARK_CONNECTION"])
    sys.stdout.write(f"{tool.run(place, phase)}\n")


# ---- telling ----

Results = dict[str, list[dict[str, Timed]]]


def _median(results: Results, tool: str, phase: str, field: int = 0) -> float:
    return statistics.median(timed[phase][field] for timed in results[tool])


def _cells(results: Results, tool: Tool, phase: str) -> tuple[str, str]:
    if phase not in tool.phases:
        return "-", "-"
    work, process = (_median(results, tool.name, phase, field) for field in (0, 1))
    return f"{work:.2f}", f"{process:.2f}"


def table(results: Results, rows: int) -> Grid:
    """The measurements, a tool per line."""
    grid = Grid(title=f"{rows:,} customers, medians in seconds")
    for heading in ("tool", "first load", "process", "rerun", "process", "rows", "ratio"):
        grid.add_column(heading, justify="left" if heading == "tool" else "right", no_wrap=True)
    own = _median(results, "pipeline", _FIRST)
    for tool in TOOLS:
        measured = [*_cells(results, tool, _FIRST), *_cells(results, tool, _RERUN)]
        ratio = _median(results, tool.name, _FIRST) / own
        grid.add_row(tool.name, *measured, f"{rows:,}", f"{ratio:.2f}")
    return grid


def ratios(results: Results) -> Iterator[str]:
    """The figures that the speed is judged by."""
    own = _median(results, "pipeline", _FIRST)
    default, chunked = (_median(results, tool.name, _FIRST) for tool in TOOLS[1:3])
    yield f"pipeline / to_sql, best setting: {own / min(default, chunked):.2f}"
    yield f"pipeline / to_sql, default: {own / default:.2f}"
    yield f"dlt / pipeline, first load: {_median(results, 'dlt', _FIRST) / own:.2f}"
    reruns = [_median(results, name, _RERUN) for name in ("dlt", "pipeline")]
    yield f"dlt / pipeline, unchanged rerun: {reruns[0] / reruns[1]:.2f}"


def show(console: Console, results: Results, rows: int) -> None:
    """Prints everything that was found out."""
    console.print(table(results, rows))
    for tool in TOOLS:
        console.print(f"{tool.name}: {tool.timed}", highlight=False)
    console.print(
        "dlt: texts sized as in customer_dim, files of 25,000 rows loaded side by side, telemetry "
        "off; a server that reports a missing table in PostgreSQL's words is understood. Without "
        "an ADBC driver for mssql, which dlt does not bring along, it inserts by statements of "
        "1,000 rows."
    )
    console.print("Rows and a checksum of (customer_id, name, email) are equal throughout.")
    for line in ratios(results):
        console.print(line)


# ---- the command ----


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(
        description="Compares loads of the same customers into SQL Server.",
        epilog=f"example:\n  {VARIABLE}='Server=sql01,1433;UID=etl;PWD=...' \\\n"
        "    python benchmarks/sql_server_load.py --customers 100000 --rounds 3\n\n"
        "BATCH_SIZE in the environment is passed on to the pipeline.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--customers", type=at_least_one, default=100_000, metavar="N",
                      help="records in the file, dirty ones included (100000)")  # fmt: skip
    made.add_argument("--rounds", type=at_least_one, default=3, metavar="N",
                      help="each tool once a round; medians are shown (3)")  # fmt: skip
    return made


def _server() -> str:
    """The connection string.

    Raises:
        BenchmarkError: it is not set, or a package is missing.
    """
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise BenchmarkError(
            f"missing: {', '.join(missing)}; pip install -r benchmarks/requirements.txt"
        )
    server = os.environ.get(VARIABLE, "")
    if not server:
        raise BenchmarkError(
            f"{VARIABLE} is not set; give it an ODBC string of a SQL Server whose login may "
            "create databases, such as Server=sql01,1433;UID=etl;PWD=...;Encrypt=yes"
        )
    return server


def compare(console: Console, customers: int, rounds: int) -> None:
    """Measures all tools in turns and shows the result."""
    server = _server()
    results: Results = {tool.name: [] for tool in TOOLS}
    with TemporaryDirectory(prefix="etl-bench-") as name:
        expected = make_sources(Path(name), customers)
        for number in range(1, rounds + 1):
            turn = number % len(TOOLS)  # so that none always follows the same one
            for tool in (*TOOLS[turn:], *TOOLS[:turn]):
                timed = measure(tool, Path(name), server, expected)
                results[tool.name].append(timed)
                told = ", ".join(f"{phase} {t.work:.2f} s" for phase, t in timed.items())
                console.print(f"round {number}, {tool.name}: {told}", highlight=False)
    console.print(", ".join(f"{name} {version(name)}" for name in (*_PACKAGES, "pyodbc")))
    show(console, results, expected.num_rows)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["--child"]:
        run_child(arguments[1:])
        return 0
    given = parser().parse_args(arguments)
    try:
        compare(Console(), given.customers, given.rounds)
    except BenchmarkError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, highlight=False)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
