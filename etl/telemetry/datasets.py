"""The names by which other systems know a file, a database and its tables.

They follow the naming conventions of OpenLineage (openlineage.io/docs/spec/naming), so that the
lineage of this program and that of others meet in the same data set.
"""

from pathlib import Path
from typing import NamedTuple

from etl.settings.connection_strings import file_of, parse, url_parts


class Dataset(NamedTuple):
    """A data set: where it is, and what it is called there."""

    namespace: str
    name: str


_POSTGRESQL_PORT, _SQL_SERVER_PORT = "5432", "1433"


def file_dataset(path: str) -> Dataset:
    """Return the name of a file.

    Example:
        >>> file_dataset("/data/input/customers.csv")
        Dataset(namespace='file', name='/data/input/customers.csv')
    """
    return Dataset("file", Path(path).absolute().as_posix())


def table_dataset(connection_string: str, table: str) -> Dataset:
    """Return the name of a table; no secret is in it.

    Args:
        connection_string: of the database.
        table: its name, with its schema where that is not the usual one.

    Example:
        >>> table_dataset("postgresql://etl:x@db1/dwh", "sales_fact")
        Dataset(namespace='postgres://db1:5432', name='dwh.public.sales_fact')
        >>> table_dataset("Server=sql1,1444;Database=dwh;UID=etl", "sales.orders")
        Dataset(namespace='mssql://sql1:1444', name='dwh.sales.orders')
        >>> table_dataset("duckdb:////data/warehouse.duckdb", "sales_fact")
        Dataset(namespace='duckdb:///data/warehouse.duckdb', name='main.sales_fact')
    """
    if path := file_of(connection_string):
        return Dataset(f"duckdb://{path}", _in_schema(table, "main"))
    if "://" in connection_string:
        return _postgresql(connection_string, table)
    return _sql_server(connection_string, table)


def _in_schema(table: str, usual: str) -> str:
    return table if "." in table else f"{usual}.{table}"


def _postgresql(url: str, table: str) -> Dataset:
    parts = url_parts(url)
    server, database = (parts.server, parts.database) if parts else ("", "")
    host, _, port = server.rpartition(":") if ":" in server else (server, "", _POSTGRESQL_PORT)
    where = f"postgres://{host or 'localhost'}:{port}"
    return Dataset(where, f"{database}.{_in_schema(table, 'public')}")


def _sql_server(connection_string: str, table: str) -> Dataset:
    known = {keyword.lower(): value for keyword, value in parse(connection_string)}
    host, _, port = known.get("server", "").removeprefix("tcp:").partition(",")
    where = f"mssql://{host or 'localhost'}:{port or _SQL_SERVER_PORT}"
    return Dataset(where, f"{known.get('database', '')}.{_in_schema(table, 'dbo')}")
