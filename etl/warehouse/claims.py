"""Which tables the load of a table may write and read: by that, which loads may work at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from etl.schema.table import Table, referrers
from etl.warehouse.restated import restated_by


@dataclass(frozen=True)
class Claim:
    """The tables of a load, by their names.

    Attributes:
        writes: those that it may write: its own, and those of placeholders and of what it restates.
        reads: those that it reads besides.
    """

    writes: frozenset[str]
    reads: frozenset[str] = frozenset()

    def excludes(self, other: "Claim") -> bool:
        """Return whether one of both may write what the other writes or reads.

        Example:
            >>> orders = Claim(frozenset({"orders"}), frozenset({"regions"}))
            >>> orders.excludes(Claim(frozenset({"shops"}), frozenset({"regions"})))
            False
            >>> orders.excludes(Claim(frozenset({"regions"})))
            True
        """
        shared = self.writes & (other.writes | other.reads) or self.reads & other.writes
        return bool(shared)


def claim_of(table: Table, tables: Sequence[Table]) -> Claim:
    """Return what the load of a table claims.

    Args:
        table: into which is loaded.
        tables: those that there are.

    Example:
        >>> from etl.schema.star import PRODUCT_DIM, STAR_TABLES
        >>> sorted(claim_of(PRODUCT_DIM, STAR_TABLES).writes)
        ['product_dim', 'sales_fact']
    """
    writes = frozenset(each.name for each in _written(table))
    return Claim(writes, frozenset(each.name for each in _read(table, tables)) - writes)


def _written(table: Table) -> Iterator[Table]:
    yield table
    if table.history is not None:
        yield table.history
    yield from (parent for _, parent in table.references if parent.placeholder)
    yield from (each.table for each in restated_by(table))


def _read(table: Table, tables: Sequence[Table]) -> Iterator[Table]:
    """Those that must have what a row names, or may name a row that goes."""
    parents = [parent for _, parent in table.references]
    yield from parents
    loses = [table] if table.replaced or table.feed else []
    for each in (*loses, *(parent for parent in parents if parent.placeholder)):
        yield from (child for child, _ in referrers(each, tables))
