"""The rules for products: from the columns of the source to those of `product_dim`."""

from collections.abc import Mapping
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from etl.rejects import RULE
from etl.rules import columns as field_rules
from etl.rules import values as value_rules
from etl.rules.blocks import LoadBlock
from etl.rules.business import (
    CATEGORY_ALIASES,
    DEFAULT_RULES,
    INVENTORY_STATUSES,
    LOWEST_INVENTORY_STATUS,
    LOWEST_PRICE_CATEGORY,
    PRICE_CATEGORIES,
    PRODUCT_TEXTS,
    UNKNOWN,
    Rules,
    comparable,
    fitted,
    prepared_texts,
    read_amounts,
    refuse_e_notation,
    tier_of,
    times,
)
from etl.rules.checks import Checks
from etl.rules.columns import Reading
from etl.schema.source_columns import PRODUCT_COLUMNS
from etl.schema.star import PRODUCT_DIM

_CATEGORIES = {
    comparable(alias): standard for standard, names in CATEGORY_ALIASES.items() for alias in names
}


def standard_category(text: str) -> str:
    """Return the category of the taxonomy, or in title case what is not in it.

    Example:
        >>> standard_category("tech"), standard_category("GARDEN  tools")
        ('Electronics', 'Garden Tools')
    """
    own_name = value_rules.title_cased(value_rules.collapsed(text))
    return _CATEGORIES.get(comparable(text), own_name)


def transform_products(block: pa.RecordBatch, rules: Rules = DEFAULT_RULES) -> LoadBlock:
    """Clean, classify and check a block of products.

    Args:
        block: `source_row` and `PRODUCT_COLUMNS`.
        rules: what the business has set.

    Example:
        >>> from etl.rules.records import block_from_records
        >>> record = {"product_id": "P1", "category": "tech", "price": "199.995", "quantity": 49}
        >>> block, _ = block_from_records([record], PRODUCT_COLUMNS)
        >>> product = transform_products(block).accepted.to_pylist()[0]
        >>> product["category"], product["price_category"], product["inventory_status"]
        ('Electronics', 'Premium', 'Low Stock')
    """
    texts = prepared_texts(block, PRODUCT_TEXTS, rules)
    checks = Checks(block, PRODUCT_COLUMNS, texts.records.column("product_id"))
    block = texts.records
    readings = {
        "price": read_amounts(block, PRODUCT_DIM.column("price")),
        "cost": read_amounts(block, PRODUCT_DIM.column("cost")),
        "quantity": field_rules.read_integers(block.column("quantity")),
    }
    values = _product_values(block, readings)
    checks.missing({"product_id": pc.is_null(values["product_id"])})
    refuse_e_notation(checks, block, PRODUCT_TEXTS.keys)
    checks.bad_text()
    checks.columns_fit(PRODUCT_DIM, values, readings)
    for field in readings:
        negative = pc.less(values[field], pa.scalar(0))
        checks.add(negative, RULE, field, f"{field} must not be negative")
    if rules.default_cost_ratio is not None:
        values["cost"] = _assumed_costs(readings, rules.default_cost_ratio, checks)
    category = values["category"]
    standard = pc.is_in(category, value_set=pa.array(CATEGORY_ALIASES))
    notes = {
        "categories_outside_taxonomy": pc.and_not(pc.is_valid(category), standard),
        "missing_costs": pc.is_null(values["cost"]),
    }
    return checks.result(PRODUCT_DIM, values, notes).noting(texts.notes)


def _assumed_costs(readings: Mapping[str, Reading], ratio: Decimal, checks: Checks) -> pa.Array:
    """The costs, a share of the price where none is given."""
    cost, price = readings["cost"], readings["price"].values
    shares = times(pc.if_else(cost.missing, price, None), ratio)
    return pc.coalesce(cost.values, fitted(PRODUCT_DIM.column("cost"), shares, checks))


def _product_values(block: pa.RecordBatch, readings: Mapping[str, Reading]) -> dict[str, pa.Array]:
    texts = ("product_id", "name", "brand", "model", "warehouse")
    values = {name: field_rules.clean_text(block.column(name)) for name in texts}
    source_category = field_rules.clean_text(block.column("category"))
    price, quantity = readings["price"].values, readings["quantity"].values
    tier = tier_of(price, PRICE_CATEGORIES, LOWEST_PRICE_CATEGORY)
    status = tier_of(quantity, INVENTORY_STATUSES, LOWEST_INVENTORY_STATUS)
    return values | {
        "source_category": source_category,
        "category": field_rules.by_distinct(source_category, standard_category, pa.string()),
        "price": price,
        "cost": readings["cost"].values,
        "quantity": quantity,
        "price_category": pc.fill_null(tier, UNKNOWN),
        "inventory_status": pc.fill_null(status, UNKNOWN),
        "is_inferred": field_rules.no_rows(block.num_rows),
    }
