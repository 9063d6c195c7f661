"""The tables that loads work with: staged rows and changes, keys that are looked for."""

from dataclasses import replace

from etl.schema.columns import KEY_WIDTH, RUN_ID, TABLE_NAME, WIDEST_TEXT, flag, key, text
from etl.schema.table import Column, Kind, Role, Table

_SOURCE_ROW = Column("source_row", "row of the source", Kind.BIGINT, required=True)
# What a change brings besides the columns of its row, and which kinds of it there are.
CHANGE_POSITION = "change_position"
CHANGE_COLUMNS = (
    Column(CHANGE_POSITION, "place among all changes of the source", Kind.TEXT, width=200),
    Column("change_kind", "row, removed or cleared", Kind.TEXT, width=10),
    Column("change_time", "when the source made it, UTC", Kind.TIMESTAMP),
)
ROW, REMOVED, CLEARED = "row", "removed", "cleared"
_BATCH = Column("batch", "number of the batch in which the row is merged", Kind.INTEGER,
                required=True)  # fmt: skip


def staging_table(table: Table, *, permanent: bool = False) -> Table:
    """Return the table in which the records of a source stand until they are merged.

    Args:
        table: the table they are merged into.
        permanent: whether it outlasts the run, so that its rows are tagged with the run that
            staged them and their batch.

    Example:
        >>> from etl.schema.star import SALES_FACT
        >>> staging_table(SALES_FACT).names[:3]
        ('source_row', 'transaction_id', 'customer_id')
        >>> staging_table(SALES_FACT, permanent=True).key
        ('batch', 'source_row')
    """
    staged = tuple(
        replace(
            c, required=False, exact=True, references=None, default=None,
            collation=c.collation if c.name in table.key else "",
        )
        for c in (*table.with_role(Role.SOURCE), *(CHANGE_COLUMNS if table.feed else ()))
    )  # fmt: skip
    tags = (RUN_ID, _BATCH, _SOURCE_ROW) if permanent else (_SOURCE_ROW,)
    return Table(
        f"stage_{table.plain_name}", f"records staged for {table.name}",
        ("batch", "source_row") if permanent else (), (*tags, *staged), is_staging=True,
    )  # fmt: skip


def batch_table(table: Table) -> Table:
    """Return the table of one batch, whose key is unique once duplicates are out."""
    staged = staging_table(table)
    columns = tuple(replace(c, required=c.name in table.key) for c in staged.columns)
    return replace(staged, name=f"batch_{table.plain_name}", key=table.identity, columns=columns)


def removed_table(table: Table) -> Table:
    """Return the table of the keys that staged changes remove, until these are merged."""
    position, _, time = (replace(column, exact=True) for column in CHANGE_COLUMNS)
    keys = (replace(table.column(name), references=None) for name in table.key)
    return Table(
        f"removed_{table.plain_name}", f"keys to be removed from {table.name}", (),
        (*keys, position, time), is_staging=True,
    )  # fmt: skip


def changed_key_table(table: Table) -> Table:
    """Return the table of what must be known of single keys of a table that is fed by changes.

    Of a feed in any order it has each key; of one in order, those that wait to be removed.
    """
    keys = tuple(replace(table.column(name), references=None) for name in table.key)
    position = replace(CHANGE_COLUMNS[0], exact=True, description="of the newest change of the key")
    gone = flag("is_removed", "whether that change has removed the row", required=True)
    return Table(
        f"changed_key_{table.plain_name}", f"newest changes of keys of {table.name}", table.key,
        (*keys, position, gone),
    )  # fmt: skip


def key_table(table: Table) -> Table:
    """Return a table for keys whose rows are wanted."""
    columns = tuple(replace(table.column(name), references=None) for name in table.key)
    return Table(f"keys_of_{table.plain_name}", f"keys of {table.name}", table.key, columns)


# Of a key as one text: how long each kind can be.
_KEY_TEXT_WIDTHS = {Kind.BOOLEAN: 5, Kind.DATE: 10, Kind.INTEGER: 11, Kind.BIGINT: 20,
                    Kind.TIMESTAMP: 26, Kind.DOUBLE: 30}  # fmt: skip


def key_text_width(table: Table) -> int:
    """Return how long a key of a table can be as one text, its parts with a mark between.

    Example:
        >>> from etl.schema.audit import ETL_LINEAGE
        >>> from etl.schema.star import SALES_FACT
        >>> key_text_width(SALES_FACT), key_text_width(ETL_LINEAGE)
        (50, 81)
    """
    columns = [table.column(name) for name in table.key]
    widths = (
        _KEY_TEXT_WIDTHS.get(c.kind, c.precision + 2 if c.kind is Kind.DECIMAL else c.width)
        for c in columns
    )
    return min(max(sum(widths) + len(columns) - 1, KEY_WIDTH), WIDEST_TEXT)


def rejected_key_table(table: Table) -> Table:
    """Return the table of the keys of a source's rejected records, until it is loaded."""
    record_key = key("record_key", "key of the record", width=key_text_width(table))
    return Table(
        f"rejected_{table.plain_name}", f"keys of records rejected for {table.name}", (),
        (record_key,), is_staging=True,
    )  # fmt: skip


def corrected_key_table(table: Table) -> Table:
    """Return the table of keys to be read again, and of the runs that rejected them."""
    record_key = key("record_key", "key of the record", width=key_text_width(table))
    return Table("corrected_key", "keys that are read again", (), (record_key, RUN_ID))


# A row for each piece of a source that other processes may stage at present.
STAGE_OPEN = Table(
    "stage_open", "pieces of sources that other processes may stage", ("table_name", "piece"),
    (
        TABLE_NAME,
        Column("piece", "number of the piece", Kind.INTEGER, required=True),
        text("token", "of the reading in which they are staged", width=40, required=True,
              exact=True),
    ),
    is_staging=True,
)  # fmt: skip
