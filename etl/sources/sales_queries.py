"""The queries for sales in databases: those that count, and how many do not."""

from collections.abc import Sequence

from etl.engines.dialect import text_literal
from etl.rules import values as value_rules
from etl.schema.source_columns import COMPLETED

# The same in SQL; TRIM alone is not in every dialect.
_STATUS = "LOWER(LTRIM(RTRIM(status)))"


def _listed(statuses: Sequence[str]) -> str:
    return ", ".join(text_literal(value_rules.comparable_status(status)) for status in statuses)


def sales_query(extra: Sequence[str] = (), statuses: Sequence[str] = (COMPLETED,)) -> str:
    """Return the query for completed sales. Parameters: first and last instant of the window.

    Args:
        extra: further columns wanted, for sources that have them.
        statuses: those of the sales that count.
    """
    columns = [
        "transaction_id", "customer_id", "product_id", "quantity", "unit_price",
        "discount_amount", "transaction_date", "sales_rep_id", *extra,
    ]  # fmt: skip
    wanted = ",\n    ".join(columns)
    return f"""SELECT
    {wanted}
FROM sales_transactions
WHERE transaction_date BETWEEN ? AND ?
    AND {_STATUS} IN ({_listed(statuses)})
ORDER BY transaction_date;"""  # noqa: S608  # names from this module


def count_query(statuses: Sequence[str] = (COMPLETED,)) -> str:
    """Return the query for how many sales `sales_query` gives."""
    return f"""SELECT COUNT(*)
FROM sales_transactions
WHERE transaction_date BETWEEN ? AND ?
    AND {_STATUS} IN ({_listed(statuses)});"""  # noqa: S608  # likewise


def extent_query(statuses: Sequence[str] = (COMPLETED,)) -> str:
    """Return the query for the first and last date of what `sales_query` gives, and its rows."""
    return count_query(statuses).replace(
        "COUNT(*)", "MIN(transaction_date), MAX(transaction_date), COUNT(*)", 1
    )


def left_out_query(statuses: Sequence[str] = (COMPLETED,)) -> str:
    """Return the query for the sales that `sales_query` leaves out, whatever the window.

    A row has a status, how many sales it is about, and 0 where they lie in the window and have that
    other status, 1 where theirs would count, and no window holds them for want of a date.
    """
    return f"""SELECT status, COUNT(*), 0
FROM sales_transactions
WHERE transaction_date BETWEEN ? AND ?
    AND (status IS NULL OR {_STATUS} NOT IN ({_listed(statuses)}))
GROUP BY status
UNION ALL
SELECT MAX(status), COUNT(*), 1
FROM sales_transactions
WHERE transaction_date IS NULL
    AND {_STATUS} IN ({_listed(statuses)});"""  # noqa: S608  # likewise
