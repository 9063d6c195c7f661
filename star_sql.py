"""The statements of the star schema: the guarded MERGE, and what keeps the rows true.

Customer status and profit are properties of the whole warehouse. They are worked out in SQL,
for the customers and products that a load touches, whatever the order in which records came.
"""

from collections.abc import Iterable

from sql_dialects import (
    Dialect,
    any_differs,
    differs,
    guarded,
    listed,
    not_staged,
    quoted,
    same_key,
    staging_name,
)
from star_schema import (
    CUSTOMER_DIM,
    FIRST_TIME,
    PRODUCT_DIM,
    REPEAT,
    SALES_FACT,
    Column,
    Role,
    Table,
)

_STATUS = SALES_FACT.column("customer_status")


def merge(dialect: Dialect, table: Table) -> str:
    """The guarded upsert: what is equal is not written. Parameters: load time, three times."""
    inserted = tuple(c for c in table.columns if c.role is not Role.AUDIT)
    updated = tuple(c for c in inserted if c.name not in table.key)
    sets = ",\n        ".join(f"{quoted(c.name)} = {_updated_value(c)}" for c in updated)
    return f"""MERGE INTO {quoted(table.name)} AS target
USING {_merge_source(dialect, table)} AS source
ON {same_key(table, "target", "source")}
WHEN MATCHED AND {any_differs(dialect, guarded(table), "target", "source")} THEN
    UPDATE SET
        {sets},
        "updated_date" = ?
WHEN NOT MATCHED THEN
    INSERT ({listed(inserted)}, "created_date", "updated_date")
    VALUES ({listed(inserted, "source.")}, ?, ?);"""


def _updated_value(column: Column) -> str:
    """The staged value; the status of a sale stays where its customer's order of sales does."""
    value = f"source.{quoted(column.name)}"
    return f"coalesce({value}, target.{quoted(column.name)})" if column is _STATUS else value


def _merge_source(dialect: Dialect, table: Table) -> str:
    if table is not SALES_FACT:
        return quoted(staging_name(table))
    return f"""(
    SELECT s.*,
        {_profit("s", "p")} AS "profit_amount",
        {_margin(dialect, "s", "p")} AS "profit_margin",
        {_status("s", "f")} AS "customer_status"
    FROM {quoted(staging_name(table))} AS s
    LEFT JOIN {quoted(PRODUCT_DIM.name)} AS p ON p."product_id" = s."product_id"
    LEFT JOIN "first_sale" AS f ON f."customer_id" = s."customer_id"
)"""


def _profit(sale: str, product: str) -> str:
    cost = f'{sale}."quantity" * {product}."cost"'
    return f'CAST({sale}."total_amount" - {cost} AS DECIMAL(22, 2))'


def _margin(dialect: Dialect, sale: str, product: str) -> str:
    total = f'{sale}."total_amount"'
    ratio = dialect.ratio.format(n=_profit(sale, product), d=total)
    limit = "99999.9999"  # the largest DECIMAL(9, 4)
    return (
        f"CASE WHEN {total} > 0 AND abs({ratio}) <= {limit} THEN CAST({ratio} AS DECIMAL(9, 4)) END"
    )


def _status(sale: str, first: str) -> str:
    """First-time or Repeat; NULL for a customer that is not touched, who has no `first`."""
    return (
        f'CASE WHEN {first}."transaction_id" = {sale}."transaction_id" THEN \'{FIRST_TIME}\' '
        f"WHEN {first}.\"transaction_id\" IS NOT NULL THEN '{REPEAT}' END"
    )


def create_touched_customers(dialect: Dialect) -> str:
    """Temporary table of the customers whose order of sales this load may change.

    Those of new sales, and for a sale that moved in time or to another customer, both customers.
    """
    stage, fact = quoted(staging_name(SALES_FACT)), quoted(SALES_FACT.name)
    join = f"{fact} AS t ON {same_key(SALES_FACT, 't', 's')}"
    moved = 't."customer_id" <> s."customer_id" OR t."transaction_date" <> s."transaction_date"'
    return f"""{dialect.create_temporary} "touched_customer" AS
SELECT s."customer_id" FROM {stage} AS s LEFT JOIN {join}
WHERE t."transaction_id" IS NULL OR {moved}
UNION
SELECT t."customer_id" FROM {stage} AS s JOIN {join} WHERE {moved};"""


def touch_customers_of_removed() -> str:
    """Adds the customers of the sales that a full refresh is about to remove."""
    return f"""INSERT INTO "touched_customer"
SELECT DISTINCT target."customer_id" FROM {quoted(SALES_FACT.name)} AS target
WHERE {not_staged(SALES_FACT)};"""


def create_first_sales(dialect: Dialect) -> str:
    """Temporary table of the earliest sale of each touched customer, as it will be.

    The staged sales stand for their rows in the fact table, which they are about to replace.
    """
    columns = '"customer_id", "transaction_id", "transaction_date"'
    touched = '"customer_id" IN (SELECT "customer_id" FROM "touched_customer")'
    return f"""{dialect.create_temporary} "first_sale" AS
SELECT "customer_id", "transaction_id" FROM (
    SELECT "customer_id", "transaction_id", row_number() OVER (
        PARTITION BY "customer_id" ORDER BY "transaction_date", "transaction_id") AS "rank"
    FROM (
        SELECT {columns} FROM {quoted(staging_name(SALES_FACT))} WHERE {touched}
        UNION ALL
        SELECT {columns} FROM {quoted(SALES_FACT.name)} AS target
        WHERE {touched} AND {not_staged(SALES_FACT)}
    ) AS sales
) AS ranked WHERE "rank" = 1;"""


def create_restated_status(dialect: Dialect) -> str:
    """Temporary table `restated`: sales of touched customers whose status is no longer right."""
    return f"""{dialect.create_temporary} "restated" AS
SELECT t."transaction_id", {_status("t", "f")} AS "customer_status"
FROM {quoted(SALES_FACT.name)} AS t
JOIN "first_sale" AS f ON f."customer_id" = t."customer_id"
WHERE {dialect.differs.format(a='t."customer_status"', b=_status("t", "f"))};"""


def create_touched_products(dialect: Dialect) -> str:
    """Temporary table of the products whose cost the staged products change."""
    cost = differs(dialect, PRODUCT_DIM.column("cost"), "t", "s")
    return f"""{dialect.create_temporary} "touched_product" AS
SELECT s."product_id" FROM {quoted(staging_name(PRODUCT_DIM))} AS s
JOIN {quoted(PRODUCT_DIM.name)} AS t ON {same_key(PRODUCT_DIM, "t", "s")}
WHERE {cost};"""


def create_unread_products(dialect: Dialect) -> str:
    """The same, of the products that a full refresh is about to turn into placeholders again."""
    return f"""{dialect.create_temporary} "touched_product" AS
SELECT target."product_id" FROM {quoted(PRODUCT_DIM.name)} AS target
WHERE target."cost" IS NOT NULL AND {not_staged(PRODUCT_DIM)};"""


def create_restated_profit(dialect: Dialect) -> str:
    """Temporary table `restated`: sales of touched products whose profit is no longer right."""
    profit, margin = _profit("t", "p"), _margin(dialect, "t", "p")
    wrong_profit = dialect.differs.format(a='t."profit_amount"', b=profit)
    wrong_margin = dialect.differs.format(a='t."profit_margin"', b=margin)
    return f"""{dialect.create_temporary} "restated" AS
SELECT t."transaction_id", {profit} AS "profit_amount", {margin} AS "profit_margin"
FROM {quoted(SALES_FACT.name)} AS t
JOIN {quoted(PRODUCT_DIM.name)} AS p ON p."product_id" = t."product_id"
WHERE t."product_id" IN (SELECT "product_id" FROM "touched_product")
    AND ({wrong_profit} OR {wrong_margin});"""


def merge_restated(columns: Iterable[str]) -> str:
    """Writes `restated` into the fact table. Parameter: load time."""
    sets = ", ".join(f"{quoted(name)} = source.{quoted(name)}" for name in columns)
    return f"""MERGE INTO {quoted(SALES_FACT.name)} AS target
USING "restated" AS source
ON {same_key(SALES_FACT, "target", "source")}
WHEN MATCHED THEN UPDATE SET {sets}, "updated_date" = ?;"""


def insert_inferred(dimension: Table) -> str:
    """Adds a placeholder for each dimension key that staged sales name. Parameters: time, twice."""
    key = quoted(dimension.key[0])
    return f"""INSERT INTO {quoted(dimension.name)}
    ({key}, "is_inferred", "created_date", "updated_date")
SELECT DISTINCT s.{key}, TRUE, ?, ?
FROM {quoted(staging_name(SALES_FACT))} AS s
WHERE NOT EXISTS (SELECT 1 FROM {quoted(dimension.name)} AS d WHERE d.{key} = s.{key});"""


def _referenced(dimension: Table, alias: str) -> str:
    key = quoted(dimension.key[0])
    fact = quoted(SALES_FACT.name)
    return f"EXISTS (SELECT 1 FROM {fact} AS f WHERE f.{key} = {alias}.{key})"


def delete_orphaned_inferred(dimension: Table) -> str:
    """Removes placeholders that no sale names any more."""
    return f"""DELETE FROM {quoted(dimension.name)} AS target
WHERE target."is_inferred" AND NOT {_referenced(dimension, "target")};"""


def delete_unread(table: Table) -> str:
    """Full refresh: removes rows that were not read; of a dimension those that no sale names."""
    unreferenced = "" if table is SALES_FACT else f" AND NOT {_referenced(table, 'target')}"
    return f"""DELETE FROM {quoted(table.name)} AS target
WHERE {not_staged(table)}{unreferenced};"""


def reinfer_unread(dimension: Table) -> str:
    """Full refresh: turns rows that were not read but are named into placeholders. Time."""
    attributes = (c for c in guarded(dimension) if c.name != "is_inferred")
    sets = ", ".join(f"{quoted(c.name)} = NULL" for c in attributes)
    return f"""UPDATE {quoted(dimension.name)} AS target
SET {sets}, "is_inferred" = TRUE, "updated_date" = ?
WHERE NOT target."is_inferred" AND {not_staged(dimension)}
    AND {_referenced(dimension, "target")};"""


def staged_without_parent(dimension: Table) -> str:
    """How many staged sales name a dimension key that is not there."""
    key = quoted(dimension.key[0])
    return f"""SELECT count(*) FROM {quoted(staging_name(SALES_FACT))} AS s
WHERE NOT EXISTS (SELECT 1 FROM {quoted(dimension.name)} AS d WHERE d.{key} = s.{key});"""


# The checks of loaded data: name, what a count above 0 means, the query that counts.
def quality_counts(dialect: Dialect) -> tuple[tuple[str, str, str], ...]:
    """Queries that each count what should not be: (name, meaning, SQL).

    Covers the key (unique), required columns (no NULL), references, and recomputed values.
    """
    checks: list[tuple[str, str, str]] = []
    for table in (CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT):
        checks.append(_unique_check(table))
        checks.append(_required_check(table))
        checks += [_reference_check(table, c) for c in table.columns if c.references]
    return (*checks, *_rule_checks(dialect))


def _unique_check(table: Table) -> tuple[str, str, str]:
    key, name = quoted(table.key[0]), quoted(table.name)
    sql = f"SELECT count({key}) - count(DISTINCT {key}) FROM {name};"
    return f"{table.name}.unique", f"rows of {table.name} share a {table.key[0]}", sql


def _required_check(table: Table) -> tuple[str, str, str]:
    missing = " OR ".join(f"{quoted(c.name)} IS NULL" for c in table.columns if c.required)
    sql = f"SELECT count(*) FROM {quoted(table.name)} WHERE {missing};"
    return f"{table.name}.required", f"rows of {table.name} lack a required value", sql


def _reference_check(table: Table, column: Column) -> tuple[str, str, str]:
    name = quoted(column.name)
    sql = (
        f"SELECT count(*) FROM {quoted(table.name)} AS t WHERE NOT EXISTS "
        f"(SELECT 1 FROM {quoted(column.references)} AS d WHERE d.{name} = t.{name});"
    )
    meaning = f"rows of {table.name} name a {column.name} that {column.references} lacks"
    return f"{table.name}.{column.name}", meaning, sql


def _rule_checks(dialect: Dialect) -> tuple[tuple[str, str, str], ...]:
    fact = f"FROM {quoted(SALES_FACT.name)} AS s"
    product = f'LEFT JOIN {quoted(PRODUCT_DIM.name)} AS p ON p."product_id" = s."product_id"'
    profit = dialect.differs.format(a='s."profit_amount"', b=_profit("s", "p"))
    margin = dialect.differs.format(a='s."profit_margin"', b=_margin(dialect, "s", "p"))
    total = 's."total_amount" <> s."quantity" * s."unit_price" - s."discount_amount"'
    firsts = (
        f"SELECT count(*) FROM (SELECT s.\"customer_id\" {fact} GROUP BY s.\"customer_id\" "
        f"HAVING sum(CASE WHEN s.\"customer_status\" = '{FIRST_TIME}' THEN 1 ELSE 0 END) <> 1)"
        " AS customers;"
    )  # fmt: skip
    return (
        ("sales_fact.total_amount", "sales whose total is not quantity x price - discount",
         f"SELECT count(*) {fact} WHERE {total};"),
        ("sales_fact.profit", "sales whose profit does not follow from the product's cost",
         f"SELECT count(*) {fact} {product} WHERE {profit} OR {margin};"),
        ("sales_fact.customer_status", "customers without exactly one First-time sale", firsts),
    )  # fmt: skip
