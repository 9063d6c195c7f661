"""Which marts there are, what they read and which columns they have: found without a warehouse."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from etl.engines.dialect import Dialect
from etl.marts.columns import Shadow
from etl.marts.files import MartError, MartFile, mart_paths, read_mart
from etl.marts.graph import MartNode, after_of
from etl.marts.queries import Broken, Query, queries_of
from etl.marts.statements import Statements
from etl.schema.audit import AUDIT_TABLES, MART_TABLES
from etl.schema.table import Table
from etl.schema.tables import derived_tables


@dataclass(frozen=True)
class Mart:
    """A mart that can be built.

    Attributes:
        parents: the marts that it reads.
        insert: what computes and inserts all its rows.
    """

    query: Query
    table: Table
    statements: Statements
    parents: tuple[str, ...]
    insert: str

    @property
    def name(self) -> str:
        """Of the mart and its table."""
        return self.table.name


@dataclass(frozen=True)
class MartPlan:
    """The marts in an order in which each comes after those that it reads.

    Attributes:
        broken: those whose files cannot be used.
        loaded: the tables into which sources are loaded, whose changes are noted.
    """

    marts: tuple[Mart, ...]
    broken: tuple[Broken, ...]
    loaded: tuple[Table, ...]

    @property
    def nodes(self) -> tuple[MartNode, ...]:
        """The marts with the loads and marts that they read; broken ones without."""
        loads = {table.name: table.source for table in self.loaded}
        names = {mart.name for mart in self.marts}
        return (
            *(MartNode(each.name) for each in self.broken),
            *(MartNode(mart.name, after_of(mart.query, loads, names)) for mart in self.marts),
        )

    @property
    def tables(self) -> tuple[Table, ...]:
        """What the warehouse needs for them: their tables, and those that say when to build."""
        return (*MART_TABLES, *(mart.table for mart in self.marts))


def plan_marts(base_dir: Path, dialect: Dialect, loaded: Iterable[Table]) -> MartPlan:
    """Read all files of marts.

    Args:
        base_dir: the folder of `.env`, whose `marts/` has those of the user.
        dialect: of the warehouse.
        loaded: the tables into which sources are loaded.
    """
    loaded = tuple(loaded)
    known = (*loaded, *derived_tables(loaded), *AUDIT_TABLES)
    files, broken = list[MartFile](), list[Broken]()
    for path in mart_paths(base_dir):
        try:
            files.append(read_mart(path))
        except MartError as error:
            broken.append(Broken(path.stem, error))
    queries, unread = queries_of([file for file in files if not file.is_empty], known)
    found = list(_marts(queries, known, dialect))
    marts = tuple(each for each in found if isinstance(each, Mart))
    wrong = (each for each in found if isinstance(each, Broken))
    return MartPlan(marts, (*broken, *unread, *wrong), loaded)


def _marts(
    queries: list[Query], known: tuple[Table, ...], dialect: Dialect
) -> Iterator[Mart | Broken]:
    names, broken = {query.name for query in queries}, set[str]()
    for query, table in Shadow(known).tables(queries):
        parents = tuple(name for name in query.reads if name in names)
        try:
            _require_usable(query, parents, broken)
            if isinstance(table, MartError):
                raise table
            statements = Statements(dialect, query, table)
            yield Mart(query, table, statements, parents, statements.insert())
        except MartError as error:
            broken.add(query.name)
            yield Broken(query.name, error)


def _require_usable(query: Query, parents: Iterable[str], broken: set[str]) -> None:
    if found := [name for name in parents if name in broken]:
        what = f"it reads {', '.join(found)}, which cannot be built"
        raise MartError(query.file.path, query.lines[found[0]], what)
