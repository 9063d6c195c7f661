"""Anything with an ODBC driver, SQL Server first; rows of Python values, made texts."""

from collections.abc import Generator, Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from etl.engines.dialect import quoted
from etl.engines.odbc import OdbcReader
from etl.engines.odbc_types import in_utc
from etl.sources.databases.asked import Asked, Moment
from etl.sources.databases.driver import Driver, Found, Target
from etl.sources.databases.rows import text_block


class OdbcConnection:
    """See `driver.Connection`."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._reader = OdbcReader(target.connection_string, target.setting)

    def columns(self, asked: Asked) -> Sequence[Found]:
        """Return the columns; their types are found in their values."""
        self._reader.query(asked.nothing(), self._params(asked))
        return [Found(name) for name in self._reader.columns]

    def blocks(self, asked: Asked, columns: Sequence[Found]) -> Iterator[pa.RecordBatch]:
        """Stream the rows, some thousands at a time."""
        names = [column.name for column in columns]
        sql = asked.selecting(", ".join(map(quoted, names)))
        for rows in self._rows(sql, asked):
            yield text_block(names, list(zip(*rows, strict=True)), self._target.zone)

    def _rows(self, sql: str, asked: Asked) -> Iterator[list[Any]]:
        self._reader.query(sql, self._params(asked))
        while rows := self._reader.fetchmany(self._target.chunk_rows):
            yield rows

    def _params(self, asked: Asked) -> Sequence[Moment]:
        """The parameters; times with an offset are compared in UTC."""
        times = [value for value in asked.params if isinstance(value, datetime)]
        if not (times and self._reader.keeps_offset(asked.table.rpartition(".")[2], asked.cursor)):
            return asked.params
        zone = ZoneInfo(self._target.zone)
        return [in_utc(v, zone) if isinstance(v, datetime) else v for v in asked.params]

    def values(self, asked: Asked) -> Generator[dict[str, Any], None, None]:
        """Stream records with Python values."""
        for rows in self._rows(asked.sql(), asked):
            names = self._reader.columns
            yield from (dict(zip(names, row, strict=True)) for row in rows)

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()


DRIVER = Driver(
    "ODBC", "an ODBC string Name=value;...",
    lambda text: "=" in text and "://" not in text.partition("=")[0], OdbcConnection,
)  # fmt: skip
