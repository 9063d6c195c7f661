"""The columns that follow from other rows than their own, and which loads change them.

Customer status and profit are properties of the whole warehouse. They are computed in SQL, for the
customers and products that a load touches, whatever the order in which records came. `rows` is the
name of the table that holds the staged records, all of a source or one batch.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from etl.engines.ddl import make_temporary
from etl.engines.dialect import Dialect, differs, quoted, same_key, temporary, values_differ
from etl.schema.star import CUSTOMER_DIM, FIRST_TIME, PRODUCT_DIM, REPEAT, SALES_FACT
from etl.schema.table import Column, Kind, Role, Table
from etl.warehouse.staging_sql import not_staged

# Temporary tables of one load.
TOUCHED_CUSTOMERS = "touched_customer"
TOUCHED_PRODUCTS = "touched_product"
FIRST_SALES = "first_sale"


def _held(table: Table, name: str) -> Column:
    """A column of a table as a temporary table holds it."""
    column = table.column(name)
    return replace(
        column, required=False, references=None, default=None, exact=column.kind is Kind.TEXT
    )


def _temporary(name: str, table: Table, *columns: str, key: tuple[str, ...] = ()) -> Table:
    held = (_held(table, column) for column in columns)
    return Table(name, "", key, tuple(replace(c, required=c.name in key) for c in held))


# No key: what a full refresh adds may be there already.
_TOUCHED_CUSTOMERS = _temporary(TOUCHED_CUSTOMERS, SALES_FACT, "customer_id")
_TOUCHED_PRODUCTS = _temporary(TOUCHED_PRODUCTS, PRODUCT_DIM, "product_id")
_FIRST_SALES = _temporary(
    FIRST_SALES, SALES_FACT, "customer_id", "transaction_id", key=("customer_id",)
)

# Given the dialect and the name of the staged rows, returns a statement.
Statement = Callable[[Dialect, str], str]


@dataclass(frozen=True)
class Temporary:
    """A temporary table, and the statement that makes and fills it."""

    name: str
    create: Statement


@dataclass(frozen=True)
class Restatement:
    """Columns of a table that follow from other rows than their own.

    Attributes:
        table: whose columns they are.
        columns: their names.
        watched: the table whose loads may change them.
        touched: keys whose rows a load may change, as they are before it.
        touch_removed: adds those of rows that a full refresh is about to remove.
        before_merge: what the MERGE and `wrong` read besides.
        wrong: makes the table `right` of keys and right values, where others are stored.
        joined: what the source of the MERGE joins, `s` being the staged rows.
        value: SQL for the first of the columns, on that join.
        completed: given a query with that value, the query with all of them.
    """

    table: Table
    columns: tuple[str, ...]
    watched: Table
    touched: Temporary
    touch_removed: Statement
    before_merge: tuple[Temporary, ...]
    wrong: Callable[[Dialect], str]
    joined: Callable[[Dialect], str]
    value: str
    completed: Callable[[Dialect, str], str] = lambda _dialect, query: query

    @property
    def right(self) -> Table:
        """The temporary table of keys and right values."""
        return _right(self.table, self.columns)


def _right(table: Table, columns: tuple[str, ...]) -> Table:
    return _temporary(f"right_{columns[0]}", table, *table.key, *columns, key=table.key)


def restated_by(table: Table) -> tuple[Restatement, ...]:
    """Return what loads of a table may change."""
    return tuple(each for each in RESTATEMENTS if each.watched.name == table.name)


def merge_source(dialect: Dialect, table: Table, rows: str) -> str:
    """Return the staged rows as a MERGE reads them: with the columns that are restated."""
    parts = [each for each in RESTATEMENTS if each.table.name == table.name]
    if not parts:
        return quoted(rows)
    values = ",\n        ".join(f"{each.value} AS {quoted(each.columns[0])}" for each in parts)
    joins = "\n    ".join(each.joined(dialect) for each in parts)
    query = f"""SELECT s.*, {values}
    FROM {quoted(rows)} AS s
    {joins}"""
    for each in parts:
        query = each.completed(dialect, query)
    return f"(\n    {query}\n)"


def merge_restated(dialect: Dialect, restatement: Restatement) -> str:
    """Return what writes the right values into their table. Parameter: load time."""
    table = restatement.table
    sets = [f"{quoted(name)} = source.{quoted(name)}" for name in restatement.columns]
    sets += [f"{quoted(column.name)} = ?" for column in table.with_role(Role.UPDATED)]
    return f"""MERGE INTO {quoted(table.name)}{dialect.locked} AS target
USING {temporary(dialect, restatement.right.name)} AS source
ON {same_key(table, "target", "source")}
WHEN MATCHED THEN UPDATE SET {", ".join(sets)};"""


# --- profit ------------------------------------------------------------------------------


def _profit(sale: str, product: str) -> str:
    cost = f'{sale}."quantity" * {product}."cost"'
    return f'CAST({sale}."total_amount" - {cost} AS DECIMAL(22, 2))'


def _with_margin(dialect: Dialect, query: str) -> str:
    """The rows of a query that has `profit_amount` and `total_amount`, with `profit_margin`.

    The margin p / t is rounded half away from zero to 4 places on whole numbers of cents, since
    engines divide decimals each in their own way:
    sign(p) * sign(t) * floor((2 * 10000 * |p| + |t|) / (2 * |t|)) / 10000
    """
    whole, once = dialect.whole_number, dialect.computed_once
    quotient = dialect.quotient.format(x='cents."dividend"', y='cents."divisor"')
    limit = "99999.9999"  # the largest DECIMAL(9, 4)
    # DuckDB keeps a product of narrow decimals within 18 digits, which a large total exceeds
    total = 'CAST(abs(priced."total_amount") AS DECIMAL(22, 2))'
    return f"""SELECT rated.*, CASE WHEN abs(rated."ratio") <= {limit}
        THEN CAST(rated."ratio" AS DECIMAL(9, 4)) END AS "profit_margin"
    FROM (SELECT cents.*,
            CAST(sign(cents."profit_amount") * sign(cents."total_amount") AS DECIMAL(1, 0))
            * CAST({quotient} AS DECIMAL(28, 0)) * 0.0001 AS "ratio"
        FROM (SELECT priced.*, 20000 * CAST(abs(priced."profit_amount") * 100 AS {whole})
                + CAST({total} * 100 AS {whole}) AS "dividend",
                2 * NULLIF(CAST({total} * 100 AS {whole}), 0) AS "divisor"
            FROM (
    {query}
            {once}) AS priced{once}) AS cents{once}) AS rated"""


def wrong_profits(dialect: Dialect, condition: str) -> str:
    """Return the query for the right profit and margin of sales that hold others."""
    fact, product = quoted(SALES_FACT.name), quoted(PRODUCT_DIM.name)
    query = f"""SELECT t."transaction_id", t."total_amount",
        t."profit_amount" AS "known_profit", t."profit_margin" AS "known_margin",
        {_profit("t", "p")} AS "profit_amount"
    FROM {fact} AS t
    LEFT JOIN {product} AS p ON p."product_id" = t."product_id"
    WHERE {condition}"""
    wrong_profit = values_differ(dialect, '"known_profit"', '"profit_amount"')
    wrong_margin = values_differ(dialect, '"known_margin"', '"profit_margin"')
    return f"""SELECT "transaction_id", "profit_amount", "profit_margin" FROM (
    {_with_margin(dialect, query)}
) AS expected WHERE {wrong_profit} OR {wrong_margin}"""


def create_touched_products(dialect: Dialect, rows: str) -> str:
    """Return what makes the table of products whose cost the staged products change."""
    cost = differs(dialect, PRODUCT_DIM.column("cost"), "t", "s")
    query = f"""SELECT s."product_id" FROM {quoted(rows)} AS s
JOIN {quoted(PRODUCT_DIM.name)} AS t ON {same_key(PRODUCT_DIM, "t", "s")}
WHERE {cost}"""
    return make_temporary(dialect, _TOUCHED_PRODUCTS, query)


def touch_unread_products(dialect: Dialect, rows: str) -> str:
    """Return what adds products that a full refresh is about to turn into placeholders."""
    return f"""INSERT INTO {temporary(dialect, TOUCHED_PRODUCTS)}
SELECT target."product_id" FROM {quoted(PRODUCT_DIM.name)} AS target
WHERE target."cost" IS NOT NULL AND {not_staged(PRODUCT_DIM, rows)};"""


def create_restated_profit(dialect: Dialect) -> str:
    """Return what makes the table of sales of touched products whose profit is wrong."""
    touched = f'SELECT "product_id" FROM {temporary(dialect, TOUCHED_PRODUCTS)}'
    query = wrong_profits(dialect, f't."product_id" IN ({touched})')
    return make_temporary(dialect, PROFIT.right, query)


# --- customer status -----------------------------------------------------------------------


def _status(sale: str, first: str) -> str:
    """First-time or Repeat; NULL for a customer that is not touched, who has no `first`."""
    return (
        f'CASE WHEN {first}."transaction_id" = {sale}."transaction_id" THEN \'{FIRST_TIME}\' '
        f"WHEN {first}.\"transaction_id\" IS NOT NULL THEN '{REPEAT}' END"
    )


def create_touched_customers(dialect: Dialect, rows: str) -> str:
    """Return what makes the table of customers whose order of sales this load may change.

    Those of new sales, and for a sale that moved in time or to another customer, both customers;
    and that of a sale that became a return, or the other way round.
    """
    stage, fact = quoted(rows), quoted(SALES_FACT.name)
    join = f"{fact} AS t ON {same_key(SALES_FACT, 't', 's')}"
    moved = (
        't."customer_id" <> s."customer_id" OR t."transaction_date" <> s."transaction_date" '
        'OR sign(t."quantity") <> sign(s."quantity")'
    )
    query = f"""SELECT s."customer_id" FROM {stage} AS s LEFT JOIN {join}
WHERE t."transaction_id" IS NULL OR {moved}
UNION
SELECT t."customer_id" FROM {stage} AS s JOIN {join} WHERE {moved}"""
    return make_temporary(dialect, _TOUCHED_CUSTOMERS, query)


def touch_customers_of_removed(dialect: Dialect, rows: str) -> str:
    """Return what adds the customers of sales that a full refresh is about to remove."""
    return f"""INSERT INTO {temporary(dialect, TOUCHED_CUSTOMERS)}
SELECT DISTINCT target."customer_id" FROM {quoted(SALES_FACT.name)} AS target
WHERE {not_staged(SALES_FACT, rows)};"""


def create_first_sales(dialect: Dialect, rows: str) -> str:
    """Return what makes the table of the earliest sale of each touched customer.

    The staged sales stand for their rows in the fact table, which they are about to replace. A
    customer who has returns alone has no sale: an empty id, which is that of none.
    """
    columns = '"customer_id", "transaction_id", "transaction_date", "quantity"'
    touched = (
        f'"customer_id" IN (SELECT "customer_id" FROM {temporary(dialect, TOUCHED_CUSTOMERS)})'
    )
    returned = 'CASE WHEN "quantity" < 0 THEN 1 ELSE 0 END'
    query = f"""SELECT "customer_id", "transaction_id" FROM (
    SELECT "customer_id",
        CASE WHEN "quantity" < 0 THEN '' ELSE "transaction_id" END AS "transaction_id",
        row_number() OVER (PARTITION BY "customer_id"
            ORDER BY {returned}, "transaction_date", "transaction_id") AS "rank"
    FROM (
        SELECT {columns} FROM {quoted(rows)} WHERE {touched}
        UNION ALL
        SELECT {columns} FROM {quoted(SALES_FACT.name)} AS target
        WHERE {touched} AND {not_staged(SALES_FACT, rows)}
    ) AS sales
) AS ranked WHERE "rank" = 1"""
    return make_temporary(dialect, _FIRST_SALES, query)


def create_restated_status(dialect: Dialect) -> str:
    """Return what makes the table of sales of touched customers whose status is wrong."""
    query = f"""SELECT t."transaction_id", {_status("t", "f")} AS "customer_status"
FROM {quoted(SALES_FACT.name)} AS t
JOIN {temporary(dialect, FIRST_SALES)} AS f ON f."customer_id" = t."customer_id"
WHERE {values_differ(dialect, 't."customer_status"', _status("t", "f"))}"""
    return make_temporary(dialect, STATUS.right, query)


def customers_without_one_first_sale(condition: str = "") -> str:
    """Return the query for customers, `broken_key`, without exactly one First-time sale.

    Those who have returns alone must have none.

    Args:
        condition: on sales `s`, which customers are looked at; empty for all.
    """
    some = f"WHERE {condition} " if condition else ""
    sold = 'max(CASE WHEN s."quantity" < 0 THEN 0 ELSE 1 END)'
    first = f"CASE WHEN s.\"customer_status\" = '{FIRST_TIME}' THEN 1 ELSE 0 END"
    return (
        f'SELECT s."customer_id" AS "broken_key" FROM {quoted(SALES_FACT.name)} AS s '
        f'{some}GROUP BY s."customer_id" HAVING sum({first}) <> {sold}'
    )


# --- what is restated ------------------------------------------------------------------------

PROFIT = Restatement(
    SALES_FACT, ("profit_amount", "profit_margin"), watched=PRODUCT_DIM,
    touched=Temporary(TOUCHED_PRODUCTS, create_touched_products),
    touch_removed=touch_unread_products,
    before_merge=(),
    wrong=create_restated_profit,
    joined=lambda _dialect: (
        f"LEFT JOIN {quoted(PRODUCT_DIM.name)} AS p ON {same_key(PRODUCT_DIM, 'p', 's')}"
    ),
    value=_profit("s", "p"),
    completed=_with_margin,
)  # fmt: skip
STATUS = Restatement(
    SALES_FACT, ("customer_status",), watched=SALES_FACT,
    touched=Temporary(TOUCHED_CUSTOMERS, create_touched_customers),
    touch_removed=touch_customers_of_removed,
    before_merge=(Temporary(FIRST_SALES, create_first_sales),),
    wrong=create_restated_status,
    joined=lambda dialect: (
        f"LEFT JOIN {temporary(dialect, FIRST_SALES)} AS f ON {same_key(CUSTOMER_DIM, 'f', 's')}"
    ),
    value=_status("s", "f"),
)  # fmt: skip
RESTATEMENTS = (PROFIT, STATUS)
