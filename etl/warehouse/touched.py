"""What loads change is noted for the marts: days, customers and products of sales, and records.

It is noted in the transaction of the change itself, by whatever loads, as long as the warehouse
has marts; so a mart can be brought up to date later, after nights without marts and killed runs.
`rows` is the name of the table of staged records.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from etl.engines.database import DatabaseManager
from etl.engines.dialect import (
    Dialect,
    any_differs,
    quoted,
    quoted_table,
    same_key,
    temporary,
    text_literal,
)
from etl.history.runs import Staged
from etl.schema.audit import ETL_MART, ETL_TOUCHED
from etl.schema.star import CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT
from etl.schema.table import Column, Role, Table
from etl.warehouse.restated import Restatement

DAY = "day"
# The column of `etl_touched`, and how a row of a table gives it.
_NOTHING = {
    DAY: "CAST(NULL AS DATE)", "customer_id": "CAST(NULL AS VARCHAR(50))",
    "product_id": "CAST(NULL AS VARCHAR(50))",
}  # fmt: skip
SALE_DAY = 'CAST({row}."transaction_date" AS DATE)'
# By table, the columns of `etl_touched` that its rows have.
PLACES: Mapping[str, Mapping[str, str]] = {
    SALES_FACT.name: {
        DAY: SALE_DAY, "customer_id": '{row}."customer_id"', "product_id": '{row}."product_id"',
    },
    CUSTOMER_DIM.name: {"customer_id": '{row}."customer_id"'},
    PRODUCT_DIM.name: {"product_id": '{row}."product_id"'},
}  # fmt: skip


@dataclass(frozen=True)
class Watch:
    """What the marts of a warehouse read, so that changes of it are noted.

    Attributes:
        run_id: the run that changes something.
        columns: that some mart reads, by table.
    """

    run_id: str
    columns: Mapping[str, frozenset[str]]

    def columns_of(self, table: Table) -> tuple[Column, ...] | None:
        """Return the columns by whose difference a row counts as changed; None: nobody reads it."""
        read = self.columns.get(table.name)
        if read is None:
            return None
        stamped = {column.name for column in table.with_role(Role.UPDATED)}
        return tuple(c for c in table.guarded if c.name in read or read & stamped)


def watch_of(db: DatabaseManager, run_id: str) -> Watch | None:
    """Return what the marts of the warehouse read; None where it has none.

    Args:
        db: the warehouse.
        run_id: the run that is about to change something.
    """
    if ETL_MART.name not in db.table_names():
        return None
    columns: dict[str, frozenset[str]] = {}
    for (text,) in db.query(f'SELECT "watched" FROM {quoted(ETL_MART.name)};'):
        for name, read in json.loads(text).items():
            columns[name] = columns.get(name, frozenset()) | frozenset(read)
    return Watch(run_id, columns) if columns else None


def note_changes(db: DatabaseManager, watch: Watch | None, staged: Staged) -> None:
    """Note what merging staged records is about to change; before it is done.

    Args:
        db: the warehouse, in the transaction of the load.
        watch: what the marts read; None for no marts.
        staged: the records, new or changed ones among them.
    """
    columns = watch.columns_of(staged.table) if watch else None
    if watch is None or columns is None:
        return
    if staged.table.name in PLACES:
        query = changed_places(db.dialect, staged.table, staged.rows, columns)
        db.execute(_insert(staged.table, query), (watch.run_id,))
    else:
        note_table(db, watch, staged.table)


def note_table(db: DatabaseManager, watch: Watch | None, table: Table) -> None:
    """Note that a table was changed, without saying where."""
    if watch is not None and table.name in watch.columns:
        nowhere = ", ".join(f"{null} AS {quoted(name)}" for name, null in _NOTHING.items())
        db.execute(_insert(table, f"SELECT {nowhere}"), (watch.run_id,))


def note_restated(db: DatabaseManager, watch: Watch | None, restatement: Restatement) -> None:
    """Note the rows of a table that the temporary table of restated ones names."""
    table, right = restatement.table, restatement.right.name
    if watch is None or table.name not in watch.columns:
        return
    same = same_key(table, "t", "r")
    query = f"""SELECT DISTINCT {_places(table, "t")}
FROM {quoted(table.name)} AS t JOIN {temporary(db.dialect, right)} AS r ON {same}"""
    db.execute(_insert(table, query), (watch.run_id,))


def forget_builds(db: DatabaseManager) -> None:
    """Have all marts built anew, since rows were removed; in the transaction that removes them."""
    if ETL_MART.name in db.table_names():
        db.execute(f"UPDATE {quoted(ETL_MART.name)} SET \"run_id\" = '';")


def changed_places(dialect: Dialect, table: Table, rows: str, columns: Iterable[Column]) -> str:
    """Return the query for where staged records are new, or differ in one of these columns.

    Of a record that differs, the place where it was counts as well.

    Args:
        dialect: the engine's.
        table: of the star.
        rows: the staged records.
        columns: by whose difference a record counts as changed.
    """
    compared, target = tuple(columns), quoted_table(table.name)
    same, new = same_key(table, "t", "s"), f"t.{quoted(table.key[0])} IS NULL"
    differs = any_differs(dialect, compared, "t", "s") if compared else ""
    query = f"""SELECT {_places(table, "s")} FROM {quoted(rows)} AS s
LEFT JOIN {target} AS t ON {same} WHERE {f"{new} OR {differs}" if differs else new}"""
    if not differs:
        return query
    return f"""{query}
UNION
SELECT {_places(table, "t")} FROM {quoted(rows)} AS s
JOIN {target} AS t ON {same} WHERE {differs}"""


def _places(table: Table, row: str) -> str:
    own = PLACES[table.name]
    return ", ".join(
        f"{own.get(name, null).format(row=row)} AS {quoted(name)}"
        for name, null in _NOTHING.items()
    )


def _insert(table: Table, query: str) -> str:
    """Return what notes the places of a query. Parameter: the run."""
    columns = ", ".join(quoted(name) for name in ETL_TOUCHED.names)
    places = ", ".join(f"q.{quoted(name)}" for name in _NOTHING)
    return f"""INSERT INTO {quoted(ETL_TOUCHED.name)} ({columns})
SELECT ?, {text_literal(table.name)}, {places} FROM (
{query}
) AS q;"""
