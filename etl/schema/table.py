"""What a table is: columns, types, widths, keys, what is required, what refers to what.

DDL, staging, MERGE, checks and the data dictionary are all derived from it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from etl.schema.versions import Versions


class Kind(Enum):
    """What a column holds; each SQL dialect names its own type for it."""

    TEXT = "text"
    INTEGER = "integer"
    BIGINT = "bigint"
    DECIMAL = "decimal"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"


class Role(Enum):
    """Who writes a column, and whether a difference in it makes a row an update."""

    SOURCE = "source"  # comes with the record; a difference makes the row an update
    RESTATED = "restated"  # a property of the whole warehouse, recomputed in SQL
    CREATED = "created"  # written by the load: when the row was first loaded
    UPDATED = "updated"  # written by the load: when a value of the row last changed
    VERSION = "version"  # written by the load: which version of its key the row is


class Default(Enum):
    """What a column holds when a statement does not name it; each dialect writes it its own way."""

    FALSE = "false"
    ZERO = "zero"
    NOW = "now"  # in UTC


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        width: of a text, in UTF-16 code units, as SQL Server counts NVARCHAR.
        references: the table whose key it holds.
        exact: compared and sorted by code point, whatever the collation of the database.
        collation: of a key that its owner has given another one, as the engine writes it.
        default: what statements that do not name it write, and rows that were there before it.
    """

    name: str
    description: str
    kind: Kind
    width: int = 0
    precision: int = 0
    scale: int = 0
    required: bool = False
    references: "Table | None" = None
    role: Role = Role.SOURCE
    exact: bool = False
    default: Default | None = None
    collation: str = ""


class Feed(Enum):
    """In which order the changes come of which a table is kept up."""

    ORDERED = "ordered"  # as they were made; what was read before does not come again
    ANY_ORDER = "any order"  # also late, and again: each key remembers its newest change


@dataclass(frozen=True)
class Index:
    """An index besides the primary key, for engines that need one, and the query it is for.

    Attributes:
        columns: by which it is sorted.
        reason: the query.
        included: columns that it holds besides, so that the query reads nothing else.
    """

    columns: tuple[str, ...]
    reason: str
    included: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One table. What a load does with it follows from this declaration alone.

    Attributes:
        key: the columns by which records are merged; none: every record is added.
        source: the input that feeds it, empty for the audit tables.
        indexes: besides the one of the key.
        window: the column of time by which a run asks its source for records; empty: the source
            is a snapshot, always read whole.
        rank: of records with one key, the greatest by these columns is loaded, and of equal ones
            the last in the source.
        placeholder: the flag of rows that stand for a key that so far only other tables name;
            empty: such keys are refused.
        replaced: each load of the whole source removes the rows that it did not read.
        is_staging: its rows are staged, and worth nothing once they are merged.
        feed: its records are changes, each with a position, and some of them removals; None: they
            are rows.
        versions: how it keeps the versions of its rows; None: it has one row per key.
        history: a table beside it that keeps the versions of its rows.
        computed: its rows follow from those of other tables, and are never staged.
        logged: days for which it is noted who changed what in it, 0 for good; None: it is not.
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    source: str = ""
    indexes: tuple[Index, ...] = ()
    window: str = ""
    rank: tuple[str, ...] = ()
    placeholder: str = ""
    replaced: bool = False
    is_staging: bool = False
    feed: Feed | None = None
    versions: Versions | None = None
    history: "Table | None" = None
    computed: bool = False
    logged: int | None = None

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def column(self, name: str) -> Column:
        """Return the column of that name.

        Raises:
            KeyError: there is none.
        """
        return self._by_name[name]

    def with_role(self, *roles: Role) -> tuple[Column, ...]:
        """Return the columns of these roles, in order.

        Example:
            >>> from etl.schema.star import SALES_FACT
            >>> [column.name for column in SALES_FACT.with_role(Role.RESTATED)]
            ['profit_amount', 'profit_margin', 'customer_status']
        """
        return tuple(column for column in self.columns if column.role in roles)

    @property
    def guarded(self) -> tuple[Column, ...]:
        """The columns whose difference makes a row an update: the source's, without the key."""
        return tuple(c for c in self.with_role(Role.SOURCE) if c.name not in self.key)

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns by which records are distinguished: the key, and since when they hold."""
        since = self.versions.valid_from if self.versions else ""
        return (*self.key, since) if since else self.key

    @property
    def references(self) -> tuple[tuple[Column, "Table"], ...]:
        """The columns that hold the key of another table, with that table."""
        return tuple((c, c.references) for c in self.columns if c.references)

    @property
    def plain_name(self) -> str:
        """The name, with its schema if it has one, as one word for what belongs to the table.

        Example:
            >>> Table("dbo.orders", "", (), ()).plain_name
            'dbo_orders'
        """
        return self.name.replace(".", "_")

    @property
    def names(self) -> tuple[str, ...]:
        """All column names, in order."""
        return tuple(column.name for column in self.columns)


def referrers(table: Table, tables: Iterable[Table]) -> tuple[tuple[Table, Column], ...]:
    """Return the columns of these tables that hold the key of a table, each with its table.

    Example:
        >>> from etl.schema.star import CUSTOMER_DIM, STAR_TABLES
        >>> [(t.name, c.name) for t, c in referrers(CUSTOMER_DIM, STAR_TABLES)]
        [('sales_fact', 'customer_id')]
    """
    found = ((t, column, parent) for t in tables for column, parent in t.references)
    return tuple((t, column) for t, column, parent in found if parent.name == table.name)
