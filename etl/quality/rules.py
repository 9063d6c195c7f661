"""What is expected of the loaded tables: the rules, declared once."""

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import pairwise

from etl.engines.dialect import Dialect, quoted, quoted_table, record_key
from etl.quality.rule import (
    COMPLETENESS,
    CONSISTENCY,
    CRITICAL,
    ERROR,
    INFO,
    INTEGRITY,
    RECONCILIATION,
    TIMELINESS,
    UNIQUENESS,
    VALIDITY,
    WARNING,
    WRITTEN_SINCE,
    RowRule,
    Rule,
    SetRule,
)
from etl.rules.business import (
    CATEGORY_ALIASES,
    INVENTORY_STATUSES,
    LOWEST_INVENTORY_STATUS,
    LOWEST_PRICE_CATEGORY,
    LOWEST_VALUE_TIER,
    PRICE_CATEGORIES,
    RETURN_TIER,
    UNKNOWN,
    VALUE_TIERS,
)
from etl.schema.star import CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT, STAR_TABLES
from etl.schema.table import Column, Table
from etl.warehouse import restated

_OWN = '"is_inferred" = {false}'  # placeholders have no values yet, which is no fault


def _required(table: Table) -> RowRule:
    missing = " OR ".join(f"{quoted(c.name)} IS NULL" for c in table.columns if c.required)
    return RowRule(
        "required", table, COMPLETENESS, CRITICAL, 0,
        f"rows of {table.name} without a required value", wrong=missing,
    )  # fmt: skip


def _missing(table: Table, column: str, severity: str, threshold: float) -> RowRule:
    return RowRule(
        f"{column}_missing", table, COMPLETENESS, severity, threshold,
        f"rows of {table.name} without {column}", share=True,
        wrong=f"{quoted(column)} IS NULL", among=_OWN,
    )  # fmt: skip


def _inferred(table: Table) -> RowRule:
    return RowRule(
        "inferred", table, CONSISTENCY, WARNING, 0.1,
        f"placeholders in {table.name}: sales name them, their own records have not arrived",
        share=True, wrong='"is_inferred" = {true}',
    )  # fmt: skip


def _malformed(name: str, words: str, severity: str, threshold: float) -> RowRule:
    column = f"{name}_valid"
    return RowRule(
        column, CUSTOMER_DIM, VALIDITY, severity, threshold,
        f"malformed {words} in {CUSTOMER_DIM.name}", share=True,
        wrong=quoted(column) + " = {false}", among=f"{_OWN} AND {quoted(name)} IS NOT NULL",
    )  # fmt: skip


def _in_future(table: Table, column: str) -> RowRule:
    return RowRule(
        f"{column}_in_future", table, VALIDITY, WARNING, 0,
        f"rows of {table.name} whose {column} lies in the future",
        wrong=f"{quoted(column)} > ?",
    )  # fmt: skip


def _class_of(column: str, bounds: Iterable[tuple[object, str]], lowest: str) -> str:
    """SQL for the class that a value belongs to, by the bounds of the transformation."""
    cases = " ".join(f"WHEN {quoted(column)} >= {bound} THEN '{name}'" for bound, name in bounds)
    return f"CASE WHEN {quoted(column)} IS NULL THEN '{UNKNOWN}' {cases} ELSE '{lowest}' END"


def _wrong_class(table: Table, name: str, value: str, right: str) -> RowRule:
    return RowRule(
        name, table, CONSISTENCY, ERROR, 0,
        f"rows of {table.name} whose {name} does not follow from their {value}",
        wrong=f"{quoted(name)} <> {right}", among=_OWN if table.placeholder else "",
    )  # fmt: skip


def _amounts(table: Table, wrong: str, meaning: str) -> RowRule:
    return RowRule("amounts", table, VALIDITY, ERROR, 0, meaning, wrong=wrong)


_CUSTOMERS = (
    _required(CUSTOMER_DIM),
    _missing(CUSTOMER_DIM, "name", WARNING, 0.05),
    _missing(CUSTOMER_DIM, "email", WARNING, 0.1),
    _missing(CUSTOMER_DIM, "segment", WARNING, 0.1),
    _missing(CUSTOMER_DIM, "registration_date", WARNING, 0.1),
    _missing(CUSTOMER_DIM, "phone", INFO, 0.25),
    _missing(CUSTOMER_DIM, "address", INFO, 0.25),
    _malformed("email", "e-mail addresses", WARNING, 0.1),
    _malformed("phone", "phone numbers", INFO, 0.5),
    _in_future(CUSTOMER_DIM, "registration_date"),
    _inferred(CUSTOMER_DIM),
)
_PRODUCTS = (
    _required(PRODUCT_DIM),
    _missing(PRODUCT_DIM, "name", WARNING, 0.05),
    _missing(PRODUCT_DIM, "category", WARNING, 0.1),
    _missing(PRODUCT_DIM, "price", WARNING, 0.1),
    _missing(PRODUCT_DIM, "quantity", INFO, 0.1),
    _missing(PRODUCT_DIM, "cost", INFO, 0.25),
    _amounts(PRODUCT_DIM, '"price" < 0 OR "cost" < 0 OR "quantity" < 0',
             "products with a negative price, cost or quantity"),
    RowRule(
        "category_known", PRODUCT_DIM, VALIDITY, INFO, 0.1,
        "products with a category outside the taxonomy", share=True, among=_OWN,
        wrong='"category" NOT IN (' + ", ".join(f"'{name}'" for name in CATEGORY_ALIASES) + ")",
    ),
    RowRule(
        "cost_above_price", PRODUCT_DIM, CONSISTENCY, WARNING, 0.05,
        "products that cost more than they are sold for", share=True, wrong='"cost" > "price"',
        among=_OWN,
    ),
    _wrong_class(PRODUCT_DIM, "price_category", "price",
                 _class_of("price", PRICE_CATEGORIES, LOWEST_PRICE_CATEGORY)),
    _wrong_class(PRODUCT_DIM, "inventory_status", "quantity",
                 _class_of("quantity", INVENTORY_STATUSES, LOWEST_INVENTORY_STATUS)),
    _inferred(PRODUCT_DIM),
)  # fmt: skip
_SALES = (
    _required(SALES_FACT),
    _amounts(
        SALES_FACT,
        '"quantity" = 0 OR "unit_price" < 0 '
        'OR "quantity" > 0 AND "discount_amount" NOT BETWEEN 0 AND "quantity" * "unit_price" '
        'OR "quantity" < 0 AND "discount_amount" NOT BETWEEN "quantity" * "unit_price" AND 0',
        "sales without a quantity, with a negative price, or with a wrong discount",
    ),
    RowRule(
        "total_amount", SALES_FACT, CONSISTENCY, ERROR, 0,
        "sales whose total is not quantity x price - discount",
        wrong='"total_amount" <> "quantity" * "unit_price" - "discount_amount"',
    ),
    _wrong_class(SALES_FACT, "value_tier", "total_amount",
                 f"""CASE WHEN "quantity" < 0 THEN '{RETURN_TIER}' """
                 f'ELSE {_class_of("total_amount", VALUE_TIERS, LOWEST_VALUE_TIER)} END'),
    _in_future(SALES_FACT, "transaction_date"),
)  # fmt: skip
ROW_RULES: dict[str, tuple[RowRule, ...]] = {
    CUSTOMER_DIM.name: _CUSTOMERS,
    PRODUCT_DIM.name: _PRODUCTS,
    SALES_FACT.name: _SALES,
}


def _unique(dialect: Dialect, table: Table) -> SetRule:
    name, shown = quoted_table(table.name), f'{record_key(dialect, table, "t")} AS "broken_key"'
    columns = [f"t.{quoted(key)}" for key in table.key]
    groups = f"GROUP BY {', '.join(columns)} HAVING count(*) > 1"
    key = columns[0]
    return SetRule(
        "unique", table, UNIQUENESS, CRITICAL, 0,
        f"rows of {table.name} that share a {' and '.join(table.key)}",
        query=f"SELECT {shown} FROM {name} AS t {groups}",
        since=f"SELECT {shown} FROM {name} AS t "
        f"WHERE {key} IN (SELECT {key} FROM {name} AS t WHERE {WRITTEN_SINCE}) {groups}",
        # Distinct keys are found faster than groups of them; count(DISTINCT) is faster still, but
        # DuckDB runs out of 384 MB with it at 23 million keys, which it does not with this.
        count=f"SELECT (SELECT count(*) FROM {name} AS t) - "
        f"(SELECT count(*) FROM (SELECT DISTINCT {', '.join(columns)} FROM {name} AS t) AS k);",
    )  # fmt: skip


def _reference(table: Table, column: Column, parent: Table) -> SetRule:
    held = f"d.{quoted(parent.key[0])} = t.{quoted(column.name)}"
    named = "" if column.required else f" AND t.{quoted(column.name)} IS NOT NULL"
    query = (
        f'SELECT t.{quoted((*table.key, column.name)[0])} AS "broken_key" '
        f"FROM {quoted_table(table.name)} AS t "
        f"WHERE NOT EXISTS (SELECT 1 FROM {quoted_table(parent.name)} AS d WHERE {held}){named}"
    )
    return SetRule(
        column.name, table, INTEGRITY, CRITICAL, 0,
        f"rows of {table.name} with a {column.name} that {parent.name} lacks",
        query=query, since=f"{query} AND t.{WRITTEN_SINCE}",
    )  # fmt: skip


def declared_row_rules(table: Table) -> tuple[RowRule, ...]:
    """Return the rules about single rows that follow from a declaration."""
    return (_required(table),) if any(column.required for column in table.columns) else ()


def declared_set_rules(dialect: Dialect, table: Table) -> tuple[SetRule, ...]:
    """Return the rules about keys and references that follow from a declaration.

    Of a key that keeps versions there may be several rows; these are checked apart.
    """
    unique = (_unique(dialect, table),) if table.key and not table.versions else ()
    return (*unique, *(_reference(table, *found) for found in table.references))


def set_rules(dialect: Dialect) -> tuple[SetRule, ...]:
    """Return the rules about more than one row: keys, references, recomputed profit and status."""
    profits = restated.wrong_profits(dialect, 't."transaction_id" IS NOT NULL')
    product, sales = quoted(PRODUCT_DIM.name), quoted(SALES_FACT.name)
    # apart, so that no sale is looked at for its product where no product was written
    written = (
        f"t.{WRITTEN_SINCE}",
        f"""t."product_id" IN (
    SELECT "product_id" FROM {product} WHERE {WRITTEN_SINCE})""",
    )
    wrong_since = " UNION ".join(
        f'SELECT "transaction_id" AS "broken_key" FROM (\n{query}\n) AS wrong'
        for query in (restated.wrong_profits(dialect, condition) for condition in written)
    )
    sold = f'SELECT "customer_id" FROM {sales} WHERE {WRITTEN_SINCE}'
    return (
        *(rule for table in STAR_TABLES for rule in declared_set_rules(dialect, table)),
        SetRule(
            "profit", SALES_FACT, CONSISTENCY, ERROR, 0,
            "sales whose profit does not follow from the product's cost",
            query=f'SELECT "transaction_id" AS "broken_key" FROM (\n{profits}\n) AS wrong',
            since=wrong_since,
            moments=2,
        ),
        SetRule(
            "customer_status", SALES_FACT, CONSISTENCY, ERROR, 0,
            "customers without exactly one First-time sale, returns aside",
            query=restated.customers_without_one_first_sale(),
            since=restated.customers_without_one_first_sale(f's."customer_id" IN ({sold})'),
        ),
    )  # fmt: skip


def partial_rules(dialect: Dialect) -> tuple[Rule, ...]:
    """Return the rules that need be checked only for what was written since they were proven."""
    rows = (rule for rules in ROW_RULES.values() for rule in rules if rule.is_partial)
    return (*rows, *set_rules(dialect))


def row_rules_of(table: Table) -> tuple[RowRule, ...]:
    """Return the rules about single rows of a table."""
    return ROW_RULES.get(table.name) or declared_row_rules(table)


def set_rules_of(dialect: Dialect, table: Table) -> tuple[SetRule, ...]:
    """Return the rules about more than one row of a table."""
    if table in STAR_TABLES:
        return tuple(rule for rule in set_rules(dialect) if rule.table is table)
    return declared_set_rules(dialect, table)


def row_count_rule(table: Table) -> Rule:
    """As many rows are there as the audited loads have left."""
    return Rule(
        "row_count", table, RECONCILIATION, ERROR, 0,
        f"rows between {table.name} and its audited loads",
    )  # fmt: skip


def accounted_rule(table: Table) -> Rule:
    """Every record that the source gave is accounted for in the table."""
    return Rule(
        "accounted", table, RECONCILIATION, CRITICAL, 0,
        f"records of {table.source} that are not accounted for in {table.name}",
    )  # fmt: skip


def sums_rule(table: Table) -> Rule:
    """The numbers of the source add up to those of its rows."""
    return Rule(
        "sums", table, RECONCILIATION, CRITICAL, 0,
        f"columns of {table.name} whose sum over the records of the source is another one",
    )  # fmt: skip


# What is older than a year is loaded as history and not judged: a late delivery would have been
# reported long before.
HISTORY_DAYS = 365
# Three days: a Monday morning after a weekend without sales is no alarm. Of sales the limit is the
# longest gap of late, where that is longer.
EXTRACT_AGE = Rule(
    "extract_age", PRODUCT_DIM, TIMELINESS, WARNING, 3,
    "days between the extract_date of the products file and the end of the run's window",
)  # fmt: skip
NEWEST_SALE_AGE = Rule(
    "newest_sale_age", SALES_FACT, TIMELINESS, WARNING, 3,
    "days between the newest sale and the end of the run's window",
)  # fmt: skip

# Of so many days with sales the longest gap between two is what is usual.
USUAL_DAYS = 100
_FEWEST_DAYS = 10  # below that nothing is usual yet


def usual_gap(days: Sequence[date]) -> int | None:
    """Return the longest gap between two days with sales, None for too few of them.

    Args:
        days: with sales, each once, oldest first.

    Example:
        >>> usual_gap([date(2024, 1, day) for day in (1, 2, 3, 4, 5, 8, 9, 10, 11, 12)])
        3
        >>> usual_gap([date(2024, 1, 1), date(2024, 3, 1)])
    """
    if len(days) < _FEWEST_DAYS:
        return None
    return max((after - before).days for before, after in pairwise(days))


def days_with_sales() -> str:
    """Return the query for the days that have sales, oldest first, in a span of time."""
    moment = quoted("transaction_date")
    return f"""SELECT DISTINCT CAST({moment} AS DATE) AS sold_on FROM {quoted(SALES_FACT.name)}
WHERE {moment} >= ? AND {moment} < ?
ORDER BY sold_on;"""


def all_rules(dialect: Dialect) -> tuple[Rule, ...]:
    """Every rule, in the order in which they are reported."""
    rules: list[Rule] = []
    for table in STAR_TABLES:
        rules += [row_count_rule(table), accounted_rule(table), sums_rule(table)]
        rules += ROW_RULES[table.name]
        rules += [rule for rule in set_rules(dialect) if rule.table is table]
        rules += [rule for rule in (EXTRACT_AGE, NEWEST_SALE_AGE) if rule.table is table]
    return tuple(rules)


def newest_sale() -> str:
    """Return the newest sale up to a moment. Parameter: the moment."""
    fact = quoted(SALES_FACT.name)
    return f'SELECT max("transaction_date") FROM {fact} WHERE "transaction_date" <= ?;'
