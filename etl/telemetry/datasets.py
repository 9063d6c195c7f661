"""The names by which other systems know a file, a database and its tables.

They follow the naming conventions of OpenLineage (openlineage.io/docs/spec/naming), so that the
lineage of this program and that of others meet in the same data set.
"""

from pathlib import Path
from typing import NamedTuple

from etl.engines.registry import engine_of


class Dataset(NamedTuple):
    """A data set: where it is, and what it is called there."""

    namespace: str
    name: str


def file_dataset(path: str) -> Dataset:
    """Return the name of a file.

    Example:
        >>> file_dataset("/data/input/customers.csv")
        Dataset(namespace='file', name='/data/input/customers.csv')
    """
    return Dataset("file", Path(path).absolute().as_posix())


def table_dataset(connection_string: str, table: str, *, schema: str = "") -> Dataset:
    """Return the name of a table; no secret is in it.

    Args:
        connection_string: of the database.
        table: its name, with its schema where that is not the usual one.
        schema: the usual one; that of the engine when left out.

    Example:
        >>> table_dataset("postgresql://etl:x@db1/dwh", "sales_fact")
        Dataset(namespace='postgres://db1:5432', name='dwh.public.sales_fact')
        >>> table_dataset("Server=sql1,1444;Database=dwh;UID=etl", "orders", schema="sales")
        Dataset(namespace='mssql://sql1:1444', name='dwh.sales.orders')
    """
    place = engine_of(connection_string).place(connection_string)
    place = place._replace(schema=schema) if schema else place
    return Dataset(place.namespace, place.name_of(table))
