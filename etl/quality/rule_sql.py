"""The SQL that counts what breaks a rule, and finds examples.

All rules about single rows of a table are counted in one pass over it. Which rows are wrong is
asked only of a rule that was broken.
"""

from collections.abc import Iterable

from etl.engines.dialect import Dialect, quoted, quoted_table
from etl.quality.rule import WRITTEN_SINCE, RowRule, SetRule
from etl.schema.table import Table

MAX_EXAMPLES = 10


def count_broken_rows(
    dialect: Dialect, table: Table, rules: Iterable[RowRule], *, since: bool = False
) -> str:
    """One pass over a table: its rows, then for each of these rules those looked at and broken.

    Parameters: the moment from which on dates lie in the future, as often as the rules take it.

    Args:
        dialect: the engine's.
        table: the table.
        rules: rules about its rows.
        since: look only at rows that were written since a moment, the last parameter.
    """
    counts = ["count(*)"]
    for rule in rules:
        among = rule.among.format(true=dialect.true, false=dialect.false)
        counts += [_count(among), _count(rule.broken(dialect))]
    listed = ",\n    ".join(counts)
    written = f" WHERE {WRITTEN_SINCE}" if since else ""
    return f"SELECT {listed}\nFROM {quoted_table(table.name)}{written};"


def _count(condition: str) -> str:
    return f"coalesce(sum(CASE WHEN {condition} THEN 1 ELSE 0 END), 0)" if condition else "count(*)"


def row_rule_examples(dialect: Dialect, rule: RowRule) -> str:
    """Some keys of rows that break a rule. Parameters: the moment, as often as the rule takes it.

    Example:
        >>> from etl.engines.duckdb import DUCKDB
        >>> from etl.quality.rules import ROW_RULES
        >>> print(row_rule_examples(DUCKDB, ROW_RULES["sales_fact"][2]))
        SELECT "broken_key" FROM (
            SELECT "broken_key", row_number() OVER (ORDER BY "broken_key") AS "place" FROM (
                SELECT "transaction_id" AS "broken_key" FROM "sales_fact"
                WHERE "total_amount" <> "quantity" * "unit_price" - "discount_amount"
            ) AS broken
        ) AS numbered WHERE "place" <= 10 ORDER BY "place";
    """
    table = rule.table
    query = (
        f'SELECT {quoted(table.key[0])} AS "broken_key" FROM {quoted_table(table.name)}\n'
        f"        WHERE {rule.broken(dialect)}"
    )
    return _first_keys(query)


def set_rule_examples(rule: SetRule) -> str:
    """Return some keys that break a rule about more than one row."""
    return _first_keys(rule.query)


def _first_keys(query: str) -> str:
    # numbered rather than limited: the engines have no word for that in common
    return f"""SELECT "broken_key" FROM (
    SELECT "broken_key", row_number() OVER (ORDER BY "broken_key") AS "place" FROM (
        {query}
    ) AS broken
) AS numbered WHERE "place" <= {MAX_EXAMPLES} ORDER BY "place";"""


def set_rule_count(rule: SetRule) -> str:
    """Return how many keys break a rule about more than one row."""
    return rule.count or f"SELECT count(*) FROM (\n{rule.query}\n) AS broken;"


def set_rule_count_since(rule: SetRule) -> str:
    """Return how many keys written since a moment break a rule. Parameters: `rule.moments`."""
    return f"SELECT count(*) FROM (\n{rule.since}\n) AS broken;"
