"""Customers into PostgreSQL: this pipeline, COPY, INSERT, `DataFrame.to_sql`, dlt; in turns.

    pip install -r benchmarks/requirements.txt
    python benchmarks/postgresql_load.py --customers 100000 --rounds 3

Every measurement has a process and a database of its own on the server that
TEST_POSTGRESQL_CONNECTION_STRING names; when it is not set, on a private one, started from the
installed binaries with PostgreSQL's own settings. After each, the number of rows and a checksum
are compared, so that only equal work is.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
import pyarrow as pa
import server_load
from measuring import ROOT, BenchmarkError
from psycopg import sql
from pyarrow import csv
from server_load import COLUMNS, FIRST, RERUN, Comparison, Dlt, Place, Ratio, Tool

from etl.engines.dialect import listed
from etl.engines.postgresql_dialect import POSTGRESQL

sys.path.append(str(ROOT / "tests"))

VARIABLE = "TEST_POSTGRESQL_CONNECTION_STRING"
_BATCH_ROWS = 1000
_MULTI_ROWS = 100  # of 100, 500, 1,000 and 5,000 the fastest: SQLAlchemy names every single value

# Takes the rows, in an open transaction.
Load = Callable[[psycopg.Connection, pa.Table], None]


# ---- psycopg ----


def by_psycopg(load: Load) -> Callable[[Place, str], float]:
    """A load into a plain table, in one transaction."""

    def run(place: Place, _phase: str) -> float:
        rows = place.rows()
        with closing(psycopg.connect(place.connection)) as connection:
            connection.execute(server_load.plain_table(POSTGRESQL).encode())
            connection.commit()
            started = time.perf_counter()
            load(connection, rows)
            connection.commit()
            return time.perf_counter() - started

    return run


def _records(rows: pa.Table) -> Iterator[tuple[object, ...]]:
    return zip(*(column.to_pylist() for column in rows.columns), strict=True)


def copy_text(connection: psycopg.Connection, rows: pa.Table) -> None:
    """COPY of the whole table as CSV that Arrow writes: the fastest way in."""
    text = pa.BufferOutputStream()
    csv.write_csv(rows, text, csv.WriteOptions(include_header=False, quoting_style="all_valid"))
    statement = f"COPY customers ({listed(COLUMNS)}) FROM STDIN (FORMAT csv)"
    with connection.cursor().copy(statement.encode()) as copy:
        copy.write(text.getvalue())


def copy_records(connection: psycopg.Connection, rows: pa.Table) -> None:
    """COPY by `write_row`, a tuple after the other."""
    statement = f"COPY customers ({listed(COLUMNS)}) FROM STDIN"
    with connection.cursor().copy(statement.encode()) as copy:
        for record in _records(rows):
            copy.write_row(record)


def insert_many(connection: psycopg.Connection, rows: pa.Table) -> None:
    """INSERT by `executemany`, so many rows at a time."""
    marks = ", ".join(["%s"] * len(COLUMNS))
    statement = f"INSERT INTO customers ({listed(COLUMNS)}) VALUES ({marks})"  # noqa: S608  # our own names
    with connection.cursor() as cursor:
        for start in range(0, rows.num_rows, _BATCH_ROWS):
            cursor.executemany(statement.encode(), _records(rows.slice(start, _BATCH_ROWS)))


# ---- DataFrame.to_sql ----


def to_sql_with(**options: Any) -> Callable[[Place, str], float]:
    """`DataFrame.to_sql` by SQLAlchemy and psycopg, with these options."""

    def run(place: Place, _phase: str) -> float:
        frame = place.rows().to_pandas(date_as_object=True)
        url = urlsplit(place.connection)._replace(scheme="postgresql+psycopg")
        engine = import_module("sqlalchemy").create_engine(urlunsplit(url))
        with psycopg.connect(place.connection) as connection:
            connection.execute(server_load.plain_table(POSTGRESQL).encode())
        with engine.connect():  # what SQLAlchemy asks of a server once
            pass
        started = time.perf_counter()
        frame.to_sql("customers", engine, if_exists="append", index=False, **options)
        return time.perf_counter() - started

    return run


# ---- dlt ----


def _dlt_destination(connection: str) -> Any:
    url = urlsplit(connection)
    return import_module("dlt").destinations.postgres(
        credentials={
            "host": url.hostname or "localhost",
            "port": url.port or 5432,
            "database": url.path.removeprefix("/"),
            "username": unquote(url.username or ""),
            "password": unquote(url.password or "") or "none",  # it does not do without
        }
    )


# ---- the server ----


@contextmanager
def _server() -> Iterator[str]:
    given = os.environ.get(VARIABLE, "")
    if given:
        yield given
        return
    own = import_module("postgres_server")
    if not own.binaries():
        raise BenchmarkError(
            f"{VARIABLE} is not set, and no PostgreSQL server is installed; name one whose login "
            "may create databases, such as postgresql://etl:password@host:5432/postgres"
        )
    with own.PostgresServer(as_installed=True) as server:
        yield server.url


@contextmanager
def _fresh_database(server: str, name: str) -> Iterator[str]:
    known = sql.Identifier(name)
    with closing(psycopg.connect(server, autocommit=True)) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(known))
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:  # which ends in a checkpoint: the next one begins without a debt
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(known))


def _query(connection: str, query: str) -> Sequence[Sequence[object]]:
    with psycopg.connect(connection) as opened:
        return opened.execute(query.encode()).fetchall()


def _masked(text: str, connection: str) -> str:
    password = urlsplit(connection).password
    return text.replace(password, "***").replace(unquote(password), "***") if password else text


# ---- what is compared ----

_COPIES = ("COPY, CSV", "COPY, rows")
_TO_SQL = ("to_sql, default", "to_sql, multi")
_DLTS = ("dlt, default", "dlt, CSV")
_BY_INSERT = Dlt(_dlt_destination, sized=True)
_BY_COPY = Dlt(_dlt_destination, sized=True, options={"loader_file_format": "csv"})


def _first_loads() -> Iterator[Tool]:
    """What only appends, to a table without a key."""
    for name, timed, run in (
        (_COPIES[0], "rows as CSV by Arrow, COPY, commit", by_psycopg(copy_text)),
        (_COPIES[1], "COPY by psycopg's write_row, commit", by_psycopg(copy_records)),
        ("INSERT", "psycopg's executemany, 1,000 rows at a time, commit", by_psycopg(insert_many)),
        (_TO_SQL[0], "DataFrame.to_sql alone, by SQLAlchemy and psycopg", to_sql_with()),
        (_TO_SQL[1], f'the same with method="multi", chunksize={_MULTI_ROWS}',
         to_sql_with(method="multi", chunksize=_MULTI_ROWS)),
    ):  # fmt: skip
        yield Tool(name, timed, "customers", (FIRST,), run)


COMPARISON = Comparison(
    script=str(Path(__file__).resolve()),
    server="PostgreSQL",
    example=f"{VARIABLE}=postgresql://etl:password@host:5432/postgres",
    packages=("pandas", "sqlalchemy", "dlt"),
    versions=("pandas", "sqlalchemy", "dlt", "psycopg"),
    tools=(
        server_load.pipeline(
            "seconds of customer_dim as the run reports them: read ahead, stage by COPY, gate, "
            "merge, count",
            false=POSTGRESQL.false,
        ),
        *_first_loads(),
        Tool(
            _DLTS[0], "pipeline.run alone, upsert of an Arrow table",
            "bench.customer_dim", (FIRST, RERUN), _BY_INSERT.run,
        ),
        Tool(
            _DLTS[1], 'the same with loader_file_format="csv", which is loaded by COPY',
            "bench.customer_dim", (FIRST, RERUN), _BY_COPY.run,
        ),
    ),
    ratios=(
        Ratio("pipeline / COPY alone", ("pipeline",), _COPIES),
        Ratio("INSERT / pipeline", ("INSERT",), ("pipeline",)),
        Ratio("to_sql, best setting / pipeline", _TO_SQL, ("pipeline",)),
        Ratio("dlt, best setting / pipeline, first load", _DLTS, ("pipeline",)),
        Ratio("dlt, best setting / pipeline, unchanged rerun", _DLTS, ("pipeline",), RERUN),
    ),
    note="dlt: texts sized as in customer_dim, files of 25,000 rows loaded side by side, telemetry "
    "off. COPY, INSERT and to_sql append the transformed rows to a table without a key.",
    open_server=_server,
    fresh_database=_fresh_database,
    query=_query,
    masked=_masked,
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(server_load.run(COMPARISON))
