"""Ways of bringing sales into PostgreSQL: row by row or in bulk, sizes of chunks, indexes, when.

    python benchmarks/postgresql_bulk.py --rows 200000

Each way fills an empty `sales_fact` with its key, indexes and references, in one transaction. Row
by row is measured on a twentieth of the rows. CPU seconds are those of this process and of the
server's process beside it, from /proc; the server is a private one, started from the installed
binaries.
"""

import argparse
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
from measuring import ROOT, BenchmarkError, at_least_one, exit_code_of
from pyarrow import csv
from rich.console import Console

sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from etl.engines.database import DatabaseManager  # noqa: E402  # the path comes first
from etl.schema.star import SALES_FACT  # noqa: E402
from etl.warehouse import filling  # noqa: E402
from etl.warehouse.tables import create_tables  # noqa: E402

_TICKS = os.sysconf("SC_CLK_TCK")
_ROW_BY_ROW = 20  # of so many rows one is taken
_NAMES = [column.name for column in SALES_FACT.columns]
_INTO = f"sales_fact ({', '.join(_NAMES)})"

# Takes the rows, in an open transaction.
Load = Callable[[psycopg.Connection, pa.Table], None]


def sales(rows: int) -> pa.Table:
    """Return sales of a third as many customers, their ids in no order."""
    numbers = np.arange(rows)
    mixed = numbers * 7_919 % 1_000_003
    at = np.datetime64(datetime(2024, 1, 1), "us") + (mixed * 31).astype("timedelta64[s]")
    constants = {
        "quantity": 2, "unit_price": "5.00", "discount_amount": "0.00", "total_amount": "10.00",
        "profit_amount": "4.00", "profit_margin": "0.4000", "commission": "0.30",
        "value_tier": "Low Value", "customer_status": "Repeat", "sales_rep_id": "R1",
        "created_date": "2024-01-20 00:00:00", "updated_date": "2024-01-20 00:00:00",
    }  # fmt: skip
    columns = {name: pa.array([value] * rows) for name, value in constants.items()}
    columns["transaction_id"] = pa.array(np.char.add("T", mixed.astype(str)))
    columns["customer_id"] = pa.array(np.char.add("C", (mixed % max(rows // 3, 1)).astype(str)))
    columns["product_id"] = pa.array(np.char.add("P", (numbers % 1000).astype(str)))
    columns["transaction_date"] = pa.array(at)
    return pa.table({name: columns[name] for name in _NAMES})


def _records(rows: pa.Table) -> list[tuple[object, ...]]:
    return list(zip(*(column.to_pylist() for column in rows.columns), strict=True))


def row_by_row(connection: psycopg.Connection, rows: pa.Table) -> None:
    """One INSERT, and one answer, per row."""
    marks = ", ".join(["%s"] * len(_NAMES))
    for record in _records(rows):
        connection.execute(f"INSERT INTO {_INTO} VALUES ({marks})".encode(), record)  # noqa: S608


def insert_many(connection: psycopg.Connection, rows: pa.Table) -> None:
    """`executemany`, whose rows go together."""
    marks = ", ".join(["%s"] * len(_NAMES))
    statement = f"INSERT INTO {_INTO} VALUES ({marks})"  # noqa: S608  # our own names
    with connection.cursor() as cursor:
        cursor.executemany(statement.encode(), _records(rows))


def copy_in(chunk_rows: int) -> Load:
    """COPY of CSV that Arrow writes, so many rows at a time."""

    def load(connection: psycopg.Connection, rows: pa.Table) -> None:
        for start in range(0, rows.num_rows, chunk_rows):
            text = pa.BufferOutputStream()
            options = csv.WriteOptions(include_header=False)
            csv.write_csv(rows.slice(start, chunk_rows), text, options)
            with connection.cursor().copy(f"COPY {_INTO} FROM STDIN (FORMAT csv)".encode()) as to:
                to.write(text.getvalue())

    return load


def indexes_after(connection: psycopg.Connection, rows: pa.Table) -> None:
    """COPY into the table without indexes and keys, which are made at the end."""
    query = filling_query()
    found = connection.execute(query.encode()).fetchall()
    for drop, *_ in found:
        connection.execute(drop.encode())
    copy_in(50_000)(connection, rows)
    for _, make, _ in reversed(found):
        connection.execute(make.encode())


def filling_query() -> str:
    """The query by which a load finds what it makes after filling a table."""
    postgresql = import_module("etl.engines.postgresql_dialect").POSTGRESQL
    return str(postgresql.indexes.format(quoted=f'"{SALES_FACT.name}"'))


WAYS: Sequence[tuple[str, Load, int]] = (
    ("INSERT, row by row", row_by_row, _ROW_BY_ROW),
    ("INSERT, executemany", insert_many, 1),
    *((f"COPY, {n:,} rows at a time", copy_in(n), 1) for n in (1_000, 10_000, 50_000, 1_000_000)),
    ("COPY, indexes and keys made afterwards", indexes_after, 1),
)


def cpu_of(process: int) -> float:
    """CPU seconds of a process, from /proc."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def own_cpu() -> float:
    """CPU seconds of this one."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(url: str, load: Load, rows: pa.Table) -> tuple[float, float]:
    """Fill the table once; return the CPU seconds of the client and of the server."""
    with psycopg.connect(url) as connection:
        connection.execute("TRUNCATE sales_fact")
        connection.commit()
        server, client = cpu_of(connection.info.backend_pid), own_cpu()
        load(connection, rows)
        connection.commit()
        used = own_cpu() - client, cpu_of(connection.info.backend_pid) - server
        (count,) = connection.execute("SELECT count(*) FROM sales_fact").fetchone() or (0,)
    if count != rows.num_rows:
        raise BenchmarkError(f"{count} rows came where {rows.num_rows} were sent")
    return used


def lines(url: str, rows: int) -> Iterator[str]:
    """Yield the lines of the table."""
    table = sales(rows)
    with DatabaseManager(url) as db:
        create_tables(db)
        for name, keys in (("customer", rows // 3 + 1), ("product", 1000)):
            stamps = "now(), now()"
            db.execute(
                f"INSERT INTO {name}_dim ({name}_id, created_date, updated_date) "  # noqa: S608
                f"SELECT '{name[0].upper()}' || i, {stamps} FROM generate_series(0, {keys}) AS i"
            )
    yield "| Way | rows | client, CPU s | server, CPU s | rows per CPU s |\n|---|---|---|---|---|"
    for name, load, part in WAYS:
        some = table.slice(0, max(rows // part, 1))
        client, server = measure(url, load, some)
        speed = some.num_rows / max(client + server, 0.01)
        yield f"| {name} | {some.num_rows:,} | {client:.2f} | {server:.2f} | {speed:,.0f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=at_least_one, default=200_000)
    given, console = parser.parse_args(), Console(width=110)
    own = import_module("postgres_server")
    if not own.binaries():
        raise BenchmarkError("no PostgreSQL server is installed")
    with own.PostgresServer(as_installed=True) as server:
        for line in lines(server.url, given.rows):
            console.print(line, markup=False, highlight=False)
    console.print(f"A load makes them afterwards from {filling.LEAST_ROWS:,} rows on.")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
