"""What the query of a mart reads: tables, columns, other marts; and the order to build them in.

sqlglot, which parses the queries, is imported when marts are built, and never else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from typing import Any

from etl.marts.files import MartError, MartFile
from etl.schema.star import DATE_DIM, SALES_FACT, STAR_TABLES
from etl.schema.table import Table
from etl.schema.views import VIEWS
from etl.settings.pipeline_checks import nearest

# What gives another result in another moment, so that a mart with it is built every time.
_CHANGING = ("CurrentDate", "CurrentTimestamp", "CurrentTime", "Rand", "Uuid")
_CHANGING_NAMES = {"now", "today", "random", "get_current_timestamp", "transaction_timestamp"}


@cache
def sqlglot() -> Any:
    """Return the package that parses and translates SQL; 0.1 s of CPU, paid where marts are."""
    return import_module("sqlglot")


@cache
def _dialect() -> Any:
    """DuckDB's SQL, with the widths of texts, which DuckDB ignores and others do not."""
    duckdb = import_module("sqlglot.dialects.duckdb").DuckDB
    text = sqlglot().exp.DType.TEXT
    converters = {k: v for k, v in duckdb.Parser.TYPE_CONVERTERS.items() if k != text}
    parser = type("Parser", (duckdb.Parser,), {"TYPE_CONVERTERS": converters})
    return type("DuckDBOfMarts", (duckdb,), {"Parser": parser})


@dataclass(frozen=True)
class Query:
    """A mart whose file could be parsed.

    Attributes:
        tree: its statement, as sqlglot has it; not to be changed.
        lines: of the tables that it reads, by name.
    """

    file: MartFile
    tree: Any = field(compare=False, repr=False)
    lines: Mapping[str, int]

    @property
    def name(self) -> str:
        """Of the mart and its table."""
        return self.file.name

    @property
    def reads(self) -> tuple[str, ...]:
        """The tables, views and other marts that it reads."""
        return tuple(self.lines)

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """The same, with the tables behind views and behind the calendar in their place."""
        shown = {view.name: tuple(table.name for table in view.tables) for view in VIEWS}
        shown[DATE_DIM.name] = (SALES_FACT.name,)
        found = (name for read in self.reads for name in shown.get(read, (read,)))
        return tuple(dict.fromkeys(name for each in found for name in shown.get(each, (each,))))

    @cached_property
    def is_lasting(self) -> bool:
        """Whether the same tables always give the same mart."""
        exp = sqlglot().exp
        kinds = tuple(getattr(exp, name) for name in _CHANGING if hasattr(exp, name))
        named = (each.name.lower() for each in self.tree.find_all(exp.Anonymous))
        return self.tree.find(*kinds) is None and not _CHANGING_NAMES & set(named)

    def columns_of(self, table: Table) -> frozenset[str]:
        """Return the columns of a table that it may read."""
        exp = sqlglot().exp
        aliases = {
            each.alias_or_name for each in self.tree.find_all(exp.Table) if each.name == table.name
        }
        known = {each.alias_or_name for each in self.tree.find_all(exp.Table)}
        found: set[str] = set()
        if any(not isinstance(each.parent, exp.Column) and not isinstance(each.parent, exp.Count)
               for each in self.tree.find_all(exp.Star)):  # fmt: skip
            return frozenset(table.names)
        for column in self.tree.find_all(exp.Column):
            if column.table in aliases or column.table not in known:
                found.update(table.names if isinstance(column.this, exp.Star) else [column.name])
        return frozenset(found & set(table.names))


def parse_mart(file: MartFile) -> Query:
    """Parse the query of a mart.

    Raises:
        MartError: it is no single query.
    """
    errors = sqlglot().errors
    try:
        trees = [tree for tree in sqlglot().parse(file.sql, read=_dialect()) if tree is not None]
    except errors.ParseError as error:
        found = error.errors[0] if error.errors else {}
        what = f"{found.get('description', error)} at {found.get('highlight', '')!r}"
        raise MartError(file.path, int(found.get("line") or 0), what) from error
    except errors.SqlglotError as error:
        raise MartError(file.path, 0, " ".join(str(error).split())) from error
    if len(trees) != 1 or not isinstance(trees[0], sqlglot().exp.Query):
        raise MartError(file.path, 0, "a mart is one SELECT, with or without WITH before it")
    return Query(file, trees[0], dict(_tables(trees[0])))


def _tables(tree: Any) -> Iterator[tuple[str, int]]:
    """The tables that a query names, each with its line; those of its WITH are none."""
    exp = sqlglot().exp
    own = {each.alias for each in tree.find_all(exp.CTE)}
    found: dict[str, int] = {}
    for table in tree.find_all(exp.Table):
        name = f"{table.db}.{table.name}" if table.db else table.name
        if table.db or name not in own:
            found.setdefault(name, table.this.meta.get("line", 0))
    yield from found.items()


def line_of(node: Any) -> int:
    """Return the line at which a part of a query begins; 0 where it is not known."""
    lines = (part.meta.get("line", 0) for part in node.walk() if part.meta)
    return next(filter(None, lines), 0)


# --- all of them -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Broken:
    """A mart that cannot be built, and why."""

    name: str
    error: MartError


def queries_of(
    files: Sequence[MartFile], known: Iterable[Table]
) -> tuple[list[Query], list[Broken]]:
    """Parse marts, and put them into an order in which each comes after those that it reads.

    Args:
        files: of the marts.
        known: the tables that they may read besides each other.

    Returns:
        Those that can be built, and those that cannot.
    """
    parsed, broken = dict[str, Query](), list[Broken]()
    names = {*(table.name for table in known), *(view.name for view in VIEWS)}
    marts = {file.name for file in files}
    for file in files:
        try:
            parsed[file.name] = _checked(parse_mart(file), names, marts)
        except MartError as error:
            broken.append(Broken(file.name, error))
    broken += list(_circles(parsed))
    failed = {each.name for each in broken}
    graph = {n: set(q.reads) & parsed.keys() for n, q in parsed.items() if n not in failed}
    order = TopologicalSorter(graph).static_order()
    return [parsed[name] for name in order if name not in failed], broken


def _checked(query: Query, tables: set[str], marts: set[str]) -> Query:
    path = query.file.path
    if query.name in tables:
        raise MartError(path, 0, f"{query.name} is a table of the program itself")
    for name, line in query.lines.items():
        if name not in tables | marts:
            raise MartError(path, line, f"no table {name!r}{nearest(name, sorted(tables | marts))}")
    star = {table.name for table in STAR_TABLES}
    for name in query.tables if query.file.grain else ():
        if name not in star:
            raise MartError(
                path, query.lines.get(name, 0), f"incremental, and reads {name}",
                "let it read customer_dim, product_dim and sales_fact alone, or have it built "
                "whole: without the comment",
            )  # fmt: skip
    return query


def _circles(parsed: Mapping[str, Query]) -> Iterator[Broken]:
    """The marts that read themselves, directly or through others."""
    graph = {name: set(query.reads) & parsed.keys() for name, query in parsed.items()}
    while graph:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle: list[str] = error.args[1]
            way = " reads ".join(reversed(circle))
            for name in dict.fromkeys(circle):
                query = parsed[name]
                line = next(query.lines[n] for n in query.reads if n in circle)
                yield Broken(name, MartError(query.file.path, line, f"a circle: {way}"))
                graph.pop(name)
            graph = {name: reads & graph.keys() for name, reads in graph.items()}
        else:
            return
