"""How far each source has been read: shown to people, and forgotten when they ask for it.

The state of a source is its watermark, a time or a number, or the position of the newest change
of it that was loaded. It moves in the transaction of its load, a watermark never back.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from difflib import get_close_matches

from etl.engines.database import DatabaseManager
from etl.engines.dialect import quoted
from etl.errors import ConfigurationError
from etl.history import audit_rows, watermarks
from etl.schema.audit import ETL_INPUT, ETL_POSITION, ETL_WATERMARK
from etl.schema.star import SALES_FACT
from etl.schema.table import Table
from etl.schema.work_tables import changed_key_table
from etl.settings.config import Config
from etl.warehouse.tables import read_catalog


@dataclass(frozen=True)
class SourceState:
    """How far a source has been read.

    Attributes:
        cursor: the column of times or numbers by which its records are new; of changes, the type
            of the source.
        lag_days: days before the newest record that are read once more.
        reached: the newest record that was loaded, the largest number, or the position of the
            newest change; None: nothing was.
        run_id: the run that loaded it.
    """

    source: str
    table: str
    cursor: str
    lag_days: int
    reached: datetime | int | str | None = None
    run_id: str = ""
    lag_ids: int = 0

    @property
    def next_words(self) -> str:
        """What the next run reads, for people.

        Example:
            >>> SourceState("orders", "orders", "postgresql_slot", 0, "016B3740").next_words
            'the changes after it'
        """
        if isinstance(self.reached, str):
            return "the changes after it"
        return "everything" if self.next_from is None else f"from {self.next_from}"

    @property
    def next_from(self) -> datetime | int | None:
        """From where on the next run reads; None: everything.

        Example:
            >>> state = SourceState("sales", "sales_fact", "transaction_date", 3)
            >>> print(state.next_from)
            None
        """
        if isinstance(self.reached, datetime):
            return self.reached - timedelta(days=self.lag_days)
        return self.reached - self.lag_ids if isinstance(self.reached, int) else None

    def as_dict(self) -> dict[str, object]:
        """Return it as plain values, for JSON."""
        ends = {"reached": self.reached, "next_from": self.next_from}
        return asdict(self) | {
            name: end.isoformat(" ") if isinstance(end, datetime) else end
            for name, end in ends.items()
        }


def read_states(db: DatabaseManager, config: Config) -> tuple[SourceState, ...]:
    """Return the state of each source that is read by a cursor, or gives changes.

    Args:
        db: the warehouse, which may be empty.
        config: the settings.
    """
    known = read_catalog(db, [ETL_WATERMARK.name]).columns
    columns = known.get(ETL_WATERMARK.name, {})
    reached = (
        watermarks.read_watermarks(db, upgraded="largest_number" in columns) if columns else {}
    )
    by_cursor = [_with(state, reached.get(state.table)) for state in _by_cursor(config)]
    positions = watermarks.read_positions(db) if ETL_POSITION.name in known else {}
    feeds = _of_changes(config)
    changes = [_read_to(state, positions.get(state.table)) for state in feeds]
    return (*by_cursor, *changes)


def _of_changes(config: Config) -> Iterator[SourceState]:
    for name, load in config.pipeline.loads.items():
        if load.source.is_feed:
            yield SourceState(name, load.table, str(load.source.type), 0)


def _read_to(state: SourceState, read_to: watermarks.ReadTo | None) -> SourceState:
    known = read_to or watermarks.ReadTo()
    return replace(state, reached=known.position or None, run_id=known.run_id)


def _with(state: SourceState, reached: watermarks.Reached | None) -> SourceState:
    if reached is None:
        return state
    end = reached.time if reached.number is None else reached.number
    return replace(state, reached=end, run_id=reached.run_id)


def _by_cursor(config: Config) -> Iterator[SourceState]:
    lag_days = config.processing.watermark_lag_days
    yield SourceState("sales", SALES_FACT.name, SALES_FACT.window, lag_days)
    for name, load in config.pipeline.loads.items():
        if load.cursor:
            yield SourceState(name, load.table, load.cursor, load.lag_days, lag_ids=load.lag_ids)


def state_of(states: tuple[SourceState, ...], name: str) -> SourceState:
    """Return the state of a source.

    Raises:
        ConfigurationError: there is no such source, or it is read whole each time.
    """
    found = {state.source: state for state in states}
    if name not in found:
        near = get_close_matches(name, found, n=1)
        raise ConfigurationError(
            f"no source {name!r} is read by a cursor, or gives changes", choices=", ".join(found),
            next_step=f"did you mean {near[0]}?" if near else "",
        )  # fmt: skip
    return found[name]


def forget_state(db: DatabaseManager, state: SourceState) -> None:
    """Forget how far a source has been read, so that the next run reads all of it.

    Of changes, what is known of single keys is forgotten with it.

    Args:
        db: the warehouse, open for writing.
        state: of the source.
    """
    tables = {table.name: table for table in (ETL_WATERMARK, ETL_POSITION, ETL_INPUT)}
    keys = changed_key_table(Table(state.table, "", (), ())).name
    known = read_catalog(db, tables).columns
    with db.transaction():
        for name in tables.keys() & known.keys():
            audit_rows.forget(db, tables[name], state.table)
        if keys in known:
            db.execute(f"DELETE FROM {quoted(keys)};")  # noqa: S608  # our own table
