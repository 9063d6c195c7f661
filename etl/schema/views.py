"""The views that BI tools read, declared once, and the notes that tables and columns carry."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from etl.schema.tables import (
    ALL_TABLES,
    CUSTOMER_DIM,
    DATE_DIM,
    PRODUCT_DIM,
    SALES_FACT,
    Column,
    Table,
)


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


def views_of(tables: Iterable[Table]) -> tuple[View, ...]:
    """Return the views all of whose tables are among these.

    Example:
        >>> [view.name for view in views_of(ALL_TABLES)], views_of([SALES_FACT])
        (['sales_enriched'], ())
    """
    names = {table.name for table in tables}
    return tuple(view for view in VIEWS if names >= {table.name for table in view.tables})


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
