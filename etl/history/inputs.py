"""Which file each table was last loaded from, so that the same file need not be loaded again.

A table has one such note. It is written in the transaction of the load, and every other load of
the table removes it: as long as it is there, and the rows of the table are still those that it
describes, loading the same file by the same rules would change nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from etl.engines import dialect as sql_dialects
from etl.engines.database import DatabaseManager
from etl.engines.dialect import listed, quoted
from etl.history.runs import Input, LoadCounts
from etl.schema.audit import ETL_INPUT
from etl.schema.table import Table


@dataclass(frozen=True)
class KnownInput:
    """The note of a table.

    Attributes:
        run_id: the newest run that loaded or recognised the input.
        state: of the rows of the table after it.
    """

    input: Input
    run_id: str
    state: str


def known_input(db: DatabaseManager, table: Table) -> KnownInput | None:
    """Return the note of a table; None when its last load was of another kind."""
    query = f'SELECT {listed(ETL_INPUT.columns)} FROM "etl_input" WHERE "table_name" = ?;'  # noqa: S608  # our own names
    rows = db.query(query, (table.name,))
    if not rows:
        return None
    row = dict(zip(ETL_INPUT.names, rows[0], strict=True))
    found = Input(
        row["sha256"], int(row["bytes"]), row["settings"], row["facts"], row["since_run_id"]
    )
    return KnownInput(found, row["run_id"], row["state"])


def forget_input(db: DatabaseManager, table: Table) -> None:
    """Remove the note of a table, in the transaction of a load."""
    db.execute('DELETE FROM "etl_input" WHERE "table_name" = ?;', (table.name,))


def remember_input(
    db: DatabaseManager, table: Table, run_id: str, *, known: Input, state: str
) -> None:
    """Write the note of a table in place of the one before, in the transaction of a load.

    Args:
        db: the warehouse.
        table: the table.
        run_id: the run that loads or recognises the input.
        known: the input.
        state: of the rows of the table.
    """
    forget_input(db, table)
    units = len(known.facts.encode("utf-16-le", "surrogatepass")) // 2
    if units > ETL_INPUT.column("facts").width:  # then it is loaded again
        return
    row: Sequence[object] = (
        table.name, run_id, known.since or run_id, known.sha256, known.size_bytes,
        known.settings, state, known.facts,
    )  # fmt: skip
    db.execute(sql_dialects.insert_row(ETL_INPUT), row)


def restated_counts(loaded: LoadCounts) -> LoadCounts:
    """Return what loading an input again comes to, from the counts of its last load.

    Example:
        >>> loaded = LoadCounts(rows_read=9, rows_inserted=7, rows_rejected=2)
        >>> restated_counts(loaded).rows_unchanged
        7
    """
    kept = loaded.rows_read - loaded.rows_rejected - loaded.rows_duplicate
    return LoadCounts(
        rows_read=loaded.rows_read, rows_unchanged=kept, rows_rejected=loaded.rows_rejected,
        rows_duplicate=loaded.rows_duplicate, rows_vanished=loaded.rows_vanished,
    )  # fmt: skip


def copy_read_keys(db: DatabaseManager, table: Table, *, earlier: str, run_id: str) -> None:
    """Record the keys that an earlier run has rejected as rejected by this one."""
    columns = ", ".join(map(quoted, ("run_id", "table_name", "record_key")))
    db.execute(
        f'INSERT INTO "etl_read_key" ({columns}) SELECT ?, "table_name", "record_key" '  # noqa: S608  # our own names
        'FROM "etl_read_key" WHERE "run_id" = ? AND "table_name" = ?;',
        (run_id, earlier, table.name),
    )
