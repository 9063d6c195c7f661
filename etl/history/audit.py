"""What the warehouse remembers of its runs: history, counts, watermark, checks.

Counts and watermark are written in the transaction of the load they speak of, so that they are
there exactly when the rows are.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from etl.engines import dialect as sql_dialects
from etl.engines.database import DatabaseManager
from etl.engines.dialect import (
    quoted,
)
from etl.errors import LoadingError
from etl.history.runs import (
    BACKFILL,
    ONE_DATE,
    READS_WHOLE_SOURCES,
    Applied,
    LoadCounts,
    RunPlan,
    run_id_after,
)
from etl.schema.arrow import arrow_schema
from etl.schema.tables import (
    ETL_COLUMN_CHANGE,
    ETL_LOAD,
    ETL_POSITION,
    ETL_RUN,
    ETL_SETTING,
    ETL_WATERMARK,
    Column,
    Feed,
    Kind,
    Table,
)
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
    _insert(db, ETL_RUN, row)


def finish_run(
    db: DatabaseManager, run_id: str, *, status: str, finished_at: datetime, error: str = ""
) -> None:
    """Record how the run ended."""
    width = ETL_RUN.column("error").width
    db.execute(
        'UPDATE "etl_run" SET "status" = ?, "finished_at" = ?, "error" = ? WHERE "run_id" = ?;',
        (status, finished_at, cut(error, width) or None, run_id),
    )


def cut(text: str, units: int) -> str:
    """Return the text cut to so many UTF-16 units, as a server counts them."""
    return text.encode("utf-16-le", "replace")[: 2 * units].decode("utf-16-le", "ignore")


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
        known = _counts_of(db, run_id)
        totals = {name: known.get(name, LoadCounts()).plus(c) for name, c in touched.items()}
        _write_again(db, ETL_LOAD, run_id, list(totals), [
            {"run_id": run_id, "table_name": name, **asdict(total)}
            for name, total in totals.items()
        ])  # fmt: skip
    if any(applied.column_changes.values()):
        _add_column_changes(db, run_id, applied.column_changes)


def _counts_of(db: DatabaseManager, run_id: str) -> dict[str, LoadCounts]:
    """What a run has counted so far, by table."""
    columns = ", ".join(quoted(name) for name, _ in _ZEROS)
    query = f'SELECT "table_name", {columns} FROM "etl_load" WHERE "run_id" = ?;'  # noqa: S608  # our own columns
    return {name: _counts(figures) for name, *figures in db.query(query, (run_id,))}


def _add_column_changes(
    db: DatabaseManager, run_id: str, changes: Mapping[str, Mapping[str, int]]
) -> None:
    known = db.query(
        'SELECT "table_name", "column_name", "rows_changed" FROM "etl_column_change" '
        'WHERE "run_id" = ?;', (run_id,)
    )  # fmt: skip
    changed = Counter({(table, column): rows for table, column, rows in known if table in changes})
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
    _insert_all(db, table, rows)


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
    newest = db.value(
        'SELECT max("run_id") FROM "etl_load" WHERE "table_name" = ? AND "rows_read" > 0;',
        (table.name,),
    )
    return load_counts(db, newest, table.name) if newest else None


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


def read_watermark(db: DatabaseManager, table: Table) -> datetime | None:
    """Return up to which time runs have read the records of a table; None before the first."""
    reached = read_watermarks(db).get(table.name)
    return reached.time if reached and reached.number is None else None


def read_number(db: DatabaseManager, table: Table) -> int | None:
    """Return the largest number by which runs have read a table; None before the first."""
    reached = read_watermarks(db).get(table.name)
    return reached.number if reached else None


@dataclass(frozen=True)
class Reached:
    """How far the records of a table have been read.

    Attributes:
        time: the newest record; beside a number the moment at which that was reached.
        run_id: the run that has read it.
        number: the largest one, where records are read by number; None: the time says it.
    """

    time: datetime
    run_id: str
    number: int | None = None


def read_watermarks(db: DatabaseManager, *, upgraded: bool = True) -> dict[str, Reached]:
    """Return by table how far it has been read.

    Args:
        db: the warehouse.
        upgraded: whether it has the column of numbers already.
    """
    number = '"largest_number"' if upgraded else "NULL"
    rows = db.query(
        f'SELECT "table_name", "watermark", "run_id", {number} FROM "etl_watermark";'  # noqa: S608  # one of two constants
    )
    return {table: Reached(*reached) for table, *reached in rows}


def forget(db: DatabaseManager, table: Table, table_name: str) -> None:
    """Delete what an audit table says of a table."""
    db.execute(f'DELETE FROM "{table.name}" WHERE "table_name" = ?;', (table_name,))  # noqa: S608  # our own table


def move_watermark(
    db: DatabaseManager, plan: RunPlan, table: Table, reached: datetime | None
) -> None:
    """Move the watermark of a table, never back.

    Args:
        db: the warehouse, in the transaction of the load.
        plan: the run.
        table: the table.
        reached: the newest record read that does not lie in the future; None: there is none.
    """
    known = read_watermark(db, table)
    if reached is None or (known is not None and known >= reached):
        return
    _reach(db, table.name, Reached(reached, plan.run_id))


def move_number(db: DatabaseManager, plan: RunPlan, table: Table, largest: int | None) -> None:
    """Move the largest number that was read of a table, never back.

    Args:
        db: the warehouse, in the transaction of the load.
        plan: the run.
        table: the table.
        largest: of the records read; None: there are none.
    """
    known = read_number(db, table)
    if largest is not None and (known is None or largest > known):
        _reach(db, table.name, Reached(plan.started_at, plan.run_id, largest))


def _reach(db: DatabaseManager, table_name: str, reached: Reached) -> None:
    db.execute('DELETE FROM "etl_watermark" WHERE "table_name" = ?;', (table_name,))
    _insert(db, ETL_WATERMARK, {
        "table_name": table_name, "watermark": reached.time, "run_id": reached.run_id,
        "largest_number": reached.number,
    })  # fmt: skip


@dataclass(frozen=True)
class ReadTo:
    """How far the changes of a table have been read.

    Attributes:
        position: of the newest change; empty before the first.
        cleared: of the newest change that emptied the table; empty: there was none.
        run_id: the run that read it.
    """

    position: str = ""
    cleared: str = ""
    run_id: str = ""


def read_positions(db: DatabaseManager) -> dict[str, ReadTo]:
    """Return by table how far its changes have been read."""
    rows = db.query('SELECT "table_name", "position", "cleared", "run_id" FROM "etl_position";')
    return {name: ReadTo(position, cleared or "", run) for name, position, cleared, run in rows}


def read_position(db: DatabaseManager, table: Table) -> ReadTo:
    """Return how far the changes of a table have been read."""
    return read_positions(db).get(table.name, ReadTo())


def move_position(db: DatabaseManager, plan: RunPlan, table: Table, read_to: ReadTo) -> None:
    """Move the position of a table; of a feed in any order never back.

    Args:
        db: the warehouse, in the transaction of the load.
        plan: the run.
        table: the table.
        read_to: how far the run has read.
    """
    known = read_position(db, table) if table.feed is Feed.ANY_ORDER else ReadTo()
    position = max(known.position, read_to.position)
    if not position:
        return
    forget(db, ETL_POSITION, table.name)
    cleared = max(known.cleared, read_to.cleared) or None
    row = {"table_name": table.name, "position": position, "cleared": cleared}
    _insert(db, ETL_POSITION, row | {"run_id": plan.run_id})


def record_settings(
    db: DatabaseManager, plan: RunPlan, table: Table, settings: Mapping[str, str]
) -> None:
    """Record the settings with which a run computes rows of a table.

    A run that computes every row of it anew replaces what earlier runs have recorded.

    Args:
        db: the warehouse, in the transaction of the load.
        plan: the run.
        table: the table.
        settings: by name, the value as text.
    """
    if plan.full_refresh or not (table.window or plan.is_partial):
        db.execute('DELETE FROM "etl_setting" WHERE "table_name" = ?;', (table.name,))
    if not settings:
        return
    same = " OR ".join('("setting" = ? AND "value" = ?)' for _ in settings)
    places = (part for place in settings.items() for part in place)
    db.execute(
        f'DELETE FROM "etl_setting" WHERE "table_name" = ? AND ({same});',  # noqa: S608  # marks
        (table.name, *places),
    )
    _insert_all(db, ETL_SETTING, [
        {"table_name": table.name, "setting": setting, "value": value, "run_id": plan.run_id}
        for setting, value in settings.items()
    ])  # fmt: skip


def read_settings(db: DatabaseManager) -> dict[str, dict[str, list[str]]]:
    """Return the settings that computed the rows: by table and setting, the values, oldest first.

    More than one value means that some rows were computed with each of them.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for table_name, setting, value in db.query(
        'SELECT "table_name", "setting", "value" FROM "etl_setting" '
        'ORDER BY "table_name", "setting", "run_id";'
    ):
        found.setdefault(table_name, {}).setdefault(setting, []).append(value)
    return found


def expected_rows(db: DatabaseManager, table: Table) -> int:
    """Return how many rows the audited loads of all runs should have left in a table."""
    counted = "rows_inserted + rows_inferred - rows_removed"
    return int(
        db.value(
            f'SELECT coalesce(sum({counted}), 0) FROM "etl_load" WHERE "table_name" = ?;',  # noqa: S608  # a constant
            (table.name,),
        )
    )


def replace_row(db: DatabaseManager, table: Table, row: Mapping[str, object]) -> None:
    """Write a row of an audit table in place of the one with its key, in the caller's transaction.

    Args:
        db: the warehouse, in a transaction.
        table: the table.
        row: the row, whole.
    """
    same = " AND ".join(f"{quoted(name)} = ?" for name in table.key)
    place = tuple(row[name] for name in table.key)
    db.execute(f"DELETE FROM {quoted(table.name)} WHERE {same};", place)  # noqa: S608  # our own names
    _insert(db, table, row)


def replace_rows(
    db: DatabaseManager, table: Table, rows: Sequence[Mapping[str, object]], *, by: Sequence[str]
) -> None:
    """Write rows of an audit table in place of those like them, so that it may be done twice.

    Args:
        db: the open warehouse, outside a transaction.
        table: the table.
        rows: its new rows.
        by: the columns in which those are like them that go.
    """
    same = " AND ".join(f"{quoted(name)} = ?" for name in by)
    with db.transaction():
        for place in {tuple(row[name] for name in by) for row in rows}:
            db.execute(f"DELETE FROM {quoted(table.name)} WHERE {same};", place)  # noqa: S608  # our own names
        insert_rows(db, table, rows)


def insert_rows(db: DatabaseManager, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of an audit table; texts are cut to their columns, empty ones are left out."""
    schema = arrow_schema(table.columns)
    fitting = [{c.name: _fitting(c, row.get(c.name)) for c in table.columns} for row in rows]
    db.append(table, pa.RecordBatch.from_pylist(fitting, schema=schema))


def _fitting(column: Column, value: object) -> object:
    if column.kind is Kind.TEXT and value is not None:
        text = cut(str(value), column.width)
        return text if text or column.required else None
    if column.kind is Kind.DECIMAL and value is not None:
        return Decimal(str(value)).quantize(Decimal(1).scaleb(-column.scale))
    return value


def _insert_all(db: DatabaseManager, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows, as many with a statement as a server takes parameters."""
    many = _MOST_PARAMETERS // len(table.columns)
    for start in range(0, len(rows), many):
        part = rows[start : start + many]
        values = [row.get(name) for row in part for name in table.names]
        db.execute(sql_dialects.insert_rows(table, len(part)), values)


_MOST_PARAMETERS = 2000  # SQL Server takes 2,100 with a statement


def _insert(db: DatabaseManager, table: Table, row: Mapping[str, object]) -> None:
    db.execute(sql_dialects.insert_row(table), [row.get(name) for name in table.names])
