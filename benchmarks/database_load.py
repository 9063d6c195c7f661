"""A table from PostgreSQL, MariaDB and SQLite into DuckDB: the pipeline beside dlt and ingestr.

    python benchmarks/database_load.py --rows 1000000 --rounds 3

The servers are those of the tests, on loopback, in processes of their own. Each load is a process
with its start and imports, of which the CPU seconds are counted; rows and a checksum over all
columns are compared after each. dlt reads with `sql_database`, by its backends pyarrow and, where
there is one, connectorx, and replaces the table; the pipeline checks each record and merges by key.
ingestr (below 1, later ones download a program) is run where INGESTR names it.
"""

import argparse
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
from measuring import (
    ROOT,
    BenchmarkError,
    Measured,
    at_least_one,
    exit_code_of,
    figures_of,
    run_measured,
    working_folder,
)
from rich.console import Console
from rich.table import Table

_PIPELINE_TOML = """\
[loads.sold]
source = { connection = "SHOP_DB", table = "orders" }
table = "sold"
key = ["id"]
columns = { id = "text(50)", quantity = "integer", price = "decimal(12, 2)", placed = "timestamp", \
changed = "timestamp", note = "text(40)" }
"""
_TABLE = """CREATE TABLE orders (id VARCHAR(50) PRIMARY KEY, quantity INTEGER,
    price DECIMAL(12, 2), placed {time}, changed {time}, note VARCHAR(40))"""
_FILL = {
    "postgresql": "INSERT INTO orders SELECT 'T' || lpad(i::text, 8, '0'), i % 7 + 1, i % 500 + "
    "0.25, timestamp '2024-01-01' + i * interval '1 s', timestamp '2024-01-01 00:00:00.123456' + "
    "i * interval '1 s', CASE WHEN i % 3 = 0 THEN 'note ' || i END FROM generate_series(1, {n}) i",
    "mariadb": "INSERT INTO orders SELECT concat('T', lpad(seq, 8, '0')), seq % 7 + 1, seq % 500 + "
    "0.25, '2024-01-01' + INTERVAL seq SECOND, '2024-01-01 00:00:00.123456' + INTERVAL seq SECOND, "
    "IF(seq % 3 = 0, concat('note ', seq), NULL) FROM seq_1_to_{n}",
}
_CHECKSUM = """SELECT count(*), min(id), max(id), sum(quantity), round(sum(price::decimal(12, 2)),
    2), max(placed::timestamp)::varchar, max(changed::timestamp)::varchar, count(note), max(note)
    FROM {table}"""


# --- the databases ---------------------------------------------------------------------------


@contextmanager
def databases(folder: Path, rows: int, kinds: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yields by kind the connection string of a database that holds the table."""
    sys.path.insert(0, str(ROOT / "tests"))
    with ExitStack() as stack:
        yield {kind: _MAKERS[kind](folder, rows, stack) for kind in kinds}


def _postgresql(_folder: Path, rows: int, stack: ExitStack) -> str:
    server = stack.enter_context(import_module("postgres_server").PostgresServer())
    server.execute(_TABLE.format(time="TIMESTAMP"))
    server.execute(_FILL["postgresql"].format(n=rows))
    return str(server.url)


def _mariadb(_folder: Path, rows: int, stack: ExitStack) -> str:
    server = import_module("database_servers").MariaDb()
    stack.callback(server.close)
    name = server.new_database()
    fill = _FILL["mariadb"].format(n=rows)
    server.execute(_TABLE.format(time="DATETIME(6)"), fill, database=name)
    login = "b@'127.0.0.1'"
    server.execute(f"CREATE USER {login} IDENTIFIED BY 'b'", f"GRANT ALL ON *.* TO {login}")
    return f"mysql://b:b@127.0.0.1:{server.port}/{name}"


def _sqlite(folder: Path, rows: int, _stack: ExitStack) -> str:
    path, start = folder / "shop.db", datetime(2024, 1, 1)

    def row(n: int) -> tuple[object, ...]:
        at = start + timedelta(seconds=n)
        changed = (at + timedelta(microseconds=123456)).isoformat(" ")
        note = f"note {n}" if n % 3 == 0 else None
        return (f"T{n:08}", n % 7 + 1, n % 500 + 0.25, f"{at.isoformat(' ')}.000000", changed, note)

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(_TABLE.format(time="TIMESTAMP"))
        numbers = range(1, rows + 1)
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", map(row, numbers))
    return f"sqlite:///{path}"


_MAKERS: dict[str, Callable[[Path, int, ExitStack], str]] = {
    "postgresql": _postgresql, "mariadb": _mariadb, "sqlite": _sqlite,
}  # fmt: skip


# --- the tools -------------------------------------------------------------------------------


def load_pipeline(folder: Path, url: str) -> Measured:
    """The pipeline, all of it: rejected files, gate, counts, history."""
    (folder / "pipeline.toml").write_text(_PIPELINE_TOML, encoding="utf-8")
    own = {
        "OUTPUT_DIR": str(folder / "output"), "LOG_DIR": str(folder / "logs"), "SHOP_DB": url,
        "PIPELINE_FILE": str(folder / "pipeline.toml"), "LOG_LEVEL": "ERROR",
        "DB_CONNECTION_STRING": f"duckdb:///{folder / 'warehouse.duckdb'}",
    }  # fmt: skip
    return run_measured(["etl_pipeline.py", "--only", "sold", "--json"], folder / "log.txt", own)


def _dlt(backend: str) -> Callable[[Path, str], Measured]:
    def load(folder: Path, url: str) -> Measured:
        command = [__file__, "--dlt", str(folder / "warehouse.duckdb"), url, backend]
        return run_measured(command, folder / "log.txt", {"DLT_DATA_DIR": str(folder / "dlt")})

    return load


def run_dlt(path: str, url: str, backend: str) -> None:
    """The same with dlt, in a process of its own."""
    dlt = import_module("dlt")
    sql_table = import_module("dlt.sources.sql_database").sql_table
    if backend == "pyarrow":
        url = url.replace("mysql://", "mysql+pymysql://").replace(
            "postgresql:", "postgresql+psycopg2:"
        )
    pipeline = dlt.pipeline("shop", destination=dlt.destinations.duckdb(path), dataset_name="main",
                            pipelines_dir=f"{path}.dlt")  # fmt: skip
    table: Any = sql_table(url, "orders", backend=backend, chunk_size=50_000)
    pipeline.run(table, table_name="sold", write_disposition="replace")


def load_ingestr(folder: Path, url: str) -> Measured:
    """The same with ingestr."""
    launch = "import os, sys; os.execv(os.environ['INGESTR'], ['ingestr', *sys.argv[1:]])"
    table = "public.orders" if url.startswith("postgresql") else f"{url.rpartition('/')[2]}.orders"
    return run_measured(
        ["-c", launch, "ingest", "--yes", "--source-uri", url, "--source-table",
         "main.orders" if url.startswith("sqlite") else table, "--dest-uri",
         f"duckdb:///{folder / 'warehouse.duckdb'}", "--dest-table", "main.sold"],
        folder / "log.txt", {"DISABLE_TELEMETRY": "true"},
    )  # fmt: skip


LOADS: dict[str, Callable[[Path, str], Measured]] = {
    "pipeline": load_pipeline, "dlt pyarrow": _dlt("pyarrow"), "dlt connectorx": _dlt("connectorx"),
    "ingestr": load_ingestr,
}  # fmt: skip


def checksum(folder: Path) -> tuple[object, ...]:
    """What was loaded."""
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as warehouse:
        found = warehouse.execute(_CHECKSUM.format(table="sold")).fetchone()
    return tuple(map(str, found or ()))


def compare(rows: int, rounds: int, tools: Sequence[str], kinds: Sequence[str]) -> None:
    """Load from each database with each tool in turns, and print the medians."""
    found: dict[tuple[str, str], list[Measured]] = {}
    with working_folder(None) as place, databases(place, rows, kinds) as urls:
        for kind in kinds:
            sums = dict[str, tuple[object, ...]]()
            for _ in range(rounds):
                for name in tools:
                    try:
                        with working_folder(None) as folder:
                            measured = LOADS[name](folder, urls[kind])
                            sums[name] = checksum(folder)
                    except BenchmarkError as error:
                        print(kind, name, str(error)[-1500:], file=sys.stderr)  # noqa: T201
                        continue
                    found.setdefault((kind, name), []).append(measured)
            if len(set(sums.values())) != 1:
                print(f"{kind}: the tools loaded different records: {sums}")  # noqa: T201
    _print(rows, found)


def _print(rows: int, found: dict[tuple[str, str], list[Measured]]) -> None:
    table = Table("from", "tool", "seconds", "CPU s", "CPU ratio", "peak MB",
                  title=f"{rows:,} rows into DuckDB")  # fmt: skip
    for (kind, name), runs in found.items():
        ours = median(each.cpu_s for each in found[kind, "pipeline"])
        table.add_row(kind, name, *figures_of(runs, ours, decimals=1))
    Console().print(table)


def main() -> int:
    """The command."""
    if sys.argv[1:2] == ["--dlt"]:
        run_dlt(*sys.argv[2:5])
        return 0
    parser = argparse.ArgumentParser(description="tables of databases into DuckDB")
    parser.add_argument("--rows", type=at_least_one, default=1_000_000, metavar="N")
    parser.add_argument("--rounds", type=at_least_one, default=3, metavar="N")
    usual = [name for name in LOADS if name != "ingestr" or "INGESTR" in os.environ]
    parser.add_argument("--tools", nargs="+", choices=LOADS, default=usual)
    parser.add_argument("--databases", nargs="+", choices=_MAKERS, default=[*_MAKERS])
    args = parser.parse_args()
    return exit_code_of(lambda: compare(args.rows, args.rounds, args.tools, args.databases))


if __name__ == "__main__":
    sys.exit(main())
