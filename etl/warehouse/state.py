"""How far each source has been read: shown to people, and forgotten when they ask for it.

The state of a source is its watermark. It moves in the transaction of its load, never back.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches

from etl.engines.database import DatabaseManager
from etl.errors import ConfigurationError
from etl.history import audit
from etl.schema.tables import ETL_INPUT, ETL_WATERMARK, SALES_FACT
from etl.settings.config import Config
from etl.warehouse.tables import read_catalog


@dataclass(frozen=True)
class SourceState:
    """How far a source has been read.

    Attributes:
        cursor: the column of time by which its records are new.
        lag_days: days before the newest record that are read once more.
        reached: the newest record that was loaded; None: nothing was.
        run_id: the run that loaded it.
    """

    source: str
    table: str
    cursor: str
    lag_days: int
    reached: datetime | None = None
    run_id: str = ""

    @property
    def next_from(self) -> datetime | None:
        """From where on the next run reads; None: everything.

        Example:
            >>> state = SourceState("sales", "sales_fact", "transaction_date", 3)
            >>> print(state.next_from)
            None
        """
        return self.reached - timedelta(days=self.lag_days) if self.reached else None

    def as_dict(self) -> dict[str, object]:
        """Return it as plain values, for JSON."""
        times = {"reached": self.reached, "next_from": self.next_from}
        return asdict(self) | {name: at and at.isoformat(" ") for name, at in times.items()}


def read_states(db: DatabaseManager, config: Config) -> tuple[SourceState, ...]:
    """Return the state of each source that is read by a cursor.

    Args:
        db: the warehouse, which may be empty.
        config: the settings.
    """
    known = read_catalog(db, [ETL_WATERMARK.name]).columns
    reached = audit.read_watermarks(db) if ETL_WATERMARK.name in known else {}
    return tuple(
        SourceState(source, table, cursor, lag_days, *reached.get(table, (None, "")))
        for source, table, cursor, lag_days in _by_cursor(config)
    )


def _by_cursor(config: Config) -> Iterator[tuple[str, str, str, int]]:
    yield "sales", SALES_FACT.name, SALES_FACT.window, config.processing.watermark_lag_days
    for name, load in config.pipeline.loads.items():
        if load.cursor:
            yield name, load.table, load.cursor, load.lag_days


def state_of(states: tuple[SourceState, ...], name: str) -> SourceState:
    """Return the state of a source.

    Raises:
        ConfigurationError: there is no such source, or it is read whole each time.
    """
    found = {state.source: state for state in states}
    if name not in found:
        near = get_close_matches(name, found, n=1)
        raise ConfigurationError(
            f"no source {name!r} is read by a cursor", choices=", ".join(found),
            next_step=f"did you mean {near[0]}?" if near else "",
        )  # fmt: skip
    return found[name]


def forget_state(db: DatabaseManager, state: SourceState) -> None:
    """Forget how far a source has been read, so that the next run reads all of it.

    Args:
        db: the warehouse, open for writing.
        state: of the source.
    """
    tables = {table.name: table for table in (ETL_WATERMARK, ETL_INPUT)}
    known = read_catalog(db, tables).columns
    with db.transaction():
        for name in tables.keys() & known.keys():
            audit.forget(db, tables[name], state.table)
