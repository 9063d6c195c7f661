"""DuckDB files: each value as the text that DuckDB makes of it."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import duckdb
import pyarrow as pa

from etl.engines.dialect import quoted
from etl.engines.duckdb import SCHEME, arrow_blocks, duckdb_path
from etl.engines.engine import translated_errors
from etl.errors import ExtractionError
from etl.schema.table import Kind
from etl.sources.databases.asked import Asked
from etl.sources.databases.driver import Driver, Found, Target, declared
from etl.sources.databases.rows import records_of

_KINDS = {
    "decimal": Kind.DECIMAL, "boolean": Kind.BOOLEAN, "date": Kind.DATE, "integer": Kind.INTEGER,
    "smallint": Kind.INTEGER, "tinyint": Kind.INTEGER, "bigint": Kind.BIGINT,
    "uinteger": Kind.BIGINT, "double": Kind.DOUBLE, "float": Kind.DOUBLE,
    "timestamp": Kind.TIMESTAMP, "timestamp with time zone": Kind.TIMESTAMP,
}  # fmt: skip
_AS_TEXT = {
    "BLOB": "lower(hex({}))", "TIMESTAMP_NS": "CAST(CAST({} AS TIMESTAMP) AS VARCHAR)",
    "TIMESTAMP WITH TIME ZONE": "CAST({} AT TIME ZONE current_setting('TimeZone') AS VARCHAR)",
}  # fmt: skip
_NESTED = ("[]", "STRUCT(", "MAP(")


class DuckdbConnection:
    """See `driver.Connection`."""

    def __init__(self, target: Target) -> None:
        path = duckdb_path(target.connection_string)
        if path and not path.exists():
            raise FileNotFoundError(f"the database {path} of {target.setting} does not exist")
        self._target = target
        with self._errors():
            self._connection = duckdb.connect(str(path or ":memory:"), read_only=path is not None)
            if target.zone != "UTC":
                self._connection.execute("SET TimeZone = ?", [target.zone])

    def columns(self, asked: Asked) -> Sequence[Found]:
        """Return the columns as DuckDB describes them."""
        with self._errors():
            sql = f"DESCRIBE {asked.nothing()}"
            rows = self._connection.execute(sql, list(asked.params)).fetchall()
        return [declared(name, type_name, _KINDS) for name, type_name, *_ in rows]

    def blocks(self, asked: Asked, columns: Sequence[Found]) -> Iterator[pa.RecordBatch]:
        """Stream the rows."""
        sql = asked.selecting(", ".join(map(_expression, columns)))
        rows = self._target.chunk_rows
        with self._errors():
            yield from arrow_blocks(self._connection, sql, asked.params, chunk_rows=rows)

    def values(self, asked: Asked) -> Generator[dict[str, Any], None, None]:
        """Stream records with Python values."""
        with self._errors():
            cursor = self._connection.execute(asked.sql(), list(asked.params))
            yield from records_of(cursor, self._target.chunk_rows)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _errors(self) -> AbstractContextManager[None]:
        return translated_errors(
            "DuckDB", (duckdb.Error,), raised=ExtractionError, next_step=self._target.next_step
        )


def _expression(column: Found) -> str:
    name, type_name = quoted(column.name), column.type_name
    nested = type_name.endswith(_NESTED[0]) or type_name.startswith(_NESTED[1:])
    form = "to_json({})" if nested else _AS_TEXT.get(type_name, "{}")
    return f"CAST({form.format(name)} AS VARCHAR) AS {name}"


DRIVER = Driver(
    "DuckDB", "duckdb:///path/to/file.duckdb", lambda text: text.startswith(SCHEME),
    DuckdbConnection,
)  # fmt: skip
