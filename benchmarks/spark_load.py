"""What the same files cost on one machine by itself, and on one machine by Spark, into DuckDB.

    python benchmarks/spark_load.py --customers 33000 --sales 100000 --master local[2]

CPU seconds and memory are those of all processes together: the program, Java, and its Python
workers. Memory that several of them share counts once for each.
"""

import argparse
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import psutil
from bench_data import sizes_of, write_first
from measuring import ROOT, BenchmarkError, Measured, at_least_one, files_parser, working_folder
from rich.console import Console

_SEED = 20240120
_LOOK_S = 0.2
_MB = 2**20
_HEAD = "| Sales | Where | seconds | CPU s | ratio | peak of all processes |"
_COUNTS = (
    "SELECT table_name, rows_read, rows_inserted, rows_rejected, rows_duplicate FROM etl_load "
    "ORDER BY table_name"
)


class Tree:
    """Watches a process and all that it starts: their CPU seconds, and their memory at its most."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._cpu_s: dict[tuple[int, float], float] = {}
        self._over = threading.Event()
        self.peak_mb = 0.0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_S):
            with suppress(psutil.Error):
                self._look([self._root, *self._root.children(recursive=True)])

    def _look(self, processes: Sequence[psutil.Process]) -> None:
        memory = 0
        for process in processes:
            with suppress(psutil.Error):
                used = process.cpu_times()
                self._cpu_s[process.pid, process.create_time()] = used.user + used.system
                memory += process.memory_info().rss
        self.peak_mb = max(self.peak_mb, memory / _MB)

    def end(self) -> float:
        """Stop watching; return the CPU seconds."""
        self._over.set()
        self._thread.join()
        return sum(self._cpu_s.values())


def load(sources: Path, own: Path, arguments: Sequence[str], piece_mb: int) -> Measured:
    """Loads the files into a warehouse of its own."""
    own.mkdir()
    settings = {
        "INPUT_DIR": str(sources), "OUTPUT_DIR": str(own / "output"), "LOG_DIR": str(own / "logs"),
        "SPARK_PIECE_MB": str(piece_mb), "SPARK_LOCAL_IP": "127.0.0.1",
    }  # fmt: skip
    command = [sys.executable, str(ROOT / "etl_pipeline.py"), "--json", *arguments]
    started = perf_counter()
    with (own / "log.txt").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)  # noqa: S603  # our own program
        tree = Tree(process.pid)
        code = process.wait()
    seconds = perf_counter() - started
    if code != 0:
        raise BenchmarkError((own / "log.txt").read_text(encoding="utf-8")[-4000:])
    return Measured(seconds, tree.end(), tree.peak_mb)


def counts(own: Path) -> list[tuple[object, ...]]:
    """What was loaded."""
    sys.path.insert(0, str(ROOT))
    from etl.engines.database import DatabaseManager  # noqa: PLC0415  # needs the path

    with DatabaseManager(f"duckdb:///{own}/output/dev/warehouse.duckdb") as db:
        return db.query(_COUNTS)


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = files_parser(
        "Measures the same load by itself and on Spark.",
        "python benchmarks/spark_load.py --customers 33000 --sales 100000",
        rounds=1,
    )
    made.add_argument("--master", default="local[2]", metavar="URL", help="of Spark (local[2])")
    made.add_argument("--piece-mb", type=at_least_one, default=16, metavar="N",
                      help="megabytes of a file that a task reads (16)")  # fmt: skip
    return made


def main() -> int:
    """The command."""
    args = parser().parse_args()
    spark = ("--engine", "spark", "--spark-master", args.master)
    with working_folder(args.folder) as folder:
        sources, (one, many) = folder / "sources", (folder / "one", folder / "many")
        write_first(sources, sizes_of(args.customers, args.sales), _SEED)
        alone = load(sources, one, (), args.piece_mb)
        cluster = load(sources, many, spark, args.piece_mb)
        if counts(one) != counts(many):
            raise BenchmarkError("the two loads have not done the same")
    lines = [_HEAD, "|---|---|---|---|---|---|"]
    for name, found in (("this process", alone), (f"Spark on {args.master}", cluster)):
        lines.append(
            f"| {args.sales:,} | {name} | {found.seconds:.0f} | {found.cpu_s:.1f} "
            f"| {found.cpu_s / alone.cpu_s:.1f} | {found.peak_mb:,.0f} MB |"
        )
    Console().print("\n".join(lines), highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
