"""From three files into a DuckDB warehouse: this pipeline, SQL by hand, dlt, pandas.

    pip install -r benchmarks/requirements.txt
    python benchmarks/duckdb_load.py --customers 1000000 --sales 3000000 --rounds 3

Every measurement is a process of its own, start and imports included. The tools take turns.
After each, rows and checksums of the business columns are compared, so that only equal work is.
"""

import argparse
import os
import shutil
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import duckdb
from bench_charts import Bar, bar_chart
from bench_data import DAY_BEFORE, FIRST_DAY, LAST_DAY, sizes_of, write_sources
from measuring import (
    ROOT,
    BenchmarkError,
    Measured,
    exit_code_of,
    files_parser,
    run_measured,
    run_pipeline,
    working_folder,
)
from rich.console import Console

sys.path.append(str(ROOT))

from etl.engines.dialect import quoted, sql_type
from etl.engines.duckdb import DUCKDB
from etl.schema.star import STAR_TABLES
from etl.schema.table import Role, Table

SEED = 20240120
_PACKAGES = ("dlt", "pandas", "adbc_driver_manager")
_ALL_DAYS = ["--start-date", FIRST_DAY, "--end-date", LAST_DAY]


class Scenario(NamedTuple):
    """One kind of load; the first five follow each other in one warehouse."""

    name: str
    mode: str  # as the loaders understand it
    changed: bool  # from the files in which a tenth is changed
    arguments: Sequence[str]  # of the pipeline


FIRST = Scenario("first load", "everything", False, _ALL_DAYS)
RERUN = Scenario("rerun, nothing changed", "everything", False, _ALL_DAYS)
NO_SKIP = Scenario("rerun, not skipped", "everything", False, [*_ALL_DAYS, "--no-skip"])
CHANGED = Scenario("rerun, 10 % changed", "everything", True, _ALL_DAYS)
REFRESH = Scenario("full refresh, 10 % changed", "refresh", False, ["--full-refresh"])
ONE_DAY = Scenario("the last day of 31", LAST_DAY, False, ["--date", LAST_DAY])
_UP_TO_THEN = ["--start-date", FIRST_DAY, "--end-date", DAY_BEFORE]
BEFORE = Scenario("all days before", "before", False, _UP_TO_THEN)
SCENARIOS = (FIRST, RERUN, NO_SKIP, CHANGED, REFRESH, ONE_DAY)


@dataclass(frozen=True)
class Tool:
    """One way of loading.

    Attributes:
        name: as the table shows it.
        script: what is run; empty for the pipeline itself.
        scenarios: which of them it can do.
        restates: whether it works out what depends on other records: profit, status,
            placeholders.
    """

    name: str
    script: Sequence[str]
    scenarios: Sequence[Scenario] = SCENARIOS
    restates: bool = False


PIPELINE = Tool("pipeline", [], restates=True)
MERGE = Tool("hand-written SQL", ["benchmarks/hand_written.py"], restates=True)
DLT = Tool("dlt, upsert", ["benchmarks/other_loaders.py", "dlt"])
TO_SQL = Tool("pandas to_sql", ["benchmarks/other_loaders.py", "to_sql"], (FIRST, REFRESH))
TOOLS = (PIPELINE, MERGE, DLT, TO_SQL)

# What is asked of the pipeline's speed: CPU seconds over those of another tool, at most.
TARGETS = (
    (FIRST, MERGE, 1.35), (RERUN, MERGE, 0.5), (NO_SKIP, MERGE, 1.3), (FIRST, DLT, 1 / 1.6),
    (RERUN, DLT, 1 / 3),
)  # fmt: skip


@dataclass(frozen=True)
class Sources:
    """The files, as they are first, and with a tenth changed."""

    first: Path
    changed: Path

    def of(self, scenario: Scenario) -> Path:
        """Those that a scenario reads."""
        return self.changed if scenario.changed else self.first


# ---- one measurement ----


def run_tool(tool: Tool, scenario: Scenario, sources: Path, own: Path) -> Measured:
    """One load as a process; its warehouse is `own/warehouse.duckdb`."""
    if not tool.script:
        return run_pipeline(sources, own, scenario.arguments)
    command = [*tool.script, str(own / "warehouse.duckdb"), str(sources), scenario.mode]
    return run_measured(command, own / "log.txt")


class Content(NamedTuple):
    """What a table holds: rows, and a checksum over columns in their declared types."""

    table: str
    rows: int
    checksum: int


def contents(own: Path, *, restated: bool) -> list[Content]:
    """What a tool has written.

    Args:
        own: its folder.
        restated: with profit, status and placeholders, or only what the sources bring.
    """
    with duckdb.connect(str(own / "warehouse.duckdb"), read_only=True) as connection:
        return [
            Content(table.name, *connection.execute(_checksum(table, restated)).fetchall()[0])
            for table in STAR_TABLES
        ]


def _checksum(table: Table, restated: bool) -> str:
    roles = (Role.SOURCE, Role.RESTATED) if restated else (Role.SOURCE,)
    columns = ", ".join(
        f"CAST({quoted(c.name)} AS {sql_type(DUCKDB, c)})" for c in table.with_role(*roles)
    )
    own = "" if restated or table.name == "sales_fact" else " WHERE NOT is_inferred"
    return f"SELECT count(*), sum(hash({columns})) FROM {quoted(table.name)}{own};"  # noqa: S608  # our own names


@dataclass(frozen=True)
class Round:
    """One tool's turn: all its scenarios."""

    tool: Tool
    sources: Sources
    folder: Path
    expected: dict[tuple[str, bool], list[Content]]

    def measured(self) -> Iterator[tuple[Scenario, Measured]]:
        """Runs them, and compares what they leave."""
        own = self.folder / "all"
        own.mkdir()
        for scenario in self.tool.scenarios:
            if scenario is ONE_DAY:
                shutil.rmtree(own)
                own.mkdir()
                self._before(own)
            yield scenario, run_tool(self.tool, scenario, self.sources.of(scenario), own)
            self._compare(scenario, own)
        shutil.rmtree(own)

    def _before(self, own: Path) -> None:
        """A warehouse with all days but the last, made by the tool itself."""
        run_tool(self.tool, BEFORE, self.sources.first, own)

    def _compare(self, scenario: Scenario, own: Path) -> None:
        for restated in (False, True)[: 1 + self.tool.restates]:
            found = contents(own, restated=restated)
            wanted = self.expected.setdefault((scenario.name, restated), found)
            if found != wanted:
                raise BenchmarkError(
                    f"{self.tool.name}, {scenario.name}: {found} where {wanted} was expected; "
                    "nothing can be compared"
                )


# ---- telling ----

Results = dict[tuple[str, str], list[Measured]]


def median(
    results: Results, tool: Tool, scenario: Scenario, field: str = "seconds"
) -> float | None:
    """The median of one field of a scenario's measurements; None where there are none."""
    measured = results.get((tool.name, scenario.name))
    return statistics.median(getattr(each, field) for each in measured) if measured else None


def _cell(results: Results, tool: Tool, scenario: Scenario) -> str:
    seconds, cpu_s, peak_mb = (median(results, tool, scenario, field) for field in Measured._fields)
    own = median(results, PIPELINE, scenario)
    if seconds is None or cpu_s is None or peak_mb is None:
        return "-"
    ratio = f" ({seconds / own:.2f})" if own else ""
    return f"{seconds:.1f} s{ratio}, CPU {cpu_s:.1f} s, {peak_mb:,.0f} MB"


def measured_of(results: Results) -> tuple[list[Scenario], list[Tool]]:
    """The scenarios and the tools that were measured."""
    scenarios = [each for each in SCENARIOS if any(each.name == name for _, name in results)]
    return scenarios, [tool for tool in TOOLS if any(tool.name == name for name, _ in results)]


def markdown(results: Results) -> str:
    """Seconds, ratio to the pipeline's and peak memory, a scenario per line."""
    scenarios, tools = measured_of(results)
    lines = ["| Scenario | " + " | ".join(tool.name for tool in tools) + " |"]
    lines.append("|---" * (1 + len(tools)) + "|")
    for scenario in scenarios:
        cells = [_cell(results, tool, scenario) for tool in tools]
        lines.append(f"| {scenario.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdicts(results: Results) -> Iterator[str]:
    """The targets, and whether they are met."""
    for scenario, other, limit in TARGETS:
        ratio, cpu_ratio = (_ratio(results, scenario, other, f) for f in ("seconds", "cpu_s"))
        if ratio is None or cpu_ratio is None:
            continue
        figures = f"{scenario.name}: CPU {cpu_ratio:.2f} of {other.name} (on the clock {ratio:.2f})"
        yield f"{figures}, at most {limit:.2f} wanted: {'met' if cpu_ratio <= limit else 'missed'}"


def _ratio(results: Results, scenario: Scenario, other: Tool, field: str) -> float | None:
    own, others = (median(results, tool, scenario, field) for tool in (PIPELINE, other))
    return own / others if own and others else None


def chart(results: Results, title: str) -> str:
    """The medians as bars, as SVG."""
    scenarios, tools = measured_of(results)
    groups = {
        scenario.name: [
            Bar(tool.name, seconds)
            for tool in tools
            if (seconds := median(results, tool, scenario)) is not None
        ]
        for scenario in scenarios
    }
    return bar_chart(groups, [tool.name for tool in tools], title, unit="s")


# ---- the command ----


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = files_parser(
        "Compares loads of the same files into DuckDB.",
        "python benchmarks/duckdb_load.py --customers 100000 --sales 300000",
        rounds=3,
    )
    made.add_argument("--tools", nargs="+", choices=[tool.name for tool in TOOLS], metavar="NAME",
                      default=[tool.name for tool in TOOLS], help="only these")  # fmt: skip
    made.add_argument("--scenarios", nargs="+", choices=[each.name for each in SCENARIOS],
                      metavar="NAME", default=[each.name for each in SCENARIOS],
                      help="only these; each is run after those before it")  # fmt: skip
    made.add_argument("--chart", type=Path, metavar="FILE", help="also write an SVG file")
    return made


def compare(console: Console, given: argparse.Namespace, folder: Path) -> Results:
    """Measures all tools in turns."""
    tools = [tool for tool in TOOLS if tool.name in given.tools]
    sources = Sources(*write_sources(folder, sizes_of(given.customers, given.sales), SEED))
    results: Results = {}
    expected: dict[tuple[str, bool], list[Content]] = {}
    for number in range(given.rounds):
        turn = number % len(tools)  # so that none always follows the same one
        for tool in (*tools[turn:], *tools[:turn]):
            with TemporaryDirectory(dir=folder) as own:
                one = Round(_limited(tool, given.scenarios), sources, Path(own), expected)
                for scenario, measured in one.measured():
                    results.setdefault((tool.name, scenario.name), []).append(measured)
                    reported = (
                        f"{measured.seconds:.2f} s, CPU {measured.cpu_s:.2f} s, "
                        f"{measured.peak_mb:,.0f} MB"
                    )
                    console.print(f"{number + 1}: {tool.name}, {scenario.name}: {reported}")
    return results


def _limited(tool: Tool, names: Sequence[str]) -> Tool:
    wanted = [scenario for scenario in tool.scenarios if scenario.name in names]
    return Tool(tool.name, tool.script, wanted, tool.restates)


def _require_packages() -> None:
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise BenchmarkError(
            f"missing: {', '.join(missing)}; pip install -r benchmarks/requirements.txt"
        )


def show(console: Console, results: Results, given: argparse.Namespace) -> None:
    """Prints what was found out, and writes the chart."""
    sizes = sizes_of(given.customers, given.sales)
    title = f"{sizes.customers:,} customers, {sizes.products:,} products, {sizes.sales:,} sales"
    console.print(f"\n{title}; {os.cpu_count()} cores; medians of {given.rounds}: seconds of the "
                  "whole process (over the pipeline's), CPU seconds, peak memory\n")  # fmt: skip
    console.print(markdown(results), soft_wrap=True, markup=False)
    for line in verdicts(results):
        console.print(line, soft_wrap=True)
    console.print(", ".join(f"{name} {version(name)}" for name in (*_PACKAGES, "duckdb")))
    if given.chart:
        given.chart.write_text(chart(results, title), encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    given = parser().parse_args(argv)
    return exit_code_of(lambda: _compare_and_show(given))


def _compare_and_show(given: argparse.Namespace) -> None:
    console = Console(highlight=False)
    _require_packages()
    with working_folder(given.folder) as folder:
        results = compare(console, given, folder)
    show(console, results, given)


if __name__ == "__main__":
    sys.exit(main())
