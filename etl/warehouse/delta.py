"""What applying staged records will do: counted in one join, before anything is written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from etl.engines import ddl
from etl.engines import dialect as sql_dialects
from etl.engines.database import DatabaseManager
from etl.history.runs import Folded, LoadCounts, Staged
from etl.schema.table import Table
from etl.warehouse import delta_sql


@dataclass(frozen=True)
class Measured:
    """What the join says.

    Attributes:
        counts: of the load.
        per_column: updated rows by column.
        rows_live: staged rows that are in the table and should be.
        is_final: nobody can come between the counting and the writing unnoticed. So it is in an
            embedded engine, in a transaction that sees one snapshot, and where the table was found
            empty and locked.
    """

    counts: LoadCounts
    per_column: Mapping[str, int]
    rows_live: int
    is_final: bool

    @property
    def inserts_alone(self) -> bool:
        """Whether the rows to be written are all new, and stay so."""
        return self.is_final and not self.counts.rows_updated


def measure(db: DatabaseManager, staged: Staged) -> Measured:
    """Count what applying would do."""
    if (found := _all_new(db, staged)) is not None:
        return found
    query = delta_sql.classify(db.dialect, staged.table, staged.rows)
    row = map(int, db.query(query, live_params(staged))[0])
    return _measured(staged, row, is_final=not db.dialect.batched)


def delta_of(db: DatabaseManager, staged: Staged) -> tuple[Measured, Staged]:
    """Count what applying will do, and return the source with the rows alone that are to be read.

    Those that are new or differ, kept by the join that counts them. All that are staged, where
    there is nothing to compare them with, or somebody may write between the counting and the
    writing, so that the writing has to compare them itself.

    Args:
        db: the warehouse, in the transaction that writes.
        staged: the source, or a batch of it.
    """
    if db.dialect.batched:
        return measure(db, staged), staged
    if (found := _all_new(db, staged)) is not None:
        return found, staged
    table, params = staged.table, live_params(staged)
    db.execute(ddl.drop_temporary(db.dialect, delta_sql.DELTA))
    db.execute(delta_sql.create_delta(db.dialect, table, staged.rows), params)
    found_rows, live = map(int, db.query(delta_sql.count_staged(table, staged.rows), params)[0])
    row = db.query(delta_sql.count_delta(db.dialect, table), params)[0]
    rows, own, new, known, *columns = map(int, row)
    measured = _measured(
        staged, [found_rows, new, rows - new, live - own + known, *columns], is_final=True
    )
    return measured, replace(staged, rows=db.dialect.temporary_name.format(name=delta_sql.DELTA))


def live_params(staged: Staged) -> tuple[object, ...]:
    """Return the parameters of `staging_sql.live_rows` for a source."""
    return (staged.window.start, staged.window.end) if staged.table.window else ()


def is_empty(db: DatabaseManager, table: Table) -> bool:
    """Return whether a table holds nothing, and nobody can come between that and the writing.

    Args:
        db: the warehouse, in the transaction that writes.
        table: the table; one that holds nothing is locked where the engine wants that, by the
            range of keys that is all of it.
    """
    looks = dict.fromkeys(("", db.dialect.locked))  # without a lock first: it may hold a lot
    return not any(db.value(sql_dialects.has_rows(table.name, locked)) for locked in looks)


def _all_new(db: DatabaseManager, staged: Staged) -> Measured | None:
    """What all staged rows come to, if there is nothing to compare them with."""
    table = staged.table
    if table.key and (staged.folded or staged.is_batch or not is_empty(db, table)):
        return None
    counts = LoadCounts(
        rows_read=staged.rows_read,
        rows_inserted=staged.rows_staged,
        rows_rejected=staged.rows_rejected,
        rows_duplicate=staged.rows_duplicate,
    )
    return Measured(counts, {}, 0, is_final=True)


def _measured(staged: Staged, row: Iterable[int], *, is_final: bool) -> Measured:
    """The result of `delta_sql.classify` in the words of a load."""
    found, inserted, updated, live, *columns = row
    folded = staged.folded or Folded()
    counts = LoadCounts(
        rows_read=staged.rows_read,
        rows_superseded=folded.superseded,
        rows_removals=folded.removals,
        rows_inserted=inserted,
        rows_updated=updated,
        rows_unchanged=found - inserted - updated,
        rows_rejected=staged.rows_rejected,
        rows_duplicate=staged.rows_duplicate,
    )
    changes = zip(staged.table.guarded, columns, strict=True)
    per_column = {column.name: rows for column, rows in changes if rows}
    return Measured(counts, per_column, live, is_final)
