"""What the warehouse remembers of its runs: their history and the counts of their loads.

Counts are written in the transaction of the load they speak of, so that they are there exactly
when the rows are.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from etl.engines.database import DatabaseManager
from etl.engines.dialect import quoted
from etl.errors import LoadingError
from etl.history.audit_rows import cut, insert_rows, write_row, write_rows
from etl.history.runs import (
    BACKFILL,
    ONE_DATE,
    READS_WHOLE_SOURCES,
    Applied,
    LoadCounts,
    RunPlan,
    run_id_after,
)
from etl.schema.audit import ETL_COLUMN_CHANGE, ETL_LOAD, ETL_RUN
from etl.schema.table import Table
from etl.sources.window import EVERYTHING, Window

RUNNING = "running"
SUCCESS = "success"
ATTENTION = "attention"
FAILED = "failed"
INTERRUPTED = "interrupted"
# Never reported its end; found and named by the next run.
KILLED = "killed"
# A killed run whose sales a later run has read.
RECOVERED = "recovered"
# Found the warehouse in use by another run.
IN_USE = "in_use"

# How a source of a run fared.
LOADED = "loaded"
PREVIEWED = "dry run"
HELD_BACK = "held back"
SOURCE_FAILED = "failed"
# What it refers to was not loaded in the same run.
SKIPPED = "skipped"

# The modes of killed and failed runs whose sales a plain run would not read by itself.
RELOADED = (ONE_DATE, BACKFILL)


def next_run_id(db: DatabaseManager, now: datetime) -> str:
    """Return an id that sorts after every run the warehouse knows."""
    return run_id_after(now, db.value(f"SELECT max(run_id) FROM {quoted(ETL_RUN.name)};"))  # noqa: S608  # our own table


def begin_run(db: DatabaseManager, plan: RunPlan) -> None:
    """Record the run as running."""
    row = {
        "run_id": plan.run_id,
        "environment": plan.environment,
        "mode": plan.mode,
        "window_start": plan.window.start,
        "window_end": plan.window.end,
        "status": RUNNING,
        "started_at": plan.started_at,
    }
    write_row(db, ETL_RUN, row)


def finish_run(
    db: DatabaseManager, run_id: str, *, status: str, finished_at: datetime, error: str = ""
) -> None:
    """Record how the run ended."""
    width = ETL_RUN.column("error").width
    db.execute(
        'UPDATE "etl_run" SET "status" = ?, "finished_at" = ?, "error" = ? WHERE "run_id" = ?;',
        (status, finished_at, cut(error, width) or None, run_id),
    )


def last_success(db: DatabaseManager) -> datetime | None:
    """Return when a run last ended with success, UTC; None when none has."""
    query = 'SELECT max("finished_at") FROM "etl_run" WHERE "status" = ?;'
    ended: datetime | None = db.value(query, (SUCCESS,))
    return ended


@dataclass(frozen=True)
class PastRun:
    """A run of the history."""

    run_id: str
    mode: str
    window: Window


def newest_run(db: DatabaseManager) -> PastRun | None:
    """Return the run that began last, None before the first."""
    rows = db.query(
        'SELECT "run_id", "mode", "window_start", "window_end" FROM "etl_run" '
        'WHERE "run_id" = (SELECT max("run_id") FROM "etl_run");'
    )
    return _past_runs(rows)[0] if rows else None


def errors_since(db: DatabaseManager, since: datetime) -> list[dict[str, Any]]:
    """Return how the runs since a moment ended: `run_id`, `status` and `error`, oldest first."""
    rows = db.query(
        'SELECT "run_id", "status", "error" FROM "etl_run" WHERE "started_at" >= ? '
        'ORDER BY "run_id";',
        (since,),
    )
    return [dict(zip(("run_id", "status", "error"), row, strict=True)) for row in rows]


def mark_killed(
    db: DatabaseManager, now: datetime, errors: Mapping[str, str] = MappingProxyType({})
) -> list[PastRun]:
    """Mark the runs that never ended, and return them.

    Only one run works in a warehouse at a time, so whatever is running besides was killed, or
    lost the warehouse before it could say how it ended.

    Args:
        db: the warehouse.
        now: the present moment, UTC.
        errors: by run id, what is known from elsewhere of how a run ended.
    """
    killed = _runs_with(db, RUNNING)
    for run in killed:
        error = errors.get(run.run_id) or "ended without a report"
        finish_run(db, run.run_id, status=KILLED, finished_at=now, error=error)
    return killed


def run_ids_since(db: DatabaseManager, run_id: str) -> set[str]:
    """Return the ids of this run and of later ones, as far as the warehouse knows them."""
    rows = db.query('SELECT "run_id" FROM "etl_run" WHERE "run_id" >= ?;', (run_id,))
    return {known for (known,) in rows}


def record_runs(db: DatabaseManager, runs: Sequence[Mapping[str, object]]) -> None:
    """Record runs that ended and never reached the warehouse, rows of `etl_run`."""
    if runs:
        insert_rows(db, ETL_RUN, runs)


def windows_to_reload(db: DatabaseManager, table: Table) -> list[Window]:
    """Return windows of killed and failed runs whose records of a table were not read since.

    A source that was held back is not among them: the next run would only be held back too.
    """
    return [run.window for run in _runs_without(db, table)]


def _runs_without(db: DatabaseManager, table: Table) -> list[PastRun]:
    modes = ", ".join("?" for _ in RELOADED)
    rows = db.query(
        f"""SELECT r."run_id", r."mode", r."window_start", r."window_end" FROM "etl_run" AS r
WHERE r."mode" IN ({modes}) AND r."status" IN (?, ?, ?, ?, ?, ?)
    AND NOT EXISTS (SELECT 1 FROM "etl_lineage" AS l
        WHERE l."run_id" = r."run_id" AND l."table_name" = ? AND l."status" NOT IN (?, ?))
    AND NOT EXISTS (SELECT 1 FROM "etl_lineage" AS l
        WHERE l."run_id" > r."run_id" AND l."table_name" = ? AND l."status" = ?
            AND l."window_start" <= r."window_start" AND l."window_end" >= r."window_end")
ORDER BY r."run_id";""",  # noqa: S608  # question marks alone
        (
            *RELOADED, FAILED, ATTENTION, INTERRUPTED, IN_USE, KILLED, RECOVERED,
            table.name, SOURCE_FAILED, SKIPPED, table.name, LOADED,
        ),
    )  # fmt: skip
    return _past_runs(rows)


def mark_recovered(db: DatabaseManager, window: Window) -> None:
    """Mark killed runs as recovered whose sales lie in a window that has been loaded."""
    db.execute(
        'UPDATE "etl_run" SET "status" = ? '
        'WHERE "status" = ? AND "window_start" >= ? AND "window_end" <= ?;',
        (RECOVERED, KILLED, window.start, window.end),
    )


def _runs_with(db: DatabaseManager, status: str) -> list[PastRun]:
    rows = db.query(
        'SELECT "run_id", "mode", "window_start", "window_end" FROM "etl_run" '
        'WHERE "status" = ? ORDER BY "run_id";',
        (status,),
    )
    return _past_runs(rows)


def _past_runs(rows: Iterable[Sequence[Any]]) -> list[PastRun]:
    return [PastRun(run_id, mode, Window(start, end)) for run_id, mode, start, end in rows]


def require_balance(db: DatabaseManager, run_id: str) -> None:
    """Check that what the warehouse says of a run adds up.

    Raises:
        LoadingError: the counts of a table do not add up to the records read; says by how much.
    """
    for table_name, counts in sorted(_counts_of(db, run_id).items()):
        if counts.accounted != counts.rows_read:
            raise LoadingError(
                f"run {run_id} does not balance: of {counts.rows_read} records read for "
                f"{table_name}, {counts.accounted} are accounted for "
                f"({counts.accounted - counts.rows_read:+d})",
                next_step="run --full-refresh, and report it with the log of this run",
            )


def record_load(db: DatabaseManager, run_id: str, applied: Applied) -> None:
    """Add the counts of a load to the run's; a table may be touched by several loads.

    It is done in each transaction of a load: in as many statements whatever was touched.
    """
    touched = {name: counts for name, counts in applied.counts.items() if counts != LoadCounts()}
    if touched:
        known = _counts_of(db, run_id, tuple(touched))
        totals = {name: known.get(name, LoadCounts()).plus(c) for name, c in touched.items()}
        _write_again(db, ETL_LOAD, run_id, list(totals), [
            {"run_id": run_id, "table_name": name, **asdict(total)}
            for name, total in totals.items()
        ])  # fmt: skip
    if any(applied.column_changes.values()):
        _add_column_changes(db, run_id, applied.column_changes)


def _counts_of(
    db: DatabaseManager, run_id: str, names: Sequence[str] = ()
) -> dict[str, LoadCounts]:
    """What a run has counted so far, by table; of all where none are named."""
    columns = ", ".join(quoted(name) for name, _ in _ZEROS)
    query = f'SELECT "table_name", {columns} FROM "etl_load" WHERE "run_id" = ?{_of(names)};'  # noqa: S608  # our own columns
    return {name: _counts(figures) for name, *figures in db.query(query, (run_id, *names))}


def _of(names: Sequence[str]) -> str:
    """Condition: rows of these tables; those of loads beside this one may be locked."""
    return f' AND "table_name" IN ({", ".join("?" for _ in names)})' if names else ""


def _add_column_changes(
    db: DatabaseManager, run_id: str, changes: Mapping[str, Mapping[str, int]]
) -> None:
    select = 'SELECT "table_name", "column_name", "rows_changed" FROM "etl_column_change"'
    query = f'{select} WHERE "run_id" = ?{_of(list(changes))};'
    known = db.query(query, (run_id, *changes))
    changed = Counter({(table, column): rows for table, column, rows in known})
    changed.update({(t, column): n for t, rows in changes.items() for column, n in rows.items()})
    _write_again(db, ETL_COLUMN_CHANGE, run_id, list(changes), [
        {"run_id": run_id, "table_name": name, "column_name": column, "rows_changed": rows}
        for (name, column), rows in changed.items()
    ])  # fmt: skip


def _write_again(
    db: DatabaseManager,
    table: Table,
    run_id: str,
    names: Sequence[str],
    rows: Sequence[Mapping[str, object]],
) -> None:
    """Put rows in place of those that a run has of some tables."""
    marks = ", ".join("?" for _ in names)
    db.execute(
        f'DELETE FROM {quoted(table.name)} WHERE "run_id" = ? AND "table_name" IN ({marks});',  # noqa: S608  # our own names
        (run_id, *names),
    )
    write_rows(db, table, rows)


def batches_done(db: DatabaseManager, run_id: str, table_name: str) -> int:
    """Return how many transactions of a run's load of a table have been committed."""
    return load_counts(db, run_id, table_name).batches


def load_counts(db: DatabaseManager, run_id: str, table_name: str) -> LoadCounts:
    """Return what a run counted of a table, zeros when it did not touch it."""
    names = list(asdict(LoadCounts()))
    columns = ", ".join(quoted(name) for name in names)
    rows = db.query(
        f'SELECT {columns} FROM "etl_load" WHERE "run_id" = ? AND "table_name" = ?;',  # noqa: S608  # our own columns
        (run_id, table_name),
    )
    return _counts(rows[0]) if rows else LoadCounts()


def _counts(figures: Sequence[Any]) -> LoadCounts:
    return LoadCounts(**{n: type(d)(v) for (n, d), v in zip(_ZEROS, figures, strict=True)})


def newest_load(db: DatabaseManager, table: Table) -> LoadCounts | None:
    """Return what the newest run that read records for a table counted; None before it."""
    return newest_loads(db).get(table.name)


def newest_loads(db: DatabaseManager) -> dict[str, LoadCounts]:
    """Return by table what the newest run that read records for it counted."""
    columns = ", ".join(f"l.{quoted(name)}" for name, _ in _ZEROS)
    rows = db.query(f"""SELECT l."table_name", {columns} FROM "etl_load" AS l
JOIN (SELECT "table_name", max("run_id") AS "run_id" FROM "etl_load"
    WHERE "rows_read" > 0 GROUP BY "table_name") AS n
    ON n."table_name" = l."table_name" AND n."run_id" = l."run_id";""")  # noqa: S608  # our own columns
    return {name: _counts(figures) for name, *figures in rows}


_ZEROS = tuple(asdict(LoadCounts()).items())


def last_whole_read(db: DatabaseManager, table: Table) -> int | None:
    """Return how many records the newest load of a table read that read all its source has.

    None before the first. A load of single records, or of a window, is none.
    """
    newest = db.value(_newest_whole_load(table), (table.name, *_whole_params(table)))
    return load_counts(db, newest, table.name).rows_read if newest else None


def _newest_whole_load(table: Table) -> str:
    # without a batch of its own the table was only touched by the load of another one
    windowed = ' AND r."window_start" = ? AND r."window_end" = ?' if table.window else ""
    modes = ", ".join("?" for _ in READS_WHOLE_SOURCES)
    return f"""SELECT max(l."run_id") FROM "etl_load" AS l
JOIN "etl_run" AS r ON r."run_id" = l."run_id"
WHERE l."table_name" = ? AND l."batches" > 0 AND r."mode" IN ({modes}){windowed};"""  # noqa: S608  # question marks alone


def _whole_params(table: Table) -> tuple[object, ...]:
    window = (EVERYTHING.start, EVERYTHING.end) if table.window else ()
    return (*READS_WHOLE_SOURCES, *window)


def expected_rows(db: DatabaseManager) -> dict[str, int]:
    """Return by table how many rows the audited loads of all runs should have left in it.

    Of a table that no load has touched there is nothing.
    """
    counted = "rows_inserted + rows_inferred - rows_removed"
    query = f'SELECT "table_name", sum({counted}) FROM "etl_load" GROUP BY "table_name";'  # noqa: S608  # a constant
    return {name: int(rows) for name, rows in db.query(query)}
