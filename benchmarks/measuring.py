"""What the benchmarks share: processes with their time and peak memory, medians, arguments."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
DUCKDB_FILE = "duckdb:///{own}/warehouse.duckdb"
_SHOWN_CHARACTERS = 4000


class BenchmarkError(Exception):
    """The comparison cannot be made, or would not be one of equal work."""


class Measured(NamedTuple):
    """One process, start and imports included.

    Attributes:
        seconds: on the clock.
        cpu_s: of all its threads; says more where others use the machine.
        peak_mb: the most memory it had.
    """

    seconds: float
    cpu_s: float
    peak_mb: float


def figures_of(runs: Sequence[Measured], ours_cpu_s: float, *, decimals: int) -> tuple[str, ...]:
    """Seconds, CPU seconds, their ratio and the peak of several rounds, for a table.

    Args:
        runs: the rounds of one tool.
        ours_cpu_s: to which its CPU seconds are related.
        decimals: of the seconds.
    """
    cpu_s = median(each.cpu_s for each in runs)
    seconds = median(each.seconds for each in runs)
    peak_mb = max(each.peak_mb for each in runs)
    return (
        f"{seconds:.{decimals}f}", f"{cpu_s:.2f}", f"{cpu_s / ours_cpu_s:.2f}", f"{peak_mb:.0f}",
    )  # fmt: skip


def run_measured(command: Sequence[str], log: Path, own: Mapping[str, str] = {}) -> Measured:
    """Runs one process to its end.

    Args:
        command: what is run, with this Python.
        log: takes what it prints.
        own: environment variables on top of those that are there.

    Raises:
        BenchmarkError: it ended with another code than 0.
    """
    environment = {**os.environ, "PYTHONUTF8": "1", **own}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # nobody compiles all modules at each start
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, *command], env=environment, cwd=ROOT, stdout=file, stderr=file
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        reported = log.read_text("utf-8")[-_SHOWN_CHARACTERS:]
        raise BenchmarkError(f"{' '.join(command)} ended with {process.returncode}:\n{reported}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, else kilobytes
    cpu_s = usage.ru_utime + usage.ru_stime
    return Measured(seconds, cpu_s, usage.ru_maxrss * unit / 1e6)


def run_pipeline(
    sources: Path, own: Path, arguments: Sequence[str] = (), *, form: str = DUCKDB_FILE
) -> Measured:
    """One run of the pipeline as a process.

    Args:
        sources: the folder of the three files.
        own: takes everything that it writes; the warehouse is `warehouse.duckdb` in it.
        arguments: of the command.
        form: the connection string, `{own}` is the folder.
    """
    settings = {
        "INPUT_DIR": str(sources),
        "OUTPUT_DIR": str(own / "output"),
        "LOG_DIR": str(own / "logs"),
        "LOG_LEVEL": "ERROR",
        "DB_CONNECTION_STRING": form.format(own=own),
    }
    return run_measured(["etl_pipeline.py", "--json", *arguments], own / "log.txt", settings)


def at_least_one(text: str) -> int:
    """An argument that is a whole number of 1 or more."""
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


@contextmanager
def working_folder(given: Path | None) -> Iterator[Path]:
    """A folder that is removed afterwards, in the one given, which is made, or the system's."""
    if given:
        given.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="etl-bench-", dir=given) as name:
        yield Path(name)


def exit_code_of(work: Callable[[], None]) -> int:
    """Does the work of a command; 2, with a line on stderr, when it cannot be done."""
    try:
        work()
    except BenchmarkError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, highlight=False)
        return 2
    return 0


def files_parser(description: str, example: str, *, rounds: int) -> argparse.ArgumentParser:
    """A parser of the arguments that all loads of files have.

    Args:
        description: what the command does.
        example: a call of it.
        rounds: how many by default.
    """
    made = argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--customers", type=at_least_one, default=100_000, metavar="N",
                      help="records in the file, dirty ones included (100000)")  # fmt: skip
    made.add_argument("--sales", type=at_least_one, default=300_000, metavar="N",
                      help="likewise (300000)")  # fmt: skip
    made.add_argument("--rounds", type=at_least_one, default=rounds, metavar="N",
                      help=f"how often each is measured; medians are shown ({rounds})")  # fmt: skip
    made.add_argument("--folder", type=Path, help="where to work (a temporary folder)")
    return made
