"""The statements of the star schema: the guarded MERGE, and what keeps the rows true.

Customer status and profit are properties of the whole warehouse. They are worked out in SQL,
for the customers and products that a load touches, whatever the order in which records came.
`rows` is the name of the table that holds the staged records, all of a source or one batch.
"""

from collections.abc import Iterable

from etl.engines.dialect import (
    Dialect,
    any_differs,
    create_temporary_as,
    differs,
    is_false,
    is_true,
    key_of,
    listed,
    quoted,
    same_key,
    temporary,
    values_differ,
)
from etl.schema.tables import (
    CUSTOMER_DIM,
    FIRST_TIME,
    PRODUCT_DIM,
    REPEAT,
    SALES_FACT,
    Column,
    Role,
    Table,
)
from etl.warehouse.staging_sql import live_rows, not_staged

# Temporary tables of one load.
TOUCHED_CUSTOMERS = "touched_customer"
TOUCHED_PRODUCTS = "touched_product"
FIRST_SALES = "first_sale"
RESTATED = "restated"

_STATUS = SALES_FACT.column("customer_status")


def guarded(table: Table) -> tuple[Column, ...]:
    """The columns of the change guard: what the source brings, without the key."""
    return tuple(c for c in table.with_role(Role.SOURCE) if c.name not in table.key)


def guarded_names(table: Table) -> tuple[str, ...]:
    """The columns whose difference makes a row an update, in the order of `classify`."""
    return tuple(column.name for column in guarded(table))


def classify(dialect: Dialect, table: Table, rows: str) -> str:
    """One join that says what the MERGE will do: what is new, what differs, and in which column.

    Returns one row: staged, inserted, updated, staged rows that are live in the target, then the
    number of updated rows per guarded column. Parameters: those of `live_rows`.
    """
    known = f"{key_of(table, 'target')} IS NOT NULL"
    flags = {
        "is_new": f"{key_of(table, 'target')} IS NULL",
        "is_live": f"{known} AND {live_rows(table)}",
        **{
            c.name: f"{known} AND {differs(dialect, c, 'target', 'source')}" for c in guarded(table)
        },
    }
    compared = ",\n        ".join(
        f"CASE WHEN {condition} THEN 1 ELSE 0 END AS {quoted(name)}"
        for name, condition in flags.items()
    )
    names = [quoted(name) for name in guarded_names(table)]
    changed = f"CASE WHEN {' + '.join(names)} > 0 THEN 1 ELSE 0 END"
    sums = ['"is_new"', changed, '"is_live"', *names]
    counted = ",\n    ".join(f"coalesce(sum({s}), 0)" for s in sums)
    return f"""SELECT count(*),
    {counted}
FROM (
    SELECT
        {compared}
    FROM {quoted(rows)} AS source
    LEFT JOIN {quoted(table.name)} AS target ON {same_key(table, "target", "source")}
) AS compared;"""


def merge(dialect: Dialect, table: Table, rows: str) -> str:
    """The guarded upsert: what is equal is not written. Parameters: load time, three times."""
    inserted = tuple(c for c in table.columns if c.role is not Role.AUDIT)
    updated = tuple(c for c in inserted if c.name not in table.key)
    sets = ",\n        ".join(f"{quoted(c.name)} = {_updated_value(c)}" for c in updated)
    return f"""MERGE INTO {quoted(table.name)}{dialect.locked} AS target
USING {_merge_source(dialect, table, rows)} AS source
ON {same_key(table, "target", "source")}
WHEN MATCHED AND {any_differs(dialect, guarded(table), "target", "source")} THEN
    UPDATE SET
        {sets},
        "updated_date" = ?
WHEN NOT MATCHED THEN
    INSERT ({listed(inserted)}, "created_date", "updated_date")
    VALUES ({listed(inserted, "source.")}, ?, ?);"""


def insert_new(dialect: Dialect, table: Table, rows: str) -> str:
    """What `merge` comes to when no staged key is in the table. Parameters: load time, twice."""
    inserted = tuple(c for c in table.columns if c.role is not Role.AUDIT)
    return f"""INSERT INTO {quoted(table.name)} ({listed(inserted)}, "created_date", "updated_date")
SELECT {listed(inserted, "source.")}, ?, ?
FROM {_merge_source(dialect, table, rows)} AS source;"""


def _updated_value(column: Column) -> str:
    """The staged value; the status of a sale stays where its customer's order of sales does."""
    value = f"source.{quoted(column.name)}"
    return f"coalesce({value}, target.{quoted(column.name)})" if column is _STATUS else value


def _merge_source(dialect: Dialect, table: Table, rows: str) -> str:
    if table is not SALES_FACT:
        return quoted(rows)
    query = f"""SELECT s.*, {_profit("s", "p")} AS "profit_amount",
        {_status("s", "f")} AS "customer_status"
    FROM {quoted(rows)} AS s
    LEFT JOIN {quoted(PRODUCT_DIM.name)} AS p ON {same_key(PRODUCT_DIM, "p", "s")}
    LEFT JOIN {temporary(dialect, FIRST_SALES)} AS f ON {same_key(CUSTOMER_DIM, "f", "s")}"""
    return f"(\n    {_with_margin(dialect, query)}\n)"


def _profit(sale: str, product: str) -> str:
    cost = f'{sale}."quantity" * {product}."cost"'
    return f'CAST({sale}."total_amount" - {cost} AS DECIMAL(22, 2))'


def _with_margin(dialect: Dialect, query: str) -> str:
    """The rows of a query that has `profit_amount` and `total_amount`, with `profit_margin`.

    The margin p / t is rounded half away from zero to 4 places on whole numbers of cents, since
    engines divide decimals each in their own way:
    sign(p) * floor((2 * 10000 * |p| + t) / (2 * t)) / 10000
    """
    whole, once = dialect.whole_number, dialect.worked_out
    quotient = dialect.quotient.format(x='cents."dividend"', y='cents."divisor"')
    limit = "99999.9999"  # the largest DECIMAL(9, 4)
    return f"""SELECT rated.*, CASE WHEN abs(rated."ratio") <= {limit}
        THEN CAST(rated."ratio" AS DECIMAL(9, 4)) END AS "profit_margin"
    FROM (SELECT cents.*, CAST(sign(cents."profit_amount") AS DECIMAL(1, 0))
            * CAST({quotient} AS DECIMAL(28, 0)) * 0.0001 AS "ratio"
        FROM (SELECT priced.*, 20000 * CAST(abs(priced."profit_amount") * 100 AS {whole})
                + CAST(priced."total_amount" * 100 AS {whole}) AS "dividend",
                2 * NULLIF(CAST(priced."total_amount" * 100 AS {whole}), 0) AS "divisor"
            FROM (
    {query}
            {once}) AS priced{once}) AS cents{once}) AS rated"""


def wrong_profits(dialect: Dialect, condition: str) -> str:
    """The right profit and margin of sales for which others are written down."""
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


def _status(sale: str, first: str) -> str:
    """First-time or Repeat; NULL for a customer that is not touched, who has no `first`."""
    return (
        f'CASE WHEN {first}."transaction_id" = {sale}."transaction_id" THEN \'{FIRST_TIME}\' '
        f"WHEN {first}.\"transaction_id\" IS NOT NULL THEN '{REPEAT}' END"
    )


def create_touched_customers(dialect: Dialect, rows: str) -> str:
    """Temporary table of the customers whose order of sales this load may change.

    Those of new sales, and for a sale that moved in time or to another customer, both customers.
    """
    stage, fact = quoted(rows), quoted(SALES_FACT.name)
    join = f"{fact} AS t ON {same_key(SALES_FACT, 't', 's')}"
    moved = 't."customer_id" <> s."customer_id" OR t."transaction_date" <> s."transaction_date"'
    query = f"""SELECT s."customer_id" FROM {stage} AS s LEFT JOIN {join}
WHERE t."transaction_id" IS NULL OR {moved}
UNION
SELECT t."customer_id" FROM {stage} AS s JOIN {join} WHERE {moved}"""
    return create_temporary_as(dialect, TOUCHED_CUSTOMERS, query)


def touch_customers_of_removed(dialect: Dialect, rows: str) -> str:
    """Adds the customers of the sales that a full refresh is about to remove."""
    return f"""INSERT INTO {temporary(dialect, TOUCHED_CUSTOMERS)}
SELECT DISTINCT target."customer_id" FROM {quoted(SALES_FACT.name)} AS target
WHERE {not_staged(SALES_FACT, rows)};"""


def create_first_sales(dialect: Dialect, rows: str) -> str:
    """Temporary table of the earliest sale of each touched customer, as it will be.

    The staged sales stand for their rows in the fact table, which they are about to replace.
    """
    columns = '"customer_id", "transaction_id", "transaction_date"'
    touched = (
        f'"customer_id" IN (SELECT "customer_id" FROM {temporary(dialect, TOUCHED_CUSTOMERS)})'
    )
    query = f"""SELECT "customer_id", "transaction_id" FROM (
    SELECT "customer_id", "transaction_id", row_number() OVER (
        PARTITION BY "customer_id" ORDER BY "transaction_date", "transaction_id") AS "rank"
    FROM (
        SELECT {columns} FROM {quoted(rows)} WHERE {touched}
        UNION ALL
        SELECT {columns} FROM {quoted(SALES_FACT.name)} AS target
        WHERE {touched} AND {not_staged(SALES_FACT, rows)}
    ) AS sales
) AS ranked WHERE "rank" = 1"""
    return create_temporary_as(dialect, FIRST_SALES, query)


def create_restated_status(dialect: Dialect) -> str:
    """Temporary table of sales of touched customers whose status is no longer right."""
    query = f"""SELECT t."transaction_id", {_status("t", "f")} AS "customer_status"
FROM {quoted(SALES_FACT.name)} AS t
JOIN {temporary(dialect, FIRST_SALES)} AS f ON f."customer_id" = t."customer_id"
WHERE {values_differ(dialect, 't."customer_status"', _status("t", "f"))}"""
    return create_temporary_as(dialect, RESTATED, query)


def create_touched_products(dialect: Dialect, rows: str) -> str:
    """Temporary table of the products whose cost the staged products change."""
    cost = differs(dialect, PRODUCT_DIM.column("cost"), "t", "s")
    query = f"""SELECT s."product_id" FROM {quoted(rows)} AS s
JOIN {quoted(PRODUCT_DIM.name)} AS t ON {same_key(PRODUCT_DIM, "t", "s")}
WHERE {cost}"""
    return create_temporary_as(dialect, TOUCHED_PRODUCTS, query)


def create_unread_products(dialect: Dialect, rows: str) -> str:
    """The same, of the products that a full refresh is about to turn into placeholders again."""
    query = f"""SELECT target."product_id" FROM {quoted(PRODUCT_DIM.name)} AS target
WHERE target."cost" IS NOT NULL AND {not_staged(PRODUCT_DIM, rows)}"""
    return create_temporary_as(dialect, TOUCHED_PRODUCTS, query)


def create_restated_profit(dialect: Dialect) -> str:
    """Temporary table of sales of touched products whose profit is no longer right."""
    touched = f'SELECT "product_id" FROM {temporary(dialect, TOUCHED_PRODUCTS)}'
    query = wrong_profits(dialect, f't."product_id" IN ({touched})')
    return create_temporary_as(dialect, RESTATED, query)


def merge_restated(dialect: Dialect, columns: Iterable[str]) -> str:
    """Writes what is restated into the fact table. Parameter: load time."""
    sets = ", ".join(f"{quoted(name)} = source.{quoted(name)}" for name in columns)
    return f"""MERGE INTO {quoted(SALES_FACT.name)}{dialect.locked} AS target
USING {temporary(dialect, RESTATED)} AS source
ON {same_key(SALES_FACT, "target", "source")}
WHEN MATCHED THEN UPDATE SET {sets}, "updated_date" = ?;"""


def insert_inferred(dialect: Dialect, dimension: Table, rows: str) -> str:
    """Adds a placeholder for each dimension key that staged sales name. Parameters: time, twice."""
    key = quoted(dimension.key[0])
    return f"""INSERT INTO {quoted(dimension.name)}
    ({key}, "is_inferred", "created_date", "updated_date")
SELECT DISTINCT s.{key}, {dialect.true}, ?, ?
FROM {quoted(rows)} AS s
WHERE NOT EXISTS (SELECT 1 FROM {quoted(dimension.name)} AS d WHERE d.{key} = s.{key});"""


def _referenced(dimension: Table) -> str:
    key = quoted(dimension.key[0])
    own = f"{quoted(dimension.name)}.{key}"
    return f"EXISTS (SELECT 1 FROM {quoted(SALES_FACT.name)} AS f WHERE f.{key} = {own})"


# Deletes and updates name the table itself where it is referred to: engines disagree on where
# an alias may stand.


def delete_orphaned_inferred(dialect: Dialect, dimension: Table) -> str:
    """Removes placeholders that no sale names any more."""
    target = quoted(dimension.name)
    inferred = is_true(dialect, f'{target}."is_inferred"')
    return f"""DELETE FROM {target}
WHERE {inferred} AND NOT {_referenced(dimension)};"""


def delete_unread(table: Table, rows: str) -> str:
    """Full refresh: removes rows that were not read; of a dimension those that no sale names."""
    unreferenced = "" if table is SALES_FACT else f" AND NOT {_referenced(table)}"
    return f"""DELETE FROM {quoted(table.name)}
WHERE {not_staged(table, rows, quoted(table.name))}{unreferenced};"""


def reinfer_unread(dialect: Dialect, dimension: Table, rows: str) -> str:
    """Full refresh: turns rows that were not read but are named into placeholders. Time."""
    attributes = (c for c in guarded(dimension) if c.name != "is_inferred")
    sets = ", ".join(f"{quoted(c.name)} = NULL" for c in attributes)
    target = quoted(dimension.name)
    own = is_false(dialect, f'{target}."is_inferred"')
    return f"""UPDATE {target}
SET {sets}, "is_inferred" = {dialect.true}, "updated_date" = ?
WHERE {own} AND {not_staged(dimension, rows, target)}
    AND {_referenced(dimension)};"""


def staged_without_parent(dimension: Table, rows: str) -> str:
    """How many staged sales name a dimension key that is not there."""
    key = quoted(dimension.key[0])
    return f"""SELECT count(*) FROM {quoted(rows)} AS s
WHERE NOT EXISTS (SELECT 1 FROM {quoted(dimension.name)} AS d WHERE d.{key} = s.{key});"""


def customers_without_one_first_sale() -> str:
    """The customers, as `broken_key`, that do not have exactly one First-time sale."""
    first = f"CASE WHEN s.\"customer_status\" = '{FIRST_TIME}' THEN 1 ELSE 0 END"
    return (
        f'SELECT s."customer_id" AS "broken_key" FROM {quoted(SALES_FACT.name)} AS s '
        f'GROUP BY s."customer_id" HAVING sum({first}) <> 1'
    )
