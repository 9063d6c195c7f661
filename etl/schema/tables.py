"""The tables, declared once: columns, types, widths, keys, what is required, what refers to what.

DDL, staging, MERGE, checks and the README's data dictionary are all derived from here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property, partial

from etl.schema.versions import Versions


class Kind(Enum):
    """What a column holds; each SQL dialect names its own type for it."""

    TEXT = "text"
    INTEGER = "integer"
    BIGINT = "bigint"
    DECIMAL = "decimal"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"


class Role(Enum):
    """Who writes a column, and whether a difference in it makes a row an update."""

    SOURCE = "source"  # comes with the record; a difference makes the row an update
    RESTATED = "restated"  # a property of the whole warehouse, recomputed in SQL
    CREATED = "created"  # written by the load: when the row was first loaded
    UPDATED = "updated"  # written by the load: when a value of the row last changed
    VERSION = "version"  # written by the load: which version of its key the row is


class Default(Enum):
    """What a column holds when a statement does not name it; each dialect writes it its own way."""

    FALSE = "false"
    ZERO = "zero"
    NOW = "now"  # in UTC


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        width: of a text, in UTF-16 code units, as SQL Server counts NVARCHAR.
        references: the table whose key it holds.
        exact: compared and sorted by code point, whatever the collation of the database.
        collation: of a key that its owner has given another one, as the engine writes it.
        default: what statements that do not name it write, and rows that were there before it.
    """

    name: str
    description: str
    kind: Kind
    width: int = 0
    precision: int = 0
    scale: int = 0
    required: bool = False
    references: "Table | None" = None
    role: Role = Role.SOURCE
    exact: bool = False
    default: Default | None = None
    collation: str = ""


class Feed(Enum):
    """In which order the changes come of which a table is kept up."""

    ORDERED = "ordered"  # as they were made; what was read before does not come again
    ANY_ORDER = "any order"  # also late, and again: each key remembers its newest change


@dataclass(frozen=True)
class Index:
    """An index besides the primary key, for engines that need one, and the query it is for.

    Attributes:
        columns: by which it is sorted.
        reason: the query.
        included: columns that it holds besides, so that the query reads nothing else.
    """

    columns: tuple[str, ...]
    reason: str
    included: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One table. What a load does with it follows from this declaration alone.

    Attributes:
        key: the columns by which records are merged; none: every record is added.
        source: the input that feeds it, empty for the audit tables.
        indexes: besides the one of the key.
        window: the column of time by which a run asks its source for records; empty: the source
            is a snapshot, always read whole.
        rank: of records with one key, the greatest by these columns is loaded, and of equal ones
            the last in the source.
        placeholder: the flag of rows that stand for a key that so far only other tables name;
            empty: such keys are refused.
        replaced: each load of the whole source removes the rows that it did not read.
        is_staging: its rows are staged, and worth nothing once they are merged.
        feed: its records are changes, each with a position, and some of them removals; None: they
            are rows.
        versions: how it keeps the versions of its rows; None: it has one row per key.
        history: a table beside it that keeps the versions of its rows.
        computed: its rows follow from those of other tables, and are never staged.
        logged: days for which it is noted who changed what in it, 0 for good; None: it is not.
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    source: str = ""
    indexes: tuple[Index, ...] = ()
    window: str = ""
    rank: tuple[str, ...] = ()
    placeholder: str = ""
    replaced: bool = False
    is_staging: bool = False
    feed: Feed | None = None
    versions: Versions | None = None
    history: "Table | None" = None
    computed: bool = False
    logged: int | None = None

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def column(self, name: str) -> Column:
        """Return the column of that name.

        Raises:
            KeyError: there is none.
        """
        return self._by_name[name]

    def with_role(self, *roles: Role) -> tuple[Column, ...]:
        """Return the columns of these roles, in order.

        Example:
            >>> [column.name for column in SALES_FACT.with_role(Role.RESTATED)]
            ['profit_amount', 'profit_margin', 'customer_status']
        """
        return tuple(column for column in self.columns if column.role in roles)

    @property
    def guarded(self) -> tuple[Column, ...]:
        """The columns whose difference makes a row an update: the source's, without the key."""
        return tuple(c for c in self.with_role(Role.SOURCE) if c.name not in self.key)

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns by which records are distinguished: the key, and since when they hold."""
        since = self.versions.valid_from if self.versions else ""
        return (*self.key, since) if since else self.key

    @property
    def references(self) -> tuple[tuple[Column, "Table"], ...]:
        """The columns that hold the key of another table, with that table."""
        return tuple((c, c.references) for c in self.columns if c.references)

    @property
    def plain_name(self) -> str:
        """The name, with its schema if it has one, as one word for what belongs to the table.

        Example:
            >>> Table("dbo.orders", "", (), ()).plain_name
            'dbo_orders'
        """
        return self.name.replace(".", "_")

    @property
    def names(self) -> tuple[str, ...]:
        """All column names, in order."""
        return tuple(column.name for column in self.columns)


# The widest text that has a width; a wider column holds texts of any length.
WIDEST_TEXT = 4000
_ANY_WIDTH = 2**30 - 1  # UTF-16 code units of NVARCHAR(MAX)
# NVARCHAR(50) keeps a clustered key at 100 bytes; SQL Server's limit for one is 900.
KEY_WIDTH = 50

_text = partial(Column, kind=Kind.TEXT)
_key = partial(Column, kind=Kind.TEXT, width=KEY_WIDTH, required=True, exact=True)
_money = partial(Column, kind=Kind.DECIMAL, precision=18, scale=2)
_flag = partial(Column, kind=Kind.BOOLEAN)
_count = partial(Column, kind=Kind.INTEGER, required=True, default=Default.ZERO)
_time = partial(Column, kind=Kind.TIMESTAMP)
_number = partial(Column, kind=Kind.INTEGER, required=True)

_WRITTEN = (
    _time(
        "created_date",
        "when the row was first loaded, UTC",
        required=True,
        role=Role.CREATED,
        default=Default.NOW,
    ),
    _time(
        "updated_date",
        "when a value of it last changed, UTC",
        required=True,
        role=Role.UPDATED,
        default=Default.NOW,
    ),
)
_INFERRED = _flag(
    "is_inferred",
    "true while only sales have named it and its own record has not come",
    required=True,
    default=Default.FALSE,
)

CUSTOMER_DIM = Table(
    "customer_dim", "one row per customer", ("customer_id",), source="customers",
    placeholder="is_inferred",
    columns=(
        _key("customer_id", "key, as in the source, trimmed"),
        _text("name", "first and last name with one space between", width=201),
        _text("first_name", "in title case", width=100),
        _text("last_name", "in title case", width=100),
        # 64 + 1 + 255, the longest address of RFC 5321
        _text("email", "in lower case, kept also when it is not valid", width=320),
        _flag("email_valid", "whether the address has the form of one; false when missing"),
        _text("phone", "(XXX) XXX-XXXX where the digits allow it, else as given", width=50),
        _flag("phone_valid", "whether it is a full number of ten digits; false when missing"),
        _text("address", "trimmed", width=500),
        _text("segment", "enhanced segment", width=100),
        _text("source_segment", "segment as given, trimmed", width=100),
        Column("registration_date", "empty when missing or unreadable", Kind.DATE),
        _INFERRED,
        *_WRITTEN,
    ),
)  # fmt: skip

PRODUCT_DIM = Table(
    "product_dim", "one row per product", ("product_id",), source="products",
    placeholder="is_inferred",
    columns=(
        _key("product_id", "key, as in the source, trimmed"),
        _text("name", "trimmed", width=400),
        _text("category", "standard category, or the source's own in title case", width=100),
        _text("source_category", "category as given, trimmed", width=100),
        _text("brand", "trimmed", width=200),
        _text("model", "trimmed", width=200),
        _money("price", "list price", precision=12),
        _money("cost", "unit cost; empty while unknown", precision=12),
        _text("price_category", "Premium, Mid-Range, Budget or Unknown", width=20),
        Column("quantity", "units in stock", Kind.INTEGER),
        _text("inventory_status", "Well Stocked, Moderate, Low, Critical Stock, Unknown", width=20),
        _text("warehouse", "trimmed", width=100),
        _INFERRED,
        *_WRITTEN,
    ),
)  # fmt: skip

SALES_FACT = Table(
    "sales_fact", "one row per completed sale", ("transaction_id",), source="sales",
    window="transaction_date",
    rank=("transaction_date", "customer_id", "product_id", "quantity", "unit_price",
          "discount_amount", "sales_rep_id"),
    columns=(
        _key("transaction_id", "key, as in the source, trimmed"),
        _key("customer_id", "who bought", references=CUSTOMER_DIM),
        _key("product_id", "what was sold", references=PRODUCT_DIM),
        Column("quantity", "units sold; negative: units returned", Kind.INTEGER, required=True),
        _money("unit_price", "price of one unit", precision=12, required=True),
        _money("discount_amount", "off the whole line, 0 when none; of a return at most 0",
               required=True),
        _money("total_amount", "quantity x unit_price - discount_amount", required=True),
        # 2,147,483,647 units at a cost of 10 digits before the point need 20
        _money("profit_amount", "total_amount - quantity x cost; empty while the cost is unknown",
               precision=22, role=Role.RESTATED),
        Column("profit_margin",
               "profit_amount / total_amount as a fraction; empty at total 0, while the cost is "
               "unknown, and beyond +/-99999.9999",
               Kind.DECIMAL, precision=9, scale=4, role=Role.RESTATED),
        _money("commission", "share of the sales representative", required=True),
        _text("value_tier", "High Value, Medium Value, Low Value; Return for units returned",
              width=20, required=True),
        _text("customer_status",
              "First-time for a customer's earliest sale, else Repeat; Repeat for returns",
              width=20, required=True, role=Role.RESTATED),
        _time("transaction_date", "wall clock of the sale, to the microsecond", required=True),
        _text("sales_rep_id", "who sold", width=KEY_WIDTH),
        *_WRITTEN,
    ),
    indexes=(
        Index(("customer_id", "transaction_date"),
              "a customer's earliest sale; whether a customer is still named by a sale",
              included=("customer_status",)),
        Index(("product_id",),
              "the sales of a product whose cost changed; whether a product is still named"),
        Index(("transaction_date",), "the sales of a window that are no longer in the source"),
    ),
)  # fmt: skip

DATE_DIM = Table(
    "date_dim", "one row per day, whole years from the first sale to the newest", ("day",),
    columns=(
        Column("day", "key; the date of a sale's transaction_date", Kind.DATE, required=True),
        _number("date_key", "the day as a number, 20240120"),
        _number("year", "calendar year"),
        _number("quarter", "1 to 4"),
        _number("month", "1 to 12"),
        _text("month_name", "January to December", width=9, required=True),
        _text("year_month", "2024-01; sorts by time", width=7, required=True),
        _number("week", "ISO week, 1 to 53"),
        _number("week_year", "the year that the ISO week belongs to"),
        _number("day_of_month", "1 to 31"),
        _number("day_of_year", "1 to 366"),
        _number("day_of_week", "1 for Monday to 7 for Sunday"),
        _text("day_name", "Monday to Sunday", width=9, required=True),
        _flag("is_weekend", "Saturday or Sunday", required=True),
        _flag("is_month_end", "last day of its month", required=True),
    ),
)  # fmt: skip

_RUN_ID = _text("run_id", "run; sorts by start", width=30, required=True, exact=True)
_TABLE_NAME = _text("table_name", "warehouse table", width=50, required=True, exact=True)

ETL_RUN = Table(
    "etl_run", "one row per run", ("run_id",),
    columns=(
        _RUN_ID,
        _text("environment", "dev, test or prod", width=10, required=True),
        _text("mode", "see `runs`: incremental, date, backfill, ...", width=20, required=True),
        _time("window_start", "first instant of the sales that were asked for", required=True),
        _time("window_end", "last instant of the sales that were asked for", required=True),
        _text("status", "see `run_history`: running, success, ...", width=20, required=True),
        _time("started_at", "UTC", required=True),
        _time("finished_at", "UTC; empty while it runs"),
        _text("error", "what went wrong", width=4000),
    ),
)  # fmt: skip

ETL_LOAD = Table(
    "etl_load", "one row per run and table: what happened to every record read",
    ("run_id", "table_name"),
    columns=(
        _RUN_ID,
        _TABLE_NAME,
        _count("rows_read", "records read; the seven counts that follow add up to it"),
        _count("rows_inserted", "new"),
        _count("rows_updated", "at least one value differed"),
        _count("rows_unchanged", "no value differed"),
        _count("rows_rejected", "in the rejected file, with the reason"),
        _count("rows_duplicate", "an accepted record of the same key took precedence"),
        _count("rows_superseded", "changes that a later one of the same key has overtaken"),
        _count("rows_removals", "changes that say that their row is gone"),
        _count("rows_inferred", "placeholder rows added because a sale named them"),
        _count("rows_restated", "rows whose status or profit changed because of other records"),
        _count("rows_vanished", "rows whose record is no longer in the source"),
        _count("rows_removed", "rows deleted"),
        _count("batches", "transactions in which the records were merged"),
        Column("seconds", "time of the load", Kind.DECIMAL, precision=12, scale=3, required=True),
    ),
)  # fmt: skip

ETL_COLUMN_CHANGE = Table(
    "etl_column_change", "how many updated rows differed in a column",
    ("run_id", "table_name", "column_name"),
    columns=(
        _RUN_ID,
        _TABLE_NAME,
        _text("column_name", "warehouse column", width=50, required=True, exact=True),
        _count("rows_changed", "updated rows in which it differed"),
    ),
)  # fmt: skip

ETL_QUALITY = Table(
    "etl_quality", "one row per run and check, and per score", ("run_id", "name"),
    columns=(
        _RUN_ID,
        _text("name", "the check, or the score", width=100, required=True, exact=True),
        _text("table_name", "warehouse table; of the score of a source, the source", width=50,
              required=True, exact=True),
        _text("dimension", "completeness, validity, consistency, ..., or score", width=20,
              required=True),
        _text("severity", "critical, error, warning or info", width=10, required=True),
        _text("status", "passed, info, warning or failed", width=10, required=True),
        Column("value", "the figure found", Kind.DECIMAL, precision=18, scale=4, required=True),
        Column("threshold", "the largest figure that passes; of a score, 0", Kind.DECIMAL,
               precision=18, scale=4, required=True),
        _text("message", "what it means", width=1000, required=True),
        _text("examples", "up to ten keys of what is wrong, a JSON array", width=2000),
        _time("whole_at", "when it was last checked on the whole table, UTC; since then on what "
              "was written"),
    ),
)  # fmt: skip

ETL_DISTRIBUTION = Table(
    "etl_distribution", "how the values of a column were distributed in the records of a run",
    ("run_id", "table_name", "column_name"),
    columns=(
        _RUN_ID,
        _TABLE_NAME,
        _text("column_name", "warehouse column", width=50, required=True, exact=True),
        _text("kind", "of the bins: numbers, values or lengths", width=10, required=True),
        _count("rows_seen", "records looked at, a sample of large sources"),
        _count("rows_null", "of them without a value"),
        _text("bins", "records by value or by bin, as JSON", width=3500, required=True),
    ),
)  # fmt: skip

ETL_LINEAGE = Table(
    "etl_lineage", "one row per run and source: where the rows of a table came from",
    ("run_id", "table_name"),
    columns=(
        _RUN_ID,
        _TABLE_NAME,
        _text("source", "customers, products or sales", width=20, required=True),
        _text("status", "loaded, held back or failed", width=10, required=True),
        _text("path", "the file, or the database without its secrets", width=1000, required=True),
        _text("query", "what the database was asked", width=2000),
        _time("window_start", "first instant of the sales that were asked for", required=True),
        _time("window_end", "last instant of the sales that were asked for", required=True),
        Column("bytes", "size of the file as it was read", Kind.BIGINT),
        _text("sha256", "of the bytes that were read", width=64),
        _time("modified_at", "when the file was last written, UTC"),
        _time("extracted_at", "when the file says that it was made"),
        _count("rows_read", "records read"),
        _count("rows_inserted", "new"),
        _count("rows_updated", "at least one value differed"),
        _count("rows_rejected", "in the rejected file, with the reason"),
        _time("recorded_at", "UTC", required=True),
    ),
)  # fmt: skip

ETL_LINEAGE_FILE = Table(
    "etl_lineage_file", "one row per run and file, of sources that are read from several files",
    ("run_id", "table_name", "number"),
    columns=(
        _RUN_ID,
        _TABLE_NAME,
        Column("number", "from 1, in the order in which they were read", Kind.INTEGER,
               required=True),
        _text("path", "the file", width=1000, required=True),
        Column("bytes", "size of the file as it was read", Kind.BIGINT),
        _text("sha256", "of the bytes that were read", width=64),
        _time("modified_at", "when the file was last written, UTC"),
        _time("extracted_at", "when the file says that it was made"),
        _count("rows_read", "records read"),
    ),
)  # fmt: skip

ETL_WATERMARK = Table(
    "etl_watermark", "how far incremental runs have read", ("table_name",),
    columns=(
        _TABLE_NAME,
        _time("watermark", "latest transaction_date read; beside a number, when", required=True),
        _RUN_ID,
        Column("largest_number", "largest one read, where records are read by number", Kind.BIGINT),
    ),
)  # fmt: skip

ETL_POSITION = Table(
    "etl_position", "how far the changes of a table have been read", ("table_name",),
    columns=(
        _TABLE_NAME,
        _text("position", "of the newest change read, as its source counts them", width=400,
              required=True, exact=True),
        _text("cleared", "of the newest change that emptied the table", width=200, exact=True),
        _RUN_ID,
    ),
)  # fmt: skip

ETL_READ_KEY = Table(
    "etl_read_key", "keys that a run has read and rejected, or read again from a rejected file",
    ("run_id", "table_name", "record_key"),
    columns=(
        _RUN_ID,
        _TABLE_NAME,
        _key("record_key", "key of the record"),
    ),
    indexes=(Index(("table_name", "record_key"), "which runs have read a key"),),
)  # fmt: skip

ETL_DEAD_LETTER = Table(
    "etl_dead_letter", "rejected records that are kept to be tried again (DEAD_LETTERS=table)",
    ("letter_id",),
    columns=(
        _text("letter_id", "SHA-256 of the table and of what the record holds", width=64,
              required=True, exact=True),
        _TABLE_NAME,
        _text("source", "customers, products, sales or a declared load", width=50, required=True),
        _text("record_key", "key of the record, where it has one", width=400, exact=True),
        _text("error_class", "why it was rejected when it was last tried, in a word", width=20,
              required=True),
        _text("field", "column to blame", width=128),
        _text("reason", "in words", width=1000),
        _text("source_file", "file that it was last read from", width=1000),
        Column("source_row", "row of that file as a spreadsheet shows it", Kind.BIGINT),
        Column("place", "row within all files of its source", Kind.BIGINT, required=True),
        _text("record", "what the source wrote, as JSON", width=_ANY_WIDTH, required=True),
        _text("date_order", "of day and month in its source, where that was known", width=20),
        _time("first_seen", "when it was first rejected, UTC", required=True),
        _text("first_run_id", "run that first rejected it", width=30, required=True, exact=True),
        replace(_RUN_ID, description="newest run that read it from its source"),
        _time("tried_at", "when it was last tried, UTC", required=True),
        _text("tried_run_id", "run that last tried it", width=30, required=True, exact=True),
        _number("attempts", "how many runs have tried it"),
        _text("state", "open, person, resolved or superseded", width=10, required=True),
        _time("closed_at", "when it was resolved or superseded, UTC"),
        _text("closed_run_id", "run that loaded it, or that read a newer record", width=30,
              exact=True),
    ),
    indexes=(Index(("table_name", "state"), "what is open of a table"),),
)  # fmt: skip

ETL_SETTING = Table(
    "etl_setting", "settings with which rows of a table were computed",
    ("table_name", "setting", "value"),
    columns=(
        _TABLE_NAME,
        _text("setting", "such as COMMISSION_RATE", width=50, required=True, exact=True),
        _text("value", "as text, empty when it was not set", width=100, required=True, exact=True),
        _RUN_ID,
    ),
)  # fmt: skip

ETL_INPUT = Table(
    "etl_input", "the file of a table's last load, which need not be loaded again",
    ("table_name",),
    columns=(
        _TABLE_NAME,
        replace(_RUN_ID, description="newest run that loaded the file or found it unchanged"),
        replace(_RUN_ID, name="since_run_id", description="run that loaded it"),
        _text("sha256", "of its bytes", width=64, required=True),
        Column("bytes", "its size", Kind.BIGINT, required=True),
        _text("settings", "digest of the rules and settings by which it was read", width=64,
              required=True),
        _text("state", "of the rows that it left: how many, and a checksum", width=100,
              required=True),
        _text("facts", "what a run reports of it besides its counts, as JSON", width=3500,
              required=True),
    ),
)  # fmt: skip

ETL_SNAPSHOT = Table(
    "etl_snapshot", "the moments at which a source was seen whole, of tables that keep versions",
    ("table_name", "seen_at"),
    columns=(
        _TABLE_NAME,
        _time("seen_at", "of the run, UTC; of a file with a day in its name, that day",
              required=True),
        _RUN_ID,
    ),
)  # fmt: skip

ETL_MART = Table(
    "etl_mart", "one row per mart: when it was built, and of what", ("mart",),
    columns=(
        _text("mart", "table of the mart", width=50, required=True, exact=True),
        _text("run_id", "run that built it; empty: it is to be built anew", width=30,
              required=True, exact=True),
        _text("definition", "digest of its file and columns", width=64, required=True),
        _text("watched", "columns that it reads, by table, as JSON", width=WIDEST_TEXT,
              required=True),
        Column("rows", "rows that it has", Kind.BIGINT, required=True),
        _time("built_at", "UTC", required=True),
    ),
    computed=True,
)  # fmt: skip

ETL_TOUCHED = Table(
    "etl_touched", "what loads have changed since the marts were built", (),
    columns=(
        _RUN_ID,
        replace(_TABLE_NAME, description="table that was changed"),
        Column("day", "day of a sale, before or after the change", Kind.DATE),
        _text("customer_id", "likewise its customer, or the one whose record changed",
              width=KEY_WIDTH, exact=True),
        _text("product_id", "likewise its product, or the one whose record changed",
              width=KEY_WIDTH, exact=True),
    ),
    computed=True,
)  # fmt: skip

ETL_ROW_CHANGE = Table(
    "etl_row_change", "who changed what, of tables for which that is noted", (),
    columns=(
        _RUN_ID,
        _TABLE_NAME,
        _time("changed_at", "UTC", required=True),
        _text("changed_by", "login at the server, or the user of the process", width=128,
              required=True),
        _text("record_key", "key of the row", width=400, required=True, exact=True),
        _text("kind", "inserted, updated or removed", width=10, required=True),
        _text("column_name", "the column, of an updated row", width=50),
        _text("old_value", "as text, cut to 1,500 characters", width=1500),
        _text("new_value", "as text, cut to 1,500 characters", width=1500),
    ),
    indexes=(
        Index(("table_name", "record_key"), "what happened to a row"),
        Index(("changed_at",), "what changed in a night"),
    ),
)  # fmt: skip

# What a sale is to its customer.
FIRST_TIME, REPEAT = "First-time", "Repeat"

# In the order in which references allow them to be loaded.
STAR_TABLES = (CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT)
AUDIT_TABLES = (
    ETL_RUN,
    ETL_LOAD,
    ETL_COLUMN_CHANGE,
    ETL_READ_KEY,
    ETL_DEAD_LETTER,
    ETL_QUALITY,
    ETL_DISTRIBUTION,
    ETL_LINEAGE,
    ETL_LINEAGE_FILE,
    ETL_WATERMARK,
    ETL_POSITION,
    ETL_SETTING,
    ETL_INPUT,
    ETL_SNAPSHOT,
    ETL_ROW_CHANGE,
)
ALL_TABLES = (*STAR_TABLES, DATE_DIM, *AUDIT_TABLES)
# There where marts are built.
MART_TABLES = (ETL_MART, ETL_TOUCHED)


def derived_tables(loaded: Iterable[Table]) -> tuple[Table, ...]:
    """Return the tables that are computed from loaded ones.

    Example:
        >>> [table.name for table in derived_tables(STAR_TABLES)]
        ['date_dim']
        >>> derived_tables([CUSTOMER_DIM])
        ()
    """
    tables = tuple(loaded)
    calendar = (DATE_DIM,) if any(table.name == SALES_FACT.name for table in tables) else ()
    return (*calendar, *(changed_key_table(table) for table in tables if table.feed))


def referrers(table: Table, tables: Iterable[Table]) -> tuple[tuple[Table, Column], ...]:
    """Return the columns of these tables that hold the key of a table, each with its table.

    Example:
        >>> [(t.name, c.name) for t, c in referrers(CUSTOMER_DIM, STAR_TABLES)]
        [('sales_fact', 'customer_id')]
    """
    found = ((t, column, parent) for t in tables for column, parent in t.references)
    return tuple((t, column) for t, column, parent in found if parent.name == table.name)


# --- work tables: staged rows ------------------------------------------------------------

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
    tags = (_RUN_ID, _BATCH, _SOURCE_ROW) if permanent else (_SOURCE_ROW,)
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
    gone = _flag("is_removed", "whether that change has removed the row", required=True)
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
    key = _key("record_key", "key of the record", width=key_text_width(table))
    return Table(
        f"rejected_{table.plain_name}", f"keys of records rejected for {table.name}", (), (key,),
        is_staging=True,
    )  # fmt: skip


def corrected_key_table(table: Table) -> Table:
    """Return the table of keys to be read again, and of the runs that rejected them."""
    key = _key("record_key", "key of the record", width=key_text_width(table))
    return Table("corrected_key", "keys that are read again", (), (key, _RUN_ID))


# A row for each piece of a source that other processes may stage at present.
STAGE_OPEN = Table(
    "stage_open", "pieces of sources that other processes may stage", ("table_name", "piece"),
    (
        _TABLE_NAME,
        Column("piece", "number of the piece", Kind.INTEGER, required=True),
        _text("token", "of the reading in which they are staged", width=40, required=True,
              exact=True),
    ),
    is_staging=True,
)  # fmt: skip


def staging_tables(loaded: Iterable[Table] = STAR_TABLES) -> Iterator[Table]:
    """Yield the permanent tables in which a server stages the records of loaded tables."""
    for table in (each for each in loaded if not each.computed):
        yield staging_table(table, permanent=True)
        yield rejected_key_table(table)
        if table.feed:
            yield removed_table(table)
    yield STAGE_OPEN
