"""The ways in which a database gives the changes of a table to a query.

- SQL Server's change tracking: which keys have changed, and their rows as they are now.
- SQL Server's change data capture: every change, from the log.
- A table that triggers fill, or comparisons of snapshots: every change, as JSON, on any database.

Source: Microsoft, "Work with Change Tracking", "cdc.fn_cdc_get_all_changes_<capture_instance>";
PostgreSQL, "Transaction ID and Snapshot Information Functions".
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from etl.engines.dialect import quoted, quoted_table, text_literal
from etl.errors import ConfigurationError
from etl.rejects import MALFORMED
from etl.rules.records import BadValueError
from etl.schema.work_tables import CLEARED, REMOVED, ROW
from etl.sources.changes.log_records import LogRecord, Value

_KEY = "key "  # before the name of a column: it is that of the change, not of the row
_NUMBER_WIDTH, _LSN_DIGITS = 20, 20
_KINDS = {"c": ROW, "u": ROW, "d": REMOVED, "t": CLEARED}


@dataclass(frozen=True)
class FeedTable:
    """The table whose changes are read.

    Attributes:
        name: with its schema or without.
        key: the columns of the load's key.
        rename: name in the table = column.
        capture: the capture instance; empty: schema and table joined by `_`.
        change_table: in which triggers or comparisons note changes.
        engine: of its database.
    """

    name: str
    key: tuple[str, ...]
    rename: Mapping[str, str] = field(default_factory=dict)
    capture: str = ""
    change_table: str = "etl_change"
    engine: str = ""

    @property
    def own_key(self) -> tuple[str, ...]:
        """The columns of the key, as the table names them."""
        names = {column: name for name, column in self.rename.items()}
        return tuple(names.get(column, column) for column in self.key)

    @property
    def instance(self) -> str:
        """The capture instance."""
        return self.capture or (self.name if "." in self.name else f"dbo.{self.name}").replace(
            ".", "_"
        )


class FeedKind(Protocol):
    """How a database is asked for changes."""

    @property
    def remedy(self) -> str:
        """How the source is made to note what a change needs."""

    def words(self, table: FeedTable) -> str:
        """Return what gives the changes, for people."""

    def bounds(self, table: FeedTable) -> str:
        """Return the query for the earliest change that is still there, and the newest."""

    def bounds_of(self, table: FeedTable, row: Sequence[Any]) -> tuple[str, str]:
        """Return both as positions, the first of them empty where nothing is ever missing.

        Raises:
            ConfigurationError: the changes of the table are not noted.
        """

    def changes(self, table: FeedTable, position: str, newest: str) -> str:
        """Return the query for the changes after a position up to the newest, in their order."""

    def record(self, table: FeedTable, row: Mapping[str, str | None]) -> LogRecord:
        """Return a row of that query as a record.

        Raises:
            BadValueError: it cannot be read.
        """


def _text(name: str) -> str:
    """A name as a text of T-SQL."""
    return f"N{text_literal(name)}"


@dataclass(frozen=True)
class ChangeTracking:
    """Change tracking of SQL Server: the newest change of each key, with the row of now."""

    remedy: str = "the key of the load must be the primary key of the table"

    def words(self, table: FeedTable) -> str:
        """Return what gives the changes, for people."""
        return f"change tracking of {table.name}"

    def bounds(self, table: FeedTable) -> str:
        """Return the query for the earliest version that is still there, and the newest."""
        name = _text(quoted_table(table.name))
        return (
            f"SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID({name})), "
            "CHANGE_TRACKING_CURRENT_VERSION();"
        )

    def bounds_of(self, table: FeedTable, row: Sequence[Any]) -> tuple[str, str]:
        """Return both as positions."""
        earliest, newest = row
        if earliest is None or newest is None:
            name = quoted_table(table.name)
            raise ConfigurationError(
                f"{table.name} has no change tracking, or this login may not view it",
                next_step="run ALTER DATABASE CURRENT SET CHANGE_TRACKING = ON (CHANGE_RETENTION "
                f"= 7 DAYS, AUTO_CLEANUP = ON), ALTER TABLE {name} ENABLE CHANGE_TRACKING, and "
                f"GRANT VIEW CHANGE TRACKING, SELECT ON {name} to the login",
            )
        return f"{int(earliest):0{_NUMBER_WIDTH}}", f"{int(newest):0{_NUMBER_WIDTH}}"

    def changes(self, table: FeedTable, position: str, newest: str) -> str:
        """Return the query for the changes after a version, each with the row as it is now."""
        target = quoted_table(table.name)
        keys = ", ".join(f"c.{quoted(n)} AS {quoted(_KEY + n)}" for n in table.own_key)
        same = " AND ".join(f"t.{quoted(n)} = c.{quoted(n)}" for n in table.own_key)
        return f"""SELECT c."SYS_CHANGE_OPERATION", {keys}, t.*
FROM CHANGETABLE(CHANGES {target}, {int(position)}) AS c
LEFT JOIN {target} AS t ON {same}
WHERE c."SYS_CHANGE_VERSION" <= {int(newest)}
ORDER BY c."SYS_CHANGE_VERSION";"""  # noqa: S608  # names and whole numbers

    def record(self, table: FeedTable, row: Mapping[str, str | None]) -> LogRecord:
        """Return a changed key with its row; where there is none now, its removal."""
        key = {name.removeprefix(_KEY): v for name, v in row.items() if name.startswith(_KEY)}
        new = {name: v for name, v in row.items() if not name.startswith(_KEY)}
        operation = new.pop("SYS_CHANGE_OPERATION")
        if operation == "D" or all(new.get(name) is None for name in table.own_key):
            return LogRecord(REMOVED, {}, key)
        return LogRecord(ROW, new, {})


@dataclass(frozen=True)
class CapturedChanges:
    """Change data capture of SQL Server: every change, an update as the row before and after."""

    remedy: str = "the columns of the key must be among those that are captured"

    def words(self, table: FeedTable) -> str:
        """Return what gives the changes, for people."""
        return f"capture instance {table.instance}"

    def bounds(self, table: FeedTable) -> str:
        """Return the query for the earliest place in the log that is there, and the newest."""
        return f"SELECT sys.fn_cdc_get_min_lsn({_text(table.instance)}), sys.fn_cdc_get_max_lsn();"

    def bounds_of(self, table: FeedTable, row: Sequence[Any]) -> tuple[str, str]:
        """Return both as positions; what was captured just before the earliest is not missing."""
        earliest, newest = (bytes(value or b"").hex().upper() for value in row)
        if not earliest.strip("0"):
            schema, _, name = (table.name if "." in table.name else f"dbo.{table.name}").partition(
                "."
            )
            raise ConfigurationError(
                f"there is no capture instance {table.instance}, or this login may not read it",
                next_step="run EXEC sys.sp_cdc_enable_db and EXEC sys.sp_cdc_enable_table "
                f"@source_schema = {_text(schema)}, @source_name = {_text(name)}, "
                "@role_name = NULL, or name the instance in capture",
            )
        before = int(earliest, 16) - 1
        return f"{before:0{_LSN_DIGITS}X}", newest or earliest

    def changes(self, table: FeedTable, position: str, newest: str) -> str:
        """Return the query for the changes after a place in the log."""
        function = quoted(f"fn_cdc_get_all_changes_{table.instance}")
        return f"""SELECT * FROM "cdc".{function}(
    sys.fn_cdc_increment_lsn(0x{position}), 0x{newest}, N'all update old'
) AS c ORDER BY c."__$start_lsn", c."__$seqval", c."__$operation";"""  # noqa: S608  # names and hexadecimal digits

    def record(self, table: FeedTable, row: Mapping[str, str | None]) -> LogRecord:
        """Return a row, or its removal: of an update, the row before it goes and that after stays.

        Both have one key, unless the update has changed it.
        """
        image: dict[str, Value] = {n: v for n, v in row.items() if not n.startswith("__$")}
        if row["__$operation"] in ("1", "3"):
            return LogRecord(REMOVED, {}, image)
        return LogRecord(ROW, image, {})


@dataclass(frozen=True)
class _Order:
    """By what the changes of a table are in order: queries for its bounds and for a part of it."""

    bounds: str
    window: str


_BY_NUMBER = _Order(
    "SELECT NULL, max(change_id) FROM {changes}",
    "change_id > {first} AND change_id <= {last}",
)
_ORDERS = {  # of engines that several write at once
    "PostgreSQL": _Order(
        "SELECT NULL, pg_snapshot_xmin(pg_current_snapshot())::text",
        "transaction_id >= '{first}'::xid8 AND transaction_id < '{last}'::xid8",
    ),
}


def _order_of(table: FeedTable) -> _Order:
    return _ORDERS.get(table.engine, _BY_NUMBER)


@dataclass(frozen=True)
class ChangeTable:
    """A table that triggers fill, or comparisons of snapshots; see docs/change-feeds.md.

    Where several write at once, a change may become visible after later ones. On PostgreSQL each
    carries its transaction, and those are read before which none is open. The embedded engines have
    one writer at a time.
    """

    remedy: str = "old_row must hold the key of what was removed"

    def words(self, table: FeedTable) -> str:
        """Return what gives the changes, for people."""
        return table.change_table

    def bounds(self, table: FeedTable) -> str:
        """Return the query for the number before the first change, and that of the newest."""
        return _order_of(table).bounds.format(changes=quoted_table(table.change_table))

    def bounds_of(self, table: FeedTable, row: Sequence[Any]) -> tuple[str, str]:
        """Return both as positions; nothing is ever missing, unless somebody deletes it."""
        return "", f"{int(row[1] or 0):0{_NUMBER_WIDTH}}"

    def changes(self, table: FeedTable, position: str, newest: str) -> str:
        """Return the query for the changes after a position."""
        window = _order_of(table).window.format(first=int(position), last=int(newest))
        own = text_literal(table.name)
        return f"""SELECT operation, changed_at, old_row, new_row
FROM {quoted_table(table.change_table)} WHERE table_name = {own} AND {window}
ORDER BY change_id"""  # noqa: S608  # names and whole numbers

    def record(self, table: FeedTable, row: Mapping[str, str | None]) -> LogRecord:
        """Return a change with the rows before and after it."""
        operation = (row["operation"] or "").strip()
        if operation not in _KINDS:
            raise BadValueError(
                MALFORMED, "", f"operation {operation!r} is none of {', '.join(_KINDS)}"
            )
        old, new = (_image(name, row[name]) for name in ("old_row", "new_row"))
        kind = _KINDS[operation]
        if kind == ROW and not new:
            raise BadValueError(MALFORMED, "", f"operation {operation!r} without new_row")
        return LogRecord(kind, new, old, _moment(row["changed_at"]))


def _image(name: str, text: str | None) -> dict[str, Value]:
    try:
        found = json.loads(text or "{}", parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise BadValueError(MALFORMED, "", f"{name} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise BadValueError(MALFORMED, "", f"{name} must be an object")
    return {column: _plain(value) for column, value in found.items()}


def _plain(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text or "").replace(tzinfo=None)
    except ValueError:
        return None


FEED_KINDS: Mapping[str, FeedKind] = {
    "change_tracking": ChangeTracking(), "cdc": CapturedChanges(), "change_table": ChangeTable(),
}  # fmt: skip
