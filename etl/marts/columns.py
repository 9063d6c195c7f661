"""The columns of a mart: their types are those that DuckDB finds, in empty tables."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from etl.engines import ddl
from etl.engines.database import DatabaseManager
from etl.engines.dialect import quoted
from etl.errors import LoadingError
from etl.marts.files import MartError
from etl.marts.queries import Query, sqlglot
from etl.schema.columns import WIDEST_TEXT
from etl.schema.table import Column, Kind, Table
from etl.schema.views import VIEWS

_TYPE = re.compile(r"(\w+)(?:\((\d+),\s*(\d+)\))?.*")
_KINDS = {
    "VARCHAR": Kind.TEXT, "BOOLEAN": Kind.BOOLEAN, "DATE": Kind.DATE, "DOUBLE": Kind.DOUBLE,
    "FLOAT": Kind.DOUBLE, "BIGINT": Kind.BIGINT, "UINTEGER": Kind.BIGINT, "DECIMAL": Kind.DECIMAL,
    **dict.fromkeys(("TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER"), Kind.INTEGER),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS"), Kind.TIMESTAMP),
    **dict.fromkeys(("HUGEINT", "UBIGINT"), Kind.DECIMAL),
}  # fmt: skip
_WIDEST_NUMBER = 38
_UNBOUNDED = WIDEST_TEXT + 1
_AS_TEXT = 41  # characters of any number or time


class Shadow:
    """Empty tables in memory, in which a query can be looked at without a warehouse.

    Args:
        tables: those that marts may read; the marts themselves are added as they are found.
    """

    def __init__(self, tables: Iterable[Table]) -> None:
        self._tables = {table.name: table for table in tables}
        self._made: set[str] = set()

    def tables(self, queries: Iterable[Query]) -> Iterator[tuple[Query, Table | MartError]]:
        """Yield marts with their tables, or with what is wrong.

        Args:
            queries: in an order in which each comes after those that it reads.
        """
        with DatabaseManager("duckdb:///:memory:") as db:
            for query in queries:
                try:
                    table = self._table(db, query)
                except MartError as error:
                    yield query, error
                else:
                    self._tables[table.name] = table
                    yield query, table

    def _table(self, db: DatabaseManager, query: Query) -> Table:
        try:
            for name in (*query.tables, *query.reads):
                self._make(db, name)
            sql = query.file.sql.rstrip().rstrip(";")
            found = [(row[0], row[1]) for row in db.query(f"DESCRIBE {sql}")]
        except LoadingError as error:
            line = re.search(r"LINE (\d+):", str(error))
            what = re.sub(r"\s*LINE \d+:.*", "", str(error)).removeprefix("DuckDB refused: ")
            raise MartError(query.file.path, int(line[1]) if line else 0, what) from error
        columns = tuple(self._column(query, name, words) for name, words in found)
        self._require(query, [column.name for column in columns])
        return Table(query.name, query.file.description, query.file.key, columns, computed=True)

    def _make(self, db: DatabaseManager, name: str) -> None:
        table = self._tables.get(name)
        if name in self._made:
            return
        self._made.add(name)
        schema = name.rpartition(".")[0]
        if schema:
            db.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
        if table is not None:
            db.execute(ddl.create_table(db.dialect, replace(table, is_staging=False)))
        for view in (each for each in VIEWS if each.name == name):
            for each in view.tables:
                self._make(db, each.name)
            db.execute(ddl.create_view(db.dialect, view))

    def _require(self, query: Query, names: list[str]) -> None:
        file = query.file
        if len(set(names)) < len(names):
            raise MartError(file.path, 0, "two of its columns have the same name")
        wanted = {"key": file.key, "incremental": (file.grain,) if file.grain else ()}
        for word, columns in wanted.items():
            if missing := [name for name in columns if name not in names]:
                raise MartError(file.path, 0, f"{word}: it has no column {', '.join(missing)}")

    def _column(self, query: Query, name: str, words: str) -> Column:
        match = _TYPE.fullmatch(words)
        kind = _KINDS.get(match[1]) if match and not words.endswith("]") else None
        if match is None or kind is None:
            raise MartError(
                query.file.path, 0, f"column {name} is {words}, which not every engine has",
                f"write CAST(... AS VARCHAR) AS {name}, or another type",
            )  # fmt: skip
        column = Column(name, "", kind, required=name in query.file.key)
        if kind is Kind.DECIMAL:
            precision, scale = int(match[2] or _WIDEST_NUMBER), int(match[3] or 0)
            return replace(column, precision=precision, scale=scale)
        return self._text(query, column) if kind is Kind.TEXT else column

    def _text(self, query: Query, column: Column) -> Column:
        """With the width of what it is made of, and compared as that is."""
        sources = list(self._sources(query.tree, query.tree, column.name))
        known = [source for source in sources if source is not None]
        widths = [each.width if each.kind is Kind.TEXT else _AS_TEXT for each in known]
        width = sum(widths) if len(known) == len(sources) else 0
        exact = any(source.exact for source in known) or column.name in query.file.key
        return replace(column, width=width or _UNBOUNDED, exact=exact)

    def _sources(self, select: Any, tree: Any, name: str) -> Iterator[Column | None]:
        """The columns and texts of which a column is made; None for what is not known."""
        exp = sqlglot().exp
        while not isinstance(select, exp.Select):
            select = select.this  # of several that are put together, the first
        made = next((each for each in select.expressions if each.alias_or_name == name), None)
        if made is None:  # one of `*`
            yield from self._of_any(select, tree, name)
            return
        cast = made.unalias()
        is_text = isinstance(cast, exp.Cast) and cast.to.this in exp.DataType.TEXT_TYPES
        if is_text and cast.to.expressions:
            yield Column("", "", Kind.TEXT, width=int(cast.to.expressions[0].name))
            return
        for part in cast.find_all(exp.Column, exp.Literal):
            if isinstance(part, exp.Column):
                yield from self._of(select, tree, part.table, part.name)
            elif part.is_string:
                yield Column("", "", Kind.TEXT, width=len(part.name) or 1)

    def _of_any(self, select: Any, tree: Any, name: str) -> Iterator[Column | None]:
        exp = sqlglot().exp
        for table in select.find_all(exp.Table, exp.Subquery):
            found = [each for each in self._of(select, tree, table.alias_or_name, name) if each]
            if found:
                yield found[0]
                return
        yield None

    def _of(self, select: Any, tree: Any, alias: str, name: str) -> Iterator[Column | None]:
        """The columns behind a column of a table, of a query in WITH, or of one in parentheses."""
        exp = sqlglot().exp
        if not alias:
            yield from self._of_any(select, tree, name)
            return
        found = (each for each in select.find_all(exp.Table, exp.Subquery)
                 if each.alias_or_name == alias)  # fmt: skip
        source = next(found, None)
        if isinstance(source, exp.Subquery):
            yield from self._sources(source.this, tree, name)
            return
        full = "" if source is None else f"{source.db}.{source.name}".lstrip(".")
        named = next((each for each in tree.find_all(exp.CTE) if each.alias == full), None)
        table = self._tables.get(full)
        if named is not None:
            yield from self._sources(named.this, tree, name)
        elif table is not None and name in table.names:
            yield table.column(name)
        else:
            yield None
