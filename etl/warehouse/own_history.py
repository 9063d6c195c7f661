"""Tables that keep something of their past: what they are, and what can be loaded into them."""

from collections.abc import Iterable
from dataclasses import replace

from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.schema.star import STAR_TABLES
from etl.schema.table import Column, Kind, Table
from etl.schema.versioned import (
    HOLDS_FROM,
    IS_CURRENT,
    TAKEN,
    VALID_FROM,
    VALID_TO,
    VERSION_ID,
    history_beside,
    observation_table,
    record_columns,
    versioned,
)
from etl.schema.versions import Versions
from etl.settings.config import Config
from etl.warehouse.own_tables import find_table

_MARKS = (VERSION_ID, VALID_FROM, VALID_TO, IS_CURRENT)
_TIMES = (Kind.DATE, Kind.TIMESTAMP)


def with_memory(table: Table, config: Config) -> Table:
    """Return a built-in table with what is declared to be kept of its past.

    Args:
        table: the table.
        config: the settings.
    """
    options = config.pipeline.source(table.source)
    if options.changes is not None:
        table = replace(table, logged=options.changes.logged)
    if options.history is None:
        return table
    beside = history_beside(table, options.history.versions())
    return replace(table, history=replace(beside, replaced=options.history.closes()))


def built_in_tables(config: Config) -> tuple[Table, ...]:
    """Return the tables of the built-in loads, each with what is kept of its past."""
    return tuple(with_memory(table, config) for table in STAR_TABLES)


def find_for_mode(db: DatabaseManager, name: str, mode: str) -> Table | None:
    """Return what records bring to a table of the warehouse; None if there is none.

    Args:
        db: the warehouse.
        name: of the table.
        mode: of the load.

    Raises:
        LoadingError: it keeps versions and the mode does not, or the other way round.
    """
    found = find_table(db, name)
    if found is None:
        return None
    keeps = set(_MARKS) <= set(found.names)
    if keeps and mode != "history":
        raise LoadingError(
            f"{name} keeps versions, which mode {mode} does not", next_step="use mode history"
        )
    if not keeps and mode == "history":
        raise LoadingError(f"{name} is there and keeps no versions", next_step="name another table")
    return _as_records(db, found) if keeps else found


def _as_records(db: DatabaseManager, found: Table) -> Table:
    """The table without what only versions have, by the key of its records."""
    observed = find_table(db, observation_table(found).name)
    key = tuple(n for n in observed.key if n != HOLDS_FROM) if observed else ()
    key = key or tuple(n for n in found.key if n != VERSION_ID)
    return replace(found, key=key, columns=record_columns(found.columns))


def with_versions(table: Table, versions: Versions, *, closes: bool) -> Table:
    """Return a table as one that keeps versions.

    Args:
        table: what records bring, by their key.
        versions: how they come about.
        closes: whether what a reading lacks has ended.

    Raises:
        LoadingError: a column cannot be what it is declared to be.
    """
    _require_columns(table, (*versions.latest, versions.valid_from))
    if taken := [name for name in table.names if name in TAKEN]:
        raise LoadingError(
            f"no record of {table.name} can have {', '.join(taken)}, which versions have",
            next_step="rename it in the records",
        )
    since = versions.valid_from
    if since and table.column(since).kind not in _TIMES:
        raise LoadingError(f"valid_from: {since} is no date and no timestamp")
    if odd := [name for name in versions.latest if name in (*table.key, since)]:
        raise LoadingError(f"types: {', '.join(odd)} say which version it is, and have no type")
    return replace(versioned(table, versions), replaced=closes)


def _require_columns(table: Table, names: Iterable[str]) -> None:
    unknown = [name for name in names if name and name not in table.names]
    if unknown:
        raise LoadingError(
            f"{table.name} has no column {', '.join(unknown)}", choices=", ".join(table.names)
        )


def require_carried(existing: Table | None, columns: Iterable[Column]) -> None:
    """Check that a load brings all columns that a table of versions has.

    Raises:
        LoadingError: it lacks some, so that versions would lose what is in them.
    """
    names = {column.name for column in columns}
    lacking = [name for name in (existing.names if existing else ()) if name not in names]
    if lacking:
        raise LoadingError(
            f"the records lack {', '.join(lacking)}, which the versions have",
            next_step="give them a default, or drop the columns from both of its tables",
        )
