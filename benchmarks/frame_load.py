"""A frame of a million rows and 20 columns by `load_frame`: first load, again, a part changed.

    python benchmarks/frame_load.py --rows 1000000

On DuckDB, and on the PostgreSQL server that TEST_POSTGRESQL_CONNECTION_STRING names, or a private
one, started from the installed binaries. CPU seconds are those of this process; of a server of its
own those of the server too. A line is printed only when the counts that `load_frame` returns are
the true ones.
"""

import argparse
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
from measuring import ROOT, BenchmarkError, at_least_one, exit_code_of
from rich.console import Console

sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from data_loading import DatabaseManager, load_frame  # noqa: E402  # the path comes first

VARIABLE = "TEST_POSTGRESQL_CONNECTION_STRING"
_CHANGED = 100  # one row of so many is changed
_COUNTS = ("inserted", "updated", "unchanged", "failed", "duplicates")


def frame(rows: int) -> pa.Table:
    """Return a frame of 20 columns of all kinds, its key first."""
    numbers = np.arange(rows)
    texts = [pa.array(np.char.add("text ", (numbers % m).astype(str))) for m in (97, 991, 9973, 7)]
    money = pa.array(numbers % 100_000).cast(pa.decimal128(21, 2)).cast(pa.decimal128(12, 2))
    start = np.datetime64(datetime(2024, 1, 1), "us")
    times = pa.array(start + numbers.astype("timedelta64[s]"))
    others = {
        **{f"text{n}": text for n, text in enumerate(texts)},
        **{f"money{n}": money for n in range(3)},
        **{f"number{n}": pa.array(numbers * 3 % 1_000_003) for n in range(4)},
        **{f"share{n}": pa.array(numbers / 7) for n in range(2)},
        **{f"flag{n}": pa.array(numbers % 3 == n) for n in range(2)},
        **{f"day{n}": times.cast(pa.date32(), safe=False) for n in range(2)},
        **{f"time{n}": times for n in range(2)},
    }
    return pa.table({"order_id": pa.array(numbers), **others})


def changed(whole: pa.Table) -> pa.Table:
    """Return the frame with another text in one row of a hundred."""
    rows = pa.array(np.arange(whole.num_rows) % _CHANGED == 0)
    text = pc.if_else(rows, "changed", whole["text0"].combine_chunks())
    return whole.set_column(whole.schema.get_field_index("text0"), "text0", text)


def measure(db: DatabaseManager, rows: int, cpu_s: Callable[[], float]) -> Iterator[str]:
    """Yield a line of the table for each load.

    Raises:
        BenchmarkError: `load_frame` counted otherwise.
    """
    whole = frame(rows)
    some = -(-rows // _CHANGED)
    steps: tuple[tuple[str, pa.Table, dict[str, int]], ...] = (
        ("first load", whole, {"inserted": rows}),
        ("again", whole, {"unchanged": rows}),
        ("1 % changed", changed(whole), {"updated": some, "unchanged": rows - some}),
    )
    for name, table, expected in steps:
        before = cpu_s()
        loaded = load_frame(table, "frame", db, key="order_id")
        used = cpu_s() - before
        found = {count: loaded[count] for count in _COUNTS if loaded[count]}
        if found != expected:
            raise BenchmarkError(f"{name}: {found} where {expected} are true")
        yield f"{name:12} {used:8.1f} CPU s {loaded['duration_seconds']:8.1f} s"


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _with_servers_cpu_s() -> float:
    """This process and those that it has started, with their own ones that have ended."""
    started = [process.cpu_times() for process in psutil.Process().children(recursive=True)]
    fields = ("user", "system", "children_user", "children_system")
    return _own_cpu_s() + sum(float(getattr(t, name)) for t in started for name in fields)


@contextmanager
def _postgresql() -> Iterator[tuple[str, Callable[[], float]]]:
    if given := os.environ.get(VARIABLE, ""):
        yield given, _own_cpu_s
        return
    own: Any = import_module("postgres_server")
    if not own.binaries():
        raise BenchmarkError(f"{VARIABLE} is not set, and no PostgreSQL server is installed")
    with own.PostgresServer(as_installed=True) as server:
        yield server.url, _with_servers_cpu_s


def run(rows: int) -> None:
    """Measure both engines and print a table each."""
    with TemporaryDirectory(prefix="etl-bench-") as folder:
        _print("DuckDB", f"duckdb:///{folder}/frame.duckdb", rows, _own_cpu_s)
    with _postgresql() as (url, cpu_s):
        _print("PostgreSQL", url, rows, cpu_s)


def _print(engine: str, connection: str, rows: int, cpu_s: Callable[[], float]) -> None:
    console = Console(highlight=False)
    console.print(f"{engine}, {rows:,} rows, 20 columns")
    with DatabaseManager(connection) as db:
        for line in measure(db, rows, cpu_s):
            console.print(f"  {line}")


def main() -> int:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=at_least_one, default=1_000_000, metavar="N")
    rows = parser.parse_args().rows
    return exit_code_of(lambda: run(rows))


if __name__ == "__main__":
    sys.exit(main())
