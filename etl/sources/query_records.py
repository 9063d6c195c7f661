"""Records of a table, a view or a query of another database, as blocks of text."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from etl.engines.dialect import quoted, quoted_table
from etl.engines.duckdb import duckdb_path
from etl.engines.registry import engine_of
from etl.errors import ExtractionError, ValidationError
from etl.rejects import reject_block
from etl.resilience.circuit_breaker import CircuitBreaker
from etl.resilience.transient import is_transient
from etl.rules.blocks import Block
from etl.rules.values import as_text
from etl.sources.csv_header import comparable, listed
from etl.sources.servers import ServerQuery, open_query
from etl.sources.window import EVERY_NUMBER, EVERYTHING, AnyWindow, Numbers

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class QueryForm:
    """What is read of which database.

    Attributes:
        connection_string: of the database.
        setting: where that was set, for messages.
        table: a table or view; empty where there is a query.
        query: of which a run without a cursor takes everything. With two question marks it takes
            the first instant of the window and the one after its last.
        cursor: the column, as the database names it, by which new records are found.
        rename: name in the database = column.
        defaults: by column that the database may lack, its text.
        zone: to which times with an offset are converted.
        chunk_rows: rows fetched at a time.
        breaker: leaves the database alone when it cannot be reached.
    """

    connection_string: str = field(repr=False)
    setting: str
    table: str = ""
    query: str = ""
    cursor: str = ""
    rename: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    zone: str = "UTC"
    chunk_rows: int = 50_000
    breaker: CircuitBreaker = field(
        default_factory=lambda: CircuitBreaker(5, 60.0, name="database", counts=is_transient)
    )


def sql_of(form: QueryForm, window: AnyWindow = EVERYTHING) -> str:
    """Return what the database is asked.

    Example:
        >>> form = QueryForm("duckdb:///a", "ERP", table="dbo.orders", cursor="updated_at")
        >>> print(sql_of(form, Window(datetime(2024, 1, 1), EVERYTHING.end)))
        SELECT * FROM "dbo"."orders" WHERE "updated_at" >= ?
    """
    if form.query.count("?"):
        return form.query
    if not _conditions(form, window):
        return form.query or f"SELECT * FROM {quoted_table(form.table)}"  # noqa: S608  # a name
    asked = f"({form.query}\n) AS asked" if form.query else quoted_table(form.table)
    return f"SELECT * FROM {asked} WHERE {' AND '.join(_conditions(form, window))}"  # noqa: S608  # likewise


def _conditions(form: QueryForm, window: AnyWindow) -> list[str]:
    if not form.cursor:
        return []
    column, (start, after) = quoted(form.cursor), _ends(window)
    return [
        *([f"{column} >= ?"] if start is not None else []),
        *([f"{column} < ?"] if after is not None else []),
    ]


_Ends = tuple[datetime | int | None, datetime | int | None]


def _ends(window: AnyWindow) -> _Ends:
    """The first value of a window, and the one after its last; None where it has no such end."""
    if isinstance(window, Numbers):
        start = window.start if window.start > EVERY_NUMBER.start else None
        return start, window.end + 1 if window.end < EVERY_NUMBER.end else None
    first = window.start if window.start > EVERYTHING.start else None
    return first, window.end + _TICK if window.end < EVERYTHING.end else None


def _params(form: QueryForm, window: AnyWindow) -> list[datetime | int]:
    start, after = _ends(window)
    if form.query.count("?"):
        return [window.start if start is None else start, window.end if after is None else after]
    return [end for end in (start, after) if form.cursor and end is not None]


def read_query(form: QueryForm, columns: Sequence[str], window: AnyWindow) -> Iterator[Block]:
    """Stream the records of a query.

    Args:
        form: what is read of which database.
        columns: those that are wanted.
        window: by the cursor; both ends are included.

    Raises:
        FileNotFoundError: there is no such file of an embedded database.
        ExtractionError: the database cannot be reached or refuses the query.
        ValidationError: it lacks a column.
    """
    row = 1
    for names, rows in _chunks(form, window):
        block = _block(form, columns, names, rows)
        numbers = pa.array(range(row, row + len(rows)), pa.int64())
        records = block.add_column(0, "source_row", numbers)
        yield Block(records, reject_block(tuple(columns), []), len(rows))
        row += len(rows)


def names_in_query(form: QueryForm) -> tuple[str, ...]:
    """Return the columns of the query, as the database names them."""
    for names, _ in _chunks(form, EVERYTHING, always=True):
        return names
    return ()


_Chunk = tuple[tuple[str, ...], Sequence[Sequence[Any]]]


def _chunks(form: QueryForm, window: AnyWindow, *, always: bool = False) -> Iterator[_Chunk]:
    """The names and some rows at a time; at least once where that is wanted."""
    engine = engine_of(form.connection_string, form.setting)
    read = _from_server if engine.reader else _from_duckdb
    none = True
    for names, rows in read(form, window):
        if rows or (always and none):
            yield names, rows
        none = False


def _from_server(form: QueryForm, window: AnyWindow) -> Iterator[_Chunk]:
    sql, params = sql_of(form, window), _params(form, window)
    query = ServerQuery(form.connection_string, form.setting, sql, lambda _: params)
    with closing(open_query(query, form.breaker)) as reader:
        while True:
            rows = reader.fetchmany(form.chunk_rows)
            yield tuple(reader.columns), rows
            if not rows:
                return


def _from_duckdb(form: QueryForm, window: AnyWindow) -> Iterator[_Chunk]:
    path, sql = duckdb_path(form.connection_string), sql_of(form, window)
    yield from duckdb_rows(
        path, form.setting, sql, _params(form, window), chunk_rows=form.chunk_rows
    )


def duckdb_rows(
    path: Path | None, setting: str, sql: str, params: Sequence[object] = (), *, chunk_rows: int
) -> Iterator[_Chunk]:
    """Yield the names of the columns of a query and some rows at a time, at least once.

    Args:
        path: of the embedded database; None: one in memory.
        setting: where that was set, for messages.
        sql: the query.
        params: its parameters.
        chunk_rows: rows at a time.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: the query fails.
    """
    if path and not path.exists():
        raise FileNotFoundError(f"the database {path} of {setting} does not exist")
    try:
        with duckdb.connect(str(path or ":memory:"), read_only=path is not None) as connection:
            found = connection.execute(sql, params)
            names = tuple(column[0] for column in found.description or ())
            while True:
                rows = found.fetchmany(chunk_rows)
                yield names, rows
                if not rows:
                    return
    except duckdb.Error as error:
        raise ExtractionError(
            f"{setting}: the query failed: {error}",
            next_step="check it, and the table or query of the source",
        ) from error


def _block(
    form: QueryForm, columns: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> pa.RecordBatch:
    places = _places(form, columns, names)
    text = partial(text_of_value, zone=ZoneInfo(form.zone))
    arrays = [
        pa.array([text(row[places[column]]) for row in rows], pa.string())
        if column in places
        else pa.array([form.defaults[column]] * len(rows), pa.string())
        for column in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, list(columns))


def _places(form: QueryForm, columns: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    known = {comparable(column): column for column in columns}
    known |= {comparable(name): column for name, column in form.rename.items()}
    found = ((known.get(comparable(name)), place) for place, name in enumerate(names))
    places = {column: place for column, place in found if column}
    if missing := [c for c in columns if c not in places and c not in form.defaults]:
        raise ValidationError(
            f"the query of {form.setting} lacks {listed(missing)}; found {listed(names)}",
            next_step="add the columns, or set rename for this source",
        )
    return places


def text_of_value(value: object, zone: ZoneInfo) -> str | None:
    """Return a value of a database as text; a time with an offset as the wall clock of a zone.

    Example:
        >>> text_of_value(datetime.fromisoformat("2024-01-15T10:30+02:00"), ZoneInfo("UTC"))
        '2024-01-15T08:30:00'
    """
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(zone).replace(tzinfo=None)
    if isinstance(value, dict | list):
        return json.dumps(value, default=str, ensure_ascii=False)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return as_text(value)
