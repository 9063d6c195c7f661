"""Customers into SQL Server: this pipeline, `DataFrame.to_sql` and dlt, the same rows, in turns.

    pip install -r benchmarks/requirements.txt
    export TEST_SQLSERVER_CONNECTION_STRING='Server=sql01,1433;UID=etl;PWD=...;Encrypt=yes'
    python benchmarks/sql_server_load.py --customers 100000 --rounds 3

Every measurement has a process and a database of its own, which the login must be allowed to
create. After each, the number of rows and a checksum are compared, so that only equal work is.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import server_load
from measuring import BenchmarkError
from server_load import COLUMNS, FIRST, RERUN, Comparison, Dlt, Place, Ratio, Tool

from etl.engines import odbc
from etl.engines.odbc import installed_drivers
from etl.engines.sql_server_dialect import SQL_SERVER
from etl.schema.table import Column, Kind
from etl.settings.connection_strings import joined, masked, parse

VARIABLE = "TEST_SQLSERVER_CONNECTION_STRING"
_DROP_ATTEMPTS = 20

# The only names by which dlt takes a driver; it refuses the path of a library.
_DLT_DRIVERS = ("ODBC Driver 18 for SQL Server", "ODBC Driver 17 for SQL Server")


# ---- DataFrame.to_sql ----


def to_sql_with(chunk_rows: int | None) -> Callable[[Place, str], float]:
    """`DataFrame.to_sql` with `fast_executemany`, in chunks of so many rows; None: its default."""

    def run(place: Place, _phase: str) -> float:
        sqlalchemy = import_module("sqlalchemy")
        frame = place.rows().to_pandas(date_as_object=True)
        types = {column.name: _sqlalchemy_type(sqlalchemy, column) for column in COLUMNS}
        engine = sqlalchemy.create_engine(
            f"mssql+pyodbc:///?odbc_connect={quote_plus(place.connection)}", fast_executemany=True
        )
        with closing(odbc.connect(place.connection)) as connection:
            connection.execute(server_load.plain_table(SQL_SERVER))
        with engine.connect():  # what SQLAlchemy asks of a server once
            pass
        started = time.perf_counter()
        frame.to_sql(
            "customers", engine, if_exists="append", index=False, dtype=types, chunksize=chunk_rows
        )
        return time.perf_counter() - started

    return run


def _sqlalchemy_type(sqlalchemy: Any, column: Column) -> Any:
    if column.kind is Kind.TEXT:
        return sqlalchemy.types.NVARCHAR(column.width)
    return {Kind.BOOLEAN: sqlalchemy.types.Boolean, Kind.DATE: sqlalchemy.types.Date}[column.kind]()


# ---- dlt ----


def _dlt_destination(connection: str) -> Any:
    _know_missing_tables()
    mssql = import_module("dlt").destinations.mssql
    return mssql(credentials=_dlt_credentials(connection))


def _know_missing_tables() -> None:
    """Lets dlt see that a table is missing where a server says so in PostgreSQL's words.

    It looks for SQL Server's SQLSTATE, and otherwise takes it for an error and ends.
    """
    client = import_module("dlt.destinations.impl.mssql.sql_client").PyOdbcMsSqlClient
    missing = import_module("dlt.destinations.exceptions").DatabaseUndefinedRelation
    own = client._make_database_exception

    def made(error: Exception) -> Exception:
        text = str(error)
        if 'relation "' in text and '" does not exist' in text:
            return missing(error)  # type: ignore[no-any-return]  # a module imported by name
        return own(error)  # type: ignore[no-any-return]

    client._make_database_exception = staticmethod(made)


def _values(connection: str) -> dict[str, str]:
    return {keyword.lower(): value for keyword, value in parse(connection)}


def _dlt_credentials(connection: str) -> dict[str, Any]:
    given = _values(connection)
    host, _, port = given["server"].removeprefix("tcp:").partition(",")
    named = given.get("driver", "")
    return {
        "host": host,
        "port": int(port or 1433),
        "database": given["database"],
        "username": given["uid"],
        "password": given["pwd"],
        "driver": named if named in _DLT_DRIVERS else _DLT_DRIVERS[0],
        "query": {
            keyword: value
            for keyword, value in given.items()
            if keyword not in ("server", "database", "uid", "pwd", "driver")
        },
    }


def _dlt_environment(place: Place) -> dict[str, str]:
    """Gives a driver that is known by its path a name that dlt takes, for one process."""
    driver = _values(place.connection)["driver"]
    if driver in _DLT_DRIVERS:
        return {}
    (place.own / "odbcinst.ini").write_text(f"[{_DLT_DRIVERS[0]}]\nDriver={driver}\n", "utf-8")
    return {"ODBCSYSINI": str(place.own)}


# ---- the server ----


@contextmanager
def _server() -> Iterator[str]:
    server = os.environ.get(VARIABLE, "")
    if not server:
        raise BenchmarkError(
            f"{VARIABLE} is not set; give it an ODBC string of a SQL Server whose login may "
            "create databases, such as Server=sql01,1433;UID=etl;PWD=...;Encrypt=yes"
        )
    yield server


@contextmanager
def _fresh_database(server: str, name: str) -> Iterator[str]:
    target = odbc.target_of(parse(server), installed_drivers())
    pairs = [pair for pair in parse(target.text) if pair[0].lower() != "database"]
    with closing(odbc.connect(joined([*pairs, ("Database", "master")]))) as connection:
        connection.execute(f'CREATE DATABASE "{name}";')
        try:
            yield joined([*pairs, ("Database", name)])
        finally:
            _drop(connection, name)


def _drop(connection: Any, name: str) -> None:
    """Drops a database; a connection that was closed may hold it a moment longer."""
    for _ in range(_DROP_ATTEMPTS - 1):
        with suppress(Exception):  # the last attempt tells
            connection.execute(f'DROP DATABASE "{name}";')
            return
        time.sleep(0.5)
    connection.execute(f'DROP DATABASE "{name}";')


def _query(connection: str, query: str) -> Sequence[Sequence[object]]:
    with closing(odbc.connect(connection)) as opened:
        rows: Sequence[Sequence[object]] = opened.execute(query).fetchall()
        return rows


def _masked(text: str, connection: str) -> str:
    secrets = odbc.target_of(parse(connection), installed_drivers()).passwords
    return masked(text, secrets)


# ---- what is compared ----

_TO_SQL = ("to_sql, default", "to_sql, 10,000")
_DLT = Dlt(_dlt_destination, sized=True)  # else texts are NVARCHAR(max), which is slower

COMPARISON = Comparison(
    script=str(Path(__file__).resolve()),
    server="SQL Server",
    example=f"{VARIABLE}='Server=sql01,1433;UID=etl;PWD=...'",
    packages=("pandas", "sqlalchemy", "dlt"),
    versions=("pandas", "sqlalchemy", "dlt", "pyodbc"),
    tools=(
        server_load.pipeline(
            "seconds of customer_dim as the run reports them: read ahead, stage, check, "
            "gate, merge in batches, count",
            false=SQL_SERVER.false,
        ),
        Tool(
            _TO_SQL[0], "DataFrame.to_sql alone, inserts only, into an empty table without key",
            "customers", (FIRST,), to_sql_with(None),
        ),
        Tool(
            _TO_SQL[1], "the same with chunksize=10000",
            "customers", (FIRST,), to_sql_with(10_000),
        ),
        Tool(
            "dlt", "pipeline.run alone, upsert of an Arrow table",
            "bench.customer_dim", (FIRST, RERUN), _DLT.run, _dlt_environment,
        ),
    ),
    ratios=(
        Ratio("pipeline / to_sql, best setting", ("pipeline",), _TO_SQL),
        Ratio("pipeline / to_sql, default", ("pipeline",), _TO_SQL[:1]),
        Ratio("dlt / pipeline, first load", ("dlt",), ("pipeline",)),
        Ratio("dlt / pipeline, unchanged rerun", ("dlt",), ("pipeline",), RERUN),
    ),
    note="dlt: texts sized as in customer_dim, files of 25,000 rows loaded side by side, telemetry "
    "off; a server that reports a missing table in PostgreSQL's words is understood. Without "
    "an ADBC driver for mssql, which dlt does not bring along, it inserts by statements of "
    "1,000 rows.",
    open_server=_server,
    fresh_database=_fresh_database,
    query=_query,
    masked=_masked,
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(server_load.run(COMPARISON))
