"""What a night costs as the warehouse grows: one day after the other onto a large one.

    python benchmarks/nights.py --customers 1000000 --sales 10000000 --night 30000 --nights 30

Each night brings the sales of its day and, once more, those of the days before it that a plain run
reads again. The files of customers and products are written again every night, with the same
content for a week, then with a tenth of the records changed. Every run is a process of its own.
"""

import argparse
import shutil
import statistics
import sys
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench_data import MASTERS, Sizes, sizes_of, write_changed_masters, write_first, write_sales_of
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
_FIRST_NIGHT = date(2024, 2, 1)
_LAG_DAYS = 3  # that a plain run reads again
_WEEK = 7
_HEAD = "| Night | masters | seconds | CPU s | peak |"


class Night(NamedTuple):
    """One run; number 0 is the first load."""

    number: int
    masters: str
    measured: Measured

    def line(self) -> str:
        """A line of the table."""
        took = self.measured
        return (
            f"| {self.number or 'first load'} | {self.masters} | {took.seconds:.1f} "
            f"| {took.cpu_s:.1f} | {took.peak_mb:,.0f} MB |"
        )


def nights_of(given: argparse.Namespace, folder: Path) -> Iterator[Night]:
    """Load everything once, then night after night."""
    sizes = sizes_of(given.customers, given.sales)
    masters, own, incoming = [folder / "first", folder / "changed"], folder / "own", folder / "in"
    write_first(masters[0], sizes, _SEED)
    for made in (masters[1], own, incoming):
        made.mkdir()
    write_changed_masters(masters[1], sizes, _SEED)
    yield Night(0, "new", run_pipeline(masters[0], own))
    for number in range(1, given.nights + 1):
        for name in MASTERS:
            shutil.copyfile(masters[number // _WEEK % 2] / name, incoming / name)
        _write_sales(incoming, folder, number, sizes._replace(sales=given.night))
        words = "unchanged" if number % _WEEK else "a tenth changed"
        yield Night(number, words, run_pipeline(incoming, own, given.arguments))


def _write_sales(incoming: Path, folder: Path, number: int, sizes: Sizes) -> None:
    """Writes the sales of a night behind those of the nights that are read again."""
    day = _FIRST_NIGHT + timedelta(days=number)
    write_sales_of(folder / f"{number}.csv", sizes, _SEED + number, day)
    days = [folder / f"{n}.csv" for n in range(max(1, number - _LAG_DAYS), number + 1)]
    with (incoming / "sales_transactions.csv").open("wb") as file:
        for place, each in enumerate(days):
            _, _, records = (content := each.read_bytes()).partition(b"\n")
            file.write(records if place else content)


def summary_of(nights: Sequence[Night]) -> str:
    """The medians of the quiet nights at the beginning and at the end."""
    quiet = [night.measured.cpu_s for night in nights if night.masters == "unchanged"]
    half = max(1, len(quiet) // 2)
    early, late = statistics.median(quiet[:half]), statistics.median(quiet[-half:])
    return f"CPU s of a quiet night: {early:.2f} in the first half, {late:.2f} in the second"


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = files_parser(
        "Measures one night after the other onto a large warehouse.",
        "python benchmarks/nights.py --customers 10000 --sales 100000 --night 1000 --nights 8",
        rounds=1,
    )
    made.add_argument("--night", type=at_least_one, default=30_000, metavar="N",
                      help="sales of a night (30000)")  # fmt: skip
    made.add_argument("--nights", type=at_least_one, default=30, metavar="N",
                      help="how many nights (30)")  # fmt: skip
    made.add_argument("--arguments", nargs=argparse.REMAINDER, default=[],
                      help="what follows is passed to the pipeline")  # fmt: skip
    return made


def measure(given: argparse.Namespace) -> None:
    """Prints the table, a line as soon as it is known."""
    console = Console(soft_wrap=True, markup=False, highlight=False)
    console.print(_HEAD, "|---" * 5 + "|", sep="\n")
    nights = []
    with working_folder(given.folder) as folder:
        for night in nights_of(given, folder):
            nights.append(night)
            console.print(night.line())
    console.print(summary_of(nights))


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    return exit_code_of(partial(measure, parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
