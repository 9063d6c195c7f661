"""The sums of a source against those of its rows in the table, once it is merged."""

from collections.abc import Mapping
from decimal import Decimal

from etl.engines.database import DatabaseManager
from etl.engines.dialect import quoted, quoted_table, same_key
from etl.history.runs import Staged
from etl.schema.table import Column, Kind, Role, Table

# By column, the sum of the source and that of the table, as texts.
Sums = Mapping[str, tuple[str, str]]
ROWS = "rows"  # the name under which the numbers of rows stand beside the sums


def compared_columns(table: Table) -> tuple[Column, ...]:
    """Return the columns of a table whose sums are exact."""
    exact = (Kind.INTEGER, Kind.BIGINT, Kind.DECIMAL)
    return tuple(column for column in table.with_role(Role.SOURCE) if column.kind in exact)


def sums_of(table: Table, rows: str) -> str:
    """Return the query for the rows and sums of staged records, and of their rows in the table.

    Args:
        table: into which they were merged.
        rows: where they are staged.
    """
    counts = [f"count(s.{quoted(table.key[0])})", f"count(t.{quoted(table.key[0])})"]
    for column in compared_columns(table):
        scale = column.scale if column.kind is Kind.DECIMAL else 0
        counts += [
            f"sum(CAST({alias}.{quoted(column.name)} AS DECIMAL(38, {scale})))" for alias in "st"
        ]
    listed = ",\n    ".join(counts)
    return f"""SELECT {listed}
FROM {quoted(rows)} AS s
LEFT JOIN {quoted_table(table.name)} AS t ON {same_key(table, "t", "s")};"""


def reconcile(db: DatabaseManager, staged: Staged) -> dict[str, Sums]:
    """Return by table the sums of a source and of its rows; none where they cannot be compared.

    Args:
        db: the warehouse, in which the source is merged and still staged.
        staged: the source.
    """
    table = staged.table
    if not table.key or table.versions or staged.folded:
        return {}
    (figures,) = db.query(sums_of(table, staged.rows))
    names = (ROWS, *(column.name for column in compared_columns(table)))
    pairs = zip(figures[::2], figures[1::2], strict=True)
    return {
        table.name: {
            name: (_text(source), _text(target))
            for name, (source, target) in zip(names, pairs, strict=True)
        }
    }


def _text(figure: Decimal | int | None) -> str:
    """Without zeros at its end: engines differ in how many of them a sum has."""
    return f"{Decimal(figure or 0).normalize():f}"
