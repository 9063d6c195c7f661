"""The views that BI tools read, declared once, and the notes that tables and columns carry."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from etl.schema.star import CUSTOMER_DIM, DATE_DIM, PRODUCT_DIM, SALES_FACT
from etl.schema.table import Column, Table
from etl.schema.tables import ALL_TABLES
from etl.schema.versioned import VALID_FROM, VALID_TO, history_beside
from etl.schema.versions import Versions


@dataclass(frozen=True)
class Shown:
    """A column of a view: which column of which table it shows, and under which name."""

    table: Table
    column: Column
    name: str


@dataclass(frozen=True)
class View:
    """A query that has a name.

    Attributes:
        tables: those it reads, the first of them whole; their names serve as aliases.
        joins: SQL that joins the others to it.
    """

    name: str
    description: str
    columns: tuple[Shown, ...]
    tables: tuple[Table, ...]
    joins: str


def _shown(table: Table, names: str, **renamed: str) -> Iterator[Shown]:
    for name in names.split():
        yield Shown(table, table.column(name), renamed.get(name, name))


# What BI tools ask for first: a row per sale, with what is known of its day, customer and product.
SALES_ENRICHED = View(
    "sales_enriched",
    "one row per sale, with its day, customer and product",
    tables=(SALES_FACT, DATE_DIM, CUSTOMER_DIM, PRODUCT_DIM),
    columns=(
        *_shown(SALES_FACT, "transaction_id transaction_date"),
        *_shown(DATE_DIM, "day year quarter month month_name year_month week day_name is_weekend"),
        *_shown(SALES_FACT, "customer_id"),
        *_shown(CUSTOMER_DIM, "name segment registration_date", name="customer_name"),
        *_shown(SALES_FACT, "customer_status product_id"),
        *_shown(PRODUCT_DIM, "name category brand model price_category", name="product_name"),
        *_shown(
            SALES_FACT,
            "quantity unit_price discount_amount total_amount profit_amount profit_margin "
            "commission value_tier sales_rep_id",
        ),
    ),
    joins=(
        'LEFT JOIN "date_dim" ON "date_dim"."day" = CAST("sales_fact"."transaction_date" AS DATE)\n'
        'LEFT JOIN "customer_dim" ON "customer_dim"."customer_id" = "sales_fact"."customer_id"\n'
        'LEFT JOIN "product_dim" ON "product_dim"."product_id" = "sales_fact"."product_id"'
    ),
)

VIEWS = (SALES_ENRICHED,)

# --- facts as of their date: where the versions of customers and products are kept ----------

_CUSTOMER_THEN = history_beside(CUSTOMER_DIM, Versions())
_PRODUCT_THEN = history_beside(PRODUCT_DIM, Versions())
_ABOUT_VERSION = {
    _CUSTOMER_THEN.name: tuple(_shown(
        _CUSTOMER_THEN, "version_id name segment source_segment address valid_from valid_to",
        version_id="customer_version_id", name="customer_name", address="customer_address",
        valid_from="customer_valid_from", valid_to="customer_valid_to",
    )),
    _PRODUCT_THEN.name: tuple(_shown(
        _PRODUCT_THEN, "version_id name category brand model price cost price_category valid_from "
        "valid_to", version_id="product_version_id", name="product_name", price="product_price",
        cost="product_cost", valid_from="product_valid_from", valid_to="product_valid_to",
    )),
}  # fmt: skip


def _then(name: str, description: str, *versions: Table) -> View:
    """A row per sale, with the versions that were valid at its time; none where none was."""
    about = [shown for table in versions for shown in _ABOUT_VERSION[table.name]]
    own = "transaction_id transaction_date customer_id product_id"
    amounts = "quantity unit_price discount_amount total_amount profit_amount sales_rep_id"
    return View(
        name,
        description,
        tables=(SALES_FACT, *versions),
        joins="\n".join(map(_valid, versions)),
        columns=(*_shown(SALES_FACT, own), *about, *_shown(SALES_FACT, amounts)),
    )


def _valid(table: Table) -> str:
    version, (key,), time = f'"{table.name}"', table.key, '"sales_fact"."transaction_date"'
    return (
        f'LEFT JOIN {version} ON {version}."{key}" = "sales_fact"."{key}"\n'
        f'    AND {version}."{VALID_FROM}" <= {time} AND {version}."{VALID_TO}" > {time}'
    )


HISTORY_VIEWS = (
    _then("sales_customer_then", "one row per sale, with its customer as of its date",
          _CUSTOMER_THEN),
    _then("sales_product_then", "one row per sale, with its product as of its date",
          _PRODUCT_THEN),
    _then("sales_then", "one row per sale, with its customer and product as of its date",
          _CUSTOMER_THEN, _PRODUCT_THEN),
)  # fmt: skip


def views_of(tables: Iterable[Table]) -> tuple[View, ...]:
    """Return the views all of whose tables are among these.

    Example:
        >>> [view.name for view in views_of(ALL_TABLES)], views_of([SALES_FACT])
        (['sales_enriched'], ())
    """
    names = {table.name for table in tables}
    return tuple(
        view for view in (*VIEWS, *HISTORY_VIEWS) if names >= {table.name for table in view.tables}
    )


@dataclass(frozen=True)
class Note:
    """What the data dictionary says, kept in the warehouse as a comment.

    Attributes:
        kind: TABLE or VIEW.
        column: empty for the note on the table or view itself.
    """

    kind: str
    name: str
    column: str
    text: str

    @property
    def place(self) -> str:
        """The column by whose note it is known whether this one is there."""
        return self.column if self.kind == "TABLE" else ""


def _notes_of_table(table: Table) -> Iterator[Note]:
    yield Note("TABLE", table.name, "", table.description)
    for column in table.columns:
        yield Note("TABLE", table.name, column.name, column.description)


def notes_of(tables: Iterable[Table], views: Sequence[View]) -> Iterator[Note]:
    """Yield the notes on the tables of this package among these, and on views.

    Example:
        >>> next(notes_of([DATE_DIM], [])).text
        'one row per day, whole years from the first sale to the newest'
    """
    for table in tables:
        if table in ALL_TABLES or table.computed:
            yield from (note for note in _notes_of_table(table) if note.text)
    for view in views:
        yield Note("VIEW", view.name, "", view.description)
        for shown in view.columns:
            yield Note("VIEW", view.name, shown.name, shown.column.description)
