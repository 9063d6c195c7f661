"""Customers, products and sales into SQL Server: this pipeline, `DataFrame.to_sql` and dlt.

    pip install -r benchmarks/requirements.txt
    export TEST_SQLSERVER_CONNECTION_STRING='Server=sql01,1433;UID=etl;PWD=...;Encrypt=yes'
    python benchmarks/sql_server_star.py --customers 100000 --sales 300000 --rounds 3

A first load of 30 days, the same again, and one new day. Every measurement is a process of its own,
start and imports included, and every round of a tool has a database of its own; the tools take
turns. The number of rows of each table is compared afterwards.
"""

import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import sql_server_load as server
from bench_data import DAY_BEFORE, FIRST_DAY, LAST_DAY, sizes_of, write_first
from measuring import (
    BenchmarkError,
    Measured,
    exit_code_of,
    files_parser,
    run_measured,
    working_folder,
)
from other_loaders import rows_of
from rich.console import Console
from server_load import SEED, Place

from etl.engines import odbc
from etl.engines.dialect import quoted, sql_type
from etl.engines.sql_server_dialect import SQL_SERVER
from etl.schema.star import STAR_TABLES
from etl.schema.table import Column, Kind, Role, Table

_CONNECTION = "BENCHMARK_CONNECTION"
SCRIPT = "benchmarks/sql_server_star.py"


@dataclass(frozen=True)
class Phase:
    """One load.

    Attributes:
        mode: which sales are taken, as `other_loaders` understands it.
        arguments: of the pipeline.
    """

    name: str
    mode: str
    arguments: Sequence[str]


_MONTH = ("--start-date", FIRST_DAY, "--end-date", DAY_BEFORE)
FIRST = Phase("first load", "before", _MONTH)
RERUN = Phase("rerun, not skipped", "before", (*_MONTH, "--no-skip"))
NEW_DAY = Phase("a new day", LAST_DAY, ("--date", LAST_DAY))


@dataclass(frozen=True)
class Tool:
    """One way of loading; the pipeline itself has no loader."""

    name: str
    table: str
    phases: Sequence[Phase] = (FIRST, RERUN, NEW_DAY)
    load: Callable[[Path, str, str], None] | None = None


# ---- the others, in a process of their own ----


def _sent(table: Table) -> list[Column]:
    return list(table.with_role(Role.SOURCE))


def load_to_sql(chunk_rows: int | None, sources: Path, mode: str, connection: str) -> None:
    """`DataFrame.to_sql` with `fast_executemany` into tables with keys; it only inserts."""
    sqlalchemy = import_module("sqlalchemy")
    engine = sqlalchemy.create_engine(
        f"mssql+pyodbc:///?odbc_connect={quote_plus(connection)}", fast_executemany=True
    )
    for table in STAR_TABLES:
        columns = _sent(table)
        with closing(odbc.connect(connection)) as opened:
            opened.execute(_plain(table, columns))
        rows = rows_of(table, sources, mode).select([column.name for column in columns])
        rows.to_pandas(date_as_object=True).to_sql(
            f"plain_{table.name}", engine, if_exists="append", index=False, chunksize=chunk_rows,
            dtype={c.name: _sqlalchemy_type(sqlalchemy, c) for c in columns},
        )  # fmt: skip


def _plain(table: Table, columns: Sequence[Column]) -> str:
    """A table with its key and nothing else, as somebody makes one for `to_sql`."""
    lines = [
        f"{quoted(c.name)} {sql_type(SQL_SERVER, c)}{' NOT NULL' if c.required else ' NULL'}"
        for c in columns
    ]
    return f"CREATE TABLE plain_{table.name} ({', '.join(lines)}, PRIMARY KEY ({table.key[0]}));"


def _sqlalchemy_type(sqlalchemy: Any, column: Column) -> Any:
    types = sqlalchemy.types
    if column.kind is Kind.DECIMAL:
        return types.Numeric(column.precision, column.scale)
    if column.kind is Kind.TIMESTAMP:
        return import_module("sqlalchemy.dialects.mssql").DATETIME2(6)
    if column.kind is Kind.INTEGER:
        return types.Integer()
    return server._sqlalchemy_type(sqlalchemy, column)


def load_dlt(sources: Path, mode: str, connection: str) -> None:
    """`pipeline.run` of Arrow tables with the upsert strategy."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
    dlt = import_module("dlt")
    pipeline = dlt.pipeline(
        "bench", pipelines_dir=os.environ["BENCHMARK_FOLDER"], dataset_name="bench",
        destination=server._dlt_destination(connection),
    )  # fmt: skip
    pipeline.run([
        dlt.resource(
            rows_of(table, sources, mode).select([column.name for column in _sent(table)]),
            name=table.name, primary_key=table.key[0],
            write_disposition={"disposition": "merge", "strategy": "upsert"},
            columns={c.name: {"precision": c.width} for c in _sent(table) if c.kind is Kind.TEXT},
        )
        for table in STAR_TABLES
    ])  # fmt: skip


_TO_SQL = ("to_sql, default", "to_sql, 10,000")
TOOLS = (
    Tool("pipeline", "{}"),
    Tool(_TO_SQL[0], "plain_{}", (FIRST,), partial(load_to_sql, None)),
    Tool(_TO_SQL[1], "plain_{}", (FIRST,), partial(load_to_sql, 10_000)),
    Tool("dlt, upsert", "bench.{}", load=load_dlt),
)


# ---- measuring ----


def measure(tool: Tool, phase: Phase, place: Place) -> Measured:
    """One load as a process."""
    log, settings = place.own / "log.txt", _settings(place)
    if tool.load is None:
        return run_measured(["etl_pipeline.py", "--json", *phase.arguments], log, settings)
    settings |= server._dlt_environment(place)
    return run_measured([SCRIPT, "--child", tool.name, str(place.sources), phase.mode], log,
                        settings)  # fmt: skip


def _settings(place: Place) -> dict[str, str]:
    return {
        "INPUT_DIR": str(place.sources), "OUTPUT_DIR": str(place.own / "output"),
        "LOG_DIR": str(place.own / "logs"), "LOG_LEVEL": "ERROR",
        "DB_CONNECTION_STRING": place.connection, _CONNECTION: place.connection,
        "BENCHMARK_FOLDER": str(place.own / "dlt"),
    }  # fmt: skip


def rows_in(tool: Tool, connection: str) -> tuple[int, ...]:
    """The rows of each table of the star, placeholders aside."""
    counted = []
    for table in STAR_TABLES:
        own = tool.load is None and table.placeholder
        where = f" WHERE {quoted(table.placeholder)} = 0" if own else ""
        query = f"SELECT count(*) FROM {tool.table.format(table.name)}{where};"  # noqa: S608  # our own names
        counted += [int(str(row[0])) for row in server._query(connection, query)]
    return tuple(counted)


Results = dict[tuple[str, str], list[Measured]]


def one_round(folder: Path, connection: str, number: int, results: Results) -> None:
    """Every tool once, in an order that differs from round to round."""
    counted: dict[str, dict[str, tuple[int, ...]]] = {}
    turn = number % len(TOOLS)
    for tool in (*TOOLS[turn:], *TOOLS[:turn]):
        own = folder / f"round {number} {tool.name}"
        own.mkdir()
        with server._fresh_database(connection, f"etl_star_{os.getpid()}_{number}") as made:
            place = Place(folder / "sources", own, made)
            for phase in tool.phases:
                results.setdefault((tool.name, phase.name), []).append(measure(tool, phase, place))
                counted.setdefault(phase.name, {})[tool.name] = rows_in(tool, made)
    for name, found in counted.items():
        if len(set(found.values())) > 1:
            raise BenchmarkError(f"{name}: other rows, nothing can be compared: {found}")


def lines(results: Results) -> Iterator[str]:
    """The table, in Markdown: seconds on the clock and of the client's CPU, and their ratios."""
    yield "| Tool | Load | seconds | CPU s | seconds over ours | CPU over ours |"
    yield "|---|---|---|---|---|---|"
    for (tool, phase), runs in results.items():
        ours = results["pipeline", phase]
        figures = [_medians(each) for each in (runs, ours)]
        ratios = [f"{mine / own:.2f}" for mine, own in zip(*figures, strict=True)]
        seconds = [f"{figure:.2f}" for figure in figures[0]]
        yield f"| {' | '.join([tool, phase, *seconds, *ratios])} |"


def _medians(runs: Sequence[Measured]) -> tuple[float, float]:
    return (
        statistics.median(each.seconds for each in runs),
        statistics.median(each.cpu_s for each in runs),
    )


def compare(argv: Sequence[str]) -> None:
    """Measures all tools in turns and prints the table."""
    parser = files_parser(
        "Compares loads of the same star into SQL Server.",
        f"python {SCRIPT} --customers 20000 --sales 60000 --rounds 1", rounds=3,
    )  # fmt: skip
    given = parser.parse_args(argv)
    results: Results = {}
    with server._server() as connection, working_folder(given.folder) as folder:
        write_first(folder / "sources", sizes_of(given.customers, given.sales), SEED)
        for number in range(given.rounds):
            one_round(folder, connection, number, results)
    console = Console()
    for line in lines(results):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def run_child(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> None:
    """One load of one tool."""
    name, sources, mode = arguments
    (load,) = [tool.load for tool in TOOLS if tool.name == name and tool.load]
    load(Path(sources), mode, environment[_CONNECTION])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        run_child(sys.argv[2:])
    else:
        sys.exit(exit_code_of(lambda: compare(sys.argv[1:])))
