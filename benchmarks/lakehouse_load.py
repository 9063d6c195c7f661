"""What it costs to publish: the same nights into a DuckDB warehouse and into a lakehouse.

    python benchmarks/lakehouse_load.py --customers 1000000 --sales 3000000 --rounds 1

Every measurement is a process of its own, start and imports included. Both take turns.
"""

import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from bench_data import FIRST_DAY, LAST_DAY, sizes_of, write_first, write_sales_of
from measuring import (
    DUCKDB_FILE,
    Measured,
    exit_code_of,
    figures_of,
    files_parser,
    run_pipeline,
    working_folder,
)
from rich.console import Console
from rich.table import Table

SEED = 20240120
LAKE = "delta:///{own}/lake"
NIGHT_SHARE = 100  # a night brings one sale for so many that are there
DAY = date(2025, 2, 1)


class Night(NamedTuple):
    """One run; those of a warehouse follow each other."""

    name: str
    folder: str
    arguments: Sequence[str]
    loses_copy: bool = False


NIGHTS = (
    Night("first load", "first", ["--start-date", FIRST_DAY, "--end-date", LAST_DAY]),
    Night("a night with a hundredth more sales", "night", ["--date", str(DAY)]),
    Night("the same night again", "night", ["--date", str(DAY)]),
    Night("the same, the working copy lost", "night", ["--date", str(DAY)], loses_copy=True),
)


def measured(folder: Path, own: Path, form: str) -> Iterator[Measured]:
    """The nights of one warehouse."""
    for night in NIGHTS:
        if night.loses_copy:
            shutil.rmtree(own / "lake" / "_work", ignore_errors=True)
        yield run_pipeline(folder / night.folder, own, night.arguments, form=form)


def write_nights(folder: Path, customers: int, sales: int) -> None:
    """Writes the sources of both nights."""
    write_first(folder / "first", sizes_of(customers, sales), SEED)
    shutil.copytree(folder / "first", folder / "night")
    sizes = sizes_of(customers, max(sales // NIGHT_SHARE, 1))
    write_sales_of(folder / "night" / "sales_transactions.csv", sizes, SEED, DAY)


def work() -> None:
    """Measures, and prints a table."""
    arguments = files_parser(
        "What it costs to publish in a lakehouse.", "python benchmarks/lakehouse_load.py", rounds=1
    ).parse_args()
    runs: dict[tuple[str, str], list[Measured]] = {}
    with working_folder(arguments.folder) as folder:
        write_nights(folder, arguments.customers, arguments.sales)
        for number in range(arguments.rounds):
            turns = {
                name: measured(folder, _made(folder / f"{name}_{number}"), form)
                for name, form in (("DuckDB", DUCKDB_FILE), ("lakehouse", LAKE))
            }
            for night in NIGHTS:
                for name, turn in turns.items():
                    runs.setdefault((night.name, name), []).append(next(turn))
    Console(width=100).print(table_of(runs))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def table_of(runs: dict[tuple[str, str], list[Measured]]) -> Table:
    """The medians of each night, beside those of DuckDB alone."""
    table = Table("", "", "s", "CPU s", "of DuckDB", "peak MB")
    for night in NIGHTS:
        plain = sorted(each.cpu_s for each in runs[night.name, "DuckDB"])
        for name in ("DuckDB", "lakehouse"):
            figures = figures_of(runs[night.name, name], plain[len(plain) // 2], decimals=1)
            table.add_row(night.name, name, *figures)
    return table


if __name__ == "__main__":
    sys.exit(exit_code_of(work))
