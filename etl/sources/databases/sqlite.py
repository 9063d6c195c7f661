"""SQLite files, over ADBC: each value as the text that SQLite makes of it."""

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from etl.engines.dialect import quoted
from etl.engines.engine import driver_text
from etl.errors import ExtractionError
from etl.schema.table import Kind
from etl.sources.databases.asked import Asked
from etl.sources.databases.driver import Driver, Found, Target, declared, library, texts_of
from etl.sources.databases.rows import records_of

_SCHEME = "sqlite:///"
# What a declared type promises; a column holds what it likes all the same.
_KINDS = {
    "varchar": Kind.TEXT, "nvarchar": Kind.TEXT, "char": Kind.TEXT, "nchar": Kind.TEXT,
    "decimal": Kind.DECIMAL, "numeric": Kind.DECIMAL, "boolean": Kind.BOOLEAN,
    "date": Kind.DATE, "datetime": Kind.TIMESTAMP, "timestamp": Kind.TIMESTAMP,
    "integer": Kind.BIGINT, "int": Kind.BIGINT, "bigint": Kind.BIGINT,
    "real": Kind.DOUBLE, "double": Kind.DOUBLE, "double precision": Kind.DOUBLE,
    "float": Kind.DOUBLE,
}  # fmt: skip
# A number with fractions by its shortest notation that is still it, as Python writes it.
_AS_TEXT = """CASE typeof({0})
WHEN 'real' THEN CASE WHEN CAST(CAST({0} AS TEXT) AS REAL) = {0} THEN CAST({0} AS TEXT)
    ELSE printf('%!.17g', {0}) END
WHEN 'blob' THEN lower(hex({0})) ELSE CAST({0} AS TEXT) END AS {0}"""
_BATCH = "adbc.sqlite.query.batch_rows"


class SqliteConnection:
    """See `driver.Connection`."""

    def __init__(self, target: Target) -> None:
        self._target = target
        path = Path(target.connection_string.removeprefix(_SCHEME))
        if not path.is_file():
            raise FileNotFoundError(f"the database {path} of {target.setting} does not exist")
        self._driver = library("adbc_driver_sqlite.dbapi", "sqlite")
        with self._errors():
            self._connection = self._driver.connect(f"{path.absolute().as_uri()}?mode=ro")

    def columns(self, asked: Asked) -> Sequence[Found]:
        """Return the columns; of a table with the types that it declares."""
        with self._errors(), self._connection.cursor() as cursor:
            cursor.execute(asked.nothing(), _values(asked))
            names = [column[0] for column in cursor.description]
            types = self._declared(cursor, asked.table) if asked.table else {}
        return [declared(name, types.get(name, ""), _KINDS) for name in names]

    def _declared(self, cursor: Any, table: str) -> dict[str, str]:
        name = table.rpartition(".")[2]
        cursor.execute("SELECT name, type FROM pragma_table_info(?)", (name,))
        return dict(cursor.fetchall())

    def blocks(self, asked: Asked, columns: Sequence[Found]) -> Iterator[pa.RecordBatch]:
        """Stream the rows.

        The driver finds the type of a column in the first rows, and takes one that is empty there
        for numbers: so the first is one of texts, which is dropped again.
        """
        names = [column.name for column in columns]
        texts = ", ".join(f"'' AS {quoted(name)}" for name in names)
        listed = ", ".join(_AS_TEXT.format(quoted(name)) for name in names)
        sql = f"SELECT {texts} UNION ALL {asked.selecting(listed)}"  # quoted names
        with self._errors(), self._connection.cursor() as cursor:
            rows = str(self._target.chunk_rows)
            cursor.adbc_statement.set_options(**{_BATCH: rows})
            cursor.execute(sql, _values(asked))
            for number, batch in enumerate(cursor.fetch_record_batch()):
                kept = batch.slice(1) if number == 0 else batch
                if kept.num_rows:
                    yield texts_of(names, kept, self._target.setting)

    def values(self, asked: Asked) -> Generator[dict[str, Any], None, None]:
        """Stream records with Python values."""
        path = Path(self._target.connection_string.removeprefix(_SCHEME))
        with self._errors(), closing(sqlite3.connect(path)) as connection:
            cursor = connection.execute(asked.sql(), _values(asked))
            yield from records_of(cursor, self._target.chunk_rows)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (self._driver.Error, sqlite3.Error, pa.ArrowException) as error:
            text = driver_text(error)
            busy = "locked" in text or "busy" in text
            raise ExtractionError(
                f"SQLite refused: {text}",
                next_step="wait until nobody writes to the file" if busy
                else self._target.next_step,
            ) from (ConnectionError(text) if busy else error)  # fmt: skip


def _values(asked: Asked) -> tuple[object, ...]:
    """The parameters; times as SQLite's own functions write them."""
    return tuple(
        value if isinstance(value, int) else value.isoformat(" ") for value in asked.params
    )


DRIVER = Driver(
    "SQLite", "sqlite:///path/to/file.db", lambda text: text.startswith(_SCHEME), SqliteConnection
)
