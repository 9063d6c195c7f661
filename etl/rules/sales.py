"""The rules for sales: from the columns of the source to those of `sales_fact`."""

from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from etl.rejects import RETURN, RULE
from etl.rules import columns as field_rules
from etl.rules.blocks import LoadBlock
from etl.rules.business import (
    DEFAULT_RULES,
    LOWEST_VALUE_TIER,
    RETURN_TIER,
    SALES_TEXTS,
    VALUE_TIERS,
    Rules,
    fitted,
    prepared_texts,
    read_amounts,
    refuse_e_notation,
    tier_of,
    times,
    unreadable,
)
from etl.rules.checks import Checks
from etl.rules.columns import Reading
from etl.rules.dates import read_timestamps
from etl.schema.arrow import arrow_type
from etl.schema.source_columns import SALES_COLUMNS
from etl.schema.star import SALES_FACT

SALES_REQUIRED = (
    "transaction_id", "customer_id", "product_id", "quantity", "unit_price", "transaction_date",
)  # fmt: skip
AT_LEAST_ONE = "quantity must be a whole number of at least 1"
DISCOUNT_WITHIN_GROSS = "discount_amount must not be larger than quantity x unit_price"
DISCOUNT_OF_RETURN = "discount_amount of a return must lie between quantity x unit_price and 0"
IS_RETURN = "a negative quantity is a return; RETURNS=load loads it"
RETURN_BY_PRICE = "a negative price is no sale; write a return with a negative quantity"

_INT64_DIGITS = 19


def transform_sales(block: pa.RecordBatch, rules: Rules = DEFAULT_RULES) -> LoadBlock:
    """Read, calculate and check a block of completed sales.

    Args:
        block: `source_row` and `SALES_COLUMNS`, as text or as a database has typed them.
        rules: what the business has set.

    Example:
        >>> from etl.rules.records import block_from_records
        >>> record = {"transaction_id": "T1", "customer_id": "C1", "product_id": "P1",
        ...           "quantity": 3, "unit_price": "199.99", "transaction_date": "01/20/2024"}
        >>> block, _ = block_from_records([record], SALES_COLUMNS)
        >>> sale = transform_sales(block).accepted.to_pylist()[0]
        >>> sale["total_amount"], sale["commission"], sale["value_tier"]
        (Decimal('599.97'), Decimal('18.00'), 'High Value')
    """
    names = ("transaction_id", "customer_id", "product_id", "sales_rep_id")
    texts = prepared_texts(block, SALES_TEXTS, rules)
    checks = Checks(block, SALES_COLUMNS, texts.records.column("transaction_id"))
    block = texts.records
    values = {name: field_rules.clean_text(block.column(name)) for name in names}
    readings = _sales_readings(block, rules)
    missing = {name: pc.is_null(values[name]) for name in names}
    missing |= {name: reading.missing for name, reading in readings.items()}
    checks.missing({name: missing[name] for name in SALES_REQUIRED})
    refuse_e_notation(checks, block, SALES_TEXTS.keys)
    checks.bad_text()
    checks.columns_fit(SALES_FACT, values, readings)
    values |= {name: reading.values for name, reading in readings.items()}
    returned = _calculate_sales(values, rules, checks)
    total = pc.sum(returned).as_py() or Decimal(0)
    block_of_sales = checks.result(SALES_FACT, values, {}).noting(texts.notes)
    return replace(block_of_sales, returns=len(returned), returned=total)


def _sales_readings(block: pa.RecordBatch, rules: Rules) -> dict[str, Reading]:
    dates = read_timestamps(block.column("transaction_date"), rules.dates)
    lost = unreadable(block.column("transaction_date"), dates)
    missing = pc.and_not(pc.is_null(dates), lost)
    nowhere = field_rules.no_rows(block.num_rows)
    return {
        "quantity": field_rules.read_integers(block.column("quantity")),
        "unit_price": read_amounts(block, SALES_FACT.column("unit_price")),
        "discount_amount": read_amounts(block, SALES_FACT.column("discount_amount")),
        "transaction_date": Reading(dates, missing, lost, nowhere),
    }


def _calculate_sales(values: dict[str, pa.Array], rules: Rules, checks: Checks) -> pa.Array:
    """Add the amounts to the values; reject what contradicts itself or is too large.

    Returns:
        The amounts of the returns that are rejected.
    """
    quantity, price = values["quantity"], values["unit_price"]
    no_discount = pa.scalar(Decimal(0), arrow_type(SALES_FACT.column("discount_amount")))
    discount = pc.coalesce(values["discount_amount"], no_discount)
    gross = pc.multiply(quantity.cast(pa.decimal128(_INT64_DIGITS)), price)
    total = pc.subtract(gross, discount)
    returned = total.filter(_reject_returns(quantity, price, rules, checks=checks))
    checks.add(pc.equal(quantity, pa.scalar(0)), RULE, "quantity", AT_LEAST_ONE)
    checks.add(pc.less(price, pa.scalar(0)), RULE, "unit_price", "unit_price must not be negative")
    _check_discount(discount, gross, is_return=pc.less(quantity, pa.scalar(0)), checks=checks)
    values["discount_amount"] = discount
    values["total_amount"] = fitted(SALES_FACT.column("total_amount"), total, checks)
    commission = times(values["total_amount"], rules.commission_rate)
    values["commission"] = fitted(SALES_FACT.column("commission"), commission, checks)
    tier = tier_of(values["total_amount"], VALUE_TIERS, LOWEST_VALUE_TIER)
    values["value_tier"] = pc.if_else(pc.less(quantity, pa.scalar(0)), RETURN_TIER, tier)
    return returned


def _reject_returns(
    quantity: pa.Array, price: pa.Array, rules: Rules, *, checks: Checks
) -> pa.Array:
    """Reject returns that are not to be loaded; one by its price is none that can be."""
    nothing, before = pa.scalar(0), checks.failed
    back, reversed_price = pc.less(quantity, nothing), pc.less(price, nothing)
    if not rules.loads_returns:
        checks.add(pc.and_not(back, reversed_price), RETURN, "quantity", IS_RETURN)
    sold = pc.greater(quantity, nothing)
    checks.add(pc.and_(sold, reversed_price), RETURN, "unit_price", RETURN_BY_PRICE)
    return pc.and_not(checks.failed, before)


def _check_discount(
    discount: pa.Array, gross: pa.Array, *, is_return: pa.Array, checks: Checks
) -> None:
    below, above = pc.less(discount, pa.scalar(0)), pc.greater(discount, gross)
    wrong = pc.or_(pc.greater(discount, pa.scalar(0)), pc.less(discount, gross))
    checks.add(pc.and_(is_return, wrong), RULE, "discount_amount", DISCOUNT_OF_RETURN)
    checks.add(
        pc.and_not(below, is_return), RULE, "discount_amount",
        "discount_amount must not be negative",
    )  # fmt: skip
    checks.add(pc.and_not(above, is_return), RULE, "discount_amount", DISCOUNT_WITHIN_GROSS)
