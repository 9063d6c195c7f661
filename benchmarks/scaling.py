"""How time and memory of the pipeline grow with the rows, into DuckDB.

    python benchmarks/scaling.py --customers 300000 --sales 900000 --times 1 3 10

It needs nothing but the pipeline itself. Every run is a process of its own.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench_data import FIRST_DAY, LAST_DAY, Sizes, sizes_of, write_first
from measuring import (
    Measured,
    at_least_one,
    exit_code_of,
    files_parser,
    run_pipeline,
    working_folder,
)
from rich.console import Console

_SEED = 20240120
_FIRST, _RERUN = "first load", "rerun, nothing changed"
_ALL_DAYS = ("--start-date", FIRST_DAY, "--end-date", LAST_DAY)
_HEAD = "| Customers / products / sales | Scenario | seconds | CPU s | rows per second | peak |"


class Figures(NamedTuple):
    """What the rounds of one scenario took."""

    sizes: Sizes
    scenario: str
    rounds: list[Measured]

    def line(self) -> str:
        """A line of the table: medians, and of the memory the largest."""
        seconds = statistics.median(each.seconds for each in self.rounds)
        cpu_s = statistics.median(each.cpu_s for each in self.rounds)
        peak_mb = max(each.peak_mb for each in self.rounds)
        own = " / ".join(f"{size:,}" for size in _rows(self.sizes))
        rate = sum(_rows(self.sizes)) / seconds
        return (
            f"| {own} | {self.scenario} | {seconds:.1f} | {cpu_s:.1f} | {rate:,.0f} "
            f"| {peak_mb:,.0f} MB |"
        )


def _rows(sizes: Sizes) -> tuple[int, int, int]:
    return sizes.customers, sizes.products, sizes.sales


def measured(sizes: Sizes, folder: Path, rounds: int) -> Iterator[Figures]:
    """Loads files of these sizes, and once more unchanged, in so many warehouses."""
    sources = folder / "sources"
    write_first(sources, sizes, _SEED)
    first, rerun = Figures(sizes, _FIRST, []), Figures(sizes, _RERUN, [])
    for number in range(rounds):
        own = folder / f"round-{number}"
        own.mkdir()
        first.rounds.append(run_pipeline(sources, own))
        rerun.rounds.append(run_pipeline(sources, own, _ALL_DAYS))
    yield from (first, rerun)


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = files_parser(
        "Measures the pipeline at several sizes.",
        "python benchmarks/scaling.py --customers 10000 --times 1 3 10",
        rounds=1,
    )
    made.add_argument("--products", type=at_least_one, metavar="N",
                      help="likewise, in theirs (a tenth of the customers)")  # fmt: skip
    made.add_argument("--times", type=at_least_one, nargs="+", default=[1, 3, 10], metavar="N",
                      help="how many times as many (1 3 10)")  # fmt: skip
    return made


def measure(given: argparse.Namespace) -> None:
    """Prints the table, a line as soon as it is known."""
    console = Console(soft_wrap=True, markup=False, highlight=False)
    console.print(_HEAD, "|---" * 6 + "|", sep="\n")
    for times in given.times:
        sizes = sizes_of(given.customers * times, given.sales * times)
        if given.products:
            sizes = sizes._replace(products=given.products * times)
        with working_folder(given.folder) as folder:
            for figures in measured(sizes, folder, given.rounds):
                console.print(figures.line())


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    given = parser().parse_args(argv)
    return exit_code_of(lambda: measure(given))


if __name__ == "__main__":
    sys.exit(main())
