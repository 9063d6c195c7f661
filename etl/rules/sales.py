"""The rules for sales: from the columns of the source to those of `sales_fact`."""

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from etl.rejects import RULE
from etl.rules import columns as field_rules
from etl.rules.blocks import LoadBlock
from etl.rules.business import (
    DEFAULT_RULES,
    LOWEST_VALUE_TIER,
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
from etl.schema.tables import SALES_FACT

SALES_REQUIRED = (
    "transaction_id", "customer_id", "product_id", "quantity", "unit_price", "transaction_date",
)  # fmt: skip
AT_LEAST_ONE = "quantity must be a whole number of at least 1"
DISCOUNT_WITHIN_GROSS = "discount_amount must not be larger than quantity x unit_price"

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
    _calculate_sales(values, rules, checks)
    return checks.result(SALES_FACT, values, {}).noting(texts.notes)


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


def _calculate_sales(values: dict[str, pa.Array], rules: Rules, checks: Checks) -> None:
    """Add the amounts to the values; reject what contradicts itself or is too large."""
    quantity, price = values["quantity"], values["unit_price"]
    no_discount = pa.scalar(Decimal(0), arrow_type(SALES_FACT.column("discount_amount")))
    discount = pc.coalesce(values["discount_amount"], no_discount)
    gross = pc.multiply(quantity.cast(pa.decimal128(_INT64_DIGITS)), price)
    negative = "{} must not be negative".format
    checks.add(pc.less(quantity, pa.scalar(1)), RULE, "quantity", AT_LEAST_ONE)
    checks.add(pc.less(price, pa.scalar(0)), RULE, "unit_price", negative("unit_price"))
    checks.add(
        pc.less(discount, pa.scalar(0)), RULE, "discount_amount", negative("discount_amount")
    )
    checks.add(pc.greater(discount, gross), RULE, "discount_amount", DISCOUNT_WITHIN_GROSS)
    values["discount_amount"] = discount
    total = pc.subtract(gross, discount)
    values["total_amount"] = fitted(SALES_FACT.column("total_amount"), total, checks)
    commission = times(values["total_amount"], rules.commission_rate)
    values["commission"] = fitted(SALES_FACT.column("commission"), commission, checks)
    values["value_tier"] = tier_of(values["total_amount"], VALUE_TIERS, LOWEST_VALUE_TIER)
