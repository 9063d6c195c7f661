"""Anything with an ODBC driver, SQL Server first; rows of Python values, made texts."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

import pyarrow as pa

from etl.engines.odbc import odbc_errors, open_source
from etl.errors import ExtractionError
from etl.sources.databases.asked import Asked
from etl.sources.databases.driver import Driver, Found, Target
from etl.sources.databases.rows import text_block


class OdbcConnection:
    """See `driver.Connection`."""

    def __init__(self, target: Target) -> None:
        self._target = target
        with self._errors():
            self._connection = open_source(target.connection_string)

    def columns(self, asked: Asked) -> Sequence[Found]:
        """Return the columns; their types are found in their values."""
        with self._errors():
            cursor = self._connection.cursor().execute(asked.nothing(), *asked.params)
            return [Found(column[0]) for column in cursor.description]

    def blocks(self, asked: Asked, columns: Sequence[Found]) -> Iterator[pa.RecordBatch]:
        """Stream the rows, some thousands at a time."""
        names = [column.name for column in columns]
        listed = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
        with self._errors():
            sql = asked.selecting(listed)
            cursor = self._connection.cursor().execute(sql, *asked.params)
            while rows := cursor.fetchmany(self._target.chunk_rows):
                yield text_block(names, list(zip(*rows, strict=True)), self._target.zone)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _errors(self) -> AbstractContextManager[None]:
        return odbc_errors(
            "the ODBC source", raised=ExtractionError, next_step=self._target.next_step
        )


DRIVER = Driver(
    "ODBC", "an ODBC string Name=value;...",
    lambda text: "=" in text and "://" not in text.partition("=")[0], OdbcConnection,
)  # fmt: skip
