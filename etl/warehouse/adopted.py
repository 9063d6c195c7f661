"""Tables that somebody else has made: which columns a load can write, and what corrects the others.

What works is loaded. What cannot is named before anything is written, with the statement that would
correct it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from etl.engines.database import DatabaseManager
from etl.engines.dialect import Dialect, quoted, sql_type
from etl.schema.table import Column, Kind, Table

_MICROSECONDS = 6  # decimals of a second


@dataclass(frozen=True)
class FoundColumn:
    """A column as the catalog of the warehouse describes it.

    Attributes:
        decimals: of the seconds of a time.
        supplied: what it is, when the server fills it by itself.
    """

    type_name: str
    width: int | None
    precision: int | None
    scale: int | None
    nullable: str
    default: str | None
    collation: str | None
    decimals: int | None = None
    supplied: str = ""

    @property
    def words(self) -> str:
        """The type for people.

        Example:
            >>> FoundColumn("decimal", None, 12, 3, "YES", None, None).words
            'decimal(12, 3)'
        """
        if self.width:
            return f"{self.type_name}({self.width if self.width > 0 else 'max'})"
        if self.scale and "(" not in self.type_name:
            return f"{self.type_name}({self.precision}, {self.scale})"
        return self.type_name if self.decimals is None else f"{self.type_name}({self.decimals})"

    @property
    def must_be_given(self) -> bool:
        """Whether an INSERT that does not name it fails."""
        return self.nullable == "NO" and self.default is None and not self.supplied

    @property
    def plain_type(self) -> str:
        """The name of its type alone."""
        return self.type_name.partition("(")[0].lower()

    def kind(self, dialect: Dialect) -> Kind | None:
        """Return what it holds; None for what no load knows."""
        return dialect.kinds.get(self.plain_type)

    def holds(self, column: Column, dialect: Dialect) -> bool:
        """Return whether everything fits that the column is declared to hold.

        Letters of other code pages than its own are looked at in each record.
        """
        kind = self.kind(dialect)
        if kind is Kind.BIGINT and column.kind is Kind.INTEGER:
            return True
        if kind is not column.kind:
            return False
        if kind is Kind.TEXT:
            return self._holds_text(column, dialect)
        if kind is Kind.DECIMAL and self.precision is not None:
            scale = self.scale or 0
            whole = self.precision - scale
            return scale >= column.scale and whole >= column.precision - column.scale
        if kind is Kind.TIMESTAMP and self.decimals is not None:
            return self.decimals >= _MICROSECONDS
        return True

    def _holds_text(self, column: Column, dialect: Dialect) -> bool:
        adopts = dialect.adopts
        joined = column.exact and not column.collation
        if joined and (self.plain_type in adopts.code_page_types or self._joins_with_none(dialect)):
            return False
        return self.width is None or self.width < 0 or self.width >= column.width

    def _joins_with_none(self, dialect: Dialect) -> bool:
        known = dialect.adopts.exact_collations
        return bool(known) and self.collation not in known


@dataclass(frozen=True)
class Obstacle:
    """A column that a load cannot write as it must, or not always.

    Attributes:
        words: what it is, and what is needed.
        correction: the statement that would correct it; empty where a person has to choose.
        stops: whether nothing can be loaded before.
    """

    words: str
    correction: str = ""
    stops: bool = True

    def __str__(self) -> str:
        return f"{self.words}: {self.correction}" if self.correction else self.words


@dataclass
class Adopting:
    """Compares tables with their declarations.

    Args:
        db: the warehouse, which is asked what hinders an ALTER only when one is needed.
    """

    db: DatabaseManager
    _dependents: dict[tuple[str, str], list[str]] | None = field(default=None, init=False)

    def obstacles(self, table: Table, found: Mapping[str, FoundColumn]) -> Iterator[Obstacle]:
        """Yield what is in the way of a load of a table.

        Args:
            table: as it is declared.
            found: its columns, as they are.
        """
        for name, column in found.items():
            if name in table.names:
                yield from self._of_declared(table, table.column(name), column)
            elif column.must_be_given:
                yield Obstacle(f"{table.name}.{name} must not be empty, and no load knows it")

    def _of_declared(self, table: Table, column: Column, found: FoundColumn) -> Iterator[Obstacle]:
        place, dialect = f"{table.name}.{column.name}", self.db.dialect
        wanted = sql_type(dialect, column)
        if found.supplied:
            words = f"{place} is {found.supplied}, where a load writes it"
            yield Obstacle(words, self._made_anew(table, column))
        elif not found.holds(column, dialect):
            words = f"{place} is {self._described(found, column)} where {wanted} is needed"
            yield Obstacle(words, self._altered(table, column))
        elif self._is_of_a_code_page(table, found):
            words = (
                f"{place} is {found.words} ({found.collation}): records with letters that it does "
                "not hold are rejected"
            )
            yield Obstacle(words, self._altered(table, column), stops=False)
        elif found.nullable == "NO" and not column.required:
            words = f"{place} must not be empty: records without a value are refused"
            yield Obstacle(words, self._altered(table, column), stops=False)
        elif found.plain_type == "smallint" and column.kind is Kind.INTEGER:
            words = f"{place} is smallint: records with more than 32,767 are refused"
            yield Obstacle(words, self._altered(table, column), stops=False)

    def _described(self, found: FoundColumn, column: Column) -> str:
        collation = f" COLLATE {found.collation}" if column.exact and found.collation else ""
        return f"{found.words}{collation}"

    def _is_of_a_code_page(self, table: Table, found: FoundColumn) -> bool:
        return found.plain_type in self.db.dialect.adopts.code_page_types and bool(table.source)

    def _altered(self, table: Table, column: Column) -> str:
        dialect = self.db.dialect
        statement = dialect.adopts.alter.format(
            table=dialect.quoted_place(table.name), column=quoted(column.name),
            type=sql_type(dialect, column), empty="NOT NULL" if column.required else "NULL",
        )  # fmt: skip
        held = self._holders().get((table.name.rpartition(".")[2], column.name), [])
        drop = f" (drop {', '.join(held)} before it, and make them again)" if held else ""
        return statement + drop

    def _made_anew(self, table: Table, column: Column) -> str:
        name = self.db.dialect.quoted_place(table.name)
        return f"ALTER TABLE {name} DROP COLUMN {quoted(column.name)}; the next load adds it again"

    def _holders(self) -> dict[tuple[str, str], list[str]]:
        """By table and column, what must be dropped before the column can be altered."""
        if self._dependents is None:
            self._dependents = {}
            query = self.db.dialect.adopts.dependents
            for table, column, name in self.db.query(query) if query else ():
                self._dependents.setdefault((table, column), []).append(name)
        return self._dependents


def supplied_columns(db: DatabaseManager) -> dict[tuple[str, str, str], str]:
    """Return what the server fills by itself: by schema, table and column, what that is."""
    query = db.dialect.adopts.supplied
    return {(schema, table, name): what for schema, table, name, what in db.query(query)} if (
        query) else {}  # fmt: skip
