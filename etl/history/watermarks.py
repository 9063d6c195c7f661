"""How far the records and the changes of a table have been read.

It is written in the transaction of the load, and never moves back but for `--reset-state`.
"""

from dataclasses import dataclass
from datetime import datetime

from etl.engines.database import DatabaseManager
from etl.history.audit_rows import forget, write_row
from etl.history.runs import RunPlan
from etl.schema.audit import ETL_POSITION, ETL_WATERMARK
from etl.schema.table import Feed, Table


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
    write_row(db, ETL_WATERMARK, {
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
    write_row(db, ETL_POSITION, row | {"run_id": plan.run_id})
