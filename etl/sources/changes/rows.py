"""Rows of one query after the other, from any database that can be read."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from etl.engines.duckdb import duckdb_path
from etl.engines.registry import engine_of
from etl.resilience.circuit_breaker import CircuitBreaker
from etl.sources.databases.rows import duckdb_rows
from etl.sources.servers import ServerQuery, open_query

Rows = tuple[tuple[str, ...], Sequence[Sequence[Any]]]


@dataclass(frozen=True)
class Database:
    """A database that is read.

    Attributes:
        connection_string: of it.
        setting: where that was set, for messages.
        breaker: leaves it alone when it cannot be reached.
        chunk_rows: rows fetched at a time.
    """

    connection_string: str = field(repr=False)
    setting: str
    breaker: CircuitBreaker
    chunk_rows: int = 50_000

    @property
    def engine(self) -> str:
        """The name of its engine."""
        return engine_of(self.connection_string, self.setting).dialect.name


def rows_of(database: Database, sql: str) -> Generator[Rows, None, None]:
    """Yield the names of the columns and some rows at a time, at least once.

    Args:
        database: which is asked.
        sql: the query, without parameters.

    Raises:
        FileNotFoundError: there is no such file of an embedded database.
        ExtractionError: the database cannot be reached or refuses the query.
    """
    if engine_of(database.connection_string, database.setting).reader is None:
        path = duckdb_path(database.connection_string)
        yield from duckdb_rows(path, database.setting, sql, chunk_rows=database.chunk_rows)
        return
    query = ServerQuery(database.connection_string, database.setting, sql, lambda _: ())
    with closing(open_query(query, database.breaker)) as reader:
        while True:
            rows = reader.fetchmany(database.chunk_rows)
            yield tuple(reader.columns), rows
            if not rows:
                return
