"""What must be so before a slot of PostgreSQL can be read: the slot, its publication, its table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from etl.engines.dialect import quoted, quoted_table
from etl.errors import ConfigurationError, ExtractionError
from etl.sources.csv_header import listed

_SLOT = """SELECT plugin, database = current_database(), active_pid,
    coalesce(to_jsonb(s) ->> 'wal_status', ''), coalesce(confirmed_flush_lsn, '0/0')::text,
    coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint
FROM pg_replication_slots AS s WHERE slot_name = $1"""
_TABLE = """SELECT n.nspname, c.relname, c.relreplident::text, c.relkind::text
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass($1)"""
# Of an update or a removal the log has the columns of an index, or all of them, or none.
_COLUMNS = """SELECT a.attname, a.atttypid::bigint, c.relreplident = 'f' OR EXISTS (
    SELECT 1 FROM pg_index AS i WHERE i.indrelid = c.oid AND a.attnum = ANY (i.indkey)
        AND CASE c.relreplident WHEN 'd' THEN i.indisprimary ELSE i.indisreplident END)
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.oid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum"""
_PUBLICATION = """SELECT p.pubviaroot, EXISTS (SELECT 1 FROM pg_publication_tables AS t
    WHERE t.pubname = p.pubname AND t.schemaname = $2 AND t.tablename = $3)
FROM pg_publication AS p WHERE p.pubname = $1"""
_LOST = ("lost", "unreserved")
_PARTITIONED = "p"
PGOUTPUT = "pgoutput"


@dataclass(frozen=True)
class SlotTable:
    """The table that a slot is read for.

    Attributes:
        name: `schema.table`, as the log names it.
        columns: its columns, with the object ids of their types.
        identity: those of them that the log has of a row that is changed or removed.
    """

    name: str
    columns: Mapping[str, int]
    identity: tuple[str, ...]
    is_partitioned: bool

    @property
    def quoted(self) -> str:
        """The name as SQL takes it."""
        schema, _, table = self.name.partition(".")
        return f"{quoted(schema)}.{quoted(table)}"


@dataclass(frozen=True)
class SlotState:
    """A slot as it is.

    Attributes:
        confirmed: up to where it has forgotten what was read.
        kept_bytes: of the log, which the server keeps for it.
        is_endangered: whether the server will soon keep them no longer.
    """

    confirmed: str
    kept_bytes: int
    is_endangered: bool


def lsn_text(position: str) -> str:
    """Return a position as PostgreSQL writes it.

    Example:
        >>> lsn_text("00000000016B3740"), position_of_lsn("0/16B3740")
        ('0/16B3740', '00000000016B3740')
    """
    number = int(position, 16)
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


def position_of_lsn(lsn: str) -> str:
    """Return a place in the log as a text that sorts by it."""
    high, _, low = lsn.partition("/")
    return f"{(int(high, 16) << 32) + int(low, 16):016X}"


def look_at_table(connection: Any, name: str) -> SlotTable:
    """Return what must be known of a table.

    Raises:
        ExtractionError: there is none that this login can see.
    """
    found = connection.execute(_TABLE, (quoted_table(name),)).fetchone()
    if found is None:
        raise ExtractionError(
            f"there is no table {name}, or this login may not see its schema",
            next_step="correct table of the source, or GRANT USAGE on the schema",
        )
    schema, table, _, kind = found
    columns = connection.execute(_COLUMNS, (quoted_table(name),)).fetchall()
    identity = tuple(column for column, _, is_logged in columns if is_logged)
    types = {column: type_id for column, type_id, _ in columns}
    return SlotTable(f"{schema}.{table}", types, identity, kind == _PARTITIONED)


def require_old_keys(table: SlotTable, key: Sequence[str]) -> None:
    """Check that the log has the key of rows that are changed or removed.

    Args:
        table: the table.
        key: the columns of the load's key, as the table names them.

    Raises:
        ConfigurationError: it does not.
    """
    missing = [name for name in key if name not in table.identity]
    if not missing:
        return
    has = listed(table.identity) if table.identity else "nothing"
    raise ConfigurationError(
        f"of a removed row of {table.name} the log has {has}, and the load needs {listed(missing)}",
        next_step=f"run ALTER TABLE {table.quoted} REPLICA IDENTITY FULL there, or make the key of "
        "the load that of the table; what was removed before that needs a snapshot: --reset-state",
    )


def require_published(connection: Any, table: SlotTable, publication: str) -> None:
    """Check that a publication has the changes of a table.

    Raises:
        ConfigurationError: it has not, or there is none.
    """
    schema, _, name = table.name.partition(".")
    found = connection.execute(_PUBLICATION, (publication, schema, name)).fetchone()
    if found is None:
        raise ConfigurationError(
            f"there is no publication {publication}",
            next_step=f"run {_publish(table, publication)} there, before the slot is made",
        )
    through_root, has_table = found
    if not has_table or (table.is_partitioned and not through_root):
        root = " WITH (publish_via_partition_root)" if table.is_partitioned else ""
        raise ConfigurationError(
            f"publication {publication} does not give the changes of {table.name}",
            next_step=f"DROP PUBLICATION {publication}, run {_publish(table, publication)}{root} "
            "there, and then --reset-state, since what came before is missing",
        )


def _publish(table: SlotTable, publication: str) -> str:
    return f"CREATE PUBLICATION {publication} FOR TABLE {table.quoted}"


def look_at_slot(connection: Any, slot: str, plugin: str) -> SlotState:
    """Return a slot as it is.

    Raises:
        ConfigurationError: there is none, or another one than the load needs.
        ExtractionError: it is in use, or the server has given up what it should have kept.
    """
    found = connection.execute(_SLOT, (slot,)).fetchone()
    made = f"SELECT pg_create_logical_replication_slot('{slot}', '{plugin}')"
    if found is None:
        (level,) = connection.execute("SHOW wal_level").fetchone()
        first = "" if level == "logical" else f"set wal_level = logical (it is {level}), then "
        raise ConfigurationError(
            f"there is no replication slot {slot}: it was dropped, or never made",
            next_step=f"{first}run {made} there, and then --reset-state, so that the next run "
            "begins with a snapshot of the whole table",
        )
    known_plugin, is_here, pid, status, confirmed, kept = found
    if known_plugin != plugin or not is_here:
        what = f"plugin {known_plugin}" if is_here else "another database"
        raise ConfigurationError(
            f"replication slot {slot} belongs to {what}",
            next_step=f"name another slot, or plugin = {known_plugin!r}",
        )
    if pid is not None:
        raise ExtractionError(
            f"replication slot {slot} is being read by process {pid}",
            next_step="wait for its end; a slot serves one reader",
        )
    if status == _LOST[0]:
        raise ExtractionError(
            f"replication slot {slot} was lost: the server has removed log that was not read "
            "(max_slot_wal_keep_size)",
            next_step=f"run SELECT pg_drop_replication_slot('{slot}'), {made} there, and then "
            "--reset-state, so that the next run begins with a snapshot of the whole table",
        )
    return SlotState(position_of_lsn(confirmed), int(kept), status in _LOST)
