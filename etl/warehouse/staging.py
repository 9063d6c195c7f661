"""Where the records of a source are staged, complete, before anything of them can be seen.

An embedded engine stages in temporary tables. A server stages in permanent ones, which a login
that may create nothing can fill, and which outlast a lost connection; their rows carry the run and
the batch in which they will be merged. Over ODBC they are checked against a checksum, because
drivers have been seen to change values silently.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from etl.engines import checksums, ddl
from etl.engines import dialect as sql_dialects
from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.history.runs import Folded
from etl.libraries import parquet
from etl.resilience.transient import is_data_error
from etl.rules.columns import storable_keys
from etl.rules.record_keys import record_keys
from etl.rules.values import as_text
from etl.schema.arrow import staged_schema
from etl.schema.table import Column, Table
from etl.schema.work_tables import (
    batch_table,
    key_table,
    key_text_width,
    rejected_key_table,
    removed_table,
    staging_table,
)
from etl.warehouse import staging_sql, star_sql
from etl.warehouse.bulk_staging import BulkStaging, bulk_of
from etl.warehouse.changes import fold_changes
from etl.warehouse.code_pages import CodePage, code_pages_of, without_unfit
from etl.warehouse.shared_staging import (
    WHOLE,
    Share,
    StagedShare,
    keep_shares,
    open_to,
    remove_share,
    shut,
)

_CHUNK_ROWS = 50_000  # of duplicates, read at a time
_MANY_ROWS = 10_000  # of fewer, any plan will do


@dataclass(frozen=True)
class Refused:
    """Rows that the database does not take, and what it says."""

    rows: pa.RecordBatch
    reason: str


@dataclass(frozen=True)
class Batch:
    """Rows of a staging table that are merged together."""

    number: int
    first_row: int
    last_row: int
    rows: int


class Staging:
    """The staged records of one source.

    Args:
        db: the warehouse, outside a transaction.
        table: the table into which they will be merged.
        run_id: the run.
        batch_rows: rows per batch, where the engine merges in batches.
        share: the part that this process has in it.
    """

    def __init__(
        self, db: DatabaseManager, table: Table, *, run_id: str, batch_rows: int,
        share: Share = WHOLE,
    ) -> None:  # fmt: skip
        self.table = table
        self.run_id = run_id
        self._db = db
        self._permanent = db.dialect.stages_permanently
        self._batch_rows = batch_rows
        self._share = share
        self._layout = staging_table(table, permanent=self._permanent)
        self._rejected = rejected_key_table(table)
        self._removed = [removed_table(table)] if table.feed else []
        self._appended = 0
        self._checksum: list[int] = []

    @property
    def rows(self) -> str:
        """Name of the table that holds them."""
        return self._layout.name

    @property
    def rejected(self) -> str:
        """Name of the table of the keys of rejected records."""
        return self._rejected.name

    def begin(self) -> None:
        """Make it empty, whatever an earlier attempt or a killed run has left or still stages."""
        if self._permanent:
            shut(self._db, self.table)
        for table in (self._layout, self._rejected, *self._removed):
            if self._permanent:
                self._db.clear(table.name)
            else:
                self._db.execute(ddl.drop_temporary(self._db.dialect, table.name))
                self._db.execute(ddl.create_temporary(self._db.dialect, table))

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Keep one transaction open while it is filled, where that is faster.

        An embedded engine copies the rows of every small transaction once more; in one large
        transaction they are written once. On a server each append stands for itself, as one
        refused row would take back the whole transaction.
        """
        with nullcontext() if self._permanent else self._db.transaction():
            yield

    @cached_property
    def _encoding(self) -> str:
        digest = self._db.value(checksums.probe_encoding())
        return checksums.encoding_of(checksums.PROBE, digest)

    @cached_property
    def _bulk(self) -> BulkStaging | None:
        copier = bulk_of(self._db) if self._permanent else None
        return BulkStaging(self._db, copier, self.table, self._layout) if copier else None

    @cached_property
    def _code_pages(self) -> tuple[CodePage, ...]:
        return code_pages_of(self._db, self.table)

    def append(self, accepted: pa.RecordBatch) -> list[Refused]:
        """Append records; return those that the database does not take."""
        fitting, unfit = without_unfit(accepted, self._code_pages)
        refused = [Refused(rows, reason) for rows, reason in unfit]
        return [*refused, *self._append_fitting(fitting)]

    def _append_fitting(self, accepted: pa.RecordBatch) -> list[Refused]:
        if not accepted.num_rows:
            return []
        try:
            self._append(accepted)
        except LoadingError as error:
            if not is_data_error(error):
                raise
            return self._bisect(accepted, error)
        return []

    def _bisect(self, accepted: pa.RecordBatch, error: LoadingError) -> list[Refused]:
        if accepted.num_rows == 1:
            return [Refused(accepted, str(error))]
        middle = accepted.num_rows // 2
        halves = accepted.slice(0, middle), accepted.slice(middle)
        return [refused for half in halves for refused in self._append_fitting(half)]

    def _append(self, accepted: pa.RecordBatch) -> None:
        if not self._permanent:
            self._db.append(self._layout, accepted)
            return
        parts, figures = list(self._in_batches(accepted)), self._figures(accepted)
        if not (self._bulk and self._bulk.send(accepted, parts, figures=figures)):
            self._share.append(self._db, self._layout, parts)
        self._appended += accepted.num_rows
        if self._bulk and self._bulk.is_trusted:  # what is sent next begins a batch
            self._appended += -self._appended % self._batch_rows
        known = self._checksum or [0] * len(figures)
        self._checksum = [a + b for a, b in zip(known, figures, strict=True)]

    def _figures(self, accepted: pa.RecordBatch) -> list[int]:
        if not self._db.dialect.checksummed:
            return []
        return checksums.block_checksum(self.table, accepted, self._encoding)

    def _in_batches(
        self, accepted: pa.RecordBatch
    ) -> Iterator[tuple[pa.RecordBatch, Mapping[str, object]]]:
        if not self._db.dialect.batched:
            yield accepted, {"run_id": self.run_id, "batch": self._share.first_batch}
            return
        start = 0
        while start < accepted.num_rows:  # up to the end of a batch, then the next one
            number, filled = divmod(self._appended + start, self._batch_rows)
            rows = accepted.slice(start, self._batch_rows - filled)
            yield rows, {"run_id": self.run_id, "batch": self._share.number(number)}
            start += rows.num_rows

    def append_files(self, paths: Sequence[Path]) -> None:
        """Append the records of Parquet files; of an embedded engine alone."""
        names = [
            name for name in parquet().read_schema(paths[0]).names if name in self._layout.names
        ]
        query = staging_sql.append_files(self.rows, names)
        self._db.execute(query, ([str(path) for path in paths],))

    @property
    def staged(self) -> StagedShare:
        """What this process has staged."""
        return StagedShare(self._share.first_batch, self._appended, tuple(self._checksum))

    def discard(self) -> None:
        """Take out what this process has staged."""
        remove_share(self._db, self.rows, self._share.first_batch)
        self._appended, self._checksum = 0, []

    def open_to(self, pieces: Iterable[int]) -> str:
        """Let other processes stage pieces of the source; return what admits them."""
        return open_to(self._db, self.table, pieces)

    def close_to(self, shares: Sequence[StagedShare]) -> None:
        """Let nobody else stage any more, and keep these shares alone.

        Raises:
            LoadingError: one of them is not there as it was staged.
        """
        shut(self._db, self.table)
        keep_shares(self._db, self.rows, shares)
        self._appended = sum(share.rows for share in shares)
        figures = [share.figures for share in shares if share.figures]
        self._checksum = [sum(column) for column in zip(*figures, strict=True)]

    def append_rejected_keys(self, rejected: pa.RecordBatch) -> None:
        """Keep the keys of rejected records: those have not vanished from the source."""
        keys = storable_keys(rejected.select(["record_key"]), key_text_width(self.table))
        if keys.num_rows:
            self._db.append(self._rejected, keys)

    def verify(self) -> None:
        """Check that the server holds what was sent.

        Raises:
            LoadingError: it holds something else.
        """
        if self._bulk:
            self._bulk.close()
        self._refresh_statistics()
        if not self._checksum:
            return
        query = checksums.server_checksum(self._db.dialect, self.table, self.rows)
        row = self._db.query(query, (self.run_id,))[0]
        found = [int(figure or 0) for figure in row]
        if found != self._checksum:
            raise LoadingError(
                f"{self.rows} does not hold what was sent: figures {found} where "
                f"{self._checksum} were expected",
                next_step="nothing of this source was loaded; check the ODBC driver, and that "
                "nobody else writes into the staging tables",
            )

    def _refresh_statistics(self) -> None:
        refresh = sql_dialects.refresh_statistics(self._db.dialect, self.rows)
        if refresh and self._appended >= _MANY_ROWS:
            with suppress(LoadingError):  # some relatives of the server know no such statement
                self._db.execute(refresh)

    def remove_without_parent(self, column: Column, parent: Table, *, staged: bool) -> pa.Table:
        """Take out and return the rows that name a key which their parent lacks.

        Args:
            column: that holds the key.
            parent: the table whose key it is.
            staged: whether records that are staged for it in this run count as well.
        """
        also = staging_table(parent, permanent=self._permanent).name if staged else ""
        condition = star_sql.without_parent(column, parent, staged=also)
        schema, db = _staged_schema(self.table), self._db
        query = star_sql.select_without_parent(self.table, condition, rows=self.rows)
        found = pa.Table.from_batches(db.blocks(query, schema, _CHUNK_ROWS), schema)
        if found.num_rows:
            db.execute(star_sql.delete_without_parent(condition, rows=self.rows))
        return found

    def remove_duplicates(self) -> pa.Table | None:
        """Leave one row per key and return the others, None if there are none.

        The one that stays is the greatest by the rank of the table, and the last in the source.
        """
        db, table = self._db, self.table
        if not table.key:
            return None
        rows, keys = db.query(staging_sql.repeated_keys(table, self.rows))[0]
        if rows == keys:
            return None
        db.execute(ddl.drop_temporary(db.dialect, staging_sql.DUPLICATES))
        db.execute(staging_sql.create_duplicates(db.dialect, table, self.rows))
        db.execute(staging_sql.delete_duplicates(db.dialect, self.rows))
        schema = _staged_schema(table)
        query = staging_sql.select_duplicates(db.dialect, table)
        return pa.Table.from_batches(db.blocks(query, schema, _CHUNK_ROWS), schema)

    def fold(self, reached: str) -> Folded:
        """Leave the newest change of each key; see `fold_changes`."""
        return fold_changes(self._db, self.table, self.rows, reached)

    def count_conflicting(self) -> int:
        """Return how many of the rows just removed differ from the one of their key that stayed."""
        return int(self._db.value(staging_sql.count_conflicting(
            self._db.dialect, self.table, self.rows
        )))  # fmt: skip


def _staged_schema(table: Table) -> pa.Schema:
    return pa.schema([pa.field("source_row", pa.int64()), *staged_schema(table)])


def staged_row(
    db: DatabaseManager, table: Table, *, rows: str, run_id: str, batch: Batch
) -> pa.Table:
    """Return the one record of a batch that has been halved down to it."""
    schema = _staged_schema(table)
    query = staging_sql.select_staged_row(table, rows)
    found = db.query(query, (run_id, batch.number, batch.first_row))
    records = [dict(zip(schema.names, row, strict=True)) for row in found]
    return pa.Table.from_pylist(records, schema=schema)


def end_staging(db: DatabaseManager, *names: str) -> None:
    """Empty the staging tables of a source, or drop them where they are temporary."""
    for name in filter(None, names):
        if db.dialect.stages_permanently:
            db.clear(name)
        else:
            db.execute(ddl.drop_temporary(db.dialect, name))


def newest_staged(
    db: DatabaseManager, table: Table, rows: str, *, now: datetime
) -> datetime | None:
    """Return the time of the newest staged record that does not lie in the future."""
    newest: datetime | None = db.value(staging_sql.newest_staged(table, rows), (now,))
    return newest


def largest_staged(db: DatabaseManager, table: Table, rows: str) -> int | None:
    """Return the largest number of the staged records by which they are asked for."""
    largest: int | None = db.value(staging_sql.largest_staged(table, rows))
    return largest


def known_rows(
    db: DatabaseManager, table: Table, keys: pa.Table
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return what the warehouse holds of some keys: by key, the row with its staged columns.

    Args:
        db: the warehouse, outside a transaction.
        table: the table.
        keys: its key columns, without repetitions.
    """
    if not keys.num_rows:
        return {}
    wanted = key_table(table)
    temporary = ddl.temporary_table(db.dialect, wanted)
    db.execute(ddl.drop_temporary(db.dialect, wanted.name))
    db.execute(ddl.create_temporary(db.dialect, temporary))
    for block in keys.combine_chunks().to_batches():
        db.append(temporary, block)
    query = staging_sql.select_rows_of_keys(db.dialect, table, temporary.name)
    blocks = db.blocks(query, staged_schema(table), _CHUNK_ROWS)
    rows = [row for block in blocks for row in block.to_pylist()]
    return {tuple(row[name] for name in table.key): row for row in rows}


def known_texts(
    db: DatabaseManager, table: Table, keys: pa.Table
) -> dict[str, dict[str, str | None]]:
    """Return the rows of a table with some keys, as texts: by key, its staged columns.

    Args:
        db: the warehouse, outside a transaction.
        table: the table.
        keys: what to look for, in the types of the key; what no column can hold is in no row.
    """
    texts = pa.record_batch({
        "record_key": record_keys(table, {n: keys[n].combine_chunks() for n in table.key})
    })  # fmt: skip
    storable = storable_keys(texts, key_text_width(table)).column("record_key")
    wanted = keys.filter(pc.is_in(texts.column("record_key"), value_set=storable))
    distinct: pa.Table = wanted.group_by(list(table.key)).aggregate([])
    rows = known_rows(db, table, distinct)
    columns = zip(table.key, zip(*rows, strict=True), strict=False)
    found = {n: pa.array(values, keys.schema.field(n).type) for n, values in columns}
    names = record_keys(table, found).to_pylist() if rows else []
    return {
        name: {column: as_text(value) for column, value in row.items()}
        for name, row in zip(names, rows.values(), strict=True)
    }


# --- batches -----------------------------------------------------------------------------


def batches_of(db: DatabaseManager, rows: str, run_id: str) -> list[Batch]:
    """Return the batches in which staged rows will be merged."""
    return [Batch(*row) for row in db.query(staging_sql.select_batches(rows), (run_id,))]


def halves_of(db: DatabaseManager, rows: str, run_id: str, batch: Batch) -> list[Batch]:
    """Return both halves of a batch; of a single row itself."""
    found = _rows_of(db, rows, run_id, batch)
    middle = len(found) // 2
    parts = [part for part in (found[:middle], found[middle:]) if part]
    return [Batch(batch.number, part[0], part[-1], len(part)) for part in parts]


def singles_of(
    db: DatabaseManager, rows: str, run_id: str, batch: Batch, *, count: int
) -> list[Batch]:
    """Return single rows of a batch, spread evenly from the first to the last."""
    found = _rows_of(db, rows, run_id, batch)
    last = len(found) - 1
    places = sorted({last * n // (count - 1) for n in range(count)})
    return [Batch(batch.number, found[place], found[place], 1) for place in places]


def _rows_of(db: DatabaseManager, rows: str, run_id: str, batch: Batch) -> list[int]:
    params = (run_id, batch.number, batch.first_row, batch.last_row)
    return [row for (row,) in db.query(staging_sql.select_batch_rows(rows), params)]


def open_batches(db: DatabaseManager, table: Table) -> str:
    """Make a temporary table for one batch after the other, and return its name."""
    one = ddl.temporary_table(db.dialect, batch_table(table))
    db.execute(ddl.drop_temporary(db.dialect, batch_table(table).name))
    db.execute(ddl.create_temporary(db.dialect, one))
    return one.name


def keyed_rows(db: DatabaseManager, table: Table, *, rows: str, run_id: str) -> str:
    """Copy all staged rows into a temporary table with their key, and return its name.

    A staging table is kept in the order of the source. Each statement that joins all of it would
    sort or hash it by the key anew, with memory for the declared width of every row.
    """
    into = open_batches(db, table)
    db.execute(staging_sql.fill_whole(table, stage=rows, keyed=into), (run_id,))
    return into


def fill_batch(
    db: DatabaseManager, table: Table, *, rows: str, run_id: str, into: str, batch: Batch
) -> None:
    """Put a batch into the table for it, in place of the one before."""
    db.execute(sql_dialects.clear_temporary(db.dialect, into))
    place = (run_id, batch.number, batch.first_row, batch.last_row)
    db.execute(staging_sql.fill_batch(table, stage=rows, batch=into), place)
